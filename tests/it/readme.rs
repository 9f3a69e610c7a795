//! The README's session works as it is printed.

use std::fs;

use crate::support::{Sandbox, console, testdata};

#[test]
fn every_command_in_the_readme_works_in_turn_and_prints_what_is_shown() {
    let readme = fs::read_to_string(testdata("../README.md")).unwrap();
    let steps = console::steps(&readme);
    // Others install and test the program.
    let ours: Vec<_> = steps.iter().filter(|it| it.kit().is_some()).collect();
    assert!(ours.len() > 10, "{ours:?}");
    assert!(ours.iter().any(|step| !step.output.is_empty()));
    let kit = Sandbox::new();
    kit.copy(&testdata("quickstart"), "testdata/quickstart");
    for step in ours {
        step.check(&kit.run(step.kit().unwrap()));
    }
}
