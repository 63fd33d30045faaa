//! Any answer other than 101: what it is, who gave it, and whether another finding already says why.

use super::answerer::{Answerer, answerer};
use super::catalogue::{entry, told_by};
use super::draft::Draft;
use super::finding::Answered;
use super::story::{Outcome, Story};
use super::text::{contains, short, short_target, shows_request, shows_response};
use super::view::HopView;
use super::{AnsweredBy, Code, Severity};
use crate::hop::{BackendSight, Confidence, Hop};
use crate::http::ResponseHead;

/// A gateway that answers sooner than this has not waited for anybody.
const AT_ONCE_NANOS: i64 = 50_000_000;

pub(super) fn rules(story: &Story<'_>, out: &mut Vec<Draft>) {
    interim(story, out);
    let Outcome::Refused(answer) = story.outcome else {
        return;
    };
    changed(story, out);
    by_body(story, answer, out);
    if !explained(answer.status, out) {
        out.push(status(story, answer));
    }
    token_case(story, answer, out);
    not_contacted(story, answer, out);
}

/// A draft about the answer: both requests and answers as evidence.
fn about(story: &Story<'_>, code: Code, answer: &ResponseHead) -> Draft {
    let mut draft = Draft::new(code)
        .on(&story.outer.record)
        .saw(answer.span.first, shows_response(answer));
    if let Some(request) = &story.outer.exchange().request {
        draft = draft.saw(request.span.first, shows_request(request));
    }
    for hop in story.inner_hops() {
        if let Some(inner) = &hop.exchange().response {
            draft = draft.on(&hop.record).saw(
                inner.span.first,
                format!(
                    "{}: {}",
                    hop.record.connection.server,
                    shows_response(inner)
                ),
            );
        }
    }
    for hop in &story.handshake.subrequests {
        if let (Some(request), Some(inner)) = (&hop.exchange().request, &hop.exchange().response) {
            draft = draft.on(&hop.record).saw(
                inner.span.first,
                format!(
                    "auth subrequest {} answered {}",
                    short_target(&request.target),
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
    let unused = story.backend_only() && !story.client_spoke() && !story.outer.one_way();
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
                .saw(first.span.first, shows_response(first))
                .saw(switched.span.first, shows_response(switched)),
        );
    }
}

/// The hops disagree about the answer.
fn changed(story: &Story<'_>, out: &mut Vec<Draft>) {
    for link in story.links().filter(|link| !link.child.retried) {
        let Some((got, sent)) = link.responses() else {
            continue;
        };
        if got.status == sent.status || got.status == 101 {
            continue;
        }
        let known = out.iter().any(|draft| {
            matches!(
                draft.code(),
                Code::InterimResponse
                    | Code::BackendTimeout
                    | Code::BackendHeaderTooBig
                    | Code::BackendInvalidResponse
                    | Code::UpgradeAdded
            )
        });
        if known {
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
                .saw(sent.span.first, shows_response(sent))
                .saw(got.span.first, shows_response(got)),
        );
    }
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
        out.push(
            about(story, Code::RequestHeaderTooBig, answer).title(format!(
                "The request head ({size} bytes) is too large for {}",
                who(story)
            )),
        );
    }
    if contains(body, "Session ID unknown") {
        out.push(
            about(story, Code::SessionAffinityLost, answer)
                .sure(Confidence::Likely)
                .title(format!(
                    "{} does not know the session of this upgrade (Session ID unknown)",
                    who(story)
                )),
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

const fn code_of(status: u16) -> Code {
    match status {
        400 => Code::BadRequest,
        401 | 407 => Code::Unauthorized,
        403 => Code::Forbidden,
        404 | 410 => Code::NotFound,
        405 => Code::MethodNotAllowed,
        426 => Code::UpgradeRequired,
        429 => Code::TooManyRequests,
        502 => Code::BadGateway,
        503 => Code::ServiceUnavailable,
        504 => Code::GatewayTimeout,
        500..=599 => Code::ServerError,
        300..=399 => Code::Redirected,
        200..=299 => Code::AnsweredAsPage,
        _ => Code::RefusedOtherwise,
    }
}

/// Who answered, as the subject of a sentence.
fn who(story: &Story<'_>) -> String {
    answerer(story).map_or_else(|| story.front(), |answerer| answerer.name(story))
}

fn status(story: &Story<'_>, answer: &ResponseHead) -> Draft {
    let answerer = answerer(story).unwrap_or(Answerer::unknown("nothing in the capture tells"));
    let name = answerer.name(story);
    let Answered {
        by,
        confidence,
        reason: tells,
    } = answerer.answered;
    let path = story.path();
    if let Some((hop, refusal)) = refused_behind(story, answer) {
        let server = hop.record.connection.server;
        let path = path_of(hop).unwrap_or(path);
        let title = format!(
            "{server} answered {path} with {}{}",
            refusal.status,
            reason_of(refusal)
        );
        let code = code_of(refusal.status);
        return about(story, code, answer)
            .headline(format!(
                "{title}, and {} turned it into {}",
                story.front(),
                answer.status
            ))
            .title(title)
            .detail(format!(
                "The backend's own hop carries this answer; what the client got instead is the proxy's. {}",
                hints(story, refusal, AnsweredBy::Backend)
            ).trim_end())
            .told(told_by(code, AnsweredBy::Backend));
    }
    // A proxy may have asked its backend for another path.
    let path = match by {
        AnsweredBy::Backend => path_of(story.inner).unwrap_or(path),
        AnsweredBy::Proxy | AnsweredBy::Unknown => path,
    };
    let code = code_of(answer.status);
    let reason = reason_of(answer);
    let title = if code == Code::Redirected {
        let location = answer.fields.first("location").unwrap_or_default();
        format!(
            "{name} redirected {path} ({}) to {}",
            answer.status,
            short_target(&location)
        )
    } else {
        format!("{name} answered {path} with {}{reason}", answer.status)
    };
    let said = match (by, confidence) {
        (AnsweredBy::Backend, Confidence::Certain) => "The backend answered so",
        (AnsweredBy::Backend, Confidence::Likely) => "The backend probably answered so",
        (AnsweredBy::Backend, Confidence::Guess) => "Perhaps the backend answered so",
        (AnsweredBy::Proxy, Confidence::Certain) => "The answer is the proxy's own",
        (AnsweredBy::Proxy, Confidence::Likely) => "The answer is probably the proxy's own",
        (AnsweredBy::Proxy, Confidence::Guess) => "The answer may be the proxy's own",
        (AnsweredBy::Unknown, _) => "Whether the proxy or a backend answered so is not known",
    };
    let mut detail = format!("{said}: {tells}. {}", hints(story, answer, by));
    detail.truncate(detail.trim_end().len());
    about(story, code, answer)
        .title(title.clone())
        .headline(title)
        .detail(detail)
        .told(told_by(code, by).filter(|_| confidence > Confidence::Guess))
}

/// The path that the server of a hop was asked for.
fn path_of(hop: &Hop) -> Option<String> {
    let request = hop.exchange().request.as_ref()?;
    Some(short(super::text::path(&request.target)))
}

/// The reason phrase of an answer, behind a space.
fn reason_of(answer: &ResponseHead) -> String {
    if answer.reason.is_empty() {
        String::new()
    } else {
        format!(" {}", short(&answer.reason))
    }
}

/// The refusal of the innermost server, where a proxy made another answer of it (proxy_intercept_errors with error_page):
/// what the client got is a consequence.
fn refused_behind<'a>(
    story: &Story<'a>,
    answer: &ResponseHead,
) -> Option<(&'a Hop, &'a ResponseHead)> {
    let carried = story
        .inner_hops()
        .any(|hop| !hop.retried && hop.status() == Some(answer.status));
    let hop = story.inner_hops().filter(|hop| !hop.retried).last()?;
    let refusal = hop.exchange().response.as_ref()?;
    (!carried && refusal.status >= 400).then_some((hop, refusal))
}

/// What else the answer and the request say about the reason.
fn hints(story: &Story<'_>, answer: &ResponseHead, by: AnsweredBy) -> String {
    let mut hints = Vec::new();
    let fields = &answer.fields;
    if let Some(versions) = fields.combined("sec-websocket-version") {
        hints.push(format!(
            "It lists Sec-WebSocket-Version {}.",
            short(&versions)
        ));
    }
    if let Some(scheme) = fields.first("www-authenticate") {
        let scheme = scheme.split_ascii_whitespace().next().unwrap_or_default();
        hints.push(format!("It asks for {} credentials.", short(scheme)));
    }
    if let Some(wait) = fields.first("retry-after") {
        hints.push(format!("It says Retry-After: {}.", short(&wait)));
    }
    if by == AnsweredBy::Backend && story.outer.has_nginx_page() {
        hints.push("Its body is nginx's own page: that backend is an nginx as well.".to_owned());
    }
    if let Some(location) = fields.first("location") {
        hints.push(redirect(story, &location).to_owned());
    }
    let asked = story.outer.exchange().request.as_ref();
    let at_once = asked
        .is_some_and(|asked| answer.span.first.at.nanos_since(asked.span.last.at) < AT_ONCE_NANOS);
    if answer.status == 504 && at_once {
        hints.push(
            "It came at once, as nobody waits: `proxy_read_timeout 0` does that to every request."
                .to_owned(),
        );
    }
    let denied = story.handshake.subrequests.iter().any(|hop| {
        hop.exchange()
            .response
            .as_ref()
            .is_some_and(|inner| !(200..300).contains(&inner.status))
    });
    if denied && by != AnsweredBy::Proxy {
        hints.push("An auth subrequest was refused.".to_owned());
    }
    if by == AnsweredBy::Backend && matches!(answer.status, 400 | 403) {
        let forwarded = story
            .inner
            .exchange()
            .request
            .as_ref()
            .is_some_and(|head| head.fields.count("x-forwarded-for") > 0);
        hints.push(
            if forwarded {
                "X-Forwarded-For reached it: the application may not trust this proxy."
            } else {
                "No X-Forwarded-For reached it."
            }
            .to_owned(),
        );
    }
    hints.join(" ")
}

/// What kind of redirect it is.
fn redirect(story: &Story<'_>, location: &str) -> &'static str {
    let asked = story.path();
    let (scheme, rest) = location.split_once("://").unwrap_or(("", location));
    let path = if scheme.is_empty() {
        rest
    } else {
        rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
    };
    let path = super::text::path(path);
    if path.strip_suffix('/') == Some(asked.as_str()) {
        "It only adds a slash: the location ends in a slash and the request does not."
    } else if scheme.eq_ignore_ascii_case("https") && path == asked {
        "It only changes to https: open the address with wss."
    } else if ["login", "signin", "auth", "oauth", "sso"]
        .iter()
        .any(|word| contains(path.as_bytes(), word))
    {
        "It leads to a login."
    } else {
        ""
    }
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
        let complete = after.fields.has_token("upgrade", "websocket")
            && after.fields.has_token("connection", "upgrade")
            && after.minor_version > 0
            && refused.status == answer.status;
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
                    .saw(before.span.first, shows_request(before))
                    .saw(after.span.first, shows_request(after))
                    .saw(refused.span.first, shows_response(refused)),
            );
        }
    }
}

fn not_contacted(story: &Story<'_>, answer: &ResponseHead, out: &mut Vec<Draft>) {
    let known = out.iter().any(|draft| draft.code() == Code::NoLiveBackend);
    if story.sight() != BackendSight::NotContacted || known {
        return;
    }
    let refused = !story.handshake.subrequests.is_empty();
    out.push(
        about(story, Code::BackendNotContacted, answer)
            .sure(if refused {
                Confidence::Certain
            } else {
                Confidence::Likely
            })
            .detail(if refused {
                "Its auth subrequest was refused, so no backend was asked."
            } else {
                entry(Code::BackendNotContacted).meaning
            })
            .title(format!(
                "{} answered {} without asking a backend",
                story.front(),
                answer.status
            )),
    );
}
