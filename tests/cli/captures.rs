//! What captures bring along and how they are read, from outside: names, filters, limits, pipes, terminals.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use hop101::capture::LinkType;

use crate::pipeline::{packets_of, pcapng};
use crate::support::{have, hop101, read_json, sample};

const FAILED: &str = "upgrade-not-forwarded.pcapng";

fn text(args: &[&str], file: &Path) -> String {
    let output = hop101().arg("read").arg(file).args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A name resolution block that gives two addresses of the samples names, one of them hostile.
fn names() -> Vec<u8> {
    let mut body = Vec::new();
    for (address, name) in [
        ([192, 168, 50, 1], "edge.example\0"),
        ([10, 20, 0, 11], "be\x1b[31m\0"),
    ] {
        let length = 4 + name.len() as u16;
        body.extend([1, 0]);
        body.extend(length.to_le_bytes());
        body.extend(address);
        body.extend(name.bytes());
        body.resize(body.len().next_multiple_of(4), 0);
    }
    body.extend([0; 4]);
    let length = (body.len() as u32 + 12).to_le_bytes();
    [&[4, 0, 0, 0][..], &length, &body, &length].concat()
}

#[test]
fn names_are_shown_beside_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("named.pcapng");
    fs::write(&file, [fs::read(sample(FAILED)).unwrap(), names()].concat()).unwrap();
    let (report, _) = read_json(std::slice::from_ref(&file), &[]);
    let connection = &report["connections"][0];
    assert_eq!(connection["server"], "192.168.50.1:80");
    assert_eq!(connection["server_name"], "edge.example");
    assert!(connection["client_name"].is_null());
    for form in ["table", "markdown", "html"] {
        let shown = text(&["--format", form, "-v"], &file);
        assert!(shown.contains("(edge.example)"), "{form}: {shown}");
        assert!(!shown.contains('\x1b'), "{form}");
        let masked = text(&["--format", form, "-v", "--redact", "strict"], &file);
        assert!(!masked.contains("edge.example"), "{form}: {masked}");
    }
}

#[test]
fn a_link_type_that_nobody_knows_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("usb.pcapng");
    let mut packets = packets_of(FAILED);
    for packet in &mut packets {
        packet.link = LinkType(220);
    }
    fs::write(&file, pcapng(&packets)).unwrap();
    let output = hop101().arg("read").arg(&file).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("usb.pcapng: frames of link type 220 (USB_LINUX_MMAPPED)")
            && said.contains("capture on"),
        "{said}"
    );
    // Beside others it costs no more than a line in the footer.
    let mut packets = packets_of(FAILED);
    packets.push(packets[0].clone());
    packets.last_mut().unwrap().link = LinkType(220);
    fs::write(&file, pcapng(&packets)).unwrap();
    let (report, output) = read_json(&[file], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report["limits"][0]["kind"], "link-type");
}

/// The sample with every frame in a VLAN in a VLAN.
fn tagged(folder: &Path) -> PathBuf {
    let mut packets = packets_of(FAILED);
    for packet in &mut packets {
        let (header, rest) = packet.data.split_at(16);
        let tags = [0x88, 0xa8, 0, 7, 0x81, 0, 0, 101];
        packet.data = [&[2; 12][..], &tags, &header[14..], rest].concat();
        packet.wire_len = packet.data.len() as u32;
        packet.link = LinkType::ETHERNET;
    }
    let file = folder.join("tagged.pcapng");
    fs::write(&file, pcapng(&packets)).unwrap();
    file
}

#[test]
fn hosts_and_ports_are_matched_behind_tags() {
    let folder = tempfile::tempdir().unwrap();
    let files = [tagged(folder.path())];
    let connections = |args: &[&str]| read_json(&files, args).0["summary"]["connections"].clone();
    assert_eq!(connections(&[]), 2);
    assert_eq!(connections(&["--port", "8080"]), 1);
    assert_eq!(connections(&["--port", "8080,80"]), 2);
    assert_eq!(connections(&["--host", "10.20.0.11"]), 1);
    assert_eq!(connections(&["--host", "10.20.0.0/16,192.168.0.0/16"]), 2);
    assert_eq!(connections(&["--host", "10.20.0.11", "--port", "80"]), 0);
    assert_eq!(connections(&["--host", "2001:db8::/32"]), 0);
}

#[cfg(feature = "live")]
#[test]
fn filters_are_compiled_for_each_link_type() {
    let folder = tempfile::tempdir().unwrap();
    let mut packets = packets_of(FAILED);
    for packet in packets.iter_mut().skip(1).step_by(2) {
        let (header, rest) = packet.data.split_at(16);
        packet.data = [&[2; 12][..], &header[14..], rest].concat();
        packet.wire_len = packet.data.len() as u32;
        packet.link = LinkType::ETHERNET;
    }
    let file = folder.path().join("mixed.pcapng");
    fs::write(&file, pcapng(&packets)).unwrap();
    let (whole, _) = read_json(&[sample(FAILED)], &["--filter", "tcp port 8080"]);
    let (mixed, _) = read_json(&[file], &["--filter", "tcp port 8080"]);
    assert_eq!(whole["summary"]["connections"], 1);
    assert_eq!(mixed["connections"], whole["connections"]);
    assert_eq!(mixed["summary"], whole["summary"]);
}

#[test]
fn threads_change_nothing() {
    let files = [sample("front.pcap"), sample("mid.pcap")];
    let files: Vec<PathBuf> = files.into_iter().filter(|file| file.exists()).collect();
    for files in [
        files,
        vec![sample(FAILED)],
        vec![sample("proxy-reloaded.pcapng")],
    ] {
        for form in ["json", "jsonl", "table", "markdown", "html"] {
            let bytes = |threads: &str| {
                let output = hop101()
                    .arg("read")
                    .args(&files)
                    .args(["--format", form, "--threads", threads])
                    .output()
                    .unwrap();
                (output.stdout, output.status.code())
            };
            let one = bytes("1");
            assert!(!one.0.is_empty());
            for many in ["2", "8"] {
                assert!(
                    bytes(many) == one,
                    "{files:?} as {form} with {many} threads"
                );
            }
        }
    }
}

#[test]
fn little_memory_is_enough_for_little() {
    let (wanted, _) = read_json(&[sample(FAILED)], &[]);
    let (got, _) = read_json(&[sample(FAILED)], &["--memory", "1M"]);
    assert_eq!(got, wanted);
}

/// Feeds a sample slowly, as a live capture comes.
fn feed(mut to: impl Write) {
    let bytes = fs::read(sample("healthy.pcapng")).unwrap();
    for part in bytes.chunks(bytes.len() / 10) {
        to.write_all(part).unwrap();
        to.flush().unwrap();
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_fifo_is_read_as_it_comes_and_shows_progress_on_a_terminal() {
    // `script` gives the program a terminal.
    if !have("script") || !have("mkfifo") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let line = format!(
        "{} read {} --format json --color never",
        env!("CARGO_BIN_EXE_hop101"),
        fifo.display()
    );
    let child = Command::new("script")
        .args(["-q", "-e", "-c", &line, "/dev/null"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    feed(fs::OpenOptions::new().write(true).open(&fifo).unwrap());
    let output = child.wait_with_output().unwrap();
    let seen = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{seen}");
    assert!(seen.contains(" frames, "), "{seen}");
    assert!(seen.contains("hop101.report/1"), "{seen}");
    // Frames were counted while the rest was still to come.
    let counts: Vec<u64> = seen
        .split(" frames, ")
        .filter_map(|before| before.rsplit(' ').next()?.parse().ok())
        .collect();
    assert!(
        counts.iter().any(|&count| 0 < count && count < 32),
        "{counts:?}"
    );
}

#[test]
fn what_is_no_terminal_sees_no_progress() {
    let mut child = hop101()
        .args(["read", "-", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    feed(child.stdin.take().unwrap());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[cfg(unix)]
#[test]
fn ctrl_c_on_a_pipe_ends_with_the_report() {
    if !have("kill") {
        return;
    }
    let mut child = hop101()
        .args(["read", "-", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(&fs::read(sample(FAILED)).unwrap()).unwrap();
    thread::sleep(Duration::from_millis(500));
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    thread::sleep(Duration::from_millis(100));
    // What writes into the pipe ends as well.
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["summary"]["failed"], 1);
}
