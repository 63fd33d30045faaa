//! The PROXY protocol header that a balancer puts before the first request (haproxy's proxy-protocol.txt).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::probe::{PROXY_V1, PROXY_V2};

/// The longest header of version 1, line end included.
const MAX_V1: usize = 107;

/// The fixed part of a header of version 2.
const V2_FIXED: usize = 16;

/// What [`proxy_header`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// A complete header.
    Complete {
        /// Its length in bytes: the protocol that it stands before begins behind it.
        len: usize,
        /// 1 or 2.
        version: u8,
        /// The client that it names; `None` for UNKNOWN, LOCAL and addresses other than IPv4 and IPv6.
        source: Option<SocketAddr>,
    },
    /// The beginning of one.
    NeedMore,
    /// None.
    No,
}

/// Reads a PROXY protocol header at the start of `bytes`.
///
/// A header of version 2 may claim up to 64 KiB; the caller decides how much it waits for.
pub fn proxy_header(bytes: &[u8]) -> ProxyHeader {
    if bytes.starts_with(PROXY_V1) {
        version_1(bytes)
    } else if bytes.starts_with(PROXY_V2) {
        version_2(bytes).unwrap_or(ProxyHeader::NeedMore)
    } else if PROXY_V1.starts_with(bytes) || PROXY_V2.starts_with(bytes) {
        ProxyHeader::NeedMore
    } else {
        ProxyHeader::No
    }
}

fn version_1(bytes: &[u8]) -> ProxyHeader {
    let Some(end) = memchr::memchr(b'\n', bytes.get(..MAX_V1).unwrap_or(bytes)) else {
        return if bytes.len() < MAX_V1 {
            ProxyHeader::NeedMore
        } else {
            ProxyHeader::No
        };
    };
    let line = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default());
    let mut words = line.split_ascii_whitespace().skip(1);
    let source = match (words.next(), words.next(), words.nth(1)) {
        (Some("TCP4" | "TCP6"), Some(address), Some(port)) => address
            .parse::<IpAddr>()
            .ok()
            .zip(port.parse().ok())
            .map(|(ip, port)| SocketAddr::new(ip, port)),
        (Some("UNKNOWN"), ..) => None,
        _ => return ProxyHeader::No,
    };
    ProxyHeader::Complete {
        len: end + 1,
        version: 1,
        source,
    }
}

fn version_2(bytes: &[u8]) -> Option<ProxyHeader> {
    let command = *bytes.get(12)?;
    if command >> 4 != 2 {
        return Some(ProxyHeader::No);
    }
    let family = *bytes.get(13)?;
    let body = usize::from(u16::from_be_bytes([*bytes.get(14)?, *bytes.get(15)?]));
    let addresses = bytes.get(V2_FIXED..V2_FIXED + body)?;
    let source = if command & 0xf == 1 {
        source_v2(family, addresses)
    } else {
        None
    };
    Some(ProxyHeader::Complete {
        len: V2_FIXED + body,
        version: 2,
        source,
    })
}

fn source_v2(family: u8, addresses: &[u8]) -> Option<SocketAddr> {
    let port = |at: usize| {
        let port: [u8; 2] = addresses.get(at..at + 2)?.try_into().ok()?;
        Some(u16::from_be_bytes(port))
    };
    match family >> 4 {
        1 => {
            let ip: [u8; 4] = addresses.get(..4)?.try_into().ok()?;
            Some(SocketAddr::new(Ipv4Addr::from(ip).into(), port(8)?))
        }
        2 => {
            let ip: [u8; 16] = addresses.get(..16)?.try_into().ok()?;
            Some(SocketAddr::new(Ipv6Addr::from(ip).into(), port(32)?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn complete(len: usize, version: u8, source: Option<&str>) -> ProxyHeader {
        ProxyHeader::Complete {
            len,
            version,
            source: source.and_then(|source| source.parse().ok()),
        }
    }

    #[test]
    fn reads_version_1() {
        let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 80\r\nGET /";
        assert_eq!(proxy_header(line), complete(44, 1, Some("192.0.2.7:40000")));
        let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 4 80\r\n";
        assert_eq!(
            proxy_header(line),
            complete(line.len(), 1, Some("[2001:db8::1]:4"))
        );
        assert_eq!(proxy_header(b"PROXY UNKNOWN\r\n"), complete(15, 1, None));
        assert_eq!(proxy_header(b"PROXY what\r\n"), ProxyHeader::No);
        assert_eq!(proxy_header(b"PROXY TCP4 192.0"), ProxyHeader::NeedMore);
        assert_eq!(
            proxy_header(&[b"PROXY ".as_slice(), &[b'x'; 200]].concat()),
            ProxyHeader::No
        );
    }

    #[test]
    fn reads_version_2_however_much_of_it_is_there() {
        let mut header = PROXY_V2.to_vec();
        header.extend([
            0x21, 0x11, 0, 12, 192, 0, 2, 7, 198, 51, 100, 1, 0x9c, 0x40, 0, 80,
        ]);
        for end in 1..header.len() {
            assert_eq!(proxy_header(&header[..end]), ProxyHeader::NeedMore);
        }
        assert_eq!(
            proxy_header(&header),
            complete(28, 2, Some("192.0.2.7:40000"))
        );
        header[12] = 0x20;
        assert_eq!(proxy_header(&header), complete(28, 2, None), "LOCAL");
        header[12] = 0x31;
        assert_eq!(proxy_header(&header), ProxyHeader::No);
    }
}
