//! Which connections are looked at, by the innermost addresses and ports, so also within VLANs and tunnels; and which handshakes
//! are told, by what they ask for.

use std::net::IpAddr;
use std::str::FromStr;

use crate::decode::{Endpoint, Segment};
use crate::hop::Handshake;

/// Which connections are looked at, and which handshakes are told. Empty lists select all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only connections to these ports.
    pub ports: Vec<u16>,
    /// Only connections with an end in one of these networks.
    pub hosts: Vec<Network>,
    /// Only handshakes that ask for a URL with one of these texts in it.
    pub urls: Vec<String>,
}

/// An address, or all addresses with the same beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// IPv4 in its mapped form, as endpoints have it.
    first: u128,
    /// The bits that count.
    mask: u128,
}

impl Selection {
    /// Whether a segment belongs to a connection that is looked at.
    #[inline]
    pub(super) fn wants(&self, segment: &Segment<'_>) -> bool {
        if self.ports.is_empty() && self.hosts.is_empty() {
            return true;
        }
        let ends = [segment.source(), segment.destination()];
        (self.ports.is_empty() || ends.iter().any(|end| self.ports.contains(&end.port())))
            && (self.hosts.is_empty()
                || ends
                    .iter()
                    .any(|end| self.hosts.iter().any(|host| host.has(*end))))
    }

    /// Whether a handshake is told: on some hop one of the texts is in what it asks for, `Host` and request target as they were
    /// sent (RFC 9110 7.1), whatever the case of ASCII letters. So is one whose TLS in front names the host. Of one
    /// whose requests were not captured nobody can tell: it is not.
    pub(super) fn tells(&self, handshake: &Handshake) -> bool {
        if self.urls.is_empty() {
            return true;
        }
        let hops = handshake.hops.iter().filter_map(|hop| {
            let request = hop.exchange().request.as_ref()?;
            let host = request.fields.first("host").unwrap_or_default();
            Some([&*host, request.target()].concat())
        });
        let front = handshake.front.as_ref();
        let name = front.and_then(|front| front.record.tls.as_ref()?.sni.as_deref());
        hops.chain(name.map(str::to_owned)).any(|mut url| {
            url.make_ascii_lowercase();
            let has = |text: &String| url.contains(&text.to_ascii_lowercase());
            self.urls.iter().any(has)
        })
    }
}

impl Network {
    fn has(self, end: Endpoint) -> bool {
        u128::from_be_bytes(end.octets()) & self.mask == self.first
    }
}

/// Reads `192.0.2.1`, `10.0.0.0/8`, `2001:db8::1` or `2001:db8::/32`.
///
/// ```
/// use hop101::engine::Network;
///
/// assert!("10.20.0.0/16".parse::<Network>().is_ok());
/// assert!("backend.example".parse::<Network>().is_err());
/// ```
impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no address: give one such as 192.0.2.1, or a network such as 10.0.0.0/8"
            )
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .map_err(|_| wrong())?;
        let (octets, before) = match address {
            IpAddr::V4(v4) => (v4.to_ipv6_mapped().octets(), 96),
            IpAddr::V6(v6) => (v6.octets(), 0),
        };
        let bits = before + bits.unwrap_or(128 - before);
        if bits > 128 {
            return Err(wrong());
        }
        let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        Ok(Self {
            first: u128::from_be_bytes(octets) & mask,
            mask,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn addresses_and_networks_of_both_families() {
        let has = |network: &str, end: Endpoint| network.parse::<Network>().unwrap().has(end);
        let v4 = |text: &str| Endpoint::v4(text.parse::<Ipv4Addr>().unwrap().octets(), 80);
        let v6 = |text: &str| Endpoint::v6(text.parse::<Ipv6Addr>().unwrap().octets(), 80);
        assert!(has("192.0.2.1", v4("192.0.2.1")));
        assert!(!has("192.0.2.1", v4("192.0.2.2")));
        assert!(has("10.20.0.0/16", v4("10.20.255.1")));
        assert!(has("10.20.3.4/16", v4("10.20.255.1")));
        assert!(!has("10.20.0.0/16", v4("10.21.0.0")));
        assert!(has("0.0.0.0/0", v4("10.21.0.0")));
        assert!(!has("0.0.0.0/0", v6("2001:db8::1")));
        assert!(has("::/0", v6("2001:db8::1")));
        assert!(has("[2001:db8::1]", v6("2001:db8::1")));
        assert!(!has("2001:db8::/64", v6("2001:db8:0:1::")));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "backend",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.1/",
            "10.0.0.1:80",
            "1/8",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
