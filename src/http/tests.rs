#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "tests"
)]
use super::*;
use crate::capture::{CaptureId, FrameNo, FrameRef, Timestamp};
use crate::tcp::Direction::{self, ToClient, ToServer};
use crate::tcp::{Chunk, Gap, GapCause};
use proptest::prelude::*;

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const FRAME: &[u8] = b"\x81\x82abcd\x09\x0b";

/// A step of a connection's story.
#[derive(Debug, Clone)]
enum Step {
    Bytes(Direction, Vec<u8>),
    Gap(Direction, u64),
    End(Direction),
}

fn client(bytes: impl AsRef<[u8]>) -> Step {
    Step::Bytes(ToServer, bytes.as_ref().to_vec())
}

fn server(bytes: impl AsRef<[u8]>) -> Step {
    Step::Bytes(ToClient, bytes.as_ref().to_vec())
}

fn frame(number: u64) -> FrameRef {
    FrameRef {
        at: Timestamp::from_nanos(i64::try_from(number).unwrap()),
        capture: CaptureId(0),
        frame: FrameNo(number),
    }
}

/// What came out, and what was left for the next protocol in each direction.
struct Told {
    events: Vec<HttpEvent>,
    left: [Vec<u8>; 2],
    answer_seen: bool,
}

fn tell_to(mut conversation: Conversation, steps: &[Step]) -> Told {
    let mut out = Vec::new();
    let mut left = [Vec::new(), Vec::new()];
    let mut positions = [0_u64; 2];
    let mut number = 0;
    let mut answer_seen = false;
    let mut handed_over = false;
    for step in steps {
        number += 1;
        match step {
            Step::Bytes(direction, data) => {
                let position = &mut positions[usize::from(*direction == ToClient)];
                let chunk = Chunk {
                    direction: *direction,
                    position: *position,
                    data,
                    frame: frame(number),
                };
                *position += data.len() as u64;
                let used = conversation.bytes(&chunk, &mut out);
                left[usize::from(*direction == ToClient)].extend_from_slice(&data[used..]);
            }
            Step::Gap(direction, len) => {
                let position = &mut positions[usize::from(*direction == ToClient)];
                let gap = Gap {
                    direction: *direction,
                    position: *position,
                    len: *len,
                    cause: GapCause::NotCaptured,
                    frame: frame(number),
                };
                *position += len;
                conversation.gap(&gap, &mut out);
            }
            Step::End(direction) => conversation.ended(*direction, frame(number), false, &mut out),
        }
        if !handed_over && matches!(out.last(), Some(HttpEvent::Switched { .. })) {
            handed_over = true;
            let handover = conversation.take_handover();
            answer_seen = handover.answer_seen;
            for part in handover.to_server {
                match part {
                    Held::Bytes { data, .. } => {
                        left[0].extend(data);
                    }
                    Held::Gap(_) => left[0].push(b'?'),
                }
            }
        }
    }
    for direction in [ToServer, ToClient] {
        conversation.ended(direction, frame(number), true, &mut out);
    }
    Told {
        events: out,
        left,
        answer_seen,
    }
}

fn tell(steps: &[Step]) -> Told {
    tell_to(Conversation::new(), steps)
}

/// Events in short, without frames.
fn brief(events: &[HttpEvent]) -> Vec<String> {
    events
        .iter()
        .map(|event| match event {
            HttpEvent::Request { exchange, head } => {
                format!("{exchange} {} {}", head.method, head.target)
            }
            HttpEvent::Interim { exchange, head } => format!("{exchange} interim {}", head.status),
            HttpEvent::Response { exchange, head } => format!("{exchange} answer {}", head.status),
            HttpEvent::Body { exchange, excerpt } => {
                format!("{exchange} body {}", excerpt.escape_ascii())
            }
            HttpEvent::NotHttp {
                direction, excerpt, ..
            } => format!("{direction:?} no HTTP: {}", excerpt.escape_ascii()),
            HttpEvent::PartialHead {
                direction,
                exchange,
                bytes,
                why,
                ..
            } => format!("{exchange} {direction:?} partial {} {why:?}", bytes.len()),
            HttpEvent::Switched {
                exchange,
                websocket,
            } => format!("{exchange} switched {websocket}"),
        })
        .collect()
}

fn check(steps: &[Step], expected: &[&str]) -> Told {
    let told = tell(steps);
    assert_eq!(brief(&told.events), expected);
    told
}

#[test]
fn a_handshake_switches_and_leaves_the_rest() {
    let told = check(
        &[
            client(UPGRADE),
            server([SWITCHING.as_bytes(), b"\x81\x02hi"].concat()),
            client(FRAME),
        ],
        &["0 GET /ws", "0 answer 101", "0 switched true"],
    );
    assert_eq!(told.left, [FRAME.to_vec(), b"\x81\x02hi".to_vec()]);
    assert!(told.answer_seen);
}

#[test]
fn client_bytes_before_the_101_are_held_and_handed_over() {
    let told = check(
        &[
            client([UPGRADE.as_bytes(), FRAME].concat()),
            client(FRAME),
            server(SWITCHING),
        ],
        &["0 GET /ws", "0 answer 101", "0 switched true"],
    );
    assert_eq!(told.left[0], [FRAME, FRAME].concat());
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
fn what_a_101_switches_to() {
    let h2c = "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let plain = "GET / HTTP/1.1\r\n\r\n";
    let key_only = "GET / HTTP/1.1\r\nSec-WebSocket-Key: x\r\n\r\n";
    let bare = "HTTP/1.1 101 x\r\n\r\n";
    let to_h2c = "HTTP/1.1 101 x\r\nUpgrade: h2c\r\n\r\n";
    for (request, answer, websocket) in [
        (Some(UPGRADE), SWITCHING, true),
        (Some(UPGRADE), bare, true),
        (Some(key_only), bare, true),
        (Some(h2c), to_h2c, false),
        (Some(h2c), bare, false),
        (Some(plain), bare, false),
        (Some(plain), SWITCHING, true),
        (None, bare, true),
        (None, SWITCHING, true),
        (None, to_h2c, false),
        (None, "HTTP/1.1 101 x\r\nUpgrade: tcp\r\n\r\n", false),
    ] {
        let steps: Vec<Step> = request
            .map(client)
            .into_iter()
            .chain([server(answer)])
            .collect();
        let told = tell(&steps);
        assert_eq!(
            brief(&told.events).last().unwrap(),
            &format!("0 switched {websocket}"),
            "{request:?} {answer}"
        );
    }
}

#[test]
fn connect_opens_a_tunnel_only_when_granted() {
    let connect = "CONNECT b:443 HTTP/1.1\r\n\r\n";
    let told = check(
        &[client(connect), server("HTTP/1.1 200 OK\r\n\r\n\x16\x03")],
        &["0 CONNECT b:443", "0 answer 200", "0 switched false"],
    );
    assert_eq!(told.left[1], b"\x16\x03");
    check(
        &[
            client(connect),
            server("HTTP/1.1 407 x\r\nContent-Length: 0\r\n\r\n"),
            client(connect),
        ],
        &["0 CONNECT b:443", "0 answer 407", "1 CONNECT b:443"],
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
fn one_side_alone_is_read_too() {
    // Only the client's side: nothing answers, and what follows is either HTTP or masked frames.
    check(
        &[
            client(UPGRADE),
            client(UPGRADE),
            client("GET / HTTP/1.1\r\n\r\n"),
        ],
        &["0 GET /ws", "1 GET /ws", "2 GET /"],
    );
    let told = check(
        &[client(UPGRADE), client(FRAME), client(FRAME)],
        &["0 GET /ws", "0 switched true"],
    );
    assert!(!told.answer_seen);
    // Only the server's.
    check(
        &[
            server("HTTP/1.1 200 OK\r\nContent-Length: 70\r\n\r\n"),
            server("HTTP/1.1 100 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            server(SWITCHING),
        ],
        &[
            "0 answer 200",
            "1 interim 100",
            "1 answer 200",
            "1 body ok",
            "2 answer 101",
            "2 switched true",
        ],
    );
}

#[test]
fn much_behind_an_unanswered_upgrade_does_not_stall() {
    let told = tell(&[
        client(UPGRADE),
        client(FRAME),
        client(vec![0x82; 40_000]),
        client("x"),
    ]);
    assert_eq!(brief(&told.events), ["0 GET /ws", "0 switched true"]);
    assert_eq!(told.left[0].len(), FRAME.len() + 1 + 1, "frame, hole, rest");
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

fn only_request(text: &str) -> RequestHead {
    match tell(&[client(text)]).events.into_iter().next() {
        Some(HttpEvent::Request { head, .. }) => head,
        other => panic!("{other:?}"),
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

/// A story over both directions with a bit of everything.
fn story() -> Vec<Step> {
    vec![
        client(
            "GET /a HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nGET \r\n0\r\n\r\n",
        ),
        server(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/HTTP/1.1 100 Continue\n\nHTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: r\r\n\r\n",
        ),
        client([UPGRADE.as_bytes(), b"GET /c HTTP/1.1\r\n\r\n"].concat()),
        server(
            "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 4\r\n\r\nnope",
        ),
        server("HTTP/1.1 204 No Content\r\n\r\n"),
        client([UPGRADE.as_bytes(), FRAME].concat()),
        server([SWITCHING.as_bytes(), b"\x81\x02hi"].concat()),
        client(FRAME),
    ]
}

/// Cuts every piece of bytes of a story at the given places.
fn cut(steps: &[Step], cuts: &[usize]) -> Vec<Step> {
    let mut cuts = cuts.iter().copied().cycle();
    let mut pieces = Vec::new();
    for step in steps {
        let Step::Bytes(direction, data) = step else {
            pieces.push(step.clone());
            continue;
        };
        let mut rest = data.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cuts.next().unwrap().clamp(1, rest.len()));
            pieces.push(Step::Bytes(*direction, now.to_vec()));
            rest = later;
        }
    }
    pieces
}

#[test]
fn a_story_is_read_as_told() {
    let told = check(
        &story(),
        &[
            "0 GET /a",
            "1 POST /b",
            "0 answer 200",
            "1 interim 100",
            "1 answer 500",
            "2 GET /ws",
            "2 answer 426",
            "3 GET /c",
            "2 body nope",
            "3 answer 204",
            "4 GET /ws",
            "4 answer 101",
            "4 switched true",
        ],
    );
    assert_eq!(told.left, [[FRAME, FRAME].concat(), b"\x81\x02hi".to_vec()]);
}

proptest! {
    #[test]
    fn any_segmentation_says_the_same(cuts in proptest::collection::vec(1_usize..40, 1..30)) {
        let whole = tell(&story());
        let pieces = tell(&cut(&story(), &cuts));
        prop_assert_eq!(brief(&whole.events), brief(&pieces.events));
        prop_assert_eq!(whole.left, pieces.left);
    }

    #[test]
    fn hostile_bytes_do_no_harm(steps in proptest::collection::vec(hostile_step(), 0..40), midstream: bool) {
        let conversation = if midstream { Conversation::midstream() } else { Conversation::new() };
        tell_to(conversation, &steps);
    }

    #[test]
    fn any_single_head_survives_random_bytes(text in "[A-Z]{1,4} /[ -~]{0,20} HTTP/1.[01]\r\n([ -~\t]{0,20}\r?\n){0,6}\r?\n") {
        tell(&[client(&text), server(&text)]);
    }
}

fn hostile_step() -> impl Strategy<Value = Step> {
    let pieces = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..80),
        Just(UPGRADE.as_bytes().to_vec()),
        Just(SWITCHING.as_bytes().to_vec()),
        Just(FRAME.to_vec()),
        Just(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()),
        Just(b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n".to_vec()),
        Just(b"ffffffffffffffff\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
    ];
    let direction = prop_oneof![Just(ToServer), Just(ToClient)];
    prop_oneof![
        8 => (direction.clone(), pieces).prop_map(|(direction, data)| Step::Bytes(direction, data)),
        1 => (direction.clone(), any::<u64>()).prop_map(|(direction, len)| Step::Gap(direction, len % 100_000)),
        1 => direction.prop_map(Step::End),
    ]
}
