//! What was seen besides handshakes, counted by protocol and server port.
//!
//! Each connection counts once; memory is bounded, whatever ports a scan touches: those beyond are counted by protocol alone.

use std::collections::BTreeMap;

use foldhash::HashMap;

use super::build;
use crate::decode::OtherKind;
use crate::hop::Protocol;

/// Pairs of protocol and server port counted one by one: scans touch every port there is.
const PORTS_MAX: usize = 4096;

/// What was seen besides handshakes: by protocol and server port, and frames that are no TCP.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    /// Connections by protocol and server port.
    pub ports: BTreeMap<(&'static str, u16), u64>,
    /// Connections on further ports, by protocol.
    pub more: BTreeMap<&'static str, u64>,
    /// Frames without a TCP segment, by kind.
    pub others: BTreeMap<OtherKind, u64>,
}

/// Counts what [`Traffic`] tells, once per connection.
#[derive(Debug, Clone, Default)]
pub(super) struct TrafficCounts {
    ports: HashMap<(Protocol, u16), u64>,
    more: BTreeMap<Protocol, u64>,
}

impl TrafficCounts {
    pub(super) fn count(&mut self, protocol: Protocol, port: u16) {
        if let Some(count) = self.ports.get_mut(&(protocol, port)) {
            *count += 1;
        } else if self.ports.len() < PORTS_MAX {
            self.ports.insert((protocol, port), 1);
        } else {
            *self.more.entry(protocol).or_default() += 1;
        }
    }

    pub(super) fn finish(self, others: BTreeMap<OtherKind, u64>) -> Traffic {
        let ports = self.ports.into_iter();
        let more = self.more.into_iter();
        Traffic {
            ports: ports
                .map(|((protocol, port), count)| ((build::protocol(protocol), port), count))
                .collect(),
            more: more
                .map(|(protocol, count)| (build::protocol(protocol), count))
                .collect(),
            others,
        }
    }
}
