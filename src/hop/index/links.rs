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
use super::Place;

/// Those that nearly all links have.
const FEW: usize = 2;

/// The exchanges of one link.
#[derive(Debug)]
enum List {
    Few(SmallVec<[Place; FEW]>),
    /// Cheap to change at both ends.
    Many(VecDeque<Place>),
}

impl Default for List {
    fn default() -> Self {
        Self::Few(SmallVec::new())
    }
}

impl List {
    /// The list in order, in the two pieces that it may lie in.
    fn halves(&self) -> (&[Place], &[Place]) {
        match self {
            Self::Few(few) => (few, &[]),
            Self::Many(many) => many.as_slices(),
        }
    }

    /// Those before a place and those from it on.
    fn split(
        &self,
        here: Place,
    ) -> (
        impl DoubleEndedIterator<Item = Place>,
        impl Iterator<Item = Place>,
    ) {
        let (first, second) = self.halves();
        let at = |half: &[Place]| half.partition_point(|one| *one < here);
        let (before, from) = first.split_at(at(first));
        let (then_before, then_from) = second.split_at(at(second));
        (
            before.iter().chain(then_before).copied(),
            from.iter().chain(then_from).copied(),
        )
    }

    /// Where a place is, or belongs.
    fn find(&self, place: Place) -> Result<usize, usize> {
        match self {
            Self::Few(few) => few.binary_search(&place),
            Self::Many(many) => many.binary_search(&place),
        }
    }

    /// Takes in one that is not there, at its index.
    fn insert(&mut self, at: usize, place: Place) {
        match self {
            Self::Few(few) if few.len() < FEW => few.insert(at, place),
            Self::Few(few) => {
                *self = Self::Many(few.drain(..).collect());
                self.insert(at, place);
            }
            Self::Many(many) => many.insert(at, place),
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
    /// An exchange that has a link. It may be there already.
    pub(super) fn insert(&mut self, link: Link, place: Place) {
        let list = self.0.entry(link).or_default();
        if let Err(at) = list.find(place) {
            list.insert(at, place);
        }
    }

    /// One is gone.
    pub(super) fn remove(&mut self, link: Link, place: Place) {
        let Some(list) = self.0.get_mut(&link) else {
            return;
        };
        if list.find(place).is_ok_and(|at| list.remove(at)) {
            self.0.remove(&link);
        }
    }

    /// Those that share a link, the earliest first.
    pub(super) fn all(&self, link: Link) -> impl Iterator<Item = Place> {
        let (first, second) = self.0.get(&link).map(List::halves).unwrap_or_default();
        first.iter().chain(second).copied()
    }

    /// Those before a place, the latest first, and those from it on, the earliest first.
    pub(super) fn around(
        &self,
        link: Link,
        here: Place,
    ) -> Option<(impl Iterator<Item = Place>, impl Iterator<Item = Place>)> {
        let (before, later) = self.0.get(&link)?.split(here);
        Some((before.rev(), later))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Timestamp;
    use crate::hop::node::Slot;
    use crate::tcp::ConnectionId;

    fn place(number: u8) -> Place {
        let slot = Slot {
            connection: ConnectionId(number.into()),
            exchange: 0,
        };
        (Timestamp::from_nanos(number.into()), slot)
    }

    fn all(links: &Links) -> Vec<Place> {
        links.all(7).collect()
    }

    #[test]
    fn few_become_many_and_stay_in_order() {
        let mut links = Links::default();
        for place in [5, 1, 3, 2, 4, 3].map(place) {
            links.insert(7, place);
        }
        assert_eq!(all(&links), [1, 2, 3, 4, 5].map(place));
        let (before, later): (Vec<Place>, Vec<Place>) = links
            .around(7, place(3))
            .map(|(before, later)| (before.collect(), later.collect()))
            .unwrap_or_default();
        assert_eq!(before, [2, 1].map(place));
        assert_eq!(later, [3, 4, 5].map(place));
        for place in [3, 1, 5, 9, 2].map(place) {
            links.remove(7, place);
        }
        assert_eq!(all(&links), [place(4)]);
        links.remove(7, place(4));
        assert!(links.0.is_empty());
    }
}
