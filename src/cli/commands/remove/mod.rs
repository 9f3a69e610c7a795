//! `kit remove`

mod remote;
mod report;

use report::{Report, Stays, lines, tell_bereft, tell_space};

use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        failure::{Failure, Kind},
        help::examples,
        human,
        network::NetworkArgs,
        values::{References, concurrency, references},
    },
    ops::chain,
    progress::Silent,
    reference::Reference,
    store::{DroppedKit, Error, Left, Selection},
};

/// Remove kits, or names of kits, from the local store or from a registry
#[derive(clap::Args)]
#[command(
    visible_alias = "rm",
    long_about = "Remove kits, or names of kits, from the local store. A name with a tag takes that tag \
                  off, and the kit goes with its last one; a digest takes the kit with all its tags. \
                  What another kit needs stays.\n\nWith --remote the registry in the name is asked: a \
                  tag alone goes, and a kit with all its tags only by its digest or with --force. \
                  Where a registry takes no single tag off, nothing is done, and the other tags \
                  are told.",
    after_help = examples(&[
    ("Take a tag off; the kit goes with its last one", "kit remove team/net:1.0"),
    ("Remove a kit with all its tags", "kit remove --force team/net:1.0"),
    ("Remove all kits without a tag", "kit remove --all"),
    ("Take a tag off in a registry", "kit remove --remote registry.example/team/net:1.0"),
    ("Remove a kit there with all its tags", "kit remove -r --force registry.example/team/net:1.0"),
    ("See what would go if everything went", "kit remove --all --force --dry-run"),
]))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a command line is a set of independent switches"
)]
pub(crate) struct Args {
    /// What to remove: REPOSITORY:TAG[,TAG...], REPOSITORY@DIGEST or DIGEST
    #[arg(value_name = "REFERENCE", value_parser = references)]
    references: Vec<References>,
    /// Remove the kit with all its tags; with --all remove all kits
    #[arg(short, long)]
    force: bool,
    /// Remove all kits without a tag
    #[arg(short, long)]
    all: bool,
    /// Remove from the kit's registry, not from the local store
    #[arg(short, long)]
    remote: bool,
    /// Tell what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before everything is removed
    #[arg(short, long)]
    yes: bool,
    /// Accepted for compatibility
    #[arg(long, hide = true, value_name = "NUMBER", value_parser = concurrency)]
    concurrency: Option<usize>,
    #[command(flatten)]
    output: FormatArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

/// Removes, or tells what would be removed.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let selection = selection(args)?;
    if args.remote {
        return match &selection {
            Selection::References { references, .. } => remote::run(args, references, context),
            _ => Err(Failure::new(Kind::Usage, "cannot use --all with --remote")),
        };
    }
    let store = context.store("kit remove")?;
    let mut plan = store.plan_removal(&selection, &context.watcher())?;
    let missing = std::mem::take(&mut plan.not_found);
    let bereft = chain::bereft(&store, &plan.names, &Silent)?; // What there is to warn of was said.
    let (names, kits, blobs, left) = if args.dry_run {
        (
            plan.names,
            plan.kits,
            plan.blobs,
            plan.undecidable.map(Left::Failed),
        )
    } else {
        if selection == Selection::Everything && !plan.kits.is_empty() && !args.yes {
            ask(&plan.kits, plan.bytes(), context)?;
        }
        let report = store.remove(&plan, &context.progress())?;
        (report.names, report.kits, report.blobs, report.left)
    };
    let stays = left.map(Stays::from);
    tell_bereft(&bereft, args.dry_run, context);
    match &args.output.format {
        Format::Table => {
            for line in lines(&selection, &names, &kits, args.dry_run) {
                context.ui.line(line)?;
            }
            tell_space(&blobs, stays.as_ref(), args.dry_run, context);
            if names.is_empty() && missing.is_empty() {
                context.ui.status("Nothing to remove");
            }
        }
        format => {
            let report = Report::of(args.dry_run, &names, &kits, &blobs, stays.as_ref(), &bereft);
            match format {
                Format::Template(template) => {
                    let data =
                        serde_json::to_value(&report).expect("a report is texts and numbers");
                    context.ui.template(template, &data)?;
                }
                _ => context.ui.json(&report)?,
            }
        }
    }
    not_found(missing)
}

/// Translates the flags, with the reference's words for those that do not go together.
fn selection(args: &Args) -> Result<Selection, Failure> {
    let references: Vec<Reference> = args.references.iter().flat_map(|it| it.0.clone()).collect();
    let refuse = |message| Err(Failure::new(Kind::Usage, message));
    match (references.is_empty(), args.all) {
        (true, false) => refuse("modelkit is required for remove unless --all is specified"),
        (false, true) => refuse("modelkit should not be specified when --all flag is used"),
        (true, true) if args.force => Ok(Selection::Everything),
        (true, true) => Ok(Selection::Untagged),
        (false, false) => Ok(Selection::References {
            references,
            all_tags: args.force,
        }),
    }
}

/// Asks whether really everything should go, if there is someone to ask.
fn ask(kits: &[DroppedKit], bytes: u64, context: &Context) -> Result<(), Failure> {
    let (kits, bytes) = (human::count(kits.len() as u64, "kit"), human::bytes(bytes));
    let question = format!("Remove all kits ({kits}, {bytes})?");
    if !context.ui.can_ask() || context.ui.confirm(question) {
        return Ok(());
    }
    Err(Failure::new(Kind::Failed, "nothing was removed").hint("-y removes without asking"))
}

/// Fails if something that was named does not exist, after the others were removed.
fn not_found(mut missing: Vec<Error>) -> Result<(), Failure> {
    match missing.len() {
        0 => Ok(()),
        1 => Err(missing.remove(0).into()),
        several => {
            let count = human::count(several as u64, "kit");
            let message = format!("{count} are not in the store");
            let failure = Failure::new(Kind::NotFound, message);
            Err(missing.into_iter().fold(failure, |mut failure, error| {
                let one = Failure::from(error);
                for hint in one.hints {
                    if !failure.hints.contains(&hint) {
                        failure.hints.push(hint);
                    }
                }
                failure.details.push(one.message);
                failure
            }))
        }
    }
}
