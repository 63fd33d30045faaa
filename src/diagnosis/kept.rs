//! What proxies are seen to set of fields besides the upgrade's own, as configuration: who copies a new location loses what
//! the old one, or the server around it, had set, unless it is repeated there.

use super::story::Story;
use crate::decode::Endpoint;
use crate::http::RequestHead;

const HTTP_HOST: &str = "proxy_set_header Host $http_host;";
const HOST: &str = "proxy_set_header Host $host;";
/// What is usually set, and to what.
const FORWARDED: [(&str, &str); 4] = [
    ("x-real-ip", "proxy_set_header X-Real-IP $remote_addr;"),
    (
        "x-forwarded-for",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
    ),
    (
        "x-forwarded-proto",
        "proxy_set_header X-Forwarded-Proto $scheme;",
    ),
    (
        "x-forwarded-host",
        "proxy_set_header X-Forwarded-Host $http_host;",
    ),
];

/// For each server that was asked, what the proxy before it sets.
pub(super) fn by_proxies(story: &Story<'_>) -> Vec<(Endpoint, Vec<&'static str>)> {
    let links = story.links().filter_map(|link| {
        let (before, after) = link.requests()?;
        Some((link.child.record.connection.server, kept(before, after)))
    });
    let alone = story.backend_only().then_some(story.outer);
    let alone = alone.and_then(|hop| {
        let request = hop.exchange().request.as_ref()?;
        Some((hop.record.connection.server, kept_alone(request)))
    });
    links.chain(alone).collect()
}

/// What a proxy sets, seen from both sides. What it only passes on needs no directive.
fn kept(before: &RequestHead, after: &RequestHead) -> Vec<&'static str> {
    let pair = |name| (before.fields.combined(name), after.fields.combined(name));
    let host = match pair("host") {
        (Some(was), Some(is)) if was == is => Some(HTTP_HOST),
        (Some(was), Some(is)) if without_port(&was) == is => Some(HOST),
        _ => None,
    };
    let forwarded = FORWARDED.iter().filter(|&&(name, _)| {
        let (was, is) = pair(name);
        is.is_some() && was != is
    });
    host.into_iter()
        .chain(forwarded.map(|&(_, line)| line))
        .collect()
}

/// What a proxy sets, seen behind it only. A Host that is the Origin's is the one that the client sent.
fn kept_alone(request: &RequestHead) -> Vec<&'static str> {
    let fields = &request.fields;
    let origin = fields.first("origin").unwrap_or_default();
    let site = origin.split_once("://").map(|(_, site)| site);
    let host = fields.first("host");
    let same = host.is_some_and(|host| site == Some(&*host));
    let forwarded = FORWARDED
        .iter()
        .filter(|&&(name, _)| fields.count(name) > 0);
    same.then_some(HTTP_HOST)
        .into_iter()
        .chain(forwarded.map(|&(_, line)| line))
        .collect()
}

/// A Host field's name alone, as nginx has it in $host; an origin without its port.
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}
