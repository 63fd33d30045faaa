//! The 2 to 14 bytes before a WebSocket frame's payload (RFC 6455 5.2).

use super::Rule;
use crate::tcp::Direction;

/// The longest header: two bytes, a 64-bit length, a mask.
pub(super) const MAX_HEADER: usize = 14;

/// The longest payload of a control frame (RFC 6455 5.5).
pub(super) const MAX_CONTROL: u64 = 125;

/// Opcodes (RFC 6455 5.2 and 11.8).
pub(super) mod opcode {
    pub(in super::super) const CONTINUATION: u8 = 0;
    pub(in super::super) const TEXT: u8 = 1;
    pub(in super::super) const BINARY: u8 = 2;
    pub(in super::super) const CLOSE: u8 = 8;
    pub(in super::super) const PING: u8 = 9;
    pub(in super::super) const PONG: u8 = 10;
}

/// A frame's header, whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    first: u8,
    pub(super) mask: Option<[u8; 4]>,
    /// The length as announced, in bytes.
    pub(super) len: u64,
    minimal: bool,
}

impl Header {
    /// Reads a header; with it its own length. `None` while bytes of it are missing.
    #[inline]
    pub(super) fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
        let (len, minimal, rest) = match second & 0x7f {
            126 => {
                let (&len, rest) = rest.split_first_chunk::<2>()?;
                let len = u16::from_be_bytes(len);
                (u64::from(len), len > 125, rest)
            }
            127 => {
                let (&len, rest) = rest.split_first_chunk::<8>()?;
                let len = u64::from_be_bytes(len);
                (len, len > u64::from(u16::MAX), rest)
            }
            short => (u64::from(short), true, rest),
        };
        let (mask, rest) = if second & 0x80 == 0 {
            (None, rest)
        } else {
            let (&mask, rest) = rest.split_first_chunk::<4>()?;
            (Some(mask), rest)
        };
        let header = Self {
            first,
            mask,
            len,
            minimal,
        };
        Some((header, bytes.len() - rest.len()))
    }

    pub(super) const fn opcode(&self) -> u8 {
        self.first & 0x0f
    }

    /// The last frame of its message.
    pub(super) const fn is_final(&self) -> bool {
        self.first & 0x80 != 0
    }

    pub(super) const fn rsv1(&self) -> bool {
        self.first & 0x40 != 0
    }

    pub(super) const fn is_control(&self) -> bool {
        self.opcode() & 0x08 != 0
    }

    /// RSV2 and RSV3, as they stand in the first byte.
    const fn reserved_bits(&self) -> u8 {
        self.first & 0x30
    }

    /// The rules that the header breaks by itself. `rsv1_allowed`: compression was agreed on (or nobody knows).
    #[inline]
    pub(super) const fn faults(&self, direction: Direction, rsv1_allowed: bool) -> Faults {
        let mut faults = 0;
        match (direction, self.mask) {
            (Direction::ToServer, None) => faults |= Faults::UNMASKED,
            (Direction::ToClient, Some(_)) => faults |= Faults::MASKED,
            _ => {}
        }
        // RFC 7692 6: on the first frame of a data message only.
        if self.rsv1()
            && (!rsv1_allowed || self.is_control() || self.opcode() == opcode::CONTINUATION)
        {
            faults |= Faults::RSV1;
        }
        if self.reserved_bits() != 0 {
            faults |= Faults::RESERVED_BITS;
        }
        if matches!(self.opcode(), 3..=7 | 11..=15) {
            faults |= Faults::RESERVED_OPCODE;
        }
        if self.is_control() {
            if self.len > MAX_CONTROL {
                faults |= Faults::CONTROL_TOO_LONG;
            }
            if !self.is_final() {
                faults |= Faults::CONTROL_FRAGMENTED;
            }
        }
        if !self.minimal {
            faults |= Faults::LENGTH_NOT_MINIMAL;
        }
        if self.len > i64::MAX as u64 {
            faults |= Faults::LENGTH_TOO_LARGE;
        }
        Faults(faults)
    }

    /// The number that goes with a rule that the header breaks.
    pub(super) fn value(&self, rule: Rule) -> u64 {
        match rule {
            Rule::ReservedBits => u64::from(self.reserved_bits() >> 4),
            Rule::ControlTooLong | Rule::LengthNotMinimal | Rule::LengthTooLarge => self.len,
            _ => u64::from(self.opcode()),
        }
    }
}

/// Rules that a header breaks: a bit for each, since nearly every header breaks none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Faults(u16);

impl Faults {
    const UNMASKED: u16 = 1;
    const MASKED: u16 = 1 << 1;
    const RSV1: u16 = 1 << 2;
    const RESERVED_BITS: u16 = 1 << 3;
    const RESERVED_OPCODE: u16 = 1 << 4;
    const CONTROL_TOO_LONG: u16 = 1 << 5;
    const CONTROL_FRAGMENTED: u16 = 1 << 6;
    const LENGTH_NOT_MINIMAL: u16 = 1 << 7;
    const LENGTH_TOO_LARGE: u16 = 1 << 8;
    /// What a defective endpoint gets wrong, one at a time.
    const WRONG: u16 = Self::UNMASKED | Self::MASKED | Self::RSV1;
    /// The rules in the order of their bits.
    const RULES: [Rule; 9] = [
        Rule::Unmasked,
        Rule::Masked,
        Rule::Rsv1,
        Rule::ReservedBits,
        Rule::ReservedOpcode,
        Rule::ControlTooLong,
        Rule::ControlFragmented,
        Rule::LengthNotMinimal,
        Rule::LengthTooLarge,
    ];

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Rule> {
        (0..)
            .zip(Self::RULES)
            .filter(move |(bit, _)| self.0 & (1 << bit) != 0)
            .map(|(_, rule)| rule)
    }

    /// Whether the first header of a direction breaks so many rules that no WebSocket endpoint sent it: bytes of
    /// another protocol, or text. `start`: the first bytes as carried, at least four of them unless the stream ends
    /// before.
    ///
    /// An endpoint with a defect breaks one rule (a server that masks, RSV1 although nothing was agreed on); other
    /// bytes break several, or break one and read as text.
    pub(super) fn show_no_frame(self, start: &[u8]) -> bool {
        let wrong = (self.0 & Self::WRONG).count_ones();
        let structural = (self.0 & !Self::WRONG).count_ones();
        structural >= 2 || (structural >= 1 && wrong >= 1) || self.show_text(start)
    }

    /// Whether the header breaks a rule and reads as text: between frames, whoever wrote it did not write a frame.
    pub(super) fn show_text(self, start: &[u8]) -> bool {
        !self.is_empty() && is_text(start)
    }
}

/// Whether bytes begin as text does.
pub(super) fn is_text(start: &[u8]) -> bool {
    start
        .iter()
        .take(4)
        .all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t'))
}

const fn doubled([a, b, c, d]: [u8; 4]) -> [u8; 8] {
    [a, b, c, d, a, b, c, d]
}

/// The mask as it applies from `at` bytes into the payload on (RFC 6455 5.3).
const fn turned(mask: [u8; 4], at: u64) -> [u8; 4] {
    u32::from_le_bytes(mask)
        .rotate_right(8 * (at & 3) as u32)
        .to_le_bytes()
}

/// Whether payload bytes that begin `at` bytes into the payload are ASCII, without taking the mask off: whatever else it
/// does, it inverts the highest bits of bytes or leaves them alone.
pub(super) fn is_ascii(payload: &[u8], mask: Option<[u8; 4]>, at: u64) -> bool {
    const BLOCK: usize = 64;
    const HIGHEST: u64 = 0x8080_8080_8080_8080;
    let mask = |at| doubled(turned(mask.unwrap_or_default(), at));
    let Some(last) = payload.last_chunk::<BLOCK>() else {
        let (words, rest) = payload.as_chunks::<8>();
        let mask = mask(at);
        let wide = u64::from_ne_bytes(mask);
        let seen = words
            .iter()
            .fold(0, |seen, word| seen | (u64::from_ne_bytes(*word) ^ wide));
        let last = rest
            .iter()
            .zip(mask)
            .fold(0, |seen, (byte, key)| seen | (byte ^ key));
        return seen & HIGHEST == 0 && last.is_ascii();
    };
    // No early exit, and 64 bytes at a time, so that the compiler makes wider steps of it.
    let mut lanes = [0; BLOCK / 8];
    let mut look = |block: &[u8; BLOCK], wide: u64| {
        let (words, _) = block.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane |= u64::from_ne_bytes(*word) ^ wide;
        }
    };
    let wide = u64::from_ne_bytes(mask(at));
    let (blocks, _) = payload.as_chunks::<BLOCK>();
    for block in blocks {
        look(block, wide);
    }
    // The rest, with some that was seen already in front.
    let skipped = (payload.len() - BLOCK) as u64;
    look(last, u64::from_ne_bytes(mask(at.wrapping_add(skipped))));
    let seen = lanes.iter().fold(0, |seen, lane| seen | lane);
    seen & HIGHEST == 0
}

/// Takes the mask off payload bytes that begin `at` bytes into the payload (RFC 6455 5.3).
pub(super) fn unmask(payload: &mut [u8], mask: Option<[u8; 4]>, at: u64) {
    let Some(mask) = mask else { return };
    let mask = turned(mask, at);
    // Eight bytes at a time, which the compiler makes into still wider steps.
    let wide = u64::from_ne_bytes(doubled(mask));
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(doubled(mask)) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;
    use tungstenite::protocol::frame::FrameHeader;

    #[test]
    fn lengths_in_every_form() {
        let table: &[(&[u8], u64, bool, usize)] = &[
            (&[0x81, 0], 0, true, 2),
            (&[0x81, 125], 125, true, 2),
            (&[0x81, 126, 0, 125], 125, false, 4),
            (&[0x81, 126, 0, 126], 126, true, 4),
            (&[0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], 65535, false, 10),
            (&[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0], 65536, true, 10),
        ];
        for (bytes, len, minimal, size) in table {
            let (header, used) = Header::parse(bytes).unwrap();
            assert_eq!((header.len, header.minimal, used), (*len, *minimal, *size));
            for end in 0..bytes.len() {
                assert_eq!(Header::parse(&bytes[..end]), None);
            }
        }
    }

    #[test]
    fn other_protocols_are_told_from_defective_endpoints() {
        let table: &[(&[u8], Direction, bool)] = &[
            (b"HTTP/1.1 200 OK", Direction::ToClient, true),
            (b"GET / HTTP/1.1", Direction::ToServer, true),
            (b"{\"sid\":1}", Direction::ToClient, true),
            (b"<html>", Direction::ToClient, true),
            (b"ABCD", Direction::ToClient, true),
            (b"\x16\x03\x01\x02", Direction::ToServer, true),
            (b"\x16\x03\x01\x02", Direction::ToClient, true),
            (b"\x81\x02hi", Direction::ToClient, false),
            (b"\x81\x02hi", Direction::ToServer, false),
            (b"\xc1\x02hi", Direction::ToServer, false),
            (b"\xc1\x02hi", Direction::ToClient, false),
            (b"\x81\x82abcdhi", Direction::ToClient, false),
            (b"\x83\x82abcdhi", Direction::ToServer, false),
        ];
        for (bytes, direction, no_frame) in table {
            let (header, _) = Header::parse(&[bytes, [0; 14].as_slice()].concat()).unwrap();
            let faults = header.faults(*direction, false);
            assert_eq!(
                faults.show_no_frame(bytes),
                *no_frame,
                "{}",
                bytes.escape_ascii()
            );
        }
    }

    proptest! {
        /// Byte by byte it is the same, wherever in the payload.
        #[test]
        fn ascii_is_known_under_any_mask(
            text in proptest::collection::vec(0_u8..128, 0..70),
            other in proptest::option::of((any::<proptest::sample::Index>(), 128_u8..)),
            mask in proptest::option::of(any::<[u8; 4]>()),
            at in 0_u64..9,
        ) {
            let mut payload = text;
            if let Some((place, byte)) = &other
                && !payload.is_empty()
            {
                let place = place.index(payload.len());
                payload[place] = *byte;
            }
            let ascii = payload.is_ascii();
            let plain = payload.clone();
            unmask(&mut payload, mask, at);
            for (n, byte) in (at..).zip(&payload) {
                let key = mask.map_or(0, |mask| mask[(n % 4) as usize]);
                prop_assert_eq!(byte ^ key, plain[(n - at) as usize]);
            }
            prop_assert_eq!(is_ascii(&payload, mask, at), ascii);
        }
    }

    /// The beginning of a frame: lengths in all three forms are as likely, and so are headers that are cut.
    fn start() -> impl Strategy<Value = Vec<u8>> {
        let length = prop_oneof![
            2 => 0_u8..126,
            2 => Just(126_u8),
            2 => Just(127_u8),
        ];
        let rest = proptest::collection::vec(any::<u8>(), 0..18);
        let cut = prop_oneof![1 => 0_usize..14, 4 => Just(20_usize)];
        (any::<u8>(), length, any::<bool>(), rest, cut).prop_map(
            |(first, length, masked, rest, cut)| {
                let second = length | if masked { 0x80 } else { 0 };
                let mut bytes = [vec![first, second], rest].concat();
                bytes.truncate(cut);
                bytes
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// tungstenite reads the same from the same bytes; it refuses reserved opcodes, which we describe.
        #[test]
        fn agrees_with_tungstenite(bytes in start()) {
            let mut cursor = Cursor::new(&bytes);
            let theirs = FrameHeader::parse(&mut cursor);
            match (Header::parse(&bytes), theirs) {
                (None, theirs) => prop_assert!(!matches!(theirs, Ok(Some(_)))),
                (Some((ours, size)), Ok(Some((theirs, len)))) => {
                    prop_assert_eq!(ours.len, len);
                    prop_assert_eq!(size as u64, cursor.position());
                    prop_assert_eq!(ours.is_final(), theirs.is_final);
                    prop_assert_eq!(ours.opcode(), u8::from(theirs.opcode));
                    prop_assert_eq!(ours.mask, theirs.mask);
                    prop_assert_eq!(ours.rsv1(), theirs.rsv1);
                    prop_assert_eq!(ours.reserved_bits() & 0x20 != 0, theirs.rsv2);
                    prop_assert_eq!(ours.reserved_bits() & 0x10 != 0, theirs.rsv3);
                }
                (Some((ours, _)), Err(_)) => {
                    let faults = ours.faults(Direction::ToServer, false);
                    prop_assert!(faults.iter().any(|rule| rule == Rule::ReservedOpcode));
                }
                (Some(ours), Ok(None)) => prop_assert!(false, "only we read {:?}", ours),
            }
        }
    }
}
