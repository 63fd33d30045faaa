//! Frames and times of one report: numbers as Wireshark shows them, times since the handshake began.
//!
//! Times of a capture with another clock are shifted by its offset, so that differences mean something.

use super::numbers::duration;
use crate::capture::{CaptureId, FrameNo, FrameRef, Timestamp};
use crate::report::view::{EvidenceView, HandshakeView, Report};

/// The file name of a path.
pub(in crate::report) fn file_name(path: &str) -> &str {
    match path {
        "-" => "standard input",
        path => path.rsplit(['/', '\\']).next().unwrap_or(path),
    }
}

/// Times and frames of one report, as its forms print them.
pub(in crate::report) struct Frames<'a> {
    report: &'a Report,
    start: FrameRef,
}

impl<'a> Frames<'a> {
    /// Times count from the start of this handshake.
    pub(in crate::report) const fn of(report: &'a Report, handshake: &HandshakeView) -> Self {
        Self {
            report,
            start: handshake.start,
        }
    }

    /// Times count from this frame.
    pub(in crate::report) const fn from_evidence(report: &'a Report, start: &EvidenceView) -> Self {
        let start = FrameRef::new(start.at, CaptureId(start.capture), FrameNo(start.frame));
        Self { report, start }
    }

    fn corrected(&self, at: Timestamp, capture: u16) -> i64 {
        let offset = self
            .report
            .captures
            .iter()
            .find(|view| view.id == capture)
            .map_or(0.0, |view| view.clock_offset_ms);
        at.shifted((offset * 1e6) as i64).nanos()
    }

    /// Nanoseconds from the start, clocks of the captures made comparable.
    pub(in crate::report) fn nanos(&self, at: Timestamp, capture: u16) -> i64 {
        self.corrected(at, capture)
            .saturating_sub(self.corrected(self.start.at, self.start.capture().0))
    }

    /// `+0.41 ms`.
    pub(in crate::report) fn relative(&self, at: Timestamp, capture: u16) -> String {
        let nanos = self.nanos(at, capture);
        let sign = if nanos < 0 { "" } else { "+" };
        format!("{sign}{}", duration(nanos))
    }

    /// `#12 +0.41 ms`.
    pub(in crate::report) fn at(&self, frame: FrameRef) -> String {
        format!(
            "#{} {}",
            frame.number(),
            self.relative(frame.at, frame.capture().0)
        )
    }

    /// Whether frame numbers need the name of their file.
    pub(in crate::report) fn several(&self) -> bool {
        self.report.captures.len() > 1
    }

    /// The file name of a capture.
    pub(in crate::report) fn file(&self, capture: u16) -> &'a str {
        file_of(self.report, capture)
    }
}

/// The file name of a capture.
pub(in crate::report) fn file_of(report: &Report, capture: u16) -> &str {
    report
        .captures
        .iter()
        .find(|view| view.id == capture)
        .map_or("?", |view| file_name(&view.path))
}
