//! The elements of a Kitfile that become layers.

use super::{
    Kitfile, Layer,
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
    /// Returns the elements that become layers, in packing order. A model without a path or with
    /// a reference for a path makes none, nor does a remote dataset; any other empty path means
    /// the whole context.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut add = |section, index, name: &str, path: &str, layer: &Layer| {
            entries.push(Entry {
                section,
                index,
                name: name.to_owned(),
                path: path.to_owned(),
                clean: clean(path),
                digest: layer.digest,
                diff_id: layer.diff_id,
            });
        };
        if let Some(model) = &self.model {
            if holds_layer(&model.path) {
                add(Section::Model, 0, &model.name, &model.path, &model.layer);
            }
            for (index, part) in model.parts.iter().enumerate() {
                add(Section::Part, index, &part.name, &part.path, &part.layer);
            }
        }
        for (index, code) in self.code.iter().enumerate() {
            add(Section::Code, index, "", &code.path, &code.layer);
        }
        for (index, data) in self.datasets.iter().enumerate() {
            if data.remote_path.is_empty() {
                add(Section::Dataset, index, &data.name, &data.path, &data.layer);
            }
        }
        for (index, docs) in self.docs.iter().enumerate() {
            add(Section::Docs, index, "", &docs.path, &docs.layer);
        }
        for (index, prompt) in self.prompts.iter().enumerate() {
            add(
                Section::Prompt,
                index,
                &prompt.name,
                &prompt.path,
                &prompt.layer,
            );
        }
        for (index, server) in self.mcp_servers.iter().enumerate() {
            add(
                Section::McpServer,
                index,
                &server.name,
                &server.path,
                &server.layer,
            );
        }
        entries
    }

    /// Returns the layers of [`Self::entries`], in the same order.
    pub fn layers_mut(&mut self) -> impl Iterator<Item = &mut Layer> {
        let (model, parts) = match &mut self.model {
            Some(model) => (
                holds_layer(&model.path).then_some(&mut model.layer),
                model.parts.as_mut_slice(),
            ),
            None => (None, <&mut [_]>::default()),
        };
        model
            .into_iter()
            .chain(parts.iter_mut().map(|part| &mut part.layer))
            .chain(self.code.iter_mut().map(|code| &mut code.layer))
            .chain(
                self.datasets
                    .iter_mut()
                    .filter(|data| data.remote_path.is_empty())
                    .map(|data| &mut data.layer),
            )
            .chain(self.docs.iter_mut().map(|docs| &mut docs.layer))
            .chain(self.prompts.iter_mut().map(|prompt| &mut prompt.layer))
            .chain(self.mcp_servers.iter_mut().map(|server| &mut server.layer))
    }

    /// Records the layer of the entry at `position` of [`Self::entries`].
    ///
    /// # Panics
    ///
    /// If there is no such entry.
    pub fn set_layer(&mut self, position: usize, digest: Digest, diff_id: Digest) {
        *self
            .layers_mut()
            .nth(position)
            .expect("the position comes from entries()") = Layer {
            digest: Some(digest),
            diff_id: Some(diff_id),
        };
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
