//! What to tell of a proxy that is not nginx: its directives and logs are others.

use std::borrow::Cow;

use crate::diagnosis::Code;
use crate::diagnosis::program::Product;

/// For texts about a proxy that no entry foresaw.
const LAST_RESORT: &str =
    "Look into the configuration of this proxy, and into its log at the time of the frame given.";

const LOG_OF_WHO_ANSWERED: &str = "Read the log of who answered, at the time of the frame given.";

/// What stands in the place of the line that nginx would log.
pub(in crate::diagnosis) const NOT_IN_NGINX: &str =
    "nothing: the proxy is not nginx; read its own log";

/// Behind advice for nginx where the proxy may be another.
pub(in crate::diagnosis) const IF_NGINX: &str =
    " The directives are nginx's; whether this proxy is nginx, the capture does not tell.";

/// Words that only nginx's users can follow.
const WORDS: &[&str] = &[
    "nginx",
    "proxy_",
    "location",
    "limit_",
    "auth_basic",
    "auth_request",
    "worker_",
    "send_timeout",
    "max_fails",
    "ssl_",
    "try_files",
    "server_name",
    "listen directive",
    "large_client_header_buffers",
    "`return ",
];

/// Whether a text speaks of nginx or its directives.
pub(in crate::diagnosis) fn speaks_of_nginx(text: &str) -> bool {
    WORDS.iter().any(|word| text.contains(word))
}

/// Why it happens and what to do.
type Advice = (&'static str, Cow<'static, str>);

/// What to say of another product in the place of what an entry says of nginx.
pub(in crate::diagnosis) fn elsewhere(code: Code, product: Product) -> Advice {
    forwarding(code, product)
        .or_else(|| answers(code))
        .or_else(|| upstream(code, product))
        .or_else(|| transport(code))
        .or_else(|| session(code, product))
        .unwrap_or_else(|| ("Its configuration decides that.", LAST_RESORT.into()))
}

/// What a proxy did to a handshake or to its answer.
fn forwarding(code: Code, product: Product) -> Option<Advice> {
    Some(match code {
        Code::UpgradeNotForwarded
        | Code::ConnectionNotForwarded
        | Code::Http10ToBackend
        | Code::UpgradeAltered
        | Code::UpgradeAdded
        | Code::ConnectionUpgradeForced => (
            "Upgrade and Connection belong to one hop only (RFC 9110 7.6.1): a proxy sends them on only if it takes part in the upgrade.",
            upgrade(product).into(),
        ),
        Code::OriginHostMismatch
        | Code::HostRewritten
        | Code::BadRequest
        | Code::Forbidden
        | Code::PathRewritten => (
            "Its configuration changes what the client sent, or the application does not trust it.",
            match product {
                Product::Apache => "Pass the client's Host on (`ProxyPreserveHost On`), and tell the application its public origin.",
                _ => "Let that proxy pass Host and the path on as the client sent them, and tell the application its public origin.",
            }
            .into(),
        ),
        Code::KeyNotForwarded
        | Code::KeyRewritten
        | Code::VersionNotForwarded
        | Code::SubprotocolNotForwarded
        | Code::ExtensionsNotForwarded => (
            "A rule of the proxy or a filter in between removes or sets the field: proxies copy what they have no rule for.",
            "Remove the rule that touches the field.".into(),
        ),
        Code::AcceptNotReturned | Code::UpgradeNotReturned => (
            "A rule of the proxy or a filter in between removes it from the answer.",
            "Remove the rule that hides the field.".into(),
        ),
        Code::StatusChanged => (
            "A page of its own for errors, a redirect rewritten, or an answer that the proxy could not use.",
            "Turn the proxy's own pages for errors off for the path of a WebSocket.".into(),
        ),
        Code::InterimResponse => (
            "Not every proxy takes 1xx answers of a backend in front of a 101.",
            LOG_OF_WHO_ANSWERED.into(),
        ),
        Code::Http10Request => (
            "An old client or a device in front that speaks HTTP/1.0.",
            "Use HTTP/1.1, in the device in front as well.".into(),
        ),
        _ => return None,
    })
}

/// What answered, and how.
fn answers(code: Code) -> Option<Advice> {
    Some(match code {
        Code::NotFound
        | Code::MethodNotAllowed
        | Code::AnsweredAsPage
        | Code::UpgradeRequired => (
            "The path is not the WebSocket's, or what answered did not see an upgrade.",
            "Compare what reached the backend (path, Host, Upgrade, Connection) with what the application serves, and with the rules of this proxy.".into(),
        ),
        Code::Unauthorized => (
            "A rule of the proxy or the application wants credentials or a session.",
            "Give the WebSocket request credentials that a browser can send, or exempt the path and authenticate in the application.".into(),
        ),
        Code::TooManyRequests => (
            "A limit of the proxy or of the application. An open tunnel may count as a connection all the time.",
            "Raise the limit for the WebSocket path, and let clients wait longer between attempts.".into(),
        ),
        Code::ServerError => (
            "An error in the application, or in the configuration of the proxy.",
            LOG_OF_WHO_ANSWERED.into(),
        ),
        Code::Redirected => (
            "http to https, a trailing slash, a canonical host, or a login page.",
            "Open the final address with ws or wss.".into(),
        ),
        Code::AnswerUpgradeMissing | Code::AnswerConnectionMissing => (
            "The server does not complete the handshake, or a device on the way removed the field.",
            "Repair who sent this answer.".into(),
        ),
        _ => return None,
    })
}

/// Between the proxy and its backends, and whether anybody listens.
fn upstream(code: Code, product: Product) -> Option<Advice> {
    Some(match code {
        Code::BackendTimeout | Code::GatewayTimeout => (
            "The application is stuck or overloaded, or waits for something that the request lacks.",
            format!(
                "Find out where the backend hangs. A longer timeout{} only delays the failure.",
                match product {
                    Product::HaProxy => " (timeout server)",
                    Product::Apache => " (ProxyTimeout)",
                    Product::Envoy => " (of the route: 15 s by default)",
                    Product::Varnish => " (first_byte_timeout: 60 s by default)",
                    _ => "",
                }
            )
            .into(),
        ),
        Code::BackendRefused => (
            "The backend is down or restarting, or the proxy is told another address, port or protocol than it speaks.",
            "Start the backend; compare the address, port and scheme that the proxy is given with what the backend listens on (`ss -ltnp`).".into(),
        ),
        Code::BackendInvalidResponse => (
            "The proxy is told a port that speaks something else than HTTP.",
            "Correct the address, the port or the scheme that the proxy is given.".into(),
        ),
        Code::BackendConnectTimeout => (
            "A firewall or security group drops, a wrong address, a host that is down, or a full accept queue.",
            "Open the way from the proxy to the backend, or correct the address.".into(),
        ),
        Code::ServiceUnavailable | Code::BadGateway | Code::NoLiveBackend => (
            "A balancer says so when none of its servers is up, or none takes the connection.",
            "Read its log and the state of its health checks, and capture between it and its servers.".into(),
        ),
        Code::BackendNotContacted => (
            "The answer is the proxy's own: no rule for this path, a redirect, a limit, access control, or no usable backend.",
            "Look at the rule of the proxy that serves this path.".into(),
        ),
        Code::BackendClosedEarly => (
            "The application ended the connection, or what listens there speaks another protocol.",
            "Compare the path and Sec-WebSocket-Protocol with what the application serves, the port and the scheme that the proxy is given with where and how it listens, and read its log at that time.".into(),
        ),
        Code::BackendResetEarly => (
            "The backend crashed, closed with unread data, or a device in between cut the connection.",
            "Check that the proxy is given the port on which the application serves WebSocket; read its log at that time, and look for restarts.".into(),
        ),
        Code::BackendRetried => (
            "Proxies try again after an error or a timeout; a connection that was kept may just have been closed by the backend.",
            "Repair the backend that failed; let it keep its connections longer than the proxy does.".into(),
        ),
        Code::BackendHeaderTooBig | Code::RequestHeaderTooBig => (
            "Large cookies or policies, for which the proxy's buffer is too small.",
            "Send less, or raise the limit of who refused it.".into(),
        ),
        Code::ProxyOverloaded => (
            "It has no connection left: a tunnel takes two of them all the time. A proxy that only relays bytes and cannot reach its backend looks alike.",
            "Raise its limits of connections (two for every tunnel) and of open files; of a proxy that relays bytes, check the backend.".into(),
        ),
        Code::NoAnswer => (
            "A listener that expects something else, a rule that closes, a crash, or a device that cuts the connection.",
            "Read the log of the server that closed, at that time.".into(),
        ),
        Code::ConnectRefused => (
            "Nobody listens at that address any more: the server was stopped, is being restarted, did not come up again, or no longer listens there. A firewall that rejects with a reset looks alike.",
            "See whether it runs and listens (`ss -ltn`).".into(),
        ),
        Code::BackendHopNotSeen => (
            "Another interface, host or network namespace, a unix socket, or a capture filter.",
            "Capture on the proxy host with `-i any` and without a port filter; for a unix socket, let the proxy use a TCP port for the test.".into(),
        ),
        _ => return None,
    })
}

/// TLS, HTTP/2, and the PROXY protocol.
fn transport(code: Code) -> Option<Advice> {
    Some(match code {
        Code::PlainToTlsPort => (
            "ws:// instead of wss://, or http towards a port that speaks TLS.",
            "Use wss:// in the client; towards a backend that speaks TLS let the proxy use it."
                .into(),
        ),
        Code::TlsToPlainPort => (
            "wss:// to a port that speaks no TLS, or to a wrong port.",
            "Let the port speak TLS, or use ws:// or the right port.".into(),
        ),
        Code::TlsToPlainBackend => (
            "The proxy is told to use TLS towards a backend that speaks http.",
            "Let the proxy use http, or enable TLS at the backend.".into(),
        ),
        Code::BackendTlsRejected => (
            "The certificate is not trusted or has another name; or the backend chooses it by a name that the proxy does not send.",
            "Let the proxy send the name, and trust the right authority.".into(),
        ),
        Code::CertificateRejected => (
            "Self-signed, expired, another name, or an incomplete chain.",
            "Install a certificate for the name that clients use, with its whole chain.".into(),
        ),
        Code::ClientCertificateMissing => (
            "The server wants a certificate of its clients.",
            "Give the client a certificate, or make it optional for this name.".into(),
        ),
        Code::TlsNameUnrecognized => (
            "The server knows no host of this name.",
            "Add the name to the right host, or use the right name in the client.".into(),
        ),
        Code::TlsHandshakeFailed => (
            "No version, cipher or application protocol in common.",
            "Compare the versions and ciphers that the server allows with what the client offers."
                .into(),
        ),
        Code::Http2WebsocketRefused => (
            "The server takes no extended CONNECT. A client should use it only after SETTINGS_ENABLE_CONNECT_PROTOCOL.",
            "Let the client open the WebSocket over HTTP/1.1 (ALPN http/1.1).".into(),
        ),
        Code::Http2ToBackend | Code::CgiToBackend => (
            "The proxy is told to speak another protocol than HTTP/1.1 to this backend.",
            "Let the proxy speak HTTP/1.1 to the server that serves the WebSocket.".into(),
        ),
        Code::ProxyProtocolMissing
        | Code::ProxyProtocolUnexpected
        | Code::ProxyProtocolToBackend => (
            "One end sends the header of the PROXY protocol, or waits for it, and the other does not.",
            "Turn the PROXY protocol on at both ends, or at neither.".into(),
        ),
        _ => return None,
    })
}

/// What ended or held up a tunnel.
fn session(code: Code, product: Product) -> Option<Advice> {
    Some(match code {
        Code::IdleTimeout | Code::SilentAfter101 => (
            match product {
                Product::HaProxy => {
                    "`timeout tunnel` limits the silence of a tunnel; without it `timeout client` and `timeout server` do."
                }
                Product::Envoy => {
                    "stream_idle_timeout (5 min by default) or the route's idle_timeout limits the silence of a tunnel."
                }
                Product::Varnish => {
                    "pipe_timeout (60 s by default) limits the silence of a connection that Varnish pipes."
                }
                _ => {
                    "Proxies limit the silence in a tunnel (HAProxy: timeout tunnel; Envoy: stream_idle_timeout). Data in either direction restarts the limit."
                }
            },
            "Send pings from either side more often than the timeout, and raise the timeout as well.".into(),
        ),
        Code::ProxyClosed | Code::ProxyRestarted | Code::ProxyCrashed => (
            "A reload or restart of the proxy, a crash, or a limit of its own.",
            "Compare the time with reloads and restarts of the proxy; let clients reconnect after a random pause.".into(),
        ),
        Code::ClientNotReading => (
            "The application at the client is stuck, or slower than the data.",
            "Repair the client, or send less; a timeout of the proxy decides how long it waits.".into(),
        ),
        Code::BackendNotReading => (
            "The application is stuck, or slower than the data.",
            "Repair the backend; a timeout of the proxy decides how long it waits.".into(),
        ),
        _ => return None,
    })
}

/// How a product takes part in upgrades.
const fn upgrade(product: Product) -> &'static str {
    match product {
        Product::HaProxy => {
            "HAProxy passes upgrades on by itself: look for rules that remove or set the fields (http-request del-header, set-header), and for servers that are spoken to over HTTP/2."
        }
        Product::Apache => {
            "Let mod_proxy take part in it: `ProxyPass /path http://backend/path upgrade=websocket` (2.4.47 and later), or a ws:// address before that."
        }
        Product::Envoy => {
            "Allow the upgrade in its HTTP connection manager or the route: `upgrade_configs: [{upgrade_type: websocket}]`."
        }
        Product::Caddy => {
            "Caddy passes upgrades on by itself: look for header_up lines that remove or set the fields."
        }
        Product::Traefik => {
            "Traefik passes upgrades on by itself: look for a middleware that removes or sets the fields."
        }
        Product::Varnish => {
            "Let vcl_recv `return(pipe)` for requests with `Upgrade: websocket`, and let vcl_pipe copy upgrade and connection from req.http to bereq.http."
        }
        Product::Lighttpd => {
            "Let mod_proxy take part in it: `proxy.header = (\"upgrade\" => \"enable\")` for this path."
        }
        Product::Unnamed => {
            "Let that proxy take part in WebSocket upgrades. Apache wants upgrade=websocket in ProxyPass, Envoy upgrade_configs, lighttpd `proxy.header = (\"upgrade\" => \"enable\")`, Varnish a pipe; HAProxy, Caddy and Traefik pass them on unless a rule removes the fields."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last resort accuses the proxy, where a backend or a client may be at fault.
    #[test]
    fn what_names_nginx_has_words_for_others() {
        for &code in Code::ALL {
            let entry = code.entry();
            let speaks = speaks_of_nginx(entry.why) || speaks_of_nginx(entry.fix);
            let (_, fix) = elsewhere(code, Product::Unnamed);
            assert!(!speaks || fix != LAST_RESORT, "{code}");
        }
    }

    #[test]
    fn texts_for_others_name_nothing_of_nginx() {
        for &code in Code::ALL {
            for product in [
                Product::HaProxy,
                Product::Apache,
                Product::Envoy,
                Product::Caddy,
                Product::Traefik,
                Product::Varnish,
                Product::Lighttpd,
                Product::Unnamed,
            ] {
                let (why, fix) = elsewhere(code, product);
                assert!(!speaks_of_nginx(why), "{code}: {why}");
                assert!(!speaks_of_nginx(&fix), "{code}: {fix}");
            }
        }
    }
}
