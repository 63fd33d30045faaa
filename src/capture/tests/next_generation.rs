//! pcapng.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::*;

/// A file in `order` of one Ethernet interface with `options`, and one frame at `ticks`.
fn one(order: Order, options: &[u8], ticks: u64) -> i64 {
    let mut file = section(order, &[]);
    file.extend(interface(order, 1, 0, options));
    file.extend(enhanced(order, 0, ticks, b"data", 4, &[]));
    frames_of(&file)[0].at
}

#[test]
fn time_resolutions_of_ten_and_two() {
    for order in BOTH {
        let at = |resolution: u8, ticks| one(order, &option(order, 9, &[resolution]), ticks);
        assert_eq!(
            one(order, &[], 1_500_000),
            1_500_000_000,
            "microseconds are usual"
        );
        assert_eq!(at(0, 3), 3_000_000_000);
        assert_eq!(at(3, 1_500), 1_500_000_000);
        assert_eq!(at(9, 1_700_000_000_123_456_789), 1_700_000_000_123_456_789);
        assert_eq!(at(12, 1_500_000_000_999), 1_500_000_000);
        assert_eq!(at(127, 1 << 63), 0);
        assert_eq!(at(0x94, (5 << 20) | (1 << 19)), 5_500_000_000);
        assert_eq!(at(0xa0, (5 << 32) | (1 << 31)), 5_500_000_000);
        assert_eq!(at(0xc0, 1 << 63), 500_000_000);
        assert_eq!(at(0xff, u64::MAX), 0);
        assert_eq!(at(0, u64::MAX), i64::MAX, "saturates");
    }
}

#[test]
fn time_offset_in_the_section_order() {
    for order in BOTH {
        let offset = |seconds: i64| {
            let bytes = Bytes(Vec::new(), order).u64(seconds.cast_unsigned()).0;
            option(order, 14, &bytes)
        };
        assert_eq!(one(order, &offset(1_000), 1), 1_000_000_001_000);
        assert_eq!(one(order, &offset(-1), 1), -999_999_000);
        assert_eq!(one(order, &offset(i64::MAX), 1), i64::MAX, "saturates");
    }
}

#[test]
fn interfaces_of_different_link_types() {
    for order in BOTH {
        let mut file = section(order, &[]);
        file.extend(interface(order, 1, 0, &[]));
        file.extend(interface(order, 276, 0, &option(order, 9, &[9])));
        file.extend(enhanced(order, 1, 7, b"cooked", 100, &[]));
        file.extend(enhanced(order, 0, 7, b"plain", 5, &[]));
        let mut reader = reader(&file).unwrap();
        let (frames, error) = drain(&mut reader);
        assert!(error.is_none());
        assert_eq!(
            (frames[0].link, frames[0].interface, frames[0].at),
            (276, 1, 7)
        );
        assert_eq!(
            (frames[1].link, frames[1].interface, frames[1].at),
            (1, 0, 7_000)
        );
        let info = reader.info();
        assert_eq!(
            info.link_types.iter().map(|l| l.name()).collect::<Vec<_>>(),
            ["ETHERNET", "LINUX_SLL2"]
        );
        assert_eq!((info.frames, info.bytes, info.truncated_frames), (2, 11, 1));
        assert_eq!(info.first_truncated.map(|f| f.number().0), Some(1));
        assert_eq!(info.first_at.map(Timestamp::nanos), Some(7));
        assert_eq!(info.last_at.map(Timestamp::nanos), Some(7_000));
    }
}

#[test]
fn interfaces_are_known_by_name() {
    for order in BOTH {
        let called = |name: &str| option(order, 2, name.as_bytes());
        let cooked = |index: u8| [[0, 0, 0, 0, 0, 0, 0, index], [0; 8], [0; 8]].concat();
        let mut file = section(order, &[]);
        file.extend(interface(order, 1, 0, &called("front")));
        file.extend(interface(order, 276, 0, &called("any")));
        file.extend(interface(order, 276, 0, &called("back")));
        file.extend(interface(order, 276, 0, &called("silent")));
        file.extend(enhanced(order, 0, 1, b"plain", 5, &[]));
        file.extend(enhanced(order, 1, 2, &cooked(9), 24, &[]));
        file.extend(enhanced(order, 2, 3, &cooked(7), 24, &called("")));
        file.extend(enhanced(order, 2, 4, &cooked(8), 24, &[]));
        file.extend(enhanced(order, 2, 5, b"cut", 24, &[]));
        let known = |file: &[u8]| {
            let mut reader = reader(file).unwrap();
            assert!(drain(&mut reader).1.is_none());
            let names = reader.info().interfaces.clone();
            names.into_iter().collect::<Vec<_>>()
        };
        let names = [(0, "front".to_owned()), (7, "back".to_owned())];
        assert_eq!(known(&file), names);
        // Another section numbers anew: what has two names has none.
        file.extend(section(order, &[]));
        file.extend(interface(order, 1, 0, &called("other")));
        assert_eq!(known(&file), [(0, String::new()), names[1].clone()]);
    }
}

#[test]
fn sections_start_over_in_another_order() {
    let mut file = Vec::new();
    for order in [Order::Big, Order::Little, Order::Big] {
        file.extend(section(order, &[]));
        file.extend(interface(order, 113, 0, &[]));
        file.extend(enhanced(order, 0, 1, b"data", 4, &[]));
    }
    let frames = frames_of(&file);
    assert_eq!(frames.iter().map(|f| f.no).collect::<Vec<_>>(), [1, 2, 3]);
    // The interfaces of a section end with it.
    file.extend(section(Order::Little, &[]));
    file.extend(enhanced(Order::Little, 0, 1, b"data", 4, &[]));
    let (frames, error) = drain(&mut reader(&file).unwrap());
    assert_eq!(frames.len(), 3);
    assert!(
        error
            .unwrap()
            .to_string()
            .contains("interface 0, which no block before it describes")
    );
}

#[test]
fn simple_packets_are_cut_to_the_interface_snaplen() {
    for order in BOTH {
        let mut file = section(order, &[]);
        file.extend(interface(order, 1, 6, &[]));
        file.extend(enhanced(order, 0, 9, b"timed", 5, &[]));
        file.extend(block(
            order,
            3,
            &Bytes(Vec::new(), order).u32(99).padded(b"simple").0,
        ));
        let frames = frames_of(&file);
        assert_eq!(frames[1].data, b"simple");
        assert_eq!((frames[1].wire_len, frames[1].at), (99, 9_000));
    }
}

#[test]
fn obsolete_packets_with_their_drops() {
    for order in BOTH {
        let packet = |drops| {
            let body = Bytes(Vec::new(), order)
                .u16(0)
                .u16(drops)
                .u32(0)
                .u32(5)
                .u32(6)
                .u32(8);
            block(order, 2, &body.padded(b"obsole").0)
        };
        let mut file = section(order, &[]);
        file.extend(interface(order, 1, 0, &[]));
        for drops in [0xffff, 2, 3] {
            file.extend(packet(drops));
        }
        let mut reader = reader(&file).unwrap();
        let (frames, _) = drain(&mut reader);
        assert_eq!(frames[2].data, b"obsole");
        assert_eq!((frames[2].wire_len, frames[2].at), (8, 5_000));
        assert_eq!(reader.info().dropped, Some(5));
    }
}

#[test]
fn drops_are_those_of_the_last_statistics_of_each_interface() {
    for order in BOTH {
        let statistics = |interface: u32, ifdrop: u64, osdrop: u64| {
            let number = |v| Bytes(Vec::new(), order).u64(v).0;
            let body = Bytes(Vec::new(), order).u32(interface).u32(0).u32(0);
            let body = body.raw(&option(order, 5, &number(ifdrop)));
            block(order, 5, &body.raw(&option(order, 7, &number(osdrop))).0)
        };
        let mut file = section(order, &[]);
        file.extend(interface(order, 1, 0, &[]));
        file.extend(interface(order, 1, 0, &[]));
        let mut quiet = reader(&file).unwrap();
        assert_eq!(drain(&mut quiet).0.len(), 0);
        assert_eq!(quiet.info().dropped, None, "nobody says");
        let lost = Bytes(Vec::new(), order).u64(4).0;
        file.extend(enhanced(order, 1, 0, b"data", 4, &option(order, 4, &lost)));
        file.extend(statistics(0, 1, 1));
        file.extend(statistics(0, 10, 5));
        file.extend(statistics(1, 3, 0));
        file.extend(statistics(77, 3, 0));
        let mut reader = reader(&file).unwrap();
        drain(&mut reader);
        // Interface 0: 15; interface 1: the packets say 4, the statistics 3.
        assert_eq!(reader.info().dropped, Some(19));
    }
}

#[test]
fn names_secrets_and_comments() {
    for order in BOTH {
        let names = Bytes(Vec::new(), order)
            .u16(1)
            .u16(4 + 12)
            .padded(b"\xc0\x00\x02\x01backend\0alt\0")
            .u16(2)
            .u16(16 + 5)
            .padded(b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01edge\0")
            .u16(99)
            .u16(1)
            .padded(b"?")
            .u32(0);
        let log = b"CLIENT_RANDOM 00 11\n";
        let secrets = Bytes(Vec::new(), order)
            .u32(Secrets::TLS_KEY_LOG)
            .u32(20)
            .padded(log);
        let mut file = section(order, &option(order, 1, b" of the section\0"));
        file.extend(interface(
            order,
            1,
            0,
            &option(order, 1, b"of the interface"),
        ));
        file.extend(block(order, 4, &names.0));
        file.extend(block(order, 10, &secrets.0));
        let comment = option(order, 1, b"here it breaks");
        file.extend(enhanced(order, 0, 0, b"data!", 5, &comment));
        let mut reader = reader(&file).unwrap();
        let (frames, error) = drain(&mut reader);
        assert!(error.is_none());
        assert_eq!(frames[0].data, b"data!");
        let backend = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let edge = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
        assert_eq!(reader.names()[&backend], "backend");
        assert_eq!(reader.names()[&edge], "edge");
        assert_eq!(reader.names().len(), 2);
        let known = [Secrets {
            kind: Secrets::TLS_KEY_LOG,
            data: log.to_vec(),
        }];
        assert_eq!(reader.take_secrets(), known);
        // They are there before the frame behind them is, also where that is one with options.
        let mut again = samples::reader(&file).unwrap();
        let mut frames = again.next_frames().unwrap().unwrap();
        assert_eq!(frames.take_secrets(), known);
        assert_eq!(frames.count(), 1);
        assert_eq!(
            reader.info().comments,
            [
                "of the section",
                "of the interface",
                "frame 1: here it breaks"
            ]
        );
    }
}

#[test]
fn other_blocks_are_passed_over_and_numbered_as_wireshark_does() {
    for order in BOTH {
        let mut file = section(order, &[]);
        file.extend(interface(order, 1, 0, &[]));
        for kind in [9, 0xbad, 0x77, 0x4000_0bad, 0x8000_0001] {
            file.extend(enhanced(order, 0, 0, b"data", 4, &[]));
            file.extend(block(order, kind, &vec![0; 200_000]));
        }
        file.extend(enhanced(order, 0, 0, b"last", 4, &[]));
        let mut reader = reader(&file).unwrap();
        let (frames, error) = drain(&mut reader);
        assert!(error.is_none());
        // A journal entry and both kinds of custom blocks have frame numbers in Wireshark.
        assert_eq!(
            frames.iter().map(|f| f.no).collect::<Vec<_>>(),
            [1, 3, 5, 6, 8, 9]
        );
        assert_eq!(reader.info().frames, 6);
    }
}

#[test]
fn damage_is_named_with_its_place() {
    let order = Order::Little;
    let mut sound = section(order, &[]);
    sound.extend(interface(order, 1, 0, &[]));
    sound.extend(enhanced(order, 0, 0, b"data", 4, &[]));
    let at = sound.len();
    let damaged = |bad: Vec<u8>| {
        let (frames, error) = drain(&mut reader(&[sound.clone(), bad].concat()).unwrap());
        assert_eq!(frames.len(), 1);
        let text = error.unwrap().to_string();
        assert!(
            text.starts_with(&format!("test: damaged at byte offset {at}: ")),
            "{text}"
        );
        assert!(text.contains("the 1 frame before it was read"), "{text}");
        assert!(!text.contains('\n'));
        text
    };
    let header = |kind, length| {
        Bytes(Vec::new(), order)
            .u32(kind)
            .u32(length)
            .raw(&[0; 64])
            .0
    };
    assert!(damaged(header(6, 8)).contains("claims 8 bytes"));
    assert!(damaged(header(6, 33)).contains("claims 33 bytes"));
    assert!(damaged(header(6, !3)).contains("more than the"));
    assert!(damaged(header(6, 32)).contains("claims 32 bytes at its start and 0 at its end"));
    let mut long = enhanced(order, 0, 0, b"data", 4, &[]);
    long[20] = 99;
    assert!(damaged(long).contains("claims 99 captured bytes and has room for 4"));
    let mut magic = section(order, &[]);
    magic[8] = 0;
    assert!(damaged(magic).contains("byte-order magic"));
}

#[test]
fn interfaces_have_a_limit() {
    let mut file = section(Order::Little, &[]);
    let one = interface(Order::Little, 1, 0, &[]);
    for _ in 0..70_000 {
        file.extend_from_slice(&one);
    }
    let (_, error) = drain(&mut reader(&file).unwrap());
    assert!(
        error
            .unwrap()
            .to_string()
            .contains("more than 65536 interfaces")
    );
}
