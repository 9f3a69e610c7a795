//! `kit cat`

use crate::{
    cli::{
        Context,
        args::LimitArgs,
        failure::Failure,
        help::examples,
        network::{NetworkArgs, of_registry, open_anywhere},
        values::reference,
    },
    ops::{self, files, unpack::Sources},
    progress::Progress,
    reference::Reference,
};

/// Print one file of a kit
///
/// The layer that holds the file is read and checked as a whole before the first byte is printed. Of a
/// kit that is not in the local store the file alone is fetched from the registry that its name begins
/// with, and each part of it checked by the kit's table of contents.
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Print a file", "kit cat team/net:1.0 src/train.py"),
    ("Print the Kitfile", "kit cat team/net:1.0 Kitfile"),
    ("Print a file of a kit in a registry", "kit cat registry.example/team/net:1.0 config.json"),
    ("Use it without unpacking", "kit cat team/net:1.0 docs/labels.json | jq length"),
]))]
pub(crate) struct Args {
    /// The kit: a name, a name with a digest, or a digest alone
    #[arg(value_name = "REFERENCE", value_parser = reference)]
    reference: Reference,
    /// The path of the file, as `kit files` lists it
    path: String,
    #[command(flatten)]
    limits: LimitArgs,
    /// Of a kit in a registry that has no table of contents, fetch only the file, although nothing can
    /// vouch for it unless the whole layer is read
    #[arg(long)]
    allow_unverified: bool,
    #[command(flatten)]
    network: NetworkArgs,
}

/// Prints the content as it is, terminal or not: like `cat`.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store_within("kit cat", &args.limits.moved)?;
    let progress = context.progress();
    let reference = args.reference.clone().or_latest();
    let mut way = None;
    let both = (context, &progress as &dyn Progress);
    let kit = open_anywhere(&store, &reference, &args.network, &mut way, both)?;
    let sources = Sources {
        store: &store,
        streams: way.as_ref().map(|way| way.streams(&progress)),
        objects: None,
        unverified: args.allow_unverified,
    };
    let mut out = context.ui.stream();
    files::cat(&kit, &sources, &args.path, &mut out, &progress).map_err(|error| {
        let is_absent = matches!(error, ops::Error::NoSuchFile { .. });
        let failure = of_registry(way.as_ref(), error.into());
        match kit.kitfile.model_reference() {
            Some(model) if is_absent => {
                failure.hint(format!("the model is in another kit: {model}"))
            }
            _ => failure,
        }
    })?;
    // Standard output holds a last line back until it is told.
    Ok(std::io::Write::flush(&mut out).map_err(ops::Error::Output)?)
}
