//! `hop101 live` in network namespaces of its own. Needs root; each test makes and removes its namespace.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{have, hop101, missing, root, sample};

/// From the packet that decided to the line about it.
const LATENCY_MAX: f64 = 1.0;

/// Nothing here takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// An opening handshake, as Python writes bytes.
const REQUEST: &str = "GET /ws HTTP/1.1\\r\\nHost: h\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n";

/// A network namespace with a folder.
struct Space {
    name: String,
    folder: tempfile::TempDir,
}

impl Space {
    /// `None`, with a printed line, where that is not possible.
    fn new() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let id = Command::new("id").arg("-u").output().unwrap();
        if id.stdout.trim_ascii() != b"0" {
            missing("live capture is tested as root, in network namespaces");
            return None;
        }
        if !have("ip") {
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let space = Self {
            name: format!("h101-{}-{}-l", std::process::id(), 9000 + number),
            folder: tempfile::tempdir().unwrap(),
        };
        run(Command::new("ip").args(["netns", "add", &space.name]));
        run(&mut space.inside(&["ip", "link", "set", "lo", "up"]));
        Some(space)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Two devices, up, each the other end of the other.
    fn veth(&self, one: &str, other: &str) {
        run(&mut self.inside(&[
            "ip", "link", "add", one, "type", "veth", "peer", "name", other,
        ]));
        for device in [one, other] {
            run(&mut self.inside(&["ip", "link", "set", device, "up"]));
        }
    }

    /// A command that runs in it.
    fn inside(&self, argv: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.name])
            .args(argv)
            .env_remove("NO_COLOR")
            .current_dir(self.folder.path());
        command
    }

    /// `hop101 live ARGS`, begun. Returns when it listens.
    fn live(&self, args: &[&str]) -> Live {
        let mut live = Live::begin(
            self.inside(&[env!("CARGO_BIN_EXE_hop101"), "live"])
                .args(args),
        );
        live.wait_for_message("listening on");
        live
    }

    /// `hop101 live ARGS`, to its end.
    fn output(&self, args: &[&str]) -> Output {
        let mut command = self.inside(&[env!("CARGO_BIN_EXE_hop101"), "live"]);
        command.args(args).output().unwrap()
    }

    /// Handshakes that a server on loopback refuses with 403, one after the other.
    fn refuse(&self, times: usize) {
        let script = format!(
            r#"
import socket, threading
request = b"{REQUEST}"
answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
def serve():
    for _ in range({times}):
        peer, _ = listener.accept()
        peer.recv(4096)
        peer.sendall(answer)
        peer.close()
listener = socket.create_server(("127.0.0.1", 0))
server = threading.Thread(target=serve)
server.start()
for _ in range({times}):
    with socket.create_connection(listener.getsockname()) as client:
        client.sendall(request)
        while client.recv(4096): pass
server.join()
"#
        );
        run(&mut self.inside(&["/usr/bin/python3", "-c", &script]));
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .status();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A running `hop101 live`.
struct Live {
    child: Child,
    out: Receiver<(f64, String)>,
    messages: Receiver<String>,
    said: String,
}

impl Live {
    fn begin(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send_line, out) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = send_line.send((seconds_now(), line));
            }
        });
        let (send_message, messages) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = send_message.send(line);
            }
        });
        Self {
            child,
            out,
            messages,
            said: String::new(),
        }
    }

    fn wait_for_message(&mut self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        while !self.said.contains(part) {
            let left = until.saturating_duration_since(Instant::now());
            match self.messages.recv_timeout(left) {
                Ok(line) => self.said += &(line + "\n"),
                Err(_) => panic!("it did not say {part:?} but {:?}", self.said),
            }
        }
        self.said.clone()
    }

    /// The first line that has `part` in it, and when it came.
    fn line_with(&self, part: &str) -> (f64, String) {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.out.recv_timeout(left);
            let line = line.unwrap_or_else(|_| {
                let said: Vec<String> = self.messages.try_iter().collect();
                panic!("no line has {part:?}; it said {said:?}")
            });
            if line.1.contains(part) {
                return line;
            }
        }
    }

    /// The handshake's line of JSON, and how long after its answer it came.
    fn handshake(&self) -> (f64, Value) {
        let (at, line) = self.line_with(r#""type":"handshake""#);
        let value: Value = serde_json::from_str(&line).unwrap();
        // Without an answer there is nothing to compare with.
        let answered = value["hops"][0]["response"]["at"].as_str();
        (at - answered.map_or(at, seconds), value)
    }

    fn signal(&self, signal: &str) {
        // `ip netns exec` becomes the program, so its number is the child's.
        run(Command::new("kill").args([signal, &self.child.id().to_string()]));
    }

    /// Waits for its end; what it still printed.
    fn end(mut self) -> (ExitStatus, String, String) {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "it does not end: {}", self.said);
            std::thread::sleep(Duration::from_millis(10));
        };
        let out: Vec<String> = self.out.iter().map(|(_, line)| line + "\n").collect();
        let said: Vec<String> = self.messages.iter().map(|line| line + "\n").collect();
        (status, out.concat(), self.said.clone() + &said.concat())
    }

    fn stop(self) -> (ExitStatus, String, String) {
        self.signal("-INT");
        self.end()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn seconds_now() -> f64 {
    seconds(&jiff::Timestamp::now().to_string())
}

fn seconds(at: &str) -> f64 {
    let at: jiff::Timestamp = at.parse().unwrap();
    Duration::try_from(at.duration_since(jiff::Timestamp::UNIX_EPOCH))
        .unwrap()
        .as_secs_f64()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Real nginx: every outcome is shown within a second, and the final report is what `read` makes of the file written.
#[test]
fn outcomes_are_shown_within_a_second_and_the_report_is_that_of_read() {
    if Space::new().is_none() || !["nginx", "nft", "node", "npm"].into_iter().all(have) {
        return;
    }
    let output = Command::new("/usr/bin/python3")
        .arg(root().join("tests/lab/live.py"))
        .args(["--jobs", "6", "--hop101", env!("CARGO_BIN_EXE_hop101")])
        .args([
            "upgrade-not-forwarded",
            "key-invalid",
            "forbidden",
            "not-found-by-backend",
        ])
        .args([
            "backend-refused",
            "backend-closed-early",
            "backend-timeout",
            "client-gave-up",
        ])
        .args([
            "accept-mismatch",
            "plain-to-tls-port",
            "certificate-rejected",
            "idle-timeout",
        ])
        .args([
            "backend-reset",
            "closed-with-error",
            "healthy-auth-request",
            "many-clients",
            "plain-http",
        ])
        .output()
        .unwrap();
    let rows = text(&output.stdout);
    println!("{rows}");
    assert!(
        rows.contains(" 0 failed") && output.status.success(),
        "{rows}{}",
        text(&output.stderr)
    );
}

/// How long a process waited for a processor that others had, in seconds, as it goes: other tests run at the same time.
struct Waited {
    stop: std::sync::mpsc::Sender<()>,
    samples: std::thread::JoinHandle<Vec<(f64, f64)>>,
}

impl Waited {
    fn of(process: u32) -> Self {
        let (stop, stopped) = channel();
        let samples = std::thread::spawn(move || {
            let mut samples = Vec::new();
            while stopped.recv_timeout(Duration::from_millis(5)).is_err() {
                // Time on a processor, time waiting for one, both in nanoseconds (Documentation/scheduler/sched-stats).
                let text = std::fs::read_to_string(format!("/proc/{process}/schedstat"));
                let text = text.unwrap_or_default();
                let nanos = text
                    .split_whitespace()
                    .nth(1)
                    .and_then(|one| one.parse().ok());
                samples.push((seconds_now(), nanos.unwrap_or(0.0) / 1e9));
            }
            samples
        });
        Self { stop, samples }
    }

    /// Between these two moments.
    fn between(self, from: f64, to: f64) -> f64 {
        self.stop.send(()).unwrap();
        let samples = self.samples.join().unwrap();
        let at = |moment: f64| {
            let before = samples.iter().rev().find(|(at, _)| *at <= moment);
            before.map_or(0.0, |&(_, waited)| waited)
        };
        at(to) - at(from)
    }
}

/// One handshake fails in the middle of a flood: it is shown in time, for what it is. Of three floods one has to show how
/// fast it is, all how right.
fn a_failure_is_shown_in_a_flood(kinds: &[&str], rate: &str) {
    let Some(space) = Space::new() else { return };
    let mut latencies = Vec::new();
    for _ in 0..3 {
        latencies.push(shown_in_a_flood(&space, kinds, rate));
        if latencies.iter().any(|&late| late < LATENCY_MAX) {
            return;
        }
    }
    panic!("shown after {latencies:?} s");
}

/// How many seconds after its packet the failure was shown.
fn shown_in_a_flood(space: &Space, kinds: &[&str], rate: &str) -> f64 {
    let _ = std::fs::remove_dir_all(space.path("kept"));
    let live = space.live(&[
        "-i",
        "lo",
        "--format",
        "jsonl",
        "-Z",
        "root",
        "--evidence",
        "kept",
    ]);
    let waited = Waited::of(live.child.id());
    let script = root().join("tests/lab/peers/flood.py");
    let flood = space
        .inside(&["/usr/bin/python3", script.to_str().unwrap(), "6", rate])
        .args(kinds)
        .output()
        .unwrap();
    let flood: Value =
        serde_json::from_slice(&flood.stdout).unwrap_or_else(|_| panic!("{}", text(&flood.stderr)));
    assert_eq!(flood["answered"], true);
    let (late, shake) = loop {
        let (late, shake) = live.handshake();
        if shake["hops"][0]["response"]["server"] == "flooded" {
            break (late, shake);
        }
    };
    assert_eq!(
        (&shake["verdict"], &shake["cause"]),
        (&"failed".into(), &"forbidden".into())
    );
    let answered = seconds(shake["hops"][0]["response"]["at"].as_str().unwrap());
    let waited = waited.between(answered, answered + late);
    let (status, out, said) = live.stop();
    let summary: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    println!(
        "{kinds:?}: {} packets sent, {} captured, shown after {late:.2} s, {waited:.2} s without a processor",
        flood["sent"], summary["captures"][0]["frames"]
    );
    assert_eq!(status.code(), Some(1), "{said}");
    let kept = std::fs::read_dir(space.path("kept")).unwrap().count();
    assert!(kept >= 1, "no evidence");
    late - waited
}

#[test]
fn a_failure_in_a_flood_of_syns_and_garbage_is_still_shown() {
    a_failure_is_shown_in_a_flood(&["syns", "frames"], "10000");
}

#[test]
fn a_failure_in_a_flood_of_handshakes_with_the_same_key_is_still_shown() {
    a_failure_is_shown_in_a_flood(&["heads"], "500");
}

#[test]
fn a_terminal_line_a_snapshot_and_the_report() {
    let Some(space) = Space::new() else { return };
    let live = space.live(&[
        "-i",
        "lo",
        "--report",
        "report.json",
        "--report",
        "lines.jsonl",
        "-Z",
        "root",
    ]);
    space.refuse(1);
    let (_, line) = live.line_with("FAILED");
    assert!(
        line.contains("Z FAILED ") && line.contains("h/ws") && line.ends_with("  forbidden"),
        "{line}"
    );
    live.signal("-USR1");
    live.line_with("Cause     forbidden");
    let snapshot: Value =
        serde_json::from_slice(&std::fs::read(space.path("report.json")).unwrap()).unwrap();
    assert_eq!(snapshot["summary"]["failed"], 1);
    // Whether or not it is over by now.
    assert_eq!(snapshot["summary"]["connections"], 1);
    // Lines in a file come as they do on standard output: somebody may follow it.
    let lines = std::fs::read_to_string(space.path("lines.jsonl")).unwrap();
    let line: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(
        line["connections"][0]["server"]
            .as_str()
            .unwrap()
            .split(':')
            .next(),
        Some("127.0.0.1")
    );
    space.refuse(2);
    live.line_with("FAILED");
    live.line_with("FAILED");
    let (status, out, _) = live.stop();
    assert_eq!(status.code(), Some(1));
    assert!(out.contains("3 handshakes: 3 failed."), "{out}");
    let report: Value =
        serde_json::from_slice(&std::fs::read(space.path("report.json")).unwrap()).unwrap();
    assert_eq!(report["summary"]["failed"], 3);
    assert_eq!(report["captures"][0]["format"], "live");
    let lines = std::fs::read_to_string(space.path("lines.jsonl")).unwrap();
    assert_eq!(lines.matches(r#""type":"handshake""#).count(), 3, "{lines}");
    assert!(
        lines
            .lines()
            .last()
            .unwrap()
            .contains(r#""type":"summary""#)
    );
}

/// A client, nginx' place and a backend, each in a space of its own: what of the proxy is seen, and on which interface.
#[test]
fn the_interface_of_each_hop_is_told() {
    let Some(space) = Space::new() else { return };
    space.veth("front", "front1");
    space.veth("back", "back1");
    let args = ["-w", "all.pcapng", "--report", "live.json", "-Z", "root"];
    let live = space.live(&[&["-i", "any", "-v"], &args[..]].concat());
    // A story that the lab captured, one hop on each wire.
    let script = format!(
        r#"
import socket, struct
file = open("{}", "rb").read()
wires = {{}}
for name in ("front1", "back1"):
    wires[name] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    wires[name].bind((name, 0))
at = 0
while at < len(file):
    kind, length = struct.unpack_from("<II", file, at)
    if kind == 6:
        size, = struct.unpack_from("<I", file, at + 20)
        # Without the header of SLL.
        packet = file[at + 28 + 16:at + 28 + size]
        ports = struct.unpack_from("!HH", packet, 20)
        wire = wires["back1" if 8080 in ports else "front1"]
        wire.send(bytes.fromhex("0200000000020200000000010800") + packet)
    at += length
"#,
        sample("upgrade-not-forwarded.pcapng").display()
    );
    run(&mut space.inside(&["/usr/bin/python3", "-c", &script]));
    let (_, heading) = live.line_with("client → proxy");
    assert!(heading.contains("proxy → backend"), "{heading}");
    let (_, shown) = live.line_with("on front");
    assert!(shown.contains("on back"), "{shown}");
    let (status, _, said) = live.stop();
    assert_eq!(status.code(), Some(1), "{said}");
    let read = |args: &[&str]| {
        let mut command = hop101();
        command.arg("read").args(args).current_dir(&space.folder);
        command.output().unwrap()
    };
    read(&["all.pcapng", "-q", "--report", "read.json"]);
    let report = |name: &str| std::fs::read(space.path(name)).unwrap();
    assert!(report("live.json") == report("read.json"));
    let report: Value = serde_json::from_slice(&report("read.json")).unwrap();
    for (place, name) in ["front", "back"].into_iter().enumerate() {
        // Both ends of a wire are in this space, and `any` sees both.
        let interfaces = report["connections"][place]["interfaces"]
            .as_array()
            .unwrap();
        let mut names = interfaces.iter().map(|one| one["name"].as_str().unwrap());
        assert!(names.all(|one| one.starts_with(name)), "{interfaces:?}");
    }
}

/// While the program stands still the kernel has nowhere to put the packets.
#[test]
fn packets_that_the_kernel_lost_are_told_and_a_limit() {
    let Some(space) = Space::new() else { return };
    let mut live = space.live(&[
        "-i",
        "lo",
        "--buffer",
        "4M",
        "-w",
        "all.pcapng",
        "--report",
        "live.json",
        "-Z",
        "root",
    ]);
    space.refuse(1);
    live.line_with("FAILED");
    live.signal("-STOP");
    let flood = r#"
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(20000):
    sock.sendto(bytes(1000), ("127.0.0.1", 9))
"#;
    run(&mut space.inside(&["/usr/bin/python3", "-c", flood]));
    live.signal("-CONT");
    live.wait_for_message("packets lost");
    let (status, out, said) = live.stop();
    assert_eq!(status.code(), Some(1), "{said}{out}");
    assert!(out.contains("packets dropped while capturing"), "{out}");
    let done = hop101()
        .args(["read", "all.pcapng", "-q", "--report", "read.json"])
        .current_dir(&space.folder)
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(1));
    let [live, read] =
        ["live.json", "read.json"].map(|name| std::fs::read(space.path(name)).unwrap());
    assert!(live == read, "{}", text(&live));
    let report: Value = serde_json::from_slice(&read).unwrap();
    assert!(report["captures"][0]["dropped"].as_u64().unwrap() > 1000);
    let limits = report["limits"].as_array().unwrap();
    let drops = limits.iter().find(|one| one["kind"] == "drops").unwrap();
    let detail = drops["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("all.pcapng: the kernel or an interface lost"),
        "{detail}"
    );
}

#[test]
fn on_a_terminal_lines_fit_and_the_status_line_stays_apart() {
    let Some(space) = Space::new() else { return };
    if !have("script") {
        return;
    }
    for columns in [80, 160] {
        let program = env!("CARGO_BIN_EXE_hop101");
        let command = format!(
            "stty cols {columns} rows 24; \
             exec {program} live -i lo --duration 60s --fail-on never -Z root"
        );
        // One of its own: that of the run before shows all that is waited for.
        let name = format!("typescript-{columns}");
        let mut child = space
            // -f: written as it comes, not by the block.
            .inside(&["script", "-qfec", &command, &name])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let typescript = space.path(&name);
        let shows = |what: &str, times: usize| {
            let until = Instant::now() + PATIENCE;
            let shown = || std::fs::read_to_string(&typescript).unwrap_or_default();
            while shown().matches(what).count() < times {
                assert!(Instant::now() < until, "no {what}: {}", shown());
                std::thread::sleep(Duration::from_millis(50));
            }
        };
        shows("connections", 1);
        space.refuse(2);
        shows("forbidden", 2);
        // Ctrl-C, as the terminal passes it on.
        let mut keyboard = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut keyboard, b"\x03").unwrap();
        let pressed = Instant::now();
        let status = child.wait().unwrap();
        let text = std::fs::read_to_string(&typescript).unwrap();
        assert!(status.success(), "{status}: {text}");
        assert!(
            pressed.elapsed() < PATIENCE,
            "Ctrl-C took {:?}",
            pressed.elapsed()
        );
        // The terminal echoes what is typed.
        let text = anstream::adapter::strip_str(&text)
            .to_string()
            .replace("^C", "");
        let (live, report) = text.split_once("2 handshakes: ").unwrap();
        assert!(report.contains("forbidden"), "{text}");
        // What is drawn over begins at the left; the first line is of `script` itself.
        let drawn: Vec<&str> = live
            .split(['\r', '\n'])
            .skip(1)
            .filter(|line| !line.trim().is_empty())
            .collect();
        let lines: Vec<&&str> = drawn
            .iter()
            .filter(|line| line.contains("FAILED"))
            .collect();
        assert_eq!(lines.len(), 2, "{drawn:?}");
        for line in lines {
            assert!(line.ends_with("  forbidden"), "{line}");
        }
        for line in &drawn {
            assert!(line.chars().count() <= columns, "{line:?}");
            let status = line.contains(" unclear");
            let all = [
                " ok, ",
                " failed, ",
                "packets",
                "/s, ",
                " dropped",
                "connections",
            ];
            let whole = all.iter().all(|part| line.contains(part)) && !line.contains("FAILED");
            assert!(!status || whole, "{line:?}");
        }
    }
}

#[test]
fn the_number_of_packets_and_the_time_are_limits() {
    let Some(space) = Space::new() else { return };
    let live = space.live(&[
        "-i",
        "lo",
        "-c",
        "7",
        "-w",
        "seven.pcapng",
        "--fail-on",
        "never",
        "-Z",
        "root",
    ]);
    space.refuse(1);
    let (status, _, _) = live.end();
    assert_eq!(status.code(), Some(0));
    let output = Command::new(env!("CARGO_BIN_EXE_hop101"))
        .args(["read", "--format", "json", "--fail-on", "never"])
        .arg(space.path("seven.pcapng"))
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
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
    let mut live = space.live(&["-i", "front", "--format", "json", "-Z", "root"]);
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
    let refused = |args: &[&str]| {
        let output = space.output(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        text(&output.stderr)
    };
    let said = refused(&["-i", "nope0"]);
    assert!(
        said.contains("nope0: no such interface; there are: ") && said.contains("lo"),
        "{said}"
    );
    let said = refused(&["-i", "lo", "--filter", "tcp port 80 und 81"]);
    assert!(
        said.contains("syntax error") && said.contains("column 13"),
        "{said}"
    );
    for (filter, place) in [
        ("(tcp port 80", ", at its end"),
        ("tcp port 80)", "from column 12 on (\")\")"),
    ] {
        let said = refused(&["-i", "lo", "--filter", filter]);
        assert!(said.contains(place), "{said}");
    }
    let said = refused(&["-i", "lo", "-w", "no/such/folder.pcapng"]);
    assert!(said.contains("no/such/folder.pcapng"), "{said}");
    let said = refused(&["-i", "lo", "-Z", "nobody-of-this-name"]);
    assert!(said.contains("no such user"), "{said}");
    run(&mut space.inside(&[
        "ip", "link", "add", "down0", "type", "veth", "peer", "name", "down1",
    ]));
    let said = refused(&["-i", "down0"]);
    assert!(said.contains("down0: the interface is down"), "{said}");
    let listed = space.output(&["-D"]);
    assert!(
        text(&listed.stdout).contains("lo  (up, loopback"),
        "{}",
        text(&listed.stdout)
    );
}

#[test]
fn without_the_capability_it_says_how_to_grant_it() {
    let Some(space) = Space::new() else { return };
    if !have("setpriv") {
        return;
    }
    let program = env!("CARGO_BIN_EXE_hop101");
    let output = space
        .inside(&[
            "setpriv",
            "--bounding-set=-net_raw",
            "--inh-caps=-net_raw",
            program,
            "live",
            "-i",
            "lo",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(
        said.contains("sudo setcap cap_net_raw+ep $(which hop101)"),
        "{said}"
    );
}

#[test]
fn privileges_are_gone_before_packets_are_looked_into() {
    let Some(space) = Space::new() else { return };
    let args = [
        "-i",
        "lo",
        "-Z",
        "nobody",
        "-v",
        "--evidence",
        "kept",
        "-w",
        "all.pcapng",
        "--report",
        "r.json",
    ];
    // The folder must be passable for the one that it becomes.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(space.folder.path(), mode).unwrap();
    let live = space.live(&args);
    let status = std::fs::read_to_string(format!("/proc/{}/status", live.child.id())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace()
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(field("Uid:"), ["65534"; 4]);
    for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:", "CapBnd:"] {
        assert_eq!(field(set), ["0000000000000000"], "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), ["1"]);
    assert!(live.said.contains("runs as nobody"), "{}", live.said);
    space.refuse(1);
    live.line_with("FAILED");
    let (status, _, said) = live.stop();
    assert_eq!(status.code(), Some(1), "{said}");
    let files: Vec<PathBuf> = std::fs::read_dir(space.path("kept"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let [file] = files.as_slice() else {
        panic!("{files:?}");
    };
    let owner =
        |path: &Path| std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path).unwrap());
    for path in [file, &space.path("all.pcapng"), &space.path("r.json")] {
        assert_eq!(owner(path), 65534, "{}", path.display());
    }
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(
        name.contains("Z-127.0.0.1-") && name.ends_with("-forbidden.pcapng"),
        "{name}"
    );
    // From the SYN to the end, and it tells the same story.
    let output = Command::new(env!("CARGO_BIN_EXE_hop101"))
        .args(["read", "--format", "json"])
        .arg(file)
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["handshakes"][0]["cause"], "forbidden");
    assert_eq!(report["connections"][0]["opening"], "complete");
    assert_eq!(report["connections"][0]["ended"]["how"], "fin");
}

#[test]
fn evidence_stays_within_its_limits() {
    let Some(space) = Space::new() else { return };
    let live = space.live(&[
        "-i",
        "lo",
        "--evidence",
        "kept",
        "--evidence-files",
        "3",
        "-Z",
        "root",
    ]);
    space.refuse(8);
    for _ in 0..8 {
        live.line_with("FAILED");
    }
    live.stop();
    assert_eq!(std::fs::read_dir(space.path("kept")).unwrap().count(), 3);
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let Some(space) = Space::new() else { return };
    let mut child = space
        .inside(&[
            env!("CARGO_BIN_EXE_hop101"),
            "live",
            "-i",
            "lo",
            "-Z",
            "root",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
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
    let mut child = space
        .inside(&[env!("CARGO_BIN_EXE_hop101"), "live", "-i", "lo"])
        .args(["--format", "json", "-Z", "root"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut report = child.stdout.take().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("listening on"));
    // Some 5 KB of JSON each; a pipe holds 64 KiB.
    space.refuse(40);
    let shown = lines.by_ref().map_while(Result::ok);
    assert_eq!(
        shown
            .filter(|line| line.contains("FAILED"))
            .take(40)
            .count(),
        40
    );
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
