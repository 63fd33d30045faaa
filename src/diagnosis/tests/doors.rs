//! Clients that come back to a server and are not let in.

use super::*;
use crate::decode::{Endpoint, Unreachable};
use crate::diagnosis::Across;
use crate::hop::{Record, Role};
use crate::tcp::{Ending, EndingHow, Opening, Side};

/// A connection of the client that its server refused at `ms`.
fn refused(id: u32, client: Endpoint, server: Endpoint, ms: f64) -> Record {
    let mut record = conn(id, client, server, ms).record;
    record.exchange_count = 0;
    record.connection.opening = Opening::Refused;
    record.connection.syn_ack = None;
    record.connection.ended = Some(Ending {
        how: EndingHow::Rst,
        by: Side::Server,
        frame: at(ms + 0.1),
    });
    record
}

fn unanswered(id: u32, ms: f64, syns: u32, lasted: f64) -> Record {
    let mut record = refused(id, CLIENT, FRONT, ms);
    record.connection.opening = Opening::Unanswered;
    record.connection.ended = None;
    record.connection.syns = syns;
    record.connection.last = at(ms + lasted);
    record
}

/// What is told of these, and of a handshake of the client with the server at 1,000 ms.
fn told(records: &[Record]) -> Vec<Finding> {
    let mut across = Across::new();
    for record in records {
        across.connection(record);
    }
    let handshake = with_session(
        chain(vec![
            conn(0, CLIENT, FRONT, 1000.0)
                .ask(ASK, 1000.5)
                .answer(SWITCHED, 1001.7)
                .session(talk(2, 1001.7, 1100.0))
                .fin(Side::Client, 1200.0),
            conn(1, BACK, BACKEND, 1001.0)
                .ask(FORWARDED, 1001.2)
                .answer(SWITCH, 1001.6)
                .session(talk(2, 1001.6, 1100.0))
                .fin(Side::Client, 1200.1),
        ]),
        None,
    );
    for hop in &handshake.hops {
        across.connection(&hop.record);
    }
    across.diagnose(&handshake);
    let found = across.finish();
    assert_eq!(codes(&across.finish()), [], "forgotten once told");
    found
}

#[test]
fn a_client_that_comes_back_is_refused() {
    let again: Vec<Record> = (0..100)
        .map(|n| refused(10 + n, CLIENT, FRONT, 2000.0 + f64::from(n)))
        .collect();
    let found = told(&again);
    assert_eq!(codes(&found), [Code::ConnectRefused]);
    assert_eq!(
        found[0].title,
        "192.168.50.1:80 refused 100 connections of its WebSocket client 192.168.50.23"
    );
    assert!(found[0].connections.len() >= found[0].evidence.len());
    let apart = [
        refused(10, CLIENT, FRONT, 2000.0),
        refused(11, CLIENT, FRONT, 60_000.0),
    ];
    assert_eq!(
        codes(&told(&apart)),
        [Code::ConnectRefused, Code::ConnectRefused]
    );
}

#[test]
fn who_never_came_is_no_client() {
    let stranger = Endpoint::v4([192, 168, 50, 99], 40_000);
    let elsewhere = Endpoint::v4([192, 168, 50, 1], 8443);
    for (name, record) in [
        ("waits for the start", refused(10, CLIENT, FRONT, 500.0)),
        ("somebody else", refused(10, stranger, FRONT, 2000.0)),
        ("another port", refused(10, CLIENT, elsewhere, 2000.0)),
        ("the proxy's own try", refused(10, BACK, BACKEND, 2000.0)),
    ] {
        assert_eq!(codes(&told(&[record])), [], "{name}");
    }
    let both = [
        refused(10, CLIENT, FRONT, 500.0),
        refused(11, CLIENT, FRONT, 2000.0),
    ];
    let found = told(&both);
    assert_eq!(codes(&found), [Code::ConnectRefused]);
    assert_eq!(found[0].connections.len(), 1, "only what came after");
}

#[test]
fn silence_is_told_after_three_syns() {
    let icmp = |why| {
        let mut record = unanswered(10, 2000.0, 1, 1.0);
        record.connection.unreachable = Some((at(2000.5), why));
        record
    };
    for (name, record, expected) in [
        ("gave up", unanswered(10, 2000.0, 4, 7000.0), true),
        (
            "the first SYN was lost",
            unanswered(10, 2000.0, 2, 1000.0),
            false,
        ),
        ("three at once", unanswered(10, 2000.0, 3, 2.0), false),
        ("no route", icmp(Unreachable::Host), true),
        ("too big", icmp(Unreachable::TooBig), false),
    ] {
        let expected: &[Code] = if expected {
            &[Code::ConnectUnanswered]
        } else {
            &[]
        };
        assert_eq!(codes(&told(&[record])), expected, "{name}");
    }
}

/// Rows end by packet time, so that it does not matter when one asks.
#[test]
fn it_is_told_once_the_client_was_seen_and_the_row_is_over() {
    let handshake = alone(
        conn(0, CLIENT, FRONT, 1000.0)
            .ask(ASK, 1000.5)
            .answer(SWITCHED, 1001.7),
        Role::ClientProxy,
    );
    let mut across = Across::new();
    assert!(across.connection(&refused(10, CLIENT, FRONT, 2000.0)));
    let later = at(40_000.0).at;
    assert!(!across.has_due(later), "nobody knows the client yet");
    across.diagnose(&handshake);
    assert!(!across.has_due(at(20_000.0).at), "more may come");
    assert!(across.has_due(later));
    let found = across.due(later, Default::default);
    assert_eq!(codes(&found), [Code::ConnectRefused]);
    assert_eq!(codes(&across.finish()), []);
}

/// A scan fills half of what is remembered, and no more.
#[test]
fn a_scan_leaves_room_for_clients() {
    let mut across = Across::new();
    for n in 0..20_000_u32 {
        let [_, _, a, b] = n.to_be_bytes();
        let scanner = Endpoint::v4([10, 99, a, b], 40_000);
        across.connection(&refused(100 + n, scanner, FRONT, 10.0));
    }
    let handshake = alone(
        conn(0, CLIENT, FRONT, 1000.0)
            .ask(ASK, 1000.5)
            .answer(SWITCHED, 1001.7),
        Role::ClientProxy,
    );
    across.diagnose(&handshake);
    assert!(across.connection(&refused(10, CLIENT, FRONT, 2000.0)));
    assert_eq!(codes(&across.finish()), [Code::ConnectRefused]);
}
