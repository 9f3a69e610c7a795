//! Cuts a template into text and actions, and an action into tokens.

use super::Fault;

/// A part of the source.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    /// What stands between the braces, and where it starts.
    Action {
        source: &'a str,
        at: usize,
    },
}

/// Cuts `source` into pieces; comments are gone and blanks trimmed.
pub(super) fn pieces(source: &str) -> Result<Vec<Piece<'_>>, Fault> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut trim_next = false;
    while at < source.len() {
        let open = source[at..].find("{{").map(|found| at + found);
        let mut text = &source[at..open.unwrap_or(source.len())];
        if trim_next {
            text = text.trim_start_matches(is_blank);
        }
        let Some(open) = open else {
            pieces.push(Piece::Text(text));
            break;
        };
        let mut start = open + 2;
        let rest = &source[start..];
        if rest.starts_with('-') && rest[1..].starts_with(is_blank) {
            text = text.trim_end_matches(is_blank);
            start += 1;
        }
        pieces.push(Piece::Text(text));
        let comment = source[start..].trim_start_matches(is_blank);
        let end = if comment.starts_with("/*") {
            let opened = source.len() - comment.len();
            let closed = source[opened..].find("*/");
            let closed = closed.ok_or_else(|| Fault::new(opened, "the comment has no end"))?;
            let after = &source[opened + closed + 2..];
            let tail = after.trim_start_matches(is_blank);
            trim_next = tail.starts_with("-}}") && tail.len() < after.len();
            if !(trim_next || after.starts_with("}}")) {
                return Err(Fault::new(opened, "a comment must end with `*/}}`"));
            }
            source.len() - tail.len() + if trim_next { 3 } else { 2 }
        } else {
            let end = closing(source, start).ok_or_else(|| Fault::new(open, "`{{` has no `}}`"))?;
            let mut inside = &source[start..end];
            trim_next = inside.ends_with('-') && inside[..inside.len() - 1].ends_with(is_blank);
            if trim_next {
                inside = &inside[..inside.len() - 1];
            }
            pieces.push(Piece::Action {
                source: inside,
                at: start,
            });
            end + 2
        };
        at = end;
    }
    Ok(pieces)
}

/// Returns where the `}}` stands that is not in a string.
fn closing(source: &str, start: usize) -> Option<usize> {
    let bytes = source.as_bytes();
    let mut quote = None;
    let mut at = start;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            (None, mark @ (b'"' | b'`' | b'\'')) => quote = Some(mark),
            (Some(b'"' | b'\''), b'\\') => at += 1,
            (Some(mark), byte) if byte == mark => quote = None,
            _ => {}
        }
        at += 1;
    }
    None
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// The smallest part of an action.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// `name`
    Word(String),
    /// `.name`
    Field(String),
    /// `.` alone
    Dot,
    /// `$` alone
    Root,
    Text(String),
    Number(serde_json::Number),
    Pipe,
    Open,
    Close,
}

/// A token, where it stands, and whether a blank stands before it: `(a).b` is not `(a) .b`.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) at: usize,
    pub(super) apart: bool,
}

/// Cuts the inside of an action, which starts at byte `base` of the template, into tokens.
pub(super) fn tokens(source: &str, base: usize) -> Result<Vec<Placed>, Fault> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut apart = true;
    while let Some(first) = rest.chars().next() {
        let at = base + source.len() - rest.len();
        if is_blank(first) {
            rest = &rest[1..];
            apart = true;
            continue;
        }
        let (token, length) = token(rest, first).map_err(|message| Fault::new(at, message))?;
        tokens.push(Placed { token, at, apart });
        rest = &rest[length..];
        apart = false;
    }
    Ok(tokens)
}

/// Returns the token at the start of `rest` and its length.
fn token(rest: &str, first: char) -> Result<(Token, usize), String> {
    let simple = |token| Ok((token, 1));
    match first {
        '|' => simple(Token::Pipe),
        '(' => simple(Token::Open),
        ')' => simple(Token::Close),
        '.' => {
            let name = word(&rest[1..]);
            if name.is_empty() {
                simple(Token::Dot)
            } else {
                Ok((Token::Field(name.to_owned()), 1 + name.len()))
            }
        }
        '$' if word(&rest[1..]).is_empty() => simple(Token::Root),
        '$' => Err("variables are not supported".to_owned()),
        '"' => quoted(rest),
        '`' => match rest[1..].find('`') {
            Some(end) => Ok((Token::Text(rest[1..=end].to_owned()), end + 2)),
            None => Err("the text has no closing `".to_owned()),
        },
        '0'..='9' | '+' | '-' => number(rest),
        _ if first.is_alphabetic() || first == '_' => {
            let name = word(rest);
            Ok((Token::Word(name.to_owned()), name.len()))
        }
        _ => Err(format!("unexpected `{first}`")),
    }
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    &text[..end.unwrap_or(text.len())]
}

fn number(rest: &str) -> Result<(Token, usize), String> {
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-')));
    let digits = &rest[..end.unwrap_or(rest.len())];
    let plain = digits.strip_prefix('+').unwrap_or(digits);
    let number = plain
        .parse::<i64>()
        .map(Into::into)
        .or_else(|_| plain.parse::<u64>().map(Into::into))
        .ok()
        .or_else(|| serde_json::Number::from_f64(plain.parse().ok()?));
    match number {
        Some(number) => Ok((Token::Number(number), digits.len())),
        None => Err(format!("`{digits}` is not a number")),
    }
}

/// Reads a text in double quotes, with the escapes Go has.
fn quoted(rest: &str) -> Result<(Token, usize), String> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Token::Text(text), at + 1)),
            '\n' => break,
            '\\' => {
                let (_, escape) = chars.next().ok_or("the text has no closing \"")?;
                let digits = match escape {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    _ => 0,
                };
                if digits > 0 {
                    let hex: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
                    let c = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
                    text.push(c.ok_or_else(|| format!("`\\{escape}{hex}` is no character"))?);
                    continue;
                }
                text.push(match escape {
                    'a' => '\x07',
                    'b' => '\x08',
                    'f' => '\x0c',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\x0b',
                    '\\' | '"' => escape,
                    _ => return Err(format!("`\\{escape}` is no escape")),
                });
            }
            _ => text.push(c),
        }
    }
    Err("the text has no closing \"".to_owned())
}
