//! How numbers, times, parties and frames are worded, the same in every form of the report.
//!
//! Invariants: words are chosen here and nowhere else, so that the forms cannot contradict each other; texts are not
//! escaped yet, each form does that for where they go.

mod frames;
mod hop;
mod numbers;
mod session;
mod whole;

pub(super) use frames::{Frames, file_name, file_of};
pub(super) use hop::{
    HEADERS, accept, ended, ends, evidence_lacks, header, how_sure, interfaces, is_required,
    joined, tls,
};
pub(super) use numbers::{count, duration, shortened, thousands, time};
pub(super) use session::{Tone, close_code, session};
pub(super) use whole::{Lone, Told, left_out, lone_findings, none, oddities, title, troubles};

use crate::report::view::HandshakeView;

/// Who answered, how sure that is and what tells: `answered by the proxy (likely: the body is nginx's own page)`.
/// `None` where there was no answer or nobody knows.
pub(super) fn answered_by(handshake: &HandshakeView) -> Option<String> {
    let by = handshake.answered_by.filter(|&by| by != "unknown")?;
    let sure = handshake.answered_by_confidence.unwrap_or("guess");
    let tells = handshake.answered_by_reason.as_deref().unwrap_or_default();
    Some(format!("answered by the {by} ({sure}: {tells})"))
}

/// The same without what tells, where a finding says that.
pub(super) fn answered_by_in_short(handshake: &HandshakeView) -> Option<String> {
    let by = handshake.answered_by.filter(|&by| by != "unknown")?;
    Some(match handshake.answered_by_confidence {
        Some("certain") | None => format!("answered by the {by}"),
        Some(sure) => format!("answered by the {by} ({sure})"),
    })
}

/// An address with the name that a capture has for it.
pub(super) fn named(address: &str, name: Option<&String>) -> String {
    match name {
        Some(name) => format!("{address} ({name})"),
        None => address.to_owned(),
    }
}

/// The verdict as a heading.
pub(super) fn verdict(verdict: &str) -> &'static str {
    match verdict {
        "ok" => "OK",
        "failed" => "FAILED",
        "broken" => "BROKEN",
        _ => "UNCLEAR",
    }
}

/// The protocol of connections in words, and what it means for us.
pub(super) fn protocol(name: &str) -> (&'static str, &'static str) {
    match name {
        "websocket" => ("WebSocket", "joined after its handshake"),
        "http" => ("HTTP/1", "no WebSocket request on them"),
        "http-cut-short" => (
            "HTTP/1",
            "requests not whole in the capture: whether one asks for a WebSocket is not known",
        ),
        "http-upgrade-required" => (
            "HTTP/1",
            "answered 426 Upgrade Required, as a WebSocket server does to a request that does not ask for one",
        ),
        "http-polling-refused" => (
            "HTTP/1",
            "polling of Socket.IO was refused: its client asks for a WebSocket only after that worked",
        ),
        "http-post-refused" => (
            "HTTP/1",
            "a POST was refused: some clients (SignalR with its negotiate, game servers) ask for a WebSocket only after one worked",
        ),
        "http2" => ("HTTP/2", "not read"),
        "tls" => (
            "TLS",
            "encrypted: a handshake inside cannot be seen without keys (--keylog)",
        ),
        "none" => ("TCP", "without any payload"),
        "refused" => (
            "TCP",
            "refused: nothing listens there, or a firewall rejects them",
        ),
        "unanswered" => (
            "TCP",
            "SYN not answered: dropped on the way, or the answers were not captured",
        ),
        _ => (
            "TCP",
            "another protocol, or under way when the capture began",
        ),
    }
}

/// A kind of frames without a TCP segment.
pub(super) fn other_kind(kind: crate::decode::OtherKind) -> String {
    use crate::decode::OtherKind as Kind;
    match kind {
        Kind::Udp { port } => format!("UDP port {port}"),
        Kind::Arp => "ARP".to_owned(),
        Kind::Icmp => "ICMP".to_owned(),
        Kind::OtherIp { protocol } => format!("IP protocol {protocol}"),
        Kind::NotIp => "not IP".to_owned(),
        Kind::Fragment => "IP fragments".to_owned(),
        Kind::Unreadable => "unreadable: cut off or malformed headers".to_owned(),
        Kind::UnsupportedLink => "of a link type that is not supported".to_owned(),
    }
}
