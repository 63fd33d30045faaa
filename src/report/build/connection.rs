//! A connection as the report has it: its ends, its two streams, its opening and end, TLS in clear.
//!
//! Counts are those of the stages, each byte and frame once; what the evidence lacks is said, not made up for.

use super::milliseconds;
use super::names::{ending, opening, protocol, roles_from, side, unreachable};
use crate::hop::Record;
use crate::report::redact::Redactor;
use crate::report::view::{
    AlertView, ConnectionView, EndedView, InterfaceView, StreamView, TlsView, UnreachableView,
};
use crate::report::visit;
use crate::tcp::{Connection, Opening, StreamFacts};
use crate::tls::{Sealed, TlsFacts, alert_name, cipher_name, version_name};

/// A connection.
fn connection(record: &Record) -> ConnectionView {
    let connection = &record.connection;
    ConnectionView {
        id: connection.id,
        captures: capture_ids(connection.captures),
        client: connection.client.to_string(),
        server: connection.server.to_string(),
        interfaces: connection
            .interfaces
            .iter()
            .map(|(capture, number)| InterfaceView {
                capture: capture.0,
                number,
                name: None,
            })
            .collect(),
        client_name: None,
        server_name: None,
        roles_from: roles_from(connection.roles_from),
        protocol: protocol(record.protocol),
        first_at: connection.first.at,
        last_at: connection.last.at,
        opening: opening(connection.opening),
        rtt_ms: connection.rtt_nanos.map(milliseconds),
        to_server: stream(&connection.to_server),
        to_client: stream(&connection.to_client),
        ended: ended(connection),
        exchanges: record.exchange_count,
        duplicate_frames: connection.duplicates,
        unreachable: connection.unreachable.map(|(frame, why)| UnreachableView {
            why: unreachable(why),
            at: frame.at,
            frame: frame.number().0,
        }),
        quality: quality(connection),
        tls: record.tls.as_deref().map(tls).map(Box::new),
        first: connection.first,
        addresses: [connection.client.ip(), connection.server.ip()],
        syns: connection.syns,
        tell_interfaces: false,
    }
}

/// A connection, masked.
pub(in crate::report) fn masked_connection(
    record: &Record,
    redactor: &mut Redactor,
) -> ConnectionView {
    let mut view = connection(record);
    if !redactor.is_off() {
        visit::connection(&mut view, &mut |kind, text| redactor.apply(kind, text));
    }
    view
}

/// What the evidence of a connection lacks.
fn quality(connection: &Connection) -> Vec<&'static str> {
    let streams = [&connection.to_server, &connection.to_client];
    let sum =
        |count: fn(&StreamFacts) -> u64| streams.iter().map(|facts| count(facts)).sum::<u64>();
    [
        ("mid-stream", connection.opening == Opening::Midstream),
        // Nobody answers a connect that is unanswered.
        (
            "one-sided",
            connection.opening != Opening::Unanswered && connection.is_one_sided(),
        ),
        ("truncated", sum(|facts| facts.truncated_bytes) > 0),
        ("gap", sum(StreamFacts::not_captured_bytes) > 0),
        ("lost", sum(|facts| facts.lost_bytes) > 0),
        ("given-up", sum(|facts| facts.given_up_bytes) > 0),
        ("conflict", sum(|facts| facts.conflicts) > 0),
    ]
    .into_iter()
    .filter_map(|(name, is)| is.then_some(name))
    .collect()
}

fn capture_ids(bits: u64) -> Vec<u16> {
    (0..64).filter(|bit| bits >> bit & 1 == 1).collect()
}

pub(super) const fn stream(facts: &StreamFacts) -> StreamView {
    StreamView {
        frames: facts.frames,
        payload_bytes: facts.payload_bytes,
        retransmitted: facts.retransmitted,
        out_of_order: facts.out_of_order,
        missing_bytes: facts.missing_bytes,
        truncated_bytes: facts.truncated_bytes,
        lost_bytes: facts.lost_bytes,
        given_up_bytes: facts.given_up_bytes,
        conflicts: facts.conflicts,
        zero_windows: facts.zero_windows,
    }
}

fn ended(connection: &Connection) -> EndedView {
    match connection.ended {
        Some(end) => EndedView {
            how: ending(end.how),
            by: Some(side(end.by)),
            at: Some(end.frame.at),
            frame: Some(end.frame.number().0),
            at_frame: Some(end.frame),
        },
        None => EndedView {
            how: "open",
            by: None,
            at: None,
            frame: None,
            at_frame: None,
        },
    }
}

fn tls(facts: &TlsFacts) -> TlsView {
    // The word TLS stands for itself in a field that is about TLS.
    let version = |code: u16| {
        version_name(code).map_or_else(
            || format!("{code:#06x}"),
            |name| name.trim_start_matches("TLS ").to_owned(),
        )
    };
    let cipher =
        |code: u16| cipher_name(code).map_or_else(|| format!("{code:#06x}"), str::to_owned);
    TlsView {
        version: facts.version.map(version),
        sni: facts.sni.as_deref().map(str::to_owned),
        alpn_offered: facts.alpn_offered.iter().map(ToString::to_string).collect(),
        alpn: facts.alpn.as_deref().map(str::to_owned),
        cipher: facts.cipher.map(cipher),
        alerts: facts
            .alerts
            .iter()
            .map(|alert| AlertView {
                from: side(alert.from),
                level: match alert.level {
                    1 => "warning".to_owned(),
                    2 => "fatal".to_owned(),
                    other => other.to_string(),
                },
                description: alert_name(alert.description)
                    .map_or_else(|| alert.description.to_string(), str::to_owned),
            })
            .collect(),
        decrypted: facts.sealed.is_open(),
        in_part: matches!(facts.sealed, Sealed::Lost { .. }),
        keys_in_capture: facts.sealed != Sealed::NoKeys,
    }
}
