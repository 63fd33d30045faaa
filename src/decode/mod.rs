//! Frame to segment: link layers, tunnels, IP and fragments down to the TCP header.
mod endpoint;
mod segment;
mod seq;

pub use endpoint::Endpoint;
pub use segment::{Decoded, IcmpError, OtherKind, Segment, TcpFlags, Unreachable};
pub use seq::SeqNo;
