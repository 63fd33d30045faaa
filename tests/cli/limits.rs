//! What is given up, and that the report says so: each limit met on purpose, with what nothing else may suffer.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use hop101::capture::LinkType;
use serde_json::Value;

use crate::pipeline::{Packet, pcapng};
use crate::support::{hop101, read_json};

const FIN: u8 = 1;
const SYN: u8 = 2;
const PUSH: u8 = 8;
const ACK: u8 = 16;

const SERVER: [u8; 4] = [192, 168, 50, 1];

/// The packets of one connection, a tenth of a millisecond apart, without link layer.
struct Wire {
    client: [u8; 4],
    at: i64,
    seq: [u32; 2],
    packets: Vec<Packet>,
}

impl Wire {
    /// A connection that is open.
    fn open(number: u16, at_ms: i64) -> Self {
        let [high, low] = number.to_be_bytes();
        let mut wire = Self {
            client: [10, 7, high, low],
            at: 1_750_000_000_000_000_000 + at_ms * 1_000_000,
            seq: [1000, 5000],
            packets: Vec::new(),
        };
        wire.segment(true, SYN, b"");
        wire.segment(false, SYN | ACK, b"");
        wire.segment(true, ACK, b"");
        wire
    }

    fn packet(&mut self, data: Vec<u8>) {
        self.at += 100_000;
        self.packets.push(Packet::new(self.at, LinkType::RAW, data));
    }

    /// Header of IPv4, with these bytes for flags and offset.
    fn ip(&self, to_server: bool, protocol: u8, fragment: [u8; 2], len: usize) -> Vec<u8> {
        let [high, low] = (20 + len as u16).to_be_bytes();
        let mut header = vec![
            0x45,
            0,
            high,
            low,
            0,
            1,
            fragment[0],
            fragment[1],
            64,
            protocol,
            0,
            0,
        ];
        let ends = if to_server {
            [self.client, SERVER]
        } else {
            [SERVER, self.client]
        };
        header.extend(ends.concat());
        header
    }

    fn segment(&mut self, to_server: bool, flags: u8, payload: &[u8]) {
        let (own, peer) = if to_server { (0, 1) } else { (1, 0) };
        let ports: [u16; 2] = if to_server {
            [40_000, 80]
        } else {
            [80, 40_000]
        };
        let mut data = self.ip(to_server, 6, [0x40, 0], 20 + payload.len());
        data.extend(ports.map(u16::to_be_bytes).concat());
        data.extend(self.seq[own].to_be_bytes());
        data.extend(if flags & ACK == 0 { 0 } else { self.seq[peer] }.to_be_bytes());
        data.extend([0x50, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
        data.extend(payload);
        self.seq[own] += payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.packet(data);
    }

    fn client(mut self, bytes: &[u8]) -> Self {
        for part in bytes.chunks(1400) {
            self.segment(true, PUSH | ACK, part);
        }
        self
    }

    fn server(mut self, bytes: &[u8]) -> Self {
        for part in bytes.chunks(1400) {
            self.segment(false, PUSH | ACK, part);
        }
        self
    }

    /// A handshake with a key of its own, and the first message.
    fn up(self, extensions: &str) -> Self {
        let key = format!("{:0>21}A==", u32::from_be_bytes(self.client));
        let accept = hop101::websocket::Accept::for_key(key.as_bytes());
        let accept = accept.as_str();
        self.client(
            format!(
                "GET /ws HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{extensions}\r\n"
            )
            .as_bytes(),
        )
        .server(
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n{extensions}\r\n"
            )
            .as_bytes(),
        )
    }

    fn closed(mut self) -> Self {
        self = self
            .client(b"\x88\x82\x01\x02\x03\x04\x02\xea")
            .server(b"\x88\x02\x03\xe8");
        self.segment(false, FIN | ACK, b"");
        self.segment(true, FIN | ACK, b"");
        self.segment(false, ACK, b"");
        self
    }
}

fn read(folder: &Path, packets: &[Packet], args: &[&str]) -> Value {
    let file = folder.join("limits.pcapng");
    fs::write(&file, pcapng(packets)).unwrap();
    read_json(&[file], args).0
}

fn limits(report: &Value) -> Vec<(&str, &str)> {
    let limits = report["limits"].as_array().unwrap();
    limits
        .iter()
        .map(|one| {
            (
                one["kind"].as_str().unwrap(),
                one["detail"].as_str().unwrap(),
            )
        })
        .collect()
}

#[test]
fn a_head_without_end_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut head = b"GET /ws HTTP/1.1\r\nHost: a.example\r\n".to_vec();
    while head.len() < 300_000 {
        head.extend(b"X-Filler: 0123456789012345678901234567890123456789\r\n");
    }
    let long = Wire::open(1, 0).client(&head);
    let next = Wire::open(2, 5000).up("").closed();
    let report = read(folder.path(), &[long.packets, next.packets].concat(), &[]);
    let found = limits(&report);
    assert_eq!(found[0].0, "head", "{found:?}");
    assert!(
        found[0]
            .1
            .starts_with("a request head is longer than 65 kB"),
        "{found:?}"
    );
    assert_eq!(report["summary"]["ok"], 1);
}

/// nginx puts the fields of a request behind its own variables: a key behind a long cookie may not be reached.
#[test]
fn variables_of_a_request_that_go_on_too_long_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let request = |cookie: usize| {
        let variables = [
            ("CONTENT_LENGTH", "0".to_owned()),
            ("SCGI", "1".to_owned()),
            ("HTTP_COOKIE", "x".repeat(cookie)),
            (
                "HTTP_SEC_WEBSOCKET_KEY",
                "dGhlIHNhbXBsZSBub25jZQ==".to_owned(),
            ),
        ];
        let variables = variables.map(|(name, value)| format!("{name}\0{value}\0"));
        let variables = variables.concat();
        format!("{}:{variables},", variables.len())
    };
    let found = |cookie| {
        let request = request(cookie);
        let mut wire = Wire::open(1, 0);
        for part in request.as_bytes().chunks(1400) {
            wire = wire.client(part);
        }
        let wire = wire.server(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let report = read(folder.path(), &wire.packets, &[]);
        let codes = report["findings"].as_array().unwrap().clone();
        let limits = limits(&report);
        (
            codes.iter().any(|one| one["code"] == "cgi-to-backend"),
            limits.iter().any(|(kind, detail)| {
                *kind == "head" && detail.contains("SCGI are longer than 16 kB")
            }),
        )
    };
    assert_eq!(found(4000), (true, false));
    assert_eq!(found(20_000), (false, true));
}

#[test]
fn a_bomb_is_not_inflated_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut bomb = DeflateEncoder::new(Vec::new(), Compression::best());
    for _ in 0..50 {
        bomb.write_all(&vec![b'a'; 1 << 20]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    let mut message = vec![0xc1, 127];
    message.extend((bomb.len() as u64).to_be_bytes());
    message.extend(&bomb);
    let session = Wire::open(1, 0)
        .up("Sec-WebSocket-Extensions: permessage-deflate\r\n")
        .server(&message)
        .closed();
    let report = read(folder.path(), &session.packets, &[]);
    let found = limits(&report);
    assert_eq!(found[0].0, "inflation", "{found:?}");
    let session = &report["handshakes"][0]["session"];
    assert_eq!(session["to_client"]["messages"], 1);
    assert_eq!(session["close"]["answered"], true);
}

#[test]
fn fragments_without_rest_give_way_and_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut flood = Wire::open(1, 0);
    for number in 0..4000_u16 {
        let mut data = flood.ip(true, 6, [0x20, 0], 1400);
        data[4..6].copy_from_slice(&number.to_be_bytes());
        data.extend([b'x'; 1400]);
        flood.packet(data);
    }
    let next = Wire::open(2, 5000).up("").closed();
    let packets = [flood.packets, next.packets].concat();
    let report = read(folder.path(), &packets, &["--memory", "16M"]);
    let found = limits(&report);
    assert!(
        found
            .iter()
            .any(|(kind, detail)| *kind == "fragments" && detail.contains("more fragments waited")),
        "{found:?}"
    );
    assert_eq!(report["summary"]["ok"], 1);
}

#[test]
fn of_many_connections_the_longest_idle_ones_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut packets = Vec::new();
    for number in 0..1000 {
        packets.extend(Wire::open(number, i64::from(number)).up("").packets);
    }
    packets.sort_by_key(|packet| packet.at);
    let whole = read(folder.path(), &packets, &[]);
    let tight = read(folder.path(), &packets, &["--memory", "1M"]);
    assert!(limits(&whole).is_empty());
    let found = limits(&tight);
    let kinds = |wanted: &str| found.iter().any(|(kind, _)| *kind == wanted);
    assert!(kinds("connections") || kinds("memory"), "{found:?}");
    let early = found
        .iter()
        .position(|(_, detail)| detail.contains("closed early"));
    assert_eq!(tight["limits"][early.unwrap()]["connection"], "c1");
    // Nothing else is lost.
    assert_eq!(tight["summary"], whole["summary"]);
    assert_eq!(whole["summary"]["ok"], 1000);
}

/// Heads that never end, on many connections: together they must not take more than allowed, however many there are and
/// whatever the times say.
#[test]
fn of_many_heads_on_their_way_the_longest_idle_go() {
    let folder = tempfile::tempdir().unwrap();
    let start = b"GET /ws HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nX-Filler: ";
    let head = [&start[..], &vec![b'x'; 40_000]].concat();
    let mut packets = Wire::open(1, 0).up("").packets;
    for number in 2..302 {
        let mut flood = Wire::open(number, 1000).client(&head).packets;
        for packet in &mut flood {
            packet.at = flood_time(number);
        }
        packets.extend(flood);
    }
    let next = Wire::open(400, 5000).up("").closed();
    packets.extend(next.packets);
    let whole = read(folder.path(), &packets, &[]);
    let tight = read(folder.path(), &packets, &["--memory", "8M"]);
    let on_their_way = |report: &Value| {
        let found = limits(report);
        let mut all = found.iter();
        all.any(|(kind, detail)| *kind == "memory" && detail.contains("heads on their way"))
    };
    assert!(!on_their_way(&whole), "{:?}", limits(&whole));
    assert!(on_their_way(&tight), "{:?}", limits(&tight));
    // What holds little stays: the tunnel that was there before, and the one after.
    assert_eq!(tight["summary"]["ok"], 2);
    assert_eq!(tight["summary"]["connections"], 302);
}

/// The time of all frames of one connection of a flood: the clock tells nothing.
fn flood_time(number: u16) -> i64 {
    1_750_000_001_000_000_000 + i64::from(number)
}

#[test]
fn bytes_behind_holes_give_way_when_there_are_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let mut packets = Vec::new();
    for number in 0..4 {
        let mut wire = Wire::open(number, 0).up("");
        let message = [&[0x82, 126, 0x03, 0xe8][..], &[b'x'; 1000]].concat();
        wire = wire.server(&message);
        // Never seen, and nothing is acknowledged from here on.
        wire.packets.pop();
        for _ in 0..150 {
            wire = wire.server(&message);
        }
        packets.extend(wire.packets);
    }
    packets.sort_by_key(|packet| packet.at);
    let whole = read(folder.path(), &packets, &[]);
    let tight = read(folder.path(), &packets, &["--memory", "1M"]);
    let memory = |report: &Value| limits(report).iter().any(|(kind, _)| *kind == "memory");
    assert!(!memory(&whole) && memory(&tight), "{:?}", limits(&tight));
    let quality = |report: &Value, kind: &str| {
        let connections = report["connections"].as_array().unwrap();
        connections
            .iter()
            .filter(|one| one["quality"].as_array().unwrap().contains(&kind.into()))
            .count()
    };
    assert_eq!(
        (quality(&whole, "given-up"), quality(&whole, "lost")),
        (0, 4)
    );
    assert!(quality(&tight, "given-up") > 0);
    let messages = |report: &Value| {
        let handshakes = report["handshakes"].as_array().unwrap();
        let counts = handshakes
            .iter()
            .map(|one| one["session"]["to_client"]["messages"].as_u64().unwrap());
        counts.collect::<Vec<_>>()
    };
    assert_eq!(messages(&whole), [150; 4]);
    assert_eq!(messages(&tight), [150; 4]);
}

#[test]
fn a_scan_does_not_drown_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let mut packets = Wire::open(1, 0).up("").closed().packets;
    let mut scan = Wire::open(2, 5000);
    for port in 1..=20_000_u16 {
        let mut data = scan.ip(true, 6, [0x40, 0], 20);
        data.extend([0xd4, 0x31]);
        data.extend(port.to_be_bytes());
        data.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, SYN, 4, 0, 0, 0, 0, 0]);
        scan.packet(data);
    }
    packets.extend(scan.packets);
    let report = read(folder.path(), &packets, &[]);
    assert_eq!(report["summary"]["connections"], 20_002);
    assert!(report["connections"].as_array().unwrap().len() <= 1001);
    assert!(limits(&report).iter().any(|(kind, _)| *kind == "unlisted"));
    for form in ["table", "markdown", "html", "jsonl"] {
        let output = hop101()
            .args(["read", "limits.pcapng", "--format", form])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(
            output.stdout.len() < 16_000,
            "{form}: {} bytes",
            output.stdout.len()
        );
    }
}
