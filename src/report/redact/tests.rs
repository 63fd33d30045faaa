//! What redaction promises for any text: bounded pseudonyms, and the same result however quickly it is found.

use proptest::prelude::*;

use super::*;

#[test]
fn pseudonyms_are_bounded_and_hide_what_is_beyond_as_well() {
    let mut redactor = Redactor::new(Redact::Strict);
    for number in 0..HOSTS_MAX {
        let name = format!("h{number}.example");
        assert_eq!(redactor.host(&name), format!("host-{}", number + 1));
    }
    assert_eq!(redactor.host("late.example:8080"), "host-other:8080");
    assert_eq!(redactor.host("h3.example"), "host-4");
    let mut text = "late.example and h3.example, not h3.example.org".to_owned();
    redactor.apply(Kind::Line, &mut text);
    assert_eq!(text, "host-other and host-4, not h3.example.org");
    for number in 0..=ADDRESSES_MAX as u32 {
        redactor.address(Ipv4Addr::from(0x0a00_0000 + number).into());
    }
    assert_eq!(redactor.addresses.len(), ADDRESSES_MAX);
    let mut text = "192.0.2.1:80 asked 10.0.0.1".to_owned();
    redactor.apply(Kind::Line, &mut text);
    assert_eq!(text, "ip-other:80 asked ip-2");
}

/// What is learned from one text of a handshake, and what becomes of others.
fn told(level: Redact, learned: &[(Kind<'_>, &str)], text: &str) -> String {
    let mut redactor = Redactor::new(level);
    for &(kind, from) in learned {
        redactor.learn(kind, from);
    }
    let mut text = text.to_owned();
    redactor.apply(Kind::Line, &mut text);
    text
}

#[test]
fn where_a_cookie_is_valid_is_no_secret() {
    let set = "_xsrf=2|8f14e45f|a1; expires=Sun, 22 Dec 2026 14:10:45 GMT; Path=/jupyter/";
    let text = told(
        Redact::Standard,
        &[(Kind::Field("Set-Cookie"), set)],
        "GET /jupyter/ws, saying 2|8f14e45f|a1",
    );
    assert_eq!(text, "GET /jupyter/ws, saying <redacted 13 bytes>");
}

#[test]
fn hosts_of_other_fields_are_names_too() {
    for (field, value) in [
        ("Origin", "https://shop.example:8443"),
        ("Location", "https://user:pw@shop.example/login?a=b"),
        ("X-Forwarded-Host", "front.example, shop.example"),
    ] {
        let text = told(
            Redact::Strict,
            &[(Kind::Field(field), value)],
            "Origin is https://shop.example:8443",
        );
        assert!(!text.contains("shop"), "{field}: {text}");
        let text = told(
            Redact::Standard,
            &[(Kind::Field(field), value)],
            "shop.example",
        );
        assert_eq!(text, "shop.example");
    }
}

#[test]
fn reasons_are_masked_where_they_are_quoted() {
    let long = "user bob of close.example is not allowed any more, as his ticket of last week has expired today";
    let cut: String = long.chars().take(QUOTED).collect();
    for reason in [long, "expired", "Bye"] {
        let shown = if reason == long {
            &format!("{cut}…")
        } else {
            reason
        };
        let text = told(
            Redact::Strict,
            &[(Kind::Reason, reason)],
            &format!("closed with 4001: \"{shown}\" after 3 s; the session has expired."),
        );
        assert!(!text.contains(&format!("\"{shown}\"")), "{text}");
        assert!(text.ends_with("the session has expired."), "{text}");
        assert!(!text.contains("bob"), "{text}");
    }
    let text = told(
        Redact::Standard,
        &[(Kind::Reason, "bad token=s3cret-value of bob")],
        "closed with 4001: \"bad token=s3cret-value of bob\"",
    );
    assert_eq!(
        text,
        "closed with 4001: \"bad token=<redacted 12 bytes> of bob\""
    );
}

#[test]
fn an_address_inside_of_an_address_hides_no_token() {
    for value in [
        "%2Fws%3Ftoken%3Ds3cret",
        "%252Fws%253Ftoken%253Ds3cret",
        "%2Fws%3fa%3db%26token%3ds3cret",
    ] {
        let text = format!("/login?next={value}&lang=en");
        let masked = parameters(&text, URL_STOPS, |value| Some(masked(value)));
        let masked = masked.unwrap_or_default();
        assert!(
            !masked.contains("s3cret") && masked.ends_with("&lang=en"),
            "{masked}"
        );
    }
    let plain = "/login?next=%2Fws%3Froom%3D5";
    assert_eq!(
        parameters(plain, URL_STOPS, |value| Some(masked(value))),
        None
    );
}

/// Texts made of what redaction looks for and of what surrounds it.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "?", "&", "=", ";", "#", ": ", ":", "://", " ", "@", "/", "token", "KEY", "sid", "api_key", "Cookie",
            "x-auth", "Sec-WebSocket-", "authorization", "eyJ", "eyJhbGciOiJIUzI1NiJ9.e30", "bearer", "bearer, ",
            "s3cret-value", "user:pass@host", "<redacted 12 bytes>", "%20", "10.0.0.1", "chat.example", "ü", "\n", "\"",
        ]).prop_map(str::to_owned),
        1 => "[ -~]{0,8}",
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

fn kind(number: u8, name: &str) -> Kind<'_> {
    match number % 8 {
        0 => Kind::Line,
        1 => Kind::Block,
        2 => Kind::Target,
        3 => Kind::Host,
        4 => Kind::Endpoint,
        5 => Kind::Reason,
        _ => Kind::Field(name),
    }
}

proptest! {
    /// What is not looked for, since a text lacks bytes of it, would not have been found.
    #[test]
    fn searches_left_out_would_find_nothing(
        secrets in prop::collection::vec((any::<u8>(), text(), text()), 0..4),
        of in any::<u8>(),
        name in text(),
        text in text(),
        strict in any::<bool>(),
    ) {
        let level = if strict { Redact::Strict } else { Redact::Standard };
        let mut redactor = Redactor::new(level);
        for (number, name, text) in &secrets {
            redactor.learn(kind(*number, name), text);
        }
        // Learned values stand in other texts: that is why they are learned.
        let quoted = redactor.learned.iter().map(|part| part.text.as_str());
        let whole = format!("{text}{}", quoted.collect::<String>());
        for text in [text, whole] {
            let (mut quick, mut thorough) = (text.clone(), text);
            redactor.clone().apply(kind(of, &name), &mut quick);
            redactor.apply_where(kind(of, &name), &mut thorough, Bytes::any);
            prop_assert_eq!(quick, thorough);
        }
    }

    /// Names are judged as a plain search for the parts judges them.
    #[test]
    fn names_are_secret_by_their_parts(name in text()) {
        let lower = name.to_ascii_lowercase();
        let any = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
        let part = any(&[
            "token", "secret", "passw", "pwd", "session", "sessid", "jwt", "apikey", "api-key", "api_key", "accesskey",
            "access-key", "access_key", "signature", "credential", "ticket", "csrf", "xsrf",
        ]);
        let header = !lower.starts_with("sec-websocket-")
            && (part || any(&["cookie", "authorization"]) || lower.starts_with("x-auth") || lower.ends_with("-key"));
        prop_assert_eq!(is_secret_header(&name), header);
        if !name.contains(['%', '+']) {
            let whole = ["key", "sid", "sig", "code", "pass", "otp", "pin", "hmac", "mac"].contains(&lower.as_str());
            let parameter = part || whole || any(&["auth"]) || lower.ends_with("_key") || lower.ends_with("-key");
            prop_assert_eq!(is_secret_parameter(&name), parameter);
        }
    }
}
