//! Many handshakes at once, with one key or through one proxy: everybody keeps their own hops.

use super::super::hops::*;
use crate::hop::{Confidence, Handshake, PairedBy};

/// A flood of handshakes with one key that wait for ever must not take in one that was refused elsewhere.
#[test]
fn those_who_repeat_a_key_and_wait_do_not_hide_an_answered_one() {
    let waits = |id: u32, ms: f64| {
        let client = format!("192.168.50.{id}:40000");
        Build::new(id, &client, FRONT, ms - 1.0).ask(ms, &upgrade("/ws", SAMPLE))
    };
    let refused = Build::new(9, "203.0.113.7:50000", "203.0.113.80:8080", 9.0)
        .ask(10.0, &upgrade("/ws", SAMPLE))
        .tell(11.0, &answer(403));
    let alone = |handshakes: &[Handshake]| handshakes.iter().any(|one| ids(one) == [9]);
    let crowd = (1..8).map(|id| waits(id, f64::from(id)));
    assert!(alone(&paired(crowd.chain([refused]))));
}

#[test]
fn sequential_attempts_with_one_key_are_separate() {
    let records = (0..4_u32).flat_map(|n| {
        let ms = f64::from(n) * 10.0;
        [
            client(2 * n, ms + 1.0, 3.0, SAMPLE, 101),
            backend(2 * n + 1, ms + 2.0, 1.0, SAMPLE, 101),
        ]
    });
    let handshakes = paired(records);
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
            [outer, inner]
        });
        let handshakes = paired(records);
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
            if bytes { fingerprinted(build) } else { build }
        };
        let handshakes = paired([
            hop(0, "192.168.50.23:37954", FRONT, 0.1, 16.4, 7),
            hop(1, "10.20.0.1:35378", BACKEND, 0.4, 15.2, 7),
            hop(2, "192.168.50.23:37958", FRONT, 5.5, 16.5, 8),
            hop(3, "10.20.0.1:35390", BACKEND, 5.7, 16.2, 8),
        ]);
        let found: Vec<_> = handshakes.iter().map(ids).collect();
        assert_eq!(found, [[0, 1], [2, 3]], "bytes: {bytes}");
    }
}

/// Clients that do not mask with fresh keys send the same bytes in all sessions; the keys of their handshakes differ.
#[test]
fn sessions_of_the_same_bytes_are_joined_by_their_keys() {
    let hop = |id: u32, client: &str, server: &str, from: f64, to: f64, n: u8| {
        Build::new(id, client, server, from - 0.1)
            .ask(from, &upgrade("/ws", &key(n)))
            .tell(to, &switching(&key(n)))
            .session(21.0, 29.0, 5)
    };
    for (case, hops) in [
        (
            "the later client is relayed first",
            [
                hop(0, "192.168.50.23:37954", FRONT, 1.0, 20.0, 1),
                hop(2, "192.168.50.24:37958", FRONT, 2.0, 19.0, 2),
                hop(3, "10.20.0.1:35390", BACKEND, 3.0, 17.0, 2),
                hop(1, "10.20.0.1:35378", BACKEND, 4.0, 18.0, 1),
            ],
        ),
        (
            "the first one's answers lie around all of the other's",
            [
                hop(0, "192.168.50.23:37954", FRONT, 1.0, 20.0, 1),
                hop(1, "10.20.0.1:35378", BACKEND, 2.0, 19.0, 1),
                hop(2, "192.168.50.24:37958", FRONT, 3.0, 18.0, 2),
                hop(3, "10.20.0.1:35390", BACKEND, 4.0, 17.0, 2),
            ],
        ),
    ] {
        let handshakes = paired(hops);
        let found: Vec<_> = handshakes.iter().map(ids).collect();
        assert_eq!(found, [[0, 1], [2, 3]], "{case}");
        assert!(handshakes.iter().all(|one| !one.ambiguous), "{case}");
    }
}

/// Alone, each pair looks like forwarding; together a client would come to one listener twice.
#[test]
fn nobody_comes_twice_in_one_chain() {
    let hop = |id: u32, client: &str, server: &str, from: f64, to: f64| {
        Build::new(id, client, server, from - 0.1)
            .ask(from, &upgrade("/ws", &key(1)))
            .tell(to, &switching(&key(1)))
    };
    let handshakes = paired([
        hop(0, "192.168.50.23:37954", FRONT, 1.0, 20.0),
        hop(1, "10.20.0.1:35378", BACKEND, 2.0, 19.0),
        hop(2, "192.168.50.23:37958", FRONT, 5.0, 15.0),
    ]);
    let found: Vec<_> = handshakes.iter().map(ids).collect();
    assert_eq!(found, [vec![0, 1], vec![2]]);
}
