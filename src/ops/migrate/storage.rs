//! What `KitOps` keeps in its store, in either of its layouts. Nothing is believed, and nothing is
//! opened but for reading.
//!
//! The layout of today has all blobs in one place, and two files for each repository: an index,
//! and the tags. Its shared `index.json` is not read: it lists kits that were removed, its order is
//! random, and it is left half-written when two programs write at a time. The layout of old has an
//! OCI layout for each repository.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use crate::{
    archive::bundle::Bundle,
    limits::Limits,
    oci::{self, Descriptor, Index, annotation, layout::INDEX},
    ops::{Error, load::Source},
};

/// The folder of the store in the home of `KitOps`.
const STORAGE: &str = "storage";
const INDEX_SUFFIX: &str = "-index.json";
const TAGS_SUFFIX: &str = "-tags.json";

/// How many folders are looked through for layouts, and how deep.
const MAX_FOLDERS: usize = 100_000;
const MAX_DEPTH: usize = 130;

/// A store of `KitOps`.
pub(super) struct Storage {
    /// What it is called in messages.
    pub(super) shown: String,
    /// Its kits, by repository and digest.
    pub(super) kits: Vec<StoredKit>,
    /// Repositories of which something cannot be used, each with the reason.
    pub(super) problems: Vec<(String, Error)>,
}

/// A kit as it stands in one repository.
pub(super) struct StoredKit {
    /// The layout with its blobs.
    pub(super) source: Arc<Source>,
    /// Registry and repository as `KitOps` writes them: `localhost/net`.
    pub(super) repository: String,
    pub(super) descriptor: Descriptor,
    /// Its tags, sorted; not checked.
    pub(super) tags: BTreeSet<String>,
}

/// What is being collected.
struct Reading {
    bundle: Arc<Bundle>,
    shown: String,
    kits: BTreeMap<(String, crate::digest::Digest), StoredKit>,
    problems: Vec<(String, Error)>,
    is_store: bool,
    folders: usize,
}

/// Reads which kits there are in the home of `KitOps` or its storage folder at `path`.
pub(super) fn read(path: &Path) -> Result<Storage, Error> {
    let none = || Error::NoKitopsStore {
        path: path.to_owned(),
    };
    if !path.is_dir() {
        return Err(none());
    }
    let inner = path.join(STORAGE);
    let root = if inner.is_dir() { &*inner } else { path };
    let bundle = Arc::new(Bundle::open(root, &Limits::default())?);
    let shown = root.display().to_string();
    let mut reading = Reading {
        bundle,
        shown: shown.clone(),
        kits: BTreeMap::new(),
        problems: Vec::new(),
        is_store: false,
        folders: 0,
    };
    // Any OCI layout has an index: it alone tells of KitOps only where KitOps keeps its own.
    let real = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let is_storage = real.file_name().is_some_and(|name| name == STORAGE);
    reading.shared_layout(is_storage)?;
    reading.layouts_below("", 0)?;
    if !reading.is_store {
        return Err(none());
    }
    Ok(Storage {
        shown,
        kits: reading.kits.into_values().collect(),
        problems: reading.problems,
    })
}

impl Reading {
    fn source(&self, folder: &str) -> Arc<Source> {
        let shown = match folder {
            "" => self.shown.clone(),
            folder => format!("{}/{folder}", self.shown),
        };
        Arc::new(Source::new(Arc::clone(&self.bundle), shown, folder))
    }

    fn add(
        &mut self,
        source: &Arc<Source>,
        repository: &str,
        descriptor: Descriptor,
        tag: Option<String>,
    ) {
        let key = (repository.to_owned(), descriptor.digest);
        let kit = self.kits.entry(key).or_insert_with(|| StoredKit {
            source: Arc::clone(source),
            repository: repository.to_owned(),
            descriptor,
            tags: BTreeSet::new(),
        });
        kit.tags.extend(tag);
    }

    fn wrong(&mut self, source: &Source, repository: &str, name: &str, error: oci::Error) {
        let error = source.unreadable(name, error);
        self.problems.push((repository.to_owned(), error));
    }

    /// Reads the repositories of the layout of today.
    fn shared_layout(&mut self, is_storage: bool) -> Result<(), Error> {
        let (files, _) = self.bundle.names("")?;
        let source = self.source("");
        for name in files {
            self.is_store |= is_storage && name == INDEX;
            let (Some(repository), suffix) = repository(&name) else {
                continue;
            };
            self.is_store = true;
            let content = match source.read(&name, Index::MAX_LEN as u64) {
                Ok(content) => content.unwrap_or_default(), // Gone since it was listed.
                Err(error) => {
                    self.problems.push((repository, error));
                    continue;
                }
            };
            if suffix == INDEX_SUFFIX {
                self.index(&source, &name, &content, &repository, |_| None);
                continue;
            }
            match oci::tagged(&content) {
                Err(error) => self.wrong(&source, &repository, &name, error),
                Ok(tags) => {
                    for (tag, descriptor) in tags {
                        match descriptor {
                            Ok(kit) => self.add(&source, &repository, kit, Some(tag)),
                            Err(error) => self.wrong(&source, &repository, &name, error),
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn index(
        &mut self,
        source: &Arc<Source>,
        name: &str,
        content: &[u8],
        repository: &str,
        tag: impl Fn(&Descriptor) -> Option<String>,
    ) {
        match Index::parse_leniently(content) {
            Err(error) => self.wrong(source, repository, name, error),
            Ok((index, wrong)) => {
                for error in wrong {
                    self.wrong(source, repository, name, error);
                }
                for kit in index.manifests {
                    let tag = tag(&kit);
                    self.add(source, repository, kit, tag);
                }
            }
        }
    }

    /// Finds the layouts of old below `folder`, whose path is that of the repository.
    fn layouts_below(&mut self, folder: &str, depth: usize) -> Result<(), Error> {
        self.folders += 1;
        let (files, folders) = match self.bundle.names(folder) {
            Ok(names) => names,
            Err(error) if depth > 0 => {
                self.problems.push((folder.to_owned(), error.into()));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let is_layout = files.iter().any(|name| name == INDEX);
        // The first name is that of the registry. A store of this program is no repository, either.
        if is_layout && depth > 1 {
            self.is_store = true;
            let source = self.source(folder);
            match source.read(INDEX, Index::MAX_LEN as u64) {
                Ok(content) => {
                    let content = content.unwrap_or_default();
                    let tag = |kit: &Descriptor| kit.annotations.get(annotation::REF_NAME).cloned();
                    self.index(&source, INDEX, &content, folder, tag);
                }
                Err(error) => self.problems.push((folder.to_owned(), error)),
            }
        }
        for name in folders {
            // A layout's own folders, which may hold very many files.
            let is_own = (is_layout || depth == 0) && matches!(&*name, "blobs" | "ingest");
            if is_own || depth == MAX_DEPTH || self.folders >= MAX_FOLDERS {
                continue;
            }
            let below = match folder {
                "" => name,
                folder => format!("{folder}/{name}"),
            };
            self.layouts_below(&below, depth + 1)?;
        }
        Ok(())
    }
}

/// Returns the repository whose file is called `name`, and the suffix that tells which file it is.
fn repository(name: &str) -> (Option<String>, &'static str) {
    for suffix in [INDEX_SUFFIX, TAGS_SUFFIX] {
        if let Some(encoded) = name.strip_suffix(suffix) {
            let plain = encoded.replace('-', "+").replace('_', "/");
            let bytes = oci::decode_base64(&plain);
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            return (text.filter(|text| !text.is_empty()), suffix);
        }
    }
    (None, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_tell_repositories() {
        for (name, repository_name, suffix) in [
            (
                "bG9jYWxob3N0L18=-index.json",
                Some("localhost/_"),
                INDEX_SUFFIX,
            ),
            (
                "bG9jYWxob3N0L18=-tags.json",
                Some("localhost/_"),
                TAGS_SUFFIX,
            ),
            ("Pz8_-index.json", Some("???"), INDEX_SUFFIX),
            ("Pj4--tags.json", Some(">>>"), TAGS_SUFFIX),
            ("bG9jYWxob3N0L18-index.json", None, INDEX_SUFFIX),
            ("-index.json", None, INDEX_SUFFIX),
            ("_w==-index.json", None, INDEX_SUFFIX),
            ("index.json", None, ""),
            ("oci-layout", None, ""),
        ] {
            let expected = (repository_name.map(str::to_owned), suffix);
            assert_eq!(repository(name), expected, "{name}");
        }
    }
}
