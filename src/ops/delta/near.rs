//! What is on this machine of the chunks that are wanted: kits in the store, and files.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, Read as _},
    num::NonZeroUsize,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use super::index::{Index, Seen};
use crate::{
    chunk::{Chunk, ChunkHash, Chunker, Grain},
    digest::Digest,
    oci::Descriptor,
    ops::{
        Error,
        toc::{self, Contents},
    },
    platform,
    progress::{Progress, Silent},
    reference,
    store::{self, Entry, Store},
};

/// So many kits of the store are looked through at most, the likeliest ones first.
const MOST_KITS: usize = 32;
/// How many files are read at a time at most.
const MOST_THREADS: usize = 8;
/// How many files wait to be read.
const QUEUE: usize = 256;
/// How much of a file is read at once.
const BUFFER: usize = 1 << 20;
/// A file from this size on is cut finely and coarsely: it may have been on the other side of
/// where one ends and the other begins.
const BOTH_FROM: u64 = 1 << 30;
/// A file from this size on of which less than one part in [`HOLLOW`] takes room on the disk is not
/// looked through.
const HOLLOW_FROM: u64 = 1 << 30;
const HOLLOW: u64 = 64;

/// Opens the tables of contents of kits in the store: first those of `repository`, then others,
/// the newest first.
pub(super) fn kits<'s>(
    store: &'s Store,
    repository: Option<&reference::Repository>,
    progress: &dyn Progress,
) -> Result<Vec<Contents<'s>>, Error> {
    let entries = store.entries(progress)?;
    let changes = store.history()?.changes;
    let age: HashMap<Digest, usize> = changes
        .iter()
        .enumerate()
        .filter_map(|(number, change)| Some((change.new?, number)))
        .collect();
    let rank = |entry: &Entry| {
        let is_ours = repository.is_some() && entry.repository() == repository;
        let age = age.get(&entry.descriptor.digest).copied();
        std::cmp::Reverse((is_ours, age.unwrap_or_default()))
    };
    let mut entries: Vec<&Entry> = entries.iter().collect();
    entries.sort_by_key(|entry| rank(entry));
    let mut known = HashSet::new();
    entries.retain(|entry| known.insert(entry.descriptor.digest));
    let mut kits = Vec::new();
    for entry in entries {
        // A kit that cannot be read is no source, and nobody's concern here.
        let Ok(stored) = store.manifest(&entry.descriptor) else {
            continue;
        };
        // Nor is what is wrong with its table of contents.
        kits.extend(Contents::open_here(&stored.manifest, store, &Silent));
        if kits.len() == MOST_KITS {
            break;
        }
    }
    Ok(kits)
}

/// Returns those of the blobs of a layer that the store has, with their places in the layer.
fn blobs_here(store: &Store, blobs: &[Descriptor]) -> Vec<(Range<u64>, Digest)> {
    let mut end = 0;
    let placed = blobs.iter().map(|blob| {
        let start = end;
        end += blob.size;
        (start..end, blob)
    });
    let is_here = |blob: &Descriptor| {
        let found = fs::symlink_metadata(store.blob_path(&blob.digest));
        found.is_ok_and(|found| found.is_file() && found.len() == blob.size)
    };
    let here = placed.filter(|(_, blob)| is_here(blob));
    here.map(|(place, blob)| (place, blob.digest)).collect()
}

/// Where chunks are, by number.
#[derive(Default)]
pub(super) struct Sources(Vec<PathBuf>);

impl Sources {
    /// Notes the chunks that the layers of `kits` have.
    pub(super) fn add_kits(
        &mut self,
        index: &mut Index,
        store: &Store,
        kits: &[Contents<'_>],
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let mut known = HashSet::new();
        for kit in kits {
            let layers = kit.root().layers().iter().enumerate();
            let positions: Vec<usize> = layers
                .filter(|(_, layer)| {
                    // Only of what is not compressed are the places known.
                    !layer.encoding.is_compressed() && known.insert(layer.digest)
                })
                .map(|(position, _)| position)
                .collect();
            for position in positions {
                if index.is_complete() {
                    return Ok(());
                }
                if progress.cancelled() {
                    return Err(store::Error::Interrupted.into());
                }
                let layer = &kit.root().layers()[position];
                let whole = Descriptor::new("", layer.digest, layer.size);
                let segments = kit.segments(position);
                let blobs = blobs_here(store, segments.unwrap_or(&[whole]));
                if blobs.is_empty() {
                    continue;
                }
                let Some(table) = kit.table(position)? else {
                    continue;
                };
                let mut chunks = table.chunks().peekable();
                for (place, digest) in blobs {
                    let within = std::iter::from_fn(|| {
                        // What lies across the end of a segment is in none.
                        while chunks.next_if(|it| it.offset < place.start).is_some() {}
                        let chunk = chunks.next_if(|it| toc::range(it).end <= place.end)?;
                        Some((chunk.chunk.hash, chunk.offset - place.start))
                    });
                    let path = || store.blob_path(&digest);
                    self.note(index, path, within, |index, hash| index.number(&hash));
                }
            }
        }
        Ok(())
    }

    /// Notes the chunks that files have: those that `list` names, with how they are to be cut.
    pub(super) fn add_files(
        &mut self,
        index: &mut Index,
        progress: &dyn Progress,
        list: &mut List<'_>,
    ) -> Result<(), Error> {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let found: Mutex<Vec<Hits>> = Mutex::default();
        let wanted = &*index;
        let meter = progress.begin("Looking through files", None);
        let go_on = |bytes| {
            meter.advance(bytes);
            !progress.cancelled()
        };
        let listed = thread::scope(|scope| {
            let (sender, jobs) = mpsc::sync_channel::<(PathBuf, Cut)>(QUEUE);
            let jobs = std::sync::Arc::new(Mutex::new(jobs));
            for _ in 0..cores.min(MOST_THREADS) {
                let (jobs, found, go_on) = (std::sync::Arc::clone(&jobs), &found, &go_on);
                scope.spawn(move || {
                    let mut buffer = vec![0; BUFFER];
                    loop {
                        let next = lock(&jobs).recv();
                        let Ok((path, cut)) = next else { return };
                        if progress.cancelled() {
                            continue;
                        }
                        // What cannot be read, or was changed meanwhile, is no source.
                        if let Ok(hits) = hits(&path, cut, wanted, &mut buffer, go_on)
                            && !hits.is_empty()
                        {
                            lock(found).push((path, hits));
                        }
                    }
                });
            }
            drop(jobs);
            let listed =
                list(&mut |path, cut| !progress.cancelled() && sender.send((path, cut)).is_ok());
            drop(sender);
            listed
        });
        listed?;
        if progress.cancelled() {
            return Err(store::Error::Interrupted.into());
        }
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        // The same run uses the same files, whichever was read first.
        found.sort();
        for (path, hits) in found {
            self.note(index, || path, hits, |_, number| Some(number));
        }
        Ok(())
    }

    /// Notes that a file has what `found` tells of, with the places.
    fn note<C>(
        &mut self,
        index: &mut Index,
        path: impl FnOnce() -> PathBuf,
        found: impl IntoIterator<Item = (C, u64)>,
        number: impl Fn(&Index, C) -> Option<usize>,
    ) {
        let source = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        if source == u32::MAX {
            return;
        }
        let mut is_used = false;
        for (chunk, offset) in found {
            if let Some(number) = number(index, chunk) {
                is_used |= index.note(number, Seen { source, offset });
            }
        }
        if is_used {
            self.0.push(path());
        }
    }

    /// Returns what reads chunks.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader {
            sources: self,
            open: Vec::new(),
            buffer: Vec::new(),
        }
    }
}

/// What is told of a file to be read: false if it is enough.
pub(super) type TakeFile<'t> = dyn FnMut(PathBuf, Cut) -> bool + 't;
/// Names files.
pub(super) type List<'l> = dyn FnMut(&mut TakeFile<'_>) -> Result<(), Error> + 'l;

/// A file and the numbers of the wanted chunks in it, with their places.
type Hits = (PathBuf, Vec<(usize, u64)>);

/// How a file is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// As its size says.
    BySize,
    /// As a file of this size, which it is compared with.
    As(u64),
}

/// Returns which wanted chunks a file has. What was read is told to `go_on`, until that says no.
fn hits(
    path: &Path,
    cut: Cut,
    index: &Index,
    buffer: &mut [u8],
    go_on: &dyn Fn(u64) -> bool,
) -> io::Result<Vec<(usize, u64)>> {
    let mut file = platform::open_to_read(path, true)?;
    let metadata = file.metadata()?;
    let length = metadata.len();
    // Some files are said to be longer than any disk, and to read them would take as long.
    let is_hollow = length >= HOLLOW_FROM && platform::allocated(&metadata) < length / HOLLOW;
    if !metadata.is_file() || length == 0 || is_hollow {
        return Ok(Vec::new());
    }
    let grains = match (cut, Grain::of(metadata.len())) {
        (Cut::As(size), _) => vec![Grain::of(size)],
        (Cut::BySize, Grain::Fine | Grain::Coarse) if metadata.len() >= BOTH_FROM => {
            vec![Grain::Fine, Grain::Coarse]
        }
        (Cut::BySize, grain) => vec![grain],
    };
    let mut chunkers: Vec<_> = grains.into_iter().map(|it| (Chunker::new(it), 0)).collect();
    let mut hits = Vec::new();
    let mut note = |at: &mut u64, chunk: Chunk| {
        hits.extend(index.number(&chunk.hash).map(|number| (number, *at)));
        *at += u64::from(chunk.length);
    };
    loop {
        let read = match file.read(buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for (chunker, at) in &mut chunkers {
            chunker.push(&buffer[..read], |chunk| note(at, chunk));
        }
        if !go_on(read as u64) {
            return Ok(Vec::new());
        }
    }
    for (chunker, mut at) in chunkers {
        if let Some(chunk) = chunker.finish() {
            note(&mut at, chunk);
        }
    }
    Ok(hits)
}

/// How many sources are open at a time.
const OPEN: usize = 8;

/// Reads chunks where they were seen.
pub(super) struct Reader<'s> {
    sources: &'s Sources,
    /// Those used last, the last one at the end.
    open: Vec<(u32, File)>,
    buffer: Vec<u8>,
}

impl Reader<'_> {
    /// Returns the content of a chunk; `None` if it is not there any more: whoever wrote to its
    /// source, the hash tells.
    pub(super) fn read(&mut self, chunk: &Chunk, seen: Seen) -> Option<&[u8]> {
        let place = self
            .open
            .iter()
            .position(|(number, _)| *number == seen.source);
        let last = if let Some(place) = place {
            self.open.remove(place)
        } else {
            let path = self.sources.0.get(seen.source as usize)?;
            let file = platform::open_to_read(path, true).ok()?;
            if !file.metadata().ok()?.is_file() {
                return None;
            }
            if self.open.len() == OPEN {
                self.open.remove(0);
            }
            (seen.source, file)
        };
        self.open.push(last);
        let (_, file) = self.open.last()?;
        self.buffer.resize(chunk.length as usize, 0);
        platform::read_exact_at(file, &mut self.buffer, seen.offset).ok()?;
        (ChunkHash::of(&self.buffer) == chunk.hash).then_some(&self.buffer)
    }
}

/// Names all files below a folder to `take`, until it has enough.
pub(super) fn walk(folder: &Path, take: &mut TakeFile<'_>) {
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        // What cannot be read is no source.
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                open.push(entry.path());
            } else if !take(entry.path(), Cut::BySize) {
                return;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Every change is one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, unix))] // Elsewhere a hollow file may take its room.
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_no_further_than_is_wanted_and_a_hollow_one_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (full, hollow) = (folder.path().join("full"), folder.path().join("hollow"));
        let content = vec![7; 3 << 20];
        fs::write(&full, &content).unwrap();
        File::create(&hollow).unwrap().set_len(1 << 40).unwrap();
        let mut index = Index::default();
        let mut chunker = Chunker::new(Grain::Fine);
        let mut wanted = 0;
        chunker.push(&content, |chunk| {
            index.want(&chunk.hash);
            wanted += 1;
        });
        index.close();
        let mut buffer = vec![0; BUFFER];
        let mut look = |path: &Path, most: u64| {
            let read = std::sync::atomic::AtomicU64::new(0);
            let go_on = |bytes| {
                let before = read.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
                before + bytes < most
            };
            let found = hits(path, Cut::BySize, &index, &mut buffer, &go_on).unwrap();
            (found.len(), read.into_inner())
        };
        assert_eq!(look(&full, u64::MAX), (wanted, 3 << 20));
        assert_eq!(look(&full, 1), (0, 1 << 20));
        assert_eq!(look(&hollow, 1), (0, 0));
    }
}
