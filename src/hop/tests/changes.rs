//! What a proxy changed in a request, and what only looks like a change.

use super::hops::*;
use crate::hop::ChangeKind;

#[test]
fn stripped_request_shows_what_was_dropped() {
    let key = key(1);
    let inner = Build::new(1, BACK, BACKEND, 1.5)
        .ask(2.0, &stripped("/ws", &key))
        .tell(3.0, &answer(200));
    let handshake = one([client(0, 1.0, 3.0, &key, 200), inner]);
    assert_eq!(
        changes(&handshake.hops[1]),
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
fn byte_transparent_proxy_is_a_hop_without_changes() {
    let key = key(1);
    let handshake = one([
        client(0, 1.0, 9.0, &key, 101),
        Build::new(1, BACK, "10.20.0.2:80", 1.5)
            .proxy_header("192.168.50.23:40380")
            .ask(2.0, &upgrade("/ws", &key))
            .tell(8.0, &switching(&key)),
    ]);
    assert_eq!(ids(&handshake), [0, 1]);
    assert!(handshake.hops[1].changes.is_empty());
}

#[test]
fn connection_as_a_list_with_the_same_meaning_is_no_change() {
    let key = key(1);
    let outer =
        upgrade("/ws", &key).replace("Connection: Upgrade", "Connection: keep-alive, Upgrade");
    let inner = upgrade("/ws", &key)
        .replace("Connection: Upgrade", "Connection: upgrade")
        .replace("Upgrade: websocket", "Upgrade: WebSocket");
    let handshake = one([
        Build::new(0, CLIENT, FRONT, 0.5)
            .ask(1.0, &outer)
            .tell(9.0, &switching(&key)),
        Build::new(1, BACK, BACKEND, 1.5)
            .ask(2.0, &inner)
            .tell(3.0, &switching(&key)),
    ]);
    assert!(
        handshake.hops[1].changes.is_empty(),
        "{:?}",
        handshake.hops[1].changes
    );
}
