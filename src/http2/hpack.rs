//! Header compression (RFC 7541), decoding only.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::huffman;

/// Bytes of the dynamic table, as its entries count (RFC 7541 4.1). A peer may allow more than the 4096 of the
/// standard; what is beyond is given up on.
const TABLE_MAX: usize = 64 * 1024;

/// Longest value: servers refuse longer ones.
const VALUE_MAX: usize = 64 * 1024;

/// Longest name. A byte of a block can have one copied that was remembered before, so it must not be long.
const NAME_MAX: usize = 1024;

/// What an entry costs besides its bytes (RFC 7541 4.1).
const ENTRY_OVERHEAD: usize = 32;

/// Fields that everybody knows (RFC 7541 A).
#[rustfmt::skip]
const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""),
    ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""), ("etag", ""),
    ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""), ("if-modified-since", ""),
    ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""),
    ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""),
    ("www-authenticate", ""),
];

/// A field: name and value.
type Field = (Box<[u8]>, Box<[u8]>);

/// The header blocks of one direction, in their order.
#[derive(Debug)]
pub(super) struct Blocks {
    /// Newest first.
    table: VecDeque<Field>,
    size: usize,
    max: usize,
}

impl Default for Blocks {
    fn default() -> Self {
        Self {
            table: VecDeque::new(),
            size: 0,
            // SETTINGS_HEADER_TABLE_SIZE (RFC 9113 6.5.2), until a block says otherwise.
            max: 4096,
        }
    }
}

impl Blocks {
    /// Bytes that its table holds.
    pub(super) const fn held(&self) -> usize {
        self.size
    }

    /// Decodes a whole block; `None` when it breaks the rules, and then no later block can be read.
    pub(super) fn decode(
        &mut self,
        mut rest: &[u8],
        mut field: impl FnMut(&[u8], &[u8]),
    ) -> Option<()> {
        while let Some(&first) = rest.first() {
            if first & 0x80 != 0 {
                // 6.1: an indexed field.
                let (name, value) = self.entry(integer(&mut rest, 7)?)?;
                field(name, value);
            } else if first & 0xe0 == 0x20 {
                // 6.3: a new size of the table.
                self.max = integer(&mut rest, 5)?;
                if self.max > TABLE_MAX {
                    return None;
                }
                self.evict(0);
            } else {
                // 6.2: a literal, remembered (01), or not (0000, 0001).
                let remembered = first & 0x40 != 0;
                let index = integer(&mut rest, if remembered { 6 } else { 4 })?;
                let name = match index {
                    0 => string(&mut rest, NAME_MAX)?,
                    known => Cow::Borrowed(self.entry(known)?.0),
                };
                let value = string(&mut rest, VALUE_MAX)?;
                field(&name, &value);
                if remembered {
                    let entry = (name.into(), value.into());
                    self.remember(entry);
                }
            }
        }
        Some(())
    }

    fn entry(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let place = index.checked_sub(1)?;
        if let Some(&(name, value)) = STATIC.get(place) {
            return Some((name.as_bytes(), value.as_bytes()));
        }
        let (name, value) = self.table.get(place - STATIC.len())?;
        Some((name, value))
    }

    fn remember(&mut self, (name, value): Field) {
        let size = name.len() + value.len() + ENTRY_OVERHEAD;
        self.evict(size);
        // 4.4: an entry larger than the table empties it and is no error.
        if size <= self.max {
            self.size += size;
            self.table.push_front((name, value));
        }
    }

    /// Makes room for `more` bytes.
    fn evict(&mut self, more: usize) {
        while self.size.saturating_add(more) > self.max {
            let Some((name, value)) = self.table.pop_back() else {
                return;
            };
            self.size -= name.len() + value.len() + ENTRY_OVERHEAD;
        }
    }
}

/// An integer with a prefix of `bits` bits (RFC 7541 5.1).
fn integer(rest: &mut &[u8], bits: u32) -> Option<usize> {
    let mask = (1_usize << bits) - 1;
    let mut value = usize::from(take(rest)?) & mask;
    if value < mask {
        return Some(value);
    }
    // Four more bytes are far more than any length or index here.
    for shift in [0, 7, 14, 21] {
        let byte = usize::from(take(rest)?);
        value += (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A string literal (RFC 7541 5.2) of at most so many bytes.
fn string<'a>(rest: &mut &'a [u8], max: usize) -> Option<Cow<'a, [u8]>> {
    let huffman = rest.first()? & 0x80 != 0;
    let length = integer(rest, 7)?;
    if length > max {
        return None;
    }
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    if huffman {
        huffman::decode(text, max).map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(text))
    }
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (&first, behind) = rest.split_first()?;
    *rest = behind;
    Some(first)
}
