//! Client bytes behind an upgrade request, kept until the answer says whose they are.

use crate::capture::FrameRef;
use crate::tcp::{Direction, Gap, GapCause};

/// How many client bytes behind an upgrade request are kept while its answer is awaited. A client must not send
/// any before the 101 (RFC 6455 4.1); a capture that shows the client's frames before the server's answer, or only
/// the client's side, has a few segments of them. What is noted about each is counted with it, and what exceeds it becomes
/// a hole.
pub(super) const MAX_HELD: usize = 32 * 1024;

/// A part of what the client sent behind an upgrade request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Bytes, as one segment carried them.
    Bytes {
        /// Position in the stream to the server.
        position: u64,
        /// The frame that carried them.
        frame: FrameRef,
        /// The bytes.
        data: Box<[u8]>,
    },
    /// A hole (cause `Evicted`: more was sent than is kept).
    Gap(Gap),
}

/// What the next protocol gets when the streams switch to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Handover {
    /// What the client sent behind its request so far, in order.
    pub to_server: Vec<Held>,
    /// The end of the answer was seen, so the server's next byte is the first of the new protocol. Otherwise the
    /// answer is in a hole (or that side was not captured) and the place where the new protocol begins is unknown.
    pub answer_seen: bool,
}

/// What is held.
#[derive(Debug, Default)]
pub(super) struct Holding {
    parts: Vec<Held>,
    bytes: usize,
}

impl Holding {
    /// Bytes that it holds, what is noted about each part included.
    pub(super) const fn held(&self) -> usize {
        self.bytes + self.parts.len() * size_of::<Held>()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether something had to be left out.
    pub(super) fn overflowed(&self) -> bool {
        matches!(self.parts.last(), Some(Held::Gap(gap)) if gap.cause == GapCause::Evicted)
    }

    /// The first bytes, if nothing is missing before them.
    pub(super) fn start(&self) -> &[u8] {
        match self.parts.first() {
            Some(Held::Bytes { data, .. }) => data,
            _ => &[],
        }
    }

    pub(super) fn push(&mut self, data: &[u8], position: u64, frame: FrameRef) {
        if data.is_empty() {
            return;
        }
        if self.overflowed() || self.held() + data.len() > MAX_HELD {
            self.push_gap(&Gap {
                direction: Direction::ToServer,
                position,
                len: data.len() as u64,
                cause: GapCause::Evicted,
                frame,
            });
            return;
        }
        self.bytes += data.len();
        self.parts.push(Held::Bytes {
            position,
            frame,
            data: data.into(),
        });
    }

    pub(super) fn push_gap(&mut self, gap: &Gap) {
        match self.parts.last_mut() {
            Some(Held::Gap(before)) => {
                before.len = before.len.saturating_add(gap.len);
                if gap.cause == GapCause::Evicted {
                    before.cause = gap.cause;
                }
            }
            _ => self.parts.push(Held::Gap(*gap)),
        }
    }

    pub(super) fn take(&mut self) -> Vec<Held> {
        std::mem::take(self).parts
    }
}
