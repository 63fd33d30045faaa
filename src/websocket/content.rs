//! A look into payloads: whether text is UTF-8, and whether compressed messages inflate, as deep as asked and no deeper.

mod inflater;
#[cfg(test)]
mod tests;
mod utf8;

use inflater::{Inflated, Inflater};
use utf8::Utf8;

use super::Rule;
use super::header::{is_ascii, opcode};
use super::mqtt::Packets;
use crate::capture::FrameRef;

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
///
/// What every message needs lies in front.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Content {
    /// What is done with the message at hand.
    message: Look,
    /// A compressed message was not looked into, or not to its end, for the depth was reached.
    sated: bool,
    /// Compressed messages passed unseen: the window is not known any more.
    window_lost: bool,
    compression: Compression,
    utf8: Utf8,
    inflater: Option<Box<Inflater>>,
    left: Depth,
    /// The packets in binary messages, where the subprotocol is MQTT and none was missed.
    packets: Option<Box<Packets>>,
    /// All that inflating gave, for tests to compare.
    #[cfg(test)]
    pub(super) inflated: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Nothing,
    Text,
    Inflate { text: bool },
    Packets,
}

impl Content {
    /// Bytes that it holds besides itself.
    pub(super) fn held(&self) -> usize {
        let packets = self.packets.as_ref().map_or(0, |_| size_of::<Packets>());
        self.inflater.as_ref().map_or(0, |inflater| inflater.held()) + packets
    }

    pub(super) fn new(depth: Depth, compression: Compression) -> Self {
        Self {
            left: depth,
            compression,
            message: Look::Nothing,
            utf8: Utf8::default(),
            inflater: None,
            packets: None,
            sated: false,
            window_lost: compression == Compression::Unknown,
            #[cfg(test)]
            inflated: Vec::new(),
        }
    }

    /// Follows the MQTT packets in binary messages too.
    pub(super) fn with_packets(mut self) -> Self {
        self.packets = Some(Box::default());
        self
    }

    /// The MQTT packets, if all could be followed.
    pub(super) fn packets(&self) -> Option<&Packets> {
        self.packets.as_deref()
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
            self.packets = None;
            self.begin_compressed(text)
        } else if text {
            Look::Text
        } else if self.packets.is_some() {
            Look::Packets
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
        let inflater = self
            .inflater
            .get_or_insert_with(|| Box::new(Inflater::of_bits(window_bits)));
        inflater.begin(no_context_takeover);
        Look::Inflate { text }
    }

    /// Bytes of the message at hand are missing.
    pub(super) fn lose(&mut self) {
        self.message = Look::Nothing;
        self.packets = None;
        self.give_up();
    }

    fn give_up(&mut self) {
        self.window_lost = true;
        self.inflater = None;
    }

    /// Takes bytes of a binary message, unmasked, that MQTT packets are in.
    fn follow(&mut self, payload: &[u8], frame: FrameRef) {
        if let Some(packets) = &mut self.packets {
            packets.bytes(payload, frame);
        }
    }

    /// Takes payload bytes as carried if they are nothing but ASCII of a text, as nearly all text is: then there is nothing
    /// to unmask, and no rule to break. They begin `at` bytes into the payload. Returns whether it took them.
    pub(super) fn skim(&self, payload: &[u8], mask: Option<[u8; 4]>, at: u64) -> bool {
        self.message == Look::Text && self.utf8.is_complete() && is_ascii(payload, mask, at)
    }

    /// Takes payload bytes, unmasked; the rule they break.
    pub(super) fn feed(&mut self, payload: &[u8], frame: FrameRef) -> Option<Rule> {
        match self.message {
            Look::Nothing => None,
            Look::Packets => {
                self.follow(payload, frame);
                None
            }
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
            Look::Nothing | Look::Packets => return None,
            Look::Text => true,
            Look::Inflate { text } => {
                if let Some(fault) = self.end_compressed(text) {
                    self.give_up();
                    return Some(fault);
                }
                // Nothing to tell of a text that was not inflated to its end.
                let inflater = self.inflater.as_mut()?;
                if inflater.newly_exceeded() {
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
            Rule::WindowExceeded => {
                let beyond = self.inflater.as_ref().and_then(|one| one.beyond());
                beyond.unwrap_or_default().into()
            }
            _ => opcode::TEXT.into(),
        }
    }

    fn end_compressed(&mut self, text: bool) -> Option<Rule> {
        let tail = self.inflater.as_mut()?.end()?;
        self.inflate(tail, text)
    }

    fn inflate(&mut self, input: &[u8], text: bool) -> Option<Rule> {
        let inflater = self.inflater.as_mut()?;
        let left = &mut self.left.inflated;
        let outcome = inflater.feed(input, |made| {
            #[cfg(test)]
            self.inflated.extend(made);
            *left = left.saturating_sub(made.len() as u64);
            if text {
                // Told at the end of the message, so that it does not depend on segments which fault comes first.
                self.utf8.feed(made);
            }
            *left > 0
        });
        if outcome == Inflated::All {
            return None;
        }
        self.message = Look::Nothing;
        self.give_up();
        if outcome == Inflated::Enough {
            self.sated = true;
            self.left.messages = 0;
        }
        (outcome == Inflated::Broken).then_some(Rule::DoesNotInflate)
    }
}
