//! Sessions that ended after a silence: a timeout, and whose.

use super::*;
use crate::diagnosis::timeout;
use crate::hop::{Confidence, Party, Role};
use crate::tcp::Side;
use crate::websocket::Silence;

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
        assert_eq!(timeout::fitting(ms * 1_000_000), fits, "{ms} ms");
    }
    assert_eq!(timeout::fitting(i64::MAX), None);
    assert_eq!(timeout::fitting(i64::MIN), None);
}

#[test]
fn idle_timeout_by_the_proxy() {
    let mut facts = talk(2, 1.7, 10.0);
    facts.to_server.frames.ping = 3;
    facts.to_server.ping_interval_nanos = Some((5_000_000_000, 6_000_000_000));
    let handshake = ended(hops(facts), Party::Proxy, 59_900.4);
    let diagnosis = check_only("idle", &handshake, Verdict::Broken, Code::IdleTimeout);
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

/// Who ended it is told by the front: where that is a guess, so is the timeout, in words as well.
#[test]
fn a_timeout_is_no_surer_than_the_front_that_tells_it() {
    for (confidence, words) in [
        (Confidence::Guess, "as a proxy_read_timeout of 60 s does"),
        (Confidence::Certain, "its proxy_read_timeout is 60 s"),
    ] {
        let mut handshake = ended(hops(talk(2, 1.7, 10.0)), Party::Proxy, 59_900.4);
        join_front(&mut handshake, confidence);
        let diagnosis = diagnose(&handshake);
        let idle = finding(&diagnosis, Code::IdleTimeout);
        assert_eq!(idle.confidence, confidence.min(Confidence::Likely));
        assert!(
            diagnosis.headline.ends_with(words),
            "{}",
            diagnosis.headline
        );
    }
}

/// Nearly half of all silences fit a whole second: a short one tells a timeout only where a timer must have fired.
#[test]
fn a_short_silence_is_a_timeout_where_the_timer_fires() {
    let ended_at = |end: f64, timer: Option<f64>| {
        let mut facts = talk(2, 1.7, 4250.0);
        if let Some(timer) = timer {
            facts.timer = crate::websocket::Timer::started(at(timer));
        }
        let handshake = ended(hops(facts), Party::Proxy, end);
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

/// What passes a request on as it is knows nothing of HTTP: another timeout ends its tunnels.
#[test]
fn a_relay_has_a_timeout_of_another_name() {
    let facts = talk(2, 1.7, 10.0);
    let client = front()
        .ask(ASK, 0.5)
        .answer(SWITCH, 1.7)
        .session(facts.clone());
    let backend = back().ask(ASK, 1.2).answer(SWITCH, 1.6).session(facts);
    let diagnosis = diagnose(&ended((client, backend), Party::Proxy, 60_010.0));
    let idle = finding(&diagnosis, Code::IdleTimeout);
    assert!(
        idle.nginx_snippet.contains("proxy_timeout"),
        "{}",
        idle.nginx_snippet
    );
    for text in [&*idle.fix, idle.cause, &*idle.detail, idle.nginx_log] {
        assert!(!text.contains("proxy_read_timeout"), "{text}");
    }
}

/// No timer of a few seconds fires at any moment: a reload or a stop does.
#[test]
fn a_short_silence_that_no_timer_ends_is_no_timeout() {
    for end in [4970.0, 6000.0, 7000.0] {
        let handshake = ended(hops(talk(2, 1.7, 4250.0)), Party::Proxy, end);
        check_only("any moment", &handshake, Verdict::Broken, Code::ProxyClosed);
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
        let mut handshake = ended(hops(talk(2, 1.7, 12_000.0)), Party::Proxy, 16_900.4);
        handshake.session.as_mut().unwrap().survived = Some(Silence {
            from: at(from),
            until: at(until),
        });
        handshake
    };
    let diagnosis = check_only(
        "longer",
        &survived(2000.0, 9000.0),
        Verdict::Broken,
        Code::ProxyClosed,
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
fn nobody_speaks() {
    let handshake = ended(hops(talk(0, 1.7, 0.0)), Party::Proxy, 60_001.4);
    check(
        "silent",
        &handshake,
        Verdict::Broken,
        Code::SilentAfter101,
        &["error idle-timeout", "error silent-after-101"],
    );
}

#[test]
fn an_inner_nginx_that_timed_out() {
    let inner = SWITCH.replace("backend/1", "nginx/1.24.0");
    let facts = talk(2, 1.7, 10.0);
    // A backend behind it that closes after a few seconds looks the same from here.
    for (ms, sure) in [(60_000.0, Confidence::Likely), (2_000.0, Confidence::Guess)] {
        let handshake = with_session(
            through(
                front()
                    .ask(ASK, 0.5)
                    .answer(SWITCHED, 1.7)
                    .session(facts.clone())
                    .fin(Side::Server, ms + 0.3),
                back()
                    .ask(FORWARDED, 1.2)
                    .answer(&inner, 1.6)
                    .session(facts.clone())
                    .fin(Side::Server, ms),
            ),
            Some(Party::Backend),
        );
        let diagnosis = check_only("inner", &handshake, Verdict::Broken, Code::IdleTimeout);
        assert!(
            diagnosis.headline.starts_with("nginx 10.20.0.11 closed"),
            "{}",
            diagnosis.headline
        );
        let finding = &diagnosis.findings[0];
        assert_eq!(finding.confidence, sure, "{ms}");
        assert!(
            finding
                .detail
                .contains("to its own backend is not in the capture"),
            "{}",
            finding.detail
        );
    }
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

/// From mid-stream, one hop may be that of an nginx towards its backend as well: its timeout is the commonest of all.
#[test]
fn a_limit_in_front_of_a_hop_without_its_handshake_may_be_that_of_nginx() {
    for (role, late, told) in [
        (Role::Unknown, true, true),
        (Role::ClientProxy, false, false),
    ] {
        let hop = front()
            .session(talk(2, 1.7, 10.0))
            .fin(Side::Client, 60_000.0)
            .edit(|c| {
                if late {
                    (c.exchange.request, c.exchange.response) = (None, None);
                    c.record.connection.opening = crate::tcp::Opening::Midstream;
                }
            });
        let hop = if late {
            hop
        } else {
            hop.ask(ASK, 0.5).answer(SWITCHED, 1.7)
        };
        let handshake = with_session(alone(hop, role), Some(Party::Client));
        let diagnosis = diagnose(&handshake);
        let limit = finding(&diagnosis, Code::IdleTimeoutInFront);
        assert_eq!(limit.detail.contains("proxy_read_timeout"), told);
        assert_eq!(limit.fix.contains("proxy_read_timeout"), told);
    }
}

/// Of two hops one is not seen to end: somebody else may have ended the session, and the texts say so as well.
#[test]
fn a_proxy_that_may_have_passed_on_an_end_is_not_said_to_have_closed() {
    for (seen, perhaps) in [(true, false), (false, true)] {
        let (client, backend) = hops(talk(2, 1.7, 20.0));
        let client = if seen {
            client.fin(Side::Server, 333.2)
        } else {
            client
        };
        let handshake = through(client, backend.fin(Side::Client, 333.0));
        let diagnosis = diagnose(&with_session(handshake, Some(Party::Proxy)));
        let closed = finding(&diagnosis, Code::ProxyClosed);
        assert_eq!(closed.confidence == Confidence::Guess, perhaps);
        for text in [&closed.title, &diagnosis.headline] {
            assert_eq!(
                text.contains("perhaps of its own accord"),
                perhaps,
                "{text}"
            );
        }
    }
}
