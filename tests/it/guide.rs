//! The guide's session works as it is printed, from an empty folder on.

use std::fs;

use crate::support::{Sandbox, console, testdata};

#[cfg(unix)]
#[test]
fn every_command_in_the_guide_works_in_turn_and_prints_what_is_shown() {
    let guide = fs::read_to_string(testdata("../docs/guide.md")).unwrap();
    let steps = console::steps(&guide);
    assert!(steps.len() > 30, "{}", steps.len());
    let mut kit = Sandbox::new();
    kit.find_kit();
    for step in steps {
        step.run_in_shell(&kit);
    }
}

#[test]
fn every_exit_code_is_in_the_table_for_when_something_is_wrong() {
    let page = |name: &str| fs::read_to_string(testdata(name)).unwrap();
    let (guide, format) = (page("../docs/guide.md"), page("../docs/format.md"));
    let (_, codes) = format.split_once("\n## Exit codes\n").unwrap();
    let codes = codes.split("\n## ").next().unwrap();
    let codes = codes
        .lines()
        .filter_map(|row| row.strip_prefix("| ")?.split(' ').next());
    let codes: Vec<u8> = codes.filter_map(|code| code.parse().ok()).collect();
    assert!(codes.contains(&143), "{codes:?}");
    for code in codes.into_iter().filter(|code| *code != 0) {
        assert!(guide.contains(&format!("\n| {code} |")), "{code}");
    }
}
