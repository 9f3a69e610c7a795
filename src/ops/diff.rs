//! Compares two kits: their documents, their layers by digest, and if wanted their files.

use std::collections::{HashMap, HashSet};

use super::{
    Error, files,
    kit::{self, Kit, Layer},
    unpack::KITFILE,
};
use crate::{
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
    /// The digest of its content.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Whether its owner may execute it.
    pub executable: bool,
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
    let mut report = sides(kits.each_ref().map(|kit| Side {
        digest: kit.descriptor.digest,
        manifest: kit.manifest.clone(),
    }));
    report.files = Some(if report.is_same() {
        Vec::new()
    } else {
        compare(&kits, store, progress)?
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

/// What decides which files a layer unpacks to: its content, and what is not in it but beside it.
#[derive(PartialEq, Eq, Hash)]
struct Content {
    digest: Digest,
    beside: Option<(String, bool)>,
}

impl Content {
    fn of(layer: &Layer) -> Self {
        let encoding = layer.layer_type.encoding;
        let beside = match layer.prefix() {
            _ if encoding.is_raw() => Some((layer.entry.clean.clone(), layer.executable())),
            Some(prefix) => Some((prefix.to_owned(), false)),
            None => None,
        };
        let unpacked = layer.entry.diff_id.filter(|_| encoding.is_compressed());
        Self {
            digest: unpacked.unwrap_or(layer.descriptor.digest),
            beside,
        }
    }
}

/// Compares the files of two kits.
fn compare(
    kits: &[Kit; 2],
    store: &Store,
    progress: &dyn Progress,
) -> Result<Vec<FileChange>, Error> {
    let contents = kits
        .each_ref()
        .map(|kit| kit.layers.iter().map(Content::of).collect::<HashSet<_>>());
    let own = [0, 1].map(|side| {
        let mut seen = HashSet::new();
        let layers = kits[side].layers.iter();
        layers
            .filter(|layer| {
                let content = Content::of(layer);
                !contents[1 - side].contains(&content) && seen.insert(content)
            })
            .collect::<Vec<&Layer>>()
    });
    let total = own.iter().flatten().map(|it| it.descriptor.size).sum();
    let meter = progress.begin("Comparing", Some(total));
    let mut listings = [HashMap::new(), HashMap::new()];
    for side in [0, 1] {
        let text = kits[side].kitfile.to_yaml();
        if text != kits[1 - side].kitfile.to_yaml() {
            let kitfile = File {
                digest: Digest::of(text.as_bytes()),
                size: text.len() as u64,
                executable: false,
            };
            listings[side].insert(KITFILE.as_bytes().to_vec(), kitfile);
        }
        for layer in &own[side] {
            files::contents(layer, store, progress, &mut |file, digest| {
                let (size, executable) = (file.size, file.executable);
                let known = File {
                    digest,
                    size,
                    executable,
                };
                listings[side].insert(file.path, known);
            })?;
            meter.advance(layer.descriptor.size);
        }
    }
    let [old, new] = listings;
    Ok(changes(old, new))
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
