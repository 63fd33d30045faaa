//! One input, frame by frame.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ahead::{Ahead, Spare};
use super::batch::{Count, Frames};
use super::compress::{Compression, MAX_INFLATION, TooLarge};
use super::error::{CaptureError, Problem};
use super::foreign;
use super::format::Format;
use super::notes::Secrets;
use super::parse::{Meta, Parsed};
use super::pcap::{self, Pcap};
use super::pcapng::PcapNg;
use super::window::{Counted, Window};
use super::{CaptureId, CaptureInfo, Frame, FrameNo, FrameRef, LinkType};

/// Reads the frames of one file, pipe or other source of bytes: pcap or pcapng, plain or compressed.
///
/// Gives every frame before the first damage, then one error, then nothing more.
pub struct Reader {
    window: Window,
    format: Format,
    compression: Option<Compression>,
    count: Count,
    current: Current,
    done: bool,
    /// Bytes of the source read so far, compressed ones of a compressed input.
    read: Arc<AtomicU64>,
    size: Option<u64>,
}

/// How far inputs were read, in bytes of the files as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Frames given.
    pub frames: u64,
    /// Bytes read.
    pub read: u64,
    /// Bytes in all; `None` when that is not known, as for a pipe.
    pub size: Option<u64>,
}

/// Where a frame is in the window.
#[derive(Clone, Copy)]
struct Current {
    id: FrameRef,
    interface: u32,
    link: LinkType,
    wire_len: u32,
    at: usize,
    len: usize,
}

impl Reader {
    /// Opens a file; `-` is standard input. Reads as much of it as tells what it is.
    pub fn open(path: &Path, id: CaptureId) -> Result<Self, CaptureError> {
        let name = path.to_string_lossy().into_owned();
        if name == "-" {
            return Self::from_read(Box::new(io::stdin()), name, id);
        }
        let file = File::open(path)
            .and_then(|file| {
                // Opening a directory succeeds; reading it does not.
                if fs::metadata(path)?.is_dir() {
                    return Err(io::ErrorKind::IsADirectory.into());
                }
                Ok(file)
            })
            .map_err(|error| CaptureError::from_io(&name, error))?;
        let metadata = file.metadata().ok().filter(fs::Metadata::is_file);
        let mut reader = Self::from_read(Box::new(file), name, id)?;
        reader.size = metadata.map(|metadata| metadata.len());
        Ok(reader)
    }

    /// Reads from any source of bytes; `name` is what errors and reports call it.
    pub fn from_read(
        source: Box<dyn Read + Send>,
        name: impl Into<String>,
        id: CaptureId,
    ) -> Result<Self, CaptureError> {
        let name = name.into();
        Self::start(source, &name, id).map_err(|problem| CaptureError::new(name, problem))
    }

    fn start(source: Box<dyn Read + Send>, name: &str, id: CaptureId) -> Result<Self, Problem> {
        let read = Arc::new(AtomicU64::new(0));
        let mut window = Window::new(Box::new(Counted {
            source,
            count: Arc::clone(&read),
        }));
        let opened = |source| Problem::Open { source };
        window.fill(foreign::TELLING).map_err(opened)?;
        if window.available().is_empty() {
            return Err(Problem::Empty);
        }
        let compression = Compression::of(window.available());
        if let Some(compression) = compression {
            window = Window::new(compression.inflate(window.into_read(), Arc::clone(&read))?);
            if let Err(source) = window.fill(foreign::TELLING) {
                return Err(Problem::Compressed {
                    compression: compression.name(),
                    offset: 0,
                    frames: 0,
                    source,
                });
            }
            if window.available().is_empty() {
                return Err(Problem::Empty);
            }
        }
        let start = window.available();
        let (format, name_of_format) = if PcapNg::is_at(start) {
            (Format::PcapNg(Box::new(PcapNg::new())), "pcapng")
        } else if Pcap::is_at(start) {
            (Format::Pcap(Self::pcap_header(&mut window)?), "pcap")
        } else {
            return Err(foreign::what_is(start));
        };
        let info = CaptureInfo {
            format: Some(name_of_format),
            compression: compression.map(Compression::name),
            ..CaptureInfo::unread(id, name)
        };
        Ok(Self {
            window,
            format,
            compression,
            count: Count::new(info),
            current: Current {
                id: FrameRef::new(super::Timestamp::default(), id, FrameNo(0)),
                interface: 0,
                link: LinkType(0),
                wire_len: 0,
                at: 0,
                len: 0,
            },
            done: false,
            read,
            size: None,
        })
    }

    /// The same, decompressed ahead while there is a thread to spare; other inputs are read as they are, for the bytes of a
    /// plain file cost less to take than to hand over.
    pub(super) fn ahead(self, spare: &Spare) -> Self {
        if self.compression.is_none() {
            return self;
        }
        let window = self
            .window
            .through(|source| Box::new(Ahead::new(source, spare.clone())));
        Self { window, ..self }
    }

    fn pcap_header(window: &mut Window) -> Result<Pcap, Problem> {
        let whole = |window: &mut Window, need: usize| match window.fill(need) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Problem::Truncated {
                offset: 0,
                what: "the file header",
                missing: (need - window.available().len()) as u64,
                frames: 0,
            }),
            Err(source) => Err(Problem::Open { source }),
        };
        whole(window, pcap::FILE_HEADER)?;
        let start = window.available();
        let Some(mut pcap) = start.first_chunk().and_then(Pcap::from_header) else {
            return Err(foreign::what_is(start));
        };
        whole(window, pcap.file_header())?;
        window.take(pcap.file_header());
        pcap.look_at(window.available());
        Ok(pcap)
    }

    /// The next frame; `None` at the end of the input.
    ///
    /// An error is the last thing that comes: every frame before it was given, `info().damage` says the same, and
    /// further calls give `None`.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        if let Some(meta) = self.format.frame(self.window.available()) {
            let current = self.accept(&meta);
            return Ok(Some(self.frame(&current)));
        }
        let found = self.thorough()?;
        Ok(found.map(|current| self.frame(&current)))
    }

    /// The next frames that are in memory, one at least; `None` at the end of the input. Errors as in
    /// [`Self::next_frame`].
    pub fn next_frames(&mut self) -> Result<Option<Frames<'_>>, CaptureError> {
        if self.format.frame(self.window.available()).is_none() {
            let Some(current) = self.thorough()? else {
                return Ok(None);
            };
            let secrets = self.take_secrets();
            return Ok(Some(Frames::one(self.frame(&current), secrets)));
        }
        let window = self.window.open();
        Ok(Some(Frames::of_window(
            window,
            &mut self.format,
            &mut self.count,
        )))
    }

    /// What is known about the input so far.
    pub fn info(&self) -> &CaptureInfo {
        &self.count.info
    }

    /// How far the input was read.
    pub fn progress(&self) -> Progress {
        Progress {
            frames: self.count.info.frames,
            read: self.read.load(Ordering::Relaxed),
            size: self.size,
        }
    }

    /// Names of addresses that the capture brings along (pcapng name resolution blocks), so far.
    pub fn names(&self) -> &BTreeMap<IpAddr, String> {
        static NONE: BTreeMap<IpAddr, String> = BTreeMap::new();
        match &self.format {
            Format::Pcap(_) => &NONE,
            Format::PcapNg(file) => &file.notes.names,
        }
    }

    /// Secrets that the capture brings along (pcapng decryption secrets blocks), so far and not taken before.
    pub fn take_secrets(&mut self) -> Vec<Secrets> {
        self.format.take_secrets()
    }

    /// Reads on to the next frame, which `current` then gives; false at the end.
    #[inline]
    pub(super) fn advance(&mut self) -> Result<bool, CaptureError> {
        let found = match self.format.frame(self.window.available()) {
            Some(meta) => Some(self.accept(&meta)),
            None => self.thorough()?,
        };
        if let Some(current) = found {
            self.current = current;
        }
        Ok(found.is_some())
    }

    /// The frame that `advance` found.
    #[inline]
    pub(super) fn current(&self) -> Frame<'_> {
        self.frame(&self.current)
    }

    /// The same, as the only one of several.
    pub(super) fn current_frames(&self) -> Frames<'_> {
        Frames::one(self.current(), Vec::new())
    }

    #[inline]
    fn frame(&self, current: &Current) -> Frame<'_> {
        Frame {
            id: current.id,
            interface: current.interface,
            link: current.link,
            wire_len: current.wire_len,
            data: self.window.taken(current.at, current.len),
        }
    }

    /// The next frame, whatever is before it.
    #[cold]
    fn thorough(&mut self) -> Result<Option<Current>, CaptureError> {
        while !self.done {
            let bytes = self.window.available();
            let parsed = self.format.next(bytes, self.count.numbered + 1);
            if let Parsed::Frame(meta) = parsed {
                return Ok(Some(self.accept(&meta)));
            }
            self.between(parsed)?;
        }
        Ok(None)
    }

    /// Counts a frame and takes it out of the window.
    #[inline]
    fn accept(&mut self, meta: &Meta) -> Current {
        let id = self.count.accept(meta);
        let place = self.window.take(meta.total);
        Current {
            id,
            interface: meta.interface,
            link: meta.link,
            wire_len: meta.wire_len,
            at: place + meta.skip,
            len: meta.captured,
        }
    }

    /// Deals with what is no frame.
    fn between(&mut self, parsed: Parsed) -> Result<(), CaptureError> {
        let frames = self.count.info.frames;
        let offset = self.window.offset();
        match parsed {
            Parsed::Frame(_) => Ok(()),
            Parsed::Skip(len) | Parsed::Numbered(len) => {
                if matches!(parsed, Parsed::Numbered(_)) {
                    self.count.numbered += 1;
                }
                let skipped = match self.window.skip(len) {
                    Ok(skipped) => skipped,
                    Err(error) => return Err(self.unreadable(error)),
                };
                self.take_notes();
                if skipped < len {
                    return Err(self.fail(Problem::Truncated {
                        offset,
                        what: "the block",
                        missing: len - skipped,
                        frames,
                    }));
                }
                Ok(())
            }
            Parsed::Need(need) => match self.window.fill(need) {
                Ok(true) => Ok(()),
                Ok(false) if self.window.available().is_empty() => {
                    self.finish();
                    Ok(())
                }
                Ok(false) => {
                    let missing = need - self.window.available().len();
                    let what = match self.format {
                        Format::Pcap(_) => "the record",
                        Format::PcapNg(_) => "the block",
                    };
                    Err(self.fail(Problem::Truncated {
                        offset,
                        what,
                        missing: missing as u64,
                        frames,
                    }))
                }
                Err(error) => Err(self.unreadable(error)),
            },
            Parsed::Damaged(what) => Err(self.fail(Problem::Damaged {
                offset,
                what,
                frames,
            })),
        }
    }

    /// Takes over what the blocks between frames said about the input.
    fn take_notes(&mut self) {
        if let Format::PcapNg(file) = &mut self.format {
            self.count.info.dropped = file.dropped;
            self.count
                .info
                .comments
                .append(&mut file.notes.fresh_comments);
            // Cheap where nothing is new: there may be millions of other blocks.
            if self.count.info.interfaces.len() != file.names.len() || self.done {
                self.count.info.interfaces.clone_from(&file.names);
            }
        }
    }

    fn unreadable(&mut self, source: io::Error) -> CaptureError {
        let frames = self.count.info.frames;
        let offset = self.window.offset() + self.window.available().len() as u64;
        let too_large = source
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<TooLarge>());
        self.fail(match (self.compression, too_large) {
            (Some(compression), Some(TooLarge)) => Problem::Inflation {
                compression: compression.name(),
                offset,
                ratio: MAX_INFLATION,
                frames,
            },
            (Some(compression), None) => Problem::Compressed {
                compression: compression.name(),
                offset,
                frames,
                source,
            },
            (None, _) => Problem::Read {
                offset,
                frames,
                source,
            },
        })
    }

    /// Nothing more comes: closes the source and frees the buffer.
    fn finish(&mut self) {
        self.done = true;
        self.take_notes();
        self.window = Window::closed();
    }

    fn fail(&mut self, problem: Problem) -> CaptureError {
        self.finish();
        self.count.info.damage = Some(problem.to_string());
        CaptureError::new(self.count.info.path.clone(), problem)
    }
}
