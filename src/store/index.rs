//! `index.json`: which kits there are, and what they are called.
//!
//! It is read whole, and replaced whole under the index lock. When it is lost it is put together
//! again from the log of names.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io::{self, Read as _},
    time::SystemTime,
};

use crate::{
    digest::Digest,
    failpoint::failpoint,
    oci::{self, Descriptor, Index, annotation, media_type},
    platform,
    progress::Progress,
    reference::{Reference, Repository},
};

use super::{Error, Store, blob, lock, lock::Session, names_log, names_log::Change};

/// One name of one kit.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The name with its tag, or with its digest if no tag leads to the kit; `None` for a kit that
    /// was packed without a name.
    pub name: Option<Reference>,
    /// The manifest.
    pub descriptor: Descriptor,
}

impl Entry {
    /// Returns the name as the log writes it: the digest if there is no name.
    pub fn log_name(&self) -> String {
        match &self.name {
            Some(name) => name.to_string(),
            None => self.descriptor.digest.to_string(),
        }
    }

    /// Returns the repository, if the kit has a name.
    pub fn repository(&self) -> Option<&Repository> {
        self.name.as_ref().and_then(Reference::repository)
    }

    /// Returns the tag, if there is one.
    pub fn tag(&self) -> Option<&str> {
        self.name.as_ref().and_then(Reference::tag)
    }

    /// Tells whether `reference` means this entry: by its tag, or by its digest in that repository
    /// or, where it names none, in any.
    pub fn is_meant_by(&self, reference: &Reference) -> bool {
        match reference.digest() {
            Some(digest) => {
                self.descriptor.digest == digest
                    && (reference.repository().is_none()
                        || reference.repository() == self.repository())
            }
            None => self.name.as_ref() == Some(reference),
        }
    }

    /// Tells whether `other` is a name of the same kit in the same repository.
    pub(super) fn is_same_kit(&self, other: &Self) -> bool {
        self.descriptor.digest == other.descriptor.digest && self.repository() == other.repository()
    }
}

/// The names in the store at one time.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) entries: Vec<Entry>,
    annotations: BTreeMap<String, String>,
    /// What makes the index other than this program would write it.
    pub(super) problems: Vec<String>,
    /// How it was put together again, if it was lost.
    pub(super) rebuilt: Option<Rebuilt>,
}

/// How a lost index was put together again.
#[derive(Debug)]
pub(super) struct Rebuilt {
    /// What was wrong with the index.
    pub(super) problem: String,
    /// Names whose manifest is missing or damaged. They stay, so that what they need is not taken
    /// for needless.
    broken: Vec<String>,
    /// Names that could not be taken over because they are none.
    pub(super) dropped: Vec<String>,
    /// Whether other names may be lost, of which nothing is known any more.
    pub(super) is_partial: bool,
}

impl Names {
    /// Makes the names out of an index that could be read.
    fn from_index(index: Index) -> Self {
        let mut names = Self {
            annotations: index.annotations,
            ..Self::default()
        };
        for mut descriptor in index.manifests {
            let name = match descriptor.annotations.get(annotation::REF_NAME) {
                None => None,
                Some(text) => match Reference::parse(text) {
                    Ok(name) if name.repository().is_some() => Some(name),
                    _ => {
                        names.problems.push(format!(
                            "{} has the name `{}`, which is not one of this program's",
                            descriptor.digest,
                            text.escape_debug()
                        ));
                        None
                    }
                },
            };
            if name.is_some() {
                descriptor.annotations.remove(annotation::REF_NAME);
            }
            names.entries.push(Entry { name, descriptor });
        }
        names
    }

    /// Returns the bytes of the index that holds these names.
    fn to_bytes(&self) -> Vec<u8> {
        let manifests = self.entries.iter().map(|entry| {
            let mut descriptor = entry.descriptor.clone();
            if let Some(name) = &entry.name {
                let key = annotation::REF_NAME.to_owned();
                descriptor.annotations.insert(key, name.to_string());
            }
            descriptor
        });
        let index = Index {
            manifests: manifests.collect(),
            annotations: self.annotations.clone(),
        };
        index.to_bytes()
    }

    /// Tells of a repair that no one asked for.
    pub(super) fn warn(&self, progress: &dyn Progress) {
        let Some(rebuilt) = &self.rebuilt else { return };
        progress.warn(&format!(
            "the index of the store was lost ({}): its names were restored from the log",
            rebuilt.problem
        ));
        for name in &rebuilt.broken {
            progress.warn(&format!("the manifest of {name} is missing or damaged"));
        }
        for name in &rebuilt.dropped {
            progress.warn(&format!("{name} could not be restored: it is no name"));
        }
    }
}

/// Reads the names, from the log if the index is lost.
pub(super) fn read(store: &Store) -> Result<Names, Error> {
    let path = store.index_path();
    // Looked at first: the first writer makes the index before these, so that with one of them
    // there an index that is missing was lost, and not only not made yet.
    let has_begun = store.log_path().exists() || has_blobs(store);
    let problem = match read_index(store) {
        Ok(Some(Ok(index))) => return Ok(Names::from_index(index)),
        Ok(Some(Err(problem))) => problem.to_string(),
        Ok(None) if !has_begun => return Ok(Names::default()),
        Ok(None) => "it is missing".to_owned(),
        Err(source) => return Err(Error::io("read", path)(source)),
    };
    let lost = |problem| Error::IndexLost {
        path: store.index_path(),
        problem,
    };
    match names_log::read(&store.log_path())? {
        Some(history) if history.damaged.is_empty() => Ok(rebuild(store, &history, problem)),
        Some(history) => Err(lost(format!(
            "{problem}, and lines {:?} of names.log cannot be read",
            history.damaged
        ))),
        None => Err(lost(format!("{problem}, and there is no names.log"))),
    }
}

/// Reads the names from wherever they can still be told: from the legible part of the log, and
/// failing that from the manifests that lie about, which then have no names.
pub(super) fn read_leniently(store: &Store) -> Result<Names, Error> {
    match read(store) {
        Err(Error::IndexLost { problem, .. }) => {
            let history = names_log::read(&store.log_path())?.unwrap_or_default();
            let mut names = rebuild(store, &history, problem);
            if let Some(rebuilt) = &mut names.rebuilt {
                rebuilt.is_partial = true;
            }
            let known: HashSet<Digest> =
                names.entries.iter().map(|e| e.descriptor.digest).collect();
            for digest in blob::all(store)? {
                if !known.contains(&digest)
                    && let Some(descriptor) = describe(store, digest)
                {
                    let name = None;
                    names.entries.push(Entry { name, descriptor });
                }
            }
            Ok(names)
        }
        read => read,
    }
}

type Parsed = Result<Index, oci::Error>;

/// Reads `index.json`; `None` if there is none.
fn read_index(store: &Store) -> io::Result<Option<Parsed>> {
    let file = match File::open(store.index_path()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut content = Vec::new();
    file.take(Index::MAX_LEN as u64 + 1)
        .read_to_end(&mut content)?;
    Ok(Some(Index::parse(&content)))
}

fn has_blobs(store: &Store) -> bool {
    fs::read_dir(store.blobs_dir()).is_ok_and(|mut listing| listing.next().is_some())
}

/// Puts the names together from the log, those whose manifest is lost included.
fn rebuild(store: &Store, history: &names_log::History, problem: String) -> Names {
    let mut names = Names::default();
    let (mut broken, mut dropped) = (Vec::new(), Vec::new());
    for (name, digest) in history.names() {
        let parsed = Reference::parse(name).ok();
        if parsed.is_none() {
            // The kit stays without it: what it needs must not be taken for needless.
            dropped.push(name.to_owned());
        }
        let descriptor = describe(store, digest).unwrap_or_else(|| {
            broken.push(name.to_owned());
            // How long it was nobody knows any more; naming the kit again sets it right.
            Descriptor::new(media_type::MANIFEST, digest, 0)
        });
        let entry = Entry {
            name: parsed.filter(|name| name.repository().is_some()),
            descriptor,
        };
        if !names.entries.contains(&entry) {
            names.entries.push(entry);
        }
    }
    names.rebuilt = Some(Rebuilt {
        problem,
        broken,
        dropped,
        is_partial: false,
    });
    names
}

/// Describes the manifest or index with this digest; `None` unless it is there and right.
fn describe(store: &Store, digest: Digest) -> Option<Descriptor> {
    let size = fs::symlink_metadata(store.blob_path(&digest)).ok()?.len();
    let content = blob::read_verified(store, &digest, size, oci::Manifest::MAX_LEN as u64).ok()?;
    let (media_type, artifact_type) = if let Ok(manifest) = oci::Manifest::parse(&content) {
        (media_type::MANIFEST, manifest.artifact_type)
    } else if Index::parse(&content).is_ok() {
        (media_type::INDEX, None)
    } else {
        return None;
    };
    Some(Descriptor {
        media_type: media_type.to_owned(),
        digest,
        size,
        annotations: BTreeMap::new(),
        artifact_type,
    })
}

/// Changes the names under the index lock, log first, and returns what was changed.
pub(super) fn update(
    store: &Store,
    session: &Session,
    progress: &dyn Progress,
    change: impl FnOnce(&mut Vec<Entry>),
) -> Result<Vec<Change>, Error> {
    let locked = lock::index(store, session, progress)?;
    let names = read(store)?;
    names.warn(progress);
    let changes = replace(store, session, names, change)?;
    drop(locked);
    Ok(changes)
}

/// Writes an index where there is none that can be read, from what can still be told.
pub(super) fn repair(
    store: &Store,
    session: &Session,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let locked = lock::index(store, session, progress)?;
    let names = read_leniently(store)?;
    if names.rebuilt.is_some() {
        names.warn(progress);
        replace(store, session, names, |_| {})?;
    }
    drop(locked);
    Ok(())
}

/// Writes an empty index into a store that has never had one.
pub(super) fn create(
    store: &Store,
    session: &Session,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let locked = lock::index(store, session, progress)?;
    let (path, log) = (store.index_path(), store.log_path());
    if !path.exists() && !log.exists() && !has_blobs(store) {
        write(store, session, &Names::default().to_bytes())?;
    }
    drop(locked);
    Ok(())
}

fn replace(
    store: &Store,
    session: &Session,
    mut names: Names,
    change: impl FnOnce(&mut Vec<Entry>),
) -> Result<Vec<Change>, Error> {
    // What was restored from the log need not be logged again.
    let mut before = names.entries.clone();
    change(&mut names.entries);
    sort(&mut before);
    sort(&mut names.entries);
    let changes = differences(store, &by_name(&before), &by_name(&names.entries));
    // Not only the names count: of a kit more may be known now than its digest.
    if before == names.entries && names.rebuilt.is_none() {
        return Ok(changes);
    }
    let content = names.to_bytes();
    if content.len() > Index::MAX_LEN {
        // It could not be read again.
        return Err(Error::IndexFull {
            path: store.index_path(),
            limit: Index::MAX_LEN,
        });
    }
    let log = store.log_path();
    let mark = names_log::append(&log, &changes)?;
    if let Err(error) = write(store, session, &content) {
        // A full disk, for one: the log must not tell of what has not happened. It may have, if
        // only making it durable failed.
        let is_old = match fs::read(store.index_path()) {
            Ok(now) => now != content,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if is_old {
            let _ = names_log::take_back(&log, &mark); // The first error says more.
        }
        return Err(error);
    }
    Ok(changes)
}

fn sort(entries: &mut [Entry]) {
    entries.sort_by_cached_key(|entry| {
        let name = entry.name.as_ref().map(ToString::to_string);
        (name.is_none(), name, entry.descriptor.digest)
    });
}

fn by_name(entries: &[Entry]) -> BTreeMap<String, Digest> {
    entries
        .iter()
        .map(|entry| (entry.log_name(), entry.descriptor.digest))
        .collect()
}

fn differences(
    store: &Store,
    before: &BTreeMap<String, Digest>,
    after: &BTreeMap<String, Digest>,
) -> Vec<Change> {
    let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .map(|name| (name, before.get(name).copied(), after.get(name).copied()))
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| Change {
            time: time.clone(),
            name: name.clone(),
            old,
            new,
            command: store.options.command.clone(),
        })
        .collect()
}

/// Replaces `index.json`, durably.
fn write(store: &Store, session: &Session, content: &[u8]) -> Result<(), Error> {
    let (temporary, path) = (session.temporary(), store.index_path());
    let created = failpoint!("store.index.create", File::create_new(&temporary));
    let written = created.and_then(|mut file| {
        failpoint!(write "store.index.write", &mut file, content)?;
        failpoint!("store.index.sync", file.sync_all())
    });
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary); // What stays is swept later.
        return Err(Error::io("write", temporary)(error));
    }
    failpoint!("store.index.rename", fs::rename(&temporary, &path))
        .map_err(Error::io("replace", &path))?;
    failpoint!("store.index.dirsync", platform::sync_dir(&store.root))
        .map_err(Error::io("sync", &store.root))
}

#[cfg(test)]
mod tests {
    use super::{
        super::naming::{self, tests::kit},
        *,
    };

    #[test]
    fn an_index_is_read_back_with_names_and_foreign_annotations() {
        let mut names = Names::default();
        let mut foreign = kit("z");
        foreign
            .annotations
            .insert(annotation::REF_NAME.to_owned(), "Not A Name".to_owned());
        foreign
            .annotations
            .insert("other".to_owned(), "kept".to_owned());
        naming::set_name(
            &mut names.entries,
            Some(&Reference::parse("a:1").unwrap()),
            &kit("x"),
        );
        naming::set_name(&mut names.entries, None, &foreign);
        let read = Names::from_index(Index::parse(&names.to_bytes()).unwrap());
        assert_eq!(read.entries, names.entries);
        assert_eq!(read.problems.len(), 1);
        assert_eq!(read.to_bytes(), names.to_bytes());
    }
}
