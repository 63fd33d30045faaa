//! Frame to segment: link layers, tunnels, IP and fragments down to the TCP header.
//!
//! ```text
//!   Frame -> link -> [VLAN, MPLS, PPPoE ...] -> IP -> [extension headers, fragments]
//!                      ^                         |
//!                      +---- GRE, VXLAN, GENEVE, IP-in-IP ----+-> TCP -> Segment
//!                                                             +-> ICMP error about TCP
//! ```
//!
//! The innermost TCP counts: of a tunnelled connection the tunnel is not seen. Checksums are not looked at, as
//! offload leaves them unfinished in captures made on the host. What the snaplen cut from a payload is counted in
//! [`Segment::missing`]; a header that is cut makes the frame [`OtherKind::Unreadable`], unless just TCP options are.
mod decoder;
mod endpoint;
mod fragments;
mod key;
mod link;
mod plain;
mod segment;
mod seq;
#[cfg(test)]
mod tests;
mod tunnel;
mod walk;
mod wifi;

pub use decoder::{DecodeStats, Decoder};
pub use endpoint::Endpoint;
pub use fragments::FRAGMENT_BYTES;
pub use key::{End, Key};
pub use link::supports;
pub use segment::{Decoded, IcmpError, OtherKind, Segment, TcpFlags, Unreachable};
pub use seq::SeqNo;
