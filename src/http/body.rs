//! Bodies, skipped by count: where a message ends (RFC 9112 6 and 7).

use super::Fields;

/// How the end of a body is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes are still to come (Content-Length).
    Counted(u64),
    /// Chunks (Transfer-Encoding).
    Chunked(Chunked),
    /// All until the stream ends.
    UntilClose,
}

/// What the fields of a message say about its body (RFC 9112 6.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Framing {
    /// None, or an empty one.
    Absent,
    /// One.
    Present(Body),
    /// They do not say: the end can only be found by closing (an answer) or not at all (a request).
    Open,
    /// They contradict each other.
    Invalid,
}

/// The framing that the fields declare.
pub(super) fn framing(fields: &Fields) -> Framing {
    if let Some(coding) = fields.all("transfer-encoding").last() {
        let last = coding.rsplit(|&byte| byte == b',').next().unwrap_or(coding);
        return if last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            Framing::Present(Body::Chunked(Chunked::default()))
        } else {
            Framing::Invalid
        };
    }
    let mut length = None;
    for value in fields.all("content-length") {
        // RFC 9112 6.3 rule 5: the same length several times is one.
        for item in value.split(|&byte| byte == b',') {
            let Some(parsed) = decimal(item.trim_ascii()) else {
                return Framing::Invalid;
            };
            if length.is_some_and(|before| before != parsed) {
                return Framing::Invalid;
            }
            length = Some(parsed);
        }
    }
    match length {
        None => Framing::Open,
        Some(0) => Framing::Absent,
        Some(length) => Framing::Present(Body::Counted(length)),
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What came of the next bytes of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// All bytes belong to it.
    More,
    /// It ended; so many of the bytes belong to it.
    End(usize),
    /// Its framing is broken from here on.
    Broken,
}

impl Body {
    /// Takes the next bytes; `content` gets what is content, the framing taken off.
    pub(super) fn feed(&mut self, data: &[u8], content: &mut impl FnMut(&[u8])) -> Progress {
        match self {
            Self::Counted(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(data.len());
                content(data.get(..take).unwrap_or(data));
                *left -= take as u64;
                if *left == 0 {
                    Progress::End(take)
                } else {
                    Progress::More
                }
            }
            Self::Chunked(chunked) => chunked.feed(data, content),
            Self::UntilClose => {
                content(data);
                Progress::More
            }
        }
    }

    /// Passes over a hole; `None` when it is not certain where the stream goes on behind it, `Some(true)` when the
    /// body ends with the hole.
    pub(super) fn skip(&mut self, len: u64) -> Option<bool> {
        match self {
            Self::Counted(left) => {
                *left = left.checked_sub(len)?;
                Some(*left == 0)
            }
            Self::Chunked(chunked) => chunked.skip(len).then_some(false),
            Self::UntilClose => Some(false),
        }
    }
}

/// Digits that a chunk size may have: 2^64 needs 16, leading zeros are tolerated up to here.
const MAX_SIZE_DIGITS: u8 = 20;

/// Bytes of extensions that a chunk size line may carry, and of one trailer section: as much as a head.
const MAX_LINE: u32 = super::MAX_HEAD as u32;

/// A chunked body (RFC 9112 7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunked {
    at: ChunkedAt,
    size: u64,
    digits: u8,
    line: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkedAt {
    /// The digits of a size.
    Size,
    /// The rest of the size line.
    Extension,
    /// The bytes of a chunk.
    Data,
    /// The line end behind them.
    DataEnd,
    /// The beginning of a line of the trailer section.
    TrailerStart,
    /// Inside such a line.
    Trailer,
}

impl Default for Chunked {
    fn default() -> Self {
        Self {
            at: ChunkedAt::Size,
            size: 0,
            digits: 0,
            line: 0,
        }
    }
}

impl Chunked {
    fn feed(&mut self, data: &[u8], content: &mut impl FnMut(&[u8])) -> Progress {
        let mut rest = data;
        while let Some((&byte, behind)) = rest.split_first() {
            match self.at {
                ChunkedAt::Data => {
                    let take = usize::try_from(self.size)
                        .unwrap_or(usize::MAX)
                        .min(rest.len());
                    let (now, later) = rest.split_at(take);
                    content(now);
                    self.size -= take as u64;
                    if self.size == 0 {
                        self.at = ChunkedAt::DataEnd;
                    }
                    rest = later;
                    continue;
                }
                ChunkedAt::Size => {
                    if !self.size_byte(byte) {
                        return Progress::Broken;
                    }
                }
                ChunkedAt::Extension => {
                    if byte == b'\n' {
                        self.size_line_end();
                    } else if !self.line_byte() {
                        return Progress::Broken;
                    }
                }
                ChunkedAt::DataEnd => match byte {
                    b'\r' => {}
                    b'\n' => *self = Self::default(),
                    _ => return Progress::Broken,
                },
                ChunkedAt::TrailerStart => match byte {
                    b'\n' => return Progress::End(data.len() - behind.len()),
                    b'\r' => {}
                    _ => self.at = ChunkedAt::Trailer,
                },
                ChunkedAt::Trailer => {
                    if byte == b'\n' {
                        self.at = ChunkedAt::TrailerStart;
                    } else if !self.line_byte() {
                        return Progress::Broken;
                    }
                }
            }
            rest = behind;
        }
        Progress::More
    }

    fn size_byte(&mut self, byte: u8) -> bool {
        if let Some(digit) = char::from(byte).to_digit(16) {
            self.digits += 1;
            let size = self.size.checked_mul(16);
            match size.and_then(|size| size.checked_add(u64::from(digit))) {
                Some(size) if self.digits <= MAX_SIZE_DIGITS => self.size = size,
                _ => return false,
            }
            return true;
        }
        match byte {
            _ if self.digits == 0 => return false,
            b'\n' => self.size_line_end(),
            b'\r' | b';' | b' ' | b'\t' => self.at = ChunkedAt::Extension,
            _ => return false,
        }
        true
    }

    fn size_line_end(&mut self) {
        self.at = if self.size == 0 {
            ChunkedAt::TrailerStart
        } else {
            ChunkedAt::Data
        };
        self.line = 0;
    }

    fn line_byte(&mut self) -> bool {
        self.line += 1;
        self.line <= MAX_LINE
    }

    fn skip(&mut self, len: u64) -> bool {
        if self.at != ChunkedAt::Data || len > self.size {
            return false;
        }
        self.size -= len;
        if self.size == 0 {
            self.at = ChunkedAt::DataEnd;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn run(stream: &[u8], step: usize) -> (Vec<u8>, Progress) {
        let mut body = Body::Chunked(Chunked::default());
        let mut content = Vec::new();
        let mut fed = 0;
        for piece in stream.chunks(step) {
            match body.feed(piece, &mut |bytes| content.extend_from_slice(bytes)) {
                Progress::More => fed += piece.len(),
                Progress::End(used) => return (content, Progress::End(fed + used)),
                Progress::Broken => return (content, Progress::Broken),
            }
        }
        (content, Progress::More)
    }

    #[test]
    fn chunks_are_taken_off_in_any_segmentation() {
        let table: &[(&[u8], &[u8], Progress)] = &[
            (b"0\r\n\r\nnext", b"", Progress::End(5)),
            (b"3\r\nabc\r\n0\r\n\r\nnext", b"abc", Progress::End(13)),
            (b"3;a=\"b\"\r\nabc\r\n0\r\n\r\n", b"abc", Progress::End(19)),
            (
                b"3 \r\nabc\r\n00\r\nA: b\r\nC: d\r\n\r\n",
                b"abc",
                Progress::End(27),
            ),
            (b"3\nabc\n0\n\n", b"abc", Progress::End(9)),
            (b"A\r\n0123456789\r\n", b"0123456789", Progress::More),
            (b"x\r\n", b"", Progress::Broken),
            (b"\r\n", b"", Progress::Broken),
            (b"3\r\nabcd", b"abc", Progress::Broken),
            (b"11111111111111111\r\n", b"", Progress::Broken),
        ];
        for (stream, content, progress) in table {
            for step in 1..=stream.len() {
                assert_eq!(
                    run(stream, step),
                    (content.to_vec(), *progress),
                    "{}",
                    stream.escape_ascii()
                );
            }
        }
    }

    #[test]
    fn holes_are_counted_only_where_that_is_certain() {
        assert_eq!(Body::Counted(10).skip(4), Some(false));
        assert_eq!(Body::Counted(10).skip(10), Some(true));
        assert_eq!(Body::Counted(10).skip(11), None);
        assert_eq!(Body::UntilClose.skip(9), Some(false));
        let mut chunked = Body::Chunked(Chunked::default());
        assert_eq!(chunked.skip(1), None);
        assert_eq!(chunked.feed(b"5\r\na", &mut |_| ()), Progress::More);
        assert_eq!(chunked.skip(3), Some(false));
        assert_eq!(
            chunked.feed(b"e\r\n0\r\n\r\n", &mut |_| ()),
            Progress::End(8)
        );
        assert_eq!(chunked.skip(1), None);
    }

    #[test]
    fn framing_follows_the_fields() {
        const LENGTH: &str = "Content-Length";
        const CODING: &str = "Transfer-Encoding";
        let chunked = Framing::Present(Body::Chunked(Chunked::default()));
        let table: &[(&[(&str, &str)], Framing)] = &[
            (&[("Host", "a")], Framing::Open),
            (&[(LENGTH, "0")], Framing::Absent),
            (
                &[("content-length", "7")],
                Framing::Present(Body::Counted(7)),
            ),
            (
                &[(LENGTH, "7"), (LENGTH, "7")],
                Framing::Present(Body::Counted(7)),
            ),
            (&[(LENGTH, "7, 7")], Framing::Present(Body::Counted(7))),
            (&[(LENGTH, "7"), (LENGTH, "8")], Framing::Invalid),
            (&[(LENGTH, "+7")], Framing::Invalid),
            (&[(LENGTH, "")], Framing::Invalid),
            (&[(LENGTH, "99999999999999999999")], Framing::Invalid),
            (&[(CODING, "chunked"), (LENGTH, "3")], chunked.clone()),
            (&[(CODING, "gzip, Chunked")], chunked.clone()),
            (&[(CODING, "gzip"), (CODING, "chunked")], chunked),
            (&[(CODING, "gzip")], Framing::Invalid),
        ];
        for (fields, expected) in table {
            assert_eq!(framing(&Fields::of(fields)), *expected, "{fields:?}");
        }
    }
}
