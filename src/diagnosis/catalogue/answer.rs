//! Answers other than 101.

use super::Entry;
use super::forwarding::{UPGRADE_SNIPPET, passing};
use crate::diagnosis::{Code, Severity};

/// A location that asks for no credentials.
pub(super) const EXEMPT: &str = passing!(
    "",
    "    auth_basic off;      # if auth_basic asked\n    auth_request off;    # if an auth subrequest refused\n"
);

/// A location for the path without its slash, where nginx would add it by a redirect.
pub(super) const SAME_PATH: &str = passing!("= ", "");

/// Limits for long-lived tunnels. Those of a location take the place of what it would inherit.
pub(super) const LIMIT: &str = "\
# in http { }
limit_conn_zone $binary_remote_addr zone=websockets:10m;
# in the location that serves this path, instead of its limit_conn and limit_req
limit_conn websockets 100;   # every open tunnel counts";

pub(super) static INTERIM_RESPONSE: Entry = Entry {
    code: Code::InterimResponse,
    title: "An interim answer came before the 101",
    severity: Severity::Error,
    meaning: "The backend sent 100 or 103 first. nginx takes it for the final answer: the 101 becomes its body and no tunnel is made.",
    client_hop: "The 100 or 103 and nothing that upgrades; the client waits, and gives up.",
    backend_hop: "`HTTP/1.1 100` or `103`, then the 101, which is not passed on as an answer.",
    why: "nginx does not handle 1xx answers of a backend in front of a 101.",
    fix: "Let the backend send the 101 alone: no 100 Continue without Expect, no 103 Early Hints for upgrades.",
    template: "",
    log: "nothing; [info] epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too while reading upstream, once the client gives up",
    source: "RFC 9110 7.8, 15.2",
};

pub(super) static BAD_REQUEST: Entry = Entry {
    code: Code::BadRequest,
    title: "The handshake was answered 400 Bad Request",
    severity: Severity::Error,
    meaning: "The server found the request wrong in form, or refuses it for a reason of its own.",
    client_hop: "A 400: nginx's own page if nginx refused the request, the application's text if the backend did.",
    backend_hop: "The same 400 if the backend said so; no request at all if nginx refused it.",
    why: "A request that breaks a rule of RFC 6455; an application that does not trust the proxy (X-Forwarded-*, Host, Origin); nginx itself on malformed requests.",
    fix: "Read the answer's body. If the application answered: its list of trusted proxies and allowed hosts, X-Forwarded-Proto and Host as it expects them.",
    template: "# beside the other proxy_set_header lines of this path\nproxy_set_header Host $http_host;\nproxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\nproxy_set_header X-Forwarded-Proto $scheme;",
    log: "[info] with the reason if nginx refused it; nothing if the backend did",
    source: "RFC 6455 4.2.1; RFC 9110 15.5.1",
};

pub(super) static UNAUTHORIZED: Entry = Entry {
    code: Code::Unauthorized,
    title: "The handshake was answered 401 Unauthorized",
    severity: Severity::Error,
    meaning: "Credentials are missing or wrong. Browsers cannot set Authorization on a WebSocket: it must be a cookie, a token in the address, or a subprotocol.",
    client_hop: "401, often with WWW-Authenticate.",
    backend_hop: "401 if the backend said so; nothing, or only the auth subrequest, if nginx did.",
    why: "auth_basic, auth_request or an identity proxy covers the WebSocket path, or the application wants a session.",
    fix: "Give the WebSocket request credentials that a browser can send, or exempt the path in nginx and authenticate in the application.",
    template: EXEMPT,
    log: "[info] no user/password was provided for basic authentication; [error] user \"...\": password mismatch, or user \"...\" was not found in \"...\" (auth_basic); nothing for auth_request or the backend",
    source: "RFC 9110 15.5.2; nginx auth_basic, auth_request",
};

pub(super) static FORBIDDEN: Entry = Entry {
    code: Code::Forbidden,
    title: "The handshake was answered 403 Forbidden",
    severity: Severity::Error,
    meaning: "The server understood and refuses: an origin check, access rules, or an application that distrusts the proxy.",
    client_hop: "A 403, with nginx's own page if nginx refused.",
    backend_hop: "The same 403 if the backend said so; only the auth subrequest, or nothing, if nginx did.",
    why: "The backend checks Origin against Host or a list; nginx has deny, a WAF rule or an auth_request that refuses.",
    fix: "Pass Host on unchanged, add the public origin to the application's list, or correct the access rule.",
    template: "# beside the other proxy_set_header lines of this path\nproxy_set_header Host $http_host;",
    log: "[error] access forbidden by rule, if nginx refused it; nothing if the backend did",
    source: "RFC 6455 4.2.2, 10.2; RFC 9110 15.5.4; nginx deny, auth_request",
};

pub(super) static NOT_FOUND: Entry = Entry {
    code: Code::NotFound,
    title: "The handshake was answered 404 Not Found",
    severity: Severity::Error,
    meaning: "Nobody serves a WebSocket at this path.",
    client_hop: "A 404, with nginx's own page if no location passed the request on.",
    backend_hop: "The same 404 if the backend said so: compare the path in its request. No request at all if nginx looked for a file.",
    why: "No location with proxy_pass matches the path, or proxy_pass changes the path, or the backend does not see an upgrade and has no page there.",
    fix: "Compare the path with the locations and with what the application serves.",
    template: UPGRADE_SNIPPET,
    log: "[error] open() \"...\" failed (2: No such file or directory), if nginx looked for a file",
    source: "RFC 9110 15.5.5; nginx location, proxy_pass",
};

pub(super) static METHOD_NOT_ALLOWED: Entry = Entry {
    code: Code::MethodNotAllowed,
    title: "The handshake was answered 405 Method Not Allowed",
    severity: Severity::Error,
    meaning: "The path exists and does not take this method, or the server did not see an upgrade.",
    client_hop: "A 405: nginx answers it itself where a location serves files and the method is not GET or HEAD.",
    backend_hop: "The same 405 if the backend said so; look whether Upgrade reached it.",
    why: "The request is not GET, or a static location answers instead of the backend.",
    fix: "Use GET; check which location serves the path.",
    template: UPGRADE_SNIPPET,
    log: "nothing is logged: the access log has the status",
    source: "RFC 6455 4.1; RFC 9110 15.5.6",
};

pub(super) static UPGRADE_REQUIRED: Entry = Entry {
    code: Code::UpgradeRequired,
    title: "The handshake was answered 426 Upgrade Required",
    severity: Severity::Error,
    meaning: "The server serves only WebSocket here and did not accept the request as an upgrade, or not its version.",
    client_hop: "426; its Upgrade field arrives, its Connection is nginx's own.",
    backend_hop: "426 with Upgrade, and Sec-WebSocket-Version when the version is the reason.",
    why: "The upgrade fields did not arrive, or the version is not supported.",
    fix: "Look at what reached the backend (`-i any` on the proxy host shows it): Upgrade, Connection, Sec-WebSocket-Version.",
    template: UPGRADE_SNIPPET,
    log: "nothing is logged",
    source: "RFC 6455 4.2.2, 4.4; RFC 9110 15.5.22",
};

pub(super) static TOO_MANY_REQUESTS: Entry = Entry {
    code: Code::TooManyRequests,
    title: "The handshake was answered 429 Too Many Requests",
    severity: Severity::Error,
    meaning: "A rate or connection limit refused it.",
    client_hop: "A 429, perhaps with Retry-After.",
    backend_hop: "The same 429 if the backend said so; no request at all if nginx's limit refused it.",
    why: "limit_req or limit_conn with status 429, or a limit of the application. An open tunnel counts as one connection for limit_conn all the time.",
    fix: "Raise the limit for the WebSocket path, and let clients wait longer between attempts.",
    template: LIMIT,
    log: "[error] limiting connections by zone \"...\", or [error] limiting requests, excess: ... by zone \"...\"",
    source: "RFC 6585 4; nginx limit_conn, limit_req",
};

pub(super) static SERVER_ERROR: Entry = Entry {
    code: Code::ServerError,
    title: "The handshake was answered with a server error",
    severity: Severity::Error,
    meaning: "The server failed while handling the request.",
    client_hop: "500 or another 5xx, with nginx's own page if nginx failed.",
    backend_hop: "The same if the backend said so; else look at the auth subrequest, if there is one.",
    why: "An error in the application, or in nginx's configuration (a rewrite loop, an auth service that answers neither 2xx nor 401 nor 403).",
    fix: "Read the log of who answered, at the time of the frame given.",
    template: "",
    log: "if nginx answered: [error] or [alert] with the reason; nothing if the backend did",
    source: "RFC 9110 15.6",
};

pub(super) static BAD_GATEWAY: Entry = Entry {
    code: Code::BadGateway,
    title: "The handshake was answered 502 Bad Gateway",
    severity: Severity::Error,
    meaning: "A proxy got no usable answer from its backend.",
    client_hop: "A 502, usually nginx's own page.",
    backend_hop: "Not in this capture, or without a visible fault.",
    why: "The backend refused, closed early, reset, sent what is no HTTP, or its name could not be resolved. The capture does not show which.",
    fix: "Capture the side of the backend as well (`-i any` on the proxy host), and read nginx's error log at that time.",
    template: "",
    log: "[error] one of: connect() failed, upstream prematurely closed connection, recv() failed, no live upstreams, no resolver defined, could not be resolved",
    source: "RFC 9110 15.6.3",
};

pub(super) static SERVICE_UNAVAILABLE: Entry = Entry {
    code: Code::ServiceUnavailable,
    title: "The handshake was answered 503 Service Unavailable",
    severity: Severity::Error,
    meaning: "The server is at its limit or in maintenance.",
    client_hop: "A 503, with nginx's own page if nginx's limit refused it.",
    backend_hop: "The same 503 if the backend said so; no request at all if nginx refused it.",
    why: "limit_conn and limit_req refuse with 503 by default; balancers say so when no backend is healthy.",
    fix: "Raise the limit or the capacity. Remember that every open tunnel counts for limit_conn.",
    template: LIMIT,
    log: "[error] limiting connections by zone \"...\", or [error] limiting requests, excess: ... by zone \"...\", if nginx refused it",
    source: "RFC 9110 15.6.4; nginx limit_conn, limit_req",
};

pub(super) static GATEWAY_TIMEOUT: Entry = Entry {
    code: Code::GatewayTimeout,
    title: "The handshake was answered 504 Gateway Timeout",
    severity: Severity::Error,
    meaning: "A proxy waited for its backend in vain.",
    client_hop: "A 504, typically 60 s after the request; at once with `proxy_read_timeout 0`.",
    backend_hop: "Not in this capture: a SYN without an answer, or a request without one.",
    why: "The backend did not accept the connection within proxy_connect_timeout or did not answer within proxy_read_timeout. `proxy_read_timeout 0` gives an immediate 504 for every request.",
    fix: "Capture the side of the backend as well, and find out where it hangs.",
    template: "",
    log: "[error] upstream timed out (110: Connection timed out) while connecting to upstream, or while reading response header from upstream",
    source: "RFC 9110 15.6.5; nginx proxy_connect_timeout, proxy_read_timeout",
};

pub(super) static REDIRECTED: Entry = Entry {
    code: Code::Redirected,
    title: "The handshake was redirected",
    severity: Severity::Error,
    meaning: "The answer sends the client elsewhere. Browsers do not follow redirects for WebSockets.",
    client_hop: "301, 302, 303, 307 or 308 with Location.",
    backend_hop: "The same if the backend said so.",
    why: "http to https, a trailing slash (`location /ws/` and a request for `/ws` is nginx's own 301), a canonical host, or a login page.",
    fix: "Open the final address with ws or wss; in nginx let the location match the path that clients use.",
    template: SAME_PATH,
    log: "nothing is logged",
    source: "RFC 6455 4.1; RFC 9110 15.4; nginx location",
};

pub(super) static ANSWERED_AS_PAGE: Entry = Entry {
    code: Code::AnsweredAsPage,
    title: "The handshake was answered like an ordinary request",
    severity: Severity::Error,
    meaning: "A 2xx instead of 101: the path is served as a page, a file or an API.",
    client_hop: "200 with a body.",
    backend_hop: "200 if the backend said so; no request at all if nginx served a file.",
    why: "The path is not the WebSocket's, a catch-all (`try_files ... /index.html`) serves it, or the server ignores upgrades.",
    fix: "Check the path, and that its location passes to the WebSocket backend.",
    template: UPGRADE_SNIPPET,
    log: "nothing is logged",
    source: "RFC 6455 4.1, 4.2.2; nginx location, try_files",
};

pub(super) static REFUSED_OTHERWISE: Entry = Entry {
    code: Code::RefusedOtherwise,
    title: "The handshake was answered with an unusual status",
    severity: Severity::Error,
    meaning: "The answer is not 101, so there is no WebSocket.",
    client_hop: "The unusual status, and perhaps a body that says why.",
    backend_hop: "The same if the backend said so.",
    why: "Only who answered knows: a payment wall (402), a WAF with a status of its own, an application's convention.",
    fix: "Read the answer's body and the log of who answered.",
    template: "",
    log: "depends on who answered",
    source: "RFC 6455 4.1; RFC 9110 15",
};

pub(super) static SESSION_AFFINITY_LOST: Entry = Entry {
    code: Code::SessionAffinityLost,
    title: "The requests of one session went to different backends",
    severity: Severity::Error,
    meaning: "The session was opened by polling at one backend, and the upgrade went to another, which does not know it.",
    client_hop: "400 with `{\"code\":1,\"message\":\"Session ID unknown\"}` (Socket.IO) or `Invalid session` (python-engineio, so Flask-SocketIO), same `sid` as the polling requests.",
    backend_hop: "Requests with one `sid` on connections to different backends; to one address, if several processes share it.",
    why: "Round robin over several backends without stickiness, or over the workers behind one address.",
    fix: "Keep a client on one backend, or use the websocket transport only. Give processes that share an address (gunicorn -w, node's cluster) a port each, or run one of them.",
    template: "upstream backend {\n    hash $remote_addr consistent;   # or: ip_hash;\n    server ...;\n    server ...;\n}",
    log: "nothing is logged",
    source: "nginx ip_hash, hash; Socket.IO: using multiple nodes",
};

pub(super) static BACKEND_NOT_CONTACTED: Entry = Entry {
    code: Code::BackendNotContacted,
    title: "The proxy answered without asking a backend",
    severity: Severity::Info,
    meaning: "The capture shows this proxy talking to backends at other times, and no connection for this request.",
    client_hop: "An answer at once, with nginx's own page or a redirect.",
    backend_hop: "Nothing: no connection, and no request on one that was open.",
    why: "The answer is the proxy's own: a location without proxy_pass, a redirect, a limit, access control, or no usable backend.",
    fix: "Look at the location that serves this path.",
    template: "",
    log: "depends on the answer",
    source: "nginx location",
};

pub(super) static TOKEN_CASE_REJECTED: Entry = Entry {
    code: Code::TokenCaseRejected,
    title: "The backend may be case-sensitive about `upgrade` or `websocket`",
    severity: Severity::Info,
    meaning: "The backend refused an otherwise complete request in which the proxy spelled a token differently than the client did. Tokens must be compared without case; some servers do not.",
    client_hop: "`Connection: Upgrade`.",
    backend_hop: "`Connection: upgrade`, as in nginx's documentation.",
    why: "A server that compares strings. The broken ones usually reject the lower case.",
    fix: "Update the server, or send the spelling that it wants.",
    template: "map $http_upgrade $connection_upgrade {\n    default Upgrade;\n    ''      '';\n}",
    log: "nothing is logged",
    source: "RFC 6455 4.2.1; RFC 9110 7.6.1, 7.8",
};
