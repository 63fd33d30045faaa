//! Bytes that were on their way when a session ended, and those that only seem so.

use super::hops::*;
use crate::tcp::Side;

/// The client hop of a session, ended by nobody yet.
fn outer() -> Build {
    client(0, 1.0, 3.0, &key(1), 101).session(10.0, 20.0, 7)
}

#[test]
fn data_on_its_way_at_the_end_is_outstanding() {
    let outstanding = |change: fn(&mut crate::hop::Record)| {
        let handshake = one([outer().fin(60_000.0, Side::Client).with(change)]);
        handshake.session.unwrap().outstanding
    };
    assert!(!outstanding(|_| ()));
    assert!(outstanding(|record| record
        .connection
        .to_client
        .unacknowledged = 10));
    assert!(outstanding(|record| {
        record.connection.to_server.last_retransmission = Some(in_capture(0, 58_000.0));
    }));
    assert!(!outstanding(|record| {
        record.connection.to_server.last_retransmission = Some(in_capture(0, 10_000.0));
    }));
    // Repeated before the 101 that came all the same; what the client said after the end, nobody acknowledged.
    assert!(!outstanding(|record| {
        let stream = &mut record.connection.to_server;
        stream.last_retransmission = Some(in_capture(0, 1.5));
        stream.last_data = Some(in_capture(0, 4_000.0));
        stream.unacknowledged = 31;
        record.connection.ended.as_mut().unwrap().frame = in_capture(0, 3_000.0);
    }));
    // Repeated once and acknowledged: a sender that did not hear that would have repeated it again.
    assert!(!outstanding(|record| {
        let stream = &mut record.connection.to_client;
        stream.last_data = Some(in_capture(0, 57_000.0));
        stream.last_retransmission = Some(in_capture(0, 57_210.0));
    }));
    assert!(outstanding(|record| {
        let stream = &mut record.connection.to_client;
        stream.last_data = Some(in_capture(0, 57_000.0));
        stream.last_retransmission = Some(in_capture(0, 59_000.0));
    }));
    // Repeated, and more was sent after the end (close_notify, to one that is gone): what was repeated had come.
    let said_after = |ms: f64| {
        let stream = |record: &mut crate::hop::Record| {
            let stream = &mut record.connection.to_server;
            stream.last_retransmission = Some(in_capture(0, 59_800.0));
            stream.last_data = Some(in_capture(0, ms));
            stream.unacknowledged = 24;
        };
        let handshake = one([outer().fin(60_000.0, Side::Client).with(stream)]);
        handshake.session.unwrap().outstanding
    };
    assert!(!said_after(60_200.0));
    // Who only asks whether the end was lost has room for more (RFC 8985 7).
    assert!(said_after(60_050.0));
}

/// A FIN behind bytes that were not sent again when that was due tells that they came: a sender that repeats has no room for it.
#[test]
fn bytes_in_front_of_a_late_fin_were_heard() {
    const MS: i64 = 1_000_000;
    for (what, last, again, fin, rtt, outstanding) in [
        ("no FIN", 57_000.0, None, None, 1, true),
        ("a FIN after them", 57_000.0, None, Some(60_000.1), 1, false),
        (
            "the FIN comes sooner",
            59_500.0,
            None,
            Some(60_000.1),
            1,
            true,
        ),
        (
            "round trips are long",
            57_000.0,
            None,
            Some(60_000.1),
            1_500,
            true,
        ),
        (
            "they are sent again",
            57_000.0,
            Some(58_000.0),
            Some(60_000.1),
            1,
            true,
        ),
        (
            "others were, before",
            57_000.0,
            Some(50_000.0),
            Some(60_000.1),
            1,
            false,
        ),
    ] {
        let hop = outer().fin(60_000.0, Side::Client).with(|record| {
            record.connection.rtt_nanos = Some(rtt * MS);
            let stream = &mut record.connection.to_client;
            stream.unacknowledged = 10;
            stream.last_data = Some(in_capture(0, last));
            stream.last_retransmission = again.map(|ms| in_capture(0, ms));
            stream.fin = fin.map(|ms| in_capture(0, ms));
        });
        assert_eq!(
            one([hop]).session.unwrap().outstanding,
            outstanding,
            "{what}"
        );
    }
}
