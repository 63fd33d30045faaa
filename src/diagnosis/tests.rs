//! Whole handshakes through `diagnose`: the cause, and nothing beside it that does not belong.
#![allow(
    clippy::unwrap_used,
    clippy::large_stack_arrays,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "tests"
)]

mod across;
mod answerer;
mod answers;
mod cgi;
mod connections;
mod doors;
mod endings;
mod forwarding;
mod healthy;
mod programs;
mod quoted;
mod requests;
mod rewriting;
mod sight;
mod silence;
mod tls;
mod told;
mod upstream;
mod upstream_tls;
mod vantage;
mod ws_frames;

use super::testkit::*;
use super::{AnsweredBy, Code, Diagnosis, Finding, Verdict, diagnose, headline};
use crate::hop::Handshake;

/// A request, what the proxy made of it, and the backend's answer to that.
fn refused(ask: &str, sent: &str, answer: &str) -> Handshake {
    through(
        front().ask(ask, 0.5).answer(&passed(answer), 1.7),
        back().ask(sent, 1.2).answer(answer, 1.6),
    )
}

/// The same with a body.
fn refused_with(ask: &str, sent: &str, answer: &str, body: &[u8]) -> Handshake {
    through(
        front()
            .ask(ask, 0.5)
            .answer(&passed(answer), 1.7)
            .body(body),
        back().ask(sent, 1.2).answer(answer, 1.6).body(body),
    )
}

/// The codes of findings, each with evidence.
fn codes(findings: &[Finding]) -> Vec<Code> {
    for finding in findings {
        assert!(!finding.evidence.is_empty(), "{}", finding.code);
    }
    findings.iter().map(|finding| finding.code).collect()
}

/// Checks verdict, cause and the whole list of findings, and that each has evidence in time order.
fn check(
    name: &str,
    handshake: &Handshake,
    verdict: Verdict,
    cause: Code,
    all: &[&str],
) -> Diagnosis {
    let diagnosis = diagnose(handshake);
    assert_eq!(diagnosis.verdict, verdict, "{name}: {}", diagnosis.headline);
    assert_eq!(
        diagnosis.cause,
        Some(cause),
        "{name}: {:?}",
        found(&diagnosis)
    );
    assert_eq!(found(&diagnosis), all, "{name}");
    assert_eq!(diagnosis.findings[0].code, cause, "{name}");
    sound(name, &diagnosis);
    diagnosis
}

/// The same where the cause is an error and the only finding.
fn check_only(name: &str, handshake: &Handshake, verdict: Verdict, cause: Code) -> Diagnosis {
    check(
        name,
        handshake,
        verdict,
        cause,
        &[&format!("error {cause}")],
    )
}

/// Checks that a diagnosis says something, with evidence.
fn sound(name: &str, diagnosis: &Diagnosis) {
    assert!(!diagnosis.headline.is_empty(), "{name}");
    assert!(!diagnosis.headline.contains('\n'), "{name}");
    for finding in &diagnosis.findings {
        assert!(!finding.evidence.is_empty(), "{name}: {}", finding.code);
        assert!(!finding.connections.is_empty(), "{name}: {}", finding.code);
        assert!(
            finding
                .evidence
                .windows(2)
                .all(|pair| pair[0].frame <= pair[1].frame),
            "{name}: {}",
            finding.code
        );
        for text in [&finding.title, &finding.detail, finding.cause, &finding.fix] {
            assert!(!text.is_empty(), "{name}: {}", finding.code);
        }
    }
}
