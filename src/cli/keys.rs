//! `--keylog`: keys of TLS sessions from files as `SSLKEYLOGFILE` names them (RFC 9850), and what they gain while they are
//! written.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Bytes read at once.
const BLOCK: usize = 64 << 10;

/// The longest line that is waited for: those of a key log have some 200 characters.
const LINE_MAX: usize = 4096;

/// The key logs that were named.
#[derive(Debug, Default)]
pub(super) struct KeyLogs {
    files: Vec<KeyLogFile>,
}

#[derive(Debug)]
struct KeyLogFile {
    path: PathBuf,
    file: File,
    /// How far it was read.
    read: u64,
    /// The start of a line that is not whole yet.
    partial: Vec<u8>,
    /// It could not be read: that was said once.
    failed: bool,
}

impl KeyLogs {
    /// Opens the files, so that they can be read when all privileges are given up.
    pub(super) fn open(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let files = paths.iter().map(|path| KeyLogFile::open(path));
        Ok(Self {
            files: files.collect::<anyhow::Result<_>>()?,
        })
    }

    /// Whether none was named.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Those of which nothing came so far.
    pub(super) fn empty(&self) -> impl Iterator<Item = String> {
        let empty = self.files.iter().filter(|one| one.read == 0 && !one.failed);
        empty.map(|one| format!("--keylog {}: nothing in it", one.path.display()))
    }

    /// Whether what is written to them later can be read: not of pipes, which block.
    pub(super) fn refuse_pipes(&self) -> anyhow::Result<()> {
        for one in &self.files {
            if !one.file.metadata()?.is_file() {
                bail!(
                    "--keylog {}: only a regular file can be followed while packets come",
                    one.path.display()
                );
            }
        }
        Ok(())
    }

    /// Hands over the lines that were written since the last call. Gives a message for each file that cannot be read.
    pub(super) fn more(&mut self, take: &mut dyn FnMut(&[u8])) -> Vec<String> {
        let mut problems = Vec::new();
        for one in self.files.iter_mut().filter(|one| !one.failed) {
            if let Err(error) = one.more(take) {
                one.failed = true;
                problems.push(format!("--keylog {}: {error}", one.path.display()));
            }
        }
        problems
    }

    /// Hands over all lines, a last one without a line feed as well. Gives a message for each file that cannot be read, and for
    /// each that has something else in it: `take` says whether there were keys.
    pub(super) fn all(&mut self, take: &mut dyn FnMut(&[u8]) -> bool) -> Vec<String> {
        let mut problems = Vec::new();
        for one in &mut self.files {
            let mut found = false;
            let mut hand_over = |lines: &[u8]| found |= take(lines);
            let read = one.more(&mut hand_over);
            hand_over(&std::mem::take(&mut one.partial));
            match read {
                Err(error) => problems.push(format!("--keylog {}: {error}", one.path.display())),
                Ok(()) if !found && one.read > 0 => problems.push(format!(
                    "--keylog {}: no key of a TLS session in it; expected lines such as \"CLIENT_RANDOM <64 hex digits> <96 hex digits>\", \
                     as SSLKEYLOGFILE has them",
                    one.path.display()
                )),
                Ok(()) => {}
            }
        }
        problems
    }
}

impl KeyLogFile {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("--keylog {}", path.display()))?;
        if file.metadata()?.is_dir() {
            bail!("--keylog {}: is a directory", path.display());
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            read: 0,
            partial: Vec::new(),
            failed: false,
        })
    }

    /// Hands over the whole lines up to the end of the file as it is now.
    fn more(&mut self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let metadata = self.file.metadata()?;
        if metadata.is_file() && metadata.len() < self.read {
            // Written anew.
            self.file.seek(SeekFrom::Start(0))?;
            self.read = 0;
            self.partial.clear();
        }
        let mut block = vec![0; BLOCK];
        loop {
            let count = match self.file.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.read += count as u64;
            self.partial
                .extend_from_slice(block.get(..count).unwrap_or_default());
            if let Some(end) = memchr::memrchr(b'\n', &self.partial) {
                take(self.partial.get(..=end).unwrap_or_default());
                self.partial.drain(..=end);
            }
            if self.partial.len() > LINE_MAX {
                self.partial.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;
    use std::io::Write;

    fn told(logs: &mut KeyLogs) -> String {
        let mut text = Vec::new();
        let problems = logs.more(&mut |lines| text.extend_from_slice(lines));
        assert_eq!(problems, Vec::<String>::new());
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_log_is_followed_by_whole_lines_and_when_it_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.log");
        let mut file = File::create(&path).unwrap();
        let mut logs = KeyLogs::open(std::slice::from_ref(&path)).unwrap();
        assert_eq!(told(&mut logs), "");
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(told(&mut logs), "one\n");
        file.write_all(b"o\nthree\n").unwrap();
        assert_eq!(told(&mut logs), "two\nthree\n");
        std::fs::write(&path, "new\n").unwrap();
        assert_eq!(told(&mut logs), "new\n");
    }

    #[test]
    fn a_file_with_something_else_in_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.key");
        std::fs::write(&path, "-----BEGIN PRIVATE KEY-----").unwrap();
        let mut logs = KeyLogs::open(std::slice::from_ref(&path)).unwrap();
        let mut seen = Vec::new();
        let problems = logs.all(&mut |lines| {
            seen.extend_from_slice(lines);
            false
        });
        assert_eq!(seen, b"-----BEGIN PRIVATE KEY-----");
        assert!(problems.concat().contains("SSLKEYLOGFILE"), "{problems:?}");
        assert!(KeyLogs::open(&[folder.path().to_owned()]).is_err());
        assert!(KeyLogs::open(&[folder.path().join("none")]).is_err());
    }
}
