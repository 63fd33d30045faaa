//! TLS and HTTP/2 where the classic handshake should be.

use super::{Entry, Told};
use crate::diagnosis::{Code, Severity};

pub(super) static PLAIN_TO_TLS_PORT: Entry = Entry {
    code: Code::PlainToTlsPort,
    title: "A plain HTTP request went to a TLS port",
    severity: Severity::Error,
    meaning: "The server expects TLS where it got an HTTP request in clear.",
    client_hop: "400 `The plain HTTP request was sent to HTTPS port`, then FIN.",
    backend_hop: "Nothing. If the answer is relayed from the backend hop, it is the proxy that speaks http to a TLS backend.",
    why: "ws:// instead of wss://, or `proxy_pass http://` to a port that speaks TLS.",
    fix: "Use wss:// in the client; towards a TLS backend use `proxy_pass https://`.",
    template: "proxy_pass https://{upstream};   # if it is a proxy that speaks http to a TLS port",
    log: "[info] client sent plain HTTP request to HTTPS port while reading client request headers",
    source: "RFC 6455 3; nginx listen ssl, proxy_pass",
};

pub(super) static TLS_TO_PLAIN_PORT: Entry = Entry {
    code: Code::TlsToPlainPort,
    title: "TLS went to a plain HTTP port",
    severity: Severity::Error,
    meaning: "The client began with TLS and the server answered in clear.",
    client_hop: "ClientHello, answered by `HTTP/1.1 400` in clear; the client closes.",
    backend_hop: "Nothing.",
    why: "wss:// to a port without `ssl` in its listen directive, or to a wrong port.",
    fix: "Add ssl to the listen directive, or use ws:// or the right port.",
    template: "listen 443 ssl;\nssl_certificate     ...;\nssl_certificate_key ...;",
    log: "[info] client sent invalid method while reading client request line; the access log has \\x16\\x03\\x01",
    source: "RFC 8446 5.1; nginx listen ssl",
};

pub(super) static TLS_TO_PLAIN_BACKEND: Entry = Entry {
    code: Code::TlsToPlainBackend,
    title: "The proxy spoke TLS to a plain backend",
    severity: Severity::Error,
    meaning: "The proxy began with TLS and the backend answered in clear, or not at all.",
    client_hop: "502; or nothing, if the backend stays silent.",
    backend_hop: "ClientHello, then bytes that are no TLS.",
    why: "`proxy_pass https://` to a backend that speaks http.",
    fix: "Use `proxy_pass http://`, or enable TLS at the backend.",
    template: "proxy_pass http://{upstream};",
    log: "[error] SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while SSL handshaking to upstream",
    source: "RFC 8446 5.1; nginx proxy_pass",
};

pub(super) static BACKEND_TLS_REJECTED: Entry = Entry {
    code: Code::BackendTlsRejected,
    title: "TLS between the proxy and the backend failed",
    severity: Severity::Error,
    meaning: "The proxy does not accept the backend's certificate, or the backend ends the TLS handshake.",
    client_hop: "502 (or 421 or 404 from the backend's default site).",
    backend_hop: "A ClientHello, often without a server name; an alert, or a close right after the handshake.",
    why: "proxy_ssl_verify is on and the certificate is not trusted or has another name; or the backend chooses its certificate by a name that nginx does not send by default.",
    fix: "Send the name, and trust the right authority.",
    template: "proxy_pass https://{upstream};\nproxy_ssl_server_name on;\nproxy_ssl_name backend.example;\nproxy_ssl_trusted_certificate /etc/nginx/backend-ca.pem;",
    log: "[error] upstream SSL certificate verify error: (18:self-signed certificate) while SSL handshaking to upstream, or peer closed connection in SSL handshake",
    source: "RFC 8446 6.2; RFC 6066 3; nginx proxy_ssl_server_name, proxy_ssl_verify",
};

pub(super) static CERTIFICATE_REJECTED: Entry = Entry {
    code: Code::CertificateRejected,
    title: "The client rejected the server's certificate",
    severity: Severity::Error,
    meaning: "The client ended TLS with an alert about the certificate; there was no HTTP at all.",
    client_hop: "Alert 42 to 46 or 48 from the client, then its close.",
    backend_hop: "Nothing.",
    why: "Self-signed, expired, another name, or an incomplete chain.",
    fix: "Install a certificate for the name that clients use, with its whole chain in ssl_certificate.",
    template: "ssl_certificate     /etc/nginx/fullchain.pem;   # the chain, not just the certificate\nssl_certificate_key /etc/nginx/privkey.pem;",
    log: "[info] ([crit] for some alerts before 1.31.0) SSL_do_handshake() failed (... alert unknown ca:SSL alert number 48) while SSL handshaking",
    source: "RFC 8446 6.2; nginx ssl_certificate",
};

pub(super) static CLIENT_CERTIFICATE_MISSING: Entry = Entry {
    code: Code::ClientCertificateMissing,
    title: "The server wants a client certificate",
    severity: Severity::Error,
    meaning: "The server asked for a certificate and its client (to a backend: nginx) had none.",
    client_hop: "A fatal alert from the server after a certificate request, or 400 `No required SSL certificate was sent`; 502 if the backend asked.",
    backend_hop: "Nothing; or the same alert from the backend to nginx.",
    why: "ssl_verify_client is on for this server, or the backend's like.",
    fix: "Give the client a certificate, or make it optional for this name.",
    template: "ssl_verify_client optional;",
    log: "[info] client sent no required SSL certificate while reading client request headers",
    source: "RFC 8446 4.4.2.4, 6.2; nginx ssl_verify_client",
};

pub(super) static TLS_NAME_UNRECOGNIZED: Entry = Entry {
    code: Code::TlsNameUnrecognized,
    title: "The server does not know the name that the client asked for",
    severity: Severity::Error,
    meaning: "The server ended TLS with the alert unrecognized_name.",
    client_hop: "ClientHello, alert 112 from the server.",
    backend_hop: "Nothing.",
    why: "ssl_reject_handshake on, or no server for this name.",
    fix: "Add the name to server_name of the right server, or use the right name in the client.",
    template: "server {\n    listen 443 ssl;\n    server_name chat.example.org;   # the name that clients use\n}",
    log: "[info] handshake rejected while SSL handshaking, with ssl_reject_handshake",
    source: "RFC 6066 3; RFC 8446 6.2; nginx ssl_reject_handshake",
};

pub(super) static TLS_HANDSHAKE_FAILED: Entry = Entry {
    code: Code::TlsHandshakeFailed,
    title: "The TLS handshake failed",
    severity: Severity::Error,
    meaning: "Client and server did not agree on TLS; there was no HTTP at all.",
    client_hop: "An alert such as handshake_failure (40), protocol_version (70) or no_application_protocol (120), or a close right after the ClientHello.",
    backend_hop: "Nothing.",
    why: "No version, cipher or application protocol in common.",
    fix: "Compare ssl_protocols and ssl_ciphers with what the client offers.",
    template: "ssl_protocols TLSv1.2 TLSv1.3;",
    log: "[info] SSL_do_handshake() failed (SSL: ... unsupported protocol, no shared cipher or no application protocol) while SSL handshaking",
    source: "RFC 8446 6.2; RFC 7301 3.2; nginx ssl_protocols, ssl_ciphers",
};

pub(super) static HTTP2_WEBSOCKET_REFUSED: Entry = Entry {
    code: Code::Http2WebsocketRefused,
    title: "A WebSocket over HTTP/2 was refused",
    severity: Severity::Error,
    meaning: "The client used the extended CONNECT of RFC 8441, which nginx does not offer.",
    client_hop: "CONNECT with `:protocol: websocket`, answered `:status 400` or RST_STREAM.",
    backend_hop: "Nothing.",
    why: "nginx knows no `:protocol`. A client should use it only after SETTINGS_ENABLE_CONNECT_PROTOCOL.",
    fix: "Let the client open the WebSocket over HTTP/1.1 (ALPN http/1.1).",
    template: "",
    log: "[info] client sent unknown pseudo-header \":protocol\"",
    source: "RFC 8441 3, 4, 5; nginx http2",
};

pub(super) static HTTP2_CONNECTION_HEADER: Entry = Entry {
    code: Code::Http2ConnectionHeader,
    title: "An HTTP/2 request carries Connection or Upgrade",
    severity: Severity::Error,
    meaning: "HTTP/2 forbids fields that belong to one connection; nginx refuses them since 1.31.0.",
    client_hop: "An HTTP/2 request with Connection or Upgrade, answered 400.",
    backend_hop: "Nothing.",
    why: "A client that puts the classic handshake into HTTP/2.",
    fix: "Let the client use HTTP/1.1 for the handshake.",
    template: "",
    log: "[info] client sent \"Connection\" header",
    source: "RFC 9113 8.2.2",
};

/// The texts for a backend that a proxy did not tell which name it wants.
pub(in crate::diagnosis) static NO_NAME: Told = Told {
    why: "nginx sends no server name (SNI) to backends unless proxy_ssl_server_name is on; this backend refuses TLS without a name that it serves.",
    fix: "Switch proxy_ssl_server_name on, and name the backend with proxy_ssl_name where proxy_pass has an address or another name.",
    template: "proxy_pass https://{upstream};\nproxy_ssl_server_name on;\nproxy_ssl_name backend.example;   # a name that the backend serves",
    log: "[error] SSL_do_handshake() failed (... unrecognized name:SSL alert number 112) while SSL handshaking to upstream",
};

/// The texts for a backend that does not serve the name that a proxy asked for.
pub(in crate::diagnosis) static OTHER_NAME: Told = Told {
    why: "The backend serves other names. nginx asks for the name in proxy_pass unless proxy_ssl_name gives another.",
    fix: "Ask for a name that the backend serves, or add this one there.",
    template: "proxy_ssl_server_name on;\nproxy_ssl_name backend.example;   # a name that the backend serves",
    log: NO_NAME.log,
};

/// The texts for a proxy that left a backend for its certificate.
pub(in crate::diagnosis) static NOT_VERIFIED: Told = Told {
    why: "proxy_ssl_verify is on, and the backend's certificate is not signed by an authority of proxy_ssl_trusted_certificate, has expired, or has another name than proxy_ssl_name, which is the name or address in proxy_pass by default.",
    fix: "Trust the authority that signed it, and verify the name that stands in it.",
    template: "proxy_ssl_trusted_certificate /etc/nginx/backend-ca.pem;\nproxy_ssl_name backend.example;   # the name in the certificate\nproxy_ssl_server_name on;",
    log: "[error] upstream SSL certificate verify error: (...), or upstream SSL certificate does not match \"...\", while SSL handshaking to upstream",
};

/// The texts for a backend that ended the connection behind a ClientHello, without a byte.
pub(in crate::diagnosis) static HUNG_UP: Told = Told {
    why: "`proxy_pass https://` to a port that speaks something else, or a backend that serves only names which nginx does not send by default.",
    fix: "Look whether TLS is spoken at that port: if not, use `proxy_pass http://` or the right port; if it is, send the name.",
    template: "proxy_pass https://{upstream};   # http:// if no TLS is spoken there\nproxy_ssl_server_name on;\nproxy_ssl_name backend.example;",
    log: "[error] peer closed connection in SSL handshake while SSL handshaking to upstream, with (104: Connection reset by peer) behind a RST",
};

/// The texts for a client that does not speak what it agreed on.
pub(in crate::diagnosis) static AGREED_ON_H2: Told = Told {
    why: "The client offered h2 in its ClientHello (ALPN, RFC 7301), the server chose it, and the client asked in HTTP/1.1 all the same.",
    fix: "Let the client offer `http/1.1` alone for WebSocket, as browsers do, or switch http2 off for this server name.",
    template: "",
    log: "",
};

/// The texts for a port without TLS that takes HTTP/2 only.
pub(in crate::diagnosis) static LISTENS_FOR_H2: Told = Told {
    why: "nginx before 1.25.1 does so for `listen ... http2` without `ssl`; so do servers of gRPC.",
    fix: "Remove http2 from the listen directive of the port without TLS: browsers speak HTTP/2 over TLS only.",
    template: "listen 80;                  # without http2",
    log: "[info] invalid connection preface while processing HTTP/2 connection",
};

/// The texts for a backend that takes HTTP/2 only.
pub(in crate::diagnosis) static BACKEND_SPEAKS_H2: Told = Told {
    why: "proxy_pass points to a port of gRPC, or to another that speaks HTTP/2 in clear.",
    fix: "Pass the path to a port that speaks HTTP/1.1: nginx has no WebSocket over HTTP/2 towards a backend.",
    template: "proxy_pass http://{upstream};   # a port that speaks HTTP/1.1",
    log: "[error] upstream sent no valid HTTP/1.0 header while reading response header from upstream (access log status 009)",
};
