//! What a proxy did to the request or the answer between two hops.

use super::Entry;
use crate::diagnosis::{Code, Severity};

/// A location that passes WebSockets on, with the map that it needs. It is whole: a location of this path that has to be
/// written anew inherits neither the version nor, beside its own, any field. `$before` are further lines inside
/// its braces, `$uri` is what proxy_pass puts in the place of the location's path.
macro_rules! passing {
    ($modifier:literal, $before:literal) => {
        passing!($modifier, $before, "")
    };
    ($modifier:literal, $before:literal, $uri:literal) => {
        concat!(
            "# in http { }\nmap $http_upgrade $connection_upgrade {\n    default upgrade;\n    ''      '';   # none for ordinary requests: keep-alive works\n}\n",
            "# in the server { } that serves this path\nlocation ",
            $modifier,
            "{location} {\n",
            $before,
            "    proxy_pass http://{upstream}",
            $uri,
            ";\n",
            "    proxy_http_version 1.1;   # the default since nginx 1.29.7\n",
            "    proxy_set_header Upgrade $http_upgrade;\n",
            "    proxy_set_header Connection $connection_upgrade;\n",
            "    {kept}\n}"
        )
    };
}
pub(super) use passing;

/// The configuration that the first rows have in common.
pub(super) const UPGRADE_SNIPPET: &str = passing!("", "");

pub(super) static UPGRADE_NOT_FORWARDED: Entry = Entry {
    code: Code::UpgradeNotForwarded,
    title: "The proxy did not forward Upgrade",
    severity: Severity::Error,
    meaning: "The client asked to upgrade and the proxy passed the request on without the Upgrade field, so the backend saw an ordinary GET.",
    client_hop: "A complete upgrade request; the answer is what the backend gives to an ordinary GET: often 400, 404, 426 or a page with 200.",
    backend_hop: "The same Sec-WebSocket-Key, but no Upgrade. nginx before 1.29.7: HTTP/1.0 and `Connection: close`; newer: HTTP/1.1 and no Connection. Seen alone, such a request is proof enough: no client sends a key without Upgrade.",
    why: "Upgrade and Connection belong to one hop only (RFC 9110 7.6.1), so nginx drops them unless the configuration sets them again. A single `proxy_set_header` in a location also discards all those inherited from the server level.",
    fix: "Set both fields in the location that serves this path, and repeat there every proxy_set_header that it should inherit.",
    template: UPGRADE_SNIPPET,
    log: "nothing is logged: to nginx this is an ordinary request",
    source: "RFC 9110 7.6.1, 7.8; nginx proxy_set_header, proxy_http_version",
};

pub(super) static CONNECTION_NOT_FORWARDED: Entry = Entry {
    code: Code::ConnectionNotForwarded,
    title: "The proxy did not forward the upgrade option of Connection",
    severity: Severity::Error,
    meaning: "The request reached the backend without `Connection: upgrade`. A server must ignore an Upgrade field that Connection does not name.",
    client_hop: "`Connection` lists `Upgrade`.",
    backend_hop: "Connection is missing, or is `close` or `keep-alive`. An Upgrade field without its option has been forwarded improperly.",
    why: "nginx writes its own Connection field towards the backend: `close` before 1.29.7, none since, unless proxy_set_header gives one.",
    fix: "Set Connection next to Upgrade, through the map so that ordinary requests keep their keep-alive.",
    template: UPGRADE_SNIPPET,
    log: "nothing is logged: to nginx this is an ordinary request",
    source: "RFC 9110 7.6.1, 7.8; RFC 6455 4.2.1; nginx proxy_set_header",
};

pub(super) static HTTP10_TO_BACKEND: Entry = Entry {
    code: Code::Http10ToBackend,
    title: "The proxy spoke HTTP/1.0 to the backend",
    severity: Severity::Error,
    meaning: "Upgrade exists since HTTP/1.1; a server must ignore it in an HTTP/1.0 request. Some backends are lenient, others answer 400, 426 or 505, or close at once.",
    client_hop: "A complete upgrade request; the answer is the backend's refusal.",
    backend_hop: "`HTTP/1.0` in the request line, with Upgrade and Connection present.",
    why: "nginx before 1.29.7 speaks HTTP/1.0 to backends unless proxy_http_version says otherwise.",
    fix: "Set proxy_http_version 1.1 in the location.",
    template: UPGRADE_SNIPPET,
    log: "nothing is logged",
    source: "RFC 9110 7.8; nginx proxy_http_version",
};

pub(super) static UPGRADE_ALTERED: Entry = Entry {
    code: Code::UpgradeAltered,
    title: "The proxy sent another Upgrade than the client did",
    severity: Severity::Error,
    meaning: "The Upgrade that reached the backend does not ask for websocket.",
    client_hop: "`Upgrade: websocket`.",
    backend_hop: "Another value, typically `Upgrade: upgrade`.",
    why: "The configuration fills Upgrade from the wrong variable: `proxy_set_header Upgrade $connection_upgrade` sends the word upgrade.",
    fix: "Fill Upgrade from $http_upgrade and Connection from the map.",
    template: UPGRADE_SNIPPET,
    log: "nothing is logged",
    source: "RFC 6455 4.2.1; nginx proxy_set_header",
};

pub(super) static CONNECTION_UPGRADE_FORCED: Entry = Entry {
    code: Code::ConnectionUpgradeForced,
    title: "The proxy sends `Connection: upgrade` with ordinary requests",
    severity: Severity::Error,
    meaning: "A request that upgrades nothing says `Connection: upgrade` and has no Upgrade field; strict backends refuse it or wait for more.",
    client_hop: "An ordinary request, answered 400 or not at all.",
    backend_hop: "`Connection: upgrade` without Upgrade.",
    why: "`proxy_set_header Connection \"upgrade\"` is written for every request of the location instead of through a map of $http_upgrade.",
    fix: "Use the map, so that Connection is upgrade only when the client asked for an upgrade.",
    template: UPGRADE_SNIPPET,
    log: "nothing, or later `[error] upstream timed out (110: Connection timed out) while reading response header from upstream`",
    source: "RFC 9110 7.6.1; nginx map, proxy_set_header",
};

pub(super) static UPGRADE_ADDED: Entry = Entry {
    code: Code::UpgradeAdded,
    title: "The proxy added Upgrade to a request that had none",
    severity: Severity::Error,
    meaning: "The client sent an ordinary request and the backend got one that asks for websocket.",
    client_hop: "No Upgrade.",
    backend_hop: "`Upgrade: websocket`, often without Sec-WebSocket-Key.",
    why: "`proxy_set_header Upgrade websocket` is written as a constant.",
    fix: "Forward what the client sent: $http_upgrade is empty for ordinary requests, and an empty field is not sent.",
    template: UPGRADE_SNIPPET,
    log: "nothing is logged",
    source: "nginx proxy_set_header",
};

pub(super) static UPGRADE_MISSING: Entry = Entry {
    code: Code::UpgradeMissing,
    title: "Upgrade was lost before the first hop seen",
    severity: Severity::Error,
    meaning: "The request that reached the first proxy has WebSocket fields and no Upgrade: something in front of it, or the client, left it out.",
    client_hop: "Sec-WebSocket-Key without Upgrade, already here.",
    backend_hop: "The same. The proxy seen here cannot forward what it did not get.",
    why: "A device in front handles the request as plain HTTP: a balancer in HTTP mode, a CDN without WebSocket support, a virus scanner or firewall, an outer proxy; or a hand-made request lacks the field.",
    fix: "Let the device in front pass WebSocket upgrades (or TCP), or complete the client's request.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 4.1, 4.2.1; RFC 9110 7.6.1",
};

pub(super) static CONNECTION_MISSING: Entry = Entry {
    code: Code::ConnectionMissing,
    title: "The client's Connection does not name upgrade",
    severity: Severity::Error,
    meaning: "The first request seen has Upgrade, but its Connection field lacks the upgrade option, so servers must ignore the Upgrade.",
    client_hop: "`Upgrade: websocket`, Connection absent or without `upgrade`.",
    backend_hop: "The same, unless nginx repairs it with the usual map.",
    why: "A device in front rewrote Connection, or the client never sent the option.",
    fix: "Send `Connection: Upgrade`; let the device in front pass upgrades.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 4.1, 4.2.1; RFC 9110 7.8",
};

pub(super) static ORIGIN_HOST_MISMATCH: Entry = Entry {
    code: Code::OriginHostMismatch,
    title: "The backend refused because Origin and Host differ after the proxy rewrote Host",
    severity: Severity::Error,
    meaning: "The backend compares Origin with Host against cross-site WebSocket hijacking. The proxy replaced Host, so they no longer match.",
    client_hop: "Origin and Host name the same site; the answer is 403 (some send 400).",
    backend_hop: "Host is the name of the upstream; Origin is still the public name.",
    why: "nginx sends `Host: $proxy_host`, the name in proxy_pass, unless told otherwise.",
    fix: "Pass the client's Host on. $http_host keeps the port; $host drops it, and `$host:$server_port` adds `:443`, which fails the comparison again. Or tell the application its public origin.",
    template: passing!("", "    proxy_set_header Host $http_host;\n"),
    log: "nothing in the error log; the access log has the status",
    source: "RFC 6455 4.2.2, 10.2; nginx proxy_set_header",
};

pub(super) static HOST_REWRITTEN: Entry = Entry {
    code: Code::HostRewritten,
    title: "The proxy rewrote Host",
    severity: Severity::Info,
    meaning: "The backend got another Host than the client sent. That is often on purpose; a backend that chooses a site or checks an origin by Host may refuse.",
    client_hop: "The public name.",
    backend_hop: "The name in proxy_pass, or what proxy_set_header Host says.",
    why: "nginx sends `Host: $proxy_host` unless told otherwise.",
    fix: "Pass the client's Host on if the backend needs it.",
    template: "proxy_set_header Host $http_host;",
    log: "nothing is logged",
    source: "RFC 9110 7.2; nginx proxy_set_header",
};

pub(super) static KEY_NOT_FORWARDED: Entry = Entry {
    code: Code::KeyNotForwarded,
    title: "The proxy did not forward Sec-WebSocket-Key",
    severity: Severity::Error,
    meaning: "The backend cannot compute an Accept without the key and refuses the handshake.",
    client_hop: "Sec-WebSocket-Key is there.",
    backend_hop: "Sec-WebSocket-Key is gone, other fields are there.",
    why: "nginx copies this field by itself; `proxy_set_header Sec-WebSocket-Key \"\"`, `proxy_pass_request_headers off` or a filter in between removes it.",
    fix: "Remove the directive that clears the field.",
    template: "# remove: proxy_set_header Sec-WebSocket-Key ...;\n# remove: proxy_pass_request_headers off;",
    log: "nothing is logged",
    source: "RFC 6455 4.2.1; nginx proxy_set_header, proxy_pass_request_headers",
};

pub(super) static KEY_REWRITTEN: Entry = Entry {
    code: Code::KeyRewritten,
    title: "The proxy sent another Sec-WebSocket-Key than the client did",
    severity: Severity::Error,
    meaning: "The backend's Accept belongs to the proxy's key; a client that gets it unchanged must fail the connection.",
    client_hop: "A 101 whose Accept does not belong to the client's key; the client closes at once.",
    backend_hop: "A key of its own, with the Accept that belongs to it.",
    why: "A fixed key in proxy_set_header, or a proxy in the chain that makes a handshake of its own.",
    fix: "Do not set Sec-WebSocket-Key: nginx copies the client's.",
    template: "# remove: proxy_set_header Sec-WebSocket-Key ...;",
    log: "nothing is logged",
    source: "RFC 6455 4.1, 4.2.2; nginx proxy_set_header",
};

pub(super) static VERSION_NOT_FORWARDED: Entry = Entry {
    code: Code::VersionNotForwarded,
    title: "The proxy did not forward Sec-WebSocket-Version",
    severity: Severity::Error,
    meaning: "The backend cannot tell the protocol version and answers 400 or 426.",
    client_hop: "`Sec-WebSocket-Version: 13`.",
    backend_hop: "No Sec-WebSocket-Version.",
    why: "nginx copies this field by itself; a directive or a filter in between removes it.",
    fix: "Remove the directive that clears the field.",
    template: "# remove: proxy_set_header Sec-WebSocket-Version ...;",
    log: "nothing is logged",
    source: "RFC 6455 4.2.1, 4.4; nginx proxy_set_header",
};

pub(super) static SUBPROTOCOL_NOT_FORWARDED: Entry = Entry {
    code: Code::SubprotocolNotForwarded,
    title: "The proxy did not forward Sec-WebSocket-Protocol",
    severity: Severity::Error,
    meaning: "The backend did not see the subprotocols that the client offers and so chose none; browsers then fail the connection.",
    client_hop: "Sec-WebSocket-Protocol in the request, none in the answer.",
    backend_hop: "No Sec-WebSocket-Protocol.",
    why: "nginx copies this field by itself; a directive or a filter in between removes it.",
    fix: "Remove the directive that clears the field.",
    template: "# remove: proxy_set_header Sec-WebSocket-Protocol ...;",
    log: "nothing is logged",
    source: "RFC 6455 4.1, 4.2.2; nginx proxy_set_header",
};

pub(super) static EXTENSIONS_NOT_FORWARDED: Entry = Entry {
    code: Code::ExtensionsNotForwarded,
    title: "The proxy did not forward Sec-WebSocket-Extensions",
    severity: Severity::Info,
    meaning: "Without the offer a session is not compressed, and nothing else follows from it: it is said only of a handshake that failed. It is an error where the refusal names the extension that was taken away: that server insists on it.",
    client_hop: "Sec-WebSocket-Extensions in the request, none in the answer; the answer is a refusal.",
    backend_hop: "No Sec-WebSocket-Extensions.",
    why: "A directive or a filter in between removes it, sometimes on purpose.",
    fix: "Remove the directive if the server wants the extension. To turn compression off on purpose, do it in the server, or hide the field of the answer too.",
    template: "# remove: proxy_set_header Sec-WebSocket-Extensions ...;",
    log: "nothing is logged",
    source: "RFC 6455 9.1; RFC 7692 5",
};

pub(super) static ACCEPT_NOT_RETURNED: Entry = Entry {
    code: Code::AcceptNotReturned,
    title: "The proxy removed Sec-WebSocket-Accept from the answer",
    severity: Severity::Error,
    meaning: "The backend accepted, and the client cannot know: without Accept it must fail the connection.",
    client_hop: "A 101 without Sec-WebSocket-Accept; the client closes at once.",
    backend_hop: "A 101 with a valid Sec-WebSocket-Accept.",
    why: "`proxy_hide_header Sec-WebSocket-Accept`, or a filter in between. nginx does not check the 101 that it passes on.",
    fix: "Remove the directive that hides the field.",
    template: "# remove: proxy_hide_header Sec-WebSocket-Accept;",
    log: "nothing is logged",
    source: "RFC 6455 4.1; nginx proxy_hide_header",
};

pub(super) static UPGRADE_NOT_RETURNED: Entry = Entry {
    code: Code::UpgradeNotReturned,
    title: "The proxy removed Upgrade from the answer",
    severity: Severity::Error,
    meaning: "The backend accepted, and the client cannot know: without Upgrade it must fail the connection.",
    client_hop: "A 101 without Upgrade; the client closes at once.",
    backend_hop: "A 101 with `Upgrade: websocket`.",
    why: "`proxy_hide_header Upgrade`, or a filter in between. nginx does not check the 101 that it passes on.",
    fix: "Remove the directive that hides the field.",
    template: "# remove: proxy_hide_header Upgrade;",
    log: "nothing is logged",
    source: "RFC 6455 4.1; RFC 9110 15.2.2; nginx proxy_hide_header",
};

pub(super) static STATUS_CHANGED: Entry = Entry {
    code: Code::StatusChanged,
    title: "The proxy answered with another status than the backend",
    severity: Severity::Error,
    meaning: "The backend gave one answer and the client got another.",
    client_hop: "The proxy's status.",
    backend_hop: "The backend's status.",
    why: "proxy_intercept_errors with error_page, a redirect rewritten, or an answer that the proxy could not use.",
    fix: "Look at error_page and proxy_intercept_errors in this location; for a WebSocket path turn them off.",
    template: "proxy_intercept_errors off;",
    log: "the access log shows both: $status and $upstream_status",
    source: "nginx proxy_intercept_errors, error_page",
};

pub(super) static PATH_REWRITTEN: Entry = Entry {
    code: Code::PathRewritten,
    title: "The proxy asked the backend for another path",
    severity: Severity::Error,
    meaning: "The backend does not know the path that it was asked for, and it is not the one that the client asked for.",
    client_hop: "The path that the application expects.",
    backend_hop: "A path with a doubled slash, without its prefix, or otherwise changed; the answer is 404, a page, or another refusal.",
    why: "A proxy_pass with a URI (even just `/`) replaces the part of the path that the location matched; so does a `rewrite`.",
    fix: "Write proxy_pass without a URI and without a rewrite to pass the path unchanged, or end both the location and the proxy_pass with a slash.",
    template: "# in the location that serves this path\nproxy_pass http://{upstream};   # no path, no slash: the path stays",
    log: "nothing is logged; the access log has the client's path only",
    source: "nginx proxy_pass, rewrite",
};

/// A location whose path is taken away, slash for slash.
pub(in crate::diagnosis) const SLASHES: &str = passing!("", "", "/");

pub(super) static HTTP2_TO_BACKEND: Entry = Entry {
    code: Code::Http2ToBackend,
    title: "The proxy spoke HTTP/2 to the backend",
    severity: Severity::Error,
    meaning: "HTTP/2 has no Upgrade; the classic handshake cannot travel over it.",
    client_hop: "A complete upgrade request, answered 400, 405 or 502.",
    backend_hop: "The HTTP/2 preface instead of an HTTP/1.1 request.",
    why: "grpc_pass, or `proxy_http_version 2` (since nginx 1.29.4), applies to the location that serves WebSocket: both speak HTTP/2 to the backend.",
    fix: "Use proxy_pass with proxy_http_version 1.1 in this location, and no grpc_pass.",
    template: UPGRADE_SNIPPET,
    log: "what the backend's refusal leads to; often nothing",
    source: "RFC 9113 8.6; nginx proxy_http_version, grpc_pass",
};

pub(super) static CGI_TO_BACKEND: Entry = Entry {
    code: Code::CgiToBackend,
    title: "The proxy spoke FastCGI, uwsgi or SCGI to the backend",
    severity: Severity::Error,
    meaning: "The request reached the backend in a protocol of application servers in place of HTTP.",
    client_hop: "A complete upgrade request; 502 or 504 by the proxy, 400 by a server of HTTP, or whatever the application answers to an ordinary request.",
    backend_hop: "A FastCGI record, a uwsgi packet or a netstring of SCGI; its variables have the key (HTTP_SEC_WEBSOCKET_KEY).",
    why: "fastcgi_pass, uwsgi_pass or scgi_pass applies to the location that serves WebSocket: its own, or the one that takes all paths for PHP or Python.",
    fix: "Give the WebSocket path a location with proxy_pass to a server that speaks HTTP and WebSocket.",
    template: UPGRADE_SNIPPET,
    log: "[error] upstream sent unsupported FastCGI protocol version: 72 while reading response header from upstream; or upstream timed out (110: Connection timed out); nothing when a backend answers 400",
    source: "FastCGI 1.0, uwsgi protocol, SCGI; nginx fastcgi_pass, uwsgi_pass, scgi_pass",
};
