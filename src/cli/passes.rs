//! Reads the inputs, and once more where that shows more: keys stood behind what they open, or frames not in the order of
//! their times.

use super::inputs::Outcome;
use crate::capture::Secrets;

/// What reading inputs teaches about reading them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Keys of TLS sessions that the captures bring along.
    pub(super) keys: Vec<Secrets>,
    /// By how many nanoseconds frames stand behind later ones, at most, where they are put in order.
    pub(super) late_by: Option<i64>,
}

impl Known {
    /// Whether reading once more would show nothing new.
    fn is_nothing(&self) -> bool {
        self.keys.is_empty() && self.late_by.is_none()
    }
}

/// Reads; and reads once more, where that is possible (`again`), with what was learned if that tells more. `pass` reads from
/// the start with what is known.
pub(super) fn read_well<T>(
    again: bool,
    mut pass: impl FnMut(&Known) -> anyhow::Result<(T, Outcome)>,
) -> anyhow::Result<(T, Outcome)> {
    let (found, mut outcome) = pass(&Known::default())?;
    let known = std::mem::take(&mut outcome.learned);
    if !again || known.is_nothing() {
        return Ok((found, outcome));
    }
    drop(found);
    let (found, in_order) = pass(&known)?;
    if known.late_by.is_none() || !in_order.tcp.is_more_torn_than(&outcome.tcp) {
        return Ok((found, in_order));
    }
    // The clock was set back while frames were captured: they stand as they came, and their times are wrong.
    drop(found);
    pass(&Known {
        late_by: None,
        ..known
    })
}
