#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "tests"
)]
use super::*;
use crate::capture::{CaptureId, FrameNo, FrameRef, Timestamp};
use crate::tcp::Direction::{self, ToClient, ToServer};
use crate::tcp::{Chunk, Gap, GapCause, Interest, Side};
use proptest::prelude::*;

/// What OpenSSL 3.0 sent, client (C) and server (S), in hex, one flight a line: a client that asks for
/// `ws.example.org` and offers h2 and http/1.1, a server that speaks http/1.1 and has a self-signed certificate.
const TLS13: &str = include_str!("flights/tls13.txt");
/// The same, with a server that insists on a group for which the client sent no key share.
const TLS13_RETRY: &str = include_str!("flights/tls13_hrr.txt");
/// The same, with a client that rejects the certificate.
const TLS13_REJECT: &str = include_str!("flights/tls13_reject.txt");
/// TLS 1.2.
const TLS12: &str = include_str!("flights/tls12.txt");
/// TLS 1.2, the server asks for a certificate and the client has none.
const TLS12_NO_CERTIFICATE: &str = include_str!("flights/tls12_nocert.txt");
/// TLS 1.2, the server asks for a certificate and gets one.
const TLS12_CERTIFICATE: &str = include_str!("flights/tls12_cert.txt");

type Flight = (Direction, Vec<u8>);

fn flights(text: &str) -> Vec<Flight> {
    text.lines()
        .map(|line| {
            let (who, hex) = line.split_once(' ').unwrap();
            let bytes = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect();
            (if who == "C" { ToServer } else { ToClient }, bytes)
        })
        .collect()
}

fn frame(number: u64) -> FrameRef {
    FrameRef::new(Timestamp::from_nanos(0), CaptureId(0), FrameNo(number))
}

/// The facts, and whether more was wanted at the end.
fn watch(flights: &[Flight]) -> (TlsFacts, Interest) {
    let mut sight = Sight::new();
    let mut interest = Interest::Bytes;
    for (number, (direction, data)) in (1..).zip(flights) {
        let chunk = Chunk {
            direction: *direction,
            position: 0,
            data,
            frame: frame(number),
        };
        interest = sight.bytes(&chunk, &KeyLog::default(), &mut Opened::default());
    }
    (sight.facts(), interest)
}

fn seen(text: &str) -> TlsFacts {
    watch(&flights(text)).0
}

#[test]
fn a_tls13_handshake_shows_its_hellos() {
    let (facts, interest) = watch(&flights(TLS13));
    assert_eq!(facts.client_hello, Some(frame(1)));
    assert_eq!(facts.sni.as_deref(), Some("ws.example.org"));
    assert_eq!(facts.alpn_offered, ["h2".into(), "http/1.1".into()]);
    assert_eq!(facts.versions_offered, [0x0304, 0x0303]);
    assert_eq!(facts.server_hello, Some(frame(2)));
    assert_eq!(facts.version.and_then(version_name), Some("TLS 1.3"));
    assert_eq!(
        facts.cipher.and_then(cipher_name),
        Some("TLS_AES_256_GCM_SHA384")
    );
    assert_eq!(facts.alpn, None, "encrypted");
    assert_eq!(facts.application_data, (Some(frame(3)), Some(frame(2))));
    assert_eq!(facts.hello_retry_request, None);
    assert_eq!(facts.alerts, []);
    assert_eq!(facts.not_tls, None);
    assert_eq!(interest, Interest::Counters);
}

#[test]
fn a_hello_retry_request_is_no_server_hello() {
    let facts = seen(TLS13_RETRY);
    assert_eq!(facts.client_hello, Some(frame(1)));
    assert_eq!(facts.hello_retry_request, Some(frame(2)));
    assert_eq!(facts.server_hello, Some(frame(4)));
    assert_eq!(facts.version, Some(0x0304));
}

#[test]
fn an_alert_in_clear_is_told_even_in_tls13() {
    let (facts, interest) = watch(&flights(TLS13_REJECT));
    assert_eq!(
        facts.alerts,
        [Alert {
            from: Side::Client,
            level: 2,
            description: 48,
            frame: frame(3)
        }]
    );
    assert_eq!(alert_name(48), Some("unknown_ca"));
    assert_eq!(interest, Interest::Bytes);
}

#[test]
fn a_tls12_handshake_shows_the_protocol_chosen() {
    let facts = seen(TLS12);
    assert_eq!(facts.version, Some(0x0303));
    assert_eq!(facts.alpn.as_deref(), Some("http/1.1"));
    assert_eq!(facts.certificate_requested, None);
    // The Finished messages are encrypted handshake records: nothing may be read into them.
    assert_eq!(facts.application_data, (Some(frame(5)), Some(frame(6))));
    assert_eq!(facts.alerts, []);
}

#[test]
fn a_client_without_the_certificate_asked_for_is_seen() {
    assert_eq!(
        seen(TLS12_NO_CERTIFICATE).certificate_requested,
        Some(false)
    );
    assert_eq!(seen(TLS12_CERTIFICATE).certificate_requested, Some(true));
}

#[test]
fn an_answer_that_is_no_tls_is_kept() {
    let hello = flights(TLS13).swap_remove(0);
    let answer = b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Length: 3000\r\nConnection: close\r\n\r\n";
    for step in 1..answer.len() {
        let mut story = vec![hello.clone()];
        story.extend(answer.chunks(step).map(|piece| (ToClient, piece.to_vec())));
        let (facts, _) = watch(&story);
        let (side, at, excerpt) = facts.not_tls.unwrap();
        assert_eq!((side, at), (Side::Server, frame(2)));
        assert_eq!(&*excerpt, &answer[..NOT_TLS_EXCERPT]);
    }
    // Not only when it begins with a letter.
    let (facts, _) = watch(&[hello, (ToClient, vec![22, 9])]);
    assert_eq!(facts.not_tls.unwrap().2.as_ref(), [22, 9]);
    // A server alert as answer to plain text.
    let (facts, _) = watch(&[
        (ToServer, b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        (ToClient, vec![21, 3, 1, 0, 2, 2, 70]),
    ]);
    assert_eq!(facts.not_tls.unwrap().0, Side::Client);
    assert_eq!(facts.alerts[0].description, 70);
}

#[test]
fn a_hole_accuses_nobody_and_application_data_is_found_again() {
    let story = flights(TLS12);
    let mut sight = Sight::new();
    let (keys, mut opened) = (KeyLog::default(), Opened::default());
    let mut bytes = |sight: &mut Sight, direction, data, number| {
        let chunk = Chunk {
            direction,
            position: 0,
            data,
            frame: frame(number),
        };
        sight.bytes(&chunk, &keys, &mut opened);
    };
    bytes(&mut sight, ToServer, &story[0].1[..], 1);
    bytes(&mut sight, ToClient, &story[1].1[..300], 2);
    let gap = Gap {
        direction: ToClient,
        position: 300,
        len: 5000,
        cause: GapCause::NotCaptured,
        frame: frame(3),
    };
    sight.gap(&gap, &KeyLog::default(), &mut Opened::default());
    bytes(&mut sight, ToClient, &[7; 40], 4);
    bytes(&mut sight, ToClient, &story[5].1[..], 5);
    assert!(opened.is_empty());
    let facts = sight.facts();
    assert_eq!(facts.server_hello, Some(frame(2)));
    assert_eq!(facts.application_data.1, Some(frame(5)));
    assert_eq!(facts.not_tls, None);
}

#[test]
fn reading_stops_after_a_bounded_amount() {
    let record = [[23, 3, 3, 0x40, 0].as_slice(), &[0; 0x4000]].concat();
    let (_, interest) = watch(&vec![(ToClient, record.clone()); 10]);
    assert_eq!(interest, Interest::Bytes);
    let (_, interest) = watch(&vec![(ToClient, record); 20]);
    assert_eq!(interest, Interest::Counters);
}

#[test]
fn a_hello_that_claims_much_takes_no_memory_for_it() {
    // One message of 16 MiB over many records.
    let mut records = vec![22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff];
    for _ in 0..8 {
        records.extend([22, 3, 1, 0x40, 0]);
        records.extend([0; 0x4000]);
    }
    let (facts, _) = watch(&[(ToServer, records)]);
    assert_eq!(facts.client_hello, None);
}

#[test]
fn a_malformed_extension_hides_no_other() {
    let mut story = flights(TLS13);
    let hello = &mut story[0].1;
    // The server_name extension stands before the others: its inner list length is made to lie.
    let name = hello.windows(3).position(|w| w == b"ws.").unwrap();
    hello[name - 4] = 0xff;
    let (facts, _) = watch(&story);
    assert_eq!(facts.sni, None);
    assert_eq!(facts.alpn_offered.len(), 2);
}

fn without_frames(mut facts: TlsFacts) -> TlsFacts {
    let none = frame(0);
    for at in [
        &mut facts.client_hello,
        &mut facts.server_hello,
        &mut facts.hello_retry_request,
        &mut facts.application_data.0,
        &mut facts.application_data.1,
    ] {
        *at = at.map(|_| none);
    }
    for alert in &mut facts.alerts {
        alert.frame = none;
    }
    if let Some((_, frame)) = &mut facts.sealed_alert {
        *frame = none;
    }
    if let Some(sizes) = &mut facts.sizes {
        sizes.change_frames(|_| none);
    }
    facts
}

proptest! {
    #[test]
    fn any_segmentation_gives_the_same_facts(which in 0_usize..6, cuts in proptest::collection::vec(1_usize..600, 1..12)) {
        let text = [TLS13, TLS13_RETRY, TLS13_REJECT, TLS12, TLS12_NO_CERTIFICATE, TLS12_CERTIFICATE][which];
        let whole = flights(text);
        let mut cuts = cuts.iter().cycle();
        let mut pieces = Vec::new();
        for (direction, data) in &whole {
            let mut rest = data.as_slice();
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                pieces.push((*direction, now.to_vec()));
                rest = later;
            }
        }
        prop_assert_eq!(without_frames(watch(&whole).0), without_frames(watch(&pieces).0));
    }

    #[test]
    fn hostile_bytes_do_no_harm(which in 0_usize..6, flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..30)) {
        let text = [TLS13, TLS13_RETRY, TLS13_REJECT, TLS12, TLS12_NO_CERTIFICATE, TLS12_CERTIFICATE][which];
        let mut story = flights(text);
        for (place, byte) in flips {
            let flight = place % story.len();
            let data = &mut story[flight].1;
            let at = (place / 7) % data.len().min(400);
            data[at] = byte;
        }
        watch(&story);
    }

    #[test]
    fn random_bytes_do_no_harm(story in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..10)) {
        let story: Vec<Flight> = story.into_iter().map(|(client, data)| (if client { ToServer } else { ToClient }, data)).collect();
        watch(&story);
    }
}
