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
mod spots;
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
    index::Index,
    near::{Cut, Sources},
    spots::{Group, Spot, Wanted, groups, touch},
};
use super::{
    Error,
    toc::{Contents, Far},
};
use crate::{
    digest::Digest,
    oci::Descriptor,
    progress::Progress,
    reference,
    store::{self, Store},
    toc::{Entries, Entry, Table},
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
    /// Of the blobs that are worth it, what they hold.
    blobs: HashMap<Digest, (Spot, Estimate)>,
    /// The sum of the estimates of all blobs, also of those that are fetched whole.
    total: Estimate,
    progress: &'d dyn Progress,
}

impl<'d> Delta<'d> {
    /// Looks for chunks of the blobs of `group`, of the kit that `contents` belong to. `None` if
    /// nothing was found that would save anything.
    fn plan(
        contents: &'d Contents<'d>,
        far: Far<'d>,
        group: &Group,
        places: &Places<'_>,
        progress: &'d dyn Progress,
    ) -> Result<Option<Self>, Error> {
        let wanted = Wanted::of(contents.root(), group);
        let positions = wanted.positions();
        if positions.is_empty() {
            return Ok(None);
        }
        let kits = places.kits(places.store, progress)?;
        if kits.is_empty() && places.trees.is_empty() && places.file.is_none() {
            return Ok(None);
        }
        let mut index = Index::default();
        contents.each_table(&positions, &mut |position, table| {
            let spots = wanted.of_layer(position);
            let chunks = table.iter().flat_map(Table::chunks);
            let chunks = chunks.filter(|chunk| touch(spots, chunk));
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
            blobs: HashMap::new(),
            total: Estimate::default(),
            progress,
        };
        delta.estimate(&wanted)?;
        let Estimate {
            delta: bytes,
            requests,
            full,
        } = delta.total;
        progress.detail(&format!(
            "{bytes} of {full} bytes have to come, in {requests} requests or more: the rest is here"
        ));
        Ok((!delta.blobs.is_empty()).then_some(delta))
    }

    /// Decides which blobs are worth it.
    fn estimate(&mut self, wanted: &Wanted) -> Result<(), Error> {
        let (contents, index) = (self.contents, &self.index);
        let (blobs, total, progress) = (&mut self.blobs, &mut self.total, self.progress);
        contents.each_table(&wanted.positions(), &mut |position, table| {
            let spots = wanted.of_layer(position);
            let places = spots.iter().map(|(spot, _)| spot.place.clone());
            let places: Vec<_> = places.collect();
            let estimates = match table.map(|it| Estimate::of(&it, index, &places)) {
                Some(Ok(estimates)) => estimates,
                Some(Err(error)) => {
                    progress.warn(&format!("a layer is fetched whole: {error}"));
                    places.iter().map(Estimate::all_of).collect()
                }
                None => places.iter().map(Estimate::all_of).collect(),
            };
            for ((spot, digest), estimate) in spots.iter().zip(estimates) {
                total.add(estimate);
                if estimate.is_worth_it() {
                    blobs.insert(*digest, (spot.clone(), estimate));
                }
            }
            stop(progress)
        })?;
        let coming = blobs.iter().filter(|(_, (_, it))| it.delta > 0);
        let smallest = coming.min_by_key(|(_, (_, it))| it.full);
        let Some((digest, (spot, _))) = smallest else {
            return Ok(());
        };
        // Asked of what is small, if that is there: who knows no parts sends all of it.
        let toc = contents.reference().descriptor();
        let size = spot.place.end - spot.place.start;
        let asked = [toc, Descriptor::new("", *digest, size)];
        if !self.far.parts.are_given(self.far.repository, &asked)? {
            progress.detail("the registry gives no parts of blobs: layers are fetched whole");
            // Of what is all here none are needed.
            blobs.retain(|_, (_, estimate)| estimate.delta == 0);
            let saved = blobs.values().map(|(_, estimate)| estimate.full);
            total.delta = total.full - saved.sum::<u64>();
        }
        Ok(())
    }

    /// Returns the estimate for a blob that is put together.
    pub(super) fn estimate_of(&self, blob: &Digest) -> Option<Estimate> {
        self.blobs.get(blob).map(|(_, estimate)| *estimate)
    }

    /// Tells whether a blob is put together from what is here.
    pub(super) fn has(&self, blob: &Digest) -> bool {
        self.blobs.contains_key(blob)
    }

    /// Returns what a blob holds that is put together, and the table of that layer.
    fn table(&self, blob: &Digest) -> Result<Option<(&Spot, Table)>, Error> {
        let Some((spot, _)) = self.blobs.get(blob) else {
            return Ok(None);
        };
        let table = self.contents.table(spot.position)?;
        Ok(table.map(|table| (spot, table)))
    }
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
