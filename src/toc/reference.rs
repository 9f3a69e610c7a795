//! What a manifest says about its table of contents.

use std::collections::BTreeMap;

use super::{Error, Root};
use crate::{
    digest::Digest,
    oci::{Descriptor, Manifest, annotation, media_type},
};

const KEYS: [&str; 4] = [
    annotation::TOC_DIGEST,
    annotation::TOC_SIZE,
    annotation::TOC_ROOT_DIGEST,
    annotation::TOC_ROOT_SIZE,
];

/// The table of contents that a manifest names. What has these digests is as much to be believed
/// as the manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TocRef {
    /// The digest of the blob.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// The digest of the root, with which it begins.
    pub root_digest: Digest,
    /// The length of the root in bytes.
    pub root_size: u64,
}

impl TocRef {
    /// Returns what a manifest says about the blob with this digest, which begins with `root`.
    pub fn new(digest: Digest, root: &Root) -> Self {
        let bytes = root.to_bytes();
        Self {
            digest,
            size: root.size(),
            root_digest: Digest::of(&bytes),
            root_size: bytes.len() as u64,
        }
    }

    /// Returns what the annotations of `manifest` say; `None` if they name no table of contents.
    pub fn of(manifest: &Manifest) -> Result<Option<Self>, Error> {
        let annotations = &manifest.annotations;
        if !KEYS.iter().any(|key| annotations.contains_key(*key)) {
            return Ok(None);
        }
        let value = |key| {
            let value = annotations.get(key).map(String::as_str);
            value.ok_or(Error::MissingAnnotation { key })
        };
        let wrong = |key, value: &str| Error::Annotation {
            key,
            value: value.chars().take(100).collect(),
        };
        let digest = |key| {
            let value = value(key)?;
            value.parse().map_err(|_| wrong(key, value))
        };
        let size = |key, allowed: std::ops::RangeInclusive<u64>| {
            let value = value(key)?;
            value
                .parse()
                .ok()
                // As it is written here, and in no other way.
                .filter(|size: &u64| size.to_string() == value && allowed.contains(size))
                .ok_or_else(|| wrong(key, value))
        };
        // With segments that are no layers there can be no root either.
        let count = manifest.plain_layers().map_or(0, |layers| layers.len());
        let root = Root::length(count);
        let most = Root::most(count);
        Ok(Some(Self {
            digest: digest(annotation::TOC_DIGEST)?,
            size: size(annotation::TOC_SIZE, root..=most)?,
            root_digest: digest(annotation::TOC_ROOT_DIGEST)?,
            root_size: size(annotation::TOC_ROOT_SIZE, root..=root)?,
        }))
    }

    /// Sets the annotations of a manifest, over those that may be there.
    pub fn annotate(&self, annotations: &mut BTreeMap<String, String>) {
        let values = [
            self.digest.to_string(),
            self.size.to_string(),
            self.root_digest.to_string(),
            self.root_size.to_string(),
        ];
        annotations.extend(KEYS.map(str::to_owned).into_iter().zip(values));
    }

    /// Takes the annotations of a table of contents away, and tells whether there were any.
    pub fn strip(annotations: &mut BTreeMap<String, String>) -> bool {
        let before = annotations.len();
        annotations.retain(|key, _| !KEYS.contains(&key.as_str()));
        annotations.len() < before
    }

    /// Returns the descriptor of the blob.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(media_type::TOC, self.digest, self.size)
    }
}
