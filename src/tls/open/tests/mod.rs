#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "tests"
)]

mod holes;
mod hostile;
mod late;
mod openssl;
mod peers;
mod sessions;

use crate::capture::{CaptureId, FrameNo, FrameRef, Timestamp};
use crate::tcp::Direction::{self, ToClient};
use crate::tcp::{Chunk, Gap, GapCause, Interest};
use crate::tls::{Clear, KeyLog, Opened, Sight, TlsFacts};

fn frame(number: u64) -> FrameRef {
    FrameRef::new(Timestamp::from_nanos(0), CaptureId(0), FrameNo(number))
}

fn keys(log: &[u8]) -> KeyLog {
    let mut keys = KeyLog::default();
    keys.add(log);
    keys
}

/// A key log with other lines.
fn rewritten(log: &[u8], line: impl FnMut(&str) -> Option<String>) -> Vec<u8> {
    let log = std::str::from_utf8(log).unwrap();
    let lines: Vec<String> = log.lines().filter_map(line).collect();
    lines.join("\n").into_bytes()
}

/// What comes to a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Bytes(Direction, Vec<u8>),
    Gap(Direction, u64),
}

/// What came out in one direction: runs of bytes, and where they are.
type Runs = Vec<(u64, Vec<u8>)>;

/// A reader and what came out of it.
struct Reading {
    sight: Sight,
    opened: Opened,
    interest: Interest,
    /// To the server, to the client.
    runs: [Runs; 2],
    /// Where each direction's next piece must begin.
    next: [u64; 2],
    frames: u64,
    positions: [u64; 2],
}

impl Reading {
    fn new() -> Self {
        Self {
            sight: Sight::new(),
            opened: Opened::default(),
            interest: Interest::Bytes,
            runs: Default::default(),
            next: [0; 2],
            frames: 0,
            positions: [0; 2],
        }
    }

    fn event(&mut self, event: &Event, keys: &KeyLog) {
        self.frames += 1;
        let frame = frame(self.frames);
        let (direction, len) = match event {
            Event::Bytes(direction, data) => (*direction, data.len() as u64),
            Event::Gap(direction, len) => (*direction, *len),
        };
        let at = &mut self.positions[usize::from(direction == ToClient)];
        let position = *at;
        *at += len;
        self.interest = match event {
            Event::Bytes(_, data) => self.sight.bytes(
                &Chunk {
                    direction,
                    position,
                    data,
                    frame,
                },
                keys,
                &mut self.opened,
            ),
            Event::Gap(..) => self.sight.gap(
                &Gap {
                    direction,
                    position,
                    len,
                    cause: GapCause::NotCaptured,
                    frame,
                },
                keys,
                &mut self.opened,
            ),
        };
        self.take();
    }

    fn late(&mut self, keys: &KeyLog) {
        self.sight.late(keys, &mut self.opened);
        self.take();
    }

    fn take(&mut self) {
        for piece in self.opened.pieces() {
            match piece {
                Clear::Bytes(chunk) => {
                    let way = usize::from(chunk.direction == ToClient);
                    assert_eq!(chunk.position, self.next[way]);
                    assert!(!chunk.data.is_empty());
                    match self.runs[way].last_mut() {
                        Some((start, run)) if *start + run.len() as u64 == chunk.position => {
                            run.extend_from_slice(chunk.data);
                        }
                        _ => self.runs[way].push((chunk.position, chunk.data.to_vec())),
                    }
                    self.next[way] += chunk.data.len() as u64;
                }
                Clear::Gap(gap) => {
                    let way = usize::from(gap.direction == ToClient);
                    assert_eq!(gap.position, self.next[way]);
                    assert_eq!(gap.cause, GapCause::NotCaptured);
                    self.next[way] += gap.len;
                }
            }
        }
        self.opened.clear();
        assert!(self.opened.is_empty());
    }

    fn facts(&self) -> TlsFacts {
        self.sight.facts()
    }

    /// What came out, when nothing is missing.
    fn clear(&self) -> [Vec<u8>; 2] {
        self.runs.clone().map(|runs| match runs.as_slice() {
            [] => Vec::new(),
            [(0, run)] => run.clone(),
            other => panic!("{other:?}"),
        })
    }
}

/// Reads flights as they are.
fn read(flights: &[(Direction, Vec<u8>)], keys: &KeyLog) -> Reading {
    let mut reading = Reading::new();
    for (direction, data) in flights {
        reading.event(&Event::Bytes(*direction, data.clone()), keys);
    }
    reading
}
