//! Makes the table of a layer beside it.

use super::{Layer, Shape, plan::Piece};
use crate::{
    archive::tree::Kind,
    chunk::{Chunk, Chunker, Grain},
    toc::{Absence, Form, Table, TableBuilder},
};

/// The table of a layer, from pieces in their order.
pub(super) struct Tabling<'t> {
    layer: Layer<'t>,
    builder: TableBuilder,
    /// The next entry of the tree.
    position: usize,
    /// What cuts the file that the next piece goes on with.
    chunker: Option<Chunker>,
    path: Vec<u8>,
}

impl<'t> Tabling<'t> {
    pub(super) fn new(layer: Layer<'t>) -> Self {
        Self {
            layer,
            builder: TableBuilder::new(match layer.shape {
                Shape::Tar => Form::Plain,
                Shape::Raw => Form::Raw,
            }),
            position: 0,
            chunker: None,
            path: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, piece: &Piece) {
        for part in &piece.parts {
            if self.builder.has_given_up() {
                return;
            }
            if part.offset == 0 {
                self.enter(Some(piece.offset + part.at as u64));
            }
            if let Some(hash) = part.hash {
                let length = u32::try_from(part.length).expect("such files are short");
                self.builder.chunk(&Chunk { length, hash });
                continue;
            }
            let chunker = self
                .chunker
                .get_or_insert_with(|| Chunker::new(Grain::of(part.source.stamp.size)));
            chunker.push(piece.content_of(part), |chunk| self.builder.chunk(&chunk));
            if part.is_last()
                && let Some(last) = self.chunker.take().and_then(Chunker::finish)
            {
                self.builder.chunk(&last);
            }
        }
    }

    pub(super) fn finish(mut self, plain_size: u64) -> Result<Table, Absence> {
        self.enter(None);
        self.builder.finish(plain_size)
    }

    /// Adds the entries up to the next file, whose content begins at `offset`; without one all
    /// that is left.
    fn enter(&mut self, offset: Option<u64>) {
        let Layer {
            tree, index, shape, ..
        } = self.layer;
        while let Some(entry) = tree.entry_at(index, self.position) {
            self.position += 1;
            let mode = u16::try_from(entry.mode()).expect("12 bits fit 16");
            match (entry.kind(), shape) {
                (Kind::File, Shape::Tar) => {
                    entry.path_into(&mut self.path);
                    let offset = offset.expect("every file has a part in a piece");
                    self.builder.file(&self.path, mode, offset, entry.size());
                    return;
                }
                (Kind::Folder, Shape::Tar) => {
                    entry.path_into(&mut self.path);
                    self.builder.folder(&self.path, mode);
                }
                // Path and mode are the manifest's.
                (Kind::File, Shape::Raw) => {
                    self.builder.file(b"", 0o644, 0, entry.size());
                    return;
                }
                (Kind::Folder, Shape::Raw) => {}
            }
        }
    }
}
