//! The report for a terminal: the verdict first, then what proves it, then what to change; one screen per handshake.
//!
//! ```text
//!  FAILED  one sentence                      what
//!  ╭─ hop ─┬─ hop ─╮                         where: both hops side by side, what changed, how each ended
//!  Cause / Fix / snippet / log               why, and what to do
//!  Evidence  #12 #25                         how to check it in Wireshark
//!  Also                                      everything else, one line each
//!  Capture / Limits                          how far the capture can be trusted
//! ```
mod capture;
mod hops;

use std::io::{self, Write};

use tabled::builder::Builder;
use tabled::settings::Style;

use super::moments;
use super::pick::{Most, Part, make_visible, pick};
use super::style::{Look, Page, columns, fit, pad};
use super::view::{EvidenceView, FindingView, HandshakeView, Report, SessionView};
use super::words::{self, Frames, Lone, Told, Tone};

/// Narrower than this, a table of hops cannot be read any more; the terminal may wrap it then.
const WIDTH_MIN: usize = 64;

/// Wider than this, prose is hard to read.
const WIDTH_MAX: usize = 200;

/// Handshakes shown in full: three screens; the rest is in the table of causes.
const DETAILS_MAX: usize = 3;

/// The least room for a headline in the table of causes; without it there are just numbers.
const HEADLINE_MIN: usize = 18;

/// Causes listed in the table of causes.
const CAUSES_MAX: usize = 12;

/// Frames named as evidence of one finding.
const EVIDENCE_MAX: usize = 5;

/// Characters of a file name beside a frame number.
const FILE_MAX: usize = 24;

/// Further findings listed in one line each.
const ALSO_MAX: usize = 6;

/// How the table is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether colours and weights may be used.
    pub color: bool,
    /// Every handshake in full, the healthy ones too, and all details of findings.
    pub verbose: bool,
}

impl Options {
    /// The width, within what can be read.
    pub(super) fn width(&self) -> usize {
        self.width.clamp(WIDTH_MIN, WIDTH_MAX)
    }
}

/// How many handshakes of each verdict and cause a table shows in full, unless it is verbose.
pub const PER_CAUSE: usize = 1;

/// Writes the report as text, every line ended by a line feed.
pub fn write(report: &Report, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let most = Most::of(PER_CAUSE, DETAILS_MAX, options.verbose);
    let part = pick(report, most);
    let mut table = Table {
        page: Page::new(options.width(), options.color),
        report: &part.report,
        told: Told::of(&part.report),
        verbose: options.verbose,
    };
    let lone = words::lone_findings(&part);
    table.begin(&lone);
    for handshake in part.handshakes() {
        table.page.gap();
        table.handshake(&handshake);
        table.page.write_to(out)?;
    }
    table.end(&part, &lone);
    out.write_all(table.page.finish().as_bytes())
}

/// The handshakes of a report without anything around them, as a live view shows one when it happens; their texts as they came.
pub fn blocks(mut report: Report, options: &Options) -> String {
    make_visible(&mut report);
    let width = options.width.clamp(WIDTH_MIN, WIDTH_MAX);
    let mut table = Table {
        page: Page::new(width, options.color),
        report: &report,
        told: Told::of(&report),
        verbose: options.verbose,
    };
    for handshake in &report.handshakes {
        table.handshake(handshake);
    }
    table.page.finish()
}

struct Table<'a> {
    page: Page,
    report: &'a Report,
    told: Told<'a>,
    verbose: bool,
}

impl Table<'_> {
    /// What stands before the handshakes.
    fn begin(&mut self, lone: &Lone<'_>) {
        let summary = self.report.summary;
        if summary.handshakes > 0 && summary.ok == summary.handshakes {
            self.healthy();
        } else if summary.handshakes > 1 {
            self.overview();
        }
        self.faults(&lone.over);
        if summary.handshakes == 0 {
            self.page.gap();
            capture::nothing(&mut self.page, self.report, lone.over.is_empty());
        }
    }

    /// What stands behind them.
    fn end(&mut self, part: &Part<'_>, lone: &Lone<'_>) {
        let summary = self.report.summary;
        if part.hidden > 0 && !part.chosen.is_empty() {
            self.page.gap();
            let text = format!(
                "{} that went wrong not shown in full: use -v to see all, or --format json.",
                words::count(part.hidden, "more handshake")
            );
            self.page.paragraph("", Look::Plain, Look::Faint, &text);
        }
        if let Some(text) = words::left_out(self.report) {
            self.page.gap();
            self.page.paragraph("", Look::Plain, Look::Faint, &text);
        }
        self.faults(&lone.beside);
        if summary.ok != summary.handshakes || summary.handshakes == 0 {
            self.page.gap();
        }
        self.also(&lone.small);
        capture::footer(&mut self.page, self.report, self.verbose);
    }

    /// All handshakes came up: say so, and that this is all, if it is.
    fn healthy(&mut self) {
        let summary = self.report.summary;
        let number = summary.handshakes;
        let faultless = if summary.errors + summary.warnings == 0 {
            ", without a fault"
        } else {
            ""
        };
        let headline = self.report.causes.first().map(|cause| &cause.headline);
        let text = match headline.filter(|headline| number == 1 && !headline.is_empty()) {
            Some(headline) => format!("{headline}{faultless}."),
            None => format!(
                "All {} came up{faultless}.",
                words::count(number, "handshake")
            ),
        };
        self.page.paragraph("OK  ", Look::Good, Look::Strong, &text);
    }

    /// Many handshakes: how many ended how, by cause.
    fn overview(&mut self) {
        let summary = self.report.summary;
        let parts: Vec<String> = [
            (summary.failed, "failed"),
            (summary.broken, "came up and broke"),
            (summary.unclear, "unclear"),
            (summary.ok, "ok"),
        ]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{} {what}", words::thousands(number)))
        .collect();
        let text = format!(
            "{}: {}.",
            words::count(summary.handshakes, "handshake"),
            parts.join(", ")
        );
        self.page.paragraph("", Look::Plain, Look::Strong, &text);
        let causes = &self.report.causes;
        let mut builder = Builder::default();
        let width = self.page.width;
        // Borders and padding of five columns take 16; verdict, first and count are short.
        let code = causes
            .iter()
            .take(CAUSES_MAX)
            .map(|cause| columns(cause.cause.unwrap_or("–")))
            .max()
            .unwrap_or(0)
            .max(5);
        let first = causes
            .iter()
            .take(CAUSES_MAX)
            .map(|cause| columns(&cause.first))
            .max()
            .unwrap_or(0)
            .max(5);
        let number = causes
            .iter()
            .map(|cause| words::thousands(cause.count).len())
            .max()
            .unwrap_or(0)
            .max(5);
        let room = width.saturating_sub(16 + 7 + code + first + number);
        let says = room >= HEADLINE_MIN;
        let faint = |text: &str, width: usize| pad(&self.page.paint(Look::Faint, text), width);
        let mut head = vec![
            faint("count", number),
            faint("verdict", 7),
            faint("cause", code),
            faint("first", first),
        ];
        if says {
            head.push(faint("which says", room));
        }
        builder.push_record(head);
        for cause in causes.iter().take(CAUSES_MAX) {
            let count = words::thousands(cause.count);
            let mut row = vec![
                format!("{}{count}", " ".repeat(number - count.len())),
                pad(
                    &self.page.paint(verdict_look(cause.verdict), cause.verdict),
                    7,
                ),
                pad(cause.cause.unwrap_or("–"), code),
                pad(&cause.first, first),
            ];
            if says {
                let lines: Vec<String> = fit(&cause.headline, room, 2)
                    .iter()
                    .map(|line| pad(line, room))
                    .collect();
                row.push(lines.join("\n"));
            }
            builder.push_record(row);
        }
        let mut table = builder.build();
        table.with(Style::rounded());
        self.page.raw(&table.to_string());
        if causes.len() > CAUSES_MAX {
            let text = format!(
                "{} not listed: --format json has all.",
                words::count((causes.len() - CAUSES_MAX) as u64, "further cause")
            );
            self.page.paragraph("  ", Look::Plain, Look::Faint, &text);
        }
    }

    fn handshake(&mut self, handshake: &HandshakeView) {
        let lead = format!("{}  ", words::verdict(handshake.verdict));
        let look = verdict_look(handshake.verdict);
        self.page
            .paragraph(&lead, look, Look::Strong, &handshake.headline);
        let mut facts = vec![handshake.id.clone(), words::time(handshake.started_at)];
        if let Some(target) = &handshake.target {
            let target = fit(target, 40, 1).concat();
            facts.push(match &handshake.host {
                Some(host) => format!("{target} on {}", fit(host, 40, 1).concat()),
                None => target,
            });
        }
        if handshake.verdict == "failed" {
            facts.extend(words::answered_by_in_short(handshake));
        }
        let indent = " ".repeat(columns(&lead));
        self.page
            .paragraph(&indent, Look::Plain, Look::Faint, &facts.join(" · "));
        let frames = Frames::of(self.report, handshake);
        hops::draw(&mut self.page, self.report, handshake, self.verbose);
        if let Some(session) = &handshake.session {
            self.session(session, &frames);
        }
        let (primary, also) = self.told.about(handshake);
        if let Some(primary) = primary {
            self.primary(primary, &frames, None);
        }
        self.also(&also);
    }

    /// After the 101: what happened when, what went each way, how it ended.
    fn session(&mut self, session: &SessionView, frames: &Frames<'_>) {
        self.page
            .paragraph("", Look::Plain, Look::Strong, "After the 101");
        self.moments(session, frames);
        for (label, tone, text) in words::session(session, frames) {
            let look = match tone {
                Tone::Plain => Look::Plain,
                Tone::Odd => Look::Odd,
                Tone::Bad => Look::Bad,
            };
            let lead = format!("  {}", pad(label, 10));
            self.page.paragraph(&lead, Look::Faint, look, &text);
        }
    }

    /// The story of a session. The day is that of the handshake unless it says another.
    fn moments(&mut self, session: &SessionView, frames: &Frames<'_>) {
        let lines = moments::lines(session, frames);
        let widest = |of: fn(&moments::Line) -> &str| {
            lines
                .iter()
                .map(|line| columns(of(line)))
                .max()
                .unwrap_or(0)
        };
        let first_day = lines.first().and_then(|line| line.at.split_once(' '));
        let after = widest(|line| &line.after);
        let what = widest(|line| &line.what);
        for line in &lines {
            let at = match line.at.split_once(' ') {
                Some((day, clock)) if first_day.is_none_or(|(first, _)| first == day) => clock,
                _ => &line.at,
            };
            let lead = format!("  {}  {at}  ", pad(&line.after, after));
            let room = columns(&lead) + what + 2 + columns(&line.seen);
            let told = if room > self.page.width {
                format!("{}  {}", line.what, line.seen)
            } else {
                format!("{}  {}", pad(&line.what, what), line.seen)
            };
            self.page.columns(&lead, Look::Faint, &told);
        }
    }

    /// A finding in full.
    fn primary(&mut self, finding: &FindingView, frames: &Frames<'_>, times: Option<u64>) {
        let sure = match finding.confidence {
            "certain" => String::new(),
            other => format!("  ({other})"),
        };
        let more = match times {
            Some(times) if times > 1 => format!("  {}", words::count(times, "time")),
            _ => String::new(),
        };
        let head = format!("{}{sure}{more}", finding.code);
        self.page.paragraph(
            "Cause     ",
            Look::Strong,
            severity_look(finding.severity),
            &head,
        );
        let why = [&*finding.detail, &finding.cause]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        if !why.is_empty() {
            self.page.paragraph(INDENT, Look::Plain, Look::Plain, &why);
        }
        if !finding.fix.is_empty() {
            self.page
                .paragraph("Fix       ", Look::Strong, Look::Plain, &finding.fix);
        }
        if !finding.nginx_snippet.is_empty() {
            self.page.code(INDENT.len() + 2, &finding.nginx_snippet);
        }
        if !finding.nginx_log.is_empty() {
            self.page
                .paragraph("nginx log ", Look::Strong, Look::Plain, &finding.nginx_log);
        }
        self.evidence(finding, frames);
    }

    fn evidence(&mut self, finding: &FindingView, frames: &Frames<'_>) {
        let shown = if self.verbose {
            usize::MAX
        } else {
            EVIDENCE_MAX
        };
        let place = |evidence: &EvidenceView| {
            let number = format!("#{}", evidence.frame);
            if frames.several() {
                let file = words::shortened(frames.file(evidence.capture), FILE_MAX);
                format!("{file} {number}")
            } else {
                number
            }
        };
        let time = |evidence: &EvidenceView| frames.relative(evidence.at, evidence.capture);
        let listed = || finding.evidence.iter().take(shown);
        let widest = |text: &dyn Fn(&EvidenceView) -> String| {
            listed().map(|e| columns(&text(e))).max().unwrap_or(0)
        };
        let (places, times) = (widest(&place), widest(&time));
        let mut lead = "Evidence  ";
        for evidence in listed() {
            let head = format!(
                "{}{}  {}  ",
                self.page.paint(Look::Strong, lead),
                self.page.paint(Look::Faint, &pad(&place(evidence), places)),
                self.page.paint(Look::Faint, &pad(&time(evidence), times)),
            );
            self.page
                .paragraph(&head, Look::Plain, Look::Plain, &evidence.shows);
            lead = INDENT;
        }
        if finding.evidence.len() > shown {
            let more = (finding.evidence.len() - shown) as u64;
            let text = format!("and {}", words::count(more, "more frame"));
            self.page.paragraph(INDENT, Look::Plain, Look::Faint, &text);
        }
    }

    /// Findings that support the cause, or are worth knowing besides: one line each.
    fn also(&mut self, findings: &[&FindingView]) {
        if findings.is_empty() {
            return;
        }
        let shown = if self.verbose { usize::MAX } else { ALSO_MAX };
        let several = self.report.captures.len() > 1;
        let mut lead = "Also      ";
        for finding in findings.iter().take(shown) {
            let frame = finding
                .evidence
                .first()
                .map_or_else(String::new, |evidence| {
                    if several {
                        let file = words::file_of(self.report, evidence.capture);
                        format!(", {} #{}", words::shortened(file, FILE_MAX), evidence.frame)
                    } else {
                        format!(", #{}", evidence.frame)
                    }
                });
            let text = format!("{}: {}{frame}", finding.code, finding.title);
            let mark = match finding.severity {
                "error" => "✗ ",
                "warning" => "! ",
                _ => "· ",
            };
            let painted = self.page.paint(Look::Strong, lead);
            let mark = self.page.paint(severity_look(finding.severity), mark);
            let room = self.page.width.saturating_sub(INDENT.len() + 2);
            let lines = fit(&text, room, if self.verbose { 4 } else { 2 });
            let out = format!("{painted}{mark}{}", lines.join(&format!("\n{INDENT}  ")));
            self.page.raw(&out);
            lead = INDENT;
        }
        if findings.len() > shown {
            let more = (findings.len() - shown) as u64;
            let text = format!("and {} (-v)", words::count(more, "more finding"));
            self.page.paragraph(INDENT, Look::Plain, Look::Faint, &text);
        }
    }

    /// Faults that are about no handshake, in full.
    fn faults(&mut self, faults: &[(u64, &FindingView)]) {
        for (times, finding) in faults {
            let Some(start) = finding.evidence.first() else {
                continue;
            };
            self.page.gap();
            self.page
                .paragraph("FAULT  ", Look::Bad, Look::Strong, &finding.title);
            let frames = Frames::from_evidence(self.report, start);
            self.primary(finding, &frames, Some(*times));
        }
    }
}

/// Where the text of a section begins.
const INDENT: &str = "          ";

fn verdict_look(verdict: &str) -> Look {
    match verdict {
        "ok" => Look::Good,
        "failed" | "broken" => Look::Bad,
        _ => Look::Odd,
    }
}

fn severity_look(severity: &str) -> Look {
    match severity {
        "error" => Look::Bad,
        "warning" => Look::Odd,
        _ => Look::Faint,
    }
}
