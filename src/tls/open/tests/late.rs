//! Keys that come when the records are already there.

use super::peers::{Peers, Recorded, say, suites};
use super::*;
use crate::tcp::Direction::ToServer;
use crate::tls::Sealed;

fn session(suite: rustls::SupportedCipherSuite, len: usize) -> Recorded {
    Peers::new(suite).play(
        b"",
        &[
            say(ToServer, b"question"),
            say(ToClient, &vec![1; len]),
            say(ToServer, b"more"),
            say(ToClient, b"end"),
        ],
    )
}

fn expected() -> KeyLog {
    let mut keys = KeyLog::default();
    keys.expect();
    keys
}

/// Reads a session, its keys coming before the flight with this number.
fn read_with_keys_at(recorded: &Recorded, at: usize, mut log: impl FnMut(&mut KeyLog)) -> Reading {
    let mut reading = Reading::new();
    let mut keys = expected();
    for (place, (direction, data)) in recorded.flights.iter().enumerate() {
        if place == at {
            log(&mut keys);
        }
        reading.event(&Event::Bytes(*direction, data.clone()), &keys);
    }
    reading
}

/// What the lengths of records take that are taken down, at most.
const SKETCH_MAX: usize = 2048;

#[test]
fn records_are_held_until_their_keys_come() {
    for suite in suites() {
        let recorded = session(suite, 5000);
        for at in 0..recorded.flights.len() {
            let reading = read_with_keys_at(&recorded, at, |keys| keys.add(&recorded.log));
            assert_eq!(reading.clear(), recorded.said, "{at}");
            assert!(matches!(reading.facts().sealed, Sealed::Open { .. }));
        }
    }
}

#[test]
fn keys_that_come_line_by_line_are_waited_for() {
    for suite in suites() {
        let recorded = session(suite, 5000);
        let log = String::from_utf8(recorded.log.clone()).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        let mut keys = expected();
        let mut reading = Reading::new();
        let mut lines = lines.iter();
        for (direction, data) in &recorded.flights {
            reading.event(&Event::Bytes(*direction, data.clone()), &keys);
            if let Some(line) = lines.next() {
                keys.add(line.as_bytes());
            }
        }
        lines.for_each(|line| keys.add(line.as_bytes()));
        reading.late(&keys);
        assert_eq!(reading.clear(), recorded.said);
    }
}

#[test]
fn the_end_is_the_last_chance() {
    for suite in suites() {
        let recorded = session(suite, 5000);
        let mut reading = read(&recorded.flights, &expected());
        assert_eq!(reading.interest, Interest::Bytes);
        assert_eq!(reading.facts().sealed, Sealed::NoKeys);
        assert_eq!(reading.next, [0; 2]);
        assert!(reading.sight.held() > 5000);
        let mut other = read(&recorded.flights, &expected());
        other.late(&expected());
        assert_eq!(other.facts().sealed, Sealed::NoKeys);
        assert!(other.sight.held() < SKETCH_MAX);
        reading.late(&keys(&recorded.log));
        assert_eq!(reading.clear(), recorded.said);
        assert!(matches!(reading.facts().sealed, Sealed::Open { .. }));
    }
}

#[test]
fn secrets_of_one_direction_open_that_one() {
    for suite in suites() {
        let recorded = session(suite, 5000);
        let log = String::from_utf8(recorded.log.clone()).unwrap();
        if log.contains("CLIENT_RANDOM") {
            continue;
        }
        let server = rewritten(&recorded.log, |line| {
            line.starts_with("SERVER").then(|| line.to_owned())
        });
        let keys = keys(&server);
        let mut reading = read(&recorded.flights, &keys);
        assert_eq!(reading.next, [0; 2], "the other may come");
        reading.late(&keys);
        assert_eq!(reading.clear(), [Vec::new(), recorded.said[1].clone()]);
        assert!(reading.next[0] > 0, "it is said that there is something");
        let sealed = reading.facts().sealed;
        assert!(
            matches!(sealed, Sealed::Lost { first: Some(_), .. }),
            "{sealed:?}"
        );
    }
}

#[test]
fn what_is_held_is_bounded() {
    for suite in suites() {
        let recorded = session(suite, 70_000);
        let mut most = 0;
        let mut reading = Reading::new();
        let keys = expected();
        for (direction, data) in &recorded.flights {
            for segment in data.chunks(1400) {
                reading.event(&Event::Bytes(*direction, segment.to_vec()), &keys);
                most = most.max(reading.sight.held());
            }
        }
        // A vector may have room for twice what is in it.
        assert!((40_000..2 * 64 * 1024 + 4096).contains(&most), "{most}");
        assert!(reading.sight.held() < SKETCH_MAX);
        assert_eq!(reading.facts().sealed, Sealed::TooMuch);
        assert_eq!(reading.interest, Interest::Counters);
        let mut none = reading.sight;
        none.late(&keys, &mut Opened::default());
        assert_eq!(none.facts().sealed, Sealed::NoKeys, "there never were any");
        // Short segments cost what is noted about them, too.
        let mut reading = Reading::new();
        for (direction, data) in &recorded.flights {
            for segment in data.chunks(1) {
                reading.event(&Event::Bytes(*direction, segment.to_vec()), &keys);
                most = most.max(reading.sight.held());
            }
        }
        assert!(most < 2 * 64 * 1024 + 4096, "{most}");
    }
}

#[test]
fn nothing_is_held_when_no_keys_are_expected() {
    for suite in suites() {
        let recorded = session(suite, 5000);
        let mut reading = Reading::new();
        let none = KeyLog::default();
        for (direction, data) in &recorded.flights {
            reading.event(&Event::Bytes(*direction, data.clone()), &none);
        }
        assert!(reading.sight.held() < SKETCH_MAX);
        assert_eq!(reading.facts().sealed, Sealed::NoKeys);
        reading.late(&keys(&recorded.log));
        assert_eq!(reading.next, [0; 2], "nothing was kept");
    }
}

#[test]
fn without_the_servers_hello_nothing_is_opened() {
    let suite = suites()[0];
    let recorded = session(suite, 50);
    let keys = keys(&recorded.log);
    let mut reading = Reading::new();
    for (place, (direction, data)) in recorded.flights.iter().enumerate() {
        let event = if place == 1 {
            Event::Gap(*direction, data.len() as u64)
        } else {
            Event::Bytes(*direction, data.clone())
        };
        reading.event(&event, &keys);
    }
    reading.late(&keys);
    let sealed = reading.facts().sealed;
    assert!(
        matches!(sealed, Sealed::Lost { first: None, .. }),
        "{sealed:?}"
    );
}

#[test]
fn a_handshake_that_failed_had_nothing_to_open() {
    let recorded = session(suites()[0], 50);
    let keys = keys(&recorded.log);
    let mut reading = read(&recorded.flights[..1], &keys);
    reading.event(&Event::Bytes(ToClient, vec![21, 3, 3, 0, 2, 2, 40]), &keys);
    reading.late(&keys);
    assert_eq!(reading.facts().sealed, Sealed::Unproven);
}

#[test]
fn a_session_that_was_up_before_the_capture_is_not_waited_for() {
    for suite in suites() {
        let recorded = session(suite, 5000);
        let behind = &recorded.flights[recorded.begun..];
        let reading = read(behind, &expected());
        assert_eq!(reading.sight.held(), 0);
        assert_eq!(reading.interest, Interest::Counters);
        // The server's side alone may be in front of the client's hello: the capture may be out of order.
        let mut turned = recorded.flights.clone();
        turned.swap(0, 1);
        let reading = read(&turned, &keys(&recorded.log));
        assert_eq!(reading.clear(), recorded.said);
    }
}
