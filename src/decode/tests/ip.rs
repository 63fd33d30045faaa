//! Oddities of IP, and ICMP errors.

use super::*;

fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut ip = ipv4();
    change(&mut ip);
    ethernet(0x0800, &ip)
}

#[test]
fn padding_is_no_payload() {
    finds(
        LinkType::ETHERNET,
        &[ethernet(0x0800, &ipv4()), vec![0xee; 30]].concat(),
    );
    finds(
        LinkType::ETHERNET,
        &[ethernet(0x86dd, &ipv6()), vec![0xee; 30]].concat(),
    );
    let bare =
        etherparse::PacketBuilder::ipv4([192, 0, 2, 1], [198, 51, 100, 2], 64).tcp(1, 2, 3, 4);
    let mut ip = Vec::new();
    bare.write(&mut ip, &[]).unwrap();
    let padded = [ethernet(0x0800, &ip), vec![0; 6]].concat();
    let mut decoder = Decoder::new();
    assert_eq!(
        segment(&mut decoder, &frame(LinkType::ETHERNET, &padded)).payload,
        b""
    );
}

#[test]
fn wrong_checksums_are_left_by_offload() {
    finds(LinkType::ETHERNET, &changed(|ip| ip[10] ^= 0xff));
    finds(LinkType::ETHERNET, &changed(|ip| ip[36] ^= 0xff));
}

#[test]
fn a_length_of_zero_is_left_by_segmentation_offload() {
    finds(LinkType::ETHERNET, &changed(|ip| ip[2..4].fill(0)));
    let mut v6 = ipv6();
    v6[4..6].fill(0);
    finds(LinkType::ETHERNET, &ethernet(0x86dd, &v6));
    // What the snaplen cut is known from the frame's length then.
    let frame_bytes = changed(|ip| ip[2..4].fill(0));
    let mut cut = frame(LinkType::ETHERNET, &frame_bytes);
    cut.wire_len += 70_000;
    let mut decoder = Decoder::new();
    assert_eq!(segment(&mut decoder, &cut).missing, 70_000);
}

#[test]
fn jumbograms() {
    let payload = vec![b'j'; 70_000];
    let mut tcp = ipv4()[20..40].to_vec();
    tcp[12] = 5 << 4;
    tcp.extend(&payload);
    let length = (8 + tcp.len() as u32).to_be_bytes();
    let jumbo = [&[6, 0, 0xc2, 4][..], &length, &tcp, b"padding"].concat();
    let mut packet = ipv6_of(0, b"");
    packet.extend(jumbo);
    let mut decoder = Decoder::new();
    let whole = segment(&mut decoder, &frame(LinkType::IPV6, &packet));
    assert!(whole.payload == payload);
    let mut decoder = Decoder::new();
    let cut = segment(&mut decoder, &frame(LinkType::IPV6, &packet[..1000]));
    assert_eq!(cut.missing as usize, packet.len() - 7 - 1000);
}

#[test]
fn a_length_beyond_the_frame_is_missing_payload() {
    let bytes = changed(|ip| {
        let length = u16::from_be_bytes([ip[2], ip[3]]) + 100;
        ip[2..4].copy_from_slice(&length.to_be_bytes());
    });
    let mut decoder = Decoder::new();
    let segment = segment(&mut decoder, &frame(LinkType::ETHERNET, &bytes));
    assert_eq!((segment.payload, segment.missing), (PAYLOAD, 100));
}

#[test]
fn ipv4_options() {
    let bytes = changed(|ip| {
        ip[0] = 0x46;
        let length = u16::from_be_bytes([ip[2], ip[3]]) + 4;
        ip[2..4].copy_from_slice(&length.to_be_bytes());
        ip.splice(20..20, [1, 1, 1, 0]);
    });
    finds(LinkType::ETHERNET, &bytes);
}

#[test]
fn extension_headers() {
    let v4 = ipv4();
    let tcp = &v4[20..];
    let with =
        |next: u8, headers: &[u8]| ethernet(0x86dd, &ipv6_of(next, &[headers, tcp].concat()));
    finds(LinkType::ETHERNET, &with(0, &[6, 0, 5, 2, 0, 0, 1, 0]));
    finds(
        LinkType::ETHERNET,
        &with(60, &[6, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    );
    finds(
        LinkType::ETHERNET,
        &with(
            43,
            &[
                6, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
            ],
        ),
    );
    finds(LinkType::ETHERNET, &with(135, &[6, 0, 0, 0, 0, 0, 0, 0]));
    let all = [
        &[60, 0, 5, 2, 0, 0, 1, 0][..],
        &[43, 0, 1, 4, 0, 0, 0, 0],
        &[6, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    finds(LinkType::ETHERNET, &with(0, &all));
    // An authentication header, 4 + 2 words long; in IPv4 as well.
    let auth = [&[6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1][..], &[7; 12]].concat();
    finds(LinkType::ETHERNET, &with(51, &auth));
    let mut v4_auth = ipv4_of(51, &[&auth[..], tcp].concat());
    v4_auth[4..6].copy_from_slice(&[0x12, 0x34]);
    v4_auth[12..20].copy_from_slice(&v4[12..20]);
    finds(LinkType::ETHERNET, &ethernet(0x0800, &v4_auth));
    assert_eq!(
        other(LinkType::ETHERNET, &with(0, &[6, 200])),
        OtherKind::Unreadable
    );
    let none = ethernet(0x86dd, &ipv6_of(59, b""));
    assert_eq!(
        other(LinkType::ETHERNET, &none),
        OtherKind::OtherIp { protocol: 59 }
    );
}

#[test]
fn impossible_headers_are_unreadable() {
    for bytes in [
        changed(|ip| ip[0] = 0x44),
        changed(|ip| ip[32] = 0x40),
        changed(|ip| ip[0] = 0x4f),
        ethernet(0x0800, &[]),
        ethernet(0x86dd, &ipv6()[..39]),
    ] {
        assert_eq!(other(LinkType::ETHERNET, &bytes), OtherKind::Unreadable);
    }
    // A data offset into nowhere.
    assert_eq!(
        other(
            LinkType::ETHERNET,
            &changed(|ip| {
                ip.truncate(60);
                ip[2..4].copy_from_slice(&[0, 50]);
            })
        ),
        OtherKind::Unreadable
    );
}

fn icmp(v6: bool, kind: u8, code: u8, quoted: &[u8]) -> Vec<u8> {
    let message = [&[kind, code, 0, 0, 0, 0, 0, 0][..], quoted].concat();
    if v6 {
        ethernet(0x86dd, &ipv6_of(58, &message))
    } else {
        ethernet(0x0800, &ipv4_of(1, &message))
    }
}

fn error(bytes: &[u8]) -> IcmpError {
    match Decoder::new().decode(&frame(LinkType::ETHERNET, bytes)) {
        Decoded::Icmp(error) => error,
        unexpected => panic!("{unexpected:?}"),
    }
}

#[test]
fn icmp_errors_name_the_segment_they_are_about() {
    for (kind, code, why) in [
        (3, 0, Unreachable::Host),
        (3, 1, Unreachable::Host),
        (3, 3, Unreachable::Port),
        (3, 4, Unreachable::TooBig),
        (3, 10, Unreachable::Prohibited),
        (3, 13, Unreachable::Prohibited),
        (3, 2, Unreachable::Other),
        (11, 0, Unreachable::TimeExceeded),
    ] {
        // The header and 8 bytes are all that RFC 792 promises.
        let seen = error(&icmp(false, kind, code, &ipv4()[..28]));
        assert_eq!(seen.why, why);
        assert_eq!(seen.from.to_string(), "203.0.113.1:0");
        assert_eq!(seen.source.to_string(), "192.0.2.1:40000");
        assert_eq!(seen.destination.to_string(), "198.51.100.2:80");
        assert_eq!(seen.seq, SeqNo(1000));
    }
}

#[test]
fn icmpv6_errors_likewise() {
    for (kind, code, why) in [
        (1, 0, Unreachable::Host),
        (1, 3, Unreachable::Host),
        (1, 1, Unreachable::Prohibited),
        (1, 6, Unreachable::Prohibited),
        (1, 4, Unreachable::Port),
        (1, 2, Unreachable::Other),
        (2, 0, Unreachable::TooBig),
        (3, 0, Unreachable::TimeExceeded),
    ] {
        let seen = error(&icmp(true, kind, code, &ipv6()));
        assert_eq!(seen.why, why);
        assert_eq!(seen.source.to_string(), "[2001:db8::1]:40000");
        assert_eq!(seen.destination.to_string(), "[2001:db8::2]:80");
    }
    // With an extension header in front of TCP.
    let quoted = ipv6_of(0, &[&[6, 0, 5, 2, 0, 0, 1, 0][..], &ipv4()[20..]].concat());
    assert_eq!(error(&icmp(true, 1, 0, &quoted)).seq, SeqNo(1000));
}

#[test]
fn icmp_that_is_about_nothing_of_ours() {
    let vxlan = ipv4_of(
        17,
        &udp(4789, &[&[8; 8][..], &ethernet(0x0800, &ipv4())].concat()),
    );
    let mut later = ipv4();
    later[7] = 5;
    for message in [
        icmp(false, 8, 0, b"ping"),
        icmp(false, 3, 3, &ipv4_of(17, &udp(53, b"?"))),
        icmp(false, 3, 3, &vxlan),
        icmp(false, 3, 3, &ipv4_of(1, &[3, 3, 0, 0, 0, 0, 0, 0])),
        icmp(false, 3, 3, &ipv4()[..27]),
        icmp(false, 3, 3, b""),
        icmp(false, 11, 1, &later),
        icmp(true, 128, 0, b"ping"),
        icmp(true, 135, 0, &[0; 16]),
    ] {
        assert_eq!(other(LinkType::ETHERNET, &message), OtherKind::Icmp);
    }
    // Of the first fragment there is enough to tell.
    let mut first = ipv4();
    first[6] = 0x20;
    assert_eq!(error(&icmp(false, 11, 1, &first)).seq, SeqNo(1000));
}
