//! Segment to connection: who talks to whom, every byte once and in order, and what is missing.
mod connection;
mod handler;

pub use connection::{
    Connection, ConnectionId, Direction, Ending, EndingHow, GapCause, Opening, RolesFrom, Side,
    StreamFacts,
};
pub use handler::{Chunk, Gap, Handler, Interest, StreamEnd};
