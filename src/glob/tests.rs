use proptest::prelude::*;

use super::*;

/// What a test pattern is made of, and what it means: written down a second time, by backtracking.
#[derive(Clone, Debug)]
enum Piece {
    Text(char),
    Question,
    Star,
    /// `**` behind a `/` or at the start, and a `/`.
    Folders,
    /// `[^a]` or `[ab]`.
    Set(bool, &'static [char]),
}

fn written(pieces: &[Piece], tail: bool) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(c) => text.push(*c),
            Piece::Question => text.push('?'),
            Piece::Star => text.push('*'),
            Piece::Folders => text.push_str("**/"),
            Piece::Set(negated, list) => {
                text.push_str(if *negated { "[^" } else { "[" });
                text.extend(list.iter());
                text.push(']');
            }
        }
    }
    if tail {
        text.push_str("**");
    }
    text
}

/// Matches by trying everything. `sets_cross` is the one difference between the dialects here.
fn slowly(pieces: &[Piece], tail: bool, path: &[char], sets_cross: bool) -> bool {
    let Some((piece, rest)) = pieces.split_first() else {
        return tail || path.is_empty();
    };
    let one = |holds: &dyn Fn(char) -> bool| {
        path.first().is_some_and(|c| holds(*c)) && slowly(rest, tail, &path[1..], sets_cross)
    };
    match piece {
        Piece::Text(c) => one(&|p| p == *c),
        Piece::Question => one(&|p| p != '/'),
        Piece::Set(negated, list) => {
            one(&|p| list.contains(&p) != *negated && (sets_cross || p != '/'))
        }
        Piece::Star => (0..=path.len())
            .take_while(|end| !path[..*end].contains(&'/'))
            .any(|end| slowly(rest, tail, &path[end..], sets_cross)),
        Piece::Folders => {
            slowly(rest, tail, path, sets_cross)
                || (1..=path.len())
                    .filter(|end| path[end - 1] == '/')
                    .any(|end| slowly(rest, tail, &path[end..], sets_cross))
        }
    }
}

/// Pieces that are already clean as a path, and in which no `*` touches another.
fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let inner = prop_oneof![
        4 => prop_oneof![Just('a'), Just('b'), Just('é')].prop_map(Piece::Text),
        1 => Just(Piece::Question),
        1 => Just(Piece::Star),
        1 => (any::<bool>(), prop_oneof![Just(&['a'][..]), Just(&['a', 'é'][..])])
            .prop_map(|(negated, list)| Piece::Set(negated, list)),
    ];
    let name = prop::collection::vec(inner, 1..4).prop_map(|mut name| {
        name.dedup_by(|a, b| matches!((a, b), (Piece::Star, Piece::Star)));
        name
    });
    prop::collection::vec((any::<bool>(), name), 1..4).prop_map(|names| {
        let mut all = Vec::new();
        for (folders, name) in names {
            if !all.is_empty() {
                all.push(Piece::Text('/'));
            }
            if folders {
                all.push(Piece::Folders);
            }
            all.extend(name);
        }
        all
    })
}

fn path() -> impl Strategy<Value = String> {
    "[abé]{1,3}(/[abé]{1,2}){0,4}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn both_dialects_agree_with_a_slow_matcher(
        pieces in pieces(),
        tail in any::<bool>(),
        path in path(),
    ) {
        let mut pieces = pieces;
        if tail {
            pieces.push(Piece::Text('/'));
        }
        let text = written(&pieces, tail);
        let characters: Vec<char> = path.chars().collect();
        for (pattern, sets_cross) in [
            (Pattern::new(&text).unwrap(), true),
            (Pattern::of_paths(&text).unwrap(), false),
        ] {
            let expected = slowly(&pieces, tail, &characters, sets_cross);
            prop_assert_eq!(pattern.matches(path.as_bytes()), expected, "{}", text);

            let above = (0..=characters.len())
                .filter(|end| *end == characters.len() || characters[*end] == '/')
                .any(|end| slowly(&pieces, tail, &characters[..end], sets_cross));
            prop_assert_eq!(pattern.covers(path.as_bytes()), above, "{} covers", text);
        }
    }

    #[test]
    fn any_text_compiles_or_is_refused_and_never_panics(
        text in r"[ab*?/\\\[\]^.-]{0,24}",
        path in prop::collection::vec(prop_oneof![Just(b'a'), Just(b'/'), any::<u8>()], 0..24),
    ) {
        for pattern in [Pattern::new(&text), Pattern::of_paths(&text)].into_iter().flatten() {
            let matched = pattern.matches(&path);
            prop_assert!(!matched || pattern.covers(&path));
        }
    }

    #[test]
    fn cleaning_twice_changes_nothing(text in "[a./]{0,16}") {
        let once = clean(&text);
        prop_assert_eq!(clean(&once), once);
    }
}

/// Checks what `compile` makes of a pattern against paths that match and paths that do not.
fn check(compile: fn(&str) -> Result<Pattern, Error>, table: &[(&str, &[&str], &[&str])]) {
    for (text, yes, no) in table {
        let pattern = compile(text).unwrap();
        for path in *yes {
            assert!(pattern.matches(path.as_bytes()), "`{text}` misses `{path}`");
        }
        for path in *no {
            assert!(!pattern.matches(path.as_bytes()), "`{text}` hits `{path}`");
        }
    }
}

#[test]
fn ignore_patterns_mean_what_docker_says() {
    check(
        Pattern::new,
        &[
            ("a", &["a"], &["b/a", "a/b", "aa", ""]),
            ("/a", &["a"], &["b/a"]),
            ("./a//b/", &["a/b"], &["a", "a/b/c"]),
            ("a/../b", &["b"], &["a"]),
            ("*.tmp", &["x.tmp", ".tmp"], &["d/x.tmp", "xatmp"]),
            (
                "ignored-?.txt",
                &["ignored-1.txt", "ignored-é.txt"],
                &["ignored-.txt", "s/ignored-1.txt"],
            ),
            ("*/x", &["a/x"], &["x", "a/b/x"]),
            ("**/x", &["x", "a/x", "a/b/x"], &["ax", "a/bx", "x/a"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "ab"]),
            (
                "a/**/b",
                &["a/b", "a/x/b", "a/x/y/b"],
                &["ab", "a/xb", "a/b/c"],
            ),
            ("**", &["a", "a/b"], &[]),
            ("***", &["a", "a/b"], &[]),
            ("**/**", &["a", "a/b"], &[]),
            // `**` at the end, or alone with plain text behind it, stands for anything.
            ("a**", &["a", "ab", "a/b", "ab/c"], &["b"]),
            ("**.csv", &["x.csv", "a/x.csv", ".csv"], &["x.csvx", "xcsv"]),
            // Everywhere else it ends at a folder.
            ("a/**.csv", &["a/.csv", "a/b/.csv"], &["a/x.csv"]),
            ("**.c?v", &[".csv", "a/.csv"], &["x.csv"]),
            ("a**b", &["ab", "ax/b", "a/x/b"], &["axb"]),
            ("a**/b", &["ab", "a/b", "ax/b"], &["axb"]),
            ("[a-c]x", &["ax", "cx"], &["dx", "x"]),
            ("[^a-c]x", &["dx", "éx", "/x"], &["ax", "x"]),
            ("[a\\-c]x", &["-x", "ax", "cx"], &["bx"]),
            ("[!a]", &["!", "a"], &["b"]),
            ("[*]", &["*"], &["a"]),
            ("\\*a", &["*a"], &["xa"]),
            ("\\d", &["d"], &["1"]),
            ("a]", &["a]"], &["a"]),
            ("a.b+(c)", &["a.b+(c)"], &["aXb+(c)"]),
        ],
    );
}

#[test]
fn path_patterns_reach_into_names() {
    check(
        Pattern::of_paths,
        &[
            (
                "data/**.csv",
                &["data/x.csv", "data/a/x.csv", "data/.csv"],
                &["x.csv", "data/x.tsv"],
            ),
            ("**/x", &["x", "a/x", "a/b/x"], &["ax", "a/bx"]),
            ("a/**/b", &["a/b", "a/x/b"], &["a/xb", "ab"]),
            ("a**/b", &["a/b", "ax/y/b"], &["ab"]),
            ("a**b", &["ab", "axb", "a/b"], &["b"]),
            ("*", &["a"], &["a/b"]),
            ("a[^b]c", &["axc"], &["a/c", "abc"]),
            ("a[+-9]c", &["a1c"], &["a/c"]),
            (".", &["a", "a/b"], &[]),
            ("/", &["a", "a/b"], &[]),
            ("", &["a", "a/b"], &[]),
        ],
    );
    for outside in ["..", "../x", "a/../../x"] {
        let error = Pattern::of_paths(outside).unwrap_err();
        assert!(matches!(error, Error::Outside { .. }), "{outside}");
    }
}

// hazard: 131
#[test]
fn a_bad_pattern_is_named_with_what_is_wrong() {
    for (text, message) in [
        (
            "a[",
            "pattern `a[` holds a `[` that does not begin a set such as `[a-z]`",
        ),
        (
            "[]a]",
            "pattern `[]a]` holds a `[` that does not begin a set such as `[a-z]`",
        ),
        (
            "[a-]",
            "pattern `[a-]` holds a `[` that does not begin a set such as `[a-z]`",
        ),
        (
            "[^]",
            "pattern `[^]` holds a `[` that does not begin a set such as `[a-z]`",
        ),
        (
            "x[z-a]",
            "pattern `x[z-a]` holds the range `z-a`, which is upside down",
        ),
        (
            "a\\",
            "pattern `a\\` ends with `\\`, which must stand before a character",
        ),
    ] {
        assert_eq!(Pattern::new(text).unwrap_err().to_string(), message);
        assert_eq!(Pattern::of_paths(text).unwrap_err().to_string(), message);
    }
    let long = Pattern::new(&"a".repeat(5000)).unwrap_err();
    assert!(
        long.to_string().ends_with("a…` is longer than 4096 bytes"),
        "{long}"
    );
}

#[test]
fn bytes_that_are_no_text_match_wildcards_only() {
    for (text, matched) in [
        ("a?b", true),
        ("a*b", true),
        ("a[^x]b", true),
        ("a[x]b", false),
    ] {
        assert_eq!(
            Pattern::new(text).unwrap().matches(b"a\xffb"),
            matched,
            "{text}"
        );
    }
    assert!(!Pattern::new("a?b").unwrap().matches(b"a\xff\xfeb"));
}

#[test]
fn a_pattern_covers_what_is_below_what_it_matches() {
    let covers = |text: &str, path: &str| Pattern::new(text).unwrap().covers(path.as_bytes());
    assert!(covers("a", "a"));
    assert!(covers("a", "a/b/c"));
    assert!(!covers("a", "ab/c"));
    assert!(covers("*/b", "a/b/c/d"));
    assert!(!covers("*/b", "a/c/b"));
    assert!(covers("**/n", "x/n/y"));
}

/// Backtracking would take longer than anybody waits.
// hazard: 131
#[test]
fn hostile_patterns_are_read_once() {
    let path = "a/".repeat(2000) + "b";
    for text in [
        "**".repeat(60) + "c",
        "**/".repeat(60) + "c",
        "*a".repeat(40) + "c",
        "**a".repeat(40) + "c",
        "*?".repeat(40) + "c",
    ] {
        for pattern in [Pattern::new(&text), Pattern::of_paths(&text)] {
            assert!(!pattern.unwrap().covers(path.as_bytes()), "{text}");
        }
        let long = "a".repeat(4000);
        assert!(
            !Pattern::new(&text).unwrap().matches(long.as_bytes()),
            "{text}"
        );
    }
}

#[test]
fn paths_are_cleaned_without_looking_at_files() {
    for (path, cleaned) in [
        ("", "."),
        (".", "."),
        ("./", "."),
        ("./README.md", "README.md"),
        ("src/", "src"),
        ("a//b/./c", "a/b/c"),
        ("a/../b", "b"),
        ("a/..", "."),
        ("../a", "../a"),
        ("../../a/..", "../.."),
        ("/..//a", "/a"),
        ("/", "/"),
    ] {
        assert_eq!(clean(path), cleaned, "{path}");
    }
}

#[test]
fn folders_below_which_nothing_can_match_are_known() {
    for (pattern, folder, may) in [
        ("data/*.csv", "data", true),
        ("data/*.csv", "data/deep", true),
        ("data", "data/deep", true),
        ("data/a/b", "data", true),
        ("**/a.csv", "data", true),
        ("a.csv", ".", true),
        ("data/*.csv", "model", false),
        ("data/a", "data/b", false),
    ] {
        let pattern = Pattern::of_paths(pattern).unwrap();
        let found = pattern.may_match_below(folder.as_bytes());
        assert_eq!(found, may, "{pattern:?} {folder}");
    }
}
