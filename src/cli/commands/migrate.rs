//! `kit migrate`

use std::path::PathBuf;

use serde::Serialize;

use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        failure::{Failure, Kind},
        help::examples,
        human,
        values::{References, references},
    },
    digest::Digest,
    ops::migrate::{self, MigratedKit, Options, Outcome, Report},
    reference::Reference,
};

/// Copies kits out of the store of `KitOps`.
#[derive(clap::Args)]
#[command(
    about = "Copy kits out of the store of KitOps",
    long_about = "Copy kits out of the store of KitOps\n\n\
                  KitOps's own store is read and left as it is: both programs go on working side \
                  by side. Every byte is checked; blobs that are here already are not read again. \
                  A kit that is damaged there is named, and the others are copied. Running it \
                  again copies only what is new.",
    after_help = examples(&[
    ("See what would be copied", "kit migrate --dry-run"),
    ("Copy all kits", "kit migrate"),
    ("Copy one kit out of another home", "kit migrate /mnt/old/kitops --only team/net:1.0"),
    ("Let names lead where they lead in KitOps", "kit migrate --force"),
]))]
pub(crate) struct Args {
    #[arg(
        value_name = "DIR",
        help = "KitOps's home, or the storage folder in it; by default that in the home of this program"
    )]
    directory: Option<PathBuf>,
    /// Copy only these: a repository, or a name with its tag or digest
    #[arg(long, value_name = "REFERENCE", value_parser = references)]
    only: Vec<References>,
    /// Tell what would be copied, and copy nothing
    #[arg(long)]
    dry_run: bool,
    /// Move names that lead to other kits here
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    output: FormatArgs,
}

/// The result in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    dry_run: bool,
    source: &'a str,
    kits: Vec<Row<'a>>,
    stored: usize,
    healed: usize,
    present: usize,
    bytes: u64,
    problems: Vec<Problem<'a>>,
}

/// A kit in JSON.
#[derive(Serialize)]
struct Row<'a> {
    digest: Digest,
    outcome: &'static str,
    references: Vec<String>,
    kept: Vec<Kept>,
    refused: &'a [String],
}

#[derive(Serialize)]
struct Kept {
    name: String,
    digest: Digest,
}

#[derive(Serialize)]
struct Problem<'a> {
    what: &'a str,
    problem: &'a str,
}

/// Copies, or tells what would be copied.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let directory = match &args.directory {
        Some(directory) => directory.clone(),
        None => context.settings.home()?,
    };
    let wanted = args.only.iter().flat_map(|References(names)| names);
    let options = Options {
        wanted: wanted.cloned().collect(),
        force: args.force,
    };
    let store = context.store("kit migrate")?;
    let report = if args.dry_run {
        migrate::plan(&store, &directory, &options, &context.watcher())?
    } else {
        migrate::run(&store, &directory, &options, &context.progress())?
    };
    for kit in &report.kits {
        warn(kit, context);
    }
    match &args.output.format {
        Format::Json => context.ui.json(&document(&report, args.dry_run))?,
        Format::Template(template) => {
            let data = serde_json::to_value(document(&report, args.dry_run))
                .expect("a report is texts and numbers");
            context.ui.template(template, &data)?;
        }
        Format::Table => print(&report, args.dry_run, context)?,
    }
    problems(&report)
}

/// Tells which names a kit does not get.
fn warn(kit: &MigratedKit, context: &Context) {
    for (name, other) in &kit.kept {
        context.ui.warn(format_args!(
            "{name} is kept: here it is {other}, in KitOps {}; --force moves it",
            kit.digest
        ));
    }
    for name in &kit.refused {
        context.ui.warn(format_args!(
            "{} cannot be called `{name}` here",
            kit.digest
        ));
    }
}

fn document(report: &Report, dry_run: bool) -> Document<'_> {
    Document {
        dry_run,
        source: &report.source,
        kits: report.kits.iter().map(row).collect(),
        stored: report.stored,
        healed: report.healed,
        present: report.present,
        bytes: report.bytes,
        problems: report
            .problems
            .iter()
            .map(|(what, problem)| Problem { what, problem })
            .collect(),
    }
}

fn row(kit: &MigratedKit) -> Row<'_> {
    Row {
        digest: kit.digest,
        outcome: match kit.outcome {
            Outcome::Migrated => "migrated",
            Outcome::Present => "present",
            Outcome::Left => "left",
            Outcome::Failed => "failed",
        },
        references: kit.names.iter().map(Reference::to_string).collect(),
        kept: kit
            .kept
            .iter()
            .map(|(name, digest)| Kept {
                name: name.to_string(),
                digest: *digest,
            })
            .collect(),
        refused: &kit.refused,
    }
}

/// Prints a line for each name of a kit that was copied, and on standard error the sums.
fn print(report: &Report, dry_run: bool, context: &Context) -> Result<(), Failure> {
    let done = if dry_run { "Would migrate" } else { "Migrated" };
    let count = |outcome| {
        report
            .kits
            .iter()
            .filter(|it| it.outcome == outcome)
            .count()
    };
    let migrated = |it: &&MigratedKit| it.outcome == Outcome::Migrated;
    for kit in report.kits.iter().filter(migrated) {
        for name in &kit.names {
            context
                .ui
                .line(format_args!("{done} {name} (digest {})", kit.digest))?;
        }
    }
    if report.healed > 0 {
        let count = human::count(report.healed as u64, "blob");
        context.ui.status(format_args!(
            "Healed {count} that had been damaged in the store"
        ));
    }
    if report.kits.is_empty() && report.problems.is_empty() {
        let source = &report.source;
        context.ui.status(format_args!("{source} holds no kits"));
        return Ok(());
    }
    let kits = human::count(count(Outcome::Migrated) as u64, "kit");
    let bytes = human::bytes(report.bytes);
    let here = human::number(count(Outcome::Present) as u64);
    context.ui.status(if dry_run {
        format!("Would migrate {kits} and copy {bytes}; {here} here already")
    } else {
        format!("Migrated {kits}, copied {bytes}; {here} here already")
    });
    Ok(())
}

/// Fails if something in the source cannot be used, after all else was copied.
fn problems(report: &Report) -> Result<(), Failure> {
    if report.problems.is_empty() {
        return Ok(());
    }
    let count = report
        .kits
        .iter()
        .filter(|it| it.outcome == Outcome::Failed)
        .count();
    let message = if count == 0 {
        format!("part of {} cannot be read", report.source)
    } else {
        let kits = human::count(count as u64, "kit");
        format!("{kits} of {} cannot be copied", report.source)
    };
    let is_forbidden = report.forbidden == report.problems.len();
    let (kind, hint) = if is_forbidden {
        (
            Kind::NotAllowed,
            "run this as the user whose store it is, or let this user read it",
        )
    } else {
        (
            Kind::Damaged,
            "nothing else is held up by it; pack these again, or load them from elsewhere",
        )
    };
    let failure = Failure::new(kind, message);
    let failure = report
        .problems
        .iter()
        .fold(failure, |failure, (what, why)| {
            failure.detail(format!("{what}: {why}"))
        });
    Err(failure.hint(hint))
}
