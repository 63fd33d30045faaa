//! The PROXY protocol: a header that one end sends and the other does not expect, or the other way round.

use super::Code;
use super::answerer::is_of_application;
use super::draft::Draft;
use super::story::Story;
use super::text::{duration, preview};
use super::upstream::hung_up;
use super::view::{HopView, RecordView};
use crate::hop::{Confidence, Hop, Record, Reply};
use crate::tcp::{Direction, EndingHow, Side};

/// How soon nginx closes a connection that does not begin with the header it expects.
const AT_ONCE_NANOS: i64 = 500_000_000;

pub(super) fn rules(story: &Story<'_>, out: &mut Vec<Draft>) {
    if story.is_up() {
        return;
    }
    out.extend(unexpected(story));
    for hop in story.inner_hops().filter(|hop| !hop.retried) {
        out.extend(to_backend(story, hop));
    }
    out.extend(missing(story, out));
}

/// The header went to a listener that took it for a request line.
fn unexpected(story: &Story<'_>) -> Option<Draft> {
    let record = &story.outer.record;
    let header = record.proxy_header.as_ref()?;
    let answer = story.answer()?;
    // nginx answers 400 to the header itself, with a page of its own: what it passes on it had read well.
    let passed_on = story.outer.answered_by_nginx(None) && is_of_application(story, answer);
    if answer.status != 400 || !story.is_alone() || passed_on {
        return None;
    }
    Some(
        Draft::new(if story.backend_only() {
            Code::ProxyProtocolToBackend
        } else {
            Code::ProxyProtocolUnexpected
        })
        .sure(Confidence::Likely)
        .on(record)
        .title(format!(
            "{} got a PROXY protocol header (version {}) and answered 400",
            record.connection.server, header.version
        ))
        .saw(
            header.frame,
            format!(
                "PROXY protocol version {} before the request",
                header.version
            ),
        )
        .saw_answer(answer),
    )
}

fn to_backend(story: &Story<'_>, hop: &Hop) -> Option<Draft> {
    let record = &hop.record;
    let header = record.proxy_header.as_ref()?;
    let exchange = hop.exchange();
    let refused = exchange.response.as_ref().filter(|head| head.status == 400);
    let closed = record
        .end_by(Side::Server)
        .filter(|_| !matches!(hop.reply(), Reply::Head(_) | Reply::Unseen));
    if refused.is_none() && closed.is_none() {
        return None;
    }
    Some(
        Draft::new(Code::ProxyProtocolToBackend)
            .sure(Confidence::Likely)
            .on(record)
            .title(format!(
                "{} sent a PROXY protocol header to {}, which refused it",
                story.proxy_of(hop),
                record.connection.server
            ))
            .saw(
                header.frame,
                format!("PROXY protocol version {}", header.version),
            )
            .may_saw_answer(refused)
            .may_saw(closed.map(|end| end.frame), "the backend closes"),
    )
}

/// A sound request, closed at once with FIN and no byte.
fn missing(story: &Story<'_>, out: &[Draft]) -> Option<Draft> {
    let record = &story.outer.record;
    let (request, end) = hung_up(story, out)?;
    let waited = end.frame.at.nanos_since(request.span.last.at);
    let at_once = end.how == EndingHow::Fin && (0..=AT_ONCE_NANOS).contains(&waited);
    // Only a listener that was sent none can miss it, and of one direction alone nobody knows that it said nothing.
    let unheaded = record.proxy_header.is_none() && !record.connection.is_one_sided();
    if !at_once || !unheaded || !story.ends_at_front() {
        return None;
    }
    Some(
        Draft::new(Code::ProxyProtocolMissing)
            .sure(Confidence::Guess)
            .on(record)
            .title(format!(
                "{} closed {} after the request, without a byte",
                record.connection.server,
                duration(waited)
            ))
            .headline(format!(
                "{} closed {} after the request without a byte, as `return 444` does, or a listener that expects a PROXY protocol header",
                story.front(),
                duration(waited)
            ))
            .saw_request(request)
            .saw(end.frame, "FIN from the server, 0 bytes sent"),
    )
}

/// A connection in no handshake that begins with the header and is refused.
pub(super) fn of_connection(record: &Record) -> Option<Draft> {
    let header = record.proxy_header.as_ref()?;
    let refused = record
        .ordinary
        .first()
        .and_then(|exchange| exchange.response)
        .filter(|(_, status)| *status == 400)
        .map(|(frame, _)| frame);
    let raw = record
        .not_http
        .iter()
        .find(|(direction, ..)| *direction == Direction::ToClient);
    if refused.is_none() && raw.is_none() {
        return None;
    }
    Some(
        Draft::new(Code::ProxyProtocolUnexpected)
            .sure(Confidence::Likely)
            .on(record)
            .title(format!(
                "{} got a PROXY protocol header (version {}) and refused it",
                record.connection.server, header.version
            ))
            .saw(
                header.frame,
                format!("PROXY protocol version {}", header.version),
            )
            .may_saw(refused, "status 400")
            .may_saw(
                raw.map(|(_, frame, _)| *frame),
                raw.map(|(_, _, bytes)| format!("the answer begins with {}", preview(bytes)))
                    .unwrap_or_default(),
            ),
    )
}
