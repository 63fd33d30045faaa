//! What is known about a session: the WebSocket frames each way, the close, the rules broken.

use crate::capture::FrameRef;
use crate::tcp::{Direction, Side};

use super::Mqtt;

/// WebSocket frames of one direction by opcode (RFC 6455 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameCounts {
    /// Opcode 1.
    pub text: u64,
    /// Opcode 2.
    pub binary: u64,
    /// Opcode 0.
    pub continuation: u64,
    /// Opcode 9.
    pub ping: u64,
    /// Opcode 10.
    pub pong: u64,
    /// Opcode 8.
    pub close: u64,
}

/// What one direction of a session carried.
///
/// What most segments change stands last, next to what else its reader needs for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Carried {
    /// The last ping.
    pub last_ping: Option<FrameRef>,
    /// The shortest and longest time between two pings, nanoseconds.
    pub ping_interval_nanos: Option<(i64, i64)>,
    /// Pings that got their pong, and the longest time that took, nanoseconds.
    pub pongs_matched: u64,
    /// The longest time from a ping in this direction to its pong, nanoseconds.
    pub ping_rtt_max_nanos: Option<i64>,
    /// Complete frames by opcode.
    pub frames: FrameCounts,
    /// Complete messages (last frame has FIN set).
    pub messages: u64,
    /// Payload bytes of all complete frames as carried, control frames included.
    pub payload_bytes: u64,
    /// The last complete frame of a message: neither Close nor ping nor pong.
    pub last_message: Option<FrameRef>,
    /// First and last frame that carried anything of this direction.
    pub first: Option<FrameRef>,
    /// The last one.
    pub last: Option<FrameRef>,
}

/// A Close frame (RFC 6455 5.5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// Who sent it.
    pub by: Side,
    /// The status code, if it carried one.
    pub code: Option<u16>,
    /// The reason, lossily decoded; `…` stands for what the capture lacks of it.
    pub reason: Box<str>,
    /// Bytes of it are missing: if it has no code here, it may have had one.
    pub cut: bool,
    /// Where.
    pub frame: FrameRef,
}

/// A rule of RFC 6455 or RFC 7692 that a WebSocket frame broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A client's frame without a mask (RFC 6455 5.1).
    Unmasked,
    /// A server's frame with a mask (RFC 6455 5.1).
    Masked,
    /// RSV1 without negotiated permessage-deflate, or on a continuation or control frame (RFC 6455 5.2, RFC 7692 6).
    Rsv1,
    /// RSV2 or RSV3 (RFC 6455 5.2).
    ReservedBits,
    /// An opcode that is not defined (RFC 6455 5.2).
    ReservedOpcode,
    /// A control frame longer than 125 bytes (RFC 6455 5.5).
    ControlTooLong,
    /// A fragmented control frame (RFC 6455 5.5).
    ControlFragmented,
    /// A continuation without a message to continue (RFC 6455 5.4).
    ContinuationWithoutStart,
    /// A new message inside a fragmented one (RFC 6455 5.4).
    StartInsideMessage,
    /// A length not encoded in its shortest form (RFC 6455 5.2).
    LengthNotMinimal,
    /// A 64-bit length with its highest bit set (RFC 6455 5.2).
    LengthTooLarge,
    /// Text that is no UTF-8 (RFC 6455 8.1).
    TextNotUtf8,
    /// A close reason that is no UTF-8 (RFC 6455 5.5.1).
    ReasonNotUtf8,
    /// A Close frame with a body of one byte (RFC 6455 5.5.1).
    ClosePayloadTooShort,
    /// A close code that must not be sent (RFC 6455 7.4).
    CloseCode,
    /// Data frames after a Close frame (RFC 6455 5.5.1).
    DataAfterClose,
    /// A compressed message that does not inflate (RFC 7692 7.2.2).
    DoesNotInflate,
    /// A compressed message that refers back beyond the agreed window (RFC 7692 7.1.2).
    WindowExceeded,
    /// Bytes after the 101 that are no WebSocket frames at all.
    NotWebSocket,
    /// An HTTP response where a frame should begin.
    HttpResponse,
}

/// A rule broken, by whom, where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameFault {
    /// The rule.
    pub rule: Rule,
    /// Who broke it.
    pub by: Side,
    /// Where it happened first.
    pub frame: FrameRef,
    /// How often.
    pub count: u64,
    /// A number that goes with it: the opcode, the close code, the length, how far it refers back, the status (0: not
    /// readable).
    pub value: u64,
}

/// Nothing was sent either way between two frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// The last data before it; the 101 before the first data.
    pub from: FrameRef,
    /// The data that ended it.
    pub until: FrameRef,
}

impl Silence {
    /// How long it was, nanoseconds.
    pub const fn nanos(&self) -> i64 {
        self.until.at.nanos_since(self.from.at)
    }
}

/// Since when a proxy counts silence. nginx sets its timer anew for data either way, but leaves one that would move by
/// less than 300 ms (`NGX_TIMER_LAZY_DELAY`), so that of a burst its first data counts, not its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    /// The data (or the 101, or the request before it) that set it last.
    pub since: FrameRef,
    /// What had set it before that.
    pub before: FrameRef,
}

impl Timer {
    /// nginx leaves a timer that would move by less.
    pub(super) const LAZY_NANOS: i64 = 300_000_000;

    /// Set for the first time.
    pub const fn started(frame: FrameRef) -> Self {
        Self {
            since: frame,
            before: frame,
        }
    }

    /// Takes note of data, which comes in the order of time.
    pub(super) const fn data(&mut self, frame: FrameRef) {
        if frame.at.nanos_since(self.since.at) >= Self::LAZY_NANOS {
            self.before = self.since;
            self.since = frame;
        }
    }

    /// What had set it when the session ended: data may have come too late.
    pub fn running_at(&self, end: FrameRef) -> FrameRef {
        if self.since <= end {
            self.since
        } else {
            self.before
        }
    }
}

/// Everything known about one session on one hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFacts {
    /// The frame with the 101 (or the first frame of a session that was already up when the capture began).
    pub established: FrameRef,
    /// What the client sent.
    pub to_server: Carried,
    /// What the server sent.
    pub to_client: Carried,
    /// Close frames in their order, at most one per side.
    pub closes: Vec<CloseFrame>,
    /// Rules broken, the first occurrence of each by each side, in order.
    pub faults: Vec<FrameFault>,
    /// The stream ended inside a ws frame: which way, where, and how many payload bytes were still to come.
    pub cut_mid_frame: Option<(Direction, FrameRef, u64)>,
    /// Compression was agreed on in the 101 of this hop.
    pub deflate: bool,
    /// Inflating reached its limit: which way, and in which frame. Later messages were not looked into.
    pub inflation_stopped: Option<(Direction, FrameRef)>,
    /// Bytes were lost in a direction and ws frames after it could not be followed (counts are lower bounds).
    pub lost_sync: Option<Direction>,
    /// The longest silence that data ended, if any was worth the name.
    pub longest_silence: Option<Silence>,
    /// The newest one.
    pub latest_silence: Option<Silence>,
    /// Since when a proxy counts silence.
    pub timer: Timer,
    /// How MQTT ended, where that is what the session carried and all of it could be followed.
    pub mqtt: Option<Box<Mqtt>>,
    /// A hash over the client's first bytes as carried (its masking keys make it unique): to pair hops by identical bytes.
    /// `None` until enough bytes were seen, and for bytes out of the middle of a session whose client uses a masking key
    /// again. Of a session without its handshake all that the client sent is enough, if that is a whole frame at least.
    pub fingerprint: Option<u64>,
}

impl SessionFacts {
    /// What a direction carried.
    pub const fn carried(&self, direction: Direction) -> &Carried {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    /// Whether the client sent frames other than Close.
    pub const fn client_spoke(&self) -> bool {
        let frames = &self.to_server.frames;
        frames.text + frames.binary + frames.continuation + frames.ping + frames.pong > 0
    }

    /// The Close frame that a side sent.
    pub fn close_by(&self, side: Side) -> Option<&CloseFrame> {
        self.closes.iter().find(|close| close.by == side)
    }
}
