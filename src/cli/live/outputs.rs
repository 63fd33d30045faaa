//! Files that are opened while there are privileges, and written when there are none any more.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::super::args::Format;
use super::super::plan::ReportFile;
use crate::capture::live::Source;
use crate::capture::{CaptureId, Frame, Timestamp, Writer};
use crate::privileges::Identity;

/// Bytes gathered before packets are written: a few hundred packets for one system call.
const WRITE_BUFFER: usize = 1 << 20;

/// A file of packets is for its owner: it holds cookies and credentials.
const MODE_PACKETS: u32 = 0o600;

const MODE_REPORT: u32 = 0o644;

/// Opens a file for writing. One that is new belongs to whom the process becomes; one that exists keeps its owner.
fn open(path: &Path, mode: u32, identity: Option<&Identity>) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(mode);
    let opened = match options.clone().create_new(true).open(path) {
        Ok(file) => {
            if let Some(identity) = identity {
                // Where this is not possible root keeps it, which only means that sudo is needed to read it.
                let _ = fchown(&file, Some(identity.uid()), Some(identity.gid()));
            }
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(path),
        Err(error) => Err(error),
    };
    opened.with_context(|| path.display().to_string())
}

/// All packets, into one file.
pub(super) struct Packets {
    path: PathBuf,
    writer: Option<Writer<BufWriter<File>>>,
    error: Option<io::Error>,
}

impl Packets {
    /// Begins the file.
    pub(super) fn create(
        path: &Path,
        sources: &[Source],
        identity: Option<&Identity>,
    ) -> anyhow::Result<Self> {
        let file = open(path, MODE_PACKETS, identity)?;
        let begin = || -> io::Result<_> {
            // A device or a pipe has no length.
            if file.metadata()?.is_file() {
                file.set_len(0)?;
            }
            let buffer = BufWriter::with_capacity(WRITE_BUFFER, file);
            let mut writer = Writer::new(buffer, super::APPLICATION)?;
            for (number, source) in (0..).zip(sources) {
                writer.describe(CaptureId(0), number, source.link, &source.name)?;
            }
            Ok(writer)
        };
        let writer = begin().with_context(|| path.display().to_string())?;
        Ok(Self {
            path: path.to_owned(),
            writer: Some(writer),
            error: None,
        })
    }

    /// Adds a packet, and before it what its interface is called if that is new. The first error ends the file; the run goes on.
    pub(super) fn write(&mut self, frame: &Frame<'_>, new_interface: Option<&str>) {
        if let Some(name) = new_interface {
            self.attempt(|writer| {
                writer.describe(frame.id.capture(), frame.interface, frame.link, name)
            });
        }
        self.attempt(|writer| writer.write(frame, None));
    }

    /// Hands over to the system what is gathered.
    pub(super) fn flush(&mut self) {
        self.attempt(Writer::flush);
    }

    fn attempt(&mut self, write: impl FnOnce(&mut Writer<BufWriter<File>>) -> io::Result<()>) {
        if let Some(writer) = &mut self.writer
            && let Err(error) = write(writer)
        {
            self.error = Some(error);
            self.writer = None;
        }
    }

    /// Ends the file with what was lost.
    pub(super) fn finish(&mut self, sources: &[Source], at: Timestamp) {
        for (number, source) in (0..).zip(sources) {
            let key = (CaptureId(0), number, source.link);
            let drops = source.drops;
            self.attempt(|writer| writer.losses(key, at, drops.interface, drops.kernel));
        }
        self.flush();
    }

    /// What went wrong, once.
    pub(super) fn take_error(&mut self) -> Option<String> {
        let error = self.error.take()?;
        Some(format!(
            "{}: {error}; no more packets are written",
            self.path.display()
        ))
    }
}

/// A report file that is open from the beginning.
pub(super) struct Report {
    pub(super) path: PathBuf,
    pub(super) format: Format,
    file: File,
}

impl Report {
    /// Opens it; what it holds stays until there is something to write.
    pub(super) fn open(report: &ReportFile, identity: Option<&Identity>) -> anyhow::Result<Self> {
        Ok(Self {
            path: report.path.clone(),
            format: report.format,
            file: open(&report.path, MODE_REPORT, identity)?,
        })
    }

    /// Replaces what it holds.
    pub(super) fn replace(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let replace = || -> io::Result<()> {
            let mut file = &self.file;
            let plain = file.metadata()?.is_file();
            if plain {
                file.seek(SeekFrom::Start(0))?;
            }
            file.write_all(bytes)?;
            // What was there and is longer ends here.
            if plain {
                file.set_len(bytes.len() as u64)
            } else {
                Ok(())
            }
        };
        replace().with_context(|| self.path.display().to_string())
    }

    /// The empty file, for lines as they come.
    pub(super) fn lines(&self) -> anyhow::Result<File> {
        let file = self
            .file
            .try_clone()
            .with_context(|| self.path.display().to_string())?;
        if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            file.set_len(0)
                .with_context(|| self.path.display().to_string())?;
        }
        Ok(file)
    }
}
