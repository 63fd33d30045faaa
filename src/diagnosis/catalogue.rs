//! The one home of what findings mean: rules, reports and `hop101 explain` all take their texts from here.
//!
//! A template may hold `{location}` (the path of this case), `{upstream}` (the backend's address) and, on a line of its own,
//! `{kept}`: what the proxy sets of other fields. A line at the margin that the proxy has already is left out.

mod answer;
mod answer_101;
mod answered_by;
mod capture;
mod client_request;
mod code;
mod connect;
mod elsewhere;
mod forwarding;
mod proxy_protocol;
mod session;
mod tls;
mod upstream;

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use super::Severity;

pub use code::{Code, UnknownCode};

pub(super) use answer_101::RETURNED_101;
pub(super) use answered_by::{BALANCER, CHALLENGE_MET, told_by};
pub(super) use capture::UNDECRYPTED;
pub(super) use client_request::OLD_DRAFT;
pub(super) use elsewhere::{IF_NGINX, NOT_IN_NGINX, elsewhere, speaks_of_nginx};
pub(super) use forwarding::SLASHES;
pub(super) use session::IDLE_RELAY;
pub(super) use tls::{
    AGREED_ON_H2, BACKEND_SPEAKS_H2, HUNG_UP, LISTENS_FOR_H2, NO_NAME, NOT_VERIFIED, OTHER_NAME,
};

/// What a code means, in general.
#[derive(Debug)]
pub struct Entry {
    /// Which one.
    pub code: Code,
    /// What happened, in a line.
    pub title: &'static str,
    /// How bad it usually is; a case may differ.
    pub severity: Severity,
    /// What that means.
    pub meaning: &'static str,
    /// How it looks between the client and the proxy.
    pub client_hop: &'static str,
    /// How it looks between the proxy and the backend.
    pub backend_hop: &'static str,
    /// Why it happens, and why nginx does it.
    pub why: &'static str,
    /// What to do.
    pub fix: &'static str,
    pub(super) template: &'static str,
    /// What nginx logs, with the level; empty where nginx is not concerned.
    pub log: &'static str,
    /// RFC sections and nginx directives behind it.
    pub source: &'static str,
}

impl Entry {
    /// The configuration to write, with example values; empty when nothing in nginx would help.
    pub fn snippet(&self) -> Cow<'static, str> {
        self.snippet_for("/ws/", "backend")
    }

    /// The configuration to write for a location and an upstream.
    pub fn snippet_for(&self, location: &str, upstream: &str) -> Cow<'static, str> {
        let filling = Filling {
            location,
            upstream: &upstream,
            https: false,
            kept: &[],
        };
        fill(self.template, &filling)
    }
}

/// What takes the place of an entry's texts.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) why: &'static str,
    pub(super) fix: &'static str,
    pub(super) template: &'static str,
    pub(super) log: &'static str,
}

/// The log of an nginx that only passes an answer on.
pub(super) const PASSED_ON: &str =
    "nothing in the error log: nginx passes the answer on; the access log has the status";

/// What a template's places stand for in a case.
pub(super) struct Filling<'a> {
    pub(super) location: &'a str,
    pub(super) upstream: &'a dyn fmt::Display,
    /// The upstream is spoken to inside TLS.
    pub(super) https: bool,
    /// What the proxy is seen to set besides.
    pub(super) kept: &'a [&'static str],
}

/// A path as nginx compares it with locations: of slashes in a row there is one left (`merge_slashes`).
fn merged(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return path.into();
    }
    let mut merged = String::new();
    for c in path.chars() {
        if c != '/' || !merged.ends_with('/') {
            merged.push(c);
        }
    }
    merged.into()
}

/// A path up to the first part that names one of many: a kernel, a terminal, a room. The next one has another.
fn before_ids(path: &str) -> &str {
    /// Shorter parts with a digit are names and versions: `v2`, `mp4`.
    const SHORTEST: usize = 8;
    let is_id = |part: &str| {
        let has_digit = part.bytes().any(|byte| byte.is_ascii_digit());
        let mut digits = part.bytes().filter(|&byte| byte != b'-');
        let of_number = || part.bytes().all(|byte| byte.is_ascii_digit());
        has_digit
            && (of_number()
                || part.len() >= SHORTEST && digits.all(|byte| byte.is_ascii_hexdigit()))
    };
    let mut end = 0;
    for part in path.split_inclusive('/') {
        if is_id(part.trim_end_matches('/')) {
            break;
        }
        end += part.len();
    }
    path.get(..end)
        .filter(|kept| kept.len() > 1)
        .unwrap_or(path)
}

/// A template with the values of a case in its places.
pub(super) fn fill(template: &'static str, filling: &Filling<'_>) -> Cow<'static, str> {
    let mut text = String::new();
    let (mut says, mut left_out) = (false, false);
    for line in template.lines() {
        if filling.kept.contains(&line) {
            left_out = true;
            continue;
        }
        if let Some(indent) = line.strip_suffix("{kept}") {
            keep(&mut text, template, indent, filling.kept);
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        says |= !line.starts_with('#');
        let mut rest = line;
        while let Some((before, place)) = rest.split_once('{') {
            text.push_str(before);
            rest = match place.split_once('}') {
                Some(("location", after)) => {
                    // One that matches nothing but this path names it whole.
                    let exact = text.ends_with("= ");
                    let path = merged(filling.location);
                    text.push_str(if exact { &path } else { before_ids(&path) });
                    after
                }
                Some(("upstream", after)) => {
                    if filling.https && text.ends_with("http://") {
                        text.truncate(text.len() - "://".len());
                        text.push_str("s://");
                    }
                    // Writing to a String cannot fail.
                    let _ = write!(text, "{}", filling.upstream);
                    after
                }
                _ => {
                    text.push('{');
                    place
                }
            };
        }
        text.push_str(rest);
    }
    if left_out && !says {
        "".into()
    } else if text == template {
        template.into()
    } else {
        text.into()
    }
}

/// Writes what a location has to repeat: beside a proxy_set_header of its own it inherits none.
fn keep(text: &mut String, template: &str, indent: &str, kept: &[&str]) {
    let names = |line: &str| {
        line.split(' ')
            .nth(1)
            .map(|name| format!("proxy_set_header {name} "))
    };
    let new = kept
        .iter()
        .filter(|line| names(line).is_some_and(|name| !template.contains(&name)));
    let and = "# plus what else is set for this path: beside these, none is inherited";
    for line in new.chain([&and]) {
        text.push('\n');
        text.push_str(indent);
        text.push_str(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::certainty::is_about_capture;

    #[test]
    fn every_code_has_a_complete_entry() {
        for &code in Code::ALL {
            let entry = code.entry();
            assert_eq!(entry.code, code);
            for (name, text) in [
                ("title", entry.title),
                ("meaning", entry.meaning),
                ("client_hop", entry.client_hop),
                ("backend_hop", entry.backend_hop),
                ("why", entry.why),
                ("fix", entry.fix),
                ("source", entry.source),
            ] {
                assert!(!text.trim().is_empty(), "{code}: {name} is empty");
                assert_eq!(text.trim(), text, "{code}: {name} has loose white space");
            }
            assert_eq!(
                entry.log.is_empty(),
                is_about_capture(code),
                "{code}: log line"
            );
            assert!(
                !entry.title.ends_with('.'),
                "{code}: a title is no sentence"
            );
            assert!(entry.meaning.ends_with('.'), "{code}: a meaning is one");
            assert!(entry.title.chars().count() <= 90, "{code}: title too long");
        }
    }

    #[test]
    fn titles_are_unique() {
        let mut titles: Vec<_> = Code::ALL.iter().map(|&code| code.entry().title).collect();
        titles.sort_unstable();
        titles.dedup();
        assert_eq!(titles.len(), Code::ALL.len());
    }

    #[test]
    fn snippets_have_no_placeholder_left() {
        for &code in Code::ALL {
            let text = code.entry().snippet_for("/chat", "10.0.0.1:8080");
            for mark in ["{location}", "{upstream}", "{kept}"] {
                assert!(!text.contains(mark), "{code}: {mark} left in {text}");
            }
        }
    }

    #[test]
    fn braces_of_snippets_balance() {
        for &code in Code::ALL {
            let text = code.entry().snippet();
            assert_eq!(
                text.matches('{').count(),
                text.matches('}').count(),
                "{code}: {text}"
            );
        }
    }

    #[test]
    fn a_location_serves_all_paths_of_its_kind() {
        for (path, location) in [
            ("/terminals/websocket/1", "/terminals/websocket/"),
            (
                "/api/kernels/0d5a31bc-8b1e-4f6a-9a44-c7f2dd6b8a10/channels",
                "/api/kernels/",
            ),
            ("/api/v2/ws", "/api/v2/ws"),
            ("/room/deadbeef", "/room/deadbeef"),
            ("/12/ws", "/12/ws"),
            ("/ws", "/ws"),
            ("/", "/"),
        ] {
            assert_eq!(before_ids(path), location);
        }
        assert_eq!(merged("//ws///a/"), "/ws/a/");
        let filling = Filling {
            location: "/rooms/7",
            upstream: &"backend",
            https: false,
            kept: &[],
        };
        let exact = fill(answer::SAME_PATH, &filling);
        assert!(exact.contains("location = /rooms/7 {"), "{exact}");
    }

    /// A location that is written anew has neither the version nor the fields that another one set.
    #[test]
    fn a_new_location_is_whole() {
        let kept = [
            "proxy_set_header Host $http_host;",
            "proxy_set_header X-Real-IP $remote_addr;",
        ];
        let filling = Filling {
            location: "/chat",
            upstream: &"10.0.0.1:8080",
            https: false,
            kept: &kept,
        };
        for code in [Code::UpgradeNotForwarded, Code::OriginHostMismatch] {
            let text = fill(code.entry().template, &filling);
            for line in [
                "map $http_upgrade $connection_upgrade {",
                "location /chat {",
                "    proxy_http_version 1.1;   # the default since nginx 1.29.7",
                "    proxy_set_header Upgrade $http_upgrade;",
                "    proxy_set_header Connection $connection_upgrade;",
                "    proxy_set_header Host $http_host;",
                "    proxy_set_header X-Real-IP $remote_addr;",
            ] {
                assert_eq!(
                    text.lines().filter(|&one| one == line).count(),
                    1,
                    "{code}: {line} in {text}"
                );
            }
        }
        let advice = "# beside others\nproxy_set_header Host $http_host;";
        assert_eq!(fill(advice, &filling), "", "it is set already");
        let more =
            "# beside others\nproxy_set_header Host $http_host;\nproxy_set_header Origin \"\";";
        assert_eq!(
            fill(more, &filling),
            "# beside others\nproxy_set_header Origin \"\";"
        );
    }

    /// Popular advice that real nginx proves wrong must not come from us.
    #[test]
    fn no_entry_repeats_wrong_advice() {
        for &code in Code::ALL {
            let entry = code.entry();
            let snippet = entry.snippet();
            assert!(!snippet.contains("proxy_read_timeout 0"), "{code}");
            assert!(!snippet.contains("client_max_body_size"), "{code}");
            assert!(!snippet.contains("proxy_buffering"), "{code}");
            assert!(!entry.log.contains("no \"Upgrade\" header found"), "{code}");
        }
    }
}
