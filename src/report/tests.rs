//! Every form of the report, over the same hand-built results.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may"
)]
mod kept;
mod secrets;
mod terminal;

use std::collections::BTreeMap;
use std::io;

use super::fixtures as fix;
use super::*;
use crate::decode::OtherKind;
use crate::diagnosis::{Diagnosis, Limit};
use crate::engine::Observer;
use crate::hop::{Handshake, Protocol};

type Case = (Handshake, Diagnosis);

/// Feeds handshakes with all their connections to an observer, as the engine does.
fn feed(observer: &mut dyn Observer, cases: &[Case]) {
    for (handshake, diagnosis) in cases {
        for record in build::records(handshake) {
            observer.connection(record, false);
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
    text(|out| table::write(report, &look(width, verbose), out))
}

fn look(width: usize, verbose: bool) -> table::Options {
    table::Options {
        width,
        color: false,
        verbose,
    }
}

fn markdown_of(report: &Report, verbose: bool) -> String {
    text(|out| markdown::write(report, verbose, out))
}

fn html_of(report: &Report, verbose: bool) -> String {
    text(|out| html::write(report, verbose, out))
}

/// What is written.
fn text(write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
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
        markdown_of(&report, true),
        html_of(&report, true),
    ]
}

/// Hundreds of connections and UDP, but no handshake.
fn nothing() -> Report {
    let mut collector = Collector::new(Keep::default(), Redact::Standard);
    for id in 0..3 {
        collector.connection(&fix::background(id, Protocol::Tls, 443), false);
    }
    collector.connection(&fix::background(3, Protocol::Http, 80), false);
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
    let sealed = report(&[fix::idle_behind_tls()]);
    insta::assert_snapshot!("sealed-front", terminal(&sealed, 100, false));
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
    insta::assert_snapshot!("markdown-failed", markdown_of(&failed, false));
    let many = report(&[fix::healthy(), fix::idle(), fix::refused()]);
    insta::assert_snapshot!("markdown-many", markdown_of(&many, false));
    let sealed = report(&[fix::idle_behind_tls()]);
    insta::assert_snapshot!("markdown-sealed-front", markdown_of(&sealed, false));
    insta::assert_snapshot!("markdown-nothing", markdown_of(&nothing(), false));
    insta::assert_snapshot!("html-many", html_of(&many, false));
    insta::assert_snapshot!("html-nothing", html_of(&nothing(), false));
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
        fix::idle_behind_tls(),
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

/// What was said before the capture leaves no row and no separator behind.
#[test]
fn a_page_of_a_session_from_mid_stream_has_nothing_empty() {
    let page_of = |case| html_of(&report(&[case]), true);
    let empty = ["· ·", "<th>Accept</th>"];
    let whole = page_of(fix::idle());
    assert!(whole.contains(empty[1]), "{whole}");
    let mut late = fix::idle();
    for hop in &mut late.0.hops {
        hop.record = {
            let mut record = (*hop.record).clone();
            for exchange in &mut record.exchanges {
                (exchange.request, exchange.response) = (None, None);
            }
            record.into()
        };
    }
    let page = page_of(late);
    assert!(empty.iter().all(|one| !page.contains(one)), "{page}");
    assert!(page.contains("not in the capture as a whole"));
}

#[test]
fn nothing_from_packets_reaches_a_terminal_raw() {
    let evil = "\x1b]0;owned\x07\u{9b}2J\x7f\u{202e}\r\n| `x` <script>alert(1)</script> &#35; @all";
    let mut case = fix::not_forwarded();
    case.1.headline = evil.to_owned();
    for finding in &mut case.1.findings {
        finding.title = evil.to_owned();
        finding.nginx_snippet = format!("a\n```\n{evil}").into();
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
    let mut document = Vec::new();
    json::pretty(&report, &mut document).unwrap();
    for text in [
        terminal(&report, 100, true),
        markdown_of(&report, true),
        html_of(&report, true),
        String::from_utf8(document).unwrap(),
        table::blocks(report.clone(), &look(100, true)),
    ] {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
        assert!(!text.contains('\u{202e}'));
    }
    let page = html_of(&report, true);
    assert!(!page.contains("<script"));
    let ticket = markdown_of(&report, true);
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
