//! What one file of a kit in a registry holds, without fetching more than it takes.

use std::{
    cmp::Reverse,
    io::{Read, Write},
    thread,
};

use super::{cat::Names, is_below};
use crate::{
    archive::{self, unpack::TarReader},
    chunk::ChunkHash,
    filter::Filter,
    kitfile,
    ops::{
        Error,
        kit::Kit,
        sources::Sources,
        stream::Streams,
        take::{self, Content, GROUP, Tables, Window},
        unpack::{KITFILE, Wanted, describe, own_layers},
        walk::{BLOCK, limited, raw_file, tar_file, walk_with},
    },
    progress::Progress,
    store,
    toc::{PlacedChunk, Table},
};

/// The longest file that is printed of a layer without a table of contents: it is held in memory
/// until the layer has held.
const MAX_PRINTED: u64 = 64 << 20;

/// Writes the content of the file `path` to `out`, each byte after it was checked; or, where nothing
/// vouches for a part and `sources` allows it, unchecked, and then that is said.
pub(super) fn cat(
    kit: &Kit,
    sources: &Sources<'_>,
    path: &str,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let path = kitfile::clean(path);
    let parts = sources.streams.as_ref().map(Streams::parts);
    let parts = parts.map(|parts| parts.of_kits([kit]));
    let tables = Tables::open([kit], parts.as_ref(), sources.store, progress)?;
    let mut layers: Vec<Wanted> = own_layers(kit, &Filter::everything()).collect();
    layers.sort_by_key(|wanted| {
        let own = wanted.layer.entry.clean.as_str();
        Reverse(is_below(&path, own).then_some(own.len()))
    });
    let leads = |wanted: &&Wanted| is_below(&path, &wanted.layer.entry.clean);
    let near: Vec<&Wanted> = layers.iter().filter(leads).collect();
    let others: Vec<&Wanted> = layers.iter().filter(|it| !leads(it)).collect();
    let mut cat = Cat {
        sources,
        tables: &tables,
        path: &path,
        names: Names::new(&path),
        progress,
    };
    for layers in [&near, &others] {
        if cat.by_tables(layers, out)? {
            return Ok(());
        }
    }
    // Nobody wants all of a kit to be read for a name that is not in it: only where its own path
    // leads to the file.
    for wanted in near {
        if !tables.has(wanted) && cat.by_layer(wanted, out)? {
            return Ok(());
        }
    }
    if path == KITFILE && !cat.names.is_folder {
        return out.write_all(&kit.kitfile_text()).map_err(Error::Output);
    }
    Err(cat.names.absent(kit, !layers.is_empty()))
}

/// Where content is that a table tells of.
struct Place {
    number: usize,
    at: u64,
    chunks: Vec<PlacedChunk>,
}

struct Cat<'c> {
    sources: &'c Sources<'c>,
    tables: &'c Tables<'c>,
    path: &'c str,
    names: Names<'c>,
    progress: &'c dyn Progress,
}

impl Cat<'_> {
    /// Writes the file if one of the tables of `layers` has it.
    fn by_tables(&mut self, layers: &[&Wanted], out: &mut dyn Write) -> Result<bool, Error> {
        let is_it = |it: &&&Wanted| {
            let layer = &it.layer;
            !layer.layer_type.encoding.is_raw() || layer.entry.clean == self.path
        };
        for wanted in layers
            .iter()
            .filter(|it| it.layer.layer_type.encoding.is_raw())
        {
            self.names.look(&raw_file(&wanted.layer, 0));
        }
        let asked = layers.iter().filter(is_it).copied();
        let asked: Vec<&Wanted> = asked.filter(|it| self.tables.has(it)).collect();
        let names = &mut self.names;
        let found = self.tables.first(&asked, &mut |number, table: &Table| {
            let layer = &asked[number].layer;
            let mut entries = table.entries();
            while let Some(entry) = entries.next() {
                let is_it = if table.is_raw() {
                    true
                } else {
                    names.look(&take::file(layer, &entry))
                };
                if is_it {
                    return Some(Place {
                        number,
                        at: entry.offset,
                        chunks: entry.chunks().collect(),
                    });
                }
            }
            None
        })?;
        let Some(place) = found else {
            return Ok(false);
        };
        let wanted = asked[place.number];
        let length: u64 = place
            .chunks
            .iter()
            .map(|it| u64::from(it.chunk.length))
            .sum();
        let is_compressed = wanted.layer.layer_type.encoding.is_compressed();
        match self.tables.far(wanted) {
            Some(far)
                if !is_compressed && (length <= GROUP || self.tables.are_given(wanted)?) =>
            {
                let layer = &wanted.layer.descriptor;
                let (content, fetch) = Content::of(far, layer, self.progress);
                thread::scope(|scope| {
                    scope.spawn(|| fetch.run(place.chunks.into_iter()));
                    copy(content, length, out, self.progress)
                })?;
            }
            _ => self.stream(wanted, &place, out)?,
        }
        Ok(true)
    }

    /// Writes chunks of a layer that has to be read from its beginning.
    fn stream(&self, wanted: &Wanted, place: &Place, out: &mut dyn Write) -> Result<(), Error> {
        let mut content = self.content(wanted)?;
        let unreadable = |error| Error::Archive(archive::Error::read(error));
        let mut before = content.by_ref().take(place.at);
        let mut block = vec![0; BLOCK];
        loop {
            self.go_on()?;
            if before.read(&mut block).map_err(unreadable)? == 0 {
                break;
            }
        }
        for placed in &place.chunks {
            self.go_on()?;
            block.resize(placed.chunk.length as usize, 0);
            content.read_exact(&mut block).map_err(unreadable)?;
            if ChunkHash::of(&block) != placed.chunk.hash {
                let at = placed.offset;
                return Err(archive::Error::Altered { at }.into());
            }
            out.write_all(&block).map_err(Error::Output)?;
        }
        Ok(())
    }

    fn content(&self, wanted: &Wanted) -> Result<Box<dyn Read + '_>, Error> {
        let layer = &wanted.layer;
        let limits = self.sources.store.limits();
        let stream = self
            .sources
            .stream(wanted)
            .ok_or_else(|| Error::NoRegistry {
                reference: layer.descriptor.digest.to_string(),
            })?;
        Ok(Box::new(limited(layer, stream, limits)?))
    }

    /// Writes the file if a layer without a table has it.
    fn by_layer(&mut self, wanted: &Wanted, out: &mut dyn Write) -> Result<bool, Error> {
        let layer = &wanted.layer;
        if layer.layer_type.encoding.is_raw() && layer.entry.clean != self.path {
            return Ok(false);
        }
        let is_allowed = self.sources.unverified && take::has_parts(layer);
        if let Some(far) = self.tables.far(wanted).filter(|_| is_allowed)
            && self.tables.are_given(wanted)?
        {
            let reader = TarReader::of_headers(Window::new(far, &layer.descriptor));
            return self.unverified(wanted, reader, out);
        }
        self.progress.status(&format!(
            "Reading all of {}, which has no table of contents",
            describe(layer)
        ));
        let mut held = None;
        let path = self.path;
        let names = &mut self.names;
        let stream = self.sources.stream(wanted);
        let stream = stream.ok_or_else(|| Error::NoRegistry {
            reference: layer.descriptor.digest.to_string(),
        })?;
        let content = limited(layer, stream, self.sources.store.limits())?;
        walk_with(layer, content, self.progress, &mut |file, read| {
            if names.look(&file) {
                if file.size > MAX_PRINTED {
                    return Err(Error::TooLargeToPrint {
                        path: path.to_owned(),
                        size: file.size,
                    });
                }
                let mut content = Vec::new();
                // A raw layer that is compressed does not say how long it is.
                let mut read = read.take(MAX_PRINTED + 1);
                read.read_to_end(&mut content)
                    .map_err(archive::Error::read)?;
                if content.len() as u64 > MAX_PRINTED {
                    return Err(Error::TooLargeToPrint {
                        path: path.to_owned(),
                        size: content.len() as u64,
                    });
                }
                held = Some(content);
            }
            Ok(())
        })?;
        let Some(content) = held else {
            return Ok(false);
        };
        out.write_all(&content).map_err(Error::Output)?;
        Ok(true)
    }

    /// Writes the file if an archive has it of which nothing is checked.
    fn unverified(
        &mut self,
        wanted: &Wanted,
        mut reader: TarReader<Window<'_>>,
        out: &mut dyn Write,
    ) -> Result<bool, Error> {
        while let Some(entry) = reader.next_entry()? {
            self.go_on()?;
            let file = tar_file(&wanted.layer, &entry);
            if !self.names.look(&file) {
                reader.pass_over_content()?;
                continue;
            }
            self.progress.warn(&format!(
                "what is printed of {} is not verified: the kit has no table of contents, and the rest of the layer is not read",
                describe(&wanted.layer)
            ));
            let mut block = vec![0; BLOCK];
            loop {
                self.go_on()?;
                match reader.read_content(&mut block)? {
                    0 => return Ok(true),
                    read => out.write_all(&block[..read]).map_err(Error::Output)?,
                }
            }
        }
        Ok(false)
    }

    fn go_on(&self) -> Result<(), Error> {
        if self.progress.cancelled() {
            return Err(store::Error::Interrupted.into());
        }
        Ok(())
    }
}

/// Writes `length` bytes of checked content.
fn copy(
    mut content: Content,
    length: u64,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let mut block = vec![0; BLOCK];
    let mut left = length;
    while left > 0 {
        if progress.cancelled() {
            return Err(store::Error::Interrupted.into());
        }
        let most = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
        let read = content.read(&mut block[..most])?;
        out.write_all(&block[..read]).map_err(Error::Output)?;
        left -= read as u64;
    }
    Ok(())
}
