//! Findings and limits of the document, with the frames that show them.
//!
//! No finding is without evidence; texts are masked before they come here. What the catalogue says of
//! every case is not copied for each.

use std::borrow::Cow;

use serde::Serialize;

use super::serial::{text, text_or_null, texts};
use crate::capture::Timestamp;
use crate::tcp::ConnectionId;

/// A finding.
#[derive(Debug, Clone, Serialize)]
pub struct FindingView {
    /// Its stable name.
    pub code: &'static str,
    /// `error`, `warning`, `info`.
    pub severity: &'static str,
    /// The handshake it is about.
    pub handshake: Option<String>,
    /// The connections it is about.
    #[serde(serialize_with = "texts")]
    pub connections: Vec<ConnectionId>,
    /// What it is, here.
    pub title: String,
    /// What was seen.
    pub detail: String,
    /// Why it happens.
    pub cause: Cow<'static, str>,
    /// What to do.
    pub fix: Cow<'static, str>,
    /// What to write into nginx's configuration; empty when nothing there would help.
    pub nginx_snippet: Cow<'static, str>,
    /// What nginx logs; empty when nginx is not concerned.
    pub nginx_log: Cow<'static, str>,
    /// `certain`, `likely`, `guess`.
    pub confidence: &'static str,
    /// The frames that show it.
    pub evidence: Vec<EvidenceView>,
}

/// A frame, and what it shows.
#[derive(Debug, Clone, Serialize)]
pub struct EvidenceView {
    /// The capture.
    pub capture: u16,
    /// The frame's number in it, as Wireshark shows it.
    pub frame: u64,
    /// Its time.
    #[serde(serialize_with = "text")]
    pub at: Timestamp,
    /// What is to be seen there.
    pub shows: String,
}

/// Something that could not be seen or was given up.
#[derive(Debug, Clone, Serialize)]
pub struct LimitView {
    /// What kind.
    pub kind: &'static str,
    /// On which connection.
    #[serde(serialize_with = "text_or_null")]
    pub connection: Option<ConnectionId>,
    /// What, with numbers.
    pub detail: String,
    /// Where.
    pub evidence: Vec<EvidenceView>,
}
