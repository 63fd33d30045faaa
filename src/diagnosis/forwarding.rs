//! What a proxy forwarded of the request: the commonest fault of all.
//!
//! Only two complete request heads are compared: what may sit in a hole is never called missing. Of a chain of
//! proxies, the one whose outgoing request lost the field is at fault; hops behind it just carry on.

use super::Code;
use super::draft::Draft;
use super::story::{HopView, Link, Story};
use super::text::{contains, duration, field, list, path, short, shows_request, shows_response};
use crate::hop::{Confidence, Hop, PairedBy, Record};
use crate::http::RequestHead;
use crate::websocket::{Key, SessionFacts};

/// How soon after its 101 a lenient backend closes when it cannot work over HTTP/1.0 after all (tornado: at once).
const AT_ONCE_NANOS: i64 = 1_000_000_000;

pub(super) fn rules(story: &Story<'_>, out: &mut Vec<Draft>) {
    if story.is_up() {
        http10_session_closed(story, out);
        return;
    }
    if story.backend_only() {
        lone_backend_request(story, out);
        return;
    }
    before_first_hop(story, out);
    for link in story.links().filter(|link| !link.child.retried) {
        if let Some((before, after)) = link.requests() {
            upgrade_fields(story, link, before, after, out);
            websocket_fields(story, link, before, after, out);
            origin(story, link, before, after, out);
            target(story, link, before, after, out);
        }
        returned_fields(story, link, out);
    }
}

/// `, which answered 426` or nothing: the second half of a headline.
fn which_answered(hop: &Hop) -> String {
    hop.exchange()
        .response
        .as_ref()
        .map_or(String::new(), |head| {
            format!(", which answered {}", head.status)
        })
}

fn asks_websocket(head: &RequestHead) -> bool {
    head.fields.has_token("upgrade", "websocket")
}

fn names_upgrade(head: &RequestHead) -> bool {
    head.fields.has_token("connection", "upgrade")
}

/// What all drafts about a link have in common: both requests and the backend's answer as evidence.
fn about(code: Code, link: Link<'_>, before: &RequestHead, after: &RequestHead) -> Draft {
    let answer = link.child.exchange().response.as_ref();
    Draft::new(code)
        .sure(link_confidence(link))
        .on(&link.parent.record)
        .on(&link.child.record)
        .saw(before.span.first, shows_request(before))
        .saw(after.span.first, shows_request(after))
        .may_saw(
            answer.map(|head| head.span.first),
            answer.map(shows_response).unwrap_or_default(),
        )
}

/// A lost field is as certain as the pairing, and a pairing by a key that both requests carry leaves no doubt here.
fn link_confidence(link: Link<'_>) -> Confidence {
    match link.child.paired_by {
        Some((PairedBy::Key | PairedBy::Bytes, _)) => Confidence::Certain,
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
    let proxy = story.proxy_of(link.child);
    let backend = link.child.record.connection.server;
    let answered = which_answered(link.child);
    let lost_upgrade = asks_websocket(before) && after.fields.count("upgrade") == 0;
    let altered = asks_websocket(before) && !lost_upgrade && !asks_websocket(after);
    let lost_connection = names_upgrade(before) && !names_upgrade(after);
    let mut both = Vec::new();
    if lost_upgrade {
        both.push("Upgrade".to_owned());
    }
    if lost_connection {
        both.push("Connection".to_owned());
    }
    let headline = format!(
        "{proxy} did not forward {} to {backend}{answered}",
        list(&both)
    );
    if lost_upgrade {
        out.push(
            about(Code::UpgradeNotForwarded, link, before, after)
                .title(format!("{proxy} did not forward Upgrade to {backend}"))
                .headline(headline.clone())
                .detail(format!(
                    "The request came in with `{}` and went out to {backend} without Upgrade ({}).{}",
                    field(before.fields.combined("upgrade").as_deref(), "Upgrade"),
                    generation(after),
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
    if before.fields.count("upgrade") == 0 && asks_websocket(after) {
        out.push(
            about(Code::UpgradeAdded, link, before, after)
                .title(format!(
                    "{proxy} added `Upgrade: websocket` to a request that had none"
                ))
                .headline(format!(
                    "{proxy} added Upgrade to a request to {backend} that had none{answered}"
                )),
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
    if after.minor_version == 0 && before.minor_version > 0 && asks_websocket(after) {
        out.push(
            about(Code::Http10ToBackend, link, before, after)
                .title(format!("{proxy} spoke HTTP/1.0 to {backend}"))
                .headline(format!("{proxy} spoke HTTP/1.0 to {backend}{answered}")),
        );
    }
}

/// Which generation of nginx defaults a request to a backend shows.
fn generation(after: &RequestHead) -> &'static str {
    let connection = after.fields.combined("connection");
    match (after.minor_version, connection.as_deref()) {
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
    const COPIED: &[(&str, &str, Code)] = &[
        (
            "sec-websocket-key",
            "Sec-WebSocket-Key",
            Code::KeyNotForwarded,
        ),
        (
            "sec-websocket-version",
            "Sec-WebSocket-Version",
            Code::VersionNotForwarded,
        ),
        (
            "sec-websocket-protocol",
            "Sec-WebSocket-Protocol",
            Code::SubprotocolNotForwarded,
        ),
        (
            "sec-websocket-extensions",
            "Sec-WebSocket-Extensions",
            Code::ExtensionsNotForwarded,
        ),
    ];
    let proxy = story.proxy_of(link.child);
    let backend = link.child.record.connection.server;
    for &(name, spelled, code) in COPIED {
        let (Some(was), None) = (before.fields.combined(name), after.fields.combined(name)) else {
            continue;
        };
        out.push(
            about(code, link, before, after)
                .sure(link.confidence())
                .title(format!("{proxy} did not forward {spelled} to {backend}"))
                .headline(format!(
                    "{proxy} did not forward {spelled} to {backend}{}",
                    which_answered(link.child)
                ))
                .detail(format!(
                    "The request came in with `{spelled}: {}` and went out without it.",
                    short(&was)
                )),
        );
    }
    let keys = (
        before.fields.first("sec-websocket-key"),
        after.fields.first("sec-websocket-key"),
    );
    if let (Some(was), Some(is)) = keys
        && was != is
    {
        out.push(
            about(Code::KeyRewritten, link, before, after)
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

/// Whether `origin` names the site `host`: the comparison that backends make.
fn origin_is_host(origin: &str, host: &str) -> bool {
    let authority = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    authority.trim_end_matches('/').eq_ignore_ascii_case(host)
}

fn origin(
    story: &Story<'_>,
    link: Link<'_>,
    before: &RequestHead,
    after: &RequestHead,
    out: &mut Vec<Draft>,
) {
    let Some(answer) = &link.child.exchange().response else {
        return;
    };
    let (Some(host), Some(sent)) = (before.fields.first("host"), after.fields.first("host")) else {
        return;
    };
    if host.eq_ignore_ascii_case(&sent) || !matches!(answer.status, 400 | 403 | 404 | 421) {
        return;
    }
    let proxy = story.proxy_of(link.child);
    let backend = link.child.record.connection.server;
    let origin = before.fields.first("origin");
    // A request with a fault of its own is answered 400 for that.
    let complete = asks_websocket(after) && names_upgrade(after) && after.minor_version > 0;
    let sound = complete
        && after.method.as_ref() == "GET"
        && after.fields.first("sec-websocket-version").as_deref() == Some("13")
        && after
            .fields
            .first("sec-websocket-key")
            .is_some_and(|key| Key::of(key.as_bytes()).is_valid())
        && !contains(story.body(), "Session ID unknown");
    let same_site = origin
        .as_deref()
        .is_some_and(|origin| origin_is_host(origin, &host));
    let guilty = answer.status == 403 || (answer.status == 400 && sound && same_site);
    match origin {
        Some(origin) if guilty && !origin_is_host(&origin, &sent) => {
            out.push(
                about(Code::OriginHostMismatch, link, before, after)
                    .sure(if same_site && answer.status == 403 {
                        Confidence::Likely
                    } else {
                        Confidence::Guess
                    })
                    .title(format!(
                        "{backend} answered {}: {proxy} changed Host to {}, Origin is {}",
                        answer.status,
                        short(&sent),
                        short(&origin)
                    ))
                    .headline(format!(
                        "{backend} answered {} because {proxy} changed Host from {} to {}, which does not match Origin {}",
                        answer.status,
                        short(&host),
                        short(&sent),
                        short(&origin)
                    )),
            );
        }
        _ if complete => out.push(
            about(Code::HostRewritten, link, before, after)
                .title(format!(
                    "{proxy} changed Host from {} to {}",
                    short(&host),
                    short(&sent)
                ))
                .detail(format!(
                    "{backend} answered {}; it may choose its site or check its origin by Host.",
                    answer.status
                )),
        ),
        _ => {}
    }
}

fn target(
    story: &Story<'_>,
    link: Link<'_>,
    before: &RequestHead,
    after: &RequestHead,
    out: &mut Vec<Draft>,
) {
    let (was, is) = (path(&before.target), path(&after.target));
    let status = link.child.exchange().response.as_ref().map(|r| r.status);
    // An upgrade that arrived whole and is not found: the path is what is left to be wrong.
    let whole = asks_websocket(after) && names_upgrade(after);
    if was == is || !whole || !matches!(status, Some(404 | 200 | 405)) {
        return;
    }
    let proxy = story.proxy_of(link.child);
    let backend = link.child.record.connection.server;
    out.push(
        about(Code::PathRewritten, link, before, after)
            .sure(Confidence::Likely.min(link.confidence()))
            .title(format!(
                "{proxy} asked {backend} for {} instead of {}",
                short(is),
                short(was)
            ))
            .headline(format!(
                "{proxy} asked {backend} for {} instead of {}{}",
                short(is),
                short(was),
                which_answered(link.child)
            )),
    );
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

/// A request between a proxy and a backend, with nothing to compare it with. That it has a key and no Upgrade is
/// proof by itself: no client sends one without the other.
fn lone_backend_request(story: &Story<'_>, out: &mut Vec<Draft>) {
    let hop = story.outer;
    let Some(head) = &hop.exchange().request else {
        return;
    };
    let proxy = story.proxy_of(hop);
    let backend = hop.record.connection.server;
    let answered = which_answered(hop);
    let answer = hop.exchange().response.as_ref();
    let alone = |code: Code| {
        Draft::new(code)
            .on(&hop.record)
            .saw(head.span.first, shows_request(head))
            .may_saw(
                answer.map(|head| head.span.first),
                answer.map(shows_response).unwrap_or_default(),
            )
    };
    let has_key = head.fields.count("sec-websocket-key") > 0;
    let has_upgrade = head.fields.count("upgrade") > 0;
    let sure = if hop.has_nginx_signature() || hop.role == crate::hop::Role::ProxyBackend {
        Confidence::Certain
    } else {
        Confidence::Likely
    };
    if has_key && !has_upgrade {
        let lost = if names_upgrade(head) {
            "Upgrade"
        } else {
            "Upgrade and Connection"
        };
        let headline = format!("{proxy} did not forward {lost} to {backend}{answered}");
        let detail = format!(
            "The request has a Sec-WebSocket-Key and no Upgrade: a client sends both, so a proxy dropped the one ({}).",
            generation(head)
        );
        out.push(
            alone(Code::UpgradeNotForwarded)
                .sure(sure)
                .title(format!("{proxy} did not forward Upgrade to {backend}"))
                .headline(headline)
                .detail(detail),
        );
    }
    if has_key && has_upgrade && !asks_websocket(head) {
        let sent = head.fields.combined("upgrade").unwrap_or_default();
        out.push(
            alone(Code::UpgradeAltered)
                .sure(Confidence::Likely)
                .title(format!(
                    "{proxy} sent `Upgrade: {}` to {backend} instead of websocket",
                    short(&sent)
                )),
        );
    }
    if !has_key && asks_websocket(head) && head.fields.count("sec-websocket-version") == 0 {
        out.push(
            alone(Code::UpgradeAdded)
                .sure(Confidence::Likely)
                .title(format!(
                    "{proxy} sent `Upgrade: websocket` with a request that has no other WebSocket field"
                )),
        );
        return;
    }
    if !names_upgrade(head) && (has_key || has_upgrade) {
        out.push(
            alone(Code::ConnectionNotForwarded)
                .sure(if has_upgrade {
                    Confidence::Likely
                } else {
                    sure
                })
                .title(format!(
                    "{proxy} did not forward `Connection: upgrade` to {backend}"
                ))
                .headline(format!(
                    "{proxy} did not forward Connection to {backend}{answered}"
                )),
        );
    }
    if head.minor_version == 0 && asks_websocket(head) {
        out.push(
            alone(Code::Http10ToBackend)
                .title(format!("{proxy} spoke HTTP/1.0 to {backend}"))
                .headline(format!("{proxy} spoke HTTP/1.0 to {backend}{answered}")),
        );
    }
}

/// The first request seen has lost its upgrade fields already.
fn before_first_hop(story: &Story<'_>, out: &mut Vec<Draft>) {
    let hop = story.outer;
    let Some(head) = &hop.exchange().request else {
        return;
    };
    let has_fields = head.fields.count("sec-websocket-key") > 0
        || head.fields.count("sec-websocket-version") > 0;
    let connection = &hop.record.connection;
    let answer = hop.exchange().response.as_ref();
    let alone = |code: Code| {
        Draft::new(code)
            .on(&hop.record)
            .saw(head.span.first, shows_request(head))
            .may_saw(
                answer.map(|head| head.span.first),
                answer.map(shows_response).unwrap_or_default(),
            )
    };
    let missing_upgrade = has_fields && !asks_websocket(head);
    if missing_upgrade {
        let repaired = story.links().any(|link| {
            link.requests()
                .is_some_and(|(_, after)| asks_websocket(after))
        });
        if !repaired {
            out.push(
                alone(Code::UpgradeMissing)
                    .title(format!(
                        "The request from {} reached {} without `Upgrade: websocket`",
                        connection.client, connection.server
                    ))
                    .headline(format!(
                        "Upgrade was lost before {}: the request from {} came without it{}",
                        story.front(),
                        connection.client.ip(),
                        answer.map_or(String::new(), |head| format!(
                            " and was answered {}",
                            head.status
                        ))
                    )),
            );
        }
    }
    if (missing_upgrade || asks_websocket(head)) && !names_upgrade(head) {
        // The usual map of nginx writes Connection anew: then its absence here had no effect.
        let repaired = story.links().any(|link| {
            link.requests()
                .is_some_and(|(_, after)| names_upgrade(after))
        });
        if !repaired {
            out.push(alone(Code::ConnectionMissing).title(format!(
                "The request from {} reached {} without `Connection: Upgrade`",
                connection.client, connection.server
            )));
        }
    }
}

/// A backend that answered 101 to HTTP/1.0 and closed at once.
fn http10_session_closed(story: &Story<'_>, out: &mut Vec<Draft>) {
    let hop = story.inner;
    let exchange = hop.exchange();
    let (Some(head), Some(answer), Some(end)) = (
        &exchange.request,
        &exchange.response,
        hop.record.connection.ended,
    ) else {
        return;
    };
    let behind_proxy = hop.parent.is_some() || story.backend_only();
    let silent = hop
        .session()
        .is_none_or(|SessionFacts { to_client, .. }| to_client.messages == 0);
    let gap = end.frame.at.nanos_since(answer.span.last.at);
    if head.minor_version == 0
        && behind_proxy
        && end.by == crate::tcp::Side::Server
        && silent
        && gap <= AT_ONCE_NANOS
    {
        let proxy = story.proxy_of(hop);
        let backend = hop.record.connection.server;
        out.push(
            Draft::new(Code::Http10ToBackend)
                .sure(Confidence::Likely)
                .on(&hop.record)
                .title(format!("{proxy} spoke HTTP/1.0 to {backend}"))
                .headline(format!(
                    "{proxy} spoke HTTP/1.0 to {backend}, which answered 101 and closed {} later",
                    duration(gap)
                ))
                .saw(head.span.first, shows_request(head))
                .saw(answer.span.first, shows_response(answer))
                .saw(end.frame, "the backend closes"),
        );
    }
}

/// Ordinary requests with `Connection: upgrade` and no Upgrade that the backend refused: of connections in no handshake.
pub(super) fn forced_upgrade(record: &Record) -> Option<Draft> {
    let mut refused = record.ordinary.iter().filter(|exchange| {
        let names_upgrade = exchange.connection.as_deref().is_some_and(|value| {
            value
                .split(',')
                .any(|option| option.trim().eq_ignore_ascii_case("upgrade"))
        });
        names_upgrade
            && exchange.upgrade.is_none()
            && matches!(exchange.response, Some((_, 400 | 426 | 501)))
    });
    let first = refused.next()?;
    let (frame, status) = first.response?;
    let more = refused.count();
    let connection = &record.connection;
    Some(
        Draft::new(Code::ConnectionUpgradeForced)
            .sure(Confidence::Likely)
            .on(record)
            .title(format!(
                "{} sent `Connection: upgrade` with an ordinary {} to {}, which answered {status}",
                connection.client.ip(),
                short(&first.method),
                connection.server
            ))
            .detail(format!(
                "The request upgrades nothing: it has no Upgrade field.{}",
                if more > 0 {
                    format!(" {more} more on this connection went the same way.")
                } else {
                    String::new()
                }
            ))
            .saw(
                first.request,
                format!(
                    "{} {}, Connection: upgrade, no Upgrade",
                    short(&first.method),
                    super::text::short_target(&first.target)
                ),
            )
            .saw(frame, format!("status {status}")),
    )
}
