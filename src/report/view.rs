//! The report as a document: schema `hop101.report/1`.
//!
//! Fields may be added within version 1; none is renamed, retyped or removed. Times are RFC 3339 in UTC with
//! nanoseconds; durations are `*_ms` numbers; what is not known is `null`, never invented. Handshakes and connections
//! are in the order of time, then frame number. Ids (`h1`, `c1`) count everything seen, listed or not.
//!
//! ```
//! use hop101::report::view::{Report, SCHEMA};
//!
//! let json = serde_json::to_value(Report::default()).unwrap();
//! assert_eq!(SCHEMA, "hop101.report/1");
//! assert_eq!(
//!     json,
//!     serde_json::json!({
//!         "schema": "hop101.report/1",
//!         "tool": {"name": "hop101", "version": env!("CARGO_PKG_VERSION")},
//!         "captures": [],
//!         "summary": {
//!             "connections": 0, "handshakes": 0, "ok": 0, "failed": 0, "broken": 0, "unclear": 0,
//!             "errors": 0, "warnings": 0, "infos": 0
//!         },
//!         "handshakes": [],
//!         "connections": [],
//!         "findings": [],
//!         "limits": []
//!     })
//! );
//! ```

use std::fmt::Display;
use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::collector::Traffic;
use super::moments::MomentView;
use crate::capture::{FrameRef, Timestamp};
use crate::tcp::ConnectionId;

/// The name and version of the document.
pub const SCHEMA: &str = "hop101.report/1";

/// Writes a value as its `Display` text.
pub(super) fn text<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Writes a value as its `Display` text, or null.
#[allow(clippy::ref_option, reason = "the signature that serde calls")]
fn text_or_null<T: Display, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

/// Writes values as their `Display` texts.
fn texts<T: Display, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(ToString::to_string))
}

/// The whole document.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// What wrote it.
    pub tool: Tool,
    /// The inputs.
    pub captures: Vec<CaptureView>,
    /// Counts over everything seen, listed or not.
    pub summary: Summary,
    /// Handshakes, by start.
    pub handshakes: Vec<HandshakeView>,
    /// Connections, by first frame.
    pub connections: Vec<ConnectionView>,
    /// Findings: those of the listed handshakes in their order, then the others by time.
    pub findings: Vec<FindingView>,
    /// What could not be seen or was given up.
    pub limits: Vec<LimitView>,
    /// How many handshakes ended how and why, listed or not; not part of the document.
    #[serde(skip)]
    pub causes: Vec<CauseView>,
    /// What was seen besides; not part of the document.
    #[serde(skip)]
    pub traffic: Traffic,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            tool: Tool::default(),
            captures: Vec::new(),
            summary: Summary::default(),
            handshakes: Vec::new(),
            connections: Vec::new(),
            findings: Vec::new(),
            limits: Vec::new(),
            causes: Vec::new(),
            traffic: Traffic::default(),
        }
    }
}

impl Report {
    /// The connection with this id, if it is listed.
    pub fn connection(&self, id: ConnectionId) -> Option<&ConnectionView> {
        self.connections
            .binary_search_by_key(&id, |connection| connection.id)
            .ok()
            .and_then(|place| self.connections.get(place))
    }

    /// The findings of a handshake, the primary one first.
    pub fn findings_of<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a FindingView> {
        self.findings
            .iter()
            .filter(move |finding| finding.handshake.as_deref() == Some(id))
    }
}

/// The program that wrote the document.
#[derive(Debug, Clone, Serialize)]
pub struct Tool {
    /// `hop101`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

impl Default for Tool {
    fn default() -> Self {
        Self {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// An input.
#[derive(Debug, Clone, Serialize)]
pub struct CaptureView {
    /// Its place among the inputs, from 0.
    pub id: u16,
    /// As given on the command line; `-` for standard input.
    pub path: String,
    /// `pcap`, `pcapng`, `live`.
    pub format: Option<&'static str>,
    /// `gzip`, `zstd`, `xz`, `lz4`.
    pub compression: Option<&'static str>,
    /// Names of the link types, as in the registry of LINKTYPE values.
    pub link_types: Vec<String>,
    /// Frames read.
    pub frames: u64,
    /// Captured bytes of these.
    pub bytes: u64,
    /// The earliest frame time.
    #[serde(serialize_with = "text_or_null")]
    pub first_at: Option<Timestamp>,
    /// The latest frame time.
    #[serde(serialize_with = "text_or_null")]
    pub last_at: Option<Timestamp>,
    /// Frames that the capturing side says it dropped.
    pub dropped: Option<u64>,
    /// Frames cut short by the snaplen.
    pub truncated_frames: u64,
    /// Frames that show what this capture or another one showed before: each counts once.
    pub duplicate_frames: u64,
    /// What to add to its times to compare them with the first capture's.
    pub clock_offset_ms: f64,
    /// What is wrong with the input, and where.
    pub damage: Option<String>,
    /// Comments in it, the first few, with the frame that has one.
    pub comments: Vec<String>,
}

/// Counts over the whole run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// TCP connections.
    pub connections: u64,
    /// Opening handshakes.
    pub handshakes: u64,
    /// Of these: up, and nothing wrong.
    pub ok: u64,
    /// Of these: never up.
    pub failed: u64,
    /// Of these: up, then ended badly.
    pub broken: u64,
    /// Of these: the capture does not tell.
    pub unclear: u64,
    /// Findings of severity error.
    pub errors: u64,
    /// Findings of severity warning.
    pub warnings: u64,
    /// Findings of severity info.
    pub infos: u64,
}

/// How many handshakes had one verdict and cause.
#[derive(Debug, Clone)]
pub struct CauseView {
    /// The verdict.
    pub verdict: &'static str,
    /// The cause.
    pub cause: Option<&'static str>,
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: String,
    /// Its headline.
    pub headline: String,
}

/// One opening handshake.
#[derive(Debug, Clone, Serialize)]
pub struct HandshakeView {
    /// `h1`, `h2`, ... in the order of starts.
    pub id: String,
    /// `ok`, `failed`, `broken`, `unclear`.
    pub verdict: &'static str,
    /// The code of the primary finding.
    pub cause: Option<&'static str>,
    /// `backend`, `proxy`, `unknown`; null without an answer.
    pub answered_by: Option<&'static str>,
    /// How sure that is: `certain`, `likely`, `guess`; null without an answer.
    pub answered_by_confidence: Option<&'static str>,
    /// What tells who answered, as a clause; null without an answer.
    pub answered_by_reason: Option<String>,
    /// The verdict in one sentence.
    pub headline: String,
    /// When its first request began.
    #[serde(serialize_with = "text")]
    pub started_at: Timestamp,
    /// The request target of the outermost hop.
    pub target: Option<String>,
    /// The Host of the outermost hop.
    pub host: Option<String>,
    /// Hops, outermost first.
    pub hops: Vec<HopView>,
    /// What followed the 101.
    pub session: Option<SessionView>,
    /// What a proxy asked an auth service about it first.
    pub subrequests: Vec<SubrequestView>,
    /// Its first frame: the key of the order.
    #[serde(skip)]
    pub start: FrameRef,
    /// Connections made for it that carried no request: refused, unanswered, unreachable, closed, stuck in TLS.
    pub attempts: Vec<AttemptView>,
    /// What happened on the wire, in order.
    #[serde(skip)]
    pub timeline: Vec<EventView>,
}

/// A connection that a proxy tried to open for a handshake and that carried no request.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptView {
    /// The connection.
    #[serde(serialize_with = "text")]
    pub connection: ConnectionId,
    /// The place in `hops` of the hop whose request it was made for.
    pub hop: usize,
    /// How sure it is that it was made for this handshake.
    pub confidence: &'static str,
    /// What became of it, in a few words.
    pub outcome: String,
    /// Its first frame.
    #[serde(skip)]
    pub first: FrameRef,
}

/// A request that a proxy made about a handshake, as nginx's auth_request does.
#[derive(Debug, Clone, Serialize)]
pub struct SubrequestView {
    /// The connection.
    #[serde(serialize_with = "text")]
    pub connection: ConnectionId,
    /// Its target; null when it is not in the capture.
    pub target: Option<String>,
    /// What it was answered; null when no answer was seen.
    pub status: Option<u16>,
}

/// Something on the wire that belongs to the story of a handshake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventView {
    /// Where and when.
    pub frame: FrameRef,
    /// On which connection.
    pub connection: ConnectionId,
    /// Towards the server (else towards the client).
    pub to_server: bool,
    /// What, in a few words.
    pub what: String,
}

/// One exchange of a handshake.
#[derive(Debug, Clone, Serialize)]
pub struct HopView {
    /// The connection.
    #[serde(serialize_with = "text")]
    pub connection: ConnectionId,
    /// Which exchange on it, from 0.
    pub exchange: u32,
    /// `client-proxy`, `proxy-proxy`, `proxy-backend`, `direct`, `unknown`.
    pub role: &'static str,
    /// How it was paired with the hop before it; null on the first.
    pub paired_by: Option<&'static str>,
    /// How sure that is; null on the first.
    pub confidence: Option<&'static str>,
    /// The request; null when it is not in the capture as a whole.
    pub request: Option<RequestView>,
    /// The final answer; null when none was seen.
    pub response: Option<ResponseView>,
    /// `valid`, `mismatch`, `missing`, `not-applicable`, `unchecked`.
    pub accept: &'static str,
    /// The Sec-WebSocket-Accept that the key demands.
    pub accept_expected: Option<String>,
    /// What changed in the request against the hop that it forwards.
    pub changes: Vec<ChangeView>,
    /// It was given up, and another hop carried the same request.
    pub retried: bool,
    /// What is special about it, in a few words each: partial heads, interim answers, bytes that are no HTTP.
    pub notes: Vec<String>,
    /// Further connections that show the same exchange from another vantage point.
    #[serde(serialize_with = "texts")]
    pub copies: Vec<ConnectionId>,
}

/// A request head.
#[derive(Debug, Clone, Serialize)]
pub struct RequestView {
    /// When it began.
    #[serde(serialize_with = "text")]
    pub at: Timestamp,
    /// The frame in which it began.
    pub frame: u64,
    /// The method.
    pub method: String,
    /// The target.
    pub target: String,
    /// `1.0` or `1.1`.
    pub http_version: &'static str,
    /// Host.
    pub host: Option<String>,
    /// Upgrade.
    pub upgrade: Option<String>,
    /// Connection.
    pub connection: Option<String>,
    /// Sec-WebSocket-Key.
    pub key: Option<String>,
    /// Whether the key is 16 bytes in base64 (RFC 6455 4.1); null without one.
    pub key_valid: Option<bool>,
    /// Whether the key is the sample of RFC 6455 1.3, which many recipes and tools send every time; null without one.
    pub key_is_sample: Option<bool>,
    /// Sec-WebSocket-Version.
    pub ws_version: Option<String>,
    /// Origin.
    pub origin: Option<String>,
    /// Sec-WebSocket-Protocol.
    pub subprotocols: Vec<String>,
    /// Sec-WebSocket-Extensions.
    pub extensions: Vec<String>,
    /// All fields in their order.
    pub headers: Vec<(String, String)>,
    /// Its first frame, with its capture.
    #[serde(skip)]
    pub at_frame: FrameRef,
}

/// A response head.
#[derive(Debug, Clone, Serialize)]
pub struct ResponseView {
    /// When it began.
    #[serde(serialize_with = "text")]
    pub at: Timestamp,
    /// The frame in which it began.
    pub frame: u64,
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// `1.0` or `1.1`.
    pub http_version: &'static str,
    /// Upgrade.
    pub upgrade: Option<String>,
    /// Connection.
    pub connection: Option<String>,
    /// Sec-WebSocket-Accept.
    pub accept: Option<String>,
    /// Sec-WebSocket-Protocol.
    pub subprotocol: Option<String>,
    /// Sec-WebSocket-Extensions.
    pub extensions: Vec<String>,
    /// Server.
    pub server: Option<String>,
    /// All fields in their order.
    pub headers: Vec<(String, String)>,
    /// Its first frame, with its capture.
    #[serde(skip)]
    pub at_frame: FrameRef,
}

/// A change of a request between two hops.
#[derive(Debug, Clone, Serialize)]
pub struct ChangeView {
    /// The field, or `HTTP version`, `method`, `target`.
    pub header: &'static str,
    /// `dropped`, `altered`, `added`.
    pub kind: &'static str,
    /// The value before.
    pub before: Option<String>,
    /// The value after.
    pub after: Option<String>,
}

/// What followed a 101.
#[derive(Debug, Clone, Serialize)]
pub struct SessionView {
    /// When the client hop's 101 was seen.
    #[serde(serialize_with = "text")]
    pub established_at: Timestamp,
    /// The subprotocol agreed on.
    pub subprotocol: Option<String>,
    /// The extensions agreed on.
    pub extensions: Vec<String>,
    /// What the client sent.
    pub to_server: CarriedView,
    /// What the server sent.
    pub to_client: CarriedView,
    /// The first Close frame.
    pub close: Option<CloseView>,
    /// `to_server` or `to_client`: the stream ended inside a ws frame, on any hop.
    pub cut_mid_frame: Option<&'static str>,
    /// The connections on which it did.
    #[serde(serialize_with = "texts")]
    pub cut_on: Vec<ConnectionId>,
    /// Silence on every hop before the first FIN or RST.
    pub idle_before_end_ms: Option<f64>,
    /// `client`, `proxy`, `backend`: who ended it first.
    pub ended_by: Option<&'static str>,
    /// `fin` or `rst`.
    pub ended_how: Option<&'static str>,
    /// When.
    #[serde(serialize_with = "text_or_null")]
    pub ended_at: Option<Timestamp>,
    /// From the 101 to the end, or to the last frame seen.
    pub lasted_ms: Option<f64>,
    /// What happened, in the order of time.
    pub timeline: Vec<MomentView>,
    /// The frame of the 101.
    #[serde(skip)]
    pub established: FrameRef,
    /// The last data on any hop.
    #[serde(skip)]
    pub last_data: Option<FrameRef>,
    /// The frame of the end.
    #[serde(skip)]
    pub ended: Option<FrameRef>,
    /// Where the first Close frame is.
    #[serde(skip)]
    pub close_frame: Option<FrameRef>,
    /// Data was unacknowledged when it ended.
    #[serde(skip)]
    pub outstanding: bool,
}

/// What one direction of a session carried.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct CarriedView {
    /// ws frames by opcode.
    pub frames: FramesView,
    /// Complete messages.
    pub messages: u64,
    /// Payload bytes of all ws frames as carried.
    pub payload_bytes: u64,
    /// The pings among them; null without any.
    pub pings: Option<PingsView>,
}

/// The pings of one direction.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PingsView {
    /// How many got their pong.
    pub answered: u64,
    /// The shortest time between two of them.
    pub interval_min_ms: Option<f64>,
    /// The longest.
    pub interval_max_ms: Option<f64>,
    /// The longest time to a pong.
    pub round_trip_max_ms: Option<f64>,
}

/// ws frames by opcode.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct FramesView {
    /// Opcode 1.
    pub text: u64,
    /// Opcode 2.
    pub binary: u64,
    /// Opcode 0.
    pub continuation: u64,
    /// Opcode 9.
    pub ping: u64,
    /// Opcode 10.
    pub pong: u64,
    /// Opcode 8.
    pub close: u64,
}

/// The first Close frame of a session.
#[derive(Debug, Clone, Serialize)]
pub struct CloseView {
    /// `client` or `server`: who sent it.
    pub by: &'static str,
    /// The status code.
    pub code: Option<u16>,
    /// The reason.
    pub reason: String,
    /// Whether the other side sent one too.
    pub answered: bool,
}

/// A TCP connection.
#[derive(Debug, Clone, Serialize)]
pub struct ConnectionView {
    /// `c1`, `c2`, ... in the order of first frames.
    #[serde(serialize_with = "text")]
    pub id: ConnectionId,
    /// The captures with frames of it.
    pub captures: Vec<u16>,
    /// Address and port of who opened it.
    pub client: String,
    /// Address and port of who accepted it.
    pub server: String,
    /// The client's name, if a capture brings one along (pcapng name resolution).
    pub client_name: Option<String>,
    /// The server's.
    pub server_name: Option<String>,
    /// `syn`, `syn-ack`, `first-bytes`, `port`.
    pub roles_from: &'static str,
    /// `websocket`, `http`, `http2`, `tls`, `other`, `none`.
    pub protocol: &'static str,
    /// Its first frame's time.
    #[serde(serialize_with = "text")]
    pub first_at: Timestamp,
    /// Its last frame's time.
    #[serde(serialize_with = "text")]
    pub last_at: Timestamp,
    /// `complete`, `refused`, `unanswered`, `midstream`, `partial`.
    pub opening: &'static str,
    /// From SYN to the ACK of the SYN-ACK.
    pub rtt_ms: Option<f64>,
    /// What the client sent.
    pub to_server: StreamView,
    /// What the server sent.
    pub to_client: StreamView,
    /// The first FIN or RST.
    pub ended: EndedView,
    /// HTTP requests on it.
    pub exchanges: u32,
    /// Frames of it that show what was shown before, in the same capture or another: counted once above.
    pub duplicate_frames: u64,
    /// An ICMP error about one of its packets.
    pub unreachable: Option<UnreachableView>,
    /// What its evidence lacks: `mid-stream`, `one-sided`; bytes: `truncated` by the snaplen, `gap` not captured although
    /// acknowledged, `lost` on the wire and not sent again, `given-up` for want of memory; `conflict`: sent again with
    /// other bytes, of which the first were read. Empty: it is complete.
    pub quality: Vec<&'static str>,
    /// TLS in clear.
    pub tls: Option<TlsView>,
    /// Its first frame.
    #[serde(skip)]
    pub first: FrameRef,
    /// The random value of its TLS client, by which keys are found.
    #[serde(skip)]
    pub client_random: Option<[u8; 32]>,
    /// Addresses of client and server, as they are in the packets.
    #[serde(skip)]
    pub addresses: [IpAddr; 2],
    /// SYNs sent by the client.
    #[serde(skip)]
    pub syns: u32,
}

/// One direction of a connection.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct StreamView {
    /// Frames, duplicates not counted.
    pub frames: u64,
    /// Payload bytes, each position once.
    pub payload_bytes: u64,
    /// Segments that only repeat bytes.
    pub retransmitted: u64,
    /// Segments that came after a later one.
    pub out_of_order: u64,
    /// Payload bytes known to exist that could not be read.
    pub missing_bytes: u64,
    /// Of these, bytes cut off by the snaplen.
    pub truncated_bytes: u64,
    /// Of the missing ones, bytes lost on the wire and not sent again.
    pub lost_bytes: u64,
    /// Of the missing ones, bytes no longer waited for, to stay within the memory.
    pub given_up_bytes: u64,
    /// Segments that sent bytes again, and others than before.
    pub conflicts: u64,
    /// Segments that closed the receive window.
    pub zero_windows: u64,
}

/// What ICMP said about a packet of a connection.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct UnreachableView {
    /// `host`, `port`, `prohibited`, `too-big`, `time-exceeded`, `other`.
    pub why: &'static str,
    /// When.
    #[serde(serialize_with = "text")]
    pub at: Timestamp,
    /// The frame of the message.
    pub frame: u64,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct EndedView {
    /// `fin`, `rst`, or `open`: none in the capture.
    pub how: &'static str,
    /// `client` or `server`.
    pub by: Option<&'static str>,
    /// When.
    #[serde(serialize_with = "text_or_null")]
    pub at: Option<Timestamp>,
    /// Where.
    pub frame: Option<u64>,
    /// Where, with its capture.
    #[serde(skip)]
    pub at_frame: Option<FrameRef>,
}

/// TLS in clear.
#[derive(Debug, Clone, Serialize)]
pub struct TlsView {
    /// `1.2`, `1.3`, ...
    pub version: Option<String>,
    /// The name asked for.
    pub sni: Option<String>,
    /// The protocols offered.
    pub alpn_offered: Vec<String>,
    /// The protocol chosen.
    pub alpn: Option<String>,
    /// The cipher suite, by name where known.
    pub cipher: Option<String>,
    /// Alerts.
    pub alerts: Vec<AlertView>,
    /// Whether the content was decrypted.
    pub decrypted: bool,
    /// Whether a capture brings its keys along (pcapng decryption secrets).
    pub keys_in_capture: bool,
}

/// A TLS alert.
#[derive(Debug, Clone, Serialize)]
pub struct AlertView {
    /// `client` or `server`.
    pub from: &'static str,
    /// `warning`, `fatal`, or the number.
    pub level: String,
    /// Its name, or the number.
    pub description: String,
}

/// A finding.
#[derive(Debug, Clone, Serialize)]
pub struct FindingView {
    /// Its stable name.
    pub code: &'static str,
    /// `error`, `warning`, `info`.
    pub severity: &'static str,
    /// The handshake it is about.
    pub handshake: Option<String>,
    /// The connections it is about.
    #[serde(serialize_with = "texts")]
    pub connections: Vec<ConnectionId>,
    /// What it is, here.
    pub title: String,
    /// What was seen.
    pub detail: String,
    /// Why it happens.
    pub cause: String,
    /// What to do.
    pub fix: String,
    /// What to write into nginx's configuration; empty when nothing there would help.
    pub nginx_snippet: String,
    /// What nginx logs; empty when nginx is not concerned.
    pub nginx_log: String,
    /// `certain`, `likely`, `guess`.
    pub confidence: &'static str,
    /// The frames that show it.
    pub evidence: Vec<EvidenceView>,
}

/// A frame, and what it shows.
#[derive(Debug, Clone, Serialize)]
pub struct EvidenceView {
    /// The capture.
    pub capture: u16,
    /// The frame's number in it, as Wireshark shows it.
    pub frame: u64,
    /// Its time.
    #[serde(serialize_with = "text")]
    pub at: Timestamp,
    /// What is to be seen there.
    pub shows: String,
}

/// Something that could not be seen or was given up.
#[derive(Debug, Clone, Serialize)]
pub struct LimitView {
    /// What kind.
    pub kind: &'static str,
    /// On which connection.
    #[serde(serialize_with = "text_or_null")]
    pub connection: Option<ConnectionId>,
    /// What, with numbers.
    pub detail: String,
    /// Where.
    pub evidence: Vec<EvidenceView>,
}
