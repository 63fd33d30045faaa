//! What a client sent before the server answered (0-RTT, RFC 8446 2.3): held until it is known whether the server took it.
//! When it did not, the client says the same again behind the handshake.

use crate::capture::FrameRef;

/// How much is held. Servers take 16 KiB; behind this much, it is given as if it had been taken.
const MAX_HELD: usize = 64 * 1024;

/// The early data of a connection.
#[derive(Debug)]
pub(super) enum Early {
    /// It is not known whether the server takes it.
    Undecided(Held),
    /// The server takes it: it comes out like any other.
    Taken,
    /// The server does not.
    Refused,
}

#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    /// The records: where they end in `bytes`, the frames that completed them.
    ends: Vec<(usize, FrameRef)>,
    /// Records of it are missing.
    torn: bool,
}

impl Early {
    /// Holds a record's content; whether it took it. If not, it is to be given on or dropped.
    pub(super) fn hold(&mut self, content: &[u8], frame: FrameRef) -> bool {
        let Self::Undecided(held) = self else {
            return false;
        };
        held.bytes.extend_from_slice(content);
        held.ends.push((held.bytes.len(), frame));
        true
    }

    /// Records of it are missing. How many bytes cannot be told.
    pub(super) fn tear(&mut self) {
        if let Self::Undecided(held) = self {
            held.torn = true;
        }
    }

    pub(super) fn is_refused(&self) -> bool {
        matches!(self, Self::Refused)
    }

    /// Whether more is held than should be.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Undecided(held) if held.bytes.len() > MAX_HELD)
    }

    /// It is known now; what was held, if it is the first time to know.
    pub(super) fn decide(&mut self, taken: bool) -> Option<Held> {
        let verdict = if taken { Self::Taken } else { Self::Refused };
        match self {
            Self::Undecided(held) => {
                let held = std::mem::take(held);
                *self = verdict;
                taken.then_some(held)
            }
            Self::Taken | Self::Refused => None,
        }
    }

    /// Bytes that it holds besides itself.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Undecided(held) => {
                held.bytes.capacity() + held.ends.capacity() * size_of::<(usize, FrameRef)>()
            }
            Self::Taken | Self::Refused => 0,
        }
    }
}

impl Held {
    pub(super) const fn is_torn(&self) -> bool {
        self.torn
    }

    /// The records' contents, in order.
    pub(super) fn records(&self) -> impl Iterator<Item = (&[u8], FrameRef)> {
        let mut start = 0;
        self.ends.iter().map(move |&(end, frame)| {
            let content = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            (content, frame)
        })
    }
}
