//! Hand-built handshakes for the tests of the rules: heads as text, times in milliseconds.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "tests"
)]

use std::sync::Arc;

use super::{Code, Diagnosis, Severity};
use crate::capture::{CaptureId, FrameNo, FrameRef, Timestamp};
use crate::decode::Endpoint;
use crate::hop::testkit;
use crate::hop::{
    AcceptCheck, BackendSight, Confidence, ConnectAttempt, Exchange, Front, Handshake, Hop,
    HopEnding, JoinedBy, OrdinaryExchange, PairedBy, Party, Protocol, Record, Role, Session,
};
use crate::http::testkit as heads;
use crate::http::{RequestHead, ResponseHead};
use crate::tcp::{Ending, EndingHow, Side};
use crate::websocket::{Carried, CloseFrame, SessionFacts};

pub(super) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(super) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(super) const CLIENT: Endpoint = Endpoint::v4([192, 168, 50, 23], 40380);
pub(super) const FRONT: Endpoint = Endpoint::v4([192, 168, 50, 1], 80);
pub(super) const BACK: Endpoint = Endpoint::v4([10, 20, 0, 1], 51000);
pub(super) const BACKEND: Endpoint = Endpoint::v4([10, 20, 0, 11], 8080);
pub(super) const BACKEND2: Endpoint = Endpoint::v4([10, 20, 0, 12], 8080);

/// A complete upgrade request as browsers send it.
pub(super) const ASK: &str = "GET /ws HTTP/1.1\nHost: 192.168.50.1\nUpgrade: websocket\nConnection: Upgrade\n\
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\nOrigin: http://192.168.50.1";

/// The same as a well configured nginx forwards it.
pub(super) const FORWARDED: &str = "GET /ws HTTP/1.1\nUpgrade: websocket\nConnection: upgrade\nHost: bk\n\
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\nOrigin: http://192.168.50.1";

/// The same as nginx forwards it by its older defaults.
pub(super) const STRIPPED_OLD: &str = "GET /ws HTTP/1.0\nHost: bk\nConnection: close\n\
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\nOrigin: http://192.168.50.1";

/// The same as nginx forwards it by its newer defaults.
pub(super) const STRIPPED_NEW: &str = "GET /ws HTTP/1.1\nHost: bk\n\
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\nOrigin: http://192.168.50.1";

/// A backend's valid 101.
pub(super) const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\n\
Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\nServer: backend/1";

/// The same as nginx passes it on.
pub(super) const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\nServer: nginx/1.22.1\nConnection: upgrade\n\
Upgrade: websocket\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// nginx's answer where a backend could not be reached.
pub(super) const BAD_GATEWAY: &str = "HTTP/1.1 502 Bad Gateway\nServer: nginx/1.22.1";

/// nginx's answer where a backend did not answer in time.
pub(super) const GATEWAY_TIMEOUT: &str = "HTTP/1.1 504 Gateway Time-out\nServer: nginx/1.22.1";

/// The answer of a backend that wants an upgrade and was not asked for one.
pub(super) const UPGRADE_REQUIRED: &str =
    "HTTP/1.1 426 Upgrade Required\nUpgrade: websocket\nServer: backend/1";

/// As nginx passes an answer of the backend on.
pub(super) fn passed(answer: &str) -> String {
    answer.replace("Server: backend/1", "Server: nginx/1.22.1")
}

/// An error page of nginx's own.
pub(super) const PAGE: &[u8] =
    b"<html>\r\n<center><h1>x</h1></center>\r\n<hr><center>nginx/1.22.1</center>";

pub(super) fn at(ms: f64) -> FrameRef {
    let nanos = (ms * 1e6).round() as i64;
    FrameRef::new(
        Timestamp::from_nanos(nanos),
        CaptureId(0),
        FrameNo((nanos / 1000).max(0).unsigned_abs() + 1),
    )
}

pub(super) fn request(text: &str, ms: f64) -> RequestHead {
    heads::request(text, at(ms))
}

pub(super) fn response(text: &str, ms: f64) -> ResponseHead {
    heads::response(text, at(ms))
}

/// An ordinary GET, answered a millisecond later.
pub(super) fn ordinary(
    target: &str,
    connection: Option<&str>,
    status: u16,
    ms: f64,
) -> OrdinaryExchange {
    OrdinaryExchange {
        index: 0,
        request: at(ms),
        method: "GET".into(),
        target: target.into(),
        minor_version: 1,
        connection: connection.map(Into::into),
        upgrade: None,
        response: Some((at(ms + 1.0), status)),
    }
}

/// A connection with one exchange on it.
#[derive(Debug, Clone)]
pub(super) struct Conn {
    pub(super) record: Record,
    pub(super) exchange: Exchange,
}

pub(super) fn conn(id: u32, client: Endpoint, server: Endpoint, ms: f64) -> Conn {
    let mut connection = testkit::connection(id, client, server, at(ms));
    connection.syn_ack = Some(at(ms + 0.1));
    connection.rtt_nanos = Some(100_000);
    let mut record = testkit::record(connection, Protocol::Http, Vec::new());
    record.exchange_count = 1;
    Conn {
        record,
        exchange: Exchange::default(),
    }
}

/// The client hop, opened at 0 ms.
pub(super) fn front() -> Conn {
    conn(0, CLIENT, FRONT, 0.0)
}

/// The backend hop, opened at 1 ms.
pub(super) fn back() -> Conn {
    conn(1, BACK, BACKEND, 1.0)
}

impl Conn {
    pub(super) fn edit(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(super) fn ask(mut self, text: &str, ms: f64) -> Self {
        self.exchange.request = Some(request(text, ms));
        self.record.connection.to_server.payload_bytes = text.len() as u64;
        self
    }

    pub(super) fn answer(mut self, text: &str, ms: f64) -> Self {
        self.exchange.response = Some(response(text, ms));
        self.record.connection.to_client.payload_bytes = text.len() as u64;
        self
    }

    pub(super) fn body(mut self, body: &[u8]) -> Self {
        self.exchange.body = Some(body.into());
        self
    }

    pub(super) fn end(mut self, by: Side, how: EndingHow, ms: f64) -> Self {
        let frame = at(ms);
        self.record
            .connection
            .ended
            .get_or_insert(Ending { how, by, frame });
        let stream = self.record.connection.stream_mut(by.sends());
        match how {
            EndingHow::Fin => stream.fin = Some(frame),
            EndingHow::Rst => stream.rst = Some(frame),
        }
        self
    }

    pub(super) fn fin(self, by: Side, ms: f64) -> Self {
        self.end(by, EndingHow::Fin, ms)
    }

    pub(super) fn rst(self, by: Side, ms: f64) -> Self {
        self.end(by, EndingHow::Rst, ms)
    }

    pub(super) fn session(mut self, facts: SessionFacts) -> Self {
        self.exchange.session = Some(Box::new(facts));
        self.record.protocol = Protocol::WebSocket;
        self
    }

    pub(super) fn hop(self, role: Role) -> Hop {
        let Self {
            mut record,
            exchange,
        } = self;
        let accept = match (&exchange.request, &exchange.response) {
            (_, Some(answer)) if answer.status != 101 => AcceptCheck::NotApplicable,
            (Some(request), Some(answer)) => {
                let key = request.fields.first("sec-websocket-key");
                match answer.fields.first("sec-websocket-accept") {
                    None => AcceptCheck::Missing,
                    Some(_) if key.is_none() => AcceptCheck::Unchecked,
                    Some(value) if value == ACCEPT && key.as_deref() == Some(KEY) => {
                        AcceptCheck::Valid
                    }
                    Some(_) => AcceptCheck::Mismatch,
                }
            }
            _ => AcceptCheck::Unchecked,
        };
        record.exchanges = vec![exchange];
        Hop {
            accept_expected: Some(crate::websocket::Accept::for_key(KEY.as_bytes())),
            ..testkit::hop(Arc::new(record), role, accept)
        }
    }

    pub(super) fn attempt(self) -> ConnectAttempt {
        ConnectAttempt {
            record: Arc::new(self.record),
            confidence: Confidence::Likely,
            parent: 0,
        }
    }
}

/// A handshake of one hop.
pub(super) fn alone(conn: Conn, role: Role) -> Handshake {
    testkit::handshake(vec![conn.hop(role)], BackendSight::NotVisible)
}

/// A handshake of a chain of hops, outermost first.
pub(super) fn chain(conns: Vec<Conn>) -> Handshake {
    let last = conns.len() - 1;
    let hops = conns
        .into_iter()
        .enumerate()
        .map(|(place, conn)| {
            let role = match place {
                0 => Role::ClientProxy,
                place if place == last => Role::ProxyBackend,
                _ => Role::ProxyProxy,
            };
            let mut hop = conn.hop(role);
            if place > 0 {
                hop.parent = Some(place - 1);
                hop.paired_by = Some((PairedBy::Key, Confidence::Certain));
            }
            hop
        })
        .collect();
    testkit::handshake(hops, BackendSight::Seen)
}

pub(super) fn through(client: Conn, backend: Conn) -> Handshake {
    chain(vec![client, backend])
}

/// Both hops up at 1.7 ms, with these facts.
pub(super) fn hops(facts: SessionFacts) -> (Conn, Conn) {
    (
        front()
            .ask(ASK, 0.5)
            .answer(SWITCHED, 1.7)
            .session(facts.clone()),
        back()
            .ask(FORWARDED, 1.2)
            .answer(SWITCH, 1.6)
            .session(facts),
    )
}

/// Joins a TLS connection in front that nobody opened.
pub(super) fn join_front(handshake: &mut Handshake, confidence: Confidence) {
    handshake.front = Some(Box::new(Front {
        record: handshake.hops[0].record.clone(),
        by: JoinedBy::Time,
        confidence,
        request: Some(at(0.0)),
        answer: Some(at(1.7)),
        agreed: 0,
        offset_nanos: 0,
    }));
}

/// A client hop whose proxy tried `attempts` in vain.
pub(super) fn tried(client: Conn, attempts: Vec<Conn>) -> Handshake {
    let mut handshake = alone(client, Role::ClientProxy);
    handshake.attempts = attempts.into_iter().map(Conn::attempt).collect();
    handshake.backend = BackendSight::Seen;
    handshake
}

/// A session with `texts` text messages each way, the last of them at `last_ms`.
pub(super) fn talk(texts: u64, established_ms: f64, last_ms: f64) -> SessionFacts {
    let mut carried = Carried::default();
    if texts > 0 {
        carried.frames.text = texts;
        carried.messages = texts;
        carried.payload_bytes = texts * 5;
        carried.first = Some(at(established_ms + 1.0));
        carried.last = Some(at(last_ms));
    }
    SessionFacts {
        to_server: carried,
        to_client: carried,
        timer: crate::websocket::Timer::started(at(if texts > 0 {
            last_ms
        } else {
            established_ms
        })),
        ..testkit::session(at(established_ms))
    }
}

pub(super) fn close(by: Side, code: Option<u16>, reason: &str, ms: f64) -> CloseFrame {
    CloseFrame {
        by,
        code,
        reason: reason.into(),
        cut: false,
        frame: at(ms),
    }
}

/// Joins the sessions of a handshake's hops, as the stage before does.
pub(super) fn with_session(mut handshake: Handshake, ended_by: Option<Party>) -> Handshake {
    let established = handshake.hops[0]
        .exchange()
        .response
        .as_ref()
        .map(|head| head.span.last)
        .or(handshake.hops[0].session().map(|facts| facts.established))
        .unwrap();
    let mut endings: Vec<HopEnding> = handshake
        .hops
        .iter()
        .enumerate()
        .filter_map(|(hop, one)| {
            let Ending { how, by, frame } = one.record.connection.ended?;
            Some(HopEnding {
                hop,
                how,
                by,
                frame,
            })
        })
        .collect();
    endings.sort_by_key(|ending| ending.frame);
    let last_data = handshake
        .hops
        .iter()
        .filter_map(Hop::session)
        .flat_map(|facts| [facts.to_server.last, facts.to_client.last])
        .flatten()
        .max();
    let ended = endings.first().copied();
    let since = last_data.unwrap_or(established);
    handshake.session = Some(Session {
        hop: 0,
        established,
        ended_by,
        ended,
        last_data,
        idle_before_end_nanos: ended.map(|end| end.frame.at.nanos_since(since.at)),
        survived: None,
        outstanding: false,
        lasted_nanos: ended.map(|end| end.frame.at.nanos_since(established.at)),
        endings,
    });
    handshake
}

/// Both hops of a session with the FIN of each: one party ends it at `ms`, and the proxy passes that on a moment later.
pub(super) fn ended((client, backend): (Conn, Conn), by: Party, ms: f64) -> Handshake {
    let (client, backend) = match by {
        Party::Client => (
            client.fin(Side::Client, ms),
            backend.fin(Side::Client, ms + 0.2),
        ),
        Party::Proxy => (
            client.fin(Side::Server, ms + 0.1),
            backend.fin(Side::Client, ms),
        ),
        Party::Backend => (
            client.fin(Side::Server, ms + 0.2),
            backend.fin(Side::Server, ms),
        ),
    };
    with_session(through(client, backend), Some(by))
}

/// Codes and severities of a diagnosis, sorted: `error upgrade-not-forwarded`.
pub(super) fn found(diagnosis: &Diagnosis) -> Vec<String> {
    let mut all: Vec<String> = diagnosis
        .findings
        .iter()
        .map(|finding| {
            let severity = match finding.severity {
                Severity::Info => "info",
                Severity::Warning => "warning",
                Severity::Error => "error",
            };
            format!("{severity} {}", finding.code)
        })
        .collect();
    all.sort();
    all
}

/// The finding of a code.
pub(super) fn finding(diagnosis: &Diagnosis, code: Code) -> &super::Finding {
    diagnosis
        .findings
        .iter()
        .find(|finding| finding.code == code)
        .unwrap_or_else(|| panic!("no {code} among {:?}", found(diagnosis)))
}
