//! What one file of a kit holds.

use std::{
    cmp::Reverse,
    io::{self, Read, Seek as _, SeekFrom, Write},
    ops::ControlFlow::{Break, Continue},
};

use super::{File, far, has_headers, headers, is_below};
use crate::{
    archive::{self, decompress::Compression},
    digest::{Digest, Hasher},
    kitfile,
    ops::{
        Error,
        kit::{Kit, Layer, Place},
        segments,
        sources::Sources,
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
struct Spot {
    at: u64,
    size: u64,
    digest: Digest,
}

/// Writes the content of the file `path` to `out`, after the layer it is in was checked as a
/// whole: not one wrong byte is written. The Kitfile is a file, too, if no layer has one.
///
/// Of a kit in a registry as little is fetched as its table of contents allows.
pub fn cat(
    kit: &Kit,
    sources: &Sources<'_>,
    path: &str,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<(), Error> {
    if let Place::Registry(_) = kit.place {
        return far::cat(kit, sources, path, out, progress);
    }
    let store = sources.store;
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
fn open_at<'s>(layer: &Layer, store: &'s Store, at: u64) -> Result<Box<dyn Read + 's>, Error> {
    let unreadable = |source| archive::Error::Read(source);
    if layer.compression() == Compression::None {
        let mut file = segments::open(store, layer)?;
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
) -> Result<Option<(&'a Layer, Spot)>, Error> {
    let sound = segments::unchanged(store, &kit.layers)?;
    let mut layers: Vec<&Layer> = kit.layers.iter().collect();
    // Those first whose own path leads to the file, the most specific one before the others.
    layers.sort_by_key(|layer| {
        let own = layer.entry.clean.as_str();
        Reverse(is_below(path, own).then_some(own.len()))
    });
    let mut names = Names::new(path);
    let is_empty = layers.is_empty();
    for layer in layers {
        let mut look = |file: &File| names.look(file);
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
    if path == KITFILE && !names.is_folder {
        return Ok(None);
    }
    Err(names.absent(kit, !is_empty))
}

/// The names that were met while one was looked for.
pub(super) struct Names<'n> {
    path: &'n str,
    /// The first that ends with it.
    longer: Option<String>,
    /// Those that it could be a misspelling of.
    met: Vec<String>,
    /// Whether it is a folder.
    pub(super) is_folder: bool,
}

impl<'n> Names<'n> {
    pub(super) const fn new(path: &'n str) -> Self {
        Self {
            path,
            longer: None,
            met: Vec::new(),
            is_folder: false,
        }
    }

    /// Tells whether a file is the one that is looked for, and remembers its name.
    pub(super) fn look(&mut self, file: &File) -> bool {
        let is_it = file.path == self.path.as_bytes();
        let name = String::from_utf8_lossy(&file.path);
        self.is_folder |= is_it && file.is_folder || !is_it && is_below(&name, self.path);
        if !file.is_folder {
            let folder = name.strip_suffix(self.path);
            if self.longer.is_none() && folder.is_some_and(|it| it.ends_with('/')) {
                self.longer = Some(name.clone().into_owned());
            }
            // A table of contents has room for many paths of thousands of bytes.
            if self.met.len() < MAX_NAMES && suggest::is_short(&name) {
                self.met.push(name.into_owned());
            }
        }
        is_it && !file.is_folder
    }

    /// Returns the error that there is no such file.
    pub(super) fn absent(&self, kit: &Kit, has_layers: bool) -> Error {
        let reference = kit.reference.to_string();
        let path = self.path.to_owned();
        if self.is_folder || path == "." && has_layers {
            return Error::IsFolder { reference, path };
        }
        let met = self.met.iter().map(String::as_str);
        let meant = self.longer.as_deref();
        let meant = meant.or_else(|| suggest::closest(&path, met));
        Error::NoSuchFile {
            suggestion: meant.map(str::to_owned),
            reference,
            path,
        }
    }
}

/// Checks a layer as a whole, and returns where in it the file is that `is_it` picks.
fn check_out(
    layer: &Layer,
    store: &Store,
    progress: &dyn Progress,
    is_it: &mut dyn FnMut(&File) -> bool,
) -> Result<Option<Spot>, Error> {
    let meter = progress.begin("Checking", Some(layer.descriptor.size));
    let mut place = None;
    walk(layer, store, progress, &mut |file, at, digest| {
        if is_it(&file) {
            place = Some(Spot {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_not_remembered_and_the_one_that_was_meant_is_found() {
        let mut names = Names::new("b.txt");
        let long = "folder/".repeat(500);
        for path in [
            "a.txt".to_owned(),
            format!("{long}a.txt"),
            format!("{long}b.txt"),
            "x/b.txt".to_owned(),
        ] {
            let file = File {
                path: path.into_bytes(),
                is_folder: false,
                executable: false,
                mode: 0o644,
                size: 1,
            };
            assert!(!names.look(&file));
        }
        assert_eq!(names.met, ["a.txt", "x/b.txt"]);
        assert_eq!(names.longer, Some(format!("{long}b.txt")));
    }
}
