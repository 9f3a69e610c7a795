//! `kit status`

use std::{
    collections::HashSet,
    fmt::Write as _,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::pack::{patterns, read_rules, shard_size, shard_words, threads};
use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs, LimitArgs},
        escape::escape_bytes,
        failure::{Failure, Kind},
        help::examples,
        human,
        kitfile_source::{self, Source as Found},
        values::{Links, reference},
    },
    ops::{
        draft,
        kit::{self, Kit},
        status::{self, Change, Element, Options, Report, Source},
    },
    origins::{self, Event, Origin},
    progress::Progress,
    reference::Reference,
    store,
};

/// Show what differs between a directory and the kit it came from
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("See what changed here since it was packed or unpacked", "kit status"),
    ("Compare a directory with some kit", "kit status models/net --kit team/net:1.0"),
    ("Fail in a script if something changed", "kit status --exit-code"),
    ("Get what changed as JSON", "kit status --format json"),
]))]
pub(crate) struct Args {
    /// The directory
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// The kit to compare with [default: the one DIRECTORY was last packed into or unpacked from]
    #[arg(long, value_name = "REFERENCE", value_parser = reference)]
    kit: Option<Reference>,
    /// Kitfile to use, or - for standard input [default: as when it was packed]
    #[arg(short, long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Exit with 10 if something differs
    #[arg(long)]
    exit_code: bool,
    /// Read and hash everything, also what is known from earlier runs
    #[arg(long)]
    no_cache: bool,
    /// How many threads work [default: one a core]
    #[arg(long, value_name = "N", value_parser = crate::cli::values::threads)]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    output: FormatArgs,
}

/// Prints what differs.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    kitfile_source::check_directory(&args.directory)?;
    let recorded = origins::find(&context.origins()?, &args.directory);
    let store = context.store_within("kit status", &args.limits.moved)?;
    // Before the walk: what is written after that is not believed later.
    let cache = context.cache(args.no_cache)?;
    let progress = context.watcher();
    let kit = open(args, recorded.as_ref(), &store, &progress)?;
    // What is known of another kit says nothing about this one.
    let origin = recorded.filter(|origin| origin.digest == kit.descriptor.digest);
    let options = options(args, &kit, origin.as_ref(), context, &progress)?;
    let report = status::run(&options, &kit, &store, &cache, &progress)?;
    drop(progress);
    for warning in &report.warnings {
        context.ui.warn(warning);
    }
    let name = name(&kit, origin.as_ref());
    match &args.output.format {
        Format::Table => print(args, &report, &name, &kit, context)?,
        Format::Json => context.ui.json(&document(args, &report, &name, &kit))?,
        Format::Template(template) => {
            let document = document(args, &report, &name, &kit);
            context.ui.template(template, &document)?;
        }
    }
    if args.exit_code && !report.is_clean() {
        return Err(Failure::reported(Kind::Differs));
    }
    Ok(())
}

/// Opens the kit that was asked for, or the one that the directory came from.
fn open(
    args: &Args,
    origin: Option<&Origin>,
    store: &store::Store,
    progress: &dyn Progress,
) -> Result<Kit, Failure> {
    if let Some(reference) = &args.kit {
        let reference = reference.clone().or_latest();
        return kit::open(store, &reference, progress)
            .map_err(|error| Failure::from(error).about(&reference));
    }
    let Some(origin) = origin else {
        let directory = args.directory.display();
        let problem = format!("it is not known which kit {directory} belongs to");
        return Err(Failure::new(Kind::NotFound, problem)
            .hint("name it with --kit; `kit pack` and `kit unpack` remember it"));
    };
    let reference = Reference::from(origin.digest);
    kit::open(store, &reference, progress).map_err(|error| match error {
        crate::ops::Error::Store(store::Error::NotFound { .. }) => Failure::new(
            Kind::NotFound,
            format!(
                "the kit that {} belongs to is not in the store any more: {}",
                args.directory.display(),
                origin.reference.as_ref().map_or_else(
                    || origin.digest.to_string(),
                    |name| format!("{name} ({})", origin.digest)
                )
            ),
        )
        .hint("--kit names another one to compare with"),
        error => error.into(),
    })
}

fn options(
    args: &Args,
    kit: &Kit,
    origin: Option<&Origin>,
    context: &Context,
    progress: &dyn Progress,
) -> Result<Options, Failure> {
    let event = origin.map(|origin| &origin.event);
    let (links, keep_modes, executable, shards) = match event {
        Some(Event::Pack {
            follow_links,
            keep_modes,
            executable,
            shard_size,
            ..
        }) => (
            Links::from_word(follow_links),
            *keep_modes,
            executable.as_slice(),
            shard_size.as_deref(),
        ),
        _ => (Links::Context, false, &[][..], None),
    };
    let rules = read_rules(&args.directory)?;
    let found = find_kitfile(args, event)?;
    let (kitfile, source) = if let Some(parsed) = found.read()? {
        for warning in &parsed.warnings {
            context.ui.warn(warning);
        }
        (parsed.kitfile, Source::Written)
    } else {
        let of_kit = |source| (kit.kitfile.clone(), source);
        match event {
            Some(Event::Pack {
                kitfile: origins::Source::Drafted,
                ..
            }) => {
                let draft = draft::run(&args.directory, &rules, links.into(), progress)?;
                (draft.kitfile, Source::Drafted)
            }
            Some(
                Event::Pack {
                    kitfile: origins::Source::Stdin,
                    ..
                }
                | Event::Unpack { kitfile: false, .. },
            ) => of_kit(Source::NotTaken),
            _ => of_kit(Source::Deleted),
        }
    };
    Ok(Options {
        directory: args.directory.clone(),
        kitfile,
        source,
        rules,
        follow_links: links.into(),
        keep_modes,
        executable: patterns(executable)?,
        taken: taken(event),
        // One that cannot be read only costs time.
        shard_size: shards
            .and_then(|it| shard_size(it).ok())
            .unwrap_or_default(),
        threads: threads(args.threads),
    })
}

/// Finds the Kitfile as packing again would.
fn find_kitfile(args: &Args, event: Option<&Event>) -> Result<Found, Failure> {
    if args.file.is_none()
        && let Some(Event::Pack { kitfile, .. }) = event
    {
        match kitfile {
            origins::Source::File(path) if path.exists() => {
                return Ok(Found::File(path.clone()));
            }
            origins::Source::Stdin => return Ok(Found::None),
            _ => {}
        }
    }
    kitfile_source::locate(&args.directory, args.file.as_deref())
}

fn taken(event: Option<&Event>) -> Option<HashSet<crate::digest::Digest>> {
    match event {
        Some(Event::Unpack { layers, .. }) => {
            let layers = layers.as_ref()?;
            Some(layers.iter().copied().collect())
        }
        _ => None,
    }
}

/// Returns what the kit is called.
fn name(kit: &Kit, origin: Option<&Origin>) -> String {
    match origin.and_then(|origin| origin.reference.clone()) {
        Some(name) if kit.reference.repository().is_none() => name,
        _ => kit.reference.to_string(),
    }
}

/// Returns the word for a change.
const fn word(change: Change) -> &'static str {
    match change {
        Change::Modified => "modified",
        Change::New => "new",
        Change::Deleted => "deleted",
        Change::Mode => "mode",
    }
}

fn print(
    args: &Args,
    report: &Report,
    name: &str,
    kit: &Kit,
    context: &Context,
) -> Result<(), Failure> {
    let digest = kit.descriptor.digest;
    let of = if name == digest.to_string() {
        name.to_owned()
    } else {
        format!("{name} ({digest})")
    };
    if report.is_clean() {
        return context.ui.line(format_args!("No changes since {of}"));
    }
    // Writing to a string cannot fail.
    let mut text = format!("Changes since {of}\n");
    if let Some(change) = report.kitfile {
        let _ = writeln!(text, "\nKitfile: {}", word(change));
    }
    for element in &report.elements {
        if element.change.is_none() && element.files.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n{}", heading(element));
        for (path, change) in &element.files {
            let word = format!("{}:", word(*change));
            let _ = writeln!(text, "  {word:<9} {}", escape_bytes(path));
        }
    }
    context.ui.out(text)?;
    let (directory, tag) = (args.directory.display(), tag(name));
    context.ui.status(format_args!(
        "{}`kit pack {directory} -t {tag}` packs the directory as it is",
        counts(report)
    ));
    Ok(())
}

/// Says how many files changed in which way; nothing if only the Kitfile did.
fn counts(report: &Report) -> String {
    let changes = || report.elements.iter().flat_map(|element| &element.files);
    let mut text = String::new();
    for (wanted, said) in [
        (Change::Modified, "modified"),
        (Change::New, "new"),
        (Change::Deleted, "deleted"),
        (Change::Mode, "with another mode"),
    ] {
        let count = changes().filter(|(_, change)| *change == wanted).count();
        if count > 0 {
            let between = if text.is_empty() { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{between}{} {said}", human::number(count as u64));
        }
    }
    if !text.is_empty() {
        text.push_str(": ");
    }
    text
}

/// Returns the name to pack by.
fn tag(name: &str) -> &str {
    match name.split_once('@') {
        Some((repository, _)) => repository,
        None if name.starts_with("sha256:") => "NAME",
        None => name,
    }
}

fn heading(element: &Element) -> String {
    let entry = &element.entry;
    let noun = kit::noun(entry.section);
    let path = escape_bytes(entry.clean.as_bytes());
    let name = if entry.name.is_empty() {
        format!("{noun} `{path}`")
    } else {
        format!(
            "{noun} `{}` in `{path}`",
            escape_bytes(entry.name.as_bytes())
        )
    };
    match element.change {
        Some(change) => format!("{name}: {}", word(change)),
        None => name,
    }
}

fn document(args: &Args, report: &Report, name: &str, kit: &Kit) -> Value {
    let elements = report.elements.iter().map(|element| {
        let changes = element.files.iter().map(|(path, change)| {
            json!({
                "path": String::from_utf8_lossy(path),
                "change": word(*change),
            })
        });
        json!({
            "type": kit::noun(element.entry.section),
            "name": element.entry.name,
            "path": element.entry.clean,
            "state": element.change.map_or(
                if element.files.is_empty() { "unchanged" } else { "modified" },
                word,
            ),
            "changes": changes.collect::<Vec<_>>(),
        })
    });
    json!({
        "directory": args.directory.to_string_lossy(),
        "reference": name,
        "digest": kit.descriptor.digest.to_string(),
        "clean": report.is_clean(),
        "kitfile": report.kitfile.map_or("unchanged", word),
        "elements": elements.collect::<Vec<_>>(),
    })
}

/// Returns what to remember of a pack.
pub(super) fn packed(source: &Found, args: &super::pack::Args) -> Event {
    Event::Pack {
        kitfile: match source {
            Found::None => origins::Source::Drafted,
            Found::Stdin(_) => origins::Source::Stdin,
            Found::File(path) if args.file.is_some() => origins::Source::File(absolute(path)),
            Found::File(_) => origins::Source::Found,
        },
        follow_links: args.follow_links.word().to_owned(),
        keep_modes: args.keep_modes,
        executable: args.executable.clone(),
        shard_size: shard_words(args.shard_size),
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
