//! What can go wrong with directories being packed or unpacked.

use std::{fmt, io, path::PathBuf};

/// A failure of packing or unpacking a directory.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The layer being made cannot be written.
    #[error("cannot write the layer of `{path}`")]
    WriteLayer {
        /// The layer's path.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The context is not a folder.
    #[error("{path} is not a folder")]
    NotFolder {
        /// The context.
        path: PathBuf,
    },
    /// A path of the Kitfile is not there.
    #[error("path `{path}` does not exist")]
    NoSuchPath {
        /// The path as the Kitfile has it, cleaned.
        path: String,
    },
    /// A path of the Kitfile is a fifo, a socket or a device.
    #[error("path `{path}` is neither a file nor a folder")]
    NotFileOrFolder {
        /// The path as the Kitfile has it, cleaned.
        path: String,
    },
    /// A special file, with `--strict`.
    #[error("`{path}` is {kind} and cannot be packed")]
    Special {
        /// The path in the context.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// Links that cannot be packed.
    #[error("{}", list("links that cannot be packed", .0))]
    Links(Vec<LinkProblem>),
    /// A file changed between the walk and the end of its reading.
    #[error("{path} changed while it was being packed")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A path with more parts than can be unpacked again.
    #[error("`{path}` has more than {limit} parts")]
    TooDeep {
        /// The path in the context.
        path: String,
        /// The most parts.
        limit: usize,
    },
    /// More files than one kit can hold.
    #[error("too many files for one kit: more than 4 billion, or 4 GiB of names")]
    TooManyFiles,
    /// A name without a form that an archive could hold.
    #[error("the name of {path} is not valid Unicode")]
    NameNotUnicode {
        /// The file.
        path: PathBuf,
    },
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    pub(super) fn read(path: &std::path::Path, source: io::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            source,
        }
    }
}

/// A link that cannot be packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkProblem {
    /// The link's path in the context.
    pub path: String,
    /// What the link says.
    pub target: PathBuf,
    /// Why it cannot be packed.
    pub reason: LinkReason,
}

/// Why a link cannot be packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkReason {
    /// It ends outside the context.
    Outside,
    /// It ends at something that a rule leaves out.
    Ignored(String),
    /// Nothing is there.
    Missing,
    /// It leads back to a folder it lies in.
    Loop,
    /// Its end cannot be looked at.
    Unreadable,
}

impl fmt::Display for LinkProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` -> `{}`", self.path, self.target.display())?;
        match &self.reason {
            LinkReason::Outside => f.write_str(" leads outside the context"),
            LinkReason::Ignored(rule) => write!(f, " leads to what is ignored ({rule})"),
            LinkReason::Missing => f.write_str(" leads to nothing"),
            LinkReason::Loop => f.write_str(" leads back to a folder it lies in"),
            LinkReason::Unreadable => f.write_str(" leads to something that cannot be read"),
        }
    }
}

/// Lists problems one a line below a heading; one alone stands by itself.
fn list<T: fmt::Display>(heading: &str, problems: &[T]) -> String {
    match problems {
        [one] => one.to_string(),
        many => {
            let lines: Vec<String> = many
                .iter()
                .map(|problem| format!("\n  {problem}"))
                .collect();
            format!("{heading}:{}", lines.concat())
        }
    }
}
