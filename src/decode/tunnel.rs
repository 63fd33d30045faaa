//! What carries packets inside packets, below and above IP.

use super::OtherKind;
use super::walk::{Layer, Walk};

/// VXLAN's port (RFC 7348), and the one that Linux used before there was one.
const VXLAN: [u16; 2] = [4789, 8472];

/// GENEVE's port (RFC 8926).
const GENEVE: u16 = 6081;

/// PPPoE session (RFC 2516 4).
pub(super) fn pppoe(walk: &mut Walk<'_>) -> Result<Layer, OtherKind> {
    match walk.take::<6>()? {
        [0x11, 0, ..] => Ok(Layer::Ppp),
        _ => Err(OtherKind::NotIp),
    }
}

/// PPP (RFC 1661 2), with the address and control bytes of RFC 1662 or without.
pub(super) fn ppp(walk: &mut Walk<'_>) -> Result<Layer, OtherKind> {
    if let Ok([0xff, 0x03]) = walk.peek::<2>() {
        walk.take::<2>()?;
    }
    let &[first] = walk.take::<1>()?;
    // A compressed protocol field is one odd byte.
    let protocol = if first & 1 == 1 {
        u16::from(first)
    } else {
        let &[second] = walk.take::<1>()?;
        u16::from_be_bytes([first, second])
    };
    match protocol {
        0x0021 | 0x0057 => Ok(Layer::Ip),
        0x0281 | 0x0283 => mpls(walk),
        _ => Err(OtherKind::NotIp),
    }
}

/// MPLS (RFC 3032 2.1): labels down to the bottom of the stack, then a guess, as nothing says what follows.
pub(super) fn mpls(walk: &mut Walk<'_>) -> Result<Layer, OtherKind> {
    loop {
        let &[_, _, last, _] = walk.take::<4>()?;
        if last & 1 == 1 {
            break;
        }
    }
    match walk.peek::<1>()? {
        [0x40..=0x6f] => Ok(Layer::Ip),
        // A pseudowire's control word (RFC 4385 3), then Ethernet.
        [0x00..=0x0f] => {
            walk.take::<4>()?;
            Ok(Layer::Ethernet)
        }
        _ => Err(OtherKind::NotIp),
    }
}

/// GRE (RFC 2784, RFC 2890).
pub(super) fn gre(walk: &mut Walk<'_>) -> Result<Layer, OtherKind> {
    const CHECKSUM: u8 = 0x80;
    const ROUTING: u8 = 0x40;
    const KEY: u8 = 0x20;
    const SEQUENCE: u8 = 0x10;
    let &[flags, version, a, b] = walk.take::<4>()?;
    if flags & ROUTING != 0 || version & 0x07 != 0 {
        return Err(OtherKind::OtherIp { protocol: 47 });
    }
    for optional in [CHECKSUM, KEY, SEQUENCE] {
        if flags & optional != 0 {
            walk.take::<4>()?;
        }
    }
    match u16::from_be_bytes([a, b]) {
        // ERSPAN: type I has no header and no sequence number, type II has both.
        0x88be if flags & SEQUENCE == 0 => Ok(Layer::Ethernet),
        0x88be => {
            walk.take::<8>()?;
            Ok(Layer::Ethernet)
        }
        // ERSPAN type III, with a subheader where its last bit says so.
        0x22eb => {
            let &[.., last] = walk.take::<12>()?;
            if last & 1 == 1 {
                walk.take::<8>()?;
            }
            Ok(Layer::Ethernet)
        }
        kind => Ok(Layer::EtherType(kind)),
    }
}

/// Whether a datagram to this port may be a tunnel.
pub(super) fn is_over_udp(destination: u16) -> bool {
    VXLAN.contains(&destination) || destination == GENEVE
}

/// UDP: the tunnels that are known by their port; everything else ends here.
pub(super) fn udp(walk: &mut Walk<'_>) -> Result<Layer, OtherKind> {
    let &[s0, s1, d0, d1, ..] = walk.take::<8>()?;
    let source = u16::from_be_bytes([s0, s1]);
    let destination = u16::from_be_bytes([d0, d1]);
    let plain = OtherKind::Udp {
        port: source.min(destination),
    };
    if VXLAN.contains(&destination) {
        // The flag says that the network identifier is valid; without it this is something else.
        if let Ok(&[flags, ..]) = walk.peek::<8>()
            && flags & 0x08 != 0
        {
            walk.take::<8>()?;
            return Ok(Layer::Ethernet);
        }
    } else if destination == GENEVE
        && let Ok(&[first @ 0x00..=0x3f, _, a, b, ..]) = walk.peek::<8>()
    {
        walk.pass(8 + usize::from(first) * 4)?;
        return Ok(Layer::EtherType(u16::from_be_bytes([a, b])));
    }
    Err(plain)
}
