//! Who a segment is between, in an order that does not depend on its direction.

use std::hash::{Hash, Hasher};

use super::Endpoint;

/// One of the two ends of a connection, by the order of their addresses and ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The lower address and port.
    Low,
    /// The higher one.
    High,
}

/// The two ends in a fixed order, so that both directions have one key. 40 bytes.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    low: [u64; 2],
    high: [u64; 2],
    /// Of the lower end, of the higher one.
    ports: [u16; 2],
}

impl Key {
    /// The key of a segment, and which of its ends sent it.
    #[inline]
    pub fn new(source: Endpoint, destination: Endpoint) -> (Self, End) {
        let ([a, b], [c, d]) = (source.words(), destination.words());
        // By hand, for the lower halves decide nearly always: those of IPv4 addresses have no other.
        let is_lower = if a != c {
            a < c
        } else if b != d {
            b < d
        } else {
            source.port() <= destination.port()
        };
        let (sender, low, high) = if is_lower {
            (End::Low, source, destination)
        } else {
            (End::High, destination, source)
        };
        let key = Self {
            low: low.words(),
            high: high.words(),
            ports: [low.port(), high.port()],
        };
        (key, sender)
    }

    /// The address and port of an end.
    pub const fn endpoint(&self, end: End) -> Endpoint {
        let [low, high] = self.ports;
        match end {
            End::Low => Endpoint::of_words(self.low, low),
            End::High => Endpoint::of_words(self.high, high),
        }
    }

    /// The addresses, the lower one first, and their ports, if both ends are IPv4.
    #[inline]
    pub(crate) fn octets_v4(&self) -> Option<([u8; 4], [u8; 4], [u16; 2])> {
        let low = self.endpoint(End::Low).octets_v4()?;
        let high = self.endpoint(End::High).octets_v4()?;
        Some((low, high, self.ports))
    }
}

impl End {
    /// The end across.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

impl PartialEq for Key {
    /// All fields at once: this is asked to confirm that they are the same, once per segment.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let differ = |[a, b]: [u64; 2], [c, d]: [u64; 2]| (a ^ c) | (b ^ d);
        let addresses = differ(self.low, other.low) | differ(self.high, other.high);
        let ([a, b], [c, d]) = (self.ports, other.ports);
        addresses | u64::from((a ^ c) | (b ^ d)) == 0
    }
}

impl Eq for Key {}

impl Hash for Key {
    /// Whole words, and as few as there are: hashing runs once per segment.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let word = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
        let ([a, b], [c, d]) = (self.low, self.high);
        let [low, high] = self.ports;
        if a | c == 0 {
            // As of IPv4.
            state.write_u128(word(b, d));
        } else {
            state.write_u128(word(a, b));
            state.write_u128(word(c, d));
        }
        // Another whole word, not the last 32 bits of one that others are to share.
        state.write_u128(u128::from(low) << 16 | u128::from(high));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_have_one_key() {
        let (a, b) = (
            Endpoint::v4([10, 0, 0, 2], 80),
            Endpoint::v4([10, 0, 0, 1], 999),
        );
        let (there, from) = Key::new(a, b);
        let (back, to) = Key::new(b, a);
        assert_eq!(there, back);
        assert_eq!(from, to.other());
        assert_eq!(there.endpoint(from), a);
    }

    #[test]
    fn one_address_is_ordered_by_port() {
        let (a, b) = (
            Endpoint::v4([127, 0, 0, 1], 80),
            Endpoint::v4([127, 0, 0, 1], 40_000),
        );
        assert_eq!(Key::new(a, b).0, Key::new(b, a).0);
        assert_eq!(Key::new(b, a).1, End::High);
    }

    #[test]
    fn every_field_tells_keys_apart() {
        let v6 = |high: u8, low: u8| {
            let mut octets = [0; 16];
            (octets[0], octets[15]) = (high, low);
            octets
        };
        let key = |a: [u8; 16], b: [u8; 16], ports: [u16; 2]| {
            Key::new(Endpoint::v6(a, ports[0]), Endpoint::v6(b, ports[1])).0
        };
        let one = key(v6(1, 2), v6(3, 4), [5, 6]);
        for other in [
            key(v6(2, 2), v6(3, 4), [5, 6]),
            key(v6(1, 1), v6(3, 4), [5, 6]),
            key(v6(1, 2), v6(4, 4), [5, 6]),
            key(v6(1, 2), v6(3, 5), [5, 6]),
            key(v6(1, 2), v6(3, 4), [4, 6]),
            key(v6(1, 2), v6(3, 4), [5, 7]),
            // Differences that might cancel each other out.
            key(v6(1, 3), v6(3, 5), [5, 6]),
            key(v6(1, 2), v6(3, 4), [6, 5]),
        ] {
            assert_ne!(one, other);
        }
        assert_eq!(one, key(v6(3, 4), v6(1, 2), [6, 5]));
    }
}
