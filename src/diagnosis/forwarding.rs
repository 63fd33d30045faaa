//! What a proxy forwarded of the request: the commonest fault of all.
//!
//! Only two complete request heads are compared: what may sit in a hole is never called missing. Of a chain of
//! proxies, the one whose outgoing request lost the field is at fault; hops behind it just carry on.

mod lone;
mod rewriting;

use super::draft::Draft;
use super::program::Program;
use super::story::{Link, Outcome, Story};
use super::text::{contains, duration, field, short};
use super::view::{HopView, RequestView};
use super::{Code, Severity};
use crate::decode::Endpoint;
use crate::hop::{Confidence, Hop, PairedBy};
use crate::http::RequestHead;
use crate::websocket::Extensions;

pub(super) use lone::forced_upgrade;
use lone::{before_first_hop, lone_backend_request};
pub(super) use rewriting::origin_is_host;
use rewriting::{origin, target};

pub(super) fn rules(story: &Story<'_>, out: &mut Vec<Draft>) {
    if story.is_up() {
        lone::closed_at_once(story, out);
        return;
    }
    if story.backend_only() {
        lone_backend_request(story, story.outer, out);
        return;
    }
    before_first_hop(story, out);
    for link in story.links().filter(|link| !link.child.retried) {
        lone::made_ordinary(story, link, out);
        lone::made_an_attempt(story, link, out);
        if let Some(passed) = Forwarded::of(story, link) {
            upgrade_fields(passed, out);
            websocket_fields(passed, out);
            origin(passed, out);
            target(passed, out);
        } else if link.parent.exchange().partial_request.is_some() {
            // What the client sent is not whole in the capture, but the backend's request may tell by itself.
            let first = out.len();
            lone_backend_request(story, link.child, out);
            for draft in out.iter_mut().skip(first) {
                draft.at_most(Confidence::Likely.min(link.confidence()));
            }
        }
        returned_fields(story, link, out);
    }
}

/// `, which answered 426` or nothing: the second half of a headline.
fn which_answered(hop: &Hop) -> String {
    let Some(status) = hop.status() else {
        return String::new();
    };
    match lone::served_for(hop).filter(|_| status == 101) {
        Some(nanos) => format!(", which answered 101 and closed {} later", duration(nanos)),
        None => format!(", which answered {status}"),
    }
}

/// A request as a proxy got it, and as it sent it on: both heads are whole.
#[derive(Clone, Copy)]
struct Forwarded<'s, 'a> {
    story: &'s Story<'a>,
    link: Link<'a>,
    before: &'a RequestHead,
    after: &'a RequestHead,
}

impl<'s, 'a> Forwarded<'s, 'a> {
    fn of(story: &'s Story<'a>, link: Link<'a>) -> Option<Self> {
        let (before, after) = link.requests()?;
        Some(Self {
            story,
            link,
            before,
            after,
        })
    }

    /// The proxy, as the subject of a sentence.
    fn proxy(&self) -> String {
        self.story.proxy_of(self.link.child)
    }

    /// Whom it was sent on to.
    fn backend(&self) -> Endpoint {
        self.link.child.record.connection.server
    }

    /// What all drafts about it have in common: both requests and the backend's answer as evidence.
    fn about(&self, code: Code) -> Draft {
        Draft::new(code)
            .sure(link_confidence(self.link))
            .upstream(self.backend())
            .on(&self.link.parent.record)
            .on(&self.link.child.record)
            .saw_request(self.before)
            .saw_request(self.after)
            .may_saw_answer(self.link.child.exchange().response.as_ref())
    }
}

/// A lost field is as certain as the pairing, and a pairing by a key that both requests carry leaves no doubt here.
fn link_confidence(link: Link<'_>) -> Confidence {
    match link.child.paired_by {
        Some((PairedBy::Key | PairedBy::Bytes, Confidence::Likely | Confidence::Certain)) => {
            Confidence::Certain
        }
        _ => link.confidence(),
    }
}

fn upgrade_fields(passed: Forwarded<'_, '_>, out: &mut Vec<Draft>) {
    let Forwarded {
        story,
        link,
        before,
        after,
    } = passed;
    let lost_upgrade = before.asks_websocket() && after.fields.count("upgrade") == 0;
    let altered = before.asks_websocket() && !lost_upgrade && !after.asks_websocket();
    // Where Upgrade did not come in there is nothing to announce: the usual map rightly sends `close` then.
    let lost_connection =
        before.fields.count("upgrade") > 0 && before.names_upgrade() && !after.names_upgrade();
    let added = before.fields.count("upgrade") == 0 && after.asks_websocket();
    let older = after.minor_version == 0 && before.minor_version > 0 && after.asks_websocket();
    if !(lost_upgrade || altered || lost_connection || added || older) {
        return;
    }
    let proxy = passed.proxy();
    let backend = passed.backend();
    let answered = which_answered(link.child);
    let lost = match (lost_upgrade, lost_connection) {
        (true, true) => "Upgrade and Connection",
        (true, false) => "Upgrade",
        (false, _) => "Connection",
    };
    let headline = format!("{proxy} did not forward {lost} to {backend}{answered}");
    if lost_upgrade {
        out.push(
            passed
                .about(Code::UpgradeNotForwarded)
                .title(format!("{proxy} did not forward Upgrade to {backend}"))
                .headline(headline.clone())
                .detail(format!(
                    "The request came in with `{}` and went out to {backend} without Upgrade ({}).{}",
                    field(before.fields.combined("upgrade").as_deref(), "Upgrade"),
                    generation(after, story.program_of(link.child)),
                    answered_like_any(link),
                )),
        );
    }
    if altered {
        let sent = after.fields.combined("upgrade").unwrap_or_default();
        out.push(
            passed
                .about(Code::UpgradeAltered)
                .title(format!(
                    "{proxy} sent `Upgrade: {}` to {backend} instead of websocket",
                    short(&sent)
                ))
                .headline(format!(
                    "{proxy} sent `Upgrade: {}` instead of websocket to {backend}{answered}",
                    short(&sent)
                )),
        );
    }
    if added {
        out.push(
            passed
                .about(Code::UpgradeAdded)
                .title(format!(
                    "{proxy} added `Upgrade: websocket` to a request that had none"
                ))
                .headline(format!(
                    "{proxy} added Upgrade to a request to {backend} that had none{answered}"
                ))
                .detail(if after.fields.count("sec-websocket-key") > 0 {
                    "The client's request has WebSocket fields and no Upgrade: something in front of the proxy, or the client, left it out. The backend got one that asks for websocket; nginx tunnels only what asked for an upgrade when it came."
                } else {
                    "The client sent an ordinary request and the backend got one that asks for websocket, without the Sec-WebSocket fields that it would need."
                }),
        );
    }
    if lost_connection {
        out.push(
            passed
                .about(Code::ConnectionNotForwarded)
                .title(format!(
                    "{proxy} did not forward `Connection: upgrade` to {backend}"
                ))
                .headline(headline)
                .detail(format!(
                    "The request came in with `{}` and went out with `{}`, so the backend must not act on Upgrade.",
                    field(before.fields.combined("connection").as_deref(), "Connection"),
                    field(after.fields.combined("connection").as_deref(), "Connection"),
                )),
        );
    }
    if older {
        // Lenient backends answer it with 101 all the same: without an answer nothing has failed yet.
        let waiting =
            story.outcome == Outcome::Unknown && matches!(link.child.status(), None | Some(101));
        out.push(
            passed
                .about(Code::Http10ToBackend)
                .bad(if waiting {
                    Severity::Warning
                } else {
                    Severity::Error
                })
                .title(format!("{proxy} spoke HTTP/1.0 to {backend}"))
                .headline(format!("{proxy} spoke HTTP/1.0 to {backend}{answered}")),
        );
    }
}

/// Which generation of nginx defaults a request to a backend shows.
fn generation(after: &RequestHead, by: Program) -> &'static str {
    let connection = after.fields.combined("connection");
    match (after.minor_version, connection.as_deref()) {
        (0, _) if matches!(by, Program::Other(_)) => "HTTP/1.0",
        (_, None) if matches!(by, Program::Other(_)) => "HTTP/1.1 without Connection",
        (0, Some("close")) => "HTTP/1.0 and `Connection: close` are nginx's defaults before 1.29.7",
        (0, _) => "HTTP/1.0 is nginx's default before 1.29.7",
        (_, None) => "HTTP/1.1 without Connection is nginx's default since 1.29.7",
        (_, Some(_)) => "HTTP/1.1, with a Connection field of its own",
    }
}

fn answered_like_any(link: Link<'_>) -> &'static str {
    match link.child.exchange().response.as_ref().map(|r| r.status) {
        Some(101) | None => "",
        Some(_) => " The backend saw an ordinary GET and answered it as one.",
    }
}

/// Fields that nginx copies by itself: gone or changed, somebody saw to it.
fn websocket_fields(passed: Forwarded<'_, '_>, out: &mut Vec<Draft>) {
    const COPIED: &[(&str, Code)] = &[
        ("Sec-WebSocket-Key", Code::KeyNotForwarded),
        ("Sec-WebSocket-Version", Code::VersionNotForwarded),
        ("Sec-WebSocket-Protocol", Code::SubprotocolNotForwarded),
    ];
    let (before, after) = (passed.before, passed.after);
    for &(name, code) in COPIED {
        out.extend(dropped(passed, name, code));
    }
    out.extend(extensions(passed));
    let keys = (
        before.fields.first("sec-websocket-key"),
        after.fields.first("sec-websocket-key"),
    );
    if let (Some(was), Some(is)) = keys
        && was != is
    {
        let proxy = passed.proxy();
        let backend = passed.backend();
        // A proxy may make a handshake of its own; what fails is a 101 that belongs to the other key.
        let refused = passed.story.status().is_some_and(|status| status != 101);
        out.push(
            passed
                .about(Code::KeyRewritten)
                .bad(if refused {
                    Severity::Info
                } else {
                    Severity::Error
                })
                .sure(passed.link.confidence())
                .title(format!(
                    "{proxy} sent another Sec-WebSocket-Key to {backend} than the client sent"
                ))
                .detail(format!(
                    "The client's key is {}, the one sent on is {}; the backend's Accept belongs to the latter.",
                    short(&was),
                    short(&is)
                )),
        );
    }
}

/// Without extensions a session works as well, only uncompressed: an observation, unless a refusal names what was taken away.
fn extensions(passed: Forwarded<'_, '_>) -> Option<Draft> {
    /// A shorter name may stand in any page.
    const TELLING_NAME: usize = 8;
    let Forwarded {
        story,
        link,
        before,
        ..
    } = passed;
    let name = "Sec-WebSocket-Extensions";
    let code = Code::ExtensionsNotForwarded;
    let draft = dropped(passed, name, code)?;
    let refusal = link.child.exchange();
    let status = refusal.response.as_ref()?.status;
    if !(400..500).contains(&status) {
        return Some(draft);
    }
    let own = refusal.body.as_deref().unwrap_or_default();
    let names = |what: &str| contains(own, what) || contains(story.body(), what);
    let offered = Extensions::offered(&before.fields);
    let wanted = offered
        .list
        .iter()
        .map(|one| &*one.name)
        .find(|one| one.len() >= TELLING_NAME && names(one))
        .or(names(name).then_some(name));
    Some(match wanted {
        Some(wanted) => draft
            .bad(Severity::Error)
            .sure(link.confidence().min(Confidence::Likely))
            .detail(format!(
                "The request came in with `{name}` and went out without it; the refusal names {wanted}."
            )),
        None => draft,
    })
}

/// A field that came in and did not go out.
fn dropped(passed: Forwarded<'_, '_>, name: &str, code: Code) -> Option<Draft> {
    let Forwarded {
        link,
        before,
        after,
        ..
    } = passed;
    let was = before.fields.combined(name)?;
    if after.fields.count(name) > 0 {
        return None;
    }
    let proxy = passed.proxy();
    let backend = passed.backend();
    Some(
        passed
            .about(code)
            .sure(link.confidence())
            .title(format!("{proxy} did not forward {name} to {backend}"))
            .headline(format!(
                "{proxy} did not forward {name} to {backend}{}",
                which_answered(link.child)
            ))
            .detail(format!(
                "The request came in with `{name}: {}` and went out without it.",
                short(&was)
            )),
    )
}

/// Fields of a 101 that the backend sent and the client did not get.
fn returned_fields(story: &Story<'_>, link: Link<'_>, out: &mut Vec<Draft>) {
    let Some((got, sent)) = link.responses() else {
        return;
    };
    if got.status != 101 || sent.status != 101 {
        return;
    }
    for (name, spelled, code) in [
        (
            "sec-websocket-accept",
            "Sec-WebSocket-Accept",
            Code::AcceptNotReturned,
        ),
        ("upgrade", "Upgrade", Code::UpgradeNotReturned),
    ] {
        if sent.fields.count(name) > 0 && got.fields.count(name) == 0 {
            let proxy = story.proxy_of(link.child);
            out.push(
                Draft::new(code)
                    .sure(link.confidence())
                    .on(&link.parent.record)
                    .on(&link.child.record)
                    .title(format!("{proxy} removed {spelled} from the backend's 101"))
                    .headline(format!(
                        "{proxy} removed {spelled} from the 101 of {}, so the client refused it",
                        link.child.record.connection.server
                    ))
                    .saw(sent.span.first, format!("101 with {spelled}"))
                    .saw(got.span.first, format!("101 without {spelled}")),
            );
        }
    }
}
