//! Reads a request as its bytes come, each of them once: a client may send them one by one.

use std::mem::take;

use super::{Cgi, CgiRequest, RECORD_HEADER, Verdict, begins, record};
use crate::capture::FrameRef;

/// How much of a request is waited for: nginx puts a cookie of some KiB before the key, seldom more.
pub const CGI_REQUEST_MAX: usize = 16 * 1024;

/// How much of the target is kept: enough to recognise it.
const TARGET_MAX: usize = 256;

/// How much of the key is kept: a valid one has 24 bytes (RFC 6455 4.1).
const KEY_MAX: usize = 64;

/// The variable that a request for a WebSocket has (RFC 3875 4.1.18, RFC 6455 4.1).
const KEY: &[u8] = b"HTTP_SEC_WEBSOCKET_KEY";

/// What [`CgiReader::bytes`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum CgiFound {
    /// A request for a WebSocket.
    WebSocket(Box<CgiRequest>),
    /// Its variables go on.
    NeedMore,
    /// They go on behind [`CGI_REQUEST_MAX`], and the key may come there.
    TooLong,
    /// Something else.
    Other,
}

/// A request of which the key has not come yet.
#[derive(Debug)]
pub struct CgiReader {
    cgi: Cgi,
    /// How many bytes of it came.
    came: usize,
    /// What there is of a header: of a FastCGI record, or of the whole request.
    header: Vec<u8>,
    /// What is left of the part that the last header announced.
    part: Part,
    /// A header came.
    is_begun: bool,
    /// The variables, from the first that is not there as a whole.
    variables: Vec<u8>,
    target: Option<Box<str>>,
}

/// Bytes of variables, and those behind them that are none.
#[derive(Debug, Default)]
struct Part {
    variables: usize,
    others: usize,
}

/// What a header says.
enum Header {
    /// It is not there as a whole.
    NeedMore,
    Part(Part),
    /// There are no more variables.
    End,
}

impl CgiReader {
    /// Of a connection whose first bytes are these; all of them are to be read. `None` where they begin something else.
    pub fn new(first: &[u8]) -> Option<Self> {
        let Some((cgi, Verdict::Yes(_))) = begins(first) else {
            return None;
        };
        Some(Self {
            cgi,
            came: 0,
            header: Vec::new(),
            part: Part::default(),
            is_begun: false,
            variables: Vec::new(),
            target: None,
        })
    }

    /// Takes the next bytes, the last of which came in `frame`.
    pub fn bytes(&mut self, bytes: &[u8], frame: FrameRef) -> CgiFound {
        self.came += bytes.len();
        let is_whole = self.unpack(bytes);
        match self.key() {
            Some(key) => CgiFound::WebSocket(Box::new(CgiRequest {
                cgi: self.cgi,
                key,
                target: take(&mut self.target),
                frame,
                answer: None,
            })),
            None if is_whole => CgiFound::Other,
            None if self.came >= CGI_REQUEST_MAX => CgiFound::TooLong,
            None => CgiFound::NeedMore,
        }
    }

    /// Bytes that it holds besides itself.
    pub(crate) fn held(&self) -> usize {
        let target = self.target.as_ref().map_or(0, |target| target.len());
        self.header.capacity() + self.variables.capacity() + target
    }

    /// Takes the variables out of what is around them; says whether no more of them come.
    fn unpack(&mut self, mut rest: &[u8]) -> bool {
        loop {
            let part = &mut self.part;
            self.variables
                .extend_from_slice(up_to(&mut rest, &mut part.variables));
            up_to(&mut rest, &mut part.others);
            if part.variables > 0 || part.others > 0 {
                return false;
            }
            match self.next_header(&mut rest) {
                Header::NeedMore => return false,
                Header::Part(part) => self.part = part,
                Header::End => return true,
            }
        }
    }

    fn next_header(&mut self, rest: &mut &[u8]) -> Header {
        if self.is_begun && self.cgi != Cgi::FastCgi {
            return Header::End;
        }
        while let [byte, left @ ..] = *rest {
            *rest = left;
            self.header.push(*byte);
            let header = read_header(self.cgi, &self.header);
            if !matches!(header, Header::NeedMore) {
                self.header.clear();
                self.is_begun = true;
                return header;
            }
        }
        Header::NeedMore
    }

    /// Reads the variables that are there as a whole, to the key.
    fn key(&mut self) -> Option<Box<[u8]>> {
        let mut key = None;
        let mut rest = self.variables.as_slice();
        while let Some((name, value)) = next(self.cgi, &mut rest) {
            match name {
                KEY if key.is_none() => key = Some(start(value, KEY_MAX).into()),
                b"REQUEST_URI" if self.target.is_none() => {
                    let target = String::from_utf8_lossy(start(value, TARGET_MAX));
                    self.target = Some(target.into());
                }
                _ => {}
            }
        }
        let read = self.variables.len() - rest.len();
        self.variables.drain(..read);
        key
    }
}

/// Reads a header, one byte more of it at a time.
fn read_header(cgi: Cgi, header: &[u8]) -> Header {
    /// Digits of a length: see [`begins`].
    const LENGTH_MAX: usize = 8;
    let (variables, others) = match (cgi, header) {
        (Cgi::FastCgi, &[1, kind, _, _, high, low, padding, _]) => {
            let size = usize::from(u16::from_be_bytes([high, low]));
            let padding = usize::from(padding);
            match kind {
                record::BEGIN_REQUEST => (0, size + padding),
                record::PARAMS if size > 0 => (size, padding),
                // An empty one ends them, and the body follows.
                _ => return Header::End,
            }
        }
        (Cgi::Uwsgi, &[_, low, high, _]) => (usize::from(u16::from_le_bytes([low, high])), 0),
        (Cgi::Scgi, [length @ .., b':']) => {
            let length = std::str::from_utf8(length).ok();
            match length.and_then(|digits| digits.parse().ok()) {
                Some(length) => (length, 0),
                None => return Header::End,
            }
        }
        (Cgi::FastCgi, _) if header.len() < RECORD_HEADER => return Header::NeedMore,
        (Cgi::Uwsgi, _) => return Header::NeedMore,
        (Cgi::Scgi, _) if header.len() < LENGTH_MAX => return Header::NeedMore,
        _ => return Header::End,
    };
    Header::Part(Part { variables, others })
}

fn start(bytes: &[u8], most: usize) -> &[u8] {
    bytes.get(..most).unwrap_or(bytes)
}

/// Takes so many bytes, or what there is of them, and counts them off.
fn up_to<'a>(rest: &mut &'a [u8], wanted: &mut usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(rest.len().min(*wanted));
    *wanted -= taken.len();
    *rest = left;
    taken
}

/// Takes the next variable that is there as a whole.
fn next<'a>(cgi: Cgi, rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut left = *rest;
    let found = match cgi {
        Cgi::FastCgi => {
            let name = take_length(&mut left)?;
            let value = take_length(&mut left)?;
            (take_bytes(&mut left, name)?, take_bytes(&mut left, value)?)
        }
        Cgi::Uwsgi => (take_counted(&mut left)?, take_counted(&mut left)?),
        Cgi::Scgi => (take_ended(&mut left)?, take_ended(&mut left)?),
    };
    *rest = left;
    Some(found)
}

fn take_bytes<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

/// A length of one byte, or of four if the highest bit is set (FastCGI 1.0, 3.4).
fn take_length(rest: &mut &[u8]) -> Option<usize> {
    match **rest {
        [short @ 0..=0x7f, ref left @ ..] => {
            *rest = left;
            Some(usize::from(short))
        }
        [a, b, c, d, ref left @ ..] => {
            *rest = left;
            usize::try_from(u32::from_be_bytes([a & 0x7f, b, c, d])).ok()
        }
        _ => None,
    }
}

/// Bytes behind their length.
fn take_counted<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_bytes(rest, 2)?.try_into().ok()?;
    take_bytes(rest, usize::from(u16::from_le_bytes(length)))
}

/// Bytes before a zero byte.
fn take_ended<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = memchr::memchr(0, rest)?;
    let taken = take_bytes(rest, end)?;
    take_bytes(rest, 1)?;
    Some(taken)
}
