//! `kit unpack`

mod list;

use std::{num::NonZeroUsize, path::PathBuf};

use serde::Serialize;

use crate::{
    archive::unpack::{Existing, Report as Files},
    cli::{
        Context,
        args::{Format, FormatArgs, LimitArgs},
        failure::{Failure, Kind},
        help::examples,
        human,
        network::{ALTERED, NetworkArgs, TransferArgs},
        parents::ParentRow,
        values::{self, References, references},
    },
    config,
    digest::Digest,
    filter::{Filter, PathGlobs, Type},
    ops::{
        self,
        chain::{self, Family},
        datasets::{self, Elsewhere, Objects, Source},
        delta, kit,
        remote::Remote,
        stream::Streams,
        transfer::Network,
        unpack::{self, Options, Sources},
    },
    origins::Event,
    reference::Reference,
    s3::{self, Storage},
};

/// Take a kit, or a part of it, out into a directory
///
/// A kit that is not in the local store is read from the registry that its name begins with: what
/// is wanted of it goes straight into the directory, checked, and nothing stays in the store.
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Take everything out into this directory", "kit unpack team/net:1.0"),
    ("Take one dataset", "kit unpack team/net:1.0 -d out --filter datasets:train"),
    ("Take the model and the docs", "kit unpack team/net:1.0 -d out --filter model,docs"),
    ("Take files by their path", "kit unpack team/net:1.0 -d out --include 'data/**.csv'"),
    ("See what would be written", "kit unpack team/net:1.0 --dry-run"),
    ("Take one dataset out of a registry, and nothing else", "kit unpack registry.example/team/net:1.0 --filter datasets:train -d data"),
]))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a command line is a set of independent switches"
)]
pub(crate) struct Args {
    /// The kit: a name, a name with a digest, or a digest alone
    #[arg(value_name = "REFERENCE", value_parser = references)]
    reference: References,
    /// Directory to write into; made if it is missing
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Replace files that differ
    #[arg(short, long)]
    overwrite: bool,
    /// Keep files that differ
    #[arg(short, long)]
    ignore_existing: bool,
    #[arg(
        short,
        long,
        value_name = "FILTER",
        help = "Take only these: TYPE[,TYPE...][:NAME-OR-PATH,...], with the types kitfile, model, datasets, code, docs, prompts and mcpservers"
    )]
    filter: Vec<String>,
    /// Take only files whose path matches; ** crosses folders
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Leave out files whose path matches
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Of a kit in a registry that has no table of contents, fetch only what is wanted by --include
    /// and --exclude, although nothing can vouch for it unless the whole layer is read
    #[arg(long)]
    allow_unverified: bool,
    /// List what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// File that appears when everything is there and durable
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
    /// How many threads write [default: one a core]
    #[arg(long, value_name = "N", value_parser = crate::cli::values::threads)]
    threads: Option<NonZeroUsize>,
    /// Take datasets that the kit names and does not hold, too: those of other kits, and objects
    /// in S3 (with the login in `AWS_ACCESS_KEY_ID` and so on, if there is one)
    #[arg(long)]
    include_remote: bool,
    /// Take from the files in this folder, too, what they have of a kit in a registry; may be
    /// repeated
    #[arg(long, value_name = "DIR")]
    reuse: Vec<PathBuf>,
    /// Make files that are a whole raw layer read-only hard links to the store
    #[arg(long)]
    link: bool,
    /// Take the Kitfile (older form of --filter kitfile)
    #[arg(long, hide = true)]
    kitfile: bool,
    /// Take the model (older form of --filter model)
    #[arg(long, hide = true)]
    model: bool,
    /// Take the code (older form of --filter code)
    #[arg(long, hide = true)]
    code: bool,
    /// Take the datasets (older form of --filter datasets)
    #[arg(long, hide = true)]
    datasets: bool,
    /// Take the docs (older form of --filter docs)
    #[arg(long, hide = true)]
    docs: bool,
    /// Let the kit take its model from a kit on this registry, too; may be repeated
    #[arg(long, value_name = "HOST", value_parser = values::registry)]
    allow_parent: Vec<String>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    output: FormatArgs,
    #[command(flatten)]
    transfer: TransferArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

/// A dataset that the kit does not hold.
#[derive(Serialize)]
struct RemoteRow {
    path: String,
    from: String,
    digest: Digest,
}

impl From<&Elsewhere> for RemoteRow {
    fn from(dataset: &Elsewhere) -> Self {
        Self {
            path: dataset.path.clone(),
            from: dataset.from.clone(),
            digest: match &dataset.source {
                Source::Kit(kit) => kit.descriptor.digest,
                Source::Object { digest, .. } => *digest,
            },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    reference: String,
    digest: String,
    parents: Vec<ParentRow>,
    directory: String,
    layers: Vec<String>,
    remote: Vec<RemoteRow>,
    written: u64,
    linked: u64,
    replaced: u64,
    completed: u64,
    equal: u64,
    kept: u64,
    bytes: u64,
    fetched: u64,
    reused: u64,
}

/// Unpacks, or lists what would be written.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let reference = one(&args.reference)?;
    let options = Options {
        target: args.dir.clone(),
        filter: filter(args)?,
        globs: PathGlobs::new(&args.include, &args.exclude)?,
        // As in the reference: files that are to be kept are kept, whatever else is asked for.
        existing: match (args.ignore_existing, args.overwrite) {
            (true, _) => Existing::Keep,
            (false, true) => Existing::Overwrite,
            (false, false) => Existing::Refuse,
        },
        threads: args.threads,
        link: args.link,
        trees: args.reuse.clone(),
        ready_file: args.ready_file.clone(),
    };
    args.reuse.iter().try_for_each(|it| delta::check_tree(it))?;
    if !args.dry_run {
        unpack::withdraw_ready_file(&options)?;
    }
    let store = context.store_within("kit unpack", &args.limits.moved)?;
    let progress = context.progress();
    let network;
    let access;
    let mut objects = None;
    let open = |remote| {
        let (filter, all) = (&options.filter, args.include_remote);
        chain::open(&store, remote, &reference, filter, all, &progress)
    };
    let (family, streams) = match open(None) {
        Ok(family) if !has_objects(&family) => (family, None),
        Err(error) if !error.is_elsewhere() => {
            return Err(Failure::from(error).about(&reference));
        }
        _ => {
            let stall = args.transfer.stall_timeout;
            access = args.network.access(&reference, stall, context)?;
            network = Network::new()?;
            let family = open(Some(&Remote {
                network: &network,
                registries: &access,
                parent_registries: &args.allow_parent,
                progress: &progress,
            }))?;
            if has_objects(&family) {
                objects = Some(Objects {
                    storage: Storage::new(args.network.client(context)?, storage()),
                    network: &network,
                    progress: &progress,
                });
            }
            let concurrency = args.transfer.concurrency.get();
            let download = args.transfer.download();
            let streams = Streams::new(&network, download, concurrency, &progress);
            (family, Some(streams))
        }
    };
    if !args.include_remote {
        for data in datasets::named(&family.kit.kitfile, &options.filter) {
            let (label, from) = (datasets::label(data), &data.remote_path);
            context.ui.status(format_args!(
                "Not taken: {label} is kept elsewhere ({from}); --include-remote takes it"
            ));
        }
    }
    let sources = Sources {
        store: &store,
        streams,
        objects,
        // A list is no file that somebody works with: nobody wants all of a kit to come for it.
        unverified: args.allow_unverified || args.dry_run,
    };
    if args.dry_run {
        return list::run(args, &family, &sources, &options, context, &progress);
    }
    context.ui.status(format_args!(
        "Unpacking to {}",
        std::path::absolute(&args.dir)
            .unwrap_or_else(|_| args.dir.clone())
            .display()
    ));
    let report = unpack::run(&family, &sources, &options, &progress).map_err(|error| {
        let is_altered = matches!(&error, ops::Error::Archive(error) if error.is_altered());
        let mut failure = Failure::from(error).about(&reference);
        if is_altered && sources.streams.is_some() {
            // Nothing of it is in the store, where it could be mended.
            failure.hints = vec![ALTERED.to_owned()];
        }
        failure
    })?;
    drop(sources);
    remember(&reference, &family.kit, &options, &report, context);
    if args.link && !report.layers.iter().any(kit::Layer::can_be_linked) {
        context
            .ui
            .warn("nothing was linked: only raw layers that are not compressed can be");
    }
    context.ui.status(summary(&report.files));
    if let Some(fetched) = fetched(&report) {
        context.ui.status(fetched);
    }
    let document = Document {
        reference: reference.to_string(),
        digest: family.kit.descriptor.digest.to_string(),
        parents: family.parents.iter().map(ParentRow::of_kit).collect(),
        directory: args.dir.to_string_lossy().into_owned(),
        layers: report
            .layers
            .iter()
            .map(|layer| layer.descriptor.digest.to_string())
            .collect(),
        remote: family.elsewhere.iter().map(Into::into).collect(),
        written: report.files.written,
        linked: report.files.linked,
        replaced: report.files.replaced,
        completed: report.files.completed,
        equal: report.files.equal,
        kept: report.files.kept,
        bytes: report.files.bytes,
        fetched: report.moved.fetched,
        reused: report.moved.reused,
    };
    match &args.output.format {
        Format::Table => Ok(()),
        Format::Json => context.ui.json(&document),
        Format::Template(template) => {
            let value = serde_json::to_value(&document).expect("texts and numbers can be written");
            context.ui.template(template, &value)
        }
    }
}

/// Remembers which kit the directory came from. Who takes single files does not have the kit.
pub(super) fn remember(
    reference: &Reference,
    kit: &kit::Kit,
    options: &Options,
    report: &unpack::Report,
    context: &Context,
) {
    if !options.globs.is_everything() {
        return;
    }
    // The kit's own: what parents gave is theirs.
    let own = |digest: &Digest| kit.layers.iter().any(|it| it.descriptor.digest == *digest);
    let layers: Vec<_> = report
        .layers
        .iter()
        .map(|layer| layer.descriptor.digest)
        .filter(own)
        .collect();
    let is_all = layers.len() == kit.layers.len();
    let name = reference.repository().map(|_| reference.to_string());
    let event = Event::Unpack {
        kitfile: report.kitfile,
        layers: (!is_all).then_some(layers),
    };
    context.remember(&options.target, kit.descriptor.digest, name, event);
}

fn has_objects(family: &Family) -> bool {
    let mut elsewhere = family.elsewhere.iter();
    elsewhere.any(|it| matches!(it.source, Source::Object { .. }))
}

/// Returns how objects are reached.
fn storage() -> s3::Settings {
    let config::Aws {
        access_key,
        secret_key,
        token,
        region,
        endpoint,
    } = config::Aws::read();
    let credentials = access_key.zip(secret_key);
    s3::Settings {
        credentials: credentials.map(|(access_key, secret_key)| s3::Credentials {
            access_key,
            secret_key,
            token,
        }),
        region,
        endpoint,
    }
}

fn one(references: &References) -> Result<Reference, Failure> {
    match references.0.as_slice() {
        [reference] => Ok(reference.clone().or_latest()),
        // The reference's words.
        _ => Err(Failure::new(Kind::Usage, "can not unpack multiple tags")
            .hint("unpack one after the other")),
    }
}

fn filter(args: &Args) -> Result<Filter, Failure> {
    if !args.filter.is_empty() {
        return Ok(Filter::parse(&args.filter)?);
    }
    let older = [
        (args.kitfile, Type::Kitfile),
        (args.model, Type::Model),
        (args.code, Type::Code),
        (args.datasets, Type::Datasets),
        (args.docs, Type::Docs),
    ];
    let types: Vec<Type> = older
        .into_iter()
        .filter_map(|(wanted, of)| wanted.then_some(of))
        .collect();
    Ok(Filter::of_types(&types))
}

/// Says what came from registries, if something of it was here.
pub(super) fn fetched(report: &unpack::Report) -> Option<String> {
    let delta::Filled { fetched, reused } = report.moved;
    (reused > 0).then(|| {
        format!(
            "{} fetched, {} taken from what was here",
            human::bytes(fetched),
            human::bytes(reused)
        )
    })
}

/// Says what would come from registries.
pub(super) fn would_fetch(estimate: &delta::Estimate) -> String {
    format!(
        "{} would be fetched, {} in full",
        human::bytes(estimate.delta),
        human::bytes(estimate.full)
    )
}

/// Says in one line what became of the files.
pub(super) fn summary(files: &Files) -> String {
    let mut parts = vec![format!("{} written", human::count(files.written, "file"))];
    for (count, what) in [
        (files.linked, "linked"),
        (files.replaced, "replaced"),
        (files.completed, "completed"),
        (files.equal, "already there"),
        (files.kept, "kept although different"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    format!("{} ({})", parts.join(", "), human::bytes(files.bytes))
}
