//! Sessions that somebody ended, or that the network did, without a goodbye.

use super::*;
use crate::hop::{Confidence, Party};
use crate::tcp::{Direction, Opening, Side};
use crate::websocket::{Farewell, Mqtt, SessionFacts};

#[test]
fn closed_by_the_proxy_without_a_silence() {
    let handshake = ended(hops(talk(2, 1.7, 1000.0)), Party::Proxy, 1500.0);
    check_only("closed", &handshake, Verdict::Broken, Code::ProxyClosed);
}

#[test]
fn the_backend_goes() {
    let (client, backend) = hops(talk(2, 1.7, 100.0));
    let fin = through(
        client.clone().fin(Side::Server, 400.3),
        backend.clone().fin(Side::Server, 400.0),
    );
    let diagnosis = check_only(
        "fin",
        &with_session(fin, Some(Party::Backend)),
        Verdict::Broken,
        Code::BackendClosedWithoutClose,
    );
    assert_eq!(
        diagnosis.headline,
        "The backend 10.20.0.11:8080 closed the session without a Close frame after 398 ms"
    );
    let rst = through(
        client.fin(Side::Server, 400.3),
        backend.rst(Side::Server, 400.0),
    );
    check_only(
        "rst",
        &with_session(rst, Some(Party::Backend)),
        Verdict::Broken,
        Code::BackendReset,
    );
}

#[test]
fn a_reset_after_a_close_frame_that_may_be_in_a_hole_is_its_senders() {
    let (client, backend) = hops(talk(2, 1.7, 100.0));
    let by_backend = (
        client.clone().fin(Side::Server, 400.3),
        backend.clone().rst(Side::Server, 400.0),
    );
    let by_proxy = (
        client.rst(Side::Server, 400.0),
        backend.fin(Side::Client, 400.3),
    );
    for ((client, backend), code, sure) in [
        (by_backend, Code::BackendReset, Confidence::Guess),
        (by_proxy, Code::ProxyClosed, Confidence::Likely),
    ] {
        let handshake = with_session(through(client, backend), None);
        let name = code.as_str();
        let diagnosis = check_only(name, &handshake, Verdict::Broken, code);
        assert_eq!(finding(&diagnosis, code).confidence, sure, "{name}");
    }
}

#[test]
fn the_client_goes() {
    let (client, backend) = hops(talk(2, 1.7, 1400.0));
    let left = through(
        client.clone().fin(Side::Client, 1500.0),
        backend.clone().fin(Side::Client, 1500.2),
    );
    let diagnosis = diagnose(&with_session(left, Some(Party::Client)));
    assert_eq!(diagnosis.verdict, Verdict::Ok);
    assert_eq!(diagnosis.cause, None);
    assert_eq!(found(&diagnosis), ["info client-left"]);

    let reset = through(
        client.clone().rst(Side::Client, 1500.0),
        backend.clone().fin(Side::Client, 1500.2),
    );
    check(
        "reset",
        &with_session(reset, Some(Party::Client)),
        Verdict::Broken,
        Code::ClientReset,
        &["warning client-reset"],
    );

    let half = through(
        client.fin(Side::Client, 1500.0),
        backend.rst(Side::Client, 1501.0).edit(|c| {
            c.record.connection.to_client.last_data = Some(at(1500.5));
        }),
    );
    check(
        "half-closed",
        &with_session(half, Some(Party::Client)),
        Verdict::Broken,
        Code::HalfClosed,
        &["warning half-closed"],
    );
}

#[test]
fn right_after_the_101() {
    let handshake = ended(hops(talk(0, 1.7, 0.0)), Party::Client, 5.0);
    check(
        "at once",
        &handshake,
        Verdict::Broken,
        Code::ClosedRightAfter101,
        &["warning closed-right-after-101"],
    );
}

#[test]
fn cut_inside_a_frame() {
    let mut facts = talk(2, 1.7, 100.0);
    facts.cut_mid_frame = Some((Direction::ToClient, at(100.0), 500));
    let handshake = ended(hops(facts), Party::Backend, 400.0);
    let diagnosis = check_only("cut", &handshake, Verdict::Broken, Code::CutMidFrame);
    assert!(diagnosis.findings[0].detail.contains("equally short"));

    let mut short = talk(2, 1.7, 100.0);
    short.cut_mid_frame = Some((Direction::ToClient, at(100.0), 500));
    let (client, _) = hops(short);
    let (_, backend) = hops(talk(2, 1.7, 100.0));
    let handshake = ended((client, backend), Party::Proxy, 400.0);
    let diagnosis = diagnose(&handshake);
    let cut = finding(&diagnosis, Code::CutMidFrame);
    assert!(
        cut.detail.contains("cut on the hop 192.168.50.23:40380 to 192.168.50.1:80 and whole on 10.20.0.1:51000 to 10.20.0.11:8080"),
        "{}",
        cut.detail
    );
}

#[test]
fn http10_backend_that_gives_up_at_once() {
    let sent = FORWARDED.replace("HTTP/1.1", "HTTP/1.0");
    let handshake = with_session(
        through(
            front()
                .ask(ASK, 0.5)
                .answer(SWITCHED, 1.7)
                .session(talk(0, 1.7, 0.0))
                .fin(Side::Server, 2.2),
            back()
                .ask(&sent, 1.2)
                .answer(SWITCH, 1.6)
                .session(talk(0, 1.6, 0.0))
                .fin(Side::Server, 2.0),
        ),
        Some(Party::Backend),
    );
    let diagnosis = diagnose(&handshake);
    assert_eq!(diagnosis.cause, Some(Code::Http10ToBackend));
    assert_eq!(diagnosis.verdict, Verdict::Broken);
    // Whoever said goodbye was served, even where the backend's messages are in a hole.
    let mut facts = talk(0, 1.6, 0.0);
    facts.closes = vec![close(Side::Client, Some(1000), "", 1.9)];
    let backend = back().ask(&sent, 1.2).answer(SWITCH, 1.6).session(facts);
    let client = front().ask(ASK, 0.5).answer(SWITCHED, 1.7);
    let client = client.session(talk(2, 1.7, 1.8)).fin(Side::Server, 2.2);
    let served = with_session(through(client, backend.fin(Side::Server, 2.0)), None);
    assert_eq!(diagnose(&served).verdict, Verdict::Ok);
}

#[test]
fn with_data_outstanding_it_is_the_network() {
    let (client, backend) = hops(talk(2, 1.7, 10.0));
    let client = client.fin(Side::Server, 60_000.0).edit(|c| {
        let stream = &mut c.record.connection.to_client;
        stream.unacknowledged = 1400;
        stream.retransmitted = 6;
        stream.last_data = Some(at(10.0));
        stream.last_retransmission = Some(at(50_000.0));
        // The client's end still answers: it resets what comes too late.
        c.record.connection.to_server.rst = Some(at(60_001.0));
    });
    let mut handshake = with_session(
        through(client, backend.fin(Side::Client, 59_999.9)),
        Some(Party::Proxy),
    );
    handshake.session.as_mut().unwrap().outstanding = true;
    check_only("loss", &handshake, Verdict::Broken, Code::NetworkLoss);
}

#[test]
fn what_is_outstanding_may_have_been_sent_after_an_end_that_was_not_captured() {
    for (name, captured, sure) in [
        ("captured", true, Confidence::Likely),
        ("not captured", false, Confidence::Guess),
    ] {
        let (client, backend) = hops(talk(2, 1.7, 10.0));
        let backend = backend.fin(Side::Client, 1010.2).edit(|c| {
            // The first sign of its FIN is then the backend's, which acknowledges it.
            let late = if captured { 1010.4 } else { 1010.2 };
            c.record.connection.to_client.fin = Some(at(late));
        });
        let ended = through(client.rst(Side::Server, 1010.0), backend);
        let mut handshake = with_session(ended, Some(Party::Proxy));
        handshake.session.as_mut().unwrap().outstanding = true;
        let diagnosis = check_only(name, &handshake, Verdict::Broken, Code::ProxyClosed);
        let closed = finding(&diagnosis, Code::ProxyClosed);
        assert_eq!(closed.confidence, sure, "{name}");
    }
}

#[test]
fn a_peer_that_vanished() {
    let (client, backend) = hops(talk(2, 1.7, 10.0));
    let client = client.edit(|c| {
        let stream = &mut c.record.connection.to_client;
        stream.unacknowledged = 20;
        stream.retransmitted = 7;
        stream.last_data = Some(at(10.0));
        stream.last_retransmission = Some(at(25_000.0));
    });
    check_only(
        "vanished",
        &with_session(through(client, backend), None),
        Verdict::Broken,
        Code::ConnectionVanished,
    );
}

#[test]
fn a_peer_that_vanished_before_others_gave_up() {
    for (by, end_backend) in [(Party::Proxy, Side::Client), (Party::Backend, Side::Server)] {
        let (client, backend) = hops(talk(2, 1.7, 10.0));
        let client = client.edit(|c| {
            let stream = &mut c.record.connection.to_client;
            stream.unacknowledged = 20;
            stream.retransmitted = 4;
            stream.last_data = Some(at(10.0));
            stream.last_retransmission = Some(at(1600.0));
        });
        let mut handshake = with_session(
            through(
                client.fin(Side::Server, 2010.0),
                backend.fin(end_backend, 2009.9),
            ),
            Some(by),
        );
        handshake.session.as_mut().unwrap().outstanding = true;
        check_only(
            "vanished first",
            &handshake,
            Verdict::Broken,
            Code::ConnectionVanished,
        );
    }
}

#[test]
fn readers_that_do_not_read() {
    for (side, code) in [
        (Side::Client, Code::ClientNotReading),
        (Side::Server, Code::BackendNotReading),
    ] {
        let (client, backend) = hops(talk(2, 1.7, 100.0));
        let stuck = |c: Conn| {
            c.edit(|c| {
                c.record
                    .connection
                    .stream_mut(side.sends())
                    .zero_window_since = Some(at(200.0));
            })
        };
        let (client, backend) = if side == Side::Client {
            (stuck(client), backend)
        } else {
            (client, stuck(backend))
        };
        let handshake = ended((client, backend), Party::Proxy, 60_200.0);
        let diagnosis = check_only(code.as_str(), &handshake, Verdict::Broken, code);
        let directive = if side == Side::Client {
            "its send_timeout is 60 s"
        } else {
            "its proxy_send_timeout is 60 s"
        };
        let detail = &finding(&diagnosis, code).detail;
        assert!(detail.contains(directive), "{detail}");
    }
}

#[test]
fn mqtt_says_goodbye_in_its_own_way() {
    let mqtt = |to_server, to_client| {
        let mut facts = talk(2, 1.7, 100.0);
        let last = |farewell: Option<Farewell>| farewell.map(|farewell| (farewell, at(100.0)));
        facts.mqtt = Some(Box::new(Mqtt {
            to_server: last(to_server),
            to_client: last(to_client),
        }));
        facts
    };
    let left = || mqtt(Some(Farewell::Disconnect(0)), None);
    let dismissed = || mqtt(None, Some(Farewell::Disconnect(0)));
    for (facts, party) in [
        (left(), Party::Backend),
        (left(), Party::Client),
        (dismissed(), Party::Backend),
    ] {
        let diagnosis = diagnose(&ended(hops(facts), party, 100.5));
        assert_eq!(diagnosis.verdict, Verdict::Ok, "{party:?}");
        assert_eq!(found(&diagnosis), [""; 0], "{party:?}");
    }
    let (client, backend) = hops(left());
    let reset = through(
        client.fin(Side::Server, 100.6),
        backend.rst(Side::Server, 100.5),
    );
    let reset = with_session(reset, Some(Party::Backend));
    assert_eq!(found(&diagnose(&reset)), [""; 0]);

    let table = [
        (
            Farewell::Refused(5),
            "refused the MQTT connection (not authorized)",
        ),
        (
            Farewell::Disconnect(0x8d),
            "ended the MQTT connection (keep alive timeout)",
        ),
    ];
    for (farewell, said) in table {
        let handshake = ended(hops(mqtt(None, Some(farewell))), Party::Backend, 100.5);
        let diagnosis = check_only("mqtt", &handshake, Verdict::Broken, Code::ClosedWithError);
        assert!(diagnosis.headline.contains(said), "{}", diagnosis.headline);
    }

    // With a Close frame, too; but where nobody was refused, that is a normal end.
    for (farewell, cause) in [
        (Some(Farewell::Refused(5)), Some(Code::ClosedWithError)),
        (Some(Farewell::Disconnect(0)), None),
        (None, None),
    ] {
        let mut facts = mqtt(None, farewell);
        facts.closes = vec![close(Side::Server, Some(1000), "", 100.2)];
        let handshake = ended(hops(facts), Party::Backend, 100.5);
        assert_eq!(diagnose(&handshake).cause, cause);
    }

    // What one hop lacks, the other one shows; where neither could be followed, nobody is accused.
    for (shown, said) in [(left().mqtt, &[][..]), (None, &["warning capture-gap"])] {
        let protocol = "\nSec-WebSocket-Protocol: mqtt";
        let ask = |head: &str| format!("{head}{protocol}");
        let facts = |mqtt| SessionFacts {
            mqtt,
            ..talk(2, 1.7, 100.0)
        };
        let client = front()
            .ask(&ask(ASK), 0.5)
            .answer(&ask(SWITCHED), 1.7)
            .session(facts(None));
        let backend = back()
            .ask(&ask(FORWARDED), 1.2)
            .answer(&ask(SWITCH), 1.6)
            .session(facts(shown));
        let diagnosis = diagnose(&ended((client, backend), Party::Backend, 100.5));
        assert_eq!(diagnosis.verdict, Verdict::Ok);
        assert_eq!(found(&diagnosis), said);
    }

    // A broker that goes without a word, and what is not MQTT.
    for (facts, told) in [(mqtt(None, None), true), (talk(2, 1.7, 100.0), false)] {
        let handshake = ended(hops(facts), Party::Backend, 400.0);
        let diagnosis = check_only(
            "closed",
            &handshake,
            Verdict::Broken,
            Code::BackendClosedWithoutClose,
        );
        let detail = &diagnosis.findings[0].detail;
        assert_eq!(detail.contains("same client identifier"), told, "{detail}");
    }
}

/// The capture ends, or has a hole, before the broker's last packet comes through the client hop.
#[test]
fn mqtt_that_one_hop_shows_is_enough() {
    let facts = |to_client: Option<Farewell>| {
        let mut facts = talk(2, 1.7, 100.0);
        facts.mqtt = Some(Box::new(Mqtt {
            to_server: None,
            to_client: to_client.map(|farewell| (farewell, at(100.0))),
        }));
        facts
    };
    let (client, _) = hops(facts(None));
    let (_, backend) = hops(facts(Some(Farewell::Refused(5))));
    let handshake = through(client, backend.fin(Side::Server, 100.5));
    let handshake = with_session(handshake, Some(Party::Backend));
    check_only("mqtt", &handshake, Verdict::Broken, Code::ClosedWithError);
}

/// Some subprotocols have a goodbye of their own, and which one it was is not in the capture.
#[test]
fn a_session_whose_opening_was_not_seen_may_have_ended_as_it_should() {
    for (seen, sure) in [(true, Confidence::Certain), (false, Confidence::Guess)] {
        let unseen = |conn: Conn| {
            conn.edit(|c| {
                if !seen {
                    (c.exchange.request, c.exchange.response) = (None, None);
                    c.record.connection.opening = Opening::Midstream;
                }
            })
        };
        let (client, backend) = hops(talk(2, 1.7, 20.0));
        let handshake = ended((unseen(client), unseen(backend)), Party::Backend, 100.0);
        let diagnosis = diagnose(&handshake);
        let closed = finding(&diagnosis, Code::BackendClosedWithoutClose);
        assert_eq!(closed.confidence, sure, "{}", closed.detail);
    }
}

/// nchan answers any FIN with a Close frame: it tells nothing of who ended the session, nor why.
#[test]
fn a_close_frame_behind_the_end_did_not_begin_it() {
    type Row = (&'static str, Handshake, Verdict, &'static [&'static str]);
    let both = |facts: SessionFacts, by: Side, ms: f64| {
        let late = SessionFacts {
            closes: vec![close(by, Some(1000), "410 Gone", ms)],
            ..facts.clone()
        };
        match by {
            Side::Client => (hops(late).0, hops(facts).1),
            Side::Server => (hops(facts).0, hops(late).1),
        }
    };
    let rows: [Row; 5] = [
        (
            "timeout, then the backend's Close",
            ended(
                both(talk(2, 1.7, 1000.0), Side::Server, 3001.0),
                Party::Proxy,
                3000.0,
            ),
            Verdict::Broken,
            &["error idle-timeout"],
        ),
        (
            "backend's FIN, then the client's Close",
            ended(
                both(talk(2, 1.7, 100.0), Side::Client, 400.1),
                Party::Backend,
                400.0,
            ),
            Verdict::Broken,
            &["error backend-closed-without-close"],
        ),
        (
            "client's FIN, then the backend's Close, which the proxy refuses",
            {
                let (client, backend) = both(talk(2, 1.7, 1400.0), Side::Server, 1500.5);
                let backend = backend.rst(Side::Client, 1501.0).edit(|c| {
                    c.record.connection.to_client.last_data = Some(at(1500.5));
                });
                let both = through(client.fin(Side::Client, 1500.0), backend);
                with_session(both, Some(Party::Client))
            },
            Verdict::Ok,
            &["info client-left"],
        ),
        (
            "the backend's Close, sent again behind its FIN",
            ended(
                both(talk(2, 1.7, 100.0), Side::Server, 401.0),
                Party::Backend,
                400.0,
            ),
            Verdict::Ok,
            &[],
        ),
        (
            "the client's Close while the proxy closes",
            ended(
                both(talk(2, 1.7, 100.0), Side::Client, 400.0),
                Party::Proxy,
                400.0,
            ),
            Verdict::Ok,
            &[],
        ),
    ];
    for (name, handshake, verdict, findings) in rows {
        let diagnosis = diagnose(&handshake);
        assert_eq!(
            diagnosis.verdict,
            verdict,
            "{name}: {:?}",
            found(&diagnosis)
        );
        assert_eq!(found(&diagnosis), findings, "{name}");
    }
}
