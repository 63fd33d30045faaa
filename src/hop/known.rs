//! What a capture has shown about proxies so far: which addresses they use towards backends, and what of their
//! traffic cannot be read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use foldhash::HashSet;

use super::record::{Protocol, Record};
use crate::capture::{CaptureId, FrameRef, Timestamp};
use crate::decode::Endpoint;
use crate::tcp::Direction;

/// Most listening endpoints of proxies remembered: a host has few; a capture of a whole data centre has thousands.
const PROXIES_MAX: usize = 4096;

/// Most addresses remembered per proxy: a proxy uses one or two towards its backends.
const ADDRESSES_MAX: usize = 16;

/// Most connections remembered that carried something other than HTTP/1 that is there to be read: about 5 MiB.
const OPAQUE_MAX: usize = 65_536;

/// A connection that was made by someone and cannot be read, or not to its end.
#[derive(Debug, Clone, Copy)]
struct Opaque {
    client: IpAddr,
    server: Endpoint,
    from: Timestamp,
    to: Timestamp,
}

/// Facts about the proxies of a run. They only grow, so that a claim made once stays true.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Listening endpoint of a proxy: the addresses it was seen to use towards backends, and in which capture.
    proxies: BTreeMap<Endpoint, BTreeSet<(IpAddr, CaptureId)>>,
    /// All of these addresses.
    backs: HashSet<IpAddr>,
    opaque: VecDeque<Opaque>,
    /// Opaque connections were forgotten up to here.
    forgotten: Option<Timestamp>,
}

impl Known {
    /// A proxy that listens at `front` was seen to connect to a backend from `back`.
    pub(super) fn learn(&mut self, front: Endpoint, back: IpAddr, capture: CaptureId) {
        if self.proxies.len() >= PROXIES_MAX && !self.proxies.contains_key(&front) {
            return;
        }
        let addresses = self.proxies.entry(front).or_default();
        if addresses.len() < ADDRESSES_MAX {
            addresses.insert((back, capture));
            self.backs.insert(back);
        }
    }

    /// A connection was seen that carries what cannot be paired: TLS, HTTP/2, anything else; or a request that is not in the
    /// capture, which may be any.
    pub(super) fn note_opaque(&mut self, record: &Record) {
        let readable = matches!(
            record.protocol,
            Protocol::None | Protocol::Http | Protocol::WebSocket
        );
        // Refused and unanswered connects never carried a request.
        let silent = record.protocol == Protocol::None && !record.lacks(Direction::ToServer);
        if readable && (silent || record.shows(Direction::ToServer)) {
            return;
        }
        if self.opaque.len() >= OPAQUE_MAX {
            let gone = self.opaque.pop_front();
            self.forgotten = self.forgotten.max(gone.map(|opaque| opaque.to));
        }
        self.opaque.push_back(Opaque {
            client: record.connection.client.ip(),
            server: record.connection.server,
            from: record.connection.first.at,
            to: record.connection.last.at,
        });
    }

    /// Whether the proxy behind `front` uses the address towards backends.
    pub(super) fn is_back(&self, front: Endpoint, back: IpAddr) -> bool {
        self.backs(front).any(|(ip, _)| ip == back)
    }

    /// Whether some connection to a backend by the proxy behind `front` was seen in this capture.
    pub(super) fn is_seen(&self, front: Endpoint, capture: CaptureId) -> bool {
        self.backs(front).any(|(_, seen)| seen == capture)
    }

    /// Whether anything is known to listen at this endpoint and forward.
    pub(super) fn is_proxy(&self, endpoint: Endpoint) -> bool {
        self.proxies.contains_key(&endpoint)
    }

    /// Whether the address is one that a proxy uses towards its backends.
    pub(super) fn is_any_back(&self, ip: IpAddr) -> bool {
        self.backs.contains(&ip)
    }

    /// Whether the proxy had (or may have had) an unreadable connection open within a time.
    pub(super) fn had_opaque(&self, front: Endpoint, from: FrameRef, to: Option<FrameRef>) -> bool {
        if self.forgotten.is_some_and(|until| until >= from.at) {
            return true;
        }
        let within =
            |opaque: &Opaque| to.is_none_or(|to| opaque.from <= to.at) && opaque.to >= from.at;
        self.opaque
            .iter()
            .filter(|opaque| within(opaque))
            .any(|opaque| opaque.client == front.ip() || self.is_back(front, opaque.client))
    }

    /// Where a connection led from the proxy behind `front` to a host, within a time, that nobody can read: a proxy on that
    /// host may have got a request by it.
    pub(super) fn unread_to(
        &self,
        front: Endpoint,
        host: IpAddr,
        (from, to): (FrameRef, FrameRef),
    ) -> Option<Endpoint> {
        let mut opaque = self.opaque.iter().rev();
        let found = opaque.find(|opaque| {
            opaque.server.ip() == host
                && opaque.from <= to.at
                && opaque.to >= from.at
                && (opaque.client == front.ip() || self.is_back(front, opaque.client))
        });
        found.map(|opaque| opaque.server)
    }

    /// The addresses that the proxy behind `front` uses towards backends, and in which capture that was seen.
    pub(super) fn backs(&self, front: Endpoint) -> impl Iterator<Item = (IpAddr, CaptureId)> + '_ {
        self.proxies.get(&front).into_iter().flatten().copied()
    }
}
