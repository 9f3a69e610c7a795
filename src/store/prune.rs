//! Freeing what nothing needs: blobs that no kit refers to, and what dead processes left.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::{digest::Digest, failpoint::failpoint, progress::Progress};

use super::{Blob, Error, LeftPartial, Store, blob, index, lock, needs, partial};

/// What pruning would delete.
#[derive(Debug, Default)]
pub struct PrunePlan {
    /// The blobs that no kit needs, in the order of their digests.
    pub blobs: Vec<Blob>,
    /// Files that dead processes were writing, with their sizes.
    pub temporary: Vec<(PathBuf, u64)>,
    /// Downloads that could be resumed.
    pub partials: Vec<LeftPartial>,
    older_than: Option<Duration>,
}

impl PrunePlan {
    /// Returns how many bytes are freed.
    pub fn bytes(&self) -> u64 {
        bytes(&self.blobs, &self.temporary, &self.partials)
    }
}

/// What pruning deleted.
#[derive(Debug, Default)]
pub struct PruneReport {
    /// The blobs.
    pub blobs: Vec<Blob>,
    /// Files that dead processes were writing, with their sizes.
    pub temporary: Vec<(PathBuf, u64)>,
    /// Downloads that could have been resumed.
    pub partials: Vec<LeftPartial>,
}

impl PruneReport {
    /// Returns how many bytes were freed.
    pub fn bytes(&self) -> u64 {
        bytes(&self.blobs, &self.temporary, &self.partials)
    }
}

fn bytes(blobs: &[Blob], temporary: &[(PathBuf, u64)], partials: &[LeftPartial]) -> u64 {
    let blobs: u64 = blobs.iter().map(|blob| blob.size).sum();
    let temporary: u64 = temporary.iter().map(|(_, size)| size).sum();
    let partials: u64 = partials.iter().map(|partial| partial.size).sum();
    blobs + temporary + partials
}

impl Store {
    /// Tells what pruning would delete; with `older_than` only what was stored so long ago. Fails
    /// with [`Error::Undecidable`] if one kit cannot be read: what it needs must not be deleted.
    pub fn plan_prune(
        &self,
        older_than: Option<Duration>,
        progress: &dyn Progress,
    ) -> Result<PrunePlan, Error> {
        let names = index::read(self)?;
        names.warn(progress);
        if names
            .rebuilt
            .is_some_and(|rebuilt| !rebuilt.dropped.is_empty())
        {
            let path = self.index_path();
            return Err(Error::PartlyRebuilt { path });
        }
        let needed = match needs::of_all(self, &names.entries) {
            Ok(needed) => needed,
            // No lock is held: a kit may have been removed since its name was read.
            Err(_) if index::read(self)?.entries != names.entries => {
                return self.plan_prune(older_than, progress);
            }
            Err(error) => return Err(error),
        };
        let mut plan = PrunePlan {
            temporary: dead_temporaries(self)?,
            partials: partial::all(self)?,
            older_than,
            ..PrunePlan::default()
        };
        if let Some(least) = older_than {
            plan.partials.retain(|partial| partial.is_older_than(least));
        }
        let now = SystemTime::now();
        for digest in blob::all(self)? {
            let path = self.blob_path(&digest);
            let Ok(metadata) = fs::symlink_metadata(&path) else {
                continue; // Deleted by someone since it was listed.
            };
            let is_old = |least: Duration| {
                let stored = metadata.modified().unwrap_or(now);
                now.duration_since(stored).is_ok_and(|age| age >= least)
            };
            if !needed.contains_key(&digest) && !metadata.is_dir() && older_than.is_none_or(is_old)
            {
                let size = metadata.len();
                plan.blobs.push(Blob { digest, size });
            }
        }
        Ok(plan)
    }

    /// Deletes what was planned and is still not needed, as soon as no one else is at work with the
    /// store.
    pub fn prune(&self, plan: &PrunePlan, progress: &dyn Progress) -> Result<PruneReport, Error> {
        let mut report = PruneReport::default();
        if !self.root.is_dir() {
            return Ok(report);
        }
        self.create_directories()?; // A copied store may lack those that are empty.
        let locked = lock::exclusive(self, progress)?;
        // Planned again now that no one can change it: a blob may have come into use.
        let now = self.plan_prune(plan.older_than, progress)?;
        let planned: HashSet<Digest> = plan.blobs.iter().map(|blob| blob.digest).collect();
        let blobs: Vec<Blob> = now
            .blobs
            .into_iter()
            .filter(|blob| planned.contains(&blob.digest))
            .collect();
        self.delete(&blobs, &locked.session, &mut report.blobs)?;
        report.temporary = sweep_dead(self)?;
        let planned: HashSet<Digest> = plan.partials.iter().map(|one| one.digest).collect();
        for partial in now.partials {
            if planned.contains(&partial.digest) && partial::end(self, &partial)? {
                report.partials.push(partial);
            }
        }
        Ok(report)
    }
}

/// Deletes the temporary files and sessions of dead processes and returns the files. Downloads
/// that nobody came back for go too.
pub(super) fn sweep_dead(store: &Store) -> Result<Vec<(PathBuf, u64)>, Error> {
    let temporaries = dead_temporaries(store)?;
    for (path, _) in &temporaries {
        match failpoint!("store.temp.delete", fs::remove_file(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("delete", path)(error));
            }
            _ => {} // Or another sweeper was quicker.
        }
    }
    // The sessions after their files: a file without a session is a dead one's.
    sweep_sessions(store)?;
    partial::sweep(store)?;
    Ok(temporaries)
}

/// Deletes the sessions of dead processes.
pub(super) fn sweep_sessions(store: &Store) -> Result<(), Error> {
    for path in listing(&store.sessions_dir())? {
        lock::sweep(&path)?;
    }
    Ok(())
}

/// Returns the temporary files of processes that are no more. Downloads to resume are none.
pub(super) fn dead_temporaries(store: &Store) -> Result<Vec<(PathBuf, u64)>, Error> {
    let mut dead = Vec::new();
    let mut living = HashSet::new();
    for path in listing(&store.ingest_dir())? {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let Some(session) = name
            .strip_suffix(".tmp")
            .and_then(|rest| rest.rsplit_once('-'))
        else {
            continue;
        };
        if living.contains(session.0) {
            continue;
        }
        if lock::is_alive(&store.sessions_dir().join(session.0)) {
            living.insert(session.0.to_owned());
        } else if let Ok(metadata) = fs::symlink_metadata(&path) {
            let size = metadata.len();
            dead.push((path, size));
        }
    }
    Ok(dead)
}

/// Returns the paths in a directory, in order; none if there is no directory.
pub(super) fn listing(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let found = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found.map_err(Error::io("list", directory))?,
    };
    let mut paths = found
        .map(|found| found.map(|found| found.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(Error::io("list", directory))?;
    paths.sort_unstable();
    Ok(paths)
}
