//! Reports written where they belong: standard output, or files that appear complete or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::args::Format;
use super::plan::Plan;
use crate::report::{Report, html, json, markdown, table};

/// Columns of a table in a file.
const WIDTH_FILE: usize = 100;

/// Writes the report in a form to standard output. A closed pipe is no error.
pub(super) fn to_stdout(plan: &Plan, report: &Report) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let options = table::Options {
        width: plan.width,
        color: plan.color,
        verbose: plan.verbose,
    };
    let written =
        write(plan.format, report, &options, plan.terminal, &mut out).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("standard output"))
        }
        _ => Ok(()),
    }
}

/// The report in the form of standard output, as bytes.
#[cfg(all(feature = "live", target_os = "linux"))]
pub(super) fn to_bytes(plan: &Plan, report: &Report, out: &mut Vec<u8>) -> anyhow::Result<()> {
    let options = table::Options {
        width: plan.width,
        color: plan.color,
        verbose: plan.verbose,
    };
    Ok(write(plan.format, report, &options, plan.terminal, out)?)
}

/// The report in the form of a file, as bytes.
#[cfg(all(feature = "live", target_os = "linux"))]
pub(super) fn to_file_bytes(
    format: Format,
    plan: &Plan,
    report: &Report,
    out: &mut Vec<u8>,
) -> anyhow::Result<()> {
    let options = table::Options {
        width: WIDTH_FILE,
        color: false,
        verbose: plan.verbose,
    };
    Ok(write(format, report, &options, true, out)?)
}

/// Writes the report to a file.
pub(super) fn to_file(
    path: &Path,
    format: Format,
    verbose: bool,
    report: &Report,
) -> anyhow::Result<()> {
    let mut file = NewFile::create(path)?;
    let options = table::Options {
        width: WIDTH_FILE,
        color: false,
        verbose,
    };
    write(format, report, &options, true, &mut file).with_context(|| path.display().to_string())?;
    file.publish()
}

fn write(
    format: Format,
    report: &Report,
    options: &table::Options,
    eyes: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::Table => table::write(report, options, out),
        Format::Json if eyes => json::pretty(report, out),
        Format::Json => json::compact(report, out),
        Format::Markdown => markdown::write(report, options.verbose, out),
        Format::Html => html::write(report, options.verbose, out),
        // Written line by line while the captures are read.
        Format::Jsonl => Ok(()),
    }
}

/// A file that is written beside its place and put there when it is complete.
pub(super) struct NewFile {
    path: PathBuf,
    beside: PathBuf,
    file: Option<BufWriter<File>>,
}

impl NewFile {
    /// Begins a file that will be at `path`.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let name = path
            .file_name()
            .with_context(|| format!("{}: not a file name", path.display()))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}", std::process::id()));
        let beside = path.with_file_name(hidden);
        let file = File::create(&beside).with_context(|| path.display().to_string())?;
        Ok(Self {
            path: path.to_owned(),
            beside,
            file: Some(BufWriter::new(file)),
        })
    }

    /// Puts the complete file in its place.
    pub(super) fn publish(mut self) -> anyhow::Result<()> {
        let done = match self.file.take() {
            Some(mut file) => file
                .flush()
                .and_then(|()| std::fs::rename(&self.beside, &self.path)),
            None => Ok(()),
        };
        done.with_context(|| self.path.display().to_string())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // What was published has been renamed, and there is nothing to remove.
        let _ = std::fs::remove_file(&self.beside);
    }
}
