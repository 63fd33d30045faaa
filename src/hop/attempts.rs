//! Connections that a proxy tried to open for a request and that never carried one: refused, unanswered,
//! unreachable, closed, stuck in TLS.
//!
//! They have no bytes to pair by, but those that carried the request in FastCGI, uwsgi or SCGI, where its key tells. What
//! ties the others to a request is time (the SYN lies between the request and its answer), the proxy's address, and the
//! answer that such a failure causes (502, 504, and 503 of those that are not nginx).
//! A scan or somebody else's failing connection must not be taken for the proxy's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use foldhash::{HashMap, HashMapExt as _};

use super::clock::Offsets;
use super::context::Context;
use super::handshake::{Confidence, ConnectAttempt, Handshake};
use super::known::Known;
use super::link::RELAY_NANOS;
use super::node::Node;
use super::record::{Protocol, Record, SharedRecord};
use super::role::is_nginx_name;
use crate::capture::FrameRef;
use crate::tcp::{ConnectionId, Direction, Opening, Side};

/// A proxy that is refused hangs up on its client within this time.
const HANGS_UP_NANOS: i64 = 10_000_000;

/// Candidates by first frame.
pub(super) type Silent = BTreeMap<(FrameRef, ConnectionId), SharedRecord>;

/// Most connects of an unknown address that still look like one request's tries (one per server of an upstream).
const UNKNOWN_MAX: usize = 8;

/// Where a candidate stands among the others.
pub(super) fn place(record: &Record) -> (FrameRef, ConnectionId) {
    let connection = &record.connection;
    (connection.syn.unwrap_or(connection.first), connection.id)
}

/// Whether a connection may be a proxy's failed try at a backend.
pub(super) fn is_candidate(record: &Record) -> bool {
    let connection = &record.connection;
    if !record.exchanges.is_empty() || !record.ordinary.is_empty() {
        return false;
    }
    if connection.syn.is_none() && connection.syn_ack.is_none() {
        return false;
    }
    match record.protocol {
        // What the capture lacks may be the request.
        Protocol::None => !record.lacks(Direction::ToServer),
        Protocol::Http2 => true,
        Protocol::Tls => tls_failed(record),
        // uWSGI answers a WebSocket of its own with 101.
        Protocol::Cgi => record
            .cgi
            .as_ref()
            .is_some_and(|one| one.status() != Some(101)),
        Protocol::WebSocket | Protocol::Http | Protocol::Other => false,
    }
}

fn tls_failed(record: &Record) -> bool {
    record.tls.as_ref().is_none_or(|tls| {
        let fatal = tls.alerts.iter().any(|alert| alert.level == 2);
        let (to_server, to_client) = tls.application_data;
        fatal || tls.not_tls.is_some() || to_server.is_none() || to_client.is_none()
    })
}

/// A hop whose request may have caused connects.
struct Cause<'a> {
    /// Its place; none for the request of a handshake that is not at hand, which takes its share all the same.
    handshake: usize,
    hop: usize,
    node: &'a Node,
    /// The next hop was reached: the failures before it are first tries.
    next: Option<FrameRef>,
    /// When the proxy connected to it, if it did so for this request.
    next_dialled: Option<FrameRef>,
    /// No other connection of this handshake was seen.
    alone: bool,
    /// The addresses of the hops around it, where it is the innermost of several.
    chain: Option<Vec<IpAddr>>,
    /// The proxy asked for permission first, which takes its time.
    asked_first: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Address {
    /// Not known to be the proxy's.
    Unknown,
    /// The proxy's.
    Proxy,
}

impl Cause<'_> {
    /// Whether a connect of an address that is not known to be the proxy's, and that led to the outcome, may be its own.
    fn is_likely(&self, record: &Record) -> bool {
        if self.alone {
            return record.protocol != Protocol::Http2;
        }
        let from = record.connection.client.ip();
        match &self.chain {
            // A proxy may dial from another address than the one it listens on, but not from one of those in front of it.
            Some(others) => {
                self.hop > 0 && record.protocol != Protocol::Http2 && !others.contains(&from)
            }
            // Its client shares its address, and so may others: a first try is refused, and the next one follows.
            None => {
                self.hop == 0
                    && self.next_dialled.is_some()
                    && record.connection.opening == Opening::Refused
                    && is_local(self.node)
            }
        }
    }
}

struct Claim {
    cause: usize,
    address: Address,
    fits: bool,
}

/// HAProxy tries a server that refused it again after a second, or after `timeout connect` if that is less.
const AGAIN_NANOS: i64 = 1_200_000_000;

/// A proxy connects within this time, the search for a name's address included.
const DIALS_NANOS: i64 = 1_000_000_000;

/// A candidate in time, whose it may be, and whether the outcome is what it leads to.
type Found<'a> = ((FrameRef, ConnectionId), &'a Record, Address, bool);

/// Whether the answer says that a backend could not be reached.
pub(super) fn is_failed_connect(node: &Node) -> bool {
    matches!(node.status, Some(502 | 504)) || is_unavailable(node)
}

/// Whether the answer is the 503 with which HAProxy, Apache, Envoy and others say that no backend could be reached. nginx never
/// does: its 503 is a limit's.
fn is_unavailable(node: &Node) -> bool {
    if node.status != Some(503) {
        return false;
    }
    let answer = node.exchange().and_then(|one| one.response.as_ref());
    let server = answer.and_then(|answer| answer.fields.first("server"));
    server.is_none_or(|server| !is_nginx_name(&server))
}

/// Ties candidates to the requests that caused them.
///
/// `hops`: the nodes of each handshake's hops, their times corrected.
pub(super) fn assign(
    handshakes: &mut [Handshake],
    hops: &[Vec<&Node>],
    context: &Context<'_>,
    offsets: &Offsets,
) {
    if context.silent.is_empty() {
        return;
    }
    let mut causes = causes(handshakes, hops, offsets);
    causes.extend(context.rivals.iter().map(|node| Cause {
        handshake: usize::MAX,
        hop: 0,
        node,
        next: None,
        next_dialled: None,
        alone: true,
        chain: None,
        asked_first: false,
    }));
    let mut claims: BTreeMap<(FrameRef, ConnectionId), Vec<Claim>> = BTreeMap::new();
    for (index, cause) in causes.iter().enumerate() {
        for (key, claim) in claims_of(index, cause, context, offsets) {
            claims.entry(key).or_default().push(claim);
        }
    }
    let mut given: HashMap<usize, usize> = HashMap::new();
    for (key, claims) in &claims {
        let Some(record) = context.silent.get(key) else {
            continue;
        };
        let failed = offsets.correct(record.connection.last);
        let best = claims.iter().min_by_key(|claim| {
            let cause = causes.get(claim.cause);
            let node = cause.map(|cause| cause.node);
            // Those that failed come before those that were served in the end.
            let served = cause.is_some_and(|cause| cause.next.is_some());
            let given = given.get(&claim.cause).copied().unwrap_or(0);
            // The answer follows the failure at once.
            let lag = node
                .and_then(|node| node.answer)
                .map_or(i64::MAX, |answer| {
                    answer.at.nanos_since(failed.at).saturating_abs()
                });
            (
                std::cmp::Reverse((claim.address, claim.fits)),
                given + usize::from(served),
                lag,
                claim.cause,
            )
        });
        let Some(best) = best else { continue };
        *given.entry(best.cause).or_default() += 1;
        let confidence = match (best.address, best.fits, claims.len()) {
            (Address::Proxy, true, 1) => Confidence::Certain,
            (Address::Proxy, true, _) | (_, _, 1) => Confidence::Likely,
            _ => Confidence::Guess,
        };
        if let Some(cause) = causes.get(best.cause)
            && let Some(handshake) = handshakes.get_mut(cause.handshake)
        {
            handshake.attempts.push(ConnectAttempt {
                record: record.clone(),
                confidence,
                parent: cause.hop,
            });
        }
    }
    for handshake in handshakes {
        drop_copies(&mut handshake.attempts);
    }
}

fn causes<'a>(
    handshakes: &[Handshake],
    hops: &[Vec<&'a Node>],
    offsets: &Offsets,
) -> Vec<Cause<'a>> {
    let mut causes = Vec::new();
    for (handshake, (found, nodes)) in handshakes.iter().zip(hops).enumerate() {
        for (hop, &node) in nodes.iter().enumerate() {
            let children = found.hops.iter().zip(nodes);
            let children = children.filter(|(child, _)| child.parent == Some(hop));
            let next = children
                .clone()
                .filter(|(child, _)| !child.retried)
                .filter_map(|(_, child)| child.begin)
                .min();
            let dialled = |child: &Node| {
                let syn = child.record.connection.syn.map(|syn| offsets.correct(syn));
                syn.filter(|syn| Some(*syn) > node.begin).or(child.begin)
            };
            let innermost = children.clone().next().is_none() && nodes.len() > 1;
            let chain = innermost.then(|| {
                let views = nodes.iter().flat_map(|node| &node.views);
                let ends = views.flat_map(|view| [view.client.ip(), view.server.ip()]);
                ends.collect()
            });
            let next_dialled = children.filter_map(|(_, child)| dialled(child)).min();
            causes.push(Cause {
                handshake,
                hop,
                node,
                next,
                next_dialled,
                alone: found.hops.len() == 1,
                chain,
                asked_first: !found.subrequests.is_empty(),
            });
        }
    }
    causes
}

fn claims_of(
    index: usize,
    cause: &Cause<'_>,
    context: &Context<'_>,
    offsets: &Offsets,
) -> Vec<((FrameRef, ConnectionId), Claim)> {
    let (Some(begin), Some(from)) = (cause.node.begin, cause.node.dials_from()) else {
        return Vec::new();
    };
    // Its own times are corrected already, those of its connection are not.
    let begin = begin.min(offsets.correct(from));
    let until = cause.next.or(cause.node.over());
    let inside = |frame: FrameRef| frame > begin && until.is_none_or(|until| frame < until);
    let all: Box<dyn Iterator<Item = (&(FrameRef, ConnectionId), &SharedRecord)>> =
        if offsets.is_zero() {
            let from = (begin, ConnectionId(0));
            let near = context.silent.range(from..);
            Box::new(near.take_while(move |(key, _)| until.is_none_or(|until| key.0 < until)))
        } else {
            Box::new(context.silent.iter())
        };
    let mut found: Vec<Found<'_>> = all
        .filter(|(key, _)| inside(offsets.correct(key.0)))
        .filter_map(|(key, record)| {
            if let Some(request) = &record.cgi {
                let node = cause.node;
                let is_same = node.asked.key.is_some_and(|key| key.is(&request.key));
                // What led to a 101 was no failure, though its answer may be in a hole.
                let is_failed = is_same && node.status != Some(101);
                return is_failed.then_some((*key, record.as_ref(), Address::Proxy, true));
            }
            let address = address(cause.node, record, context.known)?;
            let fits = fits(cause, record, offsets);
            // What answered a proxy may be an application, which connects to servers of its own.
            let believed = address == Address::Proxy && (cause.hop == 0 || fits)
                || fits && cause.is_likely(record);
            believed.then_some((*key, record.as_ref(), address, fits))
        })
        .collect();
    drop_unfollowed(&mut found, cause, offsets);
    let mut claims = Vec::new();
    let mut unknown: Vec<((FrameRef, ConnectionId), IpAddr)> = Vec::new();
    for (key, record, address, fits) in found {
        match address {
            Address::Proxy => claims.push((
                key,
                Claim {
                    cause: index,
                    address,
                    fits,
                },
            )),
            Address::Unknown => unknown.push((key, record.connection.client.ip())),
        }
    }
    // Of addresses that nothing ties to the proxy, one alone is believed; several are somebody's scan.
    let addresses: BTreeSet<IpAddr> = unknown.iter().map(|(_, ip)| *ip).collect();
    if claims.is_empty() && addresses.len() == 1 && unknown.len() <= UNKNOWN_MAX {
        claims.extend(unknown.into_iter().map(|(key, _)| {
            let claim = Claim {
                cause: index,
                address: Address::Unknown,
                fits: true,
            };
            (key, claim)
        }));
    }
    claims
}

/// Drops refusals upon which nothing followed: a proxy that is refused tries the next server or answers at once, while other
/// programs on its host are refused at any time.
fn drop_unfollowed(found: &mut Vec<Found<'_>>, cause: &Cause<'_>, offsets: &Offsets) {
    let over = cause.next_dialled.or(cause.node.over());
    // nginx says 502 of a refusal: a 504 is of a server after it.
    let mut next = over.map(|over| (over, cause.next.is_none() && cause.node.status == Some(504)));
    let mut again = None;
    let mut kept = Vec::with_capacity(found.len());
    for one in found.drain(..).rev() {
        let (key, record, ..) = &one;
        let connection = &record.connection;
        let refused = connection.opening == Opening::Refused || connection.unreachable.is_some();
        let last = offsets.correct(connection.last).at;
        let followed = next.is_none_or(|(next, is_timeout)| {
            let is_again = again == Some(connection.server);
            let pause = if is_again { AGAIN_NANOS } else { RELAY_NANOS };
            !is_timeout && next.at.nanos_since(last) <= pause
        });
        if !refused || followed {
            again = is_unavailable(cause.node).then_some(connection.server);
            next = Some((offsets.correct(key.0), false));
            kept.push(one);
        }
    }
    kept.reverse();
    drop_late(&mut kept, cause, offsets);
    *found = kept;
}

/// Drops what hangs and was dialled long after the request: a proxy connects at once, or when another try has failed.
fn drop_late(found: &mut Vec<Found<'_>>, cause: &Cause<'_>, offsets: &Offsets) {
    let Some(begin) = cause
        .node
        .begin
        .filter(|_| cause.alone && !cause.asked_first)
    else {
        return;
    };
    let mut tried = false;
    found.retain(|(key, record, ..)| {
        let connection = &record.connection;
        let hangs = connection.opening == Opening::Unanswered && connection.unreachable.is_none();
        let late = offsets.correct(key.0).at.nanos_since(begin.at) > DIALS_NANOS;
        let kept = tried || !hangs || !late;
        tried |= kept;
        kept
    });
}

/// Whose connection it may be; `None` when it is not the proxy's.
fn address(node: &Node, record: &Record, known: &Known) -> Option<Address> {
    let (from, to) = (record.connection.client.ip(), record.connection.server);
    if node.views.iter().any(|view| view.server == to) {
        // Another client's connection to the proxy.
        return None;
    }
    let local = is_local(node);
    let learned = node
        .views
        .iter()
        .any(|view| known.is_back(view.server, from));
    let proxy = node.views.iter().any(|view| view.server.ip() == from);
    if local {
        return (learned || proxy).then_some(Address::Unknown);
    }
    if learned || proxy {
        return Some(Address::Proxy);
    }
    let client = node.views.iter().any(|view| view.client.ip() == from);
    (!client).then_some(Address::Unknown)
}

/// Whether the client is on the proxy's own host.
fn is_local(node: &Node) -> bool {
    node.views
        .iter()
        .all(|view| view.client.ip() == view.server.ip())
}

/// Whether the outcome of the request is what this failure leads to.
fn fits(cause: &Cause<'_>, record: &Record, offsets: &Offsets) -> bool {
    let connection = &record.connection;
    if let Some(next) = cause.next {
        return offsets.correct(connection.last) <= next;
    }
    // nginx logs an ICMP error as a refused connection as well; both end in 502 at once.
    match cause.node.status {
        Some(504) => connection.opening == Opening::Unanswered || record.protocol == Protocol::Tls,
        Some(502) => connection.opening != Opening::Unanswered || connection.unreachable.is_some(),
        Some(503) => is_unavailable(cause.node),
        Some(400..=499) => record.protocol == Protocol::Http2,
        None => hangs_up(cause.node, record, offsets),
        _ => false,
    }
}

/// Whether a proxy that relays bytes hung up on its client for want of a backend: at once when it was refused, later when
/// nobody answered what it had asked at once.
fn hangs_up(node: &Node, record: &Record, offsets: &Offsets) -> bool {
    let connection = &record.connection;
    let client = &node.record.connection;
    let Some(end) = client.ended.filter(|end| end.by == Side::Server) else {
        return false;
    };
    let after = |from: FrameRef, to: FrameRef| {
        let nanos = offsets.correct(to).at.nanos_since(offsets.correct(from).at);
        (nanos >= 0).then_some(nanos)
    };
    let Some(hung_up) = after(connection.last, end.frame) else {
        return false;
    };
    match connection.opening {
        _ if connection.unreachable.is_some() => hung_up <= HANGS_UP_NANOS,
        Opening::Refused => hung_up <= HANGS_UP_NANOS,
        Opening::Unanswered => {
            let dialled = client.syn.zip(connection.syn);
            dialled
                .and_then(|(client, syn)| after(client, syn))
                .is_some_and(|nanos| nanos <= RELAY_NANOS)
        }
        _ => false,
    }
}

/// One connection attempt seen at several vantage points counts once.
fn drop_copies(attempts: &mut Vec<ConnectAttempt>) {
    let mut seen = BTreeSet::new();
    attempts.retain(|attempt| {
        let isn = attempt.record.connection.to_server.isn;
        isn.is_none_or(|isn| seen.insert(isn.0))
    });
}
