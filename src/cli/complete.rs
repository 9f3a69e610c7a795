//! What could stand at the end of a command line that is being typed.
//!
//! The scripts of `kit completion` know nothing: they ask `kit __complete WORDS…`, whose last word is
//! the one being typed. So what they offer is what the program takes. An argument is completed by the
//! type of its value: names of kits from the store, values of a fixed set, files.

use std::{any::TypeId, ffi::OsString, path::PathBuf};

use clap::{Arg, ArgAction, Command, ValueHint};

use super::values::{Named, References};
use crate::{reference::Reference, store::Entry};

/// What a shell is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Completion {
    /// What the word could become, each with a description or an empty text.
    pub(super) candidates: Vec<(String, String)>,
    /// Whether paths are possible, too.
    pub(super) files: Files,
}

/// Which paths are possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Files {
    #[default]
    None,
    Folders,
    All,
}

impl Completion {
    /// Returns the lines that scripts read, those of cobra too, which the reference's are: candidates
    /// with descriptions, then a number: 4 no files, 16 only folders.
    pub(super) fn lines(&self, with_descriptions: bool) -> String {
        let mut lines = String::new();
        for (value, description) in &self.candidates {
            lines += value;
            let description = description.lines().next().unwrap_or_default();
            if with_descriptions && !description.is_empty() {
                lines.push('\t');
                lines += description;
            }
            lines.push('\n');
        }
        lines.push_str(match self.files {
            Files::None => ":4\n",
            Files::Folders => ":16\n",
            Files::All => ":0\n",
        });
        lines
    }
}

/// How far a line has come before the word that is being typed.
struct Line<'c> {
    root: &'c Command,
    command: &'c Command,
    /// The option whose value comes next.
    option: Option<&'c Arg>,
    /// How many positional arguments there were.
    positions: usize,
    /// The values of `--config`, the last one counts.
    config: Option<PathBuf>,
    /// Whether `--` was there: all that follows is positional.
    is_ended: bool,
}

/// Completes the last of `words`, which follow the program's name. `names` returns the names of kits
/// in the home that `--config` tells.
pub(super) fn complete(
    root: &Command,
    words: &[OsString],
    names: impl FnOnce(Option<PathBuf>) -> Vec<Entry>,
) -> Completion {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let Some((typed, before)) = words.split_last() else {
        return Completion::default();
    };
    let mut line = Line {
        root,
        command: root,
        option: None,
        positions: 0,
        config: None,
        is_ended: false,
    };
    for word in before {
        line.take(word);
    }
    if let Some(option) = line.option {
        return values(option, "", typed, line.config, names);
    }
    if !line.is_ended && typed.starts_with('-') {
        if let Some((flag, value)) = typed.split_once('=') {
            return match line.long(flag.trim_start_matches('-')) {
                Some(option) => values(option, &format!("{flag}="), value, line.config, names),
                None => Completion::default(),
            };
        }
        return line.flags(typed);
    }
    let mut completion = match line.position() {
        Some(arg) => values(arg, "", typed, line.config.clone(), names),
        None => Completion::default(),
    };
    if !line.is_ended && line.positions == 0 {
        let mut commands = line.commands(typed);
        commands.append(&mut completion.candidates);
        completion.candidates = commands;
    }
    completion
}

impl<'c> Line<'c> {
    /// Goes on behind a word that is finished.
    fn take(&mut self, word: &str) {
        if let Some(option) = self.option.take() {
            self.given(option, word);
        } else if self.is_ended || !word.starts_with('-') || word == "-" {
            match self.command.find_subcommand(word) {
                Some(inner) if !self.is_ended && self.positions == 0 => self.command = inner,
                _ => self.positions += 1,
            }
        } else if word == "--" {
            self.is_ended = true;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            match (self.long(name), value) {
                (Some(option), Some(value)) => self.given(option, value),
                (Some(option), None) if takes_values(option) => self.option = Some(option),
                _ => {}
            }
        } else {
            // Switches in one word; the first option that takes a value takes the rest.
            let mut letters = word[1..].chars();
            while let Some(letter) = letters.next() {
                let option = self.arguments().find(|it| it.get_short() == Some(letter));
                if let Some(option) = option.filter(|it| takes_values(it)) {
                    match letters.as_str() {
                        "" => self.option = Some(option),
                        value => self.given(option, value.trim_start_matches('=')),
                    }
                    return;
                }
            }
        }
    }

    fn given(&mut self, option: &Arg, value: &str) {
        if option.get_id() == "config" {
            self.config = Some(value.into());
        }
    }

    /// Returns the arguments of the command and those that every command has.
    fn arguments(&self) -> impl Iterator<Item = &'c Arg> + use<'c> {
        let globals = self.root.get_arguments().filter(|it| it.is_global_set());
        let own = self.command.get_arguments();
        own.chain(globals.filter(|_| !std::ptr::eq(self.command, self.root)))
    }

    fn long(&self, name: &str) -> Option<&'c Arg> {
        self.arguments().find(|it| {
            let aliases = it.get_all_aliases().unwrap_or_default();
            it.get_long() == Some(name) || aliases.contains(&name)
        })
    }

    /// Returns the positional argument that comes next; the last one may take many.
    fn position(&self) -> Option<&'c Arg> {
        let mut positions = self.command.get_positionals();
        let last = self.command.get_positionals().last();
        positions.nth(self.positions).or(last.filter(|it| {
            matches!(it.get_action(), ArgAction::Append)
                || it
                    .get_num_args()
                    .is_some_and(|range| range.max_values() > 1)
        }))
    }

    fn commands(&self, typed: &str) -> Vec<(String, String)> {
        let shown = self.command.get_subcommands();
        let shown = shown.filter(|it| !it.is_hide_set() && it.get_name().starts_with(typed));
        let described = |it: &Command| (it.get_name().to_owned(), about(it));
        let mut found: Vec<_> = shown.map(described).collect();
        found.sort();
        found
    }

    fn flags(&self, typed: &str) -> Completion {
        let mut found = Vec::new();
        for arg in self.arguments().filter(|it| !it.is_hide_set()) {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let aliases = arg.get_visible_aliases().unwrap_or_default();
            for long in arg.get_long().into_iter().chain(aliases) {
                found.push((format!("--{long}"), help.clone()));
            }
        }
        found.push(("--help".to_owned(), "Print help".to_owned()));
        found.retain(|(flag, _)| flag.starts_with(typed));
        found.sort();
        found.dedup();
        Completion {
            candidates: found,
            ..Completion::default()
        }
    }
}

fn takes_values(arg: &Arg) -> bool {
    arg.get_action().takes_values() && !arg.is_positional()
}

fn about(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string);
    about.unwrap_or_default()
}

/// Completes a value of `arg` of which `typed` is there. `before` stands before it in the same word.
fn values(
    arg: &Arg,
    before: &str,
    typed: &str,
    config: Option<PathBuf>,
    names: impl FnOnce(Option<PathBuf>) -> Vec<Entry>,
) -> Completion {
    let mut completion = Completion::default();
    if names_kits(arg) {
        completion = kits(typed, &names(config));
    } else if arg.get_action().takes_values() {
        let values = arg.get_possible_values().into_iter();
        let values = values.filter(|it| !it.is_hide_set() && it.get_name().starts_with(typed));
        completion.candidates = values
            .map(|it| {
                let help = it.get_help().map(ToString::to_string).unwrap_or_default();
                (it.get_name().to_owned(), help)
            })
            .collect();
        completion.files = match arg.get_value_hint() {
            ValueHint::DirPath => Files::Folders,
            ValueHint::AnyPath | ValueHint::FilePath if is_folder(arg) => Files::Folders,
            ValueHint::AnyPath | ValueHint::FilePath => Files::All,
            _ => Files::None,
        };
    }
    for (value, _) in &mut completion.candidates {
        value.insert_str(0, before);
    }
    completion
}

/// Tells whether the values of `arg` are names of kits: their type tells, so that a new command need
/// not be listed anywhere.
fn names_kits(arg: &Arg) -> bool {
    let value = arg.get_value_parser().type_id();
    let kits = [
        TypeId::of::<Reference>(),
        TypeId::of::<References>(),
        TypeId::of::<Named>(),
    ];
    kits.iter().any(|it| value == *it)
}

/// Tells whether help calls the value of `arg` a directory.
fn is_folder(arg: &Arg) -> bool {
    let names = arg.get_value_names().unwrap_or_default();
    let called = |name: &str| matches!(name.to_ascii_uppercase().as_str(), "DIR" | "DIRECTORY");
    names.iter().any(|name| called(name)) || (names.is_empty() && called(arg.get_id().as_str()))
}

/// Completes the name of a kit: names with tags, behind a comma more tags, and digests for those who
/// began to type one.
fn kits(typed: &str, entries: &[Entry]) -> Completion {
    // `localhost/x` is `x`.
    let (local, wanted) = match typed.strip_prefix("localhost/") {
        Some(rest) => ("localhost/", rest),
        None => ("", typed),
    };
    let mut found = Vec::new();
    for entry in entries {
        let repository = entry.repository().map(ToString::to_string);
        let name = match (wanted.rsplit_once(','), repository) {
            (Some((given, _)), Some(repository)) => {
                let tags = given.strip_prefix(&repository);
                let tags = tags.and_then(|rest| rest.strip_prefix(':'));
                let tag = entry.tag().filter(|tag| {
                    tags.is_some_and(|tags| tags.split(',').all(|given| given != *tag))
                });
                tag.map(|tag| format!("{given},{tag}"))
            }
            (_, Some(repository)) if wanted.contains('@') => {
                Some(format!("{repository}@{}", entry.descriptor.digest))
            }
            _ if wanted.starts_with("sha256:") => Some(entry.descriptor.digest.to_string()),
            _ => entry
                .tag()
                .and(entry.name.as_ref())
                .map(ToString::to_string),
        };
        found.extend(name.filter(|name| name.starts_with(wanted)));
    }
    found.sort();
    found.dedup();
    let described = |name| (format!("{local}{name}"), String::new());
    Completion {
        candidates: found.into_iter().map(described).collect(),
        files: Files::None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{cli::args, digest::Digest, oci::Descriptor};

    fn entries() -> Vec<Entry> {
        let names = [
            "a/net:1.0",
            "a/net:prod",
            "a/net:next",
            "b:latest",
            "x.example:5000/c:1",
        ];
        let entry = |name: &str| Entry {
            name: Some(Reference::parse(name).unwrap()),
            descriptor: Descriptor {
                media_type: String::new(),
                digest: Digest::of(name.as_bytes()),
                size: 1,
                annotations: BTreeMap::new(),
                artifact_type: None,
            },
        };
        names.map(entry).into()
    }

    /// Completes the end of a line, and tells the home that was looked at behind it, if one was.
    fn ask(line: &str) -> (Vec<String>, Files, Option<PathBuf>) {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let mut home = None;
        let names = |config| {
            home = config;
            entries()
        };
        let found = complete(&args::shown_command(), &words, names);
        let values = found.candidates.into_iter().map(|(value, _)| value);
        (values.collect(), found.files, home)
    }

    #[test]
    fn names_of_kits_stand_wherever_the_type_of_an_argument_is_one() {
        let nets = ["a/net:1.0", "a/net:next", "a/net:prod"];
        let all = [&nets[..], &["b:latest", "x.example:5000/c:1"]].concat();
        for (line, expected) in [
            ("unpack ", &all[..]),
            ("unpack -d out --overwrite a", &nets),
            ("-v unpack --dir=out a/net:", &nets),
            ("unpack -odout a/net:p", &nets[2..]),
            ("cat a/net:1", &nets[..1]),
            ("remove a/net:1.0 b", &["b:latest"]),
            ("diff a/net:1.0 b", &["b:latest"]),
            ("rm -- x", &["x.example:5000/c:1"]),
            ("tag b:latest a/net:n", &["a/net:next"]),
            ("pack . -t b", &["b:latest"]),
            ("pack . --tag=b", &["--tag=b:latest"]),
            ("remove a/net:1.0,", &["a/net:1.0,next", "a/net:1.0,prod"]),
            ("info localhost/b", &["localhost/b:latest"]),
            ("info c", &[]),
            ("info b:latest ", &[]),
            ("cat b:latest ", &[]),
        ] {
            assert_eq!(ask(line).0, expected, "{line}");
        }
        let digest = format!("b@{}", Digest::of(b"b:latest"));
        assert_eq!(ask("info b@sha").0, [digest]);
        assert_eq!(ask("info sha256:").0.len(), entries().len());
    }

    #[test]
    fn the_home_is_the_one_the_line_names() {
        assert_eq!(ask("--config /x info ").2, Some("/x".into()));
        assert_eq!(ask("info --config=/x -q b").2, Some("/x".into()));
        assert_eq!(ask("info ").2, None);
    }

    #[test]
    fn commands_flags_values_and_paths_are_completed() {
        for (line, expected, files) in [
            ("unp", &["unpack"][..], Files::None),
            ("cache ", &["clear", "info"], Files::None),
            ("cache info --for", &["--format"], Files::None),
            (
                "unpack --i",
                &["--ignore-existing", "--include", "--include-remote"],
                Files::None,
            ),
            ("--lo", &["--lock-timeout", "--log-level"], Files::None),
            (
                "version --lo",
                &["--lock-timeout", "--log-level"],
                Files::None,
            ),
            ("completion b", &["bash"], Files::None),
            ("--color al", &["always"], Files::None),
            ("list --color=al", &["--color=always"], Files::None),
            ("unpack -d ", &[], Files::Folders),
            ("pack ", &[], Files::Folders),
            ("pack -f ", &[], Files::All),
            ("load ", &[], Files::All),
            ("verify -- --", &[], Files::None),
            ("no-such ", &[], Files::None),
            ("list --no-such=", &[], Files::None),
        ] {
            let (found, paths, _) = ask(line);
            assert_eq!(
                (&*found, paths),
                (
                    &*expected
                        .iter()
                        .map(|it| (*it).to_owned())
                        .collect::<Vec<_>>(),
                    files
                ),
                "{line}"
            );
        }
        assert!(ask("").0.contains(&"unpack".to_owned()));
        assert!(
            !ask("")
                .0
                .iter()
                .any(|it| it.starts_with("__") || it == "dev")
        );
    }
}
