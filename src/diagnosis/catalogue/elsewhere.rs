//! What to tell of a proxy that is not nginx: its directives and logs are others.

use std::borrow::Cow;

use crate::diagnosis::Code;
use crate::diagnosis::program::Product;

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

/// Why it happens and what to do, in the place of what an entry says of nginx.
pub(in crate::diagnosis) fn elsewhere(
    code: Code,
    product: Product,
) -> (&'static str, Cow<'static, str>) {
    match code {
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
        Code::BackendRefused | Code::BackendInvalidResponse => (
            "The backend is down or restarting, or the proxy is told another address, port or protocol than it speaks.",
            "Start the backend; compare the address, port and scheme that the proxy is given with what the backend listens on (`ss -ltnp`).".into(),
        ),
        Code::BackendConnectTimeout => (
            "A firewall or security group drops, a wrong address, a host that is down, or a full accept queue.",
            "Open the way from the proxy to the backend, or correct the address.".into(),
        ),
        Code::ServiceUnavailable | Code::BadGateway | Code::NoLiveBackend => (
            "A balancer says so when none of its servers is up, or none takes the connection.",
            "Read its log and the state of its health checks, and capture between it and its servers.".into(),
        ),
        Code::NotFound
        | Code::MethodNotAllowed
        | Code::AnsweredAsPage
        | Code::UpgradeRequired => (
            "The path is not the WebSocket's, or what answered did not see an upgrade.",
            "Compare what reached the backend (path, Host, Upgrade, Connection) with what the application serves, and with the rules of this proxy.".into(),
        ),
        Code::ProxyClosed | Code::ProxyRestarted | Code::ProxyCrashed => (
            "A reload or restart of the proxy, a crash, or a limit of its own.",
            "Compare the time with reloads and restarts of the proxy; let clients reconnect after a random pause.".into(),
        ),
        _ => (
            "Its configuration decides that.",
            "Look into the configuration of this proxy, and into its log at the time of the frame given.".into(),
        ),
    }
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
