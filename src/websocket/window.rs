//! Whether compressed messages keep to the window that was agreed on (RFC 7692 7.1.2.1, 7.1.2.2): DEFLATE (RFC 1951)
//! read for nothing but how far it refers back. Inflating cannot tell, since it reads smaller windows as well.
//!
//! ```text
//!   Header -> StoredLength -> Stored ------------------+-> Header ...
//!      +----> Counts -> CodeLengths -> Lengths -> Symbols
//!      +----------------------------------------> Symbols
//! ```
//!
//! Any segmentation gives the same. What is no DEFLATE at all is left to the inflater to tell.

/// Codes for literals and lengths, the most that a block can have.
const LITERALS: usize = 288;

/// Lengths of both codes of a block: 286 and 30, at most 288 and 32 announced.
const LENGTHS: usize = 320;

/// The order in which lengths of the code for lengths come (RFC 1951 3.2.7).
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// Reads the compressed messages of one direction.
#[derive(Debug)]
pub(super) struct Window {
    /// Bytes that may be referred back.
    limit: u32,
    bits: u64,
    have: u32,
    state: State,
    is_last: bool,
    literals: Code,
    distances: Code,
    lengths: [u8; LENGTHS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    StoredLength,
    Stored {
        left: u32,
    },
    Counts,
    CodeLengths {
        counts: Counts,
        at: usize,
    },
    Lengths {
        counts: Counts,
        at: usize,
    },
    Symbols,
    /// No DEFLATE.
    Lost,
}

/// How many code lengths a block announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    literals: usize,
    distances: usize,
    code_lengths: usize,
}

/// What a step came to.
enum Step {
    On,
    /// More bits are needed.
    Wait,
    /// So many bytes back.
    Back(u32),
}

/// A canonical Huffman code (RFC 1951 3.2.2): how many codes of each length, and the symbols in order.
#[derive(Debug)]
struct Code {
    counts: [u16; 16],
    symbols: [u16; LITERALS],
}

impl Code {
    const fn empty() -> Self {
        Self {
            counts: [0; 16],
            symbols: [0; LITERALS],
        }
    }

    fn of(lengths: &[u8]) -> Self {
        let mut code = Self::empty();
        let mut next = 0;
        for length in 1..16_u8 {
            let with_it = (0_u16..).zip(lengths).filter(|(_, of)| **of == length);
            for (symbol, _) in with_it {
                if let (Some(count), Some(slot)) = (
                    code.counts.get_mut(usize::from(length)),
                    code.symbols.get_mut(next),
                ) {
                    *count += 1;
                    *slot = symbol;
                    next += 1;
                }
            }
        }
        code
    }

    /// The symbol at the front of `bits`, of which `have` are there, and its length. `Err`: no code begins so.
    fn decode(&self, bits: u64, have: u32) -> Result<Option<(u16, u32)>, ()> {
        let (mut code, mut first, mut index) = (0_u32, 0_u32, 0_u32);
        for (length, &count) in (0_u32..).zip(&self.counts).skip(1) {
            if length > have {
                return Ok(None);
            }
            let count = u32::from(count);
            code |= (bits >> (length - 1)) as u32 & 1;
            if code < first + count {
                let symbol = self
                    .symbols
                    .get((index + code.saturating_sub(first)) as usize);
                return symbol.map(|symbol| Some((*symbol, length))).ok_or(());
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(())
    }
}

impl Window {
    /// For a window of 2^`bits` bytes.
    pub(super) fn of_bits(bits: u8) -> Self {
        Self {
            limit: 1 << bits.min(15),
            bits: 0,
            have: 0,
            state: State::Header,
            is_last: false,
            literals: Code::empty(),
            distances: Code::empty(),
            lengths: [0; LENGTHS],
        }
    }

    /// A new stream begins.
    pub(super) const fn reset(&mut self) {
        self.bits = 0;
        self.have = 0;
        self.state = State::Header;
    }

    /// Takes the next compressed bytes; how far they refer back, where that is beyond the window.
    pub(super) fn feed(&mut self, input: &[u8]) -> Option<u32> {
        let mut rest = input.iter();
        loop {
            if let State::Stored { left } = self.state
                && self.have == 0
            {
                let take = rest.len().min(left as usize);
                rest = rest.as_slice().get(take..).unwrap_or_default().iter();
                self.stored(left - take as u32);
            }
            // A length with its distance takes 48 bits at most.
            while self.have < 56
                && let Some(&byte) = rest.next()
            {
                self.bits |= u64::from(byte) << self.have;
                self.have += 8;
            }
            match self.step() {
                Step::Wait if rest.len() == 0 => return None,
                Step::Back(distance) if distance > self.limit => return Some(distance),
                Step::On | Step::Wait | Step::Back(_) => {}
            }
            if self.state == State::Lost {
                return None;
            }
        }
    }

    /// The next bits, if they are there.
    const fn peek(&self, count: u32) -> Option<u32> {
        if self.have < count {
            return None;
        }
        Some((self.bits & ((1 << count) - 1)) as u32)
    }

    const fn drop_bits(&mut self, count: u32) {
        self.bits >>= count;
        self.have -= count;
    }

    fn step(&mut self) -> Step {
        match self.state {
            State::Header => self.header(),
            State::StoredLength => self.stored_length(),
            State::Stored { left } => {
                let take = (self.have / 8).min(left);
                self.drop_bits(take * 8);
                self.stored(left - take);
                if take == 0 && left > 0 {
                    Step::Wait
                } else {
                    Step::On
                }
            }
            State::Counts => self.counts(),
            State::CodeLengths { counts, at } => self.code_lengths(counts, at),
            State::Lengths { counts, at } => {
                self.lengths(counts, at).unwrap_or_else(|()| self.lost())
            }
            State::Symbols => self.symbol().unwrap_or_else(|()| self.lost()),
            State::Lost => Step::Wait,
        }
    }

    const fn lost(&mut self) -> Step {
        self.state = State::Lost;
        Step::Wait
    }

    const fn stored(&mut self, left: u32) {
        if left > 0 {
            self.state = State::Stored { left };
        } else {
            self.end_block();
        }
    }

    /// What follows the last block begins with a new byte (RFC 7692 7.2.3.4).
    const fn end_block(&mut self) {
        if self.is_last {
            self.align();
        }
        self.state = State::Header;
    }

    const fn align(&mut self) {
        self.drop_bits(self.have % 8);
    }

    fn header(&mut self) -> Step {
        let Some(bits) = self.peek(3) else {
            return Step::Wait;
        };
        self.drop_bits(3);
        self.is_last = bits & 1 != 0;
        match bits >> 1 {
            0 => {
                self.align();
                self.state = State::StoredLength;
            }
            1 => {
                // RFC 1951 3.2.6.
                let mut lengths = [8; LITERALS];
                for (at, length) in lengths.iter_mut().enumerate() {
                    *length = match at {
                        144..=255 => 9,
                        256..=279 => 7,
                        _ => 8,
                    };
                }
                self.literals = Code::of(&lengths);
                self.distances = Code::of(&[5; 30]);
                self.state = State::Symbols;
            }
            2 => self.state = State::Counts,
            _ => return self.lost(),
        }
        Step::On
    }

    fn stored_length(&mut self) -> Step {
        let Some(both) = self.peek(32) else {
            return Step::Wait;
        };
        self.drop_bits(32);
        let (length, inverse) = (both & 0xffff, both >> 16);
        if length != !inverse & 0xffff {
            return self.lost();
        }
        self.stored(length);
        Step::On
    }

    fn counts(&mut self) -> Step {
        let Some(bits) = self.peek(14) else {
            return Step::Wait;
        };
        self.drop_bits(14);
        let counts = Counts {
            literals: (bits & 31) as usize + 257,
            distances: (bits >> 5 & 31) as usize + 1,
            code_lengths: (bits >> 10) as usize + 4,
        };
        self.lengths = [0; LENGTHS];
        self.state = State::CodeLengths { counts, at: 0 };
        Step::On
    }

    fn code_lengths(&mut self, counts: Counts, at: usize) -> Step {
        let Some(&place) = ORDER.get(at).filter(|_| at < counts.code_lengths) else {
            self.distances = Code::of(self.lengths.get(..ORDER.len()).unwrap_or_default());
            self.lengths = [0; LENGTHS];
            self.state = State::Lengths { counts, at: 0 };
            return Step::On;
        };
        let Some(bits) = self.peek(3) else {
            return Step::Wait;
        };
        self.drop_bits(3);
        if let Some(slot) = self.lengths.get_mut(place) {
            *slot = bits as u8;
        }
        self.state = State::CodeLengths { counts, at: at + 1 };
        Step::On
    }

    /// One length of the block's codes, or a run of them. The code for them stands in `distances` meanwhile.
    fn lengths(&mut self, counts: Counts, at: usize) -> Result<Step, ()> {
        let all = counts.literals + counts.distances;
        if at >= all {
            let both = self.lengths.get(..all).unwrap_or_default();
            let (literals, distances) = both.split_at_checked(counts.literals).ok_or(())?;
            self.literals = Code::of(literals);
            self.distances = Code::of(distances);
            self.state = State::Symbols;
            return Ok(Step::On);
        }
        let Some((symbol, used)) = self.distances.decode(self.bits, self.have)? else {
            return Ok(Step::Wait);
        };
        let extra = match symbol {
            16 => 2,
            17 => 3,
            18 => 7,
            _ => 0,
        };
        let Some(bits) = self.peek(used + extra) else {
            return Ok(Step::Wait);
        };
        self.drop_bits(used + extra);
        let more = (bits >> used) as usize;
        let (length, times) = match symbol {
            16 => {
                let before = at
                    .checked_sub(1)
                    .and_then(|before| self.lengths.get(before));
                (*before.ok_or(())?, 3 + more)
            }
            17 => (0, 3 + more),
            18 => (0, 11 + more),
            length => (length as u8, 1),
        };
        for slot in self.lengths.get_mut(at..at + times).ok_or(())? {
            *slot = length;
        }
        let at = at + times;
        self.state = State::Lengths { counts, at };
        Ok(Step::On)
    }

    /// A literal, the end of the block, or a length with its distance.
    fn symbol(&mut self) -> Result<Step, ()> {
        let Some((symbol, used)) = self.literals.decode(self.bits, self.have)? else {
            return Ok(Step::Wait);
        };
        let Some(length) = symbol.checked_sub(257) else {
            self.drop_bits(used);
            if symbol == 256 {
                self.end_block();
            }
            return Ok(Step::On);
        };
        // RFC 1951 3.2.5.
        let extra = match length {
            0..=7 | 28 => 0,
            8..=27 => u32::from(length - 4) / 4,
            _ => return Err(()),
        };
        let used = used + extra;
        if self.have < used {
            return Ok(Step::Wait);
        }
        let behind = (self.bits >> used, self.have - used);
        let Some((distance, more)) = self.distances.decode(behind.0, behind.1)? else {
            return Ok(Step::Wait);
        };
        let distance = u32::from(distance);
        let extra = match distance {
            0..=3 => 0,
            4..=29 => distance / 2 - 1,
            _ => return Err(()),
        };
        let used = used + more;
        if self.have < used + extra {
            return Ok(Step::Wait);
        }
        let added = (self.bits >> used) as u32 & ((1 << extra) - 1);
        self.drop_bits(used + extra);
        let base = if distance < 4 {
            distance
        } else {
            (2 + (distance & 1)) << extra
        };
        Ok(Step::Back(base + added + 1))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};
    use proptest::prelude::*;

    /// Messages as RFC 7692 7.2.1 compresses them, from a sender with a window of so many bits.
    fn compressed(bits: u8, level: u32, messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut sender = Compress::new_with_window_bits(Compression::new(level), false, bits);
        messages
            .iter()
            .map(|message| {
                let mut out = Vec::with_capacity(message.len() * 2 + 100);
                sender
                    .compress_vec(message, &mut out, FlushCompress::Sync)
                    .unwrap();
                assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
                out
            })
            .collect()
    }

    /// How far messages refer back at first beyond a window, read in pieces.
    fn beyond(window: &mut Window, messages: &[Vec<u8>], step: usize) -> Option<u32> {
        messages
            .iter()
            .flat_map(|message| message.chunks(step))
            .find_map(|piece| window.feed(piece))
    }

    /// 1000 bytes that share nothing, and the same again.
    fn far_apart() -> Vec<Vec<u8>> {
        let mut seed = 1_u32;
        let random: Vec<u8> = (0..1000)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .collect();
        vec![random.clone(), random]
    }

    #[test]
    fn a_sender_with_a_larger_window_is_found() {
        for level in [1, 6, 9] {
            let wide = compressed(15, level, &far_apart());
            for step in [1, 2, 7, 5000] {
                let mut small = Window::of_bits(9);
                assert_eq!(beyond(&mut small, &wide, step), Some(1000), "level {level}");
                let mut large = Window::of_bits(10);
                assert_eq!(beyond(&mut large, &wide, step), None);
                assert_eq!(large.state, State::Header);
            }
        }
    }

    #[test]
    fn every_kind_of_block_is_read_to_its_end() {
        let text = "The quick brown fox jumps over the lazy dog, again and again. ".repeat(40);
        for level in [0, 1, 9] {
            let messages = compressed(15, level, &[text.clone().into_bytes(), b"fox".to_vec()]);
            let mut window = Window::of_bits(15);
            assert_eq!(beyond(&mut window, &messages, 3), None);
            assert_eq!(window.state, State::Header, "level {level}");
        }
    }

    #[test]
    fn garbage_is_left_to_others() {
        let mut window = Window::of_bits(8);
        assert_eq!(window.feed(&[0xff; 100]), None);
        assert_eq!(window.state, State::Lost);
    }

    proptest! {
        #[test]
        fn what_keeps_to_its_window_is_no_fault(
            messages in proptest::collection::vec(proptest::collection::vec(0_u8..6, 1..3000), 1..4),
            bits in 9_u8..=15,
            level in 0_u32..10,
            step in 1_usize..200,
        ) {
            let mut window = Window::of_bits(bits);
            let sent = compressed(bits, level, &messages);
            prop_assert_eq!(beyond(&mut window, &sent, step), None);
            prop_assert_eq!(window.state, State::Header);
        }

        #[test]
        fn hostile_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400), step in 1_usize..50) {
            let mut window = Window::of_bits(9);
            beyond(&mut window, &[bytes], step);
        }
    }
}
