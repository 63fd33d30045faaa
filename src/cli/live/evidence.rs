//! One file for each handshake that went wrong, with the packets of its connections.
//!
//! ```text
//!   every frame -> tag of its connection -> Ring (the last packets, in memory)
//!   a handshake fails -> a moment later, so that the end is on it too -> the frames with its tags -> DIR/time-client-cause.pcapng
//! ```

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::OpenOptions;
use std::io::{self, BufWriter};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use foldhash::quality::FixedState;
use std::hash::BuildHasher;

use crate::capture::{Frame, FrameNo, FrameRef, LinkType, Ring, Writer};
use crate::decode::{Decoded, Decoder, Endpoint};
use crate::diagnosis::{Diagnosis, Verdict};
use crate::hop::{Handshake, Record};
use crate::privileges::Identity;

/// How long after the verdict packets are still gathered: the connections close in this time.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// Files written per second at most: a flood of failures says the same over and over.
const RATE: u32 = 20;

/// The tag of frames that belong to no connection.
const NO_TAG: u64 = 0;

/// Where to keep evidence, and how much.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory.
    pub folder: PathBuf,
    /// Bytes for the last packets.
    pub memory: usize,
    /// Most files.
    pub max_files: usize,
    /// Most bytes of all files together.
    pub max_bytes: u64,
}

/// Keeps the last packets and writes files.
pub(super) struct Evidence {
    options: Options,
    ring: Ring,
    decoder: Decoder,
    pending: VecDeque<Pending>,
    /// What interfaces are called.
    names: BTreeMap<(u32, LinkType), String>,
    written: VecDeque<(PathBuf, u64)>,
    total: u64,
    second: (Instant, u32),
    skipped: u64,
    problem: Option<String>,
}

/// A file to write.
struct Pending {
    due: Instant,
    name: String,
    from: FrameRef,
    tags: Vec<u64>,
    shows: HashMap<FrameNo, String>,
}

impl Evidence {
    /// Makes the directory, for whom the process becomes.
    pub(super) fn create(options: Options, identity: Option<&Identity>) -> anyhow::Result<Self> {
        let folder = &options.folder;
        let made = std::fs::DirBuilder::new().mode(0o700).create(folder);
        match made {
            Ok(()) => {
                if let Some(identity) = identity {
                    let _ = chown(folder, Some(identity.uid()), Some(identity.gid()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
            Err(error) => {
                return Err(error).with_context(|| format!("--evidence {}", folder.display()));
            }
        }
        Ok(Self {
            ring: Ring::new(options.memory),
            options,
            decoder: Decoder::new(),
            pending: VecDeque::new(),
            names: BTreeMap::new(),
            written: VecDeque::new(),
            total: 0,
            second: (Instant::now(), 0),
            skipped: 0,
            problem: None,
        })
    }

    /// Whether files can be made in the directory, with the privileges that are left.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let probe = self
            .options
            .folder
            .join(format!(".hop101-{}", std::process::id()));
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&probe);
        made.and_then(|_| std::fs::remove_file(&probe))
            .with_context(|| {
                format!(
                    "--evidence {}: no files can be made there (as user {}; -Z names another one)",
                    self.options.folder.display(),
                    nix::unistd::geteuid()
                )
            })
    }

    /// Remembers what an interface is called.
    pub(super) fn interface(&mut self, number: u32, link: LinkType, name: &str) {
        self.names.insert((number, link), name.to_owned());
    }

    /// Remembers a frame.
    pub(super) fn frame(&mut self, frame: &Frame<'_>) {
        let tag = match self.decoder.decode(frame) {
            Decoded::Tcp(segment) => tag(segment.source(), segment.destination()),
            Decoded::Icmp(error) => tag(error.source, error.destination),
            Decoded::Other(_) => NO_TAG,
        };
        self.ring.push(frame, tag);
    }

    /// Asks for a file about a handshake that went wrong.
    pub(super) fn keep(&mut self, handshake: &Handshake, diagnosis: &Diagnosis, now: Instant) {
        if !matches!(diagnosis.verdict, Verdict::Failed | Verdict::Broken) {
            return;
        }
        if now.duration_since(self.second.0) >= Duration::from_secs(1) {
            self.second = (now, 0);
        }
        if self.second.1 >= RATE {
            self.skipped += 1;
            return;
        }
        self.second.1 += 1;
        let Some(first) = records(handshake)
            .map(|record| record.connection.first)
            .min()
        else {
            return;
        };
        let evidence = diagnosis
            .findings
            .iter()
            .flat_map(|finding| &finding.evidence);
        self.pending.push_back(Pending {
            due: now + AFTERWARDS,
            name: name(handshake, diagnosis),
            from: first,
            tags: records(handshake)
                .map(|record| tag(record.connection.client, record.connection.server))
                .collect(),
            shows: evidence
                .map(|one| (one.frame.number(), one.shows.clone()))
                .collect(),
        });
    }

    /// Writes what is due; at the end of the run all of it.
    pub(super) fn write(&mut self, now: Instant, all: bool) {
        while let Some(next) = self.pending.pop_front_if(|next| all || next.due <= now) {
            match self.write_one(&next) {
                Ok((path, bytes)) => {
                    self.total = self.total.saturating_add(bytes);
                    self.written.push_back((path, bytes));
                    self.make_room();
                }
                Err(error) => {
                    let folder = self.options.folder.display();
                    self.problem = Some(format!("--evidence {folder}: {}: {error}", next.name));
                }
            }
        }
    }

    fn write_one(&self, pending: &Pending) -> io::Result<(PathBuf, u64)> {
        let (path, file) = new_file(&self.options.folder, &pending.name)?;
        let mut writer = Writer::new(BufWriter::new(&file), super::APPLICATION)?;
        let lost = self
            .ring
            .oldest()
            .is_some_and(|oldest| oldest.number() > pending.from.number());
        let mut note = lost.then_some(
            "hop101: packets before this one were no longer in memory (--evidence-memory)",
        );
        for frame in self.ring.tagged(pending.from, &pending.tags) {
            let shows = pending.shows.get(&frame.id.number()).map(String::as_str);
            if let Some(name) = self.names.get(&(frame.interface, frame.link)) {
                writer.describe(frame.id.capture(), frame.interface, frame.link, name)?;
            }
            writer.write(&frame, note.take().or(shows))?;
        }
        writer.finish()?;
        let bytes = file.metadata()?.len();
        Ok((path, bytes))
    }

    /// Removes the oldest files of this run that are too many.
    fn make_room(&mut self) {
        let Options {
            max_files,
            max_bytes,
            ..
        } = self.options;
        while (self.written.len() > max_files.max(1) || self.total > max_bytes)
            && self.written.len() > 1
            && let Some((path, bytes)) = self.written.pop_front()
        {
            // Somebody else may have taken it away.
            let _ = std::fs::remove_file(path);
            self.total = self.total.saturating_sub(bytes);
        }
    }

    /// What went wrong last, once.
    pub(super) fn take_problem(&mut self) -> Option<String> {
        self.problem.take()
    }

    /// Handshakes of which no file was written because there were too many at once.
    pub(super) const fn skipped(&self) -> u64 {
        self.skipped
    }
}

fn records(handshake: &Handshake) -> impl Iterator<Item = &Record> {
    let hops = handshake.hops.iter().chain(&handshake.subrequests);
    let of_hops = hops.flat_map(|hop| std::iter::once(&hop.record).chain(&hop.copies));
    let attempts = handshake.attempts.iter().map(|attempt| &attempt.record);
    of_hops.chain(attempts).map(AsRef::as_ref)
}

/// The same for both directions of a connection, and not for much else.
fn tag(a: Endpoint, b: Endpoint) -> u64 {
    let ends = if a <= b { (a, b) } else { (b, a) };
    // A collision adds a stranger's packets to a file; one on purpose costs an attacker more than sending them.
    FixedState::default().hash_one(ends).max(NO_TAG + 1)
}

/// `20261120T231704.120Z-192.168.50.23-40380-backend-refused`.
fn name(handshake: &Handshake, diagnosis: &Diagnosis) -> String {
    let time = handshake.started_at().to_string();
    let time: String = time
        .chars()
        .take(23)
        .filter(|&c| c != '-' && c != ':')
        .collect();
    let client = handshake.first().map(|hop| hop.record.connection.client);
    let client = client.map_or_else(String::new, |client| {
        let address = SocketAddr::new(client.ip(), client.port());
        let text = address
            .to_string()
            .replace(['[', ']'], "")
            .replace(':', "-");
        format!("-{text}")
    });
    let cause = diagnosis
        .cause
        .map_or("unknown", crate::diagnosis::Code::as_str);
    format!("{time}Z{client}-{cause}")
}

/// A file that was not there before.
fn new_file(folder: &Path, name: &str) -> io::Result<(PathBuf, std::fs::File)> {
    let mut number = 1;
    loop {
        let path = match number {
            1 => folder.join(format!("{name}.pcapng")),
            n => folder.join(format!("{name}-{n}.pcapng")),
        };
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
        {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 100 => {
                number += 1;
            }
            Err(error) => return Err(error),
        }
    }
}
