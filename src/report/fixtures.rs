//! Hand-built results of the stages before, for the tests of the report.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "values that the tests themselves lay out"
)]
mod established;
mod failed;

pub(crate) use established::{healthy, idle, idle_behind_tls};
pub(crate) use failed::{not_forwarded, refused};

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::capture::{CaptureId, CaptureInfo, FrameNo, FrameRef, LinkType, Timestamp};
use crate::decode::Endpoint;
use crate::diagnosis::{Code, Evidence, Finding, Severity};
use crate::hop::testkit;
use crate::hop::{
    AcceptCheck, Change, ChangeKind, Confidence, Exchange, Hop, PairedBy, Protocol, Record, Role,
};
use crate::http::testkit as heads;
use crate::http::{RequestHead, ResponseHead};
use crate::tcp::{Connection, ConnectionId, Ending, EndingHow, Opening, Side};
use crate::websocket::Accept;

/// 2026-11-20 12:00:00 UTC.
const NOON: i64 = 1_795_176_000_000_000_000;

const CLIENT: Endpoint = Endpoint::v4([192, 168, 50, 23], 40380);
const FRONT: Endpoint = Endpoint::v4([192, 168, 50, 1], 80);
const PROXY: Endpoint = Endpoint::v4([10, 20, 0, 1], 51234);
const BACKEND: Endpoint = Endpoint::v4([10, 20, 0, 11], 8080);
const REQUEST: &str = "GET /ws?room=7&token=s3cr3tT0kenValue HTTP/1.1\r\nHost: chat.example.com\r\n\
    Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nOrigin: https://chat.example.com\r\nCookie: sid=Abc123Secret987\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

/// A frame of capture 0, so many microseconds after noon.
pub(crate) fn frame(number: u64, micros: i64) -> FrameRef {
    FrameRef::new(
        Timestamp::from_nanos(NOON + micros * 1000),
        CaptureId(0),
        FrameNo(number),
    )
}

pub(crate) fn request(at: FrameRef, head: &str) -> RequestHead {
    heads::request(head, at)
}

pub(crate) fn response(at: FrameRef, head: &str) -> ResponseHead {
    heads::response(head, at)
}

pub(crate) fn connection(
    id: u32,
    client: Endpoint,
    server: Endpoint,
    first: FrameRef,
) -> Connection {
    let mut connection = testkit::connection(id, client, server, first);
    connection.rtt_nanos = Some(84_000);
    connection.to_server.frames = 6;
    connection.to_client.frames = 5;
    connection
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
    Arc::new(testkit::record(connection, protocol, exchanges))
}

pub(crate) fn hop(
    record: Arc<Record>,
    role: Role,
    parent: Option<usize>,
    accept: AcceptCheck,
) -> Hop {
    Hop {
        paired_by: parent.map(|_| (PairedBy::Key, Confidence::Certain)),
        accept_expected: Some(Accept::for_key(b"dGhlIHNhbXBsZSBub25jZQ==")),
        parent,
        ..testkit::hop(record, role, accept)
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
        cause: "",
        fix: "".into(),
        nginx_snippet: "".into(),
        nginx_log: "",
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
        format: Some("pcapng"),
        link_types: BTreeSet::from([LinkType(1)]),
        frames: 41,
        bytes: 7984,
        first_at: Some(frame(1, 0).at),
        last_at: Some(frame(41, 9_000_000).at),
        dropped: Some(0),
        ..CaptureInfo::unread(CaptureId(0), "captures/case.pcapng")
    }
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
