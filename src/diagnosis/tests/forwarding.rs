//! What a proxy left out, changed or added on the way, of the request and of the answer.

use super::*;
use crate::decode::Endpoint;
use crate::hop::{Confidence, Party, Role};
use crate::tcp::Side;

#[test]
fn upgrade_not_forwarded_by_both_generations_of_defaults() {
    for (name, sent) in [("old", STRIPPED_OLD), ("new", STRIPPED_NEW)] {
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
        assert_eq!(diagnosis.answered_by(), Some(AnsweredBy::Backend));
        let snippet = &finding(&diagnosis, Code::UpgradeNotForwarded).nginx_snippet;
        // Whoever spoke HTTP/1.1 may have been told to in the location that this one takes the place of.
        assert!(snippet.contains("proxy_http_version 1.1;"), "{name}");
        assert!(snippet.contains("proxy_pass http://10.20.0.11:8080;"));
        assert!(snippet.contains("location /ws {"));
    }
}

/// What the proxy sets besides is repeated: a location inherits none of it beside fields of its own.
#[test]
fn configuration_keeps_what_the_proxy_sets() {
    let asked = ASK.replace("Host: 192.168.50.1", "Host: 192.168.50.1:8000");
    for (host, line) in [
        (
            "192.168.50.1:8000",
            "\n    proxy_set_header Host $http_host;",
        ),
        ("192.168.50.1", "\n    proxy_set_header Host $host;"),
        ("bk", ""),
    ] {
        let sent = STRIPPED_OLD.replace("Host: bk", &format!("Host: {host}"));
        let sent = format!("{sent}\nX-Real-IP: 192.168.50.23");
        let page = "HTTP/1.1 200 OK\nServer: backend/1";
        let diagnosis = diagnose(&refused(&asked, &sent, page));
        let snippet = &finding(&diagnosis, Code::UpgradeNotForwarded).nginx_snippet;
        assert!(snippet.contains(line), "{host}: {snippet}");
        let hosts = snippet.matches("proxy_set_header Host ").count();
        assert_eq!(hosts, usize::from(!line.is_empty()), "{host}: {snippet}");
        let from = "\n    proxy_set_header X-Real-IP $remote_addr;";
        assert!(snippet.contains(from), "{host}: {snippet}");
    }
}

#[test]
fn only_one_of_the_two() {
    let no_connection = FORWARDED.replace("Connection: upgrade", "Connection: close");
    check_only(
        "Connection lost",
        &refused(ASK, &no_connection, UPGRADE_REQUIRED),
        Verdict::Failed,
        Code::ConnectionNotForwarded,
    );
    let no_upgrade = FORWARDED.replace("Upgrade: websocket\n", "");
    let diagnosis = check_only(
        "Upgrade lost",
        &refused(ASK, &no_upgrade, UPGRADE_REQUIRED),
        Verdict::Failed,
        Code::UpgradeNotForwarded,
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
    assert_eq!(diagnosis.answered_by(), Some(AnsweredBy::Backend));
}

#[test]
fn in_a_chain_the_first_that_lost_it_is_guilty() {
    let inner_front = Endpoint::v4([10, 20, 0, 2], 80);
    let build = |to_inner: &str, to_backend: &str| {
        chain(vec![
            front().ask(ASK, 0.5).answer(&passed(UPGRADE_REQUIRED), 2.0),
            conn(2, BACK, inner_front, 1.0)
                .ask(to_inner, 1.1)
                .answer(&passed(UPGRADE_REQUIRED), 1.9),
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
    // The one in front lost Upgrade alone: what comes in at the next has nothing to announce, and its map says `close`.
    let alone = check_only(
        "Upgrade alone",
        &build(&FORWARDED.replace("\nUpgrade: websocket", ""), STRIPPED_OLD),
        Verdict::Failed,
        Code::UpgradeNotForwarded,
    );
    assert!(
        alone.headline.contains("192.168.50.1 did not forward"),
        "{}",
        alone.headline
    );
    // Each proxy has its own upstream, and so has the configuration to copy.
    for (diagnosis, upstream) in [(outer, "10.20.0.2:80"), (inner, "10.20.0.11:8080")] {
        for finding in diagnosis.findings {
            let snippet = finding.nginx_snippet;
            let pass = format!("proxy_pass http://{upstream};");
            assert!(snippet.contains(&pass), "{}: {snippet}", finding.code);
        }
    }
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
        check_only(name, &handshake, Verdict::Failed, cause);
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
    check_only(
        "key rewritten",
        &handshake,
        Verdict::Failed,
        Code::KeyRewritten,
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
fn a_proxy_that_took_everything_away() {
    let mut backend = back();
    backend.exchange.ordinary = Some(Box::new(ordinary("/ws", None, 200, 1.2)));
    let handshake = through(
        front()
            .ask(ASK, 0.5)
            .answer("HTTP/1.1 200 OK\nServer: nginx/1.22.1", 2.3),
        backend,
    );
    let diagnosis = check(
        "all gone",
        &handshake,
        Verdict::Failed,
        Code::UpgradeNotForwarded,
        &[
            "error connection-not-forwarded",
            "error upgrade-not-forwarded",
        ],
    );
    assert_eq!(diagnosis.answered_by(), Some(AnsweredBy::Backend));
    assert_eq!(
        diagnosis.headline,
        "nginx 192.168.50.1 did not forward Upgrade, Connection and the key to 10.20.0.11:8080, which answered 200"
    );
}

#[test]
fn a_proxy_that_made_an_upgrade_of_it() {
    for (status, verdict, severity) in [
        (400, Verdict::Failed, "error"),
        (200, Verdict::Unclear, "warning"),
    ] {
        let mut client = front();
        client.exchange.ordinary = Some(Box::new(ordinary("/ws", Some("keep-alive"), status, 0.8)));
        let asked = "GET /ws HTTP/1.1\nHost: bk\nUpgrade: websocket\nConnection: upgrade";
        let handshake = through(
            client,
            back()
                .ask(asked, 1.0)
                .answer(&format!("HTTP/1.1 {status} X"), 1.5),
        );
        check(
            "added",
            &handshake,
            verdict,
            Code::UpgradeAdded,
            &[&format!("{severity} upgrade-added")],
        );
    }
}

/// Only a refusal that names what was taken away makes its loss the cause.
#[test]
fn extensions_that_the_backend_insists_on() {
    let ask = format!("{ASK}\nSec-WebSocket-Extensions: permessage-deflate, x");
    let kept = FORWARDED.replace("Host: bk", "Host: 192.168.50.1");
    let build = |sent: &str, body: &str| {
        let answer = "HTTP/1.1 400 Bad Request\nServer: backend/1";
        through(
            front()
                .ask(&ask, 0.5)
                .answer(&passed(answer), 1.7)
                .body(body.as_bytes()),
            back()
                .ask(sent, 1.2)
                .answer(answer, 1.6)
                .body(body.as_bytes()),
        )
    };
    for body in [
        "Permessage-Deflate is required",
        "missing sec-websocket-extensions",
    ] {
        let diagnosis = check_only(
            body,
            &build(&kept, body),
            Verdict::Failed,
            Code::ExtensionsNotForwarded,
        );
        assert_eq!(
            diagnosis.headline,
            "nginx 192.168.50.1 did not forward Sec-WebSocket-Extensions to 10.20.0.11:8080, which answered 400"
        );
    }
    for body in ["", "no token", "x"] {
        check(
            body,
            &build(&kept, body),
            Verdict::Failed,
            Code::BadRequest,
            &[
                "error bad-request",
                "info extensions-not-forwarded",
                "info token-case-rejected",
            ],
        );
    }
    let renamed = diagnose(&build(FORWARDED, "permessage-deflate is required"));
    assert!(!found(&renamed).contains(&"error origin-host-mismatch".to_owned()));
}

/// Some backends answer 101 to whatever has a key, and then close as Connection says (prosody).
#[test]
fn a_101_to_what_lost_its_fields_and_an_end_at_once() {
    let half = FORWARDED.replace("Connection: upgrade", "Connection: close");
    for (name, sent, cause, codes) in [
        (
            "old defaults",
            STRIPPED_OLD,
            Some(Code::UpgradeNotForwarded),
            &[
                "error upgrade-not-forwarded",
                "error connection-not-forwarded",
                "error backend-closed-without-close",
            ][..],
        ),
        (
            "no Connection",
            &half,
            Some(Code::ConnectionNotForwarded),
            &[
                "error connection-not-forwarded",
                "error backend-closed-without-close",
            ],
        ),
        (
            "all of it",
            FORWARDED,
            Some(Code::BackendClosedWithoutClose),
            &["error backend-closed-without-close"],
        ),
    ] {
        let session = |conn: Conn, texts| conn.session(talk(texts, 1.7, 1.8));
        let closed = |texts, ms| {
            with_session(
                through(
                    session(front().ask(ASK, 0.5).answer(SWITCHED, 1.7), texts)
                        .fin(Side::Server, ms + 0.2),
                    session(back().ask(sent, 1.2).answer(SWITCH, 1.6), texts).fin(Side::Server, ms),
                ),
                Some(Party::Backend),
            )
        };
        let diagnosis = diagnose(&closed(0, 2.0));
        assert_eq!(diagnosis.cause, cause, "{name}");
        assert_eq!(diagnosis.verdict, Verdict::Broken, "{name}");
        let mut found = found(&diagnosis);
        let mut codes: Vec<_> = codes.iter().map(ToString::to_string).collect();
        found.sort();
        codes.sort();
        assert_eq!(found, codes, "{name}");
        if cause != Some(Code::BackendClosedWithoutClose) {
            assert!(
                diagnosis.headline.contains("which answered 101 and closed"),
                "{}",
                diagnosis.headline
            );
            let cause = finding(&diagnosis, cause.unwrap());
            assert_eq!(cause.confidence, Confidence::Likely, "{name}");
        }
        // One that served it, or for a while, has another reason to end.
        for (texts, ms) in [(2, 2.0), (0, 4_000.0)] {
            let served = diagnose(&closed(texts, ms));
            let lost = served.findings.iter().any(|one| {
                matches!(
                    one.code,
                    Code::UpgradeNotForwarded | Code::ConnectionNotForwarded
                )
            });
            assert!(!lost, "{name}, {texts} texts, {ms} ms");
        }
    }
}
