//! The book of handshakes in the making: when one is settled, what is shown before, and what is given up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::hops::*;
use crate::capture::Timestamp;
use crate::hop::{BackendSight, Book, Clocks, Handshake, Record};
use crate::tcp::{ConnectionId, Opening, Side};

fn second(seconds: f64) -> Timestamp {
    in_capture(0, seconds * 1000.0).at
}

fn settled(book: &mut Book, seconds: f64, table: &Table) -> Vec<Handshake> {
    let mut out = Vec::new();
    book.settle(second(seconds), table, &mut out);
    out
}

fn ids(handshake: &Handshake) -> Vec<u64> {
    let hops = handshake.hops.iter().chain(&handshake.subrequests);
    hops.map(|hop| hop.record.connection.id.0).collect()
}

fn attempt(book: &mut Book, record: &Record) {
    for exchange in &record.exchanges {
        let head = exchange.request.as_ref().unwrap();
        book.attempt(&record.connection, exchange.index, head, false);
    }
}

fn outer(id: u32, ms: f64, key: &str, status: u16) -> Build {
    Build::new(
        id,
        &format!("192.168.60.{}:4000", id % 250 + 1),
        FRONT,
        ms - 1.0,
    )
    .ask(ms, &upgrade("/ws", key))
    .tell(ms + 10.0, &told(key, status))
}

fn inner(id: u32, ms: f64, key: &str, status: u16) -> Build {
    Build::new(
        id,
        &format!("10.20.0.1:{}", 10_000 + id % 50_000),
        BACKEND,
        ms + 1.0,
    )
    .ask(ms + 2.0, &upgrade("/ws", key))
    .tell(ms + 8.0, &told(key, status))
}

#[test]
fn waits_for_the_hop_that_is_still_open() {
    let (a, b) = (
        outer(0, 0.0, &key(1), 101).record(),
        inner(1, 0.0, &key(1), 101).record(),
    );
    let mut book = Book::new(Clocks::Same);
    attempt(&mut book, &a);
    attempt(&mut book, &b);
    let mut table = Table(BTreeMap::from([(ConnectionId(1), b.clone())]));
    book.closed(a);
    for at in [1.0, 10.0, 60.0] {
        assert!(settled(&mut book, at, &table).is_empty(), "{at}");
    }
    let preview = book.preview(&table);
    assert_eq!(preview.iter().map(ids).collect::<Vec<_>>(), [[0, 1]]);
    assert!(!preview[0].settled);
    table.0.clear();
    book.closed(b);
    assert!(settled(&mut book, 60.1, &table).is_empty());
    let found = settled(&mut book, 70.0, &table);
    assert_eq!(found.iter().map(ids).collect::<Vec<_>>(), [[0, 1]]);
    assert!(found[0].settled);
    assert!(book.preview(&table).is_empty());
}

/// A live view that looks too seldom: what was decided and closed since then is shown at the next look, not only when it
/// settles, which other exchanges with its key put off.
#[test]
fn what_closes_between_two_previews_is_previewed() {
    let (waiting, refused) = (
        outer(0, 0.0, &key(1), 101).record(),
        outer(1, 5.0, &key(1), 403).record(),
    );
    let nothing = BTreeSet::new();
    let table = Table(BTreeMap::from([(ConnectionId(0), waiting.clone())]));
    let mut book = Book::new(Clocks::Same);
    assert!(book.preview_of(&nothing, &table).is_empty());
    attempt(&mut book, &waiting);
    attempt(&mut book, &refused);
    book.leaves_untold(ConnectionId(1));
    book.closed(refused);
    let preview = book.preview_of(&nothing, &table);
    assert!(
        preview.iter().any(|one| ids(one).contains(&1)),
        "{preview:?}"
    );
    assert!(book.preview_of(&nothing, &table).is_empty());
}

/// However many close at one moment: those that closed first do not wait, their hops are still paired, and it is told.
#[test]
fn a_crowd_is_paired_before_its_time() {
    let mut book = Book::new(Clocks::Same).with_room(100_000);
    let table = Table::default();
    for n in 0..50 {
        let ms = f64::from(n) / 1000.0;
        for record in [
            outer(2 * n, ms, &key(n as u8), 101).record(),
            inner(2 * n + 1, ms, &key(n as u8), 101).record(),
        ] {
            attempt(&mut book, &record);
            book.closed(record);
        }
    }
    assert!(book.is_crowded());
    let found = settled(&mut book, 0.001, &table);
    assert!(!book.is_crowded() && book.kept() > 0);
    assert!(!found.is_empty() && found.len() < 50);
    assert!(found.iter().all(|found| found.hops.len() == 2));
    assert_eq!(book.hurried(), found.len() as u64);
    let mut rest = Vec::new();
    book.finish(&mut rest);
    assert_eq!(found.len() + rest.len(), 50);
}

#[test]
fn takes_a_snapshot_of_what_stays_open_and_reports_it_once() {
    let (a, b) = (
        outer(0, 0.0, &key(1), 400).record(),
        inner(1, 0.0, &key(1), 400).record(),
    );
    let mut book = Book::new(Clocks::Same);
    attempt(&mut book, &a);
    attempt(&mut book, &b);
    let table = Table(BTreeMap::from([(ConnectionId(1), b.clone())]));
    book.closed(a);
    assert!(settled(&mut book, 70.0, &table).is_empty());
    let found = settled(&mut book, 90.0, &table);
    assert_eq!(found.iter().map(ids).collect::<Vec<_>>(), [[0, 1]]);
    // The kept-alive connection carries another attempt before it closes.
    let later = inner(1, 0.0, &key(1), 400).ask(95_000.0, &upgrade("/ws", &key(2)));
    let later = later.tell(95_001.0, &answer(400)).record();
    attempt(&mut book, &later);
    book.closed(later);
    let mut out = Vec::new();
    book.finish(&mut out);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].hops[0].exchange().index, 1);
}

#[test]
fn an_open_session_with_the_same_key_is_left_alone() {
    let session = outer(0, 0.0, &key(1), 101).record();
    let (a, b) = (
        outer(2, 50.0, &key(1), 101).record(),
        inner(3, 50.0, &key(1), 101).record(),
    );
    let mut book = Book::new(Clocks::Same);
    for record in [&session, &a, &b] {
        attempt(&mut book, record);
    }
    let table = Table(BTreeMap::from([(ConnectionId(0), session)]));
    book.closed(a);
    book.closed(b);
    let found = settled(&mut book, 10.0, &table);
    assert_eq!(found.iter().map(ids).collect::<Vec<_>>(), [[2, 3]]);
}

#[test]
fn hanging_connects_are_found_in_the_table() {
    let a = outer(0, 0.0, &key(1), 504).fin(11.0, Side::Server).record();
    let hanging = Build::new(1, "192.168.50.1:50000", BACKEND, 1.0)
        .opening(Opening::Unanswered, 7.0)
        .record();
    let mut book = Book::new(Clocks::Same);
    attempt(&mut book, &a);
    let table = Table(BTreeMap::from([(ConnectionId(1), hanging)]));
    book.closed(a);
    assert_eq!(book.preview(&table)[0].attempts.len(), 1);
    let found = settled(&mut book, 100.0, &table);
    assert_eq!(found[0].attempts.len(), 1);
    assert_eq!(found[0].backend, BackendSight::Seen);
}

/// The server behind the proxy is a proxy too, and passes on that it got nowhere.
#[test]
fn a_hanging_connect_further_in_is_found_in_the_table() {
    let a = outer(0, 0.0, &key(1), 504).fin(11.0, Side::Server).record();
    let b = inner(1, 0.0, &key(1), 504).fin(10.5, Side::Server).record();
    let hanging = Build::new(2, "10.20.0.11:50000", "10.20.0.12:8080", 4.0)
        .opening(Opening::Unanswered, 7.0)
        .record();
    let mut book = Book::new(Clocks::Same);
    attempt(&mut book, &a);
    attempt(&mut book, &b);
    let table = Table(BTreeMap::from([(ConnectionId(2), hanging)]));
    book.closed(a);
    book.closed(b);
    assert_eq!(book.preview(&table)[0].attempts.len(), 1);
    let found = settled(&mut book, 100.0, &table);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].attempts.len(), 1);
    assert_eq!(found[0].attempts[0].parent, 1);
}

/// Two requests fail at the same time and the proxy's connects look alike: each gets one, and a request that was served
/// meanwhile gets none, in whatever order they are settled.
#[test]
fn failed_connects_are_shared_among_those_that_failed() {
    let refused = |id: u32, ms: f64| {
        Build::new(id, &format!("192.168.50.1:{}", 50_000 + id), BACKEND, ms)
            .opening(Opening::Refused, ms + 0.1)
            .record()
    };
    let failed = |id: u32, ms: f64| outer(id, ms, &key(id as u8), 502).fin(ms + 11.0, Side::Server);
    let mut book = Book::new(Clocks::Same);
    let records = [
        outer(0, 0.0, &key(9), 101).record(),
        failed(1, 0.2).record(),
        failed(2, 0.4).record(),
        refused(3, 0.5),
        refused(4, 0.6),
        inner(5, 0.0, &key(9), 101).record(),
    ];
    for record in &records {
        attempt(&mut book, record);
    }
    for record in records {
        book.closed(record);
    }
    let found = settled(&mut book, 10.0, &Table::default());
    let attempts: Vec<_> = found
        .iter()
        .map(|handshake| (ids(handshake), handshake.attempts.len()))
        .collect();
    assert_eq!(attempts, [(vec![0, 5], 0), (vec![1], 1), (vec![2], 1)]);
}

/// A relay is refused before the client, for whom it dialled, has sent its request.
#[test]
fn a_connect_before_the_request_is_kept_for_it() {
    let waits = Build::new(0, CLIENT, FRONT, 0.5)
        .ask(3.0, &upgrade("/ws", &key(1)))
        .fin(1.5, Side::Server)
        .record();
    let refused = Build::new(1, BACK, BACKEND, 1.0)
        .opening(Opening::Refused, 1.1)
        .record();
    let mut book = Book::new(Clocks::Same);
    book.closed(refused);
    let none = Table(BTreeMap::new());
    assert!(settled(&mut book, 0.002, &none).is_empty());
    attempt(&mut book, &waits);
    book.closed(waits);
    let found = settled(&mut book, 70.0, &none);
    assert_eq!(found[0].attempts.len(), 1);
    assert_eq!(book.kept(), 0);
}

#[test]
fn a_scan_costs_no_memory() {
    let mut book = Book::new(Clocks::Same);
    let syn = |id: u32| {
        Build::new(
            id,
            &format!("10.66.{}.{}:1000", id / 250 % 250, id % 250),
            BACKEND,
            5.0,
        )
        .opening(Opening::Refused, 5.1)
        .record()
    };
    for id in 10..2000 {
        book.closed(syn(id));
    }
    assert!(book.kept() <= 16, "no attempt, hardly anything to keep");
    attempt(&mut book, &outer(0, 0.0, &key(1), 502).record());
    for id in 10..60_000 {
        book.closed(syn(id));
    }
    assert!(book.kept() <= 8192, "{}", book.kept());
}

#[test]
fn files_with_other_clocks_are_paired_at_the_end() {
    let a = outer(0, 0.0, &key(1), 101).fin(50.0, Side::Client).record();
    let b = Build::seen_by(1, 1, "10.20.0.1:51000", BACKEND, 3_600_000.0)
        .ask(3_600_001.0, &upgrade("/ws", &key(1)))
        .tell(3_600_003.0, &switching(&key(1)))
        .record();
    let mut book = Book::new(Clocks::MayDiffer);
    attempt(&mut book, &a);
    book.closed(a);
    assert!(settled(&mut book, 3000.0, &Table::default()).is_empty());
    attempt(&mut book, &b);
    book.closed(b);
    let mut out = Vec::new();
    book.finish(&mut out);
    assert_eq!(out.iter().map(ids).collect::<Vec<_>>(), [[0, 1]]);
    assert_eq!(out[0].clock_offsets.len(), 1);
}

/// Runs records through a book in the order of their attempts and endings, settling every second.
fn run(records: &[Record]) -> Vec<Handshake> {
    enum Event<'a> {
        Attempt(&'a Record),
        Closed(&'a Record),
    }
    let mut events = Vec::new();
    for record in records {
        if let Some(exchange) = record.exchanges.first() {
            let at = exchange.request.as_ref().unwrap().span.first;
            events.push((at, record.connection.id, Event::Attempt(record)));
        }
        let connection = &record.connection;
        events.push((connection.last, connection.id, Event::Closed(record)));
    }
    events.sort_by_key(|(at, id, event)| (*at, *id, matches!(event, Event::Closed(_))));
    let mut table = Table::default();
    let mut book = Book::new(Clocks::Same);
    let mut out = Vec::new();
    let mut next = Timestamp::default();
    for (frame, id, event) in events {
        if frame.at >= next {
            book.settle(frame.at, &table, &mut out);
            next = frame.at.plus(Duration::from_secs(1));
        }
        match event {
            Event::Attempt(record) => {
                table.0.insert(id, record.clone());
                attempt(&mut book, record);
            }
            Event::Closed(record) => {
                table.0.remove(&id);
                book.closed(record.clone());
            }
        }
    }
    book.finish(&mut out);
    out
}

#[test]
fn many_sessions_cost_little_each() {
    // 4000 at a time, 10000 in all, every fourth with the key of the recipes.
    let count = 10_000_u32;
    let records: Vec<Record> = (0..count)
        .flat_map(|n| {
            let key = if n % 4 == 0 {
                "dGhlIHNhbXBsZSBub25jZQ==".to_owned()
            } else {
                format!("{n:022}==")
            };
            let ms = f64::from(n) * 5.0;
            let bytes = u64::from(n) + 1;
            [
                outer(2 * n, ms, &key, 101)
                    .session(ms + 20.0, ms + 19_000.0, bytes)
                    .fin(ms + 20_000.0, Side::Server)
                    .record(),
                inner(2 * n + 1, ms, &key, 101)
                    .session(ms + 20.1, ms + 19_000.1, bytes)
                    .fin(ms + 19_999.9, Side::Server)
                    .record(),
            ]
        })
        .collect();
    let handshakes = run(&records);
    assert_eq!(handshakes.len(), count as usize);
    for handshake in &handshakes {
        let found = ids(handshake);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0] + 1, found[1]);
    }
    let ordered = handshakes
        .windows(2)
        .all(|pair| pair[0].started() <= pair[1].started());
    assert!(ordered);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Which connection closes first decides nothing.
    #[test]
    fn order_of_closing_changes_nothing(order in Just((0..24_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let sample = "dGhlIHNhbXBsZSBub25jZQ==";
        let mut records = Vec::new();
        for n in 0..8_u32 {
            let key = if n % 2 == 0 { sample.to_owned() } else { key(n as u8) };
            let ms = f64::from(n) * 3.0;
            records.push(outer(3 * n, ms, &key, 101).record());
            records.push(inner(3 * n + 1, ms, &key, 101).record());
            let refused = Build::new(3 * n + 2, "10.20.0.1:9000", "10.20.0.12:8080", ms + 1.5);
            records.push(refused.opening(Opening::Refused, ms + 1.6).record());
        }
        let describe = |order: &[usize]| {
            let mut book = Book::new(Clocks::Same);
            for record in &records {
                attempt(&mut book, record);
            }
            for &place in order {
                book.closed(records[place].clone());
            }
            let mut out = Vec::new();
            book.finish(&mut out);
            format!("{out:?}")
        };
        let straight: Vec<usize> = (0..24).collect();
        prop_assert_eq!(describe(&straight), describe(&order));
    }

    /// Settling while the capture goes on finds what pairing all at once finds.
    #[test]
    fn settling_early_or_late_finds_the_same(lasts in prop::collection::vec(1_u32..200, 12)) {
        let records: Vec<Record> = lasts
            .iter()
            .enumerate()
            .flat_map(|(n, &seconds)| {
                let n = n as u32;
                let ms = f64::from(n) * 700.0;
                let end = ms + 100.0 + f64::from(seconds) * 1000.0;
                let key = key(n as u8);
                [
                    outer(2 * n, ms, &key, 101).fin(end, Side::Server).record(),
                    inner(2 * n + 1, ms, &key, 101).fin(end - 0.2, Side::Server).record(),
                ]
            })
            .collect();
        let mut early: Vec<_> = run(&records).iter().map(ids).collect();
        early.sort();
        let shared: Vec<_> = records.iter().cloned().map(Into::into).collect();
        let late: Vec<_> = crate::hop::pair(&shared, &mut crate::hop::Known::default())
            .iter()
            .map(ids)
            .collect();
        prop_assert_eq!(early, late);
    }
}

/// A request that only its proxy made an attempt: the attempt begins after it.
#[test]
fn keeps_an_ordinary_request_around_an_attempt() {
    let ask = "GET /page HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\nConnection: upgrade\r\n";
    let inner = Build::new(1, "192.168.50.1:5000", BACKEND, 1.5)
        .ask(2.0, ask)
        .tell(3.0, &answer(400));
    let inner = inner.record();
    let mut book = Book::new(Clocks::Same);
    attempt(&mut book, &inner);
    let outer = Build::new(0, "192.168.60.1:4000", FRONT, 0.5).ordinary(1.0, 9.0, "/page");
    book.closed(outer.record());
    book.closed(inner);
    let found = settled(&mut book, 90.0, &Table::default());
    assert_eq!(found.iter().map(ids).collect::<Vec<_>>(), [[0, 1]]);
}
