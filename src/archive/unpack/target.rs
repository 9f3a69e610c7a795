//! The folder that is unpacked into: opened once, locked, and from then on only reached through
//! its handle.

use std::{
    ffi::OsStr,
    fs::{File, TryLockError},
    hash::{BuildHasher, RandomState},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use cap_std::{ambient_authority, fs::Dir};

use crate::{
    archive::{Error, ignore::UNPACK_PREFIX},
    failpoint::failpoint,
    platform,
    progress::Progress,
};

/// The file that is locked where folders cannot be.
const LOCK_FILE: &str = ".kit-unpack-lock";
/// How long waiting for another process goes without a word.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often a held lock is tried again.
const INTERVAL: Duration = Duration::from_millis(25);

/// The locked folder that is unpacked into.
pub(super) struct Target {
    /// For messages only.
    path: PathBuf,
    dir: Dir,
    /// Held, where the file system can, until the run ends.
    lock: File,
}

impl Target {
    /// Makes the folder `path` if it is missing, opens it and waits until no other process
    /// unpacks into it. A link is followed only here, as the user named it.
    pub(super) fn open(path: &Path, progress: &dyn Progress) -> Result<Self, Error> {
        let fail = |source| Error::Target {
            path: path.to_owned(),
            source,
        };
        match std::fs::metadata(path) {
            Ok(metadata) if !metadata.is_dir() => {
                return Err(Error::NotAFolder {
                    path: path.to_owned(),
                });
            }
            Ok(_) => {}
            Err(_) => std::fs::create_dir_all(path).map_err(fail)?,
        }
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(fail)?;
        let lock = platform::lock_handle(&dir, Path::new(LOCK_FILE)).map_err(fail)?;
        wait_for(&lock, path, progress)?;
        Ok(Self {
            path: path.to_owned(),
            dir,
            lock,
        })
    }

    pub(super) const fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Makes all that was written durable. One call for all files: a sync of each makes unpacking
    /// many times slower.
    pub(super) fn sync(&self) -> io::Result<()> {
        failpoint!("unpack.sync", platform::sync_file_system(&self.lock))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns `error` as a failure to write below the target at `path`.
    pub(super) fn write_error(&self, path: impl AsRef<Path>, source: io::Error) -> Error {
        Error::Write {
            path: self.path.join(path),
            source,
        }
    }

    /// Returns the names of staging folders that a killed run left, which the lock proves dead.
    pub(super) fn leftovers(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in self.dir.entries()? {
            let entry = entry?;
            let name = entry.file_name();
            if is_staging_name(&name) && entry.file_type()?.is_dir() {
                found.push(PathBuf::from(name));
            }
        }
        Ok(found)
    }
}

/// Returns a name for a new staging folder.
pub(super) fn staging_name() -> PathBuf {
    // Unlike the process id, never that of a folder left by a process in another container.
    let random = RandomState::new().hash_one(0);
    PathBuf::from(format!("{UNPACK_PREFIX}{random:016x}"))
}

fn is_staging_name(name: &OsStr) -> bool {
    name.to_str()
        .and_then(|name| name.strip_prefix(UNPACK_PREFIX))
        .is_some_and(|random| {
            random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
}

fn wait_for(lock: &File, path: &Path, progress: &dyn Progress) -> Result<(), Error> {
    let start = Instant::now();
    let mut told = false;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                // Network file systems without locks: unpacking alone still works.
                progress.warn(&format!(
                    "cannot lock {}, so nothing else may unpack into it now: {error}",
                    path.display()
                ));
                return Ok(());
            }
        }
        if progress.cancelled() {
            return Err(Error::Interrupted);
        }
        if !told && start.elapsed() >= PATIENCE {
            told = true;
            progress.status(&format!(
                "Waiting for another process that unpacks into {}",
                path.display()
            ));
        }
        thread::sleep(INTERVAL);
    }
}
