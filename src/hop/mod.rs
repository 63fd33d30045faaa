//! Exchange to handshake: which hops belong together, in which order, and what changed between them.
mod handshake;
mod record;

pub use handshake::{
    AcceptCheck, BackendSight, Change, ChangeKind, Confidence, ConnectAttempt, Handshake, Hop,
    HopEnding, PairedBy, Party, Role, Session,
};
pub use record::{
    Exchange, ORDINARY_MAX, ORDINARY_TARGET_MAX, OrdinaryExchange, PartialHead, Protocol,
    ProxyHeader, Record, SharedRecord,
};
