//! What there is to say about the captures: how far they can be trusted, and what to capture instead.

use super::super::style::{Look, Page, columns, pad};
use super::super::view::{CaptureView, Report};
use super::super::words;

/// Kinds of traffic listed where no handshake was found.
const TRAFFIC_MAX: usize = 8;

/// Limits listed.
const LIMITS_MAX: usize = 5;

/// No handshake at all: what was seen instead, and with `advise` what to capture next time.
pub(super) fn nothing(page: &mut Page, report: &Report, advise: bool) {
    let live = |capture: &CaptureView| capture.format == Some("live");
    let text = if report
        .captures
        .iter()
        .any(|one| live(one) && one.frames == 0)
    {
        "No packet came, so there is nothing to explain."
    } else if report.captures.iter().all(|capture| capture.frames == 0) {
        "No frame could be read, so there is nothing to explain."
    } else {
        &words::none(report)
    };
    let lead = if advise { "NOTHING FOUND  " } else { "" };
    page.paragraph(lead, Look::Odd, Look::Strong, text);
    let rows = super::super::advice::seen(report, TRAFFIC_MAX);
    if !rows.is_empty() {
        page.gap();
        page.paragraph("", Look::Plain, Look::Strong, "Seen instead");
        let widest = |of: fn(&[String; 3]) -> &String| {
            rows.iter().map(|row| columns(of(row))).max().unwrap_or(0)
        };
        let (numbers, kinds) = (widest(|[number, ..]| number), widest(|[_, kind, _]| kind));
        for [number, kind, meaning] in &rows {
            let lead = format!("  {}  {}  ", pad(number, numbers), pad(kind, kinds));
            page.paragraph(&lead, Look::Plain, Look::Faint, meaning);
        }
    }
    if !advise {
        return;
    }
    page.gap();
    page.paragraph("", Look::Plain, Look::Strong, "Capture next time");
    for advice in super::super::advice::next_capture(report) {
        page.paragraph("  ", Look::Plain, Look::Plain, &advice.text);
        if let Some(command) = advice.command {
            page.code(4, command);
        }
    }
}

/// The inputs, one line each, and what could not be seen.
pub(super) fn footer(page: &mut Page, report: &Report, verbose: bool) {
    let healthy = report.summary.handshakes > 0 && report.summary.ok == report.summary.handshakes;
    if !healthy {
        page.gap();
    }
    for capture in &report.captures {
        let lead = "Capture   ";
        if let (None, Some(damage)) = (capture.format, &capture.damage) {
            let text = format!("{} {damage}", words::file_name(&capture.path));
            page.paragraph(lead, Look::Faint, Look::Odd, &text);
            continue;
        }
        page.paragraph(lead, Look::Faint, Look::Faint, &line(capture, report));
        for trouble in words::troubles(capture) {
            page.paragraph(
                "          ",
                Look::Plain,
                Look::Odd,
                &format!("! {trouble}"),
            );
        }
        if verbose {
            for comment in &capture.comments {
                let text = format!("comment: {comment}");
                page.paragraph("          ", Look::Plain, Look::Faint, &text);
            }
        }
    }
    let shown = if verbose { usize::MAX } else { LIMITS_MAX };
    let mut lead = "Limits    ";
    for limit in report.limits.iter().take(shown) {
        let place = limit
            .connection
            .map_or_else(String::new, |id| format!(" on {id}"));
        let text = format!("{}{place}: {}", limit.kind, limit.detail);
        page.paragraph(lead, Look::Faint, Look::Odd, &text);
        lead = "          ";
    }
    if report.limits.len() > shown {
        let more = (report.limits.len() - shown) as u64;
        let text = format!("and {} (-v)", words::count(more, "more limit"));
        page.paragraph(lead, Look::Plain, Look::Faint, &text);
    }
}

/// An input in one line.
fn line(capture: &CaptureView, report: &Report) -> String {
    let mut parts = vec![words::file_name(&capture.path).to_owned()];
    let format = capture.format.unwrap_or("unknown format");
    let format = match capture.compression {
        Some(compression) => format!("{format} in {compression}"),
        None => format.to_owned(),
    };
    parts.push(if capture.link_types.is_empty() {
        format
    } else {
        format!("{format}, {}", capture.link_types.join(" + "))
    });
    parts.push(words::count(capture.frames, "frame"));
    if report.captures.len() == 1 {
        parts.push(words::count(report.summary.connections, "connection"));
    }
    if let (Some(first), Some(last)) = (capture.first_at, capture.last_at) {
        parts.push(words::duration(last.nanos_since(first)));
    }
    parts.extend(words::oddities(capture));
    parts.join(" · ")
}
