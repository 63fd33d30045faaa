//! How what is not yet emitted looks now: for a live view, and for who asks what failed connections belong to.
//!
//! Nothing is consumed, and what is not settled teaches nothing about proxies.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Bound;

use foldhash::HashMap;
use smallvec::SmallVec;

use super::super::attempts::{self, Silent};
use super::super::context::{Context, Nodes};
use super::super::handshake::Handshake;
use super::super::node::Slot;
use super::super::pairing::{nodes_of, pair_nodes};
use super::super::record::{Record, SharedRecord};
use super::super::relayed::Relayed;
use super::family::node_of;
use super::{Book, OpenConnections};
use crate::capture::Timestamp;
use crate::tcp::ConnectionId;
use crate::tls::Sizes;

/// Largest set of exchanges paired for a preview: the nearest ones, which are more than the hops and tries of any
/// handshake.
const PREVIEWED_MAX: usize = 32;

impl Book {
    /// What is not yet emitted, as it looks now. Nothing is consumed.
    pub fn preview(&self, connections: &dyn OpenConnections) -> Vec<Handshake> {
        let mut nodes: Nodes = self.held.values().map(|held| held.node.clone()).collect();
        let mut silent = self.silent.all().clone();
        for id in self.open.connections() {
            let record: Option<SharedRecord> = connections.snapshot(id).map(Into::into);
            let of = record.iter().flat_map(nodes_of);
            nodes.extend(
                of.filter(|node| self.open.contains(node.slot))
                    .map(Box::new),
            );
        }
        nodes.sort_by_key(|node| (node.start(), node.slot));
        if let Some(waiting) = nodes.iter().find(|node| node.status != Some(101)) {
            let from = waiting.start().at;
            for record in connections.without_payload(from, self.now) {
                if attempts::is_candidate(&record) {
                    silent.insert(attempts::place(&record), record.into());
                }
            }
        }
        let mut context = Context {
            known: &mut self.known.clone(),
            silent: &silent,
            ordinary: self.ordinary.all(),
            rivals: &[],
            settled: false,
        };
        pair_nodes(nodes, &mut context).into_vec()
    }

    /// The handshakes that these open connections take part in, as they look now. Nothing is consumed; the cost follows
    /// the number of connections named, not that of all that are open.
    pub fn preview_of(
        &mut self,
        touched: &BTreeSet<ConnectionId>,
        connections: &dyn OpenConnections,
    ) -> Vec<Handshake> {
        let connections = &Once::new(connections);
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        // What is not settled teaches nothing: a copy, made once for all.
        let mut known = None;
        self.previews = true;
        let untold = std::mem::take(&mut self.untold);
        let mut told = touched.clone();
        told.extend(untold.iter().map(|slot| slot.connection));
        let decided = touched.iter().flat_map(|&id| self.undecided_slots(id));
        let slots: Vec<Slot> = untold.into_iter().chain(decided).collect();
        for slot in slots {
            if seen.contains(&slot) {
                continue;
            }
            self.look_at(slot, connections);
            if let Some(open) = self.open.get_mut(slot) {
                let node = open.seen.as_deref().map(|(_, node)| node);
                open.told = node.is_some_and(|node| node.answer.is_some());
            }
            let family = self.family(slot, PREVIEWED_MAX, connections);
            seen.extend(family.iter().copied());
            let nodes: Nodes = family
                .iter()
                .filter_map(|slot| {
                    if let Some(held) = self.held.get(slot) {
                        return Some(held.node.clone());
                    }
                    let asked = self.open.get(*slot)?.asked;
                    node_of(*slot, asked, connections).map(Box::new)
                })
                .collect();
            let hanging = self.hanging(&nodes, connections);
            let more = (!hanging.is_empty()).then(|| {
                let begins = nodes.iter();
                let begin = begins
                    .map(|node| node.dials_from().unwrap_or(node.start()))
                    .min();
                let from = begin.map_or((Bound::Unbounded, Bound::Unbounded), |begin| {
                    (Bound::Included((begin, ConnectionId(0))), Bound::Unbounded)
                });
                let kept = self.silent.all().range(from);
                let mut silent: Silent = kept.map(|(key, record)| (*key, record.clone())).collect();
                silent.extend(
                    hanging
                        .into_iter()
                        .map(|one| (attempts::place(&one), one.into())),
                );
                silent
            });
            let mut context = Context {
                known: known.get_or_insert_with(|| self.known.clone()),
                silent: more.as_ref().unwrap_or(self.silent.all()),
                ordinary: self.ordinary.all(),
                rivals: &[],
                settled: false,
            };
            // Neighbours that nothing happened to only help to pair.
            let is_touched = |found: &Handshake| {
                found
                    .hops
                    .iter()
                    .any(|hop| told.contains(&hop.record.connection.id))
            };
            let mut found = pair_nodes(nodes, &mut context).into_vec();
            found.retain(is_touched);
            self.join_fronts(&mut found, connections);
            out.append(&mut found);
        }
        out
    }

    /// Something was decided on an open connection that is about to close, and no preview has told of it.
    pub fn leaves_untold(&mut self, id: ConnectionId) {
        if !self.previews {
            return;
        }
        for slot in self.undecided_slots(id) {
            if let Some(open) = self.open.get_mut(slot) {
                open.told = false;
            }
        }
    }

    /// Those to which something may have happened since they were previewed: the last one may be followed by a session, and
    /// all that had no answer.
    fn undecided_slots(&self, id: ConnectionId) -> SmallVec<[Slot; 1]> {
        let mut slots = self.open.on(id);
        let last = slots.pop();
        slots.retain(|slot| self.open.get(*slot).is_none_or(|open| !open.told));
        slots.extend(last);
        slots
    }
}

/// Looks at each open connection once.
struct Once<'a> {
    connections: &'a dyn OpenConnections,
    seen: RefCell<HashMap<ConnectionId, Option<SharedRecord>>>,
}

impl<'a> Once<'a> {
    fn new(connections: &'a dyn OpenConnections) -> Self {
        Self {
            connections,
            seen: RefCell::default(),
        }
    }
}

impl OpenConnections for Once<'_> {
    fn snapshot(&self, id: ConnectionId) -> Option<Record> {
        self.connections.snapshot(id)
    }

    fn shared(&self, id: ConnectionId) -> Option<SharedRecord> {
        let mut seen = self.seen.borrow_mut();
        seen.entry(id)
            .or_insert_with(|| self.connections.shared(id))
            .clone()
    }

    fn sizes(&self, id: ConnectionId) -> Option<&Sizes> {
        self.connections.sizes(id)
    }

    fn relayed(&self, id: ConnectionId) -> Option<&Relayed> {
        self.connections.relayed(id)
    }

    fn without_payload(&self, from: Timestamp, to: Timestamp) -> Vec<Record> {
        self.connections.without_payload(from, to)
    }
}
