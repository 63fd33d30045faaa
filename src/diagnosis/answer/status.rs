//! The finding that an answer's status is: who refused what, with all that the answer says about why.

use super::about;
use super::origin::{Origin, other_origin, speaks_of_origin, untold_https};
use super::reached;
use super::redirect::{Redirect, TOLD_HTTPS};
use crate::diagnosis::answerer::{Answerer, answerer, answerer_behind, own_of_balancer};
use crate::diagnosis::catalogue::{BALANCER, CHALLENGE_MET, told_by};
use crate::diagnosis::draft::Draft;
use crate::diagnosis::story::Story;
use crate::diagnosis::text::{self, asked_for, short, short_target};
use crate::diagnosis::view::HopView;
use crate::diagnosis::{Answered, AnsweredBy, Code, Severity};
use crate::hop::{Confidence, Hop, Role};
use crate::http::{RequestHead, ResponseHead};

/// A gateway that answers sooner than this has not waited for anybody.
const AT_ONCE_NANOS: i64 = 50_000_000;

/// The finding.
pub(super) fn draft(story: &Story<'_>, answer: &ResponseHead) -> Draft {
    let answerer = answerer(story)
        .or_else(|| answerer_behind(story, answer))
        .unwrap_or(Answerer::unknown("nothing in the capture tells"));
    let name = answerer.name(story);
    let program = answerer.program(story);
    let Answered {
        by,
        confidence,
        reason: tells,
    } = answerer.answered;
    let path = story.path();
    if let Some((hop, refusal)) = refused_behind(story, answer) {
        return turned_into(story, answer, hop, refusal);
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
    let mut detail = format!("{said}: {tells}. {}", hints(story, story.outer, answer, by));
    detail.truncate(detail.trim_end().len());
    let draft = about(story, code, answer).may_be_by(program).title(title);
    if let Some((again, switched)) = met_challenge(story.outer, answer) {
        return draft
            .bad(Severity::Info)
            .detail(format!(
                "{detail} The client met the challenge: it asked again with credentials on the same connection, and got 101."
            ))
            .told(&CHALLENGE_MET)
            .saw_request(again)
            .saw_answer(switched);
    }
    let told = told_by(code, by).filter(|_| confidence > Confidence::Guess);
    let origin = match (code, by, told) {
        (Code::Forbidden, AnsweredBy::Proxy | AnsweredBy::Unknown, None) => Origin::asked(story),
        _ => None,
    };
    if let Some(origin) = origin {
        return draft
            .detail(format!("{detail} {}", origin.told()))
            .fix(origin.fix_of_unknown())
            .snippet("");
    }
    advised(draft.detail(detail).may_told(told), story, answer, by)
}

/// The refusal of a backend, of which a proxy made another answer.
fn turned_into(
    story: &Story<'_>,
    answer: &ResponseHead,
    hop: &Hop,
    refusal: &ResponseHead,
) -> Draft {
    let title = format!(
        "{} answered {} with {}{}",
        hop.record.connection.server,
        path_of(hop).unwrap_or_else(|| story.path()),
        refusal.status,
        reason_of(refusal)
    );
    let code = code_of(refusal.status);
    let detail = format!(
        "The backend's own hop carries this answer; what the client got instead is the proxy's. {}",
        hints(story, hop, refusal, AnsweredBy::Backend)
    );
    about(story, code, answer)
        .headline(format!(
            "{title}, and {} turned it into {}",
            story.front(),
            answer.status
        ))
        .title(title)
        .detail(detail.trim_end())
        .may_told(told_by(code, AnsweredBy::Backend))
}

/// The advice where the answer or the request to the backend says that the usual one does not help.
fn advised(draft: Draft, story: &Story<'_>, answer: &ResponseHead, by: AnsweredBy) -> Draft {
    let location = answer.fields.first("location").unwrap_or_default();
    let refused = matches!(
        draft.code(),
        Code::BadRequest | Code::Unauthorized | Code::Forbidden
    );
    if by == AnsweredBy::Backend
        && refused
        && let Some(lost) = reached::lost_credentials(story)
    {
        return draft
            .fix(format!("Let the proxy pass {lost} on as well: an empty proxy_set_header of that name takes it away, and so does `proxy_pass_request_headers off`. If that is meant so, the application needs something else to know the user by."))
            .snippet("");
    }
    match draft.code() {
        Code::Redirected => Redirect::of(story, &location).advised(draft, story, by),
        Code::BadRequest | Code::Forbidden | Code::NotFound
            if by == AnsweredBy::Backend && untold_https(story, answer.status).is_some() =>
        {
            draft
                .fix("Compare the path in the backend's request with what the application serves. If that is right: tell the application that the client used https, let it trust the proxy, and read its log.")
                .snippet(TOLD_HTTPS)
        }
        Code::NotFound if by == AnsweredBy::Backend => match reached::fix_of_path(story) {
            Some(fix) => draft
                .why("The application serves no WebSocket at this path.")
                .fix(fix),
            None => draft,
        },
        Code::BadRequest if by == AnsweredBy::Backend && speaks_of_origin(story) => {
            match Origin::of(story) {
                Some(origin) => draft.fix(origin.fix()).snippet(""),
                None => draft,
            }
        }
        Code::Forbidden if by == AnsweredBy::Backend => match Origin::of(story) {
            Some(origin) => draft.fix(origin.fix()).snippet(""),
            None if same_host(story) => draft.fix("Host reached it as the client sent it: add the public origin to the application's list, and read its log."),
            None => draft,
        },
        Code::ServiceUnavailable if by == AnsweredBy::Proxy && is_balancers(story, answer) => {
            draft.told(&BALANCER)
        }
        _ => draft,
    }
}

fn is_balancers(story: &Story<'_>, answer: &ResponseHead) -> bool {
    let server = answer.fields.first("server").unwrap_or_default();
    own_of_balancer(answer, &server, story.body()).is_some()
}

/// Whether the backend was asked with the client's Host.
fn same_host(story: &Story<'_>) -> bool {
    let mut requests = story.forwarded().peekable();
    requests.peek().is_some()
        && requests
            .all(|(before, after)| before.fields.combined("host") == after.fields.combined("host"))
}

/// The request with which a client met a challenge of a scheme that authenticates a connection (RFC 4559), and the 101 that it
/// got: such schemes begin with one or two refusals. A proxy's connection to its backend tells nothing: what follows on it
/// may be another client's.
fn met_challenge<'a>(
    hop: &'a Hop,
    answer: &ResponseHead,
) -> Option<(&'a RequestHead, &'a ResponseHead)> {
    const SCHEMES: [&str; 2] = ["Negotiate", "NTLM"];
    let target = hop.exchange().request.as_ref()?.target();
    let of_connections = answer.fields.list("www-authenticate").any(|challenge| {
        let scheme = challenge.split_ascii_whitespace().next();
        scheme.is_some_and(|scheme| SCHEMES.iter().any(|one| one.eq_ignore_ascii_case(scheme)))
    });
    if hop.role == Role::ProxyBackend || answer.status != 401 || !of_connections {
        return None;
    }
    let later = hop.record.exchanges.iter().skip(hop.place + 1);
    later
        .filter_map(|exchange| Some((exchange.request.as_ref()?, exchange.response.as_ref()?)))
        .find(|(request, answer)| {
            answer.status == 101
                && request.target() == target
                && request.fields.count("authorization") > 0
        })
}

/// The path that the server of a hop was asked for.
fn path_of(hop: &Hop) -> Option<String> {
    let request = hop.exchange().request.as_ref()?;
    Some(short(text::path(request.target())))
}

/// The reason phrase of an answer, behind a space.
fn reason_of(answer: &ResponseHead) -> String {
    if answer.reason().is_empty() {
        String::new()
    } else {
        format!(" {}", short(answer.reason()))
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

/// What else the answer, which came on `hop`, and the request say about the reason.
fn hints(story: &Story<'_>, hop: &Hop, answer: &ResponseHead, by: AnsweredBy) -> String {
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
    if by == AnsweredBy::Backend {
        hints.extend(further_nginx(story, hop).map(str::to_owned));
    }
    if let Some(location) = fields.first("location") {
        hints.push(Redirect::of(story, &location).told(story, by));
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
    let denied = story.handshake.permissions().any(|hop| {
        hop.exchange()
            .response
            .as_ref()
            .is_some_and(|inner| !(200..300).contains(&inner.status))
    });
    if denied && by != AnsweredBy::Proxy {
        hints.push("An auth subrequest was refused.".to_owned());
    }
    // What came in FastCGI, uwsgi or SCGI was not read as a hop.
    let is_read = by == AnsweredBy::Backend && story.attempts().all(|one| one.record.cgi.is_none());
    if is_read {
        hints.extend(hints_of_request(story, answer.status));
    }
    hints.join(" ")
}

/// What the request as it reached the backend says about why that refused it.
fn hints_of_request(story: &Story<'_>, status: u16) -> Vec<String> {
    let mut hints = Vec::new();
    hints.extend(dropped_names(story));
    hints.extend(other_host(story, status));
    hints.extend(other_origin(story, status));
    hints.extend(untold_https(story, status));
    hints.extend(other_path(story, status));
    if status == 403 || status == 400 && speaks_of_origin(story) {
        hints.extend(Origin::of(story).map(|origin| origin.told()));
    }
    if matches!(status, 400 | 401 | 403) {
        let lost = reached::lost_credentials(story);
        hints.extend(
            lost.map(|lost| format!("The client sent {lost}, and a proxy did not pass that on.")),
        );
    }
    if status == 403 {
        hints.extend(no_credentials(story).map(str::to_owned));
    }
    hints.extend(reached::taken_for_ordinary(story, status));
    if status == 404 && reached::is_unchanged(story) {
        hints.push(
            "The upgrade reached it whole, for the path that the client asked for.".to_owned(),
        );
    }
    if matches!(status, 400 | 403) {
        hints.push(told_the_client(story).to_owned());
    }
    hints
}

/// Whether a backend could know for whom a proxy asks.
fn told_the_client(story: &Story<'_>) -> &'static str {
    let request = story.inner.exchange().request.as_ref();
    if request.is_some_and(|head| head.fields.count("x-forwarded-for") > 0) {
        "X-Forwarded-For reached it: the application may not trust this proxy."
    } else {
        "No X-Forwarded-For reached it."
    }
}

/// Fields that a proxy lost for their names: nginx ignores names with an underscore.
fn dropped_names(story: &Story<'_>) -> Option<String> {
    const NAMED_MAX: usize = 3;
    let mut lost = Vec::new();
    for (before, after) in story.forwarded() {
        let there = |name: &[u8]| (after.fields.names()).any(|one| one.eq_ignore_ascii_case(name));
        let odd = before.fields.names().filter(|name| name.contains(&b'_'));
        let gone = odd.filter(|name| !there(name));
        lost.extend(gone.map(|name| short(&String::from_utf8_lossy(name))));
    }
    lost.dedup();
    lost.truncate(NAMED_MAX);
    (!lost.is_empty()).then(|| {
        format!(
            "A proxy dropped {}, as nginx does with names that have an underscore, unless underscores_in_headers is on.",
            text::list(&lost)
        )
    })
}

/// A server for several names chooses by Host, which a proxy may have changed.
fn other_host(story: &Story<'_>, status: u16) -> Option<String> {
    if !matches!(status, 404 | 421) {
        return None;
    }
    let host = |hop: &Hop| {
        let request = hop.exchange().request.as_ref()?;
        Some(short(&request.fields.first("host")?))
    };
    let (asked, got) = (host(story.outer)?, host(story.inner)?);
    (asked != got).then(|| {
        format!("It was asked with `Host: {got}` where the client sent `Host: {asked}`: a server that knows several names chooses by it.")
    })
}

/// Some servers refuse a path that they do not serve with another status than 404, as if the request itself was wrong.
fn other_path(story: &Story<'_>, status: u16) -> Option<String> {
    if !matches!(status, 400 | 403) {
        return None;
    }
    let (asked, got) = (path_of(story.outer)?, path_of(story.inner)?);
    let asked_for = asked_for(&asked, &got);
    Some(format!(
        "It was asked for {asked_for}: some servers answer 400 (ws of node) or 403 (Starlette) to a path that they do not serve."
    ))
}

/// A request without what most applications know a user by.
fn no_credentials(story: &Story<'_>) -> Option<&'static str> {
    let fields = &story.inner.exchange().request.as_ref()?.fields;
    let none = ["cookie", "authorization"]
        .iter()
        .all(|name| fields.count(name) == 0);
    none.then_some("No Cookie and no Authorization reached it.")
}

/// A backend that is a proxy itself: what it answers may come from behind it.
fn further_nginx(story: &Story<'_>, hop: &Hop) -> Option<&'static str> {
    if hop.has_nginx_page() {
        return Some("Its body is nginx's own page: that backend is an nginx as well.");
    }
    is_nginx(story.inner).then_some("It says `Server: nginx`: that backend is an nginx as well.")
}

/// Whether the server of a hop behind the client's names itself nginx, which never passes on what a server behind it says of itself.
pub(super) fn is_nginx(hop: &Hop) -> bool {
    let answer = hop.exchange().response.as_ref();
    let server = answer.and_then(|answer| answer.fields.first("server"));
    hop.parent.is_some() && server.is_some_and(|server| server.starts_with("nginx"))
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
