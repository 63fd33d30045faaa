//! What a proxy changed of the address that was asked for: Host, path, scheme; and what an Origin tells then.

use super::*;

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
    check_only(
        "other reason",
        &refused(ASK, &kept, forbidden),
        Verdict::Failed,
        Code::Forbidden,
    );
}

/// A page of another site than the one asked for: its Origin names no Host that a proxy could have kept.
#[test]
fn an_origin_that_no_host_matches() {
    let other =
        |head: &str| head.replace("Origin: http://192.168.50.1", "Origin: https://app.example");
    let diagnosis = check(
        "other site",
        &refused(
            &other(ASK),
            &other(FORWARDED),
            "HTTP/1.1 403 Forbidden\nServer: backend/1",
        ),
        Verdict::Failed,
        Code::Forbidden,
        &["error forbidden", "info host-rewritten"],
    );
    let forbidden = finding(&diagnosis, Code::Forbidden);
    assert!(
        forbidden
            .detail
            .contains("Origin is https://app.example and the client asked for Host 192.168.50.1"),
        "{}",
        forbidden.detail
    );
    assert!(
        forbidden.fix.starts_with("Add this origin"),
        "{}",
        forbidden.fix
    );
    assert_eq!(forbidden.nginx_snippet, "");
}

/// A proxy in front that sends `Host $host`, or a page of another port: which one, the request does not tell.
#[test]
fn an_origin_of_another_port() {
    let answer = "HTTP/1.1 403 Forbidden\nServer: backend/1";
    for (origin, host, alone) in [
        ("http://192.168.50.1:8443", "192.168.50.1", true),
        ("http://192.168.50.1", "192.168.50.1:8443", true),
        ("http://192.168.50.1:3000", "192.168.50.1:8080", true),
        ("http://[::1]:8443", "[::1]", true),
        ("http://192.168.50.2:8443", "192.168.50.1", false),
        ("null", "192.168.50.1", false),
    ] {
        let of = |head: &str, was: &str| {
            head.replace("Origin: http://192.168.50.1", &format!("Origin: {origin}"))
                .replace(was, &format!("Host: {host}"))
        };
        let asked = of(ASK, "Host: 192.168.50.1");
        let diagnosis = diagnose(&refused(&asked, &of(FORWARDED, "Host: bk"), answer));
        let forbidden = finding(&diagnosis, Code::Forbidden);
        let told = forbidden.detail.contains("differ in the port alone");
        assert_eq!(told, alone, "{origin} {host}: {}", forbidden.detail);
        // What drops the port leaves none, and what adds one has one.
        let adds = forbidden.detail.contains("`Host $host:$server_port`");
        let port = host.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        assert_eq!(
            adds,
            alone && matches!(port, Some(Ok(_))),
            "{}",
            forbidden.detail
        );
        assert_eq!(
            forbidden.fix.contains("as it came"),
            alone,
            "{}",
            forbidden.fix
        );
    }
}

/// Only the client's hop is there: whoever refused, Host passed on as it is helps no origin that it does not match.
#[test]
fn an_origin_that_nobody_is_known_to_have_refused() {
    let answer = "HTTP/1.1 403 Forbidden\nServer: nginx/1.22.1\nContent-Length: 0";
    let asked = |asked: &str| {
        let client = front().ask(asked, 0.5).answer(answer, 0.6);
        diagnose(&tried(client, Vec::new()))
    };
    let other = ASK.replace("Origin: http://192.168.50.1", "Origin: https://app.example");
    let none = ASK.replace("\nOrigin: http://192.168.50.1", "");
    for (head, told, fix) in [
        (&other, "Origin is https://app.example", "Add this origin"),
        (&none, "The request has no Origin", "If origins are checked"),
    ] {
        let diagnosis = asked(head);
        let forbidden = finding(&diagnosis, Code::Forbidden);
        assert!(forbidden.detail.contains(told), "{}", forbidden.detail);
        assert!(forbidden.fix.starts_with(fix), "{}", forbidden.fix);
        assert_eq!(forbidden.nginx_snippet, "");
    }
    let same = asked(ASK);
    let forbidden = finding(&same, Code::Forbidden);
    assert!(forbidden.nginx_snippet.contains("Host $http_host"));
}

/// What a 403 is not for, as the request shows.
#[test]
fn what_the_origin_tells_of_a_refusal() {
    let answer = "HTTP/1.1 403 Forbidden\nServer: backend/1";
    let kept = FORWARDED.replace("Host: bk", "Host: 192.168.50.1");
    let without = |head: &str| head.replace("\nOrigin: http://192.168.50.1", "");
    for (asked, sent, told) in [
        (
            ASK.to_owned(),
            kept.clone(),
            "a comparison of the two is not the reason. No Cookie and no Authorization reached it.",
        ),
        (without(ASK), without(&kept), "The request has no Origin"),
        (
            without(ASK),
            without(FORWARDED),
            "The request has no Origin",
        ),
    ] {
        let diagnosis = diagnose(&refused(&asked, &sent, answer));
        let forbidden = finding(&diagnosis, Code::Forbidden);
        assert!(
            forbidden.detail.contains(told),
            "{told}: {}",
            forbidden.detail
        );
        assert!(
            !forbidden.fix.contains("origin to the application's list"),
            "{}",
            forbidden.fix
        );
    }
    let with_cookie = |head: &str| format!("{head}\nCookie: session=1");
    let diagnosis = diagnose(&refused(&with_cookie(ASK), &with_cookie(&kept), answer));
    assert!(
        !finding(&diagnosis, Code::Forbidden)
            .detail
            .contains("No Cookie")
    );
}

/// Many reasons make a 400: the headline says no more than that Host may be one.
#[test]
fn a_bad_request_may_be_for_the_host() {
    let diagnosis = check(
        "400",
        &refused(
            ASK,
            FORWARDED,
            "HTTP/1.1 400 Bad Request\nServer: backend/1",
        ),
        Verdict::Failed,
        Code::OriginHostMismatch,
        &["error bad-request", "error origin-host-mismatch"],
    );
    assert!(
        diagnosis
            .headline
            .contains("answered 400 perhaps because nginx"),
        "{}",
        diagnosis.headline
    );
}

/// Servers that answer 400 or 403 to a path which they do not serve.
#[test]
fn a_refusal_may_be_for_the_path() {
    let kept = FORWARDED.replace("Host: bk", "Host: 192.168.50.1");
    for (status, code) in [
        ("400 Bad Request", Code::BadRequest),
        ("403 Forbidden", Code::Forbidden),
    ] {
        let answer = format!("HTTP/1.1 {status}\nServer: backend/1");
        let asked = ASK.replace("/ws", "/app/ws");
        let told = |sent: &str| {
            let diagnosis = diagnose(&refused(&asked, sent, &answer));
            let refusal = finding(&diagnosis, code);
            assert!(refusal.fix.contains("ompare the path"), "{}", refusal.fix);
            refusal.detail.clone()
        };
        let moved = told(&kept);
        assert!(
            moved.contains("It was asked for /ws where the client asked for /app/ws"),
            "{moved}"
        );
        let same = told(&kept.replace("/ws", "/app/ws"));
        assert!(same.contains("It was asked for /app/ws: some"), "{same}");
    }
}

/// TLS ends at the proxy, and nothing tells the application: a comparison of whole origins fails.
#[test]
fn an_https_origin_and_nothing_that_says_so() {
    let https = |head: &str| {
        head.replace("Origin: http://", "Origin: https://")
            .replace("Host: bk", "Host: 192.168.50.1")
    };
    let told = format!("{}\nX-Forwarded-Proto: https", https(FORWARDED));
    for (code, status) in [
        (Code::Forbidden, "403 Forbidden"),
        (Code::NotFound, "404 Not Found"),
    ] {
        let answer = format!("HTTP/1.1 {status}\nServer: backend/1");
        for (sent, untold) in [(https(FORWARDED), true), (told.clone(), false)] {
            let diagnosis = diagnose(&refused(&https(ASK), &sent, &answer));
            let refusal = finding(&diagnosis, code);
            assert_eq!(
                refusal
                    .detail
                    .contains("nothing else in the request says https"),
                untold,
                "{}",
                refusal.detail
            );
            let snippet = refusal.nginx_snippet.contains("X-Forwarded-Proto $scheme");
            assert_eq!(snippet, untold, "{}", refusal.nginx_snippet);
            // Whether the field counts is the application's business: cockpit does not look at it unless told to.
            let trusts = refusal.detail.contains("unless it trusts that field");
            assert_eq!(
                trusts,
                !untold && code == Code::Forbidden,
                "{}",
                refusal.detail
            );
            assert!(
                !refusal.detail.contains("is not the reason"),
                "{}",
                refusal.detail
            );
        }
    }
}

/// `location /app/` and `proxy_pass http://backend/base`.
#[test]
fn a_slash_that_the_location_took_away() {
    let asked = ASK.replace("GET /ws", "GET /app/ws");
    let not_found = "HTTP/1.1 404 Not Found\nServer: backend/1";
    for (path, lost) in [("/basews", true), ("/base/ws", false), ("/", false)] {
        let sent = FORWARDED
            .replace("GET /ws", &format!("GET {path}"))
            .replace("Host: bk", "Host: 192.168.50.1");
        let diagnosis = diagnose(&refused(&asked, &sent, not_found));
        let rewritten = finding(&diagnosis, Code::PathRewritten);
        let told = rewritten.fix.starts_with("End the proxy_pass with a slash");
        assert_eq!(told, lost, "{path}: {}", rewritten.fix);
    }
}
