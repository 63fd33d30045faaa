//! What pairing is told beside the exchanges that it pairs.

use smallvec::SmallVec;

use super::attempts::Silent;
use super::known::Known;
use super::node::Node;
use super::ordinary::Ordinary;

/// What pairing knows beside the exchanges themselves.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// What the run has shown about proxies; grows with what these exchanges show.
    pub(super) known: &'a mut Known,
    /// Connections without a request, by their first frame.
    pub(super) silent: &'a Silent,
    /// Exchanges that are no attempts, by the first frame of their requests.
    pub(super) ordinary: &'a Ordinary,
    /// Exchanges of other handshakes that failed connects may be due to.
    pub(super) rivals: &'a [Node],
    /// Nothing more will come for these exchanges.
    pub(super) settled: bool,
}

/// Exchanges that may belong together: two, as a rule. They are large, and stay where they are.
pub(super) type Nodes = SmallVec<[Box<Node>; 2]>;
