//! Kits that come into the store.

use std::{path::PathBuf, sync::Arc};

use super::{Delta, Estimate, Filled, Places, bring_contents, coming_contents, groups};
use crate::{
    oci::{Descriptor, Manifest},
    ops::{
        Error,
        toc::{Contents, Far, Parts},
        transfer::{Moved, Transfer},
    },
    progress::{Meter, Progress},
    reference,
    registry::Repository,
    store::Store,
};

/// A kit of which a part may be here.
pub(in crate::ops) struct Coming<'k> {
    pub(in crate::ops) manifest: &'k Manifest,
    /// Where it comes from.
    pub(in crate::ops) repository: &'k Repository,
    /// What that is called.
    pub(in crate::ops) name: Option<&'k reference::Repository>,
    /// Folders in whose files is looked for it.
    pub(in crate::ops) trees: &'k [PathBuf],
    pub(in crate::ops) progress: &'k dyn Progress,
}

impl Coming<'_> {
    fn places<'p>(&'p self, store: &'p Store) -> Places<'p> {
        Places {
            store,
            repository: self.name,
            trees: self.trees,
            file: None,
        }
    }

    /// Fetches what is not here of some of its blobs, and its table of contents.
    pub(in crate::ops) fn fetch(
        &self,
        transfer: &Transfer<'_>,
        absent: Vec<Descriptor>,
        meter: &dyn Meter,
    ) -> Result<Moved, Error> {
        let Self {
            manifest,
            repository,
            progress,
            ..
        } = *self;
        let store = transfer.writer.store();
        let parts = Parts::new(transfer.network, Arc::clone(transfer.downloads), progress);
        let parts = parts.of_manifest(manifest);
        let far = Far {
            parts: &parts,
            repository,
        };
        let places = self.places(store);
        let Filled { fetched, reused } =
            bring_contents(manifest, transfer.writer, far, &places, progress)?;
        let mut moved = Moved {
            fetched,
            reused,
            ..Moved::default()
        };
        let contents = Contents::open_here(manifest, store, progress);
        let Some(contents) = contents.filter(|_| !absent.is_empty()) else {
            moved.add(transfer.fetch(repository, absent, None, meter)?);
            return Ok(moved);
        };
        for group in groups(&contents, absent) {
            let delta = Delta::plan(&contents, far, &group, &places, progress)?;
            let blobs = group.into_iter().map(|(blob, _)| blob).collect();
            moved.add(transfer.fetch(repository, blobs, delta.as_ref(), meter)?);
        }
        Ok(moved)
    }

    /// Adds what would come of it, and returns how many of its blobs are here, the
    /// config aside. Nothing is written.
    pub(in crate::ops) fn estimate(
        &self,
        store: &Store,
        parts: &Parts<'_>,
        estimate: &mut Estimate,
    ) -> Result<usize, Error> {
        let (manifest, repository, progress) = (self.manifest, self.repository, self.progress);
        let far = Far { parts, repository };
        // The config comes with the manifest, before anything is decided.
        let blobs = || {
            let blobs = manifest.blobs();
            blobs.filter(|blob| blob.digest != manifest.config.digest)
        };
        let here = store.unchanged(blobs())?;
        let lacking = blobs().filter(|blob| !here.contains(&blob.digest));
        let lacking: Vec<Descriptor> = lacking.cloned().collect();
        let present = blobs().count() - lacking.len();
        let places = self.places(store);
        let contents = match coming_contents(manifest, progress) {
            Some(_) => Contents::open(manifest, store, Some(far), progress)?,
            None => None,
        };
        let Some(contents) = contents else {
            for blob in &lacking {
                estimate.add(Estimate::whole(blob.size));
            }
            return Ok(present);
        };
        let kits = places.kits(store, progress)?;
        if !contents.is_here() {
            estimate.delta += contents.lacking(&kits);
            estimate.full += contents.reference().size;
        }
        for group in groups(&contents, lacking) {
            let spots = group.iter().filter_map(|(_, spot)| spot.as_ref());
            let mut positions: Vec<usize> = spots.map(|spot| spot.position).collect();
            positions.sort_unstable();
            positions.dedup();
            // Where nothing could be found there is nothing to look for.
            let is_any = !kits.is_empty() || !self.trees.is_empty();
            let contents = if is_any {
                contents.hold(&positions, &kits)?
            } else {
                None
            };
            let delta = match &contents {
                Some(contents) => Delta::plan(contents, far, &group, &places, progress)?,
                None => None,
            };
            for (blob, _) in group {
                let of = delta.as_ref().and_then(|it| it.estimate_of(&blob.digest));
                estimate.add(of.unwrap_or(Estimate::whole(blob.size)));
            }
        }
        Ok(present)
    }
}
