//! Cuts the archive of a layer into pieces of one size, before a file was read.

use std::{path::PathBuf, sync::Arc};

use super::{Layer, Shape, header_kind, source::Source};
use crate::{
    archive::{
        error::Error,
        header::{self, END},
        tree::Kind,
    },
    chunk::{ChunkHash, Grain},
    digest::Digest,
    platform,
};

/// The memory that a piece needs; it is used again for a later one.
#[derive(Default)]
pub(super) struct Buffer {
    /// At least as long as the piece.
    pub(super) plain: Vec<u8>,
    /// The compressed piece; empty if there is no compression.
    pub(super) encoded: Vec<u8>,
}

/// A piece of the archive.
pub(super) struct Piece {
    pub(super) number: u64,
    /// Its place in the archive.
    pub(super) offset: u64,
    pub(super) length: usize,
    pub(super) buffer: Buffer,
    /// What of it is content of files; the rest is headers and padding.
    pub(super) parts: Vec<Part>,
}

impl Piece {
    pub(super) fn plain(&self) -> &[u8] {
        &self.buffer.plain[..self.length]
    }

    pub(super) fn content_of(&self, part: &Part) -> &[u8] {
        &self.buffer.plain[part.at..][..part.length]
    }
}

/// A stretch of a file in a piece.
pub(super) struct Part {
    /// Its place in the piece.
    pub(super) at: usize,
    pub(super) length: usize,
    pub(super) source: Arc<Source>,
    /// Its place in the file.
    pub(super) offset: u64,
    /// The digest of the file, once it is known from this part alone.
    pub(super) digest: Option<Digest>,
    /// The hash of the file as a chunk, if it is one and lies in this part alone.
    pub(super) hash: Option<ChunkHash>,
}

impl Part {
    pub(super) fn is_whole(&self) -> bool {
        self.length as u64 == self.source.stamp.size
    }

    /// Tells whether it is a file that is one chunk.
    pub(super) fn is_chunk(&self) -> bool {
        self.is_whole() && self.length > 0 && Grain::of(self.source.stamp.size) == Grain::Whole
    }

    pub(super) fn is_last(&self) -> bool {
        self.offset + self.length as u64 == self.source.stamp.size
    }
}

/// Lays the archive out piece by piece.
pub(super) struct Planner<'t> {
    layer: Layer<'t>,
    /// The length of every piece but the last.
    piece: usize,
    /// The next entry.
    position: usize,
    /// How many files have had their turn.
    files: usize,
    /// Padding and headers that come next; what is behind `written` of them is in pieces.
    between: Vec<u8>,
    written: usize,
    /// The file whose content comes after that, and how much of it is in pieces.
    current: Option<(Arc<Source>, u64)>,
    number: u64,
    offset: u64,
    ended: bool,
    path: Vec<u8>,
    header: Vec<u8>,
}

impl<'t> Planner<'t> {
    /// Returns a planner of pieces of `piece` bytes; `plain_size` is the length of the archive.
    pub(super) fn new(layer: Layer<'t>, piece: usize, plain_size: u64) -> Self {
        Self {
            layer,
            // No more memory than there is to hold.
            piece: usize::try_from(plain_size).map_or(piece, |size| size.clamp(1, piece)),
            position: 0,
            files: 0,
            between: Vec::new(),
            written: 0,
            current: None,
            number: 0,
            offset: 0,
            ended: false,
            path: Vec::new(),
            header: Vec::new(),
        }
    }

    /// Lays out the next piece in `buffer`: headers and padding are there, contents are gaps.
    /// `None` after the last one. There is at least one, if an empty one.
    pub(super) fn next(&mut self, mut buffer: Buffer) -> Result<Option<Piece>, Error> {
        buffer.plain.resize(self.piece, 0);
        let mut piece = Piece {
            number: self.number,
            offset: self.offset,
            length: 0,
            buffer,
            parts: Vec::new(),
        };
        self.fill(&mut piece)?;
        if piece.length == 0 && piece.parts.is_empty() && self.number > 0 {
            return Ok(None);
        }
        self.number += 1;
        self.offset += piece.length as u64;
        Ok(Some(piece))
    }

    /// Returns the next file of which nothing is in a piece yet.
    pub(super) fn next_source(&mut self) -> Result<Option<Arc<Source>>, Error> {
        while self.current.is_none() && !self.ended {
            self.enter()?;
        }
        Ok(self.current.take().map(|(source, _)| source))
    }

    fn fill(&mut self, piece: &mut Piece) -> Result<(), Error> {
        loop {
            let between = &self.between[self.written..];
            let length = between.len().min(self.piece - piece.length);
            piece.buffer.plain[piece.length..][..length].copy_from_slice(&between[..length]);
            piece.length += length;
            self.written += length;
            if self.written < self.between.len() {
                return Ok(());
            }
            self.between.clear();
            self.written = 0;

            if let Some((source, behind)) = &mut self.current {
                let left = source.stamp.size - *behind;
                let room = self.piece - piece.length;
                let length = usize::try_from(left).map_or(room, |left| left.min(room));
                if length > 0 || left == 0 {
                    piece.parts.push(Part {
                        at: piece.length,
                        length,
                        source: Arc::clone(source),
                        offset: *behind,
                        digest: None,
                        hash: None,
                    });
                }
                piece.length += length;
                *behind += length as u64;
                if *behind < source.stamp.size {
                    return Ok(());
                }
                if self.layer.shape == Shape::Tar {
                    let padding = header::padded(source.stamp.size) - source.stamp.size;
                    let padding = usize::try_from(padding).expect("less than a block");
                    self.between.resize(padding, 0);
                }
                self.current = None;
            }

            if self.ended {
                if self.between.is_empty() {
                    return Ok(());
                }
            } else {
                self.enter()?;
            }
        }
    }

    /// Goes on to the next entry, or to the end of the archive.
    fn enter(&mut self) -> Result<(), Error> {
        let Layer {
            tree, index, shape, ..
        } = self.layer;
        let Some(entry) = tree.entry_at(index, self.position) else {
            if shape == Shape::Tar {
                self.between.resize(self.between.len() + END, 0);
            }
            self.ended = true;
            return Ok(());
        };
        self.position += 1;
        entry.path_into(&mut self.path);
        // What leads to the file has no place in a raw layer, which is its content.
        if shape == Shape::Tar {
            // By itself, because headers are padded from the start of what they stand in.
            self.header.clear();
            header::append(
                &mut self.header,
                &self.path,
                entry.mode(),
                header_kind(entry),
            );
            self.between.extend_from_slice(&self.header);
        }
        if entry.kind() == Kind::File {
            let path = self.on_disk()?;
            let source = Source::new(self.files, path, *entry.stamp(), entry.via_link());
            self.files += 1;
            self.current = Some((Arc::new(source), 0));
        }
        Ok(())
    }

    fn on_disk(&self) -> Result<PathBuf, Error> {
        let context = self.layer.tree.context();
        let relative = platform::os_name(&self.path).ok_or_else(|| Error::NameNotUnicode {
            path: context.to_owned(),
        })?;
        Ok(context.join(&*relative))
    }
}
