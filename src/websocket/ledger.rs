//! What both directions of a session write into: faults, Close frames, pings and their pongs, the first cut.

use smallvec::SmallVec;

use super::{Carried, CloseFrame, FrameFault, Rule};
use crate::capture::FrameRef;
use crate::tcp::{Direction, Side};

/// Pings remembered while their pong is awaited. A peer may answer only the newest (RFC 6455 5.5.3), so a few do.
const MAX_PINGS: usize = 8;

/// The notes of a session.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) closes: Vec<CloseFrame>,
    pub(super) faults: Vec<FrameFault>,
    to_server: Pings,
    to_client: Pings,
}

/// Pings of one direction.
#[derive(Debug, Default)]
struct Pings {
    /// Hash of the payload, and where.
    open: SmallVec<[(u64, FrameRef); 1]>,
    last: Option<FrameRef>,
    interval_nanos: Option<(i64, i64)>,
    matched: u64,
    rtt_max_nanos: Option<i64>,
}

impl Ledger {
    /// Notes a broken rule: the first time with its place, then by count.
    pub(super) fn fault(&mut self, rule: Rule, by: Side, frame: FrameRef, value: u64) {
        let known = self
            .faults
            .iter_mut()
            .find(|fault| fault.rule == rule && fault.by == by);
        match known {
            Some(fault) => fault.count += 1,
            None => self.faults.push(FrameFault {
                rule,
                by,
                frame,
                count: 1,
                value,
            }),
        }
    }

    /// Notes a Close frame unless its side sent one before.
    pub(super) fn close(&mut self, close: CloseFrame) {
        if self.closes.iter().all(|before| before.by != close.by) {
            if self.closes.is_empty() {
                // There will be one of the other side, and no more.
                self.closes.reserve_exact(2);
            }
            self.closes.push(close);
        }
    }

    fn pings(&mut self, direction: Direction) -> &mut Pings {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    pub(super) fn ping(&mut self, direction: Direction, payload: &[u8], frame: FrameRef) {
        let pings = self.pings(direction);
        if let Some(last) = pings.last.replace(frame) {
            let interval = frame.at.nanos_since(last.at);
            pings.interval_nanos = Some(
                pings
                    .interval_nanos
                    .map_or((interval, interval), |(shortest, longest)| {
                        (shortest.min(interval), longest.max(interval))
                    }),
            );
        }
        if pings.open.len() >= MAX_PINGS {
            pings.open.remove(0);
        }
        pings.open.push((fnv1a(payload), frame));
    }

    /// A pong that goes in `direction` answers the newest ping of the other one with the same payload; the ones
    /// before that will not be answered any more (RFC 6455 5.5.3).
    pub(super) fn pong(&mut self, direction: Direction, payload: &[u8], frame: FrameRef) {
        let hash = fnv1a(payload);
        let pings = self.pings(direction.reverse());
        let newest = pings.open.iter().rposition(|(ping, _)| *ping == hash);
        if let Some(place) = newest
            && let Some((_, ping)) = pings.open.drain(..=place).next_back()
        {
            let rtt = frame.at.nanos_since(ping.at);
            pings.matched += 1;
            pings.rtt_max_nanos = Some(pings.rtt_max_nanos.map_or(rtt, |max| max.max(rtt)));
        }
    }

    /// Adds what is known of a direction's pings.
    pub(super) fn complete(&self, direction: Direction, carried: Carried) -> Carried {
        let pings = match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        };
        Carried {
            last_ping: pings.last,
            ping_interval_nanos: pings.interval_nanos,
            pongs_matched: pings.matched,
            ping_rtt_max_nanos: pings.rtt_max_nanos,
            ..carried
        }
    }
}

/// FNV-1a: the same in every run, on every machine.
pub(super) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
