//! What a connection speaks, judged by the first bytes of one direction.

use super::cgi;

/// The longest method token that is taken for one: `BASELINE-CONTROL` (RFC 3253) is the longest registered.
const MAX_METHOD: usize = 24;

/// The preface of HTTP/2 (RFC 9113 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a PROXY protocol header of version 2 begins.
pub(super) const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// How a PROXY protocol header of version 1 begins.
pub(super) const PROXY_V1: &[u8] = b"PROXY ";

/// The largest length a TLS record may claim: 2^14 and the expansion that RFC 5246 6.2.3 allows.
const MAX_TLS_RECORD: u16 = (1 << 14) + 2048;

/// What the first bytes of a direction are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Probe {
    /// An HTTP/1 request.
    Request,
    /// An HTTP/1 answer.
    Response,
    /// HTTP/2 in clear: its client preface.
    Http2Preface,
    /// A TLS record.
    Tls,
    /// A PROXY protocol header of version 1 or 2; see [`super::proxy_header`].
    ProxyHeader(u8),
    /// A request in a protocol of application servers; see [`super::CgiReader`].
    Cgi,
    /// Too few bytes to tell. Never said of more than [`PROBE_MAX`] bytes.
    NeedMore,
    /// None of these.
    No,
}

/// With this many bytes the probe always decides.
pub const PROBE_MAX: usize = 64;

/// Judges the first bytes of a direction; looks at a few of them for TLS and unknown protocols.
#[inline]
pub fn probe(bytes: &[u8]) -> Probe {
    match bytes.first() {
        None => Probe::NeedMore,
        Some(0x14..=0x17) => probe_tls(bytes),
        Some(b'\r' | b'\n') => probe_line_end(bytes),
        Some(byte) if byte.is_ascii_alphabetic() => probe_word(bytes),
        Some(_) => match cgi::begins(bytes) {
            Some((_, Verdict::Yes(_))) => Probe::Cgi,
            Some((_, Verdict::NeedMore)) => Probe::NeedMore,
            Some((_, Verdict::No)) | None => Probe::No,
        },
    }
}

fn probe_tls(bytes: &[u8]) -> Probe {
    match *bytes {
        [_] | [_, 3] => Probe::NeedMore,
        [_, 3, minor] | [_, 3, minor, _] if minor <= 4 => Probe::NeedMore,
        [_, 3, minor, high, low, ..] if minor <= 4 => {
            if (1..=MAX_TLS_RECORD).contains(&u16::from_be_bytes([high, low])) {
                Probe::Tls
            } else {
                Probe::No
            }
        }
        _ => Probe::No,
    }
}

/// An empty line before a request is to be ignored (RFC 9112 2.2); a PROXY v2 header begins so, too.
fn probe_line_end(bytes: &[u8]) -> Probe {
    if bytes.starts_with(PROXY_V2) {
        return Probe::ProxyHeader(2);
    }
    if PROXY_V2.starts_with(bytes) {
        return Probe::NeedMore;
    }
    let skipped = bytes
        .iter()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'))
        .count();
    match bytes.get(skipped..) {
        Some(rest) if rest.first().is_some_and(u8::is_ascii_alphabetic) => probe_word(rest),
        Some([]) if skipped < 4 => Probe::NeedMore,
        _ => Probe::No,
    }
}

fn probe_word(bytes: &[u8]) -> Probe {
    for (start, probe) in [
        (b"HTTP/1.".as_slice(), Probe::Response),
        (HTTP2_PREFACE, Probe::Http2Preface),
        (PROXY_V1, Probe::ProxyHeader(1)),
    ] {
        if bytes.starts_with(start) {
            return probe;
        }
        if start.starts_with(bytes) {
            return Probe::NeedMore;
        }
    }
    let (method, target) = match method_end(bytes) {
        Verdict::Yes(length) => bytes.split_at_checked(length).unwrap_or_default(),
        Verdict::NeedMore => return Probe::NeedMore,
        Verdict::No => return Probe::No,
    };
    // Among text protocols on unknown ports, the target tells HTTP from the rest (RFC 9112 3.2).
    let target = target.get(1..).unwrap_or_default();
    let target = target.get(..target.len().min(8)).unwrap_or(target);
    let is_connect = method.eq_ignore_ascii_case(b"connect");
    match target {
        [] | [b'*'] => Probe::NeedMore,
        [b'/', ..] | [b'*', b' ', ..] => Probe::Request,
        [first, ..] if is_connect && first.is_ascii_graphic() => Probe::Request,
        _ => {
            let schemes = [b"http://".as_slice(), b"https://", b"ws://", b"wss://"];
            let lower = target.to_ascii_lowercase();
            if schemes.iter().any(|scheme| lower.starts_with(scheme)) {
                Probe::Request
            } else if schemes.iter().any(|scheme| scheme.starts_with(&lower)) {
                Probe::NeedMore
            } else if method.eq_ignore_ascii_case(b"get") {
                probe_line(bytes)
            } else {
                Probe::No
            }
        }
    }
}

/// GET of a target that is none, as by a client that forgot its slash: the version at the end of the line tells.
fn probe_line(bytes: &[u8]) -> Probe {
    let start = bytes.get(..PROBE_MAX).unwrap_or(bytes);
    match request_line(start) {
        Verdict::Yes(_) => Probe::Request,
        Verdict::NeedMore if bytes.len() < PROBE_MAX => Probe::NeedMore,
        Verdict::NeedMore | Verdict::No => Probe::No,
    }
}

/// What a look at the beginning of a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It fits; with the length of what was asked for.
    Yes(usize),
    /// It cannot fit.
    No,
    /// It fits so far.
    NeedMore,
}

/// The length of the method token at the start, if a space follows it (RFC 9112 3.1).
fn method_end(bytes: &[u8]) -> Verdict {
    for (at, &byte) in bytes.iter().take(MAX_METHOD + 1).enumerate() {
        if byte == b' ' && at > 0 {
            return Verdict::Yes(at);
        }
        if !is_token(byte) {
            return Verdict::No;
        }
    }
    if bytes.len() > MAX_METHOD {
        Verdict::No
    } else {
        Verdict::NeedMore
    }
}

/// Whether a request line begins here: `Yes` with its length (line end included) when it is complete and ends in an
/// HTTP/1 version.
pub(super) fn request_line(bytes: &[u8]) -> Verdict {
    match method_end(bytes) {
        Verdict::Yes(_) => {}
        other => return other,
    }
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        return Verdict::NeedMore;
    };
    let line = bytes.get(..end).unwrap_or_default().trim_ascii_end();
    let version = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    if matches!(
        version,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9']
    ) {
        Verdict::Yes(end + 1)
    } else {
        Verdict::No
    }
}

/// Whether a status line begins here: `Yes` with its length (line end included) when it is complete.
pub(super) fn status_line(bytes: &[u8]) -> Verdict {
    const PATTERN: &[u8] = b"HTTP/1.v ddd";
    for (&byte, &expected) in bytes.iter().zip(PATTERN) {
        let fits = match expected {
            b'v' => byte.is_ascii_digit(),
            b'd' => byte.is_ascii_digit() || byte == b' ',
            _ => byte == expected,
        };
        if !fits {
            return Verdict::No;
        }
    }
    match memchr::memchr(b'\n', bytes) {
        Some(end) => Verdict::Yes(end + 1),
        None => Verdict::NeedMore,
    }
}

/// Whether a byte may stand in a token (RFC 9110 5.6.2).
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    const TABLE: &[(&[u8], Probe)] = &[
        (b"GET /ws HTTP/1.1\r\n", Probe::Request),
        (b"\r\nGET /ws HTTP/1.1\r\n", Probe::Request),
        (b"get / HTTP/1.1\r\n", Probe::Request),
        (b"OPTIONS * HTTP/1.1\r\n", Probe::Request),
        (b"CONNECT example.org:443 HTTP/1.1\r\n", Probe::Request),
        (b"GET http://a/ HTTP/1.1\r\n", Probe::Request),
        (b"GET ws HTTP/1.1\r\n", Probe::Request),
        (b"GET  / HTTP/1.1\r\n", Probe::Request),
        (b"get key\r\n", Probe::No),
        (b"HTTP/1.1 101 Switching Protocols\r\n", Probe::Response),
        (HTTP2_PREFACE, Probe::Http2Preface),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", Probe::ProxyHeader(1)),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", Probe::ProxyHeader(2)),
        (b"\x16\x03\x01\x02\x00\x01", Probe::Tls),
        (b"\x15\x03\x03\x00\x02\x02\x28", Probe::Tls),
        (b"\x16\x03\x01\xff\xff\x01", Probe::No),
        (b"\x16\x03\x01\x00\x00", Probe::No),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", Probe::No),
        (b"EHLO mail.example.org\r\n", Probe::No),
        (b"USER anonymous\r\n", Probe::No),
        (b"*1\r\n$4\r\nPING\r\n", Probe::No),
        (b"\x81\x85abcdhello", Probe::No),
        (b"\0\0\0\x10", Probe::No),
        (b"\x01\x01\0\x01\0\x08\0\0\0\x01\0\0\0\0\0\0", Probe::Cgi),
        (b"\x01\x01\0\x01\0\x08\0\0\0\x02", Probe::No),
        (b"\x01\0\0\0", Probe::No),
        (b"\0\x3a\x02\0\x0c\0QUERY_STRING\0\0", Probe::Cgi),
        (b"\0\x3a\x02\0\x0c\0\0\0", Probe::No),
        (b"70:CONTENT_LENGTH\x000\0SCGI\x001\0", Probe::Cgi),
        (b"12:34:56 started\n", Probe::No),
        (b"220 mail.example.org ESMTP\r\n", Probe::No),
    ];

    #[test]
    fn knows_each_protocol_by_its_first_bytes() {
        for (bytes, expected) in TABLE {
            assert_eq!(probe(bytes), *expected, "{}", bytes.escape_ascii());
        }
    }

    /// A prefix is undecided or decided as the whole is: no verdict is taken back when more bytes come.
    #[test]
    fn a_prefix_never_says_otherwise() {
        for (bytes, expected) in TABLE {
            for end in 0..bytes.len() {
                let verdict = probe(&bytes[..end]);
                assert!(
                    verdict == Probe::NeedMore || verdict == *expected,
                    "{} -> {verdict:?}",
                    bytes[..end].escape_ascii()
                );
            }
        }
    }

    proptest! {
        #[test]
        fn decides_with_enough_bytes(bytes in proptest::collection::vec(any::<u8>(), PROBE_MAX..100)) {
            prop_assert_ne!(probe(&bytes), Probe::NeedMore);
        }
    }
}
