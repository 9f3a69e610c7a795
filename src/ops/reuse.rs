//! What need not be read again: layers whose recipe is known, files whose digest is known.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::Error;
use crate::{
    archive::{
        self,
        pack::{Compression, Packed, Shape, check_empty},
        tree::{Entry, Kind, Tree},
    },
    cache::{Cache, Content, Files, Item, Known, Recipe, RecipeId, Recipes},
    digest::{Digest, Hasher},
    platform::{self, FileStamp},
    progress::{Meter, Progress},
    store::Trust,
};

/// How much of a file is in memory at a time, in bytes.
const BLOCK: usize = 1 << 20;

/// If no more than one in so many bytes of a layer is in files whose digests are unknown, they are
/// read ahead of packing: most likely they were only touched, or are too young to be believed, and
/// the layer is known.
const FEW: u64 = 16;

/// Files are small if they have no more bytes than this on average: opening them takes as long as
/// hashing them.
const SMALL: u64 = 256 << 10;

/// So many threads have one to spare for hashing large files.
const MANY_THREADS: usize = 4;

/// How the entries of a layer become its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Writing {
    pub(super) shape: Shape,
    pub(super) compression: Compression,
}

impl Writing {
    /// Without compression.
    pub(super) const fn plain(shape: Shape) -> Self {
        Self {
            shape,
            compression: Compression::None,
        }
    }

    /// Returns words that change whenever the same entries become other bytes.
    fn words(self) -> String {
        let shape = match self.shape {
            Shape::Tar => "tar",
            Shape::Raw => "raw",
        };
        // Archives stay the same from version to version, compressors may not.
        let version = env!("CARGO_PKG_VERSION");
        match self.compression {
            Compression::None => shape.to_owned(),
            compression => format!("{shape} {compression:?} {version}"),
        }
    }
}

/// A layer of a tree, and how it is written.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'t> {
    pub(super) tree: &'t Tree,
    pub(super) index: usize,
    pub(super) writing: Writing,
}

impl<'t> Wanted<'t> {
    pub(super) fn files(self) -> impl Iterator<Item = Entry<'t>> {
        let entries = self.tree.entries(self.index);
        entries.filter(|entry| entry.kind() == Kind::File)
    }

    /// Tells whether the digests of its files can tell more than the stamps. A layer that is one
    /// file is known by that file's stamp, and changes when it does.
    fn is_told_by_files(self) -> bool {
        self.writing.shape == Shape::Raw || self.files().nth(1).is_some()
    }

    /// Tells whether each file is to be hashed besides the layer, on a machine that lets `threads`
    /// work at a time. Measured on two cores, that makes packing large files a third slower: they
    /// are worth a core of their own only where there are others.
    pub(super) fn needs_file_digests(self, threads: usize) -> bool {
        let count = self.files().count() as u64;
        let is_small = self.tree.bytes(self.index) <= count.saturating_mul(SMALL);
        let is_free = self.writing.shape == Shape::Raw;
        is_free || self.is_told_by_files() && (is_small || threads >= MANY_THREADS)
    }
}

/// The cache, as it is used for one directory. Threads may share it.
pub(super) struct Reuse<'c> {
    cache: &'c Cache,
    root: PathBuf,
    tables: Mutex<Tables<'c>>,
}

struct Tables<'c> {
    recipes: Recipes<'c>,
    /// Opened when it is first needed: an unchanged tree never does.
    files: Option<Files<'c>>,
}

impl<'c> Reuse<'c> {
    pub(super) fn new(cache: &'c Cache, root: &Path) -> Self {
        Self {
            cache,
            root: root.to_owned(),
            tables: Mutex::new(Tables {
                recipes: cache.recipes(),
                files: None,
            }),
        }
    }

    /// Returns how much is believed of blobs: who does not believe the cache wants them read, too.
    pub(super) const fn trust(&self) -> Trust {
        if self.cache.is_believed() {
            Trust::Recorded
        } else {
            Trust::Hash
        }
    }

    /// Returns what packing `wanted` would give, if that is known without reading more than a
    /// small part of it.
    pub(super) fn known(
        &self,
        wanted: Wanted<'_>,
        threads: usize,
        progress: &dyn Progress,
    ) -> Result<Option<Known>, Error> {
        let by_stamp = self.by_stamp(wanted);
        if let Some(known) = self.tables().recipes.find(by_stamp) {
            return Ok(Some(known));
        }
        if !self.cache.is_believed() || !wanted.is_told_by_files() {
            return Ok(None);
        }
        let mut digests = self.digests(wanted);
        let unknown = wanted.files().zip(&digests);
        let unknown = unknown.filter(|(_, digest)| digest.is_none());
        let unknown: u64 = unknown.map(|(file, _)| file.size()).sum();
        if unknown.saturating_mul(FEW) > wanted.tree.bytes(wanted.index) {
            return Ok(None);
        }
        self.complete(wanted, &mut digests, &|_| true, threads, None, progress)?;
        let digests: Option<Vec<Digest>> = digests.into_iter().collect();
        let known = digests.and_then(|digests| {
            let recipe = self.by_content(wanted, &digests);
            self.tables().recipes.find(recipe)
        });
        if let Some(known) = known {
            self.tables().recipes.learn(by_stamp, &known);
        }
        Ok(known)
    }

    /// Remembers what came of packing `wanted`.
    pub(super) fn learn(&self, wanted: Wanted<'_>, packed: &Packed) {
        let known = Known {
            digest: packed.digest,
            size: packed.size,
            diff_id: packed.diff_id,
            plain_size: packed.plain_size,
        };
        // What it decompresses to is known as well: `status` asks for nothing else.
        let plain = Known {
            digest: packed.diff_id,
            size: packed.plain_size,
            ..known
        };
        let mut ways = vec![(wanted, known)];
        if wanted.writing.compression != Compression::None {
            let writing = Writing::plain(wanted.writing.shape);
            ways.push((Wanted { writing, ..wanted }, plain));
        }
        let has_files = packed.files.len() == wanted.files().count();
        for (wanted, known) in ways {
            let by_stamp = self.by_stamp(wanted);
            let by_content = has_files.then(|| self.by_content(wanted, &packed.files));
            let recipes = &mut self.tables().recipes;
            for recipe in [Some(by_stamp), by_content].into_iter().flatten() {
                recipes.learn(recipe, &known);
            }
        }
        if has_files {
            let mut tables = self.tables();
            let files = self.files(&mut tables);
            files.expect(packed.files.len());
            for (file, digest) in wanted.files().zip(&packed.files) {
                files.learn(file.stamp(), digest);
            }
        }
        if has_files && wanted.writing.shape == Shape::Tar {
            let count = wanted.tree.len(wanted.index);
            self.cache.learn_listing(&packed.digest, count, &|found| {
                each_item(wanted, &packed.files, found);
            });
        }
    }

    /// Returns the digests of the files of `wanted` that are known, in the order of the tree.
    pub(super) fn digests(&self, wanted: Wanted<'_>) -> Vec<Option<Digest>> {
        let mut tables = self.tables();
        let files = self.files(&mut tables);
        wanted
            .files()
            .map(|file| files.find(file.stamp()))
            .collect()
    }

    /// Hashes the files of `wanted` whose digests are missing and of whose positions `is_needed`
    /// says so, `threads` at a time, and remembers them.
    pub(super) fn complete(
        &self,
        wanted: Wanted<'_>,
        digests: &mut [Option<Digest>],
        is_needed: &dyn Fn(usize) -> bool,
        threads: usize,
        meter: Option<&dyn Meter>,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let missing: Vec<(usize, Entry<'_>)> = wanted
            .files()
            .enumerate()
            .filter(|(position, _)| digests[*position].is_none() && is_needed(*position))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let next = AtomicUsize::new(0);
        let work = || {
            let mut found = Vec::new();
            let mut block = vec![0; BLOCK];
            while let Some((position, file)) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                let digest = hash(*file, wanted.tree, &mut block, progress)?;
                if let Some(meter) = meter {
                    meter.advance(file.size());
                }
                found.push((*position, digest));
            }
            Ok(found)
        };
        let found: Result<Vec<_>, Error> = thread::scope(|scope| {
            let others: Vec<_> = (1..threads.min(missing.len()))
                // Where a process may have few threads, fewer do the work.
                .filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
                .collect();
            let own = work();
            if own.is_err() {
                next.store(missing.len(), Ordering::Relaxed);
            }
            let others = others.into_iter().map(|other| {
                other
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            std::iter::once(own).chain(others).collect()
        });
        for (position, digest) in found?.into_iter().flatten() {
            digests[position] = Some(digest);
        }
        let mut tables = self.tables();
        let files = self.files(&mut tables);
        for (position, file) in missing {
            if let Some(digest) = &digests[position] {
                files.learn(file.stamp(), digest);
            }
        }
        Ok(())
    }

    /// Writes down what was learnt.
    pub(super) fn save(self) {
        let tables = self.tables.into_inner();
        let Tables { recipes, files } = tables.unwrap_or_else(PoisonError::into_inner);
        recipes.save();
        self.cache.tidy();
        if let Some(files) = files {
            files.save();
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables<'c>> {
        // Every change to them is one step: a panic elsewhere cannot leave it half done.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files<'t>(&self, tables: &'t mut Tables<'c>) -> &'t mut Files<'c> {
        tables
            .files
            .get_or_insert_with(|| self.cache.files(&self.root))
    }

    fn by_stamp(&self, wanted: Wanted<'_>) -> RecipeId {
        let mut recipe = Recipe::new(self.cache, &wanted.writing.words());
        let mut path = Vec::new();
        for entry in wanted.tree.entries(wanted.index) {
            entry.path_into(&mut path);
            match entry.kind() {
                Kind::Folder => recipe.folder(&path, entry.mode()),
                Kind::File => {
                    let content = Content::Stamp(entry.stamp());
                    recipe.file(&path, entry.mode(), entry.size(), content);
                }
            }
        }
        recipe.finish()
    }

    fn by_content(&self, wanted: Wanted<'_>, digests: &[Digest]) -> RecipeId {
        let mut recipe = Recipe::new(self.cache, &wanted.writing.words());
        each_item(wanted, digests, &mut |item| match &item.digest {
            None => recipe.folder(item.path, item.mode.into()),
            Some(digest) => {
                let content = Content::Digest(digest);
                recipe.file(item.path, item.mode.into(), item.size, content);
            }
        });
        recipe.finish()
    }
}

impl From<Known> for Packed {
    fn from(known: Known) -> Self {
        Self {
            digest: known.digest,
            size: known.size,
            diff_id: known.diff_id,
            plain_size: known.plain_size,
            files: Vec::new(),
            table: None,
        }
    }
}

/// Calls `found` with all that is in `wanted`, with the digests of its files.
fn each_item(wanted: Wanted<'_>, digests: &[Digest], found: &mut dyn FnMut(Item<'_>)) {
    let mut digests = digests.iter().copied();
    let mut path = Vec::new();
    for entry in wanted.tree.entries(wanted.index) {
        entry.path_into(&mut path);
        found(Item {
            path: &path,
            mode: u16::try_from(entry.mode()).expect("12 bits fit 16"),
            size: entry.size(),
            digest: match entry.kind() {
                Kind::File => digests.next(),
                Kind::Folder => None,
            },
        });
    }
}

/// Hashes a file that the walk saw.
fn hash(
    file: Entry<'_>,
    tree: &Tree,
    block: &mut [u8],
    progress: &dyn Progress,
) -> Result<Digest, Error> {
    let context = tree.context();
    let relative = file.path();
    let path = platform::os_name(&relative).map(|relative| context.join(&*relative));
    let path = path.ok_or_else(|| archive::Error::NameNotUnicode {
        path: context.to_owned(),
    })?;
    let unreadable = |source| archive::Error::read_file(&path, source);
    let open = platform::open_to_read(&path, file.via_link()).map_err(unreadable)?;
    let changed = || archive::Error::ChangedWhileReading { path: path.clone() };
    let check = || {
        let metadata = open.metadata().map_err(unreadable)?;
        if metadata.is_file() && FileStamp::of(&metadata) == *file.stamp() {
            return Ok(());
        }
        Err(changed())
    };
    check()?;
    if file.size() == 0 {
        check_empty(&open, &path)?;
    }
    let mut hasher = Hasher::new();
    let mut offset = 0;
    while offset < file.size() {
        if progress.cancelled() {
            return Err(archive::Error::Interrupted.into());
        }
        let left = usize::try_from(file.size() - offset).unwrap_or(usize::MAX);
        let piece = block.len().min(left);
        let piece = &mut block[..piece];
        platform::read_exact_at(&open, piece, offset).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => changed(),
            _ => unreadable(source),
        })?;
        hasher.update(piece);
        offset += piece.len() as u64;
    }
    check()?;
    Ok(hasher.finish())
}
