//! `kit cat`

use crate::{
    cli::{
        Context, args::LimitArgs, failure::Failure, help::examples, hints::not_here,
        values::reference,
    },
    ops::{self, files, kit},
    reference::Reference,
};

/// Print one file of a kit
///
/// The layer that holds the file is read and checked as a whole before the first byte is printed.
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Print a file", "kit cat team/net:1.0 src/train.py"),
    ("Print the Kitfile", "kit cat team/net:1.0 Kitfile"),
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
}

/// Prints the content as it is, terminal or not: like `cat`.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store_within("kit cat", &args.limits.moved)?;
    let progress = context.progress();
    let reference = args.reference.clone().or_latest();
    let kit =
        kit::open(&store, &reference, &progress).map_err(|error| not_here(error, &reference))?;
    let mut out = context.ui.stream();
    files::cat(&kit, &store, &args.path, &mut out, &progress).map_err(|error| {
        let is_absent = matches!(error, ops::Error::NoSuchFile { .. });
        let failure = Failure::from(error);
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
