//! The 101 itself: what a client must check before it may use the session (RFC 6455 4.1).

use super::draft::Draft;
use super::negotiation;
use super::story::{Outcome, Story};
use super::text::{short, shows_request, shows_response};
use super::{Code, Severity};
use crate::hop::{AcceptCheck, Hop};
use crate::tcp::Side;
use crate::websocket::Accept;

/// How soon after a 101 a client that refuses it leaves.
const AT_ONCE_NANOS: i64 = 1_000_000_000;

/// What is wrong with a hop's 101, so that a client must refuse it: which rule, and what was seen.
pub(super) fn defects(hop: &Hop) -> Vec<(Code, String)> {
    let exchange = hop.exchange();
    let Some(answer) = exchange.response.as_ref().filter(|head| head.status == 101) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    match hop.accept {
        AcceptCheck::Mismatch => found.push((
            Code::AcceptMismatch,
            format!(
                "Sec-WebSocket-Accept is {}, the key demands {}",
                short(
                    &answer
                        .fields
                        .first("sec-websocket-accept")
                        .unwrap_or_default()
                ),
                hop.accept_expected
                    .as_ref()
                    .map_or("another", Accept::as_str),
            ),
        )),
        AcceptCheck::Missing => {
            found.push((
                Code::AcceptMissing,
                "101 without Sec-WebSocket-Accept".to_owned(),
            ));
        }
        AcceptCheck::Valid | AcceptCheck::NotApplicable | AcceptCheck::Unchecked => {}
    }
    // RFC 6455 11.3.3: not more than once.
    let accepts = answer.fields.count("sec-websocket-accept");
    if accepts > 1 && hop.accept != AcceptCheck::Mismatch {
        found.push((
            Code::AcceptMismatch,
            format!("101 with {accepts} Sec-WebSocket-Accept fields"),
        ));
    }
    match answer.fields.combined("upgrade") {
        None => found.push((Code::AnswerUpgradeMissing, "101 without Upgrade".to_owned())),
        // RFC 6455 4.1: this value and no list; RFC 9110 7.8 allows layers that no client asks for.
        Some(value) if !value.trim().eq_ignore_ascii_case("websocket") => found.push((
            Code::AnswerUpgradeWrong,
            format!("101 with Upgrade: {}", short(&value)),
        )),
        Some(_) => {}
    }
    if !answer.fields.has_token("connection", "upgrade") {
        found.push((
            Code::AnswerConnectionMissing,
            "101 without `Connection: upgrade`".to_owned(),
        ));
    }
    if let Some(request) = &exchange.request {
        found.extend(negotiation::faults(&request.fields, &answer.fields));
        if left_for_want_of_subprotocol(hop) {
            found.push((
                Code::SubprotocolNotChosen,
                format!(
                    "offered {}, the 101 names none",
                    short(
                        &request
                            .fields
                            .combined("sec-websocket-protocol")
                            .unwrap_or_default()
                    )
                ),
            ));
        }
    }
    found
}

/// Subprotocols offered, none chosen, and the client left at once without a frame.
fn left_for_want_of_subprotocol(hop: &Hop) -> bool {
    let exchange = hop.exchange();
    let (Some(request), Some(answer), Some(end)) = (
        &exchange.request,
        &exchange.response,
        hop.record.connection.ended,
    ) else {
        return false;
    };
    let spoke = hop.session().is_some_and(|session| {
        let frames = session.to_server.frames;
        frames.text + frames.binary + frames.continuation + frames.ping + frames.pong > 0
    });
    request
        .fields
        .list("sec-websocket-protocol")
        .next()
        .is_some()
        && answer
            .fields
            .list("sec-websocket-protocol")
            .next()
            .is_none()
        && end.by == Side::Client
        && !spoke
        && end.frame.at.nanos_since(answer.span.last.at) <= AT_ONCE_NANOS
}

pub(super) fn rules(story: &Story<'_>, out: &mut Vec<Draft>) {
    let hop = story.outer;
    let Some(answer) = story.answer().filter(|answer| answer.status == 101) else {
        return;
    };
    let tolerated = match story.outcome {
        Outcome::BadAnswer(_) => false,
        Outcome::Up => true,
        _ => return,
    };
    let request = hop.exchange().request.as_ref();
    let end = hop
        .record
        .connection
        .ended
        .filter(|end| end.by == Side::Client);
    for (code, shows) in &story.defects {
        let code = *code;
        if explained(code, out) {
            continue;
        }
        let title = match code {
            Code::SubprotocolNotChosen => format!("The 101 chooses no subprotocol: {shows}"),
            _ => format!("The answer of {} is not valid: {shows}", story.front()),
        };
        let left = if tolerated {
            " The client used the session nevertheless."
        } else if end.is_some() {
            " The client closed without sending a message."
        } else {
            ""
        };
        let source = source(story, code);
        let mut draft = Draft::new(code)
            .on(&hop.record)
            .title(title)
            .headline(format!(
                "{source} answered 101 that the client must refuse: {shows}"
            ))
            .detail(format!(
                "{} {source} answered so.{left}",
                super::catalogue::entry(code).meaning
            ))
            .may_saw(
                request.map(|head| head.span.first),
                request.map(shows_request).unwrap_or_default(),
            )
            .saw(
                answer.span.first,
                format!("{}: {shows}", shows_response(answer)),
            )
            .may_saw(end.map(|end| end.frame), "the client closes");
        if let Some(inner) = story.inner.exchange().response.as_ref()
            && !std::ptr::eq(story.inner, hop)
        {
            draft = draft
                .on(&story.inner.record)
                .saw(inner.span.first, shows_response(inner));
        }
        out.push(if tolerated {
            draft.bad(Severity::Warning)
        } else {
            draft
        });
    }
}

/// Whether a finding about the way there already says why this is so.
fn explained(code: Code, out: &[Draft]) -> bool {
    let by: &[Code] = match code {
        Code::AcceptMismatch => &[Code::KeyRewritten],
        Code::AcceptMissing => &[Code::AcceptNotReturned, Code::KeyNotForwarded],
        Code::AnswerUpgradeMissing => &[Code::UpgradeNotReturned],
        Code::SubprotocolNotChosen => &[Code::SubprotocolNotForwarded],
        _ => &[],
    };
    out.iter().any(|draft| by.contains(&draft.code()))
}

/// Who made the fault: the backend, if its own answer has it as well.
fn source(story: &Story<'_>, code: Code) -> String {
    let inner = story.inner;
    if !std::ptr::eq(inner, story.outer) && defects(inner).iter().any(|(other, _)| *other == code) {
        return inner.record.connection.server.to_string();
    }
    story.front()
}
