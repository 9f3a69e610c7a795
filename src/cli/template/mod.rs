//! The subset of Go's text/template that `--format` needs, so that formats written for the
//! reference go on working.
//!
//! There are: text, comments, `{{-` and `-}}`; `.`, `$`, `.A.B`, literals, pipelines and
//! parentheses; `if`, `else if`, `with`, `range`, `else`, `end`; and the functions in
//! [`functions`]. There are no variables, no `define` and no methods.

mod eval;
mod functions;
mod lexer;
mod parser;
mod printf;

use serde_json::Value;

/// A template that was understood.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    source: String,
    nodes: Vec<parser::Node>,
}

/// What is wrong with a template, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad template, line {line}, column {column}: {message}")]
pub(crate) struct Error {
    line: usize,
    column: usize,
    message: String,
}

/// A fault at a byte of the source.
#[derive(Debug)]
struct Fault {
    at: usize,
    message: String,
}

impl Fault {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }

    /// Translates the byte offset into a line and a column.
    fn within(self, source: &str) -> Error {
        let before = source.get(..self.at).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Error {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: self.message,
        }
    }
}

impl Template {
    /// Reads a template.
    pub(crate) fn parse(source: &str) -> Result<Self, Error> {
        let nodes = parser::parse(source).map_err(|fault| fault.within(source))?;
        Ok(Self {
            source: source.to_owned(),
            nodes,
        })
    }

    /// Tells whether it may use a field whose name has `word` in it: if not, that need not be there.
    pub(crate) fn may_use(&self, word: &str) -> bool {
        let mut dots = self.source.match_indices('.');
        // `.` alone is all of the data.
        let is_all = |at: usize| !self.source[at + 1..].starts_with(char::is_alphabetic);
        self.source.contains(word) || dots.any(|(at, _)| is_all(at))
    }

    /// Writes `data` as the template says. A field `.ModelName` is the key `ModelName` or
    /// `modelName`, so that one document serves JSON and templates.
    pub(crate) fn render(&self, data: &Value) -> Result<String, Error> {
        eval::render(&self.nodes, data).map_err(|fault| fault.within(&self.source))
    }
}

#[cfg(test)]
mod tests;
