//! Packets in packets.

use super::*;

fn in_ipv4(protocol: u8, payload: &[u8]) {
    finds(
        LinkType::ETHERNET,
        &ethernet(0x0800, &ipv4_of(protocol, payload)),
    );
    finds(
        LinkType::ETHERNET,
        &ethernet(0x86dd, &ipv6_of(protocol, payload)),
    );
}

#[test]
fn ip_in_ip() {
    in_ipv4(4, &ipv4());
    in_ipv4(41, &ipv6());
    in_ipv4(4, &ipv4_of(4, &ipv4()));
}

#[test]
fn gre_with_its_options() {
    for (flags, optional) in [(0x00, 0), (0x80, 4), (0x20, 4), (0x10, 4), (0xb0, 12)] {
        let header = |kind: [u8; 2]| [&[flags, 0][..], &kind, &vec![0; optional]].concat();
        in_ipv4(47, &[header([8, 0]), ipv4()].concat());
        in_ipv4(47, &[header([0x86, 0xdd]), ipv6()].concat());
        in_ipv4(
            47,
            &[header([0x65, 0x58]), ethernet(0x0800, &ipv4())].concat(),
        );
    }
    for unsupported in [[0x40, 0], [0x20, 1]] {
        let gre = [&unsupported[..], &[8, 0], &[0; 8], &ipv4()].concat();
        let frame = ethernet(0x0800, &ipv4_of(47, &gre));
        assert_eq!(
            other(LinkType::ETHERNET, &frame),
            OtherKind::OtherIp { protocol: 47 }
        );
    }
}

#[test]
fn erspan_of_all_types() {
    let inner = ethernet(0x0800, &ipv4());
    in_ipv4(47, &[&[0, 0, 0x88, 0xbe][..], &inner].concat());
    let second = [0x10, 9, 0, 42, 0, 0, 0, 0];
    let gre = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1];
    in_ipv4(47, &[&gre[..], &second, &inner].concat());
    let mut third = [0x20, 9, 0, 42, 0, 0, 0, 1, 0, 0, 0, 0];
    let gre = [0x10, 0, 0x22, 0xeb, 0, 0, 0, 1];
    in_ipv4(47, &[&gre[..], &third, &inner].concat());
    third[11] = 1;
    in_ipv4(47, &[&gre[..], &third, &[0; 8], &inner].concat());
}

#[test]
fn vxlan_on_both_ports() {
    let vxlan = [&[8, 0, 0, 0, 0, 0, 42, 0][..], &ethernet(0x86dd, &ipv6())].concat();
    for port in [4789, 8472] {
        in_ipv4(17, &udp(port, &vxlan));
        let plain = udp(port, &[0; 40]);
        let frame = ethernet(0x0800, &ipv4_of(17, &plain));
        assert_eq!(
            other(LinkType::ETHERNET, &frame),
            OtherKind::Udp { port },
            "no VXLAN flag"
        );
    }
    // A tag inside.
    let tagged = ethernet(0x8100, &[&[0, 9, 8, 0][..], &ipv4()].concat());
    in_ipv4(
        17,
        &udp(4789, &[&[8, 0, 0, 0, 0, 0, 42, 0][..], &tagged].concat()),
    );
}

#[test]
fn geneve_with_options() {
    let inner = ethernet(0x0800, &ipv4());
    in_ipv4(
        17,
        &udp(
            6081,
            &[&[0, 0, 0x65, 0x58, 0, 0, 7, 0][..], &inner].concat(),
        ),
    );
    in_ipv4(
        17,
        &udp(
            6081,
            &[&[2, 0, 0x65, 0x58, 0, 0, 7, 0][..], &[0; 8], &inner].concat(),
        ),
    );
    in_ipv4(
        17,
        &udp(
            6081,
            &[&[0, 0, 0x08, 0x00, 0, 0, 7, 0][..], &ipv4()].concat(),
        ),
    );
    let frame = ethernet(0x0800, &ipv4_of(17, &udp(6081, &[0xc0; 40])));
    assert_eq!(
        other(LinkType::ETHERNET, &frame),
        OtherKind::Udp { port: 6081 },
        "no version 0"
    );
}

#[test]
fn mpls_labels() {
    let label = |bottom: u8| [0, 1, bottom, 64];
    finds(
        LinkType::ETHERNET,
        &ethernet(0x8847, &[&label(1)[..], &ipv4()].concat()),
    );
    let stack = [&label(0)[..], &label(0), &label(1), &ipv6()].concat();
    finds(LinkType::ETHERNET, &ethernet(0x8848, &stack));
    let pseudowire = [&label(1)[..], &[0; 4], &ethernet(0x0800, &ipv4())].concat();
    finds(LinkType::ETHERNET, &ethernet(0x8847, &pseudowire));
    in_ipv4(47, &[&[0, 0, 0x88, 0x47][..], &label(1), &ipv4()].concat());
    in_ipv4(137, &[&label(1)[..], &ipv4()].concat());
    let endless = ethernet(0x8847, &[0; 400]);
    assert_eq!(other(LinkType::ETHERNET, &endless), OtherKind::Unreadable);
}

#[test]
fn nesting_ends() {
    let mut deep = ipv4();
    for _ in 0..10 {
        deep = ipv4_of(4, &deep);
    }
    finds(LinkType::RAW, &deep);
    for _ in 0..100 {
        deep = ipv4_of(4, &deep);
    }
    assert_eq!(other(LinkType::RAW, &deep), OtherKind::Unreadable);
    let tags = [&[0x81, 0][..], &[0, 1, 0x81, 0].repeat(300)].concat();
    assert_eq!(
        other(LinkType::ETHERNET, &[&[2; 12][..], &tags].concat()),
        OtherKind::Unreadable
    );
}

#[test]
fn snaplen_cuts_inside_count_once() {
    let vxlan = [&[8, 0, 0, 0, 0, 0, 42, 0][..], &ethernet(0x0800, &ipv4())].concat();
    let whole = ethernet(0x0800, &ipv4_of(17, &udp(4789, &vxlan)));
    let mut cut = frame(LinkType::ETHERNET, &whole[..whole.len() - 5]);
    cut.wire_len = whole.len() as u32;
    let mut decoder = Decoder::new();
    let segment = segment(&mut decoder, &cut);
    assert_eq!(
        (segment.payload.len(), segment.missing),
        (PAYLOAD.len() - 5, 5)
    );
}
