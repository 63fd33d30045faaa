//! What many handshakes and connections show together, and none alone.

use super::tls::{alert, tls};
use super::*;
use crate::decode::Endpoint;
use crate::diagnosis::Across;
use crate::hop::{Confidence, Party, Record};
use crate::tcp::Side;

/// Tunnel number `n`, ended by the proxy at `end` ms; its last frame was at `last` ms.
fn tunnel(n: u32, last: f64, end: f64) -> Handshake {
    let client_port = Endpoint::v4([192, 168, 50, 23], 41_000 + n as u16);
    let back_port = Endpoint::v4([10, 20, 0, 1], 52_000 + n as u16);
    let opened = f64::from(n) / 100.0;
    with_session(
        through(
            conn(2 * n, client_port, FRONT, opened)
                .ask(ASK, 0.5)
                .answer(SWITCHED, 1.7)
                .session(talk(2, 1.7, last))
                .fin(Side::Server, end + 0.2),
            conn(2 * n + 1, back_port, BACKEND, 1.0)
                .ask(FORWARDED, 1.2)
                .answer(SWITCH, 1.6)
                .session(talk(2, 1.6, last))
                .fin(Side::Client, end),
        ),
        Some(Party::Proxy),
    )
}

/// Records first, as the engine does; then the handshakes, then what all show together.
fn together(handshakes: &[Handshake], records: &[Record]) -> (Vec<Diagnosis>, Vec<Code>) {
    let mut across = Across::new();
    for handshake in handshakes {
        for hop in &handshake.hops {
            across.connection(&hop.record);
        }
        for attempt in &handshake.attempts {
            across.connection(&attempt.record);
        }
    }
    for record in records {
        across.connection(record);
    }
    let diagnoses = handshakes
        .iter()
        .map(|handshake| across.diagnose(handshake))
        .collect();
    let found = codes(&across.finish());
    assert_eq!(codes(&across.finish()), [], "forgotten once told");
    (diagnoses, found)
}

#[test]
fn tunnels_that_end_together() {
    let burst = |newest_first: bool| -> Vec<Handshake> {
        (0..4)
            .map(|n| {
                let place = f64::from(if newest_first { 3 - n } else { n });
                tunnel(n, 1000.0, 1500.0 + place)
            })
            .collect()
    };
    let (diagnoses, found) = together(&burst(false), &[]);
    assert_eq!(found, [Code::ProxyRestarted], "reload");
    for diagnosis in &diagnoses {
        assert_eq!(diagnosis.verdict, Verdict::Broken);
        assert_eq!(diagnosis.cause, Some(Code::ProxyRestarted));
        assert_eq!(diagnosis.findings[0].code, Code::ProxyRestarted);
        assert!(
            diagnosis.headline.contains("with 3 others"),
            "{}",
            diagnosis.headline
        );
    }
    let later = |opening| {
        let mut record = conn(90, CLIENT, FRONT, 3000.0).record;
        record.connection.opening = opening;
        if opening == crate::tcp::Opening::Refused {
            record.connection.syn_ack = None;
        }
        record
    };
    assert_eq!(
        together(&burst(true), &[later(crate::tcp::Opening::Complete)]).1,
        [Code::ProxyCrashed],
        "clients come back to a new worker"
    );
    assert_eq!(
        together(&burst(true), &[later(crate::tcp::Opening::Refused)]).1,
        [Code::ProxyRestarted],
        "stopped"
    );
    // Two are a coincidence, and equal silences are timeouts.
    assert_eq!(together(&burst(false)[..2], &[]).1, []);
    let idle: Vec<Handshake> = (0..4).map(|n| tunnel(n, 10.0, 60_005.0)).collect();
    let (diagnoses, found) = together(&idle, &[]);
    assert_eq!(found, []);
    assert!(
        diagnoses
            .iter()
            .all(|one| one.cause == Some(Code::IdleTimeout))
    );
    // One that does not fit makes it an event: silences may fit a timeout by chance.
    let mut chance = idle;
    chance.push(tunnel(9, 59_000.0, 60_006.0));
    chance.push(tunnel(10, 58_500.0, 60_007.0));
    let (diagnoses, found) = together(&chance, &[]);
    assert_eq!(found, [Code::ProxyRestarted]);
    assert!(
        diagnoses
            .iter()
            .all(|one| one.cause == Some(Code::ProxyRestarted))
    );
    // Ended at different times.
    let apart: Vec<Handshake> = (0..4)
        .map(|n| tunnel(n, 1000.0, 1500.0 + 1000.0 * f64::from(n)))
        .collect();
    assert_eq!(together(&apart, &[]).1, []);
}

#[test]
fn tunnels_that_end_together_on_one_hop() {
    let only = |hop: usize, silences: &[f64]| -> Vec<Handshake> {
        (0_u32..)
            .zip(silences)
            .map(|(n, silence)| {
                let mut handshake = tunnel(n, 9000.0 - silence, 9000.0 + f64::from(n));
                let mut hop = handshake.hops.remove(hop);
                hop.parent = None;
                hop.paired_by = None;
                handshake.hops = vec![hop];
                with_session(handshake, None)
            })
            .collect()
    };
    // The backend behind the proxy may have ended them: it is one event, and whose is a guess.
    let (diagnoses, found) = together(&only(0, &[300.0, 1500.0, 3400.0]), &[]);
    assert_eq!(found, [Code::ProxyRestarted]);
    for diagnosis in &diagnoses {
        assert_eq!(diagnosis.cause, Some(Code::ProxyRestarted));
        assert_eq!(diagnosis.ended_by, None);
        assert_eq!(diagnosis.findings[0].confidence, Confidence::Guess);
        assert!(
            diagnosis.headline.contains("or what is behind it"),
            "{}",
            diagnosis.headline
        );
    }
    // Seen from the backend, a silence that fits a timeout is no proof of one among others that do not.
    let (diagnoses, _) = together(&only(1, &[300.0, 1500.0, 3400.0, 5000.0]), &[]);
    let idle = finding(&diagnoses[3], Code::IdleTimeout);
    assert_eq!(idle.confidence, Confidence::Guess);
    assert!(
        idle.detail
            .contains("3 other tunnels ended after other silences"),
        "{}",
        idle.detail
    );
}

#[test]
fn others_confirm_a_timeout_or_rule_it_out() {
    let confidence = |diagnosis: &Diagnosis| finding(diagnosis, Code::IdleTimeout).confidence;
    let lone = tunnel(0, 1000.0, 60_900.0);
    let (diagnoses, _) = together(std::slice::from_ref(&lone), &[]);
    assert_eq!(confidence(&diagnoses[0]), Confidence::Likely);
    let second = tunnel(1, 5000.0, 64_950.0);
    let (diagnoses, _) = together(&[lone.clone(), second], &[]);
    for diagnosis in &diagnoses {
        assert_eq!(confidence(diagnosis), Confidence::Certain);
        let detail = &finding(diagnosis, Code::IdleTimeout).detail;
        assert!(
            detail.contains("1 other tunnel ended after the same silence"),
            "{detail}"
        );
    }

    // One that ended together with it after another silence has nothing in common with it but the proxy.
    let other = tunnel(2, 40_000.0, 60_904.0);
    let (diagnoses, found) = together(&[lone.clone(), other], &[]);
    assert_eq!(found, [], "two are no event");
    assert_eq!(diagnoses[0].cause, Some(Code::IdleTimeout));
    assert_eq!(confidence(&diagnoses[0]), Confidence::Guess);
    let detail = &finding(&diagnoses[0], Code::IdleTimeout).detail;
    assert!(
        detail.contains("1 other tunnel ended after another or an unknown silence"),
        "{detail}"
    );

    // A few seconds fit some timeout by chance: of two that ended within milliseconds, one reason is likelier than two.
    let (one, other) = (tunnel(3, 1000.0, 3950.0), tunnel(4, 300.0, 3953.0));
    let (diagnoses, found) = together(&[one.clone(), other], &[]);
    assert_eq!(found, [Code::ProxyRestarted]);
    for diagnosis in &diagnoses {
        assert_eq!(diagnosis.cause, Some(Code::ProxyRestarted));
        assert_eq!(diagnosis.findings[0].confidence, Confidence::Guess);
        assert!(diagnosis.headline.contains("together with 1 other"));
    }
    // After the same silence they have a timeout in common, and further apart nothing at all.
    for (last, end) in [(1003.0, 3953.0), (300.0, 3990.0)] {
        let (diagnoses, _) = together(&[one.clone(), tunnel(4, last, end)], &[]);
        assert_eq!(diagnoses[0].cause, Some(Code::IdleTimeout), "{end}");
    }

    // What it says itself when it is over does not count.
    let mut late = tunnel(0, 1000.0, 60_900.0);
    let hop = std::sync::Arc::make_mut(&mut late.hops[0].record);
    let facts = hop.exchanges[0].session.as_mut().unwrap();
    facts.to_server.last = Some(at(61_200.0));
    facts.latest_silence = Some(crate::websocket::Silence {
        from: at(1000.0),
        until: at(61_200.0),
    });
    let (diagnoses, _) = together(&[late], &[]);
    assert_eq!(confidence(&diagnoses[0]), Confidence::Likely);
    // So may others that were up and silent when the capture began.
    let mut stranger = conn(
        80,
        Endpoint::v4([192, 168, 50, 24], 46_000),
        FRONT,
        60_000.0,
    )
    .fin(Side::Server, 60_900.2)
    .record;
    stranger.connection.opening = crate::tcp::Opening::Midstream;
    let (diagnoses, _) = together(std::slice::from_ref(&lone), &[stranger]);
    assert_eq!(confidence(&diagnoses[0]), Confidence::Guess);

    let patient = |ask: &str| {
        let mut facts = talk(2, 1.7, 90_000.0);
        facts.longest_silence = Some(crate::websocket::Silence {
            from: at(10_000.0),
            until: at(90_000.0),
        });
        let client = Endpoint::v4([192, 168, 50, 23], 45_000);
        with_session(
            alone(
                conn(70, client, FRONT, 0.2)
                    .ask(ask, 0.5)
                    .answer(SWITCHED, 1.7)
                    .session(facts),
                crate::hop::Role::ClientProxy,
            ),
            None,
        )
    };
    let (diagnoses, _) = together(&[patient(ASK), lone.clone()], &[]);
    assert_eq!(diagnoses[1].cause, Some(Code::ProxyClosed));
    let closed = finding(&diagnoses[1], Code::ProxyClosed);
    assert!(
        closed.detail.contains("another session of this location"),
        "{}",
        closed.detail
    );
    // Another location may have another timeout.
    let (diagnoses, _) = together(&[patient(&ASK.replace("/ws", "/other")), lone], &[]);
    assert_eq!(diagnoses[1].cause, Some(Code::IdleTimeout));
}

#[test]
fn clients_turned_away_at_once() {
    let turned_away = |n: u32, asked: bool| {
        let client = Endpoint::v4([192, 168, 50, 23], 43_000 + n as u16);
        let mut record = conn(n, client, FRONT, 100.0 + f64::from(n))
            .fin(Side::Server, 100.5 + f64::from(n))
            .record;
        record.exchange_count = u32::from(asked);
        record
    };
    let many: Vec<Record> = (0..8).map(|n| turned_away(n, n == 0)).collect();
    assert_eq!(together(&[], &many).1, [Code::ProxyOverloaded]);
    assert_eq!(together(&[], &many[..3]).1, [], "a few");
    let strangers: Vec<Record> = (0..8).map(|n| turned_away(n, false)).collect();
    assert_eq!(
        together(&[], &strangers).1,
        [],
        "nothing says that this is HTTP"
    );
}

#[test]
fn one_session_at_two_backends() {
    let ask = ASK.replace("/ws", "/socket.io/?EIO=4&sid=abc");
    let sent = FORWARDED.replace("/ws", "/socket.io/?EIO=4&sid=abc");
    let upgrade = through(
        front()
            .ask(&ask, 5.0)
            .answer("HTTP/1.1 400 Bad Request", 7.0),
        conn(1, BACK, BACKEND2, 5.5)
            .ask(&sent, 6.0)
            .answer("HTTP/1.1 400 Bad Request", 6.5),
    );
    let poll = |server: Endpoint| {
        let mut record = conn(7, Endpoint::v4([10, 20, 0, 1], 50_001), server, 1.0).record;
        record.ordinary = vec![ordinary("/socket.io/?EIO=4&sid=abc", None, 200, 2.0)];
        record
    };
    assert_eq!(
        together(std::slice::from_ref(&upgrade), &[poll(BACKEND)]).1,
        [Code::SessionAffinityLost]
    );
    assert_eq!(
        together(&[upgrade], &[poll(BACKEND2)]).1,
        [],
        "the same backend"
    );
}

/// The upgrade reached the backend that knows the session, and a request of the polling before it did not.
#[test]
fn one_session_polled_at_two_backends() {
    let proxy = |port| Endpoint::v4([10, 20, 0, 1], port);
    let poll = |id: u32, client: Endpoint, server: Endpoint, target: &str, status: u16| {
        let mut record = conn(id, client, server, 1.0).record;
        record.ordinary = vec![ordinary(target, None, status, 2.0)];
        record
    };
    let target = "/socket.io/?EIO=4&transport=polling&sid=abc";
    let known = poll(7, proxy(50_001), BACKEND, target, 200);
    for (what, others, found) in [
        (
            "refused",
            vec![poll(8, proxy(50_002), BACKEND2, target, 400)],
            &[Code::SessionAffinityLost][..],
        ),
        (
            "another reason",
            vec![poll(8, proxy(50_002), BACKEND2, target, 503)],
            &[],
        ),
        (
            "known to both",
            vec![poll(8, proxy(50_002), BACKEND2, target, 200)],
            &[],
        ),
        (
            "the same backend",
            vec![poll(8, proxy(50_002), BACKEND, target, 400)],
            &[],
        ),
        (
            "what the client got",
            vec![poll(8, CLIENT, FRONT, target, 400)],
            &[],
        ),
        // Everything on one host: the proxy asks from the address that the client has.
        (
            "what a client on the same host got",
            vec![
                poll(8, proxy(50_002), FRONT, target, 400),
                poll(9, proxy(50_003), FRONT, target, 200),
            ],
            &[],
        ),
    ] {
        let mut records = vec![known.clone()];
        records.extend(others);
        assert_eq!(together(&[], &records).1, found, "{what}");
        records.reverse();
        assert_eq!(together(&[], &records).1, found, "{what}, reversed");
    }
    // A parameter of this name is not Engine.IO's alone.
    let form = "/form?sid=abc";
    let records = [
        poll(7, proxy(50_001), BACKEND, form, 200),
        poll(8, proxy(50_002), BACKEND2, form, 400),
    ];
    assert_eq!(together(&[], &records).1, []);
}

#[test]
fn connections_of_a_handshake_have_no_findings_of_their_own() {
    let mut attempt = conn(5, BACK, BACKEND, 1.0);
    attempt.record = Record {
        connection: attempt.record.connection,
        ..tls(|facts| {
            facts.not_tls = Some((Side::Server, at(1.5), b"HTTP/1.1 400 Bad".as_slice().into()));
        })
    };
    let stranger = tls(|facts| facts.alerts = vec![alert(Side::Client, 48)]);
    let handshake = tried(
        front().ask(ASK, 0.5).answer(BAD_GATEWAY, 2.0),
        vec![attempt],
    );
    let (diagnoses, found) = together(&[handshake], std::slice::from_ref(&stranger));
    assert_eq!(diagnoses[0].cause, Some(Code::TlsToPlainBackend));
    assert_eq!(found, [Code::CertificateRejected]);

    let mut across = Across::new();
    across.connection(&stranger);
    let soon = at(1000.0).at;
    assert!(!across.has_due(soon));
    let later = at(3000.0).at;
    assert!(across.has_due(later));
    assert_eq!(
        codes(&across.due(later, std::collections::BTreeSet::new)),
        [Code::CertificateRejected]
    );
    assert_eq!(codes(&across.finish()), []);

    let mut across = Across::new();
    across.connection(&stranger);
    let claimed = || [stranger.connection.id].into();
    assert_eq!(codes(&across.due(later, claimed)), []);
    assert!(!across.has_due(later), "not looked at again");
    // The handshake turned out not to have it.
    assert_eq!(codes(&across.finish()), [Code::CertificateRejected]);
}

#[test]
fn nobody_left_to_ask() {
    let bad_gateway = BAD_GATEWAY;
    let refused = tried(
        front().ask(ASK, 0.5).answer(bad_gateway, 2.0).body(PAGE),
        vec![conn(5, BACK, BACKEND, 1.0).edit(|c| {
            c.record.exchange_count = 0;
            c.record.connection.opening = crate::tcp::Opening::Refused;
        })],
    );
    let second = alone(
        conn(6, CLIENT, FRONT, 100.0)
            .ask(ASK, 100.5)
            .answer(bad_gateway, 100.8)
            .body(PAGE),
        crate::hop::Role::ClientProxy,
    );
    let (diagnoses, _) = together(&[refused, second.clone()], &[]);
    assert_eq!(diagnoses[0].cause, Some(Code::BackendRefused));
    assert_eq!(diagnoses[1].cause, Some(Code::NoLiveBackend));
    // Seen failing before: likely, where it would be a guess.
    assert_eq!(
        finding(&diagnoses[1], Code::NoLiveBackend).confidence,
        crate::hop::Confidence::Likely
    );
    // Without the first one nothing shows that tries would be in the capture.
    let (diagnoses, _) = together(&[second], &[]);
    assert_eq!(diagnoses[0].cause, Some(Code::BadGateway));
}

/// Whether a listener that closes without a byte expects a PROXY protocol header, its other connections tell.
#[test]
fn what_a_listener_does_to_others() {
    let closed = || {
        alone(
            front().ask(ASK, 0.5).fin(Side::Server, 0.6),
            crate::hop::Role::ClientProxy,
        )
    };
    let other = |header: bool| {
        let mut record = conn(9, Endpoint::v4([192, 168, 50, 24], 46_000), FRONT, 10.0).record;
        record.connection.to_client.payload_bytes = 100;
        record.connection.to_client.first_data = Some(at(11.0));
        record.proxy_header = header.then(|| crate::hop::ProxyHeader {
            version: 1,
            frame: at(10.2),
            source: None,
        });
        record
    };
    for (name, records, cause, confidence, headline) in [
        (
            "nobody else",
            vec![],
            Code::ProxyProtocolMissing,
            Confidence::Guess,
            "`return 444`",
        ),
        (
            "one without a header is answered",
            vec![other(false)],
            Code::NoAnswer,
            Confidence::Likely,
            "`return 444`",
        ),
        (
            "one with a header is answered",
            vec![other(true)],
            Code::ProxyProtocolMissing,
            Confidence::Likely,
            "expects a PROXY protocol header",
        ),
        (
            "both are answered",
            vec![other(false), other(true)],
            Code::ProxyProtocolMissing,
            Confidence::Guess,
            "`return 444`",
        ),
    ] {
        let (all, _) = together(&[closed()], &records);
        let diagnosis = &all[0];
        assert_eq!(diagnosis.cause, Some(cause), "{name}");
        assert_eq!(finding(diagnosis, cause).confidence, confidence, "{name}");
        assert!(
            diagnosis.headline.contains(headline),
            "{name}: {}",
            diagnosis.headline
        );
    }
}
