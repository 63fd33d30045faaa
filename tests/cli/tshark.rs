//! Differential: tshark sees the same connections, requests, statuses, keys and accepts in every sample.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;

use serde_json::Value;

use crate::samples::Sample;
use crate::support::{have, read_json};

/// What is asked of tshark, in this order.
const FIELDS: [&str; 8] = [
    "frame.number",
    "tcp.stream",
    "http.request.uri",
    "http.sec_websocket_key",
    "http.sec_websocket_version",
    "http.upgrade",
    "http.response.code",
    "http.sec_websocket_accept",
];

/// One frame as tshark dissects it.
struct Row {
    frame: u64,
    stream: String,
    target: String,
    key: String,
    version: String,
    upgrade: String,
    status: String,
    accept: String,
}

impl Row {
    /// A request that this program calls an attempt: it names WebSocket in any way.
    fn is_attempt(&self) -> bool {
        let names_websocket = self.upgrade.to_ascii_lowercase().contains("websocket");
        !self.target.is_empty()
            && (names_websocket || !self.key.is_empty() || !self.version.is_empty())
    }
}

/// A sample with both views of it.
struct Pair {
    files: Vec<PathBuf>,
    theirs: Vec<Vec<Row>>,
    ours: Value,
}

/// Every sample, read by both programs once; tshark takes most of a second per file.
fn pairs() -> &'static [Pair] {
    static PAIRS: OnceLock<Vec<Pair>> = OnceLock::new();
    PAIRS.get_or_init(|| {
        if !have("tshark") {
            return Vec::new();
        }
        let samples: Vec<_> = Sample::all()
            .into_iter()
            .map(|sample| sample.files)
            .collect();
        let halves = samples.split_at(samples.len() / 2);
        let read = |files: &Vec<PathBuf>| Pair {
            files: files.clone(),
            theirs: files.iter().map(|file| tshark(file)).collect(),
            // Masked values would differ.
            ours: read_json(files, &["--redact", "none"]).0,
        };
        thread::scope(|scope| {
            let other = scope.spawn(|| halves.1.iter().map(read).collect::<Vec<_>>());
            let mut all: Vec<_> = halves.0.iter().map(read).collect();
            all.extend(other.join().unwrap());
            all
        })
    })
}

fn tshark(file: &Path) -> Vec<Row> {
    let mut command = Command::new("tshark");
    // Default tshark miscounts when segments come out of order, and hides the later frames of a segmented head.
    command.args([
        "-n",
        "-o",
        "tcp.reassemble_out_of_order:TRUE",
        "-d",
        "tcp.port==8080,http",
    ]);
    command
        .arg("-r")
        .arg(file)
        .args(["-T", "fields", "-E", "separator=\t"]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .map(|line| {
            let mut cells = line.split('\t').map(str::to_owned);
            let mut next = || cells.next().unwrap_or_default();
            Row {
                frame: next().parse().unwrap(),
                stream: next(),
                target: next(),
                key: next(),
                version: next(),
                upgrade: next(),
                status: next(),
                accept: next(),
            }
        })
        .collect()
}

/// How often each value occurs.
fn count(values: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts
}

/// A field of the contract over the requests or responses of all hops of a report.
fn in_hops(report: &Value, side: &str, field: &str) -> Vec<String> {
    let handshakes = report["handshakes"].as_array().unwrap();
    handshakes
        .iter()
        .flat_map(|handshake| handshake["hops"].as_array().unwrap())
        .map(|hop| &hop[side][field])
        .filter(|value| !value.is_null())
        .map(|value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        })
        .collect()
}

/// Samples that the two programs count differently, and why that is right.
fn counts_differ(files: &[PathBuf]) -> bool {
    let named = |name: &str| files.iter().any(|file| file.file_name().unwrap() == name);
    // The auth subrequest carries the key, but it is no hop of the handshake.
    named("healthy-auth-request.pcapng")
        // Heads that were cut off: tshark shows the fields that are left, this program makes no request of them.
        || named("truncated.pcapng")
        // Two vantage points of the same hop are one hop here.
        || named("duplicates.pcapng")
}

#[test]
fn agrees_on_frames_and_connections() {
    for Pair {
        files,
        theirs,
        ours,
    } in pairs()
    {
        let frames: usize = theirs.iter().map(Vec::len).sum();
        let captures = ours["captures"].as_array().unwrap();
        let counted: u64 = captures
            .iter()
            .map(|one| one["frames"].as_u64().unwrap())
            .sum();
        assert_eq!(counted, frames as u64, "{files:?}");
        if files.len() > 1 {
            continue; // tshark numbers streams per file; the same connection in two files is one here.
        }
        let streams = theirs.iter().flatten().filter(|row| !row.stream.is_empty());
        let streams = count(streams.map(|row| row.stream.clone())).len();
        assert_eq!(ours["summary"]["connections"], streams, "{files:?}");
    }
}

#[test]
fn agrees_on_requests_and_answers() {
    for Pair {
        files,
        theirs,
        ours,
    } in pairs().iter().filter(|pair| !counts_differ(&pair.files))
    {
        let rows: Vec<_> = theirs.iter().flatten().collect();
        let attempts: Vec<_> = rows.iter().filter(|row| row.is_attempt()).collect();
        let filled = |value: &&String| !value.is_empty();
        let theirs = [
            count(attempts.iter().map(|row| row.target.clone())),
            count(attempts.iter().map(|row| &row.key).filter(filled).cloned()),
            count(rows.iter().map(|row| &row.accept).filter(filled).cloned()),
            count(
                rows.iter()
                    .map(|row| &row.status)
                    .filter(|status| *status == "101")
                    .cloned(),
            ),
        ];
        let statuses = in_hops(ours, "response", "status")
            .into_iter()
            .filter(|status| status == "101");
        let ours = [
            count(in_hops(ours, "request", "target")),
            count(in_hops(ours, "request", "key")),
            count(in_hops(ours, "response", "accept")),
            count(statuses),
        ];
        for ((what, theirs), ours) in ["targets", "keys", "accepts", "101s"]
            .iter()
            .zip(theirs)
            .zip(ours)
        {
            assert_eq!(ours, theirs, "{what} in {files:?}");
        }
    }
}

#[test]
fn the_frames_named_are_those_of_wireshark() {
    for Pair {
        files,
        theirs,
        ours,
    } in pairs()
    {
        for hop in ours["handshakes"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|one| one["hops"].as_array().unwrap())
        {
            let connections = ours["connections"].as_array().unwrap();
            let connection = connections
                .iter()
                .find(|one| one["id"] == hop["connection"])
                .unwrap();
            let capture = usize::try_from(connection["captures"][0].as_u64().unwrap()).unwrap();
            let Some(frame) = hop["response"]["frame"].as_u64() else {
                continue;
            };
            // tshark shows a head that came in several segments at its last one, on the same connection.
            let rows = &theirs[capture];
            let stream = &rows.iter().find(|row| row.frame == frame).unwrap().stream;
            let shown = rows
                .iter()
                .find(|row| row.frame >= frame && row.stream == *stream && !row.status.is_empty());
            let status = hop["response"]["status"].to_string();
            assert_eq!(
                shown.map(|row| &row.status),
                Some(&status),
                "{files:?} frame {frame}"
            );
        }
    }
}
