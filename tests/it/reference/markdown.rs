//! `docs/cli.md`.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::{Page, exit_codes};

const HEAD: &str = "\
# Command line

Every command, argument and flag, written from the program itself (`cargo test --test it reference::` compares them).
The same is in the manual pages in `docs/man`, and in `kit COMMAND --help`. [The guide](guide.md) shows
how they work together, [format.md](format.md) what they print for programs.

Every switch takes `=true` and `=false`; global options stand before or after the command.
";

/// Returns the whole page.
pub(super) fn write(pages: &[Page]) -> String {
    let mut text = HEAD.to_owned();
    let root = &pages[0];
    text += "\n| command | |\n|---|---|\n";
    for page in &pages[1..] {
        let typed = page.typed();
        let anchor = typed.replace(' ', "-");
        let about = page.command.get_about().map(ToString::to_string);
        let about = escape(&about.unwrap_or_default());
        let _ = writeln!(text, "| [`{typed}`](#{anchor}) | {about} |");
    }
    text += "\n## Global options\n";
    arguments(&mut text, &root.command, Arg::is_global_set);
    text += "\n## Exit codes\n\n| code | means |\n|---|---|\n";
    for (code, meaning) in exit_codes() {
        let _ = writeln!(text, "| {code} | {meaning} |");
    }
    for page in &pages[1..] {
        section(&mut text, page);
    }
    text
}

fn section(text: &mut String, page: &Page) {
    let hashes = "#".repeat(page.words.len());
    let _ = writeln!(text, "\n{hashes} `{}`", page.typed());
    let command = &page.command;
    let about = command.get_long_about().or_else(|| command.get_about());
    for paragraph in about
        .map(ToString::to_string)
        .iter()
        .flat_map(|about| about.lines())
    {
        if !paragraph.trim().is_empty() {
            let _ = writeln!(text, "\n{}", escape(paragraph));
        }
    }
    let _ = writeln!(text, "\n```text\n{}\n```", page.usage());
    let aliases: Vec<_> = command.get_visible_aliases().collect();
    if !aliases.is_empty() {
        let _ = writeln!(text, "\nAlso called `{}`.", aliases.join("`, `"));
    }
    arguments(text, command, |_| true);
    let examples = page.examples();
    if !examples.is_empty() {
        text.push_str("\nExamples:\n\n```sh\n");
        for (at, (what, typed)) in examples.iter().enumerate() {
            let space = if at > 0 { "\n" } else { "" };
            let _ = writeln!(text, "{space}# {what}\n{typed}");
        }
        text.push_str("```\n");
    }
}

/// Writes the table of those arguments that help shows and `wanted` picks, positions first.
fn arguments(text: &mut String, command: &Command, wanted: impl Fn(&Arg) -> bool) {
    let shown: Vec<&Arg> = command
        .get_arguments()
        .filter(|it| !it.is_hide_set() && wanted(it))
        .collect();
    if shown.is_empty() {
        return;
    }
    text.push_str("\n| argument | |\n|---|---|\n");
    let (positions, flags): (Vec<&Arg>, Vec<&Arg>) =
        shown.into_iter().partition(|it| it.is_positional());
    for arg in positions.into_iter().chain(flags) {
        let _ = writeln!(text, "| {} | {} |", names(arg), escape(&describe(arg)));
    }
}

/// Returns how the argument is typed.
fn names(arg: &Arg) -> String {
    let values = arg.get_value_names().map(|names| {
        let names: Vec<&str> = names.iter().map(clap::builder::Str::as_str).collect();
        names.join(" ")
    });
    if arg.is_positional() {
        let name = values.unwrap_or_else(|| arg.get_id().to_string().to_uppercase());
        let many = arg
            .get_num_args()
            .is_some_and(|range| range.max_values() > 1);
        let many = if many { "..." } else { "" };
        return if arg.is_required_set() {
            format!("`{name}{many}`")
        } else {
            format!("`[{name}{many}]`")
        };
    }
    let value = match values {
        Some(values) if arg.get_action().takes_values() => format!(" {values}"),
        _ => String::new(),
    };
    let short = arg.get_short().map(|short| format!("`-{short}`"));
    let long = arg.get_long().map(|long| format!("`--{long}{value}`"));
    let aliases = arg.get_visible_aliases().unwrap_or_default().into_iter();
    let aliases = aliases.map(|alias| format!("`--{alias}`"));
    let all: Vec<String> = short.into_iter().chain(long).chain(aliases).collect();
    all.join(", ")
}

/// Returns what help says of the argument, with its values and its default.
fn describe(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let mut text = help.map(ToString::to_string).unwrap_or_default();
    text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let values: Vec<String> = if arg.is_hide_possible_values_set() {
        Vec::new()
    } else {
        let values = arg.get_possible_values().into_iter();
        let values = values.filter(|value| !value.is_hide_set());
        values
            .map(|value| format!("`{}`", value.get_name()))
            .collect()
    };
    if !values.is_empty() && arg.get_action().takes_values() {
        let _ = write!(text, " ({})", values.join(", "));
    }
    let defaults: Vec<_> = arg.get_default_values().iter().collect();
    if let [default] = defaults[..]
        && arg.get_action().takes_values()
        && !arg.is_hide_default_value_set()
    {
        let _ = write!(text, " [default: `{}`]", default.to_string_lossy());
    }
    text
}

/// Escapes what Markdown would take for its own, outside of code.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    let mut in_code = false;
    for c in text.chars() {
        in_code ^= c == '`';
        if c == '|' || (!in_code && "*_<>[]".contains(c)) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[test]
fn only_what_is_no_code_is_escaped() {
    assert_eq!(escape("`a|*` **<x>"), "`a\\|*` \\*\\*\\<x\\>");
}
