//! What a proxy changed in the request, and whether an answer proves that the server understood.

use super::accept::accept_for;
use super::handshake::{AcceptCheck, Change, ChangeKind};
use super::record::Exchange;
use crate::http::{Fields, RequestHead};

/// The Accept that the request's key demands (RFC 6455 4.2.2 step 5.4).
pub(super) fn expected_accept(exchange: &Exchange) -> Option<String> {
    let head = exchange.request.as_ref()?;
    head.fields.all("sec-websocket-key").next().map(accept_for)
}

/// Compares the answer's Accept with the key's (RFC 6455 4.1, step 4 of what the client checks).
pub(super) fn check_accept(exchange: &Exchange, expected: Option<&str>) -> AcceptCheck {
    let Some(answer) = &exchange.response else {
        return AcceptCheck::Unchecked;
    };
    if answer.status != 101 {
        return AcceptCheck::NotApplicable;
    }
    let accept = answer.fields.all("sec-websocket-accept").next();
    match (accept, expected) {
        (None, _) => AcceptCheck::Missing,
        (Some(_), None) => AcceptCheck::Unchecked,
        (Some(accept), Some(expected)) if accept.trim_ascii() == expected.as_bytes() => {
            AcceptCheck::Valid
        }
        _ => AcceptCheck::Mismatch,
    }
}

/// Fields compared as they are.
const VERBATIM: [&str; 4] = [
    "Host",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Origin",
];

/// Fields compared as lists.
const LISTS: [&str; 2] = ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"];

/// What changed from the outer request to the inner one, in what matters to the handshake. Both heads are complete:
/// what is not in them was not sent.
pub(super) fn changes(outer: &RequestHead, inner: &RequestHead) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut line = |header, before: &str, after: &str| {
        if before != after {
            changes.push(Change {
                header,
                kind: ChangeKind::Altered,
                before: Some(before.to_owned()),
                after: Some(after.to_owned()),
            });
        }
    };
    line("HTTP version", outer.version(), inner.version());
    line("method", &outer.method, &inner.method);
    line("target", &outer.target, &inner.target);
    let token = |name, token| keyword(&outer.fields, &inner.fields, name, token);
    let tokens = [
        token("Upgrade", "websocket"),
        token("Connection", "upgrade"),
    ];
    let verbatim = VERBATIM.iter().map(|name| {
        value(&outer.fields, &inner.fields, name, |before, after| {
            before == after
        })
    });
    let lists = LISTS.iter().map(|name| {
        value(&outer.fields, &inner.fields, name, |before, after| {
            elements(before).eq(elements(after))
        })
    });
    changes.extend(tokens.into_iter().chain(verbatim).chain(lists).flatten());
    changes
}

fn elements(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// A field of which only one option matters: compared without case and order (RFC 9110 7.6.1, 7.8).
fn keyword(outer: &Fields, inner: &Fields, name: &'static str, token: &str) -> Option<Change> {
    if outer.has_token(name, token) == inner.has_token(name, token) {
        return None;
    }
    value(outer, inner, name, |_, _| false)
}

fn value(
    outer: &Fields,
    inner: &Fields,
    name: &'static str,
    equal: impl Fn(&str, &str) -> bool,
) -> Option<Change> {
    let before = outer.combined(name);
    let after = inner.combined(name);
    let kind = match (&before, &after) {
        (None, None) => return None,
        (Some(before), Some(after)) if equal(before, after) => return None,
        (Some(_), Some(_)) => ChangeKind::Altered,
        (Some(_), None) => ChangeKind::Dropped,
        (None, Some(_)) => ChangeKind::Added,
    };
    Some(Change {
        header: name,
        kind,
        before: before.map(std::borrow::Cow::into_owned),
        after: after.map(std::borrow::Cow::into_owned),
    })
}
