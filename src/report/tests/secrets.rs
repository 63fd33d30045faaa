//! Secrets of the packets: masked in every form, unless asked otherwise.

use proptest::prelude::*;

use super::*;

/// Where a secret can be in a request.
fn planted(secret: &str) -> [(&'static str, String); 10] {
    [
        ("Cookie", format!("theme=dark; sid={secret}; lang=en")),
        ("Authorization", format!("Bearer {secret}")),
        ("Proxy-Authorization", format!("Basic {secret}")),
        ("X-Api-Key", secret.to_owned()),
        ("X-Amz-Security-Token", secret.to_owned()),
        (
            "Referer",
            format!("https://chat.example.com/?a=1&access_token={secret}#x"),
        ),
        (
            "Sec-WebSocket-Protocol",
            format!("chat.v2, bearer, {secret}"),
        ),
        ("Sec-WebSocket-Protocol", format!("Bearer {secret}")),
        ("X-Original-URL", format!("/ws?session={secret}&b=2")),
        (
            "Sec-WebSocket-Protocol",
            format!("base64url.bearer.authorization.k8s.io.{secret}"),
        ),
    ]
}

fn case_with(header: &str, value: &str, target: &str, quote: &str) -> Case {
    let mut case = fix::not_forwarded();
    for hop in &mut case.0.hops {
        let record = std::sync::Arc::make_mut(&mut hop.record);
        let exchange = &mut record.exchanges[0];
        let at = exchange.request.as_ref().unwrap().span.first;
        exchange.request = Some(fix::request(
            at,
            &format!(
                "GET {target} HTTP/1.1\r\nHost: chat.example.com\r\n{header}: {value}\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            ),
        ));
        let at = exchange.response.as_ref().unwrap().span.first;
        exchange.response = Some(fix::response(
            at,
            &format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\nSet-Cookie: {value}\r\n\r\n"),
        ));
    }
    case.0.hops[1].changes.push(fix::change(
        "target",
        crate::hop::ChangeKind::Altered,
        Some(target),
        Some(target),
    ));
    case.1.headline = format!("GET {target} was refused: {quote}");
    for finding in &mut case.1.findings {
        finding.title = format!("GET {target}");
        finding.detail = format!("the client sent {header}: {value}");
        finding.evidence[0].shows = format!("GET {target} HTTP/1.1, {quote}");
    }
    case
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the secret and wherever it stands, no form shows it.
    #[test]
    fn no_form_leaks_a_secret(
        secret in "[A-Z][a-z][0-9][A-Za-z0-9_-]{9,24}",
        place in 0..planted("").len(),
        parameter in prop::sample::select(vec!["token", "access_token", "sid", "password", "api_key", "tok%65n", "Auth"]),
    ) {
        let (header, value) = &planted(&secret)[place];
        let target = format!("/ws?room=7&{parameter}={secret}");
        let quote = format!("{header}: {value}");
        for redact in [Redact::Standard, Redact::Strict] {
            for text in every_form(&[case_with(header, value, &target, &quote)], redact) {
                prop_assert!(!text.contains(&secret), "{header} {parameter}: {text}");
                // Nor a part of it.
                prop_assert!(!text.contains(&secret[..secret.len() - 3]), "{header} {parameter}: {text}");
            }
        }
    }
}

#[test]
fn unmasked_shows_everything() {
    let case = case_with("Cookie", "sid=Abc123Secret987", "/ws?token=xyz123", "x");
    for text in every_form(&[case], Redact::None) {
        assert!(text.contains("xyz123"));
    }
}

#[test]
fn strict_hides_who_and_where() {
    let case = fix::not_forwarded();
    for text in every_form(&[case, fix::healthy(), fix::refused()], Redact::Strict) {
        for secret in [
            "192.168.50.23",
            "192.168.50.1",
            "10.20.0.11",
            "2001:db8",
            "chat.example.com",
            "room=7",
            "bye",
            "captures/",
        ] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        // What the diagnosis stands on stays.
        for kept in ["dGhlIHNhbXBsZSBub25jZQ==", "websocket", "host-1", "ip-1"] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }
}
