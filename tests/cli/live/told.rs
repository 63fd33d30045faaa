//! What is on the terminal and in the reports: lines, interfaces, lost packets.

use super::*;

#[test]
fn a_terminal_line_a_snapshot_and_the_report() {
    let Some(space) = Space::new() else { return };
    let live = space.live("-i lo --report report.json --report lines.jsonl -Z root");
    space.refuse(1);
    let (_, line) = live.line_with("FAILED");
    assert!(
        line.contains("Z FAILED ") && line.contains("h/ws") && line.ends_with("  forbidden"),
        "{line}"
    );
    live.signal("-USR1");
    live.line_with("Cause     forbidden");
    let snapshot = space.json("report.json");
    assert_eq!(snapshot["summary"]["failed"], 1);
    // Whether or not it is over by now.
    assert_eq!(snapshot["summary"]["connections"], 1);
    // Lines in a file come as they do on standard output: somebody may follow it.
    let lines = std::fs::read_to_string(space.path("lines.jsonl")).unwrap();
    let line: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    let server = line["connections"][0]["server"].as_str().unwrap();
    assert_eq!(server.split(':').next(), Some("127.0.0.1"));
    space.refuse(2);
    live.line_with("FAILED");
    live.line_with("FAILED");
    let (status, out, _) = live.stop();
    assert_eq!(status.code(), Some(1));
    assert!(out.contains("3 handshakes: 3 failed."), "{out}");
    let report = space.json("report.json");
    assert_eq!(report["summary"]["failed"], 3);
    assert_eq!(report["captures"][0]["format"], "live");
    let lines = std::fs::read_to_string(space.path("lines.jsonl")).unwrap();
    assert_eq!(lines.matches(r#""type":"handshake""#).count(), 3, "{lines}");
    let last = lines.lines().last().unwrap();
    assert!(last.contains(r#""type":"summary""#), "{last}");
}

/// A client begins with TLS at a plain port: it is told as soon as it shows, and comes again when the connection is over.
#[test]
fn a_finding_about_a_connection_is_one_line() {
    let Some(space) = Space::new() else { return };
    let live = space.live("-i lo --format jsonl -Z root");
    let script = r#"
import socket, ssl, threading
def serve():
    peer, _ = listener.accept()
    peer.recv(4096)
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    peer.close()
listener = socket.create_server(("127.0.0.1", 0))
server = threading.Thread(target=serve)
server.start()
try:
    ssl._create_unverified_context().wrap_socket(socket.create_connection(listener.getsockname()))
except OSError:
    pass
server.join()
"#;
    run(&mut space.inside(&["/usr/bin/python3", "-c", script]));
    live.line_with("tls-to-plain-port");
    let (_, rest, _) = live.stop();
    assert_eq!(rest.matches(r#""type":"finding""#).count(), 0, "{rest}");
    assert!(rest.contains(r#""type":"summary""#), "{rest}");
}

/// `all.pcapng` as `read` reports it: as `live.json` did.
fn read_alike(space: &Space) -> Value {
    let done = hop101()
        .args(["read", "all.pcapng", "-q", "--report", "read.json"])
        .current_dir(&space.folder)
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(1));
    let [live, read] =
        ["live.json", "read.json"].map(|name| std::fs::read(space.path(name)).unwrap());
    assert!(live == read, "{}", text(&live));
    serde_json::from_slice(&read).unwrap()
}

/// A client, nginx' place and a backend, each in a space of its own: what of the proxy is seen, and on which interface.
#[test]
fn the_interface_of_each_hop_is_told() {
    let Some(space) = Space::new() else { return };
    space.veth("front", "front1");
    space.veth("back", "back1");
    let live = space.live("-i any -v -w all.pcapng --report live.json -Z root");
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
    let report = read_alike(&space);
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
    let mut live = space.live("-i lo --buffer 4M -w all.pcapng --report live.json -Z root");
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
    let report = read_alike(&space);
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
