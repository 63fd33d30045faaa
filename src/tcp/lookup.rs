//! Segments on their way into the table: where their connections are, found out for several at once.
//!
//! ```text
//!  segments -> look_up (hash) -> locate (index) -> warm (records, readers) -> take, one after the other
//! ```
//!
//! With thousands of connections under way, nearly every record that a segment needs has to come from memory, which takes
//! as long as hundreds of instructions: the index, then the record, then the reader's state. Asked for one after the other,
//! that is where the time goes; asked for together, they come together. What `locate` found is no more than a guess by the
//! time the segment is taken, and is checked then.

use std::hint::black_box;

use super::Handler;
use super::embryo::Embryo;
use super::flow::Flow;
use super::table::{Place, Table};
use crate::decode::Segment;

/// Connections whose records stay in the second-level cache anyway: about 300 KiB.
const COOL: usize = 512;

/// Records that are asked for together: more than a processor core can wait for at a time would be no faster.
pub(super) const ROUND: usize = 16;

/// A segment, and what finds its connection.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'a> {
    segment: Segment<'a>,
    hash: u32,
    /// Where its connection may be.
    place: Option<Place>,
}

impl<'a> Lookup<'a> {
    /// The segment itself.
    pub const fn segment(&self) -> &Segment<'a> {
        &self.segment
    }
}

impl<H: Handler> Table<H> {
    /// Takes a segment, and calls the handler with what follows from it. Segments come in the order of the capture.
    #[inline(never)]
    pub fn segment(&mut self, handler: &mut H, segment: &Segment<'_>) {
        self.take(handler, &self.look_up(*segment));
    }

    /// Gets a segment ready for `take`.
    #[expect(
        clippy::inline_always,
        reason = "per frame: saves copies through memory"
    )]
    #[inline(always)]
    pub fn look_up<'a>(&self, segment: Segment<'a>) -> Lookup<'a> {
        Lookup {
            hash: self.hash(&segment.key),
            segment,
            place: None,
        }
    }

    /// Looks for the connection of a segment. Best done for several, one after the other: so that the index comes from
    /// memory for all of them at the same time.
    #[inline]
    pub fn locate(&self, lookup: &mut Lookup<'_>) {
        lookup.place = self.guess(lookup.hash);
    }

    /// Has what several located segments need come from memory at the same time.
    pub fn warm<'l, 'a: 'l>(&self, lookups: impl Iterator<Item = &'l Lookup<'a>> + Clone) {
        if self.len() < COOL {
            return;
        }
        let mut seen = 0;
        for lookup in lookups.clone() {
            seen ^= match lookup.place {
                Some(place) => self.touch(place),
                None => self.tombs.touch(lookup.hash),
            };
        }
        // Readers are asked where there is something to read.
        for lookup in lookups.filter(|lookup| !lookup.segment.payload.is_empty()) {
            if let Some(Place::Flow(slot)) = lookup.place
                && let Some(flow) = self.flow(slot)
                && let Some(state) = &flow.state
            {
                seen ^= H::touch(state, flow.direction(lookup.segment.sender));
            }
        }
        black_box(seen);
    }

    /// Has what it takes to close connections come from memory at the same time.
    pub(super) fn warm_leaving(&self, places: impl Iterator<Item = Place> + Clone) {
        self.touch_all(places.clone());
        let mut seen = 0;
        for hash in places.clone().filter_map(|place| self.hash_at(place)) {
            let place = self.guess(hash);
            seen ^= usize::from(place.is_some()) ^ self.tombs.touch(hash);
        }
        black_box(seen ^ self.tombs.touch_oldest(places.count()));
    }

    /// Has whole records come from memory at the same time.
    pub(super) fn touch_all(&self, places: impl Iterator<Item = Place>) {
        black_box(places.fold(0, |seen, place| {
            let cold = match place {
                Place::Flow(slot) => self.flow(slot).map_or(0, |flow| flow.cold.charged),
                Place::Embryo(_) => 0,
            };
            seen ^ cold ^ self.touch(place)
        }));
    }

    /// Looks at a record.
    fn touch(&self, place: Place) -> usize {
        match place {
            Place::Flow(slot) => self.flow(slot).map_or(0, Flow::touch),
            Place::Embryo(slot) => self.nursery.touch(slot),
        }
    }

    /// Whether of the connection of a segment a later one came before: the two stand in the wrong order.
    pub fn has_overtaken(&self, lookup: &Lookup<'_>) -> bool {
        let Lookup { segment, hash, .. } = lookup;
        let newest = match self.find(&segment.key, *hash) {
            Some(Place::Flow(slot)) => self.flow(slot).map(|flow| flow.last.at),
            Some(Place::Embryo(slot)) => self.nursery.get(slot).map(Embryo::newest),
            None => return self.tombs.knows(*hash, segment).is_some(),
        };
        newest.is_some_and(|newest| newest > segment.frame.at)
    }

    fn hash_at(&self, place: Place) -> Option<u32> {
        match place {
            Place::Flow(slot) => self.flow(slot).map(|flow| flow.hash),
            Place::Embryo(slot) => {
                let key = self.nursery.key(self.nursery.get(slot)?)?;
                Some(self.hash(&key))
            }
        }
    }

    /// Takes a segment that was looked up, and calls the handler with what follows from it. Segments come in the order of
    /// the capture.
    #[expect(
        clippy::inline_always,
        reason = "per segment: nearly all need no other call than that of the handler"
    )]
    #[inline(always)]
    pub fn take(&mut self, handler: &mut H, lookup: &Lookup<'_>) {
        let &Lookup {
            ref segment, place, ..
        } = lookup;
        self.segments += 1;
        self.now = Some(segment.frame);
        self.tick(handler, segment.frame.at.nanos());
        if let Some(Place::Flow(slot)) = place
            && let Some(Some(flow)) = self.flows.get_mut(slot)
            && flow.key == segment.key
            && flow.usual(handler, &self.env, segment)
        {
            return;
        }
        self.take_unusual(handler, lookup);
    }

    /// Takes a segment that needs a closer look, or whose connection is not where it was thought to be.
    #[inline(never)]
    fn take_unusual(&mut self, handler: &mut H, lookup: &Lookup<'_>) {
        let &Lookup {
            ref segment,
            hash,
            place,
        } = lookup;
        let place = match place {
            Some(place) if self.is_at(place, &segment.key) => Some(place),
            // Guessed wrong, or what was taken since then began or moved it.
            _ => self.find(&segment.key, hash),
        };
        match place {
            Some(Place::Flow(slot)) => {
                let Some(Some(flow)) = self.flows.get_mut(slot) else {
                    return;
                };
                let may_begin = segment.flags.syn() || flow.leaving;
                if may_begin && flow.is_reused_by(segment) {
                    self.close_flow(handler, slot);
                    self.begin(handler, hash, segment);
                } else if flow.segment(handler, &mut self.env, segment) {
                    self.attend(handler, slot);
                }
            }
            Some(Place::Embryo(slot)) => {
                self.embryo_segment(handler, slot, hash, segment);
            }
            None => match self.tombs.knows(hash, segment) {
                Some(shown) => {
                    self.env.stats.late += 1;
                    // Within one capture it may as well be a late retransmission.
                    if shown != segment.frame.capture() {
                        self.env.stats.copy(segment.frame, shown);
                    }
                }
                None => self.begin(handler, hash, segment),
            },
        }
    }
}
