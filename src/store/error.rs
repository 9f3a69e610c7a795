//! What can go wrong with the store.

use std::{fmt, io, path::PathBuf, time::Duration};

use crate::{digest::Digest, oci, reference::Reference};

use super::lock::Holder;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No kit has that name or digest.
    #[error("no kit {reference} in the store")]
    NotFound {
        /// What was looked for.
        reference: Reference,
        /// Names in the store that may have been meant, best first.
        suggestions: Vec<String>,
    },
    /// A blob that a kit needs is not there.
    #[error("blob {digest} is missing from the store")]
    Missing {
        /// The digest that no file is named by.
        digest: Digest,
    },
    /// A blob does not hold what its name says.
    #[error("blob {digest} is damaged: {damage}")]
    Damaged {
        /// The digest the file is named by.
        digest: Digest,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A manifest holds what its digest says, but that is no manifest.
    #[error("{digest} is not a manifest that can be read")]
    BadManifest {
        /// The digest of the would-be manifest.
        digest: Digest,
        /// Why it cannot be read.
        source: oci::Error,
    },
    /// A blob that has to be held in memory is larger than is allowed for it.
    #[error("blob {digest} has {size} bytes, more than the {limit} that are read at once")]
    TooLarge {
        /// The blob.
        digest: Digest,
        /// Its size by its descriptor.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// What was written for a blob is not as long as was announced.
    #[error("{digest} was written with {actual} bytes in place of {expected}")]
    WrongSize {
        /// The digest of the blob.
        digest: Digest,
        /// The announced size.
        expected: u64,
        /// What the file holds.
        actual: u64,
    },
    /// What was downloaded for a blob is something else. Nothing of it is kept.
    #[error("what arrived for {digest} is {actual}")]
    WrongContent {
        /// The digest of the blob.
        digest: Digest,
        /// The digest of what arrived.
        actual: Digest,
    },
    /// It cannot be told which blobs a kit needs, so that none may be deleted.
    #[error("nothing is deleted because it cannot be told what {kit} needs")]
    Undecidable {
        /// The name (or digest) of the kit whose manifest cannot be read.
        kit: String,
        /// Why it cannot be read.
        source: Box<Error>,
    },
    /// The names were put together again from the log, but not all of them.
    #[error(
        "nothing is deleted because {} was lost and could be restored only in part",
        path.display()
    )]
    PartlyRebuilt {
        /// The index.
        path: PathBuf,
    },
    /// Another process kept a lock for longer than we wait.
    #[error("the store is in use by {}, waited {}", HolderText(.holder.as_ref()), humantime::format_duration(Duration::from_secs(waited.as_secs())))]
    Busy {
        /// Who holds it, if that can be told.
        holder: Option<Holder>,
        /// How long we waited.
        waited: Duration,
    },
    /// The store was made by a newer version of this program.
    #[error(
        "the store {} has format {found}, this version of kit knows formats up to {supported}: update kit",
        path.display()
    )]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format that is understood here.
        supported: u64,
    },
    /// The file that tells the format of the store cannot be understood.
    #[error("cannot tell which format the store has: {} is damaged", path.display())]
    BadMarker {
        /// The file.
        path: PathBuf,
    },
    /// There are more names than the index can hold.
    #[error("{} has room for no more names: it would be larger than {limit} bytes", path.display())]
    IndexFull {
        /// The index.
        path: PathBuf,
        /// The most bytes it may have.
        limit: usize,
    },
    /// Neither the index nor the log of names can tell which kits there are.
    #[error("the names of the kits in {} are lost: {problem}", path.display())]
    IndexLost {
        /// The index.
        path: PathBuf,
        /// What is wrong with index and log.
        problem: String,
    },
    /// The file system knows no locks, so that nothing can be deleted safely.
    #[error("the file system of {} does not support locks", path.display())]
    Unlockable {
        /// The lock file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// A file or directory of the store could not be worked with.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb: `write`.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// What is wrong with a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// A directory, a link or something else that is no regular file.
    NotAFile,
    /// The file is longer or shorter than it must be.
    Size {
        /// What the descriptor says.
        expected: u64,
        /// What the file has.
        actual: u64,
    },
    /// The bytes are not the ones that were stored.
    Content {
        /// The digest of what is there.
        actual: Digest,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFile => write!(f, "it is not a regular file"),
            Self::Size { expected, actual } => {
                write!(f, "it has {actual} bytes in place of {expected}")
            }
            Self::Content { actual } => write!(f, "its content is {actual}"),
        }
    }
}

/// Says who holds a lock, also when that is not known.
struct HolderText<'a>(Option<&'a Holder>);

impl fmt::Display for HolderText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(holder) => holder.fmt(f),
            None => f.write_str("another process"),
        }
    }
}

impl Error {
    /// Returns what makes an [`Error::Io`] of the system's answer.
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
