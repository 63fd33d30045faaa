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
