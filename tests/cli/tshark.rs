//! Differential: tshark sees the same connections, requests, statuses, keys, accepts and ws frames in every sample, and
//! in every case with TLS keys.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{fs, thread};

use hop101::capture::Inputs;
use hop101::decode::Endpoint;
use hop101::diagnosis::{Diagnosis, Finding, Limit};
use hop101::engine::{Engine, Observer, Options, Selection};
use hop101::hop::{Clocks, Handshake, Record};
use hop101::tcp::Side;
use serde_json::Value;

use crate::cases::Case;
use crate::pipeline::keys_in;
use crate::samples::Sample;
use crate::support::{have, read_json_with};

/// What is asked of tshark, in this order.
const FIELDS: [&str; 18] = [
    "frame.number",
    "tcp.stream",
    "http.request.uri",
    "http.sec_websocket_key",
    "http.sec_websocket_version",
    "http.upgrade",
    "http.response.code",
    "http.sec_websocket_accept",
    "ip.src",
    "ipv6.src",
    "tcp.srcport",
    "ip.dst",
    "ipv6.dst",
    "tcp.dstport",
    "websocket.opcode",
    "websocket.payload_length",
    "websocket.payload_length_ext_16",
    "websocket.payload.close.status_code",
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
    /// Who sent the frame to whom.
    way: Option<Way>,
    /// Opcode and payload length of each ws frame that ends in this frame.
    ws_frames: Vec<(u64, u64)>,
    close_codes: Vec<u64>,
}

/// A direction of a connection.
type Way = (SocketAddr, SocketAddr);

impl Row {
    /// A request that this program calls an attempt: it names WebSocket in any way.
    fn is_attempt(&self) -> bool {
        let names_websocket = self.upgrade.to_ascii_lowercase().contains("websocket");
        !self.target.is_empty()
            && (names_websocket || !self.key.is_empty() || !self.version.is_empty())
    }
}

/// A sample or a case with keys, and both views of it.
struct Pair {
    files: Vec<PathBuf>,
    keys: Vec<PathBuf>,
    theirs: Vec<Vec<Row>>,
    ours: Value,
}

/// Every sample and every case with keys, read by both programs once; tshark takes most of a second per file.
fn pairs() -> &'static [Pair] {
    static PAIRS: OnceLock<Vec<Pair>> = OnceLock::new();
    PAIRS.get_or_init(|| {
        if !have("tshark") {
            return Vec::new();
        }
        let samples = Sample::all().into_iter();
        let mut all: Vec<_> = samples.map(|sample| (sample.files, Vec::new())).collect();
        let cases = Case::with_keys().into_iter();
        all.extend(
            cases
                .filter(|case| !READ_OTHERWISE.contains(&case.name()))
                .map(|case| (case.files, case.keys)),
        );
        let halves = all.split_at(all.len() / 2);
        let read = |(files, keys): &(Vec<PathBuf>, Vec<PathBuf>)| {
            // Masked values would differ.
            let ours = read_json_with(files, keys, &["--redact", "none"]).0;
            Pair {
                theirs: files.iter().map(|file| tshark(file, keys, &ours)).collect(),
                files: files.clone(),
                keys: keys.clone(),
                ours,
            }
        };
        thread::scope(|scope| {
            let other = scope.spawn(|| halves.1.iter().map(read).collect::<Vec<_>>());
            let mut all: Vec<_> = halves.0.iter().map(read).collect();
            all.extend(other.join().unwrap());
            all
        })
    })
}

/// Cases with keys of which the two programs read different parts, and that is right.
const READ_OTHERWISE: [&str; 10] = [
    // tshark uses only keys that come before the packets.
    "behind-the-packets",
    "both-hops-behind",
    // It opens suites that nobody uses.
    "ccm",
    // Without the secrets of one side it opens nothing, or the first record of the other.
    "client-secrets-only",
    "server-secrets-only",
    "not-forwarded-client-secrets-only",
    "not-forwarded-front-client-secrets-only",
    // It dissects no WebSocket whose handshake is not in the capture,
    "late",
    // and shows what is left of heads that were cut.
    "cut-at-96",
    // It sees no HTTP/1.1 where h2 was agreed on.
    "http1-on-http2",
];

/// What the backends' port is to tshark, which goes by ports: TLS if this program found it there.
fn protocol_of_backends(ours: &Value) -> &'static str {
    let connections = ours["connections"].as_array().unwrap();
    let mut there = connections
        .iter()
        .filter(|one| one["server"].as_str().unwrap().ends_with(":8080"));
    if there.any(|one| !one["tls"].is_null()) {
        "tcp.port==8080,tls"
    } else {
        "tcp.port==8080,http"
    }
}

fn tshark(file: &Path, keys: &[PathBuf], ours: &Value) -> Vec<Row> {
    let mut command = Command::new("tshark");
    // Default tshark miscounts when segments come out of order, and hides the later frames of a segmented head.
    command.args(["-n", "-o", "tcp.reassemble_out_of_order:TRUE"]);
    command.args(["-d", protocol_of_backends(ours)]);
    // It takes one key log only.
    let together = tempfile::NamedTempFile::new().unwrap();
    if !keys.is_empty() {
        let logs = keys.iter().map(|log| fs::read_to_string(log).unwrap());
        fs::write(&together, logs.collect::<String>()).unwrap();
        let option = format!("tls.keylog_file:{}", together.path().display());
        command.args(["-o", &option]);
    }
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
                way: way([next(), next(), next()], [next(), next(), next()]),
                ws_frames: ws_frames(&next(), &next(), &next()),
                close_codes: numbers(&next()),
            }
        })
        .collect()
}

/// Address (of either family) and port of both ends; `None` for what is no TCP.
fn way(source: [String; 3], destination: [String; 3]) -> Option<Way> {
    let end = |[v4, v6, port]: [String; 3]| {
        let address = if v4.is_empty() { v6 } else { v4 };
        Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?))
    };
    Some((end(source)?, end(destination)?))
}

/// A list of numbers, several of a frame parted by commas.
fn numbers(cell: &str) -> Vec<u64> {
    let cells = cell.split(',').filter(|cell| !cell.is_empty());
    cells.map(|number| number.parse().unwrap()).collect()
}

/// Opcodes with lengths: 126 and 127 stand for a longer one that follows (RFC 6455 5.2).
fn ws_frames(opcodes: &str, lengths: &str, longer: &str) -> Vec<(u64, u64)> {
    let mut longer = numbers(longer).into_iter();
    let lengths = numbers(lengths).into_iter().map(|length| match length {
        126 => longer.next().unwrap(),
        127 => panic!("no sample has so long a frame"),
        short => short,
    });
    let frames: Vec<_> = numbers(opcodes).into_iter().zip(lengths).collect();
    assert_eq!(frames.len(), numbers(opcodes).len());
    frames
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
        ..
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
        ..
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
        ..
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

/// What a direction of a connection carried after the 101.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Carried {
    /// By opcode.
    frames: BTreeMap<u64, u64>,
    payload_bytes: u64,
    close_codes: Vec<u64>,
}

/// What this program reads on every hop, not only on the one that a report shows.
#[derive(Default)]
struct Sessions(BTreeMap<Way, Carried>);

impl Observer for Sessions {
    fn handshake(&mut self, _: &Handshake, _: &Diagnosis) {}

    fn connection(&mut self, record: &Record, _: bool) {
        let address = |end: Endpoint| SocketAddr::new(end.ip(), end.port());
        let connection = &record.connection;
        let (client, server) = (address(connection.client), address(connection.server));
        for session in record
            .exchanges
            .iter()
            .filter_map(|one| one.session.as_ref())
        {
            for (way, side, carried) in [
                ((client, server), Side::Client, &session.to_server),
                ((server, client), Side::Server, &session.to_client),
            ] {
                let counts = &carried.frames;
                let by_opcode = [
                    (0, counts.continuation),
                    (1, counts.text),
                    (2, counts.binary),
                    (8, counts.close),
                    (9, counts.ping),
                    (10, counts.pong),
                ];
                let told = Carried {
                    frames: by_opcode
                        .into_iter()
                        .filter(|&(_, count)| count > 0)
                        .collect(),
                    payload_bytes: carried.payload_bytes,
                    close_codes: session
                        .close_by(side)
                        .and_then(|close| close.code)
                        .map(u64::from)
                        .into_iter()
                        .collect(),
                };
                if told != Carried::default() {
                    self.0.insert(way, told);
                }
            }
        }
    }

    fn finding(&mut self, _: &Finding) {}

    fn limit(&mut self, _: &Limit) {}
}

/// Reads a capture with the library, with keys and with those that it brings along.
fn sessions(file: &Path, keys: &[PathBuf]) -> BTreeMap<Way, Carried> {
    let mut sessions = Sessions::default();
    let mut engine = Engine::new(Options::new(Selection::default(), Clocks::Same, None));
    for log in keys {
        engine.keys(&fs::read(log).unwrap());
    }
    engine.keys(&keys_in(file));
    let mut inputs = Inputs::open(&[file]);
    while let Some(frame) = inputs.next_frame().unwrap() {
        engine.frame(&frame, &mut sessions);
    }
    engine.finish(&[], &mut sessions);
    sessions.0
}

/// What tshark saw of each direction of the sessions.
fn sessions_by_tshark(rows: &[Row]) -> BTreeMap<Way, Carried> {
    let mut told: BTreeMap<Way, Carried> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.ws_frames.is_empty()) {
        let carried = told.entry(row.way.unwrap()).or_default();
        for &(opcode, length) in &row.ws_frames {
            *carried.frames.entry(opcode).or_default() += 1;
            carried.payload_bytes += length;
        }
        carried.close_codes.extend(&row.close_codes);
    }
    told
}

/// Compares both views of any capture in which no connection comes twice: connections, requests by key, answers, ws
/// frames. Returns how many directions of sessions were compared.
pub(crate) fn assert_agrees(file: &Path, keys: &[PathBuf]) -> usize {
    let report = read_json_with(&[file.to_owned()], keys, &["--redact", "none"]).0;
    let rows = tshark(file, keys, &report);
    let streams: BTreeSet<&str> = rows
        .iter()
        .map(|row| row.stream.as_str())
        .filter(|stream| !stream.is_empty())
        .collect();
    let name = file.display();
    assert_eq!(report["summary"]["connections"], streams.len(), "{name}");
    let attempts = rows.iter().filter(|row| row.is_attempt());
    assert_eq!(
        count(in_hops(&report, "request", "key")),
        count(attempts.map(|row| row.key.clone())),
        "{name}"
    );
    let accepts = rows.iter().filter(|row| !row.accept.is_empty());
    assert_eq!(
        count(in_hops(&report, "response", "accept")),
        count(accepts.map(|row| row.accept.clone())),
        "{name}"
    );
    let told = sessions_by_tshark(&rows);
    assert_eq!(sessions(file, keys), told, "{name}");
    told.len()
}

/// tshark dissects no WebSocket whose handshake is not in the capture.
fn has_no_handshake(file: &Path) -> bool {
    file.file_name().unwrap() == "mid-stream.pcapng"
}

#[test]
fn agrees_on_ws_frames_closes_and_payload() {
    let mut compared = 0;
    let mut wrong = Vec::new();
    for Pair {
        files,
        keys,
        theirs,
        ..
    } in pairs()
    {
        for (file, rows) in files.iter().zip(theirs) {
            if has_no_handshake(file) {
                continue;
            }
            let told = sessions_by_tshark(rows);
            let ours = sessions(file, keys);
            compared += told.len();
            if ours != told {
                wrong.push(format!(
                    "{}: {ours:#?}, tshark has {told:#?}",
                    file.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 60 || pairs().is_empty(), "{compared} directions");
}
