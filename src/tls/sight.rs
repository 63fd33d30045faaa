//! The machine that watches one TLS connection from outside until it has said all that it says in clear.

use tls_parser::{
    TlsExtension, parse_tls_client_hello_extension, parse_tls_handshake_client_hello,
    parse_tls_handshake_server_hello, parse_tls_server_hello_extension,
};

use super::messages::{self, Message, Messages};
use super::records::{Fragment, Records, kind};
use super::{Alert, TlsFacts};
use crate::capture::FrameRef;
use crate::tcp::{Chunk, Direction, Gap, Interest, Side};

/// How many bytes of a connection are read while its handshake goes on: certificate chains have some 10 KiB.
const MAX_READ: u64 = 256 * 1024;

/// Alerts kept: a connection has one or two.
const MAX_ALERTS: usize = 8;

/// Names taken from a list in a hello (ALPN, versions): browsers send fewer than ten.
const MAX_LISTED: usize = 32;

/// The random of a ServerHello that is a HelloRetryRequest (RFC 8446 4.1.3).
const HELLO_RETRY_REQUEST: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Watches one connection. Any segmentation gives the same facts, but for the frames they name.
#[derive(Debug)]
pub struct Sight {
    to_server: Lane,
    to_client: Lane,
    facts: TlsFacts,
    read: u64,
}

/// One direction.
#[derive(Debug)]
struct Lane {
    records: Records,
    messages: Messages,
    /// Handshake records are encrypted from here on, or bytes of them are missing.
    opaque: bool,
    /// The body of the alert record at hand.
    alert: [u8; 2],
    alert_len: usize,
}

impl Lane {
    fn new() -> Self {
        Self {
            records: Records::new(),
            messages: Messages::default(),
            opaque: false,
            alert: [0; 2],
            alert_len: 0,
        }
    }
}

impl Default for Sight {
    fn default() -> Self {
        Self::new()
    }
}

impl Sight {
    /// For a connection of which at least one side begins with a TLS record.
    pub fn new() -> Self {
        Self {
            to_server: Lane::new(),
            to_client: Lane::new(),
            facts: TlsFacts::default(),
            read: 0,
        }
    }

    /// Takes the next bytes of a stream; says whether more can be learned.
    pub fn bytes(&mut self, chunk: &Chunk<'_>) -> Interest {
        self.read = self.read.saturating_add(chunk.data.len() as u64);
        let lane = match chunk.direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        let Lane {
            records,
            messages,
            opaque,
            alert,
            alert_len,
        } = lane;
        let facts = &mut self.facts;
        let from = chunk.direction.sender();
        records.feed(
            chunk.data,
            chunk.frame,
            &mut |fragment| match fragment.kind {
                kind::HANDSHAKE if !*opaque => {
                    messages.feed(fragment.data, fragment.frame, &mut |message| {
                        read_message(from, message, facts);
                    });
                }
                // RFC 8446 4.1.4, D.4: around a HelloRetryRequest the record says nothing.
                kind::CHANGE_CIPHER_SPEC if facts.hello_retry_request.is_none() => *opaque = true,
                kind::ALERT => {
                    if fragment.is_start {
                        *alert_len = 0;
                    }
                    for &byte in fragment.data {
                        if let Some(slot) = alert.get_mut(*alert_len) {
                            *slot = byte;
                            *alert_len += 1;
                        }
                    }
                    if !fragment.data.is_empty() && *alert_len == alert.len() {
                        read_alert(from, *alert, fragment, facts);
                    }
                }
                kind::APPLICATION_DATA if fragment.is_start => {
                    let (client, server) = &mut facts.application_data;
                    let first = match from {
                        Side::Client => client,
                        Side::Server => server,
                    };
                    first.get_or_insert(fragment.frame);
                }
                _ => {}
            },
        );
        self.interest()
    }

    /// Takes a hole in a stream.
    pub fn gap(&mut self, gap: &Gap) -> Interest {
        self.read = self.read.saturating_add(gap.len);
        let lane = match gap.direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        lane.records.gap(gap.len);
        lane.opaque = true;
        self.interest()
    }

    fn interest(&self) -> Interest {
        let through = matches!(self.facts.application_data, (Some(_), Some(_)));
        let both_done = self.to_server.records.is_done() && self.to_client.records.is_done();
        if through || both_done || self.read > MAX_READ {
            Interest::Counters
        } else {
            Interest::Bytes
        }
    }

    /// Bytes that it holds besides itself.
    pub fn held(&self) -> usize {
        self.to_server.messages.held() + self.to_client.messages.held()
    }

    /// What is known so far.
    pub fn facts(&self) -> TlsFacts {
        let foreign = |lane: &Lane, other: &Lane, side: Side| {
            let (frame, excerpt) = lane.records.foreign().filter(|_| other.records.any())?;
            Some((side, frame, excerpt.into()))
        };
        TlsFacts {
            not_tls: foreign(&self.to_client, &self.to_server, Side::Server)
                .or_else(|| foreign(&self.to_server, &self.to_client, Side::Client)),
            ..self.facts.clone()
        }
    }
}

/// An alert in clear has two bytes; an encrypted one is longer (RFC 8446 6, RFC 5246 7.2).
fn read_alert(from: Side, alert: [u8; 2], fragment: &Fragment<'_>, facts: &mut TlsFacts) {
    let [level, description] = alert;
    if fragment.len == 2 && matches!(level, 1 | 2) && facts.alerts.len() < MAX_ALERTS {
        facts.alerts.push(Alert {
            from,
            level,
            description,
            frame: fragment.frame,
        });
    }
}

fn read_message(from: Side, message: &Message<'_>, facts: &mut TlsFacts) {
    match (from, message.kind) {
        // The one behind a HelloRetryRequest repeats the first.
        (Side::Client, messages::kind::CLIENT_HELLO) if facts.client_hello.is_none() => {
            facts.client_hello = Some(message.frame);
            read_client_hello(message.body, facts);
        }
        (Side::Server, messages::kind::SERVER_HELLO) => {
            read_server_hello(message.body, message.frame, facts);
        }
        (Side::Server, messages::kind::CERTIFICATE_REQUEST) => {
            facts.certificate_requested.get_or_insert(false);
        }
        (Side::Client, messages::kind::CERTIFICATE) => {
            let is_empty = message.body.iter().all(|&byte| byte == 0);
            if let Some(sent) = &mut facts.certificate_requested {
                *sent |= !is_empty;
            }
        }
        _ => {}
    }
}

fn read_client_hello(body: &[u8], facts: &mut TlsFacts) {
    let Ok((_, hello)) = parse_tls_handshake_client_hello(body) else {
        return;
    };
    facts.client_random = hello.random.try_into().ok();
    facts.versions_offered = vec![hello.version.0];
    for extension in extensions(hello.ext) {
        match parse_tls_client_hello_extension(extension) {
            Ok((_, TlsExtension::SNI(names))) => {
                // RFC 6066 3: host_name, of which there is one.
                let name = names.iter().find(|(kind, _)| kind.0 == 0);
                facts.sni = name.map(|(_, name)| lossy(name));
            }
            Ok((_, TlsExtension::ALPN(names))) => {
                facts.alpn_offered = names.iter().take(MAX_LISTED).map(|n| lossy(n)).collect();
            }
            Ok((_, TlsExtension::SupportedVersions(versions))) => {
                facts.versions_offered = versions
                    .iter()
                    .map(|version| version.0)
                    .filter(|version| !is_grease(*version))
                    .take(MAX_LISTED)
                    .collect();
            }
            _ => {}
        }
    }
}

fn read_server_hello(body: &[u8], frame: FrameRef, facts: &mut TlsFacts) {
    let Ok((_, hello)) = parse_tls_handshake_server_hello(body) else {
        facts.server_hello.get_or_insert(frame);
        return;
    };
    if hello.random == HELLO_RETRY_REQUEST {
        facts.hello_retry_request.get_or_insert(frame);
    } else {
        facts.server_hello.get_or_insert(frame);
    }
    facts.version = Some(hello.version.0);
    facts.cipher = Some(hello.cipher.0);
    for extension in extensions(hello.ext) {
        match parse_tls_server_hello_extension(extension) {
            Ok((_, TlsExtension::SupportedVersions(versions))) => {
                if let Some(version) = versions.first() {
                    facts.version = Some(version.0);
                }
            }
            Ok((_, TlsExtension::ALPN(names))) => facts.alpn = names.first().map(|n| lossy(n)),
            _ => {}
        }
    }
}

/// The extensions of a hello that are read here, each by itself: one that is malformed hides no other.
fn extensions(all: Option<&[u8]>) -> impl Iterator<Item = &[u8]> {
    const READ: [u16; 3] = [0, 16, 43];
    let mut rest = all.unwrap_or_default();
    std::iter::from_fn(move || {
        loop {
            let (&[a, b, c, d], _) = rest.split_first_chunk::<4>()?;
            let len = 4 + usize::from(u16::from_be_bytes([c, d]));
            let extension = rest.get(..len)?;
            rest = rest.get(len..)?;
            if READ.contains(&u16::from_be_bytes([a, b])) {
                return Some(extension);
            }
        }
    })
}

/// Values that clients send so that servers learn to ignore unknown ones (RFC 8701).
const fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

fn lossy(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}
