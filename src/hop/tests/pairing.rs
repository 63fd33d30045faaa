use super::build::*;
use crate::hop::{
    AcceptCheck, BackendSight, ChangeKind, Confidence, Handshake, Known, PairedBy, Party, Role,
    SharedRecord, pair,
};
use crate::tcp::{EndingHow, Opening, Side};

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

fn ids(handshake: &Handshake) -> Vec<u32> {
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
