//! The table of connections: finds the one a segment belongs to, and lets go of those that are over.
//!
//! ```text
//!  segment -> key -> index -> embryo  (80 bytes: an opening and nothing else)
//!                          -> flow    (a connection with payload, a handshake or an oddity)
//!                 no entry -> tombs   (left lately: a late copy?) -> a new connection
//! ```
//!
//! Flows and embryos lie in rows, a hash table holds their numbers. The order of all calls to the handler follows from
//! the segments alone, never from hashes: the hash seed is another one in every run.

use std::hash::BuildHasher;

use hashbrown::{HashMap, HashTable};

use super::agenda::Agenda;
use super::embryo::{Embryo, Step, blank, by_port};
use super::flow::{Env, Flow};
use super::limits::{LimitKind, Limits, OPENINGS_MAX, Stats};
use super::lookup::ROUND;
use super::nursery::Nursery;
use super::row::Row;
use super::tombs::{Tombs, spread};
use super::{Connection, ConnectionId, GapCause, Handler, Opening, RolesFrom};
use crate::capture::{FrameRef, Timestamp};
use crate::decode::{IcmpError, Key, Segment};

/// All connections that are under way.
#[derive(Debug)]
pub struct Table<H: Handler> {
    hasher: foldhash::fast::RandomState,
    index: HashTable<Entry>,
    pub(super) nursery: Nursery,
    pub(super) flows: Row<Option<Flow<H::State>>>,
    pub(super) free: Vec<u32>,
    /// Flows by the number of their connection.
    ids: HashMap<u64, u32, foldhash::fast::RandomState>,
    pub(super) tombs: Tombs,
    pub(super) agenda: Agenda,
    pub(super) env: Env,
    /// Segments so far.
    pub(super) segments: u64,
    next_id: u64,
    /// Nanoseconds from the time of a segment to that of `env.clock`.
    pub(super) shift: i64,
    /// The frame being looked at.
    pub(super) now: Option<FrameRef>,
}

/// Where a connection lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Embryo(u32),
    Flow(u32),
}

/// An entry of the index. 8 bytes: the hash is kept so that growth needs no look at the connections.
#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u32,
    /// The highest bit tells an embryo.
    place: u32,
}

const EMBRYO: u32 = 1 << 31;

impl Place {
    pub(super) const fn pack(self) -> u32 {
        match self {
            Self::Embryo(slot) => slot | EMBRYO,
            Self::Flow(slot) => slot,
        }
    }

    const fn unpack(place: u32) -> Self {
        if place & EMBRYO != 0 {
            Self::Embryo(place & !EMBRYO)
        } else {
            Self::Flow(place)
        }
    }
}

impl<H: Handler> Table<H> {
    /// An empty table.
    pub fn new(limits: Limits) -> Self {
        Self {
            hasher: foldhash::fast::RandomState::default(),
            index: HashTable::new(),
            nursery: Nursery::default(),
            flows: Row::default(),
            free: Vec::new(),
            ids: HashMap::with_hasher(foldhash::fast::RandomState::default()),
            tombs: Tombs::default(),
            agenda: Agenda::new(),
            env: Env {
                clock: i64::MIN,
                stamp: i64::MIN,
                buffered: 0,
                limits,
                stats: Stats::default(),
            },
            segments: 0,
            next_id: 0,
            shift: 0,
            now: None,
        }
    }

    /// Goes on with another number, as after that many connections.
    #[cfg(test)]
    pub(super) fn begin_at(&mut self, next_id: u64) {
        self.next_id = next_id;
    }

    /// Takes an ICMP error. It is believed when the packet it quotes is plausible for the connection.
    pub fn icmp(&mut self, handler: &mut H, error: &IcmpError) {
        self.now = Some(error.frame);
        self.tick(handler, error.frame.at.nanos());
        let (key, sender) = Key::new(error.source, error.destination);
        let hash = self.hash(&key);
        let slot = match self.find(&key, hash) {
            Some(Place::Flow(slot)) => slot,
            Some(Place::Embryo(slot)) => {
                let Some(embryo) = self.nursery.get_mut(slot) else {
                    return;
                };
                let id = embryo.id();
                match embryo.icmp(sender, error) {
                    Step::Grown => self.grow(handler, slot, hash),
                    Step::Ended => return self.leave(handler, Place::Embryo(slot), id),
                    Step::Taken | Step::Other => return,
                }
            }
            None => return,
        };
        if let Some(flow) = self.flow_mut(slot) {
            flow.icmp(sender, error);
            self.attend(handler, slot);
        }
    }

    /// The clock that stamps segments was set: from now on, so many nanoseconds are added to their times before anything
    /// is made to wait or expires by them.
    pub const fn shift_clock(&mut self, nanos: i64) {
        self.shift = nanos;
    }

    /// Lets time pass without a segment, as live capture does in silence: whatever is due happens.
    pub fn advance(&mut self, handler: &mut H, now: Timestamp) {
        if now.nanos() > self.env.clock {
            self.env.clock = now.nanos();
            self.expire(handler);
        }
    }

    /// The capture ended: gives up all holes and closes all connections, in the order of their numbers.
    pub fn finish(&mut self, handler: &mut H) {
        self.finish_by(handler, |_| {});
    }

    /// The same, with a `pause` now and then: time for the handler to be relieved of what it collected, for a scan may
    /// leave millions of connections.
    pub fn finish_by(&mut self, handler: &mut H, mut pause: impl FnMut(&mut H)) {
        self.agenda = Agenda::new();
        self.tombs = Tombs::default();
        let embryos = self.nursery.all();
        let mut all: Vec<(ConnectionId, Place)> = Vec::with_capacity(self.index.len());
        all.extend(embryos.map(|(id, slot)| (id, Place::Embryo(slot))));
        let flows = self.flows.iter().zip(0..);
        all.extend(flows.filter_map(|(flow, slot)| Some((flow.as_ref()?.id(), Place::Flow(slot)))));
        all.sort_unstable_by_key(|&(id, _)| id);
        self.index = HashTable::new();
        for round in all.chunks(ROUND) {
            self.touch_all(round.iter().map(|&(_, place)| place));
            for &(_, place) in round {
                self.finish_one(handler, place);
            }
            pause(handler);
        }
        self.nursery = Nursery::default();
        self.flows = Row::default();
        self.free = Vec::new();
        self.ids.clear();
    }

    fn finish_one(&mut self, handler: &mut H, place: Place) {
        match place {
            Place::Embryo(slot) => {
                if let Some((key, embryo)) = self.nursery.remove(slot) {
                    self.hand_over(handler, embryo.connection(&key), None);
                }
            }
            Place::Flow(slot) => {
                if let Some(flow) = self.flows.get_mut(slot).and_then(Option::take) {
                    self.hand_over_flow(handler, flow, GapCause::Lost, false);
                }
            }
        }
    }

    /// A connection that is under way and of which payload was seen: its facts up to now, and its state.
    pub fn get(&self, id: ConnectionId) -> Option<(Connection, &H::State)> {
        self.flow(*self.ids.get(&id.0)?)?.snapshot()
    }

    /// Lets a handler look at the state of a connection that is under way.
    pub fn visit(
        &mut self,
        id: ConnectionId,
        handler: &mut H,
        look: impl FnOnce(&mut H, &Connection, &mut H::State),
    ) {
        let slot = self.ids.get(&id.0).copied();
        if let Some(flow) = slot.and_then(|slot| self.flow_mut(slot)) {
            flow.visit(|connection, state| look(handler, connection, state));
        }
    }

    /// Connections of which only the opening was seen so far, begun within these times (both included), by number.
    /// Of very many only the newest are looked at.
    pub fn openings(&self, from: Timestamp, to: Timestamp) -> Vec<Connection> {
        let embryos = self.nursery.newest(OPENINGS_MAX);
        let within = |at: Timestamp| from <= at && at <= to;
        let connections = embryos
            .filter(|embryo| within(embryo.began()))
            .filter_map(|embryo| {
                let key = self.nursery.key(embryo)?;
                Some(embryo.connection(&key))
            });
        let mut found: Vec<Connection> = connections.collect();
        found.sort_unstable_by_key(|connection| connection.id);
        found
    }

    /// What was counted so far.
    pub fn stats(&self) -> Stats {
        let mut stats = self.env.stats.clone();
        stats.connections = self.next_id;
        stats
    }

    /// Connections under way.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no connection is under way.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The number that tells connections apart in the index.
    pub(super) fn hash(&self, key: &Key) -> u32 {
        (self.hasher.hash_one(key) >> 32) as u32
    }

    pub(super) fn find(&self, key: &Key, hash: u32) -> Option<Place> {
        let same =
            |entry: &Entry| entry.hash == hash && self.is_at(Place::unpack(entry.place), key);
        let entry = self.index.find(spread(hash), same)?;
        Some(Place::unpack(entry.place))
    }

    /// Whether the connection at a place is the one with a key.
    pub(super) fn is_at(&self, place: Place, key: &Key) -> bool {
        match place {
            Place::Embryo(slot) => self.nursery.has_key(slot, key),
            Place::Flow(slot) => self.flow(slot).is_some_and(|flow| flow.key == *key),
        }
    }

    /// Where a connection with such a hash is.
    pub(super) fn guess(&self, hash: u32) -> Option<Place> {
        let entry = self.index.find(spread(hash), |entry| entry.hash == hash)?;
        Some(Place::unpack(entry.place))
    }

    pub(super) fn flow(&self, slot: u32) -> Option<&Flow<H::State>> {
        self.flows.get(slot)?.as_ref()
    }

    pub(super) fn flow_mut(&mut self, slot: u32) -> Option<&mut Flow<H::State>> {
        self.flows.get_mut(slot)?.as_mut()
    }

    /// The first segment of a connection.
    #[inline(never)]
    pub(super) fn begin(&mut self, handler: &mut H, hash: u32, segment: &Segment<'_>) {
        let (key, sender) = (segment.key, segment.sender);
        let id = ConnectionId(self.next_id);
        self.next_id += 1;
        if let Some(embryo) = Embryo::new(sender, id, segment, self.env.stamp) {
            if self.nursery.len() >= self.env.limits.embryos {
                self.evict_embryo(handler);
            }
            let slot = self.nursery.insert(&key, embryo);
            self.index_insert(hash, Place::Embryo(slot));
            if embryo.is_ended() {
                self.leave(handler, Place::Embryo(slot), id);
            }
            return;
        }
        let flags = segment.flags;
        let (client, roles_from) = match (flags.syn(), flags.ack()) {
            (true, false) => (sender, RolesFrom::Syn),
            (true, true) => (sender.other(), RolesFrom::SynAck),
            _ => (by_port(&key), RolesFrom::Port),
        };
        let connection = blank(
            id,
            &key,
            client,
            roles_from,
            Opening::Midstream,
            segment.frame,
        );
        let flow = Flow::new(key, hash, client, connection);
        let slot = self.put_flow(handler, flow);
        self.index_insert(hash, Place::Flow(slot));
        self.flow_segment(handler, slot, segment);
    }

    /// A segment of a new flow.
    fn flow_segment(&mut self, handler: &mut H, slot: u32, segment: &Segment<'_>) {
        let Some(flow) = self.flows.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        if flow.segment(handler, &mut self.env, segment) {
            self.attend(handler, slot);
        }
    }

    /// Arranges for what a flow needs later, and for memory if it took too much.
    pub(super) fn attend(&mut self, handler: &mut H, slot: u32) {
        let Some(flow) = self.flows.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        let id = flow.id();
        self.agenda.wait(slot, flow);
        self.agenda.hold(slot, flow, self.segments);
        if flow.is_finished() && !std::mem::replace(&mut flow.leaving, true) {
            self.leave(handler, Place::Flow(slot), id);
        }
        while self.env.buffered > self.env.limits.total_bytes {
            let Some(slot) = self.agenda.idlest_holder() else {
                return;
            };
            let Some(flow) = self.flows.get_mut(slot).and_then(Option::as_mut) else {
                continue;
            };
            flow.cold.holding = None;
            let frame = self.now.unwrap_or(flow.last);
            self.env.stats.hit(LimitKind::TotalBytes, frame, flow.id());
            flow.flush(handler, &mut self.env, GapCause::Evicted);
        }
    }

    pub(super) fn embryo_segment(
        &mut self,
        handler: &mut H,
        slot: u32,
        hash: u32,
        segment: &Segment<'_>,
    ) {
        let Some(embryo) = self.nursery.get_mut(slot) else {
            return;
        };
        let id = embryo.id();
        let copies = embryo.duplicates();
        match embryo.segment(segment, self.env.stamp) {
            Step::Taken => {
                if embryo.duplicates() > copies {
                    let shown = embryo.first_capture();
                    self.env.stats.copy(segment.frame, shown);
                }
            }
            Step::Ended => self.leave(handler, Place::Embryo(slot), id),
            Step::Other => {
                self.close_embryo(handler, slot, false);
                self.begin(handler, hash, segment);
            }
            Step::Grown => {
                let slot = self.grow(handler, slot, hash);
                self.flow_segment(handler, slot, segment);
            }
        }
    }

    /// Makes a flow of an embryo. Returns its slot.
    #[inline(never)]
    fn grow(&mut self, handler: &mut H, slot: u32, hash: u32) -> u32 {
        let Some((key, embryo)) = self.nursery.remove(slot) else {
            return u32::MAX;
        };
        let mut flow = Flow::new(key, hash, embryo.client(&key), embryo.connection(&key));
        flow.resume();
        flow.stamp = self.env.stamp;
        let to = self.put_flow(handler, flow);
        let old = Place::Embryo(slot).pack();
        let entry = self.index.find_mut(spread(hash), |e| e.place == old);
        if let Some(entry) = entry {
            entry.place = Place::Flow(to).pack();
        }
        to
    }

    fn put_flow(&mut self, handler: &mut H, flow: Flow<H::State>) -> u32 {
        if self.flows.len() - self.free.len() >= self.env.limits.connections {
            self.evict_flows(handler);
        }
        let id = flow.id();
        let flow = Some(flow);
        let slot = self.free.pop().unwrap_or(self.flows.len() as u32);
        match self.flows.get_mut(slot) {
            Some(place) => *place = flow,
            None => self.flows.push(flow),
        }
        self.ids.insert(id.0, slot);
        slot
    }

    fn index_insert(&mut self, hash: u32, place: Place) {
        let place = place.pack();
        let rehash = |entry: &Entry| spread(entry.hash);
        self.index
            .insert_unique(spread(hash), Entry { hash, place }, rehash);
    }

    pub(super) fn index_remove(&mut self, hash: u32, place: Place) {
        let place = place.pack();
        if let Ok(entry) = self
            .index
            .find_entry(spread(hash), |entry| entry.place == place)
        {
            entry.remove();
        }
    }

    fn leave(&mut self, handler: &mut H, place: Place, id: ConnectionId) {
        if self.agenda.leave(self.env.clock, place, id) {
            self.leave_some(handler, i64::MAX);
        }
    }

    /// Forgets the number and the place of a flow.
    pub(super) fn forget(&mut self, slot: u32, flow: &Flow<H::State>) {
        self.free.push(slot);
        self.ids.remove(&flow.id().0);
        self.index_remove(flow.hash, Place::Flow(slot));
        self.agenda.release(slot, flow.cold.holding);
    }
}
