//! Tunnels that a proxy ended, and whether they are one event: a reload, a stop, a crash.

use std::net::IpAddr;

use crate::capture::{FrameRef, Timestamp};
use crate::decode::Endpoint;
use crate::diagnosis::Code;
use crate::diagnosis::program::Program;
use crate::diagnosis::story::Story;
use crate::diagnosis::timeout;
use crate::hop::{Confidence, Handshake, Hop, Party, Record};
use crate::tcp::{ConnectionId, Direction, EndingHow, Opening, Side};

/// Endings within this time of the one before belong to one event: a worker closes its tunnels one after the other.
pub(super) const TOGETHER_NANOS: i64 = 100_000_000;

/// A tunnel that the proxy ended together with others.
#[derive(Debug, Clone)]
pub(super) struct Tunnel {
    pub(super) proxy: IpAddr,
    pub(super) front: Endpoint,
    pub(super) ended: FrameRef,
    pub(super) how: EndingHow,
    pub(super) connections: Vec<ConnectionId>,
    pub(super) opened: FrameRef,
    pub(super) cut: bool,
    pub(super) program: Program,
}

/// A hop of a tunnel that was ended without a Close frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) opened: FrameRef,
    pub(super) frame: FrameRef,
    /// Aborted, or ended inside a frame.
    pub(super) hard: bool,
    pub(super) silence_nanos: i64,
    /// The same as nginx's lazy timer counts it.
    pub(super) timer_nanos: i64,
    /// It is known to be a session. Of a connection that was up when the capture began hardly more than the end may be
    /// known.
    pub(super) followed: bool,
}

impl Ended {
    /// Whether this timeout, in seconds, explains it, and not by chance.
    pub(super) fn is_explained_by(&self, timeout: i64) -> bool {
        timeout::fitting(self.silence_nanos) == Some(timeout)
            && (!timeout::fits_by_chance(timeout)
                || timeout::fires_after(timeout, self.silence_nanos, 0)
                || timeout::fires_after(timeout, self.timer_nanos, 0))
    }
}

/// What tells a reload from the end of a process.
pub(super) trait Member {
    fn opened(&self) -> FrameRef;
    fn ended(&self) -> FrameRef;
    fn hard(&self) -> bool;
}

impl Member for Tunnel {
    fn opened(&self) -> FrameRef {
        self.opened
    }
    fn ended(&self) -> FrameRef {
        self.ended
    }
    fn hard(&self) -> bool {
        self.cut || self.how == EndingHow::Rst
    }
}

impl Member for Ended {
    fn opened(&self) -> FrameRef {
        self.opened
    }
    fn ended(&self) -> FrameRef {
        self.frame
    }
    fn hard(&self) -> bool {
        self.hard
    }
}

/// What is known of a listening endpoint.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Listener {
    pub(super) speaks_http: bool,
    pub(super) last_accepted: Option<FrameRef>,
    pub(super) last_refused: Option<FrameRef>,
    /// It answered a request on a connection that began with a PROXY protocol header.
    pub(super) answered_behind_header: Option<FrameRef>,
    /// The same on one without.
    pub(super) answered_without: Option<FrameRef>,
}

/// A session on a connection that ended without a Close frame, and by which side.
pub(super) fn ended(record: &Record) -> Option<(Side, Ended)> {
    let connection = &record.connection;
    let end = connection.ended?;
    let facts = record
        .exchanges
        .iter()
        .find_map(|exchange| exchange.session.as_ref());
    let Some(facts) = facts else {
        return only_the_end(record);
    };
    let mut closes = facts.closes.iter();
    if closes.any(|close| close.by == end.by || close.frame <= end.frame) {
        return None;
    }
    // Frames that could not be followed are bytes all the same.
    let bytes = [
        record.last_said(Direction::ToServer),
        record.last_said(Direction::ToClient),
    ];
    let bytes = bytes.map(|frame| frame.filter(|_| facts.lost_sync.is_some()));
    // What came too late does not make the silence any shorter.
    let cut = facts
        .latest_silence
        .filter(|silence| silence.from <= end.frame && end.frame <= silence.until);
    let last = match cut {
        Some(silence) => silence.from,
        None => [facts.to_server.last, facts.to_client.last]
            .into_iter()
            .chain(bytes)
            .flatten()
            .chain([facts.established])
            .max()?,
    };
    let ended = Ended {
        opened: connection.first,
        frame: end.frame,
        hard: end.how == EndingHow::Rst || facts.cut_mid_frame.is_some(),
        silence_nanos: end.frame.at.nanos_since(last.at),
        timer_nanos: end
            .frame
            .at
            .nanos_since(facts.timer.running_at(end.frame).at),
        followed: true,
    };
    Some((end.by, ended))
}

/// A connection that was up when the capture began, and of which it shows too little to say what it was.
fn only_the_end(record: &Record) -> Option<(Side, Ended)> {
    let connection = &record.connection;
    let end = connection.ended?;
    let unknown = connection.opening == Opening::Midstream
        && record.exchanges.is_empty()
        && record.ordinary.is_empty();
    let silence_nanos = end.frame.at.nanos_since(connection.first.at);
    let ended = Ended {
        opened: connection.first,
        frame: end.frame,
        hard: end.how == EndingHow::Rst,
        silence_nanos,
        timer_nanos: silence_nanos,
        followed: false,
    };
    unknown.then_some((end.by, ended))
}

/// The tunnel, if the proxy ended it without a Close frame.
pub(super) fn tunnel(handshake: &Handshake) -> Option<Tunnel> {
    let session = handshake.session.as_ref()?;
    let ended = session.ended.or_else(|| session.endings.first().copied())?;
    let outer = handshake.first()?;
    // One hop alone shows the server's side: good enough when many agree.
    let by_proxy = session.ended_by == Some(Party::Proxy)
        || (session.ended_by.is_none() && ended.hop == 0 && ended.by == Side::Server);
    if handshake.closing().is_some() || !by_proxy {
        return None;
    }
    let program = Story::new(handshake)?.program_at(outer);
    Some(Tunnel {
        program,
        proxy: outer.record.connection.server.ip(),
        front: outer.record.connection.server,
        ended: ended.frame,
        how: if session
            .endings
            .iter()
            .any(|ending| ending.how == EndingHow::Rst)
        {
            EndingHow::Rst
        } else {
            EndingHow::Fin
        },
        connections: handshake
            .hops
            .iter()
            .map(|hop| hop.record.connection.id)
            .collect(),
        opened: outer.record.connection.first,
        cut: handshake
            .hops
            .iter()
            .filter_map(Hop::session)
            .any(|facts| facts.cut_mid_frame.is_some()),
    })
}

/// Whether the newest were ended first, as the kernel does for a process that ends, and whether that is clear: frames that
/// the capture lacks mix the order up. The group is in order of endings.
pub(super) fn newest_first<M: Member>(group: &[&M]) -> (bool, bool) {
    let (mut up, mut down) = (0_usize, 0_usize);
    for pair in group.windows(2) {
        if let [one, next] = pair {
            if next.opened() < one.opened() {
                down += 1;
            } else {
                up += 1;
            }
        }
    }
    (down > up, down.min(up) * 10 <= down + up)
}

/// What happened to the listener after the last of these tunnels: it accepted, it refused.
pub(super) fn after<M: Member>(group: &[&M], listener: Listener) -> (bool, bool) {
    let last = group.iter().map(|one| one.ended()).max();
    (listener.last_accepted > last, listener.last_refused > last)
}

/// Restart or crash.
pub(super) fn code_of<M: Member>(group: &[&M], listener: Listener) -> (Code, Confidence) {
    let (accepted, refused) = after(group, listener);
    // Two have no order to speak of.
    if group.len() <= 2 {
        return (Code::ProxyRestarted, Confidence::Guess);
    }
    let (newest_first, clear) = newest_first(group);
    let sure = if clear {
        Confidence::Likely
    } else {
        Confidence::Guess
    };
    if refused {
        (Code::ProxyRestarted, Confidence::Likely)
    } else if !newest_first {
        (Code::ProxyRestarted, sure)
    } else if accepted {
        (Code::ProxyCrashed, sure)
    } else if group.iter().any(|one| one.hard()) {
        (Code::ProxyCrashed, Confidence::Guess)
    } else {
        (Code::ProxyRestarted, Confidence::Guess)
    }
}

pub(super) fn why<M: Member>(group: &[&M], listener: Listener) -> &'static str {
    let (accepted, refused) = after(group, listener);
    let (newest_first, clear) = newest_first(group);
    if group.len() <= 2 && !refused {
        "They ended together after silences that have nothing in common, as at a reload, a stop or a crash; two may do so by chance."
    } else if refused {
        "Afterwards its port refuses connections: it was stopped."
    } else if !clear {
        "They ended in no clear order: a reload, a stop or a crash."
    } else if !newest_first {
        "It closed them in the order in which they were opened, and not after a silence that they have in common: a reload."
    } else if accepted {
        "The newest were closed first, as at the end of a process, and new connections were accepted afterwards."
    } else {
        "The newest were closed first, as at the end of a process: stopped, killed or crashed."
    }
}

/// Runs of items of which each is near the one before. The items are sorted by time.
pub(super) fn bursts<T>(items: &[T], at: impl Fn(&T) -> Timestamp) -> Vec<&[T]> {
    items
        .chunk_by(|a, b| at(b).nanos_since(at(a)) <= TOGETHER_NANOS)
        .collect()
}

pub(super) fn span<T>(items: &[T], at: impl Fn(&T) -> Timestamp) -> i64 {
    match (items.first(), items.last()) {
        (Some(first), Some(last)) => at(last).nanos_since(at(first)),
        _ => 0,
    }
}
