//! `kit load`

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        failure::{Failure, Kind},
        help::examples,
        human,
        values::{BUNDLE_LIMITS, Moved, References, bundle_limit, limit_help, references},
    },
    ops::load::{self, Options, Report},
    reference::Reference,
};

/// Take kits out of an OCI image layout into the local store
///
/// The layout is a tar file or a folder, as `kit save` and other OCI tools write them. Every byte
/// is checked. A blob of the store that was damaged is replaced.
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Load all kits of a file under their own names", "kit load net.tar"),
    ("Load one of several", "kit load net/:team/net:1.0"),
    ("Load a kit that has only a tag, under a full name", "kit load layout:v1 -t team/net:1.0,latest"),
]))]
pub(crate) struct Args {
    /// Tar file or folder, and the name, tag or digest of one kit in it
    #[arg(value_name = "PATH[:NAME]", value_hint = clap::ValueHint::AnyPath)]
    source: String,
    /// Name that the kit gets, with any number of tags: REPOSITORY[:TAG[,TAG...]]
    #[arg(short, long, value_name = "NAME", value_parser = references)]
    tag: Vec<References>,
    #[arg(
        long,
        value_name = "NAME=NUMBER",
        value_parser = bundle_limit,
        help = limit_help("file", BUNDLE_LIMITS)
    )]
    limit: Vec<Moved>,
    #[command(flatten)]
    output: FormatArgs,
}

/// Loads, and prints a line a name.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    if args.source == "-" {
        return Err(
            Failure::new(Kind::Usage, "a kit cannot be loaded from standard input").hint(
                "write it to a file first: it is read in another order than it was written in",
            ),
        );
    }
    let (path, name) = split(&args.source)?;
    let names = args.tag.iter().flat_map(|References(names)| names);
    let options = Options {
        name,
        names: names.cloned().map(Reference::or_latest).collect(),
    };
    let store = context.store_within("kit load", &args.limit)?;
    let progress = context.progress();
    let report = load::run(&store, &path, &options, &progress)?;
    drop(progress);
    print(&args.output.format, &report, context)
}

/// Takes the argument apart. A path may hold colons: the longest one that exists counts.
fn split(source: &str) -> Result<(PathBuf, Option<String>), Failure> {
    let is_there = |path: &str| Path::new(path).symlink_metadata().is_ok();
    if is_there(source) {
        return Ok((source.into(), None));
    }
    let colons = source.rmatch_indices(':');
    let mut parts = colons.map(|(at, _)| (&source[..at], &source[at + 1..]));
    match parts.find(|(path, _)| is_there(path)) {
        Some((path, "")) => Ok((path.into(), None)),
        Some((path, name)) => Ok((path.into(), Some(name.to_owned()))),
        None => Err(Failure::new(
            Kind::NotFound,
            format!("there is no file or folder `{source}`"),
        )),
    }
}

fn print(format: &Format, report: &Report, context: &Context) -> Result<(), Failure> {
    let ui = &context.ui;
    if report.healed > 0 {
        let count = human::count(report.healed as u64, "blob");
        ui.status(format_args!(
            "Healed {count} that had been damaged in the store"
        ));
    }
    ui.status(format_args!(
        "{} stored, {} there already",
        human::count(report.stored as u64, "blob"),
        report.present
    ));
    let document: Value = json!({
        "kits": report
            .kits
            .iter()
            .map(|(kit, names)| json!({
                "digest": kit.digest.to_string(),
                "references": names.iter().map(ToString::to_string).collect::<Vec<_>>(),
            }))
            .collect::<Vec<_>>(),
        "stored": report.stored,
        "healed": report.healed,
        "present": report.present,
    });
    match format {
        Format::Json => ui.json(&document),
        Format::Template(template) => ui.template(template, &document),
        Format::Table => {
            for (kit, names) in &report.kits {
                for name in names {
                    ui.line(format_args!("Loaded {name} (digest {})", kit.digest))?;
                }
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path_that_exists_is_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        for name in ["a", "a:b", "c"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        for (source, path, name) in [
            ("a", "a", None),
            ("a:", "a", None),
            ("a:b", "a:b", None),
            ("a:b:team/net:1", "a:b", Some("team/net:1")),
            ("c:team/net:1", "c", Some("team/net:1")),
            ("c:sha256:00", "c", Some("sha256:00")),
        ] {
            assert_eq!(
                split(&format!("{root}/{source}")).unwrap(),
                (dir.path().join(path), name.map(str::to_owned)),
                "{source}"
            );
        }
        assert_eq!(split("absent:x").unwrap_err().kind, Kind::NotFound);
    }
}
