//! TLS: what is seen from outside (records, hellos, alerts), and what a key log opens.
//!
//! ```text
//!   Chunk, Gap --> Records (per direction) --+--> Messages --> TlsFacts
//!                  joined across segments    |    joined across records
//!                                            '--> open: KeyLog --> Opened (clear bytes, gaps)
//! ```
//!
//! Of handshake messages only hellos are kept, within a limit, until they are complete. Without keys, and none expected,
//! reading stops some
//! records after both sides have sent encrypted data: what follows says nothing in clear, and of its lengths the first are
//! enough.
#![cfg_attr(
    not(feature = "decrypt"),
    allow(
        dead_code,
        clippy::zero_sized_map_values,
        reason = "what is only there for opening records"
    )
)]

mod facts;
mod hello;
mod key_log;
mod messages;
mod names;
#[cfg(feature = "decrypt")]
mod open;
#[cfg(not(feature = "decrypt"))]
#[path = "shut.rs"]
mod open;
mod opened;
mod records;
mod sight;
mod sizes;
#[cfg(test)]
mod tests;

pub use facts::{Alert, ClearStream, Sealed, TlsFacts};
pub use key_log::KeyLog;
pub use names::{alert_name, cipher_name, version_name};
pub use opened::{Clear, Opened};
pub use sight::Sight;
pub use sizes::{SIZES_MAX, Size, Sizes};

/// How much is kept of an answer to TLS that is none: enough to recognise an HTTP status line or another protocol.
pub const NOT_TLS_EXCERPT: usize = 64;
