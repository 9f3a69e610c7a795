//! Layers of kits in registries, from their beginning on.

use std::{
    collections::{HashSet, VecDeque},
    fs::File,
    io::{self, Read},
};

use crate::{
    digest::Digest,
    oci::Descriptor,
    ops::stream::{Stream, Streams},
    registry::Repository,
    store::Store,
};

/// So many segments come before their turn.
const AHEAD: usize = 1;

/// A layer on its way, of which those segments that the store has are read there. What is read is
/// not verified. Dropping it ends the downloads.
pub(in crate::ops) struct Coming<'s> {
    streams: Streams<'s>,
    repository: Repository,
    store: &'s Store,
    here: HashSet<Digest>,
    /// Blobs that were not begun.
    rest: VecDeque<Descriptor>,
    /// Those that were, the one that is read first.
    begun: VecDeque<Part<'s>>,
    /// How many bytes come from the registry.
    fetched: u64,
}

/// A blob that is read.
struct Part<'s> {
    read: From<'s>,
    left: u64,
}

enum From<'s> {
    Here(File),
    Far(Stream<'s>),
}

impl<'s> Coming<'s> {
    /// Begins to fetch a layer that is kept in `blobs`.
    pub(in crate::ops) fn begin(
        streams: &Streams<'s>,
        repository: &Repository,
        blobs: &[Descriptor],
        store: &'s Store,
    ) -> Self {
        // Of a layer that is one blob it is known already.
        let here = match blobs {
            [_] => HashSet::new(),
            // What cannot be looked up is fetched.
            _ => store.unchanged(blobs).unwrap_or_default(),
        };
        let fetched = blobs.iter().filter(|blob| !here.contains(&blob.digest));
        let mut coming = Self {
            streams: streams.clone(),
            repository: repository.clone(),
            store,
            fetched: fetched.map(|blob| blob.size).sum(),
            here,
            rest: blobs.iter().cloned().collect(),
            begun: VecDeque::new(),
        };
        coming.go_on(1);
        coming
    }

    /// Returns how many bytes come from the registry.
    pub(in crate::ops) const fn fetched(&self) -> u64 {
        self.fetched
    }

    /// Begins with the next blobs, until there are so many.
    fn go_on(&mut self, most: usize) {
        while self.begun.len() < most
            && let Some(blob) = self.rest.pop_front()
        {
            let is_here = self.here.contains(&blob.digest);
            let here = is_here.then(|| self.store.open_blob(&blob.digest, blob.size).ok());
            let read = match here.flatten() {
                Some(file) => From::Here(file),
                None => From::Far(self.streams.open(&self.repository, &blob)),
            };
            let left = blob.size;
            self.begun.push_back(Part { read, left });
        }
    }
}

impl Read for Coming<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            // Only now: others are read before this one, perhaps.
            self.go_on(1 + AHEAD);
            let is_last = self.rest.is_empty() && self.begun.len() == 1;
            let Some(part) = self.begun.front_mut() else {
                return Ok(0);
            };
            if part.left == 0 && !is_last {
                self.begun.pop_front();
                continue;
            }
            let read = match &mut part.read {
                From::Here(file) => {
                    let most = usize::try_from(part.left);
                    let most = most.map_or(into.len(), |most| most.min(into.len()));
                    file.read(&mut into[..most])?
                }
                From::Far(stream) => stream.read(into)?,
            };
            if read == 0 && part.left > 0 && !into.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            part.left = part.left.saturating_sub(read as u64);
            return Ok(read);
        }
    }
}
