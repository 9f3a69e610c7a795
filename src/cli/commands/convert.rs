//! `kit convert`

use serde::Serialize;

use super::{pack::segment_size, tag::target};
use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        failure::{Failure, Kind},
        help::examples,
        human,
        values::{BadValue, References, reference},
    },
    digest::Digest,
    ops::convert::{self, Converted, Form},
    reference::Reference,
};

/// Make a kit that has the same layers in another form
///
/// With chunked, layers of 128 MiB and more are kept in segments of some 32 MiB, cut where their
/// content says, so that a small change of a large file is one segment that is new. Only this
/// program reads such kits; tar makes the kit of it that others read, with the digest that it had.
///
/// A digest belongs to one manifest, so this is a new kit with a digest of its own. The name that
/// was given leads to it from then on, or the new names with --tag do. The kit as it was stays in
/// the store under its digest, until `kit remove` takes it.
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Keep large layers in segments", "kit convert team/net:1.0 --layer-format chunked"),
    ("Make the kit that other tools read, and leave the name where it is", "kit convert team/net:1.0 --layer-format tar -t team/net:1.0-plain"),
    ("Get the new digest", "kit convert team/net:1.0 --layer-format tar --format '{{ .Digest }}'"),
]))]
pub(crate) struct Args {
    /// The kit
    #[arg(value_name = "REFERENCE", value_parser = reference)]
    reference: Reference,
    /// What becomes of the layers: tar, each is one blob; or chunked, large ones are in segments
    #[arg(long, value_name = "FORMAT", value_parser = layer_format)]
    layer_format: LayerFormat,
    /// With chunked: how large segments are on average [default: 32 MiB]
    #[arg(long, value_name = "SIZE", value_parser = segment_size)]
    segment_size: Option<u64>,
    /// What the new kit is called: REPOSITORY[:TAG[,TAG...]]; without it the name moves
    #[arg(short, long, value_name = "NAME", value_parser = target)]
    tag: Option<References>,
    #[command(flatten)]
    output: FormatArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LayerFormat {
    Tar,
    Chunked,
}

fn layer_format(text: &str) -> Result<LayerFormat, BadValue> {
    match text {
        "tar" => Ok(LayerFormat::Tar),
        "chunked" => Ok(LayerFormat::Chunked),
        _ => Err(BadValue::new(
            "invalid layer format: must be one of 'tar' or 'chunked'",
        )),
    }
}

/// The result in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    reference: String,
    references: Vec<String>,
    old_digest: Digest,
    digest: Digest,
    /// Whether it had the form that was asked for, so that it was left as it is.
    was_right: bool,
    layers: Vec<Layer>,
}

/// A layer in JSON.
#[derive(Serialize)]
struct Layer {
    digest: Digest,
    size: u64,
    /// How many segments it is in; 0 if it is one blob.
    segments: usize,
}

/// Converts, and says which kit is which now.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let form = match (args.layer_format, args.segment_size) {
        (LayerFormat::Tar, None) => Form::Plain,
        (LayerFormat::Tar, Some(_)) => {
            return Err(Failure::new(
                Kind::Usage,
                "--segment-size is of use with --layer-format chunked alone",
            ));
        }
        (LayerFormat::Chunked, segment_size) => Form::Chunked { segment_size },
    };
    let reference = args.reference.clone().or_latest();
    let names: Vec<Reference> = match &args.tag {
        Some(References(names)) => names.iter().cloned().map(Reference::or_latest).collect(),
        None => Vec::new(),
    };
    let store = context.store("kit convert")?;
    let progress = context.progress();
    let converted = convert::run(&store, &reference, form, &names, &progress)
        .map_err(|error| Failure::from(error).about(&reference))?;
    drop(progress);
    if !converted.comes_back {
        context.ui.warn(format_args!(
            "converted back it will have another digest than {}: another program wrote its manifest",
            converted.old.digest
        ));
    }
    let report = Report {
        reference: reference.to_string(),
        references: converted.names.iter().map(ToString::to_string).collect(),
        old_digest: converted.old.digest,
        digest: converted.new.digest,
        was_right: converted.was_right(),
        layers: converted
            .layers
            .iter()
            .map(|layer| Layer {
                digest: layer.descriptor.digest,
                size: layer.descriptor.size,
                segments: layer.segments.len(),
            })
            .collect(),
    };
    match &args.output.format {
        Format::Json => context.ui.json(&report),
        Format::Template(template) => {
            let data = serde_json::to_value(&report).expect("a report is texts and numbers");
            context.ui.template(template, &data)
        }
        Format::Table => tell(&report, &converted, context),
    }
}

fn tell(report: &Report, converted: &Converted, context: &Context) -> Result<(), Failure> {
    let ui = &context.ui;
    let cut = report.layers.iter().filter(|layer| layer.segments > 0);
    let segments = cut.clone().map(|layer| layer.segments as u64).sum();
    let cut = human::count(cut.count() as u64, "layer");
    let segments = human::count(segments, "segment");
    let has_segments = converted.layers.iter().any(|it| !it.segments.is_empty());
    let reference = &report.reference;
    if report.was_right {
        ui.status(if has_segments {
            format!("{reference} has {cut} in {segments}: it is left as it is")
        } else {
            format!("{reference} has no layer that is in segments or would be: it is left as it is")
        });
    } else {
        ui.status(if has_segments {
            format!(
                "Made a new kit with {cut} in {segments}: only `kit` reads it, and `kit convert --layer-format tar` makes one of it that all read"
            )
        } else {
            "Made a new kit with each layer as one blob".to_owned()
        });
        for name in &report.references {
            ui.status(format_args!("{name} is {} now", report.digest));
        }
        ui.status(format_args!(
            "As it was it is {}, which stays until it is removed",
            report.old_digest
        ));
    }
    ui.line(format_args!("Model saved: {}", report.digest))
}
