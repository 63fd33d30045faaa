//! What all connections and handshakes together say about the captures.

use std::collections::BTreeMap;

use crate::capture::{CaptureId, FrameRef};
use crate::diagnosis::CaptureTotals;
use crate::hop::Handshake;
use crate::tcp::Stats;

/// What was found over all handshakes of a run.
#[derive(Debug, Default)]
pub(super) struct Totals {
    clock_offsets: BTreeMap<CaptureId, (i64, FrameRef)>,
}

impl Totals {
    pub(super) fn handshake(&mut self, handshake: &Handshake) {
        if let Some(started) = handshake.started() {
            for &(capture, nanos) in &handshake.clock_offsets {
                self.clock_offsets
                    .entry(capture)
                    .or_insert((nanos, started));
            }
        }
    }

    pub(super) fn all(&self, tcp: &Stats) -> CaptureTotals {
        CaptureTotals {
            copies: tcp.copies.clone(),
            clock_offsets: self
                .clock_offsets
                .iter()
                .map(|(&id, &(nanos, frame))| (id, nanos, frame))
                .collect(),
        }
    }
}
