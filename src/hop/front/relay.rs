//! What went into a proxy and what came out of it: the same bytes, a moment later.

use smallvec::SmallVec;

use super::{PROMPT_NANOS, may_be_alert};
use crate::capture::Timestamp;
use crate::hop::relayed::Mark;
use crate::tls::{SIZES_MAX, Size, TlsFacts};

/// Bytes of a direction that had come by a time: at least, at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    at: Timestamp,
    least: u64,
    most: u64,
}

pub(super) type Steps = SmallVec<[Step; SIZES_MAX]>;

/// One direction of what was relayed: into the proxy, and out of it. Each is known until a time.
pub(super) struct Relay {
    pub(super) into: (Steps, Option<Timestamp>),
    pub(super) out: (Steps, Option<Timestamp>),
}

/// What comparing one direction gave.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) agreed: usize,
    pub(super) of: usize,
    /// From in to out, of those that agree.
    pub(super) lags: SmallVec<[i64; SIZES_MAX]>,
    pub(super) lengths: SmallVec<[u64; SIZES_MAX]>,
}

impl Relay {
    /// Bytes that came out before they went in, or did not come out in time, belong to something else.
    pub(super) fn compare(&self, lag: i64, end: Option<Timestamp>) -> Option<Compared> {
        let (into, into_known) = &self.into;
        let (out, out_known) = &self.out;
        for step in out {
            if into_known.is_some_and(|known| step.at > known) {
                break;
            }
            let had = into.iter().rev().find(|one| one.at <= step.at);
            if had.map_or(0, |one| one.most) < step.least {
                return None;
            }
        }
        let mut compared = Compared::default();
        let mut before = 0;
        for step in into {
            let until = step.at.shifted(lag);
            if out_known.is_some_and(|known| until > known) {
                break;
            }
            let mut in_time = out.iter().filter(|one| one.at <= until);
            let exact = in_time
                .clone()
                .find(|one| one.at >= step.at && one.most >= step.least && one.least <= step.most);
            if let Some(exact) = exact {
                compared.agreed += 1;
                compared.lags.push(exact.at.nanos_since(step.at));
                compared.lengths.push(step.most.saturating_sub(before));
            } else if in_time.next_back().is_none_or(|one| one.most < step.least) {
                // What came when the other side was going is lost.
                if end.is_some_and(|end| step.at.shifted(PROMPT_NANOS) >= end) {
                    break;
                }
                return None;
            }
            compared.of += 1;
            before = step.most;
        }
        Some(compared)
    }

    /// The same by lengths alone. The lags are the differences of two clocks as well.
    pub(super) fn align(&self) -> Compared {
        let mut compared = Compared::default();
        let mut before = 0;
        for step in &self.into.0 {
            let mut out = self.out.0.iter();
            let exact = out.find(|one| one.most >= step.least && one.least <= step.most);
            if let Some(exact) = exact {
                compared.agreed += 1;
                compared.lags.push(exact.at.nanos_since(step.at));
                compared.lengths.push(step.most.saturating_sub(before));
            }
            compared.of += 1;
            before = step.most;
        }
        let last = |steps: &Steps| steps.last().map_or(0, |step| step.least);
        if self.into.1.is_none() && self.out.1.is_none() && last(&self.into.0) != last(&self.out.0)
        {
            compared.agreed = 0;
        }
        compared
    }
}

/// The bytes that records carried, added up. The alert that says that no more will come is none of them.
pub(super) fn carried(sizes: &[Size], facts: &TlsFacts, is_cut: bool) -> Option<Steps> {
    let mut steps = Steps::new();
    let (mut least, mut most) = (0_u64, 0_u64);
    for (place, size) in sizes.iter().enumerate() {
        let range = facts.carried_by(size.len)?;
        if place + 1 == sizes.len() && !is_cut && may_be_alert(facts, size) {
            break;
        }
        least += u64::from(*range.start());
        most += u64::from(*range.end());
        steps.push(Step {
            at: size.frame.at,
            least,
            most,
        });
    }
    Some(steps)
}

/// The bytes that came, added up.
pub(super) fn marked(marks: &[Mark]) -> Steps {
    marked_behind(marks, 0)
}

/// The same behind some of the marks.
pub(super) fn marked_behind(marks: &[Mark], skipped: usize) -> Steps {
    let (before, rest) = marks.split_at(skipped.min(marks.len()));
    let base = before.last().map_or(0, |mark| mark.end);
    let step = |mark: &Mark| {
        let end = mark.end.saturating_sub(base);
        Step {
            at: mark.frame.at,
            least: end,
            most: end,
        }
    };
    rest.iter().map(step).collect()
}
