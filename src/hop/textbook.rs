//! The handshake as nearly all are, joined without weighing anything: one request, forwarded once, accepted on both hops.
//!
//! ```text
//!  client hop    request ---------------------------------- 101
//!  backend hop             the same key at another server -- 101
//! ```
//!
//! Invariant: it is what [`weigh`](super::pairing::weigh) would make of the two. Whatever might tell against that, a
//! capture by another clock, a key that others use, leaves the pair to it.

use std::slice;

use super::clock::Offsets;
use super::context::Context;
use super::handshake::{BackendSight, Confidence, Handshake, Hop, PairedBy, Role};
use super::link::{comes_late, nested};
use super::node::{LinkKind, Node};
use super::tree::hop_of;
use super::{attempts, copies, session};
use crate::tcp::ConnectionId;

/// The handshake of exactly two exchanges, in their order, that cannot be anything else.
pub(super) fn join(outer: &Node, inner: &Node, context: &mut Context<'_>) -> Option<Handshake> {
    if !is_forwarded(outer, inner) {
        return None;
    }
    let by = if outer.shares(inner, LinkKind::Bytes) {
        PairedBy::Bytes
    } else {
        PairedBy::Key
    };
    let (front, back) = (&outer.record.connection, &inner.record.connection);
    let capture = inner.capture();
    context.known.learn(front.server, back.client.ip(), capture);
    let hops = vec![
        hop_of(outer, Role::ClientProxy, None)?,
        Hop {
            paired_by: Some((by, Confidence::Certain)),
            parent: Some(0),
            ..hop_of(inner, Role::ProxyBackend, outer.exchange())?
        },
    ];
    let mut handshake = Handshake::of(hops, context.settled);
    handshake.backend = BackendSight::Seen;
    let offsets = Offsets::default();
    if !is_undisturbed(outer, context) {
        let hops = [vec![outer, inner]];
        attempts::assign(slice::from_mut(&mut handshake), &hops, context, &offsets);
    }
    session::join(&mut handshake, &offsets);
    Some(handshake)
}

/// Whether the inner exchange is the outer one, forwarded, and both were accepted.
fn is_forwarded(outer: &Node, inner: &Node) -> bool {
    let is_accepted =
        |node: &Node| node.is_whole() && node.asked.upgrade && node.status == Some(101);
    is_accepted(outer)
        && is_accepted(inner)
        && outer.asked.key.is_some()
        && outer.asked.key_number() == inner.asked.key_number()
        && !outer.asked.is_sample()
        && outer.capture() == inner.capture()
        && nested(outer, inner)
        && !comes_late(outer, inner)
        && outer.record.connection.server != inner.record.connection.server
        && copies::are_apart(outer, inner)
}

/// Whether no connect failed meanwhile that may belong to it.
fn is_undisturbed(outer: &Node, context: &Context<'_>) -> bool {
    let Some((begin, over)) = outer.begin.zip(outer.over()) else {
        return false;
    };
    let since = context.silent.range((begin, ConnectionId(0))..).next();
    since.is_none_or(|((syn, _), _)| *syn >= over)
}
