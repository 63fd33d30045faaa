//! MQTT packets in binary messages.

use super::*;
use crate::http::Fields;

const CONNECT: &[u8] = b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02ab";
const CONNACK: &[u8] = &[0x20, 2, 0, 0];
const REFUSED: &[u8] = &[0x20, 2, 0, 5];
const DISCONNECT: &[u8] = &[0xe0, 0];

/// A name, the steps, and the last packets either way.
type Row = (&'static str, Vec<Step>, Option<Farewell>, Option<Farewell>);

/// The session behind a 101 that chose MQTT, unless told otherwise.
fn behind(subprotocol: &str, steps: &[Step]) -> Option<Mqtt> {
    let answer = Fields::of(&[("Sec-WebSocket-Protocol", subprotocol)]);
    let mut session = Session::behind(frame_ref(1), &answer, Depth::BOUNDED);
    run(&mut session, steps).mqtt.map(|mqtt| *mqtt)
}

#[test]
fn the_last_packet_is_known() {
    use Farewell::{Disconnect, Refused};
    let long = {
        // 200 bytes that look like a DISCONNECT, in a PUBLISH.
        let mut packet = vec![0x30, 0xc8, 0x01];
        packet.extend([0xe0, 0].repeat(100));
        packet
    };
    let together = [CONNECT, long.as_slice(), DISCONNECT].concat();
    let table: &[Row] = &[
        ("nothing", vec![], None, None),
        (
            "up",
            vec![client(0x82, CONNECT), server(0x82, CONNACK)],
            None,
            None,
        ),
        (
            "refused",
            vec![client(0x82, CONNECT), server(0x82, REFUSED)],
            None,
            Some(Refused(5)),
        ),
        (
            "goodbye",
            vec![client(0x82, CONNECT), client(0x82, DISCONNECT)],
            Some(Disconnect(0)),
            None,
        ),
        (
            "with a ping behind",
            vec![client(0x82, DISCONNECT), client(0x89, "x")],
            Some(Disconnect(0)),
            None,
        ),
        (
            "with a reason",
            vec![server(0x82, [0xe0, 2, 0x8e, 0])],
            None,
            Some(Disconnect(0x8e)),
        ),
        (
            "in one message",
            vec![client(0x82, &together)],
            Some(Disconnect(0)),
            None,
        ),
        (
            "byte by byte",
            together.iter().map(|byte| client(0x82, [*byte])).collect(),
            Some(Disconnect(0)),
            None,
        ),
        (
            "in fragments",
            vec![
                client(0x02, &together[..5]),
                client(0x00, &together[5..20]),
                client(0x80, &together[20..]),
            ],
            Some(Disconnect(0)),
            None,
        ),
        (
            "more behind it",
            vec![client(0x82, DISCONNECT), client(0x82, CONNECT)],
            None,
            None,
        ),
        (
            "begun behind it",
            vec![client(0x82, [DISCONNECT, &[0x30]].concat())],
            None,
            None,
        ),
        ("not whole", vec![client(0x82, [0xe0, 2, 0x04])], None, None),
        ("inside a packet", vec![client(0x82, &long)], None, None),
        (
            "no length",
            vec![
                client(0x82, [0xe0, 0xff, 0xff, 0xff, 0xff, 0]),
                client(0x82, DISCONNECT),
            ],
            None,
            None,
        ),
    ];
    for (name, steps, to_server, to_client) in table {
        let mqtt = behind("mqtt", steps).unwrap();
        let kind = |last: Option<(Farewell, FrameRef)>| last.map(|(farewell, _)| farewell);
        assert_eq!(kind(mqtt.to_server), *to_server, "{name}");
        assert_eq!(kind(mqtt.to_client), *to_client, "{name}");
    }
    let last = behind(
        "mqttv3.1",
        &[client(0x82, CONNECT), client(0x82, DISCONNECT)],
    )
    .unwrap();
    assert_eq!(last.last(ToServer), Some((Disconnect(0), frame_ref(3))));
}

#[test]
fn nothing_is_said_where_packets_may_be_missing() {
    let bye = || client(0x82, DISCONNECT);
    assert_eq!(behind("chat", &[bye()]), None, "another subprotocol");
    let hole = [client(0x82, CONNECT), Step::Gap(ToServer, 5), bye()];
    assert_eq!(behind("mqtt", &hole), None, "a hole");
    assert_eq!(
        behind("mqtt", &[client(0xc2, "x"), bye()]),
        None,
        "compressed"
    );
}
