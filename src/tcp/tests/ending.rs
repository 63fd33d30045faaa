//! FIN, RST, and how connections leave.

use super::*;
use crate::tcp::limits::{CLOSING_KEPT, HALF_CLOSED_KEPT, IDLE_KEPT, LINGER, SCAN};
use crate::tcp::{Opening, Side};

#[test]
fn both_fins_end_a_connection() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(seg(UP, FIN, 4, 1))
        .send(Seg {
            flags: FIN,
            ..data(DOWN, 1, 5, b"bye")
        })
        .send(seg(UP, ACK, 5, 5));
    assert_eq!(
        lab.calls(),
        ["c1 opened", ">0:abc f4", ">FIN f5", "<0:bye f6", "<FIN f6"]
    );
    lab.wait(LINGER);
    assert_eq!(lab.calls(), ["c1 closed"]);
    let c = lab.only();
    let ended = c.ended.unwrap();
    assert_eq!((ended.how, ended.by), (EndingHow::Fin, Side::Client));
    assert_eq!(c.to_client.fin.unwrap().number(), FrameNo(6));
    assert_eq!(c.to_client.unacknowledged, 0);
}

/// Whose FIN the capture lacks was the first all the same, if the other side's acknowledges it.
#[test]
fn a_fin_that_was_not_captured_is_known_by_its_acknowledgment() {
    for (ack, unseen) in [(4, false), (5, true)] {
        let mut lab = Lab::new();
        lab.open()
            .send(data(UP, 1, 1, b"abc"))
            .send(seg(DOWN, FIN, 1, ack))
            .finish();
        let c = lab.only();
        let ended = c.ended.unwrap();
        assert_eq!(ended.by == Side::Client, unseen);
        assert_eq!(ended.frame, c.to_client.fin.unwrap());
        assert_eq!(c.ended_unseen(), unseen);
    }
    // The capture began behind the last that the client said.
    for (ack, unseen) in [(4, false), (5, true)] {
        let mut lab = Lab::new();
        lab.send(data(DOWN, 1, 4, b"HTTP/1.1 101 Up"))
            .send(seg(UP, ACK, 4, 16))
            .send(seg(DOWN, FIN, 16, ack))
            .send(seg(UP, ACK, ack, 17))
            .finish();
        let c = lab.only();
        assert_eq!(c.ended.unwrap().by == Side::Client, unseen);
        assert_eq!(c.ended_unseen(), unseen);
    }
    // Acknowledged later, it came later.
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(seg(DOWN, FIN, 1, 4))
        .send(seg(DOWN, ACK, 2, 5))
        .finish();
    let c = lab.only();
    assert_eq!(c.ended.unwrap().by, Side::Server);
    assert!(!c.ended_unseen());
}

#[test]
fn a_fin_waits_for_the_bytes_before_it_and_may_be_sent_again() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(seg(UP, FIN, 7, 1))
        .send(seg(UP, FIN, 7, 1));
    assert_eq!(lab.calls(), ["c1 opened", ">0:abc f4"]);
    lab.send(data(UP, 4, 1, b"def"));
    assert_eq!(lab.calls(), [">3:def f7", ">FIN f5"]);
    lab.send(seg(UP, FIN, 7, 1));
    assert_eq!(lab.calls(), [""; 0]);
    let c = lab.only();
    assert_eq!(c.to_server.retransmitted, 2);
    assert_eq!(c.to_server.fin.unwrap().number(), FrameNo(5));
}

#[test]
fn a_fin_behind_a_hole_comes_after_the_gap() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(seg(UP, FIN, 7, 1))
        .finish();
    assert_eq!(
        lab.calls(),
        [
            "c1 opened",
            ">0:abc f4",
            ">3:gap 3 Lost f5",
            ">FIN f5",
            "c1 closed"
        ]
    );
}

#[test]
fn after_a_half_close_the_other_side_goes_on() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"q"))
        .send(seg(UP, FIN, 2, 1))
        .send(data(DOWN, 1, 3, b"answer"));
    lab.wait(HALF_CLOSED_KEPT - SCAN);
    lab.send(data(DOWN, 7, 3, b"!"));
    assert_eq!(lab.calls()[3..], ["<0:answer f6", "<6:! f7"]);
    // A peer that never closes does not stay for ever.
    lab.wait(HALF_CLOSED_KEPT + SCAN);
    assert_eq!(lab.calls(), ["c1 closed"]);
}

#[test]
fn an_unacknowledged_last_fin_is_waited_for() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"q"))
        .send(seg(UP, FIN, 2, 1))
        .send(seg(DOWN, FIN, 1, 3));
    lab.calls();
    lab.wait(2 * LINGER);
    assert_eq!(lab.calls(), [""; 0]);
    lab.wait(CLOSING_KEPT + SCAN);
    assert_eq!(lab.calls(), ["c1 closed"]);
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
    lab.wait(LINGER);
    assert_eq!(lab.calls(), ["c1 closed"]);
    let c = lab.only();
    assert_eq!(c.ended.unwrap().how, EndingHow::Rst);
    assert_eq!(c.ended.unwrap().by, Side::Server);
    assert_eq!(c.opening, Opening::Complete);
}

#[test]
fn a_reset_may_carry_text_that_is_no_stream() {
    let mut lab = Lab::new();
    lab.open().send(data(UP, 1, 1, b"abc")).send(Seg {
        flags: RST,
        ..data(DOWN, 1, 4, b"go away")
    });
    assert_eq!(lab.calls(), ["c1 opened", ">0:abc f4", "<RST f5"]);
    assert_eq!(lab.only().to_client.payload_bytes, 0);
}

#[test]
fn a_reset_far_outside_the_window_is_ignored() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(seg(DOWN, RST, 0x1000_0000, 4))
        .send(data(DOWN, 1, 4, b"on"));
    assert_eq!(lab.calls(), ["c1 opened", ">0:abc f4", "<0:on f6"]);
    let c = lab.only();
    assert_eq!(c.ended, None);
    assert_eq!(c.to_client.frames, 3);
}

/// A late copy of another reset, or a guess: whoever receives it has acknowledged what it would reset (RFC 9293 3.10.7.4).
#[test]
fn a_reset_before_what_was_acknowledged_is_ignored() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(DOWN, 1, 1, b"hello"))
        .send(seg(UP, ACK, 1, 6))
        .send(seg(DOWN, RST, 5, 1))
        .send(data(DOWN, 6, 1, b"on"));
    lab.wait(2 * LINGER);
    lab.send(data(DOWN, 8, 1, b"!"));
    assert_eq!(
        lab.calls(),
        ["c1 opened", "<0:hello f4", "<5:on f7", "<7:! f8"]
    );
    let c = lab.only();
    assert_eq!((c.ended, c.duplicates), (None, 0));
    // Captured twice, it is one of which there is a copy all the same.
    let mut lab = Lab::new();
    lab.ip_id = 7;
    lab.open()
        .send(data(DOWN, 1, 1, b"hello"))
        .send(seg(UP, ACK, 1, 6))
        .send(seg(DOWN, RST, 5, 1))
        .send(seg(DOWN, RST, 5, 1));
    assert_eq!(lab.only().duplicates, 1);
    // At the number that is expected next it counts.
    let mut lab = Lab::new();
    lab.open()
        .send(data(DOWN, 1, 1, b"hello"))
        .send(seg(UP, ACK, 1, 6))
        .send(seg(DOWN, RST, 6, 1));
    assert_eq!(lab.calls()[2..], ["<RST f6"]);
}

/// RFC 9293 3.10.7.4: a number in the window that is not the expected one is asked about, and the connection goes on.
#[test]
fn a_reset_ahead_of_its_stream_counts_unless_that_goes_on() {
    let begun = || {
        let mut lab = Lab::new();
        lab.open()
            .send(data(DOWN, 1, 1, b"hello"))
            .send(seg(UP, ACK, 1, 6))
            .send(seg(DOWN, RST, 56, 1));
        lab
    };
    let mut lab = begun();
    lab.send(seg(UP, ACK, 1, 6));
    lab.wait(CLOSING_KEPT / 2);
    lab.send(data(DOWN, 6, 1, b"on"));
    lab.wait(2 * CLOSING_KEPT);
    lab.send(data(DOWN, 8, 1, b"!")).send(seg(UP, FIN, 1, 9));
    assert_eq!(
        lab.calls(),
        [
            "c1 opened",
            "<0:hello f4",
            "<5:on f8",
            "<7:! f9",
            ">FIN f10"
        ]
    );
    let c = lab.only();
    assert_eq!(c.ended.unwrap().how, EndingHow::Fin);
    assert_eq!(c.to_client.rst, None);
    // At once, but more than the reset leaves room for.
    let mut lab = begun();
    lab.send(data(DOWN, 6, 1, &[b'x'; 60]));
    assert_eq!(lab.only().ended, None);
    // The capture lacks what was before it, or shows some of that late.
    for late in [false, true] {
        let mut lab = begun();
        if late {
            lab.send(data(DOWN, 6, 1, b"late"));
        }
        lab.wait(CLOSING_KEPT + SCAN);
        let calls = lab.calls();
        assert_eq!(calls[calls.len() - 2..], ["<RST f6", "c1 closed"]);
        let c = lab.only();
        assert_eq!(c.ended.unwrap().how, EndingHow::Rst);
        assert_eq!(c.to_client.rst.unwrap().number().0, 6);
    }
}

#[test]
fn a_reset_after_fin_is_told_too_but_the_fin_was_first() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(seg(UP, FIN, 4, 1))
        .send(seg(DOWN, RST, 1, 5));
    assert_eq!(lab.calls()[2..], [">FIN f5", "<RST f6"]);
    let c = lab.only();
    assert_eq!(c.ended.unwrap().how, EndingHow::Fin);
    assert!(c.to_client.rst.is_some());
}

#[test]
fn one_direction_only_a_fin_is_the_end() {
    let mut lab = Lab::new();
    lab.send(seg(DOWN, SYN_ACK, 0, 1))
        .send(data(DOWN, 1, 4, b"HTTP/1.1 200 OK"))
        .send(seg(DOWN, FIN, 16, 4));
    lab.wait(LINGER);
    assert_eq!(
        lab.calls(),
        ["c1 opened", "<0:HTTP/1.1 200 OK f2", "<FIN f3", "c1 closed"]
    );
    let c = lab.only();
    assert_eq!(c.to_client.unacknowledged, 0);
}

#[test]
fn a_quiet_session_is_not_split() {
    let mut lab = Lab::new();
    lab.open().send(data(UP, 1, 1, b"abc"));
    for _ in 0..5 {
        lab.wait(IDLE_KEPT / 2);
        lab.send(data(UP, 4, 1, b"d"));
    }
    assert_eq!(lab.log.closed.len(), 0);
    lab.wait(IDLE_KEPT + SCAN);
    assert_eq!(lab.log.closed.len(), 1);
    assert!(!lab.log.closed[0].evicted);
}

#[test]
fn late_repetitions_are_counted_while_a_connection_lingers() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(seg(DOWN, RST, 1, 4));
    lab.wait(LINGER / 2);
    lab.send(data(UP, 1, 1, b"abc"));
    let c = lab.only();
    assert_eq!(c.to_server.retransmitted, 1);
    assert_eq!(
        c.to_server.last_retransmission.unwrap().number(),
        FrameNo(6)
    );
}

/// What the peer acknowledged at the end of a stream and the capture lacks may be its FIN.
#[test]
fn numbers_at_the_end_that_were_not_captured_are_counted() {
    let cases: [(&[Seg<'_>], u64); 6] = [
        (&[seg(DOWN, ACK, 1, 4)], 0),
        (&[seg(DOWN, ACK, 1, 5)], 1),
        (&[seg(DOWN, FIN, 1, 9)], 5),
        (&[seg(UP, FIN, 4, 1), seg(DOWN, FIN, 1, 5)], 0),
        (&[seg(UP, FIN, 8, 1), seg(DOWN, FIN, 1, 9)], 4),
        // Not at the end.
        (&[data(UP, 8, 1, b"xyz"), seg(DOWN, FIN, 1, 11)], 0),
    ];
    for (behind, unseen) in cases {
        let mut lab = Lab::new();
        lab.open().send(data(UP, 1, 1, b"abc"));
        for segment in behind {
            lab.send(*segment);
        }
        lab.finish();
        assert_eq!(lab.only().to_server.unseen_at_end, unseen, "{behind:?}");
    }
}
