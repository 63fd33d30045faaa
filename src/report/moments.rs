//! The story of a session in a few moments: up, the last of what went each way, Close frames, the ends of its connections.
//!
//! ```text
//!   client ----- proxy ----- backend       one moment where every hop shows the same:  101 backend → client   c2, c1
//!          c1           c2                 one for each hop where they differ:         last data client → proxy   c1
//! ```
//!
//! Moments are in the order of time, clocks of the captures made comparable. Of a connection in front that nobody opened there
//! is no more than how it ended.

use serde::Serialize;

use super::build::role;
use super::view::{FrontView, SessionView, text};
use super::words::{self, Frames};
use crate::capture::{FrameRef, Timestamp};
use crate::hop::{Handshake, Hop};
use crate::tcp::{Connection, ConnectionId, Direction, StreamFacts};
use crate::websocket::SessionFacts;

/// A session whose 101 is not in the capture.
const ALREADY_UP: &str = "already-up";

/// Something that happened in a session.
#[derive(Debug, Clone, Serialize)]
pub struct MomentView {
    /// When it was seen first.
    #[serde(serialize_with = "text")]
    pub at: Timestamp,
    /// Since the handshake began, clocks of the captures made comparable.
    pub after_ms: f64,
    /// `established`, `already-up`, `last-data`, `last-ping`, `close`, `zero-window`, `last-retransmission`, `fin`, `rst`.
    pub event: &'static str,
    /// The same for readers, with the close code or how many pings there were.
    pub what: String,
    /// `client`, `proxy`, `backend`, `server`: who sent it.
    pub from: &'static str,
    /// Who got it.
    pub to: &'static str,
    /// Where, in the order of time: one frame for each hop that shows it.
    pub seen: Vec<SeenView>,
}

/// A frame that shows something, on its connection.
#[derive(Debug, Clone, Serialize)]
pub struct SeenView {
    /// The connection.
    #[serde(serialize_with = "text")]
    pub connection: ConnectionId,
    /// The capture.
    pub capture: u16,
    /// The frame.
    pub frame: u64,
    /// When.
    #[serde(serialize_with = "text")]
    pub at: Timestamp,
}

/// A connection on the way from client to backend.
#[derive(Clone, Copy)]
struct Leg {
    connection: ConnectionId,
    /// How far from the client.
    place: usize,
    /// What it connects.
    role: &'static str,
}

/// What a hop shows, before hops are compared.
struct Sight {
    event: &'static str,
    what: String,
    direction: Direction,
    frame: FrameRef,
    /// Hops that show the same have the same number here; `None`: it is the hop's own.
    same: Option<u64>,
}

/// The moments of a handshake's session.
pub(super) fn moments(handshake: &Handshake, start: FrameRef) -> Vec<MomentView> {
    let mut open: Vec<(Leg, Sight)> = Vec::new();
    let answered = handshake
        .tunnel()
        .any(|(_, hop)| hop.exchange().response.is_some());
    if let Some(front) = &handshake.front {
        // What it carries nobody opened; how it ended shows all the same.
        let connection = &front.record.connection;
        let leg = Leg {
            connection: connection.id,
            place: 0,
            role: FrontView::ROLE,
        };
        let ends = of_connection(connection, front.answer.or(front.request));
        open.extend(ends.into_iter().map(|sight| (leg, sight)));
    }
    for (place, hop) in handshake.tunnel().filter(|(_, hop)| !hop.retried) {
        let facts = hop.session();
        let followed = facts.map(|facts| of_session(hop, facts, answered));
        // A hop whose 101 was not captured was up no later than the others.
        let since = facts.filter(|_| hop.exchange().response.is_some());
        let since = since.map(|facts| facts.established).or_else(|| {
            let session = handshake.session.as_ref()?;
            Some(session.established)
                .filter(|up| up.capture() == hop.record.connection.last.capture())
        });
        let sights = followed
            .into_iter()
            .flatten()
            .chain(of_connection(&hop.record.connection, since));
        let leg = Leg {
            connection: hop.record.connection.id,
            place: place + 1,
            role: role(hop.role),
        };
        open.extend(sights.map(|sight| (leg, sight)));
    }
    open.sort_by_key(|(leg, sight)| {
        // At one instant it goes the way that its direction says.
        let order = match sight.direction {
            Direction::ToServer => leg.place,
            Direction::ToClient => usize::MAX - leg.place,
        };
        (handshake.time(sight.frame), order, sight.frame)
    });
    let mut moments: Vec<(MomentView, Option<u64>, Direction)> = Vec::new();
    for (leg, sight) in open {
        let (client, server) = words::ends(leg.role);
        let (from, to) = match sight.direction {
            Direction::ToServer => (client, server),
            Direction::ToClient => (server, client),
        };
        let seen = SeenView {
            connection: leg.connection,
            capture: sight.frame.capture().0,
            frame: sight.frame.number().0,
            at: sight.frame.at,
        };
        let passed_on = moments.iter_mut().find(|(moment, same, direction)| {
            sight.same.is_some()
                && *same == sight.same
                && moment.event == sight.event
                && *direction == sight.direction
                && moment.to == from
                && moment
                    .seen
                    .iter()
                    .all(|other| other.connection != seen.connection)
        });
        if let Some((moment, ..)) = passed_on {
            moment.to = to;
            moment.seen.push(seen);
            continue;
        }
        let moment = MomentView {
            at: sight.frame.at,
            after_ms: handshake.time(sight.frame).ms_since(handshake.time(start)),
            event: sight.event,
            what: sight.what,
            from,
            to,
            seen: vec![seen],
        };
        moments.push((moment, sight.same, sight.direction));
    }
    let mut moments: Vec<MomentView> = moments.into_iter().map(|(moment, ..)| moment).collect();
    // Reports of large captures keep hundreds of thousands.
    for moment in &mut moments {
        moment.seen.shrink_to_fit();
    }
    moments.shrink_to_fit();
    moments
}

/// A moment as the forms of the report print it.
pub(super) struct Line {
    /// `+2.00 s`: since the handshake began.
    pub(super) after: String,
    /// `2026-11-20 23:17:00.123`, in UTC.
    pub(super) at: String,
    /// `FIN proxy → client`.
    pub(super) what: String,
    /// `c2 #15, c1 #17 +0.10 ms`: each hop's frame, and how much later than the first.
    pub(super) seen: String,
}

/// The moments of a session in words.
pub(super) fn lines(session: &SessionView, frames: &Frames<'_>) -> Vec<Line> {
    let line = |moment: &MomentView| {
        let first = moment.seen.first();
        let nanos = |sight: &SeenView| frames.nanos(sight.at, sight.capture);
        let seen: Vec<String> = moment
            .seen
            .iter()
            .map(|sight| {
                let place = format!("{} #{}", sight.connection, sight.frame);
                let later = first.map_or(0, |first| nanos(sight).saturating_sub(nanos(first)));
                if later == 0 {
                    place
                } else {
                    format!("{place} +{}", words::duration(later))
                }
            })
            .collect();
        Line {
            after: first.map_or_else(String::new, |sight| {
                frames.relative(sight.at, sight.capture)
            }),
            at: words::time(moment.at).trim_end_matches(" UTC").to_owned(),
            what: if moment.event == ALREADY_UP {
                moment.what.clone()
            } else {
                format!("{} {} → {}", moment.what, moment.from, moment.to)
            },
            seen: seen.join(", "),
        }
    };
    session.timeline.iter().map(line).collect()
}

/// `answered`: the 101 was captured, on this hop or another one.
fn of_session(hop: &Hop, facts: &SessionFacts, answered: bool) -> Vec<Sight> {
    let exchange = hop.exchange();
    let asked = exchange.request.is_some() || exchange.partial_request.is_some();
    let up = if exchange.response.is_some() {
        Some(("established", "101", Direction::ToClient))
    } else if !asked {
        Some((ALREADY_UP, "up before the capture", Direction::ToServer))
    } else if answered {
        None
    } else {
        Some((ALREADY_UP, "up, 101 not captured", Direction::ToServer))
    };
    let mut sights: Vec<Sight> = up
        .map(|(event, what, direction)| Sight {
            event,
            what: what.to_owned(),
            direction,
            frame: facts.established,
            same: Some(0),
        })
        .into_iter()
        .collect();
    for direction in [Direction::ToServer, Direction::ToClient] {
        let carried = facts.carried(direction);
        let known = facts.lost_sync.is_none();
        let close = facts.close_by(direction.sender());
        let told = [close.map(|close| close.frame), carried.last_ping];
        let last = carried.last.filter(|&last| !told.contains(&Some(last)));
        if let Some(frame) = last.or(carried.last_message) {
            sights.push(Sight {
                event: "last-data",
                what: "last data".to_owned(),
                direction,
                frame,
                same: known.then_some(carried.payload_bytes),
            });
        }
        if let Some(frame) = carried.last_ping {
            let what = match carried.frames.ping {
                1 => "ping".to_owned(),
                pings => format!("last of {} pings", words::thousands(pings)),
            };
            sights.push(Sight {
                event: "last-ping",
                what,
                direction,
                frame,
                same: known.then_some(carried.frames.ping),
            });
        }
    }
    for close in &facts.closes {
        let what = close
            .code
            .map_or_else(|| "Close".to_owned(), |code| format!("Close {code}"));
        sights.push(Sight {
            event: "close",
            what,
            direction: close.by.sends(),
            frame: close.frame,
            same: Some(u64::from(close.code.unwrap_or_default())),
        });
    }
    sights
}

/// What TCP shows of a connection, from the time on when it was up.
fn of_connection(connection: &Connection, since: Option<FrameRef>) -> Vec<Sight> {
    let mut sights = Vec::new();
    for direction in [Direction::ToServer, Direction::ToClient] {
        let stream: &StreamFacts = connection.stream(direction);
        let lost = stream
            .last_retransmission
            .filter(|_| stream.unacknowledged > 0);
        for (event, what, frame) in [
            ("zero-window", "window closed", stream.zero_window_since),
            ("last-retransmission", "last retransmission", lost),
            ("fin", "FIN", stream.fin),
            ("rst", "RST", stream.rst),
        ] {
            let Some(frame) = frame.filter(|&frame| Some(frame) >= since) else {
                continue;
            };
            sights.push(Sight {
                event,
                what: what.to_owned(),
                direction,
                frame,
                same: None,
            });
        }
    }
    sights
}
