//! JSON as Go's `encoding/json` writes it.
//!
//! Digests of configs and manifests must equal those of tools written in Go, so their bytes must:
//! no white space, `<`, `>`, `&`, U+2028 and U+2029 escaped, numbers as Go prints them.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

pub use super::strict::check_keys;

/// Writes `value` as compact JSON without a final newline.
///
/// Keys keep the order in which `value` gives them. A number that is not finite becomes `null`.
///
/// # Panics
///
/// If a map in `value` has keys that are neither text nor numbers, which no caller may do.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1024);
    value
        .serialize(&mut Serializer::with_formatter(&mut bytes, GoFormatter))
        .expect("documents have text keys, and memory takes all bytes");
    bytes
}

/// Differs from the compact formatter where Go does.
struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_f32<W: io::Write + ?Sized>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        let magnitude = value.abs();
        let scientific = magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude);
        write_float(writer, value, scientific)
    }

    fn write_f64<W: io::Write + ?Sized>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let magnitude = value.abs();
        let scientific = magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude);
        write_float(writer, value, scientific)
    }

    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, tail) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut characters = tail.chars();
            if let Some(escaped) = characters.next() {
                write!(writer, "\\u{:04x}", u32::from(escaped))?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Writes the shortest digits that read back as `value`. Rust and Go agree on these; Go leaves out
/// the fraction of whole numbers and puts a sign on every exponent.
fn write_float<W: io::Write + ?Sized>(
    writer: &mut W,
    value: impl std::fmt::Display + std::fmt::LowerExp,
    scientific: bool,
) -> io::Result<()> {
    if !scientific {
        return write!(writer, "{value}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => {
            write!(writer, "{digits}e+{exponent}")
        }
        _ => writer.write_all(text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn text<T: Serialize>(value: T) -> String {
        String::from_utf8(to_vec(&value)).unwrap()
    }

    #[test]
    fn strings_are_escaped_as_go_does() {
        for (value, written) in [
            ("x<y&z>", r#""x\u003cy\u0026z\u003e""#),
            ("<", r#""\u003c""#),
            ("a\u{2028}b\u{2029}", r#""a\u2028b\u2029""#),
            ("\"\\/", r#""\"\\/""#),
            ("\n\r\t\u{8}\u{c}", r#""\n\r\t\b\f""#),
            ("\u{0}\u{1f}\u{7f}", "\"\\u0000\\u001f\u{7f}\""),
            ("é 日本 😀", "\"é 日本 😀\""),
        ] {
            assert_eq!(text(value), written);
        }
        assert_eq!(text(json!({"a<b": 1})), r#"{"a\u003cb":1}"#);
    }

    #[test]
    fn numbers_are_printed_as_go_does() {
        for (value, written) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (1200.0, "1200"),
            (2.5, "2.5"),
            (0.1, "0.1"),
            (-1.5e-6, "-0.0000015"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.25e-9, "1.25e-9"),
            (1e-10, "1e-10"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1e21, "-1e+21"),
            (1.5e300, "1.5e+300"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (123_456_789.125, "123456789.125"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
        ] {
            assert_eq!(text(value), written);
        }
        assert_eq!(text(0.1f32), "0.1");
        assert_eq!(text(1e21f32), "1e+21");
        assert_eq!(text(u64::MAX), "18446744073709551615");
        assert_eq!(text(i64::MIN), "-9223372036854775808");
    }

    #[test]
    fn parameters_come_out_as_in_the_reference() {
        let parameters = json!({"b": 255, "a": [1, 2.50, 1.2e+3, true, null, "x<y&z"]});
        let expected = r#"{"a":[1,2.5,1200,true,null,"x\u003cy\u0026z"],"b":255}"#;
        assert_eq!(text(parameters), expected);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(string in any::<String>(), number in any::<f64>()) {
            prop_assert_eq!(
                serde_json::from_str::<String>(&text(&string)).unwrap(),
                string
            );
            if number.is_finite() {
                let read: f64 = text(number).parse().unwrap();
                prop_assert_eq!(read.to_bits(), number.to_bits());
            }
        }

        #[test]
        fn html_never_stands_in_the_output(string in "[<>&a\u{2028}\u{2029}\"]{0,20}") {
            let written = text(Value::String(string));
            let html = ['<', '>', '&', '\u{2028}', '\u{2029}'];
            prop_assert!(!written.contains(html));
        }
    }
}
