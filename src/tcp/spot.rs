//! A frame reference in 16 bytes, for the records that are many.

use crate::capture::{CaptureId, FrameNo, FrameRef, Timestamp};

/// A frame: its time, and its place as the capture (16 bits) above the number (48 bits: enough for a file of 4 PB).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Spot {
    at: i64,
    place: u64,
}

const NUMBER: u64 = (1 << 48) - 1;

impl Spot {
    pub(super) fn new(frame: FrameRef) -> Self {
        Self {
            at: frame.at.nanos(),
            place: u64::from(frame.capture().0) << 48 | (frame.number().0 & NUMBER),
        }
    }

    /// The full reference.
    pub(super) fn frame(self) -> FrameRef {
        FrameRef::new(
            Timestamp::from_nanos(self.at),
            CaptureId((self.place >> 48) as u16),
            FrameNo(self.place & NUMBER),
        )
    }

    /// Nanoseconds since the Unix epoch.
    pub(super) const fn at(self) -> i64 {
        self.at
    }

    /// Nanoseconds and frames from `first` to a later frame.
    pub(super) fn since(self, first: Self) -> Option<(u64, u64)> {
        let nanos = u64::try_from(self.at.checked_sub(first.at)?).ok()?;
        Some((nanos, self.place.checked_sub(first.place)?))
    }

    /// The frame that comes so many nanoseconds and frames later.
    pub(super) fn later(self, nanos: u64, frames: u64) -> Self {
        Self {
            at: self.at.saturating_add_unsigned(nanos),
            place: self.place.wrapping_add(frames),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_whole() {
        let frame = FrameRef::new(
            Timestamp::from_nanos(-5),
            CaptureId(u16::MAX),
            FrameNo(NUMBER),
        );
        assert_eq!(Spot::new(frame).frame(), frame);
    }

    #[test]
    fn distances_go_forward_within_a_capture() {
        let spot = |at, frame| {
            Spot::new(FrameRef::new(
                Timestamp::from_nanos(at),
                CaptureId(1),
                FrameNo(frame),
            ))
        };
        let (first, second) = (spot(10, 1), spot(25, 4));
        assert_eq!(second.since(first), Some((15, 3)));
        assert_eq!(first.later(15, 3), second);
        assert_eq!(first.since(second), None);
    }
}
