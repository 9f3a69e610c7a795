//! What holds for every file of the house and for what it is built from.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::spdx;

/// Folders with bytes that are not ours to tidy, or not kept at all.
const SKIPPED: &[&str] = &[
    ".git",
    "target",
    "testdata/artifacts",
    "testdata/corpora",
    "testdata/documents",
    "testdata/golden",
    "testdata/kitfiles",
];

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the path below the package and the text of each text file.
fn texts() -> Vec<(String, String)> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if SKIPPED.contains(&name(&path).as_str()) {
                continue;
            }
            if path.is_dir() && !path.is_symlink() {
                collect(&path, found);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    let mut files = Vec::new();
    collect(package(), &mut files);
    files.sort();
    let read = |path: PathBuf| Some((name(&path), fs::read_to_string(path).ok()?));
    files.into_iter().filter_map(read).collect()
}

/// Returns the path below the package, with `/`.
fn name(path: &Path) -> String {
    path.strip_prefix(package())
        .unwrap()
        .to_string_lossy()
        .replace('\\', "/")
}

#[test]
fn lines_end_without_blanks_and_files_with_one_newline() {
    let mut faults = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.split('\n').enumerate() {
            if line.ends_with([' ', '\t', '\r']) {
                faults.push(format!("{path}:{}: blanks at the end", number + 1));
            }
        }
        if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
            faults.push(format!("{path}: the end is not one newline"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_changelog_has_a_place_for_what_comes_next() {
    let text = fs::read_to_string(package().join("docs/changelog.md")).unwrap();
    let first = text.lines().find(|line| line.starts_with("## "));
    assert_eq!(first, Some("## Unreleased"));
}

/// The licences a dependency may have: one list, which cargo-deny reads too.
fn allowed_licences() -> Vec<String> {
    let text = fs::read_to_string(package().join(".github/deny.toml")).unwrap();
    let (_, licences) = text.split_once("[licenses]").unwrap();
    let (_, list) = licences.split_once("allow = [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

// hazard: 145
#[test]
fn every_dependency_may_be_shipped_under_our_licence() {
    let allowed = allowed_licences();
    assert!(allowed.contains(&"Apache-2.0".to_owned()), "{allowed:?}");
    let mut used = BTreeSet::new();
    let mut faults = Vec::new();
    for package in metadata()["packages"].as_array().unwrap() {
        if package["source"].is_null() {
            continue; // our own
        }
        let name = format!("{} {}", package["name"], package["version"]).replace('"', "");
        let Some(expression) = package["license"].as_str() else {
            faults.push(format!("{name}: no licence is named"));
            continue;
        };
        match spdx::is_met(expression, &allowed) {
            Ok(true) => used.insert(expression.to_owned()),
            Ok(false) => {
                faults.push(format!(
                    "{name}: `{expression}` is not in .github/deny.toml"
                ));
                false
            }
            Err(error) => {
                faults.push(format!("{name}: {error}"));
                false
            }
        };
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(!used.is_empty(), "no dependency was seen");
}

/// Asks cargo for all locked packages, of all platforms. Without a network that works once
/// `cargo fetch --locked` has been run.
fn metadata() -> Value {
    let cargo = |offline: &[&str]| {
        Command::new(env!("CARGO"))
            .args(["metadata", "--locked", "--format-version", "1"])
            .args(offline)
            .current_dir(package())
            .output()
            .unwrap()
    };
    let mut output = cargo(&["--offline"]);
    if !output.status.success() {
        output = cargo(&[]);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "run `cargo fetch --locked` first:\n{said}"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

// hazard: 145
#[test]
fn workflows_have_no_secrets_and_build_what_is_locked() {
    let mut seen = 0;
    for (path, text) in texts() {
        if !path.starts_with(".github/workflows/") {
            continue;
        }
        let mut faults = Vec::new();
        for banned in [
            "secrets.",
            "pull_request_target",
            "workflow_run",
            "write-all",
        ] {
            if text.contains(banned) {
                faults.push(banned.to_owned());
            }
        }
        // They read the sources, and that is all; what a job of a release may do beside that is
        // counted here.
        let may_write = usize::from(path.ends_with("/release.yml")) * 6;
        if !text.contains("\npermissions:\n  contents: read\n")
            || text.matches(": write").count() != may_write
        {
            faults.push("permissions".to_owned());
        }
        if !text.contains("\nconcurrency:\n  group: ") {
            faults.push("concurrency".to_owned());
        }
        for line in text.lines().map(str::trim) {
            let line = line.trim_start_matches("- ");
            if let Some(action) = line.strip_prefix("uses: ") {
                seen += 1;
                // A tag can be moved, a commit cannot. What stands behind it is for people.
                let (version, words) = action
                    .split_once('@')
                    .and_then(|(_, rest)| rest.split_once(" # v"))
                    .unwrap_or_default();
                let is_commit =
                    version.len() == 40 && version.chars().all(|c| c.is_ascii_hexdigit());
                let is_pinned = is_commit && words.split('.').count() == 3;
                if !is_pinned && !action.starts_with("./") {
                    faults.push(line.to_owned());
                }
            }
            let words: Vec<&str> = line
                .trim_start_matches("run: ")
                .split_whitespace()
                .collect();
            let builds = [
                "build", "test", "check", "clippy", "doc", "install", "fetch",
            ];
            if let ["cargo", command, ..] = words[..]
                && builds.contains(&command)
                && !words.contains(&"--locked")
            {
                faults.push(line.to_owned());
            }
        }
        let (checkouts, kept) = ("uses: actions/checkout@", "persist-credentials: false");
        if text.matches(checkouts).count() != text.matches(kept).count() {
            faults.push(format!("{checkouts} without {kept}"));
        }
        assert!(faults.is_empty(), "{path}: {faults:#?}");
    }
    assert!(seen > 5, "{seen}");
}

// hazard: 145
#[test]
fn every_dependency_is_locked_with_its_checksum() {
    let lock = fs::read_to_string(package().join("Cargo.lock")).unwrap();
    let packages: Vec<&str> = lock.split("[[package]]").skip(1).collect();
    assert!(packages.len() > 50, "{}", packages.len());
    for package in packages {
        let is_ours = !package.contains("\nsource = ");
        let name = package.lines().nth(1).unwrap();
        assert!(!is_ours || name == "name = \"modelkit\"", "{name}");
        let registry =
            "\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"";
        assert!(is_ours || package.contains(registry), "{package}");
    }
}

#[test]
fn links_between_our_documents_lead_somewhere() {
    let mut faults = Vec::new();
    let mut count = 0;
    for (path, text) in texts() {
        if Path::new(&path)
            .extension()
            .is_none_or(|extension| extension != "md")
        {
            continue;
        }
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            if file.contains(':') || file.starts_with('/') {
                continue; // elsewhere
            }
            count += 1;
            let target = match file {
                "" => package().join(&path),
                file => package().join(&path).parent().unwrap().join(file),
            };
            if !target.exists() {
                faults.push(format!("{path}: no such file: {link}"));
            } else if !anchor.is_empty() {
                let text = fs::read_to_string(target).unwrap();
                if !anchors(&text).contains(anchor) {
                    faults.push(format!("{path}: no such heading: {link}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 0, "no link was seen");
}

/// Returns the targets of `[text](target)` outside of code blocks.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        in_code ^= line.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        for (at, open) in line.match_indices("](") {
            if let Some((target, _)) = line[at + open.len()..].split_once(')') {
                links.push(target.to_owned());
            }
        }
    }
    links
}

/// Returns what the headings of `text` are called in links: lower case, `-` for a blank, no
/// punctuation.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let kept = line.trim_start_matches('#').trim().to_lowercase();
            kept.chars()
                .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

#[test]
fn links_and_headings_are_read_as_markdown_means_them() {
    let text = "# A `b` (c)!\n[x](y.md#z) and [w](#a)\n```\n[not](a-link)\n```\n";
    assert_eq!(links(text), ["y.md#z", "#a"]);
    assert_eq!(anchors(text), BTreeSet::from(["a-b-c".to_owned()]));
}
