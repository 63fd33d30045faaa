//! Records to handshakes: the pure heart of this stage.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::attempts::{self, Silent};
use super::changes::{changes, check_accept};
use super::clock::{self, Offsets};
use super::copies::{self, Merged};
use super::handshake::{BackendSight, Confidence, ConnectAttempt, Handshake, Hop, Role};
use super::known::Known;
use super::link::other_path;
use super::matching::{self, Parent};
use super::node::{Node, ProxyFields};
use super::ordinary::{self, Ordinary, OrdinaryPool};
use super::record::{Exchange, SharedRecord};
use super::siblings::{self, Before};
use super::{role, session, textbook};
use crate::capture::FrameRef;
use crate::websocket::Accept;

/// What pairing knows beside the exchanges themselves.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// What the run has shown about proxies; grows with what these exchanges show.
    pub(super) known: &'a mut Known,
    /// Connections without a request, by their first frame.
    pub(super) silent: &'a Silent,
    /// Exchanges that are no attempts, by the first frame of their requests.
    pub(super) ordinary: &'a Ordinary,
    /// Exchanges of other handshakes that failed connects may be due to.
    pub(super) rivals: &'a [Node],
    /// Nothing more will come for these exchanges.
    pub(super) settled: bool,
}

/// Exchanges that may belong together: two, as a rule. They are large, and stay where they are.
pub(super) type Nodes = SmallVec<[Box<Node>; 2]>;

/// Pairs every exchange of these records. The order of the records does not matter; the handshakes come in the
/// order of their first frames. Connections without any exchange are candidates for failed connects.
pub fn pair(records: &[SharedRecord], known: &mut Known) -> Vec<Handshake> {
    let nodes = records.iter().flat_map(nodes_of).map(Box::new).collect();
    let mut pool = OrdinaryPool::default();
    for record in records {
        known.note_opaque(record);
        for exchange in &record.ordinary {
            pool.learn(record, exchange, known);
            pool.keep(record, exchange);
        }
    }
    let silent = records
        .iter()
        .filter(|record| attempts::is_candidate(record))
        .map(|record| (attempts::place(record), record.clone()))
        .collect();
    let mut context = Context {
        known,
        silent: &silent,
        ordinary: pool.all(),
        rivals: &[],
        settled: true,
    };
    pair_nodes(nodes, &mut context).into_vec()
}

/// The exchanges of a record.
pub(super) fn nodes_of(record: &SharedRecord) -> impl Iterator<Item = Node> + '_ {
    (0..record.exchanges.len()).filter_map(|place| Node::new(record, place, None))
}

/// Pairs exchanges.
pub(super) fn pair_nodes(mut nodes: Nodes, context: &mut Context<'_>) -> SmallVec<[Handshake; 1]> {
    nodes.sort_by_key(|node| (node.start(), node.slot));
    if let [outer, inner] = nodes.as_slice()
        && let Some(handshake) = textbook::join(outer, inner, context)
    {
        return smallvec::smallvec![handshake];
    }
    weigh(nodes.into_iter().map(|node| *node).collect(), context).into()
}

/// Pairs exchanges, in their order, by weighing all that speaks for and against each pair.
pub(super) fn weigh(nodes: Vec<Node>, context: &mut Context<'_>) -> Vec<Handshake> {
    let mut merged = copies::merge(nodes);
    let offsets = clock::estimate(merged.iter().map(|merged| &merged.node));
    for merged in &mut merged {
        merged.node.correct(&offsets);
    }
    merged.sort_by_key(|merged| (merged.node.start(), merged.node.slot));
    let (mut nodes, copies): (Vec<Node>, Vec<Vec<SharedRecord>>) = merged
        .into_iter()
        .map(|Merged { node, copies }| (node, copies))
        .unzip();
    let mut parents = matching::assign(&nodes, context.known);
    if offsets.is_zero() {
        ordinary::join(&mut nodes, &mut parents, context.ordinary, context.known);
    }
    let mut trees = trees(&nodes, &parents);
    adopt(&mut trees, &nodes);
    let mut handshakes: Vec<Handshake> = trees
        .iter_mut()
        .map(|tree| {
            tree.set_subrequests_apart(&nodes);
            tree.build(&nodes, &parents, &copies, context.settled)
        })
        .collect();
    let hops: Vec<Vec<&Node>> = trees.iter().map(|tree| tree.nodes(&nodes)).collect();
    attempts::assign(&mut handshakes, &hops, context, &offsets);
    for (handshake, hops) in handshakes.iter_mut().zip(&hops) {
        if has_orphans(handshake) {
            // Only a proxy sends one key twice.
            if let Some(hop) = handshake.hops.first_mut() {
                hop.role = Role::ProxyBackend;
            }
            handshake.backend = BackendSight::Seen;
        } else if let [hop] = hops.as_slice() {
            role::assign(handshake, hop, context.known);
            handshake.backend = role::backend_sight(handshake, hop, context.known, &offsets);
        } else {
            handshake.backend = BackendSight::Seen;
        }
        session::join(handshake, &offsets);
        note_offsets(handshake, hops, &offsets);
    }
    if handshakes.len() > 1 {
        handshakes.sort_by_cached_key(order);
    }
    handshakes
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

/// Whether a handshake has what its proxy asked before, without the hop in front.
fn has_orphans(handshake: &Handshake) -> bool {
    let subrequest = handshake.subrequests.iter().any(|hop| hop.parent.is_none());
    subrequest
        || handshake
            .attempts
            .iter()
            .any(|one| one.record.exchange_count > 0)
}

/// Handshakes are reported in the order of their first frames; connection and exchange decide between equal ones.
pub(super) fn order(handshake: &Handshake) -> (Option<FrameRef>, Option<(u64, u32)>) {
    let first = handshake
        .first()
        .map(|hop| (hop.record.connection.id.0, hop.exchange().index));
    (handshake.started(), first)
}

/// Hops of one parent that are looked at to tell a subrequest from the request that follows it.
const SIBLINGS_MAX: usize = 16;

/// The exchanges of one handshake, by their places in the list of all.
struct Tree {
    /// Outermost first, each with the place of its parent in this list; children in time order, depth first.
    hops: Vec<(usize, Option<usize>)>,
    subrequests: Vec<(usize, Option<usize>)>,
    /// Requests that the proxy gave up before the only hop.
    given_up: Vec<usize>,
    ambiguous: bool,
}

fn trees(nodes: &[Node], parents: &[Option<Parent>]) -> Vec<Tree> {
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
    fn nodes<'a>(&self, nodes: &'a [Node]) -> Vec<&'a Node> {
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
                is_subrequest(outer, inner, follower)
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

    fn build(
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
            ..handshake_of(hops, settled)
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

/// Hops as a handshake of which nothing else is known.
pub(super) const fn handshake_of(hops: Vec<Hop>, settled: bool) -> Handshake {
    Handshake {
        hops,
        front: None,
        attempts: Vec::new(),
        subrequests: Vec::new(),
        backend: BackendSight::NotVisible,
        ambiguous: false,
        session: None,
        clock_offsets: Vec::new(),
        settled,
    }
}

/// Whether a request is a copy of the one that another hop carries, sent beside it: a proxy tries one backend after
/// the other, and what it passes on is the answer of the other one.
fn is_mirrored(outer: &Node, inner: &Node, other: &Node) -> bool {
    let (first, second) = if inner.start() < other.start() {
        (inner, other)
    } else {
        (other, inner)
    };
    let end = first.record.connection.ended;
    // What was given up before it was answered is a try.
    let beside = first.answer.is_some_and(|answer| second.start() < answer)
        && end.is_none_or(|end| second.start() < end.frame);
    let passed_on = |node: &Node| outer.status.is_some() && node.status == outer.status;
    let rank = |node: &Node| (passed_on(node), node.asked.upgrade);
    beside && rank(other) > rank(inner)
}

/// Whether the service that was asked for permission answered what nginx does not understand, and so makes 500 of:
/// anything but 2xx, 401 and 403.
fn is_misunderstood(outer: &Node, inner: &Node) -> bool {
    let no_permission = !matches!(inner.status, None | Some(200..=299 | 401 | 403 | 500));
    no_permission
        && outer.status == Some(500)
        && inner.is_whole()
        && outer.asked.upgrade
        && !inner.asked.upgrade
        && other_path(outer, inner)
}

/// `follower`: the same proxy sent a request to another target after this one was answered.
fn is_subrequest(outer: &Node, inner: &Node, follower: bool) -> bool {
    // A head that breaks off may have its Upgrade in the part that is missing.
    if !inner.is_whole() || inner.asked.upgrade || !outer.asked.upgrade || !other_path(outer, inner)
    {
        return false;
    }
    let told = inner.traits().written_by == Some(ProxyFields::OriginalUri);
    // While the client still waits, the request that asks for permission may be all that there is so far.
    let waiting = outer.over().is_none();
    let Some(status) = inner.status else {
        // Without an answer only the recipe's own fields tell it from a request that lost its Upgrade.
        return told || waiting;
    };
    let allows = (200..300).contains(&status);
    let passed_on = outer.status == Some(status);
    told || follower && allows
        || matches!(status, 401 | 403) && (passed_on || outer.status.is_none())
        || allows && (waiting || outer.status.is_some() && !passed_on)
}

/// Writes down the offsets of the captures that a handshake's frames are in, against its first hop's.
fn note_offsets(handshake: &mut Handshake, hops: &[&Node], offsets: &Offsets) {
    if offsets.is_zero() {
        return;
    }
    let subrequests = handshake.subrequests.iter();
    let captures: Vec<_> = hops
        .iter()
        .map(|node| node.capture())
        .chain(subrequests.map(|hop| hop.started().capture()))
        .collect();
    let Some(&first) = captures.first() else {
        return;
    };
    let base = offsets.of(first);
    let mut noted: Vec<_> = captures
        .into_iter()
        .map(|capture| (capture, offsets.of(capture).saturating_sub(base)))
        .filter(|&(capture, offset)| capture != first && offset != 0)
        .collect();
    noted.sort_unstable();
    noted.dedup();
    handshake.clock_offsets = noted;
}
