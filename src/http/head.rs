//! The head of an HTTP/1 message, kept as it was on the wire.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::capture::FrameRef;

/// Where the name and the value of a field lie in a head.
pub(super) type FieldSpan = (Range<u32>, Range<u32>);

/// The header fields of a message (RFC 9112 5), in their order, over the raw bytes of its head. A clone shares them: a
/// live view looks at the same heads again and again.
///
/// ```text
///  GET /chat HTTP/1.1 CR LF Host: example.org CR LF ... CR LF CR LF | place of each name and value
///  <---------------------- head -----------------------------------> <- PLACE bytes for each ---->
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields {
    /// In one piece: thousands of heads wait at once for those of the other hop.
    block: Arc<[u8]>,
    /// How many bytes of it are the head.
    head: u32,
    /// The [`mark`]s of all names: most fields that are asked for are not there.
    marks: u64,
}

/// Bytes that a field's place takes: four numbers of four bytes, little-endian.
const PLACE: usize = size_of::<u128>();

/// Bytes of a usual head and its places: it is put together on the stack.
const USUAL: usize = 2048;

/// Fields of a usual head.
pub(super) const USUAL_FIELDS: usize = 24;

/// One bit for a field name, whatever its case: by its length and its first letter.
const fn mark(name: &[u8]) -> u64 {
    let first = match name {
        [first, ..] => first.to_ascii_lowercase() as u32,
        [] => 0,
    };
    // A name longer than 4 GiB would only share its bit with another.
    1 << ((name.len() as u32).wrapping_mul(5).wrapping_add(first) % u64::BITS)
}

fn place_of((name, value): &FieldSpan) -> [u8; PLACE] {
    let ends = |span: &Range<u32>| u64::from(span.start) | u64::from(span.end) << u32::BITS;
    (u128::from(ends(name)) | u128::from(ends(value)) << u64::BITS).to_le_bytes()
}

fn span_at(place: &[u8; PLACE]) -> FieldSpan {
    let place = u128::from_le_bytes(*place);
    let span = |ends: u64| ends as u32..(ends >> u32::BITS) as u32;
    (span(place as u64), span((place >> u64::BITS) as u64))
}

/// The bytes of a head at a place; nothing where it lies outside.
fn slice<'a>(raw: &'a [u8], span: &Range<u32>) -> &'a [u8] {
    raw.get(span.start as usize..span.end as usize)
        .unwrap_or_default()
}

impl Fields {
    /// Fields whose names and values lie in `raw`, which is at most [`MAX_HEAD`](super::MAX_HEAD) bytes long, at `spans`. A
    /// span outside of `raw` reads as empty.
    pub fn new(raw: &[u8], spans: &[FieldSpan]) -> Self {
        let names = spans.iter().map(|(name, _)| mark(slice(raw, name)));
        let marks = names.fold(0, |marks, mark| marks | mark);
        let places: SmallVec<[[u8; PLACE]; USUAL_FIELDS]> = spans.iter().map(place_of).collect();
        let mut block: SmallVec<[u8; USUAL]> = SmallVec::new();
        block.extend_from_slice(raw);
        block.extend_from_slice(places.as_flattened());
        Self {
            block: Arc::from(&*block),
            head: raw.len() as u32,
            marks,
        }
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
        Self::new(raw.as_bytes(), &spans)
    }

    /// Where the names and the values lie.
    fn places(&self) -> &[[u8; PLACE]] {
        let places = self.block.get(self.head as usize..);
        places.unwrap_or_default().as_chunks().0
    }

    /// The head as it was on the wire: start line, fields, without the blank line's own meaning.
    pub fn raw(&self) -> &[u8] {
        self.block.get(..self.head as usize).unwrap_or_default()
    }

    /// A part of the start line, up to the first byte that is no text.
    fn line(&self, span: &Range<u32>) -> &str {
        let mut chunks = slice(self.raw(), span).utf8_chunks();
        chunks.next().map_or("", |chunk| chunk.valid())
    }

    /// All fields in order: name as spelled, value without surrounding white space.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        let raw = self.raw();
        self.places()
            .iter()
            .map(span_at)
            .map(|(name, value)| (text(slice(raw, &name)), text(slice(raw, &value))))
    }

    /// The same as bytes.
    pub fn bytes(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let raw = self.raw();
        let places = self.places().iter().map(span_at);
        places.map(|(name, value)| (slice(raw, &name), slice(raw, &value)))
    }

    /// The names of all fields as spelled, as bytes, in order.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        let raw = self.raw();
        let names = self.places().iter().map(span_at);
        names.map(|(name, _)| slice(raw, &name))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.places().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values of every field of this name (ASCII case-insensitive), as bytes, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let raw = self.raw();
        let places = if self.marks & mark(name.as_bytes()) == 0 {
            &[]
        } else {
            self.places()
        };
        // Lengths first: nearly all names differ in that already.
        places
            .iter()
            .map(span_at)
            .filter(move |(span, _)| {
                span.end.wrapping_sub(span.start) as usize == name.len()
                    && slice(raw, span).eq_ignore_ascii_case(name.as_bytes())
            })
            .map(move |(_, value)| slice(raw, &value))
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

    /// The place of the first field with this name, among all of them in order.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.iter()
            .position(|(other, _)| other.eq_ignore_ascii_case(name))
    }

    /// How many fields have this name.
    pub fn count(&self, name: &str) -> usize {
        self.all(name).count()
    }

    /// Whether a list field has this token, compared without case (RFC 9110 5.6.1, 7.6.1).
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).any(|value| has_item(value, token))
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

/// Whether a field has this name, which nearly all spell in the usual way.
pub(crate) fn is_named(name: &[u8], usual: &str) -> bool {
    name == usual.as_bytes() || name.eq_ignore_ascii_case(usual.as_bytes())
}

/// Whether a list has this token, compared without case (RFC 9110 5.6.1).
pub(crate) fn has_item(list: &[u8], token: &str) -> bool {
    let is_it = |item: &[u8]| is_named(item.trim_ascii(), token);
    // Nearly all lists have one element, and nearly all that are asked for have this one.
    match list.len().cmp(&token.len()) {
        Ordering::Less => false,
        Ordering::Equal => is_it(list),
        Ordering::Greater => list.split(|&byte| byte == b',').any(is_it),
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
    /// Where the method lies in the head.
    pub(super) method: Range<u32>,
    /// Where the request target lies in the head.
    pub(super) target: Range<u32>,
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
            || self.fields.names().any(|name| {
                name.get(..PREFIX.len())
                    .is_some_and(|p| p.eq_ignore_ascii_case(PREFIX))
            })
    }

    /// The method.
    pub fn method(&self) -> &str {
        self.fields.line(&self.method)
    }

    /// The request target as sent.
    pub fn target(&self) -> &str {
        self.fields.line(&self.target)
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
    /// Where the reason phrase lies in the head.
    pub(super) reason: Range<u32>,
    /// The minor version: 0 for HTTP/1.0, 1 for HTTP/1.1; above, it is to be treated as 1 (RFC 9110 2.5).
    pub minor_version: u8,
    /// The header fields.
    pub fields: Fields,
    /// What had to be tolerated to read it.
    pub faults: Vec<HeadFault>,
}

impl ResponseHead {
    /// The reason phrase, possibly empty.
    pub fn reason(&self) -> &str {
        self.fields.line(&self.reason)
    }

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
    /// More white space in the start line than the single spaces of RFC 9112 3 and 4, inside the target perhaps.
    StartLineSpaces,
}
