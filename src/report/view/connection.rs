//! TCP connections of the document, with TLS as far as it is in clear.
//!
//! `missing_bytes` is the sum of which the fields behind it name parts; frames and bytes count once however often they were captured.

use std::net::IpAddr;

use serde::Serialize;

use super::serial::{text, text_or_null};
use crate::capture::{FrameRef, Timestamp};
use crate::tcp::ConnectionId;

/// A TCP connection.
#[derive(Debug, Clone, Serialize)]
pub struct ConnectionView {
    /// `c1`, `c2`, ... in the order of first frames.
    #[serde(serialize_with = "text")]
    pub id: ConnectionId,
    /// The captures with frames of it.
    pub captures: Vec<u16>,
    /// Address and port of who opened it.
    pub client: String,
    /// Address and port of who accepted it.
    pub server: String,
    /// The interfaces on which it was seen, the first one first.
    pub interfaces: Vec<InterfaceView>,
    /// The client's name, if a capture brings one along (pcapng name resolution).
    pub client_name: Option<String>,
    /// The server's.
    pub server_name: Option<String>,
    /// `syn`, `syn-ack`, `first-bytes`, `port`.
    pub roles_from: &'static str,
    /// `websocket`, `http`, `http2`, `tls`, `other`, `none`.
    pub protocol: &'static str,
    /// Its first frame's time.
    #[serde(serialize_with = "text")]
    pub first_at: Timestamp,
    /// Its last frame's time.
    #[serde(serialize_with = "text")]
    pub last_at: Timestamp,
    /// `complete`, `refused`, `unanswered`, `midstream`, `partial`.
    pub opening: &'static str,
    /// From SYN to the ACK of the SYN-ACK.
    pub rtt_ms: Option<f64>,
    /// What the client sent.
    pub to_server: StreamView,
    /// What the server sent.
    pub to_client: StreamView,
    /// The first FIN or RST.
    pub ended: EndedView,
    /// HTTP requests on it.
    pub exchanges: u32,
    /// Frames of it that show what was shown before, in the same capture or another: counted once above.
    pub duplicate_frames: u64,
    /// An ICMP error about one of its packets.
    pub unreachable: Option<UnreachableView>,
    /// What its evidence lacks: `mid-stream`, `one-sided`; bytes: `truncated` by the snaplen, `gap` not captured although
    /// acknowledged, `lost` on the wire and not sent again, `given-up` for want of memory; `conflict`: sent again with
    /// other bytes, of which the first were read. Empty: it is complete.
    pub quality: Vec<&'static str>,
    /// TLS in clear, which few of many connections have.
    pub tls: Option<Box<TlsView>>,
    /// Its first frame.
    #[serde(skip)]
    pub first: FrameRef,
    /// Addresses of client and server, as they are in the packets.
    #[serde(skip)]
    pub addresses: [IpAddr; 2],
    /// SYNs sent by the client.
    #[serde(skip)]
    pub syns: u32,
    /// On which interface it was seen is worth telling: the captures have several.
    #[serde(skip)]
    pub tell_interfaces: bool,
}

/// An interface of a capture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct InterfaceView {
    /// The capture.
    pub capture: u16,
    /// Its number there: that of pcapng, or of the kernel where the capture is of all interfaces (SLL2).
    pub number: u32,
    /// Its name, if the capture tells.
    pub name: Option<String>,
}

/// One direction of a connection.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct StreamView {
    /// Frames, duplicates not counted.
    pub frames: u64,
    /// Payload bytes, each position once.
    pub payload_bytes: u64,
    /// Segments that only repeat bytes.
    pub retransmitted: u64,
    /// Segments that came after a later one.
    pub out_of_order: u64,
    /// Payload bytes known to exist that could not be read.
    pub missing_bytes: u64,
    /// Of these, bytes cut off by the snaplen.
    pub truncated_bytes: u64,
    /// Of the missing ones, bytes lost on the wire and not sent again.
    pub lost_bytes: u64,
    /// Of the missing ones, bytes no longer waited for, to stay within the memory.
    pub given_up_bytes: u64,
    /// Segments that sent bytes again, and others than before.
    pub conflicts: u64,
    /// Segments that closed the receive window.
    pub zero_windows: u64,
}

/// What ICMP said about a packet of a connection.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct UnreachableView {
    /// `host`, `port`, `prohibited`, `too-big`, `time-exceeded`, `other`.
    pub why: &'static str,
    /// When.
    #[serde(serialize_with = "text")]
    pub at: Timestamp,
    /// The frame of the message.
    pub frame: u64,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct EndedView {
    /// `fin`, `rst`, or `open`: none in the capture.
    pub how: &'static str,
    /// `client` or `server`.
    pub by: Option<&'static str>,
    /// When.
    #[serde(serialize_with = "text_or_null")]
    pub at: Option<Timestamp>,
    /// Where.
    pub frame: Option<u64>,
    /// Where, with its capture.
    #[serde(skip)]
    pub at_frame: Option<FrameRef>,
}

/// TLS: what it shows in clear, and whether it was opened.
#[derive(Debug, Clone, Serialize)]
pub struct TlsView {
    /// `1.2`, `1.3`, ...
    pub version: Option<String>,
    /// The name asked for.
    pub sni: Option<String>,
    /// The protocols offered.
    pub alpn_offered: Vec<String>,
    /// The protocol chosen.
    pub alpn: Option<String>,
    /// The cipher suite, by name where known.
    pub cipher: Option<String>,
    /// Alerts.
    pub alerts: Vec<AlertView>,
    /// Whether the content was decrypted.
    pub decrypted: bool,
    /// Whether some of it was not.
    #[serde(skip)]
    pub in_part: bool,
    /// Whether its keys are at hand: in a capture (pcapng decryption secrets) or in a key log given besides.
    pub keys_in_capture: bool,
}

/// A TLS alert.
#[derive(Debug, Clone, Serialize)]
pub struct AlertView {
    /// `client` or `server`.
    pub from: &'static str,
    /// `warning`, `fatal`, or the number.
    pub level: String,
    /// Its name, or the number.
    pub description: String,
}
