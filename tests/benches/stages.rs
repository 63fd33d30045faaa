//! Every stage by itself, on bytes made here: `cargo bench`. What is counted are packets (or bytes) per second.

#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::hint::black_box;
use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex};

use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher};

use hop101::capture::{CaptureId, Frame, FrameNo, FrameRef, LinkType, Reader, Timestamp};
use hop101::decode::{Decoded, Decoder};
use hop101::diagnosis::{self, Diagnosis, Finding, Limit};
use hop101::engine::{Engine, Observer, Options, Selection};
use hop101::hop::{self, Clocks, Handshake, Known, Record, SharedRecord};
use hop101::http::Conversation;
use hop101::report::{Collector, Keep, Redact, json};
use hop101::tcp::{Chunk, Connection, Direction, Gap, Handler, Interest, Limits, StreamEnd, Table};
use hop101::tls::{Clear, KeyLog, Opened, Sight};
use hop101::websocket::{Depth, Session};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    SupportedCipherSuite,
};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Payload bytes of a full segment (Ethernet, timestamps option).
const MSS: usize = 1448;

/// Segments in a stream.
const SEGMENTS: u32 = 1000;

const REQUEST: &[u8] =
    b"GET /ws/chat?room=1 HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n\
    Pragma: no-cache\r\nCache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
    Upgrade: websocket\r\nOrigin: https://example.com\r\nSec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate\r\nAccept-Language: en\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nServer: nginx/1.24.0\r\n\
    Date: Thu, 20 Nov 2025 14:00:00 GMT\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn frame_ref(number: u64) -> FrameRef {
    FrameRef::new(
        Timestamp::from_nanos(1_763_647_200_000_000_000 + number.cast_signed() * 10_000),
        CaptureId(0),
        FrameNo(number + 1),
    )
}

/// Ethernet, IPv4 and TCP around a payload.
fn packet(client: u8, to_server: bool, seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    bytes.extend([8, 0, 0x45, 0]);
    bytes.extend((40 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    let (client, server) = (([10, 0, 0, client], 40_000_u16), ([10, 0, 1, 1], 80_u16));
    let (from, to) = if to_server {
        (client, server)
    } else {
        (server, client)
    };
    bytes.extend(from.0);
    bytes.extend(to.0);
    bytes.extend(from.1.to_be_bytes());
    bytes.extend(to.1.to_be_bytes());
    bytes.extend(seq.to_be_bytes());
    bytes.extend(1_u32.to_be_bytes());
    bytes.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(payload);
    bytes
}

/// A connection with one long stream to the server, its segments in the order given.
fn stream(order: impl Iterator<Item = u32>) -> Vec<Vec<u8>> {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    let payload = [b'x'; MSS];
    let mut packets = vec![
        packet(1, true, 0, SYN, b""),
        packet(1, false, 0, SYN | ACK, b""),
        packet(1, true, 1, ACK, b""),
    ];
    packets.extend(order.map(|n| packet(1, true, 1 + n * MSS as u32, ACK, &payload)));
    packets
}

/// Every second pair of segments the wrong way round.
fn reordered() -> impl Iterator<Item = u32> {
    (0..SEGMENTS).map(|n| match n % 4 {
        2 => n + 1,
        3 => n - 1,
        _ => n,
    })
}

fn frame(number: usize, data: &[u8]) -> Frame<'_> {
    Frame {
        id: frame_ref(number as u64),
        interface: 0,
        link: LinkType(1),
        wire_len: data.len() as u32,
        data,
    }
}

/// A classic capture file of packets.
fn capture(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(0xa1b2_c3d4_u32.to_le_bytes());
    file.extend(0x0004_0002_u32.to_le_bytes());
    file.extend([0; 8]);
    file.extend(262_144_u32.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    for (number, packet) in packets.iter().enumerate() {
        file.extend(1_763_647_200_u32.to_le_bytes());
        file.extend((number as u32).to_le_bytes());
        file.extend((packet.len() as u32).to_le_bytes());
        file.extend((packet.len() as u32).to_le_bytes());
        file.extend(packet);
    }
    file
}

#[divan::bench]
fn container(bencher: Bencher<'_, '_>) {
    let packets = stream(0..SEGMENTS);
    let count = packets.len();
    let file = capture(&packets);
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(|| file.clone())
        .bench_values(|file| {
            let source = Box::new(Cursor::new(file));
            let mut reader = Reader::from_read(source, "bench", CaptureId(0)).unwrap();
            let mut bytes = 0;
            while let Some(frame) = reader.next_frame().unwrap() {
                bytes += frame.data.len();
            }
            bytes
        });
}

#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let packets = stream(0..SEGMENTS);
    bencher
        .counter(ItemsCount::new(packets.len()))
        .bench_local(|| {
            let mut decoder = Decoder::new();
            for (number, data) in packets.iter().enumerate() {
                black_box(decoder.decode(&frame(number, data)));
            }
        });
}

/// Counts the bytes of every stream.
struct Bytes(u64);

impl Handler for Bytes {
    type State = ();

    fn opened(&mut self, _: &Connection) {}

    fn bytes(&mut self, _: &Connection, (): &mut (), chunk: Chunk<'_>) -> Interest {
        self.0 += chunk.data.len() as u64;
        Interest::Bytes
    }

    fn gap(&mut self, _: &Connection, (): &mut (), _: Gap) -> Interest {
        Interest::Bytes
    }

    fn ended(&mut self, _: &Connection, (): &mut (), _: StreamEnd) {}

    fn closed(&mut self, _: Connection, _: Option<()>) {}
}

fn reassemble(bencher: Bencher<'_, '_>, packets: &[Vec<u8>]) {
    bencher
        .counter(ItemsCount::new(packets.len()))
        .bench_local(|| {
            let mut decoder = Decoder::new();
            let mut table = Table::new(Limits::default());
            let mut bytes = Bytes(0);
            for (number, data) in packets.iter().enumerate() {
                if let Decoded::Tcp(segment) = decoder.decode(&frame(number, data)) {
                    table.segment(&mut bytes, &segment);
                }
            }
            table.finish(&mut bytes);
            assert_eq!(bytes.0, u64::from(SEGMENTS) * MSS as u64);
        });
}

/// Decoding included, as in the next one.
#[divan::bench]
fn reassembly_in_order(bencher: Bencher<'_, '_>) {
    reassemble(bencher, &stream(0..SEGMENTS));
}

#[divan::bench]
fn reassembly_reordered(bencher: Bencher<'_, '_>) {
    reassemble(bencher, &stream(reordered()));
}

fn chunk(direction: Direction, position: u64, data: &[u8]) -> Chunk<'_> {
    Chunk {
        direction,
        position,
        data,
        frame: frame_ref(position),
    }
}

#[divan::bench]
fn http_heads(bencher: Bencher<'_, '_>) {
    bencher
        .counter(BytesCount::new(REQUEST.len() + ANSWER.len()))
        .bench_local(|| {
            let mut events = Vec::new();
            let mut conversation = Conversation::new();
            conversation.bytes(&chunk(Direction::ToServer, 0, REQUEST), &mut events);
            conversation.bytes(&chunk(Direction::ToClient, 0, ANSWER), &mut events);
            assert_eq!(events.len(), 3);
            events
        });
}

/// Binary frames of a size, masked, over full segments.
/// A TLS session by rustls: its key log, the flights of its handshake, and records to the server of so many bytes.
struct TlsSession {
    keys: KeyLog,
    flights: Vec<(Direction, Vec<u8>)>,
    records: Vec<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Lines(Mutex<Vec<u8>>);

impl rustls::KeyLog for Lines {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>();
        let (random, secret) = (hex(client_random).concat(), hex(secret).concat());
        let line = format!("{label} {random} {secret}\n");
        self.0.lock().unwrap().extend(line.into_bytes());
    }
}

fn tls_session(suite: SupportedCipherSuite, count: usize, len: usize) -> TlsSession {
    let certificate = CertificateDer::from(&include_bytes!("../../src/tls/fixtures/ec.der")[..]);
    let key = PrivatePkcs8KeyDer::from(&include_bytes!("../../src/tls/fixtures/ec_key.der")[..]);
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![suite],
        ..ring::default_provider()
    });
    let version = [suite.version()];
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let lines = Arc::new(Lines::default());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&version)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.key_log = lines.clone();
    let name = "ws.example.org".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&version)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    let mut server = ServerConnection::new(Arc::new(config)).unwrap();
    let mut flights = Vec::new();
    while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).unwrap();
        }
        server.read_tls(&mut flight.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        flights.push((Direction::ToServer, flight));
        let mut flight = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut flight).unwrap();
        }
        client.read_tls(&mut flight.as_slice()).unwrap();
        client.process_new_packets().unwrap();
        flights.push((Direction::ToClient, flight));
    }
    let payload = vec![b'x'; len];
    let record = |_| {
        client.writer().write_all(&payload).unwrap();
        let mut record = Vec::new();
        client.write_tls(&mut record).unwrap();
        record
    };
    let records = (0..count).map(record).collect();
    let mut keys = KeyLog::default();
    keys.add(&lines.0.lock().unwrap());
    TlsSession {
        keys,
        flights,
        records,
    }
}

/// Records with their keys, each in one segment or in as many as it takes. Handshake and keys are part of it.
#[divan::bench(args = ["AES128-GCM 100", "AES128-GCM 16384", "AES256-GCM 16384", "CHACHA20 16384"])]
fn tls_records(bencher: Bencher<'_, '_>, what: &str) {
    let (cipher, len) = what.split_once(' ').unwrap();
    let suite = match cipher {
        "AES128-GCM" => ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
        "AES256-GCM" => ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
        _ => ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    };
    let len = len.parse().unwrap();
    let count = 1000;
    let session = tls_session(suite, count, len);
    let mut opened = Opened::default();
    bencher
        .counter(BytesCount::new(count * len))
        .counter(ItemsCount::new(count))
        .bench_local(|| {
            let mut sight = Sight::new();
            for (direction, flight) in &session.flights {
                sight.bytes(&chunk(*direction, 0, flight), &session.keys, &mut opened);
            }
            let mut clear = 0;
            for record in &session.records {
                for segment in record.chunks(MSS) {
                    let chunk = chunk(Direction::ToServer, 0, segment);
                    sight.bytes(&chunk, &session.keys, &mut opened);
                }
                for piece in opened.pieces() {
                    if let Clear::Bytes(chunk) = piece {
                        clear += chunk.data.len();
                    }
                }
                opened.clear();
            }
            assert_eq!(clear, count * len);
        });
}

#[divan::bench(args = [100, 16_384])]
fn ws_frames(bencher: Bencher<'_, '_>, len: usize) {
    let mut carried = Vec::new();
    while carried.len() < MSS * SEGMENTS as usize {
        carried.push(0x82);
        if let Ok(short @ ..126) = u8::try_from(len) {
            carried.push(0x80 | short);
        } else {
            carried.push(0xfe);
            carried.extend((len as u16).to_be_bytes());
        }
        carried.extend([1, 2, 3, 4]);
        carried.resize(carried.len() + len, b'x');
    }
    bencher
        .counter(BytesCount::new(carried.len()))
        .bench_local(|| {
            let mut session = Session::new(frame_ref(0), None, Depth::BOUNDED);
            let mut position = 0;
            for data in carried.chunks(MSS) {
                session.bytes(&chunk(Direction::ToServer, position, data));
                position += data.len() as u64;
            }
            let facts = session.facts();
            assert!(facts.to_server.frames.binary > 0);
            facts
        });
}

/// Keeps what the engine says of a sample.
#[derive(Default)]
struct Kept {
    records: Vec<SharedRecord>,
    handshakes: Vec<(Handshake, Diagnosis)>,
}

impl Observer for Kept {
    fn handshake(&mut self, handshake: &Handshake, diagnosis: &Diagnosis) {
        self.handshakes.push((handshake.clone(), diagnosis.clone()));
    }

    fn connection(&mut self, record: &Record, _: bool) {
        self.records.push(record.clone().into());
    }

    fn finding(&mut self, _: &Finding) {}

    fn limit(&mut self, _: &Limit) {}
}

/// A handshake over two hops that failed, and what it is made of.
fn sample() -> Kept {
    let file = include_bytes!("../../samples/upgrade-not-forwarded.pcapng");
    let source = Box::new(Cursor::new(file));
    let mut reader = Reader::from_read(source, "sample", CaptureId(0)).unwrap();
    let mut engine = Engine::new(Options::new(Selection::default(), Clocks::Same, None));
    let mut kept = Kept::default();
    while let Some(frame) = reader.next_frame().unwrap() {
        engine.frame(&frame, &mut kept);
    }
    engine.finish(&[], &mut kept);
    assert_eq!(kept.handshakes.len(), 1);
    kept
}

#[divan::bench]
fn pairing(bencher: Bencher<'_, '_>) {
    let records = sample().records;
    bencher.bench_local(|| hop::pair(&records, &mut Known::default()));
}

#[divan::bench]
fn diagnose(bencher: Bencher<'_, '_>) {
    let kept = sample();
    let (handshake, _) = kept.handshakes.first().unwrap();
    bencher.bench_local(|| diagnosis::diagnose(handshake));
}

/// One failed handshake from the stages' types to JSON text.
#[divan::bench]
fn report(bencher: Bencher<'_, '_>) {
    let kept = sample();
    bencher.bench_local(|| {
        let mut collector = Collector::new(Keep::default(), Redact::Standard);
        for (handshake, diagnosis) in &kept.handshakes {
            collector.handshake(handshake, diagnosis);
        }
        let report = collector.finish(&[], std::collections::BTreeMap::default());
        let mut text = Vec::new();
        json::compact(&report, &mut text).unwrap();
        text
    });
}
