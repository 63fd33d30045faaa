//! Who is told what the engine found.

use crate::diagnosis::{Diagnosis, Finding, Limit};
use crate::hop::{Handshake, Record};

/// Receives results as they become final; the order is that of the packets, the same in every run.
pub trait Observer {
    /// A handshake is complete: all its connections are closed, or the capture ended.
    fn handshake(&mut self, handshake: &Handshake, diagnosis: &Diagnosis);

    /// A handshake is complete that the [`Selection`](super::Selection) leaves out: it keeps its place among the others.
    fn left_out(&mut self, _: &Handshake) {}

    /// A connection left the table. Called once for every connection, possibly before or after the handshake that it
    /// belongs to. `notable`: a finding that is about no handshake may name it later.
    fn connection(&mut self, record: &Record, notable: bool);

    /// A finding about the captures or about several handshakes at once.
    fn finding(&mut self, finding: &Finding);

    /// Something was given up.
    fn limit(&mut self, limit: &Limit);
}
