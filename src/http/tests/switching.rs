//! Where a connection leaves HTTP: a 101, a granted CONNECT, or masked frames though no answer was seen.

use super::*;

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

/// A byte at a time, what is noted about the bytes is most of what they take.
#[test]
fn small_segments_behind_an_upgrade_take_no_more_memory_than_large_ones() {
    let mut conversation = Conversation::new();
    let mut out = Vec::new();
    let mut give = |direction: Direction, position: u64, data: &[u8]| {
        let chunk = Chunk {
            direction,
            position,
            data,
            frame: frame(1),
        };
        conversation.bytes(&chunk, &mut out);
    };
    give(ToServer, 0, UPGRADE.as_bytes());
    for n in 0..50_000 {
        give(ToServer, UPGRADE.len() as u64 + n, b"\x81");
    }
    give(ToClient, 0, SWITCHING.as_bytes());
    let parts = conversation.take_handover().to_server;
    assert!(size_of_val(&parts[..]) < 33 * 1024, "{} parts", parts.len());
}
