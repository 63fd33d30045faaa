//! How a run ends: a limit, a signal, a closed pipe, an interface that goes, or before it began.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;

use super::*;

#[test]
fn the_number_of_packets_and_the_time_are_limits() {
    let Some(space) = Space::new() else { return };
    let live = space.live("-i lo -c 7 -w seven.pcapng --fail-on never -Z root");
    space.refuse(1);
    let (status, _, _) = live.end();
    assert_eq!(status.code(), Some(0));
    let (report, _) = read_json(&[space.path("seven.pcapng")], &[]);
    assert_eq!(report["captures"][0]["frames"], 7);
    assert_eq!(report["captures"][0]["dropped"], 0);
    let begun = Instant::now();
    let output = space.output(&["-i", "lo", "--duration", "1s", "-q"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn an_interface_that_goes_away_ends_the_run_with_what_there_is() {
    let Some(space) = Space::new() else { return };
    space.veth("front", "back");
    let mut live = space.live("-i front --format json -Z root");
    run(&mut space.inside(&["ip", "link", "set", "front", "down"]));
    live.wait_for_message("front: the interface is down; nothing comes until it is up again");
    run(&mut space.inside(&["ip", "link", "del", "front"]));
    let words = "front: the interface was removed";
    live.wait_for_message(words);
    let (status, out, _) = live.end();
    assert_eq!(status.code(), Some(2));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["captures"][0]["damage"], words);
}

#[test]
fn what_cannot_be_captured_is_said_with_what_to_do() {
    let Some(space) = Space::new() else { return };
    let shows = |args: &[&str], parts: &[&str]| {
        let output = space.output(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let said = text(&output.stderr);
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    };
    shows(
        &["-i", "nope0"],
        &["nope0: no such interface; there are: ", "lo"],
    );
    for (filter, parts) in [
        ("tcp port 80 und 81", &["syntax error", "column 13"][..]),
        ("(tcp port 80", &[", at its end"]),
        ("tcp port 80)", &["from column 12 on (\")\")"]),
    ] {
        shows(&["-i", "lo", "--filter", filter], parts);
    }
    let file = "no/such/folder.pcapng";
    shows(&["-i", "lo", "-w", file], &[file]);
    shows(
        &["-i", "lo", "-Z", "nobody-of-this-name"],
        &["no such user"],
    );
    run(&mut space.inside(&[
        "ip", "link", "add", "down0", "type", "veth", "peer", "name", "down1",
    ]));
    shows(&["-i", "down0"], &["down0: the interface is down"]);
    let listed = space.output(&["-D"]);
    assert!(
        text(&listed.stdout).contains("lo  (up, loopback"),
        "{}",
        text(&listed.stdout)
    );
}

/// `hop101 live ARGS`, begun, with both its outputs to be read, or not, by the test.
fn piped(space: &Space, args: &str) -> Child {
    space
        .inside(&[env!("CARGO_BIN_EXE_hop101"), "live"])
        .args(args.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let Some(space) = Space::new() else { return };
    let mut child = piped(&space, "-i lo -Z root");
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    drop(child.stdout.take());
    space.refuse(1);
    let status = child.wait().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(status.code(), Some(1));
}

/// The first one has it write the report, to a pipe that takes no more than its beginning; the second one does not wait.
#[test]
fn the_second_signal_leaves_at_once() {
    let Some(space) = Space::new() else { return };
    let mut child = piped(&space, "-i lo --format json -Z root");
    let mut report = child.stdout.take().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("listening on"));
    // Some 5 KB of JSON each; a pipe holds 64 KiB.
    space.refuse(40);
    let shown = lines.by_ref().map_while(Result::ok);
    let failed = shown.filter(|line| line.contains("FAILED"));
    assert_eq!(failed.take(40).count(), 40);
    let id = child.id().to_string();
    run(Command::new("kill").args(["-INT", &id]));
    // It is at it once the first byte comes.
    let mut first = [0];
    report.read_exact(&mut first).unwrap();
    run(Command::new("kill").args(["-INT", &id]));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut rest = Vec::new();
    report.read_to_end(&mut rest).unwrap();
    let whole: Result<Value, _> = serde_json::from_slice(&[&first[..], &rest].concat());
    assert!(whole.is_err(), "the report was not waited for");
}
