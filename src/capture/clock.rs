//! How the interfaces of a pcapng file count time.

use super::Timestamp;

/// How an interface counts time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    pub(super) unit: Unit,
    /// `if_tsoffset` in nanoseconds.
    pub(super) offset: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// A tick is so many nanoseconds.
    Nanos(u64),
    /// A nanosecond is so many ticks.
    PerNano(u64),
    /// A second is two to this power ticks.
    Binary(u32),
}

impl Default for Clock {
    /// Microseconds, unless the interface says otherwise.
    fn default() -> Self {
        Self {
            unit: Unit::Nanos(1_000),
            offset: 0,
        }
    }
}

impl Unit {
    /// From `if_tsresol`: a negative power of ten, or with the high bit set, of two.
    pub(super) fn from_resolution(resolution: u8) -> Self {
        let power = u32::from(resolution & 0x7f);
        if resolution & 0x80 != 0 {
            Self::Binary(power)
        } else if power <= 9 {
            Self::Nanos(10u64.pow(9 - power))
        } else {
            Self::PerNano(10u64.checked_pow(power - 9).unwrap_or(u64::MAX))
        }
    }
}

impl Clock {
    /// The time of a tick count given in halves; saturates.
    #[inline]
    pub(super) fn time(self, high: u32, low: u32) -> Timestamp {
        let ticks = u64::from(high) << 32 | u64::from(low);
        let nanos = match self.unit {
            Unit::Nanos(nanos) => ticks.saturating_mul(nanos),
            Unit::PerNano(ticks_per_nano) => ticks / ticks_per_nano,
            Unit::Binary(power) => {
                // At most 2^64 * 10^9, which 128 bits hold.
                let nanos = (u128::from(ticks) * 1_000_000_000) >> power;
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        };
        let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
        Timestamp::from_nanos(nanos.saturating_add(self.offset))
    }
}
