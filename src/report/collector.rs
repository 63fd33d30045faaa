//! Keeps of the engine's results what the report will show, and counts the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::build::Detail;
use super::kept::Kept;
use super::redact::{Redact, Redactor};
use super::traffic::TrafficCounts;
use super::view::{CauseView, ConnectionView, FindingView, LimitView, Report, Summary};
use super::{build, interfaces, visit};
use crate::capture::{CaptureInfo, FrameRef};
use crate::decode::OtherKind;
use crate::diagnosis::{Diagnosis, Finding, Limit, Severity, Verdict};
use crate::engine::Observer;
use crate::hop::{Handshake, Record};
use crate::tcp::{ConnectionId, Stats};

/// Connections listed that belong to no handshake: a page of context; a busy capture has millions.
pub const OTHER_CONNECTIONS_MAX: usize = 1000;

/// The kind of limit that says how much of a list was left out.
pub(super) const UNLISTED: &str = "unlisted";

/// Findings listed that belong to no handshake: scans can give one per connection.
const OTHER_FINDINGS_MAX: usize = 10_000;

/// Limits listed: damage shows the same limit over and over.
const LIMITS_MAX: usize = 1000;

/// Handshakes whose start is remembered, so that all are numbered by start: 100 MB, weeks of a busy proxy. What comes after
/// them is numbered in the order in which it is settled.
const STARTS_MAX: usize = 1 << 22;

/// Which handshakes are kept as a whole; all are counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep {
    /// Not those with verdict ok (`--only failed`).
    pub only_failed: bool,
    /// At most so many of each verdict and cause: enough where a report groups by cause.
    pub per_cause: Option<usize>,
    /// Of all together at most as many as take about so much memory: heads may be long.
    pub bytes: Option<usize>,
    /// Without what only drawings need: no form for eyes is wanted.
    pub undrawn: bool,
}

#[derive(Clone, Default)]
struct Tally {
    count: u64,
    kept: usize,
    /// The number of the first to be settled.
    first: usize,
    /// Its headline, when it was kept.
    headline: String,
}

/// An [`Observer`] that makes a [`Report`].
///
/// Memory follows what is kept; of each handshake that is not, 24 bytes remain, so that ids stay the same whatever
/// is listed.
#[derive(Clone)]
pub struct Collector {
    keep: Keep,
    redactor: Redactor,
    summary: Summary,
    /// Handshakes settled, those included that are left out.
    settled: usize,
    starts: Vec<FrameRef>,
    kept: Kept,
    /// Bytes of memory that handshakes take there, about.
    kept_bytes: usize,
    others: BTreeMap<ConnectionId, ConnectionView>,
    others_unlisted: u64,
    findings: Vec<FindingView>,
    findings_unlisted: u64,
    limits: Vec<LimitView>,
    limits_unlisted: u64,
    causes: BTreeMap<(Verdict, Option<&'static str>), Tally>,
    traffic: TrafficCounts,
    offsets: BTreeMap<u16, i64>,
    duplicates: BTreeMap<u16, u64>,
    names: BTreeMap<IpAddr, String>,
    interfaces: BTreeMap<u32, String>,
}

impl Collector {
    /// A collector that keeps and masks as told.
    pub fn new(keep: Keep, redact: Redact) -> Self {
        Self {
            keep,
            redactor: Redactor::new(redact),
            summary: Summary::default(),
            settled: 0,
            starts: Vec::new(),
            kept: Kept::default(),
            kept_bytes: 0,
            others: BTreeMap::new(),
            others_unlisted: 0,
            findings: Vec::new(),
            findings_unlisted: 0,
            limits: Vec::new(),
            limits_unlisted: 0,
            causes: BTreeMap::new(),
            traffic: TrafficCounts::default(),
            offsets: BTreeMap::new(),
            duplicates: BTreeMap::new(),
            names: BTreeMap::new(),
            interfaces: BTreeMap::new(),
        }
    }

    /// A report of this handshake alone, under a number that the caller gives. Nothing of it is kept but the pseudonyms of what is masked.
    pub fn one(&mut self, number: u64, handshake: &Handshake, diagnosis: &Diagnosis) -> Report {
        let start = build::start(handshake);
        let (mut view, mut findings) = build::masked_handshake(
            handshake,
            diagnosis,
            start,
            Detail::Drawn,
            &mut self.redactor,
        );
        view.id = format!("h{number}");
        for finding in &mut findings {
            finding.handshake = Some(view.id.clone());
        }
        let mut connections = BTreeMap::new();
        for record in build::records(handshake) {
            connections.insert(build::id(record), self.connection_view(record));
        }
        interfaces::name(connections.values_mut(), (0, &self.interfaces));
        for view in connections.values_mut() {
            view.tell_interfaces = !self.interfaces.is_empty();
        }
        Report {
            handshakes: vec![view],
            connections: connections.into_values().collect(),
            findings,
            ..Report::default()
        }
    }

    /// Counts connections that are not over, for a report in between.
    pub fn under_way(&mut self, connections: usize) {
        self.summary.connections += connections as u64;
    }

    /// Takes what the table counted: which captures hold copies.
    pub fn counted(&mut self, stats: &Stats) {
        self.duplicates = stats
            .copies
            .iter()
            .map(|(capture, copies)| (capture.0, copies.own + copies.shared))
            .collect();
    }

    /// Takes names of the interfaces of a live capture, to be told with handshakes that are reported alone.
    pub fn interfaces(&mut self, names: &BTreeMap<u32, String>) {
        self.interfaces.clone_from(names);
    }

    /// Takes names of addresses, to be shown beside them.
    pub fn named(&mut self, names: BTreeMap<IpAddr, String>) {
        self.names = names;
    }

    /// The counts so far.
    pub const fn summary(&self) -> Summary {
        self.summary
    }

    /// The number of a handshake by the order in which they settle, and its start, by which it gets its id.
    fn number(&mut self, handshake: &Handshake) -> (usize, FrameRef) {
        let number = self.settled;
        self.settled += 1;
        let start = build::start(handshake);
        if number < STARTS_MAX {
            self.starts.push(start);
        }
        (number, start)
    }

    /// Whether a handshake is wanted as a whole; counts it in any case.
    fn tally(&mut self, handshake: &Handshake, diagnosis: &Diagnosis, number: usize) -> bool {
        self.summary.handshakes += 1;
        match diagnosis.verdict {
            Verdict::Ok => self.summary.ok += 1,
            Verdict::Failed => self.summary.failed += 1,
            Verdict::Broken => self.summary.broken += 1,
            Verdict::Unclear => self.summary.unclear += 1,
        }
        let tally = self.causes.entry(group(diagnosis)).or_default();
        if tally.count == 0 {
            tally.first = number;
        }
        tally.count += 1;
        let wanted = !(self.keep.only_failed && diagnosis.verdict == Verdict::Ok)
            && self.keep.per_cause.is_none_or(|most| tally.kept < most)
            && self.keep.bytes.is_none_or(|most| self.kept_bytes < most);
        if wanted {
            tally.kept += 1;
            // A view has each head as text, as what changed and in what it says.
            let heads = handshake.hops.iter().map(|hop| hop.exchange().held());
            self.kept_bytes += 3 * heads.sum::<usize>();
        }
        wanted
    }

    fn count_finding(&mut self, severity: Severity) {
        match severity {
            Severity::Error => self.summary.errors += 1,
            Severity::Warning => self.summary.warnings += 1,
            Severity::Info => self.summary.infos += 1,
        }
    }

    /// A finding that is about no handshake.
    fn other_finding(&mut self, finding: &Finding) {
        self.count_finding(finding.severity);
        if self.findings.len() >= OTHER_FINDINGS_MAX {
            self.findings_unlisted += 1;
            return;
        }
        let mut view = build::finding(finding);
        if !self.redactor.is_off() {
            self.redactor.forget();
            visit::finding(&mut view, &mut |kind, text| {
                self.redactor.apply(kind, text);
            });
        }
        self.findings.push(view);
    }

    /// The connection's view, masked.
    fn connection_view(&mut self, record: &Record) -> ConnectionView {
        build::masked_connection(record, &mut self.redactor)
    }

    /// The report. `captures` are the inputs as far as they were read, `others` the frames without a TCP segment.
    pub fn finish(mut self, captures: &[CaptureInfo], others: BTreeMap<OtherKind, u64>) -> Report {
        let places = places(&self.starts);
        let id = |number: usize| format!("h{}", places.get(number).unwrap_or(&number) + 1);
        let (handshakes, mut findings, mut connections) = self.kept.finish(id);
        self.findings.sort_by_key(|finding| {
            finding
                .evidence
                .first()
                .map(|evidence| (evidence.at, evidence.capture, evidence.frame))
        });
        let wanted: BTreeSet<ConnectionId> = self
            .findings
            .iter()
            .flat_map(|finding| finding.connections.iter().copied())
            .collect();
        findings.append(&mut self.findings);

        if self.keep.only_failed {
            self.others.retain(|id, _| wanted.contains(id));
        }
        connections.reserve_exact(self.others.len());
        connections.extend(self.others.into_values());
        connections.sort_unstable_by_key(|view| view.id);
        self.limits.extend(unlisted([
            (
                self.limits_unlisted,
                "further limits of the same kinds are not listed",
            ),
            (
                self.findings_unlisted,
                "further findings about connections without a handshake are not listed",
            ),
            (
                self.others_unlisted * u64::from(!self.keep.only_failed),
                "further connections without a handshake are not listed",
            ),
        ]));

        let mut redactor = self.redactor;
        redactor.forget();
        name_ends(&mut connections, &self.names, &mut redactor);
        interfaces::tell(&mut connections, captures);
        let mut report = Report {
            captures: captures
                .iter()
                .map(|info| {
                    let of = |map: &BTreeMap<u16, u64>| map.get(&info.id.0).copied();
                    build::capture(
                        info,
                        of(&self.duplicates).unwrap_or_default(),
                        self.offsets.get(&info.id.0).copied().unwrap_or_default(),
                    )
                })
                .collect(),
            summary: self.summary,
            handshakes,
            connections,
            findings,
            limits: self.limits,
            causes: self
                .causes
                .into_iter()
                .map(|((verdict, cause), tally)| CauseView {
                    verdict: build::verdict(verdict),
                    cause,
                    count: tally.count,
                    first: id(tally.first),
                    headline: tally.headline,
                })
                .collect(),
            traffic: self.traffic.finish(others),
            ..Report::default()
        };
        report.causes.sort_by(|a, b| {
            (rank(a.verdict), b.count, a.cause).cmp(&(rank(b.verdict), a.count, b.cause))
        });
        if !redactor.is_off() {
            for capture in &mut report.captures {
                visit::capture(capture, &mut |kind, text| redactor.apply(kind, text));
            }
        }
        report
    }
}

/// The place of each handshake in the report: they settle in the order in which they end, and are told as they began.
fn places(starts: &[FrameRef]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..starts.len()).collect();
    order.sort_by_key(|&number| (starts.get(number), number));
    let mut places = vec![0; order.len()];
    for (place, number) in order.into_iter().enumerate() {
        if let Some(its) = places.get_mut(number) {
            *its = place;
        }
    }
    places
}

/// Puts names beside the addresses of connections.
fn name_ends(
    connections: &mut [ConnectionView],
    names: &BTreeMap<IpAddr, String>,
    redactor: &mut Redactor,
) {
    for view in connections {
        let [client, server] = view.addresses.map(|address| {
            let mut name = names.get(&address)?.clone();
            redactor.apply(visit::Kind::Host, &mut name);
            Some(name)
        });
        (view.client_name, view.server_name) = (client, server);
    }
}

/// What a handshake is counted with: its verdict and cause; one that is ok with what it was warned of.
fn group(diagnosis: &Diagnosis) -> (Verdict, Option<&'static str>) {
    let cause = diagnosis.cause.or_else(|| {
        let warned = |finding: &&Finding| finding.severity > Severity::Info;
        diagnosis
            .findings
            .iter()
            .find(warned)
            .map(|finding| finding.code)
    });
    (diagnosis.verdict, cause.map(crate::diagnosis::Code::as_str))
}

/// The order of verdicts in a summary: the worst first.
fn rank(verdict: &str) -> u8 {
    match verdict {
        "failed" => 0,
        "broken" => 1,
        "unclear" => 2,
        _ => 3,
    }
}

/// What says how much of lists was left out.
fn unlisted(counts: [(u64, &'static str); 3]) -> impl Iterator<Item = LimitView> {
    let left_out = counts.into_iter().filter(|(count, _)| *count > 0);
    left_out.map(|(count, what)| LimitView {
        kind: UNLISTED,
        connection: None,
        detail: format!("{count} {what}"),
        evidence: Vec::new(),
    })
}

impl Observer for Collector {
    fn handshake(&mut self, handshake: &Handshake, diagnosis: &Diagnosis) {
        for finding in &diagnosis.findings {
            self.count_finding(finding.severity);
        }
        for &(capture, nanos) in &handshake.clock_offsets {
            self.offsets.entry(capture.0).or_insert(nanos);
        }
        let (number, start) = self.number(handshake);
        if !self.tally(handshake, diagnosis, number) {
            return;
        }
        let detail = if self.keep.undrawn {
            Detail::Document
        } else {
            Detail::Drawn
        };
        let (view, findings) =
            build::masked_handshake(handshake, diagnosis, start, detail, &mut self.redactor);
        if let Some(tally) = self.causes.get_mut(&group(diagnosis))
            && tally.first == number
        {
            tally.headline.clone_from(&view.headline);
        }
        for record in build::records(handshake) {
            let id = build::id(record);
            if !self.kept.has(id) {
                self.others.remove(&id);
                let view = self.connection_view(record);
                self.kept.connection(view);
            }
        }
        self.kept.handshake(number, view, findings);
    }

    fn left_out(&mut self, handshake: &Handshake) {
        self.summary.left_out += 1;
        self.number(handshake);
    }

    fn connection(&mut self, record: &Record, notable: bool) {
        self.summary.connections += 1;
        self.traffic.count(record);
        let id = record.connection.id;
        // Those with an attempt at a handshake come with it.
        let wanted = notable || (!self.keep.only_failed && record.exchanges.is_empty());
        if !wanted || self.kept.has(id) {
            return;
        }
        if self.others.len() >= OTHER_CONNECTIONS_MAX {
            self.others_unlisted += 1;
        } else {
            let view = self.connection_view(record);
            self.others.insert(id, view);
        }
    }

    fn finding(&mut self, finding: &Finding) {
        self.other_finding(finding);
    }

    fn limit(&mut self, limit: &Limit) {
        if self.limits.len() >= LIMITS_MAX {
            self.limits_unlisted += 1;
            return;
        }
        let mut view = build::limit(limit);
        if !self.redactor.is_off() {
            self.redactor.forget();
            visit::limit(&mut view, &mut |kind, text| {
                self.redactor.apply(kind, text);
            });
        }
        self.limits.push(view);
    }
}
