//! `kit info`

use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        escape::escape_lines,
        failure::{Failure, Kind},
        help::examples,
        human,
        place::PlaceArgs,
        values::reference,
    },
    kitfile::Kitfile,
    ops::toc,
    reference::Reference,
};

/// Print the Kitfile of a kit, or a part of it
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Print the Kitfile", "kit info team/net:1.0"),
    ("Print one part of it", "kit info team/net:1.0 --filter model.parts"),
    ("Go into lists by position, from 0", "kit info team/net:1.0 -f datasets.0.path"),
    ("Look at a kit in a registry", "kit info --remote registry.example/team/net:1.0"),
    ("Get it as JSON", "kit info team/net:1.0 --format json"),
]))]
pub(crate) struct Args {
    /// The kit
    #[arg(value_name = "REFERENCE", value_parser = reference)]
    reference: Reference,
    /// Print only this part: names of fields and positions in lists, with dots between them
    #[arg(
        short,
        long,
        value_name = "NODE",
        default_value = "",
        hide_default_value = true
    )]
    filter: String,
    #[command(flatten)]
    output: FormatArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Prints what was asked for, a text as it is and everything else as YAML.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let (_, kit) = args.place.look(&args.reference, "kit info", context)?;
    print(args, &kit.kitfile, context)?;
    if let (Format::Table, Some(toc)) = (&args.output.format, toc::descriptor(&kit.stored.manifest))
    {
        let size = human::bytes(toc.size);
        context
            .ui
            .status(format_args!("Table of contents: {} ({size})", toc.digest));
    }
    Ok(())
}

fn print(args: &Args, kitfile: &Kitfile, context: &Context) -> Result<(), Failure> {
    if args.filter.contains('[') {
        return Err(
            Failure::new(Kind::Usage, format!("'{}' is not a path", args.filter))
                .detail("given for --filter")
                .hint("positions stand between dots: datasets.0.path"),
        );
    }
    let node = kitfile.node(&args.filter).map_err(|error| {
        let failure = Failure::of(Kind::NotFound, &error);
        match &error.suggestion {
            Some(name) => failure.hint(format!("did you mean '{name}'?")),
            None => failure,
        }
    })?;
    match &args.output.format {
        Format::Json => context.ui.json(&node),
        Format::Template(template) => {
            let data = serde_json::to_value(&node).expect("a Kitfile is maps, lists and scalars");
            context.ui.template(template, &data)
        }
        Format::Table => {
            let text = node.as_text().map_or_else(|| node.to_yaml(), str::to_owned);
            let end = if text.ends_with('\n') { "" } else { "\n" };
            context.ui.out(format_args!("{}{end}", escape_lines(&text)))
        }
    }
}
