//! The lab: real nginx between real peers in network namespaces; slow, and needs root.

use std::process::Command;

use crate::support::{have, missing, root};

/// Runs one family of scenarios and shows the matrix when something differs.
fn check(family: &str) {
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout.trim_ascii() != b"0" {
        return missing("the lab needs root for its network namespaces");
    }
    if !["nginx", "dumpcap", "tcpdump", "nft", "ip", "node", "npm"]
        .into_iter()
        .all(have)
    {
        return;
    }
    let output = Command::new("/usr/bin/python3")
        .arg(root().join("tests/lab/lab.py"))
        .args([
            "check",
            "--family",
            family,
            "--jobs",
            "4",
            "--hop101",
            env!("CARGO_BIN_EXE_hop101"),
        ])
        .arg("--out")
        .arg(root().join("target/lab").join(family))
        .current_dir(root())
        .output()
        .unwrap();
    let matrix = String::from_utf8_lossy(&output.stdout);
    println!("{matrix}");
    assert!(
        matrix.contains(" passed, "),
        "the lab ran nothing: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success(),
        "{matrix}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn handshakes_that_fail() {
    check("handshake");
}

#[test]
fn sessions_that_end() {
    check("session");
}

#[test]
fn healthy_traffic() {
    check("healthy");
}

#[test]
fn tls_in_clear() {
    check("tls");
}

#[test]
fn views_of_one_story() {
    check("capture");
}
