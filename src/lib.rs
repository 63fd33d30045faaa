//! hop101 reads packets and says where a WebSocket opening handshake through nginx died, and what to change.
//!
//! ```text
//!  capture    -> decode   -> tcp        -> tls         -> http        -> hop       -> diagnosis -> report
//!  frames        segments    connections   hello,         exchanges      hops,        findings     table, JSON,
//!  file, live,   link, IP,   ordered       alerts         heads, bodies  pairing,                  Markdown, HTML
//!  stdin         tunnels     bytes, gaps                  | websocket    handshakes
//!                                                         ws frames, close
//! ```
//!
//! Data flows one way: a stage knows the stages before it, never one after it. From `decode` to `diagnosis` there is
//! no I/O and no clock: frames and their times in, values out, so the same input gives the same output.

pub mod capture;
pub mod cli;
pub mod decode;
pub mod diagnosis;
pub mod engine;
pub mod hop;
pub mod http;
pub mod http2;
#[cfg(all(feature = "live", target_os = "linux"))]
pub mod privileges;
pub mod report;
pub mod tcp;
pub mod tls;
pub mod websocket;
