//! The layer rules of docs/architecture.md, checked against the sources.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each top-level module and those it may name, lower layers first.
const MAY_USE: &[(&str, &[&str])] = &[
    // Vocabulary: values and rules that touch nothing outside.
    ("digest", &[]),
    ("limits", &[]),
    ("progress", &[]),
    ("suggest", &[]),
    ("glob", &[]),
    ("reference", &["digest", "suggest"]),
    ("oci", &["digest"]),
    (
        "kitfile",
        &["digest", "glob", "oci", "reference", "suggest"],
    ),
    ("filter", &["glob", "kitfile", "oci", "suggest"]),
    ("chunk", &["digest"]),
    ("toc", &["chunk", "digest", "oci"]),
    ("model", &[]),
    // Mechanisms: each talks to one thing outside.
    ("failpoint", &[]),
    ("platform", &["failpoint"]),
    ("config", &[]),
    ("http", &["failpoint"]),
    ("credentials", &["failpoint", "platform"]),
    (
        "registry",
        &[
            "credentials",
            "digest",
            "failpoint",
            "http",
            "oci",
            "reference",
        ],
    ),
    ("s3", &["digest", "http"]),
    (
        "archive",
        &[
            "chunk",
            "digest",
            "failpoint",
            "glob",
            "limits",
            "platform",
            "progress",
            "toc",
        ],
    ),
    (
        "store",
        &[
            "digest",
            "failpoint",
            "limits",
            "oci",
            "platform",
            "progress",
            "reference",
            "suggest",
            "toc",
        ],
    ),
    ("cache", &["digest", "platform", "toc"]),
    ("origins", &["digest", "platform"]),
    // Operations: everything below but the environment.
    (
        "ops",
        &[
            "archive",
            "cache",
            "chunk",
            "credentials",
            "digest",
            "failpoint",
            "filter",
            "glob",
            "http",
            "kitfile",
            "limits",
            "model",
            "oci",
            "platform",
            "progress",
            "reference",
            "registry",
            "s3",
            "store",
            "suggest",
            "toc",
        ],
    ),
    // The terminal.
    (
        "cli",
        &[
            "archive",
            "cache",
            "chunk",
            "config",
            "credentials",
            "digest",
            "failpoint",
            "filter",
            "glob",
            "http",
            "kitfile",
            "limits",
            "model",
            "oci",
            "ops",
            "origins",
            "platform",
            "progress",
            "reference",
            "registry",
            "s3",
            "store",
            "suggest",
            "toc",
        ],
    ),
    ("lib", &[]),
    ("main", &[]),
];

/// What only some modules may mention. `println!` is in `eprintln!` too.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("println!", &["cli"]),
    ("process::exit", &[]),
    ("env::var", &["config"]),
    ("clap::", &["cli"]),
    ("indicatif::", &["cli"]),
    ("terminal_size::", &["cli"]),
    ("anstyle::", &["cli"]),
    ("signal_hook::", &["cli"]),
    ("tar::", &["archive"]),
    ("flate2::", &["archive"]),
    ("zstd::", &["archive"]),
    ("granit_parser::", &["kitfile"]),
    ("serde_saphyr::", &["kitfile"]),
    ("spdx::", &["ops"]),
    ("toml::", &["config"]),
    ("reqwest::", &["http"]),
    ("rustls::", &["http"]),
    ("webpki_root_certs::", &["http"]),
    ("tokio::", &["cli", "http", "ops", "registry"]),
    ("rpassword::", &["cli"]),
    ("zeroize::", &["credentials"]),
    ("blake3::", &["chunk"]),
    ("bytes::", &["http", "registry", "s3"]),
    ("http_body::", &["http"]),
    ("base64::", &["credentials", "http"]),
    ("fastrand::", &["credentials", "http"]),
];

/// More than this in one file is more than one subject.
const MOST_LINES: usize = 500;

#[test]
fn modules_use_only_the_layers_below_them() {
    let mut faults = Vec::new();
    for source in sources("src") {
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == source.module) else {
            faults.push(format!(
                "{}: give `{}` its layer in MAY_USE",
                source.path, source.module
            ));
            continue;
        };
        for used in modules_named(&source.code) {
            if used != source.module && !allowed.contains(&used.as_str()) {
                faults.push(format!(
                    "{}: `{}` may not use `{used}`",
                    source.path, source.module
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_page_has_the_same_table() {
    let page = fs::read_to_string(crate::support::testdata("../docs/architecture.md")).unwrap();
    let quoted = |text: &str| -> Vec<String> {
        let words = text.split('`').skip(1).step_by(2);
        words.map(str::to_owned).collect()
    };
    let mut above: Vec<String> = Vec::new();
    let mut told = Vec::new();
    let (_, table) = page.split_once("| layer | module |").unwrap();
    for row in table.lines().skip(2).take_while(|row| row.starts_with('|')) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let uses = match cells[2].split_once("all above but ") {
            Some((_, not)) => above
                .iter()
                .filter(|module| !quoted(not).contains(module))
                .cloned()
                .collect(),
            None if cells[2] == "all" => above.clone(),
            None => quoted(cells[2]),
        };
        let module = quoted(cells[1]).remove(0);
        above.push(module.clone());
        told.push((module, uses));
    }
    let modules = MAY_USE
        .iter()
        .filter(|(name, _)| !["lib", "main"].contains(name));
    let sorted = |(module, mut uses): (String, Vec<String>)| {
        uses.sort();
        (module, uses)
    };
    let mut expected: Vec<_> = modules
        .map(|(name, uses)| {
            let uses = uses.iter().map(ToString::to_string).collect();
            sorted((name.to_string(), uses))
        })
        .collect();
    let mut told: Vec<_> = told.into_iter().map(sorted).collect();
    expected.sort();
    told.sort();
    assert_eq!(told, expected);
}

#[test]
fn what_has_one_home_stays_there() {
    let mut faults = Vec::new();
    for source in sources("src") {
        for (word, homes) in ONLY_IN {
            if mentions(&source.code, word) && !homes.contains(&source.module.as_str()) {
                faults.push(format!("{}: `{word}` belongs in {homes:?}", source.path));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let mut faults = Vec::new();
    for source in sources("src").into_iter().chain(sources("tests/it")) {
        if source.lines > MOST_LINES {
            faults.push(format!(
                "{}: {} lines, at most {MOST_LINES}",
                source.path, source.lines
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

pub(crate) struct Source {
    /// The top-level module the file belongs to.
    module: String,
    /// The path below the package.
    pub(crate) path: String,
    /// The text without comments.
    pub(crate) code: String,
    lines: usize,
}

/// Returns the Rust files below `folder` of the package, sorted by path.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&package.join(folder), &mut files);
    files.sort();
    assert!(!files.is_empty(), "no sources in {folder}");
    files
        .iter()
        .map(|file| {
            let path = file
                .strip_prefix(package)
                .unwrap()
                .to_str()
                .unwrap()
                .replace('\\', "/");
            let text = fs::read_to_string(file).unwrap();
            let below = &path[folder.len() + 1..];
            Source {
                module: below.split(['/', '.']).next().unwrap().to_owned(),
                code: without_comments(&text),
                lines: text.lines().count(),
                path,
            }
        })
        .collect()
}

/// Drops the rest of a line from `//` on, also inside a string: none of the words sought here
/// stands behind one.
fn without_comments(text: &str) -> String {
    let code = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// Tells whether `word` stands in `code` other than as the end of a longer name.
fn mentions(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        word == "println!" || !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// Returns the top-level modules named by `crate::a` and `crate::{a, b::{c, d}}`.
fn modules_named(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, path) in code.match_indices("crate::") {
        let rest = code[at + path.len()..].trim_start();
        let Some(list) = rest.strip_prefix('{') else {
            names.insert(first_word(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = true;
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && !c.is_whitespace() => {
                    names.insert(first_word(&list[at..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    names.remove(""); // `crate::` in a macro or a string
    names
}

fn first_word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

#[test]
fn the_checks_see_what_they_must_see() {
    let code = "use crate::{a, b::{c, d},\n  e};\nfn f(x: crate::g::H) {} // crate::h";
    let names = modules_named(&without_comments(code));
    assert_eq!(
        names.iter().map(String::as_str).collect::<Vec<_>>(),
        ["a", "b", "e", "g"]
    );
    assert!(mentions("eprintln!(\"x\")", "println!"));
    assert!(mentions("std::env::var_os(\"X\")", "env::var"));
    assert!(mentions("use tar::Header;", "tar::"));
    assert!(!mentions("use avatar::Header;", "tar::"));
}
