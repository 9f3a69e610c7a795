//! Adding blobs and naming kits: blobs first, then what refers to them, the name last.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    digest::Digest,
    failpoint::failpoint,
    oci::Descriptor,
    platform::{self, FileStamp},
    progress::{Meter, Progress, Silent},
    reference::Reference,
};

use super::{
    Change, Error, Store, blob,
    identity::{self, Stamps},
    index,
    lock::{self, Session, StoreLock},
    naming, needs,
    partial::{self, Claim},
    prune,
};

/// How much is believed of a blob that seems to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A file that has not changed since it was last seen to be right counts as right.
    Recorded,
    /// The content is read and hashed in any case.
    Hash,
}

/// Whether a blob is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is there and right, as far as was asked.
    Here,
    /// It is not there.
    Absent,
    /// Something is there in its name that is not it: committing the blob replaces it.
    Damaged,
}

/// What committing a blob changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// The blob was not there before.
    Stored,
    /// It was there already; what was written has been dropped.
    AlreadyThere,
    /// It took the place of a damaged one.
    Healed,
}

/// What a writer knows of blobs.
struct Knowledge {
    stamps: Stamps,
    /// Stamps to be added to the file.
    unsaved: Vec<(Digest, FileStamp)>,
    /// Blobs that were seen to be damaged.
    damaged: HashSet<Digest>,
    /// Whether blob names may not be durable yet.
    is_unsynced: bool,
}

/// An operation that adds to the store. While it lives no blob is deleted.
///
/// Threads may share it. A process must not hold two, nor delete kits while it holds one.
pub struct Writer<'a> {
    store: &'a Store,
    progress: &'a dyn Progress,
    lock: StoreLock,
    knowledge: Mutex<Knowledge>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(store: &'a Store, progress: &'a dyn Progress) -> Result<Self, Error> {
        store.create_directories()?;
        let lock = lock::shared(store, progress)?;
        store.create_files(&lock.session, progress)?;
        prune::sweep_dead(store)?;
        Ok(Self {
            knowledge: Mutex::new(Knowledge {
                stamps: Stamps::read(&store.stamps_path())?,
                unsaved: Vec::new(),
                damaged: HashSet::new(),
                is_unsynced: false,
            }),
            store,
            progress,
            lock,
        })
    }

    /// Returns the store that is written to.
    pub const fn store(&self) -> &'a Store {
        self.store
    }

    pub(super) const fn progress(&self) -> &'a dyn Progress {
        self.progress
    }

    pub(super) const fn session(&self) -> &Session {
        &self.lock.session
    }

    fn knowledge(&self) -> MutexGuard<'_, Knowledge> {
        // Every change to it is one step: a panic elsewhere cannot leave it half done.
        self.knowledge
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether the blob `digest` of `size` bytes is in the store.
    pub fn has(&self, digest: &Digest, size: u64, trust: Trust) -> Result<Presence, Error> {
        let path = self.store.blob_path(digest);
        let metadata = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Presence::Absent),
            metadata => metadata.map_err(Error::io("look at", &path))?,
        };
        let stamp = FileStamp::of(&metadata);
        let is_candidate = metadata.is_file() && stamp.size == size;
        if is_candidate
            && trust == Trust::Recorded
            && self.knowledge().stamps.matches(digest, &stamp)
        {
            return Ok(Presence::Here);
        }
        let damage = if is_candidate {
            match blob::check(self.store, digest, size, &Silent, self.progress) {
                Err(Error::Missing { .. }) => return Ok(Presence::Absent),
                damage => damage?.is_some(),
            }
        } else {
            true
        };
        let mut knowledge = self.knowledge();
        if damage {
            knowledge.stamps.remove(digest);
            knowledge.damaged.insert(*digest);
            return Ok(Presence::Damaged);
        }
        if !knowledge.stamps.matches(digest, &stamp) {
            // The stamp from before it was read: if it changed meanwhile, it will not match.
            knowledge.stamps.insert(*digest, stamp);
            knowledge.unsaved.push((*digest, stamp));
            knowledge.is_unsynced = true;
        }
        Ok(Presence::Here)
    }

    /// Opens a new file to write a blob into.
    pub fn create(&self) -> Result<TempBlob<'_>, Error> {
        let path = self.lock.session.temporary();
        // For reading too: pack hashes again what it has written when a file changed under it.
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        let file = failpoint!("store.temp.create", options.open(&path));
        let file = file.map_err(Error::io("create", &path))?;
        Ok(TempBlob {
            writer: self,
            file: Some(file),
            path,
        })
    }

    /// Begins or resumes the download of the blob `digest` of `size` bytes, for which it waits while
    /// another process downloads it: as long as that one's file grows, and for the time of the
    /// lock timeout when it does not. `meter` advances by what earlier runs have left.
    ///
    /// Whoever holds one partial must not wait for another in the same thread: two processes might
    /// wait for each other.
    pub fn partial(
        &self,
        digest: &Digest,
        size: u64,
        meter: &dyn Meter,
    ) -> Result<Claim<'_>, Error> {
        partial::claim(self, digest, size, meter)
    }

    /// Does what [`Writer::partial`] does, or returns `None` if another process (or thread)
    /// downloads the blob now: there may be others to begin with.
    pub fn try_partial(
        &self,
        digest: &Digest,
        size: u64,
        meter: &dyn Meter,
    ) -> Result<Option<Claim<'_>>, Error> {
        partial::try_claim(self, digest, size, meter)
    }

    /// Stores `content` and returns its digest: for configs and manifests.
    pub fn put(&self, content: &[u8]) -> Result<Digest, Error> {
        let (digest, size) = (Digest::of(content), content.len() as u64);
        if self.has(&digest, size, Trust::Recorded)? == Presence::Here {
            return Ok(digest);
        }
        let mut temporary = self.create()?;
        temporary.append(content)?;
        temporary.commit(&digest, size)?;
        Ok(digest)
    }

    /// Learns which blobs other processes have seen to be right.
    pub(super) fn learn(&self) -> Result<(), Error> {
        let stamps = Stamps::read(&self.store.stamps_path())?;
        let mut knowledge = self.knowledge();
        knowledge.stamps = stamps;
        for (digest, stamp) in knowledge.unsaved.clone() {
            knowledge.stamps.insert(digest, stamp);
        }
        Ok(())
    }

    /// Makes all committed blobs durable, and remembers that they are right.
    pub fn flush(&self) -> Result<(), Error> {
        let mut knowledge = self.knowledge();
        if knowledge.is_unsynced {
            let directory = self.store.blobs_dir();
            failpoint!("store.blobs.sync", platform::sync_dir(&directory))
                .map_err(Error::io("sync", directory))?;
            knowledge.is_unsynced = false;
        }
        // Only now: a recorded blob counts as durable.
        let path = self.store.stamps_path();
        let unsaved = std::mem::take(&mut knowledge.unsaved);
        identity::append(&path, &unsaved)?;
        if knowledge.stamps.is_mostly_stale() {
            let temporary = self.lock.session.temporary();
            knowledge.stamps.rewrite(&path, &temporary, |_| true)?;
        }
        Ok(())
    }

    /// Calls the kit `descriptor` by all of `names` at once, after all its blobs are durable; with
    /// no names, or a digest alone, it is kept without a name. Returns what changed.
    ///
    /// Fails with [`Error::Missing`] or [`Error::Damaged`] if a blob of the kit is not there.
    pub fn name(&self, names: &[Reference], descriptor: &Descriptor) -> Result<Vec<Change>, Error> {
        self.name_all(&[(descriptor.clone(), names.to_vec())])
    }

    /// Does for many kits, in their order, what [`Writer::name`] does for one: the index is
    /// written once. If a blob of one kit is not there none is named.
    pub fn name_all(&self, kits: &[(Descriptor, Vec<Reference>)]) -> Result<Vec<Change>, Error> {
        for (kit, _) in kits {
            for needed in needs::without_toc(self.store, kit)? {
                blob::open(self.store, &needed.digest, needed.size)?;
            }
        }
        self.flush()?;
        index::update(self.store, &self.lock.session, self.progress, |entries| {
            for (kit, names) in kits {
                if names.is_empty() {
                    naming::set_name(entries, None, kit);
                }
                for name in names {
                    naming::set_name(entries, Some(&name.clone().or_latest()), kit);
                }
            }
        })
    }

    /// Calls the kit that `source` names by `names` too, whatever state it is in.
    pub(super) fn tag(
        &self,
        descriptor: &Descriptor,
        names: &[Reference],
    ) -> Result<Vec<Change>, Error> {
        index::update(self.store, &self.lock.session, self.progress, |entries| {
            for name in names {
                naming::set_name(entries, Some(&name.clone().or_latest()), descriptor);
            }
        })
    }

    /// Makes the file `path` the blob `digest` unless that is there; then the file stays.
    pub(super) fn keep(
        &self,
        file: &File,
        path: &Path,
        digest: &Digest,
        size: u64,
    ) -> Result<Committed, Error> {
        let was_damaged = self.knowledge().damaged.contains(digest);
        let presence = if was_damaged {
            Presence::Damaged
        } else {
            self.has(digest, size, Trust::Recorded)?
        };
        if presence == Presence::Here {
            return Ok(Committed::AlreadyThere);
        }
        failpoint!("store.blob.protect", platform::make_read_only(file))
            .map_err(Error::io("protect", path))?;
        failpoint!("store.blob.sync", file.sync_all()).map_err(Error::io("sync", path))?;
        self.place(file, path, digest)?;
        if presence == Presence::Damaged {
            self.knowledge().damaged.remove(digest);
            return Ok(Committed::Healed);
        }
        Ok(Committed::Stored)
    }

    /// Moves a finished file to where blobs are.
    fn place(&self, file: &File, path: &Path, digest: &Digest) -> Result<(), Error> {
        let target = self.store.blob_path(digest);
        if fs::symlink_metadata(&target).is_ok_and(|there| there.is_dir()) {
            // The one thing that a rename does not replace.
            self.store.set_aside(digest)?;
        }
        failpoint!("store.blob.rename", fs::rename(path, &target))
            .map_err(Error::io("store", &target))?;
        // After the rename, which changes the stamp.
        let (open, named) = (file.metadata(), fs::symlink_metadata(&target));
        let mut knowledge = self.knowledge();
        knowledge.is_unsynced = true;
        if let (Ok(open), Ok(named)) = (open, named) {
            let stamp = FileStamp::of(&open);
            // Someone else may have put the same blob there meanwhile, and records that one.
            if stamp == FileStamp::of(&named) {
                knowledge.stamps.insert(*digest, stamp);
                knowledge.unsaved.push((*digest, stamp));
            }
        }
        Ok(())
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        // What an operation that failed has stored need not be read again by the next.
        let _ = self.flush();
    }
}

/// A blob that is being written. It is deleted when it is dropped without a commit.
pub struct TempBlob<'w> {
    writer: &'w Writer<'w>,
    file: Option<File>,
    path: PathBuf,
}

impl TempBlob<'_> {
    /// Returns the open file.
    pub fn file(&self) -> &File {
        self.file
            .as_ref()
            .expect("the file is taken only by commit, which takes all")
    }

    /// Writes `content` behind what is written already.
    pub fn append(&mut self, content: &[u8]) -> Result<(), Error> {
        let written = self.write_all(content);
        written.map_err(Error::io("write", &self.path))
    }

    /// Makes the file the blob `digest` of `size` bytes. The digest is believed: whoever writes
    /// hashes what passes. The new blob is durable after [`Writer::flush`], which naming implies.
    pub fn commit(mut self, digest: &Digest, size: u64) -> Result<Committed, Error> {
        let file = self.file.take().expect("the file is taken only here");
        let actual = file
            .metadata()
            .map_err(Error::io("look at", &self.path))?
            .len();
        if actual != size {
            self.file = Some(file);
            return Err(Error::WrongSize {
                digest: *digest,
                expected: size,
                actual,
            });
        }
        let committed = self.writer.keep(&file, &self.path, digest, size)?;
        if committed != Committed::AlreadyThere {
            self.path = PathBuf::new(); // Nothing is there any more to delete.
        }
        Ok(committed)
    }
}

impl Write for TempBlob<'_> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        failpoint!(part "store.temp.write", &mut self.file(), content)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

impl Drop for TempBlob<'_> {
    fn drop(&mut self) {
        // Closed first: not every system deletes open files.
        drop(self.file.take());
        if self.path != PathBuf::new() {
            let _ = fs::remove_file(&self.path); // What stays is swept by the next writer.
        }
    }
}
