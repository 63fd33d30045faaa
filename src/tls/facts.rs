//! What is known about a TLS connection.

use super::Sizes;
use crate::capture::FrameRef;
use crate::tcp::Side;

/// A TLS alert sent in clear (RFC 8446 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alert {
    /// Who sent it.
    pub from: Side,
    /// 1 warning, 2 fatal.
    pub level: u8,
    /// The description code.
    pub description: u8,
    /// Where.
    pub frame: FrameRef,
}

impl Alert {
    /// Whether its sender said that it sends nothing more (RFC 8446 6.1).
    pub const fn is_close_notify(&self) -> bool {
        self.description == 0
    }
}

/// How far a connection was opened with the keys of a key log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sealed {
    /// No keys for it, or they came when its encrypted bytes were no longer looked at.
    #[default]
    NoKeys,
    /// Keys are there; no record with application data was opened so far: none came, or none was captured whole.
    Unproven,
    /// Bytes came out in clear, and every record was accounted for so far.
    Open {
        /// Where the first of them did.
        first: FrameRef,
    },
    /// Keys are there, for a version or cipher suite that cannot be opened here.
    Unsupported,
    /// Keys are there and fit nothing: they are of another session, or damaged.
    Unfit {
        /// The first record that should have been opened.
        frame: FrameRef,
    },
    /// A direction was opened up to a record that could not be: too much before it is missing, or it does not
    /// authenticate. Nothing behind it comes out of that direction; the other one is still read.
    Lost {
        /// Where the first clear bytes came out, if any did.
        first: Option<FrameRef>,
        /// Where it was lost.
        frame: FrameRef,
    },
    /// Keys did not come before more encrypted bytes than the limit had to be held for them.
    TooMuch,
}

impl Sealed {
    /// Whether any bytes came out in clear.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::Lost { first: Some(_), .. })
    }
}

/// What came out in clear of a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClearStream {
    /// How many bytes.
    pub bytes: u64,
    /// The frame with the last of them.
    pub last: Option<FrameRef>,
}

/// What is known about TLS on a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFacts {
    /// The ClientHello.
    pub client_hello: Option<FrameRef>,
    /// Its random value, by which a key log names the session.
    pub client_random: Option<[u8; 32]>,
    /// The name the client asked for (RFC 6066 3).
    pub sni: Option<Box<str>>,
    /// The protocols the client offered (RFC 7301).
    pub alpn_offered: Vec<Box<str>>,
    /// The versions the client offered, its best first (RFC 8446 4.2.1; the one in the hello itself without that).
    pub versions_offered: Vec<u16>,
    /// The server asked for another ClientHello first (RFC 8446 4.1.4).
    pub hello_retry_request: Option<FrameRef>,
    /// The ServerHello.
    pub server_hello: Option<FrameRef>,
    /// The version chosen, e.g. 0x0304.
    pub version: Option<u16>,
    /// The cipher suite chosen.
    pub cipher: Option<u16>,
    /// The protocol chosen, where it is in clear (TLS 1.2 and older) or was opened.
    pub alpn: Option<Box<str>>,
    /// Alerts in clear or opened, in order.
    pub alerts: Vec<Alert>,
    /// The first alert that nobody opened, of whatever kind: who sent it, and where.
    pub sealed_alert: Option<(Side, FrameRef)>,
    /// Encrypted data records were seen in each direction: the handshake came through.
    pub application_data: (Option<FrameRef>, Option<FrameRef>),
    /// One side spoke TLS and the other answered with something else: who, where, how its bytes begin.
    pub not_tls: Option<(Side, FrameRef, Box<[u8]>)>,
    /// The server asked for a certificate in clear (TLS 1.2 and older) and whether the client sent one.
    pub certificate_requested: Option<bool>,
    /// How far it was opened with keys.
    pub sealed: Sealed,
    /// What was opened of the client's bytes.
    pub to_server: ClearStream,
    /// What was opened of the server's bytes.
    pub to_client: ClearStream,
    /// How long the first records are, where nobody opens them and they may be those of HTTP/1.
    pub sizes: Option<Box<Sizes>>,
}

/// Alerts kept: a connection has one or two.
const MAX_ALERTS: usize = 8;

impl TlsFacts {
    /// Notes an alert, unless it is none.
    pub(super) fn alert(&mut self, from: Side, [level, description]: [u8; 2], frame: FrameRef) {
        if matches!(level, 1 | 2) && self.alerts.len() < MAX_ALERTS {
            self.alerts.push(Alert {
                from,
                level,
                description,
                frame,
            });
        }
    }
}
