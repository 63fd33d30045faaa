//! The pipeline as one machine: frames in, diagnosed handshakes out. The same for files and for live capture.
//!
//! ```text
//!  Frame -> Decoder -> tcp::Table -> Talk (http | http2 | websocket | tls) -> Record -> hop::Book -> diagnose -> Observer
//! ```
//!
//! Invariants: results depend on the frames alone (no clock, no thread count, no hash order); what is finished is
//! handed out and forgotten, so memory follows the number of live connections and unsettled handshakes.

mod clock;
mod conversations;
mod followed;
mod limits;
mod observer;
mod other;
mod selection;
mod talk;
mod totals;
mod undecided;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::capture::{BATCH, CaptureInfo, Frame, FrameRef, Timestamp};
use crate::decode::{self, Decoded, Decoder};
use crate::diagnosis::{self, Across, Diagnosis, Finding};
use crate::hop::{self, Book, Clocks, Handshake, OpenConnections, Record};
use crate::tcp::{self, ConnectionId, Lookup, Table};

use clock::{Clock, Leap};
use conversations::{Conversations, News, Open};
pub use observer::Observer;
pub use other::OtherFrames;
pub use selection::{Network, Selection};
use talk::Talk;
use totals::Totals;

/// How often, by packet time, finished handshakes are looked for: often enough that memory follows the traffic, seldom
/// enough to cost nothing.
const SETTLE_INTERVAL: Duration = Duration::from_millis(250);

/// The part of the memory that is for IP fragments: 16 MiB of the usual 512.
const FRAGMENT_SHARE: usize = 32;

/// What the engine is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which connections are looked at.
    pub selection: Selection,
    /// Whether the times of all inputs can be compared.
    pub clocks: Clocks,
    /// Limits of the connection table.
    pub limits: tcp::Limits,
    /// Bytes held of IP datagrams that are not complete.
    pub fragment_bytes: usize,
    /// Bytes held of exchanges that wait for the other hops of their handshakes.
    pub held_bytes: usize,
}

impl Options {
    /// The usual limits, or those that follow from a budget of memory in bytes: half for connections under way, half for
    /// what waits for other hops.
    pub fn new(selection: Selection, clocks: Clocks, memory: Option<u64>) -> Self {
        let memory = memory.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        Self {
            selection,
            clocks,
            limits: memory.map_or_else(tcp::Limits::default, |bytes| {
                tcp::Limits::with_memory(bytes / 2)
            }),
            held_bytes: memory.map_or(hop::HELD_BYTES, |bytes| bytes / 2),
            fragment_bytes: memory.map_or(decode::FRAGMENT_BYTES, |bytes| bytes / FRAGMENT_SHARE),
        }
    }
}

/// The whole analysis of one run.
pub struct Engine {
    selection: Selection,
    decoder: Decoder,
    table: Table<Conversations>,
    conversations: Conversations,
    other: OtherFrames,
    across: Across,
    totals: Totals,
    clock: Clock,
    settle_at: Timestamp,
    /// Bytes by which the states of all connections may grow before they are weighed again.
    weigh_after: usize,
    settled: Vec<Handshake>,
}

/// A frame of several that are taken at once.
#[derive(Clone, Copy)]
enum Ready<'a> {
    /// None yet.
    Nothing,
    /// A plain segment, looked up.
    Plain(Lookup<'a>),
    Other(Frame<'a>),
}

/// What was decided on connections that are still open.
#[derive(Debug, Default)]
pub struct Decided {
    /// Handshakes, not settled.
    pub handshakes: Vec<(Handshake, Diagnosis)>,
    /// Connections without a handshake that one side ended, where there is something to say about them.
    pub connections: Vec<(Record, Vec<Finding>)>,
}

impl Engine {
    /// An engine that has seen nothing yet.
    pub fn new(options: Options) -> Self {
        Self {
            selection: options.selection,
            decoder: Decoder::with_fragment_bytes(options.fragment_bytes),
            table: Table::new(options.limits),
            conversations: Conversations::new(options.clocks, options.held_bytes),
            other: OtherFrames::default(),
            across: Across::new(),
            totals: Totals::default(),
            clock: Clock::new(),
            settle_at: Timestamp::from_nanos(i64::MIN),
            weigh_after: 0,
            settled: Vec::new(),
        }
    }

    /// The same, watched from here on: [`Self::decided`] tells of all that happens.
    #[must_use]
    pub fn watched(mut self) -> Self {
        self.decided();
        self
    }

    /// Takes one frame; frames of one capture come in their order.
    pub fn frame(&mut self, frame: &Frame<'_>, observer: &mut dyn Observer) {
        self.frames(std::iter::once(*frame), observer);
    }

    /// Takes several frames at once, which is faster; nothing else comes of it.
    pub fn frames<'a>(
        &mut self,
        frames: impl Iterator<Item = Frame<'a>>,
        observer: &mut dyn Observer,
    ) {
        let mut frames = frames.fuse();
        // An array, for what is pushed to a list goes through memory once more.
        let mut batch = [Ready::Nothing; BATCH];
        loop {
            let mut count = 0;
            for (ready, frame) in batch.iter_mut().zip(&mut frames) {
                *ready = self.ready(&frame);
                count += 1;
            }
            let batch = batch.get_mut(..count).unwrap_or_default();
            if batch.is_empty() {
                return;
            }
            for ready in &mut *batch {
                if let Ready::Plain(lookup) = ready {
                    self.table.locate(lookup);
                }
            }
            self.table.warm(batch.iter().filter_map(Ready::plain));
            for ready in &*batch {
                self.next(ready, observer);
            }
        }
    }

    /// What a frame is, as far as that takes a look at it alone.
    #[expect(
        clippy::inline_always,
        reason = "per frame: saves copies through memory"
    )]
    #[inline(always)]
    fn ready<'a>(&self, frame: &Frame<'a>) -> Ready<'a> {
        match Decoder::plain(frame) {
            Some(segment) => Ready::Plain(self.table.look_up(segment)),
            None => Ready::Other(*frame),
        }
    }

    #[expect(
        clippy::inline_always,
        reason = "per frame: nearly all segments go through here and the table without another call"
    )]
    #[inline(always)]
    fn next(&mut self, frame: &Ready<'_>, observer: &mut dyn Observer) {
        let Some(id) = frame.id() else {
            return;
        };
        // What is due by then happens before the frame is looked into, as it does live, where time passes without frames.
        let late = match self.clock.frame(id) {
            None => false,
            Some(leap) => self.leap(leap),
        };
        if self.clock.now() >= self.settle_at {
            self.settle(observer);
        }
        match frame {
            Ready::Plain(lookup) => {
                if self.selection.wants(lookup.segment()) {
                    if late && self.table.has_overtaken(lookup) {
                        self.clock.overtaken();
                    }
                    self.table.take(&mut self.conversations, lookup);
                }
            }
            Ready::Other(frame) => self.unusual(frame, late),
            Ready::Nothing => {}
        }
        if !self.conversations.closed.is_empty() || !self.conversations.chapters.is_empty() {
            self.file_closed(observer);
        }
        if self.conversations.scratch.grown > self.weigh_after {
            self.relieve(observer);
        }
        if self.conversations.book.is_crowded() {
            self.settle(observer);
        }
    }

    /// Goes along with a time that does not simply go on from that of the frame before. Whether this one stands behind a later
    /// one.
    #[cold]
    fn leap(&mut self, leap: Leap) -> bool {
        match leap {
            Leap::Late => true,
            Leap::Set(before) => {
                self.across.clock_set(before);
                self.table.shift_clock(self.clock.shift());
                self.conversations.book.clock_set(self.clock.frame_time());
                false
            }
        }
    }

    /// Weighs what the states of connections hold, and closes some if that is too much.
    #[cold]
    fn relieve(&mut self, observer: &mut dyn Observer) {
        self.conversations.scratch.grown = 0;
        self.weigh_after = self.table.relieve(&mut self.conversations, Talk::held);
        self.file_closed(observer);
    }

    /// Takes keys of TLS sessions: lines as `SSLKEYLOGFILE` has them (RFC 9850). What waited for them is read now. Whether
    /// there were any.
    pub fn keys(&mut self, log: &[u8]) -> bool {
        let keys = &mut self.conversations.scratch.keys;
        let before = keys.generation();
        keys.add(log);
        if keys.generation() == before {
            return false;
        }
        for id in self.conversations.take_sealed() {
            self.table
                .visit(id, &mut self.conversations, Conversations::look_for_keys);
        }
        true
    }

    /// Whether there were TLS connections, over by now, of which no keys were known in time.
    pub const fn lacks_keys(&self) -> bool {
        self.totals.tls.keyed < self.totals.tls.begun
    }

    /// Whether a session began to wait for keys since the last call: then it is worth looking for some.
    pub const fn wants_keys(&mut self) -> bool {
        self.conversations.scratch.take_wants_keys()
    }

    /// Keys may come while frames come ([`Self::keys`]): TLS sessions without keys are held back for a while.
    pub fn expect_keys(&mut self) {
        self.conversations.scratch.keys.expect();
    }

    /// A frame that is no plain segment.
    #[inline(never)]
    fn unusual(&mut self, frame: &Frame<'_>, late: bool) {
        match self.decoder.unusual(frame) {
            Decoded::Tcp(segment) => {
                if self.selection.wants(&segment) {
                    let lookup = self.table.look_up(segment);
                    if late && self.table.has_overtaken(&lookup) {
                        self.clock.overtaken();
                    }
                    self.table.take(&mut self.conversations, &lookup);
                }
            }
            Decoded::Icmp(error) => self.table.icmp(&mut self.conversations, &error),
            Decoded::Other(kind) => self.other.count(kind),
        }
    }

    /// Time passed without a frame (live capture on a silent line): expires and settles what is due. `now` goes on from
    /// [`Self::newest`]; who tells the time must do so all the time.
    pub fn tick(&mut self, now: Timestamp, observer: &mut dyn Observer) {
        self.clock.tick(now);
        self.table
            .advance(&mut self.conversations, self.clock.now());
        self.file_closed(observer);
        self.settle(observer);
    }

    /// The time of the newest frame as the engine counts it: steps of the clock that stamps the frames are evened out.
    pub fn newest(&self) -> Option<Timestamp> {
        self.clock.newest()
    }

    /// The handshakes that are not settled, as they look now.
    pub fn preview(&self) -> Vec<(Handshake, Diagnosis)> {
        let open = Open(&self.table);
        let handshakes = self.conversations.book.preview(&open);
        self.previewed(handshakes)
    }

    fn previewed(&self, handshakes: Vec<Handshake>) -> Vec<(Handshake, Diagnosis)> {
        handshakes
            .into_iter()
            .filter(|handshake| self.selection.tells(handshake))
            .map(|handshake| {
                let diagnosis = self.across.preview(&handshake);
                (handshake, diagnosis)
            })
            .collect()
    }

    /// What was decided since the last call on connections that are still open, as it looks now: a live view shows
    /// it before it is settled. The cost follows what was decided, not what is open. The first call begins the watch.
    pub fn decided(&mut self) -> Decided {
        let open = Open(&self.table);
        let news = self.conversations.news.replace(News::default());
        let News { decided, ended } = news.unwrap_or_default();
        let handshakes = self.conversations.book.preview_of(&decided, &open);
        let records = ended.into_iter().filter_map(|id| open.snapshot(id));
        Decided {
            handshakes: self.previewed(handshakes),
            connections: records
                .map(|record| {
                    let findings = diagnosis::diagnose_connection(&record);
                    (record, findings)
                })
                .filter(|(_, findings)| !findings.is_empty())
                .collect(),
        }
    }

    /// Connections under way.
    pub fn connections(&self) -> usize {
        self.table.len()
    }

    /// By how many nanoseconds frames stand behind later ones, at most, where segments of one connection were mixed up by that:
    /// put in order, they may tell more.
    pub fn late_by(&self) -> Option<i64> {
        let disorder = self.clock.disorder()?;
        (disorder.overtaken > 0).then_some(disorder.nanos)
    }

    /// Frames that are no TCP.
    pub const fn other_frames(&self) -> &OtherFrames {
        &self.other
    }

    /// The table's counters.
    pub fn tcp_stats(&self) -> tcp::Stats {
        self.table.stats()
    }

    /// The input ended: everything that is left is reported.
    pub fn finish(&mut self, captures: &[CaptureInfo], observer: &mut dyn Observer) {
        let (across, totals) = (&mut self.across, &mut self.totals);
        self.table
            .finish_by(&mut self.conversations, |conversations| {
                file_closed(conversations, (across, totals), observer);
            });
        self.file_closed(observer);
        let mut settled = std::mem::take(&mut self.settled);
        self.conversations.book.finish(&mut settled);
        self.report(&mut settled, observer);
        for finding in self.across.finish() {
            observer.finding(&finding);
        }
        let tcp = self.table.stats();
        for finding in diagnosis::diagnose_captures(captures, &self.totals.all(&tcp)) {
            observer.finding(&finding);
        }
        let mut decode = self.decoder.stats();
        decode.datagrams_incomplete += self.decoder.datagrams_held() as u64;
        for limit in limits::of_captures(captures)
            .into_iter()
            .chain(self.clock.set_back().map(limits::of_clock))
            .chain(self.clock.disorder().and_then(limits::of_disorder))
            .chain(limits::of_hurry(self.conversations.book.hurried()))
            .chain(limits::of_keys(
                self.conversations.scratch.keys.sessions(),
                &self.totals.tls,
            ))
            .chain(limits::collect(decode, &tcp))
        {
            observer.limit(&limit);
        }
    }

    #[inline(never)]
    fn file_closed(&mut self, observer: &mut dyn Observer) {
        let sums = (&mut self.across, &mut self.totals);
        file_closed(&mut self.conversations, sums, observer);
    }

    #[inline(never)]
    fn settle(&mut self, observer: &mut dyn Observer) {
        self.settle_at = self.clock.now().plus(SETTLE_INTERVAL);
        let now = self.clock.frame_time();
        let mut settled = std::mem::take(&mut self.settled);
        self.conversations
            .book
            .settle(now, &Open(&self.table), &mut settled);
        self.report(&mut settled, observer);
        self.settled = settled;
        if self.across.has_due(now) {
            let (book, open) = (&self.conversations.book, Open(&self.table));
            let findings = self.across.due(now, || claimed(book, &open));
            for finding in findings {
                observer.finding(&finding);
            }
        }
    }

    fn report(&mut self, settled: &mut Vec<Handshake>, observer: &mut dyn Observer) {
        for handshake in settled.drain(..) {
            let diagnosis = self.across.diagnose(&handshake);
            self.totals.handshake(&handshake);
            if self.selection.tells(&handshake) {
                observer.handshake(&handshake, &diagnosis);
            } else {
                observer.left_out(&handshake);
            }
        }
    }
}

impl<'a> Ready<'a> {
    const fn id(&self) -> Option<FrameRef> {
        match self {
            Self::Nothing => None,
            Self::Plain(lookup) => Some(lookup.segment().frame),
            Self::Other(frame) => Some(frame.id),
        }
    }

    const fn plain(&self) -> Option<&Lookup<'a>> {
        match self {
            Self::Plain(lookup) => Some(lookup),
            Self::Nothing | Self::Other(_) => None,
        }
    }
}

/// Connections of handshakes that are not settled: what failed on them is part of their story.
fn claimed(book: &Book, open: &Open<'_>) -> BTreeSet<ConnectionId> {
    let unsettled = book.preview(open);
    unsettled
        .iter()
        .flat_map(|handshake| {
            let hops = handshake.hops.iter().chain(&handshake.subrequests);
            let attempts = handshake.attempts.iter().map(|attempt| &attempt.record);
            hops.map(|hop| &hop.record).chain(attempts)
        })
        .map(|record| record.connection.id)
        .collect()
}

/// Hands on what connections said that left the table.
fn file_closed(
    conversations: &mut Conversations,
    (across, totals): (&mut Across, &mut Totals),
    observer: &mut dyn Observer,
) {
    let Conversations {
        closed,
        chapters,
        book,
        ..
    } = conversations;
    for record in chapters.drain(..) {
        book.chapter(record);
    }
    for record in closed.iter_mut() {
        let notable = across.connection(record);
        observer.connection(record, notable);
        totals.connection(record);
        let met = [
            limits::of_record,
            limits::of_head,
            limits::of_inflation,
            limits::of_tls,
        ];
        for limit in met.into_iter().filter_map(|of| of(record)) {
            observer.limit(&limit);
        }
        book.close(record);
    }
    closed.clear();
}
