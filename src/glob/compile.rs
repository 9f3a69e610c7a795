//! From the text of a pattern to what is looked for, one step after the other.

use std::{iter::Peekable, str::Chars};

use super::{Error, Pattern};

/// Which rules a pattern follows where they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Those of `.dockerignore`.
    Ignore,
    /// Those of the command line.
    Paths,
}

/// One step of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// This character.
    Char(char),
    /// `?`: a character that is not `/`.
    One,
    /// `[…]`: a character of a set.
    Set(Class),
    /// `*`: any characters that are not `/`.
    Star,
    /// `**`: any characters.
    Deep,
    /// `**/`: nothing, or what [`Token::Below`], which always follows, stands for.
    Folders,
    /// Any characters, then `/`.
    Below,
}

/// A set of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Class {
    /// Tells whether the set holds `character`; `None` is a byte that is no character.
    pub(super) fn holds(&self, character: Option<char>) -> bool {
        let listed = character.is_some_and(|character| {
            self.ranges
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&character))
        });
        listed != self.negated
    }
}

/// Compiles `cleaned` into the characters it starts with and the steps that follow; `text` is how
/// the user wrote it.
pub(super) fn compile(
    text: &str,
    cleaned: &str,
    dialect: Dialect,
) -> Result<(String, Vec<Token>), Error> {
    if cleaned.len() > Pattern::LONGEST {
        let start = cleaned.chars().take(40).collect();
        return Err(Error::Long { start });
    }
    let mut compiler = Compiler {
        text,
        rest: cleaned.chars().peekable(),
        tokens: Vec::new(),
    };
    match dialect {
        Dialect::Ignore => compiler.ignore_pattern()?,
        Dialect::Paths => compiler.path_pattern()?,
    }
    let mut tokens = compiler.tokens;
    let literal = tokens
        .iter()
        .take_while(|token| matches!(token, Token::Char(_)))
        .count();
    let prefix = tokens
        .drain(..literal)
        .filter_map(|token| match token {
            Token::Char(character) => Some(character),
            _ => None,
        })
        .collect();
    Ok((prefix, tokens))
}

struct Compiler<'a> {
    text: &'a str,
    rest: Peekable<Chars<'a>>,
    tokens: Vec<Token>,
}

impl Compiler<'_> {
    fn ignore_pattern(&mut self) -> Result<(), Error> {
        let mut at_start = true;
        while let Some(character) = self.rest.next() {
            if character == '*' && self.rest.next_if_eq(&'*').is_some() {
                let folder = self.rest.next_if_eq(&'/').is_some();
                let plain = at_start && !folder && !self.rest.clone().any(is_special);
                if self.rest.peek().is_none() || plain {
                    self.push(Token::Deep);
                } else {
                    self.push_folders();
                }
            } else {
                self.single(character)?;
            }
            at_start = false;
        }
        Ok(())
    }

    fn path_pattern(&mut self) -> Result<(), Error> {
        let mut name_begins = true;
        while let Some(character) = self.rest.next() {
            if character == '*' && self.rest.next_if_eq(&'*').is_some() {
                while self.rest.next_if_eq(&'*').is_some() {}
                if name_begins && self.rest.next_if_eq(&'/').is_some() {
                    self.push_folders();
                    continue;
                }
                self.push(Token::Deep);
            } else {
                self.single(character)?;
            }
            name_begins = character == '/';
        }
        Ok(())
    }

    /// Takes one step that is not `**`.
    fn single(&mut self, character: char) -> Result<(), Error> {
        let token = match character {
            '*' => Token::Star,
            '?' => Token::One,
            '[' => Token::Set(self.set()?),
            '\\' => Token::Char(self.rest.next().ok_or_else(|| Error::Escape {
                pattern: self.text.to_owned(),
            })?),
            _ => Token::Char(character),
        };
        self.push(token);
        Ok(())
    }

    /// Reads a set up to its `]`.
    fn set(&mut self) -> Result<Class, Error> {
        let negated = self.rest.next_if_eq(&'^').is_some();
        let mut ranges = Vec::new();
        while ranges.is_empty() || self.rest.next_if_eq(&']').is_none() {
            let first = self.set_character()?;
            let last = if self.rest.next_if_eq(&'-').is_some() {
                self.set_character()?
            } else {
                first
            };
            if last < first {
                let pattern = self.text.to_owned();
                return Err(Error::Range {
                    pattern,
                    first,
                    last,
                });
            }
            ranges.push((first, last));
        }
        Ok(Class { negated, ranges })
    }

    /// Reads one end of a range: `-` and `]` stand for themselves only behind a `\`.
    fn set_character(&mut self) -> Result<char, Error> {
        match self.rest.next() {
            Some('\\') => self.rest.next(),
            Some('-' | ']') => None,
            other => other,
        }
        .ok_or_else(|| Error::Set {
            pattern: self.text.to_owned(),
        })
    }

    /// Adds a step; a wildcard that repeats the one before it changes nothing.
    fn push(&mut self, token: Token) {
        let repeated = matches!(token, Token::Star | Token::Deep);
        if !(repeated && self.tokens.last() == Some(&token)) {
            self.tokens.push(token);
        }
    }

    fn push_folders(&mut self) {
        if self.tokens.last() != Some(&Token::Below) {
            self.tokens.extend([Token::Folders, Token::Below]);
        }
    }
}

/// Tells whether `character` is more than itself in a pattern.
fn is_special(character: char) -> bool {
    matches!(character, '*' | '?' | '[' | ']' | '\\')
}
