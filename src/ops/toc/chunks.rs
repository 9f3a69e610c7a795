//! Chunks of a layer out of a registry, each checked before anybody sees it.

use std::{collections::HashMap, ops::Range};

use super::parts::{GAP, Parts, coalesce, index};
use crate::{
    chunk::ChunkHash, oci::Descriptor, ops::Error, registry::Repository, toc::PlacedChunk,
};

/// What takes a chunk that has held.
pub type TakeChunk<'t> = dyn FnMut(&PlacedChunk, &[u8]) -> Result<(), Error> + 't;

/// What came of a number of chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// How many bytes came, with those between chunks.
    pub bytes: u64,
    /// How many chunks came with other bytes than their hash says: nobody has seen those.
    pub wrong: usize,
}

impl Parts<'_> {
    /// Fetches chunks of `layer`, which is not compressed, and gives each to `take` once it has
    /// held. They are `wanted` in the order of the layer; they come in about that order. Besides
    /// `wanted` itself, memory is needed for the chunks that are on their way: those of as many
    /// parts as come at a time.
    pub fn chunks(
        &self,
        repository: &Repository,
        layer: &Descriptor,
        wanted: &[PlacedChunk],
        take: &mut TakeChunk<'_>,
    ) -> Result<Fetched, Error> {
        let mut fetched = Fetched::default();
        let ranges = coalesce(wanted.iter().map(range).collect(), GAP);
        let mut assembly = Assembly::new(wanted);
        self.fetch(repository, layer, ranges, &mut |offset, bytes| {
            fetched.bytes += bytes.len() as u64;
            assembly.add(offset, bytes, &mut |chunk, content| {
                if ChunkHash::of(content) == chunk.chunk.hash {
                    return take(chunk, content);
                }
                fetched.wrong += 1;
                Ok(())
            })
        })?;
        Ok(fetched)
    }
}

/// Returns where a chunk is in its layer.
pub fn range(chunk: &PlacedChunk) -> Range<u64> {
    chunk.offset..chunk.offset + u64::from(chunk.chunk.length)
}

/// Puts chunks together from pieces that come in any order, each byte once.
struct Assembly<'w> {
    wanted: &'w [PlacedChunk],
    /// Chunks of which a part came, and how much of each.
    begun: HashMap<usize, (Vec<u8>, usize)>,
}

impl<'w> Assembly<'w> {
    fn new(wanted: &'w [PlacedChunk]) -> Self {
        Self {
            wanted,
            begun: HashMap::new(),
        }
    }

    /// Adds a piece, and gives the chunks that are whole by it to `done`.
    fn add(&mut self, offset: u64, bytes: &[u8], done: &mut TakeChunk<'_>) -> Result<(), Error> {
        let end = offset + bytes.len() as u64;
        let first = self.wanted.partition_point(|it| range(it).end <= offset);
        let met = self.wanted[first..].iter();
        for (number, chunk) in (first..).zip(met.take_while(|it| it.offset < end)) {
            let whole = range(chunk);
            let both = whole.start.max(offset)..whole.end.min(end);
            let part = &bytes[index(both.start - offset)..index(both.end - offset)];
            if both == whole {
                done(chunk, part)?;
                continue;
            }
            let length = chunk.chunk.length as usize;
            let begun = self.begun.entry(number);
            let (content, have) = begun.or_insert_with(|| (vec![0; length], 0));
            content[index(both.start - whole.start)..][..part.len()].copy_from_slice(part);
            *have += part.len();
            if *have >= length
                && let Some((content, _)) = self.begun.remove(&number)
            {
                done(chunk, &content)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::Chunk;

    #[test]
    fn chunks_are_put_together_from_pieces_in_any_order() {
        let layer: Vec<u8> = (0..200).collect();
        let wanted: Vec<_> = [(10_u32, 30_u32), (40, 1), (90, 50)]
            .into_iter()
            .map(|(offset, length)| PlacedChunk {
                offset: u64::from(offset),
                chunk: Chunk {
                    length,
                    hash: ChunkHash::of(&layer[offset as usize..][..length as usize]),
                },
            })
            .collect();
        for (size, backwards) in [(7, false), (7, true), (64, true), (1, false), (200, false)] {
            let mut pieces: Vec<_> = layer.chunks(size).enumerate().collect();
            if backwards {
                pieces.reverse();
            }
            let mut assembly = Assembly::new(&wanted);
            let mut came = Vec::new();
            for (number, piece) in pieces {
                let offset = (number * size) as u64;
                let done = assembly.add(offset, piece, &mut |chunk, content| {
                    assert_eq!(ChunkHash::of(content), chunk.chunk.hash);
                    came.push(chunk.offset);
                    Ok(())
                });
                done.unwrap();
            }
            came.sort_unstable();
            assert_eq!(came, [10, 40, 90], "{size}");
            assert!(assembly.begun.is_empty());
        }
    }
}
