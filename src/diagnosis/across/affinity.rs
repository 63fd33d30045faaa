//! One Socket.IO session at two backends: polled at one, upgraded or polled further at another, which does not know it.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use super::{ENDPOINTS, EVIDENCE, push};
use crate::capture::FrameRef;
use crate::decode::Endpoint;
use crate::diagnosis::Code;
use crate::diagnosis::draft::Draft;
use crate::hop::{Confidence, Handshake, Record, is_engine_io};
use crate::tcp::{Connection, ConnectionId};

/// What it means where the upgrade itself may have come to the right backend.
const POLLED_ELSEWHERE: &str = "The session was opened at one backend, and requests that belong to it went to another, which does not know it. The client gives the session up, also where its WebSocket came up.";

/// Requests of one client that name a Socket.IO session, at one server.
#[derive(Debug, Clone)]
struct Sid {
    client: IpAddr,
    server: Endpoint,
    frame: FrameRef,
    id: ConnectionId,
    /// They are Engine.IO's own, by more than the name of a parameter.
    engine: bool,
    /// The first one that was answered as one of a session that the server knows.
    known: Option<FrameRef>,
    /// The first answer 400.
    refused: Option<FrameRef>,
}

impl Sid {
    fn answered(&mut self, answer: FrameRef, status: u16) {
        let place = match status {
            101 | 200..=299 => &mut self.known,
            400 => &mut self.refused,
            _ => return,
        };
        place.get_or_insert(answer);
    }
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
    /// Takes note of a handshake that names a session: whether it failed, and which server knew the session.
    pub(super) fn handshake(&mut self, handshake: &Handshake) {
        if let Some(upgrade) = failed_upgrade(handshake) {
            push(&mut self.upgrades, upgrade);
        }
        for hop in &handshake.hops {
            let exchange = hop.exchange();
            if let (Some(request), Some(answer)) = (&exchange.request, &exchange.response)
                && answer.status == 101
                && is_engine_io(request.target())
                && let Some((seen, _)) =
                    self.at(request.target(), &hop.record.connection, request.span.first)
            {
                seen.answered(answer.span.first, answer.status);
            }
        }
    }

    /// Takes note of the sessions that ordinary requests name: whether there are any.
    pub(super) fn connection(&mut self, record: &Record) -> bool {
        let mut noted = false;
        for exchange in &record.ordinary {
            let seen = self.at(&exchange.target, &record.connection, exchange.request);
            if let Some((seen, new)) = seen {
                if let Some((answer, status)) = exchange.response {
                    seen.answered(answer, status);
                }
                noted |= new;
            }
        }
        noted
    }

    /// What is known of the session that a request names, at the server that was asked; and whether it is new.
    fn at(
        &mut self,
        target: &str,
        connection: &Connection,
        frame: FrameRef,
    ) -> Option<(&mut Sid, bool)> {
        let sid = sid(target)?;
        if self.sids.len() >= ENDPOINTS && !self.sids.contains_key(sid) {
            return None;
        }
        let seen = self.sids.entry(sid.to_owned()).or_default();
        let place = (seen.iter()).position(|other| other.server == connection.server);
        if place.is_none() {
            if seen.len() >= EVIDENCE {
                return None;
            }
            seen.push(Sid {
                client: connection.client.ip(),
                server: connection.server,
                frame,
                id: connection.id,
                engine: is_engine_io(target),
                known: None,
                refused: None,
            });
        }
        let last = seen.len().checked_sub(1)?;
        let one = seen.get_mut(place.unwrap_or(last))?;
        Some((one, place.is_none()))
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
        let refused = self.sids.values().filter_map(|seen| refused(seen));
        out.extend(refused.take(EVIDENCE));
        out.into_iter()
            .reduce(|mut all, one| {
                all.absorb(one);
                all
            })
            .into_iter()
            .collect()
    }
}

/// A session that one server knows and another one refuses, while it is asked by the same proxy. In front of that proxy one
/// address both knows and refuses it.
fn refused(seen: &[Sid]) -> Option<Draft> {
    let mut owners = seen
        .iter()
        .filter(|one| one.engine && one.refused.is_none());
    let (owner, known, stranger, refused) = owners.find_map(|owner| {
        let known = owner.known?;
        let mut others = seen
            .iter()
            .filter(|other| other.engine && other.client == owner.client && other.known.is_none());
        others.find_map(|other| Some((owner, known, other, other.refused?)))
    })?;
    Some(
        Draft::new(Code::SessionAffinityLost)
            .sure(Confidence::Likely)
            .title(format!(
                "One session was known at {} and refused with 400 at {}",
                owner.server, stranger.server
            ))
            .detail(POLLED_ELSEWHERE)
            .about(owner.id)
            .about(stranger.id)
            .saw(known, format!("{} knows the session", owner.server))
            .saw(
                stranger.frame,
                format!("request with the same sid to {}", stranger.server),
            )
            .saw(refused, format!("{} answers 400", stranger.server)),
    )
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
