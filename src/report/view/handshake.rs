//! Handshakes of the document: hops, heads, changes between hops, what was tried and asked for them.
//!
//! Hops are outermost first; a field that is skipped in the document serves the forms for eyes.

use std::borrow::Cow;

use serde::Serialize;

use super::headers::Headers;
use super::serial::{text, texts};
use super::session::SessionView;
use crate::capture::{FrameRef, Timestamp};
use crate::tcp::ConnectionId;

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
    pub answered_by_reason: Option<Cow<'static, str>>,
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
    /// The TLS connection in front of the first hop, of which no keys were there; null where there is none, or none that is
    /// known to be the one.
    pub front: Option<Box<FrontView>>,
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

/// The TLS connection in front of a handshake's first hop, found without its keys.
#[derive(Debug, Clone, Serialize)]
pub struct FrontView {
    /// The connection.
    #[serde(serialize_with = "text")]
    pub connection: ConnectionId,
    /// `records-and-time`: lengths of records agree with what was relayed, and so do their times; `records`: the lengths
    /// alone, as by two clocks; `time`: request and answer fit, and nothing was relayed behind them that tells more.
    pub paired_by: &'static str,
    /// How sure that is: `certain`, `likely`, `guess`.
    pub confidence: &'static str,
    /// How many lengths of relayed data agree.
    pub agreed_lengths: usize,
    /// The record with the request; null where the session was up when the capture began.
    pub request: Option<RecordView>,
    /// The first record of the answer; null where none came.
    pub answer: Option<RecordView>,
}

impl FrontView {
    /// What it connects, as hops name it.
    pub const ROLE: &str = "client-proxy";
}

/// A TLS record by the frame that completed it.
#[derive(Debug, Clone, Serialize)]
pub struct RecordView {
    /// When.
    #[serde(serialize_with = "text")]
    pub at: Timestamp,
    /// The frame.
    pub frame: u64,
    /// The same, with its capture.
    #[serde(skip)]
    pub at_frame: FrameRef,
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
    /// The protocol that its request was in, where that is FastCGI, uwsgi or SCGI; null where it carried none.
    pub spoke: Option<&'static str>,
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
    pub headers: Headers,
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
    /// The short text with which it refuses; null where its body is a page, coded, or may hold a secret.
    pub said: Option<String>,
    /// All fields in their order.
    pub headers: Headers,
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
