//! What a proxy changed in the request, and whether an answer proves that the server understood.

use std::borrow::Cow;

use super::handshake::{AcceptCheck, Change, ChangeKind};
use super::record::{Exchange, OrdinaryExchange};
use crate::http::{RequestHead, version};

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

/// Fields that an ordinary request surely lacks, or it would be an attempt.
const HANDSHAKE_ONLY: [&str; 4] = [
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
];

/// What changed from the outer request to the inner one, in what matters to the handshake. Only complete heads are
/// compared: what is not in them was not sent.
pub(super) fn changes(outer: &Exchange, inner: &Exchange) -> Vec<Change> {
    match (
        &outer.request,
        &inner.request,
        &outer.ordinary,
        &inner.ordinary,
    ) {
        (Some(outer), Some(inner), _, _) => between_heads(outer, inner),
        (Some(outer), None, _, Some(inner)) => {
            let inner = Lines::Summary(inner);
            let mut changes = Lines::Head(outer).compare(inner);
            changes.extend(HANDSHAKE_ONLY.into_iter().filter_map(|name| {
                let before = outer.fields.combined(name)?.into_owned();
                change(name, Some(before), None)
            }));
            changes
        }
        (None, Some(inner), Some(outer), _) => {
            let mut changes = Lines::Summary(outer).compare(Lines::Head(inner));
            changes.extend(HANDSHAKE_ONLY.into_iter().filter_map(|name| {
                let after = inner.fields.combined(name)?.into_owned();
                change(name, None, Some(after))
            }));
            changes
        }
        _ => Vec::new(),
    }
}

fn between_heads(outer: &RequestHead, inner: &RequestHead) -> Vec<Change> {
    let mut changes = Lines::Head(outer).compare(Lines::Head(inner));
    let (outer, inner) = (&outer.fields, &inner.fields);
    changes.extend(VERBATIM.into_iter().filter_map(|name| {
        if outer.all(name).eq(inner.all(name)) {
            return None;
        }
        let (before, after) = (outer.combined(name), inner.combined(name));
        if before == after {
            return None;
        }
        change(name, owned(before), owned(after))
    }));
    changes.extend(LISTS.into_iter().filter_map(|name| {
        let alike = outer.all(name).eq(inner.all(name));
        if alike || outer.list(name).eq(inner.list(name)) {
            return None;
        }
        change(
            name,
            owned(outer.combined(name)),
            owned(inner.combined(name)),
        )
    }));
    changes
}

fn owned(value: Option<Cow<'_, str>>) -> Option<String> {
    value.map(Cow::into_owned)
}

/// What full heads and summaries have in common.
#[derive(Clone, Copy)]
enum Lines<'a> {
    Head(&'a RequestHead),
    Summary(&'a OrdinaryExchange),
}

impl<'a> Lines<'a> {
    const fn version(self) -> &'static str {
        match self {
            Self::Head(head) => head.version(),
            Self::Summary(summary) => version(summary.minor_version),
        }
    }

    fn method(self) -> &'a str {
        match self {
            Self::Head(head) => head.method(),
            Self::Summary(summary) => &summary.method,
        }
    }

    fn target(self) -> &'a str {
        match self {
            Self::Head(head) => head.target(),
            Self::Summary(summary) => &summary.target,
        }
    }

    /// A field as one list.
    fn list(self, option: &HopByHop) -> Option<Cow<'a, str>> {
        match self {
            Self::Head(head) => head.fields.combined(option.name),
            Self::Summary(summary) => (option.of)(summary).map(Cow::Borrowed),
        }
    }

    fn has(self, option: &HopByHop) -> bool {
        match self {
            Self::Head(head) => head.fields.has_token(option.name, option.token),
            Self::Summary(summary) => (option.of)(summary)
                .into_iter()
                .flat_map(|list| list.split(','))
                .any(|item| item.trim().eq_ignore_ascii_case(option.token)),
        }
    }

    fn compare(self, inner: Self) -> Vec<Change> {
        let line = |name, before: &str, after: &str| {
            (before != after)
                .then(|| change(name, Some(before.to_owned()), Some(after.to_owned())))?
        };
        let option = |option: &HopByHop| {
            (self.has(option) != inner.has(option)).then(|| {
                let (before, after) = (self.list(option), inner.list(option));
                change(option.name, owned(before), owned(after))
            })?
        };
        [
            line("HTTP version", self.version(), inner.version()),
            line("method", self.method(), inner.method()),
            line("target", self.target(), inner.target()),
            option(&UPGRADE),
            option(&CONNECTION),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// A field of which only one option matters, compared without case and order (RFC 9110 7.6.1, 7.8).
struct HopByHop {
    name: &'static str,
    token: &'static str,
    of: fn(&OrdinaryExchange) -> Option<&str>,
}

const UPGRADE: HopByHop = HopByHop {
    name: "Upgrade",
    token: "websocket",
    of: |summary| summary.upgrade.as_deref(),
};

const CONNECTION: HopByHop = HopByHop {
    name: "Connection",
    token: "upgrade",
    of: |summary| summary.connection.as_deref(),
};

fn change(header: &'static str, before: Option<String>, after: Option<String>) -> Option<Change> {
    let kind = match (&before, &after) {
        (None, None) => return None,
        (Some(_), Some(_)) => ChangeKind::Altered,
        (Some(_), None) => ChangeKind::Dropped,
        (None, Some(_)) => ChangeKind::Added,
    };
    Some(Change {
        header,
        kind,
        before,
        after,
    })
}
