//! What followed a 101, joined over all hops: who ended it, and how long it had been silent.

use smallvec::SmallVec;

use super::clock::Offsets;
use super::handshake::{Handshake, Hop, HopEnding, Party, Role, Session};
use super::record::PartialHead;
use crate::capture::FrameRef;
use crate::tcp::{Direction, EndingHow, Side};
use crate::websocket::{SessionFacts, Silence};

/// Hops of a usual tunnel, with room for one proxy more.
const HOPS: usize = 3;

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

/// Joins them once more, now that it is known what is in front of the first one. Times of one hop need no correction; of
/// several, what is known of them stays.
pub(super) fn rejoin(handshake: &mut Handshake) {
    if handshake.hops.len() == 1 {
        join(handshake, &Offsets::default());
    }
}

/// Joins the sessions of all hops.
pub(super) fn join(handshake: &mut Handshake, offsets: &Offsets) {
    handshake.session = joined(handshake, offsets);
}

fn joined(handshake: &Handshake, offsets: &Offsets) -> Option<Session> {
    let tunnel: SmallVec<[(usize, &Hop); HOPS]> = handshake.tunnel().collect();
    let sessions: SmallVec<[(usize, &SessionFacts); HOPS]> = tunnel
        .iter()
        .filter_map(|(place, hop)| Some((*place, hop.session()?)))
        .collect();
    let &(first, facts) = sessions.first()?;
    // Of a hop whose answer was not captured it is only known when its session was noticed.
    let answered = |place: usize| {
        let hop = handshake.hops.get(place);
        hop.is_some_and(|hop| hop.exchange().response.is_some())
    };
    let established = sessions
        .iter()
        .find(|(place, _)| answered(*place))
        .map_or(facts.established, |(_, facts)| facts.established);
    // The first of equals: hops come outermost first.
    let most = sessions
        .iter()
        .rev()
        .max_by_key(|(_, session)| seen(session))
        .map_or(first, |(place, _)| *place);
    let mut endings: Vec<HopEnding> = tunnel
        .iter()
        .filter_map(|&(place, hop)| {
            let ending = hop.record.ending()?;
            Some(HopEnding {
                hop: place,
                how: ending.how,
                by: ending.by,
                frame: ending.frame,
            })
        })
        .collect();
    endings.sort_by_key(|ending| (offsets.correct(ending.frame), ending.hop));
    let (ended, ended_by) = decide(handshake, &sessions, &endings, offsets);
    let ended_by = ended_by.filter(|by| !handshake.may_hide_earlier_end(*by));
    let end = ended.map(|ending| offsets.correct(ending.frame));
    let last_data = tunnel
        .iter()
        .filter_map(|&(_, hop)| last_before(hop, end, offsets))
        .max_by_key(|frame| offsets.correct(*frame));
    let begun = offsets.correct(established);
    let last_active = last_data.map_or(begun, |frame| offsets.correct(frame).max(begun));
    let last_frame = tunnel
        .iter()
        .map(|(_, hop)| offsets.correct(hop.record.connection.last))
        .max();
    Some(Session {
        hop: most,
        established,
        ended_by,
        ended,
        last_data,
        idle_before_end_nanos: end.map(|end| end.at.nanos_since(last_active.at).max(0)),
        survived: survived(handshake, &sessions, end, offsets),
        outstanding: end.is_some_and(|end| handshake.may_be_sending(begun, end, offsets)),
        lasted_nanos: end
            .or(last_frame)
            .filter(|_| sessions.iter().any(|(place, _)| answered(*place)))
            .map(|end| end.at.nanos_since(begun.at).max(0)),
        endings,
    })
}

/// The last data of a hop. What comes after a silence in which the session ended was sent by somebody who did not know
/// of the end yet, and does not make the silence any shorter.
fn last_before(hop: &Hop, end: Option<FrameRef>, offsets: &Offsets) -> Option<FrameRef> {
    let Some(session) = hop.session() else {
        return last_behind_heads(hop)
            .filter(|frame| end.is_none_or(|end| offsets.correct(*frame) <= end))
            .max_by_key(|frame| offsets.correct(*frame));
    };
    if let Some(end) = end
        && let Some(silence) = session.latest_silence
        && offsets.correct(silence.from) <= end
        && end <= offsets.correct(silence.until)
    {
        return Some(silence.from).filter(|&from| from != session.established);
    }
    data_of(hop, session).max_by_key(|frame| offsets.correct(*frame))
}

/// The last bytes each way of a hop whose answer could not be read, and so nothing behind it: those in later frames than
/// the heads.
fn last_behind_heads(hop: &Hop) -> impl Iterator<Item = FrameRef> + '_ {
    let exchange = hop.exchange();
    let whole = exchange.request.as_ref().map(|head| head.span.last);
    let partial = |head: &Option<Box<PartialHead>>| head.as_ref().map(|head| head.last);
    let request = whole.max(partial(&exchange.partial_request));
    let answer = partial(&exchange.partial_response).max(request);
    let said = |direction| hop.record.last_said(direction);
    [
        said(Direction::ToServer).filter(|_| request.is_some()),
        said(Direction::ToClient).filter(|_| answer.is_some()),
    ]
    .into_iter()
    .zip([request, answer])
    .filter_map(|(data, head)| data.filter(|_| data > head))
}

/// The longest silence that all hops lived through, seen on those of which the capture has everything: the shortest of
/// theirs, since a hop may have been captured late.
fn survived(
    handshake: &Handshake,
    sessions: &[(usize, &SessionFacts)],
    end: Option<FrameRef>,
    offsets: &Offsets,
) -> Option<Silence> {
    let mut shortest: Option<Silence> = None;
    for &(place, session) in sessions {
        let record = &handshake.hops.get(place)?.record;
        if !record.is_whole() {
            continue;
        }
        let silence = session.longest_silence?;
        if end.is_some_and(|end| offsets.correct(silence.until) > end) {
            return None;
        }
        if shortest.is_none_or(|shortest| silence.nanos() < shortest.nanos()) {
            shortest = Some(silence);
        }
    }
    shortest
}

/// The last data frames of a hop. Where ws frames could not be followed, any bytes behind the 101 count.
fn data_of<'a>(hop: &'a Hop, session: &'a SessionFacts) -> impl Iterator<Item = FrameRef> + 'a {
    DIRECTIONS.into_iter().filter_map(move |direction| {
        let bytes = session
            .lost_sync
            .and_then(|_| hop.record.last_said(direction))
            .filter(|frame| *frame > session.established);
        session.carried(direction).last.max(bytes)
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
        (Role::Direct | Role::ClientProxy, Side::Client) => Some(Party::Client),
        (Role::Direct | Role::ProxyBackend, Side::Server) => Some(Party::Backend),
        (Role::ClientProxy | Role::ProxyProxy, Side::Server) if forwards => Some(Party::Proxy),
        (Role::ProxyBackend | Role::ProxyProxy, Side::Client)
            if hop.parent.is_some() || handshake.front.is_some() =>
        {
            Some(Party::Proxy)
        }
        _ => None,
    }
}

/// Which ending decided it, and who ended the session: who sent the first Close frame, if there was one by then (who closes
/// TCP first after it says nothing, RFC 6455 7.1.1), else who sent that ending.
fn decide(
    handshake: &Handshake,
    sessions: &[(usize, &SessionFacts)],
    endings: &[HopEnding],
    offsets: &Offsets,
) -> (Option<HopEnding>, Option<Party>) {
    let Some(&first) = endings.first() else {
        return (None, None);
    };
    let (ended, by) = first_to_end(handshake, first, endings, offsets);
    let end = offsets.correct(ended.frame);
    let closes = || {
        sessions
            .iter()
            .flat_map(|(place, session)| session.closes.iter().map(|close| (*place, close)))
    };
    let first = closes()
        .map(|(place, close)| (offsets.correct(close.frame), close.by, place))
        .filter(|(at, ..)| *at <= end)
        .min();
    let Some((_, side, place)) = first else {
        let known = |by: &Party| !handshake.may_hide_other_close(*by);
        return (Some(ended), by.filter(known));
    };
    // Proxies make no Close frames, they pass them on.
    let (by, other) = match side {
        Side::Client => (Party::Client, Side::Server),
        Side::Server => (Party::Backend, Side::Client),
    };
    let known = handshake.hears(other) || closes().any(|(_, close)| close.by == other);
    let hop = handshake.hops.get(place);
    let known = known && !hop.is_some_and(|hop| hop.may_answer_hidden_end(side));
    (Some(ended), known.then_some(by))
}

/// The first FIN or RST, unless that is a proxy's that may just pass on an end: that of an outer party that was earlier
/// than its frame tells (the FIN itself was not captured) or that the clocks cannot tell from being earlier. A proxy that
/// ends a session by itself is the first to end every hop.
fn first_to_end(
    handshake: &Handshake,
    first: HopEnding,
    endings: &[HopEnding],
    offsets: &Offsets,
) -> (HopEnding, Option<Party>) {
    let by = party(handshake, first.hop, first.by);
    if by != Some(Party::Proxy) {
        return (first, by);
    }
    let end = offsets.correct(first.frame);
    if let Some(front) = &handshake.front {
        let hop = handshake.hops.get(first.hop);
        let session = hop.and_then(Hop::session);
        let relayed = session.and_then(|session| session.to_server.last);
        if front.left(relayed, first.frame).is_some() {
            return (at_its_word(first), Some(Party::Client));
        }
        if front.may_hide_departure() {
            return (first, None);
        }
    }
    if let Some(by) = notified(handshake, first, offsets) {
        return (at_its_word(first), Some(by));
    }
    let earlier = endings.iter().find(|ending| {
        let later = offsets.correct(ending.frame).at.nanos_since(end.at);
        let slack = offsets.slack(ending.frame.capture(), first.frame.capture());
        let by = party(handshake, ending.hop, ending.by);
        let unseen = handshake
            .hops
            .get(ending.hop)
            .is_some_and(|hop| hop.record.connection.ended_unseen());
        (unseen || later < slack) && matches!(by, Some(Party::Client | Party::Backend))
    });
    earlier.map_or((first, by), |&earlier| {
        (earlier, party(handshake, earlier.hop, earlier.by))
    })
}

/// A proxy's ending that does what somebody else asked for by saying that no more will come: how the proxy goes about it,
/// which may be a reset for what it has not passed on, is not how the session ended.
fn at_its_word(first: HopEnding) -> HopEnding {
    HopEnding {
        how: EndingHow::Fin,
        ..first
    }
}

/// Which outer party said in TLS that it will send no more, before the proxy ended anything: its FIN comes after those of
/// the proxy, if it waits for the answer (RFC 8446 6.1).
fn notified(handshake: &Handshake, first: HopEnding, offsets: &Offsets) -> Option<Party> {
    let end = offsets.correct(first.frame);
    let mut ends = handshake
        .tunnel()
        .flat_map(|(place, hop)| [Side::Client, Side::Server].map(|side| (place, hop, side)));
    ends.find_map(|(place, hop, side)| {
        let said = hop.record.notified(side)?;
        let later = offsets.correct(said).at.nanos_since(end.at);
        let slack = offsets.slack(said.capture(), first.frame.capture());
        party(handshake, place, side)
            .filter(|by| matches!(by, Party::Client | Party::Backend))
            .filter(|_| later <= slack)
    })
}
