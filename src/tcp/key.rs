//! The direction-free key of a connection in the table.

use std::hash::{Hash, Hasher};

use super::embryo::SmallKey;
use crate::decode::Endpoint;

/// One of the two ends of a connection, by the order of their addresses and ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The lower address and port.
    Low,
    /// The higher one.
    High,
}

/// The two ends in a fixed order, so that both directions have one key. 36 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    low: Endpoint,
    high: Endpoint,
}

impl Key {
    /// The key of a segment, and which of its ends sent it.
    pub(super) fn new(source: Endpoint, destination: Endpoint) -> (Self, End) {
        let order = |e: Endpoint| (u128::from_be_bytes(e.octets()), e.port());
        if order(source) <= order(destination) {
            let key = Self {
                low: source,
                high: destination,
            };
            (key, End::Low)
        } else {
            let key = Self {
                low: destination,
                high: source,
            };
            (key, End::High)
        }
    }

    /// The address and port of an end.
    pub(super) const fn endpoint(&self, end: End) -> Endpoint {
        match end {
            End::Low => self.low,
            End::High => self.high,
        }
    }
}

impl Key {
    /// The key in twelve bytes, if both ends are IPv4.
    pub(super) fn small(&self) -> Option<SmallKey> {
        let v4 = |endpoint: Endpoint| match endpoint.octets() {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] => Some([a, b, c, d]),
            _ => None,
        };
        let ports = [self.low.port(), self.high.port()];
        Some(SmallKey::V4(v4(self.low)?, v4(self.high)?, ports))
    }
}

impl End {
    /// The end across.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

impl Hash for Key {
    /// Whole words: hashing runs once per segment.
    fn hash<H: Hasher>(&self, state: &mut H) {
        for end in [self.low, self.high] {
            state.write_u128(u128::from_ne_bytes(end.octets()));
        }
        state.write_u32(u32::from(self.low.port()) << 16 | u32::from(self.high.port()));
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
}
