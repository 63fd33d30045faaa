//! Close frames and what they say, and frames that break a rule.

use super::*;
use crate::hop::{Party, Role};
use crate::tcp::{Direction, Side};
use crate::websocket::{CloseFrame, FrameFault, Rule};

#[test]
fn close_codes() {
    for (code, severity) in [
        (1002, "error"),
        (1008, "error"),
        (1009, "error"),
        (1011, "error"),
        (1012, "warning"),
        (1013, "warning"),
        (3000, "error"),
        (4001, "warning"),
    ] {
        let mut facts = talk(2, 1.7, 100.0);
        facts.closes = vec![
            close(Side::Server, Some(code), "because", 110.0),
            close(Side::Client, Some(code), "because", 110.5),
        ];
        let handshake = ended(hops(facts), Party::Backend, 111.0);
        let diagnosis = check(
            &code.to_string(),
            &handshake,
            Verdict::Broken,
            Code::ClosedWithError,
            &[&format!("{severity} closed-with-error")],
        );
        assert!(diagnosis.headline.starts_with(&format!(
            "The backend 10.20.0.11:8080 closed the session with {code} ("
        )));
    }
}

/// What the snaplen cut off stands in the answer, or on the other hop.
#[test]
fn a_close_code_that_was_cut_off_is_found_elsewhere() {
    let cut = |frame: CloseFrame| CloseFrame {
        code: None,
        reason: "".into(),
        cut: true,
        ..frame
    };
    let closes = [
        close(Side::Server, Some(1011), "oops", 110.0),
        close(Side::Client, Some(1011), "", 110.5),
    ];
    let mut facts = talk(2, 1.7, 100.0);
    facts.closes = vec![cut(closes[0].clone()), closes[1].clone()];
    let (mut client, backend) = hops(facts.clone());
    let answer = diagnose(&ended(
        (client.clone(), backend.clone()),
        Party::Backend,
        111.0,
    ));
    assert_eq!(answer.cause, Some(Code::ClosedWithError));
    let found = finding(&answer, Code::ClosedWithError);
    assert!(
        found.title.ends_with("with 1011 (internal error)"),
        "{}",
        found.title
    );
    let shows: Vec<_> = found
        .evidence
        .iter()
        .map(|one| one.shows.as_str())
        .collect();
    assert_eq!(
        shows[shows.len() - 2..],
        [
            "Close from the backend 10.20.0.11:8080, cut off before its code",
            "Close 1011 from the client 192.168.50.23"
        ]
    );
    facts.closes = closes.to_vec();
    client = hops(facts).0;
    let other_hop = diagnose(&ended((client, backend), Party::Backend, 111.0));
    let found = finding(&other_hop, Code::ClosedWithError);
    assert!(
        found.title.ends_with("1011 (internal error): \"oops\""),
        "{}",
        found.title
    );
}

/// Of two Close frames the one that was captured may be the answer.
#[test]
fn a_close_frame_seen_one_way_accuses_nobody() {
    let mut facts = talk(2, 1.7, 100.0);
    facts.closes = vec![close(Side::Client, Some(1011), "gone", 110.0)];
    for (to_client, headline, detail) in [
        (
            3,
            "The client 192.168.50.23 closed the session with 1011",
            "did not answer",
        ),
        (
            0,
            "The session was closed with 1011",
            "is not in the capture",
        ),
    ] {
        let both = |conn: Conn| conn.fin(Side::Client, 111.0).fin(Side::Server, 112.0);
        let client = both(hops(facts.clone()).0).edit(|c| {
            c.record.connection.to_client.frames = to_client;
        });
        let diagnosis = diagnose(&with_session(alone(client, Role::ClientProxy), None));
        assert_eq!(diagnosis.cause, Some(Code::ClosedWithError));
        assert!(
            diagnosis.headline.starts_with(headline),
            "{}",
            diagnosis.headline
        );
        let closed = finding(&diagnosis, Code::ClosedWithError);
        assert!(closed.detail.contains(detail), "{}", closed.detail);
    }
}

#[test]
fn a_close_frame_may_be_in_a_hole() {
    let mut facts = talk(2, 1.7, 10.0);
    facts.lost_sync = Some(Direction::ToClient);
    let handshake = ended(hops(facts), Party::Backend, 400.0);
    let diagnosis = diagnose(&handshake);
    assert_eq!(found(&diagnosis), ["warning capture-gap"]);
    assert_eq!(diagnosis.verdict, Verdict::Ok);
}

#[test]
fn frames_that_break_a_rule() {
    let mut facts = talk(2, 1.7, 100.0);
    facts.faults = vec![FrameFault {
        rule: Rule::Unmasked,
        by: Side::Client,
        frame: at(100.0),
        count: 1,
        value: 0,
    }];
    let (client, backend) = hops(facts.clone());
    let tolerated = diagnose(&with_session(through(client, backend), None));
    assert_eq!(found(&tolerated), ["warning frame-fault"]);
    assert_eq!(tolerated.verdict, Verdict::Ok);

    facts.closes = vec![close(Side::Server, Some(1002), "", 101.0)];
    let (client, backend) = hops(facts);
    let punished = ended((client, backend), Party::Backend, 101.5);
    check(
        "1002",
        &punished,
        Verdict::Broken,
        Code::FrameFault,
        &["error closed-with-error", "error frame-fault"],
    );
}

#[test]
fn compression_that_was_not_agreed_on() {
    let fault = FrameFault {
        rule: Rule::Rsv1,
        by: Side::Server,
        frame: at(100.0),
        count: 3,
        value: 0,
    };
    let mut outer = talk(2, 1.7, 100.0);
    outer.faults = vec![fault];
    let mut inner = talk(2, 1.7, 100.0);
    inner.deflate = true;
    let (client, backend) = hops(talk(0, 0.0, 0.0));
    let handshake = with_session(through(client.session(outer), backend.session(inner)), None);
    let diagnosis = check_only(
        "deflate",
        &handshake,
        Verdict::Broken,
        Code::CompressionNotNegotiated,
    );
    assert!(diagnosis.findings[0].detail.contains("the proxy edits"));
}
