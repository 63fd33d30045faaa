//! Handshake to findings: the cause, the evidence, the fix.
//!
//! ```text
//!  Handshake ──▶ story ──▶ rules, one file per family ──▶ drafts ──▶ one cause (primary) ──▶ Diagnosis
//!                           texts from the catalogue                  verdict, headline
//! ```
//!
//! - No finding without a frame that shows it. What may sit in a hole of the capture is never called missing.
//! - The outcome decides: a handshake that worked has no error, whatever its bytes look like.
//! - A rule says what it saw; which finding is the cause is decided in one place, by one written order.
//! - Text from packets is put into findings raw and short; reports escape it. Queries, cookies and credentials stay out.

mod across;
mod answer;
mod answer_101;
mod answerer;
mod capture;
pub mod catalogue;
mod certainty;
mod cgi;
mod client_request;
mod close;
mod draft;
mod finding;
mod forwarding;
mod frames;
mod http2;
mod kept;
mod negotiation;
mod primary;
mod program;
mod proxy_protocol;
mod sealed_front;
mod session;
mod story;
#[cfg(test)]
mod testkit;
#[cfg(test)]
mod tests;
mod text;
mod timeout;
mod tls;
mod upstream;
mod verdict;
mod view;

pub use across::Across;
pub use capture::{CaptureTotals, diagnose_captures};
pub use catalogue::{Code, Entry, UnknownCode};
pub use finding::{Answered, AnsweredBy, Diagnosis, Evidence, Finding, Limit, Severity, Verdict};

use std::borrow::Cow;

use crate::hop::{Handshake, Protocol, Record};
use draft::{Draft, Values};
use program::Program;
use story::Story;

/// What happened to a handshake, and why.
pub fn diagnose(handshake: &Handshake) -> Diagnosis {
    let Some(story) = Story::new(handshake) else {
        return Diagnosis {
            verdict: Verdict::Unclear,
            cause: None,
            answered: None,
            ended_by: None,
            headline: "No hop of this handshake is in the capture".to_owned(),
            findings: Vec::new(),
        };
    };
    let mut drafts = Vec::new();
    // Reasons first, then symptoms: later families look at what is already explained.
    forwarding::rules(&story, &mut drafts);
    upstream::rules(&story, &mut drafts);
    tls::rules(&story, &mut drafts);
    client_request::rules(&story, &mut drafts);
    proxy_protocol::rules(&story, &mut drafts);
    answer_101::rules(&story, &mut drafts);
    answer::rules(&story, &mut drafts);
    let no_answer = upstream::no_answer(&story, &drafts);
    drafts.extend(no_answer);
    session::rules(&story, &mut drafts);
    capture::rules(&story, &mut drafts);
    conclude(&story, drafts)
}

/// The verdict in one sentence, whatever it is (text from packets is not yet escaped).
pub fn headline<'a>(handshake: &Handshake, diagnosis: &'a Diagnosis) -> Cow<'a, str> {
    if !diagnosis.headline.is_empty() {
        return Cow::Borrowed(&diagnosis.headline);
    }
    let story = Story::new(handshake);
    Cow::Owned(story.map_or_else(String::new, |story| verdict::healthy(&story)))
}

fn conclude(story: &Story<'_>, mut drafts: Vec<Draft>) -> Diagnosis {
    certainty::lower(story, &mut drafts);
    primary::sort(&mut drafts);
    let verdict = verdict::verdict(story, &drafts);
    let cause = drafts.first().filter(|_| verdict != Verdict::Ok);
    let headline = verdict::headline(story, verdict, cause);
    let cause = cause.map(Draft::code);
    let mut findings = if drafts.is_empty() {
        Vec::new()
    } else {
        finish(drafts, &story.values())
    };
    primary::sort_rest(&mut findings);
    Diagnosis {
        verdict,
        cause,
        answered: answerer::answerer(story).map(|answerer| answerer.answered),
        ended_by: verdict::ended_by(story, cause),
        headline,
        findings,
    }
}

/// Findings about a connection that is in no handshake: faults of a TLS, PROXY protocol or HTTP front, where clear
/// bytes show them. Healthy and unrelated traffic gives none.
pub fn diagnose_connection(record: &Record) -> Vec<Finding> {
    // Most connections are scans and traffic of others, which said nothing of this.
    if record.protocol == Protocol::None && record.proxy_header.is_none() {
        return Vec::new();
    }
    let mut drafts = Vec::new();
    drafts.extend(tls::of_connection(record));
    drafts.extend(http2::of_connection(record));
    drafts.extend(cgi::of_connection(record));
    drafts.extend(proxy_protocol::of_connection(record));
    drafts.extend(forwarding::forced_upgrade(record));
    if drafts.is_empty() {
        return Vec::new();
    }
    primary::sort(&mut drafts);
    let values = Values {
        upstream: Some(record.connection.server),
        location: "/",
        over_tls: Vec::new(),
        kept: Vec::new(),
        programs: Vec::new(),
        program: Program::Nginx,
    };
    finish(drafts, &values)
}

fn finish(drafts: Vec<Draft>, values: &Values<'_>) -> Vec<Finding> {
    let drafts = drafts.into_iter();
    drafts.filter_map(|draft| draft.finish(values)).collect()
}
