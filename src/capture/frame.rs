//! A captured frame, and the reference to it that every claim carries as evidence.

use std::fmt;
use std::num::NonZeroU64;

use super::Timestamp;

/// Which input a frame came from: the place in the list of inputs, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CaptureId(pub u16);

/// The number of a frame in its capture, from 1, as Wireshark numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameNo(pub u64);

impl fmt::Display for FrameNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where and when something was seen: the evidence behind a claim. There are dozens for each connection, so it takes 16 bytes,
/// and none the same.
///
/// Ordered by time, then capture, then frame: the order of every report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameRef {
    /// The frame's time.
    pub at: Timestamp,
    place: Place,
}

impl FrameRef {
    /// A frame by its time, the input that it is in, and its number there.
    pub const fn new(at: Timestamp, capture: CaptureId, frame: FrameNo) -> Self {
        Self {
            at,
            place: Place::new(capture, frame),
        }
    }

    /// The input it is in.
    pub const fn capture(self) -> CaptureId {
        self.place.capture()
    }

    /// Its number there.
    pub const fn number(self) -> FrameNo {
        self.place.number()
    }

    /// The same frame, as it is at this time by another clock.
    #[must_use]
    pub const fn with_time(self, at: Timestamp) -> Self {
        Self { at, ..self }
    }
}

/// The capture (16 bits) above the number (48 bits: enough for a file of 4 PB), and 1 more: never 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place(NonZeroU64);

impl Place {
    const NUMBER_BITS: u32 = 48;
    const NUMBER_MAX: u64 = (1 << Self::NUMBER_BITS) - 2;

    const fn new(capture: CaptureId, FrameNo(number): FrameNo) -> Self {
        let number = if number < Self::NUMBER_MAX {
            number
        } else {
            Self::NUMBER_MAX
        };
        let packed = (capture.0 as u64) << Self::NUMBER_BITS | number;
        Self(NonZeroU64::MIN.saturating_add(packed))
    }

    const fn packed(self) -> u64 {
        self.0.get() - 1
    }

    const fn capture(self) -> CaptureId {
        CaptureId((self.packed() >> Self::NUMBER_BITS) as u16)
    }

    const fn number(self) -> FrameNo {
        FrameNo(self.packed() & ((1 << Self::NUMBER_BITS) - 1))
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.capture().0, self.number())
    }
}

/// The LINKTYPE of an interface (or the DLT that libpcap uses for it where the two differ).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u32);

/// One captured packet, borrowed from the reader's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Its number, capture and time.
    pub id: FrameRef,
    /// The interface it was seen on, numbered as the capture does (0 where the format has just one).
    pub interface: u32,
    /// How its bytes begin.
    pub link: LinkType,
    /// Its length on the wire in bytes, which may exceed `data.len()` (snaplen).
    pub wire_len: u32,
    /// The bytes captured.
    pub data: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_whole_from_16_bytes() {
        assert_eq!(size_of::<FrameRef>(), 16);
        assert_eq!(size_of::<Option<FrameRef>>(), 16);
        for (capture, number) in [(0, 0), (0, 1), (u16::MAX, 0), (u16::MAX, Place::NUMBER_MAX)] {
            let at = Timestamp::from_nanos(-5);
            let frame = FrameRef::new(at, CaptureId(capture), FrameNo(number));
            assert_eq!(frame.at, at);
            assert_eq!(frame.capture(), CaptureId(capture));
            assert_eq!(frame.number(), FrameNo(number));
        }
    }

    #[test]
    fn time_comes_first_then_the_capture_then_the_number() {
        let frame = |at, capture, number| {
            FrameRef::new(
                Timestamp::from_nanos(at),
                CaptureId(capture),
                FrameNo(number),
            )
        };
        let frames = [
            frame(-1, 9, 9),
            frame(0, 0, 9),
            frame(0, 1, 2),
            frame(0, 1, 3),
            frame(1, 0, 1),
        ];
        assert!(frames.is_sorted());
    }
}
