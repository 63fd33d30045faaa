//! The front of a session that was up when the capture began: there is only what was relayed since then.
//!
//! ```text
//!   capture begins
//!        |  record of n bytes ==> proxy -- n bytes -->        goes in and comes out a moment later
//!     ===|=> proxy -- n bytes -->                             on its way then: nothing was seen to go in
//! ```

use super::relay::{Relay, carried, marked, marked_behind};
use super::{Behind, Fit, JoinedBy, LAG_NANOS, SOME, newest, newest_mark};
use crate::capture::{FrameRef, Timestamp};
use crate::hop::handshake::Confidence;
use crate::hop::record::{Exchange, Record};
use crate::hop::relayed::Mark;
use crate::tcp::{Direction, Opening};
use crate::tls::{Size, TlsFacts};

/// Whether the capture shows no more of a handshake than the session that it opened.
pub(in crate::hop) fn is_late(exchange: &Exchange, record: &Record) -> bool {
    let asked = exchange.request.is_some() || exchange.partial_request.is_some();
    !asked && exchange.response.is_none() && record.connection.opening == Opening::Midstream
}

/// Whether a TLS connection was up when the capture began, and its hellos are not in it.
pub(in crate::hop) fn was_up(front: &Record) -> bool {
    let tls = front.tls.as_deref();
    front.connection.opening == Opening::Midstream && tls.is_some_and(TlsFacts::began_before)
}

impl Behind<'_> {
    /// How well a front fits where the session was up when the capture began: by what was relayed since then alone. What a
    /// record has beside its text is not known, but the same for all.
    pub(super) fn fit_late(&self, front: &Record, lag: i64) -> Option<Fit> {
        let (_, sizes) = self.comparable(front).filter(|_| was_up(front))?;
        let relayed = self.node.exchange()?.relayed.as_deref()?;
        let known = sizes.is_cut().then(|| newest(sizes)).flatten();
        let back_known = relayed.is_cut().then(|| newest_mark(relayed)).flatten();
        let ends = [&self.node.record.connection, &front.connection];
        let end = ends
            .iter()
            .filter_map(|one| Some(one.ended?.frame.at))
            .min();
        let began = front.connection.first.at;
        let began = began.min(self.node.record.connection.first.at);
        let asks = sizes.of(Direction::ToServer);
        let passed = relayed.of(Direction::ToServer);
        let said = relayed.of(Direction::ToClient);
        let replies = sizes.of(Direction::ToClient);
        let record = |size: &Size| size.frame;
        let mark = |mark: &Mark| mark.frame;
        let inward = under_way(asks.iter().map(record), passed.iter().map(mark), began);
        let outward = under_way(said.iter().map(mark), replies.iter().map(record), began);
        // Messages of one length look so both ways where it is the hop that is in front of the TLS connection.
        if inward > 0 && outward > 0 {
            return None;
        }
        let passed = marked_behind(passed, inward);
        let replies = replies.get(outward..)?;
        let cut = sizes.is_cut();
        let compared = |facts: &TlsFacts| {
            let inward = Relay {
                into: (carried(asks, facts, cut)?, known),
                out: (passed.clone(), back_known),
            };
            let outward = Relay {
                into: (marked(said), back_known),
                out: (carried(replies, facts, cut)?, known),
            };
            let (inward, outward) = (inward.compare(lag, end)?, outward.compare(lag, end)?);
            let agreed = inward.agreed + outward.agreed;
            let enough = agreed >= SOME && agreed * 2 >= inward.of + outward.of;
            enough.then_some(agreed)
        };
        let agreed = TlsFacts::guesses().iter().filter_map(compared).max()?;
        let first = sizes.of(Direction::ToServer).first()?;
        self.judged(
            front,
            Fit {
                first: first.frame,
                late: true,
                answer: None,
                agreed,
                by: JoinedBy::RecordsAndTime,
                confidence: Confidence::Guess,
                offset_nanos: 0,
                is_named: false,
            },
        )
    }
}

/// How many of what came out first had gone in before anything was captured: nothing was seen to go in before them, and
/// they came out while something may have been on its way since the capture `began`.
fn under_way(
    mut into: impl Iterator<Item = FrameRef>,
    out: impl Iterator<Item = FrameRef>,
    began: Timestamp,
) -> usize {
    let seen = into.next();
    let until = began.shifted(LAG_NANOS);
    let early = |one: &FrameRef| one.at <= until && seen.is_none_or(|seen| one.at < seen.at);
    out.take_while(early).count()
}
