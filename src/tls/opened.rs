//! What came out of encrypted records in clear.

use std::ops::Range;

use crate::capture::FrameRef;
use crate::tcp::{Chunk, Direction, Gap};

/// What came out in clear by one call, in the order of the records; reused between calls, so that nothing is allocated per
/// record.
#[derive(Debug, Default)]
pub struct Opened {
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
}

/// A part of a direction's clear stream.
#[derive(Debug, Clone, Copy)]
pub enum Clear<'a> {
    /// Bytes. `position` counts the clear bytes of the direction from 0, holes included; `frame` is the one that completed
    /// their record.
    Bytes(Chunk<'a>),
    /// A hole: records that were not captured whole. Its position and length are of clear bytes.
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
    }
}
