//! Which blobs a kit needs. Everything goes by digest alone: the same bytes may serve two kits
//! under two media types.

use std::{
    collections::{HashMap, HashSet},
    fs,
};

use crate::{
    digest::Digest,
    oci::{Descriptor, Index, Manifest, media_type},
    toc::TocRef,
};

use super::{Entry, Error, Store, blob};

/// Reads the manifest `descriptor` and checks it.
pub(super) fn manifest(
    store: &Store,
    descriptor: &Descriptor,
) -> Result<(Manifest, Vec<u8>), Error> {
    let digest = descriptor.digest;
    let content = blob::read_verified(store, &digest, descriptor.size, Manifest::MAX_LEN as u64)?;
    let manifest =
        Manifest::parse(&content).map_err(|source| Error::BadManifest { digest, source })?;
    Ok((manifest, content))
}

/// Returns all blobs of the kit `descriptor`, each once: the manifest first, then the config, then
/// the layers, then the table of contents if it is there.
pub(super) fn of(store: &Store, descriptor: &Descriptor) -> Result<Vec<Descriptor>, Error> {
    walk(store, descriptor, true)
}

/// Returns the same without tables of contents: what must be there for the kit to be whole.
pub(super) fn without_toc(
    store: &Store,
    descriptor: &Descriptor,
) -> Result<Vec<Descriptor>, Error> {
    walk(store, descriptor, false)
}

fn walk(store: &Store, descriptor: &Descriptor, with_toc: bool) -> Result<Vec<Descriptor>, Error> {
    let mut needed = Vec::new();
    let mut seen = HashSet::new();
    // Apart from `seen`: a manifest may also be some kit's layer, and must be read all the same.
    let mut read = HashSet::new();
    let mut open = vec![descriptor.clone()];
    while let Some(next) = open.pop() {
        if !read.insert(next.digest) {
            continue;
        }
        if is_index(&next) {
            let digest = next.digest;
            let content = blob::read_verified(store, &digest, next.size, Index::MAX_LEN as u64)?;
            let index =
                Index::parse(&content).map_err(|source| Error::BadManifest { digest, source })?;
            open.extend(index.manifests);
            needed.extend(seen.insert(digest).then_some(next));
        } else {
            let (manifest, _) = manifest(store, &next)?;
            // A kit is whole without its table of contents. What is there stays as long as it does.
            let toc = TocRef::of(&manifest).ok().flatten();
            let toc = toc.map(|toc| toc.descriptor());
            // Something else by that digest is no more needed than nothing.
            let toc = toc.filter(|toc| {
                let found = fs::symlink_metadata(store.blob_path(&toc.digest));
                with_toc && found.is_ok_and(|found| found.len() == toc.size)
            });
            let blobs = [next, manifest.config].into_iter().chain(manifest.layers);
            let blobs = blobs.chain(toc);
            needed.extend(blobs.filter(|blob| seen.insert(blob.digest)));
        }
    }
    Ok(needed)
}

fn is_index(descriptor: &Descriptor) -> bool {
    descriptor.media_type == media_type::INDEX
        || descriptor.media_type == "application/vnd.docker.distribution.manifest.list.v2+json"
}

/// Returns the blobs, with their sizes, that any of `entries` needs. Fails if that cannot be told
/// of one of them: then nothing may be deleted.
pub(super) fn of_all(store: &Store, entries: &[Entry]) -> Result<HashMap<Digest, u64>, Error> {
    let mut needed = HashMap::new();
    let mut done = HashSet::new();
    for entry in entries {
        if !done.insert(entry.descriptor.digest) {
            continue;
        }
        let blobs = of(store, &entry.descriptor).map_err(|source| Error::Undecidable {
            kit: entry.log_name(),
            source: Box::new(source),
        })?;
        needed.extend(blobs.into_iter().map(|blob| (blob.digest, blob.size)));
    }
    Ok(needed)
}
