//! 802.11: data frames that are neither encrypted, fragmented nor aggregated.

use super::OtherKind;
use super::link;
use super::walk::{Layer, Walk};

/// The radiotap header (radiotap.org), of which only the flags matter, and the frame behind it.
pub(super) fn radiotap(walk: &mut Walk<'_>) -> Result<Layer, OtherKind> {
    /// The frame's header is padded to four bytes.
    const DATA_PAD: u8 = 0x20;
    let &[_, _, l0, l1, present @ ..] = walk.peek::<8>()?;
    let present = u32::from_le_bytes(present);
    // The fields follow one or more words that say which there are; the flags are behind the 8-byte clock.
    let header = walk.rest;
    let mut at = 8;
    let mut more = present & 1 << 31 != 0;
    while more {
        let Some(word) = header.get(at..).and_then(|rest| rest.first_chunk()) else {
            return Err(OtherKind::Unreadable);
        };
        more = u32::from_le_bytes(*word) & 1 << 31 != 0;
        at += 4;
    }
    if present & 1 != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    let flags = match header.get(at) {
        Some(&flags) if present & 2 != 0 => flags,
        _ => 0,
    };
    walk.pass(u16::from_le_bytes([l0, l1]).into())?;
    data(walk, flags & DATA_PAD != 0)
}

/// A frame (IEEE 802.11 9.3.2.1) down to its EtherType.
pub(super) fn data(walk: &mut Walk<'_>, padded: bool) -> Result<Layer, OtherKind> {
    const BOTH_DS: u8 = 0x03;
    const MORE_FRAGMENTS: u8 = 0x04;
    const PROTECTED: u8 = 0x40;
    const ORDER: u8 = 0x80;
    let &[kind, flags] = walk.peek::<2>()?;
    // Data frames, of the subtypes that carry any.
    if kind & 0x0f != 0x08 || kind & 0x40 != 0 || flags & (PROTECTED | MORE_FRAGMENTS) != 0 {
        return Err(OtherKind::NotIp);
    }
    let mut header = 24;
    if flags & BOTH_DS == BOTH_DS {
        header += 6;
    }
    let qos = kind & 0x80 != 0;
    if qos {
        // An aggregate of several frames.
        let aggregated = walk
            .rest
            .get(header)
            .is_some_and(|control| control & 0x80 != 0);
        if aggregated {
            return Err(OtherKind::NotIp);
        }
        header += 2;
        if flags & ORDER != 0 {
            header += 4;
        }
    }
    // The low bits of the sequence control number the fragment.
    if walk
        .rest
        .get(22)
        .is_some_and(|sequence| sequence & 0x0f != 0)
    {
        return Err(OtherKind::NotIp);
    }
    walk.pass(if padded {
        header.next_multiple_of(4)
    } else {
        header
    })?;
    link::snap(walk)
}
