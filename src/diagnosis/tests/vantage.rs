//! The same faults from places that do not see everything.

/// The answer of a backend that was asked for a page.
const REQUIRED: &str = "HTTP/1.1 426 Upgrade Required\nServer: backend/1";

use super::*;
use crate::diagnosis::Severity;
use crate::hop::{Confidence, PartialHead, Party, Role};
use crate::http::PartialWhy;
use crate::tcp::{GapCause, Side};

/// The proxy in front of the only hop may just have passed on an end, unless the connection in front of it is known.
#[test]
fn who_ended_what_the_backend_hop_alone_shows() {
    for (front, ended_by) in [(false, None), (true, Some(Party::Client))] {
        let backend = back().ask(FORWARDED, 1.2).answer(SWITCH, 1.6);
        let backend = backend.session(talk(2, 1.7, 10.0)).fin(Side::Client, 20.0);
        let handshake = alone(backend, Role::ProxyBackend);
        let mut handshake = with_session(handshake, Some(Party::Client));
        if front {
            join_front(&mut handshake, Confidence::Likely);
        }
        assert_eq!(diagnose(&handshake).ended_by, ended_by, "front: {front}");
    }
}

#[test]
fn the_backend_hop_alone_is_proof() {
    let forwarded = STRIPPED_NEW.replacen("\nHost", "\nX-Forwarded-For: 192.0.2.7\nHost", 1);
    let (sure, likely) = (Confidence::Certain, Confidence::Likely);
    for (name, sent, role, confidence) in [
        ("old, known role", STRIPPED_OLD, Role::ProxyBackend, sure),
        ("old, unknown role", STRIPPED_OLD, Role::Unknown, sure),
        ("new, by a proxy", &*forwarded, Role::ProxyBackend, sure),
        // A client that sends neither Upgrade nor Connection looks the same.
        (
            "new, no field of a proxy",
            STRIPPED_NEW,
            Role::ProxyBackend,
            likely,
        ),
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
        assert_eq!(diagnosis.answered_by(), Some(AnsweredBy::Backend));
        assert_eq!(
            finding(&diagnosis, Code::UpgradeNotForwarded).confidence,
            confidence,
            "{name}"
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
        assert_eq!(diagnosis.answered_by(), Some(AnsweredBy::Unknown));
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
                c.exchange.partial_request = Some(Box::new(PartialHead {
                    first: at(1.0),
                    last: at(1.0),
                    bytes: b"GET /ws HTTP/1.0\r\nSec-WebSocket-Key: x\r\n"
                        .as_slice()
                        .into(),
                    why,
                }));
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
        // Its first line is there all the same.
        let both = through(
            cut(front()).answer(REQUIRED, 1.7),
            cut(back()).answer(REQUIRED, 1.6),
        );
        assert_eq!(
            diagnose(&both).headline,
            "10.20.0.11:8080 answered /ws with 426 Upgrade Required"
        );
    }
}

/// What is left of a request may be one try of several, or one that a proxy made for another: neither says how it came out.
#[test]
fn a_cut_request_by_itself_may_be_a_part_of_another_handshake() {
    let cut = |begun: &'static [u8]| {
        back().edit(|c| {
            c.exchange.partial_request = Some(Box::new(PartialHead {
                first: at(1.0),
                last: at(1.0),
                bytes: begun.into(),
                why: PartialWhy::Gap(GapCause::Truncated),
            }));
        })
    };
    let asks = b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n";
    let may_ask = b"GET /auth HTTP/1.0\r\nSec-WebSocket-Version: 13\r\n";
    let granted = "HTTP/1.1 204 No Content\n\n";
    let verdict = |conn: Conn| diagnose(&alone(conn, Role::Unknown)).verdict;
    let tried = cut(asks).fin(Side::Server, 2.0);
    assert_eq!(verdict(tried), Verdict::Unclear);
    assert_eq!(verdict(cut(may_ask).answer(granted, 2.0)), Verdict::Unclear);
    // An answer that no session follows is an answer, and so is one that refuses.
    assert_eq!(verdict(cut(asks).answer(granted, 2.0)), Verdict::Failed);
    assert_eq!(verdict(cut(may_ask).answer(REQUIRED, 2.0)), Verdict::Failed);
    let whole = back().ask(FORWARDED, 1.0).fin(Side::Server, 2.0);
    assert_eq!(verdict(whole), Verdict::Failed);
}

/// A snap length that cuts the client's request, with its cookies, and not the backend's: a key without Upgrade tells by itself.
#[test]
fn a_whole_request_to_the_backend_tells_although_the_clients_is_cut() {
    let cut = front().answer(REQUIRED, 1.7).edit(|c| {
        c.exchange.partial_request = Some(Box::new(PartialHead {
            first: at(1.0),
            last: at(1.0),
            bytes: b"GET /ws HTTP/1.1\r\nHost: 192.168.50.1\r\n"
                .as_slice()
                .into(),
            why: PartialWhy::Gap(GapCause::Truncated),
        }));
    });
    for (sent, cause) in [
        (STRIPPED_OLD, Code::UpgradeNotForwarded),
        (FORWARDED, Code::UpgradeRequired),
    ] {
        let back = back().ask(sent, 1.2).answer(REQUIRED, 1.6);
        let diagnosis = diagnose(&through(cut.clone(), back));
        assert_eq!(diagnosis.cause, Some(cause), "{:?}", found(&diagnosis));
        let said = finding(&diagnosis, cause);
        if cause == Code::UpgradeNotForwarded {
            assert_eq!(said.confidence, Confidence::Likely);
            assert!(said.nginx_snippet.contains("location /ws {"));
        }
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
        front().ask(ASK, 0.5).answer(BAD_GATEWAY, 1.7),
        backend,
    ));
    assert_eq!(diagnosis.cause, Some(Code::BadGateway));
    assert_eq!(diagnosis.answered_by(), Some(AnsweredBy::Unknown));
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
    assert_eq!(diagnosis.answered_by(), None);
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

#[test]
fn nginx_is_known_by_how_it_writes_requests() {
    // Behind TLS only the backend hop is clear, and nothing else marks it as one.
    let handshake = with_session(
        alone(
            back()
                .ask(FORWARDED, 1.2)
                .answer(SWITCH, 1.6)
                .session(talk(2, 1.6, 10.0))
                .fin(Side::Client, 1980.0),
            Role::Direct,
        ),
        None,
    );
    let diagnosis = diagnose(&handshake);
    assert_eq!(diagnosis.cause, Some(Code::IdleTimeout));
    assert!(
        diagnosis.headline.starts_with("nginx 10.20.0.1 closed"),
        "{}",
        diagnosis.headline
    );
}

/// Seen from one direction, a Close frame of the other side may have been there.
#[test]
fn endings_seen_one_way_accuse_nobody() {
    let both = |one_way: bool| {
        let cut = |conn: Conn| {
            conn.edit(|conn| {
                if one_way {
                    conn.record.connection.to_server.frames = 0;
                }
            })
        };
        let client = front().ask(ASK, 0.5).answer(SWITCHED, 1.7);
        let backend = back().ask(FORWARDED, 1.2).answer(SWITCH, 1.6);
        with_session(
            through(
                cut(client
                    .session(talk(2, 1.7, 20.0))
                    .fin(Side::Server, 60_020.2)),
                cut(backend
                    .session(talk(2, 1.6, 20.0))
                    .fin(Side::Client, 60_020.0)),
            ),
            Some(crate::hop::Party::Proxy),
        )
    };
    assert_eq!(diagnose(&both(false)).cause, Some(Code::IdleTimeout));
    let diagnosis = diagnose(&both(true));
    assert_eq!(diagnosis.verdict, Verdict::Ok);
    assert_eq!(diagnosis.cause, None);
}

/// Bytes that could not be read are no silence.
#[test]
fn an_answer_that_nobody_can_read_is_no_silence() {
    let unread =
        |conn: Conn| conn.edit(|c| c.record.connection.to_client.last_data = Some(at(2.0)));
    let client = || front().ask(ASK, 0.5).fin(Side::Client, 30.0);
    let backend = || back().ask(FORWARDED, 1.2).fin(Side::Server, 20.0);
    let silent = diagnose(&through(client(), backend()));
    assert_eq!(silent.cause, Some(Code::BackendClosedEarly));
    let diagnosis = diagnose(&through(unread(client()), unread(backend())));
    let errors = diagnosis
        .findings
        .iter()
        .filter(|one| one.severity == Severity::Error);
    assert_eq!(errors.count(), 0, "{:?}", found(&diagnosis));
}

/// A request that got no answer and came again, seen on the backend's side alone.
#[test]
fn a_first_try_seen_from_the_backend_is_no_failure() {
    let mut handshake = alone(
        conn(2, BACK, BACKEND2, 3.0)
            .ask(FORWARDED, 3.2)
            .answer(SWITCH, 3.6)
            .session(talk(2, 3.6, 20.0)),
        Role::ProxyBackend,
    );
    let first = back().ask(FORWARDED, 1.2).fin(Side::Server, 2.0);
    let hop = first.hop(Role::ProxyBackend);
    handshake.attempts = vec![crate::hop::ConnectAttempt {
        record: hop.record,
        confidence: Confidence::Certain,
        parent: 0,
    }];
    let diagnosis = diagnose(&with_session(handshake, None));
    assert_eq!(diagnosis.verdict, Verdict::Ok);
    let retried = finding(&diagnosis, Code::BackendRetried);
    assert_eq!(retried.severity, Severity::Warning);
}

/// The client still waits: a proxy may ask another server, and a lenient one may answer 101.
#[test]
fn while_the_client_waits_a_first_failure_is_no_error() {
    let refused = conn(1, BACK, BACKEND, 1.0).edit(|conn| {
        conn.record.connection.opening = crate::tcp::Opening::Refused;
    });
    let lenient = back()
        .ask(&FORWARDED.replace("HTTP/1.1", "HTTP/1.0"), 1.2)
        .answer(SWITCH, 1.6);
    for (waiting, code) in [
        (
            tried(front().ask(ASK, 0.5), vec![refused]),
            Code::BackendRefused,
        ),
        (
            through(front().ask(ASK, 0.5), lenient),
            Code::Http10ToBackend,
        ),
        (
            alone(
                front().ask(&ASK.replace("HTTP/1.1", "HTTP/1.0"), 0.5),
                Role::ClientProxy,
            ),
            Code::Http10Request,
        ),
    ] {
        let diagnosis = diagnose(&waiting);
        assert_eq!(diagnosis.verdict, Verdict::Unclear, "{code}");
        assert_eq!(finding(&diagnosis, code).severity, Severity::Warning);
    }
}

/// A question to an auth service looks like a request that lost its Upgrade.
#[test]
fn a_lone_request_that_may_ask_for_permission_is_less_sure() {
    let told = format!("{STRIPPED_OLD}\nX-Original-URI: /ws");
    let known = STRIPPED_OLD.replace("/ws", "/oauth2/auth?x=1");
    let lost = Code::UpgradeNotForwarded;
    for (sent, status, sure, cause) in [
        (
            STRIPPED_OLD,
            "426 Upgrade Required",
            Confidence::Certain,
            lost,
        ),
        (STRIPPED_OLD, "401 Unauthorized", Confidence::Likely, lost),
        (
            &told,
            "401 Unauthorized",
            Confidence::Guess,
            Code::Unauthorized,
        ),
        (&known, "403 Forbidden", Confidence::Guess, Code::Forbidden),
        // auth_request makes 500 of it.
        (
            &known,
            "302 Found\nLocation: /login",
            Confidence::Guess,
            Code::Redirected,
        ),
        (&known, "426 Upgrade Required", Confidence::Certain, lost),
    ] {
        let diagnosis = diagnose(&alone(
            back()
                .ask(sent, 1.0)
                .answer(&format!("HTTP/1.1 {status}"), 1.5),
            Role::ProxyBackend,
        ));
        let found = finding(&diagnosis, Code::UpgradeNotForwarded);
        assert_eq!(found.confidence, sure, "{status}");
        assert_eq!(diagnosis.cause, Some(cause), "{status}");
    }
}

/// The answer to the client is in a hole: only the backend is known to have given one.
#[test]
fn an_answer_that_only_the_backend_hop_shows_is_the_backends() {
    let kept = FORWARDED.replace("Host: bk", "Host: 192.168.50.1");
    let client = front()
        .ask(ASK, 0.5)
        .edit(|c| c.exchange.gap_in_answer = true);
    let backend = back().ask(&kept, 1.2).answer("HTTP/1.1 403 Forbidden", 1.6);
    let diagnosis = diagnose(&through(client, backend));
    assert_eq!(diagnosis.cause, Some(Code::Forbidden));
    assert_eq!(diagnosis.answered_by(), None);
    assert_eq!(
        diagnosis.headline,
        "10.20.0.11:8080 answered /ws with 403 Forbidden"
    );
    let forbidden = finding(&diagnosis, Code::Forbidden);
    assert!(
        forbidden
            .detail
            .contains("What the client got is not in the capture"),
        "{}",
        forbidden.detail
    );
}

#[test]
fn silence_of_a_backend_that_ends_the_connection() {
    for (how, code) in [
        (crate::tcp::EndingHow::Fin, Code::BackendClosedEarly),
        (crate::tcp::EndingHow::Rst, Code::BackendResetEarly),
    ] {
        let diagnosis = diagnose(&alone(
            back().ask(FORWARDED, 1.0).end(Side::Server, how, 3.0),
            Role::ProxyBackend,
        ));
        assert_eq!(diagnosis.cause, Some(code));
    }
}

/// The client's bytes are in the capture on the backend hop alone: there were none behind the 101.
#[test]
fn who_left_without_a_word_may_have_refused_what_cannot_be_checked() {
    let silent = |texts| talk(texts, 1.7, 5.0);
    for (texts, heard, unclear) in [(0, true, true), (0, false, false), (2, true, false)] {
        let client = front().answer(SWITCHED, 1.7).session(silent(texts));
        let client = client.fin(Side::Server, 8.0).edit(|c| {
            c.record.connection.to_server.frames = 0;
        });
        let backend = back().ask(FORWARDED, 1.2).answer(SWITCH, 1.6);
        let backend = backend.session(silent(texts)).edit(|c| {
            c.record.connection.to_server.missing_bytes = u64::from(!heard);
        });
        let handshake = with_session(through(client, backend.fin(Side::Client, 7.9)), None);
        let verdict = diagnose(&handshake).verdict;
        assert_eq!(
            verdict == Verdict::Unclear,
            unclear,
            "{texts} {heard}: {verdict:?}"
        );
    }
}
