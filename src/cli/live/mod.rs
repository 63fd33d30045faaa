//! `hop101 live`: capture, and explain while the user is still on the phone.
//!
//! ```text
//!   open devices and files -> give up privileges -> loop: frames -> [ -w ] [ ring ] engine -> what was decided -> lines
//!                                                         signals, clock, losses, status
//!                          -> the frames still on their way -> the full report, as `read` would make it
//! ```
//!
//! One thread does all of it; the kernel's buffer holds what comes while a line is printed.

pub mod args;
mod evidence;
mod line;
mod outputs;
pub mod plan;
mod screen;
mod watch;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufWriter};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

use self::evidence::Evidence;
use self::outputs::{Packets, Report as ReportFile};
use self::plan::LivePlan;
use self::screen::{Lines as LinesTo, Screen};
use self::watch::{Lines, Style, Watch};
use super::args::Format;
use super::output;
use super::read::{exit_code, keep};
use crate::capture::live::{self, DELIVERY, Drops, Live, LiveError};
use crate::capture::{CaptureInfo, Frame, Timestamp};
use crate::engine::{self, Engine};
use crate::hop::Clocks;
use crate::privileges::{self, Identity};
use crate::report::json::{CaptureStatus, JsonLines};
use crate::report::{Collector, Keep, Report, table};

/// What files of packets say wrote them.
const APPLICATION: &str = concat!("hop101 ", env!("CARGO_PKG_VERSION"));

/// How often the engine is told the time, and what was decided is shown.
const TICK: Duration = Duration::from_millis(100);

/// After a look at what was decided, this many times as long passes before the next: a flood of handshakes must not
/// cost packets ...
const DECIDED_PAUSE: u32 = 4;

/// ... but is not put off for longer than this, so that a verdict still comes within a second.
const DECIDED_LATEST: Duration = Duration::from_millis(700);

/// How often the kernel is asked what it lost, and packets written are handed to the system.
const POLL: Duration = Duration::from_secs(1);

/// How often JSON lines say how the capture goes.
const STATUS: Duration = Duration::from_secs(10);

/// Handshakes of each verdict and cause that are kept for a report with all: a run may last for weeks.
const KEPT_PER_CAUSE: usize = 5000;

/// Memory that these may take, all causes together: heads may be as long as 64 KiB.
const KEPT_BYTES: usize = 256 << 20;

/// What is less is slewed or drift, and moves no verdict.
const CLOCK_STEP_SECONDS: f64 = 1.0;

/// Internal errors after which a run ends: one odd connection must not end it, but something is wrong.
const PANICS_MAX: u32 = 100;

/// Prints the interfaces.
pub(super) fn list() -> anyhow::Result<u8> {
    let mut text = String::new();
    for (number, interface) in (1..).zip(live::interfaces()?) {
        let _ = write!(text, "{number}. {}", interface.name);
        let mut facts = vec![if interface.up { "up" } else { "down" }.to_owned()];
        facts.extend(interface.loopback.then(|| "loopback".to_owned()));
        facts.extend(interface.addresses.iter().map(ToString::to_string));
        facts.extend(interface.description);
        let _ = writeln!(text, "  ({})", facts.join(", "));
    }
    super::print(text.as_bytes())?;
    Ok(0)
}

/// Captures until told to stop, writes the reports, and gives the exit code.
pub(super) fn run(plan: &LivePlan) -> anyhow::Result<u8> {
    let signals = Signals::listen()?;
    let identity = Identity::choose(plan.user.as_deref())?;
    let mut live = Live::open(&plan.capture, plan.count)?;
    let mut run = Run::prepare(plan, &mut live, identity.as_ref())?;
    let writable: Vec<_> = plan
        .evidence
        .iter()
        .map(|evidence| evidence.folder.clone())
        .collect();
    let steps = privileges::give_up(identity.as_ref(), &writable)?;
    if let Some(evidence) = &run.watch.evidence {
        evidence.check()?;
    }
    if plan.read.verbose {
        for step in steps {
            let not = if step.done { "" } else { "not possible: " };
            run.watch.screen.message(&format!("{not}{}", step.what));
        }
    }
    run.greet(&mut live);
    run.capture(&mut live, &signals);
    run.finish(live)
}

/// What the user wants, by signal.
struct Signals {
    stop: Arc<AtomicBool>,
    snapshot: Arc<AtomicBool>,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let snapshot = Arc::new(AtomicBool::new(false));
        for (signal, code) in [(SIGINT, 130), (SIGTERM, 143)] {
            // In this order: the second signal finds the flag set and leaves at once.
            signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&stop))?;
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        signal_hook::flag::register(SIGUSR1, Arc::clone(&snapshot))?;
        Ok(Self { stop, snapshot })
    }

    fn stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn take_snapshot(&self) -> bool {
        self.snapshot.swap(false, Ordering::Relaxed)
    }
}

/// Packet time, carried on while the line is silent.
///
/// It follows the engine's time, in which steps of the clock are evened out, and a clock that nobody sets: steps of the
/// time of day neither expire connections nor stop time for them.
struct PacketClock {
    newest: Timestamp,
    since: Instant,
}

impl PacketClock {
    fn saw(&mut self, at: Option<Timestamp>, now: Instant) {
        if let Some(at) = at
            && at > self.newest
        {
            self.newest = at;
            self.since = now;
        }
    }

    /// A time that no frame still to come lies before, if it is later than the last frame's.
    fn now(&self, now: Instant) -> Option<Timestamp> {
        let silent = now.duration_since(self.since).checked_sub(DELIVERY)?;
        (self.newest != Timestamp::from_nanos(i64::MIN)).then(|| self.newest.plus(silent))
    }
}

/// Notices that the time of day was set.
struct TimeOfDay {
    said: Timestamp,
    at: Instant,
}

impl TimeOfDay {
    fn new(now: Instant) -> Self {
        Self {
            said: time_of_day(),
            at: now,
        }
    }

    /// Seconds by which it was set since last asked, if it was.
    fn step(&mut self, said: Timestamp, now: Instant) -> Option<f64> {
        let passed = now.duration_since(self.at);
        let step = said.nanos_since(self.said.plus(passed)) as f64 / 1e9;
        *self = Self { said, at: now };
        (step.abs() >= CLOCK_STEP_SECONDS).then_some(step)
    }
}

/// The time of day.
fn time_of_day() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

struct Run<'a> {
    plan: &'a LivePlan,
    engine: Engine,
    watch: Watch,
    packets: Option<Packets>,
    reports: Vec<ReportFile>,
    problems: u32,
    panics: u32,
    losses: Drops,
    /// When what was decided is looked at next.
    decide_at: Instant,
    /// Interfaces that were said to be down.
    down: Vec<String>,
    time_of_day: TimeOfDay,
}

impl<'a> Run<'a> {
    /// Opens all files.
    fn prepare(
        plan: &'a LivePlan,
        live: &mut Live,
        identity: Option<&Identity>,
    ) -> anyhow::Result<Self> {
        let read = &plan.read;
        let lines_to = match read.format {
            Format::Table => LinesTo::Stdout,
            Format::Jsonl => LinesTo::Nowhere,
            _ if read.quiet => LinesTo::Nowhere,
            _ => LinesTo::Stderr,
        };
        let style = Style {
            only_failed: read.only_failed,
            redact: read.redact,
            block: read.verbose.then_some(table::Options {
                width: read.width,
                color: read.color,
                verbose: false,
            }),
            color: read.color,
        };
        let wanted = keep(read);
        let collector = Collector::new(
            Keep {
                per_cause: Some(wanted.per_cause.unwrap_or(KEPT_PER_CAUSE)),
                bytes: Some(KEPT_BYTES),
                ..wanted
            },
            read.redact,
        );
        let mut watch = Watch::new(collector, Screen::new(lines_to, read.progress), style);
        if read.format == Format::Jsonl {
            let out = BufWriter::new(io::stdout());
            watch.lines.push(Lines::Stdout(JsonLines::new(
                out,
                read.only_failed,
                read.redact,
            )));
        }
        let packets = match &plan.write {
            Some(path) => Some(Packets::create(path, &live.sources(), identity)?),
            None => None,
        };
        let mut reports = Vec::new();
        for report in &read.reports {
            let file = ReportFile::open(report, identity)?;
            if file.format == Format::Jsonl {
                let lines =
                    JsonLines::new(BufWriter::new(file.lines()?), read.only_failed, read.redact);
                watch.lines.push(Lines::File(file.path, lines));
            } else {
                reports.push(file);
            }
        }
        if let Some(options) = &plan.evidence {
            watch.evidence = Some(Evidence::create(options.clone(), identity)?);
        }
        Ok(Self {
            plan,
            engine: Engine::new(engine::Options::new(
                read.selection.clone(),
                Clocks::Same,
                read.memory,
            )),
            watch,
            packets,
            reports,
            problems: 0,
            panics: 0,
            losses: Drops::default(),
            decide_at: Instant::now(),
            down: Vec::new(),
            time_of_day: TimeOfDay::new(Instant::now()),
        })
    }

    fn greet(&mut self, live: &mut Live) {
        if self.plan.read.quiet {
            return;
        }
        let sources = live.sources();
        let names: Vec<String> = sources
            .iter()
            .map(|source| format!("{} ({})", source.name, source.link.name()))
            .collect();
        let text = format!(
            "listening on {}; Ctrl-C ends with the full report",
            names.join(", ")
        );
        self.watch.screen.message(&text);
    }

    /// The loop.
    fn capture(&mut self, live: &mut Live, signals: &Signals) {
        let begun = Instant::now();
        let mut clock = PacketClock {
            newest: Timestamp::from_nanos(i64::MIN),
            since: begun,
        };
        let (mut tick_at, mut poll_at, mut status_at) = (begun, begun, begun + STATUS);
        let mut rate = Rate::new(begun);
        loop {
            let now = Instant::now();
            let wait = tick_at.saturating_duration_since(now);
            self.deliver(live, wait);
            let now = Instant::now();
            clock.saw(self.engine.newest(), now);
            if now >= tick_at {
                self.tick(clock.now(now), now);
                // From the end of it: packets come first.
                tick_at = Instant::now() + TICK;
                let frames = live.info().frames;
                rate.update(frames, now);
                self.status(frames, rate.per_second, now);
            }
            if now >= poll_at {
                poll_at = now + POLL;
                self.poll(live);
                if now >= status_at {
                    status_at = now + STATUS;
                    self.status_line(live.info());
                }
            }
            if signals.take_snapshot() {
                self.snapshot(live);
            }
            let late = self
                .plan
                .duration
                .is_some_and(|most| now.duration_since(begun) >= most);
            if late
                || signals.stop()
                || live.is_over()
                || self.watch.flush()
                || self.panics > PANICS_MAX
            {
                break;
            }
        }
        self.drain(live);
    }

    /// Takes the frames that were captured before now and are still on their way.
    fn drain(&mut self, live: &mut Live) {
        let until = Instant::now() + DELIVERY;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || live.is_over() {
                break;
            }
            self.deliver(live, left);
        }
        let (engine, watch) = (&mut self.engine, &mut self.watch);
        let (packets, panics) = (&mut self.packets, &mut self.panics);
        live.flush(&mut |frame| take(frame, engine, watch, packets.as_mut(), panics));
    }

    fn deliver(&mut self, live: &mut Live, wait: Duration) {
        let (engine, watch) = (&mut self.engine, &mut self.watch);
        let (packets, panics) = (&mut self.packets, &mut self.panics);
        let mut each = |frame: &Frame<'_>| take(frame, engine, watch, packets.as_mut(), panics);
        if let Err(error) = live.deliver(wait, time_of_day, &mut each) {
            self.interface_failed(live, &error);
        }
    }

    fn interface_failed(&mut self, live: &mut Live, error: &LiveError) {
        live.note_damage(error);
        self.problem(&error.to_string());
    }

    fn problem(&mut self, text: &str) {
        self.problems += 1;
        self.watch.screen.message(text);
    }

    fn tick(&mut self, packet_time: Option<Timestamp>, now: Instant) {
        let (engine, watch) = (&mut self.engine, &mut self.watch);
        if let Some(at) = packet_time {
            guard(&mut self.panics, || engine.tick(at, watch));
        }
        if now >= self.decide_at {
            guard(&mut self.panics, || watch.decided(&engine.decided()));
            let done = Instant::now();
            let pause = done.duration_since(now) * DECIDED_PAUSE;
            self.decide_at = done + pause.min(DECIDED_LATEST);
        }
        if let Some(evidence) = &mut self.watch.evidence {
            evidence.write(now, false);
            if let Some(problem) = evidence.take_problem() {
                self.problem(&problem);
            }
        }
    }

    fn status(&mut self, frames: u64, per_second: u64, now: Instant) {
        let connections = self.engine.connections();
        let (counts, losses) = (self.watch.counts, self.losses);
        self.watch.screen.status(now, || {
            // The least important last.
            vec![
                format!(
                    "handshakes: {} ok  {} failed  {} unclear",
                    counts.ok, counts.failed, counts.unclear
                ),
                format!("{} dropped", losses.total()),
                format!("{per_second} packets/s"),
                format!("{connections} connections"),
                format!("{frames} packets"),
            ]
        });
    }

    /// Asks for losses; says so where there are new ones.
    fn poll(&mut self, live: &mut Live) {
        let losses = live.drops();
        let new = losses.total().saturating_sub(self.losses.total());
        self.losses = losses;
        if new > 0 {
            let text = format!(
                "{new} packets lost ({} by the kernel, {} by interfaces since the start); a larger --buffer or a --filter helps",
                losses.kernel, losses.interface
            );
            self.watch.screen.message(&text);
        }
        if let Some(step) = self.time_of_day.step(time_of_day(), Instant::now()) {
            let text = format!(
                "the clock of this machine was set by {step:+.1} s: times and durations across this moment are wrong"
            );
            self.watch.screen.message(&text);
        }
        match live.look() {
            Ok(down) => {
                for name in down.iter().filter(|name| !self.down.contains(name)) {
                    let text = format!(
                        "{name}: the interface is down; nothing comes until it is up again"
                    );
                    self.watch.screen.message(&text);
                }
                self.down = down;
            }
            Err(error) => self.interface_failed(live, &error),
        }
        if let Some(packets) = &mut self.packets {
            packets.flush();
            if let Some(problem) = packets.take_error() {
                self.problem(&problem);
            }
        }
    }

    fn status_line(&mut self, info: &CaptureInfo) {
        let counts = self.watch.counts;
        let status = CaptureStatus {
            at: time_of_day(),
            frames: info.frames,
            bytes: info.bytes,
            dropped_by_kernel: self.losses.kernel,
            dropped_by_interface: self.losses.interface,
            connections: self.engine.tcp_stats().connections,
            ok: counts.ok,
            failed: counts.failed,
            unclear: counts.unclear,
        };
        for lines in &mut self.watch.lines {
            if let Lines::Stdout(lines) = lines {
                lines.status(&status);
            }
        }
    }

    /// Prints and writes the report as it would be now, and goes on.
    fn snapshot(&mut self, live: &mut Live) {
        self.poll(live);
        let mut collector = self.watch.collector.clone();
        for (handshake, diagnosis) in self.engine.preview() {
            crate::engine::Observer::handshake(&mut collector, &handshake, &diagnosis);
        }
        collector.counted(&self.engine.tcp_stats());
        let report = collector.finish(&[self.capture_info(live)], self.others());
        self.write_reports(&report);
        let mut text = Vec::new();
        if output::to_bytes(&self.plan.read, &report, &mut text).is_ok() {
            self.watch.screen.stdout(&String::from_utf8_lossy(&text));
        }
        self.status_line(live.info());
    }

    fn others(&self) -> BTreeMap<crate::decode::OtherKind, u64> {
        self.engine.other_frames().kinds().into_iter().collect()
    }

    /// The capture, as a reader of the file written will see it.
    fn capture_info(&self, live: &Live) -> CaptureInfo {
        let mut info = live.info().clone();
        if let Some(path) = &self.plan.write {
            info.path = path.to_string_lossy().into_owned();
            info.format = Some("pcapng");
        }
        info
    }

    fn write_reports(&mut self, report: &Report) {
        let mut failed = Vec::new();
        for file in &mut self.reports {
            let mut bytes = Vec::new();
            let written = output::to_file_bytes(file.format, &self.plan.read, report, &mut bytes);
            if let Err(error) = written.and_then(|()| file.replace(&bytes)) {
                failed.push(format!("{error:#}"));
            }
        }
        for problem in failed {
            self.problem(&problem);
        }
    }

    /// Everything that is left, and the report.
    fn finish(mut self, mut live: Live) -> anyhow::Result<u8> {
        self.poll(&mut live);
        let info = self.capture_info(&live);
        if let Some(packets) = &mut self.packets {
            packets.finish(&live.sources(), info.last_at.unwrap_or_default());
            if let Some(problem) = packets.take_error() {
                self.problem(&problem);
            }
        }
        // Packets are no longer taken: the interfaces are free.
        drop(live);
        self.engine
            .finish(std::slice::from_ref(&info), &mut self.watch);
        if let Some(evidence) = &mut self.watch.evidence {
            evidence.write(Instant::now(), true);
            let skipped = evidence.skipped();
            if let Some(problem) = evidence.take_problem() {
                self.problem(&problem);
            }
            if skipped > 0 {
                let text = format!(
                    "{skipped} handshakes went wrong in too quick a succession to keep evidence of each"
                );
                self.watch.screen.message(&text);
            }
        }
        if self.panics > 0 {
            self.problem(&format!(
                "hop101 failed {} times within, so the report is not complete; please report this with the file of -w",
                self.panics
            ));
        }
        let others = self.others();
        let mut collector = std::mem::replace(
            &mut self.watch.collector,
            Collector::new(Keep::default(), self.plan.read.redact),
        );
        collector.counted(&self.engine.tcp_stats());
        let report = collector.finish(std::slice::from_ref(&info), others);
        self.watch.screen.clear();
        if !self.watch.screen.is_closed() {
            if self.plan.read.format == Format::Table
                && self.watch.screen.wants_lines()
                && report.summary.handshakes > 0
            {
                self.watch.screen.stdout("\n");
            }
            output::to_stdout(&self.plan.read, &report)?;
        }
        self.write_reports(&report);
        for lines in std::mem::take(&mut self.watch.lines) {
            if let Some(problem) = finish_lines(lines, &report) {
                self.problem(&problem);
            }
        }
        if let Some(error) = self.watch.screen.take_error() {
            self.problem(&format!("standard output: {error}"));
        }
        Ok(exit_code(
            self.plan.read.fail_on,
            report.summary,
            self.problems > 0,
        ))
    }
}

/// A frame to everybody who wants it.
fn take(
    frame: &Frame<'_>,
    engine: &mut Engine,
    watch: &mut Watch,
    packets: Option<&mut Packets>,
    panics: &mut u32,
) {
    if let Some(packets) = packets {
        packets.write(frame);
    }
    guard(panics, || {
        if let Some(evidence) = &mut watch.evidence {
            evidence.frame(frame);
        }
        engine.frame(frame, watch);
    });
}

/// Does a part of the analysis. A fault of ours in one connection must not end a capture that may have run for weeks.
fn guard(panics: &mut u32, analysis: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(analysis)).is_err() {
        *panics += 1;
    }
}

/// Ends JSON lines; says what went wrong.
fn finish_lines(lines: Lines, report: &Report) -> Option<String> {
    let (name, error) = match lines {
        Lines::Stdout(lines) => ("standard output".to_owned(), lines.finish(report).err()?),
        Lines::File(path, lines) => (path.display().to_string(), lines.finish(report).err()?),
    };
    (error.kind() != io::ErrorKind::BrokenPipe).then(|| format!("{name}: {error}"))
}

/// Packets per second, over the last second or so.
struct Rate {
    at: Instant,
    frames: u64,
    per_second: u64,
}

impl Rate {
    const fn new(at: Instant) -> Self {
        Self {
            at,
            frames: 0,
            per_second: 0,
        }
    }

    fn update(&mut self, frames: u64, now: Instant) {
        let passed = now.duration_since(self.at).as_secs_f64();
        if passed >= 1.0 {
            #[allow(clippy::cast_sign_loss, reason = "neither is negative")]
            let per_second = (frames.saturating_sub(self.frames) as f64 / passed) as u64;
            *self = Self {
                at: now,
                frames,
                per_second,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day_is_set_or_goes_on() {
        let begun = Instant::now();
        let mut clock = TimeOfDay::new(begun);
        let said = clock.said;
        let later = |seconds| begun + Duration::from_secs(seconds);
        let says = |seconds: i64| said.shifted(seconds * 1_000_000_000);
        assert_eq!(clock.step(says(100), later(100)), None);
        assert_eq!(clock.step(says(-3499), later(101)), Some(-3600.0));
        assert_eq!(clock.step(says(-3399), later(201)), None);
        assert_eq!(clock.step(says(83_001), later(201)), Some(86_400.0));
    }

    #[test]
    fn packet_time_goes_on_in_silence() {
        let begun = Instant::now();
        let mut clock = PacketClock {
            newest: Timestamp::from_nanos(i64::MIN),
            since: begun,
        };
        assert_eq!(clock.now(begun + DELIVERY), None);
        let at = Timestamp::from_nanos(5_000_000_000);
        clock.saw(Some(at), begun);
        assert_eq!(clock.now(begun), None, "more may be on its way");
        let silent = Duration::from_secs(3);
        assert_eq!(clock.now(begun + DELIVERY + silent), Some(at.plus(silent)));
    }
}
