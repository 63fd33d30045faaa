//! Differential: tshark sees the same connections, requests, statuses, keys and accepts in every sample.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::samples::Expected;
use crate::support::{have, read_json};

/// Runs tshark over a file and gives the chosen fields of each frame that the filter takes.
fn tshark(file: &Path, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    // Default tshark miscounts when segments come out of order.
    command.args([
        "-n",
        "-o",
        "tcp.reassemble_out_of_order:TRUE",
        "-d",
        "tcp.port==8080,http",
    ]);
    command
        .arg("-r")
        .arg(file)
        .args(["-Y", filter, "-T", "fields", "-E", "separator=\t"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

/// How often each value occurs.
fn count<T: Ord>(values: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts
}

/// Header values of all hops' requests or responses in a report, by a field of the contract.
fn in_hops(report: &Value, side: &str, field: &str) -> Vec<String> {
    let handshakes = report["handshakes"].as_array().unwrap();
    handshakes
        .iter()
        .flat_map(|handshake| handshake["hops"].as_array().unwrap())
        .map(|hop| &hop[side][field])
        .filter(|value| !value.is_null())
        .map(|value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        })
        .collect()
}

#[test]
fn agrees_on_connections() {
    if !have("tshark") {
        return;
    }
    for expected in Expected::all() {
        let (mut theirs, mut frames) = (0, 0);
        for file in expected.files() {
            let streams = tshark(&file, "tcp", &["tcp.stream"]);
            theirs += count(streams.into_iter().flatten()).len();
            frames += tshark(&file, "frame", &["frame.number"]).len();
        }
        let (report, _) = read_json(&expected.files(), &[]);
        assert_eq!(
            report["summary"]["connections"],
            theirs,
            "{:?}",
            expected.files()
        );
        let ours: u64 = report["captures"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["frames"].as_u64().unwrap())
            .sum();
        assert_eq!(ours, frames as u64, "{:?}", expected.files());
    }
}

#[test]
fn agrees_on_requests_and_answers() {
    if !have("tshark") {
        return;
    }
    for expected in Expected::all() {
        let (report, _) = read_json(&expected.files(), &[]);
        let mut theirs: [Vec<String>; 4] = std::array::from_fn(|_| Vec::new());
        for file in expected.files() {
            let attempt = "http.sec_websocket_key || http.sec_websocket_version || http.upgrade contains \"websocket\"";
            for row in tshark(
                &file,
                &format!("http.request && ({attempt})"),
                &["http.request.uri", "http.sec_websocket_key"],
            ) {
                theirs[0].push(row[0].clone());
                theirs[1].extend(row.get(1).filter(|key| !key.is_empty()).cloned());
            }
            for row in tshark(
                &file,
                "http.sec_websocket_accept",
                &["http.sec_websocket_accept"],
            ) {
                theirs[2].push(row[0].clone());
            }
            for row in tshark(&file, "http.response.code == 101", &["http.response.code"]) {
                theirs[3].push(row[0].clone());
            }
        }
        let statuses = in_hops(&report, "response", "status")
            .into_iter()
            .filter(|status| status == "101")
            .collect();
        let ours = [
            in_hops(&report, "request", "target"),
            in_hops(&report, "request", "key"),
            in_hops(&report, "response", "accept"),
            statuses,
        ];
        for ((what, theirs), ours) in ["targets", "keys", "accepts", "101s"]
            .iter()
            .zip(theirs)
            .zip(ours)
        {
            assert_eq!(
                count(ours),
                count(theirs),
                "{what} in {:?}",
                expected.files()
            );
        }
    }
}

#[test]
fn agrees_on_evidence() {
    if !have("tshark") {
        return;
    }
    for expected in Expected::all() {
        let files = expected.files();
        let (report, _) = read_json(&files, &[]);
        for handshake in report["handshakes"].as_array().unwrap() {
            for hop in handshake["hops"].as_array().unwrap() {
                let id = &hop["connection"];
                let connections = report["connections"].as_array().unwrap();
                let connection = connections.iter().find(|one| one["id"] == *id).unwrap();
                let capture = usize::try_from(connection["captures"][0].as_u64().unwrap()).unwrap();
                let frame = &hop["response"]["frame"];
                if frame.is_null() {
                    continue;
                }
                let rows = tshark(
                    &files[capture],
                    &format!("frame.number == {frame}"),
                    &["http.response.code"],
                );
                assert_eq!(
                    rows.concat().concat(),
                    hop["response"]["status"].to_string(),
                    "{files:?} frame {frame}"
                );
            }
        }
    }
}
