//! A connection as pairing sees it: its facts, and the exchanges on it that may be part of a handshake.

use std::mem::take;
use std::sync::Arc;

use super::relayed::Relayed;
use crate::capture::FrameRef;
use crate::http::{CgiRequest, PartialWhy, RequestHead, ResponseHead, Span, said};
use crate::http2::Http2Facts;
use crate::tcp::{Connection, Direction, Ending, EndingHow, Side};
use crate::tls::{ClearStream, TlsFacts};
use crate::websocket::SessionFacts;

/// What a connection speaks, judged by its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1 that switched to WebSocket, or WebSocket frames from mid-stream.
    WebSocket,
    /// HTTP/1.
    Http,
    /// HTTP/2 in clear (its preface, RFC 9113 3.4).
    Http2,
    /// TLS records.
    Tls,
    /// A request for a WebSocket in FastCGI, uwsgi or SCGI.
    Cgi,
    /// Anything else.
    Other,
    /// No payload byte was seen.
    None,
}

/// A head of which only a part is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialHead {
    /// Where it began.
    pub first: FrameRef,
    /// Where it broke off.
    pub last: FrameRef,
    /// What there is of it.
    pub bytes: Box<[u8]>,
    /// Why it is not complete.
    pub why: PartialWhy,
}

impl PartialHead {
    /// The complete lines of a request that breaks off: they say as much as those of a whole one.
    pub fn request(&self) -> RequestHead {
        let span = Span {
            first: self.first,
            last: self.last,
        };
        RequestHead::begun(&self.bytes, span)
    }
}

/// An exchange that is (or may be) part of an opening handshake, complete with all that belongs to it. What most lack is
/// kept apart: many exchanges wait for their other hops at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exchange {
    /// Its number on the connection, from 0.
    pub index: u32,
    /// The request; `None` when only the answer (or a part of the request) is in the capture.
    pub request: Option<RequestHead>,
    /// A request that never became complete.
    pub partial_request: Option<Box<PartialHead>>,
    /// 1xx answers before the final one (101 is final).
    pub interim: Vec<ResponseHead>,
    /// The final answer.
    pub response: Option<ResponseHead>,
    /// An answer that never became complete.
    pub partial_response: Option<Box<PartialHead>>,
    /// An answer that is no HTTP: where, and how it begins.
    pub not_http: Option<(FrameRef, Box<[u8]>)>,
    /// How the answer's body begins.
    pub body: Option<Box<[u8]>>,
    /// Response bytes may be missing before or inside the answer: a hole was seen while it was awaited.
    pub gap_in_answer: bool,
    /// What followed the 101.
    pub session: Option<Box<SessionFacts>>,
    /// How its first bytes came, where there was TLS that may be the hop in front of it.
    pub relayed: Option<Box<Relayed>>,
    /// It was paired although its request is no handshake attempt: a proxy took away all that made it one, or the
    /// other hop got it from a proxy. Then this summary is all there is, `request` and `response` are `None`.
    pub ordinary: Option<Box<OrdinaryExchange>>,
}

impl Exchange {
    /// The short text with which the answer refuses; `None` where the request is not seen, which it may repeat secrets of.
    pub fn said(&self) -> Option<String> {
        let asked = self.request.as_ref()?;
        said(asked, self.response.as_ref()?, self.body.as_deref()?)
    }

    /// About how many bytes of memory it takes.
    pub fn held(&self) -> usize {
        // A field's name and value each have a place of 8 bytes, for about 32 bytes of text.
        let head = |raw: &[u8]| raw.len() + raw.len() / 2;
        let requests = self.request.iter().map(|one| head(one.fields.raw()));
        let answers = self.interim.iter().chain(&self.response);
        let answers = answers.map(|one| head(one.fields.raw()));
        let partial = [&self.partial_request, &self.partial_response].into_iter();
        let partial = partial
            .flatten()
            .map(|one| size_of::<PartialHead>() + one.bytes.len());
        let session = self
            .session
            .as_ref()
            .map_or(0, |_| size_of::<SessionFacts>());
        let relayed = self.relayed.as_ref().map_or(0, |one| one.held());
        size_of::<Self>()
            + session
            + relayed
            + requests.chain(answers).chain(partial).sum::<usize>()
    }
}

/// An exchange that is no handshake attempt by itself, kept small: a candidate when nothing better pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrdinaryExchange {
    /// Its number on the connection, from 0.
    pub index: u32,
    /// First frame of the request.
    pub request: FrameRef,
    /// The method.
    pub method: Box<str>,
    /// The target, at most `ORDINARY_TARGET_MAX` bytes of it.
    pub target: Box<str>,
    /// HTTP minor version.
    pub minor_version: u8,
    /// The Connection field as one list.
    pub connection: Option<Box<str>>,
    /// The Upgrade field as one list (`h2c`, say).
    pub upgrade: Option<Box<str>>,
    /// The answer: first frame and status.
    pub response: Option<(FrameRef, u16)>,
}

/// Whether a target is one of Engine.IO (Socket.IO), which names its transport: other applications have a `sid` as well.
pub fn is_engine_io(target: &str) -> bool {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    (query.split('&')).any(|pair| matches!(pair, "transport=polling" | "transport=websocket"))
}

/// Longest target kept of an ordinary exchange: paths are compared by it, query strings may be huge.
pub const ORDINARY_TARGET_MAX: usize = 256;

/// Ordinary exchanges kept per connection: the newest ones; a handshake pairs with what is near in time.
pub const ORDINARY_MAX: usize = 32;

/// A PROXY protocol header (v1 or v2) that stood before the first request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Where.
    pub frame: FrameRef,
    /// 1 or 2.
    pub version: u8,
    /// The source address and port that it names, printed; `None` for UNKNOWN/LOCAL.
    pub source: Option<Box<str>>,
}

/// A connection and what was said on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The TCP facts.
    pub connection: Connection,
    /// What it speaks.
    pub protocol: Protocol,
    /// HTTP requests seen on it, ordinary ones included.
    pub exchange_count: u32,
    /// Attempts at a handshake, in order.
    pub exchanges: Vec<Exchange>,
    /// Other exchanges, the newest `ORDINARY_MAX`.
    pub ordinary: Vec<OrdinaryExchange>,
    /// Bytes that are no HTTP where HTTP was expected (or the first bytes of an unknown protocol): way, where, how they begin.
    pub not_http: Vec<(Direction, FrameRef, Box<[u8]>)>,
    /// A PROXY protocol header before the first request.
    pub proxy_header: Option<ProxyHeader>,
    /// The first head, or request in a protocol of application servers, that was not read to its end because it is too long,
    /// and whose it is.
    pub oversized_head: Option<(Direction, FrameRef)>,
    /// TLS facts.
    pub tls: Option<Box<TlsFacts>>,
    /// What HTTP/2 shows about WebSocket.
    pub http2: Option<Box<Http2Facts>>,
    /// The request that it carried in a protocol of application servers.
    pub cgi: Option<Box<CgiRequest>>,
}

impl Record {
    /// A connection on which nothing was said that is worth keeping.
    pub const fn bare(connection: Connection, protocol: Protocol) -> Self {
        Self {
            connection,
            protocol,
            exchange_count: 0,
            exchanges: Vec::new(),
            ordinary: Vec::new(),
            not_http: Vec::new(),
            proxy_header: None,
            oversized_head: None,
            tls: None,
            http2: None,
            cgi: None,
        }
    }

    /// The record, leaving one behind on which nothing was said.
    pub(super) fn take(&mut self) -> Self {
        Self {
            connection: self.connection.clone(),
            protocol: self.protocol,
            exchange_count: self.exchange_count,
            exchanges: take(&mut self.exchanges),
            ordinary: take(&mut self.ordinary),
            not_http: take(&mut self.not_http),
            proxy_header: self.proxy_header.take(),
            oversized_head: self.oversized_head,
            tls: self.tls.take(),
            http2: self.http2.take(),
            cgi: self.cgi.take(),
        }
    }

    /// The last bytes that a side said: of a TLS session that was opened the last in clear, for tickets and alerts come in
    /// records as well.
    pub fn last_said(&self, direction: Direction) -> Option<FrameRef> {
        match self.opened(direction) {
            Some(stream) => stream.last,
            None => self.connection.stream(direction).last_data,
        }
    }

    /// How many bytes a side said: of a TLS session that was opened those in clear.
    pub fn said_bytes(&self, direction: Direction) -> u64 {
        match self.opened(direction) {
            Some(stream) => stream.bytes,
            None => self.connection.stream(direction).payload_bytes,
        }
    }

    fn opened(&self, direction: Direction) -> Option<&ClearStream> {
        let tls = self.tls.as_deref().filter(|tls| tls.sealed.is_open())?;
        Some(match direction {
            Direction::ToServer => &tls.to_server,
            Direction::ToClient => &tls.to_client,
        })
    }

    /// Who ended it first: by FIN or RST, or in TLS by saying that nothing more will be sent (close_notify, RFC 8446 6.1), upon
    /// which the other side's FIN may come before its own.
    pub fn ending(&self) -> Option<Ending> {
        let ending = self.connection.ended?;
        let from = ending.by.other();
        let notified = self.notified(from).filter(|frame| *frame < ending.frame);
        let fin = notified.and_then(|_| self.connection.stream(from.sends()).fin);
        Some(fin.map_or(ending, |frame| Ending {
            how: EndingHow::Fin,
            by: from,
            frame,
        }))
    }

    /// Where a side said in TLS, as the first of both, that it will send no more (close_notify, RFC 8446 6.1).
    pub fn notified(&self, by: Side) -> Option<FrameRef> {
        let opened = self.tls.as_deref().filter(|tls| tls.sealed.is_open())?;
        let mut alerts = opened.alerts.iter();
        let first = alerts.find(|alert| alert.is_close_notify())?;
        (first.from == by).then_some(first.frame)
    }

    /// Whether nothing on it can be part of a handshake's story: it may be forgotten once counted.
    pub fn is_background(&self) -> bool {
        self.exchanges.is_empty() && self.ordinary.is_empty() && self.protocol != Protocol::None
    }
}

/// A record shared by the hops on it.
pub type SharedRecord = Arc<Record>;
