//! Any answer other than 101: what it is, who gave it, and whether another finding already says why.

mod origin;
mod reached;
mod redirect;
mod status;

pub(super) use self::origin::speaks_of_origin;
use super::answerer::answerer;
use super::draft::{Draft, has_any};
use super::story::{Outcome, Story};
use super::text::{contains, short_target, shows_response};
use super::view::RequestView;
use super::{AnsweredBy, Code, Severity};
use crate::hop::{BackendSight, Confidence, is_engine_io};
use crate::http::ResponseHead;

pub(super) fn rules(story: &Story<'_>, out: &mut Vec<Draft>) {
    interim(story, out);
    let Outcome::Refused(answer) = story.outcome else {
        return;
    };
    changed(story, out);
    by_body(story, answer, out);
    if !explained(answer.status, out) {
        out.push(status::draft(story, answer));
    }
    token_case(story, answer, out);
    not_contacted(story, answer, out);
}

/// The text with which an answer refuses, quoted.
fn saying(said: Option<&str>) -> String {
    said.map_or_else(String::new, |said| format!(", saying \"{said}\""))
}

/// A draft about the answer: both requests and answers as evidence.
fn about(story: &Story<'_>, code: Code, answer: &ResponseHead) -> Draft {
    let said = story.outer.exchange().said();
    let mut draft = Draft::new(code).on(&story.outer.record).saw(
        answer.span.first,
        format!("{}{}", shows_response(answer), saying(said.as_deref())),
    );
    draft = draft.may_saw_request(story.outer.exchange().request.as_ref());
    for hop in story.inner_hops() {
        if let Some(inner) = &hop.exchange().response {
            draft = draft.on(&hop.record).saw(
                inner.span.first,
                format!(
                    "{}: {}{}",
                    hop.record.connection.server,
                    shows_response(inner),
                    // What the client got of it is quoted once.
                    saying(hop.exchange().said().filter(|_| said.is_none()).as_deref())
                ),
            );
        }
    }
    for hop in story.handshake.permissions() {
        if let (Some(request), Some(inner)) = (&hop.exchange().request, &hop.exchange().response) {
            draft = draft.on(&hop.record).saw(
                inner.span.first,
                format!(
                    "auth subrequest {} answered {}",
                    short_target(request.target()),
                    inner.status
                ),
            );
        }
    }
    draft
}

/// 100 or 103 before the 101: nginx takes it for the final answer.
fn interim(story: &Story<'_>, out: &mut Vec<Draft>) {
    // Seen from the backend alone, a 101 whose session no client ever used tells the same.
    let unused = story.backend_only()
        && !story.client_spoke()
        && !story.outer.record.connection.is_one_sided();
    if story.is_up() && !unused {
        return;
    }
    let alone = unused.then_some(story.outer);
    let hops = story.inner_hops().filter(|hop| !hop.retried);
    for hop in hops.chain(alone) {
        let exchange = hop.exchange();
        let switched = exchange
            .response
            .as_ref()
            .filter(|answer| answer.status == 101);
        let (Some(first), Some(switched)) = (exchange.interim.first(), switched) else {
            continue;
        };
        out.push(
            Draft::new(Code::InterimResponse)
                .sure(if alone.is_some() {
                    Confidence::Likely
                } else {
                    Confidence::Certain
                })
                .on(&story.outer.record)
                .on(&hop.record)
                .title(format!(
                    "{} sent {} before the 101",
                    hop.record.connection.server, first.status
                ))
                .headline(format!(
                    "{} sent {} before the 101, and {} took it for the answer",
                    hop.record.connection.server,
                    first.status,
                    story.proxy_of(hop)
                ))
                .saw_answer(first)
                .saw_answer(switched),
        );
    }
}

/// The hops disagree about the answer.
fn changed(story: &Story<'_>, out: &mut Vec<Draft>) {
    /// Reasons for which a proxy makes another answer of the one that it got.
    const EXPLAIN_IT: &[Code] = &[
        Code::InterimResponse,
        Code::BackendTimeout,
        Code::BackendHeaderTooBig,
        Code::BackendInvalidResponse,
        Code::UpgradeAdded,
    ];
    if has_any(out, EXPLAIN_IT) {
        return;
    }
    for link in story.links().filter(|link| !link.child.retried) {
        let Some((got, sent)) = link.responses() else {
            continue;
        };
        if got.status == sent.status || got.status == 101 {
            continue;
        }
        let proxy = story.proxy_of(link.child);
        let backend = link.child.record.connection.server;
        out.push(
            Draft::new(Code::StatusChanged)
                .bad(if sent.status == 101 {
                    Severity::Error
                } else {
                    Severity::Info
                })
                .sure(link.confidence())
                .on(&link.parent.record)
                .on(&link.child.record)
                .title(format!(
                    "{proxy} answered {} where {backend} answered {}",
                    got.status, sent.status
                ))
                .saw_answer(sent)
                .saw_answer(got),
        );
    }
}

/// What it means where only the answer tells.
const ELSEWHERE: &str = "The session was opened by polling somewhere else: at another backend, or at another process behind the same address (several workers of gunicorn, node's cluster), which no setting of nginx tells apart; or the server was restarted since.";

/// What Engine.IO servers answer to an upgrade of a session that they do not know: those of node, and of Python.
pub(super) fn session_unknown(story: &Story<'_>, status: u16) -> Option<&'static str> {
    let mut says = ["Session ID unknown", "Invalid session"].into_iter();
    let says = says.find(|says| contains(story.body(), says))?;
    let request = story.outer.exchange().request.as_ref();
    let request = request.or(story.inner.exchange().request.as_ref());
    let is_polled = request.is_some_and(|head| is_engine_io(head.target()));
    // The words of Python's are anybody's.
    (says == "Session ID unknown" || status == 400 && is_polled).then_some(says)
}

/// Answers whose body names the reason.
fn by_body(story: &Story<'_>, answer: &ResponseHead, out: &mut Vec<Draft>) {
    let body = story.body();
    if answer.status == 431
        || answer.status == 414
        || contains(body, "Request Header Or Cookie Too Large")
    {
        let size = story
            .outer
            .exchange()
            .request
            .as_ref()
            .map_or(0, |head| head.fields.raw().len());
        let draft = about(story, Code::RequestHeaderTooBig, answer).title(format!(
            "The request head ({size} bytes) is too large for {}",
            who(story)
        ));
        let by_backend = answerer(story).is_some_and(|one| one.answered.by == AnsweredBy::Backend);
        let draft = if by_backend { draft.snippet("") } else { draft };
        // RFC 9110 15.5.15
        out.push(if answer.status == 414 {
            draft
                .detail("The request line exceeds a buffer of the server: the address is too long, as with a token in the query.")
                .fix("Shorten the address (a cookie or a subprotocol may carry the token), or raise the limit where the answer comes from.")
                .log("[info] client sent too long URI while reading client request line")
        } else {
            draft
        });
    }
    if let Some(says) = session_unknown(story, answer.status) {
        out.push(
            about(story, Code::SessionAffinityLost, answer)
                .sure(Confidence::Likely)
                .title(format!(
                    "{} does not know the session of this upgrade ({says})",
                    who(story)
                ))
                .detail(ELSEWHERE),
        );
    }
    if contains(body, "No required SSL certificate was sent") {
        out.push(about(story, Code::ClientCertificateMissing, answer));
    }
    if contains(body, "plain HTTP request was sent to HTTPS port")
        || contains(body, "Client sent an HTTP request to an HTTPS server")
        || contains(body, "speaking plain HTTP to an SSL-enabled server port")
    {
        super::tls::plain_answer(story, about(story, Code::PlainToTlsPort, answer), out);
    }
}

/// Whether a finding already says why the answer is what it is.
fn explained(status: u16, out: &[Draft]) -> bool {
    // Findings that stand beside the status: they are the reason, and the status is worth its own line.
    const BESIDE: &[Code] = &[
        Code::OriginHostMismatch,
        Code::PathRewritten,
        Code::StatusChanged,
    ];
    // Refusals with a reason of their own, which a lost header does not explain.
    const OWN_REASON: &[Code] = &[
        Code::PlainToTlsPort,
        Code::RequestHeaderTooBig,
        Code::SessionAffinityLost,
        Code::ClientCertificateMissing,
        Code::ProxyProtocolUnexpected,
        Code::ProxyProtocolToBackend,
    ];
    let independent = matches!(status, 300..=399 | 401 | 403 | 407 | 429 | 503);
    out.iter()
        .filter(|draft| draft.severity() == Severity::Error)
        .any(|draft| {
            if independent {
                OWN_REASON.contains(&draft.code())
            } else {
                !BESIDE.contains(&draft.code())
            }
        })
}

/// Who answered, as the subject of a sentence.
fn who(story: &Story<'_>) -> String {
    answerer(story).map_or_else(|| story.front(), |answerer| answerer.name(story))
}

/// The backend refused a request in which nothing is wrong but the spelling of a token.
fn token_case(story: &Story<'_>, answer: &ResponseHead, out: &mut Vec<Draft>) {
    if !matches!(answer.status, 200 | 400 | 426 | 501) {
        return;
    }
    let known = out.iter().any(|draft| {
        draft.severity() == Severity::Error
            && !matches!(
                draft.code(),
                Code::BadRequest | Code::UpgradeRequired | Code::AnsweredAsPage | Code::ServerError
            )
    });
    if known {
        return;
    }
    for link in story.links().filter(|link| !link.child.retried) {
        let (Some((before, after)), Some((_, refused))) = (link.requests(), link.responses())
        else {
            continue;
        };
        let complete = after.is_whole_upgrade()
            && refused.status == answer.status
            && !status::is_nginx(link.child);
        let spelled = |name: &'static str| {
            let (was, is) = (before.fields.combined(name)?, after.fields.combined(name)?);
            let token = if name == "upgrade" {
                "websocket"
            } else {
                "upgrade"
            };
            let find = |list: &str| {
                list.split(',')
                    .map(str::trim)
                    .find(|item| item.eq_ignore_ascii_case(token))
                    .map(str::to_owned)
            };
            let (was, is) = (find(&was)?, find(&is)?);
            (was != is).then(|| format!("`{was}` became `{is}`"))
        };
        let Some(change) = spelled("connection").or_else(|| spelled("upgrade")) else {
            continue;
        };
        if complete {
            out.push(
                Draft::new(Code::TokenCaseRejected)
                    .sure(Confidence::Guess)
                    .on(&link.child.record)
                    .title(format!(
                        "{} refused a complete upgrade in which {change}",
                        link.child.record.connection.server
                    ))
                    .saw_request(before)
                    .saw_request(after)
                    .saw_answer(refused),
            );
        }
    }
}

fn not_contacted(story: &Story<'_>, answer: &ResponseHead, out: &mut Vec<Draft>) {
    if story.sight() != BackendSight::NotContacted || has_any(out, &[Code::NoLiveBackend]) {
        return;
    }
    let refused = story.handshake.permissions().next().is_some();
    out.push(
        about(story, Code::BackendNotContacted, answer)
            .sure(if refused {
                Confidence::Certain
            } else {
                Confidence::Likely
            })
            .detail(if refused {
                "Its auth subrequest gave no permission, so no backend was asked."
            } else {
                Code::BackendNotContacted.entry().meaning
            })
            .title(format!(
                "{} answered {} without asking a backend",
                story.front(),
                answer.status
            )),
    );
}
