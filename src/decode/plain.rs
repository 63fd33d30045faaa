//! The way of nearly all frames: IP without options, extensions or fragments, and TCP or UDP, read by hand in one go.
//!
//! Whatever is not plain gives `None` here and goes the general way in `walk`, which reads the same frames alike.

use super::tunnel;
use super::{Endpoint, Key, OtherKind, Segment, SeqNo, TcpFlags};
use crate::capture::FrameRef;

/// Protocol numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Bytes of a TCP header without options.
const FIXED: usize = 20;

/// The fields of a TCP header and what follows it.
pub(super) struct Tcp<'a> {
    pub(super) source: u16,
    pub(super) destination: u16,
    pub(super) seq: SeqNo,
    pub(super) ack: SeqNo,
    pub(super) flags: TcpFlags,
    pub(super) window: u16,
    pub(super) payload: &'a [u8],
}

/// Reads a TCP header (RFC 9293 3.1); `None` if it is cut or its data offset is wrong.
#[expect(
    clippy::inline_always,
    reason = "per frame: saves copies through memory"
)]
#[inline(always)]
pub(super) fn tcp(bytes: &[u8]) -> Option<Tcp<'_>> {
    let (tcp, header) = fixed_part(bytes)?;
    if header < FIXED {
        return None;
    }
    Some(Tcp {
        payload: bytes.get(header..)?,
        ..tcp
    })
}

/// Reads a TCP header whose options the snaplen cut: `cut` bytes followed on the wire. Gives how many of them are payload.
pub(super) fn cut_tcp(bytes: &[u8], cut: u32) -> Option<(Tcp<'_>, u32)> {
    let (tcp, header) = fixed_part(bytes)?;
    let lacking = header.checked_sub(bytes.len())?;
    let missing = cut.checked_sub(lacking as u32)?;
    Some((tcp, missing))
}

/// The fields of fixed place, and the length that the header claims.
#[expect(
    clippy::inline_always,
    reason = "per frame: saves copies through memory"
)]
#[inline(always)]
fn fixed_part(bytes: &[u8]) -> Option<(Tcp<'_>, usize)> {
    let &[
        s0,
        s1,
        d0,
        d1,
        q0,
        q1,
        q2,
        q3,
        a0,
        a1,
        a2,
        a3,
        offset,
        flags,
        w0,
        w1,
        _,
        _,
        _,
        _,
    ] = bytes.first_chunk()?;
    let tcp = Tcp {
        source: u16::from_be_bytes([s0, s1]),
        destination: u16::from_be_bytes([d0, d1]),
        seq: SeqNo(u32::from_be_bytes([q0, q1, q2, q3])),
        ack: SeqNo(u32::from_be_bytes([a0, a1, a2, a3])),
        flags: TcpFlags(flags),
        window: u16::from_be_bytes([w0, w1]),
        payload: &[],
    };
    Some((tcp, usize::from(offset >> 4) * 4))
}

/// The segment in an IPv4 packet that is whole and plain.
#[expect(
    clippy::inline_always,
    reason = "per frame: saves copies through memory"
)]
#[inline(always)]
pub(super) fn over_ipv4(ip: &[u8], frame: FrameRef, interface: u32) -> Option<Segment<'_>> {
    let &[
        0x45,
        _,
        l0,
        l1,
        i0,
        i1,
        f0,
        f1,
        hop_limit,
        TCP,
        _,
        _,
        s0,
        s1,
        s2,
        s3,
        d0,
        d1,
        d2,
        d3,
    ] = ip.first_chunk()?
    else {
        return None;
    };
    // More fragments, or a fragment offset.
    if u16::from_be_bytes([f0, f1]) & 0x3fff != 0 {
        return None;
    }
    let tcp = tcp(ip.get(20..u16::from_be_bytes([l0, l1]).into())?)?;
    let (key, sender) = Key::new(
        Endpoint::v4([s0, s1, s2, s3], tcp.source),
        Endpoint::v4([d0, d1, d2, d3], tcp.destination),
    );
    Some(Segment {
        frame,
        key,
        sender,
        seq: tcp.seq,
        ack: tcp.ack,
        flags: tcp.flags,
        window: tcp.window,
        payload: tcp.payload,
        missing: 0,
        ip_id: u16::from_be_bytes([i0, i1]),
        hop_limit,
        interface,
    })
}

/// The kind of the datagram in an IPv4 packet that is whole and plain, unless it may be a tunnel.
pub(super) fn datagram_over_ipv4(ip: &[u8]) -> Option<OtherKind> {
    let (&[0x45, _, l0, l1, _, _, f0, f1, _, UDP, ..], rest) = ip.split_first_chunk::<20>()? else {
        return None;
    };
    if u16::from_be_bytes([f0, f1]) & 0x3fff != 0 {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([l0, l1])).checked_sub(20)?;
    datagram(rest.get(..length)?)
}

/// The kind of the datagram in an IPv6 packet that is whole and plain, unless it may be a tunnel.
pub(super) fn datagram_over_ipv6(ip: &[u8]) -> Option<OtherKind> {
    let (&[0x60..=0x6f, _, _, _, l0, l1, UDP, ..], rest) = ip.split_first_chunk::<40>()? else {
        return None;
    };
    datagram(rest.get(..u16::from_be_bytes([l0, l1]).into())?)
}

fn datagram(udp: &[u8]) -> Option<OtherKind> {
    let &[s0, s1, d0, d1, ..] = udp.first_chunk::<8>()?;
    let source = u16::from_be_bytes([s0, s1]);
    let destination = u16::from_be_bytes([d0, d1]);
    (!tunnel::is_over_udp(destination)).then(|| OtherKind::Udp {
        port: source.min(destination),
    })
}

/// The segment in an IPv6 packet that is whole and plain.
#[expect(
    clippy::inline_always,
    reason = "per frame: saves copies through memory"
)]
#[inline(always)]
pub(super) fn over_ipv6(ip: &[u8], frame: FrameRef, interface: u32) -> Option<Segment<'_>> {
    let (header, rest) = ip.split_first_chunk::<40>()?;
    let (&[0x60..=0x6f, _, _, _, l0, l1, TCP, hop_limit], addresses) =
        header.split_first_chunk::<8>()?
    else {
        return None;
    };
    let (source, destination) = addresses.split_first_chunk::<16>()?;
    // A length of 0 (a jumbogram, or segmentation offload) fails here.
    let tcp = tcp(rest.get(..u16::from_be_bytes([l0, l1]).into())?)?;
    let (key, sender) = Key::new(
        Endpoint::v6(*source, tcp.source),
        Endpoint::v6(*destination.first_chunk()?, tcp.destination),
    );
    Some(Segment {
        frame,
        key,
        sender,
        seq: tcp.seq,
        ack: tcp.ack,
        flags: tcp.flags,
        window: tcp.window,
        payload: tcp.payload,
        missing: 0,
        ip_id: 0,
        hop_limit,
        interface,
    })
}
