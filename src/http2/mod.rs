//! HTTP/2 in clear, as far as WebSocket handshakes on it go: nginx refuses them, and this stage sees how.
//!
//! ```text
//!   Chunk -> frames (RFC 9113 4.1) -> header blocks (RFC 7541) -> Http2Facts: requests about WebSocket, their answers
//!            payload of other frames skipped by count
//! ```
//!
//! Both directions are read from their first byte on: the tables that compress header fields depend on every block
//! before. After a hole, or beyond the limits, nothing more is said. Connections that never mention WebSocket are
//! given up early, so that ordinary HTTP/2 costs little.
mod facts;
mod hpack;
mod huffman;
mod sight;
#[cfg(test)]
mod tests;

pub use facts::{Answer, Http2Facts, WebSocketRequest};
pub use sight::{Sight, is_server_preface};
