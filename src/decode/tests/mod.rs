//! Every link layer, tunnel and oddity of IP, one per test, over hand-built frames.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test code fails loudly"
)]

mod fragments;
mod ip;
mod links;
mod properties;
mod tunnels;

use etherparse::PacketBuilder;

use super::*;
use crate::capture::{CaptureId, Frame, FrameNo, FrameRef, LinkType, Timestamp};

const PAYLOAD: &[u8] = b"GET /ws HTTP/1.1\r\n";

/// A segment from 192.0.2.1:40000 to 198.51.100.2:80 over IPv4.
fn ipv4() -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4([192, 0, 2, 1], [198, 51, 100, 2], 61)
        .tcp(40_000, 80, 1000, 64_240)
        .ack(2000)
        .psh()
        .options_raw(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2])
        .unwrap()
        .write(&mut bytes, PAYLOAD)
        .unwrap();
    // The identification, which the builder leaves 0.
    bytes[4..6].copy_from_slice(&[0x12, 0x34]);
    bytes
}

const V6_SOURCE: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const V6_DESTINATION: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

/// The same over IPv6.
fn ipv6() -> Vec<u8> {
    let v4 = ipv4();
    let tcp = &v4[20..];
    ipv6_of(6, tcp)
}

/// An IPv6 packet.
fn ipv6_of(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend((payload.len() as u16).to_be_bytes());
    bytes.extend([next, 61]);
    bytes.extend(V6_SOURCE);
    bytes.extend(V6_DESTINATION);
    bytes.extend(payload);
    bytes
}

/// An IPv4 packet.
fn ipv4_of(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0];
    bytes.extend((20 + payload.len() as u16).to_be_bytes());
    bytes.extend([
        0, 7, 0, 0, 61, protocol, 0, 0, 203, 0, 113, 1, 203, 0, 113, 2,
    ]);
    bytes.extend(payload);
    bytes
}

/// A UDP datagram to a port.
fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(50_000u16.to_be_bytes());
    bytes.extend(port.to_be_bytes());
    bytes.extend((8 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    bytes
}

/// An Ethernet frame.
fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    bytes.extend(kind.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn frame(link: LinkType, data: &[u8]) -> Frame<'_> {
    Frame {
        id: FrameRef::new(
            Timestamp::from_nanos(1_700_000_000_000_000_000),
            CaptureId(0),
            FrameNo(1),
        ),
        interface: 3,
        link,
        wire_len: data.len() as u32,
        data,
    }
}

/// What a frame holds that is no segment.
fn other(link: LinkType, data: &[u8]) -> OtherKind {
    match Decoder::new().decode(&frame(link, data)) {
        Decoded::Other(kind) => kind,
        unexpected => panic!("{unexpected:?}"),
    }
}

fn segment<'a>(decoder: &'a mut Decoder, frame: &Frame<'a>) -> Segment<'a> {
    match decoder.decode(frame) {
        Decoded::Tcp(segment) => segment,
        unexpected => panic!("{unexpected:?}"),
    }
}

/// Checks that a frame holds the segment of `ipv4` or `ipv6`, all of it.
#[track_caller]
fn finds(link: LinkType, data: &[u8]) {
    let mut decoder = Decoder::new();
    let segment = segment(&mut decoder, &frame(link, data));
    expected(&segment);
}

#[track_caller]
fn expected(segment: &Segment<'_>) {
    let (source, destination) = (
        segment.source().to_string(),
        segment.destination().to_string(),
    );
    let v4 = source == "192.0.2.1:40000" && destination == "198.51.100.2:80";
    let v6 = source == "[2001:db8::1]:40000" && destination == "[2001:db8::2]:80";
    assert!(v4 || v6, "{source} to {destination}");
    assert_eq!(segment.payload, PAYLOAD);
    assert_eq!((segment.seq, segment.ack), (SeqNo(1000), SeqNo(2000)));
    assert_eq!(segment.flags, TcpFlags(TcpFlags::ACK | TcpFlags::PSH));
    assert_eq!((segment.window, segment.missing), (64_240, 0));
    assert_eq!(
        (segment.hop_limit, segment.ip_id),
        (61, if v4 { 0x1234 } else { 0 })
    );
}
