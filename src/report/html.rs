//! The report as one page: no scripts, nothing loaded from elsewhere, fit to be attached, read in the dark, and printed.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::advice;
use super::column::{Column, Field};
use super::escape;
use super::ladder::Ladder;
use super::moments;
use super::pick::{Most, pick};
use super::view::{FindingView, HandshakeView, Report, SessionView};
use super::words::{self, Frames, Tone};

/// Handshakes of each verdict and cause in full.
pub const PER_CAUSE: usize = 3;

/// Handshakes in full in all.
const DETAILS_MAX: usize = 50;

/// Rows of the table of causes.
const CAUSES_MAX: usize = 100;

/// Rows about traffic that is none of ours.
const TRAFFIC_MAX: usize = 25;

/// The look of the page.
const STYLE: &str = include_str!("html.css");

/// The report as an HTML page. `verbose`: every handshake in full.
pub fn render(report: &Report, verbose: bool) -> String {
    let (report, hidden) = pick(
        report,
        Most {
            per_cause: if verbose { usize::MAX } else { PER_CAUSE },
            total: if verbose { usize::MAX } else { DETAILS_MAX },
            healthy: verbose,
        },
    );
    page(&report, hidden).into_string()
}

fn page(report: &Report, hidden: u64) -> Markup {
    let title = words::title(report);
    let lone = words::lone_findings(report);
    // The only handshake has its sentence in the title.
    let only = match report.handshakes.as_slice() {
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
                    @if only.is_none() && !report.causes.is_empty() { (summary(report)) }
                }
                main {
                    (faults(report, &lone.over))
                    @if report.summary.handshakes == 0 { (nothing(report, lone.over.is_empty())) }
                    @for handshake in &report.handshakes {
                        (self::handshake(report, handshake))
                    }
                    @if hidden > 0 && !report.handshakes.is_empty() {
                        p.faint {
                            (words::count(hidden, "more handshake"))
                            " that went wrong not shown in full."
                        }
                    }
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

fn summary(report: &Report) -> Markup {
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
                            @if report.handshakes.iter().any(|handshake| handshake.id == cause.first) {
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
            p { "No WebSocket opening handshake is in this capture." }
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

fn handshake(report: &Report, handshake: &HandshakeView) -> Markup {
    let frames = Frames::of(report, handshake);
    let findings: Vec<&FindingView> = report.findings_of(&handshake.id).collect();
    let primary = findings
        .iter()
        .position(|finding| Some(finding.code) == handshake.cause);
    let also: Vec<&FindingView> = findings
        .iter()
        .enumerate()
        .filter(|(place, _)| Some(*place) != primary)
        .map(|(_, finding)| *finding)
        .collect();
    html! {
        section.handshake id=(handshake.id) {
            @if report.summary.handshakes > 1 {
                h2 { (verdict(handshake.verdict)) " " (prose(&handshake.headline)) }
            }
            p.faint {
                (handshake.id) " · "
                @if let Some(target) = &handshake.target { code { (target) } " " }
                @if let Some(host) = &handshake.host { "on " code { (host) } " " }
                "· " (words::time(handshake.started_at))
                @if let Some(by) = words::answered_by(handshake) { " · " (by) }
            }
            div.wide { (hops(report, handshake, &frames)) }
            @if let Some(session) = &handshake.session {
                h3 { "After the 101" }
                (story(session, &frames))
                table.facts {
                    tbody {
                        @for (label, tone, fact) in words::session(session, &frames) {
                            tr {
                                th { (label) }
                                td class=[tone_class(tone)] { (fact) }
                            }
                        }
                    }
                }
            }
            @if let Some(finding) = primary.and_then(|place| findings.get(place)) {
                (self::finding(finding, &frames))
            }
            (self::also(&also, &frames))
            (ladder(report, handshake, &frames))
        }
    }
}

/// The moments of a session.
fn story(session: &SessionView, frames: &Frames<'_>) -> Markup {
    html! {
        div.wide {
            table.story {
                thead { tr { th { "after" } th { "UTC" } th { "what" } th { "where" } } }
                tbody {
                    @for moment in moments::lines(session, frames) {
                        tr {
                            td.number { (moment.after) }
                            td.time { (moment.at) }
                            td { (moment.what) }
                            td.address { (moment.seen) }
                        }
                    }
                }
            }
        }
    }
}

const fn tone_class(tone: Tone) -> Option<&'static str> {
    match tone {
        Tone::Plain => None,
        Tone::Odd => Some("odd"),
        Tone::Bad => Some("bad"),
    }
}

fn hops(report: &Report, handshake: &HandshakeView, frames: &Frames<'_>) -> Markup {
    let columns = Column::all(report, handshake);
    let row = |label: &str, rule: bool, cell: &dyn Fn(&Column<'_>) -> Markup| {
        html! {
            tr.rule[rule] {
                th { (label) }
                @for column in &columns { td { (cell(column)) } }
            }
        }
    };
    html! {
        table.hops {
            thead {
                tr {
                    th {}
                    @for column in &columns {
                        th {
                            (column.ends()) " " span.faint { (column.id) }
                            @if column.given_up() { " " span.odd { "given up" } }
                            @if let Some(connection) = column.connection {
                                div.address {
                                    (words::named(&connection.client, connection.client_name.as_ref())) " →" br;
                                    (words::named(&connection.server, connection.server_name.as_ref()))
                                }
                                @let lacks = words::evidence_lacks(connection);
                                @if !lacks.is_empty() { div.odd { (lacks) } }
                            }
                        }
                    }
                }
            }
            tbody {
                (row("request", false, &|column| request_cell(column, frames)))
                @for &(label, header) in words::HEADERS {
                    @if columns.iter().any(|column| !matches!(column.field(header), Field::Nothing)) {
                        (row(label, false, &|column| field_cell(column, header)))
                    }
                }
                (row("answer", true, &|column| answer_cell(column, frames)))
                (row("Accept", false, &accept_cell))
                (row("ended", true, &|column| ended_cell(column, frames)))
            }
        }
    }
}

fn request_cell(column: &Column<'_>, frames: &Frames<'_>) -> Markup {
    html! {
        @match column.hop.map(|hop| &hop.request) {
            Some(Some(request)) => {
                code { (request.method) " " (request.target) " HTTP/" (request.http_version) }
                " " span.faint { (frames.at(request.at_frame)) }
            }
            Some(None) => span.faint { "not in the capture as a whole" },
            None => span.bad { "✗ never sent" },
        }
    }
}

fn field_cell(column: &Column<'_>, header: &str) -> Markup {
    html! {
        @match column.field(header) {
            Field::Nothing => {},
            Field::Same(value) => code { (value) },
            Field::Dropped => span.bad { "✗ dropped" },
            Field::Altered(value) => span.odd { "≠ " code { (value) } },
            Field::Added(value) => span.odd { "+ " code { (value) } },
            Field::Missing => span.bad { "✗ missing" },
            Field::Invalid(value) => span.bad { "✗ " code { (value) } " (invalid)" },
        }
    }
}

fn answer_cell(column: &Column<'_>, frames: &Frames<'_>) -> Markup {
    let Some(hop) = column.hop else {
        return html! { span.bad { "✗ " (column.outcome) } };
    };
    html! {
        @match &hop.response {
            Some(response) => {
                strong class=(if response.status == 101 { "good" } else { "bad" }) {
                    (response.status) " " (response.reason)
                }
                " " span.faint {
                    (frames.at(response.at_frame))
                    @if let Some(server) = &response.server { " " (server) }
                }
            }
            None => span.bad { "✗ none seen" },
        }
        @for note in &hop.notes { div.odd { (note) } }
    }
}

fn accept_cell(column: &Column<'_>) -> Markup {
    let Some(hop) = column.hop.filter(|hop| hop.response.is_some()) else {
        return html! {};
    };
    let look = match hop.accept {
        "valid" => "good",
        "mismatch" | "missing" => "bad",
        _ => "faint",
    };
    html! { span class=(look) { (words::accept(hop)) } }
}

fn ended_cell(column: &Column<'_>, frames: &Frames<'_>) -> Markup {
    let reset = column
        .connection
        .is_some_and(|connection| connection.ended.how == "rst");
    html! {
        @if let Some((how, at)) = column.ended(frames) {
            span.bad[reset] { (how) }
            @if let Some(at) = at { " " span.faint { (at) } }
        }
    }
}

fn finding(finding: &FindingView, frames: &Frames<'_>) -> Markup {
    html! {
        div class={ "finding " (finding.severity) } {
            h3 {
                "Cause: " code { (finding.code) }
                @if finding.confidence != "certain" { " " span.faint { "(" (finding.confidence) ")" } }
            }
            @for part in [&finding.detail, &finding.cause] {
                @if !part.is_empty() { p { (prose(part)) } }
            }
            @if !finding.fix.is_empty() { h3 { "Fix" } p { (prose(&finding.fix)) } }
            @if !finding.nginx_snippet.is_empty() { pre { code { (finding.nginx_snippet) } } }
            @if !finding.nginx_log.is_empty() {
                h3 { "What nginx logs" }
                p { (prose(&finding.nginx_log)) }
            }
            h3 { "Evidence" }
            table {
                thead { tr { @if frames.several() { th { "file" } } th.number { "frame" } th { "time" } th { "shows" } } }
                tbody {
                    @for evidence in &finding.evidence {
                        tr {
                            @if frames.several() { td { (frames.file(evidence.capture)) } }
                            td.number { (evidence.frame) }
                            td.time {
                                (words::time(evidence.at)) " "
                                span.faint { (frames.relative(evidence.at, evidence.capture)) }
                            }
                            td { (prose(&evidence.shows)) }
                        }
                    }
                }
            }
        }
    }
}

fn also(findings: &[&FindingView], frames: &Frames<'_>) -> Markup {
    html! {
        @if !findings.is_empty() {
            h3 { "Also" }
            table {
                tbody {
                    @for finding in findings {
                        tr {
                            td { span class={ "severity " (finding.severity) } { (finding.severity) } }
                            td { code { (finding.code) } }
                            td { (prose(&finding.title)) }
                            td.faint {
                                @for (place, evidence) in finding.evidence.iter().enumerate() {
                                    @if place > 0 { ", " }
                                    @if frames.several() { (frames.file(evidence.capture)) " " }
                                    "#" (evidence.frame)
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The ladder as a drawing, in units of pixels.
fn ladder(report: &Report, handshake: &HandshakeView, frames: &Frames<'_>) -> Markup {
    const LEFT: usize = 170;
    const COLUMN: usize = 290;
    const TOP: usize = 56;
    const STEP: usize = 30;
    const ARROW: usize = 6;
    let ladder = Ladder::of(report, handshake);
    if ladder.steps.is_empty() {
        return html! {};
    }
    let x = |place: usize| LEFT + place * COLUMN;
    let gap = ladder.gap_after();
    let y = |number: usize| {
        TOP + 24 + STEP * (number + usize::from(gap.is_some_and(|after| number > after)))
    };
    let width = x(ladder.parties.len().saturating_sub(1)) + 110;
    let height = y(ladder.steps.len()) + 4;
    html! {
        h3 { "On the wire" }
        div.wide {
            svg.ladder viewBox={ "0 0 " (width) " " (height) } width=(width) role="img"
                aria-label="Who sent what to whom, in order" {
                @for (place, party) in ladder.parties.iter().enumerate() {
                    text.party x=(x(place)) y="18" text-anchor="middle" { (party.name) }
                    text.address x=(x(place)) y="36" text-anchor="middle" { (party.address) }
                    line.life x1=(x(place)) y1=(TOP - 10) x2=(x(place)) y2=(height) {}
                }
                @for (number, step) in ladder.steps.iter().enumerate() {
                    @let (from, to) = (x(step.from), x(step.to));
                    @let at = y(number);
                    @let frame = step.event.frame;
                    @let head = if to > from { to.saturating_sub(ARROW) } else { to + ARROW };
                    @let bad = step.event.what == "RST";
                    g class=[bad.then_some("bad")] {
                        line.arrow x1=(from) y1=(at) x2=(to) y2=(at) {}
                        path.head d={
                            "M" (to) " " (at) " L" (head) " " (at - ARROW / 2 - 1) " L" (head) " " (at + ARROW / 2 + 1) " Z"
                        } {}
                        text.what x=(usize::midpoint(from, to)) y=(at - 5) text-anchor="middle" {
                            (words::shortened(&step.event.what, 40))
                        }
                        text.when x=(LEFT - 60) y=(at + 4) text-anchor="end" {
                            "#" (frame.frame) " " (frames.relative(frame.at, frame.capture.0))
                        }
                    }
                    @if gap == Some(number) {
                        text.when x=(LEFT) y=(at + STEP) { (ladder.hidden) " more steps" }
                    }
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
