//! What hellos say (RFC 8446 4.1, RFC 5246 7.4.1).

use tls_parser::{
    TlsExtension, TlsExtensionType, parse_tls_client_hello_extension,
    parse_tls_handshake_client_hello, parse_tls_handshake_server_hello,
    parse_tls_server_hello_extension,
};

use super::TlsFacts;
use crate::capture::FrameRef;

/// Names taken from a list in a hello (ALPN, versions): browsers send fewer than ten.
const MAX_LISTED: usize = 32;

/// The random of a ServerHello that is a HelloRetryRequest (RFC 8446 4.1.3).
const HELLO_RETRY_REQUEST: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// RFC 7366 2.
const ENCRYPT_THEN_MAC: TlsExtensionType = TlsExtensionType(22);

/// What the server chose, as far as keys and records depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    /// The server's random value.
    pub(super) random: [u8; 32],
    pub(super) version: u16,
    pub(super) cipher: u16,
    /// Records are compressed (RFC 3749; nobody does any more).
    pub(super) compressed: bool,
    /// The MAC is over what was encrypted (RFC 7366).
    pub(super) encrypt_then_mac: bool,
}

pub(super) fn read_client_hello(body: &[u8], facts: &mut TlsFacts) {
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

/// Reads a ServerHello; says what was chosen, unless it only asks for another ClientHello.
pub(super) fn read_server_hello(
    body: &[u8],
    frame: FrameRef,
    facts: &mut TlsFacts,
) -> Option<Choice> {
    let Ok((_, hello)) = parse_tls_handshake_server_hello(body) else {
        facts.server_hello.get_or_insert(frame);
        return None;
    };
    let mut encrypt_then_mac = false;
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
            // Not `EncryptThenMac`: tls-parser 0.12 takes another number for it in a ServerHello.
            Ok((_, TlsExtension::Unknown(ENCRYPT_THEN_MAC, _))) => encrypt_then_mac = true,
            _ => {}
        }
    }
    Some(Choice {
        random: hello.random.try_into().ok()?,
        version: facts.version?,
        cipher: hello.cipher.0,
        compressed: hello.compression.0 != 0,
        encrypt_then_mac,
    })
    .filter(|choice| choice.random != HELLO_RETRY_REQUEST)
}

/// Reads EncryptedExtensions (RFC 8446 4.3.1); says whether the server takes early data (RFC 8446 4.2.10).
pub(super) fn read_encrypted_extensions(body: &[u8], facts: &mut TlsFacts) -> bool {
    let mut takes_early_data = false;
    let list = body.split_first_chunk::<2>().map(|(_, list)| list);
    for extension in extensions(list) {
        match parse_tls_server_hello_extension(extension) {
            Ok((_, TlsExtension::ALPN(names))) => facts.alpn = names.first().map(|n| lossy(n)),
            Ok((_, TlsExtension::EarlyData(_))) => takes_early_data = true,
            _ => {}
        }
    }
    takes_early_data
}

/// The extensions of a hello that are read here, each by itself: one that is malformed hides no other.
fn extensions(all: Option<&[u8]>) -> impl Iterator<Item = &[u8]> {
    const READ: [u16; 5] = [0, 16, ENCRYPT_THEN_MAC.0, 42, 43];
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
