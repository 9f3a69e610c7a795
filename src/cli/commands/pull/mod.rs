//! `kit pull`

mod folder;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        failure::Failure,
        help::examples,
        human,
        network::{NetworkArgs, TransferArgs},
        values,
    },
    digest::Digest,
    ops::{
        delta,
        pull::{Options, Plan, Pull, Pulled, Report},
        transfer::Network,
    },
    reference::Reference,
};

/// Bring a kit from a registry into the local store
#[derive(clap::Args)]
#[command(
    long_about = "Bring a kit from a registry into the local store, with the kits that it takes its model from. Every \
                  byte is checked, and nothing is fetched that the store has. What a pull that was stopped has left is \
                  not fetched again by the next. Of a kit with a table of contents only that is fetched which no other \
                  kit here has.\n\nWith --dir the files of the kit go straight into a folder, as `kit unpack` \
                  would put them there, and nothing stays in the store: each byte is stored once.",
    after_help = examples(&[
    ("Pull a kit", "kit pull registry.example/team/net:1.0"),
    ("Pull exactly this one", "kit pull registry.example/team/net@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    ("Make sure that the tag still names what it should", "kit pull registry.example/team/net:1.0 --expect-digest sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    ("Leave some of the line to others", "kit pull registry.example/team/net:1.0 --max-rate 20MiB"),
    ("See how much would come", "kit pull registry.example/team/net:1.1 --dry-run"),
    ("Take what an unpacked kit has of it from there", "kit pull registry.example/team/net:1.1 --reuse models/net"),
    ("Bring a folder to what the tag names now, without a copy in the store", "kit pull registry.example/team/net:latest -d models/net -o"),
    ("From a registry without TLS", "kit pull registry.local:5000/team/net:1.0 --plain-http"),
]))]
pub(crate) struct Args {
    #[arg(
        value_name = "REFERENCE",
        value_parser = values::reference,
        help = "Kit to pull: REGISTRY/REPOSITORY[:TAG|@DIGEST]"
    )]
    reference: Reference,
    /// Fail, before anything is stored, if the kit has another digest
    #[arg(long, value_name = "DIGEST", value_parser = values::digest)]
    expect_digest: Option<Digest>,
    /// Put the files of the kit into this folder, and nothing into the store
    #[arg(short, long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Replace files in the folder that differ
    #[arg(short, long, requires = "dir")]
    overwrite: bool,
    /// Keep files in the folder that differ
    #[arg(short, long, requires = "dir")]
    ignore_existing: bool,
    /// Say how much would be fetched, and store nothing
    #[arg(long)]
    dry_run: bool,
    /// Take from the files in this folder what they have of the kit; may be repeated
    #[arg(long, value_name = "DIR")]
    reuse: Vec<PathBuf>,
    /// Let the kit take its model from a kit on this registry, too; may be repeated
    #[arg(long, value_name = "HOST", value_parser = values::registry)]
    allow_parent: Vec<String>,
    #[command(flatten)]
    output: FormatArgs,
    #[command(flatten)]
    transfer: TransferArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

/// Pulls, and prints the digest.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let reference = args.reference.clone().or_latest();
    let options = Options {
        reference: reference.clone(),
        expected: args.expect_digest,
        parent_registries: args.allow_parent.clone(),
        concurrency: args.transfer.concurrency.get(),
        download: args.transfer.download(),
        trees: args.reuse.clone(),
    };
    args.reuse.iter().try_for_each(|it| delta::check_tree(it))?;
    let store = context.store("kit pull")?;
    let stall = args.transfer.stall_timeout;
    let access = args.network.access(&reference, stall, context)?;
    let network = Network::new()?;
    context.ui.status(format_args!("Pulling {reference}"));
    let progress = context.progress();
    if let Some(dir) = &args.dir {
        return folder::run(args, dir, &store, &network, &access, context, &progress);
    }
    let pull = Pull {
        store: &store,
        network: &network,
        registries: &access,
        options: &options,
        progress: &progress,
    };
    if args.dry_run {
        let plan = pull.plan()?;
        drop(progress);
        return print_plan(&args.output.format, &plan, context);
    }
    let report = pull.run();
    drop(progress);
    let report = report?;
    print(&args.output.format, &report, context)
}

fn print(format: &Format, report: &Report, context: &Context) -> Result<(), Failure> {
    let (ui, moved) = (&context.ui, &report.moved);
    if moved.healed > 0 {
        let count = human::count(moved.healed as u64, "blob");
        ui.status(format_args!(
            "Healed {count} that had been damaged in the store"
        ));
    }
    let mut parts = vec![format!("{} fetched", human::bytes(moved.fetched))];
    if moved.reused > 0 {
        let size = human::bytes(moved.reused);
        parts.push(format!("{size} taken from what was here"));
    }
    if moved.resumed > 0 {
        let size = human::bytes(moved.resumed);
        parts.push(format!("{size} left by an earlier pull"));
    }
    parts.push(format!(
        "{} there already",
        human::count(moved.present as u64, "blob")
    ));
    ui.status(parts.join(", "));
    let document = json!({
        "reference": report.kit.reference.to_string(),
        "digest": report.kit.descriptor.digest.to_string(),
        "size": report.kit.size,
        "parents": report.parents.iter().map(shown).collect::<Vec<_>>(),
        "fetched": moved.fetched,
        "resumed": moved.resumed,
        "reused": moved.reused,
        "stored": moved.stored,
        "healed": moved.healed,
        "present": moved.present,
    });
    match format {
        Format::Json => ui.json(&document),
        Format::Template(template) => ui.template(template, &document),
        Format::Table => ui.line(format_args!("Pulled {}", report.kit.descriptor.digest)),
    }
}

fn print_plan(format: &Format, plan: &Plan, context: &Context) -> Result<(), Failure> {
    let document = json!({
        "reference": plan.kit.reference.to_string(),
        "digest": plan.kit.descriptor.digest.to_string(),
        "size": plan.kit.size,
        "parents": plan.parents.iter().map(shown).collect::<Vec<_>>(),
        "fetch": plan.estimate.delta,
        "full": plan.estimate.full,
        "present": plan.present,
    });
    match format {
        Format::Json => context.ui.json(&document),
        Format::Template(template) => context.ui.template(template, &document),
        Format::Table => {
            let there = human::count(plan.present as u64, "blob");
            let bytes = super::unpack::would_fetch(&plan.estimate);
            context
                .ui
                .status(format_args!("{bytes}, {there} there already"));
            let digest = plan.kit.descriptor.digest;
            context.ui.line(format_args!("Would pull {digest}"))
        }
    }
}

fn shown(kit: &Pulled) -> Value {
    json!({
        "reference": kit.reference.to_string(),
        "digest": kit.descriptor.digest.to_string(),
        "size": kit.size,
    })
}
