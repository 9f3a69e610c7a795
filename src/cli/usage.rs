//! Turns what the parser of the command line complains about into a failure of our own form.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{
    failure::{Failure, Kind},
    values::BadValue,
};
use crate::suggest::closest;

/// Commands of the reference that this version has not got. They deserve an answer, not a guess
/// at what else could be meant.
const NOT_YET: &[&str] = &["import"];

/// Returns the failure that tells what `error` complains about; `program` knows the flags there are.
pub(crate) fn failure(error: &clap::Error, program: &clap::Command) -> Failure {
    let mut failure = Failure::new(Kind::Usage, message(error));
    if let Some(bad) = source(error) {
        failure.hints.clone_from(&bad.hints);
        if let Some(argument) = text(error, ContextKind::InvalidArg) {
            // `--flag <VALUE>`, `<ARGUMENT>`, `[ARGUMENT]...`
            let argument = argument.trim_start_matches(['[', '<']);
            let flag = argument
                .split([' ', '[', ']', '>'])
                .next()
                .unwrap_or_default();
            failure = failure.detail(format!("given for {flag}"));
        }
    }
    failure.hints.extend(suggestions(error));
    if failure.hints.is_empty() {
        failure.hints.extend(near_flag(error, program));
    }
    if failure.hints.is_empty() && source(error).is_none() {
        failure.hints.extend(see_help(error));
    }
    failure
}

/// Returns what is wrong with a value that was not typed behind a flag, and what helps.
pub(crate) fn bad_value(error: &clap::Error) -> (String, Vec<String>) {
    let argument = text(error, ContextKind::InvalidArg).unwrap_or_default();
    let message = message(error).replace(&format!(" for '{argument}'"), "");
    let hints = source(error).map(|bad| bad.hints.clone());
    (message, hints.unwrap_or_else(|| suggestions(error)))
}

fn message(error: &clap::Error) -> String {
    if let Some(bad) = source(error) {
        return bad.message.clone();
    }
    let argument = text(error, ContextKind::InvalidArg).unwrap_or_default();
    let value = text(error, ContextKind::InvalidValue).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            format!("there is no flag '{argument}'")
        }
        ErrorKind::UnknownArgument => format!("unexpected argument '{argument}'"),
        ErrorKind::InvalidSubcommand => {
            let name = text(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            if NOT_YET.contains(&name.as_str()) {
                format!("`kit {name}` is not available yet in this version")
            } else {
                format!("there is no command '{name}'")
            }
        }
        ErrorKind::MissingRequiredArgument => format!("missing {argument}"),
        ErrorKind::InvalidValue if value.is_empty() => format!("'{argument}' needs a value"),
        ErrorKind::InvalidValue => format!("invalid value '{value}' for '{argument}'"),
        ErrorKind::ValueValidation => {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            let cause = cause.unwrap_or_else(|| "not possible".to_owned());
            format!("invalid value '{value}' for '{argument}': {cause}")
        }
        _ => first_line(error),
    }
}

/// Returns the complaint in the parser's words, for what is too rare to have ours.
fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

fn source(error: &clap::Error) -> Option<&BadValue> {
    std::error::Error::source(error)?.downcast_ref()
}

fn suggestions(error: &clap::Error) -> Vec<String> {
    if let Some(name) = text(error, ContextKind::InvalidSubcommand)
        && NOT_YET.contains(&name.as_str())
    {
        return vec!["`kit --help` lists the commands there are".to_owned()];
    }
    let mut hints = Vec::new();
    for kind in [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ] {
        let guesses = texts(error, kind);
        if !guesses.is_empty() {
            hints.push(format!("did you mean '{}'?", guesses.join("' or '")));
        }
    }
    let possible = texts(error, ContextKind::ValidValue);
    if !possible.is_empty() {
        hints.push(format!("possible values: {}", possible.join(", ")));
    }
    hints
}

/// Names the flag that a mistyped one is near to. The parser's own guess does not see letters that
/// changed places in a short word.
fn near_flag(error: &clap::Error, program: &clap::Command) -> Option<String> {
    let argument = text(error, ContextKind::InvalidArg)?;
    let typed = argument.strip_prefix("--")?;
    let words = command(error)?;
    let meant = words
        .iter()
        .skip(1)
        .try_fold(program, |command, word| command.find_subcommand(word))?;
    let flags = meant.get_arguments().chain(program.get_arguments());
    let shown = flags.filter(|flag| !flag.is_hide_set());
    let near = closest(typed, shown.filter_map(clap::Arg::get_long))?;
    Some(format!("did you mean '--{near}'?"))
}

/// Points to the help of the command that was meant.
fn see_help(error: &clap::Error) -> Option<String> {
    Some(format!("see `{} --help`", command(error)?.join(" ")))
}

/// Returns the words of the command that was meant, the program's name first.
fn command(error: &clap::Error) -> Option<Vec<String>> {
    let usage = text(error, ContextKind::Usage)?;
    let (_, usage) = usage.split_once("Usage:")?;
    let words = usage.split_whitespace();
    let words = words.take_while(|word| !word.starts_with(['[', '<', '-']));
    Some(words.map(str::to_owned).collect())
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    let texts = texts(error, kind);
    (!texts.is_empty()).then(|| texts.join(", "))
}

fn texts(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::StyledStr(text)) => vec![text.to_string()],
        Some(ContextValue::StyledStrs(texts)) => texts.iter().map(ToString::to_string).collect(),
        Some(ContextValue::Number(number)) => vec![number.to_string()],
        _ => Vec::new(),
    }
}
