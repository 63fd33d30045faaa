//! How much a table may hold, how long it waits, and what it counted.

use std::collections::BTreeMap;

use super::{Connection, ConnectionId, Opening};
use crate::capture::{CaptureId, FrameRef};

const SECOND: i64 = 1_000_000_000;

/// A SYN without a final answer is kept this long after the last one. Linux doubles the wait between SYNs up to
/// 64 s with seven retries; twice that also covers a late answer.
pub(super) const SYN_KEPT: i64 = 130 * SECOND;

/// A finished connection stays this long, so that late duplicates and retransmissions are counted to it: longer than
/// a round trip and the first retransmission timer (RFC 6298: 1 s), short enough for memory to follow the live ones.
pub(super) const LINGER: i64 = SECOND;

/// No more than this many connections stay for that: many thousands that end within a second are a scan or a load test,
/// and memory has to follow the live ones.
pub(super) const LINGERING: usize = 4096;

/// Both sides sent FIN and the last one was not acknowledged: twice the 30 s for which Linux repeats it (LAST_ACK). As long
/// for what may follow an RST that its receiver may have ignored: most that is alive speaks once a minute.
pub(super) const CLOSING_KEPT: i64 = 60 * SECOND;

/// One side sent FIN, the other is silent. A server that never closes (CLOSE_WAIT) must not hold memory for ever; a
/// long answer after a half-close is rarely silent for longer than the proxies' common 60 s and 5 min timeouts.
pub(super) const HALF_CLOSED_KEPT: i64 = 600 * SECOND;

/// An open connection may be silent for long: TCP keep-alives come every two hours by default (RFC 9293 3.8.4), and
/// a quiet WebSocket must not be split in two.
pub(super) const IDLE_KEPT: i64 = 24 * 3600 * SECOND;

/// How often timers are looked at, in packet time.
pub(super) const TICK: i64 = SECOND / 20;

/// How often all connections are looked through for idle ones, in packet time.
pub(super) const SCAN: i64 = 30 * SECOND;

/// A step of the clock that is believed only when a second frame confirms it: one damaged timestamp must not expire
/// every connection.
pub(super) const CLOCK_JUMP: i64 = 30 * SECOND;

/// After an acknowledgment of bytes that we lack we wait this long for them: captures on several interfaces or queues
/// deliver neighbours out of order by milliseconds.
pub(super) const HOLE_GRACE: i64 = SECOND / 5;

/// ... or for this many segments of the connection, whichever ends first: a receive queue hands over up to 64 frames
/// at once, of which a connection's share comes in runs.
pub(super) const HOLE_GRACE_SEGMENTS: u8 = 16;

/// Without the other direction no acknowledgment tells. The sender repeats a lost segment after a round trip or its
/// timer (RFC 6298: at least 1 s recommended), so bytes not repeated within twice that had arrived.
pub(super) const ONE_SIDED_GRACE: i64 = 2 * SECOND;

/// ... or, one direction only, when this many bytes came behind the hole: more than most windows in flight.
pub(super) const ONE_SIDED_BYTES: usize = 512 << 10;

/// No window is larger (RFC 7323 2.3), so a number further ahead belongs to something else.
pub(super) const MAX_WINDOW: i64 = 1 << 30;

/// An RST counts when its number is at most this far beyond what its sender was seen to send: RFC 9293 wants one in the
/// window, but the capture may have lost segments.
pub(super) const RESET_WINDOW: i64 = 1 << 20;

/// What was sent before an RST is captured at most this long after it, where frames are captured out of order.
pub(super) const RESET_REORDER: i64 = SECOND / 50;

/// What a piece of buffered bytes costs besides the bytes: map node, allocation header. Charged so that a flood of
/// one-byte segments meets the limits too.
pub(super) const PIECE_COST: usize = 128;

/// Connections that left the table and are remembered, so that late copies of their frames (a second capture with
/// another clock) are no new connections. About 5 MB when full.
pub(super) const TOMBS: usize = 1 << 16;

/// The share of the connections that leaves when there are too many: the search for the idlest is paid once for many.
pub(super) const EVICTED_SHARE: usize = 16;

/// Openings looked at when somebody asks which connects hang: a flood must not make each question expensive.
pub(super) const OPENINGS_MAX: usize = 4096;

/// How much a [`Table`](super::Table) may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Out-of-order bytes held per stream.
    pub stream_bytes: usize,
    /// Out-of-order bytes held by all connections together.
    pub total_bytes: usize,
    /// Connections that sent payload or completed their handshake.
    pub connections: usize,
    /// Connections of which only the opening was seen.
    pub embryos: usize,
    /// Bytes held by the states of all connections together, as their handler counts them.
    pub state_bytes: usize,
}

impl Default for Limits {
    /// 4 MiB per stream holds a window of 100 Mbit/s at 300 ms; 64 MiB in total sixteen of these. 2^17 connections
    /// take about 180 MB, 2^21 openings about 200 MB. A tunnel's state takes about 5 KiB, so that 768 MiB are enough
    /// for 2^17 of them; heads on their way and messages that are looked into take more, for a moment.
    fn default() -> Self {
        Self {
            stream_bytes: 4 << 20,
            total_bytes: 64 << 20,
            connections: 1 << 17,
            embryos: 1 << 21,
            state_bytes: 768 << 20,
        }
    }
}

impl Limits {
    /// The limits for a total budget of memory in bytes: nearly a quarter for buffered bytes, one for openings, half for
    /// connections (at 8 KiB each, of which a usual state takes five).
    #[must_use]
    pub fn with_memory(bytes: usize) -> Self {
        let default = Self::default();
        // One part in 32 of all is for IP fragments, which are put together before.
        let total_bytes = bytes / 4 - bytes / 32;
        Self {
            stream_bytes: default.stream_bytes.min(total_bytes),
            total_bytes,
            connections: (bytes / 2 / 8192).max(64),
            embryos: (bytes / 4 / 128).max(1024),
            state_bytes: bytes / 8 * 3,
        }
    }
}

/// Which limit was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitKind {
    /// [`Limits::stream_bytes`].
    StreamBytes,
    /// [`Limits::total_bytes`].
    TotalBytes,
    /// [`Limits::connections`].
    Connections,
    /// [`Limits::embryos`].
    Embryos,
    /// [`Limits::state_bytes`].
    StateBytes,
}

/// A limit that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitHit {
    /// Which.
    pub kind: LimitKind,
    /// The frame at which it was met first.
    pub first: FrameRef,
    /// The connection that gave way first.
    pub connection: ConnectionId,
    /// How often something gave way.
    pub times: u64,
}

/// Frames of one capture that show what was shown before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copies {
    /// Copies of frames of connections that this capture showed first: it holds them twice.
    pub own: u64,
    /// Copies of frames of connections that another capture showed first.
    pub shared: u64,
    /// The first of all these.
    pub first: FrameRef,
}

/// What a table counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// Connections seen.
    pub connections: u64,
    /// Of those that left the table: opened completely.
    pub complete: u64,
    /// ... refused.
    pub refused: u64,
    /// ... unanswered.
    pub unanswered: u64,
    /// ... without a SYN in the capture.
    pub midstream: u64,
    /// ... of which only a part of the opening was seen.
    pub partial: u64,
    /// Connections dropped to stay within the limits.
    pub evicted: u64,
    /// Bytes given up to stay within the limits (holes that might still have been filled).
    pub bytes_given_up: u64,
    /// Bytes that the capture lacks although they were acknowledged, on connections that left the table.
    pub not_captured_bytes: u64,
    /// Segments that came after the peer's answer to them: frames are not in the order in which they were on the wire.
    pub answered_before: u64,
    /// Segments counted as duplicates by the capture, on connections that left the table.
    pub duplicates: u64,
    /// Segments of connections that had left the table already: late copies.
    pub late: u64,
    /// Copies by the capture that holds them.
    pub copies: BTreeMap<CaptureId, Copies>,
    /// The limits met, in the order in which they were met first.
    pub limits: Vec<LimitHit>,
}

impl Stats {
    /// Counts a frame that shows again what was shown before, of a connection that was first seen in capture `shown`.
    pub(super) fn copy(&mut self, frame: FrameRef, shown: CaptureId) {
        let copies = self.copies.entry(frame.capture()).or_insert(Copies {
            own: 0,
            shared: 0,
            first: frame,
        });
        if shown == frame.capture() {
            copies.own += 1;
        } else {
            copies.shared += 1;
        }
    }

    /// Notes that a limit was met.
    pub(super) fn hit(&mut self, kind: LimitKind, frame: FrameRef, connection: ConnectionId) {
        if let Some(hit) = self.limits.iter_mut().find(|hit| hit.kind == kind) {
            hit.times += 1;
            return;
        }
        self.limits.push(LimitHit {
            kind,
            first: frame,
            connection,
            times: 1,
        });
    }

    /// Whether more connections are torn apart, or more bytes missing, than by another order of the same frames.
    pub fn is_more_torn_than(&self, other: &Self) -> bool {
        let torn = |stats: &Self| stats.answered_before + stats.midstream + stats.partial;
        torn(self) > torn(other) || self.not_captured_bytes > other.not_captured_bytes
    }

    /// Counts a connection that leaves the table.
    pub(super) fn left(&mut self, connection: &Connection) {
        *match connection.opening {
            Opening::Complete => &mut self.complete,
            Opening::Refused => &mut self.refused,
            Opening::Unanswered => &mut self.unanswered,
            Opening::Midstream => &mut self.midstream,
            Opening::Partial => &mut self.partial,
        } += 1;
        self.evicted += u64::from(connection.evicted);
        self.duplicates += connection.duplicates;
        for facts in [&connection.to_server, &connection.to_client] {
            self.not_captured_bytes += facts.not_captured_bytes();
        }
    }
}
