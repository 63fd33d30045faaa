//! Text from packets made harmless for where it is printed.
//!
//! A request target may hold terminal control sequences, a header may hold characters that turn the reading direction
//! around or that cannot be seen at all. [`visible`] shows each of these as an escape, so that a report reads as what
//! was on the wire and nothing in it can move a cursor, hide text or break a table.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character must not be printed as it is: controls, direction marks, invisible and private characters.
pub(super) const fn is_unsafe(c: char) -> bool {
    matches!(
        c,
        '\0'..='\x1f'
        | '\x7f'..='\u{9f}'
        | '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{e000}'..='\u{f8ff}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{10ffff}'
    )
}

/// The text with everything that is no plainly visible character written as an escape: `\n`, `\x1b`, `\u{202e}`.
///
/// ```
/// use hop101::report::escape::visible;
///
/// assert_eq!(visible("chat.v2"), "chat.v2");
/// assert_eq!(visible("a\x1b[31mb\r\n"), r"a\x1b[31mb\r\n");
/// assert_eq!(visible("gpj.\u{202e}exe"), r"gpj.\u{202e}exe");
/// ```
pub fn visible(text: &str) -> Cow<'_, str> {
    escape(text, false)
}

/// The same for a text of several lines: line feeds stay.
pub fn visible_block(text: &str) -> Cow<'_, str> {
    escape(text, true)
}

fn escape(text: &str, lines: bool) -> Cow<'_, str> {
    let harmful = |c: char| is_unsafe(c) && !(lines && c == '\n');
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if harmful(c) {
            push_escape(&mut out, c);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn push_escape(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        // Writing to a String cannot fail.
        c if u32::from(c) < 0x100 => {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        }
        c => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
}

/// Bytes as text: what is ASCII and visible as it is, the rest as `\x..`.
pub fn bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b' '..=b'~' => out.push(char::from(byte)),
            byte => push_escape(&mut out, char::from(byte)),
        }
    }
    out
}

/// The text for Markdown prose or a table cell: nothing in it is markup, and it stays on its line.
///
/// ```
/// use hop101::report::escape::markdown;
///
/// assert_eq!(markdown("a|b `c` <img> *d*"), r"a\|b \`c\` &lt;img&gt; \*d\*");
/// ```
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in visible(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // An at sign calls a person, a hash sign a ticket, where reports are pasted.
            '@' => out.push_str("&#64;"),
            '#' => out.push_str("&#35;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// The text as inline code in Markdown, safe in a table cell too.
///
/// A code span knows no escapes, so the fence is longer than any run of backticks inside, and a pipe in a table is
/// escaped as the table extension of GitHub and GitLab reads it.
pub fn markdown_code(text: &str) -> String {
    let text = visible(text);
    if text.is_empty() {
        return String::new();
    }
    let longest = text
        .split(|c| c != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{}{pad}{fence}", text.replace('|', "\\|"))
}

/// A sentence for Markdown in which what stands between backticks is code, as our own texts mark it.
///
/// ```
/// use hop101::report::escape::markdown_prose;
///
/// assert_eq!(markdown_prose("set `a_b` <now>"), "set `a_b` &lt;now&gt;");
/// assert_eq!(markdown_prose("one ` only"), "one \\` only");
/// ```
pub fn markdown_prose(text: &str) -> String {
    prose(text)
        .map(|(part, is_code)| {
            if is_code {
                markdown_code(part)
            } else {
                markdown(part)
            }
        })
        .collect()
}

/// The parts of a sentence, each with whether it stood between backticks; an odd backtick is a character like others.
pub(super) fn prose(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = Some(text);
    let mut queued = None;
    std::iter::from_fn(move || {
        if let Some(code) = queued.take() {
            return Some((code, true));
        }
        let text = rest.take()?;
        let parts = text
            .split_once('`')
            .and_then(|(plain, from)| Some((plain, from.split_once('`')?)))
            .filter(|(_, (code, _))| !code.is_empty());
        match parts {
            Some((plain, (code, after))) => {
                queued = Some(code);
                rest = Some(after);
                Some((plain, false))
            }
            None => Some((text, false)),
        }
    })
}

/// A fenced block of Markdown around the text, which cannot end it early.
pub fn markdown_block(language: &str, text: &str) -> String {
    let text = visible_block(text);
    let longest = text
        .lines()
        .map(|line| {
            let line = line.trim_start();
            line.len() - line.trim_start_matches('`').len()
        })
        .max()
        .unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!(
        "{fence}{language}\n{}\n{fence}\n",
        text.trim_end_matches('\n')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_not_copied() {
        assert!(matches!(visible("/ws?x=ä 漢字"), Cow::Borrowed(_)));
    }

    #[test]
    fn nothing_harmful_stays() {
        for c in (0..=0x0010_ffff).filter_map(char::from_u32) {
            let text = format!("a{c}b");
            let out = visible(&text);
            assert!(!out.chars().any(char::is_control), "{:x}", u32::from(c));
            assert!(!out.chars().any(is_unsafe), "{:x}", u32::from(c));
        }
    }

    #[test]
    fn a_block_keeps_its_lines_only() {
        assert_eq!(visible_block("a\nb\x07\r\n"), "a\nb\\x07\\r\n");
    }

    #[test]
    fn code_spans_cannot_be_left() {
        assert_eq!(markdown_code("a`b"), "``a`b``");
        assert_eq!(markdown_code("``"), "``` `` ```");
        assert_eq!(markdown_code("a|b"), "`a\\|b`");
        assert_eq!(markdown_code(""), "");
    }

    #[test]
    fn blocks_cannot_be_left() {
        assert_eq!(
            markdown_block("nginx", "a\n````\nb"),
            "`````nginx\na\n````\nb\n`````\n"
        );
        assert_eq!(markdown_block("", "a"), "```\na\n```\n");
    }

    #[test]
    fn bytes_show_what_is_there() {
        assert_eq!(bytes(b"\x16\x03\x01 GET\\\n"), r"\x16\x03\x01 GET\\\n");
    }
}
