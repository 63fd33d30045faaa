//! What is fuzzed: each parser behind one function of bytes. Shared by the fuzz targets and, replaying the kept corpora
//! and mutations of them, by the tests that run everywhere.
//!
//! Streams are written as records of a control byte, a length byte and as many bytes: see [`steps`].

use std::collections::BTreeMap;
use std::io::Cursor;

use hop101::capture::{
    CaptureId, CaptureInfo, Frame, FrameNo, FrameRef, LinkType, Reader, Timestamp,
};
use hop101::decode::{Decoded, Decoder, Endpoint, Key, Segment, SeqNo, TcpFlags};
use hop101::engine::{Engine, Options, Selection};
use hop101::hop::Clocks;
use hop101::http::Conversation;
use hop101::report::{Collector, Keep, Redact, html, json, markdown, table};
use hop101::tcp::{
    Chunk, Connection, Direction, EndingHow, Gap, GapCause, Handler, Interest, Limits, StreamEnd,
    Table,
};
use hop101::tls::{Clear, KeyLog, Opened, Sight};
use hop101::websocket::{Depth, Session};

/// A name and what it does with bytes.
pub(crate) type Hook = (&'static str, fn(&[u8]));

/// All targets; a folder of `corpus/` has the name of each.
pub(crate) const HOOKS: [Hook; 7] = [
    ("container", container),
    ("decode", decode),
    ("reassembly", reassembly),
    ("http", http),
    ("ws_frames", ws_frames),
    ("tls_records", tls_records),
    ("whole", whole),
];

/// What a compressed input may inflate to here: a bomb must not stop the fuzzing.
const INFLATED_MAX: u64 = 1 << 20;

fn frame_ref(number: u64) -> FrameRef {
    FrameRef::new(
        Timestamp::from_nanos((number * 1_000_000).cast_signed()),
        CaptureId(0),
        FrameNo(number),
    )
}

/// Reads a capture file to its end: frames, then at most one error.
pub(crate) fn container(data: &[u8]) {
    let source = Box::new(Cursor::new(data.to_vec()));
    let Ok(mut reader) = Reader::from_read(source, "fuzz", CaptureId(0)) else {
        return;
    };
    let mut frames = 0;
    loop {
        match reader.next_frame() {
            Ok(Some(frame)) => {
                frames += 1;
                assert!(frame.id.number().0 >= frames);
            }
            Ok(None) => break,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert_eq!(
                    reader.info().damage.as_deref(),
                    Some(error.problem.to_string().as_str())
                );
                break;
            }
        }
        if reader.info().bytes > INFLATED_MAX {
            return;
        }
    }
    assert_eq!(reader.info().frames, frames);
    assert!(matches!(reader.next_frame(), Ok(None)));
}

/// Decodes frames: the first byte chooses the link type, then each frame has two bytes of length in front.
pub(crate) fn decode(data: &[u8]) {
    const LINKS: [u32; 12] = [1, 276, 113, 101, 0, 108, 9, 51, 105, 127, 192, 258];
    let Some((&link, mut rest)) = data.split_first() else {
        return;
    };
    let link = LinkType(LINKS[usize::from(link) % LINKS.len()]);
    let mut decoder = Decoder::new();
    let mut number = 0;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (frame, after) = after.split_at(length);
        rest = after;
        number += 1;
        let frame = Frame {
            id: frame_ref(number),
            interface: 0,
            link,
            wire_len: u32::try_from(frame.len()).unwrap_or(u32::MAX),
            data: frame,
        };
        if let Decoded::Tcp(segment) = decoder.decode(&frame) {
            assert!(segment.payload.len() <= data.len());
        }
    }
}

/// What happens on a stream.
enum Step<'a> {
    Bytes(&'a [u8]),
    Gap(u64),
    End(EndingHow),
}

/// Reads steps: of the control byte, bit 0 is the direction, bits 1 and 2 what happens (bytes, a hole of the length
/// byte, FIN, RST). The other five are passed on.
fn steps(mut data: &[u8]) -> impl Iterator<Item = (u8, Direction, Step<'_>)> {
    std::iter::from_fn(move || {
        let ([control, length], rest) = data.split_first_chunk::<2>()?;
        let direction = if control & 1 == 0 {
            Direction::ToServer
        } else {
            Direction::ToClient
        };
        let step = match control >> 1 & 3 {
            0 => {
                let (bytes, rest) = rest.split_at(usize::from(*length).min(rest.len()));
                data = rest;
                return Some((control >> 3, direction, Step::Bytes(bytes)));
            }
            1 => Step::Gap(u64::from(*length) + 1),
            2 => Step::End(EndingHow::Fin),
            _ => Step::End(EndingHow::Rst),
        };
        data = rest;
        Some((control >> 3, direction, step))
    })
}

/// What a reader of streams is told.
trait Told {
    fn bytes(&mut self, chunk: &Chunk<'_>);
    fn gap(&mut self, gap: &Gap);
    fn ended(&mut self, end: &StreamEnd);
}

/// Tells a reader the steps, with positions and frames as the table gives them.
fn tell(data: &[u8], reader: &mut impl Told) {
    let mut positions = [0_u64; 2];
    let mut ended = [false; 2];
    for ((_, direction, step), number) in steps(data).zip(1..) {
        let way = usize::from(direction == Direction::ToClient);
        if ended[way] {
            continue;
        }
        let frame = frame_ref(number);
        let position = positions[way];
        match step {
            Step::Bytes([]) => {}
            Step::Bytes(data) => {
                positions[way] += data.len() as u64;
                reader.bytes(&Chunk {
                    direction,
                    position,
                    data,
                    frame,
                });
            }
            Step::Gap(len) => {
                positions[way] += len;
                reader.gap(&Gap {
                    direction,
                    position,
                    len,
                    cause: GapCause::NotCaptured,
                    frame,
                });
            }
            Step::End(how) => {
                ended[way] = true;
                reader.ended(&StreamEnd {
                    direction,
                    how,
                    frame,
                });
            }
        }
    }
}

struct Http(Conversation, u64);

impl Told for Http {
    fn bytes(&mut self, chunk: &Chunk<'_>) {
        let mut events = Vec::new();
        let used = self.0.bytes(chunk, &mut events);
        assert!(used <= chunk.data.len());
        self.1 += events.len() as u64;
        drop(self.0.take_handover());
    }

    fn gap(&mut self, gap: &Gap) {
        self.0.gap(gap, &mut Vec::new());
    }

    fn ended(&mut self, end: &StreamEnd) {
        self.0
            .ended(end.direction, end.frame, false, &mut Vec::new());
    }
}

/// Follows an HTTP conversation, from its beginning or from somewhere in the middle.
pub(crate) fn http(data: &[u8]) {
    for conversation in [Conversation::new(), Conversation::midstream()] {
        let mut http = Http(conversation, 0);
        tell(data, &mut http);
        // An event stands for at least one byte or step.
        assert!(http.1 <= 4 * data.len() as u64);
    }
}

struct Ws(Session);

impl Told for Ws {
    fn bytes(&mut self, chunk: &Chunk<'_>) {
        self.0.bytes(chunk);
    }

    fn gap(&mut self, gap: &Gap) {
        self.0.gap(gap);
    }

    fn ended(&mut self, end: &StreamEnd) {
        self.0.ended(end);
    }
}

/// Reads ws frames: right behind a 101, and of a session that was up before.
pub(crate) fn ws_frames(data: &[u8]) {
    let first = frame_ref(1);
    for session in [
        Session::new(first, None, Depth::BOUNDED),
        Session::answer_unseen(first, Depth::BOUNDED),
        Session::midstream(first, Depth::BOUNDED),
    ] {
        let mut ws = Ws(session);
        tell(data, &mut ws);
        drop(ws.0.facts());
    }
}

#[derive(Default)]
struct Tls {
    sight: Sight,
    keys: KeyLog,
    opened: Opened,
    /// Where the clear bytes of each direction go on.
    next: [u64; 2],
}

impl Tls {
    fn with(keys: KeyLog) -> Self {
        Self {
            keys,
            ..Self::default()
        }
    }

    fn check(&mut self) {
        for piece in self.opened.pieces() {
            let (direction, position, len) = match piece {
                Clear::Bytes(chunk) => (chunk.direction, chunk.position, chunk.data.len() as u64),
                Clear::Gap(gap) => (gap.direction, gap.position, gap.len),
            };
            let next = &mut self.next[usize::from(direction == Direction::ToClient)];
            assert_eq!(position, *next);
            assert!(len > 0);
            *next += len;
        }
        self.opened.clear();
    }
}

impl Told for Tls {
    fn bytes(&mut self, chunk: &Chunk<'_>) {
        self.sight.bytes(chunk, &self.keys, &mut self.opened);
        self.check();
    }

    fn gap(&mut self, gap: &Gap) {
        self.sight.gap(gap, &self.keys, &mut self.opened);
        self.check();
    }

    fn ended(&mut self, end: &StreamEnd) {
        self.sight
            .ended(end.direction, &self.keys, &mut self.opened);
        self.check();
    }
}

/// Reads TLS records: without keys, with keys that are there from the start, with keys that come at the end.
pub(crate) fn tls_records(data: &[u8]) {
    let mut tls = Tls::default();
    tell(data, &mut tls);
    let Some(random) = tls.sight.facts().client_random else {
        return;
    };
    let random: Vec<String> = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let random = random.concat();
    let mut keys = KeyLog::default();
    for (label, len) in [
        ("CLIENT_RANDOM", 48),
        ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", 48),
        ("SERVER_HANDSHAKE_TRAFFIC_SECRET", 48),
        ("CLIENT_TRAFFIC_SECRET_0", 48),
        ("SERVER_TRAFFIC_SECRET_0", 48),
    ] {
        keys.add(format!("{label} {random} {}", "5a".repeat(len)).as_bytes());
    }
    let mut tls = Tls::with(keys.clone());
    tell(data, &mut tls);
    drop(tls.sight.facts());
    let mut waiting = KeyLog::default();
    waiting.expect();
    let mut tls = Tls::with(waiting);
    tell(data, &mut tls);
    tls.sight.late(&keys, &mut tls.opened);
    tls.check();
    assert!(tls.sight.held() < 1 << 20);
}

/// Checks that every position is delivered once, in order.
#[derive(Default)]
struct Ordered {
    open: u32,
}

impl Handler for Ordered {
    type State = [u64; 2];

    fn opened(&mut self, _: &Connection) -> [u64; 2] {
        self.open += 1;
        [0; 2]
    }

    fn bytes(&mut self, _: &Connection, next: &mut [u64; 2], chunk: Chunk<'_>) -> Interest {
        let next = &mut next[usize::from(chunk.direction == Direction::ToClient)];
        assert_eq!(chunk.position, *next);
        assert!(!chunk.data.is_empty());
        *next += chunk.data.len() as u64;
        Interest::Bytes
    }

    fn gap(&mut self, _: &Connection, next: &mut [u64; 2], gap: Gap) -> Interest {
        let next = &mut next[usize::from(gap.direction == Direction::ToClient)];
        assert_eq!(gap.position, *next);
        assert!(gap.len > 0);
        *next += gap.len;
        Interest::Bytes
    }

    fn ended(&mut self, _: &Connection, _: &mut [u64; 2], _: StreamEnd) {}

    fn closed(&mut self, _: Connection, state: Option<[u64; 2]>) {
        self.open -= u32::from(state.is_some());
    }
}

/// Puts segments in order: records of eight bytes (direction and port, flags, the low 12 bits of sequence and
/// acknowledgment number, window, length, bytes missing, milliseconds since the last one).
pub(crate) fn reassembly(data: &[u8]) {
    const PAYLOAD: [u8; 256] = [b'x'; 256];
    let ends = |port: u8| {
        (
            Endpoint::v4([192, 0, 2, 1], 40_000 + u16::from(port)),
            Endpoint::v4([192, 0, 2, 2], 80),
        )
    };
    let limits = Limits {
        stream_bytes: 4096,
        total_bytes: 8192,
        connections: 3,
        embryos: 3,
        state_bytes: 1 << 20,
    };
    let mut table = Table::new(limits);
    let mut ordered = Ordered::default();
    let mut at = 0;
    let (records, _) = data.as_chunks::<8>();
    for (&[who, flags, seq, ack, high, length, missing, wait], number) in records.iter().zip(1..) {
        at += i64::from(wait) * 50_000_000;
        let (client, server) = ends(who >> 1 & 7);
        let (source, destination) = if who & 1 == 0 {
            (client, server)
        } else {
            (server, client)
        };
        let (key, sender) = Key::new(source, destination);
        // Close to the wrap of the numbers.
        let number_of = |low: u8, high: u8| {
            SeqNo(0xffff_f800_u32.wrapping_add(u32::from(low) | u32::from(high) << 8))
        };
        table.segment(
            &mut ordered,
            &Segment {
                frame: frame_ref(number).with_time(Timestamp::from_nanos(at)),
                key,
                sender,
                seq: number_of(seq, high & 15),
                ack: number_of(ack, high >> 4),
                flags: TcpFlags(flags & 0x1f),
                window: if who & 0x80 == 0 { 1000 } else { 0 },
                payload: &PAYLOAD[..usize::from(length)],
                missing: u32::from(missing & 0x0f),
                ip_id: 0,
                hop_limit: 64,
                interface: u32::from(who >> 6 & 1),
            },
        );
    }
    table.finish(&mut ordered);
    assert_eq!(ordered.open, 0);
    assert!(table.is_empty());
}

/// A connection of [`whole`]: the numbers with which its two sides go on.
#[derive(Clone, Copy)]
struct Sides {
    next: [u32; 2],
    is_open: bool,
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

impl Sides {
    /// A packet that one of them sends: IPv4 and TCP, without checksums.
    fn packet(&mut self, which: u8, direction: Direction, flags: u8, payload: &[u8]) -> Vec<u8> {
        // Even ones lead from a client to a proxy, odd ones from there to a backend.
        let (client, server) = match which % 2 {
            0 => ([192, 0, 2, 1, 156, 64 + which], [192, 0, 2, 2, 0, 80]),
            _ => ([192, 0, 2, 2, 195, 80 + which], [192, 0, 2, 3, 31, 144]),
        };
        let (from, to, way) = match direction {
            Direction::ToServer => (client, server, 0),
            Direction::ToClient => (server, client, 1),
        };
        let size = (40 + payload.len()) as u16;
        let mut packet = vec![0x45, 0];
        packet.extend(size.to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        packet.extend(&from[..4]);
        packet.extend(&to[..4]);
        packet.extend(&from[4..]);
        packet.extend(&to[4..]);
        packet.extend(self.next[way].to_be_bytes());
        packet.extend(self.next[1 - way].to_be_bytes());
        packet.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend(payload);
        let taken = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.next[way] = self.next[way].wrapping_add(taken);
        packet
    }
}

/// The packets of [`steps`] with how long each waits, in milliseconds. Of the control byte, bits 3 and 4 choose the connection,
/// bit 5 leaves out its opening, and bits 6 and 7 say how long the step waits.
fn packets(data: &[u8]) -> Vec<(i64, Vec<u8>)> {
    use Direction::{ToClient, ToServer};
    const WAITS: [i64; 4] = [1, 400, 5_000, 60_000];
    let mut connections = [Sides {
        next: [1000, 2000],
        is_open: false,
    }; 4];
    let mut packets = Vec::new();
    for (more, direction, step) in steps(data) {
        let (which, wait) = (more & 3, WAITS[usize::from(more >> 3)]);
        let sides = &mut connections[usize::from(which)];
        if !sides.is_open && more & 4 == 0 {
            for (direction, flags) in [(ToServer, SYN), (ToClient, SYN | ACK), (ToServer, ACK)] {
                packets.push((0, sides.packet(which, direction, flags, &[])));
            }
        }
        sides.is_open = true;
        let (flags, payload) = match step {
            Step::Bytes(payload) => (ACK, payload),
            Step::Gap(len) => {
                // The other side has the bytes that the capture lacks.
                let way = usize::from(direction == ToClient);
                sides.next[way] = sides.next[way].wrapping_add(len as u32);
                let packet = sides.packet(which, direction.reverse(), ACK, &[]);
                packets.push((wait, packet));
                continue;
            }
            Step::End(EndingHow::Fin) => (FIN | ACK, &[][..]),
            Step::End(EndingHow::Rst) => (RST | ACK, &[][..]),
        };
        packets.push((wait, sides.packet(which, direction, flags, payload)));
    }
    packets
}

/// Explains a whole capture of a proxy's two sides, read or watched, in one of the forms: the length of the input chooses, for
/// pages take longer than all that leads to them.
pub(crate) fn whole(data: &[u8]) {
    const MEMORY: u64 = 16 << 20;
    let (is_watched, verbose, form) = (
        data.len() % 2 == 1,
        data.len() / 2 % 2 == 1,
        data.len() / 4 % 4,
    );
    let options = Options::new(Selection::default(), Clocks::Same, Some(MEMORY));
    let mut engine = Engine::new(options);
    let mut collector = Collector::new(Keep::default(), Redact::Standard);
    let mut info = CaptureInfo::unread(CaptureId(0), "fuzz");
    let mut at = 0;
    for ((wait, packet), number) in packets(data).iter().zip(1..) {
        at += wait * 1_000_000;
        let frame = Frame {
            id: frame_ref(number).with_time(Timestamp::from_nanos(at)),
            interface: 0,
            link: LinkType(101),
            wire_len: packet.len() as u32,
            data: packet,
        };
        engine.frame(&frame, &mut collector);
        info.frames = number;
        if is_watched {
            engine.tick(frame.id.at, &mut collector);
            drop(engine.decided());
        }
    }
    let infos = [info];
    engine.finish(&infos, &mut collector);
    collector.counted(&engine.tcp_stats());
    let report = collector.finish(&infos, BTreeMap::new());
    let mut page = Vec::new();
    let written = match form {
        0 => {
            let options = table::Options {
                width: 80,
                color: false,
                verbose,
            };
            table::write(&report, &options, &mut page)
        }
        1 => markdown::write(&report, verbose, &mut page),
        2 => html::write(&report, verbose, &mut page),
        _ => json::compact(&report, &mut page),
    };
    written.unwrap();
    let page = String::from_utf8(page).unwrap();
    assert!(!page.contains(|c: char| c.is_control() && c != '\n'));
}
