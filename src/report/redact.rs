//! Secrets masked, once, while the view is built: no form of the report can leak what is no longer there.
//!
//! Headers and targets are masked by name. What was masked there is also looked for in the free text of the same
//! handshake (a finding may quote a header), and free text is searched for the shapes of secrets besides.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use memchr::memmem;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::visit::Kind;

/// How much of a report is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Redact {
    /// Cookies, credentials, and tokens in query strings.
    #[default]
    Standard,
    /// Also addresses, host names, whole query strings, close reasons and every header that is not part of a handshake.
    Strict,
    /// Nothing.
    None,
}

/// Headers whose values stay in a strict report: they decide the handshake and say nothing about people.
const PLAIN_HEADERS: &[&str] = &[
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
const SECRET_PARTS: &[&str] = &[
    "token",
    "secret",
    "passw",
    "pwd",
    "session",
    "sessid",
    "jwt",
    "apikey",
    "api-key",
    "api_key",
    "accesskey",
    "access-key",
    "access_key",
    "signature",
    "credential",
    "ticket",
    "csrf",
    "xsrf",
];

/// The shortest value that is looked for in free text: shorter ones are words there.
const LEARNED_MIN: usize = 6;

/// Addresses that get a pseudonym of their own: a live run may last for weeks. The ones beyond share one. About 64 bytes
/// each.
const ADDRESSES_MAX: usize = 1 << 16;

/// Host names that get one: more than most proxies serve. Every text is searched for all of them.
const HOSTS_MAX: usize = 512;

/// The pseudonym that addresses share for which there was no other left.
const ANY_ADDRESS: &str = "ip-other";

/// The same for host names.
const ANY_HOST: &str = "host-other";

/// Characters that end a value in free text.
const TEXT_STOPS: &[char] = &[' ', '\t', '\r', '\n', '"', '\'', '`', '<', '>', '&', '#'];

/// Characters that end a value in a URL.
const URL_STOPS: &[char] = &['&', ';', '#'];

/// What stands where a secret was: how long it was may tell a truncated cookie.
fn masked(value: &str) -> String {
    format!("<redacted {} bytes>", value.len())
}

/// Whether a text is just what [`masked`] writes.
fn is_masked(text: &str) -> bool {
    text.strip_prefix("<redacted ")
        .and_then(|rest| rest.strip_suffix(" bytes>"))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    if name.starts_with("sec-websocket-") {
        return false;
    }
    name.contains("cookie")
        || name.contains("authorization")
        || name.starts_with("x-auth")
        || name.ends_with("-key")
        || has_secret_part(&name)
}

/// Whether a name in lower case has one of [`SECRET_PARTS`].
fn has_secret_part(name: &str) -> bool {
    let bytes = name.as_bytes();
    (0..bytes.len()).any(|at| {
        let rest = bytes.get(at..).unwrap_or_default();
        // The letters that they begin with: most places need no closer look.
        matches!(
            rest.first(),
            Some(b'a' | b'c' | b'j' | b'p' | b's' | b't' | b'x')
        ) && SECRET_PARTS
            .iter()
            .any(|part| rest.starts_with(part.as_bytes()))
    })
}

fn is_secret_parameter(name: &str) -> bool {
    let name = percent_decoded(name).to_ascii_lowercase();
    matches!(
        name.as_str(),
        "key" | "sid" | "sig" | "code" | "pass" | "otp" | "pin" | "hmac" | "mac"
    ) || name.contains("auth")
        || name.ends_with("_key")
        || name.ends_with("-key")
        || has_secret_part(&name)
}

fn percent_decoded(text: &str) -> String {
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
    String::from_utf8_lossy(&out).into_owned()
}

/// Masks texts; remembers the pseudonyms that it gave out, so that they are the same in the whole run.
#[derive(Debug, Clone, Default)]
pub(super) struct Redactor {
    level: Redact,
    addresses: BTreeMap<IpAddr, usize>,
    hosts: BTreeMap<String, usize>,
    /// Host names of the last handshake that share a pseudonym.
    strangers: Vec<String>,
    learned: Vec<String>,
}

impl Redactor {
    pub(super) fn new(level: Redact) -> Self {
        Self {
            level,
            ..Self::default()
        }
    }

    /// Nothing is masked at all.
    pub(super) fn is_off(&self) -> bool {
        self.level == Redact::None
    }

    /// Forgets the secrets of the last handshake.
    pub(super) fn forget(&mut self) {
        self.learned.clear();
        self.strangers.clear();
    }

    /// Remembers the secrets in a text, to find them in other texts.
    pub(super) fn learn(&mut self, kind: Kind<'_>, text: &str) {
        match kind {
            Kind::Field(name) if is_secret_header(name) => {
                self.remember(text);
                for part in text.split([';', ',', ' ']) {
                    self.remember(part.split_once('=').map_or(part, |(_, value)| value));
                }
                if let Some((_, credentials)) = text.split_once(' ')
                    && let Ok(decoded) = BASE64_STANDARD.decode(credentials.trim())
                    && let Ok(decoded) = String::from_utf8(decoded)
                {
                    self.remember(&decoded);
                    if let Some((_, password)) = decoded.split_once(':') {
                        self.remember(password);
                    }
                }
            }
            Kind::Field(name) if name.eq_ignore_ascii_case("sec-websocket-protocol") => {
                let mut after_marker = false;
                for item in text.split(',').map(str::trim) {
                    if after_marker || is_token_subprotocol(item) {
                        self.remember(item);
                    }
                    after_marker = is_marker_subprotocol(item);
                }
            }
            Kind::Field(_) | Kind::Target => {
                let _ = parameters(text, URL_STOPS, |value| {
                    self.remember(value);
                    self.remember(&percent_decoded(value));
                    None
                });
            }
            Kind::Host if self.level == Redact::Strict => {
                self.host(text);
            }
            _ => {}
        }
    }

    fn remember(&mut self, secret: &str) {
        let secret = secret.trim();
        // A plain word would be masked wherever it stands in a sentence.
        let word = secret.bytes().all(|b| b.is_ascii_lowercase());
        if secret.len() < LEARNED_MIN || word || self.learned.iter().any(|known| known == secret) {
            return;
        }
        // Longest first: a cookie's value is part of the whole header.
        let place = self
            .learned
            .partition_point(|known| known.len() >= secret.len());
        self.learned.insert(place, secret.to_owned());
    }

    /// Masks what is secret in a text.
    pub(super) fn apply(&mut self, kind: Kind<'_>, text: &mut String) {
        if self.level == Redact::None || text.is_empty() {
            return;
        }
        match kind {
            Kind::Field(name) if is_secret_header(name) => {
                if !is_masked(text) {
                    *text = masked(text);
                }
                return;
            }
            Kind::Field(name) if name.eq_ignore_ascii_case("sec-websocket-protocol") => {
                *text = subprotocols(text);
            }
            Kind::Field(_) | Kind::Target => {
                if let Some(new) = parameters(text, URL_STOPS, |value| Some(masked(value))) {
                    *text = new;
                }
            }
            _ => {}
        }
        // Most texts have none of what the searches below look for.
        let has = |mark| memchr::memchr(mark, text.as_bytes()).is_some();
        let (has_colon, has_sign) = (has(b':'), has(b'='));
        for secret in &self.learned {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), &masked(secret));
            }
        }
        if has_colon && let Some(new) = quoted_headers(text) {
            *text = new;
        }
        if has_sign && let Some(new) = parameters(text, TEXT_STOPS, |value| Some(masked(value))) {
            *text = new;
        }
        if memmem::find(text.as_bytes(), b"eyJ").is_some()
            && let Some(new) = web_tokens(text)
        {
            *text = new;
        }
        if has_colon && let Some(new) = user_information(text) {
            *text = new;
        }
        if self.level == Redact::Strict {
            self.apply_strict(kind, text);
        }
    }

    fn apply_strict(&mut self, kind: Kind<'_>, text: &mut String) {
        match kind {
            Kind::Reason => {
                *text = masked(text);
                return;
            }
            Kind::Path => {
                if let Some((_, name)) = text.rsplit_once(['/', '\\']) {
                    *text = name.to_owned();
                }
                return;
            }
            Kind::Host => {
                *text = self.host(text);
                return;
            }
            Kind::Field(name) if name.eq_ignore_ascii_case("host") => {
                *text = self.host(text);
                return;
            }
            Kind::Field(name) if name.eq_ignore_ascii_case("origin") => {
                *text = match text.split_once("://") {
                    Some((scheme, host)) => format!("{scheme}://{}", self.host(host)),
                    None => text.clone(),
                };
                return;
            }
            Kind::Field(name) => {
                let name = name.to_ascii_lowercase();
                if PLAIN_HEADERS.binary_search(&name.as_str()).is_err() {
                    if !is_masked(text) {
                        *text = masked(text);
                    }
                    return;
                }
            }
            _ => {}
        }
        if let Some(new) = queries(text, matches!(kind, Kind::Target | Kind::Field(_))) {
            *text = new;
        }
        self.replace_hosts(text);
        self.replace_addresses(text);
    }

    fn address(&mut self, ip: IpAddr) -> String {
        if ip.is_loopback() || ip.is_unspecified() {
            return ip.to_string();
        }
        match number(&mut self.addresses, ip, ADDRESSES_MAX) {
            Some(number) => format!("ip-{number}"),
            None => ANY_ADDRESS.to_owned(),
        }
    }

    /// The pseudonym of a host with an optional port, which stays.
    fn host(&mut self, host: &str) -> String {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
                (name, Some(port))
            }
            _ => (host, None),
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let shown = match bare.parse::<IpAddr>() {
            Ok(ip) => self.address(ip),
            Err(_) if name.is_empty() || name == "localhost" || is_host_pseudonym(name) => {
                name.to_owned()
            }
            Err(_) => {
                let lower = name.to_ascii_lowercase();
                if let Some(number) = number(&mut self.hosts, lower.clone(), HOSTS_MAX) {
                    format!("host-{number}")
                } else {
                    if !self.strangers.contains(&lower) {
                        self.strangers.push(lower);
                    }
                    ANY_HOST.to_owned()
                }
            }
        };
        match port {
            Some(port) => format!("{shown}:{port}"),
            None => shown,
        }
    }

    fn replace_hosts(&self, text: &mut String) {
        let shown = |number: &usize| format!("host-{number}");
        let known = self
            .hosts
            .iter()
            .map(|(name, number)| (name, shown(number)));
        let strangers = self
            .strangers
            .iter()
            .map(|name| (name, ANY_HOST.to_owned()));
        let mut lower = text.to_ascii_lowercase();
        let is_in = |(name, _): &(&String, String)| {
            memmem::find(lower.as_bytes(), name.as_bytes()).is_some()
        };
        let mut hosts: Vec<(&String, String)> = known.chain(strangers).filter(is_in).collect();
        // The longest first: a name may be the end of another.
        hosts.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let part_of_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
        for (name, shown) in hosts {
            let mut out = String::new();
            let mut done = 0;
            for (at, _) in lower.match_indices(name.as_str()) {
                let before = text.get(..at).and_then(|t| t.chars().next_back());
                let mut after = text.get(at + name.len()..).unwrap_or_default().chars();
                let next = after.next();
                // A full stop may end the sentence.
                let joined = match next {
                    Some('.') => after.next().is_some_and(char::is_alphanumeric),
                    Some(c) => part_of_name(c),
                    None => false,
                };
                if before.is_some_and(part_of_name) || joined {
                    continue;
                }
                out.push_str(text.get(done..at).unwrap_or_default());
                out.push_str(&shown);
                done = at + name.len();
            }
            if done > 0 {
                out.push_str(text.get(done..).unwrap_or_default());
                *text = out;
                lower = text.to_ascii_lowercase();
            }
        }
    }

    fn replace_addresses(&mut self, text: &mut String) {
        let of_address = |c: char| c.is_ascii_hexdigit() || c == '.' || c == ':';
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(start) = rest.find(of_address) {
            let (before, from) = rest.split_at(start);
            let end = from.find(|c| !of_address(c)).unwrap_or(from.len());
            let (run, after) = from.split_at(end);
            out.push_str(before);
            out.push_str(&self.run(run));
            rest = after;
        }
        out.push_str(rest);
        *text = out;
    }

    /// Masks the address in a run of digits, full stops and colons, if it is one.
    fn run(&mut self, run: &str) -> String {
        let core = run.trim_end_matches(['.', ':']);
        let tail = run.get(core.len()..).unwrap_or_default();
        if let Ok(ip) = core.parse::<Ipv6Addr>() {
            return format!("{}{tail}", self.address(ip.to_canonical()));
        }
        let (host, port) = core.split_once(':').unwrap_or((core, ""));
        match host.parse::<Ipv4Addr>() {
            Ok(ip) if port.is_empty() => format!("{}{tail}", self.address(ip.into())),
            Ok(ip) => format!("{}:{port}{tail}", self.address(ip.into())),
            Err(_) => run.to_owned(),
        }
    }
}

/// The number of a name, a new one unless too many have one.
fn number<K: Ord>(known: &mut BTreeMap<K, usize>, key: K, most: usize) -> Option<usize> {
    let next = known.len() + 1;
    match known.entry(key) {
        Entry::Occupied(found) => Some(*found.get()),
        Entry::Vacant(_) if next > most => None,
        Entry::Vacant(place) => Some(*place.insert(next)),
    }
}

fn is_host_pseudonym(name: &str) -> bool {
    name == ANY_HOST
        || name
            .strip_prefix("host-")
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Masks tokens that travel as subprotocols.
fn subprotocols(text: &str) -> String {
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
fn is_marker_subprotocol(item: &str) -> bool {
    let item = item.to_ascii_lowercase();
    matches!(
        item.as_str(),
        "bearer" | "token" | "access_token" | "access-token" | "authorization" | "jwt" | "auth"
    )
}

/// A subprotocol that carries a token itself (`base64url.bearer.authorization.k8s.io.<token>`), or is one by its looks.
fn is_token_subprotocol(item: &str) -> bool {
    /// No registered subprotocol is longer than this and a session token seldom shorter.
    const LONG: usize = 40;
    let lower = item.to_ascii_lowercase();
    // `Bearer s3cret` is no subprotocol at all, and so a secret by mistake.
    let credentials = item.contains(char::is_whitespace);
    credentials || lower.contains("bearer.") || lower.contains("token.") || item.len() >= LONG
}

/// Rewrites the values of secret parameters (`?token=...`, `;sid=...`, `"token":"..."`); `None` when nothing changed.
fn parameters(
    text: &str,
    stops: &[char],
    mut replace: impl FnMut(&str) -> Option<String>,
) -> Option<String> {
    let mut out = String::new();
    let mut done = 0;
    let mut from = 0;
    while let Some(sign) = text.get(from..).and_then(|t| t.find('=')).map(|n| n + from) {
        from = sign + 1;
        let head = text.get(..sign).unwrap_or_default();
        let start = head
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || "_-.%[]$".contains(c)))
            .map_or(0, |n| n + 1);
        let opens = start > 0
            && head
                .get(..start)
                .is_some_and(|before| before.ends_with(['?', '&', ';', '#']));
        let name = head.get(start..).unwrap_or_default();
        if !opens || !is_secret_parameter(name) {
            continue;
        }
        let value = text.get(from..).unwrap_or_default();
        if let Some(end) = masked_prefix(value) {
            from += end;
            continue;
        }
        let value = value
            .get(..value.find(stops).unwrap_or(value.len()))
            .unwrap_or_default();
        if value.is_empty() {
            continue;
        }
        if let Some(new) = replace(value) {
            out.push_str(text.get(done..from).unwrap_or_default());
            out.push_str(&new);
            done = from + value.len();
        }
        from += value.len();
    }
    (done > 0).then(|| {
        out.push_str(text.get(done..).unwrap_or_default());
        out
    })
}

/// The length of what [`masked`] wrote at the beginning of a text.
fn masked_prefix(text: &str) -> Option<usize> {
    let end = text.find('>')? + 1;
    is_masked(text.get(..end)?).then_some(end)
}

/// Masks headers quoted in a sentence (`Cookie: ...`) to the end of the line or quotation.
fn quoted_headers(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut done = 0;
    for (colon, _) in text.match_indices(": ") {
        if colon < done {
            continue;
        }
        let head = text.get(..colon).unwrap_or_default();
        let start = head
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
            .map_or(0, |n| {
                n + head
                    .get(n..)
                    .map_or(1, |t| t.chars().next().map_or(1, char::len_utf8))
            });
        // A prose word such as "token: " is no header; those have a capital or a hyphen.
        let name = head.get(start..).unwrap_or_default();
        let looks_like_header = name.starts_with(|c: char| c.is_ascii_uppercase())
            || name.contains('-')
            || name.eq_ignore_ascii_case("cookie")
            || name.eq_ignore_ascii_case("authorization");
        if !looks_like_header || !is_secret_header(name) {
            continue;
        }
        let value = text.get(colon + 2..).unwrap_or_default();
        if masked_prefix(value).is_some() {
            continue;
        }
        let value = value
            .get(..value.find(['\n', '"', '`']).unwrap_or(value.len()))
            .unwrap_or_default();
        out.push_str(text.get(done..colon + 2).unwrap_or_default());
        out.push_str(&masked(value));
        done = colon + 2 + value.len();
    }
    (done > 0).then(|| {
        out.push_str(text.get(done..).unwrap_or_default());
        out
    })
}

/// Masks JSON web tokens (RFC 7519): they begin with the base64 of `{"`.
fn web_tokens(text: &str) -> Option<String> {
    /// A header alone is longer than this.
    const SHORTEST: usize = 16;
    let of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=');
    let mut out = String::new();
    let mut done = 0;
    for (at, _) in text.match_indices("eyJ") {
        if at < done {
            continue;
        }
        let from = text.get(at..).unwrap_or_default();
        let token = from
            .get(..from.find(|c| !of_token(c)).unwrap_or(from.len()))
            .unwrap_or_default();
        if token.len() < SHORTEST {
            continue;
        }
        out.push_str(text.get(done..at).unwrap_or_default());
        out.push_str(&masked(token));
        done = at + token.len();
    }
    (done > 0).then(|| {
        out.push_str(text.get(done..).unwrap_or_default());
        out
    })
}

/// Masks the user information of a URL (RFC 3986 3.2.1).
fn user_information(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut done = 0;
    for (at, _) in text.match_indices("://") {
        let from = at + 3;
        let rest = text.get(from..).unwrap_or_default();
        let authority = rest
            .get(..rest.find(['/', '?', '#', ' ', '"']).unwrap_or(rest.len()))
            .unwrap_or_default();
        if let Some((user, _)) = authority.rsplit_once('@')
            && from >= done
            && !user.is_empty()
            && !is_masked(user)
        {
            out.push_str(text.get(done..from).unwrap_or_default());
            out.push_str(&masked(user));
            done = from + user.len();
        }
    }
    (done > 0).then(|| {
        out.push_str(text.get(done..).unwrap_or_default());
        out
    })
}

/// Masks whole query strings; in prose only what has a parameter in it.
fn queries(text: &str, url: bool) -> Option<String> {
    let mut out = String::new();
    let mut done = 0;
    for (at, _) in text.match_indices('?') {
        let from = at + 1;
        let rest = text.get(from..).unwrap_or_default();
        // Inside of a query, "<redacted n bytes>" has blanks of ours.
        let mut end = 0;
        while let Some(left) = rest.get(end..).filter(|left| !left.is_empty()) {
            if let Some(length) = masked_prefix(left) {
                end += length;
                continue;
            }
            match left.chars().next() {
                Some(c) if c == '&' || c == '#' || !TEXT_STOPS.contains(&c) => end += c.len_utf8(),
                _ => break,
            }
        }
        let query = rest.get(..end).unwrap_or_default();
        if from < done || query.is_empty() || is_masked(query) || !(url || query.contains('=')) {
            continue;
        }
        out.push_str(text.get(done..from).unwrap_or_default());
        out.push_str(&masked(query));
        done = from + query.len();
    }
    (done > 0).then(|| {
        out.push_str(text.get(done..).unwrap_or_default());
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_are_bounded_and_hide_what_is_beyond_as_well() {
        let mut redactor = Redactor::new(Redact::Strict);
        for number in 0..HOSTS_MAX {
            let name = format!("h{number}.example");
            assert_eq!(redactor.host(&name), format!("host-{}", number + 1));
        }
        assert_eq!(redactor.host("late.example:8080"), "host-other:8080");
        assert_eq!(redactor.host("h3.example"), "host-4");
        let mut text = "late.example and h3.example, not h3.example.org".to_owned();
        redactor.apply(Kind::Line, &mut text);
        assert_eq!(text, "host-other and host-4, not h3.example.org");
        for number in 0..=ADDRESSES_MAX as u32 {
            redactor.address(Ipv4Addr::from(0x0a00_0000 + number).into());
        }
        assert_eq!(redactor.addresses.len(), ADDRESSES_MAX);
        let mut text = "192.0.2.1:80 asked 10.0.0.1".to_owned();
        redactor.apply(Kind::Line, &mut text);
        assert_eq!(text, "ip-other:80 asked ip-2");
    }
}
