//! Retransmissions, probes, windows, and frames captured twice.

use super::*;

#[test]
fn retransmissions_are_counted_and_not_delivered() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(data(UP, 1, 1, b"abc"))
        .send(data(UP, 2, 1, b"b"))
        .send(data(UP, 2, 1, b"bcd"));
    assert_eq!(lab.calls(), ["c1 opened", ">0:abc f4", ">3:d f7"]);
    let c = lab.only();
    assert_eq!(c.to_server.retransmitted, 2);
    assert_eq!(
        c.to_server.last_retransmission.unwrap().number(),
        FrameNo(6)
    );
    assert_eq!(c.to_server.frames, 6);
    assert_eq!(c.duplicates, 0);
}

#[test]
fn keep_alives_are_no_retransmissions() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(seg(DOWN, ACK, 1, 4))
        .send(seg(UP, ACK, 3, 1))
        .send(seg(DOWN, ACK, 1, 4))
        .send(data(UP, 3, 1, b"\0"))
        .send(seg(DOWN, ACK, 0, 4));
    let c = lab.only();
    assert_eq!(c.to_server.keep_alives, 2);
    assert_eq!(c.to_client.keep_alives, 1);
    assert_eq!(c.to_server.retransmitted + c.to_client.retransmitted, 0);
    assert_eq!(c.to_server.payload_bytes, 3);
}

#[test]
fn a_last_byte_that_was_not_acknowledged_is_sent_again() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"c"))
        .send(data(UP, 1, 1, b"c"));
    let c = lab.only();
    assert_eq!(c.to_server.keep_alives, 0);
    assert_eq!(c.to_server.retransmitted, 1);
}

#[test]
fn a_zero_window_stands_until_it_opens_and_its_probes_are_no_keep_alives() {
    let zero = |ack| Seg {
        window: 0,
        ..seg(DOWN, ACK, 1, ack)
    };
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(zero(4))
        .send(seg(UP, ACK, 3, 1))
        .send(zero(4))
        // A probe with the next byte, which the receiver does not take yet.
        .send(data(UP, 4, 1, b"d"))
        .send(zero(4))
        .send(data(UP, 4, 1, b"d"))
        .send(zero(4));
    let id = ConnectionId(0);
    let (now, _) = lab.table.get(id).unwrap();
    assert_eq!(
        now.to_client.zero_window_since.unwrap().number(),
        FrameNo(5)
    );
    lab.send(seg(DOWN, ACK, 1, 4)).send(data(UP, 4, 1, b"def"));
    let (now, state) = lab.table.get(id).unwrap();
    assert_eq!(*state, 6);
    assert_eq!(now.to_client.zero_window_since, None);
    lab.send(zero(7));
    assert_eq!(
        lab.calls(),
        ["c1 opened", ">0:abc f4", ">3:d f8", ">4:ef f13"]
    );
    let c = lab.only();
    assert_eq!(c.to_client.zero_windows, 2);
    assert_eq!(c.to_client.zero_window_since.unwrap().number(), FrameNo(14));
    assert_eq!(c.to_server.keep_alives, 0);
    assert_eq!(c.to_server.retransmitted, 0);
}

#[test]
fn a_window_of_zero_in_a_reset_says_nothing() {
    let mut lab = Lab::new();
    lab.open().send(data(UP, 1, 1, b"abc")).send(Seg {
        window: 0,
        ..seg(DOWN, RST, 1, 4)
    });
    assert_eq!(lab.only().to_client.zero_windows, 0);
}

/// Every frame of a short session, twice, as bridges and mirror ports show them.
fn twice(second: impl Fn(&mut Lab, Seg<'_>, u16)) -> Connection {
    let mut lab = Lab::new();
    let session = [
        seg(UP, SYN, 0, 0),
        seg(DOWN, SYN_ACK, 0, 1),
        seg(UP, ACK, 1, 1),
        data(UP, 1, 1, b"abc"),
        data(DOWN, 1, 4, b"defg"),
        seg(UP, ACK, 4, 5),
        seg(UP, FIN, 4, 5),
        seg(DOWN, FIN, 5, 5),
        seg(UP, ACK, 5, 6),
    ];
    for (n, segment) in session.into_iter().enumerate() {
        lab.at += 100 * MS;
        lab.frame += 1;
        let (frame, id) = (lab.frame, 100 + n as u16);
        lab.as_frame(segment, frame, id);
        lab.frame += 1;
        second(&mut lab, segment, id);
    }
    assert_eq!(lab.log.bytes[0], b"abc");
    assert_eq!(lab.log.bytes[1], b"defg");
    let c = lab.only();
    assert_eq!((c.to_server.frames, c.to_client.frames), (6, 3));
    assert_eq!(c.duplicates, 9);
    assert_eq!(c.to_server.retransmitted + c.to_client.retransmitted, 0);
    assert_eq!(c.syns, 1);
    c
}

#[test]
fn a_bridge_shows_frames_twice_with_one_identification() {
    twice(|lab, segment, id| {
        lab.at += 10_000;
        let frame = lab.frame;
        lab.as_frame(segment, frame, id);
    });
}

#[test]
fn a_router_shows_frames_twice_with_another_hop_limit() {
    twice(|lab, segment, id| {
        lab.at += MS;
        let frame = lab.frame;
        let hop_limit = segment.hop_limit - 1;
        let segment = Seg {
            hop_limit,
            ..segment
        };
        lab.as_frame(segment, frame, id);
    });
}

#[test]
fn another_interface_shows_frames_later() {
    twice(|lab, segment, id| {
        lab.at += 5 * MS;
        let frame = lab.frame;
        lab.as_frame(
            Seg {
                interface: 7,
                ..segment
            },
            frame,
            id,
        );
    });
}

#[test]
fn another_capture_shows_frames_with_its_own_clock() {
    let c = twice(|lab, segment, id| {
        let (at, frame) = (lab.at, lab.frame);
        lab.capture = 1;
        lab.at -= 5_000 * MS;
        lab.as_frame(segment, frame, id);
        lab.capture = 0;
        lab.at = at;
    });
    assert_eq!(c.captures, 0b11);
    assert_eq!(c.last.capture(), CaptureId(0));
}

#[test]
fn without_identification_time_tells_copies_from_repetitions() {
    let mut lab = Lab::new();
    lab.open();
    let segment = data(UP, 1, 1, b"abc");
    for (after, frame) in [(0, 10), (20_000, 11), (300 * MS, 12)] {
        lab.at += after;
        lab.as_frame(segment, frame, 0);
    }
    let c = lab.only();
    assert_eq!(c.duplicates, 1);
    assert_eq!(c.to_server.retransmitted, 1);
}

#[test]
fn a_repetition_has_another_identification() {
    let mut lab = Lab::new();
    lab.open();
    let segment = data(UP, 1, 1, b"abc");
    lab.as_frame(segment, 10, 500);
    lab.at += 10_000;
    lab.as_frame(segment, 11, 501);
    let c = lab.only();
    assert_eq!(c.duplicates, 0);
    assert_eq!(c.to_server.retransmitted, 1);
}

#[test]
fn copies_of_openings_do_not_make_them_grow() {
    let mut lab = Lab::new();
    for segment in [seg(UP, SYN, 0, 0), seg(DOWN, SYN_ACK, 0, 1)] {
        for _ in 0..3 {
            lab.frame += 1;
            lab.at += 10_000;
            let frame = lab.frame;
            lab.as_frame(segment, frame, 9);
        }
    }
    assert_eq!(lab.table.nursery.len(), 1);
    let c = lab.only();
    assert_eq!(c.duplicates, 4);
    assert_eq!((c.to_server.frames, c.to_client.frames), (1, 1));
}
