//! Fetching what changed of a layer, and taking the rest from what is here: other kits in the store,
//! files of an unpacked tree.
//!
//! A table of contents tells which chunks a layer is made of. Those that are found here are copied,
//! what stands between contents is made again, and the rest comes by ranges. Nothing found is
//! believed: a chunk counts when its hash has held as it is copied, and the layer when its own
//! digest has. So a table that lies, a file that is written to meanwhile or a registry that sends
//! something else cost time and no more: what did not work is fetched as if there were no table.

mod estimate;
mod fill;
mod index;
mod near;
mod pull;
mod read;
mod stretch;
mod unpack;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

pub use estimate::Estimate;
use fill::bring_contents;
pub(super) use fill::coming_contents;
pub(super) use pull::Coming;
pub(super) use read::Patched;
pub use unpack::estimate as estimate_unpack;
pub(super) use unpack::{open, plan};

use self::{
    index::{Index, MOST_CHUNKS},
    near::{Cut, Sources},
};
use super::{
    Error,
    toc::{Contents, Far},
};
use crate::{
    digest::Digest,
    oci::{Descriptor, Manifest},
    progress::Progress,
    reference,
    store::{self, Store},
    toc::{Entries, Entry, Root, Table},
};

/// The least that a layer's table can have for each chunk.
const LEAST_OF_CHUNK: u64 = 32;

/// What became of layers that were wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Bytes that came over the network.
    pub fetched: u64,
    /// Bytes that were here or followed from a table of contents.
    pub reused: u64,
}

/// Tells which file could be that of an entry of the layer at a position.
pub type FileOf<'f> = dyn Fn(usize, &Entry<'_, '_>) -> Option<PathBuf> + 'f;

/// Where chunks are looked for.
pub struct Places<'p> {
    /// Kits in it whose blobs are there.
    pub store: &'p Store,
    /// The repository whose kits are looked at first.
    pub repository: Option<&'p reference::Repository>,
    /// Folders whose files are all looked through.
    pub trees: &'p [PathBuf],
    /// Which file could be that of an entry of the layer at a position of the manifest.
    pub file: Option<&'p FileOf<'p>>,
}

impl Places<'_> {
    fn kits<'s>(
        &self,
        store: &'s Store,
        progress: &dyn Progress,
    ) -> Result<Vec<Contents<'s>>, Error> {
        near::kits(store, self.repository, progress)
    }
}

/// What is found here of some layers of a kit.
pub struct Delta<'d> {
    contents: &'d Contents<'d>,
    far: Far<'d>,
    index: Index,
    sources: Sources,
    /// Positions of the layers that are worth it.
    layers: HashMap<Digest, (usize, Estimate)>,
    /// The sum of the estimates of all layers, also of those that are fetched whole.
    total: Estimate,
    progress: &'d dyn Progress,
}

impl<'d> Delta<'d> {
    /// Looks for chunks of the layers at `positions` of the kit that `contents` belong to. `None` if
    /// nothing was found that would save anything.
    pub fn plan(
        contents: &'d Contents<'d>,
        far: Far<'d>,
        positions: &[usize],
        places: &Places<'_>,
        progress: &'d dyn Progress,
    ) -> Result<Option<Self>, Error> {
        let root = contents.root();
        let mut positions = positions.to_vec();
        positions.retain(|position| is_addressable(root, *position));
        positions.sort_unstable();
        if positions.is_empty() {
            return Ok(None);
        }
        let kits = places.kits(places.store, progress)?;
        if kits.is_empty() && places.trees.is_empty() && places.file.is_none() {
            return Ok(None);
        }
        let mut index = Index::default();
        contents.each_table(&positions, &mut |_, table| {
            let chunks = table.iter().flat_map(Table::chunks);
            chunks.for_each(|it| index.want(&it.chunk.hash));
            stop(progress)
        })?;
        index.close();
        let mut sources = Sources::default();
        sources.add_kits(&mut index, places.store, &kits, progress)?;
        drop(kits);
        if !index.is_complete() {
            sources.add_files(&mut index, progress, &mut |take| {
                if let Some(file) = places.file {
                    let mut each = |position, table: Option<Table>| {
                        let mut entries = table.as_ref().map(Table::entries);
                        while let Some(entry) = entries.as_mut().and_then(Entries::next) {
                            let path = (entry.size > 0).then(|| file(position, &entry)).flatten();
                            if let Some(path) = path {
                                take(path, Cut::As(entry.size));
                            }
                        }
                        stop(progress)
                    };
                    contents.each_table(&positions, &mut each)?;
                }
                places.trees.iter().for_each(|tree| near::walk(tree, take));
                Ok(())
            })?;
        }
        if index.is_blank() {
            return Ok(None);
        }
        let mut delta = Self {
            contents,
            far,
            index,
            sources,
            layers: HashMap::new(),
            total: Estimate::default(),
            progress,
        };
        delta.estimate(&positions)?;
        let Estimate {
            delta: bytes,
            requests,
            full,
        } = delta.total;
        progress.detail(&format!(
            "{bytes} of {full} bytes have to come, in {requests} requests or more: the rest is here"
        ));
        Ok((!delta.layers.is_empty()).then_some(delta))
    }

    /// Decides which layers are worth it.
    fn estimate(&mut self, positions: &[usize]) -> Result<(), Error> {
        let (contents, index) = (self.contents, &self.index);
        let (layers, total, progress) = (&mut self.layers, &mut self.total, self.progress);
        contents.each_table(positions, &mut |position, table| {
            let layer = &contents.root().layers()[position];
            let estimate = match table.map(|it| Estimate::of(&it, index)) {
                Some(Ok(estimate)) => estimate,
                Some(Err(error)) => {
                    progress.warn(&format!("a layer is fetched whole: {error}"));
                    Estimate::whole(layer.size)
                }
                None => Estimate::whole(layer.size),
            };
            total.add(estimate);
            if estimate.is_worth_it() {
                layers.insert(layer.digest, (position, estimate));
            }
            stop(progress)
        })?;
        let coming = layers.values().filter(|(_, estimate)| estimate.delta > 0);
        let smallest = coming.min_by_key(|(_, estimate)| estimate.full);
        let Some((position, _)) = smallest else {
            return Ok(());
        };
        // Asked of what is small, if that is there: who knows no parts sends all of it.
        let toc = contents.reference().descriptor();
        let layer = &contents.root().layers()[*position];
        let blobs = [toc, Descriptor::new("", layer.digest, layer.size)];
        if !self.far.parts.are_given(self.far.repository, &blobs)? {
            progress.detail("the registry gives no parts of blobs: layers are fetched whole");
            // Of what is all here none are needed.
            layers.retain(|_, (_, estimate)| estimate.delta == 0);
            let saved = layers.values().map(|(_, estimate)| estimate.full);
            total.delta = total.full - saved.sum::<u64>();
        }
        Ok(())
    }

    /// Returns the estimate for a layer that is put together.
    pub(super) fn estimate_of(&self, layer: &Digest) -> Option<Estimate> {
        self.layers.get(layer).map(|(_, estimate)| *estimate)
    }

    /// Tells whether a layer is put together from what is here.
    pub(super) fn has(&self, layer: &Digest) -> bool {
        self.layers.contains_key(layer)
    }

    /// Returns the table of a layer that is put together.
    fn table(&self, layer: &Digest) -> Result<Option<Table>, Error> {
        match self.layers.get(layer) {
            Some((position, _)) => self.contents.table(*position),
            None => Ok(None),
        }
    }
}

/// Tells whether the places in a layer's table are places in its blob.
fn is_addressable(root: &Root, position: usize) -> bool {
    let layer = root.layers().get(position);
    layer.is_some_and(|layer| layer.table.is_ok() && !layer.encoding.is_compressed())
}

/// Splits layers into groups that are looked for at once: so the memory for it is bounded.
fn groups(
    root: &Root,
    manifest: &Manifest,
    blobs: Vec<Descriptor>,
) -> Vec<Vec<(usize, Descriptor)>> {
    let places = positions(manifest);
    let mut groups: Vec<Vec<_>> = Vec::new();
    let mut chunks = 0;
    for blob in blobs {
        // What is no layer is at no position, and fetched like one without a table.
        let position = places.get(&blob.digest).copied().unwrap_or(usize::MAX);
        let table = root.layers().get(position);
        let table = table.and_then(|layer| layer.table.ok());
        let most = table.map_or(0, |table| u64::from(table.length) / LEAST_OF_CHUNK);
        chunks += most;
        match groups.last_mut() {
            Some(group) if chunks <= MOST_CHUNKS as u64 => group.push((position, blob)),
            _ => {
                chunks = most;
                groups.push(vec![(position, blob)]);
            }
        }
    }
    groups
}

/// Returns the positions of layers in their manifest, each layer once.
fn positions(manifest: &Manifest) -> HashMap<Digest, usize> {
    let layers = manifest.layers.iter().enumerate().rev();
    layers
        .map(|(position, layer)| (layer.digest, position))
        .collect()
}

fn stop(progress: &dyn Progress) -> Result<(), Error> {
    if progress.cancelled() {
        return Err(store::Error::Interrupted.into());
    }
    Ok(())
}

/// Fails if a folder that is to be looked through is not there.
pub fn check_tree(tree: &Path) -> Result<(), Error> {
    match std::fs::metadata(tree) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Error::Tree {
            path: tree.to_owned(),
            source: std::io::ErrorKind::NotADirectory.into(),
        }),
        Err(source) => Err(Error::Tree {
            path: tree.to_owned(),
            source,
        }),
    }
}
