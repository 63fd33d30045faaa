//! WebSocket frames that break a rule, and compression on a hop that did not agree on it.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::draft::Draft;
use super::story::Story;
use super::text::{capital, count, short};
use super::{Code, Severity};
use crate::hop::Hop;
use crate::tcp::Side;
use crate::websocket::{FrameFault, Rule};

pub(super) fn rules(story: &Story<'_>, out: &mut Vec<Draft>) {
    let mut told: SmallVec<[(Rule, Side); 4]> = SmallVec::new();
    for hop in &story.handshake.hops {
        let Some(session) = hop.session() else {
            continue;
        };
        for fault in &session.faults {
            // nginx passes bytes as they are: the same fault on the next hop is the same frame.
            if told.contains(&(fault.rule, fault.by)) {
                continue;
            }
            told.push((fault.rule, fault.by));
            if fault.rule == Rule::Rsv1 && !session.deflate {
                out.push(compression(story, hop, fault));
            } else {
                out.push(broken_rule(story, hop, fault));
            }
        }
    }
}

/// Who sent it, seen from outside.
fn sender(story: &Story<'_>, by: Side) -> String {
    match by {
        Side::Client => format!("the client {}", story.outer.record.connection.client.ip()),
        Side::Server => format!("the backend {}", story.inner.record.connection.server),
    }
}

/// Whether the other side ended the session over it: a Close frame with an error code, after the fault.
fn punished(story: &Story<'_>, fault: &FrameFault) -> bool {
    story
        .handshake
        .hops
        .iter()
        .filter_map(Hop::session)
        .flat_map(|session| &session.closes)
        .any(|close| {
            close.by != fault.by
                && matches!(close.code, Some(1002 | 1003 | 1007 | 1008 | 1009 | 1011))
                && story.time(close.frame) >= story.time(fault.frame)
        })
}

/// Whether the other side ended the connection over it without a Close frame, at once.
fn dropped(story: &Story<'_>, hop: &Hop, fault: &FrameFault) -> bool {
    const AT_ONCE_NANOS: i64 = 1_000_000_000;
    hop.record.connection.ended.is_some_and(|end| {
        let after = story.time(end.frame).nanos_since(story.time(fault.frame));
        end.by != fault.by && (0..=AT_ONCE_NANOS).contains(&after)
    }) && hop
        .session()
        .is_some_and(|session| session.closes.is_empty())
}

/// Whether what was sent is no frame, which no peer reads on behind.
const fn is_no_frame(rule: Rule) -> bool {
    matches!(rule, Rule::NotWebSocket | Rule::HttpResponse)
}

/// Whether the other side had said before that the session is over.
fn was_over(story: &Story<'_>, fault: &FrameFault) -> bool {
    let sessions = story.handshake.hops.iter().filter_map(Hop::session);
    let mut closes = sessions.flat_map(|session| &session.closes);
    closes.any(|close| close.by != fault.by && story.time(close.frame) <= story.time(fault.frame))
}

/// What to do about a response in a session.
const AROUND_THE_APPLICATION: &str = "Read the backend's log of that moment. The web server around the application wrote it: an error of the handler, a handler that returned without closing, or a worker that ran into its time limit (gunicorn's sync worker after 30 s: choose one made for WebSocket).";

fn broken_rule(story: &Story<'_>, hop: &Hop, fault: &FrameFault) -> Draft {
    let who = sender(story, fault.by);
    let what = describe(fault);
    let fatal = is_no_frame(fault.rule) && !was_over(story, fault)
        || punished(story, fault)
        || dropped(story, hop, fault);
    let times = count(usize::try_from(fault.count).unwrap_or(usize::MAX), "time");
    let title = [&*capital(&who), " sent ", &what].concat();
    let mut draft = Draft::new(Code::FrameFault);
    if fatal {
        draft = draft.headline(format!("{title}, which ended the session"));
    }
    if fault.rule == Rule::HttpResponse {
        draft = draft.fix(AROUND_THE_APPLICATION);
    }
    draft
        .bad(if fatal {
            Severity::Error
        } else if fault.rule == Rule::DataAfterClose {
            // Whoever got the Close frame discards them (RFC 6455 1.4).
            Severity::Info
        } else {
            Severity::Warning
        })
        .on(&hop.record)
        .title(title)
        .detail([source(fault.rule), ", seen ", &times, "."].concat())
        .saw(fault.frame, [&*what, " from ", &who].concat())
}

fn compression(story: &Story<'_>, hop: &Hop, fault: &FrameFault) -> Draft {
    let who = sender(story, fault.by);
    let agreed_elsewhere = story
        .handshake
        .hops
        .iter()
        .find(|other| other.session().is_some_and(|session| session.deflate));
    let detail = match agreed_elsewhere {
        Some(other) => format!(
            "permessage-deflate was agreed on between {} and {}, and not between {} and {}: the proxy edits Sec-WebSocket-Extensions.",
            other.record.connection.client,
            other.record.connection.server,
            hop.record.connection.client,
            hop.record.connection.server
        ),
        None => "permessage-deflate was not agreed on.".to_owned(),
    };
    let answer = hop.exchange().response.as_ref();
    Draft::new(Code::CompressionNotNegotiated)
        .on(&hop.record)
        .title(format!(
            "{} sent compressed frames, which was not agreed on with {}",
            capital(&who),
            match fault.by {
                Side::Client => hop.record.connection.server,
                Side::Server => hop.record.connection.client,
            }
        ))
        .detail(detail)
        .saw(fault.frame, format!("RSV1 set in a frame from {who}"))
        .may_saw(
            answer.map(|head| head.span.first),
            answer.map_or_else(String::new, |head| {
                head.fields
                    .combined("sec-websocket-extensions")
                    .map_or_else(
                        || "101 without Sec-WebSocket-Extensions".to_owned(),
                        |value| format!("101 with Sec-WebSocket-Extensions: {}", short(&value)),
                    )
            }),
        )
}

/// What was sent, as the object of a sentence.
fn describe(fault: &FrameFault) -> Cow<'static, str> {
    let value = fault.value;
    match fault.rule {
        Rule::Unmasked => "a frame without a mask".into(),
        Rule::Masked => "a masked frame".into(),
        Rule::Rsv1 => "a frame with RSV1 where it has no meaning".into(),
        Rule::ReservedBits => "a frame with a reserved bit set".into(),
        Rule::ReservedOpcode => format!("a frame with the undefined opcode {value}").into(),
        Rule::ControlTooLong => format!("a control frame of {value} bytes (at most 125)").into(),
        Rule::ControlFragmented => "a fragmented control frame".into(),
        Rule::ContinuationWithoutStart => "a continuation without a message to continue".into(),
        Rule::StartInsideMessage => "a new message inside a fragmented one".into(),
        Rule::LengthNotMinimal => format!("a length ({value}) not in its shortest form").into(),
        Rule::LengthTooLarge => "a length with its highest bit set".into(),
        Rule::TextNotUtf8 => "text that is no UTF-8".into(),
        Rule::ReasonNotUtf8 => "a close reason that is no UTF-8".into(),
        Rule::ClosePayloadTooShort => "a Close frame with a body of one byte".into(),
        Rule::CloseCode => format!("the close code {value}, which must not be sent").into(),
        Rule::DataAfterClose => "frames after its Close frame".into(),
        Rule::DoesNotInflate => "a compressed message that does not inflate".into(),
        Rule::WindowExceeded => format!(
            "a compressed message that refers {value} bytes back, beyond the window agreed on"
        )
        .into(),
        Rule::NotWebSocket => "bytes after the 101 that are no WebSocket frames".into(),
        Rule::HttpResponse if value == 0 => "an HTTP response instead of a WebSocket frame".into(),
        Rule::HttpResponse => {
            format!("an HTTP response ({value}) instead of a WebSocket frame").into()
        }
    }
}

/// The rule that was broken.
const fn source(rule: Rule) -> &'static str {
    match rule {
        Rule::Unmasked | Rule::Masked => "RFC 6455 5.1: clients mask, servers do not",
        Rule::Rsv1 => {
            "RFC 6455 5.2, RFC 7692 6: RSV1 marks the first frame of a compressed message"
        }
        Rule::ReservedBits => "RFC 6455 5.2: RSV2 and RSV3 must be 0",
        Rule::ReservedOpcode => "RFC 6455 5.2: opcodes 3 to 7 and 11 to 15 are reserved",
        Rule::ControlTooLong => "RFC 6455 5.5: control frames carry at most 125 bytes",
        Rule::ControlFragmented => "RFC 6455 5.5: control frames must not be fragmented",
        Rule::ContinuationWithoutStart | Rule::StartInsideMessage => {
            "RFC 6455 5.4: fragments of a message follow each other"
        }
        Rule::LengthNotMinimal => "RFC 6455 5.2: the shortest form must be used",
        Rule::LengthTooLarge => "RFC 6455 5.2: the highest bit must be 0",
        Rule::TextNotUtf8 => "RFC 6455 8.1: text must be UTF-8",
        Rule::ReasonNotUtf8 | Rule::ClosePayloadTooShort => {
            "RFC 6455 5.5.1: a Close body is a code and a UTF-8 reason"
        }
        Rule::CloseCode => {
            "RFC 6455 7.4: 1004, 1005, 1006, 1015 and undefined codes must not be sent"
        }
        Rule::DataAfterClose => "RFC 6455 5.5.1: nothing may follow a Close frame",
        Rule::DoesNotInflate => {
            "RFC 7692 7.2.2: with 00 00 ff ff appended a compressed message is DEFLATE (RFC 1951)"
        }
        Rule::WindowExceeded => {
            "RFC 7692 7.1.2: no sender uses a larger window than server_max_window_bits or client_max_window_bits allow"
        }
        Rule::NotWebSocket | Rule::HttpResponse => {
            "RFC 6455 5.2: after a 101 there are frames and nothing else"
        }
    }
}
