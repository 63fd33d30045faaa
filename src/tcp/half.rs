//! The sequence space of one direction: what was delivered, seen and acknowledged, as 64-bit stream positions.

use super::GapCause;
use super::limits::{
    HOLE_GRACE, HOLE_GRACE_SEGMENTS, MAX_WINDOW, ONE_SIDED_BYTES, ONE_SIDED_GRACE,
};
use super::pieces::Pieces;
use crate::capture::FrameRef;
use crate::decode::SeqNo;

/// One direction of a connection. Positions count from the first byte after SYN, or the first byte seen.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// Whether the numbers below mean anything yet.
    pub(super) known: bool,
    /// The FIN was acknowledged.
    pub(super) fin_acked: bool,
    /// `ended` was called for the FIN.
    pub(super) fin_told: bool,
    /// `ended` was called for the RST.
    pub(super) rst_told: bool,
    /// The sequence number of position `next`.
    pub(super) next_seq: SeqNo,
    /// All before this was delivered, as bytes or as a gap.
    pub(super) next: u64,
    /// The furthest position seen.
    pub(super) top: u64,
    /// All before this was acknowledged by the peer.
    pub(super) acked: u64,
    /// Where the FIN sits.
    pub(super) fin: Option<u64>,
    /// Where the RST sits: behind all bytes that were seen before it.
    pub(super) rst: Option<u64>,
    /// The gap declared last, to tell late bytes from repeated ones.
    pub(super) gap: (u64, u64),
    /// A hole at `next` that is not given up yet.
    pub(super) wait: Option<Wait>,
    /// Bytes behind the hole.
    pub(super) pieces: Pieces,
}

/// Since when, and how well founded, a hole is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
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

impl Half {
    /// Position 0 is at `seq`.
    pub(super) fn start(&mut self, seq: SeqNo) {
        self.known = true;
        self.next_seq = seq;
    }

    /// The position of a sequence number, negative before the start.
    pub(super) fn position(&self, seq: SeqNo) -> i64 {
        (self.next as i64).saturating_add(i64::from(seq.distance(self.next_seq)))
    }

    /// Moves on over `len` positions.
    pub(super) fn advance(&mut self, len: u64) {
        self.next += len;
        self.next_seq = self.next_seq.plus(len as u32);
        self.top = self.top.max(self.next);
    }

    /// A part of the last gap is no gap any more.
    pub(super) fn fill(&mut self, start: u64, end: u64) {
        if start == self.gap.0 {
            self.gap.0 = end;
        } else {
            self.gap.1 = start;
        }
    }

    /// Takes the peer's acknowledgment.
    pub(super) fn acknowledge(&mut self, ack: SeqNo) {
        if !self.known {
            return;
        }
        let mut position = self.position(ack);
        if let Some(fin) = self.fin
            && position > fin as i64
        {
            self.fin_acked |= position == fin as i64 + 1;
            position = fin as i64;
        }
        if position > self.acked as i64 && position <= self.top as i64 + MAX_WINDOW {
            self.acked = position as u64;
        }
    }

    /// Whether a segment with these positions brings nothing that was not seen before.
    pub(super) fn holds(&self, start: i64, end: i64) -> bool {
        if end <= self.next as i64 {
            return true;
        }
        let start = start.max(self.next as i64) as u64;
        !self.pieces.is_empty() && self.pieces.covers(start..end as u64)
    }

    /// Whether something may have to be done that does not come by itself.
    pub(super) fn is_pending(&self) -> bool {
        self.wait.is_some()
            || self.acked > self.next
            || !self.pieces.is_empty()
            || (self.fin.is_some() && !self.fin_told)
            || (self.rst.is_some() && !self.rst_told)
    }

    /// The hole at `next`, if there is one and an acknowledgment or later bytes make it known.
    fn hole(&self) -> Option<u64> {
        if let Some((start, _)) = self.pieces.first() {
            return (start > self.next).then_some(start);
        }
        let end = self.fin.map_or(self.acked, |fin| fin.max(self.acked));
        // A single number beyond the last byte may as well be a FIN that the capture lacks.
        let at_least = if self.fin.is_some() { 1 } else { 2 };
        (end >= self.next + at_least).then_some(end)
    }

    /// Notes the hole at `next` (or that there is none), and one more segment of the connection.
    pub(super) fn watch(&mut self, clock: i64, frame: Option<FrameRef>) {
        if self.hole().is_none() {
            self.wait = None;
            return;
        }
        let next = self.next;
        let acked = self.acked > next;
        let wait = match &mut self.wait {
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
        let wait = self.wait?;
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
        let due = clock.saturating_sub(wait.since) >= ONE_SIDED_GRACE
            || self.pieces.cost() > ONE_SIDED_BYTES;
        (one_sided && due).then_some(Hole {
            end,
            cause: GapCause::NotCaptured,
            frame: None,
        })
    }

    /// When `overdue` may say more than now, if nothing else happens.
    pub(super) fn due(&self, one_sided: bool) -> Option<i64> {
        let wait = self.wait?;
        match wait.ack {
            Some((since, _)) => Some(since.saturating_add(HOLE_GRACE)),
            None => one_sided.then(|| wait.since.saturating_add(ONE_SIDED_GRACE)),
        }
    }

    /// The hole at `next`, to be given up for `cause` unless an acknowledgment says more.
    pub(super) fn forced(&self, cause: GapCause) -> Option<Hole> {
        let end = self.hole()?;
        let acked = self.acked > self.next && cause == GapCause::Lost;
        let frame = self.wait.and_then(|wait| wait.ack).map(|(_, frame)| frame);
        Some(if acked {
            Hole {
                end: end.min(self.acked),
                cause: GapCause::NotCaptured,
                frame,
            }
        } else {
            Hole {
                end,
                cause,
                frame: None,
            }
        })
    }
}
