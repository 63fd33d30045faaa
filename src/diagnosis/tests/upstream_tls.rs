//! TLS between a proxy and its backend that did not come up.

use super::*;
use crate::hop::{Confidence, Protocol};
use crate::tcp::Side;
use crate::tls::{Alert, TlsFacts};

#[test]
fn tls_towards_the_backend() {
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
        check_only(
            name,
            &tried(
                front().ask(ASK, 0.5).answer(BAD_GATEWAY, 1.8).body(PAGE),
                vec![attempt],
            ),
            Verdict::Failed,
            code,
        );
    }
}

/// What a proxy is told of TLS towards a backend is what its bytes show went wrong.
#[test]
fn tls_towards_the_backend_has_texts_of_its_own() {
    let told = |change: &dyn Fn(&mut TlsFacts), end: Side| {
        let mut facts = TlsFacts {
            client_hello: Some(at(1.2)),
            server_hello: Some(at(1.3)),
            ..TlsFacts::default()
        };
        change(&mut facts);
        let tried = back().fin(end, 1.6).edit(|c| {
            c.record.protocol = Protocol::Tls;
            c.record.exchange_count = 0;
            c.record.connection.to_server.payload_bytes = 200;
            c.record.tls = Some(Box::new(facts));
        });
        let client = front().ask(ASK, 0.5).answer(BAD_GATEWAY, 1.7).body(PAGE);
        finding(
            &diagnose(&self::tried(client, vec![tried])),
            Code::BackendTlsRejected,
        )
        .clone()
    };
    let unknown_name = Alert {
        from: Side::Server,
        level: 2,
        description: 112,
        frame: at(1.5),
    };
    let nameless = told(&|facts| facts.alerts = vec![unknown_name], Side::Server);
    assert!(nameless.cause.contains("sends no server name"));
    let pass = "proxy_pass https://10.20.0.11:8080;";
    assert!(
        nameless.nginx_snippet.contains(pass),
        "{}",
        nameless.nginx_snippet
    );
    assert!(!nameless.nginx_snippet.contains("trusted_certificate"));
    let named = told(
        &|facts| {
            facts.sni = Some("x.example".into());
            facts.alerts = vec![unknown_name];
        },
        Side::Server,
    );
    assert!(
        named.cause.contains("serves other names"),
        "{}",
        named.cause
    );
    // The server hangs up second: the proxy had said so before, in an alert that nobody can read.
    let left = told(
        &|facts| facts.sealed_alert = Some((Side::Client, at(1.5))),
        Side::Server,
    );
    assert!(
        left.title.starts_with("nginx 192.168.50.1 closed"),
        "{}",
        left.title
    );
    assert!(
        left.cause.contains("proxy_ssl_verify is on"),
        "{}",
        left.cause
    );
    let hung_up = told(&|_| {}, Side::Server);
    assert!(
        hung_up.title.starts_with("10.20.0.11:8080 closed"),
        "{}",
        hung_up.title
    );
    assert_eq!(hung_up.confidence, Confidence::Likely);
    // An ejabberd without TLS at its port, or an IIS that knows no such name.
    let mute = told(&|facts| facts.server_hello = None, Side::Server);
    assert_eq!(mute.confidence, Confidence::Guess);
    assert!(mute.detail.contains("not a byte"), "{}", mute.detail);
    assert!(mute.cause.contains("something else"), "{}", mute.cause);
    assert!(mute.nginx_snippet.contains(pass.trim_end_matches(';')));
}
