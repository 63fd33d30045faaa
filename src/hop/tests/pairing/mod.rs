//! Which hops are of one handshake, by what evidence, and how sure that is.

mod by_circumstance;
mod by_key;
mod crowds;
mod keyless;
