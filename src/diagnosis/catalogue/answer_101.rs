//! A 101 that a client must not accept.

use super::forwarding::UPGRADE_SNIPPET;
use super::{Entry, Told};
use crate::diagnosis::{Code, Severity};

pub(super) static ACCEPT_MISMATCH: Entry = Entry {
    code: Code::AcceptMismatch,
    title: "Sec-WebSocket-Accept does not belong to the client's key",
    severity: Severity::Error,
    meaning: "Accept must be base64(SHA-1(key + 258EAFA5-E914-47DA-95CA-C5AB0DC85B11)). A client must fail the connection on any other value.",
    client_hop: "101 with another Accept; the client closes at once and sends no frame.",
    backend_hop: "The same 101; then FIN from the proxy.",
    why: "The backend computes it wrongly, answers from a cache, or answers another key than the client's.",
    fix: "Repair the backend; do not cache upgrades; do not set Sec-WebSocket-Key in the proxy.",
    template: "# remove, if there: proxy_set_header Sec-WebSocket-Key ...;\n# and for this location: proxy_cache off;",
    log: "nothing is logged: nginx does not check the 101",
    source: "RFC 6455 4.1, 4.2.2 step 5.4",
};

pub(super) static ACCEPT_MISSING: Entry = Entry {
    code: Code::AcceptMissing,
    title: "The 101 has no Sec-WebSocket-Accept",
    severity: Severity::Error,
    meaning: "A client must fail the connection without it.",
    client_hop: "101 without Accept; the client closes at once and sends no frame.",
    backend_hop: "The same 101; then FIN from the proxy.",
    why: "The backend does not complete the handshake.",
    fix: "Repair the backend.",
    template: "",
    log: "nothing is logged: nginx does not check the 101",
    source: "RFC 6455 4.1, 4.2.2 step 5.4",
};

pub(super) static ANSWER_UPGRADE_MISSING: Entry = Entry {
    code: Code::AnswerUpgradeMissing,
    title: "The 101 has no Upgrade",
    severity: Severity::Error,
    meaning: "A 101 must say what it switches to; a client must fail the connection without it.",
    client_hop: "101 without Upgrade; the client closes at once.",
    backend_hop: "The same 101.",
    why: "The backend does not complete the handshake. nginx writes its own Connection and passes Upgrade as it comes.",
    fix: "Repair the backend.",
    template: "",
    log: "nothing is logged: nginx does not check the 101",
    source: "RFC 6455 4.1; RFC 9110 15.2.2",
};

pub(super) static ANSWER_UPGRADE_WRONG: Entry = Entry {
    code: Code::AnswerUpgradeWrong,
    title: "The 101 switches to another protocol than websocket",
    severity: Severity::Error,
    meaning: "A server must not switch to a protocol that the client did not ask for.",
    client_hop: "101 with another Upgrade; the client closes at once.",
    backend_hop: "The same 101.",
    why: "The backend or a device answers for another protocol.",
    fix: "Repair the backend.",
    template: "",
    log: "nothing is logged: nginx does not check the 101",
    source: "RFC 6455 4.1; RFC 9110 7.8",
};

pub(super) static ANSWER_CONNECTION_MISSING: Entry = Entry {
    code: Code::AnswerConnectionMissing,
    title: "The 101 has no `Connection: upgrade`",
    severity: Severity::Error,
    meaning: "A client must fail the connection without it.",
    client_hop: "101 whose Connection lacks `upgrade`; the client closes at once.",
    backend_hop: "Possibly the same; behind nginx it does not matter, because nginx writes its own.",
    why: "The server does not complete the handshake, or a device between nginx and the client removed the field.",
    fix: "Repair who sent this answer.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 4.1; RFC 9110 7.8",
};

pub(super) static SUBPROTOCOL_NOT_OFFERED: Entry = Entry {
    code: Code::SubprotocolNotOffered,
    title: "The server chose a subprotocol that the client did not offer",
    severity: Severity::Error,
    meaning: "A client must fail the connection on a subprotocol that it did not ask for, or on more than one.",
    client_hop: "101 with another Sec-WebSocket-Protocol; the client closes at once.",
    backend_hop: "The same 101.",
    why: "The backend answers a fixed subprotocol, or lists all that it knows.",
    fix: "Let the backend choose one of those offered, or send no field.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 4.1, 4.2.2, 11.3.4",
};

pub(super) static SUBPROTOCOL_NOT_CHOSEN: Entry = Entry {
    code: Code::SubprotocolNotChosen,
    title: "The server chose none of the subprotocols offered",
    severity: Severity::Error,
    meaning: "The standard allows it, but browsers fail a connection for which they offered subprotocols and got none.",
    client_hop: "Sec-WebSocket-Protocol in the request, none in the 101; the client closes at once.",
    backend_hop: "The same.",
    why: "The backend does not know the subprotocol, or does not answer the field.",
    fix: "Let the backend choose one of those offered, or do not offer any.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 4.1, 4.2.2",
};

pub(super) static EXTENSION_NOT_OFFERED: Entry = Entry {
    code: Code::ExtensionNotOffered,
    title: "The server chose an extension that the client did not offer",
    severity: Severity::Error,
    meaning: "A client must fail the connection on an extension that it did not ask for.",
    client_hop: "101 with another Sec-WebSocket-Extensions; the client closes at once.",
    backend_hop: "The same 101, possibly to a request from which the proxy removed the field.",
    why: "The backend always answers with permessage-deflate, or a proxy removed the offer on the way.",
    fix: "Repair the backend, or do not remove the offer in the proxy.",
    template: "",
    log: "nothing is logged",
    source: "RFC 6455 4.1, 9.1",
};

pub(super) static EXTENSION_PARAMETERS_INVALID: Entry = Entry {
    code: Code::ExtensionParametersInvalid,
    title: "The parameters of the agreed extension are not valid",
    severity: Severity::Error,
    meaning: "The answer to permessage-deflate has an unknown, repeated or out-of-range parameter, or one that the offer does not allow; a client must fail the connection.",
    client_hop: "101 with such a parameter; the client closes at once.",
    backend_hop: "The same 101.",
    why: "A server library with a bug in its negotiation.",
    fix: "Update the server, or turn compression off.",
    template: "proxy_set_header Sec-WebSocket-Extensions \"\";   # works around it: no compression",
    log: "nothing is logged",
    source: "RFC 7692 5.1, 7.1",
};

/// The texts for a 101 that nginx makes by itself.
pub(in crate::diagnosis) const RETURNED_101: Told = Told {
    why: "The 101 is nginx's own, as `return 101` makes it: it has nothing of a backend's. nginx speaks no WebSocket itself; it makes a tunnel of a backend's 101.",
    fix: "Pass the path to the WebSocket backend, in the place of `return 101`.",
    template: UPGRADE_SNIPPET,
    log: "nothing is logged: the access log has the status",
};
