//! Fronts that nobody opens, and the handshakes in the book.

use super::super::front::LAG_NANOS;
use super::super::fronts::{RIVALS_MAX, Rival};
use super::super::handshake::Handshake;
use super::super::node::Slot;
use super::super::record::Record;
use super::{Book, OpenConnections};
use crate::capture::Timestamp;
use crate::tcp::{ConnectionId, Direction};

/// Sessions that were up when the capture began, among which one is looked for one by one: each that ends looks at all.
const LATE_MAX: usize = 4096;

/// Connections of which nothing is known any more.
pub(super) struct Nothing;

impl OpenConnections for Nothing {
    fn snapshot(&self, _: ConnectionId) -> Option<Record> {
        None
    }
}

impl Book {
    /// Joins handshakes that leave the book, or are looked at, with their fronts.
    pub(super) fn join_fronts(
        &mut self,
        handshakes: &mut [Handshake],
        connections: &dyn OpenConnections,
    ) {
        if self.fronts.is_empty() {
            return;
        }
        let mut fronts = std::mem::take(&mut self.fronts);
        let known = std::mem::take(&mut self.known);
        let given = (self.clocks, connections);
        fronts.join(handshakes, &known, given, |fit| {
            let at = fit.first.at;
            if fit.late {
                self.late_saying(at, at.shifted(LAG_NANOS), connections)
            } else {
                let from = at.shifted(-LAG_NANOS);
                self.begun_within(from, at.shifted(LAG_NANOS), connections)
            }
        });
        self.fronts = fronts;
        self.known = known;
    }

    /// The exchanges not yet emitted that began within a time; `None` where they are too many to be looked at.
    fn begun_within(
        &mut self,
        from: Timestamp,
        to: Timestamp,
        connections: &dyn OpenConnections,
    ) -> Option<Vec<Rival>> {
        let slots: Vec<Slot> = self.index.begun_within(from, to).take(RIVALS_MAX).collect();
        if slots.len() >= RIVALS_MAX {
            return None;
        }
        let mut found = Vec::new();
        for slot in slots {
            self.look_at(slot, connections);
            let node = self.node(slot);
            found.extend(node.map(|node| (node.record.clone(), node.place)));
        }
        Some(found)
    }

    /// Sessions that were up when the capture began, not yet emitted, whose clients said something within a time: they may have
    /// begun any time before, and may be open still. `None` where they are too many to be looked at.
    fn late_saying(
        &self,
        from: Timestamp,
        to: Timestamp,
        connections: &dyn OpenConnections,
    ) -> Option<Vec<Rival>> {
        if self.late.len() > LATE_MAX {
            return None;
        }
        let mut found = Vec::new();
        for &connection in &self.late {
            let slot = Slot {
                connection,
                ..Slot::FIRST
            };
            let held = self.held.get(&slot).map(|held| &held.node);
            let relayed = match held {
                Some(node) => node.exchange().and_then(|one| one.relayed.as_deref()),
                None => connections.relayed(connection),
            };
            let mut marks = relayed
                .into_iter()
                .flat_map(|one| one.of(Direction::ToServer));
            if !marks.any(|mark| (from..=to).contains(&mark.frame.at)) {
                continue;
            }
            if found.len() >= RIVALS_MAX {
                return None;
            }
            found.extend(match held {
                Some(node) => Some((node.record.clone(), node.place)),
                None => connections.shared(connection).map(|record| (record, 0)),
            });
        }
        Some(found)
    }
}
