//! Kits as other tools write them, blob by blob, as a layout to be loaded.

use std::{fs, io::Write as _, path::PathBuf};

use serde_json::{Value, json};

use super::{Sandbox, digest};

pub(crate) const MODELKIT_CONFIG: &str = "application/vnd.kitops.modelkit.config.v1+json";

/// Loads the kit in `layout` as `x:1`.
pub(crate) fn load(kit: &Sandbox, layout: &str) {
    kit.run(["load", layout, "-t", "x:1"]).success();
}

/// A kit that is being made.
pub(crate) struct ForeignKit {
    folder: PathBuf,
    layers: Vec<Value>,
    pub(crate) annotations: Value,
}

impl ForeignKit {
    /// Begins a kit in the new folder `name` of the working directory.
    pub(crate) fn new(kit: &Sandbox, name: &str) -> Self {
        kit.dir(format!("{name}/blobs/sha256"));
        Self {
            folder: kit.path(name),
            layers: Vec::new(),
            annotations: json!({}),
        }
    }

    fn blob(&self, content: &[u8]) -> String {
        let digest = digest(content);
        let path = self.folder.join("blobs/sha256").join(&digest[7..]);
        fs::write(path, content).unwrap();
        digest
    }

    /// Adds a layer and returns its digest.
    pub(crate) fn layer(
        &mut self,
        media_type: &str,
        content: &[u8],
        annotations: &Value,
    ) -> String {
        let digest = self.blob(content);
        let mut layer = json!({"mediaType": media_type, "digest": digest, "size": content.len()});
        if annotations.as_object().is_some_and(|it| !it.is_empty()) {
            layer["annotations"] = annotations.clone();
        }
        self.layers.push(layer);
        digest
    }

    /// Writes the config and the manifest, called `v1`, and returns what `load` is to be given.
    pub(crate) fn finish(self, config_type: &str, config: &Value) -> String {
        let text = config.to_string();
        let mut manifest = json!({
            "schemaVersion": 2,
            "config": {
                "mediaType": config_type,
                "digest": self.blob(text.as_bytes()),
                "size": text.len(),
            },
            "layers": self.layers,
        });
        if self
            .annotations
            .as_object()
            .is_some_and(|it| !it.is_empty())
        {
            manifest["annotations"] = self.annotations.clone();
        }
        let manifest = manifest.to_string();
        let index = json!({"schemaVersion": 2, "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": self.blob(manifest.as_bytes()),
            "size": manifest.len(),
            "annotations": {"org.opencontainers.image.ref.name": "v1"},
        }]});
        fs::write(self.folder.join("index.json"), index.to_string()).unwrap();
        let layout = r#"{"imageLayoutVersion":"1.0.0"}"#;
        fs::write(self.folder.join("oci-layout"), layout).unwrap();
        self.folder.to_str().unwrap().to_owned()
    }
}

/// Puts `x:1` into the store, a kit of one model `net` at `m` with the layer `bytes`, which unpacks to `plain`.
pub(crate) fn one_layer(
    kit: &Sandbox,
    encoding: &str,
    bytes: &[u8],
    plain: &[u8],
    annotations: &Value,
) {
    let mut foreign = ForeignKit::new(kit, "layout");
    let media_type = format!("application/vnd.kitops.modelkit.model.v1.{encoding}");
    let digest_of_layer = foreign.layer(&media_type, bytes, annotations);
    let config = json!({"manifestVersion": "1.0.0", "package": {}, "model": {
        "name": "net", "path": "m", "digest": digest_of_layer, "diffId": digest(plain),
    }});
    load(kit, &foreign.finish(MODELKIT_CONFIG, &config));
}

/// Returns `content` as one gzip member.
pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

/// Returns `content` as one zstd frame.
pub(crate) fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}
