//! Requests as nginx and hostile clients send them, and answers to them.
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

fn read(bytes: &[u8]) -> CgiFound {
    let reader = CgiReader::new(bytes);
    reader.map_or(CgiFound::Other, |mut reader| reader.bytes(bytes, frame(4)))
}

fn found(bytes: &[u8]) -> Option<CgiRequest> {
    match read(bytes) {
        CgiFound::WebSocket(found) => Some(*found),
        _ => None,
    }
}

/// What comes of a request in pieces, and how much is held when the last of them came.
fn read_in_pieces(bytes: &[u8], first: usize, size: usize) -> (CgiFound, usize) {
    let (first, rest) = bytes.split_at(first);
    let mut reader = CgiReader::new(first).unwrap();
    let mut found = reader.bytes(first, frame(4));
    let mut pieces = rest.chunks(size);
    while found == CgiFound::NeedMore
        && let Some(piece) = pieces.next()
    {
        found = reader.bytes(piece, frame(4));
    }
    (found, reader.held())
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
            .find(|&end| read(&whole[..end]) != CgiFound::Other)
            .unwrap();
        for end in begin..whole.len() {
            assert_ne!(read(&whole[..end]), CgiFound::Other, "{cgi:?} {end}");
        }
    }
}

#[test]
fn reads_the_same_however_a_request_is_cut() {
    for cgi in ALL {
        let long = "x".repeat(5000);
        let mut variables = VARIABLES.to_vec();
        variables.insert(1, ("HTTP_COOKIE", &long));
        let whole = request(cgi, &variables);
        let expected = found(&whole).unwrap();
        let begin = (0..whole.len())
            .find(|&end| CgiReader::new(&whole[..end]).is_some())
            .unwrap();
        for size in [1, 7, 300] {
            let (found, held) = read_in_pieces(&whole, begin, size);
            let CgiFound::WebSocket(found) = found else {
                panic!("{cgi:?} {size}: {found:?}");
            };
            assert_eq!((found.cgi, &found.key), (cgi, &expected.key));
            assert_eq!(found.target, expected.target, "{cgi:?} {size}");
            assert!(held < 3 * long.len(), "{cgi:?} {size}: {held}");
        }
    }
}

#[test]
fn forgets_the_variables_that_it_has_read() {
    for cgi in ALL {
        let mut variables = vec![("CONTENT_LENGTH", "")];
        variables.extend([("A", "b")].repeat(3000));
        let whole = request(cgi, &variables);
        let cut = whole.len().min(CGI_REQUEST_MAX) - 2;
        let begin = (0..cut)
            .find(|&end| CgiReader::new(&whole[..end]).is_some())
            .unwrap();
        let (found, held) = read_in_pieces(&whole[..cut], begin, 1);
        assert_eq!(found, CgiFound::NeedMore, "{cgi:?}");
        assert!(held < 256, "{cgi:?}: {held}");
    }
}

#[test]
fn keeps_no_more_of_a_key_than_its_limit() {
    let long = "k".repeat(9000);
    for cgi in ALL {
        let whole = request(
            cgi,
            &[("CONTENT_LENGTH", ""), ("HTTP_SEC_WEBSOCKET_KEY", &long)],
        );
        assert!(found(&whole).unwrap().held() < 100, "{cgi:?}");
    }
}

#[test]
fn ordinary_requests_are_of_no_interest() {
    for cgi in ALL {
        let whole = request(cgi, &VARIABLES[..3]);
        assert_eq!(read(&whole), CgiFound::Other, "{cgi:?}");
    }
}

#[test]
fn waits_for_no_more_than_its_limit() {
    let long = "x".repeat(CGI_REQUEST_MAX);
    for cgi in ALL {
        let whole = request(cgi, &[("CONTENT_LENGTH", ""), ("HTTP_COOKIE", &long)]);
        let cut = &whole[..CGI_REQUEST_MAX];
        assert_eq!(read(cut), CgiFound::TooLong, "{cgi:?}");
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
        let _ = read(&bytes);
        for cgi in ALL {
            let answer = Some((frame(2), more.clone().into_boxed_slice()));
            let request = CgiRequest { cgi, key: Box::default(), target: None, frame: frame(1), answer };
            let is_fastcgi = cgi == Cgi::FastCgi;
            prop_assert!(!is_fastcgi || request.status().is_none() || request.answered_in() == Some(AnsweredIn::Kind));
        }
    }
}
