//! Looks into the layers of a kit: which files there are, and what one of them holds.

mod cat;

use std::ops::ControlFlow;

pub use self::cat::cat;
pub use super::walk::File;
use super::{
    Error,
    kit::{Kit, Layer},
    unpack::{Sources, Wanted, own_layers},
    walk::{limited, raw_file, tar_file, walk, walk_content},
};
use crate::{
    archive::unpack::TarReader,
    digest::Digest,
    filter::{Filter, PathGlobs},
    oci::Encoding,
    progress::Progress,
    store::{self, Store},
};

/// Calls `found` with every file and folder of the layers that `filter` selects and whose path
/// `globs` select. Of a layer that nobody has written to since it was seen to be right, the headers
/// alone are read. Any other is read to its end and checked; what it holds is reported while it is
/// read, so an error at the end takes back what was said of that layer.
pub fn list(
    kit: &Kit,
    sources: &Sources<'_>,
    filter: &Filter,
    globs: &PathGlobs,
    progress: &dyn Progress,
    found: &mut dyn FnMut(&Layer, File) -> Result<(), Error>,
) -> Result<(), Error> {
    let layers: Vec<_> = own_layers(kit, filter).collect();
    if layers.is_empty() && !filter.selects_kitfile() {
        let entries = kit.layers.iter().map(|layer| &layer.entry);
        let entries =
            entries.map(|entry| (entry.section, entry.name.as_str(), entry.path.as_str()));
        return Err(filter.no_match(entries).into());
    }
    list_layers(&layers, sources, globs, progress, found)
}

/// Calls `found` as [`list`] does, for these layers.
pub fn list_layers(
    layers: &[Wanted],
    sources: &Sources<'_>,
    globs: &PathGlobs,
    progress: &dyn Progress,
    found: &mut dyn FnMut(&Layer, File) -> Result<(), Error>,
) -> Result<(), Error> {
    let store = sources.store;
    let sound = store.unchanged(layers.iter().map(|wanted| &wanted.layer.descriptor))?;
    let total = layers
        .iter()
        .map(|wanted| wanted.layer.descriptor.size)
        .sum();
    let meter = progress.begin("Reading", Some(total));
    for wanted in layers {
        let layer = &wanted.layer;
        let is_sound = sound.contains(&layer.descriptor.digest);
        let mut tell = |mut file: File| {
            file.path = wanted.place_below(file.path);
            if globs.selects(&file.path) {
                found(layer, file)?;
            }
            Ok(())
        };
        // What a file in a registry is called and how long it is, the manifest tells.
        let is_known = wanted.is_far() && layer.layer_type.encoding == Encoding::Raw;
        if has_headers(layer, is_sound || is_known) {
            headers(layer, store, progress, &mut |file| {
                tell(file).map(ControlFlow::Continue)
            })?;
        } else if !is_sound && let Some(stream) = sources.stream(wanted) {
            let content = limited(layer, stream, store.limits())?;
            walk_content(layer, content, progress, &mut |file, _, _| tell(file))?;
        } else {
            walk(layer, store, progress, &mut |file, _, _| tell(file))?;
        }
        meter.advance(layer.descriptor.size);
    }
    Ok(())
}

/// Keeps those of `layers` that may hold something that `globs` select, so that no layer is read for
/// nothing. Only of a layer that nobody has written to since it was seen to be right do the headers
/// tell; any other stays.
pub(super) fn retain_selected(
    layers: &mut Vec<Wanted>,
    store: &Store,
    globs: &PathGlobs,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let sound = store.unchanged(layers.iter().map(|wanted| &wanted.layer.descriptor))?;
    let mut kept = Vec::with_capacity(layers.len());
    for wanted in layers.drain(..) {
        // Of a file in a registry the manifest tells the path, and it was checked.
        let is_known = wanted.layer.layer_type.encoding.is_raw() && wanted.is_far();
        let is_sound = is_known || sound.contains(&wanted.layer.descriptor.digest);
        if !is_sound || may_select(&wanted, store, globs, progress)? {
            kept.push(wanted);
        }
    }
    *layers = kept;
    Ok(())
}

/// Tells whether something in a sound layer is selected.
fn may_select(
    wanted: &Wanted,
    store: &Store,
    globs: &PathGlobs,
    progress: &dyn Progress,
) -> Result<bool, Error> {
    let layer = &wanted.layer;
    let blob = &layer.descriptor;
    let selects = |path: Vec<u8>| globs.selects(&wanted.place_below(path));
    match layer.layer_type.encoding {
        Encoding::Tar => {}
        encoding if encoding.is_raw() => {
            return Ok(selects(layer.entry.clean.clone().into_bytes()));
        }
        _ => return Ok(true),
    }
    let mut reader = TarReader::of_headers(store.open_blob(&blob.digest, blob.size)?);
    loop {
        if progress.cancelled() {
            return Err(store::Error::Interrupted.into());
        }
        // What is wrong with an archive is told when it is unpacked.
        match reader.next_entry() {
            Ok(Some(entry)) if selects(tar_file(layer, &entry).path) => return Ok(true),
            Ok(Some(_)) if reader.pass_over_content().is_ok() => {}
            Ok(None) => return Ok(false),
            Ok(Some(_)) | Err(_) => return Ok(true),
        }
    }
}

/// Calls `found` with every file of a layer and the digest of its content. The layer is read to
/// its end and checked: what was reported counts only if this returns without an error.
pub(super) fn contents(
    layer: &Layer,
    store: &Store,
    progress: &dyn Progress,
    found: &mut dyn FnMut(File, Digest),
) -> Result<(), Error> {
    walk(layer, store, progress, &mut |file, _, digest| {
        if !file.is_folder {
            found(file, digest()?);
        }
        Ok(())
    })
}

/// Tells whether `path` is `folder` or lies in it.
pub(super) fn is_below(path: &str, folder: &str) -> bool {
    folder == "."
        || path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Tells whether headers alone say what a layer holds: not if it is compressed, nor unless nobody has
/// written to it since it was seen to be right.
fn has_headers(layer: &Layer, is_sound: bool) -> bool {
    is_sound && matches!(layer.layer_type.encoding, Encoding::Tar | Encoding::Raw)
}

/// Calls `found` with each file and folder of a layer, by its headers alone, until it has enough.
fn headers(
    layer: &Layer,
    store: &Store,
    progress: &dyn Progress,
    found: &mut dyn FnMut(File) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    let blob = &layer.descriptor;
    if layer.layer_type.encoding.is_raw() {
        return found(raw_file(layer, blob.size)).map(drop);
    }
    let mut reader = TarReader::of_headers(store.open_blob(&blob.digest, blob.size)?);
    while let Some(entry) = reader.next_entry()? {
        if progress.cancelled() {
            return Err(store::Error::Interrupted.into());
        }
        if found(tar_file(layer, &entry))?.is_break() {
            break;
        }
        reader.pass_over_content()?;
    }
    Ok(())
}
