//! Every sample: valid JSON, and the verdict and cause that the lab recorded when it made the sample.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::expected::{Expected, strings};
use crate::support::{read_json, root, sample};

/// A sample, or several that are read together.
pub(crate) struct Sample {
    pub(crate) files: Vec<PathBuf>,
    expected: Expected,
}

impl Sample {
    /// All samples, as the lab wrote them down in `samples/expected.json`.
    pub(crate) fn all() -> Vec<Self> {
        let text = fs::read_to_string(sample("expected.json")).unwrap();
        let list: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert!(list.len() >= 14, "{} samples", list.len());
        list.into_iter()
            .map(|entry| Self {
                files: strings(&entry["files"])
                    .iter()
                    .map(|name| sample(name))
                    .collect(),
                expected: Expected(entry),
            })
            .collect()
    }
}

#[test]
fn verdict_and_cause_are_as_the_lab_recorded() {
    differ_nowhere(Expected::handshakes_that_differ);
}

#[test]
fn findings_are_those_expected_and_no_others() {
    differ_nowhere(Expected::findings_that_differ);
}

#[test]
fn tls_is_read_where_the_keys_are_in_the_sample() {
    differ_nowhere(Expected::tls_that_differs);
}

fn differ_nowhere(differences: fn(&Expected, &Value) -> Vec<String>) {
    let mut wrong = Vec::new();
    for Sample { files, expected } in Sample::all() {
        let (report, _) = read_json(&files, &[]);
        let found = differences(&expected, &report);
        wrong.extend(found.iter().map(|what| format!("{files:?}: {what}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_finding_points_at_frames_that_exist() {
    for Sample { files, .. } in Sample::all() {
        let (report, _) = read_json(&files, &[]);
        for finding in report["findings"].as_array().unwrap() {
            let evidence = finding["evidence"].as_array().unwrap();
            assert!(
                !evidence.is_empty(),
                "{:?}: {} has no evidence",
                files,
                finding["code"]
            );
            for item in evidence {
                let capture = usize::try_from(item["capture"].as_u64().unwrap()).unwrap();
                let frames = report["captures"][capture]["frames"].as_u64().unwrap();
                assert!(
                    (1..=frames).contains(&item["frame"].as_u64().unwrap()),
                    "{files:?}: {item}"
                );
            }
        }
    }
}

#[test]
fn connections_of_findings_are_listed() {
    for Sample { files, .. } in Sample::all() {
        for args in [&[][..], &["--only", "failed"]] {
            let (report, _) = read_json(&files, args);
            let listed = report["connections"].as_array().unwrap();
            let listed: Vec<_> = listed.iter().map(|one| &one["id"]).collect();
            for finding in report["findings"].as_array().unwrap() {
                for id in finding["connections"].as_array().unwrap() {
                    assert!(
                        listed.contains(&id),
                        "{files:?} {args:?}: {} is about {id}",
                        finding["code"]
                    );
                }
            }
        }
    }
}

#[test]
fn reports_are_valid_against_the_schema() {
    let schema =
        fs::read_to_string(root().join("tests/schema/hop101.report-1.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    for Sample { files, .. } in Sample::all() {
        for args in [&[][..], &["--only", "failed"], &["--redact", "strict"]] {
            let (report, _) = read_json(&files, args);
            let errors: Vec<_> = validator
                .iter_errors(&report)
                .map(|error| format!("{} at {}", error, error.instance_path()))
                .collect();
            assert!(
                errors.is_empty(),
                "{:?} {args:?}: {}",
                files,
                errors.join("\n")
            );
        }
    }
}
