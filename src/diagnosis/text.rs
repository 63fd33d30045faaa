//! Words for values: short enough for one line, never with a secret in them.

use std::fmt::Write as _;

use crate::http::{RequestHead, ResponseHead};
use crate::tcp::EndingHow;

/// Longest text taken from a packet into a title or detail, in characters: a line of a report must stay a line.
const SHORT: usize = 80;

/// A text from a packet, cut to `SHORT` characters with an ellipsis.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(SHORT) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The path of a target. The query is left out: it is where tokens travel.
pub(super) fn path(target: &str) -> &str {
    let end = memchr::memchr2(b'?', b'#', target.as_bytes());
    end.and_then(|end| target.get(..end)).unwrap_or(target)
}

/// The path that a backend got, and the client's where that is another one.
pub(super) fn asked_for(asked: &str, got: &str) -> String {
    if asked == got {
        got.to_owned()
    } else {
        format!("{got} where the client asked for {asked}")
    }
}

/// The path for a sentence; a query is shown to be there and no more.
pub(super) fn short_target(target: &str) -> String {
    let path = path(target);
    if path.len() < target.len() {
        format!("{}?…", short(path))
    } else {
        short(path)
    }
}

/// A duration in the unit that reads best: `0.04 ms`, `1.2 ms`, `350 ms`, `3.98 s`.
pub(super) fn duration(nanos: i64) -> String {
    let ms = nanos as f64 / 1e6;
    if ms < 0.1 {
        format!("{ms:.2} ms")
    } else if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 1000.0 {
        format!("{ms:.0} ms")
    } else if ms < 10_000.0 {
        format!("{:.2} s", ms / 1e3)
    } else {
        format!("{:.1} s", ms / 1e3)
    }
}

/// What a side did that ended its connection so.
pub(super) const fn closed(how: EndingHow) -> &'static str {
    match how {
        EndingHow::Fin => "closed",
        EndingHow::Rst => "reset",
    }
}

/// With a capital first letter, as a sentence begins; names like `nginx` keep their small one.
pub(super) fn capital(text: &str) -> String {
    const SMALL: [&str; 2] = ["nginx", "lighttpd"];
    if SMALL.iter().any(|name| text.starts_with(name)) {
        return text.to_owned();
    }
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if first.is_ascii() => {
            let mut capital = String::with_capacity(text.len());
            capital.push(first.to_ascii_uppercase());
            capital.push_str(chars.as_str());
            capital
        }
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

/// `1 connection`, `3 connections`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A request as evidence: its line, and the two fields that make it an upgrade.
pub(super) fn shows_request(head: &RequestHead) -> String {
    format!(
        "{} {} HTTP/{}, {}, {}",
        short(head.method()),
        short_target(head.target()),
        head.version(),
        field(head.fields.combined("connection").as_deref(), "Connection"),
        field(head.fields.combined("upgrade").as_deref(), "Upgrade"),
    )
}

/// A response as evidence: its line, and who signs it.
pub(super) fn shows_response(head: &ResponseHead) -> String {
    let reason = if head.reason().is_empty() {
        String::new()
    } else {
        format!(" {}", short(head.reason()))
    };
    let server = head.fields.first("server").map_or(String::new(), |server| {
        format!(", Server: {}", short(&server))
    });
    format!("HTTP/{} {}{reason}{server}", head.version(), head.status)
}

/// `Name: value`, or `no Name`.
pub(super) fn field(value: Option<&str>, name: &str) -> String {
    value.map_or_else(
        || format!("no {name}"),
        |value| format!("{name}: {}", short(value)),
    )
}

/// Whether a body excerpt contains a text, ASCII case ignored.
pub(super) fn contains(body: &[u8], text: &str) -> bool {
    let text = text.as_bytes();
    let Some(first) = text.first() else {
        return true;
    };
    let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    memchr::memchr2_iter(lower, upper, body)
        .filter_map(|at| body.get(at..)?.get(..text.len()))
        .any(|here| here.eq_ignore_ascii_case(text))
}

/// The first bytes of what is no HTTP, printable ones as they are.
pub(super) fn preview(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes.iter().take(24) {
        if byte.is_ascii_graphic() || byte == b' ' {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    if bytes.len() > 24 {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_characters() {
        assert_eq!(short("kurz"), "kurz");
        let long = short(&"ü".repeat(200));
        assert_eq!(long.chars().count(), SHORT + 1);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn sentences_begin_with_a_capital() {
        for (text, sentence) in [
            ("the client", "The client"),
            ("The client", "The client"),
            ("10.0.0.1", "10.0.0.1"),
            ("nginx 10.0.0.1", "nginx 10.0.0.1"),
            ("lighttpd 10.0.0.1", "lighttpd 10.0.0.1"),
            ("über", "Über"),
            ("ßa", "SSa"),
            ("", ""),
        ] {
            assert_eq!(capital(text), sentence);
        }
    }

    #[test]
    fn leaves_the_query_out() {
        assert_eq!(path("/a/ü#b?c"), "/a/ü");
        assert_eq!(path("?"), "");
        assert_eq!(short_target("/ws?token=secret"), "/ws?…");
        assert_eq!(short_target("/ws"), "/ws");
    }

    #[test]
    fn durations_in_the_unit_that_reads_best() {
        for (nanos, text) in [
            (40_000, "0.04 ms"),
            (1_234_000, "1.2 ms"),
            (349_600_000, "350 ms"),
            (3_980_000_000, "3.98 s"),
            (60_040_000_000, "60.0 s"),
        ] {
            assert_eq!(duration(nanos), text);
        }
    }

    #[test]
    fn lists_read_as_english() {
        let items: Vec<String> = ["a", "b", "c"].map(String::from).into();
        assert_eq!(list(&items), "a, b and c");
        assert_eq!(list(items.get(..2).unwrap_or_default()), "a and b");
    }

    #[test]
    fn finds_words_in_any_case() {
        let page = b"<CENTER>nginx</center>";
        for (text, found) in [
            ("<center>Nginx", true),
            ("</CENTER>", true),
            ("</center> ", false),
            ("x", true),
            ("", true),
        ] {
            assert_eq!(contains(page, text), found, "{text}");
        }
        assert!(!contains(b"", "a"));
    }

    #[test]
    fn previews_bytes() {
        assert_eq!(preview(b"\x15\x03\x01HTTP"), "\\x15\\x03\\x01HTTP");
    }
}
