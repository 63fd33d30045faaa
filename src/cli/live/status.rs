//! The numbers of the status line.

use std::time::Instant;

/// A number in at most five characters.
pub(super) fn short(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..10_000_000 => format!("{}k", number / 1000),
        10_000_000..10_000_000_000 => format!("{}M", number / 1_000_000),
        _ => format!("{}G", number / 1_000_000_000),
    }
}

/// Packets per second, over the last second or so.
pub(super) struct Rate {
    at: Instant,
    frames: u64,
    pub(super) per_second: u64,
}

impl Rate {
    pub(super) const fn new(at: Instant) -> Self {
        Self {
            at,
            frames: 0,
            per_second: 0,
        }
    }

    pub(super) fn update(&mut self, frames: u64, now: Instant) {
        let passed = now.duration_since(self.at).as_secs_f64();
        if passed >= 1.0 {
            #[allow(clippy::cast_sign_loss, reason = "neither is negative")]
            let per_second = (frames.saturating_sub(self.frames) as f64 / passed) as u64;
            *self = Self {
                at: now,
                frames,
                per_second,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, said) in [
            (0, "0"),
            (9999, "9999"),
            (10_000, "10k"),
            (9_999_999, "9999k"),
            (12_345_678, "12M"),
            (u64::from(u32::MAX) * 10, "42G"),
        ] {
            assert_eq!(short(number), said);
        }
    }
}
