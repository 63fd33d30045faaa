//! Finds the exchanges that may belong to the same handshake: by what they share, and by time.
//!
//! ```text
//!  by link   key A  --> exchange 3, exchange 4        X-Request-ID 9 --> exchange 3
//!  by time   ... exchange 1, exchange 3, exchange 4, exchange 7 ...     (each with what rules most of them out)
//! ```
//!
//! Invariants: an exchange is in it from its request to its emission; a look-up costs a bounded number of steps,
//! however many exchanges there are; what a brief rules out, comparing the exchanges would rule out as well; what the
//! census rules out, no brief would let through.

mod brief;
mod census;
mod links;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::RangeBounds;

use foldhash::HashMap;
use smallvec::SmallVec;

use brief::{Over, Partner};
use census::Census;
use links::Links;

pub(super) use brief::Brief;

use super::asked::Link;
use super::known::Known;
use super::node::{Node, Slot};
use super::record::OrdinaryExchange;
use super::siblings::NEXT_NANOS;
use crate::capture::{FrameRef, Timestamp};

/// Exchanges looked at around one in time order, for each link and for none: how many handshakes may be in flight at
/// once and still be told apart.
pub(super) const NEIGHBOURS_MAX: usize = 64;

/// How late a request may come that a proxy dialed for in time: when two SYNs were lost (RFC 6298 2.1, 5.5: after one second, and
/// after two more), and a little.
const DIALED_LATE_NANOS: i64 = 3_500_000_000;

/// Exchanges near another one: itself and its other hop, which shares two links with it.
pub(super) type Slots = SmallVec<[Slot; 4]>;

/// When an exchange began, and which it is.
type Place = (Timestamp, Slot);

/// The exchanges that are not yet part of an emitted handshake.
#[derive(Debug, Default)]
pub(super) struct Index {
    links: Links,
    briefs: HashMap<Place, Brief>,
    /// All of them in order.
    by_time: BTreeSet<Place>,
    outer: Census,
    inner: Census,
    /// How many still wait for their answer, and when the last one was no longer waited for.
    waiting: usize,
    latest_over: Over,
    /// What `is_near` said last.
    near: Cell<Option<Near>>,
}

/// An answer of `is_near`, and from when until when it holds, as long as nothing changes: a scan asks the same again and
/// again.
#[derive(Debug, Clone, Copy)]
struct Near {
    attempts: usize,
    from: Timestamp,
    until: Option<Timestamp>,
    answer: bool,
}

impl Near {
    fn holds(&self, at: Timestamp, attempts: usize) -> bool {
        let within = self.from <= at && self.until.is_none_or(|until| at < until);
        within && self.attempts == attempts
    }
}

impl Index {
    /// An exchange that began at a time.
    pub(super) fn insert(
        &mut self,
        start: Timestamp,
        slot: Slot,
        brief: Brief,
        links: impl IntoIterator<Item = Link>,
    ) {
        if let Some(before) = self.briefs.insert((start, slot), brief) {
            self.change(&before, &brief);
        } else {
            self.by_time.insert((start, slot));
            self.enter(&brief);
        }
        for link in links {
            self.links.insert(link, (start, slot));
        }
    }

    fn enter(&mut self, brief: &Brief) {
        self.note_over(brief.over);
        self.outer.enter(brief.as_outer());
        if let Some(inner) = brief.as_inner() {
            self.inner.enter(inner);
        }
    }

    fn leave(&mut self, brief: &Brief) {
        self.near.set(None);
        self.waiting -= usize::from(brief.over.is_none());
        self.outer.leave(brief.as_outer());
        if let Some(inner) = brief.as_inner() {
            self.inner.leave(inner);
        }
    }

    /// The same exchange, of which more is known.
    fn change(&mut self, before: &Brief, after: &Brief) {
        self.waiting -= usize::from(before.over.is_none());
        self.note_over(after.over);
        self.outer.change(before.as_outer(), after.as_outer());
        match (before.as_inner(), after.as_inner()) {
            (Some(before), Some(after)) => self.inner.change(before, after),
            (Some(before), None) => self.inner.leave(before),
            (None, Some(after)) => self.inner.enter(after),
            (None, None) => {}
        }
    }

    fn note_over(&mut self, over: Over) {
        self.near.set(None);
        self.waiting += usize::from(over.is_none());
        self.latest_over = self.latest_over.max(over);
    }

    /// More is known of an exchange.
    pub(super) fn update(&mut self, start: Timestamp, slot: Slot, node: &Node) {
        let Some(brief) = self.briefs.get_mut(&(start, slot)) else {
            return;
        };
        let before = *brief;
        let after = Brief {
            partner: before.partner,
            ..Brief::of(node)
        };
        *brief = after;
        self.change(&before, &after);
    }

    /// An exchange on an open connection was answered.
    pub(super) fn answered(&mut self, start: Timestamp, slot: Slot, at: Timestamp) {
        let Some(brief) = self.briefs.get_mut(&(start, slot)) else {
            return;
        };
        let over = Some(at);
        self.waiting -= usize::from(brief.over.is_none());
        brief.over = over;
        brief.may_have_failed = true;
        self.note_over(over);
    }

    /// An exchange is emitted.
    pub(super) fn remove(
        &mut self,
        start: Timestamp,
        slot: Slot,
        links: impl IntoIterator<Item = Link>,
    ) {
        if let Some(brief) = self.briefs.remove(&(start, slot)) {
            self.by_time.remove(&(start, slot));
            self.leave(&brief);
        }
        for link in links {
            self.links.remove(link, (start, slot));
        }
    }

    /// When the oldest one began.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// The two exchanges that share a link with each other and nobody else.
    pub(super) fn only_two(&self, link: Link) -> Option<(Slot, Slot)> {
        let mut sharing = self.links.all(link);
        match (sharing.next(), sharing.next(), sharing.next()) {
            (Some((_, first)), Some((_, second)), None) => Some((first, second)),
            _ => None,
        }
    }

    /// Two requests share a key that nobody makes up twice: the later one forwards the earlier one, and what is only
    /// near it in time cannot be its hop before it.
    pub(super) fn note_forwarding(&mut self, link: Link) -> Option<()> {
        let mut sharing = self.links.all(link);
        let (first, second, third) = (sharing.next()?, sharing.next()?, sharing.next());
        drop(sharing);
        let (outer, inner) = (self.briefs.get(&first)?, self.briefs.get(&second)?);
        let forwards = third.is_none()
            && first.0 < second.0
            && outer.is_own
            && inner.is_own
            && outer.waits_at(second.0)
            && !outer.is_sibling(inner);
        self.set_forwarding(first, second, forwards);
        Some(())
    }

    /// Whether the second of two exchanges that share a key forwards the first.
    pub(super) fn set_forwarding(
        &mut self,
        first: (Timestamp, Slot),
        second: (Timestamp, Slot),
        forwards: bool,
    ) {
        self.set_partner(first, forwards.then_some(Partner::Forwarded));
        self.set_partner(second, forwards.then_some(Partner::Forwards));
    }

    fn set_partner(&mut self, place: (Timestamp, Slot), partner: Option<Partner>) {
        if let Some(brief) = self.briefs.get_mut(&place)
            && brief.partner != partner
        {
            let before = *brief;
            brief.partner = partner;
            let after = *brief;
            self.change(&before, &after);
        }
    }

    /// Whether something began while one of the last attempts before it waited for its answer.
    pub(super) fn is_near(&self, began: FrameRef, attempts: usize) -> bool {
        let at = began.at;
        if self.waiting == 0 && self.latest_over <= Some(at) {
            return false;
        }
        if let Some(near) = self.near.get().filter(|near| near.holds(at, attempts)) {
            return near.answer;
        }
        let briefs = self.range(..=(at, Slot::LAST)).rev().take(attempts);
        let found = briefs
            .map(|(_, brief)| brief)
            .find(|brief| brief.waits_at(at));
        // Until another one begins, or the one found waits no more.
        let later = (Excluded((at, Slot::LAST)), Unbounded);
        let next = self.by_time.range(later).next().map(|(at, _)| *at);
        let over = found.and_then(|brief| brief.over);
        self.near.set(Some(Near {
            attempts,
            from: at,
            until: next.into_iter().chain(over).min(),
            answer: found.is_some(),
        }));
        found.is_some()
    }

    /// Whether an attempt began while an ordinary exchange waited for its answer: a proxy may have made one of it.
    pub(super) fn is_within(&self, exchange: &OrdinaryExchange) -> bool {
        let from = (exchange.request.at, Slot::FIRST);
        let answered = exchange.response.map(|(frame, _)| frame.at);
        let mut later = self.by_time.range(from..);
        let next = later.next().map(|(began, _)| *began);
        next.is_some_and(|began| answered.is_none_or(|answered| began <= answered))
    }

    /// Those that began within a time.
    pub(super) fn begun_within(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = Slot> {
        let places = self.by_time.range((from, Slot::FIRST)..=(to, Slot::LAST));
        places.map(|(_, slot)| *slot)
    }

    /// Of the last ones that began before a time, those that waited at it and may have failed to reach a backend.
    pub(super) fn failing_at(&self, at: Timestamp) -> impl Iterator<Item = Slot> {
        let before = self.range(..=(at, Slot::LAST)).rev();
        before
            .take(NEIGHBOURS_MAX)
            .filter(move |(_, brief)| brief.may_have_failed && brief.waits_at(at))
            .map(|((_, slot), _)| slot)
    }

    /// Exchanges near in time: of each link, and of any.
    pub(super) fn neighbours(&self, node: &Node, known: &Known) -> Slots {
        let mut near = self.linked(node);
        self.unlinked(node, known, &mut near);
        near
    }

    /// When the exchange began, and no longer waited. The other side may have ended the connection before the request
    /// came.
    fn span(node: &Node) -> (Timestamp, Timestamp) {
        let start = node.start().at;
        let end = node
            .over()
            .map_or(Timestamp::from_nanos(i64::MAX), |over| over.at.max(start));
        (start, end)
    }

    /// Exchanges that share a link, near in time.
    pub(super) fn linked(&self, node: &Node) -> Slots {
        let mut near = Slots::new();
        let (start, end) = Self::span(node);
        // What a proxy asked a moment before, or dialed for meanwhile, with a key that nobody makes up twice, counts as well.
        let moment = if node.asked.is_sample() {
            0
        } else {
            NEXT_NANOS.max(DIALED_LATE_NANOS)
        };
        let least = start.shifted(-moment);
        // Of those that began before, only what still waited counts. A lone answer has no such beginning.
        let waited = |brief: &Brief| brief.over.is_none_or(|over| over >= least);
        let counts =
            |place: &Place| node.begin.is_none() || self.briefs.get(place).is_some_and(waited);
        let here = (start, node.slot);
        let to = (end.shifted(moment), Slot::LAST);
        for &(_, link) in &node.links {
            let Some((before, later)) = self.links.around(link, here) else {
                continue;
            };
            let before = before.take(NEIGHBOURS_MAX).filter(counts);
            let later = later.take_while(|place| *place <= to).take(NEIGHBOURS_MAX);
            for (_, slot) in before.chain(later) {
                // Nearly all that share one link share all of them.
                if near.last() != Some(&slot) {
                    near.push(slot);
                }
            }
        }
        near
    }

    fn unlinked(&self, node: &Node, known: &Known, near: &mut Slots) {
        let slot = node.slot;
        let (start, end) = Self::span(node);
        let mine = self.briefs.get(&(start, slot)).copied();
        let mine = mine.unwrap_or_else(|| Brief::of(node));
        let crowd = self.is_anything_at(start, slot);
        if !mine.forwards() && (crowd || self.may_have_outer(&mine, known)) {
            let waited =
                |brief: &Brief| node.begin.is_none() || brief.over.is_none_or(|over| over >= start);
            let before = self.range(..(start, slot)).rev();
            let before = before.take(NEIGHBOURS_MAX).filter(|((began, _), brief)| {
                let at_once = *began == start && mine.may_precede(brief, known);
                waited(brief)
                    && !mine.is_sibling(brief)
                    && (brief.may_precede(&mine, known) || at_once)
            });
            near.extend(before.map(|((_, slot), _)| slot));
        }
        if mine.partner == Some(Partner::Forwarded)
            || (!crowd && !self.may_have_inner(&mine, known))
        {
            return;
        }
        let later = self.range((start, slot)..=(end, Slot::LAST));
        let later = later.take(NEIGHBOURS_MAX).filter(|((began, _), brief)| {
            let at_once = *began == start && brief.may_precede(&mine, known);
            !brief.forwards()
                && !mine.is_sibling(brief)
                && (mine.may_precede(brief, known) || at_once)
        });
        near.extend(later.map(|((_, slot), _)| slot));
    }

    /// Those within a range, in order.
    fn range(
        &self,
        range: impl RangeBounds<Place>,
    ) -> impl DoubleEndedIterator<Item = (Place, &Brief)> {
        let places = self.by_time.range(range);
        places.filter_map(|place| Some((*place, self.briefs.get(place)?)))
    }

    /// Whether another exchange began at the very same time.
    fn is_anything_at(&self, start: Timestamp, slot: Slot) -> bool {
        // Looked up by one end only, which takes half of what both do.
        let from = self.by_time.range((start, Slot::FIRST)..);
        let mut at = from.take_while(|(began, _)| *began == start);
        at.any(|(_, other)| *other != slot)
    }

    /// Whether [`Brief::may_precede`] holds for any other exchange before this one. What shares its key is linked.
    fn may_have_outer(&self, mine: &Brief, known: &Known) -> bool {
        let client = mine.view.client;
        mine.key.is_none()
            || mine.may_name_port
            || self.outer.has_keyless()
            || self.outer.has(&client.octets())
            || known.is_any_back(client.ip())
    }

    /// Whether [`Brief::may_precede`] holds for this one before any other exchange.
    fn may_have_inner(&self, mine: &Brief, known: &Known) -> bool {
        let server = mine.view.server;
        mine.key.is_none()
            || self.inner.has_keyless()
            || self.inner.has_naming()
            || self.inner.has(&server.octets())
            || known
                .backs(server)
                .any(|(back, _)| self.inner.has(&octets(back)))
    }
}

/// An address as endpoints have it.
fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}
