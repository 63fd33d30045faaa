//! What the capture lacks is no accusation: the same question, asked by different rules.

use std::sync::Arc;

use super::*;
use crate::hop::{Confidence, PartialHead, Party, Role};
use crate::http::PartialWhy;
use crate::tcp::{GapCause, Opening, Side};

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

/// Bytes of a client that the capture lost are words of it: it did not leave for want of a subprotocol, nor without a frame.
#[test]
fn a_client_whose_bytes_are_lost_was_not_silent() {
    let ask = format!("{ASK}\nSec-WebSocket-Protocol: mqtt");
    let sent = format!("{FORWARDED}\nSec-WebSocket-Protocol: mqtt");
    for (ask, sent, cause) in [
        (&*ask, &*sent, Code::SubprotocolNotChosen),
        (ASK, FORWARDED, Code::ClosedRightAfter101),
    ] {
        for lost in [0, 40] {
            let hole = |conn: Conn| {
                let silence = talk(0, 1.7, 1.7);
                let conn = conn.session(silence);
                conn.edit(|c| c.record.connection.to_server.missing_bytes = lost)
            };
            let client = hole(front().ask(ask, 0.5).answer(SWITCHED, 1.7));
            let backend = hole(back().ask(sent, 1.2).answer(SWITCH, 1.6));
            let handshake = ended((client, backend), Party::Client, 3.0);
            let diagnosis = diagnose(&handshake);
            let accused = diagnosis.cause == Some(cause);
            assert_eq!(accused, lost == 0, "{cause}: {}", diagnosis.headline);
        }
    }
}

/// The capture of the client's hop ends before the 101 came through (two hosts, say): the session ran over it all the same, and
/// what ended it may have happened there.
#[test]
fn a_hop_whose_capture_ends_before_the_answer_carried_the_session() {
    let whole = ended(hops(talk(2, 1.7, 10.0)), Party::Proxy, 60_010.0);
    let mut cut = whole.clone();
    let record = Arc::make_mut(&mut cut.hops[0].record);
    record.connection.ended = None;
    record.exchanges[0].response = None;
    record.exchanges[0].session = None;
    let session = cut.session.as_mut().unwrap();
    session.endings.retain(|ending| ending.hop > 0);
    session.hop = 1;
    for (handshake, sure, by) in [
        (whole, Confidence::Likely, Some(Party::Proxy)),
        (cut, Confidence::Guess, None),
    ] {
        let diagnosis = diagnose(&handshake);
        let idle = finding(&diagnosis, Code::IdleTimeout);
        assert_eq!(idle.confidence, sure, "{}", idle.title);
        assert_eq!(diagnosis.ended_by, by, "{}", idle.title);
    }
}

/// Who sends one SYN and gets no answer sends another one a second later: until then the answer may as well not be captured.
#[test]
fn a_single_syn_that_was_not_due_to_be_repeated_is_no_proof() {
    for (syns, answered, sure) in [
        (1, 4.0, Confidence::Guess),
        (1, 1001.0, Confidence::Likely),
        (1, 2001.0, Confidence::Guess),
        (2, 4.0, Confidence::Likely),
    ] {
        let hangs = conn(1, BACK, BACKEND, 1.0).edit(|c| {
            c.record.exchange_count = 0;
            c.record.protocol = crate::hop::Protocol::None;
            c.record.connection.opening = Opening::Unanswered;
            c.record.connection.to_client.frames = 0;
            c.record.connection.syns = syns;
        });
        let client = front().ask(ASK, 0.5).answer(GATEWAY_TIMEOUT, answered);
        let diagnosis = diagnose(&tried(client.body(PAGE), vec![hangs]));
        let silent = finding(&diagnosis, Code::BackendConnectTimeout);
        assert_eq!(silent.confidence, sure, "{syns} SYNs");
    }
}

/// Of a connection of which only the backend's side was captured nobody knows whether a request came.
#[test]
fn a_backend_seen_alone_did_not_close_before_any_request() {
    for (frames, before) in [(3, true), (0, false)] {
        let closed = conn(1, BACK, BACKEND, 1.0)
            .fin(Side::Server, 1.5)
            .edit(|c| {
                c.record.protocol = crate::hop::Protocol::None;
                c.record.connection.opening = Opening::Partial;
                c.record.connection.to_server.frames = frames;
            });
        let client = front().ask(ASK, 0.5).answer(BAD_GATEWAY, 1.7).body(PAGE);
        let diagnosis = diagnose(&tried(client, vec![closed]));
        let early = finding(&diagnosis, Code::BackendClosedEarly);
        let mut shown = early.evidence.iter().map(|one| &one.shows);
        let told = shown.any(|shows| shows.contains("before any request"));
        assert_eq!(told, before, "{frames} frames of the proxy");
    }
}

/// A 400 that nginx passed on is not its answer to a PROXY protocol header: it read what came behind.
#[test]
fn a_400_from_behind_the_proxy_is_no_refusal_of_the_header() {
    let answer = "HTTP/1.1 400 Bad Request\nServer: nginx/1.22.1\nContent-Type: text/plain";
    let cut = PAGE.get(..20).unwrap();
    for (body, lost, refused) in [
        (PAGE, 0, true),
        (b"no such room".as_slice(), 0, false),
        (cut, 60, true),
    ] {
        let conn = front()
            .edit(|c| {
                c.record.proxy_header = Some(crate::hop::ProxyHeader {
                    frame: at(0.4),
                    version: 1,
                    source: None,
                });
            })
            .ask(ASK, 0.5)
            .answer(answer, 1.7)
            .body(body)
            .edit(|c| c.record.connection.to_client.missing_bytes = lost);
        let found = codes(&diagnose(&alone(conn, Role::ClientProxy)).findings);
        let named = found.contains(&Code::ProxyProtocolUnexpected);
        assert_eq!(named, refused, "{found:?}");
    }
}

/// A client that must refuse a 101 may have accepted it: only where its frames are in the capture did it not.
#[test]
fn a_bad_101_is_not_known_to_have_failed_a_client_that_nobody_hears() {
    let bad = SWITCHED.replace(ACCEPT, "AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    for (lost, verdict) in [(0, Verdict::Failed), (40, Verdict::Unclear)] {
        let client = front().ask(ASK, 0.5).answer(&bad, 1.7);
        let client = client.session(talk(0, 1.7, 1.7)).fin(Side::Client, 2.0);
        let client = client.edit(|c| c.record.connection.to_server.missing_bytes = lost);
        let diagnosis = diagnose(&alone(client, Role::ClientProxy));
        assert_eq!(diagnosis.verdict, verdict, "{}", diagnosis.headline);
        finding(&diagnosis, Code::AcceptMismatch);
    }
}

/// What came behind a lost request is lost as well: the server's FIN may have answered the client's.
#[test]
fn a_client_whose_direction_breaks_off_may_have_refused_the_101() {
    for (unseen, verdict) in [(0, Verdict::Ok), (1, Verdict::Unclear)] {
        let client = front().answer(SWITCHED, 1.7).fin(Side::Server, 3.0);
        let client = client.session(talk(0, 1.7, 1.7));
        let client = client.edit(|c| c.record.connection.to_server.unseen_at_end = unseen);
        let backend = back().ask(FORWARDED, 1.2).answer(SWITCH, 1.6);
        let backend = backend.session(talk(0, 1.6, 1.6));
        let diagnosis = diagnose(&through(client, backend));
        assert_eq!(diagnosis.verdict, verdict, "{}", diagnosis.headline);
    }
}

/// nginx asks for permission with the client's fields: seen without the client's hop, that is no upgrade answered with a page.
#[test]
fn a_permission_seen_alone_is_no_page() {
    let asked = FORWARDED.replace("Upgrade: websocket\n", "");
    for (asked, status, verdict) in [
        (&*asked, "204 No Content", Verdict::Unclear),
        (&*asked, "200 OK", Verdict::Failed),
        (FORWARDED, "204 No Content", Verdict::Failed),
    ] {
        let answer = format!("HTTP/1.1 {status}\nServer: x");
        let hop = back().ask(asked, 1.2).answer(&answer, 1.6);
        let diagnosis = diagnose(&alone(hop, Role::ProxyBackend));
        assert_eq!(
            diagnosis.verdict, verdict,
            "{status}: {}",
            diagnosis.headline
        );
    }
}

/// A connect of which the capture stops behind its SYN may have carried the request all the same.
#[test]
fn what_came_of_a_connect_may_be_lost() {
    for (opening, syns, by) in [
        (Opening::Unanswered, 1, AnsweredBy::Unknown),
        (Opening::Unanswered, 2, AnsweredBy::Proxy),
        (Opening::Partial, 1, AnsweredBy::Unknown),
    ] {
        let hangs = conn(1, BACK, BACKEND, 1.0).edit(|c| {
            c.record.exchange_count = 0;
            c.record.protocol = crate::hop::Protocol::None;
            c.record.connection.opening = opening;
            c.record.connection.syns = syns;
        });
        let client = front().ask(ASK, 0.5).answer("HTTP/1.1 404 X", 4.0);
        let diagnosis = diagnose(&tried(client, vec![hangs]));
        assert_eq!(diagnosis.answered_by(), Some(by), "{opening:?} {syns}");
    }
}

/// Bytes that nobody acknowledged for so long were sent again, in frames that the capture lacks.
#[test]
fn bytes_in_vain_may_be_why_a_proxy_closed() {
    for (last, sure) in [(10.0, Confidence::Guess), (59_500.0, Confidence::Likely)] {
        let (client, backend) = hops(talk(2, 1.7, 10.0));
        let client = client.edit(|c| {
            c.record.connection.to_client.unacknowledged = 1_204;
            c.record.connection.to_client.last_data = Some(at(last));
        });
        let mut handshake = ended((client, backend), Party::Proxy, 60_010.0);
        handshake.session.as_mut().unwrap().outstanding = true;
        let diagnosis = diagnose(&handshake);
        let closed = finding(&diagnosis, Code::ProxyClosed);
        assert_eq!(closed.confidence, sure, "{}", closed.title);
    }
}

/// Who ended a session is not known, but that the proxy ended the backend's hop is.
#[test]
fn a_backend_that_was_left_first_did_not_close_the_session() {
    let mut handshake = ended(hops(talk(2, 1.7, 10.0)), Party::Proxy, 12.0);
    handshake.session.as_mut().unwrap().ended_by = None;
    let found = codes(&diagnose(&handshake).findings);
    assert!(found.contains(&Code::ClientLeft), "{found:?}");
    assert!(
        !found.contains(&Code::BackendClosedWithoutClose),
        "{found:?}"
    );
}

/// A client that never got what it was sent may be one that a loss had cut off before it reset the session.
#[test]
fn a_client_that_got_nothing_for_long_did_perhaps_not_end_it() {
    use Confidence::{Certain, Likely};
    for (what, unacknowledged, last, again, sure) in [
        ("all was acknowledged", 0, 10.0, None, Certain),
        ("bytes for long", 1_204, 10.0, None, Likely),
        ("bytes on their way", 1_204, 1_499.0, None, Certain),
        ("bytes sent again", 1_204, 1_499.0, Some(1_499.5), Likely),
    ] {
        let (client, backend) = hops(talk(2, 1.7, 10.0));
        let client = client.rst(Side::Client, 1_500.0).edit(|c| {
            let stream = &mut c.record.connection.to_client;
            stream.unacknowledged = unacknowledged;
            stream.last_data = Some(at(last));
            stream.last_retransmission = again.map(at);
        });
        let both = through(client, backend.fin(Side::Client, 1_500.2));
        let diagnosis = diagnose(&with_session(both, Some(Party::Client)));
        let reset = finding(&diagnosis, Code::ClientReset);
        assert_eq!(reset.confidence, sure, "{what}");
    }
}
