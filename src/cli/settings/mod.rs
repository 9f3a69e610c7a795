//! Which flags the file with settings may set, and the page that tells about them.
//!
//! A key is a flag without its dashes. A setting is a flag's default: what is typed goes before
//! it. Flags that name something, delete something or shape a result are no settings: a command
//! must not do another thing, or break a script, on the next machine.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};

use super::{
    failure::{Failure, Kind},
    usage,
};
use crate::{
    config::{
        VARIABLES, Variable,
        file::{Entry, FILE_NAME, File, REGISTRY},
    },
    suggest::closest,
};

/// The global flags that are settings.
const GLOBAL: &[&str] = &["log-level", "progress", "quiet", "color", "lock-timeout"];

/// The flags of each command that are settings.
const COMMANDS: &[(&str, &[&str])] = &[
    ("init", &["follow-links"]),
    ("check", &["strict"]),
    (
        "pack",
        &[
            "compression",
            "layer-format",
            "shard-size",
            "no-toc",
            "strict",
            "follow-links",
            "keep-modes",
            "executable",
            "no-cache",
            "created",
            "threads",
            "strict-limits",
        ],
    ),
    ("push", &["strict-limits"]),
    ("copy", &["strict-limits", "limit"]),
    ("files", &["limit"]),
    ("diff", &["limit"]),
    ("status", &["no-cache", "threads", "limit"]),
    ("unpack", &["threads", "link", "limit"]),
    ("cat", &["limit"]),
    ("prune", &["older-than"]),
    ("load", &["limit"]),
    (
        NETWORK,
        &[
            "ca-file",
            "cert",
            "key",
            "proxy",
            "retries",
            "helper-timeout",
            "concurrency",
            "jobs",
            "max-rate",
            "stall-timeout",
        ],
    ),
];

/// The table that is no command's: its settings are for all that speak to registries.
const NETWORK: &str = "network";

/// The flags of `push` that are settings of one registry, in a table `[registry."HOST"]`.
const OF_REGISTRY: &[&str] = &["kind", "upload", "chunk-size", "max-layer", "compat"];

/// Makes what `file` sets the defaults of `command`'s flags. What one of the variables `said`
/// decides stays as it is.
pub(super) fn apply(
    mut command: Command,
    file: &File,
    said: &[Variable],
) -> Result<Command, Failure> {
    for entry in &file.entries {
        let failure = |problem: String| {
            let place = format!("{}, line {}", file.path.display(), entry.line);
            Failure::new(Kind::Usage, format!("{place}: {problem}"))
        };
        let known = keys(entry).map_err(|(problem, near)| {
            with_hint(
                failure(problem),
                near.map(|near| format!("did you mean `[{near}]`?")),
            )
        })?;
        if !known.contains(&entry.key.as_str()) {
            return Err(unknown(&command, entry, known, failure));
        }
        let arg = holder(&command, entry.table.as_deref(), &entry.key)
            .and_then(|holder| flag(holder, &entry.key))
            .expect("a test looks for the flag of each setting");
        check(arg, entry).map_err(|(problem, hints)| {
            let mut failure = failure(format!("{}: {problem}", shown(entry)));
            failure.hints = hints;
            failure
        })?;
        let is_key = |it: &Variable| it.beats(entry.table.as_deref(), &entry.key);
        if said.iter().any(is_key) {
            continue;
        }
        if entry.host.is_some() {
            continue; // Which registry it is about is not known before the command runs.
        }
        let id = arg.get_id().clone();
        let set = |arg: Arg| arg.default_values(entry.values.clone());
        command = match entry.table.as_deref() {
            Some(NETWORK) => command.mut_subcommands(|inner| {
                if flag(&inner, &entry.key).is_some() {
                    inner.mut_arg(&id, set)
                } else {
                    inner
                }
            }),
            Some(table) => command.mut_subcommand(table, |inner| inner.mut_arg(id, set)),
            None => command.mut_arg(id, set),
        };
    }
    Ok(command)
}

/// Returns the keys that may stand where `entry` does, or why there are none and what may have
/// been meant.
fn keys(entry: &Entry) -> Result<&'static [&'static str], (String, Option<&'static str>)> {
    let Some(table) = &entry.table else {
        return Ok(GLOBAL);
    };
    if table == REGISTRY {
        return match entry.host {
            Some(_) => Ok(OF_REGISTRY),
            None => Err((
                format!("`{}` is for no registry", entry.key),
                Some("registry.\"HOST\""),
            )),
        };
    }
    match COMMANDS.iter().find(|(name, _)| name == table) {
        Some((_, keys)) => Ok(keys),
        None => Err((
            format!("there are no settings for `{table}`"),
            closest(table, COMMANDS.iter().map(|(name, _)| *name)),
        )),
    }
}

/// Returns the command, or one of the commands, whose flag `key` a setting in `table` is for.
fn holder<'a>(command: &'a Command, table: Option<&str>, key: &str) -> Option<&'a Command> {
    match table {
        None => Some(command),
        Some(NETWORK) => command
            .get_subcommands()
            .find(|inner| flag(inner, key).is_some_and(|arg| !arg.is_hide_set())),
        Some(REGISTRY) => command.find_subcommand("push"),
        Some(table) => command.find_subcommand(table),
    }
}

fn flag<'a>(command: &'a Command, key: &str) -> Option<&'a Arg> {
    command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(key))
}

fn shown(entry: &Entry) -> String {
    match (&entry.table, &entry.host) {
        (Some(table), Some(host)) => format!("`{}` in [{table}.\"{host}\"]", entry.key),
        (Some(table), None) => format!("`{}` in [{table}]", entry.key),
        (None, _) => format!("`{}`", entry.key),
    }
}

fn with_hint(failure: Failure, hint: Option<String>) -> Failure {
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure.hint("`kit help environment` lists the settings there are"),
    }
}

/// Says that a key is none, and what may have been meant.
fn unknown(
    command: &Command,
    entry: &Entry,
    known: &[&str],
    failure: impl Fn(String) -> Failure,
) -> Failure {
    let key = entry.key.as_str();
    let holder = holder(command, entry.table.as_deref(), key);
    let is_for_one = entry.host.is_some();
    if !is_for_one && holder.is_some_and(|holder| flag(holder, key).is_some()) {
        return failure(format!("{} is no setting", shown(entry)))
            .hint(format!("--{key} can only be typed"));
    }
    let elsewhere = COMMANDS.iter().find(|(_, keys)| keys.contains(&key));
    let hint = if let Some((table, _)) = elsewhere.filter(|_| is_for_one || entry.table.is_none()) {
        Some(format!("write it below `[{table}]`"))
    } else if GLOBAL.contains(&key) {
        Some("write it above the first `[…]`: it is for all commands".to_owned())
    } else {
        closest(key, known.iter().copied()).map(|near| format!("did you mean `{near}`?"))
    };
    with_hint(
        failure(format!("there is no setting {}", shown(entry))),
        hint,
    )
}

/// Tells what is wrong with the values of `entry` for the flag `arg`, and what helps.
fn check(arg: &Arg, entry: &Entry) -> Result<(), (String, Vec<String>)> {
    let takes_many = matches!(arg.get_action(), ArgAction::Append);
    if entry.values.len() != 1 && !takes_many {
        return Err(("takes one value".to_owned(), Vec::new()));
    }
    // The flag alone: what it conflicts with is not there.
    let alone = Arg::new("value")
        .long("value")
        .action(arg.get_action().clone())
        .value_parser(arg.get_value_parser().clone());
    let typed = entry.values.iter().map(|value| format!("--value={value}"));
    Command::new("kit")
        .no_binary_name(true)
        .arg(alone)
        .try_get_matches_from(typed)
        .map(drop)
        .map_err(|error| usage::bad_value(&error))
}

/// Returns the page about the environment and the settings: `kit help environment`.
pub(super) fn page(command: &Command) -> String {
    let mut text = "What is typed goes before the environment, the environment before the file\n\
                    with settings, and that before what is built in.\n\nEnvironment:\n"
        .to_owned();
    for variable in VARIABLES {
        row(&mut text, variable.name, variable.what);
    }
    let _ = write!(
        text,
        "\nSettings, in the file `{FILE_NAME}` in the home: flags without their dashes.\n\
         For all commands:\n"
    );
    let mut rows = |title: String, table: Option<&str>, keys: &[&str]| {
        text.push_str(&title);
        for key in keys {
            let holder = holder(command, table, key);
            let help = holder
                .and_then(|holder| flag(holder, key))
                .and_then(Arg::get_help);
            let help = help.map(ToString::to_string).unwrap_or_default();
            row(&mut text, key, &help);
        }
    };
    rows(String::new(), None, GLOBAL);
    rows(
        format!("\n[{REGISTRY}.\"HOST\"], for each registry:\n"),
        Some(REGISTRY),
        OF_REGISTRY,
    );
    for (name, keys) in COMMANDS {
        rows(format!("\n[{name}]\n"), Some(name), keys);
    }
    text.push_str(
        "\nExample:\n  log-level = \"warn\"\n\n  [pack]\n  threads = 4\n  keep-modes = true\n\n\
         `kit doctor` tells which are in force, and from where.\n",
    );
    text
}

/// Writes a name and what it means, in lines that fit a terminal.
fn row(text: &mut String, name: &str, what: &str) {
    const COLUMN: usize = 25;
    const MOST: usize = 80;
    let _ = write!(text, "  {name:<21} ");
    let mut width = COLUMN;
    for word in what.split(' ') {
        if width + 1 + word.chars().count() > MOST {
            let _ = write!(text, "\n{:width$}", "", width = COLUMN - 1);
            width = COLUMN;
        }
        let _ = write!(text, " {word}");
        width += 1 + word.chars().count();
    }
    text.push('\n');
}
