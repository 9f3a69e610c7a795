//! Reads a layer from end to end, entry by entry, and checks what it came to.

use std::io::{self, Read};

use super::{
    Error,
    kit::Layer,
    segments::{self, LayerFile},
};
use crate::{
    archive::{
        self,
        decompress::{Decompressed, Sums},
        unpack::{Entry, Kind, TarReader},
    },
    digest::{Digest, Hasher},
    limits::Limits,
    oci::Descriptor,
    progress::Progress,
    store::{self, Store},
};

/// How much of a file is in memory at a time, in bytes.
pub(super) const BLOCK: usize = 1 << 20;

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

/// What a layer unpacks to.
pub(super) type Content<R> = Decompressed<io::Take<R>>;

pub(super) fn open<'s>(layer: &Layer, store: &'s Store) -> Result<Content<LayerFile<'s>>, Error> {
    let source = segments::open(store, layer)?;
    limited(layer, source, store.limits())
}

pub(super) fn limited<R: Read>(
    layer: &Layer,
    source: R,
    limits: &Limits,
) -> Result<Content<R>, Error> {
    // One byte more than there should be shows that there are too many.
    let most = layer.descriptor.size.saturating_add(1);
    layer.decompressed(source.take(most), limits)
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
    walk_content(layer, open(layer, store)?, progress, found)
}

pub(super) fn walk_content<R: Read>(
    layer: &Layer,
    content: Content<R>,
    progress: &dyn Progress,
    found: &mut dyn FnMut(File, u64, &mut ContentDigest<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    if layer.layer_type.encoding.is_raw() {
        walk_raw(layer, content, progress, found)
    } else {
        walk_tar(layer, content, progress, found)
    }
}

fn walk_tar<R: Read>(
    layer: &Layer,
    content: Content<R>,
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

pub(super) fn tar_file(layer: &Layer, entry: &Entry) -> File {
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

pub(super) fn raw_file(layer: &Layer, size: u64) -> File {
    File {
        path: layer.entry.clean.clone().into_bytes(),
        is_folder: false,
        executable: layer.executable(),
        mode: layer.mode().into(),
        size,
    }
}

fn walk_raw<R: Read>(
    layer: &Layer,
    mut content: Content<R>,
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

/// Reads a layer from end to end and calls `found` with each entry and its content, which need not
/// be read. What it was given counts only if this returns without an error.
pub(super) fn walk_with<R: Read>(
    layer: &Layer,
    mut content: Content<R>,
    progress: &dyn Progress,
    found: &mut dyn FnMut(File, &mut dyn Read) -> Result<(), Error>,
) -> Result<(), Error> {
    if layer.layer_type.encoding.is_raw() {
        let told = found(raw_file(layer, 0), &mut content);
        if let Err(error) = told {
            return Err(or_cause(error, content.drain().ok(), layer));
        }
        let mut block = vec![0; BLOCK];
        loop {
            go_on(progress)?;
            match content.read(&mut block) {
                Ok(0) => return check(layer, content.finish()),
                Ok(_) => {}
                Err(error) => {
                    let error = archive::Error::read(error);
                    return Err(cause(error, content.drain().ok(), layer));
                }
            }
        }
    }
    let mut reader = TarReader::of(content);
    loop {
        go_on(progress)?;
        let entry = match reader.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => return check(layer, reader.finish()?),
            Err(error) => return Err(cause(error, reader.drain().ok(), layer)),
        };
        if let Err(error) = found(tar_file(layer, &entry), &mut reader) {
            return Err(or_cause(error, reader.drain().ok(), layer));
        }
    }
}

fn go_on(progress: &dyn Progress) -> Result<(), Error> {
    if progress.cancelled() {
        return Err(store::Error::Interrupted.into());
    }
    Ok(())
}

fn or_cause(error: Error, drained: Option<(Digest, u64)>, layer: &Layer) -> Error {
    match error {
        Error::Archive(error) => cause(error, drained, layer),
        error => error,
    }
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
