//! Bytes to heads: finds the blank line that ends a head, in any segmentation, copying nothing that one segment holds.

use super::parse::{Raw, any_pair};
use super::probe::{Verdict, request_line, status_line};
use super::{MAX_HEAD, Span};
use crate::capture::FrameRef;

/// Which kind of head is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Response,
}

/// Gathers the head that is on its way.
#[derive(Debug, Default)]
pub(super) struct Gather {
    bytes: Vec<u8>,
    /// No blank line ends before this place.
    searched: usize,
    /// The start line was looked at and is one.
    line_seen: bool,
    span: Option<Span>,
}

/// What came of feeding a [`Gather`].
#[derive(Debug)]
pub(super) enum Gathered<'a> {
    /// All bytes were taken, the head is not complete.
    More,
    /// A head, blank line included; so many of the fed bytes belong to it.
    Head(Raw<'a>, Span, usize),
    /// No head begins here. The bytes held back so far; none of the fed ones was taken.
    NotHttp(Vec<u8>, FrameRef),
    /// It exceeds [`MAX_HEAD`]: all that was gathered.
    TooLarge(Vec<u8>, Span),
}

impl Gather {
    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether no byte of a head was seen.
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Gives up: what was gathered so far.
    pub(super) fn take(&mut self) -> Option<(Vec<u8>, Span)> {
        let span = self.span?;
        Some((std::mem::take(self).bytes, span))
    }

    /// Takes the next bytes of the stream. After anything but `More` it is empty again.
    pub(super) fn feed<'a>(&mut self, kind: Kind, data: &'a [u8], frame: FrameRef) -> Gathered<'a> {
        // RFC 9112 2.2: empty lines before a start line are ignored.
        let skipped = if self.bytes.is_empty() {
            data.iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                .count()
        } else {
            0
        };
        let Some(fresh) = data.get(skipped..).filter(|fresh| !fresh.is_empty()) else {
            return Gathered::More;
        };
        if self.bytes.is_empty() {
            self.feed_first(kind, fresh, skipped, frame)
        } else {
            self.feed_more(kind, fresh, frame)
        }
    }

    fn feed_first<'a>(
        &mut self,
        kind: Kind,
        fresh: &'a [u8],
        skipped: usize,
        frame: FrameRef,
    ) -> Gathered<'a> {
        let line = start_line(kind, fresh);
        if line == Verdict::No {
            return Gathered::NotHttp(Vec::new(), frame);
        }
        let span = Span {
            first: frame,
            last: frame,
        };
        let within = fresh.get(..MAX_HEAD).unwrap_or(fresh);
        match blank_line(within, 0) {
            Some(end) => Gathered::Head(
                Raw::Borrowed(fresh.get(..end).unwrap_or(fresh)),
                span,
                skipped + end,
            ),
            None if fresh.len() >= MAX_HEAD => Gathered::TooLarge(within.to_vec(), span),
            None => {
                *self = Self {
                    bytes: fresh.to_vec(),
                    searched: fresh.len(),
                    line_seen: line != Verdict::NeedMore,
                    span: Some(span),
                };
                Gathered::More
            }
        }
    }

    fn feed_more<'a>(&mut self, kind: Kind, fresh: &'a [u8], frame: FrameRef) -> Gathered<'a> {
        let held = self.bytes.len();
        let room = MAX_HEAD.saturating_sub(held);
        let within = fresh.get(..room).unwrap_or(fresh);
        self.bytes.extend_from_slice(within);
        if !self.line_seen {
            match start_line(kind, &self.bytes) {
                Verdict::No => {
                    let mut gathered = std::mem::take(self);
                    gathered.bytes.truncate(held);
                    let first = gathered.span.map_or(frame, |span| span.first);
                    return Gathered::NotHttp(gathered.bytes, first);
                }
                verdict => self.line_seen = verdict != Verdict::NeedMore,
            }
        }
        let span = Span {
            first: self.span.map_or(frame, |span| span.first),
            last: frame,
        };
        match blank_line(&self.bytes, self.searched) {
            Some(end) => {
                let mut gathered = std::mem::take(self);
                gathered.bytes.truncate(end);
                Gathered::Head(Raw::Owned(gathered.bytes), span, end.saturating_sub(held))
            }
            None if self.bytes.len() >= MAX_HEAD => {
                Gathered::TooLarge(std::mem::take(self).bytes, span)
            }
            None => {
                self.searched = self.bytes.len();
                self.span = Some(span);
                Gathered::More
            }
        }
    }
}

fn start_line(kind: Kind, bytes: &[u8]) -> Verdict {
    match kind {
        Kind::Request => request_line(bytes),
        Kind::Response => status_line(bytes),
    }
}

/// Where the head ends: behind its first empty line, whose line ends may lack the CR (RFC 9112 2.2). No empty line
/// ends before `searched`.
fn blank_line(bytes: &[u8], searched: usize) -> Option<usize> {
    if is_one_head(bytes) {
        return Some(bytes.len());
    }
    let from = searched.saturating_sub(2);
    let tail = bytes.get(from..)?;
    memchr::memchr_iter(b'\n', tail).find_map(|at| match tail.get(at + 1..)? {
        [b'\n', ..] => Some(from + at + 2),
        [b'\r', b'\n', ..] => Some(from + at + 3),
        _ => None,
    })
}

/// Whether these are lines that end in CR LF, of which only the last is empty: nearly every head comes by itself in a
/// segment, and then one look at each pair of bytes tells where it ends.
fn is_one_head(bytes: &[u8]) -> bool {
    let Some(lines) = bytes.strip_suffix(b"\r\n") else {
        return false;
    };
    let odd = any_pair(lines, |first, second| {
        let bare = second == b'\n' && first != b'\r';
        let empty = first == b'\n' && second == b'\r';
        bare || empty
    });
    !odd && lines.ends_with(b"\r\n") && lines.first() != Some(&b'\n')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_empty_line_ends_the_head() {
        assert_eq!(blank_line(b"a\r\n\r\nrest\n\n", 0), Some(5));
        assert_eq!(blank_line(b"a\n\nrest\r\n\r\n", 0), Some(3));
        assert_eq!(blank_line(b"a\n\r\n", 0), Some(4));
        assert_eq!(blank_line(b"a\r\nb\r\n", 0), None);
        assert_eq!(blank_line(b"a\r\n\r\n", 4), Some(5));
        assert_eq!(blank_line(b"\n\r\n", 0), Some(3));
        assert_eq!(blank_line(b"\r\n\r\n", 0), Some(4));
        assert_eq!(blank_line(b"\r\n", 0), None);
    }

    proptest! {
        #[test]
        fn one_head_ends_where_a_search_says(bytes in "[a\r\n]{0,12}(\r\n)?") {
            let bytes = bytes.as_bytes();
            let end = (1..=bytes.len()).find(|&end| {
                bytes[..end].ends_with(b"\n\n") || bytes[..end].ends_with(b"\n\r\n")
            });
            prop_assert_eq!(blank_line(bytes, 0), end);
        }
    }
}
