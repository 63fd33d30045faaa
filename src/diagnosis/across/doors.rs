//! Clients that come back to a server and find the door shut: refused, or not answered.
//!
//! A refused SYN alone says nothing about WebSocket: scans and probes are full of them, and who waits for a server to start
//! asks until it does. It is told where the same client had made a handshake with that very address and port before.

use std::collections::BTreeMap;
use std::net::IpAddr;

use foldhash::HashMap;

use super::EVIDENCE;
use crate::capture::{FrameRef, Timestamp};
use crate::decode::{Endpoint, Unreachable};
use crate::diagnosis::Code;
use crate::diagnosis::draft::Draft;
use crate::diagnosis::text::{count, duration};
use crate::hop::{Confidence, Handshake, Record, Role};
use crate::tcp::{Connection, ConnectionId, Opening};

/// Clients of servers remembered: about 1 MiB.
const VISITORS_MAX: usize = 8192;

/// Rows of failures remembered: about 2 MiB. Those of who was never seen to make a handshake take half of them at most.
const ROWS_MAX: usize = 8192;

/// A failure so long after the one before begins another row.
const APART_NANOS: i64 = 30_000_000_000;

/// A server that is there answers the first SYN, or the second one a second later; three of them are no chance.
const SYNS: u32 = 3;

/// The time that three SYNs take (RFC 6298 2.1, 5.5).
const PATIENCE_NANOS: i64 = 3_000_000_000;

/// Failures of a row that are told one by one; further ones are counted.
const NAMED_MAX: usize = 64;

/// A server, and the address of its client.
type Pair = (Endpoint, IpAddr);

/// A connection that its server did not take.
#[derive(Debug, Clone, Copy)]
struct Failure {
    id: ConnectionId,
    syn: FrameRef,
    syns: u32,
    waited_nanos: i64,
    /// What says so, where anything came back.
    answer: Option<(FrameRef, &'static str)>,
}

/// Connections of one client that one server did not take, one after the other.
#[derive(Debug, Clone)]
struct Row {
    code: Code,
    failures: Vec<Failure>,
    /// Further ones.
    more: usize,
    last: FrameRef,
}

/// Who came, and who was not let in.
#[derive(Debug, Clone, Default)]
pub(super) struct Doors {
    /// Where a client's first handshake with a server began.
    visitors: HashMap<Pair, FrameRef>,
    /// The failures since, by pair and first frame.
    rows: BTreeMap<(Endpoint, IpAddr, FrameRef), Row>,
    /// The row to which a pair's next failure belongs.
    open: HashMap<Pair, FrameRef>,
}

impl Doors {
    /// A handshake was settled.
    pub(super) fn handshake(&mut self, handshake: &Handshake) {
        for attempt in &handshake.attempts {
            // A proxy's own failed connects have findings of their own.
            self.forget(&attempt.record.connection);
        }
        let Some(outer) = handshake.first() else {
            return;
        };
        let connection = &outer.record.connection;
        if outer.role == Role::ProxyBackend || connection.is_one_sided() {
            return;
        }
        let pair = (connection.server, connection.client.ip());
        if self.visitors.len() < VISITORS_MAX || self.visitors.contains_key(&pair) {
            let first = self.visitors.entry(pair).or_insert(connection.first);
            *first = (*first).min(connection.first);
        }
    }

    fn forget(&mut self, connection: &Connection) {
        let (server, client) = (connection.server, connection.client.ip());
        if let Some(first) = self.open.get(&(server, client)).copied()
            && let Some(row) = self.rows.get(&(server, client, first))
            && row.failures.iter().any(|one| one.id == connection.id)
        {
            self.open.remove(&(server, client));
            self.rows.remove(&(server, client, first));
        }
    }

    /// A connection left the table: whether a finding may name it.
    pub(super) fn connection(&mut self, record: &Record) -> bool {
        let connection = &record.connection;
        let Some((code, failure)) = failure(connection) else {
            return false;
        };
        let (server, client) = (connection.server, connection.client.ip());
        let pair = (server, client);
        let known = self.open.get(&pair).copied();
        let known = known.and_then(|first| self.rows.get_mut(&(server, client, first)));
        if let Some(row) = known
            && row.code == code
            && failure.syn.at.nanos_since(row.last.at) <= APART_NANOS
        {
            return row.add(failure);
        }
        let most = if self.visitors.contains_key(&pair) {
            ROWS_MAX
        } else {
            ROWS_MAX / 2
        };
        if self.rows.len() >= most {
            return false;
        }
        let row = Row {
            code,
            failures: vec![failure],
            more: 0,
            last: failure.syn,
        };
        self.rows.insert((server, client, failure.syn), row);
        self.open.insert(pair, failure.syn);
        true
    }

    /// Whether a row came to its end before this time.
    pub(super) fn has_due(&self, before: Timestamp) -> bool {
        !self.visitors.is_empty()
            && self.rows.iter().any(|(&(server, client, _), row)| {
                row.last.at <= before && self.visitors.contains_key(&(server, client))
            })
    }

    /// What to tell of rows that came to their end before this time, and forgets them.
    pub(super) fn due(&mut self, before: Timestamp) -> Vec<Draft> {
        self.told(|row| row.last.at <= before)
    }

    /// What to tell of all.
    pub(super) fn all(&mut self) -> Vec<Draft> {
        self.told(|_| true)
    }

    fn told(&mut self, is_over: impl Fn(&Row) -> bool) -> Vec<Draft> {
        let mut drafts = Vec::new();
        let Self {
            visitors,
            rows,
            open,
        } = self;
        rows.retain(|&(server, client, _), row| {
            let came = visitors.get(&(server, client)).filter(|_| is_over(row));
            drafts.extend(came.and_then(|came| row.draft(server, client, *came)));
            came.is_none()
        });
        open.retain(|&(server, client), first| rows.contains_key(&(server, client, *first)));
        drafts
    }
}

impl Row {
    /// Adds a failure: whether there is room to name it.
    fn add(&mut self, failure: Failure) -> bool {
        self.last = self.last.max(failure.syn);
        let room = self.failures.len() < NAMED_MAX;
        if room {
            self.failures.push(failure);
        } else {
            self.more += 1;
        }
        room
    }

    /// What to tell of those that failed after the client's first handshake.
    fn draft(&self, server: Endpoint, client: IpAddr, came: FrameRef) -> Option<Draft> {
        let since: Vec<&Failure> = self
            .failures
            .iter()
            .filter(|failure| failure.syn > came)
            .collect();
        let first = since.first()?;
        let all = since.len() + self.more;
        let what = if self.code == Code::ConnectRefused {
            "refused"
        } else {
            "did not answer"
        };
        let mut draft = Draft::new(self.code)
            .sure(Confidence::Likely)
            .title(format!(
                "{server} {what} {} of its WebSocket client {client}",
                count(all, "connection")
            ));
        let before = "The client had made a handshake with it before.";
        draft = draft.detail(if all > 1 {
            let time = self.last.at.nanos_since(first.syn.at);
            format!("All within {}. {before}", duration(time))
        } else {
            before.to_owned()
        });
        for failure in since.iter().take(EVIDENCE) {
            draft = if let Some((frame, shows)) = failure.answer {
                draft.saw(frame, shows)
            } else {
                let many = count(failure.syns as usize, "SYN");
                let time = duration(failure.waited_nanos);
                draft.saw(failure.syn, format!("{many} in {time}, and no answer"))
            };
        }
        Some(draft.about_all(since.iter().map(|failure| failure.id)))
    }
}

/// How a connection failed to open, if it did.
fn failure(connection: &Connection) -> Option<(Code, Failure)> {
    let syn = connection.syn?;
    let waited_nanos = connection.last.at.nanos_since(syn.at);
    let (code, answer) = match (connection.opening, connection.unreachable) {
        (Opening::Refused, Some((frame, Unreachable::Prohibited))) => (
            Code::ConnectRefused,
            Some((frame, "ICMP administratively prohibited instead of SYN-ACK")),
        ),
        (Opening::Refused, Some((frame, _))) => (
            Code::ConnectRefused,
            Some((frame, "ICMP port unreachable instead of SYN-ACK")),
        ),
        (Opening::Refused, None) => {
            let end = connection.ended?;
            (
                Code::ConnectRefused,
                Some((end.frame, "RST instead of SYN-ACK")),
            )
        }
        (Opening::Unanswered, Some((frame, why))) if why != Unreachable::TooBig => (
            Code::ConnectUnanswered,
            Some((frame, "ICMP destination unreachable instead of SYN-ACK")),
        ),
        (Opening::Unanswered, None)
            if connection.syns >= SYNS && waited_nanos >= PATIENCE_NANOS =>
        {
            (Code::ConnectUnanswered, None)
        }
        _ => return None,
    };
    let failure = Failure {
        id: connection.id,
        syn,
        syns: connection.syns,
        waited_nanos,
        answer,
    };
    Some((code, failure))
}
