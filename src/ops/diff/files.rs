//! The files of two kits, as far as they are not in the same layers.

use std::{
    collections::{HashMap, HashSet},
    io::{self, Read},
};

use super::{ContentDigest, File, FileChange, changes};
use crate::{
    archive,
    chunk::{Chunk, Chunker, FileDigest, Grain},
    digest::{Digest, Hasher},
    filter::Filter,
    oci::Encoding,
    ops::{
        Error,
        kit::{Kit, Layer},
        sources::Sources,
        stream::Streams,
        take::{self, Tables},
        unpack::{self, KITFILE, Wanted, describe, own_layers},
        walk::{self, BLOCK, Content, limited, walk_with},
    },
    progress::Progress,
    store,
    toc::Table,
};

/// What decides which files a layer unpacks to: its content, and what is not in it but beside it.
#[derive(PartialEq, Eq, Hash)]
struct Made {
    digest: Digest,
    beside: Option<(String, bool)>,
}

impl Made {
    fn of(layer: &Layer) -> Self {
        let encoding = layer.layer_type.encoding;
        let beside = match layer.prefix() {
            _ if encoding.is_raw() => Some((layer.entry.clean.clone(), layer.executable())),
            Some(prefix) => Some((prefix.to_owned(), false)),
            None => None,
        };
        let unpacked = layer.entry.diff_id.filter(|_| encoding.is_compressed());
        Self {
            digest: unpacked.unwrap_or(layer.descriptor.digest),
            beside,
        }
    }
}

/// Compares the files of two kits.
pub(super) fn compare(
    kits: &[Kit; 2],
    sources: &Sources<'_>,
    progress: &dyn Progress,
) -> Result<Vec<FileChange>, Error> {
    let parts = sources.streams.as_ref().map(Streams::parts);
    let parts = parts.map(|parts| parts.of_kits(kits));
    // Of kits in the store the layers are read: what they hold is told by its SHA-256.
    let tables = match &parts {
        Some(parts) => Tables::open(kits, Some(parts), sources.store, progress)?,
        None => Tables::none(),
    };
    let all = kits.each_ref().map(|kit| {
        let layers = own_layers(kit, &Filter::everything());
        layers.collect::<Vec<Wanted>>()
    });
    let made = all.each_ref().map(|layers| {
        layers
            .iter()
            .map(|it| Made::of(&it.layer))
            .collect::<HashSet<_>>()
    });
    let own = [0, 1].map(|side| {
        let mut seen = HashSet::new();
        let layers = all[side].iter();
        layers
            .filter(|wanted| {
                let of = Made::of(&wanted.layer);
                !made[1 - side].contains(&of) && seen.insert(of)
            })
            .collect::<Vec<&Wanted>>()
    });
    let mut read = Reading {
        sources,
        by_chunks: own.iter().flatten().any(|wanted| tables.has(wanted)),
        progress,
    };
    let total = unpack::size(own.iter().flatten().copied());
    let meter = progress.begin("Comparing", Some(total));
    let mut listings = [HashMap::new(), HashMap::new()];
    for side in [0, 1] {
        let listing = &mut listings[side];
        let text = kits[side].kitfile.to_yaml();
        if text != kits[1 - side].kitfile.to_yaml() {
            let size = text.len() as u64;
            let file = read.digest(&mut text.as_bytes(), size)?;
            let kitfile = File {
                digest: file,
                size,
                executable: false,
            };
            listing.insert(KITFILE.as_bytes().to_vec(), kitfile);
        }
        tables.each(&own[side], &mut |number, table| {
            let wanted = own[side][number];
            match table {
                Some(table) => by_table(&wanted.layer, &table, listing),
                None => read.layer(wanted, listing)?,
            }
            meter.advance(wanted.layer.descriptor.size);
            Ok(())
        })?;
    }
    let [old, new] = listings;
    Ok(changes(old, new))
}

type Listing = HashMap<Vec<u8>, File>;

/// Lists the files of a layer as its table tells of them.
fn by_table(layer: &Layer, table: &Table, listing: &mut Listing) {
    let mut entries = table.entries();
    while let Some(entry) = entries.next() {
        let mut file = take::file(layer, &entry);
        if table.is_raw() {
            file = walk::raw_file(layer, entry.size);
        }
        if !file.is_folder {
            let known = File {
                digest: ContentDigest::Chunks(entry.digest()),
                size: file.size,
                executable: file.executable,
            };
            listing.insert(file.path, known);
        }
    }
}

/// Reads layers to their ends.
struct Reading<'r> {
    sources: &'r Sources<'r>,
    by_chunks: bool,
    progress: &'r dyn Progress,
}

impl Reading<'_> {
    fn layer(&mut self, wanted: &Wanted, listing: &mut Listing) -> Result<(), Error> {
        let layer = &wanted.layer;
        let is_raw = layer.layer_type.encoding == Encoding::Raw;
        if is_raw && wanted.is_far() && !self.by_chunks {
            // Its digest is that of the file.
            let size = layer.descriptor.size;
            let file = walk::raw_file(layer, size);
            let known = File {
                digest: ContentDigest::Whole(layer.descriptor.digest),
                size,
                executable: file.executable,
            };
            listing.insert(file.path, known);
            return Ok(());
        }
        if wanted.is_far() {
            self.progress.status(&format!(
                "Reading all of {}, which has no table of contents",
                describe(layer)
            ));
        }
        let size = match layer.layer_type.encoding {
            Encoding::Raw => Some(layer.descriptor.size),
            _ => layer.plain_size(),
        };
        // How files are cut depends on their length.
        let size = match size {
            None if layer.layer_type.encoding.is_raw() && self.by_chunks => {
                let mut length = 0;
                self.walk(wanted, &mut |_, content| {
                    length = io::copy(content, &mut io::sink()).map_err(archive::Error::read)?;
                    Ok(())
                })?;
                Some(length)
            }
            size => size,
        };
        let mut found = Listing::new();
        self.walk(wanted, &mut |mut file, content| {
            if file.is_folder {
                return Ok(());
            }
            let mut counted = Counted { content, count: 0 };
            if layer.layer_type.encoding.is_raw() {
                file.size = size.unwrap_or_default();
            }
            let digest = self.digest(&mut counted, file.size)?;
            let known = File {
                digest,
                size: counted.count,
                executable: file.executable,
            };
            found.insert(file.path, known);
            Ok(())
        })?;
        // Only now what was found counts.
        listing.extend(found);
        Ok(())
    }

    fn walk(
        &self,
        wanted: &Wanted,
        found: &mut dyn FnMut(walk::File, &mut dyn Read) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let layer = &wanted.layer;
        let store = self.sources.store;
        match self.sources.stream(wanted) {
            Some(stream) => {
                let content: Content<_> = limited(layer, stream, store.limits())?;
                walk_with(layer, content, self.progress, found)
            }
            None => walk_with(layer, walk::open(layer, store)?, self.progress, found),
        }
    }

    /// Hashes content of `size` bytes.
    fn digest(&self, content: &mut dyn Read, size: u64) -> Result<ContentDigest, Error> {
        let mut block = vec![0; BLOCK];
        let mut hasher = Hasher::new();
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut chunker = Chunker::new(Grain::of(size));
        loop {
            if self.progress.cancelled() {
                return Err(store::Error::Interrupted.into());
            }
            let read = match content.read(&mut block) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(archive::Error::read(error).into()),
            };
            if self.by_chunks {
                chunker.push(&block[..read], |chunk| chunks.push(chunk));
            } else {
                hasher.update(&block[..read]);
            }
        }
        if !self.by_chunks {
            return Ok(ContentDigest::Whole(hasher.finish()));
        }
        chunks.extend(chunker.finish());
        Ok(ContentDigest::Chunks(FileDigest::of(chunks)))
    }
}

/// Counts what is read.
struct Counted<'c> {
    content: &'c mut dyn Read,
    count: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(into)?;
        self.count += read as u64;
        Ok(read)
    }
}
