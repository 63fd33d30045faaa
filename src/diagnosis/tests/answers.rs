//! Answers that are no upgrade, or one that the client must refuse.

use std::sync::Arc;

use super::*;
use crate::hop::{BackendSight, Confidence, Role};
use crate::tcp::Side;

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
        let diagnosis = check_only(
            cause.as_str(),
            &refused(ASK, &forwarded, &answer),
            Verdict::Failed,
            cause,
        );
        assert_eq!(
            diagnosis.answered_by(),
            Some(AnsweredBy::Backend),
            "{cause}"
        );

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
        assert_eq!(diagnosis.answered_by(), Some(AnsweredBy::Proxy), "{cause}");

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
        assert_eq!(
            diagnosis.answered_by(),
            Some(AnsweredBy::Unknown),
            "{cause}"
        );
    }
}

/// Schemes that authenticate a connection begin with a refusal; that it was met shows on the same connection only.
#[test]
fn a_challenge_that_the_client_met() {
    let challenge =
        "HTTP/1.1 401 Unauthorized\nServer: backend/1\nWWW-Authenticate: Basic realm=a, NTLM TlRM";
    let with_credentials = format!("{ASK}\nAuthorization: Negotiate YII");
    let refused = ["error unauthorized", "info backend-hop-not-seen"];
    let met = ["info backend-hop-not-seen", "info unauthorized"];
    let elsewhere = with_credentials.replace("/ws", "/other");
    let backend_alone = ["error unauthorized", "info client-hop-not-seen"];
    let client = Role::ClientProxy;
    for (role, again, then, findings) in [
        (client, &*with_credentials, SWITCH, met),
        (client, &*with_credentials, challenge, refused),
        (client, &*elsewhere, SWITCH, refused),
        (client, ASK, SWITCH, refused),
        // Another client's, as the proxy uses its connections again.
        (
            Role::ProxyBackend,
            &*with_credentials,
            SWITCH,
            backend_alone,
        ),
    ] {
        let mut handshake = alone(front().ask(ASK, 0.5).answer(challenge, 0.9), role);
        let next = front().ask(again, 1.5).answer(then, 1.9);
        let mut record = (*handshake.hops[0].record).clone();
        record
            .exchanges
            .extend(next.hop(role).record.exchanges.clone());
        handshake.hops[0].record = Arc::new(record);
        check(
            again,
            &handshake,
            Verdict::Failed,
            Code::Unauthorized,
            &findings,
        );
    }
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
        let diagnosis = check_only(cause.as_str(), &handshake, Verdict::Failed, cause);
        assert_eq!(
            diagnosis.answered_by(),
            Some(AnsweredBy::Backend),
            "{cause}"
        );
        assert!(
            diagnosis
                .headline
                .starts_with("10.20.0.11:8080 answered 101"),
            "{}",
            diagnosis.headline
        );
    }
    let direct = without("Connection");
    check_only(
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
                .session(talk(0, 1.7, 1.7))
                .fin(Side::Client, 2.0),
            back()
                .ask(sent, 1.2)
                .answer(SWITCH, 1.6)
                .session(talk(0, 1.6, 1.6))
                .fin(Side::Client, 2.1),
        )
    };
    check_only(
        "not chosen",
        &build(&sent),
        Verdict::Failed,
        Code::SubprotocolNotChosen,
    );
    check_only(
        "not forwarded",
        &build(FORWARDED),
        Verdict::Failed,
        Code::SubprotocolNotForwarded,
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

/// Configuration is for the slash alone: where a redirect leads elsewhere, it would hide the reason or open a way around TLS.
#[test]
fn what_helps_against_a_redirect_depends_on_where_it_leads() {
    for (location, fix, configuration) in [
        (
            "http://192.168.50.1/ws/",
            "match the path",
            "location = /ws {",
        ),
        ("https://192.168.50.1/ws", "with wss", ""),
        ("/login?next=/ws", "sign in first", ""),
        ("http://other.example/ws", "final address", ""),
    ] {
        let answer = format!("HTTP/1.1 302 Found\nServer: nginx/1.22.1\nLocation: {location}");
        let diagnosis = diagnose(&alone(
            front().ask(ASK, 0.5).answer(&answer, 0.8).body(PAGE),
            Role::ClientProxy,
        ));
        let redirected = finding(&diagnosis, Code::Redirected);
        assert!(
            redirected.fix.contains(fix),
            "{location}: {}",
            redirected.fix
        );
        let snippet = &redirected.nginx_snippet;
        assert_eq!(snippet.is_empty(), configuration.is_empty(), "{location}");
        assert!(snippet.contains(configuration), "{location}: {snippet}");
    }
    let behind_tls = format!("{ASK}\nX-Forwarded-For: 203.0.113.9");
    let answer = "HTTP/1.1 301 Moved\nServer: nginx/1.22.1\nLocation: https://192.168.50.1/ws";
    let diagnosis = diagnose(&alone(
        front().ask(&behind_tls, 0.5).answer(answer, 0.8).body(PAGE),
        Role::ClientProxy,
    ));
    let redirected = finding(&diagnosis, Code::Redirected);
    assert!(
        redirected
            .nginx_snippet
            .contains("X-Forwarded-Proto $scheme;"),
        "{}",
        redirected.nginx_snippet
    );
}

/// nginx's own `return 101` is no backend's fault, and a 101 that it passed on without its fields is.
#[test]
fn a_101_that_nginx_made_itself() {
    for (answer, is_own) in [
        ("101 \nServer: nginx/1.22.1\nConnection: upgrade", true),
        ("101 Switching Protocols\nServer: nginx/1.22.1", false),
        ("101 \nServer: nginx/1.22.1\nUpgrade: websocket", false),
        ("101 \nServer: other", false),
    ] {
        let diagnosis = diagnose(&alone(
            front()
                .ask(ASK, 0.5)
                .answer(&format!("HTTP/1.1 {answer}"), 0.8),
            Role::ClientProxy,
        ));
        let missing = finding(&diagnosis, Code::AcceptMissing);
        assert_eq!(missing.cause.contains("return 101"), is_own, "{answer}");
        let snippet = &missing.nginx_snippet;
        assert_eq!(snippet.contains("proxy_pass"), is_own, "{answer}");
    }
}

/// Advice for nginx's limits helps nobody whose balancer says 503.
#[test]
fn a_balancers_503_is_no_limit_of_nginx() {
    let page = b"<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n";
    for (body, is_limit) in [(&page[..], false), (PAGE, true)] {
        let server = if is_limit {
            "\nServer: nginx/1.22.1"
        } else {
            ""
        };
        let answer = format!("HTTP/1.1 503 Service Unavailable{server}");
        let diagnosis = diagnose(&alone(
            front().ask(ASK, 0.5).answer(&answer, 0.8).body(body),
            Role::ClientProxy,
        ));
        let refusal = finding(&diagnosis, Code::ServiceUnavailable);
        assert_eq!(refusal.nginx_snippet.contains("limit_conn"), is_limit);
        assert_eq!(refusal.cause.contains("limit_conn"), is_limit);
    }
}

/// Action Cable says 404 to an origin that it does not allow.
#[test]
fn not_found_may_be_an_origin_that_is_not_allowed() {
    let answer = "HTTP/1.1 404 Not Found\nServer: backend/1";
    for (host, told) in [("bk", true), ("192.168.50.1", false)] {
        let sent = FORWARDED.replace("Host: bk", &format!("Host: {host}"));
        let diagnosis = diagnose(&refused(ASK, &sent, answer));
        let detail = &finding(&diagnosis, Code::NotFound).detail;
        assert_eq!(detail.contains("Action Cable"), told, "{host}: {detail}");
    }
}

/// What was refused although all of it arrived was lost further on, if anywhere: nobody seen here is to be told to forward it.
#[test]
fn who_forwarded_all_is_told_to_forward_nothing() {
    let further = "HTTP/1.1 426 Upgrade Required\nServer: nginx/1.22.1";
    let diagnosis = check_only(
        "a further proxy",
        &refused(ASK, FORWARDED, further),
        Verdict::Failed,
        Code::UpgradeRequired,
    );
    let refusal = finding(&diagnosis, Code::UpgradeRequired);
    assert_eq!(refusal.nginx_snippet, "");
    assert!(
        refusal.detail.contains("is an nginx as well"),
        "{}",
        refusal.detail
    );
    assert!(
        refusal.fix.contains("Capture on that host"),
        "{}",
        refusal.fix
    );
}

#[test]
fn path_rewritten_and_not_found() {
    let sent = FORWARDED
        .replace("/ws", "//ws")
        .replace("Host: bk", "Host: 192.168.50.1");
    let not_found = "HTTP/1.1 404 Not Found\nServer: backend/1";
    check(
        "path",
        &refused(ASK, &sent, not_found),
        Verdict::Failed,
        Code::PathRewritten,
        &["error not-found", "error path-rewritten"],
    );
    // A slash that took the place of a prefix without one, and a prefix that was taken away.
    let asked = ASK.replace("/ws", "/app/ws");
    for (is, line) in [
        ("//ws", "    proxy_pass http://10.20.0.11:8080/;"),
        ("/ws", "proxy_pass http://10.20.0.11:8080;   # no path"),
    ] {
        let sent = sent.replace("//ws", is);
        let diagnosis = diagnose(&refused(&asked, &sent, not_found));
        let snippet = &finding(&diagnosis, Code::PathRewritten).nginx_snippet;
        assert!(snippet.contains(line), "{is}: {snippet}");
        let whole = snippet.contains("location /app/ {\n");
        assert_eq!(whole, is == "//ws", "{is}: {snippet}");
    }
}

#[test]
fn bodies_that_name_the_reason() {
    let polled = ASK.replace(
        "/ws",
        "/ws?EIO=4&transport=websocket&sid=kzmcY2fdEVUe2p2rAAAA",
    );
    for (name, body, cause) in [
        (
            "sid of Python",
            &b"\"Invalid session kzmcY2fdEVUe2p2rAAAA\""[..],
            Code::SessionAffinityLost,
        ),
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
            front().ask(&polled, 0.5).answer(answer, 0.9).body(body),
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

/// A backend that refuses what reached it in full: whether anything is left for the proxy to repair.
#[test]
fn what_reached_a_backend_that_refuses() {
    let asked = ASK.replace("/ws", "/app/ws");
    let sent = FORWARDED
        .replace("/ws", "/app/ws")
        .replace("Host: bk", "Host: 192.168.50.1");
    let not_found = "HTTP/1.1 404 Not Found\nServer: gunicorn";
    let diagnosis = diagnose(&refused(&asked, &sent, not_found));
    let finding = finding(&diagnosis, Code::NotFound);
    let detail = &finding.detail;
    for says in [
        "`Server: gunicorn`: gunicorn speaks WSGI",
        "The upgrade reached it whole, for the path that the client asked for.",
    ] {
        assert!(detail.contains(says), "{detail}");
    }
    assert!(finding.fix.contains("uvicorn's worker"), "{}", finding.fix);
    let diagnosis = diagnose(&refused(
        &asked,
        &sent,
        &not_found.replace("gunicorn", "uvicorn"),
    ));
    let fix = &super::finding(&diagnosis, Code::NotFound).fix;
    assert!(fix.contains("uvicorn[standard]"), "{fix}");
    // Its own ASGI worker serves WebSockets, a short path has no prefix, and a rewritten one is what is wrong.
    for (sent, server) in [
        (sent.as_str(), "gunicorn/asgi"),
        (sent.as_str(), "TornadoServer/6.6.1"),
        (&sent.replace("/app/ws", "/ws"), "gunicorn/asgi"),
    ] {
        let answer = format!("HTTP/1.1 404 Not Found\nServer: {server}");
        let diagnosis = diagnose(&refused(&asked, sent, &answer));
        let finding = super::finding(&diagnosis, Code::NotFound);
        assert!(!finding.detail.contains("WSGI"), "{}", finding.detail);
        let unchanged = finding.detail.contains("reached it whole");
        assert_eq!(unchanged, sent.contains("/app/"), "{}", finding.detail);
        let prefix = finding.fix.contains("does not know /app/");
        assert_eq!(prefix, unchanged, "{}", finding.fix);
    }
}

#[test]
fn credentials_that_did_not_arrive() {
    let asked = format!("{ASK}\nAuthorization: Bearer abc\nCookie: id=1");
    let sent = FORWARDED.replace("Host: bk", "Host: 192.168.50.1");
    let answer = "HTTP/1.1 403 Forbidden\nServer: backend/1";
    for (sent, lost) in [
        (sent.clone(), Some("Authorization and Cookie")),
        (format!("{sent}\nCookie: id=1"), Some("Authorization")),
        (
            format!("{sent}\nCookie: id=1\nAuthorization: Bearer abc"),
            None,
        ),
    ] {
        let diagnosis = diagnose(&refused(&asked, &sent, answer));
        let finding = finding(&diagnosis, Code::Forbidden);
        let says = lost.map(|lost| format!("Let the proxy pass {lost} on"));
        match says {
            Some(says) => assert!(finding.fix.starts_with(&says), "{}", finding.fix),
            None => assert!(!finding.fix.contains("pass"), "{}", finding.fix),
        }
    }
}

/// An application that was not told that the client used https, or does not believe it.
#[test]
fn redirects_to_what_the_client_used() {
    let sent = FORWARDED.replace("Host: bk", "Host: 192.168.50.1");
    let answer = "HTTP/1.1 301 Moved Permanently\nLocation: https://192.168.50.1/ws";
    for (told, fix) in [
        ("", "Open the address with wss."),
        ("\nX-Forwarded-Proto: http", "Open the address with wss."),
        (
            "\nX-Forwarded-Proto: https",
            "X-Forwarded-Proto says https already: let the application trust that field",
        ),
    ] {
        let diagnosis = diagnose(&refused(ASK, &format!("{sent}{told}"), answer));
        let finding = finding(&diagnosis, Code::Redirected);
        assert!(finding.fix.starts_with(fix), "{told}: {}", finding.fix);
    }
}

/// Some servers refuse an origin with 400; their text tells it from a request that is malformed.
#[test]
fn a_bad_request_for_its_origin() {
    let cross = ASK.replace(
        "Origin: http://192.168.50.1",
        "Origin: http://other.example",
    );
    let same = FORWARDED.replace("Host: bk", "Host: 192.168.50.1");
    let sent = same.replace(
        "Origin: http://192.168.50.1",
        "Origin: http://other.example",
    );
    let answer = "HTTP/1.1 400 Bad Request\nContent-Type: text/plain";
    for (body, speaks) in [
        (&b"\"Not an accepted origin.\""[..], true),
        (b"No such room", false),
    ] {
        let diagnosis = diagnose(&refused_with(&cross, &sent, answer, body));
        let said = finding(&diagnosis, Code::BadRequest);
        let added = said
            .fix
            .starts_with("Add this origin to the application's list");
        assert_eq!(added, speaks, "{}", said.fix);
        // The same of a Host that the proxy changed.
        let diagnosis = diagnose(&refused_with(ASK, FORWARDED, answer, body));
        let sure = finding(&diagnosis, Code::OriginHostMismatch).confidence;
        assert_eq!(sure == Confidence::Likely, speaks);
    }
}
