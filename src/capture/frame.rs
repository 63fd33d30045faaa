//! A captured frame, and the reference to it that every claim carries as evidence.

use std::fmt;

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

/// Where and when something was seen: the evidence behind a claim.
///
/// Ordered by time, then capture, then frame: the order of every report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameRef {
    /// The frame's time.
    pub at: Timestamp,
    /// The input it is in.
    pub capture: CaptureId,
    /// Its number there.
    pub frame: FrameNo,
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
