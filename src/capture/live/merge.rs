//! Frames of several interfaces in the order of their times.
//!
//! The kernel hands over blocks of one interface at a time, up to a tenth of a second old, so what one interface gives
//! may be older than what another gave before. Frames wait until they are older than any block can be.

use std::collections::VecDeque;

use super::device::Raw;
use crate::capture::Timestamp;

/// Bytes held back at most: what comes then goes out early, perhaps out of order, which the stages above bear.
const HELD_MAX: usize = 64 << 20;

/// What a frame costs besides its bytes.
const FRAME_COST: usize = std::mem::size_of::<Held>();

/// Holds frames back.
pub(super) struct Merge {
    queues: Vec<Queue>,
    held: usize,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Held>,
    bytes: VecDeque<u8>,
    /// Where a frame is put together that lies across the end of the buffer.
    joined: Vec<u8>,
}

struct Held {
    at: Timestamp,
    wire_len: u32,
    len: usize,
}

impl Merge {
    /// For so many interfaces.
    pub(super) fn new(devices: usize) -> Self {
        Self {
            queues: std::iter::repeat_with(Queue::default)
                .take(devices)
                .collect(),
            held: 0,
        }
    }

    /// Holds a frame of an interface back.
    pub(super) fn push(&mut self, device: usize, raw: &Raw<'_>) {
        let Some(queue) = self.queues.get_mut(device) else {
            return;
        };
        queue.bytes.extend(raw.data);
        queue.frames.push_back(Held {
            at: raw.at,
            wire_len: raw.wire_len,
            len: raw.data.len(),
        });
        self.held += raw.data.len() + FRAME_COST;
    }

    /// Whether nothing is held back.
    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Gives all frames up to a time, the earliest first; of equally early ones that of the interface named first.
    pub(super) fn release(&mut self, until: Timestamp, mut each: impl FnMut(usize, &Raw<'_>)) {
        loop {
            let heads = self.queues.iter().enumerate();
            let first = heads
                .filter_map(|(device, queue)| Some((queue.frames.front()?.at, device)))
                .min();
            let Some((at, device)) = first else { return };
            if at > until && self.held <= HELD_MAX {
                return;
            }
            let Some(queue) = self.queues.get_mut(device) else {
                return;
            };
            let Some(Held { wire_len, len, .. }) = queue.frames.pop_front() else {
                return;
            };
            let data = if let Some(whole) = queue.bytes.as_slices().0.get(..len) {
                whole
            } else {
                queue.joined.clear();
                queue.joined.extend(queue.bytes.iter().take(len));
                &queue.joined
            };
            each(device, &Raw { at, wire_len, data });
            queue.bytes.drain(..len);
            self.held = self.held.saturating_sub(len + FRAME_COST);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    fn push(merge: &mut Merge, device: usize, at: i64, data: &[u8]) {
        merge.push(
            device,
            &Raw {
                at: Timestamp::from_nanos(at),
                wire_len: 99,
                data,
            },
        );
    }

    fn release(merge: &mut Merge, until: i64) -> Vec<(usize, i64, Vec<u8>)> {
        let mut out = Vec::new();
        merge.release(Timestamp::from_nanos(until), |device, raw| {
            out.push((device, raw.at.nanos(), raw.data.to_vec()));
        });
        out
    }

    #[test]
    fn gives_frames_by_time_once_all_interfaces_have_spoken() {
        let mut merge = Merge::new(2);
        push(&mut merge, 0, 10, b"aa");
        push(&mut merge, 0, 30, b"bbb");
        push(&mut merge, 1, 20, b"c");
        push(&mut merge, 1, 30, b"");
        assert_eq!(
            release(&mut merge, 25),
            [(0, 10, b"aa".to_vec()), (1, 20, b"c".to_vec())]
        );
        assert!(!merge.is_empty());
        assert_eq!(
            release(&mut merge, 30),
            [(0, 30, b"bbb".to_vec()), (1, 30, Vec::new())]
        );
        assert!(merge.is_empty());
    }

    #[test]
    fn frames_across_the_end_of_the_buffer_stay_whole() {
        let mut merge = Merge::new(1);
        let mut next = 0_u8;
        let mut expected = VecDeque::new();
        for round in 0..500_i64 {
            let len = usize::try_from(round * 7 % 13).unwrap();
            let data: Vec<u8> = (0..len)
                .map(|_| {
                    next = next.wrapping_add(1);
                    next
                })
                .collect();
            push(&mut merge, 0, round, &data);
            expected.push_back(data);
            for (_, _, data) in release(&mut merge, round - 5) {
                assert_eq!(Some(data), expected.pop_front());
            }
        }
    }
}
