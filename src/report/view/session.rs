//! What followed a 101, as the document has it.
//!
//! Counts are per direction over the whole session, listed or not; who ended it is null where one hop does not show it.

use serde::Serialize;

use super::serial::{text, text_or_null, texts};
use crate::capture::{FrameRef, Timestamp};
use crate::report::moments::MomentView;
use crate::tcp::ConnectionId;

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

impl SessionView {
    /// Whether a Close frame ended it: who closes TCP first after one does not matter.
    pub fn ended_by_close(&self) -> bool {
        self.close_frame <= self.ended && self.close_frame.is_some()
    }
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
    /// `client` or `server`: who sent it; null where the other side may have sent one before that is not in the capture.
    pub by: Option<&'static str>,
    /// Who sent the one that is told here.
    #[serde(skip)]
    pub sender: &'static str,
    /// The status code.
    pub code: Option<u16>,
    /// Without a code here, it may have had one: the capture lacks bytes of it.
    #[serde(skip)]
    pub cut: bool,
    /// The reason.
    pub reason: String,
    /// Whether the other side sent one too; null where that may not be in the capture, or may come yet.
    pub answered: Option<bool>,
}
