//! Looks into the layers of a kit: which files there are, and what one of them holds.

use std::io::{Read, Seek, SeekFrom, Write};

use super::{
    Error,
    kit::{Kit, Layer},
    unpack::select_layers,
};
use crate::{
    archive::{
        self,
        unpack::{Kind, TarReader},
    },
    digest::{Digest, Hasher},
    filter::{Filter, PathGlobs},
    oci::{Descriptor, Encoding},
    progress::Progress,
    store::{self, Store},
    suggest,
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
    /// The content's length in bytes.
    pub size: u64,
}

/// Where in a layer the content of a file is.
struct Place {
    layer: Layer,
    at: u64,
    size: u64,
    digest: Digest,
}

/// Calls `found` with every file and folder of the layers that `filter` selects and whose path
/// `globs` select. Each layer is read to its end and checked; what it holds is reported while it
/// is read, so an error at the end takes back what was said of that layer.
pub fn list(
    kit: &Kit,
    store: &Store,
    filter: &Filter,
    globs: &PathGlobs,
    progress: &dyn Progress,
    found: &mut dyn FnMut(&Layer, File) -> Result<(), Error>,
) -> Result<(), Error> {
    let _lock = store.reader(progress)?;
    let layers = select_layers(kit, filter);
    if layers.is_empty() && !filter.selects_kitfile() {
        let entries = kit.layers.iter().map(|layer| &layer.entry);
        let entries =
            entries.map(|entry| (entry.section, entry.name.as_str(), entry.path.as_str()));
        return Err(filter.no_match(entries).into());
    }
    let total = layers.iter().map(|layer| layer.descriptor.size).sum();
    let meter = progress.begin("Reading", Some(total));
    for layer in &layers {
        walk(layer, store, progress, &mut |file, _, _| {
            if globs.selects(&file.path) {
                found(layer, file)?;
            }
            Ok(())
        })?;
        meter.advance(layer.descriptor.size);
    }
    Ok(())
}

/// Writes the content of the file `path` to `out`, after the layer it is in was checked as a
/// whole: not one wrong byte is written.
pub fn cat(
    kit: &Kit,
    store: &Store,
    path: &str,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let _lock = store.reader(progress)?;
    let place = find(kit, store, path, progress)?;
    let blob = &place.layer.descriptor;
    let mut file = store.open_blob(&blob.digest, blob.size)?;
    let damaged = |source| Error::CannotRead {
        path: path.to_owned(),
        source,
    };
    file.seek(SeekFrom::Start(place.at)).map_err(damaged)?;
    let mut content = file.take(place.size);
    let mut hasher = Hasher::new();
    let mut block = vec![0; BLOCK];
    loop {
        let read = content.read(&mut block).map_err(damaged)?;
        if read == 0 {
            break;
        }
        hasher.update(&block[..read]);
        out.write_all(&block[..read]).map_err(Error::Output)?;
    }
    if hasher.finish() == place.digest {
        Ok(())
    } else {
        Err(damaged(std::io::Error::other(
            "it changed while it was read",
        )))
    }
}

/// Finds a file in the layers, those first whose own path leads to it.
fn find(kit: &Kit, store: &Store, path: &str, progress: &dyn Progress) -> Result<Place, Error> {
    let wanted = crate::kitfile::clean(path);
    let leads = |layer: &&Layer| {
        let own = layer.entry.clean.as_str();
        own == "."
            || wanted == own
            || wanted
                .strip_prefix(own)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    let (mut layers, others): (Vec<&Layer>, Vec<&Layer>) = kit.layers.iter().partition(leads);
    // The most specific layer has the file, if any has it.
    layers.sort_by_key(|layer| std::cmp::Reverse(layer.entry.clean.len()));
    let mut names = Vec::new();
    for layer in layers.into_iter().chain(others) {
        let mut place = None;
        walk(layer, store, progress, &mut |file, at, digest| {
            if file.is_folder {
                return Ok(());
            }
            if file.path == wanted.as_bytes() {
                place = Some((at, file.size, digest()?));
            } else if names.len() < 100_000 {
                names.push(String::from_utf8_lossy(&file.path).into_owned());
            }
            Ok(())
        })?;
        if let Some((at, size, digest)) = place {
            return Ok(Place {
                layer: layer.clone(),
                at,
                size,
                digest,
            });
        }
    }
    let suggestion = suggest::closest(&wanted, names.iter().map(String::as_str));
    Err(Error::NoSuchFile {
        reference: kit.reference.to_string(),
        suggestion: suggestion.map(str::to_owned),
        path: wanted,
    })
}

/// Returns the digest of the content of the entry at hand.
type ContentDigest<'a> = dyn FnMut() -> Result<Digest, Error> + 'a;

/// Reads a layer from end to end and calls `found` with each entry, the place of its content in
/// the blob, and a way to hash that content.
fn walk(
    layer: &Layer,
    store: &Store,
    progress: &dyn Progress,
    found: &mut dyn FnMut(File, u64, &mut ContentDigest<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let blob = &layer.descriptor;
    let source = store.open_blob(&blob.digest, blob.size)?;
    match layer.layer_type.encoding {
        Encoding::Tar => walk_tar(layer, source, progress, found),
        Encoding::Raw => walk_raw(layer, source, found),
        encoding => Err(Error::Unsupported {
            reference: blob.digest.to_string(),
            what: format!("{} layers", encoding.name()),
        }),
    }
}

fn walk_tar(
    layer: &Layer,
    source: std::fs::File,
    progress: &dyn Progress,
    found: &mut dyn FnMut(File, u64, &mut ContentDigest<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let blob = &layer.descriptor;
    let mut reader = TarReader::new(source.take(blob.size + 1));
    loop {
        if progress.cancelled() {
            return Err(store::Error::Interrupted.into());
        }
        let entry = match reader.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(error) => return Err(cause(error, reader, blob)),
        };
        let mut path = layer.prefix().unwrap_or_default().as_bytes().to_vec();
        if !path.is_empty() && !entry.path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(&entry.path);
        let file = File {
            path,
            is_folder: entry.kind == Kind::Folder,
            executable: entry.executable(),
            size: entry.size,
        };
        let at = reader.position();
        found(file, at, &mut || {
            let mut hasher = Hasher::new();
            let mut block = vec![0; BLOCK];
            loop {
                match reader.read_content(&mut block)? {
                    0 => return Ok(hasher.finish()),
                    read => hasher.update(&block[..read]),
                }
            }
        })?;
    }
    let (digest, size) = reader.finish()?;
    check(blob, digest, size)
}

fn walk_raw(
    layer: &Layer,
    source: std::fs::File,
    found: &mut dyn FnMut(File, u64, &mut ContentDigest<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let blob = &layer.descriptor;
    let mut reader = crate::digest::HashingReader::new(source.take(blob.size + 1));
    std::io::copy(&mut reader, &mut std::io::sink()).map_err(|source| Error::CannotRead {
        path: layer.entry.clean.clone(),
        source,
    })?;
    let (digest, size) = reader.finish();
    check(blob, digest, size)?;
    let file = File {
        path: layer.entry.clean.clone().into_bytes(),
        is_folder: false,
        executable: layer.executable(),
        size,
    };
    found(file, 0, &mut || Ok(digest))
}

fn check(blob: &Descriptor, digest: Digest, size: u64) -> Result<(), Error> {
    if digest == blob.digest && size == blob.size {
        return Ok(());
    }
    Err(damaged(blob, digest, size))
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
/// that was made wrong.
fn cause<R: Read>(error: archive::Error, reader: TarReader<R>, blob: &Descriptor) -> Error {
    match reader.drain() {
        Ok((digest, size)) if digest != blob.digest || size != blob.size => {
            damaged(blob, digest, size)
        }
        _ => error.into(),
    }
}
