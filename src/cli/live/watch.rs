//! Tells everybody what happened, once: when its outcome is known, and again when there is more to say.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::time::Instant;

use super::evidence::Evidence;
use super::line::{self, Look, What};
use super::screen::Screen;
use crate::capture::{CaptureInfo, FrameRef, LinkType, Timestamp};
use crate::diagnosis::{Code, Diagnosis, Finding, Limit, Severity, Verdict};
use crate::engine::{Decided, Observer};
use crate::hop::{Handshake, Record};
use crate::report::json::JsonLines;
use crate::report::{Collector, Keep, Redact, table};
use crate::tcp::ConnectionId;

/// Handshakes and connections that were shown and are not settled, at most: beyond, one may be shown twice.
const SHOWN_MAX: usize = 1 << 20;

/// JSON lines, to standard output or to a file.
pub(super) enum Lines {
    /// Standard output.
    Stdout(JsonLines<BufWriter<io::Stdout>>),
    /// A report file.
    File(PathBuf, JsonLines<BufWriter<File>>),
}

impl Lines {
    /// Does the same with either.
    fn with(&mut self, observer: &mut dyn FnMut(&mut dyn Sink)) {
        match self {
            Self::Stdout(lines) => observer(lines),
            Self::File(_, lines) => observer(lines),
        }
    }
}

/// What is needed of JSON lines.
trait Sink: Observer {
    fn now(&mut self, number: u64, handshake: &Handshake, diagnosis: &Diagnosis);
    fn named(&mut self, interfaces: &BTreeMap<u32, String>);
}

impl<W: io::Write> Sink for JsonLines<W> {
    fn now(&mut self, number: u64, handshake: &Handshake, diagnosis: &Diagnosis) {
        self.handshake_now(number, handshake, diagnosis);
    }

    fn named(&mut self, interfaces: &BTreeMap<u32, String>) {
        self.interfaces(interfaces);
    }
}

/// How handshakes are shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) only_failed: bool,
    pub(super) redact: Redact,
    /// The whole block of each, in this form.
    pub(super) block: Option<table::Options>,
    pub(super) color: bool,
}

/// How many handshakes were shown, by what they are now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) ok: u64,
    pub(super) failed: u64,
    pub(super) unclear: u64,
}

/// The observer of a live run.
pub(super) struct Watch {
    /// Makes the final report.
    pub(super) collector: Collector,
    pub(super) lines: Vec<Lines>,
    pub(super) screen: Screen,
    pub(super) evidence: Option<Evidence>,
    pub(super) counts: Counts,
    style: Style,
    /// Masks what is shown; its own, so that what is shown early changes nothing in the report.
    one: Collector,
    /// How many interfaces are known by name.
    interfaces: usize,
    shown: HashMap<Place, u64>,
    states: BTreeMap<u64, Shown>,
    next: u64,
    /// Connections without a handshake that were told of before they were over, with what was said and comes again.
    told: BTreeMap<ConnectionId, Vec<Code>>,
}

/// An exchange.
type Place = (ConnectionId, u32);

/// A handshake that was shown.
struct Shown {
    verdict: Verdict,
    cause: Option<Code>,
    ended: bool,
    evidence: bool,
    places: Vec<Place>,
}

impl Watch {
    pub(super) fn new(collector: Collector, screen: Screen, style: Style) -> Self {
        Self {
            collector,
            lines: Vec::new(),
            screen,
            evidence: None,
            counts: Counts::default(),
            one: Collector::new(Keep::default(), style.redact),
            interfaces: 0,
            style,
            shown: HashMap::new(),
            states: BTreeMap::new(),
            next: 1,
            told: BTreeMap::new(),
        }
    }

    /// Takes over what the interfaces are called; a page tells it where several are captured on.
    pub(super) fn interfaces(&mut self, info: &CaptureInfo) {
        let names = &info.interfaces;
        let cooked = info.link_types.contains(&LinkType::LINUX_SLL2);
        if names.len() != self.interfaces {
            self.interfaces = names.len();
            if cooked || names.len() > 1 {
                self.one.interfaces(names);
            }
            for lines in &mut self.lines {
                lines.with(&mut |lines| lines.named(names));
            }
        }
    }

    /// Shows what was decided and is not settled.
    pub(super) fn decided(&mut self, decided: &Decided) {
        for (handshake, diagnosis) in &decided.handshakes {
            if let Some(at) = outcome(handshake) {
                self.show(handshake, diagnosis, at);
            }
        }
        for (record, findings) in &decided.connections {
            let id = record.connection.id;
            if self.told.len() < SHOWN_MAX && self.told.insert(id, codes(findings)).is_none() {
                self.tell(record, findings);
            }
        }
    }

    /// Shows a handshake unless nothing about it is new.
    fn show(&mut self, handshake: &Handshake, diagnosis: &Diagnosis, at: FrameRef) {
        let places: Vec<Place> = places(handshake).collect();
        let ended = ending(handshake);
        let known = places
            .iter()
            .find_map(|place| self.shown.get(place).copied());
        let (number, what) = match known {
            None => {
                let number = self.next;
                self.next += 1;
                self.count(diagnosis.verdict, 1);
                (number, What::Outcome)
            }
            Some(number) => {
                let Some(before) = self.states.get(&number) else {
                    return;
                };
                let same = before.verdict == diagnosis.verdict && before.cause == diagnosis.cause;
                let what = match (before.ended, ended) {
                    (false, Some(_)) => What::Ended,
                    _ if !same => What::Corrected,
                    _ => return self.follow(number, places),
                };
                let old = before.verdict;
                self.recount(old, diagnosis.verdict);
                (number, what)
            }
        };
        let evidence = self.states.get(&number).is_some_and(|state| state.evidence)
            || self.keep(handshake, diagnosis);
        let state = Shown {
            verdict: diagnosis.verdict,
            cause: diagnosis.cause,
            ended: ended.is_some(),
            evidence,
            places: Vec::new(),
        };
        if self.states.len() < SHOWN_MAX {
            let before = self.states.insert(number, state);
            if let (Some(before), Some(state)) = (before, self.states.get_mut(&number)) {
                state.places = before.places;
            }
            self.follow(number, places);
        }
        for lines in &mut self.lines {
            lines.with(&mut |lines| lines.now(number, handshake, diagnosis));
        }
        let at = ended.filter(|_| what == What::Ended).unwrap_or(at).at;
        self.print((number, handshake, diagnosis), at, what);
    }

    /// Remembers the exchanges of a handshake that was shown.
    fn follow(&mut self, number: u64, places: Vec<Place>) {
        let Some(state) = self.states.get_mut(&number) else {
            return;
        };
        for place in places {
            if self.shown.insert(place, number) != Some(number) {
                state.places.push(place);
            }
        }
    }

    fn keep(&mut self, handshake: &Handshake, diagnosis: &Diagnosis) -> bool {
        let bad = matches!(diagnosis.verdict, Verdict::Failed | Verdict::Broken);
        if let Some(evidence) = self.evidence.as_mut().filter(|_| bad) {
            evidence.keep(handshake, diagnosis, Instant::now());
        }
        bad
    }

    fn print(
        &mut self,
        (number, handshake, diagnosis): (u64, &Handshake, &Diagnosis),
        at: Timestamp,
        what: What,
    ) {
        if !self.screen.wants_lines()
            || (self.style.only_failed && diagnosis.verdict == Verdict::Ok)
        {
            return;
        }
        let report = self.one.one(number, handshake, diagnosis);
        let mut text = line::handshake(&report, at, what, self.look());
        if let Some(options) = &self.style.block {
            text.push_str(&table::blocks(report, options));
            text.push('\n');
        }
        self.screen.print(&text);
    }

    /// Shows findings about a connection without a handshake.
    fn tell(&mut self, record: &Record, findings: &[Finding]) {
        for lines in &mut self.lines {
            lines.with(&mut |lines| {
                for finding in findings {
                    lines.finding(finding);
                }
            });
        }
        if !self.screen.wants_lines() || self.style.redact == Redact::Strict {
            return;
        }
        let look = self.look();
        for finding in findings
            .iter()
            .filter(|finding| finding.severity >= Severity::Warning)
        {
            self.screen.print(&line::connection(record, finding, look));
        }
    }

    /// Whether the lines have a finding that was shown before its connection was over. It comes again once.
    fn was_told(&mut self, finding: &Finding) -> bool {
        let [id] = finding.connections.as_slice() else {
            return false;
        };
        let Some(codes) = self.told.get_mut(id) else {
            return false;
        };
        let place = codes.iter().position(|&code| code == finding.code);
        place.map(|place| codes.swap_remove(place));
        if codes.is_empty() {
            self.told.remove(id);
        }
        place.is_some()
    }

    fn look(&self) -> Look {
        Look {
            color: self.style.color,
            width: self.screen.width(),
        }
    }

    fn count(&mut self, verdict: Verdict, by: i64) {
        let count = match verdict {
            Verdict::Ok => &mut self.counts.ok,
            Verdict::Failed | Verdict::Broken => &mut self.counts.failed,
            Verdict::Unclear => &mut self.counts.unclear,
        };
        *count = count.saturating_add_signed(by);
    }

    fn recount(&mut self, before: Verdict, now: Verdict) {
        self.count(before, -1);
        self.count(now, 1);
    }

    /// Hands over what is buffered; whether a reader of lines went away.
    pub(super) fn flush(&mut self) -> bool {
        let mut closed = self.screen.is_closed();
        for lines in &mut self.lines {
            match lines {
                Lines::Stdout(lines) => {
                    lines.flush();
                    closed |= lines
                        .error()
                        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
                }
                // Somebody may follow the file.
                Lines::File(_, lines) => lines.flush(),
            }
        }
        closed
    }
}

impl Observer for Watch {
    fn left_out(&mut self, handshake: &Handshake) {
        self.collector.left_out(handshake);
    }

    fn handshake(&mut self, handshake: &Handshake, diagnosis: &Diagnosis) {
        self.collector.handshake(handshake, diagnosis);
        let at = outcome(handshake).or_else(|| handshake.started());
        if let Some(at) = at {
            self.show(handshake, diagnosis, at);
        }
        for attempt in &handshake.attempts {
            self.told.remove(&attempt.record.connection.id);
        }
        for place in places(handshake) {
            self.told.remove(&place.0);
            if let Some(number) = self.shown.remove(&place)
                && let Some(state) = self.states.remove(&number)
            {
                for place in state.places {
                    self.shown.remove(&place);
                }
            }
        }
    }

    fn connection(&mut self, record: &Record, notable: bool) {
        self.collector.connection(record, notable);
        if !notable {
            self.told.remove(&record.connection.id);
        }
    }

    fn finding(&mut self, finding: &Finding) {
        self.collector.finding(finding);
        if self.was_told(finding) {
            return;
        }
        for lines in &mut self.lines {
            lines.with(&mut |lines| lines.finding(finding));
        }
    }

    fn limit(&mut self, limit: &Limit) {
        self.collector.limit(limit);
        for lines in &mut self.lines {
            lines.with(&mut |lines| lines.limit(limit));
        }
    }
}

fn codes(findings: &[Finding]) -> Vec<Code> {
    findings.iter().map(|finding| finding.code).collect()
}

fn places(handshake: &Handshake) -> impl Iterator<Item = Place> {
    let hops = handshake.hops.iter().chain(&handshake.subrequests);
    hops.map(|hop| (hop.record.connection.id, hop.exchange().index))
}

/// The frame that decided the outcome on the outermost hop: its final answer, or the end of its connection.
fn outcome(handshake: &Handshake) -> Option<FrameRef> {
    let hop = handshake.first()?;
    let exchange = hop.exchange();
    let answer = exchange.response.as_ref().map(|head| head.span.last);
    let no_http = exchange.not_http.as_ref().map(|&(frame, _)| frame);
    let ended = hop.record.connection.ended.map(|end| end.frame);
    answer.or(no_http).or(ended)
}

/// The frame that ended the session.
fn ending(handshake: &Handshake) -> Option<FrameRef> {
    Some(handshake.session.as_ref()?.ended?.frame)
}
