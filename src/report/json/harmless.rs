//! JSON that may be shown on a terminal.

use std::io::{self, Write};

use crate::report::escape::is_unsafe;

/// Writes escapes for all that a terminal may obey or that cannot be seen: the serializer does so for controls below U+0020
/// alone (RFC 8259 7). What is not ASCII stands in a string, and each character comes in one piece.
pub(super) struct Harmless<W>(pub(super) W);

impl<W: Write> Write for Harmless<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        const DEL: u8 = 0x7f;
        // Nearly all of them, and the serializer writes a few bytes at a time.
        let is_plain = bytes.iter().all(|&byte| byte < DEL);
        let text = if is_plain {
            None
        } else {
            str::from_utf8(bytes).ok()
        };
        let Some(text) = text else {
            self.0.write_all(bytes)?;
            return Ok(bytes.len());
        };
        for c in text.chars() {
            if is_unsafe(c) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(self.0, "\\u{unit:04x}")?;
                }
            } else {
                self.0.write_all(c.encode_utf8(&mut [0; 4]).as_bytes())?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn says_the_same_without_what_a_terminal_obeys() {
        for (text, expected) in [
            ("a\u{9b}2Jb", r#""a\u009b2Jb""#),
            ("\u{7f}", r#""\u007f""#),
            ("gpj.\u{202e}exe", r#""gpj.\u202eexe""#),
            (
                "\u{10fffd} Größe 漢字 \u{1f600}",
                "\"\\udbff\\udffd Größe 漢字 😀\"",
            ),
            ("\r\n\"", r#""\r\n\"""#),
        ] {
            let mut out = Harmless(Vec::new());
            serde_json::to_writer(&mut out, text).unwrap();
            assert_eq!(str::from_utf8(&out.0).unwrap(), expected);
            assert_eq!(serde_json::from_slice::<String>(&out.0).unwrap(), text);
        }
    }
}
