//! Fronts of sessions that were up when the capture began.

use super::{DOWN, Said, TALK, UP, hop, pair};
use crate::hop::book::{Book, Clocks};
use crate::hop::tests::build::{Build, Table, in_capture};
use crate::hop::{Confidence, Front, JoinedBy, Protocol, Record};
use crate::tcp::{Direction, Opening, Side};
use crate::tls::{Sizes, TlsFacts};

/// One of messages that are as long as each other.
const STEADY: Said<'static> = &[
    (20.0, UP, 46),
    (21.0, DOWN, 44),
    (22.0, UP, 46),
    (23.0, DOWN, 44),
    (24.0, UP, 46),
    (25.0, DOWN, 44),
];

/// A front that was up when the capture began, of which nothing is known but the lengths.
fn late_front(id: u32, client: &str, overhead: u16, said: Said<'_>) -> Record {
    let mut sizes = Sizes::default();
    for &(ms, direction, len) in said {
        sizes.add(direction, len + overhead, in_capture(0, ms));
    }
    Build::seen_by(0, id, client, "198.51.100.1:443", 19.0)
        .fin(50.0, Side::Server)
        .with(|record| {
            record.protocol = Protocol::Tls;
            record.connection.opening = Opening::Midstream;
            record.tls = Some(Box::new(TlsFacts {
                sizes: Some(Box::new(sizes)),
                ..TlsFacts::default()
            }));
        })
        .record()
}

/// A hop that was up as well.
fn late_hop(id: u32, lag: f64, said: Said<'_>) -> Record {
    let whole = hop(id, 0, lag, said);
    whole
        .with(|record| {
            record.connection.opening = Opening::Midstream;
            let exchange = &mut record.exchanges[0];
            (exchange.request, exchange.response) = (None, None);
        })
        .record()
}

#[test]
fn sessions_that_were_up_are_joined_by_what_was_relayed_since() {
    let client = "192.0.2.7:40000";
    let other = "192.0.2.8:40000";
    let shifted: Vec<_> = TALK
        .iter()
        .map(|&(ms, way, len)| (ms, way, len + 1))
        .collect();
    let behind = |first: (f64, Direction, u16)| [&[first], TALK].concat();
    let (down, up) = (behind((19.5, DOWN, 70)), behind((19.5, UP, 70)));
    let begun = |mut front: Record| {
        front.tls.as_mut().unwrap().client_hello = Some(in_capture(0, 19.0));
        front
    };
    let hop = || late_hop(9, 0.3, TALK);
    let fits = |overhead| late_front(1, client, overhead, TALK);
    for (name, records, agreed) in [
        ("TLS 1.3", vec![fits(17), hop()], Some(4)),
        ("TLS 1.2, AES-GCM", vec![fits(24), hop()], Some(4)),
        ("TLS 1.2, ChaCha20", vec![fits(16), hop()], Some(4)),
        ("no overhead that is in use", vec![fits(20), hop()], None),
        (
            "an answer was on its way",
            vec![late_front(1, client, 17, &down), hop()],
            Some(4),
        ),
        (
            "a message was on its way",
            vec![fits(17), late_hop(9, 0.3, &up)],
            Some(4),
        ),
        (
            "a message that went nowhere",
            vec![late_front(1, client, 17, &up), hop()],
            None,
        ),
        (
            "other lengths",
            vec![late_front(1, client, 17, &shifted), hop()],
            None,
        ),
        (
            "too few lengths",
            vec![
                late_front(1, client, 17, &TALK[..2]),
                late_hop(9, 0.3, &TALK[..2]),
            ],
            None,
        ),
        (
            "relayed too late",
            vec![fits(17), late_hop(9, 300.0, TALK)],
            None,
        ),
        (
            "it began in the capture",
            vec![begun(fits(17)), hop()],
            None,
        ),
        (
            "one of two",
            vec![fits(17), late_front(2, other, 17, &shifted), hop()],
            Some(4),
        ),
        (
            "two that fit",
            vec![fits(17), late_front(2, other, 17, TALK), hop()],
            None,
        ),
        (
            "two hops that fit",
            vec![fits(17), hop(), late_hop(10, 0.3, TALK)],
            None,
        ),
    ] {
        let handshakes = pair(Clocks::Same, records);
        let fronts: Vec<_> = handshakes
            .iter()
            .filter_map(|one| one.front.as_deref())
            .collect();
        let of = |front: &&Front| (front.agreed, front.request, front.by);
        let expected = agreed.map(|agreed| (agreed, None, JoinedBy::RecordsAndTime));
        assert_eq!(fronts.first().map(of), expected, "{name}");
        assert!(
            fronts
                .iter()
                .all(|front| front.confidence == Confidence::Likely)
        );
    }
}

/// At some messages a second, as long as each other, the ones of any two sessions are in time, and a connection behind a hop looks
/// like one in front of it.
#[test]
fn sessions_that_were_up_are_joined_by_what_was_relayed_at_once() {
    let front = |said| late_front(1, "192.0.2.7:40000", 17, said);
    // One more that went out there, one more that came in here: all fit but the first ones.
    let asked = [STEADY, &[(26.0, UP, 46)]].concat();
    let answered = [STEADY, &[(27.0, DOWN, 44)]].concat();
    for (name, records, joined) in [
        (
            "another session's",
            vec![front(TALK), late_hop(9, 8.0, TALK)],
            false,
        ),
        (
            "one behind",
            vec![front(&answered), late_hop(9, -0.1, &asked)],
            false,
        ),
        (
            "one in front",
            vec![front(STEADY), late_hop(9, 0.1, STEADY)],
            true,
        ),
    ] {
        let handshakes = pair(Clocks::Same, records);
        let fronts = handshakes.iter().filter(|one| one.front.is_some());
        assert_eq!(fronts.count(), usize::from(joined), "{name}");
    }
}

/// Each front is compared with each session: of a crowd that speaks at once, neither is joined nor takes long.
#[test]
fn sessions_of_a_crowd_that_speaks_at_once_are_not_compared() {
    let front = |id: u32| late_front(id, &format!("192.0.2.7:{}", 40_000 + id), 17, TALK);
    let other = |id: u32| late_front(id, &format!("192.0.2.7:{}", 40_000 + id), 20, TALK);
    for (others, joined) in [(100, true), (200, false)] {
        let mut records: Vec<_> = (20..20 + others).map(other).collect();
        records.extend([front(1), late_hop(9, 0.3, TALK)]);
        let [handshake] = pair(Clocks::Same, records).try_into().unwrap();
        assert_eq!(handshake.front.is_some(), joined, "{others}");
    }
}

/// Of those that say the same in the same moment, some end while others go on: a front belongs to none of them for certain.
#[test]
fn a_front_that_fits_a_session_which_is_still_told_of_later_is_joined_with_none() {
    let front = || late_front(1, "192.0.2.7:40000", 17, TALK);
    let begins_early = |mut record: Record| {
        let session = record.exchanges[0].session.as_mut().unwrap();
        session.established = in_capture(0, -10_000.0);
        record
    };
    let other = || begins_early(late_hop(10, 0.4, TALK));
    for (name, open, closed, joined) in [
        ("alone", None, None, true),
        ("one that is open", Some(other()), None, false),
        ("one that just closed", None, Some(other()), false),
    ] {
        let mut book = Book::new(Clocks::Same);
        let mut table = Table::default();
        if let Some(record) = open {
            book.late(record.connection.id);
            table.0.insert(record.connection.id, record);
        }
        book.closed(front());
        book.late(late_hop(9, 0.3, TALK).connection.id);
        book.closed(late_hop(9, 0.3, TALK));
        let mut out = Vec::new();
        if let Some(mut record) = closed {
            // It waits when the first one is told.
            record.connection.last = in_capture(0, 200.0);
            book.late(record.connection.id);
            book.closed(record);
        }
        book.settle(in_capture(0, 400.0).at, &table, &mut out);
        let [handshake] = out.as_slice() else {
            panic!("{name}: {}", out.len());
        };
        assert_eq!(handshake.hops[0].record.connection.id.0, 9, "{name}");
        assert_eq!(handshake.front.is_some(), joined, "{name}");
    }
}

/// Nothing that comes later explains why it has no answer: its session was up.
#[test]
fn a_session_that_was_up_is_told_soon_after_its_end() {
    let mut book = Book::new(Clocks::Same);
    book.closed(late_hop(9, 0.3, TALK));
    let mut out = Vec::new();
    book.settle(in_capture(0, 2_000.0).at, &Table::default(), &mut out);
    assert_eq!(out.len(), 1);
}

/// What is in front may be gone before the hop behind it ends, and nothing else keeps it in mind.
#[test]
fn a_front_that_was_up_is_kept_until_the_hop_behind_it_ends() {
    let mut book = Book::new(Clocks::Same);
    book.closed(late_front(1, "192.0.2.7:40000", 17, TALK));
    let mut out = Vec::new();
    let now = in_capture(0, 20_000.0).at;
    book.settle(now, &Table::default(), &mut out);
    book.closed(late_hop(9, 0.3, TALK));
    book.finish(&mut out);
    let [handshake] = out.as_slice() else {
        panic!("{}", out.len());
    };
    assert!(handshake.front.is_some());
}
