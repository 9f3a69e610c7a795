//! The document that a kit's digest names.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{
    Deserialize, Serialize, Serializer,
    de::{self, IgnoredAny},
};

use super::{Descriptor, Error, descriptor::Received, json, media_type, strict::Shape};

/// An image manifest: one config and the layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What the artifact is, if it says so.
    pub artifact_type: Option<String>,
    /// The blob that describes the kit.
    pub config: Descriptor,
    /// The blobs with the files, in packing order.
    pub layers: Vec<Descriptor>,
    /// What else is known, by key.
    pub annotations: BTreeMap<String, String>,
    /// The manifest this one adds something to.
    pub subject: Option<Descriptor>,
}

impl Manifest {
    /// The longest manifest that is read, in bytes: registries allow no more either.
    pub const MAX_LEN: usize = 4 << 20;
    /// The most bytes that its blobs may have together, equal ones too.
    pub const MAX_SIZE: u64 = 1 << 60;

    /// Reads a manifest, strictly.
    ///
    /// Refused are: more than 4 MiB or 10,000 layers, a schema version other than 2, the media
    /// type or the keys of an index, a key that stands twice anywhere or differs from a known one
    /// by letter case only, digests other than SHA-256, impossible sizes, embedded data that does
    /// not match. Other unknown keys are ignored. Layers may be missing or `null`: none.
    pub fn parse(content: &[u8]) -> Result<Self, Error> {
        let received: ReceivedManifest = read("manifest", Shape::Manifest, Self::MAX_LEN, content)?;
        check_head(
            "manifest",
            &received.schema_version,
            received.media_type,
            media_type::MANIFEST,
        )?;
        if received.manifests.0 {
            return Err(Error::Ambiguous {
                document: "manifest",
                key: "manifests",
            });
        }
        // Asked for only now: what is an index should be called an index.
        let config = received.config.ok_or_else(|| Error::Malformed {
            document: "manifest",
            source: de::Error::custom("`config` is missing"),
        })?;
        let layers = received.layers.unwrap_or_default();
        let manifest = Self {
            artifact_type: received
                .artifact_type
                .filter(|artifact| !artifact.is_empty()),
            config: config.check(|| "config".to_owned())?,
            layers: layers
                .into_iter()
                .zip(1..)
                .map(|(layer, number)| layer.check(|| format!("layer {number}")))
                .collect::<Result<_, _>>()?,
            annotations: received.annotations.unwrap_or_default(),
            subject: received
                .subject
                .map(|subject| subject.check(|| "subject".to_owned()))
                .transpose()?,
        };
        let mut sizes = HashMap::new();
        let mut total = 0_u64;
        for blob in manifest.descriptors() {
            // So that whoever adds them up need not think of it.
            total = total.saturating_add(blob.size);
            if total > Self::MAX_SIZE {
                return Err(Error::TooLarge);
            }
            if *sizes.entry(blob.digest).or_insert(blob.size) != blob.size {
                let digest = blob.digest;
                return Err(Error::TwoSizes { digest });
            }
        }
        Ok(manifest)
    }

    /// Returns the canonical bytes: equal manifests have equal bytes, and so equal digests.
    pub fn to_bytes(&self) -> Vec<u8> {
        json::to_vec(self)
    }

    /// Returns the config and then the layers, in order, equal ones too.
    pub fn descriptors(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }

    /// Returns the config and then the layers, each blob once: what must be there for the kit to
    /// be complete.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let mut seen = HashSet::new();
        self.descriptors()
            .filter(move |blob| seen.insert(blob.digest))
    }
}

impl Serialize for Manifest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Written<'a> {
            schema_version: u8,
            media_type: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            artifact_type: &'a Option<String>,
            config: &'a Descriptor,
            layers: &'a [Descriptor],
            #[serde(skip_serializing_if = "Option::is_none")]
            subject: &'a Option<Descriptor>,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            annotations: &'a BTreeMap<String, String>,
        }
        Written {
            schema_version: 2,
            media_type: media_type::MANIFEST,
            artifact_type: &self.artifact_type,
            config: &self.config,
            layers: &self.layers,
            subject: &self.subject,
            annotations: &self.annotations,
        }
        .serialize(serializer)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceivedManifest {
    schema_version: serde_json::Number,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Received>,
    layers: Option<Vec<Received>>,
    subject: Option<Received>,
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    manifests: Present,
}

/// Whether a key is there, with whatever value.
#[derive(Default)]
pub(super) struct Present(pub(super) bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

/// Reads a document of known shape after looking for what makes it ambiguous.
pub(super) fn read<'a, T: Deserialize<'a>>(
    document: &'static str,
    shape: Shape,
    limit: usize,
    content: &'a [u8],
) -> Result<T, Error> {
    if content.len() > limit {
        return Err(Error::TooLong {
            document,
            size: content.len(),
            limit,
        });
    }
    let malformed = |source| Error::Malformed { document, source };
    let text =
        std::str::from_utf8(content).map_err(|source| malformed(de::Error::custom(source)))?;
    shape.check(text).map_err(malformed)?;
    serde_json::from_str(text).map_err(malformed)
}

/// Checks that a document is of the kind and version that is expected.
pub(super) fn check_head(
    document: &'static str,
    schema_version: &serde_json::Number,
    media_type: Option<String>,
    expected: &'static str,
) -> Result<(), Error> {
    if schema_version.as_u64() != Some(2) {
        return Err(Error::SchemaVersion {
            document,
            found: schema_version.to_string(),
        });
    }
    match media_type {
        Some(found) if !found.is_empty() && found != expected => Err(Error::MediaType {
            document,
            found,
            expected,
        }),
        _ => Ok(()),
    }
}
