//! Looks into the layers of a kit: which files there are, and what one of them holds.

mod cat;
mod far;

use std::{
    collections::HashSet,
    io::{Read, Seek},
    ops::ControlFlow,
};

pub use self::cat::cat;
pub use super::walk::File;
use super::{
    Error,
    kit::{Kit, Layer},
    segments,
    stream::Streams,
    take::{self, Tables},
    unpack::{self, Sources, Wanted, describe, own_layers},
    walk::{limited, raw_file, tar_file, walk, walk_content},
};
use crate::{
    archive::unpack::TarReader,
    digest::Digest,
    filter::{Filter, PathGlobs},
    oci::Encoding,
    progress::Progress,
    store::{self, Store},
    toc::Table,
};

/// Calls `found` with every file and folder of the layers that `filter` selects and whose path
/// `globs` select. Of a layer that nobody has written to since it was seen to be right, the table of
/// contents or the headers alone are read. Any other is read to its end and checked; what it holds is
/// reported while it is read, so an error at the end takes back what was said of that layer.
///
/// Of a layer in a registry the table of contents is read. Without one, headers are if `sources`
/// allows what nothing vouches for, and that is said; else all of it.
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
    list_layers([kit], &layers, sources, globs, progress, found)
}

/// Calls `found` as [`list`] does, for these layers of `kits`.
pub fn list_layers<'k>(
    kits: impl IntoIterator<Item = &'k Kit>,
    layers: &[Wanted],
    sources: &Sources<'_>,
    globs: &PathGlobs,
    progress: &dyn Progress,
    found: &mut dyn FnMut(&Layer, File) -> Result<(), Error>,
) -> Result<(), Error> {
    let store = sources.store;
    // For no longer than this lasts.
    let kits: Vec<&Kit> = kits.into_iter().collect();
    let parts = sources.streams.as_ref().map(Streams::parts);
    let parts = parts.map(|parts| parts.of_kits(kits.iter().copied()));
    let tables = Tables::open(kits, parts.as_ref(), store, progress)?;
    let total = unpack::size(layers.iter());
    let mut listing = Listing {
        sound: segments::unchanged(store, layers.iter().map(|wanted| &wanted.layer))?,
        sources,
        tables: &tables,
        has_warned: false,
        progress,
        found: &mut |wanted, mut file| {
            file.path = wanted.place_below(file.path);
            if globs.selects(&file.path) {
                found(&wanted.layer, file)?;
            }
            Ok(())
        },
    };
    let meter = progress.begin("Reading", Some(total));
    for run in layers.chunk_by(|a, b| a.kit == b.kit) {
        let asked = run.iter().enumerate();
        let may_hold = |wanted: &Wanted| !wanted.is_far() || take::may_hold(wanted, globs);
        let asked = asked.filter(|(_, wanted)| may_hold(wanted) && listing.asks_for_table(wanted));
        let (places, asked): (Vec<usize>, Vec<&Wanted>) = asked.unzip();
        let mut next = 0;
        let mut list = |until: usize, table: Option<Table>| {
            let mut table = table;
            while next < until {
                let wanted = &run[next];
                next += 1;
                let table = table.take().filter(|_| next == until);
                if may_hold(wanted) {
                    listing.layer(wanted, table)?;
                }
                meter.advance(wanted.layer.descriptor.size);
            }
            Ok(())
        };
        tables.each(&asked, &mut |number, table| {
            list(places[number], None)?;
            list(places[number] + 1, table)
        })?;
        list(run.len(), None)?;
    }
    Ok(())
}

/// Lists what is in layers.
struct Listing<'l, 's> {
    sources: &'l Sources<'s>,
    /// What nobody has written to.
    sound: HashSet<Digest>,
    tables: &'l Tables<'l>,
    has_warned: bool,
    progress: &'l dyn Progress,
    found: &'l mut dyn FnMut(&Wanted, File) -> Result<(), Error>,
}

impl Listing<'_, '_> {
    fn is_sound(&self, wanted: &Wanted) -> bool {
        self.sound.contains(&wanted.layer.descriptor.digest)
    }

    /// Tells whether the table of a layer would be of use: not of one that has to be checked.
    fn asks_for_table(&self, wanted: &Wanted) -> bool {
        let is_of_use = if wanted.layer.layer_type.encoding.is_raw() {
            wanted.is_far() && told_size(&wanted.layer).is_none()
        } else {
            wanted.is_far() || self.is_sound(wanted)
        };
        is_of_use && self.tables.has(wanted)
    }

    fn layer(&mut self, wanted: &Wanted, table: Option<Table>) -> Result<(), Error> {
        let layer = &wanted.layer;
        let (store, progress) = (self.sources.store, self.progress);
        let is_sound = self.is_sound(wanted);
        // What a file in a registry is called and how long it is, the manifest tells.
        let told = told_size(layer).filter(|_| wanted.is_far());
        let of_table = table.as_ref().filter(|table| table.is_raw());
        if let Some(size) = told.or(of_table.map(Table::plain_size)) {
            return (self.found)(wanted, raw_file(layer, size));
        }
        if let Some(table) = table {
            let mut entries = table.entries();
            while let Some(entry) = entries.next() {
                (self.found)(wanted, take::file(layer, &entry))?;
            }
            return Ok(());
        }
        // That segments are right does not say that they are the layer.
        let is_checked = is_sound && layer.segments.is_empty();
        if has_headers(layer, is_checked) {
            return headers(layer, store, progress, &mut |file| {
                (self.found)(wanted, file).map(ControlFlow::Continue)
            });
        }
        if is_sound || !wanted.is_far() {
            return walk(layer, store, progress, &mut |file, _, _| {
                (self.found)(wanted, file)
            });
        }
        if self.sources.unverified
            && take::has_parts(layer)
            && let Some(far) = self.tables.far(wanted)
            && self.tables.are_given(wanted)?
        {
            if !self.has_warned {
                progress.warn(
                    "the kit has no table of contents: what is listed was read in its layers here and there, and not verified",
                );
                self.has_warned = true;
            }
            let reader = TarReader::of_headers(take::Window::new(far, &layer.descriptor));
            return entries(layer, reader, progress, &mut |file| {
                (self.found)(wanted, file).map(ControlFlow::Continue)
            });
        }
        if let Some(stream) = self.sources.stream(wanted) {
            progress.status(&format!(
                "Reading all of {}, which has no table of contents",
                describe(layer)
            ));
            let content = limited(layer, stream, store.limits())?;
            return walk_content(layer, content, progress, &mut |file, _, _| {
                (self.found)(wanted, file)
            });
        }
        walk(layer, store, progress, &mut |file, _, _| {
            (self.found)(wanted, file)
        })
    }
}

/// What a layer comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// How many files it holds, if that is known.
    pub files: Option<u64>,
    /// How long they are together.
    pub bytes: Option<u64>,
    /// Whether its blob is in the store.
    pub is_here: bool,
}

/// Tells what each layer of a kit comes to, without reading it: by its table of contents or the
/// manifest.
pub fn measure(
    kit: &Kit,
    sources: &Sources<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Measured>, Error> {
    let parts = sources.streams.as_ref().map(Streams::parts);
    let parts = parts.map(|parts| parts.of_kits([kit]));
    let tables = Tables::open([kit], parts.as_ref(), sources.store, progress)?;
    let layers: Vec<_> = own_layers(kit, &Filter::everything()).collect();
    let here = segments::unchanged(sources.store, layers.iter().map(|wanted| &wanted.layer))?;
    let mut measured = vec![Measured::default(); layers.len()];
    let asked: Vec<&Wanted> = layers.iter().collect();
    tables.each(&asked, &mut |number, table| {
        let layer = &layers[number].layer;
        let of = &mut measured[number];
        of.is_here = here.contains(&layer.descriptor.digest);
        if let Some(table) = table {
            let (mut files, mut bytes) = (0, 0);
            let mut entries = table.entries();
            while let Some(entry) = entries.next() {
                files += u64::from(entry.is_file());
                bytes += entry.size;
            }
            (of.files, of.bytes) = (Some(files), Some(bytes));
        } else if layer.layer_type.encoding.is_raw() {
            of.files = Some(1);
            of.bytes = told_size(layer);
        }
        Ok(())
    })?;
    Ok(measured)
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
    let sound = segments::unchanged(store, layers.iter().map(|wanted| &wanted.layer))?;
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
    let selects = |path: Vec<u8>| globs.selects(&wanted.place_below(path));
    match layer.layer_type.encoding {
        Encoding::Tar => {}
        encoding if encoding.is_raw() => {
            return Ok(selects(layer.entry.clean.clone().into_bytes()));
        }
        _ => return Ok(true),
    }
    let mut reader = TarReader::of_headers(segments::open(store, layer)?);
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

/// Returns how long the file in a layer is that holds one without an archive around it, if the
/// manifest tells.
fn told_size(layer: &Layer) -> Option<u64> {
    match layer.layer_type.encoding {
        Encoding::Raw => Some(layer.descriptor.size),
        encoding if encoding.is_raw() => layer.plain_size(),
        _ => None,
    }
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
    if layer.layer_type.encoding.is_raw() {
        let size = layer.descriptor.size;
        return found(raw_file(layer, size)).map(drop);
    }
    let reader = TarReader::of_headers(segments::open(store, layer)?);
    entries(layer, reader, progress, found)
}

/// Calls `found` with each file and folder of an archive, until it has enough.
fn entries<R: Read + Seek>(
    layer: &Layer,
    mut reader: TarReader<R>,
    progress: &dyn Progress,
    found: &mut dyn FnMut(File) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
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
