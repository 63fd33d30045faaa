//! Classic pcap: a file header, then records.
//!
//! ```text
//!   magic(4) version(4) zone(4) sigfigs(4) snaplen(4) network(4) [ixia: total(4)]
//!   { seconds(4) fraction(4) captured(4) original(4) [modified: interface(4) protocol(2) type(1) pad(1)] bytes }*
//! ```
//!
//! Some patches of tcpdump made the record header longer and kept the magic number: that shows in the first records.

use super::parse::{MAX_FRAME, Meta, Order, Parsed};
use super::{LinkType, Timestamp};

/// Length of the file header.
pub(super) const FILE_HEADER: usize = 24;

/// Records that are looked at to tell how long their headers are.
const RECORDS_TO_TELL: usize = 8;

/// Seconds between these, at most: what is taken for a record by mistake has any time.
const SECONDS_TO_TELL: u32 = 7 * 86_400;

/// What the file header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pcap {
    order: Order,
    /// Nanoseconds per unit of the record's fraction.
    unit: i64,
    /// Length of a record header: 16, 24 in the modified format of Alexey Kuznetsov's patch, or see `variants`.
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

    /// Other lengths of record headers under the same magic number: Red Hat 6.1 and Nokia; SuSE 6.3.
    const fn variants(&self) -> &'static [usize] {
        match (self.record_header, self.unit) {
            (16, 1_000) => &[24, 20],
            (24, _) => &[28],
            _ => &[],
        }
    }

    /// Tells the length of record headers by the first records, as far as they are there: the usual one unless they
    /// contradict it and not another one.
    pub(super) fn look_at(&mut self, records: &[u8]) {
        if self.sound(records, self.record_header).is_some() {
            return;
        }
        let other = self
            .variants()
            .iter()
            .find(|&&header| self.sound(records, header).is_some_and(|count| count > 1));
        if let Some(&header) = other {
            self.record_header = header;
        }
    }

    /// How many of the first records are sound, if none of them contradicts this length of their headers.
    fn sound(&self, records: &[u8], header: usize) -> Option<usize> {
        let mut rest = records;
        let mut count = 0;
        let begun = self.order.u32_at(rest, 0)?;
        while count < RECORDS_TO_TELL && rest.len() >= header {
            let [seconds, fraction, captured, original] =
                [0, 4, 8, 12].map(|at| self.order.u32_at(rest, at).unwrap_or(0));
            let sound = seconds.abs_diff(begun) <= SECONDS_TO_TELL
                && i64::from(fraction) * self.unit < 1_000_000_000
                && captured <= MAX_FRAME
                && captured <= original;
            if !sound {
                return None;
            }
            let Some(next) = rest.get(header + captured as usize..) else {
                break;
            };
            rest = next;
            count += 1;
        }
        Some(count)
    }

    pub(super) const fn file_header(&self) -> usize {
        self.file_header
    }

    /// The record that `bytes` begin with, if it is there as a whole and sound: the way of nearly all records.
    #[inline]
    pub(super) fn frame(&self, bytes: &[u8]) -> Option<Meta> {
        match self.order {
            Order::Little => self.frame_of(bytes, u32::from_le_bytes),
            Order::Big => self.frame_of(bytes, u32::from_be_bytes),
        }
    }

    #[inline]
    fn frame_of(&self, bytes: &[u8], number: impl Fn([u8; 4]) -> u32) -> Option<Meta> {
        let header = bytes.first_chunk::<16>()?;
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
        let captured = number([c0, c1, c2, c3]);
        let skip = self.record_header;
        let total = skip + captured as usize;
        if captured > MAX_FRAME || bytes.len() < total {
            return None;
        }
        let seconds = i64::from(number([s0, s1, s2, s3]));
        let fraction = i64::from(number([f0, f1, f2, f3]));
        // Zeros are what a disk holds that was never written: see `next`.
        if captured == 0 && *header == [0; 16] {
            return None;
        }
        let interface = if skip < 24 { 0 } else { self.interface(bytes) };
        Some(Meta {
            // At most 2^32 seconds and 2^32 microseconds: no overflow.
            at: Timestamp::from_nanos(seconds * 1_000_000_000 + fraction * self.unit),
            interface,
            link: self.link,
            wire_len: number([w0, w1, w2, w3]).max(captured),
            skip,
            captured: captured as usize,
            total,
        })
    }

    /// The interface in a longer record header.
    #[cold]
    fn interface(&self, record: &[u8]) -> u32 {
        self.order.u32_at(record, 16).unwrap_or(0)
    }

    /// Why `frame` finds nothing, or what it finds.
    pub(super) fn next(&self, bytes: &[u8]) -> Parsed {
        if let Some(meta) = self.frame(bytes) {
            return Parsed::Frame(meta);
        }
        match self.order.u32_at(bytes, 8) {
            None => Parsed::Need(self.record_header),
            Some(captured) if captured > MAX_FRAME => Parsed::Damaged(format!(
                "a record claims {captured} captured bytes, more than the {MAX_FRAME} that any frame has"
            )),
            Some(0) if bytes.starts_with(&[0; 16]) => Parsed::Damaged(
                "zeros where a record should begin; the file was not written to its end".into(),
            ),
            Some(captured) => Parsed::Need(self.record_header + captured as usize),
        }
    }
}
