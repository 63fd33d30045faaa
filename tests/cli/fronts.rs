//! TLS in front that nobody opens: what is joined without keys is what the keys show, and its connection stays with the handshake.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::cases::Case;
use crate::keys::without_secrets;
use crate::pipeline::{packets, pcapng};
use crate::support::{hop101, read_json, read_json_with, sample};

/// Both ends of a connection.
type Ends = (String, String);

/// A hop: its connection, and which exchange on it.
type HopName = (Ends, u64);

fn ends(report: &Value, id: &Value) -> Ends {
    let connections = report["connections"].as_array().unwrap();
    let found = connections.iter().find(|one| one["id"] == *id);
    let found = found.unwrap_or_else(|| panic!("{id} is listed"));
    let end = |side: &str| found[side].as_str().unwrap().to_owned();
    (end("client"), end("server"))
}

fn name(report: &Value, hop: &Value) -> HopName {
    (
        ends(report, &hop["connection"]),
        hop["exchange"].as_u64().unwrap(),
    )
}

/// What stands in front of hops, as the keys show it.
fn truth(report: &Value) -> BTreeMap<HopName, Ends> {
    let mut truth = BTreeMap::new();
    for handshake in report["handshakes"].as_array().unwrap() {
        for pair in handshake["hops"].as_array().unwrap().windows(2) {
            truth.insert(name(report, &pair[1]), ends(report, &pair[0]["connection"]));
        }
    }
    truth
}

/// What was joined without keys.
fn joined(report: &Value) -> BTreeMap<HopName, Ends> {
    let handshakes = report["handshakes"].as_array().unwrap().iter();
    let fronts = handshakes.filter(|handshake| !handshake["front"].is_null());
    fronts
        .map(|handshake| {
            let front = ends(report, &handshake["front"]["connection"]);
            (name(report, &handshake["hops"][0]), front)
        })
        .collect()
}

#[test]
fn what_is_joined_without_keys_is_what_the_keys_show() {
    let folder = tempfile::tempdir().unwrap();
    let mut told: Vec<(String, Vec<PathBuf>, Vec<PathBuf>)> = Case::with_keys()
        .into_iter()
        .filter(|case| !case.keys.is_empty())
        .map(|case| (case.name().to_owned(), case.files, case.keys))
        .collect();
    for with_keys in [
        "wss-idle-timeout.pcapng",
        "wss-upgrade-not-forwarded.pcapng",
    ] {
        told.push((with_keys.to_owned(), vec![sample(with_keys)], Vec::new()));
    }
    let (mut known, mut right) = (0, 0);
    let mut left = Vec::new();
    for (case, files, keys) in told {
        let (opened, _) = read_json_with(&files, &keys, &["--fail-on", "never"]);
        let truth = truth(&opened);
        let bare = if keys.is_empty() {
            let bare = folder.path().join(&case);
            fs::write(&bare, without_secrets(&fs::read(&files[0]).unwrap())).unwrap();
            vec![bare]
        } else {
            files
        };
        let (sealed, _) = read_json(&bare, &["--fail-on", "never"]);
        let joined = joined(&sealed);
        for (hop, front) in &joined {
            // Of some there are no keys, or none that can be used.
            if let Some(shown) = truth.get(hop) {
                assert_eq!(front, shown, "{case}: {hop:?}");
                right += 1;
            }
        }
        for hop in truth.keys() {
            let sealed_here = sealed["handshakes"].as_array().unwrap().iter();
            let mut clear = sealed_here.map(|handshake| name(&sealed, &handshake["hops"][0]));
            // Where the backend's hop is TLS as well, there is no clear hop to be joined.
            if clear.any(|clear| clear == *hop) {
                known += 1;
                if !joined.contains_key(hop) {
                    left.push(case.clone());
                }
            }
        }
    }
    println!("{right} of {known} joined; left: {}", left.join(" "));
    assert!(right >= 30, "{right} of {known}; left {left:?}");
    assert!(left.len() * 8 <= known, "{right} of {known}; left {left:?}");
}

/// Captures that begin behind the 101: what is joined then is what the keys show of the whole.
#[test]
fn sessions_that_were_up_are_joined_as_their_beginning_shows() {
    let folder = tempfile::tempdir().unwrap();
    let late = folder.path().join("late.pcapng");
    let (mut late_hops, mut right) = (0, 0);
    for case in Case::with_keys() {
        let [file] = case.files.as_slice() else {
            continue;
        };
        let (opened, _) = read_json_with(&case.files, &case.keys, &["--fail-on", "never"]);
        let truth = truth(&opened);
        let all = packets(&fs::read(file).unwrap());
        let switched = b"HTTP/1.1 101 ";
        let Some(up) = all
            .iter()
            .rposition(|packet| packet.data.windows(switched.len()).any(|at| at == switched))
        else {
            continue;
        };
        for cut in up + 1..all.len() {
            fs::write(&late, pcapng(&all[cut..])).unwrap();
            let (sealed, _) = read_json(std::slice::from_ref(&late), &["--fail-on", "never"]);
            late_hops += sealed["handshakes"].as_array().unwrap().len();
            for (hop, front) in joined(&sealed) {
                // Of some there are no keys that can be used.
                let Some(shown) = truth.get(&hop) else {
                    continue;
                };
                assert_eq!(&front, shown, "{} from {cut}: {hop:?}", case.name());
                right += 1;
            }
        }
    }
    assert!(right >= 10, "{right} of {late_hops}");
}

#[test]
fn the_front_stays_with_its_handshake() {
    let with_front = sample("tls-upgrade-not-forwarded.pcapng");
    let (all, _) = read_json(std::slice::from_ref(&with_front), &[]);
    let front = &all["handshakes"][0]["front"];
    assert_eq!(front["paired_by"], "time");
    assert_eq!(front["confidence"], "guess");
    let (failed, _) = read_json(std::slice::from_ref(&with_front), &["--only", "failed"]);
    assert_eq!(joined(&failed), joined(&all));
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.pcapng");
    let mut command = hop101();
    command
        .arg("cut")
        .arg(&with_front)
        .args(["--handshake", "h1"]);
    assert!(command.arg("-o").arg(&cut).status().unwrap().success());
    let (again, _) = read_json(&[cut], &[]);
    assert_eq!(joined(&again), joined(&all));
}

#[test]
fn every_form_tells_of_the_front() {
    let with_front = sample("idle-timeout-tls.pcapng");
    for format in ["table", "markdown", "html"] {
        let mut command = hop101();
        command.arg("read").arg(&with_front);
        let output = command.args(["--format", format]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        let text = words.join(" ");
        for part in ["client → proxy", "192.168.50.23:56862", "inside TLS"] {
            assert!(text.contains(part), "{format}: no {part} in {text}");
        }
    }
}
