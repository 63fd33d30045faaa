//! The built program from outside: one binary, a module per theme.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::similar_names,
    clippy::match_wild_err_arm,
    reason = "tests: a failure should be loud, and captured output is shown by the runner"
)]

#[path = "cli/arguments.rs"]
mod arguments;
#[path = "cli/captures.rs"]
mod captures;
#[path = "cli/cases.rs"]
mod cases;
#[path = "cli/clock.rs"]
mod clock;
#[path = "cli/cut.rs"]
mod cut;
#[path = "cli/expected.rs"]
mod expected;
#[path = "cli/fronts.rs"]
mod fronts;
#[path = "cli/fuzzed.rs"]
mod fuzzed;
#[path = "cli/help.rs"]
mod help;
#[path = "cli/keys.rs"]
mod keys;
#[path = "cli/lab.rs"]
mod lab;
#[path = "cli/limits.rs"]
mod limits;
#[cfg(all(feature = "live", target_os = "linux"))]
#[path = "cli/live/mod.rs"]
mod live;
#[path = "cli/order.rs"]
mod order;
#[path = "cli/pipeline.rs"]
mod pipeline;
#[path = "cli/properties.rs"]
mod properties;
#[path = "cli/quality/mod.rs"]
mod quality;
#[path = "cli/samples.rs"]
mod samples;
#[path = "cli/support.rs"]
mod support;
#[path = "cli/tshark.rs"]
mod tshark;
