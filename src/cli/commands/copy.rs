//! `kit copy`

use serde::Serialize;

use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        failure::{Failure, Kind},
        help::examples,
        human,
        network::{NetworkArgs, TransferArgs},
        upload::UploadArgs,
        values::{BUNDLE_LIMITS, BadValue, Moved, bundle_limit, digest, limit_help, references},
    },
    digest::Digest,
    ops::{
        copy::{self, Options, Place, Report},
        transfer::Network,
    },
    reference::Reference,
};

/// Copy a kit from one registry to another
///
/// Byte for byte, with the same digest, and without a copy in the store. What the target has is not
/// sent, and within one registry nothing is. Each registry is asked with its own login. Either side
/// may be an OCI image layout, `oci:DIR:NAME`. Images and other artifacts are copied as well as kits.
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Copy to another registry", "kit copy registry.example/team/net:1.0 other.example/prod/net:1.0"),
    ("Copy with signatures and whatever else refers to it", "kit copy --with-referrers registry.example/team/net:1.0 other.example/prod/net:1.0"),
    ("Give it several tags there", "kit copy registry.example/team/net:1.0 other.example/prod/net:1.0,latest"),
    ("Take it along in a folder", "kit copy registry.example/team/net:1.0 oci:folder:1.0"),
    ("Bring it from there to a registry", "kit copy oci:folder:1.0 registry.example/team/net:1.0"),
    ("See what would be sent", "kit copy --dry-run registry.example/team/net:1.0 other.example/prod/net:1.0"),
]))]
pub(crate) struct Args {
    #[arg(
        value_parser = places,
        help = "What is copied: a name with a registry, or oci:DIR[:NAME], a folder or a tar file"
    )]
    source: Places,
    #[arg(
        value_parser = places,
        help = "What it is called there: a name with a registry, which may have several tags, or oci:DIR[:NAME], a folder"
    )]
    destination: Places,
    /// Copy signatures and all else that refers to it, too
    #[arg(long)]
    with_referrers: bool,
    /// The digest that it must have; anything else is not copied
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    expect_digest: Option<Digest>,
    /// Tell what would be copied, and copy nothing
    #[arg(long)]
    dry_run: bool,
    #[arg(
        long,
        value_name = "NAME=NUMBER",
        value_parser = bundle_limit,
        help = limit_help("file", BUNDLE_LIMITS)
    )]
    limit: Vec<Moved>,
    #[command(flatten)]
    output: FormatArgs,
    #[command(flatten)]
    upload: UploadArgs,
    #[command(flatten)]
    transfer: TransferArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

/// Names of one repository, or one place in a layout.
#[derive(Clone, Debug)]
struct Places(Vec<Place>);

/// Reads `oci:DIR[:NAME]`, or names.
fn places(text: &str) -> Result<Places, BadValue> {
    let Some(layout) = text.strip_prefix("oci:") else {
        let names = references(text)?.0.into_iter();
        return Ok(Places(names.map(Place::Registry).collect()));
    };
    // A drive's letter is part of the path.
    let drive = match layout.as_bytes() {
        [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic() => 2,
        _ => 0,
    };
    let (path, name) = match layout[drive..].split_once(':') {
        Some((path, name)) => (&layout[..drive + path.len()], Some(name)),
        None => (layout, None),
    };
    if path.is_empty() || name.is_some_and(str::is_empty) {
        return Err(BadValue::new(format!("'{text}' is no layout"))
            .hint("write it as oci:DIR or oci:DIR:NAME"));
    }
    Ok(Places(vec![Place::Layout {
        path: path.into(),
        name: name.map(str::to_owned),
    }]))
}

/// The result in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    source: String,
    references: Vec<String>,
    digest: String,
    media_type: String,
    dry_run: bool,
    was_there: bool,
    manifests: usize,
    referrers: usize,
    sent: usize,
    mounted: usize,
    present: usize,
    sent_bytes: u64,
    resumed_bytes: u64,
}

/// Copies, and prints the digest.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let source = source(args)?;
    let targets = targets(args, &source)?;
    // A login in the environment is for where is written to.
    let named = targets.iter().chain([&source]).find_map(|it| match it {
        Place::Registry(reference) => Some(reference.clone()),
        Place::Layout { .. } => None,
    });
    let nowhere = Reference::from(Digest::of(b""));
    let named = named.as_ref().unwrap_or(&nowhere);
    let stall = args.transfer.stall_timeout;
    let access = args.network.access(named, stall, context)?;
    let mut push = args.upload.options(&args.transfer, false, named, context)?;
    push.compat = false;
    let options = Options {
        expected: args.expect_digest,
        with_referrers: args.with_referrers,
        dry_run: args.dry_run,
        limits: Moved::all(&args.limit),
        source,
        targets,
        push,
    };
    let shown: Vec<String> = options.targets.iter().map(ToString::to_string).collect();
    context.ui.status(format_args!(
        "Copying {} to {}",
        options.source,
        shown.join(", ")
    ));
    let network = Network::new()?;
    let progress = context.progress();
    let report = copy::run(&network, &access, &options, &progress);
    drop(progress);
    let report = report?;
    context.ui.status(summary(&report, args.dry_run));
    print(args, &options, &report, shown, context)
}

fn local(name: &Reference, hint: String) -> Failure {
    let message = format!("{name} names no registry");
    Failure::new(Kind::Usage, message).hint(hint)
}

fn has_registry(name: &Reference) -> bool {
    name.repository().is_some_and(|it| it.registry().is_some())
}

fn source(args: &Args) -> Result<Place, Failure> {
    match args.source.0.as_slice() {
        [Place::Registry(name)] if !has_registry(name) => Err(local(
            name,
            format!("`kit push {name} registry.example/team/net:1.0` sends a kit of the store"),
        )),
        [Place::Registry(name)] => Ok(Place::Registry(name.clone().or_latest())),
        [only] => Ok(only.clone()),
        _ => Err(
            Failure::new(Kind::Usage, "several kits cannot be copied at once")
                .hint("copy one tag after the other"),
        ),
    }
}

fn targets(args: &Args, source: &Place) -> Result<Vec<Place>, Failure> {
    let mut targets = Vec::new();
    for target in &args.destination.0 {
        targets.push(match target {
            Place::Registry(name) if !has_registry(name) => {
                return Err(local(
                    name,
                    "`kit pull` brings a kit into the store, `kit load` one of a layout".to_owned(),
                ));
            }
            Place::Registry(name) => {
                let known = match source {
                    Place::Registry(source) => source.digest(),
                    Place::Layout { .. } => None,
                };
                let expected = args.expect_digest.or(known);
                if name.digest().is_some() && name.digest() != expected {
                    let message = format!("a kit cannot be called by a digest: {name}");
                    return Err(Failure::new(Kind::Usage, message)
                        .hint("give it a name, as in `registry.example/team/net:1.0`"));
                }
                Place::Registry(name.clone().or_latest())
            }
            Place::Layout { path, name } => Place::Layout {
                path: path.clone(),
                // Without a name of its own it keeps the one it has, as with `kit save`.
                name: name.clone().or_else(|| match source {
                    Place::Registry(reference) => {
                        reference.tag().is_some().then(|| reference.to_string())
                    }
                    Place::Layout { name, .. } => name.clone(),
                }),
            },
        });
    }
    if let ([only], true) = (targets.as_slice(), targets.contains(source)) {
        let message = format!("{only} would be copied to itself");
        return Err(Failure::new(Kind::Usage, message));
    }
    Ok(targets)
}

/// Says what was sent and what was not.
fn summary(report: &Report, dry_run: bool) -> String {
    let moved = &report.moved;
    if moved.was_there && moved.sent == 0 && moved.mounted == 0 {
        let of = if report.referrers > 0 {
            format!(
                ", with {}",
                human::count(report.referrers as u64, "referrer")
            )
        } else {
            String::new()
        };
        return format!("All of it is there already{of}");
    }
    let mut parts = vec![format!(
        "{} {} ({})",
        if dry_run { "Would send" } else { "Sent" },
        human::count(moved.sent as u64, "blob"),
        human::bytes(moved.sent_bytes)
    )];
    if moved.resumed > 0 {
        let resumed = human::bytes(moved.resumed);
        parts.push(format!("{resumed} were there from before"));
    }
    if moved.mounted > 0 {
        parts.push(format!("{} taken from the other repository", moved.mounted));
    }
    if moved.present > 0 {
        parts.push(format!("{} already there", moved.present));
    }
    if report.referrers > 0 {
        parts.push(human::count(report.referrers as u64, "referrer"));
    }
    parts.join(", ")
}

fn print(
    args: &Args,
    options: &Options,
    report: &Report,
    references: Vec<String>,
    context: &Context,
) -> Result<(), Failure> {
    let moved = &report.moved;
    let digest = report.descriptor.digest;
    let document = Document {
        source: options.source.to_string(),
        references,
        digest: digest.to_string(),
        media_type: report.descriptor.media_type.clone(),
        dry_run: args.dry_run,
        was_there: moved.was_there,
        manifests: moved.manifests,
        referrers: report.referrers,
        sent: moved.sent,
        mounted: moved.mounted,
        present: moved.present,
        sent_bytes: moved.sent_bytes,
        resumed_bytes: moved.resumed,
    };
    match &args.output.format {
        Format::Table if args.dry_run => context.ui.line(format_args!("Would copy {digest}")),
        Format::Table => context.ui.line(format_args!("Copied {digest}")),
        Format::Json => context.ui.json(&document),
        Format::Template(template) => {
            let data = serde_json::to_value(&document).expect("a report is texts and numbers");
            context.ui.template(template, &data)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_and_names_are_told_apart() {
        let layout = |path: &str, name: Option<&str>| Place::Layout {
            path: path.into(),
            name: name.map(str::to_owned),
        };
        for (text, expected) in [
            ("oci:a/b", layout("a/b", None)),
            ("oci:a/b:1.0", layout("a/b", Some("1.0"))),
            (
                "oci:/a:r.example/net:1",
                layout("/a", Some("r.example/net:1")),
            ),
            ("oci:C:\\a:1", layout("C:\\a", Some("1"))),
            (
                "r.example/net:1",
                Place::Registry(Reference::parse("r.example/net:1").unwrap()),
            ),
        ] {
            assert_eq!(places(text).unwrap().0, [expected], "{text}");
        }
        assert!(places("oci:").is_err() && places("oci:a:").is_err());
        assert_eq!(places("r.example/net:1,2").unwrap().0.len(), 2);
    }
}
