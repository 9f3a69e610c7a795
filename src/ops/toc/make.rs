//! Makes the table of contents of a kit in the store from its layers.

use std::{
    collections::HashMap,
    io::{self, Read},
    num::NonZeroUsize,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    archive::{
        self,
        decompress::{Bounds, Compression, Decompressed},
        tabulate::{self, Tabulated},
    },
    oci::{Encoding, LayerType, Manifest, PlainLayer, annotation},
    ops::{Error, segments::LayerFile},
    progress::{Meter, Progress},
    store::{self, Damage, Store},
    toc::{self, Absence, Assembled, Content, Table},
};

type Made = Result<Table, Absence>;

/// Makes the table of contents of the kit with this manifest, which is called `name`, by reading all
/// of its layers. It is the same whoever made the kit, and whenever.
pub(in crate::ops) fn make(
    store: &Store,
    name: &str,
    manifest: &Manifest,
    progress: &dyn Progress,
) -> Result<Assembled, Error> {
    let plain = manifest.plain_layers().map_err(|source| Error::Segments {
        reference: name.to_owned(),
        source,
    })?;
    let mut layers: Vec<(&PlainLayer, Encoding)> = Vec::new();
    let mut places = Vec::new();
    let mut known = HashMap::new();
    for layer in &plain {
        let PlainLayer { descriptor, .. } = layer;
        let kind = LayerType::parse(&descriptor.media_type).ok_or_else(|| Error::Unsupported {
            reference: name.to_owned(),
            what: format!("layer type `{}`", descriptor.media_type),
        })?;
        let place = *known
            .entry((descriptor.digest, kind.encoding))
            .or_insert_with(|| {
                layers.push((layer, kind.encoding));
                layers.len() - 1
            });
        places.push(place);
    }
    let tables = tables(store, &layers, progress)?;
    let contents: Vec<Content<'_>> = places
        .into_iter()
        .map(|place| {
            let (PlainLayer { descriptor, .. }, encoding) = layers[place];
            Content {
                digest: descriptor.digest,
                size: descriptor.size,
                encoding,
                table: tables[place].as_ref().map_err(|absence| *absence),
            }
        })
        .collect();
    Ok(toc::assemble(&contents))
}

/// Returns the tables of `layers`, several made at a time.
fn tables(
    store: &Store,
    layers: &[(&PlainLayer, Encoding)],
    progress: &dyn Progress,
) -> Result<Vec<Made>, Error> {
    let total = layers.iter().map(|(layer, _)| layer.descriptor.size).sum();
    let meter = progress.begin("Reading", Some(total));
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Result<Made, Error>)>> = Mutex::default();
    let work = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some((layer, encoding)) = layers.get(place) else {
                return;
            };
            let table = table(store, layer, *encoding, meter.as_ref(), progress);
            if table.is_err() {
                next.store(layers.len(), Ordering::Relaxed); // The first failure stops all.
            }
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.push((place, table));
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        for _ in 1..threads.min(layers.len()) {
            // Where a process may have few threads, fewer do the work.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, table)| table).collect()
}

fn table(
    store: &Store,
    of: &PlainLayer,
    encoding: Encoding,
    meter: &dyn Meter,
    progress: &dyn Progress,
) -> Result<Made, Error> {
    let compression = match encoding {
        Encoding::Tar | Encoding::Raw => Compression::None,
        Encoding::TarGzip | Encoding::RawGzip => Compression::Gzip,
        Encoding::TarZstd | Encoding::RawZstd => Compression::Zstd,
    };
    let layer = &of.descriptor;
    let told = layer.annotations.get(annotation::UNCOMPRESSED_SIZE);
    let told = told.and_then(|told| told.parse().ok());
    let bounds = Bounds::of(layer.size, told, store.limits());
    let open = |meter| -> Result<_, Error> {
        let source = Metered {
            source: LayerFile::open(store, of.blobs())?.take(layer.size),
            meter,
        };
        let content = Decompressed::new(source, compression, bounds);
        Ok(content.map_err(archive::Error::Read)?)
    };
    let Tabulated {
        table,
        digest,
        size,
    } = if encoding.is_raw() {
        let plain_size = if encoding.is_compressed() {
            count(open(None)?, progress)?
        } else {
            layer.size
        };
        tabulate::raw(open(Some(meter))?, plain_size, progress)?
    } else {
        tabulate::archive(open(Some(meter))?, progress)?
    };
    if (digest, size) == (layer.digest, layer.size) {
        return Ok(table);
    }
    Err(store::Error::Damaged {
        digest: layer.digest,
        damage: Damage::Content { actual: digest },
    }
    .into())
}

/// Returns how many bytes a layer unpacks to: how a file is cut depends on its size. What cannot be
/// unpacked is found out again when it is cut.
fn count(mut content: impl Read, progress: &dyn Progress) -> Result<u64, Error> {
    let mut block = vec![0; 1 << 20];
    let mut count = 0;
    loop {
        if progress.cancelled() {
            return Err(store::Error::Interrupted.into());
        }
        match content.read(&mut block) {
            Ok(0) => return Ok(count),
            Ok(read) => count += read as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Ok(count),
        }
    }
}

/// Reports what passes.
struct Metered<'m, R> {
    source: R,
    meter: Option<&'m dyn Meter>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(into)?;
        if let Some(meter) = self.meter {
            meter.advance(read as u64);
        }
        Ok(read)
    }
}
