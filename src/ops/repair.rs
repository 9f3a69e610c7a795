//! Fetches blobs again that the store has lost, from where the names of its kits lead to.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use super::{
    Error,
    pull::Registries,
    toc,
    transfer::{Moved, Network, Transfer},
};
use crate::{
    digest::Digest,
    oci::Descriptor,
    progress::Progress,
    registry::{
        self, Repository,
        download::{self, Downloads},
    },
    store::{Entry, Presence, Store, Trust, Writer},
};

/// How blobs are fetched.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Blobs at a time.
    pub concurrency: usize,
    /// How each of them comes.
    pub download: download::Options,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// The blobs that are in the store again.
    pub restored: BTreeSet<Digest>,
    /// The kits of which something could not be had, each with the reason.
    pub failed: Vec<(String, Error)>,
    /// What was fetched.
    pub moved: Moved,
}

/// Returns the kits in the store whose names lead to registries.
pub fn candidates(store: &Store, progress: &dyn Progress) -> Result<Vec<Entry>, Error> {
    let mut entries = store.entries(progress)?;
    entries.retain(|entry| {
        let repository = entry.repository();
        repository.is_some_and(|repository| repository.registry().is_some())
    });
    Ok(entries)
}

/// Fetches those of the `broken` blobs that kits among `entries` need. What cannot be had from one
/// registry is looked for in the next that a name of such a kit leads to.
pub fn run(
    store: &Store,
    network: &Network,
    registries: &dyn Registries,
    (entries, broken): (&[Entry], &BTreeSet<Digest>),
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let writer = store.writer(progress)?;
    let downloads = Arc::new(Downloads::new(options.download));
    let mut repair = Repair {
        network,
        transfer: Transfer {
            network,
            writer: &writer,
            downloads: &downloads,
            concurrency: options.concurrency,
            progress,
        },
        open: broken.clone(),
        report: Report::default(),
    };
    let mut lost = HashSet::new();
    for entry in entries {
        let Some(name) = entry.repository() else {
            continue;
        };
        let registry = name.registry().unwrap_or_default();
        if repair.open.is_empty() || lost.contains(registry) || !repair.needs(entry) {
            continue;
        }
        let restored = registries
            .repository(name)
            .and_then(|repository| repair.kit(entry, &repository));
        match restored {
            Ok(()) => {}
            Err(error @ Error::Store(_)) => return Err(error),
            Err(error) => {
                if matches!(error, Error::Registry(registry::Error::Http(_))) {
                    lost.insert(registry.to_owned());
                }
                repair.report.failed.push((entry.log_name(), error));
            }
        }
    }
    Ok(repair.report)
}

struct Repair<'r> {
    network: &'r Network,
    transfer: Transfer<'r>,
    /// What is not there yet.
    open: BTreeSet<Digest>,
    report: Report,
}

impl Repair<'_> {
    fn writer(&self) -> &Writer<'_> {
        self.transfer.writer
    }

    /// Tells whether something of a kit is to be fetched.
    fn needs(&self, entry: &Entry) -> bool {
        if self.open.contains(&entry.descriptor.digest) {
            return true;
        }
        let stored = self.writer().store().manifest(&entry.descriptor);
        stored.is_ok_and(|stored| {
            let toc = toc::descriptor(&stored.manifest);
            let mut blobs = stored.manifest.blobs().chain(&toc);
            blobs.any(|blob| self.open.contains(&blob.digest))
        })
    }

    /// Fetches what is missing of a kit.
    fn kit(&mut self, entry: &Entry, repository: &Repository) -> Result<(), Error> {
        let progress = self.transfer.progress;
        let manifest = &entry.descriptor;
        let is_lost = self.open.contains(&manifest.digest);
        if is_lost {
            let wanted = manifest.digest.to_string();
            let fetched = self.network.wait(progress, repository.manifest(&wanted))?;
            self.writer().put(&fetched.bytes)?;
            self.restored(manifest);
        }
        let stored = self.writer().store().manifest(manifest)?;
        let mut absent = Vec::new();
        let toc = toc::descriptor(&stored.manifest);
        for blob in stored.manifest.blobs().chain(&toc) {
            // Without its manifest nobody could tell what else the kit needs.
            let is_broken = self.open.contains(&blob.digest)
                || is_lost
                    && self
                        .writer()
                        .has(&blob.digest, blob.size, Trust::Recorded)?
                        != Presence::Here;
            if is_broken && !absent.contains(blob) {
                absent.push(blob.clone());
            }
        }
        let size = absent.iter().map(|blob| blob.size).sum();
        let meter = progress.begin(&format!("Fetching from {}", repository.name()), Some(size));
        let mut failure = None;
        while !absent.is_empty() {
            let moved = self
                .transfer
                .fetch(repository, absent.clone(), None, meter.as_ref());
            match moved {
                Ok(moved) => {
                    self.report.moved.add(moved);
                    for blob in &absent {
                        self.restored(blob);
                    }
                    break;
                }
                Err(Error::Registry(error @ registry::Error::NoBlob { digest, .. })) => {
                    // The others may be there.
                    absent.retain(|blob| blob.digest != digest);
                    // It can be made again, too.
                    if toc.as_ref().is_none_or(|toc| toc.digest != digest) {
                        failure = Some(error.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn restored(&mut self, blob: &Descriptor) {
        self.open.remove(&blob.digest);
        self.report.restored.insert(blob.digest);
    }
}
