//! Properties: hostile bytes never panic, and the fast way sees what the general way sees.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A frame whose headers are likely enough to get somewhere.
fn plausible() -> impl Strategy<Value = (u32, Vec<u8>)> {
    let starts = prop::sample::select(vec![
        (1, ethernet(0x0800, &ipv4())),
        (1, ethernet(0x86dd, &ipv6())),
        (1, ethernet(0x0800, &ipv4_of(17, &udp(443, &[0x40; 20])))),
        (1, ethernet(0x86dd, &ipv6_of(17, &udp(53, &[0; 12])))),
        (
            1,
            ethernet(
                0x0800,
                &ipv4_of(
                    17,
                    &udp(4789, &[&[8; 8][..], &ethernet(0x0800, &ipv4())].concat()),
                ),
            ),
        ),
        (1, ethernet(0x8100, &[&[0, 1, 8, 0][..], &ipv4()].concat())),
        (1, ethernet(0x8847, &[&[0, 1, 1, 64][..], &ipv4()].concat())),
        (
            1,
            ethernet(
                0x8864,
                &[&[0x11, 0, 0, 9, 0, 0, 0, 0x21][..], &ipv4()].concat(),
            ),
        ),
        (
            101,
            ipv6_of(
                0,
                &[
                    &[44, 0, 5, 2, 0, 0, 1, 0][..],
                    &[6, 0, 0, 1, 0, 0, 0, 1],
                    &ipv4()[20..],
                ]
                .concat(),
            ),
        ),
        (
            101,
            ipv4_of(
                47,
                &[
                    &[0xb0, 0, 0x65, 0x58][..],
                    &[0; 12],
                    &ethernet(0x0800, &ipv4()),
                ]
                .concat(),
            ),
        ),
        (
            101,
            ipv4_of(
                17,
                &udp(4789, &[&[8; 8][..], &ethernet(0x0800, &ipv4())].concat()),
            ),
        ),
        (
            101,
            ipv4_of(
                17,
                &udp(
                    6081,
                    &[&[1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &ipv4()].concat(),
                ),
            ),
        ),
        (
            101,
            ipv4_of(1, &[&[3, 1, 0, 0, 0, 0, 0, 0][..], &ipv4()].concat()),
        ),
        (
            127,
            [
                &[0, 0, 9, 0, 2, 0, 0, 0, 0x20, 0x88, 1][..],
                &[0; 26],
                &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0],
                &ipv4(),
            ]
            .concat(),
        ),
        (276, [&[8, 0][..], &[0; 18], &ipv4()].concat()),
    ]);
    let flips = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (starts, flips, any::<prop::sample::Index>()).prop_map(|((link, mut bytes), flips, end)| {
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(end.index(bytes.len() * 2).max(10));
        (link, bytes)
    })
}

proptest! {
    #[test]
    fn random_bytes_never_panic(link in 0..300u32, bytes in vec(any::<u8>(), 0..200)) {
        Decoder::new().decode(&frame(LinkType(link), &bytes));
    }

    #[test]
    fn plausible_frames_never_panic(frames in vec(plausible(), 1..30)) {
        let mut decoder = Decoder::new();
        for (link, bytes) in &frames {
            let mut frame = frame(LinkType(*link), bytes);
            frame.wire_len += u32::from(bytes[0]);
            if let Decoded::Tcp(segment) = decoder.decode(&frame) {
                prop_assert!(segment.payload.len() <= bytes.len());
            }
        }
    }

    #[test]
    fn the_fast_way_agrees_with_the_general_way((link, bytes) in plausible()) {
        let frame = frame(LinkType(link), &bytes);
        let fast = format!("{:?}", Decoder::new().decode(&frame));
        let general = format!("{:?}", Decoder::new().general(&frame));
        prop_assert_eq!(fast, general);
    }

    #[test]
    fn fragments_in_any_order_make_the_datagram(
        size in 1..8usize,
        order in Just((0..8usize).collect::<Vec<_>>()).prop_shuffle(),
        copies in vec(0..8usize, 0..4),
    ) {
        let packet = ipv4();
        let payload = &packet[20..];
        let mut decoder = Decoder::new();
        let count = payload.chunks(size * 8).count();
        let mut found = 0;
        for i in order.into_iter().chain(copies).filter(|i| *i < count) {
            let part = payload.chunks(size * 8).nth(i).unwrap();
            let mut fragment = [&packet[..20], part].concat();
            fragment[2..4].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
            let offset = (i * size) as u16 | if i + 1 < count { 0x2000 } else { 0 };
            fragment[6..8].copy_from_slice(&offset.to_be_bytes());
            if let Decoded::Tcp(segment) = decoder.decode(&frame(LinkType::RAW, &fragment)) {
                expected(&segment);
                found += 1;
            }
        }
        prop_assert!(found >= 1);
    }
}
