//! The proxy and its backend could not talk: refused, silent, closed, reset, too big, no HTTP; or the client left first.

mod attempt;
mod unanswered;

use std::borrow::Cow;

use super::draft::{Draft, has_error};
use super::sealed_front;
use super::story::{Outcome, Story};
use super::text::{closed, count, duration, list, shows_response};
use super::view::{HopView, RecordView};
use super::{Code, Severity};
use crate::decode::Endpoint;
use crate::hop::{BackendSight, Confidence, Hop, Reply};
use crate::http::{PartialWhy, RequestHead};
use crate::tcp::{Ending, EndingHow, Side};

/// A head at least this long can exceed nginx's proxy_buffer_size (one memory page: 4 KiB on most machines).
const HEAD_MAY_EXCEED: usize = 4096;

/// How soon an answer of the proxy's own must follow for "at once": limits and dead upstreams need no waiting.
const AT_ONCE_NANOS: i64 = 500_000_000;

/// Failures after which a proxy asks the next server without waiting.
const FAILED_AT_ONCE: &[Code] = &[
    Code::BackendRefused,
    Code::BackendUnreachable,
    Code::BackendClosedEarly,
    Code::BackendResetEarly,
];

/// A connection or a hop that gave no usable answer.
struct Failure {
    /// What its request came in by.
    parent: usize,
    server: Endpoint,
    draft: Draft,
}

pub(super) fn rules(story: &Story<'_>, out: &mut Vec<Draft>) {
    let tried = story.attempts().filter_map(|tried| {
        Some(Failure {
            parent: tried.parent,
            server: tried.record.connection.server,
            draft: attempt::of_attempt(story, tried)?,
        })
    });
    let silent = story.inner_hops().filter_map(|hop| {
        Some(Failure {
            parent: hop.parent.unwrap_or_default(),
            server: hop.record.connection.server,
            draft: unanswered::of_hop(story, hop)?,
        })
    });
    let mut failures: Vec<Failure> = tried.chain(silent).collect();
    failures.sort_by_key(|one| one.draft.first_frame().map(|frame| story.time(frame)));
    let gone = client_gave_up(story).or_else(|| sealed_front::gave_up(story));
    let (hidden, failed): (Vec<Failure>, Vec<Failure>) = failures
        .into_iter()
        .partition(|one| is_overcome(story, one.parent));
    let hidden: Vec<Draft> = hidden.into_iter().map(|one| one.draft).collect();
    out.extend(retried(story, &hidden));
    let waiting = story.outcome == Outcome::Unknown && !story.backend_only();
    out.extend(merge(failed).into_iter().map(|draft| {
        // The client still waits, and a proxy asks the next server at once: that may go well.
        if waiting && FAILED_AT_ONCE.contains(&draft.code()) {
            draft.bad(Severity::Warning)
        } else {
            draft
        }
    }));
    if story.is_up() {
        return;
    }
    out.extend(gone);
    out.extend(of_request(story));
    out.extend(no_backend(story, out));
}

/// Whether the proxy behind this hop failed at one server, asked again, and got an answer: its first tries are past then. What
/// a proxy further in failed at is not, though that proxy answered itself.
fn is_overcome(story: &Story<'_>, parent: usize) -> bool {
    let asked = || story.inner_hops().filter(|hop| hop.parent == Some(parent));
    let failed =
        || story.attempts().any(|tried| tried.parent == parent) || asked().any(|hop| hop.retried);
    let answered = || asked().any(|hop| !hop.retried && hop.exchange().response.is_some());
    story.is_up() || failed() && answered()
}

/// Several connections that failed the same way are one finding, which names all servers that did.
fn merge(failures: Vec<Failure>) -> Vec<Draft> {
    let mut merged: Vec<(Vec<Endpoint>, Draft)> = Vec::new();
    for Failure { server, draft, .. } in failures {
        let known = merged
            .iter_mut()
            .find(|(_, other)| other.code() == draft.code());
        match known {
            Some((servers, other)) => {
                if !servers.contains(&server) {
                    servers.push(server);
                }
                other.absorb(draft);
            }
            None => merged.push((vec![server], draft)),
        }
    }
    merged
        .into_iter()
        .map(|(servers, mut draft)| {
            draft.name_all(&servers);
            draft
        })
        .collect()
}

/// Answers after which proxies ask again, if they are told to (nginx proxy_next_upstream, HAProxy retry-on). With any other
/// one the exchange was no failure, but a question of another kind, or a hop whose place the capture does not tell.
const ASKED_AGAIN_AFTER: &[u16] = &[401, 403, 404, 408, 421, 425, 429, 500, 501, 502, 503, 504];

/// Whether a hop is seen to have failed: an answer may be in a hole of the capture, or come yet.
fn is_failure(hop: &Hop) -> bool {
    if let Some(status) = hop.status() {
        return ASKED_AGAIN_AFTER.contains(&status);
    }
    let unseen = matches!(hop.reply(), Reply::Unseen);
    hop.record.connection.ended.is_some() && !unseen
}

fn retried(story: &Story<'_>, failures: &[Draft]) -> Option<Draft> {
    let overcome = |parent: usize| is_overcome(story, parent);
    let given_up: Vec<&Hop> = story
        .inner_hops()
        .filter(|hop| hop.retried && hop.parent.is_some_and(overcome) && is_failure(hop))
        .collect();
    let attempts = || story.attempts().filter(|one| overcome(one.parent));
    let connections: Vec<String> = attempts()
        .map(|attempt| attempt.record.connection.server.to_string())
        .chain(
            given_up
                .iter()
                .map(|hop| hop.record.connection.server.to_string()),
        )
        .collect();
    if connections.is_empty() || failures.is_empty() && given_up.is_empty() {
        return None;
    }
    // Whom the same proxy asked in the end.
    let parent = attempts()
        .map(|one| one.parent)
        .chain(given_up.iter().filter_map(|hop| hop.parent))
        .next();
    let last = story
        .inner_hops()
        .find(|hop| hop.parent == parent && !hop.retried)
        .unwrap_or(story.inner);
    let pooled = given_up
        .iter()
        .any(|hop| hop.exchange().index > 0 || !hop.record.ordinary.is_empty());
    let mut why: Vec<Cow<'_, str>> = failures
        .iter()
        .map(|failure| failure.title_text().into())
        .collect();
    // An answer may be a failure too (proxy_next_upstream).
    why.extend(given_up.iter().filter_map(|hop| {
        let status = hop.status()?;
        Some(format!("{} answered {status}", hop.record.connection.server).into())
    }));
    let mut draft = Draft::new(Code::BackendRetried)
        .title(format!(
            "{} before {} answered: {}",
            count(connections.len(), "failed attempt"),
            last.record.connection.server,
            if why.is_empty() { list(&connections) } else { why.join("; ") }
        ))
        .detail(if pooled {
            "The proxy used a connection from its keepalive pool that the backend had just given up, and tried again on another one."
        } else {
            "The proxy hid the failure by asking again."
        })
        .on(&last.record);
    if given_up.is_empty()
        && let Some(sure) = failures.iter().map(Draft::confidence).max()
    {
        draft.at_most(sure);
    }
    for failure in failures {
        draft = draft.evidence_of(failure);
    }
    for hop in given_up {
        let request = hop.exchange().request.as_ref();
        draft = draft.on(&hop.record).may_saw(
            request.map(|head| head.span.first),
            format!("first try at {}", hop.record.connection.server),
        );
    }
    let request = last.exchange().request.as_ref();
    Some(draft.may_saw(
        request.map(|head| head.span.first),
        format!("the same request to {}", last.record.connection.server),
    ))
}

/// Evidence of what the client got, and when.
pub(super) fn with_answer(story: &Story<'_>, draft: Draft) -> Draft {
    let answer = story.answer();
    draft.on(&story.outer.record).may_saw(
        answer.map(|head| head.span.first),
        answer
            .map(|head| format!("the client gets {}", shows_response(head)))
            .unwrap_or_default(),
    )
}

/// `, so the client got 502` or nothing.
pub(super) fn so_the_client_got(story: &Story<'_>) -> String {
    story.status().map_or(String::new(), |status| {
        format!(", so the client got {status}")
    })
}

/// Whether the outermost hop has an answer, or may have one where it cannot be read.
pub(super) fn was_answered(story: &Story<'_>) -> bool {
    !unanswered::is_unanswered(story.outer)
}

/// A client that leaves sooner may just have changed its mind: its page was left.
const PATIENT_NANOS: i64 = 1_000_000_000;

fn client_gave_up(story: &Story<'_>) -> Option<Draft> {
    if story.is_up() || story.backend_only() {
        return None;
    }
    let exchange = story.outer.exchange();
    let request = exchange.request.as_ref()?;
    let record = &story.outer.record;
    let end = record.end_by(Side::Client)?;
    if was_answered(story) {
        return None;
    }
    let waited = end.frame.at.nanos_since(request.span.last.at);
    if waited < 0 {
        // Frames in another order than they were sent: what came between nobody knows.
        return None;
    }
    let after = duration(waited);
    let mut draft = Draft::new(Code::ClientGaveUp)
        .on(record)
        .title(format!(
            "{} gave up after {after} without an answer",
            record.connection.client
        ))
        .headline(format!(
            "The client {} left after {after}, before {} had answered",
            record.connection.client.ip(),
            story.front()
        ))
        .saw_request(request)
        .saw(
            end.frame,
            format!("{} from the client, no answer before it", end.how.flag()),
        );
    if story.inner.parent.is_some() && waited >= PATIENT_NANOS {
        let asked = unanswered::left_waiting(story, story.inner);
        let server = story.inner.record.connection.server;
        draft = draft.may_detail((!asked.is_empty()).then(|| {
            format!("The client closed while {server} had the request and said nothing.{asked}")
        }));
    }
    for hop in story.inner_hops() {
        if let Some(head) = &hop.exchange().request {
            draft = draft.on(&hop.record).saw(
                head.span.first,
                format!("{} has the request", hop.record.connection.server),
            );
        }
    }
    Some(draft)
}

/// The client's request never became complete.
fn of_request(story: &Story<'_>) -> Option<Draft> {
    let record = &story.outer.record;
    let partial = story.outer.exchange().partial_request.as_ref()?;
    if partial.why != PartialWhy::StreamEnded || record.has_holes() {
        return None;
    }
    let end = record.connection.ended;
    Some(
        Draft::new(Code::RequestIncomplete)
            .on(record)
            .title(format!(
                "{} sent {} bytes of a request head and never its end",
                record.connection.client,
                partial.bytes.len()
            ))
            .saw(partial.first, "the request begins")
            .saw(
                partial.last,
                format!("the last of its {} bytes", partial.bytes.len()),
            )
            .may_saw(end.map(|end| end.frame), "the connection ends"),
    )
}

/// An answer of the proxy's own, or none, and no backend in sight.
fn no_backend(story: &Story<'_>, out: &[Draft]) -> Option<Draft> {
    let record = &story.outer.record;
    let request = story.outer.exchange().request.as_ref()?;
    if !story.has_nothing_behind() || story.backend_only() {
        return None;
    }
    let answer = story.answer()?;
    let at_once = answer.span.first.at.nanos_since(request.span.last.at) <= AT_ONCE_NANOS;
    let own = story.sight() == BackendSight::NotContacted;
    if answer.status == 502 && own && at_once && out.is_empty() {
        return Some(
            Draft::new(Code::NoLiveBackend)
                // `across` knows whether this proxy was seen failing before.
                .sure(Confidence::Guess)
                .bad(Severity::Error)
                .on(record)
                .title(format!(
                    "{} answered 502 and was seen trying no backend",
                    story.front()
                ))
                .headline(format!(
                    "{} answered {} with 502 and was seen trying no backend, as when none is live",
                    story.front(),
                    story.path()
                ))
                .detail("Other connections of this proxy to backends are in the capture, and none for this request: all servers of the upstream are marked as failed, or it is one that no capture shows, such as a unix socket.")
                .saw_request(request)
                .saw_answer(answer),
        );
    }
    None
}

/// A complete request, and how its server ended the connection without a byte, where no other finding says why.
pub(super) fn hung_up<'a>(story: &Story<'a>, out: &[Draft]) -> Option<(&'a RequestHead, Ending)> {
    let record = &story.outer.record;
    let request = story.outer.exchange().request.as_ref()?;
    let end = record.end_by(Side::Server)?;
    let unexplained = story.outcome == Outcome::Unanswered && !has_error(out);
    (unexplained && record.server_is_mute()).then_some((request, end))
}

/// A connection that the server ended without a byte, and no other rule can say why.
pub(super) fn no_answer(story: &Story<'_>, out: &[Draft]) -> Option<Draft> {
    let record = &story.outer.record;
    let (request, end) = hung_up(story, out)?;
    let how = closed(end.how);
    out_of_connections(story, request, end, how).or_else(|| {
        let waited = duration(end.frame.at.nanos_since(request.span.last.at).max(0));
        if story.backend_only() {
            let (code, flag) = match end.how {
                EndingHow::Fin => (Code::BackendClosedEarly, "FIN"),
                EndingHow::Rst => (Code::BackendResetEarly, "RST"),
            };
            let text = format!(
                "{} {how} the connection of {} after {waited}, before it answered",
                record.connection.server,
                story.proxy_of(story.outer)
            );
            return Some(
                Draft::new(code)
                    .on(record)
                    .title(text)
                    .saw_request(request)
                    .saw(
                        end.frame,
                        format!("{flag} from the backend before any answer"),
                    ),
            );
        }
        let draft = Draft::new(Code::NoAnswer)
            .on(record)
            .title(format!(
                "{} {how} the connection after {waited} without an answer",
                record.connection.server
            ))
            .headline(format!(
                "{} {how} the connection {waited} after the request, without an answer",
                story.front()
            ))
            .saw_request(request)
            .saw(end.frame, "the server ends the connection, 0 bytes sent");
        Some(draft)
    })
}

/// The proxy hung up without reading: before the request came, or with RST because it lay there unread.
fn out_of_connections(
    story: &Story<'_>,
    request: &RequestHead,
    end: Ending,
    how: &str,
) -> Option<Draft> {
    let record = &story.outer.record;
    let before = end.frame < request.span.first;
    let unread = end.how == EndingHow::Rst
        && end.frame.at.nanos_since(request.span.last.at) <= AT_ONCE_NANOS;
    if !(before || unread) || !story.ends_at_front() {
        return None;
    }
    let when = if before {
        "before the request came"
    } else {
        "at once, the request unread"
    };
    Some(
        Draft::new(Code::ProxyOverloaded)
            // A relay without a backend does the same.
            .sure(Confidence::Guess)
            .on(record)
            .title(format!(
                "{} {how} the connection {when}",
                record.connection.server
            ))
            .headline(format!(
                "{} {how} the connection {when}, as a proxy does that has no connections left, or a relay that has no backend",
                story.front()
            ))
            .saw(end.frame, "the server ends the connection, 0 bytes sent")
            .saw_request(request),
    )
}
