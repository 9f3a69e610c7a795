//! Reads the entries of a table one after the other.

use super::{Error, MAX_PATH, Table, number::Reader};
use crate::chunk::{Chunk, ChunkHash, FileDigest, Grain};

/// Codes of entries: the usual modes are in them.
pub(super) const FILE: u8 = 0;
pub(super) const PROGRAM: u8 = 1;
pub(super) const FOLDER: u8 = 2;
pub(super) const FILE_OF_MODE: u8 = 3;
pub(super) const FOLDER_OF_MODE: u8 = 4;

/// The largest mode: twelve bits.
pub(super) const MODE: u16 = 0o7777;

/// A file or folder in a layer.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'p, 't> {
    /// Its path, clean, with `/` between parts; empty in a layer that is one file.
    pub path: &'p str,
    /// The permission bits.
    pub mode: u16,
    /// Where its content begins in the layer before compression; what stands before it is the
    /// header. Without content, where that would be of what came last.
    pub offset: u64,
    /// The length of its content in bytes; 0 for a folder.
    pub size: u64,
    is_file: bool,
    /// Lengths and hashes of the chunks.
    chunks: &'t [u8],
}

impl<'t> Entry<'_, 't> {
    /// Tells whether it is a file; otherwise it is a folder.
    pub const fn is_file(&self) -> bool {
        self.is_file
    }

    /// Returns the chunks of its content, which follow each other without gaps.
    pub fn chunks(&self) -> Chunks<'t> {
        Chunks {
            reader: Reader::new(super::error::Part::Table, self.chunks),
            grain: Grain::of(self.size),
            offset: self.offset,
            end: self.offset + self.size,
        }
    }

    /// Returns the digest of its content. Files of equal sizes and digests are equal.
    pub fn digest(&self) -> FileDigest {
        FileDigest::of(self.chunks().map(|placed| placed.chunk))
    }

    /// Returns the same entry, with a path of the caller's.
    pub(super) fn named(self, path: &str) -> Entry<'_, 't> {
        Entry { path, ..self }
    }
}

/// A chunk with its place in the layer before compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedChunk {
    /// Where it begins.
    pub offset: u64,
    /// Its length and hash.
    pub chunk: Chunk,
}

/// The chunks of one file.
#[derive(Clone, Debug)]
pub struct Chunks<'t> {
    reader: Reader<'t>,
    grain: Grain,
    offset: u64,
    end: u64,
}

impl<'t> Chunks<'t> {
    fn read(&mut self) -> Result<PlacedChunk, Error> {
        let left = self.end - self.offset;
        let length = match self.grain {
            Grain::Whole => left,
            Grain::Fine | Grain::Coarse => self.reader.number()?,
        };
        let (shortest, longest) = (self.grain.shortest().into(), self.grain.longest().into());
        // Only the last one may be shorter.
        if !(length.min(left) == length && length <= longest && length > 0)
            || length < left && length < shortest
        {
            return Err(self.reader.malformed("a chunk cannot be as long"));
        }
        let placed = PlacedChunk {
            offset: self.offset,
            chunk: Chunk {
                length: u32::try_from(length).expect("no longer than the longest chunk"),
                hash: ChunkHash::from_bytes(self.reader.array()?),
            },
        };
        self.offset += length;
        Ok(placed)
    }

    /// Returns the bytes that tell of the chunks, once all were read.
    fn taken(self, from: &Reader<'t>) -> &'t [u8] {
        let mut from = *from;
        from.bytes(from.left() - self.reader.left())
            .expect("they were read from there")
    }
}

impl Iterator for Chunks<'_> {
    type Item = PlacedChunk;

    fn next(&mut self) -> Option<PlacedChunk> {
        let is_more = self.offset < self.end;
        is_more.then(|| self.read().expect("the table was checked"))
    }
}

/// The entries of a table. Not an [`Iterator`]: paths share their beginnings, so that one that is
/// given out lasts until the next one.
#[derive(Clone, Debug)]
pub struct Entries<'t> {
    reader: Reader<'t>,
    plain_size: u64,
    left: u32,
    /// The path of the entry that was read last.
    path: String,
    /// Where the content before ends.
    end: u64,
}

impl<'t> Entries<'t> {
    pub(super) fn new(reader: Reader<'t>, table: &Table) -> Self {
        Self {
            reader,
            plain_size: table.plain_size(),
            left: u32::try_from(table.len()).expect("the table was read with such a number"),
            path: String::new(),
            end: 0,
        }
    }

    /// Returns the next entry.
    #[expect(
        clippy::should_implement_trait,
        reason = "what it returns does not outlive the next call"
    )]
    pub fn next(&mut self) -> Option<Entry<'_, 't>> {
        self.left = self.left.checked_sub(1)?;
        let (entry, _) = self.read().expect("the table was checked");
        Some(entry)
    }

    /// Reads an entry, and tells how much of its path it shares with the one before.
    pub(super) fn read(&mut self) -> Result<(Entry<'_, 't>, usize), Error> {
        let reader = &mut self.reader;
        let code = reader.byte()?;
        let mode = match code {
            FILE => 0o644,
            PROGRAM | FOLDER => 0o755,
            FILE_OF_MODE | FOLDER_OF_MODE => u16::from_le_bytes(reader.array()?),
            _ => return Err(reader.malformed("no kind of entry has this number")),
        };
        let is_usual = match code {
            FILE_OF_MODE => [0o644, 0o755].contains(&mode),
            FOLDER_OF_MODE => mode == 0o755,
            _ => false,
        };
        if mode > MODE || is_usual {
            return Err(reader.malformed("a mode is not written as it should be"));
        }
        let shared = reader.number()?;
        let shared = usize::try_from(shared)
            .ok()
            .filter(|shared| self.path.is_char_boundary(*shared))
            .ok_or_else(|| reader.malformed("a path shares what is not there"))?;
        let length = reader.number()?;
        if length > u64::from(MAX_PATH) {
            return Err(reader.malformed("a path is too long"));
        }
        let new = str_of(reader, length)?;
        self.path.truncate(shared);
        self.path.push_str(new);

        let is_file = [FILE, PROGRAM, FILE_OF_MODE].contains(&code);
        let size = if is_file { reader.number()? } else { 0 };
        let (mut offset, mut chunks) = (self.end, &[][..]);
        if size > 0 {
            let gap = reader.number()?;
            let end = [gap, size]
                .into_iter()
                .try_fold(offset, u64::checked_add)
                .filter(|end| *end <= self.plain_size);
            let Some(end) = end else {
                return Err(reader.malformed("a file lies outside the layer"));
            };
            offset += gap;
            let mut read = Chunks {
                reader: *reader,
                grain: Grain::of(size),
                offset,
                end,
            };
            while read.offset < end {
                read.read()?;
            }
            chunks = read.clone().taken(reader);
            *reader = read.reader;
            self.end = end;
        }
        let entry = Entry {
            path: &self.path,
            mode,
            offset,
            size,
            is_file,
            chunks,
        };
        Ok((entry, shared))
    }

    pub(super) const fn left(&self) -> usize {
        self.reader.left()
    }

    pub(super) const fn malformed(&self, problem: &'static str) -> Error {
        self.reader.malformed(problem)
    }
}

fn str_of<'t>(reader: &mut Reader<'t>, length: u64) -> Result<&'t str, Error> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let bytes = reader.bytes(length)?;
    std::str::from_utf8(bytes).map_err(|_| reader.malformed("a path is not UTF-8"))
}

/// The chunks of all files of a table.
#[derive(Clone, Debug)]
pub struct PlacedChunks<'t> {
    entries: Entries<'t>,
    current: Option<Chunks<'t>>,
}

impl<'t> PlacedChunks<'t> {
    pub(super) const fn new(entries: Entries<'t>) -> Self {
        Self {
            entries,
            current: None,
        }
    }
}

impl Iterator for PlacedChunks<'_> {
    type Item = PlacedChunk;

    fn next(&mut self) -> Option<PlacedChunk> {
        loop {
            if let Some(chunk) = self.current.as_mut().and_then(Chunks::next) {
                return Some(chunk);
            }
            self.current = Some(self.entries.next()?.chunks());
        }
    }
}
