//! Partials that nobody is at work with.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use crate::{digest::Digest, platform};

use super::{
    super::{
        Error, Store,
        lock::{self, Kind},
        prune,
    },
    remove,
};

/// After so long nobody comes back for a download.
const ABANDONED: Duration = Duration::from_secs(7 * 24 * 3600);

/// A download that can be resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftPartial {
    /// What was downloaded.
    pub digest: Digest,
    /// Where it is.
    pub path: PathBuf,
    /// How long the file is.
    pub size: u64,
    /// When it last grew.
    modified: SystemTime,
}

impl LeftPartial {
    /// Tells whether it has not grown for so long.
    pub(in super::super) fn is_older_than(&self, least: Duration) -> bool {
        let age = SystemTime::now().duration_since(self.modified);
        age.is_ok_and(|age| age >= least)
    }
}

/// Returns all partials, also those that someone is at work with, in the order of their digests.
pub(in super::super) fn all(store: &Store) -> Result<Vec<LeftPartial>, Error> {
    let mut partials = Vec::new();
    for path in prune::listing(&store.ingest_dir())? {
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(digest) = name.and_then(Digest::from_hex) else {
            continue;
        };
        if let Ok(metadata) = fs::symlink_metadata(&path)
            && !metadata.is_dir()
        {
            partials.push(LeftPartial {
                digest,
                path,
                size: metadata.len(),
                modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            });
        }
    }
    Ok(partials)
}

/// Deletes a partial, and returns whether that was done: not while someone is at work with it.
pub(in super::super) fn end(store: &Store, partial: &LeftPartial) -> Result<bool, Error> {
    // Held until it is gone: whoever waits for it notices.
    let file = platform::open_to_read(&partial.path, false);
    if let Ok(file) = &file
        && !lock::try_take(file, &partial.path, Kind::Exclusive)?
    {
        return Ok(false);
    }
    remove(&store.side_path(&partial.digest))?;
    remove(&partial.path)?;
    Ok(true)
}

/// Deletes what was abandoned, and side files that lost their partials.
pub(in super::super) fn sweep(store: &Store) -> Result<(), Error> {
    for partial in all(store)? {
        if partial.is_older_than(ABANDONED) {
            match end(store, &partial) {
                // Where there are no locks nothing is known to be abandoned.
                Ok(_) | Err(Error::Unlockable { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    for path in prune::listing(&store.ingest_dir())? {
        let name = path.file_name().and_then(|name| name.to_str());
        let hex = name.and_then(|name| name.strip_suffix(".pieces"));
        // A partial is made before its side file, and deleted after it.
        if let Some(digest) = hex.and_then(Digest::from_hex)
            && fs::symlink_metadata(store.partial_path(&digest)).is_err()
        {
            remove(&path)?;
        }
    }
    Ok(())
}
