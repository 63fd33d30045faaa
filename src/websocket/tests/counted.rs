//! What is counted and remembered of a session's frames.

use super::*;

#[test]
fn a_healthy_session_is_counted_and_faultless() {
    let facts = facts(&[
        server(0x81, "hello"),
        client(0x01, "frag"),
        client(0x89, "p"),
        client(0x80, "ment"),
        server(0x8a, "p"),
        client(0x82, vec![0xff; 200]),
        client(0x82, vec![0; 70_000]),
        client(0x88, b"\x03\xe8bye"),
        server(0x88, b"\x03\xe8"),
        Step::End(ToClient, EndingHow::Fin),
        Step::End(ToServer, EndingHow::Fin),
    ]);
    assert_eq!(facts.faults, []);
    assert_eq!(
        facts.to_server.frames,
        FrameCounts {
            text: 1,
            binary: 2,
            continuation: 1,
            ping: 1,
            pong: 0,
            close: 1
        }
    );
    assert_eq!(facts.to_server.messages, 3);
    assert_eq!(facts.to_server.payload_bytes, 4 + 1 + 4 + 200 + 70_000 + 5);
    assert_eq!(facts.to_client.messages, 1);
    assert_eq!(facts.to_server.first, Some(frame_ref(3)));
    assert_eq!(facts.to_server.last, Some(frame_ref(9)));
    assert_eq!(facts.to_server.pongs_matched, 1);
    let close = facts.close_by(Side::Client).unwrap();
    assert_eq!((close.code, &*close.reason), (Some(1000), "bye"));
    assert_eq!(facts.closes[0].by, Side::Client);
    assert_eq!(facts.closes[1].by, Side::Server);
    assert_eq!(facts.cut_mid_frame, None);
    assert_eq!(facts.lost_sync, None);
}

#[test]
fn pings_are_matched_with_their_pongs() {
    let facts = facts(&[
        server(0x89, "a"), // 2
        server(0x89, "b"), // 3
        client(0x8a, "b"), // 4: b after 1 ms, a is given up
        client(0x8a, "a"), // 5: unsolicited
        server(0x89, "c"), // 6
        client(0x81, "x"), // 7
        client(0x8a, "c"), // 8: after 2 ms
        client(0x89, ""),  // 9
    ]);
    let server_side = facts.to_client;
    assert_eq!(server_side.frames.ping, 3);
    assert_eq!(server_side.pongs_matched, 2);
    assert_eq!(server_side.ping_rtt_max_nanos, Some(2_000_000));
    assert_eq!(
        server_side.ping_interval_nanos,
        Some((1_000_000, 3_000_000))
    );
    assert_eq!(server_side.last_ping, Some(frame_ref(6)));
    assert_eq!(facts.to_server.pongs_matched, 0);
    assert_eq!(facts.to_server.last_ping, Some(frame_ref(9)));
}

#[test]
fn a_stream_that_ends_inside_a_frame_is_cut() {
    let cut = |keep: usize, end: Step| {
        let mut bytes = ws(ToClient, 0x82, &[0; 100]);
        bytes.truncate(keep);
        let steps = [Step::Bytes(ToClient, bytes), end];
        facts(&steps)
            .cut_mid_frame
            .map(|(way, frame, left)| (way, frame.number().0, left))
    };
    let fin = Step::End(ToClient, EndingHow::Fin);
    assert_eq!(cut(50, fin.clone()), Some((ToClient, 3, 52)));
    assert_eq!(cut(1, fin.clone()), Some((ToClient, 3, 0)));
    assert_eq!(cut(102, fin), None);
    // The client's RST ends the server's stream, too; its FIN does not.
    assert_eq!(
        cut(50, Step::End(ToServer, EndingHow::Rst)),
        Some((ToClient, 3, 52))
    );
    assert_eq!(cut(50, Step::End(ToServer, EndingHow::Fin)), None);
}

#[test]
fn a_session_noticed_late_was_up_with_its_first_data() {
    let mut session = Session::answer_unseen(frame_ref(9), Depth::BOUNDED);
    let facts = run(&mut session, &[client(0x81, "hello")]);
    assert_eq!(facts.established, frame_ref(2));
    let mut session = Session::new(frame_ref(9), None, Depth::BOUNDED);
    let facts = run(&mut session, &[client(0x81, "too early")]);
    assert_eq!(facts.established, frame_ref(9));
}

#[test]
fn the_fingerprint_needs_sixteen_client_bytes_and_no_hole() {
    let hello = client(0x81, "0123456789");
    let print = |steps: &[Step]| facts(steps).fingerprint;
    let known = print(std::slice::from_ref(&hello)).unwrap();
    assert_eq!(
        print(&[hello.clone(), client(0x81, "more"), server(0x81, "x")]),
        Some(known)
    );
    assert_ne!(print(&[client(0x81, "0123456788")]), Some(known));
    assert_eq!(print(&[client(0x81, "012345678")]), None);
    assert_eq!(print(&[Step::Gap(ToServer, 1), hello.clone()]), None);
    assert_eq!(print(&[hello, Step::Gap(ToServer, 1)]), Some(known));
}

#[test]
fn without_its_handshake_a_session_is_known_by_the_little_that_its_client_said() {
    let masked = |mask: [u8; 4]| {
        let mut bytes = vec![0x89, 0x80];
        bytes.extend(mask);
        Step::Bytes(ToServer, bytes)
    };
    let key = [1, 2, 3, 4];
    let begun = || Session::new(frame_ref(1), None, Depth::BOUNDED);
    let midstream = || Session::midstream(frame_ref(1), Depth::BOUNDED);
    for (name, mut session, steps, known) in [
        ("from its beginning", begun(), vec![masked(key)], false),
        ("a ping", midstream(), vec![masked(key)], true),
        (
            "no key to speak of",
            midstream(),
            vec![masked([0; 4])],
            false,
        ),
        (
            "a hole behind it",
            midstream(),
            vec![masked(key), Step::Gap(ToServer, 1)],
            false,
        ),
        (
            "a hole in what the server says",
            midstream(),
            vec![masked(key), Step::Gap(ToClient, 1)],
            true,
        ),
        (
            "the same key twice",
            midstream(),
            vec![masked(key), masked(key)],
            false,
        ),
        (
            "half a frame",
            midstream(),
            vec![Step::Bytes(ToServer, vec![0x89, 0x80, 1, 2])],
            false,
        ),
        ("nothing", midstream(), vec![server(0x89, "")], false),
    ] {
        let facts = run(&mut session, &steps);
        assert_eq!(facts.fingerprint.is_some(), known, "{name}");
    }
}

#[test]
fn bytes_of_a_key_that_is_used_again_are_a_fingerprint_only_where_a_session_begins() {
    let masked = |mask: u8| {
        let mut bytes = vec![0x82, 0x8c, mask, 2, 3, 4];
        bytes.extend([7; 12]);
        Step::Bytes(ToServer, bytes)
    };
    let constant = || [masked(1), masked(1), masked(1)];
    let fresh = || [masked(1), masked(5), masked(9)];
    let begun = || Session::new(frame_ref(1), None, Depth::BOUNDED);
    let midstream = || Session::midstream(frame_ref(1), Depth::BOUNDED);
    for (name, mut session, steps, known) in [
        ("from its beginning", begun(), constant(), true),
        ("fresh keys", begun(), fresh(), true),
        ("from its middle", midstream(), constant(), false),
        ("from its middle, fresh keys", midstream(), fresh(), true),
        (
            "request unseen",
            begun().request_unseen(),
            constant(),
            false,
        ),
    ] {
        let facts = run(&mut session, &steps);
        assert_eq!(facts.fingerprint.is_some(), known, "{name}");
    }
}
