//! Removing kits: names first, then, if no one else is at work, the blobs that nothing needs any
//! more.

use std::{collections::HashSet, fs, io};

use crate::{
    digest::Digest,
    failpoint::failpoint,
    oci::Descriptor,
    platform,
    progress::Progress,
    reference::{Reference, Repository},
};

use super::{
    Entry, Error, Holder, Store, identity::Stamps, index, lock, lock::Session, needs, not_found,
    prune,
};

/// Which kits to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// What these references mean: a tag takes only that tag off, and the kit goes with its last
    /// one; a digest takes all tags of the kit off in that repository, a digest alone everywhere.
    References {
        /// The references.
        references: Vec<Reference>,
        /// Whether a tag means the kit with all its tags in that repository.
        all_tags: bool,
    },
    /// All kits that no tag leads to.
    Untagged,
    /// All kits.
    Everything,
}

/// A blob that is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    /// What it is called.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
}

/// A kit that goes with its last name in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedKit {
    /// The repository; `None` for kits without a name.
    pub repository: Option<Repository>,
    /// The digest of the manifest.
    pub digest: Digest,
}

/// What a removal would do.
#[derive(Debug)]
pub struct RemovalPlan {
    /// The names that are taken off.
    pub names: Vec<Entry>,
    /// The kits that go.
    pub kits: Vec<DroppedKit>,
    /// The blobs that no other kit needs, in the order in which they are deleted.
    pub blobs: Vec<Blob>,
    /// One [`Error::NotFound`] for each reference that means nothing.
    pub not_found: Vec<Error>,
    /// Why blobs stay although names go.
    pub undecidable: Option<Error>,
}

impl RemovalPlan {
    /// Returns how many bytes are freed.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.size).sum()
    }
}

/// What a removal did.
#[derive(Debug)]
pub struct RemovalReport {
    /// The names that were taken off.
    pub names: Vec<Entry>,
    /// The kits that went.
    pub kits: Vec<DroppedKit>,
    /// The blobs that were deleted.
    pub blobs: Vec<Blob>,
    /// Why blobs were left to prune.
    pub left: Option<Left>,
}

impl RemovalReport {
    /// Returns how many bytes were freed.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.size).sum()
    }
}

/// Why blobs were not deleted together with their kit.
#[derive(Debug)]
pub enum Left {
    /// Someone works with the store.
    InUse(Option<Holder>),
    /// It cannot be told what other kits need, or deleting failed.
    Failed(Error),
}

impl Store {
    /// Tells what removing `selection` would do. Changes nothing.
    pub fn plan_removal(
        &self,
        selection: &Selection,
        progress: &dyn Progress,
    ) -> Result<RemovalPlan, Error> {
        let entries = self.entries(progress)?;
        let (selected, not_found) = select(&entries, selection);
        let (gone, rest) = split(entries, |position, _| selected.contains(&position));
        let kits = dropped(&gone, &rest);
        let (blobs, undecidable) = match self.unneeded(&kits, &gone, &rest) {
            Ok(blobs) => (blobs, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Ok(RemovalPlan {
            names: gone,
            kits,
            blobs,
            not_found,
            undecidable,
        })
    }

    /// Takes the planned names off, except those that lead elsewhere by now. Then deletes the blobs
    /// that no kit needs any more, if no one else is at work with the store.
    pub fn remove(
        &self,
        plan: &RemovalPlan,
        progress: &dyn Progress,
    ) -> Result<RemovalReport, Error> {
        let mut report = RemovalReport {
            names: Vec::new(),
            kits: Vec::new(),
            blobs: Vec::new(),
            left: None,
        };
        if self.sessions_dir().exists() {
            prune::sweep_dead(self)?;
        }
        if plan.names.is_empty() {
            return Ok(report);
        }
        self.create_directories()?; // A copied store may lack those that are empty.
        let session = Session::register(self)?;
        index::update(self, &session, progress, |entries| {
            let (gone, rest) = split(std::mem::take(entries), |_, entry| {
                let is_planned = |planned: &Entry| {
                    planned.name == entry.name
                        && planned.descriptor.digest == entry.descriptor.digest
                };
                plan.names.iter().any(is_planned)
            });
            report.kits = dropped(&gone, &rest);
            report.names = gone;
            *entries = rest;
        })?;
        drop(session); // So that it does not keep us from being alone.
        if !report.kits.is_empty() {
            report.left = self.delete_unneeded(&mut report, progress).err();
        }
        Ok(report)
    }

    /// Deletes what the kits of `report` needed and no other kit does, if no one else is at work.
    fn delete_unneeded(
        &self,
        report: &mut RemovalReport,
        progress: &dyn Progress,
    ) -> Result<(), Left> {
        let Some(locked) = lock::try_exclusive(self).map_err(Left::Failed)? else {
            return Err(Left::InUse(lock::holders(self).into_iter().next()));
        };
        // Others may have named kits since the names were taken off.
        let rest = self.entries(progress).map_err(Left::Failed)?;
        let blobs = self
            .unneeded(&report.kits, &report.names, &rest)
            .map_err(Left::Failed)?;
        self.delete(&blobs, &locked.session, &mut report.blobs)
            .map_err(Left::Failed)
    }

    /// Returns the blobs of `kits`, described by `gone`, that none of `rest` needs: manifests before
    /// what they refer to. Of a kit that cannot be read only the manifest is known.
    fn unneeded(
        &self,
        kits: &[DroppedKit],
        gone: &[Entry],
        rest: &[Entry],
    ) -> Result<Vec<Blob>, Error> {
        if kits.is_empty() {
            return Ok(Vec::new());
        }
        let needed = needs::of_all(self, rest)?;
        let dropped: HashSet<Digest> = kits.iter().map(|kit| kit.digest).collect();
        let mut seen = HashSet::new();
        let mut blobs = Vec::new();
        for entry in gone
            .iter()
            .filter(|entry| dropped.contains(&entry.descriptor.digest))
        {
            let parts: Vec<Descriptor> = needs::of(self, &entry.descriptor)
                .unwrap_or_else(|_| vec![entry.descriptor.clone()]); // Prune finds the rest.
            for part in parts {
                if !needed.contains_key(&part.digest)
                    && seen.insert(part.digest)
                    && let Ok(metadata) = fs::symlink_metadata(self.blob_path(&part.digest))
                    && !metadata.is_dir()
                {
                    blobs.push(Blob {
                        digest: part.digest,
                        size: metadata.len(),
                    });
                }
            }
        }
        Ok(blobs)
    }

    /// Deletes `blobs` in their order and tells each in `deleted`. The caller is alone.
    pub(super) fn delete(
        &self,
        blobs: &[Blob],
        session: &Session,
        deleted: &mut Vec<Blob>,
    ) -> Result<(), Error> {
        for blob in blobs {
            let path = self.blob_path(&blob.digest);
            match failpoint!("store.blob.delete", fs::remove_file(&path)) {
                Ok(()) => deleted.push(*blob),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("delete", path)(error)),
            }
        }
        if deleted.is_empty() {
            return Ok(());
        }
        let directory = self.blobs_dir();
        platform::sync_dir(&directory).map_err(Error::io("sync", directory))?;
        let gone: HashSet<Digest> = deleted.iter().map(|blob| blob.digest).collect();
        let path = self.stamps_path();
        Stamps::read(&path)?.rewrite(&path, &session.temporary(), |digest| !gone.contains(digest))
    }
}

/// Returns the positions of the entries that `selection` means, and what it means in vain.
fn select(entries: &[Entry], selection: &Selection) -> (HashSet<usize>, Vec<Error>) {
    let positions = |wanted: &dyn Fn(&Entry) -> bool| -> Vec<usize> {
        (0..entries.len())
            .filter(|&position| wanted(&entries[position]))
            .collect()
    };
    match selection {
        Selection::Everything => ((0..entries.len()).collect(), Vec::new()),
        Selection::Untagged => (
            positions(&|entry| entry.tag().is_none())
                .into_iter()
                .collect(),
            Vec::new(),
        ),
        Selection::References {
            references,
            all_tags,
        } => {
            let mut selected = HashSet::new();
            let mut missing = Vec::new();
            for reference in references {
                let mut found = positions(&|entry| entry.is_meant_by(reference));
                if *all_tags
                    && let Some(&first) = found.first()
                    && reference.tag().is_some()
                {
                    found = positions(&|entry| entry.is_same_kit(&entries[first]));
                }
                if found.is_empty() {
                    missing.push(not_found(reference, entries));
                }
                selected.extend(found);
            }
            (selected, missing)
        }
    }
}

/// Divides `entries` into those that go and those that stay.
fn split(entries: Vec<Entry>, goes: impl Fn(usize, &Entry) -> bool) -> (Vec<Entry>, Vec<Entry>) {
    let mut parts = (Vec::new(), Vec::new());
    for (position, entry) in entries.into_iter().enumerate() {
        if goes(position, &entry) {
            parts.0.push(entry);
        } else {
            parts.1.push(entry);
        }
    }
    parts
}

/// Returns the kits of which `gone` holds the last names.
fn dropped(gone: &[Entry], rest: &[Entry]) -> Vec<DroppedKit> {
    let key = |entry: &Entry| (entry.repository().cloned(), entry.descriptor.digest);
    let kept: HashSet<_> = rest.iter().map(key).collect();
    let mut seen = HashSet::new();
    gone.iter()
        .map(key)
        .filter(|kit| !kept.contains(kit) && seen.insert(kit.clone()))
        .map(|(repository, digest)| DroppedKit { repository, digest })
        .collect()
}
