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
        _ => frames_sender(first),
    }
}

/// Who sends WebSocket frames that fill a segment: clients mask theirs, servers do not (RFC 6455 5.1).
fn frames_sender(segment: &[u8]) -> Option<Side> {
    let mut sender = None;
    let mut rest = segment;
    while let [first, second, behind @ ..] = rest {
        // No reserved bits but RSV1, which compression uses, and a defined opcode (RFC 6455 5.2).
        if first & 0x30 != 0 || !matches!(first & 0x0f, 0..=2 | 8..=10) {
            return None;
        }
        let (length, header) = match (second & 0x7f, behind) {
            (127, _) => return None,
            (126, [high, low, ..]) => (usize::from(u16::from_be_bytes([*high, *low])), 2),
            (length, _) => (usize::from(length), 0),
        };
        let (side, mask) = if second & 0x80 == 0 {
            (Side::Server, 0)
        } else {
            (Side::Client, 4)
        };
        if *sender.get_or_insert(side) != side {
            return None;
        }
        rest = behind.get(header + mask + length..)?;
    }
    sender.filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_answers_and_hellos_tell_the_sender() {
        let table: [(&[u8], Option<Side>); 14] = [
            (b"GET /ws HTTP/1.1\r\n", Some(Side::Client)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(Side::Client)),
            (b"HTTP/1.1 101 Switching", Some(Side::Server)),
            (b"\x16\x03\x01\x02\x00\x01\x00", Some(Side::Client)),
            (b"\x16\x03\x03\x00\x7a\x02\x00", Some(Side::Server)),
            (b"\x81\x85abcdhello", Some(Side::Client)),
            (b"\x81\x85abcdhello\x89\x80abcd", Some(Side::Client)),
            (b"\x01\x05hello\x80\x00", Some(Side::Server)),
            (b"\x81\x05hello!", None),
            (b"\x81\x05hello\x89\x80abcd", None),
            (b"\x83\x05hello", None),
            (b"\x81", None),
            (b"SSH-2.0-OpenSSH_9.2", None),
            (b"", None),
        ];
        for (first, sender) in table {
            assert_eq!(sender_of(first), sender, "{first:?}");
        }
    }
}
