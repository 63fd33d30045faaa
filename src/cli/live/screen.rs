//! Lines on standard output, and a status line below them where that is a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the status line is drawn anew.
const REDRAW: Duration = Duration::from_millis(500);

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    /// Standard output: they are what was asked for.
    Stdout,
    /// Standard error: standard output has a document at the end.
    Stderr,
    /// Nowhere.
    Nowhere,
}

/// What the user looks at while it runs.
pub(super) struct Screen {
    lines: Lines,
    /// Standard error is a terminal, and progress is wanted.
    status: bool,
    drawn: bool,
    redraw_at: Instant,
    /// Nobody reads standard output any more.
    closed: bool,
    failed: Option<io::Error>,
}

impl Screen {
    pub(super) fn new(lines: Lines, status: bool) -> Self {
        Self {
            lines,
            status: status && io::stderr().is_terminal(),
            drawn: false,
            redraw_at: Instant::now(),
            closed: false,
            failed: None,
        }
    }

    /// Whether lines are printed at all.
    pub(super) fn wants_lines(&self) -> bool {
        self.lines != Lines::Nowhere && !self.closed
    }

    /// Columns of the terminal that lines go to, if it is one; it may change its size.
    pub(super) fn width(&self) -> Option<usize> {
        let size = match self.lines {
            Lines::Stdout => terminal_size::terminal_size_of(io::stdout()),
            Lines::Stderr => terminal_size::terminal_size_of(io::stderr()),
            Lines::Nowhere => None,
        };
        size.map(|(width, _)| usize::from(width.0))
    }

    /// Prints text that ends with a line feed.
    pub(super) fn print(&mut self, text: &str) {
        match self.lines {
            Lines::Stdout => self.stdout(text),
            Lines::Stderr => self.stderr(text),
            Lines::Nowhere => {}
        }
    }

    /// Prints to standard output whatever lines do.
    pub(super) fn stdout(&mut self, text: &str) {
        self.clear();
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.closed = true,
            Err(error) => self.failed = Some(error),
            Ok(()) => {}
        }
    }

    /// Prints to standard error.
    pub(super) fn stderr(&mut self, text: &str) {
        self.clear();
        // Where standard error is closed there is nobody to tell.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// Says something that is no result.
    pub(super) fn message(&mut self, text: &str) {
        self.clear();
        super::super::message(text);
    }

    /// Draws the status line if it is time for it: in its long form, else in its short one, else as many of its parts as
    /// there is room for.
    pub(super) fn status(&mut self, now: Instant, forms: impl FnOnce() -> [Vec<String>; 2]) {
        if !self.status || (self.drawn && now < self.redraw_at) {
            return;
        }
        self.redraw_at = now + REDRAW;
        self.drawn = true;
        let width = terminal_size::terminal_size_of(io::stderr())
            .map_or(80, |(width, _)| usize::from(width.0));
        let [long, mut parts] = forms();
        let mut text = long.join("  ");
        while text.chars().count() >= width {
            text = parts.join("  ");
            // The least important is the last one.
            parts.pop();
        }
        let _ = write!(io::stderr(), "\r{text}\x1b[K");
    }

    /// Takes the status line away.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    /// Whether standard output is closed: the run ends quietly.
    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// An error of standard output other than its being closed.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.failed.take()
    }
}
