//! The PROXY protocol: sent where it is not expected, expected where it is not sent.

use super::Entry;
use crate::diagnosis::{Code, Severity};

pub(super) static PROXY_PROTOCOL_MISSING: Entry = Entry {
    code: Code::ProxyProtocolMissing,
    title: "The server closed without a byte: `return 444`, or a PROXY protocol header is missing",
    severity: Severity::Error,
    meaning: "The server closed at once, without a byte, after a request that has nothing wrong with it.",
    client_hop: "The request, then FIN with 0 bytes.",
    backend_hop: "Nothing.",
    why: "`return 444` closes so, and is usual in a default server for names that no other one serves. `listen ... proxy_protocol` closes connections that do not begin with the header. On the wire both are the same; nginx's logs tell.",
    fix: "See which server block serves this Host: add the name to server_name of the right one. If the listener has proxy_protocol, send the header at the balancer in front, or remove it there: both ends must agree.",
    template: "listen 80;                  # without proxy_protocol, if nothing in front sends the header",
    log: "444 in the access log for `return 444`; [error] broken header: \"GET ...\" while reading PROXY protocol",
    source: "PROXY protocol 2; nginx listen proxy_protocol",
};

pub(super) static PROXY_PROTOCOL_UNEXPECTED: Entry = Entry {
    code: Code::ProxyProtocolUnexpected,
    title: "A PROXY protocol header went to a listener that does not expect one",
    severity: Severity::Error,
    meaning: "The server took the header for a request line and refused it.",
    client_hop: "`PROXY TCP4 ...` (or the binary signature of version 2) before the request; 400.",
    backend_hop: "Nothing.",
    why: "The balancer in front sends the header and the listen directive lacks proxy_protocol.",
    fix: "Add proxy_protocol to the listen directive, or turn it off in front: both ends must agree.",
    template: "listen 80 proxy_protocol;\nset_real_ip_from 192.0.2.0/24;   # the balancer\nreal_ip_header proxy_protocol;",
    log: "[info] client sent invalid request while reading client request line",
    source: "PROXY protocol 2; nginx listen proxy_protocol",
};

pub(super) static PROXY_PROTOCOL_TO_BACKEND: Entry = Entry {
    code: Code::ProxyProtocolToBackend,
    title: "The proxy sent a PROXY protocol header to a backend that does not expect one",
    severity: Severity::Error,
    meaning: "The backend took the header for a request and refused or closed.",
    client_hop: "The backend's refusal, or a close without an answer.",
    backend_hop: "The PROXY header before the request; 400 or a close.",
    why: "`proxy_protocol on` in a stream server towards a backend that speaks plain HTTP.",
    fix: "Turn it off, or let the backend read it.",
    template: "proxy_protocol off;   # in the stream server",
    log: "what the backend logs; nginx nothing",
    source: "PROXY protocol 2; nginx stream proxy_protocol",
};
