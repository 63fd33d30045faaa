//! Frames out, and the filter.

use super::*;

fn frame(capture: u16, interface: u32, link: u32, at: i64, data: &[u8]) -> Frame<'_> {
    Frame {
        id: FrameRef::new(Timestamp::from_nanos(at), CaptureId(capture), FrameNo(1)),
        interface,
        link: LinkType(link),
        wire_len: data.len() as u32 + 3,
        data,
    }
}

#[test]
fn what_is_written_reads_the_same() {
    let mut writer = Writer::new(Vec::new(), "test").unwrap();
    let long = "é".repeat(40_000);
    for (given, comment) in [
        (frame(0, 0, 1, 1_700_000_000_123_456_789, b"first"), None),
        (frame(1, 0, 1, 5, b"other capture"), Some("evidence")),
        (frame(0, 0, 276, 6, b"other link"), Some(long.as_str())),
        (frame(0, 0, 1, -7, b"before the epoch"), None),
        (frame(0, 0, 1, 8, b""), None),
    ] {
        writer.write(&given, comment).unwrap();
    }
    let file = writer.finish().unwrap();
    let mut reader = reader(&file).unwrap();
    let (frames, error) = drain(&mut reader);
    assert!(error.is_none());
    let seen: Vec<_> = frames
        .iter()
        .map(|f| (f.interface, f.link, f.at, f.wire_len))
        .collect();
    assert_eq!(
        seen,
        [
            (0, 1, 1_700_000_000_123_456_789, 8),
            (1, 1, 5, 16),
            (2, 276, 6, 13),
            (0, 1, 0, 19),
            (0, 1, 8, 3)
        ]
    );
    assert_eq!(frames[3].data, b"before the epoch");
    assert_eq!(reader.info().comments[0], "frame 2: evidence");
    assert!(reader.info().comments[1].starts_with("frame 3: éé"));
}

#[cfg(feature = "live")]
#[test]
fn filters_compile_for_each_link_type() {
    let packet =
        etherparse::PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(4000, 80, 1, 10);
    let mut ip = Vec::new();
    packet.write(&mut ip, b"x").unwrap();
    let ethernet = [&[0; 12][..], &[8, 0], &ip].concat();
    let cooked = [&[8, 0][..], &[0; 18], &ip].concat();
    let loopback = [&[2, 0, 0, 0][..], &ip].concat();
    let mut filter = Filter::compile("tcp port 80").unwrap();
    for (link, data) in [
        (1, &ethernet),
        (276, &cooked),
        (101, &ip),
        (12, &ip),
        (0, &loopback),
    ] {
        assert!(
            filter.matches(&frame(0, 0, link, 0, data)).unwrap(),
            "{link}"
        );
    }
    assert!(!filter.matches(&frame(0, 0, 1, 0, &ip)).unwrap());
    let mut other = Filter::compile("port 81").unwrap();
    assert!(!other.matches(&frame(0, 0, 1, 0, &ethernet)).unwrap());
}

#[cfg(feature = "live")]
#[test]
fn filters_that_do_not_compile_say_why() {
    let error = Filter::compile("tcp port").err().unwrap().to_string();
    assert!(
        error.starts_with("filter 'tcp port': does not compile for link type ETHERNET: "),
        "{error}"
    );
    assert!(error.contains("syntax error"), "{error}");
    let mut vlan = Filter::compile("ether host 00:11:22:33:44:55").unwrap();
    let raw = frame(0, 0, 101, 0, b"E");
    let error = vlan.matches(&raw).err().unwrap().to_string();
    assert!(
        error.contains("does not compile for link type RAW"),
        "{error}"
    );
    assert!(!vlan.matches(&raw).unwrap(), "an error comes once");
    assert!(!vlan.matches(&frame(0, 0, 1, 0, &[0; 60])).unwrap());
}

#[cfg(not(feature = "live"))]
#[test]
fn filters_need_the_feature() {
    let error = Filter::compile("tcp port 80").err().unwrap().to_string();
    assert!(
        error.contains("--filter needs a build with the feature `live`; use --port"),
        "{error}"
    );
}
