//! Properties: damage never costs what came before it, never panics, never hangs.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A file of one of the kinds, and where in it each frame is complete.
fn file(kind: usize, frames: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    let order = BOTH[kind % 2];
    let mut bytes = match kind / 2 {
        0 => pcap_header(order, 0xa1b2_3c4d, 1),
        _ => [
            section(order, &option(order, 1, b"note")),
            interface(order, 1, 0, &[]),
        ]
        .concat(),
    };
    let mut ends = Vec::new();
    for (i, data) in frames.iter().enumerate() {
        if kind / 2 == 0 {
            bytes.extend(record(order, 1, i as u32, data));
        } else {
            if i % 3 == 1 {
                bytes.extend(block(order, 0x55, data));
            }
            let wire = data.len() as u32;
            bytes.extend(enhanced(order, 0, i as u64, data, wire, &[]));
        }
        ends.push(bytes.len());
    }
    (bytes, ends)
}

proptest! {
    #[test]
    fn a_file_cut_anywhere_gives_its_readable_prefix_and_one_error(
        kind in 0..4usize,
        frames in vec(vec(any::<u8>(), 0..40), 0..6),
    ) {
        let (bytes, ends) = file(kind, &frames);
        let whole = frames_of(&bytes);
        prop_assert_eq!(whole.len(), frames.len());
        for cut in 0..bytes.len() {
            let complete = ends.iter().filter(|end| **end <= cut).count();
            let Ok(mut reader) = reader(&bytes[..cut]) else {
                // Too short to tell what it is, or for the file header.
                prop_assert!(cut < 24);
                continue;
            };
            let (read, error) = drain(&mut reader);
            prop_assert_eq!(&read[..], &whole[..complete]);
            // At the end of a record or block nothing tells that there was more.
            if error.is_none() {
                let next = bytes.get(cut..).unwrap_or_default();
                let at_block = kind / 2 == 1 && next.len() >= 12;
                prop_assert!(ends.contains(&cut) || cut == 24 || at_block, "cut at {}", cut);
            }
        }
    }

    #[test]
    fn flipped_bytes_never_panic_nor_hang(
        kind in 0..4usize,
        frames in vec(vec(any::<u8>(), 0..40), 0..6),
        flips in vec((any::<prop::sample::Index>(), 1..=255u8), 1..4),
    ) {
        let (mut bytes, _) = file(kind, &frames);
        for (at, bits) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        }
        if let Ok(mut reader) = reader(&bytes) {
            let (read, _) = drain(&mut reader);
            prop_assert!(read.len() <= bytes.len() / 16);
        }
    }

    #[test]
    fn random_blocks_never_panic_nor_hang(
        big in any::<bool>(),
        blocks in vec((0..12u32, vec(any::<u8>(), 0..64)), 0..12),
    ) {
        let order = if big { Order::Big } else { Order::Little };
        let mut bytes = [section(order, &[]), interface(order, 1, 0, &[])].concat();
        for (kind, body) in blocks {
            bytes.extend(block(order, kind, &body));
        }
        drain(&mut reader(&bytes).unwrap());
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..200), start in 0..10usize) {
        const STARTS: [&[u8]; 10] = [
            b"", &[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd], &[0xfd, b'7', b'z', b'X', b'Z', 0],
            &[0x04, 0x22, 0x4d, 0x18], &[0xd4, 0xc3, 0xb2, 0xa1], &[0xa1, 0xb2, 0x3c, 0x4d],
            &[0x34, 0xcd, 0xb2, 0xa1], &[0x0a, 0x0d, 0x0d, 0x0a], &[0x50, 0x2a, 0x4d, 0x18],
        ];
        if let Ok(mut reader) = reader(&[STARTS[start], &bytes].concat()) {
            drain(&mut reader);
        }
    }
}
