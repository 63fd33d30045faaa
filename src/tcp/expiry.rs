//! How connections leave the table: over, silent for too long, or in the way of newer ones.

use smallvec::SmallVec;

use super::flow::Flow;
use super::limits::{EVICTED_SHARE, LimitKind, SYN_KEPT};
use super::lookup::ROUND;
use super::table::{Place, Table};
use super::tombs::Span;
use super::{Connection, ConnectionId, GapCause, Handler};
use crate::capture::CaptureId;
use crate::decode::{End, Key};

impl<H: Handler> Table<H> {
    /// Moves the clock to a frame's time and does what is due.
    #[inline]
    pub(super) fn tick(&mut self, handler: &mut H, at: i64) {
        let at = at.saturating_add(self.shift);
        self.env.stamp = at.max(self.env.clock);
        if at <= self.env.clock {
            self.agenda.no_jump();
        } else if self.agenda.believes(at, self.env.clock) {
            self.env.clock = at;
            if self.agenda.is_due(at) {
                self.expire(handler);
            }
        }
    }

    /// Does all that is due at the clock's time.
    #[inline(never)]
    pub(super) fn expire(&mut self, handler: &mut H) {
        let clock = self.env.clock;
        self.agenda.ticked(clock);
        for (slot, id) in self.agenda.take_waiting(clock) {
            let flow = self.flows.get_mut(slot).and_then(Option::as_mut);
            if let Some(flow) = flow.filter(|flow| flow.id() == id) {
                flow.cold.waiting = None;
                flow.review(handler, &mut self.env, None);
                self.attend(handler, slot);
            }
        }
        self.leave_all(handler, clock);
        self.expire_embryos(handler, clock);
        if self
            .agenda
            .scan_is_due(clock, self.segments, self.flows.len())
        {
            self.scan(handler);
        }
    }

    /// Closes the connections that are over and have lingered.
    fn leave_all(&mut self, handler: &mut H, clock: i64) {
        while self.leave_some(handler, clock) {}
    }

    /// Closes some of them; returns whether there may be more.
    pub(super) fn leave_some(&mut self, handler: &mut H, clock: i64) -> bool {
        let next = || self.agenda.next_leaving(clock);
        let leaving: SmallVec<[_; ROUND]> = std::iter::from_fn(next).take(ROUND).collect();
        self.warm_leaving(leaving.iter().map(|&(place, _)| place));
        for &(place, id) in &leaving {
            self.let_go(handler, place, id);
        }
        leaving.len() == ROUND
    }

    /// Closes the openings that nobody answered or completed.
    fn expire_embryos(&mut self, handler: &mut H, clock: i64) {
        loop {
            let next = || self.nursery.expired(SYN_KEPT, clock);
            let expired: SmallVec<[u32; ROUND]> = std::iter::from_fn(next).take(ROUND).collect();
            if expired.is_empty() {
                return;
            }
            self.warm_leaving(expired.iter().map(|&slot| Place::Embryo(slot)));
            for slot in expired {
                self.close_embryo(handler, slot, false);
            }
        }
    }

    /// Closes a connection that is over, if it is still there.
    pub(super) fn let_go(&mut self, handler: &mut H, place: Place, id: ConnectionId) {
        match place {
            Place::Embryo(slot) if self.nursery.is(slot, id) => {
                self.close_embryo(handler, slot, false);
            }
            Place::Flow(slot) if self.flow(slot).is_some_and(|flow| flow.id() == id) => {
                self.close_flow(handler, slot);
            }
            _ => {}
        }
    }

    /// Looks through all flows for idle ones.
    fn scan(&mut self, handler: &mut H) {
        let clock = self.env.clock;
        let flows = self.flows.iter().zip(0..);
        let mut idle: Vec<(ConnectionId, u32)> = flows
            .filter_map(|(flow, slot)| Some((flow.as_ref()?, slot)))
            .filter(|(flow, _)| flow.stamp.saturating_add(flow.kept()) <= clock)
            .map(|(flow, slot)| (flow.id(), slot))
            .collect();
        idle.sort_unstable();
        for (_, slot) in idle {
            self.close_flow(handler, slot);
        }
    }

    /// Makes room for one more opening: the oldest goes.
    pub(super) fn evict_embryo(&mut self, handler: &mut H) {
        if let Some((slot, id)) = self.nursery.idlest() {
            if let Some(now) = self.now {
                self.env.stats.hit(LimitKind::Embryos, now, id);
            }
            self.close_embryo(handler, slot, true);
        }
    }

    /// Makes room for more connections: those that were idle for longest go.
    pub(super) fn evict_flows(&mut self, handler: &mut H) {
        let flows = self.flows.iter().zip(0..);
        let mut all: Vec<(i64, ConnectionId, u32)> = flows
            .filter_map(|(flow, slot)| {
                let flow = flow.as_ref()?;
                Some((flow.stamp, flow.id(), slot))
            })
            .collect();
        all.sort_unstable();
        let share = (all.len() / EVICTED_SHARE).max(1);
        for (_, id, slot) in all.into_iter().take(share) {
            if let Some(now) = self.now {
                self.env.stats.hit(LimitKind::Connections, now, id);
            }
            if let Some(flow) = self.take_flow(slot) {
                self.hand_over_flow(handler, flow, GapCause::Evicted, true);
            }
        }
    }

    /// Closes connections until the states of all hold well below what they may, by `held`: those that hold more than
    /// most do, the longest idle first. Nothing else is lost. Returns how many bytes may still be held.
    pub fn relieve(&mut self, handler: &mut H, held: impl Fn(&H::State) -> usize) -> usize {
        let flows = self.flows.iter().zip(0..);
        let mut all: Vec<(i64, ConnectionId, u32, usize)> = flows
            .filter_map(|(flow, slot)| {
                let flow = flow.as_ref()?;
                let bytes = held(flow.state.as_ref()?);
                Some((flow.stamp, flow.id(), slot, bytes))
            })
            .collect();
        let mut sum: usize = all.iter().map(|(.., bytes)| bytes).sum();
        let most = self.env.limits.state_bytes;
        if sum <= most {
            return most - sum;
        }
        let usual = sum / all.len().max(1);
        all.retain(|(.., bytes)| *bytes >= usual);
        all.sort_unstable();
        for (_, id, slot, bytes) in all {
            if sum <= most - most / 4 {
                break;
            }
            sum = sum.saturating_sub(bytes);
            if let Some(now) = self.now {
                self.env.stats.hit(LimitKind::StateBytes, now, id);
            }
            if let Some(flow) = self.take_flow(slot) {
                self.hand_over_flow(handler, flow, GapCause::Evicted, true);
            }
        }
        most.saturating_sub(sum)
    }

    /// Lets go of an opening.
    pub(super) fn close_embryo(&mut self, handler: &mut H, slot: u32, evicted: bool) {
        let Some((key, embryo)) = self.nursery.remove(slot) else {
            return;
        };
        let hash = self.hash(&key);
        self.index_remove(hash, Place::Embryo(slot));
        let (client, server) = embryo.isns();
        let spans = (Span::new(client, None, 0), Span::new(server, None, 0));
        self.bury(
            key,
            hash,
            embryo.client(&key),
            spans,
            embryo.first_capture(),
        );
        let mut connection = embryo.connection(&key);
        connection.evicted = evicted;
        self.hand_over(handler, connection, None);
    }

    /// Lets go of a flow that is over.
    pub(super) fn close_flow(&mut self, handler: &mut H, slot: u32) {
        if let Some(flow) = self.take_flow(slot) {
            self.hand_over_flow(handler, flow, GapCause::Lost, false);
        }
    }

    /// Takes a flow out of the table.
    fn take_flow(&mut self, slot: u32) -> Option<Flow<H::State>> {
        let flow = self.flows.get_mut(slot)?.take()?;
        self.forget(slot, &flow);
        let capture = flow.cold.connection.first.capture();
        self.bury(flow.key, flow.hash, flow.client, flow.spans(), capture);
        Some(flow)
    }

    fn bury(
        &mut self,
        key: Key,
        hash: u32,
        client: End,
        spans: (Option<Span>, Option<Span>),
        capture: CaptureId,
    ) {
        let spans = match client {
            End::Low => spans,
            End::High => (spans.1, spans.0),
        };
        self.tombs.bury(key, hash, spans, capture);
    }

    /// Tells the handler all that is left of a flow, and that it is over.
    pub(super) fn hand_over_flow(
        &mut self,
        handler: &mut H,
        mut flow: Flow<H::State>,
        cause: GapCause,
        evicted: bool,
    ) {
        flow.settle_doubt();
        flow.flush(handler, &mut self.env, cause);
        flow.cold.connection.evicted = evicted;
        let (connection, state) = flow.into_parts();
        self.hand_over(handler, connection, state);
    }

    /// Tells the handler that a connection is over.
    pub(super) fn hand_over(
        &mut self,
        handler: &mut H,
        connection: Connection,
        state: Option<H::State>,
    ) {
        self.env.stats.left(&connection);
        handler.closed(connection, state);
    }
}
