//! How a session ended, as far as the capture shows it: who may have ended it before, unseen, and what was on its way.

use crate::capture::FrameRef;
use crate::hop::clock::Offsets;
use crate::hop::front::Front;
use crate::hop::handshake::{Handshake, Hop, Party};
use crate::tcp::{Connection, Direction, Side, StreamFacts};

/// A retransmission this short before the end means that the end came while data was on its way: RFC 6298 2
/// starts at one second and doubles, so a sender that still tries does so at least every few seconds.
const RETRYING_NANOS: i64 = 5_000_000_000;

/// The next repetition comes at twice the wait (RFC 6298 5.5), at the latest this long after one that only probes for lost
/// ends (RFC 8985 7.2; Linux waits at least 200 ms).
const NEXT_TRY_NANOS: i64 = 300_000_000;

/// Bytes that nobody acknowledges are sent again after a second at the latest (RFC 6298 2.4), where round trips are short.
pub const REPEATED_NANOS: i64 = 1_000_000_000;

/// And else after so many round trips (RFC 6298 2.2: one, and four times the half of one).
const REPEATED_RTTS: i64 = 3;

/// Who sends again so long after the first time did so more than once, to one that is gone: the waits between double, and the
/// first is a fifth of this in a network that is not slow (RFC 6298 5.5; Linux).
const IN_VAIN_NANOS: i64 = 1_000_000_000;

impl Handshake {
    /// Whether somebody else may have ended the session before the one who is the first to be seen, in frames that the capture
    /// lacks: on a way that was not captured, or, as a proxy ends a hop as well when the other one ended, by a FIN that is lost.
    pub(in crate::hop) fn may_hide_earlier_end(&self, by: Party) -> bool {
        let outer = || self.tunnel().next().map(|(_, hop)| hop);
        let inner = || self.tunnel().last().map(|(_, hop)| hop);
        let unheard = |hop: Option<&Hop>, side| hop.is_some_and(|hop| hop.is_unheard(side));
        let hides = |hop: Option<&Hop>, side| hop.is_some_and(|hop| hop.may_hide_end(side));
        match by {
            Party::Client => unheard(outer(), Side::Server),
            Party::Backend => unheard(inner(), Side::Client),
            Party::Proxy => {
                unheard(outer(), Side::Client)
                    || unheard(inner(), Side::Server)
                    || hides(outer(), Side::Client)
                    || hides(inner(), Side::Server)
            }
        }
    }

    /// Whether somebody else than the one who ended the session may have sent a Close frame before, which no hop shows.
    pub(in crate::hop) fn may_hide_other_close(&self, by: Party) -> bool {
        let hidden = |side: Side| {
            let mut hops = self.tunnel().filter(|(_, hop)| hop.session().is_some());
            hops.all(|(_, hop)| hop.may_hide_close(side))
        };
        match by {
            Party::Client => hidden(Side::Server),
            Party::Backend => hidden(Side::Client),
            Party::Proxy => hidden(Side::Client) || hidden(Side::Server),
        }
    }

    /// Whether bytes were on their way when the session ended that nobody is seen to have got. Of a hop whose capture ends before
    /// its answer nobody knows what was acknowledged since.
    pub(in crate::hop) fn may_be_sending(
        &self,
        begun: FrameRef,
        end: FrameRef,
        offsets: &Offsets,
    ) -> bool {
        let followed = |hop: &Hop| hop.session().is_some() || hop.record.connection.ended.is_some();
        self.tunnel()
            .filter(|(_, hop)| followed(hop))
            .map(|(_, hop)| &hop.record)
            .chain(self.front.as_deref().map(|front| &front.record))
            .any(|record| is_outstanding(&record.connection, begun, end, offsets))
    }
}

impl Front {
    /// Whether its client may have left first, unseen: on a way that was not captured, or behind the end of what was.
    pub(in crate::hop) fn may_hide_departure(&self) -> bool {
        let connection = &self.record.connection;
        connection.to_server.frames == 0 || connection.ended.is_none()
    }
}

impl Hop {
    /// Whether nothing that a side sent was captured, although the other one was.
    fn is_unheard(&self, side: Side) -> bool {
        let connection = &self.record.connection;
        let frames = |side: Side| connection.stream(side.sends()).frames;
        frames(side) == 0 && frames(side.other()) > 0
    }

    /// Whether the last bytes that a side sent are not in the capture, or those after which nothing could be followed: a Close
    /// frame may be among them.
    fn may_hide_close(&self, side: Side) -> bool {
        let stream = self.record.connection.stream(side.sends());
        let lost = self
            .session()
            .is_none_or(|session| session.lost_sync == Some(side.sends()));
        lost || stream.unseen_at_end > 1
    }

    /// Whether a side may have ended it before anybody else did, in frames that the capture lacks. That asks only who knows
    /// that it did end: a proxy that ends a session ends all its hops, and one that shows no end was not captured to it.
    fn may_hide_end(&self, side: Side) -> bool {
        let connection = &self.record.connection;
        let stream = connection.stream(side.sends());
        let seen = stream.fin.is_some() || stream.rst.is_some();
        // What came before an end that was seen is a hole by then; a number more is the FIN that answers.
        if connection.ended.is_some() {
            return !seen && stream.unseen_at_end > 1;
        }
        // A FIN waits behind bytes that its receiver does not take, or that are sent again and again to one that is gone.
        let other = connection.stream(side.other().sends());
        let in_vain = other.unacknowledged > 0 && {
            let mut tries = other.last_retransmission.zip(other.last_data).into_iter();
            tries.any(|(again, first)| again.at.nanos_since(first.at) >= IN_VAIN_NANOS)
        };
        !(in_vain || stream.zero_window_since.is_some()) || connection.may_have_ended()
    }

    /// Whether the last words of a side may answer an end of the other one that is not seen, by a FIN that the capture lacks: that
    /// one met them with a reset, or nothing but that was acknowledged behind its last bytes.
    pub(in crate::hop) fn may_answer_hidden_end(&self, side: Side) -> bool {
        let connection = &self.record.connection;
        let other = connection.stream(side.other().sends());
        let unseen = other.fin.is_none() && other.unseen_at_end > 0;
        unseen && (other.rst.is_some() || connection.ended.is_none())
    }
}

fn is_outstanding(
    connection: &Connection,
    begun: FrameRef,
    end: FrameRef,
    offsets: &Offsets,
) -> bool {
    let both = [Direction::ToServer, Direction::ToClient];
    both.iter().any(|&direction| {
        let stream = connection.stream(direction);
        // What was sent after the end is not acknowledged any more, and was not on its way before it.
        let in_flight = stream
            .last_data
            .is_none_or(|frame| offsets.correct(frame) <= end);
        is_retrying(stream, begun, end, offsets)
            || stream.unacknowledged > 0
                && in_flight
                && !was_heard(connection, direction, end, offsets)
    })
}

/// Whether a sender repeated its bytes shortly before the end, and nothing tells that they were heard then.
fn is_retrying(stream: &StreamFacts, begun: FrameRef, end: FrameRef, offsets: &Offsets) -> bool {
    let repeated = stream.last_retransmission;
    // What was repeated on the way to the 101 came through: else there were none.
    let Some(frame) = repeated.filter(|frame| offsets.correct(*frame) > begun) else {
        return false;
    };
    let before = end.at.nanos_since(offsets.correct(frame).at);
    let waited = stream.last_data.map(|data| frame.at.nanos_since(data.at));
    // Acknowledged, as far as the capture shows: a sender that heard nothing of it would have tried once more.
    let heard = stream.unacknowledged == 0
        && waited.is_some_and(|waited| before > NEXT_TRY_NANOS.max(waited.saturating_mul(2)));
    // As it was where more was sent when the next try was due: who hears nothing has no room for more (RFC 5681 3.1).
    let went_on = waited.is_some_and(|waited| waited < -NEXT_TRY_NANOS);
    (0..=RETRYING_NANOS).contains(&before) && !heard && !went_on
}

/// Whether the last bytes of a stream were acknowledged, in a frame that the capture lacks: they were not sent again when that was
/// due, and its FIN came behind them. Who has to send again may have one segment on its way (RFC 5681 3.1), so that a FIN waits.
fn was_heard(
    connection: &Connection,
    direction: Direction,
    end: FrameRef,
    offsets: &Offsets,
) -> bool {
    let stream = connection.stream(direction);
    let Some((data, fin)) = stream.last_data.zip(stream.fin) else {
        return false;
    };
    // Of a connection without a known round trip the longest that is usual is assumed.
    let rtt = connection.rtt_nanos.unwrap_or(REPEATED_NANOS);
    let due = REPEATED_NANOS.max(rtt.saturating_mul(REPEATED_RTTS));
    let until = end.at.min(offsets.correct(fin).at);
    let again = stream.last_retransmission;
    again.is_none_or(|again| again < data) && until.nanos_since(offsets.correct(data).at) >= due
}
