//! The exchanges that share a link, by start.

use std::collections::VecDeque;

use foldhash::HashMap;

use super::super::node::{Link, Slot};
use super::Over;
use crate::capture::Timestamp;

/// An exchange that has a link.
#[derive(Debug, Clone, Copy)]
struct Sharing {
    start: Timestamp,
    slot: Slot,
    over: Over,
}

impl Sharing {
    const fn place(&self) -> (Timestamp, Slot) {
        (self.start, self.slot)
    }
}

/// Exchanges by link. Most links have two; a key that a load tool repeats has thousands, which come and go nearly in
/// order: each list is sorted, and cheap to change at both ends.
#[derive(Debug, Default)]
pub(super) struct Links(HashMap<Link, VecDeque<Sharing>>);

impl Links {
    /// An exchange that has a link; when it is there already, what is known of its end.
    pub(super) fn insert(&mut self, link: Link, start: Timestamp, slot: Slot, over: Over) {
        let sharing = self.0.entry(link).or_default();
        let new = Sharing { start, slot, over };
        let place = sharing.partition_point(|one| one.place() < new.place());
        match sharing.get_mut(place) {
            Some(one) if one.slot == slot && one.start == start => *one = new,
            _ => sharing.insert(place, new),
        }
    }

    /// More is known of the end of one.
    pub(super) fn set_over(&mut self, link: Link, start: Timestamp, slot: Slot, over: Over) {
        let Some(sharing) = self.0.get_mut(&link) else {
            return;
        };
        let found = sharing.binary_search_by_key(&(start, slot), Sharing::place);
        if let Some(one) = found.ok().and_then(|place| sharing.get_mut(place)) {
            one.over = over;
        }
    }

    /// One is gone.
    pub(super) fn remove(&mut self, link: Link, start: Timestamp, slot: Slot) {
        let Some(sharing) = self.0.get_mut(&link) else {
            return;
        };
        if let Ok(place) = sharing.binary_search_by_key(&(start, slot), Sharing::place) {
            sharing.remove(place);
        }
        if sharing.is_empty() {
            self.0.remove(&link);
        }
    }

    /// Those that share a link, the earliest first.
    pub(super) fn all(&self, link: Link) -> impl Iterator<Item = (Timestamp, Slot)> {
        let sharing = self.0.get(&link).into_iter().flatten();
        sharing.map(Sharing::place)
    }

    /// Those before a place, the latest first, and when they were over.
    pub(super) fn before(
        &self,
        link: Link,
        here: (Timestamp, Slot),
    ) -> impl Iterator<Item = (Slot, Over)> {
        let before = self.0.get(&link).map(|sharing| {
            let end = sharing.partition_point(|one| one.place() < here);
            sharing.range(..end).rev()
        });
        before.into_iter().flatten().map(|one| (one.slot, one.over))
    }

    /// Those from one place to another (both included), the earliest first.
    pub(super) fn later(
        &self,
        link: Link,
        here: (Timestamp, Slot),
        to: (Timestamp, Slot),
    ) -> impl Iterator<Item = Slot> {
        let later = self.0.get(&link).map(|sharing| {
            let from = sharing.partition_point(|one| one.place() < here);
            sharing
                .range(from..)
                .take_while(move |one| one.place() <= to)
        });
        later.into_iter().flatten().map(|one| one.slot)
    }
}
