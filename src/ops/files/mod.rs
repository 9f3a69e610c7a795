//! Looks into the layers of a kit: which files there are, and what one of them holds.

mod cat;

use std::{
    io::{self, Read},
    ops::ControlFlow,
};

pub use self::cat::cat;
use super::{
    Error,
    kit::{Kit, Layer},
    unpack::{Wanted, select_layers},
};
use crate::{
    archive::{
        self,
        decompress::{Decompressed, Sums},
        unpack::{Entry, Kind, TarReader},
    },
    digest::{Digest, Hasher},
    filter::{Filter, PathGlobs},
    oci::{Descriptor, Encoding},
    progress::Progress,
    store::{self, Store},
};

/// How much of a file is in memory at a time, in bytes.
const BLOCK: usize = 1 << 20;

/// A file or folder in a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The path it unpacks to.
    pub path: Vec<u8>,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Whether its owner may execute it.
    pub executable: bool,
    /// The permission bits; of a raw layer's file as far as they are told.
    pub mode: u32,
    /// The content's length in bytes.
    pub size: u64,
}

/// Calls `found` with every file and folder of the layers that `filter` selects and whose path
/// `globs` select. Of a layer that nobody has written to since it was seen to be right, the headers
/// alone are read. Any other is read to its end and checked; what it holds is reported while it is
/// read, so an error at the end takes back what was said of that layer.
pub fn list(
    kit: &Kit,
    store: &Store,
    filter: &Filter,
    globs: &PathGlobs,
    progress: &dyn Progress,
    found: &mut dyn FnMut(&Layer, File) -> Result<(), Error>,
) -> Result<(), Error> {
    let layers = select_layers(kit, filter);
    if layers.is_empty() && !filter.selects_kitfile() {
        let entries = kit.layers.iter().map(|layer| &layer.entry);
        let entries =
            entries.map(|entry| (entry.section, entry.name.as_str(), entry.path.as_str()));
        return Err(filter.no_match(entries).into());
    }
    list_layers(&layers, store, globs, progress, found)
}

/// Calls `found` as [`list`] does, for these layers.
pub fn list_layers(
    layers: &[Layer],
    store: &Store,
    globs: &PathGlobs,
    progress: &dyn Progress,
    found: &mut dyn FnMut(&Layer, File) -> Result<(), Error>,
) -> Result<(), Error> {
    let sound = store.unchanged(layers.iter().map(|layer| &layer.descriptor))?;
    let total = layers.iter().map(|layer| layer.descriptor.size).sum();
    let meter = progress.begin("Reading", Some(total));
    for layer in layers {
        let is_sound = sound.contains(&layer.descriptor.digest);
        let mut tell = |file: File| {
            if globs.selects(&file.path) {
                found(layer, file)?;
            }
            Ok(())
        };
        if has_headers(layer, is_sound) {
            headers(layer, store, progress, &mut |file| {
                tell(file).map(ControlFlow::Continue)
            })?;
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
        let is_sound = sound.contains(&wanted.layer.descriptor.digest);
        if !is_sound || may_select(&wanted.layer, store, globs, progress)? {
            kept.push(wanted);
        }
    }
    *layers = kept;
    Ok(())
}

/// Tells whether something in a sound layer is selected.
fn may_select(
    layer: &Layer,
    store: &Store,
    globs: &PathGlobs,
    progress: &dyn Progress,
) -> Result<bool, Error> {
    let blob = &layer.descriptor;
    match layer.layer_type.encoding {
        Encoding::Tar => {}
        encoding if encoding.is_raw() => return Ok(globs.selects(layer.entry.clean.as_bytes())),
        _ => return Ok(true),
    }
    let mut reader = TarReader::of_headers(store.open_blob(&blob.digest, blob.size)?);
    loop {
        if progress.cancelled() {
            return Err(store::Error::Interrupted.into());
        }
        // What is wrong with an archive is told when it is unpacked.
        match reader.next_entry() {
            Ok(Some(entry)) if globs.selects(&tar_file(layer, &entry).path) => return Ok(true),
            Ok(Some(_)) if reader.pass_over_content().is_ok() => {}
            Ok(None) => return Ok(false),
            Ok(Some(_)) | Err(_) => return Ok(true),
        }
    }
}

/// What a layer unpacks to.
type Content = Decompressed<io::Take<std::fs::File>>;

fn open(layer: &Layer, store: &Store) -> Result<Content, Error> {
    let blob = &layer.descriptor;
    let source = store.open_blob(&blob.digest, blob.size)?;
    // One byte more than there should be shows that there are too many.
    layer.decompressed(source.take(blob.size.saturating_add(1)), store.limits())
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

/// Returns the digest of the content of the entry at hand.
pub(super) type ContentDigest<'a> = dyn FnMut() -> Result<Digest, Error> + 'a;

/// Reads a layer from end to end and calls `found` with each entry, the place of its content in
/// what the layer unpacks to, and a way to hash that content.
pub(super) fn walk(
    layer: &Layer,
    store: &Store,
    progress: &dyn Progress,
    found: &mut dyn FnMut(File, u64, &mut ContentDigest<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let content = open(layer, store)?;
    if layer.layer_type.encoding.is_raw() {
        walk_raw(layer, content, progress, found)
    } else {
        walk_tar(layer, content, progress, found)
    }
}

fn walk_tar(
    layer: &Layer,
    content: Content,
    progress: &dyn Progress,
    found: &mut dyn FnMut(File, u64, &mut ContentDigest<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut reader = TarReader::of(content);
    let mut block = vec![0; BLOCK];
    loop {
        if progress.cancelled() {
            return Err(store::Error::Interrupted.into());
        }
        let entry = match reader.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(error) => return Err(cause(error, reader.drain().ok(), layer)),
        };
        let file = tar_file(layer, &entry);
        let at = reader.position();
        let told = found(file, at, &mut || {
            let mut hasher = Hasher::new();
            loop {
                match reader.read_content(&mut block)? {
                    0 => return Ok(hasher.finish()),
                    read => hasher.update(&block[..read]),
                }
            }
        });
        match told {
            Err(Error::Archive(error)) => return Err(cause(error, reader.drain().ok(), layer)),
            told => told?,
        }
    }
    check(layer, reader.finish()?)
}

fn tar_file(layer: &Layer, entry: &Entry) -> File {
    let mut path = layer.prefix().unwrap_or_default().as_bytes().to_vec();
    if !path.is_empty() && !entry.path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(&entry.path);
    File {
        path,
        is_folder: entry.kind == Kind::Folder,
        executable: entry.executable(),
        mode: entry.mode,
        size: entry.size,
    }
}

fn raw_file(layer: &Layer, size: u64) -> File {
    File {
        path: layer.entry.clean.clone().into_bytes(),
        is_folder: false,
        executable: layer.executable(),
        mode: layer.mode().into(),
        size,
    }
}

fn walk_raw(
    layer: &Layer,
    mut content: Content,
    progress: &dyn Progress,
    found: &mut dyn FnMut(File, u64, &mut ContentDigest<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut block = vec![0; BLOCK];
    loop {
        if progress.cancelled() {
            return Err(store::Error::Interrupted.into());
        }
        match content.read(&mut block) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let error = archive::Error::read(error);
                return Err(cause(error, content.drain().ok(), layer));
            }
        }
    }
    let size = content.count();
    let sums = content.finish();
    check(layer, sums)?;
    found(raw_file(layer, size), 0, &mut || Ok(sums.diff_id))
}

/// Checks what a layer came to against what manifest and config say of it.
fn check(layer: &Layer, sums: Sums) -> Result<(), Error> {
    let Sums {
        digest,
        size,
        diff_id: found,
    } = sums;
    let blob = &layer.descriptor;
    if digest != blob.digest || size != blob.size {
        return Err(damaged(blob, digest, size));
    }
    match layer.entry.diff_id {
        Some(expected) if expected != found => {
            Err(archive::Error::DiffId { expected, found }.into())
        }
        _ => Ok(()),
    }
}

fn damaged(blob: &Descriptor, digest: Digest, size: u64) -> Error {
    let damage = if size == blob.size {
        store::Damage::Content { actual: digest }
    } else {
        store::Damage::Size {
            expected: blob.size,
            actual: size,
        }
    };
    store::Error::Damaged {
        digest: blob.digest,
        damage,
    }
    .into()
}

/// Tells damage, which is the cause of whatever an archive seems to do wrong, from an archive
/// that was made wrong; `drained` is what the whole layer came to, if that could be read.
fn cause(error: archive::Error, drained: Option<(Digest, u64)>, layer: &Layer) -> Error {
    let blob = &layer.descriptor;
    match drained {
        Some((digest, size)) if digest != blob.digest || size != blob.size => {
            damaged(blob, digest, size)
        }
        _ => error.into(),
    }
}
