//! What of a report is shown in full where people read it, and made harmless for their terminal.

use std::collections::{BTreeMap, BTreeSet};

use super::collector::UNLISTED;
use super::view::{FindingView, HandshakeView, Report};
use super::{escape, visit};
use crate::tcp::ConnectionId;

/// How many handshakes are shown in full.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    /// Of each verdict and cause.
    pub(super) per_cause: usize,
    /// In all.
    pub(super) total: usize,
    /// Also those that are ok.
    pub(super) healthy: bool,
}

impl Most {
    /// So many, or everything where the report is to be verbose.
    pub(super) const fn of(per_cause: usize, total: usize, verbose: bool) -> Self {
        if verbose {
            Self {
                per_cause: usize::MAX,
                total: usize::MAX,
                healthy: true,
            }
        } else {
            Self {
                per_cause,
                total,
                healthy: false,
            }
        }
    }
}

/// A part of a report, for people.
pub(super) struct Part<'a> {
    /// Connections and findings of the chosen handshakes, and everything that is about none, all texts visible. The handshakes
    /// themselves are not in it: a copy of all would take as much memory as the report.
    pub(super) report: Report,
    /// The chosen ones as they are in the report.
    pub(super) chosen: Vec<&'a HandshakeView>,
    /// How many handshakes that went wrong are not among them.
    pub(super) hidden: u64,
}

impl Part<'_> {
    /// The chosen handshakes, one by one, their texts visible.
    pub(super) fn handshakes(&self) -> impl Iterator<Item = HandshakeView> {
        self.chosen.iter().map(|&handshake| {
            let mut handshake = handshake.clone();
            visit::handshake(&mut handshake, &mut visible);
            handshake
        })
    }
}

/// Chooses the handshakes that are shown in full, with what belongs to them.
pub(super) fn pick(report: &Report, most: Most) -> Part<'_> {
    let chosen = choose(report, most);
    let findings = findings_of(report, &chosen);
    let connections: BTreeSet<ConnectionId> = chosen
        .iter()
        .flat_map(|handshake| connections_of(handshake))
        .chain(findings.iter().flat_map(|one| one.connections.clone()))
        .collect();
    let shown = chosen.iter().filter(|one| one.verdict != "ok").count() as u64;
    let summary = report.summary;
    let wrong = summary.failed + summary.broken + summary.unclear;
    let mut part = Report {
        tool: report.tool.clone(),
        captures: report.captures.clone(),
        summary,
        connections: report
            .connections
            .iter()
            .filter(|connection| connections.contains(&connection.id))
            .cloned()
            .collect(),
        findings,
        // Where connections are not listed, the limit on that list says nothing.
        limits: report
            .limits
            .iter()
            .filter(|limit| limit.kind != UNLISTED)
            .cloned()
            .collect(),
        causes: report.causes.clone(),
        traffic: report.traffic.clone(),
        ..Report::default()
    };
    make_visible(&mut part);
    Part {
        report: part,
        chosen,
        hidden: wrong.saturating_sub(shown),
    }
}

/// The handshakes that are shown in full: the commonest trouble first, but in the order of time within it.
fn choose(report: &Report, most: Most) -> Vec<&HandshakeView> {
    let mut seen: BTreeMap<(&str, Option<&str>), usize> = BTreeMap::new();
    let mut chosen: Vec<&HandshakeView> = report
        .handshakes
        .iter()
        .filter(|handshake| most.healthy || handshake.verdict != "ok")
        .filter(|handshake| {
            let number = seen
                .entry((handshake.verdict, handshake.cause))
                .or_default();
            *number += 1;
            *number <= most.per_cause
        })
        .collect();
    let place = |handshake: &HandshakeView| {
        report
            .causes
            .iter()
            .position(|cause| cause.verdict == handshake.verdict && cause.cause == handshake.cause)
            .unwrap_or(usize::MAX)
    };
    chosen.sort_by_key(|handshake| (place(handshake), handshake.start));
    chosen.truncate(most.total);
    chosen
}

/// The findings of these handshakes, and those that are about none.
fn findings_of(report: &Report, chosen: &[&HandshakeView]) -> Vec<FindingView> {
    let ids: BTreeSet<&str> = chosen.iter().map(|one| one.id.as_str()).collect();
    let healthy = report.handshakes.iter().filter(|one| one.verdict == "ok");
    let healthy: BTreeSet<&str> = healthy.map(|one| one.id.as_str()).collect();
    let is_wanted = |finding: &&FindingView| {
        let Some(id) = finding.handshake.as_deref() else {
            return true;
        };
        // A warning about a handshake that came up is worth a line, although nothing else of it is.
        ids.contains(id) || (finding.severity == "warning" && healthy.contains(id))
    };
    report.findings.iter().filter(is_wanted).cloned().collect()
}

/// The connections that a handshake is told with.
fn connections_of(handshake: &HandshakeView) -> impl Iterator<Item = ConnectionId> {
    let hops = handshake
        .hops
        .iter()
        .flat_map(|hop| std::iter::once(hop.connection).chain(hop.copies.iter().copied()));
    let front = handshake.front.as_ref().map(|front| front.connection);
    hops.chain(handshake.attempts.iter().map(|attempt| attempt.connection))
        .chain(front)
}

/// Makes all texts of a report harmless for where people read them.
pub(super) fn make_visible(report: &mut Report) {
    visit::report(report, &mut visible);
}

fn visible(kind: visit::Kind<'_>, text: &mut String) {
    let harmless = match kind {
        visit::Kind::Block => escape::visible_block(text),
        _ => escape::visible(text),
    };
    if let std::borrow::Cow::Owned(harmless) = harmless {
        *text = harmless;
    }
}
