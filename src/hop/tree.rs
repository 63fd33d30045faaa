//! The exchanges of one handshake as a tree: who forwarded whose request, what was asked beside it, what was given up.
//!
//! ```text
//!  client hop --+-- subrequest (set apart)
//!               +-- first try (given up)
//!               +-- next try --- hop behind the next proxy
//! ```
//!
//! Invariant: an exchange is in one tree, and in one place of it.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::changes::{changes, check_accept};
use super::handshake::{Confidence, ConnectAttempt, Handshake, Hop, Role};
use super::link::comes_late;
use super::matching::Parent;
use super::node::Node;
use super::record::{Exchange, SharedRecord};
use super::siblings::{self, Before};
use super::subrequests::{is_mirrored, is_misunderstood, is_subrequest};
use crate::websocket::Accept;

/// Hops of one parent that are looked at to tell a subrequest from the request that follows it.
const SIBLINGS_MAX: usize = 16;

/// The exchanges of one handshake, by their places in the list of all.
pub(super) struct Tree {
    /// Outermost first, each with the place of its parent in this list; children in time order, depth first.
    hops: Vec<(usize, Option<usize>)>,
    subrequests: Vec<(usize, Option<usize>)>,
    /// Requests that the proxy gave up before the only hop.
    given_up: Vec<usize>,
    ambiguous: bool,
}

/// The trees that exchanges make by their parents.
pub(super) fn grow(nodes: &[Node], parents: &[Option<Parent>]) -> Vec<Tree> {
    let mut trees = of_parents(nodes, parents);
    adopt(&mut trees, nodes);
    for tree in &mut trees {
        tree.set_subrequests_apart(nodes);
    }
    trees
}

fn of_parents(nodes: &[Node], parents: &[Option<Parent>]) -> Vec<Tree> {
    let mut children = vec![Vec::new(); nodes.len()];
    let mut disputed = vec![false; nodes.len()];
    let root = |of: usize| {
        std::iter::successors(Some(of), |&at| {
            parents.get(at)?.as_ref().map(|parent| parent.index)
        })
        .last()
        .unwrap_or(of)
    };
    for (child, parent) in parents.iter().enumerate() {
        let Some(parent) = parent else { continue };
        if let Some(siblings) = children.get_mut(parent.index) {
            siblings.push(child);
        }
        if let Some(rival) = parent.rival {
            for root in [root(child), root(rival)] {
                if let Some(disputed) = disputed.get_mut(root) {
                    *disputed = true;
                }
            }
        }
    }
    let roots = (0..nodes.len()).filter(|&at| parents.get(at).is_some_and(Option::is_none));
    roots
        .map(|root| {
            let mut hops = Vec::new();
            let mut stack = vec![(root, None)];
            while let Some((at, parent)) = stack.pop() {
                let place = hops.len();
                hops.push((at, parent));
                let below = children.get(at).into_iter().flatten();
                stack.extend(below.rev().map(|&child| (child, Some(place))));
            }
            Tree {
                hops,
                subrequests: Vec::new(),
                given_up: Vec::new(),
                ambiguous: disputed.get(root).copied().unwrap_or_default(),
            }
        })
        .collect()
}

impl Tree {
    /// The hops' nodes, in the order of the handshake's hops.
    pub(super) fn nodes<'a>(&self, nodes: &'a [Node]) -> Vec<&'a Node> {
        let hops = self.hops.iter();
        hops.filter_map(|&(at, _)| nodes.get(at)).collect()
    }

    /// The last child of each hop, if it has any.
    fn last_children(&self) -> Vec<Option<usize>> {
        let mut last = vec![None; self.hops.len()];
        for (place, &(_, parent)) in self.hops.iter().enumerate() {
            if let Some(last) = parent.and_then(|parent| last.get_mut(parent)) {
                *last = Some(place);
            }
        }
        last
    }

    /// Takes out the hops that only asked for permission (nginx `auth_request`): same key, no Upgrade, another target;
    /// and copies whose answer nobody waits for (nginx `mirror`).
    fn set_subrequests_apart(&mut self, nodes: &[Node]) {
        let last_children = self.last_children();
        let is_subrequest = |place: usize| {
            let &(at, parent) = self.hops.get(place)?;
            let (above, _) = *self.hops.get(parent?)?;
            let (outer, inner) = (nodes.get(above)?, nodes.get(at)?);
            if last_children.get(place)?.is_some() {
                return Some(false);
            }
            let after = |places: &[(usize, Option<usize>)]| -> SmallVec<[&Node; 4]> {
                let siblings = places.iter().filter(|&&(_, other)| other == parent);
                let near = siblings.take(SIBLINGS_MAX);
                near.filter_map(|&(at, _)| nodes.get(at)).collect()
            };
            let (before, later) = self.hops.split_at_checked(place)?;
            let later = after(later.get(1..)?);
            let follower = later.iter().any(|next| {
                next.traits().path != inner.traits().path
                    && inner.over().is_some_and(|o| o <= next.start())
            });
            let mut siblings = after(before);
            siblings.extend(later);
            Some(
                comes_late(outer, inner)
                    || is_subrequest(outer, inner, follower)
                    || siblings
                        .iter()
                        .any(|other| is_mirrored(outer, inner, other))
                    || siblings.is_empty() && is_misunderstood(outer, inner),
            )
        };
        let apart: Vec<bool> = (0..self.hops.len())
            .map(|place| is_subrequest(place).unwrap_or(false))
            .collect();
        if !apart.contains(&true) {
            return;
        }
        // Subrequests have no children, so that only places shift.
        let mut places = Vec::with_capacity(self.hops.len());
        let mut hops = Vec::new();
        for (&hop, &apart) in self.hops.iter().zip(&apart) {
            places.push(hops.len());
            if apart {
                self.subrequests.push(hop);
            } else {
                hops.push(hop);
            }
        }
        for (_, parent) in hops.iter_mut().chain(&mut self.subrequests) {
            *parent = parent.and_then(|place| places.get(place).copied());
        }
        self.hops = hops;
    }

    /// Places of hops that were given up for a later one, with all that hangs on them.
    fn retried(&self) -> Vec<bool> {
        let last_children = self.last_children();
        let mut retried: Vec<bool> = Vec::with_capacity(self.hops.len());
        for (place, &(_, parent)) in self.hops.iter().enumerate() {
            let last = parent.and_then(|parent| *last_children.get(parent)?);
            let later = last.is_some_and(|last| last != place);
            let inherited = parent.and_then(|parent| retried.get(parent).copied());
            retried.push(later || inherited.unwrap_or(false));
        }
        retried
    }

    /// The handshake: its hops, and what was sent beside them.
    pub(super) fn build(
        &self,
        nodes: &[Node],
        parents: &[Option<Parent>],
        copies: &[Vec<SharedRecord>],
        settled: bool,
    ) -> Handshake {
        let retried = self.retried();
        let last_children = self.last_children();
        let hop = |place: usize, (at, parent): (usize, Option<usize>), retried: bool| {
            let node = nodes.get(at)?;
            let outer = parent
                .and_then(|parent| self.hops.get(parent))
                .and_then(|&(above, _)| nodes.get(above)?.exchange());
            let forwards = last_children.get(place).is_some_and(Option::is_some);
            let role = match (parent, forwards) {
                (None, true) => Role::ClientProxy,
                (Some(_), true) => Role::ProxyProxy,
                (Some(_), false) => Role::ProxyBackend,
                (None, false) => Role::Unknown,
            };
            let paired = parents.get(at)?.as_ref();
            Some(Hop {
                paired_by: paired.map(|parent| (parent.by, parent.confidence)),
                parent,
                retried,
                copies: copies.get(at).cloned().unwrap_or_default(),
                ..hop_of(node, role, outer)?
            })
        };
        let hops = self
            .hops
            .iter()
            .zip(retried)
            .enumerate()
            .filter_map(|(place, (&found, retried))| hop(place, found, retried))
            .collect();
        Handshake {
            attempts: self
                .given_up
                .iter()
                .filter_map(|&at| nodes.get(at))
                .map(|node| ConnectAttempt {
                    record: node.record.clone(),
                    confidence: Confidence::Certain,
                    parent: 0,
                })
                .collect(),
            subrequests: self
                .subrequests
                .iter()
                .filter_map(|&found| hop(usize::MAX, found, false))
                .collect(),
            ambiguous: self.ambiguous,
            ..Handshake::of(hops, settled)
        }
    }
}

/// Gives lone hops what their proxy asked before, where the hop in front of both is not in the capture.
fn adopt(trees: &mut Vec<Tree>, nodes: &[Node]) {
    let lone: Vec<usize> = trees
        .iter()
        .filter_map(|tree| match tree.hops.as_slice() {
            [(at, None)] => Some(*at),
            _ => None,
        })
        .collect();
    let found = siblings::find(nodes, &lone);
    if found.is_empty() {
        return;
    }
    let last = |at: usize| {
        let next = |&at: &usize| found.get(&at).map(|(next, _)| *next);
        std::iter::successors(Some(at), next).last().unwrap_or(at)
    };
    let mut orphans: HashMap<usize, Vec<(usize, Before)>> = HashMap::new();
    trees.retain(|tree| {
        let at = tree.hops.first().map(|(at, _)| *at);
        let Some((at, (_, what))) = at.and_then(|at| Some((at, *found.get(&at)?))) else {
            return true;
        };
        orphans.entry(last(at)).or_default().push((at, what));
        false
    });
    for tree in trees {
        if let [(at, None)] = tree.hops.as_slice()
            && let Some(before) = orphans.remove(at)
        {
            for (at, what) in before {
                match what {
                    Before::Subrequest => tree.subrequests.push((at, None)),
                    Before::GivenUp => tree.given_up.push(at),
                }
            }
        }
    }
}

/// An exchange as a hop; `outer`: the one that it forwards.
pub(super) fn hop_of(node: &Node, role: Role, outer: Option<&Exchange>) -> Option<Hop> {
    let exchange = node.exchange()?;
    // A key that breaks off demands nothing.
    let key = node.asked.key.filter(|_| node.is_whole());
    let accept_expected = key.map(|key| key.accept);
    Some(Hop {
        record: node.record.clone(),
        place: node.place,
        role,
        paired_by: None,
        accept: check_accept(exchange, accept_expected.as_ref().map(Accept::as_str)),
        accept_expected,
        changes: outer
            .map(|outer| changes(outer, exchange))
            .unwrap_or_default(),
        parent: None,
        retried: false,
        copies: Vec::new(),
    })
}
