//! JSON that may be shown on a terminal.

use std::io::{self, Write};

use crate::report::escape::is_unsafe;

/// Writes escapes for all that a terminal may obey or that cannot be seen: the serializer does so for controls below U+0020
/// alone (RFC 8259 7). What is not ASCII stands in a string.
///
/// A character must come in one piece: the serializer writes none in two, and a buffer before this writer passes on whole
/// pieces.
#[derive(Debug)]
pub(super) struct Harmless<W>(pub(super) W);

/// The first character that the serializer leaves alone and a terminal does not. Below it stand the line feeds between things.
const DEL: u8 = 0x7f;

impl<W: Write> Write for Harmless<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_plain = bytes.is_ascii() && !bytes.contains(&DEL);
        let special = (!is_plain).then(|| str::from_utf8(bytes).ok());
        match special.flatten() {
            Some(text) => self.escaped(text)?,
            None => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> Harmless<W> {
    fn escaped(&mut self, mut text: &str) -> io::Result<()> {
        let special = |c: &char| *c >= char::from(DEL) && is_unsafe(*c);
        while let Some(c) = text.chars().find(special)
            && let Some((before, behind)) = text.split_once(c)
        {
            self.0.write_all(before.as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(self.0, "\\u{unit:04x}")?;
            }
            text = behind;
        }
        self.0.write_all(text.as_bytes())
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

    #[test]
    fn leaves_alone_what_stands_between_things() {
        let things = ["Größe", "a\u{9b}", "plain"];
        let mut out = io::BufWriter::new(Harmless(Vec::new()));
        serde_json::to_writer_pretty(&mut out, &things).unwrap();
        let out = out.into_inner().unwrap().0;
        let expected = "[\n  \"Größe\",\n  \"a\\u009b\",\n  \"plain\"\n]";
        assert_eq!(str::from_utf8(&out).unwrap(), expected);
    }
}
