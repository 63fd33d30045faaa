//! Which parts of a range are not yet covered: the bookkeeping of gaps, apart from bytes.
//!
//! ```text
//!  runs      [--a--]      [-b-]    [--c--]
//!  wanted       [------------------)
//!  missing         [------)    [---)
//! ```

use std::collections::BTreeMap;
use std::ops::Range;

use smallvec::SmallVec;

/// What is covered, as runs that do not touch each other: however many pieces make it up, a look at a range costs no more
/// than there are holes in it.
#[derive(Debug, Default)]
pub(super) struct Runs(BTreeMap<u64, u64>);

impl Runs {
    /// Adds a range of which no part is covered.
    pub(super) fn add(&mut self, Range { start, end }: Range<u64>) {
        let before = self.0.range(..start).next_back();
        let from = match before {
            Some((&from, &to)) if to == start => from,
            _ => start,
        };
        let to = self.0.remove(&end).unwrap_or(end);
        self.0.insert(from, to);
    }

    /// Takes out a range of which all is covered.
    pub(super) fn remove(&mut self, Range { start, end }: Range<u64>) {
        let Some((&from, &to)) = self.0.range(..=start).next_back() else {
            return;
        };
        if from < start {
            self.0.insert(from, start);
        } else {
            self.0.remove(&from);
        }
        if end < to {
            self.0.insert(end, to);
        }
    }

    /// The parts of a range that are not covered.
    pub(super) fn missing(&self, wanted: Range<u64>) -> SmallVec<[Range<u64>; 4]> {
        let before = self.0.range(..wanted.start).next_back();
        let runs = before.into_iter().chain(self.0.range(wanted.start..));
        missing(runs.map(|(&start, &end)| start..end), wanted)
    }
}

/// The parts of `wanted` that none of `runs` covers. `runs` are disjoint, ascending, and none is empty.
fn missing(
    runs: impl IntoIterator<Item = Range<u64>>,
    wanted: Range<u64>,
) -> SmallVec<[Range<u64>; 4]> {
    let mut found = SmallVec::new();
    let mut at = wanted.start;
    for run in runs {
        if run.start >= wanted.end {
            break;
        }
        if run.end <= at {
            continue;
        }
        if run.start > at {
            found.push(at..run.start);
        }
        at = run.end;
    }
    if at < wanted.end {
        found.push(at..wanted.end);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One run from 10 to 20 and every way in which a range can lie to it.
    #[test]
    fn every_overlap_shape() {
        type Row = (&'static str, Range<u64>, &'static [[u64; 2]]);
        let table: [Row; 13] = [
            ("before", 0..5, &[[0, 5]]),
            ("meets", 0..10, &[[0, 10]]),
            ("overlaps its start", 5..15, &[[5, 10]]),
            ("ends with it", 5..20, &[[5, 10]]),
            ("contains it", 5..25, &[[5, 10], [20, 25]]),
            ("starts with it, shorter", 10..15, &[]),
            ("equals it", 10..20, &[]),
            ("starts with it, longer", 10..25, &[[20, 25]]),
            ("within it", 12..18, &[]),
            ("ends with it, shorter", 15..20, &[]),
            ("overlaps its end", 15..25, &[[20, 25]]),
            ("met by it", 20..25, &[[20, 25]]),
            ("after", 25..30, &[[25, 30]]),
        ];
        for (name, wanted, expected) in table {
            let found = missing(std::iter::once(10..20), wanted);
            let found: Vec<_> = found.iter().map(|hole| [hole.start, hole.end]).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn what_touches_becomes_one_and_what_is_taken_out_leaves_two() {
        let mut runs = Runs::default();
        for start in (0..100).step_by(2).chain((1..100).step_by(2)) {
            runs.add(start..start + 1);
        }
        assert_eq!(runs.0, [(0, 100)].into());
        runs.remove(0..10);
        runs.remove(40..50);
        runs.remove(90..100);
        assert_eq!(runs.0, [(10, 40), (50, 90)].into());
        runs.remove(10..40);
        assert_eq!(
            runs.missing(0..60).as_slice(),
            std::slice::from_ref(&(0..50))
        );
        runs.add(90..95);
        runs.add(40..50);
        assert_eq!(runs.0, [(40, 95)].into());
    }

    #[test]
    fn several_runs_leave_the_holes_between_them() {
        let runs = [0..10, 20..30, 30..40, 50..60];
        assert_eq!(
            missing(runs.clone(), 5..55).as_slice(),
            [10..20, 40..50].as_slice()
        );
        assert_eq!(missing(runs, 60..60).as_slice(), [].as_slice());
    }
}
