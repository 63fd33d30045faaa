//! Several inputs as one stream of frames, merged by time.
//!
//! Each file's own order is kept; between files the earlier frame goes first, and of equally early ones that of the
//! input named first. So a rotated set comes in the order of its times, whatever the order its files are named in.
//! A lone input is passed on without looking ahead: a live pipe shows each frame as it comes. Only who knows that frames are
//! not in the order of their times asks for them in this order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::ahead::Spare;
use super::error::{CaptureError, Problem};
use super::queue::Queue;
use super::{CaptureId, CaptureInfo, Frame, Frames, Progress, Reader, Secrets, Timestamp};

/// Inputs in one run: as many as [`CaptureId`] tells apart.
const MAX_INPUTS: usize = u16::MAX as usize + 1;

/// Inputs that stay open until their time has come. Files beyond are closed again after a look at their first frame:
/// a process may have about 1024 open files, and every open one has a buffer.
const MAX_WAITING: usize = 32;

/// Reads several inputs as one.
///
/// An input that fails gives its error once, in its place in the stream; the others go on.
pub struct Inputs {
    all: Vec<Input>,
    /// Errors met and not given yet.
    failed: VecDeque<CaptureError>,
    /// The time of the next frame of each input but the current one.
    heads: BinaryHeap<Reverse<(Timestamp, u16)>>,
    /// The input that gave the last frame.
    current: Option<u16>,
    /// Where frames wait that are put in order.
    queue: Option<Queue>,
    /// Threads for decompression.
    spare: Spare,
}

struct Input {
    path: PathBuf,
    /// `None` when it could not be opened, or waits for its time.
    reader: Option<Reader>,
    /// What is known without a reader.
    info: CaptureInfo,
    /// Bytes in the file, while it is closed.
    size: u64,
}

impl Inputs {
    /// Opens every path; `-` is standard input. What cannot be opened is an error that `next_frame` gives.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Self {
        let mut inputs = Self::none();
        for path in paths {
            let path = path.as_ref();
            let name = path.to_string_lossy();
            let Some(id) = inputs.next_id() else {
                let problem = Problem::TooManyInputs { max: MAX_INPUTS };
                inputs.failed.push_back(CaptureError::new(name, problem));
                continue;
            };
            let mut input = Input {
                path: path.to_owned(),
                reader: None,
                info: CaptureInfo::unread(id, &name),
                size: 0,
            };
            match Reader::open(path, id) {
                Ok(reader) => input.reader = Some(reader),
                Err(error) => inputs.failed.push_back(input.failed(error)),
            }
            inputs.all.push(input);
            if paths.len() > 1 {
                inputs.look_ahead(id, path.is_file());
            }
        }
        inputs
    }

    /// From sources that are open already; the [`CaptureId`] of each must be its place in the list.
    pub fn from_readers(readers: Vec<Reader>) -> Self {
        let mut inputs = Self::none();
        let several = readers.len() > 1;
        for reader in readers {
            let id = reader.info().id;
            inputs.all.push(Input {
                path: PathBuf::from(&reader.info().path),
                info: CaptureInfo::unread(id, &reader.info().path),
                size: 0,
                reader: Some(reader),
            });
            if several {
                inputs.look_ahead(id, false);
            }
        }
        inputs
    }

    fn none() -> Self {
        Self {
            all: Vec::new(),
            failed: VecDeque::new(),
            heads: BinaryHeap::new(),
            current: None,
            queue: None,
            spare: Spare::new(0),
        }
    }

    /// The same inputs, read by at most that many threads, the caller's among them: compressed ones are decompressed ahead.
    /// Nothing else comes of it.
    #[must_use]
    pub fn with_threads(mut self, threads: u16) -> Self {
        self.spare = Spare::new(usize::from(threads).saturating_sub(1));
        for input in &mut self.all {
            input.reader = input.reader.take().map(|reader| reader.ahead(&self.spare));
        }
        self
    }

    /// The same inputs, their frames put in the order of their times: some stand behind others that are up to `late_by`
    /// nanoseconds newer. At most `held_max` bytes are held back for that.
    #[must_use]
    pub fn in_order(self, late_by: i64, held_max: usize) -> Self {
        Self {
            queue: Some(Queue::new(late_by, held_max)),
            ..self
        }
    }

    fn next_id(&self) -> Option<CaptureId> {
        u16::try_from(self.all.len()).ok().map(CaptureId)
    }

    /// Finds the time of an input's first frame; closes it again if it can be reopened and many are open.
    fn look_ahead(&mut self, id: CaptureId, reopens: bool) {
        let Some(input) = self.all.get_mut(usize::from(id.0)) else {
            return;
        };
        match input.advance() {
            Ok(Some(at)) => {
                self.heads.push(Reverse((at, id.0)));
                if reopens && usize::from(id.0) >= MAX_WAITING {
                    let closed = input.reader.take();
                    input.size = closed
                        .and_then(|reader| reader.progress().size)
                        .unwrap_or(0);
                }
            }
            Ok(None) => {}
            Err(error) => self.failed.push_back(error),
        }
    }

    /// The next frame of all; `None` at the end of all.
    ///
    /// An error is the end of one input: call again for the frames of the others.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        if self.all.len() == 1 && self.failed.is_empty() {
            return match self.all.first_mut().and_then(|input| input.reader.as_mut()) {
                Some(reader) => reader.next_frame(),
                None => Ok(None),
            };
        }
        Ok(self.next_of_several()?.map(Reader::current))
    }

    /// The next frames of all, in their order; `None` at the end of all. Errors as in [`Self::next_frame`].
    ///
    /// Of a lone input as many as are in memory; of several inputs, or if they are put in order, one at a time.
    pub fn next_frames(&mut self) -> Result<Option<Frames<'_>>, CaptureError> {
        match self.queue.take() {
            None => self.next_as_they_stand(),
            Some(mut queue) => {
                let filled = self.fill(&mut queue);
                let queue = self.queue.insert(queue);
                filled?;
                Ok(queue.pop().map(|frame| Frames::one(frame, Vec::new())))
            }
        }
    }

    /// Reads until the queue has a frame to give, or there are no more.
    fn fill(&mut self, queue: &mut Queue) -> Result<(), CaptureError> {
        while !queue.is_ready() {
            let Some(frames) = self.next_as_they_stand()? else {
                queue.end();
                break;
            };
            frames.for_each(|frame| queue.push(&frame));
        }
        Ok(())
    }

    fn next_as_they_stand(&mut self) -> Result<Option<Frames<'_>>, CaptureError> {
        if self.all.len() == 1 && self.failed.is_empty() {
            return match self.all.first_mut().and_then(|input| input.reader.as_mut()) {
                Some(reader) => reader.next_frames(),
                None => Ok(None),
            };
        }
        Ok(self.next_of_several()?.map(Reader::current_frames))
    }

    /// The input whose frame is next, at that frame.
    fn next_of_several(&mut self) -> Result<Option<&Reader>, CaptureError> {
        if let Some(error) = self.failed.pop_front() {
            return Err(error);
        }
        let mut found = match self.current.take() {
            Some(last) => self.after(last)?,
            None => None,
        };
        while found.is_none() {
            let Some(Reverse((_, index))) = self.heads.pop() else {
                return Ok(None);
            };
            found = self.reopen(index)?;
        }
        self.current = found;
        Ok(found.and_then(|index| self.all.get(usize::from(index))?.reader.as_ref()))
    }

    /// Reads on in the input that gave the last frame. Gives the input whose frame is next, if it is an open one.
    fn after(&mut self, last: u16) -> Result<Option<u16>, CaptureError> {
        let Some(input) = self.all.get_mut(usize::from(last)) else {
            return Ok(None);
        };
        let Some(at) = input.advance()? else {
            return Ok(None);
        };
        match self.heads.peek() {
            Some(&Reverse(other)) if other < (at, last) => {
                self.heads.push(Reverse((at, last)));
                Ok(None)
            }
            _ => Ok(Some(last)),
        }
    }

    /// Makes sure that an input whose time has come is open, at its frame; `None` if it has none any more.
    fn reopen(&mut self, index: u16) -> Result<Option<u16>, CaptureError> {
        let Some(input) = self.all.get_mut(usize::from(index)) else {
            return Ok(None);
        };
        if input.reader.is_none() {
            match Reader::open(&input.path, CaptureId(index)) {
                Ok(reader) => input.reader = Some(reader.ahead(&self.spare)),
                Err(error) => return Err(input.failed(error)),
            }
            if input.advance()?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(index))
    }

    /// What is known about each input so far, in the order in which they were named.
    pub fn infos(&self) -> impl Iterator<Item = &CaptureInfo> {
        self.all.iter().map(|input| match &input.reader {
            Some(reader) => reader.info(),
            None => &input.info,
        })
    }

    /// How far all inputs together were read.
    pub fn progress(&self) -> Progress {
        let start = Progress {
            frames: 0,
            read: 0,
            size: Some(0),
        };
        self.all.iter().fold(start, |sum, input| {
            let one = match &input.reader {
                Some(reader) => reader.progress(),
                // Closed until its time comes, or never opened.
                None => Progress {
                    frames: 0,
                    read: 0,
                    size: Some(input.size),
                },
            };
            Progress {
                frames: sum.frames + one.frames,
                read: sum.read + one.read,
                size: sum.size.zip(one.size).map(|(sum, one)| sum + one),
            }
        })
    }

    /// Names of addresses that the captures bring along, so far; where they differ, that of the input named first.
    pub fn names(&self) -> BTreeMap<IpAddr, String> {
        let mut names = BTreeMap::new();
        for reader in self.readers() {
            for (address, name) in reader.names() {
                names.entry(*address).or_insert_with(|| name.clone());
            }
        }
        names
    }

    /// Secrets that the captures bring along, so far and not taken before.
    pub fn take_secrets(&mut self) -> Vec<Secrets> {
        let readers = self
            .all
            .iter_mut()
            .filter_map(|input| input.reader.as_mut());
        readers.flat_map(Reader::take_secrets).collect()
    }

    fn readers(&self) -> impl Iterator<Item = &Reader> {
        self.all.iter().filter_map(|input| input.reader.as_ref())
    }
}

impl Input {
    /// Reads on; gives the time of the frame found.
    fn advance(&mut self) -> Result<Option<Timestamp>, CaptureError> {
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        Ok(if reader.advance()? {
            Some(reader.current().id.at)
        } else {
            None
        })
    }

    /// Notes why there is no reader.
    fn failed(&mut self, error: CaptureError) -> CaptureError {
        self.info.damage = Some(error.problem.to_string());
        error
    }
}
