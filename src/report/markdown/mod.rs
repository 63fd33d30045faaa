//! The report for a ticket: to paste or attach as it is.
//!
//! It stays readable as plain text, and its markup is what GitHub, GitLab and most ticket systems understand: tables,
//! fenced blocks, a Mermaid sequence diagram.
//!
//! Invariants: everything that came from packets is escaped for where it stands; what is left out is counted.

mod handshake;

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::report::advice;
use crate::report::escape::{
    markdown as text, markdown_block as block, markdown_code as code, markdown_prose as prose,
};
use crate::report::pick::{Most, Part, pick};
use crate::report::view::{FindingView, Report};
use crate::report::words::{self, Frames, Lone, Told};

/// Handshakes of each verdict and cause in full.
pub const PER_CAUSE: usize = 3;

/// Handshakes in full in all.
const DETAILS_MAX: usize = 20;

/// Rows of the table of causes.
const CAUSES_MAX: usize = 50;

/// Rows about traffic that is none of ours.
const TRAFFIC_MAX: usize = 15;

/// Writes the report as Markdown. `verbose`: every handshake in full.
pub fn write(report: &Report, verbose: bool, out: &mut dyn Write) -> io::Result<()> {
    let part = pick(report, Most::of(PER_CAUSE, DETAILS_MAX, verbose));
    let mut page = Page {
        out: String::new(),
        report: &part.report,
        told: Told::of(&part.report),
    };
    let lone = words::lone_findings(&part);
    page.begin(&part, &lone);
    for handshake in part.handshakes() {
        page.handshake(&handshake);
        out.write_all(page.out.as_bytes())?;
        page.out.clear();
    }
    page.end(&part, &lone);
    out.write_all(page.out.as_bytes())
}

struct Page<'a> {
    out: String,
    report: &'a Report,
    told: Told<'a>,
}

/// Appends a line; writing to a String cannot fail.
macro_rules! line {
    ($page:expr) => { $page.out.push('\n') };
    ($page:expr, $($arg:tt)*) => { { let _ = writeln!($page.out, $($arg)*); } };
}
use line;

impl Page<'_> {
    /// What stands before the handshakes.
    fn begin(&mut self, part: &Part<'_>, lone: &Lone<'_>) {
        let report = self.report;
        line!(self, "# {}", prose(&words::title(part)));
        line!(self);
        if report.summary.handshakes > 1 || part.chosen.is_empty() {
            self.summary();
        }
        self.faults(&lone.over);
        if report.summary.handshakes == 0 {
            self.nothing(lone.over.is_empty());
        }
    }

    /// What stands behind them.
    fn end(&mut self, part: &Part<'_>, lone: &Lone<'_>) {
        let report = self.report;
        if part.hidden > 0 && !part.chosen.is_empty() {
            line!(
                self,
                "{} that went wrong not shown in full; `hop101 read -v` and `--format json` have all.",
                words::count(part.hidden, "more handshake")
            );
            line!(self);
        }
        if let Some(text) = words::left_out(report) {
            line!(self, "{text}\n");
        }
        self.faults(&lone.beside);
        self.besides(&lone.small);
        self.captures();
        line!(
            self,
            "---\n\nMade by {} {}. Frame numbers are those that Wireshark shows; times are UTC.",
            report.tool.name,
            report.tool.version
        );
    }

    fn summary(&mut self) {
        let causes = &self.report.causes;
        if causes.is_empty() {
            return;
        }
        line!(self, "| count | verdict | cause | first | which says |");
        line!(self, "| ---: | --- | --- | --- | --- |");
        for cause in causes.iter().take(CAUSES_MAX) {
            line!(
                self,
                "| {} | {} | {} | {} | {} |",
                words::thousands(cause.count),
                cause.verdict,
                cause.cause.map_or_else(|| "–".to_owned(), code),
                cause.first,
                prose(&cause.headline)
            );
        }
        line!(self);
        if causes.len() > CAUSES_MAX {
            line!(
                self,
                "{} further causes not listed.\n",
                causes.len() - CAUSES_MAX
            );
        }
    }

    fn nothing(&mut self, advise: bool) {
        line!(self, "{}\n", words::none(self.report));
        let rows = advice::seen(self.report, TRAFFIC_MAX);
        if !rows.is_empty() {
            line!(
                self,
                "Seen instead:\n\n| how many | what | which means |\n| --- | --- | --- |"
            );
            for [number, what, meaning] in &rows {
                line!(
                    self,
                    "| {} | {} | {} |",
                    text(number),
                    text(what),
                    text(meaning)
                );
            }
            line!(self);
        }
        if !advise {
            return;
        }
        line!(self, "## What to capture next time\n");
        for advice in advice::next_capture(self.report) {
            line!(self, "{}\n", prose(&advice.text));
            if let Some(command) = advice.command {
                line!(self, "{}", block("sh", command));
            }
        }
    }

    /// Faults that are about no handshake, in full.
    fn faults(&mut self, faults: &[(u64, &FindingView)]) {
        for (times, finding) in faults {
            let Some(start) = finding.evidence.first() else {
                continue;
            };
            line!(self, "## {}\n", prose(&finding.title));
            if *times > 1 {
                line!(
                    self,
                    "Seen {} times; the first:\n",
                    words::thousands(*times)
                );
            }
            self.finding(finding, &Frames::from_evidence(self.report, start));
        }
    }

    /// What is worth a line and about no handshake shown.
    fn besides(&mut self, small: &[&FindingView]) {
        if let Some(start) = small.first().and_then(|finding| finding.evidence.first()) {
            line!(self, "## Besides\n");
            self.also(small, &Frames::from_evidence(self.report, start));
        }
    }

    fn captures(&mut self) {
        let report = self.report;
        line!(
            self,
            "## Captures\n\n| file | format | link types | frames | from | to | quality |\n| --- | --- | --- | ---: | --- | --- | --- |"
        );
        for capture in &report.captures {
            let mut quality = words::troubles(capture);
            quality.extend(words::oddities(capture));
            if quality.is_empty() {
                quality.push("complete".to_owned());
            }
            let format = match capture.compression {
                Some(compression) => format!("{} in {compression}", capture.format.unwrap_or("?")),
                None => capture.format.unwrap_or("?").to_owned(),
            };
            let time =
                |at: Option<crate::capture::Timestamp>| at.map_or_else(String::new, words::time);
            line!(
                self,
                "| {} | {format} | {} | {} | {} | {} | {} |",
                text(words::file_name(&capture.path)),
                text(&capture.link_types.join(", ")),
                words::thousands(capture.frames),
                time(capture.first_at),
                time(capture.last_at),
                text(&quality.join("; "))
            );
        }
        line!(self);
        let comments = || report.captures.iter().flat_map(|one| &one.comments);
        if comments().next().is_some() {
            line!(self, "Comments in the captures:\n");
            for comment in comments() {
                line!(self, "- {}", prose(comment));
            }
            line!(self);
        }
        if !report.limits.is_empty() {
            line!(self, "What could not be seen or was given up:\n");
            for limit in &report.limits {
                let place = limit
                    .connection
                    .map_or_else(String::new, |id| format!(" on {id}"));
                line!(self, "- {}{place}: {}", limit.kind, prose(&limit.detail));
            }
            line!(self);
        }
    }
}
