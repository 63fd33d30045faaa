//! What captures bring along and how they are read, from outside: names, filters, limits, pipes, terminals.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hop101::capture::LinkType;

use crate::pipeline::{Packet, packets_of, pcapng};
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

/// A block of pcapng.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let length = (body.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes()[..], &length, &body, &length].concat()
}

#[test]
fn comments_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("commented.pcapng");
    let comment = b"ticket 4711 <b>\x1b[31m\n![x](y) and so on ";
    let mut section = [0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0].to_vec();
    section.extend([0xff; 8]);
    section.extend([1, 0, comment.len() as u8, 0]);
    section.extend(comment);
    section.resize(section.len().next_multiple_of(4), 0);
    section.extend([0; 4]);
    let sample = fs::read(sample(FAILED)).unwrap();
    fs::write(&file, [block(0x0a0d_0d0a, &section), sample].concat()).unwrap();
    let (report, _) = read_json(std::slice::from_ref(&file), &[]);
    let comments = report["captures"][0]["comments"].as_array().unwrap();
    assert!(
        comments
            .iter()
            .any(|one| one.as_str().unwrap().starts_with("ticket 4711"))
    );
    for form in ["table", "markdown", "html"] {
        let shown = text(&["--format", form, "-v"], &file);
        assert!(shown.contains("ticket 4711"), "{form}: {shown}");
        assert!(!shown.contains('\x1b'), "{form}");
    }
    assert!(!text(&["--format", "html"], &file).contains("<b>"));
    assert!(!text(&["--format", "markdown"], &file).contains("![x]"));
}

#[test]
fn keys_in_a_capture_are_found_for_their_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.pcapng");
    let sample = fs::read(sample("healthy-tls.pcapng")).unwrap();
    // A ClientHello in a record: its random stands behind type, length and version.
    let hello = packets_of("healthy-tls.pcapng")
        .into_iter()
        .find_map(|packet| {
            let at = packet
                .data
                .windows(6)
                .position(|bytes| matches!(bytes, [22, 3, _, _, _, 1]))?;
            Some(packet.data[at + 11..at + 43].to_vec())
        })
        .unwrap();
    let random = hello
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    // Of the right form, and of no session: the sample's own keys were never kept.
    let secret = "5e".repeat(48);
    let labels = ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"];
    let lines = labels.map(|label| format!("# a comment\n{label} {random} {secret}\n"));
    let log = lines.concat();
    let length = (log.len() as u32).to_le_bytes();
    let secrets = block(10, &[b"KSLT", &length[..], log.as_bytes()].concat());
    fs::write(&file, [sample, secrets].concat()).unwrap();
    let (report, _) = read_json(std::slice::from_ref(&file), &[]);
    let with_keys: Vec<&serde_json::Value> = report["connections"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["tls"]["keys_in_capture"] == true)
        .collect();
    assert_eq!(with_keys.len(), 1);
    assert_eq!(with_keys[0]["tls"]["decrypted"], false);
    assert_eq!(report["limits"][0]["kind"], "tls-keys");
    for form in ["table", "markdown", "html", "json"] {
        let shown = text(&["--format", form], &file);
        let words: Vec<&str> = shown.split_whitespace().collect();
        assert!(
            words
                .join(" ")
                .contains("nothing said in it can be decrypted"),
            "{form}: {shown}"
        );
        assert!(!shown.contains("5e5e5e"), "{form}");
    }
}

/// The backend hop of a sample.
fn backend_hop(name: &str) -> Vec<Packet> {
    let mut packets = packets_of(name);
    packets.retain(|packet| {
        packet
            .data
            .windows(2)
            .skip(36)
            .step_by(2)
            .take(2)
            .any(|port| port == [0x1f, 0x90])
    });
    packets
}

#[test]
fn holes_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str, packets: &[Packet]| {
        let file = folder.path().join(name);
        fs::write(&file, pcapng(packets)).unwrap();
        let (report, _) = read_json(std::slice::from_ref(&file), &[]);
        let mut kinds: Vec<String> = Vec::new();
        for connection in report["connections"].as_array().unwrap() {
            for lack in connection["quality"].as_array().unwrap() {
                kinds.push(lack.as_str().unwrap().to_owned());
            }
        }
        let details = report["limits"].to_string();
        (kinds, details)
    };
    let whole = backend_hop("healthy.pcapng");
    assert_eq!(of("whole", &whole).0, [""; 0]);
    // The last frame with payload but for the Close frames of each side.
    let loaded: Vec<usize> = (0..whole.len())
        .filter(|&at| whole[at].data.ends_with(b"hello"))
        .collect();
    let &place = loaded.last().unwrap();

    let mut holed = whole.clone();
    holed.remove(place);
    let (kinds, details) = of("holed", &holed);
    assert_eq!(kinds, ["gap"]);
    assert!(details.contains("are not in the capture"), "{details}");

    let mut cut = whole.clone();
    let short = cut[place].data.len() - 3;
    cut[place].data.truncate(short);
    let (kinds, details) = of("cut", &cut);
    assert_eq!(kinds, ["truncated"]);
    assert!(details.contains("cut off by the snaplen"), "{details}");
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

/// Nothing is among what was chosen: that says nothing about the capture.
#[test]
fn a_choice_that_leaves_nothing_is_named() {
    for (arguments, told) in [
        (&["--port", "81"][..], true),
        (&["--host", "192.0.2.1"], true),
        (&["--port", "81", "-q"], false),
        (&["--port", "80"], false),
        (&[], false),
    ] {
        let output = hop101()
            .arg("read")
            .arg(sample(FAILED))
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.contains("try without"), told, "{arguments:?}: {said}");
    }
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
    let (mut mixed, _) = read_json(&[file], &["--filter", "tcp port 8080"]);
    assert_eq!(
        mixed["connections"][0]["interfaces"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    mixed["connections"][0]["interfaces"] = whole["connections"][0]["interfaces"].clone();
    assert_eq!(whole["summary"]["connections"], 1);
    assert_eq!(mixed["connections"], whole["connections"]);
    assert_eq!(mixed["summary"], whole["summary"]);
}

#[cfg(feature = "live")]
#[test]
fn a_filter_that_does_not_compile_is_told_once() {
    let output = hop101()
        .arg("read")
        .arg(sample(FAILED))
        .args(["--filter", "nonsense("])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(said.matches("does not compile").count(), 1, "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

/// Two captures as gzip, larger than what is read at once: a handshake, then frames that are not ours.
fn compressed(folder: &Path) -> [PathBuf; 2] {
    ["one", "two"].map(|name| {
        let packets = packets_of(FAILED);
        let idle = (0..2000).map(|_| Packet {
            data: vec![0x5a; 400],
            ..packets[packets.len() - 1].clone()
        });
        let all: Vec<Packet> = packets.iter().cloned().chain(idle).collect();
        let file = folder.join(name).with_extension("pcapng.gz");
        let mut gzip = flate2::write::GzEncoder::new(
            fs::File::create(&file).unwrap(),
            flate2::Compression::fast(),
        );
        gzip.write_all(&pcapng(&all)).unwrap();
        gzip.finish().unwrap();
        file
    })
}

/// The same file without its end.
fn cut_off(file: &Path) -> PathBuf {
    let bytes = fs::read(file).unwrap();
    let cut = file.with_extension("cut");
    fs::write(&cut, &bytes[..bytes.len() - 20]).unwrap();
    cut
}

#[test]
fn threads_change_nothing() {
    let files = [sample("front.pcap"), sample("mid.pcap")];
    let files: Vec<PathBuf> = files.into_iter().filter(|file| file.exists()).collect();
    let folder = tempfile::tempdir().unwrap();
    let compressed = compressed(folder.path());
    for files in [
        files,
        vec![sample(FAILED)],
        vec![sample("proxy-reloaded.pcapng")],
        compressed.to_vec(),
        vec![cut_off(&compressed[0])],
    ] {
        for form in ["json", "jsonl", "table", "markdown", "html"] {
            let bytes = |threads: &str| {
                let output = hop101()
                    .arg("read")
                    .args(&files)
                    .args(["--format", form, "--threads", threads])
                    .output()
                    .unwrap();
                (output.stdout, output.stderr, output.status.code())
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
    let mut child = Command::new("script")
        .args(["-q", "-e", "-c", &line, "/dev/null"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut screen = child.stdout.take().unwrap();
    let (show, shown) = mpsc::channel();
    let watcher = thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = screen.read(&mut part) {
            let _ = show.send(String::from_utf8_lossy(&part[..length]).into_owned());
        }
    });
    let mut seen = String::new();
    // Frames are counted while the rest is still to come.
    let bytes = fs::read(sample("healthy.pcapng")).unwrap();
    let (half, rest) = bytes.split_at(bytes.len() / 2);
    let mut pipe = fs::OpenOptions::new().write(true).open(&fifo).unwrap();
    pipe.write_all(half).unwrap();
    let counted = |seen: &str| {
        let counts = seen
            .split(" frames, ")
            .filter_map(|before| before.rsplit(' ').next()?.parse().ok());
        counts.max().unwrap_or(0_u64)
    };
    while counted(&seen) == 0 {
        let part = shown.recv_timeout(Duration::from_secs(30));
        seen += &part.unwrap_or_else(|_| panic!("no progress: {seen}"));
    }
    assert!(counted(&seen) < 32, "{seen}");
    pipe.write_all(rest).unwrap();
    drop(pipe);
    let status = child.wait().unwrap();
    watcher.join().unwrap();
    seen.extend(shown.iter());
    assert_eq!(status.code(), Some(0), "{seen}");
    assert!(seen.contains("hop101.report/1"), "{seen}");
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
    let bytes = fs::read(sample("healthy.pcapng")).unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // For longer than it takes until progress is shown.
    for part in bytes.chunks(bytes.len() / 10) {
        pipe.write_all(part).unwrap();
        thread::sleep(Duration::from_millis(100));
    }
    drop(pipe);
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
    // Blocks that nobody knows, more than a pipe holds: when they are taken, the frames before them are, too.
    for _ in 0..64 {
        pipe.write_all(&block(0x0123_4567, &vec![0; 65_536]))
            .unwrap();
    }
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    // What writes into the pipe ends as well.
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["summary"]["failed"], 1);
}
