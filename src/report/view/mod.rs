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

mod connection;
mod finding;
mod handshake;
mod headers;
mod serial;
mod session;

pub use connection::{
    AlertView, ConnectionView, EndedView, InterfaceView, StreamView, TlsView, UnreachableView,
};
pub use finding::{EvidenceView, FindingView, LimitView};
pub use handshake::{
    AttemptView, ChangeView, EventView, FrontView, HandshakeView, HopView, RecordView, RequestView,
    ResponseView, SubrequestView,
};
pub use headers::Headers;
pub(super) use serial::text;
pub use session::{CarriedView, CloseView, FramesView, PingsView, SessionView};

use serde::Serialize;

use self::serial::text_or_null;
use crate::capture::Timestamp;
use crate::report::traffic::Traffic;
use crate::tcp::ConnectionId;

/// The name and version of the document.
pub const SCHEMA: &str = "hop101.report/1";

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
    /// What to add to its times to compare them with those of the capture that has the first hops.
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
    /// Handshakes that ask for other URLs than were chosen, and count nowhere else.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
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
