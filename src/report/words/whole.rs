//! The report as a whole in words: its title, findings that belong to no handshake, what is odd about the captures.
//!
//! A finding about connections of handshakes that are shown is not told twice.

use std::collections::{BTreeMap, BTreeSet};

use super::numbers::{count, duration_ms, thousands};
use crate::report::escape::visible;
use crate::report::pick::Part;
use crate::report::view::{CaptureView, FindingView, HandshakeView, Report};
use crate::tcp::ConnectionId;

/// What a report is about, in a line.
pub(in crate::report) fn title(part: &Part<'_>) -> String {
    let summary = part.report.summary;
    match (summary.handshakes, part.chosen.as_slice()) {
        (0, _) if summary.left_out > 0 => "WebSocket handshakes: none for this URL".to_owned(),
        (0, _) => lone_findings(part).over.first().map_or_else(
            || "WebSocket handshakes: none found".to_owned(),
            |(_, finding)| finding.title.clone(),
        ),
        (1, [only]) if only.verdict != "ok" => visible(&only.headline).into_owned(),
        (all, _) if all == summary.ok => format!("WebSocket handshakes: {all} of {all} came up"),
        (all, _) => {
            let parts: Vec<String> = [
                (summary.failed, "failed"),
                (summary.broken, "broke"),
                (summary.unclear, "unclear"),
            ]
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{} {what}", thousands(number)))
            .collect();
            format!(
                "WebSocket handshakes: {}, of {}",
                parts.join(", "),
                thousands(all)
            )
        }
    }
}

/// That there is no handshake, or none that was asked for.
pub(in crate::report) fn none(report: &Report) -> String {
    match report.summary.left_out {
        0 => "No WebSocket opening handshake is in this capture.".to_owned(),
        others => format!(
            "No WebSocket opening handshake for this URL is in this capture, but {} for others.",
            thousands(others)
        ),
    }
}

/// That there are more handshakes than those that were asked for.
pub(in crate::report) fn left_out(report: &Report) -> Option<String> {
    let summary = report.summary;
    (summary.handshakes > 0 && summary.left_out > 0).then(|| {
        let others = count(summary.left_out, "handshake");
        format!("{others} for other URLs left out (--url).")
    })
}

/// Findings that belong to no handshake shown in full, the first of each kind with how many there are of it.
pub(in crate::report) struct Lone<'a> {
    /// Faults that explain more than one handshake, or the lack of any: to be read first.
    pub(in crate::report) over: Vec<(u64, &'a FindingView)>,
    /// Faults of something else.
    pub(in crate::report) beside: Vec<(u64, &'a FindingView)>,
    /// What is worth a line, warnings first.
    pub(in crate::report) small: Vec<&'a FindingView>,
}

/// Sorts out the findings that belong to no handshake shown in full.
pub(in crate::report) fn lone_findings<'a>(part: &'a Part<'_>) -> Lone<'a> {
    let shown: BTreeSet<&str> = part
        .chosen
        .iter()
        .map(|handshake| handshake.id.as_str())
        .collect();
    let mut groups: BTreeMap<&str, (u64, &FindingView)> = BTreeMap::new();
    for finding in &part.report.findings {
        if finding
            .handshake
            .as_deref()
            .is_none_or(|id| !shown.contains(id))
        {
            groups.entry(finding.code).or_insert((0, finding)).0 += 1;
        }
    }
    let mut lone = Lone {
        over: Vec::new(),
        beside: Vec::new(),
        small: Vec::new(),
    };
    for (times, finding) in groups.into_values() {
        let touched = part
            .chosen
            .iter()
            .filter(|handshake| {
                finding
                    .connections
                    .iter()
                    .any(|&id| joins(handshake).any(|joined| joined == id))
            })
            .count();
        // What is wrong with a connection of a handshake shown is told there already.
        match (finding.severity, touched) {
            ("error", 0) if shown.is_empty() => lone.over.push((times, finding)),
            ("error", 0) => lone.beside.push((times, finding)),
            ("error", 2..) => lone.over.push((times, finding)),
            _ => lone.small.push(finding),
        }
    }
    lone.small.sort_by_key(|finding| match finding.severity {
        "error" => 0,
        "warning" => 1,
        _ => 2,
    });
    lone
}

/// Which findings are about which handshake, looked up once: a page may have thousands of both.
pub(in crate::report) struct Told<'a>(BTreeMap<&'a str, Vec<&'a FindingView>>);

impl<'a> Told<'a> {
    /// Of a report, its findings in their order.
    pub(in crate::report) fn of(report: &'a Report) -> Self {
        let mut told: BTreeMap<&str, Vec<&FindingView>> = BTreeMap::new();
        for finding in &report.findings {
            if let Some(id) = finding.handshake.as_deref() {
                told.entry(id).or_default().push(finding);
            }
        }
        Self(told)
    }

    /// The finding that names the cause of a handshake, and the others about it.
    pub(in crate::report) fn about(
        &self,
        handshake: &HandshakeView,
    ) -> (Option<&'a FindingView>, Vec<&'a FindingView>) {
        let mut also = self
            .0
            .get(handshake.id.as_str())
            .cloned()
            .unwrap_or_default();
        let primary = also
            .iter()
            .position(|finding| Some(finding.code) == handshake.cause);
        (primary.map(|place| also.remove(place)), also)
    }
}

/// The connections of a handshake.
fn joins(handshake: &HandshakeView) -> impl Iterator<Item = ConnectionId> {
    let hops = handshake.hops.iter().map(|hop| hop.connection);
    let front = handshake.front.as_ref().map(|front| front.connection);
    hops.chain(handshake.attempts.iter().map(|attempt| attempt.connection))
        .chain(front)
}

/// What makes a capture less than complete.
pub(in crate::report) fn troubles(capture: &CaptureView) -> Vec<String> {
    let mut troubles = Vec::new();
    if let Some(damage) = &capture.damage {
        troubles.push(format!("damaged: {damage}"));
    }
    if let Some(dropped) = capture.dropped.filter(|&dropped| dropped > 0) {
        troubles.push(format!(
            "{} dropped while capturing",
            count(dropped, "packet")
        ));
    }
    if capture.truncated_frames > 0 {
        troubles.push(format!(
            "{} cut short by the snaplen: capture with -s 0",
            count(capture.truncated_frames, "frame")
        ));
    }
    troubles
}

/// What else there is to know about a capture: copies, another clock.
pub(in crate::report) fn oddities(capture: &CaptureView) -> Vec<String> {
    let mut oddities = Vec::new();
    if capture.duplicate_frames > 0 {
        oddities.push(count(capture.duplicate_frames, "duplicated frame"));
    }
    if capture.clock_offset_ms != 0.0 {
        // What is added to its times makes up for a clock that is behind.
        let way = if capture.clock_offset_ms < 0.0 {
            "ahead of"
        } else {
            "behind"
        };
        oddities.push(format!(
            "clock {} {way} the first hop's",
            duration_ms(capture.clock_offset_ms.abs())
        ));
    }
    oddities
}
