//! Looking whether the store holds what it says, and setting aside what does not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    digest::Digest,
    progress::{Meter, Progress},
    reference::Reference,
};

use super::{
    Blob, Damage, Entry, Error, Store, WrongLayer, WrongToc, blob, index, lock, names_log, needs,
    partial, prune,
};

/// How many blobs are hashed at a time: one disk is not read faster by more.
const THREADS: usize = 2;

/// What to verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every kit and every blob.
    All,
    /// The kits that these references mean.
    References(Vec<Reference>),
}

/// A blob that is not what its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedBlob {
    /// What it is called.
    pub digest: Digest,
    /// Where it is, or was before it was set aside.
    pub path: PathBuf,
    /// What is wrong with it.
    pub damage: Damage,
    /// The kits that need it.
    pub kits: Vec<String>,
}

/// A blob that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingBlob {
    /// What it is called.
    pub digest: Digest,
    /// The kits that need it.
    pub kits: Vec<String>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// How many kits were looked at, each once however many names it has.
    pub kits: usize,
    /// How many blobs were read.
    pub blobs: usize,
    /// How many bytes were read.
    pub bytes: u64,
    /// Blobs that are not what their names say.
    pub damaged: Vec<DamagedBlob>,
    /// Blobs that kits need and that are not there.
    pub missing: Vec<MissingBlob>,
    /// Tables of contents that kits name and that are not there: not wrong, the kits are whole.
    pub missing_tocs: Vec<MissingBlob>,
    /// Tables of contents that are not those of their kits, whatever their digests are.
    pub wrong_tocs: Vec<WrongToc>,
    /// Layers in segments that are not what their kits say, whatever the digests of segments are.
    pub wrong_layers: Vec<WrongLayer>,
    /// Blobs that no kit needs: not wrong, prune frees them.
    pub stray: Vec<Blob>,
    /// It cannot be told what some kit needs: what seems to be needed by none may be its own.
    pub undecidable: bool,
    /// What dead processes were writing: not wrong, the next writer sweeps it.
    pub temporary: Vec<(PathBuf, u64)>,
    /// Downloads that can be resumed: not wrong.
    pub resumable: Vec<(PathBuf, u64)>,
    /// What is wrong with the index, the log and manifests that cannot be understood.
    pub problems: Vec<String>,
    /// What was wrong with the index and is right again, because it was repaired without loss.
    pub repaired: Vec<String>,
    /// Whether kits have lost names that cannot be restored.
    pub names_lost: bool,
    /// Damaged blobs that were set aside, now or earlier.
    pub quarantined: Vec<PathBuf>,
}

impl VerifyReport {
    /// Tells whether every kit is whole and every name known.
    pub fn is_sound(&self) -> bool {
        let is_whole = self.damaged.is_empty() && self.missing.is_empty();
        let is_right = self.wrong_tocs.is_empty() && self.wrong_layers.is_empty();
        is_whole && is_right && self.problems.is_empty()
    }
}

/// The blobs to read: how large they should be, and who needs them.
#[derive(Default)]
struct Expected {
    sizes: BTreeSet<u64>,
    kits: BTreeSet<String>,
}

impl Store {
    /// Reads every blob of the scope once and tells what is wrong. With `repair` damaged blobs are
    /// set aside, so that packing or loading them again heals the kits, and a lost index is written
    /// anew; without it nothing is changed.
    pub fn verify(
        &self,
        scope: &Scope,
        repair: bool,
        progress: &dyn Progress,
    ) -> Result<VerifyReport, Error> {
        let mut report = VerifyReport::default();
        if !self.root.is_dir() {
            return Ok(report);
        }
        let (_reading, alone) = if repair {
            self.create_directories()?;
            (None, Some(lock::exclusive(self, progress)?))
        } else {
            (Some(lock::reading(self, progress)?), None)
        };
        let names = index::read_leniently(self)?;
        report.problems.extend(names.problems);
        if let Some(rebuilt) = &names.rebuilt {
            let dropped = rebuilt
                .dropped
                .iter()
                .map(|name| format!("; {name} is lost"));
            let problem = format!(
                "index.json: {}{}",
                rebuilt.problem,
                dropped.collect::<String>()
            );
            report.names_lost = rebuilt.is_partial || !rebuilt.dropped.is_empty();
            if repair && !report.names_lost {
                report.repaired.push(problem);
            } else {
                report.problems.push(problem);
            }
        }
        if let Some(alone) = &alone {
            index::repair(self, &alone.session, progress)?;
            self.create_files(&alone.session, progress)?;
        }
        let history = names_log::read(&self.log_path())?.unwrap_or_default();
        let unreadable = |line| format!("names.log: line {line} cannot be read");
        report
            .problems
            .extend(history.damaged.into_iter().map(unreadable));

        let entries = select(names.entries, scope)?;
        let mut expected = self.expected(&entries, &mut report);
        if *scope == Scope::All {
            self.add_strays(&mut expected, &mut report)?;
            report.temporary = prune::dead_temporaries(self)?;
            let partials = partial::all(self)?.into_iter();
            report.resumable = partials.map(|one| (one.path, one.size)).collect();
        }
        let work: Vec<(Digest, Expected)> = expected.into_iter().collect();
        self.read_all(&work, &mut report, progress)?;
        self.check_tocs(&entries, &mut report);
        self.check_layers(&entries, &mut report, progress)?;
        if alone.is_some() {
            for damaged in &report.damaged {
                self.set_aside(&damaged.digest)?;
            }
            prune::sweep_dead(self)?;
        }
        report.quarantined = prune::listing(&self.quarantine_dir())?;
        Ok(report)
    }

    /// Returns what `entries` need, as far as that can be told.
    fn expected(&self, entries: &[Entry], report: &mut VerifyReport) -> BTreeMap<Digest, Expected> {
        let mut expected: BTreeMap<Digest, Expected> = BTreeMap::new();
        let mut kits = BTreeSet::new();
        for entry in entries {
            kits.insert(entry.descriptor.digest);
            let parts = needs::of(self, &entry.descriptor).unwrap_or_else(|error| {
                report.undecidable = true;
                // What is missing or damaged is found when it is read.
                if let Error::BadManifest { source, .. } = &error {
                    report
                        .problems
                        .push(format!("{}: {error}: {source}", entry.log_name()));
                }
                vec![entry.descriptor.clone()]
            });
            for part in parts {
                let blob = expected.entry(part.digest).or_default();
                blob.sizes.insert(part.size);
                blob.kits.insert(entry.log_name());
            }
        }
        report.kits = kits.len();
        expected
    }

    /// Adds the blobs that no kit needs.
    fn add_strays(
        &self,
        expected: &mut BTreeMap<Digest, Expected>,
        report: &mut VerifyReport,
    ) -> Result<(), Error> {
        for digest in blob::all(self)? {
            if expected.contains_key(&digest) {
                continue;
            }
            if let Ok(metadata) = fs::symlink_metadata(self.blob_path(&digest)) {
                let size = metadata.len();
                report.stray.push(Blob { digest, size });
                expected.entry(digest).or_default().sizes.insert(size);
            }
        }
        Ok(())
    }

    /// Hashes the blobs of `work`, a few at a time.
    fn read_all(
        &self,
        work: &[(Digest, Expected)],
        report: &mut VerifyReport,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let total = work
            .iter()
            .filter_map(|(_, expected)| expected.sizes.first())
            .sum();
        let meter: &dyn Meter = &*progress.begin("verifying", Some(total));
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::new());
        let read = || {
            while let Some((digest, expected)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                let result = self.read_one(digest, expected, meter, progress);
                if result.is_err() {
                    next.store(work.len(), Ordering::Relaxed); // The first failure stops all.
                }
                results
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((*digest, expected, result));
            }
        };
        thread::scope(|scope| {
            for _ in 1..THREADS.min(work.len()) {
                // Where a process may have few threads, fewer do the work.
                let _ = thread::Builder::new().spawn_scoped(scope, read);
            }
            read();
        });
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_by_key(|(digest, ..)| *digest);
        for (digest, expected, result) in results {
            let kits = expected.kits.iter().cloned().collect();
            match result? {
                Found::Right(size, wrong) => {
                    if let Some(wrong) = wrong {
                        report.problems.push(format!(
                            "{digest} has {size} bytes, but {} may say {wrong}",
                            expected.kits.iter().cloned().collect::<Vec<_>>().join(", ")
                        ));
                    }
                    report.blobs += 1;
                    report.bytes += size;
                }
                Found::Missing => report.missing.push(MissingBlob { digest, kits }),
                Found::Damaged(damage) => {
                    report.blobs += 1;
                    report.damaged.push(DamagedBlob {
                        digest,
                        path: self.blob_path(&digest),
                        damage,
                        kits,
                    });
                }
            }
        }
        Ok(())
    }

    fn read_one(
        &self,
        digest: &Digest,
        expected: &Expected,
        meter: &dyn Meter,
        progress: &dyn Progress,
    ) -> Result<Found, Error> {
        let metadata = match fs::symlink_metadata(self.blob_path(digest)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
            metadata => metadata.map_err(Error::io("look at", self.blob_path(digest)))?,
        };
        let actual = metadata.len();
        let wrong_size = expected.sizes.iter().copied().find(|&size| size != actual);
        // The digest decides: a kit may also be wrong about the size of a blob that is right.
        match blob::check(self, digest, actual, meter, progress) {
            Ok(None) => Ok(Found::Right(actual, wrong_size)),
            Ok(Some(damage)) => Ok(Found::Damaged(match (damage, wrong_size) {
                (Damage::Content { .. }, Some(expected)) => Damage::Size { expected, actual },
                _ => damage,
            })),
            Err(Error::Missing { .. }) => Ok(Found::Missing),
            Err(error) => Err(error),
        }
    }
}

/// What reading a blob showed.
enum Found {
    /// With its size, and another one that a kit gives it.
    Right(u64, Option<u64>),
    Missing,
    Damaged(Damage),
}

/// Returns the entries in the scope.
fn select(entries: Vec<Entry>, scope: &Scope) -> Result<Vec<Entry>, Error> {
    let Scope::References(references) = scope else {
        return Ok(entries);
    };
    let mut selected = Vec::new();
    for reference in references {
        selected.push(super::find(reference, &entries)?.clone());
    }
    Ok(selected)
}
