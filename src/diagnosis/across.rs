//! What only many handshakes and connections together can tell: a restart, a crash, an overload, a lost session.
//!
//! Everything is bounded: beyond the limits the oldest observations are forgotten, so a long live capture stays small.
//!
//! How a restart and a crash differ on the wire: when nginx itself closes a tunnel (reload, timeout) it closes the
//! backend hop first; when its process ends (killed, crashed, or stopped at once) the kernel closes descriptors in the
//! order they were opened, the client's first. After a crash the master starts a new worker and clients come back;
//! after a stop nobody accepts them.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use super::draft::{Draft, Values};
use super::text::count;
use super::{Code, Diagnosis, Finding};
use crate::capture::{FrameRef, Timestamp};
use crate::decode::Endpoint;
use crate::hop::{Confidence, Handshake, Hop, Party, Record};
use crate::tcp::{ConnectionId, EndingHow, Opening, Side};

/// Tunnels and closed connections remembered: the burst of one reload on a busy proxy fits.
const REMEMBERED: usize = 8192;

/// Listening endpoints and session ids remembered.
const ENDPOINTS: usize = 1024;

/// Tunnels that end together before it is called one event.
const MANY_TUNNELS: usize = 3;

/// Connections closed without a byte before it is called an overload.
const MANY_CLOSED: usize = 5;

/// Endings within this time of the one before belong to one event: a worker closes its tunnels one after the other.
const TOGETHER_NANOS: i64 = 250_000_000;

/// Most frames given as evidence of one event.
const EVIDENCE: usize = 8;

/// A tunnel that the proxy ended.
#[derive(Debug, Clone)]
struct Tunnel {
    proxy: IpAddr,
    front: Endpoint,
    ended: FrameRef,
    how: EndingHow,
    connections: Vec<ConnectionId>,
    /// Its own silence explains it.
    idle: bool,
    /// The client hop ended before the backend hop; `None` when only one was seen.
    client_first: Option<bool>,
    cut: bool,
}

/// A connection that its server closed without a byte.
#[derive(Debug, Clone)]
struct Closed {
    server: Endpoint,
    opened: FrameRef,
    ended: FrameRef,
    id: ConnectionId,
    asked: bool,
}

/// What is known of a listening endpoint.
#[derive(Debug, Clone, Copy, Default)]
struct Listener {
    speaks_http: bool,
    last_accepted: Option<FrameRef>,
    last_refused: Option<FrameRef>,
}

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

/// Collects handshakes and connections, and says what they show together.
#[derive(Debug, Clone, Default)]
pub struct Across {
    tunnels: VecDeque<Tunnel>,
    closed: VecDeque<Closed>,
    listeners: BTreeMap<Endpoint, Listener>,
    sids: BTreeMap<String, Vec<Sid>>,
    upgrades: VecDeque<FailedUpgrade>,
}

fn push<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() >= REMEMBERED {
        queue.pop_front();
    }
    queue.push_back(item);
}

impl Across {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of a finished handshake.
    pub fn handshake(&mut self, handshake: &Handshake, diagnosis: &Diagnosis) {
        if let Some(tunnel) = tunnel(handshake, diagnosis) {
            push(&mut self.tunnels, tunnel);
        }
        if let Some(upgrade) = failed_upgrade(handshake) {
            push(&mut self.upgrades, upgrade);
        }
    }

    /// Takes note of a finished connection, whether it is part of a handshake or not.
    pub fn connection(&mut self, record: &Record) {
        let connection = &record.connection;
        self.listen(record);
        if let Some(end) = connection.ended
            && end.by == Side::Server
            && connection.opening == Opening::Complete
            && connection.to_client.payload_bytes == 0
            && connection.to_client.missing_bytes == 0
        {
            push(
                &mut self.closed,
                Closed {
                    server: connection.server,
                    opened: connection.first,
                    ended: end.frame,
                    id: connection.id,
                    asked: record.exchange_count > 0,
                },
            );
        }
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
            }
        }
    }

    fn listen(&mut self, record: &Record) {
        let connection = &record.connection;
        if self.listeners.len() >= ENDPOINTS && !self.listeners.contains_key(&connection.server) {
            return;
        }
        let listener = self.listeners.entry(connection.server).or_default();
        listener.speaks_http |= record.exchange_count > 0 && connection.to_client.payload_bytes > 0;
        if let Some(frame) = connection.syn_ack {
            listener.last_accepted = listener.last_accepted.max(Some(frame));
        }
        if connection.opening == Opening::Refused {
            listener.last_refused = listener.last_refused.max(Some(connection.first));
        }
    }

    /// What all of it shows together, and forgets it: to be called at the end of the captures, or of a live interval.
    pub fn finish(&mut self) -> Vec<Finding> {
        let mut drafts = self.mass_endings();
        drafts.extend(self.overloads());
        drafts.extend(self.affinity());
        *self = Self::default();
        drafts
            .into_iter()
            .filter_map(|draft| draft.finish(&Values::default()))
            .collect()
    }

    fn mass_endings(&self) -> Vec<Draft> {
        let mut by_proxy: BTreeMap<IpAddr, Vec<&Tunnel>> = BTreeMap::new();
        for tunnel in &self.tunnels {
            by_proxy.entry(tunnel.proxy).or_default().push(tunnel);
        }
        let mut out = Vec::new();
        for (proxy, mut tunnels) in by_proxy {
            tunnels.sort_by_key(|tunnel| tunnel.ended);
            for group in bursts(&tunnels, |tunnel| tunnel.ended.at) {
                let idle = group.iter().filter(|tunnel| tunnel.idle).count();
                if group.len() >= MANY_TUNNELS && idle < group.len() {
                    out.push(self.mass_ending(proxy, group));
                }
            }
        }
        out
    }

    fn mass_ending(&self, proxy: IpAddr, group: &[&Tunnel]) -> Draft {
        let client_first = group
            .iter()
            .filter(|tunnel| tunnel.client_first == Some(true))
            .count();
        let backend_first = group
            .iter()
            .filter(|tunnel| tunnel.client_first == Some(false))
            .count();
        let hard = group
            .iter()
            .any(|tunnel| tunnel.how == EndingHow::Rst || tunnel.cut);
        let last = group.iter().map(|tunnel| tunnel.ended).max();
        let listener = group
            .first()
            .and_then(|tunnel| self.listeners.get(&tunnel.front))
            .copied()
            .unwrap_or_default();
        let accepted_after = listener.last_accepted > last;
        let refused_after = listener.last_refused > last;
        let process_ended = client_first > backend_first;
        let (code, sure) = if process_ended && accepted_after && !refused_after {
            (Code::ProxyCrashed, Confidence::Likely)
        } else if process_ended && hard && !refused_after {
            (Code::ProxyCrashed, Confidence::Guess)
        } else if process_ended && !refused_after {
            (Code::ProxyRestarted, Confidence::Guess)
        } else {
            (Code::ProxyRestarted, Confidence::Likely)
        };
        let why = if refused_after {
            "Afterwards its port refuses connections: it was stopped."
        } else if process_ended && accepted_after {
            "It closed the clients' side first, as the end of a process does, and accepted new connections afterwards."
        } else if process_ended {
            "It closed the clients' side first, as the end of a process does: stopped, killed or crashed."
        } else {
            "It closed them in good order, the backend's side first, and not after a silence that they have in common: a reload."
        };
        let what = if code == Code::ProxyCrashed {
            "dropped"
        } else {
            "closed"
        };
        let mut draft = Draft::new(code)
            .sure(sure)
            .title(format!(
                "The proxy {proxy} {what} {} at one instant",
                count(group.len(), "tunnel")
            ))
            .detail(why);
        for tunnel in group.iter().take(EVIDENCE) {
            draft = draft.saw(
                tunnel.ended,
                format!("the proxy ends the tunnel behind {}", tunnel.front),
            );
        }
        for tunnel in group {
            for &id in &tunnel.connections {
                draft = draft.about(id);
            }
        }
        draft
    }

    fn overloads(&self) -> Vec<Draft> {
        let mut by_server: BTreeMap<Endpoint, Vec<&Closed>> = BTreeMap::new();
        for closed in &self.closed {
            by_server.entry(closed.server).or_default().push(closed);
        }
        let mut out = Vec::new();
        for (server, mut closed) in by_server {
            let http = self
                .listeners
                .get(&server)
                .is_some_and(|listener| listener.speaks_http)
                || closed.iter().any(|one| one.asked);
            if !http {
                continue;
            }
            // An overload closes at once; what waited was closed for another reason.
            closed.retain(|one| one.ended.at.nanos_since(one.opened.at) <= 2 * TOGETHER_NANOS);
            closed.sort_by_key(|one| one.ended);
            for group in bursts(&closed, |one| one.ended.at) {
                if group.len() < MANY_CLOSED {
                    continue;
                }
                let mut draft = Draft::new(Code::ProxyOverloaded)
                    .sure(Confidence::Likely)
                    .title(format!(
                        "{server} closed {} without an answer within {}",
                        count(group.len(), "connection"),
                        super::text::duration(span(group, |one| one.ended.at).max(1_000_000))
                    ));
                for one in group.iter().take(EVIDENCE) {
                    draft = draft.saw(one.ended, "the server ends the connection, 0 bytes sent");
                }
                for one in group {
                    draft = draft.about(one.id);
                }
                out.push(draft);
            }
        }
        out
    }

    fn affinity(&self) -> Vec<Draft> {
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

/// Runs of items of which each is near the one before. The items are sorted by time.
fn bursts<T>(items: &[T], at: impl Fn(&T) -> Timestamp) -> Vec<&[T]> {
    items
        .chunk_by(|a, b| at(b).nanos_since(at(a)) <= TOGETHER_NANOS)
        .collect()
}

fn span<T>(items: &[T], at: impl Fn(&T) -> Timestamp) -> i64 {
    match (items.first(), items.last()) {
        (Some(first), Some(last)) => at(last).nanos_since(at(first)),
        _ => 0,
    }
}

/// The tunnel, if the proxy ended it without a Close frame.
fn tunnel(handshake: &Handshake, diagnosis: &Diagnosis) -> Option<Tunnel> {
    let session = handshake.session.as_ref()?;
    let ended = session.ended.or_else(|| session.endings.first().copied())?;
    let closed = handshake
        .hops
        .iter()
        .filter_map(Hop::session)
        .any(|facts| !facts.closes.is_empty());
    let outer = handshake.first()?;
    // One hop alone shows the server's side: good enough when many agree.
    let by_proxy = session.ended_by == Some(Party::Proxy)
        || (session.ended_by.is_none() && ended.hop == 0 && ended.by == Side::Server);
    if closed || !by_proxy {
        return None;
    }
    let at = |hop: usize| {
        session
            .endings
            .iter()
            .find(|ending| ending.hop == hop)
            .map(|ending| ending.frame.at)
    };
    let inner = handshake.hops.len().checked_sub(1).filter(|&hop| hop > 0);
    let client_first = match (at(0), inner.and_then(at)) {
        (Some(client), Some(backend)) => Some(client < backend),
        _ => None,
    };
    Some(Tunnel {
        proxy: outer.record.connection.server.ip(),
        front: outer.record.connection.server,
        ended: ended.frame,
        how: if session
            .endings
            .iter()
            .any(|ending| ending.how == EndingHow::Rst)
        {
            EndingHow::Rst
        } else {
            EndingHow::Fin
        },
        connections: handshake
            .hops
            .iter()
            .map(|hop| hop.record.connection.id)
            .collect(),
        idle: matches!(
            diagnosis.cause,
            Some(Code::IdleTimeout | Code::SilentAfter101)
        ),
        client_first,
        cut: handshake
            .hops
            .iter()
            .filter_map(Hop::session)
            .any(|facts| facts.cut_mid_frame.is_some()),
    })
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
        sid: sid(&request.target)?.to_owned(),
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
