//! IP fragments, held until their datagram is complete, within limits.
//!
//! A fragment that repeats bytes already held is a copy (seen at two vantage points) and harmless. One that
//! contradicts them makes the whole datagram worthless, as hosts drop it as well (RFC 8200 4.5, RFC 5722; Linux does
//! the same for IPv4). Datagrams are tied to the interface they were seen on, so that copies complete side by side.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use etherparse::IpFragOffset;
use etherparse::IpNumber;
use etherparse::defrag::IpDefragBuf;

use super::Endpoint;
use super::decoder::DecodeStats;
use super::walk::Walk;
use crate::capture::{FrameRef, Timestamp};

/// Datagrams held incomplete: far more than a sound capture has at any time.
const MAX_DATAGRAMS: usize = 1024;

/// Datagrams remembered after they were complete, so that copies of their fragments (a mirror port shows each frame
/// twice) are not taken for datagrams of which the rest is missing: copies come within microseconds.
const RECENT: usize = 64;

/// Bytes held of datagrams that are not complete, unless told otherwise: four times what Linux allows itself
/// (`ipfrag_high_thresh`).
pub const FRAGMENT_BYTES: usize = 16 << 20;

/// How long a datagram waits for its rest, in packet time (RFC 8200 4.5; RFC 1122 3.3.2).
const MAX_AGE: Duration = Duration::from_mins(1);

/// A fragment as it was met.
pub(super) struct Fragment<'a> {
    /// `rest` is the fragment's payload.
    pub(super) walk: Walk<'a>,
    pub(super) protocol: u8,
    pub(super) id: u32,
    pub(super) offset: IpFragOffset,
    pub(super) more: bool,
}

/// What makes fragments parts of one datagram (RFC 791 3.2, RFC 8200 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: Endpoint,
    destination: Endpoint,
    id: u32,
    /// Of IPv4; IPv6 has it in the first fragment only.
    protocol: u8,
    interface: u32,
}

/// A datagram some fragments of which were seen.
struct Partial {
    bytes: IpDefragBuf,
    /// Of the first fragment.
    protocol: u8,
    since: Timestamp,
    /// Tells it from a later datagram of the same key.
    serial: u64,
    /// The datagram was complete before: these are copies.
    is_copy: bool,
}

/// A datagram put together: what follows its IP header.
#[derive(Debug)]
pub(super) struct Whole {
    frame: FrameRef,
    interface: u32,
    data: Vec<u8>,
    source: Endpoint,
    destination: Endpoint,
    hop_limit: u8,
    ip_id: u16,
    is_v6: bool,
    pub(super) protocol: u8,
}

impl Whole {
    /// Where to walk on.
    pub(super) fn walk(&self) -> Walk<'_> {
        Walk {
            source: self.source,
            destination: self.destination,
            hop_limit: self.hop_limit,
            ip_id: self.ip_id,
            is_v6: self.is_v6,
            ..Walk::new(self.frame, self.interface, &self.data, 0)
        }
    }
}

/// What became of a fragment.
pub(super) enum Added {
    Held,
    Dropped,
    Complete(Whole),
}

/// The datagrams that are not complete.
pub(super) struct Fragments {
    max_bytes: usize,
    partial: HashMap<Key, Partial>,
    /// In order of their first fragment; may name some that are gone.
    order: VecDeque<(Key, u64)>,
    /// The datagrams that were complete last.
    recent: VecDeque<Key>,
    bytes: usize,
    serial: u64,
}

impl Fragments {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            partial: HashMap::new(),
            order: VecDeque::new(),
            recent: VecDeque::new(),
            bytes: 0,
            serial: 0,
        }
    }

    /// Datagrams that wait for their rest.
    pub(super) fn held(&self) -> usize {
        let partial = self.partial.values();
        partial.filter(|partial| !partial.is_copy).count()
    }

    /// Takes a fragment in.
    pub(super) fn add(&mut self, fragment: &Fragment<'_>, stats: &mut DecodeStats) -> Added {
        let walk = &fragment.walk;
        self.expire(walk.frame.at, stats);
        self.tidy();
        // With its end cut off by the snaplen, the datagram can never be whole.
        if walk.cut > 0 {
            stats.fragments_cut += 1;
            return Added::Dropped;
        }
        let key = Key {
            source: walk.source,
            destination: walk.destination,
            id: fragment.id,
            protocol: if walk.is_v6 { 0 } else { fragment.protocol },
            interface: walk.interface,
        };
        let mut partial = self.remove(&key).unwrap_or_else(|| {
            self.serial += 1;
            self.order.push_back((key, self.serial));
            let protocol = IpNumber(fragment.protocol);
            Partial {
                bytes: IpDefragBuf::new(protocol, Vec::new(), Vec::new()),
                protocol: fragment.protocol,
                since: walk.frame.at,
                serial: self.serial,
                is_copy: self.recent.contains(&key),
            }
        });
        if contradicts(&partial.bytes, fragment) {
            stats.datagrams_contradicted += 1;
            return Added::Dropped;
        }
        let added = partial.bytes.add(fragment.offset, fragment.more, walk.rest);
        if walk.rest.is_empty() || added.is_err() {
            stats.datagrams_malformed += 1;
            return Added::Dropped;
        }
        if fragment.offset.value() == 0 {
            partial.protocol = fragment.protocol;
        }
        if !partial.bytes.is_complete() {
            self.bytes += partial.bytes.data().capacity();
            self.partial.insert(key, partial);
            self.shrink(stats);
            return Added::Held;
        }
        stats.datagrams_reassembled += 1;
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(key);
        Added::Complete(Whole {
            frame: walk.frame,
            interface: walk.interface,
            data: partial.bytes.take_bufs().0,
            source: walk.source,
            destination: walk.destination,
            hop_limit: walk.hop_limit,
            ip_id: walk.ip_id,
            is_v6: walk.is_v6,
            protocol: partial.protocol,
        })
    }

    fn remove(&mut self, key: &Key) -> Option<Partial> {
        let partial = self.partial.remove(key)?;
        self.bytes -= partial.bytes.data().capacity();
        Some(partial)
    }

    /// Drops the datagrams that have waited too long.
    fn expire(&mut self, now: Timestamp, stats: &mut DecodeStats) {
        while let Some((key, serial)) = self.order.front() {
            if let Some(partial) = self.partial.get(key)
                && partial.serial == *serial
                && now <= partial.since.plus(MAX_AGE)
            {
                return;
            }
            self.drop_oldest(&mut stats.datagrams_incomplete);
        }
    }

    /// Forgets the places of datagrams that are gone, so that a stream of complete ones does not pile up.
    fn tidy(&mut self) {
        if self.order.len() > 2 * MAX_DATAGRAMS {
            let partial = &self.partial;
            self.order.retain(|(key, serial)| {
                partial
                    .get(key)
                    .is_some_and(|partial| partial.serial == *serial)
            });
        }
    }

    /// Drops the oldest datagrams until the limits hold.
    fn shrink(&mut self, stats: &mut DecodeStats) {
        while self.partial.len() > MAX_DATAGRAMS || self.bytes > self.max_bytes {
            if !self.drop_oldest(&mut stats.datagrams_given_up) {
                return;
            }
        }
    }

    /// Drops the oldest datagram, if there is any, and counts it.
    fn drop_oldest(&mut self, count: &mut u64) -> bool {
        let Some((key, serial)) = self.order.pop_front() else {
            return false;
        };
        let is_this = |partial: &&Partial| partial.serial == serial;
        if let Some(partial) = self.partial.get(&key).filter(is_this) {
            *count += u64::from(!partial.is_copy);
            self.remove(&key);
        }
        true
    }
}

/// Whether a fragment has other bytes than those held at the same place.
fn contradicts(held: &IpDefragBuf, fragment: &Fragment<'_>) -> bool {
    let start = usize::from(fragment.offset.byte_offset());
    let new = fragment.walk.rest;
    held.sections().iter().any(|section| {
        let from = start.max(section.start.into());
        let to = (start + new.len()).min(section.end.into());
        from < to && held.data().get(from..to) != new.get(from - start..to - start)
    })
}
