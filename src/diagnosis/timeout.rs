//! Which timeout a silence fits, and how likely that is chance.

use super::text::duration;

/// nginx's timers may fire this much early (its timer is lazy by 300 ms) or late (scheduling, capture).
pub(super) const EARLY_NANOS: i64 = 350_000_000;
pub(super) const LATE_NANOS: i64 = 100_000_000;

/// Timeouts that people configure, seconds: a silence of one of these is hardly a coincidence.
const USUAL: &[i64] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 45, 50, 55, 60, 65, 70, 75, 80, 90, 100,
    110, 120, 150, 180, 200, 240, 250, 300, 350, 360, 400, 420, 480, 500, 600, 720, 900, 1000,
    1200, 1500, 1800, 2400, 2700, 3000, 3600, 5400, 7200, 10_800, 14_400, 18_000, 21_600, 28_800,
    36_000, 43_200, 86_400,
];

/// Of timeouts up to this, in seconds, all are usual.
const BY_CHANCE: i64 = 10;

/// A timer fires this much early (it counts in milliseconds) or late (a busy worker), unless it is lazy.
const FIRES_EARLY_NANOS: i64 = 10_000_000;
const FIRES_LATE_NANOS: i64 = 40_000_000;

/// The timeout T in whole seconds that a silence fits: nginx fires within [T - 0.3 s, T] after the last byte.
pub(super) fn fitting(silence_nanos: i64) -> Option<i64> {
    const SECOND: i64 = 1_000_000_000;
    let seconds = silence_nanos
        .saturating_sub(LATE_NANOS)
        .checked_add(SECOND - 1)?
        .div_euclid(SECOND);
    let early = seconds.saturating_mul(SECOND).saturating_sub(silence_nanos);
    (seconds >= 1 && early <= EARLY_NANOS).then_some(seconds)
}

/// The timeout that a silence fits, if it is one that people configure.
pub(super) fn usual(silence_nanos: i64) -> Option<i64> {
    fitting(silence_nanos).filter(|timeout| USUAL.contains(timeout))
}

/// Whether a silence may well fit this timeout, in seconds, by chance: nearly all of a few seconds fit some usual one, and
/// nearly half of all others some whole second.
pub(super) fn fits_by_chance(timeout: i64) -> bool {
    timeout <= BY_CHANCE || !USUAL.contains(&timeout)
}

/// Whether a silence that ended when no timer of so many seconds fires is no timeout: a few seconds are soon over by chance.
pub(super) const fn needs_its_timer(timeout: i64) -> bool {
    timeout <= BY_CHANCE
}

/// Whether a timer of so many seconds fires about then, on a busy machine too.
pub(super) fn may_fire_after(timeout: i64, nanos: i64) -> bool {
    let late = nanos.saturating_sub(timeout.saturating_mul(1_000_000_000));
    (-LATE_NANOS..=LATE_NANOS).contains(&late)
}

/// Whether a timer of so many seconds fires after this time, or by `slack` later.
pub(super) const fn fires_after(timeout: i64, nanos: i64, slack: i64) -> bool {
    let late = nanos.saturating_sub(timeout.saturating_mul(1_000_000_000));
    late >= -FIRES_EARLY_NANOS && late <= FIRES_LATE_NANOS.saturating_add(slack)
}

/// The timeout that a silence shows.
pub(super) struct Limit {
    /// The shortest that it can be.
    pub(super) at_least_nanos: i64,
    /// As text.
    pub(super) text: String,
}

impl Limit {
    /// A whole number of seconds, as people configure it.
    pub(super) fn seconds(seconds: i64) -> Self {
        Self {
            at_least_nanos: seconds.saturating_mul(1_000_000_000),
            text: format!("{seconds} s"),
        }
    }

    /// Anything from the silence on to as much as a timer may be early.
    pub(super) fn about(silence_nanos: i64) -> Self {
        Self {
            at_least_nanos: silence_nanos,
            text: format!(
                "{} to {}",
                duration(silence_nanos),
                duration(silence_nanos.saturating_add(EARLY_NANOS))
            ),
        }
    }
}
