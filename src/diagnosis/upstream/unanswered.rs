//! Hops whose request got no usable answer.

use super::{HEAD_MAY_EXCEED, so_the_client_got, with_answer};
use crate::capture::FrameRef;
use crate::diagnosis::Code;
use crate::diagnosis::catalogue::BACKEND_SPEAKS_H2;
use crate::diagnosis::draft::Draft;
use crate::diagnosis::http2::BEGINS_WITH_SETTINGS;
use crate::diagnosis::program::Program;
use crate::diagnosis::story::Story;
use crate::diagnosis::text::{asked_for, duration, list, path, preview, short, shows_response};
use crate::diagnosis::tls;
use crate::diagnosis::view::{RecordView, RequestView};
use crate::hop::{Confidence, Hop, Reply};
use crate::http::{HeadFault, PartialWhy, RequestHead, ResponseHead};
use crate::http2::is_server_preface;
use crate::tcp::{Ending, EndingHow, Side};

/// A proxy that gives up sooner than this has not waited at all.
const NO_TIME_NANOS: i64 = 50_000_000;

/// A hop whose request got no usable answer.
pub(super) fn of_hop(story: &Story<'_>, hop: &Hop) -> Option<Draft> {
    let exchange = hop.exchange();
    let request = exchange.request.as_ref()?;
    let record = &hop.record;
    let backend = record.connection.server;
    // Nearly all hops are well: their texts are not made.
    let draft = |code: Code, what: &str| {
        let proxy = story.proxy_of(hop);
        let so = so_the_client_got(story);
        with_answer(
            story,
            Draft::new(code)
                .on(record)
                .upstream(backend)
                .title(format!("{backend} {what}"))
                .headline(format!("{backend} {what} to {proxy}{so}"))
                .saw_request(request),
        )
    };
    if let Some((frame, bytes)) = &exchange.not_http {
        return Some(foreign(story, hop, (*frame, bytes), draft));
    }
    if let Some(draft) = refused_head(story, hop, draft) {
        return Some(draft);
    }
    match hop.reply() {
        Reply::Head(answer) => too_late(story, hop, request, answer, draft),
        Reply::Part(_) | Reply::Nothing => broke_off(story, hop, request, draft),
        Reply::Status(..) | Reply::Foreign(..) | Reply::Unseen => None,
    }
}

/// What came is no HTTP/1.
fn foreign(
    story: &Story<'_>,
    hop: &Hop,
    (frame, bytes): (FrameRef, &[u8]),
    draft: impl Fn(Code, &str) -> Draft,
) -> Draft {
    if tls::is_tls_alert(bytes) {
        return tls::plain_to_tls_backend(story, hop, frame);
    }
    if is_server_preface(bytes) {
        return draft(Code::BackendInvalidResponse, "answered with HTTP/2")
            .detail(BEGINS_WITH_SETTINGS)
            .told(&BACKEND_SPEAKS_H2)
            .saw(frame, "the answer begins with a SETTINGS frame");
    }
    draft(
        Code::BackendInvalidResponse,
        "sent an answer that is no HTTP",
    )
    .saw(frame, format!("the answer begins with {}", preview(bytes)))
}

/// A head that came and that the proxy could not use.
fn refused_head(
    story: &Story<'_>,
    hop: &Hop,
    draft: impl Fn(Code, &str) -> Draft,
) -> Option<Draft> {
    let exchange = hop.exchange();
    // Of what it made another answer than 502, or passed on, the proxy could read.
    let unusable = |answer: &&ResponseHead| story.status() == Some(502) && answer.status != 502;
    let refused = exchange.response.as_ref().filter(unusable);
    if let Some(answer) = refused.filter(|answer| !answer.faults.is_empty()) {
        return Some(
            draft(
                Code::BackendInvalidResponse,
                "sent a response head that is not valid",
            )
            .sure(Confidence::Likely)
            .detail(fault_text(answer))
            .saw_answer(answer),
        );
    }
    if let Some((frame, bytes, sure)) = head_too_big(story, hop, refused) {
        return Some(
            draft(
                Code::BackendHeaderTooBig,
                "sent a response head that is too big",
            )
            .sure(sure)
            .detail(format!(
                "{bytes} bytes of a response head, and the proxy could not use them."
            ))
            .saw(frame, format!("{bytes} bytes of a response head")),
        );
    }
    None
}

/// The answer came when the proxy had given up: the client got a 504 instead.
fn too_late(
    story: &Story<'_>,
    hop: &Hop,
    request: &RequestHead,
    answer: &ResponseHead,
    draft: impl Fn(Code, &str) -> Draft,
) -> Option<Draft> {
    let end = hop.record.end_by(Side::Client)?;
    if story.status() != Some(504) || answer.status == 504 || end.frame >= answer.span.first {
        return None;
    }
    let late = duration(answer.span.first.at.nanos_since(end.frame.at));
    let draft = timed_out(story, hop, request, end, draft);
    Some(draft.saw(
        answer.span.first,
        format!("{}, {late} too late", shows_response(answer)),
    ))
}

/// The proxy waited for the backend in vain, or did not wait at all.
fn timed_out(
    story: &Story<'_>,
    hop: &Hop,
    request: &RequestHead,
    end: Ending,
    draft: impl Fn(Code, &str) -> Draft,
) -> Draft {
    let (record, proxy) = (&hop.record, story.proxy_of(hop));
    let program = story.program_of(hop);
    let backend = record.connection.server;
    let so = so_the_client_got(story);
    let waited = end.frame.at.nanos_since(request.span.last.at);
    let draft = draft(Code::BackendTimeout, "did not answer in time")
        .saw(end.frame, "the proxy gives up and closes");
    let waited = match waited {
        // A timeout of 0 is none to nginx: it is over when it begins.
        ..NO_TIME_NANOS if story.status() == Some(504) && !matches!(program, Program::Other(_)) => {
            return draft
                .headline(format!(
                    "{proxy} gave {backend} no time to answer{so}: that is `proxy_read_timeout 0`"
                ))
                .detail(format!(
                    "The proxy closed {} after it had sent the request. `proxy_read_timeout 0` does not disable the timeout: it fails every request at once.",
                    duration(waited.max(0))
                ))
                .fix("Replace the 0 by the longest silence that is normal, and let either side ping more often than that.")
                .snippet("proxy_read_timeout 3600s;   # 0 fails every request at once");
        }
        _ => duration(waited.max(0)),
    };
    let innermost = waits_for(story, hop);
    if !std::ptr::eq(innermost, hop) {
        let (last, asker) = (
            innermost.record.connection.server,
            story.proxy_of(innermost),
        );
        let first = innermost.exchange().request.as_ref();
        return draft
            .headline(format!(
                "{last} took the request of {asker} and gave no answer; {proxy} waited {waited}{so}"
            ))
            .detail(format!(
                "{backend} passed the request on and waited for {last}, which said nothing. {proxy} waited {waited} and closed: that is its timeout{}.",
                program.answer_timeout()
            ))
            .on(&innermost.record)
            .may_saw(
                first.map(|head| head.span.first),
                format!("{last} has the request"),
            );
    }
    let received = if record.connection.to_server.unacknowledged == 0 {
        "The backend acknowledged the request and said nothing"
    } else {
        "The backend did not even acknowledge the request"
    };
    draft
        .headline(format!(
            "{backend} took the request of {proxy} and gave no answer in {waited}{so}"
        ))
        .detail(format!(
            "{received} for {waited}, until the proxy closed: that is its timeout{}.{}",
            program.answer_timeout(),
            left_waiting(story, hop)
        ))
}

/// What a server that took the request and stays silent may not serve, behind a space.
pub(super) fn left_waiting(story: &Story<'_>, hop: &Hop) -> String {
    let silent = hop.record.connection.to_server.unacknowledged == 0 && is_unanswered(hop);
    let request = hop.exchange().request.as_ref().filter(|_| silent);
    let asked = request.and_then(|request| what_it_may_not_serve(story, hop, request));
    asked.map_or_else(String::new, |asked| {
        format!(" {asked}: some servers, such as those of node, never answer what none of their handlers takes.")
    })
}

/// The connection ended before an answer came.
fn broke_off(
    story: &Story<'_>,
    hop: &Hop,
    request: &RequestHead,
    draft: impl Fn(Code, &str) -> Draft,
) -> Option<Draft> {
    let exchange = hop.exchange();
    let end = hop.record.connection.ended?;
    let after = if exchange.partial_response.is_some() {
        "after a part of its answer"
    } else {
        "before any answer"
    };
    match (end.by, end.how) {
        (Side::Server, EndingHow::Fin) => Some(
            draft(
                Code::BackendClosedEarly,
                "closed the connection before it answered",
            )
            .may_detail(unwanted(story, hop, request, end))
            .saw(end.frame, format!("FIN from the backend {after}")),
        ),
        (Side::Server, EndingHow::Rst) => Some(
            draft(
                Code::BackendResetEarly,
                "reset the connection before it answered",
            )
            .saw(end.frame, format!("RST from the backend {after}")),
        ),
        (Side::Client, _) if client_left_before(story, end.frame) => None,
        (Side::Client, _) if proxy_was_left(story, hop, end.frame) => None,
        (Side::Client, _) => {
            let draft = timed_out(story, hop, request, end, draft);
            // The client may have left before, in frames that the capture lacks.
            Some(if story.outer.may_hide_departure() {
                draft.sure(Confidence::Guess)
            } else {
                draft
            })
        }
    }
}

/// What a backend may not have wanted that closed instead of answering.
fn unwanted(story: &Story<'_>, hop: &Hop, request: &RequestHead, end: Ending) -> Option<String> {
    let asked = what_it_may_not_serve(story, hop, request);
    let server = unread_by_server(hop, request, end);
    let how = if server.is_some() {
        "at once, without a byte"
    } else if hop.record.server_is_mute() {
        "without a byte"
    } else {
        "without a complete response head"
    };
    let asked =
        asked.map(|asked| format!("{asked}: some servers close so on what they do not serve."));
    (asked.is_some() || server.is_some()).then(|| {
        let begins = format!("The backend took the request and closed {how}.");
        let parts = std::iter::once(begins)
            .chain(asked)
            .chain(server.map(str::to_owned));
        parts.collect::<Vec<_>>().join(" ")
    })
}

/// What some servers do not refuse but leave: a path (node without a handler for it) or a subprotocol (libwebsockets) that they do
/// not serve. Without its full stop.
fn what_it_may_not_serve(story: &Story<'_>, hop: &Hop, request: &RequestHead) -> Option<String> {
    if !request.has_both_fields() || hop.exchange().partial_response.is_some() {
        return None;
    }
    let asked_for = asked_for(&story.path(), &short(path(request.target())));
    let offered = request
        .fields
        .combined("sec-websocket-protocol")
        .map_or(String::new(), |offered| {
            format!(", with the subprotocol {}", short(&offered))
        });
    Some(format!("It was asked for {asked_for}{offered}"))
}

/// What else looks like a backend that hangs up: a server that closes at once, without a byte, may not have wanted any request.
fn unread_by_server(hop: &Hop, request: &RequestHead, end: Ending) -> Option<&'static str> {
    /// No application has looked at a request sooner than this.
    const AT_ONCE_NANOS: i64 = 2_000_000;
    let waited = end.frame.at.nanos_since(request.span.last.at);
    let mute = hop.record.server_is_mute() && hop.record.proxy_header.is_none();
    let first = hop.exchange().index == 0;
    (mute && first && (0..AT_ONCE_NANOS).contains(&waited)).then_some(
        "If it is an nginx, `return 444` does that, and a listener that expects a PROXY protocol header (`listen ... proxy_protocol`): its error log tells.",
    )
}

/// Whether the proxy closed because it was left waiting no longer: its own client, another proxy, had closed before.
fn proxy_was_left(story: &Story<'_>, hop: &Hop, frame: FrameRef) -> bool {
    let of_proxy = |parent: &&Hop| !std::ptr::eq(*parent, story.outer);
    story.parent(hop).filter(of_proxy).is_some_and(|parent| {
        parent.exchange().response.is_none()
            && parent
                .record
                .end_by(Side::Client)
                .is_some_and(|end| story.time(end.frame) <= story.time(frame))
    })
}

/// The innermost hop that this one waited for: its server passed the request on, and so did the next.
fn waits_for<'a>(story: &Story<'a>, hop: &'a Hop) -> &'a Hop {
    let mut innermost = hop;
    // Parents come before their children.
    for child in story.inner_hops() {
        let parent = story.parent(child);
        let below = parent.is_some_and(|parent| std::ptr::eq(parent, innermost));
        if below && !child.retried && is_unanswered(child) {
            innermost = child;
        }
    }
    innermost
}

/// Whether the server of a hop never gave an answer.
pub(super) fn is_unanswered(hop: &Hop) -> bool {
    matches!(hop.reply(), Reply::Part(_) | Reply::Nothing)
}

/// What is wrong with a head that could be read only tolerantly.
fn fault_text(head: &ResponseHead) -> String {
    let faults: Vec<String> = head
        .faults
        .iter()
        .map(|fault| {
            match fault {
                HeadFault::Folded => "a field goes on in the next line (RFC 9112 5.2)",
                HeadFault::SpaceBeforeColon => "there is a space before a colon (RFC 9112 5.1)",
                HeadFault::BareLf => "a line ends without CR (RFC 9112 2.2)",
                HeadFault::StartLineSpaces => {
                    "the start line is not parted by single spaces (RFC 9112 3, 4)"
                }
                HeadFault::BadLine => "a line is no header field (RFC 9112 5)",
            }
            .to_owned()
        })
        .collect();
    format!("In it, {}.", list(&faults))
}

/// A response head longer than nginx's buffer: where, how many bytes of it, how sure. `refused`: a whole one, of which the
/// proxy made an answer of its own.
fn head_too_big(
    story: &Story<'_>,
    hop: &Hop,
    refused: Option<&ResponseHead>,
) -> Option<(FrameRef, usize, Confidence)> {
    if let Some(answer) = refused {
        let bytes = answer.fields.raw().len();
        let sure = Confidence::Likely;
        return (bytes >= HEAD_MAY_EXCEED).then_some((answer.span.last, bytes, sure));
    }
    let partial = hop.exchange().partial_response.as_ref()?;
    let bytes = partial.bytes.len();
    // Of a head that the capture broke off the proxy may have got the rest.
    let given_up = hop.record.end_by(Side::Client).is_some()
        && bytes >= HEAD_MAY_EXCEED
        && (!partial.is_cut() || story.status() == Some(502));
    let too_big = partial.why == PartialWhy::TooLarge || given_up;
    too_big.then_some((partial.last, bytes, Confidence::Certain))
}

/// The client's own FIN or RST while its request had no answer, if it came before `frame` (with 5 ms for disorder).
fn client_left_before(story: &Story<'_>, frame: FrameRef) -> bool {
    const DISORDER_NANOS: i64 = 5_000_000;
    if story.left_in_front(frame).is_some() {
        return true;
    }
    story.answer().is_none()
        && story.outer.record.end_by(Side::Client).is_some_and(|end| {
            story.time(end.frame).nanos_since(story.time(frame)) <= DISORDER_NANOS
        })
}
