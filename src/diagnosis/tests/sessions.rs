//! Sessions and their ends, through `diagnose`.

use super::*;
use crate::diagnosis::session::fitting_timeout;
use crate::diagnosis::testkit::*;
use crate::hop::{Confidence, Party, Role};
use crate::tcp::{Direction, Side};
use crate::websocket::{FrameFault, Rule, SessionFacts, Silence};

/// Both hops up at 1.7 ms, with these facts.
fn hops(facts: SessionFacts) -> (Conn, Conn) {
    (
        front()
            .ask(ASK, 0.5)
            .answer(SWITCHED, 1.7)
            .session(facts.clone()),
        back()
            .ask(FORWARDED, 1.2)
            .answer(SWITCH, 1.6)
            .session(facts),
    )
}

#[test]
fn timeouts_that_fit_a_silence() {
    for (ms, fits) in [
        (1720, Some(2)),
        (2000, Some(2)),
        (2080, Some(2)),
        (3900, Some(4)),
        (59_750, Some(60)),
        (60_010, Some(60)),
        (2500, None),
        (200, None),
        (60_500, None),
    ] {
        assert_eq!(fitting_timeout(ms * 1_000_000), fits, "{ms} ms");
    }
    assert_eq!(fitting_timeout(i64::MAX), None);
    assert_eq!(fitting_timeout(i64::MIN), None);
}

#[test]
fn idle_timeout_by_the_proxy() {
    let mut facts = talk(2, 1.7, 10.0);
    facts.to_server.frames.ping = 3;
    facts.to_server.ping_interval_nanos = Some((5_000_000_000, 6_000_000_000));
    let (client, backend) = hops(facts);
    let handshake = with_session(
        through(
            client.fin(Side::Server, 59_900.5),
            backend.fin(Side::Client, 59_900.4),
        ),
        Some(Party::Proxy),
    );
    let diagnosis = check(
        "idle",
        &handshake,
        Verdict::Broken,
        Code::IdleTimeout,
        &["error idle-timeout"],
    );
    assert_eq!(
        diagnosis.headline,
        "nginx 192.168.50.1 closed the tunnel after 59.9 s of silence: its proxy_read_timeout is 60 s"
    );
    let idle = finding(&diagnosis, Code::IdleTimeout);
    assert_eq!(idle.confidence, Confidence::Likely, "one tunnel alone");
    assert!(
        idle.detail
            .contains("3 pings from the client, at most 6.00 s apart"),
        "{}",
        idle.detail
    );
    assert!(
        idle.detail.contains("at least every 59.6 s"),
        "{}",
        idle.detail
    );
    assert!(idle.nginx_log.starts_with("[info]"));
    assert_eq!(idle.connections.len(), 2);
}

/// Nearly half of all silences fit a whole second: a short one tells a timeout only where a timer must have fired.
#[test]
fn a_short_silence_is_a_timeout_where_the_timer_fires() {
    let ended_at = |end: f64, timer: Option<f64>| {
        let mut facts = talk(2, 1.7, 4250.0);
        if let Some(timer) = timer {
            facts.timer = crate::websocket::Timer::started(at(timer));
        }
        let (client, backend) = hops(facts);
        let handshake = with_session(
            through(
                client.fin(Side::Server, end + 0.1),
                backend.fin(Side::Client, end),
            ),
            Some(Party::Proxy),
        );
        let diagnosis = diagnose(&handshake);
        assert_eq!(diagnosis.cause, Some(Code::IdleTimeout), "{end}");
        assert_eq!(diagnosis.ended_by, Some(Party::Proxy));
        (
            finding(&diagnosis, Code::IdleTimeout).confidence,
            diagnosis.headline,
        )
    };
    for (name, end, timer, sure) in [
        ("after the last data", 7250.0, None, Confidence::Likely),
        ("a busy worker", 7288.0, None, Confidence::Likely),
        ("any moment", 7000.0, None, Confidence::Guess),
        ("a lazy timer", 7000.0, Some(4000.0), Confidence::Likely),
        ("not this one", 7100.0, Some(4000.0), Confidence::Guess),
        ("usual, and long", 64_100.0, None, Confidence::Likely),
        ("long, and odd", 21_100.0, None, Confidence::Guess),
        ("odd, but punctual", 21_250.0, None, Confidence::Likely),
    ] {
        let (confidence, headline) = ended_at(end, timer);
        assert_eq!(confidence, sure, "{name}");
        assert_eq!(
            headline.contains("its proxy_read_timeout is"),
            sure == Confidence::Likely,
            "{headline}"
        );
    }
}

/// Of a hop seen one way, or not to its end, somebody else may have ended the session.
#[test]
fn what_is_not_seen_makes_the_proxy_no_more_than_a_guess() {
    let ended_at = |ms: f64, front_ends: bool, one_way: bool| {
        let (client, backend) = hops(talk(2, 1.7, 10.0));
        let client = if front_ends {
            client.fin(Side::Server, ms + 0.1)
        } else {
            client
        };
        let client = client.edit(|c| {
            if one_way {
                c.record.connection.to_client.frames = 0;
            }
        });
        let handshake = through(client, backend.fin(Side::Client, ms));
        let diagnosis = diagnose(&with_session(handshake, Some(Party::Proxy)));
        let cause = diagnosis.cause.unwrap();
        (cause, finding(&diagnosis, cause).confidence)
    };
    for (front_ends, one_way, sure) in [
        (true, false, Confidence::Likely),
        (false, false, Confidence::Guess),
        (true, true, Confidence::Guess),
    ] {
        assert_eq!(
            ended_at(60_010.0, front_ends, one_way),
            (Code::IdleTimeout, sure)
        );
        assert_eq!(
            ended_at(500.0, front_ends, one_way),
            (Code::ProxyClosed, sure)
        );
    }
}

#[test]
fn a_silence_that_was_no_timeout_before_is_none_now() {
    let survived = |from, until| {
        let (client, backend) = hops(talk(2, 1.7, 12_000.0));
        let mut handshake = with_session(
            through(
                client.fin(Side::Server, 16_900.5),
                backend.fin(Side::Client, 16_900.4),
            ),
            Some(Party::Proxy),
        );
        handshake.session.as_mut().unwrap().survived = Some(Silence {
            from: at(from),
            until: at(until),
        });
        handshake
    };
    let diagnosis = check(
        "longer",
        &survived(2000.0, 9000.0),
        Verdict::Broken,
        Code::ProxyClosed,
        &["error proxy-closed"],
    );
    let closed = finding(&diagnosis, Code::ProxyClosed);
    assert!(
        closed.detail.contains("No idle timeout"),
        "{}",
        closed.detail
    );
    assert!(closed.detail.contains("7.00 s"), "{}", closed.detail);
    assert!(closed.evidence.iter().any(|one| one.frame == at(9000.0)));

    let diagnosis = diagnose(&survived(2000.0, 6900.0));
    let idle = finding(&diagnosis, Code::IdleTimeout);
    assert!(
        idle.detail
            .contains("The longest silence before, 4.90 s, did not end it"),
        "{}",
        idle.detail
    );
}

#[test]
fn idle_timeout_seen_on_one_hop_is_a_guess() {
    let (client, backend) = hops(talk(2, 1.7, 10.0));
    for (name, handshake) in [
        (
            "client hop",
            alone(client.fin(Side::Server, 60_000.0), Role::ClientProxy),
        ),
        (
            "backend hop",
            alone(backend.fin(Side::Client, 60_000.0), Role::ProxyBackend),
        ),
    ] {
        let diagnosis = diagnose(&with_session(handshake, None));
        assert_eq!(diagnosis.cause, Some(Code::IdleTimeout), "{name}");
        assert_eq!(diagnosis.verdict, Verdict::Broken, "{name}");
        let idle = finding(&diagnosis, Code::IdleTimeout);
        assert_eq!(idle.confidence, Confidence::Guess, "{name}");
        assert!(idle.detail.contains("Only one hop"), "{name}");
        assert_eq!(diagnosis.ended_by, Some(Party::Proxy), "{name}");
    }
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
    check(
        "loss",
        &handshake,
        Verdict::Broken,
        Code::NetworkLoss,
        &["error network-loss"],
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
        check(
            "vanished first",
            &handshake,
            Verdict::Broken,
            Code::ConnectionVanished,
            &["error connection-vanished"],
        );
    }
}

#[test]
fn a_timeout_that_is_no_whole_number_of_seconds() {
    let (client, backend) = hops(talk(2, 1.7, 10.0));
    let build = |client_end, backend_end| {
        with_session(
            through(
                client.clone().fin(Side::Server, client_end),
                backend.clone().fin(Side::Client, backend_end),
            ),
            Some(Party::Proxy),
        )
    };
    let diagnosis = diagnose(&build(1450.2, 1450.0));
    assert_eq!(diagnosis.cause, Some(Code::IdleTimeout));
    assert_eq!(diagnosis.findings[0].confidence, Confidence::Guess);
    assert!(
        diagnosis.findings[0].title.contains("1.44 s to 1.79 s"),
        "{}",
        diagnosis.findings[0].title
    );
    // Not how nginx ends a tunnel, and no whole number of seconds either.
    assert_eq!(
        diagnose(&build(1450.0, 1450.2)).cause,
        Some(Code::ProxyClosed)
    );
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
    check(
        "vanished",
        &with_session(through(client, backend), None),
        Verdict::Broken,
        Code::ConnectionVanished,
        &["error connection-vanished"],
    );
}

#[test]
fn nobody_speaks() {
    let (client, backend) = hops(talk(0, 1.7, 0.0));
    let handshake = with_session(
        through(
            client.fin(Side::Server, 60_001.5),
            backend.fin(Side::Client, 60_001.4),
        ),
        Some(Party::Proxy),
    );
    check(
        "silent",
        &handshake,
        Verdict::Broken,
        Code::SilentAfter101,
        &["error idle-timeout", "error silent-after-101"],
    );
}

#[test]
fn closed_by_the_proxy_without_a_silence() {
    let (client, backend) = hops(talk(2, 1.7, 1000.0));
    let handshake = with_session(
        through(
            client.fin(Side::Server, 1500.1),
            backend.fin(Side::Client, 1500.0),
        ),
        Some(Party::Proxy),
    );
    check(
        "closed",
        &handshake,
        Verdict::Broken,
        Code::ProxyClosed,
        &["error proxy-closed"],
    );
}

#[test]
fn the_backend_goes() {
    let (client, backend) = hops(talk(2, 1.7, 100.0));
    let fin = through(
        client.clone().fin(Side::Server, 400.3),
        backend.clone().fin(Side::Server, 400.0),
    );
    let diagnosis = check(
        "fin",
        &with_session(fin, Some(Party::Backend)),
        Verdict::Broken,
        Code::BackendClosedWithoutClose,
        &["error backend-closed-without-close"],
    );
    assert_eq!(
        diagnosis.headline,
        "The backend 10.20.0.11:8080 closed the session without a Close frame after 398 ms"
    );
    let rst = through(
        client.fin(Side::Server, 400.3),
        backend.rst(Side::Server, 400.0),
    );
    check(
        "rst",
        &with_session(rst, Some(Party::Backend)),
        Verdict::Broken,
        Code::BackendReset,
        &["error backend-reset"],
    );
}

#[test]
fn cut_inside_a_frame() {
    let mut facts = talk(2, 1.7, 100.0);
    facts.cut_mid_frame = Some((Direction::ToClient, at(100.0), 500));
    let (client, backend) = hops(facts);
    let handshake = with_session(
        through(
            client.fin(Side::Server, 400.3),
            backend.fin(Side::Server, 400.0),
        ),
        Some(Party::Backend),
    );
    let diagnosis = check(
        "cut",
        &handshake,
        Verdict::Broken,
        Code::CutMidFrame,
        &["error cut-mid-frame"],
    );
    assert!(diagnosis.findings[0].detail.contains("equally short"));

    let mut short = talk(2, 1.7, 100.0);
    short.cut_mid_frame = Some((Direction::ToClient, at(100.0), 500));
    let (client, _) = hops(short);
    let (_, backend) = hops(talk(2, 1.7, 100.0));
    let handshake = with_session(
        through(
            client.fin(Side::Server, 400.3),
            backend.fin(Side::Client, 400.0),
        ),
        Some(Party::Proxy),
    );
    let diagnosis = diagnose(&handshake);
    let cut = finding(&diagnosis, Code::CutMidFrame);
    assert!(
        cut.detail.contains("cut on the hop 192.168.50.23:40380 to 192.168.50.1:80 and whole on 10.20.0.1:51000 to 10.20.0.11:8080"),
        "{}",
        cut.detail
    );
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
    let (client, backend) = hops(talk(0, 1.7, 0.0));
    let handshake = with_session(
        through(
            client.fin(Side::Client, 5.0),
            backend.fin(Side::Client, 5.2),
        ),
        Some(Party::Client),
    );
    check(
        "at once",
        &handshake,
        Verdict::Broken,
        Code::ClosedRightAfter101,
        &["warning closed-right-after-101"],
    );
}

#[test]
fn a_limit_in_front() {
    let (_, backend) = hops(talk(2, 1.7, 10.0));
    let forwarded = format!("{ASK}\nX-Forwarded-For: 203.0.113.9");
    for (name, ask, silence, confidence) in [
        (
            "balancer named, to the millisecond",
            forwarded.as_str(),
            5_100.0,
            Some(Confidence::Likely),
        ),
        (
            "balancer named, a usual limit",
            forwarded.as_str(),
            60_000.0,
            Some(Confidence::Likely),
        ),
        (
            "balancer named, and any silence",
            forwarded.as_str(),
            5_000.0,
            None,
        ),
        ("usual limit", ASK, 60_000.0, Some(Confidence::Guess)),
        ("just left", ASK, 42_300.0, None),
    ] {
        let client = front()
            .ask(ask, 0.5)
            .answer(SWITCHED, 1.7)
            .session(talk(2, 1.7, 10.0))
            .fin(Side::Client, 10.0 + silence - 100.0);
        let handshake = with_session(
            through(
                client,
                backend.clone().fin(Side::Client, 10.0 + silence - 99.8),
            ),
            Some(Party::Client),
        );
        let diagnosis = diagnose(&handshake);
        match confidence {
            Some(confidence) => {
                assert_eq!(diagnosis.cause, Some(Code::IdleTimeoutInFront), "{name}");
                assert_eq!(diagnosis.findings[0].confidence, confidence, "{name}");
            }
            None => assert_eq!(found(&diagnosis), ["info client-left"], "{name}"),
        }
    }
}

#[test]
fn close_codes() {
    for (code, severity) in [
        (1002, "error"),
        (1008, "error"),
        (1009, "error"),
        (1011, "error"),
        (1012, "warning"),
        (1013, "warning"),
        (3000, "error"),
        (4001, "warning"),
    ] {
        let mut facts = talk(2, 1.7, 100.0);
        facts.closes = vec![
            close(Side::Server, Some(code), "because", 110.0),
            close(Side::Client, Some(code), "because", 110.5),
        ];
        let (client, backend) = hops(facts);
        let handshake = with_session(
            through(
                client.fin(Side::Server, 111.5),
                backend.fin(Side::Server, 111.0),
            ),
            Some(Party::Backend),
        );
        let diagnosis = check(
            &code.to_string(),
            &handshake,
            Verdict::Broken,
            Code::ClosedWithError,
            &[&format!("{severity} closed-with-error")],
        );
        assert!(diagnosis.headline.starts_with(&format!(
            "The backend 10.20.0.11:8080 closed the session with {code} ("
        )));
    }
}

/// Of two Close frames the one that was captured may be the answer.
#[test]
fn a_close_frame_seen_one_way_accuses_nobody() {
    let mut facts = talk(2, 1.7, 100.0);
    facts.closes = vec![close(Side::Client, Some(1011), "gone", 110.0)];
    for (to_client, headline, detail) in [
        (
            3,
            "The client 192.168.50.23 closed the session with 1011",
            "did not answer",
        ),
        (
            0,
            "The session was closed with 1011",
            "is not in the capture",
        ),
    ] {
        let client = hops(facts.clone()).0.fin(Side::Client, 111.0).edit(|c| {
            c.record.connection.to_client.frames = to_client;
        });
        let diagnosis = diagnose(&with_session(alone(client, Role::ClientProxy), None));
        assert_eq!(diagnosis.cause, Some(Code::ClosedWithError));
        assert!(
            diagnosis.headline.starts_with(headline),
            "{}",
            diagnosis.headline
        );
        let closed = finding(&diagnosis, Code::ClosedWithError);
        assert!(closed.detail.contains(detail), "{}", closed.detail);
    }
}

#[test]
fn frames_that_break_a_rule() {
    let mut facts = talk(2, 1.7, 100.0);
    facts.faults = vec![FrameFault {
        rule: Rule::Unmasked,
        by: Side::Client,
        frame: at(100.0),
        count: 1,
        value: 0,
    }];
    let (client, backend) = hops(facts.clone());
    let tolerated = diagnose(&with_session(through(client, backend), None));
    assert_eq!(found(&tolerated), ["warning frame-fault"]);
    assert_eq!(tolerated.verdict, Verdict::Ok);

    facts.closes = vec![close(Side::Server, Some(1002), "", 101.0)];
    let (client, backend) = hops(facts);
    let punished = with_session(
        through(
            client.fin(Side::Server, 102.0),
            backend.fin(Side::Server, 101.5),
        ),
        Some(Party::Backend),
    );
    check(
        "1002",
        &punished,
        Verdict::Broken,
        Code::FrameFault,
        &["error closed-with-error", "error frame-fault"],
    );
}

#[test]
fn compression_that_was_not_agreed_on() {
    let fault = FrameFault {
        rule: Rule::Rsv1,
        by: Side::Server,
        frame: at(100.0),
        count: 3,
        value: 0,
    };
    let mut outer = talk(2, 1.7, 100.0);
    outer.faults = vec![fault];
    let mut inner = talk(2, 1.7, 100.0);
    inner.deflate = true;
    let (client, backend) = hops(talk(0, 0.0, 0.0));
    let handshake = with_session(through(client.session(outer), backend.session(inner)), None);
    let diagnosis = check(
        "deflate",
        &handshake,
        Verdict::Broken,
        Code::CompressionNotNegotiated,
        &["error compression-not-negotiated"],
    );
    assert!(diagnosis.findings[0].detail.contains("the proxy edits"));
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
        let handshake = with_session(
            through(
                client.fin(Side::Server, 60_200.2),
                backend.fin(Side::Client, 60_200.0),
            ),
            Some(Party::Proxy),
        );
        let diagnosis = check(
            code.as_str(),
            &handshake,
            Verdict::Broken,
            code,
            &[&format!("error {code}")],
        );
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
fn an_inner_nginx_that_timed_out() {
    let inner = SWITCH.replace("backend/1", "nginx/1.24.0");
    let facts = talk(2, 1.7, 10.0);
    let handshake = with_session(
        through(
            front()
                .ask(ASK, 0.5)
                .answer(SWITCHED, 1.7)
                .session(facts.clone())
                .fin(Side::Server, 60_000.3),
            back()
                .ask(FORWARDED, 1.2)
                .answer(&inner, 1.6)
                .session(facts)
                .fin(Side::Server, 60_000.0),
        ),
        Some(Party::Backend),
    );
    let diagnosis = check(
        "inner",
        &handshake,
        Verdict::Broken,
        Code::IdleTimeout,
        &["error idle-timeout"],
    );
    assert!(
        diagnosis.headline.starts_with("nginx 10.20.0.11 closed"),
        "{}",
        diagnosis.headline
    );
    assert_eq!(diagnosis.findings[0].confidence, Confidence::Likely);
}

#[test]
fn a_close_frame_may_be_in_a_hole() {
    let mut facts = talk(2, 1.7, 10.0);
    facts.lost_sync = Some(Direction::ToClient);
    let (client, backend) = hops(facts);
    let handshake = with_session(
        through(
            client.fin(Side::Server, 400.3),
            backend.fin(Side::Server, 400.0),
        ),
        Some(Party::Backend),
    );
    let diagnosis = diagnose(&handshake);
    assert_eq!(found(&diagnosis), ["warning capture-gap"]);
    assert_eq!(diagnosis.verdict, Verdict::Ok);
}
