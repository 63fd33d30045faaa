//! TLS that nobody opens, in front of a hop in clear: what joins, and what keeps from it.

use std::collections::{BTreeMap, BTreeSet};

use super::build::{Build, Table, in_capture, key, stripped, switching, upgrade};
use crate::hop::book::{Book, Clocks};
use crate::hop::{Confidence, Front, Handshake, JoinedBy, Party, Protocol, Record, Relayed};
use crate::tcp::{Chunk, Direction, Opening, Side};
use crate::tls::{Sizes, TlsFacts};

/// What TLS 1.3 has beside the text of a record.
const OVERHEAD: u16 = 17;

/// Lengths that a client and a server say in turns, and when.
type Said<'a> = &'a [(f64, Direction, u16)];

const UP: Direction = Direction::ToServer;
const DOWN: Direction = Direction::ToClient;

/// A short session of different lengths.
const TALK: Said<'static> = &[
    (20.0, UP, 46),
    (21.0, DOWN, 44),
    (30.0, UP, 106),
    (31.0, DOWN, 308),
];

/// One of messages that are as long as each other.
const STEADY: Said<'static> = &[
    (20.0, UP, 46),
    (21.0, DOWN, 44),
    (22.0, UP, 46),
    (23.0, DOWN, 44),
    (24.0, UP, 46),
    (25.0, DOWN, 44),
];

/// A front whose client asks at a time and is answered: a head of so many bytes, then what is said.
#[derive(Clone, Copy)]
struct Sealed<'a> {
    client: &'a str,
    capture: u16,
    asked: (f64, u16),
    answered: Option<(f64, u16)>,
    said: Said<'a>,
    ends: (f64, Side),
}

const FRONT: Sealed<'static> = Sealed {
    client: "192.0.2.7:40000",
    capture: 0,
    asked: (2.0, 250),
    answered: Some((6.0, 180)),
    said: TALK,
    ends: (50.0, Side::Server),
};

fn front(id: u32, sealed: Sealed<'_>) -> Record {
    let Sealed {
        client,
        capture,
        asked,
        answered,
        said,
        ends,
    } = sealed;
    let mut records = vec![(asked.0 - 0.5, UP, 36), (asked.0, UP, asked.1)];
    records.extend([(asked.0 + 0.2, DOWN, 250), (asked.0 + 0.2, DOWN, 250)]);
    records.extend(answered.map(|(ms, len)| (ms, DOWN, len)));
    records.extend(said);
    let mut sizes = Sizes::default();
    for (ms, direction, len) in records {
        sizes.add(direction, len + OVERHEAD, in_capture(capture, ms));
    }
    let server = "198.51.100.1:443";
    let first = asked.0 - 2.0;
    let built = Build::seen_by(capture, id, client, server, first).fin(ends.0, ends.1);
    built
        .with(|record| {
            record.protocol = Protocol::Tls;
            record.tls = Some(Box::new(TlsFacts {
                version: Some(0x0304),
                cipher: Some(0x1301),
                client_random: Some([u8::try_from(id).unwrap(); 32]),
                sizes: Some(Box::new(sizes)),
                ..TlsFacts::default()
            }));
        })
        .record()
}

/// A hop that a proxy opens at 3 ms for a request at 3.3 ms; it is answered with a 101 at 5 ms. All that is said comes `lag`
/// ms later to the server, and earlier from it.
fn hop(id: u32, capture: u16, lag: f64, said: Said<'_>) -> Build {
    let key = key(7);
    let head = format!("{}X-Real-IP: 203.0.113.99\r\n", upgrade("/ws", &key));
    let mut relayed = Relayed::default();
    for (place, &(ms, direction, len)) in said.iter().enumerate() {
        relayed.note(&Chunk {
            direction,
            position: place as u64,
            data: &vec![0; len.into()],
            frame: in_capture(capture, if direction == UP { ms + lag } else { ms - lag }),
        });
    }
    Build::seen_by(capture, id, "10.0.0.1:50000", "10.0.0.2:8080", 3.0)
        .ask(3.3, &head)
        .tell(5.0, &switching(&key))
        .session(20.0, 31.0, 77)
        .fin(49.0, Side::Client)
        .with(|record| record.exchanges[0].relayed = Some(Box::new(relayed)))
}

fn pair(clocks: Clocks, mut records: Vec<Record>) -> Vec<Handshake> {
    let mut book = Book::new(clocks);
    // A hop is known of before anything closes.
    records.sort_by_key(|record| record.exchanges.is_empty());
    for record in &records {
        for exchange in &record.exchanges {
            if let Some(head) = &exchange.request {
                book.attempt(&record.connection, exchange.index, head, false);
            }
        }
    }
    records.sort_by_key(|record| record.connection.last);
    for record in records {
        book.closed(record);
    }
    let mut out = Vec::new();
    book.finish(&mut out);
    out
}

fn joined(records: Vec<Record>) -> Option<Front> {
    let [handshake] = pair(Clocks::Same, records).try_into().unwrap();
    handshake.front.map(|front| *front)
}

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

#[test]
fn times_and_lengths_join() {
    let front = joined(vec![front(1, FRONT), hop(2, 0, 0.3, TALK).record()]).unwrap();
    assert_eq!(front.record.connection.id.0, 1);
    assert_eq!(front.by, JoinedBy::RecordsAndTime);
    assert_eq!(front.confidence, Confidence::Likely);
    assert_eq!(front.agreed, 4);
    assert_eq!(front.request, Some(in_capture(0, 2.0)));
    assert_eq!(front.answer, Some(in_capture(0, 6.0)));
}

#[test]
fn what_contradicts_keeps_them_apart() {
    let with = |change: fn(&mut Sealed<'_>)| {
        let mut sealed = FRONT;
        change(&mut sealed);
        sealed
    };
    for (why, sealed) in [
        ("asked after the hop did", with(|front| front.asked.0 = 3.4)),
        ("no head is so short", with(|front| front.asked.1 = 60)),
        (
            "nor is this one so long",
            with(|front| front.asked.1 = 4000),
        ),
        (
            "answered before the hop was",
            with(|front| front.answered = Some((4.9, 180))),
        ),
        (
            "answered much later",
            with(|front| front.answered = Some((900.0, 180))),
        ),
        (
            "another length",
            with(|front| front.said = &[(20.0, UP, 46), (21.0, DOWN, 44), (30.0, UP, 107)]),
        ),
        (
            "said later than relayed",
            with(|front| front.said = &[(20.5, UP, 46), (21.0, DOWN, 44)]),
        ),
        ("nothing was said", with(|front| front.said = &[])),
        (
            "gone before the hop began",
            with(|front| {
                front.ends.0 = 2.5;
                front.answered = None;
                front.said = &[];
            }),
        ),
        (
            "the client has a clear connection as well",
            with(|front| front.client = "10.0.0.1:40000"),
        ),
    ] {
        let records = vec![front(1, sealed), hop(2, 0, 0.3, TALK).record()];
        assert!(joined(records).is_none(), "{why}");
    }
}

#[test]
fn what_several_fit_is_joined_with_none() {
    let other = Sealed {
        client: "192.0.2.8:40000",
        ..FRONT
    };
    let hop = || hop(3, 0, 0.3, TALK).record();
    assert!(joined(vec![front(1, FRONT), front(2, other), hop()]).is_none());
    // Which of them the proxy named tells them apart.
    let named = Sealed {
        client: "203.0.113.99:40000",
        ..FRONT
    };
    let found = joined(vec![front(1, FRONT), front(2, named), hop()]).unwrap();
    assert_eq!(found.record.connection.id.0, 2);
    // So does a long run that one relays at once.
    let slow = Sealed {
        asked: (1.0, 250),
        answered: Some((16.0, 180)),
        client: "192.0.2.8:40000",
        ..FRONT
    };
    let found = joined(vec![front(1, slow), front(2, FRONT), hop()]).unwrap();
    assert_eq!(found.record.connection.id.0, 2);
}

#[test]
fn one_front_that_two_hops_fit_is_none_of_theirs() {
    let twin = hop(3, 0, 0.3, TALK).with(|record| {
        record.connection.client = super::build::at("10.0.0.1:50001");
        let request = upgrade("/ws", &key(8));
        record.exchanges[0].request = Build::new(9, "10.0.0.1:1", "10.0.0.2:1", 3.0)
            .ask(3.3, &request)
            .record()
            .exchanges[0]
            .request
            .clone();
        record.exchanges[0].response = None;
    });
    let records = vec![
        front(1, FRONT),
        hop(2, 0, 0.3, TALK).record(),
        twin.with(|record| {
            record.exchanges[0].response =
                hop(4, 0, 0.3, TALK).record().exchanges[0].response.clone();
        })
        .record(),
    ];
    let found = pair(Clocks::Same, records);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|handshake| handshake.front.is_none()));
}

#[test]
fn one_session_seen_twice_is_one() {
    let seen_again = front(
        2,
        Sealed {
            client: "10.9.9.9:40000",
            ..FRONT
        },
    );
    let again = |mut record: Record| {
        if let Some(tls) = &mut record.tls {
            tls.client_random = Some([1; 32]);
        }
        record.connection.server = super::build::at("10.0.0.1:443");
        record
    };
    let hop = hop(3, 0, 0.3, TALK).record();
    let found = joined(vec![front(1, FRONT), again(seen_again), hop]).unwrap();
    assert_eq!(found.record.connection.id.0, 2, "the one at the proxy");
}

#[test]
fn request_and_answer_alone_are_a_guess_where_a_proxy_asked() {
    let key = key(7);
    let refused = |head: &str| {
        Build::new(2, "10.0.0.1:50000", "10.0.0.2:8080", 3.0)
            .ask(3.3, head)
            .tell(5.0, &super::build::answer(403))
            .fin(7.0, Side::Client)
            .record()
    };
    let sealed = Sealed { said: &[], ..FRONT };
    let found = joined(vec![front(1, sealed), refused(&stripped("/ws", &key))]).unwrap();
    assert_eq!(
        (found.by, found.confidence),
        (JoinedBy::Time, Confidence::Guess)
    );
    // A client of its own may ask in clear at the same moment.
    assert!(joined(vec![front(1, sealed), refused(&upgrade("/ws", &key))]).is_none());
}

#[test]
fn by_another_clock_many_lengths_must_agree() {
    let talk: Vec<(f64, Direction, u16)> = (0..8_u16)
        .map(|turn| {
            let direction = if turn % 2 == 0 { UP } else { DOWN };
            (20.0 + f64::from(turn) * 3.0, direction, 40 + turn * 7)
        })
        .collect();
    let sealed = |said| {
        let mut record = front(
            1,
            Sealed {
                capture: 1,
                said,
                ..FRONT
            },
        );
        // The other clock is an hour ahead.
        let later =
            |frame: crate::capture::FrameRef| frame.with_time(frame.at.shifted(3_600_000_000_000));
        let tls = record.tls.as_mut().unwrap();
        tls.sizes.as_mut().unwrap().change_frames(later);
        record.connection.first = later(record.connection.first);
        record.connection.last = later(record.connection.last);
        record.connection.ended = None;
        record
    };
    let found = |said, of_hop: Said<'_>| {
        let records = vec![sealed(said), hop(2, 0, 0.3, of_hop).record()];
        let [handshake] = pair(Clocks::MayDiffer, records).try_into().unwrap();
        let capture = handshake
            .front
            .as_ref()
            .map(|one| one.record.connection.first.capture());
        let noted: Vec<_> = handshake.clock_offsets.iter().map(|one| one.0).collect();
        assert!(capture.into_iter().eq(noted), "its times are to be shifted");
        handshake.front
    };
    let front = found(&talk, &talk).unwrap();
    assert_eq!(front.by, JoinedBy::Records);
    assert_eq!(front.agreed, 8);
    let hour = 3_600_000_000_000;
    assert!(
        (front.offset_nanos + hour).abs() < 1_000_000,
        "{}",
        front.offset_nanos
    );
    assert!(found(&talk[..4], &talk[..4]).is_none(), "too few");
    let same: Vec<_> = talk.iter().map(|&(ms, way, _)| (ms, way, 40)).collect();
    assert!(found(&same, &same).is_none(), "all alike");
    let mut others = talk.clone();
    others[3].2 += 1;
    assert!(found(&others, &talk).is_none(), "another session");
}

/// A live view tells of it before anything closes, and takes it from nobody.
#[test]
fn a_preview_has_the_front_as_well() {
    let (sealed, behind) = (front(1, FRONT), hop(2, 0, 0.3, TALK).record());
    let mut book = Book::new(Clocks::Same);
    let head = behind.exchanges[0].request.as_ref().unwrap();
    book.sealed(&sealed.connection);
    book.attempt(&behind.connection, 0, head, false);
    let open = [&sealed, &behind].map(|record| (record.connection.id, record.clone()));
    let table = Table(BTreeMap::from(open));
    let touched = BTreeSet::from([behind.connection.id]);
    for _ in 0..2 {
        let [preview] = book.preview_of(&touched, &table).try_into().unwrap();
        assert!(!preview.settled);
        let found = preview.front.unwrap();
        assert_eq!(found.record.connection.id, sealed.connection.id);
        assert_eq!(found.by, JoinedBy::RecordsAndTime);
    }
}

#[test]
fn who_left_first_is_seen_on_the_front() {
    let by = |ends, last: Option<f64>| {
        let mut sealed = front(1, Sealed { ends, ..FRONT });
        let said = last.map(|ms| in_capture(0, ms));
        sealed.connection.to_server.last_data = said.or(Some(in_capture(0, 30.0)));
        let records = vec![sealed, hop(2, 0, 0.3, TALK).record()];
        let [handshake] = pair(Clocks::Same, records).try_into().unwrap();
        assert!(handshake.front.is_some());
        handshake.session.unwrap().ended_by
    };
    assert_eq!(by((50.0, Side::Server), None), Some(Party::Proxy));
    assert_eq!(by((48.5, Side::Client), None), Some(Party::Client));
    // The client's close_notify goes nowhere, and the proxy closes both.
    assert_eq!(by((50.0, Side::Server), Some(48.7)), Some(Party::Client));
    assert_eq!(
        by((50.0, Side::Client), None),
        Some(Party::Proxy),
        "too late"
    );
}
