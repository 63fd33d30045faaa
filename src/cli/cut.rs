//! `hop101 cut`: only the frames of chosen handshakes, as evidence small enough to attach.
//!
//! ```text
//!   pass 1: captures -> engine -> handshakes -> the chosen ones -> their connections: endpoints, first and last frame
//!   pass 2: captures -> decoder -> frames of these connections -> OUT.pcapng
//! ```
//!
//! The inputs are read twice, so that nothing is held in memory but what tells the connections apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::args::{Cut, THREADS};
use super::inputs::{Known, Sources, are_files, feed};
use super::output::NewFile;
use super::passes::read_well;
use super::plan::is_stdin;
use super::progress::Progress;
use super::{EXIT_FAILED, message};
use crate::capture::{Frame, FrameRef, Inputs, Writer};
use crate::decode::{Decoded, Decoder, Endpoint, OtherKind};
use crate::diagnosis::{Diagnosis, Finding, Limit, Verdict};
use crate::engine::{Observer, Selection};
use crate::hop::{Handshake, Record};
use crate::report::{role_name, verdict_name};
use crate::tcp::Connection;

/// How long after a connection's last frame stragglers of it are still looked for: late acknowledgments, ICMP errors.
const STRAGGLERS: Duration = Duration::from_secs(1);

/// Chooses handshakes in a first pass, and writes their frames in a second one. Gives the exit code.
pub(super) fn run(args: &Cut) -> anyhow::Result<u8> {
    refuse(&args.files, &args.output)?;
    let pass = |known: &Known| {
        let mut found = Found::default();
        let sources = Sources {
            inputs: &args.files,
            filter: None,
            keylogs: &args.keylog,
            known,
            selection: Selection::default(),
            memory: args.memory,
            threads: THREADS,
        };
        let outcome = feed(sources, &mut found, &mut Progress::none())?;
        Ok((found, outcome))
    };
    // A key log that is a pipe is read once.
    let (found, outcome) = if are_files(&args.keylog) {
        read_well(pass)?
    } else {
        pass(&Known::default())?
    };
    for problem in &outcome.problems {
        message(problem);
    }
    let chosen = found.choose(&args.handshake, args.failed)?;
    let mut windows = Windows::default();
    for (id, shake) in &chosen {
        for part in &shake.parts {
            windows.add(id, shake, part);
        }
    }
    let mut out = NewFile::create(&args.output)?;
    let written =
        copy(&args.files, &windows, &mut out).with_context(|| args.output.display().to_string())?;
    out.publish()?;
    if !args.quiet {
        message(&format!(
            "{}: {} of {} handshakes, {written} frames",
            args.output.display(),
            chosen.len(),
            found.handshakes.len()
        ));
    }
    Ok(if outcome.problems.is_empty() {
        0
    } else {
        EXIT_FAILED
    })
}

/// Inputs that cannot be read twice, and an output that is one of them.
fn refuse(inputs: &[PathBuf], output: &Path) -> anyhow::Result<()> {
    for input in inputs {
        let pipe = || fs::metadata(input).is_ok_and(|is| !is.is_file() && !is.is_dir());
        if is_stdin(input) || pipe() {
            bail!(
                "{}: cut reads its inputs twice, which a pipe cannot give: save it to a file first",
                input.display()
            );
        }
        let same = || {
            fs::canonicalize(input)
                .ok()
                .zip(fs::canonicalize(output).ok())
        };
        if input == output || same().is_some_and(|(input, output)| input == output) {
            bail!("--output {} would overwrite an input", output.display());
        }
    }
    Ok(())
}

/// What the first pass keeps of a handshake.
struct Shake {
    start: FrameRef,
    verdict: Verdict,
    cause: Option<&'static str>,
    parts: Vec<Part>,
}

/// A connection of a handshake.
struct Part {
    what: &'static str,
    ends: [Endpoint; 2],
    first: FrameRef,
    last: FrameRef,
}

impl Part {
    fn new(what: &'static str, connection: &Connection) -> Self {
        Self {
            what,
            ends: ends(connection.client, connection.server),
            first: connection
                .syn
                .map_or(connection.first, |syn| syn.min(connection.first)),
            last: connection.last,
        }
    }
}

/// Both ends of a connection, whichever sent.
fn ends(one: Endpoint, other: Endpoint) -> [Endpoint; 2] {
    if one <= other {
        [one, other]
    } else {
        [other, one]
    }
}

/// The handshakes that the first pass found.
#[derive(Default)]
struct Found {
    handshakes: Vec<Shake>,
}

impl Observer for Found {
    fn handshake(&mut self, handshake: &Handshake, diagnosis: &Diagnosis) {
        let mut parts = Vec::new();
        let hops = handshake.hops.iter().map(|hop| (role_name(hop.role), hop));
        let subrequests = handshake
            .subrequests
            .iter()
            .map(|hop| ("auth subrequest", hop));
        for (what, hop) in hops.chain(subrequests) {
            let records = std::iter::once(&hop.record).chain(&hop.copies);
            parts.extend(records.map(|record| Part::new(what, &record.connection)));
        }
        let attempts = handshake.attempts.iter();
        parts.extend(
            attempts.map(|attempt| Part::new("connect attempt", &attempt.record.connection)),
        );
        if let Some(front) = &handshake.front {
            parts.push(Part::new("TLS in front", &front.record.connection));
        }
        let first = parts.iter().map(|part| part.first).min();
        let Some(start) = handshake.started().or(first) else {
            return;
        };
        self.handshakes.push(Shake {
            start,
            verdict: diagnosis.verdict,
            cause: diagnosis.cause.map(crate::diagnosis::Code::as_str),
            parts,
        });
    }

    fn connection(&mut self, _: &Record, _: bool) {}

    fn finding(&mut self, _: &Finding) {}

    fn limit(&mut self, _: &Limit) {}
}

impl Found {
    /// The handshakes with these ids (all, if none is named), numbered as `read` numbers them.
    fn choose(&self, ids: &[String], failed: bool) -> anyhow::Result<Vec<(String, &Shake)>> {
        let mut ordered: Vec<(usize, &Shake)> = self.handshakes.iter().enumerate().collect();
        ordered.sort_by_key(|&(number, shake)| (shake.start, number));
        let all: BTreeMap<String, &Shake> = (1..)
            .zip(ordered)
            .map(|(id, (_, shake))| (format!("h{id}"), shake))
            .collect();
        let wanted: BTreeSet<String> = ids
            .iter()
            .map(|id| id.trim().to_ascii_lowercase())
            .collect();
        if let Some(unknown) = wanted.iter().find(|id| !all.contains_key(*id)) {
            bail!(
                "no handshake is called {unknown:?}; the inputs hold {}, as 'hop101 read' numbers them",
                match all.len() {
                    0 => "none".to_owned(),
                    1 => "h1 alone".to_owned(),
                    several => format!("h1 to h{several}"),
                }
            );
        }
        let chosen: Vec<_> = all
            .into_iter()
            .filter(|(id, _)| wanted.is_empty() || wanted.contains(id))
            .filter(|(_, shake)| !failed || shake.verdict != Verdict::Ok)
            .collect();
        match (chosen.is_empty(), self.handshakes.is_empty()) {
            (true, true) => bail!("nothing to cut: the inputs hold no handshake"),
            (true, false) => bail!("nothing to cut: none of the handshakes failed"),
            _ => Ok(chosen),
        }
    }
}

/// When the chosen connections were between which ends.
#[derive(Default)]
struct Windows {
    by_ends: BTreeMap<[Endpoint; 2], Vec<Window>>,
    span: Option<(FrameRef, FrameRef)>,
}

struct Window {
    first: FrameRef,
    last: FrameRef,
    comment: String,
}

impl Windows {
    fn add(&mut self, id: &str, shake: &Shake, part: &Part) {
        let cause = shake
            .cause
            .map_or(String::new(), |cause| format!(" {cause}"));
        let words = format!("{id} {}{cause}: {}", verdict_name(shake.verdict), part.what);
        let (first, last) = self.span.unwrap_or((part.first, part.last));
        self.span = Some((first.min(part.first), last.max(part.last)));
        let windows = self.by_ends.entry(part.ends).or_default();
        // A connection that several handshakes share is written once, with all their names.
        match windows.iter_mut().find(|window| window.first == part.first) {
            Some(window) => {
                window.last = window.last.max(part.last);
                window.comment = format!("{}; {words}", window.comment);
            }
            None => windows.push(Window {
                first: part.first,
                last: part.last,
                comment: words,
            }),
        }
    }

    /// The comment of a frame of a chosen connection. `opens`: the frame begins a connection.
    fn of(&self, pair: [Endpoint; 2], frame: FrameRef, opens: bool) -> Option<&str> {
        let windows = self.by_ends.get(&pair)?.iter();
        let begun = windows.filter(|window| !before(frame, window.first));
        // Ports are used again: the connection that began last is the one.
        let window = begun.max_by_key(|window| window.first)?;
        let late = before(window.last, frame);
        let straggler = !opens && frame.at <= window.last.at.plus(STRAGGLERS);
        (!late || straggler).then_some(&window.comment)
    }

    /// Whether a frame lies between the first and the last one chosen.
    fn spans(&self, frame: FrameRef) -> bool {
        self.span
            .is_some_and(|(first, last)| !before(frame, first) && !before(last, frame))
    }
}

/// Whether a frame comes before another one: by its number in the same capture, where times may jump, else by time.
fn before(one: FrameRef, other: FrameRef) -> bool {
    if one.capture() == other.capture() {
        one.number() < other.number()
    } else {
        one.at < other.at
    }
}

/// Writes the frames of the chosen connections; gives their number.
fn copy(inputs: &[PathBuf], windows: &Windows, out: &mut NewFile) -> std::io::Result<u64> {
    let mut writer = Writer::new(out, concat!("hop101 ", env!("CARGO_PKG_VERSION")))?;
    let mut decoder = Decoder::new();
    let mut inputs = Inputs::open(inputs).with_threads(THREADS);
    let mut written = 0;
    loop {
        let frame = match inputs.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            // Told in the first pass.
            Err(_) => continue,
        };
        if let Some(comment) = comment(&mut decoder, &frame, windows) {
            writer.write(&frame, Some(comment))?;
            written += 1;
        }
    }
    writer.finish()?;
    Ok(written)
}

fn comment<'w>(decoder: &mut Decoder, frame: &Frame<'_>, windows: &'w Windows) -> Option<&'w str> {
    match decoder.decode(frame) {
        Decoded::Tcp(segment) => {
            let opens = segment.flags.syn() && !segment.flags.ack();
            windows.of(
                ends(segment.source(), segment.destination()),
                frame.id,
                opens,
            )
        }
        Decoded::Icmp(error) => windows.of(ends(error.source, error.destination), frame.id, false),
        // Whose it is shows when the datagram is complete, which is too late: all of that time are kept.
        Decoded::Other(OtherKind::Fragment) if windows.spans(frame.id) => Some("an IP fragment"),
        Decoded::Other(_) => None,
    }
}
