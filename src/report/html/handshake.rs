//! One handshake in full: what each hop carried, the cause with its evidence, what else was found.
//!
//! A hop is a column and a fact a row, so that hops compare at a glance; maud escapes every text.

use maud::{Markup, html};

use super::ladder::ladder;
use super::{prose, verdict};
use crate::capture::FrameRef;
use crate::report::column::{Answered, Asked, Column, Field};
use crate::report::moments;
use crate::report::view::{FindingView, HandshakeView, HopView, Report, SessionView};
use crate::report::words::{self, Frames, Told, Tone};

pub(super) fn handshake(report: &Report, told: &Told<'_>, handshake: &HandshakeView) -> Markup {
    let frames = Frames::of(report, handshake);
    let (primary, also) = told.about(handshake);
    html! {
        section.handshake id=(handshake.id) {
            @if report.summary.handshakes > 1 {
                h2 { (verdict(handshake.verdict)) " " (prose(&handshake.headline)) }
            }
            p.faint {
                (handshake.id) " · "
                @if let Some(target) = &handshake.target { code { (target) } " " }
                @if let Some(host) = &handshake.host { "on " code { (host) } " " }
                @if handshake.target.is_some() || handshake.host.is_some() { "· " }
                (words::time(handshake.started_at))
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
            @if let Some(finding) = primary {
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
                                @for about in [words::tls(connection), column.joined(), words::interfaces(connection)] {
                                    @if !about.is_empty() { div.faint { (about) } }
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
                @if columns.iter().any(|column| answer(column).is_some()) {
                    (row("Accept", false, &accept_cell))
                }
                (row("ended", true, &|column| ended_cell(column, frames)))
            }
        }
    }
}

fn request_cell(column: &Column<'_>, frames: &Frames<'_>) -> Markup {
    html! {
        @match column.asked() {
            Asked::Request(request) => {
                code { (request.method) " " (request.target) " HTTP/" (request.http_version) }
                " " span.faint { (frames.at(request.at_frame)) }
            }
            Asked::Sealed(record) => (sealed(record, frames)),
            Asked::Unseen(what) => span.faint { (what) },
            Asked::Never(what) => span.bad { "✗ " (what) },
        }
    }
}

/// A head inside TLS: all that shows is the record that carried it.
fn sealed(record: FrameRef, frames: &Frames<'_>) -> Markup {
    html! { span.faint { "inside TLS " (frames.at(record)) } }
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
    html! {
        @match column.answered() {
            Answered::Response(response) => {
                strong class=(if response.status == 101 { "good" } else { "bad" }) {
                    (response.status) " " (response.reason)
                }
                " " span.faint {
                    (frames.at(response.at_frame))
                    @if let Some(server) = &response.server { " " (server) }
                }
            }
            Answered::Sealed(record) => (sealed(record, frames)),
            Answered::Unseen(what) => span.faint { (what) },
            Answered::None(instead) => span.bad { "✗ " (instead) },
        }
        @for note in column.hop().into_iter().flat_map(|hop| &hop.notes) { div.odd { (note) } }
    }
}

/// The hop, where its answer was seen in clear.
fn answer<'a>(column: &Column<'a>) -> Option<&'a HopView> {
    column.hop().filter(|hop| hop.response.is_some())
}

fn accept_cell(column: &Column<'_>) -> Markup {
    let Some(hop) = answer(column) else {
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

pub(super) fn finding(finding: &FindingView, frames: &Frames<'_>) -> Markup {
    html! {
        div class={ "finding " (finding.severity) } {
            h3 {
                "Cause: " code { (finding.code) }
                @if finding.confidence != "certain" { " " span.faint { "(" (finding.confidence) ")" } }
            }
            @for part in [&*finding.detail, &finding.cause] {
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

pub(super) fn also(findings: &[&FindingView], frames: &Frames<'_>) -> Markup {
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
