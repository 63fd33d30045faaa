//! What the table does with hand-made segments.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a test may panic"
)]

mod ending;
mod facts;
mod model;
mod opening;
mod stream;
mod table;

use std::collections::{HashMap, HashSet};

use super::{
    Chunk, Connection, ConnectionId, Direction, EndingHow, Gap, Handler, Interest, Limits,
    StreamEnd, Table,
};
use crate::capture::{CaptureId, FrameNo, FrameRef, Timestamp};
use crate::decode::{Endpoint, Key, Segment, SeqNo, TcpFlags};

pub(super) const FIN: u8 = TcpFlags::FIN | TcpFlags::ACK;
pub(super) const SYN: u8 = TcpFlags::SYN;
pub(super) const SYN_ACK: u8 = TcpFlags::SYN | TcpFlags::ACK;
pub(super) const RST: u8 = TcpFlags::RST | TcpFlags::ACK;
pub(super) const ACK: u8 = TcpFlags::ACK;

pub(super) const UP: Direction = Direction::ToServer;
pub(super) const DOWN: Direction = Direction::ToClient;

pub(super) const MS: i64 = 1_000_000;

/// What the handler was told, as text: one line per call.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) calls: Vec<String>,
    pub(super) closed: Vec<Connection>,
    pub(super) bytes: [Vec<u8>; 2],
    /// After this many bytes there is no more interest.
    pub(super) enough: Option<u64>,
    /// What is expected next, per connection and direction.
    next: HashMap<(ConnectionId, usize), u64>,
    gone: HashSet<ConnectionId>,
}

impl Log {
    /// Every position comes once and in order, and only while the connection is open.
    fn check(&mut self, id: ConnectionId, direction: Direction, position: u64, len: u64) {
        assert!(len > 0, "nothing is handed over");
        assert!(!self.gone.contains(&id), "closed already");
        let next = self.next.entry((id, place(direction))).or_default();
        assert_eq!(*next, position, "out of order");
        *next += len;
    }
}

const fn place(direction: Direction) -> usize {
    match direction {
        Direction::ToServer => 0,
        Direction::ToClient => 1,
    }
}

const fn arrow(direction: Direction) -> char {
    match direction {
        Direction::ToServer => '>',
        Direction::ToClient => '<',
    }
}

impl Handler for Log {
    type State = u64;

    fn opened(&mut self, connection: &Connection) -> u64 {
        self.calls.push(format!("{} opened", connection.id));
        0
    }

    fn bytes(&mut self, connection: &Connection, state: &mut u64, chunk: Chunk<'_>) -> Interest {
        let len = chunk.data.len() as u64;
        self.check(connection.id, chunk.direction, chunk.position, len);
        *state += chunk.data.len() as u64;
        let stream = &mut self.bytes[place(chunk.direction)];
        stream.extend_from_slice(chunk.data);
        self.calls.push(format!(
            "{}{}:{} f{}",
            arrow(chunk.direction),
            chunk.position,
            String::from_utf8_lossy(chunk.data),
            chunk.frame.number()
        ));
        if self.enough.is_some_and(|enough| *state >= enough) {
            Interest::Counters
        } else {
            Interest::Bytes
        }
    }

    fn gap(&mut self, connection: &Connection, _: &mut u64, gap: Gap) -> Interest {
        self.check(connection.id, gap.direction, gap.position, gap.len);
        self.calls.push(format!(
            "{}{}:gap {} {:?} f{}",
            arrow(gap.direction),
            gap.position,
            gap.len,
            gap.cause,
            gap.frame.number()
        ));
        Interest::Bytes
    }

    fn ended(&mut self, _: &Connection, _: &mut u64, end: StreamEnd) {
        let how = end.how.flag();
        let way = arrow(end.direction);
        self.calls
            .push(format!("{way}{how} f{}", end.frame.number()));
    }

    fn closed(&mut self, connection: Connection, state: Option<u64>) {
        assert!(self.gone.insert(connection.id), "closed twice");
        let with = if state.is_some() { "" } else { " unread" };
        self.calls.push(format!("{} closed{with}", connection.id));
        self.closed.push(connection);
    }
}

/// A capture under construction: numbers the frames and lets time pass.
pub(super) struct Lab {
    pub(super) table: Table<Log>,
    pub(super) log: Log,
    pub(super) at: i64,
    pub(super) frame: u64,
    pub(super) capture: u16,
    pub(super) client: Endpoint,
    pub(super) server: Endpoint,
    pub(super) isn: [u32; 2],
    /// IP identification, 0 to count on its own.
    pub(super) ip_id: u16,
}

/// A segment to send: numbers are relative to the initial ones, so 1 is the first byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seg<'a> {
    pub(super) way: Direction,
    pub(super) flags: u8,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) data: &'a [u8],
    pub(super) missing: u32,
    pub(super) window: u16,
    pub(super) interface: u32,
    pub(super) hop_limit: u8,
}

pub(super) fn seg(way: Direction, flags: u8, seq: u32, ack: u32) -> Seg<'static> {
    Seg {
        way,
        flags,
        seq,
        ack,
        data: b"",
        missing: 0,
        window: 1000,
        interface: 0,
        hop_limit: 64,
    }
}

pub(super) fn data(way: Direction, at: u32, ack: u32, data: &[u8]) -> Seg<'_> {
    Seg {
        data,
        ..seg(way, ACK, at, ack)
    }
}

impl Lab {
    pub(super) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(super) fn with(limits: Limits) -> Self {
        Self {
            table: Table::new(limits),
            log: Log::default(),
            at: 1_700_000_000_000 * MS,
            frame: 0,
            capture: 0,
            client: Endpoint::v4([192, 0, 2, 1], 40_000),
            server: Endpoint::v4([198, 51, 100, 1], 80),
            isn: [1000, 5000],
            ip_id: 0,
        }
    }

    /// A millisecond later, a segment.
    pub(super) fn send(&mut self, seg: Seg<'_>) -> &mut Self {
        self.at += MS;
        self.now(seg)
    }

    /// A segment without time passing.
    pub(super) fn now(&mut self, seg: Seg<'_>) -> &mut Self {
        self.frame += 1;
        let frame = self.frame;
        self.as_frame(
            seg,
            frame,
            if self.ip_id == 0 {
                frame as u16
            } else {
                self.ip_id
            },
        )
    }

    pub(super) fn as_frame(&mut self, seg: Seg<'_>, frame: u64, ip_id: u16) -> &mut Self {
        let mine = self.isn[place(seg.way)];
        let theirs = self.isn[1 - place(seg.way)];
        let (source, destination) = match seg.way {
            Direction::ToServer => (self.client, self.server),
            Direction::ToClient => (self.server, self.client),
        };
        let (key, sender) = Key::new(source, destination);
        let segment = Segment {
            frame: FrameRef::new(
                Timestamp::from_nanos(self.at),
                CaptureId(self.capture),
                FrameNo(frame),
            ),
            key,
            sender,
            seq: SeqNo(mine).plus(seg.seq),
            ack: if seg.flags & ACK != 0 {
                SeqNo(theirs).plus(seg.ack)
            } else {
                SeqNo(0)
            },
            flags: TcpFlags(seg.flags),
            window: seg.window,
            payload: seg.data,
            missing: seg.missing,
            ip_id,
            hop_limit: seg.hop_limit,
            interface: seg.interface,
        };
        self.table.segment(&mut self.log, &segment);
        self
    }

    /// The three-way handshake.
    pub(super) fn open(&mut self) -> &mut Self {
        self.send(seg(UP, SYN, 0, 0))
            .send(seg(DOWN, SYN_ACK, 0, 1))
            .send(seg(UP, ACK, 1, 1))
    }

    pub(super) fn wait(&mut self, nanos: i64) -> &mut Self {
        self.at += nanos;
        let now = Timestamp::from_nanos(self.at);
        self.table.advance(&mut self.log, now);
        self
    }

    pub(super) fn finish(&mut self) -> &mut Self {
        self.table.finish(&mut self.log);
        assert!(self.table.is_empty());
        self
    }

    /// The calls so far, forgotten by this.
    pub(super) fn calls(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log.calls)
    }

    /// The only connection that was closed, after the end of the capture.
    pub(super) fn only(&mut self) -> Connection {
        self.finish();
        assert_eq!(self.log.closed.len(), 1, "{:?}", self.log.calls);
        self.log.closed[0].clone()
    }
}
