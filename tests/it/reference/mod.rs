//! `docs/cli.md` and `docs/man/*.1` are written from the command line as the program has it.
//!
//! `SNAPSHOTS=overwrite cargo test --test it reference::` writes them anew, and deletes pages of
//! commands that are gone.

mod manual;
mod markdown;

use std::{collections::BTreeMap, fs, path::Path, process::Command as Process};

use clap::Command;

use crate::support::have;

/// A command, with what stands before it on the command line.
struct Page {
    /// `["kit", "cache", "info"]`
    words: Vec<String>,
    command: Command,
}

impl Page {
    /// Returns what is typed.
    fn typed(&self) -> String {
        self.words.join(" ")
    }

    /// Returns the name of the manual page.
    fn name(&self) -> String {
        self.words.join("-")
    }

    /// Returns what is printed at the end of the help as pairs of what is done and how.
    fn examples(&self) -> Vec<(String, String)> {
        let help = self.command.get_after_help().map(ToString::to_string);
        let help = help.unwrap_or_default();
        let mut what = String::new();
        let mut examples = Vec::new();
        for line in help.lines() {
            if let Some(typed) = line.strip_prefix("    ") {
                examples.push((what.clone(), typed.to_owned()));
            } else if let Some(words) = line.strip_prefix("  ") {
                words.trim_end_matches(':').clone_into(&mut what);
            }
        }
        examples
    }

    /// Returns the usage on one line.
    fn usage(&self) -> String {
        let mut command = self.command.clone().bin_name(self.typed());
        let usage = command.render_usage().to_string();
        usage.trim_start_matches("Usage: ").to_owned()
    }
}

/// Returns all commands that help shows, each before those inside it, in the order of names.
fn pages() -> Vec<Page> {
    fn walk(words: &[String], command: &Command, found: &mut Vec<Page>) {
        let mut inner: Vec<_> = command.get_subcommands().collect();
        inner.retain(|it| !it.is_hide_set() && it.get_name() != "help");
        inner.sort_by_key(|it| it.get_name());
        found.push(Page {
            words: words.to_vec(),
            // Not built as a part of the tree: so it has no global flags.
            command: command.clone().disable_help_subcommand(true),
        });
        for command in inner {
            let mut words = words.to_vec();
            words.push(command.get_name().to_owned());
            walk(&words, command, found);
        }
    }
    let mut found = Vec::new();
    walk(&["kit".to_owned()], &modelkit::cli::command(), &mut found);
    found
}

/// Returns the rows of a table in a section of `docs/format.md`, as cells.
fn table(section: &str) -> Vec<Vec<String>> {
    let page = fs::read_to_string(package().join("docs/format.md")).unwrap();
    let (_, text) = page.split_once(&format!("\n## {section}\n")).unwrap();
    let text = text.split("\n## ").next().unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let cells = |row: &str| {
        let row = row.trim_matches('|');
        row.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    rows.skip(1).map(cells).collect()
}

/// Returns exit codes and what they mean.
fn exit_codes() -> Vec<(String, String)> {
    let rows = table("Exit codes").into_iter();
    rows.map(|row| (row[0].clone(), row.last().unwrap().clone()))
        .collect()
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the path and the text of every file that is written from the code.
fn generated() -> BTreeMap<String, String> {
    let pages = pages();
    let mut files = BTreeMap::from([("docs/cli.md".to_owned(), markdown::write(&pages))]);
    for page in &pages {
        let path = format!("docs/man/{}.1", page.name());
        files.insert(path, manual::write(page, &pages));
    }
    files
}

/// Returns the manual pages there are.
fn manual_pages() -> Vec<String> {
    let Ok(folder) = fs::read_dir(package().join("docs/man")) else {
        return Vec::new();
    };
    let mut names: Vec<String> = folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| format!("docs/man/{name}"))
        .collect();
    names.sort();
    names
}

#[test]
fn the_reference_and_the_manual_pages_are_what_the_program_says() {
    let files = generated();
    let gone = manual_pages();
    let gone = gone.iter().filter(|path| !files.contains_key(*path));
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "overwrite") {
        fs::create_dir_all(package().join("docs/man")).unwrap();
        for (path, text) in &files {
            fs::write(package().join(path), text).unwrap();
        }
        for path in gone {
            fs::remove_file(package().join(path)).unwrap();
        }
        return;
    }
    let mut faults: Vec<String> = gone
        .map(|path| format!("{path}: no command has this page\n"))
        .collect();
    for (path, text) in &files {
        let found = fs::read_to_string(package().join(path)).unwrap_or_default();
        if found != *text {
            faults.push(difference(path, &found, text));
        }
    }
    assert!(
        faults.is_empty(),
        "{}\n`SNAPSHOTS=overwrite cargo test --test it reference::` writes them",
        faults.join("\n")
    );
}

/// Shows where a file is not what it should be.
pub(crate) fn difference(path: &str, found: &str, expected: &str) -> String {
    let mut text = String::new();
    snapbox::report::write_diff(
        &mut text,
        &snapbox::Data::text(expected),
        &snapbox::Data::text(found),
        Some(&"written from the code"),
        Some(&path),
        snapbox::report::Palette::plain(),
    )
    .unwrap();
    text
}

#[test]
fn every_argument_stands_in_the_reference() {
    let text = markdown::write(&pages());
    let mut seen = 0;
    for page in pages() {
        let heading = format!("\n{} `{}`\n", "#".repeat(page.words.len()), page.typed());
        let (_, section) = text.split_once(&heading).unwrap_or_else(|| {
            assert_eq!(page.words.len(), 1, "{heading}");
            ("", &text)
        });
        for arg in page.command.get_arguments().filter(|it| !it.is_hide_set()) {
            let Some(long) = arg.get_long() else { continue };
            assert!(section.contains(&format!("`--{long}")), "{heading}{long}");
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn manual_pages_have_no_fault_that_a_linter_sees() {
    if !have("mandoc") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let pages = pages();
    for page in &pages {
        let path = folder.path().join(page.name() + ".1");
        fs::write(path, manual::write(page, &pages)).unwrap();
    }
    let paths = fs::read_dir(folder.path()).unwrap();
    let paths = paths.map(|entry| entry.unwrap().path());
    let output = Process::new("mandoc")
        .args(["-T", "lint", "-W", "warning"])
        .args(paths)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let faults = said.lines().filter(|line| !line.contains("missing date"));
    let faults: Vec<&str> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
