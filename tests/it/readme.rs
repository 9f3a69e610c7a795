//! The README's session works as it is printed.

use std::fs;

use crate::support::{Sandbox, testdata};

/// Returns the words of each `$ kit …` line in the console blocks of `text`.
fn commands(text: &str) -> Vec<Vec<String>> {
    let blocks = text
        .split("```console\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    blocks
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("$ kit "))
        .map(|line| {
            let words = line.split_whitespace().take_while(|word| *word != "#");
            words
                .map(|word| word.trim_matches('\'').to_owned())
                .collect()
        })
        .collect()
}

#[test]
fn every_command_in_the_readme_works_in_turn() {
    let readme = testdata("../README.md");
    let commands = commands(&fs::read_to_string(readme).unwrap());
    assert!(commands.len() > 10, "{commands:?}");
    let kit = Sandbox::new();
    kit.copy(&testdata("quickstart"), "testdata/quickstart");
    for command in commands {
        let output = kit.run(&command);
        assert_eq!(output.code, 0, "kit {}\n{output}", command.join(" "));
    }
}

#[test]
fn the_digest_in_the_readme_is_that_of_the_example() {
    let readme = fs::read_to_string(testdata("../README.md")).unwrap();
    let kit = Sandbox::new();
    kit.copy(&testdata("quickstart"), "testdata/quickstart");
    let output = kit.run(["pack", "testdata/quickstart", "-t", "quickstart:latest"]);
    assert!(output.stdout.starts_with("Model saved: "), "{output}");
    assert!(readme.contains(&format!("\n{}", output.stdout)), "{output}");
}

#[test]
fn console_blocks_are_read_as_a_shell_would() {
    let text =
        "```console\n$ kit a 'b/**'  # note\n$ cargo x\n```\n$ kit no\n```console\n$ kit d\n```";
    assert_eq!(commands(text), [vec!["a", "b/**"], vec!["d"]]);
}
