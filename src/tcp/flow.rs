//! The machine of one connection: segments in, ordered bytes, gaps and endings out.

use super::duplicates::Recent;
use super::half::Half;
use super::key::{End, Key};
use super::limits::{
    CLOSING_KEPT, HALF_CLOSED_KEPT, IDLE_KEPT, LINGER, Limits, MAX_WINDOW, RESET_WINDOW, SYN_KEPT,
    Stats,
};
use super::roles;
use super::tombs::Span;
use super::{
    Connection, Direction, Ending, EndingHow, GapCause, Handler, Opening, RolesFrom, Side,
};
use crate::capture::{CaptureId, FrameRef};
use crate::decode::{IcmpError, Segment, SeqNo, Unreachable};

/// What a connection shares with the table.
#[derive(Debug, Default)]
pub(super) struct Env {
    /// Packet time in nanoseconds, never going back.
    pub(super) clock: i64,
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

/// One connection.
#[derive(Debug)]
pub(super) struct Flow<S> {
    pub(super) key: Key,
    pub(super) hash: u32,
    /// The clock at its last segment.
    pub(super) stamp: i64,
    /// The count of segments when it last held bytes back, by which the table finds it.
    pub(super) holding: Option<u64>,
    /// The clock at which the table looks at its holes.
    pub(super) waiting: Option<i64>,
    /// The table waits for its end.
    pub(super) leaving: bool,
    client: End,
    pub(super) reading: Reading,
    /// Segments after the opening that settle what the opening was.
    settled: bool,
    refused: bool,
    /// What of `Env::buffered` is ours.
    pub(super) charged: usize,
    /// The SYN that may have been answered: for the round trip.
    last_syn: Option<FrameRef>,
    pub(super) to_server: Half,
    pub(super) to_client: Half,
    recent: Recent,
    pub(super) connection: Connection,
    pub(super) state: Option<S>,
}

impl<S> Flow<S> {
    /// A connection without any segment yet. `client` is the end that is taken for the client.
    pub(super) fn new(key: Key, hash: u32, client: End, connection: Connection) -> Self {
        Self {
            key,
            hash,
            stamp: i64::MIN,
            holding: None,
            waiting: None,
            leaving: false,
            client,
            reading: Reading::Nothing,
            settled: false,
            refused: false,
            charged: 0,
            last_syn: None,
            to_server: Half::default(),
            to_client: Half::default(),
            recent: Recent::new(),
            connection,
            state: None,
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn state(&self) -> Option<&S> {
        self.state.as_ref()
    }

    pub(super) fn client(&self) -> End {
        self.client
    }

    /// The numbers that each side used.
    pub(super) fn spans(&self) -> (Option<Span>, Option<Span>) {
        let span = |direction: Direction| {
            let half = self.half(direction);
            let ahead = half.top.saturating_sub(half.next) as u32;
            let fin = u32::from(half.fin.is_some());
            let end = half.next_seq.plus(ahead.wrapping_add(fin));
            Span::of(&self.connection, direction, half.known.then_some(end))
        };
        (span(Direction::ToServer), span(Direction::ToClient))
    }

    /// Whether the table has nothing to arrange for it.
    pub(super) fn is_quiet(&self) -> bool {
        self.charged == 0
            && self.holding.is_none()
            && self.to_server.wait.is_none()
            && self.to_client.wait.is_none()
            && (self.leaving || self.connection.ended.is_none() && !self.refused)
    }

    pub(super) fn into_parts(self) -> (Connection, Option<S>) {
        (self.connection, self.state)
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

    fn direction(&self, sender: End) -> Direction {
        if sender == self.client {
            Direction::ToServer
        } else {
            Direction::ToClient
        }
    }

    /// The other end is the client after all.
    fn swap_roles(&mut self) {
        self.client = self.client.other();
        std::mem::swap(&mut self.to_server, &mut self.to_client);
        let connection = &mut self.connection;
        std::mem::swap(&mut connection.client, &mut connection.server);
        std::mem::swap(&mut connection.to_server, &mut connection.to_client);
    }

    /// Whether nothing more is expected: reset, or both sides finished and said so.
    pub(super) fn is_finished(&self) -> bool {
        if self.refused || self.to_server.rst.is_some() || self.to_client.rst.is_some() {
            return true;
        }
        let done = |d: Direction| {
            let half = self.half(d);
            half.fin.is_some() && (half.fin_acked || self.one_sided(d))
        };
        let absent = |d: Direction| self.connection.stream(d).frames == 0;
        let ways = [Direction::ToServer, Direction::ToClient];
        ways.into_iter().all(|d| done(d) || absent(d))
    }

    /// How long it may be silent before it leaves the table.
    pub(super) fn kept(&self) -> i64 {
        let fins = [&self.to_server, &self.to_client].map(|half| half.fin.is_some());
        if self.is_finished() {
            LINGER
        } else if fins == [true, true] {
            CLOSING_KEPT
        } else if fins != [false, false] {
            HALF_CLOSED_KEPT
        } else if self.reading == Reading::Nothing && self.connection.opening != Opening::Complete {
            SYN_KEPT
        } else {
            IDLE_KEPT
        }
    }

    /// When the table has to look at its holes again, if at all.
    pub(super) fn due(&self) -> Option<i64> {
        let [up, down] = [Direction::ToServer, Direction::ToClient]
            .map(|direction| self.half(direction).due(self.one_sided(direction)));
        up.into_iter().chain(down).min()
    }

    /// Whether it holds bytes back.
    pub(super) fn is_holding(&self) -> bool {
        self.charged > 0
    }

    /// Nobody was seen to receive what goes in a direction.
    pub(super) fn one_sided(&self, direction: Direction) -> bool {
        self.connection.stream(direction.reverse()).frames == 0
    }

    /// Whether a segment with SYN (or far outside the window of a finished connection) starts another connection.
    pub(super) fn is_reused_by(&self, sender: End, segment: &Segment<'_>) -> bool {
        let direction = self.direction(sender);
        let half = self.half(direction);
        let isn = self.connection.stream(direction).isn;
        let finished = self.is_finished();
        if segment.flags.syn() {
            return match isn {
                Some(isn) if isn == segment.seq => false,
                Some(_) if segment.flags.ack() => {
                    // A server that forgot the connection answers the same SYN with a new number.
                    finished && self.half(direction.reverse()).position(segment.ack) != 0
                }
                Some(_) => true,
                None if half.known => half.position(segment.seq.plus(1)) != 0,
                None => finished || (!segment.flags.ack() && self.reading != Reading::Nothing),
            };
        }
        let far = || half.position(segment.seq) - half.top as i64;
        finished && half.known && !segment.payload.is_empty() && far().abs() > RESET_WINDOW
    }

    /// Takes a segment of this connection.
    pub(super) fn segment<H: Handler<State = S>>(
        &mut self,
        handler: &mut H,
        env: &mut Env,
        sender: End,
        segment: &Segment<'_>,
    ) {
        if self.reading == Reading::Nothing {
            self.decide_roles(sender, segment);
        }
        let direction = self.direction(sender);
        let flags = segment.flags;
        let len = segment.payload.len() as u64 + u64::from(segment.missing);
        self.connection.captures |= capture_bit(segment.frame.capture);

        let control = flags.syn() || flags.fin() || flags.rst();
        let half = self.half(direction);
        let next = !control && len > 0 && half.known && segment.seq == half.next_seq;
        let old = !next && self.brings_nothing(direction, segment, len);
        if self.recent.is_copy(direction, segment, old) {
            self.connection.duplicates += 1;
            return;
        }

        self.stamp = env.clock;
        if segment.frame.at >= self.connection.last.at {
            self.connection.last = segment.frame;
        }
        self.connection.stream_mut(direction).frames += 1;
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
            let half = self.half(direction);
            let open = half.top.saturating_sub(half.acked);
            if !self.one_sided(direction) {
                self.connection.stream_mut(direction).unacknowledged = open;
            }
        }
        if !self.settled {
            self.settle(direction, segment);
        }
        if self.to_server.is_pending() || self.to_client.is_pending() || self.charged > 0 {
            self.review(handler, env, Some(segment.frame));
        }
    }

    /// Whether all that a segment says was said before.
    fn brings_nothing(&self, direction: Direction, segment: &Segment<'_>, len: u64) -> bool {
        let half = self.half(direction);
        let facts = self.connection.stream(direction);
        if segment.flags.rst() {
            return facts.rst.is_some();
        }
        if segment.flags.syn() {
            return facts.isn == Some(segment.seq);
        }
        if segment.flags.fin() && half.fin.is_none() {
            return false;
        }
        if len > 0 || segment.flags.fin() {
            let start = half.position(segment.seq);
            return half.known && half.holds(start, start.saturating_add_unsigned(len));
        }
        let peer = self.half(direction.reverse());
        !peer.known || peer.position(segment.ack) <= peer.acked as i64
    }

    /// Before the first payload byte the roles may still turn out to be the other way round.
    fn decide_roles(&mut self, sender: End, segment: &Segment<'_>) {
        if matches!(
            self.connection.roles_from,
            RolesFrom::Syn | RolesFrom::SynAck
        ) {
            return;
        }
        let (client, from) = if segment.flags.syn() {
            if segment.flags.ack() {
                (sender.other(), RolesFrom::SynAck)
            } else {
                (sender, RolesFrom::Syn)
            }
        } else {
            match roles::sender_of(segment.payload) {
                Some(Side::Client) => (sender, RolesFrom::FirstBytes),
                Some(Side::Server) => (sender.other(), RolesFrom::FirstBytes),
                None => return,
            }
        };
        self.connection.roles_from = from;
        if client != self.client {
            self.swap_roles();
        }
    }

    // RFC 9293 3.5
    fn synchronize(&mut self, direction: Direction, segment: &Segment<'_>) {
        let connection = &mut self.connection;
        let facts = connection.stream_mut(direction);
        let again = facts.isn == Some(segment.seq);
        if again {
            facts.retransmitted += 1;
            facts.last_retransmission = Some(segment.frame);
        }
        facts.isn = Some(segment.seq);
        if segment.flags.ack() {
            connection.syn_ack.get_or_insert(segment.frame);
        } else if direction == Direction::ToServer {
            connection.syn.get_or_insert(segment.frame);
            connection.syns += 1;
            self.last_syn = Some(segment.frame);
        }
        let half = self.half_mut(direction);
        // The answer to a SYN may come with another number as long as nothing was sent on top of it.
        if !half.known || (!again && half.top == 0) {
            half.start(segment.seq.plus(1));
        }
    }

    fn acknowledge(&mut self, direction: Direction, segment: &Segment<'_>) {
        let after_syn = self.connection.syn.is_some();
        let peer = self.half_mut(direction.reverse());
        if !peer.known && after_syn && direction == Direction::ToServer && !segment.flags.syn() {
            // The SYN-ACK was not captured, but here is the number that it announced.
            peer.start(segment.ack);
        }
        let before = peer.acked;
        peer.acknowledge(segment.ack);
        if peer.acked != before {
            let open = peer.top.saturating_sub(peer.acked);
            self.connection
                .stream_mut(direction.reverse())
                .unacknowledged = open;
        }
    }

    fn window(&mut self, direction: Direction, segment: &Segment<'_>) {
        let facts = self.connection.stream_mut(direction);
        if segment.window != 0 {
            facts.zero_window_since = None;
        } else if !segment.flags.syn() && facts.zero_window_since.is_none() {
            facts.zero_windows += 1;
            facts.zero_window_since = Some(segment.frame);
        }
    }

    /// Whether a segment repeats the number before the next one, as keep-alives (RFC 9293 3.8.4) and probes of a zero
    /// window do (3.8.6.1).
    fn is_probe(&self, direction: Direction, segment: &Segment<'_>, len: u64) -> bool {
        let half = self.half(direction);
        let flags = segment.flags;
        if !half.known || len > 1 || flags.syn() || flags.fin() || !flags.ack() {
            return false;
        }
        let behind = half.position(segment.seq) + 1 == half.top as i64;
        // Unacknowledged, a last byte may just as well be sent again.
        let all_acked = self.one_sided(direction) || half.acked >= half.top;
        behind && (len == 0 || all_acked || self.peer_is_full(direction))
    }

    fn peer_is_full(&self, direction: Direction) -> bool {
        let peer = self.connection.stream(direction.reverse());
        peer.zero_window_since.is_some()
    }

    fn probed(&mut self, direction: Direction) {
        if !self.peer_is_full(direction) {
            self.connection.stream_mut(direction).keep_alives += 1;
        }
    }

    fn reset(&mut self, direction: Direction, segment: &Segment<'_>) {
        if !self.accepts_reset(direction, segment) {
            return;
        }
        let half = self.half_mut(direction);
        let end = half.top;
        half.rst.get_or_insert(end);
        let connection = &mut self.connection;
        let by = direction.sender();
        connection
            .stream_mut(direction)
            .rst
            .get_or_insert(segment.frame);
        connection.ended.get_or_insert(Ending {
            how: EndingHow::Rst,
            by,
            frame: segment.frame,
        });
        let answered = connection.syn_ack.is_some() || self.reading != Reading::Nothing;
        if by == Side::Server && connection.syn.is_some() && !answered {
            self.refused = true;
        }
    }

    /// RFC 9293 3.10.7: the number must be in the window, or the SYN be acknowledged.
    fn accepts_reset(&self, direction: Direction, segment: &Segment<'_>) -> bool {
        let peer = self.half(direction.reverse());
        let acks_all = segment.flags.ack() && peer.known && {
            let acked = peer.position(segment.ack);
            acked == peer.top as i64 || acked == peer.acked as i64
        };
        let half = self.half(direction);
        if !half.known {
            return !segment.flags.ack() || !peer.known || acks_all || peer.top > 0;
        }
        let at = half.position(segment.seq);
        let near = at >= half.acked.min(half.next) as i64 - RESET_WINDOW
            && at <= half.top as i64 + RESET_WINDOW;
        // Some stacks and firewalls reset with number 0.
        near || (segment.seq == SeqNo(0) && acks_all)
    }

    fn finish(&mut self, direction: Direction, segment: &Segment<'_>, len: u64) {
        let first = self.connection.stream(direction).fin.is_none();
        let half = self.half_mut(direction);
        if !half.known {
            half.start(segment.seq);
        }
        // RFC 9293 3.4: the FIN takes the number after its data.
        let at = half.position(segment.seq).saturating_add_unsigned(len);
        if half.fin.is_none() && at <= half.top as i64 + MAX_WINDOW {
            half.fin = Some((at.max(0) as u64).max(half.top));
            half.top = half.top.max(at.max(0) as u64);
        }
        if self.reading == Reading::Counters
            && let Some(fin) = self.half(direction).fin
        {
            self.count(direction, fin, 0, 0);
        }
        let facts = self.connection.stream_mut(direction);
        if !first {
            if len == 0 {
                facts.retransmitted += 1;
                facts.last_retransmission = Some(segment.frame);
            }
            return;
        }
        facts.fin = Some(segment.frame);
        self.connection.ended.get_or_insert(Ending {
            how: EndingHow::Fin,
            by: direction.sender(),
            frame: segment.frame,
        });
    }

    /// Takes the payload of a segment, of which `len` bytes were on the wire.
    fn payload<H: Handler<State = S>>(
        &mut self,
        handler: &mut H,
        direction: Direction,
        segment: &Segment<'_>,
        len: u64,
    ) {
        let seq = segment.seq.plus(u32::from(segment.flags.syn()));
        let half = self.half_mut(direction);
        if !half.known {
            half.start(seq);
        }
        let start = half.position(seq);
        let end = start.saturating_add_unsigned(len);
        let (next, top) = (half.next as i64, half.top as i64);
        if half.fin.is_some_and(|fin| end > fin as i64) || start > top + MAX_WINDOW {
            // Behind the FIN, or of another connection: no part of this stream.
            return;
        }
        if half.holds(start, end) {
            self.repeated(direction, segment, start, end);
            return;
        }
        half.top = half.top.max(end as u64);
        let facts = self.connection.stream_mut(direction);
        facts.first_data.get_or_insert(segment.frame);
        facts.last_data = Some(segment.frame);
        facts.out_of_order += u64::from(start < top && end <= top);

        let skip = usize::try_from(next - start).unwrap_or(0);
        let data = segment.payload.get(skip..).unwrap_or_default();
        let from = start.max(next) as u64;
        // What is cut off begins behind the captured bytes, of which some may be delivered already.
        let missing = end as u64 - from - data.len() as u64;
        if self.reading == Reading::Counters {
            self.count(direction, from, data.len() as u64, missing);
            return;
        }
        let half = self.half_mut(direction);
        let clear = half
            .pieces
            .first()
            .is_none_or(|(first, _)| first >= end as u64);
        if from == half.next && clear {
            self.connection.stream_mut(direction).payload_bytes += data.len() as u64;
            if !data.is_empty() {
                self.deliver(handler, direction, data, segment.frame);
            }
            if missing > 0 {
                self.gap(
                    handler,
                    direction,
                    missing,
                    GapCause::Truncated,
                    segment.frame,
                );
            }
            return;
        }
        let added = half.pieces.insert(from, data, missing, segment.frame);
        let facts = self.connection.stream_mut(direction);
        facts.payload_bytes += added.fresh;
        facts.conflicts += u64::from(added.conflict);
    }

    /// Counts a segment of which every byte was seen before, or came too late.
    fn repeated(&mut self, direction: Direction, segment: &Segment<'_>, start: i64, end: i64) {
        if self.is_probe(direction, segment, end.saturating_sub(start).unsigned_abs()) {
            self.probed(direction);
            return;
        }
        let counting = self.reading == Reading::Counters;
        let half = self.half_mut(direction);
        let next = half.next as i64;
        let (from, to) = (half.gap.0 as i64, half.gap.1 as i64);
        let late = end <= 0 || (start >= from && end <= to);
        if late && counting && end > 0 {
            // No byte was promised to anybody: the hole is filled after all.
            half.fill(start as u64, end as u64);
            let facts = self.connection.stream_mut(direction);
            let len = segment.payload.len() as u64;
            facts.payload_bytes += len;
            facts.missing_bytes = facts.missing_bytes.saturating_sub(len);
            facts.out_of_order += 1;
            return;
        }
        let conflict = end > next && {
            let skip = usize::try_from(next - start).unwrap_or(0);
            let data = segment.payload.get(skip..).unwrap_or_default();
            half.pieces
                .insert(start.max(next) as u64, data, 0, segment.frame)
                .conflict
        };
        let facts = self.connection.stream_mut(direction);
        facts.conflicts += u64::from(conflict);
        if late {
            facts.out_of_order += 1;
        } else {
            facts.retransmitted += 1;
            facts.last_retransmission = Some(segment.frame);
        }
    }

    /// Nobody reads the bytes: counts `len` of them at a position, and holes at once.
    fn count(&mut self, direction: Direction, from: u64, len: u64, missing: u64) {
        let half = self.half_mut(direction);
        let hole = from.saturating_sub(half.next);
        if hole > 0 {
            half.gap = (half.next, from);
        }
        half.advance(hole + len + missing);
        let facts = self.connection.stream_mut(direction);
        facts.payload_bytes += len;
        facts.missing_bytes += hole + missing;
        facts.truncated_bytes += missing;
    }

    /// What the opening was, until it is certain.
    fn settle(&mut self, direction: Direction, segment: &Segment<'_>) {
        let flags = segment.flags;
        let plain = !flags.syn() && !flags.rst();
        let data = self.to_server.top > 0 || self.to_client.top > 0;
        let connection = &mut self.connection;
        let by_client = direction == Direction::ToServer;
        connection.opening = match (connection.syn, connection.syn_ack) {
            (None, None) => Opening::Midstream,
            (Some(_), None) if self.refused => Opening::Refused,
            (Some(_), None) => match connection.opening {
                Opening::Midstream | Opening::Unanswered if !plain => Opening::Unanswered,
                _ => Opening::Partial,
            },
            (Some(_), Some(_)) if plain && (by_client || data) => {
                self.settled = true;
                Opening::Complete
            }
            (_, Some(_)) => Opening::Partial,
        };
        if self.settled
            && by_client
            && let Some(syn) = self.last_syn
            && syn.capture == segment.frame.capture
        {
            connection.rtt_nanos = Some(segment.frame.at.nanos_since(syn.at));
        }
        self.settled |= data && connection.syn.is_none();
    }

    /// An ICMP error about a segment that `sender` sent. Returns whether it is believed.
    pub(super) fn icmp(&mut self, sender: End, error: &IcmpError) -> bool {
        let direction = self.direction(sender);
        let half = self.half(direction);
        let at = half.position(error.seq);
        let near = -RESET_WINDOW..=half.top as i64 + RESET_WINDOW;
        if half.known && !near.contains(&(at - half.acked as i64)) && !near.contains(&at) {
            return false;
        }
        let connection = &mut self.connection;
        connection.captures |= capture_bit(error.frame.capture);
        // Of several the first one counts, but a path MTU hint or an expired hop limit is no verdict.
        let soft = |why| matches!(why, Unreachable::TooBig | Unreachable::TimeExceeded);
        if connection
            .unreachable
            .is_none_or(|(_, why)| soft(why) && !soft(error.why))
        {
            connection.unreachable = Some((error.frame, error.why));
        }
        if connection.opening == Opening::Unanswered
            && matches!(error.why, Unreachable::Port | Unreachable::Prohibited)
        {
            connection.opening = Opening::Refused;
            self.refused = true;
        }
        true
    }

    /// Takes up a connection of which the opening was seen: its facts are in `connection` already.
    pub(super) fn resume(&mut self) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let facts = self.connection.stream(direction);
            let (isn, rst) = (facts.isn, facts.rst);
            let half = self.half_mut(direction);
            if let Some(isn) = isn {
                half.start(isn.plus(1));
            }
            half.rst = rst.map(|_| 0);
            half.rst_told = rst.is_some();
        }
        self.refused = self.connection.opening == Opening::Refused;
        self.last_syn = self.connection.syn;
    }
}

/// The bit of [`Connection::captures`] for a capture.
pub(super) fn capture_bit(capture: CaptureId) -> u64 {
    1 << capture.0.min(63)
}
