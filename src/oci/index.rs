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
        let (index, wrong) = Self::parse_leniently(content)?;
        match wrong.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(index),
        }
    }

    /// Reads an index as [`Index::parse`] does, but for entries that cannot be used: these are
    /// left out, and what is wrong with each is returned.
    pub fn parse_leniently(content: &[u8]) -> Result<(Self, Vec<Error>), Error> {
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
        let mut index = Self {
            manifests: Vec::new(),
            annotations: received.annotations.unwrap_or_default(),
        };
        let mut wrong = Vec::new();
        let manifests = received.manifests.unwrap_or_default();
        for (manifest, number) in manifests.into_iter().zip(1..) {
            match manifest.check(|| format!("manifest {number}")) {
                Ok(manifest) => index.manifests.push(manifest),
                Err(error) => wrong.push(error),
            }
        }
        Ok((index, wrong))
    }

    /// Returns the canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        json::to_vec(self)
    }
}

/// Reads an object whose keys are tags and whose values are descriptors, as `KitOps` keeps them
/// beside an index. Each descriptor is checked by itself.
pub fn tagged(content: &[u8]) -> Result<BTreeMap<String, Result<Descriptor, Error>>, Error> {
    let received: BTreeMap<String, Received> =
        read("list of tags", Shape::Free, Index::MAX_LEN, content)?;
    let check = |(tag, descriptor): (String, Received)| {
        let checked = descriptor.check(|| format!("tag `{}`", tag.escape_debug()));
        (tag, checked)
    };
    Ok(received.into_iter().map(check).collect())
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
