//! The last frames of a running capture, in memory.
//!
//! ```text
//!   push -> [ chunk | chunk | ... | chunk ]      a full ring reuses its oldest chunk
//!             oldest             newest
//! ```
//!
//! Each frame carries a tag of the caller's, so that the frames of one connection are found without looking into the
//! others.

use std::collections::VecDeque;

use super::{Frame, FrameRef, LinkType};

/// Bytes of a chunk: what is forgotten at once when the ring is full.
const CHUNK: usize = 1 << 20;

/// Keeps the newest frames within a number of bytes.
#[derive(Debug)]
pub struct Ring {
    chunks: VecDeque<Chunk>,
    max_chunks: usize,
    forgotten: u64,
}

#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    frames: Vec<Kept>,
}

#[derive(Debug)]
struct Kept {
    id: FrameRef,
    tag: u64,
    interface: u32,
    link: LinkType,
    wire_len: u32,
    start: usize,
    len: usize,
}

impl Ring {
    /// A ring of at most `bytes`, of which what describes the frames is a part. Memory is taken as frames come.
    pub fn new(bytes: usize) -> Self {
        Self {
            chunks: VecDeque::new(),
            max_chunks: (bytes / CHUNK).max(2),
            forgotten: 0,
        }
    }

    /// Adds a frame; the oldest ones make room.
    pub fn push(&mut self, frame: &Frame<'_>, tag: u64) {
        let need = frame.data.len() + size_of::<Kept>();
        if self
            .chunks
            .back()
            .is_none_or(|chunk| chunk.used() + need > CHUNK)
        {
            let next = self.next_chunk();
            self.chunks.push_back(next);
        }
        let Some(chunk) = self.chunks.back_mut() else {
            return;
        };
        let start = chunk.bytes.len();
        chunk.bytes.extend_from_slice(frame.data);
        chunk.frames.push(Kept {
            id: frame.id,
            tag,
            interface: frame.interface,
            link: frame.link,
            wire_len: frame.wire_len,
            start,
            len: frame.data.len(),
        });
    }

    /// A chunk to fill: a new one, or the oldest emptied.
    fn next_chunk(&mut self) -> Chunk {
        if self.chunks.len() < self.max_chunks {
            return Chunk::default();
        }
        let mut chunk = self.chunks.pop_front().unwrap_or_default();
        self.forgotten += chunk.frames.len() as u64;
        // One huge frame must not stay paid for.
        if chunk.bytes.capacity() > 2 * CHUNK {
            chunk = Chunk::default();
        }
        chunk.bytes.clear();
        chunk.frames.clear();
        chunk
    }

    /// The frames from a number on whose tag is one of `tags`, oldest first.
    pub fn tagged<'a>(
        &'a self,
        from: FrameRef,
        tags: &'a [u64],
    ) -> impl Iterator<Item = Frame<'a>> {
        self.chunks
            .iter()
            .filter(move |chunk| {
                chunk
                    .frames
                    .last()
                    .is_some_and(|last| last.id.number() >= from.number())
            })
            .flat_map(move |chunk| {
                let wanted = move |kept: &&Kept| {
                    kept.id.number() >= from.number() && tags.contains(&kept.tag)
                };
                chunk
                    .frames
                    .iter()
                    .filter(wanted)
                    .map(|kept| chunk.frame(kept))
            })
    }

    /// The oldest frame that is still there.
    pub fn oldest(&self) -> Option<FrameRef> {
        self.chunks.front()?.frames.first().map(|kept| kept.id)
    }

    /// Frames that made room for others.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

impl Chunk {
    fn used(&self) -> usize {
        self.bytes.len() + self.frames.len() * size_of::<Kept>()
    }

    fn frame(&self, kept: &Kept) -> Frame<'_> {
        Frame {
            id: kept.id,
            interface: kept.interface,
            link: kept.link,
            wire_len: kept.wire_len,
            data: self
                .bytes
                .get(kept.start..kept.start + kept.len)
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may")]
    use super::*;
    use crate::capture::{CaptureId, FrameNo, Timestamp};

    fn frame(number: u64, data: &[u8]) -> Frame<'_> {
        Frame {
            id: FrameRef::new(
                Timestamp::from_nanos(i64::try_from(number).unwrap()),
                CaptureId(0),
                FrameNo(number),
            ),
            interface: 0,
            link: LinkType::ETHERNET,
            wire_len: 2000,
            data,
        }
    }

    fn numbers(ring: &Ring, from: u64, tags: &[u64]) -> Vec<u64> {
        ring.tagged(frame(from, &[]).id, tags)
            .map(|frame| frame.id.number().0)
            .collect()
    }

    #[test]
    fn gives_the_frames_of_a_connection() {
        let mut ring = Ring::new(4 << 20);
        for number in 1..=9 {
            ring.push(
                &frame(number, &[u8::try_from(number).unwrap(); 3]),
                number % 3,
            );
        }
        assert_eq!(numbers(&ring, 1, &[1]), [1, 4, 7]);
        assert_eq!(numbers(&ring, 5, &[0, 1]), [6, 7, 9]);
        let all: Vec<u8> = ring
            .tagged(frame(1, &[]).id, &[2])
            .flat_map(|frame| frame.data.to_vec())
            .collect();
        assert_eq!(all, [2, 2, 2, 5, 5, 5, 8, 8, 8]);
    }

    #[test]
    fn forgets_the_oldest_when_full_and_stays_within_its_bytes() {
        let mut ring = Ring::new(3 << 20);
        let data = vec![7; 1000];
        for number in 1..=10_000 {
            ring.push(&frame(number, &data), 1);
        }
        let kept = numbers(&ring, 1, &[1]);
        assert_eq!(*kept.last().unwrap(), 10_000);
        assert_eq!(kept.len() as u64 + ring.forgotten(), 10_000);
        assert_eq!(ring.oldest().unwrap().number().0, kept[0]);
        let room = (3 << 20) / (1000 + size_of::<Kept>());
        assert!(
            kept.len() <= room && kept.len() > room / 2,
            "{} of {room}",
            kept.len()
        );
        let capacity: usize = ring.chunks.iter().map(|chunk| chunk.bytes.capacity()).sum();
        assert!(capacity <= 2 * (3 << 20), "{capacity}");
    }
}
