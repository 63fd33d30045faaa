//! The accept value that proves a server understood the opening handshake (RFC 6455 1.3 and 4.2.2).

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha1::{Digest as _, Sha1};

/// What is appended to the key (RFC 6455 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The Sec-WebSocket-Accept that a Sec-WebSocket-Key demands: base64 of SHA-1 over the key as sent, white space
/// around it taken off, and the GUID (RFC 6455 4.2.2 step 5.4). A key that is no base64 has one, too.
pub fn accept_for(key: &[u8]) -> String {
    let digest = Sha1::new()
        .chain_update(key.trim_ascii())
        .chain_update(GUID)
        .finalize();
    BASE64_STANDARD.encode(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455 1.3.
    #[test]
    fn the_example_of_the_rfc() {
        let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        assert_eq!(accept_for(b"dGhlIHNhbXBsZSBub25jZQ=="), accept);
        assert_eq!(accept_for(b" dGhlIHNhbXBsZSBub25jZQ==\t"), accept);
        assert_ne!(accept_for(b"dGhlIHNhbXBsZSBub25jZQ="), accept);
    }
}
