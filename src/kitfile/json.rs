//! JSON text to a tree: the config of a kit.
//!
//! Numbers keep their text, which a general JSON reader turns into floats beyond 64 bits.

use std::{collections::HashSet, rc::Rc};

use super::{
    Position, Problem,
    tree::{Key, Kind, MAX_DEPTH, Node, Style},
    yaml::too_deep,
};

/// Reads one JSON value and nothing after it.
pub(super) fn read(text: &str) -> Result<Rc<Node>, Problem> {
    // Finds every error of syntax, so that the reader below need not be careful.
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| {
        let position = (error.line() > 0).then(|| Position {
            line: error.line(),
            column: error.column().max(1),
        });
        Problem::at(position, "not JSON")
    })?;
    let mut reader = Reader { text, at: 0 };
    let node = reader.value(1)?;
    reader.space();
    if reader.at == text.len() {
        Ok(node)
    } else {
        Err(reader.unexpected())
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Rc<Node>, Problem> {
        self.space();
        let position = self.position();
        if depth > MAX_DEPTH + 1 {
            return Err(Problem::at(position, too_deep()));
        }
        let kind = match self.peek() {
            Some(b'{') => Kind::Map(self.map(depth)?),
            Some(b'[') => Kind::List(self.list(depth)?),
            Some(b'"') => Kind::Scalar {
                text: self.string()?,
                style: Style::Quoted,
            },
            _ => Kind::Scalar {
                text: self.token()?,
                style: Style::Token,
            },
        };
        Ok(Rc::new(Node::new(kind, position)))
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(Key, Rc<Node>)>, Problem> {
        let mut pairs = Vec::new();
        let mut known = HashSet::new();
        self.at += 1;
        while !self.closes(b'}', pairs.is_empty())? {
            let position = self.position();
            let text = self.string()?;
            if !known.insert(text.clone()) {
                let message = format!("the field `{text}` is set twice");
                return Err(Problem::at(position, message));
            }
            self.space();
            self.expect(b':')?;
            let value = self.value(depth + 1)?;
            pairs.push((Key { text, position }, value));
        }
        Ok(pairs)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Rc<Node>>, Problem> {
        let mut items = Vec::new();
        self.at += 1;
        while !self.closes(b']', items.is_empty())? {
            items.push(self.value(depth + 1)?);
        }
        Ok(items)
    }

    /// Takes the bracket that ends a list or map, or the comma before its next item.
    fn closes(&mut self, bracket: u8, first: bool) -> Result<bool, Problem> {
        self.space();
        if self.peek() == Some(bracket) {
            self.at += 1;
            return Ok(true);
        }
        if !first {
            self.expect(b',')?;
            self.space();
        }
        Ok(false)
    }

    fn string(&mut self) -> Result<String, Problem> {
        let start = self.at;
        self.expect(b'"')?;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => {
                    let quoted = self.text.get(start..self.at).unwrap_or_default();
                    return serde_json::from_str(quoted).map_err(|_| self.unexpected());
                }
                b'\\' => self.at += 1,
                _ => {}
            }
        }
        Err(self.unexpected())
    }

    fn token(&mut self) -> Result<String, Problem> {
        let start = self.at;
        while self
            .peek()
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        {
            self.at += 1;
        }
        if start == self.at {
            return Err(self.unexpected());
        }
        Ok(self.text[start..self.at].to_owned())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Problem> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// A config is one line; bytes are near enough to say where.
    fn position(&self) -> Position {
        Position {
            line: 1,
            column: self.at + 1,
        }
    }

    fn unexpected(&self) -> Problem {
        Problem::at(self.position(), "not JSON")
    }
}
