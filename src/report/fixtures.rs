//! Hand-built results of the stages before, for the tests of the report.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "values that the tests themselves lay out"
)]

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::capture::{CaptureId, CaptureInfo, FrameNo, FrameRef, LinkType, Timestamp};
use crate::decode::Endpoint;
use crate::diagnosis::{AnsweredBy, Code, Diagnosis, Evidence, Finding, Severity, Verdict};
use crate::hop::{
    AcceptCheck, BackendSight, Change, ChangeKind, Confidence, ConnectAttempt, Exchange, Handshake,
    Hop, HopEnding, PairedBy, Party, Protocol, Record, Role, Session,
};
use crate::http::{Fields, RequestHead, ResponseHead, Span};
use crate::tcp::{
    Connection, ConnectionId, Ending, EndingHow, Opening, RolesFrom, Side, StreamFacts,
};
use crate::websocket::Accept;
use crate::websocket::{Carried, CloseFrame, FrameCounts, SessionFacts};

/// 2026-11-20 12:00:00 UTC.
const NOON: i64 = 1_795_176_000_000_000_000;

/// A frame of capture 0, so many microseconds after noon.
pub(crate) fn frame(number: u64, micros: i64) -> FrameRef {
    FrameRef {
        at: Timestamp::from_nanos(NOON + micros * 1000),
        capture: CaptureId(0),
        frame: FrameNo(number),
    }
}

fn fields(head: &str) -> Fields {
    let mut spans = Vec::new();
    let mut at = 0;
    for (number, line) in head.split("\r\n").enumerate() {
        if number > 0
            && let Some((name, value)) = line.split_once(": ")
        {
            let start = at as u32;
            let value_at = start + name.len() as u32 + 2;
            spans.push((
                start..start + name.len() as u32,
                value_at..value_at + value.len() as u32,
            ));
        }
        at += line.len() + 2;
    }
    Fields::new(head.as_bytes().into(), spans)
}

pub(crate) fn request(at: FrameRef, head: &str) -> RequestHead {
    let line = head.split("\r\n").next().unwrap();
    let mut words = line.split(' ');
    RequestHead {
        span: Span {
            first: at,
            last: at,
        },
        method: words.next().unwrap().into(),
        target: words.next().unwrap().into(),
        minor_version: u8::from(line.ends_with("1.1")),
        fields: fields(head),
        faults: Vec::new(),
    }
}

pub(crate) fn response(at: FrameRef, head: &str) -> ResponseHead {
    let line = head.split("\r\n").next().unwrap();
    let mut words = line.splitn(3, ' ');
    ResponseHead {
        span: Span {
            first: at,
            last: at,
        },
        minor_version: u8::from(words.next().unwrap().ends_with("1.1")),
        status: words.next().unwrap().parse().unwrap(),
        reason: words.next().unwrap_or_default().into(),
        fields: fields(head),
        faults: Vec::new(),
    }
}

fn frames(frames: u64) -> StreamFacts {
    StreamFacts {
        frames,
        ..StreamFacts::default()
    }
}

pub(crate) fn connection(
    id: u32,
    client: Endpoint,
    server: Endpoint,
    first: FrameRef,
) -> Connection {
    Connection {
        id: ConnectionId(id.into()),
        client,
        server,
        roles_from: RolesFrom::Syn,
        opening: Opening::Complete,
        first,
        last: first,
        syn: Some(first),
        syns: 1,
        syn_ack: Some(first),
        rtt_nanos: Some(84_000),
        to_server: frames(6),
        to_client: frames(5),
        ended: None,
        unreachable: None,
        captures: 1,
        interfaces: crate::tcp::Interfaces::default(),
        duplicates: 0,
        evicted: false,
    }
}

pub(crate) fn end(
    mut connection: Connection,
    how: EndingHow,
    by: Side,
    at: FrameRef,
) -> Connection {
    connection.ended = Some(Ending { how, by, frame: at });
    let stream = connection.stream_mut(by.sends());
    match how {
        EndingHow::Fin => stream.fin = Some(at),
        EndingHow::Rst => stream.rst = Some(at),
    }
    connection.last = at;
    connection
}

pub(crate) fn record(
    connection: Connection,
    protocol: Protocol,
    exchanges: Vec<Exchange>,
) -> Arc<Record> {
    Arc::new(Record {
        connection,
        protocol,
        exchange_count: exchanges.len() as u32,
        exchanges,
        ordinary: Vec::new(),
        not_http: Vec::new(),
        proxy_header: None,
        oversized_head: None,
        http2: None,
        tls: None,
    })
}

pub(crate) fn hop(
    record: Arc<Record>,
    role: Role,
    parent: Option<usize>,
    accept: AcceptCheck,
) -> Hop {
    Hop {
        record,
        place: 0,
        role,
        paired_by: parent.map(|_| (PairedBy::Key, Confidence::Certain)),
        accept,
        accept_expected: Some(Accept::for_key(b"dGhlIHNhbXBsZSBub25jZQ==")),
        changes: Vec::new(),
        parent,
        retried: false,
        copies: Vec::new(),
    }
}

pub(crate) fn change(
    header: &'static str,
    kind: ChangeKind,
    before: Option<&str>,
    after: Option<&str>,
) -> Change {
    Change {
        header,
        kind,
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
    }
}

pub(crate) fn finding(
    code: Code,
    severity: Severity,
    title: &str,
    evidence: &[(FrameRef, &str)],
) -> Finding {
    Finding {
        code,
        severity,
        confidence: Confidence::Certain,
        connections: vec![ConnectionId(0)],
        title: title.to_owned(),
        detail: String::new(),
        cause: String::new(),
        fix: String::new(),
        nginx_snippet: String::new(),
        nginx_log: String::new(),
        evidence: evidence
            .iter()
            .map(|&(frame, shows)| Evidence {
                frame,
                shows: shows.to_owned(),
            })
            .collect(),
    }
}

pub(crate) fn capture_info() -> CaptureInfo {
    CaptureInfo {
        id: CaptureId(0),
        path: "captures/case.pcapng".to_owned(),
        format: Some("pcapng"),
        compression: None,
        link_types: BTreeSet::from([LinkType(1)]),
        interfaces: std::collections::BTreeMap::new(),
        frames: 41,
        bytes: 7984,
        first_at: Some(frame(1, 0).at),
        last_at: Some(frame(41, 9_000_000).at),
        dropped: Some(0),
        truncated_frames: 0,
        first_truncated: None,
        comments: Vec::new(),
        damage: None,
    }
}

const CLIENT: Endpoint = Endpoint::v4([192, 168, 50, 23], 40380);
const FRONT: Endpoint = Endpoint::v4([192, 168, 50, 1], 80);
const PROXY: Endpoint = Endpoint::v4([10, 20, 0, 1], 51234);
const BACKEND: Endpoint = Endpoint::v4([10, 20, 0, 11], 8080);

const REQUEST: &str = "GET /ws?room=7&token=s3cr3tT0kenValue HTTP/1.1\r\nHost: chat.example.com\r\n\
    Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nOrigin: https://chat.example.com\r\nCookie: sid=Abc123Secret987\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

/// The commonest failure: Upgrade and Connection are not forwarded, the backend answers with a page.
pub(crate) fn not_forwarded() -> (Handshake, Diagnosis) {
    let outer = end(
        connection(0, CLIENT, FRONT, frame(3, 0)),
        EndingHow::Fin,
        Side::Client,
        frame(24, 5_200),
    );
    let inner = end(
        connection(1, PROXY, BACKEND, frame(9, 420)),
        EndingHow::Fin,
        Side::Server,
        frame(18, 2_350),
    );
    let answer = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Type: text/html\r\n\
        Content-Length: 612\r\nConnection: keep-alive\r\nSet-Cookie: track=TrackingCookie42\r\n\r\n";
    let outer_exchange = Exchange {
        request: Some(request(frame(6, 300), REQUEST)),
        response: Some(response(frame(20, 2_900), answer)),
        ..Exchange::default()
    };
    let forwarded = REQUEST
        .replace("HTTP/1.1", "HTTP/1.0")
        .replace("Host: chat.example.com", "Host: bk")
        .replace("Upgrade: websocket\r\n", "")
        .replace("Connection: Upgrade", "Connection: close");
    let inner_exchange = Exchange {
        request: Some(request(frame(12, 700), &forwarded)),
        response: Some(response(
            frame(16, 2_100),
            "HTTP/1.0 200 OK\r\nServer: SimpleHTTP/0.6\r\nContent-Length: 612\r\n\r\n",
        )),
        ..Exchange::default()
    };
    let mut inner_hop = hop(
        record(inner, Protocol::Http, vec![inner_exchange]),
        Role::ProxyBackend,
        Some(0),
        AcceptCheck::NotApplicable,
    );
    inner_hop.changes = vec![
        change(
            "HTTP version",
            ChangeKind::Altered,
            Some("1.1"),
            Some("1.0"),
        ),
        change(
            "Host",
            ChangeKind::Altered,
            Some("chat.example.com"),
            Some("bk"),
        ),
        change("Upgrade", ChangeKind::Dropped, Some("websocket"), None),
        change(
            "Connection",
            ChangeKind::Altered,
            Some("Upgrade"),
            Some("close"),
        ),
    ];
    let handshake = Handshake {
        hops: vec![
            hop(
                record(outer, Protocol::Http, vec![outer_exchange]),
                Role::ClientProxy,
                None,
                AcceptCheck::NotApplicable,
            ),
            inner_hop,
        ],
        attempts: Vec::new(),
        subrequests: Vec::new(),
        backend: BackendSight::Seen,
        ambiguous: false,
        session: None,
        clock_offsets: Vec::new(),
        settled: true,
    };
    let mut primary = finding(
        Code::UpgradeNotForwarded,
        Severity::Error,
        "nginx 192.168.50.1 did not forward Upgrade and Connection to 10.20.0.11:8080",
        &[
            (
                frame(6, 300),
                "GET /ws?room=7&token=s3cr3tT0kenValue HTTP/1.1 with Upgrade: websocket, Connection: Upgrade",
            ),
            (
                frame(12, 700),
                "the same key in a request HTTP/1.0 with Connection: close, no Upgrade",
            ),
            (frame(16, 2_100), "200 OK from the backend"),
        ],
    );
    primary.connections = vec![ConnectionId(0), ConnectionId(1)];
    primary.detail =
        "The client asked for an upgrade; the request that reached the backend has the same \
        Sec-WebSocket-Key and no Upgrade field, so the backend took it for an ordinary request."
            .to_owned();
    primary.cause =
        "Upgrade and Connection are hop-by-hop fields: nginx does not pass them on unless told to."
            .to_owned();
    primary.fix = "Set both fields in the location that proxies this path, and speak HTTP/1.1 to the backend.".to_owned();
    primary.nginx_snippet = "map $http_upgrade $connection_upgrade {\n    default upgrade;\n    ''      close;\n}\n\nlocation /ws {\n    proxy_pass http://bk;\n    proxy_http_version 1.1;   # the default since nginx 1.29.7\n    proxy_set_header Upgrade $http_upgrade;\n    proxy_set_header Connection $connection_upgrade;\n}".to_owned();
    primary.nginx_log = "Nothing: for nginx this is an ordinary request.".to_owned();
    let supporting = finding(
        Code::Http10ToBackend,
        Severity::Error,
        "nginx spoke HTTP/1.0 to the backend, where Upgrade has no meaning",
        &[(
            frame(12, 700),
            "GET /ws?room=7&token=s3cr3tT0kenValue HTTP/1.0",
        )],
    );
    let minor = finding(
        Code::HostRewritten,
        Severity::Info,
        "Host chat.example.com became bk on the way to the backend",
        &[(frame(12, 700), "Host: bk")],
    );
    let diagnosis = Diagnosis {
        verdict: Verdict::Failed,
        cause: Some(Code::UpgradeNotForwarded),
        answered_by: Some(AnsweredBy::Backend),
        answered_confidence: Some(Confidence::Certain),
        answered_reason: "its own hop carries this answer".to_owned(),
        ended_by: None,
        headline: "nginx 192.168.50.1 did not forward Upgrade and Connection to 10.20.0.11:8080, which answered 200".to_owned(),
        findings: vec![primary, supporting, minor],
    };
    (handshake, diagnosis)
}

fn session_facts(closes: Vec<CloseFrame>) -> SessionFacts {
    let carried = |first, last| Carried {
        frames: FrameCounts {
            text: 3,
            ping: 1,
            close: u64::from(!closes.is_empty()),
            ..FrameCounts::default()
        },
        messages: 3,
        payload_bytes: 120,
        first: Some(first),
        last: Some(last),
        ..Carried::default()
    };
    SessionFacts {
        established: frame(22, 3_100),
        to_server: carried(frame(26, 10_000), frame(30, 900_000)),
        to_client: carried(frame(27, 11_000), frame(32, 1_000_000)),
        closes,
        faults: Vec::new(),
        cut_mid_frame: None,
        deflate: false,
        inflation_stopped: None,
        lost_sync: None,
        longest_silence: None,
        latest_silence: None,
        timer: crate::websocket::Timer::started(frame(32, 1_000_000)),
        fingerprint: None,
    }
}

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nServer: nginx/1.22.1\r\nUpgrade: websocket\r\n\
    Connection: upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn established(
    outer_end: (EndingHow, Side, FrameRef),
    inner_end: (EndingHow, Side, FrameRef),
    closes: &[CloseFrame],
) -> Handshake {
    let outer = connection(0, CLIENT, FRONT, frame(3, 0));
    let inner = connection(1, PROXY, BACKEND, frame(9, 420));
    let exchange = |at: u64, micros: i64, closes: &[CloseFrame]| Exchange {
        request: Some(request(frame(at, micros), REQUEST)),
        response: Some(response(frame(at + 8, micros + 2_000), SWITCH)),
        session: Some(Box::new(session_facts(closes.to_vec()))),
        ..Exchange::default()
    };
    let (how, by, at) = outer_end;
    let outer = end(outer, how, by, at);
    let (inner_how, inner_by, inner_at) = inner_end;
    let inner = end(inner, inner_how, inner_by, inner_at);
    let ending = |hop, how, by, frame| HopEnding {
        hop,
        how,
        by,
        frame,
    };
    let first = if at < inner_at {
        ending(0, how, by, at)
    } else {
        ending(1, inner_how, inner_by, inner_at)
    };
    let party = match (first.hop, first.by) {
        (0, Side::Client) => Party::Client,
        (1, Side::Server) => Party::Backend,
        _ => Party::Proxy,
    };
    Handshake {
        hops: vec![
            hop(
                record(outer, Protocol::WebSocket, vec![exchange(6, 300, closes)]),
                Role::ClientProxy,
                None,
                AcceptCheck::Valid,
            ),
            hop(
                record(inner, Protocol::WebSocket, vec![exchange(12, 700, closes)]),
                Role::ProxyBackend,
                Some(0),
                AcceptCheck::Valid,
            ),
        ],
        attempts: Vec::new(),
        subrequests: Vec::new(),
        backend: BackendSight::Seen,
        ambiguous: false,
        session: Some(Session {
            hop: 1,
            established: frame(22, 3_100),
            endings: vec![first],
            ended_by: Some(party),
            ended: Some(first),
            last_data: Some(frame(32, 1_000_000)),
            idle_before_end_nanos: Some(first.frame.at.nanos_since(frame(32, 1_000_000).at)),
            survived: None,
            outstanding: false,
            lasted_nanos: Some(first.frame.at.nanos_since(frame(22, 3_100).at)),
        }),
        clock_offsets: Vec::new(),
        settled: true,
    }
}

/// All is well: closed by the client with 1000.
pub(crate) fn healthy() -> (Handshake, Diagnosis) {
    let closes = [
        CloseFrame {
            by: Side::Client,
            code: Some(1000),
            reason: "bye".into(),
            frame: frame(34, 1_100_000),
        },
        CloseFrame {
            by: Side::Server,
            code: Some(1000),
            reason: "bye".into(),
            frame: frame(35, 1_101_000),
        },
    ];
    let handshake = established(
        (EndingHow::Fin, Side::Server, frame(38, 1_103_000)),
        (EndingHow::Fin, Side::Server, frame(36, 1_102_000)),
        &closes,
    );
    let diagnosis = Diagnosis {
        verdict: Verdict::Ok,
        cause: None,
        answered_by: Some(AnsweredBy::Backend),
        answered_confidence: Some(Confidence::Certain),
        answered_reason: "its own hop carries this answer".to_owned(),
        ended_by: Some(Party::Backend),
        headline: "the handshake came up through 192.168.50.1".to_owned(),
        findings: Vec::new(),
    };
    (handshake, diagnosis)
}

/// Up, then silent for 60 s, then ended by the proxy without a Close frame.
pub(crate) fn idle() -> (Handshake, Diagnosis) {
    let handshake = established(
        (EndingHow::Fin, Side::Server, frame(38, 60_990_000)),
        (EndingHow::Fin, Side::Client, frame(36, 60_989_900)),
        &[],
    );
    let mut primary = finding(
        Code::IdleTimeout,
        Severity::Error,
        "nginx closed the tunnel after 59.99 s of silence: proxy_read_timeout",
        &[
            (frame(32, 1_000_000), "the last data on either hop"),
            (
                frame(36, 60_989_900),
                "FIN from nginx to the backend, no Close frame before it",
            ),
            (frame(38, 60_990_000), "FIN from nginx to the client"),
        ],
    );
    primary.cause = "No byte went either way for proxy_read_timeout (60 s by default).".to_owned();
    primary.fix = "Send a ping more often than the timeout, or raise the timeout.".to_owned();
    primary.nginx_snippet = "proxy_read_timeout 3600s;".to_owned();
    primary.nginx_log =
        "[info] upstream timed out (110: Connection timed out) while proxying upgraded connection"
            .to_owned();
    primary.confidence = Confidence::Likely;
    let diagnosis = Diagnosis {
        verdict: Verdict::Broken,
        cause: Some(Code::IdleTimeout),
        answered_by: Some(AnsweredBy::Backend),
        answered_confidence: Some(Confidence::Certain),
        answered_reason: "its own hop carries this answer".to_owned(),
        ended_by: Some(Party::Proxy),
        headline: "nginx 192.168.50.1 ended the session after 59.99 s of silence".to_owned(),
        findings: vec![primary],
    };
    (handshake, diagnosis)
}

/// Two backends tried: the first one refuses, the second one does not answer at all.
pub(crate) fn refused() -> (Handshake, Diagnosis) {
    let outer = end(
        connection(0, CLIENT, FRONT, frame(3, 0)),
        EndingHow::Fin,
        Side::Client,
        frame(24, 5_200),
    );
    let exchange = Exchange {
        request: Some(request(frame(6, 300), REQUEST)),
        response: Some(response(
            frame(20, 2_900),
            "HTTP/1.1 502 Bad Gateway\r\nServer: nginx/1.22.1\r\nConnection: close\r\n\r\n",
        )),
        ..Exchange::default()
    };
    let mut first = end(
        connection(1, PROXY, BACKEND, frame(9, 420)),
        EndingHow::Rst,
        Side::Server,
        frame(10, 450),
    );
    first.opening = Opening::Refused;
    first.syn_ack = None;
    let mut second = connection(
        2,
        Endpoint::v4([10, 20, 0, 1], 51236),
        Endpoint::v6(
            [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11],
            8080,
        ),
        frame(11, 500),
    );
    second.opening = Opening::Unanswered;
    second.syn_ack = None;
    second.syns = 3;
    let attempt = |connection| ConnectAttempt {
        record: record(connection, Protocol::None, Vec::new()),
        confidence: Confidence::Likely,
        parent: 0,
    };
    let handshake = Handshake {
        hops: vec![hop(
            record(outer, Protocol::Http, vec![exchange]),
            Role::ClientProxy,
            None,
            AcceptCheck::NotApplicable,
        )],
        attempts: vec![attempt(first), attempt(second)],
        subrequests: Vec::new(),
        backend: BackendSight::NotContacted,
        ambiguous: false,
        session: None,
        clock_offsets: Vec::new(),
        settled: true,
    };
    let mut primary = finding(
        Code::BackendRefused,
        Severity::Error,
        "10.20.0.11:8080 refused the connection",
        &[
            (frame(9, 420), "SYN to 10.20.0.11:8080"),
            (frame(10, 450), "RST from 10.20.0.11:8080"),
        ],
    );
    primary.cause = "Nothing listens on that port of the backend.".to_owned();
    primary.fix = "Start the backend, or correct the address in proxy_pass.".to_owned();
    primary.nginx_log =
        "[error] connect() failed (111: Connection refused) while connecting to upstream"
            .to_owned();
    let diagnosis = Diagnosis {
        verdict: Verdict::Failed,
        cause: Some(Code::BackendRefused),
        answered_by: Some(AnsweredBy::Proxy),
        answered_confidence: Some(Confidence::Certain),
        answered_reason: "no backend hop carries this answer".to_owned(),
        ended_by: None,
        headline: "the backend 10.20.0.11:8080 refused the connection, so nginx answered 502"
            .to_owned(),
        findings: vec![primary],
    };
    (handshake, diagnosis)
}

/// A connection that is none of our business.
pub(crate) fn background(id: u32, protocol: Protocol, port: u16) -> Arc<Record> {
    record(
        connection(
            id,
            CLIENT,
            Endpoint::v4([198, 51, 100, 7], port),
            frame(100 + u64::from(id), 50),
        ),
        protocol,
        Vec::new(),
    )
}
