//! What all connections and handshakes together say about the captures, and about the keys given with them.

use std::collections::BTreeMap;

use crate::capture::{CaptureId, FrameRef};
use crate::diagnosis::CaptureTotals;
use crate::hop::{Handshake, Record};
use crate::tcp::Stats;
use crate::tls::Sealed;

/// What was found over all handshakes of a run.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) tls: TlsTotals,
    clock_offsets: BTreeMap<CaptureId, (i64, FrameRef)>,
}

/// How many TLS connections there were.
#[derive(Debug, Default)]
pub(super) struct TlsTotals {
    /// With a ClientHello, by which keys are found.
    pub(super) begun: u64,
    /// With keys at hand.
    pub(super) keyed: u64,
}

impl Totals {
    pub(super) fn connection(&mut self, record: &Record) {
        if let Some(tls) = &record.tls {
            self.tls.begun += u64::from(tls.client_hello.is_some());
            self.tls.keyed += u64::from(tls.sealed != Sealed::NoKeys);
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
