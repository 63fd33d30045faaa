//! `hop101 read`: captures in, reports out.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::args::{FailOn, Format};
use super::inputs::{Known, Outcome, are_files, are_out_of_order, run_inputs};
use super::output::{self, NewFile};
use super::passes::{learn, read_well};
use super::plan::Plan;
use super::progress::Progress;
use super::{EXIT_FAILED, EXIT_FOUND, message};
use crate::diagnosis::{Diagnosis, Finding, Limit};
use crate::engine::Observer;
use crate::hop::{Handshake, Record};
use crate::report::json::JsonLines;
use crate::report::view::Summary;
use crate::report::{Collector, Keep, Report, html, markdown, table};

/// Reads the inputs, writes the reports, and gives the exit code.
pub(super) fn run(plan: &Plan) -> anyhow::Result<u8> {
    let mut lines = Vec::new();
    if plan.format == Format::Jsonl {
        lines.push((
            None,
            JsonLines::new(
                Sink::Stdout(BufWriter::new(io::stdout())),
                plan.only_failed,
                plan.redact,
            ),
        ));
    }
    for report in &plan.reports {
        if report.format == Format::Jsonl {
            let file = Sink::File(NewFile::create(&report.path)?);
            lines.push((
                Some(&report.path),
                JsonLines::new(file, plan.only_failed, plan.redact),
            ));
        }
    }
    let writes_lines = !lines.is_empty();
    let mut progress = Progress::new(plan);
    let again = are_files(&plan.inputs) && are_files(&plan.keylogs);
    // Lines that are written cannot be taken back: what it takes to read well must be known before.
    let known = if again && writes_lines && are_out_of_order(&plan.inputs) {
        learn(|known| run_inputs(plan, known, &mut Nobody, &mut progress))?
    } else {
        Known::default()
    };
    let mut pass = |known: &Known| {
        let mut fan = Fan {
            collector: Collector::new(keep(plan), plan.redact),
            lines: lines.iter_mut().map(|(_, lines)| lines).collect(),
            settled: progress.handshakes(),
        };
        let outcome = run_inputs(plan, known, &mut fan, &mut progress)?;
        Ok((fan.collector, outcome))
    };
    let (mut collector, outcome) = if again && !writes_lines {
        read_well(pass)?
    } else {
        pass(&known)?
    };
    progress.finish();
    let Outcome {
        captures,
        others,
        names,
        tcp,
        problems,
        late_by,
        ..
    } = outcome;
    collector.counted(&tcp);
    collector.named(names);
    let report = collector.finish(&captures, others.into_iter().collect::<BTreeMap<_, _>>());

    let mut failed = !problems.is_empty();
    for problem in &problems {
        message(problem);
    }
    if let (Some(nanos), false) = (late_by, plan.quiet) {
        let millis = nanos as f64 / 1e6;
        message(&format!(
            "frames stand up to {millis:.3} ms behind later ones: they are read in the order of their times"
        ));
    }
    if report.summary.handshakes == 0 && !plan.quiet && plan.chooses() {
        message("only what --port, --host, --url and --filter choose was looked into: try without");
    }
    let nothing_read = failed && report.captures.iter().all(|capture| capture.frames == 0);
    // A document says in itself that nothing could be read; a page would only repeat the message.
    if !nothing_read || matches!(plan.format, Format::Json | Format::Jsonl) {
        output::to_stdout(plan, &report)?;
    }
    for (path, lines) in lines {
        if let Err(error) = finish_lines(lines, &report) {
            match path {
                Some(path) => message(&format!("{}: {error}", path.display())),
                None => message(&format!("standard output: {error}")),
            }
            failed = true;
        }
    }
    for file in &plan.reports {
        if file.format != Format::Jsonl
            && let Err(error) = output::to_file(&file.path, file.format, plan.verbose, &report)
        {
            message(&format!("{error:#}"));
            failed = true;
        }
    }
    Ok(exit_code(plan.fail_on, report.summary, failed))
}

fn finish_lines(lines: JsonLines<Sink>, report: &Report) -> anyhow::Result<()> {
    match lines.finish(report) {
        Ok(sink) => match sink {
            Sink::File(file) => file.publish(),
            Sink::Stdout(_) => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn exit_code(fail_on: FailOn, summary: Summary, failed: bool) -> u8 {
    let found = match fail_on {
        FailOn::Error => summary.errors,
        FailOn::Warning => summary.errors + summary.warnings,
        FailOn::Never => 0,
    };
    match (failed, found) {
        (true, _) => EXIT_FAILED,
        (false, 0) => 0,
        (false, _) => EXIT_FOUND,
    }
}

/// What the forms asked for need of the handshakes.
pub(super) fn keep(plan: &Plan) -> Keep {
    let formats =
        || std::iter::once(plan.format).chain(plan.reports.iter().map(|report| report.format));
    let per_cause = formats()
        .map(|format| match format {
            Format::Json => None,
            // Written as they come.
            Format::Jsonl => Some(0),
            _ if plan.verbose => None,
            Format::Table => Some(table::PER_CAUSE),
            Format::Markdown => Some(markdown::PER_CAUSE),
            Format::Html => Some(html::PER_CAUSE),
        })
        // None wants all.
        .try_fold(0, |most: usize, wants| Some(most.max(wants?)));
    Keep {
        only_failed: plan.only_failed,
        per_cause,
        bytes: None,
        undrawn: formats().all(|format| matches!(format, Format::Json | Format::Jsonl)),
    }
}

/// Where lines go.
enum Sink {
    Stdout(BufWriter<io::Stdout>),
    File(NewFile),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(file) => file.flush(),
        }
    }
}

/// Who only wants to know how reading goes.
struct Nobody;

impl Observer for Nobody {
    fn handshake(&mut self, _: &Handshake, _: &Diagnosis) {}
    fn connection(&mut self, _: &Record, _: bool) {}
    fn finding(&mut self, _: &Finding) {}
    fn limit(&mut self, _: &Limit) {}
}

/// Everything to everybody who wants it.
struct Fan<'a> {
    collector: Collector,
    lines: Vec<&'a mut JsonLines<Sink>>,
    settled: Arc<AtomicU64>,
}

impl Observer for Fan<'_> {
    fn handshake(&mut self, handshake: &Handshake, diagnosis: &Diagnosis) {
        self.settled.fetch_add(1, Ordering::Relaxed);
        self.collector.handshake(handshake, diagnosis);
        for lines in &mut self.lines {
            lines.handshake(handshake, diagnosis);
        }
    }

    fn left_out(&mut self, handshake: &Handshake) {
        self.collector.left_out(handshake);
        for lines in &mut self.lines {
            lines.left_out(handshake);
        }
    }

    fn connection(&mut self, record: &Record, notable: bool) {
        self.collector.connection(record, notable);
        for lines in &mut self.lines {
            lines.connection(record, notable);
        }
    }

    fn finding(&mut self, finding: &Finding) {
        self.collector.finding(finding);
        for lines in &mut self.lines {
            lines.finding(finding);
        }
    }

    fn limit(&mut self, limit: &Limit) {
        self.collector.limit(limit);
        for lines in &mut self.lines {
            lines.limit(limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_input_wins_over_findings() {
        let found = |errors, warnings| Summary {
            errors,
            warnings,
            ..Summary::default()
        };
        assert_eq!(exit_code(FailOn::Error, found(0, 3), false), 0);
        assert_eq!(exit_code(FailOn::Error, found(1, 0), false), 1);
        assert_eq!(exit_code(FailOn::Warning, found(0, 1), false), 1);
        assert_eq!(exit_code(FailOn::Never, found(9, 9), false), 0);
        assert_eq!(exit_code(FailOn::Never, found(0, 0), true), 2);
        assert_eq!(exit_code(FailOn::Error, found(1, 0), true), 2);
    }
}
