//! What was seen besides handshakes, counted by protocol and server port.
//!
//! Each connection counts once; memory is bounded, whatever ports a scan touches: those beyond are counted by protocol alone.

use std::collections::BTreeMap;

use foldhash::HashMap;

use super::build;
use crate::decode::OtherKind;
use crate::hop::{Protocol, Record, is_engine_io};
use crate::tcp::{Direction, Opening};

/// Pairs of protocol and server port counted one by one: scans touch every port there is.
const PORTS_MAX: usize = 4096;

/// What was seen besides handshakes: by protocol and server port, and frames that are no TCP.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    /// Connections by protocol and server port; `refused` and `unanswered` are those that never opened,
    /// `http-cut-short` those of which requests are not whole in the capture, `http-upgrade-required` those on which an
    /// ordinary request was answered 426, `http-polling-refused` those on which a client of Socket.IO was refused,
    /// `http-post-refused` those on which another POST was.
    pub ports: BTreeMap<(&'static str, u16), u64>,
    /// Connections on further ports, by protocol.
    pub more: BTreeMap<&'static str, u64>,
    /// Frames without a TCP segment, by kind.
    pub others: BTreeMap<OtherKind, u64>,
}

/// Counts what [`Traffic`] tells, once per connection.
#[derive(Debug, Clone, Default)]
pub(super) struct TrafficCounts {
    ports: HashMap<(Seen, u16), u64>,
    more: BTreeMap<Seen, u64>,
}

/// What a connection came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Seen {
    Spoke(Protocol),
    /// HTTP/1, and some of what the client sent is not in the capture.
    CutShort,
    /// HTTP/1, and a request that asks for no WebSocket was answered 426 (RFC 9110 15.5.22).
    UpgradeRequired,
    /// HTTP/1, and polling of Socket.IO was answered 400 or above: its client upgrades only after that worked.
    PollingRefused,
    /// HTTP/1, and a POST was answered 400 or above, as that with which other clients begin before they upgrade.
    PostRefused,
    Refused,
    Unanswered,
}

impl Seen {
    fn of(record: &Record) -> Self {
        match (record.protocol, record.connection.opening) {
            (Protocol::None, Opening::Refused) => Self::Refused,
            (Protocol::None, Opening::Unanswered) => Self::Unanswered,
            (Protocol::Http, _) if !record.shows(Direction::ToServer) => Self::CutShort,
            (Protocol::Http, _) => of_answers(record).unwrap_or(Self::Spoke(Protocol::Http)),
            (protocol, _) => Self::Spoke(protocol),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Spoke(protocol) => build::protocol(protocol),
            Self::CutShort => "http-cut-short",
            Self::UpgradeRequired => "http-upgrade-required",
            Self::PollingRefused => "http-polling-refused",
            Self::PostRefused => "http-post-refused",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
        }
    }
}

/// What answers to ordinary requests tell of a WebSocket that nobody asked for.
fn of_answers(record: &Record) -> Option<Seen> {
    let exchanges = record.ordinary.iter();
    let told = exchanges.filter_map(|exchange| match exchange.response?.1 {
        426 => Some(Seen::UpgradeRequired),
        400.. if is_engine_io(&exchange.target) => Some(Seen::PollingRefused),
        400.. if exchange.method.eq_ignore_ascii_case("POST") => Some(Seen::PostRefused),
        _ => None,
    });
    // What tells most stands first.
    told.min()
}

impl TrafficCounts {
    pub(super) fn count(&mut self, record: &Record) {
        let (seen, port) = (Seen::of(record), record.connection.server.port());
        if let Some(count) = self.ports.get_mut(&(seen, port)) {
            *count += 1;
        } else if self.ports.len() < PORTS_MAX {
            self.ports.insert((seen, port), 1);
        } else {
            *self.more.entry(seen).or_default() += 1;
        }
    }

    pub(super) fn finish(self, others: BTreeMap<OtherKind, u64>) -> Traffic {
        let ports = self.ports.into_iter();
        let more = self.more.into_iter();
        Traffic {
            ports: ports
                .map(|((seen, port), count)| ((seen.name(), port), count))
                .collect(),
            more: more.map(|(seen, count)| (seen.name(), count)).collect(),
            others,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{CaptureId, FrameNo, FrameRef, Timestamp};
    use crate::decode::Endpoint;
    use crate::hop::{OrdinaryExchange, testkit};

    /// Where requests were cut off or not captured, nobody knows that none of them asked for a WebSocket.
    #[test]
    fn requests_that_are_not_there_ask_for_nothing_that_is_known() {
        let first = FrameRef::new(Timestamp::from_nanos(0), CaptureId(0), FrameNo(1));
        let mut counts = TrafficCounts::default();
        for (number, frames, missing) in [(0, 3, 0), (1, 3, 166), (2, 0, 0)] {
            let [client, server] = [1, 2].map(|last| Endpoint::v4([10, 0, 0, last], 80));
            let mut connection = testkit::connection(number, client, server, first);
            connection.to_server.frames = frames;
            connection.to_server.missing_bytes = missing;
            counts.count(&testkit::record(connection, Protocol::Http, Vec::new()));
        }
        let traffic = counts.finish(BTreeMap::new());
        assert_eq!(
            traffic.ports,
            BTreeMap::from([(("http", 80), 1), (("http-cut-short", 80), 2)])
        );
    }

    /// The client that people try first is curl, and its plain request asks for no WebSocket.
    #[test]
    fn answers_tell_of_a_websocket_that_nobody_asked_for() {
        let first = FrameRef::new(Timestamp::from_nanos(0), CaptureId(0), FrameNo(1));
        let polling = "/socket.io/?EIO=4&transport=polling";
        for (method, target, status, told) in [
            ("GET", "/ws", Some(426), "http-upgrade-required"),
            ("GET", polling, Some(404), "http-polling-refused"),
            ("POST", polling, Some(404), "http-polling-refused"),
            ("GET", polling, Some(200), "http"),
            ("GET", polling, None, "http"),
            ("GET", "/transport=polling", Some(404), "http"),
            ("GET", "/ws", Some(404), "http"),
            ("POST", "/hub/negotiate", Some(404), "http-post-refused"),
            ("POST", "/hub/negotiate", Some(200), "http"),
        ] {
            let [client, server] = [1, 2].map(|last| Endpoint::v4([10, 0, 0, last], 80));
            let mut connection = testkit::connection(0, client, server, first);
            connection.to_server.frames = 3;
            let mut record = testkit::record(connection, Protocol::Http, Vec::new());
            record.ordinary = vec![OrdinaryExchange {
                index: 0,
                request: first,
                method: method.into(),
                target: target.into(),
                minor_version: 1,
                connection: None,
                upgrade: None,
                response: status.map(|status| (first, status)),
            }];
            let mut counts = TrafficCounts::default();
            counts.count(&record);
            let traffic = counts.finish(BTreeMap::new());
            assert_eq!(
                traffic.ports,
                BTreeMap::from([((told, 80), 1)]),
                "{target} {status:?}"
            );
        }
    }
}
