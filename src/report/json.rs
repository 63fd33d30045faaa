//! The contract as JSON: one document, or one line for each thing as it finishes.

mod harmless;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use serde::Serialize;

use self::harmless::Harmless;
use super::build::Detail;
use super::redact::{Redact, Redactor};
use super::view::{
    CaptureView, ConnectionView, FindingView, HandshakeView, LimitView, Report, SCHEMA, Summary,
    Tool,
};
use super::{build, interfaces, visit};
use crate::capture::Timestamp;
use crate::diagnosis::{Diagnosis, Finding, Limit, Verdict};
use crate::engine::Observer;
use crate::hop::{Handshake, Record};

/// Writes the document on one line, for programs.
pub fn compact(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut out = gathered(out);
    serde_json::to_writer(&mut out, report)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes the document with indentation, for eyes.
pub fn pretty(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut out = gathered(out);
    serde_json::to_writer_pretty(&mut out, report)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// The serializer writes a few bytes at a time: each such write is to be cheaper than a call that nobody can see through.
fn gathered(out: &mut dyn Write) -> BufWriter<Harmless<&mut dyn Write>> {
    BufWriter::with_capacity(WRITE_BYTES, Harmless(out))
}

/// Bytes that go out at once.
const WRITE_BYTES: usize = 64 << 10;

/// One line of JSON Lines output.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Handshake(Settled<'a>),
    #[serde(rename = "handshake")]
    HandshakeNow(Unsettled<'a>),
    CaptureStatus(&'a CaptureStatus),
    Finding(&'a FindingView),
    Limit(&'a LimitView),
    Summary(SummaryLine<'a>),
}

/// A handshake with the connections that it names.
#[derive(Serialize)]
struct Settled<'a> {
    #[serde(flatten)]
    view: &'a HandshakeView,
    connections: Vec<ConnectionView>,
}

/// A handshake of a live capture, as it looks now.
#[derive(Serialize)]
struct Unsettled<'a> {
    /// False: another line with the same id may follow.
    settled: bool,
    #[serde(flatten)]
    view: &'a HandshakeView,
    connections: Vec<ConnectionView>,
}

/// How a live capture goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaptureStatus {
    /// When.
    #[serde(serialize_with = "super::view::text")]
    pub at: Timestamp,
    /// Frames so far.
    pub frames: u64,
    /// Captured bytes of these.
    pub bytes: u64,
    /// Frames that the kernel dropped for want of room.
    pub dropped_by_kernel: u64,
    /// Frames that the interfaces dropped.
    pub dropped_by_interface: u64,
    /// Connections seen so far.
    pub connections: u64,
    /// Counts so far, as the lines before have them.
    pub ok: u64,
    /// Handshakes that never came up, or broke.
    pub failed: u64,
    /// Those of which the capture does not tell.
    pub unclear: u64,
}

#[derive(Serialize)]
struct SummaryLine<'a> {
    schema: &'static str,
    tool: Tool,
    captures: &'a [CaptureView],
    #[serde(flatten)]
    counts: Summary,
}

/// An [`Observer`] that writes a line for each handshake and finding as it finishes, and last a summary.
///
/// A handshake's line has the connections that it names. Handshakes are numbered as they finish here, since what began
/// before may still be open. The first error stops the output; [`JsonLines::finish`] returns it.
pub struct JsonLines<W> {
    out: Harmless<W>,
    only_failed: bool,
    redactor: Redactor,
    interfaces: BTreeMap<u32, String>,
    settled: u64,
    error: Option<io::Error>,
}

impl<W: Write> JsonLines<W> {
    /// Lines to `out`; with `only_failed` none for handshakes that are ok.
    pub fn new(out: W, only_failed: bool, redact: Redact) -> Self {
        Self {
            out: Harmless(out),
            only_failed,
            redactor: Redactor::new(redact),
            interfaces: BTreeMap::new(),
            settled: 0,
            error: None,
        }
    }

    /// A handshake of a live capture, under a number that the caller gives: once when its outcome is known, and again
    /// when it is settled and there is more to say.
    pub fn handshake_now(&mut self, number: u64, handshake: &Handshake, diagnosis: &Diagnosis) {
        if self.only_failed && diagnosis.verdict == Verdict::Ok {
            return;
        }
        self.tell(number, handshake, diagnosis, |view, connections| {
            Line::HandshakeNow(Unsettled {
                settled: handshake.settled,
                view,
                connections,
            })
        });
    }

    /// The line of a handshake, with its connections, and those of its findings.
    fn tell(
        &mut self,
        number: u64,
        handshake: &Handshake,
        diagnosis: &Diagnosis,
        line: impl for<'a> FnOnce(&'a HandshakeView, Vec<ConnectionView>) -> Line<'a>,
    ) {
        let start = build::start(handshake);
        let (mut view, mut findings) = build::masked_handshake(
            handshake,
            diagnosis,
            start,
            Detail::Document,
            &mut self.redactor,
        );
        view.id = format!("h{number}");
        let connections = self.connections(handshake);
        self.line(&line(&view, connections));
        for finding in &mut findings {
            finding.handshake = Some(view.id.clone());
            self.line(&Line::Finding(finding));
        }
    }

    /// How a live capture goes.
    pub fn status(&mut self, status: &CaptureStatus) {
        self.line(&Line::CaptureStatus(status));
    }

    /// Hands over what is buffered.
    pub fn flush(&mut self) {
        if self.error.is_none() {
            self.error = self.out.flush().err();
        }
    }

    /// The first error, for those who want to stop early.
    pub const fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }

    /// Takes names of the interfaces of a live capture.
    pub fn interfaces(&mut self, names: &BTreeMap<u32, String>) {
        self.interfaces.clone_from(names);
    }

    fn connections(&mut self, handshake: &Handshake) -> Vec<ConnectionView> {
        let views = build::records(handshake).map(|record| {
            (
                build::id(record),
                build::masked_connection(record, &mut self.redactor),
            )
        });
        // A connection may carry several hops.
        let mut views: BTreeMap<_, _> = views.collect();
        interfaces::name(views.values_mut(), (0, &self.interfaces));
        views.into_values().collect()
    }

    fn line(&mut self, line: &Line<'_>) {
        if self.error.is_some() {
            return;
        }
        let written = serde_json::to_writer(&mut self.out, line)
            .map_err(io::Error::from)
            .and_then(|()| self.out.write_all(b"\n"));
        self.error = written.err();
    }

    fn lone_finding(&mut self, finding: &Finding) {
        let mut view = build::finding(finding);
        self.redactor.forget();
        visit::finding(&mut view, &mut |kind, text| {
            self.redactor.apply(kind, text);
        });
        self.line(&Line::Finding(&view));
    }

    /// The last line; `report` supplies the counts and the inputs. Gives back what was written to.
    pub fn finish(mut self, report: &Report) -> io::Result<W> {
        self.line(&Line::Summary(SummaryLine {
            schema: SCHEMA,
            tool: Tool::default(),
            captures: &report.captures,
            counts: report.summary,
        }));
        match self.error {
            Some(error) => Err(error),
            None => self.out.flush().map(|()| self.out.0),
        }
    }
}

impl<W: Write> Observer for JsonLines<W> {
    fn handshake(&mut self, handshake: &Handshake, diagnosis: &Diagnosis) {
        self.settled += 1;
        if self.only_failed && diagnosis.verdict == Verdict::Ok {
            return;
        }
        self.tell(self.settled, handshake, diagnosis, |view, connections| {
            Line::Handshake(Settled { view, connections })
        });
    }

    fn left_out(&mut self, _: &Handshake) {
        self.settled += 1;
    }

    fn connection(&mut self, _: &Record, _: bool) {}

    fn finding(&mut self, finding: &Finding) {
        self.lone_finding(finding);
    }

    fn limit(&mut self, limit: &Limit) {
        let mut view = build::limit(limit);
        self.redactor.forget();
        visit::limit(&mut view, &mut |kind, text| {
            self.redactor.apply(kind, text);
        });
        self.line(&Line::Limit(&view));
    }
}
