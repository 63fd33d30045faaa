//! What is said of a whole handshake: each hop's role, whether the accept fits, whether a backend was to be seen.

use super::hops::*;
use crate::hop::{AcceptCheck, BackendSight, Protocol, Role};
use crate::websocket::Accept;

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
        let handshake = one([Build::new(0, CLIENT, FRONT, 0.5)
            .ask(1.0, request)
            .tell(2.0, response)]);
        assert_eq!(handshake.hops[0].role, role, "{request}{response}");
    }
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
        let handshake = one([Build::new(0, CLIENT, FRONT, 0.5)
            .ask(1.0, &upgrade("/ws", &key(1)))
            .tell(2.0, &told)]);
        assert_eq!(handshake.hops[0].accept, check);
    }
    // RFC 6455 1.3.
    let handshake = one([client(0, 1.0, 1.0, SAMPLE, 101)]);
    assert_eq!(
        handshake.hops[0]
            .accept_expected
            .as_ref()
            .map(Accept::as_str),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
}

#[test]
fn backend_sight_accuses_only_when_the_capture_would_show_it() {
    let other = |ms: f64| {
        [
            client(10, ms, 3.0, &key(9), 101),
            backend(11, ms + 1.0, 1.0, &key(9), 101),
        ]
    };
    let lone = client(0, 1.0, 1.0, &key(1), 404);
    let sight = |more: Vec<Build>| {
        let handshakes = paired([lone.clone()].into_iter().chain(more));
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
        Build::new(20, CLIENT, FRONT, 50.0).ordinary(51.0, 54.0, "/x"),
        Build::new(21, BACK, BACKEND, 51.5).ordinary(52.0, 53.0, "/x"),
    ];
    assert_eq!(sight(forwarded), BackendSight::NotContacted);
    // Something of the proxy's that cannot be read was open at that time.
    let mut hidden = other(100.0).to_vec();
    let tls = Build::new(30, "10.20.0.1:55555", "10.20.0.30:443", 0.0).with(|record| {
        record.protocol = Protocol::Tls;
        record.connection.last = in_capture(0, 500.0);
    });
    hidden.push(tls);
    assert_eq!(sight(hidden), BackendSight::NotVisible);
    // The capture lost what was asked on a connection to a backend: it may be this request.
    for (protocol, missing, expected) in [
        (Protocol::Http, 219, BackendSight::NotVisible),
        (Protocol::Http, 0, BackendSight::NotContacted),
        (Protocol::None, 219, BackendSight::NotVisible),
        // It carried nothing: a try that failed.
        (Protocol::None, 0, BackendSight::Seen),
    ] {
        let mut lossy = other(100.0).to_vec();
        let connection = Build::new(30, BACK, BACKEND, 1.2).with(|record| {
            record.protocol = protocol;
            record.connection.last = in_capture(0, 3.0);
            record.connection.to_server.frames = 3;
            record.connection.to_server.missing_bytes = missing;
        });
        lossy.push(connection);
        assert_eq!(
            sight(lossy),
            expected,
            "{protocol:?}, {missing} bytes missing"
        );
    }
}

#[test]
fn a_switch_without_a_backend_hop_cannot_be_the_proxys_own() {
    let handshakes = paired([
        client(0, 1.0, 1.0, &key(1), 101),
        client(10, 100.0, 3.0, &key(9), 101),
        backend(11, 101.0, 1.0, &key(9), 101),
    ]);
    assert_eq!(handshakes[0].backend, BackendSight::NotVisible);
}
