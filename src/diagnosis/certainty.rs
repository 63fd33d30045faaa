//! How sure findings can be on poor evidence: what a capture hides may tell another story.

use super::Code;
use super::draft::Draft;
use super::story::Story;
use crate::hop::Confidence;

/// Lowers the confidence of findings about connections that the capture does not show well.
pub(super) fn lower(story: &Story<'_>, drafts: &mut [Draft]) {
    if drafts.is_empty() {
        return;
    }
    let doubtful: Vec<_> = story
        .handshake
        .hops
        .iter()
        .filter(|hop| hop.is_doubtful())
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

/// Findings that say what the capture lacks are as sure as that is; nginx neither logs nor mends it.
pub(super) const fn is_about_capture(code: Code) -> bool {
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
