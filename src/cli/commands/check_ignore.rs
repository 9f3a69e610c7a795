//! `kit check-ignore`

use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};

use super::pack::read_rules;
use crate::{
    archive::ignore::{Decider, Decision},
    cli::{
        Context,
        args::{Format, FormatArgs},
        escape::escape_bytes,
        failure::{Failure, Kind},
        help::examples,
        kitfile_source,
    },
};

/// Tell which rule leaves a path out of a kit, or keeps it
///
/// A path need not exist. Rules come from .kitignore in the directory of the kit, and from the
/// built-in list of what systems and tools leave behind.
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Ask about two paths", "kit check-ignore data/raw.csv .git"),
    ("Ask about another directory", "kit check-ignore -C models/net cache/tmp.bin"),
    ("Stop a script unless the key is left out", "kit check-ignore --exit-code secret.key"),
]))]
pub(crate) struct Args {
    /// Paths, relative to the directory of the kit
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The directory of the kit
    #[arg(
        short = 'C',
        long = "context",
        value_name = "DIR",
        default_value = ".",
        hide_default_value = true
    )]
    directory: PathBuf,
    /// Exit with 10 unless all of the paths are left out
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    output: FormatArgs,
}

/// Prints a line a path.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    kitfile_source::check_directory(&args.directory)?;
    let rules = read_rules(&args.directory)?;
    let mut answers = Vec::with_capacity(args.paths.len());
    for path in &args.paths {
        let inside = inside(&args.directory, path)?;
        let decision = if inside.is_empty() {
            // No rule can match the directory itself.
            Decision {
                ignored: false,
                decider: None,
            }
        } else {
            rules.decide(&inside)
        };
        answers.push(Answer {
            // What describes the kit is a file: only a folder would have something below it.
            not_all: decision.ignored
                && !matches!(decision.decider, Some(Decider::Description(_)))
                && rules.may_keep_below(&inside),
            path,
            decision,
        });
    }
    let documents: Vec<Value> = answers.iter().map(Answer::document).collect();
    match &args.output.format {
        Format::Table => {
            let lines: String = answers.iter().map(Answer::line).collect();
            context.ui.out(lines)?;
        }
        Format::Json => context.ui.json(&documents)?,
        Format::Template(template) => {
            for document in &documents {
                context.ui.template(template, document)?;
            }
        }
    }
    if args.exit_code && answers.iter().any(|answer| !answer.decision.ignored) {
        return Err(Failure::reported(Kind::Differs));
    }
    Ok(())
}

/// What the rules say about a path.
struct Answer<'a> {
    /// The path as it was given.
    path: &'a Path,
    decision: Decision<'a>,
    /// Whether something below an ignored folder may be kept.
    not_all: bool,
}

impl Answer<'_> {
    fn line(&self) -> String {
        let path = escape_bytes(self.path.as_os_str().as_encoded_bytes());
        let verdict = if self.decision.ignored {
            "ignored"
        } else {
            "kept"
        };
        let by = match self.decision.decider {
            None => String::new(),
            Some(Decider::Description(_)) => ", it describes the kit".to_owned(),
            Some(decider) => format!(" by {}", escape_bytes(decider.to_string().as_bytes())),
        };
        let more = if self.not_all {
            " (a later rule may keep something in it)"
        } else {
            ""
        };
        format!("{path}: {verdict}{by}{more}\n")
    }

    fn document(&self) -> Value {
        json!({
            "path": self.path.to_string_lossy(),
            "ignored": self.decision.ignored,
            "rule": self.decision.decider.map(|decider| decider.to_string()),
            "mayKeepBelow": self.not_all,
        })
    }
}

/// Returns the path relative to `directory` with `/` between its parts, as rules see it.
fn inside(directory: &Path, path: &Path) -> Result<Vec<u8>, Failure> {
    let outside = || {
        Failure::new(
            Kind::Usage,
            format!("{} is outside the directory of the kit", path.display()),
        )
        .hint("paths are relative to it; -C names another directory")
    };
    let relative = if path.is_absolute() {
        let real = directory.canonicalize().ok();
        let plain = std::path::absolute(directory).ok();
        [plain, real]
            .into_iter()
            .flatten()
            .find_map(|folder| path.strip_prefix(folder).ok())
            .ok_or_else(outside)?
    } else {
        path
    };
    let mut parts: Vec<&[u8]> = Vec::new();
    for component in relative.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => parts.push(name.as_encoded_bytes()),
            Component::ParentDir => {
                parts.pop().ok_or_else(outside)?;
            }
            Component::RootDir | Component::Prefix(_) => return Err(outside()),
        }
    }
    Ok(parts.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_seen_from_the_directory_of_the_kit() {
        let absolute = std::path::absolute("models").unwrap().join("a");
        for (path, expected) in [
            ("a", Some("a")),
            ("./a//b/", Some("a/b")),
            ("a/../b", Some("b")),
            (".", Some("")),
            (absolute.to_str().unwrap(), Some("a")),
            ("..", None),
            ("a/../../b", None),
            ("/somewhere/else", None),
        ] {
            let found = inside(Path::new("models"), Path::new(path)).ok();
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{path}");
        }
    }
}
