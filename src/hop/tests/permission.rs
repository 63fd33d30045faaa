//! What the proxy asks another service before it forwards (`auth_request`): no hop of the handshake.

use super::hops::*;
use crate::hop::{BackendSight, Role};

/// What nginx sends to the service that `auth_request` names.
fn asks_permission(id: u32, ms: f64, key: &str, status: u16) -> Build {
    Build::new(id, "10.20.0.1:52000", "10.20.0.20:9000", ms - 0.5)
        .ask(ms, &stripped("/auth", key))
        .tell(ms + 0.5, &answer(status))
}

#[test]
fn auth_request_is_no_hop() {
    let key = key(1);
    let handshake = one([
        client(0, 1.0, 9.0, &key, 101),
        asks_permission(1, 2.0, &key, 204),
        backend(2, 4.0, 1.0, &key, 101),
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
    let handshake = one([waiting, asks_permission(1, 2.0, &key, 204)]);
    assert_eq!(ids(&handshake), [0]);
    assert_eq!(handshake.subrequests.len(), 1);
}

#[test]
fn refused_permission_means_no_backend_was_contacted() {
    let key = key(1);
    let handshake = one([
        client(0, 1.0, 9.0, &key, 401),
        asks_permission(1, 2.0, &key, 401),
    ]);
    assert_eq!(ids(&handshake), [0]);
    assert_eq!(handshake.subrequests.len(), 1);
    assert_eq!(handshake.backend, BackendSight::NotContacted);
    assert_eq!(handshake.hops[0].role, Role::ClientProxy);
}

/// What the service answers is neither yes nor no: nginx makes 500 of it.
#[test]
fn permission_that_was_not_understood_is_no_hop() {
    let key = key(1);
    let handshake = one([
        client(0, 1.0, 9.0, &key, 500),
        asks_permission(1, 2.0, &key, 404),
    ]);
    assert_eq!(ids(&handshake), [0]);
    assert_eq!(handshake.subrequests.len(), 1);
    assert_eq!(handshake.backend, BackendSight::NotContacted);
}

/// The backend itself failed: that it was asked for another path makes it no auth service.
#[test]
fn an_error_that_is_passed_on_is_of_the_backend() {
    let key = key(1);
    let handshake = one([
        client(0, 1.0, 9.0, &key, 500),
        asks_permission(1, 2.0, &key, 500),
    ]);
    assert_eq!(ids(&handshake), [0, 1]);
}

/// nginx `mirror` sends the request to a second server at the same time, and waits for the first one only.
fn mirrored(id: u32, ms: f64, took: f64, key: &str, status: u16) -> Build {
    Build::new(id, "10.20.0.1:52000", "10.20.0.20:9000", ms - 0.5)
        .ask(ms, &stripped("/ws", key))
        .tell(ms + took, &answer(status))
}

#[test]
fn mirrored_request_is_no_hop() {
    let key = key(1);
    for (outcome, begun) in [(101, 1.5), (101, 2.5), (403, 1.5), (403, 2.5)] {
        let handshake = one([
            client(0, 1.0, 9.0, &key, outcome),
            backend(1, 2.0, 5.0, &key, outcome),
            mirrored(2, begun, 3.0, &key, 400),
        ]);
        assert_eq!(ids(&handshake), [0, 1], "{outcome} {begun}");
        assert!(!handshake.hops[1].retried);
        assert_eq!(handshake.hops[1].role, Role::ProxyBackend);
        assert_eq!(handshake.subrequests.len(), 1);
        assert_eq!(handshake.permissions().count(), 0);
    }
}

/// The server that gets the copy is far away: its connection is up when the client has its answer.
#[test]
fn a_mirrored_request_may_come_late() {
    let key = key(1);
    let late = |up: f64| {
        let mirrored = mirrored(2, 2.0, 0.0, &key, 400);
        let frame = |ms: f64| in_capture(0, ms);
        mirrored.with(|record| {
            record.connection.syn_ack = Some(frame(up));
            let exchange = &mut record.exchanges[0];
            let (request, response) = (&mut exchange.request, &mut exchange.response);
            request.as_mut().unwrap().span.first = frame(90.1);
            response.as_mut().unwrap().span.first = frame(95.0);
        })
    };
    for outcome in [101, 403] {
        let both = || {
            [
                client(0, 1.0, 9.0, &key, outcome),
                backend(1, 2.0, 5.0, &key, outcome),
            ]
        };
        let [client, backend] = both();
        let handshake = one([client, backend, late(90.0)]);
        assert_eq!(ids(&handshake), [0, 1], "{outcome}");
        assert!(!handshake.hops[1].retried);
        assert_eq!(handshake.subrequests.len(), 1);
        assert_eq!(handshake.permissions().count(), 0);
        // Also where the backend's hop is not in the capture.
        let [client, _] = both();
        let handshake = one([client, late(90.0)]);
        assert_eq!(ids(&handshake), [0], "{outcome}");
        // One that was up all the time was not dialed for it.
        let [client, backend] = both();
        assert_eq!(paired([client, backend, late(2.0)]).len(), 2, "{outcome}");
    }
}

/// A server that is tried after another one was given up is no mirror, not even if that one answers too late.
#[test]
fn a_further_try_is_no_mirrored_request() {
    let key = key(1);
    let slow = Build::new(1, BACK, BACKEND, 1.5)
        .ask(2.0, &upgrade("/ws", &key))
        .tell(8.0, &answer(503))
        .fin(4.0, crate::tcp::Side::Client);
    let handshake = one([
        client(0, 1.0, 9.0, &key, 101),
        slow,
        Build::new(2, "10.20.0.1:52000", "10.20.0.20:9000", 4.5)
            .ask(5.0, &upgrade("/ws", &key))
            .tell(6.0, &switching(&key)),
    ]);
    assert_eq!(ids(&handshake), [0, 1, 2]);
    assert!(handshake.hops[1].retried);
}
