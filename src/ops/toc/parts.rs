//! Parts of blobs of a registry.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
};

use tokio::task::JoinHandle;

use crate::{
    digest::Digest,
    oci::{Descriptor, Manifest},
    ops::{
        Error,
        kit::Kit,
        transfer::{LOOK, Network},
    },
    progress::Progress,
    registry::{self, Repository, download::Downloads},
    store,
};

/// Up to so many bytes that are not wanted are fetched along with those on both sides of them:
/// asking twice would cost more. What a connection of 50 Mbit/s brings while an answer takes 20
/// ms.
pub const GAP: u64 = 128 << 10;

/// What takes bytes with their place in a blob.
pub type TakeBytes<'t> = dyn FnMut(u64, &[u8]) -> Result<(), Error> + 't;

/// The way to parts of blobs: by ranges, several at a time, with all that downloads do about
/// connections that break.
#[derive(Clone)]
pub struct Parts<'n> {
    network: &'n Network,
    downloads: Arc<Downloads>,
    came: Arc<AtomicU64>,
    /// Layers that are kept in several blobs, and these.
    segments: HashMap<Digest, Arc<[Descriptor]>>,
    progress: &'n dyn Progress,
}

impl<'n> Parts<'n> {
    /// Returns a way that shares connections with `downloads`. Nothing is sent yet.
    pub fn new(
        network: &'n Network,
        downloads: Arc<Downloads>,
        progress: &'n dyn Progress,
    ) -> Self {
        Self {
            network,
            downloads,
            came: Arc::default(),
            segments: HashMap::new(),
            progress,
        }
    }

    /// Returns how many bytes came this way, wanted or not.
    pub fn came(&self) -> u64 {
        self.came.load(Ordering::Relaxed)
    }

    /// Learns in which blobs the layers of `kits` are kept, as far as they are not what they are
    /// called by: from now on parts of these can be asked for as if they were blobs.
    #[must_use]
    pub fn of_kits<'k>(mut self, kits: impl IntoIterator<Item = &'k Kit>) -> Self {
        for layer in kits.into_iter().flat_map(|kit| &kit.layers) {
            if !layer.segments.is_empty() {
                let segments = Arc::clone(&layer.segments);
                self.segments.insert(layer.descriptor.digest, segments);
            }
        }
        self
    }

    /// Learns the same of the kit with this manifest.
    #[must_use]
    pub fn of_manifest(mut self, manifest: &Manifest) -> Self {
        let segments = super::super::segments::of_manifest(manifest).into_iter();
        self.segments
            .extend(segments.map(|(digest, them)| (digest, them.into())));
        self
    }

    /// Fetches `ranges` of a blob and gives what comes to `take` with its place: each byte once,
    /// in about their order. Nothing was checked. Where the registry knows no ranges the blob is
    /// read up to the last of them.
    pub fn fetch(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        ranges: Vec<Range<u64>>,
        take: &mut TakeBytes<'_>,
    ) -> Result<(), Error> {
        let Some(segments) = self.segments.get(&blob.digest) else {
            return self.fetch_blob(repository, blob, ranges, take);
        };
        let mut start = 0;
        for segment in &**segments {
            let end = start + segment.size;
            let own = ranges.iter().filter_map(|range| {
                let both = range.start.max(start)..range.end.min(end);
                (both.start < both.end).then(|| both.start - start..both.end - start)
            });
            let own: Vec<_> = own.collect();
            if !own.is_empty() {
                self.fetch_blob(repository, segment, own, &mut |offset, bytes| {
                    take(start + offset, bytes)
                })?;
            }
            start = end;
        }
        Ok(())
    }

    fn fetch_blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        ranges: Vec<Range<u64>>,
        take: &mut TakeBytes<'_>,
    ) -> Result<(), Error> {
        let (sender, pieces) = mpsc::channel();
        let downloads = Arc::clone(&self.downloads);
        let fetching = downloads.fetch(repository.clone(), blob.clone(), ranges, sender);
        let mut fetching = Task(Some(self.network.runtime().spawn(fetching)));
        loop {
            match pieces.recv_timeout(LOOK) {
                Ok(piece) => {
                    let length = piece.bytes.len() as u64;
                    self.came.fetch_add(length, Ordering::Relaxed);
                    take(piece.offset, &piece.bytes)?;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.progress.cancelled() {
                return Err(store::Error::Interrupted.into());
            }
        }
        let Some(task) = fetching.0.take() else {
            return Ok(());
        };
        match self.network.runtime().block_on(task) {
            Ok(result) => Ok(result?),
            Err(error) => Err(Error::Threads(std::io::Error::other(error))),
        }
    }

    /// Fetches a part of a blob into memory. It was not checked, but it has the right length.
    pub fn read(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        range: Range<u64>,
    ) -> Result<Vec<u8>, Error> {
        let read = self.read_all(repository, blob, &[range])?;
        Ok(read.into_iter().next().unwrap_or_default())
    }

    /// The same for many parts, in any order; those that are near each other come together.
    pub fn read_all(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Vec<u8>>, Error> {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for range in ranges {
            parts.push(vec![0; index(range.end - range.start)]);
        }
        let wanted = coalesce(ranges.to_vec(), GAP);
        self.fetch(repository, blob, wanted, &mut |offset, bytes| {
            let end = offset + bytes.len() as u64;
            for (range, part) in ranges.iter().zip(&mut parts) {
                let both = range.start.max(offset)..range.end.min(end);
                if both.start < both.end {
                    let from = &bytes[index(both.start - offset)..index(both.end - offset)];
                    let to = index(both.start - range.start)..index(both.end - range.start);
                    part[to].copy_from_slice(from);
                }
            }
            Ok(())
        })?;
        Ok(parts)
    }

    /// Tells whether the registry gives parts of blobs, by asking for the last byte of the first of
    /// `blobs` that it has.
    pub fn are_given(&self, repository: &Repository, blobs: &[Descriptor]) -> Result<bool, Error> {
        for blob in blobs {
            let segments = self.segments.get(&blob.digest);
            let blob = segments.and_then(|them| them.last()).unwrap_or(blob);
            if blob.size < 2 {
                continue;
            }
            let asked = async {
                let mut body = repository
                    .blob(blob, blob.size - 1..blob.size, None)
                    .await?;
                // Read to its end, so that the connection can be used again.
                while body.next().await?.is_some() {}
                Ok::<_, registry::Error>(())
            };
            match self.network.wait(self.progress, asked) {
                Ok(()) => return Ok(true),
                Err(Error::Registry(registry::Error::NoBlob { .. })) => {}
                Err(Error::Registry(error)) if !matches!(error, registry::Error::Http(_)) => {
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

/// A download that ends when nobody waits for it any more.
struct Task(Option<JoinHandle<Result<(), registry::Error>>>);

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Returns `ranges` in order, those with at most `gap` bytes between them as one.
pub fn coalesce(mut ranges: Vec<Range<u64>>, gap: u64) -> Vec<Range<u64>> {
    ranges.retain(|range| range.start < range.end);
    ranges.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(gap) => {
                last.end = last.end.max(range.end);
            }
            _ => joined.push(range),
        }
    }
    joined
}

/// Returns an offset within bytes in memory as such.
pub(super) fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("it is below a length in memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_near_each_other_are_fetched_together() {
        let ranges = vec![50..60, 0..10, 15..20, 20..21, 26..26, 58..59];
        assert_eq!(coalesce(ranges.clone(), 5), [0..21, 50..60]);
        assert_eq!(coalesce(ranges.clone(), 4), [0..10, 15..21, 50..60]);
        assert_eq!(coalesce(ranges, u64::MAX).len(), 1);
    }
}
