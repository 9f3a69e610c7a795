//! What a template can call, and how values are printed.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::printf::printf;

/// A function that a template can call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    And,
    Eq,
    Ge,
    Gt,
    Index,
    Join,
    Json,
    Le,
    Len,
    Lower,
    Lt,
    Ne,
    Not,
    Or,
    Print,
    Printf,
    Println,
    Upper,
}

impl Function {
    /// Returns the function a template calls `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "and" => Self::And,
            "eq" => Self::Eq,
            "ge" => Self::Ge,
            "gt" => Self::Gt,
            "index" => Self::Index,
            "join" => Self::Join,
            "json" => Self::Json,
            "le" => Self::Le,
            "len" => Self::Len,
            "lower" => Self::Lower,
            "lt" => Self::Lt,
            "ne" => Self::Ne,
            "not" => Self::Not,
            "or" => Self::Or,
            "print" => Self::Print,
            "printf" => Self::Printf,
            "println" => Self::Println,
            "upper" => Self::Upper,
            _ => return None,
        })
    }
}

/// Calls a function.
pub(super) fn call(function: Function, arguments: Vec<Value>) -> Result<Value, String> {
    use Function as F;
    Ok(match function {
        // All arguments but the last were looked at before; the last is the answer.
        F::And | F::Or => arguments
            .into_iter()
            .next_back()
            .ok_or("arguments are missing")?,
        F::Not => (!is_true(&one(arguments)?)).into(),
        F::Eq => {
            let (first, others) = arguments.split_first().ok_or("`eq` needs two arguments")?;
            if others.is_empty() {
                return Err("`eq` needs two arguments".to_owned());
            }
            let mut equal = false;
            for other in others {
                equal |= same(first, other)?;
            }
            equal.into()
        }
        F::Ne => {
            let [a, b] = two(arguments)?;
            (!same(&a, &b)?).into()
        }
        F::Lt => ordered(arguments, Ordering::is_lt)?,
        F::Le => ordered(arguments, Ordering::is_le)?,
        F::Gt => ordered(arguments, Ordering::is_gt)?,
        F::Ge => ordered(arguments, Ordering::is_ge)?,
        F::Len => len(&one(arguments)?)?.into(),
        F::Index => index(arguments)?,
        F::Join => join(arguments)?.into(),
        F::Json => one(arguments)?.to_string().into(),
        F::Lower => string(&one(arguments)?)?.to_lowercase().into(),
        F::Upper => string(&one(arguments)?)?.to_uppercase().into(),
        F::Print => spaced(&arguments, |a, b| !a.is_string() && !b.is_string()).into(),
        F::Println => (spaced(&arguments, |_, _| true) + "\n").into(),
        F::Printf => {
            let (format, values) = arguments.split_first().ok_or("`printf` needs a format")?;
            printf(string(format)?, values).into()
        }
    })
}

fn one(arguments: Vec<Value>) -> Result<Value, String> {
    let [value] = <[Value; 1]>::try_from(arguments)
        .map_err(|all| format!("one argument is needed, there are {}", all.len()))?;
    Ok(value)
}

fn two(arguments: Vec<Value>) -> Result<[Value; 2], String> {
    arguments
        .try_into()
        .map_err(|all: Vec<Value>| format!("two arguments are needed, there are {}", all.len()))
}

fn string(value: &Value) -> Result<&str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("{} is not a text", kind(value)))
}

/// Names the kind of a value in messages.
pub(super) const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Tells whether a value counts as true: it is not zero, not empty, not nothing.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn same(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => {
            Err(format!("cannot compare {} and {}", kind(a), kind(b)))
        }
        (Value::Null, _) | (_, Value::Null) => Ok(a == b),
        _ => Ok(compare(a, b)?.is_eq()),
    }
}

fn ordered(arguments: Vec<Value>, test: fn(Ordering) -> bool) -> Result<Value, String> {
    let [a, b] = two(arguments)?;
    Ok(test(compare(&a, &b)?).into())
}

fn compare(a: &Value, b: &Value) -> Result<Ordering, String> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => Ok(compare_numbers(a, b)),
        _ => Err(format!("cannot compare {} and {}", kind(a), kind(b))),
    }
}

fn compare_numbers(a: &Number, b: &Number) -> Ordering {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a
            .as_f64()
            .partial_cmp(&b.as_f64())
            .unwrap_or(Ordering::Equal), // JSON has no NaN.
    }
}

fn len(value: &Value) -> Result<usize, String> {
    match value {
        Value::String(text) => Ok(text.len()),
        Value::Array(items) => Ok(items.len()),
        Value::Object(map) => Ok(map.len()),
        _ => Err(format!("{} has no length", kind(value))),
    }
}

fn index(arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let mut value = arguments
        .next()
        .ok_or("`index` needs a list or an object")?;
    for key in arguments {
        value = match (&value, &key) {
            (Value::Array(items), Value::Number(number)) => {
                let at = number.as_u64().and_then(|at| usize::try_from(at).ok());
                let item = at.and_then(|at| items.get(at));
                let count = items.len();
                item.ok_or_else(|| format!("index {number} is outside the list of {count}"))?
                    .clone()
            }
            (Value::Object(map), Value::String(key)) => {
                map.get(key).cloned().unwrap_or(Value::Null)
            }
            _ => return Err(format!("cannot index {} by {}", kind(&value), kind(&key))),
        };
    }
    Ok(value)
}

/// Joins a list; the separator may stand before it, where a pipeline puts it.
fn join(arguments: Vec<Value>) -> Result<String, String> {
    match two(arguments)? {
        [Value::Array(items), Value::String(separator)]
        | [Value::String(separator), Value::Array(items)] => Ok(items
            .iter()
            .map(display)
            .collect::<Vec<_>>()
            .join(&separator)),
        [Value::Null, Value::String(_)] | [Value::String(_), Value::Null] => Ok(String::new()),
        _ => Err("`join` needs a list and a text".to_owned()),
    }
}

fn spaced(values: &[Value], blank: impl Fn(&Value, &Value) -> bool) -> String {
    let mut text = String::new();
    for (i, value) in values.iter().enumerate() {
        if i > 0 && blank(&values[i - 1], value) {
            text.push(' ');
        }
        text.push_str(&display(value));
    }
    text
}

/// Returns a value as Go prints it: `[a b]`, `map[k:v]`, `<no value>`.
pub(super) fn display(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(display).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) => {
            let pairs = map
                .iter()
                .map(|(key, value)| format!("{key}:{}", display(value)));
            format!("map[{}]", pairs.collect::<Vec<_>>().join(" "))
        }
    }
}
