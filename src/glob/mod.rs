//! Path patterns: what `.kitignore` lines and `--include` are made of.
//!
//! A pattern is compiled into a small automaton that reads a path once, so that no pattern is
//! slow: the work is the length of the path times, at worst, the length of the pattern.
//!
//! Paths are bytes. A byte that is not part of valid UTF-8 counts as one character, which `*`, `?`
//! and `[^…]` match and nothing else does.

mod compile;
#[cfg(test)]
mod tests;

use compile::{Dialect, Token};

/// One compiled pattern.
///
/// `*` and `?` stand for characters other than `/`, `**` for any path, `[…]` for one of a set of
/// characters (`[a-z]` a range, `[^…]` none of them), `\` takes the next character as it is.
/// Letter case counts. A pattern without `*` or `?` or `[` matches one path only.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    /// The characters every matching path starts with.
    prefix: String,
    /// What follows the prefix.
    tokens: Vec<Token>,
    dialect: Dialect,
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A `[` without its `]`, or nothing usable between them.
    #[error("pattern `{pattern}` holds a `[` that does not begin a set such as `[a-z]`")]
    Set {
        /// The pattern as it was given.
        pattern: String,
    },
    /// A range that ends before it begins.
    #[error("pattern `{pattern}` holds the range `{first}-{last}`, which is upside down")]
    Range {
        /// The pattern as it was given.
        pattern: String,
        /// Where the range begins.
        first: char,
        /// Where the range ends.
        last: char,
    },
    /// A `\` with nothing behind it.
    #[error("pattern `{pattern}` ends with `\\`, which must stand before a character")]
    Escape {
        /// The pattern as it was given.
        pattern: String,
    },
    /// No path is that long; also bounds the work.
    #[error("pattern `{start}…` is longer than {} bytes", Pattern::LONGEST)]
    Long {
        /// How the pattern begins.
        start: String,
    },
    /// A pattern that leads out of the directory.
    #[error("pattern `{pattern}` leads outside the directory")]
    Outside {
        /// The pattern as it was given.
        pattern: String,
    },
}

impl Pattern {
    /// The longest pattern that is compiled, in bytes.
    pub const LONGEST: usize = 4096;

    /// Compiles a pattern of an ignore file, exactly as Docker reads those of `.dockerignore`: the
    /// pattern is cleaned like a path and loses one leading `/`; `**/` stands for any number of
    /// folders, and a `**` inside a name also ends at a folder, save at the very end of the pattern
    /// or where it begins one that has no other special character.
    pub fn new(text: &str) -> Result<Self, Error> {
        Self::compiled(text, &rooted(text), Dialect::Ignore)
    }

    /// Compiles a pattern that picks paths on the command line. Unlike in an ignore file, `**`
    /// inside a name stands for any characters, `/` among them (`data/**.csv`), and a set never
    /// matches `/`.
    pub fn of_paths(text: &str) -> Result<Self, Error> {
        let cleaned = rooted(text);
        if cleaned == ".." || cleaned.starts_with("../") {
            let pattern = text.to_owned();
            return Err(Error::Outside { pattern });
        }
        // `.` and `/` name the directory itself, and so all that is in it.
        let cleaned = if matches!(cleaned.as_str(), "." | "/") {
            "**"
        } else {
            &cleaned
        };
        Self::compiled(text, cleaned, Dialect::Paths)
    }

    fn compiled(text: &str, cleaned: &str, dialect: Dialect) -> Result<Self, Error> {
        let (prefix, tokens) = compile::compile(text, cleaned, dialect)?;
        Ok(Self {
            text: text.to_owned(),
            prefix,
            tokens,
            dialect,
        })
    }

    /// Returns the pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Tells whether the pattern matches all of `path`, which is relative and clean.
    pub fn matches(&self, path: &[u8]) -> bool {
        self.run(path, false)
    }

    /// Tells whether the pattern matches `path` or a folder above it. Costs no more than
    /// [`Pattern::matches`].
    pub fn covers(&self, path: &[u8]) -> bool {
        self.run(path, true)
    }

    /// Tells whether the pattern might match `folder` or something below it: `false` is certain.
    pub fn may_match_below(&self, folder: &[u8]) -> bool {
        let prefix = self.prefix.as_bytes();
        let shared = prefix.len().min(folder.len());
        folder == b"." || prefix[..shared] == folder[..shared]
    }

    /// Reads `path` once. With `folders`, a match that ends where a folder's name does is enough.
    fn run(&self, path: &[u8], folders: bool) -> bool {
        let Some(rest) = path.strip_prefix(self.prefix.as_bytes()) else {
            return false;
        };
        if self.tokens.is_empty() {
            return rest.is_empty() || (folders && rest[0] == b'/');
        }
        let end = self.tokens.len();
        let mut now = States::new(end + 1);
        let mut next = States::new(end + 1);
        now.enter(0, &self.tokens);
        for character in characters(rest) {
            if folders && character == Some('/') && now.holds(end) {
                return true;
            }
            for &state in &now.list {
                self.step(state, character, &mut next);
            }
            std::mem::swap(&mut now, &mut next);
            next.clear();
            if now.list.is_empty() {
                return false;
            }
        }
        now.holds(end)
    }

    /// Enters into `next` where `character` leads from `state`.
    fn step(&self, state: usize, character: Option<char>, next: &mut States) {
        let slash = character == Some('/');
        match self.tokens.get(state) {
            // The end: whatever follows is not matched. `Folders` is left without reading.
            None | Some(Token::Folders) => {}
            Some(Token::Char(wanted)) => {
                if character == Some(*wanted) {
                    next.enter(state + 1, &self.tokens);
                }
            }
            Some(Token::One) => {
                if !slash {
                    next.enter(state + 1, &self.tokens);
                }
            }
            Some(Token::Set(class)) => {
                if class.holds(character) && !(slash && self.dialect == Dialect::Paths) {
                    next.enter(state + 1, &self.tokens);
                }
            }
            Some(Token::Star) => {
                if !slash {
                    next.enter(state, &self.tokens);
                }
            }
            Some(Token::Deep) => next.enter(state, &self.tokens),
            Some(Token::Below) => {
                next.enter(state, &self.tokens);
                if slash {
                    next.enter(state + 1, &self.tokens);
                }
            }
        }
    }
}

/// The places in a pattern that the path read so far may have led to.
struct States {
    list: Vec<usize>,
    held: Vec<bool>,
}

impl States {
    fn new(count: usize) -> Self {
        Self {
            list: Vec::with_capacity(count.min(16)),
            held: vec![false; count],
        }
    }

    fn holds(&self, state: usize) -> bool {
        self.held[state]
    }

    /// Adds `state` and every place that is reached from it without reading a character.
    fn enter(&mut self, mut state: usize, tokens: &[Token]) {
        while self.add(state) {
            state += match tokens.get(state) {
                Some(Token::Star | Token::Deep) => 1,
                Some(Token::Folders) => {
                    self.add(state + 1);
                    2
                }
                _ => return,
            };
        }
    }

    /// Adds `state`; false if it was there.
    fn add(&mut self, state: usize) -> bool {
        let new = !std::mem::replace(&mut self.held[state], true);
        if new {
            self.list.push(state);
        }
        new
    }

    fn clear(&mut self) {
        for state in self.list.drain(..) {
            self.held[state] = false;
        }
    }
}

/// Returns the characters of `path`, with `None` for each byte that is not part of one.
fn characters(path: &[u8]) -> impl Iterator<Item = Option<char>> {
    path.utf8_chunks().flat_map(|chunk| {
        let invalid = chunk.invalid().iter().map(|_| None);
        chunk.valid().chars().map(Some).chain(invalid)
    })
}

/// Returns `text` cleaned, without the `/` it may begin with.
fn rooted(text: &str) -> String {
    let cleaned = clean(text);
    match cleaned.strip_prefix('/') {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => cleaned,
    }
}

/// Returns the shortest text for the same `/`-separated path: no `//`, no `.` and no `..` that
/// another component undoes; `.` if nothing is left. Looks at no file system.
pub fn clean(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let absolute = path.starts_with('/');
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." if kept.last().is_some_and(|last| *last != "..") => {
                kept.pop();
            }
            // Nothing is above the root.
            ".." if absolute => {}
            _ => kept.push(component),
        }
    }
    let joined = kept.join("/");
    match (absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}
