//! Connections that the proxy tried to open and that carried no request, or one that it sent again elsewhere.

use super::{so_the_client_got, with_answer};
use crate::decode::Unreachable;
use crate::diagnosis::Code;
use crate::diagnosis::draft::Draft;
use crate::diagnosis::story::Story;
use crate::diagnosis::text::{count, duration};
use crate::diagnosis::view::RecordView;
use crate::hop::{Confidence, ConnectAttempt, Record};
use crate::tcp::{Ending, EndingHow, Opening, Side};

pub(super) fn of_attempt(story: &Story<'_>, attempt: &ConnectAttempt) -> Option<Draft> {
    if let Some(draft) = crate::diagnosis::tls::of_attempt(story, attempt) {
        return Some(draft);
    }
    let record = &attempt.record;
    if record.cgi.is_some() {
        return crate::diagnosis::cgi::of_attempt(story, attempt);
    }
    let connection = &record.connection;
    let backend = connection.server;
    let proxy = story.proxy_of_attempt(attempt);
    let syn = connection.syn.unwrap_or(connection.first);
    let so = so_the_client_got(story);
    let draft = |code: Code, what: &str| {
        with_answer(
            story,
            Draft::new(code)
                .sure(attempt.confidence)
                .on(record)
                .upstream(backend)
                .title(format!("{backend} {what}"))
                .headline(format!("{backend} {what} of {proxy}{so}"))
                .saw(syn, format!("SYN to {backend}")),
        )
    };
    if let Some((frame, why)) = connection.unreachable {
        return match why {
            Unreachable::Port => Some(
                draft(Code::BackendRefused, "refused the connection")
                    .saw(frame, "ICMP port unreachable: nginx logs it as a refusal"),
            ),
            Unreachable::TooBig => None,
            Unreachable::Host
            | Unreachable::Prohibited
            | Unreachable::TimeExceeded
            | Unreachable::Other => Some(
                draft(
                    Code::BackendUnreachable,
                    "is unreachable for the connection",
                )
                .title(format!("{backend} is unreachable for {proxy}"))
                .headline(format!("{backend} is unreachable for {proxy}{so}"))
                .saw(frame, "ICMP destination unreachable"),
            ),
        };
    }
    match connection.opening {
        Opening::Refused => Some(
            draft(Code::BackendRefused, "refused the connection").may_saw(
                connection.ended.map(|end| end.frame),
                "RST instead of SYN-ACK",
            ),
        ),
        Opening::Unanswered => unanswered(story, attempt, draft),
        Opening::Complete | Opening::Partial => {
            let end = record.end_by(Side::Server)?;
            if record.has_holes() {
                return None;
            }
            if connection.to_server.payload_bytes > 0 {
                return given_up(record, end, draft);
            }
            // Opened, and ended by the backend before the proxy could send a byte, as far as its direction was captured.
            let shows = if connection.is_one_sided() {
                "the backend ends it, no byte of an answer before"
            } else {
                "the backend ends it before any request"
            };
            let (code, how) = match end.how {
                EndingHow::Fin => (Code::BackendClosedEarly, "closed the connection"),
                EndingHow::Rst => (Code::BackendResetEarly, "reset the connection"),
            };
            Some(draft(code, how).saw(end.frame, shows))
        }
        Opening::Midstream => None,
    }
}

/// The backend got the request and ended the connection; the proxy asked again.
fn given_up(record: &Record, end: Ending, draft: impl Fn(Code, &str) -> Draft) -> Option<Draft> {
    let request = record
        .exchanges
        .iter()
        .find_map(|one| one.request.as_ref())?;
    let (code, how) = match end.how {
        EndingHow::Fin => (
            Code::BackendClosedEarly,
            "closed the connection before it answered",
        ),
        EndingHow::Rst => (
            Code::BackendResetEarly,
            "reset the connection before it answered",
        ),
    };
    Some(
        draft(code, how)
            .saw_request(request)
            .saw(end.frame, "the backend ends it"),
    )
}

fn unanswered(
    story: &Story<'_>,
    attempt: &ConnectAttempt,
    draft: impl Fn(Code, &str) -> Draft,
) -> Option<Draft> {
    let connection = &attempt.record.connection;
    // A single SYN at the very end of a capture says nothing yet.
    let given_up = connection.syns > 1 || story.answer().is_some() || connection.ended.is_some();
    let until = story
        .answer()
        .map(|head| head.span.first)
        .or(story.outer.record.end_by(Side::Client).map(|end| end.frame))
        .unwrap_or(connection.last)
        .at;
    let waited = until.nanos_since(connection.first.at);
    let sure = if attempt.is_doubtful(until) {
        Confidence::Guess
    } else {
        attempt.confidence
    };
    given_up.then(|| {
        draft(
            Code::BackendConnectTimeout,
            "did not answer the connection attempt",
        )
        .sure(sure)
        .detail(format!(
            "{} in {}, and no answer.",
            count(connection.syns as usize, "SYN"),
            duration(waited.max(0))
        ))
        .saw(
            connection.last,
            format!(
                "last of {}, no answer",
                count(connection.syns as usize, "SYN")
            ),
        )
    })
}
