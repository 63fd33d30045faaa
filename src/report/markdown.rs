//! The report for a ticket: to paste or attach as it is.
//!
//! It stays readable as plain text, and its markup is what GitHub, GitLab and most ticket systems understand: tables,
//! fenced blocks, a Mermaid sequence diagram. Everything that came from packets is escaped for where it stands.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::advice;
use super::column::{Column, Field};
use super::escape::{
    markdown as text, markdown_block as block, markdown_code as code, markdown_prose as prose,
};
use super::ladder::Ladder;
use super::moments;
use super::pick::{Most, pick};
use super::view::{FindingView, HandshakeView, Report, SessionView};
use super::words::{self, Frames};

/// Handshakes of each verdict and cause in full.
pub const PER_CAUSE: usize = 3;

/// Handshakes in full in all.
const DETAILS_MAX: usize = 20;

/// Rows of the table of causes.
const CAUSES_MAX: usize = 50;

/// Rows about traffic that is none of ours.
const TRAFFIC_MAX: usize = 15;

/// The report as Markdown. `verbose`: every handshake in full.
pub fn render(report: &Report, verbose: bool) -> String {
    let (report, hidden) = pick(
        report,
        Most {
            per_cause: if verbose { usize::MAX } else { PER_CAUSE },
            total: if verbose { usize::MAX } else { DETAILS_MAX },
            healthy: verbose,
        },
    );
    let mut page = Page {
        out: String::new(),
        report: &report,
    };
    page.write(hidden);
    page.out
}

struct Page<'a> {
    out: String,
    report: &'a Report,
}

/// Appends a line; writing to a String cannot fail.
macro_rules! line {
    ($page:expr) => { $page.out.push('\n') };
    ($page:expr, $($arg:tt)*) => { { let _ = writeln!($page.out, $($arg)*); } };
}

impl Page<'_> {
    fn write(&mut self, hidden: u64) {
        let report = self.report;
        line!(self, "# {}", prose(&words::title(report)));
        line!(self);
        let lone = words::lone_findings(report);
        if report.summary.handshakes > 1 || report.handshakes.is_empty() {
            self.summary();
        }
        self.faults(&lone.over);
        if report.summary.handshakes == 0 {
            self.nothing(lone.over.is_empty());
        }
        for handshake in &report.handshakes {
            self.handshake(handshake);
        }
        if hidden > 0 && !report.handshakes.is_empty() {
            line!(
                self,
                "{} that went wrong not shown in full; `hop101 read -v` and `--format json` have all.",
                words::count(hidden, "more handshake")
            );
            line!(self);
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
        line!(self, "No WebSocket opening handshake is in this capture.\n");
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

    fn handshake(&mut self, handshake: &HandshakeView) {
        let frames = Frames::of(self.report, handshake);
        // The only one has its sentence in the title.
        if self.report.summary.handshakes == 1 {
            line!(self, "**{}**\n", words::verdict(handshake.verdict));
        } else {
            line!(
                self,
                "## {} {}: {}\n",
                handshake.id,
                handshake.verdict,
                prose(&handshake.headline)
            );
        }
        let mut facts = vec![format!("Started {}", words::time(handshake.started_at))];
        if let Some(target) = &handshake.target {
            facts.push(format!("target {}", code(target)));
        }
        if let Some(host) = &handshake.host {
            facts.push(format!("host {}", code(host)));
        }
        if let Some(by) = words::answered_by(handshake) {
            facts.push(prose(&by));
        }
        line!(self, "{}.\n", facts.join(", "));

        line!(self, "### Hops\n");
        self.hops(handshake, &frames);
        self.changes(handshake);
        if let Some(session) = &handshake.session {
            self.session(session, &frames);
        }
        let findings: Vec<&FindingView> = self.report.findings_of(&handshake.id).collect();
        let primary = findings
            .iter()
            .position(|finding| Some(finding.code) == handshake.cause);
        if let Some(&finding) = primary.and_then(|place| findings.get(place)) {
            self.finding(finding, &frames);
        }
        let also: Vec<&FindingView> = findings
            .iter()
            .enumerate()
            .filter(|(place, _)| Some(*place) != primary)
            .map(|(_, finding)| *finding)
            .collect();
        self.also(&also, &frames);
        self.ladder(handshake, &frames);
    }

    /// One row for each fact, one column for each hop.
    fn hops(&mut self, handshake: &HandshakeView, frames: &Frames<'_>) {
        let columns = Column::all(self.report, handshake);
        let head: Vec<String> = columns
            .iter()
            .map(|column| {
                let given_up = if column.given_up() { ", given up" } else { "" };
                format!("{} ({}{given_up})", column.ends(), column.id)
            })
            .collect();
        line!(self, "| | {} |", head.join(" | "));
        line!(self, "|{}", " --- |".repeat(head.len() + 1));
        let mut row = |label: &str, cell: &dyn Fn(&Column<'_>) -> String| {
            let cells: Vec<String> = columns.iter().map(cell).collect();
            if cells.iter().any(|cell| !cell.is_empty()) {
                line!(self, "| {label} | {} |", cells.join(" | "));
            }
        };
        row("addresses", &|column| {
            column.connection.map_or_else(String::new, |connection| {
                let client = words::named(&connection.client, connection.client_name.as_ref());
                let server = words::named(&connection.server, connection.server_name.as_ref());
                format!("{} → {}", text(&client), text(&server))
            })
        });
        row("evidence", &|column| {
            let lacks = column.connection.map(words::evidence_lacks);
            text(&lacks.unwrap_or_default())
        });
        row("request", &|column| request_cell(column, frames));
        for &(label, header) in words::HEADERS {
            row(label, &|column| field_cell(column, header));
        }
        row("answer", &|column| answer_cell(column, frames));
        let response = |column: &Column<'_>| column.hop.and_then(|hop| hop.response.clone());
        row("Server", &|column| {
            let server = response(column).and_then(|response| response.server);
            server.as_deref().map_or_else(String::new, code)
        });
        row("Accept", &|column| match column.hop {
            Some(hop) if hop.response.is_some() => text(&words::accept(hop)),
            _ => String::new(),
        });
        row("note", &|column| {
            let notes = column.hop.map(|hop| hop.notes.join("; "));
            notes.as_deref().map_or_else(String::new, text)
        });
        row("ended", &|column| match column.ended(frames) {
            Some((how, Some(at))) => {
                let at = at.trim_start_matches('#').replacen(' ', ", ", 1);
                format!("{how} (frame {at})")
            }
            Some((how, None)) => how,
            None => String::new(),
        });
        line!(self);
    }

    fn changes(&mut self, handshake: &HandshakeView) {
        if handshake.hops.iter().all(|hop| hop.changes.is_empty()) {
            return;
        }
        line!(self, "### What changed on the way\n");
        line!(
            self,
            "| on | field | change | before | after |\n| --- | --- | --- | --- | --- |"
        );
        for hop in &handshake.hops {
            for change in &hop.changes {
                let cell = |value: &Option<String>| value.as_deref().map_or_else(String::new, code);
                line!(
                    self,
                    "| {} | {} | {} | {} | {} |",
                    hop.connection,
                    change.header,
                    change.kind,
                    cell(&change.before),
                    cell(&change.after)
                );
            }
        }
        line!(self);
    }

    fn session(&mut self, session: &SessionView, frames: &Frames<'_>) {
        line!(
            self,
            "### After the 101\n\n| after | UTC | what | where |\n| ---: | --- | --- | --- |"
        );
        for moment in moments::lines(session, frames) {
            line!(
                self,
                "| {} | {} | {} | {} |",
                moment.after,
                moment.at,
                text(&moment.what),
                moment.seen.replace('#', "frame ")
            );
        }
        line!(self, "\n| | |\n| --- | --- |");
        for (label, _, fact) in words::session(session, frames) {
            line!(
                self,
                "| {label} | {} |",
                text(&fact).replace("&#35;", "frame ")
            );
        }
        line!(self);
    }

    /// A finding in full.
    fn finding(&mut self, finding: &FindingView, frames: &Frames<'_>) {
        line!(self, "### Cause\n");
        let sure = match finding.confidence {
            "certain" => String::new(),
            other => format!(" ({other})"),
        };
        line!(
            self,
            "**{}**{sure}: {}\n",
            code(finding.code),
            prose(&finding.title)
        );
        for part in [&finding.detail, &finding.cause] {
            if !part.is_empty() {
                line!(self, "{}\n", prose(part));
            }
        }
        if !finding.fix.is_empty() || !finding.nginx_snippet.is_empty() {
            line!(self, "### Fix\n");
        }
        if !finding.fix.is_empty() {
            line!(self, "{}\n", prose(&finding.fix));
        }
        if !finding.nginx_snippet.is_empty() {
            line!(self, "{}", block("nginx", &finding.nginx_snippet));
        }
        if !finding.nginx_log.is_empty() {
            line!(
                self,
                "What nginx logs:\n\n{}",
                block("text", &finding.nginx_log)
            );
        }
        self.evidence(finding, frames);
    }

    fn evidence(&mut self, finding: &FindingView, frames: &Frames<'_>) {
        line!(
            self,
            "### Evidence\n\n| file | frame | time | shows |\n| --- | ---: | --- | --- |"
        );
        let mut files: BTreeMap<u16, Vec<u64>> = BTreeMap::new();
        for evidence in &finding.evidence {
            files
                .entry(evidence.capture)
                .or_default()
                .push(evidence.frame);
            line!(
                self,
                "| {} | {} | {} ({}) | {} |",
                text(frames.file(evidence.capture)),
                evidence.frame,
                words::time(evidence.at),
                frames.relative(evidence.at, evidence.capture),
                prose(&evidence.shows)
            );
        }
        line!(self, "\nTo check it in Wireshark, filter for:\n");
        for (capture, mut numbers) in files {
            numbers.sort_unstable();
            numbers.dedup();
            let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
            let filter = format!("frame.number in {{{}}}", numbers.join(", "));
            if frames.several() {
                line!(
                    self,
                    "In {}:\n\n{}",
                    text(frames.file(capture)),
                    block("text", &filter)
                );
            } else {
                line!(self, "{}", block("text", &filter));
            }
        }
    }

    fn also(&mut self, findings: &[&FindingView], frames: &Frames<'_>) {
        if findings.is_empty() {
            return;
        }
        line!(
            self,
            "### Also\n\n| severity | finding | what | frames |\n| --- | --- | --- | --- |"
        );
        for finding in findings {
            let places: Vec<String> = finding
                .evidence
                .iter()
                .map(|evidence| {
                    if frames.several() {
                        format!("{} {}", text(frames.file(evidence.capture)), evidence.frame)
                    } else {
                        evidence.frame.to_string()
                    }
                })
                .collect();
            line!(
                self,
                "| {} | {} | {} | {} |",
                finding.severity,
                code(finding.code),
                prose(&finding.title),
                places.join(", ")
            );
        }
        line!(self);
    }

    /// The ladder as a Mermaid sequence diagram, readable as text too.
    fn ladder(&mut self, handshake: &HandshakeView, frames: &Frames<'_>) {
        let ladder = Ladder::of(self.report, handshake);
        if ladder.steps.is_empty() {
            return;
        }
        let mut diagram = String::from("sequenceDiagram\n");
        for (place, party) in ladder.parties.iter().enumerate() {
            let _ = writeln!(
                diagram,
                "    participant P{place} as {} {}",
                mermaid(&party.name),
                mermaid(&party.address)
            );
        }
        for (number, step) in ladder.steps.iter().enumerate() {
            let frame = step.event.frame;
            let _ = writeln!(
                diagram,
                "    P{}->>P{}: {} (frame {}, {})",
                step.from,
                step.to,
                mermaid(&step.event.what),
                frame.frame,
                frames.relative(frame.at, frame.capture.0)
            );
            if ladder.gap_after() == Some(number) {
                let _ = writeln!(diagram, "    Note over P0: {} more steps", ladder.hidden);
            }
        }
        line!(self, "### On the wire\n\n{}", block("mermaid", &diagram));
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

fn request_cell(column: &Column<'_>, frames: &Frames<'_>) -> String {
    match column.hop.map(|hop| &hop.request) {
        Some(Some(request)) => {
            let line = format!(
                "{} {} HTTP/{}",
                request.method, request.target, request.http_version
            );
            let at = frames.relative(request.at, request.at_frame.capture.0);
            format!("{} (frame {}, {at})", code(&line), request.frame)
        }
        Some(None) => "not in the capture as a whole".to_owned(),
        None => "never sent".to_owned(),
    }
}

/// The value as it arrived, and what happened to it on the way.
fn field_cell(column: &Column<'_>, header: &str) -> String {
    match column.field(header) {
        Field::Nothing => String::new(),
        Field::Same(value) => code(&value),
        Field::Dropped => "✗ **dropped**".to_owned(),
        Field::Altered(value) => format!("≠ {}", code(&value)),
        Field::Added(value) => format!("+ {}", code(&value)),
        Field::Missing => "✗ **missing**".to_owned(),
        Field::Invalid(value) => format!("✗ {} **(invalid)**", code(&value)),
    }
}

fn answer_cell(column: &Column<'_>, frames: &Frames<'_>) -> String {
    match column.hop.map(|hop| &hop.response) {
        Some(Some(response)) => {
            let at = frames.relative(response.at, response.at_frame.capture.0);
            format!(
                "**{} {}** (frame {}, {at})",
                response.status,
                text(&response.reason),
                response.frame
            )
        }
        Some(None) => "**none seen**".to_owned(),
        None => format!("**{}**", text(column.outcome)),
    }
}

/// Text in a Mermaid diagram: a semicolon or a line feed ends a statement, `#` begins an entity, and a `%%` a comment.
fn mermaid(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in super::escape::visible(text).chars() {
        match c {
            ';' | '#' | '<' | '>' | '%' | '`' | '"' | '&' => {
                let _ = write!(out, "#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}
