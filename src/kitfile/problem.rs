//! What is wrong with a Kitfile, and where.

use std::fmt;

/// A place in a text, both counted from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// Longer messages are cut: they quote a text that is no name.
const MAX_MESSAGE_BYTES: usize = 500;

/// One thing that is wrong with a Kitfile, or worth a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands; `None` for a Kitfile that did not come from a text.
    pub position: Option<Position>,
    /// What is wrong, without the place and the suggestion.
    pub message: String,
    /// The word that was probably meant.
    pub suggestion: Option<String>,
}

impl Problem {
    pub(super) fn at(position: impl Into<Option<Position>>, message: impl Into<String>) -> Self {
        Self {
            position: position.into(),
            message: one_line(&message.into()),
            suggestion: None,
        }
    }
}

/// Returns what fits a line of `message`, which may quote anything from the text.
fn one_line(message: &str) -> String {
    let mut line = String::new();
    for character in message.chars() {
        if line.len() > MAX_MESSAGE_BYTES {
            line.push('…');
            break;
        }
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Position { line, column }) = self.position {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, "; did you mean `{suggestion}`?")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with one Kitfile, in the order of the text. Shown one to a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub(super) fn sorted(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| (a.position, &a.message).cmp(&(b.position, &b.message)));
        problems.dedup();
        Self(problems)
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
