//! The lab: real nginx between real peers in network namespaces; slow, and needs root.

use std::process::Command;

use crate::support::{have, missing, root};
use crate::tshark::assert_agrees;

/// Runs one family of scenarios and shows the matrix when something differs. Whether it could.
fn check(family: &str) -> bool {
    lab("check", family, family)
}

/// The same with any command of the lab, and a folder for what it leaves.
fn lab(command: &str, family: &str, out: &str) -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout.trim_ascii() != b"0" {
        missing("the lab needs root for its network namespaces");
        return false;
    }
    if !["nginx", "dumpcap", "tcpdump", "nft", "ip", "node", "npm"]
        .into_iter()
        .all(have)
    {
        return false;
    }
    let output = Command::new("/usr/bin/python3")
        .arg(root().join("tests/lab/lab.py"))
        .args([
            command,
            "--family",
            family,
            "--jobs",
            "4",
            "--hop101",
            env!("CARGO_BIN_EXE_hop101"),
        ])
        .arg("--out")
        .arg(root().join("target/lab").join(out))
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
    true
}

#[test]
fn handshakes_that_fail() {
    check("handshake");
}

/// Configuration that a report proposes is copied by people in a hurry: nginx must take it, and the WebSocket come up.
#[test]
fn what_reports_propose_helps() {
    lab("fixes", "handshake", "fixes");
    lab("fixes", "tls", "fixes-tls");
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
fn tls_with_keys_and_without() {
    if !check("tls") || !have("tshark") {
        return;
    }
    // Records on a bad wire: what TCP repaired, both programs open alike.
    let run = root().join("target/lab/tls/keys-bad-wire");
    let keys = [run.join("keys.log")];
    let compared =
        ["any.pcapng", "client.pcapng"].map(|view| assert_agrees(&run.join(view), &keys));
    assert_eq!(compared, [8, 4]);
}

#[test]
fn views_of_one_story() {
    if !check("capture") || !have("tshark") {
        return;
    }
    // The runs over bad wires, differentially: what TCP repaired, both programs read alike.
    let runs = root().join("target/lab/capture");
    let mut compared = 0;
    for wire in ["loses", "doubles", "reorders", "does-it-all"] {
        for view in ["any.pcapng", "client.pcapng"] {
            let file = runs.join(format!("wire-{wire}")).join(view);
            compared += assert_agrees(&file, &[]);
        }
    }
    // Two clients, two hops by the proxy and one by the client, both ways.
    assert_eq!(compared, 4 * (8 + 4));
}
