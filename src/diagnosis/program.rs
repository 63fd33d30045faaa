//! Which program a proxy is, as far as what it wrote tells: configuration for nginx helps nobody who runs another one.

use super::text::contains;
use super::view::HopView;
use crate::hop::Hop;
use crate::http::{Fields, RequestHead, is_named};

/// The program that a proxy runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// nginx, or a server built on it.
    Nginx,
    /// Another one.
    Other(Product),
    /// The capture does not tell.
    Unknown,
}

/// A proxy that is not nginx.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Product {
    HaProxy,
    Apache,
    Envoy,
    Caddy,
    Traefik,
    Varnish,
    Lighttpd,
    /// What it writes is not nginx's, and does not name it.
    Unnamed,
}

/// How the Server and Via fields of products begin.
const NAMES: &[(&str, Product)] = &[
    ("haproxy", Product::HaProxy),
    ("apache/", Product::Apache),
    ("httpd", Product::Apache),
    ("envoy", Product::Envoy),
    ("istio-envoy", Product::Envoy),
    ("caddy", Product::Caddy),
    ("traefik", Product::Traefik),
    ("varnish", Product::Varnish),
    ("lighttpd", Product::Lighttpd),
    ("cloudflare", Product::Unnamed),
    ("cloudfront", Product::Unnamed),
    ("awselb", Product::Unnamed),
    ("microsoft-iis", Product::Unnamed),
    ("ats", Product::Unnamed),
    ("squid", Product::Unnamed),
];

/// What only their own pages say.
const PAGES: &[(&str, Product)] = &[
    (
        "No server is available to handle this request",
        Product::HaProxy,
    ),
    (
        "The server returned an invalid or incomplete response",
        Product::HaProxy,
    ),
    ("The server didn't respond in time", Product::HaProxy),
    (
        "Request forbidden by administrative rules",
        Product::HaProxy,
    ),
    ("Your browser sent an invalid request", Product::HaProxy),
    (
        "Your browser didn't send a complete request in time",
        Product::HaProxy,
    ),
    (
        "You have sent too many requests in a given amount of time",
        Product::HaProxy,
    ),
    ("Guru Meditation", Product::Varnish),
    ("upstream connect error or disconnect/reset", Product::Envoy),
    ("no healthy upstream", Product::Envoy),
    ("upstream request timeout", Product::Envoy),
];

impl Program {
    /// The proxy that was asked on the one hop and asks on the other; either may be missing.
    pub(super) fn of(asked: Option<&Hop>, asks: Option<&Hop>) -> Self {
        if asked.is_some_and(|hop| hop.answered_by_nginx(asks)) {
            return Self::Nginx;
        }
        if let Some(product) = asked.and_then(|hop| signed(hop, asks)) {
            return match product {
                // What stands behind an unseen hop may have signed, and any proxy passed it on: nginx too, if told to.
                Product::Apache | Product::Caddy | Product::Lighttpd if asks.is_none() => {
                    Self::Unknown
                }
                product => Self::Other(product),
            };
        }
        let before = asked.and_then(request);
        let Some((after, hop)) = asks.and_then(|hop| Some((request(hop)?, hop))) else {
            return Self::Unknown;
        };
        if let Some(product) = before.and_then(|before| marked(before, after)) {
            return Self::Other(product);
        }
        if hop.has_nginx_signature() {
            return Self::Nginx;
        }
        // Who passes the Server of what is behind may still be nginx: `proxy_pass_header Server`, as Tornado's documentation has it.
        Self::Unknown
    }

    /// The proxy that was asked on this hop and reached nobody: what answered is itself.
    pub(super) fn that_reached_nobody(asked: &Hop) -> Self {
        if asked.answered_by_nginx(None) {
            return Self::Nginx;
        }
        signed(asked, None).map_or(Self::Unknown, Self::Other)
    }

    /// How it is called before its address.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Other(product) => product.name(),
            Self::Unknown => "the proxy",
        }
    }

    /// The timeout of a tunnel in which nobody speaks.
    pub(super) const fn idle_timeout(self) -> &'static str {
        match self {
            Self::Nginx => "proxy_read_timeout",
            Self::Other(Product::HaProxy) => "timeout tunnel",
            Self::Other(Product::Envoy) => "stream_idle_timeout",
            Self::Other(Product::Varnish) => "pipe_timeout",
            Self::Other(_) | Self::Unknown => "idle timeout",
        }
    }

    /// The timeout of an answer, behind a space.
    pub(super) const fn answer_timeout(self) -> &'static str {
        match self {
            Self::Nginx => " (proxy_read_timeout)",
            Self::Other(Product::HaProxy) => " (timeout server)",
            Self::Other(Product::Apache) => " (ProxyTimeout)",
            Self::Other(Product::Envoy) => " (timeout of the route)",
            Self::Other(Product::Varnish) => " (first_byte_timeout)",
            Self::Other(_) => "",
            Self::Unknown => " (proxy_read_timeout, if it is nginx)",
        }
    }
}

impl Product {
    /// How it is called before its address.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::HaProxy => "HAProxy",
            Self::Apache => "Apache",
            Self::Envoy => "Envoy",
            Self::Caddy => "Caddy",
            Self::Traefik => "Traefik",
            Self::Varnish => "Varnish",
            Self::Lighttpd => "lighttpd",
            Self::Unnamed => "the proxy",
        }
    }
}

fn request(hop: &Hop) -> Option<&RequestHead> {
    hop.exchange().request.as_ref()
}

/// The fields of its answer.
fn fields(hop: &Hop) -> Option<&Fields> {
    hop.exchange()
        .response
        .as_ref()
        .map(|answer| &answer.fields)
}

fn server(hop: &Hop) -> Option<std::borrow::Cow<'_, str>> {
    fields(hop)?.first("server")
}

/// Who signed an answer that did not come so from behind.
fn signed(hop: &Hop, behind: Option<&Hop>) -> Option<Product> {
    let name = server(hop);
    if name.is_some() && name != behind.and_then(server) {
        return name.and_then(|name| named(&name));
    }
    if let Some(product) = new_via(fields(hop), behind.and_then(fields)) {
        return Some(product);
    }
    let body = hop.exchange().body.as_deref()?;
    let own = behind.is_none_or(|behind| behind.status() != hop.status());
    own.then(|| page_of(body)).flatten()
}

/// Whose own page a body is.
pub(super) fn page_of(body: &[u8]) -> Option<Product> {
    let page = PAGES.iter().find(|(text, _)| contains(body, text));
    page.map(|&(_, product)| product)
}

fn named(text: &str) -> Option<Product> {
    let begins = |name: &str| {
        let start = text.get(..name.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    let found = NAMES.iter().find(|(name, _)| begins(name));
    // Without its version, Apache is that word alone.
    let bare = text.eq_ignore_ascii_case("apache");
    found
        .map(|&(_, product)| product)
        .or(bare.then_some(Product::Apache))
}

/// Who left marks in a request that it passed on, as nginx never does by itself.
fn marked(before: &RequestHead, after: &RequestHead) -> Option<Product> {
    let new_envoy = after.fields.names().any(|name| {
        let text = String::from_utf8_lossy(name).to_ascii_lowercase();
        text.starts_with("x-envoy-") && before.fields.count(&text) == 0
    });
    if new_envoy {
        return Some(Product::Envoy);
    }
    let (before, after) = (&before.fields, &after.fields);
    if let Some(product) = new_via(Some(after), Some(before)) {
        return Some(product);
    }
    let is_new = |name| after.count(name) > 0 && before.count(name) == 0;
    if is_new("x-varnish") {
        return Some(Product::Varnish);
    }
    if sets_behind(before, after) {
        return Some(if is_new("x-forwarded-server") {
            Product::Apache
        } else if is_new("x-host") {
            Product::Lighttpd
        } else {
            Product::Unnamed
        });
    }
    respelled(before, after).then_some(Product::Unnamed)
}

/// Who named itself in Via (RFC 9110 7.6.3) between one side of it and the other.
fn new_via(here: Option<&Fields>, there: Option<&Fields>) -> Option<Product> {
    let stations = |fields: Option<&Fields>| fields.map_or(0, |fields| fields.list("via").count());
    if stations(here) <= stations(there) {
        return None;
    }
    // The last one is its own: `1.1 Caddy`.
    let last = here?.list("via").last();
    let by = last.as_deref().and_then(|via| via.split_once(' '));
    let product = by.and_then(|(_, name)| named(name.trim_start()));
    Some(product.unwrap_or(Product::Unnamed))
}

/// Whether Connection stands behind what was copied, as Apache and lighttpd write it: nginx writes the fields that it sets
/// first, and Connection is one of them.
fn sets_behind(before: &Fields, after: &Fields) -> bool {
    /// Fewer may all have been set, by proxy_set_header with the client's own value.
    const COPIED: usize = 3;
    let Some(connection) = after.position("connection") else {
        return false;
    };
    let of_hop = |name: &[u8]| {
        let own = ["host", "connection", "upgrade"];
        own.iter().any(|own| is_named(name, own))
    };
    let is_copied = |(name, value)| {
        let mut fields = before.bytes();
        !of_hop(name) && fields.any(|field| field == (name, value))
    };
    let copies = || after.bytes().map(is_copied);
    let ahead = copies().take(connection).filter(|&copied| copied).count();
    ahead >= COPIED && !copies().skip(connection).any(|copied| copied)
}

/// Whether the names of fields came out in other letters, as from HAProxy, Envoy and programs in Go: nginx copies them.
fn respelled(before: &Fields, after: &Fields) -> bool {
    const COPIED: [&[u8]; 2] = [b"sec-websocket-key", b"sec-websocket-version"];
    const IN_GO: [&[u8]; 2] = [b"Sec-Websocket-Key", b"Sec-Websocket-Version"];
    let spelled = |fields: &Fields, usual: &[u8]| {
        let mut names = fields.names();
        let name = names.find(|name| name.eq_ignore_ascii_case(usual));
        name.map(<[u8]>::to_vec)
    };
    COPIED.iter().zip(IN_GO).any(|(&small, in_go)| {
        let (was, is) = (spelled(before, small), spelled(after, small));
        was.is_some() && is.is_some() && was != is && {
            let is = is.unwrap_or_default();
            is == small || is == in_go
        }
    })
}
