//! After the 101: the accept key, WebSocket frames, the close (RFC 6455, RFC 7692).
mod facts;

pub use facts::{Carried, CloseFrame, FrameCounts, FrameFault, Rule, SessionFacts};
