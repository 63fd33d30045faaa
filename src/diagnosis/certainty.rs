//! How sure findings can be on poor evidence: what a capture hides may tell another story.

use super::Code;
use super::draft::Draft;
use super::story::Story;
use super::view::{HopView, RecordView};
use crate::hop::{Confidence, Hop};
use crate::http::PartialWhy;
use crate::tcp::Opening;

/// Lowers the confidence of findings about connections that the capture does not show well.
pub(super) fn lower(story: &Story<'_>, drafts: &mut [Draft]) {
    if drafts.is_empty() {
        return;
    }
    let doubtful: Vec<_> = story
        .handshake
        .hops
        .iter()
        .filter(|hop| is_doubtful(hop))
        .map(|hop| hop.record.connection.id)
        .collect();
    for draft in drafts
        .iter_mut()
        .filter(|draft| !is_about_capture(draft.code()))
    {
        if doubtful.iter().any(|id| draft.is_about(*id)) {
            draft.at_most(Confidence::Likely);
        }
    }
}

/// Whether bytes that matter to the story of a hop are not in the capture. What comes behind a whole request and its
/// whole answer does not change them.
pub(super) fn is_doubtful(hop: &Hop) -> bool {
    let exchange = hop.exchange();
    let connection = &hop.record.connection;
    let cut = [&exchange.partial_request, &exchange.partial_response]
        .into_iter()
        .flatten()
        .any(|head| matches!(head.why, PartialWhy::Gap(_) | PartialWhy::CaptureEnded));
    let missing = hop.record.has_holes();
    let goes_on = exchange.session.is_some() || exchange.response.is_none();
    let no_head = exchange.request.is_none() && exchange.ordinary.is_none();
    // Of a connection that began before the capture nobody knows what is missing.
    let late = connection.opening == Opening::Midstream && exchange.response.is_none();
    let unseen = connection.ended_unseen();
    // A hole before the answer may have held another one.
    let cut = cut || exchange.gap_in_answer;
    cut || no_head || hop.one_way() || late || unseen || (missing && goes_on)
}

/// Findings that say what the capture lacks are as sure as that is.
const fn is_about_capture(code: Code) -> bool {
    matches!(
        code,
        Code::BackendHopNotSeen
            | Code::ClientHopNotSeen
            | Code::PairingAmbiguous
            | Code::CaptureMidStream
            | Code::CaptureOneSided
            | Code::CaptureTruncated
            | Code::CaptureGap
            | Code::CaptureDrops
            | Code::CaptureDuplicates
            | Code::ClockOffset
    )
}
