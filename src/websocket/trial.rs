//! Finding a frame boundary again behind a hole, or in a session that was up when the capture began: what speaks for
//! it is counted, and until enough does, all can be taken back.

use super::Carried;
use super::header::{Faults, Header, MAX_CONTROL, opcode};

/// The longest frame that is believed while searching for a frame boundary: what common servers accept at most.
const MAX_SEARCH_LEN: u64 = 16 * 1024 * 1024;

/// What speaks for a frame boundary found by searching: a header without fault.
const POINT_HEADER: u8 = 1;

/// A header without fault right behind a frame of more than 125 bytes: its place was foretold.
const POINTS_FORETOLD: u8 = 2;

/// A frame that ends where its segment ends, as senders make them.
pub(super) const POINTS_ALIGNED: u8 = 2;

/// With so many points a boundary is believed: chance lets about one in 10^5 segments of other bytes come so far.
const BELIEVED: u8 = 3;

/// With so many points it is settled: what looks like a fault from then on is one.
const SETTLED: u8 = 6;

/// A frame boundary that was found by searching, and what to go back to when it turns out to be none.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) carried: Carried,
    pub(super) closed: bool,
    pub(super) points: u8,
    /// The frame before was long enough to foretell a header that chance does not hit.
    foretold: bool,
}

impl Trial {
    pub(super) const fn new(carried: Carried, closed: bool) -> Self {
        Self {
            carried,
            closed,
            points: 0,
            foretold: false,
        }
    }

    /// Whether what was read is to be reported.
    pub(super) const fn is_believed(&self) -> bool {
        self.points >= BELIEVED
    }

    /// Whether a fault from now on is one.
    pub(super) const fn is_settled(&self) -> bool {
        self.points >= SETTLED
    }

    /// The points for a header that fits.
    pub(super) const fn header(&mut self, header: &Header) -> u8 {
        let points = if self.foretold {
            POINTS_FORETOLD
        } else {
            POINT_HEADER
        };
        self.foretold = header.len > MAX_CONTROL;
        points
    }

    /// Whether a header can be that of a frame: faultless, and not one that zero bytes and small numbers, common in
    /// other protocols, look like (continuations and fragments without a mask).
    pub(super) fn fits(header: &Header, faults: Faults) -> bool {
        let is_fragment = !header.is_final() || header.opcode() == opcode::CONTINUATION;
        faults.is_empty()
            && header.len <= MAX_SEARCH_LEN
            && (!is_fragment || header.mask.is_some() || header.len > MAX_CONTROL)
    }
}
