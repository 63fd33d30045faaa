//! Properties of the whole pipeline: damage costs only what it hit, and how a stream was cut into segments tells nothing, be
//! it in clear or inside TLS of which the keys are known.

use std::fs;
use std::sync::OnceLock;

use etherparse::{PacketBuilder, SlicedPacket, TransportSlice};
use hop101::capture::LinkType;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use serde_json::Value;

use crate::pipeline::{Packet, packets, packets_of, pcapng, read};
use crate::support::root;

/// What once failed is tried first.
const SEEDS_KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/properties.seeds");

/// Small captures of different kinds: failed, healthy, TLS, refused, mid-stream, TLS with keys.
const SEEDS: [&str; 7] = [
    "upgrade-not-forwarded.pcapng",
    "healthy.pcapng",
    "healthy-tls.pcapng",
    "backend-refused.pcapng",
    "mid-stream.pcapng",
    "wss-upgrade-not-forwarded.pcapng",
    "wss-both-hops.pcapng",
];

/// The seeds as files.
fn seeds() -> &'static [Vec<u8>] {
    static FILES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    FILES.get_or_init(|| SEEDS.map(|name| pcapng(&packets_of(name))).to_vec())
}

/// What a report says of the packets, without what it says of the file.
fn of_packets(mut report: Value) -> Value {
    for field in ["path", "damage"] {
        report["captures"][0][field] = Value::Null;
    }
    report
}

/// A recorded conversation: who said what, in order.
const TALK: [(bool, &[u8]); 6] = [
    (
        true,
        b"GET /ws HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    ),
    (
        false,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    ),
    (true, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
    (false, b"\x81\x05Hello\x82\x03abc"),
    (true, b"\x88\x82\x01\x02\x03\x04\x02\xea"),
    (false, b"\x88\x02\x03\xe8"),
];

/// Sessions of the lab inside TLS: with sequence numbers alone, with a state between records, with new keys on the way, with
/// a request in early data, with large and with many small records.
const SEALED_TALKS: [&str; 6] = [
    "tls13-aes128",
    "tls12-aes128-cbc-sha-mac-first",
    "key-updates",
    "early-data",
    "small-records",
    "tls12-chacha20",
];

/// A recorded conversation inside TLS: the segments of the last client that came to port 443.
fn sealed_talk(case: &str) -> Vec<(bool, Vec<u8>)> {
    const TLS: u16 = 443;
    let file = root().join("tests/cases/with-keys").join(case);
    let mut talk = Vec::new();
    for packet in packets(&fs::read(file.join("any.pcapng")).unwrap()) {
        let sliced = SlicedPacket::from_linux_sll(&packet.data).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = sliced.transport else {
            continue;
        };
        let by_client = tcp.destination_port() == TLS;
        if !by_client && tcp.source_port() != TLS {
            continue;
        }
        if tcp.syn() {
            talk.clear();
        } else if !tcp.payload().is_empty() {
            talk.push((by_client, tcp.payload().to_vec()));
        }
    }
    talk
}

/// How one message is sent: where it is cut, which pieces are sent again, and in which order the pieces arrive.
#[derive(Debug, Clone)]
struct Sending {
    cuts: Vec<prop::sample::Index>,
    again: Vec<bool>,
    order: Vec<prop::sample::Index>,
}

fn sending() -> impl Strategy<Value = Sending> {
    (
        vec(any::<prop::sample::Index>(), 0..5),
        vec(any::<bool>(), 6),
        vec(any::<prop::sample::Index>(), 0..4),
    )
        .prop_map(|(cuts, again, order)| Sending { cuts, again, order })
}

/// Builds the packets of one connection.
struct Wire {
    packets: Vec<Packet>,
    at: i64,
    /// The next numbers of client and server.
    next: [u32; 2],
    id: u16,
}

impl Wire {
    fn segment(&mut self, by_client: bool, seq: u32, control: &str, payload: &[u8]) {
        self.id += 1;
        self.at += 100_000;
        let (from, to, ports) = if by_client {
            ([192, 0, 2, 1], [192, 0, 2, 2], (40_000, 80))
        } else {
            ([192, 0, 2, 2], [192, 0, 2, 1], (80, 40_000))
        };
        let mut ip =
            etherparse::Ipv4Header::new(0, 64, etherparse::ip_number::TCP, from, to).unwrap();
        ip.identification = self.id;
        let mut tcp = etherparse::TcpHeader::new(ports.0, ports.1, seq, 64_000);
        tcp.acknowledgment_number = self.next[usize::from(by_client)];
        tcp.ack = control != "syn";
        tcp.syn = control.starts_with("syn");
        tcp.fin = control == "fin";
        let builder = PacketBuilder::ip(etherparse::IpHeaders::Ipv4(
            ip,
            etherparse::Ipv4Extensions::default(),
        ))
        .tcp_header(tcp);
        let mut data = Vec::new();
        builder.write(&mut data, payload).unwrap();
        self.packets.push(Packet::new(self.at, LinkType::RAW, data));
    }

    fn control(&mut self, by_client: bool, control: &str) {
        let sender = usize::from(!by_client);
        let seq = self.next[sender];
        self.segment(by_client, seq, control, b"");
        if control != "ack" {
            self.next[sender] = seq.wrapping_add(1);
        }
    }

    fn message(&mut self, by_client: bool, bytes: &[u8], sending: &Sending) {
        let mut cuts: Vec<usize> = sending
            .cuts
            .iter()
            .map(|cut| cut.index(bytes.len()))
            .collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        cuts.dedup();
        let mut pieces: Vec<(usize, usize)> =
            cuts.windows(2).map(|pair| (pair[0], pair[1])).collect();
        for (place, again) in sending.again.iter().enumerate() {
            if *again && place < pieces.len() {
                // Sent again, and not with the same borders.
                let (from, to) = pieces[place];
                pieces.push((from.saturating_sub(2), to));
            }
        }
        for swap in &sending.order {
            let at = swap.index(pieces.len());
            let next = (at + 1) % pieces.len();
            pieces.swap(at, next);
        }
        let sender = usize::from(!by_client);
        let start = self.next[sender];
        for (from, to) in pieces {
            let seq = start.wrapping_add(from as u32);
            self.segment(by_client, seq, "ack", &bytes[from..to]);
        }
        self.next[sender] = start.wrapping_add(bytes.len() as u32);
        self.control(!by_client, "ack");
    }
}

/// A recorded conversation, sent as told from these initial numbers on.
fn conversation<T: AsRef<[u8]>>(
    talk: &[(bool, T)],
    numbers: [u32; 2],
    sendings: &[Sending],
) -> Vec<u8> {
    let mut wire = Wire {
        packets: Vec::new(),
        at: 1_700_000_000_000_000_000,
        next: numbers,
        id: 0,
    };
    wire.control(true, "syn");
    wire.control(false, "syn-ack");
    wire.control(true, "ack");
    for ((by_client, bytes), sending) in talk.iter().zip(sendings.iter().cycle()) {
        wire.message(*by_client, bytes.as_ref(), sending);
    }
    wire.control(false, "fin");
    wire.control(true, "fin");
    wire.control(false, "ack");
    pcapng(&wire.packets)
}

/// What is said of the conversation: all but frames, times and counts of segments.
fn said(report: &Value) -> Value {
    let handshake = &report["handshakes"][0];
    let hop = &handshake["hops"][0];
    let session = &handshake["session"];
    let connection = &report["connections"][0];
    let bytes = |way: &str| {
        serde_json::json!([
            connection[way]["payload_bytes"],
            connection[way]["missing_bytes"],
            session[way]
        ])
    };
    let codes: Vec<&Value> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["code"])
        .collect();
    serde_json::json!([
        report["summary"],
        handshake["verdict"],
        handshake["cause"],
        hop["request"]["headers"],
        hop["response"]["headers"],
        hop["accept"],
        session["close"],
        session["ended_by"],
        connection["protocol"],
        connection["tls"],
        connection["opening"],
        connection["quality"],
        bytes("to_server"),
        bytes("to_client"),
        codes
    ])
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(SEEDS_KEPT))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_capture_cut_anywhere_gives_the_report_of_its_prefix_and_one_error(
        seed in 0..SEEDS.len(),
        cut in any::<prop::sample::Index>(),
    ) {
        let file = &seeds()[seed];
        let cut = cut.index(file.len());
        let outcome = read(&[&file[..cut]]);
        prop_assert!(outcome.errors.len() <= 1, "{:?}", outcome.errors);
        let frames = outcome.report["captures"][0]["frames"].as_u64().unwrap_or(0) as usize;
        if frames > 0 {
            let prefix = pcapng(&packets(file)[..frames]);
            let whole = read(&[&prefix]);
            prop_assert_eq!(of_packets(outcome.report), of_packets(whole.report));
        }
    }

    #[test]
    fn flipped_bytes_never_panic_nor_hang(
        seed in 0..SEEDS.len(),
        flips in vec((any::<prop::sample::Index>(), 1..=255u8), 1..12),
    ) {
        let mut file = seeds()[seed].clone();
        for (at, bits) in flips {
            let at = at.index(file.len());
            file[at] ^= bits;
        }
        let outcome = read(&[&file]);
        prop_assert!(outcome.errors.len() <= 1, "{:?}", outcome.errors);
    }

    #[test]
    fn flipped_packet_bytes_never_panic_nor_hang(
        seed in 0..SEEDS.len(),
        flips in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1..=255u8), 1..24),
    ) {
        let mut all = packets(&seeds()[seed]);
        for (packet, at, bits) in flips {
            let number = packet.index(all.len());
            let data = &mut all[number].data;
            let at = at.index(data.len());
            data[at] ^= bits;
        }
        let outcome = read(&[&pcapng(&all)]);
        prop_assert_eq!(outcome.errors, Vec::<String>::new());
    }

    #[test]
    fn segments_tell_nothing(
        numbers in prop_oneof![Just([0xffff_ff80_u32, 0xffff_ffff]), any::<[u32; 2]>()],
        sendings in vec(sending(), TALK.len()),
    ) {
        let plain = Sending { cuts: Vec::new(), again: Vec::new(), order: Vec::new() };
        let wanted = read(&[&conversation(&TALK, [1000, 2000], &[plain])]);
        prop_assert_eq!(&wanted.report["handshakes"][0]["verdict"], "ok");
        let got = read(&[&conversation(&TALK, numbers, &sendings)]);
        prop_assert_eq!(said(&got.report), said(&wanted.report));
    }

    #[test]
    fn segments_of_records_tell_nothing(
        case in 0..SEALED_TALKS.len(),
        numbers in prop_oneof![Just([0xffff_ff80_u32, 0xffff_ffff]), any::<[u32; 2]>()],
        sendings in vec(sending(), 24),
    ) {
        let talk = sealed_talk(SEALED_TALKS[case]);
        let plain = Sending { cuts: Vec::new(), again: Vec::new(), order: Vec::new() };
        let wanted = read(&[&conversation(&talk, [1000, 2000], &[plain])]);
        prop_assert_eq!(&wanted.report["handshakes"][0]["verdict"], "ok");
        prop_assert_eq!(&wanted.report["connections"][0]["tls"]["decrypted"], true);
        let got = read(&[&conversation(&talk, numbers, &sendings)]);
        prop_assert_eq!(said(&got.report), said(&wanted.report));
    }
}

/// Every sample, cut and spoiled again and again: at every 211th byte, or as often as `SPOIL_STEP` says (7 takes minutes).
#[test]
fn every_sample_cut_and_spoiled_throughout() {
    let step = std::env::var("SPOIL_STEP").map_or(211, |step| step.parse().unwrap());
    let mut tried = 0;
    for sample in crate::samples::Sample::all() {
        for path in &sample.files {
            let file = std::fs::read(path).unwrap();
            for at in (0..file.len()).step_by(step) {
                let cut = read(&[&file[..at]]);
                assert!(
                    cut.errors.len() <= 1,
                    "{path:?} cut at {at}: {:?}",
                    cut.errors
                );
                let mut spoiled = file.clone();
                spoiled[at] ^= 1 << (at / step % 8);
                let spoiled = read(&[&spoiled]);
                assert!(
                    spoiled.errors.len() <= 1,
                    "{path:?} spoiled at {at}: {:?}",
                    spoiled.errors
                );
                tried += 2;
            }
        }
    }
    assert!(tried > 300_000 / step, "{tried}");
}
