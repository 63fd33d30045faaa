//! One direction's compressed messages, inflated, and how far they refer back (RFC 7692 7.2).

use flate2::{Decompress, FlushDecompress, Status};

use crate::websocket::window::Window;

/// What a running inflater takes: the window of 32 KiB (RFC 1951 2) and its tables.
const INFLATER: usize = 48 << 10;

/// Inflates message after message.
#[derive(Debug)]
pub(super) struct Inflater {
    state: Decompress,
    /// Looks for references beyond a limited window, until it finds one.
    window: Option<Box<Window>>,
    /// How far back that one goes.
    beyond: Option<u32>,
    /// The message at hand has bytes.
    begun: bool,
    /// The sender ended its deflate stream in the message at hand (RFC 7692 7.2.3.4).
    ended: bool,
    /// It did so before: whether it began a new window then is not known.
    doubtful: bool,
}

/// What inflating came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inflated {
    /// All that there was.
    All,
    /// Whoever takes what comes out had enough.
    Enough,
    /// The bytes are no DEFLATE.
    Broken,
    /// The same, of a stream that may have begun anew unseen: it accuses nobody.
    Doubtful,
}

impl Inflater {
    /// For a window of so many bits, where it was limited.
    pub(super) fn of_bits(bits: Option<u8>) -> Self {
        Self {
            // RFC 7692 7.1.2: a window of 15 bits reads any smaller one.
            state: Decompress::new(false),
            // Nothing can refer back further than 15 bits.
            window: bits
                .filter(|&bits| bits < 15)
                .map(|bits| Box::new(Window::of_bits(bits))),
            beyond: None,
            begun: false,
            ended: false,
            doubtful: false,
        }
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        INFLATER + self.window.as_ref().map_or(0, |_| size_of::<Window>())
    }

    /// A message begins; `forget`: the window of the one before is not kept.
    pub(super) fn begin(&mut self, forget: bool) {
        if forget {
            self.reset();
        }
        self.begun = false;
        self.ended = false;
    }

    fn reset(&mut self) {
        self.state.reset(false);
        if let Some(window) = &mut self.window {
            window.reset();
        }
    }

    /// Inflates the next bytes of a message, and gives what comes out to `take`, until that says no.
    pub(super) fn feed(&mut self, input: &[u8], mut take: impl FnMut(&[u8]) -> bool) -> Inflated {
        self.begun |= !input.is_empty();
        if let Some(window) = &mut self.window
            && self.beyond.is_none()
        {
            self.beyond = window.feed(input);
        }
        let mut rest = input;
        let mut output = [0_u8; 4096];
        loop {
            let (read_before, made_before) = (self.state.total_in(), self.state.total_out());
            let Ok(status) = self
                .state
                .decompress(rest, &mut output, FlushDecompress::Sync)
            else {
                return if self.doubtful {
                    Inflated::Doubtful
                } else {
                    Inflated::Broken
                };
            };
            let read = (self.state.total_in() - read_before) as usize;
            let made = (self.state.total_out() - made_before) as usize;
            rest = rest.get(read..).unwrap_or_default();
            if !take(output.get(..made).unwrap_or_default()) {
                return Inflated::Enough;
            }
            if status == Status::StreamEnd {
                // Without this, every later message comes out empty.
                self.state.reset(false);
                self.ended = true;
            } else if (read == 0 && made == 0) || (rest.is_empty() && made < output.len()) {
                return Inflated::All;
            }
            if rest.is_empty() && self.ended {
                return Inflated::All;
            }
        }
    }

    /// The message ends; the bytes that its sender left out.
    pub(super) fn end(&mut self) -> Option<&'static [u8]> {
        if self.ended {
            // What follows the last block is only there so that the four bytes make sense (RFC 7692 7.2.3.4).
            self.reset();
            self.doubtful = true;
            return None;
        }
        // RFC 7692 7.2.2 step 1.
        self.begun.then_some(&[0, 0, 0xff, 0xff])
    }

    /// Whether a reference went beyond the window, said once.
    pub(super) fn newly_exceeded(&mut self) -> bool {
        self.beyond.is_some() && self.window.take().is_some()
    }

    /// How far back a reference beyond the window went.
    pub(super) const fn beyond(&self) -> Option<u32> {
        self.beyond
    }
}
