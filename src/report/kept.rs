//! The handshakes that a report shows, with their findings and connections, until their order is known.
//!
//! Handshakes settle as they end and are listed as they began. Views are large and many: each is built once, put behind
//! the others and brought into order where it lies.

use std::collections::BTreeMap;

use foldhash::HashSet;

use super::view::{ConnectionView, FindingView, HandshakeView};
use crate::tcp::ConnectionId;

/// What is kept, in the order in which it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    /// Each with its place in the order in which handshakes settled.
    handshakes: Vec<(usize, HandshakeView)>,
    /// Those of a handshake, by this place.
    findings: BTreeMap<usize, Vec<FindingView>>,
    connections: Vec<ConnectionView>,
    /// Which connections these are.
    known: HashSet<ConnectionId>,
}

impl Kept {
    /// Keeps the handshake that settled as the one with this number.
    pub(super) fn handshake(
        &mut self,
        number: usize,
        view: HandshakeView,
        findings: Vec<FindingView>,
    ) {
        self.handshakes.push((number, view));
        if !findings.is_empty() {
            self.findings.insert(number, findings);
        }
    }

    /// Whether a connection is kept.
    pub(super) fn has(&self, id: ConnectionId) -> bool {
        self.known.contains(&id)
    }

    /// Keeps a connection, which is not kept yet.
    pub(super) fn connection(&mut self, view: ConnectionView) {
        self.known.insert(view.id);
        self.connections.push(view);
    }

    /// Handshakes by start under the ids of their numbers, their findings in the same order, and connections as they came.
    pub(super) fn finish(
        mut self,
        id: impl Fn(usize) -> String,
    ) -> (Vec<HandshakeView>, Vec<FindingView>, Vec<ConnectionView>) {
        // Numbers differ: nothing is lost by a sort that takes no memory.
        self.handshakes
            .sort_unstable_by_key(|(number, view)| (view.start, *number));
        let mut all = Vec::new();
        for (number, view) in &mut self.handshakes {
            view.id = id(*number);
            let findings = self.findings.remove(number).unwrap_or_default();
            all.extend(findings.into_iter().map(|mut finding| {
                finding.handshake = Some(view.id.clone());
                finding
            }));
        }
        let handshakes = self.handshakes.into_iter().map(|(_, view)| view);
        (handshakes.collect(), all, self.connections)
    }
}
