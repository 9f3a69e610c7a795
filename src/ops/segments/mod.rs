//! Layers that are kept in several blobs, their segments, read as the one blob that they are.

mod cut;
mod far;
mod rules;

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

pub use self::{
    cut::Segment,
    rules::{Cuts, MAX_SEGMENT_SIZE, MAX_SEGMENTS, MIN_SEGMENT_SIZE, TARGET},
};
pub(super) use self::{
    cut::{Cutter, aside, is_full},
    far::Coming,
};
use super::kit::Layer;
use crate::{
    digest::Digest,
    oci::{Descriptor, Manifest},
    store::{self, Store},
};

/// Returns the digests of those of `layers` that are in the store, all of each, with files that are
/// as they were when their content was last seen to be right.
pub(super) fn unchanged<'l>(
    store: &Store,
    layers: impl IntoIterator<Item = &'l Layer>,
) -> Result<HashSet<Digest>, store::Error> {
    let layers: Vec<&Layer> = layers.into_iter().collect();
    let found = store.unchanged(layers.iter().flat_map(|layer| layer.blobs()))?;
    let is_here = |layer: &&&Layer| {
        let mut blobs = layer.blobs().iter();
        blobs.all(|blob| found.contains(&blob.digest))
    };
    let here = layers.iter().filter(is_here);
    Ok(here.map(|layer| layer.descriptor.digest).collect())
}

/// Returns the layers of a kit that are kept in several blobs, and these.
pub(super) fn of_manifest(manifest: &Manifest) -> HashMap<Digest, Vec<Descriptor>> {
    let layers = manifest.plain_layers().unwrap_or_default().into_iter();
    layers
        .filter(|layer| !layer.segments.is_empty())
        .map(|layer| (layer.descriptor.digest, layer.segments))
        .collect()
}

/// Opens a layer in the store. Only kinds and sizes of files are checked: for those who hash by
/// themselves.
pub(super) fn open<'s>(store: &'s Store, layer: &Layer) -> Result<LayerFile<'s>, store::Error> {
    LayerFile::open(store, layer.blobs())
}

/// A layer in the store, open.
pub(super) struct LayerFile<'s> {
    store: &'s Store,
    /// The blobs, each with the place in the layer where it begins.
    blobs: Vec<(u64, Descriptor)>,
    size: u64,
    /// Where in the layer the reader is.
    at: u64,
    /// The blob that is read, by number, and where in it that is done.
    current: Option<(usize, u64, File)>,
}

impl<'s> LayerFile<'s> {
    /// Opens what `blobs` make one behind the other, at least one. All of them have to be there.
    pub(super) fn open(store: &'s Store, blobs: &[Descriptor]) -> Result<Self, store::Error> {
        let mut placed = Vec::with_capacity(blobs.len());
        let mut size = 0;
        let mut current = None;
        // Backwards, so that the first one is what stays open.
        for (number, blob) in blobs.iter().enumerate().rev() {
            let file = store.open_blob(&blob.digest, blob.size)?;
            current = Some((number, 0, file));
        }
        for blob in blobs {
            placed.push((size, blob.clone()));
            size += blob.size;
        }
        Ok(Self {
            store,
            blobs: placed,
            size,
            at: 0,
            current,
        })
    }

    /// Returns the file of a layer that is one blob.
    pub(super) fn as_one(&self) -> Option<&File> {
        match (self.blobs.len(), &self.current) {
            (1, Some((_, _, file))) => Some(file),
            _ => None,
        }
    }

    /// Makes the blob with the byte at hand the one that is read, at that byte, and returns how much
    /// of it is left.
    fn turn(&mut self) -> io::Result<u64> {
        let number = self.blobs.partition_point(|(start, _)| *start <= self.at) - 1;
        let (start, blob) = &self.blobs[number];
        let within = self.at - start;
        match &mut self.current {
            Some((open, at, _)) if *open == number && *at == within => {}
            Some((open, at, file)) if *open == number => {
                file.seek(SeekFrom::Start(within))?;
                *at = within;
            }
            _ => {
                let opened = self.store.open_blob(&blob.digest, blob.size);
                let mut file = opened.map_err(io::Error::other)?;
                file.seek(SeekFrom::Start(within))?;
                self.current = Some((number, within, file));
            }
        }
        Ok(blob.size - within)
    }
}

impl Read for LayerFile<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let is_one = self.blobs.len() == 1;
        if into.is_empty() || (self.at >= self.size && !is_one) {
            return Ok(0);
        }
        let left = if is_one { u64::MAX } else { self.turn()? };
        let most = usize::try_from(left).map_or(into.len(), |left| left.min(into.len()));
        let Some((_, at, file)) = &mut self.current else {
            return Ok(0);
        };
        let read = file.read(&mut into[..most])?;
        *at += read as u64;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for LayerFile<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(to) => Some(to),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
        };
        self.at = to.ok_or(io::ErrorKind::InvalidInput)?;
        if let (1, Some((_, at, file))) = (self.blobs.len(), &mut self.current) {
            *at = file.seek(SeekFrom::Start(self.at))?;
        }
        Ok(self.at)
    }
}
