//! `kit toc add`

use serde::Serialize;

use super::Toc;
use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        failure::{Failure, Kind},
        help::examples,
        human,
        values::{References, reference, references},
    },
    digest::Digest,
    ops::toc,
    progress::Silent,
    reference::Reference,
    store::Store,
};

/// Make a kit that has the same layers and a table of contents
///
/// A digest belongs to one manifest, so this is a new kit with a digest of its own. The name that
/// was given leads to it from then on, or the new names with --tag do. The kit as it was stays in
/// the store under its digest, until `kit remove` takes it. All layers are read. Layers that other
/// programs made get a table, too, compressed or not.
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Give a kit a table of contents", "kit toc add team/net:1.0"),
    ("Leave the name where it is, and give the new kit another", "kit toc add team/net:1.0 -t team/net:1.0-toc"),
    ("Get the new digest", "kit toc add team/net:1.0 --format '{{ .Digest }}'"),
]))]
pub(super) struct Args {
    /// The kit
    #[arg(value_name = "REFERENCE", value_parser = reference)]
    reference: Reference,
    /// What the new kit is called: REPOSITORY[:TAG[,TAG...]]; without it the name moves
    #[arg(short, long, value_name = "NAME", value_parser = references)]
    tag: Option<References>,
    #[command(flatten)]
    output: FormatArgs,
}

/// The result of `add` in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    reference: String,
    references: Vec<String>,
    old_digest: Digest,
    digest: Digest,
    /// Whether it had the right table of contents, so that it was left as it is.
    was_right: bool,
    toc: Toc,
    without: Vec<Without>,
}

/// A layer without a table in JSON.
#[derive(Serialize)]
struct Without {
    layer: Digest,
    problem: String,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let reference = args.reference.clone().or_latest();
    let names: Vec<Reference> = match &args.tag {
        Some(References(names)) => names.iter().cloned().map(Reference::or_latest).collect(),
        None => Vec::new(),
    };
    if let Some(name) = names.iter().find(|name| name.digest().is_some()) {
        return Err(
            Failure::new(Kind::Usage, format!("'{name}' is a digest, not a name"))
                .detail("given for --tag")
                .hint("a digest belongs to one content; name the kit as REPOSITORY:TAG"),
        );
    }
    let store = context.store("kit toc add")?;
    let progress = context.progress();
    let added = toc::add(&store, &reference, &names, &progress)
        .map_err(|error| Failure::from(error).about(&reference))?;
    drop(progress);
    for (layer, why) in &added.without {
        context
            .ui
            .warn(format_args!("layer {} has no table: {why}", layer.digest));
    }
    let report = Report {
        reference: reference.to_string(),
        references: added.names.iter().map(ToString::to_string).collect(),
        old_digest: added.old.digest,
        digest: added.new.digest,
        was_right: added.was_right(),
        toc: (&added.toc).into(),
        without: added
            .without
            .iter()
            .map(|(layer, why)| Without {
                layer: layer.digest,
                problem: why.to_string(),
            })
            .collect(),
    };
    match &args.output.format {
        Format::Json => context.ui.json(&report),
        Format::Template(template) => {
            let data = serde_json::to_value(&report).expect("a report is texts and numbers");
            context.ui.template(template, &data)
        }
        Format::Table => tell(&report, &store, context),
    }
}

/// Says which kit is which now.
fn tell(report: &Report, store: &Store, context: &Context) -> Result<(), Failure> {
    let Report {
        reference,
        digest,
        old_digest,
        ..
    } = report;
    let size = human::bytes(report.toc.size);
    if report.was_right {
        context.ui.status(format_args!(
            "{reference} has its table of contents ({size}): it is left as it is"
        ));
    } else {
        context.ui.status(format_args!(
            "Made a new kit with the same layers and a table of contents ({size})"
        ));
        for name in &report.references {
            context.ui.status(format_args!("{name} is {digest} now"));
        }
        let names = store.entries(&Silent)?;
        let names = names
            .iter()
            .filter(|it| it.descriptor.digest == *old_digest);
        let names: Vec<String> = names
            .filter(|it| it.tag().is_some())
            .filter_map(|it| Some(it.name.as_ref()?.to_string()))
            .collect();
        context.ui.status(if names.is_empty() {
            format!("Without the table it was {old_digest}, which stays until it is removed")
        } else {
            format!("Without the table it is {old_digest}: {}", names.join(", "))
        });
    }
    context.ui.line(format_args!("Model saved: {digest}"))
}
