//! Requests and their answers in order, and the bodies between them.

use super::*;

#[test]
fn answers_are_matched_in_order_and_bodies_skipped() {
    check(
        &[
            client(
                "HEAD /h HTTP/1.1\r\n\r\nPOST /p HTTP/1.1\r\nContent-Length: 3\r\n\r\nGETGET /g HTTP/1.1\r\n\r\n",
            ),
            server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"),
            server(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nHTTP/1.1 \r\n0\r\n\r\n",
            ),
            server("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
            client(UPGRADE),
            server("HTTP/1.1 103 Early Hints\r\n\r\n"),
            server(SWITCHING),
        ],
        &[
            "0 HEAD /h",
            "1 POST /p",
            "2 GET /g",
            "0 answer 200",
            "1 interim 100",
            "1 answer 200",
            "2 answer 304",
            "3 GET /ws",
            "3 interim 103",
            "3 answer 101",
            "3 switched true",
        ],
    );
}

#[test]
fn a_refused_upgrade_lets_pipelined_requests_through() {
    check(
        &[
            client([UPGRADE, "GET /next HTTP/1.1\r\n\r\n"].concat()),
            server("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"),
            server("HTTP/1.1 204 No Content\r\n\r\n"),
        ],
        &[
            "0 GET /ws",
            "0 answer 403",
            "1 GET /next",
            "0 body no",
            "1 answer 204",
        ],
    );
}

#[test]
fn the_body_of_a_refusal_is_kept_in_part() {
    let page = "x".repeat(3000);
    let told = tell(&[
        client(UPGRADE),
        server(format!(
            "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3000\r\n\r\n{page}"
        )),
    ]);
    let HttpEvent::Body { excerpt, .. } = &told.events[2] else {
        panic!("{:?}", told.events);
    };
    assert_eq!(excerpt.len(), BODY_EXCERPT);
    check(
        &[
            client(UPGRADE),
            server("HTTP/1.1 500 x\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f!"),
        ],
        &["0 GET /ws", "0 answer 500"],
    );
    check(
        &[
            client(UPGRADE),
            server("HTTP/1.0 400 x\r\n\r\nclosing"),
            Step::End(ToClient),
        ],
        &["0 GET /ws", "0 answer 400", "0 body closing"],
    );
}

#[test]
fn pipelining_without_end_keeps_a_bounded_queue() {
    let requests = "GET / HTTP/1.1\r\n\r\n".repeat(1000);
    let mut conversation = Conversation::new();
    let mut out = Vec::new();
    let chunk = Chunk {
        direction: ToServer,
        position: 0,
        data: requests.as_bytes(),
        frame: frame(1),
    };
    conversation.bytes(&chunk, &mut out);
    assert_eq!(out.len(), 1000);
    assert!(conversation.shared.waiting.len() < 200);
}

#[test]
fn bytes_that_are_no_http_end_one_direction() {
    let long = "~".repeat(100);
    check(
        &[
            client(UPGRADE),
            server(&long),
            client("GET /behind HTTP/1.1\r\n\r\n"),
        ],
        &[
            "0 GET /ws",
            &format!("ToClient no HTTP: {}", "~".repeat(RAW_EXCERPT)),
            "1 GET /behind",
        ],
    );
    check(
        &[client("SSH-2.0-x y\r\n"), server("SSH-2.0-z\r\n")],
        &[
            "ToServer no HTTP: SSH-2.0-x y\\r\\n",
            "ToClient no HTTP: SSH-2.0-z\\r\\n",
        ],
    );
}
