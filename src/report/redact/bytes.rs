//! Which bytes a text has: what is looked for cannot be in a text that lacks one of its bytes, and most texts do.

/// A bit for each printable byte, letters without regard to case; other bytes share these bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes(u64);

/// The bit of each byte.
const BITS: [u64; 256] = {
    let mut bits = [0; 256];
    let mut rest: &mut [u64] = &mut bits;
    let mut byte = 0_u8;
    while let [bit, tail @ ..] = rest {
        // From 0x40 on, bit 5 is the case.
        let upper = byte & !((byte & 0x40) >> 1);
        *bit = 1 << (upper & 0x3f);
        byte = byte.wrapping_add(1);
        rest = tail;
    }
    bits
};

impl Bytes {
    /// Those of a text.
    #[allow(
        clippy::indexing_slicing,
        reason = "each byte has its place, and `get` is not for constants"
    )]
    pub(super) const fn of(text: &str) -> Self {
        let mut rest = text.as_bytes();
        let mut bits = 0;
        while let [byte, tail @ ..] = rest {
            bits |= BITS[*byte as usize];
            rest = tail;
        }
        Self(bits)
    }

    /// Those of a text of which nothing is known.
    #[cfg(test)]
    pub(super) const fn any(_: &str) -> Self {
        Self(u64::MAX)
    }

    /// Whether a text with these bytes may have a part with those.
    pub(super) const fn may_have(self, part: Self) -> bool {
        part.0 & !self.0 == 0
    }
}

/// A text to be looked for, in others that may well lack one of its bytes.
#[derive(Debug, Clone)]
pub(super) struct Part<T> {
    pub(super) text: T,
    bytes: Bytes,
}

impl Part<&'static str> {
    /// A text known beforehand.
    pub(super) const fn new(text: &'static str) -> Self {
        Self {
            text,
            bytes: Bytes::of(text),
        }
    }
}

impl From<String> for Part<String> {
    fn from(text: String) -> Self {
        Self {
            bytes: Bytes::of(&text),
            text,
        }
    }
}

impl<T> Part<T> {
    /// Whether it may be in a text with these bytes.
    pub(super) const fn may_be_in(&self, whole: Bytes) -> bool {
        whole.may_have(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_may_be_in_every_text_that_has_it() {
        let has = |text: &str, part: &str| Bytes::of(text).may_have(Bytes::of(part));
        assert!(has("Set-Cookie: größer", "cookie"));
        assert!(has("größer", "größe"));
        assert!(has("", ""));
        assert!(!has("Accept-Encoding", "cookie"));
        for printable in ' '..='~' {
            let others: String = (' '..='~')
                .filter(|other| !other.eq_ignore_ascii_case(&printable))
                .filter(|other| !matches!((*other as u8) ^ (printable as u8), 0x20))
                .collect();
            assert!(!has(&others, &printable.to_string()), "{printable}");
        }
    }
}
