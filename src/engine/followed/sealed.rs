//! A connection inside TLS: what keys open goes to the readers that clear bytes go to.
//!
//! Invariants: a reader gets clear bytes and holes alone, at positions of the clear stream; what keys open late is read in the
//! order in which it came, ends last.

use std::mem::take;

use super::{Followed, Reader, Scratch};
use crate::hop::Protocol;
use crate::tcp::{Chunk, Direction, EndingHow, Gap, Interest, StreamEnd};
use crate::tls::{Clear, ClearStream, Opened, Sight, Sizes, TlsFacts};

use super::super::undecided::{Decision, first_pieces};

/// The ends that a connection can have: a FIN each way, and an RST.
const ENDS: usize = 3;

/// TLS around what a connection says.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    sight: Sight,
    to_server: ClearStream,
    to_client: ClearStream,
    /// Ends that readers were not told of: bytes before them wait for keys.
    ends: Vec<StreamEnd>,
}

impl Envelope {
    /// Around a connection of which the beginning was not captured.
    pub(super) fn midstream() -> Self {
        Self {
            sight: Sight::midstream(),
            ..Self::default()
        }
    }

    /// Bytes that it holds, itself included.
    pub(super) fn held(&self) -> usize {
        size_of::<Self>() + self.sight.held()
    }

    pub(super) fn sizes(&self) -> Option<&Sizes> {
        self.sight.sizes()
    }

    pub(super) fn facts(&self) -> TlsFacts {
        TlsFacts {
            to_server: self.to_server,
            to_client: self.to_client,
            ..self.sight.facts()
        }
    }

    fn count(&mut self, chunk: &Chunk<'_>) {
        let stream = match chunk.direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        stream.bytes = stream.bytes.saturating_add(chunk.data.len() as u64);
        stream.last = Some(chunk.frame);
    }
}

impl Followed {
    /// How long the first records are, where nobody opens them.
    pub(in crate::engine) fn sizes(&self) -> Option<&Sizes> {
        self.envelope.as_ref()?.sizes()
    }

    /// Takes bytes of records.
    #[inline(never)]
    pub(super) fn sealed(&mut self, chunk: &Chunk<'_>, scratch: &mut Scratch) -> Interest {
        self.unseal(scratch, |envelope, scratch, opened| {
            let before = envelope.sight.held();
            let watched = envelope.sight.is_watching();
            let interest = envelope.sight.bytes(chunk, &scratch.keys, opened);
            if !watched && envelope.sight.is_watching() {
                scratch.is_sealed = true;
                scratch.meets_sealed = true;
            }
            scratch.grown += envelope.sight.held().saturating_sub(before);
            interest
        })
    }

    /// Takes a hole in records.
    pub(super) fn sealed_gap(&mut self, gap: &Gap, scratch: &mut Scratch) -> Interest {
        self.unseal(scratch, |envelope, scratch, opened| {
            envelope.sight.gap(gap, &scratch.keys, opened)
        })
    }

    /// Takes the end of a stream of records: readers learn of it behind what is opened late.
    pub(super) fn sealed_end(&mut self, end: StreamEnd, scratch: &mut Scratch) {
        self.unseal(scratch, |envelope, scratch, opened| {
            let (one, other) = (end.direction, end.direction.reverse());
            envelope.sight.ended(one, &scratch.keys, opened);
            if end.how == EndingHow::Rst {
                envelope.sight.ended(other, &scratch.keys, opened);
            }
            if envelope.ends.len() < ENDS {
                envelope.ends.push(end);
            }
            Interest::Bytes
        });
    }

    /// Keys came: what waited for them is read.
    pub(in crate::engine) fn look_for_keys(&mut self, scratch: &mut Scratch) {
        self.unseal(scratch, |envelope, scratch, opened| {
            envelope.sight.look(&scratch.keys, opened)
        });
    }

    /// Nothing more comes: what waited for keys is read with those that there are.
    pub(super) fn open_late(&mut self, scratch: &mut Scratch) {
        self.unseal(scratch, |envelope, scratch, opened| {
            envelope.sight.late(&scratch.keys, opened);
            Interest::Counters
        });
    }

    /// Opens what there is to open, and reads it.
    fn unseal(
        &mut self,
        scratch: &mut Scratch,
        open: impl FnOnce(&mut Envelope, &mut Scratch, &mut Opened) -> Interest,
    ) -> Interest {
        let Some(envelope) = &mut self.envelope else {
            return Interest::Counters;
        };
        let mut opened = take(&mut scratch.opened);
        let waited = envelope.sight.is_waiting();
        let interest = open(envelope, scratch, &mut opened);
        let waits = envelope.sight.is_waiting();
        scratch.holds_back |= waits;
        scratch.wants_keys |= waits && !waited;
        let ends = if waits {
            Vec::new()
        } else {
            take(&mut envelope.ends)
        };
        for piece in opened.pieces() {
            match piece {
                Clear::Bytes(chunk) => {
                    if let Some(envelope) = &mut self.envelope {
                        envelope.count(&chunk);
                    }
                    self.clear(&chunk, scratch)
                }
                Clear::Gap(gap) => self.clear_gap(&gap, scratch),
            };
        }
        opened.clear();
        scratch.opened = opened;
        for end in ends {
            self.clear_ended(end, scratch);
        }
        match self.reader {
            // A reader that has begun wants to know how the streams end.
            Reader::Http(_) | Reader::WebSocket { .. } | Reader::Http2(_) | Reader::Cgi(_) => {
                Interest::Bytes
            }
            Reader::Tls(_) => interest,
            Reader::Done(_) => Interest::Counters,
        }
    }

    /// Judges by its first bytes what is inside.
    pub(super) fn judge(&mut self, chunk: &Chunk<'_>, scratch: &mut Scratch) -> Interest {
        let Reader::Tls(waiting) = &mut self.reader else {
            return Interest::Counters;
        };
        scratch.grow(chunk.data.len());
        let mut undecided = waiting.take().unwrap_or_default();
        let decision = undecided.judge_inside(chunk);
        if let Some(header) = undecided.proxy_header.take() {
            self.proxy_header.get_or_insert(header);
        }
        let (protocol, held, skip) = match decision {
            Decision::Wait => {
                self.reader = Reader::Tls(Some(undecided));
                return Interest::Bytes;
            }
            Decision::Cgi(request) => {
                self.reader = Reader::Cgi(request);
                return Interest::Bytes;
            }
            Decision::CgiTooLong => {
                self.oversized_head
                    .get_or_insert((Direction::ToServer, chunk.frame));
                self.reader = Reader::Done(Protocol::Cgi);
                return Interest::Counters;
            }
            Decision::Read {
                protocol,
                held,
                skip,
            } if protocol != Protocol::Tls => (protocol, held, skip),
            // A tunnel in a tunnel, or none of our business.
            _ => {
                self.reader = Reader::Done(Protocol::Tls);
                return Interest::Counters;
            }
        };
        self.reader = Reader::of(protocol, false);
        let mut interest = Interest::Bytes;
        for piece in first_pieces(&held, chunk, skip) {
            if interest == Interest::Bytes {
                interest = self.clear(&piece, scratch);
            }
        }
        if let Some(greeting) = undecided.take_greeting() {
            interest = self.clear(&greeting.chunk(), scratch);
        }
        interest
    }
}
