//! Frames that break a rule of RFC 6455, and bytes that are no frames.

use super::*;

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
    // Whoever sent the last bytes broke the rule.
    let table: Vec<(Vec<Step>, Rule, u64)> = vec![
        (with(ToServer, raw(0x81, false, 2, b"hi")), Unmasked, 1),
        (with(ToClient, raw(0x82, true, 2, b"hi")), Masked, 2),
        (vec![client(0xc1, "hi")], Rsv1, 1),
        (vec![ok(), client(0xc9, "hi")], Rsv1, 9),
        (vec![ok(), client(0xa1, "hi")], ReservedBits, 2),
        (vec![server(0x91, "hi")], ReservedBits, 1),
        (vec![ok(), client(0x83, "hi")], ReservedOpcode, 3),
        (vec![server(0x8b, "hi")], ReservedOpcode, 11),
        (vec![ok(), client(0x89, [0; 126])], ControlTooLong, 126),
        (vec![ok(), client(0x09, "hi")], ControlFragmented, 9),
        (vec![client(0x80, "hi")], ContinuationWithoutStart, 0),
        (
            vec![client(0x01, "a"), client(0x82, "b")],
            StartInsideMessage,
            2,
        ),
        (with(ToServer, long_form), LengthNotMinimal, 5),
        (
            with(ToClient, raw(0x82, false, 1 << 63, b"hi")),
            LengthTooLarge,
            1 << 63,
        ),
        (vec![client(0x81, b"\xff")], TextNotUtf8, 1),
        (
            vec![client(0x01, b"\xc3"), client(0x80, b"")],
            TextNotUtf8,
            1,
        ),
        (vec![server(0x88, b"\x03\xe8\xff")], ReasonNotUtf8, 1000),
        (vec![server(0x88, b"\x03")], ClosePayloadTooShort, 1),
        (vec![server(0x88, b"\x03\xee")], CloseCode, 1006),
        (vec![server(0x88, b"\x03\xe7")], CloseCode, 999),
        (vec![server(0x88, b"\x13\x88")], CloseCode, 5000),
        (
            vec![client(0x88, b""), client(0x81, "x")],
            DataAfterClose,
            1,
        ),
    ];
    for (steps, rule, value) in table {
        let Some(Step::Bytes(direction, _)) = steps.last() else {
            panic!("{steps:?}");
        };
        let facts = facts(&steps);
        assert_eq!(
            rules(&facts),
            [(rule, direction.sender(), value)],
            "{steps:?}"
        );
    }
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
    let before: &[&[Step]] = &[&[], &[server(0x81, "a frame")], &[server(0x89, "")]];
    let table: &[(&[u8], Rule, u64)] = &[
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Rule::HttpResponse, 400),
        (b"HTTP/1.", Rule::HttpResponse, 0),
        (b"HTTP/2 is spoken here", Rule::NotWebSocket, 0x4854),
        (b"{\"a\":1}", Rule::NotWebSocket, 0x7b22),
        (b"<!DOCTYPE HTML>", Rule::NotWebSocket, 0x3c21),
        (b"no", Rule::NotWebSocket, 0x6e6f),
    ];
    for (bytes, rule, value) in table {
        for (before, step) in (before.iter()).flat_map(|b| (1..bytes.len()).map(move |s| (b, s))) {
            let mut steps = before.to_vec();
            steps.extend((bytes.chunks(step)).map(|piece| Step::Bytes(ToClient, piece.to_vec())));
            steps.push(client(0x81, "still read"));
            steps.push(Step::End(ToClient, EndingHow::Fin));
            let facts = facts(&steps);
            assert_eq!(rules(&facts), [(*rule, Side::Server, *value)], "{steps:?}");
            assert_eq!(facts.to_server.messages, 1);
            assert_eq!(facts.cut_mid_frame, None);
        }
    }
}

#[test]
fn another_protocol_is_known_by_its_first_bytes() {
    let facts = facts(&[Step::Bytes(ToClient, b"\x16\x03\x01\x00\x05hello".to_vec())]);
    assert_eq!(rules(&facts), [(Rule::NotWebSocket, Side::Server, 0x1603)]);
}

/// What a web server writes when the handler of a session has returned is discarded by the peer.
#[test]
fn what_is_no_frame_behind_a_close_frame_is_of_no_consequence() {
    for bytes in [
        b"HTTP/1.1 200 OK\r\n\r\n".as_slice(),
        b"<!DOCTYPE HTML>\n<html>",
        b"\x16\x03\x01\x00\x05hello",
    ] {
        for step in 1..bytes.len() {
            let mut steps = vec![client(0x88, ""), server(0x88, "")];
            steps.extend((bytes.chunks(step)).map(|piece| Step::Bytes(ToClient, piece.to_vec())));
            steps.push(Step::End(ToClient, EndingHow::Fin));
            let facts = facts(&steps);
            assert_eq!(rules(&facts), []);
            assert_eq!(facts.to_client.frames.close, 1);
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
