//! pcapng (draft-ietf-opsawg-pcapng): sections of blocks, each with its own byte order and interfaces.
//!
//! ```text
//!   type(4) length(4) body(length - 12, padded to 4) length(4)
//!   section header | interface description | enhanced, simple, obsolete packet | names | statistics | secrets | other
//! ```
//!
//! Packet blocks are read by hand, as there is one per frame; options and name records by pcap-parser. Interfaces are
//! numbered from 0 in each section. Optional blocks that cannot be read are passed over; what frames hang on is damage.

use std::collections::BTreeMap;
use std::net::IpAddr;

use pcap_parser::{NameRecordType, PcapError, parse_option_be, parse_option_le};
use pcap_parser::{parse_nameresolutionblock_be, parse_nameresolutionblock_le};

use super::parse::{MAX_FRAME, Meta, Order, Parsed};
use super::{LinkType, Timestamp};

/// The largest block that is read as a whole: a frame of the largest size and its options. Others are passed over.
const MAX_BLOCK: u32 = MAX_FRAME + (1 << 20);

/// Interfaces per section: `any` on a large container host has some thousands.
const MAX_INTERFACES: usize = 1 << 16;

/// Names kept: more than any resolver's hosts file.
const MAX_NAMES: usize = 1 << 16;

/// Length of a name kept: that of a host name (RFC 1035 2.3.4).
const MAX_NAME: usize = 255;

/// Comments kept: they are printed.
const MAX_COMMENTS: usize = 16;

/// Characters of a comment kept.
const MAX_COMMENT: usize = 500;

/// Bytes of secrets kept: some hundred thousand lines of a key log.
const MAX_SECRETS: usize = 64 << 20;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const NAME_RESOLUTION: u32 = 4;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const SYSTEMD_JOURNAL: u32 = 9;
const DECRYPTION_SECRETS: u32 = 10;
const CUSTOM: u32 = 0x0bad;
const CUSTOM_NO_COPY: u32 = 0x4000_0bad;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const OPT_COMMENT: u16 = 1;

/// Secrets in a capture (Decryption Secrets Block), such as a TLS key log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    /// What they are: [`Secrets::TLS_KEY_LOG`] or another type of the registry.
    pub kind: u32,
    /// As they are in the capture.
    pub data: Vec<u8>,
}

impl Secrets {
    /// Lines as `SSLKEYLOGFILE` has them (RFC 9850).
    pub const TLS_KEY_LOG: u32 = 0x544c_534b;
}

/// An interface of the current section.
#[derive(Debug)]
struct Interface {
    link: LinkType,
    snaplen: u32,
    clock: Clock,
    /// What the packet blocks say was lost before them.
    lost: Option<u64>,
    /// What the last statistics block says was dropped since the start.
    dropped: Option<u64>,
}

/// How an interface counts time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock {
    unit: Unit,
    /// `if_tsoffset` in nanoseconds.
    offset: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// A tick is so many nanoseconds.
    Nanos(u64),
    /// A nanosecond is so many ticks.
    PerNano(u64),
    /// A second is two to this power ticks.
    Binary(u32),
}

impl Default for Clock {
    /// Microseconds, unless the interface says otherwise.
    fn default() -> Self {
        Self {
            unit: Unit::Nanos(1_000),
            offset: 0,
        }
    }
}

impl Unit {
    /// From `if_tsresol`: a negative power of ten, or with the high bit set, of two.
    fn from_resolution(resolution: u8) -> Self {
        let power = u32::from(resolution & 0x7f);
        if resolution & 0x80 != 0 {
            Self::Binary(power)
        } else if power <= 9 {
            Self::Nanos(10u64.pow(9 - power))
        } else {
            Self::PerNano(10u64.checked_pow(power - 9).unwrap_or(u64::MAX))
        }
    }
}

impl Clock {
    #[inline]
    fn time(self, high: u32, low: u32) -> Timestamp {
        let ticks = u64::from(high) << 32 | u64::from(low);
        let nanos = match self.unit {
            Unit::Nanos(nanos) => ticks.saturating_mul(nanos),
            Unit::PerNano(ticks_per_nano) => ticks / ticks_per_nano,
            Unit::Binary(power) => {
                // At most 2^64 * 10^9, which 128 bits hold.
                let nanos = (u128::from(ticks) * 1_000_000_000) >> power;
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        };
        let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
        Timestamp::from_nanos(nanos.saturating_add(self.offset))
    }
}

/// What was read of a pcapng file, all but its frames.
#[derive(Debug)]
pub(super) struct PcapNg {
    order: Order,
    interfaces: Vec<Interface>,
    /// Frames lost, as far as the file says.
    pub(super) dropped: Option<u64>,
    /// The time of the last frame, for those that have none.
    last_at: Timestamp,
    pub(super) names: BTreeMap<IpAddr, String>,
    pub(super) secrets: Vec<Secrets>,
    secret_bytes: usize,
    /// Comments not yet handed over.
    pub(super) comments: Vec<String>,
    comments_kept: usize,
}

impl PcapNg {
    /// Whether `start` begins a pcapng file.
    pub(super) fn is_at(start: &[u8]) -> bool {
        start.starts_with(&SECTION_HEADER.to_be_bytes())
    }

    pub(super) fn new() -> Self {
        Self {
            order: Order::Little,
            interfaces: Vec::new(),
            dropped: None,
            last_at: Timestamp::default(),
            names: BTreeMap::new(),
            secrets: Vec::new(),
            secret_bytes: 0,
            comments: Vec::new(),
            comments_kept: 0,
        }
    }

    /// The enhanced packet block that `bytes` begin with, if it is there as a whole, sound, and without options: the way
    /// of nearly all blocks.
    #[inline]
    pub(super) fn frame(&mut self, bytes: &[u8]) -> Option<Meta> {
        let order = self.order;
        let &[t0, t1, t2, t3, l0, l1, l2, l3] = bytes.first_chunk()?;
        if order.u32([t0, t1, t2, t3]) != ENHANCED_PACKET {
            return None;
        }
        let length = order.u32([l0, l1, l2, l3]);
        let (body, trailer) = bytes.get(..length as usize)?.split_last_chunk::<4>()?;
        let meta = self.enhanced_packet(body)?;
        let padded = meta.skip + meta.captured.next_multiple_of(4);
        (padded == body.len() && order.u32(*trailer) == length).then(|| {
            self.last_at = meta.at;
            meta
        })
    }

    /// The block that `bytes` begin with; `frame` is the number that it has if it is one.
    pub(super) fn next(&mut self, bytes: &[u8], frame: u64) -> Parsed {
        let Some(&[t0, t1, t2, t3, l0, l1, l2, l3, m0, m1, m2, m3]) = bytes.first_chunk::<12>()
        else {
            return Parsed::Need(12);
        };
        let kind = self.order.u32([t0, t1, t2, t3]);
        if kind == SECTION_HEADER {
            let Some(order) = [Order::Little, Order::Big]
                .into_iter()
                .find(|order| order.u32([m0, m1, m2, m3]) == BYTE_ORDER_MAGIC)
            else {
                return Parsed::Damaged("a section header without its byte-order magic".into());
            };
            return self.section(order, bytes, order.u32([l0, l1, l2, l3]));
        }
        let length = self.order.u32([l0, l1, l2, l3]);
        if length < 12 || !length.is_multiple_of(4) {
            return Parsed::Damaged(format!(
                "a block of type {kind:#x} claims {length} bytes; a multiple of 4, at least 12, was expected"
            ));
        }
        match kind {
            ENHANCED_PACKET | SIMPLE_PACKET | OBSOLETE_PACKET | INTERFACE_DESCRIPTION => {
                if length > MAX_BLOCK {
                    return Parsed::Damaged(format!(
                        "a block of type {kind:#x} claims {length} bytes, more than the {MAX_BLOCK} that any has"
                    ));
                }
            }
            SYSTEMD_JOURNAL | CUSTOM | CUSTOM_NO_COPY => return Parsed::Numbered(length.into()),
            NAME_RESOLUTION | INTERFACE_STATISTICS | DECRYPTION_SECRETS if length <= MAX_BLOCK => {}
            _ => return Parsed::Skip(length.into()),
        }
        let Some(block) = bytes.get(..length as usize) else {
            return Parsed::Need(length as usize);
        };
        let Some((body, trailer)) = block.split_last_chunk::<4>() else {
            return Parsed::Need(12);
        };
        if self.order.u32(*trailer) != length {
            return Parsed::Damaged(format!(
                "a block of type {kind:#x} claims {length} bytes at its start and {} at its end",
                self.order.u32(*trailer)
            ));
        }
        match kind {
            ENHANCED_PACKET => return self.unusual_packet(body, frame),
            SIMPLE_PACKET => return self.simple_packet(body),
            OBSOLETE_PACKET => return self.obsolete_packet(body, frame),
            INTERFACE_DESCRIPTION => {
                if let Err(what) = self.interface_description(body) {
                    return Parsed::Damaged(what);
                }
            }
            NAME_RESOLUTION => self.name_resolution(block),
            INTERFACE_STATISTICS => self.interface_statistics(body),
            _ => self.decryption_secrets(body),
        }
        Parsed::Skip(length.into())
    }

    fn section(&mut self, order: Order, bytes: &[u8], length: u32) -> Parsed {
        if !(28..=MAX_BLOCK).contains(&length) || !length.is_multiple_of(4) {
            return Parsed::Damaged(format!("a section header claims {length} bytes"));
        }
        let Some(block) = bytes.get(..length as usize) else {
            return Parsed::Need(length as usize);
        };
        self.order = order;
        self.interfaces.clear();
        let body = block
            .get(..block.len().saturating_sub(4))
            .unwrap_or_default();
        for (code, value) in options(order, body, 24) {
            if code == OPT_COMMENT {
                self.comment(None, value);
            }
        }
        Parsed::Skip(length.into())
    }

    fn interface_description(&mut self, body: &[u8]) -> Result<(), String> {
        let order = self.order;
        let (Some(link), Some(snaplen)) = (order.u16_at(body, 8), order.u32_at(body, 12)) else {
            return Err("an interface description shorter than its fixed part".into());
        };
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(format!(
                "more than {MAX_INTERFACES} interfaces in one section"
            ));
        }
        let mut clock = Clock::default();
        for (code, value) in options(order, body, 16) {
            match (code, value) {
                (OPT_COMMENT, _) => self.comment(None, value),
                // if_tsresol
                (9, [resolution, ..]) => clock.unit = Unit::from_resolution(*resolution),
                // if_tsoffset, seconds
                (14, _) => {
                    if let Some(seconds) = value.first_chunk::<8>() {
                        let seconds = order.u64(*seconds).cast_signed();
                        clock.offset = seconds.saturating_mul(1_000_000_000);
                    }
                }
                _ => {}
            }
        }
        self.interfaces.push(Interface {
            link: LinkType(link.into()),
            snaplen,
            clock,
            lost: None,
            dropped: None,
        });
        Ok(())
    }

    /// The frame in an enhanced packet block without its trailer; `None` if the block makes no sense.
    #[inline]
    fn enhanced_packet(&self, body: &[u8]) -> Option<Meta> {
        const FIXED: usize = 28;
        let order = self.order;
        let &[
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            i0,
            i1,
            i2,
            i3,
            h0,
            h1,
            h2,
            h3,
            l0,
            l1,
            l2,
            l3,
            c0,
            c1,
            c2,
            c3,
            w0,
            w1,
            w2,
            w3,
        ] = body.first_chunk::<FIXED>()?;
        let interface = order.u32([i0, i1, i2, i3]);
        let captured = order.u32([c0, c1, c2, c3]);
        let from = self.interfaces.get(interface as usize)?;
        if captured as usize > body.len() - FIXED || captured > MAX_FRAME {
            return None;
        }
        let (high, low) = (order.u32([h0, h1, h2, h3]), order.u32([l0, l1, l2, l3]));
        Some(Meta {
            at: from.clock.time(high, low),
            interface,
            link: from.link,
            wire_len: order.u32([w0, w1, w2, w3]).max(captured),
            skip: FIXED,
            captured: captured as usize,
            total: body.len() + 4,
        })
    }

    /// An enhanced packet block with options, or with something wrong.
    fn unusual_packet(&mut self, body: &[u8], frame: u64) -> Parsed {
        let order = self.order;
        if let Some(meta) = self.enhanced_packet(body) {
            self.last_at = meta.at;
            let padded = meta.skip + meta.captured.next_multiple_of(4);
            self.packet_options(body, padded, meta.interface, frame);
            return Parsed::Frame(meta);
        }
        match (
            order.u32_at(body, 8),
            order.u32_at(body, 20),
            order.u32_at(body, 24),
        ) {
            (Some(interface), Some(captured), Some(_)) => {
                if self.interfaces.len() <= interface as usize {
                    no_interface(interface)
                } else {
                    too_long(captured, body.len() - 28)
                }
            }
            _ => too_short(),
        }
    }

    fn packet_options(&mut self, body: &[u8], from: usize, interface: u32, frame: u64) {
        let order = self.order;
        for (code, value) in options(order, body, from) {
            match code {
                OPT_COMMENT => self.comment(Some(frame), value),
                // epb_dropcount: lost between this packet and the one before it on the interface
                4 => {
                    if let Some(lost) = value.first_chunk::<8>() {
                        self.lost(interface, order.u64(*lost));
                    }
                }
                _ => {}
            }
        }
    }

    fn simple_packet(&mut self, body: &[u8]) -> Parsed {
        const FIXED: usize = 12;
        let Some(original) = self.order.u32_at(body, 8) else {
            return too_short();
        };
        // It belongs to the first interface and has no time of its own.
        let Some(from) = self.interfaces.first() else {
            return no_interface(0);
        };
        let there = body.len() - FIXED;
        let limit = match from.snaplen {
            0 => u32::MAX,
            snaplen => snaplen,
        };
        let captured = original.min(limit);
        if captured as usize > there {
            return too_long(captured, there);
        }
        Parsed::Frame(Meta {
            at: self.last_at,
            interface: 0,
            link: from.link,
            wire_len: original,
            skip: FIXED,
            captured: captured as usize,
            total: body.len() + 4,
        })
    }

    fn obsolete_packet(&mut self, body: &[u8], frame: u64) -> Parsed {
        const FIXED: usize = 28;
        let order = self.order;
        let field = |at| order.u32_at(body, at);
        let (Some(interface), Some(drops)) = (order.u16_at(body, 8), order.u16_at(body, 10)) else {
            return too_short();
        };
        let (Some(high), Some(low), Some(captured), Some(original)) =
            (field(12), field(16), field(20), field(24))
        else {
            return too_short();
        };
        let interface = u32::from(interface);
        let Some(from) = self.interfaces.get(interface as usize) else {
            return no_interface(interface);
        };
        if captured as usize > body.len() - FIXED {
            return too_long(captured, body.len() - FIXED);
        }
        let at = from.clock.time(high, low);
        let link = from.link;
        self.last_at = at;
        // 0xffff: not known.
        if drops != u16::MAX {
            self.lost(interface, drops.into());
        }
        let padded = FIXED + (captured as usize).next_multiple_of(4);
        self.packet_options(body, padded, interface, frame);
        Parsed::Frame(Meta {
            at,
            interface,
            link,
            wire_len: original.max(captured),
            skip: FIXED,
            captured: captured as usize,
            total: body.len() + 4,
        })
    }

    fn lost(&mut self, interface: u32, count: u64) {
        self.note_loss(interface, |interface| {
            interface.lost = Some(interface.lost.unwrap_or(0).saturating_add(count));
        });
    }

    fn interface_statistics(&mut self, body: &[u8]) {
        let order = self.order;
        let mut dropped = None;
        for (code, value) in options(order, body, 20) {
            // isb_ifdrop, isb_osdrop: since the start of the capture
            if matches!(code, 5 | 7)
                && let Some(count) = value.first_chunk::<8>()
            {
                dropped = Some(order.u64(*count).saturating_add(dropped.unwrap_or(0)));
            }
        }
        if let (Some(_), Some(interface)) = (dropped, order.u32_at(body, 8)) {
            self.note_loss(interface, |interface| interface.dropped = dropped);
        }
    }

    /// Changes what is known about an interface's losses, and the total with it. The two counts of an interface tell
    /// of the same losses: the larger one holds.
    fn note_loss(&mut self, interface: u32, change: impl FnOnce(&mut Interface)) {
        if let Some(interface) = self.interfaces.get_mut(interface as usize) {
            let before = interface.dropped.max(interface.lost).unwrap_or(0);
            change(interface);
            let after = interface.dropped.max(interface.lost).unwrap_or(0);
            let total = self.dropped.unwrap_or(0).saturating_sub(before);
            self.dropped = Some(total.saturating_add(after));
        }
    }

    fn name_resolution(&mut self, block: &[u8]) {
        let parsed = match self.order {
            Order::Little => parse_nameresolutionblock_le(block),
            Order::Big => parse_nameresolutionblock_be(block),
        };
        let Ok((_, names)) = parsed else { return };
        for record in &names.nr {
            let (address, text) = match record.record_type {
                NameRecordType::Ipv4 => match record.record_value.split_first_chunk::<4>() {
                    Some((address, text)) => (IpAddr::from(*address), text),
                    None => continue,
                },
                NameRecordType::Ipv6 => match record.record_value.split_first_chunk::<16>() {
                    Some((address, text)) => (IpAddr::from(*address), text),
                    None => continue,
                },
                _ => continue,
            };
            // Several names may follow, each ended by a zero byte: the first is the one to show.
            let name = text.split(|&byte| byte == 0).next().unwrap_or_default();
            let name = name.get(..name.len().min(MAX_NAME)).unwrap_or_default();
            if !name.is_empty() && self.names.len() < MAX_NAMES {
                self.names
                    .entry(address)
                    .or_insert_with(|| String::from_utf8_lossy(name).into_owned());
            }
        }
    }

    fn decryption_secrets(&mut self, body: &[u8]) {
        let (Some(kind), Some(length)) = (self.order.u32_at(body, 8), self.order.u32_at(body, 12))
        else {
            return;
        };
        let data = body.get(16..).unwrap_or_default();
        let data = data.get(..length as usize).unwrap_or(data);
        if self.secret_bytes + data.len() <= MAX_SECRETS {
            self.secret_bytes += data.len();
            self.secrets.push(Secrets {
                kind,
                data: data.to_vec(),
            });
        }
    }

    fn comment(&mut self, frame: Option<u64>, value: &[u8]) {
        if self.comments_kept == MAX_COMMENTS {
            return;
        }
        let text = String::from_utf8_lossy(value);
        let text = text.trim_end_matches('\0').trim();
        if text.is_empty() {
            return;
        }
        let text: String = text.chars().take(MAX_COMMENT).collect();
        self.comments_kept += 1;
        self.comments.push(match frame {
            Some(frame) => format!("frame {frame}: {text}"),
            None => text,
        });
    }
}

/// The options in `body` from byte `from`: code and value.
fn options(order: Order, body: &[u8], from: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = body.get(from..).unwrap_or_default();
    std::iter::from_fn(move || {
        let parsed = match order {
            Order::Little => parse_option_le::<PcapError<&[u8]>>(rest),
            Order::Big => parse_option_be::<PcapError<&[u8]>>(rest),
        };
        let (after, option) = parsed.ok()?;
        // The parser's value includes the padding, and borrows from itself: take it from the body.
        let value = rest.get(4..4 + usize::from(option.len))?;
        rest = after;
        (option.code.0 != 0).then_some((option.code.0, value))
    })
}

#[cold]
fn too_short() -> Parsed {
    Parsed::Damaged("a packet block shorter than its fixed part".into())
}

#[cold]
fn too_long(captured: u32, there: usize) -> Parsed {
    Parsed::Damaged(format!(
        "a packet block claims {captured} captured bytes and has room for {there}"
    ))
}

#[cold]
fn no_interface(interface: u32) -> Parsed {
    Parsed::Damaged(format!(
        "a packet of interface {interface}, which no block before it describes"
    ))
}
