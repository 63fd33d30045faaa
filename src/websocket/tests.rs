#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::too_many_lines,
    reason = "tests"
)]
mod deflated;
mod written;

use super::*;
use crate::capture::{CaptureId, FrameNo, FrameRef, Timestamp};
use crate::tcp::Direction::{self, ToClient, ToServer};
use crate::tcp::{Chunk, EndingHow, Gap, GapCause, Side, StreamEnd};
use proptest::prelude::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A step of a session's story.
#[derive(Debug, Clone)]
enum Step {
    Bytes(Direction, Vec<u8>),
    Gap(Direction, u64),
    End(Direction, EndingHow),
}

fn frame_ref(number: u64) -> FrameRef {
    FrameRef {
        at: Timestamp::from_nanos(i64::try_from(number).unwrap() * 1_000_000),
        capture: CaptureId(0),
        frame: FrameNo(number),
    }
}

/// A frame with the given first byte, masked as its direction demands.
fn ws(direction: Direction, first: u8, payload: &[u8]) -> Vec<u8> {
    raw(first, direction == ToServer, payload.len() as u64, payload)
}

fn raw(first: u8, masked: bool, len: u64, payload: &[u8]) -> Vec<u8> {
    let mask_bit = if masked { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match len {
        0..=125 => bytes.push(mask_bit | len as u8),
        126..=0xffff => {
            bytes.push(mask_bit | 0x7e);
            bytes.extend((len as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask_bit | 0x7f);
            bytes.extend(len.to_be_bytes());
        }
    }
    if masked {
        bytes.extend(MASK);
        bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
    } else {
        bytes.extend(payload);
    }
    bytes
}

fn client(first: u8, payload: impl AsRef<[u8]>) -> Step {
    Step::Bytes(ToServer, ws(ToServer, first, payload.as_ref()))
}

fn server(first: u8, payload: impl AsRef<[u8]>) -> Step {
    Step::Bytes(ToClient, ws(ToClient, first, payload.as_ref()))
}

fn run(session: &mut Session, steps: &[Step]) -> SessionFacts {
    let mut positions = [0_u64; 2];
    for (number, step) in (2..).zip(steps) {
        let frame = frame_ref(number);
        match step {
            Step::Bytes(direction, data) => {
                let position = &mut positions[usize::from(*direction == ToClient)];
                session.bytes(&Chunk {
                    direction: *direction,
                    position: *position,
                    data,
                    frame,
                });
                *position += data.len() as u64;
            }
            Step::Gap(direction, len) => {
                let position = &mut positions[usize::from(*direction == ToClient)];
                session.gap(&Gap {
                    direction: *direction,
                    position: *position,
                    len: *len,
                    cause: GapCause::NotCaptured,
                    frame,
                });
                *position += len;
            }
            Step::End(direction, how) => session.ended(&StreamEnd {
                direction: *direction,
                how: *how,
                frame,
            }),
        }
    }
    session.facts()
}

fn facts(steps: &[Step]) -> SessionFacts {
    run(&mut Session::new(frame_ref(1), None, Depth::BOUNDED), steps)
}

fn deflated(steps: &[Step]) -> SessionFacts {
    let agreed = Some(DeflateParams::default());
    run(
        &mut Session::new(frame_ref(1), agreed, Depth::BOUNDED),
        steps,
    )
}

fn rules(facts: &SessionFacts) -> Vec<(Rule, Side, u64)> {
    facts
        .faults
        .iter()
        .map(|fault| (fault.rule, fault.by, fault.value))
        .collect()
}

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
fn each_rule_is_named_with_who_broke_it() {
    use Rule::{
        CloseCode, ClosePayloadTooShort, ContinuationWithoutStart, ControlFragmented,
        ControlTooLong, DataAfterClose, LengthNotMinimal, LengthTooLarge, Masked, ReasonNotUtf8,
        ReservedBits, ReservedOpcode, Rsv1, StartInsideMessage, TextNotUtf8, Unmasked,
    };
    let ok = || client(0x81, "ok");
    let with =
        |direction, bytes: Vec<u8>| vec![ok(), server(0x81, "ok"), Step::Bytes(direction, bytes)];
    let mut long_form = vec![0x82, 0xfe, 0, 5];
    long_form.extend(MASK);
    long_form.extend([0; 5]);
    let table: Vec<(Vec<Step>, Rule, Side, u64)> = vec![
        (
            with(ToServer, raw(0x81, false, 2, b"hi")),
            Unmasked,
            Side::Client,
            1,
        ),
        (
            with(ToClient, raw(0x82, true, 2, b"hi")),
            Masked,
            Side::Server,
            2,
        ),
        (vec![client(0xc1, "hi")], Rsv1, Side::Client, 1),
        (vec![ok(), client(0xc9, "hi")], Rsv1, Side::Client, 9),
        (
            vec![ok(), client(0xa1, "hi")],
            ReservedBits,
            Side::Client,
            2,
        ),
        (vec![server(0x91, "hi")], ReservedBits, Side::Server, 1),
        (
            vec![ok(), client(0x83, "hi")],
            ReservedOpcode,
            Side::Client,
            3,
        ),
        (vec![server(0x8b, "hi")], ReservedOpcode, Side::Server, 11),
        (
            vec![ok(), client(0x89, [0; 126])],
            ControlTooLong,
            Side::Client,
            126,
        ),
        (
            vec![ok(), client(0x09, "hi")],
            ControlFragmented,
            Side::Client,
            9,
        ),
        (
            vec![client(0x80, "hi")],
            ContinuationWithoutStart,
            Side::Client,
            0,
        ),
        (
            vec![client(0x01, "a"), client(0x82, "b")],
            StartInsideMessage,
            Side::Client,
            2,
        ),
        (with(ToServer, long_form), LengthNotMinimal, Side::Client, 5),
        (
            with(ToClient, raw(0x82, false, 1 << 63, b"hi")),
            LengthTooLarge,
            Side::Server,
            1 << 63,
        ),
        (vec![client(0x81, b"\xff")], TextNotUtf8, Side::Client, 1),
        (
            vec![client(0x01, b"\xc3"), client(0x80, b"")],
            TextNotUtf8,
            Side::Client,
            1,
        ),
        (
            vec![server(0x88, b"\x03\xe8\xff")],
            ReasonNotUtf8,
            Side::Server,
            1000,
        ),
        (
            vec![server(0x88, b"\x03")],
            ClosePayloadTooShort,
            Side::Server,
            1,
        ),
        (
            vec![server(0x88, b"\x03\xee")],
            CloseCode,
            Side::Server,
            1006,
        ),
        (
            vec![server(0x88, b"\x03\xe7")],
            CloseCode,
            Side::Server,
            999,
        ),
        (
            vec![server(0x88, b"\x13\x88")],
            CloseCode,
            Side::Server,
            5000,
        ),
        (
            vec![client(0x88, b""), client(0x81, "x")],
            DataAfterClose,
            Side::Client,
            1,
        ),
    ];
    for (steps, rule, side, value) in table {
        let facts = facts(&steps);
        assert_eq!(rules(&facts), [(rule, side, value)], "{steps:?}");
    }
}

#[test]
fn rsv1_is_allowed_where_it_was_agreed_on() {
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(
        deflated(&[client(0xc1, hello), server(0xc1, hello)]).faults,
        []
    );
    let facts = deflated(&[client(0x41, [0xf2, 0x48]), client(0xc0, [0xcd])]);
    assert_eq!(rules(&facts), [(Rule::Rsv1, Side::Client, 0)]);
    let facts = deflated(&[client(0xc2, [0xff; 9])]);
    assert_eq!(rules(&facts), [(Rule::DoesNotInflate, Side::Client, 1)]);
    // Fragments and a ping between them.
    let facts = deflated(&[
        client(0x41, &hello[..3]),
        client(0x89, ""),
        client(0x80, &hello[3..]),
    ]);
    assert_eq!(facts.faults, []);
    assert!(facts.deflate);
}

#[test]
fn where_compressed_messages_are_only_counted_is_told() {
    let empty = server(0xc1, [0]);
    let mut steps: Vec<Step> = (0..Depth::BOUNDED.messages)
        .map(|_| empty.clone())
        .collect();
    assert_eq!(deflated(&steps).inflation_stopped, None);
    steps.push(empty);
    let all = deflated(&steps);
    assert_eq!(
        all.inflation_stopped,
        Some((ToClient, frame_ref(u64::from(Depth::BOUNDED.messages) + 2)))
    );
    assert_eq!(
        all.to_client.messages,
        u64::from(Depth::BOUNDED.messages) + 1
    );
    assert_eq!(rules(&all), []);
}

#[test]
fn what_the_101_agreed_on_decides_about_rsv1() {
    use crate::http::Fields;
    let faults = |value: Option<&str>| {
        let fields: Vec<_> = value
            .map(|v| ("Sec-WebSocket-Extensions", v))
            .into_iter()
            .collect();
        let fields = Fields::of(&fields);
        let mut session = Session::behind(frame_ref(1), &fields, Depth::BOUNDED);
        run(
            &mut session,
            &[client(0xc1, [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00])],
        )
        .faults
        .len()
    };
    assert_eq!(faults(None), 1);
    assert_eq!(faults(Some("permessage-deflate")), 0);
    assert_eq!(faults(Some("x-webkit-deflate-frame")), 0);
}

#[test]
fn rules_are_counted_and_kept_at_their_first_place() {
    let facts = facts(&[
        client(0x81, b"\xff"),
        client(0x81, b"ok"),
        client(0x81, b"\xff"),
    ]);
    assert_eq!(facts.faults.len(), 1);
    assert_eq!(facts.faults[0].count, 2);
    assert_eq!(facts.faults[0].frame, frame_ref(2));
}

#[test]
fn bytes_that_are_no_frames_end_the_reading_of_that_side() {
    for bytes in [
        b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(),
        b"{\"a\":1}",
        b"no",
        b"\x16\x03\x01\x00\x05hello",
    ] {
        for step in 1..bytes.len() {
            let mut steps: Vec<Step> = bytes
                .chunks(step)
                .map(|piece| Step::Bytes(ToClient, piece.to_vec()))
                .collect();
            steps.push(client(0x81, "still read"));
            steps.push(Step::End(ToClient, EndingHow::Fin));
            let facts = facts(&steps);
            let value = u64::from(u16::from_be_bytes([bytes[0], bytes[1]]));
            assert_eq!(rules(&facts), [(Rule::NotWebSocket, Side::Server, value)]);
            assert_eq!(facts.to_server.messages, 1);
            assert_eq!(facts.cut_mid_frame, None);
        }
    }
}

#[test]
fn a_doubtful_short_first_frame_is_read_as_it_is() {
    // RSV1 on an empty frame, then the next frame, byte by byte.
    let bytes = [vec![0xc1, 0], ws(ToClient, 0x81, b"x")].concat();
    for step in 1..=bytes.len() {
        let steps: Vec<Step> = bytes
            .chunks(step)
            .map(|piece| Step::Bytes(ToClient, piece.to_vec()))
            .collect();
        let facts = facts(&steps);
        assert_eq!(rules(&facts), [(Rule::Rsv1, Side::Server, 1)]);
        assert_eq!(facts.to_client.messages, 2);
    }
}

#[test]
fn a_stream_that_ends_inside_a_frame_is_cut() {
    let cut = |keep: usize, end: Step| {
        let mut bytes = ws(ToClient, 0x82, &[0; 100]);
        bytes.truncate(keep);
        let steps = [Step::Bytes(ToClient, bytes), end];
        facts(&steps)
            .cut_mid_frame
            .map(|(way, frame, left)| (way, frame.frame.0, left))
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
fn a_session_noticed_late_was_up_with_its_first_data() {
    let mut session = Session::answer_unseen(frame_ref(9), Depth::BOUNDED);
    let facts = run(&mut session, &[client(0x81, "hello")]);
    assert_eq!(facts.established, frame_ref(2));
    let mut session = Session::new(frame_ref(9), None, Depth::BOUNDED);
    let facts = run(&mut session, &[client(0x81, "too early")]);
    assert_eq!(facts.established, frame_ref(9));
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

fn frame() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let first = prop_oneof![
        6 => prop::sample::select(vec![0x81_u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8a, 0xc1]),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        3 => proptest::collection::vec(any::<u8>(), 0..20),
        2 => "\\PC{0,20}".prop_map(String::into_bytes),
        1 => (100_usize..300).prop_map(|len| vec![b'x'; len]),
    ];
    (first, payload)
}

fn without_frames(mut facts: SessionFacts) -> SessionFacts {
    let none = frame_ref(0);
    for carried in [&mut facts.to_server, &mut facts.to_client] {
        carried.first = carried.first.map(|_| none);
        carried.last = carried.last.map(|_| none);
        carried.last_message = carried.last_message.map(|_| none);
        carried.last_ping = carried.last_ping.map(|_| none);
        carried.ping_interval_nanos = None;
        carried.ping_rtt_max_nanos = None;
    }
    for close in &mut facts.closes {
        close.frame = none;
    }
    for fault in &mut facts.faults {
        fault.frame = none;
    }
    facts.cut_mid_frame = facts.cut_mid_frame.map(|(way, _, left)| (way, none, left));
    // More pieces take longer: nginx's timer would begin anew.
    facts.timer.since = none;
    facts.timer.before = none;
    facts
}

fn cut(bytes: &[u8], cuts: &[usize], direction: Direction) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = bytes;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let (now, later) = rest.split_at((*cuts.next().unwrap()).clamp(1, rest.len()));
        steps.push(Step::Bytes(direction, now.to_vec()));
        rest = later;
    }
    steps
}

proptest! {
    /// Any segmentation gives the same facts, broken frames and compressed ones included.
    #[test]
    fn any_segmentation_gives_the_same_facts(
        frames in proptest::collection::vec(frame(), 1..12),
        cuts in proptest::collection::vec(1_usize..60, 1..20),
        to_server: bool,
        keep in 0_usize..4000,
        deflate: bool,
    ) {
        let direction = if to_server { ToServer } else { ToClient };
        let mut bytes: Vec<u8> = frames.iter().flat_map(|(first, payload)| ws(direction, *first, payload)).collect();
        bytes.truncate(keep);
        let read = if deflate { deflated } else { facts };
        let end = Step::End(direction, EndingHow::Fin);
        let whole = read(&[Step::Bytes(direction, bytes.clone()), end.clone()]);
        let mut pieces = cut(&bytes, &cuts, direction);
        pieces.push(end);
        prop_assert_eq!(without_frames(whole), without_frames(read(&pieces)));
    }

    /// Garbage, holes and ends in any order: no panic, and nothing counted that was not there.
    #[test]
    fn hostile_bytes_do_no_harm(steps in proptest::collection::vec(hostile_step(), 0..40), how in 0..4) {
        let mut session = match how {
            0 => Session::new(frame_ref(1), None, Depth::BOUNDED),
            1 => Session::new(frame_ref(1), Some(DeflateParams::default()), Depth::FULL),
            2 => Session::answer_unseen(frame_ref(1), Depth::BOUNDED),
            _ => Session::midstream(frame_ref(1), Depth::BOUNDED),
        };
        let facts = run(&mut session, &steps);
        let carried: u64 = steps.iter().map(|step| match step {
            Step::Bytes(_, data) => data.len() as u64,
            Step::Gap(_, len) => *len,
            Step::End(..) => 0,
        }).sum();
        prop_assert!(facts.to_server.payload_bytes + facts.to_client.payload_bytes <= carried);
    }
}

fn hostile_step() -> impl Strategy<Value = Step> {
    let direction = prop_oneof![Just(ToServer), Just(ToClient)];
    prop_oneof![
        4 => (direction.clone(), frame()).prop_map(|(way, (first, payload))| Step::Bytes(way, ws(way, first, &payload))),
        4 => (direction.clone(), proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(way, data)| Step::Bytes(way, data)),
        2 => (direction.clone(), 0_u64..400).prop_map(|(way, len)| Step::Gap(way, len)),
        1 => (direction, any::<bool>()).prop_map(|(way, fin)| Step::End(way, if fin { EndingHow::Fin } else { EndingHow::Rst })),
    ]
}
