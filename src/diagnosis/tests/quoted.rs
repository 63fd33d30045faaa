//! What a diagnosis quotes of the packets: no secret, and nothing that would change a configuration.

use super::*;

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
