//! Classic pcap.

use super::*;

#[test]
fn pcap_in_both_orders_and_resolutions() {
    for order in BOTH {
        for (magic, fraction, nanos) in [(0xa1b2_c3d4, 5, 5_000), (0xa1b2_3c4d, 5, 5)] {
            let mut file = pcap_header(order, magic, 276);
            file.extend(record(order, 7, fraction, b"frame one"));
            file.extend(record(order, u32::MAX, fraction, b""));
            let frames = frames_of(&file);
            assert_eq!(frames[0].at, 7_000_000_000 + nanos);
            assert_eq!(frames[0].data, b"frame one");
            assert_eq!((frames[0].no, frames[0].link), (1, 276));
            assert_eq!(frames[1].at, i64::from(u32::MAX) * 1_000_000_000 + nanos);
            assert_eq!(frames.len(), 2);
        }
    }
}

#[test]
fn pcap_modified_records_carry_an_interface() {
    for order in BOTH {
        let mut file = pcap_header(order, 0xa1b2_cd34, 1);
        for data in [&b"first"[..], b"second"] {
            let tail = Bytes(Vec::new(), order).u32(3).u16(0x800).raw(&[0, 0]).0;
            let plain = record(order, 1, 2, data);
            file.extend_from_slice(&plain[..16]);
            file.extend(tail);
            file.extend_from_slice(data);
        }
        let frames = frames_of(&file);
        assert_eq!(frames[0].interface, 3);
        assert_eq!(frames[1].data, b"second");
    }
}

#[test]
fn pcap_of_ixia_has_a_longer_header() {
    for (magic, nanos) in [(0x1c00_01ac, 9), (0x1c00_01ab, 9_000)] {
        let mut file = pcap_header(Order::Little, magic, 1);
        file.extend(20u32.to_le_bytes());
        file.extend(record(Order::Little, 0, 9, b"data"));
        let frames = frames_of(&file);
        assert_eq!(
            (frames[0].at, frames[0].data.as_slice()),
            (nanos, &b"data"[..])
        );
    }
}

#[test]
fn pcap_link_type_without_the_fcs_bits() {
    let mut file = pcap_header(Order::Little, 0xa1b2_c3d4, 0x2400_0001);
    file.extend(record(Order::Little, 0, 0, b"data"));
    assert_eq!(frames_of(&file)[0].link, 1);
}

#[test]
fn longer_record_headers_under_the_usual_magic_are_noticed() {
    for order in BOTH {
        // Red Hat 6.1, Nokia, SuSE 6.3.
        for (magic, header) in [(0xa1b2_c3d4, 24), (0xa1b2_c3d4, 20), (0xa1b2_cd34, 28)] {
            let mut file = pcap_header(order, magic, 1);
            for data in [&b"first one"[..], b"the second", b"third"] {
                let plain = record(order, 1_700_000_000, 999_999, data);
                file.extend_from_slice(&plain[..16]);
                file.extend(vec![0; header - 16]);
                file.extend_from_slice(data);
            }
            let frames = frames_of(&file);
            assert_eq!(frames.len(), 3, "{magic:x} {header}");
            assert_eq!(frames[1].data, b"the second");
        }
    }
}

#[test]
fn odd_records_are_no_longer_headers() {
    // Nanoseconds under the magic of microseconds, and a year in which the capture slept.
    let mut file = pcap_header(Order::Little, 0xa1b2_c3d4, 1);
    file.extend(record(Order::Little, 1_700_000_000, 123_456_789, b"first"));
    file.extend(record(Order::Little, 1_731_536_000, 5, b"second"));
    let frames = frames_of(&file);
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[1].data, b"second");
}
