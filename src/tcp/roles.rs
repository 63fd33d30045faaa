//! Who is the client when no SYN was captured: what the first bytes say.

use super::Side;

/// Beginnings that only a client sends first: request methods (RFC 9110 9, RFC 9113 3.4) and the PROXY protocol.
const CLIENT: [&[u8]; 12] = [
    b"GET ",
    b"POST ",
    b"PUT ",
    b"HEAD ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
    b"PRI * HTTP/2",
    b"PROXY ",
    b"\r\n\r\n\0\r\nQUIT\n",
];

/// Which side sends a stream that begins so, if that can be told.
pub(super) fn sender_of(first: &[u8]) -> Option<Side> {
    if CLIENT.iter().any(|start| first.starts_with(start)) {
        return Some(Side::Client);
    }
    if first.starts_with(b"HTTP/") {
        return Some(Side::Server);
    }
    // A TLS record (RFC 8446 5.1) with a handshake message: client_hello is 1, server_hello 2 (4).
    match first {
        [0x16, 0x03, _, _, _, 0x01, ..] => Some(Side::Client),
        [0x16, 0x03, _, _, _, 0x02, ..] => Some(Side::Server),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_answers_and_hellos_tell_the_sender() {
        let table: [(&[u8], Option<Side>); 7] = [
            (b"GET /ws HTTP/1.1\r\n", Some(Side::Client)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(Side::Client)),
            (b"HTTP/1.1 101 Switching", Some(Side::Server)),
            (b"\x16\x03\x01\x02\x00\x01\x00", Some(Side::Client)),
            (b"\x16\x03\x03\x00\x7a\x02\x00", Some(Side::Server)),
            (b"SSH-2.0-OpenSSH_9.2", None),
            (b"", None),
        ];
        for (first, sender) in table {
            assert_eq!(sender_of(first), sender, "{first:?}");
        }
    }
}
