//! Hops of one handshake whose common hop in front is not in the capture: what a proxy asked before, on the backends'
//! side.
//!
//! ```text
//!  (not seen)  client ----> proxy ----> GET /auth   204        subrequest: same key, no Upgrade, another target
//!                             |-------> GET /ws     no answer  given up: the same bytes again a moment later
//!                             '-------> GET /ws     101        the hop that counts
//! ```
//!
//! A key that nobody makes up twice, from one address within a moment, is one handshake; repeated keys prove nothing.

use std::collections::HashMap;

use super::link::other_path;
use super::node::Node;
use crate::capture::FrameRef;

/// How soon the next request follows: a proxy goes on as soon as the one before is over.
pub(super) const NEXT_NANOS: i64 = 1_000_000_000;

/// Requests with one key that are looked at for each: a proxy tries every backend once.
const SAME_KEY_MAX: usize = 16;

/// What a request was, to one that came after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// It asked for permission (nginx `auth_request`), which was given.
    Subrequest,
    /// It got no answer, and was sent again.
    GivenUp,
}

/// Whether a request came before another one of the same handshake, both from the proxy.
pub(super) fn before(first: &Node, next: &Node) -> Option<Before> {
    let client = |node: &Node| node.views.first().map(|view| view.client.ip());
    let soon = |from: Option<FrameRef>, to: Option<FrameRef>| {
        from.zip(to).is_some_and(|(from, to)| {
            from.capture() == to.capture() && (0..=NEXT_NANOS).contains(&to.at.nanos_since(from.at))
        })
    };
    let one = first.asked.key.is_some()
        && first.asked.key_number() == next.asked.key_number()
        && !first.asked.is_sample()
        && first.slot.connection != next.slot.connection
        && client(first) == client(next)
        && first.is_whole()
        && next.asked.upgrade
        && soon(first.over(), next.begin);
    if !one {
        return None;
    }
    let allowed = first
        .status
        .is_some_and(|status| (200..300).contains(&status));
    if allowed && !first.asked.upgrade && other_path(next, first) {
        Some(Before::Subrequest)
    } else if first.answer.is_none() && first.traits().raw == next.traits().raw {
        Some(Before::GivenUp)
    } else {
        None
    }
}

/// For each of the lone nodes, the lone node that came after it in the same handshake.
pub(super) fn find(nodes: &[Node], lone: &[usize]) -> HashMap<usize, (usize, Before)> {
    let mut by_key: HashMap<u64, Vec<usize>> = HashMap::new();
    for &at in lone {
        if let Some(node) = nodes.get(at)
            && let Some(key) = node.asked.key.filter(|key| !key.is_sample)
        {
            by_key.entry(key.number).or_default().push(at);
        }
    }
    let mut found = HashMap::new();
    for places in by_key.into_values().filter(|places| places.len() > 1) {
        for (index, &at) in places.iter().enumerate() {
            let later = places.iter().skip(index + 1).take(SAME_KEY_MAX);
            let next = later.into_iter().find_map(|&other| {
                let what = before(nodes.get(at)?, nodes.get(other)?)?;
                Some((other, what))
            });
            if let Some(next) = next {
                found.insert(at, next);
            }
        }
    }
    found
}
