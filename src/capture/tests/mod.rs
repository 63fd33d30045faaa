//! Containers, one variant per test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "test code fails loudly"
)]

mod classic;
mod compressed;
mod differential;
mod errors;
mod inputs;
mod next_generation;
mod properties;
mod writer;

use super::parse::Order;
use super::samples::*;
use super::*;

const BOTH: [Order; 2] = [Order::Little, Order::Big];
