//! Bytes, holes and endings.

use super::*;
use crate::tcp::Side;

#[test]
fn in_order_bytes_go_both_ways_and_end() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(data(DOWN, 1, 4, b"xy"))
        .send(seg(UP, FIN, 4, 3))
        .send(seg(DOWN, FIN, 3, 5))
        .send(seg(UP, ACK, 5, 4));
    assert_eq!(
        lab.calls(),
        ["c1 opened", ">0:abc f4", "<0:xy f5", ">FIN f6", "<FIN f7"]
    );
    lab.wait(2000 * MS);
    assert_eq!(lab.calls(), ["c1 closed"]);
    let c = lab.only();
    assert_eq!(c.to_server.payload_bytes, 3);
    assert_eq!(c.to_client.payload_bytes, 2);
    assert_eq!((c.to_server.frames, c.to_client.frames), (5, 3));
    assert_eq!(c.ended.unwrap().by, Side::Client);
    assert_eq!(c.to_server.unacknowledged, 0);
    assert_eq!(c.rtt_nanos, Some(2 * MS));
    assert_eq!(c.to_server.retransmitted + c.duplicates, 0);
}

#[test]
fn out_of_order_bytes_wait_for_their_turn() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 4, 1, b"def"))
        .send(data(UP, 7, 1, b"ghi"));
    assert_eq!(lab.calls(), [""; 0]);
    lab.send(data(UP, 1, 1, b"abc"));
    assert_eq!(
        lab.calls(),
        ["c1 opened", ">0:abc f6", ">3:def f4", ">6:ghi f5"]
    );
    let c = lab.only();
    assert_eq!(c.to_server.out_of_order, 1);
    assert_eq!(c.to_server.payload_bytes, 9);
    assert_eq!(c.to_server.missing_bytes, 0);
}

#[test]
fn acknowledged_bytes_that_never_come_are_a_gap() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(data(UP, 7, 1, b"ghi"))
        .send(seg(DOWN, ACK, 1, 10));
    assert_eq!(lab.calls(), ["c1 opened", ">0:abc f4"]);
    lab.wait(199 * MS);
    assert_eq!(lab.calls(), [""; 0]);
    lab.wait(MS);
    assert_eq!(lab.calls(), [">3:gap 3 NotCaptured f6", ">6:ghi f5"]);
    assert_eq!(lab.only().to_server.missing_bytes, 3);
}

#[test]
fn a_reset_comes_behind_its_bytes() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(data(DOWN, 3, 4, b"cd"))
        .send(seg(DOWN, RST, 5, 4));
    assert_eq!(lab.calls(), ["c1 opened", ">0:abc f4"]);
    lab.send(data(DOWN, 1, 4, b"ab"));
    assert_eq!(lab.calls(), ["<0:ab f7", "<2:cd f5", "<RST f6"]);
    lab.wait(1000 * MS);
    assert_eq!(lab.calls(), ["c1 closed"]);
}
