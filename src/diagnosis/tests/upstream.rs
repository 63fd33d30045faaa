//! Backends that cannot be reached, say nothing, or say what the proxy cannot use.

use super::*;
use crate::decode::{Endpoint, Unreachable};
use crate::hop::{BackendSight, Confidence, ConnectAttempt, Role};
use crate::http::PartialWhy;
use crate::tcp::{EndingHow, Opening, Side};

#[test]
fn no_live_backend() {
    let mut handshake = alone(
        front().ask(ASK, 0.5).answer(BAD_GATEWAY, 0.8).body(PAGE),
        Role::ClientProxy,
    );
    handshake.backend = BackendSight::NotContacted;
    let diagnosis = check_only("no live", &handshake, Verdict::Failed, Code::NoLiveBackend);
    assert_eq!(diagnosis.answered_by(), Some(AnsweredBy::Proxy));
}

#[test]
fn backends_that_cannot_be_reached() {
    let gone = |change: fn(&mut crate::tcp::Connection)| {
        conn(1, BACK, BACKEND, 1.0).edit(|conn| {
            conn.record.exchange_count = 0;
            conn.record.protocol = crate::hop::Protocol::None;
            conn.record.connection.syn_ack = None;
            conn.record.connection.to_client.frames = 0;
            change(&mut conn.record.connection);
        })
    };
    let refused = gone(|c| {
        c.opening = Opening::Refused;
        c.ended = Some(crate::tcp::Ending {
            how: EndingHow::Rst,
            by: Side::Server,
            frame: at(1.1),
        });
    });
    let silent = gone(|c| {
        c.opening = Opening::Unanswered;
        c.syns = 3;
        c.last = at(2000.0);
    });
    let unreachable = gone(|c| {
        c.opening = Opening::Unanswered;
        c.unreachable = Some((at(1.2), Unreachable::Host));
    });
    let rejected = gone(|c| {
        c.opening = Opening::Refused;
        c.unreachable = Some((at(1.2), Unreachable::Port));
    });
    for (name, attempt, answer, ms, cause) in [
        ("refused", refused, BAD_GATEWAY, 1.3, Code::BackendRefused),
        (
            "silent",
            silent.clone(),
            GATEWAY_TIMEOUT,
            2001.0,
            Code::BackendConnectTimeout,
        ),
        (
            "unreachable",
            unreachable,
            BAD_GATEWAY,
            1.4,
            Code::BackendUnreachable,
        ),
        ("rejected", rejected, BAD_GATEWAY, 1.4, Code::BackendRefused),
    ] {
        let handshake = tried(
            front().ask(ASK, 0.5).answer(answer, ms).body(PAGE),
            vec![attempt],
        );
        let diagnosis = check_only(name, &handshake, Verdict::Failed, cause);
        assert_eq!(diagnosis.answered_by(), Some(AnsweredBy::Proxy), "{name}");
        assert!(
            diagnosis.headline.contains("nginx 192.168.50.1"),
            "{}",
            diagnosis.headline
        );
    }
    // The client did not wait for the proxy's timeout: the backend is the cause all the same.
    let left = tried(
        front().ask(ASK, 0.5).fin(Side::Client, 1500.0),
        vec![silent],
    );
    let diagnosis = check(
        "client left first",
        &left,
        Verdict::Failed,
        Code::BackendConnectTimeout,
        &["error backend-connect-timeout", "error client-gave-up"],
    );
    assert_eq!(diagnosis.answered_by(), None);
}

/// A proxy in front of another asked it once: what that one could not reach is the cause, and no try that went well in the end.
#[test]
fn the_proxy_further_in_finds_no_backend() {
    let inner = Endpoint::v4([10, 20, 0, 2], 80);
    let refused = conn(2, Endpoint::v4([10, 20, 0, 2], 51000), BACKEND, 1.3).edit(|conn| {
        conn.record.exchange_count = 0;
        conn.record.protocol = crate::hop::Protocol::None;
        conn.record.connection.opening = Opening::Refused;
    });
    let mut handshake = chain(vec![
        front().ask(ASK, 0.5).answer(BAD_GATEWAY, 2.0).body(PAGE),
        conn(1, BACK, inner, 1.0)
            .ask(FORWARDED, 1.1)
            .answer(BAD_GATEWAY, 1.9)
            .body(PAGE),
    ]);
    handshake.attempts = vec![ConnectAttempt {
        parent: 1,
        ..refused.attempt()
    }];
    let diagnosis = check_only("inner", &handshake, Verdict::Failed, Code::BackendRefused);
    assert_eq!(diagnosis.answered_by(), Some(AnsweredBy::Proxy));
    assert_eq!(
        diagnosis.headline,
        "10.20.0.11:8080 refused the connection of nginx 10.20.0.2, so the client got 502"
    );
    let snippet = &diagnosis.findings[0].nginx_snippet;
    assert!(snippet.contains("http://10.20.0.11:8080;"), "{snippet}");

    // The one in front failed at another server first, and got over it: that is no cause of the answer.
    handshake.attempts[0].parent = 0;
    check(
        "front",
        &handshake,
        Verdict::Failed,
        Code::BadGateway,
        &["error bad-gateway", "warning backend-retried"],
    );
}

/// The proxy in front lost patience: both hops behind it are silent, and only the last server is to blame.
#[test]
fn a_proxy_gives_up_waiting_for_another_that_waits() {
    let inner = Endpoint::v4([10, 20, 0, 2], 80);
    let handshake = chain(vec![
        front().ask(ASK, 0.5).answer(GATEWAY_TIMEOUT, 1002.0),
        conn(1, BACK, inner, 1.0)
            .ask(FORWARDED, 1.1)
            .fin(Side::Client, 1001.0),
        conn(2, Endpoint::v4([10, 20, 0, 2], 51000), BACKEND, 1.3)
            .ask(FORWARDED, 1.4)
            .fin(Side::Client, 1003.0),
    ]);
    let diagnosis = check_only("front", &handshake, Verdict::Failed, Code::BackendTimeout);
    assert!(
        diagnosis
            .headline
            .starts_with("10.20.0.11:8080 took the request of nginx 10.20.0.2 and gave no answer"),
        "{}",
        diagnosis.headline
    );
}

#[test]
fn backends_that_give_no_usable_answer() {
    let asked = || back().ask(FORWARDED, 1.2);
    let broken_off = |len: usize| {
        Some(Box::new(crate::hop::PartialHead {
            first: at(1.4),
            last: at(1.5),
            bytes: vec![b'x'; len].into(),
            why: PartialWhy::StreamEnded,
        }))
    };
    for (name, backend, cause) in [
        (
            "fin",
            asked().fin(Side::Server, 1.5),
            Code::BackendClosedEarly,
        ),
        (
            "fin inside the head",
            asked()
                .edit(|c| c.exchange.partial_response = broken_off(30))
                .fin(Side::Server, 1.5),
            Code::BackendClosedEarly,
        ),
        (
            "rst",
            asked().rst(Side::Server, 1.5),
            Code::BackendResetEarly,
        ),
        (
            "silence",
            asked().fin(Side::Client, 1001.0),
            Code::BackendTimeout,
        ),
        (
            "too big",
            asked()
                .edit(|c| c.exchange.partial_response = broken_off(8000))
                .fin(Side::Client, 1.6),
            Code::BackendHeaderTooBig,
        ),
        (
            "a line that is no field",
            asked()
                .answer(SWITCH, 1.5)
                .edit(|c| {
                    let head = c.exchange.response.as_mut().unwrap();
                    head.faults.push(crate::http::HeadFault::BadLine);
                })
                .fin(Side::Client, 1.6),
            Code::BackendInvalidResponse,
        ),
        (
            "no HTTP",
            asked()
                .edit(|c| c.exchange.not_http = Some((at(1.4), b"-ERR wrong".as_slice().into())))
                .fin(Side::Client, 1.6),
            Code::BackendInvalidResponse,
        ),
        (
            "HTTP/2",
            asked()
                .edit(|c| c.exchange.not_http = Some((at(1.4), SETTINGS.into())))
                .fin(Side::Client, 1.6),
            Code::BackendInvalidResponse,
        ),
        (
            "TLS alert",
            asked()
                .edit(|c| {
                    c.exchange.not_http =
                        Some((at(1.4), b"\x15\x03\x01\x00\x02\x02\x46".as_slice().into()));
                })
                .fin(Side::Server, 1.6),
            Code::PlainToTlsPort,
        ),
    ] {
        let (answer, ms) = match cause {
            Code::BackendTimeout => (GATEWAY_TIMEOUT, 1001.1),
            _ => (BAD_GATEWAY, 1.7),
        };
        let client = front().ask(ASK, 0.5).answer(answer, ms).body(PAGE);
        let diagnosis = check_only(name, &through(client, backend), Verdict::Failed, cause);
        assert_eq!(diagnosis.answered_by(), Some(AnsweredBy::Proxy), "{name}");
    }
}

/// nginx 1.22.1 hands the client what is no HTTP: the alert that it passes on is not its own.
#[test]
fn an_alert_that_was_passed_on_is_the_backends() {
    const ALERT: &[u8] = b"\x15\x03\x03\x00\x02\x02\x46";
    let alert = |conn: Conn, ms: f64| {
        conn.edit(|c| c.exchange.not_http = Some((at(ms), ALERT.into())))
            .fin(Side::Server, ms + 0.2)
    };
    let handshake = through(
        alert(front().ask(ASK, 0.5), 1.5),
        alert(back().ask(FORWARDED, 1.2), 1.4),
    );
    let diagnosis = check_only("alert", &handshake, Verdict::Failed, Code::PlainToTlsPort);
    let found = finding(&diagnosis, Code::PlainToTlsPort);
    assert!(
        found.title.contains("the TLS port 10.20.0.11:8080"),
        "{}",
        found.title
    );
    assert!(
        found.nginx_log.contains("no valid HTTP/1.0 header"),
        "{}",
        found.nginx_log
    );
}

/// How a server of HTTP/2 begins, whatever it was asked.
const SETTINGS: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x80";

#[test]
fn a_port_that_takes_http2_only() {
    let speaks = |conn: Conn| {
        conn.edit(|c| c.exchange.not_http = Some((at(1.4), SETTINGS.into())))
            .fin(Side::Server, 1.6)
    };
    let listener = alone(speaks(front().ask(ASK, 1.0)), Role::ClientProxy);
    let backend = through(
        front().ask(ASK, 0.5).answer(BAD_GATEWAY, 1.7).body(PAGE),
        speaks(back().ask(FORWARDED, 1.2)),
    );
    for (handshake, headline, fix) in [
        (
            listener,
            "192.168.50.1:80 answered HTTP/1.1 with HTTP/2",
            "Remove http2",
        ),
        (
            backend,
            "10.20.0.11:8080 answered with HTTP/2 to nginx",
            "Pass the path",
        ),
    ] {
        let diagnosis = diagnose(&handshake);
        assert_eq!(diagnosis.cause, Some(Code::BackendInvalidResponse));
        assert!(
            diagnosis.headline.starts_with(headline),
            "{}",
            diagnosis.headline
        );
        let finding = finding(&diagnosis, Code::BackendInvalidResponse);
        assert!(
            finding.detail.contains("SETTINGS frame"),
            "{}",
            finding.detail
        );
        assert!(finding.fix.starts_with(fix), "{}", finding.fix);
    }
}

#[test]
fn a_backend_head_that_nginx_refuses() {
    let mut backend = back()
        .ask(FORWARDED, 1.2)
        .answer(SWITCH, 1.6)
        .fin(Side::Client, 1.7);
    backend.exchange.response.as_mut().unwrap().faults = vec![crate::http::HeadFault::BadLine];
    let diagnosis = check_only(
        "bad line",
        &through(
            front().ask(ASK, 0.5).answer(BAD_GATEWAY, 1.8).body(PAGE),
            backend,
        ),
        Verdict::Failed,
        Code::BackendInvalidResponse,
    );
    assert!(diagnosis.findings[0].detail.contains("no header field"));
}

#[test]
fn answers_that_come_too_late() {
    let late = |gave_up: f64| {
        let client = front()
            .ask(ASK, 0.5)
            .answer(
                "HTTP/1.1 504 Gateway Time-out\nServer: nginx/1.22.1",
                gave_up + 0.1,
            )
            .body(PAGE);
        let backend = back()
            .ask(FORWARDED, 1.0)
            .answer(SWITCH, gave_up + 5.0)
            .fin(Side::Client, gave_up);
        check_only(
            "too late",
            &through(client, backend),
            Verdict::Failed,
            Code::BackendTimeout,
        )
    };
    let zero = late(1.1);
    assert!(zero.headline.contains("proxy_read_timeout 0"));
    assert_eq!(zero.answered_by(), Some(AnsweredBy::Proxy));
    let waited = late(60_001.0);
    assert!(waited.headline.contains("gave no answer in"));
}

#[test]
fn client_gave_up() {
    let handshake = through(
        front().ask(ASK, 0.5).fin(Side::Client, 800.0),
        back().ask(FORWARDED, 1.2).fin(Side::Client, 800.2),
    );
    let diagnosis = check_only("gave up", &handshake, Verdict::Failed, Code::ClientGaveUp);
    assert_eq!(diagnosis.answered_by(), None);
}

/// node answers nothing to an upgrade that none of its handlers takes: whoever gives up first, the path may be why.
#[test]
fn a_path_that_nobody_serves_may_be_left_without_an_answer() {
    let asked = FORWARDED.replace("GET /ws", "GET /nr/ws");
    let lasting = |client: Conn, ms: f64| {
        let backend = back().ask(&asked, 1.2).fin(Side::Client, ms);
        diagnose(&through(client, backend))
    };
    let gateway_timeout = "HTTP/1.1 504 Gateway Time-out\nServer: nginx/1.22.1";
    for (code, client, ms, told) in [
        (
            Code::BackendTimeout,
            front().ask(ASK, 0.5).answer(gateway_timeout, 60_002.0),
            60_001.0,
            true,
        ),
        (
            Code::ClientGaveUp,
            front().ask(ASK, 0.5).fin(Side::Client, 5000.0),
            5000.2,
            true,
        ),
        (
            Code::ClientGaveUp,
            front().ask(ASK, 0.5).fin(Side::Client, 100.0),
            100.2,
            false,
        ),
    ] {
        let diagnosis = lasting(client, ms);
        let found = finding(&diagnosis, code);
        let says = "It was asked for /nr/ws where the client asked for /ws: some servers";
        assert_eq!(
            found.detail.contains(says),
            told,
            "{code}: {}",
            found.detail
        );
        assert!(found.fix.starts_with("Compare the path"), "{}", found.fix);
    }
}

#[test]
fn a_hidden_retry_is_a_warning() {
    let mut handshake = through(
        front().ask(ASK, 0.5).answer(SWITCHED, 3.0),
        back().ask(FORWARDED, 1.2).rst(Side::Server, 1.4),
    );
    handshake.hops[1].retried = true;
    let mut second = conn(2, BACK, BACKEND2, 1.5)
        .ask(FORWARDED, 1.7)
        .answer(SWITCH, 2.9)
        .hop(Role::ProxyBackend);
    second.parent = Some(0);
    handshake.hops.push(second);
    let diagnosis = diagnose(&handshake);
    assert_eq!(diagnosis.verdict, Verdict::Ok);
    assert_eq!(diagnosis.cause, None);
    assert_eq!(found(&diagnosis), ["warning backend-retried"]);
    assert_eq!(diagnosis.answered_by(), Some(AnsweredBy::Backend));
}

/// proxy_next_upstream takes answers for failures, too.
#[test]
fn a_try_that_was_answered_is_told_with_its_answer() {
    let mut handshake = through(
        front().ask(ASK, 0.5).answer(SWITCHED, 3.0),
        back()
            .ask(FORWARDED, 1.2)
            .answer("HTTP/1.1 503 Service Unavailable\nServer: backend/1", 1.4),
    );
    handshake.hops[1].retried = true;
    let mut second = conn(2, BACK, BACKEND2, 1.5)
        .ask(FORWARDED, 1.7)
        .answer(SWITCH, 2.9)
        .hop(Role::ProxyBackend);
    second.parent = Some(0);
    handshake.hops.push(second);
    let diagnosis = diagnose(&handshake);
    let retried = finding(&diagnosis, Code::BackendRetried);
    assert!(
        retried.title.ends_with(": 10.20.0.11:8080 answered 503"),
        "{}",
        retried.title
    );
}

/// Some servers close on a path or a subprotocol that they do not serve.
#[test]
fn what_a_backend_that_closed_was_asked_for() {
    let offers = |head: &str| format!("{head}\nSec-WebSocket-Protocol: chat");
    let other = FORWARDED.replace("GET /ws", "GET //ws");
    for (asked, sent, told) in [
        (
            ASK.to_owned(),
            FORWARDED.to_owned(),
            Some("asked for /ws: some"),
        ),
        (
            ASK.to_owned(),
            other,
            Some("asked for //ws where the client asked for /ws: some"),
        ),
        (
            offers(ASK),
            offers(FORWARDED),
            Some("asked for /ws, with the subprotocol chat: some"),
        ),
        // What it lacked is reason enough.
        (ASK.to_owned(), STRIPPED_OLD.to_owned(), None),
    ] {
        let handshake = through(
            front().ask(&asked, 0.5).answer(BAD_GATEWAY, 1.8).body(PAGE),
            back().ask(&sent, 1.2).fin(Side::Server, 1.5),
        );
        let diagnosis = diagnose(&handshake);
        let closed = finding(&diagnosis, Code::BackendClosedEarly);
        match told {
            Some(told) => assert!(closed.detail.contains(told), "{}", closed.detail),
            None => assert!(!closed.detail.contains("asked for"), "{}", closed.detail),
        }
    }
}

/// Behind another proxy, too, `return 444` and a header that did not come look like a backend that hangs up.
#[test]
fn a_backend_that_hangs_up_at_once_may_not_have_looked() {
    let detail = |end: f64| {
        let diagnosis = diagnose(&through(
            front()
                .ask(ASK, 0.5)
                .answer(BAD_GATEWAY, end + 0.2)
                .body(PAGE),
            back().ask(FORWARDED, 1.2).fin(Side::Server, end),
        ));
        finding(&diagnosis, Code::BackendClosedEarly).detail.clone()
    };
    assert!(detail(1.4).contains("return 444"));
    assert!(!detail(30.0).contains("return 444"));
}

/// What was acknowledged at the end of the client hop and not captured may be the FIN of a client that left.
#[test]
fn a_backend_is_not_late_for_a_client_that_may_have_left() {
    let asked = || front().ask(ASK, 0.5);
    let unseen = asked().edit(|c| c.record.connection.to_client.unseen_at_end = 1);
    for (name, client, sure) in [
        (
            "told",
            asked().answer(GATEWAY_TIMEOUT, 1001.3).body(PAGE),
            Confidence::Certain,
        ),
        ("the capture of its hop stops", asked(), Confidence::Guess),
        (
            "what may be its FIN is acknowledged",
            unseen,
            Confidence::Guess,
        ),
    ] {
        let backend = back().ask(FORWARDED, 1.2).fin(Side::Client, 1001.2);
        let diagnosis = diagnose(&through(client, backend));
        let late = finding(&diagnosis, Code::BackendTimeout);
        assert_eq!(late.confidence, sure, "{name}");
    }
}
