//! Bytes that the capture lacks: nothing is completed or called missing because of them.

use super::*;

#[test]
fn a_hole_in_a_head_never_makes_it_complete() {
    check(
        &[
            client("GET /ws HTTP/1.1\r\nHost: a\r\n"),
            Step::Gap(ToServer, 10),
            client("Sec-WebSocket-Version: 13\r\n\r\n"),
            server("HTTP/1.1 400 x\r\nContent-Length: 0\r\n\r\n"),
            client("GET /again HTTP/1.1\r\n\r\n"),
            server("HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[
            "0 ToServer partial 27 Gap(NotCaptured)",
            "0 answer 400",
            "1 GET /again",
            "1 answer 200",
        ],
    );
}

#[test]
fn holes_in_bodies_are_counted() {
    check(
        &[
            client("POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nGET "),
            Step::Gap(ToServer, 90),
            client("HTTP/1GET /b HTTP/1.1\r\n\r\n"),
            server("HTTP/1.1 200 x\r\nContent-Length: 50\r\n\r\n"),
            Step::Gap(ToClient, 50),
            server("HTTP/1.1 201 x\r\nContent-Length: 0\r\n\r\n"),
        ],
        &["0 POST /", "1 GET /b", "0 answer 200", "1 answer 201"],
    );
}

#[test]
fn behind_a_hole_the_last_request_is_answered() {
    check(
        &[
            client("GET /a HTTP/1.1\r\n\r\n"),
            Step::Gap(ToClient, 300),
            server("the end of a body"),
            client("GET /b HTTP/1.1\r\n\r\n"),
            server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        &["0 GET /a", "1 GET /b", "1 answer 200"],
    );
}

#[test]
fn a_refusal_in_a_hole_is_known_by_the_request_behind_it() {
    check(
        &[
            client(UPGRADE),
            Step::Gap(ToClient, 300),
            client("GET /b HTTP/1.1\r\n\r\n"),
            server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        &["0 GET /ws", "1 GET /b", "1 answer 200"],
    );
}

/// Bytes behind a hole come late: the client's first frames were held long before.
#[test]
fn an_answer_behind_a_hole_is_found_though_frames_are_held() {
    for before in [&[][..], b"the end of a body"] {
        let told = check(
            &[
                client("GET /a HTTP/1.1\r\n\r\n"),
                client(UPGRADE),
                client(FRAME),
                Step::Gap(ToClient, 300),
                server(before),
                server(SWITCHING),
            ],
            &["0 GET /a", "1 GET /ws", "1 answer 101", "1 switched true"],
        );
        assert!(told.answer_seen);
        assert_eq!(told.left[0], FRAME);
    }
    let told = check(
        &[
            client(UPGRADE),
            client(FRAME),
            Step::Gap(ToClient, 129),
            server(b"\x81\x02hi"),
        ],
        &["0 GET /ws", "0 switched true"],
    );
    assert!(!told.answer_seen);
    assert_eq!(told.left, [FRAME.to_vec(), b"\x81\x02hi".to_vec()]);
}

#[test]
fn a_101_in_a_hole_is_known_by_the_masked_frames_behind_it() {
    let told = check(
        &[
            client(UPGRADE),
            Step::Gap(ToClient, 129),
            server(b"\x81\x02hi"),
            client(FRAME),
        ],
        &["0 GET /ws", "0 switched true"],
    );
    assert!(!told.answer_seen);
    assert_eq!(told.left[0], FRAME);
    let told = check(
        &[
            client(UPGRADE),
            server(&SWITCHING[..40]),
            Step::Gap(ToClient, 89),
            server(b"\x81\x02hi"),
        ],
        &[
            "0 GET /ws",
            "0 ToClient partial 40 Gap(NotCaptured)",
            "0 switched true",
        ],
    );
    assert_eq!(told.left[1], b"\x81\x02hi");
}

#[test]
fn a_capture_that_begins_inside_a_body_waits_for_a_head() {
    let told = tell_to(
        Conversation::midstream(),
        &[server("tail of a body"), client(UPGRADE), server(SWITCHING)],
    );
    assert_eq!(
        brief(&told.events),
        ["0 GET /ws", "0 answer 101", "0 switched true"]
    );
}

/// As TLS may have it, where what a direction said before is opened late.
#[test]
fn what_came_before_a_request_does_not_answer_it() {
    let page = "GET /page HTTP/1.1\r\n\r\n";
    let found = "HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n";
    let said = [
        (ToServer, page, 0, 1),
        (ToServer, UPGRADE, page.len(), 5),
        (ToClient, found, 0, 4),
        (ToClient, SWITCHING, found.len(), 6),
    ];
    for mut conversation in [Conversation::new(), Conversation::midstream()] {
        let mut events = Vec::new();
        for (direction, text, position, number) in said {
            let chunk = Chunk {
                direction,
                position: position as u64,
                data: text.as_bytes(),
                frame: frame(number),
            };
            conversation.bytes(&chunk, &mut events);
        }
        let answers = events.iter().filter_map(|event| match event {
            HttpEvent::Response { exchange, head } => Some((*exchange, head.status)),
            _ => None,
        });
        assert_eq!(answers.collect::<Vec<_>>(), [(0, 200), (1, 101)]);
    }
}
