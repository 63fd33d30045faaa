//! Holes, and sessions read from the middle: the next frame is found, and nobody is accused of what is missing.

use super::*;

#[test]
fn a_hole_inside_a_payload_is_counted() {
    let whole = ws(ToClient, 0x82, &[0; 300]);
    let facts = facts(&[
        Step::Bytes(ToClient, whole[..54].to_vec()),
        Step::Gap(ToClient, 250),
        server(0x81, "next"),
    ]);
    assert_eq!(facts.to_client.payload_bytes, 304);
    assert_eq!(facts.to_client.messages, 2);
    assert_eq!(facts.lost_sync, None);
}

#[test]
fn a_hole_in_text_accuses_nobody() {
    let whole = ws(ToClient, 0x81, "äöü".as_bytes());
    let facts = facts(&[
        Step::Bytes(ToClient, whole[..3].to_vec()),
        Step::Gap(ToClient, 2),
        Step::Bytes(ToClient, whole[5..].to_vec()),
        server(0x81, b"\xff"),
    ]);
    assert_eq!(rules(&facts), [(Rule::TextNotUtf8, Side::Server, 1)]);
    assert_eq!(facts.faults[0].count, 1);
}

#[test]
fn behind_a_hole_the_next_frame_is_found() {
    let next = [ws(ToServer, 0x81, b"one"), ws(ToServer, 0x81, b"two")].concat();
    let facts = facts(&[
        client(0x81, "zero"),
        Step::Gap(ToServer, 100),
        Step::Bytes(ToServer, b"the rest of some payload that was cut".to_vec()),
        Step::Bytes(ToServer, next),
        client(0x80, "an unknown message ends"),
        client(0x81, "three"),
    ]);
    assert_eq!(facts.lost_sync, None);
    assert_eq!(facts.to_server.frames.text, 4);
    assert_eq!(facts.to_server.frames.continuation, 1);
    assert_eq!(
        rules(&facts),
        [(Rule::ContinuationWithoutStart, Side::Client, 0)]
    );
}

#[test]
fn a_close_frame_behind_a_hole_is_seen() {
    let facts = facts(&[
        client(0x81, "zero"),
        Step::Gap(ToServer, 100),
        client(0x88, b"\x03\xe9"),
    ]);
    assert_eq!(facts.close_by(Side::Client).unwrap().code, Some(1001));
    assert_eq!(facts.lost_sync, None);
}

/// No code in the capture is not a Close without one.
#[test]
fn a_close_frame_with_a_hole_says_so() {
    for (kept, code, reason) in [
        (0, None, ""),
        (1, None, ""),
        (2, Some(1011), ""),
        (4, Some(1011), "oo…"),
    ] {
        let close = ws(ToClient, 0x88, b"\x03\xf3oops");
        let (seen, missing) = close.split_at(2 + kept);
        let facts = facts(&[
            Step::Bytes(ToClient, seen.to_vec()),
            Step::Gap(ToClient, missing.len() as u64),
        ]);
        let [close] = &facts.closes[..] else {
            panic!("{facts:?}")
        };
        assert_eq!(
            (close.code, &*close.reason, close.cut),
            (code, reason, true)
        );
        assert_eq!((facts.lost_sync, facts.faults.len()), (None, 0));
    }
    let facts = facts(&[server(0x88, "")]);
    assert!(!facts.closes[0].cut);
}

#[test]
fn a_large_frame_behind_a_hole_is_confirmed_by_the_next_header() {
    let large = ws(ToClient, 0x82, &[0x55; 5000]);
    let mut steps = vec![server(0x81, "zero"), Step::Gap(ToClient, 9)];
    steps.extend(
        large
            .chunks(1000)
            .map(|piece| Step::Bytes(ToClient, piece.to_vec())),
    );
    let Some(Step::Bytes(_, last)) = steps.last_mut() else {
        panic!("{steps:?}")
    };
    let boundary = last.len();
    last.extend(ws(ToClient, 0x82, &[0; 4000]));
    let facts = self::facts(&steps);
    assert_eq!(facts.lost_sync, None);
    assert_eq!(facts.to_client.frames.binary, 2);
    // The same, but what follows is no frame: the guess is taken back.
    let Some(Step::Bytes(_, last)) = steps.last_mut() else {
        panic!("{steps:?}")
    };
    last[boundary..].fill(0x55);
    let facts = self::facts(&steps);
    assert_eq!(facts.lost_sync, Some(ToClient));
    assert_eq!(facts.to_client.frames.binary, 0);
    assert_eq!(facts.to_client.payload_bytes, 4);
    assert_eq!(facts.faults, []);
}

/// A guess that two frames speak for is not enough to accuse anybody.
#[test]
fn what_looks_like_a_fault_soon_after_a_hole_is_a_wrong_guess() {
    let two = [ws(ToServer, 0x81, b"a"), ws(ToServer, 0x82, b"b")].concat();
    let mut steps = vec![client(0x81, "zero"), Step::Gap(ToServer, 9)];
    steps.push(Step::Bytes(
        ToServer,
        [two.as_slice(), b"\x93no frame"].concat(),
    ));
    let facts = self::facts(&steps);
    assert_eq!((facts.faults.len(), facts.lost_sync), (0, Some(ToServer)));
    assert_eq!(facts.to_server.frames.text, 1);
    // Once it is settled, a fault is one.
    steps.truncate(2);
    steps.extend((0..3).map(|_| client(0x82, "b")));
    steps.push(client(0x93, "fault"));
    let facts = self::facts(&steps);
    assert_eq!(facts.lost_sync, None);
    assert_eq!(
        rules(&facts),
        [
            (Rule::ReservedBits, Side::Client, 1),
            (Rule::ReservedOpcode, Side::Client, 3)
        ]
    );
}

#[test]
fn a_session_from_midstream_is_recognised() {
    let begin = |steps: &[Step]| {
        let mut session = Session::midstream(frame_ref(1), Depth::BOUNDED);
        let facts = run(&mut session, steps);
        (facts, session.is_convincing())
    };
    let (facts, convincing) = begin(&[
        Step::Bytes(ToClient, vec![0xf7; 700]),
        client(0xc1, "compressed, perhaps"),
        server(0x81, "b"),
    ]);
    assert!(convincing);
    assert_eq!((facts.to_server.messages, facts.to_client.messages), (1, 1));
    assert_eq!(facts.faults, []);
    assert_eq!(facts.lost_sync, None);
    let (facts, convincing) = begin(&[
        Step::Bytes(ToServer, b"USER anonymous\r\n".to_vec()),
        Step::Bytes(ToClient, b"331 Password\r\n".to_vec()),
    ]);
    assert!(!convincing);
    assert_eq!(facts.lost_sync, Some(ToServer));
    assert_eq!(facts.faults, []);
    // Zeros, MySQL column counts, MQTT, counters: binary protocols are full of small numbers.
    for segment in [
        vec![0; 1460],
        b"\x01\0\0\x01\x05\x02\0\0\x02\0\0".to_vec(),
        b"\x82\x05\0\x01\0\0\0\x90\x03".to_vec(),
        b"\x02\0\0\0\x01\0\0\0".to_vec(),
    ] {
        let steps: Vec<Step> = (0..20)
            .flat_map(|_| [ToServer, ToClient].map(|way| Step::Bytes(way, segment.clone())))
            .collect();
        let (facts, convincing) = begin(&steps);
        assert!(!convincing, "{facts:?}");
    }
}

#[test]
fn with_the_answer_in_a_hole_only_the_server_must_be_found() {
    let mut session = Session::answer_unseen(frame_ref(1), Depth::BOUNDED);
    let facts = run(
        &mut session,
        &[
            Step::Bytes(ToClient, b": Upgrade\r\n\r\n".to_vec()),
            client(0x81, "a"),
            server(0xc1, "b"),
            server(0x81, "c"),
        ],
    );
    assert_eq!((facts.to_server.messages, facts.to_client.messages), (1, 2));
    assert_eq!(facts.faults, []);
}
