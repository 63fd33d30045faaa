//! `hop101 cut`: what is cut out tells the same story.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::pipeline::keys_in;
use crate::samples::Sample;
use crate::support::{have, hop101, read_json, read_json_with, sample};

fn cut(files: &[PathBuf], out: &Path, args: &[&str]) -> Output {
    hop101()
        .arg("cut")
        .args(files)
        .arg("-o")
        .arg(out)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Verdict, cause and hops of every handshake, and what was found in them.
fn story(report: &Value) -> Vec<String> {
    let handshakes = report["handshakes"].as_array().unwrap();
    let tell = |one: &Value| {
        let findings = report["findings"].as_array().unwrap().iter();
        let codes: BTreeSet<_> = findings
            .filter(|finding| finding["handshake"] == one["id"])
            .map(|finding| finding["code"].to_string())
            .collect();
        let hops = one["hops"].as_array().unwrap().len();
        format!(
            "{} {} {} {hops} {codes:?}",
            one["verdict"], one["cause"], one["answered_by"]
        )
    };
    handshakes.iter().map(tell).collect()
}

#[test]
fn every_sample_cut_tells_the_same_story() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("cut.pcapng");
    let mut cut_any = 0;
    for Sample { files, .. } in Sample::all() {
        let (before, _) = read_json(&files, &[]);
        if before["handshakes"].as_array().unwrap().is_empty() {
            let output = cut(&files, &out, &[]);
            assert!(stderr(&output).contains("no handshake"), "{files:?}");
            assert_eq!(output.status.code(), Some(2));
            continue;
        }
        let output = cut(&files, &out, &["--quiet"]);
        assert!(output.status.success(), "{files:?}: {}", stderr(&output));
        assert_eq!(stderr(&output), "", "{files:?}");
        // Keys that a capture brought along are not handed on: whoever gives the frames away may not want to.
        let keys = folder.path().join("keys.log");
        fs::write(
            &keys,
            files
                .iter()
                .flat_map(|file| keys_in(file))
                .collect::<Vec<_>>(),
        )
        .unwrap();
        assert_eq!(keys_in(&out), b"", "{files:?}");
        let (after, _) = read_json_with(std::slice::from_ref(&out), &[keys], &[]);
        // That a proxy asked no backend shows in the traffic around, which is not written.
        let around = |story: &String| {
            !story.contains("backend-hop-not-seen") && !story.contains("backend-not-contacted")
        };
        let told = story(&before);
        if told.iter().all(around) && files.len() == 1 {
            assert_eq!(story(&after), told, "{files:?}");
        }
        let causes = |report: &Value| {
            story(report)
                .iter()
                .map(|one| one.split(' ').take(2).collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
        };
        assert_eq!(causes(&after), causes(&before), "{files:?}");
        cut_any += 1;
    }
    assert!(cut_any > 30, "{cut_any}");
}

#[test]
fn one_of_several_is_cut_out_whole() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("h2.pcapng");
    // Two handshakes: the first one healthy, or another connection between the same hosts.
    let files = [sample("proxy-reloaded.pcapng")];
    let (before, _) = read_json(&files, &[]);
    let handshakes = before["handshakes"].as_array().unwrap();
    assert!(handshakes.len() >= 3);
    let output = cut(&files, &out, &["--handshake", "h2"]);
    assert!(stderr(&output).contains("1 of "), "{}", stderr(&output));
    let (after, _) = read_json(std::slice::from_ref(&out), &[]);
    assert_eq!(after["handshakes"].as_array().unwrap().len(), 1);
    assert_eq!(
        after["handshakes"][0]["hops"][0]["request"]["key"],
        handshakes[1]["hops"][0]["request"]["key"]
    );
    // From the SYN to the last acknowledgment: as many frames as the connections had.
    let connections = |report: &Value, of: &Value| -> Vec<Value> {
        let hops = of["hops"].as_array().unwrap();
        hops.iter()
            .map(|hop| {
                let all = report["connections"].as_array().unwrap();
                let one = all
                    .iter()
                    .find(|one| one["id"] == hop["connection"])
                    .unwrap();
                serde_json::json!([
                    one["opening"],
                    one["ended"]["how"],
                    one["to_server"],
                    one["to_client"]
                ])
            })
            .collect()
    };
    assert_eq!(
        connections(&after, &after["handshakes"][0]),
        connections(&before, &handshakes[1])
    );
}

#[test]
fn failed_leaves_healthy_ones_out() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("failed.pcapng");
    let both = [sample("healthy.pcapng"), sample("accept-mismatch.pcapng")];
    let output = cut(&both, &out, &["--failed"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let (after, _) = read_json(std::slice::from_ref(&out), &[]);
    assert_eq!(after["summary"]["handshakes"], 1);
    assert_eq!(after["handshakes"][0]["cause"], "accept-mismatch");
    let output = cut(&both[..1], &out, &["--failed"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("none of the handshakes failed"));
}

#[test]
fn every_frame_names_its_handshake_and_tshark_reads_it() {
    if !have("tshark") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("cut.pcapng");
    let files = [sample("upgrade-not-forwarded.pcapng")];
    assert!(cut(&files, &out, &[]).status.success());
    let output = Command::new("tshark")
        .arg("-r")
        .arg(&out)
        .args(["-T", "fields", "-e", "frame.comment", "-e", "tcp.stream"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().count() > 10, "{text}");
    for line in text.lines() {
        assert!(
            line.starts_with("h1 failed upgrade-not-forwarded: "),
            "{line}"
        );
    }
    assert!(text.contains("client-proxy") && text.contains("proxy-backend"));
}

#[test]
fn what_cannot_be_cut_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.pcapng");
    let file = sample("healthy.pcapng");
    for (inputs, args, says) in [
        (vec![PathBuf::from("-")], vec![], "twice"),
        (vec![PathBuf::from("/dev/stdin")], vec![], "twice"),
        (vec![file.clone()], vec!["--handshake", "h9"], "h1 alone"),
        (vec![sample("plain-http.pcapng")], vec![], "no handshake"),
        (
            vec![folder.path().join("missing.pcap")],
            vec![],
            "no such file",
        ),
    ] {
        let mut child = hop101();
        child
            .arg("cut")
            .args(&inputs)
            .arg("-o")
            .arg(&out)
            .args(&args)
            .stdin(Stdio::piped());
        let output = child.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{inputs:?}");
        assert!(
            stderr(&output).contains(says),
            "{inputs:?}: {}",
            stderr(&output)
        );
        assert!(!out.exists(), "{inputs:?}");
    }
    let copy = folder.path().join("copy.pcapng");
    fs::copy(&file, &copy).unwrap();
    let output = cut(std::slice::from_ref(&copy), &copy, &[]);
    assert!(stderr(&output).contains("overwrite"), "{}", stderr(&output));
    assert_eq!(fs::read(&copy).unwrap(), fs::read(&file).unwrap());
}

#[test]
fn a_damaged_input_is_cut_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (
        folder.path().join("in.pcapng"),
        folder.path().join("out.pcapng"),
    );
    let whole = fs::read(sample("upgrade-not-forwarded.pcapng")).unwrap();
    fs::write(&input, &whole[..whole.len() - 7]).unwrap();
    let output = cut(&[input], &out, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("byte offset"),
        "{}",
        stderr(&output)
    );
    let (after, _) = read_json(&[out], &[]);
    assert_eq!(after["handshakes"][0]["cause"], "upgrade-not-forwarded");
}
