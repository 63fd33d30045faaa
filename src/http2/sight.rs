//! The machine that watches one HTTP/2 connection.

use super::hpack::Blocks;
use super::{Answer, Http2Facts, WebSocketRequest};
use crate::capture::FrameRef;
use crate::http::{has_item, is_named};
use crate::tcp::{Chunk, Direction, Gap, Interest};

/// What a client sends first (RFC 9113 3.4).
const PREFACE: u64 = 24;

/// A frame's header (RFC 9113 4.1).
const HEADER: usize = 9;

/// Bytes of a connection that are read without WebSocket being mentioned: a few hundred requests.
const MAX_READ: u64 = 256 * 1024;

/// Longest header block, or other frame that is looked into.
const MAX_BLOCK: usize = 64 * 1024;

/// Requests about WebSocket kept per connection: retries say the same again.
const MAX_REQUESTS: usize = 32;

/// How much of a value is kept: paths are seldom longer, and of the others some bytes tell.
const MAX_VALUE: usize = 256;

/// Types of frames that are looked into (RFC 9113 6).
mod kind {
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const CONTINUATION: u8 = 9;
}

/// Flags of a HEADERS frame (RFC 9113 6.2), and ACK of SETTINGS.
mod flag {
    pub(super) const ACK: u8 = 0x01;
    pub(super) const END_HEADERS: u8 = 0x04;
    pub(super) const PADDED: u8 = 0x08;
    pub(super) const PRIORITY: u8 = 0x20;
}

/// SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 3).
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// Whether a server that was not spoken to in HTTP/2 begins as one does: with a SETTINGS frame (RFC 9113 3.4) on stream 0 that
/// is no ACK and whose length is a multiple of six (6.5), and no longer than the frame that a server of today sends.
pub fn is_server_preface(bytes: &[u8]) -> bool {
    matches!(*bytes, [0, 0, length, kind::SETTINGS, 0, 0, 0, 0, 0, ..] if length.is_multiple_of(6))
}

/// Watches one connection whose client began with the preface.
#[derive(Debug)]
pub struct Sight {
    to_server: Lane,
    to_client: Lane,
    facts: Http2Facts,
    read: u64,
    /// Bytes are missing or break the rules: the compression state is lost.
    lost: bool,
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    /// Bytes to pass over: the preface, payload of no interest.
    skip: u64,
    /// A frame's header and, of frames that are looked into, its payload.
    frame: Vec<u8>,
    /// A header block that goes on in CONTINUATION frames.
    block: Vec<u8>,
    blocks: Blocks,
}

/// A whole frame.
#[derive(Clone, Copy)]
struct Whole<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &'a [u8],
}

impl Default for Sight {
    fn default() -> Self {
        Self::new()
    }
}

impl Sight {
    /// Bytes that it holds besides itself.
    pub fn held(&self) -> usize {
        let lanes = [&self.to_server, &self.to_client].into_iter();
        lanes
            .map(|lane| lane.frame.capacity() + lane.block.capacity() + lane.blocks.held())
            .sum()
    }

    /// For a connection from its first byte on.
    pub fn new() -> Self {
        Self {
            to_server: Lane {
                skip: PREFACE,
                ..Lane::default()
            },
            to_client: Lane::default(),
            facts: Http2Facts::default(),
            read: 0,
            lost: false,
        }
    }

    /// What was seen so far.
    pub const fn facts(&self) -> &Http2Facts {
        &self.facts
    }

    /// Takes the next bytes of a stream; says whether more can be learned.
    pub fn bytes(&mut self, chunk: &Chunk<'_>) -> Interest {
        self.read = self.read.saturating_add(chunk.data.len() as u64);
        let mut rest = chunk.data;
        while !rest.is_empty() && !self.lost {
            let lane = match chunk.direction {
                Direction::ToServer => &mut self.to_server,
                Direction::ToClient => &mut self.to_client,
            };
            let skipped = rest
                .len()
                .min(usize::try_from(lane.skip).unwrap_or(usize::MAX));
            lane.skip -= skipped as u64;
            rest = rest.get(skipped..).unwrap_or_default();
            let taken = lane.gather(&mut rest);
            match taken {
                Taken::More => {}
                Taken::TooLong => self.lost = true,
                Taken::Frame => {
                    let done = lane.whole(chunk.direction, chunk.frame, &mut self.facts);
                    lane.frame.clear();
                    self.lost = done.is_none();
                }
            }
        }
        self.interest()
    }

    /// Takes a hole in a stream.
    pub fn gap(&mut self, gap: &Gap) -> Interest {
        let lane = match gap.direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        // A hole inside what is passed over anyway does no harm.
        if lane.frame.is_empty() && gap.len <= lane.skip {
            lane.skip -= gap.len;
        } else {
            self.lost = true;
        }
        self.interest()
    }

    fn interest(&self) -> Interest {
        let waits = self
            .facts
            .requests
            .iter()
            .any(|request| request.answer.is_none());
        if self.lost || (self.read > MAX_READ && !waits) {
            Interest::Counters
        } else {
            Interest::Bytes
        }
    }
}

/// What came of bytes.
enum Taken {
    /// All were taken.
    More,
    /// A frame is complete.
    Frame,
    /// A frame is longer than anything that is looked into.
    TooLong,
}

impl Lane {
    /// Takes bytes until a frame that is looked into is complete; other payload is left to be skipped.
    fn gather(&mut self, rest: &mut &[u8]) -> Taken {
        self.fill(HEADER, rest);
        let Some(&[a, b, c, kind, ..]) = self.frame.first_chunk::<HEADER>() else {
            return Taken::More;
        };
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let read = matches!(
            kind,
            kind::HEADERS | kind::RST_STREAM | kind::SETTINGS | kind::CONTINUATION
        );
        if !read {
            self.frame.clear();
            self.skip = length as u64;
            return Taken::More;
        }
        if length > MAX_BLOCK {
            return Taken::TooLong;
        }
        self.fill(HEADER + length, rest);
        if self.frame.len() == HEADER + length {
            Taken::Frame
        } else {
            Taken::More
        }
    }

    fn fill(&mut self, to: usize, rest: &mut &[u8]) {
        let wanted = to.saturating_sub(self.frame.len()).min(rest.len());
        let (now, later) = rest.split_at_checked(wanted).unwrap_or((rest, &[]));
        self.frame.extend_from_slice(now);
        *rest = later;
    }

    /// Reads the frame that is complete; `None` when nothing behind it can be read.
    fn whole(&mut self, direction: Direction, at: FrameRef, facts: &mut Http2Facts) -> Option<()> {
        let frame = std::mem::take(&mut self.frame);
        let (&[_, _, _, kind, flags, a, b, c, d], payload) = frame.split_first_chunk::<HEADER>()?;
        let whole = Whole {
            kind,
            flags,
            stream: u32::from_be_bytes([a & 0x7f, b, c, d]),
            payload,
        };
        let read = self.read(whole, direction, at, facts);
        self.frame = frame;
        read
    }

    fn read(
        &mut self,
        frame: Whole<'_>,
        direction: Direction,
        at: FrameRef,
        facts: &mut Http2Facts,
    ) -> Option<()> {
        match frame.kind {
            kind::HEADERS => {
                self.block.clear();
                self.block.extend_from_slice(fragment(frame)?);
            }
            kind::CONTINUATION => {
                if self.block.len() + frame.payload.len() > MAX_BLOCK {
                    return None;
                }
                self.block.extend_from_slice(frame.payload);
            }
            kind::RST_STREAM => {
                let code = u32::from_be_bytes(*frame.payload.first_chunk()?);
                if direction == Direction::ToClient {
                    answered(facts, frame.stream, at, Answer::Reset(code));
                }
                return Some(());
            }
            _ => {
                if direction == Direction::ToClient && frame.flags & flag::ACK == 0 {
                    facts.connect_protocol |= offers_connect(frame.payload);
                }
                return Some(());
            }
        }
        if frame.flags & flag::END_HEADERS == 0 {
            return Some(());
        }
        match direction {
            Direction::ToServer => self.request(frame.stream, at, facts),
            Direction::ToClient => self.response(frame.stream, at, facts),
        }
    }

    fn request(&mut self, stream: u32, frame: FrameRef, facts: &mut Http2Facts) -> Option<()> {
        let mut request = WebSocketRequest {
            stream,
            frame,
            path: Box::default(),
            extended: false,
            connection: None,
            upgrade: None,
            answer: None,
        };
        let mut websocket = false;
        self.blocks.decode(&self.block, |name, value| {
            let kept = value.get(..MAX_VALUE).unwrap_or(value);
            let text = || String::from_utf8_lossy(kept).into_owned().into_boxed_str();
            let is = |usual| is_named(name, usual);
            if is(":path") {
                request.path = text();
            } else if is(":protocol") {
                request.extended = value.eq_ignore_ascii_case(b"websocket");
            } else if is("connection") {
                request.connection = Some(text());
            } else if is("upgrade") {
                websocket |= has_item(kept, "websocket");
                request.upgrade = Some(text());
            } else if is("sec-websocket-key") || is("sec-websocket-version") {
                websocket = true;
            }
        })?;
        if (request.extended || websocket) && facts.requests.len() < MAX_REQUESTS {
            facts.requests.push(request);
        }
        Some(())
    }

    fn response(&mut self, stream: u32, at: FrameRef, facts: &mut Http2Facts) -> Option<()> {
        let mut status = None;
        self.blocks.decode(&self.block, |name, value| {
            if name == b":status" {
                status = std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse().ok());
            }
        })?;
        // 1xx is not the answer yet; a block without a status is a trailer.
        if let Some(status @ 200..) = status {
            answered(facts, stream, at, Answer::Status(status));
        }
        Some(())
    }
}

/// The part of a HEADERS frame that is the block (RFC 9113 6.2).
fn fragment(frame: Whole<'_>) -> Option<&[u8]> {
    let mut block = frame.payload;
    if frame.flags & flag::PADDED != 0 {
        let (&padding, rest) = block.split_first()?;
        block = rest.get(..rest.len().checked_sub(usize::from(padding))?)?;
    }
    if frame.flags & flag::PRIORITY != 0 {
        block = block.get(5..)?;
    }
    Some(block)
}

fn answered(facts: &mut Http2Facts, stream: u32, at: FrameRef, answer: Answer) {
    let waiting = facts
        .requests
        .iter_mut()
        .find(|request| request.stream == stream && request.answer.is_none());
    if let Some(request) = waiting {
        request.answer = Some((at, answer));
    }
}

fn offers_connect(settings: &[u8]) -> bool {
    settings
        .as_chunks::<6>()
        .0
        .iter()
        .any(|&[a, b, .., value]| {
            u16::from_be_bytes([a, b]) == ENABLE_CONNECT_PROTOCOL && value == 1
        })
}
