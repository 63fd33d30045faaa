//! Every form of the report, over the same hand-built results.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::fixtures as fix;
use super::*;
use crate::decode::OtherKind;
use crate::diagnosis::{Code, Diagnosis, Limit, Severity};
use crate::engine::Observer;
use crate::hop::{Handshake, Protocol};
use crate::tcp::ConnectionId;

type Case = (Handshake, Diagnosis);

/// Feeds handshakes with all their connections to an observer, as the engine does.
fn feed(observer: &mut dyn Observer, cases: &[Case]) {
    for (handshake, diagnosis) in cases {
        for record in build::records(handshake) {
            observer.connection(record, &[]);
        }
        observer.handshake(handshake, diagnosis);
    }
}

fn report_with(keep: Keep, redact: Redact, cases: &[Case]) -> Report {
    let mut collector = Collector::new(keep, redact);
    feed(&mut collector, cases);
    collector.finish(&[fix::capture_info()], BTreeMap::new())
}

fn report(cases: &[Case]) -> Report {
    report_with(Keep::default(), Redact::Standard, cases)
}

fn failed_only() -> Keep {
    Keep {
        only_failed: true,
        ..Keep::default()
    }
}

fn terminal(report: &Report, width: usize, verbose: bool) -> String {
    let options = table::Options {
        width,
        color: false,
        verbose,
    };
    table::render(report, &options)
}

fn document(report: &Report) -> serde_json::Value {
    serde_json::to_value(report).unwrap()
}

/// The report in every form there is.
fn every_form(cases: &[Case], redact: Redact) -> Vec<String> {
    let report = report_with(Keep::default(), redact, cases);
    let mut compact = Vec::new();
    json::compact(&report, &mut compact).unwrap();
    let mut lines = json::JsonLines::new(Vec::new(), false, redact);
    feed(&mut lines, cases);
    let lines = lines.finish(&report).unwrap();
    vec![
        String::from_utf8(compact).unwrap(),
        String::from_utf8(lines).unwrap(),
        terminal(&report, 100, true),
        markdown::render(&report, true),
        html::render(&report, true),
    ]
}

/// Hundreds of connections and UDP, but no handshake.
fn nothing() -> Report {
    let mut collector = Collector::new(Keep::default(), Redact::Standard);
    for id in 0..3 {
        collector.connection(&fix::background(id, Protocol::Tls, 443), &[]);
    }
    collector.connection(&fix::background(3, Protocol::Http, 80), &[]);
    let others = BTreeMap::from([
        (OtherKind::Udp { port: 53 }, 42),
        (OtherKind::Arp, 2),
        (OtherKind::Udp { port: 443 }, 1200),
    ]);
    collector.finish(&[fix::capture_info()], others)
}

#[test]
fn terminal_forms() {
    let failed = report(&[fix::not_forwarded()]);
    insta::assert_snapshot!("failed-80", terminal(&failed, 80, false));
    insta::assert_snapshot!("failed-100", terminal(&failed, 100, false));
    insta::assert_snapshot!("failed-160", terminal(&failed, 160, false));
    insta::assert_snapshot!("failed-verbose", terminal(&failed, 100, true));
    insta::assert_snapshot!("broken", terminal(&report(&[fix::idle()]), 100, false));
    insta::assert_snapshot!("refused", terminal(&report(&[fix::refused()]), 100, false));
    insta::assert_snapshot!("healthy", terminal(&report(&[fix::healthy()]), 100, false));
    let many = [
        fix::healthy(),
        fix::idle(),
        fix::refused(),
        fix::not_forwarded(),
        fix::idle(),
    ];
    insta::assert_snapshot!("many", terminal(&report(&many), 100, false));
    insta::assert_snapshot!("nothing", terminal(&nothing(), 100, false));
}

#[test]
fn ticket_and_page() {
    let failed = report(&[fix::not_forwarded()]);
    insta::assert_snapshot!("markdown-failed", markdown::render(&failed, false));
    let many = report(&[fix::healthy(), fix::idle(), fix::refused()]);
    insta::assert_snapshot!("markdown-many", markdown::render(&many, false));
    insta::assert_snapshot!("markdown-nothing", markdown::render(&nothing(), false));
    insta::assert_snapshot!("html-many", html::render(&many, false));
    insta::assert_snapshot!("html-nothing", html::render(&nothing(), false));
}

#[test]
fn json_of_a_failure() {
    let report = report(&[fix::not_forwarded()]);
    let mut out = Vec::new();
    json::pretty(&report, &mut out).unwrap();
    insta::assert_snapshot!("json-failed", String::from_utf8(out).unwrap());
}

#[test]
fn documents_follow_the_schema() {
    let schema: serde_json::Value = serde_json::from_str(include_str!(
        "../../tests/schema/hop101.report-1.schema.json"
    ))
    .unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let many = [
        fix::healthy(),
        fix::idle(),
        fix::refused(),
        fix::not_forwarded(),
    ];
    let mut documents = vec![document(&Report::default()), document(&nothing())];
    for redact in [Redact::None, Redact::Standard, Redact::Strict] {
        documents.push(document(&report_with(Keep::default(), redact, &many)));
        documents.push(document(&report_with(failed_only(), redact, &many)));
    }
    for document in documents {
        let errors: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
    // The schema is no empty promise: a field that is not written down is noticed.
    let mut changed = document(&report(&many));
    changed["handshakes"][0]["hops"][0]["colour"] = "red".into();
    assert!(!validator.is_valid(&changed));
}

#[test]
fn a_failure_fits_one_screen() {
    for case in [fix::not_forwarded(), fix::idle(), fix::refused()] {
        let text = terminal(&report(&[case]), 100, false);
        assert!(text.lines().count() <= 45, "{text}");
    }
}

#[test]
fn a_healthy_capture_says_so_in_two_lines() {
    let text = terminal(&report(&[fix::healthy()]), 100, false);
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut long = fix::not_forwarded();
    long.1.headline = format!("a {} b", "x".repeat(300));
    long.1.findings[0].nginx_snippet =
        format!("# {}\nif {};", "word ".repeat(60), "漢字 ".repeat(60));
    long.1.findings[0].nginx_log = "y".repeat(250);
    let cases = [long, fix::idle(), fix::refused(), fix::healthy()];
    for width in [64, 72, 80, 100, 132, 160] {
        for verbose in [false, true] {
            for text in [
                terminal(&report(&cases), width, verbose),
                terminal(&nothing(), width, verbose),
            ] {
                for line in text.lines() {
                    let columns = tabled::grid::util::string::get_string_width(line);
                    assert!(columns <= width, "{columns} > {width}: {line}");
                }
            }
        }
    }
}

#[test]
fn colours_change_nothing_but_colours() {
    let report = report(&[fix::not_forwarded(), fix::idle()]);
    let options = table::Options {
        width: 100,
        color: true,
        verbose: false,
    };
    let colored = table::render(&report, &options);
    assert!(colored.contains("\x1b["));
    let stripped = anstream::adapter::strip_str(&colored).to_string();
    let trimmed: Vec<&str> = stripped.lines().map(str::trim_end).collect();
    let plain = terminal(&report, 100, false);
    assert_eq!(trimmed, plain.lines().collect::<Vec<_>>());
}

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
    collector.connection(&fix::background(7, Protocol::Tls, 443), &[]);
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
        collector.connection(&fix::background(id, Protocol::Other, 9), &[]);
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
    collector.connection(&fix::background(0, Protocol::Tls, 80), &[finding]);
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

#[test]
fn nothing_from_packets_reaches_a_terminal_raw() {
    let evil = "\x1b]0;owned\x07\u{202e}\r\n| `x` <script>alert(1)</script> &#35; @all";
    let mut case = fix::not_forwarded();
    case.1.headline = evil.to_owned();
    for finding in &mut case.1.findings {
        finding.title = evil.to_owned();
        finding.nginx_snippet = format!("a\n```\n{evil}");
        finding.evidence[0].shows = evil.to_owned();
    }
    case.0.hops[1].changes[1].after = Some(evil.to_owned());
    let mut collector = Collector::new(Keep::default(), Redact::None);
    feed(&mut collector, &[case]);
    collector.limit(&Limit {
        kind: "gap",
        connection: None,
        detail: evil.to_owned(),
        evidence: Vec::new(),
    });
    let mut info = fix::capture_info();
    info.path = format!("dir/{evil}");
    info.damage = Some(evil.to_owned());
    let report = collector.finish(&[info], BTreeMap::new());
    for text in [
        terminal(&report, 100, true),
        markdown::render(&report, true),
        html::render(&report, true),
    ] {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
        assert!(!text.contains('\u{202e}'));
    }
    let page = html::render(&report, true);
    assert!(!page.contains("<script"));
    let ticket = markdown::render(&report, true);
    let mut fence: Option<usize> = None;
    for line in ticket.lines() {
        let ticks = line.len() - line.trim_start_matches('`').len();
        match fence {
            None if ticks >= 3 => fence = Some(ticks),
            Some(open) if ticks >= open && line.len() == ticks => fence = None,
            // Outside of a code span, which shows what it holds.
            None => assert!(
                line.split("``")
                    .step_by(2)
                    .all(|part| !part.contains("<script")),
                "{line}"
            ),
            Some(_) => {}
        }
    }
    assert_eq!(fence, None, "every fence is closed");
}

#[test]
fn jsonl_has_a_type_on_each_line_and_ends_with_the_summary() {
    let cases = [fix::healthy(), fix::not_forwarded()];
    let report = report(&cases);
    let mut lines = json::JsonLines::new(Vec::new(), true, Redact::Standard);
    feed(&mut lines, &cases);
    let text = String::from_utf8(lines.finish(&report).unwrap()).unwrap();
    let types: Vec<String> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["type"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        types,
        ["handshake", "finding", "finding", "finding", "summary"]
    );
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["handshakes"], 2);
    assert_eq!(last["ok"], 1);
}

/// Where a secret can be in a request.
fn planted(secret: &str) -> [(&'static str, String); 10] {
    [
        ("Cookie", format!("theme=dark; sid={secret}; lang=en")),
        ("Authorization", format!("Bearer {secret}")),
        ("Proxy-Authorization", format!("Basic {secret}")),
        ("X-Api-Key", secret.to_owned()),
        ("X-Amz-Security-Token", secret.to_owned()),
        (
            "Referer",
            format!("https://chat.example.com/?a=1&access_token={secret}#x"),
        ),
        (
            "Sec-WebSocket-Protocol",
            format!("chat.v2, bearer, {secret}"),
        ),
        ("Sec-WebSocket-Protocol", format!("Bearer {secret}")),
        ("X-Original-URL", format!("/ws?session={secret}&b=2")),
        (
            "Sec-WebSocket-Protocol",
            format!("base64url.bearer.authorization.k8s.io.{secret}"),
        ),
    ]
}

fn case_with(header: &str, value: &str, target: &str, quote: &str) -> Case {
    let mut case = fix::not_forwarded();
    for hop in &mut case.0.hops {
        let record = std::sync::Arc::make_mut(&mut hop.record);
        let exchange = &mut record.exchanges[0];
        let at = exchange.request.as_ref().unwrap().span.first;
        exchange.request = Some(fix::request(
            at,
            &format!(
                "GET {target} HTTP/1.1\r\nHost: chat.example.com\r\n{header}: {value}\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            ),
        ));
        let at = exchange.response.as_ref().unwrap().span.first;
        exchange.response = Some(fix::response(
            at,
            &format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\nSet-Cookie: {value}\r\n\r\n"),
        ));
    }
    case.0.hops[1].changes.push(fix::change(
        "target",
        crate::hop::ChangeKind::Altered,
        Some(target),
        Some(target),
    ));
    case.1.headline = format!("GET {target} was refused: {quote}");
    for finding in &mut case.1.findings {
        finding.title = format!("GET {target}");
        finding.detail = format!("the client sent {header}: {value}");
        finding.evidence[0].shows = format!("GET {target} HTTP/1.1, {quote}");
    }
    case
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the secret and wherever it stands, no form shows it.
    #[test]
    fn no_form_leaks_a_secret(
        secret in "[A-Z][a-z][0-9][A-Za-z0-9_-]{9,24}",
        place in 0_usize..9,
        parameter in prop::sample::select(vec!["token", "access_token", "sid", "password", "api_key", "tok%65n", "Auth"]),
    ) {
        let (header, value) = &planted(&secret)[place];
        let target = format!("/ws?room=7&{parameter}={secret}");
        let quote = format!("{header}: {value}");
        for redact in [Redact::Standard, Redact::Strict] {
            for text in every_form(&[case_with(header, value, &target, &quote)], redact) {
                prop_assert!(!text.contains(&secret), "{header} {parameter}: {text}");
                // Nor a part of it.
                prop_assert!(!text.contains(&secret[..secret.len() - 3]), "{header} {parameter}: {text}");
            }
        }
    }
}

#[test]
fn unmasked_shows_everything() {
    let case = case_with("Cookie", "sid=Abc123Secret987", "/ws?token=xyz123", "x");
    for text in every_form(&[case], Redact::None) {
        assert!(text.contains("xyz123"));
    }
}

#[test]
fn strict_hides_who_and_where() {
    let case = fix::not_forwarded();
    for text in every_form(&[case, fix::healthy(), fix::refused()], Redact::Strict) {
        for secret in [
            "192.168.50.23",
            "192.168.50.1",
            "10.20.0.11",
            "2001:db8",
            "chat.example.com",
            "room=7",
            "bye",
            "captures/",
        ] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        // What the diagnosis stands on stays.
        for kept in ["dGhlIHNhbXBsZSBub25jZQ==", "websocket", "host-1", "ip-1"] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }
}
