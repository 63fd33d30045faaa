//! Silences of a session: how long nothing was sent either way, and lived through it; and since when nginx counts.

use super::{Silence, Timer};
use crate::capture::FrameRef;

/// Shorter pauses are no silences: no timeout is that short.
const SHORTEST_NANOS: i64 = 500_000_000;

/// Follows the data of both directions.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Quiet {
    last: FrameRef,
    pub(super) timer: Timer,
    pub(super) longest: Option<Silence>,
    pub(super) latest: Option<Silence>,
}

impl Quiet {
    pub(super) const fn since(established: FrameRef) -> Self {
        Self {
            last: established,
            timer: Timer::started(established),
            longest: None,
            latest: None,
        }
    }

    /// The same, behind a request that was sent on.
    pub(super) const fn asked(request: FrameRef, established: FrameRef) -> Self {
        let mut quiet = Self::since(established);
        if established.at.nanos_since(request.at) >= 0 {
            quiet.timer = Timer::started(request);
            quiet.timer.data(established);
        }
        quiet
    }

    /// Looks at each cache line that the next data needs.
    pub(super) const fn touch(&self) -> usize {
        (self.last.at.nanos() ^ self.timer.since.at.nanos()).cast_unsigned() as usize
    }

    /// Takes note of data. Bytes that waited for others to come first are older than what was seen before them.
    #[inline]
    pub(super) fn data(&mut self, frame: FrameRef) {
        // Without a sign, a step back is a long one.
        let after = |from: FrameRef| {
            let step = frame.at.nanos().wrapping_sub(from.at.nanos());
            step.cast_unsigned()
        };
        let soon = after(self.last) < SHORTEST_NANOS.cast_unsigned();
        if soon && after(self.timer.since) < Timer::LAZY_NANOS.cast_unsigned() {
            self.last = frame;
        } else {
            self.late_data(frame);
        }
    }

    /// Takes note of data that does not come soon after what was before it.
    #[inline(never)]
    fn late_data(&mut self, frame: FrameRef) {
        let nanos = frame.at.nanos_since(self.last.at);
        if nanos >= SHORTEST_NANOS {
            self.silence(frame, nanos);
        }
        if nanos >= 0 {
            self.last = frame;
            self.timer.data(frame);
        }
    }

    fn silence(&mut self, until: FrameRef, nanos: i64) {
        let silence = Silence {
            from: self.last,
            until,
        };
        self.latest = Some(silence);
        if self.longest.is_none_or(|longest| longest.nanos() < nanos) {
            self.longest = Some(silence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{CaptureId, FrameNo, Timestamp};

    fn at(ms: i64) -> FrameRef {
        FrameRef::new(
            Timestamp::from_nanos(ms * 1_000_000),
            CaptureId(0),
            FrameNo(ms.unsigned_abs() + 1),
        )
    }

    #[test]
    fn a_lazy_timer_is_not_moved_by_what_comes_soon() {
        let mut quiet = Quiet::since(at(0));
        for (data, since) in [(10, 0), (299, 0), (300, 300), (301, 300), (599, 300)] {
            quiet.data(at(data));
            assert_eq!(quiet.timer.since, at(since), "after {data} ms");
        }
        quiet.data(at(2000));
        assert_eq!(quiet.timer.running_at(at(2500)), at(2000));
        assert_eq!(quiet.timer.running_at(at(1999)), at(300), "too late");
    }

    #[test]
    fn a_timer_runs_since_the_request_if_the_answer_comes_soon() {
        let since = |asked, answered| Quiet::asked(at(asked), at(answered)).timer.since;
        assert_eq!(since(0, 299), at(0));
        assert_eq!(since(0, 300), at(300));
        // The first bytes of the answer stand in front of the request's last ones.
        assert_eq!(since(10, 5), at(5));
        let mut quiet = Quiet::asked(at(0), at(250));
        quiet.data(at(290));
        assert_eq!(quiet.timer.since, at(0));
        quiet.data(at(310));
        assert_eq!(quiet.timer.since, at(310));
    }

    #[test]
    fn silences_are_those_of_both_directions() {
        let mut quiet = Quiet::since(at(0));
        let silence = |from, until| {
            Some(Silence {
                from: at(from),
                until: at(until),
            })
        };
        quiet.data(at(499));
        assert_eq!((quiet.longest, quiet.latest), (None, None));
        quiet.data(at(2000));
        // Delivered late, behind bytes that were missing.
        quiet.data(at(1500));
        quiet.data(at(2600));
        assert_eq!(quiet.longest, silence(499, 2000));
        assert_eq!(quiet.latest, silence(2000, 2600));
    }
}
