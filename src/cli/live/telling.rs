//! What a live run tells: the status line, JSON status, the report now and at the end.
//!
//! What goes wrong here is told and counted, and never ends the capture; the exit code says that it happened.

use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

use super::Run;
use super::clock::time_of_day;
use super::status::short;
use super::watch::Lines;
use crate::capture::CaptureInfo;
use crate::capture::live::Live;
use crate::cli::args::Format;
use crate::cli::output;
use crate::cli::read::exit_code;
use crate::report::json::CaptureStatus;
use crate::report::{Collector, Keep, Report};

impl Run<'_> {
    pub(super) fn status(&mut self, frames: u64, per_second: u64, now: Instant) {
        let connections = self.engine.connections();
        let (counts, losses) = (self.watch.counts, self.losses);
        self.watch.screen.status(now, || {
            let [ok, failed, unclear] = [counts.ok, counts.failed, counts.unclear].map(short);
            let [frames, rate, lost] = [frames, per_second, losses.total()].map(short);
            let connections = short(connections as u64);
            let handshakes = format!("{ok} ok, {failed} failed, {unclear} unclear");
            let rest = format!("{rate}/s, {lost} dropped");
            [
                vec![
                    format!("handshakes: {handshakes}"),
                    format!("packets: {frames}, {rest}"),
                    format!("connections: {connections}"),
                ],
                vec![
                    handshakes,
                    format!("{frames} packets, {rest}"),
                    format!("{connections} connections"),
                ],
            ]
        });
    }

    pub(super) fn status_line(&mut self, info: &CaptureInfo) {
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
    pub(super) fn snapshot(&mut self, live: &mut Live) {
        self.poll(live);
        let mut collector = self.watch.collector.clone();
        for (handshake, diagnosis) in self.engine.preview() {
            crate::engine::Observer::handshake(&mut collector, &handshake, &diagnosis);
        }
        collector.counted(&self.engine.tcp_stats());
        collector.under_way(self.engine.connections());
        let report = collector.finish(&[self.capture_info(live)], self.others());
        self.write_reports(&report);
        self.watch.flush();
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
    pub(super) fn capture_info(&self, live: &Live) -> CaptureInfo {
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
    pub(super) fn finish(mut self, mut live: Live) -> anyhow::Result<u8> {
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

/// Ends JSON lines; says what went wrong.
fn finish_lines(lines: Lines, report: &Report) -> Option<String> {
    let (name, error) = match lines {
        Lines::Stdout(lines) => ("standard output".to_owned(), lines.finish(report).err()?),
        Lines::File(path, lines) => (path.display().to_string(), lines.finish(report).err()?),
    };
    (error.kind() != io::ErrorKind::BrokenPipe).then(|| format!("{name}: {error}"))
}
