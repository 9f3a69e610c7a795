//! The Kitfile of a `ModelPack` that has none: made up from what its config and its layers say.

use std::collections::HashSet;

use serde::Deserialize;

use super::{
    Code, ConfigError, Dataset, Docs, Kitfile, Layer, MAX_CONFIG_BYTES, Model, Package, Part,
    Problem, Prompt, clean::is_kit_reference, config,
};
use crate::{digest::Digest, oci::LayerKind};

/// The config of a `ModelPack`, as far as a Kitfile can say the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelPackConfig {
    descriptor: Descriptor,
    format: String,
    /// The diffIds of the layers in the order of the manifest; `None` if the config has no list.
    pub diff_ids: Option<Vec<Digest>>,
}

/// A layer of a `ModelPack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelPackLayer<'a> {
    /// What its files are for.
    pub kind: LayerKind,
    /// Whether it is said to hold prompts.
    pub is_prompt: bool,
    /// The cleaned path of its file or folder; `.` if it does not say.
    pub path: &'a str,
    /// Where it is.
    pub layer: Layer,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Descriptor {
    name: Option<String>,
    version: Option<String>,
    title: Option<String>,
    description: Option<String>,
    authors: Option<Vec<String>>,
    licenses: Option<Vec<String>>,
}

/// What is read of the document. Fields of newer and older versions are ignored.
#[derive(Deserialize)]
struct Document {
    descriptor: Option<Descriptor>,
    config: Option<Technical>,
    modelfs: Option<Files>,
}

#[derive(Deserialize)]
struct Technical {
    format: Option<String>,
}

#[derive(Deserialize)]
struct Files {
    /// The first versions spelled it otherwise.
    #[serde(alias = "diff_ids", rename = "diffIds")]
    diff_ids: Option<Vec<Digest>>,
}

impl ModelPackConfig {
    /// Reads the config of a `ModelPack`.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        if bytes.len() > MAX_CONFIG_BYTES {
            return Err(config::too_large());
        }
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|error| ConfigError::from(Problem::at(None, error.to_string())))?;
        Ok(Self {
            descriptor: document.descriptor.unwrap_or_default(),
            format: document
                .config
                .and_then(|config| config.format)
                .unwrap_or_default(),
            diff_ids: document.modelfs.and_then(|files| files.diff_ids),
        })
    }

    /// Makes up a Kitfile: one element for each path, in the section that the first layer of that
    /// path belongs to. The first weights are the model, other weights and what configures them
    /// its parts.
    pub fn kitfile<'a>(&self, layers: impl Iterator<Item = ModelPackLayer<'a>>) -> Kitfile {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let said = &self.descriptor;
        let description = said.description.as_ref().filter(|text| !text.is_empty());
        let mut kitfile = Kitfile {
            manifest_version: "1.0.0".to_owned(),
            package: Package {
                name: text(&said.name),
                version: text(&said.version),
                description: description.cloned().unwrap_or_else(|| text(&said.title)),
                license: license(said.licenses.as_deref().unwrap_or_default()),
                authors: said.authors.clone().unwrap_or_default(),
            },
            ..Kitfile::default()
        };
        let mut paths = HashSet::new();
        for ModelPackLayer {
            kind,
            is_prompt,
            path: clean,
            layer,
        } in layers
        {
            if !paths.insert(clean) {
                continue;
            }
            // What could be the name of a kit is not.
            let path = if is_kit_reference(clean) {
                format!("./{clean}")
            } else {
                clean.to_owned()
            };
            let model = &mut kitfile.model;
            match kind {
                LayerKind::Model if model.as_ref().is_none_or(|model| model.path.is_empty()) => {
                    let model = model.get_or_insert_default();
                    (model.path, model.layer) = (path, layer);
                }
                LayerKind::Model | LayerKind::ModelPart => {
                    model.get_or_insert_default().parts.push(Part {
                        path,
                        layer,
                        ..Part::default()
                    });
                }
                LayerKind::Code if is_prompt => kitfile.prompts.push(Prompt {
                    path,
                    layer,
                    ..Prompt::default()
                }),
                LayerKind::Code => kitfile.code.push(Code {
                    path,
                    layer,
                    ..Code::default()
                }),
                LayerKind::Dataset => kitfile.datasets.push(Dataset {
                    path,
                    layer,
                    ..Dataset::default()
                }),
                LayerKind::Docs => kitfile.docs.push(Docs {
                    path,
                    layer,
                    ..Docs::default()
                }),
                LayerKind::McpServer => {} // No `ModelPack` has these.
            }
        }
        if let Some(model) = &mut kitfile.model {
            *model = Model {
                name: text(&said.name),
                format: self.format.clone(),
                ..std::mem::take(model)
            };
        }
        kitfile
    }
}

/// Returns one licence expression for all, since all of them hold for the kit.
fn license(licenses: &[String]) -> String {
    match licenses {
        [one] => one.clone(),
        many => {
            let terms = many.iter().map(|it| {
                if it.contains(' ') {
                    format!("({it})")
                } else {
                    it.clone()
                }
            });
            terms.collect::<Vec<_>>().join(" AND ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(kind: LayerKind, path: &str) -> ModelPackLayer<'_> {
        ModelPackLayer {
            kind,
            is_prompt: false,
            path,
            layer: Layer {
                digest: Some(Digest::of(path.as_bytes())),
                diff_id: None,
            },
        }
    }

    #[test]
    fn a_kitfile_is_made_up_from_the_config_and_the_layers() {
        let config = ModelPackConfig::parse(
            br#"{"descriptor":{"name":"net","version":"2","authors":["Ann","Bo"],"title":"a title",
                "licenses":["MIT","Apache-2.0 OR GPL-2.0"],"vendor":"x"},
                "config":{"format":"gguf","paramSize":"8b"},
                "modelfs":{"type":"layers","diffIds":[]}}"#,
        )
        .unwrap();
        let prompt = ModelPackLayer {
            is_prompt: true,
            ..layer(LayerKind::Code, "hello.md")
        };
        let kitfile = config.kitfile(
            [
                layer(LayerKind::ModelPart, "config.json"),
                layer(LayerKind::Model, "a.gguf"),
                layer(LayerKind::Model, "b:2"),
                layer(LayerKind::Code, "run.py"),
                layer(LayerKind::Docs, "run.py"),
                prompt,
                layer(LayerKind::Dataset, "data"),
                layer(LayerKind::Docs, "README.md"),
            ]
            .into_iter(),
        );
        let expected = r#"manifestVersion: "1.0.0"
package:
  name: net
  version: "2"
  description: a title
  license: MIT AND (Apache-2.0 OR GPL-2.0)
  authors: [Ann, Bo]
model:
  name: net
  path: a.gguf
  format: gguf
  parts:
    - path: config.json
    - path: ./b:2
code:
  - path: run.py
datasets:
  - path: data
docs:
  - path: README.md
prompts:
  - path: hello.md
"#;
        assert_eq!(kitfile.to_yaml(), expected);
        assert!(super::super::parse(&kitfile.to_yaml()).is_ok());
        assert_eq!(kitfile.entries()[0].digest, Some(Digest::of(b"a.gguf")));
    }

    #[test]
    fn a_model_whose_path_looks_like_a_kit_is_still_a_file() {
        let config = ModelPackConfig::default();
        let kitfile = config.kitfile([layer(LayerKind::Model, "net:1")].into_iter());
        assert_eq!(kitfile.model_reference(), None);
        assert_eq!(kitfile.entries()[0].clean, "net:1");
    }

    #[test]
    fn configs_of_older_versions_and_without_lists_are_read() {
        let old = format!(
            r#"{{"modelfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            Digest::of(b"")
        );
        let config = ModelPackConfig::parse(old.as_bytes()).unwrap();
        assert_eq!(config.diff_ids, Some(vec![Digest::of(b"")]));
        let bare = r#"{"descriptor":null,"config":{},"modelfs":null}"#;
        let config = ModelPackConfig::parse(bare.as_bytes()).unwrap();
        assert_eq!(config, ModelPackConfig::default());
        for bad in ["null", "[]", "", r#"{"modelfs":{"diffIds":["sha512:00"]}}"#] {
            assert!(ModelPackConfig::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
