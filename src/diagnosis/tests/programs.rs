//! Proxies that are not nginx: what is told about them must be of use to who runs them.

use super::*;
use crate::decode::Endpoint;
use crate::hop::{Party, Role};
use crate::tcp::Side;

const NEXT: Endpoint = Endpoint::v4([10, 20, 0, 2], 80);

/// As HAProxy passes it on: names in small letters.
fn small(text: &str) -> String {
    let (line, fields) = text.split_once('\n').unwrap();
    let lines = fields.lines().map(|field| {
        let (name, value) = field.split_once(": ").unwrap();
        format!("\n{}: {value}", name.to_ascii_lowercase())
    });
    format!("{line}{}", lines.collect::<String>())
}

fn lost(to_backend: &str, answer: &str, to_client: &str) -> Diagnosis {
    diagnose(&through(
        front().ask(ASK, 0.5).answer(to_client, 1.7),
        back().ask(to_backend, 1.2).answer(answer, 1.6),
    ))
}

#[test]
fn what_is_not_nginx_gets_none_of_its_directives() {
    let bare = "HTTP/1.1 426 Upgrade Required";
    let apache = "HTTP/1.1 426 Upgrade Required\nServer: Apache/2.4.71 (Debian)";
    let via = format!("{STRIPPED_NEW}\nVia: 1.1 Caddy");
    let envoy = format!("{STRIPPED_NEW}\nX-Envoy-Expected-Rq-Timeout-Ms: 15000");
    let behind = |fields: &str| format!("{STRIPPED_NEW}\nX-Forwarded-For: 192.168.50.7\n{fields}");
    let mod_proxy = behind("X-Forwarded-Server: front\nConnection: Keep-Alive");
    let lighttpd = behind("X-Host: 192.168.50.1\nConnection: close");
    let other = behind("Connection: close");
    let varnish = behind("X-Varnish: 4");
    let via_varnish = format!("{bare}\nVia: 1.1 varnish (Varnish/7.1)");
    for (name, sent, answer, got, called, tells) in [
        (
            "names in small letters",
            small(STRIPPED_NEW).as_str(),
            bare,
            bare,
            "The proxy ",
            "HAProxy",
        ),
        (
            "Server of its own",
            STRIPPED_NEW,
            bare,
            apache,
            "Apache ",
            "ProxyPass",
        ),
        ("Via", &via, bare, bare, "Caddy ", "header_up"),
        (
            "fields of its own",
            &envoy,
            bare,
            bare,
            "Envoy ",
            "upgrade_configs",
        ),
        (
            "Connection behind the client's own, beside X-Forwarded-Server",
            &mod_proxy,
            bare,
            bare,
            "Apache ",
            "ProxyPass",
        ),
        (
            "Connection behind the client's own, beside X-Host",
            &lighttpd,
            bare,
            bare,
            "lighttpd ",
            "proxy.header",
        ),
        (
            "Connection behind the client's own",
            &other,
            bare,
            bare,
            "The proxy ",
            "lighttpd",
        ),
        ("X-Varnish", &varnish, bare, bare, "Varnish ", "pipe"),
        (
            "Via in the answer",
            STRIPPED_NEW,
            bare,
            &via_varnish,
            "Varnish ",
            "pipe",
        ),
    ] {
        let diagnosis = lost(sent, answer, got);
        assert!(
            diagnosis.headline.starts_with(called),
            "{name}: {}",
            diagnosis.headline
        );
        let finding = finding(&diagnosis, Code::UpgradeNotForwarded);
        assert!(finding.fix.contains(tells), "{name}: {}", finding.fix);
        assert_eq!(finding.nginx_snippet, "", "{name}");
        let all = format!("{} {} {}", finding.detail, finding.cause, finding.fix);
        assert!(!all.contains("nginx"), "{name}: {all}");
        assert!(!finding.nginx_log.contains("[error]"), "{name}");
    }
}

#[test]
fn nginx_is_told_its_directives_and_who_may_be_it_that_they_are_so() {
    let passed = passed(UPGRADE_REQUIRED);
    for (name, sent, got, sure) in [
        ("its Server", STRIPPED_NEW, passed.as_str(), true),
        (
            "its way to write requests",
            STRIPPED_OLD,
            "HTTP/1.1 426 No",
            true,
        ),
        (
            "its Server, under a client in small letters",
            &small(STRIPPED_NEW),
            &passed,
            true,
        ),
        ("nothing", STRIPPED_NEW, "HTTP/1.1 426 No", false),
        // `proxy_set_header Sec-WebSocket-Key $http_sec_websocket_key` and such: Connection is not the first one set.
        (
            "Connection set behind some of the client's own",
            &STRIPPED_NEW.replace("\nOrigin", "\nConnection: close\nOrigin"),
            "HTTP/1.1 426 No",
            false,
        ),
        // proxy_pass_header Server
        (
            "the backend's Server",
            STRIPPED_NEW,
            UPGRADE_REQUIRED,
            false,
        ),
    ] {
        let diagnosis = lost(sent, UPGRADE_REQUIRED, got);
        let finding = finding(&diagnosis, Code::UpgradeNotForwarded);
        let snippet = &finding.nginx_snippet;
        assert!(snippet.contains("$http_upgrade"), "{name}: {snippet}");
        let hedged = finding.fix.contains("whether this proxy is nginx");
        assert_eq!(hedged, !sure, "{name}: {}", finding.fix);
        assert_eq!(
            diagnosis.headline.starts_with("nginx "),
            sure,
            "{name}: {}",
            diagnosis.headline
        );
    }
}

/// nginx writes what it is told to set in front of what it copies, and Traefik has two more fields between these.
#[test]
fn fields_that_others_set_are_not_apaches() {
    let in_front = STRIPPED_NEW.replace(
        "\nHost: bk",
        "\nX-Forwarded-Host: a\nX-Forwarded-Server: b\nHost: bk",
    );
    let apart = format!(
        "{STRIPPED_NEW}\nX-Forwarded-Host: a\nX-Forwarded-Port: 80\nX-Forwarded-Proto: http\nX-Forwarded-Server: b"
    );
    let bare = "HTTP/1.1 426 Upgrade Required";
    for sent in [in_front, apart] {
        let headline = lost(&sent, bare, bare).headline;
        assert!(!headline.contains("Apache"), "{headline}");
    }
}

/// Of two proxies each is told what is its own.
#[test]
fn each_proxy_of_a_chain_is_told_its_own() {
    let build = |to_inner: &str, to_backend: &str| {
        let got = passed(UPGRADE_REQUIRED);
        diagnose(&chain(vec![
            front().ask(ASK, 0.5).answer(&got, 2.0),
            conn(2, BACK, NEXT, 1.0)
                .ask(to_inner, 1.1)
                .answer(&got, 1.9),
            conn(1, NEXT, BACKEND, 1.2)
                .ask(to_backend, 1.3)
                .answer(UPGRADE_REQUIRED, 1.8),
        ]))
    };
    let outer = build(&small(STRIPPED_NEW), &small(STRIPPED_NEW));
    let outer = finding(&outer, Code::UpgradeNotForwarded);
    assert_eq!(outer.nginx_snippet, "");
    let inner = build(&small(ASK), &small(STRIPPED_OLD));
    let inner = finding(&inner, Code::UpgradeNotForwarded);
    assert!(
        inner.title.starts_with("nginx 10.20.0.2"),
        "{}",
        inner.title
    );
    assert!(inner.nginx_snippet.contains("$http_upgrade"));
}

#[test]
fn timeouts_have_the_names_of_who_waits() {
    let page = b"<html><body><h1>504 Gateway Time-out</h1>\nThe server didn't respond in time.\n";
    let silent = through(
        front()
            .ask(ASK, 0.5)
            .answer("HTTP/1.1 504 Gateway Time-out", 3001.3)
            .body(page),
        back().ask(&small(ASK), 1.2).rst(Side::Client, 3001.4),
    );
    let diagnosis = diagnose(&silent);
    let waited = finding(&diagnosis, Code::BackendTimeout);
    assert!(diagnosis.headline.contains("HAProxy 192.168.50.1"));
    assert!(
        waited.detail.contains("timeout server"),
        "{}",
        waited.detail
    );
    assert!(!waited.fix.contains("proxy_read_timeout"), "{}", waited.fix);

    let facts = talk(2, 1.7, 10.0);
    let envoy = format!("{FORWARDED}\nx-envoy-attempt-count: 1");
    let client = front()
        .ask(ASK, 0.5)
        .answer(SWITCH, 1.7)
        .session(facts.clone());
    let backend = back().ask(&envoy, 1.2).answer(SWITCH, 1.6).session(facts);
    let diagnosis = diagnose(&ended((client, backend), Party::Proxy, 300_010.0));
    let idle = finding(&diagnosis, Code::IdleTimeout);
    assert!(idle.title.contains("stream_idle_timeout"), "{}", idle.title);
    assert!(idle.fix.contains("stream_idle_timeout"), "{}", idle.fix);
    assert_eq!(idle.nginx_snippet, "");
}

/// The directive of a proxy of which nobody knows what it is stands beside its timeout, not inside other parentheses.
#[test]
fn a_timeout_of_an_unknown_proxy_is_told_without_nesting() {
    let answer = SWITCH.replace("backend/1", "other/1");
    let facts = talk(1, 1.7, 10.0);
    let client = front().ask(ASK, 0.5).answer(&answer, 1.7);
    let request = FORWARDED.replace(
        "Connection: upgrade\nHost: bk",
        "Host: bk\nConnection: upgrade",
    );
    let backend = back().ask(&request, 1.2).answer(&answer, 1.6);
    let hops = (client.session(facts.clone()), backend.session(facts));
    let diagnosis = diagnose(&ended(hops, Party::Proxy, 60_010.0));
    let idle = finding(&diagnosis, Code::IdleTimeout);
    assert!(
        idle.title
            .ends_with("(idle timeout 60 s; proxy_read_timeout, if it is nginx)"),
        "{}",
        idle.title
    );
    assert!(
        idle.detail
            .contains("the idle timeout (proxy_read_timeout, if it is nginx) is 60 s."),
        "{}",
        idle.detail
    );
}

/// Apache behind HAProxy answers so, and HAProxy passes it on: only that no nginx did is sure.
#[test]
fn who_signed_an_unseen_hop_is_not_named() {
    let answer = "HTTP/1.1 503 Service Unavailable\nServer: Apache/2.4.71 (Debian)";
    let diagnosis = diagnose(&alone(
        front().ask(ASK, 0.5).answer(answer, 1.7),
        Role::ClientProxy,
    ));
    // It may be nginx with `proxy_pass_header Server`.
    let refused = finding(&diagnosis, Code::ServiceUnavailable);
    assert!(refused.cause.contains("limit_conn"), "{}", refused.cause);
    assert!(diagnosis.headline.starts_with("The proxy "));
}

/// A page that only one program writes is its own answer, also where nothing behind it was captured.
#[test]
fn own_pages_tell_who_refused() {
    for (page, called) in [
        (
            "Request forbidden by administrative rules.",
            "HAProxy 192.168.50.1",
        ),
        ("Not allowed", "192.168.50.1:80"),
    ] {
        let body = format!("<html><body><h1>403 Forbidden</h1>\n{page}\n</body></html>\n");
        let client = front().ask(ASK, 0.5).answer("HTTP/1.1 403 Forbidden", 1.7);
        let diagnosis = diagnose(&alone(client.body(body.as_bytes()), Role::Unknown));
        let headline = format!("{called} answered /ws with 403 Forbidden");
        assert_eq!(diagnosis.headline, headline);
        let known = called.starts_with("HAProxy");
        let by = diagnosis.answered_by();
        assert_eq!(by == Some(AnsweredBy::Proxy), known, "{page}: {by:?}");
        let fix = &finding(&diagnosis, Code::Forbidden).fix;
        assert_eq!(fix.contains("that proxy"), known, "{fix}");
    }
}

/// Where no backend was reached, nobody but the proxy can have signed.
#[test]
fn who_reached_nobody_signed_its_own_answer() {
    for (server, called, directive) in [
        ("Caddy", "Caddy 192.168.50.1", false),
        ("Apache/2.4.71 (Debian)", "Apache 192.168.50.1", false),
        ("lighttpd/1.4.69", "lighttpd 192.168.50.1", false),
        ("nginx/1.22.1", "nginx 192.168.50.1", true),
        ("app/1", "the proxy 192.168.50.1", true),
    ] {
        let answer = format!("HTTP/1.1 503 Service Unavailable\nServer: {server}");
        let mut opening = back();
        opening.record.connection.opening = crate::tcp::Opening::Refused;
        let client = front().ask(ASK, 0.5).answer(&answer, 1.7);
        let diagnosis = diagnose(&tried(client, vec![opening]));
        let refused = finding(&diagnosis, Code::BackendRefused);
        let headline = &diagnosis.headline;
        assert!(headline.contains(called), "{headline}");
        let named = refused.nginx_snippet.contains("proxy_pass");
        assert_eq!(named, directive, "{server}: {}", refused.nginx_snippet);
    }
}

/// Two proxies with TLS between them, which nobody opened: either may have lost what did not come out.
#[test]
fn what_two_proxies_said_to_each_other_is_not_known() {
    let refused = || {
        through(
            front().ask(ASK, 0.5).answer(&passed(UPGRADE_REQUIRED), 1.7),
            back().ask(STRIPPED_OLD, 1.2).answer(UPGRADE_REQUIRED, 1.6),
        )
    };
    let tried = || {
        let client = front().ask(ASK, 0.5).answer(BAD_GATEWAY, 1.7).body(PAGE);
        let mut opening = back();
        opening.record.connection.opening = crate::tcp::Opening::Refused;
        tried(client, vec![opening])
    };
    for (handshake, alone, behind) in [
        (
            refused(),
            "nginx 192.168.50.1 did not forward Upgrade",
            "One of the proxies 192.168.50.1 and 10.20.0.1 did not forward Upgrade",
        ),
        (
            tried(),
            "10.20.0.11:8080 refused the connection of nginx 192.168.50.1,",
            "10.20.0.11:8080 refused the connection of the proxy 10.20.0.1,",
        ),
    ] {
        assert!(diagnose(&handshake).headline.starts_with(alone));
        let mut unread = handshake;
        unread.unread = vec![Endpoint::v4([10, 20, 0, 1], 443)];
        let headline = diagnose(&unread).headline;
        assert!(headline.starts_with(behind), "{headline}");
    }
}
