//! Handshakes of which only the backends' side is in the capture: what the proxy asked before belongs to them.

use std::collections::BTreeMap;

use super::hops::*;
use crate::hop::{Book, Clocks, Handshake, Record, Role};
use crate::tcp::{ConnectionId, Side};

const OTHER: &str = "10.20.0.12:8080";

fn asked(id: u32, server: &str, ms: f64, head: &str) -> Build {
    let client = format!("10.20.0.1:{}", 51_000 + id);
    Build::new(id, &client, server, ms - 0.5).ask(ms, head)
}

fn permission(id: u32, ms: f64, key: &str, status: u16) -> Build {
    asked(id, OTHER, ms, &stripped("/auth", key)).tell(ms + 1.0, &answer(status))
}

fn switched(id: u32, ms: f64, key: &str) -> Build {
    asked(id, BACKEND, ms, &upgrade("/ws", key)).tell(ms + 1.0, &switching(key))
}

/// The backend ends the connection instead of an answer.
fn given_up(id: u32, ms: f64, key: &str) -> Build {
    asked(id, BACKEND, ms, &upgrade("/ws", key)).fin(ms + 1.0, Side::Server)
}

/// Ids of hops, subrequests and attempts.
fn ids(handshake: &Handshake) -> [Vec<u64>; 3] {
    let id = |record: &Record| record.connection.id.0;
    [
        handshake.hops.iter().map(|hop| id(&hop.record)).collect(),
        handshake
            .subrequests
            .iter()
            .map(|hop| id(&hop.record))
            .collect(),
        handshake
            .attempts
            .iter()
            .map(|one| id(&one.record))
            .collect(),
    ]
}

#[test]
fn what_the_proxy_asked_before_is_no_handshake_of_its_own() {
    let found = paired([
        permission(1, 1.0, &key(1), 204),
        given_up(2, 3.0, &key(1)),
        switched(3, 5.0, &key(1)),
    ]);
    let [handshake] = found.as_slice() else {
        panic!("{found:#?}");
    };
    assert_eq!(ids(handshake), [vec![3], vec![1], vec![2]]);
    assert_eq!(handshake.hops[0].role, Role::ProxyBackend);
}

#[test]
fn what_proves_nothing_stays_apart() {
    let elsewhere = Build::new(2, "10.20.0.9:51000", BACKEND, 4.5)
        .ask(5.0, &upgrade("/ws", &key(1)))
        .tell(6.0, &switching(&key(1)));
    for (name, records) in [
        (
            "refused",
            [permission(1, 1.0, &key(1), 403), switched(2, 3.0, &key(1))],
        ),
        (
            "a sample key",
            [permission(1, 1.0, SAMPLE, 204), switched(2, 3.0, SAMPLE)],
        ),
        (
            "another key",
            [given_up(1, 1.0, &key(1)), switched(2, 3.0, &key(2))],
        ),
        (
            "later",
            [given_up(1, 1.0, &key(1)), switched(2, 3000.0, &key(1))],
        ),
        ("another sender", [given_up(1, 1.0, &key(1)), elsewhere]),
    ] {
        assert_eq!(paired(records).len(), 2, "{name}");
    }
}

/// The first one is over long before the session ends: it waits for it.
#[test]
fn the_book_keeps_them_together() {
    let early = given_up(1, 1.0, &key(1)).record();
    let late = switched(2, 3.0, &key(1))
        .session(10.0, 40_000.0, 7)
        .fin(40_000.0, Side::Client)
        .record();
    let mut book = Book::new(Clocks::Same);
    let open = Table(BTreeMap::from([(ConnectionId(2), late.clone())]));
    for record in [&early, &late] {
        let head = record.exchanges[0].request.as_ref().unwrap();
        book.attempt(&record.connection, 0, head, false);
    }
    book.closed(early);
    let mut out = Vec::new();
    book.settle(in_capture(0, 20_000.0).at, &open, &mut out);
    assert!(out.is_empty());
    book.closed(late);
    book.settle(
        in_capture(0, 60_000.0).at,
        &Table(BTreeMap::new()),
        &mut out,
    );
    assert_eq!(
        out.iter().map(ids).collect::<Vec<_>>(),
        [[vec![2], vec![], vec![1]]]
    );
}
