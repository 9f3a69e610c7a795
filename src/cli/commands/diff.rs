//! `kit diff`

use std::{collections::HashMap, fmt::Write as _};

use serde::Serialize;

use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs, LimitArgs},
        commands::files::hex,
        escape::{escape, escape_bytes},
        failure::{Failure, Kind},
        help::examples,
        human,
        network::{NetworkArgs, Way, needs_registry, of_registry},
        values::{Named, Place, concurrency, named},
    },
    digest::Digest,
    oci::{Descriptor, LayerKind, LayerType, annotation::FILE_PATH, media_type},
    ops::{
        diff::{self, Change, FileChange, Report},
        kit,
        unpack::Sources,
    },
    store::{self, Store},
};

/// Compare two kits, each in the local store or in its registry
///
/// A kit is looked for in the local store, and if it is not there in its registry; local:// or
/// remote:// before its name says where. Layers are compared by their digests, without being read. With
/// --files the files in layers that differ are compared: those of a kit in a registry by its table of
/// contents, without fetching a layer; without one, layers that differ are read once. Equal kits are
/// those with equal digests.
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Compare two versions", "kit diff team/net:1.0 team/net:1.1"),
    ("See which files differ", "kit diff team/net:1.0 team/net:1.1 --files"),
    ("Compare with what a registry has", "kit diff registry.example/team/net:1.0 remote://registry.example/team/net:1.0"),
    ("Fail in a script if they differ", "kit diff team/net:1.0 team/net:prod --exit-code -q"),
    ("Get everything as JSON", "kit diff team/net:1.0 team/net:1.1 --files --format json"),
]))]
pub(crate) struct Args {
    /// The first kit; local:// or remote:// may stand before its name
    #[arg(value_name = "KIT1", value_parser = named)]
    first: Named,
    /// The kit that is compared with it
    #[arg(value_name = "KIT2", value_parser = named)]
    second: Named,
    /// Tell which files were added, removed or modified, or changed their mode
    #[arg(long)]
    files: bool,
    /// End with 10 if the kits differ
    #[arg(long)]
    exit_code: bool,
    /// Accepted for compatibility: of each kit one document is read
    #[arg(long, hide = true, value_name = "NUMBER", value_parser = concurrency)]
    concurrency: Option<usize>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    output: FormatArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

/// The result in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    identical: bool,
    kits: Vec<KitRow>,
    same_config: bool,
    same_annotations: bool,
    shared: Vec<LayerRow>,
    unique1: Vec<LayerRow>,
    unique2: Vec<LayerRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<FileRow>>,
}

#[derive(Serialize)]
struct KitRow {
    reference: String,
    place: Place,
    digest: Digest,
    config: Digest,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LayerRow {
    r#type: &'static str,
    media_type: String,
    digest: Digest,
    size: u64,
}

#[derive(Serialize)]
struct FileRow {
    path: String,
    #[serde(rename = "pathHex", skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
    change: &'static str,
    old: Option<FileSide>,
    new: Option<FileSide>,
}

#[derive(Serialize)]
struct FileSide {
    digest: String,
    size: u64,
    executable: bool,
}

/// Compares and prints.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store_within("kit diff", &args.limits.moved)?;
    let both = [&args.first, &args.second];
    // Both are looked up before a layer is read.
    let places = [
        place(both[0], &store, context)?,
        place(both[1], &store, context)?,
    ];
    let references = both.map(|named| &named.reference);
    let progress = context.progress();
    // All registries are reached the same way: a login that the environment has for the first is
    // not shown to the other.
    let mut far = references.into_iter().zip(places);
    let far = far.find(|(_, place)| *place == Place::Remote);
    let way = far.map(|(first, _)| Way::new(&args.network, first, context));
    let way = way.transpose()?;
    let report = match &way {
        None if args.files => diff::run(&store, references, &progress)?,
        Some(way) if args.files => {
            let open = |number: usize| match places[number] {
                Place::Local => Ok(kit::open(&store, references[number], &progress)?),
                Place::Remote => way.open(references[number], &progress),
            };
            let sources = Sources {
                store: &store,
                streams: Some(way.streams(&progress)),
                objects: None,
                unverified: false,
            };
            let kits = [open(0)?, open(1)?];
            diff::of_kits(&kits, &sources, &progress)
                .map_err(|error| of_registry(Some(way), error.into()))?
        }
        way => {
            let side = |number: usize| match (places[number], way) {
                (Place::Remote, Some(way)) => way.side(references[number], context),
                _ => Ok(diff::side(&store, references[number], &progress)?),
            };
            diff::sides([side(0)?, side(1)?])
        }
    };
    drop(progress);
    let names = references.map(ToString::to_string);
    match &args.output.format {
        Format::Table => context.ui.out(text(&report, &names))?,
        Format::Json => context.ui.json(&document(&report, &names, places))?,
        Format::Template(template) => {
            let data = serde_json::to_value(document(&report, &names, places))
                .expect("a comparison is texts and numbers");
            context.ui.template(template, &data)?;
        }
    }
    if args.exit_code && !report.is_same() {
        return Err(Failure::reported(Kind::Differs));
    }
    Ok(())
}

/// Returns where a kit is: where it was said to be, else in the local store if it is there, else
/// in its registry if the name has one.
fn place(named: &Named, store: &Store, context: &Context) -> Result<Place, Failure> {
    let name = &named.reference;
    if named.place == Some(Place::Remote) {
        return needs_registry(name).map(|_| Place::Remote);
    }
    match store.resolve(name, &context.watcher()) {
        Ok(_) => Ok(Place::Local),
        Err(store::Error::NotFound { .. })
            if named.place.is_none() && needs_registry(name).is_ok() =>
        {
            Ok(Place::Remote)
        }
        Err(error) => Err(Failure::from(error).about(name)),
    }
}

fn document(report: &Report, names: &[String; 2], places: [Place; 2]) -> Document {
    let rows = |layers: &[Descriptor]| layers.iter().map(layer_row).collect();
    Document {
        identical: report.is_same(),
        kits: (0..2)
            .map(|side| KitRow {
                reference: names[side].clone(),
                place: places[side],
                digest: report.digests[side],
                config: report.configs[side].digest,
            })
            .collect(),
        same_config: report.configs[0].digest == report.configs[1].digest,
        same_annotations: report.same_annotations,
        shared: rows(&report.shared),
        unique1: rows(&report.unique[0]),
        unique2: rows(&report.unique[1]),
        files: report
            .files
            .as_ref()
            .map(|files| files.iter().map(file_row).collect()),
    }
}

fn layer_row(layer: &Descriptor) -> LayerRow {
    LayerRow {
        r#type: kind(layer).1,
        media_type: layer.media_type.clone(),
        digest: layer.digest,
        size: layer.size,
    }
}

fn file_row(file: &FileChange) -> FileRow {
    let side = |file: diff::File| FileSide {
        digest: file.digest.to_string(),
        size: file.size,
        executable: file.executable,
    };
    FileRow {
        path: String::from_utf8_lossy(&file.path).into_owned(),
        path_hex: std::str::from_utf8(&file.path)
            .err()
            .map(|_| hex(&file.path)),
        change: word(file.change()),
        old: file.old.map(side),
        new: file.new.map(side),
    }
}

/// Returns what a layer holds, as the reference shows it and as the rest of our output has it.
fn kind(layer: &Descriptor) -> (&'static str, &'static str) {
    match LayerType::parse(&layer.media_type).map(|it| it.kind) {
        Some(LayerKind::Model) => ("Model", "model"),
        Some(LayerKind::ModelPart) => ("ModelPart", "modelpart"),
        Some(LayerKind::Code) => ("Code", "code"),
        Some(LayerKind::Dataset) => ("Dataset", "dataset"),
        Some(LayerKind::Docs) => ("Docs", "docs"),
        Some(LayerKind::McpServer) => ("McpServer", "mcpserver"),
        None if layer.media_type == media_type::SEGMENT => ("Segment", "segment"),
        None => ("Unknown", "unknown"),
    }
}

const fn word(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Modified => "modified",
        Change::Mode => "mode",
    }
}

const LINE: &str = "---------------------------------------\n";

/// Returns the comparison in the form of the reference, which scripts read; the files are ours.
fn text(report: &Report, names: &[String; 2]) -> String {
    if report.is_same() {
        return "ModelKits are identical\n".to_owned();
    }
    let short = |digest: &Digest| format!("sha256:{}", human::short(digest));
    let [first, second] = names.each_ref().map(|name| escape(name));
    let [config, other] = report.configs.each_ref().map(|it| short(&it.digest));
    let configs = if report.configs[0].digest == report.configs[1].digest {
        format!("  Configs are identical (Digest: {config})\n")
    } else {
        format!(
            "Configs differ:\n  ModelKit1 Config Digest: {config}\n  ModelKit2 Config Digest: {other}\n"
        )
    };
    let annotations = if report.same_annotations {
        "  Annotations are identical \n" // The blank is the reference's.
    } else {
        "  Annotations does not match\n"
    };
    let mut text = format!(
        "Comparing:\n  ModelKit1: {first}\n  ModelKit2: {second}\n\n\
         Configurations:\n{LINE}{configs}\n\
         Annotations:\n{LINE}{annotations}\n"
    );
    for (title, layers) in [
        ("Shared Layers".to_owned(), &report.shared),
        (
            format!("Unique Layers to ModelKit1 ({first})"),
            &report.unique[0],
        ),
        (
            format!("Unique Layers to ModelKit2 ({second})"),
            &report.unique[1],
        ),
    ] {
        let _ = write!(text, "{title}\n{LINE}"); // Writing to a string cannot fail.
        text += match layers.len() {
            0 => "<none>\n",
            _ => "Type    | Digest             | Size\n",
        };
        for layers in by_folder(layers) {
            let size = human::bytes(layers.iter().map(|layer| layer.size).sum());
            let which = match (layers.as_slice(), layers[0].annotations.get(FILE_PATH)) {
                ([_, _, ..], Some(folder)) => {
                    format!(
                        "{} of {}",
                        human::count(layers.len() as u64, "layer"),
                        escape(folder)
                    )
                }
                _ => short(&layers[0].digest),
            };
            let _ = writeln!(text, "{:<7} | {which:<18} | {size}", kind(layers[0]).0);
        }
        text.push('\n');
    }
    if let Some(files) = &report.files {
        let _ = write!(text, "Files\n{LINE}");
        text += match files.len() {
            0 => "<none>\n",
            _ => "Change   | Size                     | Path\n",
        };
        for file in files {
            let (change, path) = (word(file.change()), escape_bytes(&file.path));
            let _ = writeln!(text, "{change:<8} | {:<24} | {path}", sizes(file));
        }
        text.push('\n');
    }
    text
}

/// Returns layers in groups of one folder: one that was cut into layers may have thousands.
fn by_folder(layers: &[Descriptor]) -> Vec<Vec<&Descriptor>> {
    let mut groups: Vec<Vec<&Descriptor>> = Vec::new();
    let mut known: HashMap<(&str, &String), usize> = HashMap::new();
    for layer in layers {
        let folder = layer.annotations.get(FILE_PATH);
        let group = folder.map(|it| *known.entry((kind(layer).1, it)).or_insert(groups.len()));
        match group.and_then(|group| groups.get_mut(group)) {
            Some(group) => group.push(layer),
            None => groups.push(vec![layer]),
        }
    }
    groups
}

/// Returns how long a file is, or what became of it.
fn sizes(file: &FileChange) -> String {
    match (&file.old, &file.new) {
        (Some(old), Some(new)) if old.digest == new.digest => {
            let now = if new.executable { "+x" } else { "-x" };
            format!("{} {now}", human::bytes(new.size))
        }
        (Some(old), Some(new)) => {
            format!("{} -> {}", human::bytes(old.size), human::bytes(new.size))
        }
        (Some(only), None) | (None, Some(only)) => human::bytes(only.size),
        (None, None) => String::new(),
    }
}
