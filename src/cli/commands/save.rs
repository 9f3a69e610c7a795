//! `kit save`

use std::{
    io::{self, IsTerminal as _},
    path::{MAIN_SEPARATOR, Path, PathBuf},
};

use serde_json::json;

use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        failure::{Failure, Kind},
        help::examples,
        hints::listed,
        human,
        values::{References, references},
    },
    ops::{
        chain::Left,
        save::{self, Report, Target},
    },
    reference::Reference,
};

/// Write kits as an OCI image layout, to be carried where there is no registry
///
/// The layout is one tar file, or a folder that other OCI tools can read. Digests stay as they
/// are. `kit load` takes the kits into another store.
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Write a kit to a tar file", "kit save team/net:1.0 -o net.tar"),
    ("Write two tags to a new folder", "kit save team/net:1.0,prod -o net/"),
    ("Send a kit to another machine", "kit save team/net:1.0 -o - | ssh gpu 'cat > net.tar && kit load net.tar'"),
]))]
pub(crate) struct Args {
    /// The kits: names, names with a digest, or digests alone
    #[arg(required = true, value_name = "REFERENCE", value_parser = references)]
    references: Vec<References>,
    /// File or folder to write (a folder if it ends with a slash or is there already), or - for a tar file on standard output
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// What to write whatever the path looks like: tar or dir
    #[arg(long, value_name = "LAYOUT", hide_possible_values = true)]
    layout: Option<Layout>,
    #[command(flatten)]
    format: FormatArgs,
}

/// The form of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Layout {
    /// One tar file
    Tar,
    /// A folder
    Dir,
}

/// Writes the kits and prints where they are.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let Some(path) = &args.output else {
        return Err(
            Failure::new(Kind::Usage, "it is not said where to save to").hint(
                "-o FILE.tar writes a tar file, -o DIR/ a folder, -o - a tar file to standard output",
            ),
        );
    };
    let is_stdout = path == Path::new("-");
    let target = match args.layout {
        Some(Layout::Dir) if is_stdout => {
            return Err(Failure::new(
                Kind::Usage,
                "a folder cannot be written to standard output",
            ));
        }
        None | Some(Layout::Tar) if is_stdout => stdout(&args.format.format)?,
        Some(Layout::Tar) => Target::Tar(path.clone()),
        None if !means_folder(path) => Target::Tar(path.clone()),
        _ => Target::Folder(path.clone()),
    };
    let names: Vec<Reference> = args
        .references
        .iter()
        .flat_map(|References(names)| names.iter().cloned().map(Reference::or_latest))
        .collect();
    let store = context.store("kit save")?;
    let progress = context.progress();
    let report = save::run(&store, &names, target, &progress).map_err(|error| {
        let failure = Failure::from(error);
        match names.as_slice() {
            [only] => failure.about(only),
            _ => failure,
        }
    })?;
    drop(progress);
    print(args, path, is_stdout, &report, context)
}

fn means_folder(path: &Path) -> bool {
    let text = path.as_os_str().as_encoded_bytes();
    text.ends_with(b"/") || text.ends_with(&[MAIN_SEPARATOR as u8]) || path.is_dir()
}

fn stdout(format: &Format) -> Result<Target, Failure> {
    if !matches!(format, Format::Table) {
        return Err(Failure::new(
            Kind::Usage,
            "standard output cannot take both the kits and a report: --format needs another -o",
        ));
    }
    if io::stdout().is_terminal() {
        return Err(
            Failure::new(Kind::Usage, "a tar file is nothing for a terminal")
                .hint("redirect it with > FILE or | COMMAND, or name a file with -o FILE"),
        );
    }
    Ok(Target::Stream(Box::new(io::stdout())))
}

fn names(report: &Report) -> String {
    let names = report.kits.iter().map(|(name, _)| name.to_string());
    names.collect::<Vec<_>>().join(" ")
}

fn print(
    args: &Args,
    path: &Path,
    is_stdout: bool,
    report: &Report,
    context: &Context,
) -> Result<(), Failure> {
    for (name, descriptor) in &report.kits {
        context
            .ui
            .status(format_args!("Saved {name} (digest {})", descriptor.digest));
    }
    context.ui.status(format_args!(
        "Wrote {} of {}",
        human::count(report.blobs as u64, "blob"),
        human::bytes(report.bytes)
    ));
    let mut parents: Vec<String> = Vec::new();
    for Left {
        child,
        parents: left,
    } in &report.left
    {
        let left: Vec<String> = left.iter().map(ToString::to_string).collect();
        context.ui.warn(format_args!(
            "the model of {child} is in {}, which is not saved with it",
            listed(&left)
        ));
        parents.extend(left);
    }
    parents.sort();
    parents.dedup();
    if !parents.is_empty() {
        context.ui.hint(format_args!(
            "name that as well: `kit save {} {} -o {}`",
            names(report),
            parents.join(" "),
            path.display()
        ));
    }
    let document = json!({
        "path": path.to_string_lossy(),
        "kits": report
            .kits
            .iter()
            .map(|(name, kit)| json!({ "reference": name.to_string(), "digest": kit.digest.to_string() }))
            .collect::<Vec<_>>(),
        "parentsLeft": parents,
        "blobs": report.blobs,
        "bytes": report.bytes,
    });
    match &args.format.format {
        Format::Table if is_stdout => Ok(()),
        Format::Table => context.ui.line(path.display()),
        Format::Json => context.ui.json(&document),
        Format::Template(template) => context.ui.template(template, &document),
    }
}
