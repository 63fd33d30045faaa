//! A network namespace with a folder, removed when it is dropped.

use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// An opening handshake, as Python writes bytes.
const REQUEST: &str = "GET /ws HTTP/1.1\\r\\nHost: h\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n";

/// A network namespace with a folder.
pub(super) struct Space {
    name: String,
    pub(super) folder: tempfile::TempDir,
}

impl Space {
    /// `None`, with a printed line, where that is not possible.
    pub(super) fn new() -> Option<Self> {
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

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The document in a file of its folder.
    pub(super) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// Two devices, up, each the other end of the other.
    pub(super) fn veth(&self, one: &str, other: &str) {
        run(&mut self.inside(&[
            "ip", "link", "add", one, "type", "veth", "peer", "name", other,
        ]));
        for device in [one, other] {
            run(&mut self.inside(&["ip", "link", "set", device, "up"]));
        }
    }

    /// A command that runs in it.
    pub(super) fn inside(&self, argv: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.name])
            .args(argv)
            .env_remove("NO_COLOR")
            .current_dir(self.folder.path());
        command
    }

    /// `hop101 live ARGS`, begun. Returns when it listens.
    pub(super) fn live(&self, args: &str) -> Live {
        let mut live = Live::begin(
            self.inside(&[env!("CARGO_BIN_EXE_hop101"), "live"])
                .args(args.split_whitespace()),
        );
        live.wait_for_message("listening on");
        live
    }

    /// `hop101 live ARGS`, to its end.
    pub(super) fn output(&self, args: &[&str]) -> Output {
        let mut command = self.inside(&[env!("CARGO_BIN_EXE_hop101"), "live"]);
        command.args(args).output().unwrap()
    }

    /// Handshakes that a server on loopback refuses with 403, one after the other.
    pub(super) fn refuse(&self, times: usize) {
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

pub(super) fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
