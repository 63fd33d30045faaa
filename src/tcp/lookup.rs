//! Segments on their way into the table: where their connections are, found out for several at once.
//!
//! ```text
//!  segments -> look_up (key, hash) -> warm (index, records, readers) -> take, one after the other
//! ```
//!
//! With thousands of connections under way, nearly every record that a segment needs has to come from memory, which takes
//! as long as hundreds of instructions: the index, then the record, then the reader's state. Asked for one after the other,
//! that is where the time goes; asked for together, they come together. `warm` only looks: what it finds is a guess that
//! `take` verifies, for segments before may have changed it.

use std::hint::black_box;

use super::Handler;
use super::key::{End, Key};
use super::table::{Place, Table};
use crate::decode::Segment;

/// Connections whose records stay in the cache anyway: about 100 KiB.
const COOL: usize = 64;

/// A segment, and where its connection probably is.
#[derive(Debug)]
pub struct Lookup<'a> {
    segment: Segment<'a>,
    key: Key,
    sender: End,
    hash: u32,
    guess: Option<Place>,
}

impl<'a> Lookup<'a> {
    /// The segment itself.
    pub const fn segment(&self) -> &Segment<'a> {
        &self.segment
    }
}

impl<H: Handler> Table<H> {
    /// Takes a segment, and calls the handler with what follows from it. Segments come in the order of the capture.
    pub fn segment(&mut self, handler: &mut H, segment: &Segment<'_>) {
        let lookup = self.look_up(*segment);
        self.take(handler, &lookup);
    }

    /// Gets a segment ready for `take`.
    pub fn look_up<'a>(&self, segment: Segment<'a>) -> Lookup<'a> {
        let (key, sender) = Key::new(segment.source, segment.destination);
        let hash = self.hash(&key);
        Lookup {
            segment,
            key,
            sender,
            hash,
            guess: None,
        }
    }

    /// Has what several segments need come from memory at the same time.
    pub fn warm(&self, lookups: &mut [Lookup<'_>]) {
        if lookups.len() < 2 || self.len() < COOL {
            return;
        }
        for lookup in &mut *lookups {
            lookup.guess = self.guess(lookup.hash);
        }
        let mut seen = 0;
        for lookup in &*lookups {
            seen ^= match lookup.guess {
                Some(Place::Flow(slot)) => self.flow(slot).map_or(0, super::flow::Flow::touch),
                Some(Place::Embryo(slot)) => self.nursery.touch(slot),
                None => self.tombs.touch(lookup.hash),
            };
        }
        for lookup in &*lookups {
            if let Some(Place::Flow(slot)) = lookup.guess
                && let Some(state) = self.flow(slot).and_then(|flow| flow.cold.state.as_ref())
            {
                seen ^= H::touch(state);
            }
        }
        black_box(seen);
    }

    /// Takes a segment that was looked up, and calls the handler with what follows from it. Segments come in the order of
    /// the capture.
    pub fn take(&mut self, handler: &mut H, lookup: &Lookup<'_>) {
        let Lookup {
            segment,
            key,
            sender,
            hash,
            guess,
        } = lookup;
        let (&key, &sender, &hash) = (key, sender, hash);
        self.segments += 1;
        self.now = Some(segment.frame);
        self.tick(handler, segment.frame.at.nanos());
        let found = guess.filter(|&place| self.is_at(place, &key));
        match found.or_else(|| self.find(&key, hash)) {
            Some(Place::Flow(slot)) => {
                let reused = self.flow(slot).is_some_and(|flow| {
                    (segment.flags.syn() || flow.leaving) && flow.is_reused_by(sender, segment)
                });
                if reused {
                    self.close_flow(handler, slot);
                    self.begin(handler, key, hash, sender, segment);
                } else {
                    self.flow_segment(handler, slot, sender, segment);
                }
            }
            Some(Place::Embryo(slot)) => {
                self.embryo_segment(handler, slot, hash, sender, segment);
            }
            None => match self.tombs.knows(&key, hash, sender, segment) {
                Some(shown) => {
                    self.env.stats.late += 1;
                    // Within one capture it may as well be a late retransmission.
                    if shown != segment.frame.capture {
                        self.env.stats.copy(segment.frame, shown);
                    }
                }
                None => self.begin(handler, key, hash, sender, segment),
            },
        }
    }
}
