//! The contract between reassembly and what reads the streams.

use super::{Connection, Direction, EndingHow, GapCause};
use crate::capture::FrameRef;

/// Bytes of a stream, in order, each position once.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    /// Which stream.
    pub direction: Direction,
    /// Position of the first byte in the stream: the first byte seen after SYN (or of a mid-stream start) is 0.
    pub position: u64,
    /// The bytes; borrowed from the frame when they came in order.
    pub data: &'a [u8],
    /// The frame that carried them.
    pub frame: FrameRef,
}

/// Bytes of a stream that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Which stream.
    pub direction: Direction,
    /// Position of the first missing byte.
    pub position: u64,
    /// How many bytes.
    pub len: u64,
    /// Why.
    pub cause: GapCause,
    /// The frame that made it known: the one cut short, the acknowledgment, the data behind the hole.
    pub frame: FrameRef,
}

/// A FIN or RST, delivered after all bytes of its direction that came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamEnd {
    /// Which stream it ends (an RST also ends the other one).
    pub direction: Direction,
    /// FIN or RST.
    pub how: EndingHow,
    /// Where.
    pub frame: FrameRef,
}

/// What the reader of a connection wants from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Every byte, in order.
    Bytes,
    /// None of our business: counters only, no reassembly, no further calls but `closed`.
    Counters,
}

/// Reads the streams of all connections.
///
/// A connection gets its state at its first payload byte, so that scans and half-open connections cost nothing.
/// Calls for one connection come in the order of its frames.
///
/// The facts that nearly every segment changes (`last`, `captures`, and per stream `frames`, `payload_bytes`,
/// `last_data`, `unacknowledged`) are brought up to date for `opened`, `gap`, `ended` and `closed`; in `bytes` they
/// may be those of an earlier call, for that is called for every segment.
pub trait Handler {
    /// What is kept per connection.
    type State;

    /// The first payload byte of a connection is about to be delivered.
    fn opened(&mut self, connection: &Connection) -> Self::State;

    /// The next bytes of a stream.
    fn bytes(
        &mut self,
        connection: &Connection,
        state: &mut Self::State,
        chunk: Chunk<'_>,
    ) -> Interest;

    /// A hole in a stream; the bytes behind it follow.
    fn gap(&mut self, connection: &Connection, state: &mut Self::State, gap: Gap) -> Interest;

    /// A FIN or RST; `connection` already has it in its facts. Not called for a connection without payload so far.
    fn ended(&mut self, connection: &Connection, state: &mut Self::State, end: StreamEnd);

    /// Looks at what the next bytes of a direction will need of a state, so that it comes from memory. Any number will do:
    /// it is there so that the looking is not optimized away.
    fn touch(_: &Self::State, _: Direction) -> usize {
        0
    }

    /// The connection leaves the table: it finished, went idle, was evicted, or the capture ended.
    fn closed(&mut self, connection: Connection, state: Option<Self::State>);
}
