//! The table of connections: finds the one a segment belongs to, and lets go of those that are over.
//!
//! ```text
//!  segment -> key -> index -> embryo  (112 bytes: an opening and nothing else)
//!                          -> flow    (a connection with payload, a handshake or an oddity)
//!                 no entry -> tombs   (left lately: a late copy?) -> a new connection
//! ```
//!
//! Flows and embryos lie in rows, a hash table holds their numbers. The order of all calls to the handler follows from
//! the segments alone, never from hashes: the hash seed is another one in every run.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::hash::BuildHasher;

use hashbrown::{HashMap, HashTable};

use super::embryo::{Embryo, Step, blank, by_port};
use super::flow::{Env, Flow};
use super::key::{End, Key};
use super::limits::{
    CLOCK_JUMP, EVICTED_SHARE, LINGER, LimitKind, Limits, SCAN, SYN_KEPT, Stats, TICK,
};
use super::tombs::{Span, Tombs, spread};
use super::{Connection, ConnectionId, Direction, GapCause, Handler, Opening, RolesFrom};
use crate::capture::{FrameRef, Timestamp};
use crate::decode::{IcmpError, Segment};

/// All connections that are under way.
#[derive(Debug)]
pub struct Table<H: Handler> {
    hasher: foldhash::fast::RandomState,
    index: HashTable<Entry>,
    embryos: Vec<Embryo>,
    free_embryos: Vec<u32>,
    flows: Vec<Option<Box<Flow<H::State>>>>,
    free_flows: Vec<u32>,
    /// Flows by the number of their connection.
    ids: HashMap<u32, u32, foldhash::fast::RandomState>,
    tombs: Tombs,
    /// Embryos in the order in which they began (or were looked at last).
    opening: VecDeque<(u32, ConnectionId)>,
    /// Connections that are over, with the time to let go of them.
    leaving: VecDeque<(i64, Place, ConnectionId)>,
    /// Flows with a hole, and when to look at it.
    waiting: BinaryHeap<Reverse<(i64, u32, ConnectionId)>>,
    /// Flows that hold bytes back, the longest inactive first.
    holding: BTreeSet<(u64, u32)>,
    env: Env,
    segments: u64,
    next_id: u32,
    /// When timers are looked at next, and all flows.
    tick_at: i64,
    scan_at: i64,
    scanned: u64,
    /// The last frame lay far ahead of the clock.
    jumped: bool,
    now: Option<FrameRef>,
}

/// Where a connection lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
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

/// The number of an embryo that is none.
const NOBODY: ConnectionId = ConnectionId(u32::MAX);

impl Place {
    const fn pack(self) -> u32 {
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
            embryos: Vec::new(),
            free_embryos: Vec::new(),
            flows: Vec::new(),
            free_flows: Vec::new(),
            ids: HashMap::with_hasher(foldhash::fast::RandomState::default()),
            tombs: Tombs::default(),
            opening: VecDeque::new(),
            leaving: VecDeque::new(),
            waiting: BinaryHeap::new(),
            holding: BTreeSet::new(),
            env: Env {
                clock: i64::MIN,
                buffered: 0,
                limits,
                stats: Stats::default(),
            },
            segments: 0,
            next_id: 0,
            tick_at: i64::MIN,
            scan_at: i64::MIN,
            scanned: 0,
            jumped: false,
            now: None,
        }
    }

    /// Takes a segment, and calls the handler with what follows from it. Segments come in the order of the capture.
    pub fn segment(&mut self, handler: &mut H, segment: &Segment<'_>) {
        self.segments += 1;
        self.now = Some(segment.frame);
        self.look_at_clock(handler, segment.frame.at.nanos());
        let (key, sender) = Key::new(segment.source, segment.destination);
        let hash = self.hash(&key);
        match self.find(&key, hash) {
            Some(Place::Flow(slot)) => {
                let reused = self
                    .flow(slot)
                    .is_some_and(|flow| flow.is_reused_by(sender, segment));
                if reused {
                    self.close_flow(handler, slot);
                    self.begin(handler, key, hash, sender, segment);
                } else {
                    self.flow_segment(handler, slot, sender, segment);
                }
            }
            Some(Place::Embryo(slot)) => {
                self.embryo_segment(handler, slot, hash, sender, segment);
            }
            None if self.tombs.knows(&key, hash, sender, segment) => self.env.stats.late += 1,
            None => self.begin(handler, key, hash, sender, segment),
        }
    }

    /// Takes an ICMP error. It is believed when the packet it quotes is plausible for the connection.
    pub fn icmp(&mut self, handler: &mut H, error: &IcmpError) {
        self.now = Some(error.frame);
        self.look_at_clock(handler, error.frame.at.nanos());
        let (key, sender) = Key::new(error.source, error.destination);
        let hash = self.hash(&key);
        let slot = match self.find(&key, hash) {
            Some(Place::Flow(slot)) => slot,
            Some(Place::Embryo(slot)) => {
                let Some(embryo) = self.embryos.get_mut(slot as usize) else {
                    return;
                };
                match embryo.icmp(sender, error) {
                    Step::Ended => {
                        let id = embryo.id;
                        self.leave(Place::Embryo(slot), id);
                        return;
                    }
                    Step::Grown => self.grow(handler, slot, hash),
                    Step::Taken | Step::Other => return,
                }
            }
            None => return,
        };
        if let Some(flow) = self.flow_mut(slot)
            && flow.icmp(sender, error)
            && flow.is_finished()
            && !std::mem::replace(&mut flow.leaving, true)
        {
            let id = flow.connection().id;
            self.leave(Place::Flow(slot), id);
        }
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
        self.waiting.clear();
        self.leaving.clear();
        self.opening.clear();
        let mut all: Vec<(ConnectionId, u32)> = Vec::with_capacity(self.index.len());
        let embryos = self.embryos.iter().zip(0..);
        all.extend(
            embryos
                .filter(|(embryo, _)| embryo.id != NOBODY)
                .map(|(embryo, slot)| (embryo.id, Place::Embryo(slot).pack())),
        );
        let flows = self.flows.iter().zip(0..);
        all.extend(flows.filter_map(|(flow, slot)| {
            let flow = flow.as_ref()?;
            Some((flow.connection().id, Place::Flow(slot).pack()))
        }));
        all.sort_unstable();
        self.index = HashTable::new();
        self.tombs = Tombs::default();
        for (_, place) in all {
            match Place::unpack(place) {
                Place::Embryo(slot) => {
                    if let Some(embryo) = self.embryos.get(slot as usize) {
                        let connection = embryo.connection();
                        self.env.stats.left(&connection);
                        handler.closed(connection, None);
                    }
                }
                Place::Flow(slot) => {
                    if let Some(flow) = self.flows.get_mut(slot as usize).and_then(Option::take) {
                        self.hand_over(handler, flow, GapCause::Lost, false);
                    }
                }
            }
        }
        self.embryos = Vec::new();
        self.free_embryos = Vec::new();
        self.flows = Vec::new();
        self.free_flows = Vec::new();
        self.ids.clear();
        self.holding.clear();
    }

    /// A connection that is under way and of which payload was seen, with its state.
    pub fn get(&self, id: ConnectionId) -> Option<(&Connection, &H::State)> {
        let flow = self.flow(*self.ids.get(&id.0)?)?;
        Some((flow.connection(), flow.state()?))
    }

    /// What was counted so far.
    pub fn stats(&self) -> Stats {
        let mut stats = self.env.stats.clone();
        stats.connections = u64::from(self.next_id);
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

    fn hash(&self, key: &Key) -> u32 {
        (self.hasher.hash_one(key) >> 32) as u32
    }

    fn find(&self, key: &Key, hash: u32) -> Option<Place> {
        let same = |entry: &Entry| {
            entry.hash == hash
                && match Place::unpack(entry.place) {
                    Place::Embryo(slot) => self
                        .embryos
                        .get(slot as usize)
                        .is_some_and(|e| e.key == *key),
                    Place::Flow(slot) => self.flow(slot).is_some_and(|flow| flow.key == *key),
                }
        };
        let entry = self.index.find(spread(hash), same)?;
        Some(Place::unpack(entry.place))
    }

    fn flow(&self, slot: u32) -> Option<&Flow<H::State>> {
        self.flows.get(slot as usize)?.as_deref()
    }

    fn flow_mut(&mut self, slot: u32) -> Option<&mut Flow<H::State>> {
        self.flows.get_mut(slot as usize)?.as_deref_mut()
    }

    /// The first segment of a connection.
    fn begin(&mut self, handler: &mut H, key: Key, hash: u32, sender: End, segment: &Segment<'_>) {
        let id = ConnectionId(self.next_id);
        if let Some(embryo) = Embryo::new(key, sender, id, segment, self.env.clock) {
            self.next_id = self.next_id.wrapping_add(1);
            if self.embryos.len() - self.free_embryos.len() >= self.env.limits.embryos {
                self.evict_embryo(handler);
            }
            let slot = self.put_embryo(embryo);
            self.index_insert(hash, Place::Embryo(slot));
            self.opening.push_back((slot, id));
            if embryo.is_ended() {
                self.leave(Place::Embryo(slot), id);
            }
            return;
        }
        self.next_id = self.next_id.wrapping_add(1);
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
        self.flow_segment(handler, slot, sender, segment);
    }

    fn flow_segment(&mut self, handler: &mut H, slot: u32, sender: End, segment: &Segment<'_>) {
        let Some(flow) = self.flows.get_mut(slot as usize).and_then(Option::as_mut) else {
            return;
        };
        flow.segment(handler, &mut self.env, sender, segment);
        if flow.is_quiet() {
            return;
        }
        self.attend(handler, slot);
    }

    /// Arranges for what a flow needs later.
    fn attend(&mut self, handler: &mut H, slot: u32) {
        let Some(flow) = self.flows.get_mut(slot as usize).and_then(Option::as_mut) else {
            return;
        };
        let id = flow.connection().id;
        if let Some(due) = flow.due()
            && flow.waiting.is_none_or(|planned| due < planned)
        {
            flow.waiting = Some(due);
            self.waiting.push(Reverse((due, slot, id)));
        }
        if let Some(stamp) = flow.holding.take() {
            self.holding.remove(&(stamp, slot));
        }
        if flow.is_holding() {
            flow.holding = Some(self.segments);
            self.holding.insert((self.segments, slot));
        }
        if flow.is_finished() && !std::mem::replace(&mut flow.leaving, true) {
            self.leave(Place::Flow(slot), id);
        }
        while self.env.buffered > self.env.limits.total_bytes {
            let Some((_, slot)) = self.holding.pop_first() else {
                return;
            };
            let Some(flow) = self.flows.get_mut(slot as usize).and_then(Option::as_mut) else {
                continue;
            };
            flow.holding = None;
            let connection = flow.connection();
            let (id, frame) = (connection.id, self.now.unwrap_or(connection.last));
            self.env.stats.hit(LimitKind::TotalBytes, frame, id);
            flow.flush(handler, &mut self.env, GapCause::Evicted);
        }
    }

    fn embryo_segment(
        &mut self,
        handler: &mut H,
        slot: u32,
        hash: u32,
        sender: End,
        segment: &Segment<'_>,
    ) {
        let Some(embryo) = self.embryos.get_mut(slot as usize) else {
            return;
        };
        let id = embryo.id;
        match embryo.segment(sender, segment, self.env.clock) {
            Step::Taken => {}
            Step::Ended => self.leave(Place::Embryo(slot), id),
            Step::Other => {
                let key = embryo.key;
                self.close_embryo(handler, slot, false);
                self.begin(handler, key, hash, sender, segment);
            }
            Step::Grown => {
                let slot = self.grow(handler, slot, hash);
                self.flow_segment(handler, slot, sender, segment);
            }
        }
    }

    /// Makes a flow of an embryo. Returns its slot.
    fn grow(&mut self, handler: &mut H, slot: u32, hash: u32) -> u32 {
        let Some(embryo) = self.embryos.get(slot as usize).copied() else {
            return u32::MAX;
        };
        let mut flow = Flow::new(embryo.key, hash, embryo.client(), embryo.connection());
        flow.resume();
        flow.stamp = self.env.clock;
        flow.leaving = false;
        self.free_embryo(slot);
        let to = self.put_flow(handler, flow);
        let old = Place::Embryo(slot).pack();
        if let Some(entry) = self.index.find_mut(spread(hash), |e| e.place == old) {
            entry.place = Place::Flow(to).pack();
        }
        to
    }

    fn put_embryo(&mut self, embryo: Embryo) -> u32 {
        if let Some(slot) = self.free_embryos.pop()
            && let Some(place) = self.embryos.get_mut(slot as usize)
        {
            *place = embryo;
            return slot;
        }
        self.embryos.push(embryo);
        (self.embryos.len() - 1) as u32
    }

    fn free_embryo(&mut self, slot: u32) {
        if let Some(embryo) = self.embryos.get_mut(slot as usize) {
            embryo.id = NOBODY;
            self.free_embryos.push(slot);
        }
    }

    fn put_flow(&mut self, handler: &mut H, flow: Flow<H::State>) -> u32 {
        if self.flows.len() - self.free_flows.len() >= self.env.limits.connections {
            self.evict_flows(handler);
        }
        let id = flow.connection().id;
        let flow = Some(Box::new(flow));
        let free = self.free_flows.pop();
        let slot = free.unwrap_or(self.flows.len() as u32);
        match self.flows.get_mut(slot as usize) {
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

    fn index_remove(&mut self, hash: u32, place: Place) {
        let place = place.pack();
        if let Ok(entry) = self
            .index
            .find_entry(spread(hash), |entry| entry.place == place)
        {
            entry.remove();
        }
    }

    fn leave(&mut self, place: Place, id: ConnectionId) {
        let due = self.env.clock.saturating_add(LINGER);
        self.leaving.push_back((due, place, id));
    }

    /// Moves the clock to a frame's time, unless it is a lonely one far ahead, and does what is due.
    fn look_at_clock(&mut self, handler: &mut H, at: i64) {
        let clock = self.env.clock;
        if at <= clock {
            self.jumped = false;
            return;
        }
        if clock != i64::MIN && at.saturating_sub(clock) > CLOCK_JUMP && !self.jumped {
            self.jumped = true;
            return;
        }
        self.jumped = false;
        self.env.clock = at;
        if at >= self.tick_at {
            self.expire(handler);
        }
    }

    /// Does all that is due at the clock's time.
    fn expire(&mut self, handler: &mut H) {
        let clock = self.env.clock;
        self.tick_at = clock.saturating_add(TICK);
        self.look_at_holes(handler);
        while let Some(&(due, place, id)) = self.leaving.front()
            && due <= clock
        {
            self.leaving.pop_front();
            match place {
                Place::Embryo(slot) if self.is_embryo(slot, id) => {
                    self.close_embryo(handler, slot, false);
                }
                Place::Flow(slot) if self.is_flow(slot, id) => self.close_flow(handler, slot),
                _ => {}
            }
        }
        self.expire_embryos(handler);
        if self.scan_at == i64::MIN {
            self.scan_at = clock.saturating_add(SCAN);
        }
        // Few segments in long time must not look through many connections again and again.
        let worth = self.segments - self.scanned >= self.flows.len() as u64 / 4;
        if clock >= self.scan_at && worth {
            self.scan(handler);
        }
    }

    /// Holes that were waited for long enough.
    fn look_at_holes(&mut self, handler: &mut H) {
        while let Some(&Reverse((due, slot, id))) = self.waiting.peek()
            && due <= self.env.clock
        {
            self.waiting.pop();
            if !self.is_flow(slot, id) {
                continue;
            }
            if let Some(flow) = self.flows.get_mut(slot as usize).and_then(Option::as_mut) {
                flow.waiting = None;
                flow.review(handler, &mut self.env, None);
            }
            self.attend(handler, slot);
        }
    }

    /// Openings that nobody continued.
    fn expire_embryos(&mut self, handler: &mut H) {
        let clock = self.env.clock;
        // Those that were refreshed go to the back; each is looked at once per call.
        for _ in 0..self.opening.len() {
            let Some(&(slot, id)) = self.opening.front() else {
                return;
            };
            let Some(embryo) = self.embryos.get_mut(slot as usize) else {
                return;
            };
            if embryo.id != id {
                self.opening.pop_front();
            } else if embryo.is_older_than(SYN_KEPT, clock) {
                self.opening.pop_front();
                self.close_embryo(handler, slot, false);
            } else if std::mem::take(&mut embryo.refreshed) {
                self.opening.rotate_left(1);
            } else {
                return;
            }
        }
    }

    /// Looks through all flows for idle ones.
    fn scan(&mut self, handler: &mut H) {
        let clock = self.env.clock;
        self.scan_at = clock.saturating_add(SCAN);
        self.scanned = self.segments;
        let mut idle: Vec<(ConnectionId, u32)> = Vec::new();
        for (flow, slot) in self.flows.iter().zip(0..) {
            if let Some(flow) = flow
                && flow.stamp.saturating_add(flow.kept()) <= clock
            {
                idle.push((flow.connection().id, slot));
            }
        }
        idle.sort_unstable();
        for (_, slot) in idle {
            self.close_flow(handler, slot);
        }
    }

    /// Makes room for more openings: the oldest goes.
    fn evict_embryo(&mut self, handler: &mut H) {
        while let Some((slot, id)) = self.opening.pop_front() {
            let Some(embryo) = self.embryos.get_mut(slot as usize) else {
                return;
            };
            if embryo.id != id {
                continue;
            }
            if std::mem::take(&mut embryo.refreshed) {
                self.opening.push_back((slot, id));
                continue;
            }
            if let Some(now) = self.now {
                self.env.stats.hit(LimitKind::Embryos, now, id);
            }
            self.close_embryo(handler, slot, true);
            return;
        }
    }

    /// Makes room for more connections: those that were idle for longest go.
    fn evict_flows(&mut self, handler: &mut H) {
        let mut all: Vec<(i64, ConnectionId, u32)> = self
            .flows
            .iter()
            .zip(0..)
            .filter_map(|(flow, slot)| {
                let flow = flow.as_ref()?;
                Some((flow.stamp, flow.connection().id, slot))
            })
            .collect();
        all.sort_unstable();
        let share = (all.len() / EVICTED_SHARE).max(1);
        for (_, id, slot) in all.into_iter().take(share) {
            if let Some(now) = self.now {
                self.env.stats.hit(LimitKind::Connections, now, id);
            }
            if let Some(flow) = self.take_flow(slot) {
                self.hand_over(handler, flow, GapCause::Evicted, true);
            }
        }
    }

    fn is_embryo(&self, slot: u32, id: ConnectionId) -> bool {
        self.embryos.get(slot as usize).is_some_and(|e| e.id == id)
    }

    fn is_flow(&self, slot: u32, id: ConnectionId) -> bool {
        self.flow(slot).is_some_and(|f| f.connection().id == id)
    }

    fn close_embryo(&mut self, handler: &mut H, slot: u32, evicted: bool) {
        let Some(embryo) = self.embryos.get(slot as usize).copied() else {
            return;
        };
        let hash = self.hash(&embryo.key);
        self.index_remove(hash, Place::Embryo(slot));
        self.free_embryo(slot);
        let mut connection = embryo.connection();
        connection.evicted = evicted;
        let span = |direction| Span::of(&connection, direction, None);
        let spans = (span(Direction::ToServer), span(Direction::ToClient));
        self.bury(embryo.key, hash, embryo.client(), spans);
        self.env.stats.left(&connection);
        handler.closed(connection, None);
    }

    fn close_flow(&mut self, handler: &mut H, slot: u32) {
        if let Some(flow) = self.take_flow(slot) {
            self.hand_over(handler, flow, GapCause::Lost, false);
        }
    }

    /// Takes a flow out of the table.
    fn take_flow(&mut self, slot: u32) -> Option<Box<Flow<H::State>>> {
        let flow = self.flows.get_mut(slot as usize)?.take()?;
        self.free_flows.push(slot);
        self.ids.remove(&flow.connection().id.0);
        self.index_remove(flow.hash, Place::Flow(slot));
        if let Some(stamp) = flow.holding {
            self.holding.remove(&(stamp, slot));
        }
        self.bury(flow.key, flow.hash, flow.client(), flow.spans());
        Some(flow)
    }

    fn bury(&mut self, key: Key, hash: u32, client: End, spans: (Option<Span>, Option<Span>)) {
        let (low, high) = match client {
            End::Low => spans,
            End::High => (spans.1, spans.0),
        };
        self.tombs.bury(key, hash, low, high);
    }

    /// Tells the handler all that is left of a flow, and that it is over.
    fn hand_over(
        &mut self,
        handler: &mut H,
        mut flow: Box<Flow<H::State>>,
        cause: GapCause,
        evicted: bool,
    ) {
        flow.flush(handler, &mut self.env, cause);
        let (mut connection, state) = flow.into_parts();
        connection.evicted = evicted;
        self.env.stats.left(&connection);
        handler.closed(connection, state);
    }
}
