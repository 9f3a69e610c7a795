//! `kit diff`

use std::fmt::Write as _;

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
        values::{Place, place},
    },
    digest::Digest,
    oci::{Descriptor, LayerKind, LayerType},
    ops::diff::{self, Change, FileChange, Report},
    store,
};

/// Compare two kits in the local store
///
/// Layers are compared by their digests, without being read. With --files the layers that differ
/// are read once, and the files in them are compared. Equal kits are those with equal digests.
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Compare two versions", "kit diff team/net:1.0 team/net:1.1"),
    ("See which files differ", "kit diff team/net:1.0 team/net:1.1 --files"),
    ("Fail in a script if they differ", "kit diff team/net:1.0 team/net:prod --exit-code -q"),
    ("Get everything as JSON", "kit diff team/net:1.0 team/net:1.1 --files --format json"),
]))]
pub(crate) struct Args {
    /// The first kit; local:// may stand before its name
    #[arg(value_name = "KIT1", value_parser = place)]
    first: Place,
    /// The kit that is compared with it
    #[arg(value_name = "KIT2", value_parser = place)]
    second: Place,
    /// Tell which files were added, removed or modified, or changed their mode
    #[arg(long)]
    files: bool,
    /// End with 10 if the kits differ
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    output: FormatArgs,
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
    digest: Digest,
    size: u64,
    executable: bool,
}

/// Compares and prints.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store_within("kit diff", &args.limits.moved)?;
    let places = [&args.first, &args.second];
    for place in places {
        // Both are looked up before a layer is read.
        let found = store.resolve(&place.reference, &context.watcher());
        if place.is_remote || matches!(found, Err(store::Error::NotFound { .. })) {
            return Err(not_here(place, found.err()));
        }
    }
    let progress = context.progress();
    let references = places.map(|place| &place.reference);
    let report = diff::run(&store, references, args.files, &progress)?;
    drop(progress);
    let names = references.map(ToString::to_string);
    match &args.output.format {
        Format::Table => context.ui.out(text(&report, &names))?,
        Format::Json => context.ui.json(&document(&report, &names))?,
        Format::Template(template) => {
            let data = serde_json::to_value(document(&report, &names))
                .expect("a comparison is texts and numbers");
            context.ui.template(template, &data)?;
        }
    }
    if args.exit_code && !report.is_same() {
        return Err(Failure::reported(Kind::Differs));
    }
    Ok(())
}

/// Says that a kit is not in the store, and how it gets there.
fn not_here(place: &Place, error: Option<store::Error>) -> Failure {
    let name = &place.reference;
    let is_foreign = name.repository().is_some_and(|it| it.registry().is_some());
    let failure = match error {
        Some(error) if !place.is_remote => Failure::from(error).about(name),
        _ => Failure::new(
            Kind::NotFound,
            format!("{name} is not compared in its registry: only kits in the local store are"),
        ),
    };
    if place.is_remote || is_foreign {
        return failure.hint(format!(
            "`kit pull {name}` brings it here, once this program reaches registries; `kit load` does now"
        ));
    }
    failure
}

fn document(report: &Report, names: &[String; 2]) -> Document {
    let rows = |layers: &[Descriptor]| layers.iter().map(layer_row).collect();
    Document {
        identical: report.is_same(),
        kits: (0..2)
            .map(|side| KitRow {
                reference: names[side].clone(),
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
        digest: file.digest,
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
        for layer in layers {
            let (digest, size) = (short(&layer.digest), human::bytes(layer.size));
            let _ = writeln!(text, "{:<7} | {digest:<18} | {size}", kind(layer).0);
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
