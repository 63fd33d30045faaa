//! Handshake to findings: the cause, the evidence, the fix.
mod code;
mod finding;

pub use code::Code;
pub use finding::{AnsweredBy, Diagnosis, Evidence, Finding, Limit, Severity, Verdict};
