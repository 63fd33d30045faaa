//! IP fragments.

use super::*;

/// Splits an IPv4 packet into fragments of so many payload bytes.
fn split_v4(packet: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(20);
    let count = payload.chunks(size).count();
    let piece = |(i, part): (usize, &[u8])| {
        let mut fragment = [header, part].concat();
        fragment[2..4].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
        let offset = (i * size / 8) as u16 | if i + 1 < count { 0x2000 } else { 0 };
        fragment[6..8].copy_from_slice(&offset.to_be_bytes());
        fragment
    };
    payload.chunks(size).enumerate().map(piece).collect()
}

/// The same for IPv6.
fn split_v6(packet: &[u8], size: usize) -> Vec<Vec<u8>> {
    let payload = &packet[40..];
    let count = payload.chunks(size).count();
    let piece = |(i, part): (usize, &[u8])| {
        let offset = (i * size) as u16 | u16::from(i + 1 < count);
        let [a, b] = offset.to_be_bytes();
        ipv6_of(44, &[&[packet[6], 0, a, b, 0, 0, 0, 99][..], part].concat())
    };
    payload.chunks(size).enumerate().map(piece).collect()
}

fn raw(data: &[u8]) -> Frame<'_> {
    frame(LinkType::RAW, data)
}

/// Decodes all but the last as held fragments, the last as the segment.
#[track_caller]
fn completes(decoder: &mut Decoder, fragments: &[Vec<u8>]) {
    let (last, held) = fragments.split_last().unwrap();
    for fragment in held {
        let outcome = decoder.decode(&raw(fragment));
        assert!(
            matches!(outcome, Decoded::Other(OtherKind::Fragment)),
            "{outcome:?}"
        );
    }
    expected(&segment(decoder, &raw(last)));
}

#[test]
fn memory_for_them_is_bounded_as_told() {
    let fragments = split_v4(&ipv4(), 16);
    let mut decoder = Decoder::with_fragment_bytes(0);
    for fragment in &fragments {
        let outcome = decoder.decode(&raw(fragment));
        assert!(matches!(outcome, Decoded::Other(_)), "{outcome:?}");
    }
    assert_eq!(decoder.datagrams_held(), 0);
    assert!(decoder.stats().datagrams_given_up > 0);
}

#[test]
fn copies_behind_a_complete_datagram_are_no_incomplete_one() {
    let fragments = split_v4(&ipv4(), 16);
    let mut decoder = Decoder::new();
    let mut whole = 0;
    for fragment in fragments.iter().flat_map(|one| [one, one]) {
        whole += u64::from(matches!(decoder.decode(&raw(fragment)), Decoded::Tcp(_)));
    }
    assert_eq!((whole, decoder.datagrams_held()), (1, 0));
    assert_eq!(decoder.stats().datagrams_incomplete, 0);
}

#[test]
fn in_any_order() {
    for mut fragments in [split_v4(&ipv4(), 16), split_v6(&ipv6(), 16)] {
        assert_eq!(fragments.len(), 4);
        let mut decoder = Decoder::new();
        completes(&mut decoder, &fragments);
        fragments.reverse();
        completes(&mut decoder, &fragments);
        fragments.swap(0, 2);
        completes(&mut decoder, &fragments);
        assert_eq!(decoder.stats().datagrams_reassembled, 3);
        assert_eq!(decoder.datagrams_held(), 0);
    }
}

#[test]
fn the_frame_is_that_of_the_last_one_to_come() {
    let fragments = split_v4(&ipv4(), 24);
    let mut decoder = Decoder::new();
    for (no, fragment) in (1..).zip(&fragments) {
        let mut frame = raw(fragment);
        frame.id = FrameRef::new(frame.id.at, frame.id.capture(), FrameNo(no));
        if let Decoded::Tcp(segment) = decoder.decode(&frame) {
            assert_eq!(segment.frame.number(), FrameNo(fragments.len() as u64));
            return;
        }
    }
    panic!("not reassembled");
}

#[test]
fn copies_are_harmless() {
    let fragments = split_v4(&ipv4(), 24);
    let mut decoder = Decoder::new();
    let doubled = [
        fragments[0].clone(),
        fragments[0].clone(),
        fragments[1].clone(),
        fragments[2].clone(),
    ];
    completes(&mut decoder, &doubled);
    assert_eq!(decoder.stats().datagrams_contradicted, 0);
}

#[test]
fn vantage_points_complete_side_by_side() {
    let fragments = split_v4(&ipv4(), 32);
    let mut decoder = Decoder::new();
    let mut complete = 0;
    for fragment in &fragments {
        for interface in [1, 2] {
            let mut frame = raw(fragment);
            frame.interface = interface;
            if let Decoded::Tcp(segment) = decoder.decode(&frame) {
                assert_eq!(segment.interface, interface);
                complete += 1;
            }
        }
    }
    assert_eq!((complete, decoder.datagrams_held()), (2, 0));
}

#[test]
fn contradictions_end_a_datagram() {
    let fragments = split_v4(&ipv4(), 16);
    let mut decoder = Decoder::new();
    let mut changed = fragments[1].clone();
    changed[25] ^= 1;
    assert!(matches!(
        decoder.decode(&raw(&fragments[1])),
        Decoded::Other(OtherKind::Fragment)
    ));
    assert!(matches!(
        decoder.decode(&raw(&changed)),
        Decoded::Other(OtherKind::Unreadable)
    ));
    assert_eq!(
        (
            decoder.stats().datagrams_contradicted,
            decoder.datagrams_held()
        ),
        (1, 0)
    );
    // Another end than the one that is known is malformed.
    let mut end = fragments[0].clone();
    end[6..8].copy_from_slice(&[0, 1]);
    assert!(matches!(
        decoder.decode(&raw(&fragments[3])),
        Decoded::Other(OtherKind::Fragment)
    ));
    assert!(matches!(
        decoder.decode(&raw(&end)),
        Decoded::Other(OtherKind::Unreadable)
    ));
    assert_eq!(decoder.stats().datagrams_malformed, 1);
}

#[test]
fn cut_fragments_are_of_no_use() {
    let fragments = split_v4(&ipv4(), 24);
    let mut decoder = Decoder::new();
    let cut = raw(&fragments[0][..40]);
    assert!(matches!(
        decoder.decode(&cut),
        Decoded::Other(OtherKind::Unreadable)
    ));
    assert_eq!(decoder.stats().fragments_cut, 1);
}

#[test]
fn an_atomic_fragment_is_whole() {
    let fragments = split_v6(&ipv6(), 1000);
    assert_eq!(fragments.len(), 1);
    finds(LinkType::RAW, &fragments[0]);
}

#[test]
fn they_wait_for_a_minute_of_packet_time() {
    let fragments = split_v4(&ipv4(), 32);
    for (seconds, complete) in [(60, true), (61, false)] {
        let mut decoder = Decoder::new();
        decoder.decode(&raw(&fragments[0]));
        let mut late = raw(&fragments[1]);
        late.id.at = late.id.at.plus(std::time::Duration::from_secs(seconds));
        assert_eq!(matches!(decoder.decode(&late), Decoded::Tcp(_)), complete);
        assert_eq!(decoder.stats().datagrams_incomplete, u64::from(!complete));
    }
}

#[test]
fn floods_stay_within_the_limits() {
    let mut first = split_v4(&ipv4(), 32).remove(0);
    let mut decoder = Decoder::new();
    for id in 0..20_000u16 {
        first[4..6].copy_from_slice(&id.to_be_bytes());
        // Every fourth at the very end of a datagram of 64 KiB.
        let offset = if id % 4 == 0 { 0x1ff0 } else { 0 };
        first[6..8].copy_from_slice(&(0x2000u16 | offset).to_be_bytes());
        decoder.decode(&raw(&first));
        assert!(decoder.datagrams_held() <= 1024);
    }
    assert!(decoder.stats().datagrams_given_up >= 20_000 - 1024);
    // A datagram that comes now is reassembled all the same.
    completes(&mut decoder, &split_v6(&ipv6(), 16));
}

#[test]
fn fragments_of_a_tunnel_in_fragments() {
    let mut decoder = Decoder::new();
    let outer: Vec<Vec<Vec<u8>>> = split_v4(&ipv4(), 32)
        .iter()
        .enumerate()
        .map(|(i, inner)| {
            let mut packet = ipv4_of(4, inner);
            packet[5] = i as u8;
            split_v4(&packet, 24)
        })
        .collect();
    completes(&mut decoder, &outer.concat());
    assert_eq!(decoder.stats().datagrams_reassembled, 3);
}

#[test]
fn fragmented_udp_tunnels() {
    let vxlan = [&[8, 0, 0, 0, 0, 0, 42, 0][..], &ethernet(0x0800, &ipv4())].concat();
    let fragments = split_v4(&ipv4_of(17, &udp(4789, &vxlan)), 48);
    let mut decoder = Decoder::new();
    completes(&mut decoder, &fragments);
}
