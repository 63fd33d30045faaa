//! Numbers, sizes, durations and times as people say them.
//!
//! The same number reads the same everywhere: grouping, units and plurals need no locale.

use crate::capture::Timestamp;

/// `1 handshake`, `2 handshakes`.
pub(in crate::report) fn count(number: u64, one: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else if let Some(stem) = one.strip_suffix('y') {
        format!("{} {stem}ies", thousands(number))
    } else {
        format!("{} {one}s", thousands(number))
    }
}

/// `1 234 567` with thin grouping that needs no locale.
pub(in crate::report) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `512 bytes`, `7.8 kB`, `1.2 GB`.
pub(in crate::report) fn bytes(number: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1_000, "kB"),
    ];
    for (size, unit) in UNITS {
        if number >= size {
            return format!("{:.1} {unit}", number as f64 / size as f64);
        }
    }
    count(number, "byte")
}

/// A duration as people say it: `0.41 ms`, `412 ms`, `7.00 s`, `2 min 5 s`.
pub(in crate::report) fn duration(nanos: i64) -> String {
    let ms = nanos as f64 / 1e6;
    let size = ms.abs();
    if size < 9.995 {
        format!("{ms:.2} ms")
    } else if size < 99.95 {
        format!("{ms:.1} ms")
    } else if size < 999.5 {
        format!("{ms:.0} ms")
    } else if size < 99_995.0 {
        format!("{:.2} s", ms / 1e3)
    } else {
        let seconds = nanos.unsigned_abs().saturating_add(500_000_000) / 1_000_000_000;
        let sign = if ms < 0.0 { "-" } else { "" };
        match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
            (0, minutes, seconds) => format!("{sign}{minutes} min {seconds} s"),
            (hours, minutes, _) => format!("{sign}{hours} h {minutes} min"),
        }
    }
}

/// The same from milliseconds.
pub(in crate::report) fn duration_ms(ms: f64) -> String {
    duration((ms * 1e6) as i64)
}

/// A time in UTC to the millisecond, `2026-11-20 23:17:00.123 UTC`.
pub(in crate::report) fn time(at: Timestamp) -> String {
    let text = at.to_string();
    match (text.get(..10), text.get(11..23)) {
        (Some(day), Some(clock)) => format!("{day} {clock} UTC"),
        _ => text,
    }
}

/// A text of at most so many characters.
pub(in crate::report) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars()
        .take(most.saturating_sub(1))
        .chain(['…'])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well_at_every_size() {
        let of = |nanos: i64| duration(nanos);
        assert_eq!(of(0), "0.00 ms");
        assert_eq!(of(412_345), "0.41 ms");
        assert_eq!(of(12_345_678), "12.3 ms");
        assert_eq!(of(412_345_678), "412 ms");
        assert_eq!(of(7_000_400_000), "7.00 s");
        assert_eq!(of(60_000_000_000), "60.00 s");
        assert_eq!(of(125_000_000_000), "2 min 5 s");
        assert_eq!(of(7_260_000_000_000), "2 h 1 min");
        assert_eq!(of(-2_000_000), "-2.00 ms");
    }

    #[test]
    fn numbers_are_grouped_and_plural() {
        assert_eq!(count(1, "frame"), "1 frame");
        assert_eq!(count(1_234_567, "frame"), "1,234,567 frames");
        assert_eq!(count(2, "retry"), "2 retries");
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(7984), "8.0 kB");
    }
}
