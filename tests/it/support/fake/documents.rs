//! A registry of documents: manifests, configs and tags, each as a test wants it.

use std::collections::BTreeMap;

use super::{Answer, Recorded};
use crate::support::digest;

/// What the registry calls a manifest.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What the registry says under a name.
#[derive(Clone, Debug)]
struct Stored {
    media_type: String,
    /// What it says the digest is.
    digest: String,
    content: String,
}

/// One repository, `team/net`, that deletes nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Documents {
    tags: BTreeMap<String, Stored>,
    blobs: BTreeMap<String, String>,
}

impl Documents {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Stores a kit without layers whose package is called `name` under `tag`.
    pub(crate) fn kit(&mut self, tag: &str, name: &str) -> &mut Self {
        let config = config(name);
        let manifest = manifest(&config);
        self.blob(&config).tag(tag, MANIFEST, &manifest)
    }

    /// Stores a blob.
    pub(crate) fn blob(&mut self, content: &str) -> &mut Self {
        self.blobs
            .insert(digest(content.as_bytes()), content.to_owned());
        self
    }

    /// Stores a manifest under a tag.
    pub(crate) fn tag(&mut self, tag: &str, media_type: &str, content: &str) -> &mut Self {
        self.lie(tag, media_type, content, &digest(content.as_bytes()))
    }

    /// Stores a manifest under a tag, with a digest that may be another's.
    pub(crate) fn lie(
        &mut self,
        tag: &str,
        media_type: &str,
        content: &str,
        digest: &str,
    ) -> &mut Self {
        let stored = Stored {
            media_type: media_type.to_owned(),
            digest: digest.to_owned(),
            content: content.to_owned(),
        };
        self.tags.insert(tag.to_owned(), stored);
        self
    }

    /// Takes a tag off; true if it was there.
    pub(crate) fn untag(&mut self, tag: &str) -> bool {
        self.tags.remove(tag).is_some()
    }

    /// Answers as a registry does.
    pub(crate) fn answer(&self, request: &Recorded) -> Answer {
        if request.path() == "/v2/" {
            return Answer::new(200).body("{}");
        }
        let below = request.path().strip_prefix("/v2/team/net/");
        let unknown = |code: &str| {
            Answer::new(404).body(format!(
                r#"{{"errors":[{{"code":"{code}","message":"unknown"}}]}}"#
            ))
        };
        match below.and_then(|path| path.split_once('/')) {
            Some(("tags", "list")) => tags(self.tags.keys()),
            Some(("blobs", wanted)) => match self.blobs.get(wanted) {
                Some(content) => Answer::new(200).body(content.as_str()),
                None => unknown("BLOB_UNKNOWN"),
            },
            Some(("manifests", wanted)) => {
                let by_digest = || self.tags.values().find(|it| it.digest == wanted);
                match self.tags.get(wanted).or_else(by_digest) {
                    None => unknown("MANIFEST_UNKNOWN"),
                    Some(_) if request.method == "DELETE" => Answer::new(405),
                    Some(stored) => {
                        let is_head = request.method == "HEAD";
                        Answer::new(200)
                            .header("Content-Type", stored.media_type.as_str())
                            .header("Docker-Content-Digest", stored.digest.as_str())
                            .body(if is_head { "" } else { &stored.content })
                    }
                }
            }
            _ => unknown("NAME_UNKNOWN"),
        }
    }
}

/// Returns a page of tags.
pub(crate) fn tags<T: AsRef<str>>(tags: impl IntoIterator<Item = T>) -> Answer {
    let tags: Vec<String> = tags
        .into_iter()
        .map(|tag| tag.as_ref().to_owned())
        .collect();
    let page = serde_json::json!({ "name": "team/net", "tags": tags });
    Answer::new(200).body(page.to_string())
}

/// Returns the config of a kit whose package is called `name`.
pub(crate) fn config(name: &str) -> String {
    format!(r#"{{"manifestVersion":"1.0.0","package":{{"name":"{name}","authors":["Ann"]}}}}"#)
}

/// Returns the manifest of a kit without layers.
pub(crate) fn manifest(config: &str) -> String {
    let (digest, size) = (digest(config.as_bytes()), config.len());
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.kitops.modelkit.config.v1+json","digest":"{digest}","size":{size}}},"layers":[]}}"#
    )
}
