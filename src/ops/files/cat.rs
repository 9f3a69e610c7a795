//! What one file of a kit holds.

use std::{
    cmp::Reverse,
    io::{self, Read, Seek as _, SeekFrom, Write},
    ops::ControlFlow::{Break, Continue},
};

use super::{File, has_headers, headers, is_below};
use crate::{
    archive::{self, decompress::Compression},
    digest::{Digest, Hasher},
    kitfile,
    ops::{
        Error,
        kit::{Kit, Layer},
        unpack::KITFILE,
        walk::{BLOCK, open, walk},
    },
    progress::Progress,
    store::{self, Store},
    suggest,
};

/// How many names are remembered to find the one that was meant.
const MAX_NAMES: usize = 100_000;

/// Where in a layer the content of a file is.
struct Place {
    at: u64,
    size: u64,
    digest: Digest,
}

/// Writes the content of the file `path` to `out`, after the layer it is in was checked as a
/// whole: not one wrong byte is written. The Kitfile is a file, too, if no layer has one.
pub fn cat(
    kit: &Kit,
    store: &Store,
    path: &str,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let path = kitfile::clean(path);
    let Some((layer, place)) = find(kit, store, &path, progress)? else {
        return out.write_all(&kit.kitfile_text()).map_err(Error::Output);
    };
    let unreadable = |source| Error::CannotRead {
        path: path.clone(),
        source,
    };
    let mut content = open_at(layer, store, place.at)?.take(place.size);
    let mut hasher = Hasher::new();
    let mut block = vec![0; BLOCK];
    loop {
        if progress.cancelled() {
            return Err(store::Error::Interrupted.into());
        }
        let read = match content.read(&mut block) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        hasher.update(&block[..read]);
        out.write_all(&block[..read]).map_err(Error::Output)?;
    }
    if hasher.finish() == place.digest {
        Ok(())
    } else {
        Err(unreadable(io::Error::other("it changed while it was read")))
    }
}

/// Opens what a layer unpacks to at the byte `at` of it.
fn open_at(layer: &Layer, store: &Store, at: u64) -> Result<Box<dyn Read>, Error> {
    let unreadable = |source| archive::Error::Read(source);
    if layer.compression() == Compression::None {
        let blob = &layer.descriptor;
        let mut file = store.open_blob(&blob.digest, blob.size)?;
        file.seek(SeekFrom::Start(at)).map_err(unreadable)?;
        return Ok(Box::new(file));
    }
    let mut content = open(layer, store)?;
    io::copy(&mut content.by_ref().take(at), &mut io::sink()).map_err(unreadable)?;
    Ok(Box::new(content))
}

/// Finds the layer that holds the file `path`, and where in it that is; none for the Kitfile, which
/// is in no layer. That layer was read to its end and checked, once.
fn find<'a>(
    kit: &'a Kit,
    store: &Store,
    path: &str,
    progress: &dyn Progress,
) -> Result<Option<(&'a Layer, Place)>, Error> {
    let sound = store.unchanged(kit.layers.iter().map(|layer| &layer.descriptor))?;
    let mut layers: Vec<&Layer> = kit.layers.iter().collect();
    // Those first whose own path leads to the file, the most specific one before the others.
    layers.sort_by_key(|layer| {
        let own = layer.entry.clean.as_str();
        Reverse(is_below(path, own).then_some(own.len()))
    });
    let mut names = Vec::new();
    let mut is_folder = path == "." && !layers.is_empty();
    for layer in layers {
        let mut look = |file: &File| {
            let is_it = file.path == path.as_bytes();
            let name = String::from_utf8_lossy(&file.path);
            is_folder |= is_it && file.is_folder || !is_it && is_below(&name, path);
            if !file.is_folder && names.len() < MAX_NAMES {
                names.push(name.into_owned());
            }
            is_it && !file.is_folder
        };
        if has_headers(layer, sound.contains(&layer.descriptor.digest)) {
            let mut is_here = false;
            headers(layer, store, progress, &mut |file| {
                is_here = look(&file);
                Ok(if is_here { Break(()) } else { Continue(()) })
            })?;
            if !is_here {
                continue;
            }
        }
        if let Some(place) = check_out(layer, store, progress, &mut look)? {
            return Ok(Some((layer, place)));
        }
    }
    let reference = kit.reference.to_string();
    let path = path.to_owned();
    if is_folder {
        return Err(Error::IsFolder { reference, path });
    }
    if path == KITFILE {
        return Ok(None);
    }
    Err(Error::NoSuchFile {
        suggestion: similar(&path, &names).map(str::to_owned),
        reference,
        path,
    })
}

/// Returns the name that `path` was probably meant to be: one that ends with it, or is close.
fn similar<'a>(path: &str, names: &'a [String]) -> Option<&'a str> {
    let ends = |name: &&String| {
        name.strip_suffix(path)
            .is_some_and(|folder| folder.ends_with('/'))
    };
    names
        .iter()
        .find(ends)
        .map(String::as_str)
        .or_else(|| suggest::closest(path, names.iter().map(String::as_str)))
}

/// Checks a layer as a whole, and returns where in it the file is that `is_it` picks.
fn check_out(
    layer: &Layer,
    store: &Store,
    progress: &dyn Progress,
    is_it: &mut dyn FnMut(&File) -> bool,
) -> Result<Option<Place>, Error> {
    let meter = progress.begin("Checking", Some(layer.descriptor.size));
    let mut place = None;
    walk(layer, store, progress, &mut |file, at, digest| {
        if is_it(&file) {
            place = Some(Place {
                at,
                size: file.size,
                digest: digest()?,
            });
        }
        Ok(())
    })?;
    meter.advance(layer.descriptor.size);
    Ok(place)
}
