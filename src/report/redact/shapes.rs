//! Secrets known by their shape in text: parameters, quoted headers, web tokens, user information.
//!
//! Each search gives `None` where it changed nothing, so that most texts are not copied; what is masked already stays as it is.

use std::borrow::Cow;

use super::secrets::{is_secret_header, is_secret_parameter, percent_decoded};

/// Characters that end a value in free text.
pub(super) const TEXT_STOPS: &[char] = &[' ', '\t', '\r', '\n', '"', '\'', '`', '<', '>', '&', '#'];

/// Characters that end a value in a URL.
pub(super) const URL_STOPS: &[char] = &['&', ';', '#'];

/// What stands where a secret was: how long it was may tell a truncated cookie.
pub(super) fn masked(value: &str) -> String {
    format!("<redacted {} bytes>", value.len())
}

/// Whether a text is just what [`masked`] writes.
pub(super) fn is_masked(text: &str) -> bool {
    text.strip_prefix("<redacted ")
        .and_then(|rest| rest.strip_suffix(" bytes>"))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Rewrites the values of secret parameters (`?token=...`, `;sid=...`, `"token":"..."`); `None` when nothing changed.
pub(super) fn parameters(
    text: &str,
    stops: &[char],
    replace: impl FnMut(&str) -> Option<String>,
) -> Option<String> {
    let is_secret = |name: &str, value: &str| is_secret_parameter(name) || hides_parameter(value);
    values(text, stops, is_secret, replace)
}

/// The same for parameters that are secret by name and value.
fn values(
    text: &str,
    stops: &[char],
    is_secret: impl Fn(&str, &str) -> bool,
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
        if !opens {
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
        if value.is_empty() || !is_secret(name, value) {
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

/// Whether a value is an encoded address with a secret parameter of its own, as those are to which a login leads back.
fn hides_parameter(value: &str) -> bool {
    /// Logins that lead to logins are encoded once more each time.
    const ENCODED_MAX: usize = 3;
    let by_name = |name: &str, _: &str| is_secret_parameter(name);
    let mut inner = Cow::Borrowed(value);
    for _ in 0..ENCODED_MAX {
        if !inner.contains('%') {
            return false;
        }
        inner = Cow::Owned(percent_decoded(&inner).into_owned());
        if values(&inner, URL_STOPS, by_name, |_| Some(String::new())).is_some() {
            return true;
        }
    }
    false
}

/// The length of what [`masked`] wrote at the beginning of a text.
fn masked_prefix(text: &str) -> Option<usize> {
    let end = text.find('>')? + 1;
    is_masked(text.get(..end)?).then_some(end)
}

/// Where something stands in a text that begins with a colon and has no other.
fn places(what: &str, text: &str) -> impl Iterator<Item = usize> {
    memchr::memchr_iter(b':', text.as_bytes())
        .filter(move |&at| text.get(at..).is_some_and(|here| here.starts_with(what)))
}

/// Masks headers quoted in a sentence (`Cookie: ...`) to the end of the line or quotation.
pub(super) fn quoted_headers(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut done = 0;
    for colon in places(": ", text) {
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
pub(super) fn web_tokens(text: &str) -> Option<String> {
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
pub(super) fn user_information(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut done = 0;
    for at in places("://", text) {
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
pub(super) fn queries(text: &str, url: bool) -> Option<String> {
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
