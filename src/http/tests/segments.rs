//! However the bytes are cut into segments, the story is the same; and whatever they are, no harm is done.

use proptest::prelude::*;

use super::*;

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
