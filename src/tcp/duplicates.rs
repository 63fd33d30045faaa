//! Tells a frame that the capture holds twice from a segment that was sent twice.
//!
//! A bridge, a mirror port, `-i any` or a second capture shows one transmission several times. Only a segment that
//! brings nothing new is asked about here, so a wrong answer can change a counter and never the stream. Two signs:
//!
//! - A frame with the same numbers, flags and IP identification was seen a moment ago. Without an identification
//!   (IPv6; Linux sends SYN-ACK and RST with 0) another hop limit or vantage point decides, or the time: no sender
//!   repeats itself within a millisecond.
//! - Another vantage point (capture or interface) than the first one shows these bytes for the first time.

use super::Direction;
use crate::decode::{Segment, SeqNo};

/// How many segments of a connection are remembered: copies follow each other closely.
const REMEMBERED: usize = 8;

/// Retransmission timers and even tail loss probes wait longer than a millisecond (RFC 8985 7.2: two round trips or
/// more); copies on a bridge follow within microseconds.
const SPAN: i64 = 1_000_000;

/// Some senders count identifications over all their packets, so that they come again: not within a second.
const SAME_ID_SPAN: i64 = 1_000_000_000;

/// A copy with another hop limit was routed in between, which takes less than this.
const ROUTED_SPAN: i64 = 50_000_000;

/// Vantage points followed per connection; more are not told apart from the first.
const VANTAGES: usize = 8;

/// What was seen lately of one connection.
#[derive(Debug)]
pub(super) struct Recent {
    prints: [Print; REMEMBERED],
    next: u8,
    primary: Option<u32>,
    others: Vec<Sight>,
}

/// What makes a segment the same as another.
#[derive(Debug, Clone, Copy, Default)]
struct Print {
    at: i64,
    seq: u32,
    ack: u32,
    len: u32,
    vantage: u32,
    ip_id: u16,
    window: u16,
    hop_limit: u8,
    flags: u8,
    /// 0: empty, 1: to the server, 2: to the client.
    way: u8,
}

/// How far another vantage point has seen each stream.
#[derive(Debug)]
struct Sight {
    vantage: u32,
    to_server: Option<Seen>,
    to_client: Option<Seen>,
}

/// The highest numbers that a vantage point saw in one direction.
#[derive(Debug, Clone, Copy)]
struct Seen {
    end: SeqNo,
    ack: SeqNo,
}

impl Recent {
    pub(super) fn new() -> Self {
        Self {
            prints: [Print::default(); REMEMBERED],
            next: 0,
            primary: None,
            others: Vec::new(),
        }
    }

    /// Remembers a segment. `old`: it brings nothing new. Returns whether it is a copy of one seen before.
    pub(super) fn is_copy(
        &mut self,
        direction: Direction,
        segment: &Segment<'_>,
        old: bool,
    ) -> bool {
        let print = Print::of(direction, segment);
        let first_sight = self.first_sight(direction, segment, print.vantage);
        if old && (first_sight || self.prints.iter().any(|seen| print.is_copy_of(seen))) {
            return true;
        }
        if let Some(slot) = self.prints.get_mut(usize::from(self.next)) {
            *slot = print;
        }
        self.next = (self.next + 1) % REMEMBERED as u8;
        false
    }

    /// Whether a vantage point other than the first one sees these numbers for the first time.
    fn first_sight(&mut self, direction: Direction, segment: &Segment<'_>, vantage: u32) -> bool {
        let primary = *self.primary.get_or_insert(vantage);
        if vantage == primary {
            return false;
        }
        let known = self.others.iter().position(|s| s.vantage == vantage);
        if known.is_none() {
            if self.others.len() >= VANTAGES {
                return false;
            }
            self.others.push(Sight {
                vantage,
                to_server: None,
                to_client: None,
            });
        }
        let place = known.unwrap_or(self.others.len() - 1);
        let Some(sight) = self.others.get_mut(place) else {
            return false;
        };
        let seen = match direction {
            Direction::ToServer => &mut sight.to_server,
            Direction::ToClient => &mut sight.to_client,
        };
        let end = end_of(segment);
        let Some(seen) = seen else {
            *seen = Some(Seen {
                end,
                ack: segment.ack,
            });
            return true;
        };
        let further = end.distance(seen.end) > 0;
        let acks = segment.flags.ack() && segment.ack.distance(seen.ack) > 0;
        if further {
            seen.end = end;
        }
        if acks {
            seen.ack = segment.ack;
        }
        further || acks
    }
}

impl Print {
    fn of(direction: Direction, segment: &Segment<'_>) -> Self {
        Self {
            at: segment.frame.at.nanos(),
            seq: segment.seq.0,
            ack: segment.ack.0,
            len: (segment.payload.len() as u32).wrapping_add(segment.missing),
            vantage: vantage(segment),
            ip_id: segment.ip_id,
            window: segment.window,
            hop_limit: segment.hop_limit,
            flags: segment.flags.0,
            way: match direction {
                Direction::ToServer => 1,
                Direction::ToClient => 2,
            },
        }
    }

    fn is_copy_of(&self, seen: &Self) -> bool {
        let same = self.seq == seen.seq
            && self.ack == seen.ack
            && self.len == seen.len
            && self.flags == seen.flags
            && self.way == seen.way
            && self.window == seen.window
            && self.ip_id == seen.ip_id;
        if !same {
            return false;
        }
        let apart = self.at.saturating_sub(seen.at).saturating_abs();
        if self.ip_id != 0 {
            return self.vantage != seen.vantage || apart <= SAME_ID_SPAN;
        }
        if self.vantage != seen.vantage || self.hop_limit != seen.hop_limit {
            return apart <= ROUTED_SPAN;
        }
        apart <= SPAN
    }
}

/// The sequence number after a segment.
fn end_of(segment: &Segment<'_>) -> SeqNo {
    let controls = u32::from(segment.flags.syn()) + u32::from(segment.flags.fin());
    let len = (segment.payload.len() as u32).wrapping_add(segment.missing);
    segment.seq.plus(len.wrapping_add(controls))
}

/// A number for the capture and interface on which a segment was seen.
fn vantage(segment: &Segment<'_>) -> u32 {
    u32::from(segment.frame.capture.0).rotate_right(16) ^ segment.interface
}
