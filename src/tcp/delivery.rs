//! How a connection hands its streams over: bytes and gaps in order, endings behind them, holes given up in time.

use super::flow::{Env, Flow, Reading, WAYS};
use super::half::{Hole, Mark};
use super::limits::LimitKind;
use super::{Chunk, Direction, EndingHow, Gap, GapCause, Handler, Interest, StreamEnd};
use crate::capture::FrameRef;

impl<S> Flow<S> {
    /// Hands over the next bytes of a stream.
    pub(super) fn deliver<H: Handler<State = S>>(
        &mut self,
        handler: &mut H,
        direction: Direction,
        data: &[u8],
        frame: FrameRef,
    ) {
        let half = self.half_mut(direction);
        let position = half.next;
        half.advance(data.len() as u64);
        let chunk = Chunk {
            direction,
            position,
            data,
            frame,
        };
        self.tell(handler, |handler, connection, state| {
            handler.bytes(connection, state, chunk)
        });
    }

    /// Hands over a hole: `len` bytes that cannot be read.
    pub(super) fn gap<H: Handler<State = S>>(
        &mut self,
        handler: &mut H,
        direction: Direction,
        len: u64,
        cause: GapCause,
        frame: FrameRef,
    ) {
        let half = self.half_mut(direction);
        let position = half.next;
        half.set_gap(position..position + len);
        half.advance(len);
        self.cold.connection.stream_mut(direction).miss(len, cause);
        self.update();
        let gap = Gap {
            direction,
            position,
            len,
            cause,
            frame,
        };
        self.tell(handler, |handler, connection, state| {
            handler.gap(connection, state, gap)
        });
    }

    /// Calls the handler, unless it does not want to be called.
    #[inline]
    pub(super) fn tell<H: Handler<State = S>>(
        &mut self,
        handler: &mut H,
        call: impl FnOnce(&mut H, &super::Connection, &mut S) -> Interest,
    ) {
        if self.reading == Reading::Counters {
            return;
        }
        if self.state.is_none() {
            self.open(handler);
        }
        let Some(state) = &mut self.state else {
            return;
        };
        if call(handler, &self.cold.connection, state) == Interest::Counters {
            self.ignore();
        }
    }

    /// The first bytes of a connection.
    #[cold]
    fn open<H: Handler<State = S>>(&mut self, handler: &mut H) {
        self.update();
        self.state = Some(handler.opened(&self.cold.connection));
        self.reading = Reading::Bytes;
    }

    /// From now on nobody reads the streams.
    #[inline(never)]
    pub(super) fn ignore(&mut self) {
        self.reading = Reading::Counters;
        for direction in WAYS {
            let half = self.half_mut(direction);
            let mut missing = 0;
            let mut cut = 0;
            while let Some((start, piece)) = half.pop_ready(u64::MAX) {
                let hole = start.saturating_sub(half.next);
                let len = piece.end.saturating_sub(half.next.max(start));
                half.advance(hole + len);
                missing += hole;
                if piece.bytes.is_none() {
                    cut += len;
                }
            }
            half.stop_waiting();
            let facts = self.cold.connection.stream_mut(direction);
            facts.missing_bytes += missing + cut;
            facts.truncated_bytes += cut;
        }
    }

    /// Hands over what is ready, gives up holes that are due, tells endings. `frame`: the segment that gives reason to.
    pub(super) fn review<H: Handler<State = S>>(
        &mut self,
        handler: &mut H,
        env: &mut Env,
        frame: Option<FrameRef>,
    ) {
        for direction in WAYS {
            self.drain(handler, direction);
            if self.reading == Reading::Counters {
                self.tell_endings(handler, direction);
                continue;
            }
            let mut frame = frame;
            loop {
                let one_sided = self.one_sided(direction);
                let half = self.half_mut(direction);
                half.watch(env.clock, frame.take());
                let over = half.cost() > env.limits.stream_bytes;
                let Some(hole) = half
                    .overdue(env.clock, one_sided)
                    .or_else(|| over.then(|| half.forced(GapCause::Evicted)).flatten())
                else {
                    break;
                };
                if hole.cause == GapCause::Evicted {
                    env.stats.bytes_given_up += hole.end - half.next;
                    let (last, id) = (self.last, self.id());
                    env.stats.hit(LimitKind::StreamBytes, last, id);
                }
                self.give_up(handler, direction, hole);
            }
            self.tell_endings(handler, direction);
        }
        self.charge(env);
    }

    /// Gives up every hole: the connection leaves the table (`Lost`), or its memory is needed (`Evicted`).
    pub(super) fn flush<H: Handler<State = S>>(
        &mut self,
        handler: &mut H,
        env: &mut Env,
        cause: GapCause,
    ) {
        for direction in self.ways_by_ending() {
            self.drain(handler, direction);
            while self.wants(direction)
                && let Some(hole) = self.half(direction).forced(cause)
            {
                if hole.cause == GapCause::Evicted {
                    env.stats.bytes_given_up += hole.end - self.half(direction).next;
                }
                self.give_up(handler, direction, hole);
            }
            if self.reading == Reading::Nothing
                && let Some(hole) = self.half(direction).forced(cause)
            {
                // Acknowledged, but not a byte of it was captured: a fact, and nothing to read.
                let facts = self.cold.connection.stream_mut(direction);
                facts.miss(hole.end, hole.cause);
            }
            self.tell_endings(handler, direction);
        }
        self.charge(env);
    }

    /// Whether there is somebody to hear of a hole: a reader, or bytes behind it that will make one.
    fn wants(&self, direction: Direction) -> bool {
        match self.reading {
            Reading::Bytes => true,
            Reading::Nothing => self.half(direction).first_piece().is_some(),
            Reading::Counters => false,
        }
    }

    /// Both directions, the one that ended first in front.
    fn ways_by_ending(&self) -> [Direction; 2] {
        match self.cold.connection.ended {
            Some(ending) => {
                let first = ending.by.sends();
                [first, first.reverse()]
            }
            None => WAYS,
        }
    }

    fn give_up<H: Handler<State = S>>(
        &mut self,
        handler: &mut H,
        direction: Direction,
        hole: Hole,
    ) {
        let half = self.half(direction);
        let len = hole.end.saturating_sub(half.next);
        let behind = half.first_piece().map(|(_, frame)| frame);
        let facts = self.cold.connection.stream(direction);
        let frame = hole.frame.or(behind).or(facts.fin).unwrap_or(self.last);
        self.gap(handler, direction, len, hole.cause, frame);
        self.drain(handler, direction);
    }

    /// Hands over the pieces whose turn it is.
    fn drain<H: Handler<State = S>>(&mut self, handler: &mut H, direction: Direction) {
        loop {
            let half = self.half_mut(direction);
            let next = half.next;
            let Some((start, piece)) = half.pop_ready(next) else {
                return;
            };
            let Some(bytes) = piece.bytes else {
                let len = piece.end.saturating_sub(next);
                if len > 0 {
                    self.gap(handler, direction, len, GapCause::Truncated, piece.frame);
                }
                continue;
            };
            let data = bytes.get((next - start) as usize..).unwrap_or_default();
            if !data.is_empty() {
                self.deliver(handler, direction, data, piece.frame);
            }
        }
    }

    /// Tells FIN and RST once all bytes before them are handed over.
    fn tell_endings<H: Handler<State = S>>(&mut self, handler: &mut H, direction: Direction) {
        let half = self.half_mut(direction);
        let next = half.next;
        let reached = |mark: Mark| mark.at().is_some_and(|at| at <= next);
        let (fin, rst) = (reached(half.fin), reached(half.rst));
        let fin = fin && !std::mem::replace(&mut half.marks.fin_told, true);
        let rst = rst && !std::mem::replace(&mut half.marks.rst_told, true);
        if self.reading != Reading::Bytes || !(fin || rst) {
            return;
        }
        self.update();
        let facts = self.cold.connection.stream(direction);
        let ends = [
            (fin, EndingHow::Fin, facts.fin),
            (rst, EndingHow::Rst, facts.rst),
        ];
        for (now, how, frame) in ends {
            if let (true, Some(frame), Some(state)) = (now, frame, self.state.as_mut()) {
                let end = StreamEnd {
                    direction,
                    how,
                    frame,
                };
                handler.ended(&self.cold.connection, state, end);
            }
        }
    }

    /// Keeps the table's sum of held bytes right.
    fn charge(&mut self, env: &mut Env) {
        let cost = self.to_server.cost() + self.to_client.cost();
        env.buffered = (env.buffered + cost).saturating_sub(self.cold.charged);
        self.cold.charged = cost;
    }
}
