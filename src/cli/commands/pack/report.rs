//! What is printed: a kit that was packed, or the list of what would be.

use serde::Serialize;

use crate::{
    archive::tree::Kind as EntryKind,
    cli::{Context, args::Format, failure::Failure, human, parents::ParentRow, ui::Ui},
    digest::Digest,
    oci::Descriptor,
    ops::{
        kit,
        pack::{self, Options, PackedLayer, Prepared, Report, Sent},
        push::Pushed,
    },
    store::Committed,
};

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
    /// How many segments it is in, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<usize>,
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
    toc: Option<TocDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pushed: Option<Vec<PushedRow>>,
}

#[derive(Serialize)]
struct TocDocument {
    digest: String,
    size: u64,
}

/// What was packed, wherever it went.
pub(super) struct Packed<'p> {
    manifest: &'p Descriptor,
    config: &'p Descriptor,
    layers: &'p [PackedLayer],
    toc: Option<&'p Descriptor>,
}

impl<'p> Packed<'p> {
    /// Returns what went into the store.
    pub(super) fn of(report: &'p Report) -> Self {
        Self {
            manifest: &report.manifest,
            config: &report.config,
            layers: &report.layers,
            toc: report.toc.as_ref(),
        }
    }

    /// Returns what went to registries alone.
    pub(super) fn sent(sent: &'p Sent) -> Self {
        Self {
            manifest: &sent.manifest,
            config: &sent.config,
            layers: &sent.layers,
            toc: sent.toc.as_ref(),
        }
    }
}

/// A repository that a kit was pushed to, in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PushedRow {
    references: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    was_there: bool,
    sent: usize,
    mounted: usize,
    present: usize,
    sent_bytes: u64,
    resumed_bytes: u64,
}

impl PushedRow {
    fn of(pushed: &Pushed) -> Self {
        Self {
            references: pushed.targets.iter().map(ToString::to_string).collect(),
            image: pushed.image.map(|it| it.to_string()),
            was_there: pushed.was_there,
            sent: pushed.sent,
            mounted: pushed.mounted,
            present: pushed.present,
            sent_bytes: pushed.sent_bytes,
            resumed_bytes: pushed.resumed,
        }
    }
}

fn word(stored: Committed) -> &'static str {
    match stored {
        Committed::Stored => "new",
        Committed::AlreadyThere => "present",
        Committed::Healed => "healed",
    }
}

/// Tells what was packed, in lines of the reference.
pub(super) fn tell(options: &Options, report: &Report, context: &Context) {
    let ui = &context.ui;
    for layers in elements(&report.layers) {
        if layers.len() > 1 {
            tell_shards(layers, context);
            continue;
        }
        let layer = &layers[0];
        let noun = kit::noun(layer.entry.section);
        let digest = layer.descriptor.digest;
        if !layer.segments.is_empty() {
            tell_segments(layer, context);
            continue;
        }
        match layer.stored {
            Some(Committed::Stored) => {
                ui.status(format_args!("Saved {noun} layer: {digest}"));
            }
            Some(Committed::AlreadyThere) => {
                ui.status(format_args!("Already saved {noun} layer: {digest}"));
            }
            Some(Committed::Healed) => warn_healed(ui, &format!("{noun} layer"), digest),
            None => {}
        }
    }
    if let (Some(toc), Some(stored)) = (&report.toc, report.toc_stored) {
        let digest = toc.digest;
        match stored {
            Committed::Stored => ui.status(format_args!("Saved table of contents: {digest}")),
            Committed::AlreadyThere => {
                ui.status(format_args!("Already saved table of contents: {digest}"));
            }
            Committed::Healed => warn_healed(ui, "table of contents", digest),
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
}

/// Returns layers in groups of one element.
fn elements(layers: &[PackedLayer]) -> impl Iterator<Item = &[PackedLayer]> {
    layers.chunk_by(|_, next| next.entry.shard > 0)
}

/// Tells what became of the layers of a large folder, which may be thousands.
fn tell_shards(layers: &[PackedLayer], context: &Context) {
    let ui = &context.ui;
    let entry = &layers[0].entry;
    let noun = kit::noun(entry.section);
    let count = |wanted| {
        let layers = layers.iter().filter(|layer| layer.stored == Some(wanted));
        human::number(layers.count() as u64)
    };
    ui.status(format_args!(
        "Saved {noun} layers of `{}`: {} new, {} already there",
        entry.clean,
        count(Committed::Stored),
        count(Committed::AlreadyThere)
    ));
    for layer in layers {
        let digest = layer.descriptor.digest;
        match layer.stored {
            Some(Committed::Healed) => warn_healed(ui, &format!("{noun} layer"), digest),
            Some(Committed::Stored) => {
                ui.debug(format_args!("Saved {noun} layer: {digest}"));
            }
            _ => ui.debug(format_args!("Already saved {noun} layer: {digest}")),
        }
    }
}

/// Tells what became of a layer in segments.
fn tell_segments(layer: &PackedLayer, context: &Context) {
    let ui = &context.ui;
    let noun = kit::noun(layer.entry.section);
    let count = |wanted| {
        let segments = layer.segments.iter();
        let segments = segments.filter(|segment| segment.stored == Some(wanted));
        human::number(segments.count() as u64)
    };
    ui.status(format_args!(
        "Saved {noun} layer: {} in segments, {} new, {} already there",
        layer.descriptor.digest,
        count(Committed::Stored),
        count(Committed::AlreadyThere)
    ));
    for segment in &layer.segments {
        match segment.stored {
            Some(Committed::Healed) => {
                warn_healed(ui, &format!("segment of the {noun} layer"), segment.digest);
            }
            Some(Committed::Stored) => {
                ui.debug(format_args!("Saved segment: {}", segment.digest));
            }
            _ => ui.debug(format_args!("Already saved segment: {}", segment.digest)),
        }
    }
}

/// Prints what was packed: the digest on standard output, or all of it.
pub(super) fn print(
    format: &Format,
    options: &Options,
    packed: &Packed<'_>,
    pushed: Option<&[Pushed]>,
    context: &Context,
) -> Result<(), Failure> {
    let document = Document {
        digest: packed.manifest.digest.to_string(),
        references: options.names.iter().map(ToString::to_string).collect(),
        parents: options.parents.iter().map(ParentRow::of).collect(),
        drafted: options.drafted,
        config: packed.config.digest.to_string(),
        size: packed
            .layers
            .iter()
            .map(|layer| layer.descriptor.size)
            .sum(),
        layers: packed
            .layers
            .iter()
            .map(|layer| LayerDocument {
                r#type: kit::noun(layer.entry.section),
                name: &layer.entry.name,
                path: &layer.entry.clean,
                media_type: Some(&layer.descriptor.media_type),
                digest: Some(layer.descriptor.digest.to_string()),
                size: Some(layer.descriptor.size),
                stored: layer.stored.map(word),
                segments: Some(layer.segments.len()).filter(|count| *count > 0),
                bytes: layer.bytes,
                file_count: layer.files,
                files: None,
            })
            .collect(),
        toc: packed.toc.map(|toc| TocDocument {
            digest: toc.digest.to_string(),
            size: toc.size,
        }),
        pushed: pushed.map(|pushed| pushed.iter().map(PushedRow::of).collect()),
    };
    match format {
        Format::Table => context.ui.line(pack::saved_line(packed.manifest.digest)),
        Format::Json => context.ui.json(&document),
        Format::Template(template) => context.ui.template(template, &to_value(&document)),
    }
}

fn warn_healed(ui: &Ui, what: &str, digest: Digest) {
    ui.warn(format_args!(
        "the stored {what} {digest} was damaged and has been replaced"
    ));
}

/// Lists what would be packed.
pub(super) fn list(format: &Format, prepared: &Prepared, context: &Context) -> Result<(), Failure> {
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
            segments: None,
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
    let layers: Vec<_> = prepared.entries.iter().zip(layers).collect();
    // One heading for each element, however many layers it becomes.
    for element in layers.chunk_by(|_, (entry, _)| entry.shard > 0) {
        let first = &element[0].1;
        let count = element.iter().map(|(_, layer)| layer.file_count as u64);
        let (count, bytes) = (
            count.sum(),
            element.iter().map(|(_, layer)| layer.bytes).sum(),
        );
        let several = match element.len() {
            1 => String::new(),
            layers => format!(", {}", human::count(layers as u64, "layer")),
        };
        context.ui.line(format_args!(
            "{} {} ({}, {}{several})",
            first.r#type,
            first.path,
            human::count(count, "file"),
            human::bytes(bytes)
        ))?;
        for file in element.iter().flat_map(|(_, layer)| &layer.files).flatten() {
            context.ui.line(format_args!("  {file}"))?;
        }
        total = (total.0 + count, total.1 + bytes);
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
