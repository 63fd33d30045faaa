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
mod book;
mod build;
mod keyless;
mod pairing;
mod siblings;
mod textbook;
