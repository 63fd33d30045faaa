//! Any capture people really have: every sample wrapped anew must tell the same story, and a worse one no other story.

mod containers;
mod counted;
mod cut;
mod links;
mod lost;
mod order;
mod parted;
mod worse;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use hop101::capture::LinkType;
use serde_json::{Value, json};

use crate::pipeline::{Packet, keys_in, packets, pcapng, read};
use crate::samples::Sample;
use crate::support::root;

/// The files of every sample.
fn samples() -> Vec<(String, Vec<Vec<u8>>)> {
    Sample::all()
        .iter()
        .map(|sample| {
            let files = &sample.files;
            let name = files[0].file_name().unwrap().to_str().unwrap().to_owned();
            (
                name,
                files.iter().map(|file| fs::read(file).unwrap()).collect(),
            )
        })
        .collect()
}

/// Every capture of a case by itself.
fn cases() -> Vec<(String, Vec<Vec<u8>>)> {
    let mut found = Vec::new();
    captures_below(&root().join("tests/cases"), &mut found);
    found.sort();
    assert!(found.len() > 90, "{} cases with captures", found.len());
    found
}

/// Every capture of a case with TLS keys.
fn with_keys() -> Vec<(String, Vec<Vec<u8>>)> {
    let mut found = Vec::new();
    captures_below(&root().join("tests/cases/with-keys"), &mut found);
    found.sort();
    found
}

fn captures_below(folder: &Path, found: &mut Vec<(String, Vec<Vec<u8>>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.extension().unwrap_or_default();
        if path.is_dir() {
            captures_below(&path, found);
        } else if kind == "pcap" || kind == "pcapng" {
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            found.push((name, vec![fs::read(&path).unwrap()]));
        }
    }
}

fn report(files: &[Vec<u8>]) -> Value {
    let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
    let outcome = read(&files);
    assert!(outcome.errors.is_empty(), "{:?}", outcome.errors);
    outcome.report
}

/// Everything but what the wrapping is about: name, format, size, link type and interfaces of the files.
fn unwrapped(mut report: Value) -> Value {
    for capture in report["captures"].as_array_mut().unwrap() {
        for field in [
            "path",
            "format",
            "compression",
            "bytes",
            "link_types",
            "dropped",
        ] {
            capture[field] = Value::Null;
        }
    }
    for connection in report["connections"].as_array_mut().unwrap() {
        connection["interfaces"] = Value::Null;
    }
    report
}

/// Where two documents differ first.
fn difference(got: &Value, wanted: &Value, at: &str) -> Option<String> {
    match (got, wanted) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => a
            .iter()
            .find_map(|(key, value)| difference(value, &b[key], &format!("{at}.{key}"))),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(place, (a, b))| difference(a, b, &format!("{at}[{place}]"))),
        _ if got == wanted => None,
        _ => Some(format!("{at} is {got}, not {wanted}")),
    }
}

/// Collects what differs in a test, to be told at its end.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn same(&mut self, got: &Value, wanted: &Value, what: &str) {
        if let Some(difference) = difference(got, wanted, "report") {
            self.0.push(format!("{what}: {difference}"));
        }
    }

    fn none(self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

/// The files of a sample with their frames changed.
fn each(files: &[Vec<u8>], change: impl Fn(Vec<Packet>) -> Vec<Packet>) -> Vec<Vec<u8>> {
    files
        .iter()
        .map(|file| pcapng(&change(packets(file))))
        .collect()
}

/// Every frame as a capture with this snap length has it.
fn cut_at(snaplen: usize) -> impl Fn(Vec<Packet>) -> Vec<Packet> {
    move |mut packets| {
        for packet in &mut packets {
            packet.data.truncate(snaplen);
        }
        packets
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// The story without frame numbers and times.
fn story(report: &Value) -> Value {
    let handshakes = report["handshakes"].as_array().unwrap();
    let told: Vec<Value> = handshakes
        .iter()
        .map(|handshake| {
            let hops = handshake["hops"].as_array().unwrap();
            let hops: Vec<Value> = hops
                .iter()
                .map(|hop| {
                    json!([
                        hop["role"],
                        hop["request"]["target"],
                        hop["request"]["key"],
                        hop["response"]["status"],
                        hop["accept"],
                        hop["changes"]
                    ])
                })
                .collect();
            let session = &handshake["session"];
            json!([
                handshake["verdict"],
                handshake["cause"],
                handshake["answered_by"],
                hops,
                session["close"],
                session["ended_by"],
                session["to_server"],
                session["to_client"]
            ])
        })
        .collect();
    json!({"connections": report["summary"]["connections"], "handshakes": told, "codes": codes(report, "info")})
}

/// Codes of findings worse than `above`.
fn codes(report: &Value, above: &str) -> BTreeSet<String> {
    let findings = report["findings"].as_array().unwrap();
    findings
        .iter()
        .filter(|one| one["severity"] != "info" && one["severity"] != above)
        .map(|one| one["code"].as_str().unwrap().to_owned())
        .collect()
}

/// The frame without its link layer: EtherType and what follows it.
fn network(packet: &Packet) -> (&[u8], &[u8]) {
    let (kind, header) = match packet.link {
        LinkType::ETHERNET => (12, 14),
        LinkType::LINUX_SLL => (14, 16),
        LinkType::LINUX_SLL2 => (0, 20),
        other => panic!("{other:?}"),
    };
    (&packet.data[kind..kind + 2], &packet.data[header..])
}

/// IP frames only: what a link layer is made for here.
fn is_ip(packet: &Packet) -> bool {
    matches!(network(packet).0, [0x08, 0x00] | [0x86, 0xdd])
}

/// Runs a tool of Wireshark's.
fn tool(program: &str, args: &[&str], files: &[&Path]) {
    let output = Command::new(program)
        .args(args)
        .args(files)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Each file through editcap.
fn editcap(files: &[Vec<u8>], args: &[&str]) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    files
        .iter()
        .map(|file| {
            fs::write(&from, file).unwrap();
            if !keys_in(&from).is_empty() {
                // Not every format has room for keys, and editcap does not leave them out.
                fs::write(&from, pcapng(&packets(file))).unwrap();
            }
            tool("editcap", args, &[&from, &to]);
            fs::read(&to).unwrap()
        })
        .collect()
}
