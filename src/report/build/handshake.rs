//! A handshake as the report has it: its hops, outermost first, and what was tried or asked for it.
//!
//! It is masked as a whole together with its findings, since a finding may quote what only a header shows to be a secret; its
//! id is given by who knows the order.

use super::finding;
use super::heads::{request, response};
use super::names::{
    accept, answered_by, change, confidence, joined_by, paired_by, role, side, verdict, why,
};
use super::session::session;
use super::timeline::timeline;
use crate::capture::{CaptureId, FrameNo, FrameRef, Timestamp};
use crate::diagnosis::{Diagnosis, headline};
use crate::hop::{ConnectAttempt, Front, Handshake, Hop, Protocol, Record};
use crate::http::AnsweredIn;
use crate::report::redact::Redactor;
use crate::report::view::{
    AttemptView, ChangeView, FindingView, FrontView, HandshakeView, HopView, RecordView,
    SubrequestView,
};
use crate::report::{escape, visit};
use crate::tcp::Opening;

/// For what a handshake is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Detail {
    /// Only what the document has.
    Document,
    /// Also what happened on the wire, of which forms for eyes draw a ladder.
    Drawn,
}

/// A handshake with its findings, masked, its id still empty.
pub(in crate::report) fn masked_handshake(
    handshake: &Handshake,
    diagnosis: &Diagnosis,
    start: FrameRef,
    detail: Detail,
    redactor: &mut Redactor,
) -> (HandshakeView, Vec<FindingView>) {
    let mut view = self::handshake(handshake, diagnosis, start, detail);
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

fn handshake(
    handshake: &Handshake,
    diagnosis: &Diagnosis,
    start: FrameRef,
    detail: Detail,
) -> HandshakeView {
    let hops: Vec<HopView> = handshake.hops.iter().map(hop).collect();
    let outer = hops.iter().find_map(|hop| hop.request.as_ref());
    let answered = diagnosis.answered.as_ref();
    HandshakeView {
        id: String::new(),
        verdict: verdict(diagnosis.verdict),
        cause: diagnosis.cause.map(crate::diagnosis::Code::as_str),
        answered_by: answered.map(|answered| answered_by(answered.by)),
        answered_by_confidence: answered.map(|answered| confidence(answered.confidence)),
        answered_by_reason: answered.map(|answered| answered.reason.clone()),
        headline: headline(handshake, diagnosis).into_owned(),
        started_at: start.at,
        target: outer.map(|request| request.target.clone()),
        host: outer.and_then(|request| request.host.clone()),
        session: handshake
            .session
            .as_ref()
            .and_then(|session| self::session(handshake, diagnosis, session, start)),
        front: handshake.front.as_deref().map(|one| Box::new(front(one))),
        subrequests: handshake.subrequests.iter().map(subrequest).collect(),
        start,
        attempts: handshake.attempts.iter().map(attempt).collect(),
        timeline: match detail {
            Detail::Document => Vec::new(),
            Detail::Drawn => timeline(handshake),
        },
        hops,
    }
}

pub(super) fn hop(hop: &Hop) -> HopView {
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
            interim.status,
            interim.reason(),
            interim.span.first.number()
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
            frame.number(),
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
        response: (exchange.response.as_ref()).map(|head| response(head, exchange.said())),
        accept: accept(hop.accept),
        accept_expected: hop.accept_expected.map(|one| one.as_str().to_owned()),
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

fn front(front: &Front) -> FrontView {
    let record = |frame: FrameRef| RecordView {
        at: frame.at,
        frame: frame.number().0,
        at_frame: frame,
    };
    FrontView {
        connection: front.record.connection.id,
        paired_by: joined_by(front.by),
        confidence: confidence(front.confidence),
        agreed_lengths: front.agreed,
        request: front.request.map(record),
        answer: front.answer.map(record),
    }
}

fn subrequest(hop: &Hop) -> SubrequestView {
    let exchange = hop.exchange();
    SubrequestView {
        connection: hop.record.connection.id,
        target: exchange
            .request
            .as_ref()
            .map(|head| head.target().to_string()),
        status: exchange.response.as_ref().map(|head| head.status),
    }
}

pub(super) fn attempt(attempt: &ConnectAttempt) -> AttemptView {
    let connection = &attempt.record.connection;
    let ended = connection.ended;
    let outcome = match connection.opening {
        _ if attempt.record.cgi.is_some() => of_cgi(&attempt.record),
        Opening::Refused => "refused".to_owned(),
        Opening::Unanswered if connection.unreachable.is_some() => "unreachable".to_owned(),
        Opening::Unanswered => match connection.syns {
            0 | 1 => "no answer to SYN".to_owned(),
            syns => format!("no answer to {syns} SYNs"),
        },
        _ => match (attempt.record.protocol, ended) {
            (Protocol::Tls, _) => "TLS, no request seen".to_owned(),
            (_, Some(end)) => format!("{} by {} before any request", end.how.flag(), side(end.by)),
            (_, None) => "opened, no request seen".to_owned(),
        },
    };
    AttemptView {
        connection: connection.id,
        hop: attempt.parent,
        confidence: confidence(attempt.confidence),
        spoke: attempt.record.cgi.as_ref().map(|one| one.cgi.name()),
        outcome,
        first: connection.first,
    }
}

/// What became of a request that was no HTTP.
fn of_cgi(record: &Record) -> String {
    let request = record.cgi.as_deref();
    let Some(request) = request.filter(|request| request.answer.is_some()) else {
        return "no answer seen".to_owned();
    };
    match (request.answered_in(), request.status()) {
        (Some(AnsweredIn::Kind), Some(status)) => format!("answered {status}"),
        (Some(AnsweredIn::Kind) | None, _) => "answered".to_owned(),
        (Some(AnsweredIn::Http), _) => "answered in HTTP".to_owned(),
        (Some(AnsweredIn::Other), _) => format!("answer that is no {}", request.cgi.name()),
    }
}

/// The first frame of a handshake; frame 0, which no capture has, for an (impossible) empty one.
pub(in crate::report) fn start(handshake: &Handshake) -> FrameRef {
    handshake.started().unwrap_or(FrameRef::new(
        Timestamp::default(),
        CaptureId(0),
        FrameNo(0),
    ))
}

/// The connections of a handshake: of its hops, attempts, subrequests, copies and its front.
pub(in crate::report) fn records(handshake: &Handshake) -> impl Iterator<Item = &Record> {
    handshake
        .hops
        .iter()
        .chain(&handshake.subrequests)
        .flat_map(|hop| std::iter::once(&hop.record).chain(&hop.copies))
        .chain(handshake.attempts.iter().map(|attempt| &attempt.record))
        .chain(handshake.front.as_deref().map(|front| &front.record))
        .map(AsRef::as_ref)
}
