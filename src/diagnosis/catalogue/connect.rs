//! Clients that could not even connect.

use super::{Code, Entry, Severity};

pub(super) static CONNECT_REFUSED: Entry = Entry {
    code: Code::ConnectRefused,
    title: "A client's connection was refused",
    severity: Severity::Error,
    meaning: "A client that had made a handshake with this server before could not even connect again. It is said only of such clients: a refusal of anybody else is counted, not judged.",
    client_hop: "SYN, answered by RST (or by ICMP port unreachable).",
    backend_hop: "Nothing.",
    why: "Nobody listens at that address any more: nginx was stopped, is being restarted, did not come up again (a faulty configuration, a port in use), or no longer listens there. A firewall that rejects with a reset looks alike.",
    fix: "See whether it runs and listens (`systemctl status nginx`, `ss -ltn`, `nginx -t`). A reload keeps the listening sockets open where a restart closes them.",
    template: "",
    log: "nothing of the refused connection; the last start or stop is in the error log, [emerg] where it did not come up",
    source: "RFC 9293 3.5.2",
};

pub(super) static CONNECT_UNANSWERED: Entry = Entry {
    code: Code::ConnectUnanswered,
    title: "A client's connection was not answered",
    severity: Severity::Error,
    meaning: "A client that had made a handshake with this server before tried to connect again and got no answer. It is said only of such clients: others are counted, not judged.",
    client_hop: "The same SYN several times, for 3 s at least; no SYN-ACK and no RST.",
    backend_hop: "Nothing.",
    why: "A firewall drops the packets, the host or a network on the way is down, or the queue of connections that wait to be accepted is full. Where the capture was taken decides: seen on the proxy host, the SYN did arrive there.",
    fix: "Capture on the proxy host: without the SYN there, look at the network on the way; with it, at the firewall rules and at the listen queue (`nstat -az TcpExtListenOverflows`, `ss -ltn`).",
    template: "",
    log: "nothing: nginx does not see the connection",
    source: "RFC 9293 3.8.1; nginx listen backlog",
};
