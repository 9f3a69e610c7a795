//! What `.github/SECURITY.md` says is shown by what it names.

use std::{collections::BTreeSet, fs, path::Path};

/// What a promise stands on: hazards, and tests with the file each is in.
struct Row<'t> {
    promise: &'t str,
    hazards: Vec<u16>,
    tests: Vec<(&'t str, &'t str)>,
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(package().join(".github/SECURITY.md")).unwrap()
}

/// Reads the tables that begin with `| cannot |`.
fn promises(page: &str) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("| cannot | hazards | tests |") {
            inside = true;
        } else if !line.starts_with('|') {
            inside = false;
        } else if inside && !line.starts_with("|---") {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [promise, hazards, tests] = cells[..] else {
                panic!("{line}");
            };
            rows.push(Row {
                promise,
                hazards: numbers(hazards),
                tests: named(tests),
            });
        }
    }
    rows
}

/// Reads `1, 2, 3`.
fn numbers(text: &str) -> Vec<u16> {
    let parts = text.split(',').map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().unwrap_or_else(|_| panic!("{text}")))
        .collect()
}

/// Reads links whose text is the name of a test, and whose target is the file it is in.
fn named(text: &str) -> Vec<(&str, &str)> {
    let links = text.split("[`").skip(1);
    links
        .map(|link| {
            let (name, rest) = link.split_once("`](../").expect("the form of a link");
            (name, rest.split_once(')').expect("the end of a link").0)
        })
        .collect()
}

/// The numbers in brackets in the other cells, as in `(84)` and `(24, 26)`.
fn in_brackets(page: &str) -> BTreeSet<u16> {
    let inside = page.split('(').skip(1);
    inside
        .filter_map(|rest| rest.split_once(')'))
        .filter(|(list, _)| list.starts_with(|c: char| c.is_ascii_digit()))
        .flat_map(|(list, _)| numbers(list))
        .collect()
}

/// The hazards that tests show.
fn covered() -> BTreeSet<u16> {
    let text = fs::read_to_string(package().join("testdata/hazards/cases.toml")).unwrap();
    let cases = text.split("[[chapter.case]]").skip(1);
    cases
        .filter(|case| !case.contains("\nnot_covered = "))
        .map(|case| {
            let number = case.lines().find_map(|line| line.strip_prefix("number = "));
            number.unwrap().parse().unwrap()
        })
        .collect()
}

#[test]
fn every_promise_names_hazards_or_tests_that_are_there() {
    let (page, covered) = (page(), covered());
    let rows = promises(&page);
    let mut faults = Vec::new();
    for row in &rows {
        if row.hazards.is_empty() && row.tests.is_empty() {
            faults.push(format!("nothing shows it: {}", row.promise));
        }
        for number in &row.hazards {
            if !covered.contains(number) {
                faults.push(format!("no test shows {number}: {}", row.promise));
            }
        }
        for (name, file) in &row.tests {
            let text = fs::read_to_string(package().join(file)).unwrap_or_default();
            if !text.contains(&format!("fn {name}(")) {
                faults.push(format!("{file} has no test {name}"));
            }
        }
    }
    for number in in_brackets(&page) {
        if !covered.contains(&number) {
            faults.push(format!("no test shows {number}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(rows.len() > 25, "{}", rows.len());
}

#[test]
fn the_page_is_read_as_it_is_meant() {
    let page = "| cannot | hazards | tests |\n|---|---|---|\n| fly | 1, 20 | [`a_b`](../c/d.rs) |\n\n\
                | can | live |\n|---|---|\n| swim (3, 4) (or not) | x |\n";
    let rows = promises(page);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].promise, "fly");
    assert_eq!(rows[0].hazards, [1, 20]);
    assert_eq!(rows[0].tests, [("a_b", "c/d.rs")]);
    assert_eq!(in_brackets(page), BTreeSet::from([3, 4]));
}

#[test]
fn only_a_helper_for_logins_is_ever_run() {
    fn look(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path, found);
                continue;
            }
            // What follows is tests of the module.
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            let is_test = path.file_stem().is_some_and(|name| name == "tests")
                || path.components().any(|part| part.as_os_str() == "tests");
            let runs = [".spawn()", "process::Command", "CommandExt", "libc::exec"];
            if !is_test && runs.iter().any(|it| text.contains(it)) {
                found.push(path.strip_prefix(package()).unwrap().display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    look(&package().join("src"), &mut found);
    let helper = Path::new("src/credentials/helper.rs").display().to_string();
    assert_eq!(found, [helper]);
}
