//! Time as the engine counts it, while whoever stamps the frames may set the clock.
//!
//! ```text
//!  frame times    10:00:00  10:00:01 | 09:00:01  09:00:02        (set back by an hour)
//!  steady time    10:00:00  10:00:01   10:00:01  10:00:02        what expires goes by this
//! ```
//!
//! Frames keep the times that they have; only waiting goes by steady time. A step back would stop it for as long as the
//! step, a step forward would end it for everybody at once. A file does not tell a step forward from silence; live, where
//! time is told between frames, silence cannot come as a surprise.

use crate::capture::{FrameRef, Timestamp};

/// A smaller step does no harm, and frames of one capture may be out of order: by milliseconds between queues, by
/// seconds between interfaces.
const STEP_NANOS: i64 = 30_000_000_000;

/// Frames in a row that are behind before the clock was set back: before, they are stray ones.
const BEHIND: u32 = 64;

/// Steady time, and how frame times relate to it.
#[derive(Debug)]
pub(super) struct Clock {
    now: Timestamp,
    /// Of the newest frame.
    newest: Timestamp,
    /// Nanoseconds from frame time to steady time.
    shift: i64,
    /// Frames in a row that were behind, and the first of them.
    behind: u32,
    stray: Option<FrameRef>,
    /// The last frame was far ahead.
    ahead: bool,
    /// Time is told between frames.
    ticks: bool,
    set_back: Option<SetBack>,
    disorder: Option<Disorder>,
}

/// A frame whose time does not simply go on from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leap {
    /// The clock was set; a frame of the moment before would have said this.
    Set(Timestamp),
    /// It stands behind a later one.
    Late,
}

/// Frames that stand behind later ones: of several queues or interfaces, which wrote one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Disorder {
    /// The first frame that is too late.
    pub(super) first: FrameRef,
    /// By how many nanoseconds a frame was too late, at most.
    pub(super) nanos: i64,
    /// How many.
    pub(super) frames: u64,
    /// How many of them are of connections of which a later frame came before: those may be misread.
    pub(super) overtaken: u64,
}

/// Where the times of frames go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SetBack {
    /// The first frame behind.
    pub(super) first: FrameRef,
    /// By how much, the first time.
    pub(super) nanos: i64,
    /// How often.
    pub(super) times: u64,
}

const NEVER: Timestamp = Timestamp::from_nanos(i64::MIN);

impl Clock {
    pub(super) const fn new() -> Self {
        Self {
            now: NEVER,
            newest: NEVER,
            shift: 0,
            behind: 0,
            stray: None,
            ahead: false,
            ticks: false,
            set_back: None,
            disorder: None,
        }
    }

    /// A frame comes. If the clock was set, `shift` is another one now.
    #[inline]
    pub(super) fn frame(&mut self, frame: FrameRef) -> Option<Leap> {
        let at = frame.at.shifted(self.shift);
        // A step forward always fits into a number without a sign.
        let forward = at.nanos().wrapping_sub(self.now.nanos()).cast_unsigned();
        if at >= self.now && forward <= STEP_NANOS.cast_unsigned() {
            (self.behind, self.ahead) = (0, false);
            (self.now, self.newest) = (at, at);
            return None;
        }
        self.leap(frame, at)
    }

    /// A frame comes that is the first one, behind, or far ahead.
    #[cold]
    fn leap(&mut self, frame: FrameRef, at: Timestamp) -> Option<Leap> {
        let before = self.frame_time();
        let step = at.nanos_since(self.now);
        if self.now == NEVER || step.saturating_abs() <= STEP_NANOS {
            (self.behind, self.ahead) = (0, false);
            // Where time is told between frames, these are not in disorder but on their way.
            if step < 0 && !self.ticks {
                self.too_late(frame, step.saturating_neg());
                return Some(Leap::Late);
            }
        } else if step > 0 {
            self.behind = 0;
            let first = !std::mem::replace(&mut self.ahead, true);
            if self.ticks && first {
                // One damaged timestamp is no step.
                return None;
            }
            self.ahead = false;
            if self.ticks {
                self.set(step);
                return Some(Leap::Set(before));
            }
        } else {
            self.ahead = false;
            self.behind += 1;
            if self.behind == 1 {
                self.stray = Some(frame);
            }
            if self.behind < BEHIND {
                return None;
            }
            self.behind = 0;
            self.note(self.stray.unwrap_or(frame), step.saturating_neg());
            self.set(step);
            return Some(Leap::Set(before));
        }
        self.now = self.now.max(at);
        self.newest = self.now;
        None
    }

    fn too_late(&mut self, first: FrameRef, nanos: i64) {
        let disorder = self.disorder.get_or_insert(Disorder {
            first,
            nanos,
            frames: 0,
            overtaken: 0,
        });
        disorder.nanos = disorder.nanos.max(nanos);
        disorder.frames += 1;
    }

    /// The last frame, which is late, is of a connection of which a later one came before.
    pub(super) const fn overtaken(&mut self) {
        if let Some(disorder) = &mut self.disorder {
            disorder.overtaken += 1;
        }
    }

    /// Frames count from now on, however late or early they say it is.
    fn set(&mut self, step: i64) {
        self.shift = self.shift.saturating_sub(step);
        self.newest = self.now;
    }

    fn note(&mut self, first: FrameRef, nanos: i64) {
        let noted = self.set_back.get_or_insert(SetBack {
            first,
            nanos,
            times: 0,
        });
        noted.times += 1;
    }

    /// Steady time went on without a frame.
    pub(super) fn tick(&mut self, now: Timestamp) {
        self.ticks = true;
        self.now = self.now.max(now);
    }

    /// Steady time.
    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// Steady time of the newest frame.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        (self.newest != NEVER).then_some(self.newest)
    }

    /// What a frame of this moment would say.
    pub(super) const fn frame_time(&self) -> Timestamp {
        self.now.shifted(self.shift.saturating_neg())
    }

    /// Nanoseconds from frame time to steady time.
    pub(super) const fn shift(&self) -> i64 {
        self.shift
    }

    /// Frames in disorder, if there are any.
    pub(super) const fn disorder(&self) -> Option<Disorder> {
        self.disorder
    }

    /// Where times go back, if they do.
    pub(super) const fn set_back(&self) -> Option<SetBack> {
        self.set_back
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may")]
    use super::*;
    use crate::capture::{CaptureId, FrameNo};

    const SECOND: i64 = 1_000_000_000;
    const HOUR: i64 = 3600 * SECOND;

    fn frame(number: u64, seconds: i64) -> FrameRef {
        FrameRef::new(
            Timestamp::from_nanos(seconds * SECOND),
            CaptureId(0),
            FrameNo(number),
        )
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_nanos(seconds * SECOND)
    }

    #[test]
    fn time_goes_on_after_it_was_set_back() {
        let mut clock = Clock::new();
        assert!(clock.frame(frame(1, 10_000)).is_none());
        let set = (2..200).find(|&number| clock.frame(frame(number, 6400)).is_some());
        assert_eq!(set, Some(1 + u64::from(BEHIND)));
        assert_eq!((clock.now(), clock.shift()), (at(10_000), HOUR));
        assert!(clock.frame(frame(200, 6405)).is_none());
        assert_eq!((clock.now(), clock.frame_time()), (at(10_005), at(6405)));
        let noted = clock.set_back().unwrap();
        assert_eq!((noted.first, noted.nanos), (frame(2, 6400), HOUR));
    }

    #[test]
    fn a_stray_frame_is_no_step() {
        let mut clock = Clock::new();
        for number in 0..1000 {
            let seconds = if number % 60 == 59 { 100 } else { 10_000 };
            assert!(clock.frame(frame(number + 1, seconds)).is_none());
        }
        assert_eq!((clock.now(), clock.set_back()), (at(10_000), None));
    }

    #[test]
    fn disorder_is_counted_and_is_no_step() {
        let mut clock = Clock::new();
        for (number, seconds) in [(1, 10), (2, 12), (3, 11), (4, 10), (5, 12), (6, 13)] {
            let late = seconds < 12 && number > 2;
            let leap = clock.frame(frame(number, seconds));
            assert_eq!(leap, late.then_some(Leap::Late), "frame {number}");
        }
        let disorder = clock.disorder().unwrap();
        assert_eq!((disorder.first, disorder.frames), (frame(3, 11), 2));
        assert_eq!(disorder.nanos, 2 * SECOND);
        assert_eq!((clock.now(), clock.set_back()), (at(13), None));

        let mut live = Clock::new();
        live.frame(frame(1, 10));
        live.tick(at(12));
        live.frame(frame(2, 11));
        assert_eq!(live.disorder(), None);
    }

    #[test]
    fn a_file_jumps_over_silence_and_live_capture_does_not() {
        let mut file = Clock::new();
        file.frame(frame(1, 0));
        file.frame(frame(2, 86_400));
        assert_eq!(file.now(), at(86_400));

        let mut live = Clock::new();
        live.frame(frame(1, 0));
        live.tick(at(1));
        assert!(
            live.frame(frame(2, 86_400)).is_none(),
            "one damaged timestamp"
        );
        assert!(live.frame(frame(3, 2)).is_none());
        assert!(live.frame(frame(4, 86_400)).is_none());
        assert!(live.frame(frame(5, 86_400)).is_some(), "it was set");
        assert_eq!((live.now(), live.newest()), (at(2), Some(at(2))));
        assert!(live.frame(frame(6, 86_401)).is_none());
        assert_eq!((live.now(), live.frame_time()), (at(3), at(86_401)));
        // Silence of an hour is told, and no step.
        live.tick(at(3603));
        assert!(live.frame(frame(7, 86_401 + 3601)).is_none());
        assert_eq!(live.now(), at(3604));
    }
}
