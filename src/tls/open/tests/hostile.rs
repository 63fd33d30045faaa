//! Records, keys and hellos that are not what they should be.

use proptest::prelude::*;

use super::peers::{Peers, Recorded, say, suites};
use super::*;
use crate::tcp::Direction::ToServer;
use crate::tls::Sealed;

fn short(suite: rustls::SupportedCipherSuite) -> Recorded {
    Peers::new(suite).play(
        b"",
        &[
            say(ToServer, b"first"),
            say(ToServer, b"second"),
            say(ToClient, b"answer"),
            say(ToServer, b"third"),
        ],
    )
}

#[test]
fn a_changed_byte_gives_nothing_of_its_record_nor_of_what_follows() {
    for suite in suites() {
        let recorded = short(suite);
        let keys = keys(&recorded.log);
        let place = recorded.begun + 1;
        let at_record = frame(place as u64 + 1);
        for at in 0..recorded.flights[place].1.len() {
            let mut flights = recorded.flights.clone();
            flights[place].1[at] ^= 0x20;
            let reading = read(&flights, &keys);
            let [to_server, to_client] = reading.clear();
            assert_eq!(to_server, b"first", "byte {at}");
            assert_eq!(to_client, b"answer");
            let sealed = reading.facts().sealed;
            // A changed length ends elsewhere, and the version in a record of TLS 1.2 is authenticated.
            assert!(
                matches!(sealed, Sealed::Lost { first: Some(_), frame } if frame >= at_record)
                    || (3..5).contains(&at),
                "byte {at}: {sealed:?}"
            );
        }
    }
}

#[test]
fn keys_of_another_session_fit_nothing() {
    for suite in suites() {
        let peers = Peers::new(suite);
        let (one, other) = (short(suite), peers.play(b"", &[]));
        // The other session's secrets under this one's name.
        let name = |log: &[u8]| {
            let log = String::from_utf8(log.to_vec()).unwrap();
            log.split(' ').nth(1).unwrap().to_owned()
        };
        let log = String::from_utf8(other.log.clone()).unwrap();
        let log = log.replace(&name(&other.log), &name(&one.log));
        let reading = read(&one.flights, &keys(log.as_bytes()));
        let sealed = reading.facts().sealed;
        assert!(matches!(sealed, Sealed::Unfit { .. }), "{sealed:?}");
        assert_eq!(reading.next, [0; 2]);
        // Secrets of another length.
        let cut = rewritten(log.as_bytes(), |line| {
            let (head, secret) = line.rsplit_once(' ').unwrap();
            let secret = if secret.len() == 64 {
                secret.repeat(2)[..96].to_owned()
            } else {
                secret[..64].to_owned()
            };
            Some(format!("{head} {secret}"))
        });
        let mut keys = keys(&cut);
        keys.expect();
        let mut reading = read(&one.flights, &keys);
        reading.late(&keys);
        assert_eq!(reading.next, [0; 2]);
        let sealed = reading.facts().sealed;
        assert!(!sealed.is_open(), "{sealed:?}");
    }
}

#[test]
fn keys_that_never_fit_are_given_up() {
    let suite = suites()[0];
    let peers = Peers::new(suite);
    let acts = vec![say(ToServer, b"again"); 80];
    let recorded = peers.play(b"", &acts);
    let wrong = rewritten(&recorded.log, |line| {
        let (head, secret) = line.rsplit_once(' ').unwrap();
        Some(format!("{head} {}", "5a".repeat(secret.len() / 2)))
    });
    let mut answers = recorded.clone();
    for (direction, _) in &mut answers.flights[recorded.begun..] {
        *direction = ToClient;
    }
    answers.flights.splice(..0, recorded.flights.clone());
    let reading = read(&answers.flights, &keys(&wrong));
    let sealed = reading.facts().sealed;
    assert!(matches!(sealed, Sealed::Unfit { .. }), "{sealed:?}");
    assert_eq!(reading.interest, Interest::Counters);
}

#[test]
fn an_answer_that_is_no_record_any_more_ends_the_direction() {
    for suite in suites() {
        let recorded = short(suite);
        let mut flights = recorded.flights.clone();
        let junk = (ToServer, b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
        flights.insert(recorded.begun + 1, junk);
        let reading = read(&flights, &keys(&recorded.log));
        assert_eq!(reading.clear(), [b"first".to_vec(), b"answer".to_vec()]);
        let lost = frame(recorded.begun as u64 + 2);
        let sealed = reading.facts().sealed;
        assert!(matches!(sealed, Sealed::Lost { frame, .. } if frame == lost));
    }
}

#[test]
fn a_record_that_claims_much_takes_no_memory_for_it() {
    for suite in suites() {
        let recorded = short(suite);
        let mut flights = recorded.flights.clone();
        flights.push((ToServer, vec![23, 3, 3, 0x44, 0, 1, 2, 3]));
        let keys = keys(&recorded.log);
        let whole = read(&recorded.flights, &keys).sight.held();
        let reading = read(&flights, &keys);
        assert!(reading.sight.held() < whole + 64, "{whole}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    for suite in suites() {
        let recorded = short(suite);
        let keys = keys(&recorded.log);
        let reading = read(&recorded.flights, &keys);
        let printed = format!("{:?} {:#?} {keys:?}", reading.sight, reading.sight);
        assert!(printed.contains("Opening"), "{printed}");
        let log = String::from_utf8(recorded.log.clone()).unwrap();
        for line in log.lines() {
            let secret = line.rsplit(' ').next().unwrap();
            let mut bytes = vec![0; secret.len() / 2];
            crate::tls::key_log::from_hex(secret.as_bytes(), &mut bytes).unwrap();
            // Four bytes in a row would do to find it, however they are written.
            let written = [
                secret[..8].to_owned(),
                format!("{:?}", &bytes[..4])
                    .trim_matches(['[', ']'])
                    .to_owned(),
            ];
            for trace in written {
                assert!(!printed.contains(&trace), "{trace} in {printed}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn hostile_bytes_do_no_harm(
        which in 0_usize..9,
        flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..12),
        gaps in proptest::collection::vec((any::<usize>(), 0_u64..100_000), 0..4),
    ) {
        let recorded = short(suites()[which]);
        let mut events: Vec<Event> = recorded
            .flights
            .into_iter()
            .map(|(direction, data)| Event::Bytes(direction, data))
            .collect();
        for (place, byte) in flips {
            let len = events.len();
            if let Event::Bytes(_, data) = &mut events[place % len] {
                let at = (place / 7) % data.len();
                data[at] = byte;
            }
        }
        for (place, len) in gaps {
            let at = place % (events.len() + 1);
            let direction = if place / 3 % 2 == 0 { ToServer } else { ToClient };
            events.insert(at, Event::Gap(direction, len));
        }
        let keys = keys(&recorded.log);
        let mut reading = Reading::new();
        for event in &events {
            reading.event(event, &keys);
        }
        for (runs, said) in reading.runs.iter().zip(&recorded.said) {
            for (_, run) in runs {
                prop_assert!(memchr::memmem::find(said, run).is_some());
            }
        }
    }
}
