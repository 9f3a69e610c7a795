//! What the models of a kit are, told by the beginnings of their files.
//!
//! It is told, not relied on: a kit of which it cannot be told is shown like any other, and only the
//! user's wish to stop is an error.

mod far;
mod models;

use std::io::{Read, Seek};

pub use self::models::{Folder, MAX_MODELS, Model};
use self::{far::Wire, models::Models};
use super::{
    Error,
    kit::{Documents, Layer},
    segments,
    toc::{Contents, Far},
    walk::{limited, tar_file},
};
use crate::{
    archive::{decompress::Compression, unpack::TarReader},
    kitfile::Section,
    model::{Config, Format, MAX_LOOKED},
    progress::Progress,
    reference::Reference,
    store::{self, Store},
};

/// The most bytes that come from a registry to look into the models of a kit: with its documents and
/// what is said about them less than [`MAX_LOOKED`].
const MAX_FETCHED: u64 = 9_000_000;
/// The longest table of contents that is fetched to find models.
const MAX_TOC: u64 = 4 << 20;

/// Where the layers are.
#[derive(Clone, Copy)]
pub enum Place<'p> {
    /// In the store.
    Store(&'p Store),
    /// In a registry.
    Registry(Far<'p>),
}

/// Tells what the models of a kit are: of layers in the store by reading the headers of archives and
/// up to [`MAX_LOOKED`] bytes of each model, of those in a registry by 9 MB on the wire in all.
///
/// # Errors
///
/// That the user wants to stop.
pub fn models(
    reference: &Reference,
    documents: &Documents,
    place: Place<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Model>, Error> {
    let layers = match documents.layers(reference) {
        Ok(layers) => layers,
        Err(error) => {
            progress.detail(&format!("models are not looked at: {error}"));
            return Ok(Vec::new());
        }
    };
    let candidates: Vec<&Layer> = layers.iter().filter(|layer| may_hold(layer)).collect();
    let mut models = Models::default();
    if candidates.iter().any(|layer| may_be_model(layer)) {
        let looked = match place {
            Place::Store(store) => here(&candidates, store, &mut models, progress),
            Place::Registry(far) => there(documents, &candidates, far, &mut models, progress),
        };
        or_told(looked, progress)?;
    }
    Ok(models.finish())
}

/// Passes on that the user wants to stop, and tells of anything else.
fn or_told(looked: Result<(), Error>, progress: &dyn Progress) -> Result<(), Error> {
    match looked {
        Err(error @ Error::Store(store::Error::Interrupted)) => Err(error),
        Err(error) => {
            if progress.cancelled() {
                return Err(store::Error::Interrupted.into());
            }
            progress.detail(&format!("not all models were looked at: {error}"));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Tells whether a layer may hold a model, or the config of one.
fn may_hold(layer: &Layer) -> bool {
    may_be_model(layer) || layer.layer_type.encoding.is_raw() && is_config(&layer.entry.clean)
}

fn may_be_model(layer: &Layer) -> bool {
    let is_model = matches!(layer.entry.section, Section::Model | Section::Part);
    is_model
        && (!layer.layer_type.encoding.is_raw() || Format::of_path(&layer.entry.clean).is_some())
}

fn is_config(path: &str) -> bool {
    path.rsplit('/').next() == Some(Config::NAME)
}

/// Looks into layers in the store. Nothing waits for it, so one may be gone.
fn here(
    layers: &[&Layer],
    store: &Store,
    models: &mut Models,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let sound = segments::unchanged(store, layers.iter().copied())?;
    for layer in layers {
        // That segments are right does not say that they are the layer.
        models.verified = sound.contains(&layer.descriptor.digest) && layer.segments.is_empty();
        let looked = segments::open(store, layer).map_err(Error::from);
        let looked = looked.and_then(|file| match layer.compression() {
            Compression::None => plain(layer, file, models, &|| MAX_LOOKED, progress),
            _ => compressed(
                layer,
                limited(layer, file, store.limits())?,
                models,
                progress,
            ),
        });
        or_told(looked, progress)?;
    }
    Ok(())
}

/// Looks into a layer that is not compressed, of which `room` tells how much more may be read.
fn plain<R: Read + Seek>(
    layer: &Layer,
    mut content: R,
    models: &mut Models,
    room: &dyn Fn() -> u64,
    progress: &dyn Progress,
) -> Result<(), Error> {
    if layer.layer_type.encoding.is_raw() {
        models.file_within(
            &layer.entry.clean,
            layer.descriptor.size,
            &mut content,
            room(),
            progress,
        );
        return Ok(());
    }
    let mut reader = TarReader::of_headers(content);
    while let Some(entry) = reader.next_entry()? {
        let file = tar_file(layer, &entry);
        if !file.is_folder
            && let Ok(path) = std::str::from_utf8(&file.path)
        {
            models.file_within(path, file.size, &mut reader, room(), progress);
        }
        if models.is_full() || progress.cancelled() {
            break;
        }
        reader.pass_over_content()?;
    }
    Ok(())
}

/// Looks at the beginning of a layer that is compressed: what comes later would take too long.
fn compressed<R: Read>(
    layer: &Layer,
    content: R,
    models: &mut Models,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let mut content = content.take(MAX_LOOKED);
    if layer.layer_type.encoding.is_raw() {
        let size = layer.plain_size().unwrap_or(u64::MAX);
        models.file(&layer.entry.clean, size, &mut content, progress);
        return Ok(());
    }
    let mut reader = TarReader::new(content);
    while let Some(entry) = reader.next_entry()? {
        let file = tar_file(layer, &entry);
        if !file.is_folder
            && let Ok(path) = std::str::from_utf8(&file.path)
        {
            models.file(path, file.size, &mut reader, progress);
        }
        if progress.cancelled() {
            break;
        }
    }
    Ok(())
}

/// Looks into layers in a registry: by the table of contents, else by the headers of archives.
fn there(
    documents: &Documents,
    layers: &[&Layer],
    far: Far<'_>,
    models: &mut Models,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let manifest = &documents.stored.manifest;
    let parts = far.parts.clone().of_manifest(manifest);
    let far = Far {
        parts: &parts,
        ..far
    };
    let wire = Wire::new(MAX_FETCHED);
    let toc = super::toc::descriptor(manifest).filter(|toc| toc.size <= MAX_TOC);
    let contents = match &toc {
        Some(toc) => {
            wire.take(toc.size);
            Contents::open_far(manifest, far, progress)?
        }
        None => None,
    };
    let position = |layer: &Layer| {
        let of = contents.as_ref()?.root().layers().iter();
        let mut of = of.enumerate();
        let known = of.find(|(_, it)| it.digest == layer.descriptor.digest)?;
        known.1.range().map(|_| known.0)
    };
    let (told, untold): (Vec<&Layer>, Vec<&Layer>) =
        layers.iter().partition(|layer| position(layer).is_some());
    if let Some(contents) = &contents {
        let positions: Vec<usize> = told.iter().filter_map(|layer| position(layer)).collect();
        let mut layers = told.iter();
        contents.each_table(&positions, &mut |_, table| {
            let (Some(layer), Some(table)) = (layers.next(), table) else {
                return Ok(());
            };
            models.verified = true;
            far::by_table(layer, &table, far, &wire, models, progress);
            Ok(())
        })?;
    }
    models.verified = false;
    for layer in untold {
        if wire.is_used_up() || layer.compression() != Compression::None {
            continue;
        }
        let content = far::Peek::new(far, &layer.descriptor, &wire);
        let room = || wire.left();
        or_told(plain(layer, content, models, &room, progress), progress)?;
    }
    Ok(())
}
