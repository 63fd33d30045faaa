//! What one request tells without another to compare it with.

use super::{Forwarded, generation, upgrade_fields, which_answered};
use crate::diagnosis::draft::Draft;
use crate::diagnosis::story::{Link, Story};
use crate::diagnosis::text::{field, path, short, short_target};
use crate::diagnosis::view::{HopView, RequestView};
use crate::diagnosis::{Code, Severity};
use crate::hop::{Confidence, Hop, Record, tells_original};
use crate::http::RequestHead;
use crate::tcp::Side;

/// How soon after its 101 a lenient backend closes when it does not work after all (tornado over HTTP/1.0, prosody behind
/// `Connection: close`: at once).
const AT_ONCE_NANOS: i64 = 1_000_000_000;

/// Whether a request has the Connection field of nginx's defaults: `close` in HTTP/1.0, none since 1.29.7.
fn drops_by_default(head: &RequestHead) -> bool {
    match head.fields.combined("connection").as_deref() {
        Some("close") => head.minor_version == 0,
        Some(_) => false,
        None => head.minor_version == 1,
    }
}

/// A draft about a request and its answer.
fn about(hop: &Hop, head: &RequestHead, code: Code) -> Draft {
    let answer = hop.exchange().response.as_ref();
    Draft::new(code)
        .on(&hop.record)
        .saw_request(head)
        .may_saw_answer(answer)
}

/// A request between a proxy and a backend, with nothing to compare it with. That it has a key and no Upgrade is
/// proof by itself where the proxy drops it by default: no WebSocket client sends one without the other.
pub(super) fn lone_backend_request(story: &Story<'_>, hop: &Hop, out: &mut Vec<Draft>) {
    let Some(head) = &hop.exchange().request else {
        return;
    };
    let proxy = story.proxy_of(hop);
    let backend = hop.record.connection.server;
    let answered = which_answered(hop);
    let alone = |code: Code| about(hop, head, code).upstream(backend);
    let has_key = head.fields.count("sec-websocket-key") > 0;
    let has_upgrade = head.fields.count("upgrade") > 0;
    // A request of auth_request has the key and no Upgrade, too, and is answered by one of these.
    let permission = matches!(hop.status(), Some(204 | 401 | 403));
    let sure = if proves_a_loss(hop, head) && !permission {
        Confidence::Certain
    } else {
        Confidence::Likely
    };
    // A WebSocket server says 426 by itself.
    if has_key && !has_upgrade && hop.status() != Some(426) && asks_permission(head) {
        out.push(as_auth_request_asks(&proxy, hop, head));
        return;
    }
    if has_key && !has_upgrade {
        let lost = if head.names_upgrade() {
            "Upgrade"
        } else {
            "Upgrade and Connection"
        };
        let headline = format!("{proxy} did not forward {lost} to {backend}{answered}");
        let detail = format!(
            "The request has a Sec-WebSocket-Key and no Upgrade: a client sends both, so a proxy dropped the one ({}).{}",
            generation(head, story.program_of(hop)),
            if permission {
                " A question of auth_request to an auth service looks the same: if this is one, look at the request that follows it."
            } else {
                ""
            }
        );
        out.push(
            alone(Code::UpgradeNotForwarded)
                .sure(sure)
                .title(format!("{proxy} did not forward Upgrade to {backend}"))
                .headline(headline)
                .detail(detail),
        );
    }
    if has_key && has_upgrade && !head.asks_websocket() {
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
    if !has_key && head.asks_websocket() {
        out.push(without_key(story, hop, head, alone));
        if head.fields.count("sec-websocket-version") == 0 {
            return;
        }
    }
    if !head.names_upgrade() && (has_key || has_upgrade) {
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
    if head.minor_version == 0 && head.asks_websocket() {
        out.push(
            alone(Code::Http10ToBackend)
                .title(format!("{proxy} spoke HTTP/1.0 to {backend}"))
                .headline(format!("{proxy} spoke HTTP/1.0 to {backend}{answered}")),
        );
    }
}

/// Whether a request without Upgrade is proof by itself that a proxy dropped it: by its defaults nginx drops both fields,
/// whatever came. A proxy that was told what to write into Connection may have been told to forward them, and got none: the
/// usual map writes `close` then. Without Connection a request may also be that of a client which sends neither.
fn proves_a_loss(hop: &Hop, head: &RequestHead) -> bool {
    drops_by_default(head) && (hop.has_nginx_signature() || hop.has_forwarding_fields())
}

/// The finding about a request that may well be one for permission.
fn as_auth_request_asks(proxy: &str, hop: &Hop, head: &RequestHead) -> Draft {
    let backend = hop.record.connection.server;
    about(hop, head, Code::UpgradeNotForwarded)
        .upstream(backend)
        .bad(Severity::Warning)
        .sure(Confidence::Guess)
        .title(format!(
            "{proxy} asked {backend} without Upgrade, as auth_request asks an auth service"
        ))
        .detail("It has a Sec-WebSocket-Key and no Upgrade. If this is a question of auth_request, nothing is wrong with that: its answer decides whether a request with Upgrade follows. If the path is that of the WebSocket, a proxy dropped Upgrade.")
}

/// Whether a request looks like one of auth_request: it names the request that it is asked about, as the recipes for it do, or
/// its path is one that auth services have (oauth2-proxy `/oauth2/auth`, Authelia `/api/verify` and `/api/authz/auth-request`,
/// Vouch `/validate`).
fn asks_permission(head: &RequestHead) -> bool {
    const PATHS: [&str; 5] = ["auth", "auth-request", "authorize", "validate", "verify"];
    let last = path(head.target()).rsplit('/').next().unwrap_or_default();
    tells_original(&head.fields) || PATHS.contains(&last)
}

/// An upgrade without a key: it was lost somewhere, or the proxy made an upgrade of an ordinary request.
fn without_key(
    story: &Story<'_>,
    hop: &Hop,
    head: &RequestHead,
    alone: impl Fn(Code) -> Draft,
) -> Draft {
    let proxy = story.proxy_of(hop);
    let backend = hop.record.connection.server;
    let draft = if head.fields.count("sec-websocket-version") > 0 {
        let title = format!("{proxy} sent no Sec-WebSocket-Key to {backend}");
        alone(Code::KeyMissing)
            .headline(format!("{title}{}", which_answered(hop)))
            .title(title)
            .detail("Whether the client sent one is not in the capture.")
    } else {
        alone(Code::UpgradeAdded).title(format!(
            "{proxy} sent `Upgrade: websocket` with a request that has no other WebSocket field"
        ))
    };
    draft.sure(Confidence::Likely)
}

/// The first request seen has lost its upgrade fields already.
pub(super) fn before_first_hop(story: &Story<'_>, out: &mut Vec<Draft>) {
    let hop = story.outer;
    let Some(head) = &hop.exchange().request else {
        return;
    };
    let has_fields = head.fields.count("sec-websocket-key") > 0
        || head.fields.count("sec-websocket-version") > 0;
    let connection = &hop.record.connection;
    let answer = hop.exchange().response.as_ref();
    let alone = |code: Code| about(hop, head, code);
    let missing_upgrade = has_fields && !head.asks_websocket();
    // What a proxy wrote anew, as the usual map of nginx does with Connection, had no effect where it was lacking.
    let repaired = |asks: fn(&RequestHead) -> bool| story.forwarded().any(|(_, after)| asks(after));
    if missing_upgrade && !repaired(RequestHead::asks_websocket) {
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
    let missing_connection = (missing_upgrade || head.asks_websocket()) && !head.names_upgrade();
    if missing_connection && !repaired(RequestHead::names_upgrade) {
        out.push(alone(Code::ConnectionMissing).title(format!(
            "The request from {} reached {} without `Connection: Upgrade`",
            connection.client, connection.server
        )));
    }
}

/// The proxy took away all that made the request an attempt, the key included.
pub(super) fn made_ordinary(story: &Story<'_>, link: Link<'_>, out: &mut Vec<Draft>) {
    let (Some(before), Some(after)) = (
        &link.parent.exchange().request,
        &link.child.exchange().ordinary,
    ) else {
        return;
    };
    let proxy = story.proxy_of(link.child);
    let backend = link.child.record.connection.server;
    let answered = which_answered(link.child);
    let shows = format!(
        "{} {} HTTP/1.{}, {}, {}, no Sec-WebSocket field",
        short(&after.method),
        short_target(&after.target),
        after.minor_version,
        field(after.connection.as_deref(), "Connection"),
        field(after.upgrade.as_deref(), "Upgrade"),
    );
    let draft = |code: Code| {
        Draft::new(code)
            .sure(link.confidence())
            .on(&link.parent.record)
            .on(&link.child.record)
            .saw_request(before)
            .saw(after.request, shows.clone())
            .may_saw(
                after.response.map(|(frame, _)| frame),
                after
                    .response
                    .map_or(String::new(), |(_, status)| format!("status {status}")),
            )
    };
    let lost_connection = before.names_upgrade()
        && !after
            .connection
            .as_deref()
            .is_some_and(|value| has_option(value, "upgrade"));
    let lost = match (before.asks_websocket(), lost_connection) {
        (true, true) => "Upgrade, Connection and the key",
        _ => "Upgrade and the key",
    };
    let headline = format!("{proxy} did not forward {lost} to {backend}{answered}");
    if before.asks_websocket() {
        out.push(
            draft(Code::UpgradeNotForwarded)
                .title(format!("{proxy} did not forward Upgrade to {backend}"))
                .headline(headline.clone())
                .detail(
                    "The request went out without Upgrade and without any Sec-WebSocket field.",
                ),
        );
    }
    if lost_connection {
        out.push(
            draft(Code::ConnectionNotForwarded)
                .title(format!(
                    "{proxy} did not forward `Connection: upgrade` to {backend}"
                ))
                .headline(headline),
        );
    }
}

fn has_option(list: &str, option: &str) -> bool {
    list.split(',')
        .any(|item| item.trim().eq_ignore_ascii_case(option))
}

/// The client sent an ordinary request, and the proxy wrote Upgrade into it.
pub(super) fn made_an_attempt(story: &Story<'_>, link: Link<'_>, out: &mut Vec<Draft>) {
    let (Some(before), Some(after)) = (
        &link.parent.exchange().ordinary,
        &link.child.exchange().request,
    ) else {
        return;
    };
    if !after.asks_websocket() || before.upgrade.is_some() {
        return;
    }
    let proxy = story.proxy_of(link.child);
    let backend = link.child.record.connection.server;
    let harmless = story.status().is_some_and(|status| status < 400);
    out.push(
        Draft::new(Code::UpgradeAdded)
            .bad(if harmless {
                Severity::Warning
            } else {
                Severity::Error
            })
            .sure(link.confidence())
            .on(&link.parent.record)
            .on(&link.child.record)
            .title(format!(
                "{proxy} added `Upgrade: websocket` to a request that had none"
            ))
            .headline(format!(
                "{proxy} added Upgrade to an ordinary request to {backend}{}",
                which_answered(link.child)
            ))
            .saw(
                before.request,
                format!(
                    "{} {}, no Upgrade",
                    short(&before.method),
                    short_target(&before.target)
                ),
            )
            .saw_request(after)
            .may_saw(
                before.response.map(|(frame, _)| frame),
                before
                    .response
                    .map_or(String::new(), |(_, status)| format!("status {status}")),
            ),
    );
}

/// How long a backend served a session before it ended it, where that is no time: it answered 101 and was done with it.
pub(super) fn served_for(hop: &Hop) -> Option<i64> {
    let answer = hop.exchange().response.as_ref()?;
    let end = hop.record.connection.ended?;
    let nanos = end.frame.at.nanos_since(answer.span.last.at);
    (end.by == Side::Server && nanos <= AT_ONCE_NANOS).then_some(nanos)
}

/// A backend that answered 101 to a request in which the proxy had lost something, and closed at once: some take
/// `Connection: close` or HTTP/1.0 at their word behind any answer.
pub(super) fn closed_at_once(story: &Story<'_>, out: &mut Vec<Draft>) {
    let hop = story.inner;
    let Some(end) = hop.record.connection.ended else {
        return;
    };
    // What one hop lacks, another may show; and whoever said goodbye was served.
    let mut sessions = story.handshake.hops.iter().filter_map(Hop::session);
    let silent = sessions.all(|facts| facts.to_client.messages == 0 && facts.closes.is_empty())
        && hop.record.is_whole();
    if !silent || served_for(hop).is_none() {
        return;
    }
    let first = out.len();
    let mut links = story.links();
    if story.backend_only() {
        lone_backend_request(story, hop, out);
    } else if let Some(link) = links.find(|link| std::ptr::eq(link.child, hop))
        && let Some(passed) = Forwarded::of(story, link)
    {
        upgrade_fields(passed, out);
    }
    for draft in out.drain(first..).collect::<Vec<_>>() {
        let mut draft = draft.saw(end.frame, "the backend closes");
        draft.at_most(Confidence::Likely);
        out.push(draft);
    }
}

/// Ordinary requests with `Connection: upgrade` and no Upgrade that the backend refused: of connections in no handshake.
pub(in crate::diagnosis) fn forced_upgrade(record: &Record) -> Option<Draft> {
    let mut refused = record.ordinary.iter().filter(|exchange| {
        let names_upgrade = exchange
            .connection
            .as_deref()
            .is_some_and(|value| has_option(value, "upgrade"));
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
                    short_target(&first.target)
                ),
            )
            .saw(frame, format!("status {status}")),
    )
}
