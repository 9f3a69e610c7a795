//! The local store: an OCI image layout that loses nothing.
//!
//! ```text
//! <home>/store/
//!   oci-layout             {"imageLayoutVersion":"1.0.0"}
//!   index.json             every kit with its name (`org.opencontainers.image.ref.name`)
//!   blobs/sha256/<hex>     layers, configs, manifests; 0444
//!   names.log              one line for each change of a name
//!   blob-stamps            which blob files were seen to be right, and how they looked then
//!   kit-store.json         {"version":1}
//!   ingest/                <session>-<n>.tmp: files being written; <hex>: downloads to resume,
//!                          <hex>.pieces: what there is of them
//!   lock/                  store.lock, gate.lock, index.lock, sessions/<pid>-<random>
//!   quarantine/<hex>       damaged blobs that were set aside
//! ```
//!
//! Invariants:
//! 1. a file named by a digest is complete and has that digest: blobs are written in `ingest/`,
//!    synced and renamed;
//! 2. the index names only what is all there (as far as this program wrote it): blobs are durable
//!    before the name is, and a name is gone before its blobs are.
//!
//! So a crash leaves garbage, which the next writer or [`Store::prune`] sweeps, but never a name
//! that leads nowhere. What a disk or another program does to blobs afterwards is noticed when
//! they are read: everything that is handed out is verified.
//!
//! The rooms: `lock` (who works with the store), `index`, `naming` and `names_log` (names), `blob` (reading),
//! `writer` (adding), `partial` (downloads), `identity` (what need not be read again), `needs` (what a
//! kit consists of), `remove`, `prune`, `verify`, `tocs` (what `verify` looks for in tables of contents), `usage`, `survey` (a look from outside).

mod blob;
mod error;
mod identity;
mod index;
mod layers;
mod lock;
mod names_log;
mod naming;
mod needs;
mod partial;
mod prune;
mod remove;
mod survey;
#[cfg(test)]
mod tests;
mod tocs;
mod usage;
mod verify;
mod writer;

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::{
    digest::Digest,
    failpoint::failpoint,
    limits::Limits,
    oci::{Descriptor, Manifest, layout},
    platform,
    progress::Progress,
    reference::Reference,
    suggest,
};

pub use blob::VerifiedBlob;
pub use error::{Damage, Error};
pub use index::Entry;
pub use layers::WrongLayer;
pub use lock::{Holder, ReadLock};
pub use names_log::{Change, History};
pub use partial::{Claim, LeftPartial, Partial};
pub use prune::{PrunePlan, PruneReport};
pub use remove::{Blob, DroppedKit, Left, RemovalPlan, RemovalReport, Selection};
pub use survey::Survey;
pub use tocs::WrongToc;
pub use usage::{KitUsage, Leftover, Problem, Usage};
pub use verify::{DamagedBlob, MissingBlob, Scope, VerifyReport};
pub use writer::{Committed, Presence, TempBlob, Trust, Writer};

/// The newest layout that is understood here.
pub const VERSION: u64 = 1;

/// How many names are suggested in place of one that does not exist.
const SUGGESTIONS: usize = 5;

/// How the store is used.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long to wait for other processes.
    pub lock_timeout: Duration,
    /// What the user ran, as others see it who wait, and as the log of names keeps it: `kit pack`.
    pub command: String,
    /// What reading from the store may cost.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_secs(600),
            command: "kit".to_owned(),
            limits: Limits::default(),
        }
    }
}

/// A store on disk, which may not exist yet: then it is empty, and the first writer makes it.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    options: Options,
}

/// A manifest as it stands in the store.
#[derive(Clone, Debug)]
pub struct StoredManifest {
    /// What it says.
    pub manifest: Manifest,
    /// Its exact bytes.
    pub bytes: Vec<u8>,
}

impl Store {
    /// Returns the store at `root`. Fails with [`Error::Newer`] if it is not for this version, and
    /// with [`Error::BadMarker`] if that cannot be told.
    pub fn open(root: &Path, options: Options) -> Result<Self, Error> {
        let store = Self {
            root: root.to_owned(),
            options,
        };
        match store.version()? {
            Some(found) if found > VERSION => Err(Error::Newer {
                path: store.root,
                found,
                supported: VERSION,
            }),
            _ => Ok(store),
        }
    }

    /// Returns what reading from the store may cost.
    pub const fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// Returns the directory of the store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns all names of all kits in the order of the names, those without a name last. Nothing
    /// is said about whether the kits can be read.
    pub fn entries(&self, progress: &dyn Progress) -> Result<Vec<Entry>, Error> {
        let names = index::read(self)?;
        names.warn(progress);
        Ok(names.entries)
    }

    /// Returns the entry that `reference` means: a tag (`latest` if it has none), or any entry of a
    /// digest, of that repository if there is one.
    pub fn resolve(&self, reference: &Reference, progress: &dyn Progress) -> Result<Entry, Error> {
        find(reference, &self.entries(progress)?).cloned()
    }

    /// Returns every change of a name, oldest first, and which lines of the log cannot be read.
    pub fn history(&self) -> Result<History, Error> {
        Ok(names_log::read(&self.log_path())?.unwrap_or_default())
    }

    /// Returns the manifest `descriptor`, verified.
    pub fn manifest(&self, descriptor: &Descriptor) -> Result<StoredManifest, Error> {
        let (manifest, bytes) = needs::manifest(self, descriptor)?;
        Ok(StoredManifest { manifest, bytes })
    }

    /// Returns the digests of those of `blobs` whose file is as it was when its content was last
    /// seen to be right: they are there, and nobody has written to them since.
    pub fn unchanged<'a>(
        &self,
        blobs: impl IntoIterator<Item = &'a Descriptor>,
    ) -> Result<HashSet<Digest>, Error> {
        let stamps = identity::Stamps::read(&self.stamps_path())?;
        let blobs = blobs.into_iter().filter(|blob| {
            fs::symlink_metadata(self.blob_path(&blob.digest)).is_ok_and(|metadata| {
                let stamp = platform::FileStamp::of(&metadata);
                metadata.is_file()
                    && stamp.size == blob.size
                    && stamps.matches(&blob.digest, &stamp)
            })
        });
        Ok(blobs.map(|blob| blob.digest).collect())
    }

    /// Opens a blob. Only kind and size of the file are checked: for those who hash by themselves.
    pub fn open_blob(&self, digest: &Digest, size: u64) -> Result<File, Error> {
        blob::open(self, digest, size)
    }

    /// Returns a whole blob of at most `limit` bytes, verified.
    pub fn read_verified(&self, digest: &Digest, size: u64, limit: u64) -> Result<Vec<u8>, Error> {
        blob::read_verified(self, digest, size, limit)
    }

    /// Opens a blob for reading that fails at the end if the blob was not right.
    pub fn verified_blob(&self, digest: &Digest, size: u64) -> Result<VerifiedBlob, Error> {
        VerifiedBlob::open(self, digest, size)
    }

    /// Returns how many bytes a download of the blob has left; 0 if there was none. Whether they
    /// are right is found out when it goes on.
    pub fn partial_size(&self, digest: &Digest) -> u64 {
        let metadata = fs::symlink_metadata(self.partial_path(digest));
        metadata.map_or(0, |metadata| platform::allocated(&metadata))
    }

    /// Keeps blobs from being deleted while the lock lives. Goes on without where that cannot be.
    pub fn reader(&self, progress: &dyn Progress) -> Result<ReadLock, Error> {
        lock::reading(self, progress)
    }

    /// Begins to add to the store, which is made if there is none.
    pub fn writer<'a>(&'a self, progress: &'a dyn Progress) -> Result<Writer<'a>, Error> {
        Writer::new(self, progress)
    }

    /// Calls the kit that `source` names by `names` too, and returns what changed.
    pub fn tag(
        &self,
        source: &Reference,
        names: &[Reference],
        progress: &dyn Progress,
    ) -> Result<Vec<Change>, Error> {
        self.resolve(source, progress)?; // Before a store is made for nothing.
        let writer = self.writer(progress)?;
        let entry = self.resolve(source, progress)?; // Under the lock: it may have moved.
        writer.tag(&entry.descriptor, names)
    }

    /// Returns the version in the marker; `None` if there is no marker.
    fn version(&self) -> Result<Option<u64>, Error> {
        #[derive(Deserialize)]
        struct Marker {
            version: u64,
        }
        match fs::read(self.marker_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", self.marker_path())(error)),
            // Not none: a newer store must not be taken for an old one because it is damaged.
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(Marker { version }) => Ok(Some(version)),
                Err(_) => Err(Error::BadMarker {
                    path: self.marker_path(),
                }),
            },
        }
    }

    /// Makes the directories that are missing, durably.
    fn create_directories(&self) -> Result<(), Error> {
        for path in [
            self.blobs_dir(),
            self.ingest_dir(),
            self.sessions_dir(),
            self.quarantine_dir(),
        ] {
            create_directory(&path).map_err(Error::io("create", path))?;
        }
        Ok(())
    }

    /// Makes the files that are missing. The marker comes last: it says that all was done.
    fn create_files(&self, session: &lock::Session, progress: &dyn Progress) -> Result<(), Error> {
        let marker = self.root.join(layout::LAYOUT);
        if self.version()?.is_some() && marker.exists() {
            return Ok(());
        }
        index::create(self, session, progress)?;
        for (path, content) in [
            (marker, layout::LAYOUT_CONTENT.to_owned()),
            (self.marker_path(), format!("{{\"version\":{VERSION}}}\n")),
        ] {
            let temporary = session.temporary();
            File::create_new(&temporary)
                .and_then(|mut file| {
                    failpoint!(write "store.marker.write", &mut file, content.as_bytes())?;
                    failpoint!("store.marker.sync", file.sync_all())?;
                    failpoint!("store.marker.rename", fs::rename(&temporary, &path))
                })
                .map_err(Error::io("write", path))?;
        }
        failpoint!("store.marker.dirsync", platform::sync_dir(&self.root))
            .map_err(Error::io("sync", &self.root))
    }

    /// Moves a blob that is not what its name says to where it can be looked at.
    fn set_aside(&self, digest: &Digest) -> Result<(), Error> {
        let (path, directory) = (self.blob_path(digest), self.quarantine_dir());
        let aside = directory.join(digest.hex());
        if fs::symlink_metadata(&aside).is_ok_and(|there| there.is_dir()) {
            fs::remove_dir_all(&aside).map_err(Error::io("delete", &aside))?;
        }
        match fs::symlink_metadata(&path) {
            // A directory replaces no file.
            Ok(there) if there.is_dir() && aside.exists() => {
                fs::remove_file(&aside).map_err(Error::io("delete", &aside))?;
            }
            _ => {}
        }
        failpoint!("store.aside.rename", fs::rename(&path, &aside))
            .map_err(Error::io("set aside", path))?;
        for directory in [directory, self.blobs_dir()] {
            platform::sync_dir(&directory).map_err(Error::io("sync", directory))?;
        }
        Ok(())
    }

    /// Returns where the blob `digest` lies, if it is there. Nothing may be written there.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs_dir().join(digest.hex())
    }

    fn blobs_dir(&self) -> PathBuf {
        self.root.join(layout::BLOBS)
    }

    fn index_path(&self) -> PathBuf {
        self.root.join(layout::INDEX)
    }

    fn log_path(&self) -> PathBuf {
        self.root.join("names.log")
    }

    fn stamps_path(&self) -> PathBuf {
        self.root.join("blob-stamps")
    }

    fn marker_path(&self) -> PathBuf {
        self.root.join("kit-store.json")
    }

    fn ingest_dir(&self) -> PathBuf {
        self.root.join("ingest")
    }

    fn quarantine_dir(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    fn sessions_dir(&self) -> PathBuf {
        self.root.join("lock").join("sessions")
    }

    fn lock_path(&self, name: &str) -> PathBuf {
        self.root.join("lock").join(format!("{name}.lock"))
    }
}

/// Makes `path` and its parents, and makes each name durable that was not there before.
fn create_directory(path: &Path) -> io::Result<()> {
    match create_one_directory(path) {
        // `/proc` says so of every folder, although there is nothing missing above it: hence once
        // more, and no oftener.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match path.parent() {
                // Or another process made the parent since.
                Some(parent) if parent.is_dir() => {}
                Some(parent) => create_directory(parent)?,
                None => return Err(error),
            }
            create_one_directory(path)
        }
        made => made,
    }
}

/// Makes `path` in a directory that is there. It may be there, too.
fn create_one_directory(path: &Path) -> io::Result<()> {
    match failpoint!("store.folder.create", fs::create_dir(path)) {
        Ok(()) => {
            let parent = path.parent().filter(|parent| *parent != Path::new(""));
            let parent = parent.unwrap_or(Path::new("."));
            failpoint!("store.folder.sync", platform::sync_dir(parent))
        }
        // Another process may be as quick as we are.
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns the entry that `reference` means.
fn find<'e>(reference: &Reference, entries: &'e [Entry]) -> Result<&'e Entry, Error> {
    let wanted = reference.clone().or_latest();
    let found = entries.iter().find(|entry| entry.is_meant_by(&wanted));
    found.ok_or_else(|| not_found(&wanted, entries))
}

/// Says that nothing is called `reference`, and what may have been meant.
fn not_found(reference: &Reference, entries: &[Entry]) -> Error {
    let names: Vec<String> = entries
        .iter()
        .filter(|entry| entry.tag().is_some())
        .filter_map(|entry| entry.name.as_ref().map(ToString::to_string))
        .collect();
    let wanted = reference.to_string();
    let closest = suggest::closest(&wanted, names.iter().map(String::as_str));
    let mut suggestions: Vec<String> = closest.map(str::to_owned).into_iter().collect();
    // Then whatever else there is in the same repository.
    for entry in entries.iter().filter(|entry| entry.repository().is_some()) {
        let name = entry.log_name();
        if entry.repository() == reference.repository()
            && suggestions.len() < SUGGESTIONS
            && !suggestions.contains(&name)
        {
            suggestions.push(name);
        }
    }
    Error::NotFound {
        reference: reference.clone(),
        suggestions,
    }
}
