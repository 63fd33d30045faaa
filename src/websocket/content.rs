//! A look into payloads: whether text is UTF-8, and whether compressed messages inflate, as deep as asked and no deeper.

use flate2::{Decompress, FlushDecompress, Status};

use super::Rule;
use super::header::{is_ascii, opcode};
use super::window::Window;

/// How deep to look into the compressed messages of each direction of a session. Text that is not compressed is always
/// looked into: that takes no memory and hardly any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Compressed payload bytes looked into, as carried.
    pub bytes: u64,
    /// Compressed messages inflated. An inflater holds about 48 KiB, until this many messages are through.
    pub messages: u32,
    /// Bytes that inflating may give in total: a bomb ends here.
    pub inflated: u64,
}

impl Depth {
    /// Enough to see what a peer does wrong from the start (a wrong encoding, a context that the other side does not
    /// keep), at a cost that does not grow with the session.
    pub const BOUNDED: Self = Self {
        bytes: 256 * 1024,
        messages: 64,
        inflated: 1024 * 1024,
    };

    /// Everything, but for decompression bombs.
    pub const FULL: Self = Self {
        bytes: u64::MAX,
        messages: u32::MAX,
        inflated: 1 << 32,
    };
}

/// How the messages of a direction may be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    /// Not at all.
    Off,
    /// permessage-deflate (RFC 7692 7.1).
    Deflate {
        /// The sender forgets its window after each message.
        no_context_takeover: bool,
        /// The size of that window in bits, where it was limited.
        window_bits: Option<u8>,
    },
    /// The negotiation was not seen.
    Unknown,
}

/// Looks into one direction's messages.
#[derive(Debug)]
pub(super) struct Content {
    left: Depth,
    compression: Compression,
    /// What is done with the message at hand.
    message: Look,
    utf8: Utf8,
    inflater: Option<Box<Inflater>>,
    /// Looks for references beyond a limited window, until it finds one.
    window: Option<Box<Window>>,
    /// How far back that one goes.
    beyond: Option<u32>,
    /// A compressed message was not looked into, or not to its end, for the depth was reached.
    sated: bool,
    /// Compressed messages passed unseen: the window is not known any more.
    window_lost: bool,
    /// All that inflating gave, for tests to compare.
    #[cfg(test)]
    pub(super) inflated: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Nothing,
    Text,
    Inflate { text: bool },
}

#[derive(Debug)]
struct Inflater {
    state: Decompress,
    /// The message at hand has bytes.
    begun: bool,
    /// The sender ended its deflate stream in the message at hand (RFC 7692 7.2.3.4).
    ended: bool,
    /// It did so before: whether it began a new window then is not known.
    doubtful: bool,
}

/// What a running inflater takes: the window of 32 KiB (RFC 1951 2) and its tables.
const INFLATER: usize = 48 << 10;

impl Content {
    /// Bytes that it holds besides itself.
    pub(super) fn held(&self) -> usize {
        let inflater = self.inflater.as_ref().map_or(0, |_| INFLATER);
        inflater + self.window.as_ref().map_or(0, |_| size_of::<Window>())
    }

    pub(super) fn new(depth: Depth, compression: Compression) -> Self {
        Self {
            left: depth,
            compression,
            message: Look::Nothing,
            utf8: Utf8::default(),
            inflater: None,
            window: None,
            beyond: None,
            sated: false,
            window_lost: compression == Compression::Unknown,
            #[cfg(test)]
            inflated: Vec::new(),
        }
    }

    /// Whether RSV1 may be set on messages of this direction.
    #[inline]
    pub(super) fn allows_rsv1(&self) -> bool {
        self.compression != Compression::Off
    }

    /// Whether the payload of the message at hand is wanted.
    #[inline]
    pub(super) fn is_looking(&self) -> bool {
        self.message != Look::Nothing
    }

    /// Whether compressed messages were passed unseen because there were too many, or they were too long.
    #[inline]
    pub(super) fn is_sated(&self) -> bool {
        self.sated
    }

    /// A message begins.
    pub(super) fn begin(&mut self, text: bool, compressed: bool) {
        self.utf8 = Utf8::default();
        self.message = if compressed {
            self.begin_compressed(text)
        } else if text {
            Look::Text
        } else {
            Look::Nothing
        };
    }

    fn begin_compressed(&mut self, text: bool) -> Look {
        let Compression::Deflate {
            no_context_takeover,
            window_bits,
        } = self.compression
        else {
            return Look::Nothing;
        };
        if self.window_lost && !no_context_takeover {
            return Look::Nothing;
        }
        if self.left.messages == 0 || self.left.bytes == 0 {
            self.sated = true;
            self.give_up();
            return Look::Nothing;
        }
        self.left.messages -= 1;
        if self.inflater.is_none() {
            // Nothing can refer back further than 15 bits.
            self.window = window_bits
                .filter(|&bits| bits < 15)
                .map(|bits| Box::new(Window::of_bits(bits)));
        }
        let inflater = self.inflater.get_or_insert_with(|| {
            // RFC 7692 7.1.2: a window of 15 bits reads any smaller one.
            Box::new(Inflater {
                state: Decompress::new(false),
                begun: false,
                ended: false,
                doubtful: false,
            })
        });
        if no_context_takeover {
            inflater.state.reset(false);
            if let Some(window) = &mut self.window {
                window.reset();
            }
        }
        inflater.begun = false;
        inflater.ended = false;
        Look::Inflate { text }
    }

    /// Bytes of the message at hand are missing.
    pub(super) fn lose(&mut self) {
        self.message = Look::Nothing;
        self.give_up();
    }

    fn give_up(&mut self) {
        self.window_lost = true;
        self.inflater = None;
        self.window = None;
    }

    /// Takes payload bytes as carried if they are nothing but ASCII of a text, as nearly all text is: then there is nothing
    /// to unmask, and no rule to break. They begin `at` bytes into the payload. Returns whether it took them.
    pub(super) fn skim(&self, payload: &[u8], mask: Option<[u8; 4]>, at: u64) -> bool {
        self.message == Look::Text && self.utf8.is_complete() && is_ascii(payload, mask, at)
    }

    /// Takes payload bytes, unmasked; the rule they break.
    pub(super) fn feed(&mut self, payload: &[u8]) -> Option<Rule> {
        match self.message {
            Look::Nothing => None,
            Look::Text => {
                let fault = (!self.utf8.feed(payload)).then_some(Rule::TextNotUtf8);
                if fault.is_some() {
                    self.message = Look::Nothing;
                }
                fault
            }
            Look::Inflate { text } => {
                let room = usize::try_from(self.left.bytes).unwrap_or(usize::MAX);
                let seen = payload.get(..room).unwrap_or(payload);
                self.left.bytes -= seen.len() as u64;
                let fault = self.inflate(seen, text);
                let cut = seen.len() < payload.len();
                self.sated |= cut;
                if fault.is_some() || cut {
                    self.message = Look::Nothing;
                    self.give_up();
                }
                fault
            }
        }
    }

    /// The message ends; the rule it breaks.
    pub(super) fn end(&mut self) -> Option<Rule> {
        let look = std::mem::replace(&mut self.message, Look::Nothing);
        let text = match look {
            Look::Nothing => return None,
            Look::Text => true,
            Look::Inflate { text } => {
                if let Some(fault) = self.end_compressed(text) {
                    self.give_up();
                    return Some(fault);
                }
                // Nothing to tell of a text that was not inflated to its end.
                let text = text && self.inflater.is_some();
                if self.beyond.is_some() && self.window.take().is_some() {
                    return Some(Rule::WindowExceeded);
                }
                text
            }
        };
        (text && !self.utf8.is_complete()).then_some(Rule::TextNotUtf8)
    }

    /// The number that goes with a rule that the content breaks.
    pub(super) fn value(&self, rule: Rule) -> u64 {
        match rule {
            Rule::WindowExceeded => self.beyond.unwrap_or_default().into(),
            _ => opcode::TEXT.into(),
        }
    }

    fn end_compressed(&mut self, text: bool) -> Option<Rule> {
        let inflater = self.inflater.as_mut()?;
        if inflater.ended {
            // What follows the last block is only there so that the four bytes make sense (RFC 7692 7.2.3.4).
            inflater.state.reset(false);
            inflater.doubtful = true;
            if let Some(window) = &mut self.window {
                window.reset();
            }
            return None;
        }
        if !inflater.begun {
            return None;
        }
        // RFC 7692 7.2.2 step 1.
        self.inflate(&[0, 0, 0xff, 0xff], text)
    }

    fn inflate(&mut self, input: &[u8], text: bool) -> Option<Rule> {
        let inflater = self.inflater.as_mut()?;
        inflater.begun |= !input.is_empty();
        if let Some(window) = &mut self.window
            && self.beyond.is_none()
        {
            self.beyond = window.feed(input);
        }
        let mut rest = input;
        let mut output = [0_u8; 4096];
        loop {
            let (read_before, made_before) =
                (inflater.state.total_in(), inflater.state.total_out());
            let Ok(status) = inflater
                .state
                .decompress(rest, &mut output, FlushDecompress::Sync)
            else {
                let doubtful = inflater.doubtful;
                self.give_up();
                self.message = Look::Nothing;
                return (!doubtful).then_some(Rule::DoesNotInflate);
            };
            let read = (inflater.state.total_in() - read_before) as usize;
            let made = (inflater.state.total_out() - made_before) as usize;
            rest = rest.get(read..).unwrap_or_default();
            #[cfg(test)]
            self.inflated.extend(output.iter().take(made));
            self.left.inflated = self.left.inflated.saturating_sub(made as u64);
            if text {
                // Told at the end of the message, so that it does not depend on segments which fault comes first.
                self.utf8.feed(output.get(..made).unwrap_or_default());
            }
            if self.left.inflated == 0 {
                self.sated = true;
                self.left.messages = 0;
                self.message = Look::Nothing;
                self.give_up();
                return None;
            }
            if status == Status::StreamEnd {
                // Without this, every later message comes out empty.
                inflater.state.reset(false);
                inflater.ended = true;
            } else if (read == 0 && made == 0) || (rest.is_empty() && made < output.len()) {
                return None;
            }
            if rest.is_empty() && inflater.ended {
                return None;
            }
        }
    }
}

/// Checks UTF-8 piece by piece (RFC 3629).
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Utf8 {
    carry: [u8; 4],
    carried: usize,
    broken: bool,
}

impl Utf8 {
    /// Takes the next bytes; false from where on no continuation could make them UTF-8.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> bool {
        self.broken = self.broken || !self.check(bytes);
        !self.broken
    }

    fn check(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while self.carried > 0 {
            let Some((&byte, behind)) = rest.split_first() else {
                return true;
            };
            rest = behind;
            if let Some(slot) = self.carry.get_mut(self.carried) {
                *slot = byte;
            }
            self.carried += 1;
            match std::str::from_utf8(self.carry.get(..self.carried).unwrap_or_default()) {
                Ok(_) => self.carried = 0,
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        let Err(error) = std::str::from_utf8(rest) else {
            return true;
        };
        if error.error_len().is_some() {
            return false;
        }
        let tail = rest.get(error.valid_up_to()..).unwrap_or_default();
        for (slot, byte) in self.carry.iter_mut().zip(tail) {
            *slot = *byte;
        }
        self.carried = tail.len();
        true
    }

    /// Whether all was UTF-8 and no character is left half.
    pub(super) const fn is_complete(self) -> bool {
        !self.broken && self.carried == 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use flate2::{Compress, Compression as Level, FlushCompress};
    use proptest::prelude::*;

    const DEFLATE: Compression = Compression::Deflate {
        no_context_takeover: false,
        window_bits: None,
    };

    /// Compresses as RFC 7692 7.2.1 says, keeping the window.
    struct Sender(Compress);

    impl Sender {
        fn new() -> Self {
            Self(Compress::new(Level::default(), false))
        }

        fn message(&mut self, text: &[u8]) -> Vec<u8> {
            let mut out = Vec::with_capacity(text.len() + 100);
            self.0
                .compress_vec(text, &mut out, FlushCompress::Sync)
                .unwrap();
            assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
            out.truncate(out.len() - 4);
            out
        }
    }

    fn look(content: &mut Content, payload: &[u8], compressed: bool, step: usize) -> Option<Rule> {
        content.begin(true, compressed);
        for piece in payload.chunks(step.max(1)) {
            let fault = content.feed(piece);
            if fault.is_some() {
                return fault;
            }
        }
        content.end()
    }

    #[test]
    fn messages_that_share_a_window_inflate() {
        let mut sender = Sender::new();
        let mut content = Content::new(Depth::BOUNDED, DEFLATE);
        for _ in 0..5 {
            let payload = sender.message("the same text, ä, again and again".as_bytes());
            assert_eq!(look(&mut content, &payload, true, 3), None);
        }
        let inflated = Depth::BOUNDED.inflated - content.left.inflated;
        assert_eq!(inflated, 5 * 34, "every message came out");
        let latin = sender.message(b"latin-1: \xe4!");
        assert_eq!(
            look(&mut content, &latin, true, 100),
            Some(Rule::TextNotUtf8)
        );
    }

    #[test]
    fn a_window_that_was_to_be_forgotten_is_told() {
        let mut sender = Sender::new();
        let no_takeover = Compression::Deflate {
            no_context_takeover: true,
            window_bits: None,
        };
        let mut content = Content::new(Depth::BOUNDED, no_takeover);
        let text = b"a text long enough to be referred back to";
        assert_eq!(look(&mut content, &sender.message(text), true, 9), None);
        assert_eq!(
            look(&mut content, &sender.message(text), true, 9),
            Some(Rule::DoesNotInflate)
        );
    }

    #[test]
    fn a_window_larger_than_agreed_is_told() {
        let words: Vec<String> = (0..400).map(|n| format!("{n:x} ")).collect();
        let text = words.concat();
        let agreed = |bits| Compression::Deflate {
            no_context_takeover: false,
            window_bits: bits,
        };
        for (bits, fault) in [
            (Some(8), Some(Rule::WindowExceeded)),
            (Some(10), Some(Rule::WindowExceeded)),
            (Some(11), None),
            (Some(15), None),
            (None, None),
        ] {
            let mut sender = Sender::new();
            let mut content = Content::new(Depth::BOUNDED, agreed(bits));
            let (first, again) = (
                sender.message(text.as_bytes()),
                sender.message(text.as_bytes()),
            );
            assert_eq!(text.len(), 1328);
            look(&mut content, &first, true, 100);
            let mut told = content.beyond.map(|_| Rule::WindowExceeded);
            told = told.or(look(&mut content, &again, true, 100));
            assert_eq!(told, fault, "{bits:?}");
            // Said once; the rest is inflated all the same.
            let more = sender.message(b"\xff");
            assert_eq!(look(&mut content, &more, true, 9), Some(Rule::TextNotUtf8));
        }
    }

    /// The examples of RFC 7692 7.2.3: a message in one block, one without compression, one with BFINAL, and the
    /// message behind it.
    #[test]
    fn the_examples_of_the_rfc() {
        let plain = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        let shared = [0xf2, 0x00, 0x11, 0x00, 0x00];
        let stored = [
            0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
        ];
        let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        let two = [
            0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ];
        for step in 1..14 {
            let mut content = Content::new(Depth::BOUNDED, DEFLATE);
            for (n, payload) in [
                plain.as_slice(),
                &shared,
                &stored,
                &two,
                &last,
                &plain,
                &last,
                &last,
            ]
            .iter()
            .enumerate()
            {
                assert_eq!(look(&mut content, payload, true, step), None);
                let inflated = Depth::BOUNDED.inflated - content.left.inflated;
                assert_eq!(
                    inflated,
                    5 * (n as u64 + 1),
                    "message {n} in steps of {step}"
                );
            }
        }
    }

    #[test]
    fn garbage_does_not_inflate() {
        let mut content = Content::new(Depth::BOUNDED, DEFLATE);
        assert_eq!(
            look(&mut content, &[0xff; 20], true, 4),
            Some(Rule::DoesNotInflate)
        );
        // Nothing more is said about this direction.
        assert_eq!(look(&mut content, &[0xff; 20], true, 4), None);
    }

    #[test]
    fn a_bomb_is_given_up() {
        let mut sender = Sender::new();
        let bomb = sender.message(&vec![b'0'; 40 << 20]);
        let mut content = Content::new(Depth::BOUNDED, DEFLATE);
        assert_eq!(look(&mut content, &bomb, true, 1400), None);
        assert_eq!(content.left.inflated, 0);
        assert!(content.inflater.is_none());
        assert!(content.is_sated());
    }

    #[test]
    fn only_the_first_messages_are_inflated() {
        let mut sender = Sender::new();
        let mut content = Content::new(Depth::BOUNDED, DEFLATE);
        for _ in 0..Depth::BOUNDED.messages {
            assert_eq!(look(&mut content, &sender.message(b"x"), true, 9), None);
            assert!(content.inflater.is_some());
            assert!(!content.is_sated());
        }
        assert_eq!(look(&mut content, &[0xff; 9], true, 9), None);
        assert!(content.inflater.is_none());
        assert!(content.is_sated(), "and it is said");
    }

    #[test]
    fn only_the_first_compressed_bytes_are_inflated() {
        // What does not compress comes out as long as it went in.
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(300_000)
        .collect();
        let mut sender = Sender::new();
        let long = sender.message(&noise);
        assert!(long.len() as u64 > Depth::BOUNDED.bytes);
        let mut content = Content::new(Depth::BOUNDED, DEFLATE);
        content.begin(false, true);
        for piece in long.chunks(1400) {
            assert_eq!(content.feed(piece), None);
        }
        assert_eq!(content.end(), None);
        assert!(content.inflater.is_none());
        assert!(content.is_sated());
    }

    #[test]
    fn plain_text_is_looked_at_to_its_end() {
        let mut content = Content::new(Depth::BOUNDED, Compression::Off);
        let mut long = vec![b'a'; 4 << 20];
        assert_eq!(look(&mut content, &long, false, 1400), None);
        long.extend(b"\xff");
        assert_eq!(
            look(&mut content, &long, false, 1400),
            Some(Rule::TextNotUtf8)
        );
        assert!(!content.is_sated());
    }

    proptest! {
        #[test]
        fn utf8_in_pieces_is_utf8(text in "\\PC{0,30}", tail in proptest::collection::vec(any::<u8>(), 0..6), step in 1_usize..7) {
            let bytes = [text.as_bytes(), &tail].concat();
            let mut utf8 = Utf8::default();
            let valid = bytes.chunks(step).all(|piece| utf8.feed(piece)) && utf8.is_complete();
            prop_assert_eq!(valid, std::str::from_utf8(&bytes).is_ok());
        }

        #[test]
        fn hostile_payload_does_no_harm(messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..10)) {
            let mut content = Content::new(Depth::BOUNDED, DEFLATE);
            for payload in messages {
                look(&mut content, &payload, true, 7);
            }
        }
    }
}
