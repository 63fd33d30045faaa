#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
#![allow(
    clippy::needless_pass_by_value,
    clippy::cast_sign_loss,
    reason = "tables of scenarios read better so"
)]
mod attempts;
mod book;
mod build;
mod changes;
mod clocks;
mod copies;
mod fronts;
mod handshake;
mod hops;
mod outstanding;
mod pairing;
mod permission;
mod session;
mod siblings;
mod textbook;
