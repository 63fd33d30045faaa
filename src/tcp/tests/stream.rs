//! Bytes and holes.

use super::*;
use crate::tcp::LimitKind;
use crate::tcp::limits::{HOLE_GRACE, ONE_SIDED_GRACE};

#[test]
fn in_order_bytes_go_both_ways() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(data(DOWN, 1, 4, b"xy"))
        .send(data(UP, 4, 3, b"d"))
        .send(seg(DOWN, ACK, 3, 5));
    assert_eq!(
        lab.calls(),
        ["c1 opened", ">0:abc f4", "<0:xy f5", ">3:d f6"]
    );
    let c = lab.only();
    assert_eq!(c.to_server.payload_bytes, 4);
    assert_eq!(c.to_client.payload_bytes, 2);
    assert_eq!((c.to_server.frames, c.to_client.frames), (4, 3));
    assert_eq!(c.to_server.first_data.unwrap().number(), FrameNo(4));
    assert_eq!(c.to_server.last_data.unwrap().number(), FrameNo(6));
    assert_eq!(c.to_server.unacknowledged, 0);
    assert_eq!(c.to_client.unacknowledged, 0);
    assert_eq!(c.last.number(), FrameNo(7));
}

#[test]
fn what_was_not_acknowledged_is_told() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abcdef"))
        .send(seg(DOWN, ACK, 1, 3));
    assert_eq!(lab.only().to_server.unacknowledged, 4);
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

/// What came first at every position, whatever overlaps it: all ranges over delivered, free and held bytes, with the
/// sequence numbers wrapping at every place.
#[test]
fn first_writer_wins_in_every_overlap_and_at_every_wrap() {
    const FIRST: &[u8] = b"abcdefghij";
    const AGAIN: &[u8] = b"ABCDEFGHIJ";
    for wrap in 0..12_u32 {
        for start in 0..10 {
            for end in start + 1..=10 {
                let mut lab = Lab::new();
                lab.isn = [0_u32.wrapping_sub(wrap), u32::MAX];
                let mut model = [None; 10];
                let mut write = |lab: &mut Lab, from: usize, to: usize, text: &[u8]| {
                    for at in from..to {
                        model[at] = model[at].or(Some(text[at]));
                    }
                    lab.send(data(UP, from as u32 + 1, 1, &text[from..to]));
                };
                lab.open();
                write(&mut lab, 0, 3, FIRST);
                write(&mut lab, 5, 7, FIRST);
                write(&mut lab, start, end, AGAIN);
                write(&mut lab, 0, 10, FIRST);
                let expected: Vec<u8> = model.iter().map(|byte| byte.unwrap()).collect();
                assert_eq!(lab.log.bytes[0], expected, "{wrap} {start}..{end}");
                let c = lab.only();
                assert_eq!(c.to_server.payload_bytes, 10);
                assert_eq!(c.to_server.missing_bytes, 0);
                let seen_before = end <= 3 || (start >= 5 && end <= 7);
                assert_eq!(
                    c.to_server.retransmitted,
                    u64::from(seen_before) + u64::from(start <= 3 && end == 10),
                    "{wrap} {start}..{end}"
                );
                // Only held bytes can be compared.
                let held = start < 7 && end > 5;
                assert!(c.to_server.conflicts >= u64::from(held), "{start}..{end}");
            }
        }
    }
}

#[test]
fn acknowledged_bytes_that_never_come_are_a_gap() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(data(UP, 7, 1, b"ghi"))
        .send(seg(DOWN, ACK, 1, 10));
    assert_eq!(lab.calls(), ["c1 opened", ">0:abc f4"]);
    lab.wait(HOLE_GRACE - 1);
    assert_eq!(lab.calls(), [""; 0]);
    lab.wait(1);
    assert_eq!(lab.calls(), [">3:gap 3 NotCaptured f6", ">6:ghi f5"]);
    let c = lab.only();
    assert_eq!(c.to_server.missing_bytes, 3);
    assert_eq!(c.to_server.payload_bytes, 6);
}

#[test]
fn an_acknowledgment_captured_before_its_bytes_makes_no_gap() {
    let mut lab = Lab::new();
    lab.open()
        .send(seg(DOWN, ACK, 1, 4))
        .send(data(DOWN, 1, 4, b"answer"))
        .send(data(UP, 1, 1, b"abc"))
        .wait(10 * HOLE_GRACE);
    assert_eq!(lab.calls(), ["c1 opened", "<0:answer f5", ">0:abc f6"]);
    assert_eq!(lab.only().to_server.missing_bytes, 0);
}

#[test]
fn many_segments_end_the_wait_as_time_does() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(data(UP, 7, 1, b"g"))
        .send(seg(DOWN, ACK, 1, 8));
    lab.calls();
    for at in 0..16 {
        assert_eq!(lab.calls(), [""; 0], "{at}");
        lab.now(data(UP, 8 + at, 1, b"."));
    }
    assert_eq!(lab.calls()[..2], [">3:gap 3 NotCaptured f6", ">6:g f5"]);
}

#[test]
fn a_gap_at_the_end_needs_more_than_one_byte() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(seg(DOWN, ACK, 1, 5))
        .wait(2 * HOLE_GRACE);
    // It may be the FIN that is missing.
    assert_eq!(lab.calls(), ["c1 opened", ">0:abc f4"]);
    lab.send(seg(DOWN, ACK, 1, 9)).wait(2 * HOLE_GRACE);
    assert_eq!(lab.calls(), [">3:gap 5 NotCaptured f6"]);
}

#[test]
fn late_bytes_of_a_declared_gap_are_counted_and_ignored() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 4, 1, b"def"))
        .send(seg(DOWN, ACK, 1, 7))
        .wait(HOLE_GRACE);
    lab.calls();
    lab.send(data(UP, 1, 1, b"abc"));
    assert_eq!(lab.calls(), [""; 0]);
    let c = lab.only();
    assert_eq!(c.to_server.out_of_order, 1);
    assert_eq!(c.to_server.retransmitted, 0);
    assert_eq!(c.to_server.missing_bytes, 3);
}

#[test]
fn a_cut_off_segment_is_bytes_and_a_gap() {
    let mut lab = Lab::new();
    lab.open().send(Seg {
        missing: 7,
        ..data(UP, 1, 1, b"abc")
    });
    lab.send(data(UP, 11, 1, b"k"));
    assert_eq!(
        lab.calls(),
        [
            "c1 opened",
            ">0:abc f4",
            ">3:gap 7 Truncated f4",
            ">10:k f5"
        ]
    );
    let c = lab.only();
    assert_eq!(c.to_server.missing_bytes, 7);
    assert_eq!(c.to_server.truncated_bytes, 7);
}

#[test]
fn a_segment_of_which_only_headers_were_captured_is_a_gap() {
    let mut lab = Lab::new();
    lab.open().send(Seg {
        missing: 7,
        ..seg(UP, ACK, 1, 1)
    });
    assert_eq!(lab.calls(), ["c1 opened", ">0:gap 7 Truncated f4"]);
}

#[test]
fn a_cut_off_segment_behind_a_hole_waits_and_may_be_completed() {
    let mut lab = Lab::new();
    lab.open()
        .send(Seg {
            missing: 4,
            ..data(UP, 4, 1, b"de")
        })
        // Another capture had the whole segment.
        .send(data(UP, 4, 1, b"defg"))
        .send(data(UP, 1, 1, b"abc"));
    assert_eq!(
        lab.calls(),
        [
            "c1 opened",
            ">0:abc f6",
            ">3:de f4",
            ">5:fg f5",
            ">7:gap 2 Truncated f4"
        ]
    );
    assert_eq!(lab.only().to_server.missing_bytes, 2);
}

#[test]
fn an_overlap_with_a_cut_off_segment_counts_missing_bytes_once() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abcdef"))
        .send(Seg {
            missing: 6,
            ..data(UP, 3, 1, b"cd")
        })
        .send(data(UP, 11, 1, b"k"));
    assert_eq!(
        lab.calls(),
        [
            "c1 opened",
            ">0:abcdef f4",
            ">6:gap 4 Truncated f5",
            ">10:k f6"
        ]
    );
}

#[test]
fn one_direction_only_holes_are_given_up_after_a_while() {
    let mut lab = Lab::new();
    lab.send(seg(UP, SYN, 0, 0))
        .send(data(UP, 1, 1, b"abc"))
        .send(data(UP, 7, 1, b"ghi"));
    lab.wait(ONE_SIDED_GRACE - 1);
    assert_eq!(lab.calls(), ["c1 opened", ">0:abc f2"]);
    lab.wait(1);
    assert_eq!(lab.calls(), [">3:gap 3 NotCaptured f3", ">6:ghi f3"]);
}

#[test]
fn holes_that_nobody_acknowledged_are_lost_at_the_end() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(seg(DOWN, ACK, 1, 6))
        .send(data(UP, 7, 1, b"ghi"));
    lab.calls();
    lab.finish();
    // Two of the three were acknowledged.
    assert_eq!(
        lab.calls(),
        [
            ">3:gap 2 NotCaptured f5",
            ">5:gap 1 Lost f6",
            ">6:ghi f6",
            "c1 closed"
        ]
    );
    let facts = lab.only().to_server;
    assert_eq!(
        (
            facts.missing_bytes,
            facts.not_captured_bytes(),
            facts.lost_bytes
        ),
        (3, 2, 1)
    );
}

#[test]
fn a_stream_that_holds_too_much_gives_up_its_hole() {
    let mut lab = Lab::with(Limits {
        stream_bytes: 1000,
        ..Limits::default()
    });
    lab.open()
        .send(data(UP, 11, 1, &[b'x'; 500]))
        .send(data(UP, 511, 1, &[b'y'; 500]));
    let calls = lab.calls();
    assert_eq!(calls[1], ">0:gap 10 Evicted f4");
    assert_eq!(calls.len(), 4);
    let stats = lab.table.stats();
    assert_eq!(stats.bytes_given_up, 10);
    assert_eq!(stats.limits[0].kind, LimitKind::StreamBytes);
    assert_eq!(stats.limits[0].first.number(), FrameNo(5));
    // It goes on.
    lab.send(data(UP, 1011, 1, b"more"));
    assert_eq!(lab.calls(), [">1010:more f6"]);
    assert!(!lab.only().evicted);
}

#[test]
fn all_together_the_longest_inactive_gives_way_first() {
    let mut lab = Lab::with(Limits {
        total_bytes: 1000,
        ..Limits::default()
    });
    let ports = [40_001, 40_002, 40_003];
    for port in ports {
        lab.client = Endpoint::v4([192, 0, 2, 1], port);
        lab.open().send(data(UP, 2, 1, &[b'x'; 200]));
    }
    // The first is active again; the second is now the one to go.
    lab.client = Endpoint::v4([192, 0, 2, 1], ports[0]);
    lab.send(data(UP, 202, 1, b"y"));
    let calls = lab.calls();
    assert_eq!(calls[..2], ["c2 opened", ">0:gap 1 Evicted f8"]);
    assert_eq!(calls.len(), 3);
    let stats = lab.table.stats();
    assert_eq!(stats.limits[0].kind, LimitKind::TotalBytes);
    assert_eq!(stats.limits[0].connection, ConnectionId(1));
    assert_eq!(stats.bytes_given_up, 1);
    // The hole of the first can still be filled.
    lab.send(data(UP, 1, 1, b"a"));
    assert_eq!(lab.calls()[1], ">0:a f14");
}

#[test]
fn a_midstream_start_is_position_0_and_earlier_bytes_are_ignored() {
    let mut lab = Lab::new();
    lab.send(seg(UP, ACK, 100, 1))
        .send(data(UP, 200, 1, b"GET "))
        .send(data(UP, 100, 1, b"before"))
        .send(data(UP, 204, 1, b"/"));
    assert_eq!(lab.calls(), ["c1 opened", ">0:GET  f2", ">4:/ f4"]);
    let c = lab.only();
    assert_eq!(c.to_server.out_of_order, 1);
    assert_eq!(c.to_server.missing_bytes, 0);
}

#[test]
fn positions_go_beyond_the_wrap() {
    const CUT: u32 = 1 << 29;
    let mut lab = Lab::new();
    lab.isn = [u32::MAX - 1, 5];
    lab.open();
    let mut at = 1_u32;
    for _ in 0..17 {
        let segment = Seg {
            missing: CUT - 1,
            ..data(UP, at, 1, b"x")
        };
        at = at.wrapping_add(CUT);
        lab.send(segment).send(seg(DOWN, ACK, 1, at));
    }
    let last = lab.calls().pop().unwrap();
    let end = 17_u64 << 29;
    assert_eq!(
        last,
        format!(
            ">{}:gap {} Truncated f36",
            end - u64::from(CUT) + 1,
            CUT - 1
        )
    );
    let c = lab.only();
    assert_eq!(c.to_server.payload_bytes, 17);
    assert_eq!(c.to_server.missing_bytes, end - 17);
    assert_eq!(c.to_server.unacknowledged, 0);
    assert_eq!(c.to_server.retransmitted, 0);
}

#[test]
fn after_a_loss_of_interest_only_counters_move() {
    let mut lab = Lab::new();
    lab.log.enough = Some(3);
    lab.open()
        .send(data(UP, 4, 1, b"held"))
        .send(data(UP, 1, 1, b"abc"))
        .send(data(UP, 8, 1, b"more"))
        .send(data(UP, 22, 1, b"behind a hole"))
        .send(data(UP, 12, 1, b"late "))
        .send(data(UP, 12, 1, b"late "))
        .send(Seg {
            missing: 5,
            ..data(DOWN, 1, 35, b"x")
        })
        .send(seg(UP, FIN, 35, 7))
        .send(seg(DOWN, RST, 7, 36));
    assert_eq!(lab.calls(), ["c1 opened", ">0:abc f5"]);
    let c = lab.only();
    assert_eq!(lab.calls(), ["c1 closed"]);
    assert_eq!(c.to_server.payload_bytes, 3 + 4 + 4 + 13 + 5);
    assert_eq!(c.to_server.missing_bytes, 5);
    assert_eq!(c.to_server.retransmitted, 1);
    assert_eq!(c.to_client.truncated_bytes, 5);
    assert_eq!(c.to_client.payload_bytes, 1);
    assert_eq!(c.ended.unwrap().how, EndingHow::Fin);
    assert!(c.to_client.rst.is_some());
}

#[test]
fn a_number_far_away_is_no_part_of_the_stream() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(data(UP, 0x7000_0000, 1, b"zzz"))
        .send(seg(DOWN, ACK, 1, 0x7000_0003))
        .send(data(UP, 4, 1, b"d"));
    assert_eq!(lab.calls(), ["c1 opened", ">0:abc f4", ">3:d f7"]);
    assert_eq!(lab.only().to_server.missing_bytes, 0);
}

/// Of a stream that began before the capture the peer's acknowledgments tell of bytes, if nothing else does. A single number
/// may be a FIN.
#[test]
fn bytes_that_only_their_acknowledgments_show_are_missing() {
    for (second, missing) in [(300, 0), (301, 0), (302, 2), (500, 200)] {
        let mut lab = Lab::new();
        lab.send(data(UP, 100, 300, b"GET / HTTP/1.1"))
            .send(seg(UP, ACK, 114, second))
            .finish();
        assert_eq!(lab.only().to_client.missing_bytes, missing, "{second}");
    }
    // Bytes behind the first acknowledgment come as ever.
    let mut lab = Lab::new();
    lab.send(data(UP, 100, 300, b"GET / HTTP/1.1"))
        .send(seg(UP, ACK, 114, 308))
        .send(data(DOWN, 300, 114, b"HTTP/1.1"))
        .finish();
    let c = lab.only();
    assert_eq!(
        (c.to_client.payload_bytes, c.to_client.missing_bytes),
        (8, 0)
    );
}
