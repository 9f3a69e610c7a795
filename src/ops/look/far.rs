//! Beginnings of files in registries, with a bound on what is fetched in all.

use std::{
    cell::Cell,
    io::{self, Read, Seek, SeekFrom},
};

use super::models::{Models, wants};
use crate::{
    chunk::MAX_CHUNK,
    oci::Descriptor,
    ops::{Error, kit::Layer, take, toc::Far},
    progress::Progress,
    toc::{PlacedChunk, Table},
};

/// What is fetched first of a place: little, because content may follow that is passed over.
const LEAST: u64 = 64 << 10;
/// What is fetched at a time at most.
const MOST: u64 = 2 << 20;

/// How many bytes may still come.
pub(super) struct Wire(Cell<u64>);

impl Wire {
    pub(super) const fn new(bytes: u64) -> Self {
        Self(Cell::new(bytes))
    }

    /// Counts bytes that come.
    pub(super) fn take(&self, bytes: u64) {
        self.0.set(self.0.get().saturating_sub(bytes));
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.left() == 0
    }

    /// Returns how many there are.
    pub(super) fn left(&self) -> u64 {
        self.0.get()
    }
}

/// Looks at the files that a table tells of. Each chunk is checked.
pub(super) fn by_table(
    layer: &Layer,
    table: &Table,
    far: Far<'_>,
    wire: &Wire,
    models: &mut Models,
    progress: &dyn Progress,
) {
    let mut entries = table.entries();
    while let Some(entry) = entries.next() {
        let path = if table.is_raw() {
            layer.entry.clean.clone()
        } else {
            String::from_utf8_lossy(&take::file(layer, &entry).path).into_owned()
        };
        if !entry.is_file() || !wants(&path) {
            continue;
        }
        // A chunk comes whole.
        let most = wire.left().saturating_sub(u64::from(MAX_CHUNK));
        let most = most.min(models.room(&path));
        if models.is_full() || most == 0 || progress.cancelled() {
            break;
        }
        let mut chunks = Vec::new();
        let mut length = 0;
        for chunk in entry.chunks() {
            if length >= most {
                break;
            }
            length += u64::from(chunk.chunk.length);
            chunks.push(chunk);
        }
        let mut content = Chunks {
            far,
            blob: &layer.descriptor,
            wire,
            rest: &chunks,
            next: LEAST,
            held: Vec::new(),
            taken: 0,
        };
        models.file_within(&path, entry.size, &mut content, most, progress);
    }
}

/// The beginning of a file, chunk by chunk, the more at a time the more of it is read.
struct Chunks<'c> {
    far: Far<'c>,
    blob: &'c Descriptor,
    wire: &'c Wire,
    rest: &'c [PlacedChunk],
    next: u64,
    held: Vec<u8>,
    taken: usize,
}

impl Chunks<'_> {
    fn fill(&mut self) -> io::Result<()> {
        let mut length = 0;
        let group = self.rest.iter().take_while(|chunk| {
            let fits = length == 0 || length + u64::from(chunk.chunk.length) <= self.next;
            length += u64::from(chunk.chunk.length);
            fits
        });
        let (group, later) = self.rest.split_at(group.count());
        self.rest = later;
        self.next = (self.next * 2).min(MOST);
        let mut came: Vec<Option<Vec<u8>>> = vec![None; group.len()];
        let Far { parts, repository } = self.far;
        let fetched = parts.chunks(repository, self.blob, group, &mut |chunk, bytes| {
            if let Ok(number) = group.binary_search_by_key(&chunk.offset, |it| it.offset) {
                came[number] = Some(bytes.to_vec());
            }
            Ok(())
        });
        self.wire.take(fetched.map_err(failure)?.bytes);
        let came: Option<Vec<Vec<u8>>> = came.into_iter().collect();
        let came = came.ok_or_else(|| io::Error::other("what came is something else"))?;
        self.held = came.concat();
        self.taken = 0;
        Ok(())
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.held.len() && !self.rest.is_empty() {
            self.fill()?;
        }
        let left = &self.held[self.taken..];
        let read = left.len().min(into.len());
        into[..read].copy_from_slice(&left[..read]);
        self.taken += read;
        Ok(read)
    }
}

/// A blob that is read here and there, of which nothing is checked, as long as bytes may come.
pub(super) struct Peek<'p> {
    far: Far<'p>,
    blob: &'p Descriptor,
    wire: &'p Wire,
    at: u64,
    /// What is held, and where that begins.
    held: Vec<u8>,
    start: u64,
    next: u64,
}

impl<'p> Peek<'p> {
    pub(super) const fn new(far: Far<'p>, blob: &'p Descriptor, wire: &'p Wire) -> Self {
        Self {
            far,
            blob,
            wire,
            at: 0,
            held: Vec::new(),
            start: 0,
            next: LEAST,
        }
    }

    /// Returns what is held from where the reader is on.
    fn left(&self) -> &[u8] {
        let passed = self.at.checked_sub(self.start);
        let passed = passed.and_then(|passed| usize::try_from(passed).ok());
        passed
            .and_then(|passed| self.held.get(passed..))
            .unwrap_or_default()
    }
}

impl Read for Peek<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() || self.at >= self.blob.size {
            return Ok(0);
        }
        if self.left().is_empty() {
            let length = self.next.min(self.wire.left());
            if length == 0 {
                return Err(io::Error::other("enough was fetched"));
            }
            let end = self.blob.size.min(self.at.saturating_add(length));
            let Far { parts, repository } = self.far;
            self.wire.take(end - self.at);
            let read = parts.read(repository, self.blob, self.at..end);
            self.held = read.map_err(failure)?;
            self.start = self.at;
            self.next = (self.next * 2).min(MOST);
        }
        let left = self.left();
        let read = left.len().min(into.len());
        into[..read].copy_from_slice(&left[..read]);
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Peek<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(to) => Some(to),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.blob.size.checked_add_signed(by),
        };
        self.at = to.ok_or(io::ErrorKind::InvalidInput)?;
        if self.left().is_empty() {
            // Another header, and then perhaps content again.
            self.next = LEAST;
        }
        Ok(self.at)
    }
}

fn failure(error: Error) -> io::Error {
    io::Error::other(error)
}
