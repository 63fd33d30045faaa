//! Against Wireshark's tools, where they are installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;

/// Runs a tool; `None` with a line if it is not installed, which only CI must not be content with.
fn run(tool: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(tool).args(arguments).output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{tool} {arguments:?}: {errors}");
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) => {
            let ci = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(!ci, "{tool} is needed in CI: {error}");
            eprintln!("skipped: {tool} is not installed");
            None
        }
    }
}

/// What tshark sees: number, time, captured and original length of every frame.
fn tshark(path: &Path) -> Option<Vec<(u64, i64, usize, u32)>> {
    let fields = [
        "frame.number",
        "frame.time_epoch",
        "frame.cap_len",
        "frame.len",
    ];
    let mut arguments = vec!["-n", "-r", path.to_str().unwrap(), "-T", "fields"];
    for field in fields {
        arguments.extend(["-e", field]);
    }
    let parse = |line: &str| {
        let [no, time, captured, length] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let (seconds, nanos) = time.split_once('.').unwrap_or(("0", "0"));
        let at = seconds.parse::<i64>().unwrap() * 1_000_000_000 + nanos.parse::<i64>().unwrap();
        (
            no.parse().unwrap(),
            at,
            captured.parse().unwrap(),
            length.parse().unwrap(),
        )
    };
    Some(run("tshark", &arguments)?.lines().map(parse).collect())
}

fn ours(path: &Path) -> Vec<(u64, i64, usize, u32)> {
    let (frames, error) = drain(&mut Reader::open(path, CaptureId(0)).unwrap());
    assert!(error.is_none(), "{error:?}");
    let seen = |f: &Owned| (f.no, f.at, f.data.len(), f.wire_len);
    frames.iter().map(seen).collect()
}

/// TCP in Ethernet, of different lengths.
fn packets() -> Vec<Vec<u8>> {
    let packet = |i: u16| {
        let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .tcp(4000 + i, 80, 1, 10);
        let mut bytes = Vec::new();
        builder
            .write(&mut bytes, &vec![b'x'; usize::from(i) * 37])
            .unwrap();
        bytes
    };
    (0..30).map(packet).collect()
}

#[test]
fn editcap_conversions_read_alike() {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original.pcap");
    let packets = packets();
    fs::write(
        &original,
        pcap_of(&packets.iter().map(Vec::as_slice).collect::<Vec<_>>()),
    )
    .unwrap();
    let Some(expected) = tshark(&original) else {
        return;
    };
    assert_eq!(ours(&original), expected);
    for (name, options) in [
        ("pcapng", &["-F", "pcapng"][..]),
        ("nanosecond", &["-F", "nsecpcap"]),
        ("modified", &["-F", "modpcap"]),
        ("cut", &["-F", "pcapng", "-s", "96"]),
        ("shifted", &["-F", "pcap", "-t", "-1.5"]),
        ("commented", &["-F", "pcapng", "-a", "3:a comment"]),
    ] {
        let converted = folder.path().join(name);
        let paths = [original.to_str().unwrap(), converted.to_str().unwrap()];
        if run("editcap", &[options, &paths].concat()).is_none() {
            return;
        }
        let expected = tshark(&converted).unwrap();
        assert_eq!(ours(&converted), expected, "{name}");
        let compressed = folder.path().join("compressed.gz");
        let mut out = flate2::write::GzEncoder::new(
            fs::File::create(&compressed).unwrap(),
            flate2::Compression::fast(),
        );
        std::io::copy(&mut fs::File::open(&converted).unwrap(), &mut out).unwrap();
        out.finish().unwrap();
        assert_eq!(ours(&compressed), expected, "{name}, compressed");
    }
}

#[test]
fn unusual_blocks_are_numbered_alike() {
    for order in BOTH {
        let data = &packets()[3];
        let mut file = section(order, &[]);
        file.extend(interface(order, 1, 0, &option(order, 9, &[0x94])));
        let packet = enhanced(order, 0, 77 << 20, data, data.len() as u32, &[]);
        file.extend_from_slice(&packet);
        for kind in [9, 0xbad, 0x77, 0x4000_0bad] {
            file.extend(block(
                order,
                kind,
                b"\0\0\x30\x39__REALTIME_TIMESTAMP=1000000\nMESSAGE=x\n",
            ));
            file.extend_from_slice(&packet);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("unusual.pcapng");
        fs::write(&path, &file).unwrap();
        let filter = [
            "-n",
            "-r",
            path.to_str().unwrap(),
            "-Y",
            "tcp",
            "-T",
            "fields",
            "-e",
            "frame.number",
        ];
        let Some(numbers) = run("tshark", &filter) else {
            return;
        };
        let numbers: Vec<u64> = numbers.lines().map(|no| no.parse().unwrap()).collect();
        assert_eq!(
            frames_of(&file).iter().map(|f| f.no).collect::<Vec<_>>(),
            numbers
        );
    }
}

#[test]
fn what_we_write_is_read_by_wireshark() {
    let mut writer = Writer::new(Vec::new(), "hop101 test").unwrap();
    let packets = packets();
    let frames = (0u16..).zip(&packets).map(|(i, data)| Frame {
        id: FrameRef::new(
            Timestamp::from_nanos(1_700_000_000_000_000_001 + i64::from(i)),
            CaptureId(i % 2),
            FrameNo(1),
        ),
        interface: u32::from(i % 3),
        link: LinkType::ETHERNET,
        wire_len: data.len() as u32,
        data,
    });
    for frame in frames {
        writer.write(&frame, Some("a comment")).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("written.pcapng");
    fs::write(&path, writer.finish().unwrap()).unwrap();
    let Some(seen) = tshark(&path) else { return };
    assert_eq!(seen, ours(&path));
    assert_eq!((seen.len(), seen[29].1), (30, 1_700_000_000_000_000_030));
    let comments = [
        "-r",
        path.to_str().unwrap(),
        "-Y",
        "frame.comment == \"a comment\"",
        "-T",
        "fields",
        "-e",
        "frame.number",
    ];
    assert_eq!(run("tshark", &comments).unwrap().lines().count(), 30);
    let Some(info) = run("capinfos", &[path.to_str().unwrap()]) else {
        return;
    };
    assert!(info.contains("hop101 test"), "{info}");
    assert!(info.contains("Number of interfaces in file: 6"), "{info}");
}
