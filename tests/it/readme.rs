//! The README tells what the program does.

use std::fs;

use crate::support::{Sandbox, console, testdata};

fn readme() -> String {
    fs::read_to_string(testdata("../README.md")).unwrap()
}

#[test]
fn the_readme_runs_the_program_once_with_what_it_shows_and_its_tests_once() {
    let steps = console::steps(&readme());
    let [pack, test] = steps.as_slice() else {
        panic!("two commands: {steps:?}");
    };
    assert_eq!(test.line, "cargo test --locked");
    let (cargo, words) = pack.line.split_once(" -- ").unwrap();
    assert_eq!(cargo, "cargo run --release --locked");
    assert!(!pack.output.is_empty());
    let kit = Sandbox::new();
    kit.copy(&testdata("quickstart"), "testdata/quickstart");
    pack.check(&kit.run(words.split(' ')));
}

#[test]
fn the_readme_lists_the_commands_in_the_groups_of_the_help() {
    let help = Sandbox::new().run(["--help"]).success();
    let (_, groups) = help.split_once("\n\n").unwrap();
    let (groups, _) = groups.split_once("\nOptions:\n").unwrap();
    let mut rows: Vec<String> = Vec::new();
    for line in groups.lines().skip(2).filter(|line| !line.is_empty()) {
        match (line.strip_prefix("  "), rows.last_mut()) {
            (Some(command), Some(row)) => {
                let name = command.split(' ').next().unwrap();
                row.extend([" `", name, "`"]);
            }
            _ => rows.push(format!("| {} |", line.trim_end_matches(':'))),
        }
    }
    assert!(rows.len() > 3, "{rows:?}");
    for row in rows {
        assert!(readme().contains(&format!("{row} |\n")), "{row}");
    }
}
