//! What OpenSSL 3.0 sent in TLS 1.2 and 1.1, with the lines of its key log (K), client (C) and server (S) in hex, a segment
//! a line: a server that says every line backwards.

use super::*;
use crate::tcp::Direction::ToServer;
use crate::tls::Sealed;

type Session = (Vec<(Direction, Vec<u8>)>, KeyLog);

fn session(text: &str) -> Session {
    let (mut flights, mut keys) = (Vec::new(), KeyLog::default());
    for line in text.lines() {
        let (what, rest) = line.split_once(' ').unwrap();
        let bytes = || {
            let mut bytes = vec![0; rest.len() / 2];
            crate::tls::key_log::from_hex(rest.as_bytes(), &mut bytes).unwrap();
            bytes
        };
        match what {
            "K" => keys.add(rest.as_bytes()),
            "C" => flights.push((ToServer, bytes())),
            "S" => flights.push((ToClient, bytes())),
            _ => panic!("{line}"),
        }
    }
    (flights, keys)
}

macro_rules! sessions {
    ($($name:literal),*) => { [$(($name, include_str!(concat!("../../fixtures/", $name, ".txt")))),*] };
}

fn cbc() -> [(&'static str, &'static str); 8] {
    sessions![
        "cbc_aes128_sha",
        "cbc_aes128_sha_etm",
        "cbc_aes128_sha256",
        "cbc_aes128_sha256_etm",
        "cbc_aes256_sha",
        "cbc_aes256_sha_etm",
        "cbc_aes256_sha384",
        "cbc_aes256_sha384_etm"
    ]
}

const SAID: &[u8] = b"short\na line of words that is longer than a block\n0123456789abcde\n";
const ANSWERED: &[u8] = b"trohs\nkcolb a naht regnol si taht sdrow fo enil a\nedcba9876543210\n";

#[test]
fn cbc_is_opened_whichever_of_mac_and_encryption_came_first() {
    for (name, text) in cbc() {
        let (flights, keys) = session(text);
        let reading = read(&flights, &keys);
        assert_eq!(
            reading.clear(),
            [SAID.to_vec(), ANSWERED.to_vec()],
            "{name}"
        );
        let facts = reading.facts();
        assert!(matches!(facts.sealed, Sealed::Open { .. }), "{name}");
        assert_eq!(facts.alerts.len(), 1, "{name}: close_notify");
    }
}

#[test]
fn a_changed_byte_of_cbc_gives_nothing_of_its_record() {
    for (name, text) in cbc() {
        let (flights, keys) = session(text);
        let place = flights.len() - 3;
        let (ToServer, record) = &flights[place] else {
            panic!("{name}: {flights:?}");
        };
        for at in 5..record.len() {
            let mut flights = flights.clone();
            flights[place].1[at] ^= 0x10;
            let reading = read(&flights, &keys);
            let [to_server, to_client] = reading.clear();
            assert_eq!(to_server, &SAID[..SAID.len() - 16], "{name}");
            assert_eq!(to_client, ANSWERED, "{name}");
            let frame = frame(place as u64 + 1);
            let facts = reading.facts();
            assert!(
                matches!(facts.sealed, Sealed::Lost { first: Some(_), frame: at } if at == frame),
                "{name}: {:?}",
                facts.sealed
            );
        }
    }
}

#[test]
fn a_hole_in_cbc_loses_the_direction() {
    for (name, text) in cbc() {
        let (flights, keys) = session(text);
        let place = flights.len() - 5;
        let (direction, record) = flights[place].clone();
        for (kept, cut) in [(0, record.len()), (5, record.len() - 5), (30, 7)] {
            let mut reading = Reading::new();
            for (at, (way, data)) in flights.iter().enumerate() {
                if at != place {
                    reading.event(&Event::Bytes(*way, data.clone()), &keys);
                    continue;
                }
                reading.event(&Event::Bytes(direction, record[..kept].to_vec()), &keys);
                reading.event(&Event::Gap(direction, cut as u64), &keys);
                let rest = record[kept + cut..].to_vec();
                reading.event(&Event::Bytes(direction, rest), &keys);
            }
            let [to_server, to_client] = reading.clear();
            assert_eq!(to_server, b"short\n", "{name}");
            assert_eq!(to_client, ANSWERED, "{name}");
            let sealed = reading.facts().sealed;
            assert!(sealed.is_open(), "{name}: {sealed:?}");
            assert!(matches!(sealed, Sealed::Lost { .. }), "{name}: {sealed:?}");
        }
    }
}

#[test]
fn new_keys_of_tls12_end_the_reading() {
    let (flights, keys) = session(include_str!("../../fixtures/renegotiated.txt"));
    let reading = read(&flights, &keys);
    assert_eq!(
        reading.clear(),
        [b"before\n".to_vec(), b"erofeb\n".to_vec()]
    );
    let sealed = reading.facts().sealed;
    assert!(
        matches!(sealed, Sealed::Lost { first: Some(_), .. }),
        "{sealed:?}"
    );
    assert_eq!(reading.interest, Interest::Counters);
}

#[test]
fn what_cannot_be_opened_is_said_to_be_so() {
    for text in [
        include_str!("../../fixtures/ccm.txt"),
        include_str!("../../fixtures/tls11.txt"),
    ] {
        let (flights, keys) = session(text);
        let reading = read(&flights, &keys);
        assert_eq!(reading.facts().sealed, Sealed::Unsupported);
        assert_eq!(reading.next, [0; 2]);
        // Without keys nothing is said about it.
        let none = KeyLog::default();
        assert_eq!(read(&flights, &none).facts().sealed, Sealed::NoKeys);
    }
}

#[test]
fn keys_that_fit_nothing_are_told_from_none() {
    for (name, text) in cbc() {
        let (flights, _) = session(text);
        let hello = &flights[0].1;
        let random: String = super::peers::hex(&hello[11..43]);
        let log = format!("CLIENT_RANDOM {random} {}", "5a".repeat(48));
        let reading = read(&flights, &keys(log.as_bytes()));
        let sealed = reading.facts().sealed;
        assert!(matches!(sealed, Sealed::Unfit { .. }), "{name}: {sealed:?}");
        assert_eq!(reading.next, [0; 2]);
        assert_eq!(reading.interest, Interest::Counters);
    }
}
