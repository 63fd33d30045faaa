//! What a proxy changed in the request, and whether an answer proves that the server understood.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::handshake::{AcceptCheck, Change, ChangeKind};
use super::record::{Exchange, OrdinaryExchange};
use crate::http::{RequestHead, has_item, is_named, version};

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

/// The fields that are compared. No two names are of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Host,
    Origin,
    Upgrade,
    Connection,
    Key,
    Version,
    Protocol,
    Extensions,
}

/// How many there are.
const FIELDS: usize = 8;

impl Field {
    const fn name(self) -> &'static str {
        match self {
            Self::Host => "Host",
            Self::Origin => "Origin",
            Self::Upgrade => "Upgrade",
            Self::Connection => "Connection",
            Self::Key => "Sec-WebSocket-Key",
            Self::Version => "Sec-WebSocket-Version",
            Self::Protocol => "Sec-WebSocket-Protocol",
            Self::Extensions => "Sec-WebSocket-Extensions",
        }
    }

    fn named(name: &[u8]) -> Option<Self> {
        let is = |field: Self| is_named(name, field.name()).then_some(field);
        match name.len() {
            4 => is(Self::Host),
            6 => is(Self::Origin),
            7 => is(Self::Upgrade),
            10 => is(Self::Connection),
            17 => is(Self::Key),
            21 => is(Self::Version),
            22 => is(Self::Protocol),
            24 => is(Self::Extensions),
            _ => None,
        }
    }
}

/// Fields compared as they are.
const VERBATIM: [Field; 4] = [Field::Host, Field::Key, Field::Version, Field::Origin];

/// Fields compared as lists.
const LISTS: [Field; 2] = [Field::Protocol, Field::Extensions];

/// Fields that an ordinary request surely lacks, or it would be an attempt.
const HANDSHAKE_ONLY: [Field; 4] = [
    Field::Key,
    Field::Version,
    Field::Protocol,
    Field::Extensions,
];

/// The values of the fields that are compared, found in one go.
struct Head<'a> {
    head: &'a RequestHead,
    values: [SmallVec<[&'a [u8]; 1]>; FIELDS],
}

impl<'a> Head<'a> {
    fn new(head: &'a RequestHead) -> Self {
        let mut values: [SmallVec<[&[u8]; 1]>; FIELDS] = Default::default();
        for (name, value) in head.fields.bytes() {
            let field = Field::named(name);
            if let Some(values) = field.and_then(|field| values.get_mut(field as usize)) {
                values.push(value);
            }
        }
        Self { head, values }
    }

    fn all(&self, field: Field) -> &[&'a [u8]] {
        self.values.get(field as usize).map_or(&[], |all| all)
    }

    fn combined(&self, field: Field) -> Option<Cow<'a, str>> {
        self.head.fields.combined(field.name())
    }
}

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
            let outer = Head::new(outer);
            let mut changes = Lines::Head(&outer).compare(Lines::Summary(inner));
            changes.extend(HANDSHAKE_ONLY.into_iter().filter_map(|field| {
                let before = outer.combined(field)?.into_owned();
                change(field.name(), Some(before), None)
            }));
            changes
        }
        (None, Some(inner), Some(outer), _) => {
            let inner = Head::new(inner);
            let mut changes = Lines::Summary(outer).compare(Lines::Head(&inner));
            changes.extend(HANDSHAKE_ONLY.into_iter().filter_map(|field| {
                let after = inner.combined(field)?.into_owned();
                change(field.name(), None, Some(after))
            }));
            changes
        }
        _ => Vec::new(),
    }
}

fn between_heads(outer: &RequestHead, inner: &RequestHead) -> Vec<Change> {
    let (outer, inner) = (&Head::new(outer), &Head::new(inner));
    let mut changes = Lines::Head(outer).compare(Lines::Head(inner));
    let differs = |field: &Field| outer.all(*field) != inner.all(*field);
    changes.extend(VERBATIM.into_iter().filter(differs).filter_map(|field| {
        let (before, after) = (outer.combined(field), inner.combined(field));
        (before != after).then(|| change(field.name(), owned(before), owned(after)))?
    }));
    changes.extend(LISTS.into_iter().filter(differs).filter_map(|field| {
        let (ours, theirs) = (&outer.head.fields, &inner.head.fields);
        if ours.list(field.name()).eq(theirs.list(field.name())) {
            return None;
        }
        let (before, after) = (outer.combined(field), inner.combined(field));
        change(field.name(), owned(before), owned(after))
    }));
    changes
}

fn owned(value: Option<Cow<'_, str>>) -> Option<String> {
    value.map(Cow::into_owned)
}

/// What full heads and summaries have in common.
#[derive(Clone, Copy)]
enum Lines<'s, 'a> {
    Head(&'s Head<'a>),
    Summary(&'s OrdinaryExchange),
}

impl<'s, 'a: 's> Lines<'s, 'a> {
    const fn version(self) -> &'static str {
        match self {
            Self::Head(head) => head.head.version(),
            Self::Summary(summary) => version(summary.minor_version),
        }
    }

    fn method(self) -> &'s str {
        match self {
            Self::Head(head) => head.head.method(),
            Self::Summary(summary) => &summary.method,
        }
    }

    fn target(self) -> &'s str {
        match self {
            Self::Head(head) => head.head.target(),
            Self::Summary(summary) => &summary.target,
        }
    }

    /// A field as one list.
    fn list(self, option: &HopByHop) -> Option<Cow<'s, str>> {
        match self {
            Self::Head(head) => head.combined(option.field),
            Self::Summary(summary) => (option.of)(summary).map(Cow::Borrowed),
        }
    }

    fn has(self, option: &HopByHop) -> bool {
        match self {
            Self::Head(head) => head
                .all(option.field)
                .iter()
                .any(|value| has_item(value, option.token)),
            Self::Summary(summary) => (option.of)(summary)
                .into_iter()
                .flat_map(|list| list.split(','))
                .any(|item| item.trim().eq_ignore_ascii_case(option.token)),
        }
    }

    /// Whether both have the same values of a field: a look that spares another one at nearly all heads.
    fn is_alike(self, inner: Lines<'_, '_>, option: &HopByHop) -> bool {
        match (self, inner) {
            (Self::Head(outer), Lines::Head(inner)) => {
                outer.all(option.field) == inner.all(option.field)
            }
            _ => false,
        }
    }

    fn compare(self, inner: Lines<'_, '_>) -> Vec<Change> {
        let line = |name, before: &str, after: &str| {
            (before != after)
                .then(|| change(name, Some(before.to_owned()), Some(after.to_owned())))?
        };
        let option = |option: &HopByHop| {
            (!self.is_alike(inner, option) && self.has(option) != inner.has(option)).then(|| {
                let (before, after) = (self.list(option), inner.list(option));
                change(option.field.name(), owned(before), owned(after))
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
    field: Field,
    token: &'static str,
    of: fn(&OrdinaryExchange) -> Option<&str>,
}

const UPGRADE: HopByHop = HopByHop {
    field: Field::Upgrade,
    token: "websocket",
    of: |summary| summary.upgrade.as_deref(),
};

const CONNECTION: HopByHop = HopByHop {
    field: Field::Connection,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found_by_its_name() {
        let all = [
            Field::Host,
            Field::Origin,
            Field::Upgrade,
            Field::Connection,
            Field::Key,
            Field::Version,
            Field::Protocol,
            Field::Extensions,
        ];
        assert_eq!(all.len(), FIELDS);
        for (place, field) in all.into_iter().enumerate() {
            assert_eq!(field as usize, place);
            let name = field.name().to_ascii_uppercase();
            assert_eq!(Field::named(name.as_bytes()), Some(field));
        }
        assert_eq!(Field::named(b"Best"), None);
    }
}
