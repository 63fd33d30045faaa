//! What a segment adds to its stream: the next bytes, bytes ahead of a hole, or nothing new.

use super::flow::{Flow, Reading};
use super::limits::MAX_WINDOW;
use super::{Direction, GapCause, Handler};
use crate::decode::Segment;

impl<S> Flow<S> {
    /// Takes the payload of a segment, of which `len` bytes were on the wire.
    pub(super) fn payload<H: Handler<State = S>>(
        &mut self,
        handler: &mut H,
        direction: Direction,
        segment: &Segment<'_>,
        len: u64,
    ) {
        let seq = segment.seq.plus(u32::from(segment.flags.syn()));
        let half = self.half_mut(direction);
        if !half.marks.known {
            half.start(seq);
        }
        let start = half.position(seq);
        let end = start.saturating_add_unsigned(len);
        let (next, top) = (half.next.cast_signed(), half.top.cast_signed());
        let fin = half.fin.at().map(u64::cast_signed);
        if fin.is_some_and(|fin| end > fin) || start > top + MAX_WINDOW {
            // Behind the FIN, or of another connection: no part of this stream.
            return;
        }
        if half.holds(start, end) {
            self.repeated(direction, segment, start, end);
            return;
        }
        half.top = half.top.max(end.cast_unsigned());
        half.marks.data = true;
        half.last_data = Some(segment.frame);
        let facts = self.cold.connection.stream_mut(direction);
        facts.first_data.get_or_insert(segment.frame);
        facts.out_of_order += u64::from(start < top && end <= top);

        let skip = usize::try_from(next - start).unwrap_or(0);
        let data = segment.payload.get(skip..).unwrap_or_default();
        let from = start.max(next).cast_unsigned();
        // What is cut off begins behind the captured bytes, of which some may be delivered already.
        let missing = end.cast_unsigned() - from - data.len() as u64;
        if self.reading == Reading::Counters {
            self.count(direction, from, data.len() as u64, missing);
            return;
        }
        let half = self.half_mut(direction);
        let clear = half
            .first_piece()
            .is_none_or(|(first, _)| first >= end.cast_unsigned());
        if from == half.next && clear {
            if !data.is_empty() {
                self.deliver(handler, direction, data, segment.frame);
            }
            if missing > 0 {
                let cause = GapCause::Truncated;
                self.gap(handler, direction, missing, cause, segment.frame);
            }
            return;
        }
        let conflict = half.hold(from, data, missing, segment.frame);
        self.cold.connection.stream_mut(direction).conflicts += u64::from(conflict);
    }

    /// Counts a segment of which every byte was seen before, or came too late.
    fn repeated(&mut self, direction: Direction, segment: &Segment<'_>, start: i64, end: i64) {
        if self.is_probe(direction, segment, end.abs_diff(start)) {
            self.probed(direction);
            return;
        }
        let counting = self.reading == Reading::Counters;
        let half = self.half_mut(direction);
        let next = half.next.cast_signed();
        let late = end <= 0 || half.in_gap(start, end);
        let mut conflict = false;
        if late && counting && end > 0 {
            // No byte was promised to anybody: the hole is filled after all.
            half.fill(start.cast_unsigned(), end.cast_unsigned());
            let len = segment.payload.len() as u64;
            let facts = self.cold.connection.stream_mut(direction);
            facts.missing_bytes = facts.missing_bytes.saturating_sub(len);
        } else if end > next {
            let skip = usize::try_from(next - start).unwrap_or(0);
            let data = segment.payload.get(skip..).unwrap_or_default();
            let from = start.max(next).cast_unsigned();
            conflict = half.hold(from, data, 0, segment.frame);
        }
        let facts = self.cold.connection.stream_mut(direction);
        facts.conflicts += u64::from(conflict);
        if late {
            facts.out_of_order += 1;
        } else {
            facts.retransmitted += 1;
            facts.last_retransmission = Some(segment.frame);
        }
    }

    /// Nobody reads the bytes: counts `len` of them at a position, and holes at once.
    pub(super) fn count(&mut self, direction: Direction, from: u64, len: u64, missing: u64) {
        let half = self.half_mut(direction);
        let hole = from.saturating_sub(half.next);
        if hole > 0 {
            half.set_gap(half.next..from);
        }
        half.advance(hole + len + missing);
        if hole + missing > 0 {
            let facts = self.cold.connection.stream_mut(direction);
            facts.missing_bytes += hole + missing;
            facts.truncated_bytes += missing;
        }
    }
}
