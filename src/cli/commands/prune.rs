//! `kit prune`

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        escape::escape_path,
        failure::Failure,
        help::examples,
        human,
        values::duration,
    },
    digest::Digest,
    store::{Blob, LeftPartial},
};

/// Free what no kit needs any more
#[derive(clap::Args)]
#[command(
    long_about = "Free what no kit needs any more: blobs that no kit refers to, and what programs \
                  left behind that were killed, also downloads that could be resumed. Kits are never removed, also those without a tag.",
    after_help = examples(&[
    ("Free all that is not needed", "kit prune"),
    ("See what would be freed", "kit prune --dry-run -v"),
    ("Keep what was stored today", "kit prune --older-than 24h"),
]))]
pub(crate) struct Args {
    /// Tell what would be freed, and free nothing
    #[arg(long)]
    dry_run: bool,
    /// Free only blobs that were stored so long ago, such as 24h or 7d
    #[arg(long, value_name = "TIME", value_parser = duration)]
    older_than: Option<Duration>,
    #[command(flatten)]
    output: FormatArgs,
}

/// The result in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    dry_run: bool,
    bytes: u64,
    blobs: Vec<BlobRow>,
    temporary: Vec<FileRow>,
    resumable: Vec<FileRow>,
}

/// A blob in JSON.
#[derive(Serialize)]
pub(super) struct BlobRow {
    digest: Digest,
    size: u64,
}

impl From<&Blob> for BlobRow {
    fn from(blob: &Blob) -> Self {
        Self {
            digest: blob.digest,
            size: blob.size,
        }
    }
}

/// A file of the store in JSON.
#[derive(Serialize)]
pub(super) struct FileRow {
    path: String,
    size: u64,
}

impl From<&(PathBuf, u64)> for FileRow {
    fn from((path, size): &(PathBuf, u64)) -> Self {
        Self {
            path: path.to_string_lossy().into_owned(),
            size: *size,
        }
    }
}

impl From<&LeftPartial> for FileRow {
    fn from(partial: &LeftPartial) -> Self {
        Self::from(&(partial.path.clone(), partial.size))
    }
}

/// Frees, or tells what would be freed.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store("kit prune")?;
    let plan = store.plan_prune(args.older_than, &context.watcher())?;
    let (bytes, blobs, temporary, partials) = if args.dry_run {
        (plan.bytes(), plan.blobs, plan.temporary, plan.partials)
    } else {
        let done = store.prune(&plan, &context.progress())?;
        (done.bytes(), done.blobs, done.temporary, done.partials)
    };
    let report = Report {
        dry_run: args.dry_run,
        bytes,
        blobs: blobs.iter().map(Into::into).collect(),
        temporary: temporary.iter().map(Into::into).collect(),
        resumable: partials.iter().map(Into::into).collect(),
    };
    match &args.output.format {
        Format::Json => context.ui.json(&report),
        Format::Template(template) => {
            let data = serde_json::to_value(&report).expect("a report is texts and numbers");
            context.ui.template(template, &data)
        }
        Format::Table => {
            for blob in &report.blobs {
                let size = human::bytes(blob.size);
                context
                    .ui
                    .debug(format_args!("blob {} ({size})", blob.digest));
            }
            let rows = [
                ("temporary file", &report.temporary),
                ("unfinished download", &report.resumable),
            ];
            for (what, files) in rows {
                for file in files {
                    let path = escape_path(Path::new(&file.path));
                    let size = human::bytes(file.size);
                    context.ui.debug(format_args!("{what} {path} ({size})"));
                }
            }
            context.ui.line(summary(&report))
        }
    }
}

fn summary(report: &Report) -> String {
    let done = if report.dry_run {
        "Would free"
    } else {
        "Freed"
    };
    let counts = [
        (report.blobs.len(), "blob"),
        (report.temporary.len(), "temporary file"),
        (report.resumable.len(), "unfinished download"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts
        .map(|(count, noun)| human::count(count as u64, noun))
        .collect();
    let Some((last, first)) = counts.split_last() else {
        return "Nothing to free".to_owned();
    };
    let counts = match first {
        [] => last.clone(),
        first => format!("{} and {last}", first.join(", ")),
    };
    format!("{done} {} in {counts}", human::bytes(report.bytes))
}
