//! Small files that are replaced as a whole, by processes that take turns.

use crate::failpoint::failpoint;
use std::{
    fs::{self, File, TryLockError},
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// How long a turn is waited for. Each takes milliseconds, but a process may have been stopped.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is looked whether it is this process's turn.
const PAUSE: Duration = Duration::from_millis(2);

/// A temporary file older than this belongs to a process that was killed.
const ABANDONED: Duration = Duration::from_secs(3600);

/// What is written at a time.
const BUFFER: usize = 256 * 1024;

/// What the names of temporary files end with.
const SUFFIX: &str = ".tmp";

/// Takes the turn that the file `path`, which is made, stands for. The turn ends when what is
/// returned is dropped. [`io::ErrorKind::WouldBlock`] if another process does not give it up.
pub fn turn(path: &Path) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if begin.elapsed() > PATIENCE => {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
        }
    }
}

/// Puts a file with what `write` writes in the place of `path`: at every moment there is either
/// the old one or the new one. With `durable` that includes power cuts.
pub fn replace(
    path: &Path,
    durable: bool,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let random = RandomState::new().build_hasher().finish();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{random:016x}{SUFFIX}"));
    let temporary = path.with_file_name(name);
    let written = fill(&temporary, durable, write)
        .and_then(|()| failpoint!("replace.rename", fs::rename(&temporary, path)));
    if written.is_err() {
        let _ = fs::remove_file(&temporary); // The first failure is the one to tell.
    } else if durable && let Some(folder) = path.parent() {
        failpoint!("replace.dirsync", super::sync_dir(folder))?;
    }
    written
}

fn fill(
    path: &Path,
    durable: bool,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    let file = failpoint!("replace.create", options.open(path))?;
    let mut buffer = BufWriter::with_capacity(BUFFER, file);
    write(&mut buffer)?;
    let file = failpoint!(
        "replace.write",
        buffer.into_inner().map_err(io::IntoInnerError::into_error)
    )?;
    if durable {
        failpoint!("replace.sync", file.sync_all())
    } else {
        Ok(())
    }
}

/// Removes what [`replace`] left in `folder` when its process was killed.
pub fn sweep(folder: &Path) {
    for path in abandoned(folder).unwrap_or_default() {
        let _ = fs::remove_file(path); // Another one sweeps, too.
    }
}

fn abandoned(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !is_temporary(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let age = SystemTime::now().duration_since(entry.metadata()?.modified()?);
        if age.is_ok_and(|age| age > ABANDONED) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Tells whether [`replace`] gives such names: others may keep files of their own there.
fn is_temporary(name: &str) -> bool {
    let random = name
        .strip_suffix(SUFFIX)
        .and_then(|name| name.rsplit_once('.'))
        .map_or("", |(_, random)| random);
    random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    // hazard: 94
    #[test]
    fn a_file_is_replaced_and_what_a_killed_process_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small");
        replace(&path, true, |file| file.write_all(b"one")).unwrap();
        replace(&path, false, |file| file.write_all(b"two")).unwrap();
        replace(&path, false, |_| Err(io::ErrorKind::Other.into())).unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(fs::read(&path).unwrap(), b"two");
        let (old, new) = (
            folder.path().join("a.0123456789abcdef.tmp"),
            folder.path().join("b.0123456789ABCDEF.tmp"),
        );
        fs::write(&new, "").unwrap();
        let file = File::create(&old).unwrap();
        file.set_modified(SystemTime::now() - 2 * ABANDONED)
            .unwrap();
        sweep(folder.path());
        assert!(!old.exists() && new.exists() && path.exists());
    }

    #[test]
    fn two_take_turns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = turn(&path).unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| turn(&path).is_ok());
            thread::sleep(10 * PAUSE);
            assert!(!second.is_finished());
            drop(first);
            assert!(second.join().unwrap());
        });
    }
}
