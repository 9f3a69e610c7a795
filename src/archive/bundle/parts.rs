//! Files that are being written beside the name they get when they are whole.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    hash::{BuildHasher as _, RandomState},
    io,
    path::{Path, PathBuf},
};

/// What stands between the name of the file and the number of the attempt.
const MARK: &str = ".part-";

/// Creates a file beside `path`, locked as long as it is open, and removes those of attempts on
/// the same `path` whose process has died.
pub(super) fn create(path: &Path) -> io::Result<(PathBuf, File)> {
    sweep(path);
    loop {
        let mut part = path.as_os_str().to_owned();
        // Not the number of the process: in containers all have the same.
        let random = RandomState::new().hash_one(path);
        part.push(format!("{MARK}{random:016x}"));
        let part = PathBuf::from(part);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&part)?;
        // Someone who sweeps may have been faster, and removes the file. Where there are no locks
        // at all nobody takes a file for dead.
        if !matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Ok((part, file));
        }
    }
}

/// Removes the leftovers of dead attempts; what cannot be removed is only clutter.
fn sweep(path: &Path) {
    let parent = path.parent().filter(|path| !path.as_os_str().is_empty());
    let (Ok(entries), Some(name)) = (
        fs::read_dir(parent.unwrap_or(Path::new("."))),
        path.file_name().and_then(|name| name.to_str()),
    ) else {
        return;
    };
    for entry in entries.flatten() {
        let found = entry.file_name();
        let is_part = found
            .to_str()
            .and_then(|found| found.strip_prefix(name)?.strip_prefix(MARK))
            .is_some_and(|number| {
                number.len() == 16 && number.bytes().all(|byte| byte.is_ascii_hexdigit())
            });
        // A link may lead to someone else's file.
        if is_part && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let is_dead = OpenOptions::new()
                .write(true)
                .open(entry.path())
                .is_ok_and(|file| file.try_lock().is_ok());
            if is_dead {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_attempt_removes_what_dead_ones_left_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("net.tar");
        let (dead, file) = create(&path).unwrap();
        drop(file);
        let (live, _file) = create(&path).unwrap();
        for other in [
            "net.tar",
            "net.tar.part-1",
            "other.tar.part-0123456789abcdef",
        ] {
            fs::write(dir.path().join(other), "").unwrap();
        }
        let (own, _own) = create(&path).unwrap();
        assert!(!dead.exists());
        assert!(live.exists() && own.exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5);
    }
}
