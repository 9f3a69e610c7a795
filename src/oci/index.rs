//! The list of manifests that makes blobs a store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use super::{
    Descriptor, Error,
    descriptor::Received,
    json,
    manifest::{Present, check_head, read},
    media_type,
    strict::Shape,
};

/// An image index: `index.json` of a layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// The manifests, in the order they are listed.
    pub manifests: Vec<Descriptor>,
    /// What else is known, by key.
    pub annotations: BTreeMap<String, String>,
}

impl Index {
    /// The longest index that is read, in bytes: more than 100,000 kits.
    pub const MAX_LEN: usize = 64 << 20;

    /// Reads an index as strictly as [`super::Manifest::parse`] reads a manifest. `manifests` may
    /// be `null`, as others write when there are none, but not missing.
    pub fn parse(content: &[u8]) -> Result<Self, Error> {
        let received: ReceivedIndex = read("index", Shape::Index, Self::MAX_LEN, content)?;
        check_head(
            "index",
            &received.schema_version,
            received.media_type,
            media_type::INDEX,
        )?;
        for (present, key) in [(received.config, "config"), (received.layers, "layers")] {
            if present.0 {
                return Err(Error::Ambiguous {
                    document: "index",
                    key,
                });
            }
        }
        Ok(Self {
            manifests: received
                .manifests
                .unwrap_or_default()
                .into_iter()
                .zip(1..)
                .map(|(manifest, number)| manifest.check(|| format!("manifest {number}")))
                .collect::<Result<_, _>>()?,
            annotations: received.annotations.unwrap_or_default(),
        })
    }

    /// Returns the canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        json::to_vec(self)
    }
}

impl Serialize for Index {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Written<'a> {
            schema_version: u8,
            media_type: &'a str,
            manifests: &'a [Descriptor],
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            annotations: &'a BTreeMap<String, String>,
        }
        Written {
            schema_version: 2,
            media_type: media_type::INDEX,
            manifests: &self.manifests,
            annotations: &self.annotations,
        }
        .serialize(serializer)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceivedIndex {
    schema_version: serde_json::Number,
    media_type: Option<String>,
    manifests: Option<Vec<Received>>,
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    config: Present,
    #[serde(default)]
    layers: Present,
}
