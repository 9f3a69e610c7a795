//! Which test shows which hazard, and where it runs, as the sources say.

use std::{collections::BTreeMap, fs, path::Path};

use super::{HAZARDS, package};

/// What markers begin with. In two parts, because this file is scanned, too.
pub(super) const MARKER: &str = concat!("// hazard", ": ");

/// On which systems something is compiled: Linux, macOS, Windows.
pub(super) type Systems = [bool; 3];

const EVERYWHERE: Systems = [true; 3];

pub(super) fn both(a: Systems, b: Systems) -> Systems {
    [0, 1, 2].map(|it| a[it] && b[it])
}

fn either(a: Systems, b: Systems) -> Systems {
    [0, 1, 2].map(|it| a[it] || b[it])
}

/// A test that shows something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Test {
    /// Below the package.
    pub(super) file: String,
    pub(super) name: String,
    pub(super) systems: Systems,
}

/// What a scan has found.
#[derive(Default)]
pub(super) struct Found {
    /// The tests by the hazard they show.
    pub(super) tests: BTreeMap<u16, Vec<Test>>,
    pub(super) faults: Vec<String>,
    /// The files of all tests, whether they show anything or not.
    pub(super) places: BTreeMap<String, String>,
}

/// Scans the sources of the program and of its tests.
pub(super) fn scan() -> Found {
    let mut found = Found::default();
    for root in ["src", "tests/it"] {
        scan_folder(&package().join(root), root, EVERYWHERE, &mut found);
    }
    for tests in found.tests.values_mut() {
        tests.sort();
    }
    found
}

/// Scans the files in `folder`, which is compiled on `systems`.
fn scan_folder(folder: &Path, name: &str, systems: Systems, found: &mut Found) {
    let list = ["mod.rs", "lib.rs", "main.rs"]
        .map(|name| fs::read_to_string(folder.join(name)).unwrap_or_default())
        .concat();
    let list: Vec<&str> = list.lines().collect();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let systems = both(systems, systems_of_module(&list, file));
        let name = format!("{name}/{file}");
        if path.is_dir() {
            scan_folder(&path, &name, systems, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            scan_text(&name, &fs::read_to_string(&path).unwrap(), systems, found);
        }
    }
}

/// Returns where the module in the file or folder `file` is compiled, as `list` declares it.
fn systems_of_module(list: &[&str], file: &str) -> Systems {
    let name = file.trim_end_matches(".rs");
    let declares = |line: &&str| {
        let line = line.trim_start_matches("pub(crate) ");
        line.starts_with(&format!("mod {name};"))
    };
    match list.iter().position(declares) {
        Some(at) => systems_of_attributes(&attributes_above(list, at)),
        None => EVERYWHERE,
    }
}

fn scan_text(file: &str, text: &str, systems: Systems, found: &mut Found) {
    let lines: Vec<&str> = text.lines().collect();
    let inner = lines.iter().filter_map(|it| it.strip_prefix("#![cfg("));
    let systems = inner.fold(systems, |all, condition| {
        both(all, evaluate(condition.strip_suffix(")]").unwrap()))
    });
    for (at, line) in lines.iter().enumerate() {
        if line.trim_start().starts_with("#[test]")
            && let Ok((name, _)) = test_below(&lines, at.saturating_sub(1))
        {
            found.places.insert(name, file.to_owned());
        }
        if !line.contains(MARKER.trim_end()) {
            continue;
        }
        let place = format!("{file}:{}", at + 1);
        let Some(numbers) = line.trim_start().strip_prefix(MARKER) else {
            found
                .faults
                .push(format!("{place}: the form is `{MARKER}3, 17`"));
            continue;
        };
        let numbers: Vec<Option<u16>> = numbers.split(", ").map(|it| it.parse().ok()).collect();
        if !numbers.is_sorted_by(|a, b| a < b) {
            found.faults.push(format!("{place}: numbers are sorted"));
        }
        match test_below(&lines, at) {
            Ok((name, own)) => {
                let mut systems = both(both(systems, own), systems_around(&lines, at));
                if may_skip(&lines, at) {
                    systems = both(systems, systems_of_platform("linux"));
                }
                for number in numbers {
                    let shows = Test {
                        file: file.to_owned(),
                        name: name.clone(),
                        systems,
                    };
                    match number.filter(|it| (1..=HAZARDS).contains(it)) {
                        Some(number) => found.tests.entry(number).or_default().push(shows),
                        None => found
                            .faults
                            .push(format!("{place}: there is no such hazard")),
                    }
                }
            }
            Err(fault) => found.faults.push(format!("{place}: {fault}")),
        }
    }
}

/// Returns the name of the test below a marker, and where its attributes let it be compiled.
fn test_below(lines: &[&str], marker: usize) -> Result<(String, Systems), &'static str> {
    let (mut attributes, mut open) = (vec![String::new()], 0);
    for line in &lines[marker + 1..] {
        let line = line.trim();
        if open == 0 && !line.starts_with("#[") {
            let name = line
                .trim_start_matches("async ")
                .strip_prefix("fn ")
                .and_then(|it| it.split_once('('));
            let has = |start: &str| attributes.iter().any(|it| it.starts_with(start));
            return match name {
                Some(_) if has("#[ignore") => Err("an ignored test shows nothing"),
                Some((name, _)) if has("#[test]") || has("#[tokio::test") => {
                    Ok((name.to_owned(), systems_of_attributes(&attributes)))
                }
                _ => Err("it stands directly above the attributes of no test"),
            };
        }
        if open == 0 {
            attributes.push(String::new());
        }
        attributes
            .last_mut()
            .expect("it began with one")
            .push_str(line);
        open += line.matches('[').count();
        open -= line.matches(']').count();
    }
    Err("nothing follows")
}

/// Tells whether the test below a marker may end early: where a program is missing, say. All of
/// them are installed only on Linux, where that is a failure.
fn may_skip(lines: &[&str], marker: usize) -> bool {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let end = |line: &&&str| line.trim() == "}" && indent(line) == indent(lines[marker]);
    let body = lines[marker..].iter().take_while(|line| !end(line));
    let skips = ["return;", "else { return }", "as_nobody("];
    body.into_iter()
        .any(|line| skips.iter().any(|it| line.contains(it)))
}

/// Returns where the modules inside this file, in which a line stands, are compiled.
fn systems_around(lines: &[&str], at: usize) -> Systems {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let (mut systems, mut inside) = (EVERYWHERE, depth(lines[at]));
    for (number, line) in lines[..at].iter().enumerate().rev() {
        let is_module = line.trim_start().starts_with("mod ") && line.ends_with('{');
        if depth(line) < inside && is_module {
            inside = depth(line);
            let own = systems_of_attributes(&attributes_above(lines, number));
            systems = both(systems, own);
        }
    }
    systems
}

fn attributes_above(lines: &[&str], at: usize) -> Vec<String> {
    let above = lines[..at].iter().rev().map(|line| line.trim());
    let attributes = above.take_while(|line| line.starts_with("#["));
    attributes.map(str::to_owned).collect()
}

fn systems_of_attributes(attributes: &[String]) -> Systems {
    let conditions = attributes.iter().filter_map(|it| it.strip_prefix("#[cfg("));
    conditions.fold(EVERYWHERE, |all, condition| {
        let (condition, _) = condition.rsplit_once(")]").unwrap();
        both(all, evaluate(condition))
    })
}

/// Returns the systems for which a condition holds.
fn evaluate(condition: &str) -> Systems {
    let inner = |name: &str| {
        let rest = condition.strip_prefix(name)?.strip_prefix('(')?;
        rest.strip_suffix(')')
    };
    if let Some(condition) = inner("not") {
        return evaluate(condition).map(|it| !it);
    }
    if let Some(all) = inner("all") {
        return arguments(all)
            .into_iter()
            .map(evaluate)
            .fold(EVERYWHERE, both);
    }
    if let Some(any) = inner("any") {
        return arguments(any)
            .into_iter()
            .map(evaluate)
            .fold([false; 3], either);
    }
    match condition {
        "test" | "debug_assertions" => EVERYWHERE,
        // The tests that count are those of the ordinary program.
        r#"feature = "failpoints""# => [false; 3],
        "unix" => [true, true, false],
        "windows" => [false, false, true],
        r#"target_os = "linux""# => [true, false, false],
        r#"target_os = "macos""# => [false, true, false],
        _ => panic!("teach the scan what `{condition}` means"),
    }
}

/// Splits at the commas outside of parentheses.
fn arguments(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let split = text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    split.map(str::trim).collect()
}

pub(super) fn systems_of_platform(platform: &str) -> Systems {
    match platform {
        "all" => EVERYWHERE,
        "unix" => evaluate("unix"),
        "windows" => evaluate("windows"),
        "linux" => evaluate(r#"target_os = "linux""#),
        "macos" => evaluate(r#"target_os = "macos""#),
        _ => panic!("there is no platform `{platform}`"),
    }
}

/// Returns where something runs, in words.
pub(super) fn words(systems: Systems) -> String {
    if systems == EVERYWHERE {
        return "everywhere".to_owned();
    }
    let names = ["Linux", "macOS", "Windows"].iter().zip(systems);
    let names = names.filter_map(|(name, is_one)| is_one.then_some(*name));
    names.collect::<Vec<_>>().join(", ")
}

pub(super) fn union(tests: &[Test]) -> Systems {
    let all = tests.iter().map(|test| test.systems);
    all.fold([false; 3], either)
}

#[test]
fn the_scan_sees_what_it_must_see() {
    let text = "\
M 1, 2
#[test]
fn one() {}

M 3
#[cfg(all(unix, not(target_os = \"macos\")))]
#[tokio::test(
    start_paused = true
)]
async fn two() {}

#[cfg(windows)]
mod inner {
    M 4
    #[test]
    fn three() {
    }
}
M 5
fn helper() {}
M 6
#[test]
#[ignore = \"x\"]
fn ignored() {}
M 146
#[test]
fn unknown() {}
M 8, 7
#[test]
fn unsorted() {}
M 9
#[test]
fn skips() {
    if !have(\"it\") {
        return;
    }
}
let x = 1; M 10
"
    .replace("M ", MARKER);
    let mut found = Found::default();
    scan_text("x.rs", &text, EVERYWHERE, &mut found);
    let name = |number: u16| found.tests[&number][0].name.as_str();
    let systems = |number: u16| words(found.tests[&number][0].systems);
    assert_eq!(
        [1, 2, 3, 4, 7].map(name),
        ["one", "one", "two", "three", "unsorted"]
    );
    assert_eq!(
        [1, 3, 4, 9].map(systems),
        ["everywhere", "Linux", "Windows", "Linux"]
    );
    assert_eq!(
        found.faults,
        [
            "x.rs:19: it stands directly above the attributes of no test",
            "x.rs:21: an ignored test shows nothing",
            "x.rs:25: there is no such hazard",
            "x.rs:28: numbers are sorted",
            &format!("x.rs:38: the form is `{MARKER}3, 17`"),
        ]
    );
    let list = ["#[cfg(unix)]", "mod unix;", "pub(crate) mod other;"];
    assert_eq!(words(systems_of_module(&list, "unix.rs")), "Linux, macOS");
    assert_eq!(words(systems_of_module(&list, "other")), "everywhere");
}
