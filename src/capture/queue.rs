//! Frames in the order of their times, of inputs that have them otherwise: several interfaces or queues wrote into them, one
//! block after the other.
//!
//! ```text
//!  as they stand   if 0:  1 ms  4 ms  6 ms | if 1:  2 ms  3 ms  7 ms | ...
//!  as they go on   1 ms  2 ms  3 ms  4 ms  6 ms  7 ms                  a frame waits until none can come that is older
//! ```

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::{Frame, FrameRef, LinkType, Timestamp};

/// Bytes held back at most, unless told otherwise: a second of 2 Gbit/s. What comes then goes on early, perhaps out of order.
pub const QUEUE_BYTES: usize = 256 << 20;

/// What a frame costs besides its bytes.
const FRAME_COST: usize = size_of::<Waiting>();

/// Holds frames back.
#[derive(Debug)]
pub(super) struct Queue {
    /// How much older than one before it a frame may be, in nanoseconds.
    late_by: i64,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// Bytes that these take, and may take.
    held: usize,
    held_max: usize,
    /// The newest time so far.
    newest: Timestamp,
    /// The frame that was given last.
    current: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    id: FrameRef,
    interface: u32,
    link: LinkType,
    wire_len: u32,
    data: Box<[u8]>,
}

impl Queue {
    /// For inputs in which frames stand behind others that are up to `late_by` nanoseconds newer.
    pub(super) const fn new(late_by: i64, held_max: usize) -> Self {
        Self {
            late_by,
            waiting: BinaryHeap::new(),
            held: 0,
            held_max,
            newest: Timestamp::from_nanos(i64::MIN),
            current: None,
        }
    }

    /// Takes a frame as it stands in the inputs.
    pub(super) fn push(&mut self, frame: &Frame<'_>) {
        self.newest = self.newest.max(frame.id.at);
        self.held += frame.data.len() + FRAME_COST;
        self.waiting.push(Reverse(Waiting {
            id: frame.id,
            interface: frame.interface,
            link: frame.link,
            wire_len: frame.wire_len,
            data: frame.data.into(),
        }));
    }

    /// No more frames come.
    pub(super) const fn end(&mut self) {
        self.newest = Timestamp::from_nanos(i64::MAX);
    }

    /// Whether there is a frame that none can precede any more.
    pub(super) fn is_ready(&self) -> bool {
        let oldest = self.waiting.peek();
        oldest.is_some_and(|Reverse(oldest)| {
            self.held > self.held_max || self.newest.nanos_since(oldest.id.at) >= self.late_by
        })
    }

    /// The oldest frame.
    pub(super) fn pop(&mut self) -> Option<Frame<'_>> {
        let Reverse(frame) = self.waiting.pop()?;
        self.held -= frame.data.len() + FRAME_COST;
        let frame = self.current.insert(frame);
        Some(Frame {
            id: frame.id,
            interface: frame.interface,
            link: frame.link,
            wire_len: frame.wire_len,
            data: &frame.data,
        })
    }
}

// By time; of equally old ones the first of the inputs and of the file goes first.
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Waiting {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may")]
    use super::*;
    use crate::capture::{CaptureId, FrameNo};

    const HELD_MAX: usize = 1 << 20;

    fn frame(number: u64, millis: i64, data: &[u8]) -> Frame<'_> {
        let at = Timestamp::from_nanos(millis * 1_000_000);
        Frame {
            id: FrameRef::new(at, CaptureId(0), FrameNo(number)),
            interface: 0,
            link: LinkType(1),
            wire_len: 60,
            data,
        }
    }

    /// The numbers of frames with these times, in the order in which they go on, and how many were held back at most.
    fn order(late_by_millis: i64, times: &[i64], data: &[u8]) -> (Vec<u64>, usize) {
        let mut queue = Queue::new(late_by_millis * 1_000_000, HELD_MAX);
        let (mut numbers, mut most) = (Vec::new(), 0);
        for (number, &millis) in (1..).zip(times) {
            queue.push(&frame(number, millis, data));
            while queue.is_ready() {
                numbers.push(queue.pop().unwrap().id.number().0);
            }
            most = most.max(queue.waiting.len());
        }
        queue.end();
        while queue.is_ready() {
            numbers.push(queue.pop().unwrap().id.number().0);
        }
        assert_eq!((queue.held, queue.pop().is_none()), (0, true));
        (numbers, most)
    }

    #[test]
    fn frames_go_on_in_the_order_of_their_times() {
        let table: [(i64, &[i64], &[u64], usize); 5] = [
            (0, &[1, 2, 2, 3], &[1, 2, 3, 4], 0),
            (2, &[1, 3, 1, 2, 5], &[1, 3, 4, 2, 5], 2),
            (4, &[1, 4, 6, 2, 3, 7, 9], &[1, 4, 5, 2, 3, 6, 7], 3),
            // Later than anybody knew: as early as may still be.
            (1, &[5, 6, 7, 1, 8], &[1, 2, 4, 3, 5], 1),
            (5, &[], &[], 0),
        ];
        for (late_by, times, wanted, most) in table {
            let found = order(late_by, times, b"data");
            assert_eq!(found, (wanted.to_vec(), most), "{times:?}");
        }
    }

    #[test]
    fn what_is_held_back_has_a_limit() {
        let data = vec![0; HELD_MAX / 4];
        let (numbers, most) = order(1000, &[1, 2, 3, 4, 5, 6], &data);
        assert_eq!((numbers, most), ((1..=6).collect(), 3));
    }

    #[test]
    fn a_frame_comes_out_as_it_went_in() {
        let mut queue = Queue::new(0, HELD_MAX);
        let pushed = frame(7, 3, b"bytes");
        queue.push(&pushed);
        let popped = queue.pop().unwrap();
        assert_eq!((popped.id, popped.data), (pushed.id, pushed.data));
        assert_eq!((popped.link, popped.wire_len), (LinkType(1), 60));
    }
}
