//! Which blobs of a kit hold which parts of its layers.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use super::{LEAST_OF_CHUNK, index::MOST_CHUNKS};
use crate::{
    digest::Digest,
    oci::Descriptor,
    ops::toc::Contents,
    toc::{PlacedChunk, Root},
};

/// The part of a layer that a blob holds: all of it, or a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// The position of the layer in its kit.
    pub(super) position: usize,
    /// Which of its bytes.
    pub(super) place: Range<u64>,
}

/// Returns what the blobs of a kit hold, each once: those of layers as a whole, and of segments.
fn all(contents: &Contents<'_>) -> HashMap<Digest, Spot> {
    let mut spots = HashMap::new();
    for (position, layer) in contents.root().layers().iter().enumerate() {
        let mut note = |digest, place| {
            let spot = Spot { position, place };
            spots.entry(digest).or_insert(spot);
        };
        note(layer.digest, 0..layer.size);
        let mut start = 0;
        for segment in contents.segments(position).unwrap_or_default() {
            let end = start + segment.size;
            note(segment.digest, start..end);
            start = end;
        }
    }
    spots
}

/// Blobs, each with what it holds, if it is a layer or a part of one.
pub(super) type Group = Vec<(Descriptor, Option<Spot>)>;

/// Splits blobs into groups that are looked for at once: so the memory for it is bounded.
pub(super) fn groups(contents: &Contents<'_>, blobs: Vec<Descriptor>) -> Vec<Group> {
    let spots = all(contents);
    let mut groups: Vec<Group> = Vec::new();
    let mut positions = HashSet::new();
    let mut chunks = 0;
    for blob in blobs {
        // What is no layer is at no place, and fetched like one without a table.
        let spot = spots.get(&blob.digest).cloned();
        let position = spot.as_ref().map(|spot| spot.position);
        let layer = position.and_then(|position| contents.root().layers().get(position));
        let table = layer.and_then(|layer| layer.table.ok());
        let most = table.map_or(0, |table| u64::from(table.length) / LEAST_OF_CHUNK);
        let is_new = !position.is_some_and(|position| positions.contains(&position));
        let grown = chunks + if is_new { most } else { 0 };
        match groups.last_mut() {
            Some(group) if grown <= MOST_CHUNKS as u64 => {
                chunks = grown;
                group.push((blob, spot));
            }
            _ => {
                chunks = most;
                positions.clear();
                groups.push(vec![(blob, spot)]);
            }
        }
        positions.extend(position);
    }
    groups
}

/// What is wanted of the layers of a kit.
pub(super) struct Wanted {
    /// Sorted, by layer and place.
    spots: Vec<(Spot, Digest)>,
}

impl Wanted {
    /// Returns what is wanted of those of `group` in which places in a table are places in the blob.
    pub(super) fn of(root: &Root, group: &Group) -> Self {
        let spots = group.iter().filter_map(|(blob, spot)| {
            let spot = spot.clone()?;
            let layer = root.layers().get(spot.position)?;
            let is_addressable = layer.table.is_ok() && !layer.encoding.is_compressed();
            is_addressable.then_some((spot, blob.digest))
        });
        let mut spots: Vec<_> = spots.collect();
        spots.sort_by_key(|(spot, _)| (spot.position, spot.place.start));
        spots.dedup();
        Self { spots }
    }

    /// Returns the positions of the layers, in order.
    pub(super) fn positions(&self) -> Vec<usize> {
        let mut positions: Vec<usize> = self.spots.iter().map(|(it, _)| it.position).collect();
        positions.dedup();
        positions
    }

    /// Returns what is wanted of the layer at `position`, in order.
    pub(super) fn of_layer(&self, position: usize) -> &[(Spot, Digest)] {
        let start = self.spots.partition_point(|(it, _)| it.position < position);
        let end = self
            .spots
            .partition_point(|(it, _)| it.position <= position);
        &self.spots[start..end]
    }
}

/// Tells whether some of `spots`, which are in order, has a part of a chunk.
pub(super) fn touch(spots: &[(Spot, Digest)], chunk: &PlacedChunk) -> bool {
    let range = crate::ops::toc::range(chunk);
    let after = spots.partition_point(|(it, _)| it.place.end <= range.start);
    let spot = spots.get(after);
    spot.is_some_and(|(it, _)| it.place.start < range.end)
}
