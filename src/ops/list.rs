//! Lists the kits in the store, also those that cannot be read.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroUsize,
    thread,
};

use super::{
    Error,
    kit::{Documents, documents},
};
use crate::{
    digest::Digest,
    oci::Descriptor,
    progress::{Progress, Silent},
    reference::{Reference, Repository},
    store::{Entry, Store},
};

/// A kit in one repository.
#[derive(Debug)]
pub struct ListedKit {
    /// The repository; `None` for a kit without a name.
    pub repository: Option<Repository>,
    /// The digest of the manifest.
    pub digest: Digest,
    /// Its tags in that repository, sorted.
    pub tags: Vec<String>,
    /// What its documents say.
    pub summary: Summary,
}

/// What the documents of a kit say about it.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The name of the package; empty if it has none.
    pub name: String,
    /// The first author; empty if there is none.
    pub author: String,
    /// The bytes of all layers; `None` if the manifest cannot be read.
    pub size: Option<u64>,
    /// Why the kit cannot be read.
    pub problem: Option<String>,
}

/// How many kits are worth another thread.
const KITS_A_THREAD: usize = 64;
const MOST_THREADS: usize = 8;

/// Returns the kits that `wanted` selects, sorted by repository and digest, those without a name
/// last. One that cannot be read is listed with its problem.
pub fn run(
    store: &Store,
    wanted: &dyn Fn(&Entry) -> bool,
    progress: &dyn Progress,
) -> Result<Vec<ListedKit>, Error> {
    let kits = group(store.entries(progress)?, wanted);
    let mut summaries = summarise(store, &kits);
    // No lock was taken, so that listing never waits: what cannot be read may have been removed.
    if summaries.values().any(|summary| summary.problem.is_some()) {
        let still = group(store.entries(&Silent)?, wanted);
        summaries.retain(|digest, summary| {
            summary.problem.is_none() || still.keys().any(|kit| kit.1 == *digest)
        });
    }
    let listed = kits.into_iter().filter_map(|((place, digest), kit)| {
        let summary = summaries.get(&digest)?.clone();
        Some(ListedKit {
            repository: place.repository,
            digest,
            tags: kit.tags,
            summary,
        })
    });
    Ok(listed.collect())
}

/// A repository; kits without one come last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    is_nowhere: bool,
    repository: Option<Repository>,
}

#[derive(Debug)]
struct Kit {
    reference: Reference,
    descriptor: Descriptor,
    tags: Vec<String>,
}

fn group(entries: Vec<Entry>, wanted: &dyn Fn(&Entry) -> bool) -> BTreeMap<(Place, Digest), Kit> {
    let mut kits: BTreeMap<_, Kit> = BTreeMap::new();
    for entry in entries.into_iter().filter(|entry| wanted(entry)) {
        let repository = entry.repository().cloned();
        let place = Place {
            is_nowhere: repository.is_none(),
            repository,
        };
        let tag = entry.tag().map(str::to_owned);
        let digest = entry.descriptor.digest;
        let kit = kits.entry((place, digest)).or_insert_with(|| Kit {
            reference: entry.name.unwrap_or_else(|| digest.into()),
            descriptor: entry.descriptor,
            tags: Vec::new(),
        });
        kit.tags.extend(tag);
        kit.tags.sort_unstable();
    }
    kits
}

/// Reads each kit once, however many repositories it is in.
fn summarise(store: &Store, kits: &BTreeMap<(Place, Digest), Kit>) -> HashMap<Digest, Summary> {
    let unique: HashMap<Digest, &Kit> = kits.iter().map(|(key, kit)| (key.1, kit)).collect();
    let work: Vec<(Digest, &Kit)> = unique.into_iter().collect();
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = (work.len() / KITS_A_THREAD).clamp(1, cores.min(MOST_THREADS));
    let share = work.len().div_ceil(threads).max(1);
    let read = |share: &[(Digest, &Kit)]| -> Vec<(Digest, Summary)> {
        let each = share.iter();
        each.map(|(digest, kit)| (*digest, summary(store, kit)))
            .collect()
    };
    thread::scope(|scope| {
        let workers: Vec<_> = work
            .chunks(share)
            .map(|share| {
                let worker = thread::Builder::new().spawn_scoped(scope, move || read(share));
                (share, worker.ok())
            })
            .collect();
        let results = workers
            .into_iter()
            .flat_map(|(share, worker)| match worker {
                Some(worker) => worker.join().expect("reading a kit does not panic"),
                // Where a process may have few threads, this one does the work.
                None => read(share),
            });
        results.collect()
    })
}

fn summary(store: &Store, kit: &Kit) -> Summary {
    let layers = |stored: &crate::store::StoredManifest| {
        let sizes = stored.manifest.layers.iter().map(|layer| layer.size);
        sizes.fold(0, u64::saturating_add)
    };
    match documents(store, &kit.reference, &kit.descriptor) {
        Ok(Documents {
            stored, kitfile, ..
        }) => Summary {
            size: Some(layers(&stored)),
            name: kitfile.package.name,
            author: kitfile
                .package
                .authors
                .into_iter()
                .next()
                .unwrap_or_default(),
            problem: None,
        },
        Err(error) => Summary {
            size: store.manifest(&kit.descriptor).as_ref().map(layers).ok(),
            problem: Some(text(&error)),
            ..Summary::default()
        },
    }
}

/// Returns an error with its causes in one line.
pub(super) fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
