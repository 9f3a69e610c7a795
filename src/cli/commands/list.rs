//! `kit list`

use serde::Serialize;

use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        failure::{Failure, Kind},
        help::examples,
        hints::listed,
        human,
        network::{NetworkArgs, needs_registry},
        table::Table,
        values::{concurrency, reference},
    },
    digest::Digest,
    filter::Filter,
    ops::{
        list::{self, ListedKit, ProblemKind},
        pull::Registries as _,
        remote::{self, AT_ONCE},
        transfer::Network,
    },
    progress::Silent,
    reference::{Reference, Repository},
    store::{Entry, Store},
    suggest,
};

/// What stands in the place of a name, a tag or an author that is not there.
pub(super) const NONE: &str = "<none>";

/// List the kits in the local store, or in a repository of a registry
///
/// A repository without a registry, team/net, is looked for in the local store. One with a
/// registry, registry.example/team/net, is asked for there, and all its tags are listed; with
/// --local the kits of that name in the local store are. On a terminal that is too narrow for the
/// table digests are shortened; in a pipe they never are.
#[derive(clap::Args)]
#[command(visible_alias = "ls", after_help = examples(&[
    ("List all kits", "kit list"),
    ("List the kits of one repository", "kit list team/net"),
    ("List what a registry has", "kit list registry.example/team/net"),
    ("List what the local store has of it", "kit list --local registry.example/team/net"),
    ("List the kits with a dataset called train", "kit list --filter datasets:train"),
    ("See whole digests on a narrow terminal", "kit list --no-trunc"),
    ("Get names and digests in a script", "kit list --format '{{ .Repo }} {{ .Digest }}'"),
    ("Get everything as JSON", "kit list --format json"),
]))]
pub(crate) struct Args {
    /// List only the kits of this repository, or only one tag of it
    #[arg(value_name = "REPOSITORY", value_parser = reference)]
    repository: Option<Reference>,
    /// Print digests in full where the terminal is too narrow for them
    #[arg(long)]
    no_trunc: bool,
    #[arg(
        short,
        long,
        value_name = "FILTER",
        help = "List only kits that hold something of this: TYPE[,TYPE...][:NAME-OR-PATH,...], as for kit unpack"
    )]
    filter: Vec<String>,
    /// Look in the local store even if the name has a registry
    #[arg(long)]
    local: bool,
    /// Blobs at a time; here the documents of kits in a registry
    #[arg(long, value_name = "NUMBER", default_value_t = AT_ONCE, value_parser = concurrency)]
    concurrency: usize,
    #[command(flatten)]
    output: FormatArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

/// A kit in JSON: the keys of the reference, then ours.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    repo: &'a str,
    digest: Option<Digest>,
    tags: &'a [String],
    model_name: &'a str,
    size: u64,
    author: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
}

/// Prints the kits.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let wanted = args.repository.as_ref();
    let remote = wanted.filter(|wanted| !args.local && is_remote(wanted));
    let filter = Filter::parse(&args.filter)?;
    let kits = match remote {
        Some(wanted) => in_registry(args, wanted, &filter, context)?,
        None => in_store(wanted, &filter, context)?,
    };
    let rows: Vec<Row<'_>> = kits.iter().map(row).collect();
    match &args.output.format {
        Format::Table => {
            let columns = context.ui.columns().filter(|_| !args.no_trunc);
            context.ui.out(table_within(&kits, columns).render())?;
        }
        Format::Json => context.ui.json(&rows)?,
        Format::Template(template) => {
            for row in &rows {
                let row = serde_json::to_value(row).expect("a row is texts and numbers");
                context.ui.template(template, &row)?;
            }
        }
    }
    problems(&kits, remote.is_none())
}

fn is_remote(wanted: &Reference) -> bool {
    let repository = wanted.repository();
    repository.is_some_and(|repository| repository.registry().is_some())
}

/// Returns what a registry has.
fn in_registry(
    args: &Args,
    wanted: &Reference,
    filter: &Filter,
    context: &Context,
) -> Result<Vec<ListedKit>, Failure> {
    let name = needs_registry(wanted)?;
    let access = args.network.access_to_documents(wanted, context)?;
    let repository = access.repository(name)?;
    let listing = remote::list::run(&repository, wanted, filter, args.concurrency);
    let listing = Network::new()?.wait(&context.progress(), listing)?;
    if !listing.dropped.is_empty() {
        context.ui.warn(format_args!(
            "{name} has {} that no tag can be called: {}",
            human::count(listing.dropped.len() as u64, "name"),
            listed(&listing.dropped)
        ));
    }
    Ok(listing.kits)
}

/// Returns what the local store has.
fn in_store(
    wanted: Option<&Reference>,
    filter: &Filter,
    context: &Context,
) -> Result<Vec<ListedKit>, Failure> {
    let store = context.store("kit list")?;
    let selects = |entry: &Entry| wanted.is_none_or(|wanted| is_meant(entry, wanted));
    let progress = context.watcher();
    let kits = list::run(&store, &selects, filter, &progress)?;
    if let Some(wanted) = wanted.filter(|_| kits.is_empty())
        && !store.entries(&Silent)?.iter().any(selects)
    {
        return Err(unknown(wanted, &store)?);
    }
    Ok(kits)
}

/// Tells whether an entry is in the repository, and has the tag or digest that was given with it.
pub(super) fn is_meant(entry: &Entry, wanted: &Reference) -> bool {
    (wanted.repository().is_none() || entry.repository() == wanted.repository())
        && (wanted.tag().is_none() || entry.tag() == wanted.tag())
        && wanted
            .digest()
            .is_none_or(|digest| entry.descriptor.digest == digest)
}

fn row(kit: &ListedKit) -> Row<'_> {
    Row {
        repo: kit.repository.as_ref().map_or(NONE, Repository::as_str),
        digest: kit.digest,
        tags: &kit.tags,
        model_name: or_none(&kit.summary.name),
        size: kit.summary.size.unwrap_or_default(),
        author: or_none(&kit.summary.author),
        problem: kit.summary.problem.as_ref().map(|it| it.text.as_str()),
    }
}

/// Returns the table for people, with shorter digests if the whole ones do not fit into `columns`.
fn table_within(kits: &[ListedKit], columns: Option<usize>) -> Table {
    let whole = table(kits, Digest::to_string);
    match columns {
        Some(columns) if whole.width() > columns => table(kits, human::short),
        _ => whole,
    }
}

/// Returns the table for people: a row for each tag.
fn table(kits: &[ListedKit], shown: impl Fn(&Digest) -> String) -> Table {
    let mut table = Table::new(&["REPOSITORY", "TAG", "MAINTAINER", "NAME", "SIZE", "DIGEST"]);
    for kit in kits {
        let row = row(kit);
        let name = match &kit.summary.problem {
            None => row.model_name,
            Some(problem) => match problem.kind {
                ProblemKind::Damaged => "(damaged)",
                ProblemKind::Foreign => "(no kit)",
                ProblemKind::Missing => "(missing)",
            },
        };
        let size = kit.summary.size.map_or_else(|| "-".into(), human::bytes);
        let digest = kit.digest.map_or_else(|| NONE.into(), |it| shown(&it));
        let mut add = |tag| table.row(&[row.repo, tag, row.author, name, &size, &digest]);
        match kit.tags.as_slice() {
            [] => add(NONE),
            tags => tags.iter().for_each(|tag| add(tag)),
        }
    }
    table
}

/// Fails if kits cannot be read, after all were listed. What is no kit is in order.
fn problems(kits: &[ListedKit], is_local: bool) -> Result<(), Failure> {
    let damaged = kits.iter().filter_map(|kit| {
        let problem = kit.summary.problem.as_ref();
        let problem = problem.filter(|it| it.kind != ProblemKind::Foreign)?;
        let name = name(kit.repository.as_ref(), &kit.tags, kit.digest);
        Some((name, problem.text.clone()))
    });
    let hint = if is_local {
        VERIFY
    } else {
        "push them again, or remove them: `kit remove --remote`"
    };
    fail_for(damaged, "cannot be read", hint)
}

/// What can be done about kits that are damaged here.
pub(super) const VERIFY: &str = "`kit verify` tells what is damaged, and whom it concerns";

/// Returns what a kit is called where only one of its names is wanted.
pub(super) fn name(
    repository: Option<&Repository>,
    tags: &[String],
    digest: Option<Digest>,
) -> String {
    let digest = digest.map_or_else(|| NONE.into(), |digest| digest.to_string());
    match (repository, tags.first()) {
        (Some(repository), Some(tag)) => format!("{repository}:{tag}"),
        (Some(repository), None) => format!("{repository}@{digest}"),
        (None, _) => digest,
    }
}

/// Fails if there are kits, given by name and problem, with which something is wrong.
pub(super) fn fail_for(
    kits: impl Iterator<Item = (String, String)>,
    what: &str,
    hint: &str,
) -> Result<(), Failure> {
    let empty = Failure::new(Kind::Damaged, "");
    let mut failure = kits.fold(empty, |failure, (name, problem)| {
        failure.detail(format!("{name}: {problem}"))
    });
    if failure.details.is_empty() {
        return Ok(());
    }
    let count = human::count(failure.details.len() as u64, "kit");
    failure.message = format!("{count} {what}");
    Err(failure.hint(hint))
}

/// Says that there is no such repository, and what was probably meant.
pub(super) fn unknown(wanted: &Reference, store: &Store) -> Result<Failure, Failure> {
    let entries = store.entries(&Silent)?;
    let mut names: Vec<&str> = entries
        .iter()
        .filter_map(|entry| entry.repository().map(Repository::as_str))
        .collect();
    names.dedup();
    let typed = wanted.repository().map_or("", Repository::as_str);
    let there = names.iter().find(|name| **name == typed).copied();
    let failure = Failure::new(Kind::NotFound, format!("no kit of {wanted} in the store"));
    Ok(
        match there.or_else(|| suggest::closest(typed, names.iter().copied())) {
            Some(name) => failure.hint(format!("there is {}", listed(&[name.to_owned()]))),
            None if is_host(wanted) => failure.hint(format!(
                "registries do not list their repositories: name one, `kit list {wanted}/team/net`"
            )),
            None => failure.hint("`kit list` shows what there is"),
        },
    )
}

/// Tells whether a name without a path looks like a registry's.
fn is_host(name: &Reference) -> bool {
    let name = name.to_string();
    let host = name.split(':').next().unwrap_or_default();
    crate::reference::registry(&name).is_ok() && (host == "localhost" || host.contains('.'))
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { NONE } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_shortened_only_where_the_table_does_not_fit() {
        let digest = Digest::of(b"kit");
        let kits = [ListedKit {
            repository: Some(Repository::parse("team/net").unwrap()),
            digest: Some(digest),
            tags: vec!["1.0".to_owned()],
            summary: list::Summary::default(),
        }];
        let whole = table(&kits, Digest::to_string);
        let width = whole.width();
        for (columns, is_whole) in [
            (None, true),
            (Some(width), true),
            (Some(width - 1), false),
            (Some(0), false),
        ] {
            let text = table_within(&kits, columns).render();
            assert_eq!(text.contains(&digest.to_string()), is_whole, "{columns:?}");
            assert!(text.contains(&human::short(&digest)), "{columns:?}");
        }
        assert!(table_within(&kits, Some(80)).width() <= 80);
    }
}
