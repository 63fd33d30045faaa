//! One Socket.IO session at two backends: polled at one, upgraded at another, which does not know it.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use super::{ENDPOINTS, EVIDENCE, push};
use crate::capture::FrameRef;
use crate::decode::Endpoint;
use crate::diagnosis::Code;
use crate::diagnosis::draft::Draft;
use crate::hop::{Handshake, Record};
use crate::tcp::ConnectionId;

/// A request that names a Socket.IO session, on the connection to one server.
#[derive(Debug, Clone)]
struct Sid {
    client: IpAddr,
    server: Endpoint,
    frame: FrameRef,
    id: ConnectionId,
}

/// An upgrade that failed and names a session: where it came in and where it went.
#[derive(Debug, Clone)]
struct FailedUpgrade {
    sid: String,
    front: Endpoint,
    proxy: IpAddr,
    backend: Endpoint,
    frame: FrameRef,
    id: ConnectionId,
}

/// Sessions by their ids, and upgrades that failed.
#[derive(Debug, Clone, Default)]
pub(super) struct Affinity {
    sids: BTreeMap<String, Vec<Sid>>,
    upgrades: VecDeque<FailedUpgrade>,
}

impl Affinity {
    /// Takes note of a handshake, if it failed and names a session.
    pub(super) fn handshake(&mut self, handshake: &Handshake) {
        if let Some(upgrade) = failed_upgrade(handshake) {
            push(&mut self.upgrades, upgrade);
        }
    }

    /// Takes note of the sessions that ordinary requests name: whether there are any.
    pub(super) fn connection(&mut self, record: &Record) -> bool {
        let connection = &record.connection;
        let mut noted = false;
        for exchange in &record.ordinary {
            let Some(sid) = sid(&exchange.target) else {
                continue;
            };
            if self.sids.len() >= ENDPOINTS && !self.sids.contains_key(sid) {
                continue;
            }
            let seen = self.sids.entry(sid.to_owned()).or_default();
            if seen.len() < EVIDENCE && seen.iter().all(|other| other.server != connection.server) {
                seen.push(Sid {
                    client: connection.client.ip(),
                    server: connection.server,
                    frame: exchange.request,
                    id: connection.id,
                });
                noted = true;
            }
        }
        noted
    }

    /// All sessions that were lost between backends, said once.
    pub(super) fn lost(&self) -> Vec<Draft> {
        let mut out: Vec<Draft> = Vec::new();
        for upgrade in &self.upgrades {
            let Some(seen) = self.sids.get(&upgrade.sid) else {
                continue;
            };
            let elsewhere = seen.iter().find(|poll| {
                poll.client == upgrade.proxy
                    && poll.server != upgrade.backend
                    && poll.server != upgrade.front
            });
            let Some(poll) = elsewhere else { continue };
            out.push(
                Draft::new(Code::SessionAffinityLost)
                    .title(format!(
                        "One session was polled at {} and upgraded at {}",
                        poll.server, upgrade.backend
                    ))
                    .about(poll.id)
                    .about(upgrade.id)
                    .saw(
                        poll.frame,
                        format!("polling request with this sid to {}", poll.server),
                    )
                    .saw(
                        upgrade.frame,
                        format!("upgrade with the same sid to {}", upgrade.backend),
                    ),
            );
        }
        out.into_iter()
            .reduce(|mut all, one| {
                all.absorb(one);
                all
            })
            .into_iter()
            .collect()
    }
}

/// The handshake, if it failed at a backend and names a session.
fn failed_upgrade(handshake: &Handshake) -> Option<FailedUpgrade> {
    let (outer, inner) = (handshake.first()?, handshake.last()?);
    let request = inner.exchange().request.as_ref()?;
    let refused = inner.exchange().response.as_ref()?.status == 400;
    if !refused || std::ptr::eq(outer, inner) {
        return None;
    }
    Some(FailedUpgrade {
        sid: sid(request.target())?.to_owned(),
        front: outer.record.connection.server,
        proxy: inner.record.connection.client.ip(),
        backend: inner.record.connection.server,
        frame: request.span.first,
        id: inner.record.connection.id,
    })
}

/// The Socket.IO session id in a target.
fn sid(target: &str) -> Option<&str> {
    let (_, query) = target.split_once('?')?;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix("sid="))
        .filter(|sid| !sid.is_empty() && sid.len() <= 64)
}
