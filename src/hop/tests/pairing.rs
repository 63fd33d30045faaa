use super::build::*;
use crate::hop::{
    AcceptCheck, BackendSight, ChangeKind, Confidence, Handshake, Known, PairedBy, Party, Role,
    SharedRecord, pair,
};
use crate::http::PartialWhy;
use crate::tcp::{EndingHow, GapCause, Opening, Side};
use crate::websocket::Accept;

const CLIENT: &str = "192.168.50.23:40380";
const FRONT: &str = "192.168.50.1:80";
const BACK: &str = "10.20.0.1:51000";
const BACKEND: &str = "10.20.0.11:8080";

fn paired(records: Vec<SharedRecord>) -> Vec<Handshake> {
    pair(&records, &mut Known::default())
}

fn one(records: Vec<SharedRecord>) -> Handshake {
    let mut handshakes = paired(records);
    assert_eq!(handshakes.len(), 1, "{handshakes:#?}");
    handshakes.remove(0)
}

fn ids(handshake: &Handshake) -> Vec<u64> {
    handshake
        .hops
        .iter()
        .map(|hop| hop.record.connection.id.0)
        .collect()
}

/// The client hop of a handshake with `key`, answered after `took` milliseconds.
fn client(id: u32, ms: f64, took: f64, key: &str, status: u16) -> Build {
    let told = if status == 101 {
        switching(key) + "Server: nginx/1.22.1\r\n"
    } else {
        answer(status)
    };
    Build::new(id, CLIENT, FRONT, ms - 1.0)
        .ask(ms, &upgrade("/ws", key))
        .tell(ms + took, &told)
}

fn backend(id: u32, ms: f64, took: f64, key: &str, status: u16) -> Build {
    let told = if status == 101 {
        switching(key)
    } else {
        answer(status)
    };
    Build::new(id, BACK, BACKEND, ms - 0.5)
        .ask(ms, &upgrade("/ws", key))
        .tell(ms + took, &told)
}

#[test]
fn key_joins_two_hops_of_a_proxy_with_two_addresses() {
    let key = key(1);
    let handshake = one(vec![
        backend(1, 2.0, 1.0, &key, 101).shared(),
        client(0, 1.0, 3.0, &key, 101).shared(),
    ]);
    assert_eq!(ids(&handshake), [0, 1]);
    assert_eq!(handshake.hops[0].role, Role::ClientProxy);
    assert_eq!(handshake.hops[1].role, Role::ProxyBackend);
    assert_eq!(
        handshake.hops[1].paired_by,
        Some((PairedBy::Key, Confidence::Certain))
    );
    assert_eq!(handshake.hops[1].parent, Some(0));
    assert_eq!(handshake.hops[0].accept, AcceptCheck::Valid);
    assert_eq!(handshake.backend, BackendSight::Seen);
    assert!(handshake.hops[1].changes.is_empty(), "{handshake:#?}");
    assert!(!handshake.ambiguous && handshake.settled);
}

#[test]
fn stripped_request_shows_what_was_dropped() {
    let key = key(1);
    let inner = Build::new(1, BACK, BACKEND, 1.5)
        .ask(2.0, &stripped("/ws", &key))
        .tell(3.0, &answer(200));
    let handshake = one(vec![
        client(0, 1.0, 3.0, &key, 200).shared(),
        inner.shared(),
    ]);
    let changes: Vec<_> = handshake.hops[1]
        .changes
        .iter()
        .map(|change| (change.header, change.kind))
        .collect();
    assert_eq!(
        changes,
        [
            ("HTTP version", ChangeKind::Altered),
            ("Upgrade", ChangeKind::Dropped),
            ("Connection", ChangeKind::Altered),
            ("Host", ChangeKind::Altered),
        ]
    );
    assert!(handshake.subrequests.is_empty());
}

#[test]
fn refused_connect_belongs_to_the_request_that_got_502() {
    let refused = Build::new(1, BACK, BACKEND, 1.5).opening(Opening::Refused, 1.6);
    let handshake = one(vec![
        client(0, 1.0, 1.0, &key(1), 502).shared(),
        refused.shared(),
    ]);
    assert_eq!(handshake.attempts.len(), 1);
    assert_eq!(handshake.attempts[0].confidence, Confidence::Likely);
    assert_eq!(handshake.backend, BackendSight::Seen);
    assert_eq!(handshake.hops[0].role, Role::ClientProxy);
}

#[test]
fn idle_end_by_the_proxy() {
    let key = key(1);
    let handshake = one(vec![
        client(0, 1.0, 3.0, &key, 101)
            .session(10.0, 20.0, 7)
            .fin(2020.1, Side::Server)
            .shared(),
        backend(1, 2.0, 1.0, &key, 101)
            .session(10.1, 20.1, 7)
            .end(2020.0, EndingHow::Fin, Side::Client)
            .shared(),
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

#[test]
fn three_hops_on_one_address_nest() {
    let key = key(1);
    let hop = |id, from: &str, to: &str, ms: f64, took: f64| {
        Build::new(id, from, to, ms - 0.1)
            .ask(ms, &upgrade("/ws", &key))
            .tell(ms + took, &switching(&key))
            .shared()
    };
    let handshake = one(vec![
        hop(2, "127.0.0.1:5003", "127.0.0.1:8080", 3.0, 1.0),
        hop(0, "127.0.0.1:5001", "127.0.0.1:80", 1.0, 5.0),
        hop(1, "127.0.0.1:5002", "127.0.0.1:81", 2.0, 3.0),
    ]);
    assert_eq!(ids(&handshake), [0, 1, 2]);
    let roles: Vec<_> = handshake.hops.iter().map(|hop| hop.role).collect();
    assert_eq!(
        roles,
        [Role::ClientProxy, Role::ProxyProxy, Role::ProxyBackend]
    );
    let parents: Vec<_> = handshake.hops.iter().map(|hop| hop.parent).collect();
    assert_eq!(parents, [None, Some(0), Some(1)]);
    assert!(!handshake.ambiguous);
}

#[test]
fn retry_on_another_backend_is_one_handshake() {
    let key = key(1);
    let first = Build::new(1, BACK, BACKEND, 1.5)
        .ask(2.0, &upgrade("/ws", &key))
        .end(3.0, EndingHow::Rst, Side::Server);
    let second = Build::new(2, "10.20.0.1:51002", "10.20.0.12:8080", 3.5)
        .ask(4.0, &upgrade("/ws", &key))
        .tell(5.0, &switching(&key));
    let handshake = one(vec![
        second.shared(),
        client(0, 1.0, 5.0, &key, 101).shared(),
        first.shared(),
    ]);
    assert_eq!(ids(&handshake), [0, 1, 2]);
    let parents: Vec<_> = handshake.hops.iter().map(|hop| hop.parent).collect();
    assert_eq!(parents, [None, Some(0), Some(0)]);
    assert!(handshake.hops[1].retried);
    assert!(!handshake.hops[2].retried);
    assert_eq!(handshake.last().unwrap().record.connection.id.0, 2);
    assert!(!handshake.ambiguous);
}

/// What nginx sends to the service that `auth_request` names.
fn asks_permission(id: u32, ms: f64, key: &str, status: u16) -> Build {
    Build::new(id, "10.20.0.1:52000", "10.20.0.20:9000", ms - 0.5)
        .ask(ms, &stripped("/auth", key))
        .tell(ms + 0.5, &answer(status))
}

#[test]
fn auth_request_is_no_hop() {
    let key = key(1);
    let handshake = one(vec![
        client(0, 1.0, 9.0, &key, 101).shared(),
        asks_permission(1, 2.0, &key, 204).shared(),
        backend(2, 4.0, 1.0, &key, 101).shared(),
    ]);
    assert_eq!(ids(&handshake), [0, 2]);
    assert!(!handshake.hops[1].retried);
    assert_eq!(handshake.subrequests.len(), 1);
    assert_eq!(handshake.subrequests[0].record.connection.id.0, 1);
    assert_eq!(handshake.subrequests[0].parent, Some(0));
}

/// The capture ends, or goes on live, before the request that permission was asked for.
#[test]
fn auth_request_in_flight_is_no_hop() {
    let key = key(1);
    let waiting = Build::new(0, CLIENT, FRONT, 0.5).ask(1.0, &upgrade("/ws", &key));
    let handshake = one(vec![
        waiting.shared(),
        asks_permission(1, 2.0, &key, 204).shared(),
    ]);
    assert_eq!(ids(&handshake), [0]);
    assert_eq!(handshake.subrequests.len(), 1);
}

/// An end of the side that was not captured may have been the first.
#[test]
fn an_end_behind_a_hop_in_one_direction_is_nobodys() {
    let key = key(1);
    let hops = |hidden: bool| {
        let outer = client(0, 1.0, 3.0, &key, 101)
            .session(10.0, 20.0, 7)
            .fin(2020.1, Side::Server)
            .shared();
        let mut outer = (*outer).clone();
        outer.connection.to_client.frames = 5;
        outer.connection.to_server.frames = if hidden { 0 } else { 5 };
        one(vec![
            std::sync::Arc::new(outer),
            backend(1, 2.0, 1.0, &key, 101)
                .session(10.1, 20.1, 7)
                .end(2020.0, EndingHow::Fin, Side::Client)
                .shared(),
        ])
    };
    let ended_by = |hidden| hops(hidden).session.unwrap().ended_by;
    assert_eq!(ended_by(false), Some(Party::Proxy));
    assert_eq!(ended_by(true), None);
}

/// The client hop's 101 was not captured, and its session noticed only when it ended.
#[test]
fn a_session_is_as_old_as_the_answer_that_was_seen() {
    let key = key(1);
    let noticed_late = Build::new(0, CLIENT, FRONT, 0.5)
        .ask(1.0, &upgrade("/ws", &key))
        .session(2020.2, 20.0, 7)
        .fin(2020.2, Side::Client);
    let handshake = one(vec![
        noticed_late.shared(),
        backend(1, 2.0, 1.0, &key, 101)
            .session(10.1, 20.1, 7)
            .end(2020.0, EndingHow::Fin, Side::Client)
            .shared(),
    ]);
    let session = handshake.session.unwrap();
    let shown = &handshake.hops[1].session().unwrap().established;
    assert_eq!(&session.established, shown);
    assert!(session.idle_before_end_nanos > Some(1_900_000_000));
}

#[test]
fn refused_permission_means_no_backend_was_contacted() {
    let key = key(1);
    let handshake = one(vec![
        client(0, 1.0, 9.0, &key, 401).shared(),
        asks_permission(1, 2.0, &key, 401).shared(),
    ]);
    assert_eq!(ids(&handshake), [0]);
    assert_eq!(handshake.subrequests.len(), 1);
    assert_eq!(handshake.backend, BackendSight::NotContacted);
    assert_eq!(handshake.hops[0].role, Role::ClientProxy);
}

#[test]
fn stripped_request_with_a_rewritten_prefix_is_a_hop() {
    let key = key(1);
    let outer = Build::new(0, CLIENT, FRONT, 0.5)
        .ask(1.0, &upgrade("/app/ws", &key))
        .tell(4.0, &answer(403));
    let inner = Build::new(1, BACK, BACKEND, 1.5)
        .ask(2.0, &stripped("/ws", &key))
        .tell(3.0, &answer(403));
    let handshake = one(vec![outer.shared(), inner.shared()]);
    assert_eq!(ids(&handshake), [0, 1]);
    assert!(handshake.subrequests.is_empty());
}

#[test]
fn same_numbers_at_other_addresses_are_copies() {
    let key = key(1);
    let translated = Build::new(1, "172.17.0.1:33000", "172.17.0.2:8080", 0.1)
        .ask(1.1, &upgrade("/ws", &key))
        .tell(1.9, &switching(&key))
        .isn(11, 22);
    let original = Build::new(0, CLIENT, FRONT, 0.0)
        .ask(1.0, &upgrade("/ws", &key))
        .tell(2.0, &switching(&key))
        .isn(11, 22);
    let handshake = one(vec![translated.shared(), original.shared()]);
    assert_eq!(ids(&handshake), [0]);
    assert_eq!(handshake.hops[0].copies.len(), 1);
    assert_eq!(handshake.hops[0].role, Role::Direct);
}

#[test]
fn proxy_behind_address_translation_is_known_by_its_copy() {
    let key = key(1);
    let outside = client(0, 1.0, 9.0, &key, 101).isn(11, 22);
    let inside = Build::new(1, CLIENT, "172.17.0.2:8080", 0.5)
        .ask(1.1, &upgrade("/ws", &key))
        .tell(9.9, &(switching(&key) + "Server: nginx/1.22.1\r\n"))
        .isn(11, 22);
    let refused = Build::new(2, "172.17.0.2:40000", BACKEND, 2.0).opening(Opening::Refused, 2.1);
    let next = Build::new(3, "172.17.0.2:40001", BACKEND, 3.0)
        .ask(3.1, &upgrade("/ws", &key))
        .tell(4.0, &switching(&key));
    let handshake = one(vec![
        outside.shared(),
        inside.shared(),
        refused.shared(),
        next.shared(),
    ]);
    assert_eq!(ids(&handshake), [0, 3]);
    assert_eq!(handshake.attempts.len(), 1);
    assert_eq!(handshake.attempts[0].confidence, Confidence::Certain);
}

#[test]
fn byte_transparent_proxy_is_a_hop_without_changes() {
    let key = key(1);
    let handshake = one(vec![
        client(0, 1.0, 9.0, &key, 101).shared(),
        Build::new(1, BACK, "10.20.0.2:80", 1.5)
            .proxy_header("192.168.50.23:40380")
            .ask(2.0, &upgrade("/ws", &key))
            .tell(8.0, &switching(&key))
            .shared(),
    ]);
    assert_eq!(ids(&handshake), [0, 1]);
    assert!(handshake.hops[1].changes.is_empty());
}

#[test]
fn lone_answer_is_joined_by_its_accept() {
    let key = key(1);
    let answered = Build::new(1, BACK, BACKEND, 1.5).only_answer(3.0, &switching(&key));
    let handshake = one(vec![
        client(0, 1.0, 9.0, &key, 101).shared(),
        answered.shared(),
    ]);
    assert_eq!(ids(&handshake), [0, 1]);
    assert_eq!(
        handshake.hops[1].paired_by,
        Some((PairedBy::Accept, Confidence::Certain))
    );
    assert_eq!(handshake.hops[1].accept, AcceptCheck::Unchecked);
    assert!(handshake.hops[1].changes.is_empty());
}

#[test]
fn rewritten_keys_are_joined_by_weaker_evidence() {
    let cases: [(&str, &str, &str, PairedBy, Confidence); 6] = [
        (
            "X-Request-ID: abc\r\n",
            "X-Request-ID: abc\r\n",
            BACK,
            PairedBy::RequestId,
            Confidence::Certain,
        ),
        (
            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01\r\n",
            BACK,
            PairedBy::Traceparent,
            Confidence::Likely,
        ),
        (
            "",
            "X-Forwarded-For: 203.0.113.9, 192.168.50.23\r\n",
            BACK,
            PairedBy::ForwardedFor,
            Confidence::Likely,
        ),
        (
            "",
            "Forwarded: for=\"192.168.50.23:40380\";proto=http\r\n",
            BACK,
            PairedBy::ForwardedFor,
            Confidence::Certain,
        ),
        (
            "",
            "X-Real-IP: 192.168.50.23\r\n",
            "192.168.50.1:51000",
            PairedBy::ForwardedFor,
            Confidence::Likely,
        ),
        (
            "",
            "",
            "192.168.50.1:51000",
            PairedBy::PathAndTime,
            Confidence::Likely,
        ),
    ];
    for (outer, inner, back, by, confidence) in cases {
        let outer_key = key(1);
        let inner_key = key(2);
        let first = Build::new(0, CLIENT, FRONT, 0.5)
            .ask(1.0, &(upgrade("/app/ws", &outer_key) + outer))
            .tell(9.0, &switching(&outer_key));
        let second = |syn: f64| {
            Build::new(1, back, BACKEND, syn)
                .ask(2.0, &(upgrade("/ws", &inner_key) + inner))
                .tell(8.0, &switching(&inner_key))
                .shared()
        };
        if by == PairedBy::ForwardedFor && confidence == Confidence::Likely && back == BACK {
            // An address in a field, without the proxy's own, is too little where both have valid keys, if the
            // connection was there before.
            let handshakes = paired(vec![second(0.2), first.clone().shared()]);
            assert_eq!(handshakes.len(), 2, "{inner}");
        }
        let handshakes = paired(vec![second(1.5), first.shared()]);
        assert_eq!(handshakes.len(), 1, "{by:?}");
        assert_eq!(handshakes[0].hops[1].paired_by, Some((by, confidence)));
        let changed = handshakes[0].hops[1].changes.iter();
        let changed: Vec<_> = changed.map(|change| change.header).collect();
        assert_eq!(changed, ["target", "Sec-WebSocket-Key"]);
    }
}

#[test]
fn another_client_is_named_so_it_is_another_request() {
    let first = Build::new(0, CLIENT, FRONT, 0.5)
        .ask(1.0, &upgrade("/ws", &key(1)))
        .tell(9.0, &switching(&key(1)));
    let second = Build::new(1, "192.168.50.1:51000", BACKEND, 1.5)
        .ask(
            2.0,
            &(upgrade("/ws", &key(2)) + "X-Real-IP: 192.168.50.99\r\n"),
        )
        .tell(8.0, &switching(&key(2)));
    assert_eq!(paired(vec![first.shared(), second.shared()]).len(), 2);
}

#[test]
fn unrelated_attempts_of_one_client_stay_apart() {
    let first = client(0, 1.0, 9.0, &key(1), 101);
    let second = Build::new(1, "192.168.50.23:40999", "192.168.50.7:80", 1.5)
        .ask(2.0, &upgrade("/ws", &key(2)))
        .tell(8.0, &switching(&key(2)));
    assert_eq!(paired(vec![first.shared(), second.shared()]).len(), 2);
}

const SAMPLE: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A flood of handshakes with one key that wait for ever must not take in one that was refused elsewhere.
#[test]
fn those_who_repeat_a_key_and_wait_do_not_hide_an_answered_one() {
    let waits = |id: u32, ms: f64| {
        let client = format!("192.168.50.{id}:40000");
        Build::new(id, &client, FRONT, ms - 1.0)
            .ask(ms, &upgrade("/ws", SAMPLE))
            .shared()
    };
    let refused = Build::new(9, "203.0.113.7:50000", "203.0.113.80:8080", 9.0)
        .ask(10.0, &upgrade("/ws", SAMPLE))
        .tell(11.0, &answer(403));
    let alone = |handshakes: &[Handshake]| handshakes.iter().any(|one| ids(one) == [9]);
    let crowd: Vec<SharedRecord> = (1..8).map(|id| waits(id, f64::from(id))).collect();
    let mut records = crowd.clone();
    records.push(refused.shared());
    assert!(alone(&paired(records)));
}

#[test]
fn sequential_attempts_with_one_key_are_separate() {
    let records = (0..4_u32).flat_map(|n| {
        let ms = f64::from(n) * 10.0;
        [
            client(2 * n, ms + 1.0, 3.0, SAMPLE, 101).shared(),
            backend(2 * n + 1, ms + 2.0, 1.0, SAMPLE, 101).shared(),
        ]
    });
    let handshakes = paired(records.collect());
    assert_eq!(handshakes.len(), 4);
    for (n, handshake) in handshakes.iter().enumerate() {
        let n = n as u64;
        assert_eq!(ids(handshake), [2 * n, 2 * n + 1]);
        assert!(!handshake.ambiguous);
        // Everybody uses this key, and the addresses do not tell: not beyond doubt.
        assert_eq!(
            handshake.hops[1].paired_by,
            Some((PairedBy::Key, Confidence::Likely))
        );
    }
}

#[test]
fn parallel_attempts_with_one_key_are_told_apart_or_said_to_be_ambiguous() {
    type Mark = fn(u32) -> (String, String, u64);
    let cases: [(&str, Mark, bool); 3] = [
        (
            "bytes",
            |n| ("/ws".into(), String::new(), u64::from(n) + 1),
            false,
        ),
        ("path", |n| (format!("/ws/{n}"), String::new(), 0), false),
        ("nothing", |_| ("/ws".into(), String::new(), 0), true),
    ];
    for (name, mark, ambiguous) in cases {
        let records = (0..5_u32).flat_map(|n| {
            let ms = f64::from(n);
            let (target, more, bytes) = mark(n);
            let ask = upgrade(&target, SAMPLE) + &more;
            let front = format!("192.168.50.{}:40000", 100 + n);
            let back = format!("10.20.0.1:{}", 51_000 + n);
            let mut outer = Build::new(2 * n, &front, FRONT, ms)
                .ask(ms + 0.5, &ask)
                .tell(40.0 + ms, &switching(SAMPLE));
            let mut inner = Build::new(2 * n + 1, &back, BACKEND, 10.0 + ms)
                .ask(10.5 + ms, &ask)
                .tell(39.0 + ms / 10.0, &switching(SAMPLE));
            if bytes > 0 {
                outer = outer.session(50.0 + ms, 60.0 + ms, bytes);
                inner = inner.session(50.1 + ms, 60.1 + ms, bytes);
            }
            [outer.shared(), inner.shared()]
        });
        let handshakes = paired(records.collect());
        assert_eq!(handshakes.len(), 5, "{name}");
        for (n, handshake) in handshakes.iter().enumerate() {
            let n = n as u64;
            assert_eq!(ids(handshake), [2 * n, 2 * n + 1], "{name}");
            assert_eq!(handshake.ambiguous, ambiguous, "{name}");
            let (_, confidence) = handshake.hops[1].paired_by.unwrap();
            assert_eq!(confidence == Confidence::Guess, ambiguous, "{name}");
        }
    }
}

/// As measured: the second client asks before the first backend hop is answered, and gets its own answer after it.
#[test]
fn the_backend_hop_of_one_client_does_not_forward_to_another_client() {
    for bytes in [false, true] {
        let hop = |id: u32, client: &str, server: &str, from: f64, to: f64, n: u64| {
            let build = Build::new(id, client, server, from - 0.1)
                .ask(from, &upgrade("/ws", SAMPLE))
                .tell(to, &switching(SAMPLE));
            let fingerprinted = |build: Build| build.session(to + 1.0, to + 9.0, n);
            if bytes { fingerprinted(build) } else { build }.shared()
        };
        let handshakes = paired(vec![
            hop(0, "192.168.50.23:37954", FRONT, 0.1, 16.4, 7),
            hop(1, "10.20.0.1:35378", BACKEND, 0.4, 15.2, 7),
            hop(2, "192.168.50.23:37958", FRONT, 5.5, 16.5, 8),
            hop(3, "10.20.0.1:35390", BACKEND, 5.7, 16.2, 8),
        ]);
        let found: Vec<_> = handshakes.iter().map(ids).collect();
        assert_eq!(found, [[0, 1], [2, 3]], "bytes: {bytes}");
    }
}

/// Alone, each pair looks like forwarding; together a client would come to one listener twice.
#[test]
fn nobody_comes_twice_in_one_chain() {
    let hop = |id: u32, client: &str, server: &str, from: f64, to: f64| {
        Build::new(id, client, server, from - 0.1)
            .ask(from, &upgrade("/ws", &key(1)))
            .tell(to, &switching(&key(1)))
            .shared()
    };
    let handshakes = paired(vec![
        hop(0, "192.168.50.23:37954", FRONT, 1.0, 20.0),
        hop(1, "10.20.0.1:35378", BACKEND, 2.0, 19.0),
        hop(2, "192.168.50.23:37958", FRONT, 5.0, 15.0),
    ]);
    let found: Vec<_> = handshakes.iter().map(ids).collect();
    assert_eq!(found, [vec![0, 1], vec![2]]);
}

#[test]
fn two_captures_with_other_clocks_are_lined_up() {
    let key = key(1);
    for offset in [-3_600_000.0, 250.0, 0.4] {
        let handshake = one(vec![
            client(0, 1.0, 10.0, &key, 101)
                .session(20.0, 30.0, 9)
                .fin(40.0, Side::Server)
                .shared(),
            Build::seen_by(1, 1, BACK, BACKEND, offset + 1.5)
                .ask(offset + 2.0, &upgrade("/ws", &key))
                .tell(offset + 6.0, &switching(&key))
                .session(offset + 20.1, offset + 30.1, 9)
                .fin(offset + 38.0, Side::Server)
                .shared(),
        ]);
        assert_eq!(ids(&handshake), [0, 1]);
        let by = handshake.session.as_ref().unwrap().ended_by;
        assert_eq!(by, Some(Party::Backend));
        if offset.abs() < 1.0 {
            assert!(handshake.clock_offsets.is_empty());
            continue;
        }
        let [(capture, nanos)] = handshake.clock_offsets[..] else {
            panic!("{:?}", handshake.clock_offsets);
        };
        assert_eq!(capture.0, 1);
        // Requests tell [-1, 5] ms around it, the first ws frame [-0.1, ...].
        let error = nanos as f64 / 1e6 + offset;
        assert!((2.4..=2.5).contains(&error), "{error} ms");
    }
}

#[test]
fn clock_offset_is_narrowed_by_all_handshakes() {
    let records = [(1_u8, 1.0, 3.0), (2, 3.0, 1.0)]
        .into_iter()
        .flat_map(|(n, before, after)| {
            let ms = f64::from(n) * 100.0;
            let key = key(n);
            [
                client(u32::from(n) * 2, ms, before + 2.0 + after, &key, 101).shared(),
                Build::seen_by(1, u32::from(n) * 2 + 1, BACK, BACKEND, 1000.0 + ms)
                    .ask(1000.0 + ms + before, &upgrade("/ws", &key))
                    .tell(1000.0 + ms + before + 2.0, &switching(&key))
                    .shared(),
            ]
        });
    let handshakes = paired(records.collect());
    assert_eq!(handshakes.len(), 2);
    for handshake in handshakes {
        // Offsets possible: [-1001, -997] and [-1003, -999]; together [-1001, -999].
        assert_eq!(handshake.clock_offsets[0].1, -1_000_000_000);
    }
}

#[test]
fn connect_attempts_go_to_the_request_that_caused_them() {
    type Change = fn(Build) -> Build;
    let refused: Change = |build| build.opening(Opening::Refused, 2.1);
    let unanswered: Change = |build| build.opening(Opening::Unanswered, 2.5);
    let tls: Change = |build| {
        build.with(|record| {
            record.protocol = crate::hop::Protocol::Tls;
            record.tls = Some(Box::default());
        })
    };
    let own = "192.168.50.1:51000";
    let cases: [(&str, &str, u16, Change, Option<Confidence>); 7] = [
        ("own address", own, 502, refused, Some(Confidence::Certain)),
        (
            "other address",
            BACK,
            502,
            refused,
            Some(Confidence::Likely),
        ),
        ("timeout", own, 504, unanswered, Some(Confidence::Certain)),
        ("tls", own, 502, tls, Some(Confidence::Certain)),
        ("does not fit", own, 404, refused, Some(Confidence::Likely)),
        ("other address, does not fit", BACK, 504, refused, None),
        (
            "the client's own",
            "192.168.50.23:41000",
            502,
            refused,
            None,
        ),
    ];
    for (name, from, status, change, expected) in cases {
        let connect = change(Build::new(1, from, BACKEND, 2.0));
        let handshake = one(vec![
            client(0, 1.0, 2.0, &key(1), status).shared(),
            connect.shared(),
        ]);
        let found: Vec<_> = handshake.attempts.iter().map(|a| a.confidence).collect();
        assert_eq!(found, Vec::from_iter(expected), "{name}");
    }
}

#[test]
fn a_scan_is_not_taken_for_the_proxy() {
    let mut records = vec![client(0, 1.0, 5.0, &key(1), 502).shared()];
    for n in 0..3_u32 {
        let from = format!("10.9.9.{}:1000", n + 1);
        let refused = Build::new(n + 1, &from, BACKEND, 2.0).opening(Opening::Refused, 2.1);
        records.push(refused.shared());
    }
    let handshake = one(records);
    assert!(handshake.attempts.is_empty());
    assert_eq!(handshake.backend, BackendSight::NotVisible);
}

#[test]
fn other_clients_of_the_proxy_are_no_attempts() {
    let idle = Build::new(1, "192.168.50.77:999", FRONT, 2.0);
    let handshake = one(vec![
        client(0, 1.0, 5.0, &key(1), 502).shared(),
        idle.shared(),
    ]);
    assert!(handshake.attempts.is_empty());
}

#[test]
fn failed_first_try_before_a_backend_that_answers() {
    let key = key(1);
    let handshake = one(vec![
        client(0, 1.0, 9.0, &key, 101).shared(),
        Build::new(1, "10.20.0.1:50999", "10.20.0.12:8080", 1.2)
            .opening(Opening::Refused, 1.3)
            .shared(),
        backend(2, 2.0, 1.0, &key, 101).shared(),
    ]);
    assert_eq!(ids(&handshake), [0, 2]);
    assert_eq!(handshake.attempts.len(), 1);
    assert_eq!(handshake.attempts[0].parent, 0);
    assert_eq!(handshake.attempts[0].confidence, Confidence::Certain);
}

#[test]
fn backend_sight_accuses_only_when_the_capture_would_show_it() {
    let other = |ms: f64| {
        [
            client(10, ms, 3.0, &key(9), 101).shared(),
            backend(11, ms + 1.0, 1.0, &key(9), 101).shared(),
        ]
    };
    let lone = client(0, 1.0, 1.0, &key(1), 404).shared();
    let sight = |more: Vec<SharedRecord>| {
        let mut records = vec![lone.clone()];
        records.extend(more);
        let handshakes = paired(records);
        let found = handshakes
            .iter()
            .find(|handshake| ids(handshake) == [0])
            .unwrap();
        assert_eq!(found.hops[0].role, Role::ClientProxy);
        found.backend
    };
    assert_eq!(sight(Vec::new()), BackendSight::NotVisible);
    assert_eq!(sight(other(100.0).to_vec()), BackendSight::NotContacted);
    // An ordinary request that was forwarded shows the same.
    let forwarded = vec![
        Build::new(20, CLIENT, FRONT, 50.0)
            .ordinary(51.0, 54.0, "/x")
            .shared(),
        Build::new(21, BACK, BACKEND, 51.5)
            .ordinary(52.0, 53.0, "/x")
            .shared(),
    ];
    assert_eq!(sight(forwarded), BackendSight::NotContacted);
    // Something of the proxy's that cannot be read was open at that time.
    let mut hidden = other(100.0).to_vec();
    let tls = Build::new(30, "10.20.0.1:55555", "10.20.0.30:443", 0.0).with(|record| {
        record.protocol = crate::hop::Protocol::Tls;
        record.connection.last = in_capture(0, 500.0);
    });
    hidden.push(tls.shared());
    assert_eq!(sight(hidden), BackendSight::NotVisible);
}

#[test]
fn a_switch_without_a_backend_hop_cannot_be_the_proxys_own() {
    let handshakes = paired(vec![
        client(0, 1.0, 1.0, &key(1), 101).shared(),
        client(10, 100.0, 3.0, &key(9), 101).shared(),
        backend(11, 101.0, 1.0, &key(9), 101).shared(),
    ]);
    assert_eq!(handshakes[0].backend, BackendSight::NotVisible);
}

#[test]
fn roles_of_a_lone_hop() {
    let plain = upgrade("/ws", &key(1));
    let forwarded = plain.clone() + "X-Forwarded-For: 1.2.3.4\r\n";
    let lost = stripped("/ws", &key(1));
    let good = switching(&key(1));
    let nginx = good.clone() + "Server: nginx\r\n";
    let app = "HTTP/1.1 403 x\r\nServer: gunicorn\r\n";
    let cases: [(&str, &str, Role); 7] = [
        (&plain, &good, Role::Direct),
        (&plain, &nginx, Role::ClientProxy),
        (&plain, app, Role::Unknown),
        (&forwarded, &good, Role::ProxyBackend),
        (&lost, app, Role::ProxyBackend),
        (&lost, &answer(400), Role::ClientProxy),
        (&forwarded, &nginx, Role::ClientProxy),
    ];
    for (request, response, role) in cases {
        let handshake = one(vec![
            Build::new(0, CLIENT, FRONT, 0.5)
                .ask(1.0, request)
                .tell(2.0, response)
                .shared(),
        ]);
        assert_eq!(handshake.hops[0].role, role, "{request}{response}");
    }
}

#[test]
fn everything_taken_away_leaves_an_ordinary_request() {
    let inner = Build::new(1, "192.168.50.1:51000", BACKEND, 1.5).ordinary(2.0, 3.0, "/ws");
    let handshake = one(vec![
        client(0, 1.0, 3.0, &key(1), 200).shared(),
        inner.shared(),
    ]);
    assert_eq!(ids(&handshake), [0, 1]);
    let hop = &handshake.hops[1];
    assert!(hop.exchange().request.is_none() && hop.exchange().ordinary.is_some());
    assert_eq!(
        hop.paired_by,
        Some((PairedBy::PathAndTime, Confidence::Likely))
    );
    let changes: Vec<_> = hop
        .changes
        .iter()
        .map(|change| (change.header, change.kind))
        .collect();
    assert_eq!(
        changes,
        [
            ("Upgrade", ChangeKind::Dropped),
            ("Connection", ChangeKind::Dropped),
            ("Sec-WebSocket-Key", ChangeKind::Dropped),
            ("Sec-WebSocket-Version", ChangeKind::Dropped),
        ]
    );
}

#[test]
fn upgrade_that_no_client_sent_came_from_the_proxy() {
    let outer = Build::new(0, CLIENT, FRONT, 0.5).ordinary(1.0, 9.0, "/page");
    let inner = Build::new(1, "192.168.50.1:51000", BACKEND, 1.5)
        .ask(
            2.0,
            "GET /page HTTP/1.1\r\nHost: backend\r\nUpgrade: websocket\r\nConnection: upgrade\r\n",
        )
        .tell(3.0, &answer(400));
    let handshake = one(vec![outer.shared(), inner.shared()]);
    assert_eq!(ids(&handshake), [0, 1]);
    assert_eq!(handshake.started_at(), in_capture(0, 1.0).at);
    let changes = &handshake.hops[1].changes;
    assert!(
        changes
            .iter()
            .any(|c| c.header == "Upgrade" && c.kind == ChangeKind::Added)
    );
}

#[test]
fn polling_beside_a_lone_attempt_is_not_its_backend_hop() {
    let records = vec![
        client(0, 1.0, 5.0, &key(1), 404).shared(),
        Build::new(1, "192.168.50.1:51000", BACKEND, 1.5)
            .ordinary(2.0, 3.0, "/ws?poll=1")
            .shared(),
    ];
    assert_eq!(ids(&one(records)), [0]);
}

#[test]
fn connection_as_a_list_with_the_same_meaning_is_no_change() {
    let key = key(1);
    let outer =
        upgrade("/ws", &key).replace("Connection: Upgrade", "Connection: keep-alive, Upgrade");
    let inner = upgrade("/ws", &key)
        .replace("Connection: Upgrade", "Connection: upgrade")
        .replace("Upgrade: websocket", "Upgrade: WebSocket");
    let handshake = one(vec![
        Build::new(0, CLIENT, FRONT, 0.5)
            .ask(1.0, &outer)
            .tell(9.0, &switching(&key))
            .shared(),
        Build::new(1, BACK, BACKEND, 1.5)
            .ask(2.0, &inner)
            .tell(3.0, &switching(&key))
            .shared(),
    ]);
    assert!(
        handshake.hops[1].changes.is_empty(),
        "{:?}",
        handshake.hops[1].changes
    );
}

#[test]
fn accept_is_checked_against_the_key() {
    let cases = [
        (switching(&key(1)), AcceptCheck::Valid),
        (switching(&key(2)), AcceptCheck::Mismatch),
        (
            "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n".into(),
            AcceptCheck::Missing,
        ),
        (answer(400), AcceptCheck::NotApplicable),
    ];
    for (told, check) in cases {
        let handshake = one(vec![
            Build::new(0, CLIENT, FRONT, 0.5)
                .ask(1.0, &upgrade("/ws", &key(1)))
                .tell(2.0, &told)
                .shared(),
        ]);
        assert_eq!(handshake.hops[0].accept, check);
    }
    // RFC 6455 1.3.
    let handshake = one(vec![client(0, 1.0, 1.0, SAMPLE, 101).shared()]);
    assert_eq!(
        handshake.hops[0]
            .accept_expected
            .as_ref()
            .map(Accept::as_str),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
}

#[test]
fn sessions_from_mid_stream_are_joined_by_their_bytes() {
    let handshake = one(vec![
        Build::new(1, "192.168.50.1:51000", BACKEND, 0.0)
            .session(10.1, 20.1, 5)
            .shared(),
        Build::new(0, CLIENT, FRONT, 0.0)
            .session(10.0, 20.0, 5)
            .shared(),
    ]);
    assert_eq!(ids(&handshake), [0, 1]);
    assert_eq!(
        handshake.hops[1].paired_by,
        Some((PairedBy::Bytes, Confidence::Certain))
    );
}

#[test]
fn who_ended_the_session() {
    type End = fn(Build, Build) -> (Build, Build);
    let cases: [(&str, End, Option<Party>); 7] = [
        (
            "client",
            |a, b| (a.fin(100.0, Side::Client), b.fin(100.1, Side::Client)),
            Some(Party::Client),
        ),
        (
            "backend",
            |a, b| (a.fin(100.1, Side::Server), b.fin(100.0, Side::Server)),
            Some(Party::Backend),
        ),
        (
            "proxy",
            |a, b| (a.fin(100.1, Side::Server), b.fin(100.0, Side::Client)),
            Some(Party::Proxy),
        ),
        (
            "proxy after a Close of the backend",
            |a, b| {
                (
                    a.close_frame(90.1, Side::Server).fin(100.1, Side::Server),
                    b.close_frame(90.0, Side::Server).fin(100.0, Side::Client),
                )
            },
            Some(Party::Backend),
        ),
        ("nobody", |a, b| (a, b), None),
        (
            "client whose FIN was not captured",
            |a, b| {
                let a = a.fin(100.1, Side::Server).with(|record| {
                    record.connection.to_client.fin = record.connection.ended.map(|end| end.frame);
                    record.connection.ended.as_mut().unwrap().by = Side::Client;
                });
                (a, b.fin(100.0, Side::Client))
            },
            Some(Party::Client),
        ),
        (
            "client's Close, though the backend closes TCP first",
            |a, b| {
                (
                    a.close_frame(90.0, Side::Client).fin(100.1, Side::Server),
                    b.close_frame(90.1, Side::Client).fin(100.0, Side::Server),
                )
            },
            Some(Party::Client),
        ),
    ];
    for (name, end, party) in cases {
        let key = key(1);
        let (outer, inner) = end(
            client(0, 1.0, 3.0, &key, 101).session(10.0, 20.0, 7),
            backend(1, 2.0, 1.0, &key, 101).session(10.1, 20.1, 7),
        );
        let handshake = one(vec![outer.shared(), inner.shared()]);
        assert_eq!(handshake.session.unwrap().ended_by, party, "{name}");
    }
}

#[test]
fn a_close_frame_may_answer_one_that_was_not_captured() {
    let ended_by = |change: fn(&mut crate::hop::Record)| {
        let handshake = one(vec![
            client(0, 1.0, 3.0, &key(1), 101)
                .session(10.0, 20.0, 7)
                .close_frame(90.0, Side::Client)
                .fin(100.0, Side::Server)
                .with(change)
                .shared(),
        ]);
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

/// A snap length may cut the longer head that the proxy writes: TCP shows the end of that hop all the same.
#[test]
fn a_hop_of_which_the_answer_was_cut_ends_with_the_others() {
    let key = key(1);
    let outer = |status: &str| {
        client(0, 1.0, 3.0, &key, 101)
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
    let inner = || {
        backend(1, 2.0, 1.0, &key, 101)
            .session(10.1, 20.1, 7)
            .fin(100.1, Side::Client)
    };
    let tunnel = one(vec![
        outer("101 Switching Protocols").shared(),
        inner().shared(),
    ]);
    assert_eq!(tunnel.tunnel().count(), 2);
    let session = tunnel.session.unwrap();
    assert_eq!(session.ended_by, Some(Party::Client));
    assert_eq!(session.endings.len(), 2);
    assert_eq!(session.idle_before_end_nanos, Some(50_000_000));
    let refused = one(vec![outer("502 Bad Gateway").shared(), inner().shared()]);
    assert_eq!(refused.tunnel().count(), 1, "no tunnel there");
}

#[test]
fn from_one_hop_a_proxy_cannot_be_told_from_what_is_behind_it() {
    let ended_by = |side| {
        let handshake = one(vec![
            client(0, 1.0, 3.0, &key(1), 101)
                .session(10.0, 20.0, 7)
                .fin(100.0, side)
                .shared(),
        ]);
        handshake.session.unwrap().ended_by
    };
    assert_eq!(ended_by(Side::Server), None);
    assert_eq!(ended_by(Side::Client), Some(Party::Client));
}

#[test]
fn data_on_its_way_at_the_end_is_outstanding() {
    let outstanding = |change: fn(&mut crate::hop::Record)| {
        let handshake = one(vec![
            client(0, 1.0, 3.0, &key(1), 101)
                .session(10.0, 20.0, 7)
                .fin(60_000.0, Side::Client)
                .with(change)
                .shared(),
        ]);
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
}

#[test]
fn a_head_cut_short_pairs_by_what_is_there_and_lacks_nothing() {
    let key = key(1);
    let whole = upgrade("/ws", &key);
    let after_key = whole.find("Sec-WebSocket-Version").unwrap();
    let inside_key = whole.find(&key).unwrap() + 5;
    for cut in [after_key, inside_key] {
        let head = &whole[..cut];
        let handshakes = paired(vec![
            client(0, 1.0, 9.0, &key, 403).shared(),
            Build::new(1, BACK, BACKEND, 1.5)
                .ask_cut(2.0, head)
                .tell(3.0, &answer(403))
                .shared(),
        ]);
        assert_eq!(handshakes[0].hops.len(), 2);
        assert!(
            handshakes
                .iter()
                .flat_map(|h| &h.hops)
                .all(|hop| hop.changes.is_empty())
        );
        assert!(handshakes.iter().all(|h| h.subrequests.is_empty()));
    }
}
