//! How well two exchanges fit as a hop and the hop before it.

use std::cmp::Reverse;

use super::handshake::PairedBy;
use super::known::Known;
use super::node::{LinkKind, Named, Node, View, split_target};
use crate::capture::FrameRef;
use crate::tcp::{Opening, Side};

/// What speaks for a pair, the weightiest first; compared as a whole. Time decides only between equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Score {
    by: Reverse<PairedBy>,
    /// 3: the client side of the inner hop is the server side of the outer one; 2: known to be the same proxy;
    /// 1: nothing known; 0: unlikely.
    pub(super) host: u8,
    /// 2: a forwarding field names the outer hop's client with its port, 1: its address, 0: no such field.
    pub(super) named: u8,
    /// 2: the same path, 1: one is the other's suffix, 0: unrelated or unknown.
    pub(super) path: u8,
    /// How many of query, Origin, Cookie and User-Agent are there and equal.
    pub(super) same: u8,
    /// 2: answered alike, 1: not contradictory.
    answer: u8,
    /// The inner connection was opened for the outer request, and its answer passed on at once.
    pub(super) relayed: bool,
}

impl Score {
    /// The key that joins them.
    pub(super) const fn by(self) -> PairedBy {
        self.by.0
    }
}

/// Whether the inner exchange lies inside the outer one, as far as the capture can tell.
pub(super) fn nested(outer: &Node, inner: &Node) -> bool {
    may_nest(outer, inner) && (!is_open_which(outer, inner) || is_witnessed(outer, inner))
}

/// Whether of one of two exchanges only the request is known and of the other one only the answer, so that no times of one and the
/// same event tell which of them is the outer one.
fn is_open_which(a: &Node, b: &Node) -> bool {
    let asked = |node: &Node| node.begin.is_some() && node.answer.is_none();
    let answered = |node: &Node| node.begin.is_none() && node.answer.is_some();
    asked(a) && answered(b) || answered(a) && asked(b)
}

/// Whether anything else speaks for this order of two, or against the other one.
fn is_witnessed(outer: &Node, inner: &Node) -> bool {
    waited_on(inner, outer)
        || left_before(inner, outer)
        || inner.begin.is_none() && opened_after(inner, outer)
        || flows_inward(outer, inner)
}

/// Whether the inner exchange may lie inside the outer one in time.
pub(super) fn may_nest(outer: &Node, inner: &Node) -> bool {
    if outer.slot.connection == inner.slot.connection {
        return false;
    }
    if let (Some(outer_begin), Some(inner_begin)) = (outer.begin, inner.begin) {
        if outer_begin >= inner_begin {
            return false;
        }
    } else if let (Some(outer_answer), Some(inner_answer)) = (outer.answer, inner.answer) {
        if inner_answer >= outer_answer {
            return false;
        }
    } else if outer.begin.is_none() && outer.answer.is_none()
        || inner.begin.is_none() && inner.answer.is_none()
    {
        return flows_inward(outer, inner) && !are_siblings(outer, inner);
    } else if waited_on(outer, inner) {
        return false;
    }
    if outer.begin.is_none() && opened_after(outer, inner) {
        return false;
    }
    (!comes_late(outer, inner) || dialed_within(outer, inner)) && !are_siblings(outer, inner)
}

/// Whether an exchange begins when the outer one waits no more: its answer is not what the outer one got.
pub(super) fn comes_late(outer: &Node, inner: &Node) -> bool {
    let begun = inner.begin.or(inner.answer);
    begun
        .zip(outer.over())
        .is_some_and(|(begun, over)| begun >= over)
}

/// Whether a request with the same key was dialed for while the outer one waited, and sent when that had its answer from elsewhere:
/// who copies requests to a server far away (nginx `mirror`) does not wait for it.
fn dialed_within(outer: &Node, inner: &Node) -> bool {
    let span = outer.begin.zip(outer.over());
    let of_one = outer.asked.key.is_some()
        && outer.asked.key_number() == inner.asked.key_number()
        && !outer.asked.is_sample()
        && outer.capture() == inner.capture();
    of_one
        && span
            .zip(dialed(inner))
            .is_some_and(|((begin, over), dialed)| begin < dialed && dialed < over)
}

/// When the connection of a request was dialed, if that was for it: sent as soon as the connection was up, which takes long where
/// the way is, or where a SYN is lost. One that was dialed to be kept waits for its first request.
fn dialed(node: &Node) -> Option<FrameRef> {
    let connection = &node.record.connection;
    let up = connection.syn_ack.filter(|_| node.slot.exchange == 0)?;
    let waited = node.begin?.at.nanos_since(up.at);
    connection.syn.filter(|_| waited <= RELAY_NANOS)
}

/// Whether a hop got its 101 while the other one waited for an answer, and so not from there: no proxy makes one up.
fn waited_on(answered: &Node, other: &Node) -> bool {
    let over = other.over().filter(|_| other.answer.is_none());
    let shows_none = || {
        let exchange = other.exchange();
        exchange.is_some_and(|exchange| !exchange.may_hide_reply(&other.record))
    };
    answered.status == Some(101)
        && answered.capture() == other.capture()
        && (answered.answer.zip(over)).is_some_and(|(answer, over)| answer < over)
        && shows_none()
}

/// Whether a server left its client without an answer before the other hop was answered: a proxy waits for what it will answer.
fn left_before(left: &Node, answered: &Node) -> bool {
    let ended = left.record.connection.ended;
    ended.is_some_and(|ending| ending.by == Side::Server)
        && left.capture() == answered.capture()
        && (left.given_up.zip(answered.answer)).is_some_and(|(left, answer)| left < answer)
}

/// Whether a connection was opened after another one's request came, and so did not bring what that one passes on. Where only
/// what its server sent was captured, its SYN-ACK tells: it too comes before the first request.
fn opened_after(outer: &Node, inner: &Node) -> bool {
    let connection = &outer.record.connection;
    let opened = connection.syn.or(connection.syn_ack);
    outer.capture() == inner.capture()
        && (opened.zip(inner.begin)).is_some_and(|(opened, begin)| begin < opened)
}

/// Whether both are attempts at one listener, which are never nested; but a proxy may connect to itself.
pub(super) fn are_siblings(outer: &Node, inner: &Node) -> bool {
    views(outer, inner).any(|(outer, inner)| {
        let proxy = outer.server;
        proxy == inner.server && (!inner.client.is_at(proxy) || outer.client.is_at(proxy))
    })
}

/// Orders two hops by their ws frames: the client's bytes pass the outer hop first, the server's the inner one. Else by who opened
/// first, where the inner connection was opened for what it carries, or by the proxy's address.
fn flows_inward(outer: &Node, inner: &Node) -> bool {
    let earlier = |a: Option<_>, b: Option<_>| a.zip(b).map(|(a, b)| a < b);
    let inward = earlier(outer.first_data.0, inner.first_data.0);
    let outward = earlier(inner.first_data.1, outer.first_data.1);
    match (inward, outward) {
        (Some(inward), Some(outward)) if inward == outward => inward,
        (Some(either), None) | (None, Some(either)) => either,
        _ => match opened_first(outer, inner) {
            Some(first) => first,
            None => dials(outer, inner) && !dials(inner, outer),
        },
    }
}

/// Whether the inner connection was opened from the address that the outer one's server has.
fn dials(outer: &Node, inner: &Node) -> bool {
    views(outer, inner).any(|(outer, inner)| outer.server.is_at(inner.client))
}

/// Whether the outer connection was opened before the inner one; `None` where a connection may have waited for what it carries.
fn opened_first(outer: &Node, inner: &Node) -> Option<bool> {
    let opened = |node: &Node| {
        let connection = &node.record.connection;
        let opened = connection.syn.or(connection.syn_ack);
        opened.filter(|_| node.slot.exchange == 0)
    };
    let (outer_opened, inner_opened) = (opened(outer)?, opened(inner)?);
    (outer.capture() == inner.capture()).then_some(outer_opened < inner_opened)
}

fn views(outer: &Node, inner: &Node) -> impl Iterator<Item = (View, View)> {
    outer
        .views
        .iter()
        .flat_map(|&outer| inner.views.iter().map(move |&inner| (outer, inner)))
}

fn host(outer: &Node, inner: &Node, known: &Known) -> u8 {
    views(outer, inner)
        .map(|(outer, inner)| host_of(outer, inner, known))
        .max()
        .unwrap_or(1)
}

fn host_of(outer: View, inner: View, known: &Known) -> u8 {
    let (client, proxy, from) = (outer.client, outer.server, inner.client);
    if client.is_at(proxy) {
        // All on one address (loopback): addresses do not tell who is who.
        return u8::from(from.is_at(proxy) || known.is_back(outer.server, from.ip()));
    }
    if from.is_at(proxy) {
        3
    } else if known.is_back(outer.server, from.ip()) {
        2
    } else {
        // The client itself talks to both servers: two attempts, or a proxy that keeps the client's address.
        u8::from(!from.is_at(client))
    }
}

/// Whether the inner hop's client side is the proxy that the outer hop's server side is.
pub(super) fn has_proxy_address(outer: &Node, inner: &Node, known: &Known) -> bool {
    host(outer, inner, known) >= 2
}

/// Whether the inner path may be the outer one as a proxy passes it on, the query unchanged.
pub(super) fn relayed_path(outer: &Node, inner: &Node) -> bool {
    path(outer, inner) > 0 && outer.traits().query == inner.traits().query
}

/// The same of a target, before a node is made of its exchange.
pub(super) fn relayed_target(node: &Node, target: &str) -> bool {
    let (path, query) = split_target(target);
    alike(&node.traits().path, path) > 0 && *node.traits().query == *query
}

fn named(outer: &Node, inner: &Node) -> Option<u8> {
    let is_client = |named: &Named| {
        named.port.is_none() && outer.views.iter().any(|view| view.client.ip() == named.ip)
    };
    let exact = outer.views.iter().any(|view| {
        let port = Some(view.client.port());
        inner
            .traits()
            .named
            .iter()
            .any(|named| named.ip == view.client.ip() && named.port == port)
    });
    if exact {
        return Some(2);
    }
    if inner.traits().named.iter().any(is_client) {
        return Some(1);
    }
    inner.traits().named.is_empty().then_some(0)
}

fn path(outer: &Node, inner: &Node) -> u8 {
    alike(&outer.traits().path, &inner.traits().path)
}

fn alike(a: &str, b: &str) -> u8 {
    if a.is_empty() || b.is_empty() {
        return 0;
    }
    if a == b {
        return 2;
    }
    // A proxy_pass URI replaces a prefix of the path; what is left over must be more than the slash.
    let suffix = |long: &str, short: &str| {
        let short = short.trim_start_matches('/');
        !short.is_empty()
            && long
                .strip_suffix(short)
                .is_some_and(|head| head.ends_with('/'))
    };
    u8::from(suffix(a, b) || suffix(b, a))
}

/// Whether the paths have nothing in common.
pub(super) fn other_path(outer: &Node, inner: &Node) -> bool {
    let known = |node: &Node| !node.traits().path.is_empty();
    path(outer, inner) == 0 && known(outer) && known(inner)
}

fn same(outer: &Node, inner: &Node) -> u8 {
    let equal = |a: Option<u64>, b: Option<u64>| u8::from(a.is_some() && a == b);
    let (outer, inner) = (outer.traits(), inner.traits());
    u8::from(!outer.query.is_empty() && outer.query == inner.query)
        + equal(outer.origin, inner.origin)
        + equal(outer.cookie, inner.cookie)
        + equal(outer.agent, inner.agent)
}

fn answer(outer: &Node, inner: &Node) -> u8 {
    match (outer.answer, inner.answer) {
        (Some(out), Some(back)) if back >= out => 0,
        (Some(_), Some(_)) if outer.status == inner.status => 2,
        _ => 1,
    }
}

fn score(by: PairedBy, outer: &Node, inner: &Node, known: &Known) -> Score {
    Score {
        by: Reverse(by),
        host: host(outer, inner, known),
        named: named(outer, inner).unwrap_or(0),
        path: path(outer, inner),
        same: same(outer, inner),
        answer: answer(outer, inner),
        relayed: is_relayed(outer, inner),
    }
}

/// A proxy passes a request on, and an answer back, within this time: connecting to a backend included, unless that is far away.
pub(super) const RELAY_NANOS: i64 = 50_000_000;

/// Whether the inner connection was dialed when the outer request came, carried this one as soon as it was up, and its answer
/// was the outer one's a moment later: a witness where no address and no key tells.
pub(super) fn is_relayed(outer: &Node, inner: &Node) -> bool {
    let asked = |node: &Node| {
        let whole = node.exchange()?.request.as_ref();
        whole.map(|head| head.span.last).or(node.begin)
    };
    let soon = |from: Option<FrameRef>, to: Option<FrameRef>| {
        from.zip(to)
            .is_some_and(|(from, to)| from < to && to.at.nanos_since(from.at) <= RELAY_NANOS)
    };
    let connection = &inner.record.connection;
    // Of an opening without its SYN, what is left of it is but a round trip later.
    let partial = connection.opening == Opening::Partial;
    let syn = connection.syn.or(partial.then_some(connection.first));
    outer.capture() == inner.capture()
        && outer.status.is_some()
        && outer.status == inner.status
        && soon(asked(outer), syn)
        && (soon(syn, inner.begin) || dialed(inner).is_some())
        && soon(inner.answer, outer.answer)
}

/// The score of a pair that shares a key of identity; `None` when it cannot be. `repeated`: several attempts at one
/// listener share it.
pub(super) fn strong(outer: &Node, inner: &Node, repeated: bool, known: &Known) -> Option<Score> {
    if !nested(outer, inner) {
        return None;
    }
    let score = score(strong_key(outer, inner)?, outer, inner, known);
    // One client at two servers with the same key: with keys used over and over, rather its own two attempts than a
    // proxy that keeps the client's address.
    let own = score.host == 0;
    // Nor is it forwarded what was answered later than what it would be forwarded for.
    let late = score.answer == 0;
    let chance = repeated && score.by() != PairedBy::Bytes;
    (!(chance && (own || late))).then_some(score)
}

/// The strongest identity that two exchanges share.
pub(super) fn strong_key(outer: &Node, inner: &Node) -> Option<PairedBy> {
    if outer.shares(inner, LinkKind::Bytes) {
        return Some(PairedBy::Bytes);
    }
    let (ours, theirs) = (outer.asked.key_number(), inner.asked.key_number());
    if ours.is_some() && ours == theirs {
        return Some(PairedBy::Key);
    }
    if outer.shares(inner, LinkKind::Accept) {
        return Some(PairedBy::Accept);
    }
    if outer.shares(inner, LinkKind::RequestId) {
        return Some(PairedBy::RequestId);
    }
    // One trace may hold many requests: their paths must fit as well.
    (outer.shares(inner, LinkKind::Trace) && path(outer, inner) > 0)
        .then_some(PairedBy::Traceparent)
}

/// The score of a pair without a shared identity, which takes nesting in time and more; `None` without enough.
pub(super) fn weak(outer: &Node, inner: &Node, known: &Known) -> Option<Score> {
    // Without both requests there is nothing to compare.
    outer.begin?;
    inner.begin?;
    if !nested(outer, inner) || answer(outer, inner) == 0 {
        return None;
    }
    // Another client is named: not this one's request.
    let named = named(outer, inner)?;
    let host = host(outer, inner, known);
    let related = path(outer, inner);
    let same = same(outer, inner);
    if host == 0 {
        return None;
    }
    // Two keys that differ: some proxy made the handshake anew, which takes the proxy's address as a witness, or that
    // nearly all the rest is alike: path, two of query, Origin, Cookie and User-Agent, and the answer passed on at once.
    let keys = outer.asked.key_number().zip(inner.asked.key_number());
    let rekeyed = keys.is_some_and(|(ours, theirs)| ours != theirs);
    let alike = related > 0 && same >= 2 && is_relayed(outer, inner);
    if rekeyed && host < 2 && named < 2 && !alike {
        return None;
    }
    let by = if named == 2 || named == 1 && (related > 0 || host >= 2) && !is_local(outer) {
        PairedBy::ForwardedFor
    } else if related > 0 && (host >= 2 || same >= 2)
        || host >= 2 && same >= 2
        || !rekeyed && relayed_path(outer, inner) && is_relayed(outer, inner)
    {
        PairedBy::PathAndTime
    } else {
        return None;
    };
    Some(score(by, outer, inner, known))
}

/// Whether client and server share one address (loopback), so that addresses do not tell anything.
fn is_local(node: &Node) -> bool {
    node.views
        .iter()
        .all(|view| view.client.ip() == view.server.ip())
}

/// Nanoseconds from the inner answer to the outer one: what is relayed, is relayed at once.
pub(super) fn answer_lag(outer: &Node, inner: &Node) -> i64 {
    outer
        .answer
        .zip(inner.answer)
        .map_or(i64::MAX, |(out, back)| {
            out.at.nanos_since(back.at).saturating_abs()
        })
}
