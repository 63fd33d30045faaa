//! Who produced the answer that the client got, how sure that is, and what tells.
//!
//! The backend's hop decides where it is seen. Where it is not, what only one of them would write does: nginx's own
//! pages, the Server field, fields and bodies of applications, an answer that came sooner than a backend's can.

use std::borrow::Cow;

use super::program::{Program, page_of};
use super::story::Story;
use super::text::{contains, short, short_target};
use super::view::HopView;
use super::{Answered, AnsweredBy};
use crate::decode::Endpoint;
use crate::hop::{BackendSight, Confidence, Hop, Reply, Role, is_nginx_name};
use crate::http::ResponseHead;
use crate::tcp::Direction;

/// Who produced the answer that the client got.
#[derive(Debug, Clone)]
pub(super) struct Answerer {
    pub(super) answered: Answered,
    subject: Subject,
}

/// How an answerer is called in a sentence.
#[derive(Debug, Clone, Copy)]
enum Subject {
    /// By its address.
    Server(Endpoint),
    /// As a proxy at an address.
    Proxy(Endpoint),
    /// As what the client is connected to.
    Front,
    /// As something behind that.
    BehindFront,
}

impl Answerer {
    /// It is what the client is connected to, unless some other tells more.
    pub(super) const fn unknown(reason: &'static str) -> Self {
        Self {
            answered: Answered {
                by: AnsweredBy::Unknown,
                confidence: Confidence::Guess,
                reason: Cow::Borrowed(reason),
            },
            subject: Subject::Front,
        }
    }

    /// The program that gave the answer if a proxy did; else the one in front of it.
    pub(super) fn program(&self, story: &Story<'_>) -> Option<Program> {
        if self.answered.by == AnsweredBy::Backend {
            return None;
        }
        let hop = match self.subject {
            Subject::Proxy(server) => {
                let hops = story.handshake.hops.iter();
                hops.rev()
                    .find(|hop| hop.record.connection.server == server)?
            }
            _ => story.outer,
        };
        let program = story.program_at(hop);
        // Of what shows no proxy the texts say for themselves what is nginx's.
        (program != Program::Unknown || hop.role == Role::ClientProxy).then_some(program)
    }

    /// As the subject of a sentence.
    pub(super) fn name(&self, story: &Story<'_>) -> String {
        match self.subject {
            Subject::Server(server) => server.to_string(),
            Subject::Proxy(server) => format!("the proxy {server}"),
            Subject::Front => story.front(),
            Subject::BehindFront => format!("a backend behind {}", story.front()),
        }
    }
}

/// Who produced the answer; `None` without an answer.
pub(super) fn answerer(story: &Story<'_>) -> Option<Answerer> {
    let status = story.status()?;
    if let Some(refused) = by_subrequest(story, status) {
        return Some(refused);
    }
    Some(if story.is_alone() {
        by_itself(story)
    } else {
        by_hops(story, status)
    })
}

/// Who gave an answer that was seen behind the first hop only: what the client got of it is not in the capture.
pub(super) fn answerer_behind(story: &Story<'_>, answer: &ResponseHead) -> Option<Answerer> {
    let carries = |hop: &&Hop| {
        let own = hop.exchange().response.as_ref();
        own.is_some_and(|own| std::ptr::eq(own, answer))
    };
    let hop = story.inner_hops().find(carries)?;
    Some(backend(
        Subject::Server(hop.record.connection.server),
        Confidence::Certain,
        "its own hop carries this answer. What the client got is not in the capture",
    ))
}

fn backend(
    subject: Subject,
    confidence: Confidence,
    reason: impl Into<Cow<'static, str>>,
) -> Answerer {
    Answerer {
        answered: Answered {
            by: AnsweredBy::Backend,
            confidence,
            reason: reason.into(),
        },
        subject,
    }
}

fn proxy(confidence: Confidence, reason: impl Into<Cow<'static, str>>) -> Answerer {
    Answerer {
        answered: Answered {
            by: AnsweredBy::Proxy,
            confidence,
            reason: reason.into(),
        },
        subject: Subject::Front,
    }
}

/// An auth subrequest said the same, or what nginx makes 500 of, and no request to the real backend followed.
fn by_subrequest(story: &Story<'_>, status: u16) -> Option<Answerer> {
    if !matches!(status, 401 | 403 | 500) || story.inner_hops().any(|hop| hop.status().is_some()) {
        return None;
    }
    let mut asked = story.handshake.permissions();
    let (asked, said) = asked.find_map(|hop| {
        let said = hop.status()?;
        let decided = match status {
            500 => !matches!(said, 200..=299 | 401 | 403),
            _ => said == status,
        };
        decided.then_some((hop, said))
    })?;
    let target = asked
        .exchange()
        .request
        .as_ref()
        .map_or_else(String::new, |head| {
            format!(" {}", short_target(head.target()))
        });
    let server = asked.record.connection.server;
    Some(if status == 500 {
        proxy(
            Confidence::Likely,
            format!(
                "its subrequest{target} to {server} got {said}, and auth_request makes 500 of all but 2xx, 401 and 403"
            ),
        )
    } else {
        proxy(
            Confidence::Certain,
            format!(
                "its auth subrequest{target} to {server} answered {status}, which nginx passes on"
            ),
        )
    })
}

/// The hops behind the first are seen.
fn by_hops(story: &Story<'_>, status: u16) -> Answerer {
    // The innermost hop that carries the same status: its server made the answer.
    let carrier = story
        .inner_hops()
        .filter(|hop| !hop.retried)
        .filter(|hop| hop.status() == Some(status))
        .last();
    let unseen = story.inner_hops().any(|hop| {
        let answerless = !hop.retried && hop.status().is_none();
        // An answer to what is in a hole of the requests is not taken for that of the request behind it.
        let unseen = matches!(hop.reply(), Reply::Unseen) || hop.record.lacks(Direction::ToServer);
        answerless && (unseen || !makes_by_itself(hop, status))
    });
    if let Some(hop) = carrier {
        if unseen && !std::ptr::eq(hop, story.inner) {
            return Answerer::unknown("the capture lacks what the backend answered");
        }
        let server = hop.record.connection.server;
        let attempt = story.attempts_behind(hop).last();
        let attempt = attempt.map(|one| one.record.connection.server);
        return if !std::ptr::eq(hop, story.inner) {
            Answerer {
                subject: Subject::Proxy(server),
                ..proxy(
                    Confidence::Certain,
                    "its hop carries this answer, and the one behind it does not",
                )
            }
        } else if let Some(to) = attempt {
            Answerer {
                subject: Subject::Proxy(server),
                ..proxy(
                    Confidence::Likely,
                    format!("the connection of {server} to {to} never carried the request"),
                )
            }
        } else {
            backend(
                Subject::Server(server),
                Confidence::Certain,
                "its own hop carries this answer",
            )
        };
    }
    if unseen {
        Answerer::unknown("the capture lacks what the backend answered")
    } else {
        proxy(Confidence::Certain, "no backend hop carries this answer")
    }
}

/// Whether a proxy answers so by itself while a backend owes it an answer: never 101, and else it gives that connection up,
/// unless it says that it is the gateway that fails. That no server is there (503) is what backends say as well.
fn makes_by_itself(hop: &Hop, status: u16) -> bool {
    let fails = matches!(status, 502 | 504);
    status != 101 && (fails || hop.record.connection.ended.is_some())
}

/// Only the hop that the client is on is seen, or only the backend's.
fn by_itself(story: &Story<'_>) -> Answerer {
    let outer = story.outer;
    let server = Subject::Server(outer.record.connection.server);
    if story.backend_only() {
        return backend(server, Confidence::Certain, "this is the backend's own hop");
    }
    if let Some(attempt) = story.attempts().last() {
        let to = attempt.record.connection.server;
        if let Some(request) = &attempt.record.cgi {
            return if request.status().is_some() && request.status() == story.status() {
                let why = format!("its own hop carries this answer, in {}", request.cgi.name());
                backend(Subject::Server(to), attempt.confidence, why)
            } else if !attempt.record.is_whole() || attempt.record.connection.ended.is_none() {
                Answerer::unknown("the capture lacks what the backend answered")
            } else {
                proxy(
                    attempt.confidence,
                    format!("its connection to {to} carries no such answer"),
                )
            };
        }
        let told = story.answer().map(|answer| answer.span.first.at);
        if told.is_some_and(|told| attempt.is_doubtful(told)) {
            return Answerer::unknown(
                "what came of its connection to a backend may not be in the capture",
            );
        }
        return proxy(
            Confidence::Likely,
            format!("its connection to {to} never carried the request"),
        );
    }
    if story.sight() == BackendSight::NotContacted {
        return proxy(
            Confidence::Likely,
            "the capture shows it with its backends, and none was asked",
        );
    }
    if outer.role == Role::Direct {
        return backend(server, Confidence::Likely, "nothing points to a proxy");
    }
    let Some(answer) = story.answer() else {
        return Answerer::unknown("nothing in the capture tells");
    };
    by_content(story, answer)
        .or_else(|| by_time(story, answer))
        .unwrap_or_else(|| Answerer::unknown("the backend's hop is not in the capture"))
}

/// What only a proxy, or only an application, would write.
fn by_content(story: &Story<'_>, answer: &ResponseHead) -> Option<Answerer> {
    let outer = story.outer;
    if outer.has_nginx_page() {
        return Some(proxy(Confidence::Likely, "the body is nginx's own page"));
    }
    let server = answer.fields.first("server").unwrap_or_default();
    if let Some(reason) = own_of_balancer(answer, &server, story.body()) {
        return Some(proxy(Confidence::Likely, reason));
    }
    let behind = |name: &str| answer.fields.count(name) > 0;
    let sign = APPLICATION_FIELDS.iter().find(|name| behind(name));
    let nginx = is_nginx_name(&server);
    let subject = if nginx || outer.role == Role::ClientProxy {
        Subject::BehindFront
    } else {
        Subject::Front
    };
    if let Some(field) = sign {
        return Some(backend(
            subject,
            Confidence::Likely,
            format!("it has {field}, which an application writes"),
        ));
    }
    if !server.is_empty() && APPLICATION_SERVERS.iter().any(|app| starts(&server, app)) {
        return Some(backend(
            subject,
            Confidence::Likely,
            format!("Server names {}", short(&server)),
        ));
    }
    let kind = answer.fields.first("content-type").unwrap_or_default();
    (nginx && answer.status >= 400 && starts(&kind, "application/json")).then(|| {
        backend(
            subject,
            Confidence::Guess,
            "its body is JSON, as an application writes it",
        )
    })
}

/// Whether an answer looks like an application's, although no connection to one was seen: its upstream may be one that no
/// capture shows, as a unix socket is, while those of other locations are seen.
pub(super) fn is_of_application(story: &Story<'_>, answer: &ResponseHead) -> bool {
    let signed = by_content(story, answer).is_some_and(|by| by.answered.by == AnsweredBy::Backend);
    // nginx writes a page of its own below what it refuses; a text of another kind may come from its configuration too.
    let foreign_text = answer.status >= 400
        && story.outer.answered_by_nginx(None)
        && !story.body().is_empty()
        && !story.outer.has_nginx_page()
        && !story.outer.record.lacks(Direction::ToClient);
    signed || foreign_text
}

/// Fields that applications write and proxies do not. nginx copies them.
const APPLICATION_FIELDS: &[&str] = &[
    "sec-websocket-version",
    "sec-websocket-accept",
    "x-powered-by",
    "x-aspnet-version",
    "x-runtime",
    "x-envoy-upstream-service-time",
];

/// How the Server field of application servers begins. nginx would put its own name there.
const APPLICATION_SERVERS: &[&str] = &[
    "python",
    "tornado",
    "werkzeug",
    "uvicorn",
    "gunicorn",
    "hypercorn",
    "daphne",
    "kestrel",
    "cowboy",
    "jetty",
    "puma",
    "undertow",
    "wildfly",
    "apache-coyote",
    "simplehttp",
    "node",
];

/// What a balancer or CDN writes only into answers of its own: others leave Server as the backend had it.
pub(super) fn own_of_balancer(answer: &ResponseHead, server: &str, body: &[u8]) -> Option<String> {
    const OWN_SERVERS: &[&str] = &[
        "awselb",
        "cloudfront",
        "akamaighost",
        "varnish",
        "microsoft-azure-application-gateway",
        "bigip",
    ];
    if OWN_SERVERS.iter().any(|name| starts(server, name)) {
        return Some(format!(
            "Server: {} is what that device writes into its own answers",
            short(server)
        ));
    }
    let envoy = starts(server, "envoy") || starts(server, "istio-envoy");
    if envoy && answer.fields.count("x-envoy-upstream-service-time") == 0 {
        return Some("Envoy names no time that its backend took".to_owned());
    }
    if let Some(product) = page_of(body)
        && server.is_empty()
    {
        return Some(format!("the body is a page of {} itself", product.name()));
    }
    contains(body, "<span>cloudflare</span>")
        .then(|| "the body is Cloudflare's own page".to_owned())
}

fn starts(text: &str, name: &str) -> bool {
    text.get(..name.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(name))
}

/// nginx answered sooner than it could have asked a backend over TCP: connect, request, answer.
fn by_time(story: &Story<'_>, answer: &ResponseHead) -> Option<Answerer> {
    const TOO_FAST_NANOS: i64 = 250_000;
    let request = story.outer.exchange().request.as_ref()?;
    let took = answer.span.first.at.nanos_since(request.span.last.at);
    let too_fast =
        answer.status != 101 && story.outer.answered_by_nginx(None) && took < TOO_FAST_NANOS;
    too_fast.then(|| {
        proxy(
            Confidence::Guess,
            "it came sooner than a backend could have been asked",
        )
    })
}
