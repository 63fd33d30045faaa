//! What the user sees: one document, built once and masked once, printed in several forms.
//!
//! ```text
//!  engine::Observer calls -> Collector -> Report -+-> json      the contract
//!    handshakes, records,    keeps what  (view)   +-> table     a terminal
//!    findings, limits        is asked for         +-> markdown  a ticket
//!                                                 +-> html      a page to attach
//!  engine::Observer calls -> JsonLines ---------> one line as each thing finishes
//! ```
//!
//! Invariants: secrets are masked while the [`view`] is built, so no form can leak them; text that came from packets is
//! escaped by each form for where it goes; the same results give the same bytes.

mod advice;
mod build;
mod collector;
mod column;
pub mod escape;
pub mod explain;
mod interfaces;
mod kept;
mod ladder;
pub mod moments;
mod pick;
mod redact;
mod style;
mod traffic;
pub mod view;
mod visit;
mod words;

pub mod html;
pub mod json;
pub mod markdown;
pub mod table;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

pub(crate) use build::{role as role_name, verdict as verdict_name};
pub use collector::{Collector, Keep, OTHER_CONNECTIONS_MAX};
pub use redact::Redact;
pub use traffic::Traffic;
pub use view::Report;
