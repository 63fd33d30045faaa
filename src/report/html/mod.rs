//! The report as one page: no scripts, nothing loaded from elsewhere, fit to be attached, read in the dark, and printed.
//!
//! Invariants: every text goes through maud, which escapes it; nothing but the page itself is needed to read it; what is
//! left out is counted.

mod handshake;
mod ladder;

use std::io::{self, Write};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::handshake::{also, finding, handshake};
use crate::report::advice;
use crate::report::escape;
use crate::report::pick::{Most, Part, pick};
use crate::report::view::{FindingView, Report};
use crate::report::words::{self, Frames, Told};

/// Handshakes of each verdict and cause in full.
pub const PER_CAUSE: usize = 3;

/// Handshakes in full in all.
const DETAILS_MAX: usize = 50;

/// Rows of the table of causes.
const CAUSES_MAX: usize = 100;

/// Rows about traffic that is none of ours.
const TRAFFIC_MAX: usize = 25;

/// The look of the page.
const STYLE: &str = include_str!("page.css");

/// Where the handshakes stand in the page. No text from packets looks like it, for each has its `<` escaped.
const HANDSHAKES: &str = "<!--handshakes-->";

/// Writes the report as an HTML page. `verbose`: every handshake in full.
pub fn write(report: &Report, verbose: bool, out: &mut dyn Write) -> io::Result<()> {
    let part = pick(report, Most::of(PER_CAUSE, DETAILS_MAX, verbose));
    let page = page(&part).into_string();
    let (before, after) = page.split_once(HANDSHAKES).unwrap_or((&page, ""));
    out.write_all(before.as_bytes())?;
    let told = Told::of(&part.report);
    for handshake in part.handshakes() {
        let markup = self::handshake(&part.report, &told, &handshake);
        out.write_all(markup.into_string().as_bytes())?;
    }
    out.write_all(after.as_bytes())
}

/// The page around the handshakes.
fn page(part: &Part<'_>) -> Markup {
    let report = &part.report;
    let title = words::title(part);
    let lone = words::lone_findings(part);
    // The only handshake has its sentence in the title.
    let only = match part.chosen.as_slice() {
        [only] if report.summary.handshakes == 1 => Some(only),
        _ => None,
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Nothing in the page may load or run anything, whatever text found its way into it.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    @match only {
                        Some(handshake) => h1 { (verdict(handshake.verdict)) " " (prose(&title)) },
                        None => h1 { (prose(&title)) },
                    }
                    @if only.is_none() && !report.causes.is_empty() { (summary(part)) }
                }
                main {
                    (faults(report, &lone.over))
                    @if report.summary.handshakes == 0 { (nothing(report, lone.over.is_empty())) }
                    (PreEscaped(HANDSHAKES))
                    @if part.hidden > 0 && !part.chosen.is_empty() {
                        p.faint {
                            (words::count(part.hidden, "more handshake"))
                            " that went wrong not shown in full; "
                            code { "hop101 read -v" } " and " code { "--format json" } " have all."
                        }
                    }
                    @if let Some(text) = words::left_out(report) { p.faint { (text) } }
                    (faults(report, &lone.beside))
                    (besides(report, &lone.small))
                    (captures(report))
                }
                footer {
                    "Made by " (report.tool.name) " " (report.tool.version)
                    ". Frame numbers are those that Wireshark shows; times are UTC."
                }
            }
        }
    }
}

/// A sentence in which what stands between backticks is code.
fn prose(text: &str) -> Markup {
    html! {
        @for (part, is_code) in escape::prose(text) {
            @if is_code { code { (part) } } @else { (part) }
        }
    }
}

fn summary(part: &Part<'_>) -> Markup {
    let report = &part.report;
    html! {
        table {
            thead { tr { th.number { "count" } th { "verdict" } th { "cause" } th { "first" } th { "which says" } } }
            tbody {
                @for cause in report.causes.iter().take(CAUSES_MAX) {
                    tr {
                        td.number { (words::thousands(cause.count)) }
                        td { (verdict(cause.verdict)) }
                        td { @match cause.cause { Some(code) => code { (code) }, None => "–" } }
                        td {
                            @if part.chosen.iter().any(|handshake| handshake.id == cause.first) {
                                a href={ "#" (cause.first) } { (cause.first) }
                            } @else { (cause.first) }
                        }
                        td { (prose(&cause.headline)) }
                    }
                }
            }
        }
        @if report.causes.len() > CAUSES_MAX {
            p.faint { (report.causes.len() - CAUSES_MAX) " further causes not listed." }
        }
    }
}

fn verdict(name: &str) -> Markup {
    html! { span class={ "verdict " (name) } { (words::verdict(name)) } }
}

fn nothing(report: &Report, advise: bool) -> Markup {
    let rows = advice::seen(report, TRAFFIC_MAX);
    html! {
        section {
            p { (words::none(report)) }
            @if !rows.is_empty() {
                h2 { "Seen instead" }
                table {
                    tbody {
                        @for [number, what, meaning] in &rows {
                            tr { td.number { (number) } td { (what) } td.faint { (meaning) } }
                        }
                    }
                }
            }
            @if advise {
                h2 { "What to capture next time" }
                @for advice in advice::next_capture(report) {
                    p { (prose(&advice.text)) }
                    @if let Some(command) = advice.command { pre { code { (command) } } }
                }
            }
        }
    }
}

fn faults(report: &Report, faults: &[(u64, &FindingView)]) -> Markup {
    html! {
        @for (times, finding) in faults {
            @if let Some(start) = finding.evidence.first() {
                section {
                    h2 { span.verdict.failed { "FAULT" } " " (prose(&finding.title)) }
                    @if *times > 1 { p.faint { "Seen " (words::thousands(*times)) " times; the first:" } }
                    (self::finding(finding, &Frames::from_evidence(report, start)))
                }
            }
        }
    }
}

fn besides(report: &Report, small: &[&FindingView]) -> Markup {
    html! {
        @if let Some(start) = small.first().and_then(|finding| finding.evidence.first()) {
            section {
                h2 { "Besides" }
                (also(small, &Frames::from_evidence(report, start)))
            }
        }
    }
}

fn captures(report: &Report) -> Markup {
    let time = |at: Option<crate::capture::Timestamp>| at.map_or_else(String::new, words::time);
    html! {
        section {
            h2 { "Captures" }
            div.wide { table {
                thead { tr { th { "file" } th { "format" } th.number { "frames" } th { "from" } th { "to" } th { "quality" } } }
                tbody {
                    @for capture in &report.captures {
                        @let troubles = words::troubles(capture);
                        @let quality = [troubles.clone(), words::oddities(capture)].concat();
                        tr {
                            td { (words::file_name(&capture.path)) }
                            td {
                                (capture.format.unwrap_or("?"))
                                @if let Some(compression) = capture.compression { " in " (compression) }
                                ", " (capture.link_types.join(", "))
                            }
                            td.number { (words::thousands(capture.frames)) }
                            td.time { (time(capture.first_at)) }
                            td.time { (time(capture.last_at)) }
                            td class=[(!troubles.is_empty()).then_some("odd")] {
                                @if quality.is_empty() { "complete" } @else { (quality.join("; ")) }
                            }
                        }
                    }
                }
            } }
            @if report.captures.iter().any(|capture| !capture.comments.is_empty()) {
                h3 { "Comments in the captures" }
                ul {
                    @for comment in report.captures.iter().flat_map(|capture| &capture.comments) {
                        li { (comment) }
                    }
                }
            }
            @if !report.limits.is_empty() {
                h3 { "What could not be seen or was given up" }
                ul {
                    @for limit in &report.limits {
                        li {
                            (limit.kind)
                            @if let Some(id) = limit.connection { " on " (id) }
                            ": " (limit.detail)
                        }
                    }
                }
            }
        }
    }
}
