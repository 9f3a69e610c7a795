//! What takes how much room: which bytes would be freed if a kit went, and which it shares.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
};

use crate::{
    digest::Digest,
    oci::{Descriptor, media_type},
    progress::Progress,
    reference::Repository,
};

use super::{Entry, Error, Store, blob, index, needs, partial, prune};

/// What one kit takes in one repository.
#[derive(Debug)]
pub struct KitUsage {
    /// The repository; `None` for a kit without a name.
    pub repository: Option<Repository>,
    /// The digest of the manifest.
    pub digest: Digest,
    /// Its tags in that repository, sorted.
    pub tags: Vec<String>,
    /// Bytes that no other kit needs: what removing this one frees.
    pub unique: u64,
    /// Bytes that others need, too, the same kit in another repository among them.
    pub shared: u64,
    /// Bytes of its table of contents, if it has one; they are among the others.
    pub toc: Option<u64>,
    /// Why it cannot be told all that the kit takes.
    pub problem: Option<Problem>,
}

/// Why it cannot be told what a kit takes.
#[derive(Debug)]
pub enum Problem {
    /// Its manifest cannot be read, for this reason: what it needs is not known.
    Unreadable(String),
    /// So many of its blobs are not there.
    Missing(usize),
}

/// Files of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftover {
    /// How many files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Leftover {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }

    fn of(sizes: impl Iterator<Item = u64>) -> Self {
        let mut leftover = Self::default();
        sizes.for_each(|size| leftover.add(size));
        leftover
    }
}

/// What takes how much room in the store. Every blob counts once.
#[derive(Debug, Default)]
pub struct Usage {
    /// The kits that were wanted, by repository and digest, those without a name last.
    pub kits: Vec<KitUsage>,
    /// What removing all of these kits frees.
    pub together: u64,
    /// All blobs.
    pub blobs: Leftover,
    /// Blobs that no kit needs; `None` if that cannot be told because a kit cannot be read.
    pub garbage: Option<Leftover>,
    /// What dead processes were writing.
    pub temporary: Leftover,
    /// Downloads that can go on.
    pub resumable: Leftover,
    /// Damaged blobs that were set aside.
    pub quarantine: Leftover,
}

impl Usage {
    /// Returns the bytes of all that was counted.
    pub fn total(&self) -> u64 {
        let all = [self.blobs, self.temporary, self.resumable, self.quarantine];
        all.iter().map(|files| files.bytes).sum()
    }

    /// Returns what pruning would free; `None` if it would free nothing because a kit cannot be
    /// read.
    pub fn prunable(&self) -> Option<u64> {
        Some(self.garbage?.bytes + self.temporary.bytes + self.resumable.bytes)
    }
}

/// A kit in one repository; those without one come last.
type Key = (bool, Option<Repository>, Digest);

#[derive(Default)]
struct Row {
    tags: Vec<String>,
    is_wanted: bool,
}

/// How many kits need a blob, and how many of these are wanted.
#[derive(Default)]
struct Users {
    all: usize,
    wanted: usize,
}

impl Store {
    /// Tells what the kits that `wanted` selects take. Manifests are read, layers are not. Without
    /// a lock: what is written or removed meanwhile may be counted or not.
    pub fn usage(
        &self,
        wanted: &dyn Fn(&Entry) -> bool,
        progress: &dyn Progress,
    ) -> Result<Usage, Error> {
        let names = index::read(self)?;
        names.warn(progress);
        let mut is_known = names.rebuilt.is_none_or(|it| it.dropped.is_empty());
        let mut rows: BTreeMap<Key, Row> = BTreeMap::new();
        let mut needed: HashMap<Digest, Result<Vec<Descriptor>, Error>> = HashMap::new();
        for entry in &names.entries {
            let (repository, digest) = (entry.repository().cloned(), entry.descriptor.digest);
            let row = rows
                .entry((repository.is_none(), repository, digest))
                .or_default();
            row.tags.extend(entry.tag().map(str::to_owned));
            row.is_wanted |= wanted(entry);
            needed
                .entry(digest)
                .or_insert_with(|| needs::of(self, &entry.descriptor));
        }
        let mut users: HashMap<Digest, Users> = HashMap::new();
        for ((_, _, kit), row) in &rows {
            let mut add = |blob: Digest| {
                let users = users.entry(blob).or_default();
                users.all += 1;
                users.wanted += usize::from(row.is_wanted);
            };
            if let Ok(blobs) = &needed[kit] {
                for blob in blobs {
                    add(blob.digest);
                }
            } else {
                is_known = false;
                add(*kit);
            }
        }

        let mut usage = Usage {
            temporary: Leftover::of(prune::dead_temporaries(self)?.iter().map(|(_, size)| *size)),
            resumable: Leftover::of(partial::all(self)?.iter().map(|one| one.size)),
            ..Usage::default()
        };
        let mut garbage = Leftover::default();
        let mut sizes: HashMap<Digest, u64> = HashMap::new();
        for digest in blob::all(self)? {
            let Ok(metadata) = fs::symlink_metadata(self.blob_path(&digest)) else {
                continue; // Deleted by someone since it was listed.
            };
            if metadata.is_dir() {
                continue; // Prune leaves it alone, too.
            }
            let size = metadata.len();
            sizes.insert(digest, size);
            usage.blobs.add(size);
            match users.get(&digest) {
                None => garbage.add(size),
                Some(users) if users.all == users.wanted => usage.together += size,
                Some(_) => {}
            }
        }
        for path in prune::listing(&self.quarantine_dir())? {
            if let Ok(metadata) = fs::symlink_metadata(path) {
                usage.quarantine.add(metadata.len());
            }
        }
        usage.garbage = is_known.then_some(garbage);
        let wanted = rows.into_iter().filter(|(_, row)| row.is_wanted);
        usage.kits = wanted
            .map(|(key, row)| kit(key, row, &needed, &users, &sizes))
            .collect();
        Ok(usage)
    }
}

fn kit(
    (_, repository, digest): Key,
    mut row: Row,
    needed: &HashMap<Digest, Result<Vec<Descriptor>, Error>>,
    users: &HashMap<Digest, Users>,
    sizes: &HashMap<Digest, u64>,
) -> KitUsage {
    row.tags.sort_unstable();
    let mut kit = KitUsage {
        repository,
        digest,
        tags: row.tags,
        unique: 0,
        shared: 0,
        toc: None,
        problem: None,
    };
    let parts = match &needed[&digest] {
        Ok(blobs) => {
            let toc = blobs.iter().find(|blob| blob.media_type == media_type::TOC);
            kit.toc = toc.map(|toc| toc.size);
            blobs.iter().map(|blob| blob.digest).collect()
        }
        Err(error) => {
            kit.problem = Some(Problem::Unreadable(error.to_string()));
            vec![digest]
        }
    };
    let mut missing = 0;
    for blob in parts {
        match (sizes.get(&blob), &users[&blob]) {
            (Some(size), Users { all: 1, .. }) => kit.unique += size,
            (Some(size), _) => kit.shared += size,
            (None, _) => missing += 1,
        }
    }
    if missing > 0 && kit.problem.is_none() {
        kit.problem = Some(Problem::Missing(missing));
    }
    kit
}
