//! What a registry holds, served as registries do: manifests by tag and digest, blobs in parts.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

use serde_json::{Value, json};

use super::{Answer, Recorded};
use crate::support::{Layout, Sandbox, digest, foreign, kits};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Kits in one repository, whatever it is called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    tags: BTreeMap<String, String>,
    /// Type and bytes by digest.
    manifests: HashMap<String, (String, Arc<[u8]>)>,
    blobs: HashMap<String, Arc<[u8]>>,
}

impl Shelf {
    /// Returns a shelf with all kits of a layout, under the tags they have there.
    pub(crate) fn of(layout: &Layout) -> Self {
        let mut shelf = Self::default();
        for (name, manifest) in layout.names() {
            let tag = name.rsplit(':').next().unwrap();
            let bytes = layout.blob(&manifest);
            assert_eq!(shelf.put(tag, MANIFEST, &bytes), manifest);
        }
        for digest in layout.blobs() {
            let blob = layout.blob(&digest);
            shelf.blobs.insert(digest, blob.into());
        }
        shelf
    }

    /// Returns a shelf with one kit, `1`, whose model has this content.
    pub(crate) fn with_model(content: &[u8]) -> Self {
        let kit = Sandbox::new();
        kit.file("packed/model.bin", content);
        let kitfile = "manifestVersion: 1.0.0\npackage: {name: net}\n\
                       model: {name: net, path: model.bin}\n";
        kits::pack_kitfile(&kit, "team/net:1", kitfile);
        Self::of(&kit.store())
    }

    /// Puts a document of this type under a tag, and returns its digest.
    pub(crate) fn put(&mut self, tag: &str, media_type: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        self.tags.insert(tag.to_owned(), digest.clone());
        let document = (media_type.to_owned(), bytes.into());
        self.manifests.insert(digest.clone(), document);
        digest
    }

    /// Puts a kit with this config and no layers under a tag.
    pub(crate) fn put_kit(&mut self, tag: &str, config: &[u8]) {
        let config_digest = digest(config);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": foreign::MODELKIT_CONFIG,
                "digest": config_digest,
                "size": config.len(),
            },
            "layers": [],
        });
        self.blobs.insert(config_digest, config.into());
        self.put(tag, MANIFEST, manifest.to_string().as_bytes());
    }

    /// Returns a manifest as it is sent.
    pub(crate) fn manifest_bytes(&self, digest: &str) -> &[u8] {
        &self.manifests[digest].1
    }

    /// Returns a manifest, by its digest.
    pub(crate) fn manifest(&self, digest: &str) -> Value {
        serde_json::from_slice(self.manifest_bytes(digest)).unwrap()
    }

    /// Returns the digest that a tag names.
    pub(crate) fn digest(&self, tag: &str) -> String {
        self.tags[tag].clone()
    }

    /// Returns a blob, by its digest.
    pub(crate) fn blob(&self, digest: &str) -> &Arc<[u8]> {
        &self.blobs[digest]
    }

    /// Tells whether a blob is there.
    pub(crate) fn has(&self, digest: &str) -> bool {
        self.blobs.contains_key(digest)
    }

    /// Returns the largest blob and its digest.
    pub(crate) fn largest(&self) -> (String, Arc<[u8]>) {
        let largest = self.blobs.iter().max_by_key(|(_, blob)| blob.len());
        let (digest, blob) = largest.unwrap();
        (digest.clone(), Arc::clone(blob))
    }

    /// Returns how many bytes the blobs of the kit `tag` have, with config.
    pub(crate) fn size(&self, tag: &str) -> u64 {
        let manifest = self.manifest(&self.tags[tag]);
        let layers = manifest["layers"].as_array().unwrap();
        let all = layers.iter().chain([&manifest["config"]]);
        all.map(|blob| blob["size"].as_u64().unwrap()).sum()
    }

    /// Puts a blob under a digest, which may be that of something else.
    pub(crate) fn put_blob(&mut self, digest: &str, bytes: Arc<[u8]>) {
        self.blobs.insert(digest.to_owned(), bytes);
    }

    /// Takes a blob away.
    pub(crate) fn lose(&mut self, digest: &str) {
        self.blobs.remove(digest).unwrap();
    }

    /// Changes one byte of a blob that keeps its name.
    pub(crate) fn damage(&mut self, digest: &str) {
        let mut blob = self.blobs[digest].to_vec();
        let middle = blob.len() / 2;
        blob[middle] ^= 1;
        self.blobs.insert(digest.to_owned(), blob.into());
    }

    /// Answers as a registry does that does everything right.
    pub(crate) fn answer(&self, request: &Recorded) -> Answer {
        let path = request.path();
        if path == "/v2/" {
            return Answer::new(200).body("{}");
        }
        if let Some((_, name)) = path.split_once("/manifests/") {
            let digest = self.tags.get(name).map_or(name, |digest| digest);
            return match self.manifests.get(digest) {
                Some((media_type, bytes)) => Answer::new(200)
                    .header("Content-Type", media_type)
                    .header("Docker-Content-Digest", digest)
                    .content(bytes, 0..bytes.len()),
                None => refusal(404, "MANIFEST_UNKNOWN"),
            };
        }
        match asked_blob(request).and_then(|digest| self.blobs.get(digest)) {
            Some(blob) => part(blob, request.range(blob.len())),
            None => refusal(404, "BLOB_UNKNOWN"),
        }
    }
}

/// Returns the digest of the blob that is asked for.
pub(crate) fn asked_blob(request: &Recorded) -> Option<&str> {
    let (_, digest) = request.path().split_once("/blobs/")?;
    Some(digest)
}

/// Answers with a part of a blob, or all of it.
pub(crate) fn part(blob: &Arc<[u8]>, range: Option<Range<usize>>) -> Answer {
    match range {
        None => Answer::new(200).content(blob, 0..blob.len()),
        Some(range) if range.start >= range.end => {
            Answer::new(416).header("Content-Range", format!("bytes */{}", blob.len()))
        }
        Some(range) => Answer::new(206)
            .header(
                "Content-Range",
                format!("bytes {}-{}/{}", range.start, range.end - 1, blob.len()),
            )
            .content(blob, range),
    }
}

/// Answers with an error.
pub(crate) fn refusal(status: u16, code: &str) -> Answer {
    Answer::new(status).body(format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#))
}
