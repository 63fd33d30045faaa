//! Stage types to views: what is known, in the words of the contract.
//!
//! ```text
//!   CaptureInfo, Finding, Limit -> mod         Record -> connection
//!   Handshake, Diagnosis -> handshake -+-> heads      requests and responses, field by field
//!                                      +-> session    what followed the 101
//!                                      +-> timeline   what happened on the wire
//!   every enum of a stage -> names
//! ```
//!
//! Invariants: nothing is judged here, only put into words; what a stage does not know becomes `null`, never a default;
//! a handshake leaves this module masked.

mod connection;
mod handshake;
mod heads;
mod names;
mod session;
mod timeline;

pub(super) use connection::masked_connection;
pub(super) use handshake::{Detail, masked_handshake, records, start};
pub(super) use names::{protocol, severity};
pub(crate) use names::{role, verdict};

use self::names::{confidence, link_type};
use crate::capture::CaptureInfo;
use crate::diagnosis::{Evidence, Finding, Limit};
use crate::hop::Record;
use crate::report::view::{CaptureView, EvidenceView, FindingView, LimitView};
use crate::tcp::ConnectionId;

/// Nanoseconds as milliseconds, to the microsecond: more digits are noise in every capture.
pub(super) fn milliseconds(nanos: i64) -> f64 {
    (nanos as f64 / 1e3).round() / 1e3
}

/// An input.
pub(super) fn capture(info: &CaptureInfo, duplicates: u64, offset_nanos: i64) -> CaptureView {
    CaptureView {
        id: info.id.0,
        path: info.path.clone(),
        format: info.format,
        compression: info.compression,
        link_types: info.link_types.iter().copied().map(link_type).collect(),
        frames: info.frames,
        bytes: info.bytes,
        first_at: info.first_at,
        last_at: info.last_at,
        dropped: info.dropped,
        truncated_frames: info.truncated_frames,
        duplicate_frames: duplicates,
        clock_offset_ms: milliseconds(offset_nanos),
        damage: info.damage.clone(),
        comments: info.comments.clone(),
    }
}

fn evidence(evidence: &[Evidence]) -> Vec<EvidenceView> {
    evidence
        .iter()
        .map(|evidence| EvidenceView {
            capture: evidence.frame.capture().0,
            frame: evidence.frame.number().0,
            at: evidence.frame.at,
            shows: evidence.shows.clone(),
        })
        .collect()
}

/// A finding, not yet of a handshake.
pub(super) fn finding(finding: &Finding) -> FindingView {
    FindingView {
        code: finding.code.as_str(),
        severity: severity(finding.severity),
        handshake: None,
        connections: finding.connections.clone(),
        title: finding.title.clone(),
        detail: finding.detail.clone(),
        cause: finding.cause.into(),
        fix: finding.fix.clone(),
        nginx_snippet: finding.nginx_snippet.clone(),
        nginx_log: finding.nginx_log.into(),
        confidence: confidence(finding.confidence),
        evidence: evidence(&finding.evidence),
    }
}

/// A limit.
pub(super) fn limit(limit: &Limit) -> LimitView {
    LimitView {
        kind: limit.kind,
        connection: limit.connection,
        detail: limit.detail.clone(),
        evidence: evidence(&limit.evidence),
    }
}

/// A connection's id, for lists of what is wanted.
pub(super) const fn id(record: &Record) -> ConnectionId {
    record.connection.id
}
