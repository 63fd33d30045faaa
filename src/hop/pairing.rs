//! Records to handshakes: the pure heart of this stage.

use smallvec::SmallVec;

use super::clock::{self, Offsets};
use super::context::{Context, Nodes};
use super::copies::{self, Merged};
use super::handshake::{BackendSight, Handshake, Role};
use super::known::Known;
use super::node::Node;
use super::ordinary::{self, OrdinaryPool};
use super::record::SharedRecord;
use super::{attempts, matching, role, session, textbook, tree};
use crate::capture::FrameRef;

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
    let trees = tree::grow(&nodes, &parents);
    let mut handshakes: Vec<Handshake> = trees
        .iter()
        .map(|tree| tree.build(&nodes, &parents, &copies, context.settled))
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
            role::assign_tried(handshake);
            handshake.backend = BackendSight::Seen;
        }
        if offsets.is_zero() {
            note_unread(handshake, context.known);
        }
        session::join(handshake, &offsets);
        note_offsets(handshake, hops, &offsets);
    }
    if handshakes.len() > 1 {
        handshakes.sort_by_cached_key(order);
    }
    handshakes
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

/// Writes down the proxies that stand between a hop and what was asked for it: of TLS between two proxies only its ends show.
fn note_unread(handshake: &mut Handshake, known: &Known) {
    let hops = handshake.hops.iter();
    let asked = hops.filter_map(|hop| Some((hop.parent?, &hop.record, hop.started())));
    let tried = handshake.attempts.iter().map(|tried| {
        let connection = &tried.record.connection;
        let at = connection.syn.unwrap_or(connection.first);
        (tried.parent, &tried.record, at)
    });
    let mut unread = Vec::new();
    for (parent, record, at) in asked.chain(tried) {
        let from = record.connection.client.ip();
        let Some(parent) = handshake.hops.get(parent) else {
            continue;
        };
        let front = parent.record.connection.server;
        // A proxy that dials from the address it listens on was asked by nobody else.
        if front.ip() != from
            && let Some(server) = known.unread_to(front, from, (parent.started(), at))
            && !unread.contains(&server)
        {
            unread.push(server);
        }
    }
    handshake.unread = unread;
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
