//! What an unquoted YAML scalar stands for in a position of free form (`parameters`).
//!
//! The rules are those of the YAML reader most Kitfiles have been read with: integers in any base
//! with underscores, YAML 1.1 octals, floats, RFC 3339 times; `yes`, `no`, `on`, `off` are texts.

use std::borrow::Cow;

use super::Value;

/// Returns the value of an unquoted YAML scalar, or why it has none.
pub(super) fn plain(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => {
            return Err(format!("`{text}` cannot be kept: JSON has no such number"));
        }
        _ => {}
    }
    let as_text = || Ok(Value::Text(text.to_owned()));
    match text.as_bytes()[0] {
        b'.' if !text.contains('_') || underscores_separate_digits(text) => {
            float(&without_underscores(text)).map_or_else(as_text, Ok)
        }
        b'+' | b'-' | b'0'..=b'9' => {
            if let Some(time) = timestamp(text) {
                return Ok(Value::Text(time));
            }
            let digits = without_underscores(text);
            if let Some(number) = integer(&digits) {
                return Ok(Value::Integer(number));
            }
            number(&digits)?.map_or_else(as_text, Ok)
        }
        _ => as_text(),
    }
}

/// Returns the value of an unquoted JSON token.
pub(super) fn token(text: &str) -> Result<Value, String> {
    match text {
        "null" => Ok(Value::Null),
        "true" => Ok(Value::Bool(true)),
        "false" => Ok(Value::Bool(false)),
        "-0" => Ok(Value::Float(-0.0)),
        _ => number(text)?.ok_or_else(|| format!("`{text}` is not a number that can be kept")),
    }
}

/// Returns the value of a decimal number; `None` if it is not one or too large for a float.
///
/// Whole numbers are exact. Other tools make a float of one beyond 64 bits, which loses digits:
/// the float is taken only where it says the same.
fn number(text: &str) -> Result<Option<Value>, String> {
    if text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-'))
    {
        let shown = || text.parse::<f64>().ok().map(|float| format!("{float}"));
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", text.strip_prefix('+').unwrap_or(text)),
        };
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() || digits.contains(['+', '-']) {
            return Ok(float(text));
        }
        let exact = format!("{sign}{digits}");
        if digits.len() > 21 && digits.len() <= 309 && shown().as_ref() == Some(&exact) {
            return Ok(float(text));
        }
        return match exact.parse() {
            Ok(integer) => Ok(Some(Value::Integer(integer))),
            Err(_) => Err(format!(
                "a whole number of {} digits cannot be kept exactly: put it in quotes",
                digits.len()
            )),
        };
    }
    Ok(float(text))
}

fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let well_formed = digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| {
            let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent)
        });
    if !well_formed {
        return None;
    }
    Value::from_float(text.parse().ok()?)
}

/// Reads an integer of up to 64 bits in the base its prefix tells.
fn integer(text: &str) -> Option<i128> {
    let (negative, unsigned) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let prefix = unsigned.get(..2).unwrap_or("");
    let (base, digits) = match prefix {
        "0x" | "0X" => (16, &unsigned[2..]),
        "0b" | "0B" => (2, &unsigned[2..]),
        "0o" | "0O" => (8, &unsigned[2..]),
        _ if unsigned.len() > 1 && unsigned.starts_with('0') => (8, &unsigned[1..]),
        _ => (10, unsigned),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, base).ok()?;
    let value = if negative { -magnitude } else { magnitude };
    // An explicit sign, even `+`, means a signed number.
    let fits = i64::try_from(value).is_ok()
        || (unsigned.len() == text.len() && u64::try_from(value).is_ok());
    fits.then_some(value)
}

fn without_underscores(text: &str) -> Cow<'_, str> {
    if text.contains('_') {
        Cow::Owned(text.replace('_', ""))
    } else {
        Cow::Borrowed(text)
    }
}

fn underscores_separate_digits(text: &str) -> bool {
    let digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    text.match_indices('_')
        .all(|(at, _)| at > 0 && digit(at - 1) && digit(at + 1))
}

/// Returns the RFC 3339 form of a date or time; `None` if `text` is none.
fn timestamp(text: &str) -> Option<String> {
    let mut rest = text;
    let year = digits(&mut rest, 4, 4)?;
    take(&mut rest, "-")?;
    let month = digits(&mut rest, 1, 2)?;
    take(&mut rest, "-")?;
    let day = digits(&mut rest, 1, 2)?;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    if rest.is_empty() {
        return Some(format!("{date}T00:00:00Z"));
    }
    let has_zone = !rest.starts_with(' ');
    rest = rest.strip_prefix(['T', 't', ' '])?;
    let hour = digits(&mut rest, 1, 2)?;
    take(&mut rest, ":")?;
    let minute = digits(&mut rest, 1, 2)?;
    take(&mut rest, ":")?;
    let second = digits(&mut rest, 1, 2)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix(['.', ',']) {
        let length = after.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return None;
        }
        fraction = after[..length.min(9)].trim_end_matches('0');
        rest = &after[length..];
    }
    let dot = if fraction.is_empty() { "" } else { "." };
    let zone = if has_zone {
        zone(&mut rest)?
    } else {
        "Z".to_owned()
    };
    rest.is_empty()
        .then(|| format!("{date}T{hour:02}:{minute:02}:{second:02}{dot}{fraction}{zone}"))
}

fn zone(rest: &mut &str) -> Option<String> {
    if take(rest, "Z").is_some() {
        return Some("Z".to_owned());
    }
    let sign = rest
        .chars()
        .next()
        .filter(|sign| matches!(sign, '+' | '-'))?;
    *rest = &rest[1..];
    let hours = digits(rest, 2, 2)?;
    take(rest, ":")?;
    let minutes = digits(rest, 2, 2)?;
    match (hours, minutes) {
        (0, 0) => Some("Z".to_owned()),
        (0..=23, 0..=59) => Some(format!("{sign}{hours:02}:{minutes:02}")),
        _ => None,
    }
}

fn digits(rest: &mut &str, least: usize, most: usize) -> Option<u32> {
    let length = rest
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    let value = rest
        .get(..length)
        .filter(|_| length >= least)?
        .parse()
        .ok()?;
    *rest = &rest[length..];
    Some(value)
}

fn take(rest: &mut &str, expected: &str) -> Option<()> {
    *rest = rest.strip_prefix(expected)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // hazard: 130
    #[test]
    fn integers_are_read_in_every_base() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("+7", 7),
            ("0xFF", 255),
            ("-0x10", -16),
            ("0b1_01", 5),
            ("0o17", 15),
            ("0755", 493),
            ("1_000_000", 1_000_000),
            ("9223372036854775808", 1 << 63),
            ("18446744073709551615", (1 << 64) - 1),
            ("18446744073709551616", 1 << 64),
            ("-9223372036854775809", -(1 << 63) - 1),
            ("36893488147419103232", 1 << 65),
            ("08", 8),
            ("1e3", 1000),
            ("1.2e+3", 1200),
            ("5.", 5),
            ("100000000000000000000", 100_000_000_000_000_000_000),
        ] {
            assert_eq!(plain(text), Ok(Value::Integer(value)), "{text}");
        }
    }

    // hazard: 130
    #[test]
    fn floats_and_texts_are_told_apart() {
        for (text, value) in [
            ("2.50", 2.5),
            (".5", 0.5),
            ("-.5e-3", -0.0005),
            ("1_0.2_5", 10.25),
            ("1e21", 1e21),
            ("1000000000000000000000000", 1e24),
            ("-0.0", -0.0),
        ] {
            assert_eq!(plain(text), Ok(Value::Float(value)), "{text}");
        }
        for text in [
            "yes",
            "No",
            "on",
            "off",
            "y",
            "n",
            "nUll",
            "tRue",
            "1.2.3",
            "0x",
            "0xG",
            "1e999",
            "+",
            "-",
            ".",
            "._5",
            "12:30:45",
            "2001-02-30",
            "2001-13-01",
            "0xFFFFFFFFFFFFFFFFFF",
            "1-2",
            "e5",
            "é",
        ] {
            assert_eq!(plain(text), Ok(Value::Text(text.to_owned())), "{text}");
        }
    }

    // hazard: 130
    #[test]
    fn times_become_rfc_3339() {
        for (text, time) in [
            ("2001-01-01", "2001-01-01T00:00:00Z"),
            ("2001-1-2", "2001-01-02T00:00:00Z"),
            ("2024-02-29t1:2:3Z", "2024-02-29T01:02:03Z"),
            (
                "2001-12-14T21:59:43.10-05:00",
                "2001-12-14T21:59:43.1-05:00",
            ),
            ("2001-12-14T21:59:43+00:00", "2001-12-14T21:59:43Z"),
            ("2001-12-14 21:59:43.000", "2001-12-14T21:59:43Z"),
        ] {
            assert_eq!(plain(text), Ok(Value::Text(time.to_owned())), "{text}");
        }
    }

    // hazard: 130
    #[test]
    fn what_json_cannot_hold_is_refused() {
        for text in [".inf", "-.INF", ".NaN"] {
            assert!(plain(text).is_err(), "{text}");
        }
        let long = format!("{}1", "9".repeat(40));
        assert!(plain(&long).is_err());
        assert!(token(&long).is_err());
    }
}
