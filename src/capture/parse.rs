//! What the two formats have in common.

use super::{LinkType, Timestamp};

/// The largest frame that is believed: 16 MiB. Loopback and offload make 64 KiB, BIG TCP 512 KiB, USB and D-Bus captures
/// more; a larger claim is damage, and would have us wait for data that never comes.
pub(super) const MAX_FRAME: u32 = 16 << 20;

/// Byte order of a file or section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    #[inline]
    pub(super) const fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(super) const fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    pub(super) const fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }

    /// The number at byte `at`, if it is there.
    pub(super) fn u32_at(self, bytes: &[u8], at: usize) -> Option<u32> {
        Some(self.u32(*bytes.get(at..)?.first_chunk()?))
    }

    /// The number at byte `at`, if it is there.
    pub(super) fn u16_at(self, bytes: &[u8], at: usize) -> Option<u16> {
        Some(self.u16(*bytes.get(at..)?.first_chunk()?))
    }
}

/// What the next bytes of a file are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A frame.
    Frame(Meta),
    /// Something of this many bytes that is no frame; it need not be in memory.
    Skip(u64),
    /// A record of this many bytes that is no packet, but that Wireshark numbers as a frame.
    Numbered(u64),
    /// At least this many bytes must be in memory to tell.
    Need(usize),
    /// Nothing that the format allows.
    Damaged(String),
}

/// A frame, all but its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) at: Timestamp,
    pub(super) interface: u32,
    pub(super) link: LinkType,
    pub(super) wire_len: u32,
    /// Bytes before the frame's data.
    pub(super) skip: usize,
    /// Bytes of the frame's data.
    pub(super) captured: usize,
    /// Bytes to the next record.
    pub(super) total: usize,
}
