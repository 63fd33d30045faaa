//! What only many handshakes and connections together can tell: a restart, a crash, an overload, a lost session; and
//! which failed connections belong to no handshake.
//!
//! Everything is bounded: beyond the limits the oldest observations are forgotten, so a long live capture stays small.
//!
//! How a restart and a crash differ on the wire (measured): at a reload nginx closes its tunnels itself, in the order in
//! which they were opened; when its process ends (killed, crashed, or stopped at once) the kernel closes them, the newest
//! first. After a crash the master starts a new worker and clients come back; after a stop nobody accepts them.

mod affinity;
mod crowd;
mod doors;
mod listeners;
mod lived;
mod mass;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use foldhash::HashMap;

use affinity::Affinity;
use crowd::Crowds;
use doors::Doors;
use lived::Lived;
use mass::{Ended, Listener, Tunnel, bursts, code_of, span, tunnel, why};

use super::draft::{Draft, Values};
use super::program::Program;
use super::story::Story;
use super::text::{count, duration};
use super::{Code, Diagnosis, Finding, Severity};
use crate::capture::{FrameRef, Timestamp};
use crate::decode::Endpoint;
use crate::hop::{BackendSight, Confidence, Handshake, Record, Role};
use crate::tcp::{ConnectionId, Direction, Opening, Side};

/// Tunnels and closed connections remembered: the burst of one reload on a busy proxy fits.
const REMEMBERED: usize = 8192;

/// Listening endpoints and session ids remembered.
const ENDPOINTS: usize = 1024;

/// Connections closed without a byte before it is called an overload.
const MANY_CLOSED: usize = 5;

/// A connection that its server gives up sooner than this was not looked at.
const AT_ONCE_NANOS: i64 = 500_000_000;

/// After this much packet time a failed connection that no handshake claims is on its own.
const UNCLAIMED_AFTER: Duration = Duration::from_secs(2);

/// After this much packet time no handshake of an event is still unsettled.
const COMPLETE_AFTER: Duration = Duration::from_secs(30);

/// Most frames given as evidence of one event.
const EVIDENCE: usize = 8;

/// A connection that its server closed without a byte.
#[derive(Debug, Clone)]
struct Closed {
    server: Endpoint,
    opened: FrameRef,
    ended: FrameRef,
    id: ConnectionId,
    asked: bool,
}

/// A connection with findings of its own, as long as no handshake is settled that has it.
#[derive(Debug, Clone)]
struct Failed {
    last: FrameRef,
    findings: Vec<Finding>,
    /// A handshake that is not settled has it: it is not looked at again before that is.
    claimed: bool,
}

/// Collects handshakes and connections, and says what they show together.
#[derive(Debug, Clone, Default)]
pub struct Across {
    tunnels: VecDeque<Tunnel>,
    crowds: Crowds,
    lived: Lived,
    /// Proxies that were seen to try a backend.
    tried: BTreeSet<Endpoint>,
    /// Findings about connections that a handshake may still claim.
    unclaimed: BTreeMap<ConnectionId, Failed>,
    closed: VecDeque<Closed>,
    listeners: HashMap<Endpoint, Listener>,
    doors: Doors,
    affinity: Affinity,
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

    /// Diagnoses a finished handshake in the light of all others, and takes note of it. Its connections must have been
    /// given to `connection` before.
    pub fn diagnose(&mut self, handshake: &Handshake) -> Diagnosis {
        let diagnosis = self.preview(handshake);
        self.note(handshake);
        if let Some(Code::ProxyRestarted | Code::ProxyCrashed) = diagnosis.cause
            && let Some(tunnel) = tunnel(handshake)
        {
            push(&mut self.tunnels, tunnel);
        }
        diagnosis
    }

    /// Diagnoses a handshake, finished or not, in the light of what is known by now.
    pub fn preview(&self, handshake: &Handshake) -> Diagnosis {
        let mut diagnosis = super::diagnose(handshake);
        if let Some(seen) = self.backend_was_in_sight(handshake, &diagnosis) {
            diagnosis = super::diagnose(&seen);
        }
        if let Some(seen) = self.lived.longer_than(handshake, &diagnosis) {
            diagnosis = super::diagnose(&seen);
        }
        if let Some(together) = self.ended_with_others(handshake, &diagnosis) {
            return together;
        }
        self.crowds.confirm(handshake, &mut diagnosis);
        self.told_by_others(handshake, &mut diagnosis);
        self.failed_before(handshake, &mut diagnosis);
        diagnosis
    }

    /// A proxy that was seen failing to reach its backends has probably none left; else its upstream may be one that
    /// cannot be seen.
    fn failed_before(&self, handshake: &Handshake, diagnosis: &mut Diagnosis) {
        let failed = handshake
            .first()
            .is_some_and(|outer| self.tried.contains(&outer.record.connection.server));
        let own = |finding: &&mut Finding| finding.code == Code::NoLiveBackend;
        if failed && let Some(finding) = diagnosis.findings.iter_mut().find(own) {
            finding.confidence = Confidence::Likely;
        }
    }

    fn note(&mut self, handshake: &Handshake) {
        for id in ids(handshake) {
            self.unclaimed.remove(&id);
        }
        if !handshake.attempts.is_empty()
            && self.tried.len() < ENDPOINTS
            && let Some(outer) = handshake.first()
        {
            self.tried.insert(outer.record.connection.server);
        }
        self.affinity.handshake(handshake);
        self.doors.handshake(handshake);
    }

    /// A 502 for which no backend was tried, by a proxy whose tries are in this capture: it had nobody left to ask.
    fn backend_was_in_sight(
        &self,
        handshake: &Handshake,
        diagnosis: &Diagnosis,
    ) -> Option<Handshake> {
        let front = handshake.first()?.record.connection.server;
        let hidden = handshake.backend == BackendSight::NotVisible
            && diagnosis.cause == Some(Code::BadGateway);
        (hidden && self.tried.contains(&front)).then(|| Handshake {
            backend: BackendSight::NotContacted,
            ..handshake.clone()
        })
    }

    /// A tunnel that the proxy ended at the same instant as others, which have no silence in common.
    fn ended_with_others(&self, handshake: &Handshake, diagnosis: &Diagnosis) -> Option<Diagnosis> {
        // One hop does not tell a proxy from the backend behind it.
        let alone = handshake.hops.len() == 1;
        let ours = diagnosis.cause.filter(|code| match code {
            Code::ProxyClosed | Code::IdleTimeout | Code::SilentAfter101 => true,
            Code::BackendClosedWithoutClose | Code::CutMidFrame => alone,
            _ => false,
        })?;
        let outer = handshake.first()?;
        if alone && outer.role != Role::ClientProxy {
            return None;
        }
        let front = outer.record.connection.server;
        let end = outer
            .record
            .connection
            .ended
            .filter(|end| end.by == Side::Server)?;
        let group = self.crowds.of(front, Side::Server, end.frame)?;
        let group: Vec<&Ended> = group.iter().collect();
        let tunnel = tunnel(handshake)?;
        let listener = self.listeners.get(&front).copied().unwrap_or_default();
        let (code, sure) = code_of(&group, listener);
        let sure = if alone { Confidence::Guess } else { sure };
        let proxy = who(tunnel.proxy, alone);
        let title = format!(
            "{proxy} closed this tunnel together with {} at one instant",
            count(group.len() - 1, "other")
        );
        let program = Story::new(handshake).map(|story| story.program_at(story.outer));
        let mut draft = Draft::new(code)
            .may_be_by(program)
            // The event as a whole is one error, said once; each tunnel is one of its victims.
            .bad(Severity::Warning)
            .sure(sure)
            .title(title.clone())
            .about_all(ids(handshake));
        for other in group.iter().take(EVIDENCE) {
            draft = draft.saw(other.frame, format!("{front} ends a tunnel"));
        }
        let mut findings: Vec<Finding> = draft
            .saw(end.frame, "it ends this one")
            .finish(&Values::default())
            .into_iter()
            .collect();
        // What was concluded from this tunnel alone gives way.
        let replaced = [
            ours,
            Code::ProxyClosed,
            Code::IdleTimeout,
            Code::SilentAfter101,
        ];
        findings.extend(
            diagnosis
                .findings
                .iter()
                .filter(|finding| !replaced.contains(&finding.code))
                .cloned(),
        );
        Some(Diagnosis {
            cause: Some(code),
            headline: title,
            findings,
            ended_by: diagnosis.ended_by.filter(|_| !alone),
            ..diagnosis.clone()
        })
    }

    /// The clock that stamps the frames was set, at this moment of its former time.
    pub fn clock_set(&mut self, before: Timestamp) {
        self.lived.clock_set(before);
    }

    /// Takes note of a finished connection, whether it is part of a handshake or not. Whether a finding that is about no
    /// handshake may name it later.
    pub fn connection(&mut self, record: &Record) -> bool {
        let connection = &record.connection;
        self.listen(record);
        self.crowds.note(record);
        self.lived.note(record);
        let findings = super::diagnose_connection(record);
        let mut notable = !findings.is_empty();
        if !findings.is_empty() && self.unclaimed.len() < REMEMBERED {
            let failed = Failed {
                last: connection.last,
                findings,
                claimed: false,
            };
            self.unclaimed.insert(connection.id, failed);
        }
        if let Some(end) = connection.ended
            && end.by == Side::Server
            && connection.opening == Opening::Complete
            && connection.to_client.payload_bytes == 0
            && record.shows(Direction::ToClient)
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
        notable |= self.affinity.connection(record);
        notable |= self.doors.connection(record);
        notable
    }

    fn listen(&mut self, record: &Record) {
        let connection = &record.connection;
        if self.listeners.len() >= ENDPOINTS && !self.listeners.contains_key(&connection.server) {
            return;
        }
        let listener = self.listeners.entry(connection.server).or_default();
        if record.exchange_count > 0 {
            let answered = match record.proxy_header {
                Some(_) => &mut listener.answered_behind_header,
                None => &mut listener.answered_without,
            };
            *answered = answered.or(connection.to_client.first_data);
        }
        listener.speaks_http |= record.exchange_count > 0 && connection.to_client.payload_bytes > 0;
        if let Some(frame) = connection.syn_ack {
            listener.last_accepted = listener.last_accepted.max(Some(frame));
        }
        if connection.opening == Opening::Refused {
            listener.last_refused = listener.last_refused.max(Some(connection.first));
        }
    }

    /// Whether `due` may have something to say.
    pub fn has_due(&self, now: Timestamp) -> bool {
        let (failed, complete) = (now.minus(UNCLAIMED_AFTER), now.minus(COMPLETE_AFTER));
        self.unclaimed
            .values()
            .any(|one| !one.claimed && one.last.at <= failed)
            || self.tunnels.front().is_some_and(|t| t.ended.at <= complete)
            || self.closed.front().is_some_and(|c| c.ended.at <= complete)
            || self.doors.has_due(complete)
    }

    /// What is certain by now, and forgets it. `claimed`: connections of handshakes that are not settled yet, which is
    /// expensive to know and only asked for where it matters.
    pub fn due(
        &mut self,
        now: Timestamp,
        claimed: impl FnOnce() -> BTreeSet<ConnectionId>,
    ) -> Vec<Finding> {
        let failed = now.minus(UNCLAIMED_AFTER);
        let mut findings = Vec::new();
        let any_due = self
            .unclaimed
            .values()
            .any(|one| !one.claimed && one.last.at <= failed);
        let claimed = any_due.then(claimed).unwrap_or_default();
        self.unclaimed.retain(|id, one| {
            one.claimed |= claimed.contains(id);
            let keep = one.claimed || one.last.at > failed;
            if !keep {
                findings.append(&mut one.findings);
            }
            keep
        });
        let complete = now.minus(COMPLETE_AFTER);
        if self.tunnels.back().is_none_or(|t| t.ended.at <= complete)
            && self.closed.back().is_none_or(|c| c.ended.at <= complete)
        {
            findings.extend(finished(self.events()));
            self.tunnels.clear();
            self.closed.clear();
        }
        findings.extend(finished(self.doors.due(complete)));
        findings
    }

    /// What all of it shows together, and forgets it: to be called at the end of the captures.
    pub fn finish(&mut self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = std::mem::take(&mut self.unclaimed)
            .into_values()
            .flat_map(|failed| failed.findings)
            .collect();
        let mut drafts = self.events();
        drafts.extend(self.affinity.lost());
        drafts.extend(self.doors.all());
        findings.extend(finished(drafts));
        *self = Self::default();
        findings
    }

    fn events(&self) -> Vec<Draft> {
        let mut drafts = self.mass_endings();
        drafts.extend(self.overloads());
        drafts
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
                out.push(self.mass_ending(proxy, group));
            }
        }
        out
    }

    fn mass_ending(&self, proxy: IpAddr, group: &[&Tunnel]) -> Draft {
        let listener = group
            .first()
            .and_then(|tunnel| self.listeners.get(&tunnel.front))
            .copied()
            .unwrap_or_default();
        let (code, sure) = code_of(group, listener);
        let alone = group.iter().all(|tunnel| tunnel.connections.len() == 1);
        let sure = if alone { Confidence::Guess } else { sure };
        let why = why(group, listener);
        let what = if code == Code::ProxyCrashed {
            "dropped"
        } else {
            "closed"
        };
        let programs = group.iter().map(|tunnel| tunnel.program);
        let program = programs
            .reduce(|one, other| if one == other { one } else { Program::Unknown })
            .unwrap_or(Program::Unknown);
        let mut draft = Draft::new(code)
            .by(program)
            .sure(sure)
            .title(format!(
                "{} {what} {} at one instant",
                who(proxy, alone),
                count(group.len(), "tunnel")
            ))
            .detail(why);
        for tunnel in group.iter().take(EVIDENCE) {
            draft = draft.saw(
                tunnel.ended,
                format!("the proxy ends the tunnel behind {}", tunnel.front),
            );
        }
        let connections = group.iter().flat_map(|tunnel| &tunnel.connections);
        draft.about_all(connections.copied())
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
            closed.retain(|one| one.ended.at.nanos_since(one.opened.at) <= AT_ONCE_NANOS);
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
                        duration(span(group, |one| one.ended.at).max(1_000_000))
                    ));
                for one in group.iter().take(EVIDENCE) {
                    draft = draft.saw(one.ended, "the server ends the connection, 0 bytes sent");
                }
                out.push(draft.about_all(group.iter().map(|one| one.id)));
            }
        }
        out
    }
}

/// Who ended many tunnels at once.
fn who(proxy: IpAddr, alone: bool) -> String {
    if alone {
        format!("The proxy {proxy}, or what is behind it,")
    } else {
        format!("The proxy {proxy}")
    }
}

fn finished(drafts: Vec<Draft>) -> impl Iterator<Item = Finding> {
    drafts
        .into_iter()
        .filter_map(|draft| draft.finish(&Values::default()))
}

/// All connections of a handshake.
fn ids(handshake: &Handshake) -> impl Iterator<Item = ConnectionId> + '_ {
    let hops = handshake.hops.iter().chain(&handshake.subrequests);
    hops.flat_map(|hop| hop.copies.iter().chain([&hop.record]))
        .chain(handshake.attempts.iter().map(|attempt| &attempt.record))
        .map(|record| record.connection.id)
}
