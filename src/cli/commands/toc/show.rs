//! `kit toc show`

use std::io::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use super::Toc;
use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        escape::{escape, escape_lines},
        failure::{Failure, Kind},
        help::examples,
        human,
        network::{NetworkArgs, TransferArgs, needs_registry},
        table::Table as Columns,
        values::reference,
    },
    digest::Digest,
    oci::Manifest,
    ops::{
        self,
        pull::Registries as _,
        remote,
        toc::{self, Contents, Far, Parts},
        transfer::Network,
    },
    reference::Reference,
    registry::download::Downloads,
    toc::{Entry, Form, Table},
};

/// Print what the table of contents of a kit tells
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("See what it tells of each layer", "kit toc show team/net:1.0"),
    ("Look at that of a kit in a registry", "kit toc show -r registry.example/team/net:1.0"),
    ("List what is in the layers, and where", "kit toc show team/net:1.0 --entries"),
    ("Get the digests of files", "kit toc show team/net:1.0 --entries --format '{{ .Digest }} {{ .Path }}'"),
]))]
pub(super) struct Args {
    /// The kit
    #[arg(value_name = "REFERENCE", value_parser = reference)]
    reference: Reference,
    /// List files and folders with their places in the layers
    #[arg(long)]
    entries: bool,
    /// Ask the kit's registry, not the local store
    #[arg(short, long)]
    remote: bool,
    #[command(flatten)]
    output: FormatArgs,
    #[command(flatten)]
    transfer: TransferArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let reference = args.reference.clone().or_latest();
    let store = context.store("kit toc show")?;
    let progress = context.progress();
    let about = |failure: Failure| failure.about(&reference);
    if !args.remote {
        let found = store.resolve(&reference, &progress);
        let descriptor = found.map_err(|error| about(error.into()))?.descriptor;
        let _lock = store.reader(&progress)?;
        let manifest = store.manifest(&descriptor)?.manifest;
        let contents = Contents::open(&manifest, &store, None, &progress)?;
        return print(
            args,
            &reference,
            (descriptor.digest, &manifest),
            contents,
            context,
        );
    }
    let name = needs_registry(&reference)?;
    let stall = args.transfer.stall_timeout;
    let access = args.network.access(&reference, stall, context)?;
    let repository = access.repository(name)?;
    let network = Network::new()?;
    let side = network.wait(&progress, remote::side(&repository, &reference));
    let side = side.map_err(|error| about(error.into()))?;
    let downloads = std::sync::Arc::new(Downloads::new(args.transfer.download()));
    let parts = Parts::new(&network, downloads, &progress);
    let far = Far {
        parts: &parts,
        repository: &repository,
    };
    let contents = Contents::open(&side.manifest, &store, Some(far), &progress)?;
    print(
        args,
        &reference,
        (side.digest, &side.manifest),
        contents,
        context,
    )
}

fn print(
    args: &Args,
    reference: &Reference,
    (digest, manifest): (Digest, &Manifest),
    contents: Option<Contents<'_>>,
    context: &Context,
) -> Result<(), Failure> {
    let Some(contents) = contents else {
        let message = format!("{reference} has no table of contents");
        let failure = Failure::new(Kind::NotFound, message);
        let is_named = toc::descriptor(manifest).is_some();
        return Err(if is_named && args.remote {
            failure.detail("its manifest names one, which the registry has not got")
        } else if is_named {
            failure
                .detail("its manifest names one, which is not in the store, or damaged there")
                .hint(format!("`kit verify --repair {reference}` brings it back"))
        } else {
            failure.hint(format!(
                "`kit toc add {reference}` makes a kit that has one"
            ))
        });
    };
    if args.entries {
        return entries(&args.output.format, &contents, context);
    }
    let report = report(reference, digest, manifest, &contents)?;
    match &args.output.format {
        Format::Json => context.ui.json(&report),
        Format::Template(template) => {
            let data = serde_json::to_value(&report).expect("a report is texts and numbers");
            context.ui.template(template, &data)
        }
        Format::Table => {
            context.ui.out(table(&report).render())?;
            context.ui.out("\n")?;
            context.ui.line(format_args!(
                "Table of contents: {}, {} of {} ({})",
                report.toc.digest,
                human::bytes(report.toc.size),
                human::bytes(report.size),
                share(report.toc.size, report.size)
            ))
        }
    }
}

/// The result of `show` in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShowReport {
    reference: String,
    digest: Digest,
    /// The bytes of the layers.
    size: u64,
    toc: Toc,
    layers: Vec<Row>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    digest: Digest,
    media_type: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<TableRow>,
    /// Why there is no table.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TableRow {
    digest: Digest,
    size: u64,
    form: &'static str,
    plain_size: u64,
    entries: usize,
    chunks: usize,
}

fn report(
    reference: &Reference,
    digest: Digest,
    manifest: &Manifest,
    contents: &Contents<'_>,
) -> Result<ShowReport, Failure> {
    let layers = contents.root().layers();
    // The table of contents was opened, so they are what it tells of.
    let plain = manifest.plain_layers().unwrap_or_default();
    let mut rows: Vec<Row> = Vec::new();
    let all: Vec<usize> = (0..layers.len()).collect();
    contents.each_table(&all, &mut |position, table| {
        let (layer, told) = (&plain[position].descriptor, &layers[position]);
        let problem = match (&table, told.table) {
            (Some(_), _) => None,
            (None, Err(absence)) => Some(absence.to_string()),
            (None, Ok(_)) => Some("its table cannot be read".to_owned()),
        };
        let of_table = |table: Table| TableRow {
            digest: Digest::of(table.as_bytes()),
            size: table.as_bytes().len() as u64,
            form: form(table.form()),
            plain_size: table.plain_size(),
            entries: table.len(),
            chunks: table.chunks().count(),
        };
        rows.push(Row {
            digest: layer.digest,
            media_type: layer.media_type.clone(),
            size: layer.size,
            table: table.map(of_table),
            problem,
        });
        Ok(())
    })?;
    Ok(ShowReport {
        reference: reference.to_string(),
        digest,
        size: manifest.layers.iter().map(|layer| layer.size).sum(),
        toc: contents.reference().into(),
        layers: rows,
    })
}

const fn form(form: Form) -> &'static str {
    match form {
        Form::Plain => "plain",
        Form::Other => "other",
        Form::Raw => "raw",
    }
}

fn table(report: &ShowReport) -> Columns {
    let mut columns = Columns::new(&["LAYER", "SIZE", "ENTRIES", "CHUNKS", "TABLE", "SHARE"]);
    for row in &report.layers {
        let digest = format!("sha256:{}", human::short(&row.digest));
        let size = human::bytes(row.size);
        match (&row.table, &row.problem) {
            (Some(table), _) => columns.row(&[
                digest,
                size,
                human::number(table.entries as u64),
                human::number(table.chunks as u64),
                human::bytes(table.size),
                share(table.size, report.size),
            ]),
            (None, problem) => {
                let problem = problem.clone().unwrap_or_default();
                columns.row(&[digest, size, "-".to_owned(), "-".to_owned(), problem]);
            }
        }
    }
    columns
}

/// Returns how much of `all` a part is, in percent.
fn share(part: u64, all: u64) -> String {
    if all == 0 {
        return "-".to_owned();
    }
    let hundredths = u128::from(part) * 10_000 / u128::from(all);
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

/// Prints the entries while they are read: there may be millions.
fn entries(format: &Format, contents: &Contents<'_>, context: &Context) -> Result<(), Failure> {
    let layers = contents.root().layers();
    let mut out = std::io::BufWriter::with_capacity(64 << 10, context.ui.stream());
    let mut count = 0_u64;
    let mut failure = None;
    let all: Vec<usize> = (0..layers.len()).collect();
    let listed = contents.each_table(&all, &mut |position, table| {
        let Some(table) = table else {
            return Ok(());
        };
        let mut entries = table.entries();
        while let Some(entry) = entries.next() {
            let chunks = entry.chunks().count();
            let document = || document(&layers[position].digest, &entry, chunks);
            let text = match format {
                Format::Table => {
                    let header = if count == 0 { HEADER } else { "" };
                    format!("{header}{}", row(position, &entry, chunks))
                }
                Format::Json => {
                    let start = if count == 0 { "[\n  " } else { ",\n  " };
                    format!("{start}{}", document())
                }
                Format::Template(template) => match template.render(&document()) {
                    Ok(text) => format!("{}\n", escape_lines(&text)),
                    Err(error) => {
                        failure = Some(Failure::of(Kind::Usage, &error));
                        return Err(ops::Error::Output(std::io::ErrorKind::Other.into()));
                    }
                },
            };
            count += 1;
            out.write_all(text.as_bytes()).map_err(ops::Error::Output)?;
        }
        Ok(())
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    listed?;
    let end = match (format, count) {
        (Format::Json, 0) => "[]\n",
        (Format::Json, _) => "\n]\n",
        (Format::Table, 0) => HEADER,
        _ => "",
    };
    let written = out.write_all(end.as_bytes()).and_then(|()| out.flush());
    Ok(written.map_err(ops::Error::Output)?)
}

const HEADER: &str = "LAYER   OFFSET         SIZE         MODE   CHUNKS   PATH\n";

/// Returns a line of the table. Only the path has no longest length, and it comes last.
fn row(position: usize, entry: &Entry<'_, '_>, chunks: usize) -> String {
    let (size, slash) = if entry.is_file() {
        (human::bytes(entry.size), "")
    } else {
        ("-".to_owned(), "/")
    };
    format!(
        "{position:<5}   {:<12}   {size:<10}   {:04o}   {chunks:<6}   {}{slash}\n",
        entry.offset,
        entry.mode,
        escape(entry.path),
    )
}

fn document(layer: &Digest, entry: &Entry<'_, '_>, chunks: usize) -> Value {
    let mut document = json!({
        "path": entry.path,
        "layer": layer.to_string(),
        "folder": !entry.is_file(),
        "mode": format!("{:04o}", entry.mode),
    });
    if entry.is_file() {
        document["offset"] = entry.offset.into();
        document["size"] = entry.size.into();
        document["digest"] = format!("blake3:{}", entry.digest()).into();
        document["chunks"] = chunks.into();
    }
    document
}
