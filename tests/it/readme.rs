//! The README's session works as it is printed.

use std::fs;

use crate::support::{Sandbox, testdata};

/// A command of a console block, and what is printed below it.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    /// The words behind `$ kit`; of other programs none.
    words: Vec<String>,
    output: String,
}

/// Returns the commands in the console blocks of `text`.
fn steps(text: &str) -> Vec<Step> {
    let blocks = text
        .split("```console\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let mut steps: Vec<Step> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        if let Some(command) = line.strip_prefix("$ ") {
            let mut words = command.split_whitespace().take_while(|word| *word != "#");
            let is_kit = words.next() == Some("kit");
            let words = words.filter(|_| is_kit);
            steps.push(Step {
                words: words
                    .map(|word| word.trim_matches('\'').to_owned())
                    .collect(),
                output: String::new(),
            });
        } else if let Some(step) = steps.last_mut() {
            step.output += line;
            step.output += "\n";
        }
    }
    steps
}

#[test]
fn every_command_in_the_readme_works_in_turn_and_prints_what_is_shown() {
    let readme = testdata("../README.md");
    let mut steps = steps(&fs::read_to_string(readme).unwrap());
    steps.retain(|step| !step.words.is_empty());
    assert!(steps.len() > 10, "{steps:?}");
    assert!(steps.iter().any(|step| !step.output.is_empty()));
    let kit = Sandbox::new();
    kit.copy(&testdata("quickstart"), "testdata/quickstart");
    for Step { words, output } in steps {
        let found = kit.run(&words);
        assert_eq!(found.code, 0, "kit {}\n{found}", words.join(" "));
        if !output.is_empty() {
            assert_eq!(found.stdout, output, "kit {}", words.join(" "));
        }
    }
}

#[test]
fn console_blocks_are_read_as_a_shell_would() {
    let text = "```console\n$ kit a 'b/**'  # note\n1\n2\n$ cargo x\n```\n$ kit no\n\
                ```console\n$ kit d\n```";
    let step = |words: &[&str], output: &str| Step {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        output: output.to_owned(),
    };
    assert_eq!(
        steps(text),
        [
            step(&["a", "b/**"], "1\n2\n"),
            step(&[], ""),
            step(&["d"], "")
        ]
    );
}
