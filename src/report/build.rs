//! Stage types to views: what is known, in the words of the contract.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::moments::moments;
use super::redact::Redactor;
use super::view::{
    AlertView, AttemptView, CaptureView, CarriedView, ChangeView, CloseView, ConnectionView,
    EndedView, EventView, EvidenceView, FindingView, FramesView, HandshakeView, HopView, LimitView,
    PingsView, RequestView, ResponseView, SessionView, StreamView, SubrequestView, TlsView,
    UnreachableView,
};
use super::{escape, visit};
use crate::capture::{CaptureId, CaptureInfo, FrameNo, FrameRef, LinkType, Timestamp};
use crate::decode::Unreachable;
use crate::diagnosis::{AnsweredBy, Diagnosis, Evidence, Finding, Limit, Severity, Verdict};
use crate::hop::{
    AcceptCheck, ChangeKind, Confidence, ConnectAttempt, Handshake, Hop, PairedBy, Party, Protocol,
    Record, Role, Session,
};
use crate::http::{Fields, PartialWhy, RequestHead, ResponseHead};
use crate::tcp::{
    Connection, ConnectionId, Direction, EndingHow, GapCause, Opening, RolesFrom, Side, StreamFacts,
};
use crate::tls::TlsFacts;
use crate::websocket::{Carried, Key, SessionFacts};

/// Nanoseconds as milliseconds, to the microsecond: more digits are noise in every capture.
pub(super) fn milliseconds(nanos: i64) -> f64 {
    (nanos as f64 / 1e3).round() / 1e3
}

/// The name of a severity.
pub(super) const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// The name of a verdict.
pub(crate) const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Failed => "failed",
        Verdict::Broken => "broken",
        Verdict::Unclear => "unclear",
    }
}

const fn answered_by(by: AnsweredBy) -> &'static str {
    match by {
        AnsweredBy::Backend => "backend",
        AnsweredBy::Proxy => "proxy",
        AnsweredBy::Unknown => "unknown",
    }
}

const fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Guess => "guess",
        Confidence::Likely => "likely",
        Confidence::Certain => "certain",
    }
}

pub(crate) const fn role(role: Role) -> &'static str {
    match role {
        Role::ClientProxy => "client-proxy",
        Role::ProxyProxy => "proxy-proxy",
        Role::ProxyBackend => "proxy-backend",
        Role::Direct => "direct",
        Role::Unknown => "unknown",
    }
}

const fn paired_by(key: PairedBy) -> &'static str {
    match key {
        PairedBy::Bytes => "bytes",
        PairedBy::Key => "sec-websocket-key",
        PairedBy::Accept => "sec-websocket-accept",
        PairedBy::RequestId => "request-id",
        PairedBy::Traceparent => "traceparent",
        PairedBy::ForwardedFor => "forwarded-for",
        PairedBy::PathAndTime => "path-and-time",
    }
}

const fn accept(check: AcceptCheck) -> &'static str {
    match check {
        AcceptCheck::Valid => "valid",
        AcceptCheck::Mismatch => "mismatch",
        AcceptCheck::Missing => "missing",
        AcceptCheck::NotApplicable => "not-applicable",
        AcceptCheck::Unchecked => "unchecked",
    }
}

const fn change(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Dropped => "dropped",
        ChangeKind::Altered => "altered",
        ChangeKind::Added => "added",
    }
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

const fn party(party: Party) -> &'static str {
    match party {
        Party::Client => "client",
        Party::Proxy => "proxy",
        Party::Backend => "backend",
    }
}

const fn ending(how: EndingHow) -> &'static str {
    match how {
        EndingHow::Fin => "fin",
        EndingHow::Rst => "rst",
    }
}

/// The name of a protocol.
pub(super) const fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::WebSocket => "websocket",
        Protocol::Http => "http",
        Protocol::Http2 => "http2",
        Protocol::Tls => "tls",
        Protocol::Other => "other",
        Protocol::None => "none",
    }
}

const fn opening(opening: Opening) -> &'static str {
    match opening {
        Opening::Complete => "complete",
        Opening::Refused => "refused",
        Opening::Unanswered => "unanswered",
        Opening::Midstream => "midstream",
        Opening::Partial => "partial",
    }
}

const fn roles_from(from: RolesFrom) -> &'static str {
    match from {
        RolesFrom::Syn => "syn",
        RolesFrom::SynAck => "syn-ack",
        RolesFrom::FirstBytes => "first-bytes",
        RolesFrom::Port => "port",
    }
}

/// The name of a link type, or its number where it has none.
fn link_type(link: LinkType) -> String {
    match link.name() {
        "UNKNOWN" => format!("LINKTYPE_{}", link.0),
        name => name.to_owned(),
    }
}

/// An input.
pub(super) fn capture(info: &CaptureInfo, duplicates: u64, offset_nanos: i64) -> CaptureView {
    CaptureView {
        id: info.id.0,
        path: info.path.clone(),
        format: info.format,
        compression: info.compression,
        link_types: info.link_types.iter().copied().map(link_type).collect(),
        frames: info.frames,
        bytes: info.bytes,
        first_at: info.first_at,
        last_at: info.last_at,
        dropped: info.dropped,
        truncated_frames: info.truncated_frames,
        duplicate_frames: duplicates,
        clock_offset_ms: milliseconds(offset_nanos),
        damage: info.damage.clone(),
        comments: info.comments.clone(),
    }
}

/// A connection.
pub(super) fn connection(record: &Record) -> ConnectionView {
    let connection = &record.connection;
    ConnectionView {
        id: connection.id,
        captures: capture_ids(connection.captures),
        client: connection.client.to_string(),
        server: connection.server.to_string(),
        client_name: None,
        server_name: None,
        roles_from: roles_from(connection.roles_from),
        protocol: protocol(record.protocol),
        first_at: connection.first.at,
        last_at: connection.last.at,
        opening: opening(connection.opening),
        rtt_ms: connection.rtt_nanos.map(milliseconds),
        to_server: stream(&connection.to_server),
        to_client: stream(&connection.to_client),
        ended: ended(connection),
        exchanges: record.exchange_count,
        duplicate_frames: connection.duplicates,
        unreachable: connection.unreachable.map(|(frame, why)| UnreachableView {
            why: unreachable(why),
            at: frame.at,
            frame: frame.frame.0,
        }),
        quality: quality(connection),
        tls: record.tls.as_deref().map(tls),
        first: connection.first,
        client_random: record.tls.as_ref().and_then(|tls| tls.client_random),
        addresses: [connection.client.ip(), connection.server.ip()],
        syns: connection.syns,
    }
}

/// What the evidence of a connection lacks.
fn quality(connection: &Connection) -> Vec<&'static str> {
    let streams = [&connection.to_server, &connection.to_client];
    let sum =
        |count: fn(&StreamFacts) -> u64| streams.iter().map(|facts| count(facts)).sum::<u64>();
    [
        ("mid-stream", connection.opening == Opening::Midstream),
        // Nobody answers a connect that is unanswered.
        (
            "one-sided",
            connection.opening != Opening::Unanswered
                && streams.iter().any(|facts| facts.frames == 0),
        ),
        ("truncated", sum(|facts| facts.truncated_bytes) > 0),
        ("gap", sum(StreamFacts::not_captured_bytes) > 0),
        ("lost", sum(|facts| facts.lost_bytes) > 0),
        ("given-up", sum(|facts| facts.given_up_bytes) > 0),
        ("conflict", sum(|facts| facts.conflicts) > 0),
    ]
    .into_iter()
    .filter_map(|(name, is)| is.then_some(name))
    .collect()
}

fn capture_ids(bits: u64) -> Vec<u16> {
    (0..64).filter(|bit| bits >> bit & 1 == 1).collect()
}

const fn stream(facts: &StreamFacts) -> StreamView {
    StreamView {
        frames: facts.frames,
        payload_bytes: facts.payload_bytes,
        retransmitted: facts.retransmitted,
        out_of_order: facts.out_of_order,
        missing_bytes: facts.missing_bytes,
        truncated_bytes: facts.truncated_bytes,
        lost_bytes: facts.lost_bytes,
        given_up_bytes: facts.given_up_bytes,
        conflicts: facts.conflicts,
        zero_windows: facts.zero_windows,
    }
}

fn ended(connection: &Connection) -> EndedView {
    match connection.ended {
        Some(end) => EndedView {
            how: ending(end.how),
            by: Some(side(end.by)),
            at: Some(end.frame.at),
            frame: Some(end.frame.frame.0),
            at_frame: Some(end.frame),
        },
        None => EndedView {
            how: "open",
            by: None,
            at: None,
            frame: None,
            at_frame: None,
        },
    }
}

fn tls(facts: &TlsFacts) -> TlsView {
    let version = |code: u16| match code {
        0x0300 => "SSL 3.0".to_owned(),
        0x0301 => "1.0".to_owned(),
        0x0302 => "1.1".to_owned(),
        0x0303 => "1.2".to_owned(),
        0x0304 => "1.3".to_owned(),
        other => format!("{other:#06x}"),
    };
    let cipher = |code: u16| {
        tls_parser::TlsCipherSuite::from_id(code)
            .map_or_else(|| format!("{code:#06x}"), |suite| suite.name.to_owned())
    };
    TlsView {
        version: facts.version.map(version),
        sni: facts.sni.as_deref().map(str::to_owned),
        alpn_offered: facts.alpn_offered.iter().map(ToString::to_string).collect(),
        alpn: facts.alpn.as_deref().map(str::to_owned),
        cipher: facts.cipher.map(cipher),
        alerts: facts
            .alerts
            .iter()
            .map(|alert| AlertView {
                from: side(alert.from),
                level: match alert.level {
                    1 => "warning".to_owned(),
                    2 => "fatal".to_owned(),
                    other => other.to_string(),
                },
                description: alert_name(alert.description)
                    .map_or_else(|| alert.description.to_string(), str::to_owned),
            })
            .collect(),
        decrypted: false,
        keys_in_capture: false,
    }
}

const fn unreachable(why: Unreachable) -> &'static str {
    match why {
        Unreachable::Host => "host",
        Unreachable::Port => "port",
        Unreachable::Prohibited => "prohibited",
        Unreachable::TooBig => "too-big",
        Unreachable::TimeExceeded => "time-exceeded",
        Unreachable::Other => "other",
    }
}

/// Alert descriptions (RFC 8446 6, and older ones that are still sent).
const fn alert_name(description: u8) -> Option<&'static str> {
    Some(match description {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => return None,
    })
}

fn evidence(evidence: &[Evidence]) -> Vec<EvidenceView> {
    evidence
        .iter()
        .map(|evidence| EvidenceView {
            capture: evidence.frame.capture.0,
            frame: evidence.frame.frame.0,
            at: evidence.frame.at,
            shows: evidence.shows.clone(),
        })
        .collect()
}

/// A finding, not yet of a handshake.
pub(super) fn finding(finding: &Finding) -> FindingView {
    FindingView {
        code: finding.code.as_str(),
        severity: severity(finding.severity),
        handshake: None,
        connections: finding.connections.clone(),
        title: finding.title.clone(),
        detail: finding.detail.clone(),
        cause: finding.cause.clone(),
        fix: finding.fix.clone(),
        nginx_snippet: finding.nginx_snippet.clone(),
        nginx_log: finding.nginx_log.clone(),
        confidence: confidence(finding.confidence),
        evidence: evidence(&finding.evidence),
    }
}

/// A limit.
pub(super) fn limit(limit: &Limit) -> LimitView {
    LimitView {
        kind: limit.kind,
        connection: limit.connection,
        detail: limit.detail.clone(),
        evidence: evidence(&limit.evidence),
    }
}

/// A handshake with its findings, masked, its id still empty.
pub(super) fn masked_handshake(
    handshake: &Handshake,
    diagnosis: &Diagnosis,
    start: FrameRef,
    redactor: &mut Redactor,
) -> (HandshakeView, Vec<FindingView>) {
    let mut view = self::handshake(handshake, diagnosis, start);
    let mut findings: Vec<FindingView> = diagnosis.findings.iter().map(finding).collect();
    if !redactor.is_off() {
        redactor.forget();
        visit::handshake(&mut view, &mut |kind, text| redactor.learn(kind, text));
        let mut apply = |kind: visit::Kind<'_>, text: &mut String| redactor.apply(kind, text);
        visit::handshake(&mut view, &mut apply);
        for finding in &mut findings {
            visit::finding(finding, &mut apply);
        }
    }
    (view, findings)
}

fn handshake(handshake: &Handshake, diagnosis: &Diagnosis, start: FrameRef) -> HandshakeView {
    let hops: Vec<HopView> = handshake.hops.iter().map(hop).collect();
    let outer = hops.iter().find_map(|hop| hop.request.as_ref());
    HandshakeView {
        id: String::new(),
        verdict: verdict(diagnosis.verdict),
        cause: diagnosis.cause.map(crate::diagnosis::Code::as_str),
        answered_by: diagnosis.answered_by.map(answered_by),
        answered_by_confidence: diagnosis.answered_confidence.map(confidence),
        answered_by_reason: Some(&diagnosis.answered_reason)
            .filter(|reason| !reason.is_empty())
            .cloned(),
        headline: diagnosis.headline.clone(),
        started_at: start.at,
        target: outer.map(|request| request.target.clone()),
        host: outer.and_then(|request| request.host.clone()),
        session: handshake
            .session
            .as_ref()
            .and_then(|session| self::session(handshake, diagnosis, session, start)),
        subrequests: handshake.subrequests.iter().map(subrequest).collect(),
        start,
        attempts: handshake.attempts.iter().map(attempt).collect(),
        timeline: timeline(handshake),
        hops,
    }
}

fn hop(hop: &Hop) -> HopView {
    let exchange = hop.exchange();
    let mut notes = Vec::new();
    if let Some(partial) = &exchange.partial_request {
        notes.push(format!(
            "request incomplete: {} bytes, then {}",
            partial.bytes.len(),
            why(partial.why)
        ));
    }
    for interim in &exchange.interim {
        notes.push(format!(
            "{} {} before the answer (frame {})",
            interim.status, interim.reason, interim.span.first.frame
        ));
    }
    if let Some(partial) = &exchange.partial_response {
        notes.push(format!(
            "answer incomplete: {} bytes, then {}",
            partial.bytes.len(),
            why(partial.why)
        ));
    }
    if let Some((frame, excerpt)) = &exchange.not_http {
        notes.push(format!(
            "answer is no HTTP (frame {}): {}",
            frame.frame,
            escape::bytes(excerpt)
        ));
    }
    HopView {
        connection: hop.record.connection.id,
        exchange: exchange.index,
        role: role(hop.role),
        paired_by: hop.paired_by.map(|(key, _)| paired_by(key)),
        confidence: hop.paired_by.map(|(_, sure)| confidence(sure)),
        request: exchange.request.as_ref().map(request),
        response: exchange.response.as_ref().map(response),
        accept: accept(hop.accept),
        accept_expected: hop.accept_expected.clone(),
        changes: hop
            .changes
            .iter()
            .map(|change| ChangeView {
                header: change.header,
                kind: self::change(change.kind),
                before: change.before.clone(),
                after: change.after.clone(),
            })
            .collect(),
        retried: hop.retried,
        notes,
        copies: hop
            .copies
            .iter()
            .map(|record| record.connection.id)
            .collect(),
    }
}

const fn why(why: PartialWhy) -> &'static str {
    match why {
        PartialWhy::StreamEnded => "the stream ended",
        PartialWhy::CaptureEnded => "the capture ended",
        PartialWhy::Gap(GapCause::Truncated) => "a frame cut short by the snaplen",
        PartialWhy::Gap(GapCause::NotCaptured) => "bytes that the capture lacks",
        PartialWhy::Gap(GapCause::Lost) => "bytes lost on the wire",
        PartialWhy::Gap(GapCause::Evicted) => "bytes dropped to stay within the memory limit",
        PartialWhy::TooLarge => "more than is read of a head",
    }
}

fn owned(fields: &Fields, name: &str) -> Option<String> {
    fields.combined(name).map(std::borrow::Cow::into_owned)
}

fn list(fields: &Fields, name: &str) -> Vec<String> {
    fields
        .list(name)
        .map(std::borrow::Cow::into_owned)
        .collect()
}

fn headers(fields: &Fields) -> Vec<(String, String)> {
    fields
        .iter()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

fn request(head: &RequestHead) -> RequestView {
    let fields = &head.fields;
    let key = fields.first("sec-websocket-key");
    RequestView {
        at: head.span.first.at,
        frame: head.span.first.frame.0,
        method: head.method.to_string(),
        target: head.target.to_string(),
        http_version: head.version(),
        host: fields.first("host").map(std::borrow::Cow::into_owned),
        upgrade: owned(fields, "upgrade"),
        connection: owned(fields, "connection"),
        // RFC 6455 4.1 step 7: 16 random bytes in base64.
        key_valid: key.as_deref().map(|key| {
            BASE64_STANDARD
                .decode(key)
                .is_ok_and(|bytes| bytes.len() == 16)
        }),
        key_is_sample: key
            .as_deref()
            .map(|key| Key::of(key.as_bytes()) == Key::Sample),
        key: key.map(std::borrow::Cow::into_owned),
        ws_version: owned(fields, "sec-websocket-version"),
        origin: owned(fields, "origin"),
        subprotocols: list(fields, "sec-websocket-protocol"),
        extensions: list(fields, "sec-websocket-extensions"),
        headers: headers(fields),
        at_frame: head.span.first,
    }
}

fn response(head: &ResponseHead) -> ResponseView {
    let fields = &head.fields;
    ResponseView {
        at: head.span.first.at,
        frame: head.span.first.frame.0,
        status: head.status,
        reason: head.reason.to_string(),
        http_version: head.version(),
        upgrade: owned(fields, "upgrade"),
        connection: owned(fields, "connection"),
        accept: owned(fields, "sec-websocket-accept"),
        subprotocol: owned(fields, "sec-websocket-protocol"),
        extensions: list(fields, "sec-websocket-extensions"),
        server: owned(fields, "server"),
        headers: headers(fields),
        at_frame: head.span.first,
    }
}

fn session(
    handshake: &Handshake,
    diagnosis: &Diagnosis,
    session: &Session,
    start: FrameRef,
) -> Option<SessionView> {
    let hop = handshake.hops.get(session.hop)?;
    let facts = hop.session()?;
    let answer = hop.exchange().response.as_ref();
    let close = facts.closes.first();
    let cuts: Vec<_> = handshake
        .hops
        .iter()
        .filter_map(|hop| Some((hop.session()?.cut_mid_frame?.0, id(&hop.record))))
        .collect();
    Some(SessionView {
        established_at: session.established.at,
        subprotocol: answer.and_then(|head| owned(&head.fields, "sec-websocket-protocol")),
        extensions: answer
            .map(|head| list(&head.fields, "sec-websocket-extensions"))
            .unwrap_or_default(),
        to_server: carried(&facts.to_server),
        to_client: carried(&facts.to_client),
        close: close.map(|close| CloseView {
            by: side(close.by),
            code: close.code,
            reason: close.reason.to_string(),
            answered: facts.closes.len() > 1,
        }),
        cut_mid_frame: cuts.first().map(|(way, _)| match way {
            Direction::ToServer => "to_server",
            Direction::ToClient => "to_client",
        }),
        cut_on: cuts.iter().map(|(_, connection)| *connection).collect(),
        idle_before_end_ms: session.idle_before_end_nanos.map(milliseconds),
        ended_by: diagnosis.ended_by.or(session.ended_by).map(party),
        ended_how: session.ended.map(|end| ending(end.how)),
        ended_at: session.ended.map(|end| end.frame.at),
        lasted_ms: session.lasted_nanos.map(milliseconds),
        timeline: moments(handshake, start),
        established: session.established,
        last_data: session.last_data,
        ended: session.ended.map(|end| end.frame),
        close_frame: close.map(|close| close.frame),
        outstanding: session.outstanding,
    })
}

fn carried(carried: &Carried) -> CarriedView {
    let frames = &carried.frames;
    CarriedView {
        frames: FramesView {
            text: frames.text,
            binary: frames.binary,
            continuation: frames.continuation,
            ping: frames.ping,
            pong: frames.pong,
            close: frames.close,
        },
        messages: carried.messages,
        payload_bytes: carried.payload_bytes,
        pings: carried.last_ping.map(|_| PingsView {
            answered: carried.pongs_matched,
            interval_min_ms: carried
                .ping_interval_nanos
                .map(|(shortest, _)| milliseconds(shortest)),
            interval_max_ms: carried
                .ping_interval_nanos
                .map(|(_, longest)| milliseconds(longest)),
            round_trip_max_ms: carried.ping_rtt_max_nanos.map(milliseconds),
        }),
    }
}

fn subrequest(hop: &Hop) -> SubrequestView {
    let exchange = hop.exchange();
    SubrequestView {
        connection: hop.record.connection.id,
        target: exchange
            .request
            .as_ref()
            .map(|head| head.target.to_string()),
        status: exchange.response.as_ref().map(|head| head.status),
    }
}

fn attempt(attempt: &ConnectAttempt) -> AttemptView {
    let connection = &attempt.record.connection;
    let ended = connection.ended;
    let outcome = match connection.opening {
        Opening::Refused => "refused".to_owned(),
        Opening::Unanswered if connection.unreachable.is_some() => "unreachable".to_owned(),
        Opening::Unanswered => match connection.syns {
            0 | 1 => "no answer to SYN".to_owned(),
            syns => format!("no answer to {syns} SYNs"),
        },
        _ => match (attempt.record.protocol, ended) {
            (Protocol::Tls, _) => "TLS, no request seen".to_owned(),
            (_, Some(end)) => format!(
                "{} by {} before any request",
                ending(end.how).to_ascii_uppercase(),
                side(end.by)
            ),
            (_, None) => "opened, no request seen".to_owned(),
        },
    };
    AttemptView {
        connection: connection.id,
        hop: attempt.parent,
        confidence: confidence(attempt.confidence),
        outcome,
        first: connection.first,
    }
}

/// The first frame of a handshake; frame 0, which no capture has, for an (impossible) empty one.
pub(super) fn start(handshake: &Handshake) -> FrameRef {
    handshake.started().unwrap_or(FrameRef {
        at: Timestamp::default(),
        capture: CaptureId(0),
        frame: FrameNo(0),
    })
}

/// The connections of a handshake: of its hops, attempts, subrequests and copies.
pub(super) fn records(handshake: &Handshake) -> impl Iterator<Item = &Record> {
    handshake
        .hops
        .iter()
        .chain(&handshake.subrequests)
        .flat_map(|hop| std::iter::once(&hop.record).chain(&hop.copies))
        .chain(handshake.attempts.iter().map(|attempt| &attempt.record))
        .map(AsRef::as_ref)
}

/// What happened on the wire, in the order of (corrected) time.
fn timeline(handshake: &Handshake) -> Vec<EventView> {
    let mut events = Vec::new();
    for attempt in &handshake.attempts {
        lifecycle(&attempt.record.connection, &mut events);
    }
    for hop in handshake.hops.iter().chain(&handshake.subrequests) {
        let connection = &hop.record.connection;
        lifecycle(connection, &mut events);
        let exchange = hop.exchange();
        let mut push = |frame: FrameRef, way: Direction, what: String| {
            events.push(EventView {
                frame,
                connection: connection.id,
                to_server: way == Direction::ToServer,
                what,
            });
        };
        if let Some(request) = &exchange.request {
            push(
                request.span.first,
                Direction::ToServer,
                request_event(request),
            );
        }
        for answer in exchange.interim.iter().chain(&exchange.response) {
            push(
                answer.span.first,
                Direction::ToClient,
                format!("{} {}", answer.status, answer.reason),
            );
        }
        if let Some(facts) = &exchange.session {
            session_events(facts, &mut push);
        }
    }
    events.sort_by_key(|event| {
        let offset = handshake
            .clock_offsets
            .iter()
            .find(|(capture, _)| *capture == event.frame.capture)
            .map_or(0, |(_, nanos)| *nanos);
        (event.frame.at.shifted(offset), event.frame)
    });
    events.dedup();
    events
}

fn request_event(request: &RequestHead) -> String {
    let upgrade = owned(&request.fields, "upgrade").map_or_else(
        || "no Upgrade".to_owned(),
        |value| format!("Upgrade: {value}"),
    );
    format!(
        "{} {} HTTP/{}, {upgrade}",
        request.method,
        request.target,
        request.version()
    )
}

fn session_events(facts: &SessionFacts, push: &mut impl FnMut(FrameRef, Direction, String)) {
    for (way, carried) in [
        (Direction::ToServer, &facts.to_server),
        (Direction::ToClient, &facts.to_client),
    ] {
        if let Some(first) = carried.first {
            push(first, way, "first ws frame".to_owned());
        }
        if let Some(last) = carried.last.filter(|&last| Some(last) != carried.first) {
            push(last, way, "last ws frame".to_owned());
        }
    }
    for close in &facts.closes {
        let code = close
            .code
            .map_or_else(|| "without a code".to_owned(), |code| code.to_string());
        push(close.frame, close.by.sends(), format!("Close {code}"));
    }
}

/// SYN, SYN-ACK and the end of a connection.
fn lifecycle(connection: &Connection, events: &mut Vec<EventView>) {
    let mut push = |frame: Option<FrameRef>, way: Direction, what: &str| {
        if let Some(frame) = frame {
            events.push(EventView {
                frame,
                connection: connection.id,
                to_server: way == Direction::ToServer,
                what: what.to_owned(),
            });
        }
    };
    push(connection.syn, Direction::ToServer, "SYN");
    push(connection.syn_ack, Direction::ToClient, "SYN-ACK");
    for way in [Direction::ToServer, Direction::ToClient] {
        let stream = connection.stream(way);
        push(stream.fin, way, "FIN");
        push(stream.rst, way, "RST");
    }
}

/// A connection's id, for lists of what is wanted.
pub(super) const fn id(record: &Record) -> ConnectionId {
    record.connection.id
}
