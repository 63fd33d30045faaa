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

/// The two ends in a fixed order, so that both directions have one key. 40 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    low: [u64; 2],
    high: [u64; 2],
    /// Of the lower end, of the higher one.
    ports: [u16; 2],
}

impl Key {
    /// The key of a segment, and which of its ends sent it.
    #[inline]
    pub(super) fn new(source: Endpoint, destination: Endpoint) -> (Self, End) {
        let sender = if source.number() <= destination.number() {
            End::Low
        } else {
            End::High
        };
        (Self::by_sender(sender, &source, &destination), sender)
    }

    /// The key of a segment of which it is known which end sent it.
    #[inline]
    pub(super) fn by_sender(sender: End, source: &Endpoint, destination: &Endpoint) -> Self {
        let (low, high) = match sender {
            End::Low => (source, destination),
            End::High => (destination, source),
        };
        Self {
            low: low.words(),
            high: high.words(),
            ports: [low.port(), high.port()],
        }
    }

    /// The address and port of an end.
    pub(super) const fn endpoint(&self, end: End) -> Endpoint {
        let [low, high] = self.ports;
        match end {
            End::Low => Endpoint::of_words(self.low, low),
            End::High => Endpoint::of_words(self.high, high),
        }
    }

    /// The key in twelve bytes, if both ends are IPv4.
    #[inline]
    pub(super) fn small(&self) -> Option<SmallKey> {
        let low = self.endpoint(End::Low).octets_v4()?;
        let high = self.endpoint(End::High).octets_v4()?;
        Some(SmallKey::V4(low, high, self.ports))
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
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        for [high, low] in [self.low, self.high] {
            state.write_u128(u128::from(high) << 64 | u128::from(low));
        }
        let [low, high] = self.ports;
        state.write_u32(u32::from(low) << 16 | u32::from(high));
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
