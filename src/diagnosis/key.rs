//! Whether a Sec-WebSocket-Key is one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// 24 characters that decode to 16 bytes (RFC 6455 4.1 item 7).
pub(super) fn is_valid_key(key: &str) -> bool {
    key.len() == 24 && STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bytes_in_base64() {
        assert!(is_valid_key("dGhlIHNhbXBsZSBub25jZQ=="));
        for key in [
            "",
            "test",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZSE=",
            "************************",
        ] {
            assert!(!is_valid_key(key), "{key}");
        }
    }
}
