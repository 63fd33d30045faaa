//! What is complete leaves the book, paired.

use std::cmp::Reverse;

use super::super::context::{Context, Nodes};
use super::super::handshake::Handshake;
use super::super::node::Slot;
use super::super::pairing::{order, pair_nodes};
use super::family::node_of;
use super::sealed::Nothing;
use super::{Book, Clocks, LINGER, MAX_WAIT, OpenConnections};
use crate::capture::Timestamp;

/// Exchanges that may wait: beyond, the ones that closed first are emitted at once.
const HELD_MAX: usize = 200_000;

/// Largest set of exchanges paired at once while the capture goes on: attempts with one and the same key that
/// overlap without a break. In a larger crowd those that are over do not wait for others: each of them would look at all
/// of it again and again.
const FAMILY_MAX: usize = 256;

impl Book {
    /// Emits what is complete at this moment of packet time, by start.
    pub fn settle(
        &mut self,
        now: Timestamp,
        connections: &dyn OpenConnections,
        out: &mut Vec<Handshake>,
    ) {
        self.now = self.now.max(now);
        if self.clocks == Clocks::MayDiffer && !self.is_crowded() {
            return;
        }
        let from = out.len();
        let mut waiting = Vec::new();
        while let Some(&Reverse((at, slot))) = self.due.peek() {
            let crowded = self.is_crowded();
            if at > self.now && !crowded {
                break;
            }
            self.due.pop();
            // Emitted with another one's family.
            let Some(held) = self.held.get(&slot) else {
                continue;
            };
            let closed = held.closed;
            let latest = closed.plus(MAX_WAIT);
            let early = latest > self.now && !crowded;
            if early && self.has_open_partner(slot, connections) {
                waiting.push((latest, slot));
                continue;
            }
            let mut family = self.family(slot, FAMILY_MAX, connections);
            if family.len() >= FAMILY_MAX {
                family.retain(|slot| self.is_over(*slot));
                self.emit(&family, connections, out);
                continue;
            }
            match self.wait_for(&family, closed) {
                Some(later) if later > self.now && !crowded => waiting.push((later, slot)),
                later => {
                    self.hurried += u64::from(crowded && later > Some(self.now));
                    self.emit(&family, connections, out);
                }
            }
        }
        self.due.extend(waiting.into_iter().map(Reverse));
        if let Some(emitted) = out.get_mut(from..) {
            emitted.sort_by_cached_key(order);
        }
        let oldest = self.index.oldest();
        if self.clocks == Clocks::Same {
            self.silent.forget_before(oldest, self.now);
            self.ordinary
                .forget_before(oldest.map(|oldest| oldest.minus(LINGER)));
            self.fronts.forget_before(oldest.unwrap_or(self.now));
        }
    }

    /// Whether more waits than may.
    pub fn is_crowded(&self) -> bool {
        self.held.len() > HELD_MAX || self.held_bytes > self.room
    }

    /// Sets of exchanges that were paired before their time, because too much waited.
    pub const fn hurried(&self) -> u64 {
        self.hurried
    }

    fn emit(
        &mut self,
        family: &[Slot],
        connections: &dyn OpenConnections,
        out: &mut Vec<Handshake>,
    ) {
        let mut nodes = Nodes::new();
        for &slot in family {
            if let Some(node) = self.forget_held(slot) {
                nodes.push(node);
            } else if let Some(open) = self.forget_open(slot) {
                // Fresh, because the session on it has gone on.
                nodes.extend(node_of(slot, open.asked, connections).map(Box::new));
                self.emitted.insert(slot);
            }
        }
        self.add_hanging(&nodes, connections);
        let rivals = self.rivals(&nodes, connections);
        let mut context = Context {
            known: &mut self.known,
            silent: self.silent.all(),
            ordinary: self.ordinary.all(),
            rivals: &rivals,
            settled: true,
        };
        let mut handshakes = pair_nodes(nodes, &mut context);
        self.join_fronts(&mut handshakes, connections);
        let attempts = handshakes.iter().flat_map(|found| &found.attempts);
        for attempt in attempts {
            self.silent.forget(&attempt.record);
        }
        out.extend(handshakes);
    }

    /// The capture is over: everything left, by start.
    pub fn finish(&mut self, out: &mut Vec<Handshake>) {
        let nodes = std::mem::take(&mut self.held)
            .into_values()
            .map(|held| held.node)
            .collect();
        let mut context = Context {
            known: &mut self.known,
            silent: self.silent.all(),
            ordinary: self.ordinary.all(),
            rivals: &[],
            settled: true,
        };
        let mut handshakes = pair_nodes(nodes, &mut context);
        // All that there is lies before us: no others may come.
        let given = (self.clocks, &Nothing as &dyn OpenConnections);
        self.fronts
            .join(&mut handshakes, &self.known, given, |_| Some(Vec::new()));
        out.extend(handshakes);
        *self = Self {
            known: std::mem::take(&mut self.known),
            room: self.room,
            hurried: self.hurried,
            ..Self::new(self.clocks)
        };
    }
}
