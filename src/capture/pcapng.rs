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

use super::clock::{Clock, Unit};
use super::info::name_interface;
use super::notes::{Notes, options};
use super::parse::{MAX_FRAME, Meta, Order, Parsed};
use super::{ANY_INTERFACE, LinkType, Timestamp};

/// The largest block that is read as a whole: a frame of the largest size and its options. Others are passed over.
const MAX_BLOCK: u32 = MAX_FRAME + (1 << 20);

/// Interfaces per section: `any` on a large container host has some thousands.
const MAX_INTERFACES: usize = 1 << 16;

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
const OPT_IF_NAME: u16 = 2;

/// Characters of a name kept: twice what any system allows.
const MAX_INTERFACE_NAME: usize = 64;

/// An interface of the current section.
#[derive(Debug)]
struct Interface {
    link: LinkType,
    /// The name of an interface whose number in the kernel is still to be learned from its first cooked frame.
    nameless: Option<String>,
    snaplen: u32,
    clock: Clock,
    /// What the packet blocks say was lost before them.
    lost: Option<u64>,
    /// What the last statistics block says was dropped since the start.
    dropped: Option<u64>,
}

/// What was read of a pcapng file, all but its frames.
#[derive(Debug)]
pub(super) struct PcapNg {
    order: Order,
    interfaces: Vec<Interface>,
    /// Frames lost, as far as the file says.
    pub(super) dropped: Option<u64>,
    /// Names of interfaces by the numbers that segments have.
    pub(super) names: BTreeMap<u32, String>,
    /// Interfaces with a name to be learned.
    nameless: usize,
    /// The time of the last frame, for those that have none.
    last_at: Timestamp,
    pub(super) notes: Notes,
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
            names: BTreeMap::new(),
            nameless: 0,
            last_at: Timestamp::default(),
            notes: Notes::default(),
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
        if self.nameless > 0 {
            self.learn_name(&meta, body);
        }
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
            NAME_RESOLUTION => self.notes.name_resolution(self.order, block),
            INTERFACE_STATISTICS => self.interface_statistics(body),
            _ => self.notes.decryption_secrets(self.order, body),
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
        self.nameless = 0;
        let body = block
            .get(..block.len().saturating_sub(4))
            .unwrap_or_default();
        for (code, value) in options(order, body, 24) {
            if code == OPT_COMMENT {
                self.notes.comment(None, value);
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
        let mut name = None;
        for (code, value) in options(order, body, 16) {
            match (code, value) {
                (OPT_COMMENT, _) => self.notes.comment(None, value),
                (OPT_IF_NAME, _) => name = interface_name(value),
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
        let link = LinkType(link.into());
        if link == LinkType::LINUX_SLL2 {
            self.nameless += usize::from(name.is_some());
        } else if let Some(name) = name.take() {
            name_interface(&mut self.names, self.interfaces.len() as u32, &name);
        }
        self.interfaces.push(Interface {
            link,
            nameless: name,
            snaplen,
            clock,
            lost: None,
            dropped: None,
        });
        Ok(())
    }

    /// A cooked frame of an interface with a name tells that interface's number in the kernel.
    #[cold]
    fn learn_name(&mut self, meta: &Meta, body: &[u8]) {
        let data = body.get(meta.skip..).unwrap_or_default();
        let Some(&[_, _, _, _, i0, i1, i2, i3]) = data.first_chunk::<8>() else {
            return;
        };
        let interface = self.interfaces.get_mut(meta.interface as usize);
        if let Some(name) = interface.and_then(|interface| interface.nameless.take()) {
            self.nameless -= 1;
            name_interface(&mut self.names, u32::from_be_bytes([i0, i1, i2, i3]), &name);
        }
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
            if self.nameless > 0 {
                self.learn_name(&meta, body);
            }
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
                OPT_COMMENT => self.notes.comment(Some(frame), value),
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

/// The name of a single interface.
fn interface_name(value: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(value);
    let name: String = text
        .trim_end_matches('\0')
        .chars()
        .take(MAX_INTERFACE_NAME)
        .collect();
    (!name.is_empty() && name != ANY_INTERFACE).then_some(name)
}
