//! What a request's fields say to pairing: read once, when its head arrives, and kept as long as the exchange.

use std::hash::{BuildHasher as _, Hasher as _};

use crate::http::{Fields, has_item, is_named};
use crate::websocket::Accept;

/// A link as one number: equal for hops that share it.
pub(super) type Link = u64;

/// A number for some bytes, the same in every run.
pub(super) fn number(kind: u8, bytes: &[u8]) -> u64 {
    let mut hasher = foldhash::quality::FixedState::with_seed(u64::from(kind)).build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

/// What the fields of a request say, as far as pairing compares it with all others.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked {
    /// Its key.
    pub(super) key: Option<Key>,
    /// The link of its X-Request-ID.
    pub(super) request_id: Option<Link>,
    /// The link of its trace.
    pub(super) trace: Option<Link>,
    /// `Upgrade: websocket` is there.
    pub(super) upgrade: bool,
    /// It may name its client with the port: never wrong when it says no.
    pub(super) may_name_port: bool,
}

/// A Sec-WebSocket-Key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// Hash of it as sent.
    pub(super) number: u64,
    /// The Accept that it demands (RFC 6455 4.2.2 step 5.4).
    pub(super) accept: Accept,
    /// Its link: through the Accept, so that a request and a lone answer meet.
    pub(super) link: Link,
    /// Recipes and tools use it over and over.
    pub(super) is_sample: bool,
}

impl Key {
    fn of(sent: &[u8]) -> Self {
        let accept = Accept::for_key(sent);
        Self {
            number: number(5, sent),
            accept,
            link: accept_link(accept.as_str().as_bytes()),
            is_sample: sent == SAMPLE_KEY || sent.len() != KEY_LENGTH,
        }
    }

    /// Whether it was sent so.
    pub(super) fn is(self, sent: &[u8]) -> bool {
        self.number == number(5, sent)
    }
}

impl Asked {
    /// What these fields say.
    pub(super) fn of(fields: &Fields) -> Self {
        let mut asked = Self::default();
        let [forwarded_for, real_ip, forwarded] = NAMING_FIELDS;
        let (mut request_id, mut trace) = (None, None);
        for (name, value) in fields.bytes() {
            let is = |usual: &str| is_named(name, usual);
            // Lengths first: nearly all other names differ in that already.
            match name.len() {
                7 if is("Upgrade") => asked.upgrade |= has_item(value, "websocket"),
                9 if is(real_ip) || is(forwarded) => asked.may_name_port |= value.contains(&b':'),
                11 if is("traceparent") => trace = trace.or(Some(value)),
                12 if is("X-Request-ID") => request_id = request_id.or(Some(value)),
                15 if is(forwarded_for) => asked.may_name_port |= value.contains(&b':'),
                17 if asked.key.is_none() && is("Sec-WebSocket-Key") => {
                    asked.key = Some(Key::of(value));
                }
                _ => {}
            }
        }
        let text = String::from_utf8_lossy;
        asked.request_id = request_id
            .filter(|id| !id.is_empty())
            .map(|id| number(2, text(id).as_bytes()));
        asked.trace = trace
            .and_then(|value| trace_id(&text(value)))
            .map(|id| number(3, id.as_bytes()));
        asked
    }

    /// Hash of the key as sent.
    pub(super) fn key_number(&self) -> Option<u64> {
        self.key.map(|key| key.number)
    }

    /// Whether its key is one that recipes and tools use over and over.
    pub(super) fn is_sample(&self) -> bool {
        self.key.is_some_and(|key| key.is_sample)
    }
}

/// The link of an Accept.
pub(super) fn accept_link(accept: &[u8]) -> Link {
    number(1, accept)
}

/// The trace-id of a traceparent field (W3C Trace Context 3.2): version, trace-id, parent-id, flags.
fn trace_id(value: &str) -> Option<String> {
    let id = value.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().any(|byte| byte != b'0')).then(|| id.to_ascii_lowercase())
}

/// Fields that name who sent the request to the proxy.
pub(super) const NAMING_FIELDS: [&str; 3] = ["X-Forwarded-For", "X-Real-IP", "Forwarded"];

/// The nonce of RFC 6455 1.3, copied into many recipes.
const SAMPLE_KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";

/// 16 bytes in base64 (RFC 6455 4.1); keys of another length were made up by hand.
const KEY_LENGTH: usize = 24;
