//! Content of a layer in its order, checked before anybody sees it, and fetched a step ahead of its
//! reader.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc::{Receiver, SyncSender, sync_channel},
};

use super::{
    super::{Error, toc::Far},
    GROUP,
};
use crate::{archive, oci::Descriptor, progress::Progress, store, toc::PlacedChunk};

/// How often chunks are asked for that come with other bytes.
const TIMES: usize = 2;
/// The most chunks that are fetched at a time.
const MOST_CHUNKS: usize = 4096;

/// What is read of chunks in the order in which they were asked for, without anything between.
pub(in crate::ops) struct Content {
    groups: Receiver<Result<Vec<u8>, archive::Error>>,
    current: Vec<u8>,
    taken: usize,
    /// How much was read.
    at: u64,
    /// Set when nobody reads any more.
    is_over: Arc<AtomicBool>,
}

/// What fetches it, on a thread of its own.
pub(in crate::ops) struct Fetch<'f> {
    far: Far<'f>,
    layer: &'f Descriptor,
    sender: SyncSender<Result<Vec<u8>, archive::Error>>,
    is_over: Arc<AtomicBool>,
    progress: &'f dyn Progress,
}

impl Content {
    /// Returns what is read of chunks of `layer`, and what fetches them.
    pub(in crate::ops) fn of<'f>(
        far: Far<'f>,
        layer: &'f Descriptor,
        progress: &'f dyn Progress,
    ) -> (Self, Fetch<'f>) {
        // One group comes, or waits, while another is read.
        let (sender, groups) = sync_channel(0);
        let content = Self {
            groups,
            current: Vec::new(),
            taken: 0,
            at: 0,
            is_over: Arc::default(),
        };
        let fetch = Fetch {
            far,
            layer,
            sender,
            is_over: Arc::clone(&content.is_over),
            progress,
        };
        (content, fetch)
    }

    /// Reads content into `into`; never less than something.
    pub(in crate::ops) fn read(&mut self, into: &mut [u8]) -> Result<usize, archive::Error> {
        while self.taken == self.current.len() {
            let group = self.groups.recv();
            self.current = group.map_err(|_| archive::Error::CutOff { at: self.at })??;
            self.taken = 0;
        }
        let left = &self.current[self.taken..];
        let read = left.len().min(into.len());
        into[..read].copy_from_slice(&left[..read]);
        self.taken += read;
        self.at += read as u64;
        Ok(read)
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

impl Fetch<'_> {
    /// Fetches `chunks`, which are in the order of the layer, until there is no reader any more.
    pub(in crate::ops) fn run(self, chunks: impl Iterator<Item = PlacedChunk>) {
        let mut chunks = chunks.peekable();
        while chunks.peek().is_some() {
            let mut length = 0;
            let mut group = Vec::new();
            while let Some(chunk) = chunks.peek()
                && (group.is_empty() || length + u64::from(chunk.chunk.length) <= GROUP)
                && group.len() < MOST_CHUNKS
            {
                length += u64::from(chunk.chunk.length);
                group.extend(chunks.next());
            }
            let fetched = self.group(&group).map_err(failure);
            let is_over = fetched.is_err();
            if self.sender.send(fetched).is_err() || is_over {
                return;
            }
        }
    }

    /// Fetches chunks into memory, one behind the other, each checked.
    fn group(&self, wanted: &[PlacedChunk]) -> Result<Vec<u8>, Error> {
        let mut places = Vec::with_capacity(wanted.len());
        let mut length = 0;
        for chunk in wanted {
            places.push(length);
            length += chunk.chunk.length as usize;
        }
        let mut content = vec![0; length];
        let mut came = vec![false; wanted.len()];
        for _ in 0..TIMES {
            let lacking = wanted.iter().zip(&came).filter(|(_, came)| !**came);
            let lacking: Vec<PlacedChunk> = lacking.map(|(chunk, _)| *chunk).collect();
            let repository = self.far.repository;
            let parts = self.far.parts;
            parts.chunks(repository, self.layer, &lacking, &mut |chunk, bytes| {
                if let Ok(number) = wanted.binary_search_by_key(&chunk.offset, |it| it.offset) {
                    content[places[number]..][..bytes.len()].copy_from_slice(bytes);
                    came[number] = true;
                }
                if self.is_over.load(Ordering::Relaxed) {
                    return Err(store::Error::Interrupted.into());
                }
                Ok(())
            })?;
            let Some(first) = came.iter().position(|came| !came) else {
                return Ok(content);
            };
            let at = wanted[first].offset;
            self.progress.detail(&format!(
                "what came of {} from byte {at} on is something else",
                self.layer.digest
            ));
        }
        let first = came.iter().position(|came| !came).unwrap_or_default();
        let at = wanted[first].offset;
        Err(archive::Error::Altered { at }.into())
    }
}

/// Returns what went wrong as something that went wrong with a layer.
pub(super) fn failure(error: Error) -> archive::Error {
    match error {
        Error::Archive(error) => error,
        Error::Store(store::Error::Interrupted) => archive::Error::Interrupted,
        Error::Registry(error) => archive::Error::Read(std::io::Error::other(error)),
        error => archive::Error::Read(std::io::Error::other(error)),
    }
}
