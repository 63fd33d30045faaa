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
        if let Some((before, after)) = link.requests() {
            upgrade_fields(story, link, before, after, out);
            websocket_fields(story, link, before, after, out);
            origin(story, link, before, after, out);
            target(story, link, before, after, out);
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

/// What all drafts about a link have in common: both requests and the backend's answer as evidence.
fn about(code: Code, link: Link<'_>, before: &RequestHead, after: &RequestHead) -> Draft {
    let answer = link.child.exchange().response.as_ref();
    Draft::new(code)
        .sure(link_confidence(link))
        .upstream(link.child.record.connection.server)
        .on(&link.parent.record)
        .on(&link.child.record)
        .saw_request(before)
        .saw_request(after)
        .may_saw_answer(answer)
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

fn upgrade_fields(
    story: &Story<'_>,
    link: Link<'_>,
    before: &RequestHead,
    after: &RequestHead,
    out: &mut Vec<Draft>,
) {
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
    let proxy = story.proxy_of(link.child);
    let backend = link.child.record.connection.server;
    let answered = which_answered(link.child);
    let lost = match (lost_upgrade, lost_connection) {
        (true, true) => "Upgrade and Connection",
        (true, false) => "Upgrade",
        (false, _) => "Connection",
    };
    let headline = format!("{proxy} did not forward {lost} to {backend}{answered}");
    if lost_upgrade {
        out.push(
            about(Code::UpgradeNotForwarded, link, before, after)
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
            about(Code::UpgradeAltered, link, before, after)
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
            about(Code::UpgradeAdded, link, before, after)
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
            about(Code::ConnectionNotForwarded, link, before, after)
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
            about(Code::Http10ToBackend, link, before, after)
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
fn websocket_fields(
    story: &Story<'_>,
    link: Link<'_>,
    before: &RequestHead,
    after: &RequestHead,
    out: &mut Vec<Draft>,
) {
    const COPIED: &[(&str, Code)] = &[
        ("Sec-WebSocket-Key", Code::KeyNotForwarded),
        ("Sec-WebSocket-Version", Code::VersionNotForwarded),
        ("Sec-WebSocket-Protocol", Code::SubprotocolNotForwarded),
    ];
    for &(name, code) in COPIED {
        out.extend(dropped(story, link, (before, after), name, code));
    }
    out.extend(extensions(story, link, before, after));
    let keys = (
        before.fields.first("sec-websocket-key"),
        after.fields.first("sec-websocket-key"),
    );
    if let (Some(was), Some(is)) = keys
        && was != is
    {
        let proxy = story.proxy_of(link.child);
        let backend = link.child.record.connection.server;
        // A proxy may make a handshake of its own; what fails is a 101 that belongs to the other key.
        let refused = story.status().is_some_and(|status| status != 101);
        out.push(
            about(Code::KeyRewritten, link, before, after)
                .bad(if refused {
                    Severity::Info
                } else {
                    Severity::Error
                })
                .sure(link.confidence())
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
fn extensions(
    story: &Story<'_>,
    link: Link<'_>,
    before: &RequestHead,
    after: &RequestHead,
) -> Option<Draft> {
    /// A shorter name may stand in any page.
    const TELLING_NAME: usize = 8;
    let name = "Sec-WebSocket-Extensions";
    let code = Code::ExtensionsNotForwarded;
    let draft = dropped(story, link, (before, after), name, code)?;
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
fn dropped(
    story: &Story<'_>,
    link: Link<'_>,
    (before, after): (&RequestHead, &RequestHead),
    name: &str,
    code: Code,
) -> Option<Draft> {
    let was = before.fields.combined(name)?;
    if after.fields.count(name) > 0 {
        return None;
    }
    let proxy = story.proxy_of(link.child);
    let backend = link.child.record.connection.server;
    Some(
        about(code, link, before, after)
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
