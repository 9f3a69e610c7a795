//! Turns one layer of a tree into a deterministic tar archive, or into the bytes of its one file,
//! compressed or not, and hashes all of it in the same pass.
//!
//! The size of every entry is known from the walk, so the archive can be cut into pieces of one
//! size before the first file is read (`plan`). Workers take the next piece, read its files
//! (`source`), hash those that lie in it whole, and compress it (`encode`) or write it to its
//! place. The calling thread takes the pieces in order, hashes them, and writes what was
//! compressed, whose place only now is known. Further threads hash files that span pieces, and cut
//! them into chunks for the table of contents (`table`).
//! A fixed number of buffers goes round, which bounds the memory and how far a worker can run
//! ahead. Where the cuts are depends on the tree alone, so the bytes do not depend on the number
//! of threads.

mod encode;
mod files;
mod plan;
mod settle;
mod source;
mod stages;
mod table;

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel, sync_channel},
    },
    thread,
};

pub(crate) use self::source::check_empty;
use self::{
    encode::Encoder,
    files::FileHashes,
    plan::{Buffer, Piece, Planner},
    settle::Settling,
    stages::{Kept, Stages},
    table::Tabling,
};
use super::{
    error::Error,
    header::{self, END},
    tree::{Entry, Kind, Tree},
};
use crate::{
    chunk::ChunkHash,
    digest::{Digest, Hasher},
    platform,
    progress::{Meter, Progress},
    toc::{Absence, Table},
};

/// What a layer is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// A tar archive of the layer's entries.
    Tar,
    /// The content of the layer's only file.
    Raw,
}

/// How a layer is compressed. What the methods write is part of digests: see
/// `docs/decisions/0007-compression.md` before changing anything about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip, for the best ratio that it gives at an ordinary speed.
    Gzip,
    /// gzip, fast.
    GzipFastest,
    /// Zstandard.
    Zstd,
}

/// A layer to be written.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// What the walk found.
    pub tree: &'a Tree,
    /// The layer's place in the tree.
    pub index: usize,
    /// What it is to become. Only a layer with a single file can be raw.
    pub shape: Shape,
    /// The path that errors name.
    pub path: &'a str,
}

/// How to write a layer.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many threads read, compress and write besides the calling one; 0 counts as 1.
    pub threads: usize,
    /// How the layer is compressed.
    pub compression: Compression,
    /// Whether each file is hashed too. Costs no second read, but for a file larger than a piece
    /// the time of a further core.
    pub file_digests: bool,
    /// Whether the layer's table of contents is made. Costs no second read, but the time of a
    /// further core for cutting large files.
    pub toc: bool,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The SHA-256 of what was written.
    pub digest: Digest,
    /// The length in bytes of what was written.
    pub size: u64,
    /// The SHA-256 of it before compression; the digest if it is not compressed.
    pub diff_id: Digest,
    /// The length in bytes before compression.
    pub plain_size: u64,
    /// The SHA-256 of each file of the layer, in the order of the tree; empty unless asked for.
    pub files: Vec<Digest>,
    /// The table of contents, or why there can be none; nothing unless asked for.
    pub table: Option<Result<Table, Absence>>,
}

/// Returns the length in bytes of the archive of `layer` before compression.
pub fn archive_size(tree: &Tree, layer: usize) -> u64 {
    let mut path = Vec::new();
    let content = tree.entries(layer).map(|entry| {
        entry.path_into(&mut path);
        header::length(&path, header_kind(entry)) + header::padded(entry.size())
    });
    content.sum::<u64>() + END as u64
}

pub(super) fn header_kind(entry: Entry<'_>) -> header::Kind {
    match entry.kind() {
        Kind::File => header::Kind::File(entry.size()),
        Kind::Folder => header::Kind::Folder,
    }
}

impl Layer<'_> {
    /// Returns how long it is before compression.
    pub fn plain_size(&self) -> u64 {
        match self.shape {
            Shape::Tar => archive_size(self.tree, self.index),
            Shape::Raw => self.tree.bytes(self.index),
        }
    }

    fn file_count(&self) -> usize {
        let entries = self.tree.entries(self.index);
        entries.filter(|entry| entry.kind() == Kind::File).count()
    }

    fn cannot_write(&self, source: std::io::Error) -> Error {
        Error::WriteLayer {
            path: self.path.to_owned(),
            source,
        }
    }
}

/// Writes `layer` to the empty file `out`.
///
/// # Errors
///
/// What cannot be read or written, a file that changed since the walk, the user's wish to stop.
/// What `out` holds then is worth nothing.
pub fn write(
    layer: Layer<'_>,
    out: &File,
    options: &Options,
    meter: &dyn Meter,
    progress: &dyn Progress,
) -> Result<Packed, Error> {
    run(layer, Out::File(out), options, meter, progress)
}

/// Finds out what [`write()`] would write, and writes it nowhere.
pub fn measure(
    layer: Layer<'_>,
    options: &Options,
    meter: &dyn Meter,
    progress: &dyn Progress,
) -> Result<Packed, Error> {
    run(layer, Out::Nowhere, options, meter, progress)
}

/// Gives what [`write()`] would write to `out`, in order, and finds out what it comes to.
pub fn pour(
    layer: Layer<'_>,
    out: &mut dyn Write,
    options: &Options,
    meter: &dyn Meter,
    progress: &dyn Progress,
) -> Result<Packed, Error> {
    run(layer, Out::Poured(out), options, meter, progress)
}

/// Gives what [`write()`] would write to `out`, in order, from the byte `from` on. What lies before it
/// is not read if it can be told apart: without compression.
pub fn stream(
    layer: Layer<'_>,
    (out, from): (&mut dyn Write, u64),
    options: &Options,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let options = Options {
        file_digests: false,
        toc: false,
        ..*options
    };
    let out = Out::Stream { out, from };
    run(layer, out, &options, &crate::progress::Silent, progress).map(drop)
}

/// Where an archive goes.
enum Out<'a> {
    /// Into a file, by the workers where its places are known.
    File(&'a File),
    /// Nowhere: its digests are wanted.
    Nowhere,
    /// To something that takes it in order.
    Poured(&'a mut dyn Write),
    /// To something that takes it in order from a byte on, and hashes it.
    Stream { out: &'a mut dyn Write, from: u64 },
}

impl Out<'_> {
    /// Takes bytes that begin at `at` in the archive.
    fn take(&mut self, bytes: &[u8], at: u64) -> std::io::Result<()> {
        match self {
            Self::File(file) => platform::write_all_at(file, bytes, at),
            Self::Nowhere => Ok(()),
            Self::Poured(out) => out.write_all(bytes),
            Self::Stream { out, from } => {
                let skipped = usize::try_from(from.saturating_sub(at)).unwrap_or(bytes.len());
                out.write_all(bytes.get(skipped..).unwrap_or_default())
            }
        }
    }
}

fn run(
    layer: Layer<'_>,
    mut out: Out<'_>,
    options: &Options,
    meter: &dyn Meter,
    progress: &dyn Progress,
) -> Result<Packed, Error> {
    let threads = options.threads.max(1);
    let plain_size = layer.plain_size();
    // The content of a raw layer is its file: its digest is there anyway.
    let hash_files = options.file_digests && layer.shape == Shape::Tar;
    let piece_size = encode::piece_size(options.compression);
    let planner = Mutex::new(Planner::new(layer, piece_size, plain_size));
    let is_plain = options.compression == Compression::None;
    let (file, from) = match &out {
        Out::File(file) => (Some(*file), 0),
        Out::Nowhere | Out::Poured(_) => (None, 0),
        Out::Stream { from, .. } => (None, *from),
    };
    let mut shared = false;
    if let Some(file) = file.filter(|_| is_plain) {
        shared = layer.shape == Shape::Raw && share(layer, file)?;
        if !shared {
            // Before the first byte is read: how long it gets is known, and whether there is room.
            platform::reserve(file, plain_size).map_err(|source| layer.cannot_write(source))?;
        }
    }
    let (done, arrived) = channel();
    let buffers = threads + 2 + usize::from(hash_files) + usize::from(options.toc);
    let (free, empty) = sync_channel(buffers);
    for _ in 0..buffers {
        free.send(Buffer::default())
            .expect("the channel has room for every buffer");
    }
    let empty = Mutex::new(empty);
    let job = Job {
        layer,
        out: file,
        unread: if is_plain { from } else { 0 },
        compression: options.compression,
        hash_files,
        hash_chunks: options.toc,
        shared,
        planner: &planner,
        empty: &empty,
        progress,
    };
    thread::scope(|scope| {
        // Dropping it when this ends, early or not, ends the workers.
        let free = free;
        for number in 0..threads {
            let done = done.clone();
            let job = &job;
            let spawned = thread::Builder::new().spawn_scoped(scope, move || job.work(&done));
            // Where a process may have few threads, fewer do the work.
            if let (0, Err(source)) = (number, spawned) {
                return Err(layer.cannot_write(source));
            }
        }
        drop(done);
        let kept = Kept {
            files: FileHashes::new(if hash_files { layer.file_count() } else { 0 }),
            tabling: options.toc.then(|| Tabling::new(layer)),
        };
        let free = move |piece: Piece| {
            // The workers may all have finished: then nobody needs the buffer.
            let _ = free.send(piece.buffer);
        };
        let stages = if plain_size > piece_size as u64 {
            Stages::aside(scope, kept, hash_files, free)
        } else {
            Ok(Stages::here(kept, free))
        };
        let mut stages = stages.map_err(|source| layer.cannot_write(source))?;
        let packed = job.collect(arrived, meter, &mut out, |piece| stages.take(piece));
        let kept = stages.finish();
        let mut packed = packed?;
        packed.files = match layer.shape {
            Shape::Raw if options.file_digests => vec![packed.diff_id],
            Shape::Raw | Shape::Tar => kept.files.finish(),
        };
        packed.table = kept
            .tabling
            .map(|tabling| tabling.finish(packed.plain_size));
        Ok(packed)
    })
}

/// Makes `out` a copy of a raw layer's file that shares its blocks, where the file system can do
/// that. What is hashed must be that copy: the file may change meanwhile.
fn share(layer: Layer<'_>, out: &File) -> Result<bool, Error> {
    let mut planner = Planner::new(layer, 1, 1);
    let Some(source) = planner.next_source()? else {
        return Ok(false);
    };
    let file = source.open()?;
    let shared = platform::share_content(&file, out);
    if shared {
        source.check_open(&file)?;
    }
    Ok(shared)
}

/// What the workers share.
struct Job<'a> {
    layer: Layer<'a>,
    /// The file that workers write into, if there is one.
    out: Option<&'a File>,
    /// Up to here nobody wants the bytes.
    unread: u64,
    compression: Compression,
    hash_files: bool,
    hash_chunks: bool,
    /// Whether `out` has the content already: then it is only read, and it alone.
    shared: bool,
    planner: &'a Mutex<Planner<'a>>,
    empty: &'a Mutex<Receiver<Buffer>>,
    progress: &'a dyn Progress,
}

impl Job<'_> {
    fn work(&self, done: &Sender<Result<Piece, Error>>) {
        let mut encoder = match Encoder::new(self.compression) {
            Ok(encoder) => encoder,
            Err(source) => {
                let _ = done.send(Err(self.layer.cannot_write(source)));
                return;
            }
        };
        loop {
            let buffer = {
                let empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
                let Ok(buffer) = empty.recv() else { return };
                buffer
            };
            let piece = self
                .planner
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next(buffer);
            let piece = match piece {
                Ok(Some(piece)) => self.make(piece, encoder.as_mut()),
                Ok(None) => return,
                Err(error) => Err(error),
            };
            let failed = piece.is_err();
            if done.send(piece).is_err() || failed {
                return;
            }
        }
    }

    /// Reads the contents of a piece, and compresses it or writes it to its place.
    fn make(&self, mut piece: Piece, encoder: Option<&mut Encoder>) -> Result<Piece, Error> {
        if self.progress.cancelled() {
            return Err(Error::Interrupted);
        }
        // An empty piece at the beginning of what is wanted whole is no less wanted.
        if self.unread > 0 && piece.offset + piece.length as u64 <= self.unread {
            return Ok(piece);
        }
        if let Some(out) = self.out.filter(|_| self.shared) {
            let gap = &mut piece.buffer.plain[..piece.length];
            return match platform::read_exact_at(out, gap, piece.offset) {
                Ok(()) => Ok(piece),
                Err(source) => Err(self.layer.cannot_write(source)),
            };
        }
        let Piece { buffer, parts, .. } = &mut piece;
        for part in parts {
            let gap = &mut buffer.plain[part.at..][..part.length];
            part.source.read(gap, part.offset, part.is_whole())?;
            if self.hash_files && part.is_whole() {
                part.digest = Some(Digest::of(gap));
            }
            if self.hash_chunks && part.is_chunk() {
                part.hash = Some(ChunkHash::of(gap));
            }
        }
        match (encoder, self.out) {
            (Some(encoder), _) => {
                let Buffer { plain, encoded } = &mut piece.buffer;
                encoder.encode(&plain[..piece.length], encoded)
            }
            (None, Some(out)) => platform::write_all_at(out, piece.plain(), piece.offset),
            (None, None) => Ok(()),
        }
        .map_err(|source| self.layer.cannot_write(source))?;
        Ok(piece)
    }

    /// Takes the pieces in whatever order they arrive, hashes them in theirs, and writes what the
    /// workers have not written: what is compressed, and what goes to no file. `pass_on` gets each piece that is done with.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it must be dropped when hashing ends, which is what stops the workers"
    )]
    fn collect(
        &self,
        arrived: Receiver<Result<Piece, Error>>,
        meter: &dyn Meter,
        out: &mut Out<'_>,
        mut pass_on: impl FnMut(Piece),
    ) -> Result<Packed, Error> {
        let (mut plain, mut encoded) = (Hasher::new(), Hasher::new());
        let (mut plain_size, mut size) = (0, 0);
        let is_plain = self.compression == Compression::None;
        let is_hashed = !matches!(out, Out::Stream { .. });
        let mut settling = self.out.filter(|_| !self.shared).map(Settling::new);
        let mut next = 0;
        let mut early = BTreeMap::new();
        for piece in &arrived {
            let piece = piece?;
            early.insert(piece.number, piece);
            while let Some(piece) = early.remove(&next) {
                plain_size += piece.length as u64;
                let bytes = if is_plain {
                    piece.plain()
                } else {
                    &piece.buffer.encoded
                };
                if is_hashed {
                    plain.update(piece.plain());
                    if !is_plain {
                        encoded.update(bytes);
                    }
                }
                if self.out.is_none() || !is_plain {
                    out.take(bytes, size)
                        .map_err(|source| self.layer.cannot_write(source))?;
                }
                size += bytes.len() as u64;
                if let Some(settling) = &mut settling {
                    settling.written_to(size);
                }
                next += 1;
                meter.advance(piece.parts.iter().map(|part| part.length as u64).sum());
                for part in &piece.parts {
                    if part.is_last() && !part.is_whole() && !self.shared {
                        part.source.check()?;
                    }
                }
                pass_on(piece);
            }
        }
        let diff_id = plain.finish();
        Ok(Packed {
            digest: if is_plain { diff_id } else { encoded.finish() },
            size,
            diff_id,
            plain_size,
            files: Vec::new(),
            table: None,
        })
    }
}
