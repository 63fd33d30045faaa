//! What a report keeps of all that happened, and that the rest is counted.

use super::*;
use crate::diagnosis::{Code, Severity};
use crate::tcp::ConnectionId;

#[test]
fn ids_follow_the_start_and_do_not_depend_on_what_is_kept() {
    let later = |(mut handshake, diagnosis): Case, micros: i64| {
        for hop in &mut handshake.hops {
            let record = std::sync::Arc::make_mut(&mut hop.record);
            for exchange in &mut record.exchanges {
                let request = exchange.request.as_mut().unwrap();
                request.span.first.at = request
                    .span
                    .first
                    .at
                    .plus(std::time::Duration::from_micros(micros.unsigned_abs()));
            }
        }
        (handshake, diagnosis)
    };
    // The last to begin is the first to finish.
    let cases = [
        later(fix::not_forwarded(), 900),
        later(fix::healthy(), 500),
        fix::idle(),
    ];
    let ids = |keep: Keep| -> Vec<(String, &'static str)> {
        report_with(keep, Redact::None, &cases)
            .handshakes
            .into_iter()
            .map(|handshake| (handshake.id, handshake.verdict))
            .collect()
    };
    let h = |id: &str, verdict| (id.to_owned(), verdict);
    assert_eq!(
        ids(Keep::default()),
        [h("h1", "broken"), h("h2", "ok"), h("h3", "failed")]
    );
    assert_eq!(ids(failed_only()), [h("h1", "broken"), h("h3", "failed")]);
}

#[test]
fn only_failed_keeps_the_counts_and_drops_the_rest() {
    let mut collector = Collector::new(failed_only(), Redact::None);
    feed(&mut collector, &[fix::healthy(), fix::not_forwarded()]);
    collector.connection(&fix::background(7, Protocol::Tls, 443), false);
    let report = collector.finish(&[fix::capture_info()], BTreeMap::new());
    assert_eq!(report.summary.handshakes, 2);
    assert_eq!(report.summary.connections, 5);
    assert_eq!((report.summary.ok, report.summary.failed), (1, 1));
    assert_eq!(report.handshakes.len(), 1);
    let ids: Vec<u64> = report.connections.iter().map(|c| c.id.0).collect();
    assert_eq!(ids, [0, 1]);
    assert!(
        report
            .findings
            .iter()
            .all(|f| f.handshake.as_deref() == Some("h2"))
    );
}

#[test]
fn other_connections_are_listed_up_to_a_limit_that_is_named() {
    let mut collector = Collector::new(Keep::default(), Redact::Standard);
    for id in 0..OTHER_CONNECTIONS_MAX as u32 + 5 {
        collector.connection(&fix::background(id, Protocol::Other, 9), false);
    }
    let report = collector.finish(&[fix::capture_info()], BTreeMap::new());
    assert_eq!(report.connections.len(), OTHER_CONNECTIONS_MAX);
    assert_eq!(report.limits.len(), 1);
    assert_eq!(
        report.limits[0].detail,
        "5 further connections without a handshake are not listed"
    );
}

#[test]
fn per_cause_keeps_the_first_and_counts_all() {
    let keep = Keep {
        per_cause: Some(1),
        ..Keep::default()
    };
    let cases: Vec<Case> = (0..5).map(|_| fix::idle()).collect();
    let report = report_with(keep, Redact::Standard, &cases);
    assert_eq!(report.handshakes.len(), 1);
    assert_eq!(report.summary.broken, 5);
    assert_eq!(report.causes.len(), 1);
    assert_eq!(report.causes[0].count, 5);
    assert!(terminal(&report, 100, false).contains("4 more handshakes that went wrong"));
}

#[test]
fn what_takes_too_much_memory_is_counted_and_not_kept() {
    let keep = Keep {
        bytes: Some(1),
        ..Keep::default()
    };
    let cases: Vec<Case> = (0..5).map(|_| fix::idle()).collect();
    let report = report_with(keep, Redact::Standard, &cases);
    // The first one filled the room.
    assert_eq!(report.handshakes.len(), 1);
    assert_eq!((report.summary.broken, report.causes[0].count), (5, 5));
    assert!(terminal(&report, 100, false).contains("4 more handshakes that went wrong"));
}

#[test]
fn a_finding_about_a_connection_brings_the_connection() {
    let mut collector = Collector::new(failed_only(), Redact::Standard);
    let mut finding = fix::finding(
        Code::TlsToPlainPort,
        Severity::Error,
        "a client speaks TLS to port 80",
        &[(fix::frame(4, 10), "ClientHello")],
    );
    finding.connections = vec![ConnectionId(0)];
    collector.connection(&fix::background(0, Protocol::Tls, 80), true);
    collector.connection(&fix::background(1, Protocol::Tls, 80), false);
    collector.connection(&fix::background(2, Protocol::Tls, 80), true);
    collector.finding(&finding);
    let report = collector.finish(&[fix::capture_info()], BTreeMap::new());
    assert_eq!(report.connections.len(), 1);
    assert_eq!(report.findings[0].handshake, None);
    assert_eq!(report.summary.errors, 1);
    let text = terminal(&report, 100, false);
    assert!(
        text.contains("FAULT  a client speaks TLS to port 80"),
        "{text}"
    );
}
