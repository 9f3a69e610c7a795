//! `docs/reliability.md`: what may happen to a kit, what is promised, and which tests show it.
//!
//! The hazards are those of `testdata/hazards/cases.toml`. A line [`scan::MARKER`]`3, 17` directly
//! above the attributes of a test says that it shows these: it fails if the promise does not hold.
//! `SNAPSHOTS=overwrite cargo test --test it reliability::` writes the page anew.

mod page;
mod scan;

use std::{fs, path::Path};

use serde::Deserialize;

use scan::both;

/// How many hazards there are.
const HAZARDS: u16 = 145;
/// How many of them may go without a test.
const MAX_NOT_COVERED: usize = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    chapter: Vec<Chapter>,
    limit: Vec<Limit>,
}

/// A limit with a test that meets it from both sides.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    what: String,
    /// Where it is in `docs/format.md`.
    file: String,
    constant: String,
    test: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chapter {
    title: String,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    number: u16,
    /// Where a test must run.
    platform: String,
    #[serde(rename = "case")]
    what: String,
    promise: String,
    /// Why no test shows it.
    not_covered: Option<String>,
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn cases() -> Cases {
    let text = fs::read_to_string(package().join("testdata/hazards/cases.toml")).unwrap();
    toml::from_str(&text).unwrap()
}

#[test]
fn every_hazard_is_shown_by_a_test_or_has_a_reason_why_not() {
    let (cases, found) = (cases(), scan::scan());
    let all: Vec<&Case> = cases.chapter.iter().flat_map(|it| &it.case).collect();
    let numbers: Vec<u16> = all.iter().map(|it| it.number).collect();
    assert_eq!(numbers, (1..=HAZARDS).collect::<Vec<_>>());
    let mut faults = Vec::new();
    for case in &all {
        let number = case.number;
        let tests = found.tests.get(&number).map_or(&[][..], Vec::as_slice);
        let missing = both(
            scan::systems_of_platform(&case.platform),
            scan::union(tests).map(|it| !it),
        );
        match &case.not_covered {
            Some(why) => assert!(why.len() > 20, "{number}: say why"),
            None if missing != [false; 3] => {
                let text = format!(
                    "{number}: no test on {}: {}",
                    scan::words(missing),
                    case.what
                );
                faults.push(text);
            }
            None => {}
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let not_covered = all.iter().filter(|it| it.not_covered.is_some()).count();
    assert!(not_covered <= MAX_NOT_COVERED, "{not_covered}");
}

#[test]
fn every_marker_stands_above_a_test_and_names_hazards() {
    let found = scan::scan();
    assert!(found.faults.is_empty(), "{}", found.faults.join("\n"));
}

#[test]
fn the_page_is_what_the_cases_and_the_tests_say() {
    let (path, text) = (
        package().join("docs/reliability.md"),
        page::write(&cases(), &scan::scan()),
    );
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "overwrite") {
        fs::write(path, text).unwrap();
        return;
    }
    let there = fs::read_to_string(path).unwrap_or_default();
    assert!(
        there == text,
        "{}\n`SNAPSHOTS=overwrite cargo test --test it reliability::` writes it",
        crate::reference::difference("docs/reliability.md", &there, &text)
    );
}

#[test]
fn the_limits_and_their_tests_are_there() {
    let tests = scan::scan().places;
    let page = fs::read_to_string(package().join("docs/format.md")).unwrap();
    for limit in cases().limit {
        let row = format!("`{}` `{}` |\n", limit.file, limit.constant);
        assert!(page.contains(&row), "docs/format.md has no {row}");
        assert!(tests.contains_key(&limit.test), "no test {}", limit.test);
    }
}
