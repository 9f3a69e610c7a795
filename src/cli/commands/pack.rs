//! `kit pack`

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use crate::{
    archive::{
        ignore::{FILE_NAME, IgnoreRules, MAX_LENGTH},
        pack::Compression,
        tree::Kind as EntryKind,
    },
    cli::{
        Context,
        args::{Format, FormatArgs},
        failure::{Failure, Kind},
        help::examples,
        hints::io_kind,
        human,
        kitfile_source::{self, Source},
        parents::{self, ParentRow, tell_claimed},
        ui::Ui,
        values::{BadValue, Links, References, new_names},
    },
    digest::Digest,
    filter,
    glob::Pattern,
    kitfile::Kitfile,
    ops::{
        draft::{self, Draft},
        kit,
        licence::Licence,
        pack::{self, LayerFormat, Options, Prepared, Report},
    },
    progress::Progress,
    reference::Reference,
    store::Committed,
};

/// Pack a directory into an immutable kit in the local store
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Pack what the Kitfile in this directory names", "kit pack . -t team/net:1.0"),
    ("Give two tags at once", "kit pack . -t team/net:1.0,latest"),
    ("Take another Kitfile", "kit pack . -f Kitfile.prod -t team/net:prod"),
    ("Compress what shrinks, such as text", "kit pack . -t team/data:1.0 --compression zstd"),
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
    /// What layers are: tar, an archive each, or raw, the files as they are, each a layer
    #[arg(long, value_name = "FORMAT", default_value = "tar", hide_default_value = true, value_parser = layer_format)]
    layer_format: LayerFormat,
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
    #[command(flatten)]
    output: FormatArgs,
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
        _ => Err(BadValue::new(
            "invalid layer format: must be one of 'tar' or 'raw'",
        )),
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
    let source = kitfile_source::locate(&args.directory, args.file.as_deref())?;
    let progress = context.progress();
    let rules = read_rules(&args.directory)?;
    let (kitfile, drafted) = read_kitfile(args, &source, &rules, context, &progress)?;
    let names = names(args);
    let parents = parents::find("kit pack", &names, &kitfile, context, &progress)?;
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
    if args.dry_run {
        return list(&args.output.format, &prepared, context);
    }
    let cache = cache?;
    let store = context.store("kit pack")?;
    let report = pack::run(&options, &prepared, &store, &cache, &progress)?;
    drop(progress);
    let name = options.names.first().map(ToString::to_string);
    let event = super::status::packed(&source, args);
    context.remember(&args.directory, report.manifest.digest, name, event);
    print(&args.output.format, &options, &report, context)
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

/// Returns the rules of the context's ignore file; only the built-in ones if there is none.
pub(super) fn read_rules(directory: &Path) -> Result<IgnoreRules, Failure> {
    let path = directory.join(FILE_NAME);
    let unreadable = |error: &std::io::Error| {
        Failure::new(io_kind(error), format!("cannot read {}", path.display())).because(error)
    };
    let text = match fs::metadata(&path) {
        Ok(metadata) if !metadata.is_file() => {
            return Err(Failure::new(
                Kind::Failed,
                format!("{} is not a file", path.display()),
            ));
        }
        Ok(metadata) if metadata.len() > MAX_LENGTH => {
            return Err(Failure::new(
                Kind::Limit,
                format!("{} is longer than 1 MiB", path.display()),
            ));
        }
        Ok(_) => fs::read_to_string(&path).map_err(|error| unreadable(&error))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(unreadable(&error)),
    };
    IgnoreRules::parse(&text).map_err(|error| {
        Failure::new(
            Kind::Failed,
            format!("{} cannot be understood", path.display()),
        )
        .detail(error.to_string())
    })
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

/// Tells that the licence of a draft could not be told.
pub(super) fn tell_licence(licence: &Licence, context: &Context) {
    if let Licence::Unknown(reason) = licence {
        // The reference's words, which scripts may look for.
        let warning = format_args!("Unable to determine license type: {reason}");
        context.ui.warn(warning);
    }
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

/// Tells what is not packed: nothing is left out without a line that says so.
pub(super) fn tell_left_out(prepared: &Prepared, has_parent: bool, context: &Context) {
    let found = &prepared.found;
    for warning in &found.warnings {
        context.ui.warn(warning);
    }
    if prepared.entries.is_empty() && !has_parent {
        let warning = "the Kitfile names nothing to pack: the kit has no layers";
        context.ui.warn(warning);
    }
    for index in 0..prepared.entries.len() {
        if let Some(line) = pack::emptiness(prepared, index) {
            context.ui.warn(line);
        }
    }
    for warning in &prepared.warnings {
        context.ui.warn(warning);
    }
    for (path, reason) in &found.guarded {
        context
            .ui
            .warn(format_args!("`{path}` is left out of the draft: {reason}"));
    }
    let mut parts: Vec<String> = found
        .litter
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    if found.ignored > 0 {
        parts.insert(0, format!("{} by {FILE_NAME}", found.ignored));
    }
    if !parts.is_empty() {
        context
            .ui
            .status(format_args!("Left out: {}", parts.join(", ")));
    }
}

/// A layer in the JSON of `pack` and `pack --dry-run`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LayerDocument<'a> {
    r#type: &'static str,
    name: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<&'static str>,
    bytes: u64,
    file_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    digest: String,
    references: Vec<String>,
    parents: Vec<ParentRow>,
    drafted: bool,
    config: String,
    size: u64,
    layers: Vec<LayerDocument<'a>>,
}

fn word(stored: Committed) -> &'static str {
    match stored {
        Committed::Stored => "new",
        Committed::AlreadyThere => "present",
        Committed::Healed => "healed",
    }
}

/// Prints what was packed: lines of the reference on standard error, the digest on standard output.
fn print(
    format: &Format,
    options: &Options,
    report: &Report,
    context: &Context,
) -> Result<(), Failure> {
    let ui = &context.ui;
    for layer in &report.layers {
        let noun = kit::noun(layer.entry.section);
        let digest = layer.descriptor.digest;
        match layer.stored {
            Committed::Stored => ui.status(format_args!("Saved {noun} layer: {digest}")),
            Committed::AlreadyThere => {
                ui.status(format_args!("Already saved {noun} layer: {digest}"));
            }
            Committed::Healed => warn_healed(ui, &format!("{noun} layer"), digest),
        }
    }
    let config = report.config.digest;
    match report.config_stored {
        Committed::Stored => ui.status(format_args!("Saved configuration: {config}")),
        Committed::AlreadyThere => ui.status(format_args!(
            "Configuration already exists in storage: {config}"
        )),
        Committed::Healed => warn_healed(ui, "configuration", config),
    }
    let manifest = report.manifest.digest;
    match report.manifest_stored {
        Committed::Stored => ui.status(format_args!("Saved manifest to storage: {manifest}")),
        Committed::AlreadyThere => ui.status(format_args!(
            "Manifest already exists in storage: {manifest}"
        )),
        Committed::Healed => warn_healed(ui, "manifest", manifest),
    }
    for parent in &options.parents {
        let digest = parent.descriptor.digest;
        ui.status(format_args!(
            "Parent {} (digest {digest})",
            parent.reference
        ));
    }
    for name in &options.names {
        ui.status(format_args!("Tagged {name}"));
    }
    let document = Document {
        digest: report.manifest.digest.to_string(),
        references: options.names.iter().map(ToString::to_string).collect(),
        parents: options.parents.iter().map(ParentRow::of).collect(),
        drafted: options.drafted,
        config: report.config.digest.to_string(),
        size: report
            .layers
            .iter()
            .map(|layer| layer.descriptor.size)
            .sum(),
        layers: report
            .layers
            .iter()
            .map(|layer| LayerDocument {
                r#type: kit::noun(layer.entry.section),
                name: &layer.entry.name,
                path: &layer.entry.clean,
                media_type: Some(&layer.descriptor.media_type),
                digest: Some(layer.descriptor.digest.to_string()),
                size: Some(layer.descriptor.size),
                stored: Some(word(layer.stored)),
                bytes: layer.bytes,
                file_count: layer.files,
                files: None,
            })
            .collect(),
    };
    match format {
        Format::Table => ui.line(pack::saved_line(report.manifest.digest)),
        Format::Json => ui.json(&document),
        Format::Template(template) => ui.template(template, &to_value(&document)),
    }
}

fn warn_healed(ui: &Ui, what: &str, digest: Digest) {
    ui.warn(format_args!(
        "the stored {what} {digest} was damaged and has been replaced"
    ));
}

/// Lists what would be packed.
fn list(format: &Format, prepared: &Prepared, context: &Context) -> Result<(), Failure> {
    let tree = &prepared.found.tree;
    let layers = prepared.entries.iter().enumerate().map(|(index, entry)| {
        let files = tree
            .entries(index)
            .filter(|file| file.kind() == EntryKind::File);
        let files: Vec<String> = files
            .map(|file| String::from_utf8_lossy(&file.path()).into_owned())
            .collect();
        LayerDocument {
            r#type: kit::noun(entry.section),
            name: &entry.name,
            path: &entry.clean,
            media_type: None,
            digest: None,
            size: None,
            stored: None,
            bytes: tree.bytes(index),
            file_count: files.len(),
            files: Some(files),
        }
    });
    match format {
        Format::Json => return context.ui.json(&layers.collect::<Vec<_>>()),
        Format::Template(template) => {
            let document = to_value(&layers.collect::<Vec<_>>());
            return context.ui.template(template, &document);
        }
        Format::Table => {}
    }
    let mut total = (0, 0);
    for layer in layers {
        context.ui.line(format_args!(
            "{} {} ({}, {})",
            layer.r#type,
            layer.path,
            human::count(layer.file_count as u64, "file"),
            human::bytes(layer.bytes)
        ))?;
        for file in layer.files.iter().flatten() {
            context.ui.line(format_args!("  {file}"))?;
        }
        total = (total.0 + layer.file_count as u64, total.1 + layer.bytes);
    }
    context.ui.status(format_args!(
        "{} of {} would be packed",
        human::count(total.0, "file"),
        human::bytes(total.1)
    ));
    Ok(())
}

fn to_value(document: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(document).expect("texts and numbers can be written")
}
