//! What the client's own request lacks.

use super::{Entry, Told};
use crate::diagnosis::{Code, Severity};

pub(super) static VERSION_MISSING: Entry = Entry {
    code: Code::VersionMissing,
    title: "The client sent no Sec-WebSocket-Version",
    severity: Severity::Error,
    meaning: "The version is required and must be 13.",
    client_hop: "No Sec-WebSocket-Version; the answer is 400 or 426.",
    backend_hop: "The same: nginx forwards what there is.",
    why: "A hand-made request or an old client library.",
    fix: "Send `Sec-WebSocket-Version: 13`.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 4.1, 4.2.1, 4.4",
};

pub(super) static VERSION_UNSUPPORTED: Entry = Entry {
    code: Code::VersionUnsupported,
    title: "The client asks for a WebSocket version that the server does not speak",
    severity: Severity::Error,
    meaning: "Only version 13 is in use; the server's answer lists what it speaks.",
    client_hop: "Sec-WebSocket-Version other than 13; 400 or 426 with Sec-WebSocket-Version.",
    backend_hop: "The same.",
    why: "A client from before RFC 6455 (2011), or a test.",
    fix: "Update the client.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 4.2.2, 4.4",
};

pub(super) static KEY_MISSING: Entry = Entry {
    code: Code::KeyMissing,
    title: "The client sent no Sec-WebSocket-Key",
    severity: Severity::Error,
    meaning: "Without a key there is nothing to accept.",
    client_hop: "Upgrade without Sec-WebSocket-Key; the answer is 400.",
    backend_hop: "The same.",
    why: "A hand-made request.",
    fix: "Send a key: 16 random bytes in base64, new for every connection.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 4.1, 4.2.1",
};

pub(super) static KEY_INVALID: Entry = Entry {
    code: Code::KeyInvalid,
    title: "The client's Sec-WebSocket-Key is not valid",
    severity: Severity::Error,
    meaning: "A key is 16 bytes in base64: 24 characters that end in `==`.",
    client_hop: "Another key, for example `test`; the answer is 400.",
    backend_hop: "The same: nginx does not check it.",
    why: "A hand-made request; popular recipes use such keys.",
    fix: "Send 16 random bytes in base64, for example from `openssl rand -base64 16`.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 4.1, 4.2.1",
};

pub(super) static HEADER_DUPLICATED: Entry = Entry {
    code: Code::HeaderDuplicated,
    title: "A header field that must be single is there more than once",
    severity: Severity::Error,
    meaning: "Host, Origin, Content-Length, Sec-WebSocket-Key and Sec-WebSocket-Version may appear once.",
    client_hop: "The field twice; the answer is 400.",
    backend_hop: "Nothing if nginx refused it (Host), else the same.",
    why: "A chain of proxies of which one adds instead of replacing, or a client bug.",
    fix: "Find the hop that adds the second one.",
    template: "",
    log: "[info] client sent duplicate host header, for Host; nothing for the others",
    source: "RFC 6455 11.3.1, 11.3.5; RFC 9112 3.2",
};

pub(super) static OFFER_INVALID: Entry = Entry {
    code: Code::OfferInvalid,
    title: "What the client offers is malformed",
    severity: Severity::Error,
    meaning: "Sec-WebSocket-Protocol is a list of tokens, each of them once; Sec-WebSocket-Extensions is a list of extensions with their parameters. Strict servers refuse a request in which they are not.",
    client_hop: "An empty, repeated or misspelled subprotocol, or an extension with parameters that do not exist; the answer is 400.",
    backend_hop: "The same: nginx copies both fields.",
    why: "The client fills the subprotocol with what is no token: a token with spaces, a URL, JSON, or an empty string; or a hand-made request.",
    fix: "Offer plain names. What has other characters (credentials, a URL) belongs into the query, a cookie or the first message.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 4.1, 9.1, 11.3.4; RFC 7692 5, 7.1",
};

pub(super) static HOST_MISSING: Entry = Entry {
    code: Code::HostMissing,
    title: "The client sent no Host",
    severity: Severity::Error,
    meaning: "HTTP/1.1 requires Host; nginx refuses such a request itself.",
    client_hop: "No Host, or an empty one; the answer is 400.",
    backend_hop: "Nothing.",
    why: "A hand-made request or a client bug.",
    fix: "Send Host.",
    template: "",
    log: "[info] client sent HTTP/1.1 request without \"Host\" header while reading client request headers",
    source: "RFC 9112 3.2; RFC 6455 4.1",
};

pub(super) static METHOD_NOT_GET: Entry = Entry {
    code: Code::MethodNotGet,
    title: "The handshake request is not GET",
    severity: Severity::Error,
    meaning: "An opening handshake is a GET; other methods are refused or answered as ordinary requests.",
    client_hop: "HEAD, POST or another method; 400, 404, 405 or 200.",
    backend_hop: "The same.",
    why: "`curl -I` sends HEAD; a form or a client bug sends POST.",
    fix: "Use GET.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 4.1, 4.2.1",
};

pub(super) static HTTP10_REQUEST: Entry = Entry {
    code: Code::Http10Request,
    title: "The client spoke HTTP/1.0",
    severity: Severity::Error,
    meaning: "Upgrade exists since HTTP/1.1. nginx still forwards such a request as an upgrade; strict servers refuse it.",
    client_hop: "`HTTP/1.0` in the request line.",
    backend_hop: "What the proxy makes of it.",
    why: "An old client or a device in front that speaks HTTP/1.0, for example another nginx with its older defaults.",
    fix: "Use HTTP/1.1; in an nginx in front set proxy_http_version 1.1.",
    template: "proxy_http_version 1.1;   # in the nginx in front",
    log: "nothing is logged",
    source: "RFC 6455 4.1; RFC 9110 7.8",
};

pub(super) static PROBE_ARTEFACT: Entry = Entry {
    code: Code::ProbeArtefact,
    title: "This attempt is a probe that cannot succeed",
    severity: Severity::Info,
    meaning: "The request follows a recipe that fails on correct servers too: HEAD by `curl -I`, the key `test`, or no key. It says nothing about real clients.",
    client_hop: "HEAD, an invalid key, or no Upgrade, sent by a command-line tool.",
    backend_hop: "The same.",
    why: "Popular instructions recommend it.",
    fix: "Probe with a complete request: curl -i -N --http1.1 --max-time 5 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' -H \"Sec-WebSocket-Key: $(openssl rand -base64 16)\" http://HOST/PATH",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 4.1",
};

/// The texts for a request of the drafts before RFC 6455.
pub(in crate::diagnosis) const OLD_DRAFT: Told = Told {
    why: "It has Sec-WebSocket-Key1 and Key2 instead, as the drafts before 2011 (hixie-76, hybi-00) had. Servers of today do not speak these.",
    fix: "Update the client: it speaks a draft that RFC 6455 replaced.",
    template: "",
    log: "nothing is logged; [info] client sent invalid method for the eight bytes behind the head",
};
