//! The session over all its hops: who ended it, and after how much silence.

use super::hops::*;
use crate::hop::{Confidence, Front, JoinedBy, PairedBy, Party, Role};
use crate::http::PartialWhy;
use crate::tcp::{Ending, EndingHow, GapCause, Side};

/// The client hop of a session, ended by nobody yet.
fn outer() -> Build {
    client(0, 1.0, 3.0, &key(1), 101).session(10.0, 20.0, 7)
}

/// The backend hop of the same.
fn inner() -> Build {
    backend(1, 2.0, 1.0, &key(1), 101).session(10.1, 20.1, 7)
}

#[test]
fn idle_end_by_the_proxy() {
    let handshake = one([
        outer().fin(2020.1, Side::Server),
        inner().fin(2020.0, Side::Client),
    ]);
    let session = handshake.session.as_ref().unwrap();
    assert_eq!(session.ended_by, Some(Party::Proxy));
    assert_eq!(session.idle_before_end_nanos, Some(1_999_900_000));
    assert_eq!(session.endings.len(), 2);
    assert_eq!(session.endings[0].hop, 1);
    assert_eq!(
        handshake.hops[1].paired_by,
        Some((PairedBy::Bytes, Confidence::Certain))
    );
}

/// In TLS a side says that it will send no more before its FIN, and the other one may be faster with its own.
#[test]
fn a_close_notify_ends_a_session_before_the_fin_of_the_other_side() {
    use crate::tls::{Alert, Sealed, TlsFacts};
    let ended_by = |first: Side| {
        let hop = outer().fin(2020.2, Side::Server).fin(2020.1, Side::Client);
        let hop = hop.with(|record| {
            let notify = |from, ms| Alert {
                from,
                level: 1,
                description: 0,
                frame: in_capture(0, ms),
            };
            record.tls = Some(Box::new(TlsFacts {
                sealed: Sealed::Open {
                    first: in_capture(0, 1.0),
                },
                alerts: vec![notify(first, 2020.0), notify(first.other(), 2020.05)],
                ..TlsFacts::default()
            }));
        });
        let session = one([hop]).session.unwrap();
        (session.endings[0].by, session.endings[0].frame.at)
    };
    let fin = |ms| in_capture(0, ms).at;
    assert_eq!(ended_by(Side::Server), (Side::Server, fin(2020.2)));
    assert_eq!(ended_by(Side::Client), (Side::Client, fin(2020.1)));
}

/// The client says close_notify and waits; nginx ends both hops, and the client's own FIN is the last of all.
#[test]
fn a_close_notify_ends_a_session_before_the_proxy_ends_its_hops() {
    use crate::tls::{Alert, Sealed, TlsFacts};
    let session = |said_by: Side, ms: f64, reset: bool| {
        let notified = outer()
            .fin(2020.1, Side::Server)
            .fin(2020.2, Side::Client)
            .with(|record| {
                record.tls = Some(Box::new(TlsFacts {
                    sealed: Sealed::Open {
                        first: in_capture(0, 1.0),
                    },
                    alerts: vec![Alert {
                        from: said_by,
                        level: 1,
                        description: 0,
                        frame: in_capture(0, ms),
                    }],
                    ..TlsFacts::default()
                }));
            });
        let behind = inner().fin(2020.0, Side::Client).with(|record| {
            if reset {
                record.connection.ended.as_mut().unwrap().how = EndingHow::Rst;
            }
        });
        let session = one([notified, behind]).session.unwrap();
        (session.ended_by, session.ended.unwrap().how)
    };
    let fin = EndingHow::Fin;
    for (said_by, ms, reset, wanted) in [
        (Side::Client, 2019.9, false, (Some(Party::Client), fin)),
        // How the proxy goes about it is not how the client ended it.
        (Side::Client, 2019.9, true, (Some(Party::Client), fin)),
        (Side::Client, 2020.05, false, (Some(Party::Proxy), fin)),
        (Side::Server, 2020.05, false, (Some(Party::Proxy), fin)),
        (Side::Server, 2019.9, false, (Some(Party::Proxy), fin)),
    ] {
        assert_eq!(session(said_by, ms, reset), wanted, "{said_by:?} at {ms}");
    }
}

/// The client hop's 101 was not captured, and its session noticed only when it ended.
#[test]
fn a_session_is_as_old_as_the_answer_that_was_seen() {
    let key = key(1);
    let noticed_late = Build::new(0, CLIENT, FRONT, 0.5)
        .ask(1.0, &upgrade("/ws", &key))
        .session(2020.2, 20.0, 7)
        .fin(2020.2, Side::Client);
    let handshake = one([noticed_late, inner().fin(2020.0, Side::Client)]);
    let session = handshake.session.unwrap();
    let shown = &handshake.hops[1].session().unwrap().established;
    assert_eq!(&session.established, shown);
    assert!(session.idle_before_end_nanos > Some(1_900_000_000));
}

#[test]
fn who_ended_the_session() {
    type End = fn(Build, Build) -> [Build; 2];
    let cases: [(&str, End, Option<Party>); 7] = [
        (
            "client",
            |a, b| [a.fin(100.0, Side::Client), b.fin(100.1, Side::Client)],
            Some(Party::Client),
        ),
        (
            "backend",
            |a, b| [a.fin(100.1, Side::Server), b.fin(100.0, Side::Server)],
            Some(Party::Backend),
        ),
        (
            "proxy",
            |a, b| [a.fin(100.1, Side::Server), b.fin(100.0, Side::Client)],
            Some(Party::Proxy),
        ),
        (
            "proxy after a Close of the backend",
            |a, b| {
                [
                    a.close_frame(90.1, Side::Server).fin(100.1, Side::Server),
                    b.close_frame(90.0, Side::Server).fin(100.0, Side::Client),
                ]
            },
            Some(Party::Backend),
        ),
        ("nobody", |a, b| [a, b], None),
        (
            "client whose FIN was not captured",
            |a, b| {
                let a = a.fin(100.1, Side::Server).with(|record| {
                    record.connection.to_client.fin = record.connection.ended.map(|end| end.frame);
                    record.connection.ended.as_mut().unwrap().by = Side::Client;
                });
                [a, b.fin(100.0, Side::Client)]
            },
            Some(Party::Client),
        ),
        (
            "client's Close, though the backend closes TCP first",
            |a, b| {
                [
                    a.close_frame(90.0, Side::Client).fin(100.1, Side::Server),
                    b.close_frame(90.1, Side::Client).fin(100.0, Side::Server),
                ]
            },
            Some(Party::Client),
        ),
    ];
    for (name, end, party) in cases {
        let handshake = one(end(outer(), inner()));
        assert_eq!(handshake.session.unwrap().ended_by, party, "{name}");
    }
}

/// An end of the side that was not captured may have been the first.
#[test]
fn an_end_behind_a_hop_in_one_direction_is_nobodys() {
    let ended_by = |hidden: bool| {
        let outer = outer().fin(2020.1, Side::Server).with(|record| {
            record.connection.to_client.frames = 5;
            record.connection.to_server.frames = if hidden { 0 } else { 5 };
        });
        let handshake = one([outer, inner().fin(2020.0, Side::Client)]);
        handshake.session.unwrap().ended_by
    };
    assert_eq!(ended_by(false), Some(Party::Proxy));
    assert_eq!(ended_by(true), None);
}

#[test]
fn from_one_hop_a_proxy_cannot_be_told_from_what_is_behind_it() {
    let ended_by = |side| {
        let handshake = one([outer().fin(100.0, side)]);
        handshake.session.unwrap().ended_by
    };
    assert_eq!(ended_by(Side::Server), None);
    assert_eq!(ended_by(Side::Client), Some(Party::Client));
}

#[test]
fn a_close_frame_may_answer_one_that_was_not_captured() {
    let ended_by = |change: fn(&mut crate::hop::Record)| {
        let handshake = one([outer()
            .close_frame(90.0, Side::Client)
            .fin(100.0, Side::Server)
            .with(change)]);
        (
            handshake.hears(Side::Server),
            handshake.session.unwrap().ended_by,
        )
    };
    assert_eq!(ended_by(|_| ()), (true, Some(Party::Client)));
    assert_eq!(
        ended_by(|record| record.connection.to_client.missing_bytes = 4),
        (false, None)
    );
}

#[test]
fn a_close_frame_is_unanswered_only_where_no_answer_can_come_any_more() {
    let outer = || outer().close_frame(90.0, Side::Client);
    let both = || outer().close_frame(95.0, Side::Server);
    let lossy = |c: Build| c.with(|record| record.connection.to_client.missing_bytes = 4);
    for (name, hop, answered) in [
        ("answered", both(), Some(true)),
        ("the capture ends", outer(), None),
        ("half closed", outer().fin(100.0, Side::Client), None),
        ("closed", outer().fin(100.0, Side::Server), Some(false)),
        (
            "reset",
            outer().end(100.0, EndingHow::Rst, Side::Client),
            Some(false),
        ),
        (
            "closed, with a hole",
            lossy(outer().fin(100.0, Side::Server)),
            None,
        ),
    ] {
        assert_eq!(one([hop]).close_answered(Side::Client), answered, "{name}");
    }
    let silent = inner().fin(100.0, Side::Server);
    assert_eq!(
        one([both(), silent]).close_answered(Side::Client),
        Some(true)
    );
}

/// A snap length may cut the longer head that the proxy writes: TCP shows the end of that hop all the same.
#[test]
fn a_hop_of_which_the_answer_was_cut_ends_with_the_others() {
    let cut = |status: &str| {
        client(0, 1.0, 3.0, &key(1), 101)
            .fin(100.0, Side::Client)
            .with(|record| {
                let exchange = &mut record.exchanges[0];
                let answer = exchange.response.take().unwrap();
                exchange.partial_response = Some(Box::new(crate::hop::PartialHead {
                    first: answer.span.first,
                    last: answer.span.last,
                    bytes: format!("HTTP/1.1 {status}\r\nServer").into_bytes().into(),
                    why: PartialWhy::Gap(GapCause::Truncated),
                }));
                record.connection.to_client.last_data = Some(in_capture(0, 50.0));
            })
    };
    let inner = || inner().fin(100.1, Side::Client);
    let tunnel = one([cut("101 Switching Protocols"), inner()]);
    assert_eq!(tunnel.tunnel().count(), 2);
    let session = tunnel.session.unwrap();
    assert_eq!(session.ended_by, Some(Party::Client));
    assert_eq!(session.endings.len(), 2);
    assert_eq!(session.idle_before_end_nanos, Some(50_000_000));
    let refused = one([cut("502 Bad Gateway"), inner()]);
    assert_eq!(refused.tunnel().count(), 1, "no tunnel there");
}

/// A Close frame that came to a side that had ended before, by a FIN that the capture lacks, did not end the session.
#[test]
fn a_close_frame_that_came_too_late_ended_nothing() {
    type Change = fn(Build) -> Build;
    let lacks = |build: Build| build.with(|record| record.connection.to_client.unseen_at_end = 1);
    let table: [(&str, bool, Change, Option<Party>); 5] = [
        (
            "nothing lacks",
            false,
            |hop| hop.end(91.0, EndingHow::Rst, Side::Server),
            Some(Party::Client),
        ),
        (
            "met with a reset",
            true,
            |hop| hop.end(91.0, EndingHow::Rst, Side::Server),
            None,
        ),
        ("no end behind it", true, |hop| hop, None),
        (
            "answered by a FIN that is seen",
            true,
            |hop| hop.fin(91.0, Side::Server),
            Some(Party::Client),
        ),
        (
            "its own FIN behind it",
            true,
            |hop| hop.fin(91.0, Side::Client),
            Some(Party::Client),
        ),
    ];
    for (what, hidden, ends, by) in table {
        let outer = outer().close_frame(90.0, Side::Client);
        let outer = ends(if hidden { lacks(outer) } else { outer });
        let handshake = one([outer, inner().fin(95.0, Side::Client)]);
        assert_eq!(handshake.session.unwrap().ended_by, by, "{what}");
    }
}

/// A connection as the front of a handshake.
fn front_of(build: Build) -> Front {
    Front {
        record: build.shared(),
        by: JoinedBy::RecordsAndTime,
        confidence: Confidence::Likely,
        request: Some(in_capture(0, 1.0)),
        answer: Some(in_capture(0, 3.5)),
        agreed: 4,
        offset_nanos: 0,
    }
}

/// A client in TLS that nobody opens leaves first as well: where its end is not to be seen, the proxy behind did perhaps pass it on.
#[test]
fn a_front_without_an_end_may_have_left_first() {
    type Change = fn(&mut crate::tcp::Connection);
    let proxy = |c: &mut crate::tcp::Connection| {
        c.ended = Some(Ending {
            how: EndingHow::Fin,
            by: Side::Server,
            frame: in_capture(0, 2020.1),
        });
    };
    let table: [(&str, Change, Option<Party>); 3] = [
        ("all is there", |_| (), Some(Party::Proxy)),
        ("no end", |c| c.ended = None, None),
        ("one way", |c| c.to_server.frames = 0, None),
    ];
    for (what, change, by) in table {
        let mut handshake = one([inner().fin(2020.0, Side::Client)]);
        let front = Build::new(7, CLIENT, FRONT, 0.5).with(|record| {
            proxy(&mut record.connection);
            change(&mut record.connection);
        });
        handshake.hops[0].role = Role::ProxyBackend;
        handshake.front = Some(Box::new(front_of(front)));
        crate::hop::session::rejoin(&mut handshake);
        assert_eq!(handshake.session.unwrap().ended_by, by, "{what}");
    }
}

/// The last record of a client in TLS that nobody opens is its goodbye, or answers that of the proxy: the proxy's FIN to the backend,
/// which would come before, may be what the capture lacks.
#[test]
fn a_record_behind_the_end_of_a_front_answers_it() {
    for (said, by) in [(2019.9, Party::Client), (2020.2, Party::Proxy)] {
        let unseen = inner().fin(2020.4, Side::Server).with(|record| {
            record.connection.ended.as_mut().unwrap().by = Side::Client;
        });
        let mut handshake = one([unseen]);
        let front = Build::new(7, CLIENT, FRONT, 0.5)
            .fin(2020.1, Side::Server)
            .with(|record| record.connection.to_server.last_data = Some(in_capture(0, said)));
        handshake.hops[0].role = Role::ProxyBackend;
        handshake.front = Some(Box::new(front_of(front)));
        crate::hop::session::rejoin(&mut handshake);
        assert_eq!(handshake.session.unwrap().ended_by, Some(by), "{said}");
    }
}

/// What a capture lacks at the end of a stream may have been the FIN of an outer party, or its Close frame.
#[test]
fn an_end_that_may_hide_another_is_nobodys() {
    let lacks = |numbers: u64| {
        move |build: Build| build.with(|record| record.connection.to_server.unseen_at_end = numbers)
    };
    let proxy = |outer: Build| [outer, inner().fin(100.0, Side::Client)];
    let backend = |outer: Build| [outer, inner().fin(100.0, Side::Server)];
    let ended = || outer().fin(100.1, Side::Server);
    for (name, hops, by) in [
        ("nothing lacks", proxy(ended()), Some(Party::Proxy)),
        ("no end seen in front", proxy(outer()), None),
        (
            "no end seen of a client that does not read",
            proxy(outer().with(|record| {
                record.connection.to_server.zero_window_since = Some(in_capture(0, 50.0));
            })),
            Some(Party::Proxy),
        ),
        ("a FIN in front", proxy(lacks(1)(outer())), None),
        (
            "one that answers",
            proxy(lacks(1)(ended())),
            Some(Party::Proxy),
        ),
        ("bytes before the end", proxy(lacks(9)(ended())), None),
        (
            "the other hop has them",
            backend(lacks(9)(ended())),
            Some(Party::Backend),
        ),
    ] {
        assert_eq!(one(hops).session.unwrap().ended_by, by, "{name}");
    }
    // Both hops lack what may be the client's Close.
    let hops = [
        lacks(9)(ended()),
        lacks(9)(inner().fin(100.0, Side::Server)),
    ];
    assert_eq!(one(hops).session.unwrap().ended_by, None);
}
