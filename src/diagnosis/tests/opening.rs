//! Handshakes that never came up, through `diagnose`.

use super::*;
use crate::decode::{Endpoint, Unreachable};
use crate::diagnosis::testkit::*;
use crate::hop::{BackendSight, Role};
use crate::http::PartialWhy;
use crate::tcp::{EndingHow, Opening, Side};

const UPGRADE_REQUIRED: &str =
    "HTTP/1.1 426 Upgrade Required\nUpgrade: websocket\nServer: backend/1";

/// As nginx passes an answer of the backend on.
fn passed(answer: &str) -> String {
    answer.replace("Server: backend/1", "Server: nginx/1.22.1")
}

fn refused(ask: &str, sent: &str, answer: &str) -> Handshake {
    through(
        front().ask(ask, 0.5).answer(&passed(answer), 1.7),
        back().ask(sent, 1.2).answer(answer, 1.6),
    )
}

const BAD_GATEWAY: &str = "HTTP/1.1 502 Bad Gateway\nServer: nginx/1.22.1";
const GATEWAY_TIMEOUT: &str = "HTTP/1.1 504 Gateway Time-out\nServer: nginx/1.22.1";

#[test]
fn upgrade_not_forwarded_by_both_generations_of_defaults() {
    for (name, sent, needs_version) in [("old", STRIPPED_OLD, true), ("new", STRIPPED_NEW, false)] {
        let page = "HTTP/1.1 200 OK\nServer: backend/1";
        let diagnosis = check(
            name,
            &refused(ASK, sent, page),
            Verdict::Failed,
            Code::UpgradeNotForwarded,
            &[
                "error connection-not-forwarded",
                "error upgrade-not-forwarded",
            ],
        );
        assert_eq!(
            diagnosis.headline,
            "nginx 192.168.50.1 did not forward Upgrade and Connection to 10.20.0.11:8080, which answered 200"
        );
        assert_eq!(diagnosis.answered_by, Some(AnsweredBy::Backend));
        let snippet = &finding(&diagnosis, Code::UpgradeNotForwarded).nginx_snippet;
        assert_eq!(
            snippet.contains("proxy_http_version 1.1;"),
            needs_version,
            "{name}"
        );
        assert!(snippet.contains("proxy_pass http://10.20.0.11:8080;"));
        assert!(snippet.contains("location /ws {"));
    }
}

#[test]
fn only_one_of_the_two() {
    let no_connection = FORWARDED.replace("Connection: upgrade", "Connection: close");
    check(
        "Connection lost",
        &refused(ASK, &no_connection, UPGRADE_REQUIRED),
        Verdict::Failed,
        Code::ConnectionNotForwarded,
        &["error connection-not-forwarded"],
    );
    let no_upgrade = FORWARDED.replace("Upgrade: websocket\n", "");
    let diagnosis = check(
        "Upgrade lost",
        &refused(ASK, &no_upgrade, UPGRADE_REQUIRED),
        Verdict::Failed,
        Code::UpgradeNotForwarded,
        &["error upgrade-not-forwarded"],
    );
    assert_eq!(
        diagnosis.headline,
        "nginx 192.168.50.1 did not forward Upgrade to 10.20.0.11:8080, which answered 426"
    );
}

#[test]
fn other_changes_on_the_way() {
    let http10 = FORWARDED.replace("HTTP/1.1", "HTTP/1.0");
    let altered = FORWARDED.replace("Upgrade: websocket", "Upgrade: upgrade");
    let no_key = FORWARDED.replace(&format!("Sec-WebSocket-Key: {KEY}\n"), "");
    let no_version = FORWARDED.replace("Sec-WebSocket-Version: 13\n", "");
    for (sent, cause) in [
        (&http10, Code::Http10ToBackend),
        (&altered, Code::UpgradeAltered),
        (&no_key, Code::KeyNotForwarded),
        (&no_version, Code::VersionNotForwarded),
    ] {
        check(
            cause.as_str(),
            &refused(ASK, sent, "HTTP/1.1 400 Bad Request\nServer: backend/1"),
            Verdict::Failed,
            cause,
            match cause {
                Code::KeyNotForwarded => &["error key-not-forwarded", "info host-rewritten"],
                Code::VersionNotForwarded => {
                    &["error version-not-forwarded", "info host-rewritten"]
                }
                Code::Http10ToBackend => &["error http10-to-backend"],
                _ => &["error upgrade-altered"],
            },
        );
    }
    let asked = "GET /ws HTTP/1.1\nHost: a\nConnection: keep-alive";
    let added = "GET /ws HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: websocket";
    let diagnosis = diagnose(&refused(asked, added, "HTTP/1.1 400 Bad Request"));
    assert_eq!(diagnosis.cause, Some(Code::UpgradeAdded));
}

#[test]
fn lost_before_the_first_hop() {
    let ask = ASK.replace(
        "Upgrade: websocket\nConnection: Upgrade\n",
        "Connection: keep-alive\n",
    );
    let diagnosis = check(
        "front device",
        &refused(&ask, STRIPPED_OLD, UPGRADE_REQUIRED),
        Verdict::Failed,
        Code::UpgradeMissing,
        &["error connection-missing", "error upgrade-missing"],
    );
    assert_eq!(diagnosis.answered_by, Some(AnsweredBy::Backend));
}

#[test]
fn in_a_chain_the_first_that_lost_it_is_guilty() {
    let inner_front = Endpoint::v4([10, 20, 0, 2], 80);
    let build = |to_inner: &str, to_backend: &str| {
        chain(vec![
            front().ask(ASK, 0.5).answer(&passed(UPGRADE_REQUIRED), 2.0),
            conn(2, BACK, inner_front, 1.0)
                .ask(to_inner, 1.1)
                .answer(UPGRADE_REQUIRED, 1.9),
            conn(1, inner_front, BACKEND, 1.2)
                .ask(to_backend, 1.3)
                .answer(UPGRADE_REQUIRED, 1.8),
        ])
    };
    let lost = [
        "error connection-not-forwarded",
        "error upgrade-not-forwarded",
    ];
    let outer = check(
        "outer",
        &build(STRIPPED_OLD, STRIPPED_OLD),
        Verdict::Failed,
        Code::UpgradeNotForwarded,
        &lost,
    );
    assert!(
        outer.headline.contains("192.168.50.1 did not forward"),
        "{}",
        outer.headline
    );
    let inner = check(
        "inner",
        &build(FORWARDED, STRIPPED_NEW),
        Verdict::Failed,
        Code::UpgradeNotForwarded,
        &lost,
    );
    assert!(
        inner.headline.contains("10.20.0.2 did not forward"),
        "{}",
        inner.headline
    );
}

#[test]
fn origin_and_host() {
    let forbidden = "HTTP/1.1 403 Forbidden\nServer: backend/1";
    check(
        "mismatch",
        &refused(ASK, FORWARDED, forbidden),
        Verdict::Failed,
        Code::OriginHostMismatch,
        &["error forbidden", "error origin-host-mismatch"],
    );
    // Host passed on: the refusal has another reason.
    let kept = FORWARDED.replace("Host: bk", "Host: 192.168.50.1");
    check(
        "other reason",
        &refused(ASK, &kept, forbidden),
        Verdict::Failed,
        Code::Forbidden,
        &["error forbidden"],
    );
}

#[test]
fn token_case() {
    check(
        "case",
        &refused(
            ASK,
            &FORWARDED.replace("Host: bk", "Host: 192.168.50.1"),
            "HTTP/1.1 400 Bad Request\nServer: backend/1",
        ),
        Verdict::Failed,
        Code::BadRequest,
        &["error bad-request", "info token-case-rejected"],
    );
}

#[test]
fn statuses_and_who_answered() {
    let forwarded = FORWARDED
        .replace("Host: bk", "Host: 192.168.50.1")
        .replace("Connection: upgrade", "Connection: Upgrade");
    for (status, cause) in [
        (400, Code::BadRequest),
        (401, Code::Unauthorized),
        (403, Code::Forbidden),
        (404, Code::NotFound),
        (405, Code::MethodNotAllowed),
        (426, Code::UpgradeRequired),
        (429, Code::TooManyRequests),
        (500, Code::ServerError),
        (502, Code::BadGateway),
        (503, Code::ServiceUnavailable),
        (504, Code::GatewayTimeout),
        (302, Code::Redirected),
        (200, Code::AnsweredAsPage),
        (418, Code::RefusedOtherwise),
    ] {
        let error = format!("error {cause}");
        let answer = format!("HTTP/1.1 {status} X\nServer: backend/1");
        let diagnosis = check(
            cause.as_str(),
            &refused(ASK, &forwarded, &answer),
            Verdict::Failed,
            cause,
            &[&error],
        );
        assert_eq!(diagnosis.answered_by, Some(AnsweredBy::Backend), "{cause}");

        if matches!(status, 502) {
            continue;
        }
        let mut own = alone(
            front()
                .ask(ASK, 0.5)
                .answer(&passed(&answer), 0.9)
                .body(PAGE),
            Role::ClientProxy,
        );
        own.backend = BackendSight::NotContacted;
        let diagnosis = check(
            cause.as_str(),
            &own,
            Verdict::Failed,
            cause,
            &[&error, "info backend-not-contacted"],
        );
        assert_eq!(diagnosis.answered_by, Some(AnsweredBy::Proxy), "{cause}");

        own.backend = BackendSight::NotVisible;
        own.hops = alone(
            front().ask(ASK, 0.5).answer(&answer, 0.9),
            Role::ClientProxy,
        )
        .hops;
        let diagnosis = check(
            cause.as_str(),
            &own,
            Verdict::Failed,
            cause,
            &[&error, "info backend-hop-not-seen"],
        );
        assert_eq!(diagnosis.answered_by, Some(AnsweredBy::Unknown), "{cause}");
    }
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
        check(
            "too late",
            &through(client, backend),
            Verdict::Failed,
            Code::BackendTimeout,
            &["error backend-timeout"],
        )
    };
    let zero = late(1.1);
    assert!(zero.headline.contains("proxy_read_timeout 0"));
    assert_eq!(zero.answered_by, Some(AnsweredBy::Proxy));
    let waited = late(60_001.0);
    assert!(waited.headline.contains("gave no answer in"));
}

#[test]
fn no_live_backend() {
    let mut handshake = alone(
        front().ask(ASK, 0.5).answer(BAD_GATEWAY, 0.8).body(PAGE),
        Role::ClientProxy,
    );
    handshake.backend = BackendSight::NotContacted;
    let diagnosis = check(
        "no live",
        &handshake,
        Verdict::Failed,
        Code::NoLiveBackend,
        &["error no-live-backend"],
    );
    assert_eq!(diagnosis.answered_by, Some(AnsweredBy::Proxy));
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
        let diagnosis = check(
            name,
            &handshake,
            Verdict::Failed,
            cause,
            &[&format!("error {cause}")],
        );
        assert_eq!(diagnosis.answered_by, Some(AnsweredBy::Proxy), "{name}");
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
    assert_eq!(diagnosis.answered_by, None);
}

#[test]
fn backends_that_give_no_usable_answer() {
    let client = |answer: &str, ms: f64| front().ask(ASK, 0.5).answer(answer, ms).body(PAGE);
    let asked = || back().ask(FORWARDED, 1.2);
    let partial = |len: usize, why: PartialWhy| crate::hop::PartialHead {
        first: at(1.4),
        last: at(1.5),
        bytes: vec![b'x'; len].into(),
        why,
    };
    for (name, backend, answer, ms, cause) in [
        (
            "fin",
            asked().fin(Side::Server, 1.5),
            BAD_GATEWAY,
            1.7,
            Code::BackendClosedEarly,
        ),
        (
            "fin inside the head",
            asked()
                .edit(|c| {
                    c.exchange.partial_response =
                        Some(Box::new(partial(30, PartialWhy::StreamEnded)));
                })
                .fin(Side::Server, 1.5),
            BAD_GATEWAY,
            1.7,
            Code::BackendClosedEarly,
        ),
        (
            "rst",
            asked().rst(Side::Server, 1.5),
            BAD_GATEWAY,
            1.7,
            Code::BackendResetEarly,
        ),
        (
            "silence",
            asked().fin(Side::Client, 1001.0),
            GATEWAY_TIMEOUT,
            1001.1,
            Code::BackendTimeout,
        ),
        (
            "too big",
            asked()
                .edit(|c| {
                    c.exchange.partial_response =
                        Some(Box::new(partial(8000, PartialWhy::StreamEnded)));
                })
                .fin(Side::Client, 1.6),
            BAD_GATEWAY,
            1.7,
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
            BAD_GATEWAY,
            1.7,
            Code::BackendInvalidResponse,
        ),
        (
            "no HTTP",
            asked()
                .edit(|c| c.exchange.not_http = Some((at(1.4), b"-ERR wrong".as_slice().into())))
                .fin(Side::Client, 1.6),
            BAD_GATEWAY,
            1.7,
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
            BAD_GATEWAY,
            1.7,
            Code::PlainToTlsPort,
        ),
    ] {
        let diagnosis = check(
            name,
            &through(client(answer, ms), backend),
            Verdict::Failed,
            cause,
            &[&format!("error {cause}")],
        );
        assert_eq!(diagnosis.answered_by, Some(AnsweredBy::Proxy), "{name}");
    }
}

#[test]
fn client_gave_up() {
    let handshake = through(
        front().ask(ASK, 0.5).fin(Side::Client, 800.0),
        back().ask(FORWARDED, 1.2).fin(Side::Client, 800.2),
    );
    let diagnosis = check(
        "gave up",
        &handshake,
        Verdict::Failed,
        Code::ClientGaveUp,
        &["error client-gave-up"],
    );
    assert_eq!(diagnosis.answered_by, None);
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
    assert_eq!(diagnosis.answered_by, Some(AnsweredBy::Backend));
}

#[test]
fn requests_that_break_a_rule() {
    let no_key = ASK.replace(&format!("Sec-WebSocket-Key: {KEY}\n"), "");
    let bad_key = ASK.replace(KEY, "c2hvcnQ=");
    let no_version = ASK.replace("Sec-WebSocket-Version: 13\n", "");
    let old = ASK.replace("Version: 13", "Version: 8");
    let post = ASK.replace("GET ", "POST ");
    let http10 = ASK.replace("HTTP/1.1", "HTTP/1.0");
    let no_host = ASK.replace("Host: 192.168.50.1\n", "");
    let two_keys = format!("{ASK}\nSec-WebSocket-Key: {KEY}");
    for (ask, cause) in [
        (&no_key, Code::KeyMissing),
        (&bad_key, Code::KeyInvalid),
        (&no_version, Code::VersionMissing),
        (&old, Code::VersionUnsupported),
        (&post, Code::MethodNotGet),
        (&http10, Code::Http10Request),
        (&no_host, Code::HostMissing),
        (&two_keys, Code::HeaderDuplicated),
    ] {
        check(
            cause.as_str(),
            &alone(
                front()
                    .ask(ask, 0.5)
                    .answer("HTTP/1.1 400 Bad Request", 0.9),
                Role::Direct,
            ),
            Verdict::Failed,
            cause,
            &[&format!("error {cause}")],
        );
    }
}

#[test]
fn probes_that_cannot_succeed() {
    let head = format!("{}\nUser-Agent: curl/8.5.0", ASK.replace("GET ", "HEAD "));
    let test = ASK.replace(KEY, "test");
    check(
        "curl -I",
        &alone(
            front().ask(&head, 0.5).answer("HTTP/1.1 405 X", 0.9),
            Role::Direct,
        ),
        Verdict::Failed,
        Code::MethodNotGet,
        &["error method-not-get", "info probe-artefact"],
    );
    check(
        "key test",
        &alone(
            front().ask(&test, 0.5).answer("HTTP/1.1 400 X", 0.9),
            Role::Direct,
        ),
        Verdict::Failed,
        Code::KeyInvalid,
        &["error key-invalid", "info probe-artefact"],
    );
}

#[test]
fn answers_that_a_client_must_refuse() {
    let without = |name: &str| {
        SWITCH
            .lines()
            .filter(|line| !line.starts_with(name))
            .collect::<Vec<_>>()
            .join("\n")
    };
    for (answer, cause) in [
        (
            SWITCH.replace(ACCEPT, "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
            Code::AcceptMismatch,
        ),
        (without("Sec-WebSocket-Accept"), Code::AcceptMissing),
        (without("Upgrade"), Code::AnswerUpgradeMissing),
        (
            SWITCH.replace("Upgrade: websocket", "Upgrade: h2c"),
            Code::AnswerUpgradeWrong,
        ),
        (
            format!("{SWITCH}\nSec-WebSocket-Protocol: chat"),
            Code::SubprotocolNotOffered,
        ),
        (
            format!("{SWITCH}\nSec-WebSocket-Extensions: permessage-deflate"),
            Code::ExtensionNotOffered,
        ),
    ] {
        let handshake = through(
            front()
                .ask(ASK, 0.5)
                .answer(&passed(&answer), 1.7)
                .fin(Side::Client, 2.0),
            back()
                .ask(FORWARDED, 1.2)
                .answer(&answer, 1.6)
                .fin(Side::Client, 2.1),
        );
        let diagnosis = check(
            cause.as_str(),
            &handshake,
            Verdict::Failed,
            cause,
            &[&format!("error {cause}")],
        );
        assert_eq!(diagnosis.answered_by, Some(AnsweredBy::Backend), "{cause}");
        assert!(
            diagnosis
                .headline
                .starts_with("10.20.0.11:8080 answered 101"),
            "{}",
            diagnosis.headline
        );
    }
    let direct = without("Connection");
    check(
        "no Connection",
        &alone(
            front()
                .ask(ASK, 0.5)
                .answer(&direct, 1.7)
                .fin(Side::Client, 2.0),
            Role::Direct,
        ),
        Verdict::Failed,
        Code::AnswerConnectionMissing,
        &["error answer-connection-missing"],
    );
}

#[test]
fn a_browser_that_got_no_subprotocol() {
    let ask = format!("{ASK}\nSec-WebSocket-Protocol: mqtt");
    let sent = format!("{FORWARDED}\nSec-WebSocket-Protocol: mqtt");
    let build = |sent: &str| {
        through(
            front()
                .ask(&ask, 0.5)
                .answer(SWITCHED, 1.7)
                .fin(Side::Client, 2.0),
            back()
                .ask(sent, 1.2)
                .answer(SWITCH, 1.6)
                .fin(Side::Client, 2.1),
        )
    };
    check(
        "not chosen",
        &build(&sent),
        Verdict::Failed,
        Code::SubprotocolNotChosen,
        &["error subprotocol-not-chosen"],
    );
    check(
        "not forwarded",
        &build(FORWARDED),
        Verdict::Failed,
        Code::SubprotocolNotForwarded,
        &["error subprotocol-not-forwarded"],
    );
}

#[test]
fn fields_hidden_or_changed_by_the_proxy() {
    let hide = |name: &str| {
        SWITCHED
            .lines()
            .filter(|line| !line.starts_with(name))
            .collect::<Vec<_>>()
            .join("\n")
    };
    for (name, cause) in [
        ("Sec-WebSocket-Accept", Code::AcceptNotReturned),
        ("Upgrade", Code::UpgradeNotReturned),
    ] {
        let handshake = through(
            front()
                .ask(ASK, 0.5)
                .answer(&hide(name), 1.7)
                .fin(Side::Client, 2.0),
            back()
                .ask(FORWARDED, 1.2)
                .answer(SWITCH, 1.6)
                .fin(Side::Client, 2.1),
        );
        check(
            name,
            &handshake,
            Verdict::Failed,
            cause,
            &[&format!("error {cause}")],
        );
    }
    let other_key = FORWARDED.replace(KEY, "AAAAAAAAAAAAAAAAAAAAAA==");
    let answer = SWITCHED.replace(ACCEPT, "ICX+Yqv66kxgM0FcWaLWlFLwTAI=");
    let handshake = through(
        front()
            .ask(ASK, 0.5)
            .answer(&answer, 1.7)
            .fin(Side::Client, 2.0),
        back()
            .ask(&other_key, 1.2)
            .answer(&answer, 1.6)
            .fin(Side::Client, 2.1),
    );
    check(
        "key rewritten",
        &handshake,
        Verdict::Failed,
        Code::KeyRewritten,
        &["error key-rewritten"],
    );
}

#[test]
fn interim_answer_before_the_101() {
    let handshake = through(
        front().ask(ASK, 0.5).fin(Side::Client, 900.0).edit(|c| {
            c.exchange.interim = vec![response("HTTP/1.1 100 Continue", 1.7)];
        }),
        back().ask(FORWARDED, 1.2).answer(SWITCH, 1.6).edit(|c| {
            c.exchange.interim = vec![response("HTTP/1.1 100 Continue", 1.5)];
        }),
    );
    let diagnosis = diagnose(&handshake);
    assert_eq!(diagnosis.cause, Some(Code::InterimResponse));
    assert_eq!(diagnosis.verdict, Verdict::Failed);
}

#[test]
fn redirects() {
    let forwarded =
        "HTTP/1.1 301 Moved Permanently\nServer: nginx/1.22.1\nLocation: http://192.168.50.1/ws/";
    let mut handshake = alone(
        front().ask(ASK, 0.5).answer(forwarded, 0.8).body(PAGE),
        Role::ClientProxy,
    );
    handshake.backend = BackendSight::NotContacted;
    let diagnosis = check(
        "slash",
        &handshake,
        Verdict::Failed,
        Code::Redirected,
        &["error redirected", "info backend-not-contacted"],
    );
    assert!(
        finding(&diagnosis, Code::Redirected)
            .detail
            .contains("only adds a slash")
    );
    assert_eq!(
        diagnosis.headline,
        "nginx 192.168.50.1 redirected /ws (301) to http://192.168.50.1/ws/"
    );
}

#[test]
fn path_rewritten_and_not_found() {
    let sent = FORWARDED
        .replace("/ws", "//ws")
        .replace("Host: bk", "Host: 192.168.50.1");
    check(
        "path",
        &refused(ASK, &sent, "HTTP/1.1 404 Not Found\nServer: backend/1"),
        Verdict::Failed,
        Code::PathRewritten,
        &["error not-found", "error path-rewritten"],
    );
}

#[test]
fn bodies_that_name_the_reason() {
    for (name, body, cause) in [
        (
            "sid",
            &b"{\"code\":1,\"message\":\"Session ID unknown\"}"[..],
            Code::SessionAffinityLost,
        ),
        (
            "large",
            b"<center>Request Header Or Cookie Too Large</center><hr><center>nginx</center>",
            Code::RequestHeaderTooBig,
        ),
        (
            "https",
            b"<center>The plain HTTP request was sent to HTTPS port</center>",
            Code::PlainToTlsPort,
        ),
        (
            "mtls",
            b"<center>No required SSL certificate was sent</center>",
            Code::ClientCertificateMissing,
        ),
    ] {
        let answer = "HTTP/1.1 400 Bad Request\nServer: nginx/1.22.1";
        let diagnosis = diagnose(&alone(
            front().ask(ASK, 0.5).answer(answer, 0.9).body(body),
            Role::ClientProxy,
        ));
        assert_eq!(diagnosis.cause, Some(cause), "{name}");
        assert_eq!(
            found(&diagnosis).len(),
            2,
            "{name}: {:?}",
            found(&diagnosis)
        );
    }
}

#[test]
fn proxy_protocol() {
    let header = crate::hop::ProxyHeader {
        frame: at(0.4),
        version: 1,
        source: None,
    };
    let sent = front()
        .ask(ASK, 0.5)
        .answer("HTTP/1.1 400 Bad Request\nServer: nginx/1.22.1", 0.9)
        .edit(|c| c.record.proxy_header = Some(header));
    let diagnosis = diagnose(&alone(sent, Role::ClientProxy));
    assert_eq!(diagnosis.cause, Some(Code::ProxyProtocolUnexpected));

    let closed = front().ask(ASK, 0.5).fin(Side::Server, 0.8);
    let diagnosis = check(
        "missing",
        &alone(closed.clone(), Role::Unknown),
        Verdict::Failed,
        Code::ProxyProtocolMissing,
        &["error proxy-protocol-missing", "info backend-hop-not-seen"],
    );
    assert_eq!(
        finding(&diagnosis, Code::ProxyProtocolMissing).confidence,
        crate::hop::Confidence::Guess
    );
    check(
        "a direct server",
        &alone(closed, Role::Direct),
        Verdict::Failed,
        Code::NoAnswer,
        &["error no-answer"],
    );
}

#[test]
fn request_that_never_ends() {
    let client = front().fin(Side::Server, 60_000.0).edit(|c| {
        c.exchange.partial_request = Some(Box::new(crate::hop::PartialHead {
            first: at(0.5),
            last: at(0.6),
            bytes: b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n"
                .as_slice()
                .into(),
            why: PartialWhy::StreamEnded,
        }));
    });
    let diagnosis = diagnose(&alone(client, Role::ClientProxy));
    assert_eq!(diagnosis.cause, Some(Code::RequestIncomplete));
    assert_eq!(diagnosis.verdict, Verdict::Failed);
}

#[test]
fn secrets_stay_out() {
    let ask = format!(
        "{}\nCookie: session=TOPSECRET\nAuthorization: Bearer TOPSECRET",
        ASK.replace("/ws", "/ws?token=TOPSECRET")
    );
    for (sent, answer) in [
        (STRIPPED_OLD, "HTTP/1.1 200 OK"),
        (
            FORWARDED,
            "HTTP/1.1 302 Found\nLocation: https://a/login?token=TOPSECRET",
        ),
        (FORWARDED, "HTTP/1.1 403 Forbidden"),
    ] {
        let sent = format!(
            "{}\nCookie: session=TOPSECRET",
            sent.replace("/ws", "/ws?token=TOPSECRET")
        );
        let diagnosis = diagnose(&refused(&ask, &sent, answer));
        assert!(
            !format!("{diagnosis:?}").contains("TOPSECRET"),
            "{diagnosis:#?}"
        );
    }
}

#[test]
fn hostile_text_does_not_get_into_snippets() {
    let ask = ASK.replace("/ws", "/ws;}return");
    let diagnosis = diagnose(&refused(&ask, STRIPPED_OLD, "HTTP/1.1 200 OK"));
    let snippet = &finding(&diagnosis, Code::UpgradeNotForwarded).nginx_snippet;
    assert!(!snippet.contains("return"), "{snippet}");
}

#[test]
fn a_backend_head_that_nginx_refuses() {
    let mut backend = back()
        .ask(FORWARDED, 1.2)
        .answer(SWITCH, 1.6)
        .fin(Side::Client, 1.7);
    backend.exchange.response.as_mut().unwrap().faults = vec![crate::http::HeadFault::BadLine];
    let diagnosis = check(
        "bad line",
        &through(
            front().ask(ASK, 0.5).answer(BAD_GATEWAY, 1.8).body(PAGE),
            backend,
        ),
        Verdict::Failed,
        Code::BackendInvalidResponse,
        &["error backend-invalid-response"],
    );
    assert!(diagnosis.findings[0].detail.contains("no header field"));
}

#[test]
fn closed_before_the_request_came() {
    let client = front().ask(ASK, 5.0).fin(Side::Server, 0.6);
    let diagnosis = check(
        "overloaded",
        &alone(client, Role::ClientProxy),
        Verdict::Failed,
        Code::ProxyOverloaded,
        &["error proxy-overloaded", "info backend-hop-not-seen"],
    );
    assert_eq!(diagnosis.answered_by, None);
    // A request that lies there unread makes an RST of the close.
    let client = front().ask(ASK, 0.5).rst(Side::Server, 0.9);
    let diagnosis = diagnose(&alone(client, Role::ClientProxy));
    assert_eq!(diagnosis.cause, Some(Code::ProxyOverloaded));
    assert_eq!(
        diagnosis.findings[0].confidence,
        crate::hop::Confidence::Guess
    );
    let late = front().ask(ASK, 0.5).rst(Side::Server, 5000.0);
    assert_eq!(
        diagnose(&alone(late, Role::ClientProxy)).cause,
        Some(Code::NoAnswer)
    );
}

#[test]
fn an_upgrade_without_a_key_seen_from_the_backend_accuses_nobody() {
    let sent = FORWARDED.replace(&format!("Sec-WebSocket-Key: {KEY}\n"), "");
    let hop = back()
        .ask(&sent, 1.0)
        .answer("HTTP/1.1 400 Bad Request", 1.5);
    check(
        "no key",
        &alone(hop, Role::ProxyBackend),
        Verdict::Failed,
        Code::KeyMissing,
        &["error key-missing", "info client-hop-not-seen"],
    );
}

#[test]
fn tls_towards_the_backend() {
    use crate::hop::Protocol;
    use crate::tls::{Alert, TlsFacts};
    let attempt = |change: fn(&mut TlsFacts), end: Side| {
        let mut facts = TlsFacts {
            client_hello: Some(at(1.2)),
            ..TlsFacts::default()
        };
        change(&mut facts);
        back().fin(end, 1.6).edit(|c| {
            c.record.protocol = Protocol::Tls;
            c.record.exchange_count = 0;
            c.record.connection.to_server.payload_bytes = 200;
            c.record.tls = Some(Box::new(facts));
        })
    };
    for (name, attempt, code) in [
        (
            "plain backend",
            attempt(
                |facts| {
                    facts.not_tls =
                        Some((Side::Server, at(1.4), b"HTTP/1.1 400".as_slice().into()));
                },
                Side::Client,
            ),
            Code::TlsToPlainBackend,
        ),
        (
            "certificate refused",
            attempt(
                |facts| {
                    facts.server_hello = Some(at(1.3));
                    facts.alerts = vec![Alert {
                        from: Side::Client,
                        level: 2,
                        description: 48,
                        frame: at(1.5),
                    }];
                },
                Side::Client,
            ),
            Code::BackendTlsRejected,
        ),
        (
            "left after the handshake",
            attempt(|facts| facts.server_hello = Some(at(1.3)), Side::Client),
            Code::BackendTlsRejected,
        ),
        (
            "no certificate to show",
            attempt(
                |facts| {
                    facts.server_hello = Some(at(1.3));
                    facts.certificate_requested = Some(false);
                    facts.alerts = vec![Alert {
                        from: Side::Server,
                        level: 2,
                        description: 40,
                        frame: at(1.5),
                    }];
                },
                Side::Server,
            ),
            Code::ClientCertificateMissing,
        ),
        (
            "mute",
            attempt(|_| {}, Side::Client),
            Code::TlsToPlainBackend,
        ),
    ] {
        check(
            name,
            &tried(
                front().ask(ASK, 0.5).answer(BAD_GATEWAY, 1.8).body(PAGE),
                vec![attempt],
            ),
            Verdict::Failed,
            code,
            &[&format!("error {code}")],
        );
    }
}
