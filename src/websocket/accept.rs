//! The accept value that proves a server understood the opening handshake (RFC 6455 1.3 and 4.2.2).

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha1::{Digest as _, Sha1};

/// What is appended to the key (RFC 6455 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// 20 bytes in base64.
const LENGTH: usize = 28;

/// The Sec-WebSocket-Accept that a Sec-WebSocket-Key demands (RFC 6455 4.2.2 step 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Accept([u8; LENGTH]);

impl Accept {
    /// Base64 of SHA-1 over the key as sent, white space around it taken off, and the GUID. A key that is no base64 has
    /// one, too.
    pub fn for_key(key: &[u8]) -> Self {
        let digest = Sha1::new()
            .chain_update(key.trim_ascii())
            .chain_update(GUID)
            .finalize();
        let mut text = [0; LENGTH];
        let written = BASE64_STANDARD.encode_slice(digest, &mut text);
        debug_assert_eq!(written, Ok(LENGTH));
        Self(text)
    }

    /// As it is sent.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455 1.3.
    #[test]
    fn the_example_of_the_rfc() {
        let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        assert_eq!(
            Accept::for_key(b"dGhlIHNhbXBsZSBub25jZQ==").as_str(),
            accept
        );
        assert_eq!(
            Accept::for_key(b" dGhlIHNhbXBsZSBub25jZQ==\t").as_str(),
            accept
        );
        assert_ne!(Accept::for_key(b"dGhlIHNhbXBsZSBub25jZQ=").as_str(), accept);
    }
}
