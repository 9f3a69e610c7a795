//! `kit check`

use std::{fs, path::PathBuf};

use serde::Serialize;

use super::pack::{read_rules, tell_left_out};
use crate::{
    archive::{pack::Compression, tree::Kind as EntryKind, walk::FollowLinks},
    cli::{
        Context,
        args::{Format, FormatArgs},
        failure::{Failure, Kind},
        help::examples,
        human,
        kitfile_source::{self, Source},
        parents::{ParentRow, find_to_check, tell_claimed},
    },
    kitfile::{self, Kitfile, Problem},
    ops::{
        kit::noun,
        pack::{self, LayerFormat, Options, Prepared, ShardSize},
    },
};

/// Check a Kitfile and the files it names, without packing
///
/// Finds what `kit pack` would complain about: mistakes in the Kitfile, paths that do not exist,
/// links that lead outside, rules in .kitignore that cannot be understood.
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Check the Kitfile in this directory", "kit check"),
    ("Fail on warnings, too, as in CI", "kit check models/net --strict"),
    ("Check a Kitfile that another program makes", "kit check . -f -"),
]))]
pub(crate) struct Args {
    /// The directory that the Kitfile's paths are relative to
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// Kitfile to check, or - for standard input [default: the Kitfile in DIRECTORY]
    #[arg(short, long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Take warnings for mistakes
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    output: FormatArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    valid: bool,
    kitfile: String,
    problems: Vec<ProblemDocument>,
    warnings: Vec<String>,
    parents: Vec<ParentRow>,
    layers: Vec<LayerDocument>,
    file_count: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct ProblemDocument {
    line: Option<usize>,
    column: Option<usize>,
    message: String,
    suggestion: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LayerDocument {
    r#type: &'static str,
    name: String,
    path: String,
    file_count: u64,
    bytes: u64,
}

/// Checks, and reports all problems of one kind at once.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    kitfile_source::check_directory(&args.directory)?;
    let source = kitfile_source::locate(&args.directory, args.file.as_deref())?;
    let mut document = Document {
        valid: false,
        kitfile: source.shown(),
        problems: Vec::new(),
        warnings: Vec::new(),
        parents: Vec::new(),
        layers: Vec::new(),
        file_count: 0,
        bytes: 0,
    };
    let result = examine(args, &source, context, &mut document);
    if matches!(args.output.format, Format::Table) {
        result?;
        return context.ui.line(format_args!(
            "Kitfile is valid: {}, {}, {}",
            human::count(document.layers.len() as u64, "layer"),
            human::count(document.file_count, "file"),
            human::bytes(document.bytes)
        ));
    }
    document.valid = result.is_ok();
    let result = match result {
        // What the document says is not said again.
        Err(failure) if failure.kind == Kind::Failed => {
            if document.problems.is_empty() {
                let message = failure
                    .details
                    .iter()
                    .fold(failure.message, |text, detail| format!("{text}; {detail}"));
                document.problems.push(ProblemDocument::plain(message));
            }
            Err(Failure::reported(Kind::Failed))
        }
        result => {
            result?;
            Ok(())
        }
    };
    match &args.output.format {
        Format::Template(template) => {
            let value = serde_json::to_value(&document).expect("texts and numbers can be written");
            context.ui.template(template, &value)?;
        }
        _ => context.ui.json(&document)?,
    }
    result
}

fn examine(
    args: &Args,
    source: &Source,
    context: &Context,
    document: &mut Document,
) -> Result<(), Failure> {
    let parsed = match source.read() {
        Ok(Some(parsed)) => parsed,
        Ok(None) => {
            let directory = args.directory.display();
            return Err(Failure::new(
                Kind::NotFound,
                format!("there is no Kitfile in {directory}"),
            )
            .hint("name one with -f; `kit pack --dry-run` shows what a draft would pack"));
        }
        Err(kitfile::Error::Invalid { path, problems }) => {
            document.problems = problems.0.iter().map(ProblemDocument::of).collect();
            return Err(kitfile::Error::Invalid { path, problems }.into());
        }
        Err(error) => return Err(error.into()),
    };
    let progress = context.progress();
    for warning in &parsed.warnings {
        context.ui.warn(warning);
        document.warnings.push(warning.to_string());
    }
    let rules = read_rules(&args.directory)?;
    check_paths(args, &parsed.kitfile, document)?;
    let parents = find_to_check(&parsed.kitfile, context, &progress)?;
    document.parents = parents.iter().map(ParentRow::of).collect();
    let options = Options {
        context: args.directory.clone(),
        kitfile: parsed.kitfile,
        parents,
        drafted: false,
        rules,
        names: Vec::new(),
        follow_links: FollowLinks::Context,
        keep_modes: false,
        executable: Vec::new(),
        strict: args.strict,
        created: None,
        compression: Compression::None,
        layer_format: LayerFormat::Tar,
        // What is checked are elements, however many layers one becomes.
        shard_size: ShardSize::Off,
        segment_size: None,
        toc: false,
        threads: 1,
    };
    let prepared = pack::prepare(&options, &progress)?;
    drop(progress);
    tell_left_out(
        &prepared,
        options.kitfile.model_reference().is_some(),
        context,
    );
    let claimed = tell_claimed(&options.parents, &prepared, context);
    document.warnings.extend(claimed);
    document.add(&prepared);
    match document.warnings.len() as u64 {
        count if count > 0 && args.strict => Err(Failure::new(
            Kind::Failed,
            format!(
                "{} in the check of {}",
                human::count(count, "warning"),
                document.kitfile
            ),
        )
        .hint("without --strict warnings are allowed")),
        _ => Ok(()),
    }
}

/// Checks that all paths lead somewhere: packing stops at the first.
fn check_paths(args: &Args, kitfile: &Kitfile, document: &mut Document) -> Result<(), Failure> {
    let missing = kitfile.entries().into_iter().filter(|entry| {
        let path = args.directory.join(&entry.clean);
        fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    });
    for entry in missing {
        let message = format!("{} `{}` does not exist", noun(entry.section), entry.path);
        document.problems.push(ProblemDocument::plain(message));
    }
    if document.problems.is_empty() {
        return Ok(());
    }
    let failure = Failure::new(
        Kind::Failed,
        format!("{} names what does not exist", document.kitfile),
    );
    let failure = document
        .problems
        .iter()
        .fold(failure, |failure, problem| failure.detail(&problem.message));
    Err(failure.hint("the paths of a Kitfile are relative to the directory that is packed"))
}

impl Document {
    fn add(&mut self, prepared: &Prepared) {
        self.warnings
            .extend(prepared.found.warnings.iter().cloned());
        for (index, entry) in prepared.entries.iter().enumerate() {
            self.warnings.extend(pack::emptiness(prepared, index));
            let tree = &prepared.found.tree;
            let files = tree
                .entries(index)
                .filter(|file| file.kind() == EntryKind::File);
            let layer = LayerDocument {
                r#type: noun(entry.section),
                name: entry.name.clone(),
                path: entry.clean.clone(),
                file_count: files.count() as u64,
                bytes: tree.bytes(index),
            };
            self.file_count += layer.file_count;
            self.bytes += layer.bytes;
            self.layers.push(layer);
        }
    }
}

impl ProblemDocument {
    fn of(problem: &Problem) -> Self {
        Self {
            line: problem.position.map(|position| position.line),
            column: problem.position.map(|position| position.column),
            message: problem.message.clone(),
            suggestion: problem.suggestion.clone(),
        }
    }

    const fn plain(message: String) -> Self {
        Self {
            line: None,
            column: None,
            message,
            suggestion: None,
        }
    }
}
