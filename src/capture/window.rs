//! The bytes of an input that are in memory: read into one reused buffer, borrowed from it.
//!
//! ```text
//!   buffer  [ done | available      | free          ]
//!           0      start            end             buffer.len()
//! ```
//!
//! Invariants: `start <= end <= buffer.len()`; nothing moves until `fill` or `skip` is called; the buffer grows only
//! when it is full of bytes that were really there, so no claimed length allocates anything.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the buffer begins with: enough for the head of any file, so that probing many inputs stays cheap.
const INITIAL: usize = 64 << 10;

/// What the buffer grows to on its own: large enough that the calls to read(2) vanish, small enough to stay in a quarter of
/// the second-level cache (512 KiB and more on today's servers), so that frames are still there when they are looked at and
/// the records of connections stay there too.
const COMFORTABLE: usize = 128 << 10;

/// Where bytes come from.
pub(super) type Source = Box<dyn Read + Send>;

/// A refill window over a byte source.
pub(super) struct Window {
    source: Source,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset in the source of `buffer[0]`.
    base: u64,
    ended: bool,
    /// Whether the last read filled all the space there was.
    hungry: bool,
}

impl Window {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            buffer: vec![0; INITIAL],
            start: 0,
            end: 0,
            base: 0,
            ended: false,
            hungry: false,
        }
    }

    /// One without bytes.
    pub(super) fn closed() -> Self {
        Self {
            source: Box::new(io::empty()),
            buffer: Vec::new(),
            start: 0,
            end: 0,
            base: 0,
            ended: true,
            hungry: false,
        }
    }

    /// The same, with the rest of the source taken through another one.
    pub(super) fn through(self, wrap: impl FnOnce(Source) -> Source) -> Self {
        Self {
            source: wrap(self.source),
            ..self
        }
    }

    /// The bytes in memory that are not done.
    #[inline]
    pub(super) fn available(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// The bytes in memory that are not done, and where they begin in the buffer: whoever takes some moves that on.
    pub(super) fn open(&mut self) -> (&[u8], &mut usize) {
        let bytes = self.buffer.get(self.start..self.end).unwrap_or_default();
        (bytes, &mut self.start)
    }

    /// Bytes by the place that `take` gave, valid until the next `fill` or `skip`.
    #[inline]
    pub(super) fn taken(&self, at: usize, len: usize) -> &[u8] {
        self.buffer.get(at..at + len).unwrap_or_default()
    }

    /// Declares `len` available bytes done; gives their place for `taken`.
    #[inline]
    pub(super) fn take(&mut self, len: usize) -> usize {
        let at = self.start;
        self.start = (at + len).min(self.end);
        at
    }

    /// Offset in the source of the first available byte.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    /// Reads until at least `need` bytes are available; false if the source ends before.
    ///
    /// Takes what one read gives and does not wait for a full buffer: a live pipe is handed on as it comes.
    #[cold]
    pub(super) fn fill(&mut self, need: usize) -> io::Result<bool> {
        while self.end - self.start < need {
            if self.ended {
                return Ok(false);
            }
            self.make_room();
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.source.read(free) {
                Ok(0) => self.ended = true,
                Ok(got) => {
                    self.hungry = got >= free.len();
                    self.end += got.min(free.len());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Passes over `len` bytes of any number; gives how many there were.
    pub(super) fn skip(&mut self, len: u64) -> io::Result<u64> {
        let mut left = len;
        while left > 0 {
            if self.start == self.end && !self.fill(1)? {
                break;
            }
            let here = left.min((self.end - self.start) as u64);
            self.start += here as usize;
            left -= here;
        }
        Ok(len - left)
    }

    /// Gives up the window for the bytes that it holds followed by the rest of the source.
    pub(super) fn into_read(mut self) -> impl Read + Send {
        self.buffer.truncate(self.end);
        self.buffer.drain(..self.start);
        io::Cursor::new(self.buffer).chain(self.source)
    }

    /// Makes free space behind `end`.
    fn make_room(&mut self) {
        let size = self.buffer.len();
        if self.start > 0 && (self.start == self.end || size - self.end < size / 2) {
            // Moving the incomplete record to the front is cheap, and keeps the reads large.
            self.buffer.copy_within(self.start..self.end, 0);
            self.base += self.start as u64;
            self.end -= self.start;
            self.start = 0;
        }
        // Full of one record, or the source gives more than we take at a time.
        if self.end == size || (self.hungry && size < COMFORTABLE) {
            self.buffer.resize(size.saturating_mul(2), 0);
        }
    }
}

/// Counts what is read through it.
pub(super) struct Counted<R> {
    pub(super) source: R,
    pub(super) count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.source.read(buffer)?;
        self.count.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}
