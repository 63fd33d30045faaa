//! One hop in words: who is at its ends, the fields that the handshake stands on, the Accept check, how it ended.
//!
//! A field that was not seen is no field that is missing: the caller knows which.

use super::frames::Frames;
use super::numbers::count;
use crate::report::view::{ConnectionView, FrontView, HopView, RequestView, StreamView};

/// On which interfaces a connection was seen, where that is worth telling; else empty.
pub(in crate::report) fn interfaces(connection: &ConnectionView) -> String {
    if !connection.tell_interfaces {
        return String::new();
    }
    let names: Vec<String> = connection
        .interfaces
        .iter()
        .map(|one| match &one.name {
            Some(name) => name.clone(),
            None => format!("interface {}", one.number),
        })
        .collect();
    if names.is_empty() {
        return String::new();
    }
    format!("on {}", names.join(", "))
}

/// TLS around a hop, and whether it was opened; empty where all is in clear.
pub(in crate::report) fn tls(connection: &ConnectionView) -> String {
    let Some(tls) = &connection.tls else {
        return String::new();
    };
    let version = tls.version.as_deref();
    let name = version.map_or_else(|| "TLS".to_owned(), |version| format!("TLS {version}"));
    match (tls.decrypted, tls.in_part) {
        (true, false) => format!("{name}, decrypted"),
        (true, true) => format!("{name}, decrypted in part"),
        (false, _) => name,
    }
}

/// What a TLS connection that nobody opened was found to be the one in front of a handshake by, and how sure that is.
pub(in crate::report) fn joined(front: &FrontView) -> String {
    let lengths = || {
        format!(
            "{} of records",
            count(front.agreed_lengths as u64, "length")
        )
    };
    let by = match front.paired_by {
        "time" => "the times of request and answer".to_owned(),
        "records" => lengths(),
        _ => format!("times and {}", lengths()),
    };
    let sure = how_sure(front.confidence);
    format!("not decrypted, joined by {by} ({sure})")
}

/// A confidence, as it stands in brackets behind what it is about.
pub(in crate::report) fn how_sure(confidence: &'static str) -> &'static str {
    match confidence {
        "guess" => "a guess",
        sure => sure,
    }
}

/// What the evidence of a connection lacks, in words; empty when it is complete.
pub(in crate::report) fn evidence_lacks(connection: &ConnectionView) -> String {
    let streams = [&connection.to_server, &connection.to_client];
    let sum = |of: fn(&StreamView) -> u64| streams.iter().map(|stream| of(stream)).sum::<u64>();
    let cut = sum(|stream| stream.truncated_bytes);
    let lost = sum(|stream| stream.lost_bytes);
    let given_up = sum(|stream| stream.given_up_bytes);
    let missing = sum(|stream| stream.missing_bytes);
    let parts = connection.quality.iter().map(|&lack| match lack {
        "mid-stream" => "began before the capture".to_owned(),
        "one-sided" if connection.to_client.frames == 0 => "only the client's side".to_owned(),
        "one-sided" => "only the server's side".to_owned(),
        "truncated" => format!("{} cut by the snaplen", count(cut, "byte")),
        "gap" => format!(
            "{} not captured",
            count(missing.saturating_sub(cut + lost + given_up), "byte")
        ),
        "lost" => format!("{} lost on the wire", count(lost, "byte")),
        "given-up" => format!("{} given up for memory", count(given_up, "byte")),
        "conflict" => format!(
            "{} with other bytes than before",
            count(sum(|stream| stream.conflicts), "retransmission")
        ),
        other => other.to_owned(),
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// What a hop connects: `client → proxy`.
pub(in crate::report) fn ends(role: &str) -> (&'static str, &'static str) {
    match role {
        "client-proxy" => ("client", "proxy"),
        "proxy-proxy" => ("proxy", "proxy"),
        "proxy-backend" => ("proxy", "backend"),
        _ => ("client", "server"),
    }
}

/// Who a side of a hop's connection is.
pub(in crate::report) fn party(role: &str, side: &str) -> &'static str {
    let (client, server) = ends(role);
    if side == "client" { client } else { server }
}

/// How a hop's connection ended, and where: `FIN by backend`, `#28 +4.9 ms`.
pub(in crate::report) fn ended(
    connection: &ConnectionView,
    role: &str,
    frames: &Frames<'_>,
) -> (String, Option<String>) {
    match (connection.ended.by, connection.ended.at_frame) {
        (Some(side), Some(frame)) => (
            format!(
                "{} by {}",
                connection.ended.how.to_ascii_uppercase(),
                party(role, side)
            ),
            Some(frames.at(frame)),
        ),
        _ => ("open when the capture ends".to_owned(), None),
    }
}

/// What the Accept check of a hop says.
pub(in crate::report) fn accept(hop: &HopView) -> String {
    let got = hop
        .response
        .as_ref()
        .and_then(|response| response.accept.as_deref());
    match hop.accept {
        "valid" => "✓ valid".to_owned(),
        "mismatch" => format!(
            "✗ {}, must be {}",
            got.unwrap_or("?"),
            hop.accept_expected.as_deref().unwrap_or("?")
        ),
        "missing" => "✗ missing".to_owned(),
        "not-applicable" => "– no 101".to_owned(),
        _ => "? not checked".to_owned(),
    }
}

/// The request fields that a handshake stands on, where they say something: label, field.
pub(in crate::report) const HEADERS: &[(&str, &str)] = &[
    ("Host", "Host"),
    ("Upgrade", "Upgrade"),
    ("Connection", "Connection"),
    ("Key", "Sec-WebSocket-Key"),
    ("Version", "Sec-WebSocket-Version"),
    ("Origin", "Origin"),
    ("Subprotocol", "Sec-WebSocket-Protocol"),
    ("Extensions", "Sec-WebSocket-Extensions"),
];

/// The value of one of [`HEADERS`].
pub(in crate::report) fn header(request: &RequestView, name: &str) -> Option<String> {
    let joined = |list: &[String]| (!list.is_empty()).then(|| list.join(", "));
    match name {
        "Host" => request.host.clone(),
        "Upgrade" => request.upgrade.clone(),
        "Connection" => request.connection.clone(),
        "Sec-WebSocket-Key" => request.key.as_ref().map(|key| match request.key_is_sample {
            Some(true) => format!("{key} (RFC sample)"),
            _ => key.clone(),
        }),
        "Sec-WebSocket-Version" => request.ws_version.clone(),
        "Origin" => request.origin.clone(),
        "Sec-WebSocket-Protocol" => joined(&request.subprotocols),
        _ => joined(&request.extensions),
    }
}

/// Whether a handshake cannot do without a field (RFC 6455 4.2.1).
pub(in crate::report) fn is_required(name: &str) -> bool {
    matches!(
        name,
        "Host" | "Upgrade" | "Connection" | "Sec-WebSocket-Key" | "Sec-WebSocket-Version"
    )
}
