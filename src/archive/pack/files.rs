//! Hashes files beside the layer that they are in.

use super::plan::Piece;
use crate::digest::{Digest, Hasher};

/// The digests of a layer's files, from pieces in their order.
pub(super) struct FileHashes {
    done: Vec<Option<Digest>>,
    /// The state of the file that the next piece goes on with.
    open: Hasher,
}

impl FileHashes {
    pub(super) fn new(files: usize) -> Self {
        Self {
            done: vec![None; files],
            open: Hasher::new(),
        }
    }

    pub(super) fn take(&mut self, piece: &Piece) {
        if self.done.is_empty() {
            return;
        }
        for part in &piece.parts {
            let number = part.source.number;
            if part.digest.is_some() {
                self.done[number] = part.digest;
                continue;
            }
            self.open.update(piece.content_of(part));
            if part.is_last() {
                self.done[number] = Some(std::mem::take(&mut self.open).finish());
            }
        }
    }

    pub(super) fn finish(self) -> Vec<Digest> {
        let all: Option<Vec<_>> = self.done.into_iter().collect();
        all.expect("without a failure every file has passed")
    }
}
