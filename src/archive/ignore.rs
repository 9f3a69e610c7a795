//! What a pack leaves out: the rules of `.kitignore` and those built in.
//!
//! The syntax is that of Docker's ignore files: one file in the context root; `#` in the first
//! column starts a comment; a pattern is matched against the whole path, so one without `**/`
//! reaches the root only; a match on a folder covers all below it; the last match decides, and
//! `!` turns a pattern into one that keeps.

use std::fmt;

use crate::glob::{self, Pattern};

/// The names of the ignore file.
pub const FILE_NAME: &str = ".kitignore";

/// Files of the context root that describe the kit and are never in a layer.
const DESCRIPTIONS: [&str; 4] = ["Kitfile", "kitfile", ".kitfile", FILE_NAME];

/// Names that systems and tools leave behind, ignored in every folder unless a `!` pattern has a
/// part of such a name.
const LITTER: [&str; 8] = [
    ".git",
    ".hg",
    ".svn",
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    ".ipynb_checkpoints",
    "__pycache__",
];

/// The prefix of the files that macOS puts beside others on foreign file systems.
const LITTER_PREFIX: &str = "._";

/// What names with [`UNPACK_PREFIX`] are counted under. No pattern brings these back.
const UNPACK_LITTER: &str = ".kit-unpack-*";

/// How names begin that unpacking keeps for its own folders. A killed run leaves one, with files
/// in it that nobody has verified; and no kit with such a name in its root could be unpacked.
pub(super) const UNPACK_PREFIX: &str = ".kit-unpack-";

/// The longest ignore file that is read, in bytes.
pub const MAX_LENGTH: u64 = 1024 * 1024;

/// A pattern of the ignore file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: `{pattern}`: {reason}")]
pub struct BadPattern {
    /// The line, counted from 1.
    pub line: usize,
    /// The text of the line.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The rules of one context.
#[derive(Debug, Default)]
pub struct IgnoreRules {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    pattern: Pattern,
    keeps: bool,
    /// A keeping rule with a part such as `.git`: only such a rule brings litter back.
    names_litter: bool,
    /// The parts of the pattern up to the first that holds a wildcard.
    literal: Vec<Vec<u8>>,
    /// Whether all parts are literal.
    is_literal: bool,
    line: usize,
    text: String,
}

/// What decided over a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decider<'a> {
    /// A line of the ignore file: its number and text.
    Line(usize, &'a str),
    /// A built-in name of litter, as `.git`.
    Litter(&'static str),
    /// The file describes the kit.
    Description(&'static str),
}

impl fmt::Display for Decider<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line, text) => write!(f, "{FILE_NAME}:{line}: {text}"),
            Self::Litter(name) => write!(f, "built-in rule: {name}"),
            Self::Description(name) => write!(f, "describes the kit: {name}"),
        }
    }
}

/// The decision over a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// Whether the path is left out.
    pub ignored: bool,
    /// What decided; `None` if no rule matches.
    pub decider: Option<Decider<'a>>,
}

/// What is known of a folder while its children are judged: which rules already cover it.
#[derive(Clone, Debug, Default)]
pub struct Cover {
    rules: Vec<bool>,
    litter: Option<&'static str>,
}

impl IgnoreRules {
    /// Reads the text of an ignore file.
    ///
    /// # Errors
    ///
    /// The first pattern that cannot be used.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') {
                continue;
            }
            let trimmed = line.trim();
            let (keeps, pattern) = match trimmed.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, trimmed),
            };
            let bad = |reason: &str| BadPattern {
                line: index + 1,
                pattern: trimmed.to_owned(),
                reason: reason.to_owned(),
            };
            if pattern.is_empty() {
                if keeps {
                    return Err(bad("`!` needs a pattern behind it"));
                }
                continue;
            }
            let cleaned = glob::clean(pattern);
            let cleaned = cleaned.strip_prefix('/').unwrap_or(&cleaned);
            if cleaned == "." || cleaned.is_empty() {
                continue;
            }
            let parts: Vec<&str> = cleaned.split('/').collect();
            let literal: Vec<Vec<u8>> = parts
                .iter()
                .take_while(|part| !part.contains(['*', '?', '[', '\\']))
                .map(|part| part.as_bytes().to_vec())
                .collect();
            rules.push(Rule {
                pattern: Pattern::new(cleaned).map_err(|error| bad(&error.to_string()))?,
                keeps,
                names_litter: keeps && parts.iter().any(|part| litter(part.as_bytes()).is_some()),
                is_literal: literal.len() == parts.len(),
                literal,
                line: index + 1,
                text: trimmed.to_owned(),
            });
        }
        Ok(Self { rules })
    }

    /// Returns the cover of the context root.
    pub fn root(&self) -> Cover {
        Cover {
            rules: vec![false; self.rules.len()],
            litter: None,
        }
    }

    /// Judges `path`, whose folder has the cover `parent`. `path` is relative to the context, with
    /// `/` between its parts.
    pub fn judge(&self, parent: &Cover, path: &[u8]) -> Decision<'_> {
        if let Some(name) = DESCRIPTIONS.iter().find(|name| name.as_bytes() == path) {
            return Decision {
                ignored: true,
                decider: Some(Decider::Description(name)),
            };
        }
        let last = self
            .rules
            .iter()
            .zip(&parent.rules)
            .rev()
            .find_map(|(rule, covered)| (*covered || rule.matches(path)).then_some(rule));
        if let Some(name) = parent.litter.or_else(|| litter(name_of(path)))
            && (name == UNPACK_LITTER || !last.is_some_and(|rule| rule.names_litter))
        {
            return Decision {
                ignored: true,
                decider: Some(Decider::Litter(name)),
            };
        }
        Decision {
            ignored: last.is_some_and(|rule| !rule.keeps),
            decider: last.map(|rule| Decider::Line(rule.line, &rule.text)),
        }
    }

    /// Returns the cover of the folder `path`, whose own folder has the cover `parent`.
    pub fn cover(&self, parent: &Cover, path: &[u8]) -> Cover {
        Cover {
            rules: self
                .rules
                .iter()
                .zip(&parent.rules)
                .map(|(rule, covered)| *covered || rule.matches(path))
                .collect(),
            litter: parent.litter.or_else(|| litter(name_of(path))),
        }
    }

    /// Judges `path` by itself, from the root down.
    pub fn decide(&self, path: &[u8]) -> Decision<'_> {
        let parent = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => self.cover_of(&path[..slash]),
            None => self.root(),
        };
        self.judge(&parent, path)
    }

    /// Returns the cover of the folder `path`, found from the root down; the root's for no path.
    pub fn cover_of(&self, path: &[u8]) -> Cover {
        let mut cover = self.root();
        for end in (1..=path.len()).filter(|end| path.get(*end).is_none_or(|byte| *byte == b'/')) {
            cover = self.cover(&cover, &path[..end]);
        }
        cover
    }

    /// Tells whether something below the ignored folder `path` may be kept all the same.
    pub fn may_keep_below(&self, path: &[u8]) -> bool {
        if describes_kit(&String::from_utf8_lossy(path)) {
            return true; // It is a folder, and so describes nothing.
        }
        let inside_litter = path
            .split(|byte| *byte == b'/')
            .any(|part| litter(part).is_some());
        self.rules.iter().any(|rule| {
            rule.keeps && (!inside_litter || rule.names_litter) && rule.may_match_below(path)
        })
    }
}

impl Rule {
    fn matches(&self, path: &[u8]) -> bool {
        if self.is_literal {
            // Most rules of most files: no need for the matcher.
            let mut parts = path.split(|byte| *byte == b'/');
            return self
                .literal
                .iter()
                .all(|literal| parts.next() == Some(literal))
                && parts.next().is_none();
        }
        self.pattern.matches(path)
    }

    /// Tells whether the pattern can match a path below the folder `path`.
    fn may_match_below(&self, path: &[u8]) -> bool {
        let mut literal = self.literal.iter();
        for part in path.split(|byte| *byte == b'/') {
            match literal.next() {
                Some(expected) if expected != part => return false,
                Some(_) => {}
                None => return !self.is_literal,
            }
        }
        literal.len() > 0 || !self.is_literal
    }
}

/// Returns the line of an ignore file that leaves out `path` and what lies below it. A character
/// that cannot stand in such a line is left open.
pub fn line_for(path: &str) -> String {
    let last = path.chars().count();
    let mut line = "/".to_owned(); // So that `#` and `!` are no more than characters.
    for (place, character) in path.chars().enumerate() {
        match character {
            '*' | '?' | '[' | ']' | '\\' => line.extend(['\\', character]),
            ' ' if place + 1 < last => line.push(' '),
            _ if character.is_control() || character.is_whitespace() => line.push('?'),
            _ => line.push(character),
        }
    }
    line
}

/// Tells whether `path` is a file that describes the kit: it is in no layer, and not lost either.
pub fn describes_kit(path: &str) -> bool {
    DESCRIPTIONS.contains(&path)
}

/// Returns the last part of a path.
fn name_of(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Returns the built-in name that `name` falls under.
fn litter(name: &[u8]) -> Option<&'static str> {
    if name.starts_with(LITTER_PREFIX.as_bytes()) && name.len() > LITTER_PREFIX.len() {
        return Some("._*");
    }
    if is_unpack_name(name) {
        return Some(UNPACK_LITTER);
    }
    LITTER
        .iter()
        .find(|litter| litter.as_bytes() == name)
        .copied()
}

/// Tells whether `name` begins as the names that unpacking keeps for itself, in any letter case.
pub(super) fn is_unpack_name(name: &[u8]) -> bool {
    name.get(..UNPACK_PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(UNPACK_PREFIX.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(rules: &str, path: &str) -> bool {
        IgnoreRules::parse(rules)
            .unwrap()
            .decide(path.as_bytes())
            .ignored
    }

    #[test]
    fn patterns_reach_where_docker_s_do() {
        for (rules, path, expected) in [
            // Without a slash a pattern reaches the root only.
            ("*.bin", "a.bin", true),
            ("*.bin", "sub/a.bin", false),
            ("**/*.bin", "a.bin", true),
            ("**/*.bin", "sub/deep/a.bin", true),
            ("data", "data/x/y", true),
            ("data", "sub/data/x", false),
            ("/data/", "data/x", true),
            ("./data", "data/x", true),
            ("a/../data", "data/x", true),
            ("/../data", "data/x", true),
            ("../data", "data/x", false),
            // Comments and space.
            ("# data", "data", false),
            (" # data", "# data", true),
            ("  data  ", "data", true),
            ("\u{feff}data", "data", true),
            // The last match decides.
            ("*.key\n!keep.key", "keep.key", false),
            ("!keep.key\n*.key", "keep.key", true),
            ("data\n!data/keep", "data/keep", false),
            ("data\n!data/keep", "data/keep/x", false),
            ("data\n!data/keep", "data/other", true),
            // Case counts.
            ("Data", "data", false),
            // What describes the kit is left out, but only in the root.
            ("!Kitfile", "Kitfile", true),
            ("", ".kitignore", true),
            ("", "sub/Kitfile", false),
            (".", "a", false),
            ("/", "a", false),
        ] {
            assert_eq!(ignored(rules, path), expected, "{rules:?} on {path:?}");
        }
    }

    #[test]
    fn what_a_killed_unpack_left_is_never_packed() {
        for path in [
            ".kit-unpack-0123456789abcdef",
            ".Kit-Unpack-lock",
            ".kit-unpack-0/ready-new/.git/a",
            "data/.kit-unpack-0/layer-new/a",
        ] {
            for rules in ["", "!.kit-unpack-*", "!**", "!**/.git"] {
                assert!(ignored(rules, path), "{rules} {path}");
            }
        }
        assert!(!ignored("", "kit-unpack-0"));
    }

    #[test]
    fn litter_is_left_out_unless_a_rule_names_it() {
        for (rules, path, expected) in [
            ("", "a/.git/config", true),
            ("", "._x", true),
            ("", "._", false),
            ("", "a/__pycache__", true),
            ("", ".gitignore", false),
            ("*\n!data", "data/.DS_Store", true),
            ("*\n!data", "data/x", false),
            ("!.git", ".git/config", false),
            ("!.git", "sub/.git/config", true),
            ("!**/__pycache__", "a/__pycache__/x.pyc", false),
            ("!.git/config", ".git/config", false),
            ("!.git/config", ".git/HEAD", true),
            ("!.git\n.git/objects", ".git/objects/x", true),
        ] {
            assert_eq!(ignored(rules, path), expected, "{rules:?} on {path:?}");
        }
    }

    #[test]
    fn the_rule_that_decided_is_named() {
        let rules = IgnoreRules::parse("# keys\n*.key\n!keep.key\n").unwrap();
        let decider = |path: &str| {
            rules
                .decide(path.as_bytes())
                .decider
                .map(|decider| decider.to_string())
        };
        assert_eq!(decider("a.key").unwrap(), ".kitignore:2: *.key");
        assert_eq!(decider("keep.key").unwrap(), ".kitignore:3: !keep.key");
        assert_eq!(decider("x/.git/a").unwrap(), "built-in rule: .git");
        assert_eq!(decider("Kitfile").unwrap(), "describes the kit: Kitfile");
        assert_eq!(decider("a.txt"), None);
    }

    #[test]
    fn a_folder_is_searched_only_where_something_may_be_kept() {
        let rules = IgnoreRules::parse("data\n!data/deep/keep\n!lib/*/x\n").unwrap();
        for (path, expected) in [
            ("data", true),
            ("data/deep", true),
            ("data/deep/keep", false),
            ("data/other", false),
            ("lib", true),
            ("lib/a", true),
            (".git", false),
        ] {
            assert_eq!(rules.may_keep_below(path.as_bytes()), expected, "{path}");
        }
        let all = IgnoreRules::parse("*\n!**/*.py").unwrap();
        assert!(all.may_keep_below(b"a/b"));
        assert!(!all.may_keep_below(b".git"));
    }

    // hazard: 131
    #[test]
    fn a_pattern_that_cannot_be_used_is_named_with_its_line() {
        assert_eq!(
            IgnoreRules::parse("a\n!\n").unwrap_err().to_string(),
            "line 2: `!`: `!` needs a pattern behind it"
        );
        let error = IgnoreRules::parse("ok\n[a\n").unwrap_err();
        assert_eq!((error.line, error.pattern.as_str()), (2, "[a"));
    }
}
