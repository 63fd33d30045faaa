//! The proxy and its backend could not talk.

use super::Entry;
use crate::diagnosis::{Code, Severity};

pub(super) static BACKEND_REFUSED: Entry = Entry {
    code: Code::BackendRefused,
    title: "The backend refused the connection",
    severity: Severity::Error,
    meaning: "Nothing listens at the address and port that the proxy uses.",
    client_hop: "502 at once, nginx's own page.",
    backend_hop: "SYN answered by RST (or by ICMP port unreachable, which nginx logs the same way).",
    why: "The backend is down or restarting, listens on another port, or only on 127.0.0.1 or only on IPv6.",
    fix: "Start the backend; compare proxy_pass with the address and port it listens on (`ss -ltnp`). `localhost` may mean ::1.",
    template: "proxy_pass http://{upstream};   # an address and port that the backend listens on",
    log: "[error] connect() failed (111: Connection refused) while connecting to upstream",
    source: "RFC 9293 3.5.2; nginx proxy_pass",
};

pub(super) static NO_LIVE_BACKEND: Entry = Entry {
    code: Code::NoLiveBackend,
    title: "The proxy had no live backend to ask",
    severity: Severity::Error,
    meaning: "All servers of the upstream are marked as failed, so nginx answers without trying one.",
    client_hop: "502 at once, nginx's own page.",
    backend_hop: "No SYN at all.",
    why: "After max_fails failures (1 by default) nginx leaves a server alone for fail_timeout (10 s), unless it is the only one. A name with two addresses counts as two: `localhost` is 127.0.0.1 and ::1.",
    fix: "Repair the backends (look at the failures before this one). max_fails=0 keeps nginx trying; an address instead of a name leaves one server.",
    template: "upstream backend {\n    server ... max_fails=0;\n    server ... max_fails=0;\n}",
    log: "[error] no live upstreams while connecting to upstream; before it [warn] upstream server temporarily disabled",
    source: "nginx ngx_http_upstream_module: max_fails, fail_timeout",
};

pub(super) static BACKEND_CONNECT_TIMEOUT: Entry = Entry {
    code: Code::BackendConnectTimeout,
    title: "The backend did not answer the connection attempt",
    severity: Severity::Error,
    meaning: "The SYN got no answer: packets to the backend, or its answers, are dropped.",
    client_hop: "504 after proxy_connect_timeout (60 s by default).",
    backend_hop: "SYN, repeated with growing pauses, no answer.",
    why: "A firewall or security group drops, a wrong address, a host that is down, or a full accept queue.",
    fix: "Open the way from the proxy to the backend, or correct the address. A shorter proxy_connect_timeout makes the failure quick.",
    template: "proxy_connect_timeout 5s;",
    log: "[error] upstream timed out (110: Connection timed out) while connecting to upstream",
    source: "RFC 9293 3.8.1; nginx proxy_connect_timeout",
};

pub(super) static BACKEND_UNREACHABLE: Entry = Entry {
    code: Code::BackendUnreachable,
    title: "The backend is unreachable",
    severity: Severity::Error,
    meaning: "A router or host said by ICMP that packets to the backend cannot be delivered.",
    client_hop: "502.",
    backend_hop: "SYN, then ICMP destination unreachable.",
    why: "No route, a host that is down, or a firewall that rejects.",
    fix: "Correct the route, the address or the firewall.",
    template: "",
    log: "[error] connect() failed (113: No route to host) while connecting to upstream",
    source: "RFC 792; RFC 9293 3.9.2.2",
};

pub(super) static BACKEND_CLOSED_EARLY: Entry = Entry {
    code: Code::BackendClosedEarly,
    title: "The backend closed the connection before it answered",
    severity: Severity::Error,
    meaning: "The backend took the request and closed without a complete response head.",
    client_hop: "502, nginx's own page.",
    backend_hop: "The request, then FIN from the backend after none or a part of a head.",
    why: "The application ended the connection: a path or a subprotocol that it does not serve, a session it does not know, an exception, a worker that exits; or what listens there speaks another protocol: many TLS servers hang up so on HTTP in clear.",
    fix: "Compare the path and Sec-WebSocket-Protocol with what the application serves, the port and the scheme of proxy_pass with where and how it listens, and read its log at that time.",
    template: "",
    log: "[error] upstream prematurely closed connection while reading response header from upstream",
    source: "RFC 9112 8, 9.6",
};

pub(super) static BACKEND_RESET_EARLY: Entry = Entry {
    code: Code::BackendResetEarly,
    title: "The backend reset the connection before it answered",
    severity: Severity::Error,
    meaning: "The backend aborted the connection instead of answering.",
    client_hop: "502, nginx's own page.",
    backend_hop: "The request, then RST from the backend.",
    why: "The backend crashed, closed with unread data, as what speaks another protocol than HTTP does, or a device in between cut the connection.",
    fix: "Check that proxy_pass names the port on which the application serves WebSocket; read its log at that time, and look for restarts.",
    template: "",
    log: "[error] recv() failed (104: Connection reset by peer) while reading response header from upstream",
    source: "RFC 9293 3.5.2, 3.10.7",
};

pub(super) static BACKEND_RETRIED: Entry = Entry {
    code: Code::BackendRetried,
    title: "The proxy needed more than one try to get an answer",
    severity: Severity::Warning,
    meaning: "A first try at a backend failed and nginx hid it with another one. The client saw nothing but a delay.",
    client_hop: "The answer of the last try.",
    backend_hop: "The same key on two connections, the first of them closed, reset, refused or silent.",
    why: "proxy_next_upstream retries after an error or a timeout; a connection from the keepalive pool may just have been closed by the backend.",
    fix: "Repair the backend that failed; for pooled connections let the backend keep them longer than nginx does (60 s), or turn the pool off.",
    template: "upstream backend {\n    server ...;\n    # no `keepalive` line here; since nginx 1.29.7: keepalive 0;\n}",
    log: "[error] the line of the failed try, although the client succeeded",
    source: "nginx proxy_next_upstream, keepalive",
};

pub(super) static BACKEND_TIMEOUT: Entry = Entry {
    code: Code::BackendTimeout,
    title: "The backend took the request and did not answer in time",
    severity: Severity::Error,
    meaning: "The backend acknowledged the request and stayed silent until the proxy gave up.",
    client_hop: "504 after proxy_read_timeout (60 s by default).",
    backend_hop: "The request, acknowledged; silence; then FIN from the proxy.",
    why: "The application is stuck or overloaded, or waits for something that the request lacks, as what speaks another protocol at that port does; with `proxy_read_timeout 0` nobody waits for it.",
    fix: "Compare the path and the port of the backend's request with where the application serves WebSocket, and find out where it hangs. A longer proxy_read_timeout only delays the failure; 0 does not disable it but fails every request at once.",
    template: "",
    log: "[error] upstream timed out (110: Connection timed out) while reading response header from upstream",
    source: "nginx proxy_read_timeout",
};

pub(super) static BACKEND_HEADER_TOO_BIG: Entry = Entry {
    code: Code::BackendHeaderTooBig,
    title: "The backend's response head is larger than nginx takes",
    severity: Severity::Error,
    meaning: "The head does not fit into one proxy_buffer_size, so nginx gives up on it.",
    client_hop: "502, nginx's own page.",
    backend_hop: "A head of 4 KiB or more; nginx closes.",
    why: "Large cookies or policies in the answer; proxy_buffer_size is one memory page (4 or 8 KiB) by default.",
    fix: "Send less, or raise proxy_buffer_size. It matters for the head only: frames after a 101 are not limited by it.",
    template: "proxy_buffer_size 16k;\nproxy_buffers 8 16k;",
    log: "[error] upstream sent too big header while reading response header from upstream",
    source: "nginx proxy_buffer_size",
};

pub(super) static BACKEND_INVALID_RESPONSE: Entry = Entry {
    code: Code::BackendInvalidResponse,
    title: "The backend's answer is no HTTP",
    severity: Severity::Error,
    meaning: "What came back is not an HTTP response: another protocol listens there, or the server is broken.",
    client_hop: "The raw bytes (nginx takes them for HTTP/0.9), or 502.",
    backend_hop: "Bytes that do not begin with an HTTP status line.",
    why: "proxy_pass points to a port that speaks something else (TLS, Redis, a raw socket).",
    fix: "Correct the port or the scheme in proxy_pass.",
    template: "proxy_pass http://{upstream};   # https:// if the backend speaks TLS",
    log: "[error] upstream sent no valid HTTP/1.0 header while reading response header from upstream (access log status 009), or upstream sent invalid header",
    source: "RFC 9112 4; nginx proxy_pass",
};

pub(super) static CLIENT_GAVE_UP: Entry = Entry {
    code: Code::ClientGaveUp,
    title: "The client left before it had an answer",
    severity: Severity::Error,
    meaning: "The client closed or reset its connection while the handshake was still waiting.",
    client_hop: "FIN or RST from the client, no answer before it; access log status 499.",
    backend_hop: "The request, no answer yet; the proxy closes after the client did.",
    why: "The client's own timeout, a page that was left, or a backend that takes too long or never answers: at that port something else may be spoken, which waits for more.",
    fix: "Compare the path and the port of the backend's request with where the application serves WebSocket; then find out what takes it so long, and compare with the client's timeout.",
    template: "",
    log: "[info] epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too while sending request to upstream",
    source: "nginx proxy_ignore_client_abort",
};

pub(super) static REQUEST_INCOMPLETE: Entry = Entry {
    code: Code::RequestIncomplete,
    title: "The client never finished its request",
    severity: Severity::Error,
    meaning: "The request head began and its blank line never came.",
    client_hop: "A part of a head, then silence or the end; nginx answers 408 or closes after client_header_timeout.",
    backend_hop: "Nothing: nginx needs the whole head first.",
    why: "The client broke off, or a part of the request is lost on the way (packets too large for the path).",
    fix: "Look at the client, and at the path MTU when only large requests hang.",
    template: "",
    log: "[info] client timed out (110: Connection timed out) while reading client request headers, or client prematurely closed connection",
    source: "RFC 9112 2.1, 3; nginx client_header_timeout",
};

pub(super) static REQUEST_HEADER_TOO_BIG: Entry = Entry {
    code: Code::RequestHeaderTooBig,
    title: "The request head is larger than the server takes",
    severity: Severity::Error,
    meaning: "A header line or all of them exceed the server's buffers: usually cookies.",
    client_hop: "400 with `Request Header Or Cookie Too Large`, 414 or 431.",
    backend_hop: "Nothing, or the same answer by an inner nginx.",
    why: "large_client_header_buffers is 4 buffers of 8 KiB by default; a line must fit into one.",
    fix: "Shrink the cookies, or raise the limit where the answer comes from.",
    template: "# in http { }, or in the default server { } of this port\nlarge_client_header_buffers 4 32k;",
    log: "[info] client sent too long header line, or client sent too large request",
    source: "RFC 6585 5; nginx large_client_header_buffers",
};

pub(super) static PROXY_OVERLOADED: Entry = Entry {
    code: Code::ProxyOverloaded,
    title: "The proxy closed connections without reading them",
    severity: Severity::Error,
    meaning: "New connections are accepted and closed at once, without an answer.",
    client_hop: "FIN (then RST) with 0 bytes, at many clients at once, before or regardless of the request.",
    backend_hop: "Nothing.",
    why: "worker_connections is exhausted: a tunnel takes two of them all the time. A crashing worker looks alike, and so does a proxy that only relays bytes (nginx `stream`) and cannot reach its backend.",
    fix: "Raise worker_connections (two for every tunnel) and worker_rlimit_nofile; of a proxy that relays bytes, check the backend.",
    template: "worker_rlimit_nofile 20000;\nevents {\n    worker_connections 8192;\n}",
    log: "[alert] ... worker_connections are not enough; for a crash [alert] worker process ... exited on signal ...; for a relay [error] connect() failed ... while connecting to upstream",
    source: "nginx worker_connections",
};

pub(super) static NO_ANSWER: Entry = Entry {
    code: Code::NoAnswer,
    title: "The connection was closed without an answer",
    severity: Severity::Error,
    meaning: "The server took the request and ended the connection without a byte.",
    client_hop: "The request, then FIN or RST from the server.",
    backend_hop: "Not in this capture, or without a visible reason.",
    why: "`return 444`, a listener that expects something else, a crash, or a device that cuts the connection.",
    fix: "Read the log of the server that closed, at that time.",
    template: "",
    log: "access log status 444 if the configuration says so; else [error] or [alert] with the reason",
    source: "nginx return",
};
