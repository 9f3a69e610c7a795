//! Kits that come into the store.

use std::{path::PathBuf, sync::Arc};

use super::{Delta, Estimate, Filled, Places, bring_contents, groups};
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
        for group in groups(contents.root(), manifest, absent) {
            let (positions, blobs): (Vec<_>, Vec<_>) = group.into_iter().unzip();
            let delta = Delta::plan(&contents, far, &positions, &places, progress)?;
            moved.add(transfer.fetch(repository, blobs, delta.as_ref(), meter)?);
        }
        Ok(moved)
    }

    /// Adds what would come of it, and returns how many of its blobs are here. Nothing is written.
    pub(in crate::ops) fn estimate(
        &self,
        store: &Store,
        parts: &Parts<'_>,
        estimate: &mut Estimate,
    ) -> Result<usize, Error> {
        let (manifest, repository, progress) = (self.manifest, self.repository, self.progress);
        let far = Far { parts, repository };
        let here = store.unchanged(manifest.blobs())?;
        let lacking = manifest.blobs();
        let lacking = lacking.filter(|blob| !here.contains(&blob.digest));
        let lacking: Vec<Descriptor> = lacking.cloned().collect();
        let present = manifest.blobs().count() - lacking.len();
        let contents = Contents::open(manifest, store, Some(far), progress)?;
        let Some(contents) = contents.map(Contents::hold).transpose()?.flatten() else {
            for blob in &lacking {
                estimate.add(Estimate::whole(blob.size));
            }
            return Ok(present);
        };
        if !contents.is_here() {
            estimate.add(Estimate::whole(contents.reference().size));
        }
        let places = self.places(store);
        for group in groups(contents.root(), manifest, lacking) {
            let positions: Vec<usize> = group.iter().map(|(position, _)| *position).collect();
            let delta = Delta::plan(&contents, far, &positions, &places, progress)?;
            for (_, blob) in group {
                let of = delta.as_ref().and_then(|it| it.estimate_of(&blob.digest));
                estimate.add(of.unwrap_or(Estimate::whole(blob.size)));
            }
        }
        Ok(present)
    }
}
