//! Why a directory could not be packed, or a layer not be read or unpacked.

use std::{fmt, io, path::PathBuf};

use super::conflict::{Conflict, conflicts_text};
use crate::digest::Digest;

/// Why something about archives failed. Paths inside archives are shown as text; bytes that are
/// not UTF-8 are replaced in messages only.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source of a layer's bytes failed.
    #[error("cannot read the layer")]
    Read(#[source] io::Error),
    /// The layer's content is not what its digest promises.
    #[error("the content is damaged: expected {expected}, found {found}")]
    Damaged {
        /// What the manifest promises.
        expected: Digest,
        /// What was read.
        found: Digest,
    },
    /// The layer is longer or shorter than promised.
    #[error("the content is damaged: expected {expected} bytes, found {found}")]
    Size {
        /// What the manifest promises.
        expected: u64,
        /// What was read; at most one more than promised.
        found: u64,
    },
    /// A part of a layer is not what the table of contents promises.
    #[error(
        "the content is damaged: what came from byte {at} on is not what the table of contents says"
    )]
    Altered {
        /// Where in the layer the part begins.
        at: u64,
    },
    /// The uncompressed content is not what the config promises.
    #[error("the uncompressed content is {found}, but the config says {expected}")]
    DiffId {
        /// What the config promises.
        expected: Digest,
        /// What was read.
        found: Digest,
    },
    /// Content that is compressed wrongly: the bytes are those that were packed, unless they are
    /// said to be damaged.
    #[error("the {compression} data is not valid: {why}")]
    Compressed {
        /// How it is compressed.
        compression: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Content that unpacks to more than it may.
    #[error("the layer unpacks to more than {most} bytes, {}", expands_text(*.is_told))]
    Expands {
        /// How many bytes it may unpack to.
        most: u64,
        /// Whether whoever packed it said so.
        is_told: bool,
    },
    /// Content in zstd that takes more memory to read than it may.
    #[error("the zstd data needs more than {most} MiB of memory")]
    Window {
        /// How many MiB it may take.
        most: u64,
    },
    /// Content that is said to unpack to more than would be sane, and than there is room for.
    #[error(
        "the manifest says that the layer unpacks to {told} bytes, and there is room for {free}"
    )]
    NoRoom {
        /// How many bytes are said to come out.
        told: u64,
        /// How many the file system has room for.
        free: u64,
    },
    /// The archive stops in the middle of something.
    #[error("the archive is cut off after {at} bytes")]
    CutOff {
        /// How many bytes there were.
        at: u64,
    },
    /// The two zero blocks that end an archive are missing.
    #[error("the archive has no end mark")]
    NoEnd,
    /// Something other than zeros follows the end of the archive.
    #[error("the archive goes on behind its end mark")]
    Trailing,
    /// A header that no honest writer makes.
    #[error("the archive's header at byte {at} is not valid: {why}")]
    Header {
        /// Where the header starts.
        at: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A table of contents that says of an archive that it is one of ours, and it cannot be.
    #[error("the table of contents puts something at byte {0} where it cannot be")]
    Misplaced(u64),
    /// An entry that is neither a file nor a folder.
    #[error("entry `{path}` is {kind}, and only files and folders are unpacked")]
    Kind {
        /// The entry.
        path: String,
        /// What it is, with its article.
        kind: String,
    },
    /// An entry whose name cannot be accepted.
    #[error("entry `{path}` cannot be accepted: {why}")]
    Name {
        /// The name as it stands in the archive.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two entries of one layer have the same path.
    #[error("the layer holds `{path}` twice")]
    Twice {
        /// The path.
        path: String,
    },
    /// Two paths of one kit are the same file here.
    #[error("`{path}` and `{other}` are one and the same file here")]
    Folded {
        /// The later path.
        path: String,
        /// The earlier path.
        other: String,
    },
    /// A path is a file and has something below it.
    #[error("`{file}` is a file, but `{child}` needs it to be a folder")]
    Below {
        /// The file.
        file: String,
        /// What would be below it.
        child: String,
    },
    /// A path is a file in one place and a folder in another.
    #[error("`{path}` is both a file and a folder")]
    Both {
        /// The path.
        path: String,
    },
    /// Two layers hold different things under one path.
    #[error("`{path}` is not the same in {first} and {second}")]
    Clash {
        /// The path.
        path: String,
        /// The layer that came first.
        first: String,
        /// The layer that is refused.
        second: String,
    },
    /// The target is not a folder.
    #[error("{} is not a folder", .path.display())]
    NotAFolder {
        /// The target.
        path: PathBuf,
    },
    /// The target folder cannot be used.
    #[error("cannot unpack into {}", .path.display())]
    Target {
        /// The target.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Hard links to the store were asked for by a user whom read-only files do not stop.
    #[error("root may write to read-only files, and through a link into the store")]
    LinkAsRoot,
    /// A file cannot be linked.
    #[error("cannot link {} to the store{}", .path.display(), link_text(.source))]
    Link {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file that was there already changed while it was looked at.
    #[error("{} changed while it was compared", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Things in the target are in the way.
    #[error("{}", conflicts_text(.conflicts, *.more))]
    Conflicts {
        /// What is in the way, sorted by path.
        conflicts: Vec<Conflict>,
        /// How many more there are that are not listed.
        more: u64,
    },
    /// A layer could not be unpacked.
    #[error("cannot unpack {label} ({digest}){}", others_text(.others))]
    Layer {
        /// What the layer is, in the words of the caller.
        label: String,
        /// The layer.
        digest: Digest,
        /// Why not.
        #[source]
        cause: Box<Error>,
        /// Other layers of the same kit that could not be unpacked either.
        others: Vec<LayerFailure>,
    },
    /// A file or folder cannot be read.
    #[error("cannot read {}", .path.display())]
    ReadFile {
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
    /// Paths of the Kitfile are not there.
    #[error("{}", missing(.paths))]
    NoSuchPath {
        /// The paths as the Kitfile has them, cleaned; at least one.
        paths: Vec<String>,
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
    #[error("{} changed while it was being read", .path.display())]
    ChangedWhileReading {
        /// The file.
        path: PathBuf,
    },
    /// A file that is no longer than nothing, and can be read all the same.
    #[error("{} has content although the system says that it is empty", .path.display())]
    NotEmpty {
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
    #[error("the name of {} is not valid Unicode", .path.display())]
    NameNotUnicode {
        /// The file.
        path: PathBuf,
    },
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// Returns why a source of bytes failed: the error it holds, if it holds one of these.
    pub(crate) fn read(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(Self::Read)
    }

    /// Says that the file or folder `path` cannot be read.
    pub fn read_file(path: &std::path::Path, source: io::Error) -> Self {
        Self::ReadFile {
            path: path.to_owned(),
            source,
        }
    }

    /// Tells whether the error concerns the target or the user's wish, so that no other layer
    /// could be unpacked either.
    pub(super) const fn ends_the_run(&self) -> bool {
        matches!(
            self,
            Self::NotAFolder { .. }
                | Self::Target { .. }
                | Self::Write { .. }
                | Self::LinkAsRoot
                | Self::Link { .. }
                | Self::Conflicts { .. }
                | Self::Interrupted
        )
    }

    /// Returns the error of the source, if the source of a layer's bytes failed with an `E`.
    pub fn of_source<E: std::error::Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::Read(error) => error.get_ref()?.downcast_ref(),
            Self::Layer { cause, .. } => cause.of_source(),
            _ => None,
        }
    }

    /// Tells whether the error, or what caused it, is that content is not what its digest or
    /// size promises.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. }
            | Self::Size { .. }
            | Self::Altered { .. }
            | Self::DiffId { .. } => true,
            Self::Layer { cause, .. } => cause.is_damage(),
            _ => false,
        }
    }

    /// Tells the same of the bytes that came: not of a layer that was made wrong, which is no better
    /// when it comes once more.
    pub fn is_altered(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Size { .. } | Self::Altered { .. } => true,
            Self::Layer { cause, .. } => cause.is_altered(),
            _ => false,
        }
    }
}

/// A layer that could not be unpacked.
#[derive(Debug)]
pub struct LayerFailure {
    /// What the layer is, in the words of the caller.
    pub label: String,
    /// The layer.
    pub digest: Digest,
    /// Why not.
    pub cause: Error,
}

fn link_text(why: &io::Error) -> &'static str {
    match why.kind() {
        io::ErrorKind::CrossesDevices => ": it is on another file system",
        _ => "",
    }
}

const fn expands_text(is_told: bool) -> &'static str {
    if is_told {
        "which is what the manifest says"
    } else {
        "which is too much for its size"
    }
}

fn others_text(others: &[LayerFailure]) -> String {
    let labels: Vec<_> = others.iter().map(|other| other.label.as_str()).collect();
    if labels.is_empty() {
        String::new()
    } else {
        format!(", nor {}", labels.join(", "))
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
    /// It is one of several links that lead to each other.
    Circle,
    /// Links led to that folder this many times already.
    TooOften(u32),
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
            LinkReason::Circle => f.write_str(" is part of a circle of links"),
            LinkReason::TooOften(times) => {
                write!(f, " leads to a folder to which {times} links led already")
            }
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

fn missing(paths: &[String]) -> String {
    match paths {
        [path] => format!("path `{path}` does not exist"),
        paths => format!("{} paths of the Kitfile do not exist", paths.len()),
    }
}
