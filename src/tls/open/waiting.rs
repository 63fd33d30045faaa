//! Encrypted records of which the keys may still come: held in the order in which they came.

use crate::capture::FrameRef;
use crate::tcp::{Direction, GapCause};
use crate::tls::records::{Fragment, Header, Missing, Part};

/// How much is held for a connection, what is noted about each piece included. A key log that is still being written is
/// some seconds behind at most: this is a handshake, a request and its answer, and some hundred short messages.
const MAX_HELD: usize = 64 * 1024;

/// What is known while it waits; see `known` in the parent.
pub(super) type Known = (u64, [bool; 2]);

/// What is held for one connection.
#[derive(Debug)]
pub(in crate::tls) struct Waiting {
    pieces: Vec<Piece>,
    bytes: Vec<u8>,
    /// What is missing in front of it all, each way.
    unseen: [Option<Missing>; 2],
    known: Known,
}

#[derive(Debug)]
struct Piece {
    direction: Direction,
    header: Header,
    part: Held,
    frame: FrameRef,
}

#[derive(Debug)]
enum Held {
    Start(Option<Missing>),
    /// So many of the bytes.
    Bytes(usize),
    Hole(u16, GapCause),
    Behind(Missing),
    End,
}

impl Waiting {
    pub(super) const fn new(unseen: [Option<Missing>; 2], known: Known) -> Self {
        Self {
            pieces: Vec::new(),
            bytes: Vec::new(),
            unseen,
            known,
        }
    }

    /// Whether more is known than before.
    pub(super) fn is_news(&mut self, known: Known) -> bool {
        std::mem::replace(&mut self.known, known) != known
    }

    pub(super) const fn unseen(&self) -> [Option<Missing>; 2] {
        self.unseen
    }

    /// Holds one more, if there is room for it.
    pub(super) fn hold(&mut self, direction: Direction, fragment: &Fragment<'_>) -> bool {
        let (part, data) = match fragment.part {
            Part::Start(missing) => (Held::Start(missing), &[][..]),
            Part::Bytes(data) => (Held::Bytes(data.len()), data),
            Part::Hole(len, cause) => (Held::Hole(len, cause), &[][..]),
            Part::Behind(missing) => (Held::Behind(missing), &[][..]),
            Part::End => (Held::End, &[][..]),
        };
        let noted = (self.pieces.len() + 1) * size_of::<Piece>();
        if noted + self.bytes.len() + data.len() > MAX_HELD {
            return false;
        }
        self.bytes.extend_from_slice(data);
        self.pieces.push(Piece {
            direction,
            header: fragment.header,
            part,
            frame: fragment.frame,
        });
        true
    }

    /// What is held, in order.
    pub(super) fn replay(&self) -> impl Iterator<Item = (Direction, Fragment<'_>)> {
        let mut rest = self.bytes.as_slice();
        self.pieces.iter().map(move |piece| {
            let part = match piece.part {
                Held::Start(missing) => Part::Start(missing),
                Held::Bytes(len) => {
                    let (data, behind) = rest.split_at_checked(len).unwrap_or_default();
                    rest = behind;
                    Part::Bytes(data)
                }
                Held::Hole(len, cause) => Part::Hole(len, cause),
                Held::Behind(missing) => Part::Behind(missing),
                Held::End => Part::End,
            };
            let fragment = Fragment {
                header: piece.header,
                part,
                frame: piece.frame,
            };
            (piece.direction, fragment)
        })
    }

    /// The frame of the first piece.
    pub(super) fn first(&self) -> Option<FrameRef> {
        self.pieces.first().map(|piece| piece.frame)
    }

    /// Bytes that it holds besides itself.
    pub(super) fn held(&self) -> usize {
        self.pieces.capacity() * size_of::<Piece>() + self.bytes.capacity()
    }
}
