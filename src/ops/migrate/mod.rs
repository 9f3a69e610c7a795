//! Copies kits out of a store of `KitOps`, which is left as it is.

mod storage;

use std::{
    collections::{HashMap, HashSet},
    io,
    path::Path,
};

use self::storage::StoredKit;
use super::{
    Error,
    arrivals::{Arrivals, Count},
    list::text,
};
use crate::{
    archive::bundle,
    digest::Digest,
    oci::Descriptor,
    progress::Progress,
    reference::{Reference, Repository},
    store::Store,
};

/// What to copy, and how.
pub struct Options {
    /// Only these kits: by repository, by tag or by digest. All if there are none.
    pub wanted: Vec<Reference>,
    /// Whether names move that lead to other kits here.
    pub force: bool,
}

/// What was copied, or would be.
#[derive(Debug, Default)]
pub struct Report {
    /// What the source is called.
    pub source: String,
    /// The kits that were to be copied, by repository and digest.
    pub kits: Vec<MigratedKit>,
    /// Kits, and repositories of which something, cannot be used, each with the reason.
    pub problems: Vec<(String, String)>,
    /// How many of the problems are that the system does not let this user read something.
    pub forbidden: usize,
    /// How many blobs were new here.
    pub stored: usize,
    /// How many damaged blobs were replaced.
    pub healed: usize,
    /// How many blobs were here already.
    pub present: usize,
    /// The bytes that were copied, or would be.
    pub bytes: u64,
}

/// One kit of the source in one repository.
#[derive(Debug)]
pub struct MigratedKit {
    /// The manifest.
    pub digest: Digest,
    /// The names it gets; a digest alone for a kit without a name.
    pub names: Vec<Reference>,
    /// Names that lead to other kits and were left there, each with the digest of that other kit.
    pub kept: Vec<(Reference, Digest)>,
    /// Tags and repositories of the source that can be no names here.
    pub refused: Vec<String>,
    /// What becomes of it.
    pub outcome: Outcome,
}

/// What becomes of a kit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is copied, or gets names.
    Migrated,
    /// It was here, with all its names.
    Present,
    /// All its names lead to other kits here: it is left where it is.
    Left,
    /// It is damaged.
    Failed,
}

/// The repository in which `KitOps` keeps kits that were packed without a name.
const NAMELESS: &str = "localhost/_";

/// Tells what [`run`] would do. Content is not read, but for manifests and configs.
pub fn plan(
    store: &Store,
    path: &Path,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let (mut report, mut kits) = choose(store, path, options, progress)?;
    kits.retain(|(place, _)| report.kits[*place].outcome != Outcome::Left);
    let mut needed = Vec::new();
    for (place, stored) in &kits {
        match blobs(stored) {
            Ok(blobs) => needed.push((*place, stored, blobs)),
            Err(error) if is_of_source(&error) => fail(&mut report, *place, stored, &error),
            Err(error) => return Err(error),
        }
    }
    // Asked once for all: what is known of the blobs here is read each time.
    let here = store.unchanged(needed.iter().flat_map(|(_, _, blobs)| blobs))?;
    let mut counted = HashSet::new();
    for (place, stored, blobs) in needed {
        let lacking: Vec<&Descriptor> = blobs
            .iter()
            .filter(|blob| !here.contains(&blob.digest))
            .collect();
        let opened = lacking.iter().try_for_each(|blob| {
            stored.source.open(blob)?;
            Ok(())
        });
        match opened {
            Ok(()) if lacking.is_empty() => {}
            Ok(()) => report.kits[place].outcome = Outcome::Migrated,
            Err(error) if is_of_source(&error) => {
                fail(&mut report, place, stored, &error);
                continue;
            }
            Err(error) => return Err(error),
        }
        for blob in lacking {
            if counted.insert(blob.digest) {
                report.stored += 1;
                report.bytes += blob.size;
            }
        }
    }
    Ok(report)
}

/// Copies kits and gives them their names. What is damaged is told, and the others go on.
pub fn run(
    store: &Store,
    path: &Path,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let (mut report, kits) = choose(store, path, options, progress)?;
    if kits.is_empty() {
        return Ok(report);
    }
    let writer = store.writer(progress)?;
    let mut arrivals = Arrivals::new(&writer);
    let brought: Result<(), Error> = kits.into_iter().try_for_each(|(place, stored)| {
        let planned = &mut report.kits[place];
        if planned.outcome == Outcome::Left {
            return Ok(());
        }
        let kit = plain(&stored.descriptor);
        let label = format!("Copying {}", planned.names[0]);
        match arrivals.bring(&stored.source, &kit, &label, progress) {
            Ok(0) if planned.outcome == Outcome::Present => Ok(()),
            Ok(_) => {
                planned.outcome = Outcome::Migrated;
                arrivals.name(&kit, &planned.names)
            }
            Err(error) if is_of_source(&error) => {
                fail(&mut report, place, &stored, &error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    });
    let count = arrivals.finish();
    brought?;
    let Count {
        stored,
        healed,
        present,
        bytes,
    } = count?;
    Ok(Report {
        stored,
        healed,
        present,
        bytes,
        ..report
    })
}

/// Reads the source and decides which kits are copied under which names.
fn choose(
    store: &Store,
    path: &Path,
    options: &Options,
    progress: &dyn Progress,
) -> Result<(Report, Vec<(usize, StoredKit)>), Error> {
    let mut source = storage::read(path)?;
    // As everywhere, those without a name come last.
    source.kits.sort_by_key(|kit| kit.repository == NAMELESS);
    let mut names = Names::new(store, options, progress)?;
    let mut report = Report {
        source: source.shown,
        forbidden: source
            .problems
            .iter()
            .filter(|(_, error)| is_forbidden(error))
            .count(),
        problems: source
            .problems
            .iter()
            .map(|(name, error)| (name.clone(), text(error)))
            .collect(),
        ..Report::default()
    };
    let mut chosen = Vec::new();
    for stored in source.kits {
        if let Some(kit) = names.give(&stored) {
            chosen.push((report.kits.len(), stored));
            report.kits.push(kit);
        }
    }
    match options.wanted.iter().find(|it| !names.found.contains(it)) {
        Some(missing) => Err(Error::NotInKitops {
            path: report.source,
            reference: missing.to_string(),
        }),
        None => Ok((report, chosen)),
    }
}

/// Which names lead where, here and after what was decided.
struct Names<'a> {
    options: &'a Options,
    /// Names that are here.
    here: HashMap<Reference, Digest>,
    /// Kits that are here without a tag, by repository.
    untagged: HashSet<(Option<Repository>, Digest)>,
    /// Names that were given to kits of the source.
    given: HashMap<Reference, Digest>,
    /// Which of the wanted references have meant something.
    found: HashSet<&'a Reference>,
}

impl<'a> Names<'a> {
    fn new(store: &Store, options: &'a Options, progress: &dyn Progress) -> Result<Self, Error> {
        let mut names = Self {
            options,
            here: HashMap::new(),
            untagged: HashSet::new(),
            given: HashMap::new(),
            found: HashSet::new(),
        };
        for entry in store.entries(progress)? {
            let digest = entry.descriptor.digest;
            names.untagged.insert((entry.repository().cloned(), digest));
            if let Some(name) = entry.name.filter(|name| name.tag().is_some()) {
                names.here.insert(name, digest);
            }
        }
        Ok(names)
    }

    /// Decides on one kit; `None` if it is not wanted.
    fn give(&mut self, stored: &StoredKit) -> Option<MigratedKit> {
        let digest = stored.descriptor.digest;
        let mut kit = MigratedKit {
            digest,
            names: Vec::new(),
            kept: Vec::new(),
            refused: Vec::new(),
            outcome: Outcome::Present,
        };
        let is_nameless = stored.repository == NAMELESS;
        let repository = match Repository::parse(&stored.repository) {
            _ if is_nameless => None,
            Ok(repository) => Some(repository),
            Err(_) => {
                kit.refused.push(stored.repository.clone());
                None
            }
        };
        let bare = match &repository {
            Some(repository) => Reference::from(repository.clone()).with_digest(digest),
            None => Reference::from(digest),
        };
        let mut tagged = Vec::new();
        let is_refused = !kit.refused.is_empty();
        for tag in stored.tags.iter().filter(|_| !is_refused) {
            match bare.with_tag(tag) {
                Ok(name) => tagged.push(name),
                Err(_) => kit.refused.push(format!("{}:{tag}", stored.repository)),
            }
        }
        let is_wanted = self.want(&bare, &mut tagged);
        if !is_wanted {
            return None;
        }
        for name in tagged {
            match self.holder(&name) {
                Some(other) if other != digest => kit.kept.push((name, other)),
                _ => {
                    if self.here.get(&name) != Some(&digest) {
                        kit.outcome = Outcome::Migrated;
                    }
                    self.given.insert(name.clone(), digest);
                    kit.names.push(name);
                }
            }
        }
        if kit.names.is_empty() && !kit.kept.is_empty() {
            kit.outcome = Outcome::Left;
        } else if kit.names.is_empty() {
            let key = (repository, digest);
            if !self.untagged.contains(&key) {
                kit.outcome = Outcome::Migrated;
            }
            kit.names.push(bare);
        }
        Some(kit)
    }

    /// Returns what a name leads to that is not to be moved.
    fn holder(&self, name: &Reference) -> Option<Digest> {
        let here = self.here.get(name).filter(|_| !self.options.force);
        self.given.get(name).or(here).copied()
    }

    /// Tells whether the kit `bare` is wanted, and leaves those of its names that are.
    fn want(&mut self, bare: &Reference, tagged: &mut Vec<Reference>) -> bool {
        if self.options.wanted.is_empty() {
            return true;
        }
        let (mut is_whole, mut names) = (false, HashSet::new());
        for wanted in &self.options.wanted {
            let in_place =
                wanted.repository().is_none() || wanted.repository() == bare.repository();
            let meant = match (wanted.tag(), wanted.digest()) {
                (Some(_), _) if tagged.contains(wanted) => {
                    names.insert(wanted);
                    true
                }
                (Some(_), _) => false,
                (None, digest) => {
                    let meant = in_place && (digest.is_none() || digest == bare.digest());
                    is_whole |= meant;
                    meant
                }
            };
            if meant {
                self.found.insert(wanted);
            }
        }
        if !is_whole {
            tagged.retain(|name| names.contains(name));
        }
        is_whole || !names.is_empty()
    }
}

/// Returns the descriptor without what only its place in an index said.
fn plain(kit: &Descriptor) -> Descriptor {
    Descriptor::new(&kit.media_type, kit.digest, kit.size)
}

/// Returns all blobs of a kit.
fn blobs(stored: &StoredKit) -> Result<Vec<Descriptor>, Error> {
    let kit = plain(&stored.descriptor);
    let (manifest, _) = stored.source.manifest(&kit)?;
    Ok(manifest.blobs().cloned().chain([kit]).collect())
}

/// Tells whether something is wrong with one kit of the source, and not with the store or the work.
fn is_of_source(error: &Error) -> bool {
    match error {
        Error::NotALayout { .. }
        | Error::BadDocument { .. }
        | Error::MissingSource { .. }
        | Error::DamagedSource { .. }
        | Error::Config { .. } => true,
        Error::Bundle(error) => !matches!(error, bundle::Error::Output(_)),
        _ => false,
    }
}

/// Tells whether the system does not allow what was tried.
fn is_forbidden(error: &Error) -> bool {
    let first: &dyn std::error::Error = error;
    std::iter::successors(Some(first), |error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

fn fail(report: &mut Report, place: usize, stored: &StoredKit, error: &Error) {
    let kit = &mut report.kits[place];
    kit.outcome = Outcome::Failed;
    report.forbidden += usize::from(is_forbidden(error));
    let name = kit.names.first().map_or_else(
        || format!("{}@{}", stored.repository, kit.digest),
        ToString::to_string,
    );
    report.problems.push((name, text(error)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_read_is_told_from_damage() {
        for (kind, is_expected) in [
            (io::ErrorKind::PermissionDenied, true),
            (io::ErrorKind::NotFound, false),
        ] {
            let error = Error::from(bundle::Error::Io {
                action: "read",
                path: "blob".into(),
                source: kind.into(),
            });
            assert_eq!(is_forbidden(&error), is_expected, "{kind}");
        }
    }
}
