//! `kit files`

use std::{fmt::Write as _, io::Write as _};

use serde_json::{Value, json};

use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs, LimitArgs},
        escape::{escape_bytes, escape_lines},
        failure::{Failure, Kind},
        help::examples,
        human,
        network::{NetworkArgs, of_registry, open_anywhere},
        parents::tell_model_elsewhere,
        values::reference,
    },
    filter::{Filter, PathGlobs, Type},
    ops::{
        self,
        files::{self, File},
        kit::{self, Layer, noun},
        unpack::Sources,
    },
    progress::Progress,
    reference::Reference,
};

/// List the files of a kit
///
/// The list comes from the kit's table of contents or the headers of its layers, which takes no time
/// even for a large kit. What the files hold is checked by `kit verify`, and by every command that
/// takes it out. A kit that is not in the local store is listed where it is, in the registry that its
/// name begins with, without fetching its layers.
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("List all files", "kit files team/net:1.0"),
    ("List those of one dataset", "kit files team/net:1.0 --filter datasets:train"),
    ("List files by their path", "kit files team/net:1.0 --include 'data/**.csv'"),
    ("List those of a kit in a registry", "kit files registry.example/team/net:1.0"),
    ("Print the paths alone", "kit files team/net:1.0 --format '{{ .Path }}'"),
]))]
pub(crate) struct Args {
    /// The kit: a name, a name with a digest, or a digest alone
    #[arg(value_name = "REFERENCE", value_parser = reference)]
    reference: Reference,
    #[arg(
        short,
        long,
        value_name = "FILTER",
        help = "List only these: TYPE[,TYPE...][:NAME-OR-PATH,...], with the types model, datasets, code, docs, prompts and mcpservers"
    )]
    filter: Vec<String>,
    /// List only files whose path matches; ** crosses folders
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Leave out files whose path matches
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// List folders, too
    #[arg(long)]
    folders: bool,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    output: FormatArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

/// Lists while it reads: a kit may have more files than fit in memory.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let filter = Filter::parse(&args.filter)?;
    let globs = PathGlobs::new(&args.include, &args.exclude)?;
    let store = context.store_within("kit files", &args.limits.moved)?;
    let progress = context.progress();
    let reference = args.reference.clone().or_latest();
    let mut way = None;
    let both = (context, &progress as &dyn Progress);
    let kit = open_anywhere(&store, &reference, &args.network, &mut way, both)?;
    if filter.selects_type(Type::Model) {
        tell_model_elsewhere(&kit.kitfile, context);
    }

    let sources = Sources {
        store: &store,
        streams: way.as_ref().map(|way| way.streams(&progress)),
        objects: None,
        unverified: true,
    };
    let mut out = std::io::BufWriter::with_capacity(64 << 10, context.ui.stream());
    let mut count = 0_u64;
    let mut failure = None;
    let listed = files::list(
        &kit,
        &sources,
        &filter,
        &globs,
        &progress,
        &mut |layer, file| {
            if file.is_folder && !args.folders {
                return Ok(());
            }
            let text = match &args.output.format {
                Format::Table => row(layer, &file, count == 0),
                Format::Json => {
                    let start = if count == 0 { "[\n  " } else { ",\n  " };
                    format!("{start}{}", document(layer, &file))
                }
                Format::Template(template) => match template.render(&document(layer, &file)) {
                    Ok(text) => format!("{}\n", escape_lines(&text)),
                    Err(error) => {
                        failure = Some(Failure::of(Kind::Usage, &error));
                        return Err(ops::Error::Output(std::io::ErrorKind::Other.into()));
                    }
                },
            };
            count += 1;
            out.write_all(text.as_bytes()).map_err(ops::Error::Output)
        },
    );
    if let Some(failure) = failure {
        return Err(failure);
    }
    listed.map_err(|error| of_registry(way.as_ref(), error.into()))?;
    let end = match (&args.output.format, count) {
        (_, 0) if !globs.is_everything() => return Err(nothing(&kit)),
        (Format::Json, 0) => "[]\n",
        (Format::Json, _) => "\n]\n",
        (Format::Table, 0) => HEADER,
        _ => "",
    };
    let written = out.write_all(end.as_bytes()).and_then(|()| out.flush());
    Ok(written.map_err(ops::Error::Output)?)
}

const HEADER: &str = "TYPE        SIZE         MODE   PATH\n";

/// Returns a line of the table. Only the path has no longest length, and it comes last, so that no
/// line waits for the others.
fn row(layer: &Layer, file: &File, is_first: bool) -> String {
    let path = escape_bytes(&file.path);
    let (size, slash) = if file.is_folder {
        ("-".to_owned(), "/")
    } else {
        (human::bytes(file.size), "")
    };
    format!(
        "{}{:<9}   {size:<10}   {:<4}   {path}{slash}\n",
        if is_first { HEADER } else { "" },
        noun(layer.entry.section),
        if file.executable && !file.is_folder {
            "x"
        } else {
            "-"
        },
    )
}

fn document(layer: &Layer, file: &File) -> Value {
    let mut document = json!({
        "path": String::from_utf8_lossy(&file.path),
        "type": noun(layer.entry.section),
        "name": layer.entry.name,
        "size": file.size,
        "executable": file.executable && !file.is_folder,
        "folder": file.is_folder,
        "layer": layer.descriptor.digest.to_string(),
    });
    // A name that is no text has its bytes beside what can be shown of it.
    if std::str::from_utf8(&file.path).is_err() {
        document["pathHex"] = hex(&file.path).into();
    }
    document
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}"); // Writing to a string cannot fail.
    }
    text
}

/// Returns the failure for patterns that select no file.
fn nothing(kit: &kit::Kit) -> Failure {
    let reference = kit.reference.to_string();
    let mut failure = Failure::of(Kind::NotFound, &ops::Error::NoFile { reference });
    let mut known: Vec<String> = Vec::new();
    for layer in &kit.layers {
        let held = format!("{} `{}`", noun(layer.entry.section), layer.entry.clean);
        if !known.contains(&held) && known.len() < 20 {
            known.push(held);
        }
    }
    if !known.is_empty() {
        failure = failure.detail(format!("it holds {}", known.join(", ")));
    }
    failure.hint("without patterns all paths are listed")
}
