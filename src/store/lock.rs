//! Locks between processes, and who holds them.
//!
//! All locks are the operating system's, on files under `lock/` that are never deleted: a killed
//! process holds nothing. There are three:
//!
//! - `store.lock`, shared by all that add or read blobs, exclusive for deleting blobs;
//! - `gate.lock`, the turnstile in front of it: whoever wants `store.lock` waits inside the gate,
//!   so that newcomers queue behind an exclusive waiter in place of overtaking it for ever;
//! - `index.lock`, exclusive for the milliseconds of one change to the index.
//!
//! A process that holds `store.lock` keeps a locked file `lock/sessions/<pid>-<random>`: it tells
//! others whom they wait for, and which temporary files belong to a living process. A process must
//! not ask for `store.lock` while it holds it: it would wait for itself at the gate.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    hash::{BuildHasher, Hasher, RandomState},
    io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{failpoint::failpoint, platform::FileStamp, progress::Progress};

use super::{Error, Store, prune};

/// The first and the longest pause between two attempts at a lock.
const PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));

/// Waiting shorter than this is not worth a word.
const SAY_AFTER: Duration = Duration::from_millis(250);

/// A process that works with the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// What it does: `kit pack`.
    pub command: String,
    /// Since when, as an RFC 3339 time.
    pub started: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (pid {})", self.command, self.pid)
    }
}

/// The registered presence of one operation; dropping it ends it.
#[derive(Debug)]
pub(super) struct Session {
    path: PathBuf,
    name: String,
    ingest: PathBuf,
    next: AtomicU64,
    /// Keeps the lock that says that this process is alive.
    _file: File,
}

impl Session {
    /// Registers an operation that is called `command`.
    pub(super) fn register(store: &Store) -> Result<Self, Error> {
        let directory = store.sessions_dir();
        loop {
            let random = RandomState::new().build_hasher().finish();
            let name = format!("{}-{random:016x}", process::id());
            let path = directory.join(&name);
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            let opened = failpoint!("store.session.create", options.open(&path));
            let mut file = match opened {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                opened => opened.map_err(Error::io("create", &path))?,
            };
            // Written before it is locked: on Windows a locked file cannot be read by others.
            let holder = Holder {
                pid: process::id(),
                command: store.options.command.clone(),
                started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            };
            let text = serde_json::to_vec(&holder).expect("plain fields make JSON");
            failpoint!(write "store.session.write", &mut file, &text)
                .map_err(Error::io("write", &path))?;
            match file.try_lock() {
                // Whoever swept between creation and lock took the file for a dead one's.
                Ok(()) if !is_at(&file, &path) => continue,
                // Where there are no locks nobody sweeps either.
                Ok(()) | Err(TryLockError::Error(_)) => {}
                Err(TryLockError::WouldBlock) => {
                    let _ = fs::remove_file(&path); // The sweeper may be quicker.
                    continue;
                }
            }
            return Ok(Self {
                path,
                name,
                ingest: store.ingest_dir(),
                next: AtomicU64::new(0),
                _file: file,
            });
        }
    }

    /// Returns what the session is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns a path under `ingest/` that no one else uses.
    pub(super) fn temporary(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.ingest.join(format!("{}-{number}.tmp", self.name))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // What stays is swept by the next writer.
    }
}

/// Tells whether `path` still leads to the open `file`.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => {
            let (open, named) = (FileStamp::of(&open), FileStamp::of(&named));
            (open.device, open.inode) == (named.device, named.inode)
        }
        _ => false,
    }
}

/// Tells whether the process that registered the session file at `path` may still be alive.
pub(super) fn is_alive(path: &Path) -> bool {
    match File::open(path) {
        Ok(file) => !matches!(file.try_lock(), Ok(())),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Removes the session file at `path` if its process is dead.
pub(super) fn sweep(path: &Path) -> Result<bool, Error> {
    let Ok(file) = File::open(path) else {
        return Ok(false); // Gone, or not ours to judge.
    };
    if !matches!(file.try_lock(), Ok(())) {
        return Ok(false);
    }
    // The lock is held until the file is gone, so that its owner, if it has only just been made,
    // notices and registers anew.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("delete", path)(error))
        }
        _ => Ok(true),
    }
}

/// Returns the processes that work with the store, longest at it first.
pub(super) fn holders(store: &Store) -> Vec<Holder> {
    holders_but(store, None)
}

/// Returns the same without the one of `own`, who asks.
pub(super) fn holders_but(store: &Store, own: Option<&Session>) -> Vec<Holder> {
    let Ok(listing) = fs::read_dir(store.sessions_dir()) else {
        return Vec::new();
    };
    let mut holders: Vec<Holder> = listing
        .flatten()
        .map(|found| found.path())
        .filter(|path| own.is_none_or(|own| own.path != *path) && is_alive(path))
        .filter_map(|path| read_holder(&path))
        .collect();
    holders.sort_by(|a, b| (&a.started, a.pid).cmp(&(&b.started, b.pid)));
    holders
}

/// Returns who registered the session `name`, if that one may still be alive.
pub(super) fn holder(store: &Store, name: &str) -> Option<Holder> {
    let is_name = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    let path = store.sessions_dir().join(name);
    (name.bytes().all(is_name) && is_alive(&path))
        .then(|| read_holder(&path))
        .flatten()
}

fn read_holder(path: &Path) -> Option<Holder> {
    let from_content = fs::read(path)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    from_content.or_else(|| {
        let name = path.file_name()?.to_str()?;
        Some(Holder {
            pid: name.split_once('-')?.0.parse().ok()?,
            command: "kit".to_owned(),
            started: String::new(),
        })
    })
}

/// How a lock is held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Shared,
    Exclusive,
}

/// A lock on the store, and the session that tells others of it. Both end when it is dropped.
pub(super) struct StoreLock {
    pub(super) session: Session,
    _file: Option<File>,
}

/// A lock on the store for reading: while it lives no blob is deleted.
///
/// It protects nothing where the store cannot be written to or knows no locks.
#[derive(Debug)]
pub struct ReadLock {
    _session: Option<Session>,
    _file: Option<File>,
}

/// One wait: its patience, and what it already said.
pub(super) struct Wait<'a> {
    store: &'a Store,
    own: Option<&'a Session>,
    progress: &'a dyn Progress,
    began: Instant,
    pause: Duration,
    said: bool,
}

impl<'a> Wait<'a> {
    pub(super) fn new(
        store: &'a Store,
        own: Option<&'a Session>,
        progress: &'a dyn Progress,
    ) -> Self {
        Self {
            store,
            own,
            progress,
            began: Instant::now(),
            pause: PAUSE.0,
            said: false,
        }
    }

    /// Sleeps until it is worth trying again.
    fn again(&mut self) -> Result<(), Error> {
        let (store, own) = (self.store, self.own);
        self.again_behind(|| holders_but(store, own).into_iter().next())
    }

    /// Begins to be patient anew.
    pub(super) fn renew(&mut self) {
        self.began = Instant::now();
    }

    /// Sleeps until it is worth trying again to have what `holder` holds.
    pub(super) fn again_behind(
        &mut self,
        holder: impl FnOnce() -> Option<Holder>,
    ) -> Result<(), Error> {
        if self.progress.cancelled() {
            return Err(Error::Interrupted);
        }
        let waited = self.began.elapsed();
        let timeout = self.store.options.lock_timeout;
        if waited >= timeout {
            return Err(Error::Busy {
                holder: holder(),
                waited,
            });
        }
        if waited >= SAY_AFTER && !self.said {
            self.said = true;
            match holder() {
                Some(holder) => self.progress.status(&format!("waiting for {holder} …")),
                None => self.progress.status("waiting for another process …"),
            }
        }
        thread::sleep(self.pause.min(timeout.saturating_sub(waited)));
        self.pause = (self.pause * 2).min(PAUSE.1);
        Ok(())
    }

    /// Waits for a lock on `file`.
    fn take(&mut self, file: &File, path: &Path, kind: Kind) -> Result<(), Error> {
        while !try_take(file, path, kind)? {
            self.again()?;
        }
        Ok(())
    }
}

/// Tries to lock `file`; `false` if someone else holds it.
pub(super) fn try_take(file: &File, path: &Path, kind: Kind) -> Result<bool, Error> {
    loop {
        let taken = failpoint!("store.lock.take")
            .map_err(TryLockError::Error)
            .and_then(|()| match kind {
                Kind::Shared => file.try_lock_shared(),
                Kind::Exclusive => file.try_lock(),
            });
        return match taken {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {
                continue;
            }
            Err(TryLockError::Error(source)) => Err(Error::Unlockable {
                path: path.to_owned(),
                source,
            }),
        };
    }
}

/// Opens a lock file, and makes it if it is not there. Who may only read can still lock it.
fn open(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    failpoint!("store.lock.open", options.open(path))
        .or_else(|error| match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => File::open(path),
            _ => Err(error),
        })
        .map_err(Error::io("open", path))
}

/// Waits for `store.lock`.
fn take_store(store: &Store, progress: &dyn Progress, kind: Kind) -> Result<File, Error> {
    let (gate_path, path) = (store.lock_path("gate"), store.lock_path("store"));
    let (gate, file) = (open(&gate_path)?, open(&path)?);
    let mut wait = Wait::new(store, None, progress);
    wait.take(&gate, &gate_path, Kind::Exclusive)?;
    wait.take(&file, &path, kind)?;
    Ok(file)
}

/// Waits until blobs may be added. Goes on, and says so, where there are no locks.
pub(super) fn shared(store: &Store, progress: &dyn Progress) -> Result<StoreLock, Error> {
    let file = match take_store(store, progress, Kind::Shared) {
        Ok(file) => Some(file),
        Err(Error::Unlockable { path, .. }) => {
            progress.warn(&format!(
                "the file system of {} does not support locks: let no other process change the \
                 store meanwhile",
                path.display()
            ));
            None
        }
        Err(error) => return Err(error),
    };
    Ok(StoreLock {
        session: Session::register(store)?,
        _file: file,
    })
}

/// Waits until blobs may be read without being deleted meanwhile. Goes on without a lock where
/// none can be had.
pub(super) fn reading(store: &Store, progress: &dyn Progress) -> Result<ReadLock, Error> {
    let file = match take_store(store, progress, Kind::Shared) {
        Ok(file) => Some(file),
        // A store that cannot be written to, or knows no locks: nobody deletes from it either.
        Err(Error::Io { .. } | Error::Unlockable { .. }) => None,
        Err(error) => return Err(error),
    };
    // Only tells others whom they wait for.
    let session = file.is_some().then(|| Session::register(store).ok());
    if file.is_some() {
        // Readers that were killed left theirs, too. What cannot be swept now is swept later.
        let _ = prune::sweep_sessions(store);
    }
    Ok(ReadLock {
        _session: session.flatten(),
        _file: file,
    })
}

/// Waits until no one else works with blobs.
pub(super) fn exclusive(store: &Store, progress: &dyn Progress) -> Result<StoreLock, Error> {
    let file = take_store(store, progress, Kind::Exclusive)?;
    Ok(StoreLock {
        session: Session::register(store)?,
        _file: Some(file),
    })
}

/// Takes the exclusive lock if no one works with blobs now; `None` if someone does.
pub(super) fn try_exclusive(store: &Store) -> Result<Option<StoreLock>, Error> {
    let (gate_path, path) = (store.lock_path("gate"), store.lock_path("store"));
    let (gate, file) = (open(&gate_path)?, open(&path)?);
    if !try_take(&gate, &gate_path, Kind::Exclusive)? || !try_take(&file, &path, Kind::Exclusive)? {
        return Ok(None);
    }
    Ok(Some(StoreLock {
        session: Session::register(store)?,
        _file: Some(file),
    }))
}

/// Waits for the index. The lock ends when the file is dropped; `None` where there are no locks.
pub(super) fn index(
    store: &Store,
    session: &Session,
    progress: &dyn Progress,
) -> Result<Option<File>, Error> {
    let path = store.lock_path("index");
    let file = open(&path)?;
    match Wait::new(store, Some(session), progress).take(&file, &path, Kind::Exclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Error::Unlockable { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
