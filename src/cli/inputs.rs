//! The captures through the engine.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::keys::KeyLogs;
use super::message;
use super::plan::{Plan, is_stdin};
use super::progress::Progress;
use crate::capture::{CaptureError, CaptureInfo, Filter, Inputs, Problem, QUEUE_BYTES, Secrets};
use crate::decode::{OtherKind, supports};
use crate::engine::{Engine, Observer, Options, Selection};
use crate::hop::Clocks;
use crate::tcp::Stats;

/// How often a key log is looked at that may still be written.
const FOLLOW: Duration = Duration::from_millis(100);

/// What reading inputs teaches about reading them once more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Keys of TLS sessions that the captures bring along.
    pub(super) keys: Vec<Secrets>,
    /// By how many nanoseconds frames stand behind later ones, at most, where they are put in order.
    pub(super) late_by: Option<i64>,
}

/// How reading went.
pub(super) struct Outcome {
    /// The inputs, as far as they were read.
    pub(super) captures: Vec<CaptureInfo>,
    /// Frames that are no TCP.
    pub(super) others: Vec<(OtherKind, u64)>,
    /// Names of addresses that the inputs bring along.
    pub(super) names: BTreeMap<IpAddr, String>,
    /// What the connection table counted.
    pub(super) tcp: Stats,
    /// What was wrong with inputs, a line each.
    pub(super) problems: Vec<String>,
    /// By how many nanoseconds frames stood behind later ones, at most, where they were put in order.
    pub(super) late_by: Option<i64>,
    /// With what reading once more may tell more.
    pub(super) learned: Known,
}

/// What to read, and how much of it to look at.
pub(super) struct Sources<'a> {
    /// The inputs.
    pub(super) inputs: &'a [PathBuf],
    /// Only packets that match.
    pub(super) filter: Option<&'a str>,
    /// Files with keys of TLS sessions.
    pub(super) keylogs: &'a [PathBuf],
    /// What is known from reading the same inputs before.
    pub(super) known: &'a Known,
    /// Which connections are looked at.
    pub(super) selection: Selection,
    /// Bytes for connections and reassembly; `None` for the usual limits.
    pub(super) memory: Option<u64>,
    /// Most threads to use.
    pub(super) threads: u16,
}

/// Reads all inputs of the plan to their ends and tells the observer what they show.
pub(super) fn run_inputs(
    plan: &Plan,
    known: &Known,
    observer: &mut dyn Observer,
    progress: &mut Progress,
) -> anyhow::Result<Outcome> {
    let sources = Sources {
        inputs: &plan.inputs,
        filter: plan.filter.as_deref(),
        keylogs: &plan.keylogs,
        known,
        selection: plan.selection.clone(),
        memory: plan.memory,
        threads: plan.threads,
    };
    feed(sources, observer, progress)
}

/// Reads all inputs to their ends and tells the observer what they show.
pub(super) fn feed(
    sources: Sources<'_>,
    observer: &mut dyn Observer,
    progress: &mut Progress,
) -> anyhow::Result<Outcome> {
    let mut filter = sources.filter.map(Filter::compile).transpose()?;
    let mut keylogs = KeyLogs::open(sources.keylogs)?;
    let interrupt = Interrupt::heard(sources.inputs)?;
    let mut inputs = Inputs::open(sources.inputs).with_threads(sources.threads);
    if let Some(late_by) = sources.known.late_by {
        // Connections seldom fill their part of a budget.
        let held_max = sources.memory.map_or(QUEUE_BYTES, |bytes| {
            usize::try_from(bytes / 2).unwrap_or(usize::MAX)
        });
        inputs = inputs.in_order(late_by, held_max);
    }
    let several = sources.inputs.len() > 1;
    let clocks = if several {
        Clocks::MayDiffer
    } else {
        Clocks::Same
    };
    let mut engine = Engine::new(Options::new(sources.selection, clocks, sources.memory));
    // What comes through a pipe may be captured now, and the keys written now.
    let mut follow_at =
        (!keylogs.is_empty() && sources.inputs.iter().any(|path| is_pipe(path))).then(Instant::now);
    let mut problems = if follow_at.is_some() {
        keylogs.refuse_pipes()?;
        engine.expect_keys();
        Vec::new()
    } else {
        let problems = keylogs.all(&mut |lines| engine.keys(lines));
        keylogs.empty().for_each(|text| message(&text));
        problems
    };
    let mut keys = Keys::default();
    keys.take(&mut engine, sources.known.keys.clone());
    keys.take(&mut engine, inputs.take_secrets());
    progress.begin(inputs.progress().size);
    while !interrupt.came() {
        progress.at(|| inputs.progress());
        if follow_at.is_some_and(|at| engine.wants_keys() || at <= Instant::now()) {
            problems.extend(keylogs.more(&mut |lines| {
                engine.keys(lines);
            }));
            follow_at = Some(Instant::now() + FOLLOW);
        }
        match inputs.next_frames() {
            Ok(Some(mut frames)) => {
                keys.take(&mut engine, frames.take_secrets());
                keys.begun = true;
                match &mut filter {
                    None => engine.frames(frames, observer),
                    Some(filter) => {
                        let wanted = frames.filter(|frame| {
                            filter.matches(frame).unwrap_or_else(|error| {
                                // Told once for each link type.
                                problems.push(error.to_string());
                                false
                            })
                        });
                        engine.frames(wanted, observer);
                    }
                }
            }
            Ok(None) => break,
            // The end of one input; the others go on.
            Err(error) => problems.push(error.to_string()),
        }
        if several || sources.known.late_by.is_some() {
            keys.take(&mut engine, inputs.take_secrets());
        }
    }
    keys.take(&mut engine, inputs.take_secrets());
    let captures: Vec<CaptureInfo> = inputs.infos().cloned().collect();
    engine.finish(&captures, observer);
    problems.extend(captures.iter().filter_map(not_looked_into));
    Ok(Outcome {
        names: inputs.names(),
        tcp: engine.tcp_stats(),
        captures,
        others: engine.other_frames().kinds(),
        problems,
        late_by: sources.known.late_by,
        learned: Known {
            keys: if keys.late && engine.lacks_keys() {
                keys.all
            } else {
                Vec::new()
            },
            late_by: engine.late_by(),
        },
    })
}

/// The keys that captures bring along.
#[derive(Default)]
struct Keys {
    all: Vec<Secrets>,
    /// Frames were read.
    begun: bool,
    /// Some came behind frames.
    late: bool,
}

impl Keys {
    /// Hands keys over to the engine.
    fn take(&mut self, engine: &mut Engine, secrets: Vec<Secrets>) {
        for secrets in secrets {
            if secrets.kind == Secrets::TLS_KEY_LOG {
                let new = engine.keys(&secrets.data);
                self.late |= self.begun && new;
                self.all.push(secrets);
            }
        }
    }
}

/// Whether inputs can be read once more. Standard input is read on from where it is, a file redirected there as well.
pub(super) fn are_files(inputs: &[PathBuf]) -> bool {
    !inputs.iter().any(|path| is_stdin(path) || is_pipe(path))
}

/// Whether reading files once may not be enough: frames are not in the order of their times, or keys come behind packets. A
/// look at the containers alone, which takes a fraction of reading.
pub(super) fn are_out_of_order(files: &[PathBuf]) -> bool {
    let mut inputs = Inputs::open(files);
    // Those stand before all packets.
    inputs.take_secrets();
    let mut newest = None;
    loop {
        match inputs.next_frames() {
            Ok(Some(mut frames)) => {
                let brings_secrets = !frames.take_secrets().is_empty();
                if newest.is_some() && brings_secrets {
                    return true;
                }
                for frame in frames {
                    if newest > Some(frame.id.at) {
                        return true;
                    }
                    newest = Some(frame.id.at);
                }
            }
            Ok(None) => break,
            // The end of one input; the others go on.
            Err(_) => {}
        }
    }
    !inputs.take_secrets().is_empty()
}

/// Why nothing in a sound capture could be looked into: frames of unknown link types only. Where there are others,
/// the report names those that were passed over.
fn not_looked_into(info: &CaptureInfo) -> Option<String> {
    let mut links = info.link_types.iter();
    let first = links.next()?;
    if supports(*first) || links.any(|&link| supports(link)) {
        return None;
    }
    let problem = Problem::UnsupportedLink {
        number: first.0,
        name: first.name(),
    };
    Some(CaptureError::new(&info.path, problem).to_string())
}

/// Ctrl-C while packets come through a pipe: it ends what writes into the pipe, and then there is a report to write.
/// The second one ends the program at once.
struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    fn heard(inputs: &[PathBuf]) -> io::Result<Self> {
        let interrupt = Self(Arc::default());
        if inputs.iter().any(|path| is_pipe(path)) {
            let status = 128 + signal_hook::consts::SIGINT;
            let (signal, flag) = (signal_hook::consts::SIGINT, &interrupt.0);
            signal_hook::flag::register_conditional_shutdown(signal, status, Arc::clone(flag))?;
            signal_hook::flag::register(signal, Arc::clone(flag))?;
        }
        Ok(interrupt)
    }

    fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Standard input, unless a file was redirected there, or a FIFO.
fn is_pipe(path: &Path) -> bool {
    let path = if is_stdin(path) {
        Path::new("/dev/stdin")
    } else {
        path
    };
    std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}
