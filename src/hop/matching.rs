//! Which exchange forwards which: every hop gets at most one parent.
//!
//! ```text
//!  candidates by shared link -> scored edges -> the best first, each child once, no parent busy twice at a time
//!  what has no parent then   -> weaker evidence among what was in flight -> the same again
//! ```
//!
//! Work is linear in the number of exchanges: a child looks at a bounded number of neighbours in time.

use std::cmp::Reverse;
use std::ops::Range;

use foldhash::{HashMap, HashMapExt as _};
use smallvec::SmallVec;

use super::handshake::{Confidence, PairedBy};
use super::known::Known;
use super::link::{Score, answer_lag, are_siblings, strong, weak};
use super::node::{LinkKind, Node};
use crate::decode::Endpoint;

/// Candidates before a child that are looked at, in time order: how many handshakes with one and the same key may
/// be in flight at once and still be told apart.
const BEFORE_MAX: usize = 64;

/// Candidates after a child: only hops whose request is not in the capture sort behind their child.
const AFTER_MAX: usize = 8;

/// How a hop was joined to the hop before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parent {
    /// The hop before it.
    pub(super) index: usize,
    pub(super) by: PairedBy,
    pub(super) confidence: Confidence,
    /// Another exchange outside of this handshake fits as well.
    pub(super) rival: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    parent: usize,
    child: usize,
    score: Score,
    /// Nanoseconds from the child's answer to the parent's.
    lag: i64,
}

/// The parents of `nodes`, which must be sorted by their start. What is learned about proxies goes to `known`.
pub(super) fn assign(nodes: &[Node], known: &mut Known) -> Vec<Option<Parent>> {
    let mut forest = Forest::new(nodes);
    let edges = strong_edges(nodes, known);
    forest.take(&edges);
    forest.take_orphans(&edges);
    forest.teach(known);
    let edges = weak_edges(nodes, &forest, known);
    forest.take(&edges);
    forest.parents()
}

fn strong_edges(nodes: &[Node], known: &Known) -> Vec<Edge> {
    let shared = Shared::new(nodes);
    let mut edges = Vec::new();
    let mut candidates = Vec::new();
    for (child, node) in nodes.iter().enumerate() {
        candidates.clear();
        let mut any_repeated = false;
        for (bucket, repeated) in node.links.iter().filter_map(|link| shared.by(*link)) {
            any_repeated |= repeated;
            let place = bucket.partition_point(|&(_, other)| other < child);
            let (before, after) = bucket.split_at(place);
            candidates.extend(before.iter().rev().take(BEFORE_MAX));
            candidates.extend(after.iter().skip(1).take(AFTER_MAX));
        }
        candidates.sort_unstable_by_key(|&(_, parent)| parent);
        candidates.dedup_by_key(|&mut (_, parent)| parent);
        edges.extend(candidates.iter().filter_map(|&(_, parent)| {
            let outer = nodes.get(parent)?;
            Some(Edge {
                parent,
                child,
                score: strong(outer, node, any_repeated, known)?,
                lag: answer_lag(outer, node),
            })
        }));
    }
    edges
}

type KindOfLink = (LinkKind, u64);

/// The nodes by what they share.
struct Shared {
    /// By link, then in their order.
    nodes: Vec<(KindOfLink, usize)>,
    /// Where the nodes of each link are among these, and whether several exchanges at one listener share it.
    buckets: Vec<(KindOfLink, Range<usize>, bool)>,
}

impl Shared {
    fn new(nodes: &[Node]) -> Self {
        let each = nodes.iter().enumerate();
        let mut by_link: Vec<(KindOfLink, usize)> = each
            .flat_map(|(at, node)| node.links.iter().map(move |&link| (link, at)))
            .collect();
        by_link.sort_unstable();
        let mut from = 0;
        let of_one = by_link.chunk_by(|(one, _), (other, _)| one == other);
        let buckets = of_one.filter_map(|bucket| {
            let (link, _) = *bucket.first()?;
            let range = from..from + bucket.len();
            from = range.end;
            Some((link, range, is_repeated(nodes, bucket)))
        });
        Self {
            buckets: buckets.collect(),
            nodes: by_link,
        }
    }

    fn by(&self, link: KindOfLink) -> Option<(&[(KindOfLink, usize)], bool)> {
        let place = self.buckets.binary_search_by_key(&link, |(link, ..)| *link);
        let (_, range, repeated) = self.buckets.get(place.ok()?)?;
        Some((self.nodes.get(range.clone())?, *repeated))
    }
}

/// Whether several exchanges at one listener share the link.
fn is_repeated(nodes: &[Node], bucket: &[(KindOfLink, usize)]) -> bool {
    let views = bucket
        .iter()
        .filter_map(|&(_, index)| nodes.get(index)?.views.first());
    let mut servers: SmallVec<[Endpoint; 4]> = views.map(|view| view.server).collect();
    servers.sort_unstable();
    servers
        .windows(2)
        .any(|pair| matches!(pair, [one, other] if one == other))
}

/// Edges to children that still lack a parent, from the exchanges that were in flight when they began.
fn weak_edges(nodes: &[Node], forest: &Forest<'_>, known: &Known) -> Vec<Edge> {
    let mut edges = Vec::new();
    let mut in_flight: Vec<usize> = Vec::new();
    for (child, node) in nodes.iter().enumerate() {
        let Some(begin) = node.begin else { continue };
        in_flight.retain(|&other| {
            let over = nodes.get(other).and_then(Node::over);
            over.is_none_or(|over| over > begin)
        });
        if !forest.has_parent(child) {
            edges.extend(in_flight.iter().filter_map(|&parent| {
                let outer = nodes.get(parent)?;
                Some(Edge {
                    parent,
                    child,
                    score: weak(outer, node, known)?,
                    lag: answer_lag(outer, node),
                })
            }));
        }
        in_flight.push(child);
        if in_flight.len() > BEFORE_MAX {
            in_flight.remove(0);
        }
    }
    edges
}

/// Hops and the parents found so far.
struct Forest<'a> {
    nodes: &'a [Node],
    above: Vec<Option<(Edge, Confidence)>>,
    below: Vec<Vec<usize>>,
    /// For each child, the edges that had the same score as the one taken.
    rivals: Vec<Option<usize>>,
}

impl<'a> Forest<'a> {
    fn new(nodes: &'a [Node]) -> Self {
        Self {
            nodes,
            above: vec![None; nodes.len()],
            below: vec![Vec::new(); nodes.len()],
            rivals: vec![None; nodes.len()],
        }
    }

    fn has_parent(&self, child: usize) -> bool {
        self.parent(child).is_some()
    }

    fn parent(&self, child: usize) -> Option<usize> {
        Some(self.above.get(child)?.as_ref()?.0.parent)
    }

    fn root(&self, of: usize) -> usize {
        std::iter::successors(Some(of), |&at| self.parent(at))
            .last()
            .unwrap_or(of)
    }

    /// Whether another child of the parent was in flight at the same time: a proxy asks one backend at a time.
    fn is_busy(&self, parent: usize, child: usize) -> bool {
        let siblings = self.below.get(parent).into_iter().flatten();
        siblings
            .filter(|&&sibling| sibling != child)
            .any(|&sibling| self.overlap(sibling, child))
    }

    fn overlap(&self, a: usize, b: usize) -> bool {
        let (Some(a), Some(b)) = (self.nodes.get(a), self.nodes.get(b)) else {
            return false;
        };
        let before =
            |first: &Node, second: &Node| first.over().is_some_and(|over| over <= second.start());
        !before(a, b) && !before(b, a)
    }

    /// Takes edges, the best first, as far as they contradict none taken before.
    fn take(&mut self, edges: &[Edge]) {
        let mut order: Vec<&Edge> = edges.iter().collect();
        // Of equal ones: children as they began, parents as their answers follow, else as they began. Proxies
        // serve in order, and so the hops of a chain find the one right above them: those further up are busy.
        order.sort_by_key(|edge| (Reverse(edge.score), edge.child, edge.lag, edge.parent));
        let mut taken = Vec::new();
        let mut turned_away: HashMap<usize, Score> = HashMap::new();
        for edge in order {
            if !self.fits(edge) {
                continue;
            }
            if self.is_busy(edge.parent, edge.child) {
                turned_away.entry(edge.child).or_insert(edge.score);
            } else if !self.is_mirror(edge, turned_away.get(&edge.child)) {
                self.put(edge, Confidence::Certain);
                taken.push(edge.child);
            }
        }
        self.judge(edges, &taken);
        for child in taken {
            self.drop_idle_guess(child);
        }
    }

    /// Whether the proxy in front sent both requests of an edge at the same time (nginx `mirror`): both come from its address,
    /// and the answers differ. `turned_away`: how well the child fits behind that proxy.
    fn is_mirror(&self, edge: &Edge, turned_away: Option<&Score>) -> bool {
        let status = |at: usize| self.nodes.get(at).and_then(|node| node.status);
        edge.score.host == 0
            && turned_away.is_some_and(|better| better.host > 0)
            && status(edge.parent) != status(edge.child)
    }

    /// Lets go of a hop before an answered one that has no answer itself and was chosen among several that fit alike, none
    /// of them at the proxy's address: who repeats one key and waits for ever must not hide what became of others.
    fn drop_idle_guess(&mut self, child: usize) {
        let Some((edge, Confidence::Guess)) = self.above.get(child).copied().flatten() else {
            return;
        };
        let answered = |index: usize| {
            self.nodes
                .get(index)
                .is_some_and(|node| node.answer.is_some())
        };
        let rival = self.rivals.get(child).copied().flatten();
        if rival.is_none() || edge.score.host >= 2 || answered(edge.parent) || !answered(child) {
            return;
        }
        if let Some(above) = self.above.get_mut(child) {
            *above = None;
        }
        if let Some(below) = self.below.get_mut(edge.parent) {
            below.retain(|&other| other != child);
        }
    }

    /// Children left over because their only handshake has another child at that time (mirrored requests, an end
    /// that was not captured): they belong to it all the same, when no other handshake comes into question.
    fn take_orphans(&mut self, edges: &[Edge]) {
        let mut by_child: HashMap<usize, Vec<&Edge>> = HashMap::new();
        for edge in edges.iter().filter(|edge| !self.has_parent(edge.child)) {
            by_child.entry(edge.child).or_default().push(edge);
        }
        let mut orphans: Vec<_> = by_child.into_iter().collect();
        orphans.sort_unstable_by_key(|(child, _)| *child);
        for (_, edges) in orphans {
            let best = edges
                .iter()
                .max_by_key(|edge| (edge.score, Reverse(edge.lag)));
            let Some(best) = best.copied() else { continue };
            let root = self.root(best.parent);
            if self.fits(best) && edges.iter().all(|edge| self.root(edge.parent) == root) {
                self.put(best, Confidence::Likely);
            }
        }
    }

    /// No second parent, no circle, and no two attempts at one listener in a chain.
    fn fits(&self, edge: &Edge) -> bool {
        !self.has_parent(edge.child)
            && self.root(edge.parent) != edge.child
            && !self.would_come_twice(edge)
    }

    /// Whether a hop above an edge and one below it are attempts at the same listener.
    fn would_come_twice(&self, edge: &Edge) -> bool {
        let mut below = vec![edge.child];
        while let Some(at) = below.pop() {
            let above = std::iter::successors(Some(edge.parent), |&at| self.parent(at));
            let mut nodes = above.filter_map(|above| self.nodes.get(above));
            let Some(inner) = self.nodes.get(at) else {
                continue;
            };
            if nodes.any(|outer| are_siblings(outer, inner)) {
                return true;
            }
            below.extend(self.below.get(at).into_iter().flatten());
        }
        false
    }

    fn put(&mut self, edge: &Edge, confidence: Confidence) {
        if let Some(above) = self.above.get_mut(edge.child) {
            *above = Some((*edge, confidence));
        }
        if let Some(below) = self.below.get_mut(edge.parent) {
            below.push(edge.child);
        }
    }

    /// How sure the edges just taken are, given those that were not.
    fn judge(&mut self, edges: &[Edge], taken: &[usize]) {
        let mut verdicts: HashMap<usize, (Option<usize>, bool)> = HashMap::new();
        for edge in edges {
            let Some((chosen, _)) = self.above.get(edge.child).copied().flatten() else {
                continue;
            };
            let elsewhere = edge.parent != chosen.parent
                && self.root(edge.parent) != self.root(edge.child)
                && !self.is_settled(edge);
            if elsewhere {
                let verdict = verdicts.entry(edge.child).or_default();
                verdict.1 = true;
                if edge.score == chosen.score {
                    verdict.0 = verdict.0.or(Some(edge.parent));
                }
            }
        }
        for &child in taken {
            let (rival, others) = verdicts.get(&child).copied().unwrap_or_default();
            if let Some(place) = self.rivals.get_mut(child) {
                *place = rival;
            }
            let sample = self
                .nodes
                .get(child)
                .is_some_and(|node| node.asked.is_sample());
            if let Some(Some((edge, confidence))) = self.above.get_mut(child) {
                let others = others || sample && edge.score.host < 2;
                *confidence = confidence_of(edge.score, rival.is_some(), others);
            }
        }
    }

    /// Whether the parent of an edge is bound by bytes to another child at that time.
    fn is_settled(&self, edge: &Edge) -> bool {
        let siblings = self.below.get(edge.parent).into_iter().flatten();
        siblings
            .filter(|&&sibling| sibling != edge.child)
            .any(|&sibling| {
                let bound = self.above.get(sibling).copied().flatten();
                bound.is_some_and(|(taken, _)| taken.score.by() == PairedBy::Bytes)
                    && self.overlap(sibling, edge.child)
            })
    }

    /// Pairs by identity show which addresses the proxies use towards their backends.
    fn teach(&self, known: &mut Known) {
        for (edge, confidence) in self.above.iter().flatten() {
            let (Some(outer), Some(inner)) =
                (self.nodes.get(edge.parent), self.nodes.get(edge.child))
            else {
                continue;
            };
            if *confidence == Confidence::Guess {
                continue;
            }
            for front in &outer.views {
                for back in &inner.views {
                    known.learn(front.server, back.client.ip(), inner.capture());
                }
            }
        }
    }

    fn parents(self) -> Vec<Option<Parent>> {
        let rivals = self.rivals;
        self.above
            .into_iter()
            .zip(rivals)
            .map(|(above, rival)| {
                above.map(|(edge, confidence)| Parent {
                    index: edge.parent,
                    by: edge.score.by(),
                    confidence,
                    rival,
                })
            })
            .collect()
    }
}

fn confidence_of(score: Score, rival: bool, others: bool) -> Confidence {
    if rival {
        return Confidence::Guess;
    }
    match score.by() {
        PairedBy::Bytes | PairedBy::Key | PairedBy::Accept | PairedBy::RequestId if !others => {
            Confidence::Certain
        }
        PairedBy::ForwardedFor if score.named == 2 => Confidence::Certain,
        PairedBy::PathAndTime if score.host < 2 && !score.relayed || others => Confidence::Guess,
        _ => Confidence::Likely,
    }
}
