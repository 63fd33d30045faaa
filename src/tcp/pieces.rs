//! The bytes of a stream that came before their turn, until the hole in front of them is filled or given up.
//!
//! First writer wins: bytes once held are never replaced, and a segment that repeats them otherwise is a conflict. The
//! cut-off end of a truncated segment is held as a piece without bytes, which later bytes may fill.

use std::collections::BTreeMap;
use std::ops::Range;

use smallvec::SmallVec;

use super::limits::PIECE_COST;
use super::runs::Runs;
use crate::capture::FrameRef;

/// Pieces of one stream by their position; disjoint, none empty.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    held: BTreeMap<u64, Piece>,
    /// What they cover. A segment may claim many of them again and again.
    runs: Runs,
    cost: usize,
}

/// Bytes, or the knowledge that there were some.
#[derive(Debug)]
pub(super) struct Piece {
    /// The position after the last byte.
    pub(super) end: u64,
    /// `None`: cut off by the snaplen.
    pub(super) bytes: Option<Box<[u8]>>,
    /// The frame that carried it.
    pub(super) frame: FrameRef,
}

impl Pieces {
    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Memory held, in bytes.
    pub(super) const fn cost(&self) -> usize {
        self.cost
    }

    /// Position and frame of the first piece.
    pub(super) fn first(&self) -> Option<(u64, FrameRef)> {
        self.held
            .first_key_value()
            .map(|(&start, piece)| (start, piece.frame))
    }

    /// Whether all of a range is held.
    pub(super) fn covers(&self, range: Range<u64>) -> bool {
        self.runs.missing(range).is_empty()
    }

    /// Payload bytes held.
    pub(super) fn bytes(&self) -> u64 {
        (self.cost - self.held.len() * PIECE_COST) as u64
    }

    /// Takes a segment whose first byte is at `start` and which was `missing` bytes longer on the wire. Returns whether
    /// a position came again with another byte.
    pub(super) fn insert(
        &mut self,
        start: u64,
        payload: &[u8],
        missing: u64,
        frame: FrameRef,
    ) -> bool {
        let mut conflict = false;
        let read = start..start + payload.len() as u64;
        if !payload.is_empty() {
            self.uncut(&read);
            conflict = self.conflicts(&read, payload);
            for hole in self.runs.missing(read.clone()) {
                let from = (hole.start - start) as usize;
                let to = (hole.end - start) as usize;
                let Some(bytes) = payload.get(from..to) else {
                    continue;
                };
                self.put(hole, Some(bytes.into()), frame);
            }
        }
        if missing > 0 {
            let cut = read.end..read.end + missing;
            for hole in self.runs.missing(cut) {
                self.put(hole, None, frame);
            }
        }
        conflict
    }

    /// Takes out the first piece if it starts at or before `next`.
    pub(super) fn pop_ready(&mut self, next: u64) -> Option<(u64, Piece)> {
        let (start, _) = self.first().filter(|&(start, _)| start <= next)?;
        Some((start, self.take(start)?))
    }

    fn take(&mut self, start: u64) -> Option<Piece> {
        let piece = self.held.remove(&start)?;
        self.cost = self.cost.saturating_sub(piece.cost());
        self.runs.remove(start..piece.end);
        Some(piece)
    }

    /// The places of the pieces that end after `from`.
    fn places_at(&self, from: u64) -> impl Iterator<Item = Range<u64>> + '_ {
        let before = self.held.range(..from).next_back();
        before
            .into_iter()
            .chain(self.held.range(from..))
            .map(|(&start, piece)| start..piece.end)
    }

    /// Removes what of `range` is held as cut off, so that bytes can take its place.
    fn uncut(&mut self, range: &Range<u64>) {
        let cut: SmallVec<[Range<u64>; 4]> = self
            .places_at(range.start)
            .take_while(|run| run.start < range.end)
            .filter(|run| run.end > range.start)
            .filter(|run| {
                self.held
                    .get(&run.start)
                    .is_some_and(|piece| piece.bytes.is_none())
            })
            .collect();
        for run in cut {
            let Some(piece) = self.take(run.start) else {
                continue;
            };
            if run.start < range.start {
                self.put(run.start..range.start, None, piece.frame);
            }
            if run.end > range.end {
                self.put(range.end..run.end, None, piece.frame);
            }
        }
    }

    /// Whether held bytes within `range` differ from `payload`, which starts at `range.start`.
    fn conflicts(&self, range: &Range<u64>, payload: &[u8]) -> bool {
        self.places_at(range.start)
            .take_while(|run| run.start < range.end)
            .any(|run| {
                let (from, to) = (run.start.max(range.start), run.end.min(range.end));
                if from >= to {
                    return false;
                }
                let held = self
                    .held
                    .get(&run.start)
                    .and_then(|piece| piece.bytes.as_deref())
                    .and_then(|bytes| {
                        bytes.get((from - run.start) as usize..(to - run.start) as usize)
                    });
                let come = payload.get((from - range.start) as usize..(to - range.start) as usize);
                held.is_some() && held != come
            })
    }

    fn put(&mut self, range: Range<u64>, bytes: Option<Box<[u8]>>, frame: FrameRef) {
        let piece = Piece {
            end: range.end,
            bytes,
            frame,
        };
        self.cost += piece.cost();
        self.held.insert(range.start, piece);
        self.runs.add(range);
    }
}

impl Piece {
    fn cost(&self) -> usize {
        self.bytes.as_deref().map_or(0, <[u8]>::len) + PIECE_COST
    }
}
