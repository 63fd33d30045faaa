//! Sequence numbers that wrap (RFC 9293 3.4).

/// A TCP sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNo(pub u32);

impl SeqNo {
    /// The number `bytes` later.
    #[must_use]
    pub const fn plus(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// Signed distance from `other` to `self`: positive when `self` is later, on the shorter way round.
    pub const fn distance(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_goes_the_shorter_way_round() {
        assert_eq!(SeqNo(5).distance(SeqNo(u32::MAX)), 6);
        assert_eq!(SeqNo(u32::MAX).distance(SeqNo(5)), -6);
        assert_eq!(SeqNo(u32::MAX).plus(6), SeqNo(5));
    }
}
