//! An OCI image layout as its files stand: the store, what `save` wrote, recorded artifacts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::digest;

/// A layout to be looked at. It reads files and believes nothing the program says about them.
pub(crate) struct Layout(PathBuf);

impl Layout {
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns the folder of the layout.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the index.
    pub(crate) fn index(&self) -> Value {
        serde_json::from_slice(&fs::read(self.0.join("index.json")).unwrap()).unwrap()
    }

    /// Returns the manifest digest for each name in the index.
    pub(crate) fn names(&self) -> BTreeMap<String, String> {
        let index = self.index();
        let manifests = index["manifests"].as_array().cloned().unwrap_or_default();
        manifests
            .iter()
            .filter_map(|manifest| {
                let name = manifest["annotations"]["org.opencontainers.image.ref.name"].as_str()?;
                Some((
                    name.to_owned(),
                    manifest["digest"].as_str().unwrap().to_owned(),
                ))
            })
            .collect()
    }

    /// Returns where the blob `digest` lies.
    pub(crate) fn blob_path(&self, digest: &str) -> PathBuf {
        self.0
            .join("blobs/sha256")
            .join(digest.strip_prefix("sha256:").unwrap())
    }

    /// Returns the content of the blob `digest`.
    #[track_caller]
    pub(crate) fn blob(&self, digest: &str) -> Vec<u8> {
        fs::read(self.blob_path(digest)).unwrap_or_else(|error| panic!("blob {digest}: {error}"))
    }

    /// Returns the manifest `digest`.
    #[track_caller]
    pub(crate) fn manifest(&self, digest: &str) -> Value {
        serde_json::from_slice(&self.blob(digest)).unwrap()
    }

    /// Returns (media type, digest, size) of each layer of the manifest `digest`.
    #[track_caller]
    pub(crate) fn layers(&self, digest: &str) -> Vec<(String, String, u64)> {
        let manifest = self.manifest(digest);
        let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
        layers
            .iter()
            .map(|layer| {
                let text = |key: &str| layer[key].as_str().unwrap().to_owned();
                (
                    text("mediaType"),
                    text("digest"),
                    layer["size"].as_u64().unwrap(),
                )
            })
            .collect()
    }

    /// Returns the digests of all blobs, by file name.
    pub(crate) fn blobs(&self) -> BTreeSet<String> {
        match fs::read_dir(self.0.join("blobs/sha256")) {
            Ok(entries) => entries
                .map(|entry| format!("sha256:{}", entry.unwrap().file_name().to_str().unwrap()))
                .collect(),
            Err(_) => BTreeSet::new(), // no store yet
        }
    }

    /// Returns the blobs whose content is not what their name says.
    pub(crate) fn damaged(&self) -> BTreeSet<String> {
        let mut blobs = self.blobs();
        blobs.retain(|name| digest(&self.blob(name)) != *name);
        blobs
    }
}

#[test]
fn recorded_artifacts_are_whole_and_have_their_names() {
    let mut count = 0;
    for entry in fs::read_dir(super::testdata("artifacts")).unwrap() {
        let layout = Layout::at(entry.unwrap().path());
        assert_eq!(layout.damaged(), BTreeSet::new(), "{:?}", layout.path());
        for digest in layout.names().values() {
            for (_, layer, size) in layout.layers(digest) {
                assert_eq!(layout.blob(&layer).len() as u64, size);
                count += 1;
            }
        }
    }
    assert!(count > 20, "only {count} layers were seen");
}
