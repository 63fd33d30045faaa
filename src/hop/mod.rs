//! Exchange to handshake: which hops belong together, in which order, and what changed between them.
mod asked;
mod attempts;
mod book;
mod changes;
mod clock;
mod context;
mod copies;
mod front;
mod fronts;
mod handshake;
mod index;
mod known;
mod link;
mod matching;
mod node;
mod open;
mod ordinary;
mod pairing;
mod record;
mod relayed;
mod role;
mod session;
mod siblings;
mod sight;
mod silent;
mod subrequests;
#[cfg(test)]
pub(crate) mod testkit;
#[cfg(test)]
mod tests;
mod textbook;
mod tree;

pub use book::{Book, Clocks, HELD_BYTES, OpenConnections};
pub use front::{Front, JoinedBy};
pub use handshake::{
    AcceptCheck, BackendSight, Change, ChangeKind, Confidence, ConnectAttempt, Handshake, Hop,
    HopEnding, PairedBy, Party, Role, Session,
};
pub use known::Known;
pub use node::tells_original;
pub use pairing::pair;
pub use record::{
    Exchange, ORDINARY_MAX, ORDINARY_TARGET_MAX, OrdinaryExchange, PartialHead, Protocol,
    ProxyHeader, Record, SharedRecord, is_engine_io,
};
pub use relayed::{Mark, Relayed};
pub use role::is_nginx_name;
pub use sight::{REPEATED_NANOS, Reply};
