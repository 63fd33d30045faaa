//! What a refusal says for itself: the short text in its body.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::{RequestHead, ResponseHead};

/// Characters of it that are quoted: a sentence.
const SAID_MAX: usize = 120;

/// The longest word with a digit that is still one of a sentence: keys, identifiers and tokens are longer.
const WORD_MAX: usize = 12;

/// The longest word without one.
const LETTERS_MAX: usize = 32;

/// Characters that are looked into: those quoted, and the rest of the last word, which may be a secret cut off.
const LOOKED_AT: usize = SAID_MAX + LETTERS_MAX;

/// The members of a JSON object in which applications say why.
const MEMBERS: &[&str] = &[
    "message",
    "error_description",
    "detail",
    "error",
    "reason",
    "msg",
    "title",
];

/// The first line of the text with which an answer refuses, or the message of its JSON. `None` of pages, of what is coded,
/// of what says no more than the status line, and of what may hold a secret or a person's name.
pub fn said(asked: &RequestHead, answer: &ResponseHead, body: &[u8]) -> Option<String> {
    if answer.status < 400 {
        return None;
    }
    let coding = answer.fields.first("content-encoding");
    if coding.is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return None;
    }
    let kind = answer.fields.first("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    let text = if kind == "application/json" || kind.ends_with("+json") {
        message(&serde_json::from_slice(body).ok()?)?
    } else if kind.is_empty() || kind.starts_with("text/") {
        // The excerpt may end inside a character; its first line does not.
        String::from_utf8_lossy(body).into_owned()
    } else {
        return None;
    };
    let line = text.trim_start().lines().next()?.trim_end();
    // Some servers write JSON and call it text: a sentence in quotation marks (python-engineio).
    let line = line
        .strip_prefix('"')
        .and_then(|line| line.strip_suffix('"'))
        .unwrap_or(line);
    let line = line
        .char_indices()
        .nth(LOOKED_AT)
        .map_or(line, |(end, _)| line.get(..end).unwrap_or(line));
    let open = before_secrets(asked, line)?;
    let shown: String = open.chars().take(SAID_MAX).collect();
    let is_sentence = !shown.is_empty()
        && !shown.contains(['<', '@', '\u{fffd}'])
        && !shown.chars().any(char::is_control)
        && !is_status_line(&shown, answer);
    is_sentence.then(|| {
        if shown.len() < line.len() {
            format!("{shown}…")
        } else {
            shown
        }
    })
}

/// Whether a text says no more than the status line: `Bad Request`, `400: Bad Request` (aiohttp).
fn is_status_line(text: &str, answer: &ResponseHead) -> bool {
    let status = answer.status.to_string();
    let reason = text.strip_prefix(&*status).unwrap_or(text);
    let reason = reason.trim_start_matches([':', ' ']);
    reason.eq_ignore_ascii_case(answer.reason())
}

/// A line up to the first word that may be a secret; `None` if what is left says nothing.
fn before_secrets<'a>(asked: &RequestHead, line: &'a str) -> Option<&'a str> {
    /// `Invalid session` says something, `token` does not.
    const TELLING: usize = 2;
    let repeated = first_repeated(asked, line).unwrap_or(usize::MAX);
    let (mut end, mut words) = (0, 0);
    for piece in line.split_inclusive(is_between_words) {
        let word = piece.trim_end_matches(is_between_words);
        if !is_harmless(word) || repeated < end + word.len() {
            return (words >= TELLING).then(|| line.get(..end).unwrap_or_default());
        }
        end += piece.len();
        words += usize::from(!word.is_empty());
    }
    Some(line)
}

/// The message of an object, or of the one in it that tells of the error.
fn message(json: &Value) -> Option<String> {
    match json {
        Value::String(text) => Some(text.clone()),
        Value::Object(members) => {
            let found = MEMBERS.iter().filter_map(|name| members.get(*name));
            let mut texts = found.filter_map(|one| match one {
                Value::String(text) => Some(text.clone()),
                Value::Object(inner) => {
                    let inner = MEMBERS.iter().filter_map(|name| inner.get(*name)?.as_str());
                    inner.map(str::to_owned).next()
                }
                _ => None,
            });
            texts.next()
        }
        _ => None,
    }
}

/// Blanks, and what ends or quotes a word.
fn is_between_words(c: char) -> bool {
    c.is_whitespace() || "\"'`(),;:/=[]{}".contains(c)
}

/// Fields whose values are no secrets: an answer may quote what it refuses. Of all others it may not.
const PUBLIC_FIELDS: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "host",
    "origin",
    "pragma",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-websocket-extensions",
    "sec-websocket-version",
    "upgrade",
    "user-agent",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
];

/// Where a line first has anything of a value in the query, a cookie, credentials or an unknown field: a password may look
/// like any word, and be coded in one of the places. The head is gone through once, however many words the line has.
fn first_repeated(asked: &RequestHead, line: &str) -> Option<usize> {
    /// Shorter runs are no secrets, and are in many sentences.
    const SHORTEST: usize = 3;
    let line = line.to_ascii_lowercase();
    // Most runs have a letter that the line has not, which is told at a fraction of the cost of a search.
    let mut letters = [false; 256];
    for byte in line.bytes() {
        if let Some(letter) = letters.get_mut(usize::from(byte)) {
            *letter = true;
        }
    }
    let has = |byte: u8| letters.get(usize::from(byte.to_ascii_lowercase())) == Some(&true);
    let place_of = |text: &str| {
        let values = text.split(['&', ';', ',', ' ', '?']);
        let values = values.map(|part| part.split_once('=').map_or(part, |(_, value)| value));
        let runs = values.flat_map(|value| value.split(|c: char| !c.is_alphanumeric()));
        let runs = runs.filter(|run| run.len() >= SHORTEST && run.bytes().all(has));
        runs.filter_map(|run| line.find(&run.to_ascii_lowercase()))
            .min()
    };
    let is_public = |name: &str| {
        let mut public = PUBLIC_FIELDS.iter();
        public.any(|one| one.eq_ignore_ascii_case(name))
    };
    let query = asked.target().split_once('?').map(|(_, query)| query);
    let fields = asked.fields.iter().filter(|(name, _)| !is_public(name));
    let places = fields.filter_map(|(_, value)| place_of(&value));
    query.and_then(place_of).into_iter().chain(places).min()
}

/// Whether a word is not made to be kept secret.
fn is_harmless(word: &str) -> bool {
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    let most = if has_digit { WORD_MAX } else { LETTERS_MAX };
    word.chars().count() <= most || word.parse::<Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::testkit::{request, response};
    use super::*;
    use crate::capture::{CaptureId, FrameNo, FrameRef, Timestamp};

    fn of(head: &str, body: &str) -> Option<String> {
        let at = FrameRef::new(Timestamp::from_nanos(1), CaptureId(0), FrameNo(1));
        let asked = "GET /ws?token=hunter&room=7 HTTP/1.1\nHost: a\nCookie: id=letmein\nX-Pass: open%2Dsesame\nSec-Fetch-Mode: websocket";
        let head = response(&format!("HTTP/1.1 {head}"), at);
        said(&request(asked, at), &head, body.as_bytes())
    }

    const TEXT: &str = "403 Forbidden\nContent-Type: text/plain; charset=utf-8";
    const JSON: &str = "403 Forbidden\nContent-Type: application/json";

    #[test]
    fn quotes_the_sentence_that_names_the_reason() {
        for (head, body, says) in [
            (TEXT, "Origin not allowed\nmore", "Origin not allowed"),
            (
                "400 Bad Request",
                "\r\nInvalid Host header\r\n",
                "Invalid Host header",
            ),
            (
                "400 Bad Request\nContent-Type: text/html",
                "Missing or invalid Sec-WebSocket-Key header",
                "Missing or invalid Sec-WebSocket-Key header",
            ),
            (
                TEXT,
                "Origin http://192.168.50.231:8080 is not allowed",
                "Origin http://192.168.50.231:8080 is not allowed",
            ),
            (TEXT, "No token, no websocket", "No token, no websocket"),
            (
                JSON,
                r#"{"code":4,"message":"Forbidden origin"}"#,
                "Forbidden origin",
            ),
            (
                JSON,
                r#"{"error":{"code":4,"message":"No such app"}}"#,
                "No such app",
            ),
            (
                "422 Unprocessable\nContent-Type: application/problem+json",
                r#"{"title":"Bad room","status":422}"#,
                "Bad room",
            ),
        ] {
            assert_eq!(of(head, body).as_deref(), Some(says), "{head}");
        }
        let long = of(TEXT, &"no ".repeat(100));
        assert_eq!(long.map(|said| said.chars().count()), Some(SAID_MAX + 1));
    }

    #[test]
    fn looks_no_further_than_what_may_be_quoted_in_part() {
        let far = "no ".repeat(100) + "hunter";
        assert!(of(TEXT, &far).is_some());
        // It would be quoted to its third letter.
        let cut = of(TEXT, &("no ".repeat(39) + "hunter"));
        assert_eq!(cut, Some("no ".repeat(39) + "…"));
    }

    #[test]
    fn quotes_to_the_word_that_may_be_a_secret() {
        for (body, says) in [
            ("\"Invalid session c29tZXNlY3JldA1\"", "Invalid session …"),
            ("no key QmFzZTY0LXNlY3JldC1vZi1zb21lYm9keQ here", "no key …"),
            ("unknown session=c29tZXNlY3JldA1", "unknown session=…"),
            ("the token 'hunter' has expired", "the token '…"),
            ("no session letmein", "no session …"),
            ("who said Open-Sesame?", "who said …"),
        ] {
            assert_eq!(of(TEXT, body).as_deref(), Some(says));
        }
    }

    #[test]
    fn leaves_out_what_is_no_sentence_or_may_be_a_secret() {
        for (head, body) in [
            ("200 OK\nContent-Type: text/plain", "hello"),
            ("403 Forbidden\nContent-Type: text/html", "<html><h1>No"),
            (
                "403 Forbidden\nContent-Type: text/plain\nContent-Encoding: gzip",
                "x",
            ),
            (
                "403 Forbidden\nContent-Type: application/octet-stream",
                "no",
            ),
            (TEXT, "forbidden"),
            (TEXT, "403: Forbidden"),
            (TEXT, "403 Forbidden\nmore"),
            (TEXT, ""),
            (TEXT, "token 8f14e45fceea167a is not valid"),
            (TEXT, "session=c29tZXNlY3JldA1"),
            (TEXT, "jane.doe@example.org is not allowed"),
            (TEXT, "hunter is no token"),
            (TEXT, "\"letmein\""),
            (TEXT, "no\u{7}bell"),
            (JSON, "{\"message\":\"cut"),
            (JSON, r#"{"token":"abc"}"#),
        ] {
            assert_eq!(of(head, body), None, "{head} {body}");
        }
    }
}
