//! What a table has to do later, by packet time, and whose memory it takes first.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use super::ConnectionId;
use super::flow::Flow;
use super::limits::{CLOCK_JUMP, LINGER, LINGERING, SCAN, TICK};
use super::table::Place;

/// Timers and queues.
#[derive(Debug)]
pub(super) struct Agenda {
    /// Connections that are over, with the time to let go of them.
    leaving: VecDeque<(i64, Place, ConnectionId)>,
    /// Flows with a hole, and when to look at it.
    waiting: BinaryHeap<Reverse<(i64, u32, ConnectionId)>>,
    /// Flows that hold bytes back, the longest inactive first.
    holding: BTreeSet<(u64, u32)>,
    /// When the queues are looked at next, and all flows.
    tick_at: i64,
    scan_at: i64,
    /// Segments at the last look at all flows.
    scanned: u64,
    /// The last frame lay far ahead of the clock.
    jumped: bool,
}

impl Agenda {
    pub(super) fn new() -> Self {
        Self {
            leaving: VecDeque::new(),
            waiting: BinaryHeap::new(),
            holding: BTreeSet::new(),
            tick_at: i64::MIN,
            scan_at: i64::MIN,
            scanned: 0,
            jumped: false,
        }
    }

    /// Whether the clock moves on to the time of a frame ahead: far ahead only when a second frame in a row says so.
    #[inline]
    pub(super) const fn believes(&mut self, at: i64, clock: i64) -> bool {
        // A step ahead always fits into a number without a sign.
        let step = at.wrapping_sub(clock).cast_unsigned();
        let far = step > CLOCK_JUMP.cast_unsigned() && clock != i64::MIN;
        self.jumped = far && !self.jumped;
        !self.jumped
    }

    /// A frame that is not ahead of the clock: the one before it was wrong if it was.
    pub(super) fn no_jump(&mut self) {
        self.jumped = false;
    }

    /// Whether it is time to look at the queues.
    pub(super) fn is_due(&self, clock: i64) -> bool {
        clock >= self.tick_at
    }

    /// The queues are being looked at.
    pub(super) fn ticked(&mut self, clock: i64) {
        self.tick_at = clock.saturating_add(TICK);
    }

    /// Whether it is time to look through all of `flows` flows.
    pub(super) fn scan_is_due(&mut self, clock: i64, segments: u64, flows: usize) -> bool {
        if self.scan_at == i64::MIN {
            self.scan_at = clock.saturating_add(SCAN);
        }
        // Few segments in a long time must not look through many connections again and again.
        let worth = segments - self.scanned >= flows as u64 / 4;
        let due = clock >= self.scan_at && worth;
        if due {
            self.scan_at = clock.saturating_add(SCAN);
            self.scanned = segments;
        }
        due
    }

    /// A connection is over. Returns whether so many linger that the oldest of them should go.
    pub(super) fn leave(&mut self, clock: i64, place: Place, id: ConnectionId) -> bool {
        let due = clock.saturating_add(LINGER);
        self.leaving.push_back((due, place, id));
        self.leaving.len() >= LINGERING
    }

    /// The next connection that is to be let go.
    pub(super) fn next_leaving(&mut self, clock: i64) -> Option<(Place, ConnectionId)> {
        let &(due, place, id) = self.leaving.front()?;
        if due > clock {
            return None;
        }
        self.leaving.pop_front();
        Some((place, id))
    }

    /// Plans the next look at the holes of a flow.
    pub(super) fn wait<S>(&mut self, slot: u32, flow: &mut Flow<S>) {
        if let Some(due) = flow.due()
            && flow.cold.waiting.is_none_or(|planned| due < planned)
        {
            flow.cold.waiting = Some(due);
            self.waiting.push(Reverse((due, slot, flow.id())));
        }
    }

    /// The flows whose holes are to be looked at now. All at once: what is planned meanwhile is for the next time.
    pub(super) fn take_waiting(&mut self, clock: i64) -> Vec<(u32, ConnectionId)> {
        let mut taken = Vec::new();
        while let Some(&Reverse((due, slot, id))) = self.waiting.peek()
            && due <= clock
        {
            self.waiting.pop();
            taken.push((slot, id));
        }
        taken
    }

    /// Notes whether a flow holds bytes back, and that it was active.
    pub(super) fn hold<S>(&mut self, slot: u32, flow: &mut Flow<S>, segments: u64) {
        self.release(slot, flow.cold.holding.take());
        if flow.cold.charged > 0 {
            flow.cold.holding = Some(segments);
            self.holding.insert((segments, slot));
        }
    }

    /// A flow holds nothing any more.
    pub(super) fn release(&mut self, slot: u32, holding: Option<u64>) {
        if let Some(stamp) = holding {
            self.holding.remove(&(stamp, slot));
        }
    }

    /// The flow that holds bytes back and was inactive for longest.
    pub(super) fn idlest_holder(&mut self) -> Option<u32> {
        self.holding.pop_first().map(|(_, slot)| slot)
    }
}
