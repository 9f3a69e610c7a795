//! `kit tag`

use serde::Serialize;

use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        failure::Failure,
        help::examples,
        values::{BadValue, References, reference, references},
    },
    digest::Digest,
    progress::Silent,
    reference::Reference,
};

/// Give a kit in the local store another name
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Call a kit by another tag, too", "kit tag team/net:1.0 team/net:prod"),
    ("Give it several tags at once", "kit tag team/net:1.0 team/net:prod,latest"),
    ("Name it for a registry", "kit tag team/net:1.0 registry.example/team/net:1.0"),
]))]
pub(crate) struct Args {
    /// The kit
    #[arg(value_parser = reference)]
    source: Reference,
    /// Its new name, with any number of tags: REPOSITORY[:TAG[,TAG...]]
    #[arg(value_parser = target)]
    target: References,
    #[command(flatten)]
    output: FormatArgs,
}

pub(super) fn target(text: &str) -> Result<References, BadValue> {
    let targets = references(text)?;
    if targets.0.iter().any(|target| target.digest().is_some()) {
        return Err(BadValue::new(format!("'{text}' is a digest, not a name"))
            .hint("a digest belongs to one content; name the kit as REPOSITORY:TAG"));
    }
    Ok(targets)
}

/// The result in JSON.
#[derive(Serialize)]
struct Report {
    source: String,
    digest: Digest,
    tagged: Vec<Tagged>,
}

#[derive(Serialize)]
struct Tagged {
    name: String,
    /// What had the name before.
    old: Option<Digest>,
}

/// Tags the kit.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store("kit tag")?;
    let about = |error| Failure::from(error).about(&args.source);
    let found = store.resolve(&args.source, &Silent).map_err(about)?;
    let changes = store
        .tag(&args.source, &args.target.0, &context.progress())
        .map_err(about)?;
    let digest = changes.first().and_then(|change| change.new);
    let tagged = args.target.0.iter().map(|target| {
        let name = target.clone().or_latest().to_string();
        let change = changes.iter().find(|change| change.name == name);
        let old = change.and_then(|change| change.old);
        Tagged { name, old }
    });
    let report = Report {
        source: args.source.clone().or_latest().to_string(),
        digest: digest.unwrap_or(found.descriptor.digest),
        tagged: tagged.collect(),
    };
    match &args.output.format {
        Format::Json => context.ui.json(&report),
        Format::Template(template) => {
            let data = serde_json::to_value(&report).expect("a report is texts");
            context.ui.template(template, &data)
        }
        Format::Table => {
            for Tagged { name, old } in &report.tagged {
                let source = &report.source;
                context
                    .ui
                    .line(format_args!("Modelkit {source} tagged as {name}"))?;
                if let Some(old) = old {
                    context.ui.status(format_args!("{name} was {old} before"));
                }
            }
            Ok(())
        }
    }
}
