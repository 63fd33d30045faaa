//! One connection seen twice, before and after address translation.

use super::hops::*;
use crate::hop::{Book, Clocks, Confidence, Role};
use crate::tcp::Opening;

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
    let handshake = one([translated, original]);
    assert_eq!(ids(&handshake), [0]);
    assert_eq!(handshake.hops[0].copies.len(), 1);
    assert_eq!(handshake.hops[0].role, Role::Direct);
}

/// Where a SYN of one copy was lost, the numbers that are left and the request tell.
#[test]
fn a_copy_whose_syn_was_lost_is_no_further_proxy() {
    type Change = fn(Build) -> Build;
    let no_syn: Change = |build| build.with(|record| record.connection.to_server.isn = None);
    let neither: Change = |build| {
        build.with(|record| {
            record.connection.to_server.isn = None;
            record.connection.to_client.isn = None;
        })
    };
    let other: Change = |build| {
        build.with(|record| {
            record.connection.to_server.isn = None;
            record.connection.to_client.isn = Some(crate::decode::SeqNo(99));
        })
    };
    let key = key(1);
    for (name, from, change, hops) in [
        ("destination translated", CLIENT, neither, 1),
        ("both translated", "172.17.0.1:33000", no_syn, 1),
        (
            "both translated, no number left",
            "172.17.0.1:33000",
            neither,
            2,
        ),
        ("another connection", "172.17.0.1:33000", other, 2),
    ] {
        let original = Build::new(0, CLIENT, FRONT, 0.0)
            .ask(1.0, &upgrade("/ws", &key))
            .tell(2.0, &switching(&key))
            .isn(11, 22);
        let translated = Build::new(1, from, "172.17.0.2:8080", 0.1)
            .ask(1.1, &upgrade("/ws", &key))
            .tell(1.9, &switching(&key))
            .isn(11, 22);
        let handshake = one([original, change(translated)]);
        assert_eq!(handshake.hops.len(), hops, "{name}");
        assert_eq!(handshake.hops[0].copies.len(), 2 - hops, "{name}");
    }
}

/// A published port of a container: what translates addresses is not remembered as a proxy, whatever the answer.
#[test]
fn address_translation_is_no_proxy() {
    let key = key(1);
    let seen = |id: u32, client: &str, server: &str, ms: f64| {
        Build::new(id, client, server, ms)
            .ask(ms + 1.0, &upgrade("/ws", &key))
            .tell(ms + 2.0, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n")
            .isn(11, 22)
            .record()
    };
    let mut book = Book::new(Clocks::Same);
    // Before and after, the destination changed, and the source as well.
    book.closed(seen(0, CLIENT, "192.168.50.1:8000", 0.0));
    book.closed(seen(1, "10.20.0.1:40380", BACKEND, 0.1));
    let mut found = Vec::new();
    book.finish(&mut found);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].hops[0].copies.len(), 1);
    assert_eq!(found[0].hops[0].role, Role::Unknown);
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
    let handshake = one([outside, inside, refused, next]);
    assert_eq!(ids(&handshake), [0, 3]);
    assert_eq!(handshake.attempts.len(), 1);
    assert_eq!(handshake.attempts[0].confidence, Confidence::Certain);
}
