//! A source whose bytes are made ready in a thread of its own, ahead of whoever takes them: decompression beside the analysis.
//!
//! ```text
//!             +-- emptied buffers <-+
//!   source -> thread                taker
//!             +-> filled buffers  --+
//! ```
//!
//! Invariants: bytes, the error and the end come as the source gives them, and in its order; at most [`BUFFERS`] wait; the
//! thread ends with its source, or when nobody takes from it any more.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::window::Source;

/// Bytes handed over at once: what a window takes at a time, so that handing over costs nothing beside decompression.
const BUFFER: usize = 128 << 10;

/// Buffers between the two threads: enough that neither waits where their speeds vary by turns.
const BUFFERS: usize = 4;

/// How many threads may be started besides the one that analyzes. Clones share the number.
#[derive(Debug, Clone)]
pub(super) struct Spare(Arc<AtomicUsize>);

impl Spare {
    pub(super) fn new(threads: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(threads)))
    }

    /// Leave to start one, if there is one left.
    fn claim(&self) -> Option<Claim> {
        let less = |left: usize| left.checked_sub(1);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
            .then(|| Claim(self.clone()))
    }
}

/// Leave to run one thread, given back when dropped.
struct Claim(Spare);

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads a source ahead as soon as there is a thread to spare for it, and until then as it is.
pub(super) struct Ahead {
    state: State,
    spare: Spare,
}

enum State {
    Here(Source),
    Thread(Beside),
}

impl Ahead {
    pub(super) fn new(source: Source, spare: Spare) -> Self {
        Self {
            state: State::Here(source),
            spare,
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let State::Here(source) = &mut self.state {
            let Some(claim) = self.spare.claim() else {
                return source.read(buffer);
            };
            let source = std::mem::replace(source, Box::new(io::empty()));
            self.state = match Beside::start(source, claim) {
                Ok(beside) => State::Thread(beside),
                Err(source) => State::Here(source),
            };
        }
        match &mut self.state {
            State::Here(source) => source.read(buffer),
            State::Thread(beside) => beside.read(buffer),
        }
    }
}

/// Bytes that are ready, in a buffer that is used again.
#[derive(Default)]
struct Filled {
    buffer: Vec<u8>,
    len: usize,
}

/// The taker's end of a source that a thread reads.
struct Beside {
    filled: Receiver<io::Result<Filled>>,
    emptied: SyncSender<Vec<u8>>,
    current: Filled,
    /// Bytes of it that were taken.
    taken: usize,
    ended: bool,
    _claim: Claim,
}

impl Beside {
    /// Gives the source back where the system has no thread for it.
    fn start(source: Source, claim: Claim) -> Result<Self, Source> {
        let (to_taker, filled) = sync_channel(BUFFERS);
        let (emptied, from_taker) = sync_channel(BUFFERS);
        // Follows when there is a thread to take it: what a thread owns is lost if it cannot be started.
        let (hand_over, taken_over) = sync_channel::<Source>(1);
        let work = move || {
            if let Ok(mut source) = taken_over.recv() {
                read_all(&mut source, &from_taker, &to_taker);
            }
        };
        let name = "decompress".to_owned();
        if thread::Builder::new().name(name).spawn(work).is_err() {
            return Err(source);
        }
        hand_over.send(source).map_err(|lost| lost.0)?;
        for _ in 0..BUFFERS {
            // There is room for all of them.
            let _ = emptied.try_send(vec![0; BUFFER]);
        }
        Ok(Self {
            filled,
            emptied,
            current: Filled::default(),
            taken: 0,
            ended: false,
            _claim: claim,
        })
    }
}

/// Reads a source to its end, or as long as somebody takes from it. The end is an empty buffer.
fn read_all(
    source: &mut Source,
    emptied: &Receiver<Vec<u8>>,
    filled: &SyncSender<io::Result<Filled>>,
) {
    while let Ok(mut buffer) = emptied.recv() {
        let read = loop {
            match source.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let last = !matches!(read, Ok(1..));
        let read = read.map(|len| Filled { buffer, len });
        if filled.send(read).is_err() || last {
            return;
        }
    }
}

impl Read for Beside {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.current.len && !self.ended {
            let next = self.filled.recv().unwrap_or_else(|_| {
                // It says so itself before it ends in order.
                Err(io::Error::other("the thread that decompresses is gone"))
            });
            self.ended = !matches!(next, Ok(Filled { len: 1.., .. }));
            let emptied = std::mem::replace(&mut self.current, next?).buffer;
            self.taken = 0;
            if !emptied.is_empty() {
                // The thread may be done.
                let _ = self.emptied.try_send(emptied);
            }
        }
        let ready = self.current.buffer.get(self.taken..self.current.len);
        let len = ready.unwrap_or_default().read(buffer)?;
        self.taken += len;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may")]
    use super::*;

    /// Gives its bytes in pieces of `piece`, then an error or the end.
    struct Pieces {
        bytes: io::Cursor<Vec<u8>>,
        piece: usize,
        fails: bool,
    }

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(self.piece);
            let got = self
                .bytes
                .read(buffer.get_mut(..most).unwrap_or_default())?;
            if got == 0 && self.fails {
                return Err(io::Error::other("broken"));
            }
            Ok(got)
        }
    }

    fn source(len: usize, piece: usize, fails: bool) -> (Vec<u8>, Source) {
        let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let pieces = Pieces {
            bytes: io::Cursor::new(bytes.clone()),
            piece,
            fails,
        };
        (bytes, Box::new(pieces))
    }

    #[test]
    fn gives_what_the_source_gives() {
        for (len, piece) in [(0, 1), (1, 1), (1000, 7), (BUFFER * 9 + 5, usize::MAX)] {
            for threads in [0, 1] {
                for fails in [false, true] {
                    let (bytes, source) = source(len, piece, fails);
                    let mut ahead = Ahead::new(source, Spare::new(threads));
                    let mut got = Vec::new();
                    let end = ahead.read_to_end(&mut got);
                    assert_eq!(got, bytes, "{len} bytes in {piece}, {threads} threads");
                    assert_eq!(end.map_err(|error| error.to_string()).is_err(), fails);
                }
            }
        }
    }

    #[test]
    fn stays_at_its_end() {
        let (_, source) = source(10, 10, false);
        let mut ahead = Ahead::new(source, Spare::new(1));
        assert_eq!(io::copy(&mut ahead, &mut io::sink()).unwrap(), 10);
        assert_eq!(ahead.read(&mut [0; 4]).unwrap(), 0);
    }

    #[test]
    fn a_thread_is_for_one_source_at_a_time() {
        let spare = Spare::new(1);
        let sources = [(), ()].map(|()| source(BUFFER * 20, usize::MAX, false).1);
        let [mut first, mut second] = sources.map(|source| Ahead::new(source, spare.clone()));
        let mut buffer = [0; 10];
        first.read_exact(&mut buffer).unwrap();
        second.read_exact(&mut buffer).unwrap();
        assert!(matches!(first.state, State::Thread(_)));
        assert!(matches!(second.state, State::Here(_)));
        drop(first);
        second.read_exact(&mut buffer).unwrap();
        assert!(matches!(second.state, State::Thread(_)));
        assert_eq!(buffer.first(), Some(&10));
    }

    #[test]
    fn a_thread_that_breaks_is_an_error() {
        struct Panics;
        impl Read for Panics {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("a fault in a decoder")
            }
        }
        let mut ahead = Ahead::new(Box::new(Panics), Spare::new(1));
        let error = ahead.read(&mut [0; 4]).unwrap_err();
        assert!(error.to_string().contains("is gone"), "{error}");
    }
}
