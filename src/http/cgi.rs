//! Requests in the protocols of application servers, which carry the variables of CGI (RFC 3875) in place of a head: FastCGI,
//! uwsgi and SCGI. `fastcgi_pass`, `uwsgi_pass` and `scgi_pass` of nginx speak them.
//!
//! Only a request for a WebSocket is of interest, and of its answer only how it begins.

mod reader;
#[cfg(test)]
mod tests;

pub use reader::{CGI_REQUEST_MAX, CgiFound, CgiReader};

use super::probe::{Verdict, is_token};
use crate::capture::FrameRef;
use crate::tcp::{Chunk, Direction, Interest};

/// How much of an answer is kept: its status stands in one of the first lines.
const ANSWER_MAX: usize = 512;

/// The longest name of a first variable by which uwsgi is recognised; those of nginx have fewer than twenty bytes.
const FIRST_NAME_MAX: u8 = 48;

/// Which of the protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cgi {
    /// FastCGI 1.0.
    FastCgi,
    /// uwsgi, of the server uWSGI.
    Uwsgi,
    /// SCGI.
    Scgi,
}

impl Cgi {
    /// As its own documents write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FastCgi => "FastCGI",
            Self::Uwsgi => "uwsgi",
            Self::Scgi => "SCGI",
        }
    }
}

/// Record types of FastCGI 1.0 (8).
mod record {
    pub(super) const BEGIN_REQUEST: u8 = 1;
    pub(super) const END_REQUEST: u8 = 3;
    pub(super) const PARAMS: u8 = 4;
    pub(super) const STDOUT: u8 = 6;
    pub(super) const STDERR: u8 = 7;
}

/// The header of a FastCGI record.
const RECORD_HEADER: usize = 8;

/// What each of the first bytes must be.
type Pattern = &'static [fn(u8) -> bool];

/// Which of the protocols begins so. One byte each is looked at, in order, so that a prefix never says otherwise.
pub(super) fn begins(bytes: &[u8]) -> Option<(Cgi, Verdict)> {
    let (cgi, pattern): (Cgi, Pattern) = match bytes.first()? {
        // Version 1, BEGIN_REQUEST, a request id, 8 bytes of content; the role of a responder.
        1 => (
            Cgi::FastCgi,
            &[
                |byte| byte == 1,
                |byte| byte == record::BEGIN_REQUEST,
                |_| true,
                |_| true,
                |byte| byte == 0,
                |byte| byte == 8,
                |_| true,
                |_| true,
                |byte| byte == 0,
                |byte| byte == 1,
            ],
        ),
        // modifier1 0, the size of the variables, modifier2 0; the length of the first name, and how it begins.
        0 => (
            Cgi::Uwsgi,
            &[
                |byte| byte == 0,
                |_| true,
                |_| true,
                |byte| byte == 0,
                |byte| (1..=FIRST_NAME_MAX).contains(&byte),
                |byte| byte == 0,
                |byte| byte.is_ascii_uppercase(),
                |byte| byte.is_ascii_uppercase() || byte == b'_',
            ],
        ),
        b'0'..=b'9' => return Some((Cgi::Scgi, begins_scgi(bytes))),
        _ => return None,
    };
    let fits = bytes.iter().zip(pattern).all(|(&byte, fits)| fits(byte));
    let verdict = match (fits, bytes.len() >= pattern.len()) {
        (false, _) => Verdict::No,
        (true, true) => Verdict::Yes(pattern.len()),
        (true, false) => Verdict::NeedMore,
    };
    Some((cgi, verdict))
}

/// A netstring whose first variable is the length of the body, as it must be.
fn begins_scgi(bytes: &[u8]) -> Verdict {
    const FIRST: &[u8] = b":CONTENT_LENGTH\0";
    /// Digits of a length below a megabyte.
    const DIGITS: usize = 6;
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit());
    let digits = digits.take(DIGITS + 1).count();
    let rest = bytes.get(digits..).unwrap_or_default();
    if digits > DIGITS {
        Verdict::No
    } else if rest.starts_with(FIRST) {
        Verdict::Yes(digits + FIRST.len())
    } else if FIRST.starts_with(rest) {
        Verdict::NeedMore
    } else {
        Verdict::No
    }
}

/// A request for a WebSocket in one of these protocols, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgiRequest {
    /// Which.
    pub cgi: Cgi,
    /// The key, as the client sent it; of one that is far too long the beginning.
    pub key: Box<[u8]>,
    /// The target (`REQUEST_URI`), as far as it was kept.
    pub target: Option<Box<str>>,
    /// Where it ends.
    pub frame: FrameRef,
    /// Where the answer begins, and how.
    pub answer: Option<(FrameRef, Box<[u8]>)>,
}

/// In what a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnsweredIn {
    /// In the protocol of the request.
    Kind,
    /// In HTTP.
    Http,
    /// In something else.
    Other,
}

impl CgiRequest {
    /// Takes the next bytes of the connection; says whether more of them are of use.
    pub(crate) fn bytes(&mut self, chunk: &Chunk<'_>) -> Interest {
        if chunk.direction == Direction::ToServer {
            return Interest::Bytes;
        }
        let kept = self.answer.as_ref().map_or(0, |(_, bytes)| bytes.len());
        let room = ANSWER_MAX.saturating_sub(kept);
        let more = chunk.data.get(..room).unwrap_or(chunk.data);
        match &mut self.answer {
            None => self.answer = Some((chunk.frame, more.into())),
            Some((_, bytes)) => *bytes = [bytes, more].concat().into(),
        }
        if more.len() < room {
            Interest::Bytes
        } else {
            Interest::Counters
        }
    }

    /// Bytes that it holds besides itself.
    pub(crate) fn held(&self) -> usize {
        let answer = self.answer.as_ref().map_or(0, |(_, bytes)| bytes.len());
        let target = self.target.as_ref().map_or(0, |target| target.len());
        self.key.len() + target + answer
    }

    /// In what the answer is; `None` where too little of it is there to tell.
    pub fn answered_in(&self) -> Option<AnsweredIn> {
        const HTTP: &[u8] = b"HTTP/";
        let (_, answer) = self.answer.as_ref()?;
        if HTTP.starts_with(answer) && answer.len() < HTTP.len() {
            return None;
        }
        let is_http = answer.starts_with(HTTP);
        let is_in_kind = match self.cgi {
            Cgi::FastCgi => match **answer {
                [1] => return None,
                [1, kind, ..] => {
                    matches!(kind, record::END_REQUEST | record::STDOUT | record::STDERR)
                }
                _ => false,
            },
            // nginx takes a status line from both; applications of uWSGI begin with one, those of SCGI with a field.
            Cgi::Uwsgi if is_http => true,
            Cgi::Scgi if is_http => false,
            Cgi::Uwsgi | Cgi::Scgi => {
                let name = answer.iter().take_while(|&&byte| is_token(byte)).count();
                match answer.get(name) {
                    None => return None,
                    Some(&byte) => name > 0 && byte == b':',
                }
            }
        };
        Some(match (is_in_kind, is_http) {
            (true, _) => AnsweredIn::Kind,
            (false, true) => AnsweredIn::Http,
            (false, false) => AnsweredIn::Other,
        })
    }

    /// The status of the answer: of its status line, or of a Status field (RFC 3875 6.3.3), without which it is 200.
    pub fn status(&self) -> Option<u16> {
        let (_, answer) = self.answer.as_ref()?;
        let content = if self.cgi == Cgi::FastCgi {
            stdout(answer)
        } else {
            answer
        };
        if let Some(rest) = content.strip_prefix(b"HTTP/1.") {
            return digits(rest.get(2..)?);
        }
        let mut rest = content;
        let mut is_header = false;
        loop {
            let end = memchr::memchr(b'\n', rest)?;
            let line = rest.get(..end)?.trim_ascii_end();
            rest = after(rest, end + 1);
            if line.is_empty() {
                return is_header.then_some(200);
            }
            let colon = memchr::memchr(b':', line)?;
            let (name, value) = line.split_at_checked(colon)?;
            if name.eq_ignore_ascii_case(b"status") {
                return digits(value.get(1..)?.trim_ascii_start());
            }
            is_header = true;
        }
    }
}

/// The content of the first record of an application's output.
fn stdout(answer: &[u8]) -> &[u8] {
    let mut rest = answer;
    while let [1, kind, _, _, high, low, padding, _, content @ ..] = rest {
        let size = usize::from(u16::from_be_bytes([*high, *low]));
        if *kind == record::STDOUT && size > 0 {
            return content.get(..size).unwrap_or(content);
        }
        rest = after(rest, RECORD_HEADER + size + usize::from(*padding));
    }
    &[]
}

fn after(bytes: &[u8], at: usize) -> &[u8] {
    bytes.get(at..).unwrap_or_default()
}

fn digits(bytes: &[u8]) -> Option<u16> {
    let status = std::str::from_utf8(bytes.get(..3)?).ok()?;
    status.parse().ok().filter(|status| *status >= 100)
}
