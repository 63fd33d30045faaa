//! Reads the inputs, and once more where that shows more: keys stood behind what they open, or frames not in the order of
//! their times.

use super::inputs::{Known, Outcome};

/// Reads, and reads once more with what was learned where that tells more. `pass` reads from the start with what is known.
pub(super) fn read_well<T>(
    mut pass: impl FnMut(&Known) -> anyhow::Result<(T, Outcome)>,
) -> anyhow::Result<(T, Outcome)> {
    match best(&mut pass)? {
        (_, Some(found)) => Ok(found),
        (known, None) => pass(&known),
    }
}

/// What to know to read well, for whoever cannot take back what a pass tells.
pub(super) fn learn(
    mut pass: impl FnMut(&Known) -> anyhow::Result<Outcome>,
) -> anyhow::Result<Known> {
    Ok(best(&mut |known| Ok(((), pass(known)?)))?.0)
}

/// With what knowledge a pass tells most, and what it told unless that pass is still to come.
fn best<T>(
    pass: &mut impl FnMut(&Known) -> anyhow::Result<(T, Outcome)>,
) -> anyhow::Result<(Known, Option<(T, Outcome)>)> {
    let nothing = Known::default();
    let (found, mut outcome) = pass(&nothing)?;
    let known = std::mem::take(&mut outcome.learned);
    if known == nothing {
        return Ok((nothing, Some((found, outcome))));
    }
    drop(found);
    let (found, in_order) = pass(&known)?;
    if known.late_by.is_none() || !in_order.tcp.is_more_torn_than(&outcome.tcp) {
        return Ok((known, Some((found, in_order))));
    }
    // The clock was set back while frames were captured: they stand as they came, and their times are wrong.
    let as_they_stand = Known {
        late_by: None,
        ..known
    };
    Ok((as_they_stand, None))
}
