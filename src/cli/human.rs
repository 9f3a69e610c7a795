//! Numbers as people read them.

use std::time::Duration;

use crate::digest::Digest;

/// Returns the beginning of a digest, where the whole one would not fit. It tells kits apart, and
/// is not taken in place of one.
pub(crate) fn short(digest: &Digest) -> String {
    let mut hex = digest.hex();
    hex.truncate(10);
    hex
}

/// Returns a size in the largest unit that keeps it at or above one, rounded down to one decimal:
/// what is shown as `1.0 MiB` is never less than that.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let exponent = (count.ilog2() / 10).min(5);
    let tenths = (u128::from(count) * 10) >> (10 * exponent);
    let unit = UNITS[exponent as usize - 1];
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// Returns a number with its thousands apart: `12,345`.
pub(crate) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a large number in thousands, millions and so on, rounded down to two decimals: `8.03 B`.
pub(crate) fn large(count: u64) -> String {
    const NAMES: [(u64, &str); 3] = [
        (1_000_000_000_000, "T"),
        (1_000_000_000, "B"),
        (1_000_000, "M"),
    ];
    match NAMES.iter().find(|(unit, _)| count >= *unit) {
        None => number(count),
        Some((unit, name)) => {
            let hundredths = count / (unit / 100);
            format!(
                "{}.{:02} {name}",
                number(hundredths / 100),
                hundredths % 100
            )
        }
    }
}

/// Returns a number and what it counts: `1 file`, `2,000 files`, `3 entries`.
pub(crate) fn count(count: u64, noun: &str) -> String {
    let number = number(count);
    if count == 1 {
        return format!("1 {noun}");
    }
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{number} {stem}ies"),
        _ => format!("{number} {noun}s"),
    }
}

/// Returns a length of time by its two largest units: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{seconds}.{} s", time.subsec_millis() / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", number(seconds / 3600), seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_rounded_down_to_two_decimals() {
        for (count, text) in [
            (0, "0"),
            (999_999, "999,999"),
            (1_000_000, "1.00 M"),
            (8_030_261_248, "8.03 B"),
            (999_999_999, "999.99 M"),
            (1_005_000_000_000, "1.00 T"),
            (u64::MAX, "18,446,744.07 T"),
        ] {
            assert_eq!(large(count), text);
        }
    }

    #[test]
    fn sizes_are_rounded_down_to_one_decimal() {
        for (count, shown) in [
            (0, "0 B"),
            (500, "500 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (2560, "2.5 KiB"),
            (1024 * 1024 - 1, "1023.9 KiB"),
            (1024 * 1024, "1.0 MiB"),
            (1 << 30, "1.0 GiB"),
            ((1 << 30) + (1 << 30) / 10, "1.0 GiB"),
            (1 << 40, "1.0 TiB"),
            (1 << 60, "1024.0 PiB"),
            (u64::MAX, "16383.9 PiB"),
        ] {
            assert_eq!(bytes(count), shown);
        }
    }

    #[test]
    fn counts_have_plurals_and_thousands() {
        for (n, noun, shown) in [
            (0, "file", "0 files"),
            (1, "file", "1 file"),
            (2, "entry", "2 entries"),
            (2, "key", "2 keys"),
            (999, "layer", "999 layers"),
            (1000, "layer", "1,000 layers"),
            (1_234_567, "blob", "1,234,567 blobs"),
        ] {
            assert_eq!(count(n, noun), shown);
        }
    }

    #[test]
    fn times_have_two_units_at_most() {
        for (milliseconds, shown) in [
            (0, "0.0 s"),
            (490, "0.4 s"),
            (9_999, "9.9 s"),
            (59_999, "59 s"),
            (185_000, "3 min 05 s"),
            (7_800_000, "2 h 10 min"),
        ] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), shown);
        }
    }
}
