//! `hop101 live`: capture, and explain while the user is still on the phone.
//!
//! ```text
//!   open devices and files -> give up privileges -> loop: frames -> [ -w ] [ ring ] engine -> what was decided -> lines
//!                                                         signals, clock, losses, status
//!                          -> the frames still on their way -> the full report, as `read` would make it
//! ```
//!
//! Invariants: one thread does all of it; the kernel's buffer holds what comes while a line is printed.

pub mod args;
mod clock;
mod evidence;
mod line;
mod outputs;
pub mod plan;
mod screen;
mod signals;
mod status;
mod telling;
mod watch;

use std::fmt::Write as _;
use std::io::{self, BufWriter};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use anyhow::Context;

use self::clock::{PacketClock, TimeOfDay, now_on_both_clocks, time_of_day};
use self::evidence::Evidence;
use self::outputs::{Packets, Report as ReportFile};
use self::plan::LivePlan;
use self::screen::{Lines as LinesTo, Screen};
use self::signals::Signals;
use self::status::Rate;
use self::watch::{Lines, Style, Watch};
use super::args::Format;
use super::keys::KeyLogs;
use super::read::keep;
use crate::capture::live::{self, DELIVERY, Drops, Live, LiveError};
use crate::capture::{Frame, Timestamp};
use crate::engine::{self, Engine};
use crate::hop::Clocks;
use crate::privileges::{self, Identity};
use crate::report::json::JsonLines;
use crate::report::{Collector, Keep, table};

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

struct Run<'a> {
    plan: &'a LivePlan,
    engine: Engine,
    watch: Watch,
    packets: Option<Packets>,
    reports: Vec<ReportFile>,
    problems: u32,
    panics: u32,
    losses: Drops,
    keylogs: KeyLogs,
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
            let mut evidence = Evidence::create(options.clone(), identity)?;
            for (number, source) in (0..).zip(live.sources()) {
                evidence.interface(number, source.link, &source.name);
            }
            watch.evidence = Some(evidence);
        }
        let keylogs = KeyLogs::open(&read.keylogs)
            .context("it must be there before the capture starts ('touch' makes it)")?;
        keylogs.refuse_pipes()?;
        let options = engine::Options::new(read.selection.clone(), Clocks::Same, read.memory);
        let mut engine = Engine::new(options).watched();
        if !keylogs.is_empty() {
            engine.expect_keys();
        }
        Ok(Self {
            plan,
            engine,
            keylogs,
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
        let mut clock = PacketClock::new(begun);
        let (mut tick_at, mut poll_at, mut status_at) = (begun, begun, begun + STATUS);
        let mut rate = Rate::new(begun);
        loop {
            let now = Instant::now();
            let wait = tick_at.saturating_duration_since(now);
            self.deliver(live, wait);
            let now = Instant::now();
            clock.saw(self.engine.newest(), now);
            if now >= tick_at {
                self.watch.interfaces(live.info());
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
        let mut takers = self.takers();
        live.flush(&mut |frame, name| takers.take(frame, name));
    }

    fn deliver(&mut self, live: &mut Live, wait: Duration) {
        let mut takers = self.takers();
        let mut each = |frame: &Frame<'_>, name: Option<&str>| takers.take(frame, name);
        if let Err(error) = live.deliver(wait, time_of_day, &mut each) {
            self.interface_failed(live, &error);
        }
    }

    fn takers(&mut self) -> Takers<'_> {
        Takers {
            engine: &mut self.engine,
            watch: &mut self.watch,
            packets: self.packets.as_mut(),
            keylogs: &mut self.keylogs,
            panics: &mut self.panics,
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
        self.takers().look_for_keys();
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

    /// What is looked at now and then: losses, the time of day, the interfaces. Packets written are handed to the system.
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
        if let Some(step) =
            now_on_both_clocks().and_then(|(said, now)| self.time_of_day.step(said, now))
        {
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
}

/// Everybody who wants frames.
struct Takers<'a> {
    engine: &'a mut Engine,
    watch: &'a mut Watch,
    packets: Option<&'a mut Packets>,
    keylogs: &'a mut KeyLogs,
    panics: &'a mut u32,
}

impl Takers<'_> {
    /// A frame to everybody; the name of its interface, if that is new.
    fn take(&mut self, frame: &Frame<'_>, new_interface: Option<&str>) {
        if let Some(packets) = &mut self.packets {
            packets.write(frame, new_interface);
        }
        let (engine, watch) = (&mut *self.engine, &mut *self.watch);
        guard(self.panics, || {
            if let (Some(name), Some(evidence)) = (new_interface, &mut watch.evidence) {
                evidence.interface(frame.interface, frame.link, name);
            }
            if let Some(evidence) = &mut watch.evidence {
                evidence.frame(frame);
            }
            engine.frame(frame, watch);
        });
        if self.engine.wants_keys() {
            self.look_for_keys();
        }
    }

    /// Takes the keys that were logged since.
    fn look_for_keys(&mut self) {
        let mut problems = Vec::new();
        guard(self.panics, || {
            problems = self.keylogs.more(&mut |lines| {
                self.engine.keys(lines);
            });
        });
        for problem in problems {
            self.watch.screen.message(&problem);
        }
    }
}

/// Does a part of the analysis. A fault of ours in one connection must not end a capture that may have run for weeks.
fn guard(panics: &mut u32, analysis: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(analysis)).is_err() {
        *panics += 1;
    }
}
