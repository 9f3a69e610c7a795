//! `kit toc`

mod add;
mod show;

use serde::Serialize;

use crate::{
    cli::{Context, failure::Failure, help::examples},
    digest::Digest,
    toc::TocRef,
};

/// Show the table of contents of a kit, or make a kit that has one
///
/// By it one file, or what has changed, is fetched out of a kit in a registry, and checked, without
/// the rest. `kit pack` gives one to kits of 64 MiB and more.
#[derive(clap::Args)]
#[command(disable_help_subcommand = true, after_help = examples(&[
    ("See what it tells of each layer", "kit toc show team/net:1.0"),
    ("Make a kit that has one of a kit that has none", "kit toc add team/net:1.0"),
]))]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    Show(show::Args),
    Add(add::Args),
}

/// Shows or adds.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    match &args.action {
        Action::Show(args) => show::run(args, context),
        Action::Add(args) => add::run(args, context),
    }
}

/// What the manifest says of a table of contents, in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Toc {
    digest: Digest,
    size: u64,
    root_digest: Digest,
    root_size: u64,
}

impl From<&TocRef> for Toc {
    fn from(toc: &TocRef) -> Self {
        Self {
            digest: toc.digest,
            size: toc.size,
            root_digest: toc.root_digest,
            root_size: toc.root_size,
        }
    }
}
