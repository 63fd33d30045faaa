//! Which of the exchanges in the book may belong together, and whether all that belongs to them is there.
//!
//! Open connections are asked as seldom as may be: the state of one is copied to be looked at.

use foldhash::{HashSet, HashSetExt as _};

use super::super::asked::Asked;
use super::super::attempts;
use super::super::index::{NEIGHBOURS_MAX, Slots};
use super::super::link::{may_nest, strong_key, weak};
use super::super::node::{Node, Slot};
use super::super::record::Record;
use super::super::siblings::before;
use super::{Book, LINGER, MAX_WAIT, OpenConnections};
use crate::capture::Timestamp;

/// Exchanges among which one is looked for one by one.
const FEW: usize = 8;

impl Book {
    /// All exchanges that may belong to the same handshakes as this one, the nearest `most` of them.
    pub(super) fn family(
        &mut self,
        slot: Slot,
        most: usize,
        connections: &dyn OpenConnections,
    ) -> Slots {
        let mut family: Slots = smallvec::smallvec![slot];
        // Once there are more than a few.
        let mut seen = HashSet::new();
        let mut next = 0;
        while let Some(&at) = family.get(next) {
            next += 1;
            let near = self
                .node(at)
                .map(|node| self.index.neighbours(node, &self.known));
            for other in near.unwrap_or_default() {
                if family.len() >= most {
                    return family;
                }
                let is_in = if seen.is_empty() {
                    family.contains(&other)
                } else {
                    seen.contains(&other)
                };
                if is_in {
                    continue;
                }
                self.look_at(other, connections);
                if self.may_belong(at, other) {
                    family.push(other);
                    if !seen.is_empty() {
                        seen.insert(other);
                    } else if family.len() > FEW {
                        seen.extend(family.iter().copied());
                    }
                }
            }
        }
        family
    }

    /// Asks for the present state of an exchange on an open connection, unless it is known well enough.
    pub(super) fn look_at(&mut self, slot: Slot, connections: &dyn OpenConnections) {
        let now = self.now;
        let Some(open) = self.open.get_mut(slot) else {
            return;
        };
        let fresh = |(at, node): &(Timestamp, Node)| *at == now || node.answer.is_some();
        if open.seen.as_deref().is_none_or(|seen| !fresh(seen)) {
            open.seen = node_of(slot, open.asked, connections).map(|node| Box::new((now, node)));
            if let Some((_, node)) = open.seen.as_deref() {
                self.index.update(open.at, slot, node);
            }
        }
    }

    pub(super) fn node(&self, slot: Slot) -> Option<&Node> {
        match self.held.get(&slot) {
            Some(held) => Some(&held.node),
            None => Some(&self.open.get(slot)?.seen.as_deref()?.1),
        }
    }

    fn may_belong(&self, a: Slot, b: Slot) -> bool {
        let (Some(a), Some(b)) = (self.node(a), self.node(b)) else {
            return false;
        };
        let (a, b) = if a.start() <= b.start() {
            (a, b)
        } else {
            (b, a)
        };
        if before(a, b).is_some() {
            return true;
        }
        if !may_nest(a, b) && !may_nest(b, a) {
            return false;
        }
        strong_key(a, b).is_some()
            || strong_key(b, a).is_some()
            || weak(a, b, &self.known).is_some()
    }

    /// Whether an exchange that shares a link with it is on a connection that is still open: whatever else belongs to
    /// them, it is too early.
    pub(super) fn has_open_partner(
        &mut self,
        slot: Slot,
        connections: &dyn OpenConnections,
    ) -> bool {
        let near = self.node(slot).map(|node| self.index.linked(node));
        near.into_iter().flatten().any(|other| {
            self.open.contains(other) && {
                self.look_at(other, connections);
                self.may_belong(slot, other)
            }
        })
    }

    /// When a family is to be looked at again, if not all of it is there yet.
    pub(super) fn wait_for(&self, family: &[Slot], closed: Timestamp) -> Option<Timestamp> {
        let last = family
            .iter()
            .filter_map(|slot| Some(self.held.get(slot)?.closed))
            .max()?;
        let lingers = last.plus(LINGER);
        if lingers > self.now {
            return Some(lingers);
        }
        let open = family.iter().any(|slot| self.open.contains(*slot));
        (open || self.is_unexplained(family)).then(|| closed.plus(MAX_WAIT))
    }

    /// Whether an exchange is closed and has waited for others to close.
    pub(super) fn is_over(&self, slot: Slot) -> bool {
        let held = self.held.get(&slot);
        held.is_some_and(|held| self.is_crowded() || held.closed.plus(LINGER) <= self.now)
    }

    /// A lone exchange without a 101: a connect that hangs, a proxy's traffic elsewhere may still explain it.
    pub(super) fn is_unexplained(&self, family: &[Slot]) -> bool {
        let [slot] = family else { return false };
        self.held.get(slot).is_some_and(|held| {
            let session = held.node.exchange().and_then(|one| one.session.as_ref());
            let is_up = held.node.status == Some(101) || session.is_some();
            !is_up && !self.silent.may_explain(&held.node)
        })
    }

    /// Other exchanges that failed connects may be due to which lie within these.
    pub(super) fn rivals(
        &mut self,
        nodes: &[Box<Node>],
        connections: &dyn OpenConnections,
    ) -> Vec<Node> {
        let Some(outer) = nodes.iter().min_by_key(|node| (node.start(), node.slot)) else {
            return Vec::new();
        };
        let connects = self.silent.within(outer).take(NEIGHBOURS_MAX);
        let mut near: Vec<Slot> = Vec::new();
        for connect in connects {
            near.extend(self.index.failing_at(connect.at));
        }
        near.sort_unstable();
        near.dedup();
        near.into_iter()
            .filter_map(|slot| {
                self.look_at(slot, connections);
                let node = self.node(slot)?;
                attempts::is_failed_connect(node).then(|| node.clone())
            })
            .collect()
    }

    pub(super) fn add_hanging(&mut self, nodes: &[Box<Node>], connections: &dyn OpenConnections) {
        for mut record in self.hanging(nodes, connections) {
            self.silent.keep(&mut record, &self.known);
        }
    }

    /// Connects that hang are still in the table: looked for where nothing else explains the outcome. In a chain of proxies all
    /// pass on that the last one got nowhere.
    pub(super) fn hanging(
        &self,
        nodes: &[Box<Node>],
        connections: &dyn OpenConnections,
    ) -> Vec<Record> {
        let mut found = Vec::new();
        let unexplained = match nodes {
            [node] => node.status != Some(101),
            nodes => nodes.iter().all(|node| attempts::is_failed_connect(node)),
        };
        if unexplained && let Some(begin) = nodes.iter().filter_map(|node| node.dials_from()).min()
        {
            let over = nodes.iter().map(|node| node.over().map(|over| over.at));
            let until = over.map(|over| over.unwrap_or(self.now)).max();
            let until = until.unwrap_or(self.now);
            found = connections.without_payload(begin.at, until);
            found.retain(attempts::is_candidate);
        }
        found
    }
}

/// An exchange on an open connection, as it is now. `asked`: what its request says.
pub(super) fn node_of(slot: Slot, asked: Asked, connections: &dyn OpenConnections) -> Option<Node> {
    let record = connections.shared(slot.connection)?;
    let mut exchanges = record.exchanges.iter();
    let place = exchanges.position(|exchange| exchange.index == slot.exchange)?;
    Node::new(&record, place, Some(asked))
}
