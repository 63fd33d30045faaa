//! The hops most scenarios are made of, at their usual addresses, and what pairing makes of them.

pub(super) use super::build::*;
use crate::hop::{ChangeKind, Handshake, Hop, Known, SharedRecord, pair};
pub(super) const CLIENT: &str = "192.168.50.23:40380";
pub(super) const FRONT: &str = "192.168.50.1:80";
pub(super) const BACK: &str = "10.20.0.1:51000";
pub(super) const BACKEND: &str = "10.20.0.11:8080";
/// The nonce of RFC 6455 1.3, which recipes and load tools send as it is.
pub(super) const SAMPLE: &str = "dGhlIHNhbXBsZSBub25jZQ==";

pub(super) fn paired(builds: impl IntoIterator<Item = Build>) -> Vec<Handshake> {
    let records: Vec<SharedRecord> = builds.into_iter().map(Build::shared).collect();
    pair(&records, &mut Known::default())
}

/// The only handshake that these make.
pub(super) fn one(builds: impl IntoIterator<Item = Build>) -> Handshake {
    let mut handshakes = paired(builds);
    assert_eq!(handshakes.len(), 1, "{handshakes:#?}");
    handshakes.remove(0)
}

pub(super) fn ids(handshake: &Handshake) -> Vec<u64> {
    handshake
        .hops
        .iter()
        .map(|hop| hop.record.connection.id.0)
        .collect()
}

/// What changed on a hop, against the hop before it.
pub(super) fn changes(hop: &Hop) -> Vec<(&'static str, ChangeKind)> {
    let changes = hop.changes.iter();
    changes.map(|change| (change.header, change.kind)).collect()
}

/// The client hop of a handshake with `key`, answered after `took` milliseconds.
pub(super) fn client(id: u32, ms: f64, took: f64, key: &str, status: u16) -> Build {
    let told = if status == 101 {
        switching(key) + "Server: nginx/1.22.1\r\n"
    } else {
        answer(status)
    };
    Build::new(id, CLIENT, FRONT, ms - 1.0)
        .ask(ms, &upgrade("/ws", key))
        .tell(ms + took, &told)
}

/// The backend hop of a handshake with `key`, answered after `took` milliseconds.
pub(super) fn backend(id: u32, ms: f64, took: f64, key: &str, status: u16) -> Build {
    Build::new(id, BACK, BACKEND, ms - 0.5)
        .ask(ms, &upgrade("/ws", key))
        .tell(ms + took, &told(key, status))
}
