//! Colours, wrapping and padding for a terminal of a given width.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use tabled::grid::util::string::get_string_width;

/// What a piece of text stands for; each has one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Text as it is.
    Plain,
    /// A heading.
    Strong,
    /// Context: less important than the rest.
    Faint,
    /// What is wrong.
    Bad,
    /// What is doubtful or changed.
    Odd,
    /// What is right.
    Good,
    /// What to type or write.
    Code,
}

impl Look {
    const fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Odd => AnsiColor::Yellow.on_default(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Code => AnsiColor::Cyan.on_default(),
        }
    }
}

/// The page being written.
pub(super) struct Page {
    pub(super) width: usize,
    color: bool,
    text: String,
}

/// Prose in longer lines is hard to read.
const PROSE_MAX: usize = 110;

/// The columns that a text takes, colours not counted.
pub(super) fn columns(text: &str) -> usize {
    if text.contains('\x1b') {
        get_string_width(&anstream::adapter::strip_str(text).to_string())
    } else {
        get_string_width(text)
    }
}

impl Page {
    pub(super) const fn new(width: usize, color: bool) -> Self {
        Self {
            width,
            color,
            text: String::new(),
        }
    }

    /// Writes what there is but for the line ends at its end, which tell where the next gap is.
    pub(super) fn write_to(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let end = self.text.trim_end_matches('\n').len();
        let (done, _) = self.text.split_at(end);
        out.write_all(done.as_bytes())?;
        self.text.drain(..end);
        Ok(())
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// The text in a look.
    pub(super) fn paint(&self, look: Look, text: &str) -> String {
        if !self.color || look == Look::Plain || text.is_empty() {
            return text.to_owned();
        }
        let style = look.style();
        format!("{style}{text}{style:#}")
    }

    /// An empty line, unless the page begins or there is one already.
    pub(super) fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Lines that are laid out already.
    pub(super) fn raw(&mut self, text: &str) {
        for line in text.lines() {
            self.text.push_str(line.trim_end());
            self.text.push('\n');
        }
    }

    /// A line whose columns are laid out already; wrapped like a paragraph only if it is too long.
    pub(super) fn columns(&mut self, lead: &str, lead_look: Look, text: &str) {
        if columns(lead) + columns(text) > self.width {
            self.paragraph(lead, lead_look, Look::Plain, text);
            return;
        }
        let line = self.paint(lead_look, lead) + text;
        self.raw(&line);
    }

    /// A paragraph: `lead` stands before its first line, the others are indented below it.
    pub(super) fn paragraph(&mut self, lead: &str, lead_look: Look, look: Look, text: &str) {
        let indent = columns(lead);
        let room = self.width.min(PROSE_MAX).saturating_sub(indent).max(20);
        let mut first = true;
        for line in wrap(text, room) {
            if first {
                let lead = self.paint(lead_look, lead);
                self.text.push_str(&lead);
                first = false;
            } else {
                self.text.push_str(&" ".repeat(indent));
            }
            let line = self.paint(look, &line);
            self.text.push_str(&line);
            self.text.push('\n');
        }
        if first {
            let lead = self.paint(lead_look, lead.trim_end());
            self.text.push_str(&lead);
            self.text.push('\n');
        }
    }

    /// Lines of configuration, indented, empty ones left out. One that is too long goes on below, where nginx reads it the same.
    pub(super) fn code(&mut self, indent: usize, text: &str) {
        for line in text.trim_end_matches('\n').lines() {
            let line = line.trim_end();
            if line.is_empty() {
                continue;
            }
            let bare = line.trim_start();
            let own = indent + columns(line) - columns(bare);
            let more = if bare.starts_with('#') { "# " } else { "    " };
            let room = self.width.saturating_sub(own + 4).max(20);
            let pieces = if own + columns(bare) <= self.width {
                vec![bare.to_owned()]
            } else {
                wrap(bare, room)
            };
            for (number, piece) in pieces.iter().enumerate() {
                let lead = if number == 0 { "" } else { more };
                let piece = self.paint(Look::Code, &format!("{lead}{piece}"));
                self.text.push_str(&" ".repeat(own));
                self.text.push_str(&piece);
                self.text.push('\n');
            }
        }
    }
}

/// Breaks a text at blanks into lines of at most `room` columns; a word longer than a line is broken inside.
pub(super) fn wrap(text: &str, room: usize) -> Vec<String> {
    let room = room.max(1);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
            let width = columns(word);
            if used > 0 && used + 1 + width <= room {
                line.push(' ');
                line.push_str(word);
                used += 1 + width;
                continue;
            }
            if used > 0 {
                lines.push(std::mem::take(&mut line));
            }
            used = 0;
            for piece in chop(word, room) {
                if used > 0 {
                    lines.push(std::mem::take(&mut line));
                }
                used = columns(&piece);
                line = piece;
            }
        }
        if used > 0 {
            lines.push(line);
        }
    }
    lines
}

/// Breaks a word into pieces of at most `room` columns.
fn chop(word: &str, room: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut used = 0;
    for c in word.chars() {
        let width = columns(c.encode_utf8(&mut [0; 4]));
        if used + width > room && used > 0 {
            pieces.push(std::mem::take(&mut piece));
            used = 0;
        }
        piece.push(c);
        used += width;
    }
    pieces.push(piece);
    pieces
}

/// At most `lines` lines of `room` columns; what does not fit is cut with an ellipsis.
pub(super) fn fit(text: &str, room: usize, lines: usize) -> Vec<String> {
    let mut all = wrap(text, room);
    if all.len() > lines {
        all.truncate(lines);
        if let Some(last) = all.last_mut() {
            while columns(last) >= room && last.pop().is_some() {}
            last.push('…');
        }
    }
    if all.is_empty() {
        all.push(String::new());
    }
    all
}

/// The text followed by blanks up to `width` columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(columns(text));
    format!("{text}{}", " ".repeat(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_keeps_words_and_breaks_what_is_too_long() {
        assert_eq!(wrap("a bb ccc dddd", 5), ["a bb", "ccc", "dddd"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("漢字漢字", 4), ["漢字", "漢字"]);
        assert_eq!(wrap("a\nb", 9), ["a", "b"]);
        assert!(wrap("", 9).is_empty());
    }

    #[test]
    fn fitting_cuts_with_an_ellipsis() {
        assert_eq!(fit("abcdefghij", 4, 2), ["abcd", "efg…"]);
        assert_eq!(fit("漢字漢字漢", 4, 1), ["漢…"]);
        assert_eq!(fit("", 4, 1), [""]);
    }
}
