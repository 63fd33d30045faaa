//! Frames that are not in the order of their times, as captures of several interfaces or of two one-way taps have them: files
//! are put in order, and what cannot be read twice says what it suffers from.

use std::fs::{self, File};
use std::process::{Command, Output, Stdio};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use hop101::capture::LinkType;
use serde_json::Value;

use crate::pipeline::{Packet, packets, packets_of, pcapng};
use crate::samples::Sample;
use crate::support::hop101;

const MILLISECOND: i64 = 1_000_000;

/// Where a packet comes from, to tell the two ways of a connection apart: from the higher port or not.
fn from_higher_port(packet: &Packet) -> bool {
    let sliced = match packet.link {
        LinkType(1) => SlicedPacket::from_ethernet(&packet.data),
        LinkType(113) => SlicedPacket::from_linux_sll(&packet.data),
        _ => return false,
    };
    match sliced {
        Ok(SlicedPacket {
            net: Some(NetSlice::Ipv4(_) | NetSlice::Ipv6(_)),
            transport: Some(TransportSlice::Tcp(tcp)),
            ..
        }) => tcp.source_port() > tcp.destination_port(),
        _ => false,
    }
}

/// The packets as two taps write them, one for each way, by turns what came in so long a time: answers stand before what
/// they answer.
fn in_blocks(packets: &[Packet], block: i64) -> Vec<Packet> {
    let first = packets.iter().map(|packet| packet.at).min().unwrap();
    let mut mixed = packets.to_vec();
    mixed.sort_by_key(|packet| ((packet.at - first) / block, from_higher_port(packet)));
    mixed
}

fn run(packets: &[Packet], args: &[&str]) -> (Value, Output) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.pcapng");
    fs::write(&file, pcapng(packets)).unwrap();
    let output = hop101()
        .arg("read")
        .arg(&file)
        .args(["--format", "json", "--fail-on", "never"])
        .args(args)
        .output()
        .unwrap();
    (serde_json::from_slice(&output.stdout).unwrap(), output)
}

/// A report without numbers of frames and without the sentences that name them.
fn story(report: &Value) -> Value {
    let mut story = report.clone();
    forget_frames(&mut story);
    for field in ["frames", "path", "bytes"] {
        story["captures"][0][field] = Value::Null;
    }
    story
}

fn forget_frames(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                // Of two frames of the same moment the one in front is first.
                if name == "frame" || name == "evidence" || name == "detail" {
                    *value = Value::Null;
                } else {
                    forget_frames(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(forget_frames),
        _ => {}
    }
}

#[test]
fn a_file_is_put_in_order() {
    let mut read = 0;
    let mut mixed_up = 0;
    for sample in Sample::all() {
        let [file] = sample.files.as_slice() else {
            continue;
        };
        let name = file.file_name().unwrap().to_str().unwrap();
        let straight = packets(&fs::read(file).unwrap());
        if !straight.is_sorted_by_key(|packet| packet.at) {
            continue;
        }
        let usual = story(&run(&straight, &[]).0);
        for millis in [5, 100] {
            let mixed = in_blocks(&straight, millis * MILLISECOND);
            let (report, output) = run(&mixed, &[]);
            same(name, &usual, &story(&report));
            let said = String::from_utf8(output.stderr).unwrap();
            mixed_up += u32::from(said.contains("read in the order of their times"));
            read += 1;
        }
    }
    assert!(mixed_up > 40 && read > 60, "{mixed_up} of {read}");
}

fn same(name: &str, usual: &Value, other: &Value) {
    for part in ["handshakes", "findings", "connections", "limits", "summary"] {
        assert_eq!(usual[part], other[part], "{name}: {part}");
    }
}

#[test]
fn json_lines_of_a_file_are_in_order_from_the_first_one() {
    let straight = packets_of("two-proxies-outer-guilty.pcapng");
    let mixed = in_blocks(&straight, 100 * MILLISECOND);
    let folder = tempfile::tempdir().unwrap();
    let lines = |packets: &[Packet]| {
        let file = folder.path().join("capture.pcapng");
        fs::write(&file, pcapng(packets)).unwrap();
        let output = hop101()
            .arg("read")
            .arg(&file)
            .args(["--format", "jsonl", "--fail-on", "never"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            forget_frames(&mut line);
            line
        });
        lines
            .filter(|line| line["type"] != "summary")
            .collect::<Vec<_>>()
    };
    let wanted = lines(&straight);
    assert!(wanted.len() > 1);
    assert_eq!(lines(&mixed), wanted);
}

/// Then times are wrong and the order is right.
#[test]
fn a_clock_set_back_by_a_little_puts_nothing_in_another_order() {
    for name in ["not-found.pcapng", "unauthorized.pcapng", "healthy.pcapng"] {
        let straight = packets_of(name);
        let answer = straight.len() / 2;
        let mut set = straight.clone();
        for packet in &mut set[answer..] {
            packet.at -= MILLISECOND / 2;
        }
        let told = |packets: &[Packet]| {
            let report = run(packets, &["--quiet"]).0;
            let of = |one: &Value| (one["verdict"].clone(), one["cause"].clone());
            let handshakes = report["handshakes"].as_array().unwrap();
            handshakes.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(told(&set), told(&straight), "{name}");
    }
}

#[test]
fn what_cannot_be_read_twice_says_that_it_is_mixed_up() {
    let mixed = in_blocks(
        &packets_of("upgrade-not-forwarded.pcapng"),
        100 * MILLISECOND,
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.pcapng");
    fs::write(&file, pcapng(&mixed)).unwrap();

    let mut cat = Command::new("cat")
        .arg(&file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pipe = Stdio::from(cat.stdout.take().unwrap());
    for stdin in [pipe, File::open(&file).unwrap().into()] {
        let output = hop101()
            .args(["read", "-", "--format", "json", "--fail-on", "never"])
            .stdin(stdin)
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut limits = report["limits"].as_array().unwrap().iter();
        let limit = limits.find(|limit| limit["kind"] == "order").unwrap();
        assert!(limit["detail"].as_str().unwrap().contains("reordercap"));
        assert_eq!(report["handshakes"][0]["verdict"], "unclear");
    }
    cat.wait().unwrap();
}
