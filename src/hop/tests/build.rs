//! Hand-built connections: what a scenario needs to say, and nothing more.

use std::collections::BTreeMap;

use crate::capture::{CaptureId, FrameNo, FrameRef, Timestamp};
use crate::decode::{Endpoint, SeqNo};
use crate::hop::testkit;
use crate::hop::{
    Exchange, OpenConnections, OrdinaryExchange, PartialHead, Protocol, ProxyHeader, Record,
    Relayed, SharedRecord,
};
use crate::http::PartialWhy;
use crate::http::testkit::{request, response};
use crate::tcp::{ConnectionId, Ending, EndingHow, GapCause, Opening, Side};
use crate::tls::Sizes;
use crate::websocket::{Carried, CloseFrame, SessionFacts};

/// Milliseconds since some hour, by the clock of a capture; the frame number follows the time.
pub(super) fn in_capture(capture: u16, ms: f64) -> FrameRef {
    let nanos = (ms * 1e6) as i64;
    FrameRef::new(
        Timestamp::from_nanos(1_700_000_000_000_000_000 + nanos),
        CaptureId(capture),
        FrameNo(u64::try_from(nanos / 1000 + 10_000_000_000).unwrap()),
    )
}

/// `10.0.0.1:80`.
pub(super) fn at(text: &str) -> Endpoint {
    let address: std::net::SocketAddrV4 = text.parse().unwrap();
    Endpoint::v4(address.ip().octets(), address.port())
}

/// A key made from a number, valid and unique.
pub(super) fn key(number: u8) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode([number; 16])
}

/// A client's request.
pub(super) fn upgrade(target: &str, key: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: www.example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nOrigin: https://www.example.org\r\nUser-Agent: t\r\n"
    )
}

/// What old nginx makes of it by default.
pub(super) fn stripped(target: &str, key: &str) -> String {
    format!(
        "GET {target} HTTP/1.0\r\nHost: backend\r\nConnection: close\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nOrigin: https://www.example.org\r\nUser-Agent: t\r\n"
    )
}

pub(super) fn switching(key: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n",
        crate::websocket::Accept::for_key(key.as_bytes()).as_str()
    )
}

pub(super) fn answer(status: u16) -> String {
    format!("HTTP/1.1 {status} x\r\nServer: nginx/1.22.1\r\nContent-Length: 0\r\n")
}

/// What is answered to a request with `key`.
pub(super) fn told(key: &str, status: u16) -> String {
    if status == 101 {
        switching(key)
    } else {
        answer(status)
    }
}

/// A connection in the making.
#[derive(Clone)]
pub(super) struct Build {
    record: Record,
    capture: u16,
}

impl Build {
    /// A connection whose SYN was seen at a time.
    pub(super) fn new(id: u32, client: &str, server: &str, ms: f64) -> Self {
        Self::seen_by(0, id, client, server, ms)
    }

    pub(super) fn seen_by(capture: u16, id: u32, client: &str, server: &str, ms: f64) -> Self {
        let first = in_capture(capture, ms);
        let isn = |salt: u32| Some(SeqNo(id.wrapping_mul(2_654_435_761).wrapping_add(salt)));
        let mut connection = testkit::connection(id, at(client), at(server), first);
        connection.to_server.isn = isn(1);
        connection.to_client.isn = isn(2);
        Self {
            capture,
            record: testkit::record(connection, Protocol::None, Vec::new()),
        }
    }

    fn frame(&mut self, ms: f64) -> FrameRef {
        let frame = in_capture(self.capture, ms);
        self.record.connection.last = self.record.connection.last.max(frame);
        frame
    }

    fn exchange(&mut self) -> &mut Exchange {
        self.record.exchanges.last_mut().unwrap()
    }

    pub(super) fn ask(mut self, ms: f64, head: &str) -> Self {
        let first = self.frame(ms);
        self.record.protocol = Protocol::Http;
        self.record.exchanges.push(Exchange {
            index: self.record.exchange_count,
            request: Some(request(head, first)),
            ..Exchange::default()
        });
        self.record.exchange_count += 1;
        self
    }

    /// An exchange of which only the answer is there.
    pub(super) fn only_answer(mut self, ms: f64, head: &str) -> Self {
        self.record.exchanges.push(Exchange {
            index: self.record.exchange_count,
            ..Exchange::default()
        });
        self.record.exchange_count += 1;
        self.tell(ms, head)
    }

    /// A request of which only the first bytes are there.
    pub(super) fn ask_cut(mut self, ms: f64, head: &str) -> Self {
        let first = self.frame(ms);
        self.record.exchanges.push(Exchange {
            index: self.record.exchange_count,
            partial_request: Some(Box::new(PartialHead {
                first,
                last: first,
                bytes: head.as_bytes().into(),
                why: PartialWhy::Gap(GapCause::Truncated),
            })),
            ..Exchange::default()
        });
        self.record.exchange_count += 1;
        self
    }

    pub(super) fn tell(mut self, ms: f64, head: &str) -> Self {
        let first = self.frame(ms);
        self.exchange().response = Some(response(head, first));
        self
    }

    /// An ordinary exchange before the next one.
    pub(super) fn ordinary(mut self, from: f64, to: f64, target: &str) -> Self {
        let (request, answered) = (self.frame(from), self.frame(to));
        self.record.protocol = Protocol::Http;
        self.record.ordinary.push(OrdinaryExchange {
            index: self.record.exchange_count,
            request,
            method: "GET".into(),
            target: target.into(),
            minor_version: 1,
            connection: None,
            upgrade: None,
            response: Some((answered, 200)),
        });
        self.record.exchange_count += 1;
        self
    }

    /// A session with the client's frames between two times.
    pub(super) fn session(mut self, from: f64, to: f64, fingerprint: u64) -> Self {
        let (first, last) = (self.frame(from), self.frame(to));
        let carried = Carried {
            first: Some(first),
            last: Some(last),
            payload_bytes: 10,
            ..Carried::default()
        };
        let established = self
            .record
            .exchanges
            .last()
            .and_then(|exchange| exchange.response.as_ref())
            .map_or(first, |head| head.span.first);
        if self.record.exchanges.is_empty() {
            self.record.exchanges.push(Exchange::default());
            self.record.exchange_count = 1;
        }
        self.exchange().session = Some(Box::new(SessionFacts {
            to_server: carried,
            timer: crate::websocket::Timer::started(last),
            fingerprint: Some(fingerprint),
            ..testkit::session(established)
        }));
        self
    }

    pub(super) fn close_frame(mut self, ms: f64, by: Side) -> Self {
        let frame = self.frame(ms);
        let close = CloseFrame {
            by,
            code: Some(1000),
            reason: "".into(),
            cut: false,
            frame,
        };
        self.exchange().session.as_mut().unwrap().closes.push(close);
        self
    }

    pub(super) fn end(mut self, ms: f64, how: EndingHow, by: Side) -> Self {
        let frame = self.frame(ms);
        self.record.connection.ended = Some(Ending { how, by, frame });
        let stream = self.record.connection.stream_mut(by.sends());
        match how {
            EndingHow::Fin => stream.fin = Some(frame),
            EndingHow::Rst => stream.rst = Some(frame),
        }
        self
    }

    pub(super) fn fin(self, ms: f64, by: Side) -> Self {
        self.end(ms, EndingHow::Fin, by)
    }

    pub(super) fn opening(mut self, opening: Opening, last: f64) -> Self {
        self.frame(last);
        self.record.connection.opening = opening;
        self.record.connection.syn_ack = None;
        self.record.connection.to_client.isn = None;
        self
    }

    pub(super) fn isn(mut self, client: u32, server: u32) -> Self {
        self.record.connection.to_server.isn = Some(SeqNo(client));
        self.record.connection.to_client.isn = Some(SeqNo(server));
        self
    }

    pub(super) fn proxy_header(mut self, source: &str) -> Self {
        let frame = self.record.connection.first;
        self.record.proxy_header = Some(ProxyHeader {
            frame,
            version: 1,
            source: Some(source.into()),
        });
        self
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Record)) -> Self {
        change(&mut self.record);
        self
    }

    pub(super) fn record(self) -> Record {
        self.record
    }

    pub(super) fn shared(self) -> SharedRecord {
        self.record.into()
    }
}

/// Connections that are open, as a table would show them.
#[derive(Default)]
pub(super) struct Table(pub(super) BTreeMap<ConnectionId, Record>);

impl OpenConnections for Table {
    fn snapshot(&self, id: ConnectionId) -> Option<Record> {
        self.0.get(&id).cloned()
    }

    fn sizes(&self, id: ConnectionId) -> Option<&Sizes> {
        self.0.get(&id)?.tls.as_deref()?.sizes.as_deref()
    }

    fn relayed(&self, id: ConnectionId) -> Option<&Relayed> {
        self.0.get(&id)?.exchanges.first()?.relayed.as_deref()
    }

    fn without_payload(&self, from: Timestamp, to: Timestamp) -> Vec<Record> {
        let hanging = self.0.values().filter(|record| record.exchanges.is_empty());
        hanging
            .filter(|record| (from..=to).contains(&record.connection.first.at))
            .cloned()
            .collect()
    }
}
