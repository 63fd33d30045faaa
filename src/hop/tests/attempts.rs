//! Connections on which the proxy got nowhere, and the request that each was made for.

use super::hops::*;
use crate::hop::{BackendSight, Confidence, Role};
use crate::tcp::{Opening, Side};

#[test]
fn refused_connect_belongs_to_the_request_that_got_502() {
    let refused = Build::new(1, BACK, BACKEND, 1.5).opening(Opening::Refused, 1.6);
    let handshake = one([client(0, 1.0, 1.0, &key(1), 502), refused]);
    assert_eq!(handshake.attempts.len(), 1);
    assert_eq!(handshake.attempts[0].confidence, Confidence::Likely);
    assert_eq!(handshake.backend, BackendSight::Seen);
    assert_eq!(handshake.hops[0].role, Role::ClientProxy);
}

#[test]
fn connect_attempts_go_to_the_request_that_caused_them() {
    type Change = fn(Build) -> Build;
    let refused: Change = |build| build.opening(Opening::Refused, 2.1);
    let unanswered: Change = |build| build.opening(Opening::Unanswered, 2.5);
    let tls: Change = |build| {
        build.with(|record| {
            record.protocol = crate::hop::Protocol::Tls;
            record.tls = Some(Box::default());
        })
    };
    let own = "192.168.50.1:51000";
    let cases: [(&str, &str, u16, Change, Option<Confidence>); 7] = [
        ("own address", own, 502, refused, Some(Confidence::Certain)),
        (
            "other address",
            BACK,
            502,
            refused,
            Some(Confidence::Likely),
        ),
        ("timeout", own, 504, unanswered, Some(Confidence::Certain)),
        ("tls", own, 502, tls, Some(Confidence::Certain)),
        ("does not fit", own, 404, refused, Some(Confidence::Likely)),
        ("other address, does not fit", BACK, 504, refused, None),
        (
            "the client's own",
            "192.168.50.23:41000",
            502,
            refused,
            None,
        ),
    ];
    for (name, from, status, change, expected) in cases {
        let connect = change(Build::new(1, from, BACKEND, 2.0));
        let handshake = one([client(0, 1.0, 2.0, &key(1), status), connect]);
        let found: Vec<_> = handshake.attempts.iter().map(|a| a.confidence).collect();
        assert_eq!(found, Vec::from_iter(expected), "{name}");
    }
}

/// A server behind a proxy that answers with what a failed connection leads to is a proxy itself; one that is up or answers
/// something else is an application, which connects to servers of its own.
#[test]
fn what_the_server_behind_a_proxy_connects_to() {
    for (status, role, attempts) in [
        (502, Role::ProxyProxy, 1),
        (101, Role::ProxyBackend, 0),
        (404, Role::ProxyBackend, 0),
    ] {
        let refused = Build::new(2, "10.20.0.11:41000", "10.20.0.12:6379", 2.2)
            .opening(Opening::Refused, 2.3);
        let handshake = one([
            client(0, 1.0, 3.0, &key(1), status),
            backend(1, 2.0, 1.0, &key(1), status),
            refused,
        ]);
        let parents: Vec<usize> = handshake.attempts.iter().map(|one| one.parent).collect();
        assert_eq!(parents, vec![1; attempts], "{status}");
        assert_eq!(handshake.hops[1].role, role, "{status}");
    }
}

/// Of a chain's last proxy nobody may have seen yet from which address it dials (networks of containers).
#[test]
fn the_last_proxy_of_a_chain_may_dial_from_another_address() {
    for (name, from, status, attempts) in [
        ("another address", "10.30.0.3:41000", 502, 1),
        ("an answer that is no gateway's", "10.30.0.3:41000", 404, 0),
        ("another one's failure", "10.30.0.3:41000", 504, 0),
        ("the proxy in front", "192.168.50.1:41000", 502, 0),
        ("the client", "192.168.50.23:41000", 502, 0),
    ] {
        let refused = Build::new(2, from, "10.30.0.12:8080", 2.2).opening(Opening::Refused, 2.3);
        let handshake = one([
            client(0, 1.0, 3.0, &key(1), status),
            backend(1, 2.0, 1.0, &key(1), status),
            refused,
        ]);
        let found: Vec<_> = handshake.attempts.iter().map(|a| a.parent).collect();
        assert_eq!(found, vec![1; attempts], "{name}");
    }
}

/// Where the client shares the proxy's address, what is refused may be anybody's, unless the proxy goes on from there.
#[test]
fn a_first_try_of_a_proxy_on_the_clients_own_host() {
    let key = key(1);
    for (name, at, attempts) in [
        ("before the next try", 1.2, 1),
        ("long before it", 1.2 - 100.0, 0),
        ("after it", 5.0, 0),
    ] {
        let handshake = one([
            Build::new(0, "10.20.0.1:40380", "10.20.0.1:80", -150.0)
                .ask(if at < 0.0 { -120.0 } else { 1.0 }, &upgrade("/ws", &key))
                .tell(9.0, &(switching(&key) + "Server: nginx/1.22.1\r\n")),
            Build::new(1, "10.20.0.1:50999", "10.20.0.12:8080", at)
                .opening(Opening::Refused, at + 0.1),
            backend(2, 2.0, 1.0, &key, 101),
        ]);
        assert_eq!(ids(&handshake), [0, 2], "{name}");
        assert_eq!(handshake.attempts.len(), attempts, "{name}");
    }
}

/// A proxy that relays bytes connects before it has seen the request, and hangs up when it cannot.
#[test]
fn a_relay_that_finds_no_backend_hangs_up() {
    let hung_up = |ms: f64, by: Side, opening: Opening, dials: f64| {
        let waits = Build::new(0, CLIENT, FRONT, 0.5)
            .ask(3.0, &upgrade("/ws", &key(1)))
            .fin(ms, by);
        let connect = Build::new(1, BACK, BACKEND, dials).opening(opening, dials + 0.1);
        one([waits, connect]).attempts.len()
    };
    for (name, ms, by, opening, dials, found) in [
        (
            "refused before the request",
            1.5,
            Side::Server,
            Opening::Refused,
            1.0,
            1,
        ),
        (
            "refused after it",
            3.5,
            Side::Server,
            Opening::Refused,
            3.2,
            1,
        ),
        (
            "long before the end",
            80.0,
            Side::Server,
            Opening::Refused,
            1.0,
            0,
        ),
        (
            "the client's end",
            1.5,
            Side::Client,
            Opening::Refused,
            1.0,
            0,
        ),
        (
            "nobody answers",
            2000.0,
            Side::Server,
            Opening::Unanswered,
            1.0,
            1,
        ),
        (
            "somebody else's",
            2000.0,
            Side::Server,
            Opening::Unanswered,
            900.0,
            0,
        ),
        (
            "before the client came",
            1.5,
            Side::Server,
            Opening::Refused,
            0.2,
            0,
        ),
    ] {
        assert_eq!(hung_up(ms, by, opening, dials), found, "{name}");
    }
}

/// HAProxy and others say 503 of servers that refuse; HAProxy tries one again each second. nginx's 503 is a
/// limit's, so that a refusal long before it is somebody else's.
#[test]
fn a_balancer_says_503_of_a_server_that_refuses() {
    let own = "192.168.50.1:51000";
    for (server, attempts) in [("", 3), ("Server: Apache\r\n", 3), ("Server: nginx\r\n", 1)] {
        let answer = format!("HTTP/1.1 503 x\r\n{server}Content-Length: 0\r\n");
        let mut builds = vec![
            Build::new(0, CLIENT, FRONT, 0.0)
                .ask(1.0, &upgrade("/ws", &key(1)))
                .tell(2003.0, &answer),
        ];
        for number in 1..=3 {
            let at = f64::from(number - 1) * 1000.5 + 1.5;
            builds.push(Build::new(number, own, BACKEND, at).opening(Opening::Refused, at + 0.1));
        }
        let handshake = one(builds);
        assert_eq!(handshake.attempts.len(), attempts, "{server:?}");
    }
}

/// Another program on the proxy's host is refused while the proxy waits for its backend: nothing comes of it.
#[test]
fn a_refusal_upon_which_nothing_follows_is_somebody_elses() {
    let own = "192.168.50.1:51000";
    let found = |status: u16, took: f64, refused: &[f64], hangs: Option<f64>| {
        let mut builds = vec![client(0, 1.0, took, &key(1), status)];
        for (number, at) in refused.iter().enumerate() {
            builds.push(
                Build::new(number as u32 + 1, own, "192.168.50.1:4317", *at)
                    .opening(Opening::Refused, at + 0.1),
            );
        }
        let hangs =
            hangs.map(|at| Build::new(9, own, BACKEND, at).opening(Opening::Unanswered, at));
        let handshake = one(builds.into_iter().chain(hangs));
        handshake.attempts.len()
    };
    for (name, status, took, refused, hangs, attempts) in [
        ("502 at once", 502, 2.0, &[2.0][..], None, 1),
        ("both servers, then 502", 502, 2.0, &[2.0, 2.5], None, 2),
        ("a page at once", 200, 2.0, &[2.0], None, 1),
        (
            "long before the answer",
            502,
            2000.0,
            &[2.0, 900.0],
            None,
            0,
        ),
        (
            "in the midst of a timeout",
            504,
            2000.0,
            &[500.0, 1000.0, 1980.0],
            None,
            0,
        ),
        (
            "the first server, and the second hangs",
            504,
            2000.0,
            &[2.0],
            Some(2.5),
            2,
        ),
        (
            "somebody else's, and a server hangs",
            504,
            2000.0,
            &[900.0],
            Some(2.5),
            1,
        ),
        ("somebody else's hangs", 504, 9000.0, &[], Some(3000.0), 0),
        (
            "a name is looked up first",
            504,
            9000.0,
            &[],
            Some(300.0),
            1,
        ),
    ] {
        assert_eq!(found(status, took, refused, hangs), attempts, "{name}");
    }
}

#[test]
fn a_scan_is_not_taken_for_the_proxy() {
    let mut records = vec![client(0, 1.0, 5.0, &key(1), 502)];
    for n in 0..3_u32 {
        let from = format!("10.9.9.{}:1000", n + 1);
        let refused = Build::new(n + 1, &from, BACKEND, 2.0).opening(Opening::Refused, 2.1);
        records.push(refused);
    }
    let handshake = one(records);
    assert!(handshake.attempts.is_empty());
    assert_eq!(handshake.backend, BackendSight::NotVisible);
}

#[test]
fn other_clients_of_the_proxy_are_no_attempts() {
    let idle = Build::new(1, "192.168.50.77:999", FRONT, 2.0);
    let handshake = one([client(0, 1.0, 5.0, &key(1), 502), idle]);
    assert!(handshake.attempts.is_empty());
}

#[test]
fn failed_first_try_before_a_backend_that_answers() {
    let key = key(1);
    let handshake = one([
        client(0, 1.0, 9.0, &key, 101),
        Build::new(1, "10.20.0.1:50999", "10.20.0.12:8080", 1.2).opening(Opening::Refused, 1.3),
        backend(2, 2.0, 1.0, &key, 101),
    ]);
    assert_eq!(ids(&handshake), [0, 2]);
    assert_eq!(handshake.attempts.len(), 1);
    assert_eq!(handshake.attempts[0].parent, 0);
    assert_eq!(handshake.attempts[0].confidence, Confidence::Certain);
}

/// Of TLS between two proxies only its ends show: what was asked or tried from there is not the first one's.
#[test]
fn a_proxy_behind_what_nobody_can_read() {
    let tls = |to: &str, ms: f64| {
        Build::new(1, "192.168.50.1:50000", to, ms).with(|record| {
            record.protocol = crate::hop::Protocol::Tls;
            let mut facts = crate::tls::TlsFacts::default();
            let first = Some(record.connection.first);
            facts.application_data = (first, first);
            record.tls = Some(Box::new(facts));
        })
    };
    for (name, to, ms, unread) in [
        ("to the host of the next request", "10.20.0.1:443", 1.2, 1),
        ("to another host", "10.20.0.9:443", 1.2, 0),
        ("over before", "10.20.0.1:443", -500.0, 0),
    ] {
        let asked = one([
            client(0, 1.0, 3.0, &key(1), 426),
            tls(to, ms),
            backend(2, 2.0, 1.0, &key(1), 426),
        ]);
        assert_eq!(asked.unread.len(), unread, "{name}: asked");
        let refused = Build::new(2, BACK, BACKEND, 3.0).opening(Opening::Refused, 3.1);
        let tried = one([client(0, 1.0, 3.0, &key(1), 502), tls(to, ms), refused]);
        assert_eq!(tried.attempts.len(), 1, "{name}");
        assert_eq!(tried.unread.len(), unread, "{name}: tried");
    }
}
