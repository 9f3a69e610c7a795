//! What a mistyped word was probably meant to be.

/// Words longer than this are not typing mistakes of anything here; it also bounds the work.
const LONGEST: usize = 64;

/// Returns the candidate that `word` is most likely a misspelling of, the first of equals; `None`
/// if all are too far away for a guess to help. Letter case does not count, and a candidate that
/// is `word` itself is never returned.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = folded(word)?;
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let Some(meant) = folded(candidate).filter(|_| candidate != word) else {
            continue;
        };
        let longer = typed.len().max(meant.len());
        let distance = edit_distance(&typed, &meant);
        // A third of the letters may be wrong, one in a short word, but never all of them.
        let tolerated = (longer / 3).max(1).min(typed.len().saturating_sub(1));
        if distance <= tolerated && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Tells whether a word is short enough to be compared.
pub fn is_short(word: &str) -> bool {
    word.chars().nth(LONGEST).is_none()
}

/// Returns the lower-case letters of `word`, unless it is too long to be compared.
fn folded(word: &str) -> Option<Vec<char>> {
    let letters: Vec<char> = word
        .chars()
        .flat_map(char::to_lowercase)
        .take(LONGEST + 1)
        .collect();
    (letters.len() <= LONGEST).then_some(letters)
}

/// Returns how many letters must be inserted, removed, replaced or swapped with their neighbour
/// to turn one word into the other.
fn edit_distance(from: &[char], to: &[char]) -> usize {
    let mut before_last: Vec<usize> = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            let mut cost = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                cost = cost.min(before_last[j - 1] + 1);
            }
            row.push(cost);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: [&str; 7] = [
        "kitfile",
        "model",
        "datasets",
        "code",
        "docs",
        "prompts",
        "mcpservers",
    ];

    #[test]
    fn a_near_miss_finds_what_was_meant() {
        for (typed, meant) in [
            ("dataset", "datasets"),
            ("Datasets", "datasets"),
            ("datsaets", "datasets"),
            ("models", "model"),
            ("mdoel", "model"),
            ("doc", "docs"),
            ("cdoe", "code"),
            ("promt", "prompts"),
            ("mcpServer", "mcpservers"),
            ("kit-file", "kitfile"),
        ] {
            assert_eq!(closest(typed, TYPES), Some(meant), "{typed}");
        }
    }

    #[test]
    fn a_word_unlike_all_others_gets_no_guess() {
        for typed in ["", "x", "weights", "zzzz", "model-registry", "ab"] {
            assert_eq!(closest(typed, TYPES), None, "{typed}");
        }
        assert_eq!(closest("a", ["b", "c"]), None);
        assert_eq!(closest(&"m".repeat(1_000_000), TYPES), None);
    }

    #[test]
    fn the_nearest_wins_and_the_first_of_equals() {
        assert_eq!(closest("tag", ["tab", "tags", "tap"]), Some("tab"));
        assert_eq!(closest("unpakc", ["pack", "unpack"]), Some("unpack"));
        assert_eq!(closest("pack", ["pack"]), None);
    }

    #[test]
    fn distances_count_single_edits() {
        for (from, to, distance) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("ab", "ba", 1),
            ("naïve", "naive", 1),
        ] {
            let (from, to) = (folded(from).unwrap(), folded(to).unwrap());
            assert_eq!(edit_distance(&from, &to), distance);
            assert_eq!(edit_distance(&to, &from), distance);
        }
    }
}
