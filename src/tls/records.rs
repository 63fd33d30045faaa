//! The record layer of one direction (RFC 8446 5.1): stream to record fragments, in any segmentation.

use super::NOT_TLS_EXCERPT;
use crate::capture::FrameRef;

/// Content types (RFC 8446 5.1).
pub(super) mod kind {
    pub(in super::super) const CHANGE_CIPHER_SPEC: u8 = 20;
    pub(in super::super) const ALERT: u8 = 21;
    pub(in super::super) const HANDSHAKE: u8 = 22;
    pub(in super::super) const APPLICATION_DATA: u8 = 23;
}

/// The largest length a record may claim: 2^14 and the expansion that RFC 5246 6.2.3 allows.
const MAX_RECORD: u16 = (1 << 14) + 2048;

/// A part of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment<'a> {
    /// The content type.
    pub(super) kind: u8,
    /// The length of the whole record.
    pub(super) len: u16,
    /// Whether the record begins here.
    pub(super) is_start: bool,
    /// The bytes of it that are here; none when only the header is.
    pub(super) data: &'a [u8],
    /// The frame that carried them.
    pub(super) frame: FrameRef,
}

/// Reads one direction.
#[derive(Debug)]
pub(super) struct Records {
    state: State,
    /// Records begun.
    seen: u64,
}

#[derive(Debug)]
enum State {
    Header {
        bytes: [u8; 5],
        len: usize,
    },
    Body {
        kind: u8,
        len: u16,
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
    bytes: [0; 5],
    len: 0,
};

impl Records {
    pub(super) const fn new() -> Self {
        Self {
            state: BETWEEN,
            seen: 0,
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
            if data.first_chunk::<5>().copied().and_then(parse).is_none() {
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
                State::Body { kind, len, left } => {
                    let take = usize::from(*left).min(rest.len());
                    let (now, later) = rest.split_at(take);
                    *left -= take as u16;
                    let fragment = Fragment {
                        kind: *kind,
                        len: *len,
                        is_start: false,
                        data: now,
                        frame,
                    };
                    if *left == 0 {
                        self.state = BETWEEN;
                    }
                    tell(&fragment);
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
        bytes: [u8; 5],
        len: usize,
        frame: FrameRef,
        tell: &mut impl FnMut(&Fragment<'_>),
    ) {
        let gathered = bytes.get(..len).unwrap_or_default();
        if !may_begin(gathered) {
            self.state = if self.any() {
                State::Deaf
            } else {
                State::Foreign {
                    frame,
                    excerpt: gathered.to_vec(),
                }
            };
            return;
        }
        if len < bytes.len() {
            return;
        }
        let Some((kind, len)) = parse(bytes) else {
            return;
        };
        self.seen += 1;
        self.state = if len == 0 {
            BETWEEN
        } else {
            State::Body {
                kind,
                len,
                left: len,
            }
        };
        tell(&Fragment {
            kind,
            len,
            is_start: true,
            data: &[],
            frame,
        });
    }

    /// Takes a hole. When the record at hand covers it, the next ones begin where they are known to.
    pub(super) fn gap(&mut self, hole: u64) {
        match &mut self.state {
            State::Body { left, .. } if hole <= u64::from(*left) => {
                *left -= hole as u16;
                if *left == 0 {
                    self.state = BETWEEN;
                }
            }
            State::Foreign { .. } | State::Deaf => {}
            _ => self.state = State::Search,
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

/// The content type and length of a record header.
fn parse(header: [u8; 5]) -> Option<(u8, u16)> {
    let [kind, _, _, high, low] = header;
    may_begin(&header).then(|| (kind, u16::from_be_bytes([high, low])))
}
