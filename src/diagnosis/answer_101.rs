//! The 101 itself: what a client must check before it may use the session (RFC 6455 4.1).

use super::catalogue::RETURNED_101;
use super::draft::{Draft, has_any};
use super::negotiation;
use super::story::{Outcome, Story};
use super::text::{short, shows_response};
use super::view::HopView;
use super::{Code, Severity};
use crate::hop::{AcceptCheck, Hop};
use crate::http::{Fields, ResponseHead, has_item, is_named};
use crate::tcp::Side;
use crate::websocket::Accept;

/// How soon after a 101 a client that refuses it leaves.
const AT_ONCE_NANOS: i64 = 1_000_000_000;

/// What is wrong with a hop's 101, so that a client must refuse it: which rule, and what was seen.
pub(super) fn defects(hop: &Hop) -> Vec<(Code, String)> {
    let answer = hop.exchange().response.as_ref();
    match answer.filter(|head| head.status == 101) {
        Some(answer) if !is_plain(hop, &answer.fields) => each_defect(hop, answer),
        _ => Vec::new(),
    }
}

/// Whether a 101 is as nearly all are, at one look: the right Accept, no more of Upgrade and Connection than it takes, and
/// nothing of what may be chosen.
fn is_plain(hop: &Hop, answer: &Fields) -> bool {
    let request = hop.exchange().request.as_ref();
    let offers = request.is_some_and(|head| head.fields.count("Sec-WebSocket-Protocol") > 0);
    let (mut accepts, mut upgrades, mut others, mut connected) = (0, 0, 0, false);
    for (name, value) in answer.bytes() {
        let is = |usual: &str| is_named(name, usual);
        match name.len() {
            7 if is("Upgrade") && value.eq_ignore_ascii_case(b"websocket") => upgrades += 1,
            7 if is("Upgrade") => others += 1,
            10 if is("Connection") => connected |= has_item(value, "upgrade"),
            20 if is("Sec-WebSocket-Accept") => accepts += 1,
            22 if is("Sec-WebSocket-Protocol") => others += 1,
            24 if is("Sec-WebSocket-Extensions") => others += 1,
            _ => {}
        }
    }
    hop.accept == AcceptCheck::Valid
        && !offers
        && (accepts, upgrades, others) == (1, 1, 0)
        && connected
}

fn each_defect(hop: &Hop, answer: &ResponseHead) -> Vec<(Code, String)> {
    let exchange = hop.exchange();
    let mut found = Vec::new();
    match hop.accept {
        AcceptCheck::Mismatch => found.push((
            Code::AcceptMismatch,
            format!(
                "Sec-WebSocket-Accept is {}, the key demands {}",
                short(
                    &answer
                        .fields
                        .first("sec-websocket-accept")
                        .unwrap_or_default()
                ),
                hop.accept_expected
                    .as_ref()
                    .map_or("another", Accept::as_str),
            ),
        )),
        AcceptCheck::Missing => {
            found.push((
                Code::AcceptMissing,
                "101 without Sec-WebSocket-Accept".to_owned(),
            ));
        }
        AcceptCheck::Valid | AcceptCheck::NotApplicable | AcceptCheck::Unchecked => {}
    }
    // RFC 6455 11.3.3: not more than once.
    let accepts = answer.fields.count("sec-websocket-accept");
    if accepts > 1 && hop.accept != AcceptCheck::Mismatch {
        found.push((
            Code::AcceptMismatch,
            format!("101 with {accepts} Sec-WebSocket-Accept fields"),
        ));
    }
    match answer.fields.combined("upgrade") {
        None => found.push((Code::AnswerUpgradeMissing, "101 without Upgrade".to_owned())),
        // RFC 6455 4.1: this value and no list; RFC 9110 7.8 allows layers that no client asks for.
        Some(value) if !value.trim().eq_ignore_ascii_case("websocket") => found.push((
            Code::AnswerUpgradeWrong,
            format!("101 with Upgrade: {}", short(&value)),
        )),
        Some(_) => {}
    }
    if !answer.fields.has_token("connection", "upgrade") {
        found.push((
            Code::AnswerConnectionMissing,
            "101 without `Connection: upgrade`".to_owned(),
        ));
    }
    if let Some(request) = &exchange.request {
        found.extend(negotiation::faults(&request.fields, &answer.fields));
        if left_for_want_of_subprotocol(hop) {
            found.push((
                Code::SubprotocolNotChosen,
                format!(
                    "offered {}, the 101 names none",
                    short(
                        &request
                            .fields
                            .combined("sec-websocket-protocol")
                            .unwrap_or_default()
                    )
                ),
            ));
        }
    }
    found
}

/// Subprotocols offered, none chosen, and the client left at once without a frame.
fn left_for_want_of_subprotocol(hop: &Hop) -> bool {
    let exchange = hop.exchange();
    let (Some(request), Some(answer), Some(end)) = (
        &exchange.request,
        &exchange.response,
        hop.record.connection.ended,
    ) else {
        return false;
    };
    // Frames that the capture lacks tell that it wanted the session all the same.
    let wordless =
        hop.hears(Side::Client) && hop.session().is_some_and(|session| !session.client_spoke());
    request
        .fields
        .list("sec-websocket-protocol")
        .next()
        .is_some()
        && answer
            .fields
            .list("sec-websocket-protocol")
            .next()
            .is_none()
        && end.by == Side::Client
        && wordless
        && end.frame.at.nanos_since(answer.span.last.at) <= AT_ONCE_NANOS
}

pub(super) fn rules(story: &Story<'_>, out: &mut Vec<Draft>) {
    let hop = story.outer;
    let Some(answer) = story.answer().filter(|answer| answer.status == 101) else {
        return;
    };
    let (tolerated, taken) = match story.outcome {
        Outcome::BadAnswer(_) => (false, ""),
        Outcome::Up => (true, " The client used the session nevertheless."),
        Outcome::Unknown => (true, " What the client made of it is not in the capture."),
        _ => return,
    };
    let request = hop.exchange().request.as_ref();
    let end = hop
        .record
        .connection
        .ended
        .filter(|end| end.by == Side::Client);
    for (code, shows) in &story.defects {
        let code = *code;
        if explained(code, out) {
            continue;
        }
        let title = match code {
            Code::SubprotocolNotChosen => format!("The 101 chooses no subprotocol: {shows}"),
            _ => format!("The answer of {} is not valid: {shows}", story.front()),
        };
        let left = if tolerated {
            taken
        } else if end.is_some() {
            " The client closed without sending a message."
        } else {
            ""
        };
        let source = source(story, code);
        let mut draft = Draft::new(code)
            .on(&hop.record)
            .title(title)
            .headline(format!(
                "{source} answered 101 that the client must refuse: {shows}"
            ))
            .detail(format!(
                "{} {source} answered so.{left}",
                code.entry().meaning
            ))
            .may_saw_request(request)
            .saw(
                answer.span.first,
                format!("{}: {shows}", shows_response(answer)),
            )
            .may_saw(end.map(|end| end.frame), "the client closes");
        if is_returned(story, answer) {
            draft = draft.told(&RETURNED_101);
        }
        if let Some(inner) = story.inner.exchange().response.as_ref()
            && !std::ptr::eq(story.inner, hop)
        {
            draft = draft.on(&story.inner.record).saw_answer(inner);
        }
        out.push(if tolerated {
            draft.bad(Severity::Warning)
        } else {
            draft
        });
    }
}

/// Whether nginx made a 101 of its own, for which it knows no reason phrase: one that it passes on has the backend's, and its
/// fields.
fn is_returned(story: &Story<'_>, answer: &ResponseHead) -> bool {
    let fields = &answer.fields;
    let bare = ["upgrade", "sec-websocket-accept"].iter();
    std::ptr::eq(story.inner, story.outer)
        && story.outer.answered_by_nginx(None)
        && answer.reason().is_empty()
        && bare.into_iter().all(|name| fields.count(name) == 0)
}

/// Whether a finding about the way there already says why this is so.
fn explained(code: Code, out: &[Draft]) -> bool {
    let by: &[Code] = match code {
        Code::AcceptMismatch => &[Code::KeyRewritten],
        Code::AcceptMissing => &[Code::AcceptNotReturned, Code::KeyNotForwarded],
        Code::AnswerUpgradeMissing => &[Code::UpgradeNotReturned],
        Code::SubprotocolNotChosen => &[Code::SubprotocolNotForwarded],
        _ => &[],
    };
    has_any(out, by)
}

/// Who made the fault: the backend, if its own answer has it as well.
fn source(story: &Story<'_>, code: Code) -> String {
    let inner = story.inner;
    if !std::ptr::eq(inner, story.outer) && defects(inner).iter().any(|(other, _)| *other == code) {
        return inner.record.connection.server.to_string();
    }
    story.front()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::testkit::{ACCEPT, KEY, front};
    use crate::hop::Role;

    /// Every combination of what a 101 may have of each field, against requests that offer something or nothing.
    #[test]
    fn a_plain_answer_has_no_defect() {
        let accept = format!("Sec-WebSocket-Accept: {ACCEPT}\n");
        let accepts = [
            String::new(),
            accept.clone(),
            "Sec-WebSocket-Accept: x\n".to_owned(),
            accept.repeat(2),
        ];
        let upgrades = [
            "",
            "Upgrade: websocket\n",
            "upgrade: WebSocket\n",
            "Upgrade: websocket, h2c\n",
            "Upgrade: websocket\nUpgrade: websocket\n",
        ];
        let connections = [
            "",
            "Connection: Upgrade\n",
            "CONNECTION: keep-alive, upgrade\n",
            "Connection: close\n",
            "Connection: close\nConnection: upgrade\n",
        ];
        let chosen = [
            "",
            "Sec-WebSocket-Protocol: chat\n",
            "Sec-WebSocket-Protocol: \n",
            "Sec-WebSocket-Extensions: permessage-deflate\n",
        ];
        let offered = [
            "",
            "Sec-WebSocket-Protocol: chat\n",
            "Sec-WebSocket-Extensions: permessage-deflate\n",
        ];
        let mut plain = 0;
        for offer in offered {
            let asked = format!("GET / HTTP/1.1\nHost: a\nSec-WebSocket-Key: {KEY}\n{offer}");
            for accept in &accepts {
                for upgrade in upgrades {
                    for connection in connections {
                        for choice in chosen {
                            let told =
                                format!("HTTP/1.1 101 x\n{accept}{upgrade}{connection}{choice}");
                            let conn = front().ask(&asked, 1.0).answer(&told, 2.0);
                            let hop = conn.fin(Side::Client, 3.0).hop(Role::Direct);
                            let answer = hop.exchange().response.as_ref();
                            let answer = answer.filter(|head| is_plain(&hop, &head.fields));
                            let defects = answer.map(|answer| each_defect(&hop, answer));
                            assert!(defects.is_none_or(|defects| defects.is_empty()), "{told}");
                            plain += usize::from(answer.is_some());
                        }
                    }
                }
            }
        }
        // One Accept, two spellings of Upgrade, three of Connection, no choice, two requests that offer no subprotocol.
        assert_eq!(plain, 12);
    }
}
