//! What a finding tells its reader must be true of this case: who answered, who changed the answer, who refused.

use super::*;
use crate::decode::Endpoint;
use crate::hop::Role;
use crate::tcp::Opening;

const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\nServer: nginx/1.22.1";

fn behind(answer: &str, to_client: &str) -> Handshake {
    through(
        front().ask(ASK, 0.5).answer(to_client, 1.7),
        back().ask(FORWARDED, 1.2).answer(answer, 1.6),
    )
}

#[test]
fn a_refusal_is_explained_by_who_gave_it() {
    let backend = diagnose(&behind(UNAVAILABLE, UNAVAILABLE));
    let by_backend = finding(&backend, Code::ServiceUnavailable);
    assert_eq!(backend.answered_by(), Some(AnsweredBy::Backend));
    assert_eq!(by_backend.nginx_snippet, "");
    assert!(by_backend.fix.contains("backend's log"));
    assert!(!by_backend.nginx_log.contains("[error]"));
    assert!(!by_backend.cause.contains("limit_conn"));

    let proxy = diagnose(&alone(
        front().ask(ASK, 0.5).answer(UNAVAILABLE, 0.9).body(PAGE),
        crate::hop::Role::ClientProxy,
    ));
    let by_proxy = finding(&proxy, Code::ServiceUnavailable);
    assert_eq!(proxy.answered_by(), Some(AnsweredBy::Proxy));
    assert!(by_proxy.cause.contains("limit_conn"));
    assert!(by_proxy.nginx_log.contains("[error] limiting connections"));

    // Nobody knows who it was: both are told of.
    let unknown = diagnose(&alone(
        front().ask(ASK, 0.5).answer(UNAVAILABLE, 40.0),
        crate::hop::Role::ClientProxy,
    ));
    assert_eq!(unknown.answered_by(), Some(AnsweredBy::Unknown));
    assert!(
        finding(&unknown, Code::ServiceUnavailable)
            .nginx_log
            .contains("if nginx refused it")
    );
}

/// proxy_intercept_errors made a 404 of the backend's 401: looking for a location would help nobody.
#[test]
fn an_answer_made_of_another_one_is_not_the_cause() {
    let wants_login = "HTTP/1.1 401 Unauthorized\nServer: backend/1";
    let not_found = "HTTP/1.1 404 Not Found\nServer: nginx/1.22.1";
    let diagnosis = check(
        "intercepted",
        &behind(wants_login, not_found),
        Verdict::Failed,
        Code::Unauthorized,
        &["error unauthorized", "info status-changed"],
    );
    assert_eq!(
        diagnosis.headline,
        "10.20.0.11:8080 answered /ws with 401 Unauthorized, and nginx 192.168.50.1 turned it into 404"
    );
    assert_eq!(diagnosis.answered_by(), Some(AnsweredBy::Proxy));
    // The proxy's page says nothing about the server behind it.
    let own_page = diagnose(&through(
        front().ask(ASK, 0.5).answer(not_found, 1.7).body(PAGE),
        back().ask(FORWARDED, 1.2).answer(wants_login, 1.6),
    ));
    let refused = finding(&own_page, Code::Unauthorized);
    assert!(
        !refused.detail.contains("is an nginx"),
        "{}",
        refused.detail
    );
    // A page of the backend that the proxy refused to hand out is the proxy's refusal.
    let page = "HTTP/1.1 200 OK\nServer: backend/1";
    let diagnosis = diagnose(&behind(page, not_found));
    assert_eq!(diagnosis.cause, Some(Code::NotFound));
}

/// What a proxy changed on the way is named where it may be the reason.
#[test]
fn a_lost_field_and_another_host_are_named() {
    let asked = format!("{ASK}\nX_Token: abc");
    let detail = |status: u16, code: Code| {
        let answer = format!("HTTP/1.1 {status} X\nServer: backend/1");
        finding(&diagnose(&refused(&asked, FORWARDED, &answer)), code)
            .detail
            .clone()
    };
    let unauthorized = detail(401, Code::Unauthorized);
    assert!(unauthorized.contains("dropped X_Token"), "{unauthorized}");
    assert!(!unauthorized.contains("Host:"), "{unauthorized}");
    for (status, code) in [(404, Code::NotFound), (421, Code::RefusedOtherwise)] {
        let detail = detail(status, code);
        assert!(detail.contains("asked with `Host: bk`"), "{detail}");
    }
    let kept = diagnose(&refused(
        ASK,
        FORWARDED,
        "HTTP/1.1 401 X\nServer: backend/1",
    ));
    let kept = finding(&kept, Code::Unauthorized);
    assert!(!kept.detail.contains("underscore"), "{}", kept.detail);
}

/// A request line that is too long has nothing to do with cookies.
#[test]
fn an_address_that_is_too_long() {
    let answer = "HTTP/1.1 414 Request-URI Too Large\nServer: nginx/1.22.1";
    let diagnosis = diagnose(&alone(
        front().ask(ASK, 0.5).answer(answer, 0.9),
        Role::ClientProxy,
    ));
    let found = finding(&diagnosis, Code::RequestHeaderTooBig);
    assert!(
        found.fix.starts_with("Shorten the address"),
        "{}",
        found.fix
    );
    assert!(!found.detail.contains("cookies"), "{}", found.detail);
}

#[test]
fn all_servers_that_failed_alike_are_named() {
    let refused = |id: u32, last: u8| {
        let server = Endpoint::v4([10, 20, 0, last], 8080);
        conn(id, BACK, server, 0.6 + f64::from(id) / 100.0).edit(|c| {
            c.record.exchange_count = 0;
            c.record.connection.opening = Opening::Refused;
        })
    };
    let answer = BAD_GATEWAY;
    let diagnosis = diagnose(&tried(
        front().ask(ASK, 0.5).answer(answer, 2.0).body(PAGE),
        vec![refused(5, 11), refused(6, 12), refused(7, 11)],
    ));
    assert_eq!(
        diagnosis.headline,
        "10.20.0.11:8080 (and 10.20.0.12:8080) refused the connection of nginx 192.168.50.1, so the client got 502"
    );
    let finding = finding(&diagnosis, Code::BackendRefused);
    assert!(finding.nginx_snippet.contains("10.20.0.11:8080"));
}

/// The client had a key and lost its Upgrade on the way; nginx puts one back and cannot tunnel.
#[test]
fn an_upgrade_put_back_says_what_was_lost() {
    let stripped = ASK.replace("Upgrade: websocket\n", "");
    let diagnosis = diagnose(&through(
        front().ask(&stripped, 0.5),
        back()
            .ask(FORWARDED, 1.2)
            .answer("HTTP/1.1 101 Switching Protocols\nUpgrade: websocket", 1.6),
    ));
    let with_key = finding(&diagnosis, Code::UpgradeAdded);
    assert!(
        with_key.detail.contains("left it out"),
        "{}",
        with_key.detail
    );
    let plain = "GET /ws HTTP/1.1\nHost: 192.168.50.1";
    let forced = "GET /ws HTTP/1.1\nHost: 192.168.50.1\nConnection: upgrade\nUpgrade: websocket";
    let diagnosis = diagnose(&through(
        front().ask(plain, 0.5),
        back()
            .ask(forced, 1.2)
            .answer("HTTP/1.1 400 Bad Request", 1.6),
    ));
    let without = finding(&diagnosis, Code::UpgradeAdded);
    assert!(without.detail.contains("without the Sec-WebSocket fields"));
}

/// One location passes to a unix socket, which no capture shows; those of other locations are seen.
#[test]
fn an_application_behind_a_unix_socket_is_not_taken_for_the_proxy() {
    let unseen = |answer: &str, body: &[u8]| {
        let mut handshake = alone(
            front().ask(ASK, 0.5).answer(answer, 3.0).body(body),
            crate::hop::Role::ClientProxy,
        );
        handshake.backend = crate::hop::BackendSight::NotContacted;
        handshake
    };
    let versions = "HTTP/1.1 426 Upgrade Required\nServer: nginx/1.22.1\nSec-WebSocket-Version: 13";
    let text = "HTTP/1.1 400 Bad Request\nServer: nginx/1.22.1\nContent-Type: text/plain";
    for (name, handshake, by, cause) in [
        (
            "versions",
            unseen(versions, b""),
            AnsweredBy::Backend,
            "error upgrade-required",
        ),
        (
            "text",
            unseen(text, b"Hello, upgrade"),
            AnsweredBy::Unknown,
            "error bad-request",
        ),
    ] {
        let diagnosis = diagnose(&handshake);
        assert_eq!(
            found(&diagnosis),
            [cause, "info backend-hop-not-seen"],
            "{name}"
        );
        assert_eq!(diagnosis.answered_by(), Some(by), "{name}");
    }
    // What nginx writes itself is its own.
    let own = diagnose(&unseen(
        "HTTP/1.1 400 Bad Request\nServer: nginx/1.22.1",
        PAGE,
    ));
    assert_eq!(
        found(&own),
        ["error bad-request", "info backend-not-contacted"]
    );
    assert_eq!(own.answered_by(), Some(AnsweredBy::Proxy));
    let gateway = diagnose(&unseen(BAD_GATEWAY, PAGE));
    let dead = finding(&gateway, Code::NoLiveBackend);
    assert_eq!(dead.confidence, crate::hop::Confidence::Guess);
    assert!(dead.detail.contains("unix socket"));
}

/// proxy_pass changed the path: the backend is not said to have answered one that it never saw.
#[test]
fn a_backend_answers_the_path_that_it_was_asked_for() {
    let answer = "HTTP/1.1 404 Not Found\nServer: backend/1";
    let diagnosis = diagnose(&through(
        front()
            .ask(&ASK.replace("/ws", "/app/ws"), 0.5)
            .answer(answer, 1.7),
        back().ask(FORWARDED, 1.2).answer(answer, 1.6),
    ));
    assert_eq!(diagnosis.cause, Some(Code::PathRewritten));
    assert_eq!(
        finding(&diagnosis, Code::NotFound).title,
        "10.20.0.11:8080 answered /ws with 404 Not Found"
    );
}

/// nginx refuses a request without Host itself: no hop behind it is missed.
#[test]
fn no_hop_is_missed_behind_a_request_that_got_nowhere() {
    let hostless = ASK.replace("Host: 192.168.50.1\n", "");
    let bad = "HTTP/1.1 400 Bad Request\nServer: nginx/1.22.1";
    let diagnosis = diagnose(&alone(
        front().ask(&hostless, 0.5).answer(bad, 0.7).body(PAGE),
        crate::hop::Role::ClientProxy,
    ));
    assert_eq!(found(&diagnosis), ["error host-missing"]);
    let other = diagnose(&alone(
        front().ask(ASK, 0.5).answer(bad, 0.7).body(PAGE),
        crate::hop::Role::ClientProxy,
    ));
    assert_eq!(
        found(&other),
        ["error bad-request", "info backend-hop-not-seen"]
    );
}
