//! Requests that are no handshake attempts: the other hop may be one of them when a proxy took everything away, or
//! added an Upgrade that no client sent. And every forwarded one shows that the capture sees the proxy's back.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use foldhash::HashMap;

use super::asked::number;
use super::handshake::{Confidence, PairedBy};
use super::known::Known;
use super::link::{
    RELAY_NANOS, has_proxy_address, is_relayed, nested, relayed_path, relayed_target,
};
use super::matching::Parent;
use super::node::{Node, Slot};
use super::record::{Exchange, OrdinaryExchange, Record, SharedRecord};
use crate::capture::{FrameRef, Timestamp};
use crate::decode::Endpoint;

/// Most ordinary exchanges kept because they happened while a handshake attempt waited.
const KEPT_MAX: usize = 4096;

/// Most ordinary exchanges looked at to see which forwards which: what is forwarded is near in time.
const RECENT_MAX: usize = 1024;

/// Exchanges with one and the same target looked at per new one.
const SAME_TARGET_MAX: usize = 8;

/// Ordinary exchanges by the first frame of their requests.
pub(super) type Ordinary = BTreeMap<(FrameRef, Slot), SharedRecord>;

/// What is remembered of ordinary exchanges.
#[derive(Debug, Default)]
pub(super) struct OrdinaryPool {
    kept: Ordinary,
    recent: HashMap<u64, VecDeque<Recent>>,
    targets: VecDeque<u64>,
}

/// An ordinary exchange, as far as it shows who forwards to whom.
#[derive(Debug, Clone, Copy)]
struct Recent {
    client: IpAddr,
    server: Endpoint,
    request: FrameRef,
    answer: FrameRef,
    status: u16,
}

impl OrdinaryPool {
    pub(super) fn all(&self) -> &Ordinary {
        &self.kept
    }

    /// Keeps one that may be a hop of a handshake. The oldest ones make room.
    pub(super) fn keep(&mut self, record: &SharedRecord, exchange: &OrdinaryExchange) {
        if self.kept.len() >= KEPT_MAX {
            self.kept.pop_first();
        }
        let place = (exchange.request, slot(record, exchange));
        self.kept.insert(place, record.clone());
    }

    /// Drops what began before every exchange that is still held.
    pub(super) fn forget_before(&mut self, oldest: Option<Timestamp>) {
        while let Some(entry) = self.kept.first_entry() {
            if oldest.is_some_and(|oldest| entry.key().0.at >= oldest) {
                break;
            }
            entry.remove();
        }
    }

    /// Looks whether an exchange was forwarded, or forwards another: same target and status, tightly nested.
    pub(super) fn learn(
        &mut self,
        record: &Record,
        exchange: &OrdinaryExchange,
        known: &mut Known,
    ) {
        let Some((answer, status)) = exchange.response else {
            return;
        };
        let new = Recent {
            client: record.connection.client.ip(),
            server: record.connection.server,
            request: exchange.request,
            answer,
            status,
        };
        let target = number(7, exchange.target.as_bytes());
        if self.targets.len() >= RECENT_MAX
            && let Some(oldest) = self.targets.pop_front()
            && let Some(others) = self.recent.get_mut(&oldest)
        {
            others.pop_front();
            if others.is_empty() {
                self.recent.remove(&oldest);
            }
        }
        let others = self.recent.entry(target).or_default();
        for other in others.iter().rev().take(SAME_TARGET_MAX) {
            for (outer, inner) in [(other, &new), (&new, other)] {
                if outer.forwards_to(inner) {
                    known.learn(outer.server, inner.client, inner.request.capture());
                }
            }
        }
        others.push_back(new);
        self.targets.push_back(target);
    }
}

impl Recent {
    fn forwards_to(&self, inner: &Self) -> bool {
        let relayed = |from: FrameRef, to: FrameRef| {
            from.capture() == to.capture() && from < to && to.at.nanos_since(from.at) <= RELAY_NANOS
        };
        self.status == inner.status
            && self.server != inner.server
            && (self.client != inner.client || self.client == self.server.ip())
            && relayed(self.request, inner.request)
            && relayed(inner.answer, self.answer)
    }
}

fn slot(record: &Record, exchange: &OrdinaryExchange) -> Slot {
    Slot {
        connection: record.connection.id,
        exchange: exchange.index,
    }
}

/// Gives lone attempts an ordinary exchange as the other hop, where exactly one fits: same path and query, the
/// proxy's address (or a connection opened for it), nested in time.
pub(super) fn join(
    nodes: &mut Vec<Node>,
    parents: &mut Vec<Option<Parent>>,
    ordinary: &Ordinary,
    known: &Known,
) {
    if ordinary.is_empty() {
        return;
    }
    let mut alone = vec![true; nodes.len()];
    for (child, parent) in parents.iter().enumerate() {
        for place in parent.iter().map(|parent| parent.index).chain(
            // A child is not alone either.
            parent.is_some().then_some(child),
        ) {
            if let Some(alone) = alone.get_mut(place) {
                *alone = false;
            }
        }
    }
    let mut taken = std::collections::BTreeSet::new();
    for (at, _) in alone.iter().enumerate().filter(|(_, alone)| **alone) {
        let Some((other, inward)) = nodes
            .get(at)
            .and_then(|node| partner(node, ordinary, known))
        else {
            continue;
        };
        if !taken.insert(other.slot) {
            continue;
        }
        let place = nodes.len();
        let parent = |index| {
            Some(Parent {
                index,
                by: PairedBy::PathAndTime,
                confidence: Confidence::Likely,
                rival: None,
            })
        };
        nodes.push(other);
        if inward {
            parents.push(parent(at));
        } else {
            parents.push(None);
            if let Some(above) = parents.get_mut(at) {
                *above = parent(place);
            }
        }
    }
}

/// The only ordinary exchange that fits, and whether it is the inner hop.
fn partner(node: &Node, ordinary: &Ordinary, known: &Known) -> Option<(Node, bool)> {
    let begin = node.begin?;
    let first = Slot::FIRST;
    // Inner ones began later; outer ones a little earlier.
    let early = begin.with_time(begin.at.shifted(-RELAY_NANOS));
    let until = node.over();
    let mut found = ordinary
        .range((early, first)..)
        .take_while(|((frame, _), _)| until.is_none_or(|until| *frame < until))
        .filter_map(|((_, slot), record)| {
            let exchange = exchange(record, *slot)?;
            // Most are told apart by their targets, which is cheap.
            relayed_target(node, &exchange.target).then(|| summary(record, exchange))?
        })
        .filter_map(|other| {
            let fits = |outer: &Node, inner: &Node| {
                nested(outer, inner)
                    && relayed_path(outer, inner)
                    && (has_proxy_address(outer, inner, known) || is_relayed(outer, inner))
            };
            if fits(node, &other) {
                Some((other, true))
            } else if fits(&other, node) {
                Some((other, false))
            } else {
                None
            }
        });
    let only = found.next()?;
    found.next().is_none().then_some(only)
}

fn exchange(record: &SharedRecord, slot: Slot) -> Option<&OrdinaryExchange> {
    let mut exchanges = record.ordinary.iter();
    exchanges.find(|exchange| exchange.index == slot.exchange)
}

/// An ordinary exchange as a node: on a record that has it among its exchanges, as a summary.
fn summary(record: &SharedRecord, exchange: &OrdinaryExchange) -> Option<Node> {
    let mut with = Record::clone(record);
    with.exchanges.push(Exchange {
        index: exchange.index,
        ordinary: Some(Box::new(exchange.clone())),
        ..Exchange::default()
    });
    let place = with.exchanges.len() - 1;
    Node::new(&with.into(), place, None)
}
