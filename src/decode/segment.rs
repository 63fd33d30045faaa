//! What decoding a frame gives: a TCP segment, an ICMP error about one, or a reason why neither.

use super::{End, Endpoint, Key, SeqNo};
use crate::capture::FrameRef;

/// The control bits of a TCP header (RFC 9293 3.1), low byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronize sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push function.
    pub const PSH: u8 = 0x08;
    /// The acknowledgment field is significant.
    pub const ACK: u8 = 0x10;

    /// Whether FIN is set.
    pub const fn fin(self) -> bool {
        self.0 & Self::FIN != 0
    }
    /// Whether SYN is set.
    pub const fn syn(self) -> bool {
        self.0 & Self::SYN != 0
    }
    /// Whether RST is set.
    pub const fn rst(self) -> bool {
        self.0 & Self::RST != 0
    }
    /// Whether ACK is set.
    pub const fn ack(self) -> bool {
        self.0 & Self::ACK != 0
    }
}

/// The TCP part of a frame.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// The frame it came in (of a reassembled datagram: the frame of its last fragment).
    pub frame: FrameRef,
    /// Who it is between.
    pub key: Key,
    /// Which end sent it.
    pub sender: End,
    /// Sequence number of the first byte of `payload` (or of SYN).
    pub seq: SeqNo,
    /// Acknowledgment number; only meaningful with ACK.
    pub ack: SeqNo,
    /// Control bits.
    pub flags: TcpFlags,
    /// The window field, unscaled.
    pub window: u16,
    /// The payload bytes captured.
    pub payload: &'a [u8],
    /// Payload bytes that were on the wire behind `payload` and were not captured (snaplen).
    pub missing: u32,
    /// IPv4 identification, 0 for IPv6: tells a duplicated frame from a retransmission.
    pub ip_id: u16,
    /// IPv4 time to live or IPv6 hop limit.
    pub hop_limit: u8,
    /// The capture interface (pcapng) or the kernel's interface index (SLL2): the vantage point.
    pub interface: u32,
}

impl Segment<'_> {
    /// Who sent it.
    pub const fn source(&self) -> Endpoint {
        self.key.endpoint(self.sender)
    }

    /// To whom.
    pub const fn destination(&self) -> Endpoint {
        self.key.endpoint(self.sender.other())
    }
}

/// Why a router or host said that a packet could not be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unreachable {
    /// Network or host unreachable, no route (ICMP 3/0, 3/1, ICMPv6 1/0, 1/3).
    Host,
    /// Port unreachable, as firewalls reject (ICMP 3/3, ICMPv6 1/4).
    Port,
    /// Administratively prohibited (ICMP 3/9, 3/10, 3/13, ICMPv6 1/1, 1/5, 1/6).
    Prohibited,
    /// Fragmentation needed, packet too big: path MTU (ICMP 3/4, ICMPv6 2/0).
    TooBig,
    /// Time exceeded in transit: a routing loop (ICMP 11, ICMPv6 3).
    TimeExceeded,
    /// Any other destination unreachable code.
    Other,
}

/// An ICMP error and the TCP packet that it is about.
#[derive(Debug, Clone, Copy)]
pub struct IcmpError {
    /// The frame of the error.
    pub frame: FrameRef,
    /// What it says.
    pub why: Unreachable,
    /// Who says it (port 0).
    pub from: Endpoint,
    /// Source of the packet it is about.
    pub source: Endpoint,
    /// Destination of the packet it is about.
    pub destination: Endpoint,
    /// Sequence number of the packet it is about.
    pub seq: SeqNo,
}

/// What a frame holds.
#[derive(Debug, Clone, Copy)]
pub enum Decoded<'a> {
    /// A TCP segment.
    Tcp(Segment<'a>),
    /// An ICMP error about a TCP packet.
    Icmp(IcmpError),
    /// Something else, counted by kind.
    Other(OtherKind),
}

/// Frames that carry no TCP segment we can use, by kind: a report without a handshake says what was seen instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OtherKind {
    /// UDP, with the lower of the two ports.
    Udp {
        /// The lower port number.
        port: u16,
    },
    /// ARP.
    Arp,
    /// ICMP or ICMPv6 that is no error about TCP.
    Icmp,
    /// IP with another protocol.
    OtherIp {
        /// The protocol number.
        protocol: u8,
    },
    /// Not IP at all.
    NotIp,
    /// A fragment held until its datagram is complete.
    Fragment,
    /// Headers cut off by the snaplen, or malformed.
    Unreadable,
    /// A link type that is not supported.
    UnsupportedLink,
}
