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
    ops::{look::Model, toc},
    reference::Reference,
};

/// Print the Kitfile of a kit, or a part of it
///
/// With the whole Kitfile, it is told what the models are, as far as the beginnings of GGUF and
/// safetensors files say.
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
    let command = "kit info";
    let is_for_people = matches!(args.output.format, Format::Table);
    let (kit, models) = if is_for_people && args.filter.is_empty() {
        let (_, kit, models) = args.place.look_into(&args.reference, command, context)?;
        (kit, models)
    } else {
        let (_, kit) = args.place.look(&args.reference, command, context)?;
        (kit, Vec::new())
    };
    print(args, &kit.kitfile, context)?;
    for model in &models {
        context.ui.status(describe(model));
    }
    if is_for_people && let Some(toc) = toc::descriptor(&kit.stored.manifest) {
        let size = human::bytes(toc.size);
        context
            .ui
            .status(format_args!("Table of contents: {} ({size})", toc.digest));
    }
    Ok(())
}

/// Returns what is known of a model as a line.
fn describe(model: &Model) -> String {
    let facts = &model.facts;
    let mut words = vec![model.format.to_string()];
    words.extend(facts.architecture.clone());
    let parameters = facts.parameters.map(human::large);
    words.extend(parameters.map(|count| format!("{count} parameters")));
    let kind = facts.quantization.as_deref().or_else(|| facts.main_type());
    words.extend(kind.map(str::to_owned));
    let context = facts.context_length.map(human::number);
    words.extend(context.map(|count| format!("{count} tokens of context")));
    words.extend(facts.tensors.map(|count| human::count(count, "tensor")));
    let files = match model.files {
        1 => String::new(),
        files => format!(" ({})", human::count(files, "file")),
    };
    let doubt = if model.verified {
        ""
    } else {
        " (not verified)"
    };
    format!("Model {}{files}: {}{doubt}", model.path, words.join(", "))
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
