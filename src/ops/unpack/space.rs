//! Whether there is room for what is unpacked from a registry.

use std::{collections::HashSet, fs, path::Path};

use super::{Selection, Wanted};
use crate::{ops::Error, platform};

/// Fails, before anything large is fetched, if there is no room for what is to come. What is in the
/// target may be what is to come: it needs no other room.
pub(super) fn check(selection: &Selection<'_>, target: &Path) -> Result<(), Error> {
    if !selection.layers.iter().any(Wanted::is_far) {
        return Ok(());
    }
    let mut seen = HashSet::new();
    let layers = selection.layers.iter().map(|wanted| &wanted.layer);
    let layers = layers.filter(|layer| seen.insert(layer.descriptor.digest));
    let sizes = layers.map(|layer| layer.plain_size().unwrap_or(layer.descriptor.size));
    let need = sizes.fold(0_u64, u64::saturating_add);
    let absolute = std::path::absolute(target).unwrap_or_else(|_| target.to_owned());
    // Of a folder that is not there the one above it counts, which will hold it.
    let nearest = absolute.ancestors().find(|above| above.is_dir());
    let have = nearest.and_then(platform::free_space);
    match have.filter(|have| *have < need) {
        Some(have) if have.saturating_add(bytes_below(&absolute)) < need => Err(Error::NoSpace {
            path: target.to_owned(),
            need,
            have,
        }),
        _ => Ok(()),
    }
}

/// Returns how many bytes the files below a folder have.
fn bytes_below(folder: &Path) -> u64 {
    let mut bytes = 0_u64;
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        // What cannot be read does not count.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => open.push(entry.path()),
                Ok(found) if found.is_file() => bytes = bytes.saturating_add(found.len()),
                _ => {}
            }
        }
    }
    bytes
}
