//! Link layers.

use super::*;

#[test]
fn ethernet_and_its_tags() {
    for (kind, ip) in [(0x0800, ipv4()), (0x86dd, ipv6())] {
        finds(LinkType::ETHERNET, &ethernet(kind, &ip));
        let tagged = |inner: &[u8]| [&[0x00, 0x2a][..], inner].concat();
        let plain = [&kind.to_be_bytes()[..], &ip].concat();
        for outer in [0x8100, 0x88a8, 0x9100, 0x9200] {
            finds(LinkType::ETHERNET, &ethernet(outer, &tagged(&plain)));
            let double = tagged(&[&[0x81, 0x00][..], &tagged(&plain)].concat());
            finds(LinkType::ETHERNET, &ethernet(outer, &double));
        }
        let snap = [&[0xaa, 0xaa, 3, 0, 0, 0][..], &plain].concat();
        finds(LinkType::ETHERNET, &ethernet(snap.len() as u16, &snap));
        finds(
            LinkType::ETHERNET,
            &ethernet(0x8100, &tagged(&[&[0, 60][..], &snap].concat())),
        );
    }
}

#[test]
fn macsec_that_only_authenticates() {
    let clear = |tci: u8, sci: &[u8]| {
        let tag = [
            &[tci, 0, 0, 0, 0, 9][..],
            sci,
            &[8, 0],
            &ipv4(),
            &[0xcc; 16],
        ]
        .concat();
        ethernet(0x88e5, &tag)
    };
    finds(LinkType::ETHERNET, &clear(0x00, &[]));
    finds(LinkType::ETHERNET, &clear(0x20, &[1; 8]));
    assert_eq!(
        other(LinkType::ETHERNET, &clear(0x0c, &[])),
        OtherKind::NotIp
    );
}

#[test]
fn linux_cooked() {
    for (kind, ip) in [([8, 0], ipv4()), ([0x86, 0xdd], ipv6())] {
        let v1 = [&[0, 4, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0][..], &kind, &ip].concat();
        finds(LinkType::LINUX_SLL, &v1);
        let header = [
            &kind[..],
            &[0, 0, 0, 0, 0, 77, 0, 1, 4, 6, 2, 2, 2, 2, 2, 2, 0, 0],
        ]
        .concat();
        let v2 = [&header[..], &ip].concat();
        finds(LinkType::LINUX_SLL2, &v2);
        let mut decoder = Decoder::new();
        let interface = segment(&mut decoder, &frame(LinkType::LINUX_SLL2, &v2)).interface;
        assert_eq!(interface, 77, "the kernel's index tells the vantage point");
    }
    // A tag behind the cooked header goes the general way and keeps the index.
    let tagged = [
        &[0x81, 0, 0, 0, 0, 0, 0, 77][..],
        &[0; 12],
        &[0, 5, 8, 0],
        &ipv4(),
    ]
    .concat();
    finds(LinkType::LINUX_SLL2, &tagged);
    let mut decoder = Decoder::new();
    assert_eq!(
        segment(&mut decoder, &frame(LinkType::LINUX_SLL2, &tagged)).interface,
        77
    );
}

#[test]
fn loopback_in_both_byte_orders() {
    for link in [LinkType::NULL, LinkType::LOOP] {
        for (family, ip) in
            [2u32, 10, 23, 24, 28, 30].map(|f| (f, if f == 2 { ipv4() } else { ipv6() }))
        {
            for family in [family.to_le_bytes(), family.to_be_bytes()] {
                finds(link, &[&family[..], &ip].concat());
            }
        }
        assert_eq!(
            other(link, &[&[7, 0, 0, 0][..], &ipv4()].concat()),
            OtherKind::NotIp
        );
    }
}

#[test]
fn raw_ip_by_all_its_numbers() {
    for number in [12, 14, 101, 228] {
        finds(LinkType(number), &ipv4());
    }
    for number in [12, 14, 101, 229] {
        finds(LinkType(number), &ipv6());
    }
    assert_eq!(other(LinkType::RAW, &[0x50; 40]), OtherKind::Unreadable);
}

#[test]
fn ppp_in_its_forms() {
    let with = |header: &[u8]| [header, &ipv4()].concat();
    for header in [
        &[0xff, 0x03, 0x00, 0x21][..],
        &[0x00, 0x21],
        &[0x21],
        &[0xff, 0x03, 0x21],
    ] {
        finds(LinkType::PPP, &with(header));
        finds(LinkType::PPP_HDLC, &with(header));
        finds(LinkType::PPP_WITH_DIR, &with(&[&[1], header].concat()));
    }
    finds(LinkType::PPP, &[&[0x00, 0x57][..], &ipv6()].concat());
    finds(LinkType::C_HDLC, &with(&[0x0f, 0, 8, 0]));
    assert_eq!(other(LinkType::PPP, &[0xc0, 0x21, 1, 1]), OtherKind::NotIp);
}

#[test]
fn pppoe_sessions() {
    let session = [&[0x11, 0, 0, 9, 0, 0, 0x00, 0x21][..], &ipv4()].concat();
    finds(LinkType::ETHERNET, &ethernet(0x8864, &session));
    finds(LinkType::PPP_ETHER, &session);
    let discovery = [0x11, 0x09, 0, 0, 0, 0];
    assert_eq!(
        other(LinkType::ETHERNET, &ethernet(0x8864, &discovery)),
        OtherKind::NotIp
    );
    assert_eq!(
        other(LinkType::ETHERNET, &ethernet(0x8863, &discovery)),
        OtherKind::NotIp
    );
}

#[test]
fn wifi_data() {
    let snap = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &ipv4()].concat();
    let header = |kind: u8, flags: u8, extra: usize| {
        let mut bytes = vec![kind, flags];
        bytes.resize(24 + extra, 0);
        bytes
    };
    let data = |kind, flags, extra| [header(kind, flags, extra), snap.clone()].concat();
    finds(LinkType::IEEE802_11, &data(0x08, 0x01, 0));
    finds(LinkType::IEEE802_11, &data(0x08, 0x02, 0));
    finds(LinkType::IEEE802_11, &data(0x08, 0x03, 6));
    finds(LinkType::IEEE802_11, &data(0x88, 0x01, 2));
    finds(LinkType::IEEE802_11, &data(0x88, 0x81, 6));
    for (name, frame) in [
        ("a beacon", data(0x80, 0, 0)),
        ("protected", data(0x08, 0x41, 0)),
        ("fragmented", data(0x08, 0x05, 0)),
        ("no data", data(0x48, 0x01, 0)),
    ] {
        assert_eq!(
            other(LinkType::IEEE802_11, &frame),
            OtherKind::NotIp,
            "{name}"
        );
    }
    let mut aggregate = data(0x88, 0x01, 2);
    aggregate[24] = 0x80;
    assert_eq!(other(LinkType::IEEE802_11, &aggregate), OtherKind::NotIp);
    let mut later = data(0x08, 0x01, 0);
    later[22] = 0x01;
    assert_eq!(other(LinkType::IEEE802_11, &later), OtherKind::NotIp);
}

#[test]
fn radiotap_with_and_without_padding() {
    let snap = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &ipv4(), &[9; 4]].concat();
    let qos = |pad: usize| [&[0x88, 0x01][..], &[0; 24], &vec![0; pad], &snap].concat();
    finds(
        LinkType::IEEE802_11_RADIOTAP,
        &[&[0, 0, 8, 0, 0, 0, 0, 0][..], &qos(0)].concat(),
    );
    // Flags alone; then clock and flags; then two words of presence, clock and flags.
    let flags = [&[0, 0, 9, 0, 2, 0, 0, 0, 0x20][..], &qos(2)].concat();
    finds(LinkType::IEEE802_11_RADIOTAP, &flags);
    let clock = [&[0, 0, 17, 0, 3, 0, 0, 0][..], &[1; 8], &[0x20], &qos(2)].concat();
    finds(LinkType::IEEE802_11_RADIOTAP, &clock);
    let words = [
        &[0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0][..],
        &[1; 8],
        &[0x20],
        &qos(2),
    ]
    .concat();
    finds(LinkType::IEEE802_11_RADIOTAP, &words);
}

#[test]
fn wrappers_of_other_link_types() {
    let inner = ethernet(0x0800, &ipv4());
    let ppi = [&[0, 0, 12, 0, 1, 0, 0, 0, 9, 9, 9, 9][..], &inner].concat();
    finds(LinkType::PPI, &ppi);
    let mut pktap = vec![0; 108];
    pktap[0] = 108;
    pktap[4] = 1;
    pktap[8] = 1;
    pktap.extend(&inner);
    finds(LinkType::PKTAP, &pktap);
    pktap[8..10].copy_from_slice(&[2, 1]);
    assert_eq!(
        other(LinkType::PKTAP, &pktap),
        OtherKind::Unreadable,
        "not in itself"
    );
    let pflog = [&[61, 2][..], &[0; 62], &ipv4()].concat();
    finds(LinkType::PFLOG, &pflog);
}

#[test]
fn other_kinds_are_told_apart() {
    let at = |kind, payload: &[u8]| other(LinkType::ETHERNET, &ethernet(kind, payload));
    assert_eq!(at(0x0806, &[0; 28]), OtherKind::Arp);
    assert_eq!(at(0x88cc, &[0; 28]), OtherKind::NotIp);
    assert_eq!(
        at(0x0026, &[0x42, 0x42, 3, 0, 0, 0, 0, 0, 0]),
        OtherKind::NotIp
    );
    assert_eq!(
        at(0x0800, &ipv4_of(89, &[0; 20])),
        OtherKind::OtherIp { protocol: 89 }
    );
    assert_eq!(
        at(0x0800, &ipv4_of(50, &[0; 20])),
        OtherKind::OtherIp { protocol: 50 }
    );
    assert_eq!(
        at(0x0800, &ipv4_of(17, &udp(53, b"?"))),
        OtherKind::Udp { port: 53 }
    );
    assert_eq!(
        at(0x86dd, &ipv6_of(17, &udp(60_000, b"?"))),
        OtherKind::Udp { port: 50_000 }
    );
    assert_eq!(other(LinkType(249), &[0; 40]), OtherKind::UnsupportedLink);
}

/// What `supports` says is what `decode` does.
#[test]
fn supported_link_types_are_those_that_are_decoded() {
    for number in 0..400 {
        let link = LinkType(number);
        let refused = other(link, &[]) == OtherKind::UnsupportedLink;
        assert_eq!(refused, !supports(link), "{number}");
        if supports(link) {
            assert_ne!(link.name(), "UNKNOWN", "{number}");
        }
    }
}

#[test]
fn snaplen_cuts() {
    let whole = ethernet(0x0800, &ipv4());
    let fixed = 14 + 20 + 20;
    let headers = fixed + 12;
    for len in 0..whole.len() {
        let mut cut = frame(LinkType::ETHERNET, &whole[..len]);
        cut.wire_len = whole.len() as u32;
        match Decoder::new().decode(&cut) {
            Decoded::Tcp(segment) => {
                assert!(len >= fixed);
                assert_eq!(segment.payload, &PAYLOAD[..len.saturating_sub(headers)]);
                let there = segment.payload.len() + segment.missing as usize;
                assert_eq!(there, PAYLOAD.len(), "cut at {len}");
            }
            Decoded::Other(kind) => {
                assert!(len < fixed);
                assert_eq!(kind, OtherKind::Unreadable);
            }
            Decoded::Icmp(error) => panic!("{error:?}"),
        }
    }
}
