//! `kit pack`

mod push;
mod report;
mod rules;
mod told;

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use self::report::Packed;
pub(super) use self::{
    rules::read_rules,
    told::{tell_left_out, tell_licence},
};
use crate::{
    archive::{ignore::IgnoreRules, pack::Compression},
    cli::{
        Context,
        args::{Format, FormatArgs},
        failure::{Failure, Kind},
        help::examples,
        human,
        kitfile_source::{self, Source},
        network::{NetworkArgs, TransferArgs},
        parents::{self, Way, tell_claimed},
        upload::UploadArgs,
        values::{self, BadValue, Links, References, new_names},
    },
    filter,
    glob::Pattern,
    kitfile::Kitfile,
    ops::{
        draft::{self, Draft},
        pack::{self, LayerFormat, MIN_SHARD_SIZE, Options, ShardSize},
        segments::{MAX_SEGMENT_SIZE, MIN_SEGMENT_SIZE},
    },
    progress::Progress,
    reference::Reference,
};

/// Pack a directory into an immutable kit in the local store
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Pack what the Kitfile in this directory names", "kit pack . -t team/net:1.0"),
    ("Give two tags at once", "kit pack . -t team/net:1.0,latest"),
    ("Take another Kitfile", "kit pack . -f Kitfile.prod -t team/net:prod"),
    ("Compress what shrinks, such as text", "kit pack . -t team/data:1.0 --compression zstd"),
    ("Pack and push", "kit pack . -t registry.example/team/net:1.0 --push"),
    ("Push without a second copy on this disk", "kit pack . -t registry.example/team/net:1.0 --push --no-store"),
    ("See what would be packed", "kit pack . --dry-run"),
    ("Get the digest in a script", "kit pack . -t team/net:1.0 --format '{{ .Digest }}'"),
]))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a command line is a set of independent switches"
)]
pub(crate) struct Args {
    /// The directory that the Kitfile's paths are relative to
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// Kitfile to use, or - for standard input [default: the Kitfile in DIRECTORY, else one is drafted]
    #[arg(short, long, value_name = "PATH")]
    pub(super) file: Option<PathBuf>,
    /// Name of the kit, with any number of tags: REPOSITORY[:TAG[,TAG...]]
    #[arg(short, long, value_name = "NAME", value_parser = new_names)]
    tag: Vec<References>,
    /// How layers are compressed: none, gzip, gzip-fastest or zstd
    #[arg(long, value_name = "METHOD", default_value = "none", hide_default_value = true, value_parser = compression)]
    compression: Compression,
    /// What layers are: tar, an archive each; raw, the files as they are, each a layer; or chunked,
    /// tar with large layers in segments, which only this program reads
    #[arg(long, value_name = "FORMAT", default_value = "tar", hide_default_value = true, value_parser = layer_format)]
    layer_format: LayerFormat,
    /// How large the layers are that a large folder of data is cut into: a size, auto or off
    #[arg(long, value_name = "SIZE", default_value = "auto", hide_default_value = true, value_parser = shard_size)]
    pub(super) shard_size: ShardSize,
    /// With --layer-format chunked: how large segments are on average [default: 32 MiB]
    #[arg(long, value_name = "SIZE", value_parser = segment_size)]
    segment_size: Option<u64>,
    /// Make no table of contents; kits of 64 MiB and more get one, by which parts of them are fetched
    #[arg(long)]
    no_toc: bool,
    /// List what would be packed, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Refuse files that cannot be packed (fifos, sockets, devices) instead of warning
    #[arg(long)]
    strict: bool,
    /// Which links are packed as what they lead to: context (those that stay inside), all or skip
    #[arg(
        long,
        value_name = "WHICH",
        default_value = "context",
        hide_possible_values = true
    )]
    pub(super) follow_links: Links,
    /// Pack permission bits as they are, not only the owner's execute bit
    #[arg(long)]
    pub(super) keep_modes: bool,
    /// Files that can be executed whatever their bits say, by their path; ** crosses folders
    #[arg(long, value_name = "PATTERN")]
    pub(super) executable: Vec<String>,
    /// Record the time, or that of `SOURCE_DATE_EPOCH`, in the kit: its digest then depends on it
    #[arg(long)]
    created: bool,
    /// Read and hash everything, also what is known from earlier runs
    #[arg(long)]
    no_cache: bool,
    /// How many threads work [default: one a core]
    #[arg(long, value_name = "N", value_parser = crate::cli::values::threads)]
    threads: Option<NonZeroUsize>,
    /// Let the chain of kits that the model comes from lead to this registry, too; may be repeated
    #[arg(long, value_name = "HOST", value_parser = values::registry)]
    allow_parent: Vec<String>,
    /// Push the kit, too, under those of its names that have a registry
    #[arg(long)]
    push: bool,
    /// With --push: keep no copy here, send straight from the directory, which is read twice
    #[arg(long, requires = "push")]
    no_store: bool,
    /// With --push: send the kit in the form of a container image, see `kit push --help`
    #[arg(long, requires = "push")]
    compat: bool,
    #[command(flatten)]
    output: FormatArgs,
    #[command(flatten)]
    upload: UploadArgs,
    #[command(flatten)]
    transfer: TransferArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

fn compression(text: &str) -> Result<Compression, BadValue> {
    Ok(match text {
        "none" => Compression::None,
        "gzip" => Compression::Gzip,
        "gzip-fastest" => Compression::GzipFastest,
        "zstd" => Compression::Zstd,
        // The reference's words, which scripts may look for.
        _ => {
            return Err(BadValue::new(
                "invalid compression type: must be one of 'none', 'gzip', 'gzip-fastest', or 'zstd'",
            ));
        }
    })
}

fn layer_format(text: &str) -> Result<LayerFormat, BadValue> {
    match text {
        "tar" => Ok(LayerFormat::Tar),
        "raw" => Ok(LayerFormat::Raw),
        "chunked" => Ok(LayerFormat::Chunked),
        _ => Err(BadValue::new(
            "invalid layer format: must be one of 'tar', 'raw' or 'chunked'",
        )),
    }
}

/// Reads how large segments are.
pub(super) fn segment_size(text: &str) -> Result<u64, BadValue> {
    let bad = |message: String| BadValue::new(message).hint("write a size such as 32MiB");
    match values::bytes(text) {
        Ok(size) if (MIN_SEGMENT_SIZE..=MAX_SEGMENT_SIZE).contains(&size) => Ok(size),
        Ok(_) => Err(bad(format!(
            "segments of '{text}' cannot be: a size is {} to {}",
            human::bytes(MIN_SEGMENT_SIZE),
            human::bytes(MAX_SEGMENT_SIZE)
        ))),
        Err(_) => Err(bad(format!("'{text}' is not a size of segments"))),
    }
}

/// Refuses what segments cannot be.
fn check_segments(args: &Args) -> Result<(), Failure> {
    let usage = |message: &str| Failure::new(Kind::Usage, message);
    match args.layer_format {
        LayerFormat::Chunked if args.compression != Compression::None => {
            Err(usage("layers that are compressed cannot be in segments")
                .detail(
                    "--layer-format chunked and --compression were given, or stand in the settings",
                )
                .hint(
                    "one changed byte would change all that follows it: add `--compression none`",
                ))
        }
        LayerFormat::Tar | LayerFormat::Raw if args.segment_size.is_some() => Err(usage(
            "--segment-size is of use with --layer-format chunked alone",
        )),
        _ => Ok(()),
    }
}

/// Returns what [`shard_size`] reads again; nothing for what goes without saying.
pub(super) fn shard_words(size: ShardSize) -> Option<String> {
    match size {
        ShardSize::Auto => None,
        ShardSize::Off => Some("off".to_owned()),
        ShardSize::Bytes(size) => Some(size.to_string()),
    }
}

/// Reads how large folders are cut.
pub(super) fn shard_size(text: &str) -> Result<ShardSize, BadValue> {
    let bad = |message: String| {
        BadValue::new(message)
            .hint("write a size such as 64MiB, `auto`, or `off` for one layer each")
    };
    match text {
        "auto" => Ok(ShardSize::Auto),
        "off" => Ok(ShardSize::Off),
        _ => match values::bytes(text) {
            Ok(size) if size < MIN_SHARD_SIZE => Err(bad(format!(
                "layers of '{text}' are too small: a size is {} at least",
                human::bytes(MIN_SHARD_SIZE)
            ))),
            Ok(size) => Ok(ShardSize::Bytes(size)),
            Err(_) => Err(bad(format!("'{text}' is not a size of layers"))),
        },
    }
}

/// Packs, or lists what would be packed.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    if !args.directory.is_dir() {
        let path = args.directory.display();
        return Err(if args.directory.exists() {
            Failure::new(Kind::Failed, format!("{path} is not a folder"))
        } else {
            Failure::new(Kind::NotFound, format!("there is no folder {path}"))
        });
    }
    push::check(args)?;
    check_segments(args)?;
    let source = kitfile_source::locate(&args.directory, args.file.as_deref())?;
    let progress = context.progress();
    let rules = read_rules(&args.directory)?;
    let (kitfile, drafted) = read_kitfile(args, &source, &rules, context, &progress)?;
    let names = names(args);
    let way = Way {
        network: &args.network,
        allowed: &args.allow_parent,
    };
    let parents = parents::find("kit pack", &names, &kitfile, Some(&way), context, &progress)?;
    let options = Options {
        context: args.directory.clone(),
        kitfile,
        parents,
        drafted,
        rules,
        names,
        follow_links: args.follow_links.into(),
        keep_modes: args.keep_modes,
        executable: patterns(&args.executable)?,
        strict: args.strict,
        created: created(args, context)?,
        compression: args.compression,
        layer_format: args.layer_format,
        shard_size: args.shard_size,
        segment_size: args.segment_size,
        toc: !args.no_toc,
        threads: threads(args.threads),
    };
    // Before the walk: what is written after that is not believed later.
    let cache = context.cache(args.no_cache);
    let prepared = pack::prepare(&options, &progress)?;
    tell_left_out(
        &prepared,
        options.kitfile.model_reference().is_some(),
        context,
    );
    tell_claimed(&options.parents, &prepared, context);
    told::tell_cuts(&options, &prepared, context);
    if args.dry_run {
        return report::list(&args.output.format, &prepared, context);
    }
    let cache = cache?;
    let store = context.store("kit pack")?;
    if args.no_store {
        let prepared = Arc::new(prepared);
        return push::send(args, &options, &prepared, (&store, &cache), context);
    }
    let report = pack::run(&options, &prepared, &store, &cache, &progress);
    let report = report.map_err(push::without_a_copy)?;
    drop(progress);
    let name = options.names.first().map(ToString::to_string);
    let event = super::status::packed(&source, args);
    context.remember(&args.directory, report.manifest.digest, name, event);
    report::tell(&options, &report, context);
    let packed = Packed::of(&report);
    if !args.push {
        return report::print(&args.output.format, &options, &packed, None, context);
    }
    if let Format::Table = args.output.format {
        // Before anything is sent: whatever becomes of that, the kit is packed.
        context.ui.line(pack::saved_line(report.manifest.digest))?;
    }
    let pushed = push::push(args, &options, &store, context)?;
    match &args.output.format {
        Format::Table => Ok(()),
        format => report::print(format, &options, &packed, Some(&pushed), context),
    }
}

/// Returns how many threads work if the user does not say.
pub(super) fn threads(wanted: Option<NonZeroUsize>) -> usize {
    wanted
        .or_else(|| thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get)
}

pub(super) fn patterns(texts: &[String]) -> Result<Vec<Pattern>, filter::Error> {
    let patterns = texts.iter();
    patterns.map(|text| Ok(Pattern::of_paths(text)?)).collect()
}

fn names(args: &Args) -> Vec<Reference> {
    let lists = args.tag.iter().flat_map(|References(names)| names);
    lists.map(|name| name.clone().or_latest()).collect()
}

/// Returns the Kitfile, and whether nobody wrote it.
fn read_kitfile(
    args: &Args,
    source: &Source,
    rules: &IgnoreRules,
    context: &Context,
    progress: &dyn Progress,
) -> Result<(Kitfile, bool), Failure> {
    let Some(parsed) = source.read()? else {
        let draft = draft::run(&args.directory, rules, args.follow_links.into(), progress)?;
        let Draft {
            kitfile, licence, ..
        } = draft.not_empty(&args.directory)?;
        context.ui.status(format_args!(
            "No Kitfile in {}: packing a draft of one",
            args.directory.display()
        ));
        tell_licence(&licence, context);
        for line in kitfile.to_yaml().lines() {
            context.ui.debug(line);
        }
        return Ok((kitfile, true));
    };
    for warning in &parsed.warnings {
        context.ui.warn(warning);
    }
    Ok((parsed.kitfile, false))
}

fn created(args: &Args, context: &Context) -> Result<Option<String>, Failure> {
    if !args.created {
        return Ok(None);
    }
    let time = match context.settings.source_date_epoch()? {
        Some(seconds) => SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(253_402_300_799)),
        None => SystemTime::now(),
    };
    Ok(Some(humantime::format_rfc3339_seconds(time).to_string()))
}
