//! What a manifest of any kind names: enough to copy it, nothing about what it means.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Descriptor, Error, Manifest, descriptor::Received, manifest::read, strict::Shape};

/// What a document names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Its own media type, as far as it says it.
    pub media_type: Option<String>,
    /// What it is, as others list it: its artifact type, else the type of its config.
    pub artifact_type: Option<String>,
    /// The config.
    pub config: Option<Descriptor>,
    /// Layers, without those that are never in a registry.
    pub layers: Vec<Descriptor>,
    /// Manifests, if it is an index.
    pub manifests: Vec<Descriptor>,
    /// The manifest that it is about.
    pub subject: Option<Descriptor>,
    /// What else it says, by key.
    pub annotations: BTreeMap<String, String>,
}

impl Contents {
    /// Reads a manifest or an index: of OCI, of Docker, of whatever has the same keys. What names
    /// both layers and manifests is refused, and so is what names neither.
    pub fn parse(content: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "manifest";
        let received: ReceivedContents = read(WHAT, Shape::Free, Manifest::MAX_LEN, content)?;
        let is_index = received.manifests.is_some();
        if is_index == (received.config.is_some() || received.layers.is_some()) {
            let key = if is_index { "layers" } else { "manifests" };
            return Err(Error::Ambiguous {
                document: WHAT,
                key,
            });
        }
        let one = |name: &'static str| move |it: Received| it.check(|| name.to_owned());
        let all = |list: Option<Vec<Received>>, name: &'static str| {
            let list = list.unwrap_or_default().into_iter().zip(1..);
            let list = list.map(|(it, number)| it.check(|| format!("{name} {number}")));
            list.collect::<Result<Vec<_>, _>>()
        };
        let config = received.config.map(one("config")).transpose()?;
        let mut layers = all(received.layers, "layer")?;
        layers.retain(|layer| !is_elsewhere(&layer.media_type));
        let named = received.artifact_type.filter(|it| !it.is_empty());
        Ok(Self {
            media_type: received.media_type.filter(|it| !it.is_empty()),
            artifact_type: named.or_else(|| config.as_ref().map(|it| it.media_type.clone())),
            config,
            layers,
            manifests: all(received.manifests, "manifest")?,
            subject: received.subject.map(one("subject")).transpose()?,
            annotations: received.annotations.unwrap_or_default(),
        })
    }
}

/// Tells whether layers of this type are fetched from where their vendor keeps them.
fn is_elsewhere(media_type: &str) -> bool {
    media_type.contains(".nondistributable.") || media_type.contains(".foreign.")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceivedContents {
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Received>,
    layers: Option<Vec<Received>>,
    manifests: Option<Vec<Received>>,
    subject: Option<Received>,
    annotations: Option<BTreeMap<String, String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_has_layers_or_manifests_can_be_copied() {
        let blob = |number: u8, media_type: &str| {
            let digest = crate::digest::Digest::of(&[number]);
            format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{number}}}"#)
        };
        let (one, two) = (blob(1, "a/config"), blob(2, "a/layer"));
        let foreign = blob(
            3,
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        );
        let text = format!(r#"{{"config":{one},"layers":[{two},{foreign}],"subject":{two}}}"#);
        let contents = Contents::parse(text.as_bytes()).unwrap();
        assert_eq!((contents.layers.len(), contents.layers[0].size), (1, 2));
        assert_eq!(contents.artifact_type.as_deref(), Some("a/config"));
        assert_eq!(contents.subject.unwrap().size, 2);
        let index = format!(r#"{{"mediaType":"an/index","manifests":[{one},{two}]}}"#);
        let contents = Contents::parse(index.as_bytes()).unwrap();
        assert_eq!(contents.media_type.as_deref(), Some("an/index"));
        assert_eq!(contents.manifests.len(), 2);
        for bad in [
            "{}".to_owned(),
            "[]".to_owned(),
            format!(r#"{{"config":{one},"manifests":[]}}"#),
            format!(r#"{{"config":{one},"config":{two}}}"#),
            r#"{"config":{"mediaType":"a","digest":"sha256:1","size":1}}"#.to_owned(),
        ] {
            assert!(Contents::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
