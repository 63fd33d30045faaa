//! The clocks of a live run: packet time carried on through silence, steps of the time of day.
//!
//! Packet time never goes back and is never ahead of frames still on their way. What is measured here is told the time by
//! its caller, so that tests need not wait.

use std::time::{Duration, Instant, SystemTime};

use crate::capture::Timestamp;
use crate::capture::live::DELIVERY;

/// What is less is slewed or drift, and moves no verdict.
const CLOCK_STEP_SECONDS: f64 = 1.0;

/// Two clocks that are read within this show the same moment.
const SAME_MOMENT: Duration = Duration::from_millis(100);

/// Packet time, carried on while the line is silent.
///
/// It follows the engine's time, in which steps of the clock are evened out, and a clock that nobody sets: steps of the
/// time of day neither expire connections nor stop time for them.
pub(super) struct PacketClock {
    newest: Timestamp,
    since: Instant,
}

impl PacketClock {
    /// A clock that has seen no frame yet.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            newest: Timestamp::from_nanos(i64::MIN),
            since: now,
        }
    }

    pub(super) fn saw(&mut self, at: Option<Timestamp>, now: Instant) {
        if let Some(at) = at
            && at > self.newest
        {
            self.newest = at;
            self.since = now;
        }
    }

    /// A time that no frame still to come lies before, if it is later than the last frame's.
    pub(super) fn now(&self, now: Instant) -> Option<Timestamp> {
        let silent = now.duration_since(self.since).checked_sub(DELIVERY)?;
        (self.newest != Timestamp::from_nanos(i64::MIN)).then(|| self.newest.plus(silent))
    }
}

/// Notices that the time of day was set.
pub(super) struct TimeOfDay {
    said: Timestamp,
    at: Instant,
}

impl TimeOfDay {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            said: time_of_day(),
            at: now,
        }
    }

    /// Seconds by which it was set since last asked, if it was.
    pub(super) fn step(&mut self, said: Timestamp, now: Instant) -> Option<f64> {
        let passed = now.duration_since(self.at);
        let step = said.nanos_since(self.said.plus(passed)) as f64 / 1e9;
        *self = Self { said, at: now };
        (step.abs() >= CLOCK_STEP_SECONDS).then_some(step)
    }
}

/// Both clocks at the same moment; `None` when something always came between.
pub(super) fn now_on_both_clocks() -> Option<(Timestamp, Instant)> {
    (0..3).find_map(|_| {
        let before = Instant::now();
        let said = time_of_day();
        (before.elapsed() < SAME_MOMENT).then_some((said, before))
    })
}

/// The time of day.
pub(super) fn time_of_day() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day_is_set_or_goes_on() {
        let begun = Instant::now();
        let mut clock = TimeOfDay::new(begun);
        let said = clock.said;
        let later = |seconds| begun + Duration::from_secs(seconds);
        let says = |seconds: i64| said.shifted(seconds * 1_000_000_000);
        assert_eq!(clock.step(says(100), later(100)), None);
        assert_eq!(clock.step(says(-3499), later(101)), Some(-3600.0));
        assert_eq!(clock.step(says(-3399), later(201)), None);
        assert_eq!(clock.step(says(83_001), later(201)), Some(86_400.0));
    }

    #[test]
    fn packet_time_goes_on_in_silence() {
        let begun = Instant::now();
        let mut clock = PacketClock::new(begun);
        assert_eq!(clock.now(begun + DELIVERY), None);
        let at = Timestamp::from_nanos(5_000_000_000);
        clock.saw(Some(at), begun);
        assert_eq!(clock.now(begun), None, "more may be on its way");
        let silent = Duration::from_secs(3);
        assert_eq!(clock.now(begun + DELIVERY + silent), Some(at.plus(silent)));
    }
}
