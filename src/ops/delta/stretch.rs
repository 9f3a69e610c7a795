//! A layer as a row of stretches: what its table makes again, chunks, and what only it can tell.

use crate::{
    archive::{
        Error,
        between::{Segment, Segments},
    },
    toc::{PlacedChunk, Table},
};

/// A part of a layer that is not compressed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stretch<'s> {
    /// What stands between contents, as the table tells it.
    Made(&'s [u8]),
    /// So many bytes that the table does not tell.
    Untold(u64),
    /// A chunk of a file.
    Chunk(PlacedChunk),
}

impl Stretch<'_> {
    /// Returns how many bytes it has.
    pub(super) const fn length(&self) -> u64 {
        match self {
            Self::Made(bytes) => bytes.len() as u64,
            Self::Untold(length) => *length,
            Self::Chunk(placed) => placed.chunk.length as u64,
        }
    }
}

/// Gives the stretches of a layer, from its first byte to its last, to `take`, with their places,
/// until that says that it is enough. Fails if the table cannot be that of a layer.
pub(super) fn each<E: From<Error>>(
    table: &Table,
    mut take: impl FnMut(u64, Stretch<'_>) -> Result<bool, E>,
) -> Result<(), E> {
    let mut segments = Segments::new(table);
    loop {
        let offset = segments.offset();
        let goes_on = match segments.next()? {
            None => return Ok(()),
            Some(Segment::Between(bytes)) => take(offset, Stretch::Made(bytes))?,
            Some(Segment::Unknown(length)) => take(offset, Stretch::Untold(length))?,
            Some(Segment::Content(entry)) => {
                let mut goes_on = true;
                for placed in entry.chunks() {
                    goes_on = goes_on && take(placed.offset, Stretch::Chunk(placed))?;
                }
                goes_on
            }
        };
        if !goes_on {
            return Ok(());
        }
    }
}
