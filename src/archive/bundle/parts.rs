//! Files that are being written beside the name they get when they are whole.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    hash::{BuildHasher as _, RandomState},
    io,
    path::{Path, PathBuf},
};

use crate::{failpoint::failpoint, platform::FileStamp};

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
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let file = failpoint!("save.create", options.open(&part))?;
        // Where there are no locks at all nobody takes a file for dead.
        let locked = !matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        // Someone who sweeps may have been faster, and removes the file or has done so.
        if locked && is_at(&file, &part) {
            return Ok((part, file));
        }
    }
}

/// Tells whether `name` is that of a file that is being written.
pub(super) fn is_part(name: &str) -> bool {
    let number = name.rsplit_once(MARK).map(|(_, number)| number);
    number.is_some_and(|it| it.len() == 16 && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Tells whether `path` still leads to the open `file`.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => {
            let (open, named) = (FileStamp::of(&open), FileStamp::of(&named));
            (open.device, open.inode) == (named.device, named.inode)
        }
        _ => false,
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
            .and_then(|found| found.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with(MARK) && is_part(rest));
        // A link may lead to someone else's file.
        if is_part && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let Ok(file) = OpenOptions::new().write(true).open(entry.path()) else {
                continue;
            };
            // The lock is held until the file is gone, so that whoever has only just made it
            // notices.
            if file.try_lock().is_ok() {
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

    #[test]
    fn attempts_at_one_time_do_not_take_each_other_for_dead() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("net.tar");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        let (part, _file) = create(&path).unwrap();
                        sweep(&path);
                        assert!(part.exists());
                        fs::remove_file(&part).unwrap();
                    }
                });
            }
        });
    }
}
