//! One end of a connection, small enough to be copied and hashed per packet.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// An IP address and a TCP port, in words that stay in registers. IPv4 is kept in its IPv4-mapped form
/// (RFC 4291 2.5.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address as a number, its upper and its lower half.
    address: [u64; 2],
    port: u16,
}

/// What stands before an IPv4 address in the lower half of its mapped form.
const MAPPED: u64 = 0xffff << 32;

impl Endpoint {
    /// The endpoint at an IPv4 address given as its four octets.
    #[inline]
    pub const fn v4(address: [u8; 4], port: u16) -> Self {
        let address = [0, MAPPED | u32::from_be_bytes(address) as u64];
        Self { address, port }
    }

    /// The endpoint at an IPv6 address given as its sixteen octets.
    #[inline]
    pub const fn v6(address: [u8; 16], port: u16) -> Self {
        let address = u128::from_be_bytes(address);
        let address = [(address >> 64) as u64, address as u64];
        Self { address, port }
    }

    /// The one with this address, in the words of [`Self::words`].
    #[inline]
    pub(crate) const fn of_words(address: [u64; 2], port: u16) -> Self {
        Self { address, port }
    }

    /// The address.
    pub fn ip(self) -> IpAddr {
        Ipv6Addr::from(self.octets()).to_canonical()
    }

    /// The address as sixteen octets, IPv4 in its mapped form.
    pub const fn octets(self) -> [u8; 16] {
        let [high, low] = self.address;
        ((high as u128) << 64 | low as u128).to_be_bytes()
    }

    /// The address as a number, its upper and its lower half.
    #[inline]
    pub(crate) const fn words(self) -> [u64; 2] {
        self.address
    }

    /// The address if it is IPv4.
    #[inline]
    pub(crate) const fn octets_v4(self) -> Option<[u8; 4]> {
        let [high, low] = self.address;
        if high == 0 && low >> 32 == MAPPED >> 32 {
            Some((low as u32).to_be_bytes())
        } else {
            None
        }
    }

    /// Whether both have the same address, whatever their ports.
    #[inline]
    pub fn is_at(self, other: Self) -> bool {
        self.address == other.address
    }

    /// The same address with another port.
    #[must_use]
    pub const fn with_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// The port.
    pub const fn port(self) -> u16 {
        self.port
    }
}

/// `192.0.2.1:80` or `[2001:db8::1]:80`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            IpAddr::V4(ip) => write!(f, "{ip}:{}", self.port),
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_both_families_as_urls_do() {
        assert_eq!(Endpoint::v4([192, 0, 2, 1], 80).to_string(), "192.0.2.1:80");
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        assert_eq!(
            Endpoint::v6(v6.octets(), 443).to_string(),
            "[2001:db8::1]:443"
        );
    }
}
