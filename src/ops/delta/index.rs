//! Which chunks are wanted, and where on this machine each was seen.

use crate::chunk::ChunkHash;

/// So many chunks are looked for at a time at most: 48 MiB, what 100 GB of large files come to.
pub(super) const MOST_CHUNKS: usize = 2 << 20;

/// Wanted chunks by the first eight bytes of their hashes. That is enough to look for them: what
/// is found is checked by all of its hash before it counts.
#[derive(Default)]
pub(super) struct Index {
    slots: Vec<Slot>,
    found: usize,
}

struct Slot {
    key: u64,
    /// Where in its source the chunk begins.
    offset: u64,
    /// The number of the source; [`NOWHERE`] if the chunk was not seen.
    source: u32,
}

const NOWHERE: u32 = u32::MAX;

/// Where a chunk was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) source: u32,
    pub(super) offset: u64,
}

impl Index {
    /// Adds a chunk that is wanted. [`Self::close`] must be called before chunks are looked up.
    pub(super) fn want(&mut self, hash: &ChunkHash) {
        self.slots.push(Slot {
            key: key(hash),
            offset: 0,
            source: NOWHERE,
        });
    }

    /// Ends what is wanted.
    pub(super) fn close(&mut self) {
        self.slots.sort_unstable_by_key(|slot| slot.key);
        self.slots.dedup_by_key(|slot| slot.key);
    }

    /// Returns the number of a chunk; `None` if it is not wanted.
    pub(super) fn number(&self, hash: &ChunkHash) -> Option<usize> {
        let key = key(hash);
        self.slots.binary_search_by_key(&key, |slot| slot.key).ok()
    }

    /// Notes where a chunk was seen. What was seen first counts.
    pub(super) fn note(&mut self, number: usize, seen: Seen) -> bool {
        let slot = &mut self.slots[number];
        if slot.source != NOWHERE {
            return false;
        }
        (slot.source, slot.offset) = (seen.source, seen.offset);
        self.found += 1;
        true
    }

    /// Returns where a chunk was seen.
    pub(super) fn seen(&self, hash: &ChunkHash) -> Option<Seen> {
        let slot = &self.slots[self.number(hash)?];
        (slot.source != NOWHERE).then_some(Seen {
            source: slot.source,
            offset: slot.offset,
        })
    }

    /// Tells whether no chunk need be looked for any more.
    pub(super) const fn is_complete(&self) -> bool {
        self.found == self.slots.len()
    }

    /// Tells whether no chunk was seen anywhere.
    pub(super) const fn is_blank(&self) -> bool {
        self.found == 0
    }
}

fn key(hash: &ChunkHash) -> u64 {
    let (first, _) = hash.as_bytes().split_at(8);
    u64::from_le_bytes(first.try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_where_it_was_seen_first() {
        let hashes = [b"a", b"b", b"a", b"c"].map(|content| ChunkHash::of(content));
        let mut index = Index::default();
        for hash in &hashes {
            index.want(hash);
        }
        index.close();
        assert!(index.is_blank() && !index.is_complete());
        assert_eq!(index.number(&ChunkHash::of(b"d")), None);
        for (number, hash) in (0..).zip(&hashes) {
            let seen = Seen {
                source: number,
                offset: 7,
            };
            let is_new = index.note(index.number(hash).unwrap(), seen);
            assert_eq!(is_new, number != 2);
        }
        assert!(index.is_complete());
        assert_eq!(index.seen(&hashes[2]).map(|seen| seen.source), Some(0));
        assert_eq!(index.seen(&hashes[3]).map(|seen| seen.source), Some(3));
        assert_eq!(index.seen(&ChunkHash::of(b"d")), None);
    }
}
