//! What a lone hop connects, and why a backend hop is not there.

use super::clock::Offsets;
use super::handshake::{BackendSight, Handshake, Hop, Role};
use super::known::Known;
use super::node::Node;
use crate::http::ResponseHead;

/// How the Server field of nginx begins, and of servers built on it.
const NGINX_SERVERS: [&str; 5] = ["nginx", "openresty", "tengine", "angie", "freenginx"];

/// How it begins with other programs that are mostly used as proxies.
const PROXY_SERVERS: [&str; 12] = [
    "apache",
    "httpd",
    "caddy",
    "envoy",
    "istio-envoy",
    "haproxy",
    "traefik",
    "varnish",
    "cloudflare",
    "cloudfront",
    "awselb",
    "microsoft-iis",
];

/// Response fields that only something in between writes.
const PROXY_FIELDS: [&str; 5] = ["via", "x-cache", "cf-ray", "x-served-by", "x-amz-cf-id"];

/// How nginx's own error pages name it.
const ERROR_PAGES: [&[u8]; 3] = [b"<center>nginx", b"<center>openresty", b"<hr><center>"];

/// Whether a Server field names nginx or a server built on it.
pub fn is_nginx_name(server: &str) -> bool {
    begins_with_one(server, &NGINX_SERVERS)
}

fn begins_with_one(server: &str, names: &[&str]) -> bool {
    names.iter().any(|name| {
        let start = server.get(..name.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(name))
    })
}

fn answered_by_proxy(hop: &Hop) -> bool {
    let exchange = hop.exchange();
    let page = exchange.body.as_deref().is_some_and(|body| {
        ERROR_PAGES
            .iter()
            .any(|mark| memchr::memmem::find(body, mark).is_some())
    });
    page || exchange.response.as_ref().is_some_and(is_from_proxy)
}

fn is_from_proxy(head: &ResponseHead) -> bool {
    let server = head.fields.first("server").unwrap_or_default();
    is_nginx_name(&server)
        || begins_with_one(&server, &PROXY_SERVERS)
        || PROXY_FIELDS.iter().any(|name| head.fields.count(name) > 0)
}

/// Whether a proxy wrote this request: its own fields, or a key whose Upgrade got lost.
fn sent_by_proxy(hop: &Hop, node: &Node) -> bool {
    let lost_upgrade = node.asked.key.is_some() && !node.asked.upgrade;
    hop.exchange().request.is_some() && (node.traits().written_by.is_some() || lost_upgrade)
}

/// Decides the role of a hop that stands alone; those of others follow from their places.
pub(super) fn assign(handshake: &mut Handshake, node: &Node, known: &Known) {
    let forwards = !handshake.attempts.is_empty() || !handshake.subrequests.is_empty();
    let [hop] = handshake.hops.as_mut_slice() else {
        return;
    };
    let connection = &hop.record.connection;
    let to_proxy = forwards || known.is_proxy(connection.server);
    hop.role = if to_proxy {
        Role::ClientProxy
    } else if sent_by_proxy(hop, node) && !answered_by_proxy(hop) {
        Role::ProxyBackend
    } else if answered_by_proxy(hop) {
        Role::ClientProxy
    } else if known.is_any_back(connection.client.ip())
        && connection.client.ip() != connection.server.ip()
    {
        Role::ProxyBackend
    } else if node.status == Some(101) && node.begin.is_some() {
        Role::Direct
    } else {
        Role::Unknown
    };
}

/// A server in a chain that tried to connect further is a proxy.
pub(super) fn assign_tried(handshake: &mut Handshake) {
    for attempt in &handshake.attempts {
        if let Some(hop) = handshake.hops.get_mut(attempt.parent)
            && hop.role == Role::ProxyBackend
        {
            hop.role = Role::ProxyProxy;
        }
    }
}

/// Why the backend hop is not there. In doubt it is "not visible": a proxy is not accused for what a capture hides.
pub(super) fn backend_sight(
    handshake: &Handshake,
    node: &Node,
    known: &Known,
    offsets: &Offsets,
) -> BackendSight {
    let [hop] = handshake.hops.as_slice() else {
        return BackendSight::Seen;
    };
    if matches!(hop.role, Role::ProxyBackend | Role::Direct) || !handshake.attempts.is_empty() {
        return BackendSight::Seen;
    }
    let refused = handshake.subrequests.iter().any(|asked| {
        let status = asked.exchange().response.as_ref().map(|head| head.status);
        matches!(status, Some(401 | 403)) && status == node.status
    });
    if refused {
        return BackendSight::NotContacted;
    }
    // Somebody behind the proxy must have said 101, and a client that is still served tells nothing yet.
    let (Some(begin), false) = (node.begin, node.status == Some(101)) else {
        return BackendSight::NotVisible;
    };
    let server = hop.record.connection.server;
    let seen = known.is_seen(server, node.capture());
    if seen && offsets.is_zero() && !known.had_opaque(server, begin, node.over()) {
        BackendSight::NotContacted
    } else {
        BackendSight::NotVisible
    }
}
