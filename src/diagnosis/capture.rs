//! What the capture lacks: said so that a silence of the capture is not taken for one of the wire.

use std::collections::BTreeMap;

use super::catalogue::UNDECRYPTED;
use super::draft::{Draft, Values, has_any};
use super::story::{Outcome, Story};
use super::text::{count, duration};
use super::view::hole;
use super::{Code, Finding, Severity};
use crate::capture::{CaptureId, CaptureInfo, FrameNo, FrameRef};
use crate::hop::{BackendSight, Hop};
use crate::http::PartialWhy;
use crate::tcp::{Copies, GapCause, Opening};

/// What the engine counted over all connections, for `diagnose_captures`.
#[derive(Debug, Clone, Default)]
pub struct CaptureTotals {
    /// Frames that show what was shown before, by the capture that holds them.
    pub copies: BTreeMap<CaptureId, Copies>,
    /// Nanoseconds to add to a capture's times to fit those of the first hops' capture, and a frame that shows it.
    pub clock_offsets: Vec<(CaptureId, i64, FrameRef)>,
}

/// Findings about the captures themselves.
pub fn diagnose_captures(infos: &[CaptureInfo], totals: &CaptureTotals) -> Vec<Finding> {
    let mut out = Vec::new();
    for info in infos {
        if let Some(frame) = info.first_truncated
            && info.truncated_frames > 0
        {
            out.push(
                Draft::new(Code::CaptureTruncated)
                    .title(format!(
                        "{} of {} in {} were cut short by the capture",
                        info.truncated_frames,
                        count(usize::try_from(info.frames).unwrap_or(usize::MAX), "frame"),
                        name(&info.path)
                    ))
                    .saw(frame, "the first frame that was cut"),
            );
        }
        if let (Some(dropped @ 1..), Some(at)) = (info.dropped, info.last_at) {
            let frame = FrameRef::new(at, info.id, FrameNo(info.frames));
            out.push(
                Draft::new(Code::CaptureDrops)
                    .title(format!(
                        "{} lost {} while capturing",
                        name(&info.path),
                        count(usize::try_from(dropped).unwrap_or(usize::MAX), "packet")
                    ))
                    .saw(frame, "the end of this capture, which counts its losses"),
            );
        }
    }
    let path = |id: CaptureId| {
        infos.iter().find(|info| info.id == id).map_or_else(
            || format!("capture {}", id.0),
            |info| name(&info.path).to_owned(),
        )
    };
    for (&id, copies) in &totals.copies {
        let frames = |number| count(usize::try_from(number).unwrap_or(usize::MAX), "frame");
        let (own, shared) = (frames(copies.own), frames(copies.shared));
        let said = match (copies.own, copies.shared) {
            (0, 0) => continue,
            (_, 0) => format!("holds {own} twice"),
            (0, _) => format!("holds {shared} that another capture has as well"),
            (..) => format!("holds {own} twice, and {shared} that another capture has as well"),
        };
        out.push(
            Draft::new(Code::CaptureDuplicates)
                .title(format!("{} {said}", path(id)))
                .saw(copies.first, "the first such frame"),
        );
    }
    for &(id, nanos, frame) in &totals.clock_offsets {
        if nanos != 0 {
            let way = if nanos > 0 { "behind" } else { "ahead of" };
            // The one that the first hops are in, whatever the order in which the files are named.
            let other = match infos {
                [one, other] if one.id == id => name(&other.path),
                [one, _] => name(&one.path),
                _ => "the first hop's capture",
            };
            out.push(
                Draft::new(Code::ClockOffset)
                    .title(format!(
                        "The clock of {} is {} {way} that of {other}",
                        path(id),
                        duration(nanos.saturating_abs())
                    ))
                    .saw(frame, "an exchange that fits only after this shift"),
            );
        }
    }
    out.into_iter()
        .filter_map(|draft| draft.finish(&Values::default()))
        .collect()
}

/// The file's name without its folders: the report lists the whole path once.
fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// With these a request never got past the server that it came to: there is no hop behind it to be missed.
const NEVER_PASSED_ON: &[Code] = &[
    Code::RequestIncomplete,
    Code::HostMissing,
    Code::ProxyProtocolUnexpected,
];

/// What one handshake lacks.
pub(super) fn rules(story: &Story<'_>, out: &mut Vec<Draft>) {
    let clean = story.is_up()
        && out.iter().all(|draft| {
            draft.severity() == Severity::Info || draft.code() == Code::BackendRetried
        });
    if story.handshake.ambiguous {
        out.extend(ambiguous(story));
    }
    if story.began_late() {
        out.push(
            Draft::new(Code::CaptureMidStream)
                .on(&story.outer.record)
                .title(format!(
                    "The capture began when {} and {} were already talking",
                    story.outer.record.connection.client, story.outer.record.connection.server
                ))
                .saw(story.outer.record.connection.first, "the first frame seen"),
        );
    }
    if clean {
        return;
    }
    for hop in &story.handshake.hops {
        out.extend(holes(hop));
    }
    out.extend(undecided(story));
    if story.hides_backend() && !has_any(out, NEVER_PASSED_ON) {
        out.push(backend_unseen(story));
    }
    if let Some(front) = story.sealed_front() {
        let connection = &front.record.connection;
        out.push(
            Draft::new(Code::ClientHopNotSeen)
                .on(&front.record)
                .title(format!(
                    "What {} sent to {} is inside TLS, of which no keys are at hand",
                    connection.client, connection.server
                ))
                .saw(
                    front.request.unwrap_or(connection.first),
                    if front.request.is_some() {
                        "the TLS record that fits the request"
                    } else {
                        "the first frame of it"
                    },
                ),
        );
    } else if story.backend_only() {
        out.push(
            Draft::new(Code::ClientHopNotSeen)
                .on(&story.outer.record)
                .title(format!(
                    "What the client sent to {} is not in the capture, or not in clear",
                    story.proxy_of(story.outer)
                ))
                .saw(first_frame(story.outer), "the only hop seen"),
        );
    }
}

/// A finding about bytes that nobody could read; what to do about it if keys are what lacks.
fn lacking(code: Code, undecrypted: bool) -> Draft {
    let draft = Draft::new(code);
    if undecrypted {
        draft
            .detail("TLS was decrypted in part only: what the rest of it said is unknown.")
            .told(&UNDECRYPTED)
    } else {
        draft
    }
}

fn first_frame(hop: &Hop) -> FrameRef {
    let exchange = hop.exchange();
    exchange
        .request
        .as_ref()
        .map(|head| head.span.first)
        .or(exchange.response.as_ref().map(|head| head.span.first))
        .unwrap_or(hop.record.connection.first)
}

/// Behind a hop that goes to a proxy, no other is known. Without the handshake it may be there, and only bytes could tell.
fn backend_unseen(story: &Story<'_>) -> Draft {
    let front = story.front();
    let (title, detail) = if story.began_late() {
        (
            format!("Whether {front} passed this on, and where to, cannot be told"),
            "The handshake is not in the capture, and no connection to a backend carries the same bytes of the client: it was not captured, or the client sent nothing to know it by.",
        )
    } else {
        (
            format!("What {front} sent to a backend is not in the capture"),
            match story.handshake.backend {
                BackendSight::NotContacted => {
                    "The capture shows other backends of the proxy and no connection for this request, although an application answered: nothing certain can be said about what was forwarded."
                }
                BackendSight::Seen | BackendSight::NotVisible => {
                    Code::BackendHopNotSeen.entry().meaning
                }
            },
        )
    };
    Draft::new(Code::BackendHopNotSeen)
        .on(&story.outer.record)
        .title(title)
        .detail(detail)
        .saw(first_frame(story.outer), "the only hop seen")
}

fn ambiguous(story: &Story<'_>) -> Option<Draft> {
    let request = story.outer.exchange().request.as_ref()?;
    Some(
        Draft::new(Code::PairingAmbiguous)
            .on(&story.outer.record)
            .title("Other exchanges fit this handshake as well as the ones chosen")
            .saw_request(request),
    )
}

/// A 101 that the client may have refused: with what it asked for it is not known whether it fits.
fn undecided(story: &Story<'_>) -> Option<Draft> {
    let answer = story.answer().filter(|answer| answer.status == 101)?;
    let connection = &story.outer.record.connection;
    let left = connection.ended?;
    (story.outcome == Outcome::Unknown && story.may_be_declined()).then(|| {
        Draft::new(Code::CaptureGap)
            .on(&story.outer.record)
            .title(format!(
                "The request from {} to {} is not in the capture, so whether the 101 fits it is unknown",
                connection.client, connection.server
            ))
            .detail("The client left behind the 101 without a word, as one does that must refuse it.")
            .saw_answer(answer)
            .saw(left.frame, "the client leaves")
    })
}

/// Holes in the heads of a hop.
fn holes(hop: &Hop) -> Vec<Draft> {
    let exchange = hop.exchange();
    let connection = &hop.record.connection;
    let mut out = Vec::new();
    let partials = [
        ("request", exchange.partial_request.as_ref()),
        ("answer", exchange.partial_response.as_ref()),
    ];
    let undecrypted = hop.record.is_undecrypted();
    for (what, partial) in partials {
        let Some(partial) = partial else { continue };
        let Some(why) = hole(partial.why) else {
            continue;
        };
        let why = if undecrypted {
            "bytes of it were not decrypted"
        } else {
            why
        };
        let code = match partial.why {
            PartialWhy::Gap(GapCause::Truncated) => Code::CaptureTruncated,
            PartialWhy::CaptureEnded => continue,
            // Of a direction that was not captured, all is a hole: said once, below.
            _ if connection.is_one_sided() => continue,
            _ => Code::CaptureGap,
        };
        out.push(
            lacking(code, undecrypted)
                .on(&hop.record)
                .title(format!(
                    "The {what} between {} and {} is incomplete: {why}",
                    connection.client, connection.server
                ))
                .saw(partial.first, format!("the {what} begins"))
                .saw(partial.last, "where it breaks off"),
        );
    }
    if out.is_empty()
        && exchange.gap_in_answer
        && exchange.response.is_none()
        && !connection.is_one_sided()
    {
        let place = if undecrypted {
            "bytes that were not decrypted"
        } else {
            "a hole of the capture"
        };
        out.push(
            lacking(Code::CaptureGap, undecrypted)
                .on(&hop.record)
                .title(format!(
                    "The answer of {} may be in {place}",
                    connection.server
                ))
                .saw(first_frame(hop), "the request that waits for it"),
        );
    }
    if connection.is_one_sided() && connection.opening != Opening::Unanswered {
        let (seen, hidden) = if connection.to_server.frames > 0 {
            (connection.client, connection.server)
        } else {
            (connection.server, connection.client)
        };
        out.push(
            Draft::new(Code::CaptureOneSided)
                .on(&hop.record)
                .title(format!(
                    "Only what {seen} sent was captured, nothing of {hidden}"
                ))
                .saw(first_frame(hop), format!("frames of {seen} only")),
        );
    }
    out
}
