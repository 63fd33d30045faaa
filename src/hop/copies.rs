//! One connection seen at several vantage points is one hop: before and after address translation, on two hosts.

use foldhash::{HashMap, HashMapExt as _};
use smallvec::SmallVec;

use super::node::Node;
use super::record::SharedRecord;
use crate::decode::{Endpoint, SeqNo};
use crate::tcp::Side;

/// A hop, and the records of the same exchange seen elsewhere.
pub(super) struct Merged {
    pub(super) node: Node,
    pub(super) copies: Vec<SharedRecord>,
}

/// What copies of an exchange have in common: both initial sequence numbers, or (where a SYN of one was lost) that of one
/// side or the client's endpoint, and every byte of the request; and the exchange's number.
#[derive(PartialEq, Eq, Hash)]
enum Same {
    Numbers(u32, u32, u32),
    Half(Side, u32, u64, u32),
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

/// Whether the numbers of two exchanges differ where both are known.
fn contradict(a: &Node, b: &Node) -> bool {
    let (a, b) = (&a.record.connection, &b.record.connection);
    let differ = |a: Option<SeqNo>, b: Option<SeqNo>| a.zip(b).is_some_and(|(a, b)| a != b);
    differ(a.to_server.isn, b.to_server.isn) || differ(a.to_client.isn, b.to_client.isn)
}

/// Whether two exchanges are one, seen before and after address translation.
pub(super) fn are_one(a: &Node, b: &Node) -> bool {
    if numbers(a).is_some() && numbers(b).is_some() {
        return numbers(a) == numbers(b) && a.slot.exchange == b.slot.exchange;
    }
    !contradict(a, b) && by_request(a).any(|a| by_request(b).any(|b| a == b))
}

/// What tells it by its numbers alone.
fn by_numbers(node: &Node) -> Option<Same> {
    let (SeqNo(client), SeqNo(server)) = numbers(node)?;
    Some(Same::Numbers(client, server, node.slot.exchange))
}

/// What tells it by its request as well, which counts where a number of it or of the other is not known.
fn by_request(node: &Node) -> impl Iterator<Item = Same> {
    let connection = &node.record.connection;
    let raw = node.traits().raw;
    let numbers = [
        (Side::Client, connection.to_server.isn),
        (Side::Server, connection.to_client.isn),
    ];
    let exchange = node.slot.exchange;
    let half = numbers
        .into_iter()
        .filter_map(move |(side, number)| Some(Same::Half(side, number?.0, raw?, exchange)));
    // The server's endpoint is left out: that is what a translation of destinations changes.
    let client = node.views.first().map(|view| view.client);
    half.chain(
        client
            .zip(raw)
            .map(|(client, raw)| Same::Request(client, raw)),
    )
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
    let lost = nodes.iter().any(|node| numbers(node).is_none());
    for node in nodes {
        let known = by_numbers(&node);
        let requests = by_request(&node).filter(|_| lost);
        let keys: SmallVec<[Same; 4]> = known.into_iter().chain(requests).collect();
        let found = keys.iter().find_map(|key| {
            let place = *places.get(key)?;
            let original: &Merged = merged.get(place)?;
            let one = original.is_copy(&node) && are_one(&original.node, &node);
            one.then_some(place)
        });
        if let Some(original) = found.and_then(|place| merged.get_mut(place)) {
            original.add(&node);
            continue;
        }
        for key in keys {
            places.entry(key).or_insert(merged.len());
        }
        merged.push(Merged::alone(node));
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
