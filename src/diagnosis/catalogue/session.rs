//! After the 101: how sessions end.

use super::{Entry, Told};
use crate::diagnosis::{Code, Severity};

pub(super) static IDLE_TIMEOUT: Entry = Entry {
    code: Code::IdleTimeout,
    title: "The proxy closed the tunnel because it was silent",
    severity: Severity::Error,
    meaning: "Nothing was said in either direction for proxy_read_timeout, and nginx closed both sides.",
    client_hop: "Silence, then FIN from nginx without a Close frame: browsers report 1006.",
    backend_hop: "The same silence; FIN from nginx, just before the one to the client.",
    why: "proxy_read_timeout (60 s by default) also limits the silence in a tunnel. Data in either direction restarts it. It fires up to 0.3 s early.",
    fix: "Send pings from either side more often than the timeout, and raise the timeout as well. 0 does not disable it: it fails every request at once.",
    template: "# in the location that serves this path\nproxy_read_timeout 3600s;   # and pings more often than this",
    log: "[info] upstream timed out (110: Connection timed out) while proxying upgraded connection: not shown at the default level error",
    source: "RFC 6455 5.5.2, 7.1.5; nginx proxy_read_timeout",
};

/// The texts for a proxy that relays bytes.
pub(in crate::diagnosis) const IDLE_RELAY: Told = Told {
    why: "The request went out byte by byte as it came in: this proxy relays bytes and knows nothing of HTTP. In nginx `stream` that is proxy_timeout (10 min by default); data in either direction restarts it.",
    fix: "Send pings from either side more often than the timeout, and raise the timeout as well.",
    template: "server {   # of stream { }\n    proxy_timeout 1h;   # and pings more often than this\n}",
    log: "[info] connection timed out (110: Connection timed out) while proxying connection: not shown at the default level error",
};

pub(super) static IDLE_TIMEOUT_IN_FRONT: Entry = Entry {
    code: Code::IdleTimeoutInFront,
    title: "Something in front of the proxy closed the tunnel because it was silent",
    severity: Severity::Error,
    meaning: "After a silence of a typical timeout, FIN or RST came from the client's side without a Close frame.",
    client_hop: "Silence, then FIN or RST from the client's side.",
    backend_hop: "nginx closes after it.",
    why: "A balancer, CDN, NAT or outer proxy with an idle limit: 60 s at many balancers, about 100 s at CDNs, 350 s at NAT gateways.",
    fix: "Send pings more often than that limit, and raise it in the device in front.",
    template: "",
    log: "nothing for FIN; [info] recv() failed (104: Connection reset by peer) while proxying upgraded connection for RST",
    source: "RFC 6455 5.5.2, 7.1.5",
};

pub(super) static CONNECTION_VANISHED: Entry = Entry {
    code: Code::ConnectionVanished,
    title: "One end of the connection vanished",
    severity: Severity::Error,
    meaning: "Data was sent again and again without an acknowledgment: the other end, or the way to it, is gone without a word.",
    client_hop: "Retransmissions with growing pauses; no FIN or RST from the other end.",
    backend_hop: "Often still open, until a timeout.",
    why: "A NAT or firewall forgot the connection, a device went to sleep or changed networks, a host crashed.",
    fix: "Send pings so that both ends and the devices between notice; use TCP keep-alive at the proxy.",
    template: "listen 80 so_keepalive=60s:10s:6;\nproxy_socket_keepalive on;",
    log: "[info] or [error] ... timed out (110: Connection timed out) while proxying upgraded connection, much later",
    source: "RFC 9293 3.8.3, 3.8.4; RFC 6298 5; nginx so_keepalive, proxy_socket_keepalive",
};

pub(super) static CLOSED_WITH_ERROR: Entry = Entry {
    code: Code::ClosedWithError,
    title: "The session was closed with an error code",
    severity: Severity::Error,
    meaning: "A Close frame says why: its sender found something wrong. An MQTT server says so in a packet of its own.",
    client_hop: "A Close frame with the code; usually the other side echoes it. Of MQTT: CONNACK or DISCONNECT with a code as the server's last packet, then the end, without a Close frame.",
    backend_hop: "The same frame: nginx does not send or alter frames.",
    why: "What the code says, in the view of who sent it first.",
    fix: "Read the log of who sent the code first.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 5.5.1, 7.4; MQTT 3.1.1, 3.2.2.3; MQTT 5.0, 2.4, 3.2.2.2, 3.14",
};

pub(super) static BACKEND_CLOSED_WITHOUT_CLOSE: Entry = Entry {
    code: Code::BackendClosedWithoutClose,
    title: "The backend ended the session without a Close frame",
    severity: Severity::Error,
    meaning: "The backend closed its TCP connection without the closing handshake of WebSocket.",
    client_hop: "FIN from nginx, no Close frame: browsers report 1006.",
    backend_hop: "FIN from the backend first.",
    why: "The application or its worker ended: restart, deployment, exception, its own idle limit.",
    fix: "Read the backend's log at that time; let it send a Close frame before it exits.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 7.1.1, 7.1.5",
};

pub(super) static BACKEND_RESET: Entry = Entry {
    code: Code::BackendReset,
    title: "The backend reset the session",
    severity: Severity::Error,
    meaning: "The backend's connection was aborted by RST.",
    client_hop: "FIN from nginx (it never relays an RST), no Close frame.",
    backend_hop: "RST from the backend first.",
    why: "The backend was killed or crashed, closed with unread data, or a device cut the connection.",
    fix: "Look for crashes and restarts of the backend at that time.",
    template: "",
    log: "[error] recv() failed (104: Connection reset by peer) while proxying upgraded connection; the same text at [info] means the client",
    source: "RFC 9293 3.5.2; RFC 6455 7.1.5",
};

pub(super) static CLIENT_LEFT: Entry = Entry {
    code: Code::ClientLeft,
    title: "The client left without a Close frame",
    severity: Severity::Info,
    meaning: "The client closed its TCP connection without the closing handshake.",
    client_hop: "FIN from the client first.",
    backend_hop: "FIN from the proxy after it.",
    why: "A page that was left, a process that ended, a network that changed.",
    fix: "Nothing to do, unless clients should say goodbye.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 7.1.1, 7.1.5",
};

pub(super) static CLIENT_RESET: Entry = Entry {
    code: Code::ClientReset,
    title: "The client reset the session",
    severity: Severity::Warning,
    meaning: "The client's side aborted the connection by RST.",
    client_hop: "RST from the client's side first.",
    backend_hop: "FIN from the proxy after it.",
    why: "The client was killed, closed with unread data, or a device in front cut the connection.",
    fix: "Look at the client and at the devices in front of the proxy.",
    template: "",
    log: "[info] recv() failed (104: Connection reset by peer) while proxying upgraded connection; the same text at [error] means the backend",
    source: "RFC 9293 3.5.2; RFC 6455 7.1.5",
};

pub(super) static CUT_MID_FRAME: Entry = Entry {
    code: Code::CutMidFrame,
    title: "The session ended inside a frame",
    severity: Severity::Error,
    meaning: "A frame announced more bytes than came before the end.",
    client_hop: "Fewer bytes than announced, then FIN or RST.",
    backend_hop: "Equally short: the sender stopped. Complete here and short at the client: the proxy's side to the client broke.",
    why: "The sender ended in the middle of a message, or the receiver's side closed before all was delivered.",
    fix: "Read the log of the sender; if only the client hop is short, look at the client and its network.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 5.2, 7.1.7",
};

pub(super) static SILENT_AFTER_101: Entry = Entry {
    code: Code::SilentAfter101,
    title: "Nothing was said after the 101",
    severity: Severity::Error,
    meaning: "The tunnel came up, nobody sent a frame, and it was closed.",
    client_hop: "101, then silence until the close.",
    backend_hop: "The same.",
    why: "Each side waits for the other, or the subprotocol is not the one that the application expects.",
    fix: "Find out who should speak first; send pings while there is nothing to say.",
    template: "# in the location that serves this path\nproxy_read_timeout 3600s;   # and pings more often than this",
    log: "[info] upstream timed out (110: Connection timed out) while proxying upgraded connection, if nginx closed it",
    source: "RFC 6455 5.5.2; nginx proxy_read_timeout",
};

pub(super) static CLOSED_RIGHT_AFTER_101: Entry = Entry {
    code: Code::ClosedRightAfter101,
    title: "The client closed right after the 101",
    severity: Severity::Warning,
    meaning: "The client got the 101 and closed before it sent a frame: it did not like the answer, or only wanted to see it.",
    client_hop: "101, then FIN or RST from the client at once.",
    backend_hop: "FIN from the proxy after it.",
    why: "A check of the client that failed (Accept, subprotocol, extension), an error in the application, or a probe.",
    fix: "Look at the client's error message; compare what it offered with what was chosen.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 4.1, 7.1.7",
};

pub(super) static FRAME_FAULT: Entry = Entry {
    code: Code::FrameFault,
    title: "A frame broke a rule of WebSocket",
    severity: Severity::Warning,
    meaning: "The bytes of a frame are not as RFC 6455 or RFC 7692 demand; the receiver must fail the connection.",
    client_hop: "The frame; often a Close frame with 1002, 1007 or 1009 as the answer.",
    backend_hop: "The same: nginx passes bytes as they are.",
    why: "A bug of who sent it, or a device that changes bytes.",
    fix: "Update or repair who sent it.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 5, 7.4, 8.1; RFC 7692 6, 7",
};

pub(super) static COMPRESSION_NOT_NEGOTIATED: Entry = Entry {
    code: Code::CompressionNotNegotiated,
    title: "Compressed frames without negotiated compression",
    severity: Severity::Error,
    meaning: "A side sends compressed messages on a hop whose handshake did not agree on permessage-deflate.",
    client_hop: "RSV1 set; no permessage-deflate in the 101 seen here.",
    backend_hop: "permessage-deflate may have been agreed on there.",
    why: "A proxy removes or edits Sec-WebSocket-Extensions in one direction only.",
    fix: "Remove Sec-WebSocket-Extensions in the request to turn compression off for both sides, or do not touch it.",
    template: "proxy_set_header Sec-WebSocket-Extensions \"\";\n# and remove: proxy_hide_header Sec-WebSocket-Extensions;",
    log: "nothing is logged",
    source: "RFC 6455 5.2, 9.1; RFC 7692 5, 6",
};

pub(super) static CLIENT_NOT_READING: Entry = Entry {
    code: Code::ClientNotReading,
    title: "The client did not read what was sent to it",
    severity: Severity::Error,
    meaning: "The client's receive window was closed until the proxy gave up.",
    client_hop: "Zero window from the client; the proxy closes after send_timeout (60 s by default).",
    backend_hop: "The proxy stops reading: its window closes as well.",
    why: "The application at the client is stuck, or slower than the data.",
    fix: "Repair the client, or send less; send_timeout decides how long nginx waits.",
    template: "send_timeout 60s;",
    log: "[info] client timed out (110: Connection timed out) while proxying upgraded connection",
    source: "RFC 9293 3.8.6; nginx send_timeout",
};

pub(super) static BACKEND_NOT_READING: Entry = Entry {
    code: Code::BackendNotReading,
    title: "The backend did not read what was sent to it",
    severity: Severity::Error,
    meaning: "The backend's receive window was closed until the proxy gave up.",
    client_hop: "The proxy stops reading: its window closes as well.",
    backend_hop: "Zero window from the backend; the proxy closes after proxy_send_timeout (60 s by default).",
    why: "The application is stuck, or slower than the data.",
    fix: "Repair the backend; proxy_send_timeout decides how long nginx waits.",
    template: "proxy_send_timeout 60s;",
    log: "[info] upstream timed out (110: Connection timed out) while proxying upgraded connection",
    source: "RFC 9293 3.8.6; nginx proxy_send_timeout",
};

pub(super) static PROXY_CLOSED: Entry = Entry {
    code: Code::ProxyClosed,
    title: "The proxy closed the tunnel",
    severity: Severity::Error,
    meaning: "The proxy ended both sides, without a Close frame and not after a silence that looks like a timeout.",
    client_hop: "FIN from the proxy, no Close frame.",
    backend_hop: "FIN from the proxy within milliseconds of the other.",
    why: "A reload with worker_shutdown_timeout, a stop, a crash of a worker, or a limit of the proxy.",
    fix: "Compare the time with reloads and restarts of nginx.",
    template: "worker_shutdown_timeout 1h;   # how long a reload leaves tunnels alone",
    log: "nothing at error level; [notice] for a reload or stop, [alert] for a crash",
    source: "nginx worker_shutdown_timeout",
};

pub(super) static PROXY_RESTARTED: Entry = Entry {
    code: Code::ProxyRestarted,
    title: "The proxy closed many tunnels at one instant",
    severity: Severity::Error,
    meaning: "Tunnels that had nothing in common but the proxy ended together, closed by it in good order: a reload or a stop.",
    client_hop: "FIN from the proxy on many connections within milliseconds, no Close frames.",
    backend_hop: "FIN from the proxy on all their backend connections.",
    why: "At a reload old workers keep their tunnels until worker_shutdown_timeout; at a stop they close them at once.",
    fix: "Reload less often, raise worker_shutdown_timeout, and let clients reconnect after a random pause.",
    template: "worker_shutdown_timeout 1h;",
    log: "nothing at error level; [notice] signal process started, gracefully shutting down",
    source: "nginx worker_shutdown_timeout",
};

pub(super) static PROXY_CRASHED: Entry = Entry {
    code: Code::ProxyCrashed,
    title: "The proxy dropped many tunnels at one instant",
    severity: Severity::Error,
    meaning: "Tunnels that had nothing in common but the proxy ended together, as the kernel ends them for a process that is gone: a worker was killed or crashed.",
    client_hop: "FIN and RST from the proxy on many connections at one instant, the newest first.",
    backend_hop: "The same.",
    why: "A worker process crashed or was killed (out of memory); the kernel closes its sockets.",
    fix: "Update nginx and its modules; look for signals and the out-of-memory killer.",
    template: "",
    log: "[alert] worker process ... exited on signal ...",
    source: "nginx error_log",
};

pub(super) static HALF_CLOSED: Entry = Entry {
    code: Code::HalfClosed,
    title: "The client closed its side and lost the last replies",
    severity: Severity::Warning,
    meaning: "The client sent FIN and could still have read, but nginx knows no half-closed tunnel: it closed both sides and discarded what the backend sent.",
    client_hop: "FIN from the client, then FIN from nginx; the last replies do not arrive.",
    backend_hop: "Data from the backend after the client's FIN; RST from nginx.",
    why: "The client uses shutdown() to say that it is done, as over plain TCP.",
    fix: "Send a Close frame and wait for the answer before closing.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 7.1.1; RFC 9293 3.6",
};

pub(super) static NETWORK_LOSS: Entry = Entry {
    code: Code::NetworkLoss,
    title: "Data was lost on the network when the session ended",
    severity: Severity::Error,
    meaning: "Data was still being retransmitted at the close: what looks like a timeout is a network that does not deliver.",
    client_hop: "Retransmissions with growing pauses before the end.",
    backend_hop: "Or here.",
    why: "Packet loss, or a path that swallows large packets (MTU) while small ones pass.",
    fix: "Look at the path between the two ends of that hop: loss, MTU, ICMP filtered.",
    template: "",
    log: "[info] upstream timed out or client timed out (110: Connection timed out) while proxying upgraded connection",
    source: "RFC 9293 3.8.1; RFC 6298; RFC 4821",
};
