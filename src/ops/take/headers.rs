//! Archives in a registry that are read here and there.

use std::io::{self, Read, Seek, SeekFrom};

use super::super::toc::{Far, GAP};
use crate::oci::Descriptor;

/// What is fetched at least: little, because content may follow that is passed over.
const LEAST: u64 = 64 << 10;
/// What is fetched at most, where all of it is read.
const MOST: u64 = 8 << 20;

/// A blob that is read here and there. The more of it is read in one go, the more is fetched ahead
/// of that. Nothing of it is checked.
pub(in crate::ops) struct Window<'w> {
    far: Far<'w>,
    blob: &'w Descriptor,
    /// Where the reader is.
    at: u64,
    /// What is held, and where that begins.
    held: Vec<u8>,
    start: u64,
    /// How much is fetched next.
    next: u64,
}

impl<'w> Window<'w> {
    /// Returns the blob from its beginning on. Nothing is sent yet.
    pub(in crate::ops) const fn new(far: Far<'w>, blob: &'w Descriptor) -> Self {
        Self {
            far,
            blob,
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

impl Read for Window<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() || self.at >= self.blob.size {
            return Ok(0);
        }
        if self.left().is_empty() {
            let end = self.blob.size.min(self.at.saturating_add(self.next));
            let Far { parts, repository } = self.far;
            let read = parts.read(repository, self.blob, self.at..end);
            let failure = |error| match super::content::failure(error) {
                crate::archive::Error::Read(error) => error,
                error => io::Error::other(error),
            };
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

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(to) => Some(to),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.blob.size.checked_add_signed(by),
        };
        let to = to.ok_or(io::ErrorKind::InvalidInput)?;
        let end = self.start + self.held.len() as u64;
        if to < self.start || to > end.saturating_add(GAP) {
            // Another header, and then perhaps content again.
            self.next = LEAST;
        }
        self.at = to;
        Ok(to)
    }
}
