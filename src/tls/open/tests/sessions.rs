//! Whole sessions of rustls, opened.

use rustls::ProtocolVersion;

use super::peers::{Act, Peers, Setup, say, suites};
use super::*;
use crate::tcp::Direction::ToServer;
use crate::tls::{Sealed, cipher_name};

fn conversation() -> Vec<Act> {
    vec![
        say(ToServer, b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"),
        say(ToClient, b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        say(ToServer, &[7; 20_000]),
        say(ToClient, &[9; 40_000]),
        say(ToClient, b"x"),
        say(ToServer, b"bye"),
        Act::Close(ToServer),
        Act::Close(ToClient),
    ]
}

#[test]
fn every_suite_of_rustls_is_opened() {
    assert_eq!(suites().len(), 9);
    for suite in suites() {
        let recorded = Peers::new(suite).play(b"", &conversation());
        let reading = read(&recorded.flights, &keys(&recorded.log));
        let name = suite.suite().as_str().unwrap();
        assert_eq!(reading.clear(), recorded.said, "{name}");
        let facts = reading.facts();
        assert!(facts.sealed.is_open(), "{name}: {:?}", facts.sealed);
        assert!(matches!(facts.sealed, Sealed::Open { .. }));
        assert_eq!(facts.alpn.as_deref(), Some("http/1.1"), "{name}");
        let alerts: Vec<_> = facts
            .alerts
            .iter()
            .map(|a| (a.level, a.description))
            .collect();
        assert_eq!(alerts, [(1, 0), (1, 0)], "{name}: two close_notify");
        assert_eq!(reading.interest, Interest::Bytes);
        assert!(cipher_name(facts.cipher.unwrap()).is_some());
    }
}

#[test]
fn the_first_clear_bytes_are_told() {
    for suite in suites() {
        let recorded = Peers::new(suite).play(b"", &[say(ToClient, b"hello")]);
        let reading = read(&recorded.flights, &keys(&recorded.log));
        let last = frame(recorded.flights.len() as u64);
        assert_eq!(reading.facts().sealed, Sealed::Open { first: last });
    }
}

#[test]
fn keys_that_change_are_followed() {
    for suite in suites() {
        if suite.version().version != ProtocolVersion::TLSv1_3 {
            continue;
        }
        let recorded = Peers::new(suite).play(
            b"",
            &[
                say(ToServer, b"one"),
                Act::Refresh(ToServer),
                say(ToServer, b"two"),
                say(ToClient, b"three"),
                Act::Refresh(ToClient),
                say(ToClient, b"four"),
                Act::Refresh(ToServer),
                Act::Refresh(ToServer),
                say(ToServer, b"five"),
                say(ToClient, b"six"),
            ],
        );
        let reading = read(&recorded.flights, &keys(&recorded.log));
        assert_eq!(reading.clear(), recorded.said);
        assert_eq!(recorded.said[0], b"onetwofive");
    }
}

#[test]
fn resumed_sessions_are_opened() {
    for suite in suites() {
        let peers = Peers::new(suite);
        let first = peers.play(b"", &conversation());
        let second = peers.play(b"", &conversation());
        let len = |flights: &[(_, Vec<u8>)]| flights[1].1.len();
        assert!(
            len(&second.flights) < len(&first.flights),
            "no certificate: it is resumed"
        );
        let reading = read(&second.flights, &keys(&second.log));
        assert_eq!(reading.clear(), second.said);
        // The keys of the first session are not those of the second.
        let keys = keys(&first.log);
        let mut reading = read(&second.flights, &keys);
        reading.late(&keys);
        assert_eq!(reading.facts().sealed, Sealed::NoKeys);
        assert_eq!(reading.next, [0; 2]);
    }
}

#[test]
fn a_hello_retry_request_changes_nothing() {
    for suite in suites() {
        if suite.version().version != ProtocolVersion::TLSv1_3 {
            continue;
        }
        let recorded = Peers::with(&Setup {
            suite,
            retry: true,
            early: 0,
        })
        .play(b"", &conversation());
        let reading = read(&recorded.flights, &keys(&recorded.log));
        assert!(reading.facts().hello_retry_request.is_some());
        assert_eq!(reading.clear(), recorded.said);
    }
}

fn early(taken: bool) -> (super::peers::Recorded, Reading) {
    let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let setup = Setup {
        suite,
        retry: false,
        early: 16384,
    };
    let peers = Peers::with(&setup);
    peers.play(b"", &conversation());
    let peers = if taken { peers } else { peers.forgetful() };
    let recorded = peers.play(b"GET /early HTTP/1.1\r\n\r\n", &conversation());
    assert_eq!(recorded.early_taken, taken);
    let log = String::from_utf8(recorded.log.clone()).unwrap();
    assert!(log.contains("CLIENT_EARLY_TRAFFIC_SECRET"), "{log}");
    let reading = read(&recorded.flights, &keys(&recorded.log));
    (recorded, reading)
}

#[test]
fn early_data_comes_out_once_whether_the_server_took_it_or_not() {
    for taken in [true, false] {
        let (recorded, reading) = early(taken);
        assert_eq!(reading.clear(), recorded.said, "{taken}");
        let facts = reading.facts();
        assert!(
            matches!(facts.sealed, Sealed::Open { .. }),
            "{:?}",
            facts.sealed
        );
        // Without what the server says of it, EndOfEarlyData and what follows it tell.
        let log = rewritten(&recorded.log, |line| {
            (!line.starts_with("SERVER_HANDSHAKE")).then(|| line.to_owned())
        });
        let reading = read(&recorded.flights, &keys(&log));
        assert_eq!(reading.clear(), recorded.said, "{taken}");
    }
}

#[test]
fn a_log_without_handshake_secrets_will_do() {
    for suite in suites() {
        let recorded = Peers::new(suite).play(b"", &conversation());
        let log = rewritten(&recorded.log, |line| {
            (!line.contains("HANDSHAKE")).then(|| line.to_owned())
        });
        let reading = read(&recorded.flights, &keys(&log));
        assert_eq!(reading.clear(), recorded.said);
    }
}
