//! `kit history`

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        failure::{Failure, Kind},
        help::examples,
        human,
        table::Table,
        values::reference,
    },
    digest::Digest,
    progress::{Progress, Silent},
    reference::{Reference, Repository},
    store::{Change, Entry, History, Store},
    suggest,
};

/// Tell what names pointed to, since when, and by which command
///
/// The newest change comes first. Times are in UTC.
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Show what happened to one name", "kit history team/net:prod"),
    ("Show all names of a repository, the last five changes", "kit history team/net -n 5"),
    ("Find the names that a kit has had", "kit history sha256:c605efb9e859e1862aea19450bd3e66f8c5d3d68c9cd2a2a5fe273c8a4b30237"),
    ("Get everything as JSON", "kit history --format json"),
]))]
pub(crate) struct Args {
    /// A name with its tag, a repository for all its tags, or a digest; all names if left out
    #[arg(value_name = "REFERENCE", value_parser = reference)]
    reference: Option<Reference>,
    /// Show only so many changes, the newest
    #[arg(short = 'n', long, value_name = "NUMBER")]
    limit: Option<usize>,
    #[command(flatten)]
    output: FormatArgs,
}

/// A change in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    time: &'a str,
    name: &'a str,
    old: Option<Digest>,
    new: Option<Digest>,
    command: &'a str,
    /// Whether the name led to `new` afterwards: not if the program was killed half-way.
    done: bool,
    old_in_store: bool,
    new_in_store: bool,
}

/// Prints the changes.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store("kit history")?;
    let (history, entries, undone) = read(&store, &context.watcher())?;
    for line in &history.damaged {
        context.ui.warn(format_args!(
            "line {line} of names.log cannot be read: what it told is lost"
        ));
    }
    let kits: HashSet<Digest> = entries.iter().map(|it| it.descriptor.digest).collect();
    let is_here = |digest: Option<Digest>| digest.is_some_and(|digest| kits.contains(&digest));
    let rows = select(&history.changes, args.reference.as_ref());
    if let Some(wanted) = args.reference.as_ref().filter(|_| rows.is_empty()) {
        return Err(unknown(wanted, &history.changes));
    }
    let rows: Vec<Row<'_>> = rows
        .into_iter()
        .take(args.limit.unwrap_or(usize::MAX))
        .map(|(place, change)| Row {
            time: &change.time,
            name: &change.name,
            old: change.old,
            new: change.new,
            command: &change.command,
            done: !undone.contains(&place),
            old_in_store: is_here(change.old),
            new_in_store: is_here(change.new),
        })
        .collect();
    match &args.output.format {
        Format::Json => context.ui.json(&rows),
        Format::Template(template) => {
            for row in &rows {
                let row = serde_json::to_value(row).expect("a row is texts and booleans");
                context.ui.template(template, &row)?;
            }
            Ok(())
        }
        Format::Table => {
            context.ui.out(table(&rows).render())?;
            if let Some(hint) = way_back(&rows, &entries) {
                context.ui.hint(hint);
            }
            Ok(())
        }
    }
}

/// Reads the log and the names, and finds the changes that were written down and then not made.
fn read(
    store: &Store,
    progress: &dyn Progress,
) -> Result<(History, Vec<Entry>, HashSet<usize>), Failure> {
    let mut tries = 0;
    loop {
        let history = store.history()?;
        let entries = store.entries(if tries == 0 { progress } else { &Silent })?;
        let undone = undone(&history.changes, &entries);
        tries += 1;
        // Another process may be between the two just now.
        if tries == 3 || undone.is_empty() {
            return Ok((history, entries, undone));
        }
    }
}

/// Returns the places of changes after which the name did not lead where they say.
fn undone(changes: &[Change], entries: &[Entry]) -> HashSet<usize> {
    let mut last: BTreeMap<&str, (usize, Option<Digest>)> = BTreeMap::new();
    let mut undone = HashSet::new();
    for (place, change) in changes.iter().enumerate() {
        if let Some((before, led_to)) = last.insert(&change.name, (place, change.new))
            && led_to != change.old
        {
            undone.insert(before);
        }
    }
    let now: HashMap<String, Digest> = entries
        .iter()
        .map(|entry| (entry.log_name(), entry.descriptor.digest))
        .collect();
    let differ = last
        .into_iter()
        .filter(|(name, (_, new))| now.get(*name) != new.as_ref())
        .map(|(_, (place, _))| place);
    undone.extend(differ);
    undone
}

/// Returns the changes that `wanted` means, newest first, each with its place in the log. That a
/// kit without a tag is kept by its digest goes without saying where a tag tells of it.
fn select<'a>(changes: &'a [Change], wanted: Option<&Reference>) -> Vec<(usize, &'a Change)> {
    let names: Vec<Option<Reference>> = changes
        .iter()
        .map(|change| Reference::parse(&change.name).ok())
        .collect();
    let mut told = HashSet::new();
    for (change, name) in changes.iter().zip(&names) {
        if let Some(name) = name.as_ref().filter(|name| name.tag().is_some()) {
            for digest in [change.old, change.new].into_iter().flatten() {
                told.insert((&change.time, &change.command, name.with_digest(digest)));
            }
        }
    }
    let is_wanted = |change: &Change, name: &Option<Reference>| match (wanted, name) {
        (None, None) => true,
        (Some(_), None) => false,
        (Some(wanted), Some(name)) if wanted.digest().is_some() => {
            let digest = wanted.digest();
            (change.old == digest || change.new == digest)
                && (wanted.repository().is_none() || wanted.repository() == name.repository())
        }
        (Some(wanted), Some(name)) if wanted.tag().is_some() => wanted == name,
        (wanted, Some(name)) => {
            wanted.is_none_or(|wanted| wanted.repository() == name.repository())
                && !told.contains(&(&change.time, &change.command, name.clone()))
        }
    };
    let all = changes.iter().zip(&names).enumerate();
    let mut rows: Vec<_> = all
        .filter(|(_, (change, name))| is_wanted(change, name))
        .map(|(place, (change, _))| (place, change))
        .collect();
    rows.reverse();
    rows
}

fn table(rows: &[Row<'_>]) -> Table {
    let mut table = Table::new(&["TIME", "NAME", "KIT", "BEFORE", "COMMAND"]);
    let short = |digest: Option<Digest>, none: &str| {
        digest.map_or_else(|| none.to_owned(), |digest| human::short(&digest))
    };
    for row in rows {
        let time = match row.time.split_once('.') {
            Some((seconds, _)) => format!("{seconds}Z"),
            None => row.time.to_owned(),
        };
        let command = if row.done {
            row.command.to_owned()
        } else {
            format!("{} (not done)", row.command)
        };
        table.row(&[
            time,
            shown(row.name),
            short(row.new, "removed"),
            short(row.old, "-"),
            command,
        ]);
    }
    table
}

/// Returns a name for the table: digests are shortened.
fn shown(name: &str) -> String {
    let Ok(reference) = Reference::parse(name) else {
        return name.to_owned();
    };
    match (reference.repository(), reference.digest()) {
        (None, _) => "<none>".to_owned(),
        (Some(repository), Some(digest)) => format!("{repository}@{}", human::short(&digest)),
        _ => name.to_owned(),
    }
}

/// Tells how the name that changed last gets back what it led to before, if that is still there.
fn way_back(rows: &[Row<'_>], entries: &[Entry]) -> Option<String> {
    rows.iter().find_map(|row| {
        let name = Reference::parse(row.name).ok()?;
        let old = row.old.filter(|_| row.done && name.tag().is_some())?;
        let leads_there =
            |entry: &&Entry| entry.descriptor.digest == old && entry.name.as_ref() == Some(&name);
        if entries.iter().find(leads_there).is_some() {
            return None;
        }
        let mut holders = entries.iter().filter(|it| it.descriptor.digest == old);
        let first = holders.next()?;
        let source = match std::iter::once(first)
            .chain(holders)
            .find(|it| it.repository() == name.repository())
        {
            Some(_) => name.with_digest(old),
            None => old.into(),
        };
        Some(format!(
            "what {name} led to before is still here: `kit tag {source} {name}` brings it back"
        ))
    })
}

/// Says that nothing is known of `wanted`, and what was probably meant.
fn unknown(wanted: &Reference, changes: &[Change]) -> Failure {
    let failure = Failure::new(
        Kind::NotFound,
        format!("nothing is known of {wanted}: no kit in the store has had that name"),
    );
    let parsed = changes.iter().map(|it| Reference::parse(&it.name).ok());
    let names: Vec<String> = parsed
        .flatten()
        .filter(|name| name.tag().is_some())
        .map(|name| match wanted.tag() {
            Some(_) => name.to_string(),
            None => name
                .repository()
                .map_or_else(String::new, Repository::to_string),
        })
        .collect();
    let typed = wanted.to_string();
    match suggest::closest(&typed, names.iter().map(String::as_str)) {
        Some(name) => failure.hint(format!("there is `{name}`")),
        None => failure.hint("`kit history` shows all names"),
    }
}
