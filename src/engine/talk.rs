//! What one connection says: judged by its first bytes, then followed by the stage that speaks its protocol.
//!
//! ```text
//!  first bytes -> Undecided -+-> Http -> (101) -> WebSocket session
//!                            +-> Tls
//!                            +-> Ignored: counters only
//! ```
//!
//! Invariants: an ignored connection holds no heap memory here; an exchange is kept whole only when it is (or may be)
//! a handshake attempt; everything else is bounded by a named constant.

use std::borrow::Cow;
use std::mem::take;

use crate::capture::FrameRef;
use crate::hop::{
    Exchange, ORDINARY_MAX, ORDINARY_TARGET_MAX, OrdinaryExchange, PartialHead, Protocol,
    ProxyHeader, Record,
};
use crate::http::{self, Held, HttpEvent, Probe, RequestHead, ResponseHead};
use crate::tcp::{Chunk, Connection, Direction, EndingHow, Gap, Interest, Opening, StreamEnd};
use crate::tls::Sight;
use crate::websocket::{DeflateParams, Depth, Session};

/// Segments of a connection whose start was not captured that are probed for the start of something we know, before
/// it is given up: a response body of a few hundred kilobytes may be under way when the capture begins.
const MIDSTREAM_PROBES: u16 = 256;

/// Excerpts of foreign bytes kept per connection: the first each way, and a repetition to tell a habit.
const NOT_HTTP_MAX: usize = 4;

/// Bytes held until the first bytes of a connection can be judged: a PROXY protocol v2 header with all its TLVs seldom
/// exceeds this, and nothing else needs more than a few.
const PREFIX_MAX: usize = 1024;

/// What is known of what a connection says.
#[derive(Debug)]
pub(super) enum Talk {
    Undecided(Box<Undecided>),
    Followed(Box<Followed>),
    Ignored(Protocol),
}

/// Waiting for bytes that say what this is.
#[derive(Debug, Default)]
pub(super) struct Undecided {
    /// Bytes of the client that were too few to judge.
    prefix: Vec<u8>,
    proxy_header: Option<ProxyHeader>,
    /// Segments of a connection from mid-stream that began nothing we know.
    probes: u16,
    /// Reads these segments as WebSocket frames, to see whether that makes sense.
    session: Option<Session>,
}

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
}

#[derive(Debug)]
enum Reader {
    Http(http::Conversation),
    /// After a 101: the place in `exchanges` of the exchange that the session belongs to.
    WebSocket {
        session: Session,
        place: usize,
    },
    Tls(Sight),
    /// Nothing more to read, but there is something to report.
    Done(Protocol),
}

/// A request that may begin a handshake was completed: what the pairing stage needs to know at once.
#[derive(Debug)]
pub(super) struct AttemptSeen {
    pub(super) exchange: u32,
    pub(super) at: FrameRef,
    pub(super) key: Option<Box<[u8]>>,
}

/// Reused between calls, so that following a connection allocates nothing per segment.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    events: Vec<HttpEvent>,
    pub(super) attempts: Vec<AttemptSeen>,
    /// Something was decided (an answer, a refusal): a live view may want to look.
    pub(super) decided: bool,
}

impl Talk {
    pub(super) fn new() -> Self {
        Self::Undecided(Box::default())
    }

    /// Whether an attempt at a handshake was seen on it.
    pub(super) fn has_attempt(&self) -> bool {
        matches!(self, Self::Followed(followed) if !followed.exchanges.is_empty())
    }

    pub(super) fn bytes(
        &mut self,
        connection: &Connection,
        chunk: Chunk<'_>,
        scratch: &mut Scratch,
    ) -> Interest {
        match self {
            Self::Ignored(_) => Interest::Counters,
            Self::Followed(followed) => followed.bytes(&chunk, scratch),
            Self::Undecided(undecided) => {
                let decision = undecided.judge(connection, &chunk);
                self.decide(
                    connection.opening == Opening::Midstream,
                    decision,
                    &chunk,
                    scratch,
                )
            }
        }
    }

    fn decide(
        &mut self,
        midstream: bool,
        decision: Decision,
        chunk: &Chunk<'_>,
        scratch: &mut Scratch,
    ) -> Interest {
        let reader = match decision {
            Decision::Wait => return Interest::Bytes,
            Decision::Ignore(protocol) => {
                *self = Self::Ignored(protocol);
                return Interest::Counters;
            }
            Decision::Http { .. } if midstream => Reader::Http(http::Conversation::midstream()),
            Decision::Http { .. } => Reader::Http(http::Conversation::new()),
            Decision::Tls { .. } => Reader::Tls(Sight::new()),
            Decision::WebSocket(session) => return self.join_session(session),
        };
        let (Decision::Http { held, skip } | Decision::Tls { held, skip }) = decision else {
            return Interest::Bytes;
        };
        let Self::Undecided(undecided) = self else {
            return Interest::Bytes;
        };
        let mut followed = Box::new(Followed::new(reader, undecided.proxy_header.take()));
        let mut interest = Interest::Bytes;
        if !held.is_empty() {
            let position = chunk.position.saturating_sub(held.len() as u64);
            interest = followed.bytes(
                &Chunk {
                    data: &held,
                    position,
                    ..*chunk
                },
                scratch,
            );
        }
        let rest = chunk.data.get(skip..).unwrap_or_default();
        if !rest.is_empty() && interest == Interest::Bytes {
            let position = chunk.position.saturating_add(skip as u64);
            interest = followed.bytes(
                &Chunk {
                    data: rest,
                    position,
                    ..*chunk
                },
                scratch,
            );
        }
        *self = Self::Followed(followed);
        interest
    }

    fn join_session(&mut self, session: Session) -> Interest {
        let Self::Undecided(undecided) = self else {
            return Interest::Bytes;
        };
        let reader = Reader::WebSocket { session, place: 0 };
        let mut followed = Box::new(Followed::new(reader, undecided.proxy_header.take()));
        followed.exchanges.push(Exchange::default());
        *self = Self::Followed(followed);
        Interest::Bytes
    }

    pub(super) fn gap(&mut self, gap: &Gap, scratch: &mut Scratch) -> Interest {
        match self {
            Self::Ignored(_) => Interest::Counters,
            Self::Undecided(undecided) => {
                undecided.prefix.clear();
                if let Some(session) = &mut undecided.session {
                    session.gap(gap);
                }
                Interest::Bytes
            }
            Self::Followed(followed) => followed.gap(gap, scratch),
        }
    }

    pub(super) fn ended(&mut self, end: StreamEnd, scratch: &mut Scratch) {
        if let Self::Followed(followed) = self {
            followed.ended(end, scratch);
        }
    }

    /// The capture ended, or the connection is forgotten: what is incomplete stays so.
    pub(super) fn cut_off(&mut self, connection: &Connection, scratch: &mut Scratch) {
        if let Self::Followed(followed) = self {
            followed.cut_off(connection.last, scratch);
        }
    }

    /// The connection is closed: what there is to report.
    pub(super) fn into_record(self, connection: Connection) -> Record {
        match self {
            Self::Followed(followed) => followed.into_record(connection),
            other => other.record(connection),
        }
    }

    /// What there is to report, as it stands.
    pub(super) fn record(&self, connection: Connection) -> Record {
        match self {
            Self::Undecided(undecided) => Record {
                proxy_header: undecided.proxy_header.clone(),
                ..empty_record(connection, Protocol::Other)
            },
            Self::Ignored(protocol) => empty_record(connection, *protocol),
            Self::Followed(followed) => followed.record(connection),
        }
    }
}

/// The record of a connection without anything that was followed.
pub(super) fn empty_record(connection: Connection, protocol: Protocol) -> Record {
    Record {
        connection,
        protocol,
        exchange_count: 0,
        exchanges: Vec::new(),
        ordinary: Vec::new(),
        not_http: Vec::new(),
        proxy_header: None,
        tls: None,
    }
}

/// What the first bytes say: read `held` first (bytes kept from before), then the chunk from `skip` on.
enum Decision {
    Wait,
    Ignore(Protocol),
    Http {
        held: Vec<u8>,
        skip: usize,
    },
    Tls {
        held: Vec<u8>,
        skip: usize,
    },
    /// A session that was up when the capture began; it has read the chunk already.
    WebSocket(Session),
}

impl Undecided {
    fn judge(&mut self, connection: &Connection, chunk: &Chunk<'_>) -> Decision {
        let from_client = chunk.direction == Direction::ToServer;
        let held = if from_client {
            take(&mut self.prefix)
        } else {
            Vec::new()
        };
        let joined = concat([&held, chunk.data]);
        let protocol = match http::probe(&joined) {
            Probe::ProxyHeader(_) if from_client && self.proxy_header.is_none() => {
                return self.proxy_header(held.len(), &joined, chunk);
            }
            Probe::NeedMore if from_client => return self.wait(joined.into_owned()),
            probe => protocol(probe),
        };
        if protocol == Protocol::Other && connection.opening == Opening::Midstream {
            return self.search(&Chunk {
                data: &joined,
                ..*chunk
            });
        }
        drop(joined);
        match protocol {
            // A server's answer that comes byte by byte: the HTTP reader waits better than we could.
            Protocol::Http | Protocol::None => Decision::Http { held, skip: 0 },
            Protocol::Tls => Decision::Tls { held, skip: 0 },
            other => Decision::Ignore(other),
        }
    }

    /// Bytes from the middle of something: WebSocket frames, perhaps, or what stands before the next HTTP head.
    fn search(&mut self, chunk: &Chunk<'_>) -> Decision {
        let session = self
            .session
            .get_or_insert_with(|| Session::midstream(chunk.frame, Depth::BOUNDED));
        session.bytes(chunk);
        if session.is_convincing() {
            return self
                .session
                .take()
                .map_or(Decision::Wait, Decision::WebSocket);
        }
        self.probes += 1;
        if self.probes < MIDSTREAM_PROBES {
            Decision::Wait
        } else {
            Decision::Ignore(Protocol::Other)
        }
    }

    fn wait(&mut self, prefix: Vec<u8>) -> Decision {
        if prefix.len() > PREFIX_MAX {
            return Decision::Ignore(Protocol::Other);
        }
        self.prefix = prefix;
        Decision::Wait
    }

    /// A PROXY protocol header stands before the first request: what follows it decides.
    fn proxy_header(&mut self, held: usize, joined: &[u8], chunk: &Chunk<'_>) -> Decision {
        match http::proxy_header(joined) {
            http::ProxyHeader::NeedMore => self.wait(joined.to_vec()),
            http::ProxyHeader::No => Decision::Ignore(Protocol::Other),
            http::ProxyHeader::Complete {
                len,
                version,
                source,
            } => {
                let source = source.map(|source| source.to_string().into_boxed_str());
                self.proxy_header = Some(ProxyHeader {
                    frame: chunk.frame,
                    version,
                    source,
                });
                let skip = len.saturating_sub(held);
                let rest = joined.get(len..).unwrap_or_default();
                match protocol(http::probe(rest)) {
                    Protocol::None => self.wait(rest.to_vec()),
                    Protocol::Http => Decision::Http {
                        held: Vec::new(),
                        skip,
                    },
                    Protocol::Tls => Decision::Tls {
                        held: Vec::new(),
                        skip,
                    },
                    other => Decision::Ignore(other),
                }
            }
        }
    }
}

/// The protocol that a probe names.
const fn protocol(probe: Probe) -> Protocol {
    match probe {
        Probe::Request | Probe::Response => Protocol::Http,
        Probe::Http2Preface => Protocol::Http2,
        Probe::Tls => Protocol::Tls,
        Probe::NeedMore => Protocol::None,
        Probe::ProxyHeader(_) | Probe::No => Protocol::Other,
    }
}

/// Joins two slices without copying when one is empty.
fn concat<'a>(parts: [&'a [u8]; 2]) -> Cow<'a, [u8]> {
    match parts {
        [[], whole] | [whole, []] => Cow::Borrowed(whole),
        both => Cow::Owned(both.concat()),
    }
}

impl Followed {
    fn new(reader: Reader, proxy_header: Option<ProxyHeader>) -> Self {
        Self {
            reader,
            exchange_count: 0,
            exchanges: Vec::new(),
            ordinary: Vec::new(),
            partials: Vec::new(),
            not_http: Vec::new(),
            proxy_header,
        }
    }

    fn bytes(&mut self, chunk: &Chunk<'_>, scratch: &mut Scratch) -> Interest {
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
            Reader::Done(_) => Interest::Counters,
        }
    }

    fn gap(&mut self, gap: &Gap, scratch: &mut Scratch) -> Interest {
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
                if let Some(switch) = self.take_events(scratch) {
                    let nothing = Chunk {
                        direction: gap.direction,
                        position: gap.position,
                        data: &[],
                        frame: gap.frame,
                    };
                    self.switch(switch, &nothing, 0);
                }
                Interest::Bytes
            }
            Reader::WebSocket { session, .. } => {
                session.gap(gap);
                Interest::Bytes
            }
            // Hellos and alerts behind a hole cannot be told from encrypted bytes.
            Reader::Tls(sight) => {
                sight.gap(gap);
                Interest::Bytes
            }
            Reader::Done(_) => Interest::Counters,
        }
    }

    fn ended(&mut self, end: StreamEnd, scratch: &mut Scratch) {
        match &mut self.reader {
            Reader::Http(http) => {
                http.ended(end.direction, end.frame, false, &mut scratch.events);
                if end.how == EndingHow::Rst {
                    http.ended(
                        end.direction.reverse(),
                        end.frame,
                        false,
                        &mut scratch.events,
                    );
                }
                self.take_events(scratch);
            }
            Reader::WebSocket { session, .. } => session.ended(&end),
            Reader::Tls(_) | Reader::Done(_) => {}
        }
    }

    fn cut_off(&mut self, last: FrameRef, scratch: &mut Scratch) {
        if let Reader::Http(http) = &mut self.reader {
            http.ended(Direction::ToServer, last, true, &mut scratch.events);
            http.ended(Direction::ToClient, last, true, &mut scratch.events);
            self.take_events(scratch);
        }
    }

    /// Files what the HTTP stage said; returns the exchange that switched protocols, and whether to WebSocket.
    fn take_events(&mut self, scratch: &mut Scratch) -> Option<(u32, bool)> {
        let mut switched = None;
        for event in scratch.events.drain(..) {
            match event {
                HttpEvent::Request { exchange, head } => {
                    self.exchange_count = self.exchange_count.max(exchange.saturating_add(1));
                    if let Some(seen) = self.request(exchange, head) {
                        scratch.attempts.push(seen);
                        scratch.decided = true;
                    }
                }
                HttpEvent::Interim { exchange, head } => {
                    if let Some(attempt) = self.attempt(exchange) {
                        attempt.interim.push(head);
                    }
                }
                HttpEvent::Response { exchange, head } => {
                    scratch.decided = true;
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

    fn attempt(&mut self, exchange: u32) -> Option<&mut Exchange> {
        self.exchanges
            .iter_mut()
            .rev()
            .find(|attempt| attempt.index == exchange)
    }

    fn request(&mut self, index: u32, head: RequestHead) -> Option<AttemptSeen> {
        if !head.is_handshake_attempt() {
            if self.ordinary.len() >= ORDINARY_MAX {
                self.ordinary.remove(0);
            }
            self.ordinary.push(ordinary(index, &head));
            return None;
        }
        let key = head.fields.all("sec-websocket-key").next().map(Box::from);
        let at = head.span.first;
        self.exchanges.push(Exchange {
            index,
            request: Some(head),
            ..Exchange::default()
        });
        Some(AttemptSeen {
            exchange: index,
            at,
            key,
        })
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
            self.exchanges.push(Exchange {
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
        match direction {
            Direction::ToServer if names_websocket(&partial.bytes) => {
                self.exchanges.push(Exchange {
                    index,
                    partial_request: Some(partial),
                    ..Exchange::default()
                });
            }
            Direction::ToServer => self.partials.push((index, partial)),
            Direction::ToClient => {
                if self.attempt(index).is_none() && names_websocket(&partial.bytes) {
                    let partial_request = self.take_partial(index);
                    self.exchanges.push(Exchange {
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
        let deflate = response.and_then(|head| DeflateParams::agreed(&head.fields));
        let mut session = if handover.answer_seen {
            Session::new(established, deflate, Depth::BOUNDED)
        } else {
            Session::answer_unseen(established, Depth::BOUNDED)
        };
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
        self.reader = Reader::WebSocket { session, place };
    }

    fn record(&self, connection: Connection) -> Record {
        let parts = (
            self.exchanges.clone(),
            self.ordinary.clone(),
            self.not_http.clone(),
        );
        self.assemble(connection, parts)
    }

    fn into_record(mut self, connection: Connection) -> Record {
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
        Record {
            exchange_count: self.exchange_count,
            exchanges,
            ordinary,
            not_http,
            proxy_header: self.proxy_header.clone(),
            tls,
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
