//! What did not get through: a reader that does not read, a peer that is gone, a network that does not deliver.

use super::End;
use crate::capture::FrameRef;
use crate::diagnosis::Code;
use crate::diagnosis::draft::Draft;
use crate::diagnosis::program::Program;
use crate::diagnosis::text::{capital, duration};
use crate::diagnosis::timeout::{self, EARLY_NANOS};
use crate::hop::{Confidence, Hop, HopEnding, Party};
use crate::tcp::{Direction, Side, StreamFacts};

/// Retransmissions for at least this long are more than a burst of loss.
const IN_VAIN_NANOS: i64 = 1_000_000_000;

/// A window that is closed this long means a reader that does not read: the shortest timeout that anybody sets, as early
/// as a timer may fire.
const STUCK_NANOS: i64 = 1_000_000_000 - EARLY_NANOS;

impl<'a> End<'a> {
    /// The same of one side, which ended the session itself.
    pub(super) fn stopped_reading(&self, side: Side) -> Option<Draft> {
        let code = match side {
            Side::Client => Code::ClientNotReading,
            Side::Server => Code::BackendNotReading,
        };
        self.not_reading().filter(|draft| draft.code() == code)
    }

    /// A receive window that was closed and stayed so.
    pub(super) fn not_reading(&self) -> Option<Draft> {
        let end = self.ended()?.frame;
        let stuck = |hop: &'a Hop, side: Side| {
            let connection = &hop.record.connection;
            let since = connection.stream(side.sends()).zero_window_since?;
            Some((hop, since, self.time(end).nanos_since(self.time(since))))
        };
        let (code, side, who, (hop, since, nanos)) = stuck(self.story.outer, Side::Client)
            .filter(|_| !self.story.backend_only())
            .map(|found| (Code::ClientNotReading, Side::Client, self.client(), found))
            .or_else(|| {
                stuck(self.story.inner, Side::Server)
                    .map(|found| (Code::BackendNotReading, Side::Server, self.backend(), found))
            })?;
        if nanos < STUCK_NANOS {
            return None;
        }
        let text = format!("{} did not read for {}", capital(&who), duration(nanos));
        let draft = self
            .draft(code)
            .on(&hop.record)
            .title(text.clone())
            .headline(format!("{text}, until the tunnel was closed"))
            .detail(self.patience(side))
            .saw(since, format!("{who} closes its receive window"));
        Some(self.with_endings(draft))
    }

    /// How long a proxy that ended it had waited for a reader, and the timeout that shows.
    fn patience(&self, side: Side) -> String {
        let other = self
            .ended()
            .is_some_and(|ending| matches!(self.program(ending), Program::Other(_)));
        let directive = match side {
            _ if other => "timeout",
            Side::Client => "send_timeout",
            Side::Server => "proxy_send_timeout",
        };
        let Some(end) = self.ended().map(|ending| self.time(ending.frame)) else {
            return String::new();
        };
        // Data in either direction starts the timer anew; a proxy whose buffers are full closes its own window.
        let progress = self
            .hops()
            .filter_map(|hop| hop.record.connection.stream(side.sends()).zero_window_since)
            .chain(self.session.last_data)
            .map(|frame| self.time(frame))
            .filter(|at| *at <= end)
            .max();
        if self.session.ended_by != Some(Party::Proxy) {
            return format!("The limit for this in nginx is {directive}.");
        }
        let Some(waited) = progress.map(|at| end.nanos_since(at)) else {
            return String::new();
        };
        match timeout::usual(waited) {
            Some(timeout) => format!(
                "The proxy gave up {} after the last progress: its {directive} is {timeout} s.",
                duration(waited)
            ),
            None => format!(
                "The proxy gave up {} after the last progress; its limit for this is {directive}.",
                duration(waited)
            ),
        }
    }

    /// Data that was sent again and again since before the end.
    pub(super) fn lost_before(&self, ending: HopEnding) -> Option<Draft> {
        let (hop, direction) = self.in_vain()?;
        let since = hop.record.connection.stream(direction).last_data?;
        let before = self
            .story
            .time(ending.frame)
            .nanos_since(self.story.time(since));
        (before >= IN_VAIN_NANOS).then(|| self.lost()).flatten()
    }

    /// The hop and direction in which data was sent again and again, and never acknowledged.
    fn in_vain(&self) -> Option<(&'a Hop, Direction)> {
        self.hops().find_map(|hop| {
            [Direction::ToServer, Direction::ToClient]
                .into_iter()
                .find(|&direction| in_vain(hop.record.connection.stream(direction)).is_some())
                .map(|direction| (hop, direction))
        })
    }

    /// Data that was never acknowledged: by a peer that is still there, or by one that is gone.
    pub(super) fn lost(&self) -> Option<Draft> {
        let (hop, direction) = self.in_vain()?;
        let facts = hop.record.connection.stream(direction);
        let last = in_vain(facts)?;
        let connection = &hop.record.connection;
        let from = connection.endpoint(direction.sender());
        let to = connection.endpoint(direction.reverse().sender());
        let since = facts.last_data.unwrap_or(connection.first);
        let peer = connection.stream(direction.reverse());
        let alive = peer.last_data.is_some_and(|frame| frame.at > since.at)
            || [peer.fin, peer.rst]
                .into_iter()
                .flatten()
                .any(|frame| frame.at > since.at);
        let waited = duration(last.at.nanos_since(since.at));
        let code = if alive {
            Code::NetworkLoss
        } else {
            Code::ConnectionVanished
        };
        let text = if code == Code::NetworkLoss {
            format!(
                "{} bytes from {from} did not get through to {to}",
                facts.unacknowledged
            )
        } else {
            format!("{to} vanished: {waited} of retransmissions from {from} got no answer")
        };
        let draft = self
            .draft(code)
            .sure(Confidence::Likely)
            .on(&hop.record)
            .title(text.clone())
            .headline(format!("{text}{}", if self.ended().is_some() { ", until the tunnel was closed" } else { "" }))
            .detail(format!(
                "{} bytes were never acknowledged; they were sent again for {waited} ({} retransmissions).",
                facts.unacknowledged, facts.retransmitted
            ))
            .saw(since, "the last new data")
            .saw(last, "its last retransmission");
        Some(self.with_endings(draft))
    }
}

/// The last retransmission of data that was never acknowledged, if they went on for long.
fn in_vain(facts: &StreamFacts) -> Option<FrameRef> {
    let last = facts.last_retransmission?;
    let since = facts.last_data?;
    (facts.unacknowledged > 0
        && facts.retransmitted >= 2
        && last.at.nanos_since(since.at) >= IN_VAIN_NANOS)
        .then_some(last)
}
