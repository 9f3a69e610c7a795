//! Packs the layers, several at a time.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde::Serialize;

use super::{
    Options, PackedLayer, Prepared,
    cuts::{self, cuts, plain_size},
    prepare::{file_count, is_file},
    toc,
};
use crate::{
    archive::{
        self,
        pack::{Compression, Packed, Shape},
    },
    cache::Cache,
    kitfile::Section,
    oci::{Descriptor, Encoding, Family, LayerType, PlainLayer, annotation},
    ops::{
        Error,
        kit::layer_kind,
        reuse::{Reuse, Wanted, Writing},
        segments::Segment,
    },
    platform,
    progress::{Meter, Progress},
    store::{Committed, Presence, Writer},
    toc::{Absence, Table},
};

/// Packs every layer, several at a time, and returns them in order. Without a `writer` they are only
/// measured: what would come of them.
pub(super) fn pack_all(
    options: &Options,
    prepared: &Prepared,
    writer: Option<&Writer<'_>>,
    (reuse, cache): (&Reuse<'_>, &Cache),
    progress: &dyn Progress,
) -> Result<Vec<PackedLayer>, Error> {
    let tree = &prepared.found.tree;
    let count = prepared.entries.len();
    let sizes: Vec<u64> = (0..count).map(|layer| tree.bytes(layer)).collect();
    let total = sizes.iter().sum();
    let label = if writer.is_some() {
        "Packing"
    } else {
        "Hashing"
    };
    let meter = progress.begin(label, Some(total));
    // The largest first, and with as many of the threads as it has of the bytes: the end must not
    // be one large layer that one thread is busy with.
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|layer| std::cmp::Reverse(sizes[*layer]));
    let with_tables = toc::is_wanted(options, prepared);
    let cut = cuts(options, prepared);
    let at_once = options.threads.clamp(1, count.max(1));
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<PackedLayer>>> = Mutex::new((0..count).map(|_| None).collect());
    let failure = Mutex::new(None);
    let work = || {
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            let Some(&layer) = order.get(turn) else {
                return;
            };
            let job = Job {
                options,
                prepared,
                index: layer,
                threads: share(options.threads, sizes[layer], total),
                writer,
                reuse,
                cache,
                with_tables,
                target: cut.and_then(|cut| cut.target_of(plain_size(prepared, layer))),
                meter: meter.as_ref(),
                progress: &Stoppable {
                    progress,
                    failed: &failure,
                },
            };
            match pack_one(&job) {
                Ok(packed) => lock(&done)[layer] = Some(packed),
                Err(error) => {
                    // The first failure is the cause; those after it are its echoes.
                    lock(&failure).get_or_insert(error);
                    return;
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..at_once {
            // Where a process may have few threads, fewer do the work.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    if let Some(error) = lock(&failure).take() {
        return Err(error);
    }
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let all: Option<Vec<_>> = done.into_iter().collect();
    Ok(all.expect("without a failure every layer was packed"))
}

/// Returns how many of `threads` are for a layer of `size` bytes out of `total`.
fn share(threads: usize, size: u64, total: u64) -> usize {
    let threads = threads.max(1) as u128;
    let rounded = (threads * u128::from(size) + u128::from(total) / 2) / u128::from(total.max(1));
    usize::try_from(rounded.clamp(1, threads)).expect("at most as many as there are")
}

/// One layer to be packed.
pub(super) struct Job<'a, 'c> {
    options: &'a Options,
    prepared: &'a Prepared,
    /// Its place in what was prepared.
    index: usize,
    /// How many threads it gets.
    threads: usize,
    /// Where it goes, if anywhere.
    pub(super) writer: Option<&'a Writer<'a>>,
    pub(super) reuse: &'a Reuse<'c>,
    pub(super) cache: &'a Cache,
    /// Whether the kit gets a table of contents.
    with_tables: bool,
    /// How large the segments are that it is cut into, if it is.
    target: Option<u64>,
    pub(super) meter: &'a dyn Meter,
    pub(super) progress: &'a dyn Progress,
}

/// Packs one layer into the store, unless it is known what would come of it, and that is there.
fn pack_one(job: &Job<'_, '_>) -> Result<PackedLayer, Error> {
    let Job {
        prepared, index, ..
    } = *job;
    let entry = &prepared.entries[index];
    let tree = &prepared.found.tree;
    let wanted = Wanted {
        tree,
        index,
        writing: Writing {
            shape: prepared.shapes[index],
            compression: prepared.compression(index, job.options.compression),
        },
    };
    let Done {
        packed,
        segments,
        stored,
    } = match known(job, wanted)? {
        Some(done) => done,
        None => write(job, wanted)?,
    };
    Ok(PackedLayer {
        descriptor: describe(prepared, index, wanted.writing.compression, &packed),
        segments,
        entry: entry.clone(),
        diff_id: packed.diff_id,
        files: file_count(tree, index),
        bytes: tree.bytes(index),
        stored,
        table: packed.table,
    })
}

/// What became of a layer.
pub(super) struct Done {
    pub(super) packed: Packed,
    pub(super) segments: Vec<Segment>,
    pub(super) stored: Option<Committed>,
}

/// Returns what would come of packing, if that is known and, should it go there, in the store.
fn known(job: &Job<'_, '_>, wanted: Wanted<'_>) -> Result<Option<Done>, Error> {
    let Some(known) = job.reuse.known(wanted, job.threads, job.progress)? else {
        return Ok(None);
    };
    let trust = job.reuse.trust();
    let mut blobs = vec![(known.digest, known.size)];
    if let Some(target) = job.target {
        let Some(segments) = job.cache.segments(&known.digest, target) else {
            return Ok(None);
        };
        blobs = segments;
    }
    if let Some(writer) = job.writer {
        for (digest, size) in &blobs {
            if writer.has(digest, *size, trust)? != Presence::Here {
                return Ok(None);
            }
        }
    }
    let stored = job.writer.map(|_| Committed::AlreadyThere);
    let segment = |(digest, size)| Segment {
        digest,
        size,
        stored,
    };
    let segments = match job.target {
        Some(_) => blobs.into_iter().map(segment).collect(),
        None => Vec::new(),
    };
    let mut packed = Packed::from(known);
    if job.with_tables {
        packed.table = table(job, wanted, &packed, &segments)?;
        if packed.table.is_none() {
            return Ok(None);
        }
    }
    job.meter.advance(wanted.tree.bytes(wanted.index));
    Ok(Some(Done {
        packed,
        segments,
        stored,
    }))
}

/// Returns the table of a layer that is not packed, as it was made before or of the layer in the
/// store; `None` if there is no other way than to pack it.
fn table(
    job: &Job<'_, '_>,
    wanted: Wanted<'_>,
    packed: &Packed,
    segments: &[Segment],
) -> Result<Option<Result<Table, Absence>>, Error> {
    let Writing { shape, compression } = wanted.writing;
    let is_raw = shape == Shape::Raw;
    if let Some(table) = job.cache.table(&packed.diff_id, is_raw) {
        return Ok(Some(table));
    }
    let Some(writer) = job.writer else {
        return Ok(None);
    };
    let layer = PlainLayer {
        descriptor: Descriptor::new("", packed.digest, packed.size),
        segments: segments
            .iter()
            .map(|it| Descriptor::new("", it.digest, it.size))
            .collect(),
    };
    let encoding = encoding(shape, compression);
    let made = toc::of_stored(writer, &layer, encoding, packed.plain_size, job.progress)?;
    if let Some(table) = &made {
        let table = table.as_ref().map_err(|absence| *absence);
        job.cache.learn_table(&packed.diff_id, is_raw, table);
    }
    Ok(made)
}

/// Remembers the table of a layer that was packed.
pub(super) fn learn_table(job: &Job<'_, '_>, wanted: Wanted<'_>, packed: &Packed) {
    if let Some(table) = &packed.table {
        let is_raw = wanted.writing.shape == Shape::Raw;
        let table = table.as_ref().map_err(|absence| *absence);
        job.cache.learn_table(&packed.diff_id, is_raw, table);
    }
}

/// Writes a layer into the store, or only measures it, and remembers what came of it.
fn write(job: &Job<'_, '_>, wanted: Wanted<'_>) -> Result<Done, Error> {
    let layer = archive::pack::Layer {
        tree: wanted.tree,
        index: wanted.index,
        shape: wanted.writing.shape,
        path: &job.prepared.entries[wanted.index].path,
    };
    let options = archive::pack::Options {
        threads: job.threads,
        compression: wanted.writing.compression,
        file_digests: wanted.needs_file_digests(job.options.threads),
        toc: job.with_tables,
    };
    if let Some(target) = job.target {
        return cuts::write(job, wanted, (layer, &options), target);
    }
    let Some(writer) = job.writer else {
        let mut packed = archive::pack::measure(layer, &options, job.meter, job.progress)?;
        job.reuse.learn(wanted, &packed);
        learn_table(job, wanted, &packed);
        packed.files = Vec::new();
        return Ok(Done {
            packed,
            segments: Vec::new(),
            stored: None,
        });
    };
    let blob = writer.create()?;
    let packed = archive::pack::write(layer, blob.file(), &options, job.meter, job.progress);
    let mut packed = packed.map_err(|error| no_space(error, wanted, writer))?;
    job.reuse.learn(wanted, &packed);
    learn_table(job, wanted, &packed);
    packed.files = Vec::new();
    // Asked for here, since committing believes what is recorded.
    writer.has(&packed.digest, packed.size, job.reuse.trust())?;
    let stored = blob.commit(&packed.digest, packed.size)?;
    Ok(Done {
        packed,
        segments: Vec::new(),
        stored: Some(stored),
    })
}

/// Returns the failure of a layer for which there is no room as what is missing, as far as that is
/// known before it is packed.
fn no_space(error: archive::Error, wanted: Wanted<'_>, writer: &Writer<'_>) -> Error {
    let is_full = matches!(&error, archive::Error::WriteLayer { source, .. }
        if source.kind() == std::io::ErrorKind::StorageFull);
    if is_full {
        return full(error.into(), wanted, writer);
    }
    error.into()
}

/// Returns a failure for want of room as what is missing.
pub(super) fn full(error: Error, wanted: Wanted<'_>, writer: &Writer<'_>) -> Error {
    let root = writer.store().root();
    match platform::free_space(root) {
        Some(have) if wanted.writing.compression == Compression::None => Error::NoSpace {
            path: root.to_owned(),
            need: match wanted.writing.shape {
                Shape::Tar => archive::pack::archive_size(wanted.tree, wanted.index),
                Shape::Raw => wanted.tree.bytes(wanted.index),
            },
            have,
        },
        _ => error,
    }
}

/// Passes a progress on, and counts as cancelled once some layer has failed.
struct Stoppable<'a> {
    progress: &'a dyn Progress,
    failed: &'a Mutex<Option<Error>>,
}

impl Progress for Stoppable<'_> {
    fn begin(&self, label: &str, total: Option<u64>) -> Box<dyn Meter> {
        self.progress.begin(label, total)
    }
    fn warn(&self, text: &str) {
        self.progress.warn(text);
    }
    fn status(&self, text: &str) {
        self.progress.status(text);
    }
    fn detail(&self, text: &str) {
        self.progress.detail(text);
    }
    fn cancelled(&self) -> bool {
        self.progress.cancelled() || lock(self.failed).is_some()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns what the media type says of a layer.
fn encoding(shape: Shape, compression: Compression) -> Encoding {
    match (shape, compression) {
        (Shape::Tar, Compression::None) => Encoding::Tar,
        (Shape::Tar, Compression::Gzip | Compression::GzipFastest) => Encoding::TarGzip,
        (Shape::Tar, Compression::Zstd) => Encoding::TarZstd,
        (Shape::Raw, Compression::None) => Encoding::Raw,
        (Shape::Raw, Compression::Gzip | Compression::GzipFastest) => Encoding::RawGzip,
        (Shape::Raw, Compression::Zstd) => Encoding::RawZstd,
    }
}

/// Describes a packed layer for the manifest.
fn describe(
    prepared: &Prepared,
    index: usize,
    compression: Compression,
    packed: &Packed,
) -> Descriptor {
    let entry = &prepared.entries[index];
    let shape = prepared.shapes[index];
    let layer_type = LayerType {
        family: Family::ModelKit,
        kind: layer_kind(entry),
        encoding: encoding(shape, compression),
    };
    let mut descriptor = Descriptor::new(&layer_type.to_string(), packed.digest, packed.size);
    let annotations = &mut descriptor.annotations;
    annotations.insert(annotation::FILE_PATH.to_owned(), entry.clean.clone());
    if entry.section == Section::Prompt {
        annotations.insert(
            annotation::LAYER_SUBTYPE.to_owned(),
            annotation::SUBTYPE_PROMPT.to_owned(),
        );
    }
    if layer_type.encoding.is_compressed() {
        annotations.insert(
            annotation::UNCOMPRESSED_SIZE.to_owned(),
            packed.plain_size.to_string(),
        );
    }
    if shape == Shape::Raw {
        let mode = prepared
            .found
            .tree
            .entries(index)
            .find(is_file)
            .map(|file| file.mode());
        annotations.insert(
            annotation::FILE_METADATA.to_owned(),
            raw_metadata(&entry.clean, mode.unwrap_or(0o644), packed.plain_size),
        );
    }
    descriptor
}

/// Returns the description of a raw layer's file, in which only its name, size and execute bit
/// are its own.
fn raw_metadata(path: &str, mode: u32, size: u64) -> String {
    #[derive(Serialize)]
    struct Metadata<'a> {
        name: &'a str,
        mode: u32,
        uid: u32,
        gid: u32,
        size: u64,
        mtime: &'a str,
        typeflag: u8,
    }
    let metadata = Metadata {
        name: path.rsplit('/').next().unwrap_or(path),
        mode,
        uid: 0,
        gid: 0,
        size,
        mtime: "1970-01-01T00:00:00Z",
        typeflag: 0,
    };
    String::from_utf8(crate::oci::json::to_vec(&metadata)).expect("JSON is UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_metadata_holds_nothing_of_the_machine() {
        assert_eq!(
            raw_metadata("tools/a.mcpb", 0o755, 7),
            r#"{"name":"a.mcpb","mode":493,"uid":0,"gid":0,"size":7,"mtime":"1970-01-01T00:00:00Z","typeflag":0}"#
        );
    }
}
