//! Clocks of several captures: the offset between two of them, from what can only happen in one order.
//!
//! ```text
//!  capture 0:  parent request -------------------------------- parent answer
//!  capture 1:                    child request -- child answer
//! ```
//!
//! A proxy forwards a request after it came and an answer after it came. So the child's exchange lies inside the
//! parent's, and the offset `d` to add to the child's times lies in [parent request - child request,
//! parent answer - child answer]. All pairs together narrow it. Zero is believed while it is possible.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::{HashMap, HashMapExt as _};

use super::node::{LinkKind, Node};
use crate::capture::{CaptureId, FrameRef};
use crate::tcp::{Direction, Side};

/// Most pairs of hops looked at per pair of captures: a few narrow the offset as well as all of them do.
const PAIRS_MAX: usize = 1000;

/// How far an offset can be off, nanoseconds, where nothing bounds it: hosts with a working clock differ by less.
const SLACK_MAX: i64 = 1_000_000_000;

/// How many nanoseconds to add to the times of each capture, and how far that may be off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Offsets(BTreeMap<CaptureId, (i64, i64)>);

impl Offsets {
    /// Nanoseconds to add to the times of a capture to compare them with the reference's.
    pub(super) fn of(&self, capture: CaptureId) -> i64 {
        self.0.get(&capture).map_or(0, |(offset, _)| *offset)
    }

    /// By how many nanoseconds corrected times of two captures may be out of order: 0 within one.
    pub(super) fn slack(&self, a: CaptureId, b: CaptureId) -> i64 {
        if a == b {
            return 0;
        }
        let slack = |capture| self.0.get(&capture).map_or(0, |(_, slack)| *slack);
        slack(a).saturating_add(slack(b))
    }

    /// A frame with its time shifted.
    pub(super) fn correct(&self, frame: FrameRef) -> FrameRef {
        frame.with_time(frame.at.shifted(self.of(frame.capture())))
    }

    /// Whether all clocks agree.
    pub(super) fn is_zero(&self) -> bool {
        self.0.values().all(|(offset, _)| *offset == 0)
    }
}

/// What an offset may be: nanoseconds from, to.
#[derive(Debug, Clone, Copy)]
struct Range {
    from: i64,
    to: i64,
}

impl Range {
    const ANY: Self = Self {
        from: i64::MIN,
        to: i64::MAX,
    };

    /// The common part; when there is none (clocks drift, or a pair was no pair), what was known before.
    fn narrowed(self, by: Self) -> Self {
        let both = Self {
            from: self.from.max(by.from),
            to: self.to.min(by.to),
        };
        if both.from <= both.to { both } else { self }
    }

    /// The same, seen from the other capture.
    fn reversed(self) -> Self {
        let negative = |nanos: i64| match nanos {
            i64::MIN => i64::MAX,
            i64::MAX => i64::MIN,
            nanos => -nanos,
        };
        Self {
            from: negative(self.to),
            to: negative(self.from),
        }
    }

    fn best(self) -> i64 {
        if self.from <= 0 && 0 <= self.to {
            return 0;
        }
        match (self.from == i64::MIN, self.to == i64::MAX) {
            (true, _) => self.to,
            (_, true) => self.from,
            _ => self.from.midpoint(self.to),
        }
    }
}

impl Range {
    fn slack(self) -> i64 {
        let best = self.best();
        let below = best.saturating_sub(self.from);
        below.max(self.to.saturating_sub(best)).min(SLACK_MAX)
    }
}

/// When it was answered or, if it never was or too late, when nobody waited for an answer any more.
fn over(node: &Node) -> Option<FrameRef> {
    let shows_all = || {
        let unread = node.exchange().is_some_and(|exchange| {
            exchange.partial_response.is_some() || exchange.session.is_some()
        });
        let heard = node.record.connection.to_client.frames > 0;
        heard && !unread && !node.record.lacks(Direction::ToClient)
    };
    left(node)
        .or(node.answer)
        .or_else(|| node.given_up.filter(|_| shows_all()))
}

/// When its client left, if that was before the answer, which it then met with a reset: of one that only has nothing more to say
/// the answer is still wanted.
fn left(node: &Node) -> Option<FrameRef> {
    let connection = &node.record.connection;
    let ending = connection
        .ended
        .filter(|ending| ending.by == Side::Client)?;
    let reset = connection.to_server.rst.is_some();
    (reset && node.answer.is_some_and(|answer| ending.frame < answer)).then_some(ending.frame)
}

/// How long the exchange took, which no clock offset changes.
fn took(node: &Node) -> Option<i64> {
    Some(over(node)?.at.nanos_since(node.begin?.at))
}

/// Which of two hops seen by different clocks is the outer one.
fn outer_first<'a>(a: &'a Node, b: &'a Node) -> Option<(&'a Node, &'a Node)> {
    let proxied = |outer: &Node, inner: &Node| {
        outer.views.iter().any(|outer| {
            let proxy = outer.server.ip();
            outer.client.ip() != proxy && inner.views.iter().any(|inner| inner.client.ip() == proxy)
        })
    };
    match (proxied(a, b), proxied(b, a)) {
        (true, false) => return Some((a, b)),
        (false, true) => return Some((b, a)),
        _ => {}
    }
    if a.is_whole() && b.is_whole() && a.asked.upgrade != b.asked.upgrade {
        return Some(if a.asked.upgrade { (a, b) } else { (b, a) });
    }
    let proxy_wrote = |node: &Node| node.traits().written_by.is_some();
    if proxy_wrote(a) != proxy_wrote(b) {
        return Some(if proxy_wrote(b) { (a, b) } else { (b, a) });
    }
    // A proxy answers for a backend that does not. Of two without an answer, who gave up last is no witness.
    if a.answer.is_none() && b.answer.is_none() {
        return None;
    }
    let (long, short) = (took(a)?, took(b)?);
    match long.cmp(&short) {
        std::cmp::Ordering::Greater => Some((a, b)),
        std::cmp::Ordering::Less => Some((b, a)),
        std::cmp::Ordering::Equal => None,
    }
}

/// The offset to add to the inner hop's times.
fn nesting(outer: &Node, inner: &Node) -> Range {
    let lag = |outer: Option<FrameRef>, inner: Option<FrameRef>| {
        outer.zip(inner).map(|(o, i)| o.at.nanos_since(i.at))
    };
    // Requests and the client's ws frames go inward, answers and the server's ws frames outward.
    let inward = [
        lag(outer.begin, inner.begin),
        lag(outer.first_data.0, inner.first_data.0),
    ];
    let outward = [
        // One that got no answer was given up before the proxy answered for it.
        lag(outer.answer, over(inner)),
        lag(outer.first_data.1, inner.first_data.1),
    ];
    let from = inward.into_iter().flatten().max().unwrap_or(i64::MIN);
    let to = outward.into_iter().flatten().min().unwrap_or(i64::MAX);
    if from <= to {
        Range { from, to }
    } else {
        Range::ANY
    }
}

/// The exchanges of one key or of the same bytes, by capture, in time order.
fn families<'a>(nodes: impl Iterator<Item = &'a Node>) -> Vec<BTreeMap<CaptureId, Vec<&'a Node>>> {
    let mut by_link: HashMap<(LinkKind, u64), BTreeMap<CaptureId, Vec<&'a Node>>> = HashMap::new();
    for node in nodes {
        for &(kind, link) in node
            .links
            .iter()
            .filter(|(kind, _)| *kind <= LinkKind::Accept)
        {
            by_link
                .entry((kind, link))
                .or_default()
                .entry(node.capture())
                .or_default()
                .push(node);
        }
    }
    let mut families: Vec<_> = by_link
        .into_iter()
        .filter(|(_, captures)| captures.len() > 1)
        .collect();
    families.sort_by_key(|(link, _)| *link);
    let mut families: Vec<_> = families.into_iter().map(|(_, family)| family).collect();
    for nodes in families.iter_mut().flat_map(BTreeMap::values_mut) {
        nodes.sort_by_key(|node| (node.start(), node.slot));
    }
    families
}

/// Estimates the offsets of all captures against the first one that has exchanges.
pub(super) fn estimate<'a>(nodes: impl Iterator<Item = &'a Node> + Clone) -> Offsets {
    let mut captures = nodes.clone().map(Node::capture);
    let first = captures.next();
    if captures.all(|capture| Some(capture) == first) {
        return Offsets::default();
    }
    let captures: BTreeSet<_> = nodes.clone().map(Node::capture).collect();
    // What to add to the second capture's times to compare them with the first's.
    let mut ranges: BTreeMap<(CaptureId, CaptureId), (Range, usize)> = BTreeMap::new();
    let families = families(nodes);
    // A key that each capture has once is beyond doubt; repeated keys are taken in their order, after those.
    for repeated in [false, true] {
        for family in &families {
            let sides: Vec<_> = family.iter().collect();
            for (place, (first, ours)) in sides.iter().enumerate() {
                for (second, theirs) in sides.iter().skip(place + 1) {
                    let once = ours.len() == 1 || theirs.len() == 1;
                    let ordered = ours.len() == theirs.len();
                    if once == repeated || !(once || ordered) {
                        continue;
                    }
                    let entry = ranges.entry((**first, **second)).or_insert((Range::ANY, 0));
                    let pairs: Box<dyn Iterator<Item = (&&Node, &&Node)>> = if once {
                        Box::new(ours.iter().flat_map(|a| theirs.iter().map(move |b| (a, b))))
                    } else {
                        Box::new(ours.iter().zip(theirs.iter()))
                    };
                    for (a, b) in pairs {
                        if entry.1 >= PAIRS_MAX {
                            break;
                        }
                        entry.1 += 1;
                        let Some((outer, inner)) = outer_first(a, b) else {
                            continue;
                        };
                        let range = nesting(outer, inner);
                        let range = if inner.slot == b.slot {
                            range
                        } else {
                            range.reversed()
                        };
                        entry.0 = entry.0.narrowed(range);
                    }
                }
            }
        }
    }
    spread(&captures.into_iter().collect::<Vec<_>>(), &ranges)
}

/// From offsets between pairs to offsets against the first capture, along known pairs.
fn spread(
    captures: &[CaptureId],
    ranges: &BTreeMap<(CaptureId, CaptureId), (Range, usize)>,
) -> Offsets {
    let mut known = BTreeMap::new();
    for &start in captures {
        if known.contains_key(&start) {
            continue;
        }
        // A capture that shares nothing with those before it keeps its own clock.
        known.insert(start, (0_i64, 0_i64));
        let mut queue = vec![start];
        while let Some(from) = queue.pop() {
            let (base, slack) = known.get(&from).copied().unwrap_or_default();
            for (&(first, second), (range, _)) in ranges {
                let (to, offset) = if first == from {
                    (second, range.best())
                } else if second == from {
                    (first, range.best().saturating_neg())
                } else {
                    continue;
                };
                if let std::collections::btree_map::Entry::Vacant(entry) = known.entry(to) {
                    entry.insert((
                        base.saturating_add(offset),
                        slack.saturating_add(range.slack()),
                    ));
                    queue.push(to);
                }
            }
        }
    }
    Offsets(known)
}
