//! Requests without a key on one side or both: only time, path and the new connection tell.

use super::super::hops::*;
use crate::hop::{Confidence, PairedBy};

/// A handshake as the ids of its hops, and how its second hop was paired.
type Paired = (Vec<u64>, Option<(PairedBy, Confidence)>);

/// What becomes of two connections of a proxy with two addresses that is unknown before.
fn hops_of(records: [Build; 2]) -> Vec<Paired> {
    paired(records)
        .iter()
        .map(|handshake| {
            (
                ids(handshake),
                handshake.last().and_then(|hop| hop.paired_by),
            )
        })
        .collect()
}

fn keyless(head: &str) -> String {
    let lines = head.split_inclusive("\r\n");
    lines
        .filter(|line| !line.starts_with("Sec-WebSocket-Key"))
        .collect()
}

fn asks(head: &str) -> Build {
    Build::new(0, CLIENT, FRONT, 0.5)
        .ask(1.0, head)
        .tell(9.0, &answer(400))
}

fn is_asked(head: &str, syn: f64, status: u16, told: f64) -> Build {
    Build::new(1, BACK, BACKEND, syn)
        .ask(2.0, head)
        .tell(told, &answer(status))
}

#[test]
fn a_connection_opened_for_a_request_and_answered_alike_is_its_other_hop() {
    let ask = upgrade("/ws", &key(1)).replace("Origin: https://www.example.org\r\n", "");
    for (outer, inner) in [
        (keyless(&ask), keyless(&ask)),
        (ask.clone(), keyless(&ask)),
        (keyless(&ask), ask.clone()),
    ] {
        let found = hops_of([asks(&outer), is_asked(&inner, 1.5, 400, 8.0)]);
        let pair = Some((PairedBy::PathAndTime, Confidence::Likely));
        assert_eq!(found, [(vec![0, 1], pair)]);
    }
}

/// The backend is far away, or a SYN to it was lost: what was dialed at once is asked when the connection is up.
#[test]
fn a_connection_that_came_up_late_is_its_other_hop_if_it_was_asked_at_once() {
    let ask = keyless(&upgrade("/ws", &key(1)).replace("Origin: https://www.example.org\r\n", ""));
    let dialed = |up: f64| {
        let inner = Build::new(1, BACK, BACKEND, 1.5).ask(300.0, &ask);
        let inner = inner.tell(308.0, &answer(400));
        inner.with(|record| record.connection.syn_ack = Some(in_capture(0, up)))
    };
    let outer = || {
        let build =
            Build::new(0, CLIENT, FRONT, 0.5).ask(1.0, &ask.replace("User-Agent: t\r\n", ""));
        build.tell(309.0, &answer(400))
    };
    assert_eq!(hops_of([outer(), dialed(299.9)]).len(), 1);
    assert_eq!(hops_of([outer(), dialed(1.6)]).len(), 2, "kept for later");
}

#[test]
fn less_than_that_may_be_chance() {
    let ask = keyless(&upgrade("/ws", &key(1)).replace("Origin: https://www.example.org\r\n", ""));
    let cases = [
        ("open before", is_asked(&ask, 0.7, 400, 8.0)),
        ("another answer", is_asked(&ask, 1.5, 404, 8.0)),
        ("answered later", is_asked(&ask, 1.5, 400, 9.5)),
        (
            "another path",
            is_asked(&ask.replace("/ws", "/other"), 1.5, 400, 8.0),
        ),
    ];
    for (name, inner) in cases {
        let ask = ask.replace("User-Agent: t\r\n", "");
        assert_eq!(hops_of([asks(&ask), inner]).len(), 2, "{name}");
    }
    let slow = Build::new(0, CLIENT, FRONT, 0.5)
        .ask(1.0, &ask.replace("User-Agent: t\r\n", ""))
        .tell(900.0, &answer(400));
    assert_eq!(hops_of([slow, is_asked(&ask, 1.5, 400, 8.0)]).len(), 2);
}

#[test]
fn an_ordinary_request_that_a_proxy_of_unknown_address_made_an_attempt() {
    let ordinary = |status: u16| {
        let build = Build::new(0, CLIENT, FRONT, 0.5).ordinary(1.0, 9.0, "/page");
        build.with(|record| {
            for exchange in &mut record.ordinary {
                exchange.response = exchange.response.map(|(frame, _)| (frame, status));
            }
        })
    };
    let ask = "GET /page HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\nConnection: upgrade\r\n";
    let found = hops_of([ordinary(400), is_asked(ask, 1.5, 400, 8.0)]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, [0, 1]);
    let found = hops_of([ordinary(200), is_asked(ask, 1.5, 400, 8.0)]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, [1]);
}
