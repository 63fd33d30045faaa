//! What the capture shows, and what it may lack: each such question has its one answer here, for every rule.
//!
//! ```text
//!  began     Hop::may_have_asked_before       did the request come before the capture?
//!  bytes     Record::shows, lacks, has_holes  can all that a side sent be read?
//!  heads     PartialHead::is_cut              did the capture break it off, or its sender?
//!  answer    Hop::reply                       did none come, or is it not to be seen?
//!  session   Hop::hears                       did a side say nothing, or nothing that is to be seen?
//!  its end   ended.rs                         who may have ended it unseen, and what was on its way?
//!  all of it Hop::is_doubtful                 may what is missing tell another story?
//! ```
//!
//! Not to be seen is another thing than not to be there: whoever asks must not forget the one for the other. How a connection
//! ended, and whether that is in the capture, is TCP's to say (`Connection::ended_unseen`, `may_have_ended`).

mod ended;

use std::ops::RangeInclusive;

pub use ended::REPEATED_NANOS;

use super::handshake::{ConnectAttempt, Handshake, Hop};
use super::record::{Exchange, PartialHead, Record};
use crate::capture::{FrameRef, Timestamp};
use crate::http::{PartialWhy, ResponseHead};
use crate::tcp::{Direction, Opening, Side};
use crate::tls::{Sealed, TlsFacts};

/// A SYN that nobody answers is sent again after a second (RFC 6298 2.1), which some begin a little early, and which comes late
/// where everything is slow.
const NEXT_SYN_NANOS: RangeInclusive<i64> = 900_000_000..=1_500_000_000;

/// What came back to the request of a hop.
#[derive(Debug, Clone, Copy)]
pub enum Reply<'a> {
    /// A final answer, the head of which is whole.
    Head(&'a ResponseHead),
    /// The answer to an ordinary request, of which the status is known: where, and which.
    Status(FrameRef, u16),
    /// What is no HTTP: where, and how it begins.
    Foreign(FrameRef, &'a [u8]),
    /// A part of a head: its server broke it off, or it is too long to be read.
    Part(&'a PartialHead),
    /// None, although the capture shows all that the server sent.
    Nothing,
    /// None that is to be seen: it may be where the capture cannot show it.
    Unseen,
}

impl PartialHead {
    /// Whether the capture broke it off, and not its sender.
    pub const fn is_cut(&self) -> bool {
        matches!(self.why, PartialWhy::Gap(_) | PartialWhy::CaptureEnded)
    }
}

impl Record {
    /// Whether bytes of a stream could not be read: they are not in the capture, or were not decrypted.
    pub fn lacks(&self, direction: Direction) -> bool {
        let undecrypted = |tls: &TlsFacts| matches!(tls.sealed, Sealed::Lost { .. });
        self.connection.stream(direction).missing_bytes > 0
            || self.tls.as_deref().is_some_and(undecrypted)
    }

    /// Whether bytes of it could not be read, whoever sent them.
    pub fn has_holes(&self) -> bool {
        self.lacks(Direction::ToServer) || self.lacks(Direction::ToClient)
    }

    /// Whether all of it was captured, and not all decrypted.
    pub fn is_undecrypted(&self) -> bool {
        let connection = &self.connection;
        let captured = connection.to_server.missing_bytes + connection.to_client.missing_bytes == 0;
        captured && self.has_holes()
    }

    /// Whether all that was sent in a direction can be read.
    pub fn shows(&self, direction: Direction) -> bool {
        self.connection.stream(direction).frames > 0 && !self.lacks(direction)
    }

    /// Whether all of it can be read.
    pub fn is_whole(&self) -> bool {
        self.shows(Direction::ToServer) && self.shows(Direction::ToClient)
    }
}

impl ConnectAttempt {
    /// Whether what came of it may not be in the capture. `until`: when its proxy knew.
    ///
    /// One that was accepted ends, too. A SYN that nobody answers is sent again, so that of one alone the capture may lack
    /// the answer, unless its proxy gave up just when it was due.
    pub fn is_doubtful(&self, until: Timestamp) -> bool {
        let connection = &self.record.connection;
        if connection.ended.is_some() || connection.unreachable.is_some() {
            return false;
        }
        let waited = until.nanos_since(connection.first.at);
        match connection.opening {
            Opening::Unanswered => connection.syns == 1 && !NEXT_SYN_NANOS.contains(&waited),
            Opening::Refused => false,
            Opening::Complete | Opening::Partial | Opening::Midstream => true,
        }
    }
}

impl Exchange {
    /// Whether a reply that was not seen may be there all the same. `record`: what it is an exchange of.
    pub(super) fn may_hide_reply(&self, record: &Record) -> bool {
        let part = self.partial_response.as_ref();
        self.gap_in_answer
            || part.is_some_and(|part| part.is_cut())
            || record.connection.is_one_sided()
            || record.lacks(Direction::ToClient)
            || self.may_have_asked_before(record)
            || part.is_none() && self.has_unread_reply(record)
    }

    /// Whether the server sent bytes after the request that nobody could make sense of.
    fn has_unread_reply(&self, record: &Record) -> bool {
        let asked = self.request.as_ref().map(|head| head.span.last);
        let asked = asked.or(self.ordinary.as_ref().map(|one| one.request));
        let interim = self.interim.last().map(|head| head.span.last);
        record.last_said(Direction::ToClient) > asked.max(interim)
    }

    /// Whether its request may have come before the capture began, and the answer with it.
    fn may_have_asked_before(&self, record: &Record) -> bool {
        let asked = self.request.is_some() || self.ordinary.is_some();
        !asked && record.connection.opening == Opening::Midstream
    }
}

impl Hop {
    /// What came back to its request.
    pub fn reply(&self) -> Reply<'_> {
        let exchange = self.exchange();
        if let Some(head) = &exchange.response {
            return Reply::Head(head);
        }
        let ordinary = exchange.ordinary.as_ref();
        if let Some((frame, status)) = ordinary.and_then(|one| one.response) {
            return Reply::Status(frame, status);
        }
        if let Some((frame, bytes)) = &exchange.not_http {
            return Reply::Foreign(*frame, bytes);
        }
        match &exchange.partial_response {
            _ if exchange.may_hide_reply(&self.record) => Reply::Unseen,
            Some(part) => Reply::Part(part),
            None => Reply::Nothing,
        }
    }

    /// Whether its request may have come before the capture began, and the answer with it.
    pub fn may_have_asked_before(&self) -> bool {
        self.exchange().may_have_asked_before(&self.record)
    }

    /// Whether bytes that matter to its story are not in the capture. What comes behind a whole request and its whole answer
    /// does not change them.
    pub fn is_doubtful(&self) -> bool {
        let exchange = self.exchange();
        let connection = &self.record.connection;
        let heads = [&exchange.partial_request, &exchange.partial_response];
        let cut = heads.into_iter().flatten().any(|head| head.is_cut());
        let unasked = exchange.request.is_none() && exchange.ordinary.is_none();
        // Of a connection that began before the capture nobody knows what is missing.
        let late = connection.opening == Opening::Midstream && exchange.response.is_none();
        let goes_on = exchange.session.is_some() || exchange.response.is_none();
        // A hole before the answer may have held another one.
        let holes = exchange.gap_in_answer || goes_on && self.record.has_holes();
        cut || unasked || late || holes || connection.is_one_sided() || connection.ended_unseen()
    }

    /// Whether it shows all that a side sent in the session.
    pub fn hears(&self, side: Side) -> bool {
        let followed = self
            .session()
            .is_some_and(|session| session.lost_sync != Some(side.sends()));
        followed && self.record.shows(side.sends())
    }

    /// Whether it shows all that was said in the session.
    pub fn hears_both(&self) -> bool {
        self.hears(Side::Client) && self.hears(Side::Server)
    }

    /// Whether its client may have left before it was answered, in frames that the capture lacks: of a client that stayed, the
    /// answer or the end would be there.
    pub fn may_hide_departure(&self) -> bool {
        let connection = &self.record.connection;
        let unanswered = matches!(self.reply(), Reply::Nothing | Reply::Unseen);
        connection.may_have_ended() || unanswered && connection.ended.is_none()
    }

    /// Whether its answer was a 101, or may have been one, of which the capture lacks too much to follow what came then: bytes of
    /// it, or all that came since.
    pub(super) fn may_hide_session(&self) -> bool {
        let exchange = self.exchange();
        exchange.session.is_none()
            && match (self.reply(), &exchange.partial_response) {
                (Reply::Unseen, Some(head)) => {
                    status_of(&head.bytes).is_none_or(|status| status == b"101")
                }
                (Reply::Unseen, None) => true,
                (Reply::Nothing, _) => self.record.connection.ended.is_none(),
                _ => false,
            }
    }
}

/// The status in the first line of a head, if there is so much of it.
fn status_of(head: &[u8]) -> Option<&[u8]> {
    head.split(|&byte| byte == b' ').nth(1)?.get(.."101".len())
}

impl Handshake {
    /// Whether some hop shows all that a side sent in the session, so that what it did not send there it never sent.
    pub fn hears(&self, side: Side) -> bool {
        self.tunnel().any(|(_, hop)| hop.hears(side))
    }

    /// Whether some hop shows all that a side sent, whether or not it made sense.
    pub fn shows(&self, side: Side) -> bool {
        let mut hops = self.hops.iter().filter(|hop| !hop.retried);
        hops.any(|hop| hop.record.shows(side.sends()))
    }
}
