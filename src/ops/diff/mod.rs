//! Compares two kits: their documents, their layers by digest, and if wanted their files.

mod files;

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use super::{
    Error,
    kit::{self, Kit},
    sources::Sources,
};
use crate::{
    chunk::FileDigest,
    digest::Digest,
    oci::{Descriptor, Manifest},
    progress::{Progress, Silent},
    reference::Reference,
    store::Store,
};

/// How two kits differ.
#[derive(Debug)]
pub struct Report {
    /// The digests of the manifests.
    pub digests: [Digest; 2],
    /// The configs.
    pub configs: [Descriptor; 2],
    /// Whether the manifests have equal annotations.
    pub same_annotations: bool,
    /// The layers that are in both, by media type.
    pub shared: Vec<Descriptor>,
    /// The layers that are only in the one, and only in the other, by media type.
    pub unique: [Vec<Descriptor>; 2],
    /// The files that differ, by path, if that was asked for.
    pub files: Option<Vec<FileChange>>,
}

impl Report {
    /// Tells whether the two are one kit.
    pub fn is_same(&self) -> bool {
        self.digests[0] == self.digests[1]
    }
}

/// A file that is not the same in both kits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// The path it unpacks to.
    pub path: Vec<u8>,
    /// What it is in the first kit; `None` if it is not there.
    pub old: Option<File>,
    /// What it is in the second kit; `None` if it is not there.
    pub new: Option<File>,
}

/// A file in one of the kits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    /// The digest of its content: of one kind on both sides.
    pub digest: ContentDigest,
    /// Its length in bytes.
    pub size: u64,
    /// Whether its owner may execute it.
    pub executable: bool,
}

/// What the content of files is compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentDigest {
    /// The SHA-256 of all of it.
    Whole(Digest),
    /// The digest of its chunks, where tables of contents tell of it.
    Chunks(FileDigest),
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(digest) => digest.fmt(f),
            Self::Chunks(digest) => write!(f, "chunks:{digest}"),
        }
    }
}

/// How a file differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Only in the second kit.
    Added,
    /// Only in the first.
    Removed,
    /// In both, with other content.
    Modified,
    /// In both with the same content, executable in one of them only.
    Mode,
}

impl FileChange {
    /// Tells how the file differs.
    pub fn change(&self) -> Change {
        match (&self.old, &self.new) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            (Some(old), Some(new)) if old.digest != new.digest => Change::Modified,
            _ => Change::Mode,
        }
    }
}

/// One of two kits that are compared.
#[derive(Clone, Debug)]
pub struct Side {
    /// The digest of its manifest.
    pub digest: Digest,
    /// Its manifest.
    pub manifest: Manifest,
}

/// Compares the kits in `store` that `references` name, with their files: those layers are read,
/// once and to their ends, whose content is not that of a layer of the other kit; memory is taken
/// for their lists of files alone.
pub fn run(
    store: &Store,
    references: [&Reference; 2],
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let kits = kit::open_pair(store, references, progress)?;
    let sources = Sources {
        store,
        streams: None,
        objects: None,
        unverified: false,
    };
    of_kits(&kits, &sources, progress)
}

/// Compares two kits with their files, wherever they are. Of layers in registries the tables of
/// contents are read; one that has none is read to its end, once.
pub fn of_kits(
    kits: &[Kit; 2],
    sources: &Sources<'_>,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let mut report = sides(kits.each_ref().map(|kit| Side {
        digest: kit.descriptor.digest,
        manifest: kit.manifest.clone(),
    }));
    report.files = Some(if report.is_same() {
        Vec::new()
    } else {
        files::compare(kits, sources, progress)?
    });
    Ok(report)
}

/// Compares two kits by what their manifests say.
pub fn sides([first, second]: [Side; 2]) -> Report {
    let (a, b) = (first.manifest, second.manifest);
    let (in_a, in_b) = (digests(&a), digests(&b));
    Report {
        digests: [first.digest, second.digest],
        same_annotations: a.annotations == b.annotations,
        shared: layers(&a, |digest| in_b.contains(digest)),
        unique: [
            layers(&a, |digest| !in_b.contains(digest)),
            layers(&b, |digest| !in_a.contains(digest)),
        ],
        configs: [a.config, b.config],
        files: None,
    }
}

/// Reads the manifest of the kit in `store` that `reference` names.
pub fn side(store: &Store, reference: &Reference, progress: &dyn Progress) -> Result<Side, Error> {
    let descriptor = store.resolve(reference, progress)?.descriptor;
    match store.manifest(&descriptor) {
        Ok(stored) => Ok(Side {
            digest: descriptor.digest,
            manifest: stored.manifest,
        }),
        Err(error) => {
            // Gone meanwhile is not damaged.
            store.resolve(reference, &Silent)?;
            Err(error.into())
        }
    }
}

fn digests(manifest: &Manifest) -> HashSet<Digest> {
    manifest.layers.iter().map(|layer| layer.digest).collect()
}

/// Returns the layers whose digest `wanted` selects, each once, by media type.
fn layers(manifest: &Manifest, wanted: impl Fn(&Digest) -> bool) -> Vec<Descriptor> {
    let mut seen = HashSet::new();
    let layers = manifest.layers.iter();
    let mut layers: Vec<_> = layers
        .filter(|layer| wanted(&layer.digest) && seen.insert(layer.digest))
        .cloned()
        .collect();
    layers.sort_by(|a, b| a.media_type.cmp(&b.media_type));
    layers
}

/// Returns what differs between two lists of files, by path.
fn changes(old: HashMap<Vec<u8>, File>, mut new: HashMap<Vec<u8>, File>) -> Vec<FileChange> {
    let mut changes = Vec::new();
    for (path, old) in old {
        let new = new.remove(&path);
        if new != Some(old) {
            let old = Some(old);
            changes.push(FileChange { path, old, new });
        }
    }
    changes.extend(new.into_iter().map(|(path, new)| FileChange {
        path,
        old: None,
        new: Some(new),
    }));
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}
