//! Segment to connection: who talks to whom, every byte once and in order, and what is missing.
//!
//! ```text
//!            +---------------------------- Table -----------------------------+
//!  Segment ->| key -> Embryo (opening only) -> Flow -> Half x 2 -> Pieces     |-> Handler: opened, bytes, gap,
//!  IcmpError |        no payload yet           one connection      held back  |   ended, closed
//!            +----------------------------------------------------------------+
//! ```
//!
//! Invariants:
//! - Every position of a stream is delivered once, as a byte or as part of a gap, in order.
//! - In-order bytes are borrowed from the segment; only bytes behind a hole are copied.
//! - Time is packet time. The order of calls depends on the segments only.
//! - Memory is bounded by [`Limits`]; what is given up is told by [`Stats`] and in the connections' facts.
//!
//! Memory: an opening (SYN, its answer) takes 80 bytes (IPv6: 120), a connection 360 bytes that segments touch and 728
//! that few do, with the handler's state on top; each has 8 to 16 bytes in the index. Payload is held only behind a hole.
//!
//! What is not seen: bytes are compared with those held, not with those delivered already, so a conflicting repetition
//! counts as a conflict only while the first version waits behind a hole.
mod agenda;
mod connection;
mod control;
mod delivery;
mod duplicates;
mod embryo;
mod expiry;
mod flow;
mod half;
mod handler;
mod limits;
mod lookup;
mod nursery;
mod payload;
mod pieces;
mod roles;
mod row;
mod runs;
mod table;
mod tombs;

#[cfg(test)]
mod tests;

pub use connection::{
    Connection, ConnectionId, Direction, Ending, EndingHow, GapCause, Interface, Interfaces,
    Opening, RolesFrom, Side, StreamFacts,
};
pub use handler::{Chunk, Gap, Handler, Interest, StreamEnd};
pub use limits::{Copies, LimitHit, LimitKind, Limits, Stats};
pub use lookup::Lookup;
pub use table::Table;
