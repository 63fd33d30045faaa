//! The captures through the engine.

use super::plan::Plan;
use super::progress::Progress;
use crate::capture::{CaptureInfo, Filter, Inputs};
use crate::decode::OtherKind;
use crate::engine::{Engine, Observer, Options};
use crate::hop::Clocks;
use crate::tcp;

/// How reading went.
pub(super) struct Outcome {
    /// The inputs, as far as they were read.
    pub(super) captures: Vec<CaptureInfo>,
    /// Frames that are no TCP.
    pub(super) others: Vec<(OtherKind, u64)>,
    /// What was wrong with inputs, a line each.
    pub(super) problems: Vec<String>,
}

/// Reads all inputs of the plan to their ends and tells the observer what they show.
pub(super) fn run_inputs(
    plan: &Plan,
    observer: &mut dyn Observer,
    progress: &mut Progress,
) -> anyhow::Result<Outcome> {
    let mut filter = plan.filter.as_deref().map(Filter::compile).transpose()?;
    let mut inputs = Inputs::open(&plan.inputs);
    let mut engine = Engine::new(Options {
        ports: plan.ports.clone(),
        clocks: if plan.inputs.len() > 1 {
            Clocks::MayDiffer
        } else {
            Clocks::Same
        },
        limits: plan.memory.map_or_else(tcp::Limits::default, |bytes| {
            tcp::Limits::with_memory(usize::try_from(bytes).unwrap_or(usize::MAX))
        }),
    });
    let mut problems = Vec::new();
    loop {
        match inputs.next_frame() {
            Ok(Some(frame)) => {
                progress.frame(frame.data.len());
                if let Some(filter) = &mut filter {
                    match filter.matches(&frame) {
                        Ok(true) => {}
                        Ok(false) => continue,
                        // Told once for each link type.
                        Err(error) => {
                            problems.push(error.to_string());
                            continue;
                        }
                    }
                }
                engine.frame(&frame, observer);
            }
            Ok(None) => break,
            // The end of one input; the others go on.
            Err(error) => problems.push(error.to_string()),
        }
    }
    let captures: Vec<CaptureInfo> = inputs.infos().cloned().collect();
    engine.finish(&captures, observer);
    Ok(Outcome {
        captures,
        others: engine.other_frames().kinds(),
        problems,
    })
}
