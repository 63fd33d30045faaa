//! Fronts that nobody opens, and the handshakes in the book.

use super::super::fronts::{RIVALS_MAX, Rival};
use super::super::handshake::Handshake;
use super::super::node::Slot;
use super::super::record::Record;
use super::{Book, OpenConnections};
use crate::capture::Timestamp;
use crate::tcp::ConnectionId;

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
        fronts.join(handshakes, &known, given, |from, to| {
            self.begun_within(from, to, connections)
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
}
