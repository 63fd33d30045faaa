//! Decides when the exchanges of a run are complete enough to be paired, and which of them together.
//!
//! ```text
//!  attempt (still open) --+
//!                         v        linger       family: shares a link, or in flight at the same time
//!  closed connection --> held ----------------> all closed --------> paired, emitted, forgotten
//!                         ^                     some open  --------> wait, then a snapshot of them
//! ```
//!
//! Where the exchanges are is the index's business, which of them belong together that of `family`; when they are looked
//! at, this one's.
//!
//! Time is packet time. What is held follows the number of exchanges not yet emitted; every step looks at what
//! becomes due and a bounded number of its neighbours.

mod family;
mod preview;
mod sealed;
mod settling;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::net::IpAddr;
use std::time::Duration;

use foldhash::{HashMap, HashMapExt as _};
use smallvec::SmallVec;

use super::asked::Asked;
use super::fronts::Fronts;
use super::index::{Brief, Index, NEIGHBOURS_MAX};
use super::known::Known;
use super::link::{nested, strong_key};
use super::node::{Node, Slot};
use super::open::{Attempts, Open, OpenAttempts};
use super::ordinary::OrdinaryPool;
use super::pairing::nodes_of;
use super::record::{Record, SharedRecord};
use super::relayed::Relayed;
use super::silent::SilentPool;
use super::{attempts, copies};
use crate::capture::Timestamp;
use crate::http::RequestHead;
use crate::tcp::{Connection, ConnectionId};
use crate::tls::Sizes;

/// How long a closed connection waits for others of its handshake to close: a proxy closes both hops within
/// milliseconds, a capture over several interfaces may deliver them a little apart. The table has waited as well.
const LINGER: Duration = Duration::from_millis(250);

/// How long a handshake waits for connections that stay open: longer than nginx keeps idle connections by default
/// (`keepalive_timeout` 75 s towards clients, 60 s towards upstreams).
const MAX_WAIT: Duration = Duration::from_secs(80);

/// A record that is so much later than the time told is from before the clock was set back.
const CLOCK_STEP_NANOS: i64 = 30_000_000_000;

/// Memory that the exchanges that wait may usually take: about 120,000 with usual heads.
pub const HELD_BYTES: usize = 512 << 20;

/// Attempts looked at to see whether an ordinary exchange is near one: there are many more of those.
const ORDINARY_NEAR: usize = 8;

/// Connections that are still open.
pub trait OpenConnections {
    /// A connection as it is now.
    fn snapshot(&self, id: ConnectionId) -> Option<Record>;

    /// The same, to be kept by several.
    fn shared(&self, id: ConnectionId) -> Option<SharedRecord> {
        self.snapshot(id).map(Into::into)
    }

    /// How long the first records of a TLS connection are, where nobody opens them.
    fn sizes(&self, _: ConnectionId) -> Option<&Sizes> {
        None
    }

    /// How the bytes of its session came, as far as that was taken down.
    fn relayed(&self, _: ConnectionId) -> Option<&Relayed> {
        None
    }

    /// Connections without any payload so far whose first SYN lies within these times (both included): connects that
    /// hang. Those that do not know answer with none; such connects are then found when they leave the table.
    fn without_payload(&self, _from: Timestamp, _to: Timestamp) -> Vec<Record> {
        Vec::new()
    }
}

/// Whether times of all captures can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Clocks {
    /// One capture, or several interfaces of one host.
    Same,
    /// Several captures of several hosts: pairs may lie any time apart, so that all is paired at the end.
    MayDiffer,
}

#[derive(Debug)]
struct Held {
    /// Boxed, so that the map stays small while it grows.
    node: Box<Node>,
    closed: Timestamp,
}

/// The exchanges that are not yet part of an emitted handshake.
#[derive(Debug)]
pub struct Book {
    clocks: Clocks,
    now: Timestamp,
    held: HashMap<Slot, Held>,
    /// Bytes of memory that these take, about.
    held_bytes: usize,
    /// How many they may take.
    room: usize,
    /// Emitted before their time.
    hurried: u64,
    open: OpenAttempts,
    /// Emitted from a snapshot while their connection was open.
    emitted: BTreeSet<Slot>,
    index: Index,
    /// When each of those held is looked at next, the soonest first.
    due: BinaryHeap<Reverse<(Timestamp, Slot)>>,
    silent: SilentPool,
    ordinary: OrdinaryPool,
    fronts: Fronts,
    /// Connections with a session that was up when the capture began, and of which nothing was emitted yet.
    late: BTreeSet<ConnectionId>,
    known: Known,
    /// Somebody asks for previews.
    previews: bool,
    /// Held exchanges of which no preview has told: of connections that stay, or closed between two previews.
    untold: Vec<Slot>,
}

impl Book {
    /// An empty book.
    pub fn new(clocks: Clocks) -> Self {
        Self {
            clocks,
            now: Timestamp::from_nanos(i64::MIN),
            held: HashMap::new(),
            held_bytes: 0,
            room: HELD_BYTES,
            hurried: 0,
            open: OpenAttempts::default(),
            emitted: BTreeSet::new(),
            index: Index::default(),
            due: BinaryHeap::new(),
            silent: SilentPool::default(),
            ordinary: OrdinaryPool::default(),
            fronts: Fronts::default(),
            late: BTreeSet::new(),
            known: Known::default(),
            previews: false,
            untold: Vec::new(),
        }
    }

    /// The same with this room for what waits, in bytes.
    #[must_use]
    pub fn with_room(mut self, bytes: usize) -> Self {
        self.room = bytes;
        self
    }

    /// The request of a handshake attempt was seen on a connection that is still open. `introduced`: a PROXY header
    /// names the connection's client.
    pub fn attempt(
        &mut self,
        connection: &Connection,
        exchange: u32,
        head: &RequestHead,
        introduced: bool,
    ) {
        let at = head.span.first.at;
        self.saw(at);
        let slot = Slot {
            connection: connection.id,
            exchange,
        };
        if self.emitted.contains(&slot) || self.held.contains_key(&slot) {
            return;
        }
        let mut asked = Asked::of(&head.fields);
        asked.may_name_port |= introduced;
        let brief = Brief::open(connection, &asked);
        let key = asked.key;
        self.index.insert(at, slot, brief, key.map(|key| key.link));
        if let Some(key) = key.filter(|key| !key.is_sample) {
            self.index.note_forwarding(key.link);
        }
        let open = Open {
            at,
            asked,
            seen: None,
            told: false,
        };
        self.open.insert(slot, open);
    }

    /// An attempt on a connection that is still open was answered.
    pub fn answered(&mut self, connection: ConnectionId, exchange: u32, at: Timestamp) {
        let slot = Slot {
            connection,
            exchange,
        };
        if let Some(open) = self.open.get(slot) {
            self.index.answered(open.at, slot, at);
        }
    }

    /// Goes on with the time of a frame. Times from before the clock was set are no news.
    fn saw(&mut self, at: Timestamp) {
        let known = self.now != Timestamp::from_nanos(i64::MIN);
        if !known || at.nanos_since(self.now) <= CLOCK_STEP_NANOS {
            self.now = self.now.max(at);
        }
    }

    /// The clock that stamps the frames was set: what waits begins to wait anew.
    pub fn clock_set(&mut self, now: Timestamp) {
        self.now = now;
        for held in self.held.values_mut() {
            held.closed = now;
        }
        let due = std::mem::take(&mut self.due).into_iter();
        self.due = due
            .map(|Reverse((_, slot))| Reverse((now.plus(LINGER), slot)))
            .collect();
    }

    /// An address that sends attempts: what it fails to connect to may belong to one.
    pub fn asked_by(&mut self, client: IpAddr) {
        self.silent.asked_by(client);
    }

    /// A TLS session began on a connection whose first frame is of this time, and it may carry HTTP/1.
    pub fn sealed(&mut self, connection: &Connection) {
        self.fronts.opened(connection.first.at, connection.id);
    }

    /// A session was noticed on a connection that was up when the capture began.
    pub fn late(&mut self, id: ConnectionId) {
        self.late.insert(id);
    }

    /// A connection left the table.
    pub fn closed(&mut self, mut record: Record) {
        self.close(&mut record);
    }

    /// The same; takes out of the record what is said on it, if it is to be kept. Most are not, and a record is large.
    pub fn close(&mut self, record: &mut Record) {
        let id = record.connection.id;
        self.saw(record.connection.last.at);
        self.known.note_opaque(record);
        if record.tls.is_some() {
            let wanted = self.clocks == Clocks::MayDiffer || self.index.oldest().is_some();
            self.fronts.closed(record, wanted);
        }
        if attempts::is_candidate(record) {
            let (began, _) = attempts::place(record);
            let needed =
                self.clocks == Clocks::MayDiffer || self.index.is_near(began, NEIGHBOURS_MAX);
            if needed {
                self.silent.keep(record, &self.known);
            } else {
                self.silent.keep_early(record, &self.known);
            }
            return;
        }
        let opened = self.open.take(id);
        let emitted = self.take_emitted(id);
        // The only one keeps its place in the index; otherwise each is held as if it were new.
        let has = |exchange: u32| record.exchanges.iter().any(|one| one.index == exchange);
        let stays =
            matches!(*opened, [(exchange, _)] if has(exchange)) && record.ordinary.is_empty();
        if !stays {
            self.leave_index(id, &opened);
        }
        if record.exchanges.is_empty() && record.ordinary.is_empty() {
            return;
        }
        let record = SharedRecord::from(record.take());
        for exchange in &record.ordinary {
            self.ordinary.learn(&record, exchange, &mut self.known);
            if self.index.is_near(exchange.request, ORDINARY_NEAR) || self.index.is_within(exchange)
            {
                self.ordinary.keep(&record, exchange);
            }
        }
        for (place, exchange) in record.exchanges.iter().enumerate() {
            let slot = Slot {
                connection: id,
                exchange: exchange.index,
            };
            if emitted.contains(&slot) {
                continue;
            }
            let of_this = opened.iter().find(|(number, _)| *number == exchange.index);
            let open = of_this.map(|(_, open)| open);
            let asked = open.map(|open| open.asked);
            let Some(node) = Node::new(&record, place, asked) else {
                continue;
            };
            self.hold(node, open.filter(|_| stays));
            if self.previews && open.is_some_and(|open| !open.told) {
                self.untold.push(slot);
            }
        }
    }

    /// Exchanges of a connection that stays are over: as if it had closed for them.
    pub fn chapter(&mut self, record: Record) {
        self.saw(record.connection.last.at);
        let record = SharedRecord::from(record);
        for node in nodes_of(&record) {
            let slot = node.slot;
            let told = self.forget_open(slot).is_none_or(|open| open.told);
            if !self.emitted.remove(&slot) {
                self.hold(node, None);
                if self.previews && !told {
                    self.untold.push(slot);
                }
            }
        }
    }

    /// How many connections and exchanges are kept: what memory follows.
    pub fn kept(&self) -> usize {
        self.held.len() + self.open.len() + self.silent.all().len() + self.ordinary.all().len()
    }

    /// Those of a connection that were emitted while it was open.
    fn take_emitted(&mut self, connection: ConnectionId) -> SmallVec<[Slot; 1]> {
        let first = Slot {
            connection,
            ..Slot::FIRST
        };
        let last = Slot {
            connection,
            ..Slot::LAST
        };
        let emitted: SmallVec<[Slot; 1]> = self.emitted.range(first..=last).copied().collect();
        for slot in &emitted {
            self.emitted.remove(slot);
        }
        emitted
    }

    /// Attempts that are open no more leave the index.
    fn leave_index(&mut self, connection: ConnectionId, opened: &Attempts) {
        for &(exchange, ref open) in opened {
            let slot = Slot {
                connection,
                exchange,
            };
            self.index.remove(open.at, slot, open.link());
        }
    }

    /// Holds an exchange that is over. `open`: as what it still stands in the index.
    fn hold(&mut self, node: Node, open: Option<&Open>) {
        let slot = node.slot;
        let start = node.start().at;
        let placed = open.filter(|open| open.at == start);
        if let Some(open) = open.filter(|_| placed.is_none()) {
            self.index.remove(open.at, slot, open.link());
        }
        let known = placed.and_then(Open::link);
        let links = node.links.iter().map(|&(_, link)| link);
        let links = links.filter(|link| known != Some(*link));
        self.index.insert(start, slot, Brief::of(&node), links);
        let closed = self.now;
        self.due.push(Reverse((closed.plus(LINGER), slot)));
        let node = Box::new(node);
        self.held_bytes += node.held();
        self.held.insert(slot, Held { node, closed });
        self.learn_forwarding(slot);
    }

    /// Learns the proxy's address from two held exchanges that share a key with each other and nobody else.
    fn learn_forwarding(&mut self, slot: Slot) -> Option<()> {
        let (_, link) = self.held.get(&slot)?.node.accept_link()?;
        let (first, second) = self.index.only_two(link)?;
        let (outer, inner) = (&self.held.get(&first)?.node, &self.held.get(&second)?.node);
        let forwards = outer.begin.is_some()
            && inner.begin.is_some()
            && nested(outer, inner)
            && strong_key(outer, inner).is_some()
            // What translates addresses is no proxy.
            && !copies::are_one(outer, inner);
        if forwards && !inner.asked.is_sample() {
            let (front, back) = (&outer.record.connection, &inner.record.connection);
            let capture = inner.capture();
            self.known.learn(front.server, back.client.ip(), capture);
        }
        self.index.set_forwarding(
            (outer.start().at, first),
            (inner.start().at, second),
            forwards,
        );
        Some(())
    }

    fn forget_open(&mut self, slot: Slot) -> Option<Open> {
        let open = self.open.remove(slot)?;
        self.index.remove(open.at, slot, open.link());
        Some(open)
    }

    fn forget_held(&mut self, slot: Slot) -> Option<Box<Node>> {
        let Held { node, .. } = self.held.remove(&slot)?;
        self.late.remove(&slot.connection);
        self.held_bytes = self.held_bytes.saturating_sub(node.held());
        let links = node.links.iter().map(|&(_, link)| link);
        self.index.remove(node.start().at, slot, links);
        Some(node)
    }
}
