//! Secrets masked, once, while the view is built: no form of the report can leak what is no longer there.
//!
//! Headers and targets are masked by name. What was masked there is also looked for in the free text of the same
//! handshake (a finding may quote a header), and free text is searched for the shapes of secrets besides.

mod bytes;
mod secrets;
mod shapes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use memchr::memmem;

use self::bytes::{Bytes, Part};
use self::secrets::{
    PLAIN_HEADERS, is_marker_subprotocol, is_secret_header, is_secret_parameter,
    is_token_subprotocol, percent_decoded, subprotocols, without_attributes,
};
use self::shapes::{
    TEXT_STOPS, URL_STOPS, is_masked, masked, parameters, queries, quoted_headers,
    user_information, web_tokens,
};
use crate::report::visit::Kind;

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

/// The shortest value that is looked for in free text: shorter ones are words there.
const LEARNED_MIN: usize = 6;

/// Characters of a text from a packet that a sentence quotes at most.
const QUOTED: usize = 80;

/// Addresses that get a pseudonym of their own: a live run may last for weeks. The ones beyond share one. About 64 bytes
/// each.
const ADDRESSES_MAX: usize = 1 << 16;

/// Host names that get one: more than most proxies serve. Every text is searched for all of them.
const HOSTS_MAX: usize = 512;

/// The pseudonym that addresses share for which there was no other left.
const ANY_ADDRESS: &str = "ip-other";

/// The same for host names.
const ANY_HOST: &str = "host-other";

/// Masks texts; remembers the pseudonyms that it gave out, so that they are the same in the whole run.
#[derive(Debug, Clone, Default)]
pub(super) struct Redactor {
    level: Redact,
    addresses: BTreeMap<IpAddr, usize>,
    hosts: BTreeMap<String, usize>,
    /// Host names of the last handshake that share a pseudonym.
    strangers: Vec<String>,
    learned: Vec<Part<String>>,
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
        if let (Redact::Strict, Kind::Field(name)) = (self.level, kind) {
            self.learn_hosts(name, text);
        }
        match kind {
            Kind::Field(name) if is_secret_header(name) => {
                self.remember(text);
                for part in without_attributes(name, text).split([';', ',', ' ']) {
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
            Kind::Reason => {
                for part in text.split_ascii_whitespace() {
                    if let Some((name, value)) = part.split_once('=')
                        && is_secret_parameter(name)
                    {
                        self.remember(value);
                    }
                }
                if self.level == Redact::Strict {
                    self.learn_reason(text);
                }
            }
            _ => {}
        }
    }

    /// Names of hosts that stand in other fields than Host: sentences quote these as well.
    fn learn_hosts(&mut self, name: &str, text: &str) {
        if let Some((_, rest)) = text.split_once("://") {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = authority.rsplit('@').next().unwrap_or_default();
            self.host(host);
        } else if name.eq_ignore_ascii_case("x-forwarded-host") {
            for host in text.split(',') {
                self.host(host.trim());
            }
        }
    }

    /// Sentences quote reasons, and cut long ones off.
    fn learn_reason(&mut self, reason: &str) {
        let cut = reason.char_indices().nth(QUOTED).map(|(at, _)| at);
        let shown = cut.and_then(|at| reason.get(..at));
        for text in [Some(reason), shown].into_iter().flatten() {
            self.remember(text);
        }
        // One word would be masked wherever it stands, but for its quotation marks.
        self.insert(format!("\"{reason}\""));
    }

    fn remember(&mut self, secret: &str) {
        let secret = secret.trim();
        // A plain word would be masked wherever it stands in a sentence.
        let word = secret.bytes().all(|b| b.is_ascii_lowercase());
        if secret.len() >= LEARNED_MIN && !word {
            self.insert(secret.to_owned());
        }
    }

    fn insert(&mut self, secret: String) {
        if self.learned.iter().any(|known| known.text == secret) {
            return;
        }
        // Longest first: a cookie's value is part of the whole header.
        let place = self
            .learned
            .partition_point(|known| known.text.len() >= secret.len());
        self.learned.insert(place, secret.into());
    }

    /// Masks what is secret in a text.
    pub(super) fn apply(&mut self, kind: Kind<'_>, text: &mut String) {
        self.apply_where(kind, text, Bytes::of);
    }

    /// The same; what is not in a text by its bytes, as `of` tells them, is not looked for.
    fn apply_where(&mut self, kind: Kind<'_>, text: &mut String, of: fn(&str) -> Bytes) {
        const HEADER: Bytes = Bytes::of(": ");
        const AUTHORITY: Bytes = Bytes::of("://");
        const SIGN: Bytes = Bytes::of("=");
        const WEB_TOKEN: Bytes = Bytes::of("eyJ");
        if self.level == Redact::None || text.is_empty() {
            return;
        }
        let mut bytes = of(text);
        let set = |text: &mut String, bytes: &mut Bytes, new: String| {
            *text = new;
            *bytes = of(text);
        };
        match kind {
            Kind::Field(name) if is_secret_header(name) => {
                if !is_masked(text) {
                    *text = masked(text);
                }
                return;
            }
            Kind::Field(name) if name.eq_ignore_ascii_case("sec-websocket-protocol") => {
                let new = subprotocols(text);
                set(text, &mut bytes, new);
            }
            Kind::Field(_) | Kind::Target if bytes.may_have(SIGN) => {
                if let Some(new) = parameters(text, URL_STOPS, |value| Some(masked(value))) {
                    set(text, &mut bytes, new);
                }
            }
            _ => {}
        }
        for secret in &self.learned {
            if secret.may_be_in(bytes) && text.contains(secret.text.as_str()) {
                let new = text.replace(secret.text.as_str(), &masked(&secret.text));
                set(text, &mut bytes, new);
            }
        }
        if bytes.may_have(HEADER)
            && let Some(new) = quoted_headers(text)
        {
            set(text, &mut bytes, new);
        }
        if bytes.may_have(SIGN)
            && let Some(new) = parameters(text, TEXT_STOPS, |value| Some(masked(value)))
        {
            set(text, &mut bytes, new);
        }
        if bytes.may_have(WEB_TOKEN)
            && let Some(new) = web_tokens(text)
        {
            set(text, &mut bytes, new);
        }
        if bytes.may_have(AUTHORITY)
            && let Some(new) = user_information(text)
        {
            set(text, &mut bytes, new);
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
