//! `kit remove --remote`

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Args;
use crate::{
    cli::{
        Context,
        args::Format,
        failure::{Failure, Kind},
        hints::listed,
        human,
        network::needs_registry,
    },
    digest::Digest,
    ops::{
        pull::Registries as _,
        remote::{
            AT_ONCE,
            remove::{self, OtherTags, Outcome, Plan},
        },
        transfer::Network,
    },
    progress::Progress,
    reference::{self, Reference},
    registry::Repository,
};

/// The result in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    dry_run: bool,
    untagged: Vec<String>,
    removed: Vec<Row>,
    /// Whether kits had tags that the registry does not tell.
    may_be_more: bool,
}

#[derive(Serialize)]
struct Row {
    repo: String,
    digest: Digest,
}

/// What is removed from one repository.
struct Work {
    name: reference::Repository,
    repository: Repository,
    references: Vec<Reference>,
    /// Each kit or tag once.
    plans: Vec<Plan>,
}

/// Removes from registries, or tells what would be removed.
pub(super) fn run(args: &Args, references: &[Reference], context: &Context) -> Result<(), Failure> {
    let mut works = Vec::new();
    for (name, references) in by_repository(references)? {
        let access = args.network.access_to_documents(&references[0], context)?;
        works.push(Work {
            repository: access.repository(&name)?,
            name,
            references,
            plans: Vec::new(),
        });
    }
    let (network, progress) = (Network::new()?, context.progress());
    let mut failures = Vec::new();
    // Everything is planned before anything is removed. What is not there is a failure for later.
    for work in &mut works {
        work.plans = plan(work, args.force, &network, &progress, &mut failures)?;
    }
    if !args.dry_run {
        for work in &mut works {
            execute(work, &network, &progress, &mut failures);
        }
    }
    drop(progress);
    tell(args, &works, references, context)?;
    several(failures)
}

/// Puts references to the same repository together, and refuses those that could mean anything.
fn by_repository(
    references: &[Reference],
) -> Result<BTreeMap<reference::Repository, Vec<Reference>>, Failure> {
    let mut all: BTreeMap<_, Vec<Reference>> = BTreeMap::new();
    for reference in references {
        let name = needs_registry(reference)?;
        if reference.tag().is_none() && reference.digest().is_none() {
            let message = format!("{reference} names neither a tag nor a digest");
            return Err(Failure::new(Kind::Usage, message)
                .hint(format!("`kit list {reference}` shows what there is")));
        }
        all.entry(name.clone()).or_default().push(reference.clone());
    }
    Ok(all)
}

fn plan(
    work: &Work,
    is_whole: bool,
    network: &Network,
    progress: &dyn Progress,
    failures: &mut Vec<Failure>,
) -> Result<Vec<Plan>, Failure> {
    let mut plans: Vec<Plan> = Vec::new();
    for reference in &work.references {
        let planning = remove::plan(&work.repository, reference, is_whole, AT_ONCE);
        match network.wait(progress, planning) {
            Ok(plan) => plans.push(plan),
            Err(error) => {
                let failure = Failure::from(error);
                if failure.kind != Kind::NotFound {
                    return Err(failure);
                }
                failures.push(failure);
            }
        }
    }
    let mut whole = BTreeSet::new();
    plans.sort_by_key(|plan| !plan.is_whole);
    plans.retain(|plan| {
        let is_new = !whole.contains(&plan.digest);
        if plan.is_whole {
            whole.insert(plan.digest);
        }
        is_new
    });
    Ok(plans)
}

/// Does what was planned, and leaves the plans that were done.
fn execute(
    work: &mut Work,
    network: &Network,
    progress: &dyn Progress,
    failures: &mut Vec<Failure>,
) {
    let mut done = Vec::new();
    for plan in std::mem::take(&mut work.plans) {
        let removing = remove::run(&work.repository, &plan, AT_ONCE);
        let removed = network.wait(progress, removing).map(|done| {
            for digest in done.left {
                progress.warn(&format!(
                    "{} did not remove {digest}, which keeps the table of contents of {}",
                    work.repository.registry().name(),
                    plan.reference
                ));
            }
            done.outcome
        });
        match removed {
            Ok(Outcome::Removed) => done.push(plan),
            Ok(Outcome::RemovedWhole) => {
                progress.warn(&format!(
                    "{} removed the kit with its tag {}, and with any other tag of it",
                    work.repository.registry().name(),
                    plan.reference
                ));
                done.push(Plan {
                    is_whole: true,
                    others: OtherTags {
                        may_be_more: false,
                        ..plan.others
                    },
                    ..plan
                });
            }
            Ok(Outcome::Unsupported) => failures.push(unsupported(&work.repository)),
            Ok(Outcome::WholeOnly(others)) => {
                failures.push(whole_only(&work.repository, &plan, &others));
            }
            Err(error) => failures.push(error.into()),
        }
    }
    work.plans = done;
}

fn unsupported(repository: &Repository) -> Failure {
    let registry = repository.registry().name();
    let message = format!("removing models is unsupported by registry {registry}");
    Failure::new(Kind::Network, message).hint("whoever runs it can allow it")
}

fn whole_only(repository: &Repository, plan: &Plan, others: &OtherTags) -> Failure {
    let registry = repository.registry().name();
    let name = &plan.reference;
    let message = format!("{registry} cannot take a tag off a kit: {name} stays");
    let more = if others.may_be_more {
        ", and maybe others"
    } else {
        ""
    };
    let with = match others.names.as_slice() {
        [] if others.may_be_more => "the kit with all its tags, which are not known".to_owned(),
        [] => "the kit, which has no other tag".to_owned(),
        names => format!("the kit with its other tags, too: {}{more}", listed(names)),
    };
    Failure::new(Kind::Network, message).hint(format!(
        "`kit remove --remote --force {name}` removes {with}"
    ))
}

/// Prints what was done, or would be.
fn tell(
    args: &Args,
    works: &[Work],
    asked: &[Reference],
    context: &Context,
) -> Result<(), Failure> {
    let (removed, untagged) = if args.dry_run {
        ("Would remove", "Would untag")
    } else {
        ("Removed", "Untagged")
    };
    let mut report = Report {
        dry_run: args.dry_run,
        untagged: Vec::new(),
        removed: Vec::new(),
        may_be_more: false,
    };
    let mut lines = Vec::new();
    for Work { name, plans, .. } in works {
        for plan in plans {
            let Plan {
                reference, digest, ..
            } = plan;
            lines.push(format!("{removed} {reference} (digest {digest})"));
            if reference.tag().is_some() {
                report.untagged.push(reference.to_string());
            }
            for tag in &plan.others.names {
                let other = format!("{name}:{tag}");
                lines.push(if asked.iter().any(|asked| asked.to_string() == other) {
                    format!("{removed} {other} (digest {digest})")
                } else {
                    format!("{untagged} {other}")
                });
                report.untagged.push(other);
            }
            if plan.is_whole {
                let repo = name.to_string();
                let digest = *digest;
                report.removed.push(Row { repo, digest });
            }
            report.may_be_more |= plan.others.may_be_more;
        }
    }
    match &args.output.format {
        Format::Table => {
            for line in lines {
                context.ui.line(line)?;
            }
            if report.may_be_more {
                context
                    .ui
                    .warn("the registry does not tell all tags: others may go with the kit");
            }
            Ok(())
        }
        Format::Json => context.ui.json(&report),
        Format::Template(template) => {
            let data = serde_json::to_value(&report).expect("a report is texts and truths");
            context.ui.template(template, &data)
        }
    }
}

/// Fails if something could not be removed, after the others were.
fn several(mut failures: Vec<Failure>) -> Result<(), Failure> {
    match failures.len() {
        0 => Ok(()),
        1 => Err(failures.remove(0)),
        count => {
            let message = format!("{} not removed", human::count(count as u64, "name"));
            let mut all = Failure::new(failures[0].kind, message);
            for one in failures {
                all.details.push(one.message);
                for hint in one.hints {
                    if !all.hints.contains(&hint) {
                        all.hints.push(hint);
                    }
                }
            }
            Err(all)
        }
    }
}
