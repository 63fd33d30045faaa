//! The head of an HTTP/1 message, kept as it was on the wire.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::capture::FrameRef;

/// The header fields of a message (RFC 9112 5), in their order, over the raw bytes of its head. A clone shares them: a
/// live view looks at the same heads again and again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields(Arc<Head>);

#[derive(Debug, PartialEq, Eq, Default)]
struct Head {
    raw: Box<[u8]>,
    spans: Box<[(Range<u32>, Range<u32>)]>,
    /// The [`mark`]s of all names: most fields that are asked for are not there.
    marks: u64,
}

/// One bit for a field name, whatever its case: by its length and its first letter.
const fn mark(name: &[u8]) -> u64 {
    let first = match name {
        [first, ..] => first.to_ascii_lowercase() as u32,
        [] => 0,
    };
    // A name longer than 4 GiB would only share its bit with another.
    1 << ((name.len() as u32).wrapping_mul(5).wrapping_add(first) % u64::BITS)
}

impl Fields {
    /// Fields whose names and values lie in `raw` at `spans`. A span outside of `raw` reads as empty.
    pub fn new(raw: Box<[u8]>, spans: Vec<(Range<u32>, Range<u32>)>) -> Self {
        let name = |span: &Range<u32>| raw.get(span.start as usize..span.end as usize);
        let names = spans.iter().map(|(span, _)| name(span).unwrap_or_default());
        Self(Arc::new(Head {
            marks: names.fold(0, |marks, name| marks | mark(name)),
            spans: spans.into_boxed_slice(),
            raw,
        }))
    }

    /// Fields as they would be sent.
    #[cfg(test)]
    pub(crate) fn of(fields: &[(&str, &str)]) -> Self {
        let mut raw = String::new();
        let mut spans = Vec::new();
        for (name, value) in fields {
            let name_at = raw.len() as u32;
            raw += name;
            let colon_at = raw.len() as u32;
            raw += ": ";
            let value_at = raw.len() as u32;
            raw += value;
            spans.push((name_at..colon_at, value_at..raw.len() as u32));
            raw += "\r\n";
        }
        Self::new(raw.into_bytes().into(), spans)
    }

    fn slice(&self, span: &Range<u32>) -> &[u8] {
        self.0
            .raw
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    /// The head as it was on the wire: start line, fields, without the blank line's own meaning.
    pub fn raw(&self) -> &[u8] {
        &self.0.raw
    }

    /// All fields in order: name as spelled, value without surrounding white space.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        self.0
            .spans
            .iter()
            .map(|(name, value)| (text(self.slice(name)), text(self.slice(value))))
    }

    /// The names of all fields as spelled, as bytes, in order.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.spans.iter().map(|(name, _)| self.slice(name))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.spans.is_empty()
    }

    /// The values of every field of this name (ASCII case-insensitive), as bytes, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        // Lengths first: nearly all names differ in that already.
        let same = move |span: &Range<u32>| {
            span.end.wrapping_sub(span.start) as usize == name.len()
                && self.slice(span).eq_ignore_ascii_case(name.as_bytes())
        };
        let spans = if self.0.marks & mark(name.as_bytes()) == 0 {
            &[]
        } else {
            &*self.0.spans
        };
        spans
            .iter()
            .filter(move |(span, _)| same(span))
            .map(|(_, value)| self.slice(value))
    }

    /// The first value of this name.
    pub fn first<'a>(&'a self, name: &'a str) -> Option<Cow<'a, str>> {
        self.all(name).next().map(text)
    }

    /// All values of this name as one list value (RFC 9110 5.3), or `None` without any.
    pub fn combined<'a>(&'a self, name: &'a str) -> Option<Cow<'a, str>> {
        let mut values = self.all(name);
        let first = text(values.next()?);
        Some(values.fold(first, |list, value| {
            Cow::Owned(format!("{list}, {}", text(value)))
        }))
    }

    /// How many fields have this name.
    pub fn count(&self, name: &str) -> usize {
        self.all(name).count()
    }

    /// Whether a list field has this token, compared without case (RFC 9110 5.6.1, 7.6.1).
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The elements of a list field over all of its fields, trimmed, empty ones left out.
    pub fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|item| !item.is_empty())
            .map(text)
    }
}

/// Bytes as text. Nearly all of them are valid, which is checked many bytes at a time.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Where the bytes of a head came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The frame with its first byte.
    pub first: FrameRef,
    /// The frame with its last byte.
    pub last: FrameRef,
}

/// A request head (RFC 9112 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// Its frames.
    pub span: Span,
    /// The method.
    pub method: Box<str>,
    /// The request target as sent.
    pub target: Box<str>,
    /// The minor version: 0 for HTTP/1.0, 1 for HTTP/1.1; above, it is to be treated as 1 (RFC 9110 2.5).
    pub minor_version: u8,
    /// The header fields.
    pub fields: Fields,
    /// What had to be tolerated to read it.
    pub faults: Vec<HeadFault>,
}

impl RequestHead {
    /// Whether this is an attempt at a WebSocket opening handshake: `Upgrade: websocket`, or any
    /// `Sec-WebSocket-*` field (a request that has the key and lacks Upgrade is the very fault we look for).
    pub fn is_handshake_attempt(&self) -> bool {
        const PREFIX: &[u8] = b"sec-websocket-";
        self.fields.has_token("upgrade", "websocket")
            || self.fields.0.spans.iter().any(|(name, _)| {
                self.fields
                    .slice(name)
                    .get(..PREFIX.len())
                    .is_some_and(|p| p.eq_ignore_ascii_case(PREFIX))
            })
    }

    /// `1.0`, `1.1`, or what else was sent.
    pub const fn version(&self) -> &'static str {
        version(self.minor_version)
    }
}

/// A response head (RFC 9112 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// Its frames.
    pub span: Span,
    /// The status code.
    pub status: u16,
    /// The reason phrase, possibly empty.
    pub reason: Box<str>,
    /// The minor version: 0 for HTTP/1.0, 1 for HTTP/1.1; above, it is to be treated as 1 (RFC 9110 2.5).
    pub minor_version: u8,
    /// The header fields.
    pub fields: Fields,
    /// What had to be tolerated to read it.
    pub faults: Vec<HeadFault>,
}

impl ResponseHead {
    /// `1.0`, `1.1`, or what else was sent.
    pub const fn version(&self) -> &'static str {
        version(self.minor_version)
    }
}

/// A version of HTTP/1 as it is written.
pub(crate) const fn version(minor: u8) -> &'static str {
    match minor {
        0 => "1.0",
        1 => "1.1",
        2 => "1.2",
        3 => "1.3",
        4 => "1.4",
        5 => "1.5",
        6 => "1.6",
        7 => "1.7",
        8 => "1.8",
        _ => "1.9",
    }
}

/// A deviation from RFC 9112 that the strict parser refuses and the tolerant one reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeadFault {
    /// A field continued on the next line (obs-fold, RFC 9112 5.2).
    Folded,
    /// White space between a field name and the colon (RFC 9112 5.1).
    SpaceBeforeColon,
    /// Lines that end in a bare LF (RFC 9112 2.2).
    BareLf,
    /// A line that is no field, left out.
    BadLine,
    /// More white space in the start line than the single spaces of RFC 9112 3 and 4.
    StartLineSpaces,
}
