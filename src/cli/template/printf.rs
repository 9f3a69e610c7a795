//! `printf` as Go has it.

use serde_json::Value;

use super::functions::display;

/// How one value of `printf` is set.
#[derive(Default)]
struct Spec {
    left: bool,
    zero: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
}

/// Formats as Go's `printf`, for `%s %v %d %q %x %X %t %f %%` with `-`, `0`, `+`, width and
/// precision. What does not fit is shown the way Go shows it, as `%!d(string=x)`.
pub(super) fn printf(format: &str, values: &[Value]) -> String {
    let mut text = String::new();
    let mut values = values.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| "-0+ #".contains(*c)) {
            match flag {
                '-' => spec.left = true,
                '0' => spec.zero = true,
                '+' => spec.plus = true,
                _ => {}
            }
        }
        spec.width = digits(&mut chars).unwrap_or(0);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(digits(&mut chars).unwrap_or(0));
        }
        match chars.next() {
            None => text.push_str("%!(NOVERB)"),
            Some('%') => text.push('%'),
            Some(verb) => {
                if let Some(value) = values.next() {
                    text.push_str(&pad(formatted(verb, value, &spec), &spec, value));
                } else {
                    text.extend(["%!", verb.encode_utf8(&mut [0; 4]), "(MISSING)"]);
                }
            }
        }
    }
    let extra: Vec<String> = values
        .map(|value| format!("{}={}", go_type(value), display(value)))
        .collect();
    if !extra.is_empty() {
        text.extend(["%!(EXTRA ", &extra.join(", "), ")"]);
    }
    text
}

/// Reads a number, at most a thousand: a width is for people.
fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut number = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        number = Some((number.unwrap_or(0) * 10 + digit as usize).min(1000));
    }
    number
}

fn formatted(verb: char, value: &Value, spec: &Spec) -> String {
    let cut = |text: &str| match spec.precision {
        Some(most) => text.chars().take(most).collect(),
        None => text.to_owned(),
    };
    match (verb, value) {
        ('s' | 'v', Value::String(text)) => cut(text),
        ('q', Value::String(text)) => format!("{text:?}"),
        ('x', Value::String(text)) => hex(text),
        ('X', Value::String(text)) => hex(text).to_uppercase(),
        ('t', Value::Bool(value)) => value.to_string(),
        ('d', Value::Number(number)) if !number.is_f64() => {
            let sign = if spec.plus && !number.to_string().starts_with('-') {
                "+"
            } else {
                ""
            };
            format!("{sign}{number}")
        }
        ('x', Value::Number(number)) if number.is_u64() => {
            format!("{:x}", number.as_u64().unwrap_or_default())
        }
        ('X', Value::Number(number)) if number.is_u64() => {
            format!("{:X}", number.as_u64().unwrap_or_default())
        }
        ('f', Value::Number(number)) if number.is_f64() => {
            let number = number.as_f64().unwrap_or_default();
            format!("{number:.*}", spec.precision.unwrap_or(6))
        }
        ('v', _) => display(value),
        // A list is set item by item.
        (_, Value::Array(items)) => {
            let items: Vec<String> = items
                .iter()
                .map(|item| formatted(verb, item, spec))
                .collect();
            format!("[{}]", items.join(" "))
        }
        _ => format!("%!{verb}({}={})", go_type(value), display(value)),
    }
}

fn hex(text: &str) -> String {
    let digit = |nibble| char::from_digit(nibble, 16).expect("a nibble is below 16");
    text.bytes()
        .flat_map(|byte| [digit(u32::from(byte >> 4)), digit(u32::from(byte & 15))])
        .collect()
}

fn pad(text: String, spec: &Spec, value: &Value) -> String {
    let missing = spec.width.saturating_sub(text.chars().count());
    if missing == 0 {
        text
    } else if spec.left {
        text + &" ".repeat(missing)
    } else if spec.zero && value.is_number() {
        let (sign, digits) = match text.strip_prefix(['-', '+']) {
            Some(digits) => (&text[..1], digits),
            None => ("", text.as_str()),
        };
        format!("{sign}{}{digits}", "0".repeat(missing))
    } else {
        " ".repeat(missing) + &text
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
