//! Which layer holds which path, and which names are one where a file system folds them.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
};

use super::name;
use crate::archive::names::fold;

/// The most names that are remembered as they are folded: all but those that are the same then.
/// With more a pair may be missed; they take some 10 MiB.
const MAX_FOLDED: usize = 900_000;
/// How many names a warning lists.
const MOST_TOLD: usize = 3;

/// Which layer holds which path: some 20 bytes a path, for duplicates must be found also among
/// files that were never written because the target has them.
#[derive(Default)]
pub(super) struct Claims {
    hash: RandomState,
    by_path: HashMap<u64, Claim>,
    folded: Folded,
}

#[derive(Clone, Copy)]
struct Claim {
    layer: u32,
    is_file: bool,
}

/// Names that differ from what they are folded to, and those of them that are not the only ones.
#[derive(Default)]
struct Folded {
    seen: HashSet<u64>,
    told: Vec<String>,
    count: u64,
}

impl Claims {
    /// Returns the layer that holds `path`, and whether it is a file there.
    pub(super) fn get(&self, path: &[u8], failed: &[bool]) -> Option<(usize, bool)> {
        let claim = self.by_path.get(&self.hash.hash_one(path))?;
        let layer = claim.layer as usize;
        (!failed.get(layer).is_some_and(|failed| *failed)).then_some((layer, claim.is_file))
    }

    /// Remembers that `layer` holds `path`.
    pub(super) fn set(&mut self, path: &[u8], layer: usize, is_file: bool) {
        let layer = u32::try_from(layer).unwrap_or(u32::MAX); // Kits hold at most 10,000.
        let claim = Claim { layer, is_file };
        let before = self.by_path.insert(self.hash.hash_one(path), claim);
        if before.is_none() && self.is_one_with_another(path) {
            self.folded.count += 1;
            if self.folded.told.len() < MOST_TOLD {
                self.folded.told.push(name::text(path));
            }
        }
    }

    /// Tells whether a path that is new differs from an earlier one in the same folder only by what
    /// some file systems do not tell apart. What is below folders of which that is true is not:
    /// they have been told.
    fn is_one_with_another(&mut self, path: &[u8]) -> bool {
        let (folder, base) = name::split(path);
        let same = fold(base);
        let key = self.hash.hash_one(&*name::join(folder, &same));
        // A name that folds to itself is in the claims.
        if *same == *base {
            return self.folded.seen.contains(&key);
        }
        let is_told = self.by_path.contains_key(&key) || self.folded.seen.contains(&key);
        if self.folded.seen.len() < MAX_FOLDED {
            self.folded.seen.insert(key);
        }
        is_told
    }

    /// Returns a warning of names that are one on some systems, if there are any.
    pub(super) fn warning(&self) -> Option<String> {
        let Folded { told, count, .. } = &self.folded;
        let first: Vec<String> = told.iter().map(|path| format!("`{path}`")).collect();
        let first = first.join(", ");
        let more = count - told.len() as u64;
        match (count, more) {
            (0, _) => None,
            (1, _) => Some(format!(
                "the kit holds {first} and another name that is the same on systems that fold case \
                 or accents"
            )),
            (_, 0) => Some(format!(
                "the kit holds {first} and other names that are the same on systems that fold case \
                 or accents"
            )),
            _ => Some(format!(
                "the kit holds {first}, {more} more, and other names that are the same on systems \
                 that fold case or accents"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(paths: &[&[u8]]) -> Option<String> {
        let mut claims = Claims::default();
        for path in paths {
            claims.set(path, 0, true);
        }
        claims.warning()
    }

    // hazard: 24
    #[test]
    fn names_that_some_systems_do_not_tell_apart_are_told() {
        for (paths, told) in [
            (&[&b"d/File"[..], b"d/file"][..], &["d/file"][..]),
            (&[b"d/file", b"d/File"], &["d/File"]),
            (&[b"FILE", b"File"], &["File"]),
            (&["STRASSE".as_bytes(), "straße".as_bytes()], &["straße"]),
            (&["é".as_bytes(), "e\u{301}".as_bytes()], &["e\u{301}"]),
            (&["e\u{301}".as_bytes(), "é".as_bytes()], &["é"]),
            // The folders are one, so what is in them needs no word.
            (&[b"D", b"D/a", b"d", b"d/A"], &["d"]),
        ] {
            let warning = warning(paths).unwrap();
            for name in told {
                assert!(warning.starts_with(&format!("the kit holds `{name}` and another")));
            }
        }
        for paths in [
            &[&b"a"[..], b"b", b"A/b", b"B/A"][..],
            &[b"d/File", b"e/file"],
            &[b"\xff", b"\xfe"],
            // One path in two layers, or after a layer that failed.
            &[b"File", b"File"],
        ] {
            assert_eq!(warning(paths), None);
        }
        let many: Vec<Vec<u8>> = (0..5)
            .flat_map(|it| [format!("f{it}"), format!("F{it}")])
            .map(String::into_bytes)
            .collect();
        let many: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
        assert_eq!(
            warning(&many).unwrap(),
            "the kit holds `F0`, `F1`, `F2`, 2 more, and other names that are the same on systems \
             that fold case or accents"
        );
    }

    #[test]
    fn no_more_names_are_remembered_than_said() {
        let mut claims = Claims::default();
        for number in 0..=MAX_FOLDED {
            claims.folded.seen.insert(number as u64);
        }
        let before = claims.folded.seen.len();
        claims.set(b"File", 0, true);
        assert_eq!(claims.folded.seen.len(), before);
        // What folds to a name that stands as it is does not need to be remembered.
        claims.set(b"other", 0, true);
        claims.set(b"Other", 0, true);
        assert!(claims.warning().is_some());
    }
}
