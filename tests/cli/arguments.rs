//! What is typed and what comes of it: exit codes, messages, reports in files, pipes.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::support::{hop101, sample};

const FAILED: &str = "upgrade-not-forwarded.pcapng";
const HEALTHY: &str = "healthy.pcapng";

fn run(args: &[&str]) -> Output {
    hop101().args(args).output().unwrap()
}

fn read(args: &[&str]) -> Output {
    hop101()
        .arg("read")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn path(name: &str) -> String {
    sample(name).to_str().unwrap().to_owned()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn exit_code_says_what_was_found() {
    assert_eq!(code(&read(&[&path(HEALTHY)])), 0);
    assert_eq!(code(&read(&[&path(FAILED)])), 1);
    assert_eq!(code(&read(&[&path(FAILED), "--fail-on", "never"])), 0);
    assert_eq!(
        code(&read(&[
            &path(FAILED),
            "--only",
            "failed",
            "--format",
            "json"
        ])),
        1
    );
    // Nothing worse than a warning.
    assert_eq!(code(&read(&[&path("backend-retried.pcapng")])), 0);
    assert_eq!(
        code(&read(&[
            &path("backend-retried.pcapng"),
            "--fail-on",
            "warning"
        ])),
        1
    );
}

/// `hop101 case.pcap` is what people type first.
#[test]
fn a_capture_without_a_command_names_the_command() {
    let capture = path(FAILED);
    for (word, says) in [(capture.as_str(), true), ("reed", false)] {
        let output = hop101().arg(word).output().unwrap();
        assert_eq!(code(&output), 2);
        let says_so = stderr(&output).contains(&format!("hop101 read {word}"));
        assert_eq!(says_so, says, "{}", stderr(&output));
    }
}

#[test]
fn a_bad_input_is_one_line_and_exit_2_and_the_others_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let whole = fs::read(sample(FAILED)).unwrap();
    for (bad, says) in [
        (
            folder
                .path()
                .join("missing.pcap")
                .to_str()
                .unwrap()
                .to_owned(),
            "no such file",
        ),
        (folder.path().to_str().unwrap().to_owned(), "directory"),
        (file("empty.pcap", b""), "empty"),
        (
            file("text.pcap", b"No. Time Source\n1 0.000 192.0.2.1\n"),
            "text",
        ),
        (file("cut.pcapng", &whole[..whole.len() - 7]), "byte offset"),
    ] {
        let alone = read(&[&bad]);
        assert_eq!(code(&alone), 2, "{bad}");
        let message = stderr(&alone);
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(
            message.starts_with(&format!("hop101: {bad}: ")),
            "{message}"
        );
        assert!(message.contains(says), "{message}");

        let beside = read(&[&bad, &path(FAILED)]);
        assert_eq!(code(&beside), 2, "{bad}");
        assert!(stdout(&beside).contains("upgrade-not-forwarded"), "{bad}");

        let json: serde_json::Value =
            serde_json::from_slice(&read(&[&bad, "--format", "json"]).stdout).unwrap();
        assert!(
            json["captures"][0]["damage"]
                .as_str()
                .unwrap()
                .contains(says),
            "{json}"
        );
    }
}

#[test]
fn a_cut_off_capture_is_explained_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.pcapng");
    let whole = fs::read(sample(FAILED)).unwrap();
    fs::write(&cut, &whole[..whole.len() - 7]).unwrap();
    let output = read(&[cut.to_str().unwrap()]);
    assert_eq!(code(&output), 2);
    assert!(
        stdout(&output).starts_with("FAILED "),
        "{}",
        stdout(&output)
    );
}

#[test]
fn a_table_of_nothing_that_could_be_read_is_not_printed() {
    let output = read(&["/nowhere.pcap"]);
    assert_eq!(stdout(&output), "");
}

#[test]
fn wrong_use_ends_before_any_work() {
    let input = path(FAILED);
    for (args, says) in [
        (vec!["--report", "ticket.pdf"], "extension"),
        (
            vec!["--report", "a.md", "--report", "a.md"],
            "more than once",
        ),
        (vec!["--report", &input], "overwrite an input"),
        (vec!["--memory", "much"], "256M"),
        (vec!["--port", "http"], "invalid value"),
        (vec!["--format", "xml"], "possible values"),
        (vec!["--filter", "tcp prot 80"], "filter"),
        (vec!["-", "-"], "once only"),
    ] {
        let mut all = vec![input.as_str()];
        all.extend(args.iter().copied());
        let output = read(&all);
        assert_eq!(code(&output), 2, "{args:?}");
        assert_eq!(stdout(&output), "", "{args:?}");
        assert!(
            stderr(&output).contains(says),
            "{args:?}: {}",
            stderr(&output)
        );
    }
    assert_eq!(code(&run(&["no-such-command"])), 2);
}

#[test]
fn reports_in_files_are_complete_and_masked() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["r.md", "r.html", "r.json", "r.jsonl", "r.txt"];
    let mut command = hop101();
    command.arg("read").arg(sample(FAILED));
    for name in names {
        command.arg("--report").arg(folder.path().join(name));
    }
    let output = command.output().unwrap();
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    for name in names {
        let text = fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(text.contains("upgrade-not-forwarded"), "{name}");
        assert!(!text.contains('\x1b'), "{name}");
    }
    // Nothing is left beside them.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), names.len());
}

#[test]
fn a_report_that_cannot_be_written_is_exit_2() {
    let output = read(&[&path(FAILED), "--report", "/nowhere/ticket.md"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("/nowhere/ticket.md"));
    assert!(stdout(&output).contains("FAILED"));
}

#[test]
fn a_pipe_is_an_input() {
    for args in [&["read"][..], &["read", "-"]] {
        let mut child = hop101()
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(&fs::read(sample(FAILED)).unwrap())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(code(&output), 1);
        assert!(
            stdout(&output).contains("standard input"),
            "{}",
            stdout(&output)
        );
    }
}

#[test]
fn a_closed_pipe_is_quiet() {
    for format in ["table", "json", "jsonl", "markdown", "html"] {
        let mut child = hop101()
            .arg("read")
            .arg(sample(FAILED))
            .args(["--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(stderr(&output), "", "{format}");
        assert_eq!(code(&output), 1, "{format}");
    }
}

#[test]
fn colours_are_a_matter_of_choice() {
    let colored = |command: &mut Command| stdout(&command.output().unwrap()).contains('\x1b');
    let command = || {
        let mut command = hop101();
        command.arg("read").arg(sample(FAILED));
        command
    };
    assert!(!colored(&mut command()));
    assert!(colored(command().args(["--color", "always"])));
    assert!(!colored(command().args(["--color", "never"])));
    assert!(!colored(command().env("NO_COLOR", "1")));
}

#[test]
fn the_width_follows_columns() {
    for width in [72, 80, 120, 160] {
        let output = hop101()
            .env("COLUMNS", width.to_string())
            .arg("read")
            .arg(sample(FAILED))
            .output()
            .unwrap();
        let widest = stdout(&output)
            .lines()
            .map(|line| line.chars().count())
            .max()
            .unwrap();
        assert!(widest <= width, "{widest} > {width}");
        assert!(widest > width * 3 / 4, "{widest} of {width}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let all = |threads: &str| {
        let files = [
            path(FAILED),
            path("idle-timeout.pcapng"),
            path("no-live-backend.pcapng"),
        ];
        let mut args: Vec<&str> = files.iter().map(String::as_str).collect();
        args.extend(["--format", "json", "--threads", threads]);
        read(&args).stdout
    };
    let first = all("1");
    assert_eq!(first, all("1"));
    assert_eq!(first, all("2"));
}

#[test]
fn ports_and_filters_choose_what_is_looked_at() {
    let handshakes = |args: &[&str]| {
        let input = path(FAILED);
        let mut all = vec![input.as_str(), "--format", "json"];
        all.extend(args);
        let json: serde_json::Value = serde_json::from_slice(&read(&all).stdout).unwrap();
        json["handshakes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|h| h["hops"].as_array().unwrap().len())
            .collect::<Vec<_>>()
    };
    assert_eq!(handshakes(&[]), [2]);
    assert_eq!(handshakes(&["--port", "80"]), [1]);
    assert_eq!(handshakes(&["--port", "80,8080"]), [2]);
    assert_eq!(handshakes(&["--port", "9"]), [0_usize; 0]);
    if cfg!(feature = "live") {
        assert_eq!(handshakes(&["--filter", "tcp port 8080"]), [1]);
    }
}

#[test]
fn a_url_chooses_handshakes() {
    let told = |files: &[&str], url: &[&str]| {
        let files: Vec<String> = files.iter().map(|file| path(file)).collect();
        let mut all: Vec<&str> = files.iter().map(String::as_str).collect();
        all.extend(["--format", "json"]);
        all.extend(url.iter().flat_map(|text| ["--url", text]));
        let json: serde_json::Value = serde_json::from_slice(&read(&all).stdout).unwrap();
        let summary = &json["summary"];
        let counts = [&summary["handshakes"], &summary["left_out"]].map(serde_json::Value::as_u64);
        let handshakes = json["handshakes"].as_array().unwrap();
        let ids = handshakes.iter().map(|h| h["id"].as_str().unwrap());
        (ids.map(str::to_owned).collect::<Vec<_>>(), counts)
    };
    let files = [FAILED, "path-rewritten.pcapng", "idle-timeout-tls.pcapng"];
    let cases: [(&[&str], &[&str], Option<u64>); 8] = [
        (&[], &["h1", "h2", "h3"], None),
        (&["/app/"], &["h2"], Some(2)),
        // The path behind the proxy, in other letters, with its host.
        (&["BK/ws"], &["h1", "h2", "h3"], None),
        (&["wss://192.168.50.1/ws"], &["h1"], Some(2)),
        (&["192.168.50.1/ws", "/app"], &["h1", "h2"], Some(1)),
        // The name that the client asked for within TLS.
        (&["lab.example"], &["h3"], Some(2)),
        (&["/other"], &[], Some(3)),
        (&["[a-z]"], &[], Some(3)),
    ];
    for (url, ids, left_out) in cases {
        let handshakes = Some(ids.len() as u64);
        let wanted: Vec<String> = ids.iter().map(ToString::to_string).collect();
        assert_eq!(
            told(&files, url),
            (wanted, [handshakes, left_out]),
            "{url:?}"
        );
    }
    let file = path(FAILED);
    for form in ["table", "markdown", "html"] {
        let none = read(&[&file, "--url", "/other", "--format", form]);
        let text = stdout(&none);
        assert!(text.contains("for this URL"), "{text}");
        assert!(text.contains("but 1 for others"), "{text}");
        assert!(!text.contains("joined after"), "{text}");
        assert_eq!(code(&none), 0);
        let second = path("path-rewritten.pcapng");
        let some = stdout(&read(&[&file, &second, "--url", "/app", "--format", form]));
        assert!(
            some.contains("1 handshake for other URLs left out"),
            "{some}"
        );
    }
    assert_eq!(code(&read(&[&file, "--url", ""])), 2);
}

#[test]
fn explain_finds_a_code_by_its_name_or_a_part_of_it() {
    let whole = run(&["explain", "idle-timeout"]);
    assert_eq!(code(&whole), 0);
    assert!(stdout(&whole).contains("proxy_read_timeout"));
    let part = stdout(&run(&["explain", "idle"]));
    assert!(
        part.contains("idle-timeout") && part.contains("idle-timeout-in-front"),
        "{part}"
    );
    assert!(!part.contains("upgrade-not-forwarded"), "{part}");
    let none = run(&["explain", "no-such-thing"]);
    assert_eq!(code(&none), 2);
    assert!(stderr(&none).contains("lists all"));
}
