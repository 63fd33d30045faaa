//! What followed a 101, joined over all hops: who ended it, and how long it had been silent.

use super::clock::Offsets;
use super::handshake::{Handshake, HopEnding, Party, Role, Session};
use crate::capture::FrameRef;
use crate::tcp::{Direction, Side};
use crate::websocket::SessionFacts;

/// A retransmission this short before the end means that the end came while data was on its way: RFC 6298 2
/// starts at one second and doubles, so a sender that still tries does so at least every few seconds.
const RETRYING_NANOS: i64 = 5_000_000_000;

const DIRECTIONS: [Direction; 2] = [Direction::ToServer, Direction::ToClient];

/// How much of a session a hop saw.
fn seen(session: &SessionFacts) -> (bool, u64, u64) {
    let sum = |of: fn(&crate::websocket::Carried) -> u64| {
        DIRECTIONS
            .iter()
            .map(|&direction| of(session.carried(direction)))
            .fold(0_u64, u64::saturating_add)
    };
    let frames = sum(|carried| {
        let counts = &carried.frames;
        [
            counts.text,
            counts.binary,
            counts.continuation,
            counts.ping,
            counts.pong,
            counts.close,
        ]
        .iter()
        .fold(0, |sum, &count| sum.saturating_add(count))
    });
    (
        session.lost_sync.is_none(),
        frames,
        sum(|carried| carried.payload_bytes),
    )
}

/// Joins the sessions of all hops.
pub(super) fn join(handshake: &mut Handshake, offsets: &Offsets) {
    let sessions: Vec<(usize, &SessionFacts)> = handshake
        .hops
        .iter()
        .enumerate()
        .filter_map(|(place, hop)| Some((place, hop.session()?)))
        .collect();
    let Some(&(first, facts)) = sessions.first() else {
        return;
    };
    let established = facts.established;
    // The first of equals: hops come outermost first.
    let most = sessions
        .iter()
        .rev()
        .max_by_key(|(_, session)| seen(session))
        .map_or(first, |(place, _)| *place);
    let mut endings: Vec<HopEnding> = sessions
        .iter()
        .filter_map(|&(place, _)| {
            let ending = handshake.hops.get(place)?.record.connection.ended?;
            Some(HopEnding {
                hop: place,
                how: ending.how,
                by: ending.by,
                frame: ending.frame,
            })
        })
        .collect();
    endings.sort_by_key(|ending| (offsets.correct(ending.frame), ending.hop));
    let ended = endings.first().copied();
    let end = ended.map(|ending| offsets.correct(ending.frame));
    let last_data = sessions
        .iter()
        .flat_map(|&(place, session)| data_of(handshake, place, session))
        .max_by_key(|frame| offsets.correct(*frame));
    let begun = offsets.correct(established);
    let last_active = last_data.map_or(begun, |frame| offsets.correct(frame).max(begun));
    let last_frame = sessions
        .iter()
        .filter_map(|&(place, _)| handshake.hops.get(place))
        .map(|hop| offsets.correct(hop.record.connection.last))
        .max();
    handshake.session = Some(Session {
        hop: most,
        established,
        ended_by: ended.and_then(|ending| ended_by(handshake, &sessions, ending, offsets)),
        ended,
        last_data,
        idle_before_end_nanos: end.map(|end| end.at.nanos_since(last_active.at).max(0)),
        outstanding: end.is_some_and(|end| {
            sessions
                .iter()
                .any(|&(place, _)| is_outstanding(handshake, place, end, offsets))
        }),
        lasted_nanos: end
            .or(last_frame)
            .map(|end| end.at.nanos_since(begun.at).max(0)),
        endings,
    });
}

/// The last data frames of a hop. Where ws frames could not be followed, any bytes behind the 101 count.
fn data_of<'a>(
    handshake: &'a Handshake,
    place: usize,
    session: &'a SessionFacts,
) -> impl Iterator<Item = FrameRef> + 'a {
    let connection = handshake.hops.get(place).map(|hop| &hop.record.connection);
    DIRECTIONS.into_iter().filter_map(move |direction| {
        let bytes = connection
            .filter(|_| session.lost_sync.is_some())
            .and_then(|connection| connection.stream(direction).last_data)
            .filter(|frame| *frame > session.established);
        session.carried(direction).last.max(bytes)
    })
}

fn is_outstanding(handshake: &Handshake, place: usize, end: FrameRef, offsets: &Offsets) -> bool {
    let Some(hop) = handshake.hops.get(place) else {
        return false;
    };
    DIRECTIONS.iter().any(|&direction| {
        let stream = hop.record.connection.stream(direction);
        let retrying = stream.last_retransmission.is_some_and(|frame| {
            let before = end.at.nanos_since(offsets.correct(frame).at);
            (0..=RETRYING_NANOS).contains(&before)
        });
        retrying || stream.unacknowledged > 0
    })
}

/// Who is on a side of a hop; `None` where the capture does not show what is behind it.
fn party(handshake: &Handshake, place: usize, side: Side) -> Option<Party> {
    let hop = handshake.hops.get(place)?;
    let forwards = handshake
        .hops
        .iter()
        .any(|other| other.parent == Some(place));
    match (hop.role, side) {
        (Role::Direct, Side::Client) | (Role::ClientProxy, Side::Client) => Some(Party::Client),
        (Role::Direct | Role::ProxyBackend, Side::Server) => Some(Party::Backend),
        (Role::ClientProxy | Role::ProxyProxy, Side::Server) if forwards => Some(Party::Proxy),
        (Role::ProxyBackend | Role::ProxyProxy, Side::Client) if hop.parent.is_some() => {
            Some(Party::Proxy)
        }
        _ => None,
    }
}

/// Who ended it: whoever sent the first FIN or RST, unless that is a proxy, and an end had said Close before: then
/// the proxy only cleared away, and who said Close first ended it.
fn ended_by(
    handshake: &Handshake,
    sessions: &[(usize, &SessionFacts)],
    ending: HopEnding,
    offsets: &Offsets,
) -> Option<Party> {
    let by = party(handshake, ending.hop, ending.by)?;
    if by != Party::Proxy {
        return Some(by);
    }
    let end = offsets.correct(ending.frame);
    let close = sessions
        .iter()
        .flat_map(|(place, session)| session.closes.iter().map(move |close| (*place, close)))
        .map(|(place, close)| (offsets.correct(close.frame), place, close.by))
        .filter(|(at, _, _)| *at <= end)
        .min();
    Some(close.map_or(by, |(_, _, side)| match side {
        Side::Client => Party::Client,
        Side::Server => Party::Backend,
    }))
}
