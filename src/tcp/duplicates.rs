//! Tells a frame that the capture holds twice from a segment that was sent twice.
//!
//! A bridge, a mirror port, `-i any` or a second capture shows one transmission several times. Only a segment that
//! brings nothing new is asked about here, so a wrong answer can change a counter and never the stream. Two signs:
//!
//! - A frame with the same numbers, flags and IP identification was seen a moment ago. Without an identification
//!   (IPv6; Linux sends SYN-ACK and RST with 0) another hop limit or vantage point decides, or the time: no sender
//!   repeats itself within a fraction of a millisecond.
//! - Another vantage point (capture or interface) than the first one shows these numbers for the first time.

use super::Direction;
use super::connection::Interface;
use crate::capture::CaptureId;
use crate::decode::{Segment, SeqNo};

/// How many segments of a connection are remembered: copies follow each other closely.
const REMEMBERED: usize = 6;

/// Retransmission timers and tail loss probes wait longer (RFC 8985 7.2: two round trips, in ticks of a millisecond);
/// copies on a bridge follow within microseconds.
const SPAN: i64 = 200_000;

/// Some senders count identifications over all their packets, so that they come again: not within a second.
const SAME_ID_SPAN: i64 = 1_000_000_000;

/// A copy with another hop limit was routed in between, which takes less than this.
const ROUTED_SPAN: i64 = 50_000_000;

/// Vantage points followed per connection; more are not told apart from the first.
const VANTAGES: usize = 8;

/// What was seen lately of one connection. 84 bytes.
#[derive(Debug)]
pub(super) struct Recent {
    prints: [Print; REMEMBERED],
    /// The first vantage point, once a segment was seen.
    primary: Option<u32>,
    next: u8,
}

/// How far the other vantage points have seen a connection.
#[derive(Debug, Default)]
pub(super) struct Others(Vec<Sight>);

/// What makes a segment the same as another. 12 bytes, because one is written for every segment.
#[derive(Debug, Clone, Copy, Default)]
struct Print {
    /// Of all numbers, flags and the IP identification. A collision could only miscount.
    sum: u32,
    /// Time in units of 2^12 ns (about 4 µs), wrapping.
    at: u32,
    vantage: u16,
    hop_limit: u8,
    used: bool,
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
            primary: None,
            next: 0,
        }
    }

    /// Looks at its end, where the next print goes or one of the next.
    pub(super) const fn touch(&self) -> u8 {
        self.next
    }

    /// Remembers a segment that brings something new.
    #[expect(clippy::inline_always, reason = "per segment: see `Table::take`")]
    #[inline(always)]
    pub(super) fn note(
        &mut self,
        others: &mut Others,
        direction: Direction,
        segment: &Segment<'_>,
    ) {
        let vantage = vantage(segment);
        if self.primary != Some(vantage) {
            self.seen_from(others, direction, segment, vantage);
        }
        self.remember(Print::of(direction, segment, vantage));
    }

    /// Notes that a segment was seen from another vantage point than the first one, or from that for the first time.
    #[cold]
    fn seen_from(
        &mut self,
        others: &mut Others,
        direction: Direction,
        segment: &Segment<'_>,
        vantage: u32,
    ) {
        if *self.primary.get_or_insert(vantage) != vantage {
            others.first_sight(direction, segment, vantage);
        }
    }

    /// Remembers a segment that brings nothing new, unless it is a copy of one seen before. Returns whether it is.
    pub(super) fn is_copy(
        &mut self,
        others: &mut Others,
        direction: Direction,
        segment: &Segment<'_>,
    ) -> bool {
        let vantage = vantage(segment);
        let first_sight = *self.primary.get_or_insert(vantage) != vantage
            && others.first_sight(direction, segment, vantage);
        let print = Print::of(direction, segment, vantage);
        let has_id = segment.ip_id != 0;
        if first_sight || self.prints.iter().any(|seen| print.copies(seen, has_id)) {
            return true;
        }
        self.remember(print);
        false
    }

    /// The first vantage point.
    pub(super) const fn primary(&self) -> Option<u32> {
        self.primary
    }

    fn remember(&mut self, print: Print) {
        if let Some(slot) = self.prints.get_mut(usize::from(self.next)) {
            *slot = print;
        }
        let next = self.next + 1;
        self.next = if next < REMEMBERED as u8 { next } else { 0 };
    }
}

impl Others {
    /// The vantage points besides the first one.
    pub(super) fn vantages(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|sight| sight.vantage)
    }

    /// Whether a vantage point that is not the first one sees these numbers for the first time.
    fn first_sight(&mut self, direction: Direction, segment: &Segment<'_>, vantage: u32) -> bool {
        let others = &mut self.0;
        let place = match others.iter().position(|sight| sight.vantage == vantage) {
            Some(place) => place,
            None if others.len() >= VANTAGES => return false,
            None => {
                others.push(Sight {
                    vantage,
                    to_server: None,
                    to_client: None,
                });
                others.len() - 1
            }
        };
        let Some(sight) = others.get_mut(place) else {
            return false;
        };
        let seen = match direction {
            Direction::ToServer => &mut sight.to_server,
            Direction::ToClient => &mut sight.to_client,
        };
        let (end, ack) = (end_of(segment), segment.ack);
        let Some(seen) = seen else {
            *seen = Some(Seen { end, ack });
            return true;
        };
        let further = end.distance(seen.end) > 0;
        let acks = segment.flags.ack() && ack.distance(seen.ack) > 0;
        if further {
            seen.end = end;
        }
        if acks {
            seen.ack = ack;
        }
        further || acks
    }
}

impl Print {
    fn of(direction: Direction, segment: &Segment<'_>, vantage: u32) -> Self {
        let numbers = u64::from(segment.seq.0) << 32 | u64::from(segment.ack.0);
        let rest = u64::from(length(segment)) << 40
            ^ u64::from(segment.window) << 24
            ^ u64::from(segment.flags.0) << 16
            ^ u64::from(segment.ip_id);
        let way = match direction {
            Direction::ToServer => 0x9e37_79b9_7f4a_7c15_u64,
            Direction::ToClient => 0xc2b2_ae3d_27d4_eb4f,
        };
        // Both halves of one product depend on every bit.
        let product = u128::from(numbers ^ way) * u128::from(rest ^ 0xd6e8_feb8_6659_fd93);
        Self {
            sum: (product >> 64 ^ product) as u32,
            at: (segment.frame.at.nanos() >> 12).cast_unsigned() as u32,
            vantage: (vantage ^ vantage >> 16) as u16,
            hop_limit: segment.hop_limit,
            used: true,
        }
    }

    fn copies(&self, seen: &Self, has_id: bool) -> bool {
        if !seen.used || self.sum != seen.sum {
            return false;
        }
        let apart = i64::from(self.at.wrapping_sub(seen.at).cast_signed()).abs() << 12;
        let span = match (has_id, self.vantage != seen.vantage) {
            (true, true) => i64::MAX,
            (true, false) => SAME_ID_SPAN,
            (false, true) => ROUTED_SPAN,
            (false, false) if self.hop_limit != seen.hop_limit => ROUTED_SPAN,
            (false, false) => SPAN,
        };
        apart <= span
    }
}

fn length(segment: &Segment<'_>) -> u32 {
    (segment.payload.len() as u32).wrapping_add(segment.missing)
}

/// The sequence number after a segment.
fn end_of(segment: &Segment<'_>) -> SeqNo {
    let controls = u32::from(segment.flags.syn()) + u32::from(segment.flags.fin());
    segment.seq.plus(length(segment).wrapping_add(controls))
}

/// A number for the capture and interface on which a segment was seen.
fn vantage(segment: &Segment<'_>) -> u32 {
    mark(segment.frame.capture()) ^ segment.interface
}

const fn mark(capture: CaptureId) -> u32 {
    (capture.0 as u32) << 16
}

/// The interface with this number, seen by one of these captures (bit n: capture n).
pub(super) fn interface(vantage: u32, captures: u64) -> Interface {
    let ids = || (0..u64::BITS as u16).filter(|id| captures >> id & 1 != 0);
    // With several captures, one whose kernel has numbered more than 65,535 interfaces may be taken for another.
    let plain = ids().find(|&id| (vantage ^ mark(CaptureId(id))) >> 16 == 0);
    let id = CaptureId(plain.or_else(|| ids().next()).unwrap_or_default());
    (id, vantage ^ mark(id))
}
