//! Capture files built by hand, for the tests of this stage.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test code fails loudly"
)]

use super::parse::Order;
use super::{CaptureError, CaptureId, Frame, Reader};

/// Writes numbers in a byte order.
pub(super) struct Bytes(pub(super) Vec<u8>, pub(super) Order);

impl Bytes {
    pub(super) fn u16(mut self, v: u16) -> Self {
        self.0.extend(match self.1 {
            Order::Little => v.to_le_bytes(),
            Order::Big => v.to_be_bytes(),
        });
        self
    }

    pub(super) fn u32(mut self, v: u32) -> Self {
        self.0.extend(match self.1 {
            Order::Little => v.to_le_bytes(),
            Order::Big => v.to_be_bytes(),
        });
        self
    }

    pub(super) fn u64(mut self, v: u64) -> Self {
        self.0.extend(match self.1 {
            Order::Little => v.to_le_bytes(),
            Order::Big => v.to_be_bytes(),
        });
        self
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn padded(self, bytes: &[u8]) -> Self {
        let pad = bytes.len().next_multiple_of(4) - bytes.len();
        self.raw(bytes).raw(&[0; 3][..pad])
    }
}

/// A pcap file header.
pub(super) fn pcap_header(order: Order, magic: u32, link: u32) -> Vec<u8> {
    Bytes(Vec::new(), order)
        .u32(magic)
        .u16(2)
        .u16(4)
        .u32(0)
        .u32(0)
        .u32(262_144)
        .u32(link)
        .0
}

/// A pcap record.
pub(super) fn record(order: Order, seconds: u32, fraction: u32, data: &[u8]) -> Vec<u8> {
    Bytes(Vec::new(), order)
        .u32(seconds)
        .u32(fraction)
        .u32(data.len() as u32)
        .u32(data.len() as u32)
        .raw(data)
        .0
}

/// A little-endian microsecond pcap of Ethernet frames, one per millisecond.
pub(super) fn pcap_of(frames: &[&[u8]]) -> Vec<u8> {
    let mut file = pcap_header(Order::Little, 0xa1b2_c3d4, 1);
    for (i, data) in frames.iter().enumerate() {
        file.extend(record(Order::Little, 1_700_000_000, i as u32 * 1000, data));
    }
    file
}

/// A pcapng block.
pub(super) fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let length = 12 + body.len().next_multiple_of(4) as u32;
    Bytes(Vec::new(), order)
        .u32(kind)
        .u32(length)
        .padded(body)
        .u32(length)
        .0
}

/// A pcapng option.
pub(super) fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    Bytes(Vec::new(), order)
        .u16(code)
        .u16(value.len() as u16)
        .padded(value)
        .0
}

/// A section header block.
pub(super) fn section(order: Order, options: &[u8]) -> Vec<u8> {
    let body = Bytes(Vec::new(), order)
        .u32(0x1a2b_3c4d)
        .u16(1)
        .u16(0)
        .u64(u64::MAX)
        .raw(options);
    block(order, 0x0a0d_0d0a, &body.0)
}

/// An interface description block.
pub(super) fn interface(order: Order, link: u16, snaplen: u32, options: &[u8]) -> Vec<u8> {
    let body = Bytes(Vec::new(), order)
        .u16(link)
        .u16(0)
        .u32(snaplen)
        .raw(options);
    block(order, 1, &body.0)
}

/// An enhanced packet block.
pub(super) fn enhanced(
    order: Order,
    interface: u32,
    ticks: u64,
    data: &[u8],
    wire: u32,
    options: &[u8],
) -> Vec<u8> {
    let body = Bytes(Vec::new(), order)
        .u32(interface)
        .u32((ticks >> 32) as u32)
        .u32(ticks as u32)
        .u32(data.len() as u32)
        .u32(wire)
        .padded(data)
        .raw(options);
    block(order, 6, &body.0)
}

/// A frame that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) no: u64,
    pub(super) at: i64,
    pub(super) interface: u32,
    pub(super) link: u32,
    pub(super) wire_len: u32,
    pub(super) data: Vec<u8>,
}

impl From<Frame<'_>> for Owned {
    fn from(frame: Frame<'_>) -> Self {
        Self {
            no: frame.id.number().0,
            at: frame.id.at.nanos(),
            interface: frame.interface,
            link: frame.link.0,
            wire_len: frame.wire_len,
            data: frame.data.to_vec(),
        }
    }
}

/// A reader over bytes in memory.
pub(super) fn reader(bytes: &[u8]) -> Result<Reader, CaptureError> {
    let source = Box::new(std::io::Cursor::new(bytes.to_vec()));
    Reader::from_read(source, "test", CaptureId(0))
}

/// All frames of a reader, and the error it ended with.
pub(super) fn drain(reader: &mut Reader) -> (Vec<Owned>, Option<CaptureError>) {
    let mut frames = Vec::new();
    loop {
        match reader.next_frame() {
            Ok(Some(frame)) => frames.push(frame.into()),
            Ok(None) => return (frames, None),
            Err(error) => {
                assert!(reader.next_frame().unwrap().is_none(), "an error is last");
                assert_eq!(reader.info().damage, Some(error.problem.to_string()));
                return (frames, Some(error));
            }
        }
    }
}

/// All frames of a sound file.
pub(super) fn frames_of(bytes: &[u8]) -> Vec<Owned> {
    let mut reader = reader(bytes).expect("a capture");
    let (frames, error) = drain(&mut reader);
    assert!(error.is_none(), "{error:?}");
    frames
}
