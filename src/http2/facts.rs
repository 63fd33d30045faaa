//! What an HTTP/2 connection shows about WebSocket.

use crate::capture::FrameRef;

/// A request that wants a WebSocket, one way or another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketRequest {
    /// Its stream.
    pub stream: u32,
    /// The frame that completed its fields.
    pub frame: FrameRef,
    /// The path, shortened.
    pub path: Box<str>,
    /// It is the extended CONNECT of RFC 8441 4, with `:protocol` websocket.
    pub extended: bool,
    /// The Connection field, which HTTP/2 forbids (RFC 9113 8.2.2).
    pub connection: Option<Box<str>>,
    /// The Upgrade field, which HTTP/2 forbids as well.
    pub upgrade: Option<Box<str>>,
    /// What came back first, and where.
    pub answer: Option<(FrameRef, Answer)>,
}

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A final status.
    Status(u16),
    /// RST_STREAM with this error code (RFC 9113 7).
    Reset(u32),
}

/// What is known about WebSocket on an HTTP/2 connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Http2Facts {
    /// Requests about WebSocket, in order.
    pub requests: Vec<WebSocketRequest>,
    /// The server offers extended CONNECT (RFC 8441 3).
    pub connect_protocol: bool,
}
