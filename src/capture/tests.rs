//! Containers, one variant per test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test code fails loudly"
)]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::parse::Order;
use super::samples::*;
use super::*;

const BOTH: [Order; 2] = [Order::Little, Order::Big];

mod formats {
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
}

mod pcapng {
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
            assert_eq!(at(0x80 | 20, (5 << 20) | (1 << 19)), 5_500_000_000);
            assert_eq!(at(0x80 | 32, (5 << 32) | (1 << 31)), 5_500_000_000);
            assert_eq!(at(0x80 | 64, 1 << 63), 500_000_000);
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
            assert_eq!(info.first_truncated.map(|f| f.frame.0), Some(1));
            assert_eq!(info.first_at.map(Timestamp::nanos), Some(7));
            assert_eq!(info.last_at.map(Timestamp::nanos), Some(7_000));
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
            assert_eq!(
                reader.secrets(),
                [Secrets {
                    kind: Secrets::TLS_KEY_LOG,
                    data: log.to_vec()
                }]
            );
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
                file.extend(block(order, kind, &[0; 200_000]));
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
        assert!(damaged(header(6, u32::MAX & !3)).contains("more than the"));
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
}

mod compressed {
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    #[cfg(feature = "compress")]
    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 3).unwrap()
    }

    #[cfg(feature = "compress")]
    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        liblzma::read::XzEncoder::new(bytes, 6)
            .read_to_end(&mut out)
            .unwrap();
        out
    }

    #[cfg(feature = "compress")]
    fn lz4(bytes: &[u8]) -> Vec<u8> {
        let mut out = lz4_flex::frame::FrameEncoder::with_frame_info(
            lz4_flex::frame::FrameInfo::new()
                .block_size(lz4_flex::frame::BlockSize::Max64KB)
                .content_checksum(true),
            Vec::new(),
        );
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    type Compressor = fn(&[u8]) -> Vec<u8>;

    fn all() -> Vec<(&'static str, Compressor)> {
        vec![
            ("gzip", gzip as Compressor),
            #[cfg(feature = "compress")]
            ("zstd", zstd),
            #[cfg(feature = "compress")]
            ("xz", xz),
            #[cfg(feature = "compress")]
            ("lz4", lz4),
        ]
    }

    /// A file of frames that do not compress well, so that a cut stream still has some.
    fn file() -> (Vec<u8>, Vec<Owned>) {
        let mut state = 1u32;
        let frames: Vec<Vec<u8>> = (0..300)
            .map(|_| {
                (0..1000)
                    .map(|_| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (state >> 24) as u8
                    })
                    .collect()
            })
            .collect();
        let file = pcap_of(&frames.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let frames = frames_of(&file);
        (file, frames)
    }

    #[test]
    fn are_told_by_their_magic_number() {
        let (file, frames) = file();
        for (name, compress) in all() {
            let mut reader = reader(&compress(&file)).unwrap();
            let (read, error) = drain(&mut reader);
            assert!(error.is_none(), "{name}: {error:?}");
            assert!(read == frames, "{name}");
            assert_eq!(reader.info().compression, Some(name));
            assert_eq!(reader.info().format, Some("pcap"));
        }
    }

    #[test]
    fn may_be_several_streams_one_after_another() {
        let (file, frames) = file();
        for (name, compress) in all() {
            let (first, second) = file.split_at(100_001);
            let joined = [compress(first), compress(second), compress(b"")].concat();
            assert!(frames_of(&joined) == frames, "{name}");
        }
    }

    #[test]
    fn cut_off_give_what_comes_before() {
        let (file, frames) = file();
        for (name, compress) in all() {
            let whole = compress(&file);
            for share in [2, 3, 10] {
                let cut = &whole[..whole.len() * (share - 1) / share];
                let (read, error) = drain(&mut reader(cut).unwrap());
                let text = error.expect(name).to_string();
                let expected = format!("the {name} stream is cut off or damaged after");
                assert!(text.contains(&expected), "{text}");
                assert!(frames.starts_with(&read), "{name}");
                assert!(
                    read.len() * 3 > frames.len(),
                    "{name}: {} frames",
                    read.len()
                );
            }
            // Even the last byte counts: it may belong to the checksum only.
            let (read, error) = drain(&mut reader(&whole[..whole.len() - 1]).unwrap());
            assert!(error.is_some(), "{name}");
            assert!(frames.starts_with(&read));
        }
    }

    #[test]
    fn flipped_bytes_are_noticed_or_harmless() {
        let (file, frames) = file();
        for (name, compress) in all() {
            let whole = compress(&file);
            for at in (0..whole.len()).step_by(whole.len() / 10) {
                let mut bad = whole.clone();
                bad[at] ^= 0x10;
                if let Ok(mut reader) = reader(&bad) {
                    let (read, error) = drain(&mut reader);
                    assert!(
                        error.is_some() || read.len() == frames.len(),
                        "{name} at {at}"
                    );
                }
            }
        }
    }

    #[test]
    fn empty_inside_is_empty() {
        for (name, compress) in all() {
            let error = reader(&compress(b"")).err().expect(name);
            assert!(matches!(error.problem, Problem::Empty), "{name}: {error}");
        }
    }

    #[cfg(not(feature = "compress"))]
    #[test]
    fn without_the_feature_the_error_says_so() {
        let error = reader(&[0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0]).err().unwrap();
        assert_eq!(
            error.to_string(),
            "test: reading zstd captures needs a build with the feature `compress`; decompress the file first"
        );
    }
}
