//! One handshake in full: what each hop carried, what changed on the way, the cause with its evidence, the drawing.
//!
//! A hop is a column and a fact a row, so that hops compare at a glance; rows that no hop fills are left out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Page, line};
use crate::capture::FrameRef;
use crate::report::column::{Answered, Asked, Column, Field};
use crate::report::escape::{
    markdown as text, markdown_block as block, markdown_code as code, markdown_prose as prose,
};
use crate::report::ladder::Ladder;
use crate::report::moments;
use crate::report::view::{FindingView, HandshakeView, SessionView};
use crate::report::words::{self, Frames};

impl Page<'_> {
    pub(super) fn handshake(&mut self, handshake: &HandshakeView) {
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
        let (primary, also) = self.told.about(handshake);
        if let Some(finding) = primary {
            self.finding(finding, &frames);
        }
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
        row("TLS", &|column| {
            let tls = column.connection.map(words::tls).unwrap_or_default();
            let tls = tls.trim_start_matches("TLS ").trim_start_matches("TLS");
            let joined = column.joined();
            let parts = [tls, joined.as_str()].map(text);
            let parts = parts.into_iter().filter(|part| !part.is_empty());
            parts.collect::<Vec<_>>().join(", ")
        });
        row("interface", &|column| {
            let on = column.connection.map(words::interfaces);
            text(on.unwrap_or_default().trim_start_matches("on "))
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
        row("Server", &|column| match column.answered() {
            Answered::Response(response) => {
                let server = response.server.as_deref();
                server.map_or_else(String::new, code)
            }
            Answered::Sealed(_) | Answered::Unseen(_) | Answered::None(_) => String::new(),
        });
        row("Accept", &|column| match column.hop() {
            Some(hop) if hop.response.is_some() => text(&words::accept(hop)),
            _ => String::new(),
        });
        row("note", &|column| {
            let notes = column.hop().map(|hop| hop.notes.join("; "));
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
    pub(super) fn finding(&mut self, finding: &FindingView, frames: &Frames<'_>) {
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
        for part in [&*finding.detail, &finding.cause] {
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

    pub(super) fn also(&mut self, findings: &[&FindingView], frames: &Frames<'_>) {
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
                frame.number(),
                frames.relative(frame.at, frame.capture().0)
            );
            if ladder.gap_after() == Some(number) {
                let _ = writeln!(diagram, "    Note over P0: {} more steps", ladder.hidden);
            }
        }
        line!(self, "### On the wire\n\n{}", block("mermaid", &diagram));
    }
}

fn request_cell(column: &Column<'_>, frames: &Frames<'_>) -> String {
    match column.asked() {
        Asked::Request(request) => {
            let line = format!(
                "{} {} HTTP/{}",
                request.method, request.target, request.http_version
            );
            format!("{} {}", code(&line), frame(request.at_frame, frames))
        }
        Asked::Sealed(record) => sealed(record, frames),
        Asked::Unseen(what) | Asked::Never(what) => what.to_owned(),
    }
}

/// `(frame 12, +0.41 ms)`.
fn frame(frame: FrameRef, frames: &Frames<'_>) -> String {
    let after = frames.relative(frame.at, frame.capture().0);
    format!("(frame {}, {after})", frame.number())
}

/// A head inside TLS: all that shows is the record that carried it.
fn sealed(record: FrameRef, frames: &Frames<'_>) -> String {
    format!("inside TLS {}", frame(record, frames))
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
    match column.answered() {
        Answered::Response(response) => format!(
            "**{} {}** {}",
            response.status,
            text(&response.reason),
            frame(response.at_frame, frames)
        ),
        Answered::Sealed(record) => sealed(record, frames),
        Answered::Unseen(what) => what.to_owned(),
        Answered::None(instead) => format!("**{}**", text(instead)),
    }
}

/// Text in a Mermaid diagram: a semicolon or a line feed ends a statement, `#` begins an entity, and a `%%` a comment.
fn mermaid(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in crate::report::escape::visible(text).chars() {
        match c {
            ';' | '#' | '<' | '>' | '%' | '`' | '"' | '&' => {
                let _ = write!(out, "#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}
