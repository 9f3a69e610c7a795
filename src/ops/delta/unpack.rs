//! Layers of kits in registries that are unpacked and not kept: of what is here, in the store and in
//! the target, nothing is fetched.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use super::{Delta, Estimate, Places, groups, read};
use crate::{
    digest::Digest,
    oci::Descriptor,
    ops::{
        Error,
        chain::Family,
        kit::{Kit, Layer, Place},
        segments,
        sources::Sources,
        toc::{Contents, Far, Parts},
        unpack::{self, Options, Selection, Wanted},
    },
    progress::Progress,
    toc::{Entry, TocRef},
};

/// Tables are fetched for layers of so many times their size at least: they may come for nothing.
const WORTH: u64 = 8;

/// A kit in a registry of which layers are to come.
pub(in crate::ops) struct Opened<'o> {
    kit: &'o Kit,
    far: Far<'o>,
    contents: Contents<'o>,
    lacking: Vec<Descriptor>,
}

/// Opens the tables of contents of the kits that are unpacked from registries, as far as anything
/// of them could be here.
pub(in crate::ops) fn open<'o>(
    parts: Option<&'o Parts<'o>>,
    family: &'o Family,
    selection: &Selection<'_>,
    sources: &'o Sources<'o>,
    options: &Options,
    progress: &'o dyn Progress,
) -> Result<Vec<Opened<'o>>, Error> {
    let mut opened = Vec::new();
    let Some(parts) = parts else {
        return Ok(opened);
    };
    // Who takes single files does not read layers to their ends.
    let far = selection.layers.iter().filter(|wanted| wanted.is_far());
    let far: Vec<&Wanted> = far.filter(|_| options.globs.is_everything()).collect();
    if far.is_empty() || !may_be_here(&far, sources, options, progress)? {
        return Ok(opened);
    }
    let here = far.iter().map(|wanted| &wanted.layer);
    let here = segments::unchanged(sources.store, here)?;
    for kit in std::iter::once(&family.kit).chain(&family.parents) {
        let Place::Registry(repository) = &kit.place else {
            continue;
        };
        let own: HashSet<Digest> = kit.layers.iter().map(|it| it.descriptor.digest).collect();
        let mut known = HashSet::new();
        let lacking = far.iter().map(|wanted| &wanted.layer.descriptor);
        let lacking = lacking.filter(|layer| own.contains(&layer.digest));
        let lacking = lacking.filter(|layer| !here.contains(&layer.digest));
        let lacking: Vec<_> = lacking.filter(|it| known.insert(it.digest)).collect();
        let size: u64 = lacking.iter().map(|layer| layer.size).sum();
        let toc = TocRef::of(&kit.manifest).ok().flatten();
        if toc.is_some_and(|toc| toc.root_size > size / WORTH) {
            continue;
        }
        let far = Far { parts, repository };
        let contents = Contents::open(&kit.manifest, sources.store, Some(far), progress)?;
        let Some(contents) = contents else {
            continue;
        };
        let layers = contents.root().layers().iter().enumerate();
        let places: HashMap<Digest, usize> = layers.map(|(at, it)| (it.digest, at)).collect();
        let wanted = lacking.iter().filter_map(|it| places.get(&it.digest));
        let wanted: Vec<usize> = wanted.copied().collect();
        if contents.length_of(&wanted) > size / WORTH {
            continue;
        }
        let repository = kit.reference.repository();
        let kits = super::near::kits(sources.store, repository, progress)?;
        let Some(contents) = contents.hold(&wanted, &kits)? else {
            continue;
        };
        opened.push(Opened {
            kit,
            far,
            contents,
            lacking: lacking.into_iter().cloned().collect(),
        });
    }
    Ok(opened)
}

/// Tells whether there is anything that layers could be put together from.
fn may_be_here(
    layers: &[&Wanted],
    sources: &Sources<'_>,
    options: &Options,
    progress: &dyn Progress,
) -> Result<bool, Error> {
    let mut layers = layers.iter();
    let in_files =
        !options.trees.is_empty() || layers.any(|layer| is_in_target(layer, &options.target));
    Ok(in_files || !super::near::kits(sources.store, None, progress)?.is_empty())
}

/// Tells whether files of a layer may be in the target: not where nothing is at the path of its
/// element, below which they all are if the config tells digests.
fn is_in_target(wanted: &Wanted, target: &Path) -> bool {
    let entry = &wanted.layer.entry;
    if entry.digest.is_none() || entry.clean == "." {
        return fs::read_dir(target).is_ok_and(|mut it| it.next().is_some());
    }
    let below = wanted.below.as_deref().unwrap_or_default();
    let path = target.join(below).join(&entry.clean);
    fs::symlink_metadata(path).is_ok()
}

/// Layers that are put together.
pub(in crate::ops) struct Patches<'p>(Vec<Delta<'p>>);

/// Looks for what is here of the layers of the kits that were opened.
pub(in crate::ops) fn plan<'o>(
    opened: &'o [Opened<'o>],
    selection: &Selection<'_>,
    sources: &Sources<'_>,
    options: &Options,
    progress: &'o dyn Progress,
) -> Result<Patches<'o>, Error> {
    let mut deltas = Vec::new();
    for Opened {
        kit,
        far,
        contents,
        lacking,
    } in opened
    {
        let layers = selection.layers.iter();
        let layers: HashMap<Digest, &Wanted> = layers
            .map(|wanted| (wanted.layer.descriptor.digest, wanted))
            .collect();
        let known = contents.root().layers();
        let file = |position: usize, entry: &Entry<'_, '_>| {
            let wanted = layers.get(&known.get(position)?.digest)?;
            Some(place(&options.target, wanted, entry.path))
        };
        let places = Places {
            store: sources.store,
            repository: kit.reference.repository(),
            trees: &options.trees,
            file: Some(&file),
        };
        // What is held of tables bounds how many groups there are.
        for group in groups(contents, lacking.clone()) {
            deltas.extend(Delta::plan(contents, *far, &group, &places, progress)?);
        }
    }
    Ok(Patches(deltas))
}

/// Returns where a file of a layer is in the target, if it is there.
fn place(target: &Path, wanted: &Wanted, path: &str) -> PathBuf {
    let path = if path.is_empty() {
        &wanted.layer.entry.clean
    } else {
        path
    };
    let prefix = wanted.prefix();
    target.join(prefix.trim_matches('/')).join(path)
}

impl Patches<'_> {
    /// Returns the layers that are put together.
    pub(in crate::ops) fn layers(&self) -> HashSet<Digest> {
        let layers = self.0.iter().flat_map(|delta| delta.blobs.keys());
        layers.copied().collect()
    }

    /// Begins to put a layer together; `None` if it is to come whole.
    pub(in crate::ops) fn read(
        &self,
        layer: &Descriptor,
    ) -> Result<Option<(read::Patched, read::Patcher<'_, '_>)>, Error> {
        for delta in &self.0 {
            if let Some(read) = delta.read(layer)? {
                return Ok(Some(read));
            }
        }
        Ok(None)
    }
}

/// Returns what unpacking would fetch, with what is here and without; `None` if all of it is here.
pub fn estimate(
    family: &Family,
    selection: &Selection<'_>,
    sources: &Sources<'_>,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Option<Estimate>, Error> {
    let Some(streams) = &sources.streams else {
        return Ok(None);
    };
    let far = selection.layers.iter().filter(|wanted| wanted.is_far());
    let far: Vec<&Layer> = far.map(|wanted| &wanted.layer).collect();
    let here = sources
        .store
        .unchanged(far.iter().flat_map(|layer| layer.blobs()))?;
    let parts = streams.parts().of_kits(unpack::kits(family));
    let opened = open(Some(&parts), family, selection, sources, options, progress)?;
    let patches = plan(&opened, selection, sources, options, progress)?;
    let mut estimate = Estimate::default();
    for layer in far {
        let blobs = layer.blobs().iter();
        let lacking = blobs.filter(|blob| !here.contains(&blob.digest));
        let lacking: u64 = lacking.map(|blob| blob.size).sum();
        if lacking == 0 {
            continue;
        }
        let blob = &layer.descriptor;
        let mut of = patches.0.iter();
        let of = of.find_map(|delta| delta.estimate_of(&blob.digest));
        estimate.add(of.unwrap_or(Estimate {
            delta: lacking,
            ..Estimate::whole(blob.size)
        }));
    }
    // As much of tables of contents as now comes again.
    estimate.delta += parts.came();
    Ok((estimate.full > 0).then_some(estimate))
}
