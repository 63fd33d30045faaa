//! Follows a connection that is worth reading, and files what its reader says as exchanges.

use std::mem::take;

use crate::capture::FrameRef;
use crate::hop::{
    Exchange, ORDINARY_MAX, ORDINARY_TARGET_MAX, OrdinaryExchange, PartialHead, Protocol,
    ProxyHeader, Record,
};
use crate::http::{self, Held, HttpEvent, RequestHead, ResponseHead};
use crate::tcp::{Chunk, Connection, Direction, EndingHow, Gap, Interest, StreamEnd};
use crate::websocket::{Depth, Session};
use crate::{http2, tls};

use super::talk::empty_record;

/// Excerpts of foreign bytes kept per connection: the first each way, and a repetition to tell a habit.
const NOT_HTTP_MAX: usize = 4;

/// Answered attempts of an open connection that are kept before they are handed over as a chapter of its story: a connection
/// that a proxy uses again and again may carry attempts for weeks.
const CHAPTER: usize = 64;

/// Bytes of heads with which a chapter is over, however few attempts they are.
const CHAPTER_BYTES: usize = 256 << 10;

/// A connection worth reading.
#[derive(Debug)]
pub(super) struct Followed {
    reader: Reader,
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
    Tls(Box<tls::Sight>),
    Http2(Box<http2::Sight>),
    /// Nothing more to read, but there is something to report.
    Done(Protocol),
}

/// Reused between calls, so that following a connection allocates nothing per segment.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    events: Vec<HttpEvent>,
    /// Exchanges whose requests may begin a handshake, and were completed just now.
    pub(super) attempts: Vec<u32>,
    /// Exchanges that were answered, and when.
    pub(super) answers: Vec<(u32, FrameRef)>,
    /// Something was decided (an answer, a refusal): a live view may want to look.
    pub(super) decided: bool,
}

impl Followed {
    pub(super) fn new(reader: Reader, proxy_header: Option<ProxyHeader>) -> Self {
        Self {
            reader,
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
    pub(super) fn midstream(session: Box<Session>, proxy_header: Option<ProxyHeader>) -> Self {
        let mut followed = Self::new(Reader::WebSocket { session, place: 0 }, proxy_header);
        followed.file(Exchange::default());
        followed
    }

    /// Whether an attempt at a handshake was seen on it.
    pub(super) fn has_attempt(&self) -> bool {
        !self.exchanges.is_empty()
    }

    pub(super) fn bytes(&mut self, chunk: &Chunk<'_>, scratch: &mut Scratch) -> Interest {
        match &mut self.reader {
            Reader::Http(http) => {
                let used = http.bytes(chunk, &mut scratch.events);
                let switched = self.take_events(scratch);
                if let Some(switch) = switched {
                    self.switch(switch, chunk, used);
                }
                if matches!(self.reader, Reader::Done(_)) {
                    Interest::Counters
                } else {
                    Interest::Bytes
                }
            }
            Reader::WebSocket { session, .. } => {
                session.bytes(chunk);
                Interest::Bytes
            }
            Reader::Tls(sight) => sight.bytes(chunk),
            Reader::Http2(sight) => sight.bytes(chunk),
            Reader::Done(_) => Interest::Counters,
        }
    }

    pub(super) fn gap(&mut self, gap: &Gap, scratch: &mut Scratch) -> Interest {
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
                Interest::Bytes
            }
            // Hellos and alerts behind a hole cannot be told from encrypted bytes.
            Reader::Tls(sight) => sight.gap(gap),
            Reader::Http2(sight) => sight.gap(gap),
            Reader::Done(_) => Interest::Counters,
        }
    }

    pub(super) fn ended(&mut self, end: StreamEnd, scratch: &mut Scratch) {
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
            self.switch(switch, &nothing, 0);
        }
    }

    /// Files what the HTTP stage said; returns the exchange that switched protocols, and whether to WebSocket.
    fn take_events(&mut self, scratch: &mut Scratch) -> Option<(u32, bool)> {
        let mut switched = None;
        for event in scratch.events.drain(..) {
            match event {
                HttpEvent::Request { exchange, head } => {
                    self.exchange_count = self.exchange_count.max(exchange.saturating_add(1));
                    if self.request(exchange, head) {
                        scratch.attempts.push(exchange);
                    }
                }
                HttpEvent::Interim { exchange, head } => {
                    if let Some(attempt) = self.attempt(exchange) {
                        attempt.interim.push(head);
                    }
                }
                HttpEvent::Response { exchange, head } => {
                    scratch.decided = true;
                    scratch.answers.push((exchange, head.span.first));
                    self.response(exchange, head);
                }
                HttpEvent::Body { exchange, excerpt } => {
                    if let Some(attempt) = self.attempt(exchange) {
                        attempt.body = Some(excerpt);
                    }
                }
                HttpEvent::NotHttp {
                    direction,
                    frame,
                    excerpt,
                } => self.not_http(direction, frame, excerpt),
                HttpEvent::PartialHead {
                    direction,
                    exchange,
                    first,
                    last,
                    bytes,
                    why,
                } => {
                    self.partial(
                        direction,
                        exchange,
                        PartialHead {
                            first,
                            last,
                            bytes,
                            why,
                        },
                    );
                }
                HttpEvent::Switched {
                    exchange,
                    websocket,
                } => switched = Some((exchange, websocket)),
            }
        }
        switched
    }

    /// Files an exchange. Nearly all connections carry one attempt: room for one.
    fn file(&mut self, exchange: Exchange) {
        if self.exchanges.is_empty() {
            self.exchanges.reserve_exact(1);
        }
        self.exchanges.push(exchange);
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

    fn attempt(&mut self, exchange: u32) -> Option<&mut Exchange> {
        self.exchanges
            .iter_mut()
            .rev()
            .find(|attempt| attempt.index == exchange)
    }

    /// Files a request; whether it may begin a handshake.
    fn request(&mut self, index: u32, head: RequestHead) -> bool {
        if !head.is_handshake_attempt() {
            if self.ordinary.len() >= ORDINARY_MAX {
                self.ordinary.remove(0);
            }
            self.ordinary.push(ordinary(index, &head));
            return false;
        }
        self.file(Exchange {
            index,
            request: Some(head),
            ..Exchange::default()
        });
        true
    }

    fn response(&mut self, index: u32, head: ResponseHead) {
        if let Some(attempt) = self.attempt(index) {
            attempt.response = Some(head);
        } else if let Some(ordinary) = self
            .ordinary
            .iter_mut()
            .rev()
            .find(|ordinary| ordinary.index == index)
        {
            ordinary.response = Some((head.span.first, head.status));
        } else if head.status == 101 || head.fields.first("sec-websocket-accept").is_some() {
            // Only the answer is in the capture, or its request is there in part.
            let partial_request = self.take_partial(index);
            self.file(Exchange {
                index,
                partial_request,
                response: Some(head),
                ..Exchange::default()
            });
        }
    }

    fn not_http(&mut self, direction: Direction, frame: FrameRef, excerpt: Box<[u8]>) {
        if direction == Direction::ToClient
            && let Some(waiting) = self
                .exchanges
                .iter_mut()
                .find(|attempt| attempt.response.is_none())
        {
            waiting
                .not_http
                .get_or_insert_with(|| (frame, excerpt.clone()));
        }
        if self.not_http.len() < NOT_HTTP_MAX {
            self.not_http.push((direction, frame, excerpt));
        }
    }

    fn partial(&mut self, direction: Direction, index: u32, partial: PartialHead) {
        if partial.why == http::PartialWhy::TooLarge {
            self.oversized_head
                .get_or_insert((direction, partial.first));
        }
        match direction {
            Direction::ToServer if names_websocket(&partial.bytes) => {
                self.file(Exchange {
                    index,
                    partial_request: Some(partial),
                    ..Exchange::default()
                });
            }
            Direction::ToServer => self.partials.push((index, partial)),
            Direction::ToClient => {
                if self.attempt(index).is_none() && names_websocket(&partial.bytes) {
                    let partial_request = self.take_partial(index);
                    self.file(Exchange {
                        index,
                        partial_request,
                        ..Exchange::default()
                    });
                }
                if let Some(attempt) = self.attempt(index) {
                    attempt.partial_response = Some(partial);
                }
            }
        }
    }

    fn take_partial(&mut self, index: u32) -> Option<PartialHead> {
        let place = self
            .partials
            .iter()
            .position(|&(exchange, _)| exchange == index)?;
        Some(self.partials.swap_remove(place).1)
    }

    /// The streams carry something else from here on; the chunk's first `used` bytes were still HTTP.
    fn switch(&mut self, (exchange, websocket): (u32, bool), chunk: &Chunk<'_>, used: usize) {
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
        let asked = self.exchanges.get(place);
        if asked.is_some_and(|one| one.request.is_none() && one.partial_request.is_none()) {
            session = session.request_unseen();
        }
        for held in handover.to_server {
            match held {
                Held::Bytes {
                    position,
                    frame,
                    data,
                } => {
                    session.bytes(&Chunk {
                        direction: Direction::ToServer,
                        position,
                        data: &data,
                        frame,
                    });
                }
                Held::Gap(gap) => session.gap(&gap),
            }
        }
        let rest = chunk.data.get(used..).unwrap_or_default();
        if !rest.is_empty() {
            session.bytes(&Chunk {
                data: rest,
                position: chunk.position.saturating_add(used as u64),
                ..*chunk
            });
        }
        self.reader = Reader::WebSocket {
            session: Box::new(session),
            place,
        };
    }

    /// The answered attempts, if they are many and more may follow: what is left is as if they had never been.
    pub(super) fn chapter(&mut self, connection: &Connection) -> Option<Record> {
        let many = self.exchanges.len() >= CHAPTER
            || self.exchanges.len() > 1 && self.head_bytes() >= CHAPTER_BYTES;
        if !many || !matches!(self.reader, Reader::Http(_)) {
            return None;
        }
        // The last one may still get a body, or a session.
        let last = self.exchanges.len() - 1;
        let waits = |exchange: &Exchange| exchange.response.is_none();
        let answered = self
            .exchanges
            .iter()
            .position(waits)
            .unwrap_or(last)
            .min(last);
        if answered == 0 {
            return None;
        }
        let exchanges: Vec<Exchange> = self.exchanges.drain(..answered).collect();
        let parts = (exchanges, self.ordinary.clone(), self.not_http.clone());
        Some(self.assemble(connection.clone(), parts))
    }

    /// Bytes that it holds besides itself.
    pub(super) fn held(&self) -> usize {
        let reader = match &self.reader {
            Reader::Http(http) => size_of::<http::Conversation>() + http.held(),
            Reader::WebSocket { session, .. } => size_of::<Session>() + session.held(),
            Reader::Tls(sight) => size_of::<tls::Sight>() + sight.held(),
            Reader::Http2(sight) => size_of::<http2::Sight>() + sight.held(),
            Reader::Done(_) => 0,
        };
        let partials = self.partials.iter().map(|(_, head)| head.bytes.len());
        let exchanges = self.exchanges.iter().map(Exchange::held);
        let ordinary = self.ordinary.len() * (size_of::<OrdinaryExchange>() + ORDINARY_TARGET_MAX);
        reader + ordinary + partials.sum::<usize>() + exchanges.sum::<usize>()
    }

    fn head_bytes(&self) -> usize {
        let heads = |exchange: &Exchange| {
            let request = exchange
                .request
                .as_ref()
                .map(|head| head.fields.raw().len());
            let response = exchange
                .response
                .as_ref()
                .map(|head| head.fields.raw().len());
            request.unwrap_or_default() + response.unwrap_or_default()
        };
        self.exchanges.iter().map(heads).sum()
    }

    pub(super) fn record(&self, connection: Connection) -> Record {
        let parts = (
            self.exchanges.clone(),
            self.ordinary.clone(),
            self.not_http.clone(),
        );
        self.assemble(connection, parts)
    }

    pub(super) fn into_record(mut self, connection: Connection) -> Record {
        let parts = (
            take(&mut self.exchanges),
            take(&mut self.ordinary),
            take(&mut self.not_http),
        );
        self.assemble(connection, parts)
    }

    fn assemble(
        &self,
        connection: Connection,
        (mut exchanges, ordinary, not_http): Parts,
    ) -> Record {
        let protocol = match &self.reader {
            Reader::Http(_) => Protocol::Http,
            Reader::WebSocket { .. } => Protocol::WebSocket,
            Reader::Tls(_) => Protocol::Tls,
            Reader::Http2(_) => Protocol::Http2,
            Reader::Done(protocol) => *protocol,
        };
        if let Reader::WebSocket { session, place } = &self.reader
            && let Some(exchange) = exchanges.get_mut(*place)
        {
            exchange.session = Some(session.facts());
        }
        let tls = match &self.reader {
            Reader::Tls(sight) => Some(Box::new(sight.facts().clone())),
            _ => None,
        };
        let http2 = match &self.reader {
            Reader::Http2(sight) => Some(Box::new(sight.facts().clone())),
            _ => None,
        };
        Record {
            exchange_count: self.exchange_count,
            exchanges,
            ordinary,
            not_http,
            proxy_header: self.proxy_header.clone(),
            oversized_head: self.oversized_head,
            tls,
            http2,
            ..empty_record(connection, protocol)
        }
    }
}

/// What a record takes over from a followed connection.
type Parts = (
    Vec<Exchange>,
    Vec<OrdinaryExchange>,
    Vec<(Direction, FrameRef, Box<[u8]>)>,
);

/// Whether part of a head shows that it is about WebSocket.
fn names_websocket(bytes: &[u8]) -> bool {
    let lower = bytes.to_ascii_lowercase();
    [
        &b"sec-websocket-"[..],
        b"upgrade: websocket",
        b"http/1.1 101",
        b"http/1.0 101",
    ]
    .iter()
    .any(|mark| memchr::memmem::find(&lower, mark).is_some())
}

fn ordinary(index: u32, head: &RequestHead) -> OrdinaryExchange {
    let target = head
        .target
        .get(..head.target.floor_char_boundary(ORDINARY_TARGET_MAX))
        .unwrap_or_default();
    let field = |name| {
        head.fields
            .combined(name)
            .map(|value| value.into_owned().into_boxed_str())
    };
    OrdinaryExchange {
        index,
        request: head.span.first,
        method: head.method.clone(),
        target: target.into(),
        minor_version: head.minor_version,
        connection: field("connection"),
        upgrade: field("upgrade"),
        response: None,
    }
}
