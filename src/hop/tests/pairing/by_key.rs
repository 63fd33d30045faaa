//! Hops joined by what nobody else would have: the key, the accept, the bytes of the session.

use super::super::hops::*;
use crate::hop::{AcceptCheck, BackendSight, Confidence, PairedBy, Role};
use crate::tcp::{EndingHow, Opening, Side};

#[test]
fn key_joins_two_hops_of_a_proxy_with_two_addresses() {
    let key = key(1);
    let handshake = one([
        backend(1, 2.0, 1.0, &key, 101),
        client(0, 1.0, 3.0, &key, 101),
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
fn three_hops_on_one_address_nest() {
    let key = key(1);
    let hop = |id, from: &str, to: &str, ms: f64, took: f64| {
        Build::new(id, from, to, ms - 0.1)
            .ask(ms, &upgrade("/ws", &key))
            .tell(ms + took, &switching(&key))
    };
    let handshake = one([
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
    let handshake = one([second, client(0, 1.0, 5.0, &key, 101), first]);
    assert_eq!(ids(&handshake), [0, 1, 2]);
    let parents: Vec<_> = handshake.hops.iter().map(|hop| hop.parent).collect();
    assert_eq!(parents, [None, Some(0), Some(0)]);
    assert!(handshake.hops[1].retried);
    assert!(!handshake.hops[2].retried);
    assert_eq!(handshake.last().unwrap().record.connection.id.0, 2);
    assert!(!handshake.ambiguous);
}

#[test]
fn lone_answer_is_joined_by_its_accept() {
    let key = key(1);
    let answered = Build::new(1, BACK, BACKEND, 1.5).only_answer(3.0, &switching(&key));
    let handshake = one([client(0, 1.0, 9.0, &key, 101), answered]);
    assert_eq!(ids(&handshake), [0, 1]);
    assert_eq!(
        handshake.hops[1].paired_by,
        Some((PairedBy::Accept, Confidence::Certain))
    );
    assert_eq!(handshake.hops[1].accept, AcceptCheck::Unchecked);
    assert!(handshake.hops[1].changes.is_empty());
}

#[test]
fn sessions_from_mid_stream_are_joined_by_their_bytes() {
    let handshake = one([
        Build::new(1, "192.168.50.1:51000", BACKEND, 0.0).session(10.1, 20.1, 5),
        Build::new(0, CLIENT, FRONT, 0.0).session(10.0, 20.0, 5),
    ]);
    assert_eq!(ids(&handshake), [0, 1]);
    assert_eq!(
        handshake.hops[1].paired_by,
        Some((PairedBy::Bytes, Confidence::Certain))
    );
}

#[test]
fn bytes_that_two_sessions_have_in_common_are_no_certain_link() {
    let other = "192.168.50.24:40001";
    let handshakes = paired([
        Build::new(0, CLIENT, FRONT, 0.0).session(10.0, 20.0, 5),
        Build::new(1, other, FRONT, 0.0).session(10.05, 20.0, 5),
        Build::new(2, "192.168.50.1:51000", BACKEND, 0.0).session(10.1, 20.1, 5),
    ]);
    let by = handshakes
        .iter()
        .flat_map(|handshake| &handshake.hops)
        .filter_map(|hop| hop.paired_by);
    let by: Vec<_> = by.collect();
    assert_eq!(by, [(PairedBy::Bytes, Confidence::Guess)]);
    assert_eq!(handshakes.len(), 2);
}

#[test]
fn a_head_cut_short_pairs_by_what_is_there_and_lacks_nothing() {
    let key = key(1);
    let whole = upgrade("/ws", &key);
    let after_key = whole.find("Sec-WebSocket-Version").unwrap();
    let inside_key = whole.find(&key).unwrap() + 5;
    for cut in [after_key, inside_key] {
        let head = &whole[..cut];
        let handshakes = paired([
            client(0, 1.0, 9.0, &key, 403),
            Build::new(1, BACK, BACKEND, 1.5)
                .ask_cut(2.0, head)
                .tell(3.0, &answer(403)),
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

#[test]
fn stripped_request_with_a_rewritten_prefix_is_a_hop() {
    let key = key(1);
    let outer = Build::new(0, CLIENT, FRONT, 0.5)
        .ask(1.0, &upgrade("/app/ws", &key))
        .tell(4.0, &answer(403));
    let inner = Build::new(1, BACK, BACKEND, 1.5)
        .ask(2.0, &stripped("/ws", &key))
        .tell(3.0, &answer(403));
    let handshake = one([outer, inner]);
    assert_eq!(ids(&handshake), [0, 1]);
    assert!(handshake.subrequests.is_empty());
}

/// Taps of one direction each: of the client hop what the client sent, of the backend hop what the backend sent. That was
/// opened for the request, and so is behind it.
#[test]
fn an_answer_on_a_connection_opened_later_is_the_inner_one() {
    let key = key(1);
    for (opened, ids_of) in [(2.0, [0, 1]), (0.5, [1, 0])] {
        let asked = Build::new(0, CLIENT, FRONT, 0.9)
            .ask(1.0, &upgrade("/ws", &key))
            .with(|record| record.connection.syn_ack = None);
        let told = Build::new(1, BACK, BACKEND, opened)
            .only_answer(3.0, &switching(&key))
            .with(|record| record.connection.syn = None);
        assert_eq!(ids(&one([asked, told])), ids_of, "{opened}");
    }
}

/// Of one hop only the request is there, of the other one, which began before the capture, only the 101: no time of one and the same
/// event tells which of them is the outer one, and so it takes a witness.
#[test]
fn a_request_and_an_answer_alone_are_no_pair_without_a_witness() {
    let key = key(7);
    let client = || Build::new(0, CLIENT, FRONT, 0.5).ask(1.0, &upgrade("/ws", &key));
    let late = |id: u32, from: &str, to: &str| {
        Build::new(id, from, to, 2.0)
            .only_answer(3.0, &switching(&key))
            .with(|record| {
                record.connection.opening = Opening::Midstream;
                (record.connection.syn, record.connection.syn_ack) = (None, None);
            })
    };
    let backend = || late(1, BACK, BACKEND);
    let front = || late(0, CLIENT, FRONT);
    let asked = || Build::new(1, BACK, BACKEND, 1.5).ask(2.0, &upgrade("/ws", &key));
    let one_way = |build: Build| build.with(|record| record.connection.to_client.frames = 0);
    let from_front = "192.168.50.1:51000";
    for (what, hops, ids_of) in [
        (
            "the client waits on after the 101",
            [client().fin(9.0, Side::Client), backend()],
            vec![vec![0, 1]],
        ),
        (
            "its answer may be lost",
            [one_way(client()).fin(9.0, Side::Client), backend()],
            vec![vec![0], vec![1]],
        ),
        (
            "the client gave up before it",
            [client().fin(2.9, Side::Client), backend()],
            vec![vec![0], vec![1]],
        ),
        (
            "the proxy's address",
            [one_way(client()), late(1, from_front, BACKEND)],
            vec![vec![0, 1]],
        ),
        (
            "a backend that left, before another one answered",
            [front(), asked().fin(2.5, Side::Server)],
            vec![vec![0, 1]],
        ),
        (
            "ws frames pass the client's hop first",
            [
                one_way(client()).session(4.0, 5.0, 1),
                backend().session(4.1, 5.1, 2),
            ],
            vec![vec![0, 1]],
        ),
    ] {
        let found: Vec<Vec<u64>> = paired(hops).iter().map(ids).collect();
        assert_eq!(found, ids_of, "{what}");
    }
}

/// On one address a proxy's connections look like those of its clients.
#[test]
fn the_address_is_no_witness_where_all_have_it() {
    let key = key(7);
    let asked = Build::new(0, "127.0.0.1:40000", "127.0.0.1:80", 0.5)
        .ask(1.0, &upgrade("/ws", &key))
        .with(|record| record.connection.to_client.frames = 0);
    let answered = Build::new(1, "127.0.0.1:40001", "127.0.0.1:8080", 2.0)
        .only_answer(3.0, &switching(&key))
        .with(|record| (record.connection.syn, record.connection.syn_ack) = (None, None));
    assert_eq!(paired([asked, answered]).len(), 2);
}
