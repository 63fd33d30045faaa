//! How a handshake came out, as far as its outermost hop tells; what that lacks, the hops behind it may have.

use super::Story;
use crate::diagnosis::view::RecordView;
use crate::hop::{Hop, Reply};
use crate::http::{Fields, ResponseHead};
use crate::tcp::Side;
use crate::websocket::SessionFacts;

/// How the opening handshake came out, judged on the outermost hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::diagnosis) enum Outcome<'a> {
    /// A 101 that the client could accept, or did.
    Up,
    /// A 101 that a client must refuse, and no sign that this one accepted it.
    BadAnswer(&'a ResponseHead),
    /// Another final answer.
    Refused(&'a ResponseHead),
    /// The client sent an ordinary request, which a proxy made into an attempt, and got this status.
    Ordinary(u16),
    /// The connection ended, or the proxy's own failure is complete, without an answer.
    Unanswered,
    /// The capture does not tell.
    Unknown,
}

impl<'a> Story<'a> {
    pub(super) fn judge(&self) -> Outcome<'a> {
        let exchange = self.outer.exchange();
        match &exchange.response {
            Some(answer) if answer.status == 101 => {
                if self.client_spoke() {
                    Outcome::Up
                } else if !self.defects.is_empty() {
                    // One whose frames are lost may have accepted it.
                    if self.handshake.shows(Side::Client) {
                        Outcome::BadAnswer(answer)
                    } else {
                        Outcome::Unknown
                    }
                } else if self.may_be_declined() {
                    Outcome::Unknown
                } else {
                    Outcome::Up
                }
            }
            Some(answer)
                if (200..300).contains(&answer.status) && self.may_serve_another(answer) =>
            {
                Outcome::Unknown
            }
            Some(answer) => Outcome::Refused(answer),
            None => self.judge_without_answer(),
        }
    }

    fn judge_without_answer(&self) -> Outcome<'a> {
        let reply = self.outer.reply();
        if let Reply::Status(_, status) = reply {
            return Outcome::Ordinary(status);
        }
        // What the capture lacks of the client hop, the backend hop may have.
        if let Reply::Unseen = reply
            && let Some(answer) = &self.inner.exchange().response
            && answer.status != 101
        {
            return Outcome::Refused(answer);
        }
        // A session without its 101 in the capture: it must have come up, also if the capture has no more of it than
        // its end.
        let mut hops = self.handshake.hops.iter();
        if hops.any(|hop| hop.session().is_some())
            && (self.outer.may_have_asked_before() || self.client_spoke())
        {
            return Outcome::Up;
        }
        // A proxy may have tried another backend: what joins the two may be in the hole.
        let retried = self.is_alone() && self.is_cut();
        match reply {
            Reply::Unseen => Outcome::Unknown,
            _ if self.outer.record.connection.ended.is_some() && !retried => Outcome::Unanswered,
            _ => Outcome::Unknown,
        }
    }

    /// Whether the capture broke the first request off.
    fn is_cut(&self) -> bool {
        let partial = self.outer.exchange().partial_request.as_ref();
        partial.is_some_and(|partial| partial.is_cut())
    }

    /// Whether the request may be one that a proxy makes for another (nginx's auth_request hands all fields of a handshake
    /// on but those that ask for the upgrade): what would tell is in a hole, or on a hop that is not in the capture.
    fn may_serve_another(&self, answer: &ResponseHead) -> bool {
        let exchange = self.outer.exchange();
        let asks = |fields: &Fields| fields.position("upgrade").is_some();
        let cut_off = || {
            let partial = exchange.partial_request.as_ref();
            self.is_cut() && !partial.is_some_and(|partial| asks(&partial.request().fields))
        };
        // A permission has no page.
        let permits = || {
            let asked = exchange.request.as_ref();
            answer.status == 204
                && self.backend_only()
                && asked.is_some_and(|head| !asks(&head.fields))
        };
        self.is_alone() && (cut_off() || permits())
    }

    /// Whether the client left without a word behind a 101 of which nobody can tell whether it fits: the request is not in the
    /// capture. It may have refused it. Of a client hop in one direction another hop tells that there was no word.
    pub(in crate::diagnosis) fn may_be_declined(&self) -> bool {
        let exchange = self.outer.exchange();
        let unasked = exchange.request.is_none() && exchange.ordinary.is_none();
        let said_goodbye = || {
            let mut sessions = self.handshake.hops.iter().filter_map(Hop::session);
            sessions.any(|session| session.close_by(Side::Client).is_some())
        };
        let connection = &self.outer.record.connection;
        let left = || {
            let stream = &connection.to_server;
            let unheard = stream.frames == 0 && self.handshake.hears(Side::Client);
            // The request is lost, and what came behind it as well: its FIN may have been the first one.
            let broken_off = stream.fin.is_none() && stream.unseen_at_end > 0;
            self.outer.record.end_by(Side::Client).is_some()
                || (unheard || broken_off) && connection.ended.is_some()
        };
        unasked && left() && !self.client_spoke() && !said_goodbye()
    }

    /// Whether the client sent ws frames of its own accord: then it accepted the 101.
    pub(in crate::diagnosis) fn client_spoke(&self) -> bool {
        self.handshake
            .hops
            .iter()
            .any(|hop| hop.session().is_some_and(SessionFacts::client_spoke))
    }
}
