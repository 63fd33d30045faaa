//! What the capture lacks is no accusation: the same question, asked by different rules.

use super::*;
use crate::hop::{PartialHead, Role};
use crate::http::PartialWhy;
use crate::tcp::{GapCause, Side};

fn part(len: usize, why: PartialWhy) -> PartialHead {
    PartialHead {
        first: at(1.4),
        last: at(1.5),
        bytes: vec![b'x'; len].into(),
        why,
    }
}

/// A long head of which the capture lost the end is too big for nginx only if nginx says so: it passed others on.
#[test]
fn a_long_head_that_the_capture_broke_off_was_not_too_big() {
    let hole = PartialWhy::Gap(GapCause::NotCaptured);
    for (answer, why, too_big) in [
        ("HTTP/1.1 403 Forbidden\nServer: nginx/1.22.1", hole, false),
        (
            "HTTP/1.1 403 Forbidden\nServer: nginx/1.22.1",
            PartialWhy::CaptureEnded,
            false,
        ),
        (BAD_GATEWAY, hole, true),
        (BAD_GATEWAY, PartialWhy::StreamEnded, true),
    ] {
        let handshake = through(
            front().ask(ASK, 0.5).answer(answer, 1.7),
            back()
                .ask(FORWARDED, 1.2)
                .edit(|c| c.exchange.partial_response = Some(Box::new(part(5000, why))))
                .fin(Side::Client, 1.8),
        );
        let diagnosis = diagnose(&handshake);
        let found = codes(&diagnosis.findings);
        let named = found.contains(&Code::BackendHeaderTooBig);
        assert_eq!(named, too_big, "{answer} {why:?}: {found:?}");
    }
}

/// 103 is no answer, and no bytes that nobody could read either: behind it a backend may close early like any other.
#[test]
fn an_interim_response_is_no_answer() {
    let closed = |conn: Conn| {
        conn.edit(|c| {
            let hints = response("HTTP/1.1 103 Early Hints\nLink: </a>", 1.4);
            c.record.connection.to_client.payload_bytes = 50;
            c.record.connection.to_client.last_data = Some(hints.span.last);
            c.exchange.interim = vec![hints];
        })
    };
    let handshake = through(
        front().ask(ASK, 0.5).answer(BAD_GATEWAY, 1.7).body(PAGE),
        closed(back().ask(FORWARDED, 1.2)).fin(Side::Server, 1.5),
    );
    let early = Code::BackendClosedEarly;
    check_only("behind 103", &handshake, Verdict::Failed, early);
}

/// A proxy further in took Upgrade and the key away, and its backend answered: it owes nobody an answer.
#[test]
fn who_answered_an_ordinary_request_is_not_waited_for() {
    let inner = crate::decode::Endpoint::v4([10, 20, 0, 2], 80);
    let from = crate::decode::Endpoint::v4([10, 20, 0, 2], 51000);
    let handshake = chain(vec![
        front().ask(ASK, 0.5).answer(GATEWAY_TIMEOUT, 1002.0),
        conn(1, BACK, inner, 1.0)
            .ask(FORWARDED, 1.1)
            .fin(Side::Client, 1001.0),
        conn(2, from, BACKEND, 1.3).edit(|c| {
            c.exchange.ordinary = Some(Box::new(ordinary("/ws", None, 200, 1.4)));
        }),
    ]);
    let diagnosis = diagnose(&handshake);
    let timeout = finding(&diagnosis, Code::BackendTimeout);
    assert!(
        !timeout.title.contains("10.20.0.11") && !timeout.detail.contains("10.20.0.11"),
        "{}: {}",
        timeout.title,
        timeout.detail
    );
}

/// Bytes that the server sent behind the request and nobody could read may be its answer, on a hop alone as well.
#[test]
fn unread_bytes_may_be_the_answer() {
    let unread = front().ask(ASK, 0.5).fin(Side::Server, 2.0);
    for (behind, verdict) in [(None, Verdict::Failed), (Some(at(1.0)), Verdict::Unclear)] {
        let conn = unread.clone().edit(|c| {
            c.record.connection.to_client.last_data = behind;
        });
        let diagnosis = diagnose(&alone(conn, Role::ClientProxy));
        assert_eq!(diagnosis.verdict, verdict, "{}", diagnosis.headline);
    }
}
