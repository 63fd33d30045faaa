//! Connections without a request that may still turn out to be a proxy's failed connects, within bounds.

use std::net::IpAddr;
use std::time::Duration;

use foldhash::{HashMap, HashSet};

use super::attempts::{Silent, place};
use super::known::Known;
use super::node::Node;
use super::record::{Record, SharedRecord};
use crate::capture::{FrameRef, Timestamp};
use crate::decode::Endpoint;
use crate::tcp::ConnectionId;

/// Most connections kept: the failed connects of some seconds of a busy proxy. About 700 bytes each.
const KEPT_MAX: usize = 8192;

/// Most addresses remembered that failed to connect somewhere: a flood of made-up addresses goes no further.
const SOURCES_MAX: usize = 4096;

/// Most addresses remembered that send attempts: a proxy is among the first. About 1 MiB.
const ASKERS_MAX: usize = 32_768;

/// An address that failed to connect to more endpoints than this scans; an upstream has fewer servers.
const SERVERS_MAX: usize = 64;

/// How long before a request a proxy that relays bytes may have connected: a client sends it as soon as it may.
const DIALS_BEFORE: Duration = Duration::from_secs(1);

/// Connects without any request near them that are kept between two looks at what is due: where there are more, most are
/// a scan's.
const EARLY_MAX: usize = 16;

/// Candidates for failed connects.
#[derive(Debug, Default)]
pub(super) struct SilentPool {
    /// Kept since the last look although no request was near.
    early: usize,
    kept: Silent,
    sources: HashMap<IpAddr, HashSet<Endpoint>>,
    /// Addresses that send attempts: those of proxies are among them, those of who scans are not.
    askers: HashSet<IpAddr>,
}

impl SilentPool {
    pub(super) fn all(&self) -> &Silent {
        &self.kept
    }

    /// Keeps a connection, unless it comes from one who scans. The oldest ones make room.
    pub(super) fn keep(&mut self, record: &mut Record, known: &Known) {
        let source = record.connection.client.ip();
        let known = self.askers.contains(&source) || known.is_any_back(source);
        if !known && !self.is_plausible(source, record.connection.server) {
            return;
        }
        if self.kept.len() >= KEPT_MAX {
            self.kept.pop_first();
        }
        self.kept.insert(place(record), record.take().into());
    }

    /// Keeps a connection that failed while nobody waited: the request that it was made for may come yet.
    pub(super) fn keep_early(&mut self, record: &mut Record, known: &Known) {
        if self.early < EARLY_MAX {
            self.early += 1;
            self.keep(record, known);
        }
    }

    /// An address sends attempts.
    pub(super) fn asked_by(&mut self, client: IpAddr) {
        if self.askers.len() < ASKERS_MAX {
            self.askers.insert(client);
        }
    }

    fn is_plausible(&mut self, source: IpAddr, server: Endpoint) -> bool {
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&source) {
            return false;
        }
        let servers = self.sources.entry(source).or_default();
        if servers.len() <= SERVERS_MAX {
            servers.insert(server);
        }
        servers.len() <= SERVERS_MAX
    }

    pub(super) fn forget(&mut self, record: &SharedRecord) {
        self.kept.remove(&place(record));
    }

    /// Drops what began before every exchange that is still held; `now` where none is. A request may follow a connect.
    pub(super) fn forget_before(&mut self, oldest: Option<Timestamp>, now: Timestamp) {
        self.early = 0;
        if oldest.is_none() {
            self.sources.clear();
        }
        let oldest = oldest.unwrap_or(now).minus(DIALS_BEFORE);
        while self
            .kept
            .first_key_value()
            .is_some_and(|((frame, _), _)| frame.at < oldest)
        {
            self.kept.pop_first();
        }
    }

    /// Whether some connect failed while the exchange waited for its answer.
    pub(super) fn may_explain(&self, node: &Node) -> bool {
        self.within(node).next().is_some()
    }

    /// The connects that failed while the exchange waited for its answer: their first frames.
    pub(super) fn within(&self, node: &Node) -> impl Iterator<Item = FrameRef> {
        let over = node.over();
        let begin = node.dials_from().into_iter();
        begin
            .flat_map(|begin| self.kept.range((begin, ConnectionId(0))..))
            .map(|((frame, _), _)| *frame)
            .take_while(move |frame| over.is_none_or(|over| *frame < over))
    }
}
