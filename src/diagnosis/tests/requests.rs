//! Requests that cannot succeed as they are, or that the server did not wait for.

use super::*;
use crate::hop::Role;
use crate::http::PartialWhy;
use crate::tcp::Side;

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
        check_only(
            cause.as_str(),
            &alone(
                front()
                    .ask(ask, 0.5)
                    .answer("HTTP/1.1 400 Bad Request", 0.9),
                Role::Direct,
            ),
            Verdict::Failed,
            cause,
        );
    }
}

/// A client of 2010 has two keys of another name: it did not forget one.
#[test]
fn drafts_before_the_rfc_are_named() {
    let old = ASK
        .replace("Sec-WebSocket-Version: 13\n", "")
        .replace("Sec-WebSocket-Key: ", "Sec-WebSocket-Key1: ");
    for (ask, named) in [(old.as_str(), true), (&old.replace("Key1", "Other"), false)] {
        let diagnosis = diagnose(&alone(
            front()
                .ask(ask, 0.5)
                .answer("HTTP/1.1 400 Bad Request", 0.9),
            Role::Direct,
        ));
        assert_eq!(diagnosis.cause, Some(Code::KeyMissing));
        let missing = finding(&diagnosis, Code::KeyMissing);
        assert_eq!(
            missing.cause.contains("hixie-76"),
            named,
            "{}",
            missing.cause
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
    check_only(
        "a direct server",
        &alone(closed, Role::Direct),
        Verdict::Failed,
        Code::NoAnswer,
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
fn closed_before_the_request_came() {
    let client = front().ask(ASK, 5.0).fin(Side::Server, 0.6);
    let diagnosis = check(
        "overloaded",
        &alone(client, Role::ClientProxy),
        Verdict::Failed,
        Code::ProxyOverloaded,
        &["error proxy-overloaded", "info backend-hop-not-seen"],
    );
    assert_eq!(diagnosis.answered_by(), None);
    assert!(
        diagnosis
            .headline
            .ends_with("or a relay that has no backend")
    );
    // A relay that was seen to be refused.
    let refused = back().edit(|c| {
        c.record.exchange_count = 0;
        c.record.connection.opening = crate::tcp::Opening::Refused;
    });
    let client = front().ask(ASK, 5.0).fin(Side::Server, 0.6);
    let diagnosis = diagnose(&tried(client, vec![refused]));
    assert_eq!(diagnosis.cause, Some(Code::BackendRefused));
    assert_eq!(diagnosis.findings.len(), 1);
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
