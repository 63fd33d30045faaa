//! What came out of encrypted records in clear.

use std::ops::Range;

use crate::capture::FrameRef;
use crate::tcp::{Chunk, Direction, Gap};

/// What came out in clear by one call, in the order of the records; reused between calls, so that nothing is allocated per
/// record.
#[derive(Debug, Default)]
pub struct Opened {
    /// The bytes of all pieces, and behind them those of the record that was looked at last.
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
    /// Where the bytes of the pieces end.
    settled: usize,
    /// For records that come in several segments.
    spare: Vec<u8>,
}

/// A part of a direction's clear stream.
#[derive(Debug, Clone, Copy)]
pub enum Clear<'a> {
    /// Bytes. `position` counts the clear bytes of the direction from 0, holes included; `frame` is the one that completed
    /// their record.
    Bytes(Chunk<'a>),
    /// A hole: records that were not captured whole, or cannot be opened any more. Position and length are of clear bytes.
    /// Where it is not known yet how many are missing when bytes of the other direction come out behind them, one is told
    /// at first, and the others when a record shows how many they are.
    Gap(Gap),
}

#[derive(Debug)]
enum Piece {
    Bytes {
        direction: Direction,
        position: u64,
        range: Range<usize>,
        frame: FrameRef,
    },
    Gap(Gap),
}

impl Opened {
    /// Whether nothing came out.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// What came out, in order.
    pub fn pieces(&self) -> impl Iterator<Item = Clear<'_>> {
        self.pieces.iter().map(|piece| match piece {
            Piece::Bytes {
                direction,
                position,
                range,
                frame,
            } => Clear::Bytes(Chunk {
                direction: *direction,
                position: *position,
                data: self.bytes.get(range.clone()).unwrap_or_default(),
                frame: *frame,
            }),
            Piece::Gap(gap) => Clear::Gap(*gap),
        })
    }

    /// Makes room for the next call; the memory is kept.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.pieces.clear();
        self.settled = 0;
    }

    /// Puts a record's body behind what came out so far, and opens it there.
    pub(super) fn attempt<T>(
        &mut self,
        body: &[u8],
        open: impl FnOnce(&mut [u8]) -> Option<T>,
    ) -> Option<T> {
        self.bytes.truncate(self.settled);
        self.bytes.extend_from_slice(body);
        open(self.bytes.get_mut(self.settled..)?)
    }

    /// Part of the body that was opened last.
    pub(super) fn staged(&self, range: Range<usize>) -> &[u8] {
        self.bytes
            .get(self.settled + range.start..self.settled + range.end)
            .unwrap_or_default()
    }

    /// Part of the body that was opened last comes out.
    pub(super) fn keep(
        &mut self,
        direction: Direction,
        position: u64,
        range: Range<usize>,
        frame: FrameRef,
    ) {
        let range = self.settled + range.start..self.settled + range.end;
        self.settled = range.end;
        self.pieces.push(Piece::Bytes {
            direction,
            position,
            range,
            frame,
        });
    }

    /// These bytes come out.
    pub(super) fn copy(
        &mut self,
        direction: Direction,
        position: u64,
        data: &[u8],
        frame: FrameRef,
    ) {
        self.attempt(data, |_| Some(()));
        self.keep(direction, position, 0..data.len(), frame);
    }

    /// A hole comes out.
    pub(super) fn gap(&mut self, gap: Gap) {
        self.pieces.push(Piece::Gap(gap));
    }

    /// How much came out so far.
    pub(super) const fn mark(&self) -> usize {
        self.pieces.len()
    }

    /// Whether bytes came out since.
    pub(super) fn has_bytes_since(&self, mark: usize) -> bool {
        let mut since = self.pieces.iter().skip(mark);
        since.any(|piece| matches!(piece, Piece::Bytes { .. }))
    }

    /// A hole comes out in front of what did since.
    pub(super) fn gap_at(&mut self, mark: usize, gap: Gap) {
        self.pieces
            .insert(mark.min(self.pieces.len()), Piece::Gap(gap));
    }

    /// Memory to put a record together in.
    pub(super) const fn spare(&mut self) -> &mut Vec<u8> {
        &mut self.spare
    }

    /// Gives back memory that a record was put together in.
    pub(super) fn give_back(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() > self.spare.capacity() {
            self.spare = buffer;
        }
    }
}
