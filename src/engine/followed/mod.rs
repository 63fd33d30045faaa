//! Follows a connection that is worth reading, and files what its reader says as exchanges.
//!
//! ```text
//!   bytes, gaps, ends -+-------------------> reader (HTTP, WebSocket, HTTP/2) -> filing -> exchanges -> record
//!                      +-> TLS -> what keys open --^
//! ```
//!
//! Invariants: one reader at a time; a session takes over where the 101 ends, not a byte before or after; nothing is
//! allocated per segment.

mod filing;
mod record;
mod sealed;

use crate::capture::FrameRef;
use crate::hop::{
    Exchange, ORDINARY_TARGET_MAX, OrdinaryExchange, PartialHead, Protocol, ProxyHeader, Relayed,
};
use crate::http::{self, CgiRequest, Held, HttpEvent, RequestHead};
use crate::tcp::{Chunk, Direction, EndingHow, Gap, Interest, StreamEnd};
use crate::websocket::{Depth, Session};
use crate::{http2, tls};

use super::undecided::{Midstream, Undecided};
use sealed::Envelope;

/// A connection worth reading.
#[derive(Debug)]
pub(super) struct Followed {
    reader: Reader,
    /// TLS around what the reader reads.
    envelope: Option<Box<Envelope>>,
    /// How the first bytes of a session came.
    relayed: Option<Box<Relayed>>,
    exchange_count: u32,
    exchanges: Vec<Exchange>,
    ordinary: Vec<OrdinaryExchange>,
    /// Partial heads that are no attempt by themselves; an answer may show that they were.
    partials: Vec<(u32, PartialHead)>,
    not_http: Vec<(Direction, FrameRef, Box<[u8]>)>,
    proxy_header: Option<ProxyHeader>,
    oversized_head: Option<(Direction, FrameRef)>,
}

#[derive(Debug)]
pub(super) enum Reader {
    Http(Box<http::Conversation>),
    /// After a 101: the place in `exchanges` of the exchange that the session belongs to.
    WebSocket {
        session: Box<Session>,
        place: usize,
    },
    /// Inside TLS: nothing was opened so far, or too few bytes to judge.
    Tls(Option<Box<Undecided>>),
    Http2(Box<http2::Sight>),
    /// The answer to a request that is known.
    Cgi(Box<CgiRequest>),
    /// Nothing more to read, but there is something to report.
    Done(Protocol),
}

/// Reused between calls, so that following a connection allocates nothing per segment.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is news of its own, told by one call and taken by another"
)]
#[derive(Debug, Default)]
pub(super) struct Scratch {
    events: Vec<HttpEvent>,
    /// Exchanges whose requests may begin a handshake, and were completed just now.
    pub(super) attempts: Vec<u32>,
    /// Exchanges that were answered, and when.
    pub(super) answers: Vec<(u32, FrameRef)>,
    /// Something was decided (an answer, a refusal): a live view may want to look.
    pub(super) decided: bool,
    /// Bytes are held back until keys come.
    holds_back: bool,
    /// A session began to hold bytes back, and nobody looked for keys since.
    wants_keys: bool,
    /// Bytes that the states of connections may have come to hold since they were weighed.
    pub(super) grown: usize,
    /// A TLS session began that nobody opens and that may carry HTTP/1.
    is_sealed: bool,
    /// A session was noticed that was up when the capture began.
    pub(super) is_late: bool,
    /// There are TLS sessions that nobody opens, or may be: what is relayed is to be compared with them.
    pub(super) meets_sealed: bool,
    /// What TLS sessions are opened with.
    pub(super) keys: tls::KeyLog,
    opened: tls::Opened,
}

/// Bytes that a reader may come to hold for one byte of heads: a request of some tens begins an exchange of a kilobyte, an
/// answer as long turns the reader into that of a session.
const GROWTH: usize = 64;

impl Reader {
    /// The reader of what speaks a protocol.
    fn of(protocol: Protocol, midstream: bool) -> Self {
        match protocol {
            Protocol::Http if midstream => Self::Http(Box::new(http::Conversation::midstream())),
            Protocol::Http => Self::Http(Box::default()),
            Protocol::Http2 => Self::Http2(Box::default()),
            Protocol::Tls => Self::Tls(None),
            other => Self::Done(other),
        }
    }
}

impl Scratch {
    /// Whether the last call found something to tell; few do.
    pub(super) const fn has_news(&self) -> bool {
        self.decided
            || self.holds_back
            || self.is_sealed
            || self.is_late
            || !self.attempts.is_empty()
            || !self.answers.is_empty()
    }

    /// Whether the last call left bytes that wait for keys.
    pub(super) const fn take_holds_back(&mut self) -> bool {
        std::mem::replace(&mut self.holds_back, false)
    }

    /// Whether the last call began a TLS session that nobody opens and that may carry HTTP/1.
    pub(super) const fn take_is_sealed(&mut self) -> bool {
        std::mem::replace(&mut self.is_sealed, false)
    }

    /// Whether the last call noticed a session that was up when the capture began.
    pub(super) const fn take_is_late(&mut self) -> bool {
        std::mem::replace(&mut self.is_late, false)
    }

    /// Whether bytes began to wait for keys since the last call.
    pub(super) const fn take_wants_keys(&mut self) -> bool {
        std::mem::replace(&mut self.wants_keys, false)
    }

    /// Bytes are given to a reader that may keep them.
    pub(super) const fn grow(&mut self, bytes: usize) {
        self.grown = self.grown.saturating_add(bytes.saturating_mul(GROWTH));
    }
}

impl Followed {
    /// A connection that speaks HTTP, HTTP/2 or TLS; `midstream` when its start was not captured.
    pub(super) fn new(
        protocol: Protocol,
        midstream: bool,
        proxy_header: Option<ProxyHeader>,
    ) -> Self {
        let envelope = (protocol == Protocol::Tls).then(|| {
            Box::new(if midstream {
                Envelope::midstream()
            } else {
                Envelope::default()
            })
        });
        let reader = Reader::of(protocol, midstream);
        Self {
            envelope,
            ..Self::with(reader, proxy_header)
        }
    }

    fn with(reader: Reader, proxy_header: Option<ProxyHeader>) -> Self {
        Self {
            reader,
            envelope: None,
            relayed: None,
            exchange_count: 0,
            exchanges: Vec::new(),
            ordinary: Vec::new(),
            partials: Vec::new(),
            not_http: Vec::new(),
            proxy_header,
            oversized_head: None,
        }
    }

    /// A session that was up when the capture began: an exchange without heads.
    pub(super) fn midstream(found: Midstream, proxy_header: Option<ProxyHeader>) -> Self {
        let session = Box::new(found.session);
        let mut followed = Self::with(Reader::WebSocket { session, place: 0 }, proxy_header);
        followed.relayed = Some(Box::new(found.relayed));
        followed.file(Exchange::default());
        followed
    }

    /// A connection that began with a request for a WebSocket in a protocol of application servers.
    pub(super) fn cgi(request: Box<CgiRequest>, proxy_header: Option<ProxyHeader>) -> Self {
        Self::with(Reader::Cgi(request), proxy_header)
    }

    /// A connection that began with a request in such a protocol that is too long to wait for its end.
    pub(super) fn cgi_too_long(frame: FrameRef) -> Self {
        let mut followed = Self::with(Reader::Done(Protocol::Cgi), None);
        followed.oversized_head = Some((Direction::ToServer, frame));
        followed
    }

    /// How the bytes of its session came, as far as that is taken down.
    pub(super) fn relayed(&self) -> Option<&Relayed> {
        self.relayed.as_deref()
    }

    /// Whether an attempt at a handshake was seen on it.
    pub(super) fn has_attempt(&self) -> bool {
        !self.exchanges.is_empty()
    }

    /// Looks at what the next bytes of a direction need.
    pub(super) fn touch(&self, direction: Direction) -> usize {
        match &self.reader {
            Reader::WebSocket { session, .. } => session.touch(direction),
            Reader::Http(http) => http.exchanges() as usize,
            Reader::Tls(_) | Reader::Http2(_) | Reader::Cgi(_) | Reader::Done(_) => 0,
        }
    }

    /// The request of an attempt, complete.
    pub(super) fn asked(&self, exchange: u32) -> Option<&RequestHead> {
        let mut attempts = self.exchanges.iter().rev();
        let attempt = attempts.find(|attempt| attempt.index == exchange)?;
        attempt.request.as_ref()
    }

    /// Whether a PROXY header stood before the first request.
    pub(super) const fn is_introduced(&self) -> bool {
        self.proxy_header.is_some()
    }

    /// Called for every segment with payload: what calls it is small enough to be inlined, and it is not.
    #[inline(never)]
    pub(super) fn bytes(&mut self, chunk: &Chunk<'_>, scratch: &mut Scratch) -> Interest {
        if self.envelope.is_some() {
            return self.sealed(chunk, scratch);
        }
        self.clear(chunk, scratch)
    }

    /// Takes bytes in clear, or opened.
    #[expect(clippy::inline_always, reason = "per segment: one call is enough")]
    #[inline(always)]
    fn clear(&mut self, chunk: &Chunk<'_>, scratch: &mut Scratch) -> Interest {
        let Reader::WebSocket { session, .. } = &mut self.reader else {
            return self.heads(chunk, scratch);
        };
        // Payload is passed over; only where messages are inflated, little may become much.
        let before = session.inflating();
        if let Some(relayed) = &mut self.relayed {
            relayed.note(chunk);
        }
        session.bytes(chunk);
        scratch.grown += session.inflating().saturating_sub(before);
        Interest::Bytes
    }

    /// Takes bytes that are not those of a session.
    #[inline(never)]
    fn heads(&mut self, chunk: &Chunk<'_>, scratch: &mut Scratch) -> Interest {
        let len = chunk.data.len();
        match &mut self.reader {
            Reader::Http(http) => {
                let before = http.held();
                let used = http.bytes(chunk, &mut scratch.events);
                // Bodies are passed over: nothing is kept of them.
                if !scratch.events.is_empty() || http.held() > before {
                    scratch.grow(len);
                }
                let switched = self.take_events(scratch);
                if let Some(switch) = switched {
                    self.switch(switch, chunk, used, scratch.meets_sealed);
                }
                if matches!(self.reader, Reader::Done(_)) {
                    Interest::Counters
                } else {
                    Interest::Bytes
                }
            }
            Reader::Tls(_) => self.judge(chunk, scratch),
            Reader::Http2(sight) => {
                scratch.grow(len);
                sight.bytes(chunk)
            }
            Reader::Cgi(request) => request.bytes(chunk),
            Reader::WebSocket { .. } | Reader::Done(_) => Interest::Counters,
        }
    }

    pub(super) fn gap(&mut self, gap: &Gap, scratch: &mut Scratch) -> Interest {
        if self.envelope.is_some() {
            return self.sealed_gap(gap, scratch);
        }
        self.clear_gap(gap, scratch)
    }

    /// Takes a hole in clear bytes.
    fn clear_gap(&mut self, gap: &Gap, scratch: &mut Scratch) -> Interest {
        if gap.direction == Direction::ToClient {
            for exchange in self
                .exchanges
                .iter_mut()
                .filter(|exchange| exchange.response.is_none())
            {
                exchange.gap_in_answer = true;
            }
        }
        match &mut self.reader {
            Reader::Http(http) => {
                http.gap(gap, &mut scratch.events);
                self.take_late_events(gap.frame, scratch);
                Interest::Bytes
            }
            Reader::WebSocket { session, .. } => {
                session.gap(gap);
                if let Some(relayed) = &mut self.relayed {
                    relayed.stop();
                }
                Interest::Bytes
            }
            Reader::Tls(waiting) => {
                if let Some(undecided) = waiting {
                    undecided.gap(gap);
                }
                Interest::Bytes
            }
            Reader::Http2(sight) => sight.gap(gap),
            // Behind a hole nobody knows whose bytes they are.
            Reader::Cgi(_) | Reader::Done(_) => Interest::Counters,
        }
    }

    pub(super) fn ended(&mut self, end: StreamEnd, scratch: &mut Scratch) {
        if self.envelope.is_some() {
            self.sealed_end(end, scratch);
        } else {
            self.clear_ended(end, scratch);
        }
    }

    fn clear_ended(&mut self, end: StreamEnd, scratch: &mut Scratch) {
        if let Reader::Http(http) = &mut self.reader {
            http.ended(end.direction, end.frame, false, &mut scratch.events);
            if end.how == EndingHow::Rst {
                let other = end.direction.reverse();
                http.ended(other, end.frame, false, &mut scratch.events);
            }
            self.take_late_events(end.frame, scratch);
        }
        // Not `else`: a session may have come out just now.
        if let Reader::WebSocket { session, .. } = &mut self.reader {
            session.ended(&end);
        }
    }

    pub(super) fn cut_off(&mut self, last: FrameRef, scratch: &mut Scratch) {
        self.open_late(scratch);
        if let Reader::Http(http) = &mut self.reader {
            http.ended(Direction::ToServer, last, true, &mut scratch.events);
            http.ended(Direction::ToClient, last, true, &mut scratch.events);
            self.take_late_events(last, scratch);
        }
    }

    /// Files what came out without new bytes: behind a hole or at an end, held bytes may turn out to be a session.
    fn take_late_events(&mut self, frame: FrameRef, scratch: &mut Scratch) {
        if let Some(switch) = self.take_events(scratch) {
            let nothing = Chunk {
                direction: Direction::ToClient,
                position: 0,
                data: &[],
                frame,
            };
            self.switch(switch, &nothing, 0, scratch.meets_sealed);
        }
    }

    /// The streams carry something else from here on; the chunk's first `used` bytes were still HTTP.
    /// `compared`: there is TLS that it may be compared with.
    fn switch(
        &mut self,
        (exchange, websocket): (u32, bool),
        chunk: &Chunk<'_>,
        used: usize,
        compared: bool,
    ) {
        let Reader::Http(http) = &mut self.reader else {
            return;
        };
        if !websocket {
            self.reader = Reader::Done(Protocol::Http);
            return;
        }
        let handover = http.take_handover();
        let Some(place) = self
            .exchanges
            .iter()
            .rposition(|attempt| attempt.index == exchange)
        else {
            self.reader = Reader::Done(Protocol::Http);
            return;
        };
        let response = self
            .exchanges
            .get(place)
            .and_then(|attempt| attempt.response.as_ref());
        let established = response.map_or(chunk.frame, |head| head.span.last);
        let mut session = match response {
            Some(head) if handover.answer_seen => {
                Session::behind(established, &head.fields, Depth::BOUNDED)
            }
            _ => Session::answer_unseen(established, Depth::BOUNDED),
        };
        if let Some(asked) = self.exchanges.get(place) {
            session = match (&asked.request, &asked.partial_request) {
                (Some(request), _) => session.asked(request.span.last),
                (None, Some(_)) => session,
                (None, None) => session.request_unseen(),
            };
        }
        let mut relayed = (compared && self.envelope.is_none()).then(Box::<Relayed>::default);
        for held in handover.to_server {
            match held {
                Held::Bytes {
                    position,
                    frame,
                    data,
                } => {
                    let held = Chunk {
                        direction: Direction::ToServer,
                        position,
                        data: &data,
                        frame,
                    };
                    if let Some(relayed) = &mut relayed {
                        relayed.note(&held);
                    }
                    session.bytes(&held);
                }
                Held::Gap(gap) => {
                    if let Some(relayed) = &mut relayed {
                        relayed.stop();
                    }
                    session.gap(&gap);
                }
            }
        }
        let rest = chunk.data.get(used..).unwrap_or_default();
        if !rest.is_empty() {
            let rest = Chunk {
                data: rest,
                position: chunk.position.saturating_add(used as u64),
                ..*chunk
            };
            if let Some(relayed) = &mut relayed {
                relayed.note(&rest);
            }
            session.bytes(&rest);
        }
        self.relayed = relayed;
        self.reader = Reader::WebSocket {
            session: Box::new(session),
            place,
        };
    }

    /// Bytes that it holds besides itself.
    pub(super) fn held(&self) -> usize {
        let reader = match &self.reader {
            Reader::Http(http) => size_of::<http::Conversation>() + http.held(),
            Reader::WebSocket { session, .. } => size_of::<Session>() + session.held(),
            Reader::Tls(waiting) => waiting.as_ref().map_or(0, |undecided| undecided.held()),
            Reader::Http2(sight) => size_of::<http2::Sight>() + sight.held(),
            Reader::Cgi(request) => size_of::<CgiRequest>() + request.held(),
            Reader::Done(_) => 0,
        };
        let partials = self.partials.iter().map(|(_, head)| head.bytes.len());
        let exchanges = self.exchanges.iter().map(Exchange::held);
        let ordinary = self.ordinary.len() * (size_of::<OrdinaryExchange>() + ORDINARY_TARGET_MAX);
        let envelope = self.envelope.as_ref().map_or(0, |one| one.held());
        let relayed = self.relayed.as_ref().map_or(0, |one| one.held());
        reader + envelope + relayed + ordinary + partials.sum::<usize>() + exchanges.sum::<usize>()
    }
}
