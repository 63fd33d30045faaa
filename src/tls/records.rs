//! The record layer of one direction (RFC 8446 5.1): stream to record fragments, in any segmentation.

use super::NOT_TLS_EXCERPT;
use crate::capture::FrameRef;
use crate::tcp::{Gap, GapCause};

/// Content types (RFC 8446 5.1).
pub(super) mod kind {
    pub(in super::super) const CHANGE_CIPHER_SPEC: u8 = 20;
    pub(in super::super) const ALERT: u8 = 21;
    pub(in super::super) const HANDSHAKE: u8 = 22;
    pub(in super::super) const APPLICATION_DATA: u8 = 23;
}

/// The largest length a record may claim: 2^14 and the expansion that RFC 5246 6.2.3 allows.
const MAX_RECORD: u16 = (1 << 14) + 2048;

/// A record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The content type.
    pub(super) kind: u8,
    /// The version in it: that of the connection with TLS 1.2, 0x0303 with TLS 1.3.
    pub(super) version: u16,
    /// The length of what follows.
    pub(super) len: u16,
}

impl Header {
    /// Its length on the wire.
    pub(super) const LEN: usize = 5;

    /// As it is on the wire.
    pub(super) const fn to_bytes(self) -> [u8; Self::LEN] {
        let [major, minor] = self.version.to_be_bytes();
        let [high, low] = self.len.to_be_bytes();
        [self.kind, major, minor, high, low]
    }
}

/// Something about a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment<'a> {
    pub(super) header: Header,
    pub(super) part: Part<'a>,
    /// The frame that carried it, or made a hole known.
    pub(super) frame: FrameRef,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    /// The record begins: its header is complete.
    Start(Option<Missing>),
    /// Bytes of its body.
    Bytes(&'a [u8]),
    /// Bytes of its body are missing: so many, and why.
    Hole(u16, GapCause),
    /// Bytes behind it are missing. What they were is seen at the next start, if there is one.
    Behind(Missing),
    /// What follows it is no record: nothing more comes.
    End,
}

/// What lies between two records that were seen: bytes that are missing, and those that could not be told from the middle
/// of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing {
    /// How many bytes, headers of records included.
    pub(super) bytes: u64,
    pub(super) cause: GapCause,
    /// The frame that made the hole known.
    pub(super) frame: FrameRef,
}

impl Missing {
    /// Both together, told by the first.
    pub(super) fn join(earlier: Option<Self>, later: Option<Self>) -> Option<Self> {
        let (Some(first), Some(second)) = (earlier, later) else {
            return earlier.or(later);
        };
        Some(Self {
            bytes: first.bytes.saturating_add(second.bytes),
            ..first
        })
    }
}

/// Reads one direction.
#[derive(Debug)]
pub(super) struct Records {
    state: State,
    /// Records begun.
    seen: u64,
    /// The header of the last one.
    header: Header,
    /// What is missing in front of the next one.
    missing: Option<Missing>,
}

#[derive(Debug)]
enum State {
    Header {
        bytes: [u8; Header::LEN],
        len: usize,
    },
    Body {
        left: u16,
    },
    /// The first bytes are no record.
    Foreign {
        frame: FrameRef,
        excerpt: Vec<u8>,
    },
    /// Behind a hole: a record is looked for at each segment's start.
    Search,
    /// Later bytes are no record.
    Deaf,
}

const BETWEEN: State = State::Header {
    bytes: [0; Header::LEN],
    len: 0,
};

impl Records {
    pub(super) const fn new() -> Self {
        Self {
            state: BETWEEN,
            seen: 0,
            header: Header {
                kind: 0,
                version: 0,
                len: 0,
            },
            missing: None,
        }
    }

    /// Whether any record was seen.
    pub(super) const fn any(&self) -> bool {
        self.seen > 0
    }

    /// How the direction begins, when that is no record.
    pub(super) fn foreign(&self) -> Option<(FrameRef, &[u8])> {
        match &self.state {
            State::Foreign { frame, excerpt } => Some((*frame, excerpt)),
            _ => None,
        }
    }

    /// Whether nothing more can be learned from this direction.
    pub(super) fn is_done(&self) -> bool {
        match &self.state {
            State::Foreign { excerpt, .. } => excerpt.len() >= NOT_TLS_EXCERPT,
            State::Deaf => true,
            _ => false,
        }
    }

    /// Takes the bytes of one segment.
    pub(super) fn feed(
        &mut self,
        data: &[u8],
        frame: FrameRef,
        tell: &mut impl FnMut(&Fragment<'_>),
    ) {
        if matches!(self.state, State::Search) {
            // Sound only where a segment begins, and with all of the header to judge.
            if data.first_chunk().copied().and_then(parse).is_none() {
                if let Some(missing) = &mut self.missing {
                    missing.bytes = missing.bytes.saturating_add(data.len() as u64);
                }
                return;
            }
            self.state = BETWEEN;
        }
        let mut rest = data;
        while !rest.is_empty() {
            match &mut self.state {
                State::Header { bytes, len } => {
                    let Some((&byte, behind)) = rest.split_first() else {
                        return;
                    };
                    if let Some(slot) = bytes.get_mut(*len) {
                        *slot = byte;
                    }
                    *len += 1;
                    let gathered = *bytes;
                    let gathered_len = *len;
                    rest = behind;
                    self.header(gathered, gathered_len, frame, tell);
                }
                State::Body { left } => {
                    let take = usize::from(*left).min(rest.len());
                    let (now, later) = rest.split_at(take);
                    *left -= take as u16;
                    if *left == 0 {
                        self.state = BETWEEN;
                    }
                    tell(&Fragment {
                        header: self.header,
                        part: Part::Bytes(now),
                        frame,
                    });
                    rest = later;
                }
                State::Foreign { excerpt, .. } => {
                    let room = NOT_TLS_EXCERPT.saturating_sub(excerpt.len());
                    excerpt.extend_from_slice(rest.get(..room).unwrap_or(rest));
                    return;
                }
                State::Search | State::Deaf => return,
            }
        }
    }

    fn header(
        &mut self,
        bytes: [u8; Header::LEN],
        len: usize,
        frame: FrameRef,
        tell: &mut impl FnMut(&Fragment<'_>),
    ) {
        let gathered = bytes.get(..len).unwrap_or_default();
        if !may_begin(gathered) {
            if self.any() {
                self.state = State::Deaf;
                tell(&Fragment {
                    header: self.header,
                    part: Part::End,
                    frame,
                });
            } else {
                self.state = State::Foreign {
                    frame,
                    excerpt: gathered.to_vec(),
                };
            }
            return;
        }
        if len < bytes.len() {
            return;
        }
        let Some(header) = parse(bytes) else {
            return;
        };
        self.seen += 1;
        self.header = header;
        self.state = if header.len == 0 {
            BETWEEN
        } else {
            State::Body { left: header.len }
        };
        tell(&Fragment {
            header,
            part: Part::Start(self.missing.take()),
            frame,
        });
    }

    /// Takes a hole. When the record at hand covers it, the next ones begin where they are known to.
    pub(super) fn gap(&mut self, gap: &Gap, tell: &mut impl FnMut(&Fragment<'_>)) {
        // What of the hole, and of a header before it, is no part of a known record.
        let beyond = match &mut self.state {
            State::Foreign { .. } | State::Deaf => return,
            State::Search => gap.len,
            State::Header { len, .. } => gap.len.saturating_add(*len as u64),
            State::Body { left } => {
                let covered = u16::try_from(gap.len).map_or(*left, |len| len.min(*left));
                *left -= covered;
                if *left == 0 {
                    self.state = BETWEEN;
                }
                tell(&Fragment {
                    header: self.header,
                    part: Part::Hole(covered, gap.cause),
                    frame: gap.frame,
                });
                gap.len - u64::from(covered)
            }
        };
        if beyond > 0 {
            let hole = Missing {
                bytes: beyond,
                cause: gap.cause,
                frame: gap.frame,
            };
            self.missing = Missing::join(self.missing, Some(hole));
            self.state = State::Search;
            tell(&Fragment {
                header: self.header,
                part: Part::Behind(hole),
                frame: gap.frame,
            });
        }
    }
}

/// Whether a record header may begin with these bytes.
fn may_begin(bytes: &[u8]) -> bool {
    let [kind, major, minor, high, low] = [0, 1, 2, 3, 4].map(|place| bytes.get(place).copied());
    let length = high.zip(low).map(|(h, l)| u16::from_be_bytes([h, l]));
    kind.is_none_or(|kind| (20..=23).contains(&kind))
        && major.is_none_or(|major| major == 3)
        && minor.is_none_or(|minor| minor <= 4)
        && length.is_none_or(|length| length <= MAX_RECORD)
}

fn parse(header: [u8; Header::LEN]) -> Option<Header> {
    let [kind, major, minor, high, low] = header;
    may_begin(&header).then(|| Header {
        kind,
        version: u16::from_be_bytes([major, minor]),
        len: u16::from_be_bytes([high, low]),
    })
}
