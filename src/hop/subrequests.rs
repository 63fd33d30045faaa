//! Tells the hop that carries a request on from what a proxy sends beside it: a question for permission (nginx
//! `auth_request`), a copy (nginx `mirror`).

use super::link::other_path;
use super::node::{Node, ProxyFields};

/// Whether a request is a copy of the one that another hop carries, sent beside it: a proxy tries one backend after
/// the other, and what it passes on is the answer of the other one.
pub(super) fn is_mirrored(outer: &Node, inner: &Node, other: &Node) -> bool {
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
pub(super) fn is_misunderstood(outer: &Node, inner: &Node) -> bool {
    let no_permission = !matches!(inner.status, None | Some(200..=299 | 401 | 403 | 500));
    no_permission
        && outer.status == Some(500)
        && inner.is_whole()
        && outer.asked.upgrade
        && !inner.asked.upgrade
        && other_path(outer, inner)
}

/// Whether a request only asks for permission. `follower`: the same proxy sent a request to another target after this one was answered.
pub(super) fn is_subrequest(outer: &Node, inner: &Node, follower: bool) -> bool {
    // A head that breaks off may have its Upgrade in the part that is missing.
    if !inner.is_whole() || inner.asked.upgrade {
        return false;
    }
    let allowed = inner
        .status
        .is_some_and(|status| (200..300).contains(&status));
    // Of a request that was not captured only what came then tells.
    if outer.begin.is_none() {
        return follower && allowed;
    }
    if !outer.asked.upgrade || !other_path(outer, inner) {
        return false;
    }
    let told = inner.traits().written_by == Some(ProxyFields::OriginalUri);
    // While the client still waits, the request that asks for permission may be all that there is so far.
    let waiting = outer.over().is_none();
    let Some(status) = inner.status else {
        // Without an answer only the recipe's own fields tell it from a request that lost its Upgrade.
        return told || waiting;
    };
    let passed_on = outer.status == Some(status);
    told || follower && allowed
        || matches!(status, 401 | 403) && (passed_on || outer.status.is_none())
        || allowed && (waiting || outer.status.is_some() && !passed_on)
}
