//! Every sample: valid JSON, and the verdict and cause that the lab recorded when it made the sample.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{read_json, root, sample};

/// What `samples/expected.json` says of one sample.
pub(crate) struct Expected(Value);

impl Expected {
    /// All samples, as the lab wrote them down.
    pub(crate) fn all() -> Vec<Self> {
        let text = fs::read_to_string(sample("expected.json")).unwrap();
        let list: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert!(list.len() >= 14, "{} samples", list.len());
        list.into_iter().map(Self).collect()
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        strings(&self.0["files"])
            .iter()
            .map(|name| sample(name))
            .collect()
    }

    fn codes(&self, which: &str) -> BTreeSet<String> {
        strings(&self.0[which])
    }
}

fn strings(list: &Value) -> BTreeSet<String> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

/// Whether a value is as wanted: a field that is missing may have any value, one that is a list any of those.
fn fits(got: &Value, want: Option<&Value>) -> bool {
    match want {
        None => true,
        Some(Value::Array(any)) => any.contains(got),
        Some(one) => got == one,
    }
}

/// Where one handshake differs from what is wanted of it.
fn differences(got: &Value, want: &Value) -> Vec<String> {
    let seen = [
        ("verdict", got["verdict"].clone()),
        ("cause", got["cause"].clone()),
        ("answered_by", got["answered_by"].clone()),
        ("ended_by", got["session"]["ended_by"].clone()),
        ("close_code", got["session"]["close"]["code"].clone()),
        ("status", got["hops"][0]["response"]["status"].clone()),
        ("hops", got["hops"].as_array().unwrap().len().into()),
    ];
    let wrong = seen
        .iter()
        .filter(|(field, value)| !fits(value, want.get(field)));
    wrong
        .map(|(field, value)| format!("{field} is {value}, not {}", want[field]))
        .collect()
}

#[test]
fn verdict_and_cause_are_as_the_lab_recorded() {
    let mut wrong = Vec::new();
    for expected in Expected::all() {
        let Some(wanted) = expected.0["handshakes"].as_array() else {
            continue;
        };
        let (report, _) = read_json(&expected.files(), &[]);
        let mut handshakes = report["handshakes"].as_array().unwrap().clone();
        let mut wanted = wanted.clone();
        if expected.0["unordered"] == true {
            for list in [&mut handshakes, &mut wanted] {
                list.sort_by_key(|one| format!("{} {}", one["verdict"], one["cause"]));
            }
        }
        if handshakes.len() != wanted.len() {
            wrong.push(format!(
                "{:?}: {} handshakes, not {}",
                expected.files(),
                handshakes.len(),
                wanted.len()
            ));
        }
        for (got, want) in handshakes.iter().zip(&wanted) {
            wrong.extend(
                differences(got, want)
                    .iter()
                    .map(|what| format!("{:?}: {what}", expected.files())),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn findings_are_those_expected_and_no_others() {
    let mut wrong = Vec::new();
    for expected in Expected::all() {
        let (report, _) = read_json(&expected.files(), &[]);
        let findings = report["findings"].as_array().unwrap();
        let all: BTreeSet<_> = findings
            .iter()
            .map(|one| one["code"].as_str().unwrap().to_owned())
            .collect();
        let grave: BTreeSet<_> = findings
            .iter()
            .filter(|one| one["severity"] != "info")
            .map(|one| one["code"].as_str().unwrap().to_owned())
            .collect();
        let required = expected.codes("required");
        let mut allowed = expected.codes("allowed");
        allowed.extend(required.iter().cloned());
        let lacking: Vec<_> = required.difference(&all).collect();
        let unexpected: Vec<_> = grave.difference(&allowed).collect();
        if !lacking.is_empty() || !unexpected.is_empty() {
            wrong.push(format!(
                "{:?}: lacks {lacking:?}, unexpected {unexpected:?}",
                expected.files()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_finding_points_at_frames_that_exist() {
    for expected in Expected::all() {
        let (report, _) = read_json(&expected.files(), &[]);
        for finding in report["findings"].as_array().unwrap() {
            let evidence = finding["evidence"].as_array().unwrap();
            assert!(
                !evidence.is_empty(),
                "{:?}: {} has no evidence",
                expected.files(),
                finding["code"]
            );
            for item in evidence {
                let capture = usize::try_from(item["capture"].as_u64().unwrap()).unwrap();
                let frames = report["captures"][capture]["frames"].as_u64().unwrap();
                assert!(
                    (1..=frames).contains(&item["frame"].as_u64().unwrap()),
                    "{:?}: {item}",
                    expected.files()
                );
            }
        }
    }
}

#[test]
fn reports_are_valid_against_the_schema() {
    let schema =
        fs::read_to_string(root().join("tests/schema/hop101.report-1.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    for expected in Expected::all() {
        for args in [&[][..], &["--only", "failed"], &["--redact", "strict"]] {
            let (report, _) = read_json(&expected.files(), args);
            let errors: Vec<_> = validator
                .iter_errors(&report)
                .map(|error| format!("{} at {}", error, error.instance_path()))
                .collect();
            assert!(
                errors.is_empty(),
                "{:?} {args:?}: {}",
                expected.files(),
                errors.join("\n")
            );
        }
    }
}
