//! The sequence space of one direction: what was delivered, seen and acknowledged, as 64-bit stream positions.

use std::num::NonZeroU64;
use std::ops::Range;

use super::limits::{
    HOLE_GRACE, HOLE_GRACE_SEGMENTS, MAX_WINDOW, ONE_SIDED_BYTES, ONE_SIDED_GRACE,
};
use super::pieces::{Piece, Pieces};
use super::{GapCause, StreamFacts};
use crate::capture::FrameRef;
use crate::decode::SeqNo;

/// One direction of a connection. Positions count from the first byte after SYN, or the first byte seen.
///
/// What nearly every segment touches lies in front.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Half {
    /// All before this was delivered, as bytes or as a gap.
    pub(super) next: u64,
    /// The furthest position seen.
    pub(super) top: u64,
    /// All before this was acknowledged by the peer.
    pub(super) acked: u64,
    /// The sequence number of position `next`.
    pub(super) next_seq: SeqNo,
    pub(super) marks: Marks,
    /// Segments, and the last one with new payload (if any had): facts of the connection that change all the time.
    pub(super) frames: u64,
    pub(super) last_data: Option<FrameRef>,
    /// Where the FIN sits.
    pub(super) fin: Mark,
    /// Where the RST sits: behind all bytes that were seen before it.
    pub(super) rst: Mark,
    /// What only a stream with holes needs.
    held: Option<Box<Held>>,
}

/// So many acknowledged numbers are bytes that the capture lacks: a single one may as well be a FIN.
const HOLE_MIN: i32 = 2;

/// What is so about a direction.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, looked at for every segment"
)]
pub(super) struct Marks {
    /// Whether the numbers mean anything yet.
    pub(super) known: bool,
    /// They do not, but there was an acknowledgment: it is `next_seq`.
    pub(super) awaited: bool,
    /// There is a FIN, an RST or a hole: a segment needs a closer look.
    pub(super) troubled: bool,
    /// The numbers mean something, the window is open, and there is no trouble.
    pub(super) usual: bool,
    /// There was payload.
    pub(super) data: bool,
    /// The sender's receive window is closed.
    pub(super) full: bool,
    /// The FIN was acknowledged.
    pub(super) fin_acked: bool,
    /// `ended` was called for the FIN.
    pub(super) fin_told: bool,
    /// `ended` was called for the RST.
    pub(super) rst_told: bool,
    /// There was an RST beyond all that was seen: it is waited for what follows.
    pub(super) doubted: bool,
}

/// A position that may not exist, in eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark(Option<NonZeroU64>);

/// A hole and what came behind it.
#[derive(Debug, Default)]
struct Held {
    pieces: Pieces,
    /// A hole at `next` that is not given up yet.
    wait: Option<Wait>,
    /// The gap declared last, to tell late bytes from repeated ones.
    gap: Range<u64>,
}

/// Since when, and how well founded, a hole is waited for.
#[derive(Debug, Clone, Copy)]
struct Wait {
    /// Where the hole begins.
    next: u64,
    /// The table's clock when it was noticed.
    since: i64,
    /// The clock and the frame when the peer was first seen to acknowledge some of it.
    ack: Option<(i64, FrameRef)>,
    /// Segments of the connection since then.
    segments: u8,
}

/// A hole that has to be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) end: u64,
    pub(super) cause: GapCause,
    pub(super) frame: Option<FrameRef>,
}

impl Mark {
    pub(super) fn set(&mut self, position: u64) {
        self.0 = NonZeroU64::new(position.saturating_add(1));
    }

    pub(super) fn at(self) -> Option<u64> {
        self.0.map(|mark| mark.get() - 1)
    }
}

impl Half {
    /// Position 0 is at `seq`.
    pub(super) fn start(&mut self, seq: SeqNo) {
        self.marks.known = true;
        self.next_seq = seq;
    }

    /// Takes the peer's acknowledgment of a stream of which nothing was captured yet: where two of them differ, bytes were sent
    /// in between, and position 0 is where the first one stood.
    pub(super) fn start_by_acknowledgments(&mut self, ack: SeqNo) {
        if !self.marks.awaited {
            self.next_seq = ack;
            self.marks.awaited = true;
        } else if ack.distance(self.next_seq) >= HOLE_MIN {
            self.marks.known = true;
        }
    }

    /// Whether an acknowledgment of a stream of which nothing was captured is one number behind the first one: this is its FIN,
    /// for nothing that speaks here says one byte.
    pub(super) fn is_ended_by(&self, ack: SeqNo) -> bool {
        self.marks.awaited && ack.distance(self.next_seq) == 1
    }

    /// The position of a sequence number, negative before the start.
    #[inline]
    pub(super) fn position(&self, seq: SeqNo) -> i64 {
        let ahead = i64::from(seq.distance(self.next_seq));
        // No capture holds enough segments to bring positions near the end of 64 bits.
        self.next.cast_signed().wrapping_add(ahead)
    }

    /// Moves on over `len` positions.
    #[inline]
    pub(super) fn advance(&mut self, len: u64) {
        self.next += len;
        self.next_seq = self.next_seq.plus(len as u32);
        self.top = self.top.max(self.next);
    }

    /// Takes the peer's acknowledgment.
    pub(super) fn acknowledge(&mut self, ack: SeqNo) {
        if let Some((acked, fin)) = self.acknowledged_by(ack) {
            self.acked = self.acked.max(acked);
            self.marks.fin_acked |= fin;
        }
    }

    /// The stream ends at `at`. Its acknowledgment may have been captured before the FIN itself; then the number of the
    /// FIN was taken for a byte.
    pub(super) fn set_fin(&mut self, at: u64) {
        self.fin.set(at);
        if self.acked == at + 1 {
            self.acked = at;
            self.marks.fin_acked = true;
        }
    }

    /// Whether an acknowledgment says more than those before it.
    pub(super) fn is_news(&self, ack: SeqNo) -> bool {
        self.acknowledged_by(ack)
            .is_some_and(|(acked, fin)| acked > self.acked || (fin && !self.marks.fin_acked))
    }

    /// The position that a number acknowledges, and whether the FIN behind it too; `None` for an implausible one.
    fn acknowledged_by(&self, ack: SeqNo) -> Option<(u64, bool)> {
        let position = self.position(ack);
        if !self.marks.known || position > self.top.cast_signed() + MAX_WINDOW {
            return None;
        }
        let position = u64::try_from(position).ok()?;
        Some(match self.fin.at() {
            Some(fin) if position > fin => (fin, position == fin + 1),
            _ => (position, false),
        })
    }

    /// Whether a segment with these positions brings nothing that was not seen before.
    pub(super) fn holds(&self, start: i64, end: i64) -> bool {
        if end <= self.next.cast_signed() {
            return true;
        }
        let start = start.max(self.next.cast_signed()).cast_unsigned();
        self.held
            .as_ref()
            .is_some_and(|held| held.pieces.covers(start..end.cast_unsigned()))
    }

    /// Whether bytes may have to be delivered, given up, or an ending be told.
    pub(super) fn is_pending(&self) -> bool {
        self.acked > self.next
            || (self.fin.at().is_some() && !self.marks.fin_told)
            || (self.rst.at().is_some() && !self.marks.rst_told)
            || self
                .held
                .as_ref()
                .is_some_and(|held| held.wait.is_some() || !held.pieces.is_empty())
    }

    /// Writes what is counted here into the facts. `one_sided`: nothing of the peer was captured, so that nobody knows
    /// what it acknowledged.
    pub(super) fn count_into(&self, facts: &mut StreamFacts, one_sided: bool) {
        facts.frames = self.frames;
        let held = self.held.as_ref().map_or(0, |held| held.pieces.bytes());
        facts.payload_bytes = (self.next + held).saturating_sub(facts.missing_bytes);
        facts.last_data = self.last_data;
        facts.unseen_at_end = self.unseen_at_end();
        facts.unacknowledged = if one_sided {
            0
        } else {
            self.top.saturating_sub(self.acked)
        };
    }

    /// How many numbers at the end were not captured: what the peer acknowledged beyond the last byte seen, and the gap declared
    /// last if nothing came behind it.
    fn unseen_at_end(&self) -> u64 {
        let gap = self.held.as_ref().map_or(0..0, |held| held.gap.clone());
        let open = (gap.end == self.next && self.next == self.top).then_some(gap);
        let from = open.map_or(self.top, |gap| gap.start);
        self.top.max(self.acked).saturating_sub(from)
    }

    /// Brings `troubled` and `usual` up to date.
    pub(super) fn take_stock(&mut self) {
        let ended = self.fin.at().is_some() || self.rst.at().is_some();
        let troubled = ended || self.marks.doubted || self.is_pending();
        let marks = &mut self.marks;
        marks.troubled = troubled;
        marks.usual = marks.known && !troubled && !marks.full;
    }

    /// Memory held by bytes behind holes.
    pub(super) fn cost(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.pieces.cost())
    }

    /// Position and frame of the first bytes behind a hole.
    pub(super) fn first_piece(&self) -> Option<(u64, FrameRef)> {
        self.held.as_ref()?.pieces.first()
    }

    /// Holds a segment until its turn. Returns whether it conflicts with what is held.
    pub(super) fn hold(
        &mut self,
        start: u64,
        payload: &[u8],
        missing: u64,
        frame: FrameRef,
    ) -> bool {
        let held = self.held.get_or_insert_default();
        held.pieces.insert(start, payload, missing, frame)
    }

    /// The next bytes whose turn it is: where they start, where they end, the bytes if captured, and their frame.
    pub(super) fn pop_ready(&mut self, upto: u64) -> Option<(u64, Piece)> {
        self.held.as_mut()?.pieces.pop_ready(upto)
    }

    /// Remembers the gap declared last.
    pub(super) fn set_gap(&mut self, gap: Range<u64>) {
        self.held.get_or_insert_default().gap = gap;
    }

    /// Whether positions lie in the gap declared last.
    pub(super) fn in_gap(&self, start: i64, end: i64) -> bool {
        self.held.as_ref().is_some_and(|held| {
            start >= held.gap.start.cast_signed() && end <= held.gap.end.cast_signed()
        })
    }

    /// A part of the last gap is no gap any more.
    pub(super) fn fill(&mut self, start: u64, end: u64) {
        if let Some(held) = &mut self.held {
            if start == held.gap.start {
                held.gap.start = end;
            } else {
                held.gap.end = start;
            }
        }
    }

    /// Nobody waits for bytes any more.
    pub(super) fn stop_waiting(&mut self) {
        if let Some(held) = &mut self.held {
            held.wait = None;
        }
    }

    /// The end of the hole at `next`, if there is one and an acknowledgment or later bytes make it known.
    fn hole(&self) -> Option<u64> {
        if let Some((start, _)) = self.first_piece() {
            return (start > self.next).then_some(start);
        }
        let fin = self.fin.at();
        let end = fin.map_or(self.acked, |fin| fin.max(self.acked));
        let at_least = if fin.is_some() { 1 } else { HOLE_MIN.into() };
        (end.cast_signed() >= self.next.cast_signed() + at_least).then_some(end)
    }

    /// Notes the hole at `next` (or that there is none), and one more segment of the connection.
    pub(super) fn watch(&mut self, clock: i64, frame: Option<FrameRef>) {
        if self.hole().is_none() {
            self.stop_waiting();
            return;
        }
        let next = self.next;
        let acked = self.acked > next;
        let wait = match &mut self.held.get_or_insert_default().wait {
            Some(wait) if wait.next == next => wait,
            other => other.insert(Wait {
                next,
                since: clock,
                ack: None,
                segments: 0,
            }),
        };
        match (wait.ack, frame) {
            (Some(_), Some(_)) => wait.segments = wait.segments.saturating_add(1),
            (None, Some(frame)) if acked => wait.ack = Some((clock, frame)),
            _ => {}
        }
    }

    /// The hole at `next`, if it was waited for long enough. `one_sided`: nothing of the peer was captured.
    pub(super) fn overdue(&self, clock: i64, one_sided: bool) -> Option<Hole> {
        let wait = self.held.as_ref()?.wait?;
        let end = self.hole()?;
        if let Some((since, frame)) = wait.ack {
            let due =
                wait.segments >= HOLE_GRACE_SEGMENTS || clock.saturating_sub(since) >= HOLE_GRACE;
            return (due && self.acked > self.next).then_some(Hole {
                end: end.min(self.acked),
                cause: GapCause::NotCaptured,
                frame: Some(frame),
            });
        }
        let due =
            clock.saturating_sub(wait.since) >= ONE_SIDED_GRACE || self.cost() > ONE_SIDED_BYTES;
        (one_sided && due).then_some(Hole {
            end,
            cause: GapCause::NotCaptured,
            frame: None,
        })
    }

    /// When `overdue` may say more than now, if nothing else happens.
    pub(super) fn due(&self, one_sided: bool) -> Option<i64> {
        let wait = self.held.as_ref()?.wait?;
        match wait.ack {
            Some((since, _)) => Some(since.saturating_add(HOLE_GRACE)),
            None => one_sided.then(|| wait.since.saturating_add(ONE_SIDED_GRACE)),
        }
    }

    /// The hole at `next`, to be given up for `cause` unless it is known to have been acknowledged.
    pub(super) fn forced(&self, cause: GapCause) -> Option<Hole> {
        let end = self.hole()?;
        if cause == GapCause::Lost && self.acked > self.next {
            let wait = self.held.as_ref().and_then(|held| held.wait);
            return Some(Hole {
                end: end.min(self.acked),
                cause: GapCause::NotCaptured,
                frame: wait.and_then(|wait| wait.ack).map(|(_, frame)| frame),
            });
        }
        Some(Hole {
            end,
            cause,
            frame: None,
        })
    }
}
