//! A look into payloads: whether text is UTF-8, and whether compressed messages inflate, as deep as asked and no deeper.

#[cfg(test)]
mod tests;
mod utf8;

use flate2::{Decompress, FlushDecompress, Status};

use utf8::Utf8;

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
