//! How far it got, on standard error, and only if that is a terminal.
//!
//! A thread of its own draws what the reading thread notes in passing, so that a pipe in which nothing moves shows
//! that too, and reading pays next to nothing for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::plan::Plan;
use crate::capture;

/// How often frames are read between two looks at how far files were read: milliseconds of work. What comes from a pipe
/// may come slowly, and is looked at each time.
const READS_PER_LOOK: u64 = 1 << 8;

/// Nothing is shown of what takes less.
const PATIENCE: Duration = Duration::from_millis(300);

/// Between two drawings.
const PERIOD: Duration = Duration::from_millis(100);

/// A progress bar, or nothing.
pub(super) struct Progress {
    wanted: bool,
    drawer: Option<Drawer>,
    reads: u64,
    reads_per_look: u64,
    noted: Arc<Noted>,
    handshakes: Arc<AtomicU64>,
}

/// What the reading thread notes.
#[derive(Default)]
struct Noted {
    frames: AtomicU64,
    bytes: AtomicU64,
}

/// The thread that draws.
struct Drawer {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Progress {
    /// Progress over the plan's inputs, to be shown from `begin` on.
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            wanted: plan.progress,
            ..Self::none()
        }
    }

    /// Progress that is never shown.
    pub(super) fn none() -> Self {
        Self {
            wanted: false,
            drawer: None,
            reads: 0,
            reads_per_look: 1,
            noted: Arc::default(),
            handshakes: Arc::default(),
        }
    }

    /// Where the number of handshakes settled so far is kept.
    pub(super) fn handshakes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.handshakes)
    }

    /// The inputs are open, and have so many bytes if that is known.
    pub(super) fn begin(&mut self, size: Option<u64>) {
        if !self.wanted {
            return;
        }
        if size.is_some() {
            self.reads_per_look = READS_PER_LOOK;
        }
        let (stop, stopped) = mpsc::channel();
        let (noted, handshakes) = (Arc::clone(&self.noted), Arc::clone(&self.handshakes));
        let draw = move || {
            if stopped.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = bar(size);
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                bar.set_position(noted.bytes.load(Ordering::Relaxed));
                bar.set_message(format!(
                    "{} frames, {} handshakes",
                    noted.frames.load(Ordering::Relaxed),
                    handshakes.load(Ordering::Relaxed)
                ));
            }
            bar.finish_and_clear();
        };
        // Without a thread there is no progress to see, and nothing else is lost.
        self.drawer = thread::Builder::new()
            .name("progress".to_owned())
            .spawn(draw)
            .ok()
            .map(|thread| Drawer { stop, thread });
    }

    /// Frames are about to be read; `progress` tells how far the inputs were read.
    #[inline]
    pub(super) fn at(&mut self, progress: impl FnOnce() -> capture::Progress) {
        if self.drawer.is_none() {
            return;
        }
        if self.reads.is_multiple_of(self.reads_per_look) {
            let progress = progress();
            self.noted.frames.store(progress.frames, Ordering::Relaxed);
            self.noted.bytes.store(progress.read, Ordering::Relaxed);
        }
        self.reads += 1;
    }

    /// Takes the bar away.
    pub(super) fn finish(self) {
        if let Some(Drawer { stop, thread }) = self.drawer {
            drop(stop);
            // Should drawing have failed, there is nothing to take away.
            let _ = thread.join();
        }
    }
}

/// A bar with an end in sight where the size is known.
fn bar(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => (
            ProgressBar::new(size),
            "{bar:20} {percent:>3}%  {bytes} of {total_bytes}  {bytes_per_sec}  {msg}  {eta} left",
        ),
        None => (
            ProgressBar::no_length(),
            "{spinner} {bytes}  {bytes_per_sec}  {msg}",
        ),
    };
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
