//! The exchanges that share a link, by start.
//!
//! ```text
//!  link --> Few (in the table itself)   a key that its maker used once: the request on each hop
//!       --> Many (a queue)              a key that a load tool repeats: thousands, which come and go nearly in order
//! ```
//!
//! Invariant: each list is sorted by start and slot.

use std::collections::VecDeque;

use foldhash::HashMap;
use smallvec::SmallVec;

use super::super::asked::Link;
use super::super::node::Slot;
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

/// Those that nearly all links have.
const FEW: usize = 2;

/// The exchanges of one link.
#[derive(Debug)]
enum List {
    Few(SmallVec<[Sharing; FEW]>),
    /// Cheap to change at both ends.
    Many(VecDeque<Sharing>),
}

impl Default for List {
    fn default() -> Self {
        Self::Few(SmallVec::new())
    }
}

impl List {
    /// The list in order, in the two pieces that it may lie in.
    fn halves(&self) -> (&[Sharing], &[Sharing]) {
        match self {
            Self::Few(few) => (few, &[]),
            Self::Many(many) => many.as_slices(),
        }
    }

    /// Those before a place and those from it on.
    fn split(
        &self,
        here: (Timestamp, Slot),
    ) -> (
        impl DoubleEndedIterator<Item = &Sharing>,
        impl Iterator<Item = &Sharing>,
    ) {
        let (first, second) = self.halves();
        let at = |half: &[Sharing]| half.partition_point(|one| one.place() < here);
        let (before, from) = first.split_at(at(first));
        let (then_before, then_from) = second.split_at(at(second));
        (
            before.iter().chain(then_before),
            from.iter().chain(then_from),
        )
    }

    fn find(&mut self, place: (Timestamp, Slot)) -> Option<(usize, &mut Sharing)> {
        match self {
            Self::Few(few) => few
                .iter_mut()
                .enumerate()
                .find(|(_, one)| one.place() == place),
            Self::Many(many) => {
                let at = many.binary_search_by_key(&place, Sharing::place).ok()?;
                Some((at, many.get_mut(at)?))
            }
        }
    }

    /// Takes in one that is not there.
    fn insert(&mut self, new: Sharing) {
        let place = new.place();
        match self {
            Self::Few(few) if few.len() < FEW => {
                few.insert(few.partition_point(|one| one.place() < place), new);
            }
            Self::Few(few) => {
                *self = Self::Many(few.drain(..).collect());
                self.insert(new);
            }
            Self::Many(many) => {
                many.insert(many.partition_point(|one| one.place() < place), new);
            }
        }
    }

    /// Takes out the one at an index; whether it was the last.
    fn remove(&mut self, at: usize) -> bool {
        match self {
            Self::Few(few) => {
                few.remove(at);
                few.is_empty()
            }
            Self::Many(many) => {
                many.remove(at);
                many.is_empty()
            }
        }
    }
}

/// Exchanges by link.
#[derive(Debug, Default)]
pub(super) struct Links(HashMap<Link, List>);

impl Links {
    /// An exchange that has a link; when it is there already, what is known of its end.
    pub(super) fn insert(&mut self, link: Link, start: Timestamp, slot: Slot, over: Over) {
        let list = self.0.entry(link).or_default();
        match list.find((start, slot)) {
            Some((_, one)) => one.over = over,
            None => list.insert(Sharing { start, slot, over }),
        }
    }

    /// More is known of the end of one.
    pub(super) fn set_over(&mut self, link: Link, start: Timestamp, slot: Slot, over: Over) {
        let found = self.0.get_mut(&link);
        if let Some((_, one)) = found.and_then(|list| list.find((start, slot))) {
            one.over = over;
        }
    }

    /// One is gone.
    pub(super) fn remove(&mut self, link: Link, start: Timestamp, slot: Slot) {
        let Some(list) = self.0.get_mut(&link) else {
            return;
        };
        let at = list.find((start, slot)).map(|(at, _)| at);
        if at.is_some_and(|at| list.remove(at)) {
            self.0.remove(&link);
        }
    }

    /// Those that share a link, the earliest first.
    pub(super) fn all(&self, link: Link) -> impl Iterator<Item = (Timestamp, Slot)> {
        let (first, second) = self.0.get(&link).map(List::halves).unwrap_or_default();
        first.iter().chain(second).map(Sharing::place)
    }

    /// Those before a place, the latest first, with when they were over; and those from it on, the earliest first.
    pub(super) fn around(
        &self,
        link: Link,
        here: (Timestamp, Slot),
    ) -> Option<(
        impl Iterator<Item = (Slot, Over)>,
        impl Iterator<Item = (Timestamp, Slot)>,
    )> {
        let (before, later) = self.0.get(&link)?.split(here);
        Some((
            before.rev().map(|one| (one.slot, one.over)),
            later.map(Sharing::place),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::ConnectionId;

    fn place(number: u8) -> (Timestamp, Slot) {
        let slot = Slot {
            connection: ConnectionId(number.into()),
            exchange: 0,
        };
        (Timestamp::from_nanos(number.into()), slot)
    }

    fn all(links: &Links) -> Vec<(Timestamp, Slot)> {
        links.all(7).collect()
    }

    #[test]
    fn few_become_many_and_stay_in_order() {
        let mut links = Links::default();
        for (start, slot) in [5, 1, 3, 2, 4, 3].map(place) {
            links.insert(7, start, slot, None);
        }
        assert_eq!(all(&links), [1, 2, 3, 4, 5].map(place));
        let (before, later): (Vec<Slot>, Vec<_>) = links
            .around(7, place(3))
            .map(|(before, later)| (before.map(|(slot, _)| slot).collect(), later.collect()))
            .unwrap_or_default();
        assert_eq!(before, [2, 1].map(|number| place(number).1));
        assert_eq!(later, [3, 4, 5].map(place));
        for (start, slot) in [3, 1, 5, 9, 2].map(place) {
            links.remove(7, start, slot);
        }
        assert_eq!(all(&links), [place(4)]);
        links.remove(7, place(4).0, place(4).1);
        assert!(links.0.is_empty());
    }
}
