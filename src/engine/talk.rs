//! What one connection says: judged by its first bytes, then followed by the stage that speaks its protocol.
//!
//! ```text
//!  first bytes -> Undecided -+-> Followed: Http -> (101) -> WebSocket session
//!                            |             Tls, HTTP/2
//!                            +-> Ignored: counters only
//! ```
//!
//! Invariants: an ignored connection holds no heap memory here; an exchange is kept whole only when it is (or may be)
//! a handshake attempt; everything else is bounded by a named constant.

use super::followed::{Followed, Scratch};
use super::undecided::{Decision, Undecided, first_pieces};
use crate::hop::{Protocol, Record, Relayed};
use crate::tcp::{Chunk, Connection, Direction, Gap, Interest, Opening, StreamEnd};
use crate::tls::Sizes;

/// What is known of what a connection says.
#[derive(Debug)]
pub(super) enum Talk {
    /// With what there is of the first bytes, where they are too few to tell.
    Undecided(Option<Box<Undecided>>),
    Followed(Box<Followed>),
    Ignored(Protocol),
}

impl Talk {
    pub(super) fn new() -> Self {
        Self::Undecided(None)
    }

    /// Whether an attempt at a handshake was seen on it.
    pub(super) fn has_attempt(&self) -> bool {
        matches!(self, Self::Followed(followed) if followed.has_attempt())
    }

    #[inline]
    pub(super) fn bytes(
        &mut self,
        connection: &Connection,
        chunk: Chunk<'_>,
        scratch: &mut Scratch,
    ) -> Interest {
        match self {
            Self::Ignored(_) => Interest::Counters,
            Self::Followed(followed) => followed.bytes(&chunk, scratch),
            Self::Undecided(_) => self.decide(connection, &chunk, scratch),
        }
    }

    #[inline(never)]
    fn decide(
        &mut self,
        connection: &Connection,
        chunk: &Chunk<'_>,
        scratch: &mut Scratch,
    ) -> Interest {
        let Self::Undecided(waiting) = self else {
            return Interest::Bytes;
        };
        scratch.grow(chunk.data.len());
        let midstream = connection.opening == Opening::Midstream;
        let mut waiting = waiting.take();
        let mut fresh = Undecided::default();
        let undecided = waiting.as_deref_mut().unwrap_or(&mut fresh);
        let (protocol, held, skip) = match undecided.judge(midstream, chunk) {
            Decision::Wait => {
                *self = Self::Undecided(Some(waiting.unwrap_or_else(|| Box::new(fresh))));
                return Interest::Bytes;
            }
            Decision::Ignore(protocol) => {
                *self = Self::Ignored(protocol);
                return Interest::Counters;
            }
            Decision::WebSocket(found) => {
                let proxy_header = undecided.proxy_header.take();
                let followed = Followed::midstream(*found, proxy_header);
                scratch.is_late = true;
                *self = Self::Followed(Box::new(followed));
                return Interest::Bytes;
            }
            Decision::Cgi(request) => {
                let proxy_header = undecided.proxy_header.take();
                *self = Self::Followed(Box::new(Followed::cgi(request, proxy_header)));
                return Interest::Bytes;
            }
            Decision::CgiTooLong => {
                *self = Self::Followed(Box::new(Followed::cgi_too_long(chunk.frame)));
                return Interest::Counters;
            }
            Decision::Read {
                protocol,
                held,
                skip,
            } => (protocol, held, skip),
        };
        let proxy_header = undecided.proxy_header.take();
        let mut followed = Box::new(Followed::new(protocol, midstream, proxy_header));
        let mut interest = Interest::Bytes;
        for piece in first_pieces(&held, chunk, skip) {
            if interest == Interest::Bytes {
                interest = followed.bytes(&piece, scratch);
            }
        }
        *self = Self::Followed(followed);
        interest
    }

    pub(super) fn gap(&mut self, gap: &Gap, scratch: &mut Scratch) -> Interest {
        match self {
            Self::Ignored(_) => Interest::Counters,
            Self::Undecided(waiting) => {
                if let Some(undecided) = waiting {
                    undecided.gap(gap);
                }
                Interest::Bytes
            }
            Self::Followed(followed) => followed.gap(gap, scratch),
        }
    }

    pub(super) fn ended(&mut self, end: StreamEnd, scratch: &mut Scratch) {
        if let Self::Followed(followed) = self {
            followed.ended(end, scratch);
        }
    }

    /// Keys came: what waited for them is read.
    pub(super) fn look_for_keys(&mut self, scratch: &mut Scratch) {
        if let Self::Followed(followed) = self {
            followed.look_for_keys(scratch);
        }
    }

    /// The capture ended, or the connection is forgotten: what is incomplete stays so.
    pub(super) fn cut_off(&mut self, connection: &Connection, scratch: &mut Scratch) {
        if let Self::Followed(followed) = self {
            followed.cut_off(connection.last, scratch);
        }
    }

    /// Looks at what the next bytes of a direction need.
    pub(super) fn touch(&self, direction: Direction) -> usize {
        match self {
            Self::Followed(followed) => followed.touch(direction),
            Self::Undecided(_) | Self::Ignored(_) => 0,
        }
    }

    /// Bytes that it holds besides itself.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Undecided(waiting) => waiting
                .as_ref()
                .map_or(0, |undecided| size_of::<Undecided>() + undecided.held()),
            Self::Followed(followed) => size_of::<Followed>() + followed.held(),
            Self::Ignored(_) => 0,
        }
    }

    /// How long the first records are, where nobody opens them.
    pub(super) fn sizes(&self) -> Option<&Sizes> {
        match self {
            Self::Followed(followed) => followed.sizes(),
            _ => None,
        }
    }

    /// How the bytes of its session came, as far as that is taken down.
    pub(super) fn relayed(&self) -> Option<&Relayed> {
        match self {
            Self::Followed(followed) => followed.relayed(),
            _ => None,
        }
    }

    /// Attempts that are over, when many of them are kept.
    pub(super) fn chapter(&mut self, connection: &Connection) -> Option<Record> {
        match self {
            Self::Followed(followed) => followed.chapter(connection),
            _ => None,
        }
    }

    /// The connection is closed: what there is to report.
    pub(super) fn into_record(self, connection: Connection) -> Record {
        match self {
            Self::Followed(followed) => followed.into_record(connection),
            other => other.record(connection),
        }
    }

    /// What there is to report, as it stands.
    pub(super) fn record(&self, connection: Connection) -> Record {
        match self {
            Self::Undecided(waiting) => Record {
                proxy_header: waiting
                    .as_ref()
                    .and_then(|undecided| undecided.proxy_header.clone()),
                ..Record::bare(connection, Protocol::Other)
            },
            Self::Ignored(protocol) => Record::bare(connection, *protocol),
            Self::Followed(followed) => followed.record(connection),
        }
    }
}
