//! Classic pcap: a file header, then records.
//!
//! ```text
//!   magic(4) version(4) zone(4) sigfigs(4) snaplen(4) network(4) [ixia: total(4)]
//!   { seconds(4) fraction(4) captured(4) original(4) [modified: interface(4) protocol(2) type(1) pad(1)] bytes }*
//! ```

use super::parse::{MAX_FRAME, Meta, Order, Parsed};
use super::{LinkType, Timestamp};

/// Length of the file header.
pub(super) const FILE_HEADER: usize = 24;

/// What the file header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pcap {
    order: Order,
    /// Nanoseconds per unit of the record's fraction.
    unit: i64,
    /// Length of a record header: 16, or 24 in the modified format of Alexey Kuznetsov's patch.
    record_header: usize,
    /// Length of the file header: 24, or 28 in Ixia's lcap format.
    file_header: usize,
    link: LinkType,
}

impl Pcap {
    /// Whether a file that starts so is pcap: byte order, nanoseconds per unit, record header, file header.
    fn flavour(magic: [u8; 4]) -> Option<(Order, i64, usize, usize)> {
        for (order, magic) in [
            (Order::Little, u32::from_le_bytes(magic)),
            (Order::Big, u32::from_be_bytes(magic)),
        ] {
            match magic {
                0xa1b2_c3d4 => return Some((order, 1_000, 16, FILE_HEADER)),
                0xa1b2_3c4d => return Some((order, 1, 16, FILE_HEADER)),
                0xa1b2_cd34 => return Some((order, 1_000, 24, FILE_HEADER)),
                // Ixia's lcap, by hardware and by software: the size of all records follows the header.
                0x1c00_01ac => return Some((order, 1, 16, FILE_HEADER + 4)),
                0x1c00_01ab => return Some((order, 1_000, 16, FILE_HEADER + 4)),
                _ => {}
            }
        }
        None
    }

    /// Whether `start` begins a pcap file.
    pub(super) fn is_at(start: &[u8]) -> bool {
        start
            .first_chunk()
            .is_some_and(|magic| Self::flavour(*magic).is_some())
    }

    /// From the file header; `None` if there is less of it, or it is none.
    pub(super) fn from_header(header: &[u8; FILE_HEADER]) -> Option<Self> {
        let [m0, m1, m2, m3, .., n0, n1, n2, n3] = *header;
        let (order, unit, record_header, file_header) = Self::flavour([m0, m1, m2, m3])?;
        // The upper bits tell the length of a frame check sequence (draft-ietf-opsawg-pcap 4).
        let link = LinkType(order.u32([n0, n1, n2, n3]) & 0x03ff_ffff);
        Some(Self {
            order,
            unit,
            record_header,
            file_header,
            link,
        })
    }

    pub(super) const fn file_header(&self) -> usize {
        self.file_header
    }

    /// The record that `bytes` begin with.
    #[inline]
    pub(super) fn next(&self, bytes: &[u8]) -> Parsed {
        let Some(header) = bytes.first_chunk::<16>() else {
            return Parsed::Need(self.record_header);
        };
        let [
            s0,
            s1,
            s2,
            s3,
            f0,
            f1,
            f2,
            f3,
            c0,
            c1,
            c2,
            c3,
            w0,
            w1,
            w2,
            w3,
        ] = *header;
        let captured = self.order.u32([c0, c1, c2, c3]);
        if captured > MAX_FRAME {
            return Parsed::Damaged(format!(
                "a record claims {captured} captured bytes, more than the {MAX_FRAME} that any frame has"
            ));
        }
        let skip = self.record_header;
        let total = skip + captured as usize;
        if bytes.len() < total {
            return Parsed::Need(total);
        }
        let seconds = i64::from(self.order.u32([s0, s1, s2, s3]));
        let fraction = i64::from(self.order.u32([f0, f1, f2, f3]));
        let mut interface = 0;
        if skip > 16
            && let Some(index) = bytes.get(16..).and_then(|more| more.first_chunk())
        {
            interface = self.order.u32(*index);
        }
        Parsed::Frame(Meta {
            at: Timestamp::from_nanos(seconds * 1_000_000_000 + fraction * self.unit),
            interface,
            link: self.link,
            wire_len: self.order.u32([w0, w1, w2, w3]).max(captured),
            skip,
            captured: captured as usize,
            total,
        })
    }
}
