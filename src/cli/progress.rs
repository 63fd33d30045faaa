//! How far it got, on standard error, and only if that is a terminal.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use indicatif::{ProgressBar, ProgressStyle};

use super::plan::{Plan, is_stdin};

/// Frames between two looks at the clock: about a millisecond of work.
const FRAMES_PER_TICK: u64 = 1 << 14;

/// A progress bar, or nothing.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    frames: u64,
    bytes: u64,
    handshakes: Rc<Cell<u64>>,
}

impl Progress {
    /// Progress over the plan's inputs: with an end in sight where all sizes are known.
    pub(super) fn new(plan: &Plan) -> Self {
        let bar = plan.progress.then(|| {
            let bar = match total(&plan.inputs) {
                Some(total) => ProgressBar::new(total).with_style(style(
                    "{bar:30} {percent:>3}%  {bytes_per_sec}  {msg}  {eta} left",
                )),
                None => {
                    ProgressBar::no_length().with_style(style("{bytes}  {bytes_per_sec}  {msg}"))
                }
            };
            bar.set_message("0 handshakes");
            bar
        });
        Self {
            bar,
            frames: 0,
            bytes: 0,
            handshakes: Rc::default(),
        }
    }

    /// Where the number of handshakes settled so far is kept.
    pub(super) fn handshakes(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.handshakes)
    }

    /// A frame of so many bytes was read.
    #[inline]
    pub(super) fn frame(&mut self, bytes: usize) {
        self.frames += 1;
        self.bytes += bytes as u64;
        if self.frames.is_multiple_of(FRAMES_PER_TICK)
            && let Some(bar) = &self.bar
        {
            bar.set_position(self.bytes);
            bar.set_message(format!("{} handshakes", self.handshakes.get()));
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The size of all inputs together. Compressed ones are longer inside, so their size tells nothing.
fn total(inputs: &[impl AsRef<Path>]) -> Option<u64> {
    inputs
        .iter()
        .map(|path| {
            let path = path.as_ref();
            let packed = path
                .extension()
                .is_some_and(|e| ["gz", "zst", "xz", "lz4"].iter().any(|packed| e == *packed));
            if is_stdin(path) || packed {
                return None;
            }
            std::fs::metadata(path)
                .ok()
                .filter(std::fs::Metadata::is_file)
                .map(|metadata| metadata.len())
        })
        .sum()
}
