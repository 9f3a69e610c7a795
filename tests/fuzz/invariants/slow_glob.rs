//! Path patterns a second time: read step by step, matched by trying everything.

use std::collections::HashMap;

/// The longest pattern that is taken.
const LONGEST: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Ignore files.
    Ignore,
    /// `--include` and `--exclude`.
    Paths,
}

pub(super) struct SlowPattern {
    steps: Vec<Step>,
    dialect: Dialect,
}

enum Step {
    Is(char),
    NotSlash,
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// Any number of characters but `/`.
    Name,
    /// Any number of characters.
    Any,
    /// Nothing, or any characters and a `/`.
    Folders,
}

impl SlowPattern {
    /// Reads a pattern that was cleaned; `None` if it is none.
    pub(super) fn new(cleaned: &str, dialect: Dialect) -> Option<Self> {
        let outside = cleaned == ".." || cleaned.starts_with("../");
        let paths = dialect == Dialect::Paths;
        if cleaned.len() > LONGEST || (paths && outside) {
            return None;
        }
        let cleaned = match cleaned {
            "." | "/" if paths => "**",
            _ => cleaned,
        };
        let text: Vec<char> = cleaned.chars().collect();
        let mut steps = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let stars = text[at..].iter().take_while(|c| **c == '*').count();
            if stars > 1 {
                let begins = at == 0 || matches!(steps.last(), Some(Step::Is('/') | Step::Folders));
                at += if paths { stars } else { 2 };
                let slash = text.get(at) == Some(&'/');
                let rest = &text[at..];
                let special = rest.iter().any(|c| "*?[]\\".contains(*c));
                let folders = if paths {
                    begins && slash
                } else {
                    // At the end it reaches everything; so it does at the start of a plain text.
                    !matches!(rest, [] | ['/']) && (slash || special || !steps.is_empty())
                };
                steps.push(if folders { Step::Folders } else { Step::Any });
                at += usize::from(slash && (folders || !paths));
            } else {
                let (step, next) = single(&text, at)?;
                steps.push(step);
                at = next;
            }
        }
        Some(Self { steps, dialect })
    }

    pub(super) fn matches(&self, path: &[u8]) -> bool {
        let path: Vec<Option<char>> = path
            .utf8_chunks()
            .flat_map(|chunk| {
                let bytes = chunk.invalid().iter().map(|_| None);
                chunk.valid().chars().map(Some).chain(bytes)
            })
            .collect();
        self.try_all(&self.steps, &path, &mut HashMap::new())
    }

    /// Tells whether the pattern matches `path` or a folder above it.
    pub(super) fn covers(&self, path: &[u8]) -> bool {
        (0..=path.len())
            .filter(|end| path.get(*end).is_none_or(|byte| *byte == b'/'))
            .any(|end| self.matches(&path[..end]))
    }

    /// What was tried is kept in `known` by the lengths of what was left.
    fn try_all(
        &self,
        steps: &[Step],
        path: &[Option<char>],
        known: &mut HashMap<(usize, usize), bool>,
    ) -> bool {
        if let Some(result) = known.get(&(steps.len(), path.len())) {
            return *result;
        }
        let result = match (steps, path) {
            ([], path) => path.is_empty(),
            ([Step::Name, rest @ ..], _) => {
                self.try_all(rest, path, known)
                    || (!matches!(path, [] | [Some('/'), ..])
                        && self.try_all(steps, &path[1..], known))
            }
            ([Step::Any, rest @ ..], _) => {
                self.try_all(rest, path, known)
                    || (!path.is_empty() && self.try_all(steps, &path[1..], known))
            }
            ([Step::Folders, rest @ ..], _) => {
                let slash = path.iter().position(|character| *character == Some('/'));
                self.try_all(rest, path, known)
                    || slash.is_some_and(|at| self.try_all(steps, &path[at + 1..], known))
            }
            (_, []) => false,
            ([step, rest @ ..], [character, behind @ ..]) => {
                self.takes(step, *character) && self.try_all(rest, behind, known)
            }
        };
        known.insert((steps.len(), path.len()), result);
        result
    }

    fn takes(&self, step: &Step, character: Option<char>) -> bool {
        match step {
            Step::Is(wanted) => character == Some(*wanted),
            Step::NotSlash => character != Some('/'),
            Step::Set { negated, ranges } => {
                let listed = ranges
                    .iter()
                    .any(|(first, last)| character.is_some_and(|c| *first <= c && c <= *last));
                let slash = self.dialect == Dialect::Paths && character == Some('/');
                listed != *negated && !slash
            }
            Step::Name | Step::Any | Step::Folders => false,
        }
    }
}

/// Reads one step other than `**` and returns where the next one begins.
fn single(text: &[char], at: usize) -> Option<(Step, usize)> {
    Some(match text[at] {
        '*' => (Step::Name, at + 1),
        '?' => (Step::NotSlash, at + 1),
        '\\' => (Step::Is(*text.get(at + 1)?), at + 2),
        '[' => set(text, at + 1)?,
        character => (Step::Is(character), at + 1),
    })
}

fn set(text: &[char], mut at: usize) -> Option<(Step, usize)> {
    let negated = text.get(at) == Some(&'^');
    at += usize::from(negated);
    let mut ranges = Vec::new();
    loop {
        if text.get(at) == Some(&']') && !ranges.is_empty() {
            return Some((Step::Set { negated, ranges }, at + 1));
        }
        let (first, next) = member(text, at)?;
        let (last, next) = match text.get(next) {
            Some('-') => member(text, next + 1)?,
            _ => (first, next),
        };
        if last < first {
            return None;
        }
        ranges.push((first, last));
        at = next;
    }
}

/// Reads a character of a set.
fn member(text: &[char], at: usize) -> Option<(char, usize)> {
    match text.get(at)? {
        '\\' => Some((*text.get(at + 1)?, at + 2)),
        '-' | ']' => None,
        character => Some((*character, at + 1)),
    }
}

/// Returns the shortest text for the same path: `/` before what begins with one, `.` for nothing.
pub(super) fn clean(path: &str) -> String {
    let root = if path.starts_with('/') { "/" } else { "" };
    let mut parts: Vec<&str> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    // Takes out one folder with the `..` behind it at a time.
    while let Some(up) = (1..parts.len()).find(|at| parts[*at] == ".." && parts[*at - 1] != "..") {
        parts.drain(up - 1..=up);
    }
    if !root.is_empty() {
        parts.retain(|part| *part != "..");
    }
    match format!("{root}{}", parts.join("/")) {
        empty if empty.is_empty() => ".".to_owned(),
        cleaned => cleaned,
    }
}

/// Takes one `/` from the front of what is more than that.
pub(super) fn rooted(cleaned: &str) -> String {
    match cleaned.strip_prefix('/') {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => cleaned.to_owned(),
    }
}
