//! What is known about one TCP connection: who, how it opened, what went each way, how it ended.

use std::fmt;

use crate::capture::{CaptureId, FrameRef};
use crate::decode::{Endpoint, SeqNo, Unreachable};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the client, who opened the connection.
    ToServer,
    /// From the server.
    ToClient,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }

    /// Who sends in this direction.
    pub const fn sender(self) -> Side {
        match self {
            Self::ToServer => Side::Client,
            Self::ToClient => Side::Server,
        }
    }
}

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Who opened it.
    Client,
    /// Who accepted it.
    Server,
}

impl Side {
    /// The direction in which this side sends.
    pub const fn sends(self) -> Direction {
        match self {
            Self::Client => Direction::ToServer,
            Self::Server => Direction::ToClient,
        }
    }

    /// The other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// The number of a connection in a run, from 0, in the order of first frames. Printed as `c1`, `c2`, ...
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0.saturating_add(1))
    }
}

/// How we know which end is the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RolesFrom {
    /// It sent a SYN.
    Syn,
    /// The other end sent a SYN-ACK.
    SynAck,
    /// The first bytes say so: a request, or an answer.
    FirstBytes,
    /// Nothing better: the server has the lower port number.
    Port,
}

/// How a connection opened, as far as the capture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Opening {
    /// The three-way handshake was seen (or its two first segments and data).
    Complete,
    /// SYN answered by RST (or by an ICMP port-unreachable).
    Refused,
    /// SYN without any answer.
    Unanswered,
    /// No SYN in the capture.
    Midstream,
    /// Some of it: SYN and SYN-ACK without what should follow, or just one direction captured.
    Partial,
}

/// Why bytes of a stream are not there for us to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GapCause {
    /// The frame was in the capture but cut short (snaplen).
    Truncated,
    /// The receiver acknowledged bytes that the capture lacks: lost by the capture, not by the network.
    NotCaptured,
    /// Never seen and never acknowledged: lost on the wire.
    Lost,
    /// Dropped by us to stay within the memory limits.
    Evicted,
}

/// The first FIN or RST of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// FIN or RST.
    pub how: EndingHow,
    /// Who sent it.
    pub by: Side,
    /// Where; for a FIN that the capture lacks, the other side's FIN that acknowledges it.
    pub frame: FrameRef,
}

/// How a side ends its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndingHow {
    /// Orderly (RFC 9293 3.6).
    Fin,
    /// Aborted (RFC 9293 3.10.7).
    Rst,
}

impl EndingHow {
    /// The flag that it is done with.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Fin => "FIN",
            Self::Rst => "RST",
        }
    }
}

/// What went in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamFacts {
    /// Frames with a segment in this direction, duplicates by the capture not counted.
    pub frames: u64,
    /// Payload bytes of the stream: each position once.
    pub payload_bytes: u64,
    /// Segments that only repeat bytes sent before (keep-alives are not among them).
    pub retransmitted: u64,
    /// Segments that arrived after a later one.
    pub out_of_order: u64,
    /// Payload bytes known to exist that we could not read, whatever the cause.
    pub missing_bytes: u64,
    /// Of these, bytes cut off by the snaplen.
    pub truncated_bytes: u64,
    /// Of these, bytes that nobody acknowledged: lost on the wire and not sent again.
    pub lost_bytes: u64,
    /// Of these, bytes no longer waited for, to stay within the limits.
    pub given_up_bytes: u64,
    /// Segments that closed the sender's receive window.
    pub zero_windows: u64,
    /// Keep-alive probes (RFC 9293 3.8.4) sent.
    pub keep_alives: u64,
    /// Segments that repeated a position with other bytes than before.
    pub conflicts: u64,
    /// Bytes sent (SYN and FIN not counted) and not acknowledged by the end of the capture or connection.
    pub unacknowledged: u64,
    /// Numbers at the end of the stream, before its FIN if that was seen, that the capture lacks although the peer acknowledged
    /// them (or that came before the FIN). One without a FIN is most likely that FIN.
    pub unseen_at_end: u64,
    /// The initial sequence number.
    pub isn: Option<SeqNo>,
    /// First frame with payload.
    pub first_data: Option<FrameRef>,
    /// Last frame that carried new payload.
    pub last_data: Option<FrameRef>,
    /// Last retransmission (its time shows how long a sender kept trying).
    pub last_retransmission: Option<FrameRef>,
    /// Last segment that announced a zero window, while it stands (an opening of the window clears it).
    pub zero_window_since: Option<FrameRef>,
    /// The first FIN in this direction.
    pub fin: Option<FrameRef>,
    /// The first RST in this direction.
    pub rst: Option<FrameRef>,
}

impl StreamFacts {
    /// Counts bytes that cannot be read.
    pub(super) const fn miss(&mut self, len: u64, cause: GapCause) {
        self.missing_bytes += len;
        match cause {
            GapCause::NotCaptured => {}
            GapCause::Truncated => self.truncated_bytes += len,
            GapCause::Lost => self.lost_bytes += len,
            GapCause::Evicted => self.given_up_bytes += len,
        }
    }

    /// Missing bytes that the peer acknowledged, so that the capture must have lost them. Some of those lost or given
    /// up may have come late and are then missing no more.
    pub fn not_captured_bytes(&self) -> u64 {
        let known = self.truncated_bytes + self.lost_bytes + self.given_up_bytes;
        self.missing_bytes.saturating_sub(known)
    }
}

/// An interface of a capture, by the number that it has in pcapng, or in the kernel where cooked frames (SLL2) tell.
pub type Interface = (CaptureId, u32);

/// The interfaces on which a connection was seen: one, but for bridges, routers and several captures.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interfaces {
    first: Option<Interface>,
    others: Box<[Interface]>,
}

impl Interfaces {
    /// The first one, and those that showed the same later.
    pub(super) fn new(first: Option<Interface>, others: impl Iterator<Item = Interface>) -> Self {
        Self {
            first,
            others: others.collect(),
        }
    }

    /// All of them, in the order in which they showed the connection; a few at most.
    pub fn iter(&self) -> impl Iterator<Item = Interface> {
        self.first.into_iter().chain(self.others.iter().copied())
    }
}

/// Everything known about one TCP connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its number.
    pub id: ConnectionId,
    /// Who opened it.
    pub client: Endpoint,
    /// Who accepted it.
    pub server: Endpoint,
    /// How the roles were decided.
    pub roles_from: RolesFrom,
    /// How it opened.
    pub opening: Opening,
    /// Its first frame.
    pub first: FrameRef,
    /// Its last frame.
    pub last: FrameRef,
    /// The first SYN.
    pub syn: Option<FrameRef>,
    /// SYNs sent by the client, the first included.
    pub syns: u32,
    /// The first SYN-ACK.
    pub syn_ack: Option<FrameRef>,
    /// Nanoseconds from SYN to the ACK of the SYN-ACK, the capture's view of the round trip.
    pub rtt_nanos: Option<i64>,
    /// What the client sent.
    pub to_server: StreamFacts,
    /// What the server sent.
    pub to_client: StreamFacts,
    /// The first FIN or RST.
    pub ended: Option<Ending>,
    /// An ICMP error about it: the frame, and what it said.
    pub unreachable: Option<(FrameRef, Unreachable)>,
    /// Bit n: capture n has frames of it (bit 63 stands for all captures from 63 on).
    pub captures: u64,
    /// Where its frames were seen.
    pub interfaces: Interfaces,
    /// Frames that the capture holds twice (bridges, mirror ports, several interfaces): counted once above.
    pub duplicates: u64,
    /// It was dropped from the table to stay within the limits, not because it ended.
    pub evicted: bool,
}

impl Connection {
    /// Whether the FIN that ended it is not in the capture, and only known because the other side's acknowledges it.
    pub fn ended_unseen(&self) -> bool {
        self.ended.is_some_and(|ending| {
            let other = self.stream(ending.by.sends().reverse());
            ending.how == EndingHow::Fin && other.fin == Some(ending.frame)
        })
    }

    /// Whether it may have ended all the same where no end was captured: what was acknowledged behind the last bytes is a FIN, or
    /// hides one.
    pub const fn may_have_ended(&self) -> bool {
        self.ended.is_none()
            && (self.to_server.unseen_at_end > 0 || self.to_client.unseen_at_end > 0)
    }

    /// Whether only what one side sent was captured: what the other one said is not known.
    pub const fn is_one_sided(&self) -> bool {
        self.to_server.frames == 0 || self.to_client.frames == 0
    }

    /// What went in a direction.
    pub const fn stream(&self, direction: Direction) -> &StreamFacts {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    /// What went in a direction, to be changed.
    pub const fn stream_mut(&mut self, direction: Direction) -> &mut StreamFacts {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    /// The endpoint on a side.
    pub const fn endpoint(&self, side: Side) -> Endpoint {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }
}
