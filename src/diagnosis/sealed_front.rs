//! The client's hop inside TLS that nobody opened: what its frames show all the same.
//!
//! A claim that stands on the join is never surer than the join.

use super::Code;
use super::draft::Draft;
use super::story::Story;
use super::text::duration;
use super::upstream::was_answered;
use crate::capture::FrameRef;
use crate::hop::Front;
use crate::tcp::{Connection, Side};

impl<'a> Story<'a> {
    /// The TLS connection in front of the outermost hop.
    pub(super) fn sealed_front(&self) -> Option<&'a Front> {
        self.handshake.front.as_deref()
    }

    /// The connection that is the client's: that of the outermost hop, or the one in front of it.
    pub(super) fn client_connection(&self) -> &'a Connection {
        let front = self.sealed_front().map(|front| &front.record);
        &front.unwrap_or(&self.outer.record).connection
    }

    /// When the client left the front, if that was before a frame of the outermost hop and it had no answer.
    pub(super) fn left_in_front(&self, before: FrameRef) -> Option<FrameRef> {
        let unanswered = |front: &&Front| front.request.is_some() && front.answer.is_none();
        let front = self.sealed_front().filter(unanswered)?;
        front.left(None, before)
    }
}

/// How the front ended, as evidence.
pub(super) fn ending(draft: Draft, front: &Front) -> Draft {
    let mut draft = draft.on(&front.record);
    draft.at_most(front.confidence);
    let connection = &front.record.connection;
    match connection.ended {
        Some(end) => draft.saw(
            end.frame,
            format!(
                "{} from {}, inside whose TLS nobody sees",
                end.how.flag(),
                connection.endpoint(end.by)
            ),
        ),
        None => draft,
    }
}

/// The client left while the proxy waited for the backend.
pub(super) fn gave_up(story: &Story<'_>) -> Option<Draft> {
    if story.is_up() || was_answered(story) {
        return None;
    }
    let front = story.sealed_front()?;
    let end = story.outer.record.connection.ended;
    let end = end.filter(|end| end.by == Side::Client)?;
    let left = story.left_in_front(end.frame)?;
    let request = story.outer.exchange().request.as_ref()?;
    let sealed = front.request?;
    let asked = sealed.at.shifted(front.offset_nanos);
    let waited = duration(left.at.nanos_since(asked).max(0));
    let client = front.record.connection.client;
    Some(
        Draft::new(Code::ClientGaveUp)
            .sure(front.confidence)
            .on(&front.record)
            .on(&story.outer.record)
            .title(format!("{client} gave up after {waited} without an answer"))
            .headline(format!(
                "The client {} left after {waited}, before {} had answered",
                client.ip(),
                story.front()
            ))
            .detail("Its connection is closed TLS, found by the times and lengths of its records.")
            .saw(sealed, "the TLS record that fits the request")
            .saw_request(request)
            .saw(
                left,
                "the client ends its TLS connection, no answer before it",
            )
            .saw(end.frame, "the proxy ends the connection behind it"),
    )
}
