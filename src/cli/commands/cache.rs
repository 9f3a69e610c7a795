//! `kit cache`

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::cli::{
    Context,
    args::{Format, FormatArgs},
    escape::escape_path,
    failure::{Failure, Kind},
    help::examples,
    human,
};

/// Show or empty the cache, the folder for what can be made again
#[derive(clap::Args)]
#[command(disable_help_subcommand = true, after_help = examples(&[
    ("See how large the cache is", "kit cache info"),
    ("Empty it", "kit cache clear"),
]))]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    Info(Info),
    Clear(Clear),
}

/// Print the size of the cache and of what is in it
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("See how large the cache is", "kit cache info"),
    ("Get the size in bytes", "kit cache info --format '{{ .Size }}'"),
]))]
struct Info {
    #[command(flatten)]
    output: FormatArgs,
}

/// Empty the cache; the store is not touched
#[derive(clap::Args)]
#[command(after_help = examples(&[("Empty the cache", "kit cache clear")]))]
struct Clear {}

/// Something in the cache folder.
struct Entry {
    path: PathBuf,
    size: u64,
}

/// Prints or empties the cache.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let folder = context.settings.home()?.join("cache");
    let entries = entries(&folder).map_err(|error| {
        let path = escape_path(&folder);
        Failure::new(Kind::Failed, format!("cannot read the cache {path}")).because(&error)
    })?;
    let total: u64 = entries.iter().map(|entry| entry.size).sum();
    match &args.action {
        Action::Info(info) => print(&info.output.format, &folder, &entries, total, context),
        Action::Clear(Clear {}) => {
            for entry in &entries {
                remove(&entry.path).map_err(|error| {
                    let path = escape_path(&entry.path);
                    Failure::new(Kind::Failed, format!("cannot remove {path}")).because(&error)
                })?;
            }
            context
                .ui
                .status(format_args!("Freed {}", human::bytes(total)));
            Ok(())
        }
    }
}

fn print(
    format: &Format,
    folder: &Path,
    entries: &[Entry],
    total: u64,
    context: &Context,
) -> Result<(), Failure> {
    let name = |entry: &Entry| {
        entry
            .path
            .file_name()
            .map(Path::new)
            .map(escape_path)
            .unwrap_or_default()
    };
    let document = json!({
        "path": folder.to_string_lossy(),
        "size": total,
        "entries": entries
            .iter()
            .map(|entry| json!({ "name": name(entry), "size": entry.size }))
            .collect::<Vec<_>>(),
    });
    match format {
        Format::Json => context.ui.json(&document),
        Format::Template(template) => context.ui.template(template, &document),
        Format::Table if entries.is_empty() => context.ui.line("Cache is currently empty"),
        Format::Table => {
            let total = human::bytes(total);
            let mut text = format!("Total size of cache directory: {total}\nCache contents:\n");
            for entry in entries {
                let size = human::bytes(entry.size);
                // Writing to a string cannot fail.
                let _ = writeln!(text, "  ./{}    {size}", name(entry));
            }
            context.ui.out(text)
        }
    }
}

/// Returns what is directly in `folder`, sorted; nothing if there is no such folder.
fn entries(folder: &Path) -> io::Result<Vec<Entry>> {
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut entries = Vec::new();
    for entry in listing {
        let path = entry?.path();
        let size = size(&path)?;
        entries.push(Entry { path, size });
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

/// Returns the bytes in the files at and below `path`. Links count for nothing, and what vanishes
/// meanwhile neither.
fn size(path: &Path) -> io::Result<u64> {
    let mut total = 0;
    let mut pending = vec![path.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                pending.push(entry?.path());
            }
        } else if metadata.is_file() {
            total += metadata.len();
        }
    }
    Ok(total)
}

/// Removes a file, a link itself, or a folder with all that is in it.
fn remove(path: &Path) -> io::Result<()> {
    let result = if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()), // Someone else was faster.
    }
}
