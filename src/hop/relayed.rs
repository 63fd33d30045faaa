//! How the bytes of a session came, first ones first: what a TLS front that nobody opens can be compared with.

use crate::capture::FrameRef;
use crate::tcp::{Chunk, Direction};
use crate::tls::SIZES_MAX;

/// So many bytes of a direction had come with this frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The frame.
    pub frame: FrameRef,
    /// The bytes behind the head, up to its last one.
    pub end: u64,
}

/// The first segments of a session, by direction; as many as there are records in [`Sizes`](crate::tls::Sizes).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Relayed {
    to_server: Vec<Mark>,
    to_client: Vec<Mark>,
    cut: bool,
}

impl Relayed {
    /// Takes note of the next bytes of the session.
    pub fn note(&mut self, chunk: &Chunk<'_>) {
        if self.cut || chunk.data.is_empty() {
            return;
        }
        let marks = match chunk.direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        if marks.len() >= SIZES_MAX {
            self.cut = true;
            return;
        }
        let before = marks.last().map_or(0, |mark| mark.end);
        marks.push(Mark {
            frame: chunk.frame,
            end: before.saturating_add(chunk.data.len() as u64),
        });
    }

    /// About how many bytes of memory it takes.
    pub const fn held(&self) -> usize {
        let marks = self.to_server.capacity() + self.to_client.capacity();
        size_of::<Self>() + marks * size_of::<Mark>()
    }

    /// Bytes are missing: nothing more is taken down.
    pub const fn stop(&mut self) {
        self.cut = true;
    }

    /// The marks of a direction, in order.
    pub fn of(&self, direction: Direction) -> &[Mark] {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    /// Whether more came, in either direction, than is marked.
    pub const fn is_cut(&self) -> bool {
        self.cut
    }
}
