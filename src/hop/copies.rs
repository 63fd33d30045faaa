//! One connection seen at several vantage points is one hop: before and after address translation, on two hosts.

use foldhash::{HashMap, HashMapExt as _};

use super::node::Node;
use super::record::SharedRecord;
use crate::decode::{Endpoint, SeqNo};

/// A hop, and the records of the same exchange seen elsewhere.
pub(super) struct Merged {
    pub(super) node: Node,
    pub(super) copies: Vec<SharedRecord>,
}

/// What copies of an exchange have in common: both initial sequence numbers, or (without them) the client's
/// endpoint and every byte of the request; and the exchange's number.
#[derive(PartialEq, Eq, Hash)]
enum Same {
    Numbers(u32, u32, u32),
    Request(Endpoint, u64),
}

/// Both initial sequence numbers, where both SYNs are in the capture.
fn numbers(node: &Node) -> Option<(SeqNo, SeqNo)> {
    let connection = &node.record.connection;
    connection.to_server.isn.zip(connection.to_client.isn)
}

/// Whether two exchanges are surely not one seen twice.
pub(super) fn are_apart(a: &Node, b: &Node) -> bool {
    numbers(a).zip(numbers(b)).is_some_and(|(a, b)| a != b)
}

/// Whether two exchanges are one, seen before and after address translation.
pub(super) fn are_one(a: &Node, b: &Node) -> bool {
    same(a).zip(same(b)).is_some_and(|(a, b)| a == b)
}

fn same(node: &Node) -> Option<Same> {
    if let Some((SeqNo(client), SeqNo(server))) = numbers(node) {
        return Some(Same::Numbers(client, server, node.slot.exchange));
    }
    // The server's endpoint is left out: that is what a translation of destinations changes.
    Some(Same::Request(
        node.views.first()?.client,
        node.traits().raw?,
    ))
}

/// Joins the copies of each exchange: the most complete and earliest one stands for all.
pub(super) fn merge(mut nodes: Vec<Node>) -> Vec<Merged> {
    let complete = |node: &Node| {
        let exchange = node.exchange();
        exchange.is_some_and(|e| e.request.is_some() && e.response.is_some())
    };
    nodes.sort_by_cached_key(|node| (!complete(node), node.start(), node.slot));
    let mut merged: Vec<Merged> = Vec::with_capacity(nodes.len());
    let mut places: HashMap<Same, usize> = HashMap::new();
    for node in nodes {
        let Some(same) = same(&node) else {
            merged.push(Merged::alone(node));
            continue;
        };
        match places.entry(same) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(merged.len());
                merged.push(Merged::alone(node));
            }
            std::collections::hash_map::Entry::Occupied(entry) => {
                match merged.get_mut(*entry.get()) {
                    Some(original) if original.is_copy(&node) => original.add(&node),
                    _ => merged.push(Merged::alone(node)),
                }
            }
        }
    }
    merged.sort_by_key(|merged| (merged.node.start(), merged.node.slot));
    merged
}

impl Merged {
    fn alone(node: Node) -> Self {
        Self {
            node,
            copies: Vec::new(),
        }
    }

    fn is_copy(&self, other: &Node) -> bool {
        let differ = |a: Option<u64>, b: Option<u64>| a.zip(b).is_some_and(|(a, b)| a != b);
        self.node.slot.connection != other.slot.connection
            && !differ(self.node.traits().raw, other.traits().raw)
            && self.node.views != other.views
    }

    fn add(&mut self, other: &Node) {
        self.node.views.extend(other.views.iter().copied());
        self.copies.push(other.record.clone());
    }
}
