//! Where files are cut into chunks by their content, and what the chunks are called.
//!
//! A cut is after the first byte, of those that leave a chunk of at least [`Grain::shortest`]
//! bytes, at which a sum over the 64 bytes up to it has its highest bits zero. So a cut depends on
//! the bytes before it and on the cut before that one alone: an insertion moves all cuts behind it
//! along, but for a few. None of this may change: see "Chunks" in `docs/format.md`.
//!
//! The bytes below the shortest chunk are not looked at, which is half of them, and more than half
//! of the time.

mod gear;
mod segments;
#[cfg(test)]
mod tests;

use std::fmt;

use self::gear::GEAR;
pub use self::segments::Segmenter;

/// Files shorter than this are one chunk: there are many of them, and each hash takes 32 bytes.
const CUT_FROM: u32 = 1 << 20;
/// Files up to this are cut finely. Measured by what one changed byte costs, in the table of
/// contents and in the chunk around it, that is where coarser chunks begin to be worth it.
const FINE_UP_TO: u64 = 2 << 30;
/// How many bytes a cut depends on: the sum has a bit for each.
const WINDOW: u32 = u64::BITS;

/// The longest chunk of all, in bytes.
pub const MAX_CHUNK: u32 = 4 << 20;

/// How finely a file is cut; its size alone decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grain {
    /// Not at all.
    Whole,
    /// Into chunks of 64 KiB on average.
    Fine,
    /// Into chunks of 1 MiB on average.
    Coarse,
}

impl Grain {
    /// Returns how a file of `size` bytes is cut.
    pub const fn of(size: u64) -> Self {
        if size < CUT_FROM as u64 {
            Self::Whole
        } else if size <= FINE_UP_TO {
            Self::Fine
        } else {
            Self::Coarse
        }
    }

    /// Returns the length of the shortest chunk that is not the last of its file.
    pub const fn shortest(self) -> u32 {
        match self {
            Self::Whole => self.longest(),
            Self::Fine => 32 << 10,
            Self::Coarse => 512 << 10,
        }
    }

    /// Returns the length of the longest chunk.
    pub const fn longest(self) -> u32 {
        match self {
            Self::Whole => CUT_FROM - 1,
            Self::Fine => 256 << 10,
            Self::Coarse => MAX_CHUNK,
        }
    }

    /// Returns what the sum must be below for a cut: every so many bytes, on average, as the
    /// shortest chunk has.
    const fn threshold(self) -> u64 {
        match self {
            Self::Whole => 0,
            Self::Fine | Self::Coarse => 1 << (u64::BITS - self.shortest().trailing_zeros()),
        }
    }
}

/// The BLAKE3 of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkHash([u8; 32]);

impl ChunkHash {
    /// Returns the hash of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self(*blake3::hash(content).as_bytes())
    }

    /// Returns the hash whose 32 bytes are `bytes`.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

/// Computes the hash of a chunk that arrives in pieces.
#[derive(Clone, Default)]
pub struct ChunkHasher(blake3::Hasher);

impl ChunkHasher {
    /// Returns a hasher that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of the chunk.
    pub fn update(&mut self, content: &[u8]) {
        self.0.update(content);
    }

    /// Returns the hash of all that was seen.
    pub fn finish(self) -> ChunkHash {
        ChunkHash(*self.0.finalize().as_bytes())
    }
}

/// A stretch of a file between two cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its length in bytes, never 0.
    pub length: u32,
    /// Its hash.
    pub hash: ChunkHash,
}

/// What files are compared by: files of the same size and digest have the same content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileDigest([u8; 32]);

impl FileDigest {
    /// Returns the digest of a file with these chunks: the BLAKE3 of their lengths, as four bytes
    /// with the lowest first, each with the chunk's hash behind it. Of an empty file that of
    /// nothing.
    pub fn of(chunks: impl IntoIterator<Item = Chunk>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for chunk in chunks {
            hasher.update(&chunk.length.to_le_bytes());
            hasher.update(chunk.hash.as_bytes());
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// Returns the 32 bytes of the digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Cuts one file, whose bytes arrive in pieces.
///
/// ```
/// use modelkit::chunk::{Chunk, ChunkHash, Chunker, Grain};
///
/// let mut chunks = Vec::new();
/// let mut chunker = Chunker::new(Grain::of(7));
/// chunker.push(b"wei", |chunk| chunks.push(chunk));
/// chunker.push(b"ghts", |chunk| chunks.push(chunk));
/// chunks.extend(chunker.finish());
/// assert_eq!(chunks, [Chunk { length: 7, hash: ChunkHash::of(b"weights") }]);
/// ```
pub struct Chunker {
    grain: Grain,
    /// The sum up to here, once it is near enough to the first possible cut to matter.
    sum: u64,
    /// How much of the current chunk was seen, and its hash so far.
    length: u32,
    hasher: blake3::Hasher,
}

impl Chunker {
    /// Returns a chunker at the beginning of a file. Bytes at hand are looked through for chunks
    /// of another file, of another size perhaps, with the grain of that one.
    pub fn new(grain: Grain) -> Self {
        Self {
            grain,
            sum: 0,
            length: 0,
            hasher: blake3::Hasher::new(),
        }
    }

    /// Takes the next bytes of the file, and calls `found` with each chunk that ends in them.
    pub fn push(&mut self, mut bytes: &[u8], mut found: impl FnMut(Chunk)) {
        while !bytes.is_empty() {
            let (length, is_cut) = self.seek(bytes);
            let (head, rest) = bytes.split_at(length);
            bytes = rest;
            if is_cut && self.length as usize == length {
                // All of it is here: no state is needed.
                found(Chunk {
                    length: self.length,
                    hash: ChunkHash::of(head),
                });
                self.length = 0;
                continue;
            }
            self.hasher.update(head);
            if is_cut {
                found(self.end());
            }
        }
    }

    /// Ends the file, and returns its last chunk if that did not end with a cut.
    pub fn finish(mut self) -> Option<Chunk> {
        (self.length > 0).then(|| self.end())
    }

    fn end(&mut self) -> Chunk {
        let chunk = Chunk {
            length: self.length,
            hash: ChunkHash(*self.hasher.finalize().as_bytes()),
        };
        self.hasher.reset();
        self.length = 0;
        chunk
    }

    /// Returns how many of `bytes` belong to the current chunk, counted in it already, and whether
    /// it ends there.
    fn seek(&mut self, bytes: &[u8]) -> (usize, bool) {
        let (shortest, longest) = (self.grain.shortest(), self.grain.longest());
        let before = self.length;
        let room = (longest - before) as usize;
        let bytes = &bytes[..bytes.len().min(room)];
        // A chunk that ends behind the byte at `first` is long enough.
        let position = |length: u32| (length.saturating_sub(before) as usize).min(bytes.len());
        let (warm, first) = (position(shortest - WINDOW), position(shortest - 1));
        if before == 0 {
            self.sum = 0;
        }
        let mut sum = self.sum;
        for byte in &bytes[warm..first] {
            sum = (sum << 1).wrapping_add(GEAR[usize::from(*byte)]);
        }
        let threshold = self.grain.threshold();
        let cut = bytes[first..].iter().position(|byte| {
            sum = (sum << 1).wrapping_add(GEAR[usize::from(*byte)]);
            sum < threshold
        });
        self.sum = sum;
        let length = cut.map_or(bytes.len(), |cut| first + cut + 1);
        self.length += u32::try_from(length).expect("no more than the longest chunk");
        (length, cut.is_some() || self.length == longest)
    }
}
