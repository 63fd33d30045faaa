//! The machine of one connection: segments in, ordered bytes, gaps and endings out.
//!
//! Nearly all segments are the next bytes of their stream or the next acknowledgment: `Flow::usual` takes these and
//! touches the front of the record only. All others go the long way through [`control`](super::control) and
//! [`payload`](super::payload); what is due then is handed over by [`delivery`](super::delivery).

use super::connection::Interfaces;
use super::duplicates::{self, Others, Recent};
use super::half::Half;
use super::limits::{CLOSING_KEPT, HALF_CLOSED_KEPT, IDLE_KEPT, LINGER, Limits, SYN_KEPT, Stats};
use super::tombs::Span;
use super::{Chunk, Connection, Direction, Handler, Opening};
use crate::capture::{CaptureId, FrameRef};
use crate::decode::{End, Key, Segment, TcpFlags};

/// What a connection shares with the table.
#[derive(Debug, Default)]
pub(super) struct Env {
    /// Packet time in nanoseconds, never going back.
    pub(super) clock: i64,
    /// The clock as the frame at hand has it: ahead of `clock` while that does not believe the frame.
    pub(super) stamp: i64,
    /// Out-of-order bytes held by all connections, with their overhead.
    pub(super) buffered: usize,
    pub(super) limits: Limits,
    pub(super) stats: Stats,
}

/// What the reader of the streams gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// No payload so far.
    Nothing,
    /// Every byte.
    Bytes,
    /// No more calls.
    Counters,
}

/// One connection: what nearly every segment touches. The records lie side by side, so that few cache lines and pages
/// are in use; the rest is in [`Cold`].
#[derive(Debug)]
#[repr(C)]
pub(super) struct Flow<S> {
    pub(super) key: Key,
    /// The clock at its last segment.
    pub(super) stamp: i64,
    pub(super) captures: u64,
    pub(super) client: End,
    pub(super) reading: Reading,
    /// What the opening was is certain.
    pub(super) settled: bool,
    pub(super) refused: bool,
    /// The table waits for its end.
    pub(super) leaving: bool,
    pub(super) last: FrameRef,
    pub(super) to_server: Half,
    pub(super) to_client: Half,
    pub(super) recent: Recent,
    pub(super) hash: u32,
    /// What the handler knows, once there was payload.
    pub(super) state: Option<S>,
    pub(super) cold: Box<Cold>,
}

/// What few segments touch.
#[derive(Debug)]
pub(super) struct Cold {
    /// What of `Env::buffered` is ours.
    pub(super) charged: usize,
    /// The count of segments when it last held bytes back, by which the table finds it.
    pub(super) holding: Option<u64>,
    /// The clock at which the table looks at its holes.
    pub(super) waiting: Option<i64>,
    /// The SYN that may have been answered: for the round trip.
    pub(super) last_syn: Option<FrameRef>,
    /// An RST that its receiver may have ignored: who sent it, where, and its position.
    pub(super) doubt: Option<Box<Doubt>>,
    pub(super) others: Others,
    /// Its facts; those that the fields of [`Flow`] count are brought up to date by `update`.
    pub(super) connection: Connection,
}

/// An RST whose number lies beyond all that its sender was seen to send. Either the capture lacks what is between, or its
/// receiver asked about it with an acknowledgment and went on (RFC 9293 3.10.7.4).
#[derive(Debug, Clone, Copy)]
pub(super) struct Doubt {
    pub(super) direction: Direction,
    pub(super) at: i64,
    pub(super) frame: FrameRef,
}

pub(super) const WAYS: [Direction; 2] = [Direction::ToServer, Direction::ToClient];

impl<S> Flow<S> {
    /// A connection without any segment yet. `client` is the end that is taken for the client.
    pub(super) fn new(key: Key, hash: u32, client: End, connection: Connection) -> Self {
        Self {
            key,
            stamp: i64::MIN,
            captures: connection.captures,
            client,
            reading: Reading::Nothing,
            settled: false,
            refused: false,
            leaving: false,
            last: connection.last,
            to_server: Half::default(),
            to_client: Half::default(),
            recent: Recent::new(),
            hash,
            state: None,
            cold: Box::new(Cold {
                charged: 0,
                holding: None,
                waiting: None,
                last_syn: None,
                doubt: None,
                others: Others::default(),
                connection,
            }),
        }
    }

    /// Takes up a connection of which the opening was seen: its facts are in `connection` already.
    pub(super) fn resume(&mut self) {
        for direction in WAYS {
            let facts = *self.cold.connection.stream(direction);
            let half = self.half_mut(direction);
            half.frames = facts.frames;
            if let Some(isn) = facts.isn {
                half.start(isn.plus(1));
            }
            if facts.rst.is_some() {
                half.rst.set(0);
                half.marks.rst_told = true;
            }
            half.take_stock();
        }
        self.refused = self.cold.connection.opening == Opening::Refused;
        self.cold.last_syn = self.cold.connection.syn;
    }

    pub(super) fn half(&self, direction: Direction) -> &Half {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    pub(super) fn half_mut(&mut self, direction: Direction) -> &mut Half {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    pub(super) fn direction(&self, sender: End) -> Direction {
        if sender == self.client {
            Direction::ToServer
        } else {
            Direction::ToClient
        }
    }

    /// Looks at each cache line that the next segment needs.
    pub(super) fn touch(&self) -> usize {
        let halves = [&self.to_server, &self.to_client];
        let lines = halves.map(|half| half.next ^ half.frames);
        let ends = self.captures ^ u64::from(self.recent.touch());
        lines.into_iter().fold(ends, |sum, line| sum ^ line) as usize
    }

    /// Its number.
    pub(super) fn id(&self) -> super::ConnectionId {
        self.cold.connection.id
    }

    /// Its facts up to now, and its state.
    pub(super) fn snapshot(&self) -> Option<(Connection, &S)> {
        let state = self.state.as_ref()?;
        let mut connection = self.cold.connection.clone();
        let (up, down) = (&self.to_server, &self.to_client);
        connection.last = self.last;
        connection.captures = self.captures;
        connection.interfaces = self.interfaces();
        up.count_into(&mut connection.to_server, down.frames == 0);
        down.count_into(&mut connection.to_client, up.frames == 0);
        Some((connection, state))
    }

    /// Its facts up to now, and its state, if there was payload.
    pub(super) fn visit(&mut self, look: impl FnOnce(&Connection, &mut S)) {
        self.update();
        if let Some(state) = &mut self.state {
            look(&self.cold.connection, state);
        }
    }

    /// All that is left of it.
    pub(super) fn into_parts(mut self) -> (Connection, Option<S>) {
        self.update();
        (self.cold.connection, self.state)
    }

    /// Brings the facts up to date.
    pub(super) fn update(&mut self) {
        self.cold.connection.interfaces = self.interfaces();
        let (up, down) = (&self.to_server, &self.to_client);
        let connection = &mut self.cold.connection;
        connection.last = self.last;
        connection.captures = self.captures;
        up.count_into(&mut connection.to_server, down.frames == 0);
        down.count_into(&mut connection.to_client, up.frames == 0);
    }

    fn interfaces(&self) -> Interfaces {
        let others = self.cold.others.vantages();
        let all = |vantage| duplicates::interface(vantage, self.captures);
        // What the opening showed holds where nothing came after it.
        let first = self.recent.primary().map(all);
        let known = || self.cold.connection.interfaces.iter().next();
        Interfaces::new(first.or_else(known), others.map(all))
    }

    /// The numbers that each side used.
    pub(super) fn spans(&self) -> (Option<Span>, Option<Span>) {
        let span = |direction: Direction| {
            let half = self.half(direction);
            let ahead = half.top.saturating_sub(half.next) as u32;
            let fin = u32::from(half.fin.at().is_some());
            let end = half.next_seq.plus(ahead.wrapping_add(fin));
            let isn = self.cold.connection.stream(direction).isn;
            Span::new(isn, half.marks.known.then_some(end), half.top)
        };
        (span(Direction::ToServer), span(Direction::ToClient))
    }

    /// Whether nothing more is expected: reset, or both sides finished and said so.
    pub(super) fn is_finished(&self) -> bool {
        let [up, down] = [&self.to_server, &self.to_client];
        if self.refused || up.rst.at().is_some() || down.rst.at().is_some() {
            return true;
        }
        WAYS.into_iter().all(|direction| {
            let half = self.half(direction);
            let done =
                half.fin.at().is_some() && (half.marks.fin_acked || self.one_sided(direction));
            done || half.frames == 0
        })
    }

    /// How long it may be silent before it leaves the table.
    pub(super) fn kept(&self) -> i64 {
        let fins = [&self.to_server, &self.to_client].map(|half| half.fin.at().is_some());
        if self.is_finished() {
            LINGER
        } else if fins == [true, true] || self.cold.doubt.is_some() {
            CLOSING_KEPT
        } else if fins != [false, false] {
            HALF_CLOSED_KEPT
        } else if self.reading == Reading::Nothing
            && self.cold.connection.opening != Opening::Complete
        {
            SYN_KEPT
        } else {
            IDLE_KEPT
        }
    }

    /// When the table has to look at its holes again, if at all.
    pub(super) fn due(&self) -> Option<i64> {
        let [up, down] = WAYS.map(|way| self.half(way).due(self.one_sided(way)));
        up.into_iter().chain(down).min()
    }

    /// Nobody was seen to receive what goes in a direction.
    pub(super) fn one_sided(&self, direction: Direction) -> bool {
        self.half(direction.reverse()).frames == 0
    }

    /// Takes a segment of this connection. Returns whether the table has to attend to it.
    pub(super) fn segment<H: Handler<State = S>>(
        &mut self,
        handler: &mut H,
        env: &mut Env,
        segment: &Segment<'_>,
    ) -> bool {
        !self.usual(handler, env, segment) && self.unusual(handler, env, segment)
    }

    /// Takes a segment that needs a closer look. Returns whether the table has to attend to the connection.
    #[inline(never)]
    fn unusual<H: Handler<State = S>>(
        &mut self,
        handler: &mut H,
        env: &mut Env,
        segment: &Segment<'_>,
    ) -> bool {
        if self.reading == Reading::Nothing {
            self.decide_roles(segment);
        }
        let direction = self.direction(segment.sender);
        let flags = segment.flags;
        let len = segment.payload.len() as u64 + u64::from(segment.missing);
        self.captures |= capture_bit(segment.frame.capture());
        if !self.brings_nothing(direction, segment, len) {
            if self.half(direction).marks.doubted && !flags.rst() {
                self.dispel(direction, segment, len);
            }
            self.recent.note(&mut self.cold.others, direction, segment);
        } else if self
            .recent
            .is_copy(&mut self.cold.others, direction, segment)
        {
            self.cold.connection.duplicates += 1;
            let shown = self.cold.connection.first.capture();
            env.stats.copy(segment.frame, shown);
            return false;
        }
        self.seen(env, segment.frame);
        self.half_mut(direction).frames += 1;
        env.stats.answered_before += u64::from(self.was_answered(direction, segment, len));
        if flags.rst() {
            self.reset(direction, segment);
        } else {
            if flags.syn() {
                self.synchronize(direction, segment);
            }
            if flags.ack() {
                self.acknowledge(direction, segment);
            }
            self.window(direction, segment);
            if len > 0 {
                self.payload(handler, direction, segment, len);
            } else if self.is_probe(direction, segment, 0) {
                self.probed(direction);
            }
            if flags.fin() {
                self.finish(direction, segment, len);
            }
        }
        if !self.settled || flags.syn() {
            self.settle(direction, segment);
        }
        if self.to_server.is_pending() || self.to_client.is_pending() || self.cold.charged > 0 {
            self.review(handler, env, Some(segment.frame));
        }
        self.to_server.take_stock();
        self.to_client.take_stock();
        self.to_server.marks.troubled
            || self.to_client.marks.troubled
            || self.cold.holding.is_some()
    }

    /// Takes the next bytes of a stream, or the next acknowledgment, when there is nothing else about them. Returns
    /// false, and has done nothing, when the segment needs a closer look.
    // In `Table::take`, which has the reason.
    #[inline(always)]
    pub(super) fn usual<H: Handler<State = S>>(
        &mut self,
        handler: &mut H,
        env: &Env,
        segment: &Segment<'_>,
    ) -> bool {
        const CONTROL: u8 = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST | TcpFlags::ACK;
        let plain = segment.flags.0 & CONTROL == TcpFlags::ACK
            && segment.missing == 0
            && segment.window != 0;
        if !plain || !self.settled {
            return false;
        }
        let direction = self.direction(segment.sender);
        let (half, peer) = match direction {
            Direction::ToServer => (&mut self.to_server, &mut self.to_client),
            Direction::ToClient => (&mut self.to_client, &mut self.to_server),
        };
        if !half.marks.usual || !peer.marks.usual || segment.seq != half.next_seq {
            return false;
        }
        let acked = peer.position(segment.ack);
        let acks = acked > peer.acked.cast_signed();
        let len = segment.payload.len() as u64;
        let first = len > 0 && (self.reading == Reading::Nothing || !half.marks.data);
        if acked > peer.top.cast_signed() || (len == 0 && !acks) || first {
            return false;
        }
        if acks {
            peer.acked = acked.cast_unsigned();
        }
        half.frames += 1;
        let position = half.next;
        if len > 0 {
            half.last_data = Some(segment.frame);
            half.advance(len);
        }
        self.recent.note(&mut self.cold.others, direction, segment);
        self.captures |= capture_bit(segment.frame.capture());
        self.seen(env, segment.frame);
        if len > 0 && self.reading == Reading::Bytes {
            let chunk = Chunk {
                direction,
                position,
                data: segment.payload,
                frame: segment.frame,
            };
            self.tell(handler, |handler, connection, state| {
                handler.bytes(connection, state, chunk)
            });
        }
        true
    }

    fn seen(&mut self, env: &Env, frame: FrameRef) {
        self.stamp = env.stamp;
        if frame.at >= self.last.at {
            self.last = frame;
        }
    }

    /// Whether the peer answered a segment that comes only now.
    fn was_answered(&self, direction: Direction, segment: &Segment<'_>, len: u64) -> bool {
        let half = self.half(direction);
        if segment.flags.syn() {
            let first = self.cold.connection.stream(direction).isn.is_none();
            return first && !segment.flags.ack() && self.half(direction.reverse()).frames > 0;
        }
        let start = half.position(segment.seq);
        let end = start.saturating_add_unsigned(len);
        len > 0
            && half.marks.known
            && start < half.acked.cast_signed()
            && (!half.holds(start, end) || half.in_gap(start, end))
    }

    /// Whether all that a segment says was said before.
    fn brings_nothing(&self, direction: Direction, segment: &Segment<'_>, len: u64) -> bool {
        let half = self.half(direction);
        let facts = self.cold.connection.stream(direction);
        if segment.flags.rst() {
            let known = facts.rst.is_some() || half.marks.doubted;
            return known || !self.accepts_reset(direction, segment);
        }
        if segment.flags.syn() {
            return facts.isn == Some(segment.seq);
        }
        if segment.flags.fin() && half.fin.at().is_none() {
            return false;
        }
        if len > 0 || segment.flags.fin() {
            let start = half.position(segment.seq);
            return half.marks.known && half.holds(start, start.saturating_add_unsigned(len));
        }
        !self.half(direction.reverse()).is_news(segment.ack)
    }
}

/// The bit of [`Connection::captures`] for a capture.
pub(super) fn capture_bit(capture: CaptureId) -> u64 {
    1 << capture.0.min(63)
}
