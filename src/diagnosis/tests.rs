//! Whole handshakes through `diagnose`: the cause, and nothing beside it that does not belong.
#![allow(
    clippy::unwrap_used,
    clippy::large_stack_arrays,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "tests"
)]

mod connections;
mod healthy;
mod opening;
mod sessions;
mod told;
mod vantage;

use super::testkit::found;
use super::{AnsweredBy, Code, Diagnosis, Verdict, diagnose, headline};
use crate::hop::Handshake;

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
        for text in [
            &finding.title,
            &finding.detail,
            &finding.cause,
            &finding.fix,
        ] {
            assert!(!text.is_empty(), "{name}: {}", finding.code);
        }
    }
}
