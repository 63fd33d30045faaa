//! Link layers: from a link type and the bytes of a frame to the layer above.

use super::OtherKind;
use super::tunnel;
use super::walk::{Layer, Walk};
use super::wifi;
use crate::capture::LinkType;

/// Whether frames of this link type are decoded; those of others are [`OtherKind::UnsupportedLink`].
pub const fn supports(link: LinkType) -> bool {
    matches!(
        link,
        LinkType::NULL
            | LinkType::ETHERNET
            | LinkType::PPP
            | LinkType::DLT_RAW
            | LinkType::DLT_RAW_OPENBSD
            | LinkType::PPP_HDLC
            | LinkType::PPP_ETHER
            | LinkType::RAW
            | LinkType::C_HDLC
            | LinkType::IEEE802_11
            | LinkType::LOOP
            | LinkType::LINUX_SLL
            | LinkType::PFLOG
            | LinkType::IEEE802_11_RADIOTAP
            | LinkType::PPI
            | LinkType::PPP_WITH_DIR
            | LinkType::IPV4
            | LinkType::IPV6
            | LinkType::PKTAP
            | LinkType::LINUX_SLL2
    )
}

/// Takes the outermost header of a frame.
pub(super) fn enter(walk: &mut Walk<'_>, link: LinkType) -> Result<Layer, OtherKind> {
    Ok(match link {
        LinkType::ETHERNET => Layer::Ethernet,
        LinkType::LINUX_SLL => {
            let &[.., a, b] = walk.take::<16>()?;
            Layer::EtherType(u16::from_be_bytes([a, b]))
        }
        LinkType::LINUX_SLL2 => {
            let &[a, b, _, _, i0, i1, i2, i3, ..] = walk.take::<20>()?;
            walk.interface = u32::from_be_bytes([i0, i1, i2, i3]);
            Layer::EtherType(u16::from_be_bytes([a, b]))
        }
        LinkType::NULL | LinkType::LOOP => {
            // In the byte order of the writer, whichever that was: families are small numbers.
            let family = *walk.take::<4>()?;
            match u32::from_be_bytes(family).min(u32::from_le_bytes(family)) {
                // IPv4; IPv6 of Linux, Windows, NetBSD and OpenBSD, FreeBSD, macOS.
                2 | 10 | 23 | 24 | 28 | 30 => Layer::Ip,
                _ => return Err(OtherKind::NotIp),
            }
        }
        LinkType::RAW
        | LinkType::DLT_RAW
        | LinkType::DLT_RAW_OPENBSD
        | LinkType::IPV4
        | LinkType::IPV6 => Layer::Ip,
        LinkType::PPP | LinkType::PPP_HDLC => Layer::Ppp,
        LinkType::PPP_WITH_DIR => {
            walk.take::<1>()?;
            Layer::Ppp
        }
        LinkType::PPP_ETHER => tunnel::pppoe(walk)?,
        LinkType::C_HDLC => {
            let &[_, _, a, b] = walk.take::<4>()?;
            Layer::EtherType(u16::from_be_bytes([a, b]))
        }
        LinkType::IEEE802_11 => wifi::data(walk, false)?,
        LinkType::IEEE802_11_RADIOTAP => wifi::radiotap(walk)?,
        LinkType::PFLOG => {
            // The first byte is the header's length without the padding to 4 bytes.
            let &[length] = walk.peek::<1>()?;
            walk.pass(usize::from(length).next_multiple_of(4))?;
            Layer::Ip
        }
        LinkType::PPI => {
            let &[_, _, l0, l1, link @ ..] = walk.peek::<8>()?;
            walk.pass(u16::from_le_bytes([l0, l1]).into())?;
            inner(walk, link)?
        }
        LinkType::PKTAP => {
            let &[l0, l1, l2, l3, _, _, _, _, link @ ..] = walk.peek::<12>()?;
            walk.pass(u32::from_le_bytes([l0, l1, l2, l3]) as usize)?;
            inner(walk, link)?
        }
        _ => return Err(OtherKind::UnsupportedLink),
    })
}

/// The link layer that PPI and PKTAP wrap, by its number in little-endian order.
fn inner(walk: &mut Walk<'_>, link: [u8; 4]) -> Result<Layer, OtherKind> {
    match LinkType(u32::from_le_bytes(link)) {
        LinkType::PPI | LinkType::PKTAP => Err(OtherKind::Unreadable),
        link => enter(walk, link),
    }
}

/// Ethernet II, or IEEE 802.3 with a length where the type would be.
pub(super) fn ethernet(walk: &mut Walk<'_>) -> Result<Layer, OtherKind> {
    let &[.., a, b] = walk.take::<14>()?;
    match u16::from_be_bytes([a, b]) {
        0..=1500 => snap(walk),
        kind => Ok(Layer::EtherType(kind)),
    }
}

/// LLC with SNAP (RFC 1042).
pub(super) fn snap(walk: &mut Walk<'_>) -> Result<Layer, OtherKind> {
    match walk.take::<8>()? {
        &[0xaa, 0xaa, 0x03, 0, 0, 0, a, b] => Ok(Layer::EtherType(u16::from_be_bytes([a, b]))),
        _ => Err(OtherKind::NotIp),
    }
}

/// What an EtherType announces.
pub(super) fn ether_type(walk: &mut Walk<'_>, kind: u16) -> Result<Layer, OtherKind> {
    match kind {
        0x0800 | 0x86dd => Ok(Layer::Ip),
        0x0806 => Err(OtherKind::Arp),
        // 802.1Q, 802.1ad, and what switches used for the outer tag before it.
        0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
            let &[_, _, a, b] = walk.take::<4>()?;
            match u16::from_be_bytes([a, b]) {
                0..=1500 => snap(walk),
                inner => Ok(Layer::EtherType(inner)),
            }
        }
        // Transparent Ethernet bridging.
        0x6558 => Ok(Layer::Ethernet),
        0x8847 | 0x8848 => tunnel::mpls(walk),
        0x8864 => tunnel::pppoe(walk),
        0x88e5 => macsec(walk),
        _ => Err(OtherKind::NotIp),
    }
}

/// MACsec (IEEE 802.1AE 9.3) that authenticates only.
fn macsec(walk: &mut Walk<'_>) -> Result<Layer, OtherKind> {
    let &[tci, ..] = walk.take::<6>()?;
    // Encrypted, or changed text: its payload cannot be read.
    if tci & 0x0c != 0 {
        return Err(OtherKind::NotIp);
    }
    // An explicit secure channel identifier.
    if tci & 0x20 != 0 {
        walk.take::<8>()?;
    }
    let &[a, b] = walk.take::<2>()?;
    Ok(Layer::EtherType(u16::from_be_bytes([a, b])))
}
