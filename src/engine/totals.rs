//! What all connections together say about the captures.

use std::collections::BTreeMap;

use crate::capture::{CaptureId, FrameRef};
use crate::diagnosis::CaptureTotals;
use crate::hop::{Handshake, Record};

/// Counts over all connections and handshakes of a run.
#[derive(Debug, Default)]
pub(super) struct Totals {
    duplicates: BTreeMap<CaptureId, (u64, FrameRef)>,
    clock_offsets: BTreeMap<CaptureId, (i64, FrameRef)>,
}

impl Totals {
    pub(super) fn connection(&mut self, record: &Record) {
        let connection = &record.connection;
        if connection.duplicates > 0 {
            let first = connection.first;
            let seen = self.duplicates.entry(first.capture).or_insert((0, first));
            seen.0 += connection.duplicates;
        }
    }

    pub(super) fn handshake(&mut self, handshake: &Handshake) {
        if let Some(started) = handshake.started() {
            for &(capture, nanos) in &handshake.clock_offsets {
                self.clock_offsets
                    .entry(capture)
                    .or_insert((nanos, started));
            }
        }
    }

    pub(super) fn all(&self) -> CaptureTotals {
        CaptureTotals {
            duplicates: self
                .duplicates
                .iter()
                .map(|(&id, &(count, frame))| (id, count, frame))
                .collect(),
            clock_offsets: self
                .clock_offsets
                .iter()
                .map(|(&id, &(nanos, frame))| (id, nanos, frame))
                .collect(),
        }
    }
}
