//! Which parts of a range are not yet covered: the bookkeeping of gaps, apart from bytes.
//!
//! ```text
//!  runs      [--a--]      [-b-]    [--c--]
//!  wanted       [------------------)
//!  missing         [------)    [---)
//! ```

use std::ops::Range;

use smallvec::SmallVec;

/// The parts of `wanted` that none of `runs` covers. `runs` are disjoint, ascending, and none is empty.
pub(super) fn missing(
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
    fn several_runs_leave_the_holes_between_them() {
        let runs = [0..10, 20..30, 30..40, 50..60];
        assert_eq!(
            missing(runs.clone(), 5..55).as_slice(),
            [10..20, 40..50].as_slice()
        );
        assert_eq!(missing(runs, 60..60).as_slice(), [].as_slice());
    }
}
