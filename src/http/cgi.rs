//! Requests in the protocols of application servers, which carry the variables of CGI (RFC 3875) in place of a head: FastCGI,
//! uwsgi and SCGI. `fastcgi_pass`, `uwsgi_pass` and `scgi_pass` of nginx speak them.
//!
//! Only a request for a WebSocket is of interest, and of its answer only how it begins.

use std::borrow::Cow;

use super::probe::{Verdict, is_token};
use crate::capture::FrameRef;
use crate::tcp::{Chunk, Direction, Interest};

/// How much of a request is waited for: nginx puts a cookie of some KiB before the key, seldom more.
pub const CGI_REQUEST_MAX: usize = 16 * 1024;

/// How much of an answer is kept: its status stands in one of the first lines.
const ANSWER_MAX: usize = 512;

/// How much of the target is kept: enough to recognise it.
const TARGET_MAX: usize = 256;

/// The variable that a request for a WebSocket has (RFC 3875 4.1.18, RFC 6455 4.1).
const KEY: &[u8] = b"HTTP_SEC_WEBSOCKET_KEY";

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
    /// The key, as the client sent it.
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

/// What [`cgi_request`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum CgiFound {
    /// A request for a WebSocket.
    WebSocket(Box<CgiRequest>),
    /// Its variables go on.
    NeedMore,
    /// Something else.
    Other,
}

/// Reads a request at the start of `bytes`; `frame` is where the last of them came.
pub fn cgi_request(bytes: &[u8], frame: FrameRef) -> CgiFound {
    let Some((cgi, Verdict::Yes(_))) = begins(bytes) else {
        return CgiFound::Other;
    };
    let (variables, is_whole) = match cgi {
        Cgi::FastCgi => params(bytes),
        Cgi::Uwsgi => (Cow::Borrowed(after(bytes, 4)), {
            let size = [bytes.get(1), bytes.get(2)].map(|byte| byte.copied().unwrap_or_default());
            bytes.len() >= 4 + usize::from(u16::from_le_bytes(size))
        }),
        Cgi::Scgi => {
            let colon = memchr::memchr(b':', bytes).unwrap_or_default();
            let size = std::str::from_utf8(bytes.get(..colon).unwrap_or_default());
            let size = size.ok().and_then(|digits| digits.parse().ok());
            let variables = after(bytes, colon + 1);
            let is_whole = size.is_none_or(|size: usize| variables.len() >= size);
            (Cow::Borrowed(variables), is_whole)
        }
    };
    let (mut key, mut target) = (None, None);
    let mut rest = variables.as_ref();
    while let Some((name, value)) = next(cgi, &mut rest) {
        match name {
            KEY => key = key.or(Some(value)),
            b"REQUEST_URI" => target = target.or(Some(value)),
            _ => {}
        }
    }
    match key {
        Some(key) => CgiFound::WebSocket(Box::new(CgiRequest {
            cgi,
            key: key.into(),
            target: target.map(|target| {
                let kept = target.get(..TARGET_MAX).unwrap_or(target);
                String::from_utf8_lossy(kept).into()
            }),
            frame,
            answer: None,
        })),
        None if is_whole || bytes.len() >= CGI_REQUEST_MAX => CgiFound::Other,
        None => CgiFound::NeedMore,
    }
}

fn after(bytes: &[u8], at: usize) -> &[u8] {
    bytes.get(at..).unwrap_or_default()
}

/// The contents of the PARAMS records of a FastCGI request, as far as they are there, and whether that is all.
fn params(bytes: &[u8]) -> (Cow<'_, [u8]>, bool) {
    let mut found = Cow::Borrowed(&[][..]);
    let mut rest = bytes;
    while let [1, kind, _, _, high, low, padding, _, content @ ..] = rest {
        let size = usize::from(u16::from_be_bytes([*high, *low]));
        let kept = content.get(..size).unwrap_or(content);
        match *kind {
            record::BEGIN_REQUEST => {}
            record::PARAMS if size > 0 && found.is_empty() => found = Cow::Borrowed(kept),
            record::PARAMS if size > 0 => found.to_mut().extend_from_slice(kept),
            // An empty one ends them, and the body follows.
            _ => return (found, true),
        }
        rest = after(rest, RECORD_HEADER + size + usize::from(*padding));
    }
    (found, false)
}

/// Takes the next variable that is there as a whole.
fn next<'a>(cgi: Cgi, rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut left = *rest;
    let found = match cgi {
        Cgi::FastCgi => {
            let name = take_length(&mut left)?;
            let value = take_length(&mut left)?;
            (take(&mut left, name)?, take(&mut left, value)?)
        }
        Cgi::Uwsgi => (take_counted(&mut left)?, take_counted(&mut left)?),
        Cgi::Scgi => (take_ended(&mut left)?, take_ended(&mut left)?),
    };
    *rest = left;
    Some(found)
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
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
    let length = take(rest, 2)?.try_into().ok()?;
    take(rest, usize::from(u16::from_le_bytes(length)))
}

/// Bytes before a zero byte.
fn take_ended<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = memchr::memchr(0, rest)?;
    let taken = take(rest, end)?;
    take(rest, 1)?;
    Some(taken)
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

fn digits(bytes: &[u8]) -> Option<u16> {
    let status = std::str::from_utf8(bytes.get(..3)?).ok()?;
    status.parse().ok().filter(|status| *status >= 100)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::capture::{CaptureId, FrameNo, Timestamp};
    use proptest::prelude::*;

    const fn frame(number: u64) -> FrameRef {
        FrameRef::new(Timestamp::from_nanos(1), CaptureId(0), FrameNo(number))
    }

    const VARIABLES: [(&str, &str); 4] = [
        ("CONTENT_LENGTH", ""),
        ("SCGI", "1"),
        ("REQUEST_URI", "/ws?room=1"),
        ("HTTP_SEC_WEBSOCKET_KEY", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn fastcgi(kind: u8, content: &[u8]) -> Vec<u8> {
        let size = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[1, kind, 0, 1, size[0], size[1], 0, 0], content].concat()
    }

    fn request(cgi: Cgi, variables: &[(&str, &str)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, value) in variables {
            let (name, value) = (name.as_bytes(), value.as_bytes());
            match cgi {
                Cgi::FastCgi => {
                    body.push(u8::try_from(name.len()).unwrap());
                    let length = u32::try_from(value.len()).unwrap() | 0x8000_0000;
                    body.extend(length.to_be_bytes());
                    body.extend([name, value].concat());
                }
                Cgi::Uwsgi => {
                    for part in [name, value] {
                        body.extend(u16::try_from(part.len()).unwrap().to_le_bytes());
                        body.extend(part);
                    }
                }
                Cgi::Scgi => body.extend([name, b"\0", value, b"\0"].concat()),
            }
        }
        match cgi {
            Cgi::FastCgi => [
                fastcgi(1, &[0, 1, 0, 0, 0, 0, 0, 0]),
                fastcgi(4, &body[..20]),
                fastcgi(4, &body[20..]),
                fastcgi(4, &[]),
                fastcgi(5, &[]),
            ]
            .concat(),
            Cgi::Uwsgi => {
                let size = u16::try_from(body.len()).unwrap().to_le_bytes();
                [&[0, size[0], size[1], 0], body.as_slice()].concat()
            }
            Cgi::Scgi => [format!("{}:", body.len()).as_bytes(), &body, b","].concat(),
        }
    }

    const ALL: [Cgi; 3] = [Cgi::FastCgi, Cgi::Uwsgi, Cgi::Scgi];

    fn found(bytes: &[u8]) -> Option<CgiRequest> {
        match cgi_request(bytes, frame(4)) {
            CgiFound::WebSocket(found) => Some(*found),
            _ => None,
        }
    }

    #[test]
    fn finds_a_request_for_a_websocket_as_soon_as_its_key_is_there() {
        for cgi in ALL {
            let whole = request(cgi, &VARIABLES);
            let request = found(&whole).unwrap();
            assert_eq!(request.cgi, cgi);
            assert_eq!(*request.key, *b"dGhlIHNhbXBsZSBub25jZQ==");
            assert_eq!(request.target.as_deref(), Some("/ws?room=1"));
            let begin = (0..=whole.len())
                .find(|&end| cgi_request(&whole[..end], frame(4)) != CgiFound::Other)
                .unwrap();
            for end in begin..whole.len() {
                assert_ne!(
                    cgi_request(&whole[..end], frame(4)),
                    CgiFound::Other,
                    "{cgi:?} {end}"
                );
            }
        }
    }

    #[test]
    fn ordinary_requests_are_of_no_interest() {
        for cgi in ALL {
            let whole = request(cgi, &VARIABLES[..3]);
            assert_eq!(cgi_request(&whole, frame(4)), CgiFound::Other, "{cgi:?}");
        }
    }

    #[test]
    fn waits_for_no_more_than_its_limit() {
        let long = "x".repeat(CGI_REQUEST_MAX);
        for cgi in ALL {
            let whole = request(cgi, &[("CONTENT_LENGTH", ""), ("HTTP_COOKIE", &long)]);
            let cut = &whole[..CGI_REQUEST_MAX];
            assert_eq!(cgi_request(cut, frame(4)), CgiFound::Other, "{cgi:?}");
        }
    }

    #[test]
    fn tells_answers_of_applications_from_those_of_http_servers() {
        type Row = (Cgi, Vec<u8>, Option<u16>, Option<AnsweredIn>);
        use AnsweredIn::{Http, Kind, Other};
        let text = |text: &str| text.as_bytes().to_vec();
        let table: [Row; 14] = [
            (
                Cgi::FastCgi,
                fastcgi(
                    6,
                    b"Content-Type: text/html\r\nStatus: 404 Not Found\r\n\r\n",
                ),
                Some(404),
                Some(Kind),
            ),
            (
                Cgi::FastCgi,
                [fastcgi(7, b"oops"), fastcgi(6, b"X: y\r\n\r\nStatus: 500")].concat(),
                Some(200),
                Some(Kind),
            ),
            (
                Cgi::FastCgi,
                text("HTTP/1.1 400 Bad Request\r\n"),
                None,
                Some(Http),
            ),
            (Cgi::FastCgi, text("HT"), None, None),
            (Cgi::FastCgi, vec![1], None, None),
            (Cgi::FastCgi, vec![0x15, 3, 1], None, Some(Other)),
            (
                Cgi::Uwsgi,
                text("HTTP/1.1 400 Bad Request\r\n"),
                Some(400),
                Some(Kind),
            ),
            (Cgi::Uwsgi, text("HTTP/1.1 4"), None, Some(Kind)),
            (Cgi::Uwsgi, vec![0x15, 3, 1], None, Some(Other)),
            (
                Cgi::Scgi,
                text("HTTP/1.1 400 Bad Request\r\n"),
                Some(400),
                Some(Http),
            ),
            (
                Cgi::Scgi,
                text("Status: 403 No\r\n\r\n"),
                Some(403),
                Some(Kind),
            ),
            (
                Cgi::Scgi,
                text("Content-Type: text/html\r\n"),
                None,
                Some(Kind),
            ),
            (Cgi::Scgi, text("Stat"), None, None),
            (Cgi::Scgi, text("\r\n"), None, Some(Other)),
        ];
        for (cgi, answer, status, answered_in) in table {
            let mut request = found(&request(cgi, &VARIABLES)).unwrap();
            for byte in &answer {
                let chunk = Chunk {
                    direction: Direction::ToClient,
                    position: 0,
                    data: std::slice::from_ref(byte),
                    frame: frame(9),
                };
                assert_eq!(request.bytes(&chunk), Interest::Bytes);
            }
            let text = answer.escape_ascii();
            assert_eq!(request.status(), status, "{cgi:?} {text}");
            assert_eq!(request.answered_in(), answered_in, "{cgi:?} {text}");
        }
    }

    #[test]
    fn keeps_no_more_of_an_answer_than_its_limit() {
        let mut request = found(&request(Cgi::Uwsgi, &VARIABLES)).unwrap();
        let chunk = Chunk {
            direction: Direction::ToClient,
            position: 0,
            data: &[b'x'; 400],
            frame: frame(9),
        };
        assert_eq!(request.bytes(&chunk), Interest::Bytes);
        assert_eq!(request.bytes(&chunk), Interest::Counters);
        assert_eq!(request.answer.unwrap().1.len(), ANSWER_MAX);
    }

    proptest! {
        #[test]
        fn hostile_bytes_do_no_harm(
            begins in prop::sample::select(ALL.map(|cgi| request(cgi, &VARIABLES)).to_vec()),
            kept in 0..120_usize,
            more in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = [&begins[..kept.min(begins.len())], &more].concat();
            let _ = cgi_request(&bytes, frame(1));
            for cgi in ALL {
                let answer = Some((frame(2), more.clone().into_boxed_slice()));
                let request = CgiRequest { cgi, key: Box::default(), target: None, frame: frame(1), answer };
                let is_fastcgi = cgi == Cgi::FastCgi;
                prop_assert!(!is_fastcgi || request.status().is_none() || request.answered_in() == Some(AnsweredIn::Kind));
            }
        }
    }
}
