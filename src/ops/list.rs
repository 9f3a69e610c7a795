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
    filter::Filter,
    oci::{Descriptor, Manifest},
    progress::{Progress, Silent},
    reference::{Reference, Repository},
    store::{Entry, Store},
};

/// A kit in one repository.
#[derive(Debug)]
pub struct ListedKit {
    /// The repository; `None` for a kit without a name.
    pub repository: Option<Repository>,
    /// The digest of the manifest; `None` for a name in a registry that leads to none.
    pub digest: Option<Digest>,
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
    pub problem: Option<Problem>,
    /// Whether it may be meant: what cannot be read may hold anything.
    pub(super) is_wanted: bool,
}

/// Why something cannot be read as a kit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is the matter, in short.
    pub kind: ProblemKind,
    /// What is the matter.
    pub text: String,
}

/// What is the matter with something that cannot be read as a kit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// It is not what it should be.
    Damaged,
    /// It is something else, and may be in order.
    Foreign,
    /// It is not there.
    Missing,
}

impl Summary {
    /// Returns what there is to say about a kit.
    pub(super) fn of(documents: Documents, filter: &Filter) -> Self {
        let Documents {
            stored, kitfile, ..
        } = documents;
        let mut entries = kitfile.entries().into_iter();
        let is_wanted = filter.selects_kitfile()
            || entries.any(|it| filter.selects(it.section, &it.name, &it.path));
        Self {
            is_wanted,
            size: Some(size(&stored.manifest)),
            name: kitfile.package.name,
            author: kitfile
                .package
                .authors
                .into_iter()
                .next()
                .unwrap_or_default(),
            problem: None,
        }
    }

    /// Returns what there is to say about something that is not read.
    pub(super) fn of_problem(kind: ProblemKind, error: &Error, filter: &Filter) -> Self {
        let text = text(error);
        Self {
            // What is no kit holds nothing that a filter could select.
            is_wanted: kind != ProblemKind::Foreign || filter.is_everything(),
            problem: Some(Problem { kind, text }),
            ..Self::default()
        }
    }
}

/// How many kits are worth another thread.
const KITS_A_THREAD: usize = 64;
const MOST_THREADS: usize = 8;

/// Returns the kits that `wanted` selects, sorted by repository and digest, those without a name
/// last, if `filter` selects anything in them. One that cannot be read is listed with its problem.
pub fn run(
    store: &Store,
    wanted: &dyn Fn(&Entry) -> bool,
    filter: &Filter,
    progress: &dyn Progress,
) -> Result<Vec<ListedKit>, Error> {
    let kits = group(store.entries(progress)?, wanted);
    let mut summaries = summarise(store, &kits, filter);
    // No lock was taken, so that listing never waits: what cannot be read may have been removed.
    if summaries.values().any(|summary| summary.problem.is_some()) {
        let still = group(store.entries(&Silent)?, wanted);
        summaries.retain(|digest, summary| {
            summary.problem.is_none() || still.keys().any(|kit| kit.1 == *digest)
        });
    }
    let listed = kits.into_iter().filter_map(|((place, digest), kit)| {
        let summary = summaries.get(&digest).filter(|it| it.is_wanted)?.clone();
        Some(ListedKit {
            repository: place.repository,
            digest: Some(digest),
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
fn summarise(
    store: &Store,
    kits: &BTreeMap<(Place, Digest), Kit>,
    filter: &Filter,
) -> HashMap<Digest, Summary> {
    let unique: HashMap<Digest, &Kit> = kits.iter().map(|(key, kit)| (key.1, kit)).collect();
    let work: Vec<(Digest, &Kit)> = unique.into_iter().collect();
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = (work.len() / KITS_A_THREAD).clamp(1, cores.min(MOST_THREADS));
    let share = work.len().div_ceil(threads).max(1);
    let read = |share: &[(Digest, &Kit)]| -> Vec<(Digest, Summary)> {
        let each = share.iter();
        each.map(|(digest, kit)| (*digest, summary(store, kit, filter)))
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

fn summary(store: &Store, kit: &Kit, filter: &Filter) -> Summary {
    match documents(store, &kit.reference, &kit.descriptor) {
        Ok(documents) => Summary::of(documents, filter),
        Err(error) => {
            let manifest = store.manifest(&kit.descriptor).ok();
            Summary {
                size: manifest.map(|stored| size(&stored.manifest)),
                ..Summary::of_problem(ProblemKind::Damaged, &error, filter)
            }
        }
    }
}

/// Returns the bytes of all layers.
pub(super) fn size(manifest: &Manifest) -> u64 {
    let sizes = manifest.layers.iter().map(|layer| layer.size);
    sizes.fold(0, u64::saturating_add)
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
