//! `kit inspect`

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        failure::{Failure, Kind},
        help::examples,
        place::PlaceArgs,
        values::reference,
    },
    digest::Digest,
    oci::{Manifest, annotation},
    ops::{look::Model, toc},
    progress::Silent,
    reference::Reference,
    store::Store,
};

/// Print everything that is known of a kit, as JSON
///
/// Of its models that is what the beginnings of GGUF and safetensors files say.
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Print digest, Kitfile and manifest", "kit inspect team/net:1.0"),
    ("Look at a kit in a registry", "kit inspect -r registry.example/team/net:1.0"),
    ("Get the digest alone", "kit inspect team/net:1.0 --format '{{ .Digest }}'"),
]))]
pub(crate) struct Args {
    /// The kit
    #[arg(value_name = "REFERENCE", value_parser = reference)]
    reference: Reference,
    #[command(flatten)]
    output: FormatArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

/// What is printed: the keys of the reference, then ours.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    digest: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    cli_version: Option<&'a str>,
    kitfile: &'a RawValue,
    /// The config, where that is something else than the Kitfile.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<&'a RawValue>,
    manifest: &'a RawValue,
    references: Vec<String>,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    toc: Option<Toc>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    models: Vec<Looked<'a>>,
}

/// What the files of a model say.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Looked<'a> {
    path: &'a str,
    files: u64,
    format: &'static str,
    architecture: Option<&'a str>,
    parameters: Option<u64>,
    tensors: Option<u64>,
    types: &'a BTreeMap<String, u64>,
    quantization: Option<&'a str>,
    context_length: Option<u64>,
    verified: bool,
}

impl<'a> Looked<'a> {
    fn at(model: &'a Model) -> Self {
        let facts = &model.facts;
        Self {
            path: &model.path,
            files: model.files,
            format: model.format.name(),
            architecture: facts.architecture.as_deref(),
            parameters: facts.parameters,
            tensors: facts.tensors,
            types: &facts.types,
            quantization: facts.quantization.as_deref(),
            context_length: facts.context_length,
            verified: model.verified,
        }
    }
}

/// The table of contents that the manifest names.
#[derive(Serialize)]
struct Toc {
    digest: Digest,
    size: u64,
}

/// Prints the documents of the kit as they are stored, in our indentation.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let command = "kit inspect";
    // Who wants the digest alone need not wait for more.
    let wants_models = match &args.output.format {
        Format::Table | Format::Json => true,
        Format::Template(template) => template.may_use("odels"),
    };
    let (descriptor, kit, models) = if wants_models {
        args.place.look_into(&args.reference, command, context)?
    } else {
        let (descriptor, kit) = args.place.look(&args.reference, command, context)?;
        (descriptor, kit, Vec::new())
    };
    let manifest = &kit.stored.manifest;
    let made = (!kit.config_is_kitfile()).then(|| kit.kitfile.to_config());
    let config = made.is_some().then(|| raw(&kit.config)).transpose()?;
    let document = Document {
        digest: descriptor.digest,
        cli_version: manifest
            .annotations
            .get(annotation::CLI_VERSION)
            .map(String::as_str),
        kitfile: raw(made.as_deref().unwrap_or(&kit.config))?,
        config,
        manifest: raw(&kit.stored.bytes)?,
        references: if args.place.remote {
            vec![args.reference.clone().or_latest().to_string()]
        } else {
            names(&context.store(command)?, descriptor.digest)?
        },
        size: size(manifest),
        toc: toc::descriptor(manifest).map(|toc| Toc {
            digest: toc.digest,
            size: toc.size,
        }),
        models: models.iter().map(Looked::at).collect(),
    };
    let text = serde_json::to_string(&document).expect("JSON and texts can be written");
    match &args.output.format {
        Format::Table | Format::Json => context.ui.out(indent(&text)),
        Format::Template(template) => {
            let data = serde_json::from_str(&text).map_err(|error| not_json(&error))?;
            context.ui.template(template, &data)
        }
    }
}

fn raw(bytes: &[u8]) -> Result<&RawValue, Failure> {
    serde_json::from_slice(bytes).map_err(|error| not_json(&error))
}

fn not_json(error: &serde_json::Error) -> Failure {
    Failure::new(Kind::Damaged, "the kit cannot be shown as JSON").because(error)
}

/// Returns all names of the kit.
fn names(store: &Store, digest: Digest) -> Result<Vec<String>, Failure> {
    let entries = store.entries(&Silent)?; // Warnings were given when the kit was found.
    let of_kit = entries
        .into_iter()
        .filter(|entry| entry.descriptor.digest == digest);
    Ok(of_kit
        .filter_map(|entry| Some(entry.name?.to_string()))
        .collect())
}

/// Returns the bytes of all layers.
fn size(manifest: &Manifest) -> u64 {
    let sizes = manifest.layers.iter().map(|layer| layer.size);
    sizes.fold(0, u64::saturating_add)
}

/// Indents valid JSON by two blanks and ends it with a line feed. Texts, numbers and the order of
/// keys stay as they are, which they would not on a way through values.
fn indent(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let mut in_text = false;
    let mut is_escaped = false;
    let mut last = ' '; // The last character that was not a blank between values.
    for c in json.chars() {
        if in_text {
            text.push(c);
            in_text = c != '"' || is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            continue;
        }
        if c.is_ascii_whitespace() {
            continue;
        }
        let opened = matches!(last, '{' | '[');
        let closes = matches!(c, '}' | ']');
        depth -= usize::from(closes);
        // What is empty stays on its line.
        if last == ',' || opened != closes {
            text.push('\n');
            text.extend(std::iter::repeat_n("  ", depth));
        }
        text.push(c);
        match c {
            '"' => in_text = true,
            '{' | '[' => depth += 1,
            ':' => text.push(' '),
            _ => {}
        }
        last = c;
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_as_serde_does_it_and_nothing_else_changes() {
        for json in [
            r#"{"a":[],"b":{},"c":[1,{"d":"x, {y}: [\"z\\"}],"e":[[],[[]]],"f":null}"#,
            "[ ]",
            r#""text""#,
            "[true , { \"a\" :\n-1.5 } ]",
        ] {
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            assert_eq!(indent(json), pretty + "\n");
        }
        assert_eq!(
            indent(r#"{"b":1.50e3,"a":2}"#),
            "{\n  \"b\": 1.50e3,\n  \"a\": 2\n}\n"
        );
    }
}
