//! Which names make a value a secret: header fields, parameters of a query, subprotocols that carry tokens.
//!
//! Names are compared without regard to case and, in queries, after percent-decoding; what decides a handshake is no secret.

use std::borrow::Cow;

use super::bytes::{Bytes, Part};
use super::shapes::{is_masked, masked};

/// Headers whose values stay in a strict report: they decide the handshake and say nothing about people.
pub(super) const PLAIN_HEADERS: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "allow",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "expect",
    "http2-settings",
    "keep-alive",
    "pragma",
    "proxy-connection",
    "retry-after",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "vary",
    "via",
    "x-forwarded-for",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-powered-by",
    "x-real-ip",
];

/// Parts of a name that make its value a secret, in header fields and in query strings.
const SECRET_PARTS: &[Part<&str>] = &[
    Part::new("token"),
    Part::new("secret"),
    Part::new("passw"),
    Part::new("pwd"),
    Part::new("session"),
    Part::new("sessid"),
    Part::new("jwt"),
    Part::new("apikey"),
    Part::new("api-key"),
    Part::new("api_key"),
    Part::new("accesskey"),
    Part::new("access-key"),
    Part::new("access_key"),
    Part::new("signature"),
    Part::new("credential"),
    Part::new("ticket"),
    Part::new("csrf"),
    Part::new("xsrf"),
];

/// Parts that do so in header fields only.
const SECRET_HEADER_PARTS: &[Part<&str>] = &[Part::new("cookie"), Part::new("authorization")];

/// A part that does so in query strings only.
const SECRET_PARAMETER_PARTS: &[Part<&str>] = &[Part::new("auth")];

pub(super) fn is_secret_header(name: &str) -> bool {
    if starts(name, "sec-websocket-") {
        return false;
    }
    let bytes = Bytes::of(name);
    starts(name, "x-auth")
        || ends(name, "-key")
        || has_part(name, bytes, SECRET_HEADER_PARTS)
        || has_part(name, bytes, SECRET_PARTS)
}

/// The part of a secret field that is one: what follows a cookie that is set says where and how long it is valid, such as a
/// path that is that of the request as well (RFC 6265 4.1).
pub(super) fn without_attributes<'a>(name: &str, text: &'a str) -> &'a str {
    if name.eq_ignore_ascii_case("set-cookie") {
        text.split(';').next().unwrap_or_default()
    } else {
        text
    }
}

fn starts(name: &str, with: &str) -> bool {
    let start = name.as_bytes().get(..with.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
}

fn ends(name: &str, with: &str) -> bool {
    let from = name.len().checked_sub(with.len());
    from.and_then(|from| name.as_bytes().get(from..))
        .is_some_and(|end| end.eq_ignore_ascii_case(with.as_bytes()))
}

/// Whether a name has one of some parts, all in lower case. `bytes`: those of the name.
fn has_part(name: &str, bytes: Bytes, parts: &[Part<&str>]) -> bool {
    parts.iter().any(|part| {
        part.may_be_in(bytes)
            && name
                .as_bytes()
                .windows(part.text.len())
                .any(|here| here.eq_ignore_ascii_case(part.text.as_bytes()))
    })
}

pub(super) fn is_secret_parameter(name: &str) -> bool {
    const WHOLE: &[&str] = &[
        "key", "sid", "sig", "code", "pass", "otp", "pin", "hmac", "mac",
    ];
    let name = percent_decoded(name);
    let bytes = Bytes::of(&name);
    WHOLE.iter().any(|whole| name.eq_ignore_ascii_case(whole))
        || ends(&name, "_key")
        || ends(&name, "-key")
        || has_part(&name, bytes, SECRET_PARAMETER_PARTS)
        || has_part(&name, bytes, SECRET_PARTS)
}

pub(super) fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let hex = |byte: Option<&u8>| byte.and_then(|&b| char::from(b).to_digit(16));
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (b'+', ..) => {
                out.push(b' ');
                at += 1;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// Masks tokens that travel as subprotocols.
pub(super) fn subprotocols(text: &str) -> String {
    let mut after_marker = false;
    let items: Vec<String> = text
        .split(',')
        .map(str::trim)
        .map(|item| {
            let secret = after_marker || is_token_subprotocol(item);
            after_marker = is_marker_subprotocol(item);
            if secret && !is_masked(item) {
                masked(item)
            } else {
                item.to_owned()
            }
        })
        .collect();
    items.join(", ")
}

/// A subprotocol that says that the next one is a token, as browsers must do it who cannot set headers.
pub(super) fn is_marker_subprotocol(item: &str) -> bool {
    let item = item.to_ascii_lowercase();
    matches!(
        item.as_str(),
        "bearer" | "token" | "access_token" | "access-token" | "authorization" | "jwt" | "auth"
    )
}

/// A subprotocol that carries a token itself (`base64url.bearer.authorization.k8s.io.<token>`), or is one by its looks.
pub(super) fn is_token_subprotocol(item: &str) -> bool {
    /// No registered subprotocol is longer than this and a session token seldom shorter.
    const LONG: usize = 40;
    let lower = item.to_ascii_lowercase();
    // `Bearer s3cret` is no subprotocol at all, and so a secret by mistake.
    let credentials = item.contains(char::is_whitespace);
    credentials || lower.contains("bearer.") || lower.contains("token.") || item.len() >= LONG
}
