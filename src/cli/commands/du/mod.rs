//! `kit du`

mod far;

use serde::Serialize;

use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        commands::list::{NONE, VERIFY, fail_for, is_meant, name, unknown},
        failure::Failure,
        help::examples,
        human,
        network::NetworkArgs,
        table::Table,
        values::{References, references},
    },
    digest::Digest,
    ops::remote::registry_of,
    progress::Silent,
    reference::Repository,
    store::{Entry, KitUsage, Leftover, Problem, Usage},
};

/// Show what kits take on the disk, and what removing them frees
///
/// Blobs that several kits share are stored once: a kit's UNIQUE bytes are those that no other kit
/// needs, so that removing it frees them; its SHARED bytes stay. The same kit under another
/// repository is another kit here. Largest first.
///
/// Of a kit that is not in the local store, but in the registry that its name begins with, it is shown
/// how many files it holds, how large they are, and how much a pull would fetch, without fetching any
/// of it.
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Show all kits", "kit du"),
    ("See what removing two kits together frees", "kit du team/net:1.0 team/net:1.1"),
    ("Show the kits of one repository", "kit du team/net"),
    ("See what a kit in a registry holds, and what pulling it fetches", "kit du registry.example/team/net:1.0"),
    ("Get the numbers in a script", "kit du --format json"),
]))]
pub(crate) struct Args {
    /// Show only these: a repository, or a name with its tag or digest
    #[arg(value_name = "REFERENCE", value_parser = references)]
    references: Vec<References>,
    #[command(flatten)]
    output: FormatArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

/// The result in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    kits: Vec<Row<'a>>,
    together: u64,
    total: u64,
    blobs: Files,
    garbage: Option<Files>,
    temporary: Files,
    resumable: Files,
    set_aside: Files,
    /// Kits that are not here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remote: Vec<far::Kit>,
}

/// A kit in JSON.
#[derive(Serialize)]
struct Row<'a> {
    repo: &'a str,
    digest: Digest,
    tags: &'a [String],
    unique: u64,
    shared: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    toc: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Files of one kind in JSON.
#[derive(Serialize)]
struct Files {
    files: usize,
    bytes: u64,
}

impl From<Leftover> for Files {
    fn from(Leftover { files, bytes }: Leftover) -> Self {
        Self { files, bytes }
    }
}

/// Prints what the kits take.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store("kit du")?;
    let wanted: Vec<_> = args.references.iter().flat_map(|it| &it.0).collect();
    let selects =
        |entry: &Entry| wanted.is_empty() || wanted.iter().any(|wanted| is_meant(entry, wanted));
    let mut usage = store.usage(&selects, &context.watcher())?;
    let entries = if wanted.is_empty() {
        Vec::new()
    } else {
        store.entries(&Silent)?
    };
    let mut elsewhere = Vec::new();
    for wanted in &wanted {
        if entries.iter().any(|entry| is_meant(entry, wanted)) {
            continue;
        }
        if registry_of(wanted).is_none() {
            return Err(unknown(wanted, &store)?);
        }
        elsewhere.push((*wanted).clone().or_latest());
    }
    let remote = far::look(&elsewhere, &store, &args.network, context)?;
    let is_far = !remote.is_empty() && usage.kits.is_empty();
    // Stable: kits of one size stay in the order of their names.
    usage
        .kits
        .sort_by_key(|kit| std::cmp::Reverse((kit.unique, kit.shared)));
    let report = report(&usage, remote);
    match &args.output.format {
        Format::Json => context.ui.json(&report)?,
        Format::Template(template) => {
            let data = serde_json::to_value(&report).expect("a report is texts and numbers");
            context.ui.template(template, &data)?;
        }
        Format::Table => {
            if !is_far {
                context.ui.out(table(&usage).render())?;
                context.ui.out("\n")?;
                for line in summary(&usage, !wanted.is_empty()) {
                    context.ui.line(line)?;
                }
            }
            for (number, kit) in report.remote.iter().enumerate() {
                if number > 0 || !is_far {
                    context.ui.out("\n")?;
                }
                context.ui.out(kit.text())?;
            }
        }
    }
    problems(&usage)
}

fn report(usage: &Usage, remote: Vec<far::Kit>) -> Report<'_> {
    Report {
        kits: usage
            .kits
            .iter()
            .map(|kit| Row {
                repo: repository(kit),
                digest: kit.digest,
                tags: &kit.tags,
                unique: kit.unique,
                shared: kit.shared,
                toc: kit.toc,
                problem: kit.problem.as_ref().map(text),
            })
            .collect(),
        together: usage.together,
        total: usage.total(),
        blobs: usage.blobs.into(),
        garbage: usage.garbage.map(Into::into),
        temporary: usage.temporary.into(),
        resumable: usage.resumable.into(),
        set_aside: usage.quarantine.into(),
        remote,
    }
}

fn repository(kit: &KitUsage) -> &str {
    kit.repository.as_ref().map_or(NONE, Repository::as_str)
}

/// Returns the table for people: a row for each kit, its tags together.
fn table(usage: &Usage) -> Table {
    let mut table = Table::new(&["REPOSITORY", "TAGS", "UNIQUE", "SHARED", "DIGEST"]);
    for kit in &usage.kits {
        let tags = match kit.tags.as_slice() {
            [] => NONE.to_owned(),
            tags => tags.join(","),
        };
        let (unique, shared) = match kit.problem {
            Some(Problem::Unreadable(_)) => ("(damaged)".to_owned(), "-".to_owned()),
            _ => (human::bytes(kit.unique), human::bytes(kit.shared)),
        };
        let digest = format!("sha256:{}", human::short(&kit.digest));
        table.row(&[repository(kit), &tags, &unique, &shared, &digest]);
    }
    table
}

/// Returns the lines under the table.
fn summary(usage: &Usage, is_choice: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if is_choice {
        let kits = human::count(usage.kits.len() as u64, "kit");
        let bytes = human::bytes(usage.together);
        lines.push(format!("Removing {kits} frees {bytes}"));
    }
    let blobs = human::count(usage.blobs.files as u64, "blob");
    let total = human::bytes(usage.total());
    lines.push(format!("Total: {total} in {blobs}"));
    let tocs: Vec<u64> = usage.kits.iter().filter_map(|kit| kit.toc).collect();
    if !tocs.is_empty() {
        lines.push(format!(
            "Tables of contents of {}: {}",
            human::count(tocs.len() as u64, "kit"),
            human::bytes(tocs.iter().sum())
        ));
    }
    match usage.prunable() {
        Some(0) => {}
        Some(bytes) => lines.push(format!("`kit prune` frees: {}", human::bytes(bytes))),
        None => lines.push(
            "`kit prune` frees nothing: it cannot be told what the damaged kits need".to_owned(),
        ),
    }
    for (what, files) in [
        ("Unfinished downloads", usage.resumable),
        ("Damaged blobs that were set aside", usage.quarantine),
    ] {
        if files.files > 0 {
            lines.push(format!("{what}: {}", human::bytes(files.bytes)));
        }
    }
    lines
}

fn text(problem: &Problem) -> String {
    match problem {
        Problem::Unreadable(text) => text.clone(),
        Problem::Missing(count) => {
            let is = if *count == 1 { "is" } else { "are" };
            format!("{} {is} missing", human::count(*count as u64, "blob"))
        }
    }
}

/// Fails if it cannot be told what kits take, after all that can be told was.
fn problems(usage: &Usage) -> Result<(), Failure> {
    let damaged = usage.kits.iter().filter_map(|kit| {
        let name = name(kit.repository.as_ref(), &kit.tags, Some(kit.digest));
        Some((name, text(kit.problem.as_ref()?)))
    });
    fail_for(damaged, "cannot be measured", VERIFY)
}
