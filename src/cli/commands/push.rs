//! `kit push`

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
        values::{References, references},
    },
    ops::{
        push::{self, Kit, Pushed, Pusher},
        transfer::Network,
    },
    reference::Reference,
};

/// Give kits to a registry
///
/// What the registry has is not sent, what another of its repositories has is taken from there.
/// An upload that broke off goes on where it stopped, in the same run or in the next.
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Push a kit by its name", "kit push registry.example/team/net:1.0"),
    ("Push several tags", "kit push registry.example/team/net:1.0,latest"),
    ("Push under another name", "kit push team/net:1.0 registry.example/team/net:1.0"),
    ("Push to a registry without TLS", "kit push --plain-http registry.example/team/net:1.0"),
    ("Get the digest in a script", "kit push registry.example/team/net:1.0 --format '{{ range .kits }}{{ .digest }}{{ end }}'"),
]))]
pub(crate) struct Args {
    /// The kit, by name or digest; several tags push several kits
    #[arg(value_name = "SOURCE", value_parser = references)]
    source: References,
    /// Its name in the registry, if that is another one; it may have several tags
    #[arg(value_name = "DESTINATION", value_parser = references)]
    destination: Option<References>,
    /// Push kits in the form of container images, for registries that take nothing else; `kit pull`
    /// makes kits of them again, other programs do not
    #[arg(long)]
    compat: bool,
    #[command(flatten)]
    output: FormatArgs,
    #[command(flatten)]
    upload: UploadArgs,
    #[command(flatten)]
    transfer: TransferArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

/// The result in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    kits: Vec<Row>,
}

/// A kit in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    source: String,
    references: Vec<String>,
    digest: String,
    image: Option<String>,
    was_there: bool,
    sent: usize,
    mounted: usize,
    present: usize,
    sent_bytes: u64,
    resumed_bytes: u64,
    parents: Vec<ParentRow>,
}

/// A kit in JSON that was pushed because another needs it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ParentRow {
    references: Vec<String>,
    digest: String,
}

/// Pushes the kits and prints their digests.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let kits = kits(args)?;
    let store = context.store("kit push")?;
    let target = &kits[0].targets[0];
    let options = args
        .upload
        .options(&args.transfer, args.compat, target, context)?;
    let stall = args.transfer.stall_timeout;
    let access = args.network.access(&kits[0].targets[0], stall, context)?;
    let network = Network::new()?;
    let progress = context.progress();
    let mut pusher = Pusher::new(&store, &network, &access, options, &progress);
    pusher.check(&kits)?;
    let mut reports = Vec::new();
    for kit in &kits {
        context.ui.status(announcement(kit));
        let done = pusher.push(kit).map_err(|error| failure(kit, error))?;
        context.ui.status(summary(&done.kit));
        if let Some(image) = done.kit.image {
            let digest = done.kit.digest;
            context
                .ui
                .status(format_args!("The image {image} holds the kit {digest}"));
        }
        if let Format::Table = args.output.format {
            let digest = done.kit.image.unwrap_or(done.kit.digest);
            context.ui.line(format_args!("Pushed {digest}"))?;
        }
        reports.push(done);
    }
    drop(pusher);
    drop(progress);
    print(args, &kits, &reports, context)
}

/// Returns what is pushed where.
fn kits(args: &Args) -> Result<Vec<Kit>, Failure> {
    let References(sources) = &args.source;
    let kits: Vec<Kit> = match &args.destination {
        Some(_) if sources.len() > 1 => {
            return Err(Failure::new(
                Kind::Usage,
                "several kits cannot be pushed under another name at once",
            )
            .hint("push one tag after the other"));
        }
        Some(References(targets)) => vec![Kit {
            source: sources[0].clone().or_latest(),
            targets: targets.iter().cloned().map(Reference::or_latest).collect(),
        }],
        None => {
            let kits = sources.iter().cloned().map(Reference::or_latest);
            kits.map(|source| Kit {
                targets: vec![source.clone()],
                source,
            })
            .collect()
        }
    };
    for kit in &kits {
        for target in &kit.targets {
            if target.repository().and_then(|it| it.registry()).is_none() {
                let message = format!("registry is required when pushing: {target} has none");
                return Err(Failure::new(Kind::Usage, message).hint(format!(
                    "name one: kit push {} registry.example/{}",
                    kit.source,
                    if target.repository().is_some() {
                        target.to_string()
                    } else {
                        "team/net:1.0".to_owned()
                    }
                )));
            }
            if let (Some(wanted), Some(named)) = (kit.source.digest(), target.digest())
                && wanted != named
            {
                let message = format!("{} cannot be called {target}", kit.source);
                return Err(Failure::new(Kind::Usage, message)
                    .hint("leave the digest out of the name: a kit has the one that it has"));
            }
            if target.digest().is_some() && kit.source.digest().is_none() {
                let message = format!("a kit cannot be called by a digest: {target}");
                return Err(Failure::new(Kind::Usage, message)
                    .hint("give it a name, as in `registry.example/team/net:1.0`"));
            }
        }
    }
    Ok(kits)
}

fn announcement(kit: &Kit) -> String {
    let targets: Vec<String> = kit.targets.iter().map(ToString::to_string).collect();
    if kit.targets.as_slice() == [kit.source.clone()] {
        format!("Pushing {}", kit.source)
    } else {
        format!("Pushing {} to {}", kit.source, targets.join(", "))
    }
}

fn failure(kit: &Kit, error: crate::ops::Error) -> Failure {
    let failure = Failure::from(error);
    let failure = match failure.kind {
        Kind::Interrupted => failure.hint("the same command goes on from there"),
        _ => failure,
    };
    failure.about(&kit.source)
}

/// Says what was sent and what was not.
pub(super) fn summary(pushed: &Pushed) -> String {
    if pushed.was_there {
        return "The registry has this kit: only its name was sent".to_owned();
    }
    let mut parts = vec![format!(
        "Sent {} ({})",
        human::count(pushed.sent as u64, "blob"),
        human::bytes(pushed.sent_bytes)
    )];
    if pushed.resumed > 0 {
        parts.push(format!(
            "{} were there from before",
            human::bytes(pushed.resumed)
        ));
    }
    if pushed.mounted > 0 {
        parts.push(format!("{} taken from other repositories", pushed.mounted));
    }
    if pushed.present > 0 {
        parts.push(format!("{} already there", pushed.present));
    }
    parts.join(", ")
}

fn print(
    args: &Args,
    kits: &[Kit],
    done: &[push::Report],
    context: &Context,
) -> Result<(), Failure> {
    let rows = kits.iter().zip(done).map(
        |(
            kit,
            push::Report {
                kit: pushed,
                parents,
            },
        )| Row {
            source: kit.source.to_string(),
            references: pushed.targets.iter().map(ToString::to_string).collect(),
            digest: pushed.digest.to_string(),
            image: pushed.image.map(|it| it.to_string()),
            was_there: pushed.was_there,
            sent: pushed.sent,
            mounted: pushed.mounted,
            present: pushed.present,
            sent_bytes: pushed.sent_bytes,
            resumed_bytes: pushed.resumed,
            parents: parents
                .iter()
                .map(|parent| ParentRow {
                    references: parent.targets.iter().map(ToString::to_string).collect(),
                    digest: parent.digest.to_string(),
                })
                .collect(),
        },
    );
    let report = Report {
        kits: rows.collect(),
    };
    match &args.output.format {
        Format::Table => Ok(()),
        Format::Json => context.ui.json(&report),
        Format::Template(template) => {
            let data = serde_json::to_value(&report).expect("a report is texts and numbers");
            context.ui.template(template, &data)
        }
    }
}
