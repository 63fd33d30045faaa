//! The same faults from places that do not see everything.

use super::*;
use crate::diagnosis::testkit::*;
use crate::hop::{PartialHead, Role};
use crate::http::PartialWhy;
use crate::tcp::{GapCause, Side};

const REQUIRED: &str = "HTTP/1.1 426 Upgrade Required\nServer: backend/1";

#[test]
fn the_backend_hop_alone_is_proof() {
    for (name, sent, role) in [
        ("old, known role", STRIPPED_OLD, Role::ProxyBackend),
        ("old, unknown role", STRIPPED_OLD, Role::Unknown),
        ("new, known role", STRIPPED_NEW, Role::ProxyBackend),
    ] {
        let diagnosis = check(
            name,
            &alone(back().ask(sent, 1.0).answer(REQUIRED, 1.5), role),
            Verdict::Failed,
            Code::UpgradeNotForwarded,
            &[
                "error connection-not-forwarded",
                "error upgrade-not-forwarded",
                "info client-hop-not-seen",
            ],
        );
        assert!(
            diagnosis.headline.contains("10.20.0.1 did not forward Upgrade and Connection to 10.20.0.11:8080, which answered 426"),
            "{}",
            diagnosis.headline
        );
        assert_eq!(diagnosis.answered_by, Some(AnsweredBy::Backend));
        assert_eq!(
            finding(&diagnosis, Code::UpgradeNotForwarded).confidence,
            crate::hop::Confidence::Certain
        );
    }
}

#[test]
fn http10_with_upgrade_seen_from_the_backend() {
    let sent = FORWARDED.replace("HTTP/1.1", "HTTP/1.0");
    check(
        "HTTP/1.0",
        &alone(
            back().ask(&sent, 1.0).answer("HTTP/1.1 505 X", 1.5),
            Role::ProxyBackend,
        ),
        Verdict::Failed,
        Code::Http10ToBackend,
        &["error http10-to-backend", "info client-hop-not-seen"],
    );
}

#[test]
fn the_client_hop_alone_accuses_nobody() {
    let answer = REQUIRED.replace("backend/1", "nginx/1.22.1");
    for role in [Role::ClientProxy, Role::Unknown] {
        let diagnosis = check(
            "client only",
            &alone(front().ask(ASK, 0.5).answer(&answer, 1.0), role),
            Verdict::Failed,
            Code::UpgradeRequired,
            &["error upgrade-required", "info backend-hop-not-seen"],
        );
        assert_eq!(diagnosis.answered_by, Some(AnsweredBy::Unknown));
    }
}

#[test]
fn a_key_without_upgrade_on_the_way_to_nginx_is_not_its_fault() {
    let ask = ASK.replace("Upgrade: websocket\nConnection: Upgrade\n", "");
    let answer = REQUIRED.replace("backend/1", "nginx/1.22.1");
    let diagnosis = diagnose(&alone(
        front().ask(&ask, 0.5).answer(&answer, 1.0),
        Role::Unknown,
    ));
    assert_eq!(diagnosis.cause, Some(Code::UpgradeMissing));
}

#[test]
fn a_head_with_a_hole_lacks_nothing() {
    for why in [
        PartialWhy::Gap(GapCause::Truncated),
        PartialWhy::Gap(GapCause::NotCaptured),
        PartialWhy::CaptureEnded,
    ] {
        let cut = |c: Conn| {
            c.edit(|c| {
                c.exchange.request = None;
                c.exchange.partial_request = Some(PartialHead {
                    first: at(1.0),
                    last: at(1.0),
                    bytes: b"GET /ws HTTP/1.0\r\nSec-WebSocket-Key: x\r\n"
                        .as_slice()
                        .into(),
                    why,
                });
            })
        };
        let diagnosis = diagnose(&through(
            front().ask(ASK, 0.5).answer(REQUIRED, 1.7),
            cut(back()).answer(REQUIRED, 1.6),
        ));
        assert!(
            diagnosis.findings.iter().all(|finding| !matches!(
                finding.code,
                Code::UpgradeNotForwarded | Code::ConnectionNotForwarded | Code::KeyNotForwarded
            )),
            "{why:?}: {:?}",
            found(&diagnosis)
        );
        assert_eq!(diagnosis.cause, Some(Code::UpgradeRequired));
        let diagnosis = diagnose(&alone(cut(front()), Role::Unknown));
        assert_eq!(diagnosis.verdict, Verdict::Unclear, "{why:?}");
    }
}

#[test]
fn an_answer_in_a_hole_is_no_silence() {
    let client = front().ask(ASK, 0.5).fin(Side::Client, 900.0).edit(|c| {
        c.exchange.gap_in_answer = true;
        c.record.connection.to_client.missing_bytes = 300;
    });
    let diagnosis = diagnose(&alone(client, Role::ClientProxy));
    assert_eq!(diagnosis.verdict, Verdict::Unclear);
    assert_eq!(
        found(&diagnosis),
        ["info backend-hop-not-seen", "warning capture-gap"]
    );
    // The backend's silence is none either.
    let backend = back().ask(FORWARDED, 1.2).fin(Side::Server, 1.5).edit(|c| {
        c.exchange.gap_in_answer = true;
    });
    let diagnosis = diagnose(&through(
        front()
            .ask(ASK, 0.5)
            .answer("HTTP/1.1 502 Bad Gateway\nServer: nginx/1.22.1", 1.7),
        backend,
    ));
    assert_eq!(diagnosis.cause, Some(Code::BadGateway));
    assert_eq!(diagnosis.answered_by, Some(AnsweredBy::Unknown));
}

#[test]
fn one_direction_only() {
    let client = front().ask(ASK, 0.5).fin(Side::Client, 900.0).edit(|c| {
        c.record.connection.to_client.frames = 0;
    });
    let diagnosis = diagnose(&alone(client, Role::ClientProxy));
    assert_eq!(diagnosis.verdict, Verdict::Unclear);
    assert!(found(&diagnosis).contains(&"warning capture-one-sided".to_owned()));
    assert!(
        !found(&diagnosis)
            .iter()
            .any(|code| code.contains("client-gave-up"))
    );
}

#[test]
fn the_capture_ends_before_the_answer() {
    let diagnosis = diagnose(&through(front().ask(ASK, 0.5), back().ask(FORWARDED, 1.0)));
    assert_eq!(diagnosis.verdict, Verdict::Unclear);
    assert_eq!(diagnosis.answered_by, None);
    assert_eq!(found(&diagnosis), Vec::<String>::new());
    // What was lost on the way is known all the same.
    let diagnosis = diagnose(&through(
        front().ask(ASK, 0.5),
        back().ask(STRIPPED_OLD, 1.0),
    ));
    assert_eq!(diagnosis.verdict, Verdict::Unclear);
    assert_eq!(diagnosis.cause, Some(Code::UpgradeNotForwarded));
}

#[test]
fn ambiguity_is_said() {
    let mut handshake = through(
        front().ask(ASK, 0.5).answer(SWITCHED, 1.7),
        back().ask(FORWARDED, 1.2).answer(SWITCH, 1.6),
    );
    handshake.ambiguous = true;
    let diagnosis = diagnose(&handshake);
    assert_eq!(found(&diagnosis), ["info pairing-ambiguous"]);
    assert_eq!(diagnosis.verdict, Verdict::Ok);
}
