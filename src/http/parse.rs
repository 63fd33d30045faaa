//! Complete head to fields: httparse first, a tolerant reader where that refuses.

use std::mem::MaybeUninit;
use std::ops::Range;

use smallvec::SmallVec;

use super::head::{FieldSpan, USUAL_FIELDS};
use super::probe::{is_token, request_line, status_line};
use super::{Fields, HeadFault, RequestHead, ResponseHead, Span};

/// Header fields that httparse gets room for at first: nearly every head has fewer.
const SLOTS: usize = 64;

/// Room at the second try. A head with still more fields is read by the tolerant reader, which has no such limit.
const MORE_SLOTS: usize = 256;

/// A head's bytes: borrowed from a segment, or gathered from several.
#[derive(Debug)]
pub(super) enum Raw<'a> {
    /// In one segment.
    Borrowed(&'a [u8]),
    /// Over several.
    Owned(Vec<u8>),
}

impl Raw<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }

    pub(super) fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Borrowed(bytes) => bytes.to_vec(),
            Self::Owned(bytes) => bytes,
        }
    }
}

/// Reads a complete request head; gives the bytes back when they are none.
pub(super) fn request(raw: Raw<'_>, span: Span) -> Result<RequestHead, Raw<'_>> {
    let Some((line, spans, faults)) = request_parts(raw.bytes()) else {
        return Err(raw);
    };
    Ok(RequestHead {
        span,
        method: line.method,
        target: line.target,
        minor_version: line.minor_version,
        fields: Fields::new(raw.bytes(), &spans),
        faults,
    })
}

/// Reads a complete response head; gives the bytes back when they are none.
pub(super) fn response(raw: Raw<'_>, span: Span) -> Result<ResponseHead, Raw<'_>> {
    let Some((line, spans, faults)) = response_parts(raw.bytes()) else {
        return Err(raw);
    };
    Ok(ResponseHead {
        span,
        status: line.status,
        reason: line.reason,
        minor_version: line.minor_version,
        fields: Fields::new(raw.bytes(), &spans),
        faults,
    })
}

impl RequestHead {
    /// What the complete lines of a head that breaks off say, whatever its start line is.
    pub fn begun(bytes: &[u8], span: Span) -> Self {
        let whole = memchr::memrchr(b'\n', bytes).map_or(0, |last| last + 1);
        let lines = bytes.get(..whole).unwrap_or_default();
        let first = memchr::memchr(b'\n', lines).unwrap_or(0);
        let (line, rest) = lines.split_at_checked(first).unwrap_or_default();
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .map(|word| place(bytes, word));
        let fields: Spans = rest
            .split(|&byte| byte == b'\n')
            .filter_map(|line| {
                let (name, value) = line.split_at_checked(memchr::memchr(b':', line)?)?;
                let value = value.get(1..)?.trim_ascii();
                Some((place(bytes, name), place(bytes, value)))
            })
            .collect();
        Self {
            span,
            method: words.next().unwrap_or_default(),
            target: words.next().unwrap_or_default(),
            minor_version: 1,
            fields: Fields::new(bytes, &fields),
            faults: Vec::new(),
        }
    }
}

struct RequestLine {
    method: Range<u32>,
    target: Range<u32>,
    minor_version: u8,
}

struct StatusLine {
    status: u16,
    reason: Range<u32>,
    minor_version: u8,
}

/// The places of a head's fields.
type Spans = SmallVec<[FieldSpan; USUAL_FIELDS]>;

type Parts<L> = (L, Spans, Vec<HeadFault>);

fn request_parts(bytes: &[u8]) -> Option<Parts<RequestLine>> {
    let strict = strict_request::<SLOTS>(bytes).or_else(|error| match error {
        httparse::Error::TooManyHeaders => strict_request::<MORE_SLOTS>(bytes),
        other => Err(other),
    });
    if let Ok((line, spans)) = strict {
        return Some((line, spans, line_end_faults(bytes)));
    }
    let end = length(request_line(bytes))?;
    let (line, mut faults) = loose_request_line(bytes, end)?;
    let spans = tolerant_fields(bytes, end, &mut faults);
    faults.extend(line_end_faults(bytes));
    Some((line, spans, faults))
}

fn response_parts(bytes: &[u8]) -> Option<Parts<StatusLine>> {
    let strict = strict_response::<SLOTS>(bytes).or_else(|error| match error {
        httparse::Error::TooManyHeaders => strict_response::<MORE_SLOTS>(bytes),
        other => Err(other),
    });
    if let Ok((line, spans)) = strict {
        return Some((line, spans, line_end_faults(bytes)));
    }
    let end = length(status_line(bytes))?;
    let (line, mut faults) = loose_status_line(bytes, end)?;
    let spans = tolerant_fields(bytes, end, &mut faults);
    faults.extend(line_end_faults(bytes));
    Some((line, spans, faults))
}

const fn length(verdict: super::probe::Verdict) -> Option<usize> {
    match verdict {
        super::probe::Verdict::Yes(length) => Some(length),
        _ => None,
    }
}

fn strict_request<const N: usize>(bytes: &[u8]) -> Result<(RequestLine, Spans), httparse::Error> {
    let mut slots = [const { MaybeUninit::uninit() }; N];
    let mut request = httparse::Request::new(&mut []);
    let status = request.parse_with_uninit_headers(bytes, &mut slots)?;
    match (status, request_line_of(bytes, &request)) {
        (httparse::Status::Complete(_), Some(line)) => Ok((line, spans(bytes, request.headers))),
        // The blank line is there, so this is a head that ends where httparse sees no end.
        _ => Err(httparse::Error::NewLine),
    }
}

fn strict_response<const N: usize>(bytes: &[u8]) -> Result<(StatusLine, Spans), httparse::Error> {
    let mut slots = [const { MaybeUninit::uninit() }; N];
    let mut response = httparse::Response::new(&mut []);
    let status = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        &mut slots,
    )?;
    match (status, status_line_of(bytes, &response)) {
        (httparse::Status::Complete(_), Some(line)) => Ok((line, spans(bytes, response.headers))),
        _ => Err(httparse::Error::NewLine),
    }
}

fn request_line_of(bytes: &[u8], request: &httparse::Request<'_, '_>) -> Option<RequestLine> {
    Some(RequestLine {
        method: place(bytes, request.method?.as_bytes()),
        target: place(bytes, request.path?.as_bytes()),
        minor_version: request.version?,
    })
}

fn status_line_of(bytes: &[u8], response: &httparse::Response<'_, '_>) -> Option<StatusLine> {
    Some(StatusLine {
        status: response.code?,
        reason: place(bytes, response.reason.unwrap_or_default().as_bytes()),
        minor_version: response.version?,
    })
}

/// Reads a request line that `request_line` found to be one: the method, up to the version whatever stands there as the
/// target, the version. White space is tolerated around and in the target, as servers that answer 400 to it see it.
fn loose_request_line(bytes: &[u8], end: usize) -> Option<(RequestLine, Vec<HeadFault>)> {
    let line = bytes.get(..end)?.trim_ascii_end();
    let first = memchr::memchr(b' ', line)?;
    let last = memchr::memrchr(b' ', line)?;
    let between = line.get(first + 1..last).unwrap_or_default();
    let target = between.trim_ascii();
    let is_spaced = target.is_empty() || target.len() < between.len() || target.contains(&b' ');
    let read = RequestLine {
        method: place(bytes, line.get(..first)?),
        target: place(bytes, target),
        minor_version: minor_of(line.get(last + 1..)?)?,
    };
    Some((read, spaces(is_spaced)))
}

/// The same for a status line.
fn loose_status_line(bytes: &[u8], end: usize) -> Option<(StatusLine, Vec<HeadFault>)> {
    let line = bytes.get(..end)?.trim_ascii_end();
    let (version, behind) = line.split_at_checked(b"HTTP/1.1".len())?;
    let (digits, reason) = behind.trim_ascii_start().split_at_checked(3)?;
    if !reason.is_empty() && !reason.starts_with(b" ") {
        return None;
    }
    let said = reason.trim_ascii_start();
    let is_spaced = behind.len() > 1 + digits.len() + reason.len() || reason.len() > said.len() + 1;
    let read = StatusLine {
        status: std::str::from_utf8(digits).ok()?.parse().ok()?,
        reason: place(bytes, said),
        minor_version: minor_of(version)?,
    };
    Some((read, spaces(is_spaced)))
}

/// The minor version at the end of `HTTP/1.x`. One above 1, which httparse does not know, is to be treated as 1 (RFC 9110
/// 2.5).
fn minor_of(version: &[u8]) -> Option<u8> {
    version
        .last()?
        .checked_sub(b'0')
        .filter(|minor| *minor <= 9)
}

fn spaces(found: bool) -> Vec<HeadFault> {
    if found {
        vec![HeadFault::StartLineSpaces]
    } else {
        Vec::new()
    }
}

/// The places of httparse's fields in the head that they borrow from.
fn spans(bytes: &[u8], headers: &[httparse::Header<'_>]) -> Spans {
    headers
        .iter()
        .map(|header| {
            (
                place(bytes, header.name.as_bytes()),
                place(bytes, header.value),
            )
        })
        .collect()
}

/// The place of a slice in the bytes that it borrows from. One that does not (httparse gives a static text where there is
/// none) is empty, and so is what lies at its place.
fn place(bytes: &[u8], slice: &[u8]) -> Range<u32> {
    let from = slice.as_ptr().addr().wrapping_sub(bytes.as_ptr().addr());
    if from > bytes.len() {
        return 0..0;
    }
    from as u32..(from + slice.len()) as u32
}

/// Whether a line of the head ends in a bare LF (RFC 9112 2.2).
fn line_end_faults(bytes: &[u8]) -> Vec<HeadFault> {
    let bare = any_pair(bytes, |first, second| second == b'\n' && first != b'\r');
    if bare || bytes.first() == Some(&b'\n') {
        vec![HeadFault::BareLf]
    } else {
        Vec::new()
    }
}

/// Whether any two bytes that follow each other are such. Without an early exit, so that the compiler looks at many of them
/// at a time.
pub(super) fn any_pair(bytes: &[u8], such: impl Fn(u8, u8) -> bool) -> bool {
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    pairs.fold(0, |any, (&first, &second)| {
        any | u8::from(such(first, second))
    }) != 0
}

/// Reads field lines from `from` on, whatever can be read; what had to be tolerated goes to `faults`, once each.
fn tolerant_fields(bytes: &[u8], from: usize, faults: &mut Vec<HeadFault>) -> Spans {
    let mut note = |fault| {
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    };
    let mut fields = Spans::new();
    let mut at = from;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest.get(..end).unwrap_or_default().trim_ascii_end();
        if line.is_empty() && end < rest.len() {
            break;
        }
        if line
            .first()
            .is_some_and(|byte| matches!(byte, b' ' | b'\t'))
        {
            match fields.last_mut() {
                // RFC 9112 5.2: the line belongs to the value before it.
                Some((_, value)) => {
                    if value.start == value.end {
                        value.start = (at + line.len() - line.trim_ascii_start().len()) as u32;
                    }
                    value.end = (at + line.len()) as u32;
                    note(HeadFault::Folded);
                }
                None => note(HeadFault::BadLine),
            }
        } else if let Some((field, spaced)) = field_line(line, at) {
            if spaced {
                note(HeadFault::SpaceBeforeColon);
            }
            fields.push(field);
        } else {
            note(HeadFault::BadLine);
        }
        at += end + 1;
    }
    fields
}

/// One field line that begins at `at`: its places, and whether white space stood before the colon.
fn field_line(line: &[u8], at: usize) -> Option<(FieldSpan, bool)> {
    let colon = memchr::memchr(b':', line)?;
    let spaced_name = line.get(..colon)?;
    let name = spaced_name.trim_ascii_end();
    if name.is_empty() || !name.iter().copied().all(is_token) {
        return None;
    }
    let value = line.get(colon + 1..)?;
    let value_at = at + line.len() - value.trim_ascii_start().len();
    let span = (
        at as u32..(at + name.len()) as u32,
        value_at as u32..(at + line.len()) as u32,
    );
    Some((span, name.len() < spaced_name.len()))
}
