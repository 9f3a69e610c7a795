//! `docs/man/*.1`.

use clap::Arg;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::{Page, exit_codes};

/// Returns the manual page of a command. It tells neither a date nor a version: both would change
/// it when nothing else did.
pub(super) fn write(page: &Page, pages: &[Page]) -> String {
    let is_root = page.words.len() == 1;
    // The page of a group of commands lists them below, by the names of their pages.
    let mut command = page.command.clone();
    for inner in page.command.get_subcommands() {
        let name = inner.get_name().to_owned();
        command = command.mut_subcommand(name, |inner| inner.hide(true));
    }
    let command = command
        .display_name(page.name())
        .bin_name(page.typed())
        .subcommand_value_name("COMMAND")
        .mut_args(sentence);
    let man = Man::new(command).source("kit").manual("kit");
    let mut out = Vec::new();
    man.render_title(&mut out).unwrap();
    man.render_name_section(&mut out).unwrap();
    man.render_synopsis_section(&mut out).unwrap();
    man.render_description_section(&mut out).unwrap();
    man.render_options_section(&mut out).unwrap();
    let mut roff = Roff::new();
    commands(&mut roff, page, pages);
    let examples = page.examples();
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
        for (what, typed) in examples {
            roff.control("TP", []);
            roff.text([roman(format!("{what}:"))]);
            roff.text([bold(typed)]);
        }
    }
    if is_root {
        roff.control("SH", ["EXIT STATUS"]);
        for (code, meaning) in exit_codes() {
            roff.control("TP", []);
            roff.text([bold(code)]);
            roff.text([roman(meaning.replace('`', ""))]);
        }
    } else {
        roff.control("SH", ["SEE ALSO"]);
        roff.text([
            bold("kit"),
            roman("(1), for the global options and the exit status"),
        ]);
    }
    roff.to_writer(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines = text.lines().map(str::trim_end);
    // Each section comes with the definitions of quotes once more.
    let mut begun = false;
    let lines = lines.filter(|line| {
        begun |= line.starts_with(".TH");
        !line.is_empty() && (!begun || !line.contains(".ds Aq "))
    });
    let mut lines: Vec<&str> = lines.collect();
    lines.dedup_by(|a, b| a == b && *a == ".br");
    // A date that is not told must be told to be none.
    let text = lines.join("\n").replacen(" 1  kit", " 1 \"\" kit", 1);
    text + "\n"
}

/// Quotes are of no use in a manual page: code is not told apart there.
fn sentence(arg: Arg) -> Arg {
    match arg.get_help().map(|help| help.to_string().replace('`', "")) {
        Some(help) => arg.help(help),
        None => arg,
    }
}

fn commands(roff: &mut Roff, page: &Page, pages: &[Page]) {
    let depth = page.words.len();
    let inner = pages
        .iter()
        .filter(|it| it.words.len() == depth + 1 && it.words.starts_with(&page.words));
    for (at, inner) in inner.enumerate() {
        if at == 0 {
            roff.control("SH", ["COMMANDS"]);
        }
        roff.control("TP", []);
        roff.text([bold(inner.name()), roman("(1)")]);
        let about = inner.command.get_about().map(ToString::to_string);
        roff.text([roman(about.unwrap_or_default())]);
    }
}
