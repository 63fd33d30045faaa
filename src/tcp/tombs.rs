//! Connections that left the table, remembered for a while: late copies of their frames are no new connections.
//!
//! Two captures of one connection may differ by hours in their clocks, so that the second copy comes long after the
//! first one ended. The same initial sequence number tells that it is the same connection.

use std::collections::VecDeque;

use hashbrown::HashTable;

use super::limits::TOMBS;
use crate::capture::CaptureId;
use crate::decode::{End, Key, Segment, SeqNo};

/// The connections that left lately, the oldest first to be forgotten.
#[derive(Debug, Default)]
pub(super) struct Tombs {
    ring: VecDeque<Tomb>,
    /// Numbers of burials, by the hash of the key.
    index: HashTable<(u32, u64)>,
    /// The number of burials so far minus the tombs in the ring: the number of the front one.
    front: u64,
}

/// What is remembered of a connection. 72 bytes.
#[derive(Debug, Clone, Copy)]
struct Tomb {
    key: Key,
    hash: u32,
    low: Option<Span>,
    high: Option<Span>,
    /// The capture that showed it first.
    capture: CaptureId,
}

/// The sequence numbers that one end used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The initial number, or the number before the first one seen.
    pub(super) start: SeqNo,
    /// The number after the last one used.
    pub(super) end: SeqNo,
    /// Whether `start` is that of a SYN.
    pub(super) syn: bool,
}

impl Tombs {
    /// Remembers a connection that leaves the table.
    pub(super) fn bury(
        &mut self,
        key: Key,
        hash: u32,
        (low, high): (Option<Span>, Option<Span>),
        capture: CaptureId,
    ) {
        if self.ring.len() >= TOMBS
            && let Some(old) = self.ring.pop_front()
        {
            let number = self.front;
            self.front += 1;
            if let Ok(entry) = self
                .index
                .find_entry(spread(old.hash), |&(_, at)| at == number)
            {
                entry.remove();
            }
        }
        let number = self.front + self.ring.len() as u64;
        self.ring.push_back(Tomb {
            key,
            hash,
            low,
            high,
            capture,
        });
        // A later connection between the same ends takes the place of the earlier one.
        let (ring, front) = (&self.ring, self.front);
        let same = |&(_, at): &(u32, u64)| {
            usize::try_from(at - front)
                .ok()
                .and_then(|place| ring.get(place))
                .is_some_and(|tomb| tomb.key == key)
        };
        if let Some(entry) = self.index.find_mut(spread(hash), same) {
            entry.1 = number;
        } else {
            self.index
                .insert_unique(spread(hash), (hash, number), |&(hash, _)| spread(hash));
        }
    }

    /// The capture that showed the remembered connection of which a segment is a late copy.
    pub(super) fn knows(&self, hash: u32, segment: &Segment<'_>) -> Option<CaptureId> {
        let found = self.index.find(spread(hash), |&(_, at)| {
            self.tomb(at).is_some_and(|tomb| tomb.key == segment.key)
        });
        let tomb = found.and_then(|&(_, at)| self.tomb(at))?;
        tomb.owns(segment).then_some(tomb.capture)
    }

    /// Looks for a connection with such a hash, so that the index comes from memory.
    pub(super) fn touch(&self, hash: u32) -> usize {
        let found = self.index.find(spread(hash), |&(other, _)| other == hash);
        found.map_or(0, |&(_, at)| at as usize)
    }

    /// Looks for the oldest ones in the index, which are forgotten next.
    pub(super) fn touch_oldest(&self, count: usize) -> usize {
        let full = self.ring.len() >= TOMBS;
        let oldest = self.ring.iter().take(if full { count } else { 0 });
        oldest.fold(0, |seen, tomb| seen ^ self.touch(tomb.hash))
    }

    fn tomb(&self, number: u64) -> Option<&Tomb> {
        let place = number.checked_sub(self.front)?;
        self.ring.get(usize::try_from(place).ok()?)
    }
}

impl Tomb {
    /// Whether a segment has the numbers of this connection.
    fn owns(&self, segment: &Segment<'_>) -> bool {
        let (span, peer) = match segment.sender {
            End::Low => (self.low, self.high),
            End::High => (self.high, self.low),
        };
        let flags = segment.flags;
        if flags.syn() {
            return span.is_some_and(|span| span.syn && span.start == segment.seq);
        }
        let empty = segment.payload.is_empty() && segment.missing == 0;
        if flags.rst() && empty {
            return true;
        }
        let Some(span) = span else {
            // This end was silent; what it acknowledges tells.
            return empty
                && flags.ack()
                && peer.is_some_and(|peer| peer.has(segment.ack, segment.ack));
        };
        let len = segment.payload.len() as u32;
        span.has(
            segment.seq,
            segment.seq.plus(len.wrapping_add(segment.missing)),
        )
    }
}

impl Span {
    /// The numbers that one side of a connection used: from its SYN, or `len` positions before `end`, to `end`.
    pub(super) fn new(isn: Option<SeqNo>, end: Option<SeqNo>, len: u64) -> Option<Self> {
        match (isn, end) {
            (Some(start), end) => Some(Self {
                start,
                end: end.unwrap_or(start.plus(1)),
                syn: true,
            }),
            (None, Some(end)) => Some(Self {
                start: SeqNo(end.0.wrapping_sub(len as u32).wrapping_sub(1)),
                end,
                syn: false,
            }),
            (None, None) => None,
        }
    }

    /// Whether all of a segment lies within.
    fn has(&self, from: SeqNo, to: SeqNo) -> bool {
        // A stream longer than half of the number space is known by its end only.
        let long = self.end.distance(self.start) < 0;
        (long || from.distance(self.start) >= 0) && to.distance(self.end) <= 0
    }
}

/// A hash of 32 bits for a table that takes places from its low and tags from its high bits.
pub(super) const fn spread(hash: u32) -> u64 {
    (hash as u64) << 32 | hash as u64
}
