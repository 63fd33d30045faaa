//! Hops whose keys do not join them: other fields, path, address and time do, or keep them apart.

use super::super::hops::*;
use crate::hop::{ChangeKind, Confidence, PairedBy};

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
        };
        if by == PairedBy::ForwardedFor && confidence == Confidence::Likely && back == BACK {
            // An address in a field, without the proxy's own, is too little where both have valid keys, if the
            // connection was there before.
            let handshakes = paired([second(0.2), first.clone()]);
            assert_eq!(handshakes.len(), 2, "{inner}");
        }
        let handshakes = paired([second(1.5), first]);
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
    assert_eq!(paired([first, second]).len(), 2);
}

#[test]
fn unrelated_attempts_of_one_client_stay_apart() {
    let first = client(0, 1.0, 9.0, &key(1), 101);
    let second = Build::new(1, "192.168.50.23:40999", "192.168.50.7:80", 1.5)
        .ask(2.0, &upgrade("/ws", &key(2)))
        .tell(8.0, &switching(&key(2)));
    assert_eq!(paired([first, second]).len(), 2);
}

#[test]
fn everything_taken_away_leaves_an_ordinary_request() {
    let inner = Build::new(1, "192.168.50.1:51000", BACKEND, 1.5).ordinary(2.0, 3.0, "/ws");
    let handshake = one([client(0, 1.0, 3.0, &key(1), 200), inner]);
    assert_eq!(ids(&handshake), [0, 1]);
    let hop = &handshake.hops[1];
    assert!(hop.exchange().request.is_none() && hop.exchange().ordinary.is_some());
    assert_eq!(
        hop.paired_by,
        Some((PairedBy::PathAndTime, Confidence::Likely))
    );
    assert_eq!(
        changes(hop),
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
    let handshake = one([outer, inner]);
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
        client(0, 1.0, 5.0, &key(1), 404),
        Build::new(1, "192.168.50.1:51000", BACKEND, 1.5).ordinary(2.0, 3.0, "/ws?poll=1"),
    ];
    assert_eq!(ids(&one(records)), [0]);
}
