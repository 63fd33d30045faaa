//! Openings and roles.

use super::*;
use crate::decode::{IcmpError, Unreachable};
use crate::tcp::limits::{LINGER, SYN_KEPT, TICK};
use crate::tcp::{Opening, RolesFrom};

fn icmp(lab: &mut Lab, why: Unreachable, seq: u32) {
    lab.at += MS;
    lab.frame += 1;
    let error = IcmpError {
        frame: FrameRef::new(
            Timestamp::from_nanos(lab.at),
            CaptureId(0),
            FrameNo(lab.frame),
        ),
        why,
        from: Endpoint::v4([203, 0, 113, 1], 0),
        source: lab.client,
        destination: lab.server,
        seq: SeqNo(lab.isn[0]).plus(seq),
    };
    lab.table.icmp(&mut lab.log, &error);
}

#[test]
fn a_handshake_completes_with_its_third_segment() {
    let mut lab = Lab::new();
    lab.send(seg(UP, SYN, 0, 0)).send(seg(DOWN, SYN_ACK, 0, 1));
    lab.at += 10 * MS;
    lab.send(seg(UP, ACK, 1, 1));
    let c = lab.only();
    assert_eq!(c.opening, Opening::Complete);
    assert_eq!(c.roles_from, RolesFrom::Syn);
    assert_eq!((c.client, c.server), (lab.client, lab.server));
    assert_eq!(c.rtt_nanos, Some(12 * MS));
    assert_eq!(c.syns, 1);
    assert_eq!(c.syn.unwrap().number(), FrameNo(1));
    assert_eq!(c.syn_ack.unwrap().number(), FrameNo(2));
    assert_eq!(c.to_server.isn, Some(SeqNo(1000)));
    assert_eq!(c.to_client.isn, Some(SeqNo(5000)));
    assert_eq!((c.to_server.frames, c.to_client.frames), (2, 1));
    assert_eq!(
        (c.first.number(), c.last.number()),
        (FrameNo(1), FrameNo(3))
    );
}

#[test]
fn a_refused_connection_leaves_soon() {
    let mut lab = Lab::new();
    lab.send(seg(UP, SYN, 0, 0)).send(seg(DOWN, RST, 0, 1));
    lab.wait(LINGER - 1);
    assert_eq!(lab.calls(), [""; 0]);
    lab.wait(1);
    assert_eq!(lab.calls(), ["c1 closed unread"]);
    let c = lab.only();
    assert_eq!(c.opening, Opening::Refused);
    assert_eq!((c.to_server.frames, c.to_client.frames), (1, 1));
    assert_eq!(c.ended.unwrap().how, EndingHow::Rst);
    assert_eq!(c.to_client.rst.unwrap().number(), FrameNo(2));
    assert_eq!(lab.table.stats().refused, 1);
}

#[test]
fn a_reset_that_acknowledges_something_else_does_not_refuse() {
    let mut lab = Lab::new();
    lab.send(seg(UP, SYN, 0, 0)).send(seg(DOWN, RST, 0, 77));
    lab.send(seg(DOWN, SYN_ACK, 0, 1)).send(seg(UP, ACK, 1, 1));
    let c = lab.only();
    assert_eq!(c.opening, Opening::Complete);
    assert_eq!(c.ended, None);
}

#[test]
fn an_unanswered_syn_is_kept_through_its_repetitions() {
    let mut lab = Lab::new();
    lab.send(seg(UP, SYN, 0, 0));
    for wait in [1, 2, 4, 8, 16, 32, 64] {
        lab.wait(wait * 1000 * MS);
        lab.now(seg(UP, SYN, 0, 0));
    }
    lab.wait(SYN_KEPT - 2000 * MS);
    assert_eq!(lab.calls(), [""; 0]);
    lab.wait(5000 * MS);
    assert_eq!(lab.calls(), ["c1 closed unread"]);
    let c = lab.only();
    assert_eq!(c.opening, Opening::Unanswered);
    assert_eq!(c.syns, 8);
    assert_eq!(c.to_server.frames, 8);
    assert_eq!(c.to_server.retransmitted, 7);
    assert_eq!(c.to_server.last_retransmission, Some(c.last));
    assert_eq!(c.first.number(), FrameNo(1));
}

#[test]
fn another_initial_number_is_another_connection() {
    let mut lab = Lab::new();
    lab.send(seg(UP, SYN, 0, 0));
    lab.isn[0] = 777;
    lab.open().send(data(UP, 1, 1, b"abc"));
    lab.isn[0] = 999_999;
    lab.send(seg(UP, SYN, 0, 0));
    assert_eq!(
        lab.calls(),
        ["c1 closed unread", "c2 opened", ">0:abc f5", "c2 closed"]
    );
    lab.finish();
    assert_eq!(lab.calls(), ["c3 closed unread"]);
    assert_eq!(lab.log.closed[1].opening, Opening::Complete);
}

#[test]
fn scanners_that_reset_what_was_answered_stay_small() {
    let mut lab = Lab::new();
    lab.send(seg(UP, SYN, 0, 0))
        .send(seg(DOWN, SYN_ACK, 0, 1))
        .send(seg(DOWN, SYN_ACK, 0, 1))
        .send(seg(UP, TcpFlags::RST, 1, 0));
    assert_eq!(lab.table.nursery.len(), 1);
    lab.wait(LINGER);
    let c = lab.only();
    assert_eq!(c.opening, Opening::Partial);
    assert_eq!(c.ended.unwrap().frame.number(), FrameNo(4));
    assert_eq!(c.to_server.rst, c.ended.map(|ended| ended.frame));
    assert_eq!((c.to_server.frames, c.to_client.frames), (2, 2));
    assert_eq!(c.to_client.retransmitted, 1);
}

#[test]
fn half_open_connections_expire() {
    let mut lab = Lab::new();
    lab.send(seg(UP, SYN, 0, 0)).send(seg(DOWN, SYN_ACK, 0, 1));
    lab.wait(SYN_KEPT + 3000 * MS);
    let c = lab.only();
    assert_eq!(c.opening, Opening::Partial);
    assert_eq!(lab.table.stats().partial, 1);
}

#[test]
fn a_syn_ack_alone_tells_the_roles() {
    let mut lab = Lab::new();
    lab.send(seg(DOWN, SYN_ACK, 0, 1));
    let c = lab.only();
    assert_eq!(c.roles_from, RolesFrom::SynAck);
    assert_eq!(c.client, lab.client);
    assert_eq!(c.opening, Opening::Partial);
    assert_eq!(c.syn_ack.unwrap().number(), FrameNo(1));
}

#[test]
fn fast_open_data_is_delivered_once() {
    let mut lab = Lab::new();
    lab.send(Seg {
        flags: SYN,
        ..data(UP, 0, 0, b"GET")
    })
    // The server did not take it: it comes again.
    .send(seg(DOWN, SYN_ACK, 0, 1))
    .send(data(UP, 1, 1, b"GET /"));
    assert_eq!(lab.calls(), ["c1 opened", ">0:GET f1", ">3: / f3"]);
    assert_eq!(lab.only().opening, Opening::Complete);
}

#[test]
fn simultaneous_open_is_one_connection() {
    let mut lab = Lab::new();
    lab.send(seg(UP, SYN, 0, 0))
        .send(seg(DOWN, SYN, 0, 0))
        .send(seg(UP, SYN_ACK, 0, 1))
        .send(seg(DOWN, SYN_ACK, 0, 1))
        .send(data(UP, 1, 1, b"abc"))
        .send(data(DOWN, 1, 4, b"d"));
    assert_eq!(lab.calls(), ["c1 opened", ">0:abc f5", "<0:d f6"]);
    let c = lab.only();
    assert_eq!(c.opening, Opening::Complete);
    assert_eq!(c.client, lab.client);
    assert_eq!(c.syns, 1);
}

#[test]
fn without_a_syn_first_bytes_or_ports_tell_the_roles() {
    let table: [(Direction, &[u8], RolesFrom, bool); 6] = [
        (UP, b"GET / HTTP/1.1", RolesFrom::FirstBytes, true),
        (DOWN, b"GET / HTTP/1.1", RolesFrom::FirstBytes, false),
        (DOWN, b"HTTP/1.1 101 S", RolesFrom::FirstBytes, true),
        (DOWN, b"\x81\x05hello", RolesFrom::FirstBytes, true),
        (DOWN, b"\x81\x81abcd\x09", RolesFrom::FirstBytes, false),
        (DOWN, b"\x81\x06hello", RolesFrom::Port, true),
    ];
    for (way, text, from, as_usual) in table {
        let mut lab = Lab::new();
        lab.send(data(way, 10, 10, text));
        let c = lab.only();
        assert_eq!(c.roles_from, from, "{text:?}");
        assert_eq!(c.client == lab.client, as_usual, "{text:?}");
        assert_eq!(c.opening, Opening::Midstream);
    }
}

#[test]
fn facts_go_with_the_roles() {
    let mut lab = Lab::new();
    // The lower port is the server's, until the other end sends a request.
    lab.send(seg(DOWN, ACK, 5, 5))
        .send(data(UP, 5, 5, b"\x01"))
        .finish();
    let mut other = Lab::new();
    other
        .send(seg(UP, ACK, 5, 5))
        .send(data(DOWN, 5, 5, b"GET / "))
        .send(data(UP, 5, 11, b"HTTP/"));
    let c = other.only();
    assert_eq!(c.client, other.server);
    assert_eq!((c.to_server.frames, c.to_client.frames), (1, 2));
    assert_eq!(
        (c.to_server.payload_bytes, c.to_client.payload_bytes),
        (6, 5)
    );
}

#[test]
fn a_missing_syn_ack_leaves_its_number_to_the_acknowledgment() {
    let mut lab = Lab::new();
    lab.send(seg(UP, SYN, 0, 0))
        .send(seg(UP, ACK, 1, 1))
        .send(data(DOWN, 4, 1, b"lo"))
        .send(data(DOWN, 1, 1, b"hel"));
    assert_eq!(lab.calls(), ["c1 opened", "<0:hel f4", "<3:lo f3"]);
    assert_eq!(lab.only().opening, Opening::Partial);
}

#[test]
fn a_syn_sent_again_by_a_server_that_forgot_is_answered_anew() {
    let mut lab = Lab::new();
    lab.send(seg(UP, SYN, 0, 0)).send(seg(DOWN, SYN_ACK, 0, 1));
    lab.isn[1] = 9_999_999;
    lab.send(seg(DOWN, SYN_ACK, 0, 1))
        .send(seg(UP, ACK, 1, 1))
        .send(data(DOWN, 1, 1, b"hi"));
    assert_eq!(lab.calls(), ["c1 opened", "<0:hi f5"]);
    let c = lab.only();
    assert_eq!(c.to_client.isn, Some(SeqNo(9_999_999)));
    assert_eq!(c.opening, Opening::Complete);
}

#[test]
fn icmp_errors_belong_to_their_connection() {
    let table = [
        (Unreachable::Port, Opening::Refused, true),
        (Unreachable::Prohibited, Opening::Refused, true),
        (Unreachable::Host, Opening::Unanswered, false),
    ];
    for (why, opening, soon) in table {
        let mut lab = Lab::new();
        lab.send(seg(UP, SYN, 0, 0));
        icmp(&mut lab, why, 0);
        lab.wait(LINGER + TICK);
        assert_eq!(lab.calls().len(), usize::from(soon), "{why:?}");
        let c = lab.only();
        assert_eq!(c.opening, opening);
        assert_eq!(c.unreachable.unwrap().1, why);
        assert_eq!(c.unreachable.unwrap().0.number(), FrameNo(2));
        assert_eq!(c.last.number(), FrameNo(1));
    }
}

#[test]
fn an_icmp_error_about_other_numbers_is_ignored() {
    let mut lab = Lab::new();
    lab.send(seg(UP, SYN, 0, 0));
    icmp(&mut lab, Unreachable::Port, 5);
    assert_eq!(lab.only().unreachable, None);
    let mut lab = Lab::new();
    lab.open().send(data(UP, 1, 1, b"abc"));
    icmp(&mut lab, Unreachable::Host, 0x2000_0000);
    icmp(&mut lab, Unreachable::TooBig, 1);
    icmp(&mut lab, Unreachable::Host, 1);
    icmp(&mut lab, Unreachable::Port, 1);
    let c = lab.only();
    // The size hint is no verdict; the first real one stays.
    assert_eq!(c.unreachable.unwrap().1, Unreachable::Host);
    assert_eq!(c.opening, Opening::Complete);
}

#[test]
fn a_late_answer_after_an_icmp_error_still_opens() {
    let mut lab = Lab::new();
    lab.send(seg(UP, SYN, 0, 0));
    icmp(&mut lab, Unreachable::Host, 0);
    lab.send(seg(UP, SYN, 0, 0))
        .send(seg(DOWN, SYN_ACK, 0, 1))
        .send(seg(UP, ACK, 1, 1));
    let c = lab.only();
    assert_eq!(c.opening, Opening::Complete);
    assert_eq!(c.unreachable.unwrap().1, Unreachable::Host);
    assert_eq!(c.syns, 2);
}

/// A reset refuses a connection that was not accepted. Of one that was, the SYN-ACK may not be in the capture.
#[test]
fn what_the_client_acknowledged_was_not_refused() {
    let cases: [(&[Seg<'_>], Opening); 3] = [
        (&[seg(DOWN, RST, 0, 1)], Opening::Refused),
        (
            &[seg(UP, ACK, 1, 1), seg(DOWN, RST, 1, 1)],
            Opening::Partial,
        ),
        (
            &[seg(UP, ACK, 1, 1), seg(DOWN, RST, 1, 157)],
            Opening::Partial,
        ),
    ];
    for (behind, opening) in cases {
        let mut lab = Lab::new();
        lab.send(seg(UP, SYN, 0, 0));
        for segment in behind {
            lab.send(*segment);
        }
        lab.finish();
        assert_eq!(lab.only().opening, opening, "{behind:?}");
    }
}
