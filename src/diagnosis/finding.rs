//! What a diagnosis consists of.

use std::borrow::Cow;

use super::Code;
use crate::capture::FrameRef;
use crate::hop::{Confidence, Party};
use crate::tcp::ConnectionId;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing, no fault.
    Info,
    /// Works, but should not be so; or lowers the value of the capture.
    Warning,
    /// Broke the handshake or the session.
    Error,
}

/// A frame, and what it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Where to look.
    pub frame: FrameRef,
    /// What is to be seen there, in a few words (text from packets is not yet escaped).
    pub shows: String,
}

/// A diagnosed cause or observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which one; the catalogue has its general texts.
    pub code: Code,
    /// How bad it is here.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
    /// The connections it is about.
    pub connections: Vec<ConnectionId>,
    /// One line: what it is, here, with the addresses and values of this case.
    pub title: String,
    /// What was seen, in a sentence or two.
    pub detail: String,
    /// Why it happens.
    pub cause: &'static str,
    /// What to do.
    pub fix: Cow<'static, str>,
    /// What to write into nginx's configuration; empty when nothing there would help.
    pub nginx_snippet: Cow<'static, str>,
    /// What nginx logs (level and text), or that it logs nothing; empty when nginx is not concerned.
    pub nginx_log: &'static str,
    /// The frames that show it, in time order; never empty.
    pub evidence: Vec<Evidence>,
}

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It came up, and nothing went wrong that the capture shows.
    Ok,
    /// It never came up.
    Failed,
    /// It came up and ended badly.
    Broken,
    /// The capture does not tell.
    Unclear,
}

/// Who produced the answer that the client got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnsweredBy {
    /// The backend: its hop carries the same answer.
    Backend,
    /// A proxy.
    Proxy,
    /// The capture does not tell.
    Unknown,
}

/// Who produced the answer that the client got, as far as the capture tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Who.
    pub by: AnsweredBy,
    /// How sure that is.
    pub confidence: Confidence,
    /// What tells, as a clause (text from packets is not yet escaped).
    pub reason: Cow<'static, str>,
}

/// What is wrong with a handshake, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// How it ended.
    pub verdict: Verdict,
    /// The code of the primary finding: what, once fixed, makes the rest go away. `None` when ok.
    pub cause: Option<Code>,
    /// Who produced the answer; `None` without an answer.
    pub answered: Option<Answered>,
    /// Who ended the session: what `Session::ended_by` has, unless the findings tell more than the order of Close frames,
    /// FIN and RST, or less, as of one hop of two.
    pub ended_by: Option<Party>,
    /// The verdict in one sentence (text from packets is not yet escaped). Empty where nothing is to be explained, as of
    /// most handshakes: [`headline`](super::headline) has a sentence for these as well.
    pub headline: String,
    /// All findings, the primary one first, then by severity and time.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Who produced the answer; `None` without an answer.
    pub fn answered_by(&self) -> Option<AnsweredBy> {
        self.answered.as_ref().map(|answered| answered.by)
    }
}

/// Something we could not see or gave up: always named in the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// What kind: `gap`, `truncated`, `head-too-large`, `memory`, `connections`, `fragments`, `inflated`, ...
    pub kind: &'static str,
    /// The connection it happened on, if on one.
    pub connection: Option<ConnectionId>,
    /// What was given up, with numbers.
    pub detail: String,
    /// Where.
    pub evidence: Vec<Evidence>,
}
