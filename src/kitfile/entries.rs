//! The elements of a Kitfile that become layers.

use super::{
    Dataset, Kitfile, Layer, McpServer, Model, Part, Prompt,
    clean::{clean, is_kit_reference},
};
use crate::digest::Digest;

/// The parts of a Kitfile that become layers, in packing order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// `model`.
    Model,
    /// `model.parts[]`.
    Part,
    /// `code[]`.
    Code,
    /// `datasets[]`.
    Dataset,
    /// `docs[]`.
    Docs,
    /// `prompts[]`.
    Prompt,
    /// `mcpServers[]`.
    McpServer,
}

/// An element that becomes a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The section it stands in.
    pub section: Section,
    /// Its place in that section, from 0.
    pub index: usize,
    /// Which of its layers this is, from 0; a large folder is cut into several.
    pub shard: usize,
    /// Its name; empty where it has none, and always for code and docs.
    pub name: String,
    /// Its path as it was written.
    pub path: String,
    /// Its path cleaned; `.` is the whole context.
    pub clean: String,
    /// The digest of its layer, if it is known.
    pub digest: Option<Digest>,
    /// The digest of its layer before compression, if it is known.
    pub diff_id: Option<Digest>,
}

impl Kitfile {
    /// Returns the elements that become layers, in packing order, each with its first layer. A
    /// model without a path or with a reference for a path makes none, nor does a remote dataset;
    /// any other empty path means the whole context.
    pub fn entries(&self) -> Vec<Entry> {
        self.list(|_| &[])
    }

    /// Returns the elements as [`Self::entries`] does, each once for each of its layers: in the
    /// order of a manifest.
    pub fn layers(&self) -> Vec<Entry> {
        self.list(|shards| shards)
    }

    fn list<'k>(&'k self, further: impl Fn(&'k [Layer]) -> &'k [Layer]) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut add = |section, index, name: &str, path: &str, layer: &'k Layer, shards| {
            let layers = std::iter::once(layer).chain(further(shards));
            let first = Entry {
                section,
                index,
                shard: 0,
                name: name.to_owned(),
                path: path.to_owned(),
                clean: clean(path),
                digest: None,
                diff_id: None,
            };
            entries.extend(layers.enumerate().map(|(shard, layer)| Entry {
                shard,
                digest: layer.digest,
                diff_id: layer.diff_id,
                ..first.clone()
            }));
        };
        if let Some(model) = &self.model {
            let Model {
                name, path, layer, ..
            } = model;
            if holds_layer(path) {
                add(Section::Model, 0, name, path, layer, &model.shards);
            }
            for (index, part) in model.parts.iter().enumerate() {
                let Part {
                    name, path, layer, ..
                } = part;
                add(Section::Part, index, name, path, layer, &part.shards);
            }
        }
        for (index, code) in self.code.iter().enumerate() {
            add(Section::Code, index, "", &code.path, &code.layer, &[]);
        }
        for (index, data) in self.datasets.iter().enumerate() {
            let Dataset {
                name, path, layer, ..
            } = data;
            if data.remote_path.is_empty() {
                add(Section::Dataset, index, name, path, layer, &data.shards);
            }
        }
        for (index, docs) in self.docs.iter().enumerate() {
            add(Section::Docs, index, "", &docs.path, &docs.layer, &[]);
        }
        for (index, prompt) in self.prompts.iter().enumerate() {
            let Prompt {
                name, path, layer, ..
            } = prompt;
            add(Section::Prompt, index, name, path, layer, &[]);
        }
        for (index, server) in self.mcp_servers.iter().enumerate() {
            let McpServer {
                name, path, layer, ..
            } = server;
            add(Section::McpServer, index, name, path, layer, &[]);
        }
        entries
    }

    /// Returns what is known of the layers of [`Self::layers`], in the same order.
    pub fn layers_mut(&mut self) -> impl Iterator<Item = &mut Layer> {
        let (model, parts) = match &mut self.model {
            Some(model) => (
                holds_layer(&model.path)
                    .then_some(std::iter::once(&mut model.layer).chain(&mut model.shards)),
                model.parts.as_mut_slice(),
            ),
            None => (None, <&mut [_]>::default()),
        };
        model
            .into_iter()
            .flatten()
            .chain(
                parts
                    .iter_mut()
                    .flat_map(|part| std::iter::once(&mut part.layer).chain(&mut part.shards)),
            )
            .chain(self.code.iter_mut().map(|code| &mut code.layer))
            .chain(
                self.datasets
                    .iter_mut()
                    .filter(|data| data.remote_path.is_empty())
                    .flat_map(|data| std::iter::once(&mut data.layer).chain(&mut data.shards)),
            )
            .chain(self.docs.iter_mut().map(|docs| &mut docs.layer))
            .chain(self.prompts.iter_mut().map(|prompt| &mut prompt.layer))
            .chain(self.mcp_servers.iter_mut().map(|server| &mut server.layer))
    }

    /// Records the layers of [`Self::layers`], in the same order: of each the digest and that before
    /// compression.
    pub fn set_layers(&mut self, layers: impl IntoIterator<Item = (Digest, Digest)>) {
        for (layer, (digest, diff_id)) in self.layers_mut().zip(layers) {
            *layer = Layer {
                digest: Some(digest),
                diff_id: Some(diff_id),
            };
        }
    }

    /// Returns the reference of the kit that holds the model, if the model is in another kit.
    pub fn model_reference(&self) -> Option<&str> {
        self.model
            .as_ref()
            .map(|model| model.path.as_str())
            .filter(|path| is_kit_reference(path))
    }
}

/// Tells whether a model with this path has a layer of its own.
pub(super) fn holds_layer(model_path: &str) -> bool {
    !model_path.is_empty() && !is_kit_reference(model_path)
}
