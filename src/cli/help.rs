//! The form of the help: commands in groups, examples at the end.

use std::fmt::Write as _;

use clap::{
    Command,
    builder::{StyledStr, Styles},
};

/// The order in which `kit --help` lists the commands. What is not there yet is left out.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "Pack and look",
        &[
            "init",
            "import",
            "check",
            "check-ignore",
            "pack",
            "list",
            "info",
            "inspect",
            "files",
            "diff",
            "history",
            "status",
        ],
    ),
    ("Take out", &["unpack", "cat"]),
    (
        "Keep",
        &[
            "tag", "remove", "du", "prune", "verify", "save", "load", "convert", "toc", "migrate",
        ],
    ),
    ("Registries", &["login", "logout", "push", "pull", "copy"]),
    (
        "Other",
        &["cache", "doctor", "completion", "version", "help"],
    ),
];

/// Returns the end of a command's help: what is done, and the line that does it. A test parses
/// every line.
pub(crate) fn examples(examples: &[(&str, &str)]) -> StyledStr {
    let header = Styles::default();
    let header = header.get_header();
    let mut text = format!("{header}Examples:{header:#}");
    for (what, line) in examples {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {what}:\n    {line}");
    }
    text.into()
}

/// Lists the commands of `root` in groups.
pub(crate) fn grouped(root: Command) -> Command {
    let styles = Styles::default();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut text = "{about}\n\n{usage-heading} {usage}\n".to_owned();
    for (title, names) in GROUPS {
        let mut lines = String::new();
        for name in *names {
            let about = if *name == "help" {
                Some("Print the help of a command".to_owned())
            } else {
                let command = root.find_subcommand(name).filter(|it| !it.is_hide_set());
                command.map(|it| it.get_about().map(ToString::to_string).unwrap_or_default())
            };
            if let Some(about) = about {
                let _ = write!(lines, "\n  {literal}{name:<12}{literal:#}  {about}");
            }
        }
        if !lines.is_empty() {
            let _ = write!(text, "\n{header}{title}:{header:#}{lines}\n");
        }
    }
    // Not `{all-args}`, which would list the commands once more.
    let _ = write!(text, "\n{header}Options:{header:#}\n{{options}}\n\n");
    text.push_str(
        "`kit COMMAND --help` tells more, with examples; `kit help environment` lists variables \
         and settings.",
    );
    root.help_template(StyledStr::from(text))
}

#[cfg(test)]
mod tests {
    use super::{super::args, *};

    fn walk(path: &[&str], command: &Command, visit: &mut impl FnMut(&[&str], &Command)) {
        let shown = |it: &&Command| !it.is_hide_set() && it.get_name() != "help";
        for inner in command.get_subcommands().filter(shown) {
            let mut path = path.to_vec();
            path.push(inner.get_name());
            visit(&path, inner);
            walk(&path, inner, visit);
        }
    }

    #[test]
    fn every_command_stands_in_one_group() {
        for command in args::shown_command().get_subcommands() {
            let name = command.get_name();
            let places = GROUPS.iter().flat_map(|(_, names)| *names);
            let found = places.filter(|it| **it == name).count();
            let expected = usize::from(!command.is_hide_set());
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn every_help_ends_with_examples_that_parse() {
        let mut seen = 0;
        walk(&["kit"], &args::shown_command(), &mut |path, command| {
            let path = path.join(" ");
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_else(|| panic!("`{path}` has no examples"));
            let lines: Vec<&str> = help
                .lines()
                .filter_map(|it| it.strip_prefix("    "))
                .collect();
            assert!(help.starts_with("Examples:") && !lines.is_empty(), "{path}");
            for line in lines {
                assert!(line.starts_with(&path), "`{line}` in the help of `{path}`");
                // What follows a pipe, a redirection or a comment belongs to the shell.
                let words = words(line).into_iter().skip(1);
                let words: Vec<_> = words
                    .take_while(|it| !["|", ">", "#"].contains(&&**it))
                    .map(Into::into)
                    .collect();
                if let Err(failure) = args::parse(&words, args::parsed_command()) {
                    panic!("`{line}`: {}", failure.message);
                }
                seen += 1;
            }
        });
        assert!(seen > 0);
    }

    /// Splits a line as a shell does, with single quotes only.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        for (i, part) in line.split('\'').enumerate() {
            for (j, piece) in part.split(' ').enumerate() {
                if i % 2 == 1 {
                    if j > 0 {
                        words.last_mut().unwrap().push(' ');
                    }
                } else if j > 0 {
                    words.push(String::new());
                }
                words.last_mut().unwrap().push_str(piece);
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }
}
