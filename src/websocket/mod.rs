//! After the 101: the accept key, WebSocket frames, the close (RFC 6455, RFC 7692).
//!
//! ```text
//!   heads of the handshake --> Key, Version, Subprotocol, Extensions, Accept: what was asked, what was agreed
//!   Chunk, Gap, end        --> Session (a reader per direction) --> SessionFacts
//! ```
//!
//! Payload is skipped by count: a frame costs its header, whatever its size. Only control frames (125 bytes at most)
//! and, as deep as [`Depth`] says, text and compressed messages are looked into. Memory per session is bounded.
mod accept;
mod content;
mod extensions;
mod facts;
mod handshake;
mod header;
mod ledger;
mod mqtt;
mod quiet;
mod reader;
mod session;
#[cfg(test)]
mod tests;
mod trial;
mod window;

pub use accept::Accept;
pub use content::Depth;
pub use extensions::{DeflateParams, Extension, ExtensionFault, Extensions};
pub use facts::{Carried, CloseFrame, FrameCounts, FrameFault, Rule, SessionFacts, Silence, Timer};
pub use handshake::{Key, Subprotocol, VERSION, Version, repeated_fields, versions_offered};
pub use mqtt::{Farewell, Mqtt};
pub use session::Session;
