//! `kit init`

use std::path::{Path, PathBuf};

use super::pack::{read_rules, tell_left_out, tell_licence, threads};
use crate::{
    archive::{ignore::FILE_NAME, pack::Compression},
    cli::{
        Context, failure::Failure, help::examples, human, kitfile_source::check_directory,
        values::Links,
    },
    kitfile::Kitfile,
    ops::{
        draft::{self, Draft},
        init,
        pack::{self, LayerFormat, Options, ShardSize},
    },
};

/// Draft a Kitfile for a directory
#[derive(clap::Args)]
#[command(
    long_about = "Draft a Kitfile for a directory, by the names of its files and folders. What looks \
                  private (dot files, keys) is left out and listed; lines in .kitignore keep it out of \
                 a folder with too many other files to name each. The licence is recorded if the \
                  licence file is, word for word, one that is known. On a terminal name, description \
                  and author are asked for if they are not given.",
    after_help = examples(&[
    ("Draft a Kitfile for this directory", "kit init"),
    ("Fill in who made it", "kit init models/net --name net --desc 'Finds nets' --author 'Ann Arbor'"),
    ("See the draft, and write nothing", "kit init --dry-run"),
    ("Begin anew", "kit init --force"),
]))]
pub(crate) struct Args {
    /// The directory
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// Name of the kit
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Description of the kit
    #[arg(long, value_name = "TEXT")]
    desc: Option<String>,
    /// Author of the kit
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// Replace a Kitfile that is there
    #[arg(short, long)]
    force: bool,
    /// Print the Kitfile, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Which links count as what they lead to: context (those that stay inside), all or skip
    #[arg(
        long,
        value_name = "WHICH",
        default_value = "context",
        hide_possible_values = true
    )]
    follow_links: Links,
}

/// Drafts and writes.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let ui = &context.ui;
    check_directory(&args.path)?;
    // Of files in the current directory people hear the name alone.
    let directory = match args.path.as_path() {
        here if here == Path::new(".") => Path::new(""),
        elsewhere => elsewhere,
    };
    if !args.force
        && !args.dry_run
        && let Some(path) = init::existing(directory)?
    {
        // Before anything is asked.
        return Err(crate::ops::Error::KitfileExists { path }.into());
    }
    let rules = read_rules(&args.path)?;
    let follow_links = args.follow_links.into();
    let progress = context.watcher();
    let Draft {
        mut kitfile,
        licence,
        covered,
        ..
    } = draft::run(&args.path, &rules, follow_links, &progress)?;
    // The same walk as for packing, so that the same is told.
    let options = Options {
        context: args.path.clone(),
        kitfile: kitfile.clone(),
        parents: Vec::new(),
        drafted: true,
        rules,
        names: Vec::new(),
        follow_links,
        keep_modes: false,
        executable: Vec::new(),
        strict: false,
        created: None,
        compression: Compression::None,
        layer_format: LayerFormat::Tar,
        shard_size: ShardSize::Off,
        segment_size: None,
        toc: false,
        threads: threads(None),
    };
    let prepared = pack::prepare(&options, &progress)?;
    drop(progress);
    tell_left_out(&prepared, false, context);
    tell_licence(&licence, context);
    fill_in(&mut kitfile, args, context);
    let path = if args.dry_run {
        tell_covered("Would add", &directory.join(FILE_NAME), &covered, context);
        None
    } else {
        if !covered.is_empty() {
            // First: no Kitfile is there that would pack what looks private.
            let path = init::ignore(directory, &covered)?;
            tell_covered("Added", &path, &covered, context);
        }
        Some(init::write(&kitfile, directory, args.force)?)
    };
    ui.status("Generated Kitfile:");
    ui.status("");
    ui.write_out(kitfile.to_yaml().as_bytes())?;
    if let Some(path) = path {
        ui.status(format_args!("Saved to path '{}'", path.display()));
    }
    Ok(())
}

/// Tells what keeps private files out of folders with too many others to name them all.
fn tell_covered(done: &str, path: &Path, covered: &[String], context: &Context) {
    if !covered.is_empty() {
        let lines = human::count(covered.len() as u64, "line");
        context.ui.status(format_args!(
            "{done} {lines} to {}: what looks private lies among too many files to name the others \
             one by one",
            path.display()
        ));
    }
}

/// Sets what flags say, or what the user answers.
fn fill_in(kitfile: &mut Kitfile, args: &Args, context: &Context) {
    let mut asking = true;
    let mut answer = |given: &Option<String>, question: &str| match given {
        Some(given) => given.clone(),
        None if asking => context.ui.ask(question).unwrap_or_else(|| {
            asking = false; // The end of the input answers all questions.
            String::new()
        }),
        None => String::new(),
    };
    kitfile.package.name = answer(&args.name, "Name of the kit");
    kitfile.package.description = answer(&args.desc, "Description");
    let author = answer(&args.author, "Author");
    if !author.is_empty() {
        kitfile.package.authors = vec![author];
    }
}
