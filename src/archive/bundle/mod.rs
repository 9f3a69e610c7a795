//! A set of named files that leaves or enters as a folder or as one tar file: how kits travel
//! without a registry.
//!
//! What is written has no clock and no owner in it: the same files give the same bytes. A tar file
//! appears under its name only when it is whole.

mod grow;
mod parts;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::{
    io,
    path::{Path, PathBuf},
};

pub use grow::{Growing, Turn, is_leftover};
pub use read::{Bundle, Content};
pub use write::Writer;

/// A failure of writing or reading a bundle.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder to be written holds something already.
    #[error("{} is there already and is not an empty folder", .0.display())]
    NotEmpty(PathBuf),
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The tar file cannot be trusted to say what it holds.
    #[error("{} is not a usable tar file: {reason}", path.display())]
    BadTar {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The tar file holds more files than are listed.
    #[error("{} holds more than {most} files", path.display())]
    TooManyFiles {
        /// The file.
        path: PathBuf,
        /// How many there may be.
        most: u64,
    },
    /// The stream that was asked for does not take any more.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// What is to be read is neither a folder nor a file, so that nobody can move about in it.
    #[error("{} is neither a folder nor a regular file", .0.display())]
    NotAFile(PathBuf),
    /// A file that is held in memory is larger than it may be.
    #[error("`{name}` has {size} bytes, more than the {limit} that are read")]
    TooLarge {
        /// The name in the bundle.
        name: String,
        /// How large it is.
        size: u64,
        /// How large it may be.
        limit: u64,
    },
    /// Content that the caller gave cannot be read or is not what it should be.
    #[error("cannot copy `{name}`")]
    Content {
        /// The name in the bundle.
        name: String,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}
