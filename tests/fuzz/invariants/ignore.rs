//! Ignore rules and path patterns: they agree with a matcher that tries everything.
//!
//! An input is the text of an ignore file, a NUL, and a path.

use modelkit::{archive::ignore::IgnoreRules, filter::PathGlobs, glob::Pattern};

use super::slow_glob::{Dialect, SlowPattern, clean, rooted};

/// Longer patterns and paths only have to be matched in time: trying everything is slow.
const COMPARED: usize = 80;

pub(super) fn check(input: &[u8]) -> bool {
    let mut halves = input.splitn(2, |byte| *byte == 0);
    let Ok(text) = str::from_utf8(halves.next().unwrap_or_default()) else {
        return false;
    };
    let path = clean_path(halves.next().unwrap_or_default());
    let lines: Vec<&str> = text.lines().collect();
    if let Some(first) = lines.first() {
        check_pattern(first, &path, Dialect::Ignore);
        check_pattern(first, &path, Dialect::Paths);
    }
    let parsed = IgnoreRules::parse(text);
    let slow = SlowRules::parse(text);
    match (parsed, slow) {
        (Ok(rules), Ok(slow)) => {
            if slow.is_short() && path.len() <= COMPARED {
                check_walk(text, &rules, &slow, &path);
            }
            true
        }
        (Err(error), Err(line)) => {
            assert_eq!(error.line, line, "{error}");
            false
        }
        (Ok(_), Err(line)) => panic!("line {line} was taken: {text:?}"),
        (Err(error), Ok(_)) => panic!("refused: {error}"),
    }
}

/// Judges `path` and the folders above it, one after the other, as a walk does.
fn check_walk(text: &str, rules: &IgnoreRules, slow: &SlowRules, path: &[u8]) {
    let mut cover = rules.root();
    let mut kept_below = Vec::new();
    for end in ends(path) {
        let here = &path[..end];
        let decision = rules.decide(here);
        let described = || format!("{} by {text:?}: {decision:?}", shown(here));
        assert_eq!(decision.ignored, slow.ignores(here), "{}", described());
        assert_eq!(rules.judge(&cover, here), decision, "{}", shown(here));
        if decision.ignored {
            kept_below.push((here, rules.may_keep_below(here)));
        } else {
            // What a walk would not search, it would not find.
            for (folder, may_keep) in &kept_below {
                assert!(
                    may_keep,
                    "{} is kept, but {} would not be searched: {text:?}",
                    shown(here),
                    shown(folder)
                );
            }
        }
        cover = rules.cover(&cover, here);
    }
}

/// One pattern, in the dialects of ignore files and of the command line.
fn check_pattern(text: &str, path: &[u8], dialect: Dialect) {
    let pattern = match dialect {
        Dialect::Ignore => Pattern::new(text),
        Dialect::Paths => Pattern::of_paths(text),
    };
    let slow = SlowPattern::new(&rooted(&clean(text)), dialect);
    let Ok(pattern) = pattern else {
        assert!(slow.is_none(), "{text:?} is refused");
        return;
    };
    let slow = slow.unwrap_or_else(|| panic!("{text:?} is taken"));
    let (matches, covers) = (pattern.matches(path), pattern.covers(path));
    if text.len() <= COMPARED && path.len() <= COMPARED {
        let described = || format!("{text:?} on {} as {dialect:?}", shown(path));
        assert_eq!(matches, slow.matches(path), "{}", described());
        assert_eq!(covers, slow.covers(path), "{}", described());
    }
    if dialect == Dialect::Paths {
        let include = [text.to_owned()];
        let globs = PathGlobs::new(&include, &[]).expect("the pattern was taken");
        assert_eq!(globs.selects(path), covers);
        let globs = PathGlobs::new(&[], &include).expect("the pattern was taken");
        assert_eq!(globs.selects(path), !covers);
    }
}

/// Returns `path` as a walk would give it.
fn clean_path(path: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = path
        .split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"." | b".."))
        .collect();
    parts.join(&b'/')
}

/// Returns where the names of the folders above `path`, and its own, end.
fn ends(path: &[u8]) -> impl Iterator<Item = usize> {
    (1..=path.len()).filter(|end| path.get(*end).is_none_or(|byte| *byte == b'/'))
}

fn shown(path: &[u8]) -> String {
    path.escape_ascii().to_string()
}

/// The rules of an ignore file, judged by trying every rule on every folder above a path.
struct SlowRules {
    rules: Vec<SlowRule>,
}

struct SlowRule {
    pattern: SlowPattern,
    length: usize,
    keeps: bool,
    names_litter: bool,
}

impl SlowRules {
    /// Reads the rules, or names the first line that is none.
    fn parse(text: &str) -> Result<Self, usize> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let (pattern, keeps) = match line.trim().strip_prefix('!') {
                Some(rest) if rest.trim().is_empty() => return Err(number),
                Some(rest) => (rest.trim(), true),
                None => (line.trim(), false),
            };
            let pattern = rooted(&clean(pattern));
            if pattern == "." || pattern == "/" {
                continue;
            }
            rules.push(SlowRule {
                names_litter: keeps && pattern.split('/').any(|part| is_litter(part.as_bytes())),
                length: pattern.len(),
                pattern: SlowPattern::new(&pattern, Dialect::Ignore).ok_or(number)?,
                keeps,
            });
        }
        Ok(Self { rules })
    }

    fn is_short(&self) -> bool {
        self.rules.len() <= 10 && self.rules.iter().all(|rule| rule.length <= COMPARED)
    }

    fn ignores(&self, path: &[u8]) -> bool {
        if [&b"Kitfile"[..], b"kitfile", b".kitfile", b".kitignore"].contains(&path) {
            return true;
        }
        let last = self.rules.iter().rfind(|rule| rule.pattern.covers(path));
        if path.split(|byte| *byte == b'/').any(is_litter) {
            return last.is_none_or(|rule| !rule.names_litter);
        }
        last.is_some_and(|rule| !rule.keeps)
    }
}

fn is_litter(name: &[u8]) -> bool {
    let names: [&[u8]; 8] = [
        b".git",
        b".hg",
        b".svn",
        b".DS_Store",
        b"Thumbs.db",
        b"desktop.ini",
        b".ipynb_checkpoints",
        b"__pycache__",
    ];
    names.contains(&name) || (name.len() > 2 && name.starts_with(b"._"))
}
