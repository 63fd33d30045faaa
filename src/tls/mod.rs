//! TLS as seen from outside: records, hellos, alerts.
mod facts;

pub use facts::{Alert, TlsFacts};
