//! Turns one layer of a tree into a deterministic tar archive, or into the bytes of its one file,
//! hashed in the same pass.
//!
//! The size of every entry is known from the walk, so the place of every byte in the archive is
//! known before the first file is read. Workers take the next piece of the archive, read its
//! files and write it to its place; the calling thread hashes the pieces in order. A fixed
//! number of buffers goes round, which bounds the memory and how far a worker can run ahead.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
};

use super::{
    error::Error,
    header::{self, END},
    tree::{Entry, Kind, Tree},
};
use crate::{
    digest::{Digest, Hasher},
    platform::{self, FileStamp},
    progress::{Meter, Progress},
};

/// The size of a piece of the archive in bytes: large enough that its bookkeeping is noise.
const PIECE: usize = 1024 * 1024;

/// What a layer is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A tar archive of the layer's entries.
    Tar,
    /// The content of the layer's only file.
    Raw,
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

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The SHA-256 of the archive.
    pub digest: Digest,
    /// The archive's length in bytes.
    pub size: u64,
}

/// Returns the length in bytes of the archive of `layer`.
pub fn archive_size(tree: &Tree, layer: usize) -> u64 {
    let mut path = Vec::new();
    let content = tree.entries(layer).map(|entry| {
        entry.path_into(&mut path);
        header::length(&path, header_kind(entry)) + header::padded(entry.size())
    });
    content.sum::<u64>() + END as u64
}

/// Writes `layer` in `shape` to the empty file `out`, using `threads` threads for reading and
/// writing besides the calling one, which hashes.
///
/// # Errors
///
/// What cannot be read or written, a file that changed since the walk, the user's wish to stop.
/// What `out` holds then is worth nothing.
pub fn write(
    layer: Layer<'_>,
    out: &File,
    threads: usize,
    meter: &dyn Meter,
    progress: &dyn Progress,
) -> Result<Packed, Error> {
    let threads = threads.max(1);
    let planner = Mutex::new(Planner::new(layer));
    let (done, arrived) = channel();
    let (free, empty) = sync_channel(threads + 2);
    for _ in 0..threads + 2 {
        free.send(Vec::new())
            .expect("the channel has room for every buffer");
    }
    let empty = Mutex::new(empty);
    let job = Job {
        layer,
        out,
        planner: &planner,
        empty: &empty,
        progress,
    };
    thread::scope(|scope| {
        for number in 0..threads {
            let done = done.clone();
            let job = &job;
            let spawned = thread::Builder::new().spawn_scoped(scope, move || job.work(&done));
            // Where a process may have few threads, fewer do the work.
            if let (0, Err(source)) = (number, spawned) {
                let path = layer.path.to_owned();
                return Err(Error::WriteLayer { path, source });
            }
        }
        drop(done);
        // Dropping `free` and `arrived` at the end of this call, early or not, ends the workers.
        hash(arrived, free, meter)
    })
}

/// Takes the pieces in whatever order they arrive and hashes them in theirs.
#[expect(
    clippy::needless_pass_by_value,
    reason = "both ends must be dropped when hashing ends, which is what stops the workers"
)]
fn hash(
    arrived: Receiver<Result<Piece, Error>>,
    free: SyncSender<Vec<u8>>,
    meter: &dyn Meter,
) -> Result<Packed, Error> {
    let mut hasher = Hasher::new();
    let mut size = 0;
    let mut next = 0;
    let mut early = BTreeMap::new();
    for piece in &arrived {
        let piece = piece?;
        early.insert(piece.number, piece);
        while let Some(piece) = early.remove(&next) {
            hasher.update(&piece.bytes);
            size += piece.bytes.len() as u64;
            next += 1;
            meter.advance(piece.content);
            if let Some(large) = piece.ends {
                large.check()?;
            }
            // The workers may all have finished: then nobody needs the buffer.
            let _ = free.send(piece.bytes);
        }
    }
    Ok(Packed {
        digest: hasher.finish(),
        size,
    })
}

/// A piece of the archive.
struct Piece {
    number: u64,
    /// Its place in the archive.
    offset: u64,
    bytes: Vec<u8>,
    /// How many of the bytes are content of files.
    content: u64,
    /// Small files whose content belongs into `bytes`: the place there, and where they are.
    small: Vec<Small>,
    /// A stretch of one large file: the place in `bytes`, the file, the stretch's start in it.
    stretch: Option<(usize, Arc<Large>, u64)>,
    /// The large file whose last stretch this piece holds.
    ends: Option<Arc<Large>>,
}

struct Small {
    at: usize,
    length: usize,
    path: PathBuf,
    stamp: FileStamp,
    via_link: bool,
}

/// A file that spans pieces: opened by the first worker that needs it.
struct Large {
    path: PathBuf,
    stamp: FileStamp,
    via_link: bool,
    file: Mutex<Option<Arc<File>>>,
}

impl Large {
    fn open(&self) -> Result<Arc<File>, Error> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*file {
            return Ok(Arc::clone(file));
        }
        let opened = Arc::new(open(&self.path, &self.stamp, self.via_link)?);
        *file = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Checks, after its last byte was read, that the file is still the one that was opened.
    fn check(&self) -> Result<(), Error> {
        let file = self.open()?;
        check(&file, &self.path, &self.stamp)
    }
}

/// Lays the archive out piece by piece.
struct Planner<'t> {
    layer: Layer<'t>,
    /// The next entry.
    position: usize,
    /// The large file that the next piece goes on with, and how much of it is behind.
    current: Option<(Arc<Large>, u64)>,
    number: u64,
    offset: u64,
    ended: bool,
    path: Vec<u8>,
}

impl<'t> Planner<'t> {
    const fn new(layer: Layer<'t>) -> Self {
        Self {
            layer,
            position: 0,
            current: None,
            number: 0,
            offset: 0,
            ended: false,
            path: Vec::new(),
        }
    }

    /// Lays out the next piece in `bytes`: headers and padding are there, contents are gaps of
    /// zeros. `None` after the last one.
    fn next(&mut self, mut bytes: Vec<u8>) -> Result<Option<Piece>, Error> {
        if self.ended {
            return Ok(None);
        }
        bytes.clear();
        let mut piece = Piece {
            number: self.number,
            offset: self.offset,
            bytes,
            content: 0,
            small: Vec::new(),
            stretch: None,
            ends: None,
        };
        self.fill(&mut piece)?;
        self.number += 1;
        self.offset += piece.bytes.len() as u64;
        Ok(Some(piece))
    }

    fn fill(&mut self, piece: &mut Piece) -> Result<(), Error> {
        if self.current.is_some() {
            self.continue_large(piece);
            return Ok(());
        }
        while piece.bytes.len() < PIECE {
            let Some(entry) = self.layer.tree.entry_at(self.layer.index, self.position) else {
                if self.layer.shape == Shape::Tar {
                    piece.bytes.resize(piece.bytes.len() + END, 0);
                }
                self.ended = true;
                return Ok(());
            };
            let size = entry.size();
            let small = usize::try_from(size).ok().filter(|size| *size <= PIECE);
            if small.is_some_and(|size| piece.bytes.len() + size > PIECE) && !piece.bytes.is_empty()
            {
                return Ok(());
            }
            entry.path_into(&mut self.path);
            self.position += 1;
            match self.layer.shape {
                Shape::Tar => header::append(
                    &mut piece.bytes,
                    &self.path,
                    entry.mode(),
                    header_kind(entry),
                ),
                // The folders that lead to the file have no place in its content.
                Shape::Raw if entry.kind() == Kind::Folder => continue,
                Shape::Raw => {}
            }
            if size == 0 && entry.kind() == Kind::Folder {
                continue;
            }
            let path = self.on_disk()?;
            if let Some(length) = small {
                let at = piece.bytes.len();
                piece.small.push(Small {
                    at,
                    length,
                    path,
                    stamp: *entry.stamp(),
                    via_link: entry.via_link(),
                });
                piece.content += size;
                piece.bytes.resize(at + length, 0);
                self.pad(&mut piece.bytes);
            } else {
                let large = Large {
                    path,
                    stamp: *entry.stamp(),
                    via_link: entry.via_link(),
                    file: Mutex::new(None),
                };
                self.current = Some((Arc::new(large), 0));
                self.continue_large(piece);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Gives `piece` the next stretch of the current large file.
    fn continue_large(&mut self, piece: &mut Piece) {
        let Some((large, behind)) = self.current.take() else {
            return;
        };
        let at = piece.bytes.len();
        let left = large.stamp.size - behind;
        let room = PIECE - at.min(PIECE / 2);
        match usize::try_from(left) {
            Ok(left) if left <= room => {
                piece.bytes.resize(at + left, 0);
                self.pad(&mut piece.bytes);
                piece.content += left as u64;
                piece.ends = Some(Arc::clone(&large));
            }
            _ => {
                // Whole blocks, so that padding the last stretch pads the file.
                let stretch = room / header::BLOCK * header::BLOCK;
                piece.bytes.resize(at + stretch, 0);
                piece.content += stretch as u64;
                self.current = Some((Arc::clone(&large), behind + stretch as u64));
            }
        }
        piece.stretch = Some((at, large, behind));
    }

    fn pad(&self, bytes: &mut Vec<u8>) {
        if self.layer.shape == Shape::Tar {
            header::pad(bytes);
        }
    }

    fn on_disk(&self) -> Result<PathBuf, Error> {
        let context = self.layer.tree.context();
        let relative = platform::os_name(&self.path).ok_or_else(|| Error::NameNotUnicode {
            path: context.to_owned(),
        })?;
        Ok(context.join(&*relative))
    }
}

/// What the workers share.
struct Job<'a> {
    layer: Layer<'a>,
    out: &'a File,
    planner: &'a Mutex<Planner<'a>>,
    empty: &'a Mutex<Receiver<Vec<u8>>>,
    progress: &'a dyn Progress,
}

impl Job<'_> {
    fn work(&self, done: &Sender<Result<Piece, Error>>) {
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
                Ok(Some(piece)) => self.make(piece),
                Ok(None) => return,
                Err(error) => Err(error),
            };
            let failed = piece.is_err();
            if done.send(piece).is_err() || failed {
                return;
            }
        }
    }

    /// Reads the contents of a piece and writes it to its place.
    fn make(&self, mut piece: Piece) -> Result<Piece, Error> {
        if self.progress.cancelled() {
            return Err(Error::Interrupted);
        }
        for small in &piece.small {
            let file = open(&small.path, &small.stamp, small.via_link)?;
            let gap = &mut piece.bytes[small.at..][..small.length];
            read(&file, &small.path, gap, 0)?;
            check(&file, &small.path, &small.stamp)?;
        }
        if let Some((at, large, behind)) = &piece.stretch {
            let file = large.open()?;
            let left = large.stamp.size - behind;
            let gap = &mut piece.bytes[*at..];
            let length = gap.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            read(&file, &large.path, &mut gap[..length], *behind)?;
        }
        platform::write_all_at(self.out, &piece.bytes, piece.offset).map_err(|source| {
            Error::WriteLayer {
                path: self.layer.path.to_owned(),
                source,
            }
        })?;
        Ok(piece)
    }
}

/// Opens a file that the walk saw.
fn open(path: &Path, stamp: &FileStamp, via_link: bool) -> Result<File, Error> {
    let file =
        platform::open_to_read(path, via_link).map_err(|source| Error::read_file(path, source))?;
    check(&file, path, stamp)?;
    Ok(file)
}

/// Checks that the open `file` is the one of which the walk took `stamp`.
fn check(file: &File, path: &Path, stamp: &FileStamp) -> Result<(), Error> {
    let metadata = file
        .metadata()
        .map_err(|source| Error::read_file(path, source))?;
    if !metadata.is_file() || FileStamp::of(&metadata) != *stamp {
        return Err(Error::ChangedWhilePacking {
            path: path.to_owned(),
        });
    }
    Ok(())
}

fn read(file: &File, path: &Path, gap: &mut [u8], offset: u64) -> Result<(), Error> {
    platform::read_exact_at(file, gap, offset).map_err(|source| {
        if source.kind() == std::io::ErrorKind::UnexpectedEof {
            Error::ChangedWhilePacking {
                path: path.to_owned(),
            }
        } else {
            Error::read_file(path, source)
        }
    })
}

fn header_kind(entry: Entry<'_>) -> header::Kind {
    match entry.kind() {
        Kind::File => header::Kind::File(entry.size()),
        Kind::Folder => header::Kind::Folder,
    }
}
