//! TLS that nobody opens, in front of a hop in clear: what joins, and what keeps from it.

mod late;

use std::collections::{BTreeMap, BTreeSet};

use super::build::{Build, Table, in_capture, key, stripped, switching, upgrade};
use crate::hop::book::{Book, Clocks};
use crate::hop::{Confidence, Front, Handshake, JoinedBy, Party, Protocol, Record, Relayed};
use crate::tcp::{Chunk, Direction, Side};
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

/// close_notify before the backend has answered: nginx switches all the same, and only then sees that the client is gone.
#[test]
fn who_left_before_the_answer_left_first() {
    let records = vec![front(1, FRONT), hop(2, 0, 0.3, TALK).record()];
    let [handshake] = pair(Clocks::Same, records).try_into().unwrap();
    let mut front = *handshake.front.unwrap();
    let frame = |ms| in_capture(0, ms);
    (front.request, front.answer) = (Some(frame(10.0)), Some(frame(210.0)));
    let mut left = |said, end| {
        let mut record = Record::clone(&front.record);
        (
            record.connection.to_server.last_data,
            record.connection.ended,
        ) = (Some(frame(said)), None);
        front.record = record.into();
        front.left(None, frame(end)).map(|left| left.at)
    };
    assert_eq!(left(12.0, 212.0), Some(frame(12.0).at));
    assert_eq!(left(12.0, 300.0), None, "something else ended it");
    assert_eq!(left(10.0, 212.0), None, "that is the request");
    assert_eq!(left(298.0, 300.0), Some(frame(298.0).at));
}
