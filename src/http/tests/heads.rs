//! What is read of one head, as tolerantly as servers read it, and what is told of the deviations.

use super::*;

fn only_request(text: &str) -> RequestHead {
    match tell(&[client(text)]).events.into_iter().next() {
        Some(HttpEvent::Request { head, .. }) => head,
        other => panic!("{other:?}"),
    }
}

/// A later minor version is read as the latest one known (RFC 9110 2.5) and told as it was sent.
#[test]
fn later_minor_versions_are_read() {
    for (minor, version) in [(0, "1.0"), (1, "1.1"), (2, "1.2"), (9, "1.9")] {
        let ask = UPGRADE.replace("HTTP/1.1", &format!("HTTP/{version}"));
        let told = tell(&[
            client(ask),
            server(SWITCHING.replace("HTTP/1.1", &format!("HTTP/{version}"))),
        ]);
        let heads = told.events.iter().filter_map(|event| match event {
            HttpEvent::Request { head, .. } => Some((head.minor_version, head.version())),
            HttpEvent::Response { head, .. } => Some((head.minor_version, head.version())),
            _ => None,
        });
        assert_eq!(heads.collect::<Vec<_>>(), [(minor, version); 2]);
        assert_eq!(
            brief(&told.events).last().unwrap(),
            "0 switched true",
            "{version}"
        );
    }
}

#[test]
fn each_tolerated_deviation_is_told() {
    use HeadFault::{BadLine, BareLf, Folded, SpaceBeforeColon, StartLineSpaces};
    for (text, faults, fields) in [
        ("GET / HTTP/1.1\r\nA: b\r\n\r\n", vec![], "A=b"),
        ("GET / HTTP/1.1\nA: b\n\n", vec![BareLf], "A=b"),
        (
            "GET / HTTP/1.1\r\nA : b\r\n\r\n",
            vec![SpaceBeforeColon],
            "A=b",
        ),
        (
            "GET / HTTP/1.1\r\nA: b,\r\n  c\r\nD:\r\n\r\n",
            vec![Folded],
            "A=b,\r\n  c;D=",
        ),
        ("GET / HTTP/1.1\r\nA:\r\n\t b\r\n\r\n", vec![Folded], "A=b"),
        (
            "GET / HTTP/1.1\r\nnothing\r\nA: b\r\n\r\n",
            vec![BadLine],
            "A=b",
        ),
        (
            "GET  / HTTP/1.1\r\nA:  b \r\n\r\n",
            vec![StartLineSpaces],
            "A=b",
        ),
        (
            "GET / HTTP/1.1\r\n: b\nA b: c\r\n\r\n",
            vec![BadLine, BareLf],
            "",
        ),
    ] {
        let head = only_request(text);
        assert_eq!(head.faults, faults, "{text:?}");
        let read: Vec<String> = head
            .fields
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(read.join(";"), fields, "{text:?}");
        assert_eq!(head.fields.raw(), text.as_bytes());
    }
}

/// Clients that put what they have into a URL as it is: nginx answers 400, and the attempt is one all the same.
#[test]
fn a_target_that_is_no_uri_loses_no_request() {
    for (line, target, faults) in [
        (
            "GET /ws?name=John Smith HTTP/1.1",
            "/ws?name=John Smith",
            &[HeadFault::StartLineSpaces][..],
        ),
        ("GET  /a b  HTTP/1.1", "/a b", &[HeadFault::StartLineSpaces]),
        ("GET /a\x01b HTTP/1.1", "/a\x01b", &[]),
        ("GET ws HTTP/1.1", "ws", &[]),
        ("GET ?token=x HTTP/1.0", "?token=x", &[]),
        ("GET  HTTP/1.1", "", &[HeadFault::StartLineSpaces]),
    ] {
        let head = only_request(&UPGRADE.replace("GET /ws HTTP/1.1", line));
        assert_eq!((head.method(), head.target()), ("GET", target), "{line}");
        assert_eq!(head.faults, faults, "{line}");
        assert!(head.is_handshake_attempt());
    }
    let latin = [
        b"GET /caf\xe9 HTTP/1.1".as_slice(),
        &UPGRADE.as_bytes()[16..],
    ]
    .concat();
    match tell(&[client(latin)]).events.first() {
        Some(HttpEvent::Request { head, .. }) => assert_eq!(head.target(), "/caf"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn odd_status_lines_are_read() {
    for (line, status, reason, faults) in [
        ("HTTP/1.1 101", 101, "", &[][..]),
        ("HTTP/1.1 101 ", 101, "", &[]),
        (
            "HTTP/1.1  101   Over  there",
            101,
            "Over  there",
            &[HeadFault::StartLineSpaces],
        ),
        ("HTTP/1.3 101 x\x01y", 101, "x\x01y", &[]),
    ] {
        let told = tell(&[
            client(UPGRADE),
            server(SWITCHING.replace("HTTP/1.1 101 Switching Protocols", line)),
        ]);
        match told.events.get(1) {
            Some(HttpEvent::Response { head, .. }) => {
                assert_eq!((head.status, head.reason()), (status, reason), "{line}");
                assert_eq!(head.faults, faults, "{line}");
            }
            other => panic!("{line}: {other:?}"),
        }
    }
}

#[test]
fn folded_lists_are_read_as_lists() {
    let head = only_request("GET / HTTP/1.1\r\nConnection: keep-alive,\r\n Upgrade\r\n\r\n");
    assert!(head.fields.has_token("connection", "upgrade"));
}

#[test]
fn heads_with_many_fields_are_read() {
    for count in [0, 1, 64, 65, 256, 257, 2000] {
        let fields: String = (0..count).fold(String::new(), |all, n| all + &format!("F{n}: v\r\n"));
        let head = only_request(&format!("GET / HTTP/1.1\r\n{fields}\r\n"));
        assert_eq!(head.fields.len(), count);
        assert_eq!(head.faults, []);
    }
}

#[test]
fn empty_lines_before_a_start_line_are_ignored() {
    check(
        &[client(
            "\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
        )],
        &["0 GET /", "1 GET /b"],
    );
}

#[test]
fn a_head_that_breaks_off_is_partial_and_says_why() {
    check(
        &[client("GET /ws HT"), Step::End(ToServer)],
        &["0 ToServer partial 10 StreamEnded"],
    );
    check(
        &[client("GET /ws HT")],
        &["0 ToServer partial 10 CaptureEnded"],
    );
    check(
        &[client(UPGRADE), server("HTTP/1.1 50"), Step::End(ToClient)],
        &["0 GET /ws", "0 ToClient partial 11 StreamEnded"],
    );
    // The server did not wait for the rest: its answer belongs to the exchange that had begun.
    check(
        &[
            client("GET /ws HTTP/1.1\r\nCookie: "),
            server("HTTP/1.1 408 x\r\nContent-Length: 0\r\n\r\n"),
            Step::End(ToServer),
        ],
        &["0 answer 408", "0 ToServer partial 26 StreamEnded"],
    );
    let endless = format!("GET /{} HTTP/1.1\r\n", "a".repeat(MAX_HEAD));
    check(
        &[
            client(&endless),
            server("HTTP/1.1 414 x\r\nContent-Length: 0\r\n\r\n"),
        ],
        &["0 ToServer partial 65536 TooLarge", "0 answer 414"],
    );
}
